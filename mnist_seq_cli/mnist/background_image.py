"""Owns background images: custom pictures, such as scans, of which each strip lies on a part."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.inputs import open_named
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.bounds import MAX_FILE


class BackgroundImage(NamedTuple):
    """A background: `levels` uint8 (height, width), 0 black to 255 white; recipes name it by its `identity`."""

    levels: NDArray[np.uint8]
    identity: str


def load(source: Source) -> BackgroundImage | None:
    """Return the background image that is given with a source; None without one. Raises as `read` does."""
    return None if source.background is None else _read_once(source.background)


def read(path: Path) -> BackgroundImage:
    """Return the background in a picture of any format that Pillow reads.

    Raises RequestError where there is no file, FormatError for what is no sound picture, OSError.
    """
    if not path.is_file():
        raise RequestError(
            f"{path} is not a file" if path.exists() else f"{path} does not exist",
            hint="`paper` takes plain, gradient, grain or a picture",
        )
    from mnist_seq_cli.codecs import image_file

    with open_named(path) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise FormatError(f"{path} is too large for a background")
    levels = image_file.read(content, name=str(path), kind="picture")
    digest = sha256(f"{levels.shape}".encode())
    digest.update(levels.data)
    return BackgroundImage(levels, f"sha256:{digest.hexdigest()}")


_read_once = lru_cache(maxsize=4)(read)
