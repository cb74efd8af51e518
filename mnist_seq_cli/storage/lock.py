"""Owns the lock of a directory on this machine: one run at a time writes to it, or several that make parts of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from mnist_seq_cli.errors import RequestError, warn_once
from mnist_seq_cli.storage.local import NewFile, make_directory, open_regular, remove, remove_if_empty
from mnist_seq_cli.storage.store import PIECE, STATE_NAME

LOCK_NAME = f"{STATE_NAME}.lock"
"""The file in a directory that is its lock, where the file system has none."""


@contextmanager
def locked(directory: Path, part: str = "") -> Iterator[None]:
    """Hold `directory` for this process alone; the lock goes with the process, however it ends.

    With `part`, a name, it is held together with processes that hold other parts. Where the file system has no such
    locks, a file is the lock, and a warning says so. Raises RequestError when another process holds it, OSError.
    """
    if sys.platform == "win32":  # pragma: no cover: tested on Linux
        with _locked_bytes(directory, part):
            yield
        return

    import fcntl

    with ExitStack() as held:

        def hold(path: Path, flags: int, kind: int) -> int:
            descriptor = os.open(path, flags, 0o666)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # a process that is being started may have a copy
            return descriptor

        try:
            hold(directory, os.O_RDONLY, fcntl.LOCK_SH if part else fcntl.LOCK_EX)
            if part:
                path = directory / STATE_NAME / f"{part}.lock"
                make_directory(path.parent)
                descriptor = hold(path, os.O_WRONLY | os.O_CREAT, fcntl.LOCK_EX)
                if not path.exists() or not os.path.samestat(os.fstat(descriptor), path.stat()):
                    raise BlockingIOError  # it was removed by who held it just now
                held.callback(_remove_with_folder, path)
        except BlockingIOError:
            raise _held(directory) from None
        except OSError as error:  # which one depends on the file system: ENOLCK, EOPNOTSUPP, ENOSYS, EBADF …
            held.enter_context(_lock_file(directory, part))
            reason = f"the file system has no locks (flock: {error.strerror})"
            warn_once(f"{reason}; the file {_file_name(part)} keeps other runs out")
        yield


@contextmanager
def _locked_bytes(directory: Path, part: str) -> Iterator[None]:  # pragma: no cover: tested on Linux
    """Hold a directory as Windows can: a part is a byte of a file, and the whole is all that there may be."""
    import msvcrt

    path, windows = directory / LOCK_NAME, cast("Any", msvcrt)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.lseek(descriptor, int(part.partition("-")[0] or 0), os.SEEK_SET)
        windows.locking(descriptor, windows.LK_NBLCK, 1 if part else 1 << 20)
    except OSError:
        os.close(descriptor)
        raise _held(directory) from None
    try:
        yield
    finally:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()


def _remove_with_folder(path: Path) -> None:
    with suppress(OSError):
        remove(path)
        remove_if_empty(path.parent)


def _file_name(part: str) -> str:
    return f"{LOCK_NAME}-{part}" if part else LOCK_NAME


@contextmanager
def _lock_file(directory: Path, part: str) -> Iterator[None]:
    """Hold a directory by a file that is made exclusively; one that a killed process left here is taken over.

    After that it looks for files of those that cannot go on beside it: of two that do so at once, one sees the other.
    Raises RequestError, OSError.
    """
    path, machine = directory / _file_name(part), _machine()
    others = [directory / LOCK_NAME] if part else directory.glob(f"{LOCK_NAME}-*")
    if _is_left(path, machine):
        remove(path)
    try:
        file = NewFile(path)
    except FileExistsError:
        raise _held_by(directory, path) from None
    try:
        with file:
            file.write(b"%s %d" % (machine, os.getpid()))
        for other in others:
            if _is_left(other, machine):
                remove(other)
            elif other.exists():
                raise _held_by(directory, other)
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


def _held_by(directory: Path, path: Path) -> RequestError:
    return _held(directory, f"wait for it; if there is none, on no machine, remove {path}")


def _held(directory: Path, hint: str = "wait for it, or choose another directory") -> RequestError:
    return RequestError(f"another mnistseq is writing to {directory}", hint=hint)
