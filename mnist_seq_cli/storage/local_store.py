"""Owns the store that is a directory on this machine: temporary name, sync, rename; and its lock.

What is half-written is in a folder of its own, `.mnistseq/stage-…`, from where it gets its name by one rename.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.lock import locked
from mnist_seq_cli.storage.store import STATE_NAME, Entry, FileSum, Region, Room

_STAGE = "stage-"

_MACHINE = os.urandom(4).hex()
"""What keeps processes apart that have the same number on machines which share a directory."""


class LocalStore:
    """The files in a directory. The directory is made when it is locked, or when the first file is put."""

    small_files, at_once = True, 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = f"{path}{os.sep}"
        self._state = path / STATE_NAME
        self._stage = self._state / f"{_STAGE}{os.urandom(4).hex()}"
        self._is_shared = False

    def __str__(self) -> str:
        return str(self.path)

    def open(self, name: str) -> BinaryIO:
        """Open a file to be read; a pipe or a device, which could keep us waiting for ever, raises OSError."""
        return local.open_regular(self._prefix + name)

    def list(self, folder: str = "") -> Iterator[Entry]:
        """Yield what is in a folder; nothing where there is no such folder, or a link. Raises OSError."""
        path, prefix = (self.path / folder, f"{folder}/") if folder else (self.path, "")
        if not path.is_dir() or (folder and path.is_symlink()):
            return
        with os.scandir(path) as entries:
            for entry in entries:
                is_file, is_folder = entry.is_file(follow_symlinks=False), entry.is_dir(follow_symlinks=False)
                yield Entry(prefix + entry.name, "file" if is_file else "folder" if is_folder else "other")

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> FileSum:
        with self._staged(name) as staged:
            with local.NewFile(staged) as file:
                for piece in pieces:
                    file.write(piece)
            self._place(staged, name)
        return file.sum

    def put_many(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str] = ()) -> None:
        """Put many small files: a folder at a time by one rename, or without `groups` by one rename each.

        Raises OSError.
        """
        if groups:
            self._put_groups(files, groups)
            return
        names: list[str] = []

        def staged_files() -> Iterator[tuple[str, bytes]]:
            for number, (name, content) in enumerate(files):
                names.append(name)
                yield str(number), content

        with self._staged("files") as staged:
            with local.NewFolder(staged) as folder:
                try:
                    folder.write(staged_files())
                except OSError as error:
                    error.filename = self._prefix + names[-1] if names else error.filename
                    raise
            for parent in dict.fromkeys(name.rpartition("/")[0] for name in names):
                local.make_directory(self.path / parent)
            local.share_out(staged, self.path, names)
            local.remove(staged)

    def _put_groups(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str]) -> None:
        with ExitStack() as stages:
            staged = {group: stages.enter_context(self._staged(group)) for group in groups}
            with ExitStack() as stack:
                folders = {group: stack.enter_context(local.NewFolder(path)) for group, path in staged.items()}
                named = ((*name.rpartition("/"), content) for name, content in files)
                for group, inside in groupby(named, lambda file: file[0]):
                    folders[group].write((last, content) for _, _, last, content in inside)
            for group, path in staged.items():
                self._place(path, group)

    def put_new(self, name: str, content: bytes) -> bool:
        target = self.path / name
        with self._staged(name) as staged:
            with local.NewFile(staged) as file:
                file.write(content)
            local.make_directory(target.parent)
            try:
                local.system.link(staged, target)
            except FileExistsError:
                return False
            except OSError:  # the file system has no links, and the lock keeps other runs out
                if os.path.lexists(target):
                    return False
                self._place(staged, name)
            finally:
                local.remove(staged)
        return True

    @contextmanager
    def _staged(self, name: str) -> Iterator[Path]:
        """Yield a path for what is half-written; it is gone when that is, and when something failed."""
        worker = f"{_MACHINE}-{os.getpid()}-{threading.get_ident()}"  # which stages one thing at a time
        staged = self._stage / f"{worker}~{name.replace('/', '~')}"
        local.make_directory(self._stage)
        local.remove(staged)
        try:
            yield staged
        except BaseException as error:
            with suppress(OSError):
                local.remove(staged)
            if isinstance(error, OSError) and str(error.filename).startswith(str(staged)):  # the name that people know
                error.filename = f"{self._prefix}{name}{str(error.filename)[len(str(staged)) :]}"
            raise

    def _place(self, staged: Path, name: str) -> None:
        target = self.path / name
        local.make_directory(target.parent)
        local.place(staged, target)

    def append(self, name: str, content: bytes) -> None:
        local.append(self.path / name, content)

    def size(self, name: str) -> int | None:
        found = self._look(name)
        return found.st_size if found and stat.S_ISREG(found.st_mode) else None

    def _look(self, name: str) -> os.stat_result | None:
        """Return what is there of that name, a link for itself; a Path for each of millions of files takes its time."""
        try:
            return os.lstat(self._prefix + name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stored_sum(self, name: str) -> FileSum | None:
        return None

    def remove(self, name: str) -> None:
        local.remove(self.path / name)

    def prune(self, folder: str) -> None:
        local.remove_if_empty(self.path / folder)

    def check(self, folders: Iterable[str], files: Iterable[str]) -> None:
        """Raise RequestError where a file or a link is in the place of what is to be written."""
        path, state = self.path, self._state
        if not path.is_dir() and (path.exists() or path.is_symlink()):
            raise RequestError(f"{path} is not a directory", hint="choose another place, or remove it")
        inside = [state, *(path / folder for folder in folders)]
        for each in [*inside, *(state.iterdir() if state.is_dir() and not state.is_symlink() else ())]:
            if each.is_symlink():
                hint = "remove it, or choose another directory"
                raise RequestError(f"{each} is a link that leads elsewhere", hint=hint)
        for each in inside:
            if each.exists() and not each.is_dir():
                raise RequestError(f"{each} is a file where a directory should be", hint="remove it")
        for name in files:
            if (found := self._look(name)) and stat.S_ISDIR(found.st_mode):
                raise RequestError(f"{path / name} is a directory where a file should be", hint="remove it")

    def room(self) -> Room | None:
        """Return how much can still be stored, in the directory or where it would be."""
        path = self.path.absolute()
        path = next(each for each in (path, *path.parents) if each.is_dir())
        if hasattr(os, "statvfs"):
            disk = os.statvfs(path)
            return Room(disk.f_frsize, disk.f_bavail * disk.f_frsize)
        import shutil  # pragma: no cover: tested on Linux

        return Room(4096, shutil.disk_usage(path).free)  # pragma: no cover

    @contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Hold the directory, which is made where it is not there. Raises RequestError, OSError."""
        local.make_directory(self.path)
        with locked(self.path, part):
            self._is_shared = bool(part)
            try:
                yield
            finally:
                self._is_shared = False

    def clean(self) -> None:
        """Remove what is half-written, and the state folder if nothing else is in it. Raises OSError.

        Beside others that hold parts it is what this run has half-written.
        """
        if self._is_shared:
            local.remove(self._stage)
            return
        for path in self._state.glob(f"{_STAGE}*"):
            local.remove(path)
        local.remove_if_empty(self._state)

    def make_sized(self, name: str, size: int, *, keep: bool = False) -> None:
        local.make_sized(self.path / name, size, keep=keep)

    def write_at(self, name: str, regions: Iterable[Region], *, cut: bool = False) -> None:
        end = 0
        with local.OpenFile(self.path / name) as file:
            for offset, content in regions:
                file.write_at(offset, content)
                end = offset + memoryview(content).nbytes
            if cut:
                file.truncate(end)

    def move(self, name: str, target: str) -> None:
        self._place(self.path / name, target)
