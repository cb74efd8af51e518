"""Owns the end of a build: the files of the whole are joined, what is unexpected goes, and the manifest comes last."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, islice, repeat
from typing import BinaryIO

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.existing import unexpected
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import read_manifest, write_manifest
from mnist_seq_cli.dataset.records import Record, note_of, read_records
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Format, InPlaceFormat, Part
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.overlap import overlapped
from mnist_seq_cli.storage.store import (
    PIECE,
    STATE_NAME,
    FileSum,
    NotingStore,
    RandomAccessStore,
    Region,
    Store,
    pieces_of,
    sum_of_pieces,
)


def prepare(store: Store, spec: Spec, *, shared: bool = False) -> None:
    """Make what shards are written into, where a format needs that; a file that has to be repaired is taken for it.

    With `shared` other slices may write to it already. Raises OSError.
    """
    format_ = formats.get(spec.format)
    if not isinstance(format_, InPlaceFormat) or not isinstance(store, RandomAccessStore):
        return
    size = format_.file_size(spec)
    if shared:
        store.make_sized(format_.growing_name, size, keep=True)
        return
    if store.size(format_.FILE_NAME) is None:
        store.remove(format_.FILE_NAME)  # a link: what it leads to is not ours to write to
    else:
        store.move(format_.FILE_NAME, format_.growing_name)
    if (store.size(format_.growing_name) or 0) < size:
        store.make_sized(format_.growing_name, size)


def finish(store: Store, spec: Spec, source: Source) -> None:
    """Complete a dataset whose shards are all in journals. Raises FormatError where one is not, OSError."""
    plan, format_ = spec.plan, formats.get(spec.format)

    def records() -> Iterator[Record]:
        for number, record in enumerate(known.in_order(range(len(plan)))):
            if record is None:
                raise FormatError(f"{store} has no record of shard {number}")
            yield record

    try:
        known = read_records(store, spec)
        sums = join(store, format_, spec, plan, records)
        sums |= card.write(store, spec, source, sums, records())
        for name in unexpected(store, spec):
            store.remove(name)
            store.prune(name.rpartition("/")[0])
        write_manifest(store, spec, records() if format_.SEPARABLE else map(Record.without_content, records()), sums)
    except (FormatError, FileNotFoundError):
        # Where there are no locks, another run of the same recipe may have finished, and removed the journal.
        complete = read_manifest(store)
        if complete is None or (complete.recipe, complete.samples) != (spec.recipe.fingerprint, spec.samples):
            raise
    store.remove(STATE_NAME)


def _parts(store: Store, format_: Format, spec: Spec, shards: Iterable[Shard], name: str) -> Generator[BinaryIO]:
    """Yield the files, open, in which shards have what they have for a file of the whole. Raises OSError.

    Where answers take time, the first bytes of those that follow are read meanwhile.
    """

    def opened(shard: Shard) -> BinaryIO:
        file = store.open(format_.part_name(spec, name, shard))
        if store.at_once > 1 and isinstance(file, io.BufferedReader):
            file.peek()
        return file

    with closing(overlapped(opened, shards, store.at_once)) as found:
        for _, file in found:
            yield file


def _pieces_of_next(files: Iterator[BinaryIO]) -> Iterator[bytes]:
    """Yield the content of the next of some files in pieces. Raises OSError."""
    for file in islice(files, 1):
        with file:
            yield from iter(partial(file.read, PIECE), b"")


def _waiting_regions(store: Store, format_: InPlaceFormat, spec: Spec, shards: Iterable[Shard]) -> Iterator[Region]:
    """Yield the regions of shards from the files in which they wait. Raises FormatError, OSError."""
    with closing(_parts(store, format_, spec, shards, format_.FILE_NAME)) as files:
        for shard, file in zip(shards, files, strict=True):
            with file:
                yield from format_.waiting_regions(spec, shard, file)


def _in_order(regions: Iterable[Region]) -> Iterator[bytes | memoryview]:
    """Yield the content of a file from the regions that it consists of; those that come too early wait on disk."""
    with tempfile.TemporaryFile() as early:
        reached = 0
        for offset, content in regions:
            if offset == reached:
                yield content
                reached += memoryview(content).nbytes
            else:
                early.seek(offset)
                early.write(content)
        early.seek(reached)
        yield from iter(lambda: early.read(PIECE), b"")


def join(
    store: Store,
    format_: Format,
    spec: Spec,
    shards: Iterable[Shard],
    records: Callable[[], Iterable[Record]] | None = None,
) -> dict[str, FileSum]:
    """Join what waits of the shards into the files of the whole, and return their sums.

    `records` gives those of the shards, which files that are joined from what `write` made need. Raises OSError.
    """
    sums, joined = {}, format_.joined(spec)
    for name in joined:
        known = zip(shards, (record.crcs for record in records()) if records else repeat(()), strict=False)
        if isinstance(format_, InPlaceFormat) and name == format_.FILE_NAME:
            around = format_.complete(spec, known)
            if isinstance(store, RandomAccessStore):
                store.write_at(format_.growing_name, around, cut=True)
                store.move(format_.growing_name, name)
            else:
                content = _in_order(chain(around, _waiting_regions(store, format_, spec, shards)))
                if records and isinstance(store, NotingStore):
                    store.put(name, content, note_of(records()))
                else:
                    store.put(name, content)
            with store.open(name) as file:
                sums[name] = format_.sum_of(spec, name, file)
        else:
            with closing(_parts(store, format_, spec, shards, name)) as files:
                parts = (Part(shard, crcs, _pieces_of_next(files)) for shard, crcs in known)
                sums[name] = store.put(name, format_.join(spec, name, parts))

    def rows(name: str) -> Iterator[bytes]:
        for shard in shards:
            yield from pieces_of(store, format_.part_name(spec, name, shard))

    sums |= {extra.name: store.put(extra.name, extra.content(rows)) for extra in format_.extras(spec)}
    return sums | {side.name: sum_of_pieces(rows(side.name)) for side in format_.beside(spec)}
