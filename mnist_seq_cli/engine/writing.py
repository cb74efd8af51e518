"""Owns what is written: the digits of each sample of a recipe, by whichever rule the recipe names."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.random_words import Numbers, as_array, bounded_integers, words
from mnist_seq_cli.mnist import multidigit
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING
from mnist_seq_cli.recipe.recipe import Recipe

if TYPE_CHECKING:
    from mnist_seq_cli.recipe.pattern import Pattern

Sequences = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Digits, int64 (n, longest), padded with 0; and how many of them count, int32 (n,)."""


def sequences(recipe: Recipe, samples: Numbers) -> Sequences:
    """Return the sequences of samples.

    Digits are int64 (n, length), padded with 0, and lengths int32 (n,).
    """
    if recipe.sequences:
        return _listed(recipe, samples)
    if recipe.per_label:
        return _balanced(recipe, samples)
    digits, lengths = (_from_pattern if recipe.pattern else _random)(recipe, samples)
    if recipe.check == "luhn":
        _fix_luhn(digits, lengths)
    return digits, lengths


def occurrences(recipe: Recipe, samples: Numbers) -> NDArray[np.int64]:
    """Return how often each digit of samples occurs before it does there: int64 (n, length).

    Before means in samples 0, 1, 2 … as they are read, from left to right; positions beyond the end of a sequence
    mean nothing. All samples before have to be gone through: once in a process, which keeps the sums.
    """
    if not isinstance(samples, range):
        alone = [occurrences(recipe, range(number, number + 1)) for number in samples.tolist()]
        return np.concatenate(alone) if alone else np.zeros((0, recipe.length), dtype=np.int64)
    digits, lengths = sequences(recipe, samples)
    written = np.arange(recipe.length) < lengths[:, None]
    before = _sums(recipe).before(samples.start)
    counts = np.zeros(digits.shape, dtype=np.int64)
    for digit in range(10):
        here = (digits == digit) & written
        counts[here] = before[digit] + np.arange(np.count_nonzero(here))
    return counts


def copies(recipe: Recipe, samples: Numbers) -> NDArray[np.int64]:
    """Return a number for each of samples, int64 (n,), that no other of the same sequence has.

    With `per_label` they count from 0 for each sequence; else it is the number of the sample.
    """
    if not recipe.per_label:
        return as_array(samples)
    rounds, offsets = _shuffled_offsets(recipe, samples)
    return rounds * recipe.per_label + offsets % recipe.per_label


class _Sums:
    """How often each digit is written before the samples 0, `_STEP`, 2 × `_STEP` …, as far as it was asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._sums = [np.zeros(10, dtype=np.int64)]
        self._lock = Lock()

    def before(self, sample: int) -> NDArray[np.int64]:
        """Return how often each digit is written before a sample: int64 (10,)."""
        step, rest = divmod(sample, _STEP)
        with self._lock:
            while len(self._sums) <= step:
                start = (len(self._sums) - 1) * _STEP
                self._sums.append(self._sums[-1] + self._count(range(start, start + _STEP)))
        return self._sums[step] + self._count(range(sample - rest, sample))

    def _count(self, samples: range) -> NDArray[np.int64]:
        if not samples:
            return np.zeros(10, dtype=np.int64)
        digits, lengths = sequences(self._recipe, samples)
        return np.bincount(digits[np.arange(digits.shape[1]) < lengths[:, None]], minlength=10)


@lru_cache(maxsize=4)
def _sums(recipe: Recipe) -> _Sums:
    return _Sums(recipe)


_STEP = 2_048


def possible_digits(recipe: Recipe) -> frozenset[int]:
    """Return the digits that any sample of the recipe may write."""
    if recipe.sequences:
        return recipe.sequences.alphabet
    if recipe.check:
        return frozenset(range(10))
    return _parsed(recipe.pattern).digits if recipe.pattern else frozenset(recipe.digits)


def _listed(recipe: Recipe, samples: Numbers) -> Sequences:
    """Return the listed sequences one after another; shuffled, each round in an order of its own."""
    listed = recipe.sequences
    rounds, offsets = np.divmod(as_array(samples), len(listed))
    if recipe.shuffle:
        for number in np.unique(rounds):
            here = rounds == number
            offsets[here] = permute(recipe.seed, f"order/{number}", len(listed), offsets[here])
    starts = listed.bounds[offsets].astype(np.int64)
    lengths = (listed.bounds[offsets + 1] - starts).astype(np.int32)
    digits = np.zeros((len(offsets), listed.longest), dtype=np.int64)
    written = np.arange(listed.longest) < lengths[:, None]
    digits[written] = listed.digits[(starts[:, None] + np.arange(listed.longest))[written]]
    return digits, lengths


def _balanced(recipe: Recipe, samples: Numbers) -> Sequences:
    """Return every sequence `per_label` times in shuffled order, and so on round after round."""
    _, offsets = _shuffled_offsets(recipe, samples)
    return _numbered(recipe, offsets // recipe.per_label), np.full(len(samples), recipe.length, dtype=np.int32)


def _shuffled_offsets(recipe: Recipe, samples: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the round of each sample, and its offset among all sequences of a round, each `per_label` times."""
    size = recipe.per_label * recipe.sequence_count
    rounds, offsets = np.divmod(as_array(samples), size)
    for number in np.unique(rounds):
        here = rounds == number
        offsets[here] = permute(recipe.seed, f"balance/{number}", size, offsets[here])
    return rounds, offsets


def _numbered(recipe: Recipe, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sequences of these numbers, of all that the recipe may write; a part of all is a shuffled one."""
    base = len(recipe.digits)
    if recipe.label_pool != EVERYTHING:
        places = numbers + recipe.sequence_range[0]
        if recipe.label_order == "multidigitmnist":
            numbers = multidigit.order(recipe.length)[places]
        else:
            numbers = permute(0, "label_pool", base**recipe.length, places)
    powers = base ** np.arange(recipe.length - 1, -1, -1, dtype=np.int64)
    digits: NDArray[np.int64] = np.array(recipe.digits)[numbers[:, None] // powers % base]
    return digits


def _random(recipe: Recipe, samples: Numbers) -> Sequences:
    """Sample every digit for itself; or, without repetition, each from those that are left; or whole sequences."""
    if recipe.label_pool != EVERYTHING:
        numbers = bounded_integers(words(recipe.seed, "sequence", samples, 1)[:, 0], recipe.sequence_count)
        return _numbered(recipe, numbers), np.full(len(samples), recipe.length, dtype=np.int32)
    random = words(recipe.seed, "digit", samples, recipe.length)
    lengths = _lengths(recipe, samples)
    if not recipe.repeat:
        digits = _without_repetition(recipe, random)
    elif len(recipe.digits) == 10:
        digits = bounded_integers(random, 10)
    else:
        digits = np.array(recipe.digits)[bounded_integers(random, len(recipe.digits))]
    if recipe.lengths:
        digits[np.arange(recipe.length) >= lengths[:, None]] = 0
    return digits, lengths


def _lengths(recipe: Recipe, samples: Numbers) -> NDArray[np.int32]:
    if not recipe.lengths:
        return np.full(len(samples), recipe.length, dtype=np.int32)
    sizes, weights = (np.array(column) for column in zip(*recipe.lengths, strict=True))
    random = bounded_integers(words(recipe.seed, "length", samples, 1)[:, 0], int(weights.sum()))
    lengths: NDArray[np.int32] = sizes[np.searchsorted(np.cumsum(weights), random, side="right")].astype(np.int32)
    return lengths


def _without_repetition(recipe: Recipe, random: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Sample from a row of the digits, one position after the other, and close the row up (Fisher and Yates)."""
    count, length = random.shape
    left = np.tile(np.array(recipe.digits), (count, 1))
    rows = np.arange(count)
    digits = np.empty((count, length), dtype=np.int64)
    for position in range(length):
        last = left.shape[1] - 1 - position
        taken = bounded_integers(random[:, position], last + 1)
        digits[:, position] = left[rows, taken]
        left[rows, taken] = left[:, last]
    return digits


@lru_cache(maxsize=4)
def _parsed(text: str) -> Pattern:
    from mnist_seq_cli.recipe.pattern import parse  # which most recipes need not load

    return parse(text)


def _from_pattern(recipe: Recipe, samples: Numbers) -> Sequences:
    parsed = _parsed(recipe.pattern)
    random = words(recipe.seed, "pattern", samples, max(1, parsed.choices))
    digits, lengths = parsed.fill(lambda choice, offered: bounded_integers(random[:, choice], offered), len(samples))
    return digits.astype(np.int64), lengths


def _fix_luhn(digits: NDArray[np.int64], lengths: NDArray[np.int32]) -> None:
    """Make the last digit of each sequence its check digit (ISO/IEC 7812-1, annex B: the Luhn formula)."""
    from_right = lengths[:, None] - 1 - np.arange(digits.shape[1])
    doubled = np.where(from_right % 2 == 1, 2 * digits, digits)
    counted = np.where(from_right > 0, doubled - 9 * (doubled > 9), 0)
    digits[np.arange(len(digits)), lengths - 1] = -counted.sum(axis=1) % 10
