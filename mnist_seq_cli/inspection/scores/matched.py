"""Owns predictions by the number of their sample, and which of them belong to none."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inspection.predictions import Row
from mnist_seq_cli.samples.samples import Samples

_NO_ROW = -1


class Matched:
    """Predictions by number of the sample: one long text, and where in it each begins and ends.

    `name` is what they come from. `unknown` rows name no sample, `repeated` ones a sample that had one, and `floats`
    are written as numbers with a point; `problems` says so. With `pad_zeros` a prediction gets the zeros at its
    beginning that it is shorter than its label.
    """

    def __init__(self, samples: Samples, rows: Iterable[Row], name: str, *, pad_zeros: bool = False) -> None:
        self.name, self.pad_zeros = name, pad_zeros
        self.unknown = self.repeated = self.floats = 0
        self.problems: list[str] = []
        count, pieces, start = len(samples), [], 0
        self._starts, self._ends = array("q", [_NO_ROW]) * count, array("q", [0]) * count
        strange = again = ""
        named: bool | None = None
        for order, row in enumerate(rows):
            if named is not None and named != (row.name is not None):
                raise FormatError(f"{name}, line {row.line}: some predictions name their sample and some do not")
            named = row.name is not None
            self.floats += row.is_float
            number = samples.number_of(row.name) if row.name is not None else order
            if number is None or number >= count:
                self.unknown += 1
                strange = strange or _shown(row)
            elif self._starts[number] != _NO_ROW:
                self.repeated += 1
                again = again or _shown(row)
            else:
                pieces.append(row.text)
                self._starts[number], start = start, start + len(row.text)
                self._ends[number] = start
        self._text = "".join(pieces)
        if self._text and not any(digit in self._text for digit in "0123456789"):
            raise FormatError(f"no prediction of {name} has a digit", hint="is it of other data?")
        if self.unknown:
            self.problems.append(f"{_rows(self.unknown, name)} about no sample (the first: {strange})")
        if self.repeated:
            self.problems.append(f"{_rows(self.repeated, name)} about a sample again (the first: {again})")

    def reading(self, number: int, label: str | None) -> str | None:
        """Return what was read for a sample with this label; None where it has no prediction."""
        start = self._starts[number] if number < len(self._starts) else _NO_ROW
        if start == _NO_ROW:
            return None
        read = self._text[start : self._ends[number]]
        return read.zfill(len(label)) if self.pad_zeros and label and read.isdigit() else read


def _shown(row: Row) -> str:
    return f"line {row.line}" + (f", {row.name[:60]!r}" if row.name is not None else "")


def _rows(count: int, name: str) -> str:
    return f"1 row of {name} is" if count == 1 else f"{count} rows of {name} are"
