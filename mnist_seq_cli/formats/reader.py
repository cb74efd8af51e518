"""Owns the interface of reading any samples of a dataset, and how those of any format are read: a shard at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from mnist_seq_cli.engine.batch import Batch, joined
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.recipe.plan import Plan, Shard


class Reader(Protocol):
    """Reads any samples. It may hold offsets and arrays, but no open file: threads and forked processes may share it.

    Files are opened in each call, which costs 10 µs, and never mapped: one that is cut short raises an error, and does
    not end the process by a signal.
    """

    def read(self, samples: Numbers) -> Batch:
        """Return samples, at least one, in the order of their numbers, which may repeat: copies, masks and all.

        Raises FormatError, which names what is damaged; OSError.
        """
        ...


class ShardReader:
    """Reads whole shards, one by one, and holds the last: for formats that cannot read a sample alone."""

    def __init__(self, plan: Plan, read: Callable[[Shard], Iterator[Batch]]) -> None:
        self._plan, self._read = plan, read
        self._held: tuple[int, Batch] | None = None

    def read(self, samples: Numbers) -> Batch:
        """Return samples, of shards of which each is read once. Raises FormatError, OSError."""
        numbers, rows = np.unique(as_array(samples), return_inverse=True)
        parts = []
        for number in np.unique(numbers // self._plan.shard_size).tolist():
            shard = self._plan[number]
            here = numbers[(numbers >= shard.first) & (numbers < shard.stop)]
            parts.append(self._shard(shard).take(here - shard.first))
        return joined(parts).take(rows)

    def _shard(self, shard: Shard) -> Batch:
        held = self._held
        if held is None or held[0] != shard.number:
            held = self._held = shard.number, joined(list(self._read(shard)))
        return held[1]
