"""The options of `dataset` that say what is written: labels on disk, in every format, are those of the rule."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from depth import others_slow
from forms import UNLIKE_FORMATS, form

from mnist_seq_cli import SequenceDataset, open_dataset

Run = Callable[..., Any]

LISTED = ["1-2-3", "42", "0,0,7", "9 9", "5"]
"""Sequences as people write them; test files have empty lines, a byte order mark and CRLF between them."""

TEXTS = ["123", "42", "007", "99", "5"]


class Case(NamedTuple):
    """Options of the command, the same words for Python, the samples, and what holds for all labels together."""

    options: list[str]
    python: dict[str, Any]
    samples: int | None
    holds: Callable[[list[str]], bool]


def luhn_holds(text: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(text))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


CASES = {
    "one length": Case(["--len", "3"], {"length": 3}, 40, lambda texts: {*map(len, texts)} == {3}),
    "lengths": Case(["--len", "2-5"], {"length": "2-5"}, 60, lambda texts: {*map(len, texts)} == {2, 3, 4, 5}),
    "weights": Case(
        ["--len", "2:1,12:3", "--max", "3"],
        {"length": "2:1,12:3", "max_gap": 3},
        40,
        lambda texts: 0 < Counter(map(len, texts))[2] < Counter(map(len, texts))[12],
    ),
    "labels": Case(["--labels", "list.txt"], {"sequences": LISTED}, None, lambda texts: texts == TEXTS),
    "labels again": Case(["--labels", "list.txt"], {"sequences": LISTED}, 23, lambda texts: texts == (TEXTS * 5)[:23]),
    "shuffled": Case(
        ["--labels", "list.txt", "--shuffle"],
        {"sequences": LISTED, "shuffle": True},
        50,
        lambda texts: {*Counter(texts).values()} == {10} and texts != TEXTS * 10,
    ),
    "pattern": Case(
        ["--pattern", r"(19|20)\d{2}"],
        {"pattern": r"(19|20)\d{2}"},
        40,
        lambda texts: all(re.fullmatch(r"(19|20)\d{2}", text) for text in texts),
    ),
    "balanced": Case(
        ["--len", "2", "--per-label", "2", "--digits", "0-4"],
        {"length": 2, "per_label": 2, "digits": "0-4"},
        None,
        lambda texts: Counter(texts) == {f"{one}{other}": 2 for one in range(5) for other in range(5)},
    ),
    "digits": Case(
        ["--len", "4", "--digits", "01"], {"length": 4, "digits": "01"}, 30, lambda texts: {*"".join(texts)} == {*"01"}
    ),
    "no repetition": Case(
        ["--len", "5", "--no-repeat"],
        {"length": 5, "repeat": False},
        30,
        lambda texts: all(len(set(text)) == 5 for text in texts),
    ),
    "luhn": Case(
        ["--len", "2-9", "--check", "luhn"],
        {"length": "2-9", "check": "luhn"},
        30,
        lambda texts: all(map(luhn_holds, texts)),
    ),
    "pattern with luhn": Case(
        ["--pattern", r"4\d{15}", "--check", "luhn"],
        {"pattern": r"4\d{15}", "check": "luhn"},
        20,
        lambda texts: all(map(luhn_holds, texts)) and {text[0] for text in texts} == {"4"},
    ),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_bytes("\ufeff1-2-3\r\n42\n\n 0,0,7 \r\n9 9\n5".encode())
    return tmp_path


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format_name", others_slow(UNLIKE_FORMATS, "png", "idx"))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_on_disk_is_what_was_asked_for(case: Case, format_name: str, mnistseq: Run, place: Path) -> None:
    count = [] if case.samples is None else ["-n", str(case.samples)]
    shards = ["--shard-size", "7"] if format_name in ("png", "webdataset") else []
    done = mnistseq("dataset", *count, "--seed", "5", *case.options, *form(format_name), *shards, "-o", place / "out")
    assert (done.code, done.out) == (0, "")
    made = SequenceDataset(seed=5, samples=case.samples, **case.python)
    stored = open_dataset(place / "out")
    assert stored.recipe == made.recipe
    assert len(stored) == len(made)
    found, expected = stored.batch(0, len(stored)), made.batch(0, len(made))
    for name in ("digits", "lengths", "images"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert case.holds([sample.label.replace("-", "") for sample in stored])
    if format_name != "idx":  # which has no room for them
        assert expected.first_difference(found) is None
    again = mnistseq("inspect", place / "out", "--verify", "--regenerate", "3")
    assert again.code == 0, again.err


def test_the_files_for_people_have_the_labels_as_they_are(mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", "--labels", "list.txt", "-o", "out").code == 0
    rows = list(csv.DictReader(Path("out/labels.csv").read_text().splitlines()))
    assert [row["label"] for row in rows] == ["1-2-3", "4-2", "0-0-7", "9-9", "5"]
    lines = Path("out/metadata.jsonl").read_text().splitlines()
    assert [re.search(r'"text": "(\d+)"', line)[1] for line in lines] == TEXTS  # type: ignore[index]
    assert "-1" not in "".join(lines)


def test_labels_come_from_stdin_too(mnistseq: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, Path("list.txt").read_bytes())
    assert mnistseq("dataset", "--labels", "-", "--seed", "5", "-o", "piped").code == 0
    assert mnistseq("dataset", "--labels", "list.txt", "--seed", "5", "-o", "read").code == 0
    assert tree(place / "piped") == tree(place / "read")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"12\n\n1x3\n", "line 3: '1x3' is not a sequence of digits; write it like 1-2-3, 123, 1,2,3 or '1 2 3'"),
        (b"12\n1--3\n", "line 2: '1--3' is not a sequence of digits; write it like 1-2-3, 123, 1,2,3 or '1 2 3'"),
        (b"1" * 1_001 + b"\n", "line 1: a sequence of 1001 digits is too long; 1000 digits at most"),
    ],
)
@pytest.mark.parametrize("source", ["bad.txt", "-"])
def test_a_bad_line_is_named_and_nothing_is_written(
    source: str, content: bytes, message: str, mnistseq: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.txt").write_bytes(content)
    feed(monkeypatch, content)
    done = mnistseq("dataset", "-n", "3", "--labels", source, "-o", "out")
    assert (done.code, done.out, done.err) == (2, "", f"mnistseq: {message}\n")
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"\xff\xfe1", 2, "bad.txt is not text; give one sequence a line"),
        (None, 2, "bad.txt does not exist"),
    ],
)
def test_labels_that_cannot_be_read(content: bytes | None, code: int, message: str, mnistseq: Run, place: Path) -> None:
    if content is not None:
        Path("bad.txt").write_bytes(content)
    assert mnistseq("dataset", "--labels", "bad.txt", "-o", "out") == (code, "", f"mnistseq: {message}\n")
    assert not (place / "out").exists()


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_sequences_is_refused(content: bytes, mnistseq: Run, place: Path) -> None:
    Path("empty.txt").write_bytes(content)
    assert mnistseq("dataset", "-n", "3", "--labels", "empty.txt", "-o", "out").code == 2


@pytest.mark.parametrize("options", [["--len", "3"], ["--pattern", "12"], ["--len", "2-3", "--no-repeat"]])
def test_without_a_list_the_number_has_to_be_given(options: list[str], mnistseq: Run) -> None:
    done = mnistseq("dataset", *options, "-o", "out")
    assert done == (2, "", "mnistseq: the number of samples is missing; give -n\n")


@pytest.mark.parametrize("format_name", UNLIKE_FORMATS)
@pytest.mark.parametrize("shuffle", [[], ["--shuffle"]], ids=["in order", "shuffled"])
def test_a_listed_dataset_grows_into_what_a_fresh_run_makes(
    shuffle: list[str], format_name: str, mnistseq: Run, place: Path
) -> None:
    common = ["--labels", "list.txt", *shuffle, "--seed", "5", *form(format_name), "--shard-size", "4"]
    assert mnistseq("dataset", *common, "-o", "grown").code == 0
    assert len(open_dataset("grown")) == 5
    assert mnistseq("dataset", *common, "-n", "17", "-o", "grown").code == 0
    assert mnistseq("dataset", *common, "-n", "17", "-o", "fresh").code == 0
    assert tree(place / "grown") == tree(place / "fresh")


def test_an_interrupted_listed_dataset_is_finished_by_the_same_command(mnistseq: Run, place: Path) -> None:
    common = ["--labels", "list.txt", "-n", "23", "--shard-size", "4"]
    assert mnistseq("dataset", *common, "--seed", "5", "-o", "out").code == 0
    whole = tree(place / "out")
    for name in ("manifest.json", "labels.csv", "images/00002/00000009.png"):  # as a run that was killed leaves it
        Path("out", name).unlink()
    assert mnistseq("inspect", "out").code == 1
    assert mnistseq("dataset", *common, "-o", "out").code == 0
    assert tree(place / "out") == whole


def test_other_labels_are_another_dataset(mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", "--labels", "list.txt", "--seed", "5", "-o", "out").code == 0
    before = tree(place / "out")
    Path("list.txt").write_text("1-2-3\n4-3\n")
    done = mnistseq("dataset", "--labels", "list.txt", "--seed", "5", "-n", "9", "-o", "out")
    assert done.code == 2
    assert "out holds another dataset: " in done.err
    assert "sequences " in done.err
    assert tree(place / "out") == before


def test_workers_change_nothing(mnistseq: Run, place: Path) -> None:
    for workers in ("1", "2"):
        options = ["--len", "2:1,12:3", "-n", "40", "--seed", "5", "--shard-size", "10", "--workers", workers]
        assert mnistseq("dataset", *options, "-o", workers).code == 0
    assert tree(place / "1") == tree(place / "2")


# Labels in the files that people have

TABLES = {
    "CSV": 'file_name,label\n"a,b.png",0-0-4\nb.png,"1,2"\n\n# a comment\nc.png,7\n',
    "CSV of Windows": "\ufeffLabel\r\n0-0-4\r\n12\r\n7\r\n",
    "TSV": "path\twords\tscore\na\t004\t1\nb\t1 2\t0.5\nc\t7\t0",
    "semicolons": "# made by hand\nid;text\n1;004\n2;12\n3;7\n",
    "label before text": "text,label\n9,004\n9,12\n9,7\n",
    "JSON lines": '{"text": "004", "x": 1}\n\n{"sequence": [1, 2]}\n{"label": "7", "text": "9"}\n',
    "one a line": "# the first\n'004'\n  \"1-2\"  # the second\n7#\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES.keys())
def test_labels_are_read_from_tables_json_lines_and_lists(text: str, tmp_path: Path) -> None:
    from mnist_seq_cli.cli.streams import typed_sequences

    (tmp_path / "labels").write_bytes(text.encode())
    assert tuple(typed_sequences(str(tmp_path / "labels"))) == ((0, 0, 4), (1, 2), (7,))


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES.keys())
def test_blocks_of_any_size_are_the_same_labels(text: str, size: int) -> None:
    from mnist_seq_cli.recipe.options.label_files import as_plain
    from mnist_seq_cli.recipe.options.sequences import read_sequences

    content = text.encode()
    blocks = (content[at : at + size] for at in range(0, len(content), size))
    assert tuple(read_sequences(as_plain(blocks))) == ((0, 0, 4), (1, 2), (7,))


WRONG_TABLES = {
    "label,x\n1,2\n1\n": "line 3: 1 columns, and the first row names 2",
    "label,x\n1,2\n,2\n": "line 3: '' is not a sequence of digits; write it like 1-2-3 or 123",
    'label,x\n"1\n2",2\n': "line 3: '1\\n2' is not a sequence of digits",
    "label,x\n\n#\n1-x,2\n": "line 4: '1-x' is not a sequence of digits",
    "label,x\n1--2,2\n": "line 2: '1--2' is not a sequence of digits",
    "name,value\na,2\n": "a table of labels begins with 'name,value', which names none of the columns label, ",
    '{"text": "1"}\n{"text": 42}\n': 'line 2: the label is 42; give text, as in "0042"',
    '{"text": "1"}\n{"txt": "1"}\n': "line 2: not an object of JSON with label or text or words or sequence",
    '{"text": "1"}\n{\n': "line 2: not an object of JSON",
    "label\n" + "1" * 70_000: "line 2: more than 65536 characters are too long for a label",
    "label\n" + "1" * 2_000: "line 2: a sequence of 2000 digits is too long; 1000 digits at most",
}


@pytest.mark.parametrize(("text", "problem"), WRONG_TABLES.items(), ids=lambda text: text[:20])
def test_what_is_wrong_with_a_table_is_one_line(text: str, problem: str, mnistseq: Any, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text(text)
    done = mnistseq("dataset", "--labels", tmp_path / "labels", "-o", tmp_path / "out")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert problem in done.err
    assert not (tmp_path / "out").exists()


def test_the_labels_of_a_dataset_are_written_again_in_another_style(mnistseq: Any, tmp_path: Path) -> None:
    assert mnistseq("dataset", "-n", "40", "--len", "1-4", "--seed", "2", "-o", tmp_path / "one").code == 0
    for table in ("labels.csv", "metadata.jsonl"):
        labels, other = tmp_path / "one" / table, tmp_path / table
        assert mnistseq("dataset", "--labels", labels, "--slant", "20", "--seed", "3", "-o", other).code == 0
        assert (other / "labels.csv").read_bytes() == (tmp_path / "one/labels.csv").read_bytes()
