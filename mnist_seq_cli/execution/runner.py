"""Owns the contract of runners: how work is run, what it comes to, and how it stops.

A runner takes a function and tasks, runs each task once, and yields `(task, outcome)` as tasks end, in any order; an
outcome is what the function returned, or a Failure. It asks for a task when it is about to run it. When asked to stop
it starts no more tasks, lets those that run come to their end, and returns. It does not know what the work is.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from mnist_seq_cli.errors import MnistseqError, one_line

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

AUTO_WORKERS_FROM = 20_000
"""Samples from which processes give more than they cost to start."""

UNGUARDED = 75
"""The exit code of a worker whose script starts work wherever it is imported."""

WORKER = "mnistseq-worker"
"""The name of the processes of `processes`."""

_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENXIO, errno.EHOSTUNREACH, errno.EPERM}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task has no result: a line for people, and a traceback where nobody foresaw the error.

    `fatal` says that other tasks would meet the same end, as on a full disk.
    """

    message: str
    details: str = ""
    fatal: bool = False


class Stop:
    """A request to stop, made by the first Ctrl-C or SIGTERM while the `with` block runs; the second raises at once.

    `signal` is the number of the signal that asked, or 0.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._previous: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal != 0

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt(number)
        self.signal = number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        outer = getattr(self._previous.get(self.signal), "__self__", None)
        if isinstance(outer, Stop):  # whose work this was a part of
            outer.signal = self.signal


class Runner(Protocol):
    """A way to run work."""

    def __call__(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop, /
    ) -> Generator[tuple[Task, Result | Failure]]:
        """Run each task once, and yield what it came to."""
        ...


@runtime_checkable
class RemoteRunner(Runner, Protocol):
    """A runner on other machines, which may lack what this one has."""

    def requiring(self, probe: Callable[[], None]) -> Runner:
        """Return the runner on workers that pass the probe: each runs it before its first task.

        Raises OutputError when one of those that are there now does not.
        """
        ...


def leave_import_of_script() -> None:
    """End this process, with UNGUARDED, if it is a worker that imports the script which started it, and works there."""
    process = sys.modules.get("multiprocessing.process")
    current: Any = process and process.current_process()
    if getattr(current, "_inheriting", False) and current.name == WORKER:
        os._exit(UNGUARDED)


def worker_count(requested: int | None, samples: int) -> int:
    """Return the number of processes that are to make so many samples: as requested, or else as many as pay."""
    if requested is not None:
        return requested
    if samples < AUTO_WORKERS_FROM:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def guarded(work: Callable[[Task], Result], task: Task) -> Result | Failure:
    """Run a task; an error becomes a Failure here, since not every exception can travel between processes."""
    try:
        return work(task)
    except MnistseqError as error:
        return Failure(str(error))
    except OSError as error:
        return Failure(describe_os_error(error), fatal=error.errno in _FATAL)
    except MemoryError:
        return Failure("out of memory")
    except Exception as error:
        import traceback

        return Failure(one_line(f"{type(error).__name__}: {error}"), details=traceback.format_exc())


def describe_os_error(error: OSError) -> str:
    """Return the reason that the system gives for an error, and the file that it is about."""
    reason = error.strerror or str(error) or type(error).__name__
    return one_line(f"{error.filename}: {reason}" if error.filename else reason)
