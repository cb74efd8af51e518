"""Owns annotations as text: a sequence as `0042`, a sample as a row of JSON or CSV; and all of that back as arrays.

There is one parser each for rows of JSON and for labels.csv. Strict, it takes what this package writes, and nothing
else; lenient, what any folder of labelled images may have.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import ABSENT, ARRAYS, PAPER, Annotations, Batch, sampled_names
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.options.notation import parse_sequence
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec

MAX_ROW = 64_000
"""Bytes of the longest row of JSON or CSV that a dataset of ours can have, and a little more."""

LABELS_NAME, METADATA_NAME = "labels.csv", "metadata.jsonl"
LABELS_HEADER = b"file_name,label\n"

OF_STRIPS = ("contrast", "writer", "sum")
"""The keys of rows that have one value for the whole sequence."""

FRACTIONS = ("slant", "rotate", "scale")
"""The keys whose values are fractions: hundredths."""

_SAMPLED = (*FRACTIONS, "stroke", "contrast", "writer")
"""The keys of what may have been sampled, beside gaps."""


def rows_of(recipe: Recipe, annotations: Annotations) -> Iterator[tuple[str, str]]:
    """Yield for each sample its text, and its annotations as the inside of a JSON object."""
    columns = columns_of(recipe, annotations)
    texts = annotations.texts
    rows = [""] * len(texts)
    for length in np.flatnonzero(np.bincount(annotations.lengths)).tolist():
        samples = np.flatnonzero(annotations.lengths == length)
        written = {
            name: values[samples] if values.ndim == 1 else values[samples, : length - (name == "gaps")]
            for name, values in columns.items()
        }
        # All values of a row are filled in at once, which takes a third of the time of writing list after list.
        templates = {name: str(np.zeros(values.shape[1:], dtype=int).tolist()) for name, values in written.items()}
        row = ", ".join(
            ['"text": "%s"', *(f'"{name}": {template.replace("0", "%s")}' for name, template in templates.items())]
        )
        flat = [values.reshape(len(samples), -1).astype(object) for values in written.values()]
        for sample, values in zip(samples.tolist(), np.concatenate(flat, axis=1).tolist(), strict=True):
            rows[sample] = row % (texts[sample], *values)
    yield from zip(texts, rows, strict=True)


def flat_columns(recipe: Recipe, annotations: Annotations) -> dict[str, tuple[NDArray[Any], NDArray[np.intp]]]:
    """Return the values of all rows by key, one after another, without padding; and how many each row has."""
    columns, places = {}, np.arange(recipe.length)
    for name, values in columns_of(recipe, annotations).items():
        counts = np.ones(len(values), np.intp)
        if values.ndim > 1:
            counts = np.minimum(annotations.lengths - (name == "gaps"), values.shape[1]).astype(np.intp)
            values = values[places[: values.shape[1]] < counts[:, None]]
            counts = counts * (4 if name == "boxes" else 1)
        columns[name] = values.reshape(-1), counts
    return columns


def row_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the keys of a row beside the text: what can differ from sample to sample in this recipe."""
    follow = ("operands", "sum") if recipe.operands else ()
    return ("glyphs", "x", *([] if recipe.is_level else ["y"]), "boxes", *sampled_names(recipe), *follow)


def columns_of(recipe: Recipe, annotations: Annotations) -> dict[str, NDArray[Any]]:
    """Return the values of rows by key, as far as they are known: arrays of n rows, padded as in Annotations."""
    known = {name: getattr(annotations, name) for name in ARRAYS} | {**annotations.sampled}
    if recipe.operands:
        known["operands"] = annotations.operands(recipe.operands)
        known["sum"] = known["operands"].sum(axis=1)
    return {name: known[name] for name in row_names(recipe) if name in known}


def pattern(recipe: Recipe) -> re.Pattern[bytes]:
    """Return a pattern of the rows of JSON as they are written, with their text as its group: no parser is as quick."""
    values = "".join(rf', "{name}": [0-9, .\[\]-]+' for name in row_names(recipe))
    return re.compile(rf'\{{"text": "([0-9]+)"{values}\}}'.encode(), re.ASCII)


class Row(NamedTuple):
    """The annotations of a sample that a row has: its sequence, `0042`, as `text`; the rest may be missing, and empty.

    Each of `boxes` is x, y, width and height of the ink of a digit, in px. `gaps` is None where it is not known.
    `sampled` is what else was sampled, by key: a list of a number for each digit, or one for the whole sequence.
    """

    text: str
    glyphs: tuple[int, ...] = ()
    x: tuple[int, ...] = ()
    boxes: tuple[tuple[int, ...], ...] = ()
    gaps: tuple[int, ...] | None = None
    y: tuple[int, ...] = ()
    file_name: str = ""
    mask_file_name: str = ""
    sampled: Mapping[str, Any] = {}


def strict_keys(recipe: Recipe, *others: str) -> frozenset[str]:
    """Return the keys that rows of the recipe have, as `parse_row` takes them, and the `others`."""
    return frozenset(("text", *row_names(recipe), *others))


def parse_row(line: bytes, where: str, keys: Collection[str] | None = None) -> Row:
    """Return a row of JSON. Raises FormatError, which names `where`.

    With `keys` it is strict: the row has exactly these, and all of them fit its text. Without, all but glyphs and left
    edges may be anything, and is left out where it does not fit.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise FormatError(f"{where} is not a row of JSON with a text")
    return to_row(values, where, keys)


def to_row(values: Mapping[str, Any], where: str, keys: Collection[str] | None = None) -> Row:
    """Return a row of values, of which `text` is a string; the rest is as in `parse_row`. Raises FormatError."""
    if keys is not None and values.keys() != keys:
        raise FormatError(f"{where} is not as we write it: {str(dict(values))[:80]!r}")
    text = values["text"]
    if keys is None or not (text.isascii() and text.isdigit()):
        text = parse_label(text, where)
    count = len(text)
    glyphs, x = _numbers(values.get("glyphs"), count, 0), _numbers(values.get("x"), count)
    y, gaps = _numbers(values.get("y"), count), _numbers(values.get("gaps"), count - 1)
    if glyphs is None or x is None:
        if not values.keys().isdisjoint({"glyphs", "x"}) and (values.get("glyphs"), values.get("x")) != (None, None):
            raise FormatError(f"{where} has glyphs and x that do not fit its text")
        glyphs = x = None
    boxes = _boxes(values.get("boxes"), count) if x is not None else None
    known = {"y": y, "gaps": gaps, "boxes": boxes}
    if keys is not None and any(name in keys and known[name] is None for name in known):
        raise FormatError(f"{where} has values that do not fit its text")
    names = (values.get(name) for name in ("file_name", "mask_file_name"))
    file_name, mask_file_name = (name if isinstance(name, str) else "" for name in names)
    sampled = {}
    if keys is not None:
        sampled = {name: values[name] for name in _SAMPLED if name in keys}
        if not all(_fits(name, value, count) for name, value in sampled.items()):
            raise FormatError(f"{where} has values that do not fit its text")
    return Row(text, glyphs or (), x or (), boxes or (), gaps, y or (), file_name, mask_file_name, sampled)


def _fits(name: str, value: object, count: int) -> bool:
    """Return whether a value is what may be sampled for a sequence of so many digits."""
    if name in OF_STRIPS:
        return _numbers([value], 1) is not None
    if name not in FRACTIONS:
        return _numbers(value, count) is not None
    return (
        isinstance(value, list)
        and len(value) == count
        and all(type(each) in (int, float) and abs(each) < _FAR for each in value)
    )


_FAR = 1e9
"""More than any fraction that is sampled; no comparison with it holds for what is no number."""


def _numbers(listed: object, count: int, lowest: int = 1 - 2**31) -> tuple[int, ...] | None:
    """Return so many numbers of 32 bits; None for anything else."""
    if not isinstance(listed, list) or len(listed) != count:
        return None
    return tuple(listed) if all(type(value) is int and lowest <= value < 2**31 for value in listed) else None


def _boxes(listed: object, count: int) -> tuple[tuple[int, ...], ...] | None:
    if not isinstance(listed, list) or len(listed) != count:
        return None
    boxes = tuple(box for numbers in listed if (box := _numbers(numbers, 4, 0)) is not None)
    return boxes if len(boxes) == count else None


def parse_label(label: str, where: str) -> str:
    """Return a label, spelled `0-0-4-2` or in another known way, as plain text. Raises FormatError."""
    try:
        return "".join(map(str, parse_sequence(label)))
    except RequestError as error:
        raise FormatError(f"{where}: {error.args[0]}") from None


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rows of a file; one that is longer than any of ours comes in pieces that are none."""
    return iter(partial(file.readline, MAX_ROW), b"")


def read_labels(file: BinaryIO) -> Iterator[str]:
    """Yield the sequence of each row of a labels.csv as this package writes it. Raises FormatError."""
    if file.readline(MAX_ROW) != LABELS_HEADER:
        raise FormatError(f"{LABELS_NAME} does not begin with {LABELS_HEADER.decode().strip()!r}")
    for number, line in enumerate(lines_of(file), 2):
        digits = line.rpartition(b",")[2].rstrip(b"\n").replace(b"-", b"")
        if not digits.isdigit():
            raise FormatError(f"{LABELS_NAME} has no sequence of digits in line {number}")
        yield digits.decode("ascii")


def read_any_labels(file: BinaryIO, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield file name, label as it is spelled, and line, of any CSV file with columns file_name and label.

    Raises FormatError.
    """
    table = csv.reader(line.decode("utf-8-sig", "replace") for line in lines_of(file))
    try:
        header = next(table, [])
        if not {"file_name", "label"} <= set(header):
            raise FormatError(f"{where} has no columns file_name and label")
        at_name, at_label = header.index("file_name"), header.index("label")
        for cells in table:
            if cells and len(cells) != len(header):
                raise FormatError(f"{LABELS_NAME} has {len(cells)} columns in line {table.line_num}")
            if cells:
                yield cells[at_name], cells[at_label], f"{LABELS_NAME}, line {table.line_num}"
    except csv.Error as error:
        raise FormatError(f"{LABELS_NAME} is damaged in line {table.line_num} ({error})") from None


def to_batch(
    recipe: Recipe,
    samples: Numbers,
    rows: Sequence[Row],
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.uint8]] | None = None,
) -> Batch:
    """Return strict rows of samples, and the images and masks beside them, as a batch.

    Images that are narrower than the canvas are filled up with background. Raises FormatError where not all of it fits.
    """
    texts = [row.text for row in rows]
    lengths = np.array(list(map(len, texts)), dtype=np.int32)
    if len(wrong := np.flatnonzero(lengths > recipe.length)):
        raise FormatError(f"the row of sample {samples[wrong[0]]} does not fit the recipe")
    canvas, widths = _on_canvas(recipe, len(rows), images)
    written = np.arange(recipe.length) < lengths[:, None]

    def filled(values: Iterable[Iterable[object]], *shape: int) -> NDArray[np.int32]:
        array = np.full((*written.shape, *shape), ABSENT, np.int32)
        array[written] = np.array(list(chain.from_iterable(values)), np.int32).reshape(-1, *shape)
        return array

    digits = np.zeros(written.shape, np.uint8)
    digits[written] = np.frombuffer("".join(texts).encode(), np.uint8) - ord("0")
    glyphs, x = filled(row.glyphs for row in rows), filled(row.x for row in rows)
    y = filled(row.y or (0,) * len(row.text) for row in rows)
    boxes = filled((row.boxes for row in rows), 4)
    masked = None
    if masks is not None:
        masked = np.zeros_like(canvas)
        for at, (mask, image) in enumerate(zip(masks, images, strict=True)):
            if mask.shape != image.shape or mask.max() > lengths[at]:
                raise FormatError(f"the mask of sample {samples[at]} does not fit its image and its sequence")
            masked[at, :, : mask.shape[1]] = mask
    chosen = None if isinstance(samples, range) else samples
    arrays = (digits, lengths, glyphs, x, y, boxes, widths)
    sampled = {name: _sampled(name, rows, written) for name in sampled_names(recipe)}
    return Batch(int(samples[0]), *arrays, canvas, sampled=sampled, masks=masked, chosen=chosen)


def _sampled(name: str, rows: Sequence[Row], written: NDArray[np.bool_]) -> NDArray[Any]:
    """Return what was sampled for rows: one number for each, or for each digit, with 0 after the last."""
    if name in OF_STRIPS:
        return np.array([row.sampled[name] for row in rows], np.int32)
    if name == "gaps":
        listed, written = [row.gaps or () for row in rows], written[:, 1:]
    else:
        listed = [row.sampled[name] for row in rows]
    array = np.zeros(written.shape, np.float64 if name in FRACTIONS else np.int32)
    array[written] = np.array(list(chain.from_iterable(listed)), array.dtype)
    return array.round(2)  # which undoes 32 bits


def decoded(
    spec: Spec, samples: Numbers, wheres: Sequence[str], images: Sequence[bytes], rows: Sequence[Row],
    masks: Sequence[bytes] = (), *, named: tuple[str, str] = ("the image of {}", "the mask of {}"),
) -> Batch:  # fmt: skip
    """Return strict rows of samples, and the PNG files of images and masks beside them, as a batch.

    Raises FormatError, which names one of `wheres`, as `named` says, where an image or a mask is none.
    """
    pixels, layers = (
        [png.decode(content, name=name.format(where)) for content, where in zip(contents, wheres, strict=False)]
        for contents, name in zip((images, masks), named, strict=True)
    )
    return to_batch(spec.recipe, samples, rows, pixels, layers if spec.masks else None)


def _on_canvas(
    recipe: Recipe, count: int, images: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return images on the canvas of the recipe, and their widths. Raises FormatError unless all fit."""
    if len(images) != count or not all(fits_canvas(recipe, image) for image in images):
        raise FormatError(f"{count} rows, and {len(images)} images that are not all what the recipe makes")
    canvas = np.full((count, recipe.height, recipe.width), 0 if recipe.invert else PAPER, dtype=np.uint8)
    for target, image in zip(canvas, images, strict=True):
        target[:, : image.shape[1]] = image
    return canvas, np.array([image.shape[1] for image in images], dtype=np.int32)


def fits_canvas(recipe: Recipe, image: NDArray[np.uint8]) -> bool:
    """Return whether an image has a size that the recipe makes."""
    height, width = image.shape
    return height == recipe.height and (width == recipe.width or (recipe.fit and width <= recipe.width))


def checked(batch: Batch, name: str) -> Batch:
    """Return the batch. Raises FormatError when it has digits, lengths or masks that samples cannot have."""
    if batch.digits.max() > 9 or batch.lengths.min() < 1 or batch.lengths.max() > batch.digits.shape[1]:
        raise FormatError(f"{name} has a label that is not a sequence of 1 to {batch.digits.shape[1]} digits")
    if batch.masks is not None and (batch.masks.max(axis=(1, 2)) > batch.lengths).any():
        raise FormatError(f"{name} has labels that masks do not fit: they show more digits")
    return batch
