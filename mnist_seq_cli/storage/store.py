"""Owns what a store is: a place for the files of a dataset, by name, where nothing half-written is ever seen.

A name is relative and has slashes: `images/00007/00000042.png`. A folder is what names have in common.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import BinaryIO, Literal, NamedTuple, Protocol, runtime_checkable

STATE_NAME = ".mnistseq"
"""The folder of what is there while a run is going on or has been interrupted."""

PIECE = 1 << 20
"""Bytes of a file that are read at a time."""


class FileSum(NamedTuple):
    """The size of a file in bytes, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Entry(NamedTuple):
    """Something in a folder, by its whole name; "other" is a link, a device and the like."""

    name: str
    kind: Literal["file", "folder", "other"]


class Region(NamedTuple):
    """Content at an offset in a file, in bytes from its start."""

    offset: int
    content: bytes | memoryview


class Room(NamedTuple):
    """The bytes that files are rounded up to in a store, and those that are free."""

    block: int
    free: int


class Files(Protocol):
    """The reading side of a store."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to be read. Raises FileNotFoundError and other OSErrors."""
        ...

    def list(self, folder: str = "") -> Iterator[Entry]:
        """Yield what is in a folder; nothing where there is no such folder. Raises OSError."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where there is none, or something else."""
        ...


class Store(Files, Protocol):
    """Where the files of a dataset are. All methods raise OSError for what the store cannot do."""

    small_files: bool
    """Whether it is a place for millions of small files."""

    at_once: int
    """How many files are best asked about at the same time: 1 where no answer has to be waited for."""

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> FileSum:
        """Give a file this content, all or nothing, and return its sum; what was there is replaced.

        It survives a power cut.
        """
        ...

    def put_many(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str] = ()) -> None:
        """Put many small files, unsynced: the quickest way to them.

        With `groups` the files are in these folders, each of which is replaced as a whole.
        """
        ...

    def put_new(self, name: str, content: bytes) -> bool:
        """Put a file unless there is one of that name; tell whether it was put."""
        ...

    def append(self, name: str, content: bytes) -> None:
        """Append to a file, which may be new; of what breaks off while it is appended a part can be left."""
        ...

    def stored_sum(self, name: str) -> FileSum | None:
        """Return the sum of a file where the store itself keeps it; None where it is to be read for it, or missing."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, a link (not what it points to), or a folder with all in it; nothing there is fine."""
        ...

    def prune(self, folder: str) -> None:
        """Remove a folder that has nothing in it, where a store has such things."""
        ...

    def check(self, folders: Iterable[str], files: Iterable[str]) -> None:
        """Raise RequestError where something else is in the place of a folder or a file that is to be written."""
        ...

    def room(self) -> Room | None:
        """Return how much can still be stored; None where there is no such limit."""
        ...

    def lock(self, part: str = "") -> AbstractContextManager[None]:
        """Hold the store for this process alone; with `part`, a name, beside others that hold other parts.

        Raises RequestError when another process holds it.
        """
        ...

    def clean(self) -> None:
        """Remove what is half-written, by this run or, unless it holds a part alone, by those that were killed."""
        ...


@runtime_checkable
class NotingStore(Store, Protocol):
    """A store that keeps with a file its sum, and a short text, until the file is replaced or changed."""

    def put(self, name: str, pieces: Iterable[bytes | memoryview], note: str = "") -> FileSum:
        """Put a file, as any store does, with a note of at most 1,000 letters."""
        ...

    def note(self, name: str) -> str:
        """Return the note that a file was put with; an empty one where there is none, or no file."""
        ...


@runtime_checkable
class RandomAccessStore(Store, Protocol):
    """A store whose files can be written anywhere, by several processes at once."""

    def make_sized(self, name: str, size: int, *, keep: bool = False) -> None:
        """Make a file of `size` bytes, all zero so far, in place of anything that is there.

        With `keep` a file that is there keeps what it has, even if several processes make it at the same time.
        """
        ...

    def write_at(self, name: str, regions: Iterable[Region], *, cut: bool = False) -> None:
        """Write regions of a file that is there, and sync it; with `cut` it ends where the last region does."""
        ...

    def move(self, name: str, target: str) -> None:
        """Give a file another name, in place of a file there."""
        ...


def sum_of(file: BinaryIO) -> FileSum:
    """Return size and SHA-256 of the rest of a file, read in pieces. Raises OSError."""
    return sum_of_pieces(iter(lambda: file.read(PIECE), b""))


def sum_of_pieces(pieces: Iterable[bytes]) -> FileSum:
    """Return size and SHA-256 of content that comes in pieces."""
    digest, size = sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return FileSum(size, digest.hexdigest())


def pieces_of(files: Files, name: str) -> Iterator[bytes]:
    """Yield the content of a file in pieces; it is opened when the first is asked for. Raises OSError."""
    with files.open(name) as file:
        while piece := file.read(PIECE):
            yield piece


def identity(file: BinaryIO) -> Hashable:
    """Return a key for a file on disk with its present content; None for files that are not on disk."""
    try:
        about = os.fstat(file.fileno())
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size
