"""What sample i of a recipe is, digit by digit and pixel by pixel, after the words of DESIGN.md §3 and §5.

Slow on purpose: plain loops over Python integers, and nothing of the engine's own code.
"""

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_seq_cli.recipe.recipe import Recipe

DATA = Path(__file__).resolve().parent.parent / "data"


class Glyphs(NamedTuple):
    """The glyphs to draw from: one byte a label, height × width bytes an image, ids from `first_id` on."""

    labels: bytes
    images: bytes
    height: int = 28
    width: int = 28
    first_id: int = 0

    def ids_of(self, digit: int) -> list[int]:
        return [self.first_id + place for place, label in enumerate(self.labels) if label == digit]

    def pixel(self, glyph: int, row: int, column: int) -> int:
        return self.images[((glyph - self.first_id) * self.height + row) * self.width + column]


class Sample(NamedTuple):
    digits: list[int]
    glyphs: list[int]
    x: list[int]
    boxes: list[list[int]]
    strip: list[list[int]]


def bundled(source: str) -> Glyphs:
    """Read the glyphs of "train", "test" or "all" past the headers of the files: 16 bytes of images, 8 of labels."""
    sets = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[source]
    return Glyphs(
        labels=b"".join((DATA / f"{name}-labels-idx1-ubyte").read_bytes()[8:] for name in sets),
        images=b"".join((DATA / f"{name}-images-idx3-ubyte").read_bytes()[16:] for name in sets),
        first_id=60_000 if source == "test" else 0,
    )


def words(seed: int, purpose: str, index: int, wanted: int) -> list[int]:
    """Return the words of one sample: whole blocks of four, as many as it takes."""
    key = int.from_bytes(blake2b(f"mnistseq/rng/v1/{seed}".encode(), digest_size=16).digest(), "little")
    domain = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")
    blocks = (wanted + 3) // 4
    stream = np.random.Philox(key=key, counter=index * blocks + (domain << 128))
    return [int(stream.random_raw()) for _ in range(4 * blocks)]


def below(word: int, bound: int) -> int:
    return (word * bound) >> 64


class Reference:
    """The samples of a recipe, one at a time."""

    def __init__(self, recipe: Recipe, glyphs: Glyphs) -> None:
        self.recipe = recipe
        self.glyphs = glyphs
        self.ids = [glyphs.ids_of(digit) for digit in range(10)]

    def gaps(self, index: int) -> list[int]:
        recipe = self.recipe
        between = recipe.length - 1
        if recipe.min_gap == recipe.max_gap:
            return [recipe.min_gap] * between
        choices = recipe.max_gap - recipe.min_gap + 1
        if recipe.spacing == "equal":
            drawn = words(recipe.seed, "gap", index, 1)
            return [recipe.min_gap + below(drawn[0], choices)] * between
        drawn = words(recipe.seed, "gap", index, between)
        return [recipe.min_gap + below(drawn[place], choices) for place in range(between)]

    def box(self, glyph: int, left: int) -> list[int]:
        """Return where the ink of a glyph is that stands there: x, y, width, height."""
        glyphs = self.glyphs
        inked = [
            (row, column)
            for row in range(glyphs.height)
            for column in range(glyphs.width)
            if glyphs.pixel(glyph, row, column)
        ]
        if not inked:
            return [left, 0, 0, 0]
        rows, columns = zip(*inked, strict=True)
        return [left + min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1]

    def sample(self, index: int) -> Sample:
        recipe, glyphs = self.recipe, self.glyphs
        if recipe.sequences:
            digits = list(recipe.sequences[index % len(recipe.sequences)])
        else:
            drawn = words(recipe.seed, "digit", index, recipe.length)
            digits = [below(drawn[place], 10) for place in range(recipe.length)]

        drawn = words(recipe.seed, "glyph", index, recipe.length)
        chosen = []
        for place, digit in enumerate(digits):
            candidates = self.ids[digit]
            chosen.append(candidates[below(drawn[place], len(candidates))])

        x, edge = [0], 0
        for gap in self.gaps(index):
            edge += glyphs.width + gap
            x.append(edge)

        paper = 0 if recipe.invert else 255
        strip = [[paper] * recipe.width for _ in range(glyphs.height)]
        for glyph, left in zip(chosen, x, strict=True):
            for row in range(glyphs.height):
                for column in range(glyphs.width):
                    pixel = glyphs.pixel(glyph, row, column)
                    strip[row][left + column] = pixel if recipe.invert else 255 - pixel
        boxes = [self.box(glyph, left) for glyph, left in zip(chosen, x, strict=True)]
        return Sample(digits, chosen, x, boxes, strip)
