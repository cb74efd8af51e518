"""Owns what is done to one shard: what exists agrees with its record and is reused, or it is made anew."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.manifest import Record
from mnist_seq_cli.engine import compose
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.execution.runner import Failure, Stop
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local

Result = TypeVar("Result")


class Task(NamedTuple):
    """A shard to process, and what is known of it from an earlier run."""

    shard: Shard
    record: Record | None


class Completed(NamedTuple):
    """A shard that stands on disk as its record says; `reused` when an earlier run made it."""

    record: Record
    reused: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know beside the shard."""

    directory: Path
    stage: Path
    spec: Spec
    source: Source


Run = Callable[[Callable[[Task], Result], Iterable[Task], Stop], Generator[tuple[Task, Result | Failure]]]


def process(job: Job, task: Task) -> Completed:
    """Make one shard stand as it should, and return its record. This is the whole of what a worker does."""
    stage = job.stage / f"{task.shard.number:05d}"
    local.remove(stage)  # which a worker that died over the shard has left
    local.make_directory(stage)
    completed = _process(job, stage, task)
    local.remove(stage)
    return completed


def _process(job: Job, stage: Path, task: Task) -> Completed:
    directory, spec = job.directory, job.spec
    shard, record = task
    format_, glyphs = formats.get(spec.format), bank.load(job.source)
    spans = list(compose.spans(spec.recipe, shard.first, shard.stop))
    if record is not None and _agrees(format_, directory, spec, shard, record):
        truths = (compose.annotate(spec.recipe, glyphs, first, stop) for first, stop in spans)
        format_.keep_shard(directory, stage, spec, shard, truths)
        return Completed(record, reused=True)
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
    return Completed(made, reused=False)


def _agrees(format_: formats.Format, directory: Path, spec: Spec, shard: Shard, record: Record) -> bool:
    try:
        found = format_.check_shard(directory, spec, shard)
    except (OSError, FormatError):
        return False
    return found == (record.files, record.bytes, record.sha256, record.crcs)
