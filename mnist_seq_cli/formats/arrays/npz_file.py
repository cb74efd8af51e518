"""Owns the format `npz`: one NumPy archive with `images`, `labels`, `lengths`, `glyphs`, `x`, `y`, `boxes`, `masks`.

The sizes of all arrays are known in advance, so the file gets its full size at once and every shard is written straight
to its regions of it: workers share it, and nothing is copied or held. Where nothing can be written in the middle of a
file, it is put together in the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO

from isal import isal_zlib

from mnist_seq_cli.codecs import npz
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.arrays.columns import Column, ColumnReader, arrays_in, arrays_of, bytes_of, read_texts
from mnist_seq_cli.formats.format import Checksums, Content, InPlaceFormat, Opener
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import FileSum, Region

FILE_NAME = "dataset.npz"


def layout(spec: Spec) -> list[npz.Member]:
    """Return where everything is in the archive; a function of the spec alone."""
    return npz.layout(arrays_in(spec), spec.samples)


def _columns(spec: Spec) -> list[Column]:
    return [
        Column(member.name, FILE_NAME, member.dtype, member.row_shape, member.header, member.start, member.rows)
        for member in layout(spec)
    ]


class NpzFile(InPlaceFormat):
    """One archive of all arrays."""

    NAME = "npz"
    FILE_NAME = FILE_NAME
    READ = r"\.npz"
    HUB_FILES = (FILE_NAME,)
    MASKS = RANDOM_ACCESS = True
    COMPRESSION = "fast"

    def file_size(self, spec: Spec) -> int:
        return layout(spec)[-1].end

    def write_regions(
        self, spec: Spec, shard: Shard, batches: Iterable[Batch]
    ) -> Generator[Region, None, Checksums | None]:
        members = layout(spec)
        crcs = [0] * len(members)
        for batch in batches:
            for number, (member, rows) in enumerate(zip(members, arrays_of(spec, batch), strict=True)):
                content = bytes_of(rows, member.dtype)
                crcs[number] = isal_zlib.crc32(content, crcs[number])
                yield Region(member.start + batch.first * member.row_bytes, content)
        return tuple(crcs)

    def places(self, spec: Spec, shard: Shard) -> Iterator[tuple[int, int]]:
        members = layout(spec)
        for first, stop in spans(spec.recipe, shard.first, shard.stop):
            for member in members:
                yield member.start + first * member.row_bytes, (stop - first) * member.row_bytes

    def measure_regions(self, spec: Spec, contents: Iterable[bytes]) -> Content:
        digest, size, crcs = sha256(), 0, [0] * len(arrays_in(spec))
        for number, content in enumerate(contents):
            digest.update(content)
            array = number % len(crcs)
            crcs[array] = isal_zlib.crc32(content, crcs[array])
            size += len(content)
        return Content(1, size, digest.hexdigest(), tuple(crcs))

    def complete(self, spec: Spec, parts: Iterable[tuple[Shard, Checksums]]) -> Iterator[Region]:
        members = layout(spec)
        crcs = [isal_zlib.crc32(member.header) for member in members]
        for shard, of_shard in parts:
            if len(of_shard) != len(members):
                raise FormatError(f"the record of shard {shard.number} has no checksums")
            for number, (member, crc) in enumerate(zip(members, of_shard, strict=True)):
                crcs[number] = isal_zlib.crc32_combine(crcs[number], crc, shard.samples * member.row_bytes)
        for member, crc in zip(members, crcs, strict=True):
            yield Region(member.offset, npz.before(member, crc))
        yield Region(members[-1].end, npz.after(members, crcs))

    def sum_of(self, spec: Spec, name: str, file: BinaryIO) -> FileSum:
        """Return the size of the file, and the SHA-256 of all in it that is not the values of the arrays.

        The values are summed up shard by shard; together these cover every byte.
        """
        digest, members = sha256(), layout(spec)
        for member in members:
            file.seek(member.offset)
            digest.update(file.read(member.start - member.offset))
        file.seek(members[-1].end)
        digest.update(file.read(1 << 16))
        return FileSum(file.seek(0, 2), digest.hexdigest())

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        return read_texts(_columns(spec), open_file)

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return ColumnReader(spec, open_file, _columns(spec))

    def detect(self, start: bytes) -> bool:
        return start.startswith(npz.SIGNATURE)
