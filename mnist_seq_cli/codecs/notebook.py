"""Owns images as notebooks show them: as PNG, and as HTML that needs no other file, with a label under each."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import MnistseqError, one_line

SHOWN = 8
"""The most images of a page."""

_MAX_PIXELS = 4_000_000
"""Pixels after which a page shows no further image."""

_NARROW = 200
"""The width in px up to which images are shown three times as large, and not twice."""


def picture(image: Any) -> bytes | None:
    """Return a PNG file of an image, uint8 (height, width); None for anything else."""
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
    return png.encode(image[None])[0] if is_image else None


def figure(image: Any, label: str) -> str | None:
    """Return an image, uint8 (height, width), with its label as HTML; None for anything else."""
    content, text = picture(image), escape(label)
    if content is None:
        return None
    width = image.shape[1] * (3 if image.shape[1] <= _NARROW else 2)
    return (
        '<figure style="display:inline-block;margin:0 12px 8px 0">'
        f'<img alt="{text}" width="{width}" src="data:image/png;base64,{b64encode(content).decode()}"'
        ' style="image-rendering:pixelated;max-width:100%;height:auto;outline:1px solid #8885">'
        f'<figcaption style="text-align:center;font-family:monospace">{text}</figcaption></figure>'
    )


def page(title: str, images: Iterable[tuple[NDArray[np.uint8], str]]) -> str:
    """Return a title and the first images, each with its label, as HTML; an error of reading them as a line of it."""
    parts, pixels = [f"<div>{escape(one_line(title))}</div>"], 0
    try:
        for image, label in islice(images, SHOWN):
            parts.append(figure(image, label) or "")
            pixels += image.size
            if pixels > _MAX_PIXELS:
                break
    except (MnistseqError, OSError) as error:
        parts.append(f"<div>{escape(one_line(str(error)))}</div>")
    return f"<div>{''.join(parts)}</div>"
