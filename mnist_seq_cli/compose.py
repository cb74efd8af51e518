"""Owns the engine: what the samples of a recipe are. Pure: arrays in, arrays out.

A strip comes about in four steps, each for a whole run of samples at once: digits, a glyph for each digit, the left
edge of each glyph, pixels. All of it is integer arithmetic on random words that are addressed by the sample's index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import layout
from mnist_seq_cli.bank import MISLABELED, Bank
from mnist_seq_cli.draws import words
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe import Recipe
from mnist_seq_cli.sequences import occurrences, possible_digits, sequences

PAPER, INK = 255, 0

ABSENT = -1
"""Glyph id and left edge of positions beyond the length of a sequence."""

_RUN = 4096
"""Samples worked out at a time: their words and ids stay in the processor's second-level cache."""

_BLOCK = 384
"""Strips painted at a time: they and their glyphs stay in the processor's second-level cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What samples `first` to `first` + n show, without the pixels.

    `digits` uint8 (n, length), padded with 0; `lengths` int32 (n,), how many of them count; `glyphs` int32
    (n, length), ids, and `x` int32 (n, length), left edges in px, both padded with -1.
    """

    first: int
    digits: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    glyphs: NDArray[np.int32]
    x: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.digits)


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Truth):
    """Samples `first` to `first` + n: their truth, and `images` uint8 (n, height, width)."""

    images: NDArray[np.uint8]

    def first_difference(self, other: Batch) -> int | None:
        """Return the number of the first sample in which `other` differs; None where there is none."""
        different = np.zeros(len(self), dtype=bool)
        for name in ("images", "digits", "lengths", "glyphs", "x"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine.shape != theirs.shape:
                return self.first
            different |= (mine != theirs).any(axis=tuple(range(1, mine.ndim)))
        return self.first + int(np.argmax(different)) if different.any() else None

    def part(self, start: int, stop: int) -> Batch:
        """Return rows `start` to `stop`, without copying."""
        names = ("digits", "lengths", "glyphs", "x", "images")
        return Batch(self.first + start, *(getattr(self, name)[start:stop] for name in names))


def truth(recipe: Recipe, bank: Bank, first: int, stop: int) -> Truth:
    """Return what samples `first` to `stop` of the recipe show. Raises RequestError for a bank of another content."""
    drawn_from = check_bank(recipe, bank)
    shape = (stop - first, recipe.length)
    digits, glyphs, x = np.empty(shape, np.uint8), np.empty(shape, np.int32), np.empty(shape, np.int32)
    lengths = np.empty(stop - first, dtype=np.int32)
    for start in range(first, stop, _RUN):
        end = min(start + _RUN, stop)
        here = slice(start - first, end - first)
        chosen, lengths[here] = sequences(recipe, start, end)
        digits[here] = chosen
        if recipe.glyphs == "once":
            glyphs[here] = drawn_from.deal(chosen, occurrences(recipe, start, end), recipe.seed)
        else:
            glyphs[here] = drawn_from.pick(chosen, words(recipe.seed, "glyph", start, end, recipe.length))
        x[here] = layout.offsets(recipe, start, end)
    if len(lengths) and lengths.min() < recipe.length:
        beyond = np.arange(recipe.length) >= lengths[:, None]
        glyphs[beyond] = x[beyond] = ABSENT
    return Truth(first, digits, lengths, glyphs, x)


def compose(recipe: Recipe, bank: Bank, first: int, stop: int) -> Batch:
    """Return samples `first` to `stop` of the recipe. Raises RequestError for a bank of another content."""
    shown = truth(recipe, bank, first, stop)
    images = paint(recipe, bank, shown.glyphs, shown.x)
    return Batch(first, shown.digits, shown.lengths, shown.glyphs, shown.x, images)


def paint(recipe: Recipe, bank: Bank, glyphs: NDArray[np.int32], x: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return strips with these glyphs at these left edges, on the recipe's canvas: uint8 (n, height, width).

    `glyphs` and `x` are int32 (n, length); glyphs that are -1 are left out. The others must lie on the canvas, side by
    side.
    """
    height, width, count = recipe.glyph_height, recipe.width, len(glyphs)
    if count == 0:
        return np.empty((0, height, width), dtype=np.uint8)
    images = np.empty((count, height, width), dtype=np.uint8)
    rows = images.reshape(-1, width)
    cell = np.empty((min(_BLOCK, count), height * bank.width), dtype=np.uint8)
    glyph_rows = _as_items(cell.reshape(-1, bank.width))
    complete = bool((glyphs >= 0).all())
    covered = complete and width == recipe.length * bank.width
    ids = _columns(glyphs)
    aligned = complete and bool((x == x[0]).all())
    places = _aligned_places(rows, x[0], height, bank.width) if aligned else _scattered_places(rows, x, bank.width)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        if not covered:
            rows[start * height : stop * height].fill(0 if recipe.invert else PAPER)
        for position in range(recipe.length):
            strips: Strips = slice(start, stop)
            if not complete:
                strips = start + np.flatnonzero(ids[position, start:stop] >= 0)
            chosen = ids[position, strips]
            pasted = cell[: len(chosen)]
            bank.take(chosen, out=pasted)
            if not recipe.invert:
                np.invert(pasted, out=pasted)
            target, where = places(position, strips)
            target[where] = glyph_rows[: len(chosen) * height]
    return images


def spans(recipe: Recipe, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield `first` to `stop` in batches (first, stop) of about 4 MB, so that memory stays flat for any canvas."""
    size = max(1, min(1_000, (4 << 20) // (recipe.glyph_height * recipe.width)))
    for start in range(first, stop, size):
        yield start, min(start + size, stop)


def check_bank(recipe: Recipe, bank: Bank) -> Bank:
    """Return `bank` with those glyphs only that the recipe may draw.

    Raises RequestError unless it holds what the recipe was written for, and each digit that it may ask for.
    """
    if bank.identity != recipe.source:
        raise RequestError(f"the recipe draws from the source {recipe.source}, and this one is {bank.identity}")
    if (bank.height, bank.width) != (recipe.glyph_height, recipe.glyph_width):
        raise RequestError(
            f"the recipe is for glyphs of {recipe.glyph_height}×{recipe.glyph_width} px, "
            f"and the source has {bank.height}×{bank.width} px"
        )
    drawn_from = bank.part(recipe.pool)
    if recipe.exclude_mislabeled:
        drawn_from = drawn_from.without(MISLABELED)
    drawn_from.require(possible_digits(recipe))
    return drawn_from


def _columns(values: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the columns as rows of np.intp, the type that NumPy indexes with: it would convert others at every use."""
    return np.ascontiguousarray(values.T, dtype=np.intp)


def _as_items(rows: NDArray[np.uint8]) -> NDArray[np.void]:
    """View each row of bytes as one item, which NumPy copies with one memcpy."""
    return rows.view(f"V{rows.shape[1]}")[:, 0]


Strips = slice | NDArray[np.intp]
Places = Callable[[int, Strips], tuple[NDArray[np.void], Any]]
"""Tells for a position and some strips where the rows of those glyphs go: an array of items, and an index into it."""


def _aligned_places(rows: NDArray[np.uint8], edges: NDArray[np.int32], height: int, glyph_width: int) -> Places:
    """All strips have the same left edges: a column of the images takes the glyphs of a position."""
    columns = [_as_items(rows[:, left : left + glyph_width]) for left in edges]

    def places(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        assert isinstance(strips, slice)
        return columns[position], slice(strips.start * height, strips.stop * height)

    return places


def _scattered_places(rows: NDArray[np.uint8], x: NDArray[np.int32], glyph_width: int) -> Places:
    """Each strip has left edges of its own: an item may begin at any byte of the images."""
    width = rows.shape[1]
    height = len(rows) // len(x)
    edges = _columns(x)
    every_byte = np.ndarray((rows.size - glyph_width + 1,), f"V{glyph_width}", rows, strides=(1,))
    lines = np.arange(0, height * width, width, dtype=np.intp)

    starts = np.arange(edges.shape[1], dtype=np.intp) * (height * width)

    def places(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        begin = starts[strips] + edges[position, strips]
        return every_byte, (begin[:, None] + lines).reshape(-1)

    return places
