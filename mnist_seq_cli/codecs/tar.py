"""Owns tar files of numbered samples: USTAR, with nothing in it that depends on when or by whom it was written.

The reader takes exactly what the writer makes, and nothing that a tar file can hold beside it (links, devices, long
names), so that there is nothing to guard against. Layout of a header: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from mnist_seq_cli.errors import FormatError

BLOCK = 512
END = bytes(2 * BLOCK)

MAX_MEMBER = 64_000_000

PIECE = 1 << 20
"""Bytes that are read at a time."""

_NAME = re.compile(rb"([0-9]{8,12}\.(?:png|json|mask\.png))\0+", re.ASCII)
_FIELDS = struct.Struct("100s24x11s21xs100x5s")
"""Name, size in octal digits, type and magic number in a header."""
_OWNER = b"0000644\0" + b"0000000\0" + b"0000000\0"
_NO_SIZE = _NO_TIME = b"00000000000\0"
_NO_SUM = b"000000\0 "
_REST = b"0" + bytes(100) + b"ustar\x0000" + bytes(BLOCK - 265)
_SIZE, _SUM = slice(124, 135), slice(148, 154)
_OCTAL = 3 * np.arange(10, -1, -1)
"""How far the octal digits of a number are to be shifted."""


def members(first: int, columns: Sequence[tuple[str, list[bytes]]], digits: int = 8) -> bytes:
    """Return samples as members of a tar file: of each (ending, contents), one of sample `first` and on after another.

    The members of a sample follow each other: 00000007.png, 00000007.json, 00000008.png, …; numbers have `digits`.
    """
    pieces = [column for ending, contents in columns for column in _files(first, ending, contents, digits)]
    return b"".join(piece for sample in zip(*pieces, strict=True) for piece in sample)


def _files(first: int, ending: str, contents: list[bytes], digits: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return headers, contents and the rest of their last blocks, for files of samples `first` and on."""
    sizes = np.array(list(map(len, contents)))
    name = b"0" * digits + ending.encode()
    template = name + bytes(100 - len(name)) + _OWNER + _NO_SIZE + _NO_TIME + _NO_SUM
    headers = np.tile(np.frombuffer(template + _REST, dtype=np.uint8), (len(contents), 1))
    numbers = np.arange(first, first + len(contents))[:, None] // 10 ** np.arange(digits - 1, -1, -1) % 10
    lengths = sizes[:, None] >> _OCTAL & 7
    # The sum is taken as if there were spaces in its place.
    sums = sum(template) + sum(_REST) + 8 * ord(" ") - sum(_NO_SUM) + numbers.sum(axis=1) + lengths.sum(axis=1)
    for field, values in ((slice(0, digits), numbers), (_SIZE, lengths), (_SUM, sums[:, None] >> _OCTAL[-6:] & 7)):
        headers[:, field] += values.astype(np.uint8)
    joined = headers.tobytes()
    filling = [bytes(size) for size in (-sizes % BLOCK).tolist()]
    return [joined[at : at + BLOCK] for at in range(0, len(joined), BLOCK)], contents, filling


def read_members(
    file: BinaryIO, where: str, needed: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes, int]]:
    """Yield name, content, and the offset of what follows, in bytes, for each member of a file as `members` makes it.

    The content is b"" for those that are not needed. Raises FormatError, which names `where`.
    """
    piece, start, at = file.read(PIECE), 0, 0  # the offset of the piece in the file, that of the next header in it
    while True:
        if len(piece) - at < BLOCK:
            piece, start, at = _piece(file, start + at), start + at, 0
        if piece[at : at + BLOCK] in (b"", END[:BLOCK]):
            break
        name, size = _parsed(piece, at, where)
        stop = at + BLOCK + size
        content = b""
        if needed(name):
            if stop > len(piece):
                piece, start, at, stop = _piece(file, start + at, BLOCK + size), start + at, 0, BLOCK + size
            content = piece[at + BLOCK : stop]
            if stop > len(piece):
                raise FormatError(f"{where} is truncated")
        at = stop + -size % BLOCK
        yield name, content, start + at
    if file.seek(0, os.SEEK_END) < start + at:
        raise FormatError(f"{where} is truncated")
    file.seek(start + at)
    while rest := file.read(PIECE):
        if rest.strip(b"\0"):
            raise FormatError(f"{where} goes on after its end, as tar files do that were joined")


def _piece(file: BinaryIO, offset: int, size: int = 0) -> bytes:
    file.seek(offset)
    return file.read(max(size, PIECE))


def _parsed(piece: bytes, at: int, where: str) -> tuple[str, int]:
    """Return the name of a member, and the size of its content in bytes, of a header at `at`. Raises FormatError."""
    if len(piece) - at < BLOCK:
        raise FormatError(f"{where} is truncated")
    field, digits, kind, magic = _FIELDS.unpack_from(piece, at)
    name = _NAME.fullmatch(field)
    if name is None or kind != b"0" or magic != b"ustar":
        raise FormatError(f"{where} holds something else than PNG and JSON files of samples")
    try:
        size = int(digits, 8)
    except ValueError:
        size = -1
    if not 0 <= size <= MAX_MEMBER:
        raise FormatError(f"{where} has a member of an impossible size")
    return name[1].decode(), size


def looks_like_tar(start: bytes) -> bool:
    """Return whether a file that begins with these 512 bytes may be a tar file."""
    return start[257:262] == b"ustar"
