"""Patterns: which sequences they stand for, how often, and what is refused."""

import re
from collections import Counter
from fractions import Fraction
from itertools import count

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import below, words

from mnist_seq_cli.engine.writing import sequences
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.pattern import (
    MAX_CHOICES,
    MAX_DEPTH,
    MAX_STEPS,
    MAX_TEXT,
    Either,
    OneOf,
    Part,
    Repeat,
    Row,
    parse,
)

Chances = dict[str, Fraction]


def language(part: Part) -> Chances:
    """Every text that a part stands for with its probability: each choice is uniform over what it offers."""
    match part:
        case OneOf(digits):
            return {str(digit): Fraction(1, len(digits)) for digit in digits}
        case Row(parts):
            chances = {"": Fraction(1)}
            for inner in parts:
                chances = joined(chances, language(inner))
            return chances
        case Either(parts):
            return mixed([language(inner) for inner in parts])
        case Repeat(inner, least, most):
            powers = [{"": Fraction(1)}]
            for _ in range(most):
                powers.append(joined(powers[-1], language(inner)))
            return mixed(powers[least:])


def joined(first: Chances, second: Chances) -> Chances:
    both: Chances = {}
    for one, chance in first.items():
        for other, further in second.items():
            both[one + other] = both.get(one + other, Fraction(0)) + chance * further
    return both


def mixed(offered: list[Chances]) -> Chances:
    both: Chances = {}
    for chances in offered:
        for text, chance in chances.items():
            both[text] = both.get(text, Fraction(0)) + chance / len(offered)
    return both


def one_sample(part: Part, seed: int, index: int, choices: int) -> str:
    """Sample `index`, after the words: choices are numbered as they stand, the parts of every branch and turn too."""
    drawn = words(seed, "pattern", index, max(1, choices))
    numbers = count()

    def walk(part: Part, used: bool) -> str:
        match part:
            case OneOf(digits):
                place = below(drawn[next(numbers)], len(digits)) if len(digits) > 1 else 0
                return str(digits[place]) if used else ""
            case Row(parts):
                return "".join([walk(inner, used) for inner in parts])
            case Either(parts):
                taken = below(drawn[next(numbers)], len(parts))
                return "".join([walk(inner, used and number == taken) for number, inner in enumerate(parts)])
            case Repeat(inner, least, most):
                times = least + (below(drawn[next(numbers)], most - least + 1) if most > least else 0)
                return "".join([walk(inner, used and turn < times) for turn in range(most)])

    return walk(part, True)


def drawn_texts(text: str, count: int, seed: int = 11) -> list[str]:
    recipe = recipe_for(seed=seed, pattern=text)
    digits, lengths = sequences(recipe, range(count))
    assert digits.shape == (count, recipe.length)
    assert not digits[np.arange(recipe.length) >= lengths[:, None]].any()
    return ["".join(map(str, row[:length])) for row, length in zip(digits.tolist(), lengths, strict=True)]


CLASSES = st.sets(st.integers(0, 9), min_size=1).map(lambda digits: f"[{''.join(map(str, sorted(digits)))}]")
ATOMS = st.sampled_from([r"\d", ".", "[0-3]", "[0-35]", "[7-79]", "0", "7"]) | CLASSES


def larger(patterns: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    times = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(sorted)
    repeated = st.sampled_from(["?", "{0}", "{1}", "{2}"]) | times.map(lambda pair: f"{{{pair[0]},{pair[1]}}}")
    return st.lists(patterns, max_size=3).map("".join) | st.builds(
        lambda parts, times: f"({'|'.join(parts)}){times}", st.lists(patterns, min_size=1, max_size=3), repeated
    )


PATTERNS = st.recursive(ATOMS, larger, max_leaves=8)


@given(text=PATTERNS, seed=st.integers(0, 2**64 - 1))
def test_every_sample_is_the_slow_one_and_what_the_same_regular_expression_matches(text: str, seed: int) -> None:
    try:
        pattern = parse(text)
    except RequestError:
        assert re.fullmatch(text, "")  # it may stand for no digits
        text = f"({text})7"
        pattern = parse(text)
    recipe = recipe_for(seed=seed, pattern=text)
    digits, lengths = sequences(recipe, range(30))
    shown = ["".join(map(str, row[:length])) for row, length in zip(digits.tolist(), lengths, strict=True)]
    assert shown[:8] == [one_sample(pattern.part, seed, index, pattern.choices) for index in range(8)]
    for sample in shown:
        assert re.fullmatch(text, sample)
        assert pattern.shortest <= len(sample) <= pattern.longest
        assert {int(digit) for digit in sample} <= pattern.digits
    assert recipe.length == pattern.longest
    assert pattern.bounds == (pattern.shortest, pattern.longest)


SMALL = {
    "7": 1,
    "[0-35]": 5,
    r"\d": 10,
    ".": 10,
    "1?2": 2,
    "[01]{2}": 4,
    "[01]{1,3}": 14,
    "(0[1-9]|1[0-2])": 12,
    "1(2|3(4|5)?)?": 5,
    "(0|00|[01])1": 3,
    "(|1)2": 2,
    "((1|2){2}|3)": 5,
    "(1{0,2}2){1,2}": 12,
    "1{2}0{0}": 1,
}


@pytest.mark.parametrize(("text", "size"), SMALL.items())
def test_small_patterns_stand_for_what_is_listed(text: str, size: int) -> None:
    pattern, chances = parse(text), language(parse(text).part)
    assert len(chances) == size
    assert sum(chances.values()) == 1
    assert all(re.fullmatch(text, sequence) for sequence in chances)
    assert (min(map(len, chances)), max(map(len, chances))) == pattern.bounds
    assert {int(digit) for sequence in chances for digit in sequence} == pattern.digits


def test_listed_by_hand() -> None:
    quarter, half = Fraction(1, 4), Fraction(1, 2)
    assert language(parse("1(2|3)?").part) == {"1": half, "12": quarter, "13": quarter}
    assert language(parse("(1|1|2|34)").part) == {"1": half, "2": quarter, "34": quarter}


# Upper critical values of the chi-square distribution at 0.001, by degrees of freedom: NIST/SEMATECH, e-Handbook of
# Statistical Methods, section 1.3.6.7.4. The seed is fixed, so the test always ends the same way.
CRITICAL = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 9: 27.877, 11: 31.264, 13: 34.528}


@pytest.mark.parametrize("text", [text for text, size in SMALL.items() if size > 1])
def test_sequences_are_as_frequent_as_their_choices_say(text: str) -> None:
    chances, samples = language(parse(text).part), 8_000
    seen = Counter(drawn_texts(text, samples))
    assert set(seen) == set(chances)
    expected = {sequence: float(samples * chance) for sequence, chance in chances.items()}
    statistic = sum((seen[sequence] - expected[sequence]) ** 2 / expected[sequence] for sequence in chances)
    assert statistic < CRITICAL[len(chances) - 1]


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("1", 0),
        ("[3]", 0),
        ("[3-4]", 1),
        (r"\d.", 2),
        ("1?2", 1),
        ("1{3}", 0),
        ("[12]{3}", 3),
        ("[12]{1,3}", 4),
        ("(1|2)", 1),
        ("([12]|[34]5[67])", 4),
        ("((1|2)?){2}3", 4),
    ],
)
def test_the_number_of_choices(text: str, choices: int) -> None:
    assert parse(text).choices == choices


def test_a_pattern_at_the_limits() -> None:
    deep = "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH
    assert drawn_texts(deep, 3) == ["1"] * 3
    assert parse(f".{{{MAX_CHOICES}}}").choices == MAX_CHOICES
    assert drawn_texts("1{1000}", 1) == ["1" * 1_000]
    assert parse("|".join(["1"] * (MAX_TEXT // 2))).bounds == (1, 1)


HINT = r"it takes digits, [0-3], \d, ., ( ), |, ?, {2} and {2,4}"


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("(1", "a ( without its )", 3),
        ("1)", "a ) without its (", 2),
        ("1(2))", "a ) without its (", 5),
        ("a", "something that is not a digit", 1),
        ("1 2", "something that is not a digit", 2),
        ("1-2", "something that is not a digit", 2),
        ("^1$", "something that is not a digit", 1),
        ("1+", "something that is not a digit", 2),
        ("1*", "something that is not a digit", 2),
        ("?", "something that is not a digit", 1),
        ("{2}", "something that is not a digit", 1),
        ("(?:1)", "something that is not a digit", 2),
        ("1]", "something that is not a digit", 2),
        ("1}", "something that is not a digit", 2),
        ("\u0663", "something that is not a digit", 1),
        ("\uff11", "something that is not a digit", 1),
        ("\u00b2", "something that is not a digit", 1),
        ("1\x00", "something that is not a digit", 2),
        ("1\n", "something that is not a digit", 2),
        ("\\5", "a \\ without d", 2),
        ("\\", "a \\ without d", 2),
        ("\\w", "a \\ without d", 2),
        ("[]", "an empty class []", 3),
        ("[", "a class [ ] with something else than digits", 2),
        ("[12", "a class [ ] with something else than digits", 4),
        ("[^1]", "a class [ ] with something else than digits", 2),
        ("[\u0663]", "a class [ ] with something else than digits", 2),
        ("[1-]", "a range without its end", 4),
        ("[3-1]", "a range from 3 down to 1", 5),
        ("1{", "a { } without a number", 3),
        ("1{}", "a { } without a number", 3),
        ("1{,2}", "a { } without a number", 3),
        ("1{2,}", "a { } without a number", 5),
        ("1{\u0663}", "a { } without a number", 3),
        ("1{2", "a { without its }", 4),
        ("1{2;3}", "a { without its }", 4),
        ("1{3,2}", "a repetition from 3 down to 2", 7),
        ("1{4097}", "too large a number", 7),
        ("1{2}?", "a repetition of a repetition, without a group,", 5),
        ("1??", "a repetition of a repetition, without a group,", 3),
        ("1?{2}", "a repetition of a repetition, without a group,", 3),
    ],
)
def test_what_is_not_a_pattern_is_refused_with_the_place(text: str, problem: str, place: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    assert str(caught.value).replace("\\\\", "\\") == (
        f"the pattern '{shown}' has {problem} at character {place}; {HINT}"
    )
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "()", "1{0}", "(|)", "(1{0}|())", "((1){0}){5}"])
def test_what_stands_for_no_digits_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert str(caught.value) == f"the pattern {text!r} stands for no digits; write at least one digit"


@pytest.mark.parametrize("text", ["1?", "1|", "(|2)3?", "(1{2}){0,3}"])
def test_what_may_stand_for_no_digits_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert str(caught.value) == f"the pattern {text!r} may stand for no digits; have a digit that is always there"
    assert parse(f"0({text})").bounds[0] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * 10**6, "a pattern of 1000000 characters is too long; 100000 at most"),
        ("1" + "?" * 10**6, "a pattern of 1000001 characters is too long; 100000 at most"),
        ("1" * MAX_TEXT, None),
        ("1?" * (MAX_TEXT // 2), " has too many choices; 4096 at most"),
        ("(" * 1_000 + "1" + ")" * 1_000, f" has too many groups inside each other at character 52; {HINT}"),
        ("(" * MAX_TEXT, f" has too many groups inside each other at character 52; {HINT}"),
        ("1" + "{2}" * 1_000, f" has a repetition of a repetition, without a group, at character 5; {HINT}"),
        ("1{" + "9" * 90_000 + "}", f" has too large a number at character 7; {HINT}"),
        (".{4096}.", " has too many choices; 4096 at most"),
        ("(.{4096}){4096}", " has too many choices; 4096 at most"),
        ("((1{4096}){4096}){4096}", f" repeats too much; {MAX_STEPS} parts at most, repeated ones too"),
        ("(((){4096}){4096}){4096}1", f" repeats too much; {MAX_STEPS} parts at most, repeated ones too"),
        (
            "(" * 40 + "1" + "{4096})" * 40 + "{4096}",
            f" repeats too much; {MAX_STEPS} parts at most, repeated ones too",
        ),
        ("\u0663" * MAX_TEXT, f" has something that is not a digit at character 1; {HINT}"),
        ("[" * MAX_TEXT, f" has a class [ ] with something else than digits at character 2; {HINT}"),
        ("1{1001}", "number of digits is 1001; it has to be 1 to 1000"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_hostile_patterns_are_refused_in_one_line(text: str, message: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        recipe_for(seed=1, pattern=text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    if message is not None:
        assert str(caught.value).endswith(message)


@given(text=st.text("0123456789()[]{}|?,-\\d.", max_size=25) | st.text(max_size=10))
def test_any_text_is_a_pattern_that_python_reads_alike_or_is_refused(text: str) -> None:
    try:
        pattern = parse(text)
    except RequestError:
        return
    assert re.compile(text)
    assert pattern.longest >= 1


def test_samples_are_made_from_the_largest_patterns() -> None:
    for text in ("[12]{1000}", f"({'|'.join(['[12][34]'] * 1_000)})", "1(1?){999}"):
        digits, _ = sequences(recipe_for(seed=1, pattern=text), range(200))
        assert isinstance(digits, np.ndarray)


def test_picks_are_asked_for_within_what_is_offered() -> None:
    asked: set[tuple[int, int]] = set()

    def last(choice: int, offered: int) -> NDArray[np.int64]:
        asked.add((choice, offered))
        return np.full(3, offered - 1)

    digits, lengths = parse("1?(2|[34]{1,2})").fill(last, 3)
    assert (digits.tolist(), lengths.tolist()) == ([[1, 4, 4]] * 3, [3] * 3)
    assert digits.dtype == np.uint8
    assert lengths.dtype == np.int32
    assert {(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)} == asked
