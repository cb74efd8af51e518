"""Owns what was asked of a dataset: its samples, and the form that they have on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from mnist_seq_cli.codecs.compression import COMPRESSIONS, Compression
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.recipe.json_values import canonical_json, typed_fields
from mnist_seq_cli.recipe.plan import Plan
from mnist_seq_cli.recipe.recipe import Recipe

RECIPE_NAME = "recipe.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What was asked of a dataset: the samples (recipe and number) and the form that they have on disk.

    With `masks` there is one of each strip beside it, which changes no pixel and no label.
    """

    recipe: Recipe
    samples: int
    format: str
    compression: Compression
    shard_size: int
    masks: bool = False

    @property
    def plan(self) -> Plan:
        """The shards."""
        return Plan(self.samples, self.shard_size)

    def to_json(self) -> dict[str, Any]:
        """Return the content of recipe.json; it says nothing of masks where there are none."""
        return {
            "recipe": self.recipe.to_json(),
            "samples": self.samples,
            "format": self.format,
            "compression": self.compression,
            "shard_size": self.shard_size,
            **({"masks": True} if self.masks else {}),
        }

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return what recipe.json says. Raises FormatError for anything that `to_json` would not have written."""
        known = {"recipe": dict, "samples": int, "format": str, "compression": str, "shard_size": int, "masks": bool}
        given = {"masks": False, **values} if isinstance(values, dict) else values
        checked = typed_fields(given, known, RECIPE_NAME)
        checked["recipe"] = Recipe.from_json(checked["recipe"])
        try:
            if checked["compression"] not in COMPRESSIONS:
                raise RequestError(f"compression is {checked['compression']!r}")
            spec = cls(**checked)
            len(spec.plan)
        except RequestError as error:
            raise FormatError(f"{RECIPE_NAME} is not valid: {error}") from None
        return spec

    def differences(self, other: Spec) -> list[str]:
        """Return, field by field, where `other` asks for something else: `--max 7 instead of 0` and the like."""
        mine, theirs = ({"masks": False, **spec.to_json()} for spec in (self, other))
        mine |= mine.pop("recipe")
        theirs |= theirs.pop("recipe")
        return [
            one_line(f"{name} {_shown(theirs[name])} instead of {_shown(mine[name])}", 80)
            for name in mine
            if mine[name] != theirs[name]
        ]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)
