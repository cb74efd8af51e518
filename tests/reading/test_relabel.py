"""`mnistseq decode DIR --repair-labels` gives back the labels that were, from the images, or changes nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli.codecs import png
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load

Run = Callable[..., tuple[int, str, str]]

ASKED = ("-n", "250", "--len", "2-5", "--max", "7", "--seed", "8", "--shard-size", "100")
LOST = ("labels.csv", "metadata.jsonl")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(directory: str) -> dict[str, bytes]:
    """Every file in a directory, with its content."""
    return {str(path): path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


def lose(*names: str) -> None:
    for name in names:
        Path("out", name).unlink()


@pytest.fixture
def made(mnistseq: Run) -> dict[str, bytes]:
    """The files of a dataset in out/."""
    assert mnistseq("dataset", *ASKED, "-o", "out")[0] == 0
    return tree("out")


@pytest.mark.parametrize("lost", [LOST, LOST[:1], LOST[1:], ()], ids=str)
def test_lost_labels_come_back_byte_for_byte(lost: tuple[str, ...], made: dict[str, bytes], mnistseq: Run) -> None:
    lose(*lost)
    assert mnistseq("decode", "out", "--repair-labels") == (0, "out/labels.csv\nout/metadata.jsonl\n", "")
    assert tree("out") == made
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["README.md", "croissant.json", "images", "labels.csv", "manifest.json", "metadata.jsonl", "recipe.json"]
    )
    assert mnistseq("inspect", "out", "--verify")[0] == 0


@pytest.mark.parametrize(
    "layout",
    [
        (),
        ("--invert",),
        ("--width", "200"),
        ("--source", "test"),
        ("--source", "all", "--spacing", "equal"),
        ("--margin", "5", "--jitter-y", "3"),
        ("--min", "-4"),
    ],
)
def test_without_a_recipe_the_images_alone_say_it(layout: tuple[str, ...], mnistseq: Run) -> None:
    gaps = () if "--width" in layout else ("--max", "9")
    length = "4" if "--width" in layout else "1-5"
    given = (
        (*gaps, "--len", length, *layout, "--spacing", "random")
        if "equal" not in layout
        else (*gaps, "--len", "3", *layout)
    )
    assert mnistseq("dataset", "-n", "230", "--seed", "8", "--shard-size", "100", *given, "-o", "out")[0] == 0
    before = tree("out")
    lose(*LOST, "recipe.json", "manifest.json")
    assert mnistseq("decode", "out", "--repair-labels")[0] == 0
    assert {**before, **tree("out")} == before


LOOKS = [
    ("--margin", "5", "--jitter-y", "3"),
    ("--min", "-4", "--max", "2"),
    ("--crop", "tight", "--max", "6"),
    ("--slant", "-10-10", "--scale", "90-110", "--stroke", "-1-1"),
    ("--contrast", "60-100", "--noise", "12"),
    ("--width", "fit", "--max", "6"),
]


@pytest.mark.parametrize("looks", LOOKS, ids=" ".join)
def test_a_recipe_says_what_no_image_shows(looks: tuple[str, ...], mnistseq: Run) -> None:
    given = ("-n", "120", "--len", "2-4", "--seed", "8", "--shard-size", "50", *looks)
    assert mnistseq("dataset", *given, "-o", "out")[0] == 0
    before = tree("out")
    lose(*LOST)
    assert mnistseq("decode", "out", "--repair-labels") == (0, "out/labels.csv\nout/metadata.jsonl\n", "")
    assert tree("out") == before


def test_what_no_image_shows_is_not_made_up(mnistseq: Run) -> None:
    given = ("-n", "20", "--len", "3", "--seed", "8", "--slant", "-10-10")
    assert mnistseq("dataset", *given, "-o", "out")[0] == 0
    assert mnistseq("generate", "1-2-3", "-o", "plain.png")[0] == 0
    shutil.copy("plain.png", "out/images/00000/00000007.png")
    lose(*LOST)
    before = tree("out")
    code, text, err = mnistseq("decode", "out", "--repair-labels")
    assert (code, text, err.count("\n")) == (1, "", 1)
    assert "00000007.png is not what the recipe makes, and not all that was drawn for it can be seen" in err
    assert tree("out") == before


@pytest.mark.parametrize(
    "looks", [("--margin", "4", "--jitter-y", "2", "--max", "5"), ("--crop", "tight")], ids=" ".join
)
def test_an_image_of_any_layout_gets_the_row_that_it_shows(looks: tuple[str, ...], mnistseq: Run) -> None:
    for name, seed in (("out", "8"), ("other", "9")):
        assert mnistseq("dataset", "-n", "20", "--len", "3", "--seed", seed, *looks, "-o", name)[0] == 0
    expected = Path("out/metadata.jsonl").read_text().splitlines()
    expected[7] = Path("other/metadata.jsonl").read_text().splitlines()[7]
    shutil.copy("other/images/00000/00000007.png", "out/images/00000/00000007.png")
    lose(*LOST)
    assert mnistseq("decode", "out", "--repair-labels")[0] == 0
    assert Path("out/metadata.jsonl").read_text().splitlines() == expected


def test_labels_that_were_spoilt_are_replaced(made: dict[str, bytes], mnistseq: Run) -> None:
    Path("out/labels.csv").write_text("file_name,label\nall,wrong\n")
    assert mnistseq("decode", "out", "--repair-labels")[0] == 0
    assert tree("out") == made


def test_glyphs_that_look_alike_are_told_apart_by_the_recipe(mnistseq: Run) -> None:
    """Every glyph is there twice: once it is a 1, and once a 2. The image cannot tell, and the recipe can."""
    glyphs = np.random.default_rng(5).integers(1, 256, (20, 9, 7), dtype=np.uint8)
    Path("images").write_bytes(idx.encode(np.concatenate([glyphs, glyphs])))
    Path("labels").write_bytes(idx.encode(np.repeat(np.array([1, 2], dtype=np.uint8), 20)))
    own = ("--source", "images", "--source-labels", "labels")
    assert mnistseq("dataset", "-n", "60", "--len", "3", "--digits", "12", "--seed", "3", *own, "-o", "out")[0] == 0
    before = tree("out")
    lose(*LOST)
    outcome = mnistseq("decode", "out", "--repair-labels")
    assert outcome[:2] == (2, "")
    assert "--source" in outcome[2]
    assert mnistseq("decode", "out", "--repair-labels", *own)[0] == 0
    assert tree("out") == before
    lose("recipe.json")
    code, _, err = mnistseq("decode", "out", "--repair-labels", *own)
    assert code == 0
    assert "labels.csv is not the one that manifest.json is about" in err
    assert b"2" not in Path("out/labels.csv").read_bytes().replace(b"0002", b"").split(b"\n")[1].rpartition(b",")[2]


def test_an_image_that_shows_something_else_gets_the_row_that_it_shows(made: dict[str, bytes], mnistseq: Run) -> None:
    names = ["out/images/00001/00000123.png", "out/images/00002/00000207.png"]
    contents = [Path(name).read_bytes() for name in names]
    rows = [json.loads(line) for line in made["out/metadata.jsonl"].splitlines()]
    for name, content in zip(names, reversed(contents), strict=True):
        Path(name).write_bytes(content)
    code, _, err = mnistseq("decode", "out", "--repair-labels")
    assert (code, err.count("\n")) == (0, 2)
    assert all(f"{name} is not the one that manifest.json is about" in err for name in LOST)
    again = [json.loads(line) for line in Path("out/metadata.jsonl").read_bytes().splitlines()]
    assert [row["file_name"] for row in again] == [row["file_name"] for row in rows]
    shown: Any = [{**row, "file_name": ""} for row in rows]
    shown[123], shown[207] = shown[207], shown[123]
    assert [{**row, "file_name": ""} for row in again] == shown


@pytest.mark.parametrize("recipe", [True, False], ids=["with recipe", "without"])
@pytest.mark.parametrize("harm", ["pixel", "other", "damaged", "missing", "last missing", "link"])
def test_where_an_image_cannot_be_read_nothing_is_changed(
    harm: str, recipe: bool, made: dict[str, bytes], mnistseq: Run
) -> None:
    path = Path("out/images/00001/00000150.png")
    if harm == "pixel":
        image = png.decode(path.read_bytes())
        image[14, 14] ^= 90
        path.write_bytes(png.encode(image[None])[0])
    elif harm == "other":
        path.write_bytes(png.encode(np.full((1, 28, 60), 255, dtype=np.uint8))[0])
    elif harm == "damaged":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "missing":
        path.unlink()
    elif harm == "last missing":
        Path("out/images/00001/00000199.png").unlink()
    else:
        path.unlink()
        path.mkdir()
    lose("labels.csv", *([] if recipe else ["recipe.json"]))
    before = tree("out")
    code, text, err = mnistseq("decode", "out", "--repair-labels")
    assert code in (1, 2)
    assert (text, err.count("\n")) == ("", 1)
    assert "00000" in err
    assert tree("out") == before
    assert not Path("out/.mnistseq").exists()


def test_what_is_no_dataset_in_png_is_refused(made: dict[str, bytes], mnistseq: Run) -> None:
    assert mnistseq("dataset", *ASKED, "--format", "npz", "-o", "npz")[0] == 0
    Path("empty/images").mkdir(parents=True)
    Path("none").mkdir()
    Path("file").write_bytes(b"")
    for name, reason in (
        ("npz", "of the format npz"),
        ("empty", "no folders of images"),
        ("none", "it has no images"),
        ("file", "file is not a directory"),
        ("nothing", "nothing is not a directory"),
        ("-", "- is not a directory"),
    ):
        code, text, err = mnistseq("decode", name, "--repair-labels")
        assert (code, text, err.count("\n")) == (2, "", 1)
        assert reason in err
    code, _, err = mnistseq("decode", "out", "--repair-labels", "--source", "test")
    assert code == 2
    assert "the recipe draws from the source train" in err
    assert tree("out") == made


def test_shards_without_a_recipe_have_to_follow_each_other(made: dict[str, bytes], mnistseq: Run) -> None:
    lose("recipe.json", "labels.csv")
    shutil.rmtree("out/images/00001")
    code, text, err = mnistseq("decode", "out", "--repair-labels")
    assert (code, text) == (1, "")
    assert "00002 is not the folder of shard 1" in err


def test_the_state_of_an_interrupted_run_is_left_alone(made: dict[str, bytes], mnistseq: Run) -> None:
    state = Path("out/.mnistseq/rows/00000")
    state.mkdir(parents=True)
    (state / "labels.csv").write_bytes(b"precious")
    lose("labels.csv")
    assert mnistseq("decode", "out", "--repair-labels")[0] == 0
    assert tree("out") == {**made, "out/.mnistseq/rows/00000/labels.csv": b"precious"}


def test_the_images_are_of_glyphs_of_the_source(made: dict[str, bytes]) -> None:
    """The fixture is what it says."""
    rows = [json.loads(line) for line in made["out/metadata.jsonl"].splitlines()]
    labels = load(Source("train")).labels
    assert all("".join(str(labels[glyph]) for glyph in row["glyphs"]) == row["text"] for row in rows)
