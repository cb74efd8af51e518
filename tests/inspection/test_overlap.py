"""Two datasets beside each other: what they share is found, listed and counted, and nothing else is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import UNLIKE_FORMATS, form

from mnist_seq_cli import open_dataset
from mnist_seq_cli.inspection import overlap
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import bundled_writers

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def slowly(one: str, other: str) -> tuple[set[int], set[str], set[bytes]]:
    """What is in both: all of it held, and laid beside each other."""
    found: list[tuple[set[int], set[str], set[bytes]]] = []
    for path in (one, other):
        samples = list(open_dataset(path))
        ids = {glyph for sample in samples for glyph in sample.glyphs[: sample.length].tolist()}
        found.append((ids, {sample.label for sample in samples}, {sample.image.tobytes() for sample in samples}))
    first, second = found
    return first[0] & second[0], first[1] & second[1], first[2] & second[2]


@pytest.mark.parametrize("format_name", UNLIKE_FORMATS)
def test_what_is_shared_is_found_in_every_format(format_name: str, mnistseq: Run) -> None:
    common = [*form(format_name), "--shard-size", "60"]
    assert mnistseq("dataset", "-n", "150", "--len", "1-3", "--seed", "1", *common, "-o", "one").code == 0
    assert mnistseq("dataset", "-n", "400", "--len", "1-3", "--seed", "2", "-o", "other").code == 0
    assert mnistseq("dataset", "-n", "150", "--len", "1-3", "--seed", "1", "-o", "readable").code == 0
    ids, texts, images = slowly("readable", "other")
    assert ids
    assert texts
    for first, second in (("one", "other"), ("other", "one")):
        done = mnistseq("inspect", first, "--against", second, "--json")
        report = json.loads(done.out)
        assert (report["kind"], report["path"], report["against"]) == ("comparison", first, second)
        assert report["samples"] == ([150, 400] if first == "one" else [400, 150])
        assert report["glyphs"] == {"shared": len(ids), "examples": sorted(ids)[:10], "known": True}
        assert report["labels"]["shared"] == len(texts)
        assert {*report["labels"]["examples"]} <= texts
        assert report["images"]["shared"] == len(images)
        assert done.code == 1
        assert done.err.splitlines()[0].startswith(f"mnistseq: {first} and {second} share {len(ids)} glyphs: ")
        assert len(done.err.splitlines()) == len(report["problems"]) == 2 + bool(images)


def test_identical_images_are_named_by_their_numbers(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "30", "--len", "3", "--seed", "1", "-o", "one").code == 0
    assert mnistseq("dataset", "-n", "90", "--len", "3", "--seed", "1", "--format", "npz", "-o", "other").code == 0
    done = mnistseq("inspect", "one", "--against", "other", "--json")
    report = json.loads(done.out)
    assert report["images"] == {"shared": 30, "examples": [[number, number] for number in range(10)], "known": True}
    done = mnistseq("inspect", "other", "--against", "one", "--may-share", "glyph", "--may-share", "label")
    assert done.code == 1
    assert done.err == (
        "mnistseq: other and one share 30 identical images: 0=0, 1=1, 2=2, 3=3, 4=4, 5=5, 6=6, 7=7, 8=8, 9=9, …\n"
    )


def test_pixels_count_and_not_what_is_said_of_them(mnistseq: Run, place: Path) -> None:
    """Two pairs of files with the same pictures in another order: the ids tell nothing, the images all."""
    glyphs = np.random.default_rng(1).integers(1, 255, (10, 9, 7), dtype=np.uint8)
    for name, order in (("a", np.arange(10)), ("b", np.arange(10)[::-1])):
        Path(f"{name}.images").write_bytes(idx.encode(glyphs[order]))
        Path(f"{name}.labels").write_bytes(idx.encode(order.astype(np.uint8)))
        own = ["--source", f"{name}.images", "--source-labels", f"{name}.labels"]
        assert mnistseq("dataset", "-n", "20", "--len", "1", "--seed", ord(name), *own, "-o", name).code == 0
    _, _, images = slowly("a", "b")
    done = mnistseq("inspect", "a", "--against", "b", "--json")
    report = json.loads(done.out)
    assert report["glyphs"] == {"shared": 0, "examples": [], "known": False}
    assert report["images"]["shared"] == len(images) > 3
    numbers = {sample.number: sample.image.tobytes() for sample in open_dataset("b")}
    for first, second in report["images"]["examples"]:
        assert open_dataset("a")[first].image.tobytes() == numbers[second]
    assert report["problems"][-1] == (
        "the glyphs of a and b could not be compared; give each custom source, with its labels"
    )
    table = mnistseq("inspect", "a", "--against", "b")
    assert table.err.splitlines() == [f"mnistseq: {problem}" for problem in report["problems"]]
    assert [line.split()[1] for line in table.out.splitlines() if "glyphs" in line] == ["unknown"]


def custom(name: str, images: np.ndarray[Any, Any]) -> list[str]:
    """Write a custom source, a digit after the other, and return the options that name it."""
    Path(f"{name}.images").write_bytes(idx.encode(images))
    Path(f"{name}.labels").write_bytes(idx.encode((np.arange(len(images)) % 10).astype(np.uint8)))
    return ["--source", f"{name}.images", "--source-labels", f"{name}.labels"]


def glyph_images(name: str, images: np.ndarray[Any, Any]) -> set[bytes]:
    return {images[glyph].tobytes() for sample in open_dataset(name) for glyph in sample.glyphs.tolist()}


@pytest.mark.parametrize("format_name", ["png", "idx"])
def test_custom_glyphs_are_compared_by_their_images(format_name: str, mnistseq: Run) -> None:
    drawn = np.random.default_rng(1).integers(1, 255, (60, 9, 7), dtype=np.uint8)
    one, other = drawn[:40], np.concatenate([drawn[50:60], drawn[10:20], drawn[10:20]])
    sources = {"a": custom("a", one), "b": custom("b", other), "c": custom("c", drawn[40:])}
    for name in sources:
        command = ["dataset", "-n", "9", "--len", "3", "--seed", ord(name), *sources[name], "-o"]
        assert mnistseq(*command, name, *form(format_name)).code == 0
        assert mnistseq(*command, f"{name}-ids").code == 0
    shared = glyph_images("a-ids", one) & glyph_images("b-ids", other)
    firsts = sorted(glyph for glyph in range(40) if one[glyph].tobytes() in shared)
    done = mnistseq("inspect", "a", "--against", "b", *sources["b"], *sources["a"], "--json")
    assert json.loads(done.out)["glyphs"] == {"shared": len(shared), "examples": firsts[:10], "known": True}
    assert (done.code, len(firsts) > 2) == (1, True)
    may = ["--may-share", "label"]
    assert mnistseq("inspect", "a", "--against", "c", *sources["a"], *sources["c"], *may).code == 0
    unknown = "mnistseq: the glyphs of a and c could not be compared; give each custom source, with its labels\n"
    for given in ([], sources["a"]):
        done = mnistseq("inspect", "a", "--against", "c", *given, *may)
        assert (done.code, done.err) == (1, unknown)
    assert mnistseq("inspect", "a", "--against", "c", *may, "--may-share", "glyph").code == 0
    done = mnistseq("inspect", "a", "--against", "c", *sources["b"])
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "neither dataset is made of " in done.err


def test_equal_images_of_one_source_are_the_same_glyph(mnistseq: Run) -> None:
    drawn = np.random.default_rng(1).integers(1, 255, (10, 9, 7), dtype=np.uint8)
    source = custom("a", np.concatenate([drawn, drawn]))
    for name in ("one", "other"):
        command = ["dataset", "-n", "60", "--len", "1", "--glyphs", "once", "--seed", ord(name[0]), *source, "-o", name]
        assert mnistseq(*command).code == 0
    shared = [
        json.loads(mnistseq("inspect", "one", "--against", "other", *given, "--json").out)["glyphs"]["shared"]
        for given in ([], source)
    ]
    assert shared == [20, 10]


def test_splits_share_what_they_may_and_nothing_else(mnistseq: Run) -> None:
    splits = ["--split", "train=1000", "--split", "val=300", "--split", "test=300", "--seed", "1", "--format", "npz"]
    assert mnistseq("dataset", *splits, "--len", "2", "--split-by", "both", "-o", "both").code == 0
    for one, other in (("train", "val"), ("val", "test"), ("test", "train")):
        done = mnistseq("inspect", f"both/{one}", "--against", f"both/{other}")
        assert (done.code, done.err) == (0, "")
    assert mnistseq("dataset", *splits, "--len", "2", "-o", "glyphs").code == 0
    done = mnistseq("inspect", "glyphs/train", "--against", "glyphs/val")
    assert done.code == 1
    assert "share" in done.err
    assert done.err.count("\n") == 1
    assert " sequences: " in done.err
    assert mnistseq("inspect", "glyphs/train", "--against", "glyphs/val", "--may-share", "label").code == 0
    assert mnistseq("dataset", *splits, "--len", "2", "--split-by", "label", "-o", "labels").code == 0
    done = mnistseq("inspect", "labels/train", "--against", "labels/val", "--may-share", "label")
    assert (done.code, " glyphs: " in done.err) == (1, True)
    assert mnistseq("inspect", "labels/train", "--against", "labels/val", "--may-share", "glyph").code == 0


def test_white_on_black_is_another_image(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "9", "--len", "2", "--seed", "1", "-o", "one").code == 0
    assert mnistseq("dataset", "-n", "9", "--len", "2", "--seed", "1", "--invert", "-o", "other").code == 0
    report = overlap.compare(Path("one"), Path("other"))
    labels = {sample.label for sample in open_dataset("one")}
    assert (report.images.shared, report.glyphs.shared > 0, report.labels.shared) == (0, True, len(labels))


def test_an_image_that_comes_twice_is_counted_once(mnistseq: Run) -> None:
    glyphs = np.random.default_rng(1).integers(1, 255, (2, 9, 7), dtype=np.uint8)
    Path("i").write_bytes(idx.encode(glyphs))
    Path("l").write_bytes(idx.encode(np.arange(2, dtype=np.uint8)))
    own = ["--source", "i", "--source-labels", "l", "--digits", "01"]
    for name, samples in (("one", 20), ("other", 30)):
        assert mnistseq("dataset", "-n", samples, "--len", "1", *own, "-o", name).code == 0
    report = overlap.compare(Path("one"), Path("other"))
    assert (report.glyphs.shared, report.labels.shared, report.images.shared) == (2, 2, 2)
    assert report.labels.examples == ["0", "1"]


def test_what_is_no_complete_dataset_is_refused(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "9", "--len", "2", "-o", "one").code == 0
    shutil.copytree("one", "other")
    Path("other/manifest.json").unlink()
    done = mnistseq("inspect", "one", "--against", "other")
    message = "other is incomplete: it has no manifest.json; the dataset command finishes it"
    assert done == (2, "", f"mnistseq: {message}\n")
    done = mnistseq("inspect", "nowhere", "--against", "one")
    assert (done.code, done.err.count("\n")) == (2, 1)
    message = "one/labels.csv is not a directory; a dataset is opened by its directory"
    assert mnistseq("inspect", "one", "--against", "one/labels.csv") == (2, "", f"mnistseq: {message}\n")
    parts = ["--split", "a=3", "--split", "b=3", "--len", "2"]
    assert mnistseq("dataset", *parts, "-o", "parts").code == 0
    message = "parts is not an mnistseq dataset: it has no recipe.json; it holds splits: take one of them"
    assert mnistseq("inspect", "one", "--against", "parts") == (2, "", f"mnistseq: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "one"], "--against compares two datasets, and does nothing else; give two paths alone"),
        (
            ["one", "--against", "one", "--verify"],
            "--against compares two datasets, and does nothing else; give two paths alone",
        ),
        (
            ["one", "--may-share", "label"],
            "--may-share says what two datasets may share; give the other with --against",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], message: str, mnistseq: Run) -> None:
    assert mnistseq("inspect", *arguments) == (2, "", f"mnistseq: {message}\n")


def test_shared_writers_are_counted_and_matter_where_they_are_parted(mnistseq: Run) -> None:
    made = ["dataset", "--len", "2", "--seed", "3", "--split", "train=300", "--split", "val=60", "--split", "test=40"]
    assert mnistseq(*made, "--split-by", "writer", "-o", "apart").code == 0
    assert mnistseq(*made, "-o", "mixed").code == 0
    for first, second in (("train", "val"), ("train", "test"), ("test", "val")):
        done = mnistseq("inspect", f"apart/{first}", "--against", f"apart/{second}", "--may-share", "label", "--json")
        report = json.loads(done.out)
        assert done.code == 0, done.err
        assert report["writers"] == {"shared": 0, "examples": [], "known": True}
    assert json.loads(mnistseq("inspect", "apart", "--json").out)["apart"]
    done = mnistseq("inspect", "mixed/train", "--against", "mixed/val", "--may-share", "label", "--json")
    writers = [bundled_writers()[open_dataset(f"mixed/{name}").batch(0, 60).glyphs] for name in ("train", "val")]
    report = json.loads(done.out)
    assert done.code == 0  # which is no problem of splits by glyph
    assert report["writers"]["shared"] >= len({*writers[0].flat} & {*writers[1].flat}) > 10
    allowed = ["--may-share", "glyph", "--may-share", "label"]
    done = mnistseq("inspect", "apart/val", "--against", "mixed/train", *allowed)
    assert (done.code, done.err.startswith("mnistseq: apart/val and mixed/train share ")) == (1, True)
    assert " writers: " in done.err.splitlines()[-1]
