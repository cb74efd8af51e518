"""Slices: several runs at once on one directory, what the last one takes on trust, and what they are refused."""

import errno
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ended import Outcome
from faulty import FaultySystem, copy, difference, fast_directory, tree, under

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.plan import Plan, Slice

Run = Callable[..., Outcome]

ASKED = ("dataset", "-n", "70", "--len", "2", "--seed", "5", "--shard-size", "10", "--workers", "1")
COUNT = 3


def sliced(number: int, form: str, out: Path, *more: str) -> list[str]:
    return [*ASKED, "--format", form, "-o", str(out), "--slice", f"{number}/{COUNT}", *more]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def made(place: Path) -> Callable[[str], tuple[Path, dict[str, object]]]:
    """A directory of which all slices are made, and the tree of the complete dataset, for a format."""
    known: dict[str, tuple[Path, dict[str, object]]] = {}

    def make(form: str) -> tuple[Path, dict[str, object]]:
        if form not in known:
            whole, slices = place / form / "whole", place / form / "slices"
            assert main.run([*ASKED, "--format", form, "-o", str(whole)]) == 0
            assert [main.run(sliced(number, form, slices)) for number in (2, 0, 1)] == [0, 0, 0]
            known[form] = slices, tree(whole)
        return known[form]

    return make


@pytest.fixture
def out(place: Path) -> Path:
    directory = place / "out"
    copy(Path("/nonexistent"), directory)
    return directory


def test_a_hundred_million_strips_of_which_some_slices_are_made(out: Path, mnistseq: Run) -> None:
    asked = ("dataset", "-n", "100000000", "--len", "2", "--seed", "5", "--shard-size", "10000", "--workers", "1")
    for number in (0, 9_999):
        assert mnistseq(*asked, "-o", out, "--format", "webdataset", "--slice", f"{number}/10000").code == 0
    assert [path.name for path in sorted(out.glob("*.tar"))] == ["00000.tar", "09999.tar"]
    code, _, err = mnistseq("inspect", out)
    assert (code, err.startswith("mnistseq: incomplete, 20000 of 100000000 samples are done")) == (1, True)
    with tarfile.open(out / "09999.tar") as shard:
        last = json.load(shard.extractfile("99999999.json"))  # type: ignore[arg-type]
    assert tuple(last["glyphs"]) == tuple(SequenceDataset(length=2, seed=5, samples=10**8)[99_999_999].glyphs)


def test_each_shard_is_in_one_slice() -> None:
    for shards in (1, 3, 7, 100):
        for count in (1, 2, 7, 13):
            numbers = [number for k in range(count) for number in Slice(k, count).shards(Plan(shards * 5 - 2, 5))]
            assert numbers == list(range(shards))


@pytest.mark.parametrize(
    "text", ["", "1", "3/3", "-1/3", "1/0", "1/10001", "1/2/3", "a/b", "1 /2", "\u0663/4", "0/1e3"]
)
def test_what_is_no_slice_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"`part` is .*it is K/N"):
        Slice.parse(text)


def test_slices_of_one_directory_are_made_at_once(made: Callable[[str], Any], out: Path) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-m", "mnist_seq_cli", *sliced(number, "png", out)], stderr=subprocess.PIPE)
        for number in range(COUNT)
    ]
    ended = [(process.communicate()[1].decode(), process.returncode) for process in runs]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert main.run([*ASKED, "-o", str(out)]) == 0
    assert difference(tree(out), made("png")[1]) == []


def test_what_is_done_and_what_is_next_is_said(made: Callable[[str], Any], out: Path, mnistseq: Run) -> None:
    code, stdout, err = mnistseq(*sliced(0, "webdataset", out))
    first, second, last = err.splitlines()
    assert (code, stdout) == (0, "")
    assert first.startswith(f"{out}: slice 0/3, 20 of 70 strips, ")
    assert second.startswith("made 20 in ")
    assert last == "when all slices are made, the same command without --slice completes the dataset"
    assert mnistseq("inspect", out).code == 1
    copy(made("webdataset")[0], out)
    err = mnistseq(*ASKED, "--format", "webdataset", "-o", out).err
    assert err.splitlines()[1] == "all of it was made, and has the right sizes; inspect --verify reads every byte"


def test_slices_of_one_file_are_written_into_it_and_read_in_the_end(made: Callable[[str], Any], out: Path) -> None:
    slices, whole = made("npz")
    copy(slices, out)
    assert main.run(sliced(1, "npz", out)) == 0
    for damaged in (False, True):
        if damaged:
            copy(slices, out)
            content = bytearray((out / ".mnistseq/dataset.npz").read_bytes())
            content[600] ^= 1
            (out / ".mnistseq/dataset.npz").write_bytes(content)
        assert main.run([*ASKED, "--format", "npz", "-o", str(out)]) == 0
        assert difference(tree(out), whole) == []


DAMAGE: dict[str, tuple[str, ...]] = {
    "png": ("images/00003/00000035.png", "images/00001", ".mnistseq/rows/00006/labels.csv"),
    "webdataset": ("00000.tar",),
    "idx": (".mnistseq/shards/00002/labels-idx2-ubyte.gz",),
}


@pytest.mark.parametrize("form", DAMAGE)
def test_what_is_not_as_a_slice_recorded_it_is_made_again(
    form: str, made: Callable[[str], Any], out: Path, mnistseq: Run
) -> None:
    """What is of another size or gone, that is; other bytes of the same size are for --verify, which reads them."""
    slices, whole = made(form)
    for name in DAMAGE[form]:
        copy(slices, out)
        if (out / name).is_dir():
            copy(Path("/nonexistent"), out / name)
        elif form == "png":
            (out / name).unlink()
        else:
            (out / name).write_bytes((out / name).read_bytes()[:-1])
        again = mnistseq(*ASKED, "--format", form, "-o", out)
        assert again.code == 0
        assert ("made 10 in " in again.err) == (".mnistseq/rows" not in name)
        assert difference(tree(out), whole) == []


def test_what_was_complete_once_is_not_taken_on_trust(made: Callable[[str], Any], out: Path) -> None:
    """A repair that is killed leaves the journals of slices, and the damage."""
    slices, whole = made("webdataset")
    copy(slices, out)
    assert main.run([*ASKED, "--format", "webdataset", "-o", str(out)]) == 0
    copy(slices / ".mnistseq", out / ".mnistseq")
    content = bytearray((out / "00002.tar").read_bytes())
    content[600] ^= 1
    (out / "00002.tar").write_bytes(content)
    calls = len(log_of([*ASKED, "--format", "webdataset", "-o", str(out)], out))
    for number in range(1, calls, 3):
        copy(slices, out)
        assert main.run([*ASKED, "--format", "webdataset", "-o", str(out)]) == 0
        copy(slices / ".mnistseq", out / ".mnistseq")
        (out / "00002.tar").write_bytes(content)
        with under(FaultySystem(number, errno.EIO, lasting=True)):
            main.run([*ASKED, "--format", "webdataset", "-o", str(out)])
        assert main.run([*ASKED, "--format", "webdataset", "-o", str(out)]) == 0
        assert difference(tree(out), whole) == []


def log_of(arguments: list[str], out: Path) -> list[str]:
    start = out.with_name("start")
    copy(out, start)
    with under(FaultySystem()) as system:
        assert main.run(arguments) == 0
    copy(start, out)
    return system.log


@pytest.mark.parametrize("form", ["webdataset", "npz", pytest.param("png", marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [1, None], ids=["a slice", "the last run"])
def test_any_operation_may_fail(
    form: str, number: int | None, made: Callable[[str], Any], out: Path, full: bool
) -> None:
    """Of a slice beside another that is made, and of the run that completes the dataset: the same command goes on."""
    slices, whole = made(form)
    complete = [*ASKED, "--format", form, "-o", str(out)]
    arguments = complete if number is None else sliced(number, form, out)

    def begin() -> None:
        copy(slices, out)
        if number is not None:
            (out / ".mnistseq" / f"records-{number}-of-{COUNT}.jsonl").unlink()
            for shard in Slice(number, COUNT).shards(Plan(70, 10)):
                copy(Path("/nonexistent"), out / f"images/{shard:05d}")
                (out / f"{shard:05d}.tar").unlink(missing_ok=True)

    begin()
    calls = len(log_of(arguments, out))
    for call in range(1, calls + 1, 1 if full else 5):
        begin()
        with under(FaultySystem(call, errno.EIO)) as system:
            code = main.run(arguments)
        system.close_leaks()
        assert system.struck
        assert code == 1 or number is not None or difference(tree(out), whole) == []
        assert (out / "manifest.json").exists() <= (number is None)
        if code:  # and where it was removing what is half-written that failed, the last run does it
            assert [name for name in tree(out) if "stage" in name] == []
        assert [main.run(arguments), main.run(complete)] == [0, 0]
        assert difference(tree(out), whole) == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["-n", "71"], "is to hold 70 samples, and this is a slice of 71; give the number of the other slices; a run"),
        (["--len", "3"], "holds another dataset: length 3 instead of 2"),
        (["-n", "60"], "holds 70 samples, and 60 were asked for"),
        (["--overwrite"], "--overwrite does not go with --slice: it would remove what other slices make"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_slice_of_the_same_is_refused_and_nothing_changes(
    more: list[str], problem: str, made: Callable[[str], Any], out: Path, mnistseq: Run
) -> None:
    copy(made("webdataset")[0], out)
    before = tree(out)
    code, stdout, err = mnistseq(*sliced(1, "webdataset", out, *more))
    assert (code, stdout, err.count("\n")) == (2, "", 1)
    assert problem in err
    assert tree(out) == before


def test_what_machines_cannot_share_is_refused(out: Path, mnistseq: Run) -> None:
    for arguments, problem in (
        (("-n", "7", "-o", out), "--slice needs a seed: each machine would sample another one; give --seed"),
        (("-n", "7", "--seed", "1", "-o", "-"), "--slice does not go with stdout"),
        (("--split", "a=7", "--seed", "1", "-o", out), "--slice does not go with --split"),
    ):
        code, stdout, err = mnistseq("dataset", "--len", "2", *arguments, "--slice", "0/2")
        assert (code, stdout, err.count("\n")) == (2, "", 1)
        assert problem in err
        assert not out.exists()
