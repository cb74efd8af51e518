"""Memory that is kept: one for each name and thread, and part of no result."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from asked import recipe_for

from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.engine.scratch import blocks, scratch
from mnist_seq_cli.mnist.bank import Source, load

LOOKS: list[dict[str, Any]] = [
    {"slant": (-9, 9), "stroke": (-1, 1), "paper": "gradient", "noise": 9},
    {"stroke": (0, 2), "paper": "grain", "contrast": (50, 90)},
]


def test_a_name_has_the_same_memory_again_in_its_thread_alone() -> None:
    first = scratch("of a test", (4, 5), np.uint16)
    again = scratch("of a test", (3, 2), np.int32)
    with ThreadPoolExecutor(1) as threads:
        elsewhere = threads.submit(scratch, "of a test", (4, 5), np.uint16).result()
    assert (first.shape, first.dtype, again.shape, again.dtype) == ((4, 5), np.uint16, (3, 2), np.int32)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, scratch("another of a test", (4, 5), np.uint16))
    assert not np.shares_memory(first, elsewhere)


def test_what_is_huge_is_not_kept() -> None:
    assert not np.shares_memory(*(scratch("of a test, huge", (5 << 20,), np.uint8) for _ in range(2)))


@pytest.mark.parametrize("looks", LOOKS, ids=str)
def test_no_result_is_in_memory_that_is_used_again(looks: dict[str, Any]) -> None:
    recipe, bank = recipe_for(seed=3, length=4, **looks), load(Source("train"))
    batch = compose(recipe, bank, 0, 20, masks=True)
    arrays = [batch.images, batch.masks, batch.boxes, batch.x, *batch.sampled.values()]
    before = [np.copy(array) for array in arrays if array is not None]
    compose(recipe, bank, 20, 60, masks=True)
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("looks", LOOKS, ids=str)
def test_threads_do_not_meet(looks: dict[str, Any]) -> None:
    recipe, bank = recipe_for(seed=3, length=4, **looks), load(Source("train"))
    starts = range(0, 600, 30)
    expected = [compose(recipe, bank, start, start + 30).images for start in starts]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda start: compose(recipe, bank, start, start + 30).images, starts))
    np.testing.assert_array_equal(found, expected)


def test_blocks_are_as_large_as_they_may_be() -> None:
    assert blocks(7, 10, 30) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert blocks(2, 100, 30) == [slice(0, 1), slice(1, 2)]
    assert blocks(0, 100, 30) == []
