import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli.engine import placement
from mnist_seq_cli.recipe.recipe import Recipe


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    length, low, glyph_width = draw(st.integers(1, 12)), draw(st.integers(0, 30)), draw(st.integers(1, 40))
    high = low + draw(st.integers(0, 30))
    return Recipe(
        seed=draw(st.integers(0, 2**64 - 1)),
        length=length,
        spacing=draw(st.sampled_from(["equal", "random"])),
        min_gap=low,
        max_gap=high,
        width=length * glyph_width + (length - 1) * high + draw(st.integers(0, 9)),
        glyph_width=glyph_width,
    )


def lefts(recipe: Recipe, first: int, stop: int) -> NDArray[np.int32]:
    """The left edges of boxes that are all ink."""
    count, gaps = stop - first, placement.gaps(recipe, range(first, stop))
    ink = np.tile(np.array([0, 0, recipe.glyph_width, 28], dtype=np.int32), (count, recipe.length, 1))
    return placement.left_edges(recipe, ink, np.full(count, recipe.length, dtype=np.int32), gaps, range(first, stop))[0]


@given(recipe=recipes(), first=st.integers(0, 10**8), count=st.integers(0, 30))
def test_gaps_are_within_their_bounds(recipe: Recipe, first: int, count: int) -> None:
    gaps = placement.gaps(recipe, range(first, first + count))
    assert gaps.dtype == np.int64
    assert gaps.shape == (count, recipe.length - 1)
    assert ((gaps >= recipe.min_gap) & (gaps <= recipe.max_gap)).all()
    if recipe.spacing == "equal" and recipe.length > 1:
        assert (gaps == gaps[:, :1]).all()


@given(recipe=recipes(), first=st.integers(0, 10**8), count=st.integers(0, 30))
def test_offsets_add_up_glyphs_and_gaps_and_end_on_the_canvas(recipe: Recipe, first: int, count: int) -> None:
    x = lefts(recipe, first, first + count)
    assert x.dtype == np.int32
    assert x.shape == (count, recipe.length)
    assert (x[:, 0] == 0).all()
    np.testing.assert_array_equal(np.diff(x), placement.gaps(recipe, range(first, first + count)) + recipe.glyph_width)
    assert (x[:, -1] + recipe.glyph_width <= recipe.width).all()


@given(recipe=recipes(), first=st.integers(0, 10**8), count=st.integers(1, 30), data=st.data())
def test_a_sample_has_its_gaps_wherever_the_run_begins(
    recipe: Recipe, first: int, count: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, count - 1), label="start")
    stop = data.draw(st.integers(start, count), label="stop")
    for function in (lambda recipe, first, stop: placement.gaps(recipe, range(first, stop)), lefts):
        whole = function(recipe, first, first + count)
        np.testing.assert_array_equal(function(recipe, first + start, first + stop), whole[start:stop])


@pytest.mark.parametrize("length", [2, 3, 5, 6, 9])
def test_drawn_gaps_reach_both_bounds(length: int) -> None:
    for spacing in ("equal", "random"):
        recipe = recipe_for(seed=3, length=length, min_gap=2, max_gap=5, spacing=spacing)
        gaps = placement.gaps(recipe, range(500))
        assert [set(column) for column in gaps.T.tolist()] == [{2, 3, 4, 5}] * (length - 1)


def test_random_gaps_differ_within_a_strip_and_equal_gaps_between_strips() -> None:
    random = recipe_for(seed=3, length=4, max_gap=9)
    assert random.spacing == "random"
    assert len(np.unique(placement.gaps(random, range(2_000)), axis=0)) > 700  # of the 1,000 there are
    equal = recipe_for(seed=3, length=4, max_gap=9, spacing="equal")
    assert np.unique(placement.gaps(equal, range(2_000)), axis=0).tolist() == [[gap] * 3 for gap in range(10)]


def test_gaps_that_cannot_vary_do_not_depend_on_the_seed() -> None:
    for seed in (1, 2):
        recipe = recipe_for(seed=seed, length=3, max_gap=10, width=100)
        assert placement.gaps(recipe, range(5, 8)).tolist() == [[8, 8]] * 3
        assert lefts(recipe, 5, 8).tolist() == [[0, 36, 72]] * 3


def test_gaps_come_from_the_words_of_their_own_purpose() -> None:
    few, many = (recipe_for(seed=1, length=4, max_gap=9, source=source) for source in ("train", "all"))
    np.testing.assert_array_equal(placement.gaps(few, range(50)), placement.gaps(many, range(50)))
    other = recipe_for(seed=2, length=4, max_gap=9)
    assert (placement.gaps(few, range(50)) != placement.gaps(other, range(50))).any()


def test_tight_strips_begin_a_pixel_further_each_however_far_they_overlap() -> None:
    recipe = recipe_for(seed=1, length=5, crop="tight", min_gap=-19, width=160)
    ink = np.array([[[3, 0, 12, 28], [5, 0, 2, 28], [9, 0, 19, 28], [0, 0, 0, 0], [7, 0, 25, 28]]], dtype=np.int32)
    gaps = np.full((1, 4), -19, dtype=np.int64)
    x, _ = placement.left_edges(recipe, ink, np.array([5], dtype=np.int32), gaps, range(1))
    assert (x + ink[:, :, 0]).tolist() == [[0, 1, 2, 3, 4]]
