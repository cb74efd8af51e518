"""Owns samples as arrays: batches, with or without pixels, and single samples as tuples."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import index as as_index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import RequestError, one_line
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.parts.writing import MAX_OPERAND
from mnist_seq_cli.recipe.recipe import Recipe

PAPER, INK = 255, 0

ABSENT = -1
"""Glyph id, edges and box of positions beyond the length of a sequence."""


class Sample(NamedTuple):
    """One sample: a named tuple of arrays and integers, which loaders such as PyTorch's can collate directly.

    `image` uint8 (height, width), 255 background and 0 ink; `digits` uint8 (n,), of which the first `length` count;
    `glyphs` int32 (n,), ids; `x` and `y` int32 (n,), left and top edges of their boxes in px; `boxes` int32 (n, 4),
    the bounding boxes of their ink: x, y, width and height in px; `number`, its index in the recipe.
    """

    image: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    length: int
    glyphs: NDArray[np.int32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    boxes: NDArray[np.int32]
    number: int

    @property
    def label(self) -> str:
        """The sequence as it is written in names and labels: `1-2-3`."""
        return format_sequence(self.digits[: self.length].tolist())

    @property
    def text(self) -> str:
        """The sequence as plain text: `0042`."""
        return "".join(map(str, self.digits[: self.length].tolist()))

    def operands(self, count: int = 2) -> tuple[int, ...]:
        """Return the sequence as `count` numbers of as many digits each. Raises RequestError where that cannot be."""
        each = digits_of_operands(self.length, count)
        return tuple(int(self.text[start : start + each]) for start in range(0, self.length, each))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the image: what `numpy.asarray(sample)` is."""
        return np.array(self.image, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        kind = getattr(self.image, "dtype", type(self.image).__name__)
        shape = f" {tuple(self.image.shape)}" if hasattr(self.image, "shape") else ""
        return (
            one_line(f"{type(self).__name__}({one_line(self.label, 24)}, number {self.number}, {kind}{shape}", 79) + ")"
        )

    def _repr_png_(self) -> bytes | None:
        from mnist_seq_cli.codecs import notebook

        return notebook.picture(self.image)

    def _repr_html_(self) -> str | None:
        from mnist_seq_cli.codecs import notebook

        return notebook.figure(self.image, self.label)


_WithMask: Any = namedtuple("MaskedSample", (*Sample._fields, "mask"))  # type: ignore[misc]
"""The fields of a sample, and `mask`."""


class MaskedSample(_WithMask, Sample):  # type: ignore[misc]
    """A Sample with its `mask`, uint8 (height, width): for each pixel the position of its digit, counted from 1.

    It is 0 for background; where digits overlap, the darker ink counts.
    """

    __slots__ = ()
    mask: NDArray[np.uint8]
    __repr__ = Sample.__repr__


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Annotations:
    """Samples without their pixels: `first` to `first` + n, or those with the numbers `chosen`, int64 (n,).

    `digits` uint8 (n, length), padded with 0; `lengths` int32 (n,), how many of them count; `glyphs` int32
    (n, length), ids; `x` and `y` int32 (n, length), left and top edges of the glyphs' boxes in px; `boxes` int32
    (n, length, 4), where their ink is, as x, y, width and height in px; `widths` int32 (n,), of the images in px.
    Glyphs, edges and boxes are padded with -1. `sampled` has whatever else was sampled, by name: arrays of n rows.
    """

    first: int
    digits: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    glyphs: NDArray[np.int32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    boxes: NDArray[np.int32]
    widths: NDArray[np.int32]
    sampled: Mapping[str, NDArray[Any]] = field(default_factory=dict, kw_only=True)
    chosen: NDArray[np.int64] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.digits)

    def __repr__(self) -> str:
        shown = [*map(str, self.samples[:3]), *(["…"] if len(self) > 3 else [])]
        return f"{type(self).__name__}({len(self):,} samples{': ' * bool(shown)}{', '.join(shown)})"

    @property
    def samples(self) -> Numbers:
        """The numbers of the samples in the recipe."""
        return range(self.first, self.first + len(self)) if self.chosen is None else self.chosen

    @property
    def texts(self) -> list[str]:
        """Each sequence as plain text: `0042`."""
        return spelled(self.digits, self.lengths)

    def operands(self, count: int = 2) -> NDArray[np.int64]:
        """Return each sequence as `count` numbers of as many digits each: int64 (n, count).

        Raises RequestError where that cannot be.
        """
        numbers = np.empty((len(self), count), np.int64)
        for length in np.flatnonzero(np.bincount(self.lengths)).tolist():
            rows, each = self.lengths == length, digits_of_operands(length, count)
            powers = 10 ** np.arange(each - 1, -1, -1, dtype=np.int64)
            numbers[rows] = self.digits[rows, :length].reshape(-1, count, each) @ powers
        return numbers


def digits_of_operands(length: int, count: int) -> int:
    """Return how many digits each of `count` numbers has. Raises RequestError where that cannot be."""
    if count < 1 or length % count or length > count * MAX_OPERAND:
        raise RequestError(f"{length} digits are not {count} numbers of 1 to {MAX_OPERAND} digits each")
    return length // count


def spelled(digits: NDArray[np.uint8], lengths: NDArray[np.int32]) -> list[str]:
    """Return sequences, as in Annotations, as plain text, `0042`."""
    width = digits.shape[1]
    text = (digits + np.uint8(ord("0"))).tobytes().decode("ascii")
    starts = range(0, len(text), width)
    return [text[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]


ARRAYS = ("digits", "lengths", "glyphs", "x", "y", "boxes", "widths")
"""The arrays of Annotations, in their order."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch(Annotations):
    """Samples: their annotations, and `images` uint8 (n, height, width). It is also a sequence of `Sample`s.

    `masks`, if requested, have the shape of the images: for each pixel the position of its digit, counted from 1.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None = field(default=None, kw_only=True)

    def __getitem__(self, row: int) -> Sample | MaskedSample:
        """Return the sample in a row. Raises IndexError."""
        row = range(len(self))[as_index(row)]
        columns, length = slice(self.widths[row]), int(self.lengths[row])
        image, digits, boxes = self.images[row, :, columns], self.digits[row], self.boxes[row]
        number = int(self.samples[row])
        sample = Sample(image, digits, length, self.glyphs[row], self.x[row], self.y[row], boxes, number)
        if self.masks is None:
            return sample
        return MaskedSample(*sample, self.masks[row, :, columns])  # type: ignore[call-arg]

    def __iter__(self) -> Iterator[Sample | MaskedSample]:
        return map(self.__getitem__, range(len(self)))

    def _repr_html_(self) -> str:
        from mnist_seq_cli.codecs import notebook

        return notebook.page(repr(self), ((sample.image, sample.label) for sample in self))

    def first_difference(self, other: Batch) -> int | None:
        """Return the number of the first sample in which `other` differs; None where there is none.

        Masks are compared where both have them.
        """
        different = np.zeros(len(self), dtype=bool)
        for name in (*ARRAYS, "images", *([] if self.masks is None or other.masks is None else ["masks"])):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine.shape != theirs.shape:
                return self.first
            different |= (mine != theirs).any(axis=tuple(range(1, mine.ndim)))
        return self.first + int(np.argmax(different)) if different.any() else None

    def part(self, start: int, stop: int) -> Batch:
        """Return rows `start` to `stop`, without copying."""
        return self._rows(
            slice(start, stop), self.first + start, None if self.chosen is None else self.chosen[start:stop]
        )

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return these rows, in their order: a copy."""
        chosen = as_array(self.samples)[rows]
        return self._rows(rows, int(chosen[0]) if len(chosen) else self.first, chosen)

    def _rows(self, rows: slice | NDArray[np.int64], first: int, chosen: NDArray[np.int64] | None) -> Batch:
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in (*ARRAYS, "images")}
        sampled = {name: values[rows] for name, values in self.sampled.items()}
        masks = None if self.masks is None else self.masks[rows]
        return Batch(first, **arrays, sampled=sampled, chosen=chosen, masks=masks)


def sampled_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names in `Annotations.sampled`: what differs between samples, apart from glyphs and boxes."""
    gaps, writer = recipe.min_gap < recipe.max_gap, recipe.writer == "same"
    return (*["gaps"] * gaps, *recipe.sampled_ranges, *["writer"] * writer)


def nothing(recipe: Recipe, first: int, *, masks: bool = False) -> Batch:
    """Return an empty batch, in the shape of those that the recipe makes."""
    ids, numbers = np.empty((0, recipe.length), dtype=np.int32), np.empty(0, dtype=np.int32)
    boxes = np.empty((0, recipe.length, 4), dtype=np.int32)
    images = np.empty((0, recipe.height, recipe.width), dtype=np.uint8)
    annotations = (ids.astype(np.uint8), numbers, ids, ids, ids, boxes, numbers)
    return Batch(first, *annotations, images, masks=images if masks else None)


def joined(batches: list[Batch]) -> Batch:
    """Return one batch with the samples of all, of which there must be at least one."""
    if len(batches) == 1:
        return batches[0]
    names = (*ARRAYS, "images")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names}
    sampled = {name: np.concatenate([batch.sampled[name] for batch in batches]) for name in batches[0].sampled}
    masks = [batch.masks for batch in batches if batch.masks is not None]
    numbers = np.concatenate([as_array(batch.samples) for batch in batches])
    return Batch(
        batches[0].first,
        **arrays,
        sampled=sampled,
        chosen=None if (np.diff(numbers) == 1).all() else numbers,
        masks=np.concatenate(masks) if masks else None,
    )
