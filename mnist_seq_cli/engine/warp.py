"""Owns warps: glyphs slanted, rotated, scaled, thinned and thickened, in fixed-point integers.

Each glyph is mapped about the centre of its ink into a cell that holds all of it, whatever was sampled. Angles are in
1/256 of a degree, scales in 1/256 of a percent, the matrix in 1/65536. Nothing here is a float, so that the result is
the same on every machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.mnist.bank import Bank, ink_boxes
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.warp_bounds import ONE, STEPS, cell_size, cosine, sine, tangent

_BLOCK = 64
"""Glyphs mapped at a time: what is computed for them stays in the processor's second-level cache."""


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
    `matrices` as `inverse` gives them. The cells are uint8 (n, *cell), the offsets int32 (n, 2): left and top in px,
    mostly below 0. Between pixels, values are interpolated in both directions; for glyphs that become less than half as
    large at four points in each pixel, so that no stroke is passed over.
    """
    tall, wide = cell
    doubled = 2 * boxes[:, :2] + boxes[:, 2:] - np.array([wide, tall], dtype=np.int32)
    offsets = doubled >> 1
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
    return cells, offsets


class WarpedGlyphs(NamedTuple):
    """Glyphs of another shape than they have in the bank, ink 255 on paper 0.

    `cells` uint8 (n, length, height, width); `x` and `y` int32 (n, length), left and top edges of the cells in px;
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
    matrices = inverse(values["slant"], values["rotate"], values["scale"])
    cell = cell_size(recipe.warp, (recipe.ink_height, recipe.ink_width))
    cells, offsets = shape(bank.images(glyphs.reshape(-1)), ink.reshape(-1, 4), matrices, cell)
    stroke(cells, values["stroke"])
    boxes = ink_boxes(cells)
    boxes[:, :2] += offsets
    x, y = offsets.T.reshape(2, count, length)
    return WarpedGlyphs(cells.reshape(count, length, *cell), x, y, boxes.reshape(count, length, 4), sampled)


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
    margin = 2  # of paper, so that what lies outside is paper on all four sides of a point
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
        point = beside[:, :, None] + along[:, None, :]
        whole.append(np.clip(point >> 16, 0, limit))
        parts.append((point >> 8) & 255)
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
    offsets = line.reshape(-1)
    upper = _between(pairs.take(offsets), to_right.reshape(-1))
    offsets += stride
    lower = _between(pairs.take(offsets, mode="clip"), to_right.reshape(-1))
    lower -= upper
    lower *= to_below.reshape(-1)
    upper <<= 8
    upper += lower
    upper += ONE >> 1
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
