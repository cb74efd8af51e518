"""Owns pictures in files of any kind that Pillow reads, as grey levels; and that nothing else of Pillow's comes out."""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError, one_line

MAX_PIXELS, MAX_SIDE = 16_000_000, 100_000
"""Pixels of the largest picture that is opened, and of its longer side: as large as strips can be made.

A page of A4 at 400 dots an inch has less.
"""


def check_size(width: int, height: int) -> None:
    """Raise FormatError for a picture that is too large, and for one without pixels."""
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_SIDE:
        most = f"{MAX_PIXELS // 1_000_000} million in all and {MAX_SIDE:,} a side at most"
        raise FormatError(f"it claims {width}×{height} px, and may have {most}")


def read(
    content: bytes, formats: tuple[str, ...] | None = None, *, upright: bool = False, name: str, kind: str
) -> NDArray[np.uint8]:
    """Return the picture in the bytes of a file as grey on white: uint8 (height, width), 0 black to 255 white.

    It is of one of Pillow's `formats`, or of any; `upright` turns it as its EXIF data says that it was taken. `name` is
    the file in messages, and `kind` what it should be. Raises FormatError for anything that is no sound picture of at
    most MAX_PIXELS.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                check_size(image.width, image.height)
                if image.format == "EPS":  # which Pillow would have another program run
                    raise ValueError("it is a program that draws a picture")
                image.draft("L", image.size)  # which spares the colours of a JPEG file
                with _stderr_closed() if image.format == "TIFF" else nullcontext():
                    return _grey(_turned(image) if upright else image)
    except UnidentifiedImageError:
        reason = "it does not begin like one"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = "it claims far too many px"
    except _ERRORS as error:
        reason = one_line(str(error), 120)
    raise FormatError(f"{name} is not a sound {kind}: {reason}")


_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, AssertionError, MemoryError, Warning),
    *(ArithmeticError, LookupError, TypeError, RuntimeError),
)
"""What Pillow is known to raise for files that are not sound, with warnings as errors."""


_HALF_SEEN = 128
"""Mean opacity of a picture, of 255, below which most of it is seen through."""

_REDIRECTING = Lock()


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Send stderr nowhere while libtiff decodes, which prints lines of its own past Python; other threads' go, too."""
    with _REDIRECTING:
        try:
            stderr = os.dup(2)
        except OSError:  # it was closed before the start
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _turned(image: Any) -> Any:
    """Return a photo as it was taken; as it is stored, where its EXIF data is damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (*_ERRORS, struct.error):
        image.load()
        return image


def _grey(image: Any) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip rather than scale
        return (np.array(image) >> 8).astype(np.uint8)
    shown: Any = image
    if "A" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "black" if _is_light(layer) else "white")
        shown = Image.alpha_composite(paper, layer)
    return np.array(shown.convert("L"), dtype=np.uint8)


def _is_light(layer: Any) -> bool:
    """Return whether what can be seen of a layer is light, and much of it cannot: light ink, which white would hide."""
    alpha = np.asarray(layer.getchannel("A"), dtype=np.float32)
    grey = np.asarray(layer.convert("RGB").convert("L"), dtype=np.float32)
    return float(alpha.mean()) < _HALF_SEEN and float((alpha * grey).sum()) > 128 * float(alpha.sum())
