"""Owns transcribing: the digits that strips show.

A strip that is as it was made is read exactly; one that was changed since, approximately, if that is sure enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError, FormatError, MnistseqError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading.approximate import Recogniser, Recognition
from mnist_seq_cli.reading.exact import Reader, Reading
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.samples.strip import NamedImage

MIN_CONFIDENCE = 0.7
"""Least chance of being right with which a strip counts as read approximately."""

_BATCH, _BATCH_BYTES = 256, 4 << 20

Named = tuple[str, NDArray[np.uint8]]
"""The name of a strip, and its image."""


class Transcript(NamedTuple):
    """The name of a strip, and its digits as they were read exactly or approximately; or why it cannot be read."""

    name: str
    result: Reading | Recognition | MnistseqError


def transcribe(strips: Iterable[NamedImage], source: Source, min_confidence: float) -> Iterator[Transcript]:
    """Yield the transcript of each strip, in order; strips of one size that follow each other are read at once.

    Approximately only strips are read that cannot be read exactly, and only with `min_confidence` below 1.
    """
    pending: list[Named] = []
    try:
        for name, image in strips:
            if isinstance(image, FormatError) or (pending and not _fits(image, pending)):
                yield from _read(pending, source, min_confidence)
                pending = []
            if isinstance(image, FormatError):
                yield Transcript(name, image)
            else:
                pending.append((name, image))
    except (MnistseqError, OSError):
        yield from _read(pending, source, min_confidence)
        raise
    yield from _read(pending, source, min_confidence)


def _fits(image: NDArray[np.uint8], pending: list[Named]) -> bool:
    return image.shape == pending[0][1].shape and len(pending) < min(_BATCH, _BATCH_BYTES // image.size)


def _read(strips: list[Named], source: Source, min_confidence: float) -> Iterator[Transcript]:
    if not strips:
        return
    images = np.stack([image for _, image in strips])
    for (name, image), result in zip(strips, reader_of(source).read_all(images), strict=True):
        if isinstance(result, CheckError) and min_confidence < 1:
            yield Transcript(name, _approximately(image, source, min_confidence, result))
        else:
            yield Transcript(name, result)


def _approximately(
    image: NDArray[np.uint8], source: Source, min_confidence: float, exactly: CheckError
) -> Recognition | CheckError:
    try:
        recognition = _recogniser(source).read(image)
    except CheckError:
        return exactly
    if recognition.confidence >= min_confidence:
        return recognition
    shown = format_sequence(recognition.digits[:20]) + "…" * (len(recognition.digits) > 20)
    return CheckError(
        f"{exactly.args[0]}; approximately it is {shown}, but with a confidence of {recognition.confidence:.2f} only",
        hint="`min_confidence` takes what is less sure, and `source` says which glyphs it was made of",
    )


@lru_cache(maxsize=2)
def reader_of(source: Source) -> Reader:
    """Return the reader of strips that are made of the glyphs of a source; the last two are held."""
    return Reader(bank.load(source))


@lru_cache(maxsize=2)
def _recogniser(source: Source) -> Recogniser:
    return Recogniser(bank.load(source))


def to_json(name: str, result: Reading | Recognition) -> dict[str, Any]:
    """Return the reading of a strip as JSON values."""
    confidences = (1.0,) * len(result.digits) if isinstance(result, Reading) else result.confidences
    return {
        "file": name,
        "digits": format_sequence(result.digits),
        "text": "".join(map(str, result.digits)),
        "glyphs": list(result.glyphs),
        "x": list(result.x),
        **({"y": list(result.y)} if isinstance(result, Reading) else {}),
        "gaps": list(result.gaps),
        "inverted": result.inverted,
        "exact": isinstance(result, Reading),
        "confidence": round(math.prod(confidences), 4),
        "confidences": list(confidences),
    }
