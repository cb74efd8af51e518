"""Lists of sequences: held compactly, they are what a list of tuples is, whatever their text and its blocks."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.json_values import parse_json
from mnist_seq_cli.recipe.options import sequences
from mnist_seq_cli.recipe.options.notation import Digits, parse_sequence
from mnist_seq_cli.recipe.options.sequences import Sequences, read_sequences, sequences_of
from mnist_seq_cli.recipe.recipe import Recipe

LISTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple), max_size=9)
LINES = st.lists(st.text("0123-, \r\té", max_size=6) | st.integers(0, 999).map(str) | st.just("1-2,3 4"), max_size=9)


def expected_of(lines: list[str]) -> list[Digits] | None:
    with suppress(RequestError):
        return [parse_sequence(line) for line in lines if line.strip()]
    return None


@given(lines=LINES, size=st.integers(1, 20), start=st.sampled_from(["", "\ufeff"]), end=st.sampled_from(["", "\n"]))
def test_a_text_in_any_blocks_is_read_as_line_by_line(lines: list[str], size: int, start: str, end: str) -> None:
    text = (start + "\n".join(lines) + end).encode()
    blocks = [text[at : at + size] for at in range(0, len(text), size)]
    expected = expected_of(lines)
    if expected is None:
        with pytest.raises(RequestError, match=r"^line \d+: "):
            read_sequences(blocks)
    else:
        assert list(read_sequences(blocks)) == expected


@given(first=LISTS, second=LISTS)
def test_they_are_what_a_list_is(first: list[Digits], second: list[Digits]) -> None:
    one, other = Sequences.of(first), Sequences.of(second)
    assert (list(one), len(one), one[:2], one == other) == (first, len(first), tuple(first[:2]), first == second)
    assert (pickle.loads(pickle.dumps(one)), hash(one)) == (Sequences.of(first), hash(Sequences.of(first)))
    assert (one.shortest, one.longest) == (min(map(len, first), default=0), max(map(len, first), default=0))
    assert one.numbers().tolist() == [list(dict.fromkeys(first)).index(each) for each in first]
    assert one.isdisjoint(other) == {*first}.isdisjoint(second)
    odd = np.arange(len(first)) % 2 == 1
    assert list(one.chosen(odd)) == first[1::2]
    assert read_sequences(one.text()) == one


def test_a_line_without_an_end_is_refused_at_once() -> None:
    read = 0

    def endless() -> object:
        nonlocal read
        yield b"1\n2\n"
        while True:
            read += 1
            yield bytes(1 << 20)

    with pytest.raises(RequestError, match="line 3: a sequence of more than 65536 characters is too long; 1000 digits"):
        read_sequences(endless())  # type: ignore[arg-type]
    assert read == 1


def test_many_in_json_are_read_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["1-2", " 3\n", "4,5"]
    expected = sequences_of(texts)
    monkeypatch.setattr(sequences, "MANY", 2)
    assert sequences_of(texts) == expected == Sequences.of([(1, 2), (3,), (4, 5)])
    assert sequences_of(["12", "345"]) == Sequences.of([(1, 2), (3, 4, 5)])
    for wrong in ("", "1\n2", "x", "1-2-٣", "\ud800", "1" * 100_000):
        with pytest.raises(RequestError, match=r"^(?!line)"):
            sequences_of(["1", wrong, "2"])


def test_the_fingerprint_is_the_same_for_few_and_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    written = [(0, 0, 4), (7,), (1, 2)] * 5
    few = recipe_for(seed=5, sequences=written, shuffle=True)
    monkeypatch.setattr(sequences, "MANY", 15)
    monkeypatch.setattr(sequences, "_PIECE", 4)
    many = recipe_for(seed=5, sequences=written, shuffle=True)
    values = many.to_json()
    assert values["sequences"] == {"file": "labels.txt", "count": 15, "sha256": many.sequences.sha256}
    assert many.fingerprint == few.fingerprint
    with pytest.raises(FormatError, match="the recipe has sequences = "):
        Recipe.from_json(values)


def test_a_json_file_of_more_values_than_any_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_seq_cli.recipe.json_values.MAX_VALUES", 9)
    assert parse_json(b"[1,2,3]", "x") == [1, 2, 3]
    with pytest.raises(FormatError, match="x is too large to be true: it has more than 9 values"):
        parse_json(b"[" + b"{}," * 9 + b"1]", "x")
