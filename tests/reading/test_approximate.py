"""Reading approximately: right as often as it says, whatever was done to the strip, and nothing breaks it."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist.bank import Bank, Source, load
from mnist_seq_cli.reading.approximate import Recogniser, Recognition

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@lru_cache
def recogniser(source: str) -> Recogniser:
    return Recogniser(load(Source(source)))


def jpeg(image: NDArray[np.uint8], quality: int = 70) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("L"))


def scaled(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((round(width * factor), round(height * factor))))


def noisy(image: NDArray[np.uint8], strength: float = 20) -> NDArray[np.uint8]:
    noise = np.random.default_rng(int(image.sum())).normal(0, strength, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def specked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(int(image.sum()))
    return np.where(rng.random(image.shape) < 0.02, rng.choice([0, 255], image.shape), image).astype(np.uint8)


def slanted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape
    shear = (1, 0.3, -0.3 * height, 0, 1, 0)
    size = (width + round(0.3 * height), height)
    given = Image.fromarray(image)
    return np.asarray(given.transform(size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR, fillcolor=255))


CHANGES: dict[str, tuple[Change, float]] = {
    "clean": (lambda image: image, 0.96),
    "JPEG at quality 70": (jpeg, 0.94),
    "JPEG at quality 30": (lambda image: jpeg(image, 30), 0.94),
    "twice as large": (lambda image: scaled(image, 2), 0.94),
    "five times as large": (lambda image: scaled(image, 5), 0.94),
    "0.7 times as large": (lambda image: scaled(image, 0.7), 0.94),
    "inverted": (lambda image: 255 - image, 0.94),
    "noise of 20": (noisy, 0.94),
    "2 % black and white specks": (specked, 0.94),
    "slanted": (slanted, 0.94),
    "pale on grey": (lambda image: (90 + image * (80 / 255)).astype(np.uint8), 0.94),
    "paper around": (lambda image: np.pad(image, 30, constant_values=255), 0.92),
}
"""What is done to strips, and the part of the digits that has to be read right after it."""

LAYOUTS: list[dict[str, Any]] = [
    {"length": 4},
    {"length": 4, "max_gap": 10},
    {"length": "2-6", "min_gap": 2, "max_gap": 6},
]


def strips(each: int) -> list[tuple[tuple[int, ...], NDArray[np.uint8]]]:
    """Strips of the test file, whose hands the train file does not have: their digits and images."""
    return [
        (tuple(map(int, sample.label.split("-"))), sample.image)
        for seed, layout in enumerate(LAYOUTS, 31)
        for sample in SequenceDataset(source="test", seed=seed, samples=each, **layout)
    ]


def read(image: NDArray[np.uint8]) -> Recognition | None:
    try:
        return recogniser("train").read(image)
    except CheckError:
        return None


def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many digits have to be changed, put in or left out."""
    row = list(range(len(other) + 1))
    for number, digit in enumerate(one, 1):
        above, row = row, [number]
        for place, theirs in enumerate(other):
            row.append(min(above[place + 1] + 1, row[place] + 1, above[place] + (digit != theirs)))
    return row[-1]


def digits_right(each: int, change: Change) -> float:
    """The part of all digits that is read right."""
    given = [(digits, change(image)) for digits, image in strips(each)]
    recogniser("train")
    found = [read(image) for _, image in given]
    wrong = sum(
        distance(digits, () if one is None else one.digits) for (digits, _), one in zip(given, found, strict=True)
    )
    return 1 - wrong / sum(len(digits) for digits, _ in given)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_digits_of_unknown_hands_are_read_right(name: str) -> None:
    """The numbers of the README: 300 strips of the test file, read by the train file."""
    change, least = CHANGES[name]
    right = digits_right(100, change)
    print(f"{name}: {right:.2%} of the digits")
    assert right >= least


@pytest.mark.parametrize("name", CHANGES)
def test_most_digits_of_unknown_hands_are_read_right(name: str) -> None:
    assert digits_right(5, CHANGES[name][0]) >= 0.88


@pytest.mark.parametrize("name", CHANGES)
def test_known_glyphs_are_found_again(name: str) -> None:
    data = SequenceDataset(length=3, max_gap=6, seed=41, samples=20)
    found = [(sample, read(CHANGES[name][0](sample.image))) for sample in data]
    same = [reading is not None and reading.digits == tuple(sample.digits.tolist()) for sample, reading in found]
    assert sum(same) >= 18
    if name in ("clean", "JPEG at quality 70", "twice as large", "inverted"):
        alike = []
        for sample, reading in found:
            assert reading is not None
            alike += [one == other for one, other in zip(reading.glyphs, sample.glyphs.tolist(), strict=True)]
            factor = 2 if name == "twice as large" else 1
            assert np.abs(np.array(reading.x) - factor * sample.x).max() <= 2 * factor
            assert reading.glyph_width == 28 * factor
            assert reading.inverted is (name == "inverted")
            assert reading.confidence > 0.9
            assert np.abs(np.array(reading.gaps) - factor * (np.diff(sample.x) - 28)).max() <= 3 * factor
        assert sum(alike) >= 55, "of 60"


@pytest.mark.slow
def test_confidence_is_what_it_says() -> None:
    """Strips said to be right with a chance of about p are right about so often, over all changes."""
    said, right = [], []
    for change, _ in CHANGES.values():
        for digits, image in strips(60):
            reading = read(change(image))
            if reading is not None:
                said.append(reading.confidence)
                right.append(reading.digits == digits)
    chances, correct = np.array(said), np.array(right)
    for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 1)):
        here = (chances >= low) & (chances < high)
        print(
            f"{low} to {high}: {here.sum()} strips, said {chances[here].mean():.3f}, right {correct[here].mean():.3f}"
        )
        assert correct[here].mean() >= chances[here].mean() - 0.1
    sure = chances >= 0.7
    print(f"0.7 and more: {sure.mean():.1%} of the strips, of which {correct[sure].mean():.1%} are right")
    assert correct[sure].mean() > 0.93


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((28, 56), 255, np.uint8), "empty paper"),
        (np.zeros((28, 56), np.uint8), "empty paper"),
        (np.full((28, 56), 100, np.uint8) + np.eye(28, 56, dtype=np.uint8), "empty paper"),
        (np.zeros((3, 56), np.uint8), "which no strip of digits is"),
        (np.zeros((28, 1), np.uint8), "which no strip of digits is"),
        (np.zeros((28, 28 * 401), np.uint8), "which no strip of digits is"),
    ],
)
def test_what_cannot_be_digits_is_refused(image: NDArray[np.uint8], reason: str) -> None:
    with pytest.raises(CheckError, match=reason):
        recogniser("train").read(image)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 300),
    kind=st.sampled_from(["noise", "two values", "sparse", "lines", "blocks"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_given_nothing_breaks(height: int, width: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if kind == "two values":
        image = image // 128 * rng.integers(1, 256, dtype=np.uint8)
    elif kind == "sparse":
        image = np.where(image < rng.integers(1, 60), 0, 255).astype(np.uint8)
    elif kind == "lines":
        image = np.repeat(image[:, :1], width, axis=1) if seed % 2 else np.repeat(image[:1], height, axis=0)
    elif kind == "blocks":
        image = np.kron(image[: height // 9 + 1, : width // 9 + 1], np.ones((9, 9), np.uint8))
    found = read(image)
    if found is not None:
        assert len(found.digits) == len(found.glyphs) == len(found.x) == len(found.confidences) > 0
        assert len(found.gaps) == len(found.digits) - 1
        assert all(0 <= digit <= 9 for digit in found.digits)
        assert all(0 <= sure < 1 for sure in found.confidences)


def test_a_large_strip_is_read() -> None:
    tall = np.asarray(Image.fromarray(strips(1)[0][1]).resize((112 * 40, 28 * 40)))
    wide = np.hstack([image for _, image in strips(100)])[:, : 28 * 390]
    for image, least in ((tall, 3), (wide, 300)):
        found = read(image)
        assert found is not None
        assert len(found.digits) >= least


@pytest.mark.parametrize(("height", "width"), [(28, 28), (14, 14), (56, 56), (40, 30)])
def test_glyphs_of_any_size_are_recognised(height: int, width: int) -> None:
    mnist = load(Source("train"))
    ids = np.concatenate([mnist.glyphs_of(digit)[:20] for digit in range(10)])
    images = np.stack([np.asarray(Image.fromarray(image).resize((width, height))) for image in mnist.images(ids)])
    bank = Bank([images], mnist.labels[ids], identity="ours", first_id=500)
    strip = 255 - np.hstack([images[place] for place in (5, 45, 125, 199)])
    found = Recogniser(bank).read(np.asarray(jpeg(strip, 90)))
    assert found.digits == (0, 2, 6, 9)
    if height > 20:  # below, what JPEG does is more than what tells glyphs of one digit apart
        assert found.glyphs == (505, 545, 625, 699)


def test_a_bank_of_few_glyphs_recognises_them() -> None:
    mnist = load(Source("train"))
    for digits in ((7,), (3, 8)):
        ids = np.array([mnist.glyphs_of(digit)[0] for digit in digits])
        bank = Bank([mnist.images(ids)], mnist.labels[ids], identity="ours")
        found = Recogniser(bank).read(255 - np.hstack([*mnist.images(ids)]))
        assert found.digits == digits
