"""Owns decoding: what encoded files mean, and the forms in which that is given out.

A PNG strip means its digits; an IDX file means the images, labels or numbers in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import bank, files, idx, png
from mnist_seq_cli.bank import Source
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.reading import Reader, Reading
from mnist_seq_cli.recipe import format_sequence

Form = Literal["png", "npz", "text"]
FORMS: tuple[Form, ...] = get_args(Form)

MAX_FILE = 256 << 20

_READERS: dict[Source, Reader] = {}


def is_directory(path: Path) -> bool:
    """Tell whether there is a directory of that name. Raises RequestError for a name that cannot be."""
    try:
        return path.is_dir()
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None


def require_file(path: Path) -> None:
    """Raise RequestError unless there is a regular file of that name."""
    if is_directory(path) or not path.is_file():
        raise RequestError(f"{path} is not a file" if path.exists() else f"there is no {path}")


def of_file(path: Path) -> NDArray[Any] | bytes:
    """Return the array in an IDX file, or the bytes of a PNG file. Raises FormatError, RequestError, OSError."""
    require_file(path)
    with path.open("rb") as file:
        start = file.read(16)
        if start.startswith(png.SIGNATURE):
            if path.stat().st_size > MAX_FILE:
                raise FormatError(f"{path} is too large for a strip")
            return start + file.read()
    return _array(path, start, str(path))


def of_bytes(content: bytes, name: str) -> NDArray[Any] | bytes:
    """Return the array in the bytes of an IDX file, or the bytes when they are a PNG file. Raises FormatError."""
    if not content:
        raise FormatError(f"{name} is empty", hint="pipe a PNG or an IDX file in")
    return content if content.startswith(png.SIGNATURE) else _array(content, content[:16], name)


def _array(source: Path | bytes, start: bytes, name: str) -> NDArray[Any]:
    if not idx.looks_like_idx(start):
        raise FormatError(f"{name} is neither a PNG file nor an IDX file", hint=f"it begins with {start[:4].hex(' ')}")
    return idx.read(source, name=name)


def read_strip(content: bytes, source: Source, name: str) -> Reading:
    """Return what the strip in a PNG file shows, by exact match against the glyphs of a source.

    Raises FormatError for a file that is not sound, CheckError for a strip that has no exact reading.
    """
    image = png.decode(content, name=name)
    if source not in _READERS:
        _READERS[source] = Reader(bank.load(source))
    return _READERS[source].read(image)


def reading_json(reading: Reading, name: str) -> dict[str, Any]:
    """Return a reading as JSON values."""
    return {
        "file": name,
        "digits": format_sequence(reading.digits),
        "text": "".join(map(str, reading.digits)),
        "glyphs": list(reading.glyphs),
        "x": list(reading.x),
        "gaps": list(reading.gaps),
        "inverted": reading.inverted,
    }


def is_images(array: NDArray[Any]) -> bool:
    """Tell whether an array from an IDX file is images: uint8 with three dimensions."""
    return array.ndim == 3 and array.dtype == np.uint8


def give_out(array: NDArray[Any], name: str, form: Form | None, output: Path | None) -> Iterator[str]:
    """Write what is in an array from an IDX file, or tell it; yield the lines of stdout: paths, or values.

    Images go to PNG files in `output`, or to one npz file; labels and numbers are lines unless npz is asked for.
    Raises RequestError where that cannot be, OSError.
    """
    if form == "npz" or (form is None and output is not None and output.suffix.lower() == ".npz"):
        if output is None:
            raise RequestError("an npz file needs a name", hint="give it with -o FILE.npz")
        write_npz(array, output)
        yield str(output)
    elif is_images(array):
        if output is None:
            places = "-o DIR/ writes PNG files, -o FILE.npz one file, --as text draws them"
            raise RequestError(f"{name} holds {len(array)} images", hint=places)
        yield from map(str, write_pngs(array, output))
    elif form == "png":
        raise RequestError(
            f"{name} holds {array.ndim}-dimensional {array.dtype.name}, not images", hint="leave --as out"
        )
    elif array.ndim > 2:
        raise RequestError(f"{name} has {array.ndim} dimensions, too many for text", hint="take -o FILE.npz")
    elif output is not None:
        raise RequestError(
            f"{name} holds labels or numbers, which go to stdout", hint="leave -o out, or end it in .npz"
        )
    else:
        yield from _lines(array)


def _lines(array: NDArray[Any]) -> Iterator[str]:
    sequences = array.dtype == np.uint8 and array.max() <= 9
    for row in array:
        if array.ndim == 1:
            yield str(row.item())
        elif sequences:
            yield format_sequence(row.tolist())
        else:
            yield " ".join(map(str, row.tolist()))


def write_pngs(images: NDArray[np.uint8], directory: Path) -> Iterator[Path]:
    """Write images, uint8 (n, height, width), as PNG files named by their place; yield the paths. Raises OSError."""
    files.make_directory(directory)
    digits = max(5, len(str(len(images) - 1)))
    batch = max(1, min(1_000, (4 << 20) // images[0].size))
    for start in range(0, len(images), batch):
        for place, content in enumerate(png.encode(np.asarray(images[start : start + batch])), start):
            path = directory / f"{place:0{digits}d}.png"
            files.write_whole(path, content, sync=False)
            yield path


def write_npz(array: NDArray[Any], path: Path) -> None:
    """Write an array as `images` (uint8, three dimensions) or `values` in an npz file. Raises OSError."""
    files.make_directory(path.parent)
    temporary = files.partial_name(path)
    try:
        with temporary.open("xb") as file:
            native = array.astype(array.dtype.newbyteorder("<"), copy=False)
            np.savez(file, allow_pickle=False, **{"images" if is_images(array) else "values": native})
        files.place(temporary, path)
    except BaseException:
        files.remove(temporary)
        raise
