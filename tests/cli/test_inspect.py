"""`mnistseq inspect` tells the truth: every number against a slow count, every damage named, nothing hangs."""

import csv
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import slow
from ended import Outcome
from forms import UNLIKE_FORMATS, form
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Sample
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import bundled_writers

Run = Callable[..., tuple[int, str, str]]
Terminal = Callable[..., tuple[int, str]]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
ASKED = ("-n", "25", "--len", "3", "--max", "4", "--seed", "1", "--shard-size", "10")
AS_IT_WAS = "--format png --compression fast --shard-size 10"
REPAIR = f"repair it: mnistseq dataset --recipe out/recipe.json -n 25 {AS_IT_WAS} -o out\n"
SOUND = "every file is as the manifest says\n"
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture(scope="module")
def datasets_made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small dataset of three shards in each format, not to be changed."""
    place = tmp_path_factory.mktemp("made")
    for name in UNLIKE_FORMATS:
        assert main.run(["dataset", *ASKED, *form(name), "-o", str(place / name)]) == 0
    return {name: place / name for name in UNLIKE_FORMATS}


@pytest.fixture
def out(datasets_made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dataset in the format png, as `out` in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(datasets_made["png"], tmp_path / "out")
    return Path("out")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(directory: Path) -> dict[str, bytes | None]:
    """Everything below a directory: files by their content, folders as None."""
    found = {}
    for path in sorted(directory.rglob("*")):
        found[str(path.relative_to(directory))] = None if path.is_dir() else path.read_bytes()
    return found


def facts(table: str) -> dict[str, list[str]]:
    """The rows of printed tables by their first word, without the bars in them."""
    rows = [[word for word in line.split() if set(word) - set("█▌")] for line in table.splitlines() if line.strip()]
    rows = [row for row in rows if row]
    return {row[0]: row[1:] for row in rows}


def assert_refused(outcome: tuple[int, str, str], *named: str, code: int = 2) -> None:
    """The program told in one line what is wrong, and wrote nothing else."""
    assert outcome[:2] == (code, "")
    assert outcome[2].startswith("mnistseq: ")
    assert outcome[2].endswith("\n")
    assert outcome[2].count("\n") == 1
    for name in named:
        assert name in outcome[2]


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(path.read_bytes())
    path.write_text(json.dumps(change(values) or values))


# The bundled MNIST

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_as_json(mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", "--json")
    assert (code, err) == (0, "")
    assert text.count("\n") == 1
    report = json.loads(text)
    assert list(report) == ["kind", "directory", "files", "train", "test", "problems"]
    assert (report["kind"], report["directory"], report["problems"]) == ("mnist", str(DATA), [])
    for file in report["files"]:
        content = (DATA / file["name"]).read_bytes()
        expected = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "verified": True}
        assert file == {"name": file["name"], **expected}
    assert {file["name"] for file in report["files"]} == {path.name for path in DATA.glob("*-ubyte")}
    for name, published in (("train", TRAIN_COUNTS), ("t10k", TEST_COUNTS)):
        slow = Counter((DATA / f"{name}-labels-idx1-ubyte").read_bytes()[8:])
        assert report["test" if name == "t10k" else name] == [slow[digit] for digit in range(10)] == published


def test_mnist_as_tables(mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect")
    assert (code, err) == (0, "")
    assert str(DATA) in text
    rows = facts(text)
    for digit in range(10):
        assert rows[str(digit)] == [f"{TRAIN_COUNTS[digit]:,}", f"{TEST_COUNTS[digit]:,}"]
    assert rows["all"] == ["60,000", "10,000"]
    for path in DATA.glob("*-ubyte"):
        assert rows[path.name] == [f"{path.stat().st_size:,}", "as", "published"]


def test_mnist_is_verified_with_or_without_being_asked(mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", "--verify")
    assert (code, text) == mnistseq("inspect")[:2]
    assert (code, err) == (0, SOUND)


def test_the_first_glyph_of_each_digit_is_drawn(mnistseq: Run) -> None:
    plain = mnistseq("inspect").out
    code, text, err = mnistseq("inspect", "--show", "5")
    assert (code, err) == (0, "")
    assert text.startswith(plain)
    caption, *drawn = text[len(plain) :].splitlines()
    assert caption == "the first glyph of each digit in the train file"
    assert len(drawn) == 15  # two rows of five digits, 58 px high and 148 wide, at half their size and two to a line
    assert set("".join(drawn)) == set(" ▀▄█")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, with links to the data beside it."""
    shutil.copytree(ROOT / "mnist_seq_cli", tmp_path / "mnist_seq_cli", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    for path in DATA.iterdir():
        (tmp_path / "data" / path.name).symlink_to(path)
    return tmp_path


def inspect_with(package: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mnist_seq_cli", "inspect", *arguments],
        env=environment | {"PYTHONPATH": str(package)},
        cwd=package,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_damaged_mnist_file_is_named(package: Path, environment: dict[str, str]) -> None:
    damaged = package / "data" / "t10k-labels-idx1-ubyte"
    content = bytearray(damaged.read_bytes())
    content[-1] = (content[-1] + 1) % 10
    damaged.unlink()
    damaged.write_bytes(content)
    code, text, err = inspect_with(package, environment)
    assert (code, err) == (1, "mnistseq: t10k-labels-idx1-ubyte is not as published\n")
    assert facts(text)[damaged.name] == ["10,008", "NOT", "as", "published"]
    code, text, err = inspect_with(package, environment, "--verify", "--json")
    assert (code, err) == (1, "mnistseq: t10k-labels-idx1-ubyte is not as published\n")
    assert json.loads(text)["problems"] == ["t10k-labels-idx1-ubyte is not as published"]


def test_a_missing_mnist_file_is_told(package: Path, environment: dict[str, str]) -> None:
    (package / "data" / "train-images-idx3-ubyte").unlink()
    outcome = inspect_with(package, environment)
    assert outcome == (1, "", "mnistseq: the MNIST files that belong to mnistseq are missing; install it again\n")


# A dataset

KEYS = [
    *("kind", "path", "complete", "samples", "samples_done", "bytes", "format", "masks", "height", "width", "recipe"),
    *("lengths", "digits", "positions", "gaps", "glyphs", "ink", "ctc_steps", "command", "problems"),
]


def slow_count(labels: list[str]) -> list[list[int]]:
    """Count digits by position, in the plainest way."""
    positions = [[0] * 10 for _ in labels[0].split("-")]
    for label in labels:
        for position, digit in enumerate(label.split("-")):
            positions[position][int(digit)] += 1
    return positions


def slow_numbers(samples: Iterable[Sample], *, looked_at: int) -> dict[str, Any]:
    """Count gaps, glyphs and ink sample by sample."""
    gaps, glyphs, inks = Counter[str](), Counter[int](), []
    for sample in samples:
        size = sample.length
        glyphs.update(sample.glyphs[:size].tolist())
        gaps.update(str(int(sample.x[place + 1]) - int(sample.x[place]) - 28) for place in range(size - 1))
        inks.append(sum(255 - pixel for pixel in sample.image.reshape(-1).tolist()) / 255 / sample.image.size)
    most = sorted(glyphs.items(), key=lambda item: (-item[1], item[0]))[:10]
    times = Counter(glyphs.values())
    return {
        "gaps": {str(gap): gaps[str(gap)] for gap in sorted(map(int, gaps))},
        "glyphs": {
            "samples": len(inks),
            "different": len(glyphs),
            "writers": len({int(bundled_writers()[glyph]) for glyph in glyphs}),
            "times": {str(number): times[number] for number in sorted(times)},
            "most": [[glyph, number] for glyph, number in most],
        },
        "ink": {
            "samples": looked_at,
            "unreadable": 0,
            "mean": pytest.approx(sum(inks) / len(inks), abs=1e-4),
            "smallest": pytest.approx(min(inks), abs=1e-4),
            "largest": pytest.approx(max(inks), abs=1e-4),
            "percent": {
                str(percent): number
                for percent in range(101)
                if (number := sum(percent <= 100 * ink < percent + 1 for ink in inks))
            },
        },
    }


def rows_of(labels: Path) -> list[str]:
    with labels.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file_name", "label"]
    return [label for _, label in rows]


def test_a_dataset_as_json(out: Path, mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", out, "--json")
    assert (code, err) == (0, "")
    assert text.count("\n") == 1
    report = json.loads(text)
    assert list(report) == KEYS
    positions = slow_count(rows_of(out / "labels.csv"))
    images = list(out.rglob("*.png"))
    with Image.open(images[0]) as image:
        width, height = image.size
    assert report == {
        "kind": "dataset",
        "path": "out",
        "complete": True,
        "samples": 25,
        "samples_done": len(images),
        "bytes": sum(path.stat().st_size for path in images),
        "format": "png",
        "masks": False,
        "height": height,
        "width": width,
        "recipe": json.loads((out / "recipe.json").read_bytes())["recipe"],
        "lengths": {"3": 25},
        "digits": [sum(column) for column in zip(*positions, strict=True)],
        "positions": positions,
        **slow_numbers(SequenceDataset(length=3, max_gap=4, seed=1, samples=25), looked_at=25),
        "ctc_steps": max(3 + (row[0] == row[2]) + (row[2] == row[4]) for row in rows_of(out / "labels.csv")),
        "command": "mnistseq dataset --recipe out/recipe.json -n 25 "
        "--format png --compression fast --shard-size 10 -o again/",
        "problems": [],
    }


def test_a_dataset_as_tables(out: Path, mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", out)
    assert (code, err) == (0, "")
    assert text.splitlines()[0].split() == ["out"]
    rows = facts(text)
    size = sum(path.stat().st_size for path in out.rglob("*.png"))
    assert rows["samples"] == ["25"]
    assert rows["format"] == ["png,", f"{size / 1000:.1f}", "kB"]
    assert rows["strips"] == ["92×28", "px"]
    assert rows["digits"] == ["3", "a", "strip"]
    assert rows["gaps"] == ["0", "to", "4", "px,", "each", "for", "itself"]
    assert rows["source"] == ["train"]
    assert rows["seed"] == ["1"]
    positions = slow_count(rows_of(out / "labels.csv"))
    for digit in range(10):
        column = [position[digit] for position in positions]
        assert rows[str(digit)] == [str(sum(column)), *map(str, column)]


def test_titles_are_whole_where_there_is_room(out: Path, mnistseq: Run) -> None:
    text = mnistseq("inspect", out).out
    assert "digits, and how often at each position" in text
    out.rename("a-directory-with-a-rather-long-name-but-not-too-long")
    assert (
        "a-directory-with-a-rather-long-name-but-not-too-long"
        in mnistseq("inspect", "a-directory-with-a-rather-long-name-but-not-too-long").out
    )


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_the_numbers_are_the_same_in_every_format(name: str, datasets_made: dict[str, Path], mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", datasets_made[name], "--json", "--verify")
    assert (code, err) == (0, "")
    report = json.loads(text)
    assert list(report) == KEYS
    data = SequenceDataset(length=3, max_gap=4, seed=1, samples=25)
    positions = slow_count([sample.label for sample in data])
    assert report["positions"] == positions
    assert {key: report[key] for key in ("gaps", "glyphs", "ink")} == slow_numbers(data, looked_at=25)
    assert report["digits"] == [sum(column) for column in zip(*positions, strict=True)]
    assert (report["format"], report["complete"], report["lengths"]) == (name, True, {"3": 25})
    assert (report["samples"], report["samples_done"]) == (25, 25)
    assert report["recipe"] == data.recipe.to_json()


def test_samples_without_a_recipe_as_json(datasets_made: dict[str, Path], mnistseq: Run) -> None:
    counted = ("samples", "labelled", "sizes", "lengths", "digits", "positions", "gaps", "glyphs", "ink")
    counted += ("ctc_steps",)
    for kind, path in (("npz", "npz/dataset.npz"), ("shard", "png/images/00000"), ("shard", "webdataset/00001.tar")):
        code, text, err = mnistseq("inspect", datasets_made["png"].parent / path, "--json")
        assert (code, err) == (0, "")
        report = json.loads(text)
        assert list(report) == ["kind", "path", *counted, "problems"]
        samples = 25 if kind == "npz" else 10
        assert (report["kind"], report["samples"], report["sizes"]) == (kind, samples, [[28, 92]])


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_strips_are_drawn_with_their_labels_in_every_format(
    name: str, datasets_made: dict[str, Path], mnistseq: Run
) -> None:
    plain = mnistseq("inspect", datasets_made[name]).out
    code, text, err = mnistseq("inspect", datasets_made[name], "--show", "4")
    assert (code, err) == (0, "")
    assert text.startswith(plain)
    lines = text[len(plain) :].splitlines()
    data = SequenceDataset(length=3, max_gap=4, seed=1, samples=25)
    assert lines[::15] == [f"{number}: {data[number].label}" for number in range(4)]
    for number in range(4):
        assert lines[15 * number + 1 : 15 * number + 15] == half_blocks(data[number].image)


def half_blocks(image: NDArray[np.uint8]) -> list[str]:
    """Draw an image of no more than 100 columns, pixel by pixel."""
    lines = []
    for row in range(0, len(image), 2):
        line = ""
        for column in range(image.shape[1]):
            upper, lower = (image[row + half, column] < 128 for half in (0, 1))
            line += {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}[upper, lower]
        lines.append(line.rstrip())
    return lines


def test_as_many_strips_are_drawn_as_are_asked_for(out: Path, mnistseq: Run) -> None:
    """Not only those of the first shard."""
    labels = rows_of(out / "labels.csv")
    for asked, drawn in ((0, 0), (1, 1), (11, 11), (25, 25), (1000, 25)):
        text = mnistseq("inspect", out, "--show", asked).out
        captions = [line for line in text.splitlines() if re.match(r"\d+: \d", line)]
        assert captions == [f"{number}: {label}" for number, label in enumerate(labels[:drawn])]


def test_nothing_is_drawn_into_json(out: Path, mnistseq: Run) -> None:
    assert mnistseq("inspect", out, "--json", "--show", "3") == mnistseq("inspect", out, "--json")


def test_a_dataset_of_one_digit_white_on_black_and_with_equal_gaps(here: Path, mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "3", "--len", "1", "--invert", "--seed", "5", "-o", "one").code == 0
    rows = facts(mnistseq("inspect", "one").out)
    assert rows["strips"] == ["28×28", "px,", "white", "on", "black"]
    mnistseq("dataset", "-n", "3", "--len", "2", "--width", "60", "--spacing", "equal", "--seed", "5", "-o", "two")
    assert facts(mnistseq("inspect", "two").out)["gaps"] == ["4", "px"]
    mnistseq("dataset", "-n", "3", "--len", "2", "--max", "6", "--spacing", "equal", "--seed", "5", "-o", "three")
    assert facts(mnistseq("inspect", "three").out)["gaps"] == ["0", "to", "6", "px,", "one", "for", "each", "strip"]
    shown = mnistseq("inspect", "one", "--show", "1").out.splitlines()[-14:]
    inverted = SequenceDataset(length=1, invert=True, seed=5)[0].image
    assert shown == half_blocks(255 - inverted)  # drawn dark on white all the same


# A dataset that is not complete


def test_without_a_manifest_it_is_incomplete(out: Path, mnistseq: Run) -> None:
    (out / "manifest.json").unlink()
    line = "incomplete, 0 of 25 samples are done: the dataset command finishes it"
    code, text, err = mnistseq("inspect", out)
    assert (code, err) == (1, f"mnistseq: {line}\n")
    assert facts(text)["samples"] == ["0", "of", "25:", "INCOMPLETE"]
    code, text, err = mnistseq("inspect", out, "--json")
    assert (code, err) == (1, f"mnistseq: {line}\n")
    report = json.loads(text)
    assert list(report) == KEYS
    assert (report["complete"], report["samples"], report["samples_done"]) == (False, 25, 0)
    assert all(report[key] is None for key in ("lengths", "digits", "positions", "gaps", "glyphs", "ink"))
    assert report["problems"] == [line]


def as_if_interrupted(out: Path, *shards: int) -> None:
    """Take the manifest away, and leave a journal of some of its shards, with what else can be in one."""
    records = json.loads((out / "manifest.json").read_bytes())["shards"]
    (out / "manifest.json").unlink()
    (out / "labels.csv").unlink()
    (out / "metadata.jsonl").unlink()
    (out / ".mnistseq").mkdir()
    lines = [json.dumps(records[shard]) for shard in shards]
    lines.insert(1, json.dumps(records[2] | {"recipe": "0" * 64}))  # of another recipe
    lines.append(json.dumps(records[2])[:60])  # the last line of a process that was killed
    (out / ".mnistseq" / "records.jsonl").write_text("\n".join(lines))


@pytest.mark.parametrize(("shards", "done"), [((), 0), ((0,), 10), ((0, 2), 15), ((1, 0), 20), ((0, 1, 1), 20)])
def test_a_journal_tells_what_is_done_so_far(out: Path, shards: tuple[int, ...], done: int, mnistseq: Run) -> None:
    as_if_interrupted(out, *shards)
    before = tree(out)
    code, text, err = mnistseq("inspect", out, "--json")
    assert (code, json.loads(text)["samples_done"]) == (1, done)
    line = f"incomplete, {done} of 25 samples are done: the dataset command finishes it"
    assert err == f"mnistseq: {line}\n"
    assert mnistseq("inspect", out, "--verify")[::2] == (
        1,
        f"mnistseq: manifest.json is missing: the dataset is not complete\n{REPAIR}",
    )
    assert mnistseq("inspect", out, "--show", "3").code == 1
    assert tree(out) == before  # looking changes nothing


def test_what_was_interrupted_can_be_finished(out: Path, datasets_made: dict[str, Path], mnistseq: Run) -> None:
    as_if_interrupted(out, 0, 2)
    assert mnistseq("dataset", *ASKED, "-o", out).code == 0
    assert tree(out) == tree(datasets_made["png"])
    assert mnistseq("inspect", out, "--verify")[::2] == (0, SOUND)


@pytest.mark.parametrize("samples", [24, 26, 1])
def test_a_manifest_about_other_samples_is_told(out: Path, samples: int, mnistseq: Run) -> None:
    change_json(out / "manifest.json", lambda values: values | {"samples": samples})
    code, _, err = mnistseq("inspect", out)
    assert (code, err) == (1, "mnistseq: manifest.json and recipe.json are not about the same samples\n")


def test_a_manifest_of_another_dataset_is_told(out: Path, mnistseq: Run) -> None:
    assert mnistseq("dataset", *ASKED, "--invert", "-o", "other").code == 0
    shutil.copy("other/manifest.json", out)
    code, _, err = mnistseq("inspect", out)
    assert (code, err) == (1, "mnistseq: manifest.json and recipe.json are not about the same samples\n")
    code, _, err = mnistseq("inspect", out, "--verify")
    assert (code, err) == (
        1,
        f"mnistseq: manifest.json is about another recipe or number of samples than recipe.json\n{REPAIR}",
    )


# Damaged papers: one line, exit 2; a number that does not fit: exit 1


def edit_labels(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def damage(out: Path) -> None:
        lines = change((out / "labels.csv").read_bytes().splitlines(keepends=True))
        (out / "labels.csv").write_bytes(b"".join(lines))

    return damage


def relabel(label: bytes) -> Callable[[Path], None]:
    return edit_labels(lambda lines: [*lines[:3], lines[3].split(b",")[0] + b"," + label + b"\n", *lines[4:]])


NO_DIGITS = "labels.csv has no sequence of digits in line "
NOT_A_SEQUENCE = "has a label that is not a sequence of 1 to 3 digits"


def assert_damaged(outcome: Outcome, named: str) -> None:
    """One line says what cannot be read, and what to run; the check does not hold."""
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert named in outcome.err
    assert outcome.err.endswith("; the dataset command that made it, with its --seed, writes it again\n")


DAMAGED_LABELS: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "no header": (edit_labels(lambda lines: lines[1:]), 2, "labels.csv does not begin with 'file_name,label'"),
    "another header": (edit_labels(lambda lines: [b"name,text\n", *lines[1:]]), 2, "labels.csv does not begin with"),
    "CRLF": (edit_labels(lambda lines: [line.replace(b"\n", b"\r\n") for line in lines]), 2, "labels.csv"),
    "byte-order mark": (edit_labels(lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]]), 2, "labels.csv"),
    "empty": (edit_labels(lambda lines: []), 2, "labels.csv does not begin with"),
    "row missing": (edit_labels(lambda lines: lines[:-1]), 1, "24 labels for 25 samples"),
    "row twice": (edit_labels(lambda lines: [*lines, lines[-1]]), 1, "26 labels for 25 samples"),
    "all rows missing": (edit_labels(lambda lines: lines[:1]), 1, "0 labels for 25 samples"),
    "blank line": (edit_labels(lambda lines: [*lines, b"\n"]), 2, NO_DIGITS),
    "no label": (relabel(b""), 2, NO_DIGITS),
    "a letter": (relabel(b"1-2-x"), 2, NO_DIGITS),
    "too long": (relabel(b"1-2-3-4"), 2, NOT_A_SEQUENCE),
    "NUL": (relabel(b"1-\0-3"), 2, NO_DIGITS),
    "Arabic digits": (relabel("١-٢-٣".encode()), 2, NO_DIGITS),
    "superscript": (relabel("1-²-3".encode()), 2, NO_DIGITS),
    "a million digits": (relabel(b"1" * 1_000_000), 2, NOT_A_SEQUENCE),
    "not text": (relabel(b"\xff\xfe"), 2, NO_DIGITS),
    "missing": (lambda out: (out / "labels.csv").unlink(), 1, "labels.csv: No such file or directory"),
    "a directory": (
        lambda out: ((out / "labels.csv").unlink(), (out / "labels.csv").mkdir())[1],
        1,
        "labels.csv: a directory is where a file should be",
    ),
}


@pytest.mark.parametrize(("damage", "code", "line"), DAMAGED_LABELS.values(), ids=DAMAGED_LABELS.keys())
def test_damaged_labels_are_told_in_one_line(
    out: Path, damage: Callable[[Path], None], code: int, line: str, mnistseq: Run
) -> None:
    damage(out)
    found, text, err = mnistseq("inspect", out)
    assert (found, bool(text)) == (code, line.endswith("labels for 25 samples"))
    assert err.startswith("mnistseq: ")
    assert line in err
    assert err.count("\n") == 1
    assert mnistseq("inspect", out, "--verify").code == 1


def damage_papers(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda path: change_json(path, change)


def replace_text(old: str, new: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


def nested(levels: int) -> Callable[[Path], None]:
    return lambda path: path.write_text('{"version": ' + "[" * levels + "]" * levels + "}") and None


ANY_PAPER: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-20]) and None,
    "not JSON": lambda path: path.write_bytes(b"<html>404</html>") and None,
    "not text": lambda path: path.write_bytes(b"\xff\xfe\0{") and None,
    "NUL": lambda path: path.write_bytes(bytes(100)) and None,
    "a list": lambda path: path.write_text("[]") and None,
    "a number": lambda path: path.write_text("7") and None,
    "null": lambda path: path.write_text("null") and None,
    "NaN": lambda path: path.write_text('{"version": NaN}') and None,
    "100 levels": nested(100),
    "100,000 levels": nested(100_000),
    "a long number": lambda path: path.write_text('{"version": ' + "9" * 10_000 + "}") and None,
    "unknown key": damage_papers(lambda values: values | {"../../etc/passwd": 1}),
    "unknown key with escapes": damage_papers(lambda values: values | {"\x1b[2J\n": 1}),
    "key missing": damage_papers(lambda values: {key: values[key] for key in values if key != "samples"}),
    "samples are text": damage_papers(lambda values: values | {"samples": "25"}),
    "samples are true": damage_papers(lambda values: values | {"samples": True}),
    "samples are 1e400": replace_text('"samples": 25', '"samples": 1e400'),
    "samples are 25.0": replace_text('"samples": 25', '"samples": 25.0'),
    "samples are null": damage_papers(lambda values: values | {"samples": None}),
}
NAMED = {"unknown key": "'../../etc/passwd'", "key missing": "no 'samples'", "samples are 1e400": "samples = inf"}


@pytest.mark.parametrize("paper", ["manifest.json", "recipe.json"])
@pytest.mark.parametrize("kind", ANY_PAPER)
def test_a_damaged_paper_is_told_in_one_line(out: Path, paper: str, kind: str, mnistseq: Run) -> None:
    ANY_PAPER[kind](out / paper)
    for options in ([], ["--verify"], ["--json"], ["--show", "1"]):
        outcome = mnistseq("inspect", out, *options)
        assert_refused(outcome, paper, NAMED.get(kind, ""), code=1 if "--verify" in options else 2)
        assert outcome[2].rstrip("\n").isprintable()


MANIFESTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another version": (lambda values: values | {"version": 2}, "another version"),
    "a shard twice": (lambda values: values["shards"].append(values["shards"][1]), "shard 1 twice"),
    "a negative count": (lambda values: values["shards"][0].update(samples=-10), "cannot be"),
    "a negative shard": (lambda values: values["shards"][0].update(shard=-1), "cannot be"),
    "bytes of 1e400": (lambda values: values["shards"][0].update(bytes=float("1e999")), "manifest.json"),
    "a huge count": (lambda values: values["shards"][0].update(files=10**30), "cannot be"),
    "files as a float": (lambda values: values["shards"][0].update(files=10.0), "files = 10.0"),
    "no sum": (lambda values: values["shards"][0].update(sha256=""), "cannot be"),
    "a sum of capitals": (lambda values: values["shards"][0].update(sha256="A" * 64), "cannot be"),
    "a path for a sum": (lambda values: values["shards"][0].update(sha256="../../etc/passwd"), "cannot be"),
    "checksums that are text": (lambda values: values["shards"][0].update(crcs=["1"]), "cannot be"),
    "nested checksums": (lambda values: values["shards"][0].update(crcs=[[[]]]), "cannot be"),
    "a shard that is text": (lambda values: values["shards"].append("x"), "the record of a shard"),
    "a shard with an unknown key": (lambda values: values["shards"][0].update(path="/etc"), "unknown key 'path'"),
    "a shard with a key missing": (lambda values: values["shards"][0].pop("first") and None, "no 'first'"),
    "a file elsewhere": (lambda values: values["files"].update({"../../etc/passwd": {}}), "'../../etc/passwd'"),
    "an absolute file": (lambda values: values["files"].update({"/etc/passwd": {}}), "'/etc/passwd'"),
    "a file with escapes": (lambda values: values["files"].update({"\x1b[31m": {}}), "names a file"),
    "a file without a sum": (lambda values: values["files"].update({"labels.csv": {}}), "labels.csv has no 'bytes'"),
    "a file that is null": (lambda values: values["files"].update({"labels.csv": None}), "labels.csv"),
}


@pytest.mark.parametrize(("change", "named"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_a_hostile_manifest_is_refused_and_the_same_command_repairs_it(
    out: Path, change: Callable[[Any], Any], named: str, datasets_made: dict[str, Path], mnistseq: Run
) -> None:
    change_json(out / "manifest.json", change)
    assert_refused(mnistseq("inspect", out), named)
    assert_damaged(mnistseq("inspect", out, "--verify"), named)
    assert mnistseq("dataset", *ASKED, "-o", out).code == 0
    assert tree(out) == tree(datasets_made["png"])


def in_recipe(**values: Any) -> Callable[[Any], Any]:
    return lambda spec: spec["recipe"].update(values)


RECIPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no samples": (lambda spec: spec | {"samples": 0}, "number of samples is 0"),
    "negative samples": (lambda spec: spec | {"samples": -1}, "number of samples is -1"),
    "too many samples": (lambda spec: spec | {"samples": 10**13}, "number of samples is 10000000000000"),
    "too many shards": (lambda spec: spec | {"samples": 10**8, "shard_size": 1}, "shards"),
    "shards of nothing": (lambda spec: spec | {"shard_size": 0}, "--shard-size is 0"),
    "an unknown format": (lambda spec: spec | {"format": "../../etc/passwd"}, "no format '../../etc/passwd'"),
    "an unknown compression": (lambda spec: spec | {"compression": "zip"}, "compression is 'zip'"),
    "another version": (in_recipe(version=2), "another version"),
    "an unknown key": (in_recipe(command="rm -rf /"), "unknown key 'command'"),
    "gaps wider than glyphs": (in_recipe(min_gap=-29), "--min is -29"),
    "a canvas too narrow": (in_recipe(width=3), "--width is 3"),
    "a canvas too wide": (in_recipe(width=10**9), "--width is 1000000000"),
    "no digits": (in_recipe(length=0), "--len is 0"),
    "a million digits": (in_recipe(length=10**6), "--len is 1000000"),
    "huge glyphs": (in_recipe(glyph_height=10**9), "`glyph_height` is 1000000000"),
    "a seed below zero": (in_recipe(seed=-1), "--seed is -1"),
    "a seed of 1e400": (in_recipe(seed=float("1e999")), "recipe"),
    "another spacing": (in_recipe(spacing="wide"), "--spacing is 'wide'"),
    "sequences that are none": (in_recipe(sequences=["x"]), "'x' is not a sequence"),
    "a sequence of lists": (in_recipe(sequences=[[[1]]]), "sequence"),
    "sequences of another length": (in_recipe(sequences=["1-2-3-4"]), "not a sequence of 1 to 3 digits"),
}


@pytest.mark.parametrize(("change", "named"), RECIPES.values(), ids=RECIPES.keys())
def test_a_hostile_recipe_is_refused_and_the_same_command_writes_it_again(
    out: Path, change: Callable[[Any], Any], named: str, datasets_made: dict[str, Path], mnistseq: Run
) -> None:
    change_json(out / "recipe.json", change)
    before = tree(out)
    assert_refused(mnistseq("inspect", out), named)
    assert_damaged(mnistseq("inspect", out, "--verify"), named)
    assert_refused(mnistseq("dataset", *ASKED, "--seed", "8", "-o", out), "--overwrite")
    assert tree(out) == before
    again = [] if "format" not in named else ["--overwrite"]  # it may be one of another package
    assert mnistseq("dataset", *ASKED, *again, "-o", out).code == 0
    assert tree(out) == tree(datasets_made["png"])


def test_names_in_a_recipe_cannot_write_to_the_terminal(out: Path, mnistseq: Run) -> None:
    change_json(out / "recipe.json", in_recipe(source="\x1b[31mred\x07\n"))
    _, text, err = mnistseq("inspect", out)
    assert "\x1b" not in text + err
    assert "\x07" not in text + err


# --verify


def with_mark(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def with_returns(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("name", ["recipe.json", "manifest.json", "labels.csv", "metadata.jsonl"])
@pytest.mark.parametrize("change", [with_mark, with_returns])
def test_marks_and_line_ends_that_others_have_put_in_are_seen_and_repaired(
    name: str, change: Callable[[Path], None], out: Path, datasets_made: dict[str, Path], mnistseq: Run
) -> None:
    change(out / name)
    code, _, err = mnistseq("inspect", out, "--verify")
    assert code == 1
    assert name in err
    assert mnistseq("dataset", *ASKED, "-o", out).code == 0
    assert tree(out) == tree(datasets_made["png"])


def test_the_command_that_repairs_is_told_and_does(out: Path, datasets_made: dict[str, Path], mnistseq: Run) -> None:
    (out / "labels.csv").write_bytes(b"file_name,label\n" + b"x,1-2-3\n" * 25)
    line = mnistseq("inspect", out, "--verify").err.splitlines()[-1]
    assert line.startswith("repair it: mnistseq dataset --recipe ")
    assert mnistseq(*shlex.split(line)[3:]).code == 0
    assert tree(out) == tree(datasets_made["png"])


def test_what_readers_would_take_for_samples_is_told_and_nothing_repairs_it(out: Path, mnistseq: Run) -> None:
    (out / "images/it's mine.png").write_bytes(b"")
    line = "images/it's mine.png is not of the dataset, and readers would take it for samples: "
    line += "remove 'out/images/it'\"'\"'s mine.png', or move it away"
    assert mnistseq("inspect", out, "--verify")[::2] == (1, f"mnistseq: {line}\n")
    assert json.loads(mnistseq("inspect", out, "--verify", "--json").out)["problems"] == [line]
    assert mnistseq("inspect", out)[::2] == (0, "")
    assert "all of it was there and is sound" in mnistseq("dataset", *ASKED, "-o", out).err


def test_a_sound_dataset_is_told_to_be_sound(out: Path, mnistseq: Run) -> None:
    before = tree(out)
    assert mnistseq("inspect", out, "--verify") == (0, mnistseq("inspect", out).out, SOUND)
    assert mnistseq("inspect", out, "--verify", "--json") == mnistseq("inspect", out, "--json")
    assert tree(out) == before


def on_file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda out: (out / name).write_bytes(change((out / name).read_bytes())) and None


def move_a_byte(out: Path) -> None:
    """Move the last byte of one file to the start of the next: the same bytes in a row, and two broken files."""
    first, second = (out / f"images/00000/0000000{number}.png" for number in (3, 4))
    second.write_bytes(first.read_bytes()[-1:] + second.read_bytes())
    first.write_bytes(first.read_bytes()[:-1])


def swap_files(out: Path) -> None:
    first, second = (out / f"images/00001/0000001{number}.png" for number in (3, 4))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def copy_shard(out: Path) -> None:
    shutil.copytree(out / "images/00000", out / "images/00099")


def link_a_file(out: Path) -> None:
    (out / "images/00000/00000003.png").rename("moved.png")
    (out / "images/00000/00000003.png").symlink_to(Path("moved.png").absolute())


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda out: (out / old).rename(out / new) and None


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte short": (on_file("images/00001/00000014.png", lambda content: content[:-1]), "images/00001"),
    "a byte long": (on_file("images/00001/00000014.png", lambda content: content + b"\0"), "images/00001"),
    "a flipped bit": (
        on_file("images/00002/00000021.png", lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:]),
        "images/00002",
    ),
    "an empty file": (on_file("images/00000/00000000.png", lambda content: b""), "images/00000"),
    "a byte moved to the next file": (move_a_byte, "images/00000"),
    "two files swapped": (swap_files, "images/00001"),
    "a missing file": (lambda out: (out / "images/00000/00000007.png").unlink(), "images/00000"),
    "an extra file": (lambda out: (out / "images/00000/00000099.png").write_bytes(b"x") and None, "images/00000"),
    "an extra empty file": (lambda out: (out / "images/00000/x").write_bytes(b"") and None, "images/00000"),
    "an extra folder": (lambda out: (out / "images/00000/x").mkdir(), "images/00000"),
    "an extra fifo": (lambda out: os.mkfifo(out / "images/00000/x"), "images/00000"),
    "an extra link": (lambda out: (out / "images/00000/x").symlink_to("00000001.png"), "images/00000"),
    "a link for a file": (link_a_file, "images/00000"),
    "a renamed file": (rename("images/00000/00000007.png", "images/00000/00000007.gif"), "images/00000"),
    "a missing shard": (lambda out: shutil.rmtree(out / "images/00001"), "images/00001"),
    "a file for a shard": (
        lambda out: (shutil.rmtree(out / "images/00001"), (out / "images/00001").write_bytes(b"x"))[0],
        "images/00001",
    ),
    "a stray shard": (copy_shard, "images/00099"),
    "an empty stray shard": (lambda out: (out / "images/00003").mkdir(), "images/00003"),
    "no images": (lambda out: shutil.rmtree(out / "images"), "images/00000"),
    "another label": (
        on_file("labels.csv", lambda content: content[:-2] + b"%d\n" % (9 - int(content[-2:-1]))),
        "labels.csv",
    ),
    "rows of labels swapped": (edit_labels(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]), "labels.csv"),
    "metadata a byte short": (on_file("metadata.jsonl", lambda content: content[:-1]), "metadata.jsonl"),
    "no metadata": (lambda out: (out / "metadata.jsonl").unlink(), "metadata.jsonl"),
    "a shard without a record": (
        lambda out: change_json(out / "manifest.json", lambda values: values["shards"].pop(1) and None),
        "shard 1",
    ),
    "a record of no shard": (
        lambda out: change_json(
            out / "manifest.json", lambda values: values["shards"].append(values["shards"][0] | {"shard": 99})
        ),
        "shard 99",
    ),
    "a record of other samples": (
        lambda out: change_json(out / "manifest.json", lambda values: values["shards"][1].update(first=11)),
        "shard 1",
    ),
    "another sum": (
        lambda out: change_json(out / "manifest.json", lambda values: values["shards"][1].update(sha256="0" * 64)),
        "images/00001",
    ),
    "another number of files": (
        lambda out: change_json(out / "manifest.json", lambda values: values["shards"][2].update(files=6)),
        "images/00002",
    ),
    "a file that the format has not": (
        lambda out: change_json(
            out / "manifest.json", lambda values: values["files"].update({"passwd": {"bytes": 1, "sha256": ""}})
        ),
        "manifest.json",
    ),
    "a file that is not summed up": (
        lambda out: change_json(out / "manifest.json", lambda values: values["files"].pop("labels.csv") and None),
        "manifest.json",
    ),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named_and_the_same_command_repairs_it(
    out: Path, damage: Callable[[Path], Any], named: str, datasets_made: dict[str, Path], mnistseq: Run
) -> None:
    damage(out)
    code, _, err = mnistseq("inspect", out, "--verify")
    assert code == 1
    *lines, last = err.splitlines(keepends=True)
    assert last == REPAIR
    assert all(line.startswith("mnistseq: ") for line in lines)
    assert any(named in line for line in lines)
    code, _, err = mnistseq("dataset", *ASKED, "-o", out)
    assert code == 0
    assert tree(out) == tree(datasets_made["png"])
    assert mnistseq("inspect", out, "--verify")[::2] == (0, SOUND)


def test_a_repair_does_not_reach_through_a_link(out: Path, datasets_made: dict[str, Path], mnistseq: Run) -> None:
    (out / "images/00001").rename("elsewhere")
    (out / "images/00001").symlink_to(Path("elsewhere").absolute(), target_is_directory=True)
    Path("elsewhere/00000013.png").write_bytes(b"mine")
    before = tree(Path("elsewhere"))
    assert mnistseq("inspect", out, "--verify").code == 1
    assert mnistseq("dataset", *ASKED, "-o", out).code == 0
    assert tree(out) == tree(datasets_made["png"])
    assert not (out / "images/00001").is_symlink()
    assert tree(Path("elsewhere")) == before


@pytest.mark.parametrize("kind", ["a stray shard", "another label", "no metadata", "a record of no shard"])
def test_a_repair_is_not_told_as_if_nothing_was_wrong(out: Path, kind: str, mnistseq: Run) -> None:
    DAMAGE[kind][0](out)
    assert "all of it was there and is sound" not in mnistseq("dataset", *ASKED, "-o", out).err
    assert "all of it was there and is sound" in mnistseq("dataset", *ASKED, "-o", out).err


def test_only_the_damaged_shard_is_named(out: Path, mnistseq: Run) -> None:
    DAMAGE["a byte short"][0](out)
    _, text, err = mnistseq("inspect", out, "--verify", "--json")
    (problem,) = json.loads(text)["problems"]
    assert err == f"mnistseq: {problem}\n"
    total = sum(path.stat().st_size for path in (out / "images/00001").iterdir())
    assert problem == f"images/00001: 10 files, {total} bytes; expected 10 files, {total + 1} bytes"


def test_what_is_seen_without_verify_is_not_judged(out: Path, mnistseq: Run) -> None:
    DAMAGE["a flipped bit"][0](out)
    assert mnistseq("inspect", out)[::2] == (0, "")


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_any_byte_of_any_file_counts_in_every_format(
    name: str, datasets_made: dict[str, Path], tmp_path: Path, mnistseq: Run
) -> None:
    """One flipped bit in each file, at its start, in its middle and at its end: noticed, named, and repaired."""
    whole = tree(datasets_made[name])
    out = tmp_path / "out"
    shutil.copytree(datasets_made[name], out)
    data = [path for path in whole if whole[path] is not None and not path.endswith(".json")]
    if name == "png":
        data = [path for path in data if "/" not in path or path.endswith("13.png")]
    if name == "folders":
        data = [path for path in data if "/" not in path or "/13_" in path]
    for path in data:
        content = whole[path]
        assert content is not None
        for place in (0, len(content) // 2, len(content) - 1):
            (out / path).write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            code, _, err = mnistseq("inspect", out, "--verify")
            assert code in {1, 2}, (path, place)
            assert err.startswith("mnistseq: ")
            assert "Traceback" not in err
            assert mnistseq("dataset", *ASKED, *form(name), "-o", out).code == 0
            assert tree(out) == whole


def test_verify_is_for_datasets(here: Path, mnistseq: Run) -> None:
    Path("labels").write_bytes(idx.encode(np.arange(10, dtype=np.uint8)))
    assert_refused(mnistseq("inspect", "labels", "--verify"), "labels is of the kind idx")
    mnistseq("generate", "1-2")
    assert_refused(mnistseq("inspect", "1-2.png", "--verify"), "1-2.png is of the kind strip")


def test_of_very_much_damage_the_first_is_told_and_how_much_more_there_is(here: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "90", "--len", "1", "--shard-size", "2", "--seed", "1", "-o", "out")
    for path in Path("out").glob("images/*/*.png"):
        path.write_bytes(b"")
    code, text, err = mnistseq("inspect", "out", "--verify", "--json", "--html", "x.html")
    problems = json.loads(text)["problems"]
    assert (code, len(problems)) == (1, 45)
    lines = err.splitlines()
    assert lines[1:21] == [f"mnistseq: {problem}" for problem in problems[:20]]
    assert lines[21:] == ["mnistseq: and 25 more like these: --json lists all of them"]
    page = Path("x.html").read_text()
    assert all(problem in page for problem in problems[:20])
    assert problems[20] not in page
    assert "and 25 more like these" in page


# --regenerate


def test_a_sound_dataset_is_made_again(out: Path, mnistseq: Run) -> None:
    before = tree(out)
    plain = mnistseq("inspect", out).out
    line = "the recipe makes the same samples again ({} shards)\n"
    assert mnistseq("inspect", out, "--regenerate", "2") == (0, plain, line.format(2))
    assert mnistseq("inspect", out, "--regenerate", "99") == (0, plain, line.format(3))  # there are no more
    assert mnistseq("inspect", out, "--verify", "--regenerate", "3") == (0, plain, SOUND + line.format(3))
    assert tree(out) == before


def test_a_changed_pixel_is_found_by_making_the_samples_again(out: Path, mnistseq: Run) -> None:
    path = out / "images/00001/00000014.png"
    image = png.decode(path.read_bytes())
    path.write_bytes(png.encode(image[None], "small")[0])  # the same pixels in other bytes
    assert mnistseq("inspect", out, "--regenerate", "3").code == 0
    image[3, 4] ^= 1
    path.write_bytes(png.encode(image[None])[0])
    code, text, err = mnistseq("inspect", out, "--regenerate", "3", "--json")
    assert (code, err) == (1, "mnistseq: shard 1: sample 14 is not what the recipe makes\n")
    assert json.loads(text)["problems"] == ["shard 1: sample 14 is not what the recipe makes"]
    path.unlink()
    code, _, err = mnistseq("inspect", out, "--regenerate", "3")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("mnistseq: shard 1: ")


def test_a_changed_glyph_in_the_metadata_is_found_by_making_the_samples_again(out: Path, mnistseq: Run) -> None:
    lines = (out / "metadata.jsonl").read_text().splitlines(keepends=True)
    row = json.loads(lines[24])
    row["glyphs"][2] += 1
    lines[24] = json.dumps(row) + "\n"
    (out / "metadata.jsonl").write_text("".join(lines))
    code, _, err = mnistseq("inspect", out, "--regenerate", "3")
    assert (code, err) == (1, "mnistseq: shard 2: sample 24 is not what the recipe makes\n")


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_samples_of_glyphs_of_ones_own_are_made_again(name: str, here: Path, mnistseq: Run) -> None:
    Path("i").write_bytes(idx.encode(np.random.default_rng(1).integers(0, 255, (30, 9, 7), dtype=np.uint8)))
    Path("l").write_bytes(idx.encode(np.arange(30, dtype=np.uint8) % 10))
    own = ["--source", "i", "--source-labels", "l"]
    wanted = ["-n", "9", "--len", "2-3", "--max", "2", "--seed", "1", *form(name)]
    assert mnistseq("dataset", *wanted, *own, "-o", "own").code == 0
    code, _, err = mnistseq("inspect", "own", "--regenerate", "1", *own)
    assert (code, err) == (0, "the recipe makes the same samples again (1 shards)\n")


def test_what_a_check_does_not_use_is_refused(out: Path, mnistseq: Run) -> None:
    for options in (("--source", "test"), ("--source-labels", "l"), ("--writers", "w"), ("--paper", "x.png")):
        for path in ([out], [], [out, "--against", out]):
            refused = mnistseq("inspect", *path, *options)
            assert_refused(refused, "--source, --source-labels, --writers and --paper are for --regenerate")
    assert_refused(mnistseq("inspect", "--regenerate", "1"), "only datasets can be made again, and MNIST is")


def test_splits_on_a_custom_background_are_made_again(here: Path, mnistseq: Run) -> None:
    Image.fromarray(np.full((200, 200), 220, dtype=np.uint8)).save("paper.png")
    splits = ("--split", "a=4", "--split", "b=4", "--len", "2", "--paper", "paper.png")
    assert mnistseq("dataset", *splits, "-o", "parts").code == 0
    again = mnistseq("inspect", "parts", "--regenerate", "1", "--paper", "paper.png")
    assert (again.code, again.err.splitlines()[0]) == (0, "the recipes make the same samples again")


# A strip

STRIP_KEYS = [
    *("kind", "path", "height", "width", "ink", "sequence", "glyphs", "x", "gaps", "boxes"),
    *("exact", "confidence", "confidences", "dataset", "sample", "note", "problems"),
]


def test_a_strip_as_json(here: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2-3", "--min", "0", "--max", "10", "--width", "100", "--seed", "3")
    code, text, err = mnistseq("inspect", "1-2-3.png", "--json")
    assert (code, err) == (0, "")
    report = json.loads(text)
    assert list(report) == STRIP_KEYS
    sample = SequenceDataset(sequences=["1-2-3"], seed=3, width=100)[0]
    with Image.open("1-2-3.png") as image:
        pixels = list(image.convert("L").tobytes())
        assert image.size == (100, 28)
    assert report == {
        "kind": "strip",
        "path": "1-2-3.png",
        "height": 28,
        "width": 100,
        "ink": pytest.approx(sum(255 - pixel for pixel in pixels) / 255 / len(pixels), abs=6e-5),
        "sequence": "1-2-3",
        "glyphs": sample.glyphs.tolist(),
        "x": [0, 36, 72],
        "gaps": [8, 8],
        "boxes": sample.boxes.tolist(),
        "exact": True,
        "confidence": 1.0,
        "confidences": [1.0, 1.0, 1.0],
        "dataset": None,
        "sample": None,
        "note": "",
        "problems": [],
    }


def test_a_strip_as_a_table(here: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2-3", "--max", "10", "--width", "100", "--seed", "3", "-o", "a.png")
    code, text, err = mnistseq("inspect", "a.png")
    assert (code, err) == (0, "")
    rows = facts(text)
    assert rows["size"] == ["100×28", "px"]
    assert rows["sequence"] == ["1-2-3"]
    assert rows["read"][0] == "exactly:"
    sample = SequenceDataset(sequences=["1-2-3"], seed=3, width=100)[0]
    for place, (x, y, width, height) in enumerate(sample.boxes.tolist()):
        gap = ["8"] if place else []
        places = [str(sample.glyphs[place]), str(36 * place), *gap, f"{x},", str(y), f"{width}×{height}"]
        assert rows[str(place + 1)] == [*places, str(bundled_writers()[sample.glyphs[place]])]
    assert "a.png" in text
    drawn = mnistseq("inspect", "a.png", "--show", "2").out.splitlines()
    with Image.open("a.png") as image:
        expected = ["0: 1-2-3, a.png", *half_blocks(np.asarray(image))]
    start = drawn.index(expected[0])
    assert drawn[start : start + 15] == expected
    assert drawn[-15] == "the MNIST digits that it is made of"
    assert [line for line in drawn if line not in drawn[start : start + 15] + drawn[-15:]] == text.splitlines()
    shown = mnistseq("inspect", "a.png", "--index", "0").out.splitlines()
    assert shown[:15] == expected


def test_an_inverted_strip(here: Path, mnistseq: Run) -> None:
    mnistseq("generate", "4-2", "--seed", "3", "-o", "plain.png")
    mnistseq("generate", "4-2", "--seed", "3", "--invert", "-o", "inverted.png")
    plain, inverted = (json.loads(mnistseq("inspect", f"{name}.png", "--json").out) for name in ("plain", "inverted"))
    assert inverted.pop("note") == "white ink on black"
    assert (inverted["sequence"], inverted["ink"]) == ("4-2", plain["ink"])


def test_a_picture_without_a_reading_is_described_all_the_same(here: Path, mnistseq: Run) -> None:
    Image.effect_noise((60, 28), 80).save("noise.png")
    code, text, err = mnistseq("inspect", "noise.png", "--json")
    assert (code, err) == (0, "")
    report = json.loads(text)
    assert list(report) == STRIP_KEYS
    assert (report["height"], report["width"], report["sequence"], report["glyphs"]) == (28, 60, None, None)
    assert all(report[key] is None for key in ("x", "gaps", "boxes", "exact", "confidence", "confidences"))
    assert report["note"].startswith("from column 0 on")
    text = mnistseq("inspect", "noise.png").out
    assert facts(text)["sequence"] == ["unread"]
    assert "from column 0 on" in text
    assert "its digits" not in text


def changed(name: str, image: Image.Image) -> Image.Image:
    """A strip as it comes back from elsewhere."""
    if name == "as JPEG":
        file = io.BytesIO()
        image.save(file, "JPEG", quality=60)
        return Image.open(file).convert("L")
    if name == "twice as large":
        return image.resize((2 * image.width, 2 * image.height))
    if name == "white on black and larger":
        return Image.eval(image, lambda value: 255 - value).resize((3 * image.width // 2, 3 * image.height // 2))
    if name == "in uneven light, six times as large":
        larger = np.asarray(image.resize((6 * image.width, 6 * image.height), Image.Resampling.BICUBIC))
        return Image.fromarray((larger * np.linspace(0.15, 1, larger.shape[1])).astype(np.uint8))
    return Image.eval(image, lambda value: 150 + value // 4)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("as JPEG", 1),
        ("twice as large", 2),
        ("white on black and larger", 1.5),
        ("in uneven light, six times as large", 6),
        ("pale", 1),
    ],
)
def test_a_strip_that_was_changed_is_read_approximately(here: Path, name: str, scale: float, mnistseq: Run) -> None:
    mnistseq("generate", "3-0-7", "--min", "5", "--source", "test", "--seed", "3", "-o", "a.png")
    sample = SequenceDataset(sequences=["3-0-7"], min_gap=5, source="test", seed=3)[0]
    with Image.open("a.png") as image:
        changed(name, image.convert("L")).save("b.png")
    code, text, err = mnistseq("inspect", "b.png", "--json")
    report = json.loads(text)
    assert (code, err, list(report)) == (0, "", STRIP_KEYS)
    assert (report["sequence"], report["exact"], report["gaps"]) == ("3-0-7", False, None)
    assert report["note"] == ("white ink on black" if name.startswith("white") else "")
    assert 0.7 <= report["confidence"] < 1
    # About where the ink is: a pixel or two of the original away, the more where it is blurred.
    np.testing.assert_allclose(np.array(report["boxes"]) / scale, sample.boxes, atol=2.5)
    read = json.loads(mnistseq("decode", "b.png", "--json").out)  # which tells the same
    for here_, there in (
        ("x", "x"),
        ("sequence", "digits"),
        ("confidence", "confidence"),
        ("confidences", "confidences"),
    ):
        assert report[here_] == read[there]
    rows = facts(mnistseq("inspect", "b.png").out)
    assert rows["read"][0] == "approximately,"
    assert rows["digit"][:4] == ["sure", "nearest", "glyph", "x"]
    for digit, glyph, sure in zip("307", report["glyphs"], report["confidences"], strict=True):
        assert rows[digit][:2] == [f"{int(100 * sure)}%", str(glyph)]
    assert "the MNIST digits that are most like these" in mnistseq("inspect", "b.png", "--show", "1").out
    (chosen,) = json.loads(mnistseq("inspect", "b.png", "--index", "0", "--json").out)["chosen"]
    assert (chosen["text"], chosen["confidences"]) == ("307", report["confidences"])
    assert mnistseq("inspect", "b.png", "--sheet", "s.png", "--boxes", "--html", "x.html").code == 0
    assert "nearest glyph" in Path("x.html").read_text()


def test_what_is_not_sure_enough_is_unread(here: Path, mnistseq: Run) -> None:
    """As decode leaves it: digits on top of each other, pale and noisy."""
    hand = ("--min", "-18", "--max", "-18", "--slant", "10-20", "--noise", "60", "--contrast", "40-60")
    mnistseq("generate", "3-1-4-1-5", *hand, "--count", "4", "--seed", "3", "-o", "a")
    unread = []
    for path in sorted(Path("a").iterdir()):
        report = json.loads(mnistseq("inspect", path, "--json").out)
        assert (report["sequence"] is None) == (mnistseq("decode", path).code == 1)
        if report["sequence"] is None:
            unread.append(path)
            assert (report["glyphs"], report["exact"], report["confidence"]) == (None, None, None)
            assert "approximately it is" in report["note"]
    assert unread
    assert f"0: ?, {unread[0].name}" in mnistseq("inspect", unread[0], "--show", "1").out.splitlines()
    assert mnistseq("inspect", unread[0], "--html", "x.html").code == 0
    assert "Its digits" not in Path("x.html").read_text()


def test_a_strip_is_a_collection_of_one(here: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2-3", "--min", "2", "--seed", "3", "-o", "a.png")
    for text in ("124\n", "x/a.png,124\n", "0,1-2-4\n"):
        Path("x").write_text(text)
        score = json.loads(mnistseq("inspect", "a.png", "--predictions", "x", "--json").out)["predictions"]
        assert (score["scored"], score["substitutions"], score["gaps"]["2"]) == (1, 1, {"pairs": 2, "errors": 1})
    Path("x").write_text("b.png,124\n")
    assert mnistseq("inspect", "a.png", "--predictions", "x").code == 1
    assert_refused(mnistseq("inspect", "a.png", "--index", "1"), "there is no sample 1")


def test_a_strip_of_a_dataset_says_which_it_is(out: Path, mnistseq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "images/00001/00000012.png"
    for place, path, whole in (
        (".", out / name, "out"),
        ("out/images", name[7:], ".."),
        (".", out.absolute() / name, None),
    ):
        with monkeypatch.context() as there:
            there.chdir(place)
            report = json.loads(mnistseq("inspect", path, "--json").out)
            assert (report["dataset"], report["sample"]) == (whole or str(out.absolute()), 12)
            assert "mnistseq inspect" in " ".join(facts(mnistseq("inspect", path).out)["sample"])
    (out / "recipe.json").unlink()
    assert json.loads(mnistseq("inspect", out / name, "--json").out)["dataset"] is None


# An IDX file

IDX_KEYS = ["kind", "path", "type", "shape", "smallest", "largest", "counts", "problems"]


def test_idx_labels_as_json(mnistseq: Run) -> None:
    path = DATA / "t10k-labels-idx1-ubyte"
    code, text, err = mnistseq("inspect", path, "--json")
    assert (code, err) == (0, "")
    report = json.loads(text)
    assert list(report) == IDX_KEYS
    assert report == {
        "kind": "idx",
        "path": str(path),
        "type": "uint8",
        "shape": [10_000],
        "smallest": 0,
        "largest": 9,
        "counts": TEST_COUNTS,
        "problems": [],
    }


def test_idx_labels_as_tables(here: Path, mnistseq: Run) -> None:
    Path("labels").write_bytes(idx.encode(np.array([3, 1, 4, 1, 5], dtype=np.uint8)))
    code, text, err = mnistseq("inspect", "labels", "--show", "3")  # there is nothing to draw
    assert (code, err) == (0, "")
    rows = facts(text)
    assert rows["values"] == ["5", "of", "uint8"]
    assert rows["range"] == ["1", "to", "5"]
    assert [rows[str(digit)] for digit in range(10)] == [[str([3, 1, 4, 1, 5].count(digit))] for digit in range(10)]


def test_idx_images(here: Path, mnistseq: Run) -> None:
    images = np.zeros((3, 4, 6), dtype=np.uint8)
    images[1, :, 2] = 200
    images[2] = 255
    Path("images").write_bytes(idx.encode(images))
    report = json.loads(mnistseq("inspect", "images", "--json").out)
    assert report == {
        "kind": "idx",
        "path": "images",
        "type": "uint8",
        "shape": [3, 4, 6],
        "smallest": 0,
        "largest": 255,
        "counts": None,
        "problems": [],
    }
    text = mnistseq("inspect", "images", "--show", "9").out
    assert facts(text)["images"] == ["3", "of", "6×4", "px"]
    assert facts(text)["values"] == ["3×4×6", "of", "uint8"]
    assert text.splitlines()[-9:] == ["image 0", "", "", "image 1", "  █", "  █", "image 2", "██████", "██████"]


def test_values_that_are_not_finite_have_no_range(here: Path, mnistseq: Run) -> None:
    Path("values").write_bytes(idx.encode(np.array([1, np.nan, np.inf], dtype=np.float32)))
    report = json.loads(mnistseq("inspect", "values", "--json").out)
    assert (report["smallest"], report["largest"]) == (None, None)
    assert facts(mnistseq("inspect", "values").out)["range"] == ["some", "values", "are", "not", "finite"]


def test_gzip_idx_is_looked_into(here: Path, mnistseq: Run) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4) - 5
    Path("plain").write_bytes(idx.encode(array))
    Path("packed.gz").write_bytes(idx.encode(array, compress=True))
    plain, packed = (json.loads(mnistseq("inspect", name, "--json").out) for name in ("plain", "packed.gz"))
    assert plain | {"path": "packed.gz"} == packed
    assert (packed["type"], packed["shape"], packed["smallest"], packed["largest"]) == ("int16", [3, 4], -5, 6)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "float32", "float64", "uint8"])
def test_the_range_of_every_type_is_exact(here: Path, kind: str, mnistseq: Run) -> None:
    ends = [-1.5, 1e30] if kind.startswith("float") else [int(np.iinfo(kind).min), int(np.iinfo(kind).max)]
    Path("values").write_bytes(idx.encode(np.array([[ends[1], ends[0]]], dtype=kind)))
    report = json.loads(mnistseq("inspect", "values", "--json").out)
    assert (report["type"], report["counts"]) == (kind, None)
    assert [report["smallest"], report["largest"]] == np.array(ends, dtype=kind).tolist()
    low, word, high = facts(mnistseq("inspect", "values").out)["range"]
    assert (float(low), word) == (ends[0], "to")
    assert float(high) == pytest.approx(ends[1], rel=1e-6 if kind.startswith("float") else 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_in_json_is_not_written_as_one(here: Path, value: float, mnistseq: Run) -> None:
    Path("values").write_bytes(idx.encode(np.array([1.5, value], dtype=np.float32)))
    code, text, err = mnistseq("inspect", "values", "--json")
    assert (code, err) == (0, "")

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    assert json.loads(text, parse_constant=refuse)["type"] == "float32"
    assert mnistseq("inspect", "values").code == 0


def test_labels_that_are_no_digits_are_not_counted(here: Path, mnistseq: Run) -> None:
    for array in ([1, 10], [[1, 2]]):
        Path("values").write_bytes(idx.encode(np.array(array, dtype=np.uint8)))
        assert json.loads(mnistseq("inspect", "values", "--json").out)["counts"] is None


# Output: in a pipe, on a terminal


def things_to_inspect(out: Path) -> list[list[str]]:
    """One of each kind, in the current directory."""
    assert main.run(["generate", "3-1-4-1-5-9", "--seed", "1", "-o", "strip.png"]) == 0
    assert main.run(["dataset", "-n", "4", "--len", "12", "--max", "9", "--seed", "2", "-o", "wide"]) == 0
    Path("images").write_bytes(idx.encode(np.full((2, 28, 300), 255, dtype=np.uint8)))
    Path("labels").write_bytes(idx.encode(np.arange(10, dtype=np.uint8)))
    long = f"{'long' * 40}.png"
    shutil.copy("strip.png", long)
    shown = [["strip.png"], ["wide"], ["images"], ["labels"], [long], [str(out), "--verify"], []]
    return [["inspect", *path, "--show", "3"] for path in shown]


def test_in_a_pipe_output_is_plain_and_not_wider_than_100_columns(out: Path, mnistseq: Run) -> None:
    for arguments in things_to_inspect(out):
        code, text, err = mnistseq(*arguments)
        assert (code, err) == (0, SOUND if "--verify" in arguments else "")
        assert "\x1b" not in text
        lines = [line for line in text.splitlines() if "longlong" not in line]
        assert max(map(len, lines)) <= 100
        assert len(text.splitlines()) - len(lines) <= 4


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        *slow([({"TERM": "dumb"}, False), ({"TERM": "dumb", "NO_COLOR": "1"}, False)]),
    ],
    ids=["colours", "NO_COLOR", "dumb", "dumb and NO_COLOR"],
)
def test_on_a_terminal_it_keeps_to_80_columns_and_to_the_colours_that_are_wanted(
    out: Path, variables: dict[str, str], coloured: bool, on_terminal: Terminal, capfdbinary: Any
) -> None:
    for arguments in things_to_inspect(out)[:3]:
        code, seen = on_terminal(*arguments[:2], **variables)
        assert code == 0
        assert "Traceback" not in seen
        colours = re.findall(r"\x1b\[[0-9;]*[34]8;[0-9;]*m", seen)
        assert bool(colours) is coloured
        if variables["TERM"] == "dumb":
            assert "\x1b" not in seen
        plain = ESCAPE.sub("", seen)
        assert "\x1b" not in plain
        assert max(map(len, plain.splitlines())) <= 80
        assert "▀" in plain  # strips are drawn on a terminal without being asked for


def test_on_a_terminal_a_dataset_is_verified_with_a_bar_that_goes_away(out: Path, on_terminal: Terminal) -> None:
    code, seen = on_terminal("inspect", out, "--verify", TERM="xterm-256color")
    assert code == 0
    assert "shards" in seen
    assert seen.endswith(SOUND)
    code, seen = on_terminal("inspect", out, "--verify", TERM="dumb")
    assert (code, "\r" in seen, "shards/s" in seen) == (0, False, False)


def through(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("what", ["", "out", "out --verify", "out --json", "images --show 1000", "strip.png"])
def test_a_pipe_that_closes_is_no_reason_to_complain(
    out: Path, what: str, environment: dict[str, str], capfdbinary: Any
) -> None:
    things_to_inspect(out)
    Path("images").write_bytes(idx.encode(np.full((1000, 28, 28), 255, dtype=np.uint8)))
    done = through(f"mnistseq inspect {what} | head -1", environment)
    assert done.stdout.count("\n") == 1
    assert done.stderr in {"", SOUND}
    assert done.returncode in {0, 1}
    if "1000" in what:
        assert done.returncode == 1  # it could not say all that it was asked for


def test_a_pipe_that_was_closed_before_is_no_reason_to_complain(out: Path, environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mnist_seq_cli", "inspect", "out"]
    try:
        done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_without_a_stdout_or_stderr_there_is_no_traceback(out: Path, environment: dict[str, str]) -> None:
    done = through("mnistseq inspect out >&-", environment)
    assert "Traceback" not in done.stderr
    done = through("mnistseq inspect out --verify --json 2>&-", environment)
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_the_terminal_cannot_show_is_no_reason_to_fail(
    out: Path, encoding: str, environment: dict[str, str]
) -> None:
    command = "mnistseq inspect out --show 2"
    done = subprocess.run(
        ["bash", "-c", command], env=environment | {"PYTHONIOENCODING": encoding}, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"samples" in done.stdout


def test_names_cannot_write_to_the_terminal(out: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2", "-o", "plain.png")
    for name in ("\x1b[31mred.png", "two\nlines.png", "bell\x07.png"):
        shutil.copy("plain.png", name)
        code, text, err = mnistseq("inspect", name, "--show", "1")
        assert (code, err) == (0, "")
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "lines.png" not in text.splitlines()
        assert json.loads(mnistseq("inspect", name, "--json").out)["path"] == name


def test_names_that_are_not_text_are_shown_somehow(out: Path, environment: dict[str, str], mnistseq: Run) -> None:
    mnistseq("generate", "1-2", "-o", "plain.png")
    shutil.copy("plain.png", b"\xff.png")
    for options in ([], [b"--json"]):
        command = [sys.executable, "-m", "mnist_seq_cli", "inspect", b"\xff.png", *options]
        done = subprocess.run(command, env=environment | {"PYTHONIOENCODING": "utf-8"}, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b".png" in done.stdout


# Hostile paths: one line, soon


def png_header(width: int, height: int) -> bytes:
    data = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png.SIGNATURE + struct.pack(">I", 13) + b"IHDR" + data + struct.pack(">I", zlib.crc32(b"IHDR" + data))


def pillow(mode: str, form: str) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (40, 28), 255).save(file, form)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\0",
    "text": b"hello\n",
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "tar": bytes(10_240),
    "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94.",
    "huge.png": png_header(60_000, 60_000) + struct.pack(">I", 10) + b"IDAT" + bytes(14),
    "signature.png": png.SIGNATURE,
    "truncated.png": pillow("L", "PNG")[:60],
    "short": b"\0\0\x08",
    "claims.idx": b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 28, 28) + b"\0\0\0",
    "little.idx": b"\3\x08\0\0" + struct.pack("<3I", 1, 1, 1) + b"\0",
    "zero.idx": b"\0\0\x08\x03" + struct.pack(">3I", 5, 0, 28),
    "web page.gz": b"<html>not found</html>",
    "cut.gz": idx.encode(np.arange(200, dtype=np.uint8), compress=True)[:-9],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("options", [(), ("--json",), ("--show", "3"), ("--verify",)], ids=str)
def test_a_file_that_is_nothing_of_ours_is_refused(
    here: Path, name: str, options: tuple[str, ...], mnistseq: Run
) -> None:
    Path(name).write_bytes(FILES[name])
    assert_refused(mnistseq("inspect", name, *options), name)
    assert [path.name for path in here.iterdir()] == [name]


def test_an_image_in_another_format_is_a_strip_as_decode_takes_it(here: Path, mnistseq: Run) -> None:
    assert mnistseq("generate", "4-2", "--seed", "1", "-o", here)[0] == 0
    with Image.open("4-2.png") as image:
        image.save("strip.jpg", quality=95)
        image.save("strip.bmp")
    for name in ("strip.jpg", "strip.bmp"):
        code, out, err = mnistseq("inspect", name, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["sequence"] == "4-2"
        assert mnistseq("decode", name)[1] == "4-2\n"


def test_where_there_is_nothing_it_says_so(here: Path, mnistseq: Run) -> None:
    assert mnistseq("inspect", "nothing") == (2, "", "mnistseq: nothing does not exist\n")
    assert_refused(mnistseq("inspect", "no/such/folder/"), "no/such/folder")
    assert_refused(mnistseq("inspect", "a\nb\x1b[31m"), r"a\nb\x1b[31m")
    assert_refused(mnistseq("inspect", "x" * 300), "x" * 200)
    assert_refused(mnistseq("inspect", ""))
    Path("loop").symlink_to("loop")
    assert_refused(mnistseq("inspect", "loop"), "loop")
    Path("dangling").symlink_to("nowhere")
    assert_refused(mnistseq("inspect", "dangling"), "dangling")


def test_a_directory_that_is_no_dataset_is_refused(here: Path, mnistseq: Run) -> None:
    for name in ("empty", "other"):
        Path(name).mkdir()
    Path("other/labels.csv").write_text("file_name,label\n")
    for name in ("empty", "other"):
        expected = f"mnistseq: {name} is not an mnistseq dataset: it has no recipe.json\n"
        assert mnistseq("inspect", name) == (2, "", expected)
        assert mnistseq("inspect", name, "--verify") == (2, "", expected)


LIMITED = "ulimit -v 4000000; "  # so that what reads without end stops before the machine does


def timed(command: str, environment: dict[str, str], seconds: float = 4) -> tuple[int, str, str]:
    """Run a command that may hang; of four seconds, two are for Python to start when all is slow."""
    try:
        done = subprocess.run(
            ["bash", "-c", LIMITED + command], env=environment, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"{command} did not end in {seconds} s")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full", "/dev/tty", "fifo"])
def test_devices_and_fifos_are_refused_without_being_opened(
    here: Path, device: str, environment: dict[str, str]
) -> None:
    os.mkfifo("fifo")
    if not Path(device).exists():
        pytest.skip(f"this system has no {device}")
    assert_refused(timed(f"mnistseq inspect {device}", environment), f"{device} is not a file")


@pytest.mark.parametrize("paper", ["recipe.json", "manifest.json", "labels.csv"])
@pytest.mark.parametrize("device", ["/dev/zero", "fifo"])
def test_a_dataset_with_a_device_for_a_paper_is_refused(
    out: Path, paper: str, device: str, environment: dict[str, str]
) -> None:
    os.mkfifo("fifo")
    (out / paper).unlink()
    (out / paper).symlink_to(device if device.startswith("/") else Path.cwd() / device)
    code, text, err = timed("mnistseq inspect out", environment)
    assert (code in {1, 2}, text) == (True, "")
    assert err.startswith("mnistseq: ")
    assert err.count("\n") == 1
    assert paper in err
