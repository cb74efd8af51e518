"""Owns the runner that reads like the specification: one task after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from mnist_seq_cli.execution.runner import Failure, Result, Stop, Task, guarded


def run(work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop) -> Generator[tuple[Task, Result | Failure]]:
    """Run the tasks one after another in this process."""
    for task in tasks:
        if stop:
            return
        yield task, guarded(work, task)
