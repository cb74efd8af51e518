"""Owns transcribing: the digits that strips show.

A strip that is as it was made is read exactly; others approximately, if that is sure enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import CheckError, FormatError, MnistseqError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading.exact import Reader, Reading
from mnist_seq_cli.reading.recognition import Recognition, recognise
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.samples.strip import NamedImage

MIN_CONFIDENCE = 0.7
"""Least chance of being right with which a strip counts as read approximately."""

_BATCH, _BATCH_BYTES = 256, 4 << 20


class Transcript(NamedTuple):
    """The name of a strip, and its digits as they were read exactly or approximately; or why it cannot be read."""

    name: str
    result: Reading | Recognition | MnistseqError


def transcribe(strips: Iterable[NamedImage], source: Source, min_confidence: float) -> Iterator[Transcript]:
    """Yield the transcript of each strip, in order; many that follow each other are read at once.

    Approximately only strips are read that cannot be read exactly, and only with `min_confidence` below 1.
    """
    pending: list[NamedImage] = []
    size = 0
    try:
        for strip in strips:
            pending.append(strip)
            size += 0 if isinstance(strip.image, FormatError) else strip.image.size
            if len(pending) == _BATCH or size >= _BATCH_BYTES:
                yield from _read(pending, source, min_confidence)
                pending, size = [], 0
    except (MnistseqError, OSError):
        yield from _read(pending, source, min_confidence)
        raise
    yield from _read(pending, source, min_confidence)


def _read(strips: list[NamedImage], source: Source, min_confidence: float) -> Iterator[Transcript]:
    """Yield the transcripts of strips: those of one size are read exactly at once, and all others approximately."""
    results: dict[int, Reading | Recognition | MnistseqError] = {}
    images: dict[int, NDArray[np.uint8]] = {}
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, (_, image) in enumerate(strips):
        if isinstance(image, FormatError):
            results[number] = image
        else:
            images[number] = image
            by_shape.setdefault(image.shape, []).append(number)
    for numbers in by_shape.values():
        together = np.stack([images[number] for number in numbers])
        results.update(zip(numbers, reader_of(source).read_all(together), strict=True))
    if min_confidence < 1:
        unread = [number for number in images if isinstance(results[number], CheckError)]
        for number, recognition in zip(unread, recognise(map(images.__getitem__, unread)), strict=True):
            results[number] = _if_sure(recognition, min_confidence, results[number])
    for number, (name, _) in enumerate(strips):
        yield Transcript(name, results[number])


def _if_sure(recognition: Recognition | CheckError, min_confidence: float, exactly: Any) -> Recognition | CheckError:
    """Return a recognition, or why a strip is unread: `exactly` says why it could not be read exactly."""
    if isinstance(recognition, CheckError):
        return CheckError(f"{exactly.args[0]}; and {recognition.args[0]}", hint="there is nothing to read")
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


def to_json(name: str, result: Reading | Recognition) -> dict[str, Any]:
    """Return the reading of a strip as JSON values."""
    return {
        "file": name,
        "digits": format_sequence(result.digits),
        "text": "".join(map(str, result.digits)),
        "glyphs": list(result.glyphs) if isinstance(result, Reading) else None,
        "x": list(result.x),
        **({"y": list(result.y)} if isinstance(result, Reading) else {}),
        "gaps": list(result.gaps),
        "inverted": result.inverted,
        "exact": isinstance(result, Reading),
        "confidence": 1.0 if isinstance(result, Reading) else result.confidence,
        "confidences": [1.0] * len(result.digits) if isinstance(result, Reading) else list(result.confidences),
    }
