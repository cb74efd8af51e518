"""Owns the format `npz`: one NumPy archive with `images`, `labels`, `lengths`, `glyphs`, `x`, `y`, `boxes`, `masks`.

The sizes of all arrays are known in advance, so the file gets its full size at once and every shard is written straight
to its places in it: workers share it, and nothing is copied or held. Until all is there it stands in the state folder.

An npz file is a zip archive of npy files (NumPy Enhancement Proposal 1); they are stored, not compressed, so that a
reader may map them. Layout of the archive: PKWARE's APPNOTE 6.3.9, with the 64-bit fields of section 4.5.3 throughout.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs.compression import Compression
from mnist_seq_cli.dataset.manifest import STATE_NAME, Record
from mnist_seq_cli.engine.batch import Annotations, Batch, drawn_names
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import Written
from mnist_seq_cli.formats.annotations import checked
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.store import FileSum

FILE_NAME = "dataset.npz"
_FRACTIONS = {"slant", "rotate", "scale"}
SHARD_SIZE = 10_000
SHARDS_STAND = True
RANDOM_ACCESS = True
ANY_WIDTH = False
MASKS = True
COMPRESSION: Compression = "fast"

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_EXTRA_LOCAL = struct.Struct("<HHQQ")
_EXTRA_CENTRAL = struct.Struct("<HHQQQ")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_ZIP64, _NEEDED, _FIRST_DAY, _FULL_32 = 1, 45, 0x21, 0xFFFFFFFF


class Member(NamedTuple):
    """One array in the archive: where its header and its rows begin, and how much a row takes, in bytes."""

    name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    header: bytes
    offset: int
    rows: int

    @property
    def start(self) -> int:
        """Where the values begin in the file."""
        return self.offset + _LOCAL.size + len(self.file_name) + _EXTRA_LOCAL.size + len(self.header)

    @property
    def file_name(self) -> bytes:
        """The name of the npy file in the archive."""
        return f"{self.name}.npy".encode()

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample's values."""
        return int(np.prod(self.row_shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of the npy file."""
        return len(self.header) + self.rows * self.row_bytes

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.start + self.rows * self.row_bytes


def layout(spec: Spec) -> list[Member]:
    """Return where everything stands in the archive; a function of the spec alone."""
    recipe = spec.recipe
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "images": ("u1", (recipe.height, recipe.width)),
        "labels": ("u1", (recipe.length,)),
        "lengths": ("<i4", ()),
        "glyphs": ("<i4", (recipe.length,)),
        "x": ("<i4", (recipe.length,)),
        "y": ("<i4", (recipe.length,)),
        "boxes": ("<i4", (recipe.length, 4)),
    }
    drawn_shapes: dict[str, tuple[int, ...]] = {"gaps": (recipe.length - 1,), "contrast": ()}
    for name in drawn_names(recipe):
        shapes[name] = "<f4" if name in _FRACTIONS else "<i4", drawn_shapes.get(name, (recipe.length,))
    if spec.masks:
        shapes["masks"] = shapes["images"]
    members: list[Member] = []
    for name, (dtype, shape) in shapes.items():
        header = io.BytesIO()
        described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (spec.samples, *shape)}
        np.lib.format.write_array_header_1_0(header, described)
        offset = members[-1].end if members else 0
        members.append(Member(name, np.dtype(dtype), shape, header.getvalue(), offset, spec.samples))
    return members


def file_names(spec: Spec) -> tuple[str, ...]:
    """Return the one file."""
    return (FILE_NAME,)


def shard_paths(spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return nothing: a shard is a part of the one file."""
    return ()


def _growing(directory: Path) -> Path:
    return directory / STATE_NAME / FILE_NAME


def folders(directory: Path, spec: Spec) -> list[Path]:
    """Return nothing: there are none."""
    return []


def standing(directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
    """Yield nothing: shards have no place of their own."""
    yield from ()


def prepare(directory: Path, spec: Spec) -> None:
    """Make the file in its full size, or take the finished one that has to be repaired. Raises OSError."""
    growing, finished, size = _growing(directory), directory / FILE_NAME, layout(spec)[-1].end
    if finished.is_symlink():
        local.remove(finished)  # what it leads to is not ours to write to
    if finished.exists():
        local.place(finished, growing)
    if not growing.exists() or growing.stat().st_size < size:
        local.make_sized(growing, size)


def keep_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
    """Do nothing: what stands is all there is."""


def write_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
    """Write the samples of the shard to their places in the file, and sync it. Raises OSError."""
    members = layout(spec)
    digest, crcs = sha256(), [0] * len(members)
    with local.OpenFile(_growing(directory)) as file:
        for batch in batches:
            for number, (member, rows) in enumerate(zip(members, _arrays(batch), strict=True)):
                content = np.ascontiguousarray(rows, dtype=member.dtype).reshape(-1).view(np.uint8).data
                file.write_at(member.start + batch.first * member.row_bytes, content)
                crcs[number] = isal_zlib.crc32(content, crcs[number])
                digest.update(content)
    size = sum(member.row_bytes for member in members) * shard.samples
    return Written(1, size, digest.hexdigest(), tuple(crcs))


def _arrays(batch: Batch) -> tuple[NDArray[Any], ...]:
    plain = (batch.images, batch.digits, batch.lengths, batch.glyphs, batch.x, batch.y, batch.boxes)
    return (*plain, *batch.drawn.values(), *([] if batch.masks is None else [batch.masks]))


def _standing(directory: Path) -> Path:
    growing = _growing(directory)
    return growing if growing.exists() else directory / FILE_NAME


def check_shard(directory: Path, spec: Spec, shard: Shard) -> Written:
    """Return what stands in the places of the shard, read a batch at a time as it was written. Raises OSError."""
    members = layout(spec)
    digest, size, crcs = sha256(), 0, [0] * len(members)
    with local.open_regular(_standing(directory)) as file:
        for first, stop in spans(spec.recipe, shard.first, shard.stop):
            for number, member in enumerate(members):
                file.seek(member.start + first * member.row_bytes)
                content = file.read((stop - first) * member.row_bytes)
                digest.update(content)
                crcs[number] = isal_zlib.crc32(content, crcs[number])
                size += len(content)
    return Written(1, size, digest.hexdigest(), tuple(crcs))


class Archive:
    """Writes what surrounds the arrays: headers with their checksums, and the directory of the archive."""

    def __init__(self, directory: Path, spec: Spec) -> None:
        self._growing = _growing(directory)
        self._members = layout(spec)
        self._crcs = [isal_zlib.crc32(member.header) for member in self._members]

    def add(self, shard: Shard, record: Record) -> None:
        """Take the checksums of the shard's parts."""
        if len(record.crcs) != len(self._members):
            raise FormatError(f"the record of shard {shard.number} has no checksums")
        for number, (member, crc) in enumerate(zip(self._members, record.crcs, strict=True)):
            self._crcs[number] = isal_zlib.crc32_combine(self._crcs[number], crc, shard.samples * member.row_bytes)

    def finish(self) -> dict[Path, FileSum]:
        """Complete the file and sync it. Raises OSError."""
        with local.OpenFile(self._growing) as file:
            central = b""
            for member, crc in zip(self._members, self._crcs, strict=True):
                file.write_at(member.offset, _local_header(member, crc) + member.header)
                central += _central_header(member, crc)
            place = self._members[-1].end
            tail = central + _end(len(self._members), len(central), place)
            file.write_at(place, tail)
            file.truncate(place + len(tail))
        return {self._growing: _surroundings(self._growing, self._members)}

    def abandon(self) -> None:
        """Do nothing: the file stays where it is."""


def _surroundings(path: Path, members: list[Member]) -> FileSum:
    """Return the size of the file, and the SHA-256 of all in it that is not the values of the arrays.

    The values are summed up shard by shard; together these cover every byte.
    """
    digest = sha256()
    with local.open_regular(path) as file:
        for member in members:
            file.seek(member.offset)
            digest.update(file.read(member.start - member.offset))
        file.seek(members[-1].end)
        digest.update(file.read(1 << 16))
        return FileSum(file.seek(0, 2), digest.hexdigest())


def sum_of(directory: Path, name: str, spec: Spec) -> FileSum:
    """Return the size of the file and the SHA-256 of what surrounds the arrays. Raises OSError."""
    return _surroundings(directory / name, layout(spec))


def _local_header(member: Member, crc: int) -> bytes:
    name, size = member.file_name, member.size
    fixed = _LOCAL.pack(b"PK\3\4", _NEEDED, 0, 0, 0, _FIRST_DAY, crc, _FULL_32, _FULL_32, len(name), _EXTRA_LOCAL.size)
    return fixed + name + _EXTRA_LOCAL.pack(_ZIP64, _EXTRA_LOCAL.size - 4, size, size)


def _central_header(member: Member, crc: int) -> bytes:
    name, size = member.file_name, member.size
    fixed = _CENTRAL.pack(
        b"PK\1\2", _NEEDED, _NEEDED, 0, 0, 0, _FIRST_DAY, crc, _FULL_32, _FULL_32, len(name), _EXTRA_CENTRAL.size,
        0, 0, 0, 0, _FULL_32,
    )  # fmt: skip
    return fixed + name + _EXTRA_CENTRAL.pack(_ZIP64, _EXTRA_CENTRAL.size - 4, size, size, member.offset)


def _end(count: int, size: int, place: int) -> bytes:
    end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, _NEEDED, _NEEDED, 0, 0, count, count, size, place)
    locator = _LOCATOR.pack(b"PK\6\7", 0, place + size, 1)
    return end_64 + locator + _END.pack(b"PK\5\6", 0, 0, count, count, _FULL_32, _FULL_32, 0)


def collector(directory: Path, stage: Path, spec: Spec) -> Archive:
    """Return what completes the archive."""
    return Archive(directory, spec)


def read_texts(directory: Path, spec: Spec) -> Iterator[str]:
    """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
    labels, lengths = _mapped(directory, spec, "labels"), _mapped(directory, spec, "lengths")
    for first in range(0, spec.samples, SHARD_SIZE):
        part = slice(first, first + SHARD_SIZE)
        for digits, length in zip(labels[part].tolist(), lengths[part].tolist(), strict=True):
            yield "".join(map(str, digits[:length]))


def read(directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
    """Yield the samples of the shard, or of a part of it, in batches. Raises FormatError, OSError."""
    arrays = {member.name: _mapped(directory, spec, member.name) for member in layout(spec)}
    for first, stop in spans(spec.recipe, shard.first, shard.stop):
        here: dict[str, Any] = {name: np.array(array[first:stop]) for name, array in arrays.items()}
        known = {name: here.pop(name) for name in ("images", "lengths", "glyphs", "x", "y", "boxes")}
        known |= {"digits": here.pop("labels"), "masks": here.pop("masks", None)}
        widths = np.full(stop - first, spec.recipe.width, dtype=np.int32)
        yield checked(Batch(first, widths=widths, **known, drawn=here), FILE_NAME)


def _mapped(directory: Path, spec: Spec, name: str) -> NDArray[Any]:
    """Return one of the arrays, memory-mapped where the spec says that it stands. Raises FormatError, OSError."""
    path = directory / FILE_NAME
    member = next(member for member in layout(spec) if member.name == name)
    with local.open_regular(path) as file:
        file.seek(member.start - len(member.header))
        if file.read(len(member.header)) != member.header or path.stat().st_size < member.end:
            raise FormatError(
                f"{path.name} is not the file that the recipe makes: its {name} are not where they belong"
            )
    return np.memmap(path, member.dtype, "r", member.start, (member.rows, *member.row_shape))


def arrays_in(path: Path, dimensions: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Return those of some arrays that are in an npz file, by name, mapped; with nothing believed that the file says.

    `dimensions` says of each array that is looked for how many it has. Raises FormatError, OSError for what is no npz
    file that is stored as it is.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for member in archive.infolist()[:64]:
                name = member.filename.removesuffix(".npy")
                if name in dimensions and member.compress_type == zipfile.ZIP_STORED and name not in arrays:
                    arrays[name] = _array_in(path, file, member, dimensions[name])
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError, SyntaxError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is not an npz file as we write them ({error})") from None
    return arrays


def _array_in(path: Path, file: BinaryIO, member: zipfile.ZipInfo, dimensions: int) -> NDArray[Any]:
    """Return an array of an npz file without reading it. Raises FormatError, ValueError."""
    file.seek(member.header_offset)
    local = file.read(30)
    if len(local) != 30 or local[:4] != b"PK\3\4":
        raise FormatError(f"{path} is damaged")
    start = member.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    file.seek(start)
    if np.lib.format.read_magic(file) != (1, 0):
        raise FormatError(f"{path} is not an npz file as we write them")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=10_000)
    place, size = file.tell(), dtype.itemsize
    for length in shape:
        size *= length
    if dtype.hasobject or fortran or len(shape) != dimensions or min(shape) < 0 or place + size > path.stat().st_size:
        raise FormatError(f"{path} has an array {member.filename!r} that cannot be")
    # There is nothing to map of no values, which are no fault: strips of one digit have no gaps.
    return np.memmap(path, dtype, "r", place, shape) if size else np.empty(shape, dtype)
