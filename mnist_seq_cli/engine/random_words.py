"""Owns randomness: words addressed by (seed, purpose, sample), the same on every machine and numpy version.

Only the raw stream of the Philox bit generator is used, at a counter that is computed from the sample's index, so any
sample can be made alone. Philox4x64-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011, section 3.3. One purpose per kind of choice keeps every old stream where it is when a new choice is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4
"""Words that Philox makes at a time: a sample's words begin at a block."""

Numbers = range | NDArray[np.int64]
"""The numbers of samples: a run of them, or any, int64 (n,)."""


@lru_cache(maxsize=64)
def _key(seed: int) -> int:
    return int.from_bytes(blake2b(f"mnistseq/rng/v1/{seed}".encode(), digest_size=16).digest(), "little")


@lru_cache(maxsize=64)
def _domain(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


def as_array(samples: Numbers) -> NDArray[np.int64]:
    """Return the numbers as an array, int64 (n,)."""
    return np.arange(samples.start, samples.stop) if isinstance(samples, range) else samples


def words(seed: int, purpose: str, samples: Numbers, per_sample: int) -> NDArray[np.uint64]:
    """Return the random words of samples for one purpose: uint64 (n, per_sample).

    A sample owns whole blocks of four words, so its words depend on `per_sample` rounded up to a multiple of four, and
    on nothing else.
    """
    blocks = -(-per_sample // BLOCK)
    if isinstance(samples, range):
        (random,) = _stream.runs(seed, purpose, [samples.start * blocks], len(samples) * blocks)
    elif blocks > _FEW_BLOCKS or len(samples) <= _FEW_SAMPLES:
        random = np.concatenate([_NONE, *_stream.runs(seed, purpose, (samples * blocks).tolist(), blocks)])
    else:
        counters = np.add.outer(samples * blocks, np.arange(blocks)).reshape(-1).view(np.uint64)
        random = _philox(seed, purpose, counters)
    return random.reshape(len(samples), blocks * BLOCK)[:, :per_sample]


_FEW_BLOCKS, _FEW_SAMPLES = 2, 192
"""Beyond so many blocks a sample, or up to so many samples, a generator that moves is faster than `_philox`."""

_NONE = np.empty(0, dtype=np.uint64)


class _Stream(local):
    """NumPy's generator, one for each thread: to move it takes a tenth of the time of a new one."""

    def __init__(self) -> None:
        self._generator = np.random.Philox(key=0)

    def runs(self, seed: int, purpose: str, counters: Iterable[int], blocks: int) -> list[NDArray[np.uint64]]:
        """Return so many blocks of words from each counter, below 2**64, on: each uint64 (4 * blocks,)."""
        key, domain = _key(seed), _domain(purpose)
        start: dict[str, tuple[int, ...]] = {"key": (key & (1 << 64) - 1, key >> 64)}
        empty = {"buffer": (0,) * BLOCK, "buffer_pos": BLOCK, "has_uint32": 0, "uinteger": 0}
        state: Any = {"bit_generator": "Philox", "state": start, **empty}
        runs = []
        for counter in counters:
            start["counter"] = (counter, 0, domain, 0)
            self._generator.state = state
            runs.append(self._generator.random_raw(blocks * BLOCK))
        return runs


_stream = _Stream()


_MULTIPLIERS = np.array([[0xD2E7470EE14C6C93], [0xCA5A826395121157]], dtype=np.uint64)
_WEYL = np.array([[0x9E3779B97F4A7C15], [0xBB67AE8584CAA73B]], dtype=np.uint64)
_ROUNDS = 10
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_UPPER, _LOWER = _MULTIPLIERS >> _HALF, _MULTIPLIERS & _LOW


@lru_cache(maxsize=64)
def _round_keys(seed: int) -> list[NDArray[np.uint64]]:
    key = _key(seed)
    first = np.array([[key & (1 << 64) - 1], [key >> 64]], dtype=np.uint64)
    return [first + np.uint64(number) * _WEYL for number in range(_ROUNDS)]


def _philox(seed: int, purpose: str, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the block of words of each counter, uint64 (n, 4), as NumPy's Philox has it: at the counter and 1.

    The two products of a round are taken at once: `state` is words 0 and 2 of all blocks, and `other` 1 and 3.
    """
    state, other = np.empty((2, len(counters)), dtype=np.uint64), np.zeros((2, len(counters)), dtype=np.uint64)
    state[0], state[1] = counters + np.uint64(1), _domain(purpose)
    low, high, middle, top = (np.empty_like(state) for _ in range(4))
    for key in _round_keys(seed):
        np.bitwise_and(state, _LOW, out=low)
        np.right_shift(state, _HALF, out=high)
        np.multiply(low, _UPPER, out=middle)
        np.multiply(high, _UPPER, out=top)
        low *= _LOWER
        low >>= _HALF
        middle += low
        high *= _LOWER
        np.bitwise_and(middle, _LOW, out=low)
        high += low
        high >>= _HALF
        middle >>= _HALF
        top += middle
        top += high
        other ^= top[::-1]
        other ^= key
        state *= _MULTIPLIERS
        state, other = other, state[::-1]
    return np.stack([state[0], other[0], state[1], other[1]], axis=1)


def bounded_integers(random: NDArray[np.uint64], bound: int | NDArray[Any]) -> NDArray[np.int64]:
    """Return integers uniform over 0 to `bound` - 1, one for each word; `bound` < 2**32 may be an array.

    The high half of word × bound, with the product taken in two halves to stay within 64 bits (multiply-high:
    Lemire, "Fast random integer generation in an interval", 2019, without its rejection step, so that the number of
    words used is fixed; the bias is below bound / 2**64).
    """
    limit = np.asarray(bound, dtype=np.uint64)
    carry = (random & _LOW) * limit
    carry >>= _HALF
    product = (random >> _HALF) * limit
    product += carry
    product >>= _HALF
    return product.view(np.int64)
