"""Strips of any hand are read: right as often as the README says, as sure as it says, and nothing breaks it."""

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.inspection.scores.statistics import wilson
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.reading.nearest import nearest_glyphs
from mnist_seq_cli.reading.recognition import Calibration, Recognition, recognise, runs_of
from mnist_seq_cli.reading.transcribing import MIN_CONFIDENCE

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from recognition import KINDS, strips, text_of, without_digits

Picture = NDArray[np.uint8]

MISSED = {"half as large": 97.6}
"""Strips of a kind that are read right, in %, where that is less than is aimed at."""


@lru_cache
def read(name: str, count: int) -> tuple[list[str], list[Recognition | CheckError]]:
    """The labels of strips of a kind, and what is read."""
    labels, images = strips(name, count)
    return labels, recognise(images)


@pytest.mark.parametrize("name", KINDS)
def test_most_strips_of_other_hands_are_read_right(name: str) -> None:
    labels, results = read(name, 60)
    right = sum(text_of(result) == label for result, label in zip(results, labels, strict=True))
    assert right >= 48


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_as_many_strips_of_other_hands_are_read_right_as_the_readme_says(name: str) -> None:
    """1,000 strips of each kind; where an aim is not reached, what the README says is held."""
    labels, results = read(name, 1000)
    right = sum(text_of(result) == label for result, label in zip(results, labels, strict=True))
    _, high = wilson(right, 1000) or (0, 0)
    assert 100 * high >= MISSED.get(name, KINDS[name][3])


@pytest.mark.slow
def test_confidence_is_what_it_says() -> None:
    """Over all kinds of strips: those that are said to be right with a chance of p are right about so often."""
    said, right = [], []
    for name in KINDS:
        labels, results = read(name, 1000)
        said += [0.0 if isinstance(result, CheckError) else result.confidence for result in results]
        right += [text_of(result) == label for result, label in zip(results, labels, strict=True)]
    chances, correct = np.array(said), np.array(right)
    parts = np.clip((chances * 10).astype(int), 0, 9)
    error = sum(
        (parts == part).mean() * abs(chances[parts == part].mean() - correct[parts == part].mean())
        for part in np.unique(parts)
    )
    assert error <= 0.02


@pytest.mark.slow
def test_the_surest_clean_strips_are_right() -> None:
    labels, results = read("clean", 1000)
    confidences = np.array([0.0 if isinstance(result, CheckError) else result.confidence for result in results])
    right = np.array([text_of(result) == label for result, label in zip(results, labels, strict=True)])
    assert right[confidences >= np.quantile(confidences, 0.05)].mean() >= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "shapes", "letters", "crosses"])
def test_pictures_without_digits_are_left_unread(kind: str) -> None:
    results = recognise(without_digits(250)[kind])
    sure = [not isinstance(result, CheckError) and result.confidence >= MIN_CONFIDENCE for result in results]
    assert np.mean(sure) <= 0.02


@pytest.mark.parametrize("digits", ["1-1-1-0", "1-1-1-1", "8-8", "0-0-0-7-7", "5", "1"])
def test_equal_neighbours_stay_apart(digits: str) -> None:
    data = SequenceDataset(sequences=[digits], crop="tight", min_gap=1, max_gap=3, seed=4, samples=20)
    results = recognise(sample.image for sample in data)
    assert sum(text_of(result) == digits.replace("-", "") for result in results) >= 18


@pytest.mark.parametrize("height", [16, 20, 40, 64, 128, 500])
def test_strips_of_any_height_are_read(height: int) -> None:
    data = SequenceDataset(length="1-12", max_gap=8, seed=6, samples=20)
    images = [
        np.asarray(Image.fromarray(sample.image).resize((sample.image.shape[1] * height // 28, height)))
        for sample in data
    ]
    right = [text_of(result) == sample.text for result, sample in zip(recognise(images), data, strict=True)]
    assert sum(right) >= 18


def test_places_are_those_of_the_digits() -> None:
    for factor in (1, 3):
        data = SequenceDataset(length=4, max_gap=9, seed=7, samples=30)
        for sample in data:
            height, width = sample.image.shape
            picture = np.asarray(Image.fromarray(sample.image).resize((width * factor, height * factor)))
            (result,) = recognise([picture])
            assert isinstance(result, Recognition)
            if text_of(result) != sample.text:
                continue
            middles = factor * (sample.boxes[:, 0] + sample.boxes[:, 2] / 2)
            found = np.array(result.x) + result.glyph_width / 2
            assert np.abs(found - middles).max() <= 4 * factor
            assert result.glyph_width == pytest.approx(28 * factor, rel=0.15)
            assert result.gaps == tuple((np.diff(result.x) - result.glyph_width).tolist())


def test_a_long_line_is_read() -> None:
    data = SequenceDataset(length=10, max_gap=6, seed=9, samples=60)
    picture = np.hstack([sample.image for sample in data])
    (result,) = recognise([picture])
    assert isinstance(result, Recognition)
    assert abs(len(result.digits) - 600) <= 4
    assert len(result.confidences) == len(result.x) == len(result.digits)


def test_what_is_read_does_not_depend_on_what_is_read_with_it() -> None:
    images = strips("clean", 20)[1] + strips("twice as large", 10)[1] + strips("tight, gaps 0 to 3 px", 10)[1]
    together = recognise(images)
    alone = [recognise([image])[0] for image in images]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Recognition)
        assert isinstance(other, Recognition)
        assert (one.digits, one.x) == (other.digits, other.x)
        np.testing.assert_allclose(one.confidences, other.confidences, atol=2e-4)


@pytest.mark.parametrize("picture", [np.full((28, 84), 255, np.uint8), np.zeros((2, 9), np.uint8)])
def test_what_shows_nothing_is_told(picture: Picture) -> None:
    first, second, third = recognise([picture, strips("clean", 1)[1][0], picture])
    assert isinstance(first, CheckError)
    assert isinstance(second, Recognition)
    assert isinstance(third, CheckError)


def test_the_best_path_is_ctc_s() -> None:
    """Blanks part equal digits; without one they are the same."""
    classes = [0, 4, 4, 0, 4, 7, 7, 0, 0, 1]
    chances = np.full((10, 11), 0.01, np.float32)
    chances[np.arange(10), classes] = [0.9, 0.6, 0.8, 0.55, 0.7, 0.9, 0.4, 0.99, 0.95, 0.5]
    runs = runs_of([chances, chances], 1)
    assert runs.digits.tolist() == [3, 3, 6, 0] * 2
    assert runs.line.tolist() == [0] * 4 + [1] * 4
    np.testing.assert_allclose(runs.chance[:4], [0.8, 0.7, 0.9, 0.5], rtol=1e-6)
    assert 2 < runs.column[0] < 6
    assert runs_of([chances], 0.001).digits.tolist() != [3, 3, 6, 0]


def test_calibration_is_the_function_it_says() -> None:
    measured = Calibration(0.5, 2, 1.5, 2, 1)
    (sure,) = measured.of_digits(np.array([0.8]))
    assert sure == pytest.approx(1 / (1 + np.exp(-(0.5 + 2 * np.log(4)))), abs=1e-4)
    whole = measured.of_all(np.array([0.9, 0.8]), 0.9)
    assert whole == pytest.approx(0.72**1.5 * 0.9**2, abs=1e-4)
    assert measured.of_all(measured.of_digits(np.ones(3)), 1) < 1


@settings(max_examples=30)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 300),
    kind=st.sampled_from(["noise", "sparse", "lines"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_given_nothing_breaks(height: int, width: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if kind == "sparse":
        image = np.where(image < rng.integers(1, 60), 0, 255).astype(np.uint8)
    elif kind == "lines":
        image = np.repeat(image[:, :1], width, axis=1) if seed % 2 else np.repeat(image[:1], height, axis=0)
    (found,) = recognise([image])
    if isinstance(found, Recognition):
        assert len(found.digits) == len(found.x) == len(found.confidences) > 0
        assert all(0 <= digit <= 9 for digit in found.digits)
        assert all(0 <= sure < 1 for sure in (*found.confidences, found.confidence))


@pytest.mark.parametrize("name", ["clean", "JPEG at quality 70", "inverted"])
def test_the_nearest_glyphs_of_known_strips_are_their_own(name: str) -> None:
    mnist = load(Source("all"))
    change = KINDS[name][1]
    invert = bool(KINDS[name][0])
    alike = []
    for sample in SequenceDataset(length=4, max_gap=6, seed=41, samples=6, invert=invert):
        picture = change(sample.image)
        (result,) = recognise([picture])
        assert isinstance(result, Recognition)
        if text_of(result) == sample.text:
            found = nearest_glyphs(picture, result, mnist)
            alike += [one == other for one, other in zip(found, sample.glyphs.tolist(), strict=True)]
    assert sum(alike) >= 18, "of 24"
