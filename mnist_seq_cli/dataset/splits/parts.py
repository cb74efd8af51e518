"""Owns the parts of splits: which glyphs, writers or sequences each takes, and whether two of them share some.

Nothing is compared to keep them apart: parts are in proportion to the sizes, and do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate, combinations

import numpy as np

from mnist_seq_cli.dataset.splits.asked import By, spelled
from mnist_seq_cli.engine import writers
from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.writing import possible_digits
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.sequences import Sequences
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING, Pool
from mnist_seq_cli.recipe.recipe import Recipe


def pools(sizes: Mapping[str, int], counts: Iterable[int] = ()) -> dict[str, Pool]:
    """Return the part of each split, in proportion to its size; together they are everything.

    Of things of which there are so many (`counts`), each split gets one at least. Raises RequestError for fewer things
    than splits.
    """
    parts = _parts(sizes, sum(sizes.values()))
    for count in sorted(counts):
        if any(count * low // whole == count * high // whole for low, high, whole in parts.values()):
            return _parts(sizes, count)
    return parts


def _parts(sizes: Mapping[str, int], whole: int) -> dict[str, Pool]:
    """Return parts of `whole` things that are in proportion to the sizes, but none of them empty."""
    low, total = list(accumulate(sizes.values(), initial=0)), sum(sizes.values())
    ends = [whole * end // total for end in low]
    if len(set(ends)) < len(ends):
        if whole < len(sizes):
            raise RequestError(
                f"{len(sizes)} splits need as many sequences, writers or glyphs of a digit, and there are only {whole}",
                hint="fewer splits",
            )
        ends = [number + (whole - len(sizes)) * end // total for number, end in enumerate(low)]
    return {name: (first, last, whole) for name, first, last in zip(sizes, ends, ends[1:], strict=False)}


def glyph_pools(sizes: Mapping[str, int], recipe: Recipe, source: Source, by: By, *, has_test: bool) -> dict[str, Pool]:
    """Return the part of the glyphs, or of the writers, that each split takes.

    With `has_test` the split of that name has its own file.
    """
    glyphs = bank.load(source)
    counts = [int(glyphs.counts[digit]) for digit in possible_digits(recipe)]
    if by == "writer":
        counts = [int(np.count_nonzero(writers.complete(glyphs)))]
    shared = {name: size for name, size in sizes.items() if not (has_test and name == "test")}
    own = dict.fromkeys(sizes, EVERYTHING)
    return own | pools(shared, counts) if shared else own


def label_pools(sizes: Mapping[str, int], recipe: Recipe) -> dict[str, Pool]:
    """Return the part of the sequences that each split writes; with `per_label` each of them as often as that says.

    Raises RequestError for sizes that would cut off sequences.
    """
    if recipe.pattern:
        return pools(sizes)  # which is refused
    labels = len(recipe.digits) ** recipe.length
    if recipe.sequences:
        labels = int(recipe.sequences.numbers().max()) + 1
    parts, times, total = pools(sizes, [labels]), recipe.per_label, sum(sizes.values())
    if not times:
        return parts
    if total < times * labels and not any(size % times for size in sizes.values()):
        ends = list(accumulate((size // times for size in sizes.values()), initial=0))
        return {name: (low, high, labels) for name, low, high in zip(sizes, ends, ends[1:], strict=False)}
    held = {name: labels * high // whole - labels * low // whole for name, (low, high, whole) in parts.items()}
    if total < times * labels or any(sizes[name] % (times * count) for name, count in held.items()):
        rounds = max(1, round(total / (times * labels)))
        whole = min(labels, max(len(sizes), round(total / times)))
        nearest = {name: (high - low) * times * rounds for name, (low, high, _) in _parts(sizes, whole).items()}
        raise RequestError(
            f"`splits` {spelled(sizes)} would cut off some of {labels} labels, each {times} times",
            hint=f"nearest: {spelled(nearest)}",
        )
    return parts


def part_of(sequences: Sequences, pool: Pool) -> Sequences:
    """Return those of the listed sequences that are in a part of them all; one that is listed twice is in one part."""
    numbers, (low, high, whole) = sequences.numbers(), pool
    size = int(numbers.max()) + 1
    in_part = np.zeros(size, dtype=np.bool_)
    in_part[permute(0, "label_pool", size, np.arange(size * low // whole, size * high // whole))] = True
    return sequences.chosen(in_part[numbers])


def shared(by: By, recipes: Mapping[str, Recipe]) -> list[str]:
    """Return a line for each pair of splits whose recipes do not keep apart what they should.

    Only the recipes are compared: what they may sample, not what they have sampled.
    """
    written = {name: recipe.sequences for name, recipe in recipes.items()}
    found = []
    for one, other in combinations(recipes, 2):
        if by != "label" and not _glyphs_apart(recipes[one], recipes[other], by):
            what = "writers" if by == "writer" else "glyphs"
            found.append(f"{one} and {other} may share {what}: their recipes draw from the same ones")
        if by in ("label", "both") and not (
            written[one].isdisjoint(written[other])
            if written[one] and written[other]
            else _sequences_apart(recipes[one], recipes[other])
        ):
            found.append(f"{one} and {other} may share sequences: their recipes write some of the same")
    return found


def _glyphs_apart(one: Recipe, other: Recipe, by: By) -> bool:
    if one.source != other.source:
        return {one.source, other.source} == {"train", "test"}  # which no writer has both been in
    apart = _pools_apart(one.writer_pool, other.writer_pool)
    return apart if by == "writer" else apart or _pools_apart(one.pool, other.pool)


def _sequences_apart(one: Recipe, other: Recipe) -> bool:
    """Return whether recipes that take parts of all sequences write none of the same."""
    if one.sequences or other.sequences or (one.digits, one.label_order) != (other.digits, other.label_order):
        return False
    return one.length != other.length or _pools_apart(one.label_pool, other.label_pool)


def _pools_apart(one: Pool, other: Pool) -> bool:
    (low, high, whole), (first, last, all_of) = one, other
    return high * all_of <= first * whole or last * whole <= low * all_of
