import json
import re
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from asked import recipe_for
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.canvas import Layout, resolve_layout
from mnist_seq_cli.recipe.json_values import canonical_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import (
    MAX_LENGTH,
    MAX_SAMPLES,
    MAX_SEED,
    MAX_SHARD_SIZE,
    MAX_SHARDS,
    MAX_WEIGHT,
    MAX_WIDTH,
)
from mnist_seq_cli.recipe.options.notation import format_sequence, parse_digits, parse_lengths, parse_sequence
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.plan import Plan, Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import draw_seed

PLAIN = Recipe(seed=7, length=3, width=84)
DIGITS = st.lists(st.integers(0, 9), min_size=1, max_size=40).map(tuple)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    length, low = draw(st.integers(1, 12)), draw(st.integers(0, 20))
    high = low + draw(st.integers(0, 20))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    sequence = st.lists(st.integers(0, 9), min_size=1, max_size=length).map(tuple)
    weights = st.integers(1, MAX_WEIGHT)
    shorter = st.dictionaries(st.integers(1, length), weights, max_size=4)
    some = st.sets(st.integers(0, 9), min_size=1).map(sorted).map(tuple)
    written: dict[str, Any] = draw(
        st.just({})
        | st.fixed_dictionaries({"sequences": st.lists(sequence, max_size=4, min_size=1).map(tuple)})
        | st.fixed_dictionaries({"digits": some})
        | st.builds(lambda sizes, last: {"lengths": tuple(sorted((sizes | {length: last}).items()))}, shorter, weights)
        | st.just({"pattern": f"[0-3]{{1,{length}}}", "check": "luhn"})
        | (st.just({"repeat": False}) if length <= 10 else st.nothing())
        | (st.just({"per_label": 3}) if length <= 6 else st.nothing())
    )
    if "sequences" in written:
        written["shuffle"] = draw(st.booleans())
    return Recipe(
        seed=draw(st.integers(0, MAX_SEED)),
        length=length,
        **written,
        spacing=draw(st.sampled_from(["equal", "random"])),
        min_gap=low,
        max_gap=high,
        width=length * width + (length - 1) * high + draw(st.integers(0, 50)),
        source=draw(st.sampled_from(BUNDLED_SOURCES) | st.text(max_size=20)),
        glyph_height=height,
        glyph_width=width,
        invert=draw(st.booleans()),
    )


def assert_is_one_line(error: Exception) -> None:
    assert str(error).isprintable()
    assert len(str(error)) <= 1_100


# Sequences


@pytest.mark.parametrize("text", ["1-2-3", "123", "1,2,3", "1 2 3", "1, 2, 3", " 1-2-3\r\n", "\t123 \n"])
def test_a_sequence_is_written_in_four_ways(text: str) -> None:
    assert parse_sequence(text) == (1, 2, 3)


def test_leading_zeros_and_single_digits_are_kept() -> None:
    assert parse_sequence("0042") == (0, 0, 4, 2)
    assert parse_sequence("0") == (0,)
    assert parse_sequence("-".join("9" * MAX_LENGTH)) == (9,) * MAX_LENGTH
    assert parse_sequence(", ".join("9" * MAX_LENGTH)) == (9,) * MAX_LENGTH


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\r\n",
        "-",
        "--",
        "-1",
        "1-",
        "1--",
        "1,",
        ",1",
        "a",
        "1a2",
        "1.5",
        "1e3",
        "+1",
        "1_000",
        "1\x002",
        "\x00",
        "²",
        "1²",
        "٣",
        "1-٣",
        "１２",
        "1–2",
        "1\n2",
        "1\r\n2\r\n",
        "1\t2",
        "\ufeff1-2",
        "1\u00a02",
        "1   2",
        "{0}",
        "%s",
        "../1",
        "\ud800",
    ],
)
def test_what_is_not_a_sequence_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError, match="is not a sequence of digits") as caught:
        parse_sequence(text)
    assert_is_one_line(caught.value)
    assert "1-2-3" in caught.value.hint


@pytest.mark.parametrize("text", ["1--2", "1,,2", "1,-2", "1 -2", "1-,2", "1 ,2"])
def test_doubled_separators_are_refused_rather_than_guessed_at(text: str) -> None:
    with pytest.raises(RequestError, match="is not a sequence of digits"):
        parse_sequence(text)


@pytest.mark.parametrize("text", ["1" * 10**6, "1-" * 500_000, "x" * 10**6, "-" * 10**6, "1" * (MAX_LENGTH + 1)])
def test_a_sequence_that_is_too_long_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError, match="is too long") as caught:
        parse_sequence(text)
    assert_is_one_line(caught.value)
    assert "1000 digits at most" in caught.value.hint


@given(digits=DIGITS, separator=st.sampled_from(["-", "", ",", " ", ", "]))
def test_what_is_written_is_read_again(digits: tuple[int, ...], separator: str) -> None:
    assert parse_sequence(separator.join(map(str, digits))) == digits
    assert parse_sequence(format_sequence(digits)) == digits


def test_the_written_form_has_hyphens() -> None:
    assert format_sequence((0, 0, 4, 2)) == "0-0-4-2"
    assert format_sequence((5,)) == "5"


@given(text=st.text(max_size=30) | st.text("0123456789-, ", max_size=12))
def test_any_text_is_digits_or_refused(text: str) -> None:
    try:
        digits = parse_sequence(text)
    except RequestError as error:
        assert_is_one_line(error)
    else:
        assert list(digits) == [int(character) for character in text if character in "0123456789"]


# Layouts


def test_the_seed_rule_of_the_original() -> None:
    assert resolve_layout(3, min_gap=0, max_gap=10, width=100) == Layout("equal", 8, 8, 100)
    assert resolve_layout(3, width=100) == Layout("equal", 8, 8, 100)
    assert resolve_layout(3, width=84) == Layout("equal", 0, 0, 84)
    assert resolve_layout(4, min_gap=8, max_gap=8, width=136) == Layout("equal", 8, 8, 136)


def test_without_width_gaps_are_drawn_and_the_canvas_holds_the_widest_strip() -> None:
    assert resolve_layout(4) == Layout("equal", 0, 0, 112)
    assert resolve_layout(4, min_gap=5) == Layout("equal", 5, 5, 127)
    assert resolve_layout(4, min_gap=2, max_gap=9) == Layout("random", 2, 9, 139)
    assert resolve_layout(4, min_gap=2, max_gap=9, spacing="equal") == Layout("equal", 2, 9, 139)
    assert resolve_layout(4, min_gap=3, max_gap=3, spacing="random") == Layout("equal", 3, 3, 121)


def test_random_gaps_on_a_canvas_of_a_given_width() -> None:
    assert resolve_layout(3, max_gap=6, width=130, spacing="random") == Layout("random", 0, 6, 130)
    assert resolve_layout(3, max_gap=8, width=100, spacing="random") == Layout("random", 0, 8, 100)
    assert resolve_layout(3, width=101, spacing="random") == Layout("random", 0, 8, 101)
    assert resolve_layout(3, min_gap=8, width=101, spacing="random") == Layout("equal", 8, 8, 101)
    with pytest.raises(RequestError) as caught:
        resolve_layout(3, max_gap=9, width=101, spacing="random")
    assert str(caught.value) == (
        "3 digits with random gaps of up to 9 px can be 102 px wide, and `width` is 101; `width=102` would do"
    )
    with pytest.raises(RequestError, match="`width=84` would do"):
        resolve_layout(3, width=83, spacing="random")


def test_one_digit_has_no_gap() -> None:
    plain = Layout("equal", 0, 0, 28)
    assert resolve_layout(1) == plain
    assert resolve_layout(1, width=28) == plain
    assert resolve_layout(1, min_gap=3, max_gap=9) == plain
    assert resolve_layout(1, max_gap=9, width=28) == plain
    assert resolve_layout(1, max_gap=9, width=40, spacing="random") == Layout("equal", 0, 0, 40)
    with pytest.raises(RequestError) as caught:
        resolve_layout(1, width=40)
    assert str(caught.value) == "one digit is 28 px wide, and `width` is 40; `width=28`, or `align=center`"


def test_one_digit_is_not_offered_a_random_spacing_that_would_be_refused_too() -> None:
    with pytest.raises(RequestError, match="one digit is 28 px wide, and `width` is 20") as caught:
        resolve_layout(1, width=20)
    assert "`width=28`" in caught.value.hint
    assert "random" not in caught.value.hint
    with pytest.raises(RequestError, match="`width=28` would do"):
        resolve_layout(1, width=20, spacing="random")


def test_a_width_between_two_whole_gaps_names_both_neighbours() -> None:
    with pytest.raises(RequestError) as caught:
        resolve_layout(3, min_gap=0, max_gap=10, width=101)
    assert str(caught.value) == (
        "`width=101` does not fit 3 digits: (101 - 3*28) / 2 is not a whole number of px; "
        "nearest: `width=100` (gap 8) or `width=102` (gap 9)"
    )


def test_a_gap_outside_the_bounds_says_so() -> None:
    with pytest.raises(RequestError) as caught:
        resolve_layout(3, min_gap=0, max_gap=7, width=100)
    assert str(caught.value) == (
        "`width=100` does not fit 3 digits: the gap would be 8 px, and 0 to 7 px was asked for; "
        "nearest: `width=98` (gap 7)"
    )
    with pytest.raises(RequestError) as caught:
        resolve_layout(3, min_gap=9, width=100)
    assert str(caught.value) == (
        "`width=100` does not fit 3 digits: the gap would be 8 px, and at least 9 px was asked for; "
        "nearest: `width=102` (gap 9)"
    )


def test_a_width_too_small_for_the_digits_names_the_smallest_that_works() -> None:
    with pytest.raises(RequestError, match=r"nearest: `width=84` \(gap 0\)$"):
        resolve_layout(3, width=10)


OFFER = re.compile(r"`width=(\d+)`(?: \(gap (-?\d+)\))?")


def assert_refusal_is_helpful(
    error: RequestError, length: int, low: int, high: int | None, width: int, glyph_width: int
) -> None:
    """Check that the hint offers the nearest width that works, only widths that work, and no width if none does."""
    assert_is_one_line(error)
    boxes, between = length * glyph_width, length - 1
    largest = (MAX_WIDTH - boxes) // between if between else 0
    top = largest if high is None else min(high, largest)
    working = {boxes} if not between else {boxes + between * gap for gap in range(low, top + 1)}
    offers = [(int(offered), gap) for offered, gap in OFFER.findall(error.hint)]
    assert width not in working
    assert bool(offers) == bool(working)
    for offered, gap in offers:
        layout = resolve_layout(length, min_gap=low, max_gap=high, width=offered, glyph_width=glyph_width)
        assert layout.width == offered
        if gap:
            assert layout.min_gap == layout.max_gap == int(gap)
    if working:
        assert min(abs(offered - width) for offered, _ in offers) == min(abs(wide - width) for wide in working)


@given(
    length=st.integers(1, 30),
    low=st.integers(0, 30),
    span=st.none() | st.integers(0, 30),
    width=st.integers(1, 1_500),
    glyph_width=st.just(28) | st.integers(1, 40),
)
@example(length=3, low=0, span=10, width=101, glyph_width=28)
@example(length=3, low=0, span=0, width=85, glyph_width=28)
@example(length=1, low=0, span=None, width=1, glyph_width=28)
def test_a_width_works_or_the_nearest_that_work_are_named(
    length: int, low: int, span: int | None, width: int, glyph_width: int
) -> None:
    high = None if span is None else low + span
    try:
        layout = resolve_layout(length, min_gap=low, max_gap=high, width=width, glyph_width=glyph_width)
    except RequestError as error:
        assert_refusal_is_helpful(error, length, low, high, width, glyph_width)
    else:
        assert layout.spacing == "equal"
        assert layout.min_gap == layout.max_gap
        assert layout.width == width == length * glyph_width + (length - 1) * layout.max_gap
        if length > 1:
            assert low <= layout.min_gap
            assert high is None or layout.max_gap <= high


@pytest.mark.parametrize(
    ("length", "low", "high", "width", "glyph_width"),
    [
        (6, 0, 10**6, MAX_WIDTH, 28),  # the gap above would make the canvas wider than any may be
        (6, 0, None, MAX_WIDTH, 28),
        (3, 90_000, None, 100, 28),  # no canvas holds two such gaps
        (3, 90_000, 95_000, 100, 28),
        (1_000, 0, None, 100, 200),  # no canvas holds so many such glyphs
    ],
)
def test_no_width_is_offered_that_is_wider_than_any_may_be(
    length: int, low: int, high: int | None, width: int, glyph_width: int
) -> None:
    with pytest.raises(RequestError) as caught:
        resolve_layout(length, min_gap=low, max_gap=high, width=width, glyph_width=glyph_width)
    assert_refusal_is_helpful(caught.value, length, low, high, width, glyph_width)


def test_no_canvas_is_offered_for_random_gaps_that_is_wider_than_any_may_be() -> None:
    with pytest.raises(RequestError) as caught:
        resolve_layout(3, max_gap=60_000, width=100, spacing="random")
    assert [offered for offered, _ in OFFER.findall(caught.value.hint) if int(offered) > MAX_WIDTH] == []


@given(
    length=st.integers(1, 30),
    low=st.integers(0, 30),
    span=st.integers(0, 30),
    extra=st.none() | st.integers(-50, 50),
    spacing=st.sampled_from([None, "equal", "random"]),
)
def test_a_layout_always_makes_a_valid_recipe_that_keeps_the_request(
    length: int, low: int, span: int, extra: int | None, spacing: Any
) -> None:
    width = None if extra is None else length * 28 + (length - 1) * (low + span) + extra
    assume(width is None or width > 0)
    try:
        layout = resolve_layout(length, min_gap=low, max_gap=low + span, width=width, spacing=spacing)
    except RequestError as error:
        assert_is_one_line(error)
        assert width is not None
        return
    Recipe(seed=1, length=length, **layout._asdict())
    assert width in (None, layout.width)
    if length > 1:
        assert low <= layout.min_gap <= layout.max_gap <= low + span
    if layout.min_gap == layout.max_gap:
        assert layout.spacing == "equal"
    assert (
        resolve_layout(length, min_gap=layout.min_gap, max_gap=layout.max_gap, width=width, spacing=spacing) == layout
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "number of digits is 0; it has to be 1 to 1000"),
        ({"length": MAX_LENGTH + 1}, "number of digits is 1001; it has to be 1 to 1000"),
        ({"length": -1}, "number of digits is -1; it has to be 1 to 1000"),
        ({"length": True}, "number of digits is True, which is not a whole number"),
        ({"length": 3.0}, "number of digits is 3.0, which is not a whole number"),
        ({"length": 3, "min_gap": -29}, "`min_gap` is -29; it has to be -28 to 100000"),
        ({"length": 3, "min_gap": 0.5}, "`min_gap` is 0.5, which is not a whole number"),
        ({"length": 3, "width": 0}, "`width` is 0; it has to be 1 to 100000"),
        ({"length": 3, "width": MAX_WIDTH + 1}, "`width` is 100001; it has to be 1 to 100000"),
        ({"length": 3, "width": "100"}, "`width` is '100', which is not a whole number"),
        ({"length": 3, "min_gap": 5, "max_gap": 4}, "`max_gap=4` is below `min_gap=5`; no gap is in that range"),
        ({"length": 3, "max_gap": 2.5}, "`max_gap` is 2.5, which is not a whole number"),
        ({"length": 3, "max_gap": True}, "`max_gap` is True, which is not a whole number"),
        ({"length": 3, "max_gap": "10"}, "`max_gap` is '10', which is not a whole number"),
        (
            {"length": 3, "max_gap": 60_000},
            "3 digits with gaps of up to 60000 px are 120084 px wide; 100000 px at most",
        ),
        ({"length": 3, "spacing": "diagonal"}, "`spacing` is 'diagonal'; it is one of equal, random"),
        ({"length": 3, "width": 84, "spacing": "diagonal"}, "`spacing` is 'diagonal'; it is one of equal, random"),
    ],
)
def test_impossible_layouts_say_what_is_wrong(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve_layout(**arguments)
    assert str(caught.value) == message


# Recipes


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"seed": MAX_SEED + 1},
        {"seed": True},
        {"seed": 1.0},
        {"seed": "7"},
        {"seed": None},
        {"length": 0},
        {"length": 4},
        {"length": MAX_LENGTH + 1, "width": MAX_WIDTH},
        {"min_gap": 1},
        {"min_gap": -29},
        {"max_gap": 1},
        {"max_gap": MAX_WIDTH + 1},
        {"width": 83},
        {"width": MAX_WIDTH + 1},
        {"width": 84.0},
        {"glyph_width": 29},
        {"glyph_width": 0},
        {"glyph_height": 0},
        {"glyph_height": MAX_WIDTH + 1},
        {"spacing": "diagonal"},
        {"spacing": None},
        {"sequences": ((1, 2, 3), (1, 2, 3, 4))},
        {"sequences": ((1, 2, 10),)},
        {"sequences": ((1, 2, -1),)},
        {"sequences": ((1, 2, True),)},
        {"sequences": ((1, 2, 3.0),)},
        {"sequences": ("123",)},
        {"sequences": ((),)},
        {"digits": ()},
        {"digits": (1, 1)},
        {"digits": (2, 1)},
        {"digits": (1, 10)},
        {"digits": (1,), "repeat": False},
        {"lengths": ((2, 1),)},
        {"lengths": ((3, 1), (2, 1))},
        {"lengths": ((3, 1), (3, 2))},
        {"lengths": ((0, 1), (3, 1))},
        {"lengths": ((2, 0), (3, 1))},
        {"lengths": ((2, MAX_WEIGHT + 1), (3, 1))},
        {"lengths": ((2, True), (3, 1))},
        {"pattern": "12"},
        {"pattern": "1{4}"},
        {"pattern": "("},
        {"per_label": -1},
        {"per_label": MAX_SAMPLES},
        {"per_label": True},
        {"check": "isbn"},
        {"check": None},
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused_in_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        replace(PLAIN, **changes)
    assert_is_one_line(caught.value)


def test_a_recipe_at_the_limits_is_accepted() -> None:
    Recipe(seed=0, length=1, width=28)
    Recipe(seed=MAX_SEED, length=MAX_LENGTH, width=MAX_WIDTH, max_gap=72, spacing="random")
    Recipe(seed=1, length=1, width=1, glyph_width=1, glyph_height=1)


def test_a_recipe_is_a_value() -> None:
    with pytest.raises(FrozenInstanceError):
        PLAIN.seed = 8  # type: ignore[misc]
    assert replace(PLAIN) == PLAIN
    assert hash(replace(PLAIN)) == hash(PLAIN)


def test_a_request_is_worked_out() -> None:
    assert recipe_for(seed=7, length=3, max_gap=10, width=100) == Recipe(
        seed=7, length=3, spacing="equal", min_gap=8, max_gap=8, width=100
    )
    assert recipe_for(seed=7).length == 4
    written = recipe_for(seed=7, sequences=[[1, 2, 3], (4, 5, 6)])
    assert (written.length, tuple(written.sequences)) == (3, ((1, 2, 3), (4, 5, 6)))
    own = recipe_for(seed=7, length=2, min_gap=1, glyph_height=5, glyph_width=7, source="sha256:x", invert=True)
    assert (own.width, own.glyph_height, own.glyph_width, own.source, own.invert) == (15, 5, 7, "sha256:x", True)


def test_a_request_tells_its_lengths_once() -> None:
    listed = recipe_for(seed=1, sequences=[(1, 2), (1, 2, 3)])
    assert (listed.length, listed.width, listed.lengths) == (3, 84, ())
    assert recipe_for(seed=1, length=((8, 2), (2, 1))).lengths == ((2, 1), (8, 2))
    assert recipe_for(seed=1, length=((3, 5),)) == recipe_for(seed=1, length=3)
    assert recipe_for(seed=1, pattern="1{2,5}").length == 5
    with pytest.raises(RequestError, match="`length=3` is not the length of what is to be written, 2 to 2"):
        recipe_for(length=3, sequences=[(1, 2)])
    with pytest.raises(RequestError, match="`length` with several lengths does not go with `sequences`"):
        recipe_for(length=((1, 1), (2, 1)), sequences=[(1, 2)])
    with pytest.raises(RequestError, match="number of digits is 0"):
        recipe_for(sequences=[()])


def test_several_lengths_do_not_fill_one_width_with_equal_gaps() -> None:
    with pytest.raises(RequestError) as caught:
        recipe_for(length=((2, 1), (3, 1)), width=100)
    assert str(caught.value) == (
        "2 to 3 digits do not fill 100 px with the same gaps; `align=left` takes `width` as the canvas"
    )
    assert recipe_for(length=((2, 1), (3, 1)), width=100, spacing="random").width == 100


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("4", 4),
        ("04", 4),
        ("2-4", ((2, 1), (3, 1), (4, 1))),
        ("3-3", ((3, 1),)),
        ("4:1,2:3", ((2, 3), (4, 1))),
        ("10:7", ((10, 7),)),
    ],
)
def test_lengths_are_written_in_three_ways(text: str, lengths: object) -> None:
    assert parse_lengths(text) == lengths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4-2", "`length` goes from 4 down to 2"),
        ("2:1,2:3", "`length=2:1,2:3` has a length twice"),
        ("", "`length` is ''"),
        ("-2", "`length` is '-2'"),
        ("2-", "`length` is '2-'"),
        ("2,3", "`length` is '2,3'"),
        ("2:", "`length` is '2:'"),
        ("2:1,", "`length` is '2:1,'"),
        ("2:1:1", "`length` is '2:1:1'"),
        ("٤", "`length` is '٤'"),
        ("4.0", "`length` is '4.0'"),
        (" 4", "`length` is ' 4'"),
        ("4\n", "`length` is '4\\n'"),
    ],
)
def test_what_is_no_length_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_lengths(text)
    assert str(caught.value) == f"{message}; write 4, 2-8, or lengths with weights, 2:1,3:5,4:1"


@pytest.mark.parametrize(
    ("text", "digits"),
    [("0-4", (0, 1, 2, 3, 4)), ("1,3,5", (1, 3, 5)), ("531", (1, 3, 5)), ("0-29", (0, 1, 2, 9)), ("77", (7,))],
)
def test_digits_are_written_in_three_ways(text: str, digits: tuple[int, ...]) -> None:
    assert parse_digits(text) == digits


@pytest.mark.parametrize(
    "text", ["", "a", "-", "4-", "4-2", "5,4-2", "1--2", "1 2", "٤", "1\n", "0" * 10**6, ",", ",1"]
)
def test_what_are_no_digits_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError, match=r"^`digits` is ") as caught:
        parse_digits(text)
    assert_is_one_line(caught.value)
    assert caught.value.hint == "write it like 01234, 0-4 or 1,3,5"


def test_without_a_seed_one_is_drawn_each_time() -> None:
    seeds = {recipe_for(length=3).seed for _ in range(5)} | {draw_seed() for _ in range(5)}
    assert len(seeds) == 10
    assert all(0 <= seed < 10**12 for seed in seeds)


# JSON


def test_the_json_of_a_recipe_names_every_field() -> None:
    assert replace(PLAIN, sequences=((0, 0, 4), (1, 2, 3))).to_json() == {
        "version": 1,
        "seed": 7,
        "length": 3,
        "lengths": {},
        "digits": "0123456789",
        "repeat": True,
        "sequences": ["0-0-4", "1-2-3"],
        "shuffle": False,
        "pattern": "",
        "per_label": 0,
        "check": "",
        "spacing": "equal",
        "min_gap": 0,
        "max_gap": 0,
        "crop": "box",
        "width": 84,
        "height": 28,
        "fit": False,
        "align": "left",
        "margin": 0,
        "jitter_x": 0,
        "jitter_y": 0,
        "slant": [0, 0],
        "rotate": [0, 0],
        "scale": [100, 100],
        "stroke": [0, 0],
        "contrast": [100, 100],
        "paper": "plain",
        "noise": 0,
        "source": "train",
        "glyph_height": 28,
        "glyph_width": 28,
        "ink_height": 20,
        "ink_width": 20,
        "exclude_mislabeled": False,
        "glyphs": "any",
        "pool": [0, 1, 1],
        "label_pool": [0, 1, 1],
        "invert": False,
    }


@given(recipe=recipes())
def test_a_recipe_comes_back_from_its_json(recipe: Recipe) -> None:
    text = canonical_json(recipe.to_json())
    again = Recipe.from_json(json.loads(text))
    assert again == recipe
    assert again.fingerprint == recipe.fingerprint
    assert canonical_json(again.to_json()) == text


def test_lengths_keep_their_order_although_json_sorts_them_as_text() -> None:
    recipe = recipe_for(seed=1, length=((2, 1), (9, 3), (10, 1), (100, 2)))
    values = json.loads(canonical_json(recipe.to_json()))
    assert list(values["lengths"]) == ["10", "100", "2", "9"]
    assert Recipe.from_json(values) == recipe


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize("values", [None, [], [PLAIN.to_json()], "recipe", 3, True, nested(100)])
def test_json_that_is_not_an_object_is_not_a_recipe(values: object) -> None:
    with pytest.raises(FormatError, match="the recipe is not a JSON object") as caught:
        Recipe.from_json(values)
    assert_is_one_line(caught.value)


@pytest.mark.parametrize("key", ["seed", "length", "width"])
def test_a_missing_key_that_means_nothing_is_named(key: str) -> None:
    values = PLAIN.to_json()
    del values[key]
    with pytest.raises(FormatError) as caught:
        Recipe.from_json(values)
    assert str(caught.value) == f"the recipe has no '{key}'"


@pytest.mark.parametrize("key", sorted(PLAIN.to_json().keys() - {"seed", "length", "width"}))
def test_a_missing_key_means_the_value_that_changes_nothing(key: str) -> None:
    values = PLAIN.to_json()
    del values[key]
    assert Recipe.from_json(values) == PLAIN
    assert Recipe.from_json(values).fingerprint == PLAIN.fingerprint


@pytest.mark.parametrize("key", ["", "Seed", "../../etc/passwd", "a\nb", "\x1b[31m", "x" * 10_000, "__class__"])
def test_an_unknown_key_is_named_in_one_line(key: str) -> None:
    with pytest.raises(FormatError, match="the recipe has unknown key") as caught:
        Recipe.from_json({**PLAIN.to_json(), key: 1})
    assert_is_one_line(caught.value)


WRONG_VALUES = [None, True, 7, 7.0, float("nan"), json.loads("1e400"), "7", {}, {"a": 1}, nested(2), nested(100)]
RIGHT_TYPES = {
    **dict.fromkeys(("spacing", "source", "digits", "pattern", "check", "glyphs"), str),
    **dict.fromkeys(("slant", "rotate", "scale", "stroke", "contrast"), list),
    **dict.fromkeys(("align", "crop", "paper"), str),
    **dict.fromkeys(("fit", "invert", "repeat", "shuffle", "exclude_mislabeled"), bool),
    "lengths": dict,
    **dict.fromkeys(("pool", "label_pool"), list),
}
WRONG_FIELDS = [
    (key, value)
    for key in sorted(PLAIN.to_json())
    for value in WRONG_VALUES
    if type(value) is not RIGHT_TYPES.get(key, int)
]


@pytest.mark.parametrize(("key", "value"), WRONG_FIELDS, ids=lambda value: repr(value)[:12])
def test_a_value_of_the_wrong_type_is_refused(key: str, value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        Recipe.from_json({**PLAIN.to_json(), key: value})
    assert_is_one_line(caught.value)
    assert key in str(caught.value) or "sequence" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"seed": 10**400},
        {"length": 10**400},
        {"width": -84},
        {"width": 10**400},
        {"max_gap": -1},
        {"glyph_width": 0},
        {"spacing": "diagonal"},
        {"spacing": "../../etc/passwd"},
        {"sequences": ["1-2-3-4"]},
        {"lengths": {"a": 1}},
        {"lengths": {"3": 1, "03": 1}},
        {"lengths": {"3": "1"}},
        {"lengths": {"3": None}},
        {"lengths": {"9" * 5000: 1}},
        {"digits": ""},
        {"digits": "x"},
        {"pattern": "("},
        {"pattern": "1{3}?"},
        {"check": "mod11"},
        {"glyphs": "twice"},
        {"source": "sha256:0", "exclude_mislabeled": True},
        {"pool": []},
        {"pool": [0, 1]},
        {"pool": [0, 0, 1]},
        {"pool": [-1, 1, 2]},
        {"pool": [0, 3, 2]},
        {"pool": [0, 1, 10**400]},
        {"pool": [0, 1.0, 1]},
        {"pool": [[0], 1, 1]},
        {"label_pool": [True, 2, 3]},
        {"label_pool": [0, 1, 1001]},
        {"label_pool": [0, 1, 2], "pattern": "1{3}"},
        {"sequences": ["1-2-x"]},
        {"sequences": [""]},
        {"sequences": ["1-2-٣"]},
        {"sequences": ["1" * 10**6]},
        {"sequences": [None]},
        {"sequences": [["1-2-3"]]},
        {"sequences": [{"1-2-3": 1}]},
        {"sequences": [nested(100)]},
    ],
)
def test_values_that_make_no_recipe_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="the recipe is not valid") as caught:
        Recipe.from_json({**PLAIN.to_json(), **changes})
    assert_is_one_line(caught.value)


def test_a_sequence_in_json_is_text_because_a_number_has_lost_its_zeros() -> None:
    with pytest.raises(FormatError):
        Recipe.from_json({**PLAIN.to_json(), "sequences": [123]})


@pytest.mark.parametrize("version", [0, 2, -1, 10**400])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(FormatError, match="the recipe is of another version"):
        Recipe.from_json({**PLAIN.to_json(), "version": version})


def test_a_recipe_of_a_later_version_is_called_that_whatever_keys_it_has() -> None:
    with pytest.raises(FormatError, match="the recipe is of another version"):
        Recipe.from_json({**PLAIN.to_json(), "version": 2, "rotation": 5})


def test_json_is_canonical() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"\\u00e9"]}'


def test_typed_fields_wants_exactly_the_known_keys() -> None:
    known = {"a": int, "b": str}
    assert typed_fields({"a": 1, "b": "x"}, known, "it") == {"a": 1, "b": "x"}
    for values in ({"a": 1}, {"a": 1, "b": "x", "c": 2}, {"a": True, "b": "x"}, {"a": 1, "b": 2}, [], None):
        with pytest.raises(FormatError, match=r"^it "):
            typed_fields(values, known, "it")


# Fingerprints


def test_the_fingerprint_of_a_recipe_never_changes() -> None:
    # A change here makes every unfinished dataset of our users refuse to resume.
    assert PLAIN.fingerprint == "f473e0d83173a9a63bec75f93d0a5bda06adb8f301f344a68611992509ffe66d"
    given_sequences = recipe_for(seed=2**64 - 1, sequences=[(0, 0, 4, 2)], max_gap=9, source="all", invert=True)
    assert given_sequences.fingerprint == "703e77c80ceed341317d187e4a568bba606f6dc19fcadf88b8ae4edc6f3e8ae5"


def test_the_fingerprint_differs_with_every_field() -> None:
    base = replace(PLAIN, width=200, height=40, max_gap=5, spacing="random")
    given = replace(base, sequences=((1, 2, 3),))
    changes: dict[str, Any] = {
        "seed": 8,
        "length": 2,
        "lengths": ((2, 1), (3, 1)),
        "digits": (1, 2, 3),
        "repeat": False,
        "sequences": ((1, 2, 3),),
        "pattern": "1{3}",
        "per_label": 1,
        "check": "luhn",
        "operands": 3,
        "spacing": "equal",
        "min_gap": 1,
        "max_gap": 6,
        "crop": "tight",
        "width": 201,
        "height": 29,
        "fit": True,
        "align": "right",
        "margin": 1,
        "jitter_x": 1,
        "jitter_y": 1,
        "slant": (0, 1),
        "rotate": (0, 1),
        "scale": (99, 100),
        "stroke": (0, 1),
        "contrast": (90, 100),
        "paper": "grain",
        "noise": 1,
        "source": "test",
        "glyph_height": 27,
        "glyph_width": 27,
        "ink_height": 19,
        "ink_width": 19,
        "exclude_mislabeled": True,
        "glyphs": "once",
        "writer": "same",
        "writer_pool": (0, 1, 2),
        "pool": (0, 1, 2),
        "label_pool": (0, 1, 2),
        "invert": True,
    }
    assert {*changes, "shuffle", "label_order"} == {field.name for field in fields(Recipe)}
    published = replace(base, label_pool=(0, 1, 2), label_order="multidigitmnist")
    prints = [base.fingerprint, replace(given, shuffle=True).fingerprint, published.fingerprint] + [
        replace(base, **{name: value}).fingerprint for name, value in changes.items()
    ]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{64}", shown) for shown in prints)


# Plans


@given(samples=st.integers(1, 5_000), shard_size=st.integers(1, 6_000))
@example(samples=1, shard_size=1)
@example(samples=999, shard_size=1_000)
@example(samples=1_000, shard_size=1_000)
@example(samples=1_001, shard_size=1_000)
@example(samples=3_000, shard_size=1_000)
def test_every_index_is_in_exactly_one_shard(samples: int, shard_size: int) -> None:
    plan = Plan(samples, shard_size)
    shards = list(plan)
    assert [index for shard in shards for index in range(shard.first, shard.stop)] == list(range(samples))
    assert [shard.number for shard in shards] == list(range(len(plan)))
    assert all(shard.samples == shard_size for shard in shards[:-1])
    assert 0 < shards[-1].samples <= shard_size
    assert shards == [plan[number] for number in range(len(plan))]


def test_a_shard_is_three_integers() -> None:
    assert Plan(10_000, 1_000)[7] == Shard(7, 7_000, 8_000) == (7, 7_000, 8_000)
    assert Plan(7_500, 1_000)[7].samples == 500


@pytest.mark.parametrize(
    ("samples", "shard_size", "digits"),
    [
        (1, 1, (5, 8)),
        (10**8, 1_000, (5, 8)),
        (10**8 + 1, 10_000, (5, 9)),
        (100_001, 1, (6, 8)),
        (10**12, 10**5, (7, 12)),
    ],
)
def test_numbers_in_names_have_as_many_digits_as_the_last_one(
    samples: int, shard_size: int, digits: tuple[int, int]
) -> None:
    plan = Plan(samples, shard_size)
    assert plan.digits == digits
    assert len(plan.digits.sample(samples - 1)) == len(plan.digits.sample(0)) == digits[1]
    assert len(plan.digits.shard(len(plan) - 1)) == len(plan.digits.shard(0)) == digits[0]


@pytest.mark.parametrize("number", [-1, 10, 10**9])
def test_there_is_no_shard_outside_the_plan(number: int) -> None:
    with pytest.raises(IndexError):
        Plan(10_000, 1_000)[number]


@pytest.mark.parametrize(
    ("samples", "shard_size", "message"),
    [
        (0, 1_000, "number of samples is 0; it has to be 1 to 1000000000000"),
        (-5, 1_000, "number of samples is -5; it has to be 1 to 1000000000000"),
        (MAX_SAMPLES + 1, 10_000, "number of samples is 1000000000001; it has to be 1 to 1000000000000"),
        (True, 1_000, "number of samples is True, which is not a whole number"),
        (10.0, 1_000, "number of samples is 10.0, which is not a whole number"),
        (10, 0, "`shard_size` is 0; it has to be 1 to 100000"),
        (10, -1, "`shard_size` is -1; it has to be 1 to 100000"),
        (10, "5", "`shard_size` is '5', which is not a whole number"),
        (
            10**10,
            999,
            "10000000000 samples in shards of 999 are 10010011 shards; "
            "`shard_size=1000` or more keeps them to 10000000",
        ),
    ],
)
def test_impossible_plans_say_what_is_wrong(samples: Any, shard_size: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        Plan(samples, shard_size)
    assert str(caught.value) == message


@given(samples=st.integers(MAX_SHARDS + 1, MAX_SAMPLES), shard_size=st.integers(1, MAX_SHARD_SIZE))
def test_too_many_shards_name_the_smallest_shard_size_that_works(samples: int, shard_size: int) -> None:
    try:
        plan = Plan(samples, shard_size)
    except RequestError as error:
        offered = re.search(r"`shard_size=(\d+)` or more", error.hint)
        assert offered
        smallest = int(offered[1])
        assert smallest > shard_size
        assert len(Plan(samples, smallest)) <= MAX_SHARDS
        with pytest.raises(RequestError):
            Plan(samples, smallest - 1)
    else:
        assert len(plan) <= MAX_SHARDS


def test_the_largest_plan() -> None:
    assert len(Plan(MAX_SAMPLES, MAX_SHARD_SIZE)) == MAX_SHARDS
    assert Plan(MAX_SAMPLES, MAX_SHARD_SIZE)[0] == Shard(0, 0, MAX_SHARD_SIZE)


@pytest.mark.parametrize("crop", ["box", "tight"])
def test_what_is_kept_free_at_both_ends_counts_in_the_width(crop: str) -> None:
    """A recipe from JSON may say any width, and one px too few would cut a digit."""
    recipe = recipe_for(seed=1, length=3, max_gap=4, margin=5, jitter_x=2, crop=crop, min_gap=0)
    least = next(width for width in range(recipe.width + 1) if _is_a_recipe(recipe, width))
    assert least == recipe.width
    assert replace(recipe, width=least + 1).width == least + 1


def _is_a_recipe(recipe: Recipe, width: int) -> bool:
    try:
        replace(recipe, width=width)
    except RequestError:
        return False
    return True
