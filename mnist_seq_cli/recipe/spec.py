"""Owns what was asked of a dataset: its samples, and the form that they have on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from mnist_seq_cli.codecs.compression import COMPRESSIONS, Compression
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.recipe.json_values import canonical_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, MAX_SHARD_SIZE
from mnist_seq_cli.recipe.options.kinds import Choice, Choices, Flag, Integer, Text
from mnist_seq_cli.recipe.options.option import option, options_of
from mnist_seq_cli.recipe.plan import Plan, plan_of
from mnist_seq_cli.recipe.recipe import Recipe

RECIPE_NAME = "recipe.json"

ANNOTATION_NAMES = (
    *("coco", "yolo", "paddleocr", "easyocr", "doctr", "doctr-detection", "mmocr", "tesseract", "trdg", "svhn"),
)
"""The trainers whose annotations PNG files can have beside them."""

_IDX_NAMES = ("", "idx1", "mnist-train", "mnist-t10k")
FILE_NAMES = (*_IDX_NAMES, "train", "val", "test")
"""How files are called: IDX with labels-idx2, with labels-idx1, or as MNIST's own are; torchmeta's for its split."""


def are_file_names(names: str, format_: str) -> bool:
    """Return whether files of a format may be called so: one of FILE_NAMES, or parquet's by any split."""
    return names in FILE_NAMES or (format_ == "parquet" and re.fullmatch(r"[a-z]\w{0,63}", names, re.ASCII) is not None)


def hub_name(split: str) -> str:
    """Return what the hub calls a split: letters, digits and underscores; `validation` for val; `train` for none."""
    return {"": "train", "val": "validation"}.get(split, split).replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form that is asked for: how many samples, and how they are written. With `masks` each has one beside it."""

    HEADING: ClassVar = ("Output", "How many images, where they go, and in which format.")

    samples: int | None = option(
        None, Integer(1, MAX_SAMPLES, "N"), "Number of images.  [default: one round of the labels]", basic=True
    )
    format: str = option("png", Text(), "File format.  [default: png]", basic=True)
    compression: Compression | None = option(
        None, Choice(COMPRESSIONS), "Favour speed or size.  [default: fast; small for webdataset and idx]"
    )
    shard_size: int | None = option(
        None,
        Integer(1, MAX_SHARD_SIZE, "S"),
        "Samples per shard, the unit of work and retry.  [default: 1000 for png; else 10000, or fewer for 8 files]",
    )
    masks: bool = option(False, Flag(), "Also write masks: each pixel has the position of its digit, counted from 1.")
    annotations: tuple[str, ...] = option(
        (),
        Choices(ANNOTATION_NAMES, "NAME"),
        f"Also write annotations for a trainer, for png; any number: {', '.join(ANNOTATION_NAMES)}.",
    )
    names: str | None = option(
        None, Choice(("mnist",)), "Name IDX files of single digits as MNIST does, and leave them uncompressed."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What was asked of a dataset, resolved: the samples (recipe and number) and the form that they have on disk.

    With `masks` there is one of each strip beside it; `annotations` are names of ANNOTATION_NAMES in that order, and
    `names` says how files are called. None of these changes a pixel or a label. `request` is what was asked for in JSON
    values, where that is known; the samples do not depend on it.
    """

    recipe: Recipe
    samples: int
    format: str
    compression: Compression
    shard_size: int
    masks: bool = False
    annotations: tuple[str, ...] = ()
    names: str = ""
    request: dict[str, Any] | None = field(default=None, compare=False)

    @property
    def plan(self) -> Plan:
        """The shards."""
        return plan_of(self.samples, self.shard_size)

    @property
    def split(self) -> str:
        """The split that the names of its files are for; empty where they do not say."""
        return "" if self.names in _IDX_NAMES else self.names

    def to_json(self) -> dict[str, Any]:
        """Return the content of recipe.json; it leaves out masks, annotations and names that are not there."""
        return {
            "recipe": self.recipe.to_json(),
            "samples": self.samples,
            "format": self.format,
            "compression": self.compression,
            "shard_size": self.shard_size,
            **({"masks": True} if self.masks else {}),
            **({"annotations": list(self.annotations)} if self.annotations else {}),
            **({"names": self.names} if self.names else {}),
            **({} if self.request is None else {"request": self.request}),
        }

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return what recipe.json says. Raises FormatError for anything that `to_json` would not have written."""
        known: dict[str, type] = {"recipe": dict, "samples": int, "format": str, "compression": str, "shard_size": int}
        optional = {"masks": bool, "annotations": list, "names": str, "request": dict}
        if isinstance(values, dict):
            known |= {name: kind for name, kind in optional.items() if name in values}
        checked = typed_fields(values, known, RECIPE_NAME)
        checked["recipe"] = Recipe.from_json(checked["recipe"])
        try:
            if checked["compression"] not in COMPRESSIONS:
                raise RequestError(f"compression is {checked['compression']!r}")
            if not are_file_names(checked.get("names", ""), checked["format"]):
                raise RequestError(f"names is {checked['names']!r}")
            listed = checked.pop("annotations", [])
            checked["annotations"] = FORM_OPTIONS["annotations"].kind.normalize("annotations", listed)
            spec = cls(**checked)
            len(spec.plan)
        except RequestError as error:
            raise FormatError(f"{RECIPE_NAME} is not valid: {error}") from None
        return spec

    def differences(self, other: Spec) -> list[str]:
        """Return, field by field, where `other` asks for something else: `max_gap 7 instead of 0` and the like."""
        young = {name: each.kind.to_json(each.default) for name, each in options_of(Recipe).items() if each.since > 1}
        mine, theirs = (
            {"masks": False, "annotations": [], "names": "", **young, **spec.to_json()} for spec in (self, other)
        )
        mine |= mine.pop("recipe")
        theirs |= theirs.pop("recipe")
        return [
            one_line(f"{name} {_shown(theirs[name])} instead of {_shown(mine[name])}", 80)
            for name in mine
            if name != "request" and mine[name] != theirs[name]
        ]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


FORM_OPTIONS = options_of(Form)
