"""Owns the Python interface of MNIST-Sequence (2018), for code that was written for it.

As in the original, images are float32 in [0, 1], 28 rows high, 0 for ink and 1 for background, and the glyphs come from
MNIST's test file. Every call gives new images, unless there is a `seed`, which the original did not have.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.inputs import open_named
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.canvas import resolve_layout
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.options.sequences import Sequences
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.storage import local

_SOURCE = Source("test")

_NOT_NPY = (ValueError, TypeError, EOFError, OverflowError, MemoryError, RecursionError, TokenError)
"""The errors that NumPy raises for an invalid file."""


class MNIST_Sequence_API:  # noqa: N801 (the name in the original)
    """Digit sequences with the interface of the original project. `seed` makes the calls of an object reproducible."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._calls = 0

    def generate_mnist_sequence(
        self, digits: Iterable[int], spacing_range: tuple[int, int], image_width: int
    ) -> NDArray[np.float32]:
        """Return one image of `digits`: float32 (28, image_width), 0 ink to 1 background.

        The gap is `(image_width - L*28) / (L-1)` px, and has to be a whole number within `spacing_range` (inclusive).
        Raises RequestError, a ValueError, if it is not, or for digits outside 0 to 9.
        """
        sequence = tuple(int(digit) for digit in digits)
        lowest, highest = spacing_range
        layout = resolve_layout(len(sequence), min_gap=lowest, max_gap=highest, width=image_width)
        return _as_floats(self._sample(len(sequence), (sequence,), 1, layout.width).images[0])

    def generate_data(
        self, num_samples: int, seq_len: int, spacing_range: tuple[int, int] = (0, 0)
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return `num_samples` images of random sequences of `seq_len` touching digits, and the digits.

        Images are float32 (num_samples, 28, seq_len * 28), 0 ink to 1 background; digits are uint8
        (num_samples, seq_len). As in the original, that width leaves room only for gaps of 0 px, which `spacing_range`
        has to allow. Raises RequestError if it does not, and for impossible numbers.
        """
        if num_samples < 1:
            raise RequestError(f"{num_samples} samples were asked for", hint="ask for 1 or more")
        lowest, highest = spacing_range
        if seq_len > 1 and not lowest <= 0 <= highest:
            raise RequestError(
                f"digits touch in {28 * seq_len} px, and gaps of {lowest} to {highest} px were asked for",
                hint=f"SequenceDataset(length={seq_len}, min_gap={lowest}, max_gap={highest}) has them",
            )
        batch = self._sample(seq_len, (), num_samples, None)
        return _as_floats(batch.images), batch.digits

    def save_image(self, image: ArrayLike, digits: Iterable[int], directory: str | PathLike[str] = ".") -> Path:
        """Write an image, floats from 0 to 1 or uint8, as `1-2-3.png` in `directory`, and return its path.

        Raises RequestError, a ValueError, for anything but an image and digits; OSError.
        """
        values = np.asarray(image)
        if values.ndim != 2 or values.size == 0:
            raise RequestError(f"an image has two dimensions, and this array has the shape {values.shape}")
        pixels = _as_bytes(values)
        path = Path(directory) / f"{format_sequence(int(digit) for digit in digits)}.png"
        local.write_whole(path, png.encode(pixels[None])[0])
        return path

    def save_array(self, array: ArrayLike, path: str | PathLike[str]) -> Path:
        """Write an array as an npy file, instead of the original's bcolz, and return its path.

        Raises ValueError for an array of Python objects, OSError.
        """
        target = Path(path)
        content = io.BytesIO()
        np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
        local.write_whole(target, content.getvalue())
        return target

    def load_array(self, path: str | PathLike[str]) -> NDArray[Any]:
        """Return the array in an npy file. Raises FormatError for anything else, OSError."""
        with open_named(path) as file:
            try:
                loaded: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            except _NOT_NPY as error:
                reason = one_line(str(error) or type(error).__name__, 120)
                raise FormatError(f"{fspath(path)} is not an npy file ({reason})") from None
        return loaded

    def _sample(self, length: int, sequences: tuple[tuple[int, ...], ...], count: int, width: int | None) -> Batch:
        written = Sequences.of(sequences)
        request = Request(seed=self._seed, length=length, sequences=written, width=width, source=_SOURCE.name)
        recipe = resolve(request, bank.load(_SOURCE).facts)
        first, self._calls = self._calls, self._calls + count
        return compose(recipe, bank.load(_SOURCE), first, first + count)


def _as_floats(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.divide(images, 255, dtype=np.float32)


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return grey levels 0 to 255 for uint8, or floats and truth values from 0 to 1. Raises RequestError."""
    if values.dtype == np.uint8:
        return values
    allowed = "floats from 0 to 1, or uint8 from 0 to 255"
    if values.dtype.kind not in "fb":
        raise RequestError(f"the image has values of type {values.dtype}", hint=f"give {allowed}")
    levels = np.rint(values.astype(np.float64) * 255)
    if not ((levels >= 0) & (levels <= 255)).all():  # nor is anything that is not a number
        raise RequestError(f"the image has values from {values.min():g} to {values.max():g}", hint=f"give {allowed}")
    return levels.astype(np.uint8)


def generate_numbers_sequence(
    digits: Sequence[int], spacing_range: tuple[int, int], image_width: int, *, seed: int | None = None
) -> NDArray[np.float32]:
    """Return one image of `digits`: float32 (28, image_width), 0 ink to 1 background.

    The same as `MNIST_Sequence_API.generate_mnist_sequence`, in one call. Raises RequestError.
    """
    return MNIST_Sequence_API(seed).generate_mnist_sequence(digits, spacing_range, image_width)
