"""Owns randomness: words addressed by (seed, purpose, sample), the same on every machine and numpy version.

Only the raw stream of the Philox bit generator is used, at a counter that is computed from the sample's index, so any
sample can be made alone. Philox4x64: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011. One purpose per kind of choice keeps every old stream where it is when a new choice is added.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4
"""Words that Philox makes at a time: a sample's words begin at a block."""


@lru_cache(maxsize=64)
def _key(seed: int) -> int:
    return int.from_bytes(blake2b(f"mnistseq/rng/v1/{seed}".encode(), digest_size=16).digest(), "little")


@lru_cache(maxsize=64)
def _domain(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


def words(seed: int, purpose: str, first: int, stop: int, per_sample: int) -> NDArray[np.uint64]:
    """Return the random words of samples `first` to `stop` for one purpose.

    The result is uint64 (stop - first, per_sample). A sample owns whole blocks of four words, so its words depend on
    `per_sample` rounded up to a multiple of four, and on nothing else.
    """
    blocks = -(-per_sample // BLOCK)
    counter = first * blocks + (_domain(purpose) << 128)
    random = np.random.Philox(key=_key(seed), counter=counter).random_raw((stop - first) * blocks * BLOCK)
    return random.reshape(stop - first, blocks * BLOCK)[:, :per_sample]


def bounded_integers(random: NDArray[np.uint64], bound: int | NDArray[Any]) -> NDArray[np.int64]:
    """Return integers uniform over 0 to `bound` - 1, one for each word; `bound` < 2**32 may be an array.

    The high half of word × bound, with the product taken in two halves to stay within 64 bits (multiply-high:
    Lemire, "Fast random integer generation in an interval", 2019, without its rejection step, so that the number of
    words used is fixed; the bias is below bound / 2**64).
    """
    limit = np.asarray(bound, dtype=np.uint64)
    half = np.uint64(32)
    carry = (random & np.uint64(0xFFFFFFFF)) * limit
    carry >>= half
    product = (random >> half) * limit
    product += carry
    product >>= half
    return product.view(np.int64)
