"""Owns the samples of an npz or an IDX file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import npz
from mnist_seq_cli.engine.batch import ABSENT, Batch
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import texts_of
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.samples.samples import LABELS_AT_ONCE, Samples
from mnist_seq_cli.samples.sources.listed import facts_of, recipe_beside
from mnist_seq_cli.samples.strip import NO_GAP, Labels, NamedImage, Strip, strip_of
from mnist_seq_cli.storage import local

_DIMENSIONS = {"images": 3, "labels": 2, "lengths": 1, "glyphs": 2, "x": 2, "boxes": 3, "gaps": 2}


class Arrays(Samples):
    """Images in an array, and what is known of them in others, or nothing."""

    array: NDArray[Any]
    _white_ink: bool | None = None
    """Whether ink is white; None where images say so themselves."""

    def __init__(self, path: Path, format_name: str | None = None) -> None:
        self.path = path
        self._source, self._gap, invert = facts_of(recipe_beside(path.parent, format_name))
        self._white_ink = self._white_ink if invert is None else invert

    @property
    def source(self) -> str:
        """The name of the bank that glyph ids are of; empty where that is not known."""
        return self._source

    @property
    def _known(self) -> dict[str, NDArray[Any]]:
        """The arrays beside the images, by the names that they have in a batch."""
        return {}

    def __len__(self) -> int:
        return len(self.array) if _are_images(self.array) else 0

    def _batch(self, first: int, stop: int) -> Batch:
        count, others = stop - first, self._known
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
        known = (sizes, glyphs, x, np.zeros_like(x), boxes, widths)
        return Batch(first, digits.astype(np.uint8), *known, images=images)

    def _gaps(self, batch: Batch) -> NDArray[np.int32]:
        count, length = batch.digits.shape
        gaps = np.full((count, length - 1), self._gap, dtype=np.int32)
        if "gaps" in self._known:
            listed = self._known["gaps"][batch.first : batch.first + count]
            gaps[:] = np.where(np.abs(listed.astype(np.float64)) < -NO_GAP, listed, NO_GAP)
        gaps[np.arange(1, length) >= batch.lengths[:, None]] = NO_GAP
        return gaps

    def labels(self) -> Iterator[Labels]:
        """Yield what is known."""
        for first in range(0, len(self), LABELS_AT_ONCE):
            batch = self._batch(first, min(first + LABELS_AT_ONCE, len(self)))
            texts: list[str | None] = [None] * len(batch)
            if "labels" in self._known:
                texts = list(texts_of(batch))
            yield Labels(first, texts, batch.glyphs, self._gaps(batch))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images."""
        for number in numbers:
            batch = self._batch(number, number + 1)
            (gaps,) = self._gaps(batch)
            strip = strip_of(batch, 0, number, gaps, invert=self._white_ink, glyph_width=self.glyph_width)
            yield strip if "labels" in self._known else Strip(number, "", strip.image, None)

    def images(self) -> Iterator[NamedImage]:
        """Yield the images as they are stored."""
        for number in range(len(self)):
            yield NamedImage(str(self.path / f"{number:08d}"), np.array(self.array[number]))


class IdxFile(Arrays):
    """The array in an IDX file; it has no samples where that is not images. These are white on black, as MNIST's are.

    Raises FormatError, OSError.
    """

    kind = "idx"
    _white_ink = True

    def __init__(self, path: Path) -> None:
        super().__init__(path, "idx")
        self.array = idx.read(path)


class NpzFile(Arrays):
    """The arrays of an npz file that are stored as they are, mapped; with nothing believed that the file says.

    Raises FormatError for one without images; when labels are asked for, for arrays that do not fit one another.
    """

    kind = "npz"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        images = self._read("images").get("images")
        if images is None or not _are_images(images) or 0 in images.shape:
            raise FormatError(f"{path} is not an npz file as we write them: it has no images of bytes")
        self.array = images

    def _read(self, *names: str) -> dict[str, NDArray[Any]]:
        with local.open_regular(self.path) as file:
            return npz.arrays_in(file, str(self.path), {name: _DIMENSIONS[name] for name in names})

    @cached_property
    def _known(self) -> dict[str, NDArray[Any]]:
        """The arrays beside the images: labels, lengths, glyphs, x, boxes and gaps, as far as there are any."""
        arrays = self._read(*(_DIMENSIONS.keys() - {"images"}))
        shape = arrays["labels"].shape if "labels" in arrays else None
        fits = all(len(array) == len(self.array) for array in arrays.values()) and all(
            arrays[name].shape == shape for name in ("glyphs", "x") if name in arrays
        )
        fits = fits and ("boxes" not in arrays or arrays["boxes"].shape == (*(shape or ()), 4))
        fits = fits and ("gaps" not in arrays or (shape is not None and arrays["gaps"].shape[1] == shape[1] - 1))
        kinds = all(array.dtype.kind in "iu" for array in arrays.values())
        if not fits or not kinds or (shape is not None and not 0 < shape[1] <= MAX_LENGTH):
            raise FormatError(f"{self.path} is not an npz file as we write them: its arrays do not fit one another")
        return arrays


def _are_images(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.dtype == np.uint8
