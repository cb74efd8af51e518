"""Lists of sequences: held compactly, they are what a list of tuples is, whatever their text and its blocks."""

import json
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe import recipe_file
from mnist_seq_cli.recipe.json_values import parse_json
from mnist_seq_cli.recipe.options import sequences
from mnist_seq_cli.recipe.options.notation import Digits, parse_sequence
from mnist_seq_cli.recipe.options.sequences import Sequences, parse_with_sequences, read_sequences, sequences_of
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec

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
    monkeypatch.setattr("mnist_seq_cli.recipe.json_values.MAX_TEXT", 1 << 20)
    assert parse_json(b"[1,2,3]", "x") == [1, 2, 3]
    with pytest.raises(FormatError, match="x is too large to be true: it has more than 9 values or 1 MiB"):
        parse_json(b"[" + b"{}," * 9 + b"1]", "x")
    for character, most in (("x", (1 << 20) - 2), ("é", (1 << 18) - 1)):
        assert parse_json(f'"{character * most}"'.encode(), "x") == character * most
        with pytest.raises(FormatError, match="too large"):
            parse_json(f'"{character * most}{character}"'.encode(), "x")


@pytest.mark.parametrize("indent", [None, 2])
def test_long_lists_of_sequences_in_json_are_never_objects(indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MANY", 3)
    monkeypatch.setattr(sequences, "_BLOCK", 7)
    monkeypatch.setattr("mnist_seq_cli.recipe.json_values.MAX_VALUES", 40)
    many = ["1-2-3", "4", "007"] * 20
    values = {"sequences": many, "recipe": {"a": 1, "sequences": many}, "request": {"sequences": many[:6], "z": [2]}}
    found: Any = parse_with_sequences(json.dumps(values, indent=indent).encode(), "x")
    assert found["sequences"] == Sequences.of([(1, 2, 3), (4,), (0, 0, 7)] * 20)
    assert found["recipe"] == {"a": 1, "sequences": found["sequences"]}
    assert found["recipe"]["sequences"] is found["sequences"]
    assert found["request"] == {"sequences": Sequences.of([(1, 2, 3), (4,), (0, 0, 7)] * 2), "z": [2]}


@pytest.mark.parametrize(
    "text",
    [
        '["1", "2"]',
        '["1", "2", 3]',
        '["1", "2", ""]',
        '["1", "2", "a"]',
        '["1", "2", "1,2"]',
        '["1", "2", "1 2"]',
        '["1", "2", "1--2"]',
        r'["1", "2", "\n3"]',
        '["1", "2", "]", "3"]',
        "[[1], [2], [3]]",
        '{"file": "labels.txt", "count": 3}',
        '"1"',
        "null",
    ],
)
def test_other_lists_in_json_are_read_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MANY", 3)
    inside = json.dumps('{"sequences": ["1", "2", "3"]}')
    whole = f'{{"recipe": {{"sequences": {text}}}, {inside}: {inside}}}'
    assert parse_with_sequences(whole.encode(), "x") == json.loads(whole)


@pytest.mark.parametrize(
    "content",
    [b'{"sequences": ["1", "2", "3"', b'{"sequences": ["1", "2", "3",]}', b'{"sequences": ["1" "2", "3", "4"]}'],
)
def test_a_list_that_is_not_json_is_not_read(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MANY", 2)
    with pytest.raises(FormatError, match="x is not JSON"):
        parse_with_sequences(content, "x")


def test_a_recipe_of_an_earlier_version_has_its_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe = recipe_for(seed=5, sequences=[(0, 0, 4), (7,), (1, 2)] * 5, shuffle=True)
    asked = {"sequences": ["0-0-4", "7", "1-2"] * 5, "shuffle": True, "seed": 5}
    spec = Spec(recipe=recipe, samples=9, format="png", compression="fast", shard_size=6, request=asked)
    (tmp_path / "recipe.json").write_text(json.dumps(spec.to_json(), indent=2))
    monkeypatch.setattr(sequences, "MANY", 15)
    assert manifest.read_spec(tmp_path) == spec
    assert recipe_file.read(tmp_path / "recipe.json")["sequences"] == recipe.sequences


MEMORY = """
import sys
from mnist_seq_cli.recipe.options.sequences import parse_with_sequences
import numpy
content = eval(sys.argv[1])
def kilobytes(what):
    return int(open("/proc/self/status").read().split(what)[1].split()[0])
before = kilobytes("VmRSS:")
open("/proc/self/clear_refs", "w").write("5")
try:
    parse_with_sequences(content, "x")
except Exception as error:
    print(error)
print(kilobytes("VmHWM:") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked at in /proc")
@pytest.mark.parametrize(
    "content",
    [
        """b'{"recipe": {"sequences": [' + b', '.join([b'"0-1-2-3"'] * 5_000_000) + b']}}'""",
        """b'{' + b','.join(b'"%08d":1' % n for n in range(499_998)) + b'}'""",
        """b'[' + b','.join(b'{"%07d":1}' % n for n in range(333_000)) + b']'""",
        """b'[' + b','.join([b'[]'] * 10_000_000) + b']'""",
        r"""b'"' + b'x' * (31 << 20) + b'\\ud83d\\ude00"'""",
        """b'"' + b'x' * (15 << 20) + chr(128512).encode() + b'"'""",
    ],
    ids=["five million labels", "keys", "objects", "ten million lists", "escaped", "wide"],
)
def test_json_takes_little_memory_for_a_moment(content: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, content], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 200 << 10
