"""Owns the store that is a prefix of a bucket: s3://bucket/path, gs://bucket/path, az://container/path.

There is no rename there, and no lock: each file is one object, put by one request, so that it appears whole or not at
all and nothing is left of a put that was cut off. A put goes with the SHA-256 of its content, so that a later run need
not read an object to know it. Runs of one recipe write the same bytes, so that two at once do no harm.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from hashlib import md5, sha256
from typing import Any, BinaryIO

from mnist_seq_cli.errors import OutputError, RequestError
from mnist_seq_cli.storage import object_client
from mnist_seq_cli.storage.overlap import overlapped
from mnist_seq_cli.storage.store import STATE_NAME, Entry, FileSum, Room, sum_of

_IN_MEMORY = 64 << 20
"""Bytes of an object that are held in memory; a larger one waits in a temporary file to be put."""

_LARGEST = 5_000_000_000
"""Bytes that all providers take in one put."""

_FIRST, _AHEAD = 128 << 10, 4 << 20
"""Bytes that are read at once: at first, and at most, once they are read one after the other."""

_SECONDS, _SLOWEST = 15, 1_000_000
"""Seconds that a request may take, and bytes a second at least, for which it gets more."""

_MERGED, _TRIES = 64, 5
"""Parts that one process has appended to a file when they become one; and how often parts are looked for again then."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MD5 = re.compile(r'"?([0-9a-f]{32})"?', re.ASCII)

_processes: set[int] = set()
"""The process that has used the library: the threads of the library are not in those forked from it."""


class ObjectStore:
    """The objects below a prefix of a bucket, or those that `client`, of the library obstore, gives.

    It goes to other processes by its URL, and is connected there anew.
    """

    small_files, at_once = False, 32

    def __init__(self, url: str, client: Any = None) -> None:
        scheme, _, rest = url.partition("://")
        object_client.require_library(scheme)
        self._bucket, *parts = rest.rstrip("/").split("/")
        if not self._bucket or {"", ".", ".."} & {*parts}:
            raise RequestError(
                f"{url} does not name a bucket and what is in it", hint=f"write it like {scheme}://bucket/path"
            )
        self._scheme, self._prefix, self._given = scheme, "/".join(parts), client
        self._clients: dict[int, Any] = {}
        self._appended: dict[str, dict[str, bytes]] = {}
        self._etags_are_md5 = True
        self._is_bucket_known = False

    def __str__(self) -> str:
        return f"{self._scheme}://{self._bucket}" + f"/{self._prefix}" * bool(self._prefix)

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return str(self).rpartition("/")[2]

    def __truediv__(self, name: str) -> ObjectStore:
        """Return the store that is in this one under a name."""
        return ObjectStore(f"{self}/{name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectStore, (str(self),)

    def _client(self, size: int) -> Any:
        """Return a client with the patience for that many bytes. Raises OutputError."""
        if _processes - {os.getpid()}:
            raise OutputError(
                f"{self} cannot be used in a process that was forked from one that uses it",
                hint="start workers by forkserver or spawn: DataLoader(…, multiprocessing_context='forkserver')",
            )
        _processes.add(os.getpid())
        timeout = _SECONDS << (size // (_SLOWEST * _SECONDS)).bit_length()
        if self._given is None and timeout not in self._clients:
            self._clients[timeout] = object_client.connect(self._scheme, self._bucket, self._prefix, timeout)
        return self._clients.get(timeout, self._given)

    def _ask(self, call: Callable[..., Any], name: str, *arguments: Any, size: int = 0, **options: Any) -> Any:
        """Return what a function of the library does with an object. Raises OSError that names it, OutputError."""
        from obstore.exceptions import BaseError

        client = self._client(size)
        for pause in (0.1, 1, 3, None):
            try:
                return _interruptibly(lambda: call(client, name, *arguments, **options))
            except (BaseError, OSError, ValueError) as error:
                if pause is None or not object_client.was_cut_off(error):
                    raise object_client.os_error(error, f"{self}/{name}" if name else str(self)) from None
                time.sleep(pause)
        return None

    def open(self, name: str) -> BinaryIO:
        """Open an object, to be read at any offset; a file that was appended to is read as a whole."""
        if name.rpartition("/")[0] == STATE_NAME and (parts := self._parts_of(name)):
            return io.BytesIO(b"".join(parts))
        found = self._about(name).meta
        return io.BufferedReader(_Reader(self, name, found["size"], found["e_tag"]), _AHEAD)

    def _about(self, name: str) -> Any:
        """Return what the store knows of an object. Raises FileNotFoundError, and OSError where the bucket is wrong."""
        import obstore

        try:
            return self._ask(obstore.get, name, options={"head": True})
        except FileNotFoundError:
            if not self._is_bucket_known:  # an answer without a body does not say which of them is not there
                list(self.list(STATE_NAME))
                self._is_bucket_known = True
            raise

    def read_range(self, name: str, start: int, stop: int, etag: str | None) -> bytes:
        """Return the bytes `start` to `stop` of an object, of the version with this ETag. Raises OSError."""
        import obstore

        options = {"range": (start, stop)} | ({"if_match": etag} if etag else {})

        def read(client: Any, key: str) -> bytes:
            return bytes(obstore.get(client, key, options=options).bytes())

        content: bytes = self._ask(read, name, size=stop - start)
        if len(content) != stop - start:
            raise OSError(errno.EIO, f"{len(content)} bytes came instead of {stop - start}", f"{self}/{name}")
        return content

    def list(self, folder: str = "") -> Iterator[Entry]:
        import obstore

        found = self._ask(obstore.list_with_delimiter, folder)
        yield from (Entry(name, "folder") for name in found["common_prefixes"])
        for about in found["objects"]:
            if about["path"] not in ("", folder):  # an empty object that stands for the folder, as consoles make it
                yield Entry(about["path"], "file")

    def put(self, name: str, pieces: Iterable[bytes | memoryview], note: str = "") -> FileSum:
        digest, size, held, file = sha256(), 0, list[Any](), None
        with ExitStack() as stack:
            for piece in pieces:
                digest.update(piece)
                size += memoryview(piece).nbytes
                held.append(bytes(piece))  # which copies no bytes
                if size > _IN_MEMORY:
                    file = file or stack.enter_context(tempfile.TemporaryFile())
                    file.writelines(held)
                    held.clear()
            if size > _LARGEST:
                reason = f"{size} bytes are too many for one object; take webdataset, with smaller shards"
                raise OSError(errno.EFBIG, reason, f"{self}/{name}")
            if file is not None:
                file.flush()
                held = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)]
            total = FileSum(size, digest.hexdigest())
            self._put(name, held, total, note)
        return total

    def _put(self, name: str, content: Sequence[Any], total: FileSum, note: str) -> None:
        """Put an object, and check that the store has what was sent. Raises OSError."""
        import obstore

        attributes = {"sha256": total.sha256} | ({"note": note} if note else {})
        options = {"use_multipart": False, "attributes": attributes}
        if object_client.is_signed(self._scheme):
            self._ask(obstore.put, name, content, size=total.bytes, **options)
            return
        digest = md5(usedforsecurity=False)
        summing = threading.Thread(target=lambda: deque(map(digest.update, content), 0), daemon=True)
        summing.start()
        put = self._ask(obstore.put, name, content, size=total.bytes, **options)
        etag = _MD5.fullmatch(put["e_tag"] or "")
        if etag and self._etags_are_md5:
            summing.join()
            if etag[1] == digest.hexdigest():
                return
            with self.open(name) as file:  # where a key of one's own encrypts, an ETag only looks like an MD5
                if sum_of(file) == total:
                    self._etags_are_md5 = False
                    return
        elif self.size(name) == total.bytes:
            return
        raise OSError(errno.EIO, "the store has other bytes than were put; put it again", f"{self}/{name}")

    def put_many(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str] = ()) -> None:
        """Put files one after the other, when all are made; what else is in the `groups` goes then."""
        new = dict(files)
        for name, content in new.items():
            self.put(name, [content])
        for name in [entry.name for group in groups for entry in self.list(group)]:
            if name not in new:
                self.remove(name)

    def put_new(self, name: str, content: bytes) -> bool:
        import obstore

        about = {"sha256": sha256(content).hexdigest()}
        try:
            self._ask(obstore.put, name, content, use_multipart=False, mode="create", attributes=about)
        except FileExistsError:
            return False
        return True

    def append(self, name: str, content: bytes) -> None:
        """Put an object of its own for what is appended; `open` joins them in the order of their times.

        Some that this process has put become one, so that there are few to read.
        """
        appended = self._appended.setdefault(name, {})
        appended[self._put_part(name, [content])] = content
        if len(appended) == _MERGED:
            del self._appended[name]
            self._put_part(name, [*appended.values()])
            self._delete([*appended])

    def _put_part(self, name: str, contents: Sequence[bytes]) -> str:
        part = f"{_parts_folder(name)}/{time.time_ns():020d}-{os.urandom(4).hex()}"
        self.put(part, contents)
        return part

    def _parts_of(self, name: str) -> Sequence[bytes]:
        """Return the content of a file and what was appended to it; nothing where there is no more than the file."""
        import obstore

        def read(part: str) -> bytes | None:
            with suppress(FileNotFoundError):
                if part != name:
                    return bytes(self._ask(lambda client, key: obstore.get(client, key).bytes(), part))
                about = self._about(name).meta
                return self.read_range(name, 0, about["size"], about["e_tag"]) if about["size"] else b""
            return None

        found: list[bytes | None] = []
        for _ in range(_TRIES):
            if not (appended := sorted(entry.name for entry in self.list(_parts_folder(name)))):
                return ()
            found = [content for _, content in overlapped(read, [name, *appended], self.at_once)]
            if None not in found[1:]:
                break  # otherwise whoever appended has made one of some meanwhile
        return [content or b"" for content in found]

    def size(self, name: str) -> int | None:
        try:
            size: int = self._about(name).meta["size"]
        except FileNotFoundError:
            return None
        return size

    def note(self, name: str) -> str:
        try:
            return str(self._about(name).attributes.get("note", ""))
        except FileNotFoundError:
            return ""

    def stored_sum(self, name: str) -> FileSum | None:
        """Return the sum that an object was put with; None for one that came in another way, or is missing."""
        try:
            about = self._about(name)
        except FileNotFoundError:
            return None
        known = about.attributes.get("sha256", "")
        return FileSum(about.meta["size"], known) if _SHA256.fullmatch(known) else None

    def remove(self, name: str) -> None:
        import obstore

        def keys(client: Any, prefix: str) -> Sequence[str]:
            return [about["path"] for chunk in obstore.list(client, prefix) for about in chunk]

        self._appended = {key: value for key, value in self._appended.items() if not f"{key}/".startswith(f"{name}/")}
        self._delete([name, *self._ask(keys, name)])

    def _delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are passed over. Raises OSError."""
        import obstore

        try:
            self._ask(lambda client, _: obstore.delete(client, names), names[0])
        except FileNotFoundError:  # not every provider passes over what is not there, or what another run has removed
            for name in names:
                with suppress(FileNotFoundError):
                    self._ask(obstore.delete, name)

    def prune(self, folder: str) -> None:
        """Do nothing: there are no empty folders."""

    def check(self, folders: Iterable[str], files: Iterable[str]) -> None:
        parents: dict[str, dict[str, set[str]]] = {}
        for name, kind in [*((name, "folder") for name in folders), *((name, "file") for name in files)]:
            parent = name.rpartition("/")[0]
            if parent not in parents:
                parents[parent] = {"file": set(), "folder": set()}
                for entry in self.list(parent):
                    parents[parent][entry.kind].add(entry.name)
            found = parents[parent]
            if kind == "folder" and name in found["file"]:
                raise RequestError(f"{name} is a file where a directory should be", hint="remove it")
            if kind == "file" and name in found["folder"]:
                raise RequestError(f"{name} is a directory where a file should be", hint="remove it")

    def room(self) -> Room | None:
        return None

    def lock(self, part: str = "") -> AbstractContextManager[None]:
        """Do nothing: two runs at once do no harm."""
        return nullcontext()

    def clean(self) -> None:
        """Do nothing: nothing is half-written."""


def _parts_folder(name: str) -> str:
    return f"{name}.parts"


def _interruptibly(call: Callable[[], Any]) -> Any:
    """Return what a call returns; in the main thread it is made in another one, so that signals are handled."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class _Reader(io.RawIOBase):
    """The content of an object, read by ranges: small ones at first, larger ones once they follow each other."""

    def __init__(self, store: ObjectStore, name: str, size: int, etag: str | None) -> None:
        self._store, self._name, self._size, self._etag = store, name, size, etag
        self._offset, self._following, self._window = 0, 0, _FIRST

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}[whence]
        self._offset = max(0, start + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def _next(self, size: int) -> bytes:
        """Return the next bytes, at most `size`."""
        size = max(0, min(size, self._size - self._offset))
        content = self._store.read_range(self._name, self._offset, self._offset + size, self._etag) if size else b""
        self._offset += size
        return content

    def readinto(self, buffer: Any) -> int:
        follows = self._offset == self._following
        self._window = min(2 * self._window, _AHEAD) if follows else _FIRST
        content = self._next(min(len(buffer), self._window))
        self._following = self._offset
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        pieces = []
        while piece := self._next(2 * _AHEAD):
            pieces.append(piece)
        return b"".join(pieces)
