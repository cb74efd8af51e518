"""Owns running work on processes, any of which may die at any time; it keeps the contract of `runner`.

Each process has a line of its own, on which it is given one task at a time: when the line breaks, that task is what was
lost. There are no locks, queues or threads here that a dead process could keep, and nothing in shared memory. Processes
are started by a server that was forked before there were threads, or else from nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain
from multiprocessing import connection
from typing import Any, Generic

from mnist_seq_cli.errors import RequestError, warn_once
from mnist_seq_cli.execution import fork_server, serial
from mnist_seq_cli.execution.runner import (
    UNGUARDED,
    WORKER,
    Failure,
    Result,
    Runner,
    Stop,
    Task,
    guarded,
    leave_import_of_script,
)

PRELOADED = [
    "mnist_seq_cli.execution.quiet_server",
    "mnist_seq_cli.cli.main",
    "mnist_seq_cli.dataset.build",
    "mnist_seq_cli.formats.png_folder",
    "numpy.random",
]

DEATHS_BEFORE_ALONE = 3
"""Processes that a task may lose before it has to run alone: they may have died for the memory that others took."""

_CANNOT_START = (OSError, EOFError, RuntimeError, MemoryError)
"""What comes of limits on processes, threads, descriptors and memory, and of a server that was killed."""

_LONGEST_TEMPORARY = 69
"""Bytes of the name of a directory in which the server has room for the name of its socket: 104 on some systems."""


def run(
    work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop, workers: int
) -> Generator[tuple[Task, Result | Failure]]:
    """Run the tasks on `workers` processes, of which any may die at any time.

    When one dies, another takes its place and the task that it had runs again. A task that lost three processes runs
    alone in the end; if its process dies again, it is a Failure. Where not so many processes can be started, fewer do
    the work, or this one, and a warning says so.
    """
    leave_import_of_script()
    source, again, suspects, deaths = iter(tasks), deque[Task](), list[Task](), Counter[Task]()
    ended: list[tuple[Task, Result | Failure]] = []
    pool: _Pool[Task, Result] = _Pool(work, workers, stop)
    try:
        while True:
            while not stop and pool.has_room:
                task = again.popleft() if again else next(source, None)
                if task is None:
                    break
                if not pool.start(task):
                    again.appendleft(task)
            yield from ended
            if not pool.at_work:
                break
            ended = pool.collect()
            while pool.lost:
                task, died = pool.lost.pop()
                deaths[task] += died
                (suspects if deaths[task] >= DEATHS_BEFORE_ALONE else again).append(task)
        for task in suspects:
            if not stop:
                yield task, pool.run_alone(task)
        if not pool.size:
            yield from serial.run(work, chain(again, source), stop)
    except BaseException:
        pool.close(at_once=True)
        raise
    finally:
        pool.close(at_once=False)


def on(workers: int) -> Runner:
    """Return the runner on so many processes."""
    return partial(run, workers=workers)


class _Worker(Generic[Task]):
    """A process, the line to it, and the task that it has. Raises what `_CANNOT_START` lists."""

    def __init__(self, context: Any, work: Callable[[Task], Any], cut: connection.Connection) -> None:
        self.task: Task | None = None
        self.started = False
        self.line, line = context.Pipe()
        try:
            with line, warnings.catch_warnings(action="ignore"):  # that the tracker of resources, unused, was killed
                if context.get_start_method() == "forkserver":
                    fork_server.start()
                self.process = context.Process(target=_work_on_line, args=(work, line, cut), name=WORKER, daemon=True)
                self.process.start()
        except BaseException:
            self.line.close()
            raise

    def give(self, task: Task) -> None:
        """Send a task; that the process is dead shows when its outcome is asked for."""
        self.task = task
        with suppress(ConnectionError):
            self.line.send(task)

    def end(self) -> bool:
        """Wait for the end of the process, which has no task or is dead; return whether its script has no guard."""
        self.line.close()
        self.process.join()
        unguarded: bool = self.process.exitcode == UNGUARDED
        self.process.close()
        return unguarded


class _Pool(Generic[Task, Result]):
    """The processes, of which there are `size` at most, and a line to all of them that ends them at once when cut."""

    def __init__(self, work: Callable[[Task], Result], size: int, stop: Stop) -> None:
        self.size = size
        self._stop = stop
        self.lost: list[tuple[Task, bool]] = []
        self._asked = size
        self._work = work
        self._context = _context()
        self._workers: list[_Worker[Task]] = []
        self._listener: connection.Connection | None = None

    @property
    def at_work(self) -> int:
        """The number of processes that have a task."""
        return sum(worker.task is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether a task can be started."""
        return self.at_work < self.size

    def start(self, task: Task) -> bool:
        """Give a task to a process that has none, or to a new one; where none can be started the pool shrinks."""
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None:
            try:
                worker = self._new_worker()
            except _CANNOT_START as error:
                self._shrink(getattr(error, "strerror", None) or str(error) or type(error).__name__)
                return False
            self._workers.append(worker)
        worker.give(task)
        return True

    def _new_worker(self) -> _Worker[Task]:
        if self._listener is None:
            self._listener, self._cut = self._context.Pipe(duplex=False)
        for pause in (0.0, 0.1, 1.0):
            try:
                return _Worker(self._context, self._work, self._listener)
            except ConnectionRefusedError:  # by a server that was killed, and whose end may not be seen yet
                time.sleep(pause)
            except _CANNOT_START:
                if pause:
                    raise
        return _Worker(self._context, self._work, self._listener)

    def _shrink(self, reason: str) -> None:
        if self._stop:  # the signal may have been for all processes of a job, the server among them
            return
        if self.size == self._asked:
            warn_once(f"not all of {self._asked} processes can be started ({reason}); going on with fewer")
        self.size -= 1

    def collect(self) -> list[tuple[Task, Result | Failure]]:
        """Wait for news, and return the tasks that have ended, if any, with their outcomes.

        Tasks of dead processes are added to `lost`, with whether they had a part in that: whether it had started.
        """
        ended: list[tuple[Task, Result | Failure]] = []
        waiting = connection.wait([worker.line for worker in self._workers], timeout=1)
        for worker in [worker for worker in self._workers if worker.line in waiting]:
            try:
                outcome = worker.line.recv()
            except (EOFError, OSError):
                self._workers.remove(worker)
                if worker.end() and not worker.started:
                    raise RequestError(
                        "workers import the script that starts them, and it would do its work again there",
                        hint='put the work under `if __name__ == "__main__":`',
                    ) from None
                if worker.task is not None:
                    self.lost.append((worker.task, worker.started))
                if not worker.started:
                    self._shrink("it ended at its start")
                continue
            if not worker.started:
                worker.started = True
            elif worker.task is not None:
                ended.append((worker.task, outcome))
                worker.task = None
        return ended

    def run_alone(self, task: Task) -> Result | Failure:
        """Run a task while no other is at work, and return what it comes to."""
        while self.size and self.start(task):
            while not self.lost:
                for _, outcome in self.collect():
                    return outcome
            if self.lost.pop()[1]:
                return Failure(f"its process died {DEATHS_BEFORE_ALONE + 1} times, the last time alone")
        return Failure(f"its process died {DEATHS_BEFORE_ALONE} times, and no other could be started")

    def close(self, *, at_once: bool) -> None:
        """End the processes: those without a task, or all of them at once."""
        if at_once and self._listener is not None:
            self._cut.close()
        while self._workers:
            self._workers.pop().end()
        if self._listener is not None:
            self._cut.close()
            self._listener.close()


def _context() -> Any:
    """Return a context that starts processes safely beside threads, with the package loaded once where it can be."""
    if "forkserver" not in multiprocessing.get_all_start_methods() or not _has_room_for_socket():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _has_room_for_socket() -> bool:
    try:
        return len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_TEMPORARY
    except OSError:  # there is no directory for temporary files
        return False


def prepare() -> None:
    """Start the server that workers come from, so that it loads the package while this process is busy."""
    if _context().get_start_method() == "forkserver":
        with suppress(*_CANNOT_START):  # which shows again when there is work
            fork_server.start()


def _work_on_line(
    work: Callable[[Any], Any], line: connection.Connection, cut: connection.Connection
) -> None:  # pragma: no cover: runs in workers
    """Work on what comes; leave Ctrl-C to the parent; end when the parent ends, or cuts a line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        connection.wait([parent.sentinel, cut])
        os._exit(1)

    with suppress(EOFError, OSError, RuntimeError):  # no more tasks; no thread
        threading.Thread(target=leave_with_parent, daemon=True).start()
        line.send(None)
        while True:
            line.send(guarded(work, line.recv()))
