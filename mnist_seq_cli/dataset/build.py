"""Owns building a dataset: making it, finishing what was interrupted, and repairing what is damaged.

A shard is completed in one of two ways: it is reused if it agrees with its record, or made under a temporary name,
renamed, and recorded. A run processes every shard, so that the result is the same wherever it starts.
"""

from __future__ import annotations

import signal
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.existing import check_store, clear, earlier_spec
from mnist_seq_cli.dataset.finish import finish, prepare
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, Location
from mnist_seq_cli.dataset.records import Journal, Record, Records, ordered, read_records, slice_journals
from mnist_seq_cli.dataset.shards import Completed, Job, Task, process, vouched
from mnist_seq_cli.dataset.shared_store import SharedStore
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError, Interrupted, MnistseqError, OutputError, RequestError, Terminated
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Runner, Stop, leave_import_of_script, worker_count
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.overlap import overlapped
from mnist_seq_cli.storage.store import STATE_NAME, NotingStore, Store


@dataclass(slots=True)
class Summary:
    """What a run did: samples and bytes of the complete shards, and how many of the samples it made.

    `vouched` samples were made by slices and have the right size, but were not read. With `unread` the store keeps
    checksums, which were compared instead of reading.
    """

    samples: int = 0
    bytes: int = 0
    made: int = 0
    vouched: int = 0
    repaired: bool = False
    unread: bool = False
    failures: dict[int, Failure] = field(default_factory=dict)


Watch = Callable[[Iterable[Completed]], Iterable[Completed]]


def build(
    location: Location,
    spec: Spec,
    source: Source,
    *,
    run: Runner | None = None,
    workers: int | None = None,
    part: Slice | None = None,
    overwrite: bool = False,
    watch: Watch = iter,
) -> Summary:
    """Make a store or directory contain exactly the dataset that `spec` describes, and return a summary of the run.

    An interrupted run of the same spec is finished, a complete dataset is checked and repaired, and one with fewer
    samples grows. `run` is the runner of shards; without it, they run on `workers` processes (1: just this one), or by
    default on as many as pay off. Every worker of a runner on other machines has to see the store, which is verified
    before anything is changed. `watch` wraps the iterator of completed shards, for a progress bar.

    With `part` only the shards of that slice are made, while other runs make other slices; a run without it completes
    the dataset. With `overwrite` the existing dataset is removed first. Raises RequestError, before anything is
    changed, if the store holds anything else; OutputError if shards failed, OSError if the file system did; Interrupted
    or Terminated if it was asked to stop. After any of these, run it again, without `overwrite`, to finish.
    """
    leave_import_of_script()
    shards = range(len(spec.plan)) if part is None else part.shards(spec.plan)  # which checks the numbers
    samples = spec.plan.samples_of(shards)
    check_bank(spec.recipe, bank.load(source))
    compose.check_background(spec.recipe, background_image.load(source))
    runner = run or _runner(worker_count(workers, samples))
    store = open_store(location)
    check_store(store, spec, shards=part is None)
    if part is not None:
        _check_slice(store, spec, overwrite)
    with store.lock(part.name if part else ""), Stop() as stop, SharedStore(store, source, runner) as shared:
        try:
            before = None if overwrite else earlier_spec(store, spec)
            if overwrite:
                clear(store, spec)
                shared.mark()
            summary = _build(Job(shared.store, spec, source), part, before, shared, stop, watch)
        except KeyboardInterrupt:
            if not stop:
                raise
            raise stopped(stop, "stopped at once", overwrite) from None
        finally:
            with suppress(OSError):
                store.clean()
    _check_done(summary, spec, shards, stop, overwrite)
    summary.unread = isinstance(store, NotingStore)
    return summary


def _check_done(summary: Summary, spec: Spec, shards: range, stop: Stop, overwrite: bool) -> None:
    """Raise OutputError if shards failed; Interrupted or Terminated if not all were made."""
    if summary.failures:
        raise _failed(summary, spec, shards, overwrite)
    if summary.samples < (samples := spec.plan.samples_of(shards)):
        raise stopped(stop, f"stopped with {summary.samples} of {samples} samples done", overwrite)


def _check_slice(store: Store, spec: Spec, overwrite: bool) -> None:
    """Raise RequestError for a dataset that cannot be made in slices."""
    if overwrite:
        reason = "`overwrite` does not go with `part`: it would remove what other slices make"
        raise RequestError(reason, hint="remove the directory before the first one")
    if store.size(MANIFEST_NAME) is not None:
        raise RequestError(f"{store} is complete", hint="the same command without `part` checks and repairs it")


def stopped(stop: Stop, message: str, overwrite: bool) -> MnistseqError:
    """Return the error for a run that was asked to stop, by the kind of signal."""
    kind = Terminated if stop.signal == signal.SIGTERM else Interrupted
    return kind(message, hint=_rest(overwrite))


def _rest(overwrite: bool) -> str:
    """Return the hint that finishes a run; what `overwrite` was to replace is gone by then."""
    return f"run the same command {'without `overwrite`' if overwrite else 'again'} to finish"


def _runner(workers: int) -> Runner:
    if workers <= 1:
        return serial.run
    from mnist_seq_cli.execution import processes

    return processes.on(workers)


def _build(job: Job, part: Slice | None, before: Spec | None, shared: SharedStore, stop: Stop, watch: Watch) -> Summary:
    store, spec, plan = job.store, job.spec, job.spec.plan
    if before is None and not manifest.put_spec(store, spec):
        before = earlier_spec(store, spec)  # of a slice, or a run where there are no locks, which has begun meanwhile
    if part is None:
        if (sound := _sound(store, spec, before, shared.run, stop)) is not None:
            return sound
        summary = Summary(repaired=before == spec and store.size(MANIFEST_NAME) is not None)
        _begin(store, spec, before)
        shards = range(len(plan))
    else:
        _begin_slice(store, spec, part, before)
        summary, shards = Summary(), part.shards(plan)
    known = read_records(store, spec, None if part is None else [Journal(store, part).name])
    to_make = plan.samples_of(shards) - sum(plan[number].samples for number in shards if known.file_of(number))
    rest: Sequence[int] = shards
    reused: Iterable[tuple[Task, Completed]] = ()
    if part is None and slice_journals(store):
        rest = array("q")
        reused = _vouched(job, known, rest, summary, stop)
    tasks = (Task(plan[number], record) for number, record in zip(rest, known.in_order(rest), strict=True))
    with closing(shared.run(partial(process, job), tasks, stop)) as outcomes:
        done = chain(reused, shared.arrived(outcomes, job))
        for _ in watch(_recorded(done, Journal(store, part), store, summary, to_make)):
            pass
    if part is None and summary.samples == spec.samples:
        finish(store, spec, job.source)
    return summary


def _sound(store: Store, spec: Spec, before: Spec | None, run: Runner, stop: Stop) -> Summary | None:
    """Return the summary of a dataset that is already complete and sound; None otherwise.

    Every byte is read, except of files whose checksum the store keeps.
    """
    problems = verify(store, run=run, stop=stop, read_all=False)
    sound = before == spec and not _needs_labels(store, spec) and not any(problems)
    if stop:
        raise stopped(stop, "stopped before anything was changed", False)
    if not sound:
        return None
    complete = manifest.read_manifest(store)
    assert complete is not None
    store.remove(STATE_NAME)  # which a run that was killed at its very end has left
    return Summary(samples=spec.samples, bytes=complete.bytes)


def _needs_labels(store: Store, spec: Spec) -> bool:
    return manifest.refers_to_labels(store) and not manifest.has_labels(store, spec)


def _begin(store: Store, spec: Spec, before: Spec | None) -> None:
    """Start the journal with the known records of shards, and prepare the store for them."""
    journal, shards = Journal(store), range(len(spec.plan))
    in_manifest = store.size(MANIFEST_NAME) is not None
    store.clean()
    if before is None:
        journal.begin(())
    else:
        known = read_records(store, spec, None if in_manifest else [journal.name])
        complete = _complete_records(store, spec)
        journal.begin(younger or older for younger, older in zip(known.in_order(shards), complete, strict=False))
    if before is None or in_manifest:  # what was complete once is not taken on trust any more
        for name in slice_journals(store):
            store.remove(name)
    needs_labels = _needs_labels(store, spec)
    store.remove(MANIFEST_NAME)
    if before is not None and (before != spec or needs_labels or manifest.changed_text(store, RECIPE_NAME)):
        manifest.write_spec(store, spec)
    prepare(store, spec)


def _complete_records(store: Store, spec: Spec) -> Iterator[Record | None]:
    """Yield the records that the manifest has of the shards of this plan."""
    plan, fingerprint, complete = spec.plan, spec.recipe.fingerprint, None
    with suppress(FormatError):
        complete = manifest.read_manifest(store)
    records = ordered({} if complete is None else complete.records, range(len(plan)))
    for shard, record in zip(plan, records, strict=True):
        yield record if record is not None and record.of(shard, fingerprint) else None


def _begin_slice(store: Store, spec: Spec, part: Slice, before: Spec | None) -> None:
    """Start the journal of a slice. Raises RequestError if the other slices are of another dataset."""
    if before not in (None, spec):
        raise RequestError(
            f"{store} is to hold {before.samples if before else 0} samples, and this is a slice of {spec.samples}",
            hint="give the number of the other slices; a run without `part` can add samples",
        )
    if _needs_labels(store, spec):
        manifest.write_spec(store, spec)
    journal = Journal(store, part)
    known = read_records(store, spec, [journal.name, Journal(store).name])
    journal.begin(known.in_order(part.shards(spec.plan)))
    prepare(store, spec, shared=True)


def _vouched(
    job: Job, known: Records, rest: array[int], summary: Summary, stop: Stop
) -> Iterator[tuple[Task, Completed]]:
    """Yield the shards that slices have made and that seem to match their records; add the others to `rest`."""
    store, spec, format_, own = job.store, job.spec, formats.get(job.spec.format), Journal(job.store).name

    def is_as_recorded(task: Task) -> bool:
        shard, record = task
        return (
            record is not None and known.file_of(shard.number) != own and vouched(store, format_, spec, shard, record)
        )

    tasks = map(Task, spec.plan, known.in_order(range(len(spec.plan))))
    with closing(overlapped(is_as_recorded, tasks, store.at_once)) as answers:
        for (shard, record), is_there in answers:
            if stop:
                return
            if record is not None and is_there:
                summary.vouched += shard.samples
                yield Task(shard, record), Completed(record, reused=True)
            else:
                rest.append(shard.number)


def _recorded(
    outcomes: Iterable[tuple[Task, Completed | Failure]], journal: Journal, store: Store, summary: Summary, to_make: int
) -> Iterator[Completed]:
    """Yield shards as they are completed, after recording them; collect those that failed."""
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
    """Raise OutputError if there is no room for that many more samples, judging by the first shard that was made."""
    if (room := store.room()) is None:
        return
    per_file = -(-record.bytes // (max(1, record.files) * room.block)) * room.block
    needed = samples * per_file * record.files // record.samples
    if needed > room.free:
        need, free = _apart(needed, room.free)
        raise OutputError(
            f"{samples} more samples need about {need} in {store}, and {free} are free",
            hint="make room, or ask for fewer; what is there is kept",
        )


def _apart(*sizes: int) -> list[str]:
    """Return numbers of bytes as text, in the largest unit in which they differ."""
    texts = [f"{size} bytes" for size in sizes]
    for factor, unit in ((1e3, "kB"), (1e6, "MB"), (1e9, "GB")):
        shown = [f"{size / factor:.2f} {unit}" for size in sizes]
        texts = shown if len(set(shown)) == len(sizes) else texts
    return texts


def _failed(summary: Summary, spec: Spec, shards: range, overwrite: bool) -> OutputError:
    number, failure = min(summary.failures.items())
    error = OutputError(
        f"{len(summary.failures)} of {len(shards)} shards failed, "
        f"shard {number} ({spec.plan[number].first} to {spec.plan[number].stop - 1}) with: {failure.message}",
        hint=f"{summary.samples} of {spec.plan.samples_of(shards)} samples are done; {_rest(overwrite)}",
    )
    if failure.details:
        error.add_note(failure.details)
    return error
