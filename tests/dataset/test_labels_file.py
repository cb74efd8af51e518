"""Many labels: recipe.json refers to labels.txt beside it, which is a part of the dataset as any other file is."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asked import spec_for
from ended import Outcome

from mnist_seq_cli import open_dataset
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options import sequences
from mnist_seq_cli.storage.memory import MemoryStore

Run = Callable[..., Outcome]

LABELS = "1-2\n3\n4-5-6\n1-2\n"
MAKE = ("dataset", "--labels", "list", "-n", "6", "--seed", "3", "-o", "out")


def tree(path: str) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in Path(path).rglob("*") if each.is_file()}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sequences, "MANY", 4)
    Path("list").write_text("12\n3\n\n456\n1-2\n")


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> dict[str, bytes]:
    """The files of the dataset as an earlier version wrote it, in out/."""
    with monkeypatch.context() as patch:
        patch.setattr(sequences, "MANY", 10_000)
        assert mnistseq(*MAKE).code == 0
    return tree("out")


def test_labels_are_beside_the_recipe(earlier: dict[str, bytes], mnistseq: Run) -> None:
    shutil.move("out", "earlier")
    assert mnistseq(*MAKE).code == 0
    made, recipe = tree("out"), json.loads(Path("out/recipe.json").read_bytes())
    assert made.pop("labels.txt").decode() == LABELS
    reference = open_dataset("out").recipe.sequences.reference
    assert recipe["recipe"]["sequences"] == recipe["request"]["sequences"] == reference
    assert {name for name in made if made[name] != earlier[name]} == {"recipe.json"}
    assert (mnistseq("inspect", "out", "--verify", "--regenerate", "1").code, mnistseq(*MAKE).code) == (0, 0)
    assert mnistseq("dataset", "--recipe", "out/recipe.json", "-o", "again").code == 0
    assert tree("again") == tree("out")


@pytest.mark.parametrize("damage", ["gone", "shorter", "other text", "no labels", "not text"])
def test_labels_that_are_damaged_are_named_and_written_again(damage: str, mnistseq: Run) -> None:
    mnistseq(*MAKE)
    before, path = tree("out"), Path("out/labels.txt")
    contents = {"shorter": LABELS[:-4], "other text": LABELS.replace("1-2", "12"), "no labels": "x", "not text": "\xff"}
    path.unlink() if damage == "gone" else path.write_text(contents[damage], "latin-1")
    problem = "missing" if damage == "gone" else "damaged"
    again = ("dataset", "--recipe", "out/recipe.json", "-o", "x")
    for command in (("inspect", "out", "--verify"), ("inspect", "out"), again):
        done = mnistseq(*command)
        assert (done.code, done.err.count("\n")) == (1 if "--verify" in command else 2, 1)
        assert "labels.txt" in done.err
    with pytest.raises(FormatError, match=f"out/labels.txt is {problem}"):
        open_dataset("out")
    assert mnistseq("dataset", "--labels", "list", "-n", "6", "-o", "out").code == 0  # the seed is that of recipe.json
    assert tree("out") == before


def test_a_dataset_of_an_earlier_version_goes_on(earlier: dict[str, bytes], mnistseq: Run) -> None:
    assert mnistseq(*MAKE).code == 0
    assert tree("out") == earlier
    assert mnistseq("inspect", "out", "--verify").code == 0
    Path("out/labels.txt").write_text("of somebody else")
    done = mnistseq(*MAKE, "-n", "8")
    assert (done.code, "labels.txt is in the way" in done.err) == (2, True)
    Path("out/labels.txt").unlink()
    assert mnistseq(*MAKE, "-n", "8").code == 0
    assert Path("out/labels.txt").read_text() == LABELS


def test_what_is_overwritten_takes_its_labels_along(mnistseq: Run) -> None:
    mnistseq(*MAKE)
    assert mnistseq("dataset", "--len", "2", "-n", "3", "--overwrite", "-o", "out").code == 0
    assert "labels.txt" not in tree("out")
    Path("other").mkdir()
    Path("other/labels.txt").write_text("mine")
    done = mnistseq(*MAKE[:-1], "other", "--overwrite")
    assert (done.code, Path("other/labels.txt").read_text()) == (2, "mine")


@pytest.mark.parametrize("by", ["label", "glyph"])
def test_splits_are_the_same_with_many_labels(by: str, monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    command = ("dataset", "--labels", "list", "--split", "a=6", "--split", "b=2", "--split-by", by, "--seed", "1", "-o")
    monkeypatch.setattr(sequences, "MANY", 1)
    assert (mnistseq(*command, "many").code, mnistseq("inspect", "many", "--verify").code) == (0, 0)
    monkeypatch.setattr(sequences, "MANY", 10_000)
    assert mnistseq(*command, "few").code == 0
    changed = {name for name, content in tree("many").items() if tree("few").get(name) != content}
    assert changed == {f"{split}/{name}" for split in "ab" for name in ("recipe.json", "labels.txt")}


@pytest.mark.parametrize("format_name", ["png", "npz", "webdataset", "idx"])
def test_every_store_and_format_has_them(format_name: str, tmp_path: Path) -> None:
    store, source = MemoryStore(), Source()
    asked = {"sequences": [(1, 2), (3,), (4,), (1, 2)], "seed": 3, "format": format_name, "samples": 5}
    spec = spec_for(tmp_path, source, **asked)
    build(store, spec, source, workers=1)
    assert (store.files["labels.txt"].decode(), list(verify(store))) == ("1-2\n3\n4\n1-2\n", [])
    del store.files["labels.txt"]
    build(store, spec, source, workers=1)
    assert manifest.read_spec(store) == spec


@pytest.mark.slow
@pytest.mark.parametrize(("options", "recipe"), [("-n 100", ""), ("--split-by label --split a=20 --split b=9", "b/")])
def test_three_million_labels_take_little_memory(options: str, recipe: str, environment: dict[str, str]) -> None:
    Path("list").write_text("".join(f"{number:07d}\n" for number in range(3_000_000)))
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'mnist_seq_cli', *sys.argv[1:]], check=True, capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    asked = ["dataset", "--labels", "list", *options.split(), "--workers", "1", "-o", "out"]
    command = [sys.executable, "-c", script, *asked]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 300 << 10
    assert Path(f"out/{recipe}recipe.json").stat().st_size < 4_000
