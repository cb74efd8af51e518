"""JAX computes on our batches as they come."""

from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import SequenceDataset

jax: Any = pytest.importorskip("jax", reason="JAX is not installed")


def test_jax_learns_from_batches() -> None:
    data = SequenceDataset(length=1, seed=1, samples=640)

    def loss(weights: Any, images: Any, digits: Any) -> Any:
        ink = 1 - images.reshape(len(images), -1) / 255
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(ink @ weights), digits, axis=1).mean()

    step = jax.jit(jax.value_and_grad(loss))
    weights, losses = jax.numpy.zeros((28 * 28, 10)), []
    for epoch in range(8):
        for batch in data.batches(64, shuffle=True, epoch=epoch):
            found, gradient = step(weights, batch.images, batch.digits)
            weights -= 0.2 * gradient
            losses.append(float(found))
    assert np.mean(losses[-10:]) < 0.6 < np.mean(losses[:3])


def test_arrays_of_a_batch_arrive_as_they_are() -> None:
    batch = SequenceDataset(length="2-4", seed=3, samples=40, max_gap=6).batch(0, 40)
    for name in ("images", "digits", "lengths", "glyphs", "x", "boxes", "widths"):
        there = jax.numpy.asarray(getattr(batch, name))
        assert there.dtype == getattr(batch, name).dtype
        np.testing.assert_array_equal(there, getattr(batch, name))
