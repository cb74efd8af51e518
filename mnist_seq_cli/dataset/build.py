"""Owns building a dataset: making it, finishing what was interrupted, and repairing what is damaged.

A shard is completed in one of two ways: what exists agrees with its record and is reused, or it is made anew under a
temporary name, renamed, and recorded. A run processes every shard, so that the end is the same wherever it began.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.existing import check_store, clear, earlier_spec
from mnist_seq_cli.dataset.finish import finish, prepare
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, Journal, Location, Record
from mnist_seq_cli.dataset.shards import Completed, Job, Task, process
from mnist_seq_cli.dataset.shared_store import SharedStore
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError, Interrupted, MnistseqError, OutputError, Terminated
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Runner, Stop, leave_import_of_script, worker_count
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.store import STATE_NAME, Store


@dataclass(slots=True)
class Summary:
    """What a run did: samples and bytes of the shards that are there, how many of the samples it made."""

    samples: int = 0
    bytes: int = 0
    made: int = 0
    repaired: bool = False
    failures: dict[int, Failure] = field(default_factory=dict)


Watch = Callable[[Iterable[Completed]], Iterable[Completed]]


def build(
    location: Location,
    spec: Spec,
    source: Source,
    *,
    run: Runner | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = iter,
) -> Summary:
    """Make a store, or a directory, hold exactly the dataset that `spec` asks for, and return what that took.

    An interrupted run of the same spec is finished, a complete one is checked and repaired, and one with fewer samples
    grows. `run` is the runner of shards; without it, they run on `workers` processes, 1 for none but this, or else on
    as many as pay. Of a runner on other machines each worker has to see the store, which is found out before anything
    is changed. `watch` is given the iterator of completed shards, as they are completed, and returns one: for a
    progress bar.

    With `overwrite` what is there goes first. Raises RequestError where something else is there, and changes nothing
    then; OutputError when shards failed, OSError when the file system did; Interrupted or Terminated when it was asked
    to stop. After any of these, running it again, without `overwrite`, does the rest.
    """
    leave_import_of_script()
    len(spec.plan)  # which checks the numbers
    check_bank(spec.recipe, bank.load(source))
    compose.check_background(spec.recipe, background_image.load(source))
    runner = run or _runner(worker_count(workers, spec.samples))
    store = open_store(location)
    check_store(store, spec)
    with store.lock(), Stop() as stop, SharedStore(store, source, runner) as shared:
        try:
            before = None if overwrite else earlier_spec(store, spec)
            if overwrite:
                clear(store, spec)
                shared.mark()
            summary = _build(Job(shared.store, spec, source), before, shared, stop, watch)
        except KeyboardInterrupt:
            if not stop:
                raise
            raise stopped(stop, "stopped at once", overwrite) from None
        finally:
            with suppress(OSError):
                store.clean()
    if summary.failures:
        raise _failed(summary, spec, overwrite)
    if summary.samples < spec.samples:
        raise stopped(stop, f"stopped with {summary.samples} of {spec.samples} samples done", overwrite)
    return summary


def stopped(stop: Stop, message: str, overwrite: bool) -> MnistseqError:
    """Return the error for a run that was asked to stop, as it was asked."""
    kind = Terminated if stop.signal == signal.SIGTERM else Interrupted
    return kind(message, hint=_rest(overwrite))


def _rest(overwrite: bool) -> str:
    """Return what finishes a run; what it was to replace is gone by then."""
    return f"the same command {'without `overwrite` ' if overwrite else ''}does the rest"


def _runner(workers: int) -> Runner:
    if workers <= 1:
        return serial.run
    from mnist_seq_cli.execution import processes

    return processes.on(workers)


def _build(job: Job, before: Spec | None, shared: SharedStore, stop: Stop, watch: Watch) -> Summary:
    store, spec, journal = job.store, job.spec, Journal(job.store)
    if before is None and not manifest.put_spec(store, spec):
        before = earlier_spec(store, spec)  # that of another run, which has begun meanwhile where there are no locks
    needs_labels = manifest.refers_to_labels(store) and not manifest.has_labels(store, spec)
    sound = before == spec and not needs_labels and not any(verify(store, run=shared.run, stop=stop))
    if stop:
        raise stopped(stop, "stopped before anything was changed", False)
    if sound:
        complete = manifest.read_manifest(store)
        assert complete is not None
        store.remove(STATE_NAME)  # which a run that was killed at its very end has left
        return Summary(spec.samples, complete.bytes)
    summary = Summary(repaired=before == spec and store.size(MANIFEST_NAME) is not None)
    known = {} if before is None else _known_records(store, spec)
    store.clean()
    journal.begin(known.values())
    store.remove(MANIFEST_NAME)
    if before is not None and (before != spec or needs_labels or manifest.changed_text(store, RECIPE_NAME)):
        manifest.write_spec(store, spec)
    prepare(store, spec)
    tasks = (Task(shard, known.get(shard.number)) for shard in spec.plan)
    to_make = spec.samples - sum(record.samples for record in known.values())
    with closing(shared.run(partial(process, job), tasks, stop)) as outcomes:
        for _ in watch(_recorded(shared.arrived(outcomes, job), store, summary, to_make)):
            pass
    if summary.samples == spec.samples:
        finish(store, spec)
    return summary


def _recorded(
    outcomes: Iterable[tuple[Task, Completed | Failure]], store: Store, summary: Summary, to_make: int
) -> Iterator[Completed]:
    """Yield shards as they are completed, each recorded first; note those that failed."""
    journal = Journal(store)
    for task, outcome in outcomes:
        if isinstance(outcome, Failure):
            summary.failures[task.shard.number] = outcome
            if outcome.fatal:
                return
            continue
        record = outcome.record
        if not outcome.reused:
            journal.add(record)
            if not summary.made:
                _check_room(store, record, to_make - record.samples)
            summary.made += record.samples
        summary.samples += record.samples
        summary.bytes += record.bytes
        yield outcome


def _check_room(store: Store, record: Record, samples: int) -> None:
    """Raise OutputError when there is no room for that many more samples, going by the first shard that was made."""
    if (room := store.room()) is None:
        return
    per_file = -(-record.bytes // (record.files * room.block)) * room.block
    needed = samples * per_file * record.files // record.samples
    if needed > room.free:
        need, free = _apart(needed, room.free)
        raise OutputError(
            f"{samples} more samples need about {need} in {store}, and {free} are free",
            hint="make room, or ask for fewer; what is there is kept",
        )


def _apart(*sizes: int) -> list[str]:
    """Return different numbers of bytes in the largest unit in which they differ."""
    texts = [f"{size} bytes" for size in sizes]
    for factor, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        shown = [f"{size / factor:.2f} {unit}" for size in sizes]
        texts = shown if len(set(shown)) == len(sizes) else texts
    return texts


def _failed(summary: Summary, spec: Spec, overwrite: bool) -> OutputError:
    number, failure = min(summary.failures.items())
    error = OutputError(
        f"{len(summary.failures)} of {len(spec.plan)} shards failed, "
        f"shard {number} ({spec.plan[number].first} to {spec.plan[number].stop - 1}) with: {failure.message}",
        hint=f"{summary.samples} of {spec.samples} samples are done; {_rest(overwrite)}",
    )
    if failure.details:
        error.add_note(failure.details)
    return error


def _known_records(store: Store, spec: Spec) -> dict[int, Record]:
    """Return the records that earlier runs left of the shards of this plan; those of the last run count."""
    fingerprint, plan = spec.recipe.fingerprint, spec.plan
    records = manifest.read_records(store, fingerprint)
    with suppress(FormatError):
        if (complete := manifest.read_manifest(store)) is not None:
            records = {**complete.records, **records}
    return {
        number: record
        for number, record in records.items()
        if number < len(plan) and record.of(plan[number], fingerprint)
    }
