"""Owns the ground truth as text: a sequence as `0042`, and a sample as a line of JSON; and both back as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import ABSENT, PAPER, Annotations, Batch, drawn_names
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.recipe import Recipe

MAX_ROW = 64_000
"""Bytes of the longest row of JSON or CSV that a dataset of ours can have, and a little more."""


def texts_of(truth: Annotations) -> list[str]:
    """Return each sequence as plain text, `0042`."""
    return spelled(truth.digits, truth.lengths)


def spelled(digits: NDArray[np.uint8], lengths: NDArray[np.int32]) -> list[str]:
    """Return sequences, as in a Annotations, as plain text, `0042`."""
    width = digits.shape[1]
    text = (digits + np.uint8(ord("0"))).tobytes().decode("ascii")
    starts = range(0, len(text), width)
    return [text[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]


def rows_of(recipe: Recipe, truth: Annotations) -> Iterator[tuple[str, str]]:
    """Yield for each sample its text, and its ground truth as the inside of a JSON object."""
    columns = {name: truth.drawn[name] if name in truth.drawn else getattr(truth, name) for name in row_names(recipe)}
    texts = texts_of(truth)
    rows = [""] * len(texts)
    for length in np.flatnonzero(np.bincount(truth.lengths)).tolist():
        samples = np.flatnonzero(truth.lengths == length)
        written = {
            name: values[samples] if values.ndim == 1 else values[samples, : length - (name == "gaps")]
            for name, values in columns.items()
        }
        # All values of a row are filled in at once, which takes a third of the time of writing list after list.
        places = {name: str(np.zeros(values.shape[1:], dtype=int).tolist()) for name, values in written.items()}
        row = ", ".join(['"text": "%s"', *(f'"{name}": {place.replace("0", "%s")}' for name, place in places.items())])
        flat = [values.reshape(len(samples), -1).astype(object) for values in written.values()]
        for sample, values in zip(samples.tolist(), np.concatenate(flat, axis=1).tolist(), strict=True):
            rows[sample] = row % (texts[sample], *values)
    yield from zip(texts, rows, strict=True)


def row_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of what a row tells beside the text: what can differ from sample to sample in this recipe."""
    return ("glyphs", "x", *([] if recipe.is_level else ["y"]), "boxes", *drawn_names(recipe))


def parse_row(recipe: Recipe, line: bytes, extra: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row of JSON with exactly the keys that the recipe's rows have, and the `extra` ones.

    Raises FormatError.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    known = {"text", *row_names(recipe), *extra}
    if not isinstance(row, dict) or row.keys() != known or not isinstance(row["text"], str):
        raise FormatError(f"a row is not as we write it: {line[:80]!r}")
    return row


def to_batch(
    recipe: Recipe,
    first: int,
    rows: Iterable[dict[str, Any]],
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.uint8]] | None = None,
) -> Batch:
    """Return rows of ground truth, and the images and masks beside them, as a batch.

    Images that are narrower than the canvas are filled up with paper. Raises FormatError where not all of it fits.
    """
    listed = list(rows)
    shape = (len(listed), recipe.length)
    digits, lengths = np.zeros(shape, np.uint8), np.zeros(len(listed), np.int32)
    places = {name: np.full(shape, ABSENT, np.int32) for name in ("glyphs", "x", "y")}
    boxes = np.full((*shape, 4), ABSENT, np.int32)
    try:
        for place, row in enumerate(listed):
            text, count = row["text"], len(row["text"])
            level = {"y": [0] * count}
            known = [(values, row.get(name, level.get(name))) for name, values in places.items()]
            if not (text.isascii() and text.isdigit()) or not all(_are_integers(found, count) for _, found in known):
                raise ValueError
            if len(row["boxes"]) != count or not all(_are_integers(box, 4) for box in row["boxes"]):
                raise ValueError
            lengths[place] = count
            digits[place, :count] = [int(digit) for digit in text]
            for values, found in known:
                values[place, :count] = np.array(found, dtype=np.int32)
            boxes[place, :count] = row["boxes"]
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"the row of sample {first + place} does not fit the recipe") from None
    widths = np.array([image.shape[1] for image in images], dtype=np.int32)
    if len(images) != len(listed) or not all(fits_canvas(recipe, image) for image in images):
        raise FormatError(f"{len(listed)} rows, and {len(images)} images that are not all what the recipe makes")
    canvas = np.full((len(listed), recipe.height, recipe.width), 0 if recipe.invert else PAPER, dtype=np.uint8)
    for target, image in zip(canvas, images, strict=True):
        target[:, : image.shape[1]] = image
    masked = None
    if masks is not None:
        masked = np.zeros_like(canvas)
        for place, (mask, image) in enumerate(zip(masks, images, strict=True)):
            if mask.shape != image.shape or mask.max() > lengths[place]:
                raise FormatError(f"the mask of sample {first + place} does not fit its image and its sequence")
            masked[place, :, : mask.shape[1]] = mask
    known_places = places["glyphs"], places["x"], places["y"]
    return Batch(first, digits, lengths, *known_places, boxes, widths, canvas, masks=masked)


def fits_canvas(recipe: Recipe, image: NDArray[np.uint8]) -> bool:
    """Tell whether an image has a size that the recipe makes."""
    height, width = image.shape
    return height == recipe.height and (width == recipe.width or (recipe.fit and width <= recipe.width))


def _are_integers(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(type(value) is int for value in values)


def checked(batch: Batch, name: str) -> Batch:
    """Return the batch. Raises FormatError when it has digits, lengths or masks that samples cannot have."""
    if batch.digits.max() > 9 or batch.lengths.min() < 1 or batch.lengths.max() > batch.digits.shape[1]:
        raise FormatError(f"{name} has a label that is not a sequence of 1 to {batch.digits.shape[1]} digits")
    if batch.masks is not None and (batch.masks.max(axis=(1, 2)) > batch.lengths).any():
        raise FormatError(f"{name} has labels that masks do not fit: they show more digits")
    return batch
