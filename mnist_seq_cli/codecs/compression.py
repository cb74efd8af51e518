"""Owns the two ways to compress: for speed or for size."""

from __future__ import annotations

from typing import Literal, get_args

Compression = Literal["fast", "small"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)
