"""Batches for training: every sample once, in an order that can be had again, on one machine or several."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES

DATA = SequenceDataset(length=2, seed=5, samples=103)


def numbers(*arguments: int, data: SequenceDataset = DATA, **options: int) -> list[int]:
    return [number for batch in data.batches(*arguments, **options) for number in np.asarray(batch.samples)]


def test_without_shuffle_they_come_in_order() -> None:
    assert numbers(10) == list(range(103))
    assert [len(batch) for batch in DATA.batches(10)] == [10] * 10 + [3]
    assert [len(batch) for batch in DATA.batches()] == [103]


@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 10**6), size=st.integers(1, 200))
def test_shuffled_each_comes_once_and_in_the_same_order_again(seed: int, epoch: int, size: int) -> None:
    order = numbers(size, shuffle=True, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(103))
    assert numbers(64, shuffle=True, seed=seed, epoch=epoch) == order


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = [numbers(9, shuffle=True, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_can_go_on_from_any_batch(shuffle: bool) -> None:
    whole = numbers(10, shuffle=shuffle, seed=3)
    for start in (0, 1, 7, 10, 11, 50):
        assert numbers(10, shuffle=shuffle, seed=3, start=start) == whole[10 * start :]


def test_shuffled_batches_have_the_samples() -> None:
    for batch in DATA.batches(20, shuffle=True):
        for sample in batch:
            np.testing.assert_array_equal(sample.image, DATA[sample.number].image)


@pytest.mark.parametrize("form", ["png", "webdataset", "idx"])
def test_what_is_stored_has_batches_too(form: str, tmp_path: Path) -> None:
    assert main.run(["dataset", "-n", "50", "--len", "2", "--format", form, "-o", str(tmp_path / "out")]) == 0
    data = open_dataset(tmp_path / "out")
    assert [np.asarray(batch.samples).tolist() for batch in data.batches(20)] == [
        [*range(20)],
        [*range(20, 40)],
        [*range(40, 50)],
    ]
    assert sorted(number for batch in data.batches(7, shuffle=True) for number in batch.samples) == list(range(50))


def test_parts_share_no_sample_and_are_everything() -> None:
    for parts in (1, 2, 3, 103, 200):
        shares = [[sample.number for sample in DATA.part(number, parts)] for number in range(parts)]
        assert Counter(number for share in shares for number in share) == Counter(range(103))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_epochs_are_fresh_samples_without_end() -> None:
    assert numbers(data=DATA.epoch(0)) == numbers()
    assert numbers(data=DATA.epoch(4)) == list(range(4 * 103, 5 * 103))
    assert numbers(data=DATA.epoch(4).part(1, 2)) == list(range(4 * 103 + 1, 5 * 103, 2))
    assert numbers(data=DATA[10:20].epoch(2)) == list(range(216, 226))
    assert DATA[3].label != DATA.epoch(1)[3].label or DATA[4].label != DATA.epoch(1)[4].label
    last = MAX_SAMPLES // 103 - 1
    assert DATA.epoch(last)[-1].number < MAX_SAMPLES
    with pytest.raises(RequestError, match=f"`number` is {last + 1}"):
        DATA.epoch(last + 1)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RequestError, match="`size` is 0"):
        next(DATA.batches(0))
    with pytest.raises(RequestError, match="`start` is -1"):
        next(DATA.batches(5, start=-1))
    with pytest.raises(RequestError, match="`number` is 2"):
        DATA.part(2, 2)
    with pytest.raises(RequestError, match="`parts` is 0"):
        DATA.part(0, 0)
