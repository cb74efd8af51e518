"""Owns the comparison of two models: what each of them alone read exactly, on the samples that both have read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mnist_seq_cli.inspection.scores.matched import Matched
from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.inspection.scores.statistics import mcnemar
from mnist_seq_cli.samples.samples import Samples

MOST_EXAMPLES = 300
"""Samples that a comparison names of each kind, at most."""


@dataclass(slots=True)
class Comparison:
    """Two models on the samples that have a label and a prediction of both; `names` are those of their files.

    `both` were read exactly by both, `neither` by none, `only_first` and `only_second` by that one alone; `first_alone`
    and `second_alone` are the numbers of the first of these samples. `second` is the score of the second model.
    """

    names: tuple[str, str]
    second: Score
    both: int = 0
    only_first: int = 0
    only_second: int = 0
    neither: int = 0
    first_alone: list[int] = field(default_factory=list)
    second_alone: list[int] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """The samples that are compared."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def p_value(self) -> float:
        """How likely as large a difference, in either direction, is by chance where both are equally good."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def verdict(self) -> str:
        """The test in words."""
        p = f"p = {self.p_value:.2g}" if self.p_value >= 1e-4 else "p < 0.0001"
        if self.p_value >= 0.05:
            return f"{p}: such a difference is no more than chance makes"
        better = self.names[self.only_second > self.only_first]
        return f"{p}: {better} reads more of them, and hardly by chance"

    @property
    def rows(self) -> list[tuple[str, int, list[int]]]:
        """What was read exactly by whom: a name, the number of samples, and the first of them where only one did."""
        first, second = self.names
        return [
            ("both", self.both, []),
            (f"{first} alone", self.only_first, self.first_alone),
            (f"{second} alone", self.only_second, self.second_alone),
            ("neither", self.neither, []),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {"samples": self.samples, "p_value": self.p_value, **asdict(self), "second": self.second.to_json()}


def compare(samples: Samples, first: Matched, second: Matched, score: Score) -> Comparison:
    """Return the comparison of two models; `score` is that of the second. Raises FormatError, OSError."""
    result = Comparison((first.name, second.name), score)
    for part in samples.labels():
        for number, label in enumerate(part.texts, part.first):
            one, other = first.reading(number, label), second.reading(number, label)
            if label is None or one is None or other is None:
                continue
            if one == label == other:
                result.both += 1
            elif one == label:
                result.only_first += 1
                result.first_alone.append(number)
            elif other == label:
                result.only_second += 1
                result.second_alone.append(number)
            else:
                result.neither += 1
    del result.first_alone[MOST_EXAMPLES:], result.second_alone[MOST_EXAMPLES:]
    return result
