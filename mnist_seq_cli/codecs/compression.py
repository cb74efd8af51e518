"""Owns the two ways to compress: for speed or for size."""

from __future__ import annotations

from typing import Literal, get_args

Compression = Literal["fast", "small"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)

LEVELS: dict[Compression, int] = {"fast": 0, "small": 2}
"""The levels of ISA-L. Its level 1 is no faster, and gives other bytes for one image in some 10,000 now and then."""
