"""Owns the boxes of the ink of the digits of a strip: recorded, seen, those of known glyphs, or estimated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.mnist.bank import Bank


class Box(NamedTuple):
    """The smallest rectangle around the ink of a digit on its strip, in px."""

    x: int
    y: int
    width: int
    height: int


def seen(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the boxes of the ink that an image, dark on white, has from each left edge on, as wide as a glyph."""
    boxes = []
    for left in x:
        part = image[:, max(0, left) : left + glyph_width] < 255
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if len(rows):
            top, start = int(rows[0]), int(columns[0])
            boxes.append(Box(left + start, top, int(columns[-1]) - start + 1, int(rows[-1]) - top + 1))
        else:
            boxes.append(Box(left, 0, 0, 0))
    return tuple(boxes)


def recorded_or_seen(
    image: NDArray[np.uint8], x: Sequence[int], glyph_width: int, recorded: Sequence[Sequence[int]]
) -> tuple[Box, ...]:
    """Return the boxes that were recorded for the digits, if they can be those of the image; else those `seen`."""
    height, width = image.shape
    boxes = tuple(Box(*box) for box in recorded)
    inside = all(
        min(box) >= 0 and box.x + box.width <= width and box.y + box.height <= height and box.x < width for box in boxes
    )
    return boxes if len(boxes) == len(x) and inside else seen(image, x, glyph_width)


def of_glyphs(bank: Bank, glyphs: NDArray[np.int32], x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the boxes of the ink of glyphs of a bank with these left and top edges: int32 (n, 4). They may overlap."""
    boxes = bank.ink(glyphs).astype(np.int32)
    boxes[:, 0] += x
    boxes[:, 1] += y
    return boxes


def estimated(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the boxes of digits whose left edges are approximate, each to the middle between it and its neighbours.

    Ink is what is nearer to the darkest there than to the background.
    """
    background = int(np.median(image))
    between = [(left + right + glyph_width) // 2 for left, right in pairwise(x)]
    boxes = []
    for left, low, high in zip(x, [0, *between], [*between, image.shape[1]], strict=True):
        start = max(left, low, 0)
        part = image[:, start : max(start, min(left + glyph_width, high))]
        ink = part < (int(part.min(initial=background)) + background) / 2
        (box,) = seen((255 * ~ink).astype(np.uint8), (0,), part.shape[1])
        boxes.append(box._replace(x=box.x + start))
    return tuple(boxes)
