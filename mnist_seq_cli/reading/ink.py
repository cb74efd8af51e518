"""Owns ink: the digits of a picture as ink on nothing, in the size of glyphs, and where it can be cut apart."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError

SIDE = 28
"""Height that strips are brought to, and side of the square in which digits are compared, in px."""

MAX_WIDTH = 400 * SIDE
"""Columns of the widest strip that is read approximately, once it is 28 px high."""

_TALL = 20
"""Rows that the ink of a digit takes in MNIST, of all but the widest ones."""

_ONE = 20
"""Columns of ink that are surely no more than one digit."""


def resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image in another size."""
    from PIL import Image

    smaller = height * width < image.size
    how = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), how))


class Ink(NamedTuple):
    """A strip as ink 255 on background 0, its digits as large as glyphs: `values` uint8 (height, width).

    One of its columns was `scale` columns of the strip. `inverted` is true for white ink.
    """

    values: NDArray[np.uint8]
    scale: float
    inverted: bool


def ink_of(image: NDArray[np.uint8]) -> Ink:
    """Return the ink of a strip. Raises CheckError where there is none.

    A strip without margins is as high as its glyphs: the height of all the ink, and of each digit, shows it.
    """
    height, width = image.shape
    if min(height, width) < 4 or width * SIDE > height * MAX_WIDTH:
        raise CheckError(f"the strip is {height}×{width} px (height × width), which no strip of digits is")
    around = 2 * SIDE
    if height > around:  # much more than is needed: the rest is averaged away
        image = resized(image, around, max(1, round(width * around / height)))
    ink, inverted = cleaned(image)
    rows = np.flatnonzero((ink > 96).any(axis=1))
    if not len(rows):
        raise CheckError("the strip is empty paper", hint="there is nothing to read")
    tall = int(rows[-1] + 1 - rows[0])
    box = float(len(ink)) if 15 <= tall * SIDE / len(ink) <= 26 else tall * SIDE / 22
    values = in_glyph_size(ink, box)
    # Runs that are wider may be several digits, the ones higher up than the others.
    heights = [rows_of(values[:, start:stop]) for start, stop in inked(values) if stop - start <= _ONE]
    usual = float(np.percentile(heights, 70)) if heights else _TALL
    if not 0.9 * _TALL <= usual <= 1.1 * _TALL:
        values = in_glyph_size(ink, box * usual / _TALL)
    return Ink(values, width / values.shape[1], inverted)


def in_glyph_size(ink: NDArray[np.uint8], box: float) -> NDArray[np.uint8]:
    """Return ink scaled so that boxes of glyphs, now `box` px high, are 28 px high."""
    height, width = (max(1, round(size * SIDE / box)) for size in ink.shape)
    if max(height, width) > MAX_WIDTH:
        raise CheckError("what is on the strip is too small to be digits", hint="there is nothing to read")
    return ink if (height, width) == ink.shape else resized(ink, height, width)


def rows_of(ink: NDArray[np.uint8]) -> int:
    """Return the height of ink in px."""
    rows = np.flatnonzero((ink > 48).any(axis=1))
    return int(rows[-1] + 1 - rows[0]) if len(rows) else 0


def cleaned(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """Return ink 255 on background 0, without what is no stronger than noise; and whether ink is white."""
    values = image.astype(np.float32)
    background = float(np.median(values))
    darkest, lightest = np.percentile(values, (0.5, 99.5)).tolist()
    inverted = lightest - background > background - darkest
    strongest = max(lightest - background, background - darkest)
    if strongest < 16:
        raise CheckError("the strip is empty paper", hint="there is nothing to read")
    ink = values - background if inverted else background - values
    noise = 1.4826 * float(np.median(np.abs(values - background)))
    floor = min(3 * noise, 0.5 * strongest)
    ink = np.where(ink > floor, ink, 0) * (255 / strongest)
    cleaned = np.clip(ink, 0, 255).astype(np.uint8)
    cleaned[neighbours(cleaned > 40) < 2] = 0
    return cleaned, inverted


def neighbours(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the number of set pixels among the eight around each: uint8, of the shape of the mask."""
    padded = np.pad(mask, 1).astype(np.uint8)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    around: NDArray[np.uint8] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - mask
    return around


def inked(ink: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the runs of columns (start, stop) that have ink, and are parted by background; no specks."""
    strong = (ink > 48).any(axis=0)
    edges = np.flatnonzero(np.diff(strong, prepend=False, append=False)).reshape(-1, 2).tolist()
    mass = ink.sum(axis=0, dtype=np.int64)
    return [(start, stop) for start, stop in edges if mass[start:stop].sum() > 6 * 255]


def atoms_of(ink: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the columns (start, stop) of the smallest parts of a strip that may be digits, or parts of digits.

    Background parts them; and where ink goes on for more columns than a digit has, so may columns with little ink.
    """
    mass = ink.sum(axis=0, dtype=np.int64)
    atoms: list[tuple[int, int]] = []
    for start, stop in inked(ink):
        cuts = cuts_of(mass[start:stop]) if stop - start > _ONE else []
        atoms += pairwise([start, *(start + cut for cut in cuts), stop])
    return atoms


def cuts_of(mass: NDArray[np.int64]) -> list[int]:
    """Return the columns at which ink that is wide may be cut: those with the least of it, six apart."""
    width = len(mass)
    cuts: list[int] = []
    for column in np.argsort(mass[5 : width - 5], kind="stable") + 5:
        if all(abs(column - cut) > 5 for cut in cuts):
            cuts.append(int(column))
        if len(cuts) >= max(3, 3 * width // SIDE):
            break
    return sorted(cuts)
