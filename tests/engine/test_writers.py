"""One hand, one number: whose digits strips are made of, and parts of the writers that have none in common."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.engine.compose import annotate
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.engine.writers import writers_of
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Bank, Source, bundled_writers, load

TRAIN, TEST = bundled_writers()[:60_000], bundled_writers()[60_000:]


def bank_of(written: list[tuple[int, int]]) -> Bank:
    """Return a bank of a glyph for each (writer, digit)."""
    writers, digits = (np.array(column) for column in zip(*written, strict=True))
    images = np.zeros((len(digits), 28, 28), np.uint8)
    images[:, 9, 9] = np.arange(len(digits))
    return Bank([images], digits.astype(np.uint8), identity="ours", writers=lambda: writers.astype(np.int32))


def test_the_bundled_writers_are_as_known() -> None:
    assert [len(np.unique(part)) for part in (TRAIN, TEST)] == [539, 297]
    assert not set(TRAIN.tolist()) & set(TEST.tolist())
    np.testing.assert_array_equal(load(Source("test")).writers, TEST)
    np.testing.assert_array_equal(load(Source("all")).written_by(np.array([0, 60_000])), [TRAIN[0], TEST[0]])


WAYS: dict[str, dict[str, Any]] = {
    "four digits": {"length": 4},
    "lengths, without noughts": {"length": ((1, 1), (9, 2)), "digits": (1, 2, 3)},
    "listed": {"sequences": [(0, 0, 4), (7,), (1, 1, 1, 1, 1, 1)]},
    "a part": {"length": 3, "writer_pool": (8, 9, 9), "source": "test", "exclude_mislabeled": True},
    "parts of both": {"length": 3, "writer_pool": (0, 1, 2), "pool": (0, 1, 2), "source": "all"},
}


@pytest.mark.parametrize("asked", WAYS.values(), ids=WAYS.keys())
def test_all_digits_of_a_sample_are_by_one_writer_and_different_while_there_are_more(asked: dict[str, Any]) -> None:
    recipe = recipe_for(seed=5, writer="same", **asked)
    bank = load(Source(recipe.source))
    allowed = check_bank(recipe, bank)
    shown = annotate(recipe, bank, 40, 2_040)
    theirs: dict[tuple[int, int], int] = {}
    for digit in range(10):
        for writer in allowed.written_by(allowed.glyphs_of(digit)).tolist():
            theirs[writer, digit] = theirs.get((writer, digit), 0) + 1
    rows = zip(shown.digits, shown.glyphs, shown.lengths, shown.sampled["writer"].tolist(), strict=True)
    for digits, glyphs, length, writer in rows:
        assert set(bank.written_by(glyphs[:length]).tolist()) == {writer}
        assert bank.labels[glyphs[:length] - bank.first_id].tolist() == digits[:length].tolist()
        for digit in set(digits[:length].tolist()):
            used = glyphs[:length][digits[:length] == digit].tolist()
            assert len(set(used)) == min(len(used), theirs[writer, digit])


def test_each_writer_who_has_the_digits_has_the_same_chance_and_each_of_their_glyphs_too() -> None:
    counts = {(1, 3): 1, (1, 4): 9, (5, 3): 3, (5, 4): 1, (7, 4): 50, (9, 3): 2, (9, 4): 2}
    bank = bank_of([pair for pair, times in counts.items() for _ in range(times)])
    recipe = recipe_for(seed=1, sequences=[(3, 4, 3)], writer="same", source="ours")
    shown = annotate(recipe, bank, 0, 30_000)
    writers, times = np.unique(shown.sampled["writer"], return_counts=True)
    assert writers.tolist() == [1, 5, 9]  # 7 has no 3
    assert abs(times - 10_000).max() < 300
    (first, last), of_five = shown.glyphs[:, [0, 2]].T, shown.sampled["writer"] == 5
    for column in (first, last):
        assert abs(np.bincount(column[of_five] - 10)[:3] / of_five.sum() - 1 / 3).max() < 0.02
    assert (first == last).sum() == times[0]  # only 1 has a single 3


def test_a_sample_alone_is_that_of_a_batch() -> None:
    data = SequenceDataset(length="1-5", seed=3, writer="same", source="test")
    whole = data.batch(0, 3_000)
    for numbers in ([7], [2_999, 0, 7, 7], list(range(500, 900, 3))):
        part = data.batch(numbers)
        np.testing.assert_array_equal(part.glyphs, whole.glyphs[numbers])
        np.testing.assert_array_equal(part.sampled["writer"], whole.sampled["writer"][numbers])


def test_the_choice_has_a_stream_of_its_own() -> None:
    same, free = (SequenceDataset(length=4, seed=9, max_gap=8, writer=rule).batch(0, 300) for rule in ("same", "any"))
    for name in ("digits", "x"):
        np.testing.assert_array_equal(getattr(same, name), getattr(free, name))
    assert "writer" not in free.sampled
    # What these samples are is a promise.
    assert same.sampled["writer"][:4].tolist() == FIRST_WRITERS
    assert same.glyphs[0].tolist() == FIRST_GLYPHS


FIRST_WRITERS, FIRST_GLYPHS = [2331, 2107, 269, 102], [4056, 26830, 27816, 35720]


@pytest.mark.parametrize("cuts", [(0, 9, 10), (0, 50_000, 55_000), (0, 3, 4, 536)], ids=str)
def test_parts_share_no_writer_leave_none_out_and_have_every_digit(cuts: tuple[int, ...]) -> None:
    bank, seen = load(Source("train")), list[int]()
    for low, high in pairwise(cuts):
        recipe = recipe_for(seed=1, length=2, writer_pool=(low, high, cuts[-1]))
        part = check_bank(recipe, bank)
        assert part.counts.min() > 0
        assert check_bank(recipe, bank) is part
        seen += writers_of(part).numbers.tolist()
    assert sorted(seen) == sorted({*TRAIN.tolist()})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"writer": "one"}, "`writer` is 'one'; it is one of any, same"),
    (
        {"writer": "same", "glyphs": "once"},
        "`glyphs=once` uses all glyphs of all writers, and `writer=same` those of one at a time; leave one of them out",
    ),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED, ids=str)
def test_what_cannot_be_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        recipe_for(seed=1, **asked)
    assert str(caught.value) == message


def test_a_bank_without_a_writer_of_all_digits_or_without_writers_is_refused() -> None:
    recipe = recipe_for(seed=1, length=2, digits=(3, 4), writer="same", source="ours")
    with pytest.raises(RequestError, match="none of 2 writers of the source wrote all of 3, 4; fewer digits"):
        check_bank(recipe, bank_of([(1, 3), (2, 4)]))
    unknown = Bank([np.zeros((2, 28, 28), np.uint8)], np.array([3, 4], np.uint8), identity="ours")
    with pytest.raises(RequestError, match="it is not known who wrote the digits of a custom source; tell it with"):
        check_bank(recipe, unknown)


# On the command line


def test_datasets_and_single_images_are_by_one_hand(mnistseq: Any, tmp_path: Path) -> None:
    once = ["--len", "3", "--seed", "4", "--source", "test", "--writer", "same"]
    left_out = "173 of 297 writers lack a digit: they write none of the sequences that have it\n"
    for form in ("npz", "png"):
        done = mnistseq("dataset", "-n", "50", *once, "--format", form, "-o", tmp_path / form)
        assert (done.code, done.err.startswith(left_out)) == (0, True)
        assert mnistseq("inspect", tmp_path / form, "--verify", "--regenerate", "1").code == 0
    made = SequenceDataset(length=3, seed=4, source="test", writer="same", samples=50).batch(0, 50)
    stored = open_dataset(tmp_path / "npz").batch(0, 50)
    np.testing.assert_array_equal(stored.sampled["writer"], made.sampled["writer"])
    rows = [json.loads(line) for line in (tmp_path / "png/metadata.jsonl").read_text().splitlines()]
    assert [row["writer"] for row in rows] == made.sampled["writer"].tolist()
    assert ", each sequence by one hand" in mnistseq("inspect", tmp_path / "png").out
    done = mnistseq("generate", "3-1-4-1-5-9", "--writer", "same", "--seed", "5", "-o", tmp_path / "pi.png")
    assert done.code == 0
    read = json.loads(mnistseq("inspect", tmp_path / "pi.png", "--json").out)
    assert len(set(TRAIN[read["glyphs"]].tolist())) == 1
    assert len(set(read["glyphs"])) == 6


def test_custom_sources_have_their_writers_in_a_file(mnistseq: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    digits = np.tile(np.arange(10, dtype=np.uint8), 6)
    images = np.arange(60 * 81, dtype="<u4").astype(np.uint8).reshape(60, 9, 9)
    writers = np.repeat(np.arange(3), 20)
    columns = np.zeros((60, 8), np.int32)
    columns[:, 0], columns[:, 2] = digits, writers
    for name, values in (
        ("i", images),
        ("l", digits),
        ("w", writers.astype(np.int16)),
        ("q", columns),
        ("x", digits[1:]),
    ):
        Path(name).write_bytes(idx.encode(values))
    own = ["--source", "i", "--source-labels", "l"]
    common = ["dataset", "-n", "9", "--len", "3", "--seed", "1", *own]
    done = mnistseq(*common, "--writer", "same", "-o", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--writers" in done.err
    for name in ("w", "q"):
        assert mnistseq(*common, "--writer", "same", "--writers", name, "-o", name + "-out").code == 0
    assert Path("w-out/metadata.jsonl").read_bytes() == Path("q-out/metadata.jsonl").read_bytes()
    for row in map(json.loads, Path("w-out/metadata.jsonl").read_text().splitlines()):
        assert {row["writer"]} == set(writers[row["glyphs"]].tolist())
    assert mnistseq("inspect", "w-out", "--regenerate", "1", *own, "--writers", "w").code == 0
    assert "--writers WRITERS" in json.loads(mnistseq("inspect", "w-out", "--json").out)["command"]
    with pytest.raises(FormatError, match="x holds 59 writers, and there are 60 images"):
        SequenceDataset(source="i", source_labels="l", writers="x")
    done = mnistseq("dataset", "-n", "9", "--len", "3", "--writers", "w", "-o", "mnist")
    assert (done.code, "leave it out: who wrote MNIST's digits is known" in done.err) == (2, True)
