"""Owns tar files of numbered samples: USTAR, with nothing in it that depends on when or by whom it was written.

The reader takes exactly what the writer makes, and nothing that a tar file can hold beside it (links, devices, long
names), so that there is nothing to guard against. Layout of a header: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from mnist_seq_cli.errors import FormatError

BLOCK = 512
END = bytes(2 * BLOCK)

MAX_MEMBER = 64_000_000

_NAME = re.compile(rb"[0-9]{8,12}\.(png|json|mask\.png)\0+", re.ASCII)
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
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) for each member of a tar file as `members` makes it; b"" for those that are not needed.

    Raises FormatError, which names `where`.
    """
    while (header := file.read(BLOCK)) and header != bytes(BLOCK):
        name = _NAME.fullmatch(header[:100])
        if name is None or len(header) != BLOCK or header[156:157] != b"0" or header[257:262] != b"ustar":
            raise FormatError(f"{where} holds something else than PNG and JSON files of samples")
        try:
            size = int(header[124:135], 8)
        except ValueError:
            size = -1
        if not 0 <= size <= MAX_MEMBER:
            raise FormatError(f"{where} has a member of an impossible size")
        text = header[:100].rstrip(b"\0").decode()
        if needed(text):
            content = file.read(size)
            if len(content) != size:
                raise FormatError(f"{where} is truncated")
            file.seek(-size % BLOCK, 1)
        else:
            content = b""
            if size:
                file.seek(size + -size % BLOCK - 1, 1)
                if not file.read(1):
                    raise FormatError(f"{where} is truncated")
        yield text, content
    while rest := file.read(1 << 16):
        if rest.strip(b"\0"):
            raise FormatError(f"{where} goes on after its end, as tar files do that were joined")


def looks_like_tar(start: bytes) -> bool:
    """Tell whether a file that begins with these 512 bytes may be a tar file."""
    return start[257:262] == b"ustar"
