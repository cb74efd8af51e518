"""Owns where glyphs are: the gaps between them, and their edges on the canvas, in px."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.recipe.parts.placement import FULL
from mnist_seq_cli.recipe.recipe import Recipe


def gaps(recipe: Recipe, samples: Numbers) -> NDArray[np.int64]:
    """Return the gaps of samples: int64 (n, length - 1), each in [min_gap, max_gap] px."""
    count, between = len(samples), recipe.length - 1
    if recipe.min_gap == recipe.max_gap:
        return np.full((count, between), recipe.min_gap, dtype=np.int64)
    random = words(recipe.seed, "gap", samples, 1 if recipe.spacing == "equal" else between)
    gap = recipe.min_gap + bounded_integers(random, recipe.max_gap - recipe.min_gap + 1)
    return np.broadcast_to(gap, (count, between))


def left_edges(
    recipe: Recipe,
    ink: NDArray[np.int32],
    lengths: NDArray[np.int32],
    between: NDArray[np.int64],
    samples: Numbers,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the left edges of glyph boxes, int32 (n, length), and how wide each strip is, int32 (n,), in px.

    `ink` int32 (n, length, 4) is where the ink of each glyph is in its box, `lengths` int32 (n,) how many glyphs count,
    `between` int64 (n, length - 1) the gaps, in px.
    """
    count, step = len(samples), recipe.glyph_width
    if recipe.is_row:
        if recipe.min_gap == recipe.max_gap:
            row = recipe.margin + np.arange(recipe.length, dtype=np.int32) * (step + recipe.min_gap)
            x = np.tile(row, (count, 1))
        else:
            x = np.full((count, recipe.length), recipe.margin, dtype=np.int32)
            np.cumsum(between + step, axis=1, out=x[:, 1:])
            x[:, 1:] += recipe.margin
        return x, np.full(count, recipe.width, dtype=np.int32)
    tight = recipe.crop == "tight"
    widths = ink[:, :, 2].astype(np.int64) if tight else np.full((count, recipe.length), step, dtype=np.int64)
    offsets = np.zeros((count, recipe.length), dtype=np.int64)
    # However far glyphs overlap, they stay in order: in tight strips each begins a pixel further at least.
    np.cumsum(np.maximum(widths[:, :-1] + between, int(tight)), axis=1, out=offsets[:, 1:])
    absent = np.arange(recipe.length) >= lengths[:, None]
    content = np.where(absent, 0, offsets + widths).max(axis=1, initial=1)  # custom glyphs may have no ink
    around = recipe.margin + recipe.jitter_x
    slack = np.maximum(recipe.width - 2 * around - content, 0)
    start = around + _aligned(recipe, slack, samples)
    x = offsets + start[:, None] + _jitter(recipe, "jitter-x", recipe.jitter_x, samples)
    if tight:
        x -= ink[:, :, 0]
    return x.astype(np.int32), (2 * around + content).astype(np.int32)


def _aligned(recipe: Recipe, slack: NDArray[np.int64], samples: Numbers) -> NDArray[np.int64]:
    if recipe.align == "center":
        return slack // 2
    if recipe.align == "right":
        return slack
    if recipe.align == "random":
        return bounded_integers(words(recipe.seed, "align", samples, 1)[:, 0], slack + 1)
    return np.zeros_like(slack)


def _jitter(recipe: Recipe, purpose: str, most: int, samples: Numbers) -> NDArray[np.int64]:
    """Return how far each glyph is moved, int64 (n, length): up to `most` px either way."""
    if not most:
        return np.zeros((len(samples), recipe.length), dtype=np.int64)
    return bounded_integers(words(recipe.seed, purpose, samples, recipe.length), 2 * most + 1) - most


def top_edges(recipe: Recipe, samples: Numbers) -> NDArray[np.int32]:
    """Return the top edges of glyph boxes: int32 (n, length), in px; in the middle where they are not moved."""
    room = recipe.height - 2 * recipe.margin - recipe.glyph_height
    if recipe.jitter_y == FULL:
        random = words(recipe.seed, "jitter-y", samples, recipe.length)
        return (recipe.margin + bounded_integers(random, max(room, 0) + 1)).astype(np.int32)
    if not recipe.jitter_y:
        return np.full((len(samples), recipe.length), recipe.margin + room // 2, dtype=np.int32)
    moved = _jitter(recipe, "jitter-y", recipe.jitter_y, samples)
    return (recipe.margin + room // 2 + moved).astype(np.int32)
