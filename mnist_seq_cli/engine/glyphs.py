"""Owns which glyphs strips are made of: the part of a bank that a recipe may use, and the glyph of each digit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.engine.writers import by_one_writer, of_writers, require_writer
from mnist_seq_cli.engine.writing import occurrences, possible_digits
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist.bank import MISLABELED, Bank
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, Pool
from mnist_seq_cli.recipe.recipe import Recipe


def choose(
    recipe: Recipe, bank: Bank, digits: NDArray[np.int64], lengths: NDArray[np.int32], samples: Numbers
) -> NDArray[np.int32]:
    """Return the id of a glyph for each digit of samples: int32 (n, length), as `digits`, of which `lengths` count."""
    if recipe.writer == "same":
        return by_one_writer(recipe, bank, digits, lengths, samples)
    if recipe.glyphs == "once":
        return without_replacement(bank, digits, occurrences(recipe, samples), recipe.seed)
    return pick(bank, digits, words(recipe.seed, "glyph", samples, recipe.length))


def pick(bank: Bank, digits: NDArray[Any], random: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return for each digit the id of one of its glyphs, each with the same chance, by the random word beside it."""
    return bank.by_digit.take(bank.starts.take(digits) + bounded_integers(random, bank.counts.take(digits)))


def without_replacement(
    bank: Bank, digits: NDArray[Any], occurrence: NDArray[np.int64], seed: int
) -> NDArray[np.int32]:
    """Return for each digit the glyph of its n-th `occurrence`, counted from 0: int32, of the same shape.

    All glyphs of a digit are used before any is used again, and in each round in an order of its own.
    """
    result = np.full(digits.shape, bank.first_id, dtype=np.int32)  # where a sequence has ended, any glyph will do
    for digit in range(10):
        here = digits == digit
        if not bank.counts[digit] or not here.any():
            continue
        rounds, offsets = np.divmod(occurrence[here], bank.counts[digit])
        for number in np.unique(rounds).tolist():
            now = rounds == number
            offsets[now] = _order(seed, digit, number, int(bank.counts[digit]))[offsets[now]]
        result[here] = bank.glyphs_of(digit)[offsets]
    return result


@lru_cache(maxsize=20)
def _order(seed: int, digit: int, number: int, size: int) -> NDArray[np.int32]:
    """Return a shuffle of 0 to `size` - 1, of its own for each round and digit. All words differ, or come in order."""
    return np.argsort(words(seed, f"once/{digit}", range(number, number + 1), size)[0], kind="stable").astype(np.int32)


def check_bank(recipe: Recipe, bank: Bank) -> Bank:
    """Return `bank` with those glyphs only that the recipe may use.

    Raises RequestError unless it holds what the recipe was written for, and each digit that it may ask for.
    """
    if bank.identity != recipe.source:
        raise RequestError(f"the recipe draws from the source {recipe.source}, and this one is {bank.identity}")
    if (bank.height, bank.width) != (recipe.glyph_height, recipe.glyph_width):
        raise RequestError(
            f"the recipe is for glyphs of {recipe.glyph_height}×{recipe.glyph_width} px, "
            f"and the source has {bank.height}×{bank.width} px"
        )
    if recipe.is_warped or recipe.crop == "tight":
        height, width = bank.largest_ink
        if height > recipe.ink_height or width > recipe.ink_width:
            raise RequestError(
                f"the recipe is for ink of at most {recipe.ink_height}×{recipe.ink_width} px, "
                f"and the source has {height}×{width} px"
            )
    allowed = of_writers(part(bank, recipe.pool), bank, recipe.writer_pool)
    if recipe.exclude_mislabeled:
        allowed = without(allowed, MISLABELED)
    digits = possible_digits(recipe)
    require(allowed, digits)
    if recipe.writer == "same":
        require_writer(allowed, digits)
    return allowed


def require(bank: Bank, digits: Iterable[int]) -> None:
    """Raise RequestError unless the bank has a glyph of each of `digits`."""
    missing = sorted({digit for digit in digits if not bank.counts[digit]})
    if missing:
        present = ", ".join(str(digit) for digit in range(10) if bank.counts[digit])
        raise RequestError(
            f"{bank.name} has no glyph of {', '.join(map(str, missing))}",
            hint=f"it has glyphs of {present}" if present else "it has none at all; take a larger part",
        )


@lru_cache(maxsize=16)
def part(bank: Bank, pool: Pool) -> Bank:
    """Return the bank with a part of each digit's glyphs: of every `whole` of them, from `low` to `high`.

    Parts that do not overlap share no glyph, and parts that leave no gap leave out none. Glyphs are distributed in a
    shuffled order, which is always the same, so that the people who wrote them are in every part. In a custom source
    equal images go where the first of them goes. The same bank and pool give the same object.
    """
    low, high, whole = pool
    if (low, high) == (0, whole):
        return bank
    inside = np.zeros(len(bank), dtype=bool)
    for digit in range(10):
        glyphs = bank.glyphs_of(digit)
        size = len(glyphs)
        numbers = permute(0, f"pool/{digit}", size, np.arange(size * low // whole, size * high // whole))
        inside[glyphs[numbers] - bank.first_id] = True
    if bank.identity not in BUNDLED_SOURCES:  # of whose images no two are equal
        inside = inside[_first_of_equal(bank)]
    listed = [bank.glyphs_of(digit) for digit in range(10)]
    return bank.narrowed([ids[inside[ids - bank.first_id]] for ids in listed], "that part of the source")


@lru_cache(maxsize=4)
def _first_of_equal(bank: Bank) -> NDArray[np.intp]:
    """Return for each image of a bank the first that is equal to it, both as their rows: intp (n,)."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(each, row) for row, each in enumerate(bank.sums())], dtype=np.intp)


@lru_cache(maxsize=16)
def without(bank: Bank, ids: frozenset[int]) -> Bank:
    """Return the bank without the glyphs of these ids; the same object for the same bank and ids."""
    excluded = np.array(sorted(ids), dtype=np.int32)
    listed = [bank.glyphs_of(digit) for digit in range(10)]
    return bank.narrowed([glyphs[~np.isin(glyphs, excluded)] for glyphs in listed], bank.name)
