"""Owns warps: glyphs slanted, rotated, scaled, thinned and thickened, in fixed-point integers.

Each glyph is mapped about the centre of its ink into a cell that holds all of it, whatever was sampled. Angles are in
1/256 of a degree, scales in 1/256 of a percent, the matrix in 1/65536. Nothing here is a float, so that the result is
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.engine.scratch import blocks, scratch
from mnist_seq_cli.mnist.bank import Bank, ink_boxes
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.warp_bounds import ONE, STEPS, Warp, cell_size, cosine, sine, tangent

_BLOCK, _STROKE = 1 << 15, 1 << 17
"""Pixels mapped at a time, and bytes thickened: what is computed for them stays in the second-level cache."""

_MARGIN = 2
"""Pixels of paper around a glyph, so that what lies outside is paper on all four sides of a point."""

_EVEN_BYTES = 0x00FF00FF


def inverse(slant: NDArray[np.int64], rotate: NDArray[np.int64], scale: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the matrices that lead from points in a cell back to the glyph: int64 (n, 4), row by row, in 1/65536.

    A glyph is scaled, then sheared, then rotated; so back it is rotated, sheared and scaled.
    """
    cos, sin, shear = cosine(rotate), sine(rotate), tangent(slant)
    factor = (100 * STEPS << 16) // scale
    rows = (cos + (shear * sin >> 16), (shear * cos >> 16) - sin, sin, cos)
    return np.stack([row * factor >> 16 for row in rows], axis=-1)


def shape(
    images: NDArray[np.uint8], boxes: NDArray[np.int32], matrices: NDArray[np.int64], cell: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return glyphs mapped into cells, and the offsets of the cells in the boxes of the glyphs.

    `images` uint8 (n, height, width), ink 255 on paper 0; `boxes` int32 (n, 4), their ink as x, y, width, height;
    `matrices` as `inverse` gives them. The cells are uint8 (n, *cell), in the memory of `scratch`; the offsets int32
    (n, 2): left and top in px, mostly below 0. Between pixels, values are interpolated in both directions; for glyphs
    that become less than half as large at four points in each pixel, so that no stroke is passed over.
    """
    doubled = 2 * boxes[:, :2] + boxes[:, 2:] - np.array(cell[::-1], dtype=np.int32)
    halves, plan, sizes = doubled & 1, matrices.astype(np.int32), windows(boxes, matrices)
    cells = scratch("cells", (len(images), *cell), np.uint8)
    cells.fill(0)
    shrunk = _shrinks(matrices)
    for times in (1, 2):
        for some in _alike(sizes * times, np.flatnonzero(shrunk == (times == 2))):
            top, left = (max(0, int(whole - size) // 2) for whole, size in zip(cell, sizes[some].max(axis=0), strict=True))
            tall, wide = cell[0] - 2 * top, cell[1] - 2 * left  # about the same centre
            mapped = scratch("mapped", (len(some), times * tall, times * wide), np.uint8)
            _map(images[some], boxes[some], times * halves[some], plan[some] >> times - 1, mapped)
            if times == 2:
                sums = mapped.reshape(len(some), tall, 2, wide, 2).sum(axis=(2, 4), dtype=np.uint16)
                mapped = (sums + 2 >> 2).astype(np.uint8)
            cells[some, top : top + tall, left : left + wide] = mapped
    return cells, doubled >> 1


def windows(boxes: NDArray[np.int32], matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how much of a cell, about its centre, all ink of each glyph falls in: int64 (n, 2), height and width in px.

    That is the box around the parallelogram that the ink box becomes, with a pixel of paper on each side.
    """
    reach = 16 * (boxes[:, 2:].astype(np.int64) + 1) + 1  # in 1/32 px: half the ink, half a pixel, and to round
    to_x, x_by_y, y_by_x, to_y = np.abs(matrices).T
    areas = matrices[:, 0] * matrices[:, 3] - matrices[:, 1] * matrices[:, 2]
    down, across = to_x * reach[:, 1] + y_by_x * reach[:, 0], to_y * reach[:, 0] + x_by_y * reach[:, 1]
    return (np.stack([down, across], axis=1) << 12) // areas[:, None] + 4


def _alike(sizes: NDArray[np.int64], rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield `rows` in blocks of glyphs whose windows are about as large, so that little is mapped beside the ink."""
    rows = rows[np.lexsort(sizes[rows].T)[::-1]]
    while len(rows):
        stop = max(1, _BLOCK // int(sizes[rows[0]].prod()))
        yield rows[:stop]
        rows = rows[stop:]


class WarpedGlyphs(NamedTuple):
    """Glyphs of another shape than they have in the bank, ink 255 on paper 0.

    `cells` uint8 (n, length, height, width), in the memory of `scratch`; `x` and `y` int32 (n, length), left and top edges of the cells in px;
    `boxes` int32 (n, length, 4), where their ink is, as x, y, width and height in px; all of them in the image, or in
    the box of the glyph. `sampled` holds what was sampled, by name: arrays (n, length).
    """

    cells: NDArray[np.uint8]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    boxes: NDArray[np.int32]
    sampled: dict[str, NDArray[Any]]


def warp(
    recipe: Recipe, bank: Bank, glyphs: NDArray[np.int32], ink: NDArray[np.int32], samples: Numbers
) -> WarpedGlyphs:
    """Return glyphs, int32 (n, length) ids, warped as the recipe says, each in the box that it has in the bank.

    `ink` int32 (n, length, 4) is where their ink is in the bank.
    """
    count, length = glyphs.shape
    values, sampled = {}, {}
    for name, (low, high) in recipe.warp._asdict().items():
        steps = 1 if name == "stroke" else STEPS
        chosen = bounded_integers(words(recipe.seed, name, samples, length), (high - low) * steps + 1) + low * steps
        values[name] = chosen.reshape(-1)
        if name in recipe.sampled_ranges:
            sampled[name] = chosen if name == "stroke" else (chosen * 100 // STEPS) / 100
    images = scratch("glyphs", (glyphs.size, bank.height, bank.width), np.uint8)
    bank.take(glyphs.reshape(-1), out=images.reshape(glyphs.size, -1))
    inked, room = ink.reshape(-1, 4), max(0, recipe.stroke[1])
    if recipe.warp._replace(stroke=Warp().stroke).is_plain:
        cells, offsets = _with_room(images, room + 1)
    else:
        matrices = inverse(values["slant"], values["rotate"], values["scale"])
        tall, wide = windows(inked, matrices).max(axis=0) + 2 * room
        cells, offsets = shape(images, inked, matrices, (int(tall), _rounded(int(wide))))
    stroke(cells, values["stroke"])
    boxes = ink_boxes(cells)
    largest = np.array(cell_size(recipe.warp, (recipe.ink_height, recipe.ink_width))[::-1])
    # Where a glyph has no ink, its box is the corner of the largest cell: a promise, too.
    boxes[:, :2] += np.where(boxes[:, 2:] == 0, (2 * inked[:, :2] + inked[:, 2:] - largest) >> 1, offsets)
    x, y = offsets.T.reshape(2, count, length)
    return WarpedGlyphs(cells.reshape(count, length, *cells.shape[1:]), x, y, boxes.reshape(count, length, 4), sampled)


def _with_room(images: NDArray[np.uint8], room: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return glyphs as they are in cells with so many px of paper around, and the offsets of the cells, as `shape`."""
    count, height, width = images.shape
    cells = scratch("cells", (count, height + 2 * room, _rounded(width + 2 * room)), np.uint8)
    cells.fill(0)
    cells[:, room : room + height, room : room + width] = images
    return cells, np.full((count, 2), -room, dtype=np.int32)


def _rounded(width: int) -> int:
    """Return the next width of whole words of eight bytes, in which ink boxes are found faster."""
    return -(-width // 8) * 8


def _shrinks(matrices: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which glyphs become less than half as large, (n,): their points are more than two pixels apart."""
    areas = matrices[:, 0] * matrices[:, 3] - matrices[:, 1] * matrices[:, 2] >> 16
    smaller: NDArray[np.bool_] = areas > (4 * ONE) * 257 // 256  # which rounding does not lead to
    return smaller


def _map(
    images: NDArray[np.uint8],
    boxes: NDArray[np.int32],
    halves: NDArray[np.int32],
    matrices: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> None:
    """Fill the cells of a block. `halves` is 1 where the centre of a cell is half a pixel further on."""
    count, height, width = images.shape
    _, tall, wide = out.shape
    lines, stride = height + 2 * _MARGIN, width + 2 * _MARGIN
    across = 2 * np.arange(wide, dtype=np.int32) - (wide - 1) - halves[:, :1]
    down = 2 * np.arange(tall, dtype=np.int32) - (tall - 1) - halves[:, 1:]
    centre = ((2 * boxes[:, :2] + boxes[:, 2:] - 1 + 2 * _MARGIN) << 15) + (1 << 7)  # half a 256th: to round
    offsets, to_below, to_right, whole = (scratch(name, out.shape, np.int32) for name in ("offsets", "y", "x", "whole"))
    for row, limit, point in ((1, lines - 2, to_below), (0, stride - 2, to_right)):
        along = (matrices[:, 2 * row, None] * across) >> 1
        beside = ((matrices[:, 2 * row + 1, None] * down) >> 1) + centre[:, row, None]
        np.add(beside[:, :, None], along[:, None, :], out=point)
        np.clip(point, 0, (limit + 1 << 16) - 1, out=point)
        np.right_shift(point, 16, out=whole if row == 0 else offsets)
        point >>= 8
        point &= 255
    offsets *= stride
    offsets += whole
    offsets += (np.arange(count, dtype=np.int32) * (lines * stride))[:, None, None]
    places = scratch("places", out.shape, np.intp)
    places[...] = offsets
    squares = scratch("squares", out.shape, np.uint32)
    _squares(images).take(places, out=squares, mode="clip")
    _interpolate(squares, to_right.view(np.uint32), to_below.view(np.uint32), out)


def _squares(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return each pixel with its right, lower and lower right neighbour, lowest byte first: flat, with paper around."""
    count, height, width = images.shape
    stride = width + 2 * _MARGIN
    padded = np.zeros((count, height + 2 * _MARGIN, stride), dtype=np.uint8)
    padded[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = images
    pairs, squares = (scratch(name, (padded.size,), kind) for name, kind in (("pairs", np.uint16), ("table", np.uint32)))
    pairs[:-1] = padded.reshape(-1)[1:]
    pairs[-1] = 0
    pairs <<= 8
    pairs |= padded.reshape(-1)
    squares[:-stride] = pairs[stride:]
    squares[-stride:] = 0
    squares <<= 16
    squares |= pairs
    return squares


def _interpolate(
    squares: NDArray[np.uint32], to_right: NDArray[np.uint32], to_below: NDArray[np.uint32], out: NDArray[np.uint8]
) -> None:
    """Fill `out` with values so many 256ths to the right and below the first pixel of each of `squares`.

    The upper and the lower pixels are each in a half of a word, so that one operation does for both: 255 × 256 fits.
    """
    right = scratch("right", out.shape, np.uint32)
    np.right_shift(squares, 8, out=right)
    right &= _EVEN_BYTES
    squares &= _EVEN_BYTES
    right -= squares  # modulo 2**32, as all sums here, of which the last one fits
    right *= to_right
    squares <<= 8
    squares += right
    lower = np.right_shift(squares, 16, out=right)
    squares &= 0xFFFF
    lower -= squares
    lower *= to_below
    squares <<= 8
    squares += lower
    squares += ONE >> 1
    squares >>= 16
    out[...] = squares


def stroke(cells: NDArray[np.uint8], steps: NDArray[np.int64]) -> None:
    """Thicken the ink in each cell by `steps` px, or thin it by -`steps`, in place: grey dilation and erosion.

    The neighbours of a pixel are those above, below, left and right. A cell has a pixel of paper on each side, also
    when its ink is thickened. Thinning stops before nothing would be left.
    """
    count, _, wide = cells.shape
    flat = cells.reshape(count, -1)  # where the neighbours beyond both ends of a row are paper
    for step in range(1, int(np.abs(steps).max(initial=0)) + 1):
        for sign, spread in ((1, np.maximum), (-1, np.minimum)):
            chosen = np.flatnonzero(sign * steps >= step)
            for rows in blocks(len(chosen), flat.shape[1], _STROKE):
                before = flat[chosen[rows]]
                after = before.copy()
                for by in (1, wide):
                    spread(after[:, by:], before[:, :-by], out=after[:, by:])
                    spread(after[:, :-by], before[:, by:], out=after[:, :-by])
                left = after.any(axis=1)
                flat[chosen[rows][left]] = after[left]
