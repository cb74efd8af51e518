"""Owns shuffles in which any position can be looked up alone: keyed permutations of 0 to n - 1, without a list.

A Feistel network permutes the smallest even power of two that holds n, and values that fall outside walk on until they
are inside (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). The number of steps
is below four on average. This is for shuffling, not for secrecy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.random_words import words

MAX_SIZE = 2**62
_ROUNDS, _FEW_BITS, _ROUNDS_OF_FEW = 6, 8, 16
"""Rounds of the network; and more of them below that many bits, where one round is one of a few functions only."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=64)
def _keys(seed: int, purpose: str, rounds: int) -> tuple[np.uint64, ...]:
    return tuple(words(seed, purpose, range(1), rounds)[0])


def permute(seed: int, purpose: str, size: int, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return where a shuffle of 0 to `size` - 1 sends each of `values`, integers in that range.

    One seed and purpose is one permutation. The result is int64, of the shape of `values`; `size` is at most 2**62.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    result = np.array(values, dtype=np.uint64)
    keys = _keys(seed, purpose, _ROUNDS if half >= _FEW_BITS else _ROUNDS_OF_FEW)
    outside = np.ones(result.shape, dtype=bool)
    while outside.any():
        result[outside] = _network(result[outside], half, keys)
        outside &= result >= np.uint64(size)
    return result.view(np.int64)


def _network(values: NDArray[np.uint64], half: int, keys: tuple[np.uint64, ...]) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        mixed = (right + key) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
        mixed *= _MULTIPLIER
        left, right = right, left ^ ((mixed >> np.uint64(64 - half)) & mask)
    return (left << shift) | right
