"""Owns where work runs: here, or on processes; and how it stops. It knows nothing of what the work is.

Both runners have one contract: they take a function and tasks, run each task once, and yield `(task, outcome)` as tasks
end, in any order; an outcome is what the function returned, or a Failure. When asked to stop they start no more tasks,
let those that run come to their end, and return.
"""

import errno
import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from types import FrameType
from typing import Any, Generic, Self, TypeVar

from mnist_seq_cli.errors import MnistseqError, one_line

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

BREAKS_BEFORE_ALONE = 3
"""Worker deaths that a task may be near before it has to run alone, to find out whether it is the cause."""

_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task has no result: a line for people, and a traceback where nobody foresaw the error.

    `hopeless` says that other tasks would meet the same end, as on a full disk.
    """

    message: str
    details: str = ""
    hopeless: bool = False


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


def run_here(
    work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop
) -> Generator[tuple[Task, Result | Failure]]:
    """Run the tasks one after another in this process."""
    for task in tasks:
        if stop:
            return
        yield task, _guarded(work, task)


def run_on_processes(
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
        self._work = work
        self._stopped = context.Event()
        listener, self._line = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(listener, self._stopped)
        )
        self._listener = listener
        self.in_flight: dict[Future[Result | Failure], Task] = {}
        self.lost: list[Task] = []
        self.broken = False

    def submit(self, task: Task) -> bool:
        """Start a task, unless the pool has just broken."""
        try:
            self.in_flight[self._executor.submit(_guarded_in_worker, self._work, task)] = task
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
_stopped: Any = None


def _context() -> Any:
    """Return a way to start processes that is safe beside threads, with the package loaded once where it can be."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # pragma: no cover: tested on Linux
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mnist_seq_cli.dataset"])
    return context


def _start_worker(line: connection.Connection, stopped: Any) -> None:  # pragma: no cover: runs in workers
    """Leave Ctrl-C to the parent, and end when the parent ends or cuts the line."""
    global _stopped
    _stopped = stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        connection.wait([parent.sentinel, line])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()


def _guarded_in_worker(work: Callable[[Task], Result], task: Task) -> Result | Failure:  # pragma: no cover: in workers
    return _NOT_STARTED if _stopped is not None and _stopped.is_set() else _guarded(work, task)


def _guarded(work: Callable[[Task], Result], task: Task) -> Result | Failure:
    """Run a task; an error becomes a Failure here, since not every exception can travel between processes."""
    try:
        return work(task)
    except MnistseqError as error:
        return Failure(str(error))
    except OSError as error:
        return Failure(describe_os_error(error), hopeless=error.errno in _FATAL)
    except Exception as error:
        return Failure(one_line(f"{type(error).__name__}: {error}"), details=traceback.format_exc())


def describe_os_error(error: OSError) -> str:
    """Return what the system says about an error, and about which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return one_line(f"{error.filename}: {reason}" if error.filename else reason)
