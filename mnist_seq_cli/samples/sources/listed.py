"""Owns samples that are listed by name, with a row of annotations for each, and the recipe beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import Row
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.boxes import recorded_or_seen
from mnist_seq_cli.samples.samples import LABELS_AT_ONCE, Samples
from mnist_seq_cli.samples.strip import NO_GAP, Labels, Strip, on_white

MAX_SAMPLES = 1_000_000
"""Samples of a folder or a shard, whose names and sequences are held."""


class Listing(NamedTuple):
    """The names of samples, in order, and the rows that there are."""

    names: list[str]
    rows: dict[str, Row]


class Listed(Samples):
    """Samples whose names are held, and the rows of those that have one; `recipe` is the one beside them."""

    def __init__(self, recipe: Recipe | None) -> None:
        self.source, self._gap, self._invert = facts_of(recipe)
        self.completed: Callable[[Strip], Strip] = lambda strip: strip
        """The function that adds to a strip what can be read from it."""

    def _list(self) -> Listing:
        """Return the names and rows. Raises FormatError, OSError."""
        raise NotImplementedError

    @cached_property
    def listing(self) -> Listing:
        """The names and rows, looked up when they are first needed. Raises FormatError, OSError."""
        return self._list()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        numbers = {name: number for number, name in enumerate(self.listing.names)}
        return {name.rpartition(".")[0]: number for name, number in numbers.items()} | numbers

    def __len__(self) -> int:
        return len(self.listing.names)

    def labels(self) -> Iterator[Labels]:
        names, rows = self.listing
        for first in range(0, len(names), LABELS_AT_ONCE):
            known = [rows.get(name) for name in names[first : first + LABELS_AT_ONCE]]
            length = max((len(row.text) for row in known if row), default=1)
            glyphs = np.full((len(known), length), ABSENT, dtype=np.int32)
            gaps = np.full((len(known), length - 1), NO_GAP, dtype=np.int32)
            for at, row in enumerate(known):
                if row:
                    between = self._gaps(row)
                    glyphs[at, : len(row.glyphs)], gaps[at, : len(between)] = row.glyphs, between
            yield Labels(first, [row.text if row else None for row in known], glyphs, gaps)

    def _gaps(self, row: Row) -> tuple[int, ...]:
        return self.gaps_of(len(row.text)) if row.gaps is None else row.gaps

    def gaps_of(self, length: int) -> tuple[int, ...]:
        """Return the gaps of a sequence of that length, where all are alike by the recipe; none where not."""
        return () if self._gap == NO_GAP else (self._gap,) * (length - 1)

    def number_of(self, name: str) -> int | None:
        """Return the number of the sample whose file has this name, with or without its folder and ending."""
        last = re.split(r"[/\\]", name.strip())[-1]
        known = self._numbers.get(last)
        return super().number_of(name) if known is None and "." not in last else known

    def _strip(self, number: int, image: NDArray[np.uint8]) -> Strip:
        name, shown = self.listing.names[number], on_white(image, self._invert)
        row = self.listing.rows.get(name)
        if row is None:
            return self.completed(Strip(number, name, shown, None))
        boxes = recorded_or_seen(shown, row.x, self.glyph_width, row.boxes)
        return self.completed(Strip(number, name, shown, row.text, row.glyphs, row.x, boxes, self._gaps(row)))


def recipe_beside(directory: Path, format_name: str | None = None) -> Recipe | None:
    """Return the recipe of the dataset, of that format, in a directory; None where there is none that can be read."""
    try:
        spec = manifest.read_spec(directory)
    except (FormatError, OSError):
        return None
    return spec.recipe if spec and format_name in (None, spec.format) else None


def facts_of(recipe: Recipe | None) -> tuple[str, int, bool | None]:
    """Return the source of a recipe, the gap, NO_GAP where not all are alike, and whether ink is white, if known."""
    if recipe is None:
        return "", NO_GAP, None
    return recipe.source, recipe.min_gap if recipe.min_gap == recipe.max_gap else NO_GAP, recipe.invert
