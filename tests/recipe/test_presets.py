"""Presets: options under a name, which other options change; and the headings of the help."""

import json
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from faulty import tree

from mnist_seq_cli import open_dataset
from mnist_seq_cli.dataset.splits.parts import shared
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS

Run = Callable[..., Any]
SMALL = {
    "double-mnist": ["--per-label", "2", "--split", "train=128", "--split", "val=32", "--split", "test=40"],
    "triple-mnist": ["--per-label", "1", "--split", "train=640", "--split", "val=160", "--split", "test=200"],
    "multimnist": ["--split", "train=90", "--split", "test=40"],
    "mnist-addition": ["--split", "train=90", "--split", "test=40"],
}
SIZES = {"double-mnist": (64, 64), "triple-mnist": (84, 84), "multimnist": (36, 36), "mnist-addition": (28, 56)}

DOUBLE = {
    "val": "03 07 10 22 27 34 39 40 48 52 58 61 64 71 93 99",
    "test": "02 17 25 32 36 46 47 49 55 57 66 67 68 73 78 80 83 86 92 96",
}
"""The classes of MultiDigitMNIST's DoubleMNIST; the others are to train with."""

TRIPLE = {
    "train": "96b256b0de5bccfe3ba110bcfb0a414a",
    "val": "a9fd3b383d2df1c71611b0dbf7e4a772",
    "test": "313ead1510586c49d0b9fb4b4f085d78",
}
"""Digests of the lists of TripleMNIST's classes in torchmeta: sorted, with a comma between them."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_is_the_options_that_it_shows(name: str, mnistseq: Run, place: Path) -> None:
    for arguments in (["--preset", name, "--show"], ["--show", "--preset", name]):
        assert mnistseq("dataset", *arguments) == (0, f"{PRESETS[name]}\n", "")
    options = [part for part in PRESETS[name].split(" --") if not part.startswith("split ")]
    typed = " --".join(options).split()
    assert mnistseq("dataset", "--preset", name, *SMALL[name], "--seed", "1", "-o", "one").code == 0
    assert mnistseq("dataset", *typed, *SMALL[name], "--seed", "1", "-o", "other").code == 0
    assert tree(place / "one") == tree(place / "other")
    assert open_dataset("one/train")[0].image.shape == SIZES[name]
    assert open_dataset("one/train").recipe.invert


def classes(directory: str) -> dict[str, list[str]]:
    """Return the folders of classes in each split, sorted."""
    splits = ("train", "val", "test")
    return {split: sorted(path.name for path in Path(directory, split).iterdir() if path.is_dir()) for split in splits}


def test_classes_of_double_mnist_are_those_published(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "double-mnist", *SMALL["double-mnist"], "-o", "out").code == 0
    others = {split: labels.split() for split, labels in DOUBLE.items()}
    rest = [f"{label:02d}" for label in range(100) if f"{label:02d}" not in others["val"] + others["test"]]
    assert classes("out") == {"train": rest, **others}


def test_classes_of_triple_mnist_are_those_published(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "triple-mnist", *SMALL["triple-mnist"], "-o", "out").code == 0
    found = classes("out")
    assert {split: len(labels) for split, labels in found.items()} == {"train": 640, "val": 160, "test": 200}
    assert {split: md5(",".join(labels).encode()).hexdigest() for split, labels in found.items()} == TRIPLE


def test_multidigitmnist_is_made_of_all_digits_of_mnist(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "double-mnist", "--per-label", "20", "-o", "out").code == 0
    for split in ("train", "val", "test"):
        data = open_dataset(f"out/{split}")
        glyphs = data.batch(0, len(data)).glyphs
        assert (data.recipe.source, glyphs.min() < 60_000, glyphs.max() >= 60_000) == ("all", True, True)


def test_an_order_of_labels_is_kept_or_refused(mnistseq: Run) -> None:
    splits = ["--split", "a=64", "--split", "b=36"]
    options = ["dataset", "--len", "2", "--per-label", "1", "--label-order", "multidigitmnist"]
    assert mnistseq(*options, *splits, "--split-by", "label", "--seed", "1", "-o", "out").code == 0
    again = ["dataset", "--recipe", "out/b/recipe.json", "-n", "36"]
    assert mnistseq(*again, "-o", "again").code == 0
    assert (Path("out/b/labels.csv").read_text(), open_dataset("again").recipe) == (
        Path("again/labels.csv").read_text(),
        open_dataset("out/b").recipe,
    )
    for more in ([*splits, "-o", "none"], ["-n", "9", "-o", "none"]):
        done = mnistseq(*options, *more)
        message = "--label-order is about parts of all sequences; give --split-by label, or leave it out"
        assert done == (2, "", f"mnistseq: {message}\n")
    long = ["dataset", "--len", "4", "--label-order", "multidigitmnist", "--split-by", "label", *splits, "-o", "none"]
    message = "MultiDigitMNIST has sequences of 2 or 3 digits, and there are 10000 here; --label-order shuffled"
    assert mnistseq(*long) == (2, "", f"mnistseq: {message}\n")
    Path("list.txt").write_text("12\n34\n")
    listed = ["dataset", "--labels", "list.txt", "--label-order", "multidigitmnist", "--split-by", "label", *splits]
    assert mnistseq(*listed, "-o", "none") == (2, "", "mnistseq: --label-order does not go with --labels\n")
    assert not Path("none").exists()


def test_other_classes_than_those_published_take_another_order(mnistseq: Run) -> None:
    few = ["--preset", "double-mnist", "--digits", "0-4", "--per-label", "2", "--split", "a=30", "--split", "b=20"]
    message = "MultiDigitMNIST has sequences of 2 or 3 digits, and there are 25 here; --label-order shuffled"
    assert mnistseq("dataset", *few, "-o", "out") == (2, "", f"mnistseq: {message}\n")
    assert mnistseq("dataset", *few, "--label-order", "shuffled", "-o", "out").code == 0


def test_an_order_of_labels_that_nothing_is_taken_from_is_left_out_of_the_recipe(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "double-mnist", "-n", "9", "-o", "out").code == 0
    assert "label_order" not in json.loads(Path("out/recipe.json").read_text())["recipe"]


def test_splits_by_label_in_different_orders_may_share_sequences(mnistseq: Run) -> None:
    pools = {"a": (0, 64, 100), "b": (64, 100, 100)}
    made = {name: recipe_for(length=2, label_pool=pool, label_order="multidigitmnist") for name, pool in pools.items()}
    assert shared("label", made) == []
    assert len(shared("label", made | {"b": recipe_for(length=2, label_pool=pools["b"])})) == 1


@pytest.mark.parametrize("length", [2, 4])
def test_addition_has_both_numbers_and_their_sum(length: int, mnistseq: Run) -> None:
    splits = ["--split", "train=90", "--split", "test=40"]
    done = mnistseq("dataset", "--preset", "mnist-addition", "--len", length, *splits, "-o", "out")
    assert done.code == 0, done.err
    each = length // 2
    for split in ("train", "test"):
        data = open_dataset(f"out/{split}")
        rows = list(map(json.loads, Path("out", split, "metadata.jsonl").read_text().splitlines()))
        for row, sample in zip(rows, data, strict=True):
            numbers = [int(row["text"][:each]), int(row["text"][each:])]
            assert (row["operands"], row["sum"], list(sample.operands())) == (numbers, sum(numbers), numbers)
            first, second = np.split(sample.image, 2, axis=1)
            assert first.shape == second.shape == (28, 28 * each)
        glyphs = data.batch(0, len(data)).glyphs
        assert len(np.unique(glyphs)) == glyphs.size
        assert set((glyphs >= 60_000).ravel().tolist()) == {split == "test"}


def test_digits_of_double_mnist_stay_in_their_columns(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "double-mnist", "-n", "400", "--format", "npz", "-o", "out").code == 0
    batch = open_dataset("out").batch(0, 400)
    assert (set(batch.x[:, 0].tolist()), set(batch.x[:, 1].tolist())) == (set(range(5)), set(range(32, 37)))
    assert (batch.y.min(), batch.y.max()) == (0, 36)


def test_digits_of_multimnist_lie_on_top_of_each_other(mnistseq: Run) -> None:
    assert mnistseq("dataset", "--preset", "multimnist", "-n", "400", "--format", "npz", "-o", "out").code == 0
    batch = open_dataset("out").batch(0, 400)
    assert (batch.digits[:, 0] != batch.digits[:, 1]).all()
    assert set(batch.x.ravel().tolist()) == set(batch.y.ravel().tolist()) == set(range(9))
    assert np.abs(batch.x[:, 0] - batch.x[:, 1]).max() <= 8


def test_options_beside_a_preset_change_it(mnistseq: Run) -> None:
    done = mnistseq("dataset", "--preset", "multimnist", "-n", "9", "--jitter-x", "1", "--source", "test", "-o", "out")
    assert done.code == 0, done.err
    recipe = open_dataset("out").recipe
    assert (recipe.jitter_x, recipe.jitter_y, recipe.width, recipe.source) == (1, 4, 30, "test")
    done = mnistseq("dataset", "--preset", "multimnist", "-n", "9", "--split", "a=4", "-o", "other")
    message = "-n does not go with --split; each split says how many it is to have"
    assert done == (2, "", f"mnistseq: {message}\n")


@pytest.mark.parametrize(
    ("name", "typed", "same"),
    [
        ("multimnist", "--labels list.txt -n 9", "--labels list.txt -n 9"),
        ("multimnist", "--pattern [0-4]{2} -n 9", "--pattern [0-4]{2} -n 9"),
        ("multimnist", "--per-label 1 --digits 0-2 -n 9", "--len 2 --per-label 1 --digits 0-2 -n 9"),
        ("double-mnist", "--pattern [0-4]{2} -n 9", "--pattern [0-4]{2} -n 9"),
        ("double-mnist", "--labels list.txt", "--labels list.txt"),
    ],
)
def test_what_is_written_may_be_another_thing(name: str, typed: str, same: str, mnistseq: Run, place: Path) -> None:
    Path("list.txt").write_text("12\n34\n55\n")
    split = ["--split", "train=4", "--split", "val=3"] if "-n" not in typed else []
    done = mnistseq("dataset", "--preset", name, *typed.split(), *split, "--seed", "1", "-o", "one")
    assert done.code == 0, done.err
    kept = PRESETS[name].split(" --split ")[0].replace("--len 2 ", "").replace("--no-repeat ", "")
    options = [
        *kept.replace("--per-label 1000 ", "").split(),
        *(["--split-by", "label"] if split and "double" in name else []),
    ]
    assert mnistseq("dataset", *options, *same.split(), *split, "--seed", "1", "-o", "other").code == 0
    assert tree(place / "one") == tree(place / "other")


def test_what_cannot_be_is_refused(mnistseq: Run) -> None:
    done = mnistseq("dataset", "--show", "-o", "out")
    assert done == (2, "", "mnistseq: --show prints the options of a preset; give --preset\n")
    done = mnistseq("dataset", "--preset", "quadruple-mnist", "-o", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    done = mnistseq("dataset", "--preset", "double-mnist")
    assert (done.code, done.err) == (2, "mnistseq: Missing option '-o' / '--output'; see mnistseq dataset --help\n")


@pytest.mark.parametrize("times", [2, 20])
def test_a_count_by_label_goes_for_the_splits_of_a_preset(times: int, mnistseq: Run) -> None:
    done = mnistseq("dataset", "--preset", "double-mnist", "--per-label", times, "--seed", "1", "-o", "out")
    assert done.code == 0, done.err
    counts = {split: len(open_dataset(f"out/{split}")) for split in ("train", "val", "test")}
    assert counts == {"train": 64 * times, "val": 16 * times, "test": 20 * times}
    for split in counts:
        folders = [path for path in Path("out", split).iterdir() if path.is_dir()]
        assert {len(list(folder.iterdir())) for folder in folders} == {times}


def test_a_flag_of_a_preset_can_be_switched_off(mnistseq: Run) -> None:
    done = mnistseq("dataset", "--preset", "multimnist", "-n", "9", "--no-invert", "--repeat", "-o", "out")
    assert done.code == 0, done.err
    assert not open_dataset("out").recipe.invert
    assert open_dataset("out").recipe.repeat
