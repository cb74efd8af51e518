"""What trainers read beside PNG files: right for each sample, zeros in front and all; made, repaired and grown."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for

from mnist_seq_cli import formats, open_dataset
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import foreign, verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.formats.trainers import MADE_BY
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import ANNOTATION_NAMES, Spec
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.memory import MemoryStore

Run = Callable[..., Any]
SOURCE = Source("train")
RECIPE = recipe_for(seed=5, length=((2, 1), (3, 2)), min_gap=-14, max_gap=2, width="fit")
ALL = tuple(name for name in ANNOTATION_NAMES if name not in ("doctr-detection", "svhn"))
"""Those that may be together, and need no package."""


def spec_of(*annotations: str, form: str = "png", samples: int = 13, masks: bool = False) -> Spec:
    return Spec(
        recipe=RECIPE, samples=samples, format=form, compression="fast", shard_size=5, masks=masks,
        annotations=annotations,
    )  # fmt: skip


def built(spec: Spec, files: dict[str, bytes] | None = None) -> dict[str, bytes]:
    store = MemoryStore()
    store.files.update(files or {})
    build(store, spec, SOURCE, run=serial.run)
    assert list(verify(store)) == []
    assert list(foreign(store)) == []
    return store.files


@pytest.fixture(scope="module")
def data() -> Batch:
    return compose.compose(RECIPE, bank.load(SOURCE), 0, 13, masks=True)


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    return built(spec_of(*ALL, masks=True))


def test_the_names_and_what_makes_them_are_the_same() -> None:
    assert tuple(MADE_BY) == ANNOTATION_NAMES
    assert {*formats.get("folders").ANNOTATIONS} < {*ANNOTATION_NAMES}


def test_texts_keep_their_zeros_and_their_order(whole: dict[str, bytes], data: Batch) -> None:
    """Each as the loop of its reader takes it apart."""
    assert any(text.startswith("0") for text in data.texts)
    names = [f"images/{sample // 5:05d}/{sample:08d}.png" for sample in range(13)]
    inside = [name.removeprefix("images/") for name in names]
    for name, separator, keys in (("gt.txt", "\t", names), ("images/labels.txt", " ", inside)):
        rows = [line.split(separator) for line in whole[name].decode().splitlines()]
        assert rows == [[key, text] for key, text in zip(keys, data.texts, strict=True)]
    assert whole["dict.txt"].decode().split() == list("0123456789")
    assert json.loads(whole["labels.json"]) == dict(zip(inside, data.texts, strict=True))
    rows = json.loads(whole["mmocr.json"])["data_list"]
    assert [(row["img_path"], row["instances"][0]["text"]) for row in rows] == list(zip(names, data.texts, strict=True))
    assert [whole[name.replace(".png", ".gt.txt")].decode() for name in names] == [f"{text}\n" for text in data.texts]
    words = []
    for shard in range(3):
        rows = list(csv.DictReader(io.StringIO(whole[f"images/{shard:05d}/labels.csv"].decode())))
        assert rows[0] == {"filename": "x.png", "words": "␀"}
        words += [(f"images/{shard:05d}/{row['filename']}", row["words"]) for row in rows[1:]]
    assert words == list(zip(names, data.texts, strict=True))


def test_boxes_are_those_of_the_digits(whole: dict[str, bytes], data: Batch) -> None:
    coco = json.loads(whole["coco.json"])
    assert [(image["id"], image["width"]) for image in coco["images"]] == list(enumerate(data.widths.tolist()))
    found = {(row["image_id"], tuple(row["bbox"]), row["category_id"] - 1) for row in coco["annotations"]}
    expected = {
        (row, tuple(data.boxes[row, at].tolist()), int(data.digits[row, at]))
        for row in range(13)
        for at in range(data.lengths[row])
    }
    assert found <= expected
    assert len({row["id"] for row in coco["annotations"]} - {0}) == len(coco["annotations"]) == len(found)
    assert data.masks is not None
    for row, box, _ in expected - found:  # which the others hide
        position = data.boxes[row].tolist().index(list(box))
        assert not (data.masks[row] == position + 1).any()
    for row in range(13):
        lines = whole[f"labels/{row // 5:05d}/{row:08d}.txt"].decode().splitlines()
        size = np.array([data.widths[row], RECIPE.height])
        for line, digit, box in zip(lines, data.digits[row], data.boxes[row], strict=False):
            kind, *numbers = line.split()
            centre, extent = np.array(numbers, float).reshape(2, 2)
            assert kind == str(digit)
            np.testing.assert_allclose(np.concatenate([(centre - extent / 2) * size, extent * size]), box, atol=1e-3)
        assert len(lines) == data.lengths[row]
    detection = json.loads(built(spec_of("doctr-detection"))["labels.json"])
    for row, each in enumerate(detection.values()):
        corners = np.array(each["polygons"][0])
        boxes = data.boxes[row, : data.lengths[row]]
        assert corners.min(0).tolist() == boxes[:, :2].min(0).tolist()
        assert corners.max(0).tolist() == (boxes[:, :2] + boxes[:, 2:]).max(0).tolist()
        assert each["img_dimensions"] == [RECIPE.height, data.widths[row]]


def test_runs_are_the_pixels_of_masks(whole: dict[str, bytes], data: Batch) -> None:
    assert data.masks is not None
    seen = np.zeros_like(data.masks)
    for row in json.loads(whole["coco.json"])["annotations"]:
        (height, width), runs = row["segmentation"]["size"], row["segmentation"]["counts"]
        pixels = np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T
        assert row["area"] == pixels.sum()
        seen[row["image_id"], :, :width] += (pixels * ((row["id"] - 1) % RECIPE.length + 1)).astype(np.uint8)
    np.testing.assert_array_equal(seen, data.masks)


def test_asked_for_a_dataset_that_is_there_they_are_all_that_is_made(whole: dict[str, bytes]) -> None:
    before = built(spec_of(masks=True))
    store = MemoryStore()
    store.files.update(before)
    assert build(store, spec_of(*ALL, masks=True), SOURCE, run=serial.run).made == 0
    assert store.files == whole
    with pytest.raises(RequestError, match="holds another dataset: annotations"):
        build(store, spec_of("coco", masks=True), SOURCE, run=serial.run)
    assert built(spec_of(*ALL, masks=True), built(spec_of("coco", samples=7, masks=True))) == whole


def test_damage_is_named_and_repaired(whole: dict[str, bytes]) -> None:
    spec, store = spec_of(*ALL, masks=True), MemoryStore()
    for name in ("coco.json", "images/labels.txt", "images/00001/labels.csv", "labels/00002/00000011.txt",
                 "images/00000/00000003.gt.txt", "data.yaml"):  # fmt: skip
        for content in (None, whole[name] + b"\n", whole[name][:-1]):
            store.files = {each: kept for each, kept in whole.items() if each != name or content is not None}
            if content is not None:
                store.files[name] = content
            assert len(list(verify(store))) == 1
            assert build(store, spec, SOURCE, run=serial.run).made == 0
            assert store.files == whole
    store.files = whole | {"labels/00000.cache": b"mine"}
    assert list(verify(store)) == []


def test_on_disk_by_processes_and_gone_with_the_dataset(whole: dict[str, bytes], tmp_path: Path) -> None:
    spec, store = spec_of(*ALL, masks=True), LocalStore(tmp_path / "out")
    build(store, spec, SOURCE, run=processes.on(2))
    build(store, replace(spec, samples=14), SOURCE, run=processes.on(2))
    build(store, spec, SOURCE, run=serial.run, overwrite=True)
    found = {path.relative_to(store.path).as_posix(): path for path in store.path.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == whole
    build(store, spec_of(form="webdataset"), SOURCE, run=serial.run, overwrite=True)
    assert not [path for path in store.path.rglob("*") if path.suffix == ".txt" or path.is_dir()]


def test_folders_of_labels_have_those_that_name_files(data: Batch) -> None:
    files = built(spec_of(*({*formats.get("folders").ANNOTATIONS} & {*ALL}), form="folders"))
    names = formats.get("folders").image_names(spec_of(form="folders"), range(13))
    assert files["gt.txt"].decode().splitlines() == [
        f"{name}\t{text}" for name, text in zip(names, data.texts, strict=True)
    ]
    assert all(name.replace(".png", ending) in files for name in names for ending in (".txt", ".gt.txt"))
    for form, name in (("folders", "easyocr"), ("npz", "coco")):
        with pytest.raises(RequestError, match=f"there are no `annotations` {name} for {form}"):
            built(spec_of(name, form=form))
    with pytest.raises(RequestError, match=r"two of the `annotations` are called labels\.json"):
        built(spec_of("doctr", "doctr-detection"))


def test_one_folder_of_images_has_all_of_them(whole: dict[str, bytes]) -> None:
    """What png has, but for the folders of shards in names; EasyOCR's rows are in one file."""
    expected, own = {}, ("recipe.json", "manifest.json", "README.md", "croissant.json")
    lists = [whole[f"images/{shard:05d}/labels.csv"].splitlines(keepends=True) for shard in range(3)]
    words = b"".join([*lists[0], *lists[1][2:], *lists[2][2:]])
    for name, content in whole.items():
        if name not in own and not name.endswith("/labels.csv"):
            text = content if name.endswith(".png") else re.sub(rb"\b0000[0-2]/", b"", content)
            expected[re.sub(r"\b0000[0-2]/", "", name)] = text
    files = built(spec_of(*ALL, masks=True, form="flat"))
    assert files.pop("images/labels.csv") == words
    assert {name: content for name, content in files.items() if name not in own} == expected
    grown = built(spec_of(*ALL, masks=True, form="flat"), built(spec_of("coco", masks=True, form="flat", samples=7)))
    assert grown == files | {"images/labels.csv": words}


def test_svhn_says_which_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_seq_cli.formats.trainers.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"the `annotations` svhn need h5py; pip install 'mnistseq\[hdf5\]'"):
        built(spec_of("svhn"))


def test_the_command_adds_them_and_remembers(mnistseq: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("dataset", "-n", "5", "--len", "2", "--seed", "3", "-o", out)
    assert mnistseq(*asked, "--annotations", "trdg").code == 0
    assert mnistseq("dataset", "-o", out, "--annotations", "coco").code == 0
    done = mnistseq(*asked)
    assert (done.code, (out / "coco.json").exists(), (out / "images/labels.txt").exists()) == (0, True, True)
    assert json.loads((out / "recipe.json").read_text())["annotations"] == ["coco", "trdg"]
    done = mnistseq("inspect", out, "--verify")
    assert (done.code, "coco, trdg" in done.out) == (0, True)
    assert open_dataset(out)[0].text
    recipe = ("dataset", "--recipe", out / "recipe.json", "--format", "webdataset")
    assert mnistseq(*recipe, "-o", tmp_path / "tars").code == 0  # to which annotations do not belong
    done = mnistseq(*recipe, "--annotations", "coco", "-o", "-")
    assert (done.code, "there are no --annotations coco for webdataset" in done.err) == (2, True)
    done = mnistseq("dataset", "-o", tmp_path / "none", "--annotations", "coco")
    assert (done.code, "it is not clear what to write" in done.err) == (2, True)


def test_splits_have_one_data_yaml_for_all(mnistseq: Run, tmp_path: Path) -> None:
    splits = ("--split", "train=5", "--split", "val=2", "--split", "test=2")
    assert mnistseq("dataset", *splits, "--len", "2", "--annotations", "yolo", "-o", tmp_path / "out").code == 0
    lines = (tmp_path / "out/data.yaml").read_text().splitlines()
    assert lines[:4] == ["train: train/images", "val: val/images", "test: test/images", "names:"]
    assert (tmp_path / "out/val/labels/00000/00000001.txt").exists()
