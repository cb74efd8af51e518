"""IDX files of single digits are those of MNIST: labels in one dimension, and on demand MNIST's own names."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import open_dataset
from mnist_seq_cli.mnist import bank, idx
from mnist_seq_cli.mnist.bank import Source

Run = Any


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: Path) -> np.ndarray[Any, Any]:
    content = path.read_bytes()
    return idx.read(gzip.decompress(content) if path.suffix == ".gz" else content, name=path.name)


def files(directory: str) -> set[str]:
    return {path.name for path in Path(directory).iterdir() if "ubyte" in path.name}


def test_single_digits_have_labels_in_one_dimension(mnistseq: Run) -> None:
    asked = ("dataset", "-n", "40", "--len", "1", "--format", "idx", "--seed", "3", "--shard-size", "9")
    assert mnistseq(*asked, "--masks", "-o", "out").code == 0
    assert files("out") == {"images-idx3-ubyte.gz", "labels-idx1-ubyte.gz", "masks-idx3-ubyte.gz"}
    labels = read(Path("out/labels-idx1-ubyte.gz"))
    data = open_dataset("out")
    assert labels.tolist() == [int(sample.label) for sample in data]
    assert (read(Path("out/images-idx3-ubyte.gz")) == np.stack([sample.image for sample in data])).all()
    assert data[[7, 3]].texts == [str(labels[7]), str(labels[3])]
    assert mnistseq("inspect", "out", "--verify").code == 0
    assert json.loads(Path("out/recipe.json").read_text())["names"] == "idx1"
    assert mnistseq(*asked, "--masks", "-o", "out").code == 0  # nothing to do
    grown = ("dataset", "-n", "60", *asked[3:], "--masks", "-o", "out")
    assert mnistseq(*grown).code == 0
    assert len(read(Path("out/labels-idx1-ubyte.gz"))) == 60
    assert [line.split("\t")[1] for line in mnistseq("decode", "out").out.splitlines()][:40] == labels.astype(
        str
    ).tolist()


def test_what_an_earlier_version_made_stays_as_it_is(mnistseq: Run) -> None:
    """It had labels of two dimensions, and lengths, for single digits, too."""
    asked = ("dataset", "-n", "20", "--len", "1", "--format", "idx", "--seed", "3", "-o", "out")
    assert mnistseq(*asked).code == 0
    recipe = json.loads(Path("out/recipe.json").read_text())
    del recipe["names"]
    for path in Path("out").iterdir():
        path.unlink()
    Path("out/recipe.json").write_text(json.dumps(recipe, indent=1))
    assert mnistseq(*asked).code == 0
    old = {"images-idx3-ubyte.gz", "labels-idx2-ubyte.gz", "lengths-idx1-ubyte.gz"}
    assert files("out") == old
    assert mnistseq("inspect", "out", "--verify").code == 0
    Path("out/recipe.json").unlink()  # which the manifest makes good
    assert mnistseq(*asked).code == 0
    assert files("out") == old
    assert "names" not in json.loads(Path("out/recipe.json").read_text())


def test_splits_are_called_as_mnist_s_own_files_are(mnistseq: Run) -> None:
    splits = ("--split", "train=60", "--split", "test=20")
    asked = ("dataset", *splits, "--len", "1", "--format", "idx", "--names", "mnist", "--seed", "3", "-o", "out")
    assert mnistseq(*asked).code == 0
    assert files("out/train") == {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}
    assert files("out/test") == {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
    for split, prefix, count in (("train", "train", 60), ("test", "t10k", 20)):
        images, labels = (read(Path(f"out/{split}/{prefix}-{kind}-ubyte")) for kind in ("images-idx3", "labels-idx1"))
        assert images.shape == (count, 28, 28)
        assert labels.tolist() == [int(sample.label) for sample in open_dataset(f"out/{split}")]
    assert mnistseq("inspect", "out", "--verify").code == 0
    damaged = Path("out/train/train-images-idx3-ubyte")
    content = bytearray(damaged.read_bytes())
    content[5000] ^= 1
    damaged.write_bytes(content)
    assert mnistseq("inspect", "out", "--verify").code == 1
    assert mnistseq(*asked).code == 0
    assert mnistseq("inspect", "out", "--verify").code == 0


def test_the_test_digits_are_called_so_without_splits_too(mnistseq: Run) -> None:
    asked = ("--len", "1", "--format", "idx", "--names", "mnist", "--source", "test")
    assert mnistseq("dataset", "-n", "20", *asked, "-o", "out").code == 0
    assert files("out") == {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--len", "2", "--format", "idx"), "is for images of one digit, 28×28, and these have up to 2 digits"),
        (
            ("--len", "1", "--width", "40", "--align", "center", "--format", "idx"),
            "28×28, and these have 40×28; leave --names out",
        ),
        (("--len", "1", "--format", "npz"), "--names mnist is for IDX files; take --format idx"),
    ],
)
def test_other_files_have_no_such_names(options: tuple[str, ...], reason: str, mnistseq: Run) -> None:
    code, out, err = mnistseq("dataset", "-n", "20", *options, "--names", "mnist", "-o", "out")
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not Path("out").exists()


def test_mnist_has_no_name_for_a_third_split(mnistseq: Run) -> None:
    """Both would be train files, and in one folder the one would take the place of the other."""
    splits = ("--split", "train=30", "--split", "val=20", "--split", "test=10")
    code, out, err = mnistseq("dataset", *splits, "--len", "1", "--format", "idx", "--names", "mnist", "-o", "out")
    assert (code, out) == (2, "")
    assert err == "mnistseq: --names mnist is for the splits train and test, and one is called val\n"
    assert not Path("out").exists()


def test_light_on_dark_they_are_the_digits_of_mnist_itself(mnistseq: Run) -> None:
    asked = ("dataset", "-n", "20", "--len", "1", "--format", "idx", "--names", "mnist", "--seed", "3")
    done = mnistseq(*asked, "--invert", "-o", "light")
    assert (done.code, "light on dark" in done.err) == (0, False)
    glyphs = open_dataset("light").batch(0, 20).glyphs[:, 0]
    mnist = np.empty((20, 28 * 28), np.uint8)
    bank.load(Source("train")).take(glyphs, mnist)
    assert (read(Path("light/train-images-idx3-ubyte")) == mnist.reshape(-1, 28, 28)).all()
    assert "light on dark, and these are dark on light: --invert makes them so" in mnistseq(*asked, "-o", "dark").err


def test_a_recipe_that_is_there_makes_the_same_again(mnistseq: Run) -> None:
    for number, asked in enumerate((("--names", "mnist"), ())):
        first, again = f"a{number}", f"b{number}"
        options = ("dataset", "-n", "20", "--len", "1", "--format", "idx", "--seed", "3", *asked)
        assert mnistseq(*options, "-o", first).code == 0
        assert mnistseq("dataset", "--recipe", f"{first}/recipe.json", "-o", again).code == 0
        assert files(first) == files(again)


def test_the_recipe_of_a_split_makes_files_of_the_same_names(mnistseq: Run) -> None:
    """Of custom digits, of which the name of the split alone says that they are for tests."""
    source = ("--source", Path(bank.__file__).parents[2] / "data" / "t10k-images-idx3-ubyte")
    asked = (
        "dataset",
        "--split",
        "train=30",
        "--split",
        "test=10",
        "--len",
        "1",
        "--format",
        "idx",
        "--names",
        "mnist",
    )
    assert mnistseq(*asked, *source, "-o", "out").code == 0
    for split in ("train", "test"):
        done = mnistseq("dataset", "--recipe", f"out/{split}/recipe.json", *source, "-o", f"again/{split}")
        assert done.code == 0, done.err
        assert files(f"again/{split}") == files(f"out/{split}")
    npz = ("--format", "npz", "-o", "npz")
    assert mnistseq("dataset", "--recipe", "out/test/recipe.json", *source, "--names", "mnist", *npz).code == 2


def test_a_recipe_with_other_names_is_refused(mnistseq: Run) -> None:
    Path("mine.toml").write_text('length = 1\nsamples = 5\nformat = "idx"\nnames = "emnist"\n')
    code, _, err = mnistseq("dataset", "--recipe", "mine.toml", "-o", "out")
    assert (code, err) == (
        2,
        "mnistseq: mine.toml is no recipe: names is 'emnist'; it is mnist, or is left out\n",
    )
