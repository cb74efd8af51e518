"""Owns what every store has to do: one class, from which the tests of a store inherit."""

import hashlib
from typing import Any

import pytest

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.storage.store import Entry, RandomAccessStore, Region, Store


def names_in(store: Store, folder: str = "") -> set[str]:
    """Return the names of all files below a folder, but those of what is going on."""
    found = set[str]()
    for entry in store.list(folder):
        if entry.name != ".mnistseq":
            found |= {entry.name} if entry.kind == "file" else names_in(store, entry.name)
    return found


def content_of(store: Store, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()


class StoreSuite:
    """The contract of a store; a subclass has a fixture `store`, a new one each time."""

    @pytest.mark.parametrize("name", ["a", "folder/deeper/b.png"])
    def test_what_was_put_is_there(self, store: Any, name: str) -> None:
        for pieces in ([], [b"first", memoryview(b" second")], [b"third"]):
            content = b"".join(pieces)
            assert store.put(name, iter(pieces)) == (len(content), hashlib.sha256(content).hexdigest())
            assert content_of(store, name) == content
            assert store.size(name) == len(content)
        assert names_in(store) == {name}

    def test_a_file_is_put_whole_or_not_at_all(self, store: Any) -> None:
        def pieces() -> Any:
            yield b"half of it"
            raise LookupError("mine")

        for before in (set[str](), {"a"}):
            with pytest.raises(LookupError, match="mine"):
                store.put("a", pieces())
            assert names_in(store) == before
            store.put("a", [b"whole"])
        assert content_of(store, "a") == b"whole"

    def test_many_files_are_put_wherever_they_belong(self, store: Any) -> None:
        store.put("1/old", [b"old"])
        store.put_many(iter([("1/a", b"1"), ("2/a", b"2"), ("1/old", b"new")]))
        assert {name: content_of(store, name) for name in names_in(store)} == {
            "1/a": b"1",
            "2/a": b"2",
            "1/old": b"new",
        }

    def test_a_group_is_replaced_as_a_whole(self, store: Any) -> None:
        for name in ("images/0/stray", "images/1/other", "masks/0/x"):
            store.put(name, [b"old"])
        store.put_many(iter([("images/0/a", b"1"), ("masks/0/a", b"2"), ("images/0/b", b"3")]), ("images/0", "masks/0"))
        found = {name: content_of(store, name) for name in names_in(store)}
        assert found == {"images/0/a": b"1", "images/0/b": b"3", "masks/0/a": b"2", "images/1/other": b"old"}

    def test_a_group_that_fails_leaves_the_old_one(self, store: Any) -> None:
        def files() -> Any:
            yield "0/a", b"new"
            raise LookupError("mine")

        store.put("0/old", [b"old"])
        for groups in ((), ("0",)):
            with pytest.raises(LookupError, match="mine"):
                store.put_many(files(), groups)
            assert names_in(store) == {"0/old"}

    def test_a_new_file_is_put_once(self, store: Any) -> None:
        assert store.put_new("a/b", b"first")
        assert not store.put_new("a/b", b"second")
        assert content_of(store, "a/b") == b"first"

    def test_a_journal_grows(self, store: Any) -> None:
        store.put(".mnistseq/journal", [b"1\n"])
        store.append(".mnistseq/journal", b"2\n")
        assert content_of(store, ".mnistseq/journal") == b"1\n2\n"

    def test_what_is_not_there_is_told_as_such(self, store: Any) -> None:
        with pytest.raises(FileNotFoundError):
            store.open("nothing")
        assert store.size("nothing") is None
        assert list(store.list("nothing")) == []
        store.remove("nothing")
        store.prune("nothing")

    def test_a_folder_lists_what_is_directly_in_it(self, store: Any) -> None:
        for name in ("a", "images/1/x", "images/1/y", "images/z"):
            store.put(name, [b"x"])
        assert {entry for entry in store.list() if entry.name != ".mnistseq"} == {
            Entry("a", "file"),
            Entry("images", "folder"),
        }
        assert set(store.list("images")) == {Entry("images/1", "folder"), Entry("images/z", "file")}
        assert store.size("images") is None

    def test_a_folder_goes_with_all_that_is_in_it(self, store: Any) -> None:
        for name in ("a", "b/c", "b/d/e", "bb"):
            store.put(name, [b"x"])
        store.remove("b")
        assert names_in(store) == {"a", "bb"}
        store.remove("a")
        assert names_in(store) == {"bb"}

    def test_what_is_in_the_way_is_told(self, store: Any) -> None:
        store.put("file", [b"x"])
        store.put("folder/file", [b"x"])
        store.check(["folder", "new"], ["file", "newer"])
        with pytest.raises(RequestError, match="file is a file where a directory should be; remove it"):
            store.check(["file"], [])
        with pytest.raises(RequestError, match="folder is a directory where a file should be; remove it"):
            store.check([], ["folder"])

    def test_one_run_holds_it_at_a_time(self, store: Any) -> None:
        with store.lock(), pytest.raises(RequestError, match="another"), store.lock():
            pytest.fail("two hold it")
        with store.lock():
            pass

    def test_several_hold_parts_of_it_and_nobody_the_whole_then(self, store: Any) -> None:
        with store.lock("0-of-2"), store.lock("1-of-2"):
            for part in ("0-of-2", ""):
                with pytest.raises(RequestError, match="another"), store.lock(part):
                    pytest.fail("two hold it")
        with store.lock(), pytest.raises(RequestError, match="another"), store.lock("1-of-2"):
            pytest.fail("two hold it")
        with store.lock():
            pass
        assert list(store.list()) == []

    def test_nothing_is_left_of_the_work(self, store: Any) -> None:
        store.put("a", [b"x"])
        store.clean()
        assert {entry.name for entry in store.list()} == {"a"}

    def test_there_is_room_or_no_limit(self, store: Any) -> None:
        with store.lock():
            room = store.room()
        assert room is None or min(room) > 0


class RandomAccessSuite(StoreSuite):
    """The contract of a store whose files can be written anywhere."""

    def test_regions_are_written_where_they_belong(self, store: Any) -> None:
        assert isinstance(store, RandomAccessStore)
        store.make_sized(".mnistseq/growing", 10)
        store.write_at(".mnistseq/growing", [Region(4, b"ab"), Region(0, b"xy")])
        store.make_sized(".mnistseq/growing", 10, keep=True)
        assert content_of(store, ".mnistseq/growing") == b"xy\0\0ab\0\0\0\0"
        store.write_at(".mnistseq/growing", [Region(6, memoryview(b"cd"))], cut=True)
        store.put("whole", [b"old"])
        store.move(".mnistseq/growing", "whole")
        assert content_of(store, "whole") == b"xy\0\0abcd"
        assert names_in(store) == {"whole"}
        with pytest.raises(FileNotFoundError):
            store.write_at("nothing", [Region(0, b"x")])
