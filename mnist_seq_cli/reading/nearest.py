"""Owns the glyphs that are most like the digits of a picture: the nearest of each digit that was recognised."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.reading.lines import CURVE, HEIGHT, line_of
from mnist_seq_cli.reading.recognition import BOX, Recognition


def nearest_glyphs(picture: NDArray[np.uint8], recognition: Recognition, bank: Bank) -> tuple[int, ...]:
    """Return for each digit that was recognised in a picture the id of the glyph of that digit most like it.

    The bank has glyphs of 28×28 px. Nearest is the least sum of squares between it and the ink around the digit, as far
    as the middle between it and its neighbours, centred by its mass, as MNIST's are.
    """
    line = line_of(picture)
    ink = np.pad(np.searchsorted(CURVE, line.values), BOX).astype(np.float32)
    centres = [(x - line.left) / line.scale + BOX / 2 for x in recognition.x]
    middles = [0.0, *(sum(pair) / 2 for pair in pairwise(centres)), float(line.values.shape[1])]
    found = []
    for digit, centre, (left, right) in zip(recognition.digits, centres, pairwise(middles), strict=True):
        alone = ink.copy()
        alone[:, : BOX + round(max(left, centre - BOX / 2))] = 0
        alone[:, BOX + round(min(right, centre + BOX / 2)) :] = 0
        ids = bank.glyphs_of(digit)
        glyphs = bank.images(ids).reshape(len(ids), -1).astype(np.float32)
        distances = np.einsum("ij,ij->i", glyphs, glyphs) - 2 * (glyphs @ _centred(alone).reshape(-1))
        found.append(int(ids[distances.argmin()]))
    return tuple(found)


def _centred(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 28×28 px of ink around its centre of mass."""
    rows, columns = ink.sum(axis=1), ink.sum(axis=0)
    total = max(float(rows.sum()), 1.0)
    top = round(float(rows @ np.arange(len(rows))) / total - BOX / 2)
    left = round(float(columns @ np.arange(len(columns))) / total - BOX / 2)
    top, left = min(max(top, 0), HEIGHT + BOX), min(max(left, 0), len(columns) - BOX)
    return ink[top : top + BOX, left : left + BOX]
