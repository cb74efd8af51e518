"""Owns the strip of a sample: its image and its annotations; and the labels of many samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine import placement
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.boxes import Box, recorded_or_seen

NO_GAP = -(2**31)
"""The value in `Labels.gaps` where a gap is not known, and where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """The image of a sample, uint8 (height, width), always dark ink on white, and its annotations, empty if unknown.

    `text` is its sequence, `0042`, or None. `gaps` are those that its recipe sampled, one fewer than digits. A strip
    that was read approximately has `confidences`, the probability that each digit is right; its glyphs are then the
    most similar ones, and edges and boxes are approximate.
    """

    number: int
    name: str
    image: NDArray[np.uint8]
    text: str | None
    glyphs: tuple[int, ...] = ()
    x: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    gaps: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The sequence as it is written in labels, `0-0-4-2`, or a question mark."""
        return "?" if self.text is None else format_sequence(map(int, self.text))

    @property
    def caption(self) -> str:
        """The text above or below its image: `12: 0-0-4-2`."""
        return f"{self.number}: {self.label}"

    def to_json(self) -> dict[str, Any]:
        """Return all but the image as JSON values."""
        known = {"sample": self.number, "file_name": self.name or None, "text": self.text}
        edges = {"glyphs": list(self.glyphs), "x": list(self.x), "gaps": list(self.gaps)}
        confidences = {"confidences": list(self.confidences)} if self.confidences else {}
        return {**known, **edges, "boxes": list(map(list, self.boxes)), **confidences}


class Labels(NamedTuple):
    """The labels of samples from `first` on: their sequences, `0042` or None, and int32 (n, length) glyph ids, or -1.

    `gaps` int32 (n, length - 1) are those that the recipe sampled, in px: between ink in tight strips, and before
    digits were moved. They are NO_GAP if not known.
    """

    first: int
    texts: list[str | None]
    glyphs: NDArray[np.int32]
    gaps: NDArray[np.int32]


class NamedImage(NamedTuple):
    """The image of a strip as it is stored, uint8 (height, width), or an error; and its name for messages."""

    name: str
    image: NDArray[np.uint8] | FormatError


def on_white(image: NDArray[np.uint8], invert: bool | None = None) -> NDArray[np.uint8]:
    """Return an image as dark ink on white. `invert` is true for white ink; with None, most pixels are background."""
    if invert is None:
        invert = bool(np.count_nonzero(image > 127) * 2 < image.size)
    return 255 - image if invert else image


def strip_of(
    batch: Batch, row: int, number: int, gaps: NDArray[np.int32], *, invert: bool | None, glyph_width: int
) -> Strip:
    """Return a sample of a batch, with its row of gaps as `Labels` have them, under a number."""
    size = int(batch.lengths[row])
    image = on_white(batch.images[row, :, : batch.widths[row]], invert)
    glyphs, x = (tuple(values[row, :size].tolist()) for values in (batch.glyphs, batch.x))
    if min(glyphs, default=0) < 0:
        glyphs = x = ()
    boxes = recorded_or_seen(image, x, glyph_width, batch.boxes[row, :size].tolist())
    text = "".join(map(str, batch.digits[row, :size].tolist()))
    between = tuple(gaps[: size - 1].tolist())
    return Strip(number, "", image, text, glyphs, x, boxes, () if NO_GAP in between else between)


def sampled_gaps(recipe: Recipe, numbers: Numbers, lengths: Sequence[int] | NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the gaps of some samples of a recipe, as `Labels` have them, where sequences have these lengths."""
    samples = np.array(numbers) if isinstance(numbers, range) and numbers.step != 1 else numbers
    gaps = placement.gaps(recipe, samples).astype(np.int32)
    gaps[np.arange(1, recipe.length) >= np.asarray(lengths)[:, None]] = NO_GAP
    return gaps
