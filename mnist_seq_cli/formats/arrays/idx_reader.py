"""Owns how IDX files of a dataset are called, and how rows of them are read: from front to end, or from memory."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import ARRAYS, Batch
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Opener
from mnist_seq_cli.formats.reader import Reader, ShardReader
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec

_CHUNK = 10_000
_HELD = idx.MAX_INFLATED


def files_of(spec: Spec) -> dict[str, str]:
    """Return the name of each file by what it has: images, labels, lengths and masks."""
    before, after = "", ".gz"
    if spec.names.startswith("mnist-"):
        before, after = f"{spec.names.removeprefix('mnist-')}-", ""
    kinds = {"images": 3, "labels": 1} if spec.names else {"images": 3, "labels": 2, "lengths": 1}
    kinds |= {"masks": 3} if spec.masks else {}
    return {kind: f"{before}{kind}-idx{dimensions}-ubyte{after}" for kind, dimensions in kinds.items()}


def shape_of(spec: Spec, name: str) -> tuple[int, ...]:
    """Return the shape of what a file holds."""
    recipe = spec.recipe
    (dimensions,) = (int(part[3]) for part in name.split("-") if part.startswith("idx"))
    return {1: (spec.samples,), 2: (spec.samples, recipe.length), 3: (spec.samples, recipe.height, recipe.width)}[
        dimensions
    ]


def any_rows(spec: Spec, read: Callable[[Shard], Iterator[Batch]]) -> Reader:
    """Return what reads any samples, where `read` reads a run of them; nothing is read yet."""
    size = sum(int(np.prod(shape_of(spec, name), dtype=np.int64)) for name in files_of(spec).values())
    return _Whole(spec.samples, read) if size <= _HELD else _Parts(spec, size, read)


class _Whole:
    """Holds all samples, as far as they were asked for: read from front to end, at least twice as many each time."""

    def __init__(self, samples: int, read: Callable[[Shard], Iterator[Batch]]) -> None:
        self._samples, self._read, self._done = samples, read, 0
        self._held: dict[str, NDArray[Any]] = {}
        self._sampled: dict[str, NDArray[Any]] = {}

    def read(self, samples: Numbers) -> Batch:
        last = samples[-1] if isinstance(samples, range) else int(samples.max())
        if last >= self._done:
            self._fill(self._done, min(max(last + 1, 2 * self._done, _CHUNK), self._samples))
        rows, chosen = as_array(samples), None if isinstance(samples, range) else samples
        arrays, sampled = (
            {name: values[rows] for name, values in held.items()} for held in (self._held, self._sampled)
        )
        return Batch(int(samples[0]), **arrays, sampled=sampled, chosen=chosen)

    def _fill(self, done: int, stop: int) -> None:
        for batch in self._read(Shard(0, done, stop)):
            rows = slice(batch.first, batch.first + len(batch))
            names = (*ARRAYS, "images", *([] if batch.masks is None else ["masks"]))
            for held, found in (
                (self._held, {name: getattr(batch, name) for name in names}),
                (self._sampled, batch.sampled),
            ):
                for name, values in found.items():
                    if name not in held:
                        held.setdefault(name, np.empty((self._samples, *values.shape[1:]), values.dtype))
                    held[name][rows] = values
        self._done = stop


class _Parts(ShardReader):
    """Holds a shard at a time, of what is too large to be held."""

    def __init__(self, spec: Spec, size: int, read: Callable[[Shard], Iterator[Batch]]) -> None:
        super().__init__(spec.plan, read)
        self._size, self._limit = size, spec.samples * _HELD // size

    def read(self, samples: Numbers) -> Batch:
        if not isinstance(samples, range) and np.ptp(samples) >= self._limit:
            raise FormatError(
                f"these samples are too far apart to be read at once: inflated, all are {self._size >> 20} MiB, and"
                f" {_HELD >> 20} MiB at most are held",
                hint="read them in order, or take the format npz",
            )
        return super().read(samples)


class ArrayFile:
    """One of the files, read from front to end a few rows at a time."""

    def __init__(self, file: BinaryIO, name: str, shape: tuple[int, ...]) -> None:
        self._file = file
        self._name = name
        self._row_shape = shape[1:]
        self._row_bytes = int(np.prod(self._row_shape, dtype=np.int64))
        header = idx.encode_header(np.dtype(np.uint8), shape)
        if self._read(len(header)) != header:
            raise FormatError(f"{name} does not hold {'×'.join(map(str, shape))} values, as the recipe makes them")

    def skip(self, count: int) -> None:
        """Pass over `count` rows. Raises FormatError, OSError."""
        left = count * self._row_bytes
        while left:
            left -= len(self._read(min(left, 1 << 20)))

    def rows(self, count: int) -> NDArray[np.uint8]:
        """Return the next `count` rows: uint8 (count, …). Raises FormatError, OSError."""
        content = self._read(count * self._row_bytes)
        return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(count, *self._row_shape)

    def end(self) -> None:
        """Check that this was all, and that it is what its checksum says. Raises FormatError, OSError."""
        if self._some(1):
            raise FormatError(f"{self._name} goes on where it should end")

    def _read(self, size: int) -> bytes:
        content = self._some(size)
        if len(content) != size:
            raise FormatError(f"{self._name} ends too early")
        return content

    def _some(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (EOFError, isal_zlib.error, gzip.BadGzipFile) as error:  # type: ignore[misc]  # its stub takes the class for an exception
            raise FormatError(f"{self._name} is damaged ({error})") from None


@contextmanager
def opened(open_file: Opener, name: str, spec: Spec) -> Iterator[ArrayFile]:
    """Open one of the files, at its first row. Raises FormatError, OSError."""
    with open_file(name) as file:
        if not name.endswith(".gz"):
            yield ArrayFile(file, name, shape_of(spec, name))
            return
        with igzip.open(file) as inflated:  # type: ignore[no-untyped-call]
            yield ArrayFile(inflated, name, shape_of(spec, name))
