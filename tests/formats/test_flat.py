"""The format of one folder for all images: what is in it, what is somebody's own, and what is in the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty import difference, tree
from PIL import Image

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.dataset.manifest import read_spec

Run = Callable[..., Any]
ASKED = ["dataset", "-n", "40", "--len", "1-3", "--seed", "5", "--layout", "flat", "--shard-size", "7", "--masks"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_images_are_in_one_folder_and_sort_as_samples_do(mnistseq: Run) -> None:
    assert mnistseq(*ASKED, "-o", "out").code == 0
    data = SequenceDataset(length="1-3", seed=5, samples=40, masks=True)
    for folder, name in (("images", "image"), ("masks", "mask")):
        paths = sorted(Path("out", folder).iterdir())
        assert [path.name for path in paths] == [f"{number:08}.png" for number in range(40)]
        for path, sample in zip(paths, data, strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(path)), getattr(sample, name))
    assert open_dataset("out").batch(0, 40).first_difference(data.batch(0, 40)) is None
    assert mnistseq("decode", "out/images").out == mnistseq("decode", "out").out
    assert '"kind": "folder"' in mnistseq("inspect", "out/images", "--json").out
    shown = mnistseq("inspect", "out/images", "--index", "7")
    assert data[7].label in shown.out
    done = mnistseq("inspect", "out/masks")
    assert (done.code, "masks holds masks, and no strips; the strips are in " in done.err) == (2, True)


def test_what_is_somebodys_own_is_named_and_kept(mnistseq: Run, place: Path) -> None:
    assert mnistseq(*ASKED, "-o", "out").code == 0
    whole = tree(place / "out")
    own = ["out/images/20240102.png", "out/images/cat.jpg", "out/images/notes.txt", "out/masks/00000040.png"]
    for name in own:
        Path(name).write_text("mine")
    done = mnistseq("inspect", "out", "--verify")
    assert (done.code, [line.split()[1] for line in done.err.splitlines()]) == (
        1, ["images/20240102.png", "images/cat.jpg", "masks/00000040.png"]
    )  # fmt: skip
    assert mnistseq(*ASKED, "-o", "out").code == 0
    assert mnistseq(*ASKED, "--seed", "6", "--overwrite", "-o", "out").code == 0
    assert [Path(name).read_text() for name in own] == ["mine"] * 4
    assert mnistseq(*ASKED, "--overwrite", "-o", "out").code == 0
    assert {name.partition(" ")[0] for name in difference(tree(place / "out"), whole)} >= {
        name.removeprefix("out/") for name in own
    }


@pytest.mark.parametrize("what", ["link", "folder", "gone", "flipped"])
def test_damage_is_named_and_repaired(what: str, mnistseq: Run, place: Path) -> None:
    assert mnistseq(*ASKED, "-o", "out").code == 0
    whole, path = tree(place / "out"), Path("out/images/00000009.png")
    content = path.read_bytes()
    path.unlink()
    if what == "link":
        Path("elsewhere.png").write_bytes(content)
        path.symlink_to(place / "elsewhere.png")
    elif what == "folder":
        path.mkdir()
    elif what == "flipped":
        path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    done = mnistseq("inspect", "out", "--verify")
    assert (done.code, "shard 1: " in done.err) == (1, True)
    assert mnistseq(*ASKED, "-o", "out").code == 0
    assert tree(place / "out") == whole


def test_the_layout_may_be_asked_for_in_every_way(mnistseq: Run, place: Path) -> None:
    for options in (["--preset", "double-mnist", "-n", "9"], ["--recipe", "flat.toml"], ["--recipe", "flat.json"]):
        Path("flat.toml").write_text('length = 2\nsamples = 9\nformat = "flat"\n')
        Path("flat.json").write_text('{"length": 2, "samples": 9, "format": "folders"}')
        for layout, form in (("flat", "flat"), ("shards", "png"), ("folders", "folders")):
            assert mnistseq("dataset", *options, "--layout", layout, "-o", "out", "--overwrite").code == 0
            spec = read_spec(Path("out"))
            assert spec is not None
            assert spec.format == form
    done = mnistseq("dataset", "-n", "9", "--len", "2", "--layout", "flat", "--format", "npz", "-o", "no")
    assert (done.code, "--layout flat is for PNG files, and --format npz has none" in done.err) == (2, True)
    done = mnistseq(*ASKED, "--split", "a=3", "-o", "parts")
    assert done.code == 2
    asked = [word for word in ASKED if word not in ("-n", "40")]
    assert mnistseq(*asked, "--split", "train=9", "--split", "val=3", "-o", "parts").code == 0
    assert len([*Path("parts").glob("*/images/*.png")]) == 12
    assert "--layout flat" in Path("parts/README.md").read_text()
