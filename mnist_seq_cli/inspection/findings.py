"""Owns what a look at samples found: the report, what checks and predictions say of them, and the strips to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mnist_seq_cli.inspection.checks import Checked
from mnist_seq_cli.inspection.reports import Report
from mnist_seq_cli.inspection.scores.comparison import Comparison
from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import Strip


class Shown(NamedTuple):
    """A strip to show, and its reading where it is shown because that is wrong."""

    strip: Strip
    reading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found: a report on samples, what was checked, the score of predictions, and the samples `chosen`.

    Where the predictions of two models were given, the score is that of the first, and `comparison` has the other.
    """

    samples: Samples
    report: Report
    checked: Checked
    score: Score | None = None
    comparison: Comparison | None = None
    chosen: list[Strip] | None = None

    @property
    def problems(self) -> list[str]:
        """What is wrong, all of it; verification says more of damage than the report does."""
        checked = self.checked
        wrong = [*(checked.damage or self.report.problems), *checked.foreign, *checked.differences]
        wrong += self.score.problems if self.score else []
        wrong += self.comparison.second.problems if self.comparison else []
        return list(dict.fromkeys(wrong))  # what both models have in common once

    def numbers(self, count: int) -> list[int]:
        """Return the numbers of the samples to show: the chosen, the worst readings, or else the first `count`."""
        if self.chosen is not None:
            return [strip.number for strip in self.chosen]
        if self.score is not None:
            return [entry["sample"] for entry in self.score.worst[:count]]
        return list(range(min(count, len(self.samples))))

    def shown(self, count: int) -> Iterator[Shown]:
        """Yield the samples to show, as `numbers` has them. Raises FormatError, OSError."""
        if self.chosen is not None:
            yield from map(Shown, self.chosen)
        elif self.score is not None:
            readings = {entry["sample"]: entry["prediction"] for entry in self.score.worst[:count]}
            strips = {strip.number: strip for strip in self.samples.drawable(sorted(readings))}
            yield from (Shown(strips[number], reading) for number, reading in readings.items() if number in strips)
        else:
            yield from map(Shown, self.samples.drawable(self.numbers(count)))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        values = self.report.to_json()
        if self.score is not None:
            values["predictions"] = self.score.to_json()
        if self.comparison is not None:
            values["comparison"] = self.comparison.to_json()
        if self.chosen is not None:
            values["chosen"] = [strip.to_json() for strip in self.chosen]
        return values | {"problems": self.problems}
