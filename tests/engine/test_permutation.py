"""Shuffles in which any place can be looked up alone."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import words

from mnist_seq_cli.engine.permutation import MAX_SIZE, permute
from mnist_seq_cli.recipe.options.bounds import MAX_SEED

SEEDS = st.integers(0, MAX_SEED)
MASK = 2**64 - 1


def slowly(seed: int, purpose: str, size: int, value: int) -> int:
    """One value through the Feistel network, again and again until it is inside, in Python's own integers."""
    bits = max(1, ((size - 1).bit_length() + 1) // 2)
    rounds = 6 if bits >= 8 else 16
    keys = words(seed, purpose, 0, rounds)[:rounds]
    while True:
        left, right = value >> bits, value & (2**bits - 1)
        for key in keys:
            mixed = (right + key) * 0x9E3779B97F4A7C15 & MASK
            mixed = (mixed ^ mixed >> 29) * 0x9E3779B97F4A7C15 & MASK
            left, right = right, left ^ (mixed >> (64 - bits))
        value = left << bits | right
        if value < size:
            return value


def test_every_number_is_met_exactly_once() -> None:
    for size in (*range(1, 201), 255, 256, 257, 4_095, 4_097, 65_536, 65_537, 300_000):
        shuffled = permute(7, "order/0", size, np.arange(size))
        assert shuffled.dtype == np.int64
        np.testing.assert_array_equal(np.sort(shuffled), np.arange(size))


@given(seed=SEEDS, purpose=st.text(max_size=10), size=st.integers(1, 1_000))
def test_every_number_is_met_exactly_once_whatever_the_seed(seed: int, purpose: str, size: int) -> None:
    assert sorted(permute(seed, purpose, size, np.arange(size)).tolist()) == list(range(size))


@given(seed=SEEDS, size=st.integers(1, 300) | st.integers(1, MAX_SIZE), data=st.data())
def test_a_value_alone_goes_where_it_goes_in_an_array_and_where_the_slow_network_sends_it(
    seed: int, size: int, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5))
    together = permute(seed, "order/3", size, np.array(values)).tolist()
    assert together == [int(permute(seed, "order/3", size, np.array([value]))[0]) for value in values]
    assert together == [slowly(seed, "order/3", size, value) for value in values]


def test_the_shape_is_kept_and_what_was_given_is_not_touched() -> None:
    values = np.arange(12).reshape(3, 4)
    shuffled = permute(1, "x", 12, values)
    assert shuffled.shape == (3, 4)
    np.testing.assert_array_equal(values, np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(shuffled[1], permute(1, "x", 12, values[1]))
    assert permute(1, "x", 12, values[:0]).shape == (0, 4)
    assert permute(1, "x", 12, np.array(5)).shape == ()


def test_seed_and_purpose_make_permutations_of_their_own() -> None:
    orders = [permute(seed, f"order/{turn}", 50, np.arange(50)).tolist() for seed in range(20) for turn in range(20)]
    assert len(set(map(tuple, orders))) == 400


def test_the_permutations_never_change() -> None:
    # A change here changes every shuffled or balanced dataset of our users.
    assert permute(42, "order/0", 10, np.arange(10)).tolist() == [1, 4, 0, 3, 2, 5, 6, 8, 7, 9]
    assert permute(42, "balance/1", 10**6, np.arange(5)).tolist() == [788430, 275783, 174546, 242059, 45170]
    assert permute(MAX_SEED, "order/0", MAX_SIZE, np.array([0, 1, MAX_SIZE - 1])).tolist() == [
        219703795727091704,
        2767165986019416805,
        634083436635921686,
    ]


@pytest.mark.parametrize("size", [2**40, 2**40 + 1, 3 * 10**15, MAX_SIZE])
def test_no_two_of_many_samples_of_a_large_size_collide(size: int) -> None:
    places = np.concatenate([np.arange(50_000), np.arange(50_000) + size // 2, size - 1 - np.arange(50_000)])
    shuffled = permute(9, "order/0", size, places)
    assert len(np.unique(shuffled)) == 150_000
    assert 0 <= shuffled.min() <= shuffled.max() < size


# Upper critical values of the chi-square distribution at 0.001: 99 degrees of freedom from NIST/SEMATECH, e-Handbook of
# Statistical Methods, section 1.3.6.7.4, which ends at 100; 119 by the approximation of Wilson and Hilferty (1931) to
# its quantiles, n (1 - 2/(9n) + 3.0902 sqrt(2/(9n)))^3. Seeds are fixed, so the tests always end the same way.
CRITICAL = {1: 10.828, 5: 20.515, 23: 49.728, 99: 148.230, 119: 173.6}


def chi_square(counts: list[int], cells: int) -> float:
    expected = sum(counts) / cells
    return sum((count - expected) ** 2 for count in counts) / expected + (cells - len(counts)) * expected


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_of_a_few_are_equally_frequent(size: int, full: bool) -> None:
    cells = math.factorial(size)
    turns = (40 if full else 10) * cells
    orders = Counter(tuple(permute(3, f"order/{turn}", size, np.arange(size)).tolist()) for turn in range(turns))
    assert chi_square(list(orders.values()), cells) < CRITICAL[cells - 1]


@pytest.mark.parametrize("size", [1_000, 70_000, 2**40, 10**15])
def test_a_run_is_spread_evenly_over_all_places(size: int) -> None:
    run = np.concatenate([permute(5, f"order/{turn}", size, np.arange(500)) for turn in range(20)])
    assert chi_square(list(Counter((run // -(-size // 100)).tolist()).values()), 100) < CRITICAL[99]


@pytest.mark.parametrize("size", [1_000, 10**9])
def test_neighbours_go_to_places_that_do_not_depend_on_each_other(size: int) -> None:
    run = np.stack([permute(6, f"order/{turn}", size, np.array([0, 1])) for turn in range(5_000)])
    pairs = run * 10 // size @ np.array([10, 1])
    assert chi_square(list(Counter(pairs.tolist()).values()), 100) < CRITICAL[99]
