"""Owns one image file as a sample, and the reading of images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import image_file, png
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.detection import PICTURES, kind_of, unknown_kind
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import Labels, NamedImage, Strip, on_white
from mnist_seq_cli.storage import local

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class ImageFile(Samples):
    """One image file, whose sequence is not known."""

    kind = "strip"

    def __init__(self, path: Path, name: str = "") -> None:
        self.path, self.name = path, name or str(path)

    def __len__(self) -> int:
        return 1

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image as it is stored: uint8 (height, width). Raises FormatError, OSError."""
        return read_image(self.path, self.name)

    @property
    def dataset(self) -> tuple[Path, int] | None:
        """The directory and the number, if it is a sample of a dataset, in its folder there."""
        folder, number = self.path.absolute().parent, re.fullmatch(r"([0-9]{8,12})\.png", self.path.name, re.ASCII)
        if number is None or folder.parent.name != IMAGES_NAME or not (folder.parent.parent / RECIPE_NAME).is_file():
            return None
        whole = folder.parent.parent
        return whole if self.path.is_absolute() else Path(os.path.relpath(whole)), int(number[1])

    def labels(self) -> Iterator[Labels]:
        yield Labels(0, [None], np.array([[ABSENT]], dtype=np.int32), np.empty((1, 0), dtype=np.int32))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for _ in numbers:
            yield Strip(0, self.path.name, on_white(self.image), None)

    def images(self) -> Iterator[NamedImage]:
        """Yield the image as it is stored, or why there is none."""
        try:
            yield NamedImage(self.name, self.image)
        except FormatError as error:
            yield NamedImage(self.name, error)

    def number_of(self, name: str) -> int | None:
        return 0 if re.split(r"[/\\]", name.strip())[-1] == self.path.name else super().number_of(name)


def read_image(path: Path, name: str) -> NDArray[np.uint8]:
    """Return the image in a file as it is stored, grey: uint8 (height, width). Raises FormatError, OSError."""
    with local.open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            raise FormatError(f"{name} is too large for a strip")
        return decode_image(file.read(), name)


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return the image in the content of a file, grey: uint8 (height, width). Raises FormatError."""
    kind = kind_of(content)
    if kind == "PNG":
        return png.decode(content, name=name)
    if kind not in PICTURES:
        raise unknown_kind(content, name)
    return image_file.read(content, (kind,), upright=True, name=name, kind=f"{kind} file")


def named_image(content: bytes, name: str) -> NamedImage:
    """Return the image in the content of a file, or why there is none, with a name for people."""
    try:
        return NamedImage(name, decode_image(content, name))
    except FormatError as error:
        return NamedImage(name, error)


def is_named_like_a_strip(name: str) -> bool:
    """Return whether the name is that of an image, and not of a mask."""
    name = name.lower()
    return name.endswith(_SUFFIXES) and not name.endswith(png.MASK_SUFFIX)
