"""Owns the samples of a recipe, made or read: one as a tuple, many as a batch."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Sequence
from copy import copy
from operator import index as as_index
from typing import Any, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch, joined, nothing
from mnist_seq_cli.formats.rows import texts_of
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import Labels, NamedImage, Strip, sampled_gaps, strip_of


class Sample(NamedTuple):
    """One sample: a named tuple of arrays and integers, which loaders such as PyTorch's collate as they are.

    `image` uint8 (height, width), 255 background and 0 ink; `digits` uint8 (n,), of which the first `length` count;
    `glyphs` int32 (n,), ids; `x` and `y` int32 (n,), left and top edges of their boxes in px; `boxes` int32 (n, 4),
    those of their ink, as x, y, width and height in px; `number`, its index in the recipe.
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


_WithMask: Any = namedtuple("MaskedSample", (*Sample._fields, "mask"))  # type: ignore[misc]
"""The fields of a sample, each declared once, and one more."""


class MaskedSample(_WithMask, Sample):  # type: ignore[misc]
    """A sample with its mask: what a Sample has, and as `mask` uint8 (height, width) which digit a pixel is of.

    That is its position, counted from 1, or 0 for background; where digits overlap, that of the darker ink.
    """

    __slots__ = ()
    mask: NDArray[np.uint8]


class RecipeSamples(Samples):
    """A run of samples of a recipe, or every n-th of them; what makes or reads them is up to `_make`.

    With `masks` a sample is a MaskedSample, and a batch has masks.
    """

    kind = "recipe"

    def __init__(self, recipe: Recipe, indices: range, *, masks: bool = False) -> None:
        self.recipe = recipe
        self.source, self.glyph_width = recipe.source, recipe.glyph_width
        self.masks = masks
        self._indices = indices

    def _make(self, first: int, stop: int) -> Batch:
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
        return _sample(self._make(number, number + 1), 0, number)

    def __iter__(self) -> Iterator[Sample | MaskedSample]:
        numbers = iter(self._indices)
        for batch in self.batches():
            for row in range(len(batch)):
                yield _sample(batch, row, next(numbers))

    def batches(self) -> Iterator[Batch]:
        """Yield all samples in order, some at a time."""
        for start in range(0, len(self), _ITERATION):
            yield self.batch(start, min(start + _ITERATION, len(self)))

    def batch(self, first: int, stop: int) -> Batch:
        """Return samples `first` to `stop` at once, which is much faster than one by one.

        `images` uint8 (n, height, width), `digits` uint8, `glyphs` and `x` int32 (n, length), `lengths` int32 (n,), and
        what else `batch.Annotations` has; `masks` as the images where they were asked for, else None.
        Raises IndexError unless 0 <= first <= stop <= len.
        """
        if not 0 <= first <= stop <= len(self):
            raise IndexError(f"there are {len(self)} samples, and {first} to {stop} was asked for")
        numbers = self._indices[first:stop]
        if not numbers:
            return nothing(self.recipe, first, masks=self.masks)
        if numbers.step == 1:
            return self._make(numbers.start, numbers.start + len(numbers))
        return joined([self._make(number, number + 1) for number in numbers])

    def labels(self) -> Iterator[Labels]:
        """Yield those of the recipe."""
        first = 0
        for batch in self.batches():
            numbers = self._indices[first : first + len(batch)]
            gaps = sampled_gaps(self.recipe, numbers, batch.lengths)
            yield Labels(first, list(texts_of(batch)), batch.glyphs, gaps)
            first += len(batch)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the samples with these numbers."""
        for number in numbers:
            batch = self.batch(number, number + 1)
            (gaps,) = sampled_gaps(self.recipe, self._indices[number : number + 1], batch.lengths)
            yield strip_of(batch, 0, number, gaps, invert=self.recipe.invert, glyph_width=self.glyph_width)

    def images(self) -> Iterator[NamedImage]:
        """Yield the images of all samples as wide as the canvas, so that many can be read at once."""
        images = (image for batch in self.batches() for image in batch.images)
        for number, image in enumerate(images):
            yield NamedImage(self._name_of(number), image)

    def _name_of(self, number: int) -> str:
        """Return the name of a sample for people."""
        return f"{number:08d}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples of {self.recipe})"


_ITERATION = 256
"""Samples that iteration makes at a time."""


def _sample(batch: Batch, row: int, number: int) -> Sample | MaskedSample:
    columns, length = slice(batch.widths[row]), int(batch.lengths[row])
    image, digits, boxes = batch.images[row, :, columns], batch.digits[row], batch.boxes[row]
    sample = Sample(image, digits, length, batch.glyphs[row], batch.x[row], batch.y[row], boxes, number)
    if batch.masks is None:
        return sample
    return MaskedSample(*sample, batch.masks[row, :, columns])  # type: ignore[call-arg]
