"""A recipe in words is complete, and its command makes the same dataset; counts as bars lose nothing."""

import json
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli.dataset.manifest import read_spec
from mnist_seq_cli.inspection.figures import binned
from mnist_seq_cli.recipe import description
from mnist_seq_cli.recipe.description import facts
from mnist_seq_cli.recipe.options.kinds import Flag, Integer
from mnist_seq_cli.recipe.options.option import option
from mnist_seq_cli.recipe.recipe import Recipe

Run = Callable[..., tuple[int, str, str]]

WAYS = {
    "plain": ("--len", "4"),
    "lengths": ("--len", "2-5", "--max", "6"),
    "weights": ("--len", "2:1,5:3"),
    "equal": ("--len", "3", "--max", "7", "--spacing", "equal"),
    "width": ("--len", "3", "--width", "100"),
    "canvas": ("--len", "3", "--width", "150", "--spacing", "random", "--max", "4"),
    "canvas and one gap": ("--len", "2", "--width", "150", "--spacing", "random", "--min", "4", "--max", "4"),
    "one digit": ("--len", "1", "--width", "60", "--spacing", "random"),
    "gap": ("--len", "2", "--min", "5"),
    "digits": ("--len", "3", "--digits", "0-4", "--no-repeat"),
    "check": ("--len", "3", "--check", "luhn", "--invert", "--source", "all"),
    "pattern": ("--pattern", r"(19|20)\d{2}( 0|')?".replace("( 0|')?", "")),
    "every": ("--len", "1", "--per-label", "3", "--digits", "02468"),
    "format": ("--len", "2", "--format", "npz", "--compression", "small", "--shard-size", "7", "--source", "test"),
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_the_command_makes_the_same_dataset(
    options: tuple[str, ...], tmp_path: Path, mnistseq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = () if "--per-label" in options else ("-n", "9")
    assert mnistseq("dataset", *samples, *options, "--seed", "5", "-o", "out")[0] == 0
    program, *arguments = shlex.split(json.loads(mnistseq("inspect", "out", "--json")[1])["command"])
    assert program == "mnistseq"
    assert mnistseq(*arguments)[:2] == (0, "")
    assert read_spec(tmp_path / "again") == read_spec(tmp_path / "out")


def test_the_command_can_be_given_to_a_shell(tmp_path: Path, environment: dict[str, str], mnistseq: Run) -> None:
    """Here for given sequences, in a directory whose name needs quotes."""
    (tmp_path / "labels").write_text("".join(f"{number}\n" for number in range(30)))
    command = ("dataset", "--labels", tmp_path / "labels", "--shuffle", "--max", "2", "--seed", "5")
    assert mnistseq(*command, "-o", tmp_path / "it's out")[0] == 0
    again = json.loads(mnistseq("inspect", tmp_path / "it's out", "--json")[1])["command"]
    subprocess.run(["bash", "-c", again], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert read_spec(tmp_path / "again") == read_spec(tmp_path / "it's out")


def test_every_field_of_a_recipe_has_words_of_its_own() -> None:
    """One that has none is shown all the same: see below. What it needs in the command has to be put into `command`."""
    assert {field.name for field in fields(Recipe)} == description.IN_WORDS


@dataclass(frozen=True, kw_only=True)
class Blurred(Recipe):
    """A recipe with one more option, declared and nothing else."""

    blur_x: int = option(0, Integer(0, 9), "Blur each image, by PX.")
    soft: bool = option(False, Flag(), "Soften each image.")


def test_an_option_without_words_is_shown_as_it_was_declared() -> None:
    plain = Recipe(seed=1, length=2, width=56)
    assert facts(Blurred(seed=1, length=2, width=56)) == facts(plain)
    shown = facts(Blurred(seed=1, length=2, width=56, blur_x=3, soft=True))
    assert [fact for fact in shown if fact not in facts(plain)] == [("blur x", "3"), ("soft", "yes")]


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (Recipe(seed=1, length=4, width=112), {"digits": "4 a strip", "gaps": "0 px", "strips": "112×28 px"}),
        (
            Recipe(seed=1, length=5, lengths=((2, 1), (5, 3)), width=140),
            {"digits": "a strip, with weights: 2 (1), 5 (3)"},
        ),
        (
            Recipe(seed=1, length=3, lengths=((2, 2), (3, 2)), width=84),
            {"digits": "2 to 3 a strip, all lengths equally likely"},
        ),
        (
            Recipe(seed=1, length=2, sequences=((1,), (2, 3)), shuffle=True, width=56),
            {"digits": "1 to 2 a strip", "written": "2 given sequences (1, 2-3), in a new order each round"},
        ),
        (Recipe(seed=1, length=2, pattern="1[23]", width=56), {"written": "what the pattern 1[23] stands for"}),
        (
            Recipe(seed=1, length=2, digits=(0, 1, 5), repeat=False, width=56),
            {"written": "only the digits 0, 1 and 5; no digit twice in a strip"},
        ),
        (
            Recipe(seed=1, length=2, per_label=5, width=56),
            {"written": "every sequence of 2 digits 5 times, shuffled"},
        ),
        (Recipe(seed=1, length=2, check="luhn", width=56), {"written": "the last one is a Luhn check digit"}),
    ],
)
def test_a_recipe_in_words(recipe: Recipe, told: dict[str, str]) -> None:
    assert dict(facts(recipe)) | told == dict(facts(recipe))


@given(counts=st.dictionaries(st.integers(0, 100_000), st.integers(1, 10**6), max_size=50), bars=st.integers(1, 40))
def test_bars_lose_nothing_and_are_few(counts: dict[int, int], bars: int) -> None:
    rows = binned({str(value): count for value, count in counts.items()}, bars)
    assert len(rows) <= bars
    assert sum(count for _, count in rows) == sum(counts.values())
    for label, count in rows:
        low, _, high = label.partition(" to ")
        inside = range(int(low), int(high or low) + 1)
        assert count == sum(counts.get(value, 0) for value in inside)
