"""Owns running work on processes, any of which may die at any time; it keeps the contract of `runner`.

`concurrent.futures` is used for what it does well: it notices a dead worker at once. It then gives up on all that was
in flight, so that is what is run again here. Workers are started by a server that was forked before there were threads,
or else from nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection
from typing import Any, Generic, Self

from mnist_seq_cli.execution.runner import Failure, Result, Runner, Stop, Task, guarded

_PRELOADED = [
    "mnist_seq_cli.cli.main",
    "mnist_seq_cli.dataset.build",
    "mnist_seq_cli.formats.png_folder",
    "numpy.random",
]

BREAKS_BEFORE_ALONE = 3
"""Worker deaths that a task may be near before it has to run alone, to find out whether it is the cause."""


def run(
    work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop, workers: int
) -> Generator[tuple[Task, Result | Failure]]:
    """Run the tasks on `workers` processes, of which any may die at any time.

    When one dies, the pool is built again and what was in flight runs again. A task that was in flight in three deaths
    runs alone; if its process dies again, it is a Failure and the others go on.
    """
    source = iter(tasks)
    again: deque[Task] = deque()
    deaths: Counter[Task] = Counter()
    pool: _Pool[Task, Result] = _Pool(work, workers)
    try:
        while True:
            while not stop and len(pool.in_flight) < 2 * workers:
                if not again and (task := next(source, None)) is not None:
                    again.append(task)
                if not again or not pool.submit(again[0]):
                    break
                again.popleft()
            if not pool.in_flight and not pool.broken:
                return
            yield from pool.collect(stop)
            if pool.broken:
                pool.close(at_once=False)
                lost = pool.lost
                deaths.update(lost)
                pool = _Pool(work, workers)
                again.extend(task for task in lost if deaths[task] < BREAKS_BEFORE_ALONE)
                for suspect in (task for task in lost if deaths[task] >= BREAKS_BEFORE_ALONE):
                    if not stop:
                        yield from _run_alone(work, suspect, stop)
    except BaseException:
        pool.close(at_once=True)
        raise
    finally:
        pool.close(at_once=False)


def on(workers: int) -> Runner:
    """Return the runner on so many processes."""
    return partial(run, workers=workers)


def _run_alone(work: Callable[[Task], Result], task: Task, stop: Stop) -> Iterator[tuple[Task, Result | Failure]]:
    with _Pool[Task, Result](work, 1) as pool:
        pool.submit(task)
        yield from pool.collect(stop)
    if pool.broken:
        yield task, Failure(f"its process died {BREAKS_BEFORE_ALONE + 1} times, the last time alone")


class _Pool(Generic[Task, Result]):
    """An executor with the tasks that it has in flight, and a line to its workers that ends them at once when cut."""

    def __init__(self, work: Callable[[Task], Result], workers: int) -> None:
        context = _context()
        self._stopped = context.Event()
        listener, self._line = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(work, listener, self._stopped)
        )
        self._listener = listener
        self.in_flight: dict[Future[Result | Failure], Task] = {}
        self.lost: list[Task] = []
        self.broken = False

    def submit(self, task: Task) -> bool:
        """Start a task, unless the pool has just broken."""
        try:
            self.in_flight[self._executor.submit(_work_on, task)] = task
        except BrokenProcessPool:
            self.broken = True
        return not self.broken

    def collect(self, stop: Stop) -> Iterator[tuple[Task, Result | Failure]]:
        """Wait for a task to end, and yield those that have; a broken pool ends them all."""
        while self.in_flight:
            if stop:
                self._stopped.set()
            done, _ = wait(self.in_flight, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                task = self.in_flight.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    self.broken = True
                    self.lost.append(task)
                else:
                    if not isinstance(outcome, Failure) or outcome != _NOT_STARTED:
                        yield task, outcome
            if done and not self.broken:
                return

    def close(self, *, at_once: bool) -> None:
        """End the workers: after their tasks, or at once."""
        if at_once:
            self._line.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._line.close()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(at_once=kind is not None)


_NOT_STARTED = Failure("not started: the run was asked to stop")
_work: Callable[[Any], Any]
_stopped: Any


def _context() -> Any:
    """Return a context that starts processes safely beside threads, with the package loaded once where it can be."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # pragma: no cover: tested on Linux
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def prepare() -> None:
    """Start the server that workers come from, so that it loads the package while this process is busy."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def _start_worker(
    work: Callable[[Any], Any], line: connection.Connection, stopped: Any
) -> None:  # pragma: no cover: runs in workers
    """Take what there is to do, once; leave Ctrl-C to the parent; end when the parent ends or cuts the line."""
    global _work, _stopped
    _work, _stopped = work, stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        connection.wait([parent.sentinel, line])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _work_on(task: Any) -> Any:  # pragma: no cover: runs in workers
    return _NOT_STARTED if _stopped.is_set() else guarded(_work, task)
