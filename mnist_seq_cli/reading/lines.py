"""Owns lines: the digits of a picture as ink on nothing, all of one height, as the net takes them.

The steps: what is light and what is dark, with the light evened out; ink in front of the background; how tall the
digits are; the picture scaled so that they are 20 px high, by area where it gets smaller; a line of 40 rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError

HEIGHT = 40
"""Rows of a line."""

TALL = 20
"""Rows that the ink of a digit takes on a line."""

EDGE = 8
"""Columns of background at both ends of a line."""

WIDEST = 16_384
"""Columns of the widest line."""

_LOOKED_AT = 64
"""Rows, at most twice as many, at which a picture is looked at first."""

_STRONG, _FAINT = 48, 24
"""Ink, of 255, that surely is some, and that may be at the ends of a line."""

CURVE = np.rint(255 * (np.arange(256) / 255) ** 0.6).astype(np.uint8)
"""Ink on a line, for ink of 0 to 255: what is faint shows more."""

_LARGE = 0.6
"""Part of the height of digits from which a run of ink is one, or several, and not a part of one."""

_FAINTEST = 14
"""Grey levels between background and ink, at least."""


class Line(NamedTuple):
    """The digits of a picture as a line: `values` uint8 (HEIGHT, width), ink 255 on background 0.

    Column c of it was at `left` + c * `scale` px of the picture. `inverted` is true for light ink.
    """

    values: NDArray[np.uint8]
    left: float
    scale: float
    inverted: bool


class _Ink(NamedTuple):
    values: NDArray[np.uint8]
    inverted: bool


class _Extent(NamedTuple):
    """Where ink is, and how `tall` its digits are, in px.

    `runs` int (n, 4) are what background parts from the rest: columns from `left` to `right`, rows `top` to `bottom`.
    """

    runs: NDArray[np.int64]
    tall: float

    @property
    def left(self) -> int:
        return int(self.runs[0, 0])

    @property
    def right(self) -> int:
        return int(self.runs[-1, 1])

    @property
    def top(self) -> int:
        return int(self.runs[:, 2].min())

    @property
    def bottom(self) -> int:
        return int(self.runs[:, 3].max())


class _Part(NamedTuple):
    """A part of a picture, in px."""

    left: int
    top: int
    right: int
    bottom: int

    def around(self, extent: _Extent, step: int) -> _Part:
        """Return the part around the ink that was found in this one, at a size `step` times smaller."""
        margin = int(extent.tall * 0.3) + 2
        return _Part(
            max(self.left, self.left + (extent.left - margin) * step),
            max(self.top, self.top + (extent.top - margin) * step),
            min(self.right, self.left + (extent.right + margin) * step),
            min(self.bottom, self.top + (extent.bottom + margin) * step),
        )


def line_of(picture: NDArray[np.uint8]) -> Line:
    """Return the digits of a picture, uint8 (height, width), of any size, polarity and contrast, as a line.

    Raises CheckError where there is no ink.
    """
    height, width = picture.shape
    if min(height, width) < 4:
        raise CheckError(f"the picture is {height}×{width} px (height × width), too small for digits")
    part = _Part(0, 0, width, height)
    while True:  # what is mostly margin is looked at again without it
        step = max(1, (part.bottom - part.top) // _LOOKED_AT)
        ink = _ink_of(_reduced(picture[part.top : part.bottom, part.left : part.right], step))
        extent = _extent(ink.values)
        inner = part.around(extent, step)
        if step == 1 or inner.bottom - inner.top > 0.6 * (part.bottom - part.top):
            break
        part = inner
    scale = step * extent.tall / TALL
    if 0.9 <= scale <= 1.1 and step == 1:
        scale, inner = 1.0, part
    else:
        ink = _ink_of(_scaled(picture, inner, scale), ink.inverted)
        extent = _extent(ink.values)
    left = inner.left + (extent.left - EDGE) * scale
    return Line(CURVE[_placed(ink.values, extent)], left, scale, ink.inverted)


def ink_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the ink of a picture, as strong as it is in front of the background: uint8 of its shape, 0 for none.

    Raises CheckError where there is none.
    """
    return _ink_of(picture).values


def _reduced(picture: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return a picture `step` times smaller, by area."""
    if step == 1:
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).reduce(step))


def _scaled(picture: NDArray[np.uint8], part: _Part, scale: float) -> NDArray[np.uint8]:
    """Return a part of a picture `scale` times smaller."""
    from PIL import Image

    width, height = (max(4, round(size / scale)) for size in (part.right - part.left, part.bottom - part.top))
    if width > WIDEST:
        raise CheckError("what is in the picture is too small, or too wide, to be digits")
    how = Image.Resampling.BOX if scale > 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize((width, height), how, box=part))


def _ink_of(picture: NDArray[np.uint8], inverted: bool | None = None) -> _Ink:
    """Return the ink of a picture, without what is no stronger than its noise. Raises CheckError for none."""
    values = picture.astype(np.float32)
    values -= _background(picture)
    if inverted is None:
        inverted = bool(np.einsum("ij,ij,ij->", values, values, values) > 0)  # ink is on the longer side
    if not inverted:
        np.negative(values, out=values)
    noise = 1.4826 * _median(np.abs(values).astype(np.uint8))
    floor = max(3 * noise, 4.0)
    strong = values[values > max(floor, 0.3 * float(values.max()))]
    level = float(np.partition(strong, len(strong) * 9 // 10)[len(strong) * 9 // 10]) if len(strong) else 0.0
    if level < _FAINTEST:
        raise CheckError("the picture is empty, or nothing but noise", hint="there is nothing to read")
    values[values < min(floor, 0.5 * level)] = 0
    values *= 255 / level
    ink = np.minimum(values, 255, out=values).astype(np.uint8)
    if noise:
        ink[_neighbours(ink > 40) < 2] = 0
    return _Ink(ink, inverted)


def _median(values: NDArray[np.uint8]) -> int:
    counts = np.bincount(values.reshape(-1), minlength=256)
    return int(np.searchsorted(counts.cumsum(), (values.size + 1) // 2))


def _background(picture: NDArray[np.uint8]) -> NDArray[np.float32] | float:
    """Return the grey level of the background: one number, or where light is uneven one for each pixel.

    That is a polynomial of degree 2 in x and y, fitted to the medians of a grid of parts.
    """
    height, width = picture.shape
    side = max(7, height // 4)
    rows, columns = height // side, min(width // side, 64)
    middle = _median(picture)
    if rows < 2 or columns < 3:
        return middle
    down, across = height // rows, width // columns
    parts = picture[: rows * down, : columns * across].reshape(rows, down, columns, across).swapaxes(1, 2)
    some = parts.reshape(rows * columns, -1)
    middles = np.partition(some, some.shape[1] // 2, axis=1)[:, some.shape[1] // 2].astype(np.float64)
    before = _middle(np.abs(middles - middle))
    if before < 4:  # most parts are alike, and others have ink
        return middle
    y, x = np.divmod(np.arange(rows * columns), columns)
    terms = _terms((x + 0.5) / columns * 2 - 1, (y + 0.5) / rows * 2 - 1)
    weights = np.ones_like(middles)
    factors: NDArray[np.float64] = np.zeros(6)
    for _ in range(5):  # reweighted, so that parts full of ink count little
        weighted = terms * weights[:, None]
        factors = np.asarray(np.linalg.solve(weighted.T @ terms + 1e-6 * np.eye(6), weighted.T @ middles), np.float64)
        rest: NDArray[np.float64] = np.abs(middles - terms @ factors)
        weights = 1 / np.maximum(rest, 2)
    if _middle(rest) > 0.6 * before:
        return middle
    u, v = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    level = (factors[0] + factors[1] * u + factors[3] * u**2) + (factors[2] * v + factors[5] * v**2)
    smooth: NDArray[np.float32] = (level + factors[4] * (v * u)).astype(np.float32)
    return smooth


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the terms of a polynomial of degree 2 at n points: (n, 6)."""
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _neighbours(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the number of set pixels among the eight around each: uint8, of the shape of the mask."""
    padded = np.pad(mask, 1).view(np.uint8)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    around: NDArray[np.uint8] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return around - padded[1:-1, 1:-1]


def _extent(ink: NDArray[np.uint8]) -> _Extent:
    """Return where ink is, and how tall its digits are: as tall as most that stand alone. Raises CheckError for none.

    Ink that is wider than it is high may be several digits, the ones higher up than the others; then it is the rows
    that half of the columns with ink reach.
    """
    strong = ink > _STRONG
    columns: NDArray[np.bool_] = np.any(strong, axis=0)
    padded = np.zeros(len(columns) + 2, dtype=np.bool_)
    padded[1:-1] = columns
    edges = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    if not len(edges):
        raise CheckError("the picture is empty", hint="there is nothing to read")
    tops = np.where(columns, strong.argmax(axis=0), len(ink))
    bottoms = np.where(columns, len(ink) - strong[::-1].argmax(axis=0), 0)
    top = np.minimum.reduceat(tops, edges[:, 0])
    bottom = np.maximum.reduceat(bottoms, edges[:, 0])
    faint = np.flatnonzero(np.count_nonzero(ink > _FAINT, axis=0) > 1)
    heights, widths = bottom - top, edges[:, 1] - edges[:, 0]
    longest = np.maximum(heights, widths)
    real = longest >= 0.3 * heights.max()  # others are specks
    single = real & (widths <= 1.1 * heights)
    if single.any():
        ordered = np.sort(longest[single])
        ordered = ordered[ordered >= 0.6 * ordered[-1]]
        tall = float(ordered[(len(ordered) * 7) // 10])
    else:
        tall = float(min(heights.max(), 1.1 * np.median((bottoms - tops)[columns]) + 4))
    runs = np.column_stack([edges, top, bottom])[real]
    if len(faint):
        runs[0, 0], runs[-1, 1] = min(runs[0, 0], faint[0]), max(runs[-1, 1], faint[-1] + 1)
    return _Extent(runs, max(tall, 4.0))


def _placed(ink: NDArray[np.uint8], extent: _Extent) -> NDArray[np.uint8]:
    """Return ink as a line with background at its ends, each run of ink in the middle of its rows.

    So it does not count how high or low digits stand that background parts. Small runs, such as the end of a broken
    stroke, go with the larger ones beside them.
    """
    runs = extent.runs
    start, height = extent.left - EDGE, len(ink)
    line = np.zeros((HEIGHT, extent.right + EDGE - start), dtype=np.uint8)
    large = np.flatnonzero(runs[:, 3] - runs[:, 2] >= _LARGE * extent.tall)
    if not len(large):
        large = np.array([(runs[:, 3] - runs[:, 2]).argmax()])
    cuts = [max(0, start), *_cuts(runs, large), min(ink.shape[1], extent.right + EDGE)]
    for number, (left, right) in zip(large.tolist(), pairwise(cuts), strict=True):
        top = int(runs[number, 2] + runs[number, 3] - HEIGHT) // 2
        first, last = max(0, top), min(height, top + HEIGHT)
        line[first - top : last - top, left - start : right - start] = ink[first:last, left:right]
    return line


def _cuts(runs: NDArray[np.int64], large: NDArray[np.intp]) -> list[int]:
    """Return between which columns neighbouring large runs are parted: in the widest gap between them."""
    cuts = []
    for one, other in pairwise(large.tolist()):
        gaps = runs[one + 1 : other + 1, 0] - runs[one:other, 1]
        widest = one + int(gaps.argmax())
        cuts.append(int(runs[widest, 1] + runs[widest + 1, 0]) // 2)
    return cuts
