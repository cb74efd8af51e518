"""What chance allows, against the published numbers, and against sums of exact fractions."""

from fractions import Fraction
from math import comb

import pytest

from mnist_seq_cli.inspection.scores.statistics import mcnemar, wilson


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I: the score method without correction
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_were_published(count: int, total: int, low: float, high: float) -> None:
    assert wilson(count, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson(total - count, total) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_intervals_at_the_ends() -> None:
    assert wilson(0, 0) is None
    assert (wilson(7, 5), (wilson(5, 5) or (0, 0))[1], (wilson(0, 10**12) or (1, 1))[0]) == (wilson(5, 5), 1, 0)


def test_the_test_is_a_sum_of_exact_fractions() -> None:
    for one in range(12):
        for other in range(12):
            tail = sum(comb(one + other, count) for count in range(min(one, other) + 1))
            exact = min(Fraction(1), Fraction(2 * tail, 2 ** (one + other)))
            assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(float(exact), rel=1e-12)
    tail = sum(comb(3000, count) for count in range(1400 + 1))
    assert mcnemar(1400, 1600) == pytest.approx(float(Fraction(2 * tail, 2**3000)), rel=1e-9)
    assert (mcnemar(10**6, 10**6), mcnemar(0, 10**6)) == (1, 0)
