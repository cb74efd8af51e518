"""Owns the store in memory: names and bytes in a dictionary, for tests and for what is read again at once.

It is the contract of a store at its shortest. Workers in other processes would have copies of their own: use it with
the serial runner.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import BinaryIO

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.storage.store import Entry, FileSum, Region, Room


class MemoryStore:
    """Files in memory, by name."""

    small_files, at_once = True, 1

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._held: set[str] = set()

    def __str__(self) -> str:
        return "memory"

    def open(self, name: str) -> BinaryIO:
        if name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", name)
        return io.BytesIO(self.files[name])

    def list(self, folder: str = "") -> Iterator[Entry]:
        prefix = f"{folder}/" if folder else ""
        inside = [name.removeprefix(prefix) for name in self.files if name.startswith(prefix)]
        for name in dict.fromkeys(name.partition("/")[0] for name in inside):
            yield Entry(prefix + name, "file" if prefix + name in self.files else "folder")

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> FileSum:
        content = b"".join(pieces)
        self.files[name] = content
        return FileSum(len(content), sha256(content).hexdigest())

    def put_many(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str] = ()) -> None:
        """Put many files; each of the `groups` is replaced as a whole."""
        new = dict(files)
        for group in groups:
            self.remove(group)
        self.files.update(new)

    def put_new(self, name: str, content: bytes) -> bool:
        return self.files.setdefault(name, content) is content

    def append(self, name: str, content: bytes) -> None:
        self.files[name] = self.files.get(name, b"") + content

    def size(self, name: str) -> int | None:
        return len(self.files[name]) if name in self.files else None

    def stored_sum(self, name: str) -> FileSum | None:
        return None

    def remove(self, name: str) -> None:
        for found in [each for each in self.files if each == name or each.startswith(f"{name}/")]:
            del self.files[found]

    def prune(self, folder: str) -> None:
        """Do nothing: there are no empty folders."""

    def check(self, folders: Iterable[str], files: Iterable[str]) -> None:
        for name in folders:
            if name in self.files:
                raise RequestError(f"{name} is a file where a directory should be", hint="remove it")
        for name in files:
            if any(self.list(name)):
                raise RequestError(f"{name} is a directory where a file should be", hint="remove it")

    def room(self) -> Room | None:
        return None

    @contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Hold the store. Raises RequestError when somebody holds it, or this part of it."""
        if self._held and (not part or {"", part} & self._held):
            raise RequestError("another run is writing to this store", hint="wait for it, or take another store")
        self._held.add(part)
        try:
            yield
        finally:
            self._held.discard(part)

    def clean(self) -> None:
        """Do nothing: nothing is half-written."""

    def make_sized(self, name: str, size: int, *, keep: bool = False) -> None:
        kept = self.files.get(name, b"") if keep else b""
        self.remove(name)
        self.files[name] = kept[:size].ljust(size, b"\0")

    def write_at(self, name: str, regions: Iterable[Region], *, cut: bool = False) -> None:
        with self.open(name) as file:
            content, end = bytearray(file.read()), 0
        for offset, region in regions:
            end = offset + memoryview(region).nbytes
            content[offset:end] = region
        self.files[name] = bytes(content[:end] if cut else content)

    def move(self, name: str, target: str) -> None:
        self.files[target] = self.files.pop(name)
