"""Owns the report on a directory of splits: what was asked for, and its splits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mnist_seq_cli.dataset.manifest import SPLITS_NAME
from mnist_seq_cli.dataset.splits import asked as splits
from mnist_seq_cli.dataset.splits import parts
from mnist_seq_cli.dataset.splits.asked import By, Splits
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inputs import is_directory
from mnist_seq_cli.inspection.figures import size_text
from mnist_seq_cli.recipe import description
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.stored import StoredDataset
from mnist_seq_cli.storage.location import PathOrStore, open_store

State = Literal["complete", "incomplete", "missing", "damaged", "other"]


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split: what it is to have, and what is there; `samples_done` is 0 without a recipe that can be read.

    Its `state` is "other" where what is there is not what was asked for.
    """

    name: str
    state: State
    samples: int
    samples_done: int
    bytes: int
    format: str | None
    source: str | None
    seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitsReport:
    """A directory of splits: what was asked for, and its splits.

    `apart` is whether their recipes, of those that are there, keep apart what `by` says.
    """

    kind: Literal["splits"] = "splits"
    path: str
    seed: int
    by: By
    samples: int
    complete: bool
    apart: bool
    splits: list[SplitReport]
    problems: list[str]

    @property
    def complete_names(self) -> list[str]:
        """The names of the splits that are complete."""
        return [split.name for split in self.splits if split.state == "complete"]

    def facts(self) -> list[tuple[str, str]]:
        """Return the facts on the splits as a whole, in words."""
        kept, lost = {
            "glyph": ("no glyph is", "glyphs"),
            "writer": ("no writer is", "writers"),
            "label": ("no sequence is", "sequences"),
            "both": ("no glyph and no sequence is", "glyphs or sequences"),
        }[self.by]
        done = "all complete" if self.complete else f"{len(self.complete_names)} complete"
        known = "them" if all(split.seed is not None for split in self.splits) else "those that are there"
        apart = f"{kept} in two of {known}" if self.apart else f"NOT so: the same {lost} may be in two of {known}"
        return [
            ("samples", f"{self.samples:,}, {size_text(sum(split.bytes for split in self.splits))}"),
            ("splits", f"{len(self.splits)}, {done}"),
            ("apart", apart),
            ("seed", str(self.seed)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def splits_at(path: PathOrStore) -> Splits | None:
    """Return the splits that a directory holds; None for anything else. Raises FormatError."""
    if (isinstance(path, Path) and not is_directory(path)) or open_store(path).size(RECIPE_NAME) is not None:
        return None
    return splits.read(path)


def look_at_splits(path: PathOrStore, asked: Splits) -> SplitsReport:
    """Return the report on a directory of splits, from their recipes and manifests alone. Raises OSError."""
    reports, recipes, problems = [], {}, []
    for name, samples in asked.sizes.items():
        stored, state, problem = _look_at_split(path / name, samples, splits.seed_of(asked.seed, name))
        problems += [f"{name}: {problem}"] if problem else []
        if stored is None:
            reports.append(SplitReport(name, state, samples, 0, 0, None, None, None))
            continue
        recipe = recipes[name] = stored.spec.recipe
        known = (stored.spec.format, description.source(recipe), recipe.seed)
        reports.append(SplitReport(name, state, samples, stored.done, stored.bytes, *known))
    shared = parts.shared(asked.by, recipes)
    return SplitsReport(
        path=str(path),
        seed=asked.seed,
        by=asked.by,
        samples=sum(asked.sizes.values()),
        complete=all(split.state == "complete" for split in reports),
        apart=not shared,
        splits=reports,
        problems=problems + shared,
    )


def _look_at_split(path: PathOrStore, samples: int, seed: int) -> tuple[StoredDataset | None, State, str]:
    """Return the dataset of a split, if there is one, its state, and what is wrong."""
    try:
        stored = StoredDataset.found_at(path)
    except FormatError as error:
        return None, "damaged", str(error)
    if stored is None:
        return None, "missing", "it is not there yet: the dataset command makes it"
    if (stored.spec.samples, stored.spec.recipe.seed) != (samples, seed):
        return stored, "other", f"it is another dataset than {SPLITS_NAME} asks for"
    if stored.problems:
        return stored, "incomplete", stored.problems[0]
    return stored, "complete", ""
