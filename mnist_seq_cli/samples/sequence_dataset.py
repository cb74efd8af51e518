"""Owns samples in memory: a recipe as a sequence of samples, each made when it is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from operator import index as as_index
from os import PathLike
from typing import Any, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch, joined, nothing
from mnist_seq_cli.engine.compose import check_masks, compose
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.bounds import MAX_SAMPLES
from mnist_seq_cli.recipe.recipe import (
    EVERYTHING,
    GlyphRule,
    Pool,
    Recipe,
    Spacing,
    format_sequence,
    parse_digits,
    parse_lengths,
    parse_sequence,
)

DEFAULT_SAMPLES = 60_000


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


class SequenceDataset(Samples):
    """The samples of a recipe as a sequence that is never held: sample i is made, in O(1), when it is asked for.

    (With `glyphs` "once" the digits before it have to be counted: once in a process, some 40 ms for a million samples.)

    What is written: `length` digits a sequence (4; or "2-8", "2:1,3:5" for several lengths), some of `digits`, without
    two alike if not `repeat`; or the given `sequences` in turn ("1-2-3" or tuples of digits); or a `pattern`; or with
    `per_label` every sequence that many times. `check` "luhn" makes the last digit a check digit. `samples` is what
    `len` says: an epoch. `looks` are what else `Recipe.request` takes: `height`, `crop`, `align`, `margin`, `jitter_x`,
    `jitter_y` (px, or "full"), `slant`, `rotate`, `scale`, `stroke`, `contrast` (these five as (from, to), "-10-10" or
    5), `noise`, `invert`; for them and the gaps see `Recipe`, and `resolve_layout` for `width`. `paper` is "plain",
    "gradient", "grain", or the path of a picture. `source` is "train", "test", "all", or the path of an IDX image file
    with `source_labels` beside it. Without `seed` one is drawn; `recipe.seed` tells it. `exclude_mislabeled`, `glyphs`,
    `pool` and `label_pool` say which glyphs and sequences, as in `Recipe`: with `pool` (0, 9, 10) and (9, 10, 10) two
    datasets share no glyph. With `masks` samples and batches have a mask of each image.

    A map-style dataset for `torch.utils.data.DataLoader`: it travels to workers without its glyphs, and has no state.

    Raises RequestError for what cannot be, FormatError for source files that are not a pair of images and labels and
    for paper that is not a picture.

    >>> data = SequenceDataset(length=4, seed=7)
    >>> data[12345].image.shape
    (28, 112)
    """

    def __init__(
        self,
        *,
        length: int | str | None = None,
        sequences: Iterable[str | Iterable[int]] = (),
        shuffle: bool = False,
        pattern: str = "",
        per_label: int = 0,
        digits: str = "0123456789",
        repeat: bool = True,
        check: Literal["", "luhn"] = "",
        seed: int | None = None,
        samples: int | None = None,
        min_gap: int = 0,
        max_gap: int | None = None,
        width: int | Literal["fit"] | None = None,
        spacing: Spacing | None = None,
        paper: str | PathLike[str] = "plain",
        source: str | PathLike[str] = "train",
        source_labels: str | PathLike[str] | None = None,
        exclude_mislabeled: bool = False,
        glyphs: GlyphRule = "any",
        pool: Pool = EVERYTHING,
        label_pool: Pool = EVERYTHING,
        masks: bool = False,
        **looks: Any,
    ) -> None:
        place = bank.find(source, source_labels, paper)
        recipe = Recipe.request(
            seed=seed,
            length=parse_lengths(length) if isinstance(length, str) else length,
            shuffle=shuffle,
            pattern=pattern,
            per_label=per_label,
            digits=parse_digits(digits),
            repeat=repeat,
            check=check,
            sequences=[
                parse_sequence(text) if isinstance(text, str) else tuple(map(as_index, text)) for text in sequences
            ],
            min_gap=min_gap,
            max_gap=max_gap,
            width=width,
            spacing=spacing,
            exclude_mislabeled=exclude_mislabeled,
            glyphs=glyphs,
            pool=tuple(pool),
            label_pool=tuple(label_pool),
            **{"paper": paper, **looks, **background_image.facts(place)},
        )
        if masks:
            check_masks(recipe)
        indices = _checked_range(recipe.round or DEFAULT_SAMPLES if samples is None else samples)
        super().__init__(recipe, indices, masks=masks)
        self._source = place

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, *, samples: int = DEFAULT_SAMPLES, source: Source | None = None, masks: bool = False
    ) -> Self:
        """Return the samples of a recipe; `source` is where glyphs and paper are that are the user's own.

        Raises RequestError for masks that cannot be.
        """
        if masks:
            check_masks(recipe)
        data = cls.__new__(cls)
        Samples.__init__(data, recipe, _checked_range(samples), masks=masks)
        data._source = source or Source(recipe.source)
        return data

    def _made(self, first: int, stop: int) -> Batch:
        glyphs, background = bank.load(self._source), background_image.load(self._source)
        return compose(self.recipe, glyphs, first, stop, masks=self.masks, background=background)


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


def _checked_range(samples: int) -> range:
    if not 1 <= samples <= MAX_SAMPLES:
        raise RequestError(f"samples is {samples}", hint=f"it has to be 1 to {MAX_SAMPLES}")
    return range(samples)
