"""Owns which arrays a dataset is, how they lie in files, and how rows of them are read: what npz and npy share."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import ABSENT, Annotations, Batch, sampled_names
from mnist_seq_cli.engine.compose import annotate, compose_any
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Opener
from mnist_seq_cli.formats.rows import FRACTIONS, checked
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import identity

_CHUNK = 10_000
_HELD = 8 << 20
"""Bytes of the largest array that is held: all but pixels, of 100,000 samples of four digits."""


def arrays_in(spec: Spec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the dtype of each array of a dataset, and the shape of a row, by name."""
    recipe = spec.recipe
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {
        "images": ("u1", (recipe.height, recipe.width)),
        "labels": ("u1", (recipe.length,)),
        "lengths": ("<i4", ()),
        "glyphs": ("<i4", (recipe.length,)),
        "x": ("<i4", (recipe.length,)),
        "y": ("<i4", (recipe.length,)),
        "boxes": ("<i4", (recipe.length, 4)),
    }
    shapes: dict[str, tuple[int, ...]] = {"gaps": (recipe.length - 1,), "contrast": (), "writer": ()}
    for name in sampled_names(recipe):
        arrays[name] = "<f4" if name in FRACTIONS else "<i4", shapes.get(name, (recipe.length,))
    if recipe.operands:
        arrays |= {"operands": ("<i8", (recipe.operands,)), "sum": ("<i8", ())}
    if spec.masks:
        arrays["masks"] = arrays["images"]
    return arrays


def arrays_of(spec: Spec, batch: Batch) -> tuple[NDArray[Any], ...]:
    """Return the arrays of a batch, in the order of `arrays_in`."""
    found: list[NDArray[Any]] = [batch.images, batch.digits, batch.lengths, batch.glyphs, batch.x, batch.y, batch.boxes]
    found += batch.sampled.values()
    if spec.recipe.operands:
        operands = batch.operands(spec.recipe.operands)
        found += [operands, operands.sum(axis=1)]
    return (*found, *([] if batch.masks is None else [batch.masks]))


def bytes_of(rows: NDArray[Any], dtype: np.dtype[Any]) -> memoryview:
    """Return the bytes of rows of an array, as they are in a file."""
    return np.ascontiguousarray(rows, dtype=dtype).reshape(-1).view(np.uint8).data


def places_of(spec: Spec, samples: Numbers, digits: NDArray[np.uint8]) -> dict[str, Any]:
    """Return glyphs, edges, boxes and what was sampled, by the recipe, of samples of which only digits are stored.

    Where it has custom glyphs they are -1, and nothing is known of what was sampled.
    """
    names, recipe = ("glyphs", "x", "y", "boxes"), spec.recipe
    if recipe.source in BUNDLED_SOURCES:
        glyphs = bank.load(Source(recipe.source))
        known: Annotations
        if isinstance(samples, range):
            known = annotate(recipe, glyphs, samples.start, samples.stop)
        else:
            known = compose_any(recipe, glyphs, samples)
        return {name: getattr(known, name) for name in (*names, "sampled")}
    unknown = np.full(digits.shape, ABSENT, dtype=np.int32)
    return {name: np.repeat(unknown[:, :, None], 4, axis=2) if name == "boxes" else unknown for name in names}


class Column(NamedTuple):
    """An array in a file: its `header` ends, in bytes, at `start`, where its `rows` begin."""

    name: str
    file_name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    header: bytes
    start: int
    rows: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.row_shape) * self.dtype.itemsize

    def check(self, file: BinaryIO) -> None:
        """Raise FormatError unless a file has the array where it belongs."""
        size = file.seek(0, 2)
        file.seek(self.start - len(self.header))
        if file.read(len(self.header)) != self.header or size < self.start + self.rows * self.row_bytes:
            raise FormatError(
                f"{self.file_name} is not the file that the recipe makes: its {self.name} are not where they belong"
            )

    def run(self, file: BinaryIO, first: int, count: int) -> NDArray[Any]:
        """Return `count` rows, from `first` on. Raises FormatError, OSError."""
        rows = np.empty((count, *self.row_shape), self.dtype)
        self._fill(file, first, rows)
        return rows

    def any_rows(self, file: BinaryIO, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return rows by their numbers. Raises FormatError, OSError."""
        found = np.empty((len(numbers), *self.row_shape), self.dtype)
        for place, number in enumerate(numbers.tolist()):
            self._fill(file, number, found[place : place + 1])
        return found

    def _fill(self, file: BinaryIO, first: int, rows: NDArray[Any]) -> None:
        file.seek(self.start + first * self.row_bytes)
        if file.readinto(rows) != rows.nbytes:  # type: ignore[attr-defined]  # which the files of io all have
            raise FormatError(f"{self.file_name} ends too early")


def read_texts(columns: Sequence[Column], open_file: Opener) -> Iterator[str]:
    """Yield the sequence of each sample as plain text. Raises FormatError, OSError."""
    with ExitStack() as stack:
        needed = [column for column in columns if column.name in ("labels", "lengths")]
        known = [(column, stack.enter_context(open_file(column.file_name))) for column in needed]
        for column, file in known:
            column.check(file)
        rows = columns[0].rows
        for first in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - first)
            labels, lengths = (column.run(file, first, count).tolist() for column, file in known)
            for digits, length in zip(labels, lengths, strict=True):
                yield "".join(map(str, digits[:length]))


class ColumnReader:
    """Reads rows at their offsets; arrays that are small are read whole when the first scattered rows are, and held."""

    def __init__(self, spec: Spec, open_file: Opener, columns: Sequence[Column]) -> None:
        self._spec, self._open_file, self._columns = spec, open_file, columns
        self._checked: dict[str, tuple[Hashable, dict[str, NDArray[Any]]]] = {}
        """By file, its identity when it was checked, and the arrays of it that are held."""

    def read(self, samples: Numbers) -> Batch:
        """Return samples. Raises FormatError, OSError."""
        here: dict[str, Any] = {}
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for column in self._columns:
                name = column.file_name
                if column.name in ("operands", "sum"):
                    continue  # which follow from the digits
                if name not in files:
                    files[name] = stack.enter_context(self._open_file(name))
                here[column.name] = self._rows(column, files[name], samples)
        known = {name: here.pop(name) for name in ("images", "lengths", "glyphs", "x", "y", "boxes")}
        known |= {"digits": here.pop("labels"), "masks": here.pop("masks", None)}
        here |= {name: here[name].astype(np.float64).round(2) for name in FRACTIONS if name in here}
        widths = np.full(len(samples), self._spec.recipe.width, dtype=np.int32)
        chosen = None if isinstance(samples, range) else samples
        name = self._columns[0].file_name
        return checked(Batch(int(samples[0]), widths=widths, **known, sampled=here, chosen=chosen), name)

    def _rows(self, column: Column, file: BinaryIO, samples: Numbers) -> NDArray[Any]:
        identified = identity(file)
        before, held = self._checked.get(column.file_name, (None, {}))
        if before is None or before != identified:
            for each in self._columns:
                if each.file_name == column.file_name:
                    each.check(file)
            held = {}
            self._checked[column.file_name] = identified, held
        if isinstance(samples, range):
            return column.run(file, samples.start, len(samples))
        if column.rows * column.row_bytes > _HELD:
            return column.any_rows(file, samples)
        if column.name not in held:
            held[column.name] = column.run(file, 0, column.rows)
        return held[column.name][samples]
