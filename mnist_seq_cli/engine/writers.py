"""Owns whose digits strips are made of: the writers of a bank, the part of them that a recipe may use, one a strip."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.recipe.parts.glyphs import Pool
from mnist_seq_cli.recipe.recipe import Recipe

_DIGITS = 10

_COMPARED = 8
"""Digits of sequences in which each is compared with each; longer ones are gone through digit by digit."""

_EARLIER = np.tri(_COMPARED, k=-1, dtype=np.bool_)


class Writers(NamedTuple):
    """The writers of the glyphs of a bank.

    `numbers` int32 (w,) are theirs, in order; `glyphs` int32 are ids by writer, and of a writer by digit. Those of
    writer i and digit d are `counts[10 * i + d]`, from `starts[10 * i + d]` on; `written` int64 (w,) has bit d where
    there is one.
    """

    numbers: NDArray[np.int32]
    glyphs: NDArray[np.int32]
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    written: NDArray[np.int64]

    def missing(self, digits: Collection[int]) -> int:
        """Return how many of the writers lack at least one of these digits."""
        return int(np.count_nonzero(~self.written & sum(1 << digit for digit in digits)))


@lru_cache(maxsize=16)
def writers_of(bank: Bank) -> Writers:
    """Return the writers of a bank. Raises RequestError where they are not known."""
    numbers, which = np.unique(bank.written_by(bank.by_digit), return_inverse=True)
    cells = which.reshape(-1) * _DIGITS + np.repeat(np.arange(_DIGITS), bank.counts)
    counts = np.bincount(cells, minlength=len(numbers) * _DIGITS)
    written = (counts.reshape(-1, _DIGITS) > 0) @ (1 << np.arange(_DIGITS))
    glyphs = bank.by_digit[np.argsort(cells, kind="stable")]
    return Writers(numbers, glyphs, counts, np.cumsum(counts) - counts, written)


def by_one_writer(
    recipe: Recipe, bank: Bank, digits: NDArray[np.int64], lengths: NDArray[np.int32], samples: Numbers
) -> NDArray[np.int32]:
    """Return glyphs for each sample of one writer, who is any of those that have all its digits: int32 (n, length).

    A digit that comes again gets another glyph until the writer has no more. What is beyond `lengths` means nothing.
    """
    hands, (able, starts, counts) = writers_of(bank), _able(bank)
    bits = 1 << digits
    if recipe.lengths or recipe.sequences or recipe.pattern:
        bits *= np.arange(recipe.length) < lengths[:, None]
    asked = np.bitwise_or.reduce(bits, axis=1)
    random = words(recipe.seed, "writer", samples, 1)[:, 0]
    writer = able.take(starts.take(asked) + bounded_integers(random, counts[asked]))
    cells = writer[:, None] * _DIGITS + digits
    sizes = np.maximum(hands.counts.take(cells), 1)
    random = words(recipe.seed, "glyph", samples, recipe.length)
    offsets = bounded_integers(random, sizes)
    before, first = _occurrences(digits)
    if (again := np.flatnonzero(before)).size:
        first, sizes = first.take(again), sizes.take(again)
        steps = bounded_integers(random.take(first) << np.uint64(32), np.maximum(sizes - 1, 1)) + 1
        offsets.put(again, (offsets.take(first) + before.take(again) * _coprime(steps, sizes)) % sizes)
    return hands.glyphs.take(hands.starts.take(cells) + offsets, mode="clip")


def _occurrences(digits: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each digit has come before in its own sample, and where it came first, as an index in one row.

    Both are int64, of the shape of `digits`.
    """
    count, length = digits.shape
    rows = np.arange(count)
    if length <= _COMPARED:
        same = digits[:, :, None] == digits[:, None, :]
        return (same & _EARLIER[:length, :length]).sum(axis=2), same.argmax(axis=2) + (rows * length)[:, None]
    before, first = np.empty_like(digits), np.empty_like(digits)
    seen, place = np.zeros((2, count * _DIGITS), dtype=np.int64)
    for position in range(length):
        cells = rows * _DIGITS + digits[:, position]
        times = seen.take(cells)
        place[cells] = np.where(times, place.take(cells), rows * length + position)
        before[:, position], first[:, position] = times, place.take(cells)
        seen[cells] = times + 1
    return before, first


def _coprime(steps: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the next numbers that have no divisor in common with `sizes`: steps of that kind go through all of them.

    They are below the size, or 1.
    """
    while (shared := np.gcd(steps, sizes) > 1).any():
        steps += shared
    return steps


@lru_cache(maxsize=16)
def _able(bank: Bank) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each set of digits, as bits, which writers have all of it.

    These are one list, int64, and int64 (1024,): where those of each set begin, and how many they are.
    """
    written = writers_of(bank).written
    lists = [np.flatnonzero(written & some == some) for some in range(1 << _DIGITS)]
    counts = np.array(list(map(len, lists)))
    return np.concatenate(lists), np.cumsum(counts) - counts, counts


@lru_cache(maxsize=16)
def require_writer(bank: Bank, digits: frozenset[int]) -> None:
    """Raise RequestError unless a writer of the bank has all of `digits`, and so any sequence of them."""
    hands = writers_of(bank)
    if hands.missing(digits) == len(hands.numbers):
        listed = ", ".join(map(str, sorted(digits)))
        raise RequestError(
            f"none of {len(hands.numbers)} writers of {bank.name} wrote all of {listed}",
            hint="fewer digits, or leave `writer` out",
        )


def complete(bank: Bank) -> NDArray[np.bool_]:
    """Return which writers of a bank wrote every digit that is in it: bool (w,)."""
    written = writers_of(bank).written
    full: NDArray[np.bool_] = written == np.bitwise_or.reduce(written)
    return full


@lru_cache(maxsize=16)
def of_writers(allowed: Bank, bank: Bank, pool: Pool) -> Bank:
    """Return the bank `allowed` with the glyphs of a part of the writers of `bank`, of which it is a part.

    Parts that do not overlap share no writer, and parts that leave no gap leave out none; those who wrote every digit
    are shared out, and then the others, so that each part has some of both. The same arguments give the same object.
    """
    low, high, whole = pool
    if (low, high) == (0, whole):
        return allowed
    inside = np.zeros(len(writers_of(bank).numbers), dtype=bool)
    for group in (np.flatnonzero(complete(bank)), np.flatnonzero(~complete(bank))):
        size = len(group)
        chosen = np.arange(size * low // whole, size * high // whole)
        inside[group[permute(0, "writer_pool", size, chosen)]] = True
    numbers = writers_of(bank).numbers[inside]
    listed = [allowed.glyphs_of(digit) for digit in range(_DIGITS)]
    return allowed.narrowed(
        [ids[np.isin(allowed.written_by(ids), numbers)] for ids in listed], "that part of the source"
    )
