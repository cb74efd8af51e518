"""Owns scoring: the predictions of a model compared with the labels, down to the glyphs that are misread.

A prediction is aligned with the label by the fewest insertions, deletions and substitutions that turn one into the
other (Levenshtein, 1966); where there are several such ways, it is the one that rapidfuzz gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.inspection.counts import tally
from mnist_seq_cli.inspection.prediction_files import read_file
from mnist_seq_cli.inspection.predictions import row_of
from mnist_seq_cli.inspection.scores.matched import Matched
from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.inspection.scores.writers import add_writers
from mnist_seq_cli.mnist.bank import MISLABELED
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import NO_GAP, Labels

MOST_GLYPHS = 30
KEPT = 300
"""Worst samples that a score names by default."""

_FEWEST_LOST = 3
"""Predictions without their leading zeros; fewer than this may be genuine misreadings."""

_DIGITS = frozenset("0123456789")


def score(
    data: Samples,
    predictions: str | PathLike[str] | Mapping[Any, Any] | Iterable[Any],
    *,
    pad_zeros: bool = False,
    keep: int = KEPT,
) -> Score:
    """Return the score of predictions, down to the glyphs that are misread; it names the `keep` worst samples.

    `data` is a `SequenceDataset`, a dataset from `open_dataset`, or a part of either. `predictions` are the path of a
    file for `mnistseq inspect --predictions`, a mapping from indices or names to texts, or texts in the order of the
    samples: `1-2-3`, `123`, digits as integers, or None where nothing was read. `pad_zeros` restores leading zeros, up
    to the length of the label.

    Raises FormatError for invalid predictions, if only some of them name their sample, or if none has a digit, and for
    samples without labels; RequestError if there is no such file, OSError.

    >>> from mnist_seq_cli import SequenceDataset
    >>> score(SequenceDataset(sequences=["12", "34"], samples=2), ["12", "35"]).exact_rate
    0.5
    """
    if isinstance(predictions, str | PathLike):
        return score_matched(data, matched_in(data, Path(predictions), pad_zeros=pad_zeros), keep=keep)
    named = predictions.items() if isinstance(predictions, Mapping) else ((None, value) for value in predictions)
    rows = (row_of(number, key, value, "predictions") for number, (key, value) in enumerate(named, 1))
    return score_matched(data, Matched(data, rows, "predictions", pad_zeros=pad_zeros), keep=keep)


def matched_in(samples: Samples, path: Path, *, pad_zeros: bool = False) -> Matched:
    """Return the predictions in a file, matched with their samples. Raises FormatError, RequestError, OSError."""
    return Matched(samples, read_file(path), one_line(str(path), 200), pad_zeros=pad_zeros)


def score_matched(samples: Samples, predictions: Matched, *, keep: int = KEPT, alone: bool = True) -> Score:
    """Return the score of matched predictions; see `score`. Unless they are `alone`, problems name their file.

    Raises FormatError for samples without labels, OSError.
    """
    result = Score(samples=len(samples), unknown=predictions.unknown, repeated=predictions.repeated)
    scorer = _Scorer(samples, result, keep)
    for part in samples.labels_with_glyphs():
        scorer.add(part, predictions)
    scorer.finish()
    if result.unlabelled == result.samples:
        raise FormatError("there are no labels to score predictions against")
    named = "" if alone else f" in {predictions.name}"
    if result.missing:
        result.problems.append(f"{result.missing} of {result.samples} samples have no prediction{named}")
    result.problems += predictions.problems
    if (predictions.floats or scorer.zeros_are_lost) and not predictions.pad_zeros:
        floats = f"{predictions.floats} are written like 5018.0"
        zeros = f"{result.zeros_lost} of {result.scored - result.exact} wrong ones lack nothing but zeros in front"
        result.problems.append(
            f"the predictions of {predictions.name} went through numbers ({floats if predictions.floats else zeros}): "
            "keep them as text (dtype=str in pandas), or pad them (--pad-zeros, pad_zeros=True)"
        )
    if result.unlabelled:
        result.problems.append(f"{result.unlabelled} of {result.samples} samples have no label")
    return result


class _Scorer:
    """Accumulates a score, chunk by chunk."""

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
        self._with_zero = self._read_with_zero = 0

    @property
    def zeros_are_lost(self) -> bool:
        """Whether leading zeros seem lost: labels have some, predictions hardly any, and they cause most errors."""
        wrong = self._result.scored - self._result.exact
        hardly = 10 * self._read_with_zero < self._with_zero
        return hardly and self._result.zeros_lost >= max(_FEWEST_LOST, wrong / 2)

    def add(self, part: Labels, predictions: Matched) -> None:
        """Add some samples and their predictions."""
        result, scored, wrong = self._result, [], []
        for row, label in enumerate(part.texts):
            read = predictions.reading(part.first + row, label)
            if label is None:
                result.unlabelled += 1
            elif read is None:
                result.missing += 1
            else:
                scored.append(row)
                self._with_zero += label[0] == "0" != label
                self._read_with_zero += read[:1] == "0" != read
                if label != read:
                    wrong.append((row, label, read))
                    result.zeros_lost += read != "" and label == read.zfill(len(label))
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
        """Add a sample that was not read exactly."""
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
                if (symbol := read[target]) in _DIGITS:
                    result.inserted[int(symbol)] += 1
                else:
                    result.inserted_other += 1
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
                if (symbol := read[target]) in _DIGITS:
                    result.confusion[digit][int(symbol)] += 1
                else:
                    result.other[digit] += 1
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
        """Fill in the score."""
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
            add_writers(result, self._seen, wrong)
        result.worst = [
            {"sample": number, "truth": label, "prediction": read, "errors": -errors}
            for errors, number, label, read in sorted(self._worst)[: self._keep]
        ]
