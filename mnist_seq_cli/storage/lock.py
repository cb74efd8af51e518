"""Owns the lock of a directory on this machine: one run at a time writes to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mnist_seq_cli.errors import RequestError, warn_once
from mnist_seq_cli.storage.local import NewFile, open_regular, remove
from mnist_seq_cli.storage.store import PIECE, STATE_NAME

LOCK_NAME = f"{STATE_NAME}.lock"
"""The file in a directory that is its lock, where the file system has none."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process alone; the lock goes with the process, however it ends.

    Where the file system has no such locks, a file is the lock, and a warning says so. Raises RequestError when another
    process holds it, OSError.
    """
    if sys.platform == "win32":  # pragma: no cover: tested on Linux
        import msvcrt

        path = directory / LOCK_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            os.close(descriptor)
            raise _held(directory) from None
        try:
            yield
        finally:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
        return

    import fcntl

    with ExitStack() as held:
        descriptor = os.open(directory, os.O_RDONLY)
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(directory) from None
        except OSError as error:  # which one depends on the file system: ENOLCK, EOPNOTSUPP, ENOSYS, EBADF …
            held.enter_context(_lock_file(directory))
            reason = f"the file system has no locks (flock: {error.strerror})"
            warn_once(f"{reason}; the file {LOCK_NAME} keeps other runs out")
        else:  # a process that is just being started may hold a copy of it
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
        yield


@contextmanager
def _lock_file(directory: Path) -> Iterator[None]:
    """Hold a directory by a file that is made exclusively; one that a killed process left here is taken over.

    Raises RequestError, OSError.
    """
    path, machine = directory / LOCK_NAME, _machine()
    if _is_left(path, machine):
        remove(path)
    try:
        file = NewFile(path)
    except FileExistsError:
        raise _held(directory, f"wait for it; if there is none, on no machine, remove {path}") from None
    try:
        with file:
            file.write(b"%s %d" % (machine, os.getpid()))
        yield
    finally:
        remove(path)


def _is_left(path: Path, machine: bytes) -> bool:
    """Return whether the process that made a lock file was on this machine, and is gone."""
    try:
        with open_regular(path) as file:
            origin, _, process = file.read(PIECE).rpartition(b" ")
        if origin == machine:
            os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return False


def _machine() -> bytes:
    """Return a name for where process numbers mean the same: the host, and the container on it."""
    import platform

    container = "-"
    with suppress(OSError):
        container = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (no path: a name in brackets)
    return os.fsencode(f"{platform.node()} {container}")


def _held(directory: Path, hint: str = "wait for it, or choose another directory") -> RequestError:
    return RequestError(f"another mnistseq is writing to {directory}", hint=hint)
