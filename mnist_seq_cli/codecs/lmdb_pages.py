"""Owns LMDB files (data.mdb): sorted keys and values as pages of a B+ tree, written from front to end, and read.

A file is two meta pages, leaves with overflow pages for large values, and the branches, of which the last is the root.
Leaves are made in parts, each with page numbers from 0, which are moved when the parts are joined.
Layout: the structs MDB_page, MDB_node, MDB_meta and MDB_db of LMDB 0.9 on 64-bit little-endian machines.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import BinaryIO

from mnist_seq_cli.errors import FormatError

PAGE = 4096
META_PAGES = 2
MAGIC = struct.pack("<II", 0xBEEFC0DE, 1)
"""What is at offset 16 of a file: the magic number, and the version of the layout."""

_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_BIG = 1
_HEAD = struct.Struct("<QHHHH")
"""Page number, padding, flags, where the offsets of nodes end, and where the first node begins."""
_OVERFLOW_HEAD = struct.Struct("<QHHI")
_NODE = struct.Struct("<HHHH")
"""The size of a value, or a page number, in three parts; flags are the third of a leaf. Then the size of the key."""
_NUMBER = struct.Struct("<Q")
_MAX_NODE = (PAGE - _HEAD.size) // 2 - 2
"""Bytes of the largest node; larger values have pages of their own."""
_NONE = (1 << 64) - 1
_INTEGER_KEYS = 8
_DB = struct.Struct("<IHHQQQQQ")
"""Of a tree: the size of pages, flags, depth, how many branches, leaves, overflow pages and entries; and the root."""
_COUNT = b"num-samples"
_FANOUT = (PAGE - _HEAD.size) // 32
"""Children of a branch, with keys of up to 22 bytes."""
_MAX_PAGES = 1 << 16
_CACHED = 1 << 12
"""Branches that are held."""


def _page(number: int, flags: int, nodes: Sequence[bytes]) -> bytes:
    """Return a page; its nodes are from its end on."""
    offsets, end = [], PAGE
    for node in nodes:
        end -= len(node)
        offsets.append(end)
    head = _HEAD.pack(number, 0, flags, _HEAD.size + 2 * len(nodes), end) + struct.pack(f"<{len(nodes)}H", *offsets)
    return head + bytes(end - len(head)) + b"".join(reversed(nodes))


class Leaves:
    """Makes the leaves of a part, and the pages of large values before them, numbered as they come.

    Keys are a name and a number, `image-000000007`; those of a name are added in order, and are in leaves of their own.
    """

    def __init__(self) -> None:
        self.leaves = self.overflow = 0
        self._pages: list[bytes] = []
        self._nodes: dict[bytes, tuple[int, list[bytes]]] = {}

    def add(self, name: bytes, first: int, values: Iterable[bytes]) -> None:
        """Append values, with the numbers from `first` on."""
        used, nodes = self._nodes.get(name, (_HEAD.size, []))
        key_size, pack, key = len(name) + 10, _NODE.pack, name + b"-%09d"
        before = _NODE.size + key_size
        for number, value in enumerate(values, first):
            size = len(value)
            if before + size > _MAX_NODE:
                node = pack(size & 0xFFFF, size >> 16, _BIG, key_size) + key % number + self._large(value)
            else:
                node = pack(size, 0, 0, key_size) + key % number + value
            if len(node) % 2:
                node += b"\0"
            used += 2 + len(node)
            if used > PAGE:
                self._end(nodes)
                used, nodes = _HEAD.size + 2 + len(node), []
            nodes.append(node)
        self._nodes[name] = used, nodes

    def _large(self, value: bytes) -> bytes:
        """Give a value pages of its own; return the number of the first."""
        number, count = self.leaves + self.overflow, -(-(_HEAD.size + len(value)) // PAGE)
        self._pages.append((_OVERFLOW_HEAD.pack(number, 0, _OVERFLOW, count) + value).ljust(count * PAGE, b"\0"))
        self.overflow += count
        return _NUMBER.pack(number)

    def _end(self, nodes: list[bytes]) -> None:
        self._pages.append(_page(self.leaves + self.overflow, _LEAF, nodes))
        self.leaves += 1

    def taken(self, *, end: bool = False) -> bytes:
        """Return the pages since the last call; at the end, those that are not full, too."""
        if end:
            for _, nodes in self._nodes.values():
                self._end(nodes)
        pages, self._pages = self._pages, []
        return b"".join(pages)


def _chunks(pieces: Iterable[bytes], where: str) -> Iterator[tuple[bytearray, list[tuple[int, bool]]]]:
    """Yield some pages at a time, with the offset of each leaf and of the pages of each large value, and which it is.

    Raises FormatError, OSError.
    """
    held = bytearray()
    for piece in pieces:
        held += piece
        found, at = list[tuple[int, bool]](), 0
        while at + PAGE <= len(held):
            _, _, flags, lower, upper = _HEAD.unpack_from(held, at)
            size = PAGE * (lower + (upper << 16) if flags == _OVERFLOW else 1)
            if flags not in (_LEAF, _OVERFLOW) or not size:
                raise FormatError(f"{where} has pages that are damaged")
            if at + size > len(held):
                break
            found.append((at, flags == _LEAF))
            at += size
        chunk, held = (held, bytearray()) if at == len(held) else (held[:at], held[at:])
        yield chunk, found
    if held:
        raise FormatError(f"{where} has pages that are damaged")


def counted(pieces: Iterable[bytes], where: str) -> tuple[int, int]:
    """Return how many pages of a part are leaves, and how many are of large values. Raises FormatError, OSError."""
    leaves = pages = 0
    for chunk, found in _chunks(pieces, where):
        leaves += sum(is_leaf for _, is_leaf in found)
        pages += len(chunk) // PAGE
    return leaves, pages - leaves


def joined(parts: Sequence[tuple[tuple[int, int], Iterable[bytes]]], samples: int, names: int) -> Iterator[bytes]:
    """Yield the file of parts, which are their counts and their pages: so many samples, each with a value a name.

    `num-samples` is added. Raises FormatError where counts are not those of the pages; OSError.
    """
    leaves, overflow = (sum(counts[kind] for counts, _ in parts) for kind in range(2))
    leaves += 1
    widths = [leaves]
    while widths[-1] > 1:
        widths.append(-(-widths[-1] // _FANOUT))
    pages = META_PAGES + sum(widths) + overflow
    main = _DB.pack(0, 0, len(widths), sum(widths[1:]), leaves, overflow, samples * names + 1, pages - 1)
    free = _DB.pack(PAGE, _INTEGER_KEYS, 0, 0, 0, 0, 0, _NONE)
    for number in range(META_PAGES):
        head = _HEAD.pack(number, 0, _META, 0, 0) + MAGIC + struct.pack("<QQ", 0, pages * PAGE) + free + main
        yield (head + struct.pack("<QQ", pages - 1, number)).ljust(PAGE, b"\0")
    base = META_PAGES
    firsts: dict[bytes, tuple[array[int], array[int]]] = {}
    for counts, pieces in parts:
        start = base
        for chunk, found in _chunks(pieces, "a part"):
            for at, is_leaf in found:
                number = base + at // PAGE
                _NUMBER.pack_into(chunk, at, number)
                if is_leaf:
                    name, _, key = _moved(chunk, at, start if counts[1] else 0).rpartition(b"-")
                    keys, numbers = firsts.setdefault(name, (array("I"), array("Q")))
                    keys.append(int(key))
                    numbers.append(number)
            base += len(chunk) // PAGE
            yield bytes(chunk)
        if base - start != sum(counts):
            raise FormatError("the record of a part has other counts than its pages")
    last = str(samples).encode()
    yield _page(base, _LEAF, [_NODE.pack(len(last), 0, 0, len(_COUNT)) + _COUNT + last + bytes(len(last + _COUNT) % 2)])
    numbered = ((name, *entry) for name in sorted(firsts) for entry in zip(*firsts[name], strict=True))
    entries = ((b"%b-%09d" % (name, first), page) for name, first, page in numbered)
    yield from _branches(chain(entries, [(_COUNT, base)]), widths, base + 1)


def _moved(pages: bytearray, at: int, start: int) -> bytes:
    """Add what is before a part to the page numbers in the leaf at an offset, in place; return its first key."""
    lower = _HEAD.unpack_from(pages, at)[3]
    offsets = struct.unpack_from(f"<{(lower - _HEAD.size) // 2}H", pages, at + _HEAD.size)
    for offset in offsets if start else ():
        _, _, flags, size = _NODE.unpack_from(pages, at + offset)
        if flags & _BIG:
            field = at + offset + _NODE.size + size
            _NUMBER.pack_into(pages, field, _NUMBER.unpack_from(pages, field)[0] + start)
    first = at + offsets[0] + _NODE.size
    return bytes(pages[first : first + _NODE.unpack_from(pages, at + offsets[0])[3]])


def _branches(entries: Iterable[tuple[bytes, int]], widths: Sequence[int], number: int) -> Iterator[bytes]:
    """Yield the branches over leaves, of which the first key and the page are given, level by level, the root last.

    `widths` are how many pages each level has. Each branch has two children at least, as LMDB wants.
    """
    for width, above in pairwise(widths):
        below, entries = iter(entries), []
        for page in range(above):
            children = list(islice(below, width * (page + 1) // above - width * page // above))
            entries.append((children[0][0], number))
            nodes = []
            for key, child in [(b"", children[0][1]), *children[1:]]:  # the first key is never looked at
                node = _NODE.pack(child & 0xFFFF, child >> 16 & 0xFFFF, child >> 32, len(key)) + key
                nodes.append(node + bytes(len(node) % 2))
            yield _page(number, _BRANCH, nodes)
            number += 1


class Tree:
    """Finds values by their keys in a file; it holds branches, but no open file."""

    def __init__(self) -> None:
        self._known: tuple[Hashable, int] | None = None
        self._branches: dict[int, tuple[list[bytes], list[int]]] = {}

    def get(self, file: BinaryIO, identified: Hashable, key: bytes) -> bytes:
        """Return a value in a file, which is that of the last call where it is identified so.

        Raises FormatError, OSError.
        """
        try:
            if self._known is None or self._known[0] != identified:
                self._branches = {}
                self._known = identified, _root(_read(file, 0))
            number = self._known[1]
            while (known := self._branches.get(number)) or (page := _read(file, number))[10] & _BRANCH:
                if known is None:
                    known = _parsed(page)
                    if len(self._branches) >= _CACHED:
                        self._branches = {}
                    self._branches[number] = known
                child = known[1][max(0, bisect_right(known[0], key) - 1)]
                if child >= number:
                    raise FormatError("a branch is above its root")
                number = child
            return _found(file, page, key)
        except (struct.error, IndexError, ValueError) as error:
            raise FormatError(f"it has no sound {key.decode()} ({error})") from None


def _read(file: BinaryIO, number: int, pages: int = 1) -> bytes:
    if number >= 1 << 32 or pages > _MAX_PAGES:
        raise ValueError("a page has an impossible number or size")
    file.seek(number * PAGE)
    return file.read(pages * PAGE)


def _root(page: bytes) -> int:
    if page[_HEAD.size : _HEAD.size + len(MAGIC)] != MAGIC:
        raise ValueError("it is no LMDB file")
    return int(_DB.unpack_from(page, _HEAD.size + len(MAGIC) + 16 + _DB.size)[-1])


def _offsets(page: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f"<{(_HEAD.unpack_from(page)[3] - _HEAD.size) // 2}H", page, _HEAD.size)


def _key(page: bytes, offset: int) -> bytes:
    return page[offset + _NODE.size : offset + _NODE.size + _NODE.unpack_from(page, offset)[3]]


def _parsed(page: bytes) -> tuple[list[bytes], list[int]]:
    """Return keys and children of a branch."""
    parts = [_NODE.unpack_from(page, offset) for offset in _offsets(page)]
    children = [low | middle << 16 | high << 32 for low, middle, high, _ in parts]
    return [_key(page, offset) for offset in _offsets(page)], children


def _found(file: BinaryIO, page: bytes, key: bytes) -> bytes:
    """Return the value of a key that is in a leaf."""
    offsets = _offsets(page)
    offset = offsets[bisect_left(offsets, key, key=lambda offset: _key(page, offset))]
    if _key(page, offset) != key:
        raise ValueError("it is not where it should be")
    low, high, flags, size = _NODE.unpack_from(page, offset)
    start, length = offset + _NODE.size + size, low | high << 16
    if flags & _BIG:
        page = _read(file, _NUMBER.unpack_from(page, start)[0], -(-(_HEAD.size + length) // PAGE))
        start = _HEAD.size
    if len(page) < start + length:
        raise ValueError("it is truncated")
    return page[start : start + length]
