"""Owns reading: strips back to digits, exactly, by matching against a bank.

A reading is glyphs of the bank side by side that, painted on paper, give the strip pixel for pixel. Nothing is
recognised and nothing is guessed: a strip that was resized, cropped into a glyph, compressed with loss or made of
another bank has no reading. A glyph without ink looks like paper, and is read as paper.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.bank import Bank
from mnist_seq_cli.errors import CheckError

_BLOCK_BYTES = 1 << 20
"""Glyphs taken at a time to be indexed: they stay in the processor's second-level cache."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a strip shows, from left to right: `digits`, the ids of their `glyphs`, and left edges `x` in px.

    `inverted` is true for MNIST's own white ink on black paper. `glyph_width` is that of the bank, in px.
    """

    digits: tuple[int, ...]
    glyphs: tuple[int, ...]
    x: tuple[int, ...]
    inverted: bool
    glyph_width: int

    @property
    def gaps(self) -> tuple[int, ...]:
        """The columns of paper between neighbouring glyphs, in px: one fewer than there are digits."""
        return tuple(right - left - self.glyph_width for left, right in zip(self.x, self.x[1:], strict=False))


class _Box(NamedTuple):
    """A glyph on a strip: its left edge in px, and its place in the bank (its id less the bank's first)."""

    x: int
    place: int


class _DeadEnd(NamedTuple):
    """The furthest column of ink that no box explains, and the digits read before it; no column where no ink is."""

    digits: int
    column: int | None


class Reader:
    """Reads strips made of the glyphs of one bank. Holds an index of their content; never a copy of the images.

    The index costs about 30 ms for the 70,000 glyphs of MNIST, and a strip of four digits about 0.1 ms.
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        # A sorted array of checksums is quicker to build than a dict of as many entries, and keeps equal ones together,
        # lowest place first.
        checksums = _checksums(bank)
        order = np.argsort(checksums, kind="stable")
        self._checksums: list[int] = checksums[order].tolist()
        self._places: list[int] = order.tolist()

    def read(self, image: NDArray[np.uint8]) -> Reading:
        """Return what a strip shows: uint8 (height, width), ink 0 on paper 255, or inverted.

        Gaps of any width are found, and paper of any width at either end, but no overlaps. Of several readings it is
        the one whose glyphs stand furthest left, first glyph first; of glyphs that look alike, the one with the
        lowest id.

        Raises CheckError when the strip has another height than the glyphs, no ink, or ink that is not a glyph.
        """
        if image.dtype != np.uint8:
            raise CheckError(f"the strip holds {image.dtype} values", hint="give it as uint8, 0 black to 255 white")
        if image.shape[:-1] != (self._bank.height,):
            raise CheckError(
                f"the strip is {'×'.join(map(str, image.shape))} px (height × width), "
                f"and the glyphs of the source {self._bank.identity} are {self._bank.height} px high",
                hint="give the strip as it was made, grey and not resized",
            )
        # Most of a strip is paper. Glyphs that are mostly ink may prove that wrong, so the other polarity comes second.
        likely = bool(2 * np.count_nonzero(image) < image.size)
        dead_ends = []
        for inverted in (likely, not likely):
            ink = image if inverted else np.invert(image)
            found = self._match(ink)
            if not isinstance(found, _DeadEnd):
                return self._confirmed(found, ink, inverted)
            dead_ends.append(found)
        raise self._unread(max(dead_ends, key=lambda dead_end: dead_end.digits))

    def _match(self, ink: NDArray[np.uint8]) -> list[_Box] | _DeadEnd:
        """Cover all ink of a strip, ink 255 on paper 0, with boxes from left to right; or tell where that fails.

        Depth first, leftmost box first. What can stand to the right of a box depends only on where the box stands, so
        a left edge that was tried in vain never has to be tried again: the work grows with the width of the strip and
        no faster, whatever it shows.
        """
        width = self._bank.width
        last = ink.shape[1] - width
        inked: list[int] = np.flatnonzero(np.bitwise_or.reduce(ink, axis=0)).tolist()
        furthest = _DeadEnd(0, None)
        if not inked:
            return furthest
        tried: set[int] = set()
        boxes: list[_Box] = []
        end = 0
        while (nearest := bisect_left(inked, end)) < len(inked):
            column = inked[nearest]
            for x in range(max(end, column - width + 1), min(column, last) + 1):
                if x not in tried:
                    tried.add(x)
                    place = self._find(ink[:, x : x + width].tobytes())
                    if place is not None:
                        boxes.append(_Box(x, place))
                        break
            else:
                if furthest.column is None or column > furthest.column:
                    furthest = _DeadEnd(len(boxes), column)
                if not boxes:
                    return furthest
                boxes.pop()
            end = boxes[-1].x + width if boxes else 0
        return boxes

    def _find(self, content: bytes) -> int | None:
        """Return the lowest place of a glyph with exactly this content, row after row."""
        checksum = isal_zlib.crc32(content)
        for number in range(bisect_left(self._checksums, checksum), len(self._checksums)):
            if self._checksums[number] != checksum:
                break
            place = self._places[number]
            image = np.empty((1, len(content)), dtype=np.uint8)
            self._bank.take(np.array([place + self._bank.first_id], dtype=np.intp), out=image)
            if image.tobytes() == content:
                return place
        return None

    def _confirmed(self, boxes: list[_Box], ink: NDArray[np.uint8], inverted: bool) -> Reading:
        """Return the reading that the boxes are, after painting it again and comparing every pixel."""
        x, places = zip(*boxes, strict=True)
        glyphs = tuple(place + self._bank.first_id for place in places)
        painted = np.zeros_like(ink)
        for left, glyph in zip(x, self._bank.images(np.array(glyphs)), strict=True):
            painted[:, left : left + self._bank.width] = glyph
        if not np.array_equal(painted, ink):
            raise CheckError("the glyphs that were read do not give the strip again", hint="did a source file change?")
        digits = tuple(self._bank.labels[list(places)].tolist())
        return Reading(digits, glyphs, x, inverted, self._bank.width)

    def _unread(self, dead_end: _DeadEnd) -> CheckError:
        digits, column = dead_end
        if column is None:
            return CheckError("the strip is empty paper", hint="there is nothing to read")
        return CheckError(
            f"from column {column} on, the strip is not made of glyphs of the source {self._bank.identity}; "
            f"{digits} digit{' was' if digits == 1 else 's were'} read before it",
            hint="give the source it was made from; overlapping, resized and lossily compressed glyphs cannot be read",
        )


def _checksums(bank: Bank) -> NDArray[np.uint32]:
    """Return the CRC-32 of the content of every glyph, in order: uint32 (n,)."""
    size, count = bank.height * bank.width, len(bank)
    checksums = np.empty(count, dtype=np.uint32)
    cell = np.empty((min(max(_BLOCK_BYTES // size, 1), count), size), dtype=np.uint8)
    for start in range(0, count, len(cell)):
        stop = min(start + len(cell), count)
        block = cell[: stop - start]
        bank.take(np.arange(start, stop, dtype=np.intp) + bank.first_id, out=block)
        checksums[start:stop] = list(map(isal_zlib.crc32, block))
    return checksums
