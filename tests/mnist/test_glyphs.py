"""Which glyphs a recipe draws: parts of a bank, without the known wrong labels, and each once before any again."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.engine import glyphs as glyph_choice
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.engine.compose import annotate, compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.engine.writing import occurrences, sequences
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import MISLABELED, Bank, Source, load
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING

SHARES = [(0, 60_000, 60_000), (0, 1, 10), (1, 9, 10), (9, 10, 10), (0, 50_000, 55_000), (50_000, 55_000, 55_000)]


def small_bank(counts: list[int], identity: str = "small") -> Bank:
    labels = np.repeat(np.arange(10, dtype=np.uint8), counts)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, :2] = np.arange(len(labels), dtype="<u2").view(np.uint8).reshape(-1, 2)  # no two are equal
    return Bank([images], labels, identity=identity)


def ids_of(bank: Bank) -> list[int]:
    return [glyph for digit in range(10) for glyph in bank.glyphs_of(digit).tolist()]


# Parts


@pytest.mark.parametrize("name", ["train", "test", "all"])
@pytest.mark.parametrize("cuts", [(0, 1, 10), (0, 50_000, 55_000), (0, 3, 4, 7)], ids=str)
def test_parts_share_no_glyph_and_leave_none_out(name: str, cuts: tuple[int, ...]) -> None:
    bank = load(Source(name))
    parts = [glyph_choice.part(bank, (low, high, cuts[-1])) for low, high in pairwise(cuts)]
    assert sorted(glyph for part in parts for glyph in ids_of(part)) == sorted(ids_of(bank))
    for part, (low, high) in zip(parts, pairwise(cuts), strict=True):
        for digit in range(10):
            glyphs = part.glyphs_of(digit)
            assert set(bank.labels[glyphs - bank.first_id]) == {digit}
            assert abs(len(glyphs) - bank.counts[digit] * (high - low) / cuts[-1]) < 1
            assert glyphs.tolist() == sorted(glyphs.tolist())
        assert part.counts.tolist() == [len(part.glyphs_of(digit)) for digit in range(10)]


def test_the_parts_are_always_the_same() -> None:
    # They are as much of a promise as the samples are: those of another run may not reach into them.
    bank = load(Source("train"))
    assert glyph_choice.part(bank, (9, 10, 10)).glyphs_of(4)[:6].tolist() == PARTS_OF_4
    assert glyph_choice.part(bank, (9, 10, 10)) is glyph_choice.part(bank, (9, 10, 10))
    assert glyph_choice.part(bank, EVERYTHING) is bank
    assert glyph_choice.part(bank, (0, 7, 7)) is bank


PARTS_OF_4 = [58, 61, 336, 354, 569, 677]


def test_a_part_is_spread_over_the_whole_file() -> None:
    """The digits of a writer stand side by side in MNIST: a run of them would be the hands of a few."""
    part = np.array(ids_of(glyph_choice.part(load(Source("train")), (2, 3, 10))))
    tenths = np.bincount(part // 6_000, minlength=10)
    assert tenths.sum() == len(part)
    assert 500 < tenths.min() < tenths.max() < 700


def test_a_part_copies_no_images() -> None:
    bank = load(Source("train"))
    for narrowed in (glyph_choice.part(bank, (0, 1, 2)), glyph_choice.without(bank, frozenset({5}))):
        assert all(one is other for one, other in zip(narrowed._parts, bank._parts, strict=True))
        assert (len(narrowed), narrowed.identity, narrowed.first_id) == (len(bank), "train", 0)
        np.testing.assert_array_equal(narrowed.images([7]), bank.images([7]))


def test_a_recipe_draws_from_its_part_alone() -> None:
    bank = load(Source("all"))
    seen: list[set[int]] = []
    for low, high in [(0, 1), (1, 4), (4, 5)]:
        recipe = recipe_for(seed=3, length=4, source="all", pool=(low, high, 5))
        glyphs = annotate(recipe, bank, 0, 30_000).glyphs
        allowed = set(ids_of(glyph_choice.part(bank, (low, high, 5))))
        assert set(glyphs.ravel().tolist()) <= allowed
        assert len(set(glyphs.ravel().tolist())) > 0.9 * len(allowed)
        seen.append(allowed)
    assert len(set().union(*seen)) == sum(map(len, seen))


def test_a_part_without_a_digit_is_refused() -> None:
    recipe = recipe_for(seed=1, length=2, source="small", pool=(0, 1, 4))
    with pytest.raises(RequestError) as caught:
        check_bank(recipe, small_bank([8, 3, 8, 8, 8, 8, 8, 8, 8, 8]))
    assert str(caught.value) == (
        "that part of the source has no glyph of 1; it has glyphs of 0, 2, 3, 4, 5, 6, 7, 8, 9"
    )
    with pytest.raises(RequestError, match=r"has no glyph of .*; it has none at all; take a larger part"):
        check_bank(recipe, small_bank([1] * 10))


def test_sequences_that_end_early_need_no_noughts() -> None:
    recipe = recipe_for(seed=1, length=((1, 1), (2, 1)), digits=(1,), source="test", pool=(0, 1, 1_000), glyphs="once")
    batch = compose(recipe, load(Source("test")), 0, 30)
    assert set(batch.lengths.tolist()) == {1, 2}
    assert len({*batch.glyphs.ravel().tolist()} - {ABSENT}) == 1  # all that is in that part, and no 0 is in it


# Known wrong labels


def test_known_wrong_labels_are_left_out() -> None:
    assert len(MISLABELED) == 15
    assert all(60_000 <= glyph < 70_000 for glyph in MISLABELED)
    for name, missing in (("test", 15), ("all", 15), ("train", 0)):
        bank = load(Source(name))
        plain = recipe_for(seed=1, length=4, source=name)
        cleaned = recipe_for(seed=1, length=4, source=name, exclude_mislabeled=True)
        assert set(ids_of(bank)) - set(ids_of(check_bank(cleaned, bank))) == (MISLABELED if missing else set())
        assert check_bank(plain, bank) is bank
        assert MISLABELED & set(annotate(plain, bank, 0, 60_000).glyphs.ravel().tolist()) == (
            MISLABELED if missing else set()
        )
        assert not MISLABELED & set(annotate(cleaned, bank, 0, 60_000).glyphs.ravel().tolist())


def test_parts_are_the_same_with_and_without_wrong_labels() -> None:
    bank = load(Source("test"))
    for pool in ((0, 1, 2), (1, 2, 2)):
        recipe = recipe_for(seed=1, source="test", pool=pool, exclude_mislabeled=True)
        assert set(ids_of(check_bank(recipe, bank))) == set(ids_of(glyph_choice.part(bank, pool))) - MISLABELED


def test_own_glyphs_have_no_known_wrong_labels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(idx.encode(np.zeros((10, 28, 28), np.uint8)))
    (tmp_path / "l").write_bytes(idx.encode(np.arange(10, dtype=np.uint8)))
    own = ["--source", str(tmp_path / "i"), "--source-labels", str(tmp_path / "l")]
    arguments = ["dataset", "-n", "3", "--len", "2", "--exclude-mislabeled", *own, "-o", str(tmp_path / "out")]
    assert main.run(arguments) == 2
    assert capfd.readouterr().err == (
        "mnistseq: --exclude-mislabeled leaves out known wrong labels of MNIST's test file, "
        "and the source is a custom one; leave it out, and take wrong ones out of your files\n"
    )
    assert not (tmp_path / "out").exists()


def test_where_there_is_no_wrong_label_to_leave_out_it_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = ["dataset", "--len", "2", "--exclude-mislabeled"]
    told = "--exclude-mislabeled changes nothing: the known wrong labels are in MNIST's test file, "
    for command, says in (
        ([*dataset, "-n", "3", "-o", "a"], True),
        ([*dataset, "-n", "3", "--source", "train", "-o", "b"], True),
        ([*dataset, "-n", "3", "--format", "webdataset", "-o", "-"], True),
        ([*dataset, "--split", "train=3", "--split", "val=3", "-o", "c"], True),
        (["generate", "1-2", "--exclude-mislabeled"], True),
        ([*dataset, "-n", "3", "--source", "test", "-o", "d"], False),
        ([*dataset, "-n", "3", "--source", "all", "-o", "e"], False),
        ([*dataset, "--split", "train=3", "--split", "test=3", "-o", "f"], False),
        (["generate", "1-2", "--exclude-mislabeled", "--source", "test"], False),
    ):
        assert main.run(command) == 0
        assert (told in capfd.readouterr().err) is says, command


# Each once


ONCE: dict[str, dict[str, Any]] = {
    "plain": {"length": 4},
    "lengths": {"length": ((1, 1), (5, 2))},
    "listed": {"sequences": [(0, 0, 4), (7,), (1, 0)]},
    "balanced": {"length": 2, "per_label": 3},
    "pattern": {"pattern": "0{1,3}[1-4]"},
    "no zeros": {"length": 3, "digits": (1, 2, 3)},
    "check digit": {"length": 7, "check": "luhn"},
    "part": {"length": 4, "pool": (1, 2, 3)},
}
each_rule = pytest.mark.parametrize("wanted", ONCE.values(), ids=ONCE.keys())


@each_rule
@pytest.mark.parametrize("count", [6, 40, 700])
def test_no_glyph_comes_again_before_all_of_its_digit_have_come(wanted: dict[str, Any], count: int) -> None:
    bank = small_bank([count + digit for digit in range(10)])
    recipe = recipe_for(seed=5, source="small", glyphs="once", **wanted)
    allowed = check_bank(recipe, bank)
    shown = annotate(recipe, bank, 0, 3_000)
    order: dict[int, list[int]] = {digit: [] for digit in range(10)}
    for digits, glyphs, length in zip(shown.digits.tolist(), shown.glyphs.tolist(), shown.lengths, strict=True):
        for digit, glyph in zip(digits[:length], glyphs[:length], strict=True):
            order[digit].append(glyph)
    for digit, came in order.items():
        pool = allowed.glyphs_of(digit).tolist()
        rounds = [came[start : start + len(pool)] for start in range(0, len(came), len(pool))]
        assert all(len(set(round_)) == len(round_) and set(round_) <= set(pool) for round_ in rounds)
        if len(rounds) > 2:
            assert rounds[:9] != [sorted(round_) for round_ in rounds[:9]]
            assert len(pool) < 30 or len(set(map(tuple, rounds[:-1]))) == len(rounds) - 1


@each_rule
def test_turns_are_counted_as_the_slow_loop_counts_them(wanted: dict[str, Any]) -> None:
    recipe = recipe_for(seed=6, glyphs="once", **wanted)
    digits, lengths = sequences(recipe, range(5_000))
    seen: Counter[int] = Counter()
    expected = []
    for row, length in zip(digits.tolist(), lengths.tolist(), strict=True):
        expected.append([])
        for digit in row[:length]:
            expected[-1].append(seen[digit])
            seen[digit] += 1
    for first, stop in [(0, 1), (4_990, 5_000), (2_047, 2_050), (0, 5_000), (4_096, 4_097)]:
        found = occurrences(recipe, range(first, stop)).tolist()
        assert [row[:length] for row, length in zip(found, lengths[first:stop].tolist(), strict=True)] == expected[
            first:stop
        ]


@given(
    wanted=st.sampled_from(list(ONCE.values())),
    glyphs=st.sampled_from(["any", "once"]),
    first=st.integers(0, 9_000),
    count=st.integers(1, 60),
    data=st.data(),
)
def test_any_batch_gives_the_same_samples(
    wanted: dict[str, Any], glyphs: Any, first: int, count: int, data: st.DataObject
) -> None:
    recipe = recipe_for(seed=4, glyphs=glyphs, exclude_mislabeled=True, **wanted)
    bank = load(Source("train"))
    whole = compose(recipe, bank, first, first + count)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=3), label="cuts")})
    for begin, end in pairwise(cuts):
        assert compose(recipe, bank, first + begin, first + end).first_difference(whole.part(begin, end)) is None


def test_once_changes_glyphs_and_nothing_else() -> None:
    plain, once = (SequenceDataset(length=4, seed=7, max_gap=5, glyphs=rule) for rule in ("any", "once"))
    one, other = plain.batch(500, 700), once.batch(500, 700)
    for name in ("digits", "lengths", "x"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.glyphs != other.glyphs).mean() > 0.99
    assert (SequenceDataset(length=4, seed=8, glyphs="once").batch(0, 9).glyphs != once.batch(0, 9).glyphs).any()


def test_ten_thousand_strips_of_four_use_forty_thousand_glyphs() -> None:
    counts = Counter(SequenceDataset(length=4, seed=1, glyphs="once").batch(0, 10_000).glyphs.ravel().tolist())
    assert set(counts.values()) == {1}


# Parts of the sequences


@pytest.mark.parametrize("rule", [{}, {"per_label": 2}], ids=["random", "per label"])
@pytest.mark.parametrize(("length", "digits"), [(2, tuple(range(10))), (3, (0, 4, 7)), (1, tuple(range(10)))])
def test_parts_of_the_sequences_have_none_in_common(rule: dict[str, Any], length: int, digits: Any) -> None:
    every = len(digits) ** length
    seen = []
    for low, high in [(0, 64), (64, 80), (80, 100)]:
        recipe = recipe_for(seed=low, length=length, digits=digits, label_pool=(low, high, 100), **rule)
        written, lengths = sequences(recipe, range(40 * every))
        assert (lengths == length).all()
        seen.append({tuple(row) for row in written.tolist()})
        assert len(seen[-1]) == recipe.sequence_count
        if rule:
            assert recipe.round == 2 * recipe.sequence_count
            counts = Counter(map(tuple, written[: recipe.round].tolist()))
            assert set(counts.values()) == {2}
    assert sum(map(len, seen)) == len(set().union(*seen)) == every


def test_a_part_of_the_sequences_is_written_evenly_and_anywhere() -> None:
    recipe = recipe_for(seed=2, length=2, label_pool=(0, 1, 2))
    whole, _ = sequences(recipe, range(10_000))
    counts = Counter(map(tuple, whole.tolist()))
    assert len(counts) == 50
    assert 130 < min(counts.values()) < max(counts.values()) < 270
    for first, stop in [(0, 1), (17, 93), (9_999, 10_000)]:
        np.testing.assert_array_equal(sequences(recipe, range(first, stop))[0], whole[first:stop])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"glyphs": "twice"}, "`glyphs` is 'twice'; it is one of any, once"),
    ({"pool": (0, 1)}, "pool is (0, 1); it is (low, high, whole): that part of every whole"),
    ({"pool": (1, 1, 2)}, "the beginning of pool is 1; it has to be 0 to 0"),
    ({"pool": (0, 3, 2)}, "the end of pool is 3; it has to be 1 to 2"),
    ({"pool": (0, 0, 0)}, "the whole of pool is 0; it has to be 1 to 1000000000000"),
    ({"label_pool": (0, 1, 2), "pattern": "12"}, "a part of all sequences of one length does not go with `pattern`"),
    (
        {"label_pool": (0, 1, 2), "repeat": False},
        "a part of all sequences of one length does not go with `repeat=False`",
    ),
    (
        {"label_pool": (0, 1, 2), "length": 10},
        "10000000000 sequences are too many to take a part of; fewer digits, or less `length`",
    ),
    (
        {"label_pool": (0, 1, 101), "length": 2},
        "that part of 100 sequences is none of them; more digits, or more `length`",
    ),
]


@pytest.mark.parametrize(("wanted", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused_with_the_reason(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        recipe_for(seed=1, **wanted)
    assert str(caught.value) == message


# On the command line


def test_the_options_of_the_command_are_those_of_the_recipe(tmp_path: Path) -> None:
    options = ["--glyphs", "once", "--exclude-mislabeled", "--source", "test", "--seed", "3"]
    assert main.run(["dataset", "-n", "300", "--len", "3", *options, "-o", str(tmp_path / "out")]) == 0
    stored = open_dataset(tmp_path / "out")
    made = SequenceDataset(length=3, seed=3, glyphs="once", exclude_mislabeled=True, source="test", samples=300)
    assert stored.recipe == made.recipe
    assert made.batch(0, 300).first_difference(stored.batch(0, 300)) is None
    assert set(Counter(stored.batch(0, 300).glyphs.ravel().tolist()).values()) == {1}
