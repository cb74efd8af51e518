"""Pictures become lines of ink: whatever their size, polarity, contrast and light, and wherever digits are."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.reading.lines import EDGE, HEIGHT, TALL, Line, line_of

Picture = NDArray[np.uint8]

STRIP = SequenceDataset(sequences=["3-0-7-1"], min_gap=6, max_gap=6, seed=8, source="test")[0]


def ink_rows(line: Line) -> tuple[int, int]:
    """The first and last row with ink."""
    rows = np.flatnonzero((line.values > 120).any(axis=1))
    return int(rows[0]), int(rows[-1]) + 1


def jpeg(picture: Picture) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream))


def scaled(picture: Picture, factor: float) -> Picture:
    height, width = picture.shape
    return np.asarray(Image.fromarray(picture).resize((round(width * factor), round(height * factor))))


def shaded(picture: Picture) -> Picture:
    """The picture as in light from one side."""
    height, width = picture.shape
    y, x = np.mgrid[:height, :width]
    return (picture * (0.35 + 0.6 * x / width - 0.15 * y / height)).astype(np.uint8)


CHANGES: dict[str, tuple[Callable[[Picture], Picture], float]] = {
    "as it is": (lambda picture: picture, 1),
    "inverted": (lambda picture: 255 - picture, 1),
    "pale on grey": (lambda picture: (90 + picture * (80 / 255)).astype(np.uint8), 1),
    "compressed": (jpeg, 1),
    "three times as large": (lambda picture: scaled(picture, 3), 3),
    "40 times as large": (lambda picture: scaled(picture, 40), 40),
    "0.6 times as large": (lambda picture: scaled(picture, 0.6), 0.6),
    "much background around": (lambda picture: np.pad(picture, 200, constant_values=255), 1),
    "in light from one side": (shaded, 1),
    "large, in light from one side": (lambda picture: shaded(scaled(picture, 8)), 8),
}


@pytest.mark.parametrize("name", CHANGES)
def test_digits_are_as_tall_as_they_shall_be_and_in_the_middle(name: str) -> None:
    change, factor = CHANGES[name]
    line = line_of(change(STRIP.image))
    plain = line_of(STRIP.image)
    assert (line.values.shape[0], line.values.dtype) == (HEIGHT, np.uint8)
    top, bottom = ink_rows(line)
    assert abs(bottom - top - TALL) <= 3
    assert abs((top + bottom) / 2 - HEIGHT / 2) <= 2
    assert line.scale == pytest.approx(factor, rel=0.13)
    assert line.inverted is (name == "inverted")
    assert abs(line.values.shape[1] - plain.values.shape[1]) <= 0.12 * plain.values.shape[1]
    rates = [each.values.astype(float)[:, : plain.values.shape[1]].sum() for each in (line, plain)]
    assert rates[0] == pytest.approx(rates[1], rel=0.25)


@pytest.mark.parametrize("name", CHANGES)
def test_a_column_of_a_line_was_where_it_says(name: str) -> None:
    change, factor = CHANGES[name]
    around = 200 if name.startswith("much") else 0
    line = line_of(change(STRIP.image))
    columns = np.flatnonzero((line.values > 120).any(axis=0))
    left, right = (line.left + column * line.scale for column in (columns[0], columns[-1] + 1))
    first, last = STRIP.boxes[0], STRIP.boxes[-1]
    assert left == pytest.approx(factor * first[0] + around, abs=2.5 * factor)
    assert right == pytest.approx(factor * (last[0] + last[2]) + around, abs=2.5 * factor)


def test_strips_in_glyph_size_are_not_scaled() -> None:
    line = line_of(STRIP.image)
    left = int(STRIP.boxes[0][0])
    columns = slice(EDGE, EDGE + 20)
    ink = (255 - STRIP.image[:, left : left + 20]) > 0
    assert line.scale == 1
    assert (line.values[:, columns] > 0).sum() == pytest.approx(ink.sum(), abs=12)


def test_digits_that_are_higher_and_lower_are_brought_to_one_height() -> None:
    sample = SequenceDataset(sequences=["3-0-7-4"], min_gap=6, height=90, jitter_y="full", seed=5)[0]
    assert np.ptp(sample.boxes[:, 1]) > 25
    line = line_of(sample.image)
    for left, _, width, _ in sample.boxes.tolist():
        start = round(left - line.left)
        rows = np.flatnonzero((line.values[:, start : start + width] > 120).any(axis=1))
        assert abs((rows[0] + rows[-1] + 1) / 2 - HEIGHT / 2) <= 1.5


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((28, 56), 255, np.uint8), "the picture is empty"),
        (np.zeros((28, 56), np.uint8), "the picture is empty"),
        (np.full((28, 56), 100, np.uint8) + np.eye(28, 56, dtype=np.uint8), "the picture is empty"),
        (np.zeros((3, 56), np.uint8), "the picture is 3×56 px .height × width., too small"),
        (np.zeros((28, 1), np.uint8), "too small"),
    ],
)
def test_what_has_no_ink_is_refused(picture: Picture, reason: str) -> None:
    with pytest.raises(CheckError, match=reason):
        line_of(picture)


@given(
    height=st.integers(1, 200),
    width=st.integers(1, 400),
    kind=st.sampled_from(["noise", "two values", "sparse", "lines", "blocks", "ramp"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_given_nothing_breaks(height: int, width: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if kind == "two values":
        picture = picture // 128 * rng.integers(1, 256, dtype=np.uint8)
    elif kind == "sparse":
        picture = np.where(picture < rng.integers(1, 60), 0, 255).astype(np.uint8)
    elif kind == "lines":
        picture = np.repeat(picture[:, :1], width, axis=1) if seed % 2 else np.repeat(picture[:1], height, axis=0)
    elif kind == "blocks":
        picture = np.kron(picture[: height // 9 + 1, : width // 9 + 1], np.ones((9, 9), np.uint8))
    elif kind == "ramp":
        picture = np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
    try:
        line = line_of(picture)
    except CheckError:
        return
    assert line.values.shape[0] == HEIGHT
    assert line.values.shape[1] > 2 * EDGE
    assert line.values.any()
    assert line.scale > 0
