"""How strips are laid out and how they look: every option by what it means, and any of them together."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from forms import UNLIKE_FORMATS, form
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli.main import run
from mnist_seq_cli.engine.batch import ARRAYS, Batch
from mnist_seq_cli.engine.compose import annotate, compose
from mnist_seq_cli.errors import MnistseqError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.recipe.parts.appearance import RANGE_UNITS
from mnist_seq_cli.recipe.parts.placement import FULL
from mnist_seq_cli.recipe.recipe import Recipe

BANK = load(Source("train"))


def made(first: int = 0, stop: int = 200, **options: Any) -> Batch:
    return compose(recipe_for(**{"seed": 3, "length": 4, **options}), BANK, first, stop)


def ink_of(images: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """Where the ink of each image is, as a slow look finds it: x, y, width, height."""
    found = []
    for image in images:
        rows, columns = np.nonzero(image != 255)
        found.append((columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1))
    return [tuple(map(int, box)) for box in found]


def painted(recipe: Recipe, batch: Batch) -> NDArray[np.uint8]:
    """Paint undistorted strips slowly from their truth: each glyph at its place, the darker pixel on top."""
    canvas = np.full((len(batch), recipe.height, recipe.width), 255, dtype=np.uint8)
    for image, glyphs, x, y in zip(canvas, batch.glyphs, batch.x.tolist(), batch.y.tolist(), strict=True):
        for glyph, left, top in zip(glyphs, x, y, strict=True):
            if glyph < 0:
                continue
            for row, line in enumerate(255 - BANK.images(np.array([glyph]))[0]):
                for column, value in enumerate(line.tolist()):
                    if 0 <= left + column < recipe.width and 0 <= top + row < recipe.height:
                        image[top + row, left + column] = min(image[top + row, left + column], value)
                    else:
                        assert value == 255, "ink is lost"
    return canvas


# Gaps


def test_glyphs_may_overlap_and_the_darker_ink_is_seen() -> None:
    recipe = recipe_for(seed=3, length=4, min_gap=-12, max_gap=-4)
    assert (recipe.spacing, recipe.width) == ("random", 4 * 28 - 3 * 4)
    batch = compose(recipe, BANK, 0, 40)
    gaps = np.diff(batch.x) - 28
    assert set(gaps.reshape(-1).tolist()) == set(range(-12, -3))
    np.testing.assert_array_equal(batch.sampled["gaps"], gaps)
    np.testing.assert_array_equal(batch.images, painted(recipe, batch))


def test_the_rule_of_the_width_gives_overlaps_too() -> None:
    recipe = recipe_for(seed=3, length=3, min_gap=-8, width=68)
    assert (recipe.spacing, recipe.min_gap, recipe.max_gap) == ("equal", -8, -8)
    with pytest.raises(RequestError, match="the gap would be -8 px, and at least 0 px was asked for"):
        recipe_for(seed=3, length=3, width=68)


def test_glyphs_may_stand_at_one_place() -> None:
    recipe = recipe_for(seed=3, length=2, min_gap=-28, max_gap=-28)
    assert recipe.width == 28
    batch = compose(recipe, BANK, 0, 30)
    assert (batch.x == 0).all()
    np.testing.assert_array_equal(batch.images, painted(recipe, batch))


@pytest.mark.parametrize(("low", "high"), [(0, 0), (2, 6), (-3, 5)])
def test_gaps_of_a_tight_crop_are_between_ink_and_ink(low: int, high: int) -> None:
    recipe = recipe_for(seed=3, length=5, crop="tight", min_gap=low, max_gap=high)
    batch = compose(recipe, BANK, 0, 60)
    left, width = batch.boxes[:, :, 0], batch.boxes[:, :, 2]
    gaps = left[:, 1:] - (left + width)[:, :-1]
    assert (left[:, 0] == 0).all()
    np.testing.assert_array_equal(gaps, np.maximum(batch.sampled.get("gaps", np.int64(low)), 1 - width[:, :-1]))
    np.testing.assert_array_equal(batch.images, painted(recipe, batch))
    assert recipe.width == 5 * 20 + 4 * high


# The canvas


@pytest.mark.parametrize("align", ["left", "center", "right", "random"])
@pytest.mark.parametrize("crop", ["box", "tight"])
@pytest.mark.parametrize("hand", [{}, {"slant": (-8, 8), "scale": (70, 90)}], ids=["plain", "hand"])
def test_a_strip_stands_on_a_wider_canvas_as_it_is_told(align: Any, crop: Any, hand: dict[str, Any]) -> None:
    recipe = recipe_for(seed=3, length=((2, 1), (4, 1)), width=200, align=align, crop=crop, max_gap=4, margin=5, **hand)
    batch = compose(recipe, BANK, 0, 300)
    ends = np.where(batch.glyphs >= 0, batch.x + 28, 0).max(axis=1)
    starts = batch.x[:, 0]
    if crop == "tight":
        starts = batch.boxes[:, 0, 0]
        ends = np.where(batch.glyphs >= 0, batch.boxes[:, :, 0] + batch.boxes[:, :, 2], 0).max(axis=1)
    before, after = starts - 5, 200 - 5 - ends
    assert (before >= 0).all()
    assert (after >= 0).all()
    if align == "left":
        assert (before == 0).all()
    elif align == "right":
        assert (after == 0).all()
    elif align == "center":
        assert set((after - before).tolist()) <= {0, 1}
    else:
        assert len(set(before.tolist())) > 30
        share = before / (before + after)
        assert 0.4 < share.mean() < 0.6


def test_height_and_margin_are_paper() -> None:
    batch = made(height=60, margin=6)
    assert batch.images.shape == (200, 60, 4 * 28 + 12)
    assert (batch.y == 6 + (60 - 12 - 28) // 2).all()
    assert (batch.images[:, :16] == 255).all()
    assert (batch.images[:, :, :6] == 255).all()
    np.testing.assert_array_equal(batch.images[:, 16:44, 6:-6], made().images)


def test_digits_jump_up_and_down_and_to_the_sides() -> None:
    batch = made(0, 2000, jitter_x=3, jitter_y=5, min_gap=6)
    assert batch.images.shape[1:] == (28 + 10, 4 * 28 + 3 * 6 + 6)
    places = np.arange(4) * 34 + 3
    assert set((batch.x - places).reshape(-1).tolist()) == set(range(-3, 4))
    assert set((batch.y - 5).reshape(-1).tolist()) == set(range(-5, 6))
    full = made(0, 2000, height=40, jitter_y=FULL, margin=1)
    counts = np.bincount(full.y.reshape(-1) - 1, minlength=11)
    assert counts.shape == (11,)
    expected = counts.sum() / 11
    assert ((counts - expected) ** 2 / expected).sum() < 29.6  # chi-square, 10 degrees of freedom, p = 0.001


def test_images_may_be_as_wide_as_their_strips() -> None:
    recipe = recipe_for(seed=3, length=((1, 1), (6, 1)), width="fit", max_gap=5, margin=2)
    batch = compose(recipe, BANK, 0, 100)
    ends = np.where(batch.glyphs >= 0, batch.x + 28, 0).max(axis=1)
    np.testing.assert_array_equal(batch.widths, ends + 2)
    for image, width in zip(batch.images, batch.widths.tolist(), strict=True):
        assert (image[:, width:] == 255).all()
    data = SequenceDataset.from_recipe(recipe)
    assert [data[number].image.shape for number in range(20)] == [(32, int(width)) for width in batch.widths[:20]]


def test_an_image_as_wide_as_its_strip_has_room_for_a_glyph_that_grew() -> None:
    recipe = recipe_for(seed=0, length=((1, 9), (2, 1)), width="fit", scale=(50, 160), rotate=(0, 40))
    batch = compose(recipe, BANK, 0, 400)
    ends = (batch.boxes[:, :, 0] + batch.boxes[:, :, 2]).max(axis=1)
    single = batch.lengths == 1
    assert (ends <= batch.widths).all()
    np.testing.assert_array_equal(batch.widths[single], np.maximum(28, batch.boxes[single, 0, 2]))
    assert (batch.widths[single] > 28).any()


def test_an_image_of_glyphs_without_ink_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(idx.encode(np.zeros((10, 6, 6), dtype=np.uint8)))
    (tmp_path / "l").write_bytes(idx.encode(np.arange(10, dtype=np.uint8)))
    own: dict[str, Any] = {"source": tmp_path / "i", "source_labels": tmp_path / "l"}
    data = SequenceDataset(length="1-2", seed=1, crop="tight", min_gap=0, width="fit", samples=30, **own)
    assert {sample.image.shape for sample in data} == {(6, 1)}


@pytest.mark.parametrize("width", [None, "fit", 300])
@pytest.mark.parametrize("crop", ["box", "tight"])
def test_margins_are_kept_free_of_ink_that_grew_or_leans(crop: Any, width: Any) -> None:
    looks: dict[str, Any] = {"slant": (0, 40), "rotate": (-30, 30), "scale": (60, 180), "stroke": (0, 2)}
    canvas = {"width": width} if width != 300 else {"width": width, "align": "right"}
    recipe = recipe_for(seed=1, length=((1, 1), (3, 1)), crop=crop, margin=6, max_gap=3, **looks, **canvas)
    batch = compose(recipe, BANK, 0, 200)
    inside = batch.images.copy()
    for image, size in zip(inside, batch.widths.tolist(), strict=True):
        image[6:-6, 6 : size - 6] = 255
    assert (inside == 255).all()
    shown = batch.glyphs >= 0
    for axis, sizes in ((0, batch.widths[:, None]), (1, recipe.height)):
        starts, ends = batch.boxes[:, :, axis], batch.boxes[:, :, axis] + batch.boxes[:, :, axis + 2]
        assert starts[shown].min() >= 6
        assert (np.where(shown, ends, 0) <= sizes - 6).all()


@pytest.mark.parametrize("looks", [{}, {"scale": (30, 60)}, {"width": 300, "align": "right"}, {"width": "fit"}])
def test_tight_digits_that_overlap_as_far_as_they_may_are_all_on_the_canvas(looks: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        recipe_for(seed=1, length=6, crop="tight", min_gap=-1_000, **looks)
    lowest = int(re.findall("it has to be (-[0-9]+) to", str(caught.value))[0])
    recipe = recipe_for(seed=1, length=6, crop="tight", min_gap=lowest, **looks)
    batch = compose(recipe, BANK, 0, 200)
    assert batch.boxes[:, :, 0].min() >= 0
    assert ((batch.boxes[:, :, 0] + batch.boxes[:, :, 2]).max(axis=1) <= batch.widths).all()
    with pytest.raises(RequestError, match="`min_gap` is"):
        replace(recipe, min_gap=lowest - 1)


# The look of it


@pytest.mark.parametrize("value", ["-20-20", [-20, 20], (-20, 20)])
def test_a_range_may_be_given_in_several_ways(value: Any) -> None:
    expected = recipe_for(seed=1, slant=(-20, 20), contrast=(50, 50), height=60, jitter_y=FULL)
    assert recipe_for(seed=1, slant=value, contrast=50, height=60, jitter_y="full") == expected
    data = SequenceDataset(seed=1, slant=value, contrast="50", height=60, jitter_y="full")
    assert data.recipe == expected
    with pytest.raises(RequestError, match=re.escape("`slant` is [0, 0]; it is (from, to)")):
        replace(expected, slant=[0, 0])


@pytest.mark.parametrize("value", [None, 1.5, (1,), (1, 2, 3), (0, 1.5), True])
def test_what_is_no_range_is_refused(value: Any) -> None:
    with pytest.raises(RequestError, match=r"`slant` is .*; it is a whole number, two of them, or text like -10-10"):
        recipe_for(seed=1, slant=value)


@pytest.mark.parametrize("name", ["slant", "rotate", "scale", "stroke"])
def test_every_glyph_has_a_shape_of_its_own_and_what_was_drawn_is_told(name: str) -> None:
    low, high = {"slant": (-20, 20), "rotate": (-15, 15), "scale": (70, 130), "stroke": (-1, 1)}[name]
    batch = made(0, 1500, **{name: (low, high)})
    drawn = batch.sampled[name]
    assert drawn.shape == (1500, 4)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert abs(drawn.mean() - (low + high) / 2) < (high - low) / 40
    counts = np.histogram(drawn, bins=3 if name == "stroke" else 10, range=(low, high))[0]
    expected = counts.sum() / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < 29.6
    np.testing.assert_array_equal(batch.glyphs, made(0, 1500).glyphs)


def test_what_was_drawn_is_what_is_seen() -> None:
    plain = made(0, 400, length=1, scale=(100, 100))
    for name, share in (("scale", (50, 50)), ("scale", (200, 200))):
        boxes = made(0, 400, length=1, **{name: share}).boxes[:, 0, 2:]
        expected = plain.boxes[:, 0, 2:] * share[0] / 100
        assert np.abs(boxes - expected).max() <= 3
    right, left = (made(0, 400, length=1, slant=(angle, angle)) for angle in (25, -25))

    def leaning(batch: Batch) -> float:
        """Return how much further right the upper half of the ink is than the lower one, on average."""
        found = []
        for image, (x, y, width, height) in zip(
            255 - batch.images.astype(int), batch.boxes[:, 0].tolist(), strict=True
        ):
            ink = image[y : y + height, x : x + width]
            halves = ink[: height // 2].sum(axis=0), ink[-(height // 2) :].sum(axis=0)
            found.append(np.subtract(*[(half * np.arange(width)).sum() / max(half.sum(), 1) for half in halves]))
        return float(np.mean(found))

    assert leaning(right) > leaning(plain) + 2
    assert leaning(left) < leaning(plain) - 2
    thick, thin = (made(0, 400, length=1, stroke=(step, step)).images for step in (1, -1))
    assert thick.mean() < plain.images.mean() < thin.mean()


@pytest.mark.parametrize(
    "options",
    [
        {"slant": (-30, 30)},
        {"rotate": (-40, 40), "stroke": (0, 2)},
        {"scale": (60, 160), "crop": "tight"},
        {"slant": (5, 20), "rotate": (-10, 10), "scale": (80, 120), "stroke": (-1, 1), "crop": "tight", "max_gap": 3},
    ],
)
def test_boxes_are_where_the_ink_is(options: dict[str, Any]) -> None:
    one = made(0, 300, length=1, **options)
    assert [tuple(box) for box in one.boxes[:, 0].tolist()] == ink_of(one.images)
    batch = made(0, 150, **options)
    left, top = batch.boxes[:, :, 0].min(axis=1), batch.boxes[:, :, 1].min(axis=1)
    right = (batch.boxes[:, :, 0] + batch.boxes[:, :, 2]).max(axis=1)
    bottom = (batch.boxes[:, :, 1] + batch.boxes[:, :, 3]).max(axis=1)
    together = np.stack([left, top, right - left, bottom - top], axis=1)
    assert [tuple(box) for box in together.tolist()] == ink_of(batch.images)


def test_contrast_is_of_the_ink_alone() -> None:
    plain, pale = made(), made(contrast=(40, 80))
    share = pale.sampled["contrast"]
    assert (share.min(), share.max()) == (40, 80)
    expected = 255 - ((255 - plain.images.astype(int)) * share[:, None, None] + 50) // 100
    np.testing.assert_array_equal(pale.images, expected)


@pytest.mark.parametrize(("paper", "darkest"), [("gradient", 96), ("grain", 48)])
def test_paper_darkens_what_is_on_it(paper: Any, darkest: int) -> None:
    plain, other = made(height=40), made(height=40, paper=paper)
    assert (other.images <= plain.images).all()
    blank = other.images[:, :6].astype(int)
    assert blank.min() >= 255 - darkest - 1
    assert len(np.unique(blank)) > darkest * 0.8
    if paper == "gradient":
        assert np.abs(np.diff(blank, axis=2)).max() <= 2
    assert (other.images[plain.images == 0] == 0).all()


def test_noise_changes_every_pixel_a_little() -> None:
    plain, noisy = made(), made(noise=10)
    change = noisy.images.astype(int) - plain.images
    inside = (plain.images > 20) & (plain.images < 235)
    assert set(change[inside].tolist()) == set(range(-10, 11))
    assert np.abs(change).max() == 10
    assert abs(change[inside].mean()) < 0.3


def test_masks_tell_which_glyph_a_pixel_is_of() -> None:
    for options in ({}, {"min_gap": -14, "max_gap": -6}, {"rotate": (-20, 20), "crop": "tight", "min_gap": -4}):
        recipe = recipe_for(seed=3, length=4, **options)
        batch = compose(recipe, BANK, 0, 60, masks=True)
        assert batch.masks is not None
        assert ((batch.masks > 0) == (batch.images < 255)).all()
        for mask, boxes in zip(batch.masks, batch.boxes.tolist(), strict=True):
            for position, (x, y, width, height) in enumerate(boxes, 1):
                rows, columns = np.nonzero(mask == position)
                assert len(rows)
                assert (columns >= x).all()
                assert (columns < x + width).all()
                assert (rows >= y).all()
                assert (rows < y + height).all()
        np.testing.assert_array_equal(batch.images, compose(recipe, BANK, 0, 60).images)


# What cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 20}, "`height=20` does not fit digits that take 28 px; `height=28` would do"),
        ({"height": 30, "margin": 2}, "`height=30` does not fit digits that take 32 px; `height=32` would do"),
        ({"scale": (100, 200)}, None),
        ({"scale": (100, 200), "height": 30}, "`height=30` does not fit digits that take 44 px; `height=44` would do"),
        ({"length": 1, "scale": (300, 300), "width": 30, "align": "left"}, "`width=65` would do"),
        ({"width": 100, "align": "center"}, "4 digits can be 112 px wide, and `width` is 100; `width=112` would do"),
        ({"width": 120, "margin": 5}, r"\(120 - 10 - 4\*28\) / 3"),
        ({"jitter_y": FULL}, "`jitter_y=full` is over the whole height, which is not given; give `height`"),
        ({"slant": (-60, 0)}, "`slant` is -60; it has to be -45 to 45"),
        ({"rotate": (10, -10)}, "`rotate` is -10"),
        ({"paper": "lined"}, "`paper` is 'lined'; it is one of plain, gradient, grain, or a picture that is given"),
        ({"align": "middle"}, "`align` is 'middle'"),
        ({"noise": 300}, "`noise` is 300"),
        ({"width": "fit", "align": "right"}, "`width=fit` leaves no room to align in"),
        ({"height": 30_000, "width": 1_000, "align": "left"}, "30000 px are too many|1000×30000 px are too many"),
        ({"margin": -1}, "`margin` is -1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_do(options: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert recipe_for(**{"seed": 1, "length": 4, **options}).height == 44
        return
    with pytest.raises(RequestError, match=message):
        recipe_for(**{"seed": 1, "length": 4, **options})


# All together


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**32)),
        "length": draw(st.sampled_from([1, 3, ((1, 1), (4, 2))])),
    }
    low = draw(st.integers(-20, 10))
    wanted |= {"min_gap": low, "max_gap": low + draw(st.integers(0, 8))}
    choices: dict[str, st.SearchStrategy[Any]] = {
        "crop": st.just("tight"),
        "align": st.sampled_from(["left", "center", "right", "random"]),
        "margin": st.integers(0, 9),
        "jitter_x": st.integers(0, 6),
        "jitter_y": st.integers(0, 6),
        "slant": st.tuples(st.integers(-30, 0), st.integers(0, 30)),
        "rotate": st.tuples(st.integers(-40, 0), st.integers(0, 40)),
        "scale": st.tuples(st.integers(50, 100), st.integers(100, 180)),
        "stroke": st.tuples(st.integers(-2, 0), st.integers(0, 2)),
        "contrast": st.tuples(st.integers(30, 60), st.integers(60, 100)),
        "paper": st.sampled_from(["gradient", "grain"]),
        "noise": st.integers(1, 40),
        "invert": st.booleans(),
        "width": st.just("fit"),
    }
    for name in draw(st.sets(st.sampled_from(sorted(choices)))):
        wanted[name] = draw(choices[name])
    if wanted.get("width") == "fit":
        wanted.pop("align", None)
    if "crop" in wanted:  # tight glyphs begin a pixel further each
        wanted["min_gap"] = max(wanted["min_gap"], -19)
        wanted["max_gap"] = max(wanted["max_gap"], -19)
    return wanted


@given(wanted=options(), first=st.integers(0, 10**7), cut=st.integers(0, 9))
def test_any_options_together_show_what_they_say_in_any_batch(wanted: dict[str, Any], first: int, cut: int) -> None:
    recipe = recipe_for(**wanted)
    whole = compose(recipe, BANK, first, first + 9)
    parts = [compose(recipe, BANK, first, first + cut), compose(recipe, BANK, first + cut, first + 9)]
    shown = annotate(recipe, BANK, first, first + 9)
    for name in (*ARRAYS, "images"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name), err_msg=name)
        if name != "images":
            np.testing.assert_array_equal(getattr(shown, name), getattr(whole, name), err_msg=name)
    present = whole.glyphs >= 0
    assert (BANK.labels[whole.glyphs[present]] == whole.digits[present]).all()
    assert (present.sum(axis=1) == whole.lengths).all()
    x, y, width, height = np.moveaxis(whole.boxes, 2, 0)
    assert ((x >= 0) & (y >= 0) & (x + width <= whole.widths[:, None]) & (y + height <= recipe.height))[present].all()
    assert (width[present] > 0).all()
    if not recipe.has_effects and not recipe.is_warped:
        expected = painted(recipe, whole)
        np.testing.assert_array_equal(whole.images, 255 - expected if recipe.invert else expected)
    elif not recipe.has_effects:
        ink = whole.images if recipe.invert else 255 - whole.images
        covered = np.zeros(ink.shape, dtype=bool)
        for image, boxes, here in zip(covered, whole.boxes.tolist(), present.tolist(), strict=True):
            for box, there in zip(boxes, here, strict=True):
                if there:
                    left, top, wide, tall = box
                    image[top : top + tall, left : left + wide] = True
        assert not ink[~covered].any()
    masked = compose(recipe, BANK, first, first + 9, masks=True)
    assert masked.masks is not None
    assert whole.first_difference(masked) is None
    bare = replace(recipe, contrast=(100, 100), paper="plain", noise=0, invert=True)
    np.testing.assert_array_equal(masked.masks > 0, compose(bare, BANK, first, first + 9).images > 0)
    for mask, boxes in zip(masked.masks, whole.boxes.tolist(), strict=True):
        for position in set(mask[mask > 0].tolist()):
            left, top, wide, tall = boxes[position - 1]
            inside = mask[top : top + tall, left : left + wide] == position
            assert inside.sum() == (mask == position).sum()
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe


def test_an_option_leaves_all_that_it_does_not_change() -> None:
    """Each choice has its own purpose of random words."""
    plain = made(0, 50, height=60, align="left", width=160)
    for more in (
        {"jitter_y": 5},
        {"jitter_x": 4},
        {"noise": 5},
        {"paper": "grain"},
        {"contrast": (50, 100)},
        {"slant": (0, 9)},
    ):
        other = made(0, 50, height=60, align="left", width=160, **more)
        np.testing.assert_array_equal(other.digits, plain.digits)
        np.testing.assert_array_equal(other.glyphs, plain.glyphs)
    assert set(RANGE_UNITS) == {"slant", "rotate", "scale", "stroke", "contrast"}


# On disk

LOOKS = [
    *("--len", "2-4", "--min", "-4", "--max", "3", "--crop", "tight", "--height", "60", "--width", "200"),
    *("--align", "random", "--margin", "2", "--jitter-x", "2", "--jitter-y", "full", "--slant", "-20-20"),
    *("--rotate", "-10-10", "--scale", "80-120", "--stroke", "-1-1", "--contrast", "60-100", "--paper", "grain"),
    *("--noise", "9", "--seed", "5"),
]


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_every_format_holds_them(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["dataset", "-n", "40", "--shard-size", "15", *LOOKS, *form(name), "-o", str(out)]) == 0
    assert run(["inspect", str(out), "--verify", "--regenerate", "3"]) == 0
    stored = open_dataset(out)
    batch = stored.batch(0, 40)
    assert batch.first_difference(compose(stored.recipe, BANK, 0, 40)) is None
    if name == "png":
        row = json.loads((out / "metadata.jsonl").read_text().splitlines()[0])
        assert list(row) == [
            *(
                "file_name",
                "text",
                "glyphs",
                "x",
                "y",
                "boxes",
                "gaps",
                "slant",
                "rotate",
                "scale",
                "stroke",
                "contrast",
            )
        ]


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_images_of_their_own_width_go_where_there_is_room_for_them(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["dataset", "-n", "30", "--len", "1-5", "--width", "fit", "--max", "6", "--seed", "2", *form(name)]
    code = run([*command, "-o", str(out)])
    if name in ("npz", "idx"):
        assert code == 2
        assert f"--format {name} takes images of one width only; take png or webdataset" in capfd.readouterr().err
        assert not out.exists()
        return
    assert code == 0
    assert run(["inspect", str(out), "--verify", "--regenerate", "1"]) == 0
    stored = open_dataset(out)
    assert len({stored[number].image.shape for number in range(30)}) > 3


def test_the_command_line_and_python_say_the_same(tmp_path: Path) -> None:
    assert run(["dataset", "-n", "12", *LOOKS, "-o", str(tmp_path / "out")]) == 0
    data = SequenceDataset(
        length="2-4", min_gap=-4, max_gap=3, crop="tight", height=60, width=200, align="random", margin=2, jitter_x=2,
        jitter_y=FULL, slant=(-20, 20), rotate=(-10, 10), scale=(80, 120), stroke=(-1, 1), contrast=(60, 100),
        paper="grain", noise=9, seed=5,
    )  # fmt: skip
    for mine, stored in zip(data.batch(0, 12).images, open_dataset(tmp_path / "out").batch(0, 12).images, strict=True):
        np.testing.assert_array_equal(mine, stored)


def test_generate_takes_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = [part for part in LOOKS if part not in ("--len", "2-4")]
    assert run(["generate", "1-2-3", "4-5", *options]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-2-3.png", "4-5.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slant", "steep"], "--slant is 'steep'; write it like -10-10, 80-120 or 5"),
        (["--scale", "120-80"], "--scale goes from 120 down to 80; the smaller one comes first"),
        (["--jitter-y", "lots"], "--jitter-y is 'lots', which is neither a number of px nor full"),
        (["--width", "wide"], "--width is 'wide', which is neither a number of px nor fit"),
    ],
)
def test_what_is_mistyped_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["dataset", "-n", "5", "--len", "3", *arguments, "-o", str(tmp_path / "out")]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_source_of_ones_own_is_as_large_as_its_ink(tmp_path: Path, own_source: Callable[..., list[str]]) -> None:
    arguments = own_source(height=12, width=10)
    out = tmp_path / "out"
    assert (
        run(["dataset", "-n", "9", "--len", "3", "--crop", "tight", "--rotate", "-9-9", *arguments, "-o", str(out)])
        == 0
    )
    assert run(["inspect", str(out), "--verify"]) == 0


@pytest.fixture
def own_source(tmp_path: Path) -> Callable[..., list[str]]:
    def write(height: int, width: int) -> list[str]:
        from mnist_seq_cli.mnist import idx

        glyphs = np.random.default_rng(2).integers(0, 255, (20, height, width), dtype=np.uint8)
        (tmp_path / "images").write_bytes(idx.encode(glyphs))
        (tmp_path / "labels").write_bytes(idx.encode(np.resize(np.arange(10, dtype=np.uint8), 20)))
        return ["--source", str(tmp_path / "images"), "--source-labels", str(tmp_path / "labels")]

    return write


def test_a_recipe_with_less_ink_than_its_source_is_refused() -> None:
    recipe = Recipe(seed=1, length=2, width=60, height=40, ink_width=5, ink_height=5, rotate=(0, 5))
    with pytest.raises(MnistseqError, match="the recipe is for ink of at most 5×5 px, and the source has 20×20 px"):
        compose(recipe, BANK, 0, 1)
