"""Owns how large warped glyphs can become, in fixed-point integers: what the size of a canvas follows from.

Angles are in 1/256 of a degree, scales in 1/256 of a percent. The functions of angles take integers or arrays of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

STEPS = 256
"""Parts that a degree or a percent is drawn in."""

ONE = 1 << 16
_RADIAN = 74961321
"""π / 180 / 256 in 1/2**40."""
_RIGHT_ANGLE = 90 * STEPS

Range = tuple[int, int]


class Warp(NamedTuple):
    """How glyphs may be warped, each from and to: `slant` and `rotate` in degrees, `scale` in percent, `stroke` in px.

    Positive is to the right, counterclockwise, larger and thicker.
    """

    slant: Range = (0, 0)
    rotate: Range = (0, 0)
    scale: Range = (100, 100)
    stroke: Range = (0, 0)

    @property
    def is_plain(self) -> bool:
        """Whether glyphs stay as they are."""
        return self == Warp()


def sine(angle: Any) -> Any:
    """Return the sine of an angle up to 90°, in 1/65536: integers or arrays, by Taylor's series to the 11th power."""
    radians = angle * _RADIAN >> 16
    square = radians * radians >> 24
    term = total = radians
    for divisor in (2 * 3, 4 * 5, 6 * 7, 8 * 9, 10 * 11):
        term = -(term * square >> 24) // divisor
        total = total + term
    return total + 128 >> 8


def cosine(angle: Any) -> Any:
    """Return the cosine of an angle up to 90°, in 1/65536."""
    return sine(_RIGHT_ANGLE - abs(angle))


def tangent(angle: Any) -> Any:
    """Return the tangent of an angle below 90°, in 1/65536."""
    return (sine(angle) << 16) // cosine(angle)


@lru_cache(maxsize=16)
def cell_size(warp: Warp, ink: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) in px of a cell that holds any glyph whose ink is at most `ink`, (height, width)."""
    height, width = ((size + 1) * ONE // 2 for size in ink)  # between pixels, ink fades over half a pixel more
    shear = tangent(max(map(abs, warp.slant)) * STEPS)
    leaning = width + (height * shear >> 16)
    first, last = sorted(map(abs, warp.rotate))
    first = 0 if warp.rotate[0] <= 0 <= warp.rotate[1] else first
    turns = [(cosine(turn * STEPS), sine(turn * STEPS)) for turn in range(first, last + 1)]
    across = max(cos * leaning + sin * height >> 16 for cos, sin in turns)
    down = max(cos * height + sin * leaning >> 16 for cos, sin in turns)
    spread = 2 * max(0, warp.stroke[1]) + 2  # the centre may be half a pixel off, and the first pixel is half a one
    if 2 * warp.scale[0] < 100:
        spread += 1  # small glyphs are looked at a quarter of a pixel further out
    tall, wide = (-(-2 * reach * warp.scale[1] // 100 >> 16) + spread for reach in (down, across))
    return tall, wide
