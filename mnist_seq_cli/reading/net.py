"""Owns the net of the reader: lines to the chances of each digit in each of their columns, in NumPy alone.

Convolutions as matrix products: the windows of some lines are laid out as rows (im2col), rows × columns × channels in
one, and multiplied by the weights. `training` makes the weights; batch normalisation is folded into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from mnist_seq_cli.engine.scratch import blocks, scratch
from mnist_seq_cli.mnist.bank import NET_FILE, bundled_directory

Floats = NDArray[np.float32]

CLASSES = 11
"""The blank, which is class 0, and ten digits."""

STEP = 2
"""Columns of a line for each column of classes."""

PADDED = 16
"""Lines are made as wide as a multiple of this, so that what is read does not depend on what is beside it."""

_WINDOW, _OVERLAP = 2048, 32
"""Columns of the longest line that is read at once, and by how much the parts of longer ones overlap.

A column of classes sees 18 columns to each side, so that the parts give what the whole would.
"""

_BYTES, _MEMORY = 1 << 10, 1 << 20
"""Bytes of the largest values of a layer for each column of a line, about, and for how many lines have room at once."""

_LARGEST, _ONES = np.float32(80), np.ones((CLASSES, 1), np.float32)
"""The largest value whose exponential float32 has room for, and what sums up classes."""

_BLOCK = 1 << 18
"""Numbers in the largest array of windows: it stays in the processor's second-level cache."""


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


@dataclass(frozen=True, slots=True)
class Net:
    """Weights and biases of each layer, float32 (rows × columns × channels, channels) and (channels,).

    `calibration` are the factors of `recognition.Calibration`, which belong to them.
    """

    layers: tuple[tuple[Floats, Floats], ...]
    calibration: tuple[float, ...]

    def chances_of(self, lines: Sequence[NDArray[np.uint8]]) -> list[Floats]:
        """Return for each line, uint8 (HEIGHT, width), the chances of the classes: float32 (width / STEP, CLASSES)."""
        found: list[Floats] = [np.empty((0, CLASSES), np.float32)] * len(lines)
        by_width: dict[int, list[int]] = {}
        for number, line in enumerate(lines):
            by_width.setdefault(-(-line.shape[1] // PADDED) * PADDED, []).append(number)
        for width, numbers in by_width.items():
            together = np.zeros((len(numbers), lines[numbers[0]].shape[0], width), dtype=np.uint8)
            for row, number in enumerate(numbers):
                together[row, :, : lines[number].shape[1]] = lines[number]
            for number, chances in zip(numbers, self._in_parts(together), strict=True):
                found[number] = chances
        return found

    def _in_parts(self, lines: NDArray[np.uint8]) -> Floats:
        """Return the chances for lines of one width; long ones part by part."""
        width, inner = lines.shape[2], _WINDOW - 2 * _OVERLAP
        if width <= _WINDOW:
            return self._run(lines)
        parts = []
        for start in range(0, width, inner):
            first, last = max(0, start - _OVERLAP), min(width, start + inner + _OVERLAP)
            chances = self._run(lines[:, :, first:last])
            parts.append(chances[:, (start - first) // STEP : (start - first + inner) // STEP])
        return np.concatenate(parts, axis=1)

    def _run(self, lines: NDArray[np.uint8]) -> Floats:
        """Return the chances for lines of one width: float32 (n, width / STEP, CLASSES)."""
        count, _, width = lines.shape
        chances = np.empty((count, width // STEP, CLASSES), dtype=np.float32)
        for rows in blocks(count, width * _BYTES, _MEMORY):
            values = _layer_input(0, np.multiply(lines[rows], np.float32(1 / 255))[..., None])
            for number, (factors, bias) in enumerate(self.layers, 1):
                made = _convolved(values, LAYERS[number - 1], factors)
                made += bias
                if number < len(LAYERS):
                    values = _layer_input(number, made)
            chances[rows] = made.reshape(len(made), -1, CLASSES)
        np.exp(np.minimum(chances, _LARGEST, out=chances), out=chances)
        chances /= chances @ _ONES  # a product is a tenth of the time of a sum over so few
        return chances


def load(path: PathLike[str]) -> Net:
    """Return the net in a file. Raises OSError."""
    with np.load(path) as file:
        layers = tuple(
            (file[f"weights{number}"].astype(np.float32), file[f"bias{number}"].astype(np.float32))
            for number in range(len(LAYERS))
        )
        return Net(layers, tuple(file["calibration"].tolist()))


@cache
def bundled() -> Net:
    """Return the net that comes with the package."""
    return load(bundled_directory() / NET_FILE.name)


def _layer_input(number: int, values: Floats) -> Floats:
    """Return what a layer takes: values, but 0 for what is below, with zeros around as its shape says.

    It is valid until that of the same layer is asked for again.
    """
    count, height, width, channels = values.shape
    above, beside = LAYERS[number].above, LAYERS[number].beside
    padded = scratch(f"layer {number}", (count, height + 2 * above, width + 2 * beside, channels), np.float32)
    padded[:, :above] = padded[:, above + height :] = 0
    padded[:, :, :beside] = padded[:, :, beside + width :] = 0
    np.maximum(values, 0, out=padded[:, above : above + height, beside : beside + width])
    return padded


def _convolved(values: Floats, layer: Layer, factors: Floats) -> Floats:
    """Return the convolution of padded values (n, rows, columns, channels), valid until the next one."""
    count, height, width, channels = values.shape
    high = (height - layer.rows) // layer.step_down + 1
    wide = (width - layer.columns) // layer.step_across + 1
    image, down, across, channel = values.strides
    windows = as_strided(
        values,
        (count, high, wide, layer.rows, layer.columns * channels),
        (image, down * layer.step_down, across * layer.step_across, down, channel),
    )
    size, outputs = factors.shape
    out = scratch("made", (count, high, wide, outputs), np.float32)
    for rows in blocks(count, high * wide * size, _BLOCK):
        here = windows[rows]
        laid_out = scratch("windows", here.shape, np.float32)
        np.copyto(laid_out, here)
        np.matmul(laid_out.reshape(-1, size), factors, out=out[rows].reshape(-1, outputs))
    return out
