"""Owns scores: what a model read, held against what the samples show, down to the glyphs that are read wrongly.

A prediction is aligned with the label by the fewest insertions, deletions and substitutions that turn one into the
other (Levenshtein, 1966); where there are several such ways, it is the one that rapidfuzz gives.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inspection.counts import tally
from mnist_seq_cli.inspection.figures import RateChart, binned
from mnist_seq_cli.inspection.predictions import Row
from mnist_seq_cli.mnist.bank import MISLABELED, STUDENTS, TEST_SIZE, TRAIN_SIZE, bundled_writers
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import NO_GAP, Labels

_NO_ROW = -1


@dataclass(slots=True)
class Score:
    """How predictions do. A character is a digit of a label; `errors` is the sum of edit distances.

    `samples` are those of the collection, of which `scored` have a label and a prediction, `missing` have no prediction
    and `unlabelled` no label. `unknown` rows name no sample and `repeated` ones a sample that had a prediction, which
    is the one that counts. `positions` has for each position in labels (from the left) how many `digits` there are,
    `substituted` and `deleted`, and how often something was `inserted` before it; the last entry is for the end.
    `lengths` has by number of digits: samples, exact ones, digits and errors. `gaps` has by px how many `pairs` of
    neighbours have that gap, and how many of them have an error in one of both digits or between them.
    `confusion[a][b]` is how often a digit a was read as b. `glyphs` are the worst: id, digit, how often it was `seen`
    and read `wrong`, as what, and whether its MNIST label is known to be wrong. `writers` are those whose digits are
    read wrongly most often: number, digits `seen` and `wrong`; `groups` has these of census employees and students.
    `worst` are numbers of samples with
    their label (`truth`), prediction and errors, most errors first.
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
    positions: list[dict[str, int]] = field(default_factory=list)
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)
    gaps: dict[str, dict[str, int]] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=lambda: [[0] * 10 for _ in range(10)])
    deleted: list[int] = field(default_factory=lambda: [0] * 10)
    inserted: list[int] = field(default_factory=lambda: [0] * 10)
    glyphs: list[dict[str, Any]] = field(default_factory=list)
    known_wrong: dict[str, int] = field(default_factory=lambda: {"seen": 0, "wrong": 0})
    writers: list[dict[str, int]] = field(default_factory=list)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    worst: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def exact_rate(self) -> float | None:
        """The part of the scored samples that were read exactly."""
        return self.exact / self.scored if self.scored else None

    @property
    def error_rate(self) -> float | None:
        """The character error rate: errors by digits of the labels. More than 1 where far too much was read."""
        return self.errors / self.digits if self.digits else None

    def to_json(self) -> dict[str, Any]:
        """Return the score as JSON values."""
        rates = {"exact_rate": self.exact_rate, "character_error_rate": self.error_rate}
        return {**rates, **asdict(self)}

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
        hands = [(str(of["writer"]), of["wrong"], of["seen"], of["wrong"] / of["seen"]) for of in self.writers[:bars]]
        return [
            RateChart("digits read wrongly, by position", "position", rated(wrong, column(positions, "digits"))),
            RateChart("character errors, by length", "length", by_length),
            RateChart("neighbours with an error, by their gap", "px", by_gap),
            RateChart("digits read wrongly, by who wrote them", "", groups),
            RateChart("digits read wrongly, by writer: the worst", "writer", hands),
        ]


MOST_GLYPHS = MOST_WRITERS = 30
KEPT = 300
"""Worst samples that a score names, unless it is asked for more."""


def score(samples: Samples, rows: Iterable[Row], name: str, *, keep: int = KEPT) -> Score:
    """Return how the predictions do on a collection; `keep` of the worst samples are named.

    Raises FormatError for predictions of which some have a name and some have none, and for collections without labels.
    """
    predictions = _Predictions(samples, rows, name)
    result = Score(samples=len(samples), unknown=predictions.unknown, repeated=predictions.repeated)
    result.problems += predictions.problems
    scorer = _Scorer(samples, result, keep)
    for part in samples.labels_with_glyphs():
        scorer.add(part, predictions)
    scorer.finish()
    if result.missing:
        result.problems.insert(0, f"{result.missing} of {result.samples} samples have no prediction")
    if result.unlabelled == result.samples:
        raise FormatError("there are no labels to hold predictions against")
    if result.unlabelled:
        result.problems.append(f"{result.unlabelled} of {result.samples} samples have no label")
    return result


class _Predictions:
    """Predictions by number of the sample: one long text, and where in it each begins and ends."""

    def __init__(self, samples: Samples, rows: Iterable[Row], name: str) -> None:
        self.unknown = self.repeated = 0
        self.problems: list[str] = []
        count, pieces, start = len(samples), [], 0
        self._starts, self._ends = array("q", [_NO_ROW]) * count, array("q", [0]) * count
        strange = again = ""
        named: bool | None = None
        for order, row in enumerate(rows):
            if named is not None and named != (row.name is not None):
                raise FormatError(f"{name}, line {row.line}: some predictions name their sample and some do not")
            named = row.name is not None
            number = samples.number_of(row.name) if row.name is not None else order if order < count else None
            if number is None:
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
        if self.unknown:
            self.problems.append(f"{_rows(self.unknown, name)} about no sample (the first: {strange})")
        if self.repeated:
            self.problems.append(f"{_rows(self.repeated, name)} about a sample again (the first: {again})")

    def __getitem__(self, number: int) -> str | None:
        start = self._starts[number] if number < len(self._starts) else _NO_ROW
        return None if start == _NO_ROW else self._text[start : self._ends[number]]


def _shown(row: Row) -> str:
    return f"line {row.line}" + (f", {row.name[:60]!r}" if row.name is not None else "")


def _rows(count: int, name: str) -> str:
    return f"1 row of {name} is" if count == 1 else f"{count} rows of {name} are"


class _Scorer:
    """Sums up a score, chunk by chunk."""

    def __init__(self, samples: Samples, result: Score, keep: int) -> None:
        from rapidfuzz.distance import Levenshtein

        self._editops: Callable[[str, str], Any] = Levenshtein.editops
        self._result, self._keep = result, keep
        self._source = samples.source
        self._worst: list[tuple[int, int, str, str]] = []
        self._positions: list[Counter[str]] = []
        self._lengths: dict[int, Counter[str]] = {}
        self._gaps: dict[int, Counter[str]] = {}
        self._seen: Counter[int] = Counter()
        self._wrong: dict[int, Counter[str]] = {}
        self._digit_of: dict[int, str] = {}

    def add(self, part: Labels, predictions: _Predictions) -> None:
        """Take some samples and their predictions."""
        result, scored, wrong = self._result, [], []
        for row, label in enumerate(part.texts):
            read = predictions[part.first + row]
            if label is None:
                result.unlabelled += 1
            elif read is None:
                result.missing += 1
            else:
                scored.append(row)
                if label != read:
                    wrong.append((row, label, read))
        result.scored += len(scored)
        result.exact += len(scored) - len(wrong)
        wrong_sizes = Counter(len(label) for _, label, _ in wrong)
        texts = [part.texts[row] or "" for row in scored]
        for size in sorted(set(map(len, texts))):
            same = [text for text in texts if len(text) == size]
            digits = np.frombuffer("".join(same).encode(), dtype=np.uint8) - ord("0")
            while len(self._positions) <= size:
                self._positions.append(Counter())
            for position in range(size):
                self._positions[position]["digits"] += len(same)
            exact = len(same) - wrong_sizes[size]
            self._lengths.setdefault(size, Counter()).update(samples=len(same), digits=len(digits), exact=exact)
            result.digits += len(digits)
            for digit, times in enumerate(np.bincount(digits, minlength=10).tolist()):
                result.confusion[digit][digit] += times
        glyphs, gaps = part.glyphs[scored], part.gaps[scored]
        self._seen.update(tally(glyphs[glyphs >= 0]))
        for gap, times in tally(gaps[gaps != NO_GAP]).items():
            self._gaps.setdefault(gap, Counter())["pairs"] += times
        for row, label, read in wrong:
            self._one(part, row, label, read)

    def _one(self, part: Labels, row: int, label: str, read: str) -> None:
        """Take a sample that was not read exactly."""
        result = self._result
        glyphs = part.glyphs[row, : len(label)].tolist()
        gaps = part.gaps[row, : len(label) - 1].tolist()
        known = glyphs[0] >= 0
        by_length = self._lengths[len(label)]
        operations = self._editops(label, read).as_list()
        result.errors += len(operations)
        by_length["errors"] += len(operations)
        troubled: set[int] = set()
        for kind, source, target in operations:
            if kind == "insert":
                result.insertions += 1
                result.inserted[int(read[target])] += 1
                self._positions[source]["inserted"] += 1
                troubled.add(source - 1)  # between this digit and the one before
                continue
            digit = int(label[source])
            result.confusion[digit][digit] -= 1
            if kind == "delete":
                result.deletions += 1
                result.deleted[digit] += 1
                self._positions[source]["deleted"] += 1
            else:
                result.substitutions += 1
                result.confusion[digit][int(read[target])] += 1
                self._positions[source]["substituted"] += 1
            troubled |= {source - 1, source}
            if known:
                glyph = glyphs[source]
                self._wrong.setdefault(glyph, Counter())[read[target] if kind == "replace" else ""] += 1
                self._digit_of[glyph] = label[source]
        for pair in troubled:
            if 0 <= pair < len(gaps) and gaps[pair] != NO_GAP:
                self._gaps[gaps[pair]]["errors"] += 1
        self._worst.append((-len(operations), part.first + row, label, read))
        if len(self._worst) > 4 * self._keep + 1000:
            self._worst = sorted(self._worst)[: self._keep]

    def finish(self) -> None:
        """Put the sums into the score."""
        result = self._result
        names = ("digits", "substituted", "deleted", "inserted")
        result.positions = [{name: counts[name] for name in names} for counts in self._positions]
        names = ("samples", "exact", "digits", "errors")
        result.lengths = {
            str(size): {name: counts[name] for name in names} for size, counts in sorted(self._lengths.items())
        }
        result.gaps = {
            str(gap): {"pairs": counts["pairs"], "errors": counts["errors"]}
            for gap, counts in sorted(self._gaps.items())
        }
        marked = MISLABELED if self._source in BUNDLED_SOURCES else frozenset()
        wrong = {glyph: sum(read.values()) for glyph, read in self._wrong.items()}
        ranked = sorted(wrong, key=lambda glyph: (-wrong[glyph], self._seen[glyph], glyph))
        result.glyphs = [
            {
                "glyph": glyph,
                "digit": int(self._digit_of[glyph]),
                "seen": self._seen[glyph],
                "wrong": wrong[glyph],
                "read_as": {
                    read or "nothing": times
                    for read, times in sorted(self._wrong[glyph].items(), key=lambda item: (-item[1], item[0]))
                },
                "known_wrong_label": glyph in marked,
            }
            for glyph in ranked[:MOST_GLYPHS]
        ]
        result.known_wrong = {
            "seen": sum(self._seen[glyph] for glyph in marked),
            "wrong": sum(wrong.get(glyph, 0) for glyph in marked),
        }
        if self._source in BUNDLED_SOURCES:
            _add_writers(result, self._seen, wrong)
        result.worst = [
            {"sample": number, "truth": label, "prediction": read, "errors": -errors}
            for errors, number, label, read in sorted(self._worst)[: self._keep]
        ]


def _add_writers(result: Score, seen: Counter[int], wrong: dict[int, int]) -> None:
    """Put the writers of glyphs of MNIST into a score, by how often each glyph was seen and read wrongly."""
    numbers, glyphs = bundled_writers(), range(TRAIN_SIZE + TEST_SIZE)
    size = int(numbers.max()) + 1
    by_writer = [
        np.bincount(numbers[ids := [glyph for glyph in counts if glyph in glyphs]], [counts[id_] for id_ in ids], size)
        for counts in (seen, wrong)
    ]
    shown, misread = (counts.astype(np.int64) for counts in by_writer)
    ranked = sorted(np.flatnonzero(misread).tolist(), key=lambda writer: (-misread[writer], shown[writer], writer))
    result.writers = [
        {"writer": writer, "seen": int(shown[writer]), "wrong": int(misread[writer])}
        for writer in ranked[:MOST_WRITERS]
    ]
    for name, part in (("census employees", slice(STUDENTS)), ("students", slice(STUDENTS, None))):
        if total := int(shown[part].sum()):
            result.groups[name] = {"seen": total, "wrong": int(misread[part].sum())}
