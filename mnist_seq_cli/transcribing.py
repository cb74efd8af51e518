"""Owns transcribing: what strips are given, in files, folders, datasets or bytes, and the digits that each shows.

A strip that stands as it was made is read exactly; one that was changed since, by likeness, if that is sure enough.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import bank, decoding, files, idx, manifest, pictures, png
from mnist_seq_cli.bank import Source
from mnist_seq_cli.errors import CheckError, FormatError, MnistseqError, RequestError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME
from mnist_seq_cli.png import MASK_SUFFIX
from mnist_seq_cli.reading import Reader, Reading
from mnist_seq_cli.recipe import format_sequence
from mnist_seq_cli.recognising import Recogniser, Recognition
from mnist_seq_cli.stored import open_dataset

MIN_CONFIDENCE = 0.7
"""Least chance of being right with which a strip counts as read by likeness."""

MAX_FILE = 256 << 20
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")

_PICTURES: dict[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    **{b"P%d" % number + blank: "PPM" for number in range(1, 7) for blank in (b"\n", b" ")},
}
"""The formats beside PNG that strips are read from, by how their files begin."""

_FILE_EACH = ("png", "folders")
"""The formats in which each strip is a file: they are read as folders are, under the names of the files."""

_BATCH, _BATCH_BYTES = 256, 4 << 20


class Strip(NamedTuple):
    """A strip that was given: its name for people, and its image, or why there is none."""

    name: str
    image: NDArray[np.uint8] | FormatError


Named = tuple[str, NDArray[np.uint8]]
"""The name of a strip, and its image."""


class Transcript(NamedTuple):
    """What a strip shows: exactly, or most likely, or why that cannot be said."""

    name: str
    result: Reading | Recognition | MnistseqError


def of_bytes(content: bytes, name: str) -> NDArray[Any] | Iterator[Strip]:
    """Return the array in the bytes of an IDX file, or the strip in those of an image. Raises FormatError."""
    if not content:
        raise FormatError(f"{name} is empty", hint="pipe an image or an IDX file in")
    if idx.looks_like_idx(content[:16]):
        return idx.read(content, name=name)
    return iter([_strip(content, name)])


def of_path(name: str) -> NDArray[Any] | Iterator[Strip]:
    """Return the array in an IDX file; or the strips in an image file, in a folder of them, or in a dataset.

    Raises RequestError where there is nothing, FormatError for what is none of these, OSError.
    """
    path = Path(name)
    if decoding.is_directory(path):
        return _of_directory(path)
    decoding.require_file(path)
    with path.open("rb") as file:
        start = file.read(16)
    if idx.looks_like_idx(start):
        return idx.read(path)
    if _kind(start) is None:
        raise _neither(start, name)
    return iter([_strip_file(path, name)])


def _of_directory(path: Path) -> Iterator[Strip]:
    spec = manifest.read_spec(path)
    if spec is not None and spec.format not in _FILE_EACH:
        data = open_dataset(path)
        size = max(1, min(_BATCH, _BATCH_BYTES // (data.recipe.height * data.recipe.width)))
        for first in range(0, len(data), size):
            images = data.batch(first, min(first + size, len(data))).images
            for sample, image in enumerate(images, first):
                yield Strip(str(path / f"{sample:08d}"), image)
        return
    found = False
    for image_path in image_files(path):
        found = True
        yield _strip_file(image_path, str(image_path))
    if not found:
        raise RequestError(f"{path} holds no images", hint="give a folder of images, or a dataset")


def image_files(directory: Path) -> Iterator[Path]:
    """Yield the image files in a folder and those in it, by name.

    Left out are hidden ones, links to folders, and masks: what is beside its strips under the name of a mask, and a
    folder `masks` beside one `images`.
    """
    for folder, folders, names in os.walk(directory):
        without = MASKS_NAME if IMAGES_NAME in folders else ""
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != without)
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.endswith(MASK_SUFFIX) and not name.startswith("."):
                yield Path(folder, name)


def _strip_file(path: Path, name: str) -> Strip:
    with files.open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            return Strip(name, FormatError(f"{name} is too large for a strip"))
        return _strip(file.read(), name)


def _strip(content: bytes, name: str) -> Strip:
    try:
        return Strip(name, decode_image(content, name))
    except FormatError as error:
        return Strip(name, error)


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return the image in a file as grey on white: uint8 (height, width). Raises FormatError."""
    kind = _kind(content)
    if kind == "PNG":
        return png.decode(content, name=name)
    if kind is None:
        raise _neither(content, name)
    return pictures.read(content, (kind,), name=name, kind=f"{kind} file")


def _kind(content: bytes) -> str | None:
    if content.startswith(png.SIGNATURE):
        return "PNG"
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)


def _neither(content: bytes, name: str) -> FormatError:
    if not content:
        return FormatError(f"{name} is empty")
    return FormatError(f"{name} is neither an image nor an IDX file", hint=f"it begins with {content[:4].hex(' ')}")


def transcribe(strips: Iterable[Strip], source: Source, min_confidence: float) -> Iterator[Transcript]:
    """Yield what each strip shows, in order; strips of one size that follow each other are read at once.

    By likeness only strips are read that cannot be read exactly, and only with `min_confidence` below 1.
    """
    pending: list[Named] = []
    try:
        for name, image in strips:
            if isinstance(image, FormatError):
                yield from _read(pending, source, min_confidence)
                pending = []
                yield Transcript(name, image)
                continue
            if pending and (
                image.shape != pending[0][1].shape or len(pending) >= max(1, min(_BATCH, _BATCH_BYTES // image.size))
            ):
                yield from _read(pending, source, min_confidence)
                pending = []
            pending.append((name, image))
    except (MnistseqError, OSError):
        yield from _read(pending, source, min_confidence)
        raise
    yield from _read(pending, source, min_confidence)


def _read(strips: list[Named], source: Source, min_confidence: float) -> Iterator[Transcript]:
    """Yield what strips of one size show."""
    if not strips:
        return
    images = np.stack([image for _, image in strips])
    for (name, image), result in zip(strips, _reader(source).read_all(images), strict=True):
        if isinstance(result, CheckError) and min_confidence < 1:
            yield Transcript(name, _by_likeness(image, source, min_confidence, result))
        else:
            yield Transcript(name, result)


def _by_likeness(
    image: NDArray[np.uint8], source: Source, min_confidence: float, exactly: CheckError
) -> Recognition | CheckError:
    try:
        found = _recogniser(source).read(image)
    except CheckError:
        return exactly
    if found.confidence >= min_confidence:
        return found
    shown = format_sequence(found.digits[:20]) + "…" * (len(found.digits) > 20)
    return CheckError(
        f"{exactly.args[0]}; by likeness it is {shown}, but with a confidence of {found.confidence:.2f} only",
        hint="--min-confidence takes what is less sure, and --source says which glyphs it was made of",
    )


@lru_cache(maxsize=2)
def _reader(source: Source) -> Reader:
    return Reader(bank.load(source))


@lru_cache(maxsize=2)
def _recogniser(source: Source) -> Recogniser:
    return Recogniser(bank.load(source))


def to_json(name: str, found: Reading | Recognition) -> dict[str, Any]:
    """Return what a strip shows as JSON values."""
    sure = found.confidences if isinstance(found, Recognition) else (1.0,) * len(found.digits)
    return {
        "file": name,
        "digits": format_sequence(found.digits),
        "text": "".join(map(str, found.digits)),
        "glyphs": list(found.glyphs),
        "x": list(found.x),
        "gaps": list(found.gaps),
        "inverted": found.inverted,
        "exact": isinstance(found, Reading),
        "confidence": round(math.prod(sure), 4),
        "confidences": list(sure),
    }
