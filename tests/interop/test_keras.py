"""Keras 3 trains on our batches as they come, whichever of its backends is there, and finds the classes of folders."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import SequenceDataset, open_dataset

BACKEND = next((name for name in ("torch", "jax") if find_spec(name)), None)
if BACKEND is None:
    pytest.skip("neither PyTorch nor JAX is installed, of which Keras needs one", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKEND)
keras: Any = pytest.importorskip("keras", reason="Keras is not installed")


def test_keras_fits_batches() -> None:
    data = SequenceDataset(length=1, seed=1, samples=640)

    def pairs() -> Iterator[tuple[Any, Any]]:
        for batch in data.batches(64, shuffle=True):
            yield 1 - batch.images[..., None] / np.float32(255), batch.digits[:, 0]

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(8):
        history = model.fit(pairs(), steps_per_epoch=10, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] > 0.8


@pytest.mark.filterwarnings("ignore")  # of grain, about profilers
@pytest.mark.parametrize("labels", ["inferred", "of labels.csv"])
def test_keras_gives_each_image_of_a_folder_its_label(classes: Path, labels: str) -> None:
    """Rows of labels.csv are in the order of samples, and Keras counts on that of sorted paths."""
    pytest.importorskip("grain", reason="grain is not installed, and neither is TensorFlow")
    import pandas

    directory = classes / "train"
    rows = pandas.read_csv(directory / "labels.csv").sort_values("file_name")
    given = rows["label"].str.replace("-", "").astype(int).tolist()
    loaded = keras.utils.image_dataset_from_directory(
        directory,
        labels=labels if labels == "inferred" else given,
        format="grain",
        color_mode="grayscale",
        image_size=(28, 56),
        batch_size=10,
        shuffle=False,
    )
    found = [int(label) for _, numbers in loaded for label in numbers]
    if labels == "inferred":
        assert loaded.class_names == sorted({path.name for path in directory.iterdir() if path.is_dir()})
        found = [int(loaded.class_names[number]) for number in found]
    assert found == [int(Path(path).parent.name) for path in loaded.file_paths]
    expected = {sample.image.tobytes(): int(sample.text) for sample in open_dataset(directory)}
    images = [np.asarray(image).astype(np.uint8) for batch, _ in loaded for image in batch]
    assert [expected[image.tobytes()] for image in images] == found
