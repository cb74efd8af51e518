"""Owns the IDX format, MNIST's own: reading it (plain or gzip, from a path or from bytes) and writing it.

An IDX file is two zero bytes, a type code, the number of dimensions, each dimension as a big-endian uint32, and then
the values in C order, big-endian. A header is believed only when the bytes that are really there agree with it.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs.file_array import array_in
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.inputs import naming

TYPES: dict[int, str] = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""NumPy's name for each type code of the format."""

MAX_DIMENSIONS = 8
MAX_INFLATED = 1 << 30
"""Bytes that a gzip file may inflate to."""

_LONGEST_HEADER = 4 + 4 * MAX_DIMENSIONS
_BELIEVED, MAX_RATIO = 64 << 20, 500
"""Bytes that any gzip file may inflate to; one that claims more, so many times its own size: deflate makes 1,030."""

_PIECE_IN, _PIECE_OUT = 1 << 14, 1 << 20
_GZIP = b"\x1f\x8b"
_SEALED = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}


class Header(NamedTuple):
    """What an IDX header says: the type of the values, the shape, and the bytes that the header itself takes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int

    @property
    def total(self) -> int:
        """Bytes of a whole file with this header."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize


def read(source: Path | bytes, *, name: str = "", mapped: bool = False) -> NDArray[Any]:
    """Return the array in an IDX file: read-only, of the file's type (big-endian where it has more than one byte).

    A plain file of up to 128 MiB is held, and of a larger one rows are read when they are asked for: the array is a
    `FileArray` then. Gzip is inflated in memory, up to 1 GiB. A file that nobody else writes to can be `mapped`. `name`
    stands for the file in messages.

    Raises FormatError, before anything large is allocated, for whatever is not exactly one IDX array; RequestError for
    a pipe or a device, OSError when the file cannot be read, or is cut while it is.
    """
    name = name or (str(source) if isinstance(source, Path) else "IDX data")
    try:
        with naming(name), _opened(source) as file:
            size, start = file.seek(0, 2), _start(file)
            if start[:2] == _GZIP:
                return _inflate(file, size)
            header = _parse_header(start)
            _check_size(header, size)
            if isinstance(source, bytes) or mapped:
                content = source if isinstance(source, bytes) else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                return _shaped(np.frombuffer(content, np.uint8, offset=header.size), header)
            return array_in(file, source, header.dtype, header.shape, header.size)
    except FormatError as error:
        raise FormatError(f"{name} is not an IDX file: {error.args[0]}", hint=error.hint) from None


def _shaped(values: NDArray[np.uint8], header: Header) -> NDArray[Any]:
    """Return bytes as the array that a header says."""
    array = values.view(header.dtype).reshape(header.shape)
    array.flags.writeable = False
    return array


def looks_like_idx(start: bytes) -> bool:
    """Return whether a file may be IDX or gzip, from its first four bytes; only `read` knows for sure."""
    return start[:2] == _GZIP or (len(start) >= 4 and start[:2] == b"\0\0" and start[2] in TYPES and start[3] > 0)


def encode_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the header of an IDX file. Raises FormatError for what the format has no words for."""
    code = _type_code(dtype)
    if not 1 <= len(shape) <= MAX_DIMENSIONS:
        raise FormatError(f"an IDX file has 1 to {MAX_DIMENSIONS} dimensions, and this array has {len(shape)}")
    if not all(0 < size < 2**32 for size in shape):
        raise FormatError(f"an IDX file cannot have the shape {shape}", hint="sizes are 1 to 2^32 - 1")
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def encode(array: NDArray[Any], *, compress: bool = False) -> bytes:
    """Return `array` as the bytes of an IDX file, gzip with `compress`; equal arrays give equal bytes.

    Raises FormatError for types other than uint8, int8, int16, int32, float32 and float64.
    """
    header = encode_header(array.dtype, array.shape)
    plain = header + array.astype(TYPES[header[2]], order="C", copy=False).tobytes()
    if not compress:
        return plain
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return GZIP_HEADER + deflate.compress(plain) + deflate.flush() + gzip_trailer(zlib.crc32(plain), len(plain))


GZIP_HEADER = _GZIP + b"\x08\x00\0\0\0\0\x00\xff"
"""The start of a gzip file without name, time or system, so that it is the same everywhere (RFC 1952)."""


def gzip_trailer(crc: int, size: int) -> bytes:
    """Return the end of a gzip file: the CRC-32 and the size of what was compressed."""
    return struct.pack("<II", crc, size & 0xFFFFFFFF)


def _type_code(dtype: np.dtype[Any]) -> int:
    for code, name in TYPES.items():
        if np.dtype(name).newbyteorder("=") == dtype.newbyteorder("="):
            return code
    raise FormatError(f"IDX has no type for {dtype}", hint="uint8, int8, int16, int32, float32 or float64")


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if source.is_fifo() or source.is_char_device():
        raise RequestError(
            f"{source} is not a file", hint="give one: it is read more than once, which a pipe cannot be"
        )
    return source.open("rb")


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_LONGEST_HEADER)


def _parse_header(content: bytes) -> Header:
    if not content:
        raise FormatError("it is empty: it has 0 bytes, too few for a header")
    if len(content) < 4:
        raise FormatError(f"it has {len(content)} bytes, too few for a header")
    start = content[:8]
    for magic, format_name in _SEALED.items():
        if start.startswith(magic):
            raise FormatError(f"it is compressed with {format_name}", hint="decompress it first; gzip would do")
    if start.lstrip()[:1] == b"<":
        raise FormatError("it looks like a web page", hint="download it again, and look at what came")
    if start[:2] == _GZIP:
        raise FormatError("it is gzip inside gzip", hint="decompress it once")
    zeros, code, dimensions = start[:2], start[2], start[3]
    if zeros != b"\0\0":
        little = start[2:4] == b"\0\0" and start[1] in TYPES
        raise FormatError(
            "its header is little-endian" if little else f"it begins with {start[:4].hex(' ')}, not with 00 00"
        )
    if code not in TYPES:
        raise FormatError(
            f"its type code is {code:02x}", hint=f"IDX has {', '.join(f'{known:02x}' for known in TYPES)}"
        )
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise FormatError(f"it claims {dimensions} dimensions", hint=f"1 to {MAX_DIMENSIONS} are read")
    size = 4 + 4 * dimensions
    if len(content) < size:
        raise FormatError(f"it has {len(content)} bytes, and its header alone takes {size}")
    shape = struct.unpack(f">{dimensions}I", content[4:size])
    if 0 in shape:
        raise FormatError(f"its shape is {'×'.join(map(str, shape))}: there is nothing in it")
    return Header(np.dtype(TYPES[code]), shape, size)


def _check_size(header: Header, actual: int) -> None:
    if actual != header.total:
        shape = "×".join(map(str, header.shape))
        raise FormatError(f"its header claims {shape} values, {header.total} bytes, and it has {actual}")


def _inflate(file: BinaryIO, size: int) -> NDArray[Any]:
    """Return the array in a gzip file, giving up as soon as it cannot be the IDX file that its first bytes announce.

    What claims to be large is inflated twice, the first time only to see that it is true.
    """
    start = b""
    for piece in _gunzip(file, size):
        start += piece
        if len(start) >= _LONGEST_HEADER:
            break
    header = _parse_header(start[:_LONGEST_HEADER])
    expected = header.total
    if expected > MAX_INFLATED or expected > max(_BELIEVED, size * MAX_RATIO):
        raise FormatError(
            f"its header claims {expected} bytes, too many to inflate in memory from {size}",
            hint="decompress it on disk with gunzip: a plain file is not held as a whole",
        )
    if expected > _BELIEVED:
        _check_size(header, sum(map(len, _up_to(expected, _gunzip(file, size)))))
    content, filled = np.empty(expected, np.uint8), 0
    for piece in _up_to(expected, _gunzip(file, size)):
        content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    _check_size(header, filled)
    return _shaped(content[header.size :], header)


def _up_to(expected: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces; raise FormatError as soon as they are more than expected."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > expected:
            raise FormatError(f"it inflates to more than the {expected} bytes that its header claims")
        yield piece


def _gunzip(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the inflated bytes of a gzip file in pieces of at most 1 MiB, all members in turn, each checked."""
    file.seek(0)
    pending, empty_members = file.read(_PIECE_IN), 0
    while pending:
        if len(pending) < 2:
            pending += file.read(_PIECE_IN)
        if pending[:2] != _GZIP:
            raise FormatError(f"{len(pending) + size - file.tell()} bytes of something else follow the gzip data")
        member, produced = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
        while not member.eof:
            pending = pending or file.read(_PIECE_IN)
            if not pending:
                raise FormatError("its gzip data is truncated")
            try:
                piece = member.decompress(pending, _PIECE_OUT)
            except zlib.error as error:
                raise FormatError(f"its gzip data is damaged ({error})") from None
            pending = member.unconsumed_tail
            produced += len(piece)
            if piece:
                yield piece
        pending = member.unused_data or file.read(_PIECE_IN)
        empty_members += not produced
        if empty_members > 16:
            raise FormatError("its gzip data has many empty parts")
