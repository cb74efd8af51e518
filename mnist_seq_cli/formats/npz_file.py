"""Owns the format `npz`: one NumPy archive with `images`, `labels`, `lengths`, `glyphs`, `x`, `y`, `boxes`, `masks`.

The sizes of all arrays are known in advance, so the file gets its full size at once and every shard is written straight
to its regions of it: workers share it, and nothing is copied or held.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Iterator
from hashlib import sha256
from typing import Any, BinaryIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs import npz
from mnist_seq_cli.engine.batch import Batch, sampled_names
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, Content, InPlaceFormat, Opener
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import checked
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import FileSum, Region, identity

FILE_NAME = "dataset.npz"

_CHUNK = 10_000
_HELD = 8 << 20
"""Bytes of the largest array that is held: all but pixels, of 100,000 samples of four digits."""

_FRACTIONS = {"slant", "rotate", "scale"}


def layout(spec: Spec) -> list[npz.Member]:
    """Return where everything is in the archive; a function of the spec alone."""
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
        arrays[name] = "<f4" if name in _FRACTIONS else "<i4", shapes.get(name, (recipe.length,))
    if spec.masks:
        arrays["masks"] = arrays["images"]
    return npz.layout(arrays, spec.samples)


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
            for number, (member, rows) in enumerate(zip(members, _arrays(batch), strict=True)):
                content = np.ascontiguousarray(rows, dtype=member.dtype).reshape(-1).view(np.uint8).data
                crcs[number] = isal_zlib.crc32(content, crcs[number])
                yield Region(member.start + batch.first * member.row_bytes, content)
        return tuple(crcs)

    def measure_in(self, spec: Spec, shard: Shard, file: BinaryIO) -> Content:
        members = layout(spec)
        digest, size, crcs = sha256(), 0, [0] * len(members)
        for first, stop in spans(spec.recipe, shard.first, shard.stop):
            for number, member in enumerate(members):
                file.seek(member.start + first * member.row_bytes)
                content = file.read((stop - first) * member.row_bytes)
                digest.update(content)
                crcs[number] = isal_zlib.crc32(content, crcs[number])
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
        with open_file(FILE_NAME) as file:
            members = _checked_members(spec, file, ("labels", "lengths"))
            for first in range(0, spec.samples, _CHUNK):
                stop = min(first + _CHUNK, spec.samples)
                labels, lengths = (_run(file, member, first, stop - first).tolist() for member in members)
                for digits, length in zip(labels, lengths, strict=True):
                    yield "".join(map(str, digits[:length]))

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        reader = self.reader(spec, open_file)
        yield from (reader.read(range(*span)) for span in spans(spec.recipe, shard.first, shard.stop))

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return _Reader(spec, open_file)

    def detect(self, start: bytes) -> bool:
        return start.startswith(npz.SIGNATURE)


def _arrays(batch: Batch) -> tuple[NDArray[Any], ...]:
    plain = (batch.images, batch.digits, batch.lengths, batch.glyphs, batch.x, batch.y, batch.boxes)
    return (*plain, *batch.sampled.values(), *([] if batch.masks is None else [batch.masks]))


def _checked_members(spec: Spec, file: BinaryIO, names: tuple[str, ...] = ()) -> list[npz.Member]:
    """Return the arrays, or those with these names. Raises FormatError unless all are where the spec has them."""
    members = [member for member in layout(spec) if not names or member.name in names]
    size = file.seek(0, 2)
    for member in members:
        file.seek(member.start - len(member.header))
        if file.read(len(member.header)) != member.header or size < member.end:
            raise FormatError(
                f"{FILE_NAME} is not the file that the recipe makes: its {member.name} are not where they belong"
            )
    return members


class _Reader:
    """Reads rows at their offsets; arrays that are small are read whole when the first scattered rows are, and held."""

    def __init__(self, spec: Spec, open_file: Opener) -> None:
        self._spec, self._open_file, self._members = spec, open_file, layout(spec)
        self._checked: tuple[Hashable, dict[str, NDArray[Any]]] | None = None
        """The identity of the file that was checked, and the arrays of it that are held."""

    def read(self, samples: Numbers) -> Batch:
        with self._open_file(FILE_NAME) as file:
            known = identity(file)
            if self._checked is None or self._checked[0] != known:
                _checked_members(self._spec, file)
                self._checked = known, {}
            held = self._checked[1]
            here: dict[str, Any] = {member.name: _rows(file, member, samples, held) for member in self._members}
        known_arrays = {name: here.pop(name) for name in ("images", "lengths", "glyphs", "x", "y", "boxes")}
        known_arrays |= {"digits": here.pop("labels"), "masks": here.pop("masks", None)}
        widths = np.full(len(samples), self._spec.recipe.width, dtype=np.int32)
        chosen = None if isinstance(samples, range) else samples
        return checked(Batch(int(samples[0]), widths=widths, **known_arrays, sampled=here, chosen=chosen), FILE_NAME)


def _rows(file: BinaryIO, member: npz.Member, samples: Numbers, held: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return rows of an array, some of which is held. Raises FormatError, OSError."""
    if isinstance(samples, range):
        return _run(file, member, samples.start, len(samples))
    if member.rows * member.row_bytes <= _HELD:
        if member.name not in held:
            held[member.name] = _run(file, member, 0, member.rows)
        return held[member.name][samples]
    rows = np.empty((len(samples), member.row_bytes), np.uint8)
    for row, offset in zip(rows, (member.start + samples * member.row_bytes).tolist(), strict=True):
        _fill(file, offset, row)
    return rows.view(member.dtype).reshape(-1, *member.row_shape)


def _run(file: BinaryIO, member: npz.Member, first: int, count: int) -> NDArray[Any]:
    """Return `count` rows of an array, from `first` on. Raises FormatError, OSError."""
    rows = np.empty((count, *member.row_shape), member.dtype)
    _fill(file, member.start + first * member.row_bytes, rows)
    return rows


def _fill(file: BinaryIO, offset: int, rows: NDArray[Any]) -> None:
    """Fill rows with what is at an offset, in bytes. Raises FormatError, OSError."""
    file.seek(offset)
    if file.readinto(rows) != rows.nbytes:  # type: ignore[attr-defined]  # which the files of io all have
        raise FormatError(f"{FILE_NAME} ends too early")
