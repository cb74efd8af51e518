"""One more store is one class in one file: here one that knows nothing but whole objects, as object stores do."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from typing import BinaryIO

import pytest
from asked import recipe_for
from forms import FORMATS
from store_suite import StoreSuite

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.regenerate import regenerate
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.store import Entry, FileSum, RandomAccessStore


class ObjectStore:
    """Objects by key: put, get, list, delete; no folders, no renames, no writes in the middle."""

    small_files, at_once = True, 1

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.held: set[str] = set()

    def open(self, name: str) -> BinaryIO:
        try:
            return io.BytesIO(self.objects[name])
        except KeyError:
            raise FileNotFoundError(2, "no such object", name) from None

    def list(self, folder: str = "") -> Iterator[Entry]:
        prefix = f"{folder}/" if folder else ""
        for key in sorted({prefix + k[len(prefix) :].split("/")[0] for k in self.objects if k.startswith(prefix)}):
            yield Entry(key, "file" if key in self.objects else "folder")

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> FileSum:
        content = b"".join(pieces)
        self.objects[name] = content
        return FileSum(len(content), sha256(content).hexdigest())

    def put_many(self, files: Iterable[tuple[str, bytes]], groups: Sequence[str] = ()) -> None:
        new = dict(files)
        for group in groups:
            self.remove(group)
        self.objects |= new

    def put_new(self, name: str, content: bytes) -> bool:
        if name in self.objects:
            return False
        self.objects[name] = content
        return True

    def append(self, name: str, content: bytes) -> None:
        self.objects[name] = self.objects.get(name, b"") + content

    def size(self, name: str) -> int | None:
        return len(self.objects[name]) if name in self.objects else None

    def stored_sum(self, name: str) -> FileSum | None:
        known = self.objects.get(name)
        return None if known is None else FileSum(len(known), sha256(known).hexdigest())

    def remove(self, name: str) -> None:
        self.objects = {key: value for key, value in self.objects.items() if f"{key}/".find(f"{name}/") != 0}

    def prune(self, folder: str) -> None:
        pass

    def check(self, folders: Iterable[str], files: Iterable[str]) -> None:
        for name in folders:
            if name in self.objects:
                raise RequestError(f"{name} is a file where a directory should be", hint="remove it")
        for name in files:
            if any(self.list(name)):
                raise RequestError(f"{name} is a directory where a file should be", hint="remove it")

    def room(self) -> None:
        return None

    def lock(self, part: str = "") -> "nullcontext[None]":
        store = self

        class Lock(nullcontext[None]):
            def __enter__(self) -> None:
                if store.held and (not part or {part, ""} & store.held):
                    raise RequestError("another run holds it")
                store.held.add(part)

            def __exit__(self, *_: object) -> None:
                store.held.discard(part)

        return Lock()

    def clean(self) -> None:
        pass


class TestObjectStore(StoreSuite):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return ObjectStore()

    def test_it_has_no_random_access(self, store: ObjectStore) -> None:
        assert not isinstance(store, RandomAccessStore)


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_are_built_in_it(name: str) -> None:
    """Those that are written in place elsewhere, too: they are put together in the end."""
    recipe, source = recipe_for(seed=2, length=2), Source("train")
    compression = formats.get(name).COMPRESSION
    spec = Spec(recipe=recipe, samples=8, format=name, compression=compression, shard_size=3)
    store, memory = ObjectStore(), MemoryStore()
    build(memory, spec, source, run=serial.run)
    build(store, replace(spec, samples=5), source, run=serial.run)
    assert build(store, spec, source, run=serial.run).made == (
        5 if formats.get(name).SEPARABLE and name not in ("npz", "parquet") else 8
    )
    assert store.objects == memory.files
    assert list(verify(store)) == []
    assert regenerate(store, shards=9) == (3, [])
    victim = min(store.objects.keys() - {"manifest.json", "recipe.json"})
    store.objects[victim] = store.objects[victim][:-1]
    assert list(verify(store)) != []
    assert build(store, spec, source, run=serial.run).repaired
    assert store.objects == memory.files
