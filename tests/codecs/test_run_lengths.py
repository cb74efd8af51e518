"""Streams of runs under one code: other libraries inflate them, and each is the same whatever is beside it."""

import zlib

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs import run_lengths
from mnist_seq_cli.codecs.compression import LEVELS
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.mnist.bank import Source, load

BYTES = st.sampled_from([0, 1, 2, 3, 6, 31, 32, 128, 251, 252, 254, 255])
NOISE = np.random.Generator(np.random.Philox(5)).integers(0, 256, (3, 900), dtype=np.uint8)


def strips(**options: object) -> NDArray[np.uint8]:
    """The scan lines of 100 strips of 4 digits, each a row."""
    recipe = recipe_for(**{"seed": 7, "length": 4, "source": "test", **options})
    images = compose(recipe, load(Source("test")), 0, 100).images
    return np.pad(images, ((0, 0), (0, 0), (1, 0))).reshape(100, -1)


def inflated(rows: NDArray[np.uint8]) -> list[bytes]:
    """Compress rows, and return what zlib and ISA-L make of each stream, which has to be the row."""
    streams = run_lengths.compress(rows)
    for stream, row in zip(streams, rows, strict=True):
        assert zlib.decompress(stream) == isal_zlib.decompress(stream) == row.tobytes()
    return streams


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 4), st.integers(1, 600)), elements=BYTES))
@example(np.zeros((1, 1), np.uint8))
@example(NOISE)
@example(np.repeat(NOISE, 3, axis=1))
@example(np.repeat(NOISE[:, :5], 2_000, axis=1))
def test_rows_come_back(rows: NDArray[np.uint8]) -> None:
    inflated(rows)


@pytest.mark.parametrize("value", [0, 255, 9])
def test_runs_of_every_length_and_literals_of_every_byte_come_back(value: int) -> None:
    others = [byte for byte in range(256) if byte != value]
    rows = [bytes([value]) * length + bytes([others[length % 255]]) * 4 for length in range(1, 530)]
    size = max(map(len, rows))
    inflated(np.frombuffer(b"".join(row.ljust(size, b"\7") for row in rows), np.uint8).reshape(-1, size))
    inflated(np.repeat(np.arange(256, dtype=np.uint8), 3)[None])


def test_strips_are_smaller_than_by_isal() -> None:
    for rows in (strips(), strips(max_gap=20), strips(invert=True), strips(slant=(-15, 15), rotate=(-10, 10))):
        ours, others = inflated(rows), [isal_zlib.compress(row, LEVELS["small"]) for row in rows]
        assert sum(map(len, ours)) < 0.93 * sum(map(len, others))


@pytest.mark.parametrize("left", ["noise", "masks"])
def test_rows_of_noise_and_of_masks_are_left_to_isal(left: str) -> None:
    plain = strips()[:50]
    others = strips(noise=20)[:50] if left == "noise" else np.uint8(4) * (plain[:, ::-1] < 128)
    mixed = inflated(np.stack([plain, others], axis=1).reshape(100, -1))
    assert mixed[::2] == inflated(plain)
    assert mixed[1::2] == inflated(others) == [isal_zlib.compress(row, LEVELS["small"]) for row in others]


def test_a_row_has_the_same_stream_whatever_is_beside_it() -> None:
    rows = np.concatenate([strips(), strips(max_gap=0), np.repeat(strips(), 3, axis=0)])
    together = run_lengths.compress(rows)
    assert together == [run_lengths.compress(row[None])[0] for row in rows]
    assert run_lengths.compress(np.asfortranarray(rows)) == together
