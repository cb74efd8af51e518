"""Owns the file operations on this machine that commit: the only place that makes, writes, syncs, renames or removes.

A file or folder comes into being under a temporary name and gets its own by one rename, so that nothing half-written is
ever seen. All operations go through `system`, which tests replace to make the N-th of them fail.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

from mnist_seq_cli.inputs import naming, open_named
from mnist_seq_cli.storage import store
from mnist_seq_cli.storage.store import FileSum

system: Any = os

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_SHARED = _NEW & ~os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

_RECENT = 60
"""Seconds in which a file that is being written changes."""

_OPENS_IN_FOLDERS = os.open in os.supports_dir_fd


class NewFolder:
    """A folder that is made, and files that are written into it, unsynced: the quickest way to many small ones.

    The folder is held open, so that the system does not look up the whole path for each file.
    """

    def __init__(self, path: Path) -> None:
        make_directory(path)
        self._path = f"{path}{os.sep}"
        self._descriptor = system.open(path, os.O_RDONLY) if _OPENS_IN_FOLDERS else None

    def write(self, contents: Iterable[tuple[str, bytes]]) -> None:
        """Write files that do not exist yet: (name, content) for each. Raises OSError, FileExistsError among them."""
        prefix, folder = ("", self._descriptor) if _OPENS_IN_FOLDERS else (self._path, None)
        start, write, end = system.open, system.write, system.close
        for name, content in contents:
            try:
                descriptor = start(prefix + name, _NEW, 0o666, dir_fd=folder)
                try:
                    written = write(descriptor, content)
                    if written < len(content):
                        _write_all(descriptor, memoryview(content)[written:])
                finally:
                    end(descriptor)
            except OSError as error:
                error.filename = self._path + name
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            system.close(self._descriptor)


def _write_all(descriptor: int, content: bytes | memoryview) -> None:
    left = memoryview(content).cast("B")
    while left:
        left = left[system.write(descriptor, left) :]


class NewFile:
    """A file that does not exist yet, written from front to end; leaving the `with` block syncs it.

    `size` counts its bytes, and `digest` is the SHA-256 of them so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.digest = sha256()
        self._descriptor = system.open(path, _NEW, 0o666)

    def write(self, content: bytes | memoryview) -> None:
        """Append `content`. Raises OSError."""
        with naming(self.path):
            _write_all(self._descriptor, content)
        self.digest.update(content)
        self.size += memoryview(content).nbytes

    @property
    def sum(self) -> FileSum:
        """Size and SHA-256 of what was written so far."""
        return FileSum(self.size, self.digest.hexdigest())

    def close(self, *, sync: bool = True) -> None:
        """Sync the file to disk and close it. Raises OSError."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with naming(self.path):
                try:
                    if sync:
                        system.fsync(descriptor)
                finally:
                    system.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(sync=kind is None)

    def __del__(self) -> None:
        """Close what its owner could not: one that failed while it was being made."""
        with suppress(AttributeError, OSError):  # no descriptor where opening it failed
            self.close(sync=False)


class OpenFile:
    """A file that is there, written at offsets all over it, and synced at the end; by several processes if need be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = system.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))

    def write_at(self, offset: int, content: bytes | memoryview) -> None:
        """Write `content` at `offset`, in bytes from the start. Raises OSError."""
        with naming(self.path):
            system.lseek(self._descriptor, offset, os.SEEK_SET)
            _write_all(self._descriptor, content)

    def truncate(self, size: int) -> None:
        """Cut the file off at `size` bytes. Raises OSError."""
        with naming(self.path):
            system.ftruncate(self._descriptor, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with naming(self.path):
            try:
                if kind is None:
                    system.fsync(self._descriptor)
            finally:
                system.close(self._descriptor)


def make_sized(path: Path, size: int, *, keep: bool = False) -> None:
    """Make a file of `size` bytes, all zero so far; what is there is replaced. Raises OSError.

    With `keep` a regular file that is there, or that others make at the same time, keeps its content up to that size.
    """
    if not keep or path.is_symlink() or (path.exists() and not path.is_file()):
        remove(path)
    make_directory(path.parent)
    descriptor = system.open(path, _SHARED if keep else _NEW, 0o666)
    with naming(path):
        try:
            system.ftruncate(descriptor, size)
        finally:
            system.close(descriptor)


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Give `path` this content in one step: readers see the old file or the new one, whole. Raises OSError.

    Without `sync` that holds for killed processes, but not for a power cut. A pipe or a device, which would be gone
    after that, raises OSError, too.
    """
    require_regular(path)
    clear_partial(path.parent)
    temporary = partial_name(path)
    with suppress(FileNotFoundError):
        system.unlink(temporary)
    try:
        with NewFile(temporary) as file:
            file.write(content)
            file.close(sync=sync)
        system.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            system.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # a person knows that name, not the temporary one
        raise


def partial_name(path: Path) -> Path:
    """Return the name that `path` goes by, beside its own, until it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def clear_partial(directory: Path) -> None:
    """Remove the partial files that killed processes have left in a directory; a second call does nothing.

    A file that was written to within the last minute stays: its process may be on another machine.
    """
    if sys.platform != "win32":  # pragma: no branch: os.kill would end the process there
        _clear_partial(directory.absolute())


@cache
def _clear_partial(directory: Path) -> None:
    for path in directory.glob(".*.partial"):
        if process := re.search(r"\.([0-9]{1,9})\.partial\Z", path.name):
            try:
                os.kill(int(process[1]), 0)
            except ProcessLookupError:
                with suppress(OSError):
                    if time.time() - path.lstat().st_mtime > _RECENT:
                        system.unlink(path)
            except PermissionError:  # it lives, and is somebody else's
                continue


def append(path: Path, content: bytes) -> None:
    """Append to a file, which may be new; a crash can leave a part of it, which readers have to expect."""
    descriptor = system.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    with naming(path):
        try:
            _write_all(descriptor, content)
        finally:
            system.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory, and those above it; one that is there already is fine. Raises OSError."""
    if not path.is_dir():
        make_directory(path.parent)
        with suppress(FileExistsError):
            system.mkdir(path)
        if not path.is_dir():
            raise NotADirectoryError(20, "a file is where a directory should be", str(path))


def share_out(folder: Path, directory: Path, names: Iterable[str]) -> None:
    """Move the files `0`, `1`, … of a folder all over a directory, each to one of `names`. Raises OSError.

    Folders are there already; a folder in the place of a file goes.
    """
    for number, name in enumerate(names):
        source, target = f"{folder}{os.sep}{number}", f"{directory}{os.sep}{name}"
        try:
            try:
                system.replace(source, target)
            except (IsADirectoryError, PermissionError):
                if not os.path.isdir(target):  # noqa: PTH112 (a Path for each of millions of files takes its time)
                    raise
                remove(Path(target))
                system.replace(source, target)
        except OSError as error:
            error.filename, error.filename2 = target, None
            raise


def place(source: Path, target: Path) -> None:
    """Rename a whole file or folder to its final name, in place of a file or folder there. Raises OSError.

    A file never takes the place of a folder: that raises IsADirectoryError.
    """
    if source.is_dir():
        remove(target)
    try:
        system.replace(source, target)
    except OSError as error:
        error.filename, error.filename2 = str(target), None
        raise


def remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a whole folder; nothing there is fine. Raises OSError."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(mode):
        with suppress(FileNotFoundError):
            system.unlink(path)
        return
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        remove(path / name)
    with suppress(FileNotFoundError):
        system.rmdir(path)


def remove_if_empty(path: Path) -> None:
    """Remove a folder that has nothing in it. Raises OSError."""
    if path.is_dir() and not any(path.iterdir()):
        system.rmdir(path)


def require_regular(path: Path | str) -> None:
    """Raise OSError for a pipe, a device and the like; what is not there, and a directory, are fine."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (a Path for each of millions of files takes its time)
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def open_regular(path: Path | str) -> BinaryIO:
    """Open a file to be read; a pipe or a device, which could keep us waiting for ever, raises OSError."""
    require_regular(path)
    try:
        return open_named(path)
    except IsADirectoryError as error:
        error.strerror = "a directory is where a file should be"
        raise


def sum_of(path: Path) -> FileSum:
    """Return size and SHA-256 of a file. Raises OSError."""
    with open_regular(path) as file:
        return store.sum_of(file)
