"""Owns the plan: how samples are divided into shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, MAX_SHARD_SIZE, MAX_SHARDS, check_range


class Shard(NamedTuple):
    """A run of consecutive samples, `first` to `stop` (exclusive): the unit of work, commit, retry and verification."""

    number: int
    first: int
    stop: int

    @property
    def samples(self) -> int:
        """How many samples it holds."""
        return self.stop - self.first


@dataclass(frozen=True, slots=True)
class Plan:
    """`samples` samples in shards of `shard_size`, the last one shorter where it has to be.

    Raises RequestError for no samples, more than 10^8 of them, or more than 10^5 shards: names have room for these.
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

    def __len__(self) -> int:
        return -(-self.samples // self.shard_size)

    def __getitem__(self, number: int) -> Shard:
        if not 0 <= number < len(self):
            raise IndexError(number)
        first = number * self.shard_size
        return Shard(number, first, min(first + self.shard_size, self.samples))

    def __iter__(self) -> Iterator[Shard]:
        return (self[number] for number in range(len(self)))
