"""Owns npz files: what is around stored arrays, so that these can be written in place and mapped, and a careful reader.

An npz file is a zip archive of npy files (NumPy Enhancement Proposal 1); here they are stored, not compressed.
Layout of the archive: PKWARE's APPNOTE 6.3.9, with the 64-bit fields of section 4.5.3 throughout.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs.file_array import array_in
from mnist_seq_cli.errors import FormatError

SIGNATURE = b"PK\3\4"

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
        return math.prod(self.row_shape) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of the npy file."""
        return len(self.header) + self.rows * self.row_bytes

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.start + self.rows * self.row_bytes


def layout(arrays: Mapping[str, tuple[str, tuple[int, ...]]], rows: int) -> list[Member]:
    """Return where everything is in an archive of arrays of so many rows; of each (dtype, shape of a row) is given."""
    members: list[Member] = []
    for name, (dtype, shape) in arrays.items():
        header = io.BytesIO()
        described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(header, described)
        offset = members[-1].end if members else 0
        members.append(Member(name, np.dtype(dtype), shape, header.getvalue(), offset, rows))
    return members


def before(member: Member, crc: int) -> bytes:
    """Return the headers before the values of a member."""
    name, size = member.file_name, member.size
    fixed = _LOCAL.pack(SIGNATURE, _NEEDED, 0, 0, 0, _FIRST_DAY, crc, _FULL_32, _FULL_32, len(name), _EXTRA_LOCAL.size)
    return fixed + name + _EXTRA_LOCAL.pack(_ZIP64, _EXTRA_LOCAL.size - 4, size, size) + member.header


def after(members: Sequence[Member], crcs: Sequence[int]) -> bytes:
    """Return the directory of the archive and its end, which come after all members."""
    central = b"".join(map(_central_header, members, crcs))
    count, size, offset = len(members), len(central), members[-1].end
    end_64 = _END_64.pack(b"PK\6\6", _END_64.size - 12, _NEEDED, _NEEDED, 0, 0, count, count, size, offset)
    locator = _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    return central + end_64 + locator + _END.pack(b"PK\5\6", 0, 0, count, count, _FULL_32, _FULL_32, 0)


def _central_header(member: Member, crc: int) -> bytes:
    name, size = member.file_name, member.size
    fixed = _CENTRAL.pack(
        b"PK\1\2", _NEEDED, _NEEDED, 0, 0, 0, _FIRST_DAY, crc, _FULL_32, _FULL_32, len(name), _EXTRA_CENTRAL.size,
        0, 0, 0, 0, _FULL_32,
    )  # fmt: skip
    return fixed + name + _EXTRA_CENTRAL.pack(_ZIP64, _EXTRA_CENTRAL.size - 4, size, size, member.offset)


def arrays_in(file: BinaryIO, where: str, dimensions: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Return those of some arrays that are in an npz file, by name; with nothing believed that the file says.

    Large ones stay in the file: see `array_in`. `dimensions` says of each array that is looked for how many it has.
    Raises FormatError, which names `where`, for what is no npz file that is stored as it is; OSError.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist()[:64]:
                name = member.filename.removesuffix(".npy")
                if name in dimensions and member.compress_type == zipfile.ZIP_STORED and name not in arrays:
                    arrays[name] = _array_in(file, where, member, dimensions[name])
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError, SyntaxError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where} is not an npz file as we write them ({error})") from None
    return arrays


def _array_in(file: BinaryIO, where: str, member: zipfile.ZipInfo, dimensions: int) -> NDArray[Any]:
    """Return an array of an npz file. Raises FormatError, ValueError."""
    file.seek(member.header_offset)
    local = file.read(30)
    if len(local) != 30 or local[:4] != SIGNATURE:
        raise FormatError(f"{where} is damaged")
    start = member.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    file.seek(start)
    if np.lib.format.read_magic(file) != (1, 0):
        raise FormatError(f"{where} is not an npz file as we write them")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=10_000)
    offset, size = file.tell(), dtype.itemsize
    for length in shape:
        size *= length
    whole = file.seek(0, os.SEEK_END)
    if dtype.hasobject or fortran or len(shape) != dimensions or min(shape) < 0 or offset + size > whole:
        raise FormatError(f"{where} has an array {member.filename!r} that cannot be")
    return array_in(file, Path(where), dtype, shape, offset)
