"""What an earlier version wrote stays readable: tests/golden/ keeps a small dataset of each kind, made by 0.1.0.

They were made with the commands in `MADE`. Add to them; never change one.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty import difference, tree
from forms import parameters

from mnist_seq_cli import open_dataset
from mnist_seq_cli.dataset.hub import card

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

MADE = {
    "png": "-n 7 --len 2-3 --max 5 --seed 11 --shard-size 3 --masks",
    "folders": "-n 7 --len 2 --seed 12 --shard-size 3 --layout folders --invert",
    "flat": "-n 7 --len 2-3 --max 5 --seed 21 --shard-size 3 --slant -10-10 --layout flat --masks",
    "webdataset": "-n 7 --len 2-3 --max 5 --seed 13 --shard-size 3 "
    "--slant -10-10 --noise 9 --format webdataset --masks",
    "npz": "-n 7 --len 3 --max 4 --seed 14 --shard-size 3 --contrast 50-90 --format npz --masks",
    "idx": r"-n 7 --pattern (19|20)\d{2} --seed 15 --shard-size 3 --crop tight --format idx --masks",
    "idx-digits": "-n 7 --len 1 --seed 20 --shard-size 3 --format idx --masks",
    "lmdb": "-n 5 --len 1-3 --max 5 --min -9 --seed 19 --shard-size 3 --slant -10-10 --noise 9 --format lmdb --masks",
    "parquet": "-n 7 --len 1-3 --max 5 --min -9 --seed 18 --shard-size 4 --slant -10-10 --contrast 50-90 "
    "--format parquet --masks",
    "tfrecord": "-n 7 --len 1-3 --max 5 --min -9 --seed 17 --shard-size 3 --slant -10-10 --contrast 50-90 --jitter-y 3 "
    "--format tfrecord --masks",
    "splits": "--split train=4 --split test=3 --len 2 --seed 16",
}

Run = Callable[..., Any]


def copied(name: str, directory: Path) -> Path:
    shutil.copytree(GOLDEN / name, directory / name)
    return directory / name


@pytest.mark.parametrize("name", parameters(MADE))
def test_a_dataset_of_an_earlier_version_is_verified_and_made_again(name: str, mnistseq: Run) -> None:
    done = mnistseq("inspect", GOLDEN / name, "--verify", "--regenerate", "9")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", parameters(MADE))
def test_the_command_that_made_a_dataset_finds_it_complete(name: str, mnistseq: Run, tmp_path: Path) -> None:
    made = copied(name, tmp_path)
    before = tree(made)
    done = mnistseq("dataset", *MADE[name].split(), "-o", made)
    assert done.code == 0, done.err
    assert difference(tree(made), before) == []


@pytest.mark.parametrize("name", parameters(MADE))
def test_the_command_makes_the_same_pixels_and_labels_today(name: str, mnistseq: Run, tmp_path: Path) -> None:
    assert mnistseq("dataset", *MADE[name].split(), "-o", tmp_path / "new").code == 0
    parts = ["train", "test"] if name == "splits" else ["."]
    for part in parts:
        old, new = open_dataset(GOLDEN / name / part), open_dataset(tmp_path / "new" / part)
        assert old.recipe == new.recipe
        assert old.batch(0, len(old)).first_difference(new.batch(0, len(new))) is None


@pytest.mark.parametrize("name", parameters(name for name in MADE if name != "splits"))
def test_the_recipe_of_a_dataset_makes_it_again(name: str, mnistseq: Run, tmp_path: Path) -> None:
    recipe = GOLDEN / name / "recipe.json"
    done = mnistseq("dataset", "--recipe", recipe, "-o", tmp_path / "new")
    assert done.code == 0, done.err
    old, new = open_dataset(GOLDEN / name), open_dataset(tmp_path / "new")
    assert old.recipe == new.recipe
    assert old.batch(0, len(old)).first_difference(new.batch(0, len(new))) is None


def test_a_run_that_an_earlier_version_was_interrupted_in_is_finished(mnistseq: Run, tmp_path: Path) -> None:
    made = copied("interrupted", tmp_path)
    done = mnistseq("dataset", *MADE["png"].split(), "-o", made)
    assert done.code == 0, done.err
    assert "made 1 " in done.err
    found, expected = tree(made), tree(GOLDEN / "png")
    manifests = [json.loads((path / "manifest.json").read_text()) for path in (made, GOLDEN / "png")]
    for name in card.names(open_dataset(made).spec):  # which it had not yet
        del found[name], manifests[0]["files"][name]
    assert manifests[0] == manifests[1]
    del found["manifest.json"], expected["manifest.json"]
    assert difference({name: data for name, data in found.items() if name.count("/") < 2}, {
        name: data for name, data in expected.items() if name.count("/") < 2
    }) == []  # fmt: skip


@pytest.mark.parametrize("name", parameters(name for name in MADE if name != "splits"))
def test_a_damaged_shard_of_an_earlier_version_is_made_again(name: str, mnistseq: Run, tmp_path: Path) -> None:
    made = copied(name, tmp_path)
    victim = sorted(
        path
        for path in made.rglob("*")
        if path.suffix in (".png", ".tar", ".npz", ".gz", ".tfrecord", ".parquet", ".mdb")
    )[0]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    assert mnistseq("inspect", made, "--verify").code == 1
    assert mnistseq("dataset", *MADE[name].split(), "-o", made).code == 0
    assert mnistseq("inspect", made, "--verify", "--regenerate", "9").code == 0


def test_single_digits_of_an_earlier_version_keep_their_files_when_they_are_completed_and_grow(
    mnistseq: Run, tmp_path: Path
) -> None:
    """It wrote labels of two dimensions, with lengths, where there is one digit, too."""
    made = copied("idx-digits", tmp_path)
    names = {path.name for path in made.glob("*-ubyte.gz")}
    assert {"labels-idx2-ubyte.gz", "lengths-idx1-ubyte.gz"} < names
    texts = open_dataset(made).batch(0, 7).texts
    decoded = mnistseq("decode", made)
    assert [line.split("\t")[1] for line in decoded.out.splitlines()] == texts
    for lost in (["manifest.json", "labels-idx2-ubyte.gz"], ["recipe.json"]):
        for name in lost:
            (made / name).unlink()
        assert mnistseq("dataset", *MADE["idx-digits"].split(), "-o", made).code == 0
        assert {path.name for path in made.glob("*-ubyte.gz")} == names
    assert mnistseq("dataset", "-n", "12", *MADE["idx-digits"].split()[2:], "-o", made).code == 0
    assert {path.name for path in made.glob("*-ubyte.gz")} == names
    assert mnistseq("inspect", made, "--verify", "--regenerate", "9").code == 0
    assert open_dataset(made).batch(0, 12).texts[:7] == texts
