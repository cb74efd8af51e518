"""A recipe as a sequence of samples: every way of looking at a sample gives the same one."""

import doctest
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.engine.batch import Batch, Sample
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.samples import sequence_dataset
from mnist_seq_cli.samples.sequence_dataset import DEFAULT_SAMPLES

LAYOUTS: dict[str, dict[str, Any]] = {
    "side by side": {},
    "gap by width": {"width": 4 * 28 + 3 * 5},
    "gaps drawn": {"max_gap": 9},
    "inverted": {"max_gap": 3, "invert": True},
    "all glyphs": {"source": "all"},
}

ARRAYS = ("image", "digits", "glyphs", "x", "y", "boxes")


def data_of(samples: int = 600, **request: Any) -> SequenceDataset:
    return SequenceDataset(**{"length": 4, "seed": 7, "samples": samples, "max_gap": 6, **request})


def assert_same(one: Sample, other: Sample) -> None:
    assert one.number == other.number
    assert one.length == other.length
    for name in ARRAYS:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, name, strict=True)


def assert_shows(sample: Sample, batch: Batch, row: int) -> None:
    expected = Sample(
        batch.images[row],
        batch.digits[row],
        int(batch.lengths[row]),
        batch.glyphs[row],
        batch.x[row],
        batch.y[row],
        batch.boxes[row],
        batch.first + row,
    )
    assert_same(sample, expected)


def own_files(directory: Path, labels: Sequence[int] = tuple(range(10))) -> tuple[Path, Path, NDArray[np.uint8]]:
    """An IDX pair of glyphs 7 px high and 5 px wide, one for each label, and the glyphs."""
    glyphs = np.random.default_rng(1).integers(1, 255, (len(labels), 7, 5), dtype=np.uint8)
    (directory / "images").write_bytes(idx.encode(glyphs))
    (directory / "labels").write_bytes(idx.encode(np.array(labels, dtype=np.uint8)))
    return directory / "images", directory / "labels", glyphs


def test_the_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(sequence_dataset)
    assert results.failed == 0
    assert results.attempted >= 2


# One sample


def test_a_sample_is_what_its_recipe_makes_for_its_index() -> None:
    data = SequenceDataset(length=4, seed=7)
    batch = compose(recipe_for(seed=7, length=4), load(Source("train")), 12345, 12346)
    assert_shows(data[12345], batch, 0)
    assert data[12345].number == 12345


def test_a_sample_has_the_documented_types_and_shapes() -> None:
    sample = data_of()[3]
    assert isinstance(sample, tuple)
    assert sample._fields == ("image", "digits", "length", "glyphs", "x", "y", "boxes", "number")
    described = {name: (str(getattr(sample, name).dtype), getattr(sample, name).shape) for name in ARRAYS}
    assert described == {
        "image": ("uint8", (28, 4 * 28 + 3 * 6)),
        "digits": ("uint8", (4,)),
        "glyphs": ("int32", (4,)),
        "x": ("int32", (4,)),
        "y": ("int32", (4,)),
        "boxes": ("int32", (4, 4)),
    }
    assert type(sample.length) is int
    assert type(sample.number) is int


def test_the_image_is_the_glyphs_at_their_edges_on_paper() -> None:
    sample = data_of()[3]
    bank = load(Source("train"))
    expected = np.full((28, 4 * 28 + 3 * 6), 255, dtype=np.uint8)
    for glyph, left in zip(bank.images(sample.glyphs), sample.x, strict=True):
        expected[:, left : left + 28] = 255 - glyph
    np.testing.assert_array_equal(sample.image, expected, strict=True)
    np.testing.assert_array_equal(bank.labels[sample.glyphs], sample.digits)


def test_the_label_is_written_with_hyphens_and_keeps_zeros() -> None:
    assert SequenceDataset(sequences=["0042"], seed=1)[0].label == "0-0-4-2"
    sample = data_of()[5]
    assert sample.label == "-".join(map(str, sample.digits.tolist()))


def test_the_label_counts_only_the_digits_that_count() -> None:
    assert data_of()[0]._replace(digits=np.array([1, 2, 3, 0], dtype=np.uint8), length=3).label == "1-2-3"


def test_a_sample_may_be_changed_without_changing_the_data() -> None:
    data = data_of()
    before = data[4]
    spoilt = data[4]
    spoilt.image[:] = 0
    spoilt.x[:] = 99
    spoilt.digits[:] = 0
    assert_same(data[4], before)


# Length and indices


def test_len_is_the_number_of_samples_and_defaults_to_an_epoch() -> None:
    assert len(data_of(5)) == 5
    assert len(SequenceDataset(length=4, seed=7)) == DEFAULT_SAMPLES == 60_000
    assert len(data_of(MAX_SAMPLES)) == MAX_SAMPLES


def test_the_number_of_samples_changes_no_sample() -> None:
    assert_same(data_of(20)[11], data_of(MAX_SAMPLES)[11])


def test_the_last_of_very_many_is_made_at_once() -> None:
    data = data_of(MAX_SAMPLES)
    assert data[-1].number == MAX_SAMPLES - 1
    assert_same(data[-1], data[MAX_SAMPLES - 1])


def test_negative_indices_count_from_the_end() -> None:
    data = data_of(10)
    for index in range(-10, 0):
        assert_same(data[index], data[index + 10])


@pytest.mark.parametrize("index", [10, -11, 10**30, -(10**30)])
def test_an_index_outside_raises_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=rf"^there are 10 samples, and {index} was asked for$"):
        data_of(10)[index]


@pytest.mark.parametrize("index", [1.0, "1", None, (0, 1)])
def test_what_is_no_index_raises_type_error(index: Any) -> None:
    with pytest.raises(TypeError):
        data_of(10)[index]


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
def test_numpy_integers_are_indices(kind: Any) -> None:
    sample = data_of(10)[kind(3)]
    assert_same(sample, data_of(10)[3])
    assert type(sample.number) is int


# Slices


@given(
    samples=st.integers(1, 50),
    cuts=st.lists(st.slices(50), min_size=1, max_size=3),
)
def test_slices_of_slices_hold_what_slices_of_a_list_hold(samples: int, cuts: list[slice]) -> None:
    data = data_of(samples)
    numbers = list(range(samples))
    for cut in cuts:
        data, numbers = data[cut], numbers[cut]
    assert len(data) == len(numbers)
    assert [sample.number for sample in data] == numbers
    whole = data_of(samples)
    for place, number in enumerate(numbers[:3]):
        assert_same(data[place], whole[number])


def test_a_slice_is_a_dataset_of_the_same_recipe() -> None:
    data = data_of(100)
    part = data[10:20]
    assert type(part) is SequenceDataset
    assert part.recipe == data.recipe
    assert len(part) == 10
    assert_same(part[0], data[10])
    assert_same(part[-1], data[19])
    with pytest.raises(IndexError, match=r"^there are 10 samples, and 10 was asked for$"):
        part[10]


def test_an_empty_slice_is_empty() -> None:
    empty = data_of(10)[5:5]
    assert len(empty) == 0
    assert list(empty) == []
    assert empty.batch(0, 0).images.shape == (0, 28, 130)
    with pytest.raises(IndexError, match=r"^there are 0 samples, and 0 was asked for$"):
        empty[0]


def test_a_slice_of_a_subclass_is_of_that_subclass() -> None:
    class Mine(SequenceDataset):
        pass

    assert type(Mine(length=2, seed=1)[:5]) is Mine


# Iteration and batches


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_iteration_gives_what_indexing_gives(layout: dict[str, Any]) -> None:
    data = data_of(600, **layout)  # more than two of the runs in which iteration makes them
    listed = list(data)
    assert len(listed) == 600
    for index in (0, 1, 254, 255, 256, 257, 511, 512, 599):
        assert_same(listed[index], data[index])
    assert [sample.number for sample in listed] == list(range(600))


def test_iteration_of_a_stepped_view_gives_what_indexing_gives() -> None:
    data = data_of(600)[::-2]
    listed = list(data)
    assert [sample.number for sample in listed] == list(range(599, -1, -2))
    for index in (0, 1, 255, 256, 299):
        assert_same(listed[index], data[index])


def test_iterating_twice_at_once_does_not_mix() -> None:
    data = data_of(5)
    assert [(one.number, other.number) for one, other in zip(data, data, strict=True)] == [(i, i) for i in range(5)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_batch_holds_what_indexing_gives(layout: dict[str, Any]) -> None:
    data = data_of(600, **layout)
    batch = data.batch(250, 270)
    assert len(batch) == 20
    assert batch.first == 250
    for row in range(20):
        assert_shows(data[250 + row], batch, row)


def test_a_batch_of_a_view_holds_the_samples_of_the_view() -> None:
    batch = data_of(100)[30:].batch(2, 5)
    assert batch.first == 32
    for row in range(3):
        assert_shows(data_of(100)[32 + row], batch, row)


@pytest.mark.parametrize("step", [2, 7, -1, -3])
def test_a_batch_of_a_stepped_view_holds_the_samples_of_the_view(step: int) -> None:
    view = data_of(100)[::step]
    batch = view.batch(1, 6)
    assert batch.images.shape == (5, 28, 130)
    for row in range(5):
        sample = view[1 + row]
        np.testing.assert_array_equal(batch.images[row], sample.image, strict=True)
        np.testing.assert_array_equal(batch.digits[row], sample.digits, strict=True)
        np.testing.assert_array_equal(batch.glyphs[row], sample.glyphs, strict=True)
        np.testing.assert_array_equal(batch.x[row], sample.x, strict=True)
        assert batch.lengths[row] == sample.length
    empty = view.batch(3, 3)
    assert empty.images.shape == (0, 28, 130)
    assert empty.digits.shape == empty.glyphs.shape == empty.x.shape == (0, 4)


def test_a_batch_has_the_documented_types() -> None:
    for view in (data_of(10), data_of(10)[::2]):
        batch = view.batch(0, 3)
        types = [getattr(batch, name).dtype for name in ("images", "digits", "lengths", "glyphs", "x")]
        assert types == [np.uint8, np.uint8, np.int32, np.int32, np.int32]


@pytest.mark.parametrize(("first", "stop"), [(-1, 5), (0, 11), (6, 5), (11, 11), (-5, -1)])
def test_a_batch_outside_raises_index_error(first: int, stop: int) -> None:
    with pytest.raises(IndexError, match=rf"^there are 10 samples, and {first} to {stop} was asked for$"):
        data_of(10).batch(first, stop)


# What is asked for


def test_sequences_may_be_text_in_any_spelling_or_digits() -> None:
    spelled: list[Any] = ["1-2-3", "456", "7,8,9", "0 0 1", (1, 2, 3), [4, 5, 6]]
    data = SequenceDataset(sequences=spelled, seed=3, samples=12)
    expected = ["1-2-3", "4-5-6", "7-8-9", "0-0-1", "1-2-3", "4-5-6"]
    assert [sample.label for sample in data] == expected * 2
    assert data.recipe.length == 3


def test_sequences_may_be_rows_of_an_array() -> None:
    data = SequenceDataset(sequences=np.array([[1, 2], [3, 4]]), seed=3, samples=2)
    assert [sample.label for sample in data] == ["1-2", "3-4"]


@pytest.mark.parametrize(
    "request_",
    [
        {"sequences": ["1-2-3", ""]},
        {"sequences": ["12"], "length": 3},
        {"sequences": ["1x"]},
        {"sequences": "123"},
        {"sequences": b"123"},
        {"sequences": [(1, 10)]},
        {"length": 0},
        {"length": 4, "samples": 0},
        {"length": 4, "samples": MAX_SAMPLES + 1},
        {"length": 4, "width": 113},
        {"length": 4, "min_gap": 5, "max_gap": 4},
        {"length": 4, "seed": -1},
        {"length": 4, "source": "none"},
        {"length": 4, "spacing": "wide"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_it_is_asked_for(request_: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        SequenceDataset(**request_)


def test_the_default_is_four_digits() -> None:
    assert SequenceDataset(seed=1).recipe == recipe_for(seed=1, length=4)


def test_without_a_seed_each_dataset_draws_its_own_and_tells_it() -> None:
    one, other = SequenceDataset(length=4), SequenceDataset(length=4)
    assert one.recipe.seed != other.recipe.seed
    assert not np.array_equal(one.batch(0, 20).glyphs, other.batch(0, 20).glyphs)
    assert_same(SequenceDataset(length=4, seed=one.recipe.seed)[17], one[17])


def test_the_repr_tells_the_number_and_the_recipe() -> None:
    data = data_of(1000)[10:20]
    assert repr(data).startswith("SequenceDataset(10 samples of ")
    assert "px, seed=7, length=" in repr(data)


def test_from_recipe_gives_the_samples_of_the_recipe() -> None:
    data = data_of(50, source="test")
    again = SequenceDataset.from_recipe(data.recipe, samples=50)
    assert len(again) == 50
    for index in (0, 49):
        assert_same(again[index], data[index])
    assert len(SequenceDataset.from_recipe(data.recipe)) == DEFAULT_SAMPLES
    with pytest.raises(RequestError):
        SequenceDataset.from_recipe(data.recipe, samples=0)


def test_from_recipe_by_way_of_json() -> None:
    data = data_of(50)
    assert_same(SequenceDataset.from_recipe(Recipe.from_json(data.recipe.to_json()))[31], data[31])


# The user's own glyphs


def test_glyphs_of_the_users_own(tmp_path: Path) -> None:
    images, labels, glyphs = own_files(tmp_path)
    data = SequenceDataset(sequences=["3-1"], seed=2, source=images, source_labels=labels, min_gap=2)
    sample = data[0]
    expected = np.full((7, 12), 255, dtype=np.uint8)
    expected[:, :5], expected[:, 7:] = 255 - glyphs[3], 255 - glyphs[1]
    np.testing.assert_array_equal(sample.image, expected, strict=True)
    assert sample.glyphs.tolist() == [3, 1]
    assert data.recipe.source.startswith("sha256:")
    assert str(tmp_path) not in str(data.recipe)


def test_from_recipe_with_glyphs_of_the_users_own(tmp_path: Path) -> None:
    images, labels, _ = own_files(tmp_path)
    data = SequenceDataset(length=3, seed=2, source=str(images), source_labels=str(labels))
    source = Source(images=images, labels=labels)
    assert_same(SequenceDataset.from_recipe(data.recipe, source=source)[5], data[5])
    with pytest.raises(RequestError, match="the recipe draws from the source sha256:"):
        SequenceDataset.from_recipe(data.recipe, source=Source("train"))[5]


def test_digits_that_the_users_own_glyphs_lack_are_refused(tmp_path: Path) -> None:
    images, labels, _ = own_files(tmp_path, labels=(1, 2))
    assert SequenceDataset(sequences=["12"], source=images, source_labels=labels)[0].label == "1-2"
    with pytest.raises(RequestError, match=r"^the source has no glyph of 3; it has glyphs of 1, 2$"):
        SequenceDataset(sequences=["13"], source=images, source_labels=labels)[0]


def test_files_that_are_not_idx_are_refused(tmp_path: Path) -> None:
    images, _, _ = own_files(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FormatError, match="text is not an IDX file"):
        SequenceDataset(source=images, source_labels=tmp_path / "text")
    with pytest.raises(OSError, match="No such file"):
        SequenceDataset(source=images, source_labels=tmp_path / "nothing")


# Travelling


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_travels_without_its_glyphs_and_arrives_the_same(protocol: int) -> None:
    data = data_of(1000, source="all")[100:900:3]
    data[0]
    packed = pickle.dumps(data, protocol)
    assert len(packed) < 2_000
    again = pickle.loads(packed)
    assert type(again) is SequenceDataset
    assert again.recipe == data.recipe
    assert len(again) == len(data)
    for index in (0, 1, -1):
        assert_same(again[index], data[index])


def test_it_travels_with_the_users_own_glyphs(tmp_path: Path) -> None:
    images, labels, _ = own_files(tmp_path)
    data = SequenceDataset(length=3, seed=2, source=images, source_labels=labels)
    packed = pickle.dumps(data)
    assert len(packed) < 2_000
    assert_same(pickle.loads(packed)[5], data[5])
