"""Owns memory for intermediate results: kept from block to block, since fresh memory costs as much as the work.

The first touch of each page of fresh memory is a page fault; large arrays are returned to the system when they go.
"""

from __future__ import annotations

from math import prod
from threading import local
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_KEPT = 4 << 20
"""Bytes of an array that is kept at most: one of a huge canvas is fresh each time."""


_memory = local()
"""The memory of each thread: arrays of bytes, by name."""


def scratch(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array that holds anything, in the memory of this thread that has this name.

    It is valid until the same name is asked for again, so it must not be part of a result.
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    kept: NDArray[np.uint8] | None = getattr(_memory, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype=np.uint8)
        if size <= _KEPT:
            setattr(_memory, name, kept)
    return kept[:size].view(dtype).reshape(shape)


def blocks(count: int, size: int, memory: int) -> list[slice]:
    """Return the rows of `count` items in blocks of at most `memory` bytes, where each item takes `size` of them."""
    step = max(1, memory // max(1, size))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
