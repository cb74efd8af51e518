"""Owns the two ways to compress: for speed or for size."""

from __future__ import annotations

from typing import Literal, get_args

Compression = Literal["fast", "small"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)

LEVELS: dict[Compression, int] = {"fast": 0, "small": 3}
"""The levels of ISA-L. At 1 and 2 it hashes an address in memory in the place of the third byte of an image and those
after it, so that one image in some 10,000 now and then has other bytes than in another run."""
