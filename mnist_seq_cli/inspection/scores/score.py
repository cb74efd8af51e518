"""Owns the score of predictions: a value with its rates, their intervals, its charts and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mnist_seq_cli.inspection.figures import RateChart, binned
from mnist_seq_cli.inspection.scores.statistics import wilson


@dataclass(slots=True)
class Score:
    """The score of predictions. Characters are the digits of labels; `errors` is the sum of edit distances.

    Of all `samples`, `scored` have a label and a prediction, `missing` no prediction, and `unlabelled` no label.
    `unknown` rows match no sample, and `repeated` rows a sample that already has a prediction, which counts.
    `zeros_lost` predictions differ from the label only by leading zeros. `positions` has for each position in labels,
    from the left, the number of `digits`, of those `substituted` and `deleted`, and of insertions before it; the last
    entry is for the end. `lengths` has by number of digits: samples, exact ones, digits and errors. `gaps` has by px
    the `pairs` of neighbours with that gap, and those with an error in either digit or between them.
    `confusion[a][b]` counts digits a that were read as b, `other[a]` those read as anything but a digit, and
    `inserted_other` insertions of anything but a digit. `glyphs` are the worst: id, digit, how often it was `seen` and
    read `wrong`, as what, and whether its MNIST label is known to be wrong. `writers` are those misread most often:
    number, digits `seen` and `wrong`; `groups` are census employees and students. `worst` are the numbers of samples
    with their label (`truth`), prediction and errors, most errors first. `problems` lists what is wrong with the
    predictions as a whole.
    """

    samples: int = 0
    scored: int = 0
    missing: int = 0
    unlabelled: int = 0
    unknown: int = 0
    repeated: int = 0
    exact: int = 0
    digits: int = 0
    errors: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    zeros_lost: int = 0
    positions: list[dict[str, int]] = field(default_factory=list)
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)
    gaps: dict[str, dict[str, int]] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=lambda: [[0] * 10 for _ in range(10)])
    other: list[int] = field(default_factory=lambda: [0] * 10)
    deleted: list[int] = field(default_factory=lambda: [0] * 10)
    inserted: list[int] = field(default_factory=lambda: [0] * 10)
    inserted_other: int = 0
    glyphs: list[dict[str, Any]] = field(default_factory=list)
    known_wrong: dict[str, int] = field(default_factory=lambda: {"seen": 0, "wrong": 0})
    writers: list[dict[str, int]] = field(default_factory=list)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    worst: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def exact_rate(self) -> float | None:
        """The share of the scored samples that were read exactly."""
        return self.exact / self.scored if self.scored else None

    @property
    def error_rate(self) -> float | None:
        """The character error rate: errors per digit of the labels; above 1 if far too much was read."""
        return self.errors / self.digits if self.digits else None

    def to_json(self) -> dict[str, Any]:
        """Return the score as JSON values; intervals are of 95 %."""
        return {
            "exact_rate": self.exact_rate,
            "exact_interval": wilson(self.exact, self.scored),
            "character_error_rate": self.error_rate,
            "character_error_interval": wilson(self.errors, self.digits),
            **asdict(self),
        }

    def confusion_rows(self) -> tuple[list[str], list[list[int]]]:
        """Return the column names of the confusion table, and a row for each digit and for insertions.

        There is a column for symbols that are no digits only if there are any.
        """
        rows = [[*self.confusion[digit], self.other[digit], self.deleted[digit]] for digit in range(10)]
        rows.append([*self.inserted, self.inserted_other, 0])
        if any(row[10] for row in rows):
            return [*map(str, range(10)), "other", "none"], rows
        return [*map(str, range(10)), "none"], [row[:10] + row[11:] for row in rows]

    def charts(self, bars: int) -> list[RateChart]:
        """Return errors by position, length, gap and writer, as charts of at most about `bars` rows."""

        def rated(errors: dict[str, int], totals: dict[str, int]) -> list[tuple[str, int, int, float]]:
            pairs = zip(binned(errors, bars), binned(totals, bars), strict=True)
            return [(label, wrong, total, wrong / total) for (label, wrong), (_, total) in pairs if total]

        def column(table: dict[str, dict[str, int]], name: str) -> dict[str, int]:
            return {key: counts[name] for key, counts in table.items()}

        positions = {str(position): counts for position, counts in enumerate(self.positions, 1) if counts["digits"]}
        wrong = {key: counts["substituted"] + counts["deleted"] for key, counts in positions.items()}
        by_length = rated(column(self.lengths, "errors"), column(self.lengths, "digits"))
        by_gap = rated(column(self.gaps, "errors"), column(self.gaps, "pairs"))
        groups = [(name, of["wrong"], of["seen"], of["wrong"] / of["seen"]) for name, of in self.groups.items()]
        writers = [(str(of["writer"]), of["wrong"], of["seen"], of["wrong"] / of["seen"]) for of in self.writers[:bars]]
        return [
            RateChart("digits read wrongly, by position", "position", rated(wrong, column(positions, "digits"))),
            RateChart("character errors, by length", "length", by_length),
            RateChart("neighbours with an error, by their gap", "px", by_gap),
            RateChart("digits read wrongly, by who wrote them", "", groups),
            RateChart("digits read wrongly, by writer: the worst", "writer", writers),
        ]
