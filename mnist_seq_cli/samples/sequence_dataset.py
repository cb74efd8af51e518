"""Owns the samples of a recipe as a sequence, each made when it is accessed."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from os import PathLike
from typing import Literal, Self

from mnist_seq_cli.dataset.request import resolved, source_of
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import check_masks, compose_any
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, check_range
from mnist_seq_cli.recipe.options.notation import Digits, Lengths, Range
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING, GlyphRule, Pool, WriterRule
from mnist_seq_cli.recipe.parts.placement import Align, Crop, Spacing
from mnist_seq_cli.recipe.parts.writing import LabelOrder
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.samples.recipe_samples import RecipeSamples, Transform

DEFAULT_SAMPLES = 60_000

AnyRange = Range | int | str
"""A range as (from, to), as one number, or as text."""


class SequenceDataset(RecipeSamples):
    """The samples of a recipe as a sequence that is never stored: sample i is made on access, in O(1).

    (With `glyphs` "once" all earlier digits have to be counted: once per process, 40 ms for a million samples.)

    The keyword arguments are the options of `mnistseq dataset`, with the same meaning; see the parts of a recipe
    (`Writing`, `Placement`, `Appearance`, `Glyphs`). `length` may be "2-8" or "2:1,3:5"; sequences are "1-2-3" or
    tuples of digits, ranges (from, to), "-10-10" or 5; `paper` and `source` may be paths. `samples` is the length of
    the dataset, one epoch. Without `seed` a random one is chosen: `recipe.seed`. Two datasets with `pool` (0, 9, 10)
    and (9, 10, 10) share no glyph. With `masks`, samples and batches include a mask of each image.

    `transform` is applied to the image of each sample, uint8 (height, width): in `data[i]`, in loops, and in the
    workers of a loader, to which it is pickled. Annotations and masks stay as they are. Its results may not fit into an
    array, so that batches raise RequestError.

    This is a map-style dataset for `torch.utils.data.DataLoader`: it is sent to workers without its glyphs, and has no
    state.

    Raises RequestError for an impossible request, FormatError for source files that are not a pair of images and labels
    and for a background that is not a picture.

    >>> data = SequenceDataset(length=4, seed=7)
    >>> data[12345].image.shape
    (28, 112)
    """

    def __init__(
        self,
        *,
        length: int | str | Lengths | None = None,
        sequences: Iterable[str | Iterable[int]] = (),
        shuffle: bool = False,
        pattern: str = "",
        per_label: int = 0,
        digits: str | Digits = tuple(range(10)),
        repeat: bool = True,
        check: Literal["", "luhn"] = "",
        operands: int = 0,
        label_order: LabelOrder = "shuffled",
        min_gap: int = 0,
        max_gap: int | None = None,
        width: int | Literal["fit"] | None = None,
        spacing: Spacing | None = None,
        crop: Crop = "box",
        height: int | None = None,
        align: Align | None = None,
        margin: int = 0,
        jitter_x: int = 0,
        jitter_y: int | Literal["full"] = 0,
        slant: AnyRange = (0, 0),
        rotate: AnyRange = (0, 0),
        scale: AnyRange = (100, 100),
        stroke: AnyRange = (0, 0),
        contrast: AnyRange = (100, 100),
        paper: str | PathLike[str] = "plain",
        noise: int = 0,
        invert: bool = False,
        source: str | PathLike[str] = "train",
        source_labels: str | PathLike[str] | None = None,
        source_transposed: bool = False,
        writers: str | PathLike[str] | None = None,
        glyphs: GlyphRule = "any",
        writer: WriterRule = "any",
        exclude_mislabeled: bool = False,
        pool: Pool = EVERYTHING,
        writer_pool: Pool = EVERYTHING,
        label_pool: Pool = EVERYTHING,
        seed: int | None = None,
        samples: int | None = None,
        masks: bool = False,
        transform: Transform | None = None,
    ) -> None:
        request = Request.of({name: value for name, value in locals().items() if name in options_of(Request)})
        recipe = resolved(request, origin := source_of(request))
        self._set(recipe, origin, recipe.round or DEFAULT_SAMPLES if samples is None else samples, masks)
        self.transform = transform

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, *, samples: int = DEFAULT_SAMPLES, source: Source | None = None, masks: bool = False
    ) -> Self:
        """Return the samples of a recipe; `source` gives custom glyphs or a custom background. Raises RequestError."""
        data = cls.__new__(cls)
        data._set(recipe, source or Source(recipe.source), samples, masks)
        return data

    def _set(self, recipe: Recipe, source: Source, samples: int, masks: bool) -> None:
        if masks:
            check_masks(recipe)
        check_range("`samples`", samples, 1, MAX_SAMPLES)
        super().__init__(recipe, range(samples), masks=masks)
        self._samples = samples
        self._source = source

    def epoch(self, number: int) -> Self:
        """Return the samples of epoch `number`, as many as in this one, which is epoch 0; epochs share no sample.

        Raises RequestError beyond the last sample of a recipe.
        """
        check_range("`number`", number, 0, MAX_SAMPLES // self._samples - 1)
        again, indices, shift = copy(self), self._indices, number * self._samples
        again._indices = range(indices.start + shift, indices.stop + shift, indices.step)
        return again

    def _make(self, samples: Numbers) -> Batch:
        glyphs, background = bank.load(self._source), background_image.load(self._source)
        return compose_any(self.recipe, glyphs, samples, masks=self.masks, background=background)
