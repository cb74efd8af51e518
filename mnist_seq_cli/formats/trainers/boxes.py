"""Owns the files by which trainers of detectors learn where digits are, and by masks which pixels are theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.random_words import as_array
from mnist_seq_cli.formats.format import Extra, SideFiles
from mnist_seq_cli.formats.trainers.source import Images, nothing
from mnist_seq_cli.formats.trainers.templates import filled
from mnist_seq_cli.recipe.plan import Shard

_DIGITS = tuple(range(10))

_OBJECT = (
    ',\n{"id": %%d, "image_id": %%d, "category_id": %%d, "bbox": [%%d, %%d, %%d, %%d], "area": %s, "iscrowd": 0%s}'
)
"""A digit in coco.json: first its area, and what else there is of its pixels; then the numbers."""


class Digits(NamedTuple):
    """The digits of some samples that have ink, in order: int64 (n,) each, and boxes (n, 4), in px.

    `counts` are how many each sample has.
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    digits: NDArray[np.int64]
    boxes: NDArray[np.int64]
    counts: NDArray[np.int64]


def digits_of(known: Annotations) -> Digits:
    """Return the digits of samples that have ink; beyond the end of a sequence there is none."""
    inked = (known.boxes[:, :, 2:] > 0).all(axis=2)
    rows, positions = np.nonzero(inked)
    digits, boxes = known.digits[inked].astype(np.int64), known.boxes[inked].astype(np.int64)
    return Digits(rows, positions, digits, boxes, np.count_nonzero(inked, axis=1))


def by_sample(found: Digits, values: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield a list for each sample of the values of its digits."""
    each = iter(values)
    return (list(islice(each, count)) for count in found.counts.tolist())


def coco(images: Images) -> tuple[Extra, ...]:
    """Return coco.json: a box for each digit, and with masks the pixels in which it is seen, as uncompressed RLE.

    The category of a digit is the digit + 1. A digit that others hide wholly has an area of 0, and is left out where
    there are masks to tell.
    """
    height, most = images.spec.recipe.height, images.spec.recipe.length

    def image_rows(shard: Shard, known: Annotations) -> bytes:
        each = zip(known.samples, known.widths.tolist(), images.names(known.samples), strict=True)
        return "".join(
            f',\n{{"id": {sample}, "width": {width}, "height": {height}, "file_name": "{name}"}}'
            for sample, width, name in each
        ).encode()

    def rows(shard: Shard, known: Annotations) -> bytes:
        found, numbers = digits_of(known), as_array(known.samples)
        samples, areas = numbers[found.rows], found.boxes[:, 2] * found.boxes[:, 3]
        columns = (samples * most + found.positions + 1, samples, found.digits + 1, *found.boxes.T)
        if not images.spec.masks or not isinstance(known, Batch) or known.masks is None:
            return filled(_OBJECT % ("%d", ""), (*columns, areas))
        rows = []
        each = zip(found.rows.tolist(), found.positions.tolist(), *(column.tolist() for column in columns), strict=True)
        for row, position, *values in each:
            pixels = known.masks[row, :, : known.widths[row]] == position + 1
            if area := np.count_nonzero(pixels):
                runs = f', "segmentation": {{"size": {[*pixels.shape]}, "counts": {_runs(pixels)}}}'
                rows.append(_OBJECT % (area, runs) % tuple(values))
        return "".join(rows).encode()

    categories = ", ".join(f'{{"id": {digit + 1}, "name": "{digit}", "supercategory": "digit"}}' for digit in _DIGITS)
    annotations = Extra("coco.json.annotations", b'"annotations": [\n', rows, b"\n],\n", b",\n", of_masks=True)
    last = Extra("coco.json.categories", f'"categories": [{categories}]}}\n'.encode(), nothing)
    return (Extra("coco.json", b'{"images": [\n', image_rows, b"\n],\n", b",\n", (annotations, last), True),)


def _runs(pixels: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs of pixels, column by column, of which the first is of those that are not set."""
    flat = pixels.T.reshape(-1)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return [*([0] if flat[0] else []), *np.diff(ends, prepend=0, append=flat.size).tolist()]


_YOLO = "%d %.6f %.6f %.6f %.6f\n"
"""A digit in a file of YOLO: its class, the centre of its box, its width and height."""


def yolo(images: Images) -> tuple[Extra | SideFiles, ...]:
    """Return labels/….txt for each images/….png, `class cx cy w h` in parts of the image; and data.yaml."""
    height = images.spec.recipe.height

    def named(name: str) -> str:
        inside = name.removeprefix(images.folder).removesuffix(".png")
        return f"{'labels/' if images.folder else ''}{inside}.txt"

    def contents(shard: Shard, known: Annotations) -> Iterator[tuple[str, bytes]]:
        found = digits_of(known)
        x, y, w, h = found.boxes.T
        widths = known.widths[found.rows].astype(np.int64)
        columns = (found.digits, (2 * x + w) / (2 * widths), (2 * y + h) / (2 * height), w / widths, h / height)
        rows = map(_YOLO.__mod__, zip(*(column.tolist() for column in columns), strict=True))
        for name, lines in zip(images.names(known.samples), by_sample(found, rows), strict=True):
            yield named(name), "".join(lines).encode()

    where = images.folder.rstrip("/") or "."
    return (
        Extra("data.yaml", data_yaml({"train": where, "val": where}), nothing),
        SideFiles("yolo", lambda shard: list(map(named, images.of_shard(shard))), contents),
    )


def data_yaml(folders: dict[str, str]) -> bytes:
    """Return ultralytics' data.yaml of folders of images by what they are for; without `path`, from its own folder."""
    rows = [*(f"{name}: {folder}" for name, folder in folders.items()), "names:"]
    return "\n".join([*rows, *(f"  {digit}: '{digit}'" for digit in _DIGITS), ""]).encode()


_FAR = 2**31 - 1
"""More than any offset in px."""


def doctr_detection(images: Images) -> tuple[Extra, ...]:
    """Return labels.json of docTR's detection: the corners of the whole sequence in each image in images/."""
    height = images.spec.recipe.height

    def rows(shard: Shard, known: Annotations) -> bytes:
        inked = (known.boxes[:, :, 2:] > 0).all(axis=2, keepdims=True)
        starts = np.where(inked, known.boxes[:, :, :2], _FAR).min(axis=1)
        stops = np.where(inked, known.boxes[:, :, :2] + known.boxes[:, :, 2:], -1).max(axis=1)
        corners = np.concatenate([starts, stops], axis=1).tolist()
        found = []
        each = zip(images.inside(known.samples), known.widths.tolist(), corners, strict=True)
        for name, width, (left, top, right, bottom) in each:
            polygon = f"[[[{left}, {top}], [{right}, {top}], [{right}, {bottom}], [{left}, {bottom}]]]"
            found.append(
                f',\n"{name}": {{"img_dimensions": [{height}, {width}], "img_hash": "", '
                f'"polygons": {polygon if right >= 0 else []}}}'
            )
        return "".join(found).encode()

    return (Extra("labels.json", b"{\n", rows, b"\n}\n", b",\n"),)
