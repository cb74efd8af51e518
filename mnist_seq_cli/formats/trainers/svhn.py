"""Owns digitStruct.mat, the boxes of Street View House Numbers: a MATLAB 7.3 file, that is HDF5 after 512 bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.formats.format import Extra
from mnist_seq_cli.formats.trainers.boxes import digits_of
from mnist_seq_cli.formats.trainers.source import Images
from mnist_seq_cli.recipe.plan import Shard

_HEADER = b"MATLAB 7.3 MAT-file, made by mnistseq".ljust(124) + b"\x00\x02IM"
_USER_BLOCK = 512
_KEYS = ("height", "label", "left", "top", "width")


def svhn(images: Images) -> tuple[Extra, ...]:
    """Return digitStruct.mat: a box for each digit of each image, in which 0 has the label 10."""

    def rows(shard: Shard, known: Annotations) -> bytes:
        lines = []
        for row, name in enumerate(images.names(known.samples)):
            boxes = [[h, digit or 10, x, y, w] for _, digit, (x, y, w, h) in digits_of(known, row)]
            lines.append(json.dumps([name, boxes]) + "\n")
        return "".join(lines).encode()

    return (Extra("digitStruct.mat", b"", rows, convert=_as_matlab),)


def _as_matlab(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the file for rows of JSON. All of it is in memory: about 4 KB for each digit."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_USER_BLOCK) as file:
        samples = list(map(json.loads, b"".join(pieces).splitlines()))
        inside, struct = file.create_group("#refs#"), file.create_group("digitStruct")
        names, boxes = (struct.create_dataset(key, (len(samples), 1), h5py.ref_dtype) for key in ("name", "bbox"))
        for number, (name, digits) in enumerate(samples):
            text = np.frombuffer(name.encode("utf-16-le"), np.uint16)[:, None]
            names[number, 0] = inside.create_dataset(f"n{number}", data=text).ref
            boxes[number, 0] = _box(inside, f"b{number}", digits).ref
    content = bytearray(buffer.getvalue())
    content[: len(_HEADER)] = _HEADER
    yield bytes(content)


def _box(inside: Any, name: str, digits: list[list[int]]) -> Any:
    """Return the group of an image: numbers, or for several digits references to them."""
    import h5py

    group = inside.create_group(name)
    for key, values in zip(_KEYS, np.array(digits, np.float64).reshape(-1, 5).T, strict=True):
        if len(values) == 1:
            group.create_dataset(key, data=values[:, None])
            continue
        references = group.create_dataset(key, (len(values), 1), h5py.ref_dtype)
        for at, value in enumerate(values):
            references[at, 0] = inside.create_dataset(f"{name}{key}{at}", data=[[value]]).ref
    return group
