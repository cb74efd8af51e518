"""Owns arrays in files: held as a whole, or left in their file, of which rows are read when they are asked for.

None is mapped: a mapped file that another program cuts ends this process with SIGBUS, and one that is read is an error.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

MAX_HELD = 128 << 20
"""Bytes of an array that is held."""

BLOCK = 4 << 20
"""Bytes of an array that are gone through at a time."""


def array_in(file: BinaryIO, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    """Return an array in a file, read-only: held up to 128 MiB, else as a `FileArray`, which has what callers use.

    Raises OSError.
    """
    if dtype.itemsize * math.prod(shape) > MAX_HELD:
        return cast("NDArray[Any]", FileArray(path, dtype, shape, offset))
    values = np.empty(shape, dtype)
    file.seek(offset)
    read_into(file, values, path)
    values.flags.writeable = False
    return values


class FileArray:
    """An array in C order at an offset in a file, read-only. Rows are selected as in NumPy, and are arrays then.

    It can be pickled and forked. Raises OSError for a file that has changed since it was first looked at.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> None:
        self.dtype, self.shape, self.ndim = dtype, shape, len(shape)
        self._path, self._offset = path, offset
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])
        self._state = _state(path.stat())

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (row for block in blocks_of(self) for row in block)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def __getitem__(self, rows: int | slice | NDArray[np.intp]) -> NDArray[Any]:
        """Return a row, or a copy of rows, by their numbers. Raises IndexError, OSError."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            out = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
            self._read([(start, out)])
            return out
        if isinstance(rows, int | np.integer):
            row: NDArray[Any] = self[np.array([rows])][0]
            return row
        numbers = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, np.intp)
        if numbers.size and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"there are {len(self)} rows")
        out = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        self._read(zip((numbers % len(self)).tolist(), out.reshape(len(out), -1), strict=True))
        return out

    def take(self, rows: NDArray[np.intp], axis: int, out: NDArray[Any], mode: str) -> None:
        """Copy rows to `out`, (n, values of a row), as NumPy's method of that name does."""
        self._read(zip(rows.tolist(), out, strict=True))

    def reshape(self, *shape: int) -> FileArray:
        """Return the same rows, each in one dimension: the shape is (n, -1)."""
        assert shape == (len(self), -1)
        return FileArray(self._path, self.dtype, (len(self), math.prod(self.shape[1:])), self._offset)

    def max(self) -> Any:
        """Return the largest value."""
        return max(block.max() for block in blocks_of(self))

    def _read(self, runs: Any) -> None:
        with self._path.open("rb", 0) as file:
            if _state(os.fstat(file.fileno())) != self._state:
                raise OSError(errno.EIO, "it was changed while it was read", str(self._path))
            for row, out in runs:
                file.seek(self._offset + row * self._row_bytes)
                read_into(file, out, self._path)


def _state(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def read_into(file: BinaryIO, out: NDArray[Any], path: Path) -> None:
    """Fill a contiguous array with the next bytes of a file. Raises OSError where these are too few."""
    left = out.reshape(-1).view(np.uint8).data
    while left:
        if not (count := file.readinto(left)):  # type: ignore[attr-defined]
            raise OSError(errno.EIO, "it was cut while it was read", str(path))
        left = left[count:]


def blocks_of(array: NDArray[Any] | FileArray) -> Iterator[NDArray[Any]]:
    """Yield an array some rows at a time."""
    size = max(1, BLOCK // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
    return (array[first : first + size] for first in range(0, len(array), size))
