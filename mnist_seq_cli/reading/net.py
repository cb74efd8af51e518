"""Owns the net of the reader: lines to the chances of each digit in each of their columns, in NumPy alone.

Convolutions as matrix products: the windows of a block of lines are laid out as rows (im2col), rows × channels last,
and multiplied with the weights. `training` makes the weights; batch normalisation is folded into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CLASSES = 11
"""The blank, which is class 0, and ten digits."""

STEP = 2
"""Columns of a line for each column of classes."""

_BLOCK = 1 << 20
"""Numbers in the largest array of windows: it stays in the processor's cache."""


class Layer(NamedTuple):
    """Shape of a convolution: rows and columns of its window, its steps, and the padding on each side."""

    rows: int
    columns: int
    step_down: int
    step_across: int
    above: int
    beside: int


LAYERS = (
    Layer(5, 5, 2, 2, 2, 2),
    Layer(3, 3, 2, 1, 1, 1),
    Layer(3, 3, 2, 2, 1, 1),
    Layer(5, 3, 1, 1, 0, 1),
    Layer(1, 5, 1, 1, 0, 2),
    Layer(1, 1, 1, 1, 0, 0),
)
"""The convolutions. Each but the last is followed by max(0, x); the last gives two columns of classes at once."""


def run(layers: Any, lines: NDArray[np.uint8]) -> Floats:
    values = lines.astype(np.float32)[..., None]
    values *= np.float32(1 / 255)
    for number, (layer, (weights, bias)) in enumerate(zip(LAYERS, layers, strict=True)):
        values = _convolved(values, layer, weights, bias)
        if number < len(LAYERS) - 1:
            np.maximum(values, 0, out=values)
    return values.reshape(len(lines), -1, CLASSES)


def _convolved(values: Floats, layer: Layer, weights: Floats, bias: Floats) -> Floats:
    count, height, width, channels = values.shape
    if layer.above or layer.beside:
        padded = np.zeros((count, height + 2 * layer.above, width + 2 * layer.beside, channels), dtype=np.float32)
        padded[:, layer.above : layer.above + height, layer.beside : layer.beside + width] = values
        values = padded
    high = (values.shape[1] - layer.rows) // layer.step_down + 1
    wide = (values.shape[2] - layer.columns) // layer.step_across + 1
    image, down, across, channel = values.strides
    windows = as_strided(
        values,
        (count, high, wide, layer.rows, layer.columns * channels),
        (image, down * layer.step_down, across * layer.step_across, down, channel),
    )
    out = np.empty((count, high, wide, weights.shape[1]), dtype=np.float32)
    size = len(weights)
    block = max(1, _BLOCK // (high * wide * size))
    for start in range(0, count, block):
        rows = windows[start : start + block].reshape(-1, size)
        np.matmul(rows, weights, out=out[start : start + block].reshape(-1, weights.shape[1]))
    out += bias
    return out
