"""Splits: one command makes several datasets that have no glyph, or no sequence, in common."""

import errno
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from depth import others_slow, slow
from faulty import FaultySystem, copy, difference, tree, under
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.dataset.splits import build, parts
from mnist_seq_cli.dataset.splits.asked import BY, parse_splits, seed_of
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import Form

Run = Callable[..., Any]
THREE = ["--split", "train=700", "--split", "val=200", "--split", "test=100"]
NAMES = ("train", "val", "test")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def glyphs_in(path: str) -> set[int]:
    data = open_dataset(path)
    return set(data.batch(0, len(data)).glyphs.ravel().tolist()) - {-1}


def labels_in(path: str) -> set[str]:
    return {sample.label for sample in open_dataset(path)}


def assert_disjoint(sets: list[set[Any]]) -> None:
    assert all(sets)
    assert len(set().union(*sets)) == sum(map(len, sets))


def allowed(path: str) -> set[int]:
    """The glyphs that the recipe of a dataset may draw, ever."""
    recipe = open_dataset(path).recipe
    bank = check_bank(recipe, load(Source(recipe.source)))
    return {glyph for digit in range(10) for glyph in bank.glyphs_of(digit).tolist()}


def test_splits_are_datasets_that_share_no_glyph(mnistseq: Run) -> None:
    done = mnistseq("dataset", *THREE, "--len", "3", "--seed", "5", "-o", "out")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("out: 1,000 strips (train 700, val 200, test 100), 84×28 px, ")
    assert "\nseed 5: --seed 5 makes the same splits again\nlook at them: mnistseq inspect out\n" in done.err
    assert [len(open_dataset(f"out/{name}")) for name in NAMES] == [700, 200, 100]
    assert sorted(path.name for path in Path("out").iterdir()) == ["README.md", "splits.json", "test", "train", "val"]
    for name in NAMES:
        again = mnistseq("inspect", f"out/{name}", "--verify", "--regenerate", "1")
        assert again.code == 0, again.err
    assert_disjoint([glyphs_in(f"out/{name}") for name in NAMES])
    # Not only in what was drawn, but in what can be.
    assert_disjoint([allowed(f"out/{name}") for name in NAMES])
    assert allowed("out/test") == set(range(60_000, 70_000))
    assert allowed("out/train") | allowed("out/val") == set(range(60_000))
    assert abs(len(allowed("out/train")) - 60_000 * 7 / 9) < 10


def test_splits_differ_in_more_than_their_glyphs(mnistseq: Run) -> None:
    assert mnistseq("dataset", *THREE, "--len", "6", "--seed", "5", "-o", "out").code == 0
    written = [[sample.label for sample in open_dataset(f"out/{name}")][:100] for name in NAMES]
    assert written[0] != written[1] != written[2]
    seeds = [open_dataset(f"out/{name}").recipe.seed for name in NAMES]
    assert seeds == [seed_of(5, name) for name in NAMES] == [179277573503, 437529921950, 768111026864]
    assert len({*seeds, seed_of(6, "train")}) == 4


@pytest.mark.parametrize("source", ["test", "all", "train"])
def test_with_a_source_all_splits_draw_from_parts_of_it(source: str, mnistseq: Run) -> None:
    assert mnistseq("dataset", *THREE, "--len", "2", "--source", source, "-o", "out").code == 0
    assert {open_dataset(f"out/{name}").recipe.source for name in NAMES} == {source}
    assert_disjoint([allowed(f"out/{name}") for name in NAMES])
    assert sum(len(allowed(f"out/{name}")) for name in NAMES) == len(load(Source(source)))


def test_own_glyphs_are_shared_out_too(mnistseq: Run, place: Path) -> None:
    Path("i").write_bytes(idx.encode(np.random.default_rng(1).integers(1, 255, (200, 9, 7), dtype=np.uint8)))
    Path("l").write_bytes(idx.encode(np.arange(200, dtype=np.uint8) % 10))
    own = ["--source", "i", "--source-labels", "l"]
    assert mnistseq("dataset", *THREE, "--len", "2", *own, "-o", "out").code == 0
    assert_disjoint([glyphs_in(f"out/{name}") for name in NAMES])
    assert glyphs_in("out/train") | glyphs_in("out/val") | glyphs_in("out/test") == set(range(200))
    few = [part for number in range(21) for part in ("--split", f"s{number}=5")]  # of 20 glyphs of a digit
    done = mnistseq("dataset", *few, "--len", "2", *own, "-o", "few")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert not Path("few").exists()


@pytest.mark.parametrize("by", ["glyph", "both"])
def test_equal_images_of_a_source_are_never_in_two_splits(by: str, mnistseq: Run) -> None:
    """Under two ids of a digit, and under two labels."""
    drawn = np.random.default_rng(1).integers(1, 255, (100, 9, 7), dtype=np.uint8)
    images = np.concatenate([drawn, drawn[:60], np.roll(drawn, 1, axis=0)])
    Path("i").write_bytes(idx.encode(images))
    Path("l").write_bytes(idx.encode((np.arange(len(images)) % 10).astype(np.uint8)))
    sizes = ["--split", "train=300", "--split", "val=200", "--split", "test=200"]
    own = ["--source", "i", "--source-labels", "l"]
    done = mnistseq("dataset", *sizes, "--len", "2", *own, "--split-by", by, "--seed", "1", "-o", "out")
    assert done.code == 0, done.err
    found = [glyphs_in(f"out/{name}") for name in NAMES]
    assert_disjoint(found)
    assert_disjoint([{images[glyph].tobytes() for glyph in ids} for ids in found])
    done = mnistseq("inspect", "out/train", "--against", "out/val", *own, "--may-share", "label")
    assert (done.code, done.err) == (0, "")


LABELS: dict[str, list[str]] = {
    "random": ["--len", "2"],
    "some digits": ["--len", "4", "--digits", "0-3"],
    "per label": ["--len", "2", "--per-label", "10"],
    "listed": ["--labels", "list.txt"],
    "shuffled": ["--labels", "list.txt", "--shuffle"],
}


@pytest.mark.parametrize("by", others_slow(["label", "both"], "label"))
@pytest.mark.parametrize("rule", LABELS.values(), ids=LABELS.keys())
def test_by_label_splits_share_no_sequence(rule: list[str], by: str, mnistseq: Run) -> None:
    Path("list.txt").write_text("\n".join(f"{number:03}" for number in range(0, 500, 3)) + "\n000\n7\n42\n42\n")
    assert mnistseq("dataset", *THREE, *rule, "--split-by", by, "--seed", "2", "-o", "out").code == 0
    found = [labels_in(f"out/{name}") for name in NAMES]
    assert_disjoint(found)
    if "--labels" in rule:
        assert len(set().union(*found)) == 169
    if "--per-label" in rule:
        assert [len(labels) for labels in found] == [70, 20, 10]
    if by == "both":
        assert_disjoint([allowed(f"out/{name}") for name in NAMES])
    else:
        assert all(open_dataset(f"out/{name}").recipe.pool == EVERYTHING for name in NAMES)


@pytest.mark.parametrize(
    "sizes",
    [{"train": 65}, {"train": 64 * 5, "val": 5, "test": 20 * 5}, {"train": 500}, {"a": 5, "b": 495}, {"a": 3000}],
    ids=str,
)
@pytest.mark.parametrize("by", others_slow(["label", "both"], "label"))
def test_by_label_a_label_is_in_one_split_as_often_as_in_any(sizes: dict[str, int], by: Any, place: Path) -> None:
    whole, planned = build.plan(place / "out", sizes, by, Request(length=2, per_label=5), Form(format="npz"))
    build.build(place / "out", whole, planned, workers=1)
    found = {name: Counter(sample.label for sample in open_dataset(f"out/{name}")) for name in sizes}
    assert_disjoint([set(counts) for counts in found.values()])
    times = max(5, sum(sizes.values()) // 100)
    assert {name: set(counts.values()) for name, counts in found.items()} == {name: {times} for name in sizes}
    assert parts.shared(by, {name: open_dataset(f"out/{name}").recipe for name in sizes}) == []


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8), st.integers(1, 40), st.sampled_from([1, 2, 3]))
def test_the_nearest_sizes_that_are_named_hold_whole_labels(sizes: list[int], times: int, length: int) -> None:
    named = {f"s{number}": size for number, size in enumerate(sizes)}
    request = Request(length=length, per_label=times)
    try:
        build.plan(Path("out"), named, "label", request, Form())
    except RequestError as error:
        nearest = parse_splits(error.hint.removeprefix("nearest: ").split())
        assert list(nearest) == list(named)
        build.plan(Path("out"), nearest, "label", request, Form())


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("rule", [["--len", "2"], ["--labels", "list.txt"]], ids=str)
def test_a_small_split_beside_a_large_one_may_be_named_first(rule: list[str], by: str, place: Path) -> None:
    """In any order each has at least one sequence, and one glyph of each digit."""
    written = tuple((digit, 9 - digit) for digit in range(10)) if "--labels" in rule else ()
    request = Request(sequences=written) if written else Request(length=2)
    for sizes in ({"val": 1, "train": 60_000}, {"train": 60_000, "val": 1}, {"a": 1, "train": 900_000, "b": 1}):
        _, planned = build.plan(place / "out", sizes, by, request, Form())  # type: ignore[arg-type]
        recipes = {split.directory.name: split.spec.recipe for split in planned}
        assert parts.shared(by, recipes) == []  # type: ignore[arg-type]
        for recipe in recipes.values():
            assert check_bank(recipe, load(Source("train"))).counts.min() >= 1
            assert compose(recipe, load(Source("train")), 0, 20).images.shape == (20, 28, 56)


def test_parts_stay_as_they_were_where_none_is_empty() -> None:
    assert parts.pools({"a": 1, "b": 59_999}) == parts.pools({"a": 1, "b": 59_999}, [60_000])
    assert parts.pools({"a": 1, "b": 59_999}, [60_000])["b"] == (1, 60_000, 60_000)
    assert parts.pools({"a": 1, "b": 59_999, "c": 1}, [50, 10]) == {"a": (0, 1, 10), "b": (1, 8, 10), "c": (8, 10, 10)}


def test_by_both_the_test_file_is_for_testing(mnistseq: Run) -> None:
    assert mnistseq("dataset", *THREE, "--len", "2", "--split-by", "both", "-o", "out").code == 0
    assert [open_dataset(f"out/{name}").recipe.source for name in NAMES] == ["train", "train", "test"]


def test_what_the_seed_is_does_not_change_the_parts(mnistseq: Run) -> None:
    for seed in ("1", "2"):
        assert mnistseq("dataset", *THREE, "--len", "2", "--split-by", "both", "--seed", seed, "-o", seed).code == 0
    assert allowed("1/val") == allowed("2/val")
    assert not labels_in("1/train") & labels_in("2/test")


@pytest.mark.parametrize("options", [["--workers", "2"], ["--shard-size", "64"], ["--format", "npz"]], ids=str)
def test_how_it_is_run_changes_no_sample(options: list[str], mnistseq: Run) -> None:
    common = ["dataset", *THREE, "--len", "3", "--seed", "5", "--glyphs", "once", "--split-by", "both"]
    assert mnistseq(*common, "-o", "one").code == 0
    assert mnistseq(*common, *options, "-o", "other").code == 0
    for name in NAMES:
        one, other = open_dataset(f"one/{name}"), open_dataset(f"other/{name}")
        assert one.recipe == other.recipe
        assert one.batch(0, len(one)).first_difference(other.batch(0, len(other))) is None


def test_the_same_command_finishes_all_with_the_seed_of_the_first_run(mnistseq: Run, place: Path) -> None:
    command = ["dataset", *THREE, "--len", "3", "-o", "out"]
    assert mnistseq(*command).code == 0
    whole = tree(place / "out")
    for name in ("val/manifest.json", "val/labels.csv", "val/images/00000/00000003.png"):
        Path("out", name).unlink()
    for path in sorted(Path("out/test").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert mnistseq(*command).code == 0
    assert tree(place / "out") == whole
    done = mnistseq(*command)
    assert (done.code, done.err.splitlines()[1]) == (0, "all of it was there and is sound")


def test_overwriting_makes_other_splits(mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", *THREE, "--len", "3", "--seed", "5", "-o", "fresh").code == 0
    others = ["--split", "val=50", "--split", "train=10", "--split", "test=9"]
    assert mnistseq("dataset", *others, "--len", "2", "-o", "out").code == 0
    assert mnistseq("dataset", *THREE, "--len", "3", "--seed", "5", "--overwrite", "-o", "out").code == 0
    assert tree(place / "out") == tree(place / "fresh")
    done = mnistseq("dataset", "--split", "train=9", "--len", "3", "--overwrite", "-o", "out")
    assert (done.code, done.err) == (2, "mnistseq: out/val is a split of an earlier run; remove it\n")


CHANGED = [
    (["--split", "train=700", "--split", "val=201"], "train=700 val=201 instead of train=700 val=200"),
    (["--split", "val=200", "--split", "train=700"], "val=200 train=700 instead of train=700 val=200"),
    (["--split", "train=700", "--split", "val=200", "--split-by", "both"], "--split-by both instead of glyph"),
    (["--split", "train=700", "--split", "val=200", "--seed", "6"], "seed 6 instead of 5"),
]


@pytest.mark.parametrize(("options", "difference"), CHANGED, ids=lambda value: str(value)[-40:])
def test_other_splits_in_the_same_place_are_refused(
    options: list[str], difference: str, mnistseq: Run, place: Path
) -> None:
    first = ["--split", "train=700", "--split", "val=200", "--seed", "5"]
    assert mnistseq("dataset", *first, "--len", "3", "-o", "out").code == 0
    before = tree(place / "out")
    done = mnistseq("dataset", *options, "--len", "3", "-o", "out")
    hint = "--overwrite starts over, or choose another directory"
    assert done == (2, "", f"mnistseq: out holds other splits: {difference}; {hint}\n")
    assert tree(place / "out") == before


REFUSED = [
    (["--split", "train"], "--split is 'train'; write it like train=50000: a name of a-z, 0-9, _ and -, and a size"),
    (["--split", "../x=5"], "--split is '../x=5'; write it like train=50000: a name of a-z, 0-9, _ and -, and a size"),
    (["--split", "con=5"], "--split is 'con=5'; write it like train=50000: a name of a-z, 0-9, _ and -, and a size"),
    (["--split", "a=٣"], "--split is 'a=٣'; write it like train=50000: a name of a-z, 0-9, _ and -, and a size"),
    (["--split", "a=0"], "--split a=0 asks for 0 samples; it has to be 1 to 1000000000000"),
    (["--split", "a=1", "--split", "a=2"], "--split a is given twice; take another name"),
    (
        ["--split", "a=1000000000000", "--split", "b=1"],
        "2 splits of 1000000000001 samples are too many; 1000 splits and 1000000000000 samples at most",
    ),
    (["--split", "a=5", "-n", "5"], "-n does not go with --split; each split says how many it is to have"),
    (
        ["--split", "a=5", "--split", "b=9", "--split-by", "label", "--no-repeat"],
        "a part of all sequences of one length does not go with --no-repeat",
    ),
    (
        [*("--split", "a=5", "--split", "b=5", "--split", "c=900000"), "--split-by", "label", "--digits", "0"],
        "3 splits need as many sequences, writers or glyphs of a digit, and there are only 1; fewer splits",
    ),
    (
        ["--split", "train=64", "--split-by", "label", "--per-label", "5"],
        "--split train=64 would cut off some of 100 labels, each 5 times; nearest: train=65",
    ),
    (
        ["--split", "train=70", "--split", "val=31", "--split-by", "both", "--per-label", "10"],
        "--split train=70 val=31 would cut off some of 100 labels, each 10 times; nearest: train=60 val=40",
    ),
    (
        ["--split", "train=700", "--split", "val=280", "--split-by", "label", "--per-label", "5"],
        "--split train=700 val=280 would cut off some of 100 labels, each 5 times; nearest: train=710 val=290",
    ),
    (["-n", "5", "--split-by", "label"], "--split-by says what splits do not share, and there are none; give --split"),
    (
        ["--split", "a=5", "--source-labels", "labels"],
        "--source-labels labels is for a custom source, and --source is train; "
        "give the images with --source; a file of that name is ./train",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused_and_nothing_is_written(
    options: list[str], message: str, mnistseq: Run, place: Path
) -> None:
    assert mnistseq("dataset", *options, "--len", "2", "-o", "out") == (2, "", f"mnistseq: {message}\n")
    assert list(place.iterdir()) == []


def test_places_that_are_taken_are_refused(mnistseq: Run, place: Path) -> None:
    done = mnistseq("dataset", "--split", "a=5", "--len", "2", "-o", "-")
    message = "splits are folders, and do not go to stdout; give a directory with -o"
    assert done == (2, "", f"mnistseq: {message}\n")
    assert mnistseq("dataset", "-n", "5", "--len", "2", "-o", "plain").code == 0
    done = mnistseq("dataset", "--split", "a=5", "--len", "2", "-o", "plain")
    message = "plain holds a dataset, and splits would be in it; choose another directory"
    assert done == (2, "", f"mnistseq: {message}\n")
    Path("full").mkdir()
    Path("full/letter.txt").write_text("Dear Sir")
    done = mnistseq("dataset", "--split", "a=5", "--len", "2", "-o", "full")
    assert (done.code, done.err) == (
        2,
        "mnistseq: full is not empty, and holds no mnistseq splits: 'letter.txt'; "
        "--overwrite starts over, or choose another directory\n",
    )
    assert mnistseq("dataset", "--split", "a=5", "--len", "2", "-o", "parts").code == 0


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b"{", b"[" * 200_000),
        b'{"version": 2, "seed": 1, "by": "glyph", "splits": {"a": 5}}',
        b'{"version": 1, "seed": 1, "by": "x", "splits": {"a": 5}}',
        b'{"version": 1, "seed": 1, "by": "glyph", "splits": {"../a": 5}}',
        b'{"version": 1, "seed": 1, "by": "glyph", "splits": {"a": [5]}}',
        b'{"version": 1, "seed": 1, "by": "glyph", "splits": {}}',
    ],
)
def test_a_damaged_paper_is_told_in_one_line(content: bytes, mnistseq: Run, place: Path) -> None:
    Path("out").mkdir()
    Path("out/splits.json").write_bytes(content)
    done = mnistseq("dataset", "--split", "a=5", "--len", "2", "-o", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "out holds splits that cannot be continued" in done.err
    done = mnistseq("inspect", "out")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "splits.json" in done.err
    assert mnistseq("dataset", "--split", "a=5", "--len", "2", "--overwrite", "-o", "out").code == 0
    assert json.loads(Path("out/splits.json").read_bytes())["splits"] == {"a": 5}


def test_other_splits_that_were_begun_meanwhile_are_left_alone(place: Path) -> None:
    whole, planned = build.plan(place / "out", {"a": 5}, "glyph", Request(length=2), Form())
    other, others = build.plan(place / "out", {"a": 5}, "glyph", Request(length=2), Form())
    build.build(place / "out", other, others)
    before = tree(place / "out")
    with pytest.raises(RequestError, match="another mnistseq has begun other splits in"):
        build.build(place / "out", whole, planned)
    assert tree(place / "out") == before


def test_inspect_tells_the_part(mnistseq: Run) -> None:
    options = ["--split", "a=30", "--split", "b=10", "--split-by", "both", "--glyphs", "once", "--exclude-mislabeled"]
    assert mnistseq("dataset", *options, "--len", "2", "-o", "out").code == 0
    shown = mnistseq("inspect", "out/b", "--show", "0").out
    told = "train, glyphs 75.0% to 100.0%, sequences 75.0% to 100.0%, without known wrong labels, each glyph once"
    assert told in " ".join(shown.split())


# Any operation may be the last, may fail, or may be when a person stops it

TWO = ["dataset", "--split", "a=2", "--split", "b=1", "--len", "2", "--seed", "5", "--workers", "1", "-o"]


def operations(place: Path) -> tuple[dict[str, object], list[str]]:
    """Return the tree of an undisturbed run, and its operations."""
    with under(FaultySystem()) as system:
        assert main.run([*TWO, str(place / "whole")]) == 0
    return tree(place / "whole"), system.log


def test_the_same_command_goes_on_from_any_operation_that_was_the_last(place: Path) -> None:
    whole, log = operations(place)

    def snapshot(number: int, _: str) -> None:
        copy(place / "out", place / f"last-{number}")

    with under(FaultySystem(watch=snapshot)):
        assert main.run([*TWO, str(place / "out")]) == 0
    for number in range(1, len(log) + 1):
        assert main.run([*TWO, str(place / f"last-{number}")]) == 0, log[number - 1]
        assert difference(tree(place / f"last-{number}"), whole) == []


@pytest.mark.parametrize("error", [errno.EIO, KeyboardInterrupt])
def test_the_same_command_goes_on_from_any_operation_that_failed(error: int | type[BaseException], place: Path) -> None:
    whole, log = operations(place)
    for number in range(1, len(log) + 1):
        copy(Path("/nonexistent"), place / "out")
        with under(FaultySystem(number, error)) as system:
            code = main.run([*TWO, str(place / "out")])
        system.close_leaks()
        assert code in (0, 1, 130)
        assert [name for name in tree(place / "out") if "partial" in name or "stage" in name] == [], log[number - 1]
        assert main.run([*TWO, str(place / "out")]) == 0, log[number - 1]
        assert difference(tree(place / "out"), whole) == []


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_counts_between_the_splits_too(asked: signal.Signals, place: Path) -> None:
    whole, log = operations(place)
    for number in range(2, len(log) + 1):  # the first one makes the directory
        copy(Path("/nonexistent"), place / "out")

        def ask(here: int, _: str, number: int = number) -> None:
            if here == number:
                os.kill(os.getpid(), asked)

        with under(FaultySystem(watch=ask)):
            code = main.run([*TWO, str(place / "out")])
        assert code in (0, 128 + asked), log[number - 1]
        assert code == 0 or not (place / "out/.mnistseq").exists()
        assert main.run([*TWO, str(place / "out")]) == 0
        assert difference(tree(place / "out"), whole) == []


@pytest.mark.parametrize("kind", ["splits", "dataset"])
def test_an_overwriting_run_that_was_stopped_is_finished_without_overwriting(
    kind: str, place: Path, mnistseq: Run
) -> None:
    what = ["--split", "a=4", "--split", "b=4"] if kind == "splits" else ["-n", "4"]
    command = ["dataset", *what, "--shard-size", "1", "--len", "2", "--workers", "1", "-o", "out"]
    assert mnistseq(*command).code == 0
    old = tree(place / "out")
    with under(FaultySystem()) as system:
        assert mnistseq(*command, "--overwrite").code == 0
    middle = len(system.log) // 2

    def ask(here: int, _: str) -> None:
        if here == middle:
            os.kill(os.getpid(), signal.SIGINT)

    with under(FaultySystem(watch=ask)):
        done = mnistseq(*command, "--overwrite")
    assert (done.code, done.err.splitlines()[-1].partition("; ")[2]) == (
        130,
        "run the same command without --overwrite to finish",
    )
    assert mnistseq(*command).code == 0
    new = tree(place / "out")
    assert new.keys() == old.keys()
    assert mnistseq("inspect", "out", "--verify").code == 0
    assert not {name for name, content in new.items() if name.endswith("recipe.json") and content == old[name]}


def test_what_an_earlier_version_left_half_written_is_no_obstacle(place: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Path("out").mkdir()
    left = Path(f"out/.splits.json.{gone.pid}.partial")
    left.write_bytes(b'{"vers')
    os.utime(left, (0, 0))
    assert main.run([*TWO, "out"]) == 0
    assert tree(place / "out") == operations(place)[0]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{")], ids=["gone", "damaged"])
def test_a_splits_json_that_is_lost_is_written_again(damage: Callable[[Path], Any], place: Path) -> None:
    assert main.run([*TWO, "out"]) == 0
    whole = tree(place / "out")
    damage(Path("out/splits.json"))
    assert main.run([*TWO, "out"]) == 0
    assert tree(place / "out") == whole


@pytest.mark.parametrize("option", [["--seed", "6"], ["--split-by", "label"], ["--max", "3"]], ids=str)
def test_a_splits_json_that_is_lost_is_not_made_up(option: list[str], mnistseq: Run, place: Path) -> None:
    assert main.run([*TWO, "out"]) == 0
    Path("out/splits.json").unlink()
    before = tree(place / "out")
    done = mnistseq(*TWO[:-1], *option, "-o", "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "out has lost its splits.json, and a is not the split that is asked for: " in done.err
    assert done.err.endswith("; give all options and the --seed that they were made with; --overwrite starts over\n")
    assert tree(place / "out") == before


# What inspect tells of them as a whole


def inspected(mnistseq: Run, *arguments: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(mnistseq("inspect", "out", "--json", *arguments).out)
    return report


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("more", [[], *slow([["--source", "test"], ["--labels", "labels.txt"]])], ids=str)
def test_splits_are_told_as_a_whole(by: str, more: list[str], mnistseq: Run) -> None:
    Path("labels.txt").write_text("".join(f"{number:03}\n" for number in range(120)))
    length = [] if "--labels" in more else ["--len", "3"]
    assert mnistseq("dataset", *THREE, *length, *more, "--split-by", by, "--seed", "5", "-o", "out").code == 0
    done = mnistseq("inspect", "out", "--json")
    report = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    keys = ["kind", "path", "seed", "by", "samples", "complete", "apart", "splits", "problems"]
    assert list(report) == keys
    told = {**report, "splits": [part["name"] for part in report["splits"]]}
    assert told == dict(zip(keys, ("splits", "out", 5, by, 1000, True, True, list(NAMES), []), strict=True))
    for part, size in zip(report["splits"], (700, 200, 100), strict=True):
        found = json.loads(mnistseq("inspect", f"out/{part['name']}", "--json").out)
        source = part.pop("source")
        assert source.startswith(found["recipe"]["source"])
        assert part == {
            "name": part["name"],
            "state": "complete",
            "samples": size,
            "samples_done": size,
            "bytes": found["bytes"],
            "format": "png",
            "seed": found["recipe"]["seed"],
        }
    done = mnistseq("inspect", "out")
    assert (done.code, done.err) == (0, "look at one: mnistseq inspect out/train\n")
    kept = {"label": "no sequence is", "both": "no glyph and no sequence is"}.get(by, f"no {by} is")
    assert f"{kept} in two of them" in done.out
    for part in report["splits"]:
        assert [part["name"], str(part["samples"]), "complete"] in [line.split()[:3] for line in done.out.splitlines()]


def test_splits_that_are_not_whole_are_told(mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", *THREE, "--split", "more=50", "--len", "3", "--seed", "5", "-o", "out").code == 0
    Path("out/val/manifest.json").unlink()
    (place / "out/test").rename(place / "away")
    Path("out/more/recipe.json").write_text("[")
    report = inspected(mnistseq)
    assert [part["state"] for part in report["splits"]] == ["complete", "incomplete", "missing", "damaged"]
    assert [part["samples_done"] for part in report["splits"]] == [700, 0, 0, 0]
    assert (report["complete"], report["apart"]) == (False, True)
    val, test, more = report["problems"]
    assert val == "val: incomplete, 0 of 200 samples are done: the dataset command finishes it"
    assert test == "test: it is not there yet: the dataset command makes it"
    assert more.startswith("more: out/more/recipe.json is not JSON")
    done = mnistseq("inspect", "out")
    assert (done.code, done.err.splitlines()) == (1, [f"mnistseq: {problem}" for problem in report["problems"]])
    assert "no glyph is in two of those that are there" in done.out
    for row in (["val", "200", "0", "done"], ["test", "100", "missing"], ["more", "50", "damaged"]):
        assert row in [line.split()[: len(row)] for line in done.out.splitlines()]


@pytest.mark.parametrize("by", BY)
def test_a_split_that_is_another_one_shares_what_it_should_not(by: str, mnistseq: Run, place: Path) -> None:
    sizes = ["--split", "train=20", "--split", "val=10"]
    assert mnistseq("dataset", *sizes, "--len", "2", "--split-by", by, "--seed", "5", "-o", "out").code == 0
    (place / "out/val").rename(place / "away")
    shutil.copytree("out/train", "out/val")
    report = inspected(mnistseq)
    assert (report["complete"], report["apart"]) == (False, False)
    assert [part["state"] for part in report["splits"]] == ["complete", "other"]
    expected = ["val: it is another dataset than splits.json asks for"]
    what = "writers" if by == "writer" else "glyphs"
    expected += [f"train and val may share {what}: their recipes draw from the same ones"] * (by != "label")
    expected += ["train and val may share sequences: their recipes write some of the same"] * (by in ("label", "both"))
    assert report["problems"] == expected
    done = mnistseq("inspect", "out")
    assert done.code == 1
    assert "NOT so: the same" in done.out


@pytest.mark.parametrize(
    ("one", "other", "glyphs", "labels"),
    [
        ({"pool": (0, 1, 2)}, {"pool": (1, 2, 2)}, True, False),
        ({"pool": (1, 2, 2)}, {"pool": (0, 1, 2)}, True, False),
        ({"pool": (0, 1, 2)}, {"pool": (2, 3, 4)}, True, False),
        ({"pool": (0, 51, 100)}, {"pool": (1, 2, 2)}, False, False),
        ({"source": "train"}, {"source": "test"}, True, False),
        ({"source": "all"}, {"source": "test"}, False, False),
        ({"label_pool": (0, 1, 3)}, {"label_pool": (1, 3, 3)}, False, True),
        ({"label_pool": (0, 2, 3)}, {"label_pool": (1, 3, 3)}, False, False),
        ({"label_pool": (0, 1, 3)}, {"label_pool": (1, 3, 3), "digits": (1, 2, 3)}, False, False),
        ({"label_pool": (0, 1, 3)}, {"label_pool": (0, 1, 3), "length": 3}, False, True),
        ({"sequences": [(1, 2)]}, {"sequences": [(2, 1), (1,)]}, False, True),
        ({"sequences": [(1, 2), (3, 4)]}, {"sequences": [(3, 4)]}, False, False),
        ({"sequences": [(1, 2)]}, {"label_pool": (0, 1, 3)}, False, False),
    ],
)
def test_recipes_tell_what_is_kept_apart(
    one: dict[str, Any], other: dict[str, Any], glyphs: bool, labels: bool
) -> None:
    def recipe(asked: dict[str, Any]) -> Recipe:
        return recipe_for(**{"seed": 1, **({} if "sequences" in asked else {"length": 2}), **asked})

    both = {"a": recipe(one), "b": recipe(other)}
    assert len(parts.shared("glyph", both)) == 1 - glyphs
    assert len(parts.shared("label", both)) == 1 - labels
    assert len(parts.shared("both", both)) == 2 - glyphs - labels
    assert parts.shared("both", {"a": both["a"]}) == []


def test_splits_are_checked_one_by_one(mnistseq: Run) -> None:
    assert mnistseq("dataset", *THREE, "--len", "3", "--seed", "5", "-o", "out").code == 0
    done = mnistseq("inspect", "out", "--verify", "--regenerate", "1")
    sound = ["every file of every split is as its manifest says", "the recipes make the same samples again"]
    assert (done.code, done.err.splitlines()) == (0, [*sound, "look at one: mnistseq inspect out/train"])
    Path("out/val/images/00000/00000007.png").write_bytes(b"")
    Path("out/test/images/00000/00000003.png").unlink()
    assert inspected(mnistseq)["problems"] == []  # nobody asked
    verified, made = inspected(mnistseq, "--verify")["problems"], inspected(mnistseq, "--regenerate", "1")["problems"]
    assert [problem.split(":")[0] for problem in verified] == ["val", "test"]
    assert [problem.split(":")[0] for problem in made] == ["val", "test"]
    assert mnistseq("inspect", "out", "--verify").code == 1


@pytest.mark.parametrize("options", ["--len 2", "--split-by both --len 3", "--layout folders --len 1-2"])
def test_what_repairs_splits_is_told_and_does(options: str, mnistseq: Run, place: Path) -> None:
    asked = ["dataset", *THREE, *options.split(), "--seed", "5", "-o", "a b"]
    assert mnistseq(*asked).code == 0
    whole, parts = tree(place), Path("a b")
    max((parts / "train").glob("*/*/*.png" if "folders" not in options else "*/*.png")).unlink()
    (parts / "val/labels.csv").write_bytes(b"")
    (parts / "test/manifest.json").write_bytes(b"{")
    (parts / "val/recipe.json").write_bytes(b"\xef\xbb\xbf" + (parts / "val/recipe.json").read_bytes())
    done = mnistseq("inspect", "a b", "--verify")
    assert done.code == 1
    commands = [line.removeprefix("repair it: ") for line in done.err.splitlines() if line.startswith("repair it: ")]
    assert len(commands) == 3
    for command in commands:
        program, *words = shlex.split(command)
        assert (program, mnistseq(*words).code) == ("mnistseq", 0)
    assert tree(place) == whole
    assert mnistseq("inspect", "a b", "--verify").code == 0


def test_what_repairs_splits_as_a_whole_is_told_and_does(mnistseq: Run, place: Path) -> None:
    asked = ["dataset", *THREE, "--len", "1", "--seed", "5", "-o", "out"]
    assert mnistseq(*asked).code == 0
    whole = tree(place)
    shutil.rmtree("out/train")
    Path("out/val/recipe.json").write_bytes(b"{")
    Path("out/splits.json").write_bytes(b"\xef\xbb\xbf" + Path("out/splits.json").read_bytes())
    done = mnistseq("inspect", "out", "--verify")
    named = "splits.json and train and val"
    line = f"the dataset command that made the splits, with --seed 5, makes {named} again"
    assert (done.code, done.err.splitlines()[-1]) == (1, line)
    assert mnistseq(*asked).code == 0
    assert tree(place) == whole


def test_what_readers_would_take_for_a_split_is_named(mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", *THREE, "--len", "1", "--seed", "5", "-o", "out").code == 0
    for name in ("runs/events.log", ".cache/x.png"):
        (place / "out" / name).parent.mkdir()
        (place / "out" / name).write_bytes(b"")
    assert mnistseq("inspect", "out", "--verify").code == 0
    shutil.copytree("out/val", "out/more")
    Path("out/x.png").write_bytes(b"")
    Path("out/val/x.png").write_bytes(b"")
    text = "is not of the {0}, and readers would take it for samples: remove out/{1}, or move it away"
    expected = [("val: x.png", "dataset", "val/x.png"), ("more", "splits", "more"), ("x.png", "splits", "x.png")]
    lines = [f"mnistseq: {name} {text.format(whole, path)}" for name, whole, path in expected]
    done = mnistseq("inspect", "out", "--verify")
    assert (done.code, done.err.splitlines()) == (1, lines)


@pytest.mark.parametrize(
    "options",
    [("--sheet", "x.png"), ("--html", "x.html"), ("--index", "1"), ("--show", "2"), ("--predictions", "labels.csv")],
)
def test_what_is_about_one_dataset_names_the_splits(options: tuple[str, str], mnistseq: Run, place: Path) -> None:
    assert mnistseq("dataset", *THREE, "--len", "1", "-o", "out").code == 0
    assert mnistseq("inspect", "out", *options) == (
        2,
        "",
        "mnistseq: out holds splits, train, val, test, and these options look at one; give out/train for example\n",
    )
    assert [path.name for path in place.iterdir()] == ["out"]


def test_one_bar_goes_on_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_seq_cli.cli import terminal

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    watch = terminal.bar(10, "strips", lambda item: item)
    assert list(watch([3, 4])) == [3, 4]
    first = shown.getvalue()
    assert list(watch([2, 1])) == [2, 1]
    assert "0/10" in first
    assert "7/10" in shown.getvalue()[len(first) :].split("\r")[1]
