"""Owns processes that start in milliseconds, for tests that kill many: forks of one that has loaded everything.

As a program it reads orders in JSON, a line each, and answers each with a line: `[kind, arguments, file for stderr]`
starts a process and is answered with its number; a number waits for that process and is answered with its exit code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any


class Nursery:
    """The program, and what it has started, which all ends with the `with` block."""

    def __enter__(self) -> Nursery:
        command = [sys.executable, __file__]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._living: set[int] = set()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._living]:
            self.kill(process)
        self._process.communicate()

    def _ask(self, order: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def start(self, kind: str, *arguments: object, stderr: Path = Path(os.devnull)) -> int:
        """Start a process, and return its number."""
        process = self._ask([kind, [*map(str, arguments)], str(stderr)])
        self._living.add(process)
        return process

    def end_of(self, process: int) -> int:
        """Wait for the end of a process, and return its exit code, or the signal that ended it as a negative number."""
        self._living.discard(process)
        return self._ask(process)

    def kill(self, process: int) -> int:
        """End a process as nothing can catch it, and return as `end_of` does."""
        os.kill(process, signal.SIGKILL)
        return self.end_of(process)


# In the program


def _command(*arguments: str) -> int:
    from mnist_seq_cli.cli import main

    return main.run(list(arguments))


def _proxy(behind: str, port: str, at: str) -> int:
    """Pass requests on, and be killed at the N-th before it is passed on, or after it where the number is negative."""
    import object_servers

    with object_servers.Faults(int(behind), int(port), lambda: os.kill(os.getpid(), signal.SIGKILL)) as faults:
        faults.begin(abs(int(at)), "strike after" if int(at) < 0 else "strike")
        time.sleep(1e6)
    return 0


def _scheduler(port: str) -> int:
    import asyncio

    from distributed import Scheduler

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", port=int(port), dashboard=False) as scheduler:
            await scheduler.finished()

    asyncio.run(run())
    return 0


def _worker(address: str, directory: str) -> int:
    import asyncio

    from distributed import Worker

    async def run() -> None:
        options = {"nthreads": 1, "dashboard": False, "local_directory": directory, "memory_limit": 0}
        async with Worker(address, **options) as worker:
            await worker.finished()

    asyncio.run(run())
    return 0


_KINDS: dict[str, Callable[..., int]] = {
    "command": _command,
    "proxy": _proxy,
    "scheduler": _scheduler,
    "worker": _worker,
}


def _born(kind: str, arguments: list[str], stderr: str) -> int:
    """Return the number of a fork that does what is asked for, with nothing on stdin and stdout."""
    if process := os.fork():
        return process
    code = 1
    try:
        os.setsid()
        for descriptor, name in enumerate((os.devnull, os.devnull, stderr)):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
        code = _KINDS[kind](*arguments)
    finally:
        os._exit(code)


def _main() -> None:
    import distributed  # noqa: F401 (what takes long to load)
    import obstore.store  # noqa: F401

    from mnist_seq_cli.cli.commands import dataset  # noqa: F401
    from mnist_seq_cli.dataset import build  # noqa: F401
    from mnist_seq_cli.execution import cluster
    from mnist_seq_cli.formats import webdataset  # noqa: F401
    from mnist_seq_cli.storage import object_client, object_store

    short = {"init_backoff": timedelta(milliseconds=20), "max_backoff": timedelta(milliseconds=200)}
    object_client._RETRIES.update({"max_retries": 8, "backoff": short})
    object_store._SECONDS, cluster.PATIENCE = 5, 3
    for line in sys.stdin:
        order: Any = json.loads(line)
        answer = os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]) if isinstance(order, int) else _born(*order)
        with suppress(BrokenPipeError):
            print(answer, flush=True)


if __name__ == "__main__":
    _main()
