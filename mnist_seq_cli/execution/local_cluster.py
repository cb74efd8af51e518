"""Owns the process that holds a Dask cluster on this machine, apart from who uses it: `python -m` this, with a number.

It writes the address of the scheduler to stdout, and ends with all its workers when its stdin ends, as it does when the
process that started it is killed. In a session of its own it has no terminal, so that Ctrl-C is for that one alone.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from mnist_seq_cli.errors import OutputError

_SETTINGS = {
    "distributed.deploy.lost-worker-timeout": "1000 days",  # one that starts again then would be given up
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,  # which takes each batch anew from the system
    "distributed.admin.system-monitor.interval": "10 s",
}


@contextmanager
def started(workers: int) -> Iterator[str]:
    """Start a cluster of so many processes of one thread, and yield its address. Raises OutputError."""
    command = [sys.executable, "-m", __name__, str(workers)]
    paths = os.pathsep.join(path or os.curdir for path in sys.path)
    process = subprocess.Popen(  # noqa: S603
        command,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:  # which closes its stdin, and waits for it
        assert process.stdout is not None
        if not (address := process.stdout.readline().decode().strip()):
            raise OutputError(f"no Dask cluster of {workers} workers can be started here", hint="take fewer `workers`")
        yield address


def _main(workers: int) -> None:
    """Hold a cluster until stdin ends."""
    scratch = tempfile.mkdtemp(prefix="mnistseq-")
    threading.Thread(target=_end_with_stdin, args=(scratch,), daemon=True).start()
    try:
        import dask
        from distributed import LocalCluster

        from mnist_seq_cli.execution.processes import PRELOADED

        dask.config.set(_SETTINGS, temporary_directory=scratch)
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=None,
            local_directory=scratch,
            preload=PRELOADED,
        )
        os.write(1, f"{cluster.scheduler_address}\n".encode())
        threading.Event().wait()
    finally:
        _end(scratch)


def _end_with_stdin(scratch: str) -> None:
    while os.read(0, 1):
        pass
    _end(scratch)


def _end(scratch: str) -> NoReturn:
    """End this process and all workers at once."""
    for process in multiprocessing.active_children():
        process.kill()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
