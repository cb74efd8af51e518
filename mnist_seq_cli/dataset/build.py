"""Owns a dataset directory: building it, finishing what was interrupted, and checking that all of it is there.

A shard is settled in one of two ways: what stands on disk agrees with its record and is kept, or it is made anew under
a temporary name, renamed, and recorded. A run settles every shard, so that the end is the same wherever it began.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, STATE_NAME, Manifest, Record
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError, Interrupted, MnistseqError, OutputError, RequestError, Terminated
from mnist_seq_cli.execution.runner import Failure, Stop, describe_os_error, run_here, worker_count
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage import local

Result = TypeVar("Result")


class Task(NamedTuple):
    """A shard to settle, and what is known of it from an earlier run."""

    shard: Shard
    record: Record | None


class Settled(NamedTuple):
    """A shard that stands on disk as its record says; `kept` when an earlier run made it."""

    record: Record
    kept: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know beside the shard."""

    directory: Path
    stage: Path
    spec: Spec
    source: Source


@dataclass(slots=True)
class Summary:
    """What a run did: samples and bytes of the shards that stand, of the samples how many it made, what it repaired."""

    samples: int = 0
    bytes: int = 0
    made: int = 0
    repaired: bool = False
    failures: dict[int, Failure] = field(default_factory=dict)


Watch = Callable[[Iterable[Settled]], Iterable[Settled]]
Run = Callable[[Callable[[Task], Result], Iterable[Task], Stop], Generator[tuple[Task, Result | Failure]]]


def build(
    directory: Path,
    spec: Spec,
    source: Source,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = iter,
) -> Summary:
    """Make `directory` hold exactly the dataset that `spec` asks for, and return what that took.

    An interrupted run of the same spec is finished, a complete one is checked and repaired, and one with fewer samples
    grows. `workers` is the number of processes, 1 for none but this; without it, as many as pay. `watch` is given the
    iterator of settled shards, in the order in which they land, and returns one: the place for a progress bar.

    Raises RequestError when the directory holds something else, and changes nothing then; OutputError when shards
    failed, OSError when the file system did; Interrupted or Terminated when it was asked to stop. After any of these,
    running it again does the rest.
    """
    len(spec.plan)  # which checks the numbers
    check_bank(spec.recipe, bank.load(source))
    compose.check_background(spec.recipe, background_image.load(source))
    _check_path(directory, spec)
    local.make_directory(directory)
    with local.locked(directory), Stop() as stop:
        before = None if overwrite else _earlier_spec(directory, spec)
        if overwrite:
            _clear(directory, spec)
        job = Job(directory, directory / STATE_NAME / f"stage-{os.urandom(4).hex()}", spec, source)
        try:
            summary = _build(job, before, _runner(worker_count(workers, spec.samples)), stop, watch)
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
        return run_here
    from mnist_seq_cli.execution.processes import run_on_processes

    return partial(run_on_processes, workers=workers)


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
    papers = manifest.ManifestWriter(spec, job.stage / MANIFEST_NAME)
    collector = format_.collector(directory, job.stage, spec)
    tasks = (Task(shard, known.get(shard.number)) for shard in spec.plan)
    to_make = spec.samples - sum(record.samples for record in known.values())
    try:
        with closing(run(partial(settle, job), tasks, stop)) as outcomes:
            for record in _in_order(watch(_landed(outcomes, job, summary, to_make)), summary):
                collector.add(spec.plan[record.shard], record)
                papers.add(record)
        if summary.samples < spec.samples:
            return summary
        finished = collector.finish()
        papers.finish({path.name: total for path, total in finished.items()})
    finally:
        collector.abandon()
        papers.abandon()
    for path in finished:
        local.place(path, directory / path.name)
    for stray in _strays(directory, spec):
        local.remove(stray)
        if stray.parent != directory:
            local.remove_if_empty(stray.parent)
    local.place(job.stage / MANIFEST_NAME, directory / MANIFEST_NAME)
    local.remove(directory / STATE_NAME)
    return summary


def settle(job: Job, task: Task) -> Settled:
    """Make one shard stand as it should, and return its record. This is the whole of what a worker does."""
    stage = job.stage / f"{task.shard.number:05d}"
    local.remove(stage)  # which a worker that died over the shard has left
    local.make_directory(stage)
    settled = _settle(job, stage, task)
    local.remove(stage)
    return settled


def _settle(job: Job, stage: Path, task: Task) -> Settled:
    directory, spec = job.directory, job.spec
    shard, record = task
    format_, glyphs = formats.get(spec.format), bank.load(job.source)
    spans = list(compose.spans(spec.recipe, shard.first, shard.stop))
    if record is not None and _agrees(format_, directory, spec, shard, record):
        truths = (compose.annotate(spec.recipe, glyphs, first, stop) for first, stop in spans)
        format_.keep_shard(directory, stage, spec, shard, truths)
        return Settled(record, kept=True)
    background = background_image.load(job.source)
    batches = (
        compose.compose(spec.recipe, glyphs, first, stop, masks=spec.masks, background=background)
        for first, stop in spans
    )
    written = format_.write_shard(directory, stage, spec, shard, batches)
    made = Record(
        shard=shard.number,
        first=shard.first,
        samples=shard.samples,
        recipe=spec.recipe.fingerprint,
        **written._asdict(),
    )
    return Settled(made, kept=False)


def _agrees(format_: formats.Format, directory: Path, spec: Spec, shard: Shard, record: Record) -> bool:
    try:
        found = format_.check_shard(directory, spec, shard)
    except (OSError, FormatError):
        return False
    return found == (record.files, record.bytes, record.sha256, record.crcs)


def _landed(
    outcomes: Iterable[tuple[Task, Settled | Failure]], job: Job, summary: Summary, to_make: int
) -> Iterator[Settled]:
    """Yield shards as they land, each recorded first; note those that failed."""
    for task, outcome in outcomes:
        if isinstance(outcome, Failure):
            summary.failures[task.shard.number] = outcome
            if outcome.hopeless:
                return
            continue
        record = outcome.record
        if not outcome.kept:
            manifest.write_record(job.directory, record)
            if not summary.made:
                _check_space(job.directory, record, to_make - record.samples)
            summary.made += record.samples
        summary.samples += record.samples
        summary.bytes += record.bytes
        yield outcome


def _in_order(landed: Iterable[Settled], summary: Summary) -> Iterator[Record]:
    """Yield the records in the order of the shards, holding back those that land early."""
    early: dict[int, Record] = {}
    following = 0
    for settled in landed:
        if summary.failures:
            early.clear()  # a shard is missing: nothing can be joined in this run, and nothing needs to be held
            continue
        early[settled.record.shard] = settled.record
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


def _check_path(directory: Path, spec: Spec) -> None:
    """Raise RequestError where a file or a link stands in the way, before anything is written."""
    if not directory.is_dir() and (directory.exists() or directory.is_symlink()):
        raise RequestError(f"{directory} is not a directory", hint="choose another place, or remove it")
    format_, state = formats.get(spec.format), directory / STATE_NAME
    folders = [state, *format_.folders(directory, spec)]
    for inside in [*folders, *(state.iterdir() if state.is_dir() and not state.is_symlink() else ())]:
        if inside.is_symlink():
            raise RequestError(
                f"{inside} is a link that leads elsewhere", hint="remove it, or choose another directory"
            )
    for inside in folders:
        if inside.exists() and not inside.is_dir():
            raise RequestError(f"{inside} is a file where a directory should be", hint="remove it")
    for inside in (directory / name for name in (RECIPE_NAME, MANIFEST_NAME, *format_.file_names(spec))):
        if inside.is_dir() and not inside.is_symlink():
            raise RequestError(f"{inside} is a directory where a file should be", hint="remove it")


def _earlier_spec(directory: Path, spec: Spec) -> Spec | None:
    """Return what an earlier run was asked for here. Raises RequestError when this one may not go on from there."""
    overwrite = "--overwrite starts anew, or choose another directory"
    try:
        before = manifest.read_spec(directory)
    except FormatError as error:
        raise RequestError(f"{directory} holds a dataset that cannot be continued: {error}", hint=overwrite) from None
    if before is None:
        others = sorted({entry.name for entry in directory.iterdir()} - {STATE_NAME})
        if others:
            raise RequestError(
                f"{directory} is not empty, and holds no dataset of ours: {_some(others)}",
                hint="choose another directory; --overwrite writes beside what is there",
            )
        return None
    differences = [entry for entry in before.differences(spec) if not entry.startswith("samples ")]
    if differences:
        raise RequestError(f"{directory} holds another dataset: {', '.join(differences)}", hint=overwrite)
    if spec.samples < before.samples:
        raise RequestError(
            f"{directory} holds {before.samples} samples, and {spec.samples} were asked for", hint=overwrite
        )
    return before


def _clear(directory: Path, spec: Spec) -> None:
    """Remove a dataset of ours, manifest first; what is not ours stays.

    Raises RequestError, before anything is removed, where that stands in the way of what `spec` asks for.
    """
    try:
        earlier = manifest.read_spec(directory)
        if earlier is not None:
            formats.get(earlier.format)
    except FormatError:
        earlier = spec  # a damaged recipe.json: what it was about is anybody's guess
    if earlier is None:
        format_ = formats.get(spec.format)
        names = {MANIFEST_NAME, *format_.file_names(spec)} & {entry.name for entry in directory.iterdir()}
        shards = {str(path.relative_to(directory)) for path, _ in format_.standing(directory, spec)}
        if others := sorted(names | shards):
            raise RequestError(
                f"{directory} holds no dataset of ours, and {_some(others)} is in the way",
                hint="move it away, or choose another directory",
            )
    else:
        local.remove(directory / MANIFEST_NAME)
        format_ = formats.get(earlier.format)
        for path, _ in list(format_.standing(directory, earlier)):
            local.remove(path)
        for name in format_.file_names(earlier):
            local.remove(directory / name)
        for folder in format_.folders(directory, earlier):
            local.remove_if_empty(folder)
    local.remove(directory / STATE_NAME)
    local.remove(directory / RECIPE_NAME)


def _some(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"


def _strays(directory: Path, spec: Spec) -> list[Path]:
    """Return what is named like a shard, and is none of the plan."""
    return sorted(path for path, planned in formats.get(spec.format).standing(directory, spec) if not planned)


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


def verify(
    directory: Path, *, run: Run[Any] = run_here, stop: Stop | None = None, watch: Callable[..., Any] = iter
) -> Iterator[str]:
    """Yield a line for each thing that is not as the manifest says; nothing when the dataset is complete and sound.

    Every byte is read: size and SHA-256 of each shard and file, every index in exactly one shard, no shard too many.
    Raises FormatError when the directory is not a dataset at all.
    """
    spec = manifest.read_spec(directory)
    if spec is None:
        raise FormatError(f"{directory} is not a dataset of ours: it has no {RECIPE_NAME}")
    try:
        complete = manifest.read_manifest(directory)
    except FormatError as error:
        yield str(error)
        return
    if complete is None:
        yield f"{MANIFEST_NAME} is missing: the dataset is not complete"
        return
    fingerprint, plan = spec.recipe.fingerprint, spec.plan
    if complete.recipe != fingerprint or complete.samples != spec.samples:
        yield f"{MANIFEST_NAME} is about another recipe or number of samples than {RECIPE_NAME}"
        return
    tasks = []
    for shard in plan:
        record = complete.records.get(shard.number)
        if record is None or not record.of(shard, fingerprint):
            yield f"shard {shard.number} has no record in {MANIFEST_NAME}"
        else:
            tasks.append(Task(shard, record))
    for number in sorted(complete.records.keys() - range(len(plan))):
        yield f"shard {number} in {MANIFEST_NAME} is none of the {len(plan)} of the plan"
    for path in _strays(directory, spec):
        yield f"{path.relative_to(directory)} is none of the {len(plan)} shards of the plan"
    yield from _wrong_files(directory, spec, complete)
    if not formats.get(spec.format).SHARDS_STAND:
        return
    with closing(run(partial(_check_shard, directory, spec), tasks, Stop() if stop is None else stop)) as outcomes:
        for task, outcome in watch(outcomes):
            problem = outcome.message if isinstance(outcome, Failure) else outcome
            if problem:
                paths = formats.get(spec.format).shard_paths(spec, task.shard)
                yield f"{' and '.join(paths) or f'shard {task.shard.number}'}: {problem}"


def regenerate(
    directory: Path, source: Source | None = None, *, paper: Path | None = None, shards: int
) -> tuple[int, list[str]]:
    """Make up to that many shards again from the recipe, chosen at random, and compare them with what is on disk.

    Return how many were compared, and a line for each that differs. Pixels, labels and masks are compared, not file
    bytes. `source` is where the glyphs are, when they are not the bundled ones, and `paper` a picture, when strips are
    on one. Raises FormatError when the directory is not a dataset, RequestError for glyphs or paper of another content.
    """
    spec = manifest.read_spec(directory)
    if spec is None:
        raise FormatError(f"{directory} is not a dataset of ours: it has no {RECIPE_NAME}")
    source = replace(source or Source(spec.recipe.source), background=paper)
    numbers = sorted(range(len(spec.plan)), key=lambda _: os.urandom(8))[:shards]
    problems = [_difference(directory, spec, source, spec.plan[number]) for number in sorted(numbers)]
    return len(numbers), [problem for problem in problems if problem]


def _difference(directory: Path, spec: Spec, source: Source, shard: Shard) -> str:
    """Return in what a shard is not what the recipe makes, or nothing."""
    glyphs, background = bank.load(source), background_image.load(source)
    try:
        for found in formats.get(spec.format).read(directory, spec, shard):
            stop = found.first + len(found)
            made = compose.compose(spec.recipe, glyphs, found.first, stop, masks=spec.masks, background=background)
            if (found.glyphs == ABSENT).all():  # a format without room for them, and glyphs of the user's own
                found = replace(found, **{name: getattr(made, name) for name in ("glyphs", "x", "y", "boxes")})
            if (wrong := made.first_difference(found)) is not None:
                return f"shard {shard.number}: sample {wrong} is not what the recipe makes"
    except (FormatError, OSError) as error:
        return f"shard {shard.number}: {error}"
    return ""


def stream(spec: Spec, source: Source) -> Iterator[bytes]:
    """Yield all samples as one tar file, piece by piece. Raises RequestError for formats that are not streams."""
    if spec.format != "webdataset":
        raise RequestError(f"the format {spec.format} cannot go to stdout", hint="--format webdataset can")
    from mnist_seq_cli.formats import webdataset

    glyphs = bank.load(source)
    check_bank(spec.recipe, glyphs)
    background = background_image.load(source)
    batches = (
        compose.compose(spec.recipe, glyphs, first, stop, masks=spec.masks, background=background)
        for first, stop in compose.spans(spec.recipe, 0, spec.samples)
    )
    yield from webdataset.stream(spec.recipe, batches, spec.compression)


def _wrong_files(directory: Path, spec: Spec, complete: Manifest) -> Iterator[str]:
    format_ = formats.get(spec.format)
    if set(complete.files) != set(format_.file_names(spec)):
        yield f"{MANIFEST_NAME} is not about {' and '.join(format_.file_names(spec)) or 'shards alone'}"
        return
    for name, known in complete.files.items():
        try:
            found = format_.sum_of(directory, name, spec)
        except OSError as error:
            yield f"{name}: {error.strerror}"
            continue
        if found != known:
            yield f"{name}: its content is not what the manifest says ({found.bytes} bytes, expected {known.bytes})"


def _check_shard(directory: Path, spec: Spec, task: Task) -> str:
    """Return what is wrong with a shard, or nothing."""
    format_ = formats.get(spec.format)
    record = task.record
    assert record is not None
    try:
        found = format_.check_shard(directory, spec, task.shard)
    except OSError as error:
        return describe_os_error(error)
    if (found.files, found.bytes) != (record.files, record.bytes):
        return f"{found.files} files, {found.bytes} bytes; expected {record.files} files, {record.bytes} bytes"
    if found.sha256 != record.sha256:
        return "its content is not what was written (SHA-256 differs)"
    return "" if found.crcs == record.crcs else f"its checksums in {MANIFEST_NAME} are wrong"
