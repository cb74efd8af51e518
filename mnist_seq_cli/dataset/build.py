"""Owns building a dataset: making it, finishing what was interrupted, and repairing what is damaged.

A shard is completed in one of two ways: what exists agrees with its record and is reused, or it is made anew under a
temporary name, renamed, and recorded. A run processes every shard, so that the end is the same wherever it began.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.existing import check_path, clear, earlier_spec, unexpected_files
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, STATE_NAME, Record
from mnist_seq_cli.dataset.shards import Completed, Job, Run, Task, process
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError, Interrupted, MnistseqError, OutputError, Terminated
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Stop, worker_count
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local


@dataclass(slots=True)
class Summary:
    """What a run did: samples and bytes of the shards that stand, of the samples how many it made, what it repaired."""

    samples: int = 0
    bytes: int = 0
    made: int = 0
    repaired: bool = False
    failures: dict[int, Failure] = field(default_factory=dict)


Watch = Callable[[Iterable[Completed]], Iterable[Completed]]


def build(
    directory: Path,
    spec: Spec,
    source: Source,
    *,
    run: Run[Any] | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = iter,
) -> Summary:
    """Make `directory` hold exactly the dataset that `spec` asks for, and return what that took.

    An interrupted run of the same spec is finished, a complete one is checked and repaired, and one with fewer samples
    grows. `run` is the runner of shards; without it, they run on `workers` processes, 1 for none but this, or else on
    as many as pay. `watch` is given the iterator of completed shards, as they are completed, and returns one: for a
    progress bar.

    Raises RequestError when the directory holds something else, and changes nothing then; OutputError when shards
    failed, OSError when the file system did; Interrupted or Terminated when it was asked to stop. After any of these,
    running it again does the rest.
    """
    len(spec.plan)  # which checks the numbers
    check_bank(spec.recipe, bank.load(source))
    compose.check_background(spec.recipe, background_image.load(source))
    check_path(directory, spec)
    local.make_directory(directory)
    with local.locked(directory), Stop() as stop:
        before = None if overwrite else earlier_spec(directory, spec)
        if overwrite:
            clear(directory, spec)
        job = Job(directory, directory / STATE_NAME / f"stage-{os.urandom(4).hex()}", spec, source)
        try:
            runner = run or _runner(worker_count(workers, spec.samples))
            summary = _build(job, before, runner, stop, watch)
        except KeyboardInterrupt:
            if not stop:
                raise
            raise _stopped(stop, "stopped at once") from None
        finally:
            with suppress(OSError):
                _remove_stages(directory)
                local.remove_if_empty(directory / STATE_NAME)
    if summary.failures:
        raise _failed(summary, spec)
    if summary.samples < spec.samples:
        raise _stopped(stop, f"stopped with {summary.samples} of {spec.samples} samples done")
    return summary


def _stopped(stop: Stop, message: str) -> MnistseqError:
    kind = Terminated if stop.signal == signal.SIGTERM else Interrupted
    return kind(message, hint="the same command does the rest")


def _runner(workers: int) -> Run[Any]:
    if workers <= 1:
        return serial.run
    from mnist_seq_cli.execution.processes import run

    return partial(run, workers=workers)


def _build(job: Job, before: Spec | None, run: Run[Any], stop: Stop, watch: Watch) -> Summary:
    directory, spec = job.directory, job.spec
    sound = before == spec and not any(verify(directory, run=run, stop=stop))
    if stop:
        raise _stopped(stop, "stopped before anything was changed")
    if sound:
        complete = manifest.read_manifest(directory)
        assert complete is not None
        local.remove(directory / STATE_NAME)  # which a run that was killed at its very end has left
        return Summary(spec.samples, sum(record.bytes for record in complete.records.values()))
    was_complete = before == spec and (directory / MANIFEST_NAME).exists()
    known = {} if before is None else _known_records(directory, spec)
    _remove_stages(directory)
    local.make_directory(job.stage)
    manifest.write_records(directory, known.values())
    local.remove(directory / MANIFEST_NAME)
    if before != spec:
        manifest.write_spec(directory, job.stage, spec)
    summary = Summary(repaired=was_complete)
    format_ = formats.get(spec.format)
    format_.prepare(directory, spec)
    manifest_file = manifest.ManifestWriter(spec, job.stage / MANIFEST_NAME)
    collector = format_.collector(directory, job.stage, spec)
    tasks = (Task(shard, known.get(shard.number)) for shard in spec.plan)
    to_make = spec.samples - sum(record.samples for record in known.values())
    try:
        with closing(run(partial(process, job), tasks, stop)) as outcomes:
            for record in _in_order(watch(_recorded(outcomes, job, summary, to_make)), summary):
                collector.add(spec.plan[record.shard], record)
                manifest_file.add(record)
        if summary.samples < spec.samples:
            return summary
        finished = collector.finish()
        manifest_file.finish({path.name: total for path, total in finished.items()})
    finally:
        collector.abandon()
        manifest_file.abandon()
    for path in finished:
        local.place(path, directory / path.name)
    for unexpected in unexpected_files(directory, spec):
        local.remove(unexpected)
        if unexpected.parent != directory:
            local.remove_if_empty(unexpected.parent)
    local.place(job.stage / MANIFEST_NAME, directory / MANIFEST_NAME)
    local.remove(directory / STATE_NAME)
    return summary


def _recorded(
    outcomes: Iterable[tuple[Task, Completed | Failure]], job: Job, summary: Summary, to_make: int
) -> Iterator[Completed]:
    """Yield shards as they land, each recorded first; note those that failed."""
    for task, outcome in outcomes:
        if isinstance(outcome, Failure):
            summary.failures[task.shard.number] = outcome
            if outcome.fatal:
                return
            continue
        record = outcome.record
        if not outcome.reused:
            manifest.write_record(job.directory, record)
            if not summary.made:
                _check_space(job.directory, record, to_make - record.samples)
            summary.made += record.samples
        summary.samples += record.samples
        summary.bytes += record.bytes
        yield outcome


def _in_order(landed: Iterable[Completed], summary: Summary) -> Iterator[Record]:
    """Yield the records in the order of the shards, holding back those that land early."""
    early: dict[int, Record] = {}
    following = 0
    for completed in landed:
        if summary.failures:
            early.clear()  # a shard is missing: nothing can be joined in this run, and nothing needs to be held
            continue
        early[completed.record.shard] = completed.record
        while following in early:
            yield early.pop(following)
            following += 1


def _check_space(directory: Path, record: Record, samples: int) -> None:
    """Raise OutputError when the disk cannot hold that many more samples, going by the first shard that was made."""
    block, free = _block_and_free(directory)
    per_file = -(-record.bytes // (record.files * block)) * block
    needed = samples * per_file * record.files // record.samples
    if needed > free:
        raise OutputError(
            f"{samples} more samples need about {needed / 1e9:.2f} GB in {directory}, and {free / 1e9:.2f} GB are free",
            hint="make room, or ask for fewer; what is there is kept",
        )


def _block_and_free(directory: Path) -> tuple[int, int]:
    """Return the bytes that files are rounded up to on this disk, and those that are free."""
    if hasattr(os, "statvfs"):
        disk = os.statvfs(directory)
        return disk.f_frsize, disk.f_bavail * disk.f_frsize
    import shutil  # pragma: no cover: tested on Linux

    return 4096, shutil.disk_usage(directory).free  # pragma: no cover


def _failed(summary: Summary, spec: Spec) -> OutputError:
    number, failure = min(summary.failures.items())
    error = OutputError(
        f"{len(summary.failures)} of {len(spec.plan)} shards failed, "
        f"shard {number} ({spec.plan[number].first} to {spec.plan[number].stop - 1}) with: {failure.message}",
        hint=f"{summary.samples} of {spec.samples} samples are done; the same command does the rest",
    )
    if failure.details:
        error.add_note(failure.details)
    return error


def _remove_stages(directory: Path) -> None:
    """Remove what a run is in the middle of: this one when it ends, and those that were killed. None other is alive."""
    for path in (directory / STATE_NAME).glob("stage-*"):
        local.remove(path)


def _known_records(directory: Path, spec: Spec) -> dict[int, Record]:
    """Return what earlier runs recorded of the shards of this plan."""
    fingerprint, plan = spec.recipe.fingerprint, spec.plan
    records = manifest.read_records(directory, fingerprint)
    with suppress(FormatError):
        if (complete := manifest.read_manifest(directory)) is not None:
            records = {**complete.records, **records}
    return {
        number: record
        for number, record in records.items()
        if number < len(plan) and record.of(plan[number], fingerprint)
    }
