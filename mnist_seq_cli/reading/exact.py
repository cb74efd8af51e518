"""Owns reading: strips back to digits, exactly, by matching against a bank.

A reading is glyphs of the bank that, painted on the background, give the strip pixel for pixel. Nothing is recognised
and nothing is guessed: a strip that was resized, cropped into a glyph, compressed with loss or made of another bank has
no reading. A glyph without ink looks like background, and is read as background.

Strips as high as their glyphs, side by side, are read by whole boxes. All others are read by their ink: with margins on
any side, glyphs further up or down than others, boxes that overlap, ink that touches or overlaps a little.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.reading.ink_search import DeadEnd, Finder, Spot

_BLOCK_BYTES = 1 << 20
"""Glyphs taken at a time to be indexed: they stay in the processor's second-level cache."""

_MANY = 32
"""Strips for which the second index is worth its cost."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The digits of a strip, from left to right, and the ids of their `glyphs`.

    `x` and `y` are the left and top edges of the glyphs' boxes in px, beyond those of the strip where it was cropped
    into the margin of a glyph. `inverted` is true for MNIST's own white ink on black. `glyph_width` is in px.
    """

    digits: tuple[int, ...]
    glyphs: tuple[int, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]
    inverted: bool
    glyph_width: int

    @property
    def gaps(self) -> tuple[int, ...]:
        """The columns between neighbouring boxes in px, below 0 where they overlap: one fewer than there are digits."""
        return tuple(right - left - self.glyph_width for left, right in pairwise(self.x))


class _Starts(NamedTuple):
    """Glyphs by the checksum of their first `columns` columns from where their ink begins, in order of checksum.

    `margins` are the empty columns before that. Left out are glyphs without ink, and those that begin alike: of such,
    one may be the other moved to the right. Where ink begins like that of any of the others, no other glyph of the bank
    can be, neither there nor further left, so that the search would find nothing else.
    """

    columns: int
    checksums: NDArray[np.uint32]
    offsets: NDArray[np.intp]
    margins: NDArray[np.intp]


class Reader:
    """Reads strips made of the glyphs of one bank. Holds an index of their content; never a copy of the images.

    The index costs about 30 ms for the 70,000 glyphs of MNIST, and a strip of four digits about 0.1 ms; of many strips
    at once, some 0.01 ms each, after 0.1 s for a second index. By their ink strips cost 0.1 ms each, after 0.2 s for a
    third.
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        # A sorted array of checksums is quicker to build than a dict of as many entries, and keeps equal ones together,
        # lowest offset first.
        checksums = _checksums(bank)
        order = np.argsort(checksums, kind="stable")
        self._checksums: list[int] = checksums[order].tolist()
        self._offsets: list[int] = order.tolist()
        self._digits = bank.labels.tobytes()

    def read_all(self, images: NDArray[np.uint8]) -> Iterator[Reading | CheckError]:
        """Yield the reading of each of many strips, uint8 (n, height, width), or the error that `read` raises."""
        if images.dtype != np.uint8 or images.ndim != 3:
            yield from map(_refusal, images)
            return
        results: dict[int, Reading | CheckError] = {}
        if len(images) >= _MANY and images.shape[1] == self._bank.height:
            results.update(self._read_at_once(images))
        dead_ends: dict[int, DeadEnd | None] = {}
        for number, image in enumerate(images):
            if number not in results:
                by_boxes = self._read_by_boxes(image)
                if by_boxes is None or isinstance(by_boxes, DeadEnd):
                    dead_ends[number] = by_boxes
                else:
                    results[number] = by_boxes
        if dead_ends:
            by_ink = self._read_by_ink(images[list(dead_ends)])
            for (number, dead_end), result in zip(dead_ends.items(), by_ink, strict=True):
                results[number] = self._unread(dead_end or result) if isinstance(result, DeadEnd) else result
        yield from map(results.__getitem__, range(len(images)))

    def _read_at_once(self, images: NDArray[np.uint8]) -> dict[int, Reading]:
        """Return the readings of those strips whose every glyph is known by its first columns of ink, by number."""
        starts, width, count = self._starts, self._bank.width, len(images)
        canvas = images.shape[2]
        readings: dict[int, Reading] = {}
        if canvas < width or not len(starts.offsets):
            return readings
        white = np.count_nonzero(images.reshape(count, -1), axis=1) * 2 < images[0].size
        ink = images ^ np.where(white, 0, 255).astype(np.uint8)[:, None, None]
        columns = np.where(np.bitwise_or.reduce(ink, axis=1) != 0, np.arange(canvas), canvas)
        following = np.full((count, canvas + 1), canvas, dtype=np.intp)  # the next column of ink, from each on
        following[:, :canvas] = np.minimum.accumulate(columns[:, ::-1], axis=1)[:, ::-1]
        left, ends = np.arange(count), np.zeros(count, dtype=np.intp)
        boxes: list[list[Spot]] = [[] for _ in range(count)]
        while len(left):
            column = following[left, ends[left]]
            for number in left[column == canvas].tolist():
                if boxes[number]:
                    readings[number] = self._reading(boxes[number], bool(white[number]))
            here = np.flatnonzero(column <= canvas - starts.columns)
            left, column = left[here], column[here]
            checksums = np.fromiter(map(isal_zlib.crc32, _windows(ink, left, column, starts.columns)), np.uint32)
            nearest = np.minimum(np.searchsorted(starts.checksums, checksums), len(starts.checksums) - 1)
            offset, x = starts.offsets[nearest], column - starts.margins[nearest]
            sound = (starts.checksums[nearest] == checksums) & (x >= ends[left]) & (x + width <= canvas)
            left, offset, x = left[sound], offset[sound], x[sound]
            glyphs = np.empty((len(left), self._bank.height * width), dtype=np.uint8)
            self._bank.take(offset + self._bank.first_id, out=glyphs)
            same = (_windows(ink, left, x, width) == glyphs).all(axis=1)
            left, offset, x = left[same], offset[same], x[same]
            for number, edge, one in zip(left.tolist(), x.tolist(), offset.tolist(), strict=True):
                boxes[number].append(Spot(edge, 0, one))
            ends[left] = x + width
        return readings

    @cached_property
    def _starts(self) -> _Starts:
        return _starts(self._bank)

    def read(self, image: NDArray[np.uint8]) -> Reading:
        """Return the reading of a strip: uint8 (height, width), ink 0 on background 255, or inverted.

        Of several ways to read it side by side it is the one whose glyphs are furthest left, first glyph first; of
        glyphs that look alike, the one with the lowest id.

        Raises CheckError when the strip has no ink, ink that is not that of glyphs, or glyphs that lie on each other so
        that their order cannot be seen.
        """
        (result,) = self.read_all(image[None])
        if isinstance(result, CheckError):
            raise result
        return result

    def _read_by_boxes(self, image: NDArray[np.uint8]) -> Reading | CheckError | DeadEnd | None:
        """Return the reading of a strip by whole boxes, or where that fails; None for a strip of another height."""
        if len(image) != self._bank.height:
            return None
        # Most of a strip is background, unless glyphs are mostly ink: so the other polarity comes second.
        likely = bool(2 * np.count_nonzero(image) < image.size)
        dead_ends = []
        for inverted in (likely, not likely):
            ink = image if inverted else np.invert(image)
            boxes = self._match(ink)
            if not isinstance(boxes, DeadEnd):
                return self._confirmed(boxes, ink, inverted)
            dead_ends.append(boxes)
        return max(dead_ends, key=lambda dead_end: dead_end.digits)

    def _read_by_ink(self, images: NDArray[np.uint8]) -> list[Reading | CheckError | DeadEnd]:
        """Return the readings of strips of one size by the ink of glyphs, or where that fails."""
        likely = np.count_nonzero(images.reshape(len(images), -1), axis=1) * 2 < images[0].size
        results: list[Reading | CheckError | DeadEnd] = [DeadEnd(0, None)] * len(images)
        left = np.arange(len(images))
        for inverted in (likely, ~likely):
            ink = images[left] ^ np.where(inverted[left], 0, 255).astype(np.uint8)[:, None, None]
            for number, spots in zip(left.tolist(), self._finder.find(ink), strict=True):
                if not isinstance(spots, DeadEnd):
                    results[number] = self._in_order(spots, bool(inverted[number]))
                elif inverted is likely:
                    results[number] = spots
            left = np.array([number for number, result in enumerate(results) if isinstance(result, DeadEnd)], np.intp)
        return results

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self._bank)

    def _in_order(self, spots: list[Spot], inverted: bool) -> Reading | CheckError:
        """Return the reading that glyphs on a strip are, if there is one order only to read them in."""
        x, _, offsets = (np.array(values) for values in zip(*spots, strict=True))
        ink = x + self._bank.ink(offsets + self._bank.first_id)[:, 0]
        if (np.diff(x) <= 0).any() or (np.diff(ink) <= 0).any():
            return CheckError("glyphs lie on each other, and their order cannot be seen", hint="let them overlap less")
        return self._reading(spots, inverted)

    def _match(self, ink: NDArray[np.uint8]) -> list[Spot] | DeadEnd:
        """Return boxes from left to right that cover all ink of a strip, ink 255 on background 0; or where that fails.

        Depth first, leftmost box first. What fits to the right of a box depends only on its left edge, so an edge that
        was tried in vain never has to be tried again: the work grows with the width of the strip and no faster.
        """
        width = self._bank.width
        last = ink.shape[1] - width
        inked: list[int] = np.flatnonzero(np.bitwise_or.reduce(ink, axis=0)).tolist()
        furthest = DeadEnd(0, None)
        if not inked:
            return furthest
        tried: set[int] = set()
        boxes: list[Spot] = []
        end = 0
        while (nearest := bisect_left(inked, end)) < len(inked):
            column = inked[nearest]
            for x in range(max(end, column - width + 1), min(column, last) + 1):
                if x not in tried:
                    tried.add(x)
                    offset = self._find(ink[:, x : x + width].tobytes())
                    if offset is not None:
                        boxes.append(Spot(x, 0, offset))
                        break
            else:
                if furthest.column is None or column > furthest.column:
                    furthest = DeadEnd(len(boxes), column)
                if not boxes:
                    return furthest
                boxes.pop()
            end = boxes[-1].x + width if boxes else 0
        return boxes

    def _find(self, content: bytes) -> int | None:
        """Return the lowest offset of a glyph with exactly this content, row after row."""
        checksum = isal_zlib.crc32(content)
        for number in range(bisect_left(self._checksums, checksum), len(self._checksums)):
            if self._checksums[number] != checksum:
                break
            offset = self._offsets[number]
            image = np.empty((1, len(content)), dtype=np.uint8)
            self._bank.take(np.array([offset + self._bank.first_id], dtype=np.intp), out=image)
            if image.tobytes() == content:
                return offset
        return None

    def _confirmed(self, boxes: list[Spot], ink: NDArray[np.uint8], inverted: bool) -> Reading | CheckError:
        """Return the reading of the boxes, after painting it again and comparing every pixel."""
        reading = self._reading(boxes, inverted)
        painted = np.zeros_like(ink)
        for left, glyph in zip(reading.x, self._bank.images(np.array(reading.glyphs)), strict=True):
            painted[:, left : left + self._bank.width] = glyph
        if not np.array_equal(painted, ink):
            return CheckError("the glyphs that were read do not give the strip again", hint="did a source file change?")
        return reading

    def _reading(self, boxes: list[Spot], inverted: bool) -> Reading:
        x, y, offsets = zip(*boxes, strict=True)
        digits = tuple(map(self._digits.__getitem__, offsets))
        glyphs = tuple(offset + self._bank.first_id for offset in offsets)
        return Reading(digits, glyphs, x, y, inverted, self._bank.width)

    def _unread(self, dead_end: DeadEnd) -> CheckError:
        digits, column = dead_end
        if column is None:
            return CheckError("the strip is blank", hint="there is nothing to read")
        return CheckError(
            f"from column {column} on, the strip is not made of glyphs of the source {self._bank.identity}; "
            f"{digits} digit{' was' if digits == 1 else 's were'} read before it",
            hint="give the source it was made from; glyphs that overlap much, or are changed, cannot be read exactly",
        )


def _refusal(image: NDArray[Any]) -> CheckError:
    if image.dtype != np.uint8:
        return CheckError(f"the strip holds {image.dtype} values", hint="give it as uint8, 0 black to 255 white")
    shape = "×".join(map(str, image.shape))
    return CheckError(f"the strip is {shape} px, not height × width", hint="give it grey, as it was made")


def _checksums(bank: Bank) -> NDArray[np.uint32]:
    """Return the CRC-32 of every glyph, in order: uint32 (n,)."""
    checksums = np.empty(len(bank), dtype=np.uint32)
    for start, block in _blocks(bank):
        checksums[start : start + len(block)] = list(map(isal_zlib.crc32, block))
    return checksums


def _blocks(bank: Bank) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the glyphs of a bank a block at a time: the offset of the first, and uint8 (n, height * width)."""
    size, count = bank.height * bank.width, len(bank)
    cell = np.empty((min(max(_BLOCK_BYTES // size, 1), count), size), dtype=np.uint8)
    for start in range(0, count, len(cell)):
        block = cell[: min(len(cell), count - start)]
        bank.take(np.arange(start, start + len(block), dtype=np.intp) + bank.first_id, out=block)
        yield start, block


def _starts(bank: Bank) -> _Starts:
    count, shape = len(bank), (-1, bank.height, bank.width)
    inked = np.empty((count, bank.width), dtype=np.bool_)
    for start, block in _blocks(bank):
        inked[start : start + len(block)] = np.bitwise_or.reduce(block.reshape(shape), axis=1) != 0
    margins = inked.argmax(axis=1)
    offsets = np.flatnonzero(inked.any(axis=1))
    columns = int(bank.width - margins[offsets].max(initial=0))
    checksums = np.empty(count, dtype=np.uint32)
    for start, block in _blocks(bank):
        here = np.arange(len(block))
        windows = _windows(block.reshape(shape), here, margins[start : start + len(block)], columns)
        checksums[start : start + len(block)] = list(map(isal_zlib.crc32, windows))
    sums, first, times = np.unique(checksums[offsets], return_index=True, return_counts=True)
    chosen = offsets[first[times == 1]]
    return _Starts(columns, sums[times == 1], chosen, margins[chosen])


def _windows(
    images: NDArray[np.uint8], numbers: NDArray[np.intp], columns: NDArray[np.intp], width: int
) -> NDArray[np.uint8]:
    """Return `width` columns of some images, each from its own on: uint8 (n, height * width)."""
    height, across = images.shape[1:]
    every_byte = np.ndarray((images.size - width + 1,), f"V{width}", np.ascontiguousarray(images), strides=(1,))
    lines = np.arange(0, height * across, across, dtype=np.intp)
    begin = (numbers * (height * across) + columns)[:, None] + lines
    windows: NDArray[np.uint8] = every_byte[begin.reshape(-1)].view(np.uint8)
    return windows.reshape(len(numbers), height * width)
