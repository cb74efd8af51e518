"""The stores: one contract for all (store_suite), and locations, which are parsed in one place."""

import pickle
from pathlib import Path

import pytest
from store_suite import RandomAccessSuite, StoreSuite, content_of

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.location import local_path, open_store
from mnist_seq_cli.storage.memory import MemoryStore


class TestLocalStore(RandomAccessSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        return LocalStore(tmp_path / "out")


class TestMemoryStore(RandomAccessSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_a_local_store_travels_to_workers_and_what_is_left_of_them_is_removed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    there = pickle.loads(pickle.dumps(store))
    there.put("a", [b"x"])
    assert content_of(store, "a") == b"x"
    (tmp_path / ".mnistseq" / "stage-of-a-killed-run").mkdir()
    store.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("location", ["hdfs://host/out", "memory://x", "https://host/a", "file:///tmp/x"])
def test_a_location_that_is_elsewhere_is_refused(location: str) -> None:
    scheme = location.partition(":")[0]
    for given in (location, Path(location)):
        with pytest.raises(RequestError, match=f"^cannot write to {scheme}://.*no store for {scheme}://"):
            open_store(given)
    with pytest.raises(RequestError, match=f"^cannot read {scheme}://"):
        local_path(location, "read")


@pytest.mark.parametrize("location", ["out", "/tmp/out", "C:/out", "a:b", "./s3:/x", "-"])
def test_a_location_on_this_machine_is_a_path(location: str) -> None:
    assert local_path(location) == Path(location)


def test_a_store_is_a_store() -> None:
    store = MemoryStore()
    assert open_store(store) is store


def test_the_suite_is_for_stores_without_random_access_too() -> None:
    assert issubclass(RandomAccessSuite, StoreSuite)
