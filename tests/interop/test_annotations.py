"""Annotations beside PNG files are read by the trainers' own packages, or as their published loops read them."""

import json
import os
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli import main

OPTIONS = {"length": 4, "seed": 11, "min_gap": -9, "max_gap": 6}
ASKED = ["-n", "60", "--len", "4", "--seed", "11", "--min", "-9", "--max", "6", "--shard-size", "25", "--masks"]


@pytest.fixture(scope="module")
def data() -> SequenceDataset:
    return SequenceDataset(**OPTIONS, samples=60, masks=True)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trainers") / "out"
    names = ["coco", "yolo", "paddleocr", "easyocr", "doctr", "mmocr", "tesseract", "trdg", "svhn"]
    asked = [word for name in names for word in ("--annotations", name)]
    assert main.run(["dataset", *ASKED, *asked, "-o", str(directory)]) == 0
    return directory


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_boxes_and_masks(out: Path, data: SequenceDataset) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(str(out / "coco.json"))
    assert coco.getImgIds() == list(range(60))
    results = []
    for image, sample in zip(coco.loadImgs(coco.getImgIds()), data, strict=True):
        with Image.open(out / image["file_name"]) as picture:
            np.testing.assert_array_equal(np.asarray(picture), sample.image)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        assert "".join(coco.cats[each["category_id"]]["name"] for each in annotations) == sample.text
        for position, each in enumerate(annotations, 1):
            np.testing.assert_array_equal(coco.annToMask(each), sample.mask == position)
            assert each["bbox"] == sample.boxes[position - 1].tolist()
            results.append({**{key: each[key] for key in ("image_id", "category_id", "bbox")}, "score": 1.0})
    scores = COCOeval(coco, coco.loadRes(results), "bbox")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] == 1


def test_easyocrs_reader_gets_texts(out: Path, data: SequenceDataset) -> None:
    """As its OCRDataset reads each folder without folders in it, and filters by the character set of its settings."""
    import pandas as pd

    found: dict[str, str] = {}
    characters = {*string.digits, *string.punctuation, " ", "€", *string.ascii_letters}
    for folder, folders, _ in os.walk(out / "images"):
        if not folders:
            path = Path(folder) / "labels.csv"
            frame = pd.read_csv(
                path, sep="^([^,]+),", engine="python", usecols=["filename", "words"], keep_default_na=False
            )
            for name, word in zip(frame["filename"], frame["words"], strict=True):
                if set(word.lower()) <= characters:
                    found[name] = word
                    assert (Path(folder) / name).exists()
    assert [found[name] for name in sorted(found)] == [sample.text for sample in data]


def test_ultralytics_finds_the_labels_of_images(out: Path, data: SequenceDataset) -> None:
    """As its `img2label_paths` names them."""
    import yaml

    described = yaml.safe_load((out / "data.yaml").read_text())
    assert described["names"] == {digit: str(digit) for digit in range(10)}
    images = sorted((out / described["train"]).rglob("*.png"))
    for image, sample in zip(images, data, strict=True):
        label = (
            f"{os.sep}labels{os.sep}".join(str(image).rsplit(f"{os.sep}images{os.sep}", 1)).rsplit(".", 1)[0] + ".txt"
        )
        rows = np.loadtxt(label, ndmin=2)
        assert rows[:, 0].astype(int).tolist() == sample.digits.tolist()
        assert ((rows[:, 1:] >= 0) & (rows[:, 1:] <= 1)).all()


def test_lists_of_texts_are_read_as_their_loops_do(out: Path, data: SequenceDataset) -> None:
    texts = [sample.text for sample in data]
    for line, sample in zip((out / "gt.txt").read_bytes().decode().split("\n")[:-1], data, strict=True):
        name, text = line.strip("\n").split("\t")  # PaddleOCR, deep-text-recognition-benchmark
        with Image.open(out / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), sample.image)
        assert text == sample.text
    doctr: dict[str, Any] = json.loads((out / "labels.json").read_text())
    assert [doctr[name] for name in sorted(doctr)] == texts
    assert all((out / "images" / name).exists() for name in doctr)
    pages = sorted(out.rglob("*.gt.txt"))  # tesstrain: find -name '*.gt.txt'
    assert [page.read_text().strip() for page in pages] == texts
    assert all(page.with_name(page.name.replace(".gt.txt", ".png")).exists() for page in pages)


def test_imagefolder_reads_the_directory_as_before(
    datasets: Any, out: Path, data: SequenceDataset, tmp_path: Path
) -> None:
    rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path))["train"]
    assert rows["text"][:] == [sample.text for sample in data]


def test_readers_of_svhn_get_boxes_and_digits(out: Path, data: SequenceDataset, tmp_path: Path) -> None:
    """As docTR's loop reads digitStruct.mat; a single digit is stored in another way than several."""
    import h5py

    one = tmp_path / "one"
    asked = ["-n", "9", "--len", "1", "--seed", "3", "--annotations", "svhn", "-o", str(one)]
    assert main.run(["dataset", *asked]) == 0
    for directory, samples in ((out, data), (one, SequenceDataset(length=1, seed=3, samples=9))):
        found = []
        with h5py.File(directory / "digitStruct.mat", "r") as file:
            for name, reference in zip(file["digitStruct/name"], file["digitStruct/bbox"], strict=True):
                path = "".join(map(chr, file[name[0]][()].flatten()))
                assert (directory / path).exists()
                box = file[reference[0]]
                several = box["left"].shape[0] > 1
                columns = [
                    [int(file[value[0]][()].item()) if several else int(value[0]) for value in box[key]]
                    for key in ("left", "top", "width", "height", "label")
                ]
                found.append(np.array(columns).T)
        for rows, sample in zip(found, samples, strict=True):
            np.testing.assert_array_equal(rows[:, :4], sample.boxes)
            assert (rows[:, 4] % 10).tolist() == sample.digits.tolist()
            assert rows[:, 4].min() > 0
        assert main.run(["inspect", str(directory), "--verify"]) == 0
