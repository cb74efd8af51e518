"""Owns samples that are read where their digits or glyphs are not known: folders exactly, a single image in any way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import CheckError, MnistseqError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading import transcribing
from mnist_seq_cli.reading.exact import Reading
from mnist_seq_cli.reading.lines import ink_of
from mnist_seq_cli.reading.nearest import nearest_glyphs
from mnist_seq_cli.samples import boxes, registry
from mnist_seq_cli.samples.boxes import Box
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.sources.image import ImageFile
from mnist_seq_cli.samples.sources.listed import Listed
from mnist_seq_cli.samples.strip import NO_GAP, Labels, NamedImage, Strip, on_white
from mnist_seq_cli.storage.location import PathOrStore

_MNIST = Source("all")


def open_samples(path: PathOrStore | None) -> Samples:
    """Return the samples at a path, read where their digits are not known; with no path, the bundled MNIST.

    Raises FormatError for what holds nothing of that kind, RequestError where there is nothing, OSError.
    """
    samples = registry.open_samples(path)
    if isinstance(samples, ImageFile):
        return ReadImage(samples.path, samples.name)
    if isinstance(samples, Listed):
        samples.completed = partial(_with_glyphs, samples)
    return samples


def _with_glyphs(samples: Listed, strip: Strip) -> Strip:
    """Return a strip with its glyphs, if they can be read exactly and give the sequence that is known."""
    if strip.glyphs:
        return strip
    try:
        reading = transcribing.reader_of(_MNIST).read(strip.image)
    except CheckError:
        return strip
    text = "".join(map(str, reading.digits))
    if strip.text not in (None, text):
        return strip
    return replace(
        strip,
        text=text,
        glyphs=reading.glyphs,
        x=reading.x,
        boxes=boxes.recorded_or_seen(strip.image, reading.x, reading.glyph_width, _boxes_of(reading)),
        gaps=samples.gaps_of(len(text)) if strip.text is None else strip.gaps,
    )


class Look(NamedTuple):
    """The reading of an image: the strip as far as it was read, whether its ink is white, and why it is `unread`.

    `confidence` is the chance that all digits are right.
    """

    strip: Strip
    inverted: bool
    unread: str = ""
    confidence: float = 1.0


class ReadImage(ImageFile):
    """One image file, read as `decode` reads it: exactly, or else approximately if that is sure enough."""

    source = "all"

    @cached_property
    def look(self) -> Look:
        """The reading of the image. Raises FormatError, OSError."""
        image, name = self.image, self.path.name
        ((_, result),) = transcribing.transcribe([NamedImage(name, image)], _MNIST, transcribing.MIN_CONFIDENCE)
        if isinstance(result, MnistseqError):
            strip = Strip(0, name, on_white(image), None)
            return Look(strip, strip.image is not image, str(result.args[0]))
        shown = on_white(image, result.inverted)
        strip = Strip(0, name, shown, "".join(map(str, result.digits)), x=result.x)
        if isinstance(result, Reading):
            exactly = replace(strip, glyphs=result.glyphs, boxes=_boxes_of(result), gaps=result.gaps)
            return Look(exactly, result.inverted)
        nearest = nearest_glyphs(image, result, bank.load(_MNIST))
        estimated = boxes.estimated(255 - ink_of(image), result.x, result.glyph_width)
        strip = replace(strip, glyphs=nearest, boxes=estimated, confidences=result.confidences)
        return Look(strip, result.inverted, confidence=result.confidence)

    def labels(self) -> Iterator[Labels]:
        strip = self.look.strip
        glyphs = np.array([strip.glyphs or (ABSENT,)], dtype=np.int32)
        gaps = np.array([strip.gaps or (NO_GAP,) * (glyphs.shape[1] - 1)], dtype=np.int32)
        yield Labels(0, [strip.text], glyphs, gaps)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for _ in numbers:
            yield self.look.strip


def _boxes_of(reading: Reading) -> tuple[Box, ...]:
    """Return the boxes of the ink of the glyphs of MNIST that were read; they may overlap."""
    glyphs, x, y = (np.array(values, dtype=np.int32) for values in (reading.glyphs, reading.x, reading.y))
    return tuple(Box(*box) for box in boxes.of_glyphs(bank.load(_MNIST), glyphs, x, y).tolist())
