"""Owns what the net is trained on: lines of strips of all kinds with the centres of their digits, and of no digits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mnist_seq_cli.errors import CheckError, RequestError
from mnist_seq_cli.reading.lines import HEIGHT, line_of
from mnist_seq_cli.reading.training.no_digits import picture_without_digits
from mnist_seq_cli.samples.sequence_dataset import SequenceDataset

TRAIN, CALIBRATE = (0, 19, 20), (19, 20, 20)
"""The parts of each digit's glyphs in MNIST's train file to train with, and to calibrate with."""

FULL, LIGHT = (0.2, 0.6, 1.0), (0.05, 0.1, 0.4)
"""How much is done to strips, in equal parts, to train with and to calibrate with: factors of how often it is done."""

_AT_ONCE = 16
"""Strips of one recipe."""

_WITHOUT = 0.1
"""Part of the examples that shows no digits."""


_Value = Callable[[np.random.Generator], Any]


class Example(NamedTuple):
    """A line, uint8 (HEIGHT, width); its digits; and the column of the line in which the ink of each is centred."""

    values: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    centres: NDArray[np.float64]


class Examples(NamedTuple):
    """Examples of like lengths, as a batch.

    `lines` uint8 (n, HEIGHT, width), padded with background; `digits` uint8 (n, longest) and `centres` float32
    (n, longest), padded with 0; `lengths` int64 (n,).
    """

    lines: NDArray[np.uint8]
    digits: NDArray[np.uint8]
    centres: NDArray[np.float32]
    lengths: NDArray[np.int64]


def batches(
    seed: int, size: int, pool: tuple[int, int, int] = TRAIN, much: tuple[float, ...] = FULL
) -> Iterator[Examples]:
    """Yield batches of `size` examples without end; the same for the same seed."""
    rng = np.random.default_rng(seed)
    while True:
        longest = int(rng.choice([2, 4, 5, 6, 8, 12], p=[0.15, 0.35, 0.2, 0.15, 0.1, 0.05]))
        examples: list[Example] = []
        while len(examples) < size:
            if rng.random() < _WITHOUT:
                examples += _without_digits(rng, longest, _AT_ONCE // 2)
            else:
                examples += _strips(rng, longest, pool, float(rng.choice(much)))
        yield together(examples[:size])


def together(examples: list[Example]) -> Examples:
    """Return examples as a batch, as wide as the widest and a multiple of 16."""
    count = len(examples)
    width = -(-max(example.values.shape[1] for example in examples) // 16) * 16
    longest = max(1, *(len(example.digits) for example in examples))
    lines = np.zeros((count, HEIGHT, width), dtype=np.uint8)
    digits, centres = np.zeros((count, longest), dtype=np.uint8), np.zeros((count, longest), dtype=np.float32)
    for row, (values, written, middles) in enumerate(examples):
        lines[row, :, : values.shape[1]] = values
        digits[row, : len(written)], centres[row, : len(written)] = written, middles
    return Examples(lines, digits, centres, np.array([len(example.digits) for example in examples]))


def _strips(rng: np.random.Generator, longest: int, pool: tuple[int, int, int], much: float) -> Iterator[Example]:
    """Yield examples of one recipe."""
    options = _options(rng, longest, much)
    try:
        seed = int(rng.integers(2**53))
        data = SequenceDataset(**options, source="train", pool=pool, seed=seed, samples=_AT_ONCE)
    except RequestError:  # what does not go together
        return
    batch = data.batch(range(_AT_ONCE))
    changed = rng.random() < min(0.5, 2.5 * much)
    for row in range(_AT_ONCE):
        length = int(batch.lengths[row])
        boxes = batch.boxes[row, :length].astype(np.float64)
        image = np.ascontiguousarray(batch.images[row, :, : int(batch.widths[row])])
        scale = 1.0
        if changed:
            image, scale = _changed(rng, image)
        try:
            line = line_of(image)
        except CheckError:
            continue
        centres = ((boxes[:, 0] + boxes[:, 2] / 2) * scale - line.left) / line.scale
        order = np.argsort(centres, kind="stable")
        inside = centres.min() >= 0 and centres.max() < line.values.shape[1]
        if inside and line.values.shape[1] <= 44 * (longest + 1) and np.array_equal(order, np.arange(length)):
            yield Example(line.values, batch.digits[row, :length], centres)


def _options(rng: np.random.Generator, longest: int, much: float) -> dict[str, Any]:
    """Return the options of a recipe at random: the more of them, the higher `much` is."""
    least = max(1, longest - 2)
    options: dict[str, Any] = {"length": f"{least}-{longest}" if longest > least else longest, "width": "fit"}
    options |= _SPACINGS[str(rng.choice(list(_SPACINGS), p=[0.45, 0.22, 0.23, 0.1]))](rng)
    for name, (probability, value) in _LOOKS.items():
        if rng.random() < probability * much:
            options[name] = value(rng)
    return options


def _around(limit: int) -> _Value:
    return lambda rng: (-int(rng.integers(1, limit + 1)), int(rng.integers(1, limit + 1)))


def _whole(first: int, stop: int) -> _Value:
    return lambda rng: int(rng.integers(first, stop))


def _few_digits(rng: np.random.Generator) -> str:
    return "".join(map(str, sorted(rng.choice(10, int(rng.integers(1, 3)), replace=False).tolist())))


_SPACINGS: dict[str, Callable[[np.random.Generator], dict[str, Any]]] = {
    "usual": lambda rng: {"min_gap": -int(rng.integers(0, 9)), "max_gap": int(rng.integers(0, 13))},
    "tight": lambda rng: {"crop": "tight", "min_gap": -int(rng.integers(0, 4)), "max_gap": int(rng.integers(1, 6))},
    "overlap": lambda rng: {"min_gap": -16, "max_gap": -int(rng.integers(6, 15))},
    "wide": lambda rng: {"min_gap": 0, "max_gap": int(rng.integers(12, 30))},
}

_LOOKS: dict[str, tuple[float, _Value]] = {
    "digits": (0.15, _few_digits),  # so that equal digits stand side by side
    "slant": (0.4, _around(30)),
    "rotate": (0.4, _around(25)),
    "scale": (0.35, lambda rng: (100 - int(rng.integers(0, 41)), 100 + int(rng.integers(0, 41)))),
    "stroke": (0.4, lambda rng: [(-1, 1), (-1, 0), (0, 1), (-1, -1), (1, 1)][int(rng.integers(5))]),
    "jitter_y": (0.25, _whole(1, 13)),
    "jitter_x": (0.1, _whole(1, 4)),
    "margin": (0.2, _whole(1, 24)),
    "contrast": (0.3, lambda rng: (int(rng.integers(25, 60)), int(rng.integers(60, 101)))),
    "paper": (0.3, lambda rng: str(rng.choice(["gradient", "grain"]))),
    "noise": (0.3, _whole(1, 80)),
    "invert": (0.25, lambda _: True),
    "writer": (0.15, lambda _: "same"),
}
"""How often an option is set where `much` is 1, and to what."""


def _changed(rng: np.random.Generator, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return an image as it gets on its way, and how many times wider it is: scaled, blurred, noisy, compressed."""
    picture = Image.fromarray(image)
    if rng.random() < 0.5:
        picture = _bent(rng, picture)
    if rng.random() < 0.6:
        picture = _scaled(rng, picture)
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.0)) * picture.height / 40))
    values = np.asarray(picture)
    if rng.random() < 0.25:
        noise = rng.normal(0, float(rng.uniform(2, 30)), values.shape)
        values = np.clip(values + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        values = values.copy()
        specks = rng.random(values.shape) < 0.02
        values[specks] = rng.choice([0, 255], int(specks.sum()))
    if rng.random() < 0.4:
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, "JPEG", quality=int(rng.integers(20, 96)))
        values = np.asarray(Image.open(stream))
    return values, values.shape[1] / image.shape[1]


def _scaled(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Return a picture half to three times as large, and somewhat stretched."""
    factor = float(np.exp(rng.uniform(np.log(0.5), np.log(3)))) if rng.random() < 0.7 else 1.0
    stretch = float(np.exp(rng.uniform(-0.22, 0.22)))
    size = max(4, round(picture.width * factor * stretch)), max(4, round(picture.height * factor))
    how = Image.Resampling.BOX if factor < 0.7 and rng.random() < 0.5 else rng.choice([2, 3, 5])
    return picture.resize(size, Image.Resampling(int(how)))


def _bent(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Return a picture bent as if drawn on rubber: the corners of a grid are moved, and what is between with them."""
    width, height = picture.size
    side = height / 3.5
    rows, columns = round(height / side), max(1, round(width / side))
    y, x = np.meshgrid(np.linspace(0, height, rows + 1), np.linspace(0, width, columns + 1), indexing="ij")
    moved = np.stack([x, y], axis=-1) + rng.normal(0, float(rng.uniform(0.02, 0.055)) * height, (*x.shape, 2))
    mesh = []
    for row in range(rows):
        for column in range(columns):
            box = (x[row, column], y[row, column], x[row, column + 1], y[row + 1, column])
            corners = moved[row, column], moved[row + 1, column], moved[row + 1, column + 1], moved[row, column + 1]
            mesh.append((tuple(round(edge) for edge in box), tuple(np.concatenate(corners).tolist())))
    paper = int(np.median(np.asarray(picture)))
    return picture.transform(picture.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=paper)


def _without_digits(rng: np.random.Generator, longest: int, count: int) -> Iterator[Example]:
    """Yield examples that show no digits."""
    for _ in range(count):
        picture = picture_without_digits(rng)
        if rng.random() < 0.3:
            picture = _changed(rng, picture)[0]
        try:
            values = line_of(picture).values[:, : 40 * longest]
        except CheckError:
            continue
        yield Example(values, np.zeros(0, np.uint8), np.zeros(0))
