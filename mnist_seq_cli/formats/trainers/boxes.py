"""Owns the files by which trainers of detectors learn where digits are, and by masks which pixels are theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.formats.format import Extra, SideFiles
from mnist_seq_cli.formats.trainers.source import Images, nothing
from mnist_seq_cli.recipe.plan import Shard

_DIGITS = tuple(range(10))
Box = tuple[int, int, int, int]
"""x, y, width and height in px."""


def digits_of(known: Annotations, row: int) -> Iterator[tuple[int, int, Box]]:
    """Yield position, digit and box of each digit of a sample that has ink."""
    length = int(known.lengths[row])
    for position, (digit, box) in enumerate(
        zip(known.digits[row, :length].tolist(), known.boxes[row, :length].tolist(), strict=True)
    ):
        if box[2] > 0 and box[3] > 0:
            yield position, digit, tuple(box)


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
        masks = known.masks if isinstance(known, Batch) and images.spec.masks else None
        found = []
        for row, sample in enumerate(known.samples):
            mask = None if masks is None else masks[row, :, : known.widths[row]]
            for position, digit, box in digits_of(known, row):
                area, segmentation = box[2] * box[3], ""
                if mask is not None:
                    pixels = mask == position + 1
                    area = int(np.count_nonzero(pixels))
                    segmentation = f', "segmentation": {{"size": {[*mask.shape]}, "counts": {_runs(pixels)}}}'
                if area:
                    found.append(
                        f',\n{{"id": {sample * most + position + 1}, "image_id": {sample}, "category_id": {digit + 1}, '
                        f'"bbox": {[*box]}, "area": {area}, "iscrowd": 0{segmentation}}}'
                    )
        return "".join(found).encode()

    categories = ", ".join(f'{{"id": {digit + 1}, "name": "{digit}", "supercategory": "digit"}}' for digit in _DIGITS)
    annotations = Extra("coco.json.annotations", b'"annotations": [\n', rows, b"\n],\n", b",\n", of_masks=True)
    last = Extra("coco.json.categories", f'"categories": [{categories}]}}\n'.encode(), nothing)
    return (Extra("coco.json", b'{"images": [\n', image_rows, b"\n],\n", b",\n", (annotations, last), True),)


def _runs(pixels: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs of pixels, column by column, of which the first is of those that are not set."""
    flat = pixels.T.reshape(-1)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return [*([0] if flat[0] else []), *np.diff(ends, prepend=0, append=flat.size).tolist()]


def yolo(images: Images) -> tuple[Extra | SideFiles, ...]:
    """Return labels/….txt for each images/….png, `class cx cy w h` in parts of the image; and data.yaml."""
    height = images.spec.recipe.height

    def named(name: str) -> str:
        inside = name.removeprefix(images.folder).removesuffix(".png")
        return f"{'labels/' if images.folder else ''}{inside}.txt"

    def contents(shard: Shard, known: Annotations) -> Iterator[tuple[str, bytes]]:
        widths = known.widths.tolist()
        for row, (name, width) in enumerate(zip(images.names(known.samples), widths, strict=True)):
            boxes = "".join(
                f"{digit} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
                for _, digit, (x, y, w, h) in digits_of(known, row)
            )
            yield named(name), boxes.encode()

    where = images.folder.rstrip("/") or "."
    return (
        Extra("data.yaml", data_yaml({"train": where, "val": where}), nothing),
        SideFiles("yolo", lambda shard: list(map(named, images.of_shard(shard))), contents),
    )


def data_yaml(folders: dict[str, str]) -> bytes:
    """Return ultralytics' data.yaml of folders of images by what they are for; without `path`, from its own folder."""
    rows = [*(f"{name}: {folder}" for name, folder in folders.items()), "names:"]
    return "\n".join([*rows, *(f"  {digit}: '{digit}'" for digit in _DIGITS), ""]).encode()


def doctr_detection(images: Images) -> tuple[Extra, ...]:
    """Return labels.json of docTR's detection: the corners of the whole sequence in each image in images/."""
    height = images.spec.recipe.height

    def rows(shard: Shard, known: Annotations) -> bytes:
        found = []
        for row, name in enumerate(images.inside(known.samples)):
            corners = np.array([(x, y, x + w, y + h) for _, _, (x, y, w, h) in digits_of(known, row)]).reshape(-1, 4)
            polygons = []
            if len(corners):
                (left, top), (right, bottom) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
                polygons = [[[left, top], [right, top], [right, bottom], [left, bottom]]]
            size = [height, int(known.widths[row])]
            found.append(f',\n"{name}": {{"img_dimensions": {size}, "img_hash": "", "polygons": {polygons}}}')
        return "".join(found).encode()

    return (Extra("labels.json", b"{\n", rows, b"\n}\n", b",\n"),)
