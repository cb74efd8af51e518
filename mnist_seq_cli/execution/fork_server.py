"""Owns the start of the server that workers come from, of which nothing is left on disk, whatever is killed.

Python gives the socket of the server a name in the directory for temporary files for as long as this process runs. Here
the name goes as soon as the server listens: the socket is reached by a descriptor. (An abstract socket has no name on
disk either, but everyone on the machine could connect to it and have code run: CVE-2022-42919.)
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

_PREFIX = ".mnistseq-"

_RECENT = 60
"""Seconds after which a folder is not that of a server that is being started, which takes some milliseconds."""

_HAS_DESCRIPTORS = hasattr(os, "O_PATH") and Path("/proc/self/fd").is_dir()
"""Whether a socket is reached by a descriptor; elsewhere its name goes at the end of this process, unless killed."""


_DESCRIPTORS = 5
"""Descriptors that it takes to have a process started; where there are fewer, Python leaves some of them open."""


def start() -> None:
    """Start the server unless it runs. Raises OSError and what else comes of limits on processes and descriptors."""
    from multiprocessing import forkserver, resource_tracker

    with ExitStack() as spare, Path(os.devnull).open("rb") as file:
        for _ in range(1, _DESCRIPTORS):
            spare.callback(os.close, os.dup(file.fileno()))
    server: Any = forkserver._forkserver
    if not _HAS_DESCRIPTORS or not {"_forkserver_address", "_forkserver_pid"} <= vars(server).keys():
        server.ensure_running()  # pragma: no cover: tested on Linux, with Pythons that have these names
        return  # pragma: no cover
    if _runs(server._forkserver_pid):
        return
    _clear(tempfile.gettempdir())
    resource_tracker.ensure_running()  # which takes its time, and would take it while there is a name
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before, folder = config.get("tempdir"), tempfile.mkdtemp(prefix=_PREFIX)
    try:
        config["tempdir"] = folder
        server.ensure_running()
        if server._forkserver_address.startswith(folder):
            server._forkserver_address = f"/proc/self/fd/{os.open(server._forkserver_address, os.O_PATH)}"
    finally:
        config["tempdir"] = before
        shutil.rmtree(folder, ignore_errors=True)


def remove(address: str) -> None:
    """Remove the folder of a socket, if it is one of ours that is still there."""
    if Path(address).parent.name.startswith(_PREFIX):
        shutil.rmtree(Path(address).parent, ignore_errors=True)


def _runs(process: int | None) -> bool:
    """Return whether a child process runs; that it ended is left for its owner to see."""
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return process is not None and os.waitid(os.P_PID, process, ended) is None


@cache
def _clear(directory: str) -> None:
    """Remove the folders of sockets of processes of this user that were killed while they started a server."""
    for folder in Path(directory).glob(f"{_PREFIX}????????"):
        with suppress(OSError):
            about = folder.lstat()
            if (
                stat.S_ISDIR(about.st_mode)
                and about.st_uid == os.getuid()
                and time.time() - about.st_mtime > _RECENT
                and all(path.is_socket() for path in folder.iterdir())
            ):
                shutil.rmtree(folder)
