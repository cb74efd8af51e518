"""Owns where glyphs stand: the gaps between them and their left edges, in px."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.draws import below, words
from mnist_seq_cli.recipe import Recipe


def gaps(recipe: Recipe, first: int, stop: int) -> NDArray[np.int64]:
    """Return the gaps of samples `first` to `stop`: int64 (stop - first, length - 1), each in [min_gap, max_gap] px."""
    count, between = stop - first, recipe.length - 1
    if recipe.min_gap == recipe.max_gap:
        return np.full((count, between), recipe.min_gap, dtype=np.int64)
    drawn = words(recipe.seed, "gap", first, stop, 1 if recipe.spacing == "equal" else between)
    chosen = recipe.min_gap + below(drawn, recipe.max_gap - recipe.min_gap + 1)
    return np.broadcast_to(chosen, (count, between))


def offsets(recipe: Recipe, first: int, stop: int) -> NDArray[np.int32]:
    """Return the left edge of each glyph on the canvas: int32 (stop - first, length), in px."""
    if recipe.min_gap == recipe.max_gap:
        step = recipe.glyph_width + recipe.min_gap
        return np.broadcast_to(np.arange(recipe.length, dtype=np.int32) * step, (stop - first, recipe.length))
    x = np.zeros((stop - first, recipe.length), dtype=np.int32)
    np.cumsum(gaps(recipe, first, stop) + recipe.glyph_width, axis=1, out=x[:, 1:])
    return x
