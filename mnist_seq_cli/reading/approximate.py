"""Owns reading approximately: the digits of a strip that was changed since it was made, each with its confidence.

The steps: ink on background whatever the polarity, contrast and size; columns cut into pieces where there is little
ink; each way to join neighbouring pieces to a digit compared with the bank; the shortest path through them. A digit is
made upright and centred, halved to 14×14, and put on the main axes of the bank, where the nearest glyph is found by
one matrix product. None of this makes pixels, so floating point is welcome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.reading.ink import SIDE, atoms_of, ink_of, resized

_HALF = SIDE // 2
_AXES = 48
_SAMPLE = 8192
"""Glyphs from which the main axes are worked out."""

_BLOCK = 1024
"""Glyphs made upright at a time: they stay in the processor's second-level cache."""

_PAD = 16
_WIDEST = 27
"""Columns that one digit can have: MNIST's have 20, slanted ones more."""


_THICK = 10
"""Side in px of a square of ink that hardly any digit has room for."""

_LOOKED_AT = 64
"""Glyphs of each digit from which it is learned how far the nearest of the same digit is."""

_TYPICAL = 0.35
"""Distance at which a piece of ink is about as likely a digit as not."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """The most likely `digits` of a strip, from left to right, and the ids of the `glyphs` nearest to them.

    `confidences` are the chances that each digit is right, as measured. `x` are the approximate left edges of glyph
    boxes of `glyph_width` px. `inverted` is true for white ink.
    """

    digits: tuple[int, ...]
    glyphs: tuple[int, ...]
    x: tuple[int, ...]
    inverted: bool
    glyph_width: int
    confidences: tuple[float, ...]

    @property
    def confidence(self) -> float:
        """The chance that all digits are right."""
        return math.prod(self.confidences)

    @property
    def gaps(self) -> tuple[int, ...]:
        """The columns between neighbouring glyph boxes, in px; below 0 where they overlap."""
        return tuple(right - left - self.glyph_width for left, right in pairwise(self.x))


class _Nearest(NamedTuple):
    """Of n digits: the distances of the nearest glyph of each of the ten, and the offset of the nearest of all."""

    distances: NDArray[np.float32]
    offsets: NDArray[np.intp]


class _Piece(NamedTuple):
    """Columns `start` to `stop` of a strip 28 px high, taken for one digit with its ink centred at `centre`."""

    start: int
    stop: int
    centre: float


class Recogniser:
    """Recognises strips by the glyphs of one bank. Holds 48 numbers a glyph; never a copy of the images."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._order = np.argsort(bank.labels, kind="stable")  # by digit, so that each digit is a run of rows
        self._present = np.flatnonzero(bank.counts)
        self._starts = (np.cumsum(bank.counts) - bank.counts)[self._present]
        count = len(bank)
        sample = self._features(np.arange(0, count, max(1, count // _SAMPLE)))
        self._mean = sample.mean(axis=0)
        sample -= self._mean
        self._axes = np.ascontiguousarray(np.linalg.eigh(sample.T @ sample)[1][:, : -_AXES - 1 : -1])
        self._rows = np.empty((count, _AXES), dtype=np.float32)
        for start in range(0, count, _BLOCK):
            offsets = self._order[start : start + _BLOCK]
            self._rows[start : start + len(offsets)] = (self._features(offsets) - self._mean) @ self._axes
        self._norms = np.einsum("ij,ij->i", self._rows, self._rows)
        self._usual = np.array([self._usual_distance(number) for number in range(len(self._present))])
        some = self._glyphs(np.arange(0, count, max(1, count // _BLOCK)))
        self._thickest = float(np.percentile(_thickness(some), 99.9))

    def _glyphs(self, offsets: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return glyphs of the bank in squares: uint8 (n, 28, 28)."""
        images = self._bank.images(offsets + self._bank.first_id)
        return images if images.shape[1:] == (SIDE, SIDE) else np.stack([_framed(image) for image in images])

    def _features(self, offsets: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the features of glyphs of the bank."""
        features = np.empty((len(offsets), _HALF * _HALF), dtype=np.float32)
        for start in range(0, len(offsets), _BLOCK):
            features[start : start + _BLOCK] = _features(self._glyphs(offsets[start : start + _BLOCK]))
        return features

    def _usual_distance(self, number: int) -> float:
        """Return the distance within which nine glyphs of ten of a digit have another one of it."""
        start, size = int(self._starts[number]), int(self._bank.counts[self._present[number]])
        if size < _FEW:
            return _USUAL
        rows, norms = self._rows[start : start + size], self._norms[start : start + size]
        offsets = np.arange(0, size, max(1, size // _LOOKED_AT))
        squares = norms - 2 * (rows[offsets] @ rows.T)
        squares[np.arange(len(offsets)), offsets] = np.inf
        features = self._features(self._order[start + offsets]) - self._mean
        nearest = squares.min(axis=1) + np.einsum("ij,ij->i", features, features)
        return max(_LEAST, float(np.sqrt(np.percentile(nearest, 90))))

    def read(self, image: NDArray[np.uint8]) -> Recognition:
        """Return the most likely digits of a strip: uint8 (height, width), of any size, polarity and contrast.

        Raises CheckError for one without anything that could be digits.
        """
        ink, scale, inverted = ink_of(image)
        pieces, nearest, images = self._cheapest(ink)
        ranked = np.sort(nearest.distances, axis=1)
        numbers = nearest.distances.argmin(axis=1)
        digits = self._present[numbers]
        ids = self._order[nearest.offsets] + self._bank.first_id
        first, second = ranked[:, 0], ranked[:, 1] if ranked.shape[1] > 1 else np.ones(len(ranked), np.float32)
        return Recognition(
            tuple(digits.tolist()),
            tuple(ids.tolist()),
            tuple(round((piece.centre - _HALF) * scale) for piece in pieces),
            inverted,
            round(SIDE * scale),
            tuple(
                map(
                    _confidence,
                    (1 - first / np.maximum(second, 1e-6)).tolist(),
                    (first / self._usual[numbers]).tolist(),
                    (_thickness(images) - self._thickest).tolist(),
                    _cut_ink(ink, pieces),
                )
            ),
        )

    def _cheapest(self, ink: NDArray[np.uint8]) -> tuple[list[_Piece], _Nearest, NDArray[np.uint8]]:
        """Return the pieces that a strip is best cut into, their nearest glyphs, and them in squares.

        Each piece costs the more the less it looks like a digit, and two cost more when both have room in one digit.
        Shortest path over the cuts, from left to right.
        """
        atoms = atoms_of(ink)
        if not atoms:
            raise CheckError("the strip shows nothing that could be digits", hint="there is nothing to read")
        mass = ink.sum(axis=0, dtype=np.float64)
        moment = mass * np.arange(ink.shape[1])
        ends: list[list[int]] = [[] for _ in atoms]
        pieces: list[_Piece] = []
        for first, (start, _) in enumerate(atoms):
            for last in range(first, len(atoms)):
                stop = atoms[last][1]
                if last > first and stop - start > _WIDEST:
                    break
                total = mass[start:stop].sum()
                ends[last].append(len(pieces))
                pieces.append(_Piece(start, stop, float(moment[start:stop].sum() / total) + 0.5))
        images = np.stack([_framed(ink[:, piece.start : piece.stop]) for piece in pieces])
        nearest = self._nearest(images)
        costs = (nearest.distances.min(axis=1) / _TYPICAL) ** 2
        best = np.full(len(pieces), np.inf)
        before = [-1] * len(pieces)
        by_stop: dict[int, list[int]] = {}
        for last, numbers in enumerate(ends):
            for number in numbers:
                piece = pieces[number]
                if piece.start == atoms[0][0]:
                    best[number] = costs[number]
                for other in by_stop.get(piece.start, ()):
                    room = piece.stop - pieces[other].start
                    cost = best[other] + costs[number] + max(0, SIDE - room) / 16
                    if cost < best[number]:
                        best[number], before[number] = cost, other
            following = atoms[last + 1][0] if last + 1 < len(atoms) else -1
            by_stop[following] = numbers
        number = min(ends[-1], key=lambda end: best[end])
        way = []
        while number >= 0:
            way.append(number)
            number = before[number]
        way.reverse()
        return [pieces[number] for number in way], _Nearest(nearest.distances[way], nearest.offsets[way]), images[way]

    def _nearest(self, images: NDArray[np.uint8]) -> _Nearest:
        """Return the distances of glyphs from digits in squares, uint8 (n, 28, 28)."""
        distances = np.empty((len(images), len(self._present)), dtype=np.float32)
        offsets = np.empty(len(images), dtype=np.intp)
        for start in range(0, len(images), 64):
            features = _features(images[start : start + 64]) - self._mean
            on_axes = features @ self._axes
            squares = self._norms - 2 * (on_axes @ self._rows.T)
            here = slice(start, start + len(features))
            # What lies off the axes is as far from every glyph.
            whole = np.einsum("ij,ij->i", features, features)
            nearest = np.minimum.reduceat(squares, self._starts, axis=1) + whole[:, None]
            distances[here] = np.sqrt(np.maximum(nearest, 0))
            offsets[here] = squares.argmin(axis=1)
        return _Nearest(distances, offsets)


def _cut_ink(ink: NDArray[np.uint8], pieces: list[_Piece]) -> list[float]:
    """Return for each piece the most ink at an end where it was cut off, as a part of what its columns have."""
    mass = np.pad(ink.sum(axis=0, dtype=np.float64), 1)  # so that column i is at i + 1
    cut = np.minimum(mass[:-1], mass[1:])
    return [
        float(max(cut[piece.start], cut[piece.stop]) / mass[piece.start + 1 : piece.stop + 1].mean())
        for piece in pieces
    ]


def _thickness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the ink, 0 to 1, of the fullest square of 10×10 px of each digit in squares, uint8 (n, 28, 28)."""
    sums = np.pad(images.cumsum(axis=1, dtype=np.int64).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    down = sums[:, _THICK:] - sums[:, :-_THICK]
    full: NDArray[np.float64] = (down[:, :, _THICK:] - down[:, :, :-_THICK]).max(axis=(1, 2)) / (_THICK * _THICK * 255)
    return full


def _confidence(margin: float, distance: float, thicker: float, cut: float) -> float:
    """Return the chance that a digit is right.

    `margin` is the part by which another digit's nearest glyph is further than this one's, `distance` the distance of
    that, where 1 is usual. What is further than digits of the bank are from one another is hardly one; nor is ink so
    solid that it is `thicker` than theirs, or that was `cut` out where there is as much of it as anywhere: digits that
    touch do so by a stroke.

    A logistic function that was fitted to 16,000 test digits of MNIST read by train glyphs (clean, compressed, scaled,
    noisy, slanted), and to letters, shapes, patterns and noise. Only exact reading is sure.
    """
    sureness = _BIAS + _BY_MARGIN * margin
    sureness -= _BEYOND * max(0.0, distance - _FAR) + _SOLID * max(0.0, thicker) + 15 * max(0.0, cut - 0.6)
    return min(round(1 / (1 + math.exp(min(-sureness, 500))), 4), 0.9999)


_BIAS, _BY_MARGIN, _BEYOND, _FAR, _SOLID = -0.25, 20.7, 16.0, 1.1, 130.0

_USUAL, _FEW, _LEAST = 0.45, 8, 0.2
"""The usual distance for a digit of few glyphs, how many are few, and how small it can be where some are alike."""


_ACROSS, _DOWN = np.meshgrid(np.arange(_HALF) * 2 + 0.5, np.arange(_HALF) * 2 + 0.5)
_MOMENTS = np.stack(
    [np.ones(_HALF * _HALF), *(part.ravel() for part in (_ACROSS, _DOWN, _ACROSS * _DOWN, _DOWN * _DOWN))], axis=1
).astype(np.float32)


def _features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return digits, uint8 (n, 28, 28), upright, centred, halved and of length 1: float32 (n, 196)."""
    halved = _halved(_upright(images))
    halved /= np.maximum(np.linalg.norm(halved, axis=1, keepdims=True), 1e-6)
    return halved


def _halved(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the sums of 2×2 pixels: float32 (n, 196)."""
    rows = images[:, ::2].astype(np.uint16) + images[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]).reshape(len(images), -1).astype(np.float32)


def _upright(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return digits with their ink centred and not slanted, each row moved by whole pixels: uint8 (n, 28, 28)."""
    total, across, down, product, square = (_halved(images) @ _MOMENTS).T
    total = np.maximum(total, 1)
    across, down = across / total, down / total
    slant = (product / total - across * down) / np.maximum(square / total - down * down, 1)
    middle = (SIDE - 1) / 2
    lower = np.clip(np.rint(down - middle), -_PAD, _PAD).astype(np.intp)
    rows = np.arange(SIDE) + lower[:, None]
    moved = np.rint(np.clip(slant, -1, 1)[:, None] * (rows - down[:, None]) + (across - middle)[:, None])
    side = SIDE + 2 * _PAD
    padded = np.zeros((len(images), side, side), dtype=np.uint8)
    padded[:, _PAD:-_PAD, _PAD:-_PAD] = images
    every_byte = np.ndarray((padded.size - SIDE + 1,), f"V{SIDE}", padded, strides=(1,))
    starts = (np.arange(len(images))[:, None] * side + rows + _PAD) * side + _PAD
    starts += np.clip(moved, -_PAD, _PAD).astype(np.intp)
    upright: NDArray[np.uint8] = every_byte[starts.reshape(-1)].view(np.uint8)
    return upright.reshape(-1, SIDE, SIDE)


def _framed(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the ink of one digit in the middle of a square of 28×28 px, about as large as MNIST makes them: 20 px.

    It is left as it is unless it is much too large or small: the height of a strip says better how large its digits are
    than the ink of one digit does.
    """
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    square = np.zeros((SIDE, SIDE), dtype=np.uint8)
    if not len(rows):
        return square
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    longest = max(cut.shape)
    if not 16 <= longest <= 24:
        cut = resized(cut, *(max(1, round(size * 20 / longest)) for size in cut.shape))
    height, width = cut.shape
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square[top : top + height, left : left + width] = cut
    return square
