"""Owns samples as arrays: what they show, with the pixels or without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.recipe.recipe import Recipe

PAPER, INK = 255, 0

ABSENT = -1
"""Glyph id, edges and box of positions beyond the length of a sequence."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """What samples `first` to `first` + n show, without the pixels.

    `digits` uint8 (n, length), padded with 0; `lengths` int32 (n,), how many of them count; `glyphs` int32
    (n, length), ids; `x` and `y` int32 (n, length), left and top edges of the glyphs' boxes in px; `boxes` int32
    (n, length, 4), where their ink is, as x, y, width and height in px; `widths` int32 (n,), of the images in px.
    Glyphs, edges and boxes are padded with -1. `sampled` holds what else was sampled, by name: arrays of n rows.
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

    def __len__(self) -> int:
        return len(self.digits)


ARRAYS = ("digits", "lengths", "glyphs", "x", "y", "boxes", "widths")
"""The arrays of Annotations, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Annotations):
    """Samples `first` to `first` + n: their annotations, and `images` uint8 (n, height, width).

    `masks`, where they were asked for, have the shape of the images: which glyph, counted from 1, a pixel is of.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None = field(default=None, kw_only=True)

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
        rows: dict[str, Any] = {name: getattr(self, name)[start:stop] for name in (*ARRAYS, "images")}
        sampled = {name: values[start:stop] for name, values in self.sampled.items()}
        masks = None if self.masks is None else self.masks[start:stop]
        return Batch(self.first + start, **rows, sampled=sampled, masks=masks)


def sampled_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names in `Annotations.sampled`: what differs from sample to sample, beside glyphs and boxes."""
    return (*(["gaps"] if recipe.min_gap < recipe.max_gap else []), *recipe.sampled_ranges)


def nothing(recipe: Recipe, first: int, *, masks: bool = False) -> Batch:
    """Return no samples, in the shape of those that the recipe makes."""
    ids, numbers = np.empty((0, recipe.length), dtype=np.int32), np.empty(0, dtype=np.int32)
    boxes = np.empty((0, recipe.length, 4), dtype=np.int32)
    images = np.empty((0, recipe.height, recipe.width), dtype=np.uint8)
    annotations = (ids.astype(np.uint8), numbers, ids, ids, ids, boxes, numbers)
    return Batch(first, *annotations, images, masks=images if masks else None)


def joined(batches: list[Batch]) -> Batch:
    """Return one batch with the samples of all, of which there is at least one."""
    if len(batches) == 1:
        return batches[0]
    names = (*ARRAYS, "images")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names}
    sampled = {name: np.concatenate([batch.sampled[name] for batch in batches]) for name in batches[0].sampled}
    masks = [batch.masks for batch in batches if batch.masks is not None]
    return Batch(batches[0].first, **arrays, sampled=sampled, masks=np.concatenate(masks) if masks else None)
