"""Owns numbers as a person reads them: sizes, chances, counts as a few bars, and the first of many problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mnist_seq_cli.inspection.scores.statistics import wilson

MOST_PROBLEMS = 20
"""Problems that are shown to a person, at most."""


class Chart(NamedTuple):
    """Counts to be drawn as bars: a title, the unit of the labels, and a label and a count for each bar."""

    title: str
    unit: str
    rows: list[tuple[str, int]]


class RateChart(NamedTuple):
    """Rates to be drawn as bars: a title, the unit of the labels, and for each bar label, errors, of how many, rate."""

    title: str
    unit: str
    rows: list[tuple[str, int, int, float]]


def size_text(count: int) -> str:
    """Return a number of bytes in the unit that suits it: `10.5 MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while round(value, 1) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{count} B"


def chance(value: float) -> str:
    """Return a chance as whole percents, and never as certainty."""
    return f"{min(99, int(100 * value))}%"


def interval_text(count: int, total: int) -> str:
    """Return the 95 % interval of a rate in percents, `88.03 to 93.71%`; a dash where there is none."""
    interval = wilson(count, total)
    return f"{100 * interval[0]:.2f} to {interval[1]:.2%}" if interval else "–"


def rate_text(count: int, total: int) -> str:
    """Return a rate and its 95 % interval in percents, `91.20% (88.03 to 93.71%)`; a dash where there is none."""
    return f"{count / total:.2%} ({interval_text(count, total)})" if total else "–"


def binned(counts: Mapping[str, int], bars: int) -> list[tuple[str, int]]:
    """Return counts of whole numbers as at most about `bars` rows: each value for itself, or ranges of equal width."""
    values = {int(value): count for value, count in counts.items()}
    if not values:
        return []
    low, high = min(values), max(values)
    step = -(-(high - low + 1) // bars)
    sums = [0] * ((high - low) // step + 1)
    for value, count in values.items():
        sums[(value - low) // step] += count
    starts = range(low, high + 1, step)
    ends = [min(start + step - 1, high) for start in starts]
    names = [f"{start}" if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
    return list(zip(names, sums, strict=True))


def first_of(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    left = len(problems) - MOST_PROBLEMS
    more = [f"and {left:,} more like these: --json lists all of them"] if left > 0 else []
    return [*problems[:MOST_PROBLEMS], *more]
