"""Presets: options under a name, which other options change; and the headings of the help."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty import tree

from mnist_seq_cli import open_dataset
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS

Run = Callable[..., Any]
SMALL = {
    "double-mnist": ["--per-label", "2", "--split", "train=128", "--split", "val=32", "--split", "test=40"],
    "triple-mnist": ["--per-label", "1", "--split", "train=640", "--split", "val=160", "--split", "test=200"],
    "multimnist": ["--split", "train=90", "--split", "test=40"],
}
SIZES = {"double-mnist": (64, 64), "triple-mnist": (84, 84), "multimnist": (36, 36)}


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


@pytest.mark.parametrize(("name", "classes"), [("double-mnist", (64, 16, 20)), ("triple-mnist", (640, 160, 200))])
def test_classes_of_splits_are_disjoint_and_as_many_as_published(
    name: str, classes: tuple[int, ...], mnistseq: Run
) -> None:
    assert mnistseq("dataset", "--preset", name, *SMALL[name], "-o", "out").code == 0
    found = [
        {path.name for path in Path("out", split).iterdir() if path.is_dir()} for split in ("train", "val", "test")
    ]
    assert tuple(map(len, found)) == classes
    assert len(set().union(*found)) == sum(classes)
    length = int(len(str(sum(classes))) - 1)
    assert {len(label) for labels in found for label in labels} == {length}


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
