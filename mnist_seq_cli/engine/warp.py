"""Owns the shape of the hand: glyphs slanted, turned, scaled, thinned and thickened, in fixed-point integers.

Each glyph is mapped about the centre of its ink into a cell that holds all of it, whatever was drawn. Angles are in
1/256 of a degree, scales in 1/256 of a percent, the matrix in 1/65536. Nothing here is a float, so that the result is
the same on every machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS = 256
"""Parts that a degree or a percent is drawn in."""

_ONE = 1 << 16
_RADIAN = 74961321
"""π / 180 / 256 in 1/2**40."""
_RIGHT_ANGLE = 90 * STEPS
_BLOCK = 64
"""Glyphs mapped at a time: what is worked out for them stays in the processor's second-level cache."""

Range = tuple[int, int]


class Hand(NamedTuple):
    """What a hand may do, each from and to: `slant` and `rotate` in degrees, `scale` in percent, `stroke` in px.

    Positive is to the right, counterclockwise, larger and thicker.
    """

    slant: Range = (0, 0)
    rotate: Range = (0, 0)
    scale: Range = (100, 100)
    stroke: Range = (0, 0)

    @property
    def is_plain(self) -> bool:
        """Whether glyphs stay as they are."""
        return self == Hand()


def _sine(angle: Any) -> Any:
    """Return the sine of an angle up to 90°, in 1/65536: integers or arrays, by Taylor's series to the 11th power."""
    radians = angle * _RADIAN >> 16
    square = radians * radians >> 24
    term = total = radians
    for divisor in (2 * 3, 4 * 5, 6 * 7, 8 * 9, 10 * 11):
        term = -(term * square >> 24) // divisor
        total = total + term
    return total + 128 >> 8


def _cosine(angle: Any) -> Any:
    return _sine(_RIGHT_ANGLE - abs(angle))


def _tangent(angle: Any) -> Any:
    return (_sine(angle) << 16) // _cosine(angle)


def cell_size(hand: Hand, ink: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) in px of a cell that holds any glyph whose ink is at most `ink`, (height, width)."""
    height, width = ((size + 1) * _ONE // 2 for size in ink)  # between pixels, ink fades over half a pixel more
    shear = _tangent(max(map(abs, hand.slant)) * STEPS)
    leaning = width + (height * shear >> 16)
    first, last = sorted(map(abs, hand.rotate))
    first = 0 if hand.rotate[0] <= 0 <= hand.rotate[1] else first
    turns = [(_cosine(turn * STEPS), _sine(turn * STEPS)) for turn in range(first, last + 1)]
    across = max(cosine * leaning + sine * height >> 16 for cosine, sine in turns)
    down = max(cosine * height + sine * leaning >> 16 for cosine, sine in turns)
    spread = 2 * max(0, hand.stroke[1]) + 2  # the centre may be half a pixel off, and the first pixel is half a one
    if 2 * hand.scale[0] < 100:
        spread += 1  # small glyphs are looked at a quarter of a pixel further out
    tall, wide = (-(-2 * reach * hand.scale[1] // 100 >> 16) + spread for reach in (down, across))
    return tall, wide


def inverse(slant: NDArray[np.int64], rotate: NDArray[np.int64], scale: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the matrices that lead from places in a cell back to the glyph: int64 (n, 4), row by row, in 1/65536.

    A glyph is scaled, then sheared, then turned; so back it is turned, sheared and scaled.
    """
    cosine, sine, shear = _cosine(rotate), _sine(rotate), _tangent(slant)
    factor = (100 * STEPS << 16) // scale
    rows = (cosine + (shear * sine >> 16), (shear * cosine >> 16) - sine, sine, cosine)
    return np.stack([row * factor >> 16 for row in rows], axis=-1)


def shape(
    images: NDArray[np.uint8], boxes: NDArray[np.int32], matrices: NDArray[np.int64], cell: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return glyphs mapped into cells, and where the cells stand in the box of a glyph.

    `images` uint8 (n, height, width), ink 255 on paper 0; `boxes` int32 (n, 4), their ink as x, y, width, height;
    `matrices` as `inverse` gives them. The cells are uint8 (n, *cell), the places int32 (n, 2): left and top in px,
    mostly below 0. Between pixels, values are interpolated in both directions; for glyphs that become less than half as
    large at four places in each pixel, so that no stroke is passed over.
    """
    tall, wide = cell
    doubled = 2 * boxes[:, :2] + boxes[:, 2:] - np.array([wide, tall], dtype=np.int32)
    places = doubled >> 1
    cells = np.empty((len(images), tall, wide), dtype=np.uint8)
    for start in range(0, len(images), _BLOCK):
        part = slice(start, start + _BLOCK)
        _map(images[part], boxes[part], doubled[part] & 1, matrices[part].astype(np.int32), cells[part])
    shrunk = np.flatnonzero(_shrinks(matrices))
    for start in range(0, len(shrunk), _BLOCK):
        some = shrunk[start : start + _BLOCK]
        fine = np.empty((len(some), 2 * tall, 2 * wide), dtype=np.uint8)
        _map(images[some], boxes[some], 2 * (doubled[some] & 1), (matrices[some] >> 1).astype(np.int32), fine)
        sums = fine.reshape(len(some), tall, 2, wide, 2).sum(axis=(2, 4), dtype=np.uint16)
        cells[some] = (sums + 2) >> 2
    return cells, places


def _shrinks(matrices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which glyphs become less than half as large: (n,); their places are more than two pixels apart."""
    areas = matrices[:, 0] * matrices[:, 3] - matrices[:, 1] * matrices[:, 2] >> 16
    smaller: NDArray[np.bool_] = areas > (4 * _ONE) * 257 // 256  # which rounding does not lead to
    return smaller


def _map(
    images: NDArray[np.uint8],
    boxes: NDArray[np.int32],
    halves: NDArray[np.int32],
    matrices: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> None:
    """Fill the cells of a block. `halves` tells where the centre of a cell is half a pixel further on."""
    count, height, width = images.shape
    _, tall, wide = out.shape
    margin = 2  # of paper, so that what lies outside is paper on all four sides of a place
    stride = width + 2 * margin
    padded = np.zeros((count, height + 2 * margin, stride), dtype=np.uint8)
    padded[:, margin:-margin, margin:-margin] = images

    across = 2 * np.arange(wide, dtype=np.int32) - (wide - 1) - halves[:, :1]
    down = 2 * np.arange(tall, dtype=np.int32) - (tall - 1) - halves[:, 1:]
    centre = ((2 * boxes[:, :2] + boxes[:, 2:] - 1 + 2 * margin) << 15) + (1 << 7)  # half a 256th: to round
    whole, parts = [], []
    for row, limit in ((0, stride - 2), (1, height + 2 * margin - 2)):
        along = (matrices[:, 2 * row, None] * across) >> 1
        beside = ((matrices[:, 2 * row + 1, None] * down) >> 1) + centre[:, row, None]
        place = beside[:, :, None] + along[:, None, :]
        whole.append(np.clip(place >> 16, 0, limit))
        parts.append((place >> 8) & 255)
    (column, line), (to_right, to_below) = whole, parts

    line *= stride
    line += column
    line += (np.arange(count, dtype=np.int32) * padded[0].size)[:, None, None]
    flat = padded.reshape(-1)
    pairs = np.empty(flat.size, dtype=np.uint16)  # each pixel with its right neighbour: one look-up for both
    pairs[:-1] = flat[1:]
    pairs[-1] = 0
    pairs <<= 8
    pairs |= flat
    places = line.reshape(-1)
    upper = _between(pairs.take(places), to_right.reshape(-1))
    places += stride
    lower = _between(pairs.take(places, mode="clip"), to_right.reshape(-1))
    lower -= upper
    lower *= to_below.reshape(-1)
    upper <<= 8
    upper += lower
    upper += _ONE >> 1
    upper >>= 16
    out.reshape(-1)[:] = upper


def _between(pairs: NDArray[np.uint16], part: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return values `part`/256 of the way from the left pixel of each pair to the right one, in 1/256."""
    left = (pairs & np.uint16(255)).astype(np.int32)
    right = (pairs >> np.uint16(8)).astype(np.int32)
    right -= left
    right *= part
    left <<= 8
    left += right
    return left


def stroke(cells: NDArray[np.uint8], steps: NDArray[np.int64]) -> None:
    """Thicken the ink in each cell by `steps` px, or thin it by -`steps`, in place: grey dilation and erosion.

    The neighbours of a pixel are those above, below, left and right. Thinning stops before nothing would be left.
    """
    for step in range(1, int(np.abs(steps).max(initial=0)) + 1):
        for sign, spread in ((1, np.maximum), (-1, np.minimum)):
            chosen = np.flatnonzero(sign * steps >= step)
            if not len(chosen):
                continue
            before = cells[chosen]
            after = before.copy()
            spread(after[:, 1:], before[:, :-1], out=after[:, 1:])
            spread(after[:, :-1], before[:, 1:], out=after[:, :-1])
            spread(after[:, :, 1:], before[:, :, :-1], out=after[:, :, 1:])
            spread(after[:, :, :-1], before[:, :, 1:], out=after[:, :, :-1])
            left = after.any(axis=(1, 2))
            cells[chosen[left]] = after[left]
