"""Owns recognition: the digits of pictures of any hand, by the net, each with its place and its confidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.reading import net
from mnist_seq_cli.reading.lines import Line, line_of

SUREST = 0.9999
"""The highest confidence: only exact reading is sure."""

BOX = 28
"""Columns of a line that the box of a glyph has."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """The most likely `digits` of a picture, from left to right.

    `confidences` are the chances that each digit is right, as measured, and `confidence` that all are. `x` are the left
    edges of glyph boxes of `glyph_width` px around them. `inverted` is true for light ink.
    """

    digits: tuple[int, ...]
    x: tuple[int, ...]
    inverted: bool
    glyph_width: int
    confidences: tuple[float, ...]
    confidence: float

    @property
    def gaps(self) -> tuple[int, ...]:
        """The columns between neighbouring glyph boxes, in px; below 0 where they overlap."""
        return tuple(right - left - self.glyph_width for left, right in pairwise(self.x))


class Calibration(NamedTuple):
    """How sure the net really is: logistic functions that were fitted to strips of glyphs that it had not seen.

    A digit whose best column has the chance p is right with the chance 1 / (1 + exp(-(bias + slope * log(p / (1 - p))))
    (Platt, 1999). All digits are right, and none is missing, with the product of these to the power `digits`, times the
    product of the least chances of the runs of blanks to the power `blanks`.
    """

    bias: float
    slope: float
    digits: float
    blanks: float

    def of_digits(self, chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that each digit is right, for the chances of their best columns."""
        kept = np.clip(chances, 1e-6, 1 - 1e-6)
        sure: NDArray[np.float64] = 1 / (1 + np.exp(-(self.bias + self.slope * np.log(kept / (1 - kept)))))
        return np.minimum(sure.round(4), SUREST)

    def of_all(self, confidences: NDArray[np.float64], blanks: NDArray[np.float64]) -> float:
        """Return the chance that all digits are right, for those of each, and the least chances of runs of blanks."""
        log = self.digits * np.log(np.maximum(confidences, 1e-9)).sum() + self.blanks * np.log(blanks).sum()
        return min(round(float(np.exp(log)), 4), SUREST)


class _Runs(NamedTuple):
    """Runs of columns of one class, of n lines one after the other.

    `line`, `classes` int (runs,); `column` float (runs,), the column of the line in which each is centred; `chance`
    float (runs,), for a digit that of its best column, and for blanks that of the column that is least sure to be one.
    """

    line: NDArray[np.intp]
    classes: NDArray[np.intp]
    column: NDArray[np.float64]
    chance: NDArray[np.float64]


def runs_of(chances: Sequence[NDArray[np.float32]]) -> _Runs:
    """Return the runs of the most likely class of each column: CTC's best path."""
    columns = np.concatenate(chances)
    lengths = [len(each) for each in chances]
    line = np.repeat(np.arange(len(chances)), lengths)
    best, chance = columns.argmax(axis=1), columns.max(axis=1).astype(np.float64)
    first = np.flatnonzero((np.diff(best, prepend=-1) != 0) | (np.diff(line, prepend=-1) != 0))
    classes = best[first]
    place = np.concatenate([np.arange(length) for length in lengths]) * net.STEP + net.STEP / 2
    centre = np.add.reduceat(chance * place, first) / np.add.reduceat(chance, first)
    least, most = np.minimum.reduceat(chance, first), np.maximum.reduceat(chance, first)
    return _Runs(line[first], classes, centre, np.where(classes, most, least))


def recognise(pictures: Iterable[NDArray[np.uint8]]) -> list[Recognition | CheckError]:
    """Return the most likely digits of pictures, each uint8 (height, width), of any size, polarity and contrast.

    For one that shows nothing that could be digits, it is a CheckError.
    """
    found: list[Recognition | CheckError] = []
    lines: list[tuple[int, Line]] = []
    for picture in pictures:
        try:
            lines.append((len(found), line_of(picture)))
        except CheckError as error:
            found.append(error)
        else:
            found.append(
                CheckError("the picture shows nothing that looks like digits", hint="there is nothing to read")
            )
    if not lines:
        return found
    reader = net.bundled()
    runs = runs_of(reader.chances_of([line.values for _, line in lines]))
    edges = np.searchsorted(runs.line, np.arange(len(lines) + 1))
    for (place, line), first, stop in zip(lines, edges[:-1], edges[1:], strict=True):
        here = slice(first, stop)
        if runs.classes[here].any():
            measured = Calibration(*reader.calibration)
            found[place] = _recognition(line, runs.classes[here], runs.column[here], runs.chance[here], measured)
    return found


def _recognition(
    line: Line,
    classes: NDArray[np.intp],
    columns: NDArray[np.float64],
    chances: NDArray[np.float64],
    measured: Calibration,
) -> Recognition:
    shown = classes > 0
    confidences = measured.of_digits(chances[shown])
    left = line.left + columns[shown] * line.scale - BOX / 2 * line.scale
    return Recognition(
        tuple((classes[shown] - 1).tolist()),
        tuple(np.rint(left).astype(int).tolist()),
        line.inverted,
        max(1, round(BOX * line.scale)),
        tuple(confidences.tolist()),
        measured.of_all(confidences, chances[~shown]),
    )
