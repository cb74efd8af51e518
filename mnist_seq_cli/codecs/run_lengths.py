"""Owns zlib streams of rows in which many bytes repeat, as in strips: literals and runs under one fixed Huffman code.

All rows are packed at once, by NumPy. As no code is made for each of them, strips take half the time that they take at
level 3 of ISA-L, and an eighth fewer bytes; and the bytes are the same on every machine. Layout: zlib (RFC 1950) and
deflate (RFC 1951), one block with dynamic codes (section 3.2.7), whose matches all have distance 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs.compression import LEVELS

_CODE = (
    (4, 1), (5, 1), (4, 1), (5, 1), (8, 2), (9, 246), (6, 3), (3, 1), (10, 1),
    (7, 1), (8, 6), (7, 2), (6, 4), (7, 2), (8, 4), (9, 4), (11, 6),
)  # fmt: skip
"""Bits of the codes of literals 0 to 255, of the end, and of lengths, each with how many symbols have them.

A Huffman code of MNIST strips, plain and inverted, narrow and wide, slanted and thickened, of which similar values were
taken together.
"""
_DISTANCE_BITS = 1
_BITS_OF_BITS = {1: 4, 3: 4, 4: 4, 5: 4, 6: 3, 7: 3, 8: 3, 9: 3, 10: 4, 11: 4, 16: 3}
"""Bits of the codes that say how long those codes are; 16 repeats the one before, 3 to 6 times."""
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
_END, _LENGTHS = 256, 257
_EXTRA_BITS = (0,) * 8 + (1,) * 4 + (2,) * 4 + (3,) * 4 + (4,) * 4 + (5,) * 4 + (0,)
_MATCH = 258
"""The longest match, which has a symbol of its own."""
_LONGEST = _MATCH + 1
"""Bytes of the longest run: a literal, and a match of that length at distance 1."""

_CHUNK = 1 << 18
"""Bytes that are packed at a time: what is known of them stays in the processor's second-level cache."""
_CROWDED = 0.4
"""Runs for each byte from which a row, such as one of noise, is left to ISA-L."""
_OF_MASKS = 31
"""The largest byte of rows that are left to ISA-L, too: the few values of masks are worth a code of their own."""
_BITS_AT = np.uint64(58)
_CODE_MASK = np.uint64((1 << 58) - 1)
_ONE, _LAST = np.uint64(1), np.uint64(63)


class _Known(NamedTuple):
    """The header and the end of each stream, as bits; and by byte and length of a run its code, its bits on top."""

    header: NDArray[np.uint64]
    header_bits: int
    end: np.uint64
    end_bits: int
    runs: NDArray[np.uint64]


def compress(rows: NDArray[np.uint8]) -> list[bytes]:
    """Return each row of bytes, uint8 (n, size), as a zlib stream, whatever the other rows are."""
    streams: list[bytes] = []
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    for first in range(0, len(rows), step):
        streams += _compressed(np.ascontiguousarray(rows[first : first + step]))
    return streams


def _compressed(rows: NDArray[np.uint8]) -> list[bytes]:
    starts, runs = _starts(rows)
    left = (runs > _CROWDED * rows.shape[1]) | (rows.max(axis=1) <= _OF_MASKS)
    if not left.any():
        return _packed(rows, starts, runs)
    packed = iter(_packed(rest, *_starts(rest)) if len(rest := rows[~left]) else [])
    return [
        isal_zlib.compress(row, LEVELS["small"]) if is_left else next(packed)
        for row, is_left in zip(rows, left.tolist(), strict=True)
    ]


def _starts(rows: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of equal bytes begin in all rows, as if they followed each other; and how many each has.

    A run that is too long for a code is several.
    """
    begins = np.empty(rows.shape, dtype=bool)
    begins[:, :1] = True
    np.not_equal(rows[:, 1:], rows[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=rows.size)
    if len(long := np.flatnonzero(lengths > _LONGEST)):
        pieces = (lengths[long] - 1) // _LONGEST
        numbers = np.arange(1, pieces.sum() + 1) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        starts = np.insert(starts, np.repeat(long + 1, pieces), np.repeat(starts[long], pieces) + numbers * _LONGEST)
    return starts, np.diff(np.searchsorted(starts, np.arange(0, rows.size + 1, rows.shape[1])))


def _packed(rows: NDArray[np.uint8], starts: NDArray[np.intp], runs: NDArray[np.intp]) -> list[bytes]:
    """Return rows as streams, of which it is known where runs begin, and how many each has."""
    known, (count, size) = _known(), rows.shape
    places = np.diff(starts, append=rows.size)
    places += rows.reshape(-1).take(starts) * np.intp(_LONGEST + 1)
    codes = known.runs.take(places)
    bits = (codes >> _BITS_AT).view(np.int64)
    codes &= _CODE_MASK
    stops = np.cumsum(bits)
    ends = stops[np.cumsum(runs) - 1]  # of all runs of a row, as if rows followed each other
    in_row = np.diff(ends, prepend=0)
    sizes = known.header_bits + in_row + known.end_bits
    words = sizes // 64 + 2  # no bits of two rows are in one word
    first_words = np.cumsum(words) - words
    begin = 64 * first_words + known.header_bits
    packed = np.zeros(int(words.sum()), dtype=np.uint64)
    packed[first_words[:, None] + np.arange(len(known.header))] = known.header
    stops -= bits
    stops += np.repeat(begin - (ends - in_row), runs)
    _put(packed, codes, stops)
    _put(packed, np.full(count, known.end), begin + in_row)
    content, plain = packed.astype("<u8", copy=False).tobytes(), memoryview(rows.reshape(-1).data)
    each = zip((8 * first_words).tolist(), (-(-sizes // 8)).tolist(), range(0, count * size, size), strict=True)
    return [
        content[start : start + stop] + isal_zlib.adler32(plain[at : at + size]).to_bytes(4, "big")
        for start, stop, at in each
    ]


def _put(words: NDArray[np.uint64], codes: NDArray[np.uint64], offsets: NDArray[np.int64]) -> None:
    """Put codes of fewer than 64 bits at rising offsets in bits, the first bit of each lowest, which were 0."""
    at, shift = offsets >> 6, (offsets & 63).view(np.uint64)
    lasts = np.append(np.flatnonzero(at[1:] != at[:-1]), len(at) - 1)
    words[at[lasts]] |= np.bitwise_or.reduceat(codes << shift, np.append(0, lasts[:-1] + 1))
    words[at[lasts] + 1] |= codes[lasts] >> _ONE >> (_LAST - shift[lasts])


@cache
def _known() -> _Known:
    bits = [size for size, count in _CODE for _ in range(count)]
    codes = _codes(dict(enumerate(bits)))
    header, header_bits = _joined(_header())
    ones = np.array([_joined([(codes[literal], bits[literal])]) for literal in range(_END)], dtype=np.uint64).T
    runs = [np.zeros((2, _END), dtype=np.uint64)]
    for _ in range(3):
        runs.append(_after(runs[-1], ones))
    runs += [_after(ones, np.array(match, dtype=np.uint64)) for match in _matches(codes, bits)]
    table = np.array([code | size << _BITS_AT for code, size in runs]).T
    words = np.frombuffer(header.to_bytes(-(-header_bits // 64) * 8, "little"), "<u8").astype(np.uint64)
    return _Known(words, header_bits, np.uint64(codes[_END]), bits[_END], np.ascontiguousarray(table).reshape(-1))


def _after(fields: NDArray[np.uint64], more: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return fields, uint64 (2, n), their values and their bits, with another after each."""
    return np.array([fields[0] | more[0] << fields[1], fields[1] + more[1]])


def _matches(codes: dict[int, int], bits: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the fields of matches of 3 to 258 bytes at distance 1 as one, with its bits."""
    lengths = ((symbol, more) for symbol, extra in enumerate(_EXTRA_BITS) for more in range(1 << extra))
    for symbol, more in (*islice(lengths, _MATCH - 3), (len(_EXTRA_BITS) - 1, 0)):
        length = codes[_LENGTHS + symbol], bits[_LENGTHS + symbol]
        yield _joined([length, (more, _EXTRA_BITS[symbol]), (0, _DISTANCE_BITS)])


def _header() -> Iterable[tuple[int, int]]:
    """Yield the fields before the codes of a stream, each with its bits."""
    codes = _codes(_BITS_OF_BITS)
    yield from ((0x0178, 16), (1, 1), (2, 2))  # a window of 32 KB; the last block, with codes of its own
    yield from ((sum(count for _, count in _CODE) - _LENGTHS, 5), (0, 5), (len(_ORDER) - 4, 4))
    yield from ((_BITS_OF_BITS.get(symbol, 0), 3) for symbol in _ORDER)
    for size, count in (*_CODE, (_DISTANCE_BITS, 1)):
        yield codes[size], _BITS_OF_BITS[size]
        rest = count - 1
        while rest >= 3:
            yield from ((codes[16], _BITS_OF_BITS[16]), (min(rest, 6) - 3, 2))
            rest -= min(rest, 6)
        yield from [(codes[size], _BITS_OF_BITS[size])] * rest


def _codes(bits: dict[int, int]) -> dict[int, int]:
    """Return the canonical code of each symbol, its first bit lowest (RFC 1951, section 3.2.2)."""
    codes, code, before = {}, 0, 0
    for symbol in sorted(bits, key=lambda symbol: (bits[symbol], symbol)):
        code <<= bits[symbol] - before
        before = bits[symbol]
        codes[symbol] = int(f"{code:0{before}b}"[::-1], 2)
        code += 1
    return codes


def _joined(fields: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return fields, each with its bits, as one, the first lowest."""
    joined = bits = 0
    for field, size in fields:
        joined |= field << bits
        bits += size
    return joined, bits
