"""Loaders of trainers, as their packages have them, read our annotations: texts, zeros in front, boxes, order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.engine.batch import Sample

ASKED = ["--split", "train=60", "--split", "val=20", "--len", "4", "--seed", "11", "--max", "6", "--shard-size", "25"]

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.fixture(scope="module", params=["shards", "flat"])
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("loaders")
    for folder, names in (("out", ["yolo", "doctr", "mmocr"]), ("detection", ["doctr-detection"])):
        asked = [word for name in names for word in ("--annotations", name)]
        assert main.run(["dataset", *ASKED, "--layout", request.param, *asked, "-o", str(directory / folder)]) == 0
    return directory


def samples(path: Path) -> Iterator[Sample]:
    data = open_dataset(path)
    assert any(sample.text.startswith("0") for sample in data)
    return iter(data)


def test_docTR(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    monkeypatch.setenv("USE_TORCH", "1")
    doctr: Any = pytest.importorskip("doctr.datasets", reason="docTR is not installed: pip install python-doctr")
    texts = doctr.RecognitionDataset(str(out / "out/train/images"), str(out / "out/train/labels.json"))
    boxes = doctr.DetectionDataset(str(out / "detection/train/images"), str(out / "detection/train/labels.json"))
    assert len(texts) == len(boxes) == 60
    for number, sample in enumerate(samples(out / "out/train")):
        assert texts[number].target == sample.text
        np.testing.assert_array_equal((texts[number].image[0].numpy() * 255).round(), sample.image)
        (found,) = next(iter(boxes[number].target.values()))
        corners = [sample.boxes[:, :2].min(axis=0), (sample.boxes[:, :2] + sample.boxes[:, 2:]).max(axis=0)]
        np.testing.assert_allclose(found[:4], (np.array(corners) / sample.image.shape[::-1]).ravel(), atol=1e-5)


def test_mmengine_as_MMOCR_has_it(out: Path) -> None:  # noqa: N802
    mmengine: Any = pytest.importorskip("mmengine.dataset", reason="mmengine is not installed")
    data = mmengine.BaseDataset(
        ann_file="mmocr.json", data_root=str(out / "out/train"), data_prefix={"img_path": ""}, pipeline=[]
    )
    assert data.metainfo == {"dataset_type": "TextRecogDataset", "task_name": "textrecog"}
    rows = [data.get_data_info(number) for number in range(len(data))]
    assert [row["instances"] for row in rows] == [[{"text": sample.text}] for sample in samples(out / "out/train")]
    assert all(Path(row["img_path"]).is_file() for row in rows)


def test_ultralytics(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data set, by data.yaml alone; what it writes beside the labels does not damage ours."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    utils: Any = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    from ultralytics.data.dataset import YOLODataset  # type: ignore[import-not-found]

    described = utils.check_det_dataset(str(out / "out/data.yaml"), autodownload=False)
    assert described["names"] == {digit: str(digit) for digit in range(10)}
    for split, count in (("train", 60), ("val", 20)):
        data = YOLODataset(img_path=described[split], data=described, task="detect", imgsz=128, augment=False)
        labels = sorted(data.labels, key=lambda label: str(label["im_file"]))
        assert len(labels) == count
        for label, sample in zip(labels, samples(out / "out" / split), strict=True):
            height, width = sample.image.shape
            assert label["cls"][:, 0].tolist() == sample.digits.tolist()
            centres = (sample.boxes[:, :2] + sample.boxes[:, 2:] / 2) / [width, height]
            np.testing.assert_allclose(label["bboxes"][:, :2], centres, atol=1e-5)
            np.testing.assert_allclose(label["bboxes"][:, 2:], sample.boxes[:, 2:] / [width, height], atol=1e-5)
    assert main.run(["inspect", str(out / "out"), "--verify"]) == 0
