"""Owns running work on the workers of a Dask cluster, which may come, go and die; it keeps the contract of `runner`.

Each task takes the work along: what is scattered beforehand is lost with the workers that hold it. When a worker is
lost, Dask runs its tasks on another; a result is waited for without a limit.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from itertools import islice
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, Self

import mnist_seq_cli
from mnist_seq_cli.errors import OutputError, RequestError, one_line, warn_once
from mnist_seq_cli.execution import local_cluster
from mnist_seq_cli.execution.runner import Failure, Result, Runner, Stop, Task, guarded

AHEAD = 2
"""Batches of tasks in flight for each thread of the workers: the one that runs, and the next."""

MOST = 8
"""Tasks in a batch, at most."""

_SECONDS = 0.15
"""How long a batch is to take: a few milliseconds are lost on each."""

PATIENCE = 10
"""Seconds to wait for the scheduler, and for a first worker."""

LONG = 60
"""Seconds without any worker after which a warning says so."""

_GONE = (OSError, RuntimeError, ValueError, asyncio.CancelledError, concurrent.futures.CancelledError)
"""What comes of calls when the scheduler is lost."""


class Cluster:
    """A runner on a Dask cluster: `with Cluster("10.0.0.1:8786") as run`, to which it is connected while that runs.

    Without the `address` of a scheduler, `workers` processes are started here, and ended in the end.
    """

    def __init__(self, address: str = "", workers: int = 1) -> None:
        self._address, self._workers = address, workers
        self._exit = ExitStack()
        self._client: Any = None

    def __str__(self) -> str:
        return f"dask://{self._address}" if self._address else "the Dask cluster here"

    def __enter__(self) -> Self:
        """Connect. Raises RequestError where Dask is not installed, OutputError without a scheduler or a worker."""
        try:
            from distributed import Client
        except ImportError:
            raise RequestError("Dask is not installed", hint="pip install 'mnistseq[dask]'") from None
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            cluster = self._address or stack.enter_context(local_cluster.started(self._workers))
            try:
                self._client = stack.enter_context(Client(cluster, timeout=PATIENCE, set_as_default=False))
            except (OSError, ValueError):
                raise OutputError(f"no scheduler answers at {self}", hint="dask scheduler starts one") from None
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                hint = f"dask worker {self._address} --nthreads 1 starts one"
                raise OutputError(f"{self} has no workers", hint=hint) from None
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit.__exit__(*error)

    def requiring(self, probe: Callable[[], None]) -> Runner:
        """Return the runner on workers that pass the probe, which those that come later run before their first task.

        Raises OutputError when it fails on one now, or when one has another version of this package.
        """
        content = _dumped(probe)
        answers = self.ask(self._client.run, _refusal, mnist_seq_cli.__version__, content, on_error="return")
        unfit = {
            worker: answer if isinstance(answer, str) else f"cannot load mnistseq ({type(answer).__name__}: {answer})"
            for worker, answer in sorted(answers.items())
            if answer and not isinstance(answer, OSError)  # which a worker leaves that has just gone
        }
        if unfit:
            worker, reason = next(iter(unfit.items()))
            number = f"{len(unfit)} of {len(answers)} workers are unfit: " if len(answers) > 1 else ""
            raise OutputError(f"{number}{_blamed(worker, reason)}")
        return partial(self._run, content)

    def ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what a call to the cluster returns. Raises OutputError when the scheduler is lost."""
        try:
            return call(*arguments, **options)
        except _GONE:
            raise self.lost() from None

    def lost(self) -> OutputError:
        """Return the error for a scheduler that is lost."""
        return OutputError(f"the scheduler of {self} is lost", hint="run the same command again to finish")

    def __call__(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop, /
    ) -> Generator[tuple[Task, Result | Failure]]:
        """Run the tasks on the workers. A task that lost four of them runs alone in the end.

        Raises OutputError when the scheduler is lost.
        """
        return self._run(b"", work, tasks, stop)

    def _run(
        self, probe: bytes, work: Callable[[Task], Result], tasks: Iterable[Task], stop: Stop, /
    ) -> Generator[tuple[Task, Result | Failure]]:
        run: _Run[Task, Result] = _Run(self, self._client, probe, work)
        source = iter(tasks)
        try:
            while True:
                while not stop and run.has_room and (batch := list(islice(source, run.size))):
                    run.start(batch)
                if not run.running:
                    break
                yield from run.collect(stop)
            for task in run.suspects[:]:
                if not stop:
                    run.start([task])
                    while run.running:
                        yield from run.collect(stop, alone=True)
        except KeyboardInterrupt:
            self._exit.close()  # at once: before what workers here have half done is removed
            raise
        finally:
            run.close()


class _Run(Generic[Task, Result]):
    """The batches of tasks that are in flight, by the keys of their futures, and the tasks that workers died of.

    `size` is the tasks that go into the next batch, by what those that came back have taken.
    """

    def __init__(self, cluster: Cluster, client: Any, probe: bytes, work: Callable[[Task], Result]) -> None:
        self.running: dict[str, tuple[Any, list[Task]]] = {}
        self.suspects: list[Task] = []
        self.size = 1
        self._cluster, self._client = cluster, client
        self._name = f"mnistseq-{os.urandom(8).hex()}"
        self._common = self._name, mnist_seq_cli.__version__, probe, _dumped(work)
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._started = self._threads = 0
        self._counted, self._had_workers = 0.0, monotonic()
        self._dismissed = False

    @property
    def has_room(self) -> bool:
        """Whether a batch can be started."""
        self._count()
        return len(self.running) < AHEAD * max(self._threads, 1)

    def _count(self) -> None:
        """Count the threads of the workers, once a second."""
        if (now := monotonic()) < self._counted + 1:
            return
        self._threads = sum(self._cluster.ask(self._client.nthreads).values())
        self._counted = now
        if self._threads:
            self._had_workers = now
        elif now > self._had_workers + LONG:
            warn_once(f"{self._cluster} has no workers; waiting for some")

    def start(self, batch: list[Task]) -> None:
        """Send tasks that one worker is to do, one after the other."""
        self._started += 1
        key = f"{self._name}-{self._started}"
        future = self._cluster.ask(self._client.submit, _execute, *self._common, _dumped(batch), key=key, pure=False)
        self.running[key] = future, batch
        future.add_done_callback(self._done.put)

    def collect(self, stop: Stop, *, alone: bool = False) -> Iterator[tuple[Task, Result | Failure]]:
        """Wait for news, and yield the tasks that have ended, if any, with their outcomes."""
        if stop and not self._dismissed:
            self._dismissed = True
            self._cluster.ask(self._client.run, _dismiss, self._name, on_error="ignore")
        try:
            future = self._done.get(timeout=0.2)
        except Empty:
            self._count()
            return
        if future.status in ("lost", "pending"):  # a worker died with the result in its memory: it is made again
            future.add_done_callback(self._done.put)
            return
        _, batch = self.running.pop(future.key)
        if future.status == "finished":
            outcomes, seconds = self._cluster.ask(future.result)
            self.size = max(1, min(MOST, int(_SECONDS * len(outcomes) / max(seconds, 1e-9))))
            yield from zip(batch, outcomes, strict=False)  # what was dismissed has none
        elif future.status == "error":
            error = self._cluster.ask(future.exception)
            if type(error).__name__ != "KilledWorker":
                reason = one_line(f"{type(error).__name__}: {error}")
                yield batch[0], Failure(f"a worker cannot run it ({reason})", fatal=True)
            elif alone:
                yield batch[0], Failure("its worker died 8 times, the last 4 times alone")
            else:
                self.suspects += batch
        else:
            raise self._cluster.lost()

    def close(self) -> None:
        """Cancel what is in flight: what has begun ends on its worker, unheeded."""
        with suppress(*_GONE):
            if self.running:
                self._client.cancel([future for future, _ in self.running.values()], force=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask would log and warn of off stderr: what matters becomes an error."""
    handlers = [handler for handler in logging.getLogger("distributed").handlers if handler.level <= logging.CRITICAL]
    levels = [handler.level for handler in handlers]
    try:
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed|dask|tornado")
            yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


def _dumped(value: Any) -> bytes:
    from distributed.protocol import pickle

    content: bytes = pickle.dumps(value)
    return content


def _loaded(content: bytes) -> Any:
    from distributed.protocol import pickle

    return pickle.loads(content)


_loaded_once = lru_cache(maxsize=8)(_loaded)


# What runs on workers

_dismissed_runs: set[str] = set()


def _dismiss(run: str) -> None:
    _dismissed_runs.add(run)


@lru_cache(maxsize=8)
def _refusal(version: str, probe: bytes) -> str:
    """Return why this worker cannot take part; nothing when it can."""
    if version != mnist_seq_cli.__version__:
        return f"has mnistseq {mnist_seq_cli.__version__}, not {version}"
    outcome = guarded(lambda content: _loaded(content)(), probe) if probe else None
    return outcome.message if isinstance(outcome, Failure) else ""


def _execute(run: str, version: str, probe: bytes, work: bytes, batch: bytes) -> tuple[list[Any], float]:
    """Run tasks one after the other until they are dismissed, and return their outcomes and the seconds they took."""
    from distributed import get_worker

    outcomes, started = [], monotonic()
    for task in _loaded(batch):
        if run in _dismissed_runs:
            break
        if refusal := _refusal(version, probe):
            outcomes.append(Failure(_blamed(get_worker().address, refusal), fatal=True))
        else:
            outcomes.append(guarded(lambda task: _loaded_once(work)(task), task))
    return outcomes, monotonic() - started


def _blamed(worker: str, reason: str) -> str:
    return f"the worker at {worker} {one_line(reason)}"
