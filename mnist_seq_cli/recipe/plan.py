"""Owns the plan: how samples are divided into shards, and shards into slices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, MAX_SHARD_SIZE, MAX_SHARDS, MAX_SLICES, check_range


class Shard(NamedTuple):
    """A run of consecutive samples, `first` to `stop` (exclusive): the unit of work, commit, retry and verification."""

    number: int
    first: int
    stop: int

    @property
    def samples(self) -> int:
        """How many samples it holds."""
        return self.stop - self.first


class Digits(NamedTuple):
    """The digits that numbers have in names at least: so many that names sort as numbers."""

    of_shards: int = 5
    of_samples: int = 8

    def shard(self, number: int) -> str:
        """Return the number of a shard as names have it: 00007."""
        return f"{number:0{self.of_shards}d}"

    def sample(self, number: int) -> str:
        """Return the number of a sample as names have it: 00007042."""
        return f"{number:0{self.of_samples}d}"


@dataclass(frozen=True)
class Plan:
    """`samples` samples in shards of `shard_size`, the last one shorter where it has to be.

    Raises RequestError for no samples, more than 10^12 of them, or more than 10^7 shards.
    """

    samples: int
    shard_size: int

    def __post_init__(self) -> None:
        check_range("number of samples", self.samples, 1, MAX_SAMPLES)
        check_range("`shard_size`", self.shard_size, 1, MAX_SHARD_SIZE)
        if len(self) > MAX_SHARDS:
            raise RequestError(
                f"{self.samples} samples in shards of {self.shard_size} are {len(self)} shards",
                hint=f"`shard_size={-(-self.samples // MAX_SHARDS)}` or more keeps them to {MAX_SHARDS}",
            )

    @cached_property
    def digits(self) -> Digits:
        """The digits of numbers in names: the same for all plans of up to 100,000 shards and 10^8 samples."""
        return Digits(max(5, len(str(len(self) - 1))), max(8, len(str(self.samples - 1))))

    def samples_of(self, shards: range) -> int:
        """Return how many samples shards that follow each other hold together."""
        return self[shards[-1]].stop - self[shards[0]].first if shards else 0

    def __len__(self) -> int:
        return -(-self.samples // self.shard_size)

    def __getitem__(self, number: int) -> Shard:
        if not 0 <= number < len(self):
            raise IndexError(number)
        first = number * self.shard_size
        return Shard(number, first, min(first + self.shard_size, self.samples))

    def __iter__(self) -> Iterator[Shard]:
        return (self[number] for number in range(len(self)))


plan_of = lru_cache(typed=True)(Plan)
"""Return a plan; of the same one once, as it is asked for with each of millions of shards."""


class Slice(NamedTuple):
    """The `number`-th, from 0 on, `of` so many equal parts of the shards of a plan: what one machine of many makes."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the slice K/N. Raises RequestError."""
        written = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text, re.ASCII)
        if not written or not 0 <= int(written[1]) < int(written[2]) <= MAX_SLICES:
            hint = f"it is K/N, with K from 0 to N - 1 and N at most {MAX_SLICES}: 0/8 to 7/8 are the eighths"
            raise RequestError(f"`part` is {text!r}", hint=hint)
        return cls(int(written[1]), int(written[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """The slice as names of files have it."""
        return f"{self.number}-of-{self.of}"

    def shards(self, plan: Plan) -> range:
        """Return the numbers of its shards; there may be none."""
        return range(self.number * len(plan) // self.of, (self.number + 1) * len(plan) // self.of)
