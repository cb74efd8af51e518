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

_NEAR = 14
"""Columns of a line to each side of its centre that the ink of a digit may take."""

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
    part of the ink that is near to digits to the power `ink`: by that it is seen where much is no digit.

    Before, chances of the blank are multiplied by `blank`: of the lines that the net was trained with, more than of
    others show no digits.
    """

    bias: float
    slope: float
    digits: float
    ink: float
    blank: float

    def of_digits(self, chances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that each digit is right, for the chances of their best columns."""
        kept = np.clip(chances, 1e-6, 1 - 1e-6)
        sure: NDArray[np.float64] = 1 / (1 + np.exp(-(self.bias + self.slope * np.log(kept / (1 - kept)))))
        return np.minimum(sure.round(4), SUREST)

    def of_all(self, confidences: NDArray[np.float64], ink: float) -> float:
        """Return the chance that all digits are right, for that of each, and the part of the ink near to digits."""
        log = self.digits * np.log(np.maximum(confidences, 1e-9)).sum() + self.ink * np.log(max(ink, 1e-9))
        return min(round(float(np.exp(log)), 4), SUREST)


class _Runs(NamedTuple):
    """Runs of columns of one digit, of n lines one after the other.

    `line`, `digits` int (runs,); `column` float (runs,), the column of the line in which each is centred; `chance`
    float (runs,), that of its best column.
    """

    line: NDArray[np.intp]
    digits: NDArray[np.intp]
    column: NDArray[np.float64]
    chance: NDArray[np.float64]


def runs_of(chances: Sequence[NDArray[np.float32]], blank: float) -> _Runs:
    """Return the runs of digits where the most likely class of each column is taken: CTC's best path.

    The chance of the blank, class 0, is multiplied by `blank` for that.
    """
    columns = np.concatenate(chances)
    columns[:, 0] *= np.float32(blank)
    lengths = [len(each) for each in chances]
    line = np.repeat(np.arange(len(chances)), lengths)
    best, chance = columns.argmax(axis=1), columns.max(axis=1).astype(np.float64)
    first = np.flatnonzero((np.diff(best, prepend=-1) != 0) | (np.diff(line, prepend=-1) != 0))
    classes = best[first]
    place = np.concatenate([np.arange(length) for length in lengths]) * net.STEP + net.STEP / 2
    centre = np.add.reduceat(chance * place, first) / np.add.reduceat(chance, first)
    most, shown = np.maximum.reduceat(chance, first), classes > 0
    return _Runs(line[first][shown], classes[shown] - 1, centre[shown], most[shown])


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
    measured = Calibration(*reader.calibration)
    runs = runs_of(reader.chances_of([line.values for _, line in lines]), measured.blank)
    edges = np.searchsorted(runs.line, np.arange(len(lines) + 1)).tolist()
    for (place, line), first, stop in zip(lines, edges[:-1], edges[1:], strict=True):
        if first < stop:
            here = slice(first, stop)
            found[place] = _recognition(
                line, runs.digits[here], runs.column[here], measured.of_digits(runs.chance[here]), measured
            )
    return found


def ink_near(line: NDArray[np.uint8], centres: NDArray[np.float64]) -> float:
    """Return the part of the ink of a line, 0 to 1, in columns that are near to the centres of digits."""
    ink = line.sum(axis=0, dtype=np.int64)
    near = np.zeros(len(ink), np.bool_)
    for centre in centres.tolist():
        near[max(0, round(centre) - _NEAR) : round(centre) + _NEAR] = True
    return float(ink[near].sum() / max(1, ink.sum()))


def _recognition(
    line: Line,
    digits: NDArray[np.intp],
    columns: NDArray[np.float64],
    confidences: NDArray[np.float64],
    measured: Calibration,
) -> Recognition:
    left = line.left + (columns - BOX / 2) * line.scale
    return Recognition(
        tuple(digits.tolist()),
        tuple(np.rint(left).astype(int).tolist()),
        line.inverted,
        max(1, round(BOX * line.scale)),
        tuple(confidences.tolist()),
        measured.of_all(confidences, ink_near(line.values, columns)),
    )
