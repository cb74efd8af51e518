"""Owns what chance allows: intervals of rates, and a test of whether two models differ."""

from __future__ import annotations

import math

_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution, between which and its negative 95 % are."""


def wilson(count: int, total: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate of `count` in `total` independent trials; None where there are none.

    The score interval of Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), 209-212. A count above the total, as insertions make it, is one.
    """
    if not total:
        return None
    rate, spread = min(count, total) / total, _Z * _Z / total
    middle = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (rate * (1 - rate) + spread / 4)) / (1 + spread)
    return max(0.0, middle - half) if rate else 0.0, min(1.0, middle + half) if rate < 1 else 1.0


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test for what each of two models alone got right.

    Where they are equally good, either is as likely to be the one: a binomial distribution of chance 1/2. McNemar,
    "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12
    (1947), 153-157; exact and two-sided as in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91
    (2013).
    """
    total, term, tail = only_first + only_second, 1.0, 0.0
    fewer = min(only_first, only_second)
    largest = math.lgamma(total + 1) - math.lgamma(fewer + 1) - math.lgamma(total - fewer + 1) - total * math.log(2)
    for count in range(fewer, -1, -1):  # in parts of the largest term, as 2 ** -total is too small for a float
        tail += term
        term *= count / (total - count + 1)
        if term < 1e-18 * tail:
            break
    return min(1.0, 2 * tail * math.exp(largest))
