"""The files of pytorch-meta: named by their split, a dataset a class in one folder's files, and damage is told."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_seq_cli import open_dataset
from mnist_seq_cli.errors import FormatError

Run = Any
ASKED = ("--len", "2", "--seed", "4", "--format", "torchmeta")


def test_without_the_library_it_is_said_what_to_install(
    mnistseq: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    code, out, err = mnistseq("dataset", "-n", "5", *ASKED, "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err == "mnistseq: torchmeta needs h5py, which is not installed; pip install 'mnistseq[hdf5]'\n"
    assert not (tmp_path / "out").exists()


def test_splits_have_names_of_their_own_and_classes_too(mnistseq: Run, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    splits = ("--split", "train=200", "--split", "val=60", "--split", "test=60", "--split-by", "label")
    assert mnistseq("dataset", *splits, *ASKED, "-o", tmp_path).code == 0
    seen: list[str] = []
    for split in ("train", "val", "test"):
        labels = json.loads((tmp_path / split / f"{split}_labels.json").read_text())
        stored = open_dataset(tmp_path / split)
        with h5py.File(tmp_path / split / f"{split}_data.hdf5", "r") as file:
            assert [*file] == ["datasets"]
            assert sorted(file["datasets"]) == labels == sorted({sample.text for sample in stored})
            for label in labels:
                images = [np.asarray(Image.open(io.BytesIO(each))) for each in file["datasets"][label]]
                of_label = [sample.image for sample in stored if sample.text == label]
                np.testing.assert_array_equal(images, of_label)
        seen += labels
    assert len(seen) == len({*seen}) > 90
    assert any(label.startswith("0") for label in seen)
    assert mnistseq("inspect", tmp_path, "--verify").code == 0
    assert mnistseq("dataset", "--recipe", tmp_path / "val" / "recipe.json", "-o", tmp_path / "again").code == 0
    assert (tmp_path / "again" / "val_data.hdf5").exists()


@pytest.mark.parametrize(("split", "name"), [("validation", "val"), ("val", "val"), ("dev", "train")])
def test_a_split_is_called_as_pytorch_meta_calls_it(split: str, name: str, mnistseq: Run, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    asked = ("dataset", "--split", f"{split}=9", *ASKED, "-o", tmp_path)
    assert mnistseq(*asked).code == 0
    assert {path.name for path in (tmp_path / split).glob("*_*")} == {f"{name}_data.hdf5", f"{name}_labels.json"}
    for lost in ("recipe.json", "manifest.json"):
        (tmp_path / split / lost).unlink()
        assert mnistseq(*asked).code == 0
        assert {path.name for path in (tmp_path / split).glob("*_*")} == {f"{name}_data.hdf5", f"{name}_labels.json"}


def _cut(path: Path, _: Any) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _without_a_class(path: Path, h5py: Any) -> None:
    with h5py.File(path, "r+") as file:
        del file["datasets"][min(file["datasets"])]


def _of_another_size(path: Path, h5py: Any) -> None:
    content = io.BytesIO()
    Image.new("L", (5, 7)).save(content, "png")
    with h5py.File(path, "r+") as file:
        for images in file["datasets"].values():
            images[0] = np.frombuffer(content.getvalue(), np.uint8)


@pytest.mark.parametrize(
    ("damage", "of_images", "of_texts"),
    [
        (_cut, "train_data.hdf5 is damaged", "train_data.hdf5 is damaged"),
        (_without_a_class, "train_data.hdf5 has no sample", "does not have the classes that the recipe makes"),
        (_of_another_size, "train_data.hdf5 has another size", ""),
    ],
)
def test_damage_is_told_by_readers_and_repaired(
    damage: Callable[[Path, Any], None], of_images: str, of_texts: str, mnistseq: Run, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    assert mnistseq("dataset", "-n", "30", *ASKED, "-o", tmp_path).code == 0
    damage(tmp_path / "train_data.hdf5", h5py)
    data = open_dataset(tmp_path)
    with pytest.raises(FormatError, match=of_images):
        data.batch(0, 30)
    if of_texts:
        with pytest.raises(FormatError, match=of_texts):
            list(data.labels())
    assert mnistseq("inspect", tmp_path, "--verify").code == 1
    assert mnistseq("dataset", "-n", "30", *ASKED, "-o", tmp_path).code == 0
    assert mnistseq("inspect", tmp_path, "--verify", "--regenerate", "9").code == 0


def test_it_has_no_place_for_masks(mnistseq: Run, tmp_path: Path) -> None:
    asked = ("dataset", "-n", "9", "--len", "2", "--format", "torchmeta", "--masks", "-o", tmp_path / "out")
    assert mnistseq(*asked) == (2, "", "mnistseq: --format torchmeta cannot hold masks; leave --masks out\n")
