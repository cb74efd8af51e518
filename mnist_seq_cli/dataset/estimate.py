"""Owns estimates: what a dataset would take, going by one shard that is made in memory."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.existing import check_store
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, Location
from mnist_seq_cli.dataset.shards import composed
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Runner, Stop
from mnist_seq_cli.formats.format import Format, InPlaceFormat
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.sequences import LABELS_NAME
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.store import Room


class Estimate(NamedTuple):
    """What it takes to make samples: shards, files, their bytes, seconds of one processor without the disk's.

    `stored` is what the files take in the store, which rounds each up; `room` is what the store has, where that is
    known. `memory` is the bytes that a process takes at most; 0 where the system does not say.
    """

    samples: int
    shards: int
    files: int
    bytes: int
    stored: int
    seconds: float
    memory: int
    room: Room | None


def estimate(location: Location, spec: Spec, source: Source, *, part: Slice | None = None) -> Estimate:
    """Return what it would take to build a dataset, or a slice of it; nothing is written, and one shard is made.

    Files of the whole have something that does not grow with them: how much is known by those of half a shard. Raises
    what `build` raises before it writes.
    """
    store, format_ = open_store(location), formats.get(spec.format)
    check_store(store, spec)
    one = replace(spec, samples=spec.plan[0].stop)
    check_bank(spec.recipe, bank.load(source))
    _write_nowhere(format_, one, source)  # which loads what there is to load, and takes the memory that it takes
    peak, seconds = _peak(), 0.0

    def run(work: Callable[[Any], Any], tasks: Iterable[Any], _: Stop) -> Generator[tuple[Any, Any]]:
        nonlocal seconds
        for task in tasks:
            started = perf_counter()
            outcome = work(task)
            seconds = perf_counter() - started
            yield task, outcome

    half = _sizes(replace(one, samples=max(1, one.samples // 2)), source, serial.run)
    sizes = _sizes(one, source, run)
    shards = range(len(spec.plan)) if part is None else part.shards(spec.plan)
    samples, room = spec.plan.samples_of(shards), store.room()
    block = room.block if room else 1
    fixed = {name: sizes.pop(name) for name in (RECIPE_NAME, LABELS_NAME, *card.names(one)) if name in sizes}
    joined = {name: sizes.pop(name) for name in format_.file_names(spec)}
    more, per = samples - one.samples, max(1, one.samples - one.samples // 2)
    large = sum(fixed.values()) + sizes.pop(MANIFEST_NAME) * samples // one.samples
    large += sum(size + (size - half[name]) * more // per for name, size in joined.items())
    return Estimate(
        samples=samples,
        shards=len(shards),
        files=len(fixed) + 1 + len(joined) + len(sizes) * samples // one.samples
        if format_.SMALL_FILES
        else len(fixed) + 1 + len(joined) + len(sizes) * len(shards),
        bytes=large + sum(sizes.values()) * samples // one.samples,
        stored=large + sum(-(-size // block) * block for size in sizes.values()) * samples // one.samples,
        seconds=seconds * samples / one.samples,
        memory=peak,
        room=room,
    )


def _sizes(spec: Spec, source: Source, run: Runner) -> dict[str, int]:
    """Return the bytes of each file of a dataset, which is made in memory."""
    memory = MemoryStore()
    build(memory, spec, source, run=run)
    return {name: len(content) for name, content in memory.files.items()}


def _write_nowhere(format_: Format, spec: Spec, source: Source) -> None:
    """Make the first shard, and keep nothing of it."""
    shard = spec.plan[0]
    batches = composed(spec, source, shard.first, shard.stop)
    if isinstance(format_, InPlaceFormat):
        deque(format_.write_regions(spec, shard, batches), maxlen=0)
        return
    for _, content in format_.write(spec, shard, batches):
        deque(() if isinstance(content, bytes) else content, maxlen=0)


def _peak() -> int:
    """Return the most memory that this process has had, in bytes; 0 where the system does not say."""
    if sys.platform == "win32":  # pragma: no cover: tested on Linux
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
