"""What is written: every rule beside a slow loop that was written from its words."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from reference import below, bundled, words
from strategies import recipes

from mnist_seq_cli.cli import main
from mnist_seq_cli.engine.compose import annotate, compose
from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.writing import possible_digits, sequences
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES
from mnist_seq_cli.recipe.options.notation import Digits
from mnist_seq_cli.recipe.recipe import Recipe

RECIPES = {
    "plain": recipe_for(seed=1),
    "lengths": recipe_for(seed=2, length=((2, 1), (3, 5), (7, 2)), max_gap=5),
    "lengths, no gap": recipe_for(seed=2, length=((1, 1), (2, 1), (3, 1))),
    "lengths, one drawn gap": recipe_for(seed=2, length=((1, 1), (4, 1)), max_gap=5, spacing="equal", invert=True),
    "lengths, wide canvas": recipe_for(seed=2, length=((1, 1), (3, 1)), width=120, spacing="random"),
    "digits": recipe_for(seed=3, length=5, digits=(0, 1, 7)),
    "one digit only": recipe_for(seed=3, length=2, digits=(4,)),
    "no repetition": recipe_for(seed=4, length=10, repeat=False),
    "no repetition, some digits, lengths": recipe_for(
        seed=4, length=((1, 1), (3, 2)), digits=(2, 3, 5, 7), repeat=False
    ),
    "listed": recipe_for(seed=5, sequences=[(0, 0, 4, 2), (7,), (1, 2), (7,)], max_gap=3),
    "shuffled": recipe_for(seed=5, sequences=[(digit, digit) for digit in range(10)] + [(1,)], shuffle=True),
    "pattern": recipe_for(seed=6, pattern="1(2|3{1,3})?"),
    "pattern, luhn": recipe_for(seed=6, pattern=r"4\d{3,5}", check="luhn"),
    "balanced": recipe_for(seed=7, length=2, per_label=3),
    "balanced, some digits": recipe_for(seed=7, length=3, per_label=2, digits=(0, 5, 9)),
    "luhn": recipe_for(seed=8, length=16, check="luhn"),
    "luhn, lengths": recipe_for(seed=8, length=((1, 1), (2, 1), (9, 3)), check="luhn"),
}
EVERY_RECIPE = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def written(recipe: Recipe, first: int, stop: int) -> list[Digits]:
    digits, lengths = sequences(recipe, range(first, stop))
    assert digits.shape == (stop - first, recipe.length)
    assert lengths.dtype == np.int32
    assert not digits[np.arange(recipe.length) >= lengths[:, None]].any()
    return [tuple(row[:length]) for row, length in zip(digits.tolist(), lengths.tolist(), strict=True)]


def luhn_digit(before: Digits) -> int:
    """The check digit: from the right every other digit counts double, and a number of two digits as their sum."""
    total = 0
    for place, digit in enumerate(reversed(before)):
        total += sum(map(int, str(2 * digit))) if place % 2 == 0 else digit
    return -total % 10


def slowly(recipe: Recipe, index: int) -> Digits:
    """Sample `index` of all recipes but patterns, whose loop is in test_pattern."""
    if recipe.sequences:
        turn, place = divmod(index, len(recipe.sequences))
        if recipe.shuffle:
            place = int(permute(recipe.seed, f"order/{turn}", len(recipe.sequences), np.array([place]))[0])
        return recipe.sequences[place]
    if recipe.per_label:
        turn, place = divmod(index, recipe.per_label * len(recipe.digits) ** recipe.length)
        size = recipe.per_label * len(recipe.digits) ** recipe.length
        number = int(permute(recipe.seed, f"balance/{turn}", size, np.array([place]))[0]) // recipe.per_label
        digits: list[int] = []
        for _ in range(recipe.length):
            number, rest = divmod(number, len(recipe.digits))
            digits.insert(0, recipe.digits[rest])
        return tuple(digits)
    length = recipe.length
    if recipe.lengths:
        drawn = below(words(recipe.seed, "length", index, 1)[0], sum(weight for _, weight in recipe.lengths))
        length = [size for size, weight in recipe.lengths for _ in range(weight)][drawn]
    drawn_words = words(recipe.seed, "digit", index, recipe.length)
    left, digits = list(recipe.digits), []
    for place in range(length):
        taken = below(drawn_words[place], len(left))
        digits.append(left[taken])
        if not recipe.repeat:
            left[taken] = left[-1]
            left.pop()
    if recipe.check:
        digits[-1] = luhn_digit(tuple(digits[:-1]))
    return tuple(digits)


# The slow loop


@EVERY_RECIPE
def test_sequences_are_those_of_the_slow_loop(recipe: Recipe) -> None:
    if recipe.pattern:
        return
    for first in (0, 1_000, 10**7 + 1, MAX_SAMPLES - 40):
        assert written(recipe, first, first + 40) == [slowly(recipe, first + place) for place in range(40)]


@given(recipe=recipes(), first=st.integers(0, MAX_SAMPLES - 20))
def test_any_recipe_writes_what_the_slow_loop_says(recipe: Recipe, first: int) -> None:
    if not recipe.pattern:
        assert written(recipe, first, first + 20) == [slowly(recipe, first + place) for place in range(20)]


@given(recipe=recipes(), first=st.integers(0, 5_000), count=st.integers(1, 60), data=st.data())
def test_batch_and_start_change_nothing(recipe: Recipe, first: int, count: int, data: st.DataObject) -> None:
    bank = load(Source("train"))
    whole = compose(recipe, bank, first, first + count)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=3), label="cuts")})
    for begin, end in pairwise(cuts):
        part = compose(recipe, bank, first + begin, first + end)
        assert part.first_difference(whole.part(begin, end)) is None


@EVERY_RECIPE
def test_the_digits_that_may_occur_are_those_that_do(recipe: Recipe) -> None:
    seen = {digit for sequence in written(recipe, 0, 2_000) for digit in sequence}
    assert seen <= possible_digits(recipe)
    if not recipe.check:
        assert seen == possible_digits(recipe)


# Upper critical values of the chi-square distribution at 0.001, by degrees of freedom: NIST/SEMATECH, e-Handbook of
# Statistical Methods, section 1.3.6.7.4. Seeds are fixed, so these tests always end the same way.
CRITICAL = {2: 13.816, 6: 22.458, 23: 49.728, 59: 98.324, 99: 148.230}


def assert_as_frequent(seen: Counter[Any], expected: dict[Any, float]) -> None:
    assert set(seen) <= set(expected)
    statistic = sum((seen[cell] - wanted) ** 2 / wanted for cell, wanted in expected.items())
    assert statistic < CRITICAL[len(expected) - 1]


def test_lengths_are_as_frequent_as_their_weights() -> None:
    seen = Counter(map(len, written(RECIPES["lengths"], 0, 8_000)))
    assert_as_frequent(seen, {2: 1_000, 3: 5_000, 7: 2_000})
    even = recipe_for(seed=9, length=tuple((size, 1) for size in range(2, 9)))
    assert_as_frequent(Counter(map(len, written(even, 0, 7_000))), dict.fromkeys(range(2, 9), 1_000))


def test_the_heaviest_weights_that_may_be() -> None:
    heavy = recipe_for(seed=9, length=tuple((size, 1_000_000) for size in range(1, 1_001)))
    seen = Counter(len(sequence) // 10 for sequence in written(heavy, 0, 4_000) if len(sequence) < 1_000)
    assert_as_frequent(seen, {tenth: 39.96 if tenth else 36 for tenth in range(100)})


def test_a_shorter_sequence_is_the_beginning_of_the_longer_one() -> None:
    plain = recipe_for(seed=2, length=7)
    for short, long in zip(written(RECIPES["lengths"], 0, 300), written(plain, 0, 300), strict=True):
        assert short == long[: len(short)]


def test_without_repetition_all_orders_are_equally_frequent() -> None:
    assert all(len(set(sequence)) == 10 for sequence in written(RECIPES["no repetition"], 0, 3_000))
    four = recipe_for(seed=10, length=4, digits=(1, 3, 5, 8), repeat=False)
    seen = Counter(written(four, 0, 2_400))
    assert len(seen) == math.factorial(4)
    assert_as_frequent(seen, dict.fromkeys(seen, 100))
    three = recipe_for(seed=11, length=3, digits=(0, 1, 2, 3, 4), repeat=False)
    seen = Counter(written(three, 0, 6_000))
    assert len(seen) == 60
    assert_as_frequent(seen, dict.fromkeys(seen, 100))


# Listed, shuffled, balanced


def test_listed_sequences_come_in_order_and_then_again() -> None:
    listed = RECIPES["listed"].sequences
    assert written(RECIPES["listed"], 0, 4) == list(listed)
    assert written(RECIPES["listed"], 3, 10) == [listed[index % 4] for index in range(3, 10)]
    assert RECIPES["listed"].round == 4


def test_shuffled_sequences_are_all_there_in_each_round_in_another_order() -> None:
    recipe, size = RECIPES["shuffled"], 11
    rounds = [written(recipe, turn * size, (turn + 1) * size) for turn in range(30)]
    assert all(sorted(order) == sorted(recipe.sequences) for order in rounds)
    assert len(set(map(tuple, rounds))) == 30
    assert written(recipe, 0, 330) == [sequence for order in rounds for sequence in order]
    other = recipe_for(seed=6, sequences=recipe.sequences, shuffle=True)
    assert written(other, 0, size) != rounds[0]


@pytest.mark.parametrize(
    ("length", "digits", "times"), [(1, tuple(range(10)), 7), (3, tuple(range(10)), 2), (4, (0, 8), 5)]
)
def test_balanced_means_every_sequence_as_often(length: int, digits: Digits, times: int) -> None:
    recipe = recipe_for(seed=3, length=length, digits=digits, per_label=times)
    size = times * len(digits) ** length
    assert recipe.round == size
    rounds = [written(recipe, turn * size, (turn + 1) * size) for turn in range(2)]
    for order in rounds:
        counts = Counter(order)
        assert len(counts) == len(digits) ** length
        assert set(counts.values()) == {times}
    assert rounds[0] != rounds[1]
    assert rounds[0] != sorted(rounds[0])


# Check digits


@pytest.mark.parametrize("name", ["luhn", "luhn, lengths", "pattern, luhn"])
def test_the_last_digit_checks_and_the_others_are_as_without(name: str) -> None:
    checked = RECIPES[name]
    plain = recipe_for(
        seed=checked.seed,
        length=None if checked.pattern else checked.lengths or checked.length,
        pattern=checked.pattern,
    )
    for sequence, before in zip(written(checked, 50, 1_050), written(plain, 50, 1_050), strict=True):
        assert sequence[:-1] == before[:-1]
        assert sequence[-1] == luhn_digit(sequence[:-1])


def test_known_numbers_have_the_check_digits_that_they_have() -> None:
    # The first is the usual example of the formula, the second a card issuer's number for tests.
    for number in ("79927398713", "4111111111111111"):
        (sequence,) = written(recipe_for(seed=1, pattern=number[:-1] + "0", check="luhn"), 0, 1)
        assert "".join(map(str, sequence)) == number


# Strips


@EVERY_RECIPE
def test_strips_show_the_glyphs_of_their_label_and_paper_elsewhere(recipe: Recipe) -> None:
    glyphs = bundled("train")
    images = np.frombuffer(glyphs.images, np.uint8).reshape(-1, 28, 28)
    labels = np.frombuffer(glyphs.labels, np.uint8)
    batch = compose(recipe, load(Source("train")), 200, 600)
    paper = 0 if recipe.invert else 255
    expected = np.full_like(batch.images, paper)
    for row, sequence in enumerate(written(recipe, 200, 600)):
        size = len(sequence)
        assert batch.lengths[row] == size
        assert tuple(batch.digits[row]) == sequence + (0,) * (recipe.length - size)
        assert batch.glyphs[row, size:].tolist() == batch.x[row, size:].tolist() == [-1] * (recipe.length - size)
        assert tuple(labels[batch.glyphs[row, :size]]) == sequence
        edge = 0
        for place in range(size):
            left = int(batch.x[row, place])
            assert recipe.min_gap <= left - edge <= recipe.max_gap if place else left == 0
            edge = left + 28
            image = images[batch.glyphs[row, place]]
            expected[row, :, left:edge] = image if recipe.invert else 255 - image
    np.testing.assert_array_equal(batch.images, expected)
    alone = annotate(recipe, load(Source("train")), 200, 600)
    for name in ("digits", "lengths", "glyphs", "x"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(batch, name))


# What does not go together: options of the command, and the reason

REFUSED = [
    ("--len 2-3 --labels L", "--len with several lengths does not go with --labels"),
    ("--len 2-3 --pattern 1{2,3}", "--len with several lengths does not go with --pattern"),
    ("--len 3 --pattern 1", "--len 3 is not the length of what is to be written, 1 to 1"),
    ("--len 3 --labels L", "--len 3 is not the length of what is to be written, 1 to 2"),
    ("--len 2-3 --per-label 2", "--len with several lengths does not go with --per-label"),
    ("--labels L --pattern 11", "--labels and --pattern both say what is written; take one of them"),
    ("--labels L --per-label 2", "--labels and --per-label both say what is written; take one of them"),
    ("--pattern 12 --per-label 2", "--pattern and --per-label both say what is written; take one of them"),
    ("--labels L --digits 0-4", "--digits does not go with --labels"),
    ("--labels L --no-repeat", "--no-repeat does not go with --labels"),
    ("--labels L --check luhn", "--check does not go with --labels"),
    ("--pattern 12 --digits 0-4", "--digits does not go with --pattern"),
    ("--pattern 12 --no-repeat", "--no-repeat does not go with --pattern"),
    ("--pattern 12 --shuffle", "--shuffle does not go with --pattern"),
    ("--len 2 --shuffle", "--shuffle does not go with random sequences"),
    ("--len 2 --per-label 1 --shuffle", "--shuffle does not go with --per-label"),
    ("--len 2 --per-label 1 --no-repeat", "--no-repeat does not go with --per-label"),
    ("--len 2 --per-label 1 --check luhn", "--check does not go with --per-label"),
    ("--len 2 --per-label -1", "--per-label is -1; it has to be 0 to 1000000000000"),
    (
        "--len 12 --per-label 2",
        "--per-label 2 of 1000000000000 sequences are 2000000000000 samples; 1000000000000 at most",
    ),
    ("--len 4 --no-repeat --digits 0-2", "4 digits without two alike, and there are 3; leave --no-repeat out"),
    ("--len 11 --no-repeat", "11 digits without two alike, and there are 10; leave --no-repeat out"),
    (
        "--len 4 --no-repeat --check luhn",
        "a check digit can be any digit, also one that was ruled out; leave --check out",
    ),
    (
        "--len 4 --digits 0-8 --check luhn",
        "a check digit can be any digit, also one that was ruled out; leave --check out",
    ),
    (
        "--len 2-3 --width 100",
        "2 to 3 digits do not fill 100 px with the same gaps; --align left takes --width as the canvas",
    ),
    ("--len 2000-3000", "number of digits is 3000; it has to be 1 to 1000"),
    ("--len 2:0,3:1", "the weight of a length is 0; it has to be 1 to 1000000"),
    ("--len 0-3", "--len is 0; it has to be 1 to 1000"),
    ("--len 4-2", "--len goes from 4 down to 2; write 4, 2-8, or lengths with weights, 2:1,3:5,4:1"),
    ("--len 3 --digits 4-2", "--digits is '4-2'; write it like 01234, 0-4 or 1,3,5"),
    ("--len 3 --digits \u0664", "--digits is '\u0664'; write it like 01234, 0-4 or 1,3,5"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: value)
def test_what_does_not_go_together_is_refused_with_the_reason(
    options: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("L").write_text("1\n22\n")
    assert main.run(["dataset", "-n", "10", "-o", "out", *options.split(" ")]) == 2
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"mnistseq: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["L"]


def test_a_recipe_by_hand_is_refused_for_the_same_reasons() -> None:
    with pytest.raises(RequestError, match="`sequences` and `pattern` both say what is written; take one of them"):
        Recipe(seed=1, length=1, width=28, sequences=((1,),), pattern="1")
    with pytest.raises(RequestError, match="`length` with several lengths does not go with `pattern`"):
        Recipe(seed=1, length=1, width=28, lengths=((1, 1),), pattern="1")
