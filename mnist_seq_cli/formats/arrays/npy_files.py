"""Owns the format `npy`: a NumPy file for each array, `images.npy`, `labels.npy` …, which `numpy.load` can map.

A shard is a run of rows a file; the files are these, one behind the other, after a header (NumPy Enhancement
Proposal 1).
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator

import numpy as np

from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.formats.arrays.columns import Column, ColumnReader, arrays_in, arrays_of, bytes_of, read_texts
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener, Part
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec


class NpyFiles(Format):
    """Files of one array each."""

    NAME = "npy"
    HUB_FILES = ("*.npy",)
    READ = r"\.npy"
    SEPARABLE = False
    MASKS = RANDOM_ACCESS = True
    COMPRESSION = "fast"

    def joined(self, spec: Spec) -> tuple[str, ...]:
        return tuple(column.file_name for column in _columns(spec))

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        """Yield the shard's rows of each array: the images as they come, and the others, which are small, after."""
        first, *others = _columns(spec)
        kept = {column.file_name: list[bytes]() for column in others}

        def images() -> Iterator[bytes]:
            for batch in batches:
                pixels, *rest = arrays_of(spec, batch)
                for column, rows in zip(others, rest, strict=True):
                    kept[column.file_name].append(bytes(bytes_of(rows, column.dtype)))
                yield bytes(bytes_of(pixels, first.dtype))

        yield File(self.part_name(spec, first.file_name, shard), images())
        for name, pieces in kept.items():
            yield File(self.part_name(spec, name, shard), b"".join(pieces))
        return None

    def join(self, spec: Spec, name: str, parts: Iterable[Part]) -> Iterator[bytes]:
        yield from (column.header for column in _columns(spec) if column.file_name == name)
        yield from super().join(spec, name, parts)

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return ColumnReader(spec, open_file, _columns(spec))

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        return read_texts(_columns(spec), open_file)


def _columns(spec: Spec) -> list[Column]:
    """Return the arrays, each in a file of its own."""
    found = []
    for name, (dtype, shape) in arrays_in(spec).items():
        header = io.BytesIO()
        described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (spec.samples, *shape)}
        np.lib.format.write_array_header_1_0(header, described)
        content = header.getvalue()
        found.append(Column(name, f"{name}.npy", np.dtype(dtype), shape, content, len(content), spec.samples))
    return found
