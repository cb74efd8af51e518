"""Owns the interface of samples at a path: how many there are, what they show, and any of them to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.rows import Row
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.strip import NO_GAP, Box, Rows, Strip, StripReader, boxes_in, boxes_read, on_white

MAX_SAMPLES = 1_000_000
"""Samples of a folder or a shard, whose names and sequences are held."""


_NUMBERED = re.compile(r"(?:.*[/\\])?([0-9]{1,12})(?:\.(?:png|json))?", re.ASCII)


CHUNK = 10_000


RUN = 10


class Collection:
    """Samples that can be looked at. `source` names the bank that glyph ids are of, where that is known.

    What is not known of a strip is read by the `reader`, where there is one.
    """

    kind: str = ""
    source: str = ""
    glyph_width: int = 28
    reader: StripReader | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def rows(self) -> Iterator[Rows]:
        """Yield what all samples show, some at a time. Raises FormatError, OSError."""
        raise NotImplementedError

    def rows_with_glyphs(self) -> Iterator[Rows]:
        """Yield the same with all glyphs that are known, even where that takes long. Raises FormatError, OSError."""
        return self.rows()

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the samples with these numbers, which are in ascending order. Raises FormatError, OSError."""
        raise NotImplementedError

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample that goes by this name, or by its number; None where there is none."""
        return number_in(name, len(self))

    def spread(self, count: int) -> list[int]:
        """Return the numbers of about `count` samples from all over the collection, cheap to be read."""
        total = len(self)
        if total <= count:
            return list(range(total))
        runs = -(-count // RUN)
        starts = {run * (total - RUN) // max(1, runs - 1) for run in range(runs)}
        return sorted({start + place for start in starts for place in range(RUN)} & set(range(total)))[:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield about `count` samples from all over the collection; None for each that cannot be read."""
        numbers = self.spread(count)
        for start in range(0, len(numbers), RUN):
            run, done = numbers[start : start + RUN], 0
            try:
                for strip in self.strips(run):
                    done += 1
                    yield strip
            except (FormatError, OSError):
                yield from map(self._or_none, run[done:])

    def _or_none(self, number: int) -> Strip | None:
        try:
            return next(iter(self.strips([number])))
        except (FormatError, OSError):
            return None

    def chosen(self, numbers: Sequence[int]) -> list[Strip]:
        """Return samples in the order of these numbers. Raises RequestError where there is no such sample."""
        for number in numbers:
            if not 0 <= number < len(self):
                raise RequestError(f"there is no sample {number}", hint=f"they are 0 to {len(self) - 1}")
        found = {strip.number: strip for strip in self.strips(sorted(set(numbers)))}
        return [found[number] for number in numbers]


def number_in(name: str, count: int) -> int | None:
    """Return the number in `12`, `00000012.png`, `images/00000/00000012.png` and the like, if it is below `count`."""
    found = _NUMBERED.fullmatch(name.strip())
    return int(found[1]) if found and int(found[1]) < count else None


class Listed(Collection):
    """Samples whose names are held, and for each what is known of it; `recipe` is the one that stands beside them."""

    def __init__(self, names: list[str], rows: dict[str, Row], recipe: Recipe | None = None) -> None:
        self._names, self._rows = names, rows
        self._places = {name: place for place, name in enumerate(names)}
        self.source, self._gap, self._invert = facts_of(recipe)

    def __len__(self) -> int:
        return len(self._names)

    def rows(self) -> Iterator[Rows]:
        """Yield what is known."""
        for first in range(0, len(self), CHUNK):
            known = [self._rows.get(name) for name in self._names[first : first + CHUNK]]
            length = max((len(row.text) for row in known if row), default=1)
            glyphs = np.full((len(known), length), ABSENT, dtype=np.int32)
            gaps = np.full((len(known), length - 1), NO_GAP, dtype=np.int32)
            for place, row in enumerate(known):
                if row:
                    glyphs[place, : len(row.glyphs)] = row.glyphs
                    between = self._gaps(row)
                    gaps[place, : len(between)] = between
            yield Rows(first, [row.text if row else None for row in known], glyphs, gaps)

    def _gaps(self, row: Row) -> tuple[int, ...]:
        """Return the gaps that were drawn for a sample; none where they are not known."""
        if row.gaps is not None or self._gap == NO_GAP:
            return row.gaps or ()
        return (self._gap,) * (len(row.text) - 1)

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample whose file has this name, with or without its folder and ending."""
        last = re.split(r"[/\\]", name.strip())[-1]
        for known in (last, f"{last}.png"):
            if known in self._places:
                return self._places[known]
        return None if "." in last else number_in(name, len(self))

    def _strip(self, number: int, image: NDArray[np.uint8]) -> Strip:
        """Return a sample; what is not known of it is read from its pixels, exactly or not at all."""
        name, shown = self._names[number], on_white(image, self._invert)
        row = self._rows.get(name)
        if row is None or not row.glyphs:
            reading = self.reader.exactly(image) if self.reader else None
            if reading is None:
                return Strip(number, name, shown, row.text if row else None)
            text = "".join(map(str, reading.digits))
            if row is None or row.text == text:
                gaps = None if row is None else row.gaps
                row = Row(text, reading.glyphs, reading.x, boxes_read(reading), gaps)
        boxes = boxes_in(shown, row.x, self.glyph_width, tuple(Box(*box) for box in row.boxes))
        return Strip(number, name, shown, row.text, row.glyphs, row.x, boxes, self._gaps(row))


def recipe_beside(directory: Path, format_name: str | None = None) -> Recipe | None:
    """Return the recipe of the dataset, of that format, in a directory; None where there is none that can be read."""
    try:
        spec = manifest.read_spec(directory)
    except (FormatError, OSError):
        return None
    return spec.recipe if spec and format_name in (None, spec.format) else None


def facts_of(recipe: Recipe | None) -> tuple[str, int, bool | None]:
    """Return what holds for all samples of a recipe: the source, the gap, and whether ink is white.

    The gap is NO_GAP where not all are alike. Of no recipe nothing is known.
    """
    if recipe is None:
        return "", NO_GAP, None
    return recipe.source, recipe.min_gap if recipe.min_gap == recipe.max_gap else NO_GAP, recipe.invert
