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
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.samples.samples import LABELS_AT_ONCE, Samples
from mnist_seq_cli.samples.sources.listed import facts_of, recipe_beside
from mnist_seq_cli.samples.strip import NO_GAP, Labels, NamedImage, Strip, strip_of
from mnist_seq_cli.storage import local

_DIMENSIONS = {"images": 3, "labels": 2, "lengths": 1, "glyphs": 2, "x": 2, "boxes": 3, "gaps": 2}


class Arrays(Samples):
    """Images in an array, and their annotations in others, as far as these exist."""

    array: NDArray[Any]
    _white_ink: bool | None = None
    """Whether ink is white; None where images say so themselves."""

    def __init__(self, path: Path, format_name: str | None = None) -> None:
        self.path = path
        self.source, self._gap, invert = facts_of(recipe_beside(path.parent, format_name))
        if invert is not None:
            self._white_ink = invert

    @property
    def _known(self) -> dict[str, NDArray[Any]]:
        """The arrays beside the images."""
        return {}

    def __len__(self) -> int:
        return len(self.array) if _are_images(self.array) else 0

    def _batch(self, first: int, stop: int) -> Batch:
        count, known = stop - first, {name: np.array(array[first:stop]) for name, array in self._known.items()}
        images, digits = np.asarray(self.array[first:stop]), known.get("labels", np.zeros((count, 1), np.uint8))
        length = digits.shape[1]
        lengths = known.get("lengths", np.full(count, length, np.int32))
        is_wrong = digits.min() < 0 or digits.max() > 9 or lengths.min() < 1 or lengths.max() > length
        if "labels" in known and is_wrong:
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")
        absent = np.full((count, length), ABSENT, dtype=np.int32)
        glyphs, x = known.get("glyphs", absent), known.get("x", absent)
        boxes = known.get("boxes", np.full((count, length, 4), ABSENT, dtype=np.int32))
        widths = np.full(count, images.shape[2], dtype=np.int32)
        gaps = np.full((count, length - 1), self._gap, dtype=np.int32)
        if "gaps" in known:
            gaps[:] = np.where(np.abs(known["gaps"].astype(np.float64)) < -NO_GAP, known["gaps"], NO_GAP)
        gaps[np.arange(1, length) >= lengths[:, None]] = NO_GAP
        digits, y = digits.astype(np.uint8), np.zeros_like(x)
        return Batch(first, digits, lengths, glyphs, x, y, boxes, widths, images, sampled={"gaps": gaps})

    def labels(self) -> Iterator[Labels]:
        for first in range(0, len(self), LABELS_AT_ONCE):
            batch = self._batch(first, min(first + LABELS_AT_ONCE, len(self)))
            texts: list[str | None] = [*batch.texts] if "labels" in self._known else [None] * len(batch)
            yield Labels(first, texts, batch.glyphs, batch.sampled["gaps"])

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for number in numbers:
            batch = self._batch(number, number + 1)
            (gaps,) = batch.sampled["gaps"]
            strip = strip_of(batch, 0, number, gaps, invert=self._white_ink, glyph_width=self.glyph_width)
            yield strip if "labels" in self._known else Strip(number, "", strip.image, None)

    def images(self) -> Iterator[NamedImage]:
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
    """The arrays of an npz file that are stored uncompressed; with nothing believed that the file says.

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
        count, length = arrays["labels"].shape if "labels" in arrays else (len(self.array), -1)
        sequences = (count, length)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("glyphs", "x"), sequences)
        shapes |= {"boxes": (*sequences, 4), "gaps": (count, length - 1)}
        fit = count == len(self.array) and all(
            array.dtype.kind in "iu" and array.shape == shapes.get(name, (count, *array.shape[1:]))
            for name, array in arrays.items()
        )
        if not fit or ("labels" in arrays and not 0 < length <= MAX_LENGTH):
            raise FormatError(f"{self.path} is not an npz file as we write them: its arrays do not fit one another")
        return arrays


def _are_images(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.dtype == np.uint8
