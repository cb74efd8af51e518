"""Owns verification: whether a dataset is what its manifest says, and what else is there that readers would read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.existing import unexpected
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, SPLITS_NAME, Location, Manifest
from mnist_seq_cli.dataset.records import Record, note_of, ordered
from mnist_seq_cli.dataset.shards import Task, stored_sum
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Runner, Stop, describe_os_error
from mnist_seq_cli.formats.format import Format, InPlaceFormat, SideFiles
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.overlap import overlapped
from mnist_seq_cli.storage.store import NotingStore, Store, pieces_of, sum_of, sum_of_pieces


def verify(
    location: Location,
    *,
    run: Runner = serial.run,
    stop: Stop | None = None,
    watch: Callable[..., Any] = iter,
    read_all: bool = True,
) -> Iterator[str]:
    """Yield a line for each thing that is not as the manifest says; nothing when the dataset is complete and sound.

    Every byte is read: size and SHA-256 of each shard and file, every index in exactly one shard, no shard too many.
    Without `read_all`, files are not read whose sum the store keeps. Raises FormatError where there is no dataset.
    """
    store = open_store(location)
    spec = manifest.require_spec(store)
    try:
        complete = manifest.read_manifest(store)
    except FormatError as error:
        yield str(error)
        return
    if complete is None:
        yield f"{MANIFEST_NAME} is missing: the dataset is not complete"
        return
    yield from filter(None, (manifest.changed_text(store, name) for name in (RECIPE_NAME, MANIFEST_NAME)))
    fingerprint, plan = spec.recipe.fingerprint, spec.plan
    if complete.recipe != fingerprint or complete.samples != spec.samples:
        yield f"{MANIFEST_NAME} is about another recipe or number of samples than {RECIPE_NAME}"
        return

    def known() -> Iterator[tuple[Shard, Record | None]]:
        for shard, record in zip(plan, ordered(complete.records, range(len(plan))), strict=True):
            yield shard, record if record is not None and record.of(shard, fingerprint) else None

    yield from (f"shard {shard.number} has no record in {MANIFEST_NAME}" for shard, record in known() if not record)
    for number in sorted(number for number in complete.records if number >= len(plan)):
        yield f"shard {number} in {MANIFEST_NAME} is none of the {len(plan)} of the plan"
    for name in unexpected(store, spec):
        yield f"{name} is none of the {len(plan)} shards of the plan"
    yield from _wrong_files(store, spec, complete, read_all)
    format_ = formats.get(spec.format)
    if not format_.SEPARABLE:
        return
    recorded = (Task(shard, record) for shard, record in known() if record is not None)
    tasks = recorded if read_all else _to_read(store, format_, spec, recorded, complete)
    with closing(run(partial(_check_shard, store, spec), tasks, Stop() if stop is None else stop)) as outcomes:
        for task, outcome in watch(outcomes):
            problem = outcome.message if isinstance(outcome, Failure) else outcome
            if problem:
                names = format_.shard_names(spec, task.shard) or (f"shard {task.shard.number}",)
                yield problem if problem.startswith(tuple(names)) else f"{' and '.join(names)}: {problem}"


def foreign(location: Location) -> Iterator[str]:
    """Yield a line for each file or folder that is not of the dataset, and that its readers would take for samples.

    Raises FormatError when there is no dataset at all.
    """
    store = open_store(location)
    spec = manifest.require_spec(store)
    for name in sorted({*formats.get(spec.format).foreign(spec, store)} - {RECIPE_NAME, MANIFEST_NAME}):
        yield _foreign_text(store, name, "the dataset")


def foreign_splits(location: Location, names: Collection[str], format_names: Collection[str]) -> Iterator[str]:
    """Yield a line for each file or folder beside splits of these names and formats that readers would take for one."""
    store = open_store(location)
    for entry in sorted(store.list()):
        if entry.name not in (*names, SPLITS_NAME) and any(
            formats.get(name).is_read(store, entry) for name in format_names
        ):
            yield _foreign_text(store, entry.name, "the splits")


def _foreign_text(store: Store, name: str, whole: str) -> str:
    path = shlex.quote(f"{store}/{name}")
    return f"{name} is not of {whole}, and readers would take it for samples: remove {path}, or move it away"


def _wrong_files(store: Store, spec: Spec, complete: Manifest, read_all: bool) -> Iterator[str]:
    format_ = formats.get(spec.format)
    if not card.fits(spec, complete.files):
        yield f"{MANIFEST_NAME} is not about {' and '.join(format_.file_names(spec)) or 'shards alone'}"
        return
    beside = {side.name: side for side in format_.beside(spec)}
    for name, known in complete.files.items():
        try:
            if name in beside:
                found = sum_of_pieces(_pieces_beside(store, spec, beside[name]))
            else:
                if not read_all and store.stored_sum(name) == known:
                    continue
                with store.open(name) as file:
                    found = sum_of(file) if name in card.names(spec) else format_.sum_of(spec, name, file)
        except OSError as error:
            yield f"{name}: {error.strerror}"
            continue
        if found != known:
            yield f"{name}: its content is not what the manifest says ({found.bytes} bytes, expected {known.bytes})"


def _pieces_beside(store: Store, spec: Spec, side: SideFiles) -> Iterator[bytes]:
    for shard in spec.plan:
        for name in side.names(shard):
            yield side.summed([(name, b"".join(pieces_of(store, name)))])


def _is_noted(store: Store, format_: Format, spec: Spec, complete: Manifest) -> bool:
    """Return whether the one file of all shards was put together of what the manifest says, as the store knows."""
    if not isinstance(format_, InPlaceFormat) or not isinstance(store, NotingStore):
        return False
    note = store.note(format_.FILE_NAME)
    return bool(note) and note == note_of(ordered(complete.records, range(len(spec.plan))))


def _to_read(store: Store, format_: Format, spec: Spec, tasks: Iterable[Task], complete: Manifest) -> Iterator[Task]:
    """Yield the shards but those of which the store keeps the sum that is in the manifest."""
    if _is_noted(store, format_, spec, complete):
        return

    def is_sound(task: Task) -> bool:
        record = task.record
        with suppress(OSError):
            return record is not None and stored_sum(store, format_, spec, task.shard) == (record.bytes, record.sha256)
        return False

    yield from (task for task, sound in overlapped(is_sound, tasks, store.at_once) if not sound)


def _check_shard(store: Store, spec: Spec, task: Task) -> str:
    """Return the first thing that is wrong with a shard, or nothing."""
    record = task.record
    assert record is not None
    try:
        found = formats.get(spec.format).measure(spec, task.shard, store)
    except OSError as error:
        return describe_os_error(error)
    if (found.files, found.bytes) != (record.files, record.bytes):
        return f"{found.files} files, {found.bytes} bytes; expected {record.files} files, {record.bytes} bytes"
    if found.sha256 != record.sha256:
        return "its content is not what was written (SHA-256 differs)"
    return "" if found.crcs == record.crcs else f"its checksums in {MANIFEST_NAME} are wrong"
