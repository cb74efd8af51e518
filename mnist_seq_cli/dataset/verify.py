"""Owns verification: whether a dataset is what its manifest says, and what its recipe makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.existing import unexpected_files
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, Manifest
from mnist_seq_cli.dataset.shards import Run, Task
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Stop, describe_os_error
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec


def verify(
    directory: Path, *, run: Run[Any] = serial.run, stop: Stop | None = None, watch: Callable[..., Any] = iter
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
    for path in unexpected_files(directory, spec):
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
