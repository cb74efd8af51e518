"""Owns the ground truth as text: a sequence as `0042`, and a sample as a line of JSON; and both back as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.compose import ABSENT, Batch, Truth
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe import Recipe

MAX_ROW = 64_000
"""Bytes of the longest row of JSON or CSV that a dataset of ours can have, and a little more."""


def texts_of(truth: Truth) -> list[str]:
    """Return each sequence as plain text, `0042`."""
    width = truth.digits.shape[1]
    text = (truth.digits + np.uint8(ord("0"))).tobytes().decode("ascii")
    starts = range(0, len(text), width)
    return [text[start : start + length] for start, length in zip(starts, truth.lengths.tolist(), strict=True)]


def rows_of(truth: Truth) -> Iterator[tuple[str, str]]:
    """Yield for each sample its text, and its ground truth as the inside of a JSON object."""
    width = truth.digits.shape[1]
    for text, glyphs, x in zip(texts_of(truth), truth.glyphs.tolist(), truth.x.tolist(), strict=True):
        if len(text) < width:
            glyphs, x = glyphs[: len(text)], x[: len(text)]
        yield text, f'"text": "{text}", "glyphs": {glyphs}, "x": {x}'


def parse_row(line: bytes, extra: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row of JSON with exactly `text`, `glyphs`, `x` and the `extra` keys. Raises FormatError."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or row.keys() != {"text", "glyphs", "x", *extra} or not isinstance(row["text"], str):
        raise FormatError(f"a row is not as we write it: {line[:80]!r}")
    return row


def to_batch(recipe: Recipe, first: int, rows: Iterable[dict[str, Any]], images: NDArray[np.uint8]) -> Batch:
    """Return rows of ground truth and the images beside them as a batch. Raises FormatError where they do not fit."""
    listed = list(rows)
    shape = (len(listed), recipe.length)
    digits, glyphs, x = np.zeros(shape, np.uint8), np.full(shape, ABSENT, np.int32), np.full(shape, ABSENT, np.int32)
    lengths = np.zeros(len(listed), np.int32)
    try:
        for place, row in enumerate(listed):
            text, count = row["text"], len(row["text"])
            if not (text.isascii() and text.isdigit()) or any(
                not _are_integers(row[key], count) for key in ("glyphs", "x")
            ):
                raise ValueError
            lengths[place] = count
            digits[place, :count] = [int(digit) for digit in text]
            glyphs[place, :count] = row["glyphs"]
            x[place, :count] = row["x"]
    except (ValueError, OverflowError):
        raise FormatError(f"the row of sample {first + place} does not fit the recipe") from None
    if images.shape != (len(listed), recipe.glyph_height, recipe.width):
        raise FormatError(f"{len(listed)} rows, and images of the shape {images.shape}")
    return Batch(first, digits, lengths, glyphs, x, images)


def _are_integers(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(type(value) is int for value in values)


def checked(batch: Batch, name: str) -> Batch:
    """Return the batch. Raises FormatError when it has digits above 9, or lengths that its rows cannot have."""
    if batch.digits.max() > 9 or batch.lengths.min() < 1 or batch.lengths.max() > batch.digits.shape[1]:
        raise FormatError(f"{name} has a label that is not a sequence of 1 to {batch.digits.shape[1]} digits")
    return batch
