"""Any indices at once: the same samples as one by one, in any order, of a recipe and of what is stored."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import FORMATS, form
from hypothesis import given
from hypothesis import strategies as st
from strategies import recipes

from mnist_seq_cli import SequenceDataset, formats, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.engine.batch import Batch, MaskedSample, Sample
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples.recipe_samples import RecipeSamples

SAMPLES = 90

OPTIONS: dict[str, dict[str, Any]] = {
    "gaps": {"max_gap": 9},
    "lengths": {"length": "1-5", "width": 200, "spacing": "random"},
    "warped": {"slant": "-20-20", "rotate": "-9-9", "stroke": "0-1", "jitter_x": 2, "jitter_y": 3},
    "effects": {"noise": 20, "paper": "gradient", "contrast": "50-100", "invert": True},
    "grain, own width": {"paper": "grain", "width": "fit", "max_gap": 5},
    "tight, at random": {"crop": "tight", "align": "random", "width": 150},
    "each glyph once": {"glyphs": "once"},
    "per label": {"length": 2, "per_label": 3},
    "listed, shuffled": {"length": None, "sequences": ["007", "42", "9"], "shuffle": True},
    "pattern, checked": {"length": None, "pattern": r"4\d{3}", "check": "luhn"},
    "no repetition": {"repeat": False},
    "parts": {"pool": (1, 2, 3), "label_pool": (0, 1, 2), "length": 3},
}


def assert_shows(batch: Batch, data: RecipeSamples, indices: list[int]) -> None:
    """The batch has the samples that the data has alone, also as a sequence."""
    assert len(batch) == len(indices)
    for row, (index, sample) in enumerate(zip(indices, batch, strict=True)):
        alone = data[index]
        assert type(sample) is type(alone)
        assert (sample.number, sample.length, sample.label) == (alone.number, alone.length, alone.label)
        assert batch.texts[row] == sample.text == alone.text
        for name in {*Sample._fields, *MaskedSample._fields} - {"number", "length"}:
            if hasattr(alone, name):
                np.testing.assert_array_equal(getattr(sample, name), getattr(alone, name), name, strict=True)
    assert [sample.number for sample in batch] == list(batch.samples)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_any_indices_of_a_recipe_give_the_samples_that_they_give_alone(options: dict[str, Any]) -> None:
    data = SequenceDataset(**{"length": 4, "seed": 7, "samples": SAMPLES, "masks": True} | options)
    indices = [5, 3, 3, 88, 0, -1, 17, 4, 5]
    for given_as in (indices, np.array(indices), np.array(indices, dtype=np.int8)):
        assert_shows(data[given_as], data, indices)
    assert_shows(data.__getitems__(indices), data, indices)
    assert_shows(data.batch(tuple(indices)), data, indices)


@given(recipe=recipes(), indices=st.lists(st.integers(-SAMPLES, SAMPLES - 1), max_size=6))
def test_any_recipe_and_any_indices(recipe: Recipe, indices: list[int]) -> None:
    data = SequenceDataset.from_recipe(recipe, samples=SAMPLES)
    assert_shows(data[indices], data, indices)


def test_of_more_samples_than_are_made_at_a_time_each_is_in_its_row() -> None:
    data = SequenceDataset(length=1, seed=3, slant=(-9, 9), samples=10**8)
    indices = np.random.default_rng(1).integers(0, 10**8, 600)
    batch = data[indices]
    assert batch.samples is not None
    for row in (0, 255, 256, 511, 599):
        np.testing.assert_array_equal(batch.images[row], data[int(indices[row])].image)


@pytest.mark.parametrize("masks", [False, True], ids=["plain", "masks"])
@pytest.mark.parametrize("name", FORMATS)
def test_any_indices_of_what_is_stored(name: str, masks: bool, tmp_path: Path) -> None:
    if masks and not formats.get(name).MASKS:
        pytest.skip("this format has no masks")
    options = ["-n", "90", "--len", "2", "--max", "5", "--seed", "4", *form(name), *["--masks"] * masks]
    assert main.run(["dataset", *options, "--shard-size", "20", "-o", str(tmp_path / "out")]) == 0
    data = open_dataset(tmp_path / "out")
    indices = [70, 3, 3, 89, 20, 19, -1, 0, 71]
    assert_shows(data[indices], data, indices)
    part = data[10:80:3]
    assert_shows(part[[2, 0, -1]], part, [2, 0, -1])


def test_parts_have_indices_of_their_own_and_travel() -> None:
    data = SequenceDataset(length=3, seed=1, samples=100)
    for part in (data[10:60], data[90:5:-7], data[::9][2:8]):
        assert_shows(part[[3, 0, -2]], part, [3, 0, -2])
        whole = part.batch(0, len(part))
        assert [sample.number for sample in whole] == [sample.number for sample in part]
        assert_shows(pickle.loads(pickle.dumps(part))[[1, 1]], part, [1, 1])


def test_no_indices_are_no_samples() -> None:
    data = SequenceDataset(length=3, seed=1, samples=100, masks=True)
    for none in ([], np.array([], dtype=np.int64), range(0)):
        batch = data[none]
        assert (len(batch), list(batch), batch.texts) == (0, [], [])
        assert batch.images.shape == (0, 28, 84)
        assert batch.masks is not None


@pytest.mark.parametrize("index", [100, -101])
def test_an_index_outside_is_named(index: int) -> None:
    data = SequenceDataset(length=3, seed=1, samples=100)
    with pytest.raises(IndexError, match=rf"^there are 100 samples, and {index} was asked for$"):
        data[[3, index]]


@pytest.mark.parametrize("indices", [[1.0], ["1"], [[1]], [None], np.array([True, False])], ids=str)
def test_what_are_no_indices_raises_type_error(indices: Any) -> None:
    with pytest.raises(TypeError, match="indices are whole numbers in a row"):
        SequenceDataset(length=3, seed=1, samples=100).batch(indices)


def test_a_row_of_a_batch_counts_from_the_end_too() -> None:
    batch = SequenceDataset(length=3, seed=1, samples=100).batch(5, 9)
    assert [batch[-1].number, batch[0].number, batch[np.int64(2)].number] == [8, 5, 7]
    with pytest.raises(IndexError):
        batch[4]


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_looked_at_travels_light(name: str, tmp_path: Path) -> None:
    assert main.run(["dataset", "-n", "90", "--len", "2", "--seed", "4", *form(name), "-o", str(tmp_path / "out")]) == 0
    data = open_dataset(tmp_path / "out")
    label = data[7].label
    assert data.number_of("7") == 7
    assert len(data[[80, 3]]) == 2
    travelled = pickle.dumps(data)
    assert len(travelled) < 10_000
    assert pickle.loads(travelled)[7].label == label == data[7].label
