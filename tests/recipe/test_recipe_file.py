"""Recipes in files: a recipe.json makes the same again, a part of one is a request, and options change it."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from faulty import tree
from hypothesis import given
from hypothesis import strategies as st
from strategies import recipes

from mnist_seq_cli import open_dataset
from mnist_seq_cli.errors import FormatError, MnistseqError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe import recipe_file
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import Spec

Run = Callable[..., Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["length", "seed", "pool"]), inner),
)
"""Values that a JSON file can hold."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def request_of(words: dict[str, Any]) -> Recipe:
    form = ("samples", "format", "compression", "shard_size")
    return recipe_for(**{name: value for name, value in words.items() if name not in form})


# The whole of a recipe.json


OPTIONS = [
    "-n 40 --len 3",
    "-n 40 --len 3 --max 9 --seed 5 --invert",
    "-n 40 --len 3 --width 100",
    "-n 40 --len 1 --width 60 --spacing random",
    "-n 40 --len 3 --max 9 --spacing equal --format npz",
    "-n 40 --len 2-4 --width 150 --spacing random --shard-size 7",
    "-n 40 --len 2:1,4:5 --no-repeat --max 2 --compression small",
    "--labels list.txt --shuffle",
    "--len 2 --per-label 1 --digits 0-4 --format webdataset",
    r"-n 40 --pattern 4\d{5} --check luhn --glyphs once",
    "-n 40 --len 2 --source test --exclude-mislabeled",
    "-n 20 --len 3 --margin 4 --jitter-x 2 --jitter-y full --height 60 --slant -10-10 --width fit",
    "-n 20 --len 1-3 --crop tight --align center --width 200 --max 3 --scale 80-120",
    "-n 20 --len 3 --min -12 --noise 20 --paper grain --contrast 50 --stroke 1 --rotate -20-20",
    "-n 20 --len 3 --align left --width 200 --layout folders",
    "-n 20 --len 1 --align random --width 60 --height 40 --jitter-y 3",
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_recipe_json_makes_the_same_dataset_again(options: str, mnistseq: Run, place: Path) -> None:
    Path("list.txt").write_text("1\n22\n333\n")
    assert mnistseq("dataset", *options.split(), "-o", "one").code == 0
    done = mnistseq("dataset", "--recipe", "one/recipe.json", "-o", "other")
    assert done.code == 0, done.err
    assert tree(place / "one") == tree(place / "other")
    assert mnistseq("dataset", "--recipe", "one/recipe.json", "-o", "one").code == 0


@given(
    recipe=recipes(),
    glyphs=st.sampled_from(["any", "once"]),
    pool=st.sampled_from([(0, 1, 1), (3, 7, 11)]),
    more=st.sampled_from([0, 0, 3]),
)
def test_any_recipe_comes_back_from_its_file(recipe: Recipe, glyphs: Any, pool: Any, more: int) -> None:
    if more and recipe.spacing == "random":
        recipe = replace(recipe, width=recipe.width + more)
    recipe = replace(recipe, glyphs=glyphs, pool=pool)
    spec = Spec(recipe=recipe, samples=5, format="png", compression="fast", shard_size=9)
    Path("recipe.json").write_text(json.dumps(spec.to_json()))
    words = recipe_file.read(Path("recipe.json"))
    assert (words["samples"], words["format"], words["shard_size"]) == (5, "png", 9)
    assert request_of(words) == recipe
    Path("recipe.json").write_text(json.dumps(recipe.to_json()))
    assert request_of(recipe_file.read(Path("recipe.json"))) == recipe


def test_the_parts_of_a_split_are_made_again(mnistseq: Run, place: Path) -> None:
    splits = ["--split", "train=50", "--split", "val=20"]
    assert mnistseq("dataset", *splits, "--len", "2", "--split-by", "both", "-o", "out").code == 0
    assert mnistseq("dataset", "--recipe", "out/val/recipe.json", "-o", "val").code == 0
    assert tree(place / "val") == tree(place / "out/val")
    done = mnistseq("dataset", "--recipe", "out/val/recipe.json", *splits, "-o", "again")
    message = "out/val/recipe.json takes a part already, with pool; leave it out for --split"
    assert done == (2, "", f"mnistseq: {message}\n")


def test_glyphs_of_ones_own_have_to_be_given_again(mnistseq: Run, place: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        glyphs = np.random.default_rng(seed).integers(1, 255, (20, 9, 7), dtype=np.uint8)
        Path(name).write_bytes(idx.encode(glyphs))
    Path("l").write_bytes(idx.encode(np.arange(20, dtype=np.uint8) % 10))
    own = ["--source", "a", "--source-labels", "l"]
    assert mnistseq("dataset", "-n", "9", "--len", "2", "--max", "3", *own, "-o", "one").code == 0
    done = mnistseq("dataset", "--recipe", "one/recipe.json", "-o", "other")
    message = "one/recipe.json is about custom images; give them with --source and --source-labels"
    assert done == (2, "", f"mnistseq: {message}\n")
    others = ["--source", "b", "--source-labels", "l"]
    done = mnistseq("dataset", "--recipe", "one/recipe.json", *others, "-o", "other")
    message = "one/recipe.json is about other images than those in b; give the same files"
    assert done == (2, "", f"mnistseq: {message}\n")
    assert mnistseq("dataset", "--recipe", "one/recipe.json", *own, "-o", "other").code == 0
    assert tree(place / "one") == tree(place / "other")


# Options beside it

CHANGES = [
    ("--len 3 --max 9 -n 40", "--max 4", "--len 3 --max 4 -n 40"),
    ("--len 3 -n 40", "--max 4", "--len 3 --max 4 -n 40"),
    ("--len 3 --min 2 --max 4 -n 40", "--min 0 --len 5", "--len 5 --max 4 -n 40"),
    ("--len 3 --width 100 -n 40", "--width 106", "--len 3 --width 106 -n 40"),
    ("--len 3 --min 2 -n 40", "--min 5", "--len 3 --min 5 -n 40"),
    ("--len 3 -n 40", "-n 60 --format npz --invert --source test", "--len 3 -n 60 --format npz --invert --source test"),
    ("--len 3 -n 40", "--seed 6", "--len 3 -n 40 --seed 6"),
    ("--len 3 --margin 4 -n 20", "--margin 6 --jitter-y 5", "--len 3 --margin 6 --jitter-y 5 -n 20"),
    ("--len 3 --slant -10-10 -n 20", "--slant -20-20 --width fit", "--len 3 --slant -20-20 --width fit -n 20"),
    ("--len 2-4 -n 40", "--len 3", "--len 3 -n 40"),
    ("--len 2-4 -n 40", "--pattern 1{3}", "--pattern 1{3} -n 40"),
    ("--pattern 1{3} -n 40", "--len 2-3", "--len 2-3 -n 40"),
    ("--labels list.txt -n 40", "--len 2 --per-label 3", "--len 2 --per-label 3 -n 40"),
    ("--len 2 --per-label 3 -n 40", "--labels list.txt", "--labels list.txt -n 40"),
    ("--len 2 --no-repeat -n 40", "--labels list.txt", "--labels list.txt -n 40"),
    ("--len 2 --digits 0-4 -n 40", r"--pattern \d{3}", r"--pattern \d{3} -n 40"),
    ("--labels list.txt --shuffle -n 40", "--len 3", "--len 3 -n 40"),
    ("--labels list.txt --shuffle -n 40", "--pattern 1{3}", "--pattern 1{3} -n 40"),
    (r"--pattern \d{3} --check luhn -n 40", "--labels list.txt", "--labels list.txt -n 40"),
    ("--len 3 --check luhn -n 40", "--per-label 2 --len 1", "--per-label 2 --len 1 -n 40"),
    ("--len 3 --check luhn -n 40", r"--pattern \d{2}", r"--pattern \d{2} --check luhn -n 40"),
    ("--len 3 -n 40", "--digits 0-4 --no-repeat --glyphs once", "--len 3 -n 40 --digits 0-4 --no-repeat --glyphs once"),
]


@pytest.mark.parametrize(("before", "beside", "expected"), CHANGES)
def test_options_beside_it_change_it(before: str, beside: str, expected: str, mnistseq: Run, place: Path) -> None:
    Path("list.txt").write_text("1\n22\n333\n")
    assert mnistseq("dataset", "--seed", "5", *before.split(), "-o", "one").code == 0
    done = mnistseq("dataset", "--recipe", "one/recipe.json", *beside.split(), "-o", "two")
    assert done.code == 0, done.err
    assert mnistseq("dataset", "--seed", "5", *expected.split(), "-o", "three").code == 0
    assert tree(place / "two") == tree(place / "three")


def test_what_was_changed_to_the_impossible_is_refused(mnistseq: Run, place: Path) -> None:
    Path("r.toml").write_text("length = 3\nsamples = 5\nmin_gap = 4\nmax_gap = 6\n")
    done = mnistseq("dataset", "--recipe", "r.toml", "--max", "2", "-o", "out")
    assert done == (2, "", "mnistseq: --max 2 is below --min 4; no gap is in that range\n")
    done = mnistseq("dataset", "--recipe", "r.toml", "--pattern", "1{2}", "--check", "luhn", "-o", "-")
    assert done == (2, "", "mnistseq: the format png cannot go to stdout; --format webdataset can\n")
    assert not Path("out").exists()


@pytest.mark.parametrize(("name", "value", "same"), [("slant", "-9-9", [-9, 9]), ("slant", 4, [4, 4])])
def test_a_whole_recipe_json_may_be_changed_by_hand(name: str, value: object, same: object, mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "5", "--len", "3", "--seed", "1", "-o", "one").code == 0
    values = json.loads(Path("one/recipe.json").read_text())
    for path, written in (("a.json", value), ("b.json", same)):
        values["recipe"][name] = values["request"][name] = written
        Path(path).write_text(json.dumps(values))
    assert recipe_file.read(Path("a.json")) == recipe_file.read(Path("b.json"))
    del values["request"]
    Path("c.json").write_text(json.dumps(values))
    assert recipe_file.read(Path("c.json"))[name] == tuple(same)


@pytest.mark.parametrize("part", ["recipe", "request"])
def test_a_change_in_one_part_of_a_recipe_json_is_not_dropped_in_silence(part: str, mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "5", "--len", "3", "--seed", "1", "-o", "one").code == 0
    values = json.loads(Path("one/recipe.json").read_text())
    values[part] |= {"seed": 2, "slant": [3, 4]}
    Path("a.json").write_text(json.dumps(values))
    message = (
        "a.json is no recipe: its request and its recipe differ in slant, seed; change both, or take the request out"
    )
    assert mnistseq("dataset", "--recipe", "a.json", "-o", "two") == (2, "", f"mnistseq: {message}\n")


@given(name=st.sampled_from(sorted(options_of(Request))), value=JSON)
def test_no_request_is_too_strange_to_be_refused(name: str, value: Any) -> None:
    spec = Spec(recipe=recipe_for(length=3, seed=1), samples=5, format="png", compression="fast", shard_size=9)
    Path("x.json").write_text(json.dumps({**spec.to_json(), "request": {"seed": 1, name: value}}))
    with suppress(MnistseqError):
        recipe_file.read(Path("x.json"))


def test_a_key_that_is_not_known_may_be_of_a_newer_version(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "5", "--len", "3", "--seed", "1", "-o", "one").code == 0
    values = json.loads(Path("one/recipe.json").read_text())
    values["recipe"]["blur"] = 3
    Path("one/recipe.json").write_text(json.dumps(values))
    message = "the recipe has unknown key 'blur'; a newer mnistseq may read it"
    assert mnistseq("inspect", "one") == (2, "", f"mnistseq: {message}\n")


# By hand

BY_HAND = [
    ('length = "2-4"\nsamples = 30\nseed = 3\n', "--len 2-4 -n 30 --seed 3"),
    (
        'samples = 30\nformat = "npz"\n[recipe]\nlength = 3\nseed = 3\ndigits = "0-4"\nrepeat = false\nmax_gap = 7\n',
        "--len 3 -n 30 --seed 3 --digits 0-4 --no-repeat --max 7 --format npz",
    ),
    (
        'length = 3\nsamples = 5\nseed = 3\nwidth = "fit"\nslant = "-10-10"\nscale = [80, 120]\nmargin = 3\n',
        "--len 3 -n 5 --seed 3 --width fit --slant -10-10 --scale 80-120 --margin 3",
    ),
    (
        'length = 3\nsamples = 5\nseed = 3\njitter_y = "full"\nheight = 60\nrotate = 7\n',
        "--len 3 -n 5 --seed 3 --jitter-y full --height 60 --rotate 7",
    ),
    ('sequences = ["0-0-7", "42"]\nseed = 3\nshuffle = true\n', "--labels list.txt --shuffle --seed 3"),
    ("pattern = '20\\d{2}'\nsamples = 5\nseed = 3\nwidth = 124\n", r"--pattern 20\d{2} -n 5 --seed 3 --width 124"),
    ('\ufefflength = 2\r\nsamples = 5\r\nseed = 3\r\nsource = "test"\r\n', "--len 2 -n 5 --seed 3 --source test"),
]


@pytest.mark.parametrize(("content", "options"), BY_HAND)
def test_a_few_lines_by_hand_will_do(content: str, options: str, mnistseq: Run, place: Path) -> None:
    Path("list.txt").write_text("007\n42\n")
    Path("mine.toml").write_text(content, encoding="utf-8")
    done = mnistseq("dataset", "--recipe", "mine.toml", "-o", "one")
    assert done.code == 0, done.err
    assert mnistseq("dataset", *options.split(), "-o", "two").code == 0
    assert tree(place / "one") == tree(place / "two")


def test_flags_of_a_recipe_can_be_switched_off(mnistseq: Run, place: Path) -> None:
    flags = ["invert", "masks", "shuffle", "exclude_mislabeled"]
    content = "".join(f"{flag} = true\n" for flag in flags)
    Path("list.toml").write_text('sequences = ["12", "31"]\nsource = "test"\nseed = 4\n' + content)
    Path("random.toml").write_text("length = 3\nsamples = 5\nseed = 4\nrepeat = false\n")
    off = [f"--no-{flag.replace('_', '-')}" for flag in flags]
    assert mnistseq("dataset", "--recipe", "list.toml", "-o", "made").code == 0
    for recipe, options, same in (
        ("list.toml", off, ["--labels", "list.txt", "--source", "test"]),
        ("made/recipe.json", off, ["--labels", "list.txt", "--source", "test"]),
        ("random.toml", ["--repeat"], ["--len", "3", "-n", "5"]),
    ):
        Path("list.txt").write_text("12\n31\n")
        assert mnistseq("dataset", "--recipe", recipe, *options, "--overwrite", "-o", "one").code == 0
        assert mnistseq("dataset", *same, "--seed", "4", "--overwrite", "-o", "two").code == 0
        assert tree(place / "one") == tree(place / "two")


def test_splits_of_a_recipe(mnistseq: Run, place: Path) -> None:
    Path("mine.toml").write_text('length = 3\nsamples = 9\nseed = 4\nsource = "train"\n')
    splits = ["--split", "train=50", "--split", "test=20"]
    assert mnistseq("dataset", "--recipe", "mine.toml", *splits, "-o", "one").code == 0
    assert mnistseq("dataset", "--len", "3", "--seed", "4", *splits, "-o", "two").code == 0
    assert tree(place / "one") == tree(place / "two")
    assert open_dataset("one/test").recipe.source == "test"


# What is no recipe

BAD = [
    ("r.json", b"", "r.json is not JSON (Expecting value: line 1 column 1 (char 0))"),
    ("r.json", b"[1]", "r.json is no recipe: it does not consist of names and values"),
    ("r.json", b"{}", "r.json is no recipe: it is empty"),
    ("r.json", b'{"recipe": 5}', "r.json is no recipe: it has recipe = 5, which should be names and values"),
    ("r.json", b'{"lenght": 5}', "r.json is no recipe: the recipe has unknown key 'lenght'"),
    ("r.json", b'{"seed": 1, "recipe": {"seed": 1}}', "r.json is no recipe: it has 'seed' twice"),
    ("r.json", b'{"samples": "5"}', "r.json is no recipe: it has samples = '5', which should be of type int"),
    ("r.json", b'{"length": 1e400}', "r.json is no recipe: the recipe has length = inf, which should be of type int"),
    ("r.json", b'{"length": "4-2"}', "r.json is no recipe: --len goes from 4 down to 2"),
    ("r.json", b'{"length": true}', "r.json is no recipe: the recipe has length = True, which should be of type int"),
    ("r.json", b'{"version": 2, "rotation": 1}', "r.json is no recipe: the recipe is of another version"),
    ("r.json", b'{"compression": "lzma"}', "r.json is no recipe: compression is 'lzma'"),
    ("r.json", b'{"length": 2, "samples": 3, "format": "bmp"}', "there is no format 'bmp'"),
    ("r.json", b'{"length": 2, "samples": 3, "pool": [1, 1]}', "pool is (1, 1)"),
    (
        "r.json",
        b'{"length": 2, "samples": 3, "source": "moon"}',
        "r.json is no recipe: source is 'moon'; it is one of train, test, all; "
        "give custom files with --source and --source-labels",
    ),
    (
        "r.toml",
        b"length = 2\npaper = 'scan.png'\n",
        "r.toml is no recipe: paper is 'scan.png'; it is one of plain, gradient, grain; give custom files with --paper",
    ),
    ("r.toml", b"len = 3\n", "r.toml is no recipe: the recipe has unknown key 'len'; names and values are as in a rec"),
    ("r.toml", b"slant = 1.5\n", "r.toml is no recipe: the recipe has slant = 1.5, which should be of type list"),
    ("r.json", b'{"digits": "9-0"}', "r.json is no recipe: the recipe is not valid: --digits is '9-0'"),
    ("r.json", b'{"seed": 5}', "it is not clear what to write; give --len, --labels or --pattern"),
    ("r.json", b'{"length": 5}', "the number of samples is missing; give -n"),
    ("r.json", b"[" * 200_000, "r.json is not JSON ("),
    ("r.toml", b"length = \n", "r.toml is not TOML (Invalid value (at line 1, column 10))"),
    ("r.toml", b"length = 2001-01-01\n", "r.toml is no recipe: the recipe has length = "),
    ("r.toml", b"\xff\xfe", "r.toml is not TOML ("),
    ("r.toml", b"a = " + b"[" * 100_000, "r.toml is not TOML ("),
    ("r.toml", b".".join([b"a"] * 20_000) + b" = 1\n", "r.toml has a line with more than 32 dots"),
    ("r.toml", b'"a b" . ' * 20_000 + b"a = 1\n", "r.toml has a line with more than 32 dots"),
    ("r.toml", b"a.b = 1\n" * 200_000, "r.toml is too large to be true; "),
    ("r.toml", b"", "r.toml is no recipe: it is empty"),
    ("none.json", None, "none.json does not exist; give a recipe.json, or a file in TOML"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_no_recipe_is_refused_in_one_line(
    name: str, content: bytes | None, message: str, mnistseq: Run, place: Path
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    done = mnistseq("dataset", "--recipe", name, "-o", "out")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"mnistseq: {message}")
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["d.json", "d.toml"])
def test_a_directory_is_no_recipe(name: str) -> None:
    Path(name).mkdir()
    with pytest.raises(FormatError, match="is not a file"):
        recipe_file.read(Path(name))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["length", "seed", "recipe", "samples", "sequences", "lengths", "digits", "version", "pool"]
                ),
                inner,
            )
        ),
    )
)
def test_no_file_is_too_strange_to_be_refused(values: Any) -> None:
    Path("x.json").write_text(json.dumps(values))
    with suppress(MnistseqError):
        request_of(recipe_file.read(Path("x.json")))


@pytest.mark.parametrize(
    ("typed", "gaps", "width"),
    [(("--min", "5"), 5, 94), (("--width", "106"), 11, 106), (("--width", "94"), 5, 94), ((), 8, 100)],
    ids=str,
)
def test_equal_gaps_of_an_older_recipe_json_follow_what_is_typed(
    typed: tuple[str, ...], gaps: int, width: int, mnistseq: Run
) -> None:
    """A recipe.json of 0.1.0 has no request: that its gaps were not asked for shows by their being equal alone."""
    assert mnistseq("dataset", "-n", "9", "--len", "3", "--width", "100", "--seed", "1", "-o", "new").code == 0
    older = json.loads(Path("new/recipe.json").read_text())
    del older["request"]
    Path("older.json").write_text(json.dumps(older))
    done = mnistseq("dataset", "--recipe", "older.json", *typed, "-o", "out")
    assert done.code == 0, done.err
    recipe = open_dataset("out").recipe
    assert (recipe.min_gap, recipe.max_gap, recipe.width) == (gaps, gaps, width)
