"""Owns what is counted of samples: digits, lengths, gaps, glyphs and ink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inspection.figures import Chart, binned
from mnist_seq_cli.mnist.bank import TEST_SIZE, TRAIN_SIZE, bundled_writers
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import NO_GAP, Strip

SAMPLED = 2_000
"""Samples whose pixels are looked at; and glyphs, where these have to be read from disk sample by sample."""

MAX_GLYPH = 4_000_000
_SAMPLED_PIXELS = 32 << 20
_MOST = 10


class Counts(NamedTuple):
    """The numbers of samples.

    `lengths` counts samples by number of digits, `digits` counts digits, `positions` counts them by position. `gaps`
    counts the gaps that were sampled by their width in px, and is None where none is known. `glyphs` are how many
    `different` ones `samples` samples use, by how many `writers` (None where these are not known), how many are used so
    many times (`times`), and which are used `most` (id, times). `ink` is the part of a strip that is ink over `samples`
    samples, of which some may be `unreadable`, and their number by whole `percent`; `sizes` are the different (height,
    width) of these, in px. `ctc_steps` are the fewest steps in which CTC can write every label: a digit each, and a
    blank between equal neighbours.
    """

    samples: int
    labelled: int
    sizes: list[tuple[int, int]]
    lengths: dict[str, int]
    digits: list[int]
    positions: list[list[int]]
    gaps: dict[str, int] | None
    glyphs: dict[str, Any] | None
    ink: dict[str, Any] | None
    ctc_steps: int = 0

    def facts(self, unreadable: str = "") -> list[tuple[str, str]]:
        """Return the facts on ink and glyphs, and of how many samples; `unreadable` goes with those that are."""
        facts = [("CTC", f"{self.ctc_steps:,} steps at least (a blank between equal digits)")] if self.ctc_steps else []
        if ink := self.ink:
            looked_at = "all" if ink["samples"] == self.samples else f"{ink['samples']:,}"
            share = (
                f"{ink['mean']:.1%} of a strip, {ink['smallest']:.1%} to {ink['largest']:.1%} ({looked_at} looked at)"
            )
            if ink["unreadable"]:
                share += f"; {ink['unreadable']:,} could not be read{unreadable}"
            facts.append(("ink", share))
        if glyphs := self.glyphs:
            part = "" if glyphs["samples"] == self.samples else f" in {glyphs['samples']:,} samples"
            times = max(map(int, glyphs["times"]))
            often = {1: "once", 2: "up to twice"}.get(times, f"up to {times:,} times")
            writers = "" if glyphs["writers"] is None else f" by {glyphs['writers']:,} writers"
            facts.append(("glyphs", f"{glyphs['different']:,} different ones{writers}{part}, each used {often}"))
        return facts

    def charts(self, bars: int) -> list[Chart]:
        """Return the counts, but for digits, as charts of at most about `bars` rows; none of a single row."""
        counted: list[tuple[str, str, Mapping[str, int] | None]] = [
            ("lengths of sequences", "length", self.lengths),
            ("widths of gaps", "px", self.gaps),
            ("glyphs by how often they are used", "times", self.glyphs["times"] if self.glyphs else None),
            ("part of a strip that is ink", "percent", self.ink["percent"] if self.ink else None),
        ]
        return [
            Chart(title, unit, binned(counts, bars)) for title, unit, counts in counted if counts and len(counts) > 1
        ]


def count(samples: Samples) -> Counts:
    """Return the numbers of samples, in memory that does not grow with it. Raises FormatError, OSError."""
    labels, glyphs, gaps = _Labels(), _GlyphUse(), Counter[int]()
    for part in samples.labels():
        known = [text for text in part.texts if text is not None]
        labels.add(known)
        labels.unlabelled += len(part.texts) - len(known)
        glyphs.add(part.glyphs)
        gaps.update(tally(part.gaps[part.gaps != NO_GAP]))
    ink = _Ink()
    strips = list(islice(samples.picked(1), 1))
    pixels = strips[0].image.size if strips and strips[0] else 1 << 17
    knows_glyphs, knows_gaps = glyphs.samples > 0, bool(gaps)
    for strip in samples.picked(max(10, min(SAMPLED, _SAMPLED_PIXELS // pixels))):
        ink.add(strip)
        if strip and not knows_glyphs and strip.glyphs:
            glyphs.add(np.array([strip.glyphs], dtype=np.int32))
        if strip and not knows_gaps:
            gaps.update(gap for gap in strip.gaps if gap != NO_GAP)
    return Counts(
        samples=labels.samples + labels.unlabelled,
        labelled=labels.samples,
        sizes=sorted(ink.sizes),
        lengths={str(length): int(n) for length, n in enumerate(labels.lengths) if n},
        digits=labels.positions.sum(axis=0).tolist(),
        positions=labels.positions.tolist(),
        gaps={str(gap): n for gap, n in sorted(gaps.items())} or None,
        glyphs=glyphs.to_json(samples.source) if glyphs.samples else None,
        ink=ink.to_json() if ink.values or ink.unreadable else None,
        ctc_steps=labels.steps,
    )


class _Labels:
    """Counts digits by position, and sequences by length."""

    def __init__(self) -> None:
        self.samples = self.unlabelled = self.steps = 0
        self.positions = np.zeros((0, 10), dtype=np.int64)
        self.lengths = np.zeros(1, dtype=np.int64)

    def add(self, texts: list[str]) -> None:
        """Take some sequences, which are digits and nothing else."""
        self.samples += len(texts)
        for size in {len(text) for text in texts}:
            same = [text for text in texts if len(text) == size]
            values = np.frombuffer("".join(same).encode(), dtype=np.uint8).reshape(len(same), size) - ord("0")
            if size > len(self.positions):
                self.positions = np.vstack([self.positions, np.zeros((size - len(self.positions), 10), np.int64)])
                self.lengths = np.append(self.lengths, np.zeros(size + 1 - len(self.lengths), np.int64))
            self.lengths[size] += len(same)
            blanks = np.count_nonzero(values[:, 1:] == values[:, :-1], axis=1)
            self.steps = max(self.steps, size + int(blanks.max()))
            for position in range(size):
                self.positions[position] += np.bincount(values[:, position], minlength=10)


def tally(values: NDArray[Any]) -> dict[int, int]:
    """Return the number of times that each of some whole numbers occurs, smallest first."""
    numbers, times = np.unique(values, return_counts=True)
    return dict(zip(numbers.tolist(), times.tolist(), strict=True))


class _GlyphUse:
    """Counts how often each glyph is used."""

    def __init__(self) -> None:
        self.samples = 0
        self._uses = np.zeros(70_000, dtype=np.int64)

    def add(self, glyphs: NDArray[np.int32]) -> None:
        """Take some samples, int32 (n, length); those whose glyphs are not known do not count."""
        glyphs = glyphs[glyphs[:, 0] >= 0]
        self.samples += len(glyphs)
        used = glyphs[glyphs >= 0]
        if not len(used):
            return
        if used.max() >= MAX_GLYPH:
            raise FormatError(f"there is a glyph id {used.max()}, which cannot be")
        uses = np.bincount(used, minlength=len(self._uses))
        uses[: len(self._uses)] += self._uses
        self._uses = uses

    def to_json(self, source: str) -> dict[str, Any]:
        """Return the counts as JSON values; `source` names the bank that the glyphs are of, where that is known."""
        used = self._uses[self._uses > 0]
        known = source in BUNDLED_SOURCES and len(self._uses) == TRAIN_SIZE + TEST_SIZE
        most = np.argsort(-self._uses, kind="stable")[: min(_MOST, len(used))]
        return {
            "samples": self.samples,
            "different": len(used),
            "writers": len(np.unique(bundled_writers()[self._uses > 0])) if known else None,
            "times": {str(times): n for times, n in tally(used).items()},
            "most": [[int(glyph), int(self._uses[glyph])] for glyph in most],
        }


class _Ink:
    """Sums up the part of strips that is ink."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.unreadable = 0
        self.sizes: set[tuple[int, int]] = set()

    def add(self, strip: Strip | None) -> None:
        """Take a strip, or none where it could not be read."""
        if strip is None:
            self.unreadable += 1
        else:
            self.values.append(ink_of(strip.image))
            height, width = strip.image.shape
            self.sizes.add((height, width))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        values = self.values or [0.0]
        percent: list[int] = np.bincount([int(100 * value) for value in self.values], minlength=1).tolist()
        return {
            "samples": len(self.values),
            "unreadable": self.unreadable,
            "mean": round(sum(values) / len(values), 4),
            "smallest": round(min(values), 4),
            "largest": round(max(values), 4),
            "percent": {str(value): n for value, n in enumerate(percent) if n},
        }


def ink_of(image: NDArray[np.uint8]) -> float:
    """Return the part of an image, dark on white, that is ink: 0 to 1, grey counted by its darkness."""
    return float((255 - image).mean() / 255)
