"""Owns the interface of reading any samples of a dataset, and how those of any format are read: a shard at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch, joined
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.plan import Plan, Shard
from mnist_seq_cli.storage.store import identity


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


class OffsetReader:
    """Reads each sample at its offset in the file of its shard: those of a shard are found once, from front to end.

    `stops` yields where each sample of a shard ends in its file, in bytes; `batch` makes samples of what is stored,
    with the name of the file of each.
    """

    def __init__(
        self,
        plan: Plan,
        open_file: Callable[[str], BinaryIO],
        name_of: Callable[[Shard], str],
        stops: Callable[[BinaryIO, str, Shard], Iterable[int]],
        batch: Callable[[Numbers, list[str], list[bytes]], Batch],
    ) -> None:
        self._plan, self._open_file, self._name_of, self._stops, self._batch = plan, open_file, name_of, stops, batch
        self._known: dict[int, tuple[Hashable, NDArray[Any]]] = {}
        """By shard the identity of its file, and where each sample begins, and the last ends."""

    def read(self, samples: Numbers) -> Batch:
        """Return samples, each of one read. Raises FormatError, OSError."""
        numbers = as_array(samples)
        shards, names, contents = numbers // self._plan.shard_size, [""] * len(numbers), [b""] * len(numbers)
        for number in np.unique(shards).tolist():
            shard = self._plan[number]
            name = self._name_of(shard)
            with self._open_file(name) as file:
                offsets = self._offsets(shard, name, file)
                for row in np.flatnonzero(shards == number).tolist():
                    start, stop = offsets[int(numbers[row]) - shard.first :][:2].tolist()
                    file.seek(start)
                    names[row], contents[row] = name, file.read(stop - start)
                    if len(contents[row]) < stop - start:
                        raise FormatError(f"{name} is truncated")
        return self._batch(samples, names, contents)

    def _offsets(self, shard: Shard, name: str, file: BinaryIO) -> NDArray[Any]:
        identified = identity(file)
        before, offsets = self._known.get(shard.number, (None, None))
        if offsets is None or identified != before:
            offsets = np.array([0, *self._stops(file, name, shard)])
            offsets = offsets.astype(np.uint32) if offsets[-1] < 1 << 32 else offsets
            self._known[shard.number] = identified, offsets
        return offsets
