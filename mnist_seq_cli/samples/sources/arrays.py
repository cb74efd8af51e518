"""Owns the samples of an npz or an IDX file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import npz
from mnist_seq_cli.engine.batch import ABSENT, Batch
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import texts_of
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.collection import CHUNK, Collection, facts_of, recipe_beside
from mnist_seq_cli.samples.strip import NO_GAP, Rows, Strip, strips_of
from mnist_seq_cli.storage import local


class Arrays(Collection):
    """Images in an array, with labels and glyphs beside them or without: an npz file, or an IDX file.

    Has no samples where the array of an IDX file is not images. `recipe` is the one that stands beside the file.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        array: NDArray[Any],
        others: dict[str, NDArray[Any]] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.kind = kind
        self.path, self.array = path, array
        self._others = others or {}
        self.source, self._gap, self._invert = facts_of(recipe)

    def __len__(self) -> int:
        return len(self.array) if is_images(self.array) else 0

    def _batch(self, first: int, stop: int) -> Batch:
        count, others = stop - first, self._others
        length = others["labels"].shape[1] if "labels" in others else 1
        absent = np.full((count, length), ABSENT, dtype=np.int32)
        digits = np.array(others["labels"][first:stop]) if "labels" in others else np.zeros((count, 1), np.uint8)
        sizes = np.array(others["lengths"][first:stop]) if "lengths" in others else np.full(count, length, np.int32)
        glyphs, x = (np.array(others[name][first:stop]) if name in others else absent for name in ("glyphs", "x"))
        is_wrong = digits.min() < 0 or digits.max() > 9 or sizes.min() < 1 or sizes.max() > length
        if "labels" in others and is_wrong:
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")
        boxes = np.array(others["boxes"][first:stop]) if "boxes" in others else np.stack([absent] * 4, axis=2)
        images = np.asarray(self.array[first:stop])
        widths = np.full(count, images.shape[2], dtype=np.int32)
        places = (sizes, glyphs, x, np.zeros_like(x), boxes, widths)
        return Batch(first, digits.astype(np.uint8), *places, images=images)

    def _gaps(self, batch: Batch) -> NDArray[np.int32]:
        count, length = batch.digits.shape
        gaps = np.full((count, length - 1), self._gap, dtype=np.int32)
        if "gaps" in self._others:
            listed = self._others["gaps"][batch.first : batch.first + count]
            gaps[:] = np.where(np.abs(listed.astype(np.float64)) < -NO_GAP, listed, NO_GAP)
        gaps[np.arange(1, length) >= batch.lengths[:, None]] = NO_GAP
        return gaps

    def rows(self) -> Iterator[Rows]:
        """Yield what stands beside the images."""
        for first in range(0, len(self), CHUNK):
            batch = self._batch(first, min(first + CHUNK, len(self)))
            texts: list[str | None] = [None] * len(batch)
            if "labels" in self._others:
                texts = list(texts_of(batch))
            yield Rows(first, texts, batch.glyphs, self._gaps(batch))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, as the recipe tells; without one those of IDX files are white on black, others as they look."""
        invert = True if self.kind == "idx" and self._invert is None else self._invert
        for number in numbers:
            batch = self._batch(number, number + 1)
            (strip,) = strips_of(batch, [number], self._gaps(batch), invert=invert, glyph_width=self.glyph_width)
            yield strip if "labels" in self._others else Strip(number, "", strip.image, None)


def is_images(array: NDArray[Any]) -> bool:
    """Return whether an array is images of bytes."""
    return array.ndim == 3 and array.dtype == np.uint8


def archive(path: Path) -> Arrays:
    """Return the arrays of an npz file that is stored as it is, mapped; with nothing believed that the file says.

    Raises FormatError for anything that is not images with labels, lengths, glyphs and x beside them or without.
    """
    dimensions = {"images": 3, "labels": 2, "lengths": 1, "glyphs": 2, "x": 2, "boxes": 3, "gaps": 2}
    with local.open_regular(path) as file:
        arrays = npz.arrays_in(file, str(path), dimensions)
    if "images" not in arrays or not is_images(arrays["images"]) or 0 in arrays["images"].shape:
        raise FormatError(f"{path} is not an npz file as we write them: it has no images of bytes")
    images, shape = arrays.pop("images"), arrays["labels"].shape if "labels" in arrays else None
    fits = all(len(array) == len(images) for array in arrays.values()) and all(
        arrays[name].shape == shape for name in ("glyphs", "x") if name in arrays
    )
    fits = fits and ("boxes" not in arrays or arrays["boxes"].shape == (*(shape or ()), 4))
    fits = fits and ("gaps" not in arrays or (shape is not None and arrays["gaps"].shape[1] == shape[1] - 1))
    kinds = all(array.dtype.kind in "iu" for array in arrays.values())
    if not fits or not kinds or (shape is not None and not 0 < shape[1] <= MAX_LENGTH):
        raise FormatError(f"{path} is not an npz file as we write them: its arrays do not fit one another")
    return Arrays("npz", path, images, arrays, recipe_beside(path.parent))
