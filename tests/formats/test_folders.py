"""The format of a folder for each label: names, what is in the way, what is too much, and what is left over."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from faulty import tree
from PIL import Image

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.dataset.manifest import read_spec
from mnist_seq_cli.engine.writing import copies, sequences
from mnist_seq_cli.formats import get
from mnist_seq_cli.storage.location import open_store

Run = Callable[..., Any]
BALANCED = ["dataset", "--len", "2", "--per-label", "3", "--seed", "5", "--layout", "folders", "--shard-size", "70"]
DRAWN = ["dataset", "-n", "40", "--len", "1-2", "--seed", "5", "--layout", "folders", "--shard-size", "7"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_label_has_its_folder_and_its_images_count_from_zero(mnistseq: Run) -> None:
    assert mnistseq(*BALANCED, "-o", "out").code == 0
    labels = [f"{number:02}" for number in range(100)]
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == labels
    for label in labels:
        names = sorted(path.name for path in Path("out", label).iterdir())
        assert names == [f"{k}_{label}.png" for k in range(3)]
    made = SequenceDataset(length=2, per_label=3, seed=5)
    whole = made.batch(0, len(made))
    assert whole.first_difference(open_dataset("out").batch(0, 300)) is None
    # As a reader of classes goes through it: what the folder is called is what the picture shows.
    shown = {sample.image.tobytes(): sample.label.replace("-", "") for sample in made}
    for path in Path("out").glob("*/*.png"):
        with Image.open(path) as image:
            assert shown[np.asarray(image).tobytes()] == path.parent.name


def test_more_rounds_count_on(mnistseq: Run) -> None:
    assert mnistseq(*BALANCED, "-n", "650", "-o", "out").code == 0
    found = Counter(path.parent.name for path in Path("out").glob("*/*.png"))
    assert len(found) == 100
    assert sum(found.values()) == 650
    names = {path.name for path in Path("out/42").iterdir()}
    assert names >= {f"{k}_42.png" for k in range(6)}


def test_without_a_number_for_each_label_names_have_that_of_the_sample(mnistseq: Run) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    labels = [sample.label.replace("-", "") for sample in open_dataset("out")]
    assert {len(label) for label in labels} == {1, 2}
    found = sorted(str(path.relative_to("out")) for path in Path("out").glob("*/*.png"))
    assert found == sorted(f"{label}/{number}_{label}.png" for number, label in enumerate(labels))


@pytest.mark.parametrize("pool", [(0, 1, 1), (1, 2, 3)])
def test_no_two_samples_have_the_same_name(pool: Any) -> None:
    recipe = recipe_for(seed=3, length=2, per_label=4, label_pool=pool)
    numbers = copies(recipe, range(1_000))
    digits, _ = sequences(recipe, range(1_000))
    assert len(set(zip(map(tuple, digits.tolist()), numbers.tolist(), strict=True))) == 1_000
    assert recipe.round is not None
    assert numbers[: recipe.round].max() == 3
    for first, stop in [(0, 1), (3, 401), (999, 1_000)]:
        np.testing.assert_array_equal(copies(recipe, range(first, stop)), numbers[first:stop])


def test_splits_are_trees_of_folders(mnistseq: Run) -> None:
    splits = ["--split", "train=64", "--split", "val=16", "--split", "test=20", "--split-by", "label"]
    assert mnistseq("dataset", *splits, "--len", "2", "--per-label", "1", "--layout", "folders", "-o", "out").code == 0
    trees = [{path.parent.name for path in Path("out", name).glob("*/0_*.png")} for name in ("train", "val", "test")]
    assert [len(labels) for labels in trees] == [64, 16, 20]
    assert len(set().union(*trees)) == 100


@pytest.mark.parametrize("command", [BALANCED, DRAWN], ids=["balanced", "drawn"])
def test_how_it_is_run_changes_nothing(command: list[str], mnistseq: Run, place: Path) -> None:
    assert mnistseq(*command, "-o", "one").code == 0
    assert mnistseq(*command, "--workers", "2", "-o", "other").code == 0
    assert tree(place / "one") == tree(place / "other")


def test_it_grows(mnistseq: Run, place: Path) -> None:
    assert mnistseq(*DRAWN, "-o", "fresh", "-n", "60").code == 0
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    assert mnistseq(*DRAWN, "-o", "out", "-n", "60").code == 0
    assert tree(place / "out") == tree(place / "fresh")


def first_image() -> Path:
    return min(Path("out").glob("*/0_*.png"))


def truncate() -> str:
    path = first_image()
    path.write_bytes(path.read_bytes()[:-1])
    return "shard 0: 7 files, "


def flip() -> str:
    path = first_image()
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    return "shard 0: its content is not what was written"


def remove() -> str:
    first_image().unlink()
    return "shard 0: 6 files, "


def link() -> str:
    path = first_image()
    path.rename("elsewhere.png")
    path.symlink_to(Path("elsewhere.png").absolute())
    return f"shard 0: {path.relative_to('out')} is not a file"


def folder_for_a_file() -> str:
    path = first_image()
    path.unlink()
    path.mkdir()
    return f"shard 0: {path.relative_to('out')} is not a file"


def stray_image() -> str:
    path = first_image()
    (path.parent / f"99_{path.parent.name}.png").write_bytes(b"stray")
    return f"{path.parent.name}/99_{path.parent.name}.png is none of the 6 shards of the plan"


def stray_label() -> str:
    Path("out/777").mkdir()
    Path("out/777/3_777.png").write_bytes(b"stray")
    return "777/3_777.png is none of the 6 shards of the plan"


def empty_label() -> str:
    Path("out/778").mkdir()
    return "778 is none of the 6 shards of the plan"


def swapped() -> str:
    first, second = sorted(Path("out").glob("*/[01]_*.png"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return "shard 0: its content is not what was written"


DAMAGE = [truncate, flip, remove, link, folder_for_a_file, stray_image, stray_label, empty_label, swapped]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_named_and_the_same_command_repairs_it(damage: Callable[[], str], mnistseq: Run, place: Path) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    whole = tree(place / "out")
    message = damage()
    done = mnistseq("inspect", "out", "--verify")
    assert done.code == 1
    assert message in done.err
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    assert tree(place / "out") == whole
    assert mnistseq("inspect", "out", "--verify", "--regenerate", "6").code == 0


def test_what_is_not_named_like_ours_is_left_alone(mnistseq: Run) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    for name in ("2024/holiday.jpg", f"{first_image().parent.name}/notes.txt", "cats/0_1.png"):
        Path("out", name).parent.mkdir(exist_ok=True)
        Path("out", name).write_text("mine")
    done = mnistseq("inspect", "out", "--verify")  # as ImageFolder takes these folders for labels
    assert (done.code, [line.split()[1] for line in done.err.splitlines()]) == (1, ["2024", "cats"])
    assert mnistseq(*DRAWN, "-n", "50", "-o", "out").code == 0
    assert mnistseq(*DRAWN, "--seed", "6", "--overwrite", "-o", "out").code == 0
    assert (
        sorted(path.read_text() for path in Path("out").rglob("*") if path.suffix in (".jpg", ".txt")) == ["mine"] * 2
    )
    assert Path("out/cats/0_1.png").read_text() == "mine"


def test_overwriting_leaves_what_a_fresh_run_makes(mnistseq: Run, place: Path) -> None:
    other = ["dataset", "-n", "9", "--len", "2", "--seed", "8", "-o"]
    assert mnistseq(*DRAWN, "-o", "fresh").code == 0
    assert mnistseq(*BALANCED, "-o", "out").code == 0
    assert mnistseq(*DRAWN, "--overwrite", "-o", "out").code == 0
    assert tree(place / "out") == tree(place / "fresh")
    assert mnistseq(*other, "out", "--overwrite").code == 0
    assert mnistseq(*other, "plain").code == 0
    assert tree(place / "out") == tree(place / "plain")


def test_a_link_in_place_of_a_folder_is_refused(mnistseq: Run, place: Path) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    Path("elsewhere").mkdir()
    Path("out/31").symlink_to(place / "elsewhere")
    done = mnistseq(*DRAWN, "-n", "5000", "-o", "out")
    message = "out/31 is a link that leads elsewhere; remove it, or choose another directory"
    assert done == (2, "", f"mnistseq: {message}\n")
    assert list(Path("elsewhere").iterdir()) == []


def test_labels_that_are_too_long_for_a_name_are_refused(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "2", "--len", "230", "--layout", "folders", "-o", "long").code == 0
    done = mnistseq("dataset", "-n", "2", "--len", "231", "--layout", "folders", "-o", "out")
    message = (
        "folders are named after sequences, and 231 digits are too many for a name; 230 at most, or leave --layout out"
    )
    assert done == (2, "", f"mnistseq: {message}\n")
    assert not Path("out").exists()


def test_folders_are_for_png_files(mnistseq: Run) -> None:
    for name in ("npz", "idx", "webdataset"):
        done = mnistseq("dataset", "-n", "9", "--len", "2", "--layout", "folders", "--format", name, "-o", "out")
        message = f"--layout folders is for PNG files, and --format {name} has none; leave one of them out"
        assert done == (2, "", f"mnistseq: {message}\n")
        assert not Path("out").exists()
    done = mnistseq("dataset", "-n", "9", "--len", "2", "--format", "folders", "-o", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "'folders' is not one of 'png', 'webdataset', 'npz', 'idx'" in done.err


def test_png_files_in_shards_are_what_there_is_without_it(mnistseq: Run, place: Path) -> None:
    asked = ["dataset", "-n", "9", "--len", "2", "--seed", "5"]
    assert mnistseq(*asked, "-o", "plain").code == 0
    assert mnistseq(*asked, "--layout", "shards", "--format", "png", "-o", "shards").code == 0
    assert tree(place / "plain") == tree(place / "shards")
    assert mnistseq(*asked, "--layout", "folders", "-o", "folders").code == 0
    assert mnistseq(*asked, "--layout", "folders", "--format", "png", "-o", "png").code == 0
    assert tree(place / "folders") == tree(place / "png")
    assert mnistseq(*asked, "--layout", "shards", "--format", "npz", "-o", "npz").code == 0
    assert Path("npz/dataset.npz").exists()
    done = mnistseq(*asked, "-o", "folders")
    assert done.code == 2
    assert "folders holds another dataset: format png instead of folders" in done.err


PRESET = ["--preset", "double-mnist", "-n", "9"]


@pytest.mark.parametrize(
    ("options", "format_name"),
    [
        (PRESET, "folders"),
        ([*PRESET, "--layout", "shards"], "png"),
        ([*PRESET, "--format", "npz"], "npz"),
        ([*PRESET, "--format", "png"], "folders"),
        (["--recipe", "folders.toml"], "folders"),
        (["--recipe", "folders.toml", "--layout", "folders"], "folders"),
        (["--recipe", "folders.toml", "--layout", "shards"], "png"),
        (["--recipe", "folders.toml", "--format", "png"], "png"),
        (["--recipe", "folders.toml", "--format", "npz", "--layout", "shards"], "npz"),
        (["--recipe", "npz.toml"], "npz"),
        (["--recipe", "npz.toml", "--layout", "shards"], "npz"),
        (["--recipe", "npz.toml", "--layout", "folders"], "folders"),
        (["--recipe", "plain.toml", "--layout", "folders"], "folders"),
        (["--recipe", "plain.toml", "--layout", "shards"], "png"),
    ],
    ids=" ".join,
)
def test_what_is_typed_goes_before_presets_and_recipes(options: list[str], format_name: str, mnistseq: Run) -> None:
    for name in ("folders", "npz", "plain"):
        said = "" if name == "plain" else f'format = "{name}"\n'
        Path(f"{name}.toml").write_text(f"length = 2\nsamples = 9\n{said}")
    done = mnistseq("dataset", *options, "-o", "out")
    assert done.code == 0, done.err
    spec = read_spec(Path("out"))
    assert spec is not None
    assert spec.format == format_name


def test_the_report_says_how_it_is_made_again(mnistseq: Run) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    assert " --layout folders " in json.loads(mnistseq("inspect", "out", "--json").out)["command"]


def test_what_is_there_is_told_from_what_is_too_much(mnistseq: Run) -> None:
    assert mnistseq(*DRAWN, "-o", "out").code == 0
    spec = read_spec(Path("out"))
    assert spec is not None
    existing = dict(get("folders").existing(spec, open_store("out")))
    assert len(existing) == 40
    assert set(existing.values()) == {True}
    stray_image()
    assert Counter(dict(get("folders").existing(spec, open_store("out"))).values()) == {True: 40, False: 1}
