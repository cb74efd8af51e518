"""Finding glyphs by their ink: all of them where their ink is apart, the right ones or none where it overlaps."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from depth import slow
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import CheckError, RequestError
from mnist_seq_cli.mnist.bank import Bank, Source, load
from mnist_seq_cli.reading import ink_search
from mnist_seq_cli.reading.exact import Reader, Reading
from mnist_seq_cli.reading.ink_search import DeadEnd, Finder, Spot

APART: dict[str, dict[str, Any]] = {
    "paper on all sides": {"margin": 5, "max_gap": 3},
    "a higher canvas": {"height": 40},
    "a larger canvas": {"width": 180, "height": 40, "align": "random"},
    "up and down": {"jitter_y": 5, "max_gap": 4},
    "up and down on a page": {"height": 64, "jitter_y": -1, "align": "center", "width": 200},
    "sideways": {"jitter_x": 3, "min_gap": 6},
    "by ink": {"crop": "tight", "min_gap": 1, "max_gap": 9},
    "ink that touches": {"crop": "tight"},
    "as wide as the strip": {"crop": "tight", "max_gap": 5, "width": "fit", "margin": 2},
    "boxes that overlap": {"min_gap": -5, "max_gap": 2},
}


@lru_cache
def reader(source: str) -> Reader:
    return Reader(load(Source(source)))


@lru_cache
def finder(source: str) -> Finder:
    return Finder(load(Source(source)))


def bank_of(*glyphs: Any) -> Bank:
    """A bank of glyphs given by their values, one row or a list of rows each, of the digits 0, 1, 2 and so on."""
    images = np.array([np.atleast_2d(glyph) for glyph in glyphs], dtype=np.uint8)
    return Bank([images], (np.arange(len(images)) % 10).astype(np.uint8), identity="ours", first_id=100)


def painted(glyphs: NDArray[np.uint8], spots: list[Spot], height: int, width: int) -> NDArray[np.uint8]:
    """Ink 255 on paper 0: glyphs laid on one another, pixel by pixel."""
    strip = np.zeros((height, width), dtype=np.uint8)
    for x, y, place in spots:
        for (row, column), value in np.ndenumerate(glyphs[place]):
            if 0 <= y + row < height and 0 <= x + column < width:
                strip[y + row, x + column] = max(strip[y + row, x + column], value)
    return strip


def truths(batch: Batch) -> list[tuple[tuple[int, ...], ...]]:
    """Digits, glyphs, left and top edges of the samples of a batch."""
    values = (batch.digits, batch.glyphs, batch.x, batch.y)
    return [
        tuple(tuple(value[row, : batch.lengths[row]].tolist()) for value in values) for row in range(len(batch.digits))
    ]


def told(result: Reading | CheckError) -> Any:
    if isinstance(result, CheckError):
        return result
    return result.digits, result.glyphs, result.x, result.y


def images_of(batch: Batch) -> list[NDArray[np.uint8]]:
    return [image[:, :width] for image, width in zip(batch.images, batch.widths.tolist(), strict=True)]


@pytest.mark.parametrize("invert", [False, *slow([True])], ids=["black on white", "white on black"])
@pytest.mark.parametrize("layout", APART.values(), ids=APART.keys())
def test_strips_whose_glyphs_are_apart_read_back(layout: dict[str, Any], invert: bool) -> None:
    bank = load(Source("all"))
    recipe = recipe_for(seed=1, length=((2, 1), (5, 1)), invert=invert, **bank.facts._asdict(), **layout)
    batch = compose(recipe, bank, 0, 60)
    images = images_of(batch)
    assert [told(reader("all").read(image)) for image in images] == truths(batch)
    assert [told(next(reader("all").read_all(image[None]))) for image in images] == truths(batch)
    if len({image.shape for image in images}) == 1:
        assert list(map(told, reader("all").read_all(batch.images))) == truths(batch)
        assert {reading.inverted for reading in reader("all").read_all(batch.images)} == {invert}  # type: ignore[union-attr]


@given(
    seed=st.integers(0, 2**64 - 1),
    length=st.integers(1, 7),
    crop=st.sampled_from(["box", "tight"]),
    gaps=st.tuples(st.integers(-9, 30), st.integers(-9, 30)).map(sorted),
    spacing=st.sampled_from(["equal", "random"]),
    larger=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 60)),
    align=st.sampled_from(["left", "center", "right", "random"]),
    margin=st.integers(0, 9),
    jitter_x=st.integers(0, 4),
    jitter_y=st.integers(-1, 9),
    invert=st.booleans(),
    source=st.sampled_from(["train", "test"]),
    first=st.integers(0, 10**9),
)
def test_samples_of_any_layout_read_back_or_not_at_all(
    seed: int, length: int, gaps: list[int], larger: Any, source: str, first: int, **layout: Any
) -> None:
    """Where a gap and jitter leave ink apart, all of them; where ink may overlap, what is read is right."""
    bank = load(Source(source))
    asked = {"length": length, "min_gap": gaps[0], "max_gap": gaps[1], **bank.facts._asdict(), **layout}
    try:
        plain = recipe_for(seed=seed, **asked)
        if larger is not None:
            width, height = plain.width + larger[0], plain.height + larger[1]
            plain = recipe_for(seed=seed, **asked | {"width": width, "height": height, "spacing": "random"})
    except RequestError:
        return
    batch = compose(plain, bank, first, first + 5)
    apart = gaps[0] - 2 * layout["jitter_x"] >= (1 if layout["crop"] == "tight" else 0)
    for image, truth in zip(batch.images, truths(batch), strict=True):
        try:
            assert told(reader(source).read(image)) == truth
        except CheckError:
            assert not apart


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    count=st.integers(1, 6),
    dense=st.booleans(),
    step=st.integers(-3, 4),
)
def test_what_is_found_gives_the_strip_and_nothing_is_found_in_vain(
    seed: int, height: int, width: int, count: int, dense: bool, step: int
) -> None:
    rng = np.random.default_rng(seed)
    glyphs = rng.integers(1, 256, (count, height, width)).astype(np.uint8)
    if not dense:
        glyphs = np.where(glyphs < 128, 0, glyphs // 100).astype(np.uint8)
    chosen = rng.integers(0, count, 4).tolist()
    spots = [
        Spot(3 + number * max(1, width + step), int(rng.integers(-1, 4)), place) for number, place in enumerate(chosen)
    ]
    strip = painted(glyphs, spots, height + 3, 6 + 4 * (width + max(step, 0)))
    blank = np.zeros_like(strip)
    found, nothing = Finder(bank_of(*glyphs)).find(np.stack([strip, blank]))
    assert nothing == DeadEnd(0, None)
    if isinstance(found, DeadEnd):
        assert (found.column is None) == (not strip.any())
        return
    assert found == sorted(found, key=lambda spot: spot.x)
    np.testing.assert_array_equal(painted(glyphs, found, *strip.shape), strip)
    for spot in found:
        others = [other for other in found if other != spot]
        assert (painted(glyphs, others, *strip.shape) != strip).any()


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 9), width=st.integers(1, 9), gap=st.integers(1, 3))
def test_glyphs_of_any_size_are_found_wherever_they_stand(seed: int, height: int, width: int, gap: int) -> None:
    rng = np.random.default_rng(seed)
    glyphs = rng.integers(1, 256, (5, height, width)).astype(np.uint8)
    glyphs[:, 0, 0] = np.arange(1, 6) * 40  # no two are alike
    spots = [Spot(2 + number * (width + gap), int(rng.integers(0, 8)), number) for number in range(5)]
    strip = painted(glyphs, spots, height + 8, 2 + 5 * (width + gap))
    assert Finder(bank_of(*glyphs)).find(strip[None]) == [spots]


def test_ink_that_no_glyph_gives_is_placed() -> None:
    bank = load(Source("train"))
    recipe = recipe_for(seed=2, length=3, min_gap=4, margin=3)
    batch = compose(recipe, bank, 0, 3)
    ink = np.invert(batch.images)
    right = batch.boxes[:, 1, 0] + batch.boxes[:, 1, 2]
    for row, column in enumerate((0, right[1], ink.shape[2] - 1)):
        ink[row, 1, column] = 9
    assert finder("train").find(ink) == [DeadEnd(0, 0), DeadEnd(2, int(right[1])), DeadEnd(3, ink.shape[2] - 1)]
    with pytest.raises(CheckError, match=r"^from column 0 on, .* source train; 0 digits were read before it"):
        reader("train").read(np.invert(ink[0]))


def test_of_glyphs_with_the_same_ink_the_lowest_id_is_found() -> None:
    bank = bank_of([0, 5, 6, 0], [5, 6, 0, 0], [0, 0, 5, 6], [5, 6, 7, 0])
    found = Reader(bank).read(np.invert(np.array([[0] * 9, [5, 6, 0, 0, 5, 6, 7, 0, 0]], dtype=np.uint8)))
    assert (found.glyphs, found.x, found.y) == ((100, 103), (-1, 4), (1, 1))


def test_a_glyph_that_is_a_part_of_another_is_not_read_into_it() -> None:
    bank = bank_of([0, 9, 0], [7, 9, 8])
    found = Finder(bank).find(np.array([[[0, 0, 7, 9, 8, 0, 0, 9, 0]]], dtype=np.uint8))
    assert found == [[Spot(2, 0, 1), Spot(6, 0, 0)]]


def test_glyphs_that_could_replace_each_other_are_not_read() -> None:
    bank = bank_of([1, 2, 0], [0, 2, 1])
    assert Finder(bank).find(np.array([[[1, 2, 1, 0, 0, 0]]], dtype=np.uint8)) == [[Spot(0, 0, 0), Spot(0, 0, 1)]]
    with pytest.raises(CheckError, match="lie on each other"):
        Reader(bank).read(np.array([[255, 254, 253, 254, 255, 255]], dtype=np.uint8))
    bank = bank_of([3, 2, 0, 0], [0, 2, 4, 0], [3, 2, 4, 0])
    (found,) = Finder(bank).find(np.array([[[3, 2, 4, 0]]], dtype=np.uint8))
    assert isinstance(found, DeadEnd)


def test_an_order_that_cannot_be_seen_is_not_guessed() -> None:
    """The box of the first glyph begins further left, its ink further right."""
    bank = bank_of([0, 0, 0, 7, 8, 9], [7, 6, 0, 0, 0, 0])
    assert Finder(bank).find(np.array([[[0, 7, 6, 7, 8, 9, 0]]], dtype=np.uint8)) == [[Spot(0, 0, 0), Spot(1, 0, 1)]]
    with pytest.raises(CheckError, match="glyphs lie on each other, and their order cannot be seen; let them"):
        Reader(bank).read(np.invert(np.array([[0, 7, 6, 7, 8, 9, 0]], dtype=np.uint8)))


def test_glyphs_whose_middles_are_alike_are_told_apart_up_to_a_number() -> None:
    for count in (ink_search._ALIKE, ink_search._ALIKE + 1):
        glyphs = [[number + 1, 5, 5, 0] for number in range(count)]
        (found,) = Finder(bank_of(*glyphs)).find(np.array([[[0, 0, 3, 5, 5, 0, 0]]], dtype=np.uint8))
        assert found == ([Spot(2, 0, 2)] if count == ink_search._ALIKE else DeadEnd(0, 2))


def test_almost_every_glyph_of_mnist_is_told_apart() -> None:
    bank = load(Source("all"))
    alone = np.pad(bank.images(np.arange(0, 70_000, 7)), ((0, 0), (1, 3), (2, 1)))
    found = [spots for start in range(0, 10_000, 500) for spots in finder("all").find(alone[start : start + 500])]
    wrong = [number for number, spots in enumerate(found) if spots != [Spot(2, 1, 7 * number)]]
    assert len(wrong) <= 5


def test_what_has_no_ink_or_is_too_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Finder(bank_of([0, 0])).find(np.array([[[0, 9]]], dtype=np.uint8)) == [DeadEnd(0, 1)]
    for shape in ((2, 0, 5), (2, 5, 0), (2, 5, 5)):
        assert finder("train").find(np.zeros(shape, dtype=np.uint8)) == [DeadEnd(0, None)] * 2
    batch = compose(recipe_for(seed=3, length=2, margin=2), load(Source("train")), 0, 2)
    assert all(isinstance(spots, list) for spots in finder("train").find(np.invert(batch.images)))
    monkeypatch.setattr(ink_search, "MAX_PIXELS", batch.images.size - 1)
    assert all(isinstance(spots, DeadEnd) for spots in finder("train").find(np.invert(batch.images)))


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = compose(recipe_for(seed=4, length=4, margin=2, source="test"), load(Source("test")), 0, 20)
    expected = finder("test").find(np.invert(batch.images))
    monkeypatch.setattr(ink_search, "_BLOCK_BYTES", 784 * 3)
    assert Finder(load(Source("test"))).find(np.invert(batch.images)) == expected
