"""Owns the work that tests give to runners; workers import this module, so it has to be light."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnist_seq_cli.errors import FormatError


def double(task: int) -> int:
    return 2 * task


def whose(task: int) -> tuple[int, int, int]:
    """Tell which process does the task, and which one started that."""
    time.sleep(0.02)
    return task, os.getpid(), os.getppid()


class Unpicklable(Exception):  # noqa: N818
    """An error that cannot travel: it holds a lock, and it cannot be made again from its arguments."""

    def __init__(self, here: str, there: str) -> None:
        super().__init__(f"from {here} to {there}")
        self.lock = threading.Lock()


def fail(task: int) -> int:
    if task == 1:
        raise ValueError("one\nis not enough")
    if task == 2:
        raise FormatError("two is not a format", hint="take three")
    if task == 3:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "three.png")
    if task == 4:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if task == 5:
        raise Unpicklable("here", "there")
    if task == 6:
        raise MemoryError
    return task


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


class Killer:
    """Work that kills its own process: the first `times` times that it meets the task `victim`, as files tell.

    After that it takes `seconds` for it.
    """

    def __init__(self, directory: Path, victim: int, times: int, seconds: float = 0) -> None:
        self.directory, self.victim, self.times, self.seconds = directory, victim, times, seconds

    def __call__(self, task: int) -> int:
        time.sleep(0.01)
        if task == self.victim:
            meetings = len(list(self.directory.iterdir()))
            (self.directory / str(meetings)).touch()
            if meetings < self.times:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
        return 2 * task


class Log:
    """Work that leaves a file for each time that a task is begun."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self.directory, self.seconds = directory, seconds

    def __call__(self, task: int) -> int:
        (self.directory / f"{task}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds)
        return task


class NotElsewhere:
    """Work that ends every process to which it is sent."""

    def __call__(self, task: int) -> int:
        return os.getpid()

    def __setstate__(self, _: object) -> None:
        os._exit(1)

    def __getstate__(self) -> dict[str, bool]:
        return {"sent": True}


def array(task: int) -> object:
    import numpy as np

    return np.full(3, task)


def die(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


class Spoiled:
    """Work on shards in which one of them meets with something: `kill` ends the process, `unpicklable` raises that."""

    def __init__(self, work: Callable[[Any], Any], fault: str, shard: int) -> None:
        self.work, self.fault, self.shard = work, fault, shard

    def __call__(self, task: Any) -> Any:
        if task.shard.number == self.shard:
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise Unpicklable("here", "there")
        return self.work(task)


def nothing() -> None:
    """Do nothing: a probe that finds nothing wrong."""
