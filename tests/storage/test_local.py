"""File operations: whole or not at all, whatever fails on the way; and one process at a time."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from faulty import FaultySystem, tree, under
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.store import Region

OLD, NEW = b"old content", b"new content, which is longer"


def no_rubbish(directory: Path) -> bool:
    return not any(path.name.startswith(".") for path in directory.iterdir())


# Whole files


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 5000])
@pytest.mark.parametrize("sync", [True, False])
def test_a_whole_file_is_what_was_given(content: bytes, sync: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _ in range(2):
        local.write_whole(path, content, sync=sync)
        assert path.read_bytes() == content
        assert no_rubbish(tmp_path)


@pytest.mark.parametrize("sync", [True, False])
def test_a_whole_file_is_synced_before_it_gets_its_name_if_that_was_asked_for(sync: bool, tmp_path: Path) -> None:
    with under(FaultySystem()) as system:
        local.write_whole(tmp_path / "file", NEW, sync=sync)
    synced = [name for name in system.log if name in ("write", "fsync", "close", "replace")]
    assert synced == ["write", *["fsync"] * sync, "close", "replace"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EACCES, KeyboardInterrupt])
@pytest.mark.parametrize("torn", [True, False])
def test_a_whole_file_is_the_old_one_or_the_new_one(
    there: bool, fault: int | type[BaseException], torn: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for number in count(1):
        path.unlink(missing_ok=True)
        if there:
            path.write_bytes(OLD)
        with under(FaultySystem(number, fault, torn=torn)) as system:
            try:
                local.write_whole(path, NEW)
            except (OSError, KeyboardInterrupt):
                assert tree(tmp_path) == ({"file": OLD} if there else {})
            else:
                assert tree(tmp_path) == {"file": NEW}
        assert system.close_leaks() == []
        if not system.struck:
            break


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_short_writes_are_gone_on_with(piece: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9
    with under(FaultySystem(piece=piece)):
        local.write_whole(tmp_path / "whole", content)
        with local.NewFolder(tmp_path / "folder") as folder:
            folder.write([("new", content)])
        local.append(tmp_path / "journal", b"a line\n")
        with local.NewFile(tmp_path / "by parts") as file:
            file.write(content[:100])
            file.write(memoryview(content)[100:])
        local.make_sized(tmp_path / "places", len(content))
        with local.OpenFile(tmp_path / "places") as places:
            places.write_at(1000, content[1000:])
            places.write_at(0, content[:1000])
    assert tree(tmp_path) == {
        "whole": content,
        "folder": None,
        "folder/new": content,
        "journal": b"a line\n",
        "by parts": content,
        "places": content,
    }


def test_a_rest_of_a_killed_process_of_the_same_number_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "file"
    local.partial_name(path).write_bytes(b"torn")
    local.write_whole(path, NEW)
    assert tree(tmp_path) == {"file": NEW}


def test_a_partial_name_is_hidden_beside_its_own_and_tells_the_process(tmp_path: Path) -> None:
    partial = local.partial_name(tmp_path / "1-2-3.png")
    assert partial == tmp_path / f".1-2-3.png.{os.getpid()}.partial"


def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, recent = (tmp_path / f".{name}.png.{gone.pid}.partial" for name in ("1-2-3", "8"))
    theirs = [tmp_path / f".4.png.{os.getppid()}.partial", tmp_path / ".letter.partial", tmp_path / ".5.png.1.partial"]
    for path in (left, *theirs):
        path.write_bytes(b"torn, or not ours")
        os.utime(path, (0, 0))
    recent.write_bytes(b"perhaps of another machine")
    theirs.append(recent)
    local.write_whole(tmp_path / "7.png", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["7.png", *(path.name for path in theirs)])


def test_a_whole_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(OLD)
    (tmp_path / "file").symlink_to("precious")
    local.write_whole(tmp_path / "file", NEW)
    assert tree(tmp_path) == {"precious": OLD, "file": NEW}


def test_a_link_that_lies_in_wait_at_the_partial_name_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / "precious").write_bytes(OLD)
    local.partial_name(path).symlink_to("precious")
    local.write_whole(path, NEW)
    assert tree(tmp_path) == {"precious": OLD, "file": NEW}


# New files


def test_a_new_file_counts_and_sums_what_it_was_given(tmp_path: Path) -> None:
    with local.NewFile(tmp_path / "file") as file:
        assert file.sum == (0, hashlib.sha256().hexdigest())
        file.write(b"abc")
        file.write(memoryview(bytes(range(10))).cast("B", (2, 5)))
    content = b"abc" + bytes(range(10))
    assert file.sum == (13, hashlib.sha256(content).hexdigest())
    assert local.sum_of(tmp_path / "file") == file.sum
    assert (tmp_path / "file").read_bytes() == content
    file.close()  # once more does no harm


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_new_file_takes_nobodys_place(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if kind == "file":
        path.write_bytes(OLD)
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
    before = tree(tmp_path)
    with pytest.raises(FileExistsError):
        local.NewFile(path)
    with pytest.raises(FileExistsError) as raised, local.NewFolder(path.parent) as folder:
        folder.write([(path.name, NEW)])
    assert raised.value.filename == str(path)
    assert tree(tmp_path) == before


def test_a_new_file_is_synced_when_all_went_well_and_only_then(tmp_path: Path) -> None:
    with under(FaultySystem()) as system, local.NewFile(tmp_path / "good") as file:
        file.write(b"x")
    assert system.log == ["open", "write", "fsync", "close"]
    with under(FaultySystem()) as system, pytest.raises(ValueError, match="mine"), local.NewFile(tmp_path / "bad"):
        raise ValueError("mine")
    assert system.log == ["open", "close"]


def test_a_new_file_that_nobody_closes_is_closed_with_its_owner(tmp_path: Path) -> None:
    with under(FaultySystem()) as system:
        file = local.NewFile(tmp_path / "file")
        del file
    assert system.log == ["open", "close"]


@pytest.mark.parametrize("operation", ["write", "fsync", "close"])
def test_a_file_is_closed_whatever_fails(operation: str, tmp_path: Path) -> None:
    (tmp_path / "places").write_bytes(bytes(10))

    def whole() -> None:
        with local.NewFolder(tmp_path) as folder:
            folder.write([("new", NEW)])

    def by_parts() -> None:
        with local.NewFile(tmp_path / "by parts") as file:
            file.write(NEW)

    def places() -> None:
        with local.OpenFile(tmp_path / "places") as file:
            file.write_at(3, NEW)

    for write in (whole, by_parts, places):
        if write is whole and operation == "fsync":
            continue
        with (
            under(FaultySystem(1, errno.EIO, only=frozenset((operation,)))) as system,
            pytest.raises(OSError, match="Input/output error"),
        ):
            write()
        assert system.close_leaks() == []


# Places in a file that is there


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=50)), max_size=20))
def test_places_hold_what_was_written_last(writes: list[tuple[int, bytes]]) -> None:
    path = Path(f"/tmp/mnistseq-places-{os.getpid()}")
    expected = bytearray(300)
    local.make_sized(path, 300)
    try:
        with local.OpenFile(path) as file:
            for place, content in writes:
                file.write_at(place, content)
                expected[place : place + len(content)] = content
            file.truncate(250)
        assert path.read_bytes() == expected[:250]
    finally:
        path.unlink()


def test_places_are_in_files_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        local.OpenFile(tmp_path / "nothing")
    assert tree(tmp_path) == {}


def test_a_file_of_a_size_takes_the_place_of_anything(tmp_path: Path) -> None:
    (tmp_path / "a" / "folder").mkdir(parents=True)
    (tmp_path / "precious").write_bytes(OLD)
    (tmp_path / "b").symlink_to("precious")
    for name in ("a", "b", "c/d/e"):
        local.make_sized(tmp_path / name, 5)
        assert (tmp_path / name).read_bytes() == bytes(5)
    assert (tmp_path / "precious").read_bytes() == OLD


def test_a_file_that_is_kept_is_never_removed_even_if_it_was_not_there_a_moment_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []
    monkeypatch.setattr(local, "remove", removed.append)
    for _ in range(2):  # of two slices, each may find that there is none yet
        local.make_sized(tmp_path / "growing", 5, keep=True)
        with local.OpenFile(tmp_path / "growing") as file:
            file.write_at(0, b"ab")
    assert (removed, (tmp_path / "growing").read_bytes()) == ([], b"ab\0\0\0")


# Journals


def test_lines_are_appended_whole_and_in_order(tmp_path: Path) -> None:
    for number in range(5):
        local.append(tmp_path / "journal", f'{{"line": {number}}} ü\n'.encode())
    assert (tmp_path / "journal").read_text("utf-8").splitlines() == [f'{{"line": {number}}} ü' for number in range(5)]


def test_a_line_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    local.append(tmp_path / "journal", b"first\n")
    with under(FaultySystem(1, errno.ENOSPC, torn=True)), pytest.raises(OSError, match="No space left"):
        local.append(tmp_path / "journal", b"second\n")
    with (
        under(FaultySystem(1, errno.ENOSPC, torn=True, only=frozenset(("write",)))),
        pytest.raises(OSError, match="No space left"),
    ):
        local.append(tmp_path / "journal", b"third\n")
    assert (tmp_path / "journal").read_bytes() == b"first\nthi"


# Directories, names and removal


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    local.make_directory(tmp_path / "a" / "b" / "c")
    local.make_directory(tmp_path / "a" / "b" / "c")
    assert tree(tmp_path) == {"a": None, "a/b": None, "a/b/c": None}


def test_a_directory_that_another_process_makes_at_the_same_time_will_do(tmp_path: Path) -> None:
    def make_it_first(_: int, name: str) -> None:
        if name == "mkdir":
            (tmp_path / "a").mkdir(exist_ok=True)

    with under(FaultySystem(watch=make_it_first)):
        local.make_directory(tmp_path / "a" / "b")
    assert tree(tmp_path) == {"a": None, "a/b": None}


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_stands_where_a_directory_should_be_is_named(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        (tmp_path / "a").write_bytes(OLD)
    else:
        (tmp_path / "a").symlink_to("nothing")
    before = tree(tmp_path)
    with pytest.raises(NotADirectoryError, match=f"a file is where a directory should be: '{tmp_path / 'a'}'"):
        local.make_directory(tmp_path / "a" / "b")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("there", ["nothing", "file", "folder", "link"])
def test_a_folder_is_placed_whatever_is_there(there: str, tmp_path: Path) -> None:
    source, target, precious = tmp_path / "source", tmp_path / "target", tmp_path / "precious"
    for folder in (source, precious):
        folder.mkdir()
        (folder / "content").write_bytes(NEW if folder == source else OLD)
    if there == "file":
        target.write_bytes(OLD)
    elif there == "folder":
        (target / "deep").mkdir(parents=True)
    elif there == "link":
        target.symlink_to("precious")
    local.place(source, target)
    assert tree(tmp_path) == {"precious": None, "precious/content": OLD, "target": None, "target/content": NEW}


@pytest.mark.parametrize("there", ["nothing", "file", "link"])
def test_a_file_is_placed_whatever_file_is_there(there: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(NEW)
    (tmp_path / "precious").write_bytes(OLD)
    if there == "file":
        (tmp_path / "target").write_bytes(OLD)
    elif there == "link":
        (tmp_path / "target").symlink_to("precious")
    local.place(tmp_path / "source", tmp_path / "target")
    assert tree(tmp_path) == {"precious": OLD, "target": NEW}


def test_a_file_is_not_placed_where_a_folder_is(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(NEW)
    (tmp_path / "target" / "deep").mkdir(parents=True)
    before = tree(tmp_path)
    with pytest.raises(IsADirectoryError, match="target"):
        local.place(tmp_path / "source", tmp_path / "target")
    assert tree(tmp_path) == before


def test_removal_takes_all_of_a_folder_and_follows_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "content").write_bytes(OLD)
    victim = tmp_path / "victim"
    (victim / "deep" / "deeper").mkdir(parents=True)
    (victim / "deep" / "file").write_bytes(NEW)
    (victim / "deep" / "link").symlink_to(precious, target_is_directory=True)
    (victim / "dangling").symlink_to("nothing")
    local.remove(victim)
    local.remove(victim)
    local.remove(tmp_path / "nothing" / "below nothing")
    local.remove(precious / "content" / "below a file")
    assert tree(tmp_path) == {"precious": None, "precious/content": OLD}
    (tmp_path / "link").symlink_to("precious")
    local.remove(tmp_path / "link")
    assert tree(tmp_path) == {"precious": None, "precious/content": OLD}


def test_what_somebody_else_removes_meanwhile_is_no_reason_to_fail(tmp_path: Path) -> None:
    def remove_it_first(_: int, name: str) -> None:
        if name == "unlink":
            (tmp_path / "victim" / "file").unlink(missing_ok=True)
        elif name == "rmdir":
            (tmp_path / "victim").rmdir()

    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_bytes(b"")
    with under(FaultySystem(watch=remove_it_first)):
        local.remove(tmp_path / "victim")
    assert tree(tmp_path) == {}


def test_only_an_empty_folder_is_removed_if_empty(tmp_path: Path) -> None:
    (tmp_path / "full" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"")
    for name in ("full", "file", "nothing", "full/inner"):
        local.remove_if_empty(tmp_path / name)
    assert tree(tmp_path) == {"full": None, "file": b""}


def test_a_sum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) * 2 + 17)
    (tmp_path / "file").write_bytes(content)
    assert local.sum_of(tmp_path / "file") == (len(content), hashlib.sha256(content).hexdigest())


# Errors name the file by the name that it was to have


USES: dict[str, Callable[[LocalStore], object]] = {
    "put": lambda store: store.put("a/b", [b"1", b"2"]),
    "put_new": lambda store: store.put_new("a/b", b"1"),
    "put_many": lambda store: store.put_many([("a/b", b"1")]),
    "put_many in groups": lambda store: store.put_many([("a/b", b"1")], ("a",)),
    "append": lambda store: store.append("b", b"1"),
    "make_sized": lambda store: store.make_sized("b", 9),
    "write_at": lambda store: store.write_at("there", [Region(1, b"1")], cut=True),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("operation", ["write", "fsync", "close", "ftruncate", "lseek"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_names_the_file_and_not_what_it_goes_by_meanwhile(
    number: int, operation: str, use: str, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    store.put("there", [b"12345"])
    names = {"append": {"b"}, "make_sized": {"b"}, "write_at": {"there"}}.get(use, {"a/b", "a"})
    if operation == "close":
        names = {*names, None}  # a folder that is closed has nothing to lose
    found = set()
    for at in count(1):
        with under(FaultySystem(at, number, only=frozenset((operation,)))) as system:
            try:
                USES[use](store)
            except OSError as error:
                found.add(error.filename)
        if not system.struck:
            break
    assert found <= {name and str(tmp_path / name) for name in names}
