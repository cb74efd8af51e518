"""Owns the detection of the kind of a file, by its first bytes."""

from __future__ import annotations

from mnist_seq_cli.codecs import npz, png, tar
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import idx

ENOUGH = 512
"""Bytes from which `kind_of` knows the kind of a file."""

_STARTS: dict[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    **{b"P%d%c" % (number, blank): "PPM" for number in range(1, 7) for blank in b"\n "},
}
"""The formats beside PNG that strips are read from, by how their files begin."""

PICTURES = frozenset(_STARTS.values())


def kind_of(start: bytes) -> str | None:
    """Return the kind of a file from its first bytes: PNG, one of PICTURES, idx, tar or npz; None for others."""
    if start.startswith(png.SIGNATURE):
        return "PNG"
    if idx.looks_like_idx(start[:16]):
        return "idx"
    if tar.looks_like_tar(start):
        return "tar"
    if start.startswith(npz.SIGNATURE):
        return "npz"
    return next((kind for beginning, kind in _STARTS.items() if start.startswith(beginning)), None)


def unknown_kind(start: bytes, name: str) -> FormatError:
    """Return the error for a file of no kind that is known, from its first bytes."""
    if not start:
        return FormatError(f"{name} is empty")
    hint = f"it begins with {start[:4].hex(' ')}"
    return FormatError(f"{name} is neither an image nor an IDX, tar or npz file", hint=hint)
