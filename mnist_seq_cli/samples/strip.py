"""Owns a sample to look at: its image, what is known of it, and the boxes of its digits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine import placement
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.storage import local

if TYPE_CHECKING:
    from mnist_seq_cli.errors import MnistseqError
    from mnist_seq_cli.reading.approximate import Recognition
    from mnist_seq_cli.reading.exact import Reading

MAX_FILE = 256 << 20


NO_GAP = -(2**31)
"""Stands in `Rows.gaps` where a gap is not known, and where there is none."""


class Box(NamedTuple):
    """The smallest rectangle around the ink of a digit on its strip, in px."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One sample to look at. `image` is uint8 (height, width), dark ink on white paper whatever is on disk.

    `text` is its sequence, `0042`, and None where it is not known; glyph ids, left edges and boxes are then not there.
    `gaps` are those that its recipe drew, one fewer than there are digits; none where they are not known.
    `confidences` are there where it was read approximately: the chance of each digit to be right. Glyphs are then those
    most like it, and edges and boxes about where they are.
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
        """What stands above or below its image: `12: 0-0-4-2`."""
        return f"{self.number}: {self.label}"

    def to_json(self) -> dict[str, Any]:
        """Return all but the image as JSON values."""
        known = {"sample": self.number, "file_name": self.name or None, "text": self.text}
        places = {"glyphs": list(self.glyphs), "x": list(self.x), "gaps": list(self.gaps)}
        sure = {"confidences": list(self.confidences)} if self.confidences else {}
        return {**known, **places, "boxes": list(map(list, self.boxes)), **sure}


class StripReader(Protocol):
    """What reads strips, exactly or approximately."""

    def exactly(self, image: NDArray[np.uint8]) -> Reading | None:
        """Return the digits of an image that is as it was made; None for any other."""
        ...

    def best(self, name: str, image: NDArray[np.uint8]) -> Reading | Recognition | MnistseqError:
        """Return the digits of an image, exactly or else approximately, or why it cannot be read."""
        ...


class Rows(NamedTuple):
    """What samples `first` and on show: their sequences, and int32 (n, length) glyph ids, or -1.

    `gaps` int32 (n, length - 1) are those that the recipe drew, in px: between ink and ink in tight strips, and before
    anything was moved. They are NO_GAP where that is not known.
    """

    first: int
    texts: list[str | None]
    glyphs: NDArray[np.int32]
    gaps: NDArray[np.int32]


def read_png(path: Path) -> NDArray[np.uint8]:
    """Return the grey image in a PNG file: uint8 (height, width). Raises FormatError, OSError."""
    with local.open_regular(path) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise FormatError(f"{path} is too large for a strip")
    return png.decode(content, name=str(path))


def on_white(image: NDArray[np.uint8], invert: bool | None = None) -> NDArray[np.uint8]:
    """Return an image as dark ink on white paper; `invert` tells whether its ink is white.

    Where that is not known (None), paper is what there is more of.
    """
    if invert is None:
        invert = bool(np.count_nonzero(image > 127) * 2 < image.size)
    return 255 - image if invert else image


def boxes_of(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the box of the ink of each digit, from its left edge and the ink of the strip that is there.

    For samples that do not tell their boxes themselves.
    """
    boxes = []
    for left in x:
        part = image[:, max(0, left) : left + glyph_width] < 255
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if len(rows):
            top, start = int(rows[0]), int(columns[0])
            boxes.append(Box(left + start, top, int(columns[-1]) - start + 1, int(rows[-1]) - top + 1))
        else:
            boxes.append(Box(left, 0, 0, 0))
    return tuple(boxes)


def boxes_in(
    image: NDArray[np.uint8], x: Sequence[int], glyph_width: int, recorded: tuple[Box, ...]
) -> tuple[Box, ...]:
    """Return the boxes that were recorded for digits, if they can be; else what `boxes_of` finds."""
    height, width = image.shape
    in_it = all(
        min(box) >= 0 and box.x + box.width <= width and box.y + box.height <= height and box.x < width
        for box in recorded
    )
    return recorded if len(recorded) == len(x) and in_it else boxes_of(image, x, glyph_width)


def boxes_read(reading: Reading) -> tuple[Box, ...]:
    """Return the boxes of the ink of glyphs of the bundled digits that were read exactly; they may overlap."""
    ink = bank.load(Source("all")).ink(np.array(reading.glyphs)).tolist()
    return tuple(
        Box(left + x, top + y, width, height)
        for left, top, (x, y, width, height) in zip(reading.x, reading.y, ink, strict=True)
    )


def likely_boxes(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the boxes of the ink of digits of which it is only known about where they stand.

    Each has the columns to the middle between it and its neighbours.
    Ink is what is nearer to the darkest than to paper.
    """
    ink = image < (int(image.min()) + int(np.median(image))) / 2
    between = [(left + right + glyph_width) // 2 for left, right in pairwise(x)]
    boxes = []
    for left, low, high in zip(x, [0, *between], [*between, image.shape[1]], strict=True):
        start = max(left, low, 0)
        part = 255 * ~ink[:, start : max(start, min(left + glyph_width, high))]
        (box,) = boxes_of(part.astype(np.uint8), (0,), part.shape[1])
        boxes.append(box._replace(x=box.x + start))
    return tuple(boxes)


def strips_of(
    batch: Batch, numbers: Iterable[int], gaps: NDArray[np.int32], *, invert: bool | None, glyph_width: int
) -> Iterator[Strip]:
    """Yield some samples of a batch, with its gaps as `Rows` have them.

    Where it is not known whether they are inverted, by what they look like.
    """
    for number in numbers:
        row = number - batch.first
        size = int(batch.lengths[row])
        image = batch.images[row, :, : batch.widths[row]]
        image = on_white(image, invert)
        glyphs, x = (tuple(values[row, :size].tolist()) for values in (batch.glyphs, batch.x))
        if min(glyphs, default=0) < 0:
            glyphs = x = ()
        boxes = boxes_in(image, x, glyph_width, tuple(Box(*box) for box in batch.boxes[row, :size].tolist()))
        text = "".join(map(str, batch.digits[row, :size].tolist()))
        between = tuple(gaps[row, : size - 1].tolist())
        yield Strip(number, "", image, text, glyphs, x, boxes, () if NO_GAP in between else between)


def sampled_gaps(recipe: Recipe, first: int, lengths: Sequence[int] | NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the gaps of samples `first` and on, as `Rows` have them, where sequences have these lengths."""
    gaps = placement.gaps(recipe, first, first + len(lengths)).astype(np.int32)
    gaps[np.arange(1, recipe.length) >= np.asarray(lengths)[:, None]] = NO_GAP
    return gaps
