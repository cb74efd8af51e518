"""Owns TFRecord files: records with checksums, and the messages `tf.train.Example` in them; without TensorFlow.

A record is its length (uint64), the checksum of that (uint32), its content, and the checksum of that, little-endian. A
checksum is a CRC-32C (RFC 3720, appendix B.4) that is rotated and has a constant added. Messages are in the wire format
of protocol buffers; integers are varints, packed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError

MAX_RECORD = 256_000_000
"""Bytes of the longest record that is read."""

_PIECE = 1 << 20
_CACHED = 1 << 17
_LEVEL = 4
_BLOCK = 4 << _LEVEL
"""Bytes that are gone through word by word, with tables that stay in a cache."""
_HEAD = struct.Struct("<QI")
_AROUND = _HEAD.size + 4
"""Bytes of a record beside its content."""

_POLYNOMIAL = 0x82F63B78
"""The one of Castagnoli, with the bit of x^31 first."""

_BYTES, _FLOATS, _INTEGERS = 0x0A, 0x12, 0x1A
"""The tags of the three kinds of lists in a Feature; the first is also the tag of any first field."""
_VALUE = 0x12
"""The tag of a value in a map."""

Values = bytes | list[int] | list[float]


@cache
def _shift(level: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return tables that move a CRC over 4·2^level zero bytes: of its lower 16 bits, and of its upper ones."""
    basis: NDArray[Any] = np.array([1 << bit for bit in range(32)], np.uint32)
    if level:
        low, high = _shift(level - 1)
        basis = _moved(_moved(basis, low, high), low, high)
    else:
        for _ in range(32):
            basis = basis >> 1 ^ (basis & 1) * np.uint32(_POLYNOMIAL)
    tables = np.zeros((2, 1 << 16), np.uint32)
    for bit in range(16):
        tables[:, 1 << bit : 2 << bit] = tables[:, : 1 << bit] ^ basis[[bit, bit + 16], None]
    return tables[0], tables[1]


def _moved(values: NDArray[np.uint32], low: NDArray[np.uint32], high: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return low.take(values & 0xFFFF, mode="clip") ^ high.take(
        values >> 16, mode="clip"
    )  # "raise" takes six times as long


def crc32c(contents: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return the CRC-32C of each content, of 4 bytes at least: uint32 (n,).

    Words of 4 bytes are put together to blocks, then pairs of blocks, then pairs of pairs; of some contents at a time.
    """
    size = -(-max(map(len, contents)) // _BLOCK) * _BLOCK
    crcs = np.empty(len(contents), np.uint32)
    each = max(1, _CACHED // size)
    for first in range(0, len(contents), each):
        some = contents[first : first + each]
        plain = bytearray(b"".join([content.rjust(size, b"\0") for content in some]))
        starts = size * np.arange(1, len(some) + 1) - list(map(len, some))
        np.frombuffer(plain, np.uint8)[starts[:, None] + np.arange(4)] ^= 0xFF  # what it begins with: all bits set
        words = np.ascontiguousarray(np.frombuffer(plain, "<u4").reshape(-1, _BLOCK // 4).T)
        level, blocks = _LEVEL, words[0]
        for word in words[1:]:
            blocks = _moved(blocks, *_shift(0)) ^ word
        blocks = blocks.reshape(len(some), -1)
        while blocks.shape[1] > 1:
            odd = blocks.shape[1] % 2
            pairs = _moved(blocks[:, odd:-1:2], *_shift(level)) ^ blocks[:, odd + 1 :: 2]
            blocks = np.concatenate([blocks[:, :1], pairs], axis=1) if odd else pairs
            level += 1
        crcs[first : first + len(some)] = ~_moved(blocks[:, 0], *_shift(0))
    return crcs


def _masked(contents: Sequence[bytes]) -> list[int]:
    """Return the checksums of records: rotated, so that the checksum of content with checksums in it is one, too."""
    crcs = crc32c(contents)
    masked: list[int] = ((crcs >> 15 | crcs << 17) + np.uint32(0xA282EAD8)).tolist()
    return masked


@cache
def _head(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", *_masked([length]))


def records(contents: Sequence[bytes]) -> bytes:
    """Return records, one after another."""
    sums = struct.pack(f"<{len(contents)}I", *_masked(contents))
    ends = [sums[at : at + 4] for at in range(0, len(sums), 4)]
    return b"".join([part for row in zip(map(_head, map(len, contents)), contents, ends, strict=True) for part in row])


def looks_like_records(start: bytes) -> bool:
    """Return whether a file that begins with these bytes may be a TFRecord file of Examples."""
    return len(start) > _HEAD.size and start[: _HEAD.size] == _head(_HEAD.unpack_from(start)[0]) and start[12] == _BYTES


def read_records(file: BinaryIO, where: str, count: int) -> Iterator[tuple[bytes, int]]:
    """Yield so many records as they are stored, and the offset in the file of what follows each, in bytes.

    Raises FormatError, which names `where`, for lengths that cannot be and for more than that; OSError.
    """
    held, at, offset = b"", 0, 0

    def hold(size: int) -> None:
        nonlocal held, at
        if len(held) - at < size:
            held, at = held[at:] + file.read(max(size, _PIECE)), 0
        if len(held) < at + size:
            raise FormatError(f"{where} is truncated")

    for _ in range(count):
        hold(_HEAD.size)
        size = _HEAD.unpack_from(held, at)[0]
        if not 4 <= size <= MAX_RECORD or not held.startswith(_head(size), at):
            raise FormatError(f"{where} has a record with a damaged length")
        size += _AROUND
        hold(size)
        offset += size
        yield held[at : at + size], offset
        at += size
    if held[at:] or file.read(1):
        raise FormatError(f"{where} goes on after its last sample")


def contents(stored: Sequence[bytes], wheres: Sequence[str]) -> list[bytes]:
    """Return the content of records. Raises FormatError, which names one of `wheres`, for a wrong checksum."""
    found = [record[_HEAD.size : -4] for record in stored]
    for where, crc, record in zip(wheres, _masked(found), stored, strict=True):
        if crc != int.from_bytes(record[-4:], "little"):
            raise FormatError(f"{where} has a record that is damaged")
    return found


def examples(columns: Mapping[str, Sequence[bytes] | tuple[NDArray[Any], NDArray[np.intp]]]) -> list[bytes]:
    """Return Examples of which each has a list for each column.

    A column is bytes, one a row; or all numbers of all rows, one after another, and how many of them each row has.
    """
    parts: list[list[bytes]] = []
    for name, column in columns.items():
        if isinstance(column, tuple):
            values, counts = column
            is_float = values.dtype.kind == "f"
            packed, sizes = _packed_floats(values) if is_float else _varints(values)
            ends = np.cumsum(counts)
            stops = np.concatenate([[0], np.cumsum(sizes)])[ends].tolist()
            payloads = [packed[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
        else:
            is_float, payloads = None, list(column)
        kind = _BYTES if is_float is None else _FLOATS if is_float else _INTEGERS
        parts += [[_before(name, kind, len(payload)) for payload in payloads], payloads]
    joined = [b"".join(row) for row in zip(*parts, strict=True)]
    return [_tagged(_BYTES, len(features)) + features for features in joined]


def _packed_floats(values: NDArray[Any]) -> tuple[bytes, NDArray[np.intp]]:
    return values.astype("<f4").tobytes(), np.full(len(values), 4)


def _varints(values: NDArray[Any]) -> tuple[bytes, NDArray[np.intp]]:
    """Return integers as varints, one after another, and the bytes of each; negative ones have ten."""
    groups = values.astype(np.int64).view(np.uint64)[:, None] >> np.arange(0, 70, 7, dtype=np.uint64)
    sizes = np.maximum(1, (groups != 0).sum(axis=1))
    places = np.arange(10)
    coded = (groups & np.uint64(0x7F)).astype(np.uint8) | (places < sizes[:, None] - 1).astype(np.uint8) << 7
    return coded[places < sizes[:, None]].tobytes(), sizes


def _varint(value: int) -> bytes:
    return _varints(np.array([value]))[0]


@cache
def _tagged(tag: int, size: int) -> bytes:
    """Return what is before content of so many bytes."""
    return bytes([tag]) + _varint(size)


@cache
def _before(name: str, kind: int, size: int) -> bytes:
    """Return what is before the values, of `size` bytes in all, of an entry in the map from names to features."""
    inner = _tagged(_BYTES, size)
    inner = _tagged(kind, len(inner) + size) + inner
    key = name.encode()
    inner = _tagged(_BYTES, len(key)) + key + _tagged(_VALUE, len(inner) + size) + inner
    return _tagged(_BYTES, len(inner) + size) + inner


def parse_example(content: bytes, where: str) -> dict[str, Values]:
    """Return the lists in an Example by name, a list of bytes as its first. Raises FormatError, which names `where`."""
    found: dict[str, Values] = {}
    try:
        ((_, start, stop),) = _fields(content, 0, len(content))
        for _, at, end in _fields(content, start, stop):
            (_, key, key_end), (_, feature, feature_end) = _fields(content, at, end)
            ((kind, values, values_end),) = _fields(content, feature, feature_end)
            ((_, first, last),) = _fields(content, values, values_end)
            name, packed = content[key:key_end].decode(), content[first:last]
            if kind == _INTEGERS:
                found[name] = _integers(packed)
            else:
                found[name] = np.frombuffer(packed, "<f4").tolist() if kind == _FLOATS else packed
    except (ValueError, IndexError) as error:
        raise FormatError(f"{where} is no Example as we write it ({error})") from None
    return found


def _fields(content: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield tag, start and stop of each field of a message. Raises ValueError, IndexError."""
    while at < stop:
        tag, size, shift = content[at], 0, 0
        while True:
            at += 1
            size |= (content[at] & 0x7F) << shift
            shift += 7
            if content[at] < 0x80:
                break
        start, at = at + 1, at + 1 + size
        if at > stop:
            raise ValueError("a field is too long")
        yield tag, start, at


def _integers(packed: bytes) -> list[int]:
    values, value, shift = [], 0, 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value if value < 1 << 63 else value - (1 << 64))
            value = shift = 0
    return values
