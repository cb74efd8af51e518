"""Keras 3 trains on our batches as they come, whichever of its backends is there."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import SequenceDataset

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
