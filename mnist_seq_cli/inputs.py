"""Owns the opening of files that a person names: regular ones, and pipes where they are read once; never a device.

Imports `errors` alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

from mnist_seq_cli.errors import FormatError, RequestError

if TYPE_CHECKING:
    from _typeshed import StrPath, WriteableBuffer

PATIENCE = 5.0
"""Seconds in which a program has to begin writing to a pipe that has a name."""


def is_directory(path: Path) -> bool:
    """Return whether there is a directory of that name. Raises RequestError for a name that cannot be."""
    try:
        return path.is_dir()
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None


def require_file(path: Path) -> None:
    """Raise RequestError unless there is a regular file of that name."""
    if is_directory(path) or not path.is_file():
        raise RequestError(f"{path} is not a file" if path.exists() else f"{path} does not exist")


def open_once(path: Path) -> BinaryIO:
    """Open a file or a pipe, such as `<(command)`, to be read once. Raises RequestError for all else, OSError."""
    if not path.is_fifo():
        require_file(path)
        return open_named(path)
    results: list[BinaryIO | OSError] = []

    def wait() -> None:
        try:
            results.append(open_named(path))
        except OSError as error:
            results.append(error)

    opening = Thread(target=wait, daemon=True)  # which may wait for ever, and then ends with the process
    opening.start()
    opening.join(PATIENCE)
    if not results:
        raise RequestError(f"nothing writes to the pipe {path}", hint="start what writes to it first")
    if isinstance(results[0], OSError):
        raise results[0]
    return results[0]


def read_once(path: Path, limit: int) -> bytes:
    """Return what is in a file or a pipe. Raises FormatError for more than `limit` bytes, else as `open_once` does."""
    with open_once(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise FormatError(f"{path} is too large to be true: it has more than {limit >> 20} MiB")
    return content


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Name a file in errors of operations that know its descriptor alone."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class _NamedFile(io.FileIO):
    """A file whose errors in reading name it, as only those in opening do by themselves."""

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read bytes into a buffer, and return how many. Raises OSError."""
        with naming(self.name):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Return all bytes that are left. Raises OSError."""
        with naming(self.name):
            return super().readall()


def open_named(path: StrPath) -> BinaryIO:
    """Open a file to be read; whatever OSError that raises, then or later, names it."""
    return io.BufferedReader(_NamedFile(str(path)))
