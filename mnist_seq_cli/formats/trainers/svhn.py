"""Owns digitStruct.mat, the boxes of Street View House Numbers: a MATLAB 7.3 file, that is HDF5 after 512 bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.formats.format import Extra
from mnist_seq_cli.formats.trainers.boxes import by_sample, digits_of
from mnist_seq_cli.formats.trainers.source import Images
from mnist_seq_cli.recipe.plan import Shard

_HEADER = b"MATLAB 7.3 MAT-file, made by mnistseq".ljust(124) + b"\x00\x02IM"
_USER_BLOCK = 512
_KEYS = ("height", "label", "left", "top", "width")


def svhn(images: Images) -> tuple[Extra, ...]:
    """Return digitStruct.mat: a box for each digit of each image, in which 0 has the label 10."""

    def rows(shard: Shard, known: Annotations) -> bytes:
        found = digits_of(known)
        labels = np.where(found.digits == 0, 10, found.digits)
        x, y, width, height = found.boxes.T
        boxes = by_sample(found, np.stack([height, labels, x, y, width], axis=1).tolist())
        pairs = zip(images.names(known.samples), boxes, strict=True)
        return "".join([json.dumps(pair) + "\n" for pair in pairs]).encode()

    return (Extra("digitStruct.mat", b"", rows, convert=_as_matlab),)


def _as_matlab(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the file for rows of JSON. All of it is in memory: about 4 KB for each image."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_USER_BLOCK) as file:
        samples = list(map(json.loads, b"".join(pieces).splitlines()))
        struct, objects = file.create_group("digitStruct"), _Objects(file.create_group("#refs#").id)
        names, boxes = (np.empty((len(samples), 1), h5py.ref_dtype) for _ in range(2))
        for number, (name, digits) in enumerate(samples):
            text = np.frombuffer(name.encode("utf-16-le"), np.uint16)[:, None]
            names[number, 0] = objects.array(objects.inside, b"n%d" % number, text)
            boxes[number, 0] = objects.box(b"b%d" % number, digits)
        struct.create_dataset("name", data=names, dtype=h5py.ref_dtype)
        struct.create_dataset("bbox", data=boxes, dtype=h5py.ref_dtype)
    content = bytearray(buffer.getvalue())
    content[: len(_HEADER)] = _HEADER
    yield bytes(content)


class _Objects:
    """Makes what `digitStruct` refers to, and returns the references; equal numbers are one object.

    It calls the library below h5py's objects, which take five times as long.
    """

    def __init__(self, inside: Any) -> None:
        from h5py import h5p

        self.inside = inside
        self._numbers: dict[float, Any] = {}
        self._how = h5p.create(h5p.DATASET_CREATE)
        self._how.set_obj_track_times(False)  # the same bytes whenever they are made

    def array(self, group: Any, name: bytes, values: NDArray[Any]) -> Any:
        """Make a dataset of values, (n, 1)."""
        from h5py import h5d, h5r, h5s, h5t

        kind, space = h5t.py_create(values.dtype, logical=True), h5s.create_simple(values.shape)
        made = h5d.create(group, name, kind, space, self._how)
        made.write(h5s.ALL, h5s.ALL, values)
        return h5r.create(made, b".", h5r.OBJECT)

    def box(self, name: bytes, digits: list[list[int]]) -> Any:
        """Make the group of an image: numbers, or for several digits references to them."""
        from h5py import h5g, h5r, ref_dtype

        group = h5g.create(self.inside, name)
        for key, values in zip(_KEYS, np.array(digits, np.float64).reshape(-1, 5).T, strict=True):
            column = values[:, None]
            if len(values) != 1:
                column = np.empty((len(values), 1), ref_dtype)
                column[:, 0] = [self._number(value) for value in values.tolist()]
            self.array(group, key.encode(), column)
        return h5r.create(group, b".", h5r.OBJECT)

    def _number(self, value: float) -> Any:
        if value not in self._numbers:
            self._numbers[value] = self.array(self.inside, b"v%d" % value, np.array([[value]]))
        return self._numbers[value]
