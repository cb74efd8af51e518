"""Owns what tests put under the program to make it fail: an os layer with faults, kills and power cuts; and trees."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from mnist_seq_cli.storage import local

OPERATIONS = frozenset(("open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir", "ftruncate", "lseek", "close"))

STRIKES: dict[int, frozenset[str]] = {
    errno.ENOSPC: frozenset(("open", "write", "fsync", "replace", "mkdir")),
    errno.EACCES: frozenset(("open", "replace", "mkdir", "unlink", "rmdir")),
    errno.EIO: OPERATIONS,
}
"""The operations that an error can come from: a full disk does not keep anyone from removing a file."""


class FaultySystem:
    """The os layer of `files`, which counts operations and does something to the N-th of them.

    `at` is N, counted from 1 among the operations that the fault can strike; 0 is never. `error` is an errno, or an
    exception to raise. `lasting` makes all later ones fail too. `torn` writes half of what the failing operation was
    to write; `done` does the operation, and fails then. `piece` is how many bytes one write takes at most. `watch` is
    called before each operation, with its number and its name.
    """

    def __init__(
        self,
        at: int = 0,
        error: int | type[BaseException] = errno.EIO,
        *,
        lasting: bool = False,
        torn: bool = False,
        done: bool = False,
        piece: int | None = None,
        only: frozenset[str] | None = None,
        watch: Callable[[int, str], None] | None = None,
    ) -> None:
        self.at, self.error, self.lasting = at, error, lasting
        self.torn, self.done, self.piece, self.watch = torn, done, piece, watch
        self.strikes = only or (STRIKES[error] if isinstance(error, int) else OPERATIONS)
        self.count = 0
        self.log: list[str] = []
        self.descriptors: dict[int, str] = {}
        self.unsynced: dict[str, None] = {}

    @property
    def struck(self) -> bool:
        """Whether the fault has happened."""
        return 0 < self.at <= self.count

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def operation(*arguments: Any, **options: Any) -> Any:
            self.log.append(name)
            if self.watch:
                self.watch(len(self.log), name)
            if name in self.strikes:
                self.count += 1
                if self.count == self.at or (self.lasting and self.struck):
                    self._fail(name, partial(real, **options), arguments)
            if name == "write" and self.piece is not None:
                arguments = (arguments[0], arguments[1][: self.piece])
            result = self._do(name, partial(real, **options), arguments)
            if "dir_fd" in options:
                self.descriptors[result] = f"{self.descriptors[options['dir_fd']]}{os.sep}{arguments[0]}"
            return result

        return operation

    def _do(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        result = real(*arguments)
        if name == "open":
            self.descriptors[result] = os.fspath(arguments[0])
        elif name == "close":
            self.descriptors.pop(arguments[0], None)
        elif name in ("write", "ftruncate"):
            self.unsynced[self.descriptors[arguments[0]]] = None
        elif name == "fsync":
            self.unsynced.pop(self.descriptors[arguments[0]], None)
        elif name == "replace":
            source, target = map(os.fspath, arguments)
            for path in [path for path in self.unsynced if path == source or path.startswith(f"{source}{os.sep}")]:
                del self.unsynced[path]
                self.unsynced[target + path[len(source) :]] = None
        return result

    def _fail(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if name == "close" or self.done:  # a close that fails has closed the file all the same
            with suppress(OSError):
                self._do(name, real, arguments)
        elif name == "write" and self.torn:
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        if isinstance(self.error, int):
            path = os.fspath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else None
            raise OSError(self.error, os.strerror(self.error), path)
        raise self.error

    def close_leaks(self) -> list[str]:
        """Close the descriptors that are open still, and return what they were open on."""
        leaked = list(self.descriptors.values())
        for descriptor in self.descriptors:
            with suppress(OSError):
                os.close(descriptor)
        self.descriptors.clear()
        return leaked


@contextmanager
def under(system: FaultySystem) -> Iterator[FaultySystem]:
    """Put `system` under `files` while the block runs."""
    local.system = system
    try:
        yield system
    finally:
        local.system = os


def tree(directory: Path) -> dict[str, object]:
    """Return everything below a directory: the bytes of files, None for directories, the target of links."""
    found: dict[str, object] = {}

    def walk(inside: Path, prefix: str) -> None:
        with os.scandir(inside) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = prefix + entry.name
                if entry.is_symlink():
                    found[name] = f"-> {Path(entry.path).readlink()}"
                elif entry.is_dir():
                    found[name] = None
                    walk(Path(entry.path), f"{name}/")
                else:
                    found[name] = Path(entry.path).read_bytes()

    if directory.exists():
        walk(directory, "")
    return found


def visible(found: dict[str, object]) -> dict[str, object]:
    """Return the files of a tree that a person takes for the dataset's: not the state folder, no directories."""
    return {
        name: content
        for name, content in found.items()
        if content is not None and not name.startswith(".mnistseq/") and name != ".mnistseq"
    }


def difference(found: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Return the names in which two trees differ: a failing assert is readable then."""
    names = found.keys() | expected.keys()
    absent = object()
    return sorted(name for name in names if found.get(name, absent) != expected.get(name, absent))


def copy(source: Path, target: Path) -> None:
    """Make `target` a copy of a directory, or nothing where there is no such directory."""
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target, symlinks=True)


@contextmanager
def fast_directory() -> Iterator[Path]:
    """Yield a new directory, on a memory file system where there is one."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mnistseq-test-", dir=parent) as directory:
        yield Path(directory)
