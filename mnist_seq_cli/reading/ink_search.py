"""Owns finding glyphs by their ink: those of a bank on strips, pixel for pixel, whatever is around them.

A glyph is known by two columns in the middle of its ink. Wherever a strip has these, the glyph is laid on it; what is
no darker than the strip anywhere is a candidate. Those glyphs are found that no other one could replace, if together
they give all ink of the strip, of which the darkest is seen. So boxes may overlap, and so may ink, but not its middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.mnist.bank import Bank

MAX_PIXELS = 16_000_000
"""Pixels of the strips that are looked at together, at most."""

_BASE, _BESIDE = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
"""Odd numbers whose bits are well mixed: a row and a column further, a pixel counts so many times as much."""

_ALIKE = 8
"""Glyphs of which the middle is the same, at most: more are not distinguished by it, and not found."""

_BLOCK_BYTES = 4 << 20
"""Bytes of glyphs that are compared at a time."""


class Spot(NamedTuple):
    """A glyph on a strip: left and top edge of its box in px, and its offset in the bank (its id less the first)."""

    x: int
    y: int
    offset: int


class DeadEnd(NamedTuple):
    """The first column of ink that no glyph explains, and the digits before it; no column where no ink is."""

    digits: int
    column: int | None


class _Candidates(NamedTuple):
    """Glyphs that may be on strips, each intp (n,): the strip's number, left and top edge in px, and the offset."""

    strips: NDArray[np.intp]
    x: NDArray[np.intp]
    y: NDArray[np.intp]
    offsets: NDArray[np.intp]

    def of(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> _Candidates:
        """Return some of them."""
        return _Candidates(*(values[which] for values in self))

    @property
    def ranks(self) -> NDArray[np.intp]:
        """The number of those of the same strip before each; those of a strip follow each other."""
        starts = np.flatnonzero(np.diff(self.strips, prepend=-1))
        return np.arange(len(self.strips)) - np.repeat(starts, np.diff(starts, append=len(self.strips)))


class Finder:
    """Finds the glyphs of one bank. Holds 40 bytes a glyph; never a copy of the images."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        ink = bank.ink(np.arange(bank.first_id, bank.first_id + len(bank)))
        offsets = np.flatnonzero(ink[:, 2])
        keys = np.empty(len(offsets), dtype=np.uint64)
        columns, bottoms = (np.empty(len(offsets), dtype=np.intp) for _ in range(2))
        for block in _blocks(len(offsets), bank.height * bank.width):
            images = self._images(offsets[block])
            middle = ink[offsets[block], 0] + (ink[offsets[block], 2] - 1) // 2
            from_middle = np.abs(np.arange(bank.width) - middle[:, None])
            columns[block] = np.where(images.any(axis=1), from_middle, bank.width).argmin(axis=1)
            here = columns[block, None], np.arange(len(images))[:, None]
            pairs = np.pad(images, ((0, 0), (0, 0), (0, 1)))[here[1], :, here[0] + np.arange(2)]
            keys[block], bottoms[block] = (values[:, 0] for values in _middles(pairs.transpose(0, 2, 1)))
        order = np.argsort(keys, kind="stable")
        order = order[self._first_of_alike(keys[order], offsets[order])]
        self._keys, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        counts[counts > _ALIKE] = 0
        self._starts, self._counts = starts, counts
        self._offsets, self._columns, self._bottoms = offsets[order], columns[order], bottoms[order]

    def _first_of_alike(self, keys: NDArray[np.uint64], offsets: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether glyphs, in the order of their keys, have other ink than those of the same key before them."""
        first = np.ones(len(keys), dtype=np.bool_)
        seen: set[tuple[int, bytes]] = set()
        for number in np.flatnonzero(np.diff(keys) == 0).tolist():
            if not number or keys[number] != keys[number - 1]:
                seen = {self._ink(int(offsets[number]))}
            content = self._ink(int(offsets[number + 1]))
            first[number + 1] = content not in seen
            seen.add(content)
        return first

    def _ink(self, offset: int) -> tuple[int, bytes]:
        """Return the width of the ink of a glyph, and the ink without the background around it."""
        (x, y, width, height), *_ = self._bank.ink(np.array([offset + self._bank.first_id])).tolist()
        return width, self._images(np.array([offset]))[0, y : y + height, x : x + width].tobytes()

    def _images(self, offsets: NDArray[np.intp]) -> NDArray[np.uint8]:
        images = np.empty((len(offsets), self._bank.height * self._bank.width), dtype=np.uint8)
        self._bank.take(offsets + self._bank.first_id, out=images)
        return images.reshape(-1, self._bank.height, self._bank.width)

    def find(self, ink: NDArray[np.uint8]) -> list[list[Spot] | DeadEnd]:
        """Return for each of some strips, uint8 (n, height, width) with ink 255 on background 0, the glyphs that it is.

        They come by their left edges. Of glyphs with the same ink it is the one with the lowest id. Of strips that have
        more than 16,000,000 px together, none is looked at.
        """
        results: list[list[Spot] | DeadEnd] = [DeadEnd(0, column) for column in _first_columns(ink != 0)]
        if not 0 < ink.size <= MAX_PIXELS or not len(self._keys):
            return results
        found = self._candidates(ink)
        if not len(found.strips):
            return results
        looked_at, strips = np.unique(found.strips, return_inverse=True)
        found = found._replace(strips=strips.reshape(-1))
        # with room for a whole glyph on all sides, so that none is outside
        canvas = np.pad(ink[looked_at], ((0, 0), (self._bank.height,) * 2, (self._bank.width,) * 2))
        found = found.of(np.concatenate([same.any(axis=(1, 2)) & sound for same, sound in self._laid(canvas, found)]))
        covers, needed = self._covered(canvas, found)
        if not needed.all():
            found = found.of(needed)
            covers, _ = self._covered(canvas, found)
        found = found.of(np.lexsort((found.x, found.strips)))
        return self._results(results, looked_at, canvas, covers, found)

    def _candidates(self, ink: NDArray[np.uint8]) -> _Candidates:
        """Return the glyphs whose middles are somewhere on the strips, in the order of strips and columns."""
        keys, bottoms = _middles(np.pad(ink, ((0, 0), (0, 0), (0, 1))))
        strips, columns = np.nonzero(bottoms >= 0)
        nearest = np.minimum(np.searchsorted(self._keys, keys[strips, columns]), len(self._keys) - 1)
        known = self._keys[nearest] == keys[strips, columns]
        strips, columns, nearest = strips[known], columns[known], nearest[known]
        counts = self._counts[nearest]
        entries = np.repeat(self._starts[nearest] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        strips, columns = np.repeat(strips, counts), np.repeat(columns, counts)
        x, y = columns - self._columns[entries], bottoms[strips, columns] - self._bottoms[entries]
        return _Candidates(strips, x, y, self._offsets[entries])

    def _windows(self, canvas: NDArray[np.uint8], found: _Candidates) -> NDArray[np.intp]:
        """Return the offsets in bytes of the rows of glyphs on a padded canvas: intp (n, height)."""
        height, width = self._bank.height, self._bank.width
        lines = (found.y + height)[:, None] + np.arange(height)
        begin: NDArray[np.intp] = (found.strips[:, None] * canvas.shape[1] + lines) * canvas.shape[2]
        return begin + (found.x + width)[:, None]

    def _laid(
        self, canvas: NDArray[np.uint8], found: _Candidates
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield of some glyphs at a time where the strip shows their ink, and whether they may be there at all."""
        height, width = self._bank.height, self._bank.width
        for block in _blocks(len(found.strips), height * width):
            here = found.of(block)
            glyphs = self._images(here.offsets)
            seen = _items(canvas, width)[self._windows(canvas, here)].view(np.uint8).reshape(glyphs.shape)
            yield (glyphs == seen) & (glyphs != 0), np.asarray((glyphs <= seen).all(axis=(1, 2)))

    def _covered(self, canvas: NDArray[np.uint8], found: _Candidates) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the number of glyphs on each pixel of the canvas, 2 for more, and which of them none can replace.

        The first is uint8, of the shape of the canvas; the second bool (n,).
        """
        width, ranks = self._bank.width, found.ranks
        covers = np.zeros_like(canvas)
        rows = _items(covers, width)
        for rank in range(int(ranks.max(initial=-1)) + 1):
            here = found.of(ranks == rank)
            windows = self._windows(canvas, here)
            same = np.concatenate([same for same, _ in self._laid(canvas, here)]).reshape(-1, width)
            covered = np.minimum(rows[windows].view(np.uint8).reshape(-1, width) + same, 2)
            rows[windows.reshape(-1)] = covered.view(f"V{width}")[:, 0]
        needed = np.zeros(len(found.strips), dtype=np.bool_)
        start = 0
        for same, _ in self._laid(canvas, found):
            stop = start + len(same)
            alone = rows[self._windows(canvas, found.of(slice(start, stop)))].view(np.uint8).reshape(same.shape) == 1
            needed[start:stop] = (same & alone).any(axis=(1, 2))
            start = stop
        return covers, needed

    def _results(
        self,
        results: list[list[Spot] | DeadEnd],
        looked_at: NDArray[np.intp],
        canvas: NDArray[np.uint8],
        covers: NDArray[np.uint8],
        found: _Candidates,
    ) -> list[list[Spot] | DeadEnd]:
        ends = np.searchsorted(found.strips, np.arange(len(looked_at) + 1)).tolist()
        spots = list(map(Spot, found.x.tolist(), found.y.tolist(), found.offsets.tolist()))
        for index, column in enumerate(_first_columns((canvas != 0) & (covers == 0))):
            number, here = int(looked_at[index]), slice(*ends[index : index + 2])
            if column is None:
                results[number] = spots[here]
                continue
            ink = self._bank.ink(found.offsets[here] + self._bank.first_id)
            before = found.x[here] + ink[:, 0] + ink[:, 2] <= column - self._bank.width
            results[number] = DeadEnd(int(np.count_nonzero(before)), column - self._bank.width)
        return results


def _first_columns(mask: NDArray[np.bool_]) -> list[int | None]:
    """Return for each of some images the first column in which something is set."""
    found: list[int | None] = [None] * len(mask)
    numbers, columns = np.nonzero(mask.any(axis=1))
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    for number, column in zip(numbers[firsts].tolist(), columns[firsts].tolist(), strict=True):
        found[number] = column
    return found


def _middles(ink: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Return for each column but the last, and the one beside it, a key of their ink, and the last row of it, or -1.

    uint64 and intp (n, width - 1). The key is the same however far up or down the ink is.
    """
    count, height, width = ink.shape
    sums, bottoms = np.zeros((count, width), dtype=np.uint64), np.full((count, width), -1, dtype=np.intp)
    for row in range(height):  # Horner's rule, modulo 2 ** 64
        sums *= np.uint64(_BASE)
        sums += ink[:, row]
        np.copyto(bottoms, row, where=ink[:, row] != 0)
    bottom = np.maximum(bottoms[:, :-1], bottoms[:, 1:])
    back = np.full(height, pow(_BASE, -1, 1 << 64), dtype=np.uint64)
    back[:1] = 1
    keys = (sums[:, :-1] + sums[:, 1:] * np.uint64(_BESIDE)) * np.cumprod(back)[height - 1 - np.maximum(bottom, 0)]
    return keys, bottom


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Yield the numbers of glyphs of `size` bytes a block at a time."""
    step = max(1, _BLOCK_BYTES // size)
    yield from (slice(start, min(start + step, count)) for start in range(0, count, step))


def _items(images: NDArray[np.uint8], width: int) -> NDArray[np.void]:
    """View images as items of `width` bytes that begin at any byte."""
    return np.ndarray((images.size - width + 1,), f"V{width}", images, strides=(1,))
