"""The command `dataset`, as PNG files: what lies on disk, what is told, what is refused, and how a dataset grows."""

import csv
import hashlib
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import Recipe, SequenceDataset
from mnist_seq_cli.cli.main import run
from mnist_seq_cli.mnist import idx

PROGRAM = (sys.executable, "-m", "mnist_seq_cli")
SMALL = ("-n", "25", "--len", "3", "--max", "5", "--seed", "7", "--shard-size", "10", "-o", "out")
SIDE_FILES = ["README.md", "croissant.json", "labels.csv", "manifest.json", "metadata.jsonl", "recipe.json"]


class Done(NamedTuple):
    """How a run ended: its exit code, and what it wrote to each stream."""

    code: int
    out: bytes
    err: str


Dataset = Callable[..., Done]


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Dataset:
    """The command, run in this process, in a directory of its own: `dataset("-n", "10", "--len", "4", "-o", "out")`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        capfdbinary.readouterr()
        code = run(["dataset", *arguments])
        out, err = capfdbinary.readouterr()
        return Done(code, out, err.decode())

    return call


def small_samples(samples: int = 25) -> SequenceDataset:
    return SequenceDataset(length=3, max_gap=5, seed=7, samples=samples)


def contents(directory: Path) -> dict[str, bytes | None]:
    """Everything below a directory by its path: the bytes of each file, and None for each folder."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def state(directory: Path) -> dict[str, tuple[int, int, bytes | str | None]]:
    """Everything below a directory, and itself, with the time of its last change, its inode, and its bytes or aim."""
    found: dict[str, tuple[int, int, bytes | str | None]] = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content: bytes | str | None = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path)] = (status.st_mtime_ns, status.st_ino, content)
    return found


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        assert (opened.format, opened.mode) == ("PNG", "L")
        return np.array(opened)


def labels_in(directory: Path) -> list[dict[str, str]]:
    with (directory / "labels.csv").open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file, strict=True))


def metadata_in(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metadata.jsonl").read_text("ascii").splitlines()]


def json_in(path: Path) -> Any:
    return json.loads(path.read_text("ascii"))


def seed_shown(err: str) -> int:
    match = re.search(r"^seed (\d+): --seed (\d+) makes the same dataset again$", err, re.MULTILINE)
    assert match is not None
    assert match[1] == match[2]
    return int(match[1])


def assert_holds(directory: Path, samples: SequenceDataset) -> None:
    """Labels, metadata and images have to be exactly these samples, image by image."""
    labels, metadata, recipe = labels_in(directory), metadata_in(directory), samples.recipe
    assert len(labels) == len(metadata) == len(samples)
    for sample, label, row in zip(samples, labels, metadata, strict=True):
        assert label == {"file_name": row["file_name"], "label": sample.label}
        assert row == {
            "file_name": row["file_name"],
            "text": sample.label.replace("-", ""),
            "glyphs": sample.glyphs.tolist(),
            "x": sample.x.tolist(),
            "boxes": sample.boxes.tolist(),
            **({"gaps": (np.diff(sample.x) - recipe.glyph_width).tolist()} if recipe.min_gap < recipe.max_gap else {}),
        }
        np.testing.assert_array_equal(pixels(directory / row["file_name"]), sample.image, strict=True)


def assert_refused(done: Done, message: str, code: int = 2) -> None:
    """One line on stderr that says what is wrong, nothing on stdout, and this exit code."""
    assert done.out == b""
    assert done.err.startswith("mnistseq: ")
    assert done.err.endswith("\n")
    assert done.err[:-1].isprintable(), done.err
    assert message in done.err
    assert done.code == code


def own_files(directory: Path, labels: Sequence[int] = tuple(range(10)), seed: int = 1) -> tuple[str, str]:
    """An IDX pair of glyphs 7 px high and 5 px wide, one for each label."""
    directory.mkdir(parents=True, exist_ok=True)
    glyphs = np.random.default_rng(seed).integers(1, 255, (len(labels), 7, 5), dtype=np.uint8)
    (directory / "images").write_bytes(idx.encode(glyphs))
    (directory / "labels").write_bytes(idx.encode(np.array(labels, dtype=np.uint8)))
    return str(directory / "images"), str(directory / "labels")


# What lies on disk


def test_the_line_of_the_contract(dataset: Dataset, tmp_path: Path) -> None:
    done = dataset(*shlex.split("-n 10000 --len 4 -o out/"))
    assert (done.code, done.out) == (0, b"")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["images", *SIDE_FILES])
    labels = labels_in(tmp_path / "out")
    assert [row["file_name"] for row in labels] == [f"images/{n // 1000:05d}/{n:08d}.png" for n in range(10_000)]
    samples = SequenceDataset(length=4, seed=seed_shown(done.err), samples=10_000)
    digits = samples.batch(0, 10_000).digits.tolist()
    assert [row["label"] for row in labels] == ["-".join(map(str, sequence)) for sequence in digits]
    for number in (0, 999, 1000, 5555, 9999):
        image = pixels(tmp_path / "out" / labels[number]["file_name"])
        np.testing.assert_array_equal(image, samples[number].image, strict=True)


def test_the_tree_is_the_documented_one_and_nothing_else_is_left(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    shards = [f"images/{shard:05d}" for shard in range(3)]
    images = [f"images/{sample // 10:05d}/{sample:08d}.png" for sample in range(25)]
    assert sorted(contents(tmp_path)) == sorted(
        ["out", *(f"out/{name}" for name in ("images", *shards, *images, *SIDE_FILES))]
    )


def test_every_image_and_label_is_the_sample_of_its_number(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    assert_holds(tmp_path / "out", small_samples())


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (["--len", "1"], {"length": 1}),
        (["--len", "4", "--width", "133"], {"length": 4, "width": 133}),
        (["--len", "4", "--width", "140", "--spacing", "random"], {"length": 4, "width": 140, "spacing": "random"}),
        (["--len", "2", "--max", "9", "--spacing", "equal"], {"length": 2, "max_gap": 9, "spacing": "equal"}),
        (["--len", "3", "--invert"], {"length": 3, "invert": True}),
        (["--len", "3", "--source", "test"], {"length": 3, "source": "test"}),
        (["--len", "3", "--source", "all"], {"length": 3, "source": "all"}),
        (["--len", "12"], {"length": 12}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_option_of_the_layout_counts(
    options: list[str], request_: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    assert dataset("-n", "6", "--seed", "3", "-o", "out", *options).code == 0
    assert_holds(tmp_path / "out", SequenceDataset(seed=3, samples=6, **request_))


def test_the_files_for_people_are_plain_text_that_keeps_zeros(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    lines = (tmp_path / "out" / "labels.csv").read_bytes().decode("ascii").split("\n")
    assert lines[0] == "file_name,label"
    assert lines[1] == f"images/00000/00000000.png,{small_samples()[0].label}"
    assert lines[-1] == ""
    assert all(re.fullmatch(r"images/\d{5}/\d{8}\.png,\d-\d-\d", line) for line in lines[1:-1])
    metadata = (tmp_path / "out" / "metadata.jsonl").read_bytes().decode("ascii").split("\n")
    assert metadata[-1] == ""
    assert all(re.fullmatch(r'\{"file_name": "[^"]+", "text": "\d{3}", .*\}', line) for line in metadata[:-1])
    assert len(lines) == len(metadata) + 1 == 27


def test_the_recipe_is_what_was_asked_for_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    assert json_in(tmp_path / "out" / "recipe.json") == {
        "recipe": {
            "version": 1,
            "seed": 7,
            "length": 3,
            "lengths": {},
            "digits": "0123456789",
            "repeat": True,
            "sequences": [],
            "shuffle": False,
            "pattern": "",
            "per_label": 0,
            "check": "",
            "spacing": "random",
            "min_gap": 0,
            "max_gap": 5,
            "crop": "box",
            "width": 94,
            "height": 28,
            "fit": False,
            "align": "left",
            "margin": 0,
            "jitter_x": 0,
            "jitter_y": 0,
            "slant": [0, 0],
            "rotate": [0, 0],
            "scale": [100, 100],
            "stroke": [0, 0],
            "contrast": [100, 100],
            "paper": "plain",
            "noise": 0,
            "source": "train",
            "glyph_height": 28,
            "glyph_width": 28,
            "ink_height": 20,
            "ink_width": 20,
            "exclude_mislabeled": False,
            "glyphs": "any",
            "pool": [0, 1, 1],
            "label_pool": [0, 1, 1],
            "invert": False,
        },
        "samples": 25,
        "format": "png",
        "compression": "fast",
        "shard_size": 10,
        "request": {"length": 3, "max_gap": 5, "seed": 7},
    }


def test_the_manifest_agrees_with_what_is_there(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    out = tmp_path / "out"
    values = json_in(out / "recipe.json")["recipe"]
    fingerprint = hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    manifest = json_in(out / "manifest.json")
    assert manifest.keys() == {"version", "recipe", "samples", "shards", "files"}
    assert (manifest["version"], manifest["recipe"], manifest["samples"]) == (1, fingerprint, 25)
    assert len(manifest["shards"]) == 3
    for number, entry in enumerate(manifest["shards"]):
        images = [path.read_bytes() for path in sorted((out / "images" / f"{number:05d}").iterdir())]
        assert {name: entry[name] for name in entry.keys() - {"crcs"}} == {
            "shard": number,
            "first": number * 10,
            "samples": len(images),
            "files": len(images),
            "bytes": sum(map(len, images)),
            "sha256": hashlib.sha256(b"".join(images)).hexdigest(),
            "recipe": fingerprint,
        }
    assert manifest["files"] == {
        name: {
            "bytes": (out / name).stat().st_size,
            "sha256": hashlib.sha256((out / name).read_bytes()).hexdigest(),
        }
        for name in ("labels.csv", "metadata.jsonl", "README.md", "croissant.json")
    }


def test_no_paper_knows_the_place_the_machine_or_the_people(dataset: Dataset, tmp_path: Path) -> None:
    images, labels = own_files(tmp_path / "mine")
    own = ("--source", images, "--source-labels", labels)
    assert dataset("-n", "5", "--len", "2", "-o", str(tmp_path / "secret"), *own).code == 0
    words = [str(tmp_path), tmp_path.name, "secret", "mine", socket.gethostname(), str(Path.home())]
    for name in SIDE_FILES:
        text = (tmp_path / "secret" / name).read_text("utf-8")
        assert [word for word in words if len(word) > 3 and word in text] == []


# The same again


def test_two_runs_with_one_seed_are_the_same_in_every_byte(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    assert dataset(*SMALL, "-o", "elsewhere/deeper").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "elsewhere" / "deeper")


def test_the_seed_that_was_shown_makes_the_same_dataset(dataset: Dataset, tmp_path: Path) -> None:
    size = ("-n", "12", "--len", "3")
    seed = seed_shown(dataset(*size, "-o", "one").err)
    assert json_in(tmp_path / "one" / "recipe.json")["recipe"]["seed"] == seed
    assert seed_shown(dataset(*size, "-o", "two", "--seed", str(seed)).err) == seed
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_without_a_seed_two_runs_are_two_datasets(dataset: Dataset, tmp_path: Path) -> None:
    seeds = {seed_shown(dataset("-n", "12", "--len", "3", "-o", name).err) for name in ("train", "test")}
    assert len(seeds) == 2
    assert (tmp_path / "train" / "labels.csv").read_bytes() != (tmp_path / "test" / "labels.csv").read_bytes()


def test_the_number_of_processes_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    for workers in ("1", "2", "auto"):
        assert dataset(*SMALL, "-o", workers, "--workers", workers).code == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "auto")


@pytest.mark.parametrize("shard_size", [1, 7, 24, 25, 26, 100_000])
def test_the_size_of_shards_changes_no_sample(shard_size: int, dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL, "--shard-size", str(shard_size)).code == 0
    assert_holds(tmp_path / "out", small_samples())
    assert len(list((tmp_path / "out" / "images").iterdir())) == -(-25 // shard_size)


@pytest.mark.parametrize("samples", [1, 9, 10, 11, 20, 30])
def test_any_number_of_samples_is_cut_into_shards(samples: int, dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL, "-n", str(samples)).code == 0
    assert_holds(tmp_path / "out", small_samples(samples))
    shards = json_in(tmp_path / "out" / "manifest.json")["shards"]
    assert [shard["samples"] for shard in shards] == [10] * (samples // 10) + [samples % 10] * bool(samples % 10)
    assert len(list((tmp_path / "out" / "images").glob("*/*"))) == samples


def test_the_same_command_again_finds_all_of_it_and_rewrites_nothing(dataset: Dataset, tmp_path: Path) -> None:
    command = ("-n", "25", "--len", "3", "--shard-size", "10", "-o", "out")
    first = dataset(*command)
    before = state(tmp_path / "out")
    again = dataset(*command)
    assert (again.code, again.out) == (0, b"")
    assert "all of it was there and is sound" in again.err
    assert seed_shown(again.err) == seed_shown(first.err)
    assert state(tmp_path / "out") == before


def test_the_same_command_without_the_size_of_shards_goes_on_with_theirs(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    before = state(tmp_path / "out")
    assert dataset("-n", "25", "--len", "3", "--max", "5", "-o", "out").code == 0
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize(("before", "after"), [(15, 32), (20, 21), (1, 25), (10, 20)])
def test_a_larger_number_makes_it_grow_into_what_a_fresh_run_makes(
    before: int, after: int, dataset: Dataset, tmp_path: Path
) -> None:
    command = ("--len", "3", "--max", "5", "--shard-size", "10")
    assert dataset(*command, "-n", str(before), "--seed", "7", "-o", "out").code == 0
    kept = {path: state(path) for path in list((tmp_path / "out" / "images").iterdir())[: before // 10]}
    done = dataset(*command, "-n", str(after), "-o", "out")
    assert (done.code, done.out) == (0, b"")
    assert dataset(*command, "-n", str(after), "--seed", "7", "-o", "fresh").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    full = {path: found for path, found in kept.items() if len(found) == 11}
    assert {path: state(path) for path in full} == full


def test_a_smaller_number_is_refused_and_nothing_is_touched(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    before = state(tmp_path / "out")
    assert_refused(dataset(*SMALL, "-n", "24"), "out holds 25 samples, and 24 were asked for; --overwrite")
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("options", "differences"),
    [
        (["--seed", "8"], ["seed 8 instead of 7"]),
        (["--len", "4"], ["length 4 instead of 3", "width 127 instead of 94"]),
        (["--max", "6"], ["max_gap 6 instead of 5"]),
        (["--min", "1"], ["min_gap 1 instead of 0"]),
        (["--source", "test"], ["source test instead of train"]),
        (["--invert"], ["invert true instead of false"]),
        (["--spacing", "equal"], ["spacing equal instead of random"]),
        (["--shard-size", "9"], ["shard_size 9 instead of 10"]),
        (["--seed", "8", "-n", "30"], ["seed 8 instead of 7"]),
        (["--seed", "8", "-n", "3"], ["seed 8 instead of 7"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_dataset_in_place_is_refused_with_the_differences(
    options: list[str], differences: list[str], dataset: Dataset, tmp_path: Path
) -> None:
    assert dataset(*SMALL).code == 0
    before = state(tmp_path / "out")
    done = dataset(*SMALL, *options)
    assert_refused(done, "out holds another dataset: ")
    assert all(difference in done.err for difference in differences)
    assert "--overwrite starts over, or choose another directory" in done.err
    assert state(tmp_path / "out") == before


# Glyphs of the user's own


def test_glyphs_of_the_users_own(dataset: Dataset, tmp_path: Path) -> None:
    images, labels = own_files(tmp_path / "mine")
    command = ("-n", "8", "--len", "3", "--max", "4", "-o", "out")
    assert dataset(*command, "--seed", "7", "--source", images, "--source-labels", labels).code == 0
    samples = SequenceDataset(length=3, max_gap=4, seed=7, samples=8, source=images, source_labels=labels)
    assert samples[0].image.shape == (7, 3 * 5 + 2 * 4)
    assert_holds(tmp_path / "out", samples)
    assert json_in(tmp_path / "out" / "recipe.json")["recipe"] == samples.recipe.to_json()
    assert Recipe.from_json(samples.recipe.to_json()).source.startswith("sha256:")

    before = state(tmp_path / "out")
    moved = own_files(tmp_path / "moved")
    assert dataset(*command, "--source", moved[0], "--source-labels", moved[1]).code == 0
    others = own_files(tmp_path / "others", seed=2)
    assert_refused(dataset(*command, "--source", others[0], "--source-labels", others[1]), "source sha256:")
    assert state(tmp_path / "out") == before


def test_glyphs_that_do_not_do_are_refused_before_anything_is_made(dataset: Dataset, tmp_path: Path) -> None:
    images, labels = own_files(tmp_path / "mine", labels=(1, 2, 3))
    command = ("-n", "8", "--len", "3", "-o", "out", "--source")
    assert_refused(dataset(*command, images, "--source-labels", labels), "the source has no glyph of 0, 4, 5")
    assert_refused(dataset(*command, labels, "--source-labels", images), "give them the other way round")
    assert_refused(dataset(*command, "fonts"), "no bundled source is called 'fonts'")
    assert_refused(dataset(*command, images, "--source-labels", "nothing"), "nothing: No such file", code=1)
    assert not (tmp_path / "out").exists()


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "0"], "number of samples is 0; it has to be 1 to 1000000000000"),
        (["-n", "-1"], "number of samples is -1"),
        (["-n", "1000000000001"], "number of samples is 1000000000001"),
        (["-n", "ten"], "'ten' is not a valid integer"),
        (["-n", "9" * 5000], "Invalid value for '-n'"),
        (["-n", "20000001", "--shard-size", "1"], "are 20000001 shards; --shard-size 3 or more keeps them to 10000000"),
        (["--len", "0"], "number of digits is 0"),
        (["--len", "1001"], "number of digits is 1001"),
        (["--shard-size", "0"], "--shard-size is 0"),
        (["--shard-size", "-1"], "--shard-size is -1"),
        (["--workers", "0"], "--workers is '0'; it is auto, or a number from 1 to 256"),
        (["--workers", "257"], "--workers is '257'"),
        (["--workers", "-1"], "--workers is '-1'"),
        (["--workers", "²"], "--workers is '²'"),
        (["--workers", "9" * 5000], "--workers is '999"),
        (["--seed", "-1"], "--seed is -1"),
        (["--min", "5", "--max", "4"], "--max 4 is below --min 5"),
        (["--width", "100"], "5 to 7 px was asked for; nearest: --width 98 (gap 7)"),
        (["--spacing", "wide"], "'wide' is not one of"),
        (["--format", "gif"], "'gif' is not one of"),
        (["--no\nsuch"], "No such option"),
        (["more\nwords"], "unexpected extra argument"),
        (["-o", "-"], "the format png cannot go to stdout"),
    ],
    ids=lambda value: ascii(" ".join(value))[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_made(
    options: list[str], message: str, dataset: Dataset, tmp_path: Path
) -> None:
    assert_refused(dataset("-n", "10", "--len", "3", "--min", "5", "--max", "7", "-o", "out", *options), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["-n", "--len", "-o"])
def test_what_has_to_be_given_is_named(missing: str, dataset: Dataset, tmp_path: Path) -> None:
    given = {"-n": "3", "--len": "2", "-o": "out"}
    done = dataset(*(word for name, value in given.items() if name != missing for word in (name, value)))
    messages = {
        "-n": "the number of samples is missing; give -n",
        "--len": "it is not clear what to write; give --len, --labels or --pattern",
        "-o": "Missing option '-o'",
    }
    assert_refused(done, messages[missing])
    assert list(tmp_path.iterdir()) == []


def test_a_shard_size_that_cannot_be_is_refused_where_a_dataset_is_too(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    before = state(tmp_path / "out")
    assert_refused(dataset(*SMALL, "--shard-size", "0"), "--shard-size is 0")
    assert state(tmp_path / "out") == before


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out" / "thesis").mkdir(parents=True)
    (tmp_path / "out" / "thesis" / "chapter1.tex").write_text("It was a dark and stormy night")
    (tmp_path / "out" / "notes.txt").write_text("call mum")
    before = state(tmp_path / "out")
    done = dataset(*SMALL)
    assert_refused(done, "out is not empty, and holds no mnistseq dataset: 'notes.txt' and 1 more")
    assert "choose another directory; --overwrite writes beside what is there" in done.err
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize(
    "recipe", [b"", b"{}", b"not JSON", b"[1, 2]", b'{"samples": 3}', b"\xff\xfe", b"[" * 100_000], ids=repr
)
def test_a_recipe_that_is_not_ours_is_refused_and_left_alone(recipe: bytes, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.json").write_bytes(recipe)
    before = state(tmp_path / "out")
    assert_refused(dataset(*SMALL), "out holds a dataset that cannot be continued")
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing"])
def test_what_is_no_directory_is_refused_and_left_alone(
    kind: str, overwrite: bool, dataset: Dataset, tmp_path: Path
) -> None:
    if kind == "file":
        (tmp_path / "out").write_text("mine")
    else:
        (tmp_path / "out").symlink_to("aim")
        if kind == "link to a file":
            (tmp_path / "aim").write_text("mine")
    before = state(tmp_path)
    assert_refused(dataset(*SMALL, *["--overwrite"] * overwrite), "out is not a directory")
    assert state(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["images", ".mnistseq"])
def test_nothing_is_written_through_a_link(name: str, overwrite: bool, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "00000").mkdir()
    (tmp_path / "elsewhere" / "00000" / "precious.png").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    before = state(tmp_path)
    assert_refused(dataset(*SMALL, *["--overwrite"] * overwrite), f"out/{name} is a link that leads elsewhere")
    assert state(tmp_path) == before


@pytest.mark.parametrize("name", ["images", ".mnistseq"])
def test_a_file_where_a_folder_should_be_is_named(name: str, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    before = state(tmp_path)
    assert_refused(dataset(*SMALL, "--overwrite"), f"out/{name} is a file where a directory should be")
    assert state(tmp_path) == before


def test_a_link_in_place_of_a_shard_is_replaced_and_its_aim_is_left(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious.png").write_text("precious")
    before = state(tmp_path / "elsewhere")
    assert dataset(*SMALL).code == 0
    fresh = contents(tmp_path / "out")
    (tmp_path / "out" / "images" / "00001").rename(tmp_path / "aside")
    (tmp_path / "out" / "images" / "00001").symlink_to(tmp_path / "elsewhere")
    assert dataset(*SMALL).code == 0
    assert state(tmp_path / "elsewhere") == before
    assert not (tmp_path / "out" / "images" / "00001").is_symlink()
    assert contents(tmp_path / "out") == fresh


def test_a_file_above_the_directory_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = dataset(*SMALL, "-o", "file/out")
    assert_refused(done, "mnistseq: file: a file is where a directory should be\n", code=1)
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(sys.platform != "linux", reason="it is about a directory that Linux has")
def test_where_no_directory_can_be_made_is_named(dataset: Dataset) -> None:
    assert_refused(dataset(*SMALL, "-o", "/proc/out"), "mnistseq: /proc/out: No such file or directory\n", code=1)


# Overwriting


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "8"],
        ["-n", "3"],
        ["-n", "31", "--shard-size", "4"],
        ["-n", "12", "--shard-size", "12", "--len", "2", "--invert"],
        [],
    ],
    ids=" ".join,
)
def test_overwriting_ours_leaves_what_a_fresh_run_makes(options: list[str], dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL, "--shard-size", "3").code == 0
    assert dataset(*SMALL, *options, "--overwrite").code == 0
    assert dataset(*SMALL, *options, "-o", "fresh").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_overwriting_draws_a_new_seed(dataset: Dataset) -> None:
    command = ("-n", "12", "--len", "3", "-o", "out")
    assert seed_shown(dataset(*command).err) != seed_shown(dataset(*command, "--overwrite").err)


def test_overwriting_keeps_what_is_not_ours(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL, "-o", "fresh").code == 0
    foreign = {
        "notes.txt": b"call mum",
        "images/cat.png": b"meow",
        "images/holiday/0001.png": b"sea",
        "thesis/chapter1.tex": b"It was a dark and stormy night",
    }
    for name, content in foreign.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    assert dataset(*SMALL, "--overwrite").code == 0
    folders = {"images/holiday": None, "thesis": None}
    assert contents(tmp_path / "out") == {**contents(tmp_path / "fresh"), **foreign, **folders}
    assert dataset(*SMALL, "--seed", "8", "--overwrite").code == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in foreign} == foreign


@pytest.mark.parametrize("name", SIDE_FILES)
def test_overwriting_removes_no_folder_that_stands_where_a_file_should_be(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "out" / name / "deeper").mkdir(parents=True)
    (tmp_path / "out" / name / "deeper" / "precious.txt").write_text("years of work")
    done = dataset(*SMALL, "--overwrite")
    assert (tmp_path / "out" / name / "deeper" / "precious.txt").read_text() == "years of work"
    assert_refused(done, f"out/{name}")


def test_overwriting_ours_that_is_damaged(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL).code == 0
    fresh = contents(tmp_path / "out")
    (tmp_path / "out" / "recipe.json").write_text("{")
    assert_refused(dataset(*SMALL, "--seed", "8"), "has lost its recipe.json")
    (tmp_path / "out" / "manifest.json").unlink()
    assert_refused(dataset(*SMALL), "cannot be continued")
    assert dataset(*SMALL, "--overwrite").code == 0
    assert contents(tmp_path / "out") == fresh


# Where it goes, and what is told


@pytest.mark.parametrize("output", ["out/", "a/b/out", "./out/../out", "né, mit Leerzeichen"])
def test_the_directory_is_made_wherever_it_is(output: str, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert dataset(*SMALL, "-o", output).code == 0
    assert_holds(tmp_path / output, small_samples())


def test_an_empty_directory_a_link_to_one_and_the_current_one_will_do(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "aim").mkdir()
    (tmp_path / "link").symlink_to("aim")
    assert dataset(*SMALL, "-o", "link").code == 0
    assert_holds(tmp_path / "aim", small_samples())
    assert (tmp_path / "link").is_symlink()


def test_the_current_directory_will_do(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset(*SMALL, "-o", ".").code == 0
    assert_holds(tmp_path, small_samples())


def test_the_summary_is_on_stderr_and_stdout_is_empty(dataset: Dataset, tmp_path: Path) -> None:
    done = dataset(*SMALL)
    size = sum(path.stat().st_size for path in (tmp_path / "out" / "images").glob("*/*"))
    assert (done.code, done.out) == (0, b"")
    lines = done.err.splitlines()
    assert lines[0] == f"out: 25 strips, 94×28 px, {size / 1000:.1f} kB"
    assert re.fullmatch(r"made 25 in \d+\.\d s, [\d,]+ a second", lines[1])
    assert lines[2:] == ["seed 7: --seed 7 makes the same dataset again", "look at it: mnistseq inspect out"]
    assert run(["inspect", "out"]) == 0


def test_the_summary_of_a_dataset_that_grew_tells_what_was_kept(dataset: Dataset) -> None:
    dataset(*SMALL, "-n", "20")
    lines = dataset(*SMALL).err.splitlines()
    assert lines[0].startswith("out: 25 strips, 94×28 px, ")
    assert re.fullmatch(r"made 5 in \d+\.\d s, [\d,]+ a second; reused 20", lines[1])


def test_no_bar_is_drawn_where_stderr_is_no_terminal(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "dataset", *SMALL, "-n", "3000"], cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"out: 3,000 strips")
    assert not re.search(rb"[\r\x1b%]|it/s", done.stderr)


def test_a_closed_stderr_is_no_reason_to_fail(tmp_path: Path) -> None:
    line = ["sh", "-c", '"$@" 2>&-', "sh", *PROGRAM, "dataset", *SMALL]
    done = subprocess.run(line, cwd=tmp_path, stdout=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")
    assert_holds(tmp_path / "out", small_samples())


def test_one_of_a_thing_is_said_in_the_singular(dataset: Dataset) -> None:
    one = ("-n", "1", "--len", "2", "--seed", "1", "--masks", "-o", "out")
    assert "out: 1 strip, 56×28 px, as png, about\n1 shard, " in dataset(*one, "--dry-run").err
    assert "out: 1 strip and mask, 56×28 px, " in dataset(*one).err
