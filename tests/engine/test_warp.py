"""Warped glyphs, against slow loops, floating-point trigonometry and the pixels themselves."""

import math
from hashlib import sha256

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli.engine.warp import inverse, shape, stroke, warp, windows
from mnist_seq_cli.mnist.bank import Source, ink_boxes, load
from mnist_seq_cli.recipe import warp_bounds
from mnist_seq_cli.recipe.warp_bounds import STEPS, Warp, cell_size

INK = (20, 20)


def glyphs(count: int, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    bank = load(Source("test"))
    ids = 60_000 + np.random.default_rng(seed).integers(0, 10_000, count)
    return bank.images(ids), bank.ink(ids)


def matrices(slant: object, rotate: object, scale: object, count: int) -> NDArray[np.int64]:
    return inverse(
        *(np.broadcast_to(np.asarray(value) * STEPS, count).astype(np.int64) for value in (slant, rotate, scale))
    )


def mapped(
    images: NDArray[np.uint8], boxes: NDArray[np.int32], plan: NDArray[np.int64], cell: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the glyphs in cells of this size, and the offsets of the cells."""
    cells = np.zeros((len(images), *cell), dtype=np.uint8)
    return cells, shape(images, boxes, plan, windows(boxes, plan), cells)


def pasted(cells: NDArray[np.uint8], places: NDArray[np.int32], margin: int = 40) -> NDArray[np.uint8]:
    """Return the cells where they belong: each on a canvas of 28×28 px and a margin."""
    tall, wide = cells.shape[1:]
    canvas = np.zeros((len(cells), 28 + 2 * margin, 28 + 2 * margin), dtype=np.uint8)
    for target, cell, (left, top) in zip(canvas, cells, places.tolist(), strict=True):
        target[margin + top : margin + top + tall, margin + left : margin + left + wide] = cell
    return canvas


def test_angles_have_their_sines_and_tangents() -> None:
    for angle in range(-90 * STEPS, 90 * STEPS + 1, 7):
        radians = math.radians(angle / STEPS)
        assert abs(warp_bounds.sine(angle) / 65536 - math.sin(radians)) < 2e-5
        assert abs(warp_bounds.cosine(angle) / 65536 - math.cos(radians)) < 2e-5
        if abs(angle) <= 45 * STEPS:
            assert abs(warp_bounds.tangent(angle) / 65536 - math.tan(radians)) < 1e-4
    angles = np.arange(-90 * STEPS, 90 * STEPS + 1)
    assert warp_bounds.sine(angles).tolist() == [warp_bounds.sine(angle) for angle in angles.tolist()]


def test_a_hand_that_does_nothing_changes_nothing() -> None:
    images, boxes = glyphs(300)
    cells, places = mapped(images, boxes, matrices(0, 0, 100, 300), cell_size(Warp(), INK))
    np.testing.assert_array_equal(pasted(cells, places)[:, 40:68, 40:68], images)
    assert Warp().is_plain
    assert not Warp(scale=(100, 101)).is_plain


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    images, boxes = glyphs(50)
    for angle, turns in ((90, 1), (-90, -1)):
        plan = Warp(rotate=(angle, angle))
        cells, _ = mapped(images, boxes, matrices(0, angle, 100, 50), cell_size(plan, INK))
        for cell, image, (x, y, width, height) in zip(cells, images, boxes.tolist(), strict=True):
            turned = np.rot90(image[y : y + height, x : x + width], turns).astype(int)
            left, top, wide, tall = ink_boxes(cell[None])[0].tolist()
            found = cell[top : top + tall, left : left + wide].astype(int)
            if (width + height) % 2 == 0:  # else its centre comes to lie between two pixels, and all are mixed
                assert found.shape == turned.shape
                assert np.abs(found - turned).max() <= 1


@given(slant=st.integers(-45, 45), rotate=st.integers(-90, 90), scale=st.integers(50, 200), seed=st.integers(0, 10**6))
def test_a_glyph_is_mapped_as_the_formula_says(slant: int, rotate: int, scale: int, seed: int) -> None:
    """In floating point: scale, shear, turn about the centre of the ink, and mix the four pixels around."""
    images, boxes = glyphs(1, seed)
    cell = cell_size(Warp((slant, slant), (rotate, rotate), (scale, scale)), INK)
    cells, places = mapped(images, boxes, matrices(slant, rotate, scale, 1), cell)
    image, (left, top) = images[0].astype(float), places[0].tolist()
    x, y, width, height = boxes[0].tolist()
    centre_x, centre_y = x + (width - 1) / 2, y + (height - 1) / 2
    angle, shear, size = math.radians(rotate), math.tan(math.radians(slant)), scale / 100

    def at(row: int, column: int) -> float:
        return image[row, column] if 0 <= row < 28 and 0 <= column < 28 else 0.0

    for row in range(0, cell[0], 3):
        for column in range(0, cell[1], 3):
            across, down = left + column - centre_x, top + row - centre_y
            turned_x = across * math.cos(angle) - down * math.sin(angle)
            turned_y = across * math.sin(angle) + down * math.cos(angle)
            from_x, from_y = (turned_x + shear * turned_y) / size + centre_x, turned_y / size + centre_y
            column_before, row_before = math.floor(from_x), math.floor(from_y)
            right, below = from_x - column_before, from_y - row_before
            expected = sum(
                at(row_before + i, column_before + j) * (below if i else 1 - below) * (right if j else 1 - right)
                for i in (0, 1)
                for j in (0, 1)
            )
            assert abs(int(cells[0, row, column]) - expected) <= 4


@pytest.mark.parametrize("scale", [25, 33, 49])
@pytest.mark.parametrize(("slant", "rotate"), [(0, 0), (0, 90), (45, -45), (-30, 20)])
def test_small_digits_keep_their_strokes(slant: int, rotate: int, scale: int) -> None:
    """None of the thinnest digits vanishes, and about as much ink is left as the area says."""
    bank = load(Source("all"))
    sizes = bank.ink(np.arange(70_000))[:, 2:].min(axis=1)
    ids = np.argsort(sizes, kind="stable")[:800]
    plan = Warp((slant, slant), (rotate, rotate), (scale, scale))
    cells, _ = mapped(bank.images(ids), bank.ink(ids), matrices(slant, rotate, scale, 800), cell_size(plan, INK))
    assert cells.any(axis=(1, 2)).all()
    left = cells.sum(axis=(1, 2)) / bank.images(ids).sum(axis=(1, 2)) / (scale / 100) ** 2
    assert abs(left.mean() - 1) < 0.25


@given(
    slant=st.tuples(st.integers(-45, 45), st.integers(-45, 45)).map(sorted).map(tuple),
    rotate=st.tuples(st.integers(-90, 90), st.integers(-90, 90)).map(sorted).map(tuple),
    scale=st.tuples(st.integers(25, 400), st.integers(25, 400)).map(sorted).map(tuple),
    grow=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_no_ink_leaves_its_cell(
    slant: tuple[int, int], rotate: tuple[int, int], scale: tuple[int, int], grow: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    count = 20
    block = np.zeros((count, 28, 28), dtype=np.uint8)
    block[:, 3:23, 5:25] = 255  # the most ink that there can be
    plan = Warp(slant, rotate, scale, (0, grow))
    values = [
        np.where(chance.random(count) < 0.5, chance.choice([low, high], count), chance.integers(low, high + 1, count))
        for low, high in (slant, rotate, scale)
    ]
    cells, _ = mapped(block, ink_boxes(block), matrices(*values, count), cell_size(plan, INK))
    stroke(cells, np.full(count, grow))
    assert not cells[:, [0, -1]].any()
    assert not cells[:, :, [0, -1]].any()


def slow_stroke(cell: list[list[int]], sign: int) -> list[list[int]]:
    height, width = len(cell), len(cell[0])
    result = []
    for row in range(height):
        line = []
        for column in range(width):
            around = [
                cell[r][c]
                for r, c in ((row, column), (row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
                if 0 <= r < height and 0 <= c < width
            ]
            line.append(max(around) if sign > 0 else min(around))
        result.append(line)
    return result


def test_strokes_grow_and_shrink_as_the_slow_loop_says() -> None:
    images, _ = glyphs(60)
    steps = np.resize(np.arange(-3, 4), 60)
    cells = images.copy()
    stroke(cells, steps)
    for before, after, step in zip(images.tolist(), cells.tolist(), steps.tolist(), strict=True):
        expected = before
        for _ in range(abs(step)):
            further = slow_stroke(expected, step)
            expected = further if any(map(any, further)) else expected
        assert after == expected


def test_no_digit_is_thinned_to_nothing() -> None:
    images, _ = glyphs(500)
    cells = images.copy()
    stroke(cells, np.full(500, -3))
    assert cells.any(axis=(1, 2)).all()
    assert (cells <= images).all()


def test_the_size_of_a_block_does_not_show() -> None:
    images, boxes = glyphs(150)
    chance = np.random.default_rng(5)
    values = [chance.integers(low, high, 150) for low, high in ((-20, 21), (-20, 21), (80, 121))]
    plan = matrices(*values, 150)
    cell = cell_size(Warp((-20, 20), (-20, 20), (80, 120)), INK)
    whole, places = mapped(images, boxes, plan, cell)
    for number in (0, 63, 64, 149):
        alone, place = mapped(images[number : number + 1], boxes[number : number + 1], plan[number : number + 1], cell)
        np.testing.assert_array_equal(alone[0], whole[number])
        np.testing.assert_array_equal(place[0], places[number])


@pytest.mark.parametrize("grow", [-2, 1, 3])
def test_stroke_alone_is_stroke_on_glyphs_that_are_mapped_onto_themselves(grow: int) -> None:
    bank, ids = load(Source("test")), 60_000 + np.arange(40, dtype=np.int32)[:, None]
    recipe = recipe_for(seed=1, length=1, stroke=(grow, grow), source="test")
    warped = warp(recipe, bank, ids, bank.ink(ids), range(40))
    images, boxes = bank.images(ids[:, 0]), bank.ink(ids[:, 0])
    cells, places = mapped(images, boxes, matrices(0, 0, 100, 40), cell_size(recipe.warp, INK))
    stroke(cells, np.full(40, grow))
    offsets = np.stack([warped.x[:, 0], warped.y[:, 0]], axis=1)
    np.testing.assert_array_equal(pasted(warped.cells[:, 0], offsets), pasted(cells, places))


@given(slant=st.integers(-45, 45), rotate=st.integers(-90, 90), scale=st.integers(25, 400), seed=st.integers(0, 10**6))
def test_nothing_falls_outside_of_the_window_of_a_glyph(slant: int, rotate: int, scale: int, seed: int) -> None:
    """The ink of each is in its own window, about the middle of the ink that it had; blank and full glyphs, too."""
    images, boxes = glyphs(6, seed)
    images[:2], boxes[0] = 0, 0
    images[1, 4:24, 4:24], boxes[1] = 255, (4, 4, 20, 20)
    plan = matrices(slant, rotate, scale, 6)
    sizes = windows(boxes, plan)
    together, places = mapped(images, boxes, plan, tuple((sizes.max(axis=0) + 40).tolist()))
    ink = ink_boxes(together)
    middles = 2 * (places + ink[:, :2]) + ink[:, 2:] - 2 * boxes[:, :2] - boxes[:, 2:]
    assert (np.abs(middles) + ink[:, 2:] <= sizes[:, ::-1])[1:].all()


def test_shapes_never_change() -> None:
    """A promise, as the golden samples are: the same pixels on every machine, for ever."""
    images, boxes = load(Source("train")).images(np.arange(64)), load(Source("train")).ink(np.arange(64))
    steps = np.arange(64)
    plan = inverse(steps * 90 - 2880, 2880 - steps * 80, (70 + steps) * STEPS)
    cells, _ = mapped(images, boxes, plan, (48, 48))
    stroke(cells, steps % 4 - 2)
    assert sha256(cells.tobytes()).hexdigest() == GOLDEN


GOLDEN = "36633880c5b6aceacfba08227d42def65994687df6677bed4afb10bd7e3fbe04"


@pytest.mark.parametrize(
    ("plan", "size"),
    [
        (Warp(), (23, 23)),
        (Warp(stroke=(-1, 2)), (27, 27)),
        (Warp(scale=(50, 200)), (44, 44)),
        (Warp(rotate=(-90, 90)), (32, 32)),
        (Warp(slant=(-45, 0)), (23, 44)),
    ],
)
def test_cells_are_as_large_as_they_have_to_be(plan: Warp, size: tuple[int, int]) -> None:
    assert cell_size(plan, INK) == size
