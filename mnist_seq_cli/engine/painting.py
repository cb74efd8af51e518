"""Owns the pixels: glyphs pasted on white, one row of a glyph at a time, or laid over one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import PAPER, Annotations
from mnist_seq_cli.engine.scratch import scratch
from mnist_seq_cli.mnist.background_image import BackgroundImage
from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.recipe.recipe import Recipe

if TYPE_CHECKING:
    from mnist_seq_cli.engine.warp import WarpedGlyphs

_BLOCK = 512
"""Strips painted at a time: they and their glyphs stay in the processor's second-level cache."""

_OVERLAY = 1 << 20
"""Bytes of canvas on which overlapping glyphs are laid at a time."""


def paint(
    recipe: Recipe,
    bank: Bank,
    shown: Annotations,
    warped: WarpedGlyphs | None,
    images: NDArray[np.uint8],
    *,
    masks: NDArray[np.uint8] | None = None,
    background: BackgroundImage | None = None,
) -> None:
    """Paint strips that show this, on the recipe's canvas: into `images`, uint8 (n, height, width).

    Glyphs that are -1 are left out. Where glyphs overlap, the darker one is seen. `masks` is filled with the positions,
    counted from 1, of the glyphs that are seen.
    """
    inverted = recipe.invert and not recipe.has_effects
    if warped is None and not recipe.overlaps and masks is None:
        _paste(bank, shown, images, inverted)
    else:
        _overlay(bank, shown, warped, images, masks)
        if not inverted:
            np.invert(images, out=images)
    if recipe.has_effects:
        from mnist_seq_cli.engine.background import apply

        apply(recipe, images, shown, background)
        if recipe.invert:
            np.invert(images, out=images)
    if recipe.fit:
        images.swapaxes(1, 2)[np.arange(recipe.width) >= shown.widths[:, None]] = 0 if recipe.invert else PAPER


def _paste(bank: Bank, shown: Annotations, images: NDArray[np.uint8], inverted: bool) -> None:
    """Paste glyphs that do not overlap: row by row, each row one item."""
    glyphs, x, y = shown.glyphs, shown.x, shown.y
    count, canvas_height, width = images.shape
    height = bank.height
    rows = images.reshape(-1, width)
    cell = np.empty((min(_BLOCK, count), height * bank.width), dtype=np.uint8)
    glyph_rows = _as_items(cell.reshape(-1, bank.width))
    complete = bool((glyphs >= 0).all())
    covered = complete and width == glyphs.shape[1] * bank.width and height == canvas_height
    ids = _columns(glyphs)
    aligned = complete and height == canvas_height and bool((x == x[0]).all())
    targets = (
        _aligned_targets(rows, x[0], height, bank.width)
        if aligned
        else _scattered_targets(images, x, y, height, bank.width)
    )
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        if not covered:
            images[start:stop].fill(0 if inverted else PAPER)
        for position in range(glyphs.shape[1]):
            strips: Strips = slice(start, stop)
            if not complete:
                strips = start + np.flatnonzero(ids[position, start:stop] >= 0)
            chosen = ids[position, strips]
            pasted = cell[: len(chosen)]
            bank.take(chosen, out=pasted)
            if not inverted:
                np.invert(pasted, out=pasted)
            target, where = targets(position, strips)
            target[where] = glyph_rows[: len(chosen) * height]


def _overlay(
    bank: Bank,
    shown: Annotations,
    warped: WarpedGlyphs | None,
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None,
) -> None:
    """Lay glyphs over one another, ink 255 on paper 0, the stronger ink on top."""
    count, height, width = images.shape
    tall, wide = (bank.height, bank.width) if warped is None else warped.cells.shape[2:]
    x, y = (shown.x, shown.y) if warped is None else (warped.x, warped.y)
    # The canvas has room for a whole glyph on all sides, so that no glyph is outside of it.
    outer_height, outer_width = height + 2 * tall, width + 2 * wide
    block = max(1, min(count, _OVERLAY // (outer_height * outer_width)))
    lines = np.arange(0, tall * outer_width, outer_width)
    begin = (np.clip(y, -tall, height) + tall) * np.intp(outer_width) + np.clip(x, -wide, width) + wide
    inner = (slice(None), slice(tall, tall + height), slice(wide, wide + width))
    for start in range(0, count, block):
        stop = min(start + block, count)
        canvases = [
            scratch(name, (stop - start, outer_height, outer_width), np.uint8)
            for name in ("canvas", "mask")[: 1 + (masks is not None)]
        ]
        for canvas in canvases:
            canvas.fill(0)
        items = [np.ndarray((canvas.size - wide + 1,), f"V{wide}", canvas, strides=(1,)) for canvas in canvases]
        for position in range(x.shape[1]):
            here = start + np.flatnonzero(shown.glyphs[start:stop, position] >= 0)
            targets = (
                ((here - start) * (outer_height * outer_width) + begin[here, position])[:, None] + lines
            ).reshape(-1)
            cells = bank.images(shown.glyphs[here, position]) if warped is None else warped.cells[here, position]
            over = cells.reshape(-1, wide)
            under, *seen = (all_items[targets].view(np.uint8).reshape(-1, wide) for all_items in items)
            for mask in seen:
                mask[over > under] = position + 1
            np.maximum(under, over, out=under)
            for all_items, changed in zip(items, (under, *seen), strict=True):
                all_items[targets] = _as_items(changed)
        images[start:stop] = canvases[0][inner]
        if masks is not None:
            masks[start:stop] = canvases[1][inner]


def _columns(values: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the columns as rows of np.intp, the type that NumPy indexes with: it would convert others at every use."""
    return np.ascontiguousarray(values.T, dtype=np.intp)


def _as_items(rows: NDArray[np.uint8]) -> NDArray[np.void]:
    """View each row of bytes as one item, which NumPy copies with one memcpy."""
    return rows.view(f"V{rows.shape[1]}")[:, 0]


Strips = slice | NDArray[np.intp]
Targets = Callable[[int, Strips], tuple[NDArray[np.void], Any]]
"""Returns for a position and some strips where the rows of those glyphs go: an array of items, and an index into it."""


def _aligned_targets(rows: NDArray[np.uint8], edges: NDArray[np.int32], height: int, glyph_width: int) -> Targets:
    """All strips have the same left edges: a column of the images takes the glyphs of a position."""
    columns = [_as_items(rows[:, left : left + glyph_width]) for left in edges]

    def targets(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        assert isinstance(strips, slice)
        return columns[position], slice(strips.start * height, strips.stop * height)

    return targets


def _scattered_targets(
    images: NDArray[np.uint8], x: NDArray[np.int32], y: NDArray[np.int32], height: int, glyph_width: int
) -> Targets:
    """Each strip has edges of its own: an item may begin at any byte of the images."""
    _, canvas_height, width = images.shape
    edges = _columns(y * width + x if y.any() else x)
    every_byte = np.ndarray((images.size - glyph_width + 1,), f"V{glyph_width}", images, strides=(1,))
    lines = np.arange(0, height * width, width, dtype=np.intp)

    starts = np.arange(edges.shape[1], dtype=np.intp) * (canvas_height * width)

    def targets(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        begin = starts[strips] + edges[position, strips]
        return every_byte, (begin[:, None] + lines).reshape(-1)

    return targets
