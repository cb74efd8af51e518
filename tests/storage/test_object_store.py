"""The store of objects: the contract of all stores, reading by ranges, and runs that meet, on the library's memory."""

import io
import pickle
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from asked import recipe_for
from store_suite import StoreSuite, content_of, names_in

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.regenerate import regenerate
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.errors import OutputError, RequestError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.samples.stored import open_dataset
from mnist_seq_cli.storage import object_store
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.object_store import ObjectStore
from mnist_seq_cli.storage.store import FileSum

library = pytest.importorskip("obstore.store", reason="obstore is not installed: pip install obstore")
library_put = pytest.importorskip("obstore").put

SOURCE = Source("train")
SPEC = Spec(
    recipe=recipe_for(seed=2, length=2), samples=8, format="webdataset", compression="fast", shard_size=3, masks=False
)


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore("s3://bkt/out", library.MemoryStore())


class TestObjectStore(StoreSuite):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return ObjectStore("s3://bkt/out", library.MemoryStore())

    def test_one_run_holds_it_at_a_time(self, store: Any) -> None:
        """Runs may hold it together: they do no harm."""
        with store.lock(), store.lock():
            pass

    def test_several_hold_parts_of_it_and_nobody_the_whole_then(self, store: Any) -> None:
        with store.lock("0-of-2"), store.lock("1-of-2"), store.lock():
            pass


def objects_in(store: ObjectStore) -> dict[str, bytes]:
    return {name: content_of(store, name) for name in names_in(store)}


def whole(spec: Spec) -> dict[str, bytes]:
    memory = MemoryStore()
    build(memory, spec, SOURCE, run=serial.run)
    return memory.files


def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return a list that grows with each range that is read: the name of the object, and the bytes."""
    ranges, real = list[tuple[str, int]](), ObjectStore.read_range

    def read_range(store: ObjectStore, name: str, start: int, stop: int, etag: str | None) -> bytes:
        ranges.append((name, stop - start))
        return real(store, name, start, stop, etag)

    monkeypatch.setattr(ObjectStore, "read_range", read_range)
    return ranges


@pytest.mark.parametrize("name", ["webdataset", "idx", "npz", "tfrecord", "lmdb"])
def test_datasets_are_built_resumed_and_repaired(name: str, store: ObjectStore) -> None:
    spec = replace(SPEC, format=name)
    build(store, replace(spec, samples=5), SOURCE, run=serial.run)
    assert build(store, spec, SOURCE, run=serial.run).made == (5 if name in ("webdataset", "tfrecord") else 8)
    assert objects_in(store) == whole(spec)
    assert {entry.name for entry in store.list()} == names_in(store), "nothing is left of the journal"
    assert list(verify(store)) == []
    assert regenerate(store, shards=9) == (3, [])
    victim = min(objects_in(store))
    store.put(victim, [objects_in(store)[victim][:-1]])
    assert list(verify(store)) != []
    assert build(store, spec, SOURCE, run=serial.run).repaired
    assert objects_in(store) == whole(spec)
    assert open_dataset(store)[7].text == open_dataset(store)[[7]].texts[0]


def test_an_archive_is_put_together_in_the_end_and_goes_on_from_what_was_put(store: ObjectStore) -> None:
    """Here of shards that are several batches each."""
    spec = replace(SPEC, format="npz", recipe=recipe_for(seed=2, length=20), samples=1000, shard_size=400)
    assert len(list(compose.spans(spec.recipe, 0, 400))) > 1

    def broken_off(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        with closing(serial.run(work, tasks, stop)) as outcomes:
            yield from islice(outcomes, 2)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        build(store, spec, SOURCE, run=broken_off)
    part = ".mnistseq/shards/00000/dataset.npz"
    assert store.size("dataset.npz") is None
    assert build(store, spec, SOURCE, run=serial.run).made == 200
    assert objects_in(store) == whole(spec)
    with pytest.raises(LookupError, match="mine"):
        build(store, replace(spec, samples=1001), SOURCE, run=broken_off)
    store.put(part, [content_of(store, part)[:-1]])
    assert build(store, replace(spec, samples=1001), SOURCE, run=serial.run).made == 601
    assert objects_in(store) == whole(replace(spec, samples=1001))


@pytest.mark.parametrize("name", ["png", "folders"])
def test_formats_that_are_no_objects_are_refused_with_what_to_take(name: str, store: ObjectStore) -> None:
    with pytest.raises(RequestError, match=r"s3://bkt/out.*; take `format=webdataset`"):
        build(store, replace(SPEC, format=name, compression=formats.get(name).COMPRESSION), SOURCE)
    assert objects_in(store) == {}


def test_slices_are_completed_without_reading_them_again(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        build(store, SPEC, SOURCE, run=serial.run, part=Slice(number, 2))
    ranges = requests(monkeypatch)
    summary = build(store, SPEC, SOURCE, run=serial.run)
    assert (summary.made, summary.vouched) == (0, 8)
    assert not any(name.endswith(".tar") for name, _ in ranges)
    assert objects_in(store) == whole(SPEC)


def asked_together(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let sums be told to so many who ask at the same time alone; return a list of what they ask for."""
    together, asked, real = threading.Barrier(number), list[str](), ObjectStore.stored_sum

    def stored_sum(store: ObjectStore, name: str) -> FileSum | None:
        asked.append(name)
        if name.endswith(".tar"):
            together.wait(20)
        return real(store, name)

    monkeypatch.setattr(ObjectStore, "stored_sum", stored_sum)
    return asked


def test_slices_are_asked_about_at_the_same_time_and_each_shard_once(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, samples=ObjectStore.at_once, shard_size=1)
    for number in range(2):
        build(store, spec, SOURCE, run=serial.run, part=Slice(number, 2))
    asked = asked_together(monkeypatch, ObjectStore.at_once)
    assert build(store, spec, SOURCE, run=serial.run).vouched == spec.samples
    assert sorted(asked) == sorted(name for name in names_in(store) if name.endswith(".tar"))


def test_what_is_complete_is_not_read_and_asked_about_at_the_same_time(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, samples=ObjectStore.at_once, shard_size=1)
    build(store, spec, SOURCE, run=serial.run)
    ranges, asked = requests(monkeypatch), asked_together(monkeypatch, ObjectStore.at_once)
    summary = build(store, spec, SOURCE, run=serial.run)
    assert (summary.samples, summary.made, summary.repaired) == (spec.samples, 0, False)
    assert sorted(asked) == sorted(names_in(store) - {"recipe.json", "manifest.json"})
    assert {name for name, _ in ranges} == {"recipe.json", "manifest.json"}
    assert list(verify(store)) == []
    assert {name for name, _ in ranges} == names_in(store)


def test_a_complete_object_that_came_in_another_way_is_read(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store, SPEC, SOURCE, run=serial.run)
    content = objects_in(store)["00001.tar"]
    for damaged in (content, content[:-1] + b"x"):
        library_put(store._given, "00001.tar", damaged)
        ranges = requests(monkeypatch)
        summary = build(store, SPEC, SOURCE, run=serial.run)
        assert (summary.made, summary.repaired) == ((0, False) if damaged == content else (3, True))
        assert {name for name, _ in ranges if name.endswith(".tar")} == {"00001.tar"}
        assert objects_in(store) == whole(SPEC)


def test_an_archive_that_is_complete_is_known_by_what_it_was_put_together_of(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, format="npz", samples=60, shard_size=10)
    for number in range(2):
        build(store, spec, SOURCE, run=serial.run, part=Slice(number, 2))
    assert build(store, spec, SOURCE, run=serial.run).vouched == 60
    content = objects_in(store)["dataset.npz"]
    assert objects_in(store) == whole(spec)
    tasks, real = list[Any](), serial.run
    run = lambda work, asked, stop: real(work, (tasks.append(task) or task for task in asked), stop)  # noqa: E731
    assert build(store, spec, SOURCE, run=run).unread
    assert tasks == []
    assert list(verify(store)) == []
    library_put(store._given, "dataset.npz", content)
    assert build(store, spec, SOURCE, run=run).made == 0
    assert len(tasks) == 6, "nothing is known of an object that came in another way"
    store.put("dataset.npz", [content[:600] + b"x" + content[601:]])
    assert build(store, spec, SOURCE, run=serial.run).repaired
    assert objects_in(store) == whole(spec)


@pytest.mark.parametrize("lines", [1, 63, 64, 65, 150])
def test_a_journal_is_in_few_objects_however_long_it_is(lines: int, store: ObjectStore) -> None:
    name = ".mnistseq/journal"
    store.put(name, [b"first\n"])
    for number in range(lines):
        store.append(name, b"%d\n" % number)
    assert content_of(store, name) == b"first\n" + b"".join(b"%d\n" % number for number in range(lines))
    assert len(list(store.list(f"{name}.parts"))) == lines // 64 + lines % 64
    store.remove(".mnistseq")
    store.append(name, b"new\n")
    assert content_of(store, name) == b"new\n"


def test_a_journal_is_read_while_parts_of_it_become_one(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    name, real = ".mnistseq/journal", ObjectStore.list
    for number in range(63):
        store.append(name, b"%d\n" % number)

    def list_before(store: ObjectStore, folder: str = "") -> Iterator[Any]:
        found = [*real(store, folder)]
        monkeypatch.setattr(ObjectStore, "list", real)
        store.append(name, b"63\n")
        return iter(found)

    monkeypatch.setattr(ObjectStore, "list", list_before)
    assert content_of(store, name) == b"".join(b"%d\n" % number for number in range(64))


def test_a_run_that_goes_on_reads_no_shard(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    build(store, replace(SPEC, samples=6), SOURCE, run=serial.run)
    store.put("00000.tar", [b"damaged"])
    ranges = requests(monkeypatch)
    assert build(store, SPEC, SOURCE, run=serial.run).made == 5
    assert not any(name.endswith(".tar") for name, _ in ranges)
    assert objects_in(store) == whole(SPEC)


def meeting(other: Callable[[], Any], before: int) -> Any:
    """Return a runner during whose work, when so many shards are done, something else happens."""

    def run(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        with closing(serial.run(work, tasks, stop)) as outcomes:
            for number, outcome in enumerate(outcomes):
                if number == before:
                    other()
                yield outcome

    return run


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("name", ["webdataset", "idx", "npz"])
def test_a_run_that_another_one_of_the_same_recipe_overtakes_ends_well(
    name: str, before: int, store: ObjectStore
) -> None:
    spec = replace(SPEC, format=name)
    other = meeting(lambda: build(store, spec, SOURCE, run=serial.run), before)
    assert build(store, spec, SOURCE, run=other).samples == 8
    assert objects_in(store) == whole(spec)


def test_a_run_of_another_recipe_that_was_quicker_is_left_alone(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker = replace(SPEC, recipe=recipe_for(seed=3, length=2))
    real = manifest.put_spec
    monkeypatch.setattr(manifest, "put_spec", lambda store, spec: real(store, quicker) and real(store, spec))
    with pytest.raises(RequestError, match="s3://bkt/out holds another dataset: seed 2 instead of 3"):
        build(store, SPEC, SOURCE, run=serial.run)
    assert list(objects_in(store)) == ["recipe.json"]


# Reading


def test_any_part_of_an_object_is_read_in_any_order(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_FIRST", 500)
    monkeypatch.setattr(object_store, "_AHEAD", 4000)
    chance = random.Random(1)
    content = chance.randbytes(30_000)
    store.put("a", [content])
    expected = io.BytesIO(content)
    with store.open("a") as file:
        for _ in range(200):
            offset, size = chance.randrange(31_000), chance.choice((1, 40, 1000, 9000))
            assert file.seek(offset) == expected.seek(offset)
            assert file.read(size) == expected.read(size)
            assert file.tell() == offset + len(content[offset : offset + size])
        assert (file.seek(-10, 2), file.read()) == (29_990, content[-10:])
        file.seek(0)
        assert file.read() == content


def test_what_is_read_in_order_takes_few_requests(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", [bytes(20 << 20)])
    ranges = requests(monkeypatch)
    with store.open("a") as file:
        while file.read(512):
            pass
    assert sum(size for _, size in ranges) == 20 << 20
    assert len(ranges) < 12
    with store.open("a") as file:
        file.seek(1 << 20)
        file.read(2000)
    assert ranges[-1][1] <= object_store._FIRST, "a single sample does not cost megabytes"


def test_an_object_that_is_replaced_while_it_is_read_is_no_mixture(store: ObjectStore) -> None:
    store.put("a", [bytes(1 << 20)])
    with store.open("a") as file:
        file.read(1)
        store.put("a", [b"\1" * (1 << 20)])
        with pytest.raises(OSError, match="it was replaced while it was read"):
            file.read()


def test_a_large_object_waits_in_a_temporary_file(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_IN_MEMORY", 1000)
    assert store.put("a", [b"xyz" * 300] * 4) == store.stored_sum("a")
    assert content_of(store, "a") == b"xyz" * 1200
    monkeypatch.setattr(object_store, "_LARGEST", 2000)
    with pytest.raises(OSError, match="3600 bytes are too many for one object; take webdataset"):
        store.put("b", [b"xyz" * 300] * 4)


# Processes


def test_it_goes_to_other_processes_by_its_name_but_not_by_a_fork(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(pickle.loads(pickle.dumps(store / "train"))) == "s3://bkt/out/train"
    assert (store / "train").name == "train"
    monkeypatch.setattr(object_store, "_processes", {1})
    with pytest.raises(OutputError, match=r"s3://bkt/out cannot be used in a process that was forked .*forkserver"):
        store.open("a")


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "gs://b//c", "az://b/../c", "s3://b/./c"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="does not name a bucket"):
        ObjectStore(url)
