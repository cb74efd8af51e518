"""Owns one PNG file as a sample."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import MnistseqError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.collection import Collection, number_in
from mnist_seq_cli.samples.strip import NO_GAP, Rows, Strip, boxes_read, likely_boxes, on_white, read_png


class Look(NamedTuple):
    """What was seen in a strip: the strip as far as it was read, whether its ink is white, and why it is `unread`."""

    strip: Strip
    inverted: bool
    unread: str = ""


class Single(Collection):
    """One PNG file, read as `decode` reads it: exactly, or else approximately if that is sure enough."""

    kind = "strip"
    source = "all"

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 1

    @cached_property
    def look(self) -> Look:
        """What is seen in the strip. Raises FormatError, OSError."""
        image = read_png(self.path)
        if self.reader is None:
            return Look(Strip(0, self.path.name, on_white(image), None), False, "it was not read")
        result = self.reader.best(self.path.name, image)
        if isinstance(result, MnistseqError):
            strip = Strip(0, self.path.name, on_white(image), None)
            return Look(strip, strip.image is not image, str(result.args[0]))
        digits, shown = "".join(map(str, result.digits)), 255 - image if result.inverted else image
        known = (0, self.path.name, shown, digits, result.glyphs, result.x)
        if hasattr(result, "confidences"):
            boxes = likely_boxes(shown, result.x, result.glyph_width)
            return Look(Strip(*known, boxes, confidences=result.confidences), result.inverted)
        return Look(Strip(*known, boxes_read(result), result.gaps), result.inverted)

    @property
    def sample(self) -> tuple[Path, int] | None:
        """The directory and the number, if it is a sample of a dataset of ours, where it belongs."""
        place, number = self.path.absolute().parent, re.fullmatch(r"([0-9]{8})\.png", self.path.name, re.ASCII)
        if number is None or place.parent.name != IMAGES_NAME or not (place.parent.parent / RECIPE_NAME).is_file():
            return None
        whole = place.parent.parent
        return whole if self.path.is_absolute() else Path(os.path.relpath(whole)), int(number[1])

    def rows(self) -> Iterator[Rows]:
        """Yield what was read."""
        strip = self.look.strip
        glyphs = np.array([strip.glyphs or (ABSENT,)], dtype=np.int32)
        gaps = np.array([strip.gaps or (NO_GAP,) * (glyphs.shape[1] - 1)], dtype=np.int32)
        yield Rows(0, [strip.text], glyphs, gaps)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the strip."""
        for _ in numbers:
            yield self.look.strip

    def place_of(self, name: str) -> int | None:
        """Return 0 for the name of the file, and for 0."""
        return 0 if re.split(r"[/\\]", name.strip())[-1] == self.path.name else number_in(name, 1)
