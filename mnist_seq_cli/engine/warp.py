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
from mnist_seq_cli.recipe.warp_bounds import ONE, STEPS, Warp, cell_size, sine

_MAPPED, _STROKED = 1 << 21, 1 << 17
"""Bytes of all that is computed at a time for glyphs that are mapped, and of those that are thickened: in the cache."""

Angles = int | NDArray[np.int64]

_MARGIN = 2
"""Pixels of paper around a glyph, so that what lies outside is paper on all four sides of a point."""

_EVEN_BYTES = 0x00FF00FF


def inverse(slant: Angles, rotate: Angles, scale: Angles) -> NDArray[np.int64]:
    """Return the matrices that lead from points in a cell back to the glyph: int64 (n, 4), row by row, in 1/65536.

    A glyph is scaled, then sheared, then rotated; so back it is rotated, sheared and scaled. What is one number is the
    same for all glyphs.
    """
    angles = np.empty((4, *np.broadcast(slant, rotate).shape), dtype=np.int64)  # one series for all of them
    angles[0], angles[1] = slant, rotate
    np.subtract(90 * STEPS, np.abs(angles[:2]), out=angles[2:])
    lean, sin, upright, cos = sine(angles)
    shear = (lean << 16) // upright
    factor = (100 * STEPS << 16) // scale
    matrices = np.empty((*np.broadcast(slant, rotate, scale).shape, 4), dtype=np.int64)
    for number, row in enumerate((cos + (shear * sin >> 16), (shear * cos >> 16) - sin, sin, cos)):
        matrices[..., number] = row * factor >> 16
    return matrices


def shape(
    images: NDArray[np.uint8],
    boxes: NDArray[np.int32],
    matrices: NDArray[np.int64],
    sizes: NDArray[np.int64],
    cells: NDArray[np.uint8],
) -> NDArray[np.int32]:
    """Map glyphs into cells, and return the offsets of the cells in the boxes of the glyphs.

    `images` uint8 (n, height, width), ink 255 on paper 0; `boxes` int32 (n, 4), their ink as x, y, width, height;
    `matrices` as `inverse` gives them, `sizes` as `windows` does; `cells` uint8 (n, tall, wide), all paper. The offsets
    are int32 (n, 2): left and top in px, mostly below 0. Between pixels, values are interpolated in both directions;
    for glyphs that become less than half as large at four points in each pixel, so that no stroke is passed over.
    """
    cell = cells.shape[1:]
    doubled = 2 * boxes[:, :2] + boxes[:, 2:] - np.array(cell[::-1], dtype=np.int32)
    halves, plan = doubled & 1, matrices.astype(np.int32)
    shrunk = _shrinks(matrices)
    for times in (1, 2):
        for some in _alike(sizes * times, np.flatnonzero(shrunk == (times == 2)), images[0].size):
            largest = sizes[some].max(axis=0).tolist()
            top, left = (max(0, whole - size) // 2 for whole, size in zip(cell, largest, strict=True))
            tall, wide = cell[0] - 2 * top, cell[1] - 2 * left  # about the same centre
            halved = times * halves[some], plan[some] >> times - 1
            mapped = _map(images[some], boxes[some], *halved, (times * tall, times * wide))
            if times == 2:
                rows = np.add(mapped[::2], mapped[1::2], dtype=np.uint16)
                mapped = (rows[:, :, ::2] + rows[:, :, 1::2] + 2 >> 2).astype(np.uint8)
            cells[some, top : top + tall, left : left + wide] = mapped.swapaxes(0, 1)
    return doubled >> 1


def windows(boxes: NDArray[np.int32], matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the heights and widths of what the ink of each glyph falls in, about the centre: int64 (n, 2), in px.

    That is the box around the parallelogram that the ink box becomes.
    """
    reach = 16 * (boxes[:, 2:].astype(np.int64) + 1) + 1  # in 1/32 px: half the ink, half a pixel, and to round
    to_x, x_by_y, y_by_x, to_y = np.abs(matrices).T
    areas = matrices[:, 0] * matrices[:, 3] - matrices[:, 1] * matrices[:, 2]
    down, across = to_x * reach[:, 1] + y_by_x * reach[:, 0], to_y * reach[:, 0] + x_by_y * reach[:, 1]
    return (np.stack([down, across], axis=1) << 12) // areas[:, None] + 2


def _alike(sizes: NDArray[np.int64], rows: NDArray[np.intp], pixels: int) -> Iterator[NDArray[np.intp]]:
    """Yield `rows` in blocks of glyphs, of so many pixels, whose windows are about as large: little else is mapped."""
    if len(rows) > 1:
        rows = rows[np.lexsort(sizes[rows].T)[::-1]]
    while len(rows):
        stop = max(1, _MAPPED // (24 * int(sizes[rows[0]].prod()) + 7 * pixels))
        yield rows[:stop]
        rows = rows[stop:]


class WarpedGlyphs(NamedTuple):
    """Glyphs of another shape than they have in the bank, ink 255 on paper 0.

    `cells` uint8 (n, length, height, width), which are valid until the next ones; `x` and `y` int32 (n, length), left
    and top edges of the cells in px; `boxes` int32 (n, length, 4), where their ink is, as x, y, width and height in px;
    all of them in the image, or in the box of the glyph. `sampled` holds what was sampled, by name: arrays (n, length).
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
    values: dict[str, Any] = {}
    sampled: dict[str, NDArray[Any]] = {}
    for name, (low, high) in recipe.warp._asdict().items():
        steps = 1 if name == "stroke" else STEPS
        values[name] = low * steps  # one number for all, which costs nothing
        if low < high:
            random = words(recipe.seed, name, samples, length).reshape(-1)
            values[name] = bounded_integers(random, (high - low) * steps + 1) + low * steps
        if name in recipe.sampled_ranges:
            chosen = np.broadcast_to(values[name], glyphs.size).reshape(count, length)
            sampled[name] = chosen if name == "stroke" else (chosen * 100 // STEPS) / 100
    images = scratch("glyphs", (glyphs.size, bank.height, bank.width), np.uint8)
    bank.take(glyphs.reshape(-1), out=images.reshape(glyphs.size, -1))
    inked, room = ink.reshape(-1, 4), max(0, recipe.stroke[1]) + 1
    if recipe.warp._replace(stroke=Warp().stroke).is_plain:
        cells = _paper_cells(glyphs.size, bank.height + 2 * room, bank.width + 2 * room)
        cells[:, room : room + bank.height, room : room + bank.width] = images
        offsets = np.full((glyphs.size, 2), -room, dtype=np.int32)
    else:
        matrices = np.empty((glyphs.size, 4), dtype=np.int64)
        matrices[...] = inverse(values["slant"], values["rotate"], values["scale"])
        sizes = windows(inked, matrices)
        cells = _paper_cells(glyphs.size, *(sizes.max(axis=0) + 2 * room).tolist())
        offsets = shape(images, inked, matrices, sizes, cells)
    if any(recipe.stroke):
        stroke(cells, np.broadcast_to(values["stroke"], glyphs.size))
    boxes = ink_boxes(cells)
    largest = np.array(cell_size(recipe.warp, (recipe.ink_height, recipe.ink_width))[::-1])
    # Where a glyph has no ink, its box is the corner of the largest cell: a promise, too.
    boxes[:, :2] += np.where(boxes[:, 2:] == 0, (2 * inked[:, :2] + inked[:, 2:] - largest) >> 1, offsets)
    x, y = offsets.T.reshape(2, count, length)
    return WarpedGlyphs(cells.reshape(count, length, *cells.shape[1:]), x, y, boxes.reshape(count, length, 4), sampled)


def _paper_cells(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return cells without ink; they are whole words of eight bytes wide, in which ink boxes are found faster."""
    cells = scratch("cells", (count, height, -(-width // 8) * 8), np.uint8)
    cells.fill(0)
    return cells


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
    window: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return what falls in the windows of a block: uint8 (height, n, width), row by row of all glyphs.

    `halves` is 1 where the centre of a window is half a pixel further on.
    """
    count, height, width = images.shape
    tall, wide = window
    side = max(height, width) + 2 * _MARGIN
    across = 2 * np.arange(wide, dtype=np.int32) - (wide - 1) - halves[:, :1]
    down = 2 * np.arange(tall, dtype=np.int32)[:, None] - (tall - 1) - halves[:, 1]
    centre = ((2 * boxes[:, :2] + boxes[:, 2:] - 1 + 2 * _MARGIN) << 15) + (1 << 7)  # half a 256th: to round
    shape = (2, tall, count, wide)  # x and y at once; glyphs within rows, so that NumPy's inner loops are long
    points, whole = (scratch(name, shape, np.int32) for name in ("points", "whole"))
    by_column, by_row = np.ascontiguousarray(matrices.T.reshape(2, 2, count).swapaxes(0, 1))
    points[...] = (((by_row[:, None] * down) >> 1) + centre.T[:, None])[..., None]
    points += ((by_column[:, :, None] * across) >> 1)[:, None]
    np.clip(points, 0, (side - 1 << 16) - 1, out=points)
    np.right_shift(points, 16, out=whole)
    points >>= 8
    points &= 255
    x, y = whole
    y *= side
    y += x
    y += np.repeat(np.arange(count, dtype=np.int32) * side**2, wide).reshape(count, wide)
    places = scratch("places", y.shape, np.intp)
    places[...] = y
    squares, spare = whole.view(np.uint32)
    _squares(images, side).take(places, out=squares, mode="clip")
    to_right, to_below = points.view(np.uint32)
    return _interpolated(squares, to_right, to_below, spare).astype(np.uint8)


def _squares(images: NDArray[np.uint8], side: int) -> NDArray[np.uint32]:
    """Return each pixel with its right, lower and lower right neighbour, lowest byte first.

    They are flat, from images with paper around that are `side` px high and wide.
    """
    count, height, width = images.shape
    padded = np.zeros((count, side, side), dtype=np.uint8)
    padded[:, _MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width] = images
    pixels, pairs = padded.reshape(-1), scratch("pairs", (padded.size,), np.uint16)
    pairs[:-1] = pixels[1:]
    pairs <<= 8
    pairs |= pixels
    squares = scratch("table", pairs.shape, np.uint32)
    squares[:-side] = pairs[side:]
    squares <<= 16
    squares |= pairs
    return squares


def _interpolated(
    squares: NDArray[np.uint32], to_right: NDArray[np.uint32], to_below: NDArray[np.uint32], spare: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Return the values so many 256ths to the right and below the first pixels of `squares`, in their memory.

    The upper and the lower pixels are each in a half of a word, so that one operation does for both: 255 × 256 fits.
    """
    right = np.right_shift(squares, 8, out=spare)
    right &= _EVEN_BYTES
    squares &= _EVEN_BYTES
    right -= squares  # modulo 2**32, as all sums here, of which the last one fits
    right *= to_right
    squares <<= 8
    squares += right
    lower = np.right_shift(squares, 16, out=spare)
    squares &= 0xFFFF
    lower -= squares
    lower *= to_below
    squares <<= 8
    squares += lower
    squares += ONE >> 1
    squares >>= 16
    return squares


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
            for rows in blocks(len(chosen), flat.shape[1], _STROKED):
                before = flat[chosen[rows]]
                after = before.copy()
                for by in (1, wide):
                    spread(after[:, by:], before[:, :-by], out=after[:, by:])
                    spread(after[:, :-by], before[:, by:], out=after[:, :-by])
                left = after.any(axis=1)
                flat[chosen[rows][left]] = after[left]
