"""Owns the proof that workers on other machines and this one see the same store, and the same glyphs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Self

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.shards import Completed, Job, Task, sizes_agree, waiting
from mnist_seq_cli.errors import OutputError
from mnist_seq_cli.execution.runner import Failure, RemoteRunner, Runner, guarded
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.store import STATE_NAME, Store

Outcomes = Iterable[tuple[Task, Completed | Failure]]


class SharedStore:
    """A store while it is worked on. Workers on other machines have to read a marker there before they work.

    `store` is the store as workers are to know it, and `run` the runner on those that see it. For a runner on this
    machine both are as they were, and nothing is marked.
    """

    def __init__(self, store: Store, source: Source, run: Runner) -> None:
        self.store, self.run = store, run
        self._source = source
        self._content = os.urandom(16) if isinstance(run, RemoteRunner) else b""

    def __enter__(self) -> Self:
        """Let each worker look for the marker. Raises OutputError when one does not see it, or other glyphs."""
        if isinstance(self.run, RemoteRunner):
            if isinstance(self.store, LocalStore):
                self.store = LocalStore(self.store.path.absolute())
            self.mark()
            try:
                probe = partial(_look, self.store, self._content, self._source, _identities(self._source))
                self.run = self.run.requiring(probe)
            except BaseException as error:
                self.__exit__(error)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._content:
            with suppress(OSError):
                self.store.remove(_marker(self._content))
                self.store.clean()

    def mark(self) -> None:
        """Put the marker, which whoever clears the store removes. Raises OSError."""
        if self._content:
            self.store.put(_marker(self._content), [self._content])

    def arrived(self, outcomes: Outcomes, job: Job) -> Outcomes:
        """Return outcomes; a shard from another machine that is not seen on this one is a Failure."""
        return _checked(outcomes, job) if self._content else outcomes


def _marker(content: bytes) -> str:
    return f"{STATE_NAME}/marker-{content.hex()}"


def _identities(source: Source) -> tuple[str, str]:
    background = background_image.load(source)
    return bank.load(source).identity, background.identity if background else ""


def _look(store: Store, content: bytes, source: Source, identities: tuple[str, str]) -> None:
    """Raise OutputError unless this machine sees the marker in the store, and what sources should be."""
    try:
        with store.open(_marker(content)) as file:
            seen = file.read() == content
    except OSError:
        seen = False
    if not seen:
        raise OutputError(f"does not see what is in {store}", hint="give a directory that all machines share")
    if _identities(source) != identities:
        raise OutputError("has other glyphs or another background at the same path", hint="share these files, too")


def _checked(outcomes: Outcomes, job: Job) -> Iterator[tuple[Task, Completed | Failure]]:
    for task, outcome in outcomes:
        problem = None if isinstance(outcome, Failure) else guarded(partial(_check_arrived, job, outcome), task)
        yield task, problem or outcome


def _check_arrived(job: Job, completed: Completed, task: Task) -> None:
    """Raise OutputError unless the files of a shard are as many, or as large, as its record says, and its parts exist.

    What is written in place needs no look: a worker that does not see the file cannot write to it.
    """
    store, spec, format_ = job.store, job.spec, formats.get(job.spec.format)
    seen = not format_.shard_names(spec, task.shard) or sizes_agree(store, format_, spec, task.shard, completed.record)
    if not seen or any(store.size(part) is None for part in waiting(store, format_, spec, task.shard)):
        raise OutputError(f"a worker has stored it where this machine does not see it, in {store}")
