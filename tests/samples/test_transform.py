"""A transform makes something else of the image of each sample that is asked for, and of nothing else."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_seq_cli import MaskedSample, SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.errors import RequestError

OPTIONS: dict[str, Any] = {"length": 3, "max_gap": 5, "seed": 9, "samples": 30, "masks": True}
PLAIN = SequenceDataset(**OPTIONS)


def ink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a training loop may want: float32 (1, height, width), ink 1."""
    assert (image.dtype, image.ndim) == (np.uint8, 2)
    return (255 - image[None]).astype(np.float32) / 255


@pytest.fixture(params=["recipe", "png", "npz"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "recipe":
        return SequenceDataset(**OPTIONS, transform=ink)
    asked = ["-n", "30", "--len", "3", "--max", "5", "--seed", "9", "--masks", "--format", request.param]
    assert main.run(["dataset", *asked, "-o", str(tmp_path / "out")]) == 0
    return open_dataset(tmp_path / "out", transform=ink)


def assert_transformed(sample: Any, plain: Any) -> None:
    assert isinstance(sample, MaskedSample)
    np.testing.assert_array_equal(sample.image, ink(plain.image), strict=True)
    assert (sample.label, sample.length, sample.number) == (plain.label, plain.length, plain.number)
    for name in ("digits", "glyphs", "x", "y", "boxes", "mask"):
        np.testing.assert_array_equal(getattr(sample, name), getattr(plain, name), name, strict=True)


def test_samples_are_transformed_alone_in_a_loop_in_parts_and_for_loaders(data: Any) -> None:
    assert_transformed(data[7], PLAIN[7])
    for sample, plain in zip(data, PLAIN, strict=True):
        assert_transformed(sample, plain)
    assert_transformed(data[10:][::2][3], PLAIN[16])
    assert_transformed(data.part(1, 3)[2], PLAIN[7])
    samples = data.__getitems__([5, 0, -1])
    assert type(samples) is list
    for sample, number in zip(samples, (5, 0, 29), strict=True):
        assert_transformed(sample, PLAIN[number])
    assert_transformed(pickle.loads(pickle.dumps(data))[4], PLAIN[4])


def test_a_transform_may_change_what_it_gets(tmp_path: Path) -> None:
    asked = ["-n", "30", "--len", "3", "--seed", "9", "--format", "webdataset", "-o", str(tmp_path / "out")]
    assert main.run(["dataset", *asked]) == 0
    data = open_dataset(tmp_path / "out", transform=lambda image: np.subtract(255, image, out=image))
    for _ in range(2):
        assert [int(data[number].image.max()) for number in (3, 4)] == [255, 255]
        assert data[3].image[0, 0] == 0


def test_batches_are_refused_and_nothing_else_sees_the_transform(data: Any) -> None:
    calls = [lambda: data[[1, 2]], lambda: data.batch(0, 3), lambda: data.batch([1]), lambda: next(data.batches(4))]
    for call in calls:
        with pytest.raises(RequestError, match=r"^a batch has arrays of images, and `transform` .*; take samples one"):
            call()
    assert [text for labels in data.labels() for text in labels.texts] == [sample.text for sample in PLAIN]
    np.testing.assert_array_equal(next(iter(data.strips([3]))).image, PLAIN[3].image)
    np.testing.assert_array_equal(next(data.stream()).images[:9], PLAIN.batch(0, 9).images)
    assert data._repr_html_().count("<img ") == 8
    data.transform = None
    np.testing.assert_array_equal(data.batch([4, 1]).images, PLAIN.batch([4, 1]).images)
