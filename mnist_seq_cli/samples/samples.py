"""Owns samples as a sequence: what a sample is, one or many at a time, whatever makes them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from operator import index as as_index
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch, joined, nothing
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.recipe import Recipe


class Sample(NamedTuple):
    """One sample: a named tuple of arrays and integers, which loaders such as PyTorch's collate as they are.

    `image` uint8 (height, width), 255 paper and 0 ink; `digits` uint8 (n,), of which the first `length` count; `glyphs`
    int32 (n,), ids; `x` and `y` int32 (n,), left and top edges of their boxes in px; `boxes` int32 (n, 4), where their
    ink is, as x, y, width and height in px; `number`, its place in the recipe.
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


class MaskedSample(NamedTuple):
    """A sample with its mask: what a Sample has, and as `mask` uint8 (height, width) which digit a pixel is of.

    That is its position, counted from 1, or 0 for paper; where digits overlap, that of the darker ink.
    """

    image: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    length: int
    glyphs: NDArray[np.int32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    boxes: NDArray[np.int32]
    number: int
    mask: NDArray[np.uint8]

    @property
    def label(self) -> str:
        """The sequence as it is written in names and labels: `1-2-3`."""
        return format_sequence(self.digits[: self.length].tolist())


class Samples:
    """A run of samples as a sequence, or every n-th of them; what makes them is up to `_made`.

    With `masks` a sample is a MaskedSample, and a batch has masks.
    """

    def __init__(self, recipe: Recipe, indices: range, *, masks: bool = False) -> None:
        self.recipe = recipe
        self.masks = masks
        self._indices = indices

    def _made(self, first: int, stop: int) -> Batch:
        """Return samples `first` to `stop` of the recipe."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample | MaskedSample: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Sample | MaskedSample | Self:
        """Return one sample, or for a slice the dataset of those samples. Raises IndexError."""
        if isinstance(index, slice):
            part = copy(self)
            part._indices = self._indices[index]
            return part
        try:
            number = self._indices[as_index(index)]
        except IndexError:
            raise IndexError(f"there are {len(self)} samples, and {index} was asked for") from None
        return _sample(self._made(number, number + 1), 0, number)

    def __iter__(self) -> Iterator[Sample | MaskedSample]:
        for start in range(0, len(self), _ITERATION):
            batch = self.batch(start, min(start + _ITERATION, len(self)))
            for row in range(len(batch)):
                yield _sample(batch, row, self._indices[start + row])

    def batch(self, first: int, stop: int) -> Batch:
        """Return samples `first` to `stop` at once, which is much faster than one by one.

        `images` uint8 (n, height, width), `digits` uint8, `glyphs` and `x` int32 (n, length), `lengths` int32 (n,), and
        what else `batch.Annotations` has; `masks` as the images where they were asked for, else None.
        Raises IndexError unless 0 <= first <= stop <= len.
        """
        if not 0 <= first <= stop <= len(self):
            raise IndexError(f"there are {len(self)} samples, and {first} to {stop} was asked for")
        wanted = self._indices[first:stop]
        if not wanted:
            return nothing(self.recipe, first, masks=self.masks)
        if wanted.step == 1:
            return self._made(wanted.start, wanted.start + len(wanted))
        return joined([self._made(number, number + 1) for number in wanted])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples of {self.recipe})"


_ITERATION = 256
"""Samples that iteration makes at a time."""


def _sample(batch: Batch, row: int, number: int) -> Sample | MaskedSample:
    sample = Sample(
        batch.images[row, :, : batch.widths[row]],
        batch.digits[row],
        int(batch.lengths[row]),
        batch.glyphs[row],
        batch.x[row],
        batch.y[row],
        batch.boxes[row],
        number,
    )
    return sample if batch.masks is None else MaskedSample(*sample, batch.masks[row, :, : batch.widths[row]])
