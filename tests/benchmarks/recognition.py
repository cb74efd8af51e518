"""How well strips are read: the table of mnist_seq_cli/reading/README.md.

    python tests/benchmarks/recognition.py [--strips 1000]

reads strips of four digits of MNIST's test file, whose writers the net has not seen, and prints the parts of the digits
and of the strips that are right, with 95 % intervals; how often that is so at each confidence; and how many pictures
without digits are left unread.
"""

import argparse
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.inspection.scores.statistics import wilson
from mnist_seq_cli.reading.recognition import Recognition, recognise
from mnist_seq_cli.reading.transcribing import MIN_CONFIDENCE

Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]


def as_jpeg(quality: int) -> Change:
    def change(image: Picture) -> Picture:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream))

    return change


def scaled(factor: float) -> Change:
    def change(image: Picture) -> Picture:
        height, width = image.shape
        how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(image).resize((round(width * factor), round(height * factor)), how))

    return change


def noisy(image: Picture) -> Picture:
    noise = np.random.default_rng(int(image.sum())).normal(0, 20, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def same(image: Picture) -> Picture:
    return image


KINDS: dict[str, tuple[dict[str, Any], Change, float, float]] = {
    "clean": ({}, same, 99.6, 98.5),
    "inverted": ({"invert": True}, same, 99.6, 98.5),
    "JPEG at quality 70": ({}, as_jpeg(70), 99.6, 98.5),
    "noise of σ = 20": ({}, noisy, 99.6, 98.5),
    "twice as large": ({}, scaled(2), 99.6, 98.5),
    "half as large": ({}, scaled(0.5), 99.6, 98.5),
    "slanted, -20° to 20°": ({"slant": (-20, 20)}, same, 99.2, 97),
    "rotated, -10° to 10°": ({"rotate": (-10, 10)}, same, 99.2, 97),
    "on a gradient": ({"paper": "gradient"}, same, 99.2, 97),
    "on grain": ({"paper": "grain"}, same, 99.2, 97),
    "contrast 30 to 60 %": ({"contrast": (30, 60)}, same, 99.2, 97),
    "JPEG at quality 30": ({}, as_jpeg(30), 99.2, 97),
    "up and down by 8 px": ({"jitter_y": 8}, same, 99.2, 97),
    "strokes -1 to 1 px": ({"stroke": (-1, 1)}, same, 98.7, 95),
    "tight, gaps 0 to 3 px": ({"crop": "tight", "max_gap": 3}, same, 98.7, 95),
    "overlaps of 8 px": ({"min_gap": -8, "max_gap": -8}, same, 99.2, 97),
    "overlaps of 14 px": ({"min_gap": -14, "max_gap": -14}, same, 96, 87),
}
"""Options, what is done to the image, and the least that is aimed at: % of digits, % of strips."""


def strips(name: str, count: int) -> tuple[list[str], list[Picture]]:
    """The labels and images of strips of a kind."""
    options, change, _, _ = KINDS[name]
    wanted = {"length": 4, "max_gap": 10, **options}
    data = SequenceDataset(**wanted, source="test", exclude_mislabeled=True, seed=20261127, samples=count)
    return [sample.text for sample in data], [change(sample.image) for sample in data]


def text_of(result: Recognition | CheckError) -> str:
    return "" if isinstance(result, CheckError) else "".join(map(str, result.digits))


def without_digits(count: int) -> dict[str, list[Picture]]:
    """Pictures that show no digits, by kind; the letters are of a font that the net was not trained with."""
    rng = np.random.default_rng(7)
    found: dict[str, list[Picture]] = {"noise": [], "shapes": [], "letters": [], "crosses": []}
    font = ImageFont.load_default_imagefont()
    for _ in range(count):
        found["noise"].append(rng.integers(0, 256, (28, 112), dtype=np.uint8))
        shapes, crosses = Image.new("L", (112, 28), 255), Image.new("L", (112, 28), 255)
        for left in range(2, 112, 28):
            side = int(rng.integers(10, 23))
            top = int(rng.integers(2, 26 - side))
            draw, box = ImageDraw.Draw(shapes), (left, top, left + side, top + side)
            filled = 0 if rng.random() < 0.5 else None
            if rng.random() < 0.5:
                draw.rectangle(box, filled, 0, 2)
            else:
                draw.regular_polygon((left + side / 2, top + side / 2, side / 2), int(rng.integers(3, 7)), 0, filled, 0)
            draw = ImageDraw.Draw(crosses)
            draw.line((left, top, left + side, top + side), 0, 3)
            draw.line((left, top + side, left + side, top), 0, 3)
        found["shapes"].append(np.asarray(shapes))
        found["crosses"].append(np.asarray(crosses))
        text = "".join(rng.choice(list("lOzabcdefghkmnpqrstuvwxy"), int(rng.integers(3, 8))).tolist())
        letters = Image.new("L", (8 * len(text) + 8, 16), 255)
        ImageDraw.Draw(letters).text((4, 2), text, 0, font)
        found["letters"].append(np.asarray(letters.resize((letters.width * 2, 32), Image.Resampling.BICUBIC)))
    return found


def show_rates(count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[str, Any]]:
    """Print the table; the confidences of all strips, and whether they are right."""
    print("| strips | digits right, % | strips right, % | aimed at |\n|---|---|---|---|", flush=True)
    sure, right, clean = list[float](), list[bool](), dict[str, Any]()
    for name, (_, _, digits_aim, strips_aim) in KINDS.items():
        labels, images = strips(name, count)
        results = recognise(images)
        texts = list(map(text_of, results))
        wrong = sum(map(Levenshtein.distance, texts, labels))
        same = [text == label for text, label in zip(texts, labels, strict=True)]
        cells = []
        for good, of, aim in ((4 * count - wrong, 4 * count, digits_aim), (sum(same), count, strips_aim)):
            low, high = wilson(good, of) or (0, 0)
            met = "" if 100 * good / of >= aim else " *"
            cells.append(f"{100 * good / of:.2f} ({100 * low:.1f} to {100 * high:.1f}){met}")
        print(f"| {name} | {cells[0]} | {cells[1]} | {digits_aim} / {strips_aim} |", flush=True)
        confidences = [0.0 if isinstance(result, CheckError) else result.confidence for result in results]
        sure += confidences
        right += same
        if name == "clean":
            clean = {"confidences": np.array(confidences), "right": np.array(same)}
    return np.array(sure), np.array(right), clean


def main() -> None:
    parser = argparse.ArgumentParser(description="How well strips are read.")
    parser.add_argument("--strips", type=int, default=1000, help="strips of each kind")
    count = parser.parse_args().strips
    sure, right, clean = show_rates(count)
    print("\n| confidence | strips | said | right |\n|---|---|---|---|")
    error = 0.0
    for low, high in (
        (0, 0.2),
        (0.2, 0.4),
        (0.4, 0.6),
        (0.6, 0.8),
        (0.8, 0.9),
        (0.9, 0.97),
        (0.97, 0.99),
        (0.99, 1.01),
    ):
        here = (sure >= low) & (sure < high)
        if here.any():
            print(f"| {low} to {min(high, 1)} | {here.sum()} | {sure[here].mean():.3f} | {right[here].mean():.3f} |")
            error += here.mean() * abs(sure[here].mean() - right[here].mean())
    print(f"\nexpected calibration error: {error:.4f}")
    least = np.quantile(clean["confidences"], 0.05)
    taken = clean["confidences"] >= least
    print(f"the surest 95 % of clean strips (from {least:.3f}): {clean['right'][taken].mean():.2%} right")
    for name, pictures in without_digits(max(100, count // 4)).items():
        read = [not isinstance(one, CheckError) and one.confidence >= MIN_CONFIDENCE for one in recognise(pictures)]
        print(f"{name} left unread at {MIN_CONFIDENCE}: {1 - np.mean(read):.1%}")


if __name__ == "__main__":
    main()
