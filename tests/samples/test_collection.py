"""Whatever is looked at: a shard, a folder, an array. The same samples everywhere, and one line for what is none."""

import io
import json
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import others_slow
from forms import FORMATS, form
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset, formats, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.errors import FormatError, MnistseqError, RequestError
from mnist_seq_cli.inspection import counts, look
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import bundled_writers
from mnist_seq_cli.reading.read_samples import open_samples
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import NO_GAP, Strip
from mnist_seq_cli.storage.location import open_store

Run = Callable[..., tuple[int, str, str]]

ASKED = ("-n", "45", "--len", "1-3", "--max", "4", "--seed", "6", "--shard-size", "20")
DATA = SequenceDataset(length="1-3", max_gap=4, seed=6, samples=45)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("collections")
    for name in FORMATS:
        assert main.run(["dataset", *ASKED, *form(name), "-o", str(place / name)]) == 0
        assert main.run(["dataset", *ASKED, *form(name), "--invert", "-o", str(place / f"inverted-{name}")]) == 0
    return place


def same(found: Samples, first: int, stop: int, *, truth: bool = True) -> None:
    """All samples of a collection are these of the recipe."""
    assert len(found) == stop - first
    strips = found.chosen(range(len(found)))
    for strip, number in zip(strips, range(first, stop), strict=True):
        sample = DATA[number]
        size = sample.length
        np.testing.assert_array_equal(strip.image, sample.image)
        if truth:
            assert strip.label == sample.label
            assert strip.glyphs == tuple(sample.glyphs[:size].tolist())
            assert strip.x == tuple(sample.x[:size].tolist())
            assert strip.boxes == tuple(slow_box(sample.image, left) for left in strip.x)
    texts = [text for rows in found.labels() for text in rows.texts]
    assert texts == [DATA[number].label.replace("-", "") if truth else None for number in range(first, stop)]


def slow_box(image: NDArray[np.uint8], left: int) -> tuple[int, int, int, int]:
    inked = [(x, y) for y in range(28) for x in range(left, left + 28) if image[y, x] < 255]
    columns, rows = [x for x, _ in inked], [y for _, y in inked]
    return min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1


@pytest.mark.parametrize("name", [*FORMATS, *(f"inverted-{name}" for name in FORMATS)])
def test_a_dataset(name: str, made: Path) -> None:
    same(open_samples(made / name), 0, 45)


@pytest.mark.parametrize("inverted", ["", "inverted-"])
def test_a_shard_by_itself(inverted: str, made: Path, tmp_path: Path) -> None:
    for tar in (made / f"{inverted}webdataset" / "00001.tar", tmp_path / "x.tar"):
        if not tar.exists():
            shutil.copy(made / f"{inverted}webdataset" / "00001.tar", tar)
        found = open_samples(tar)
        assert (found.kind, found.source) == ("shard", "" if tar.parent == tmp_path else "train")
        same(found, 20, 40)
    found = open_samples(made / f"{inverted}png" / "images" / "00002")
    assert (found.kind, found.source) == ("shard", "train")
    same(found, 40, 45)


@pytest.mark.parametrize("inverted", ["", "inverted-"])
def test_an_npz_file(inverted: str, made: Path, tmp_path: Path) -> None:
    same(open_samples(made / f"{inverted}npz" / "dataset.npz"), 0, 45)
    images = np.stack([sample.image for sample in DATA])
    np.savez(tmp_path / "x.npz", images=images)
    same(open_samples(tmp_path / "x.npz"), 0, 45, truth=False)


def test_an_idx_file_of_images(made: Path) -> None:
    images = open_samples(made / "inverted-idx" / "images-idx3-ubyte.gz")  # white on black, as IDX files are
    same(images, 0, 45, truth=False)
    assert len(open_samples(made / "idx" / "labels-idx2-ubyte.gz")) == 0


def test_a_folder_with_and_without_labels(made: Path, tmp_path: Path) -> None:
    for part in sorted((made / "png" / "images").iterdir()):
        shutil.copytree(part, tmp_path / "folder", dirs_exist_ok=True)
    folder = tmp_path / "folder"
    unlabelled = open_samples(folder)
    assert unlabelled.kind == "folder"
    assert [text for rows in unlabelled.labels() for text in rows.texts] == [None] * 45
    for strip in unlabelled.chosen(range(45)):  # they can be read, since they are made of MNIST digits
        assert strip.label == DATA[strip.number].label
        assert strip.glyphs == tuple(DATA[strip.number].glyphs[: DATA[strip.number].length].tolist())
    rows = [f"{sample.number:08d}.png,{sample.label}\n" for sample in DATA]
    (folder / "labels.csv").write_text("file_name,label\n" + "".join(rows))
    same(open_samples(folder), 0, 45)
    (folder / "labels.csv").write_text("label,file_name\n" + "".join(f"{row[13:-1]},{row[:12]}\n" for row in rows[:20]))
    texts = [text for part in open_samples(folder).labels() for text in part.texts]
    assert [text is None for text in texts] == [False] * 20 + [True] * 25
    with (folder / "metadata.jsonl").open("w") as file:
        for sample in DATA:
            row = {"file_name": f"{sample.number:08d}.png", "text": sample.label.replace("-", "")}
            file.write(json.dumps(row) + "\n")
    same(open_samples(folder), 0, 45)


def test_a_folder_whose_names_are_the_labels(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2-3", "4-5", "--count", "2", "--seed", "1", "-o", tmp_path / "named")
    found = open_samples(tmp_path / "named")
    assert [text for rows in found.labels() for text in rows.texts] == ["123", "123", "45", "45"]
    assert [strip.name for strip in found.chosen([0, 3])] == ["1-2-3_0.png", "4-5_1.png"]
    assert [found.number_of(name) for name in ("1-2-3_1.png", "x/4-5_0", "3", "4")] == [1, 2, 3, None]
    mnistseq("generate", "1", "2", "-o", tmp_path / "numbers")  # these might be anything
    assert [text for rows in open_samples(tmp_path / "numbers").labels() for text in rows.texts] == [None, None]


def test_the_folder_of_a_label(tmp_path: Path, mnistseq: Run) -> None:
    asked = ("--len", "2", "--per-label", "3", "--seed", "4", "--min", "3")
    mnistseq("dataset", *asked, "--layout", "folders", "-o", tmp_path / "out")
    for folder in (tmp_path / "out" / "42", tmp_path / "out" / "07", tmp_path / "42", tmp_path / "07"):
        if folder.parent == tmp_path:  # where nothing beside it tells
            shutil.copytree(tmp_path / "out" / folder.name, folder)
        found = open_samples(folder)
        assert found.kind == "folder"
        assert [text for rows in found.labels() for text in rows.texts] == [folder.name] * 3
        assert [strip.label for strip in found.chosen(range(3))] == ["-".join(folder.name)] * 3
        assert [found.number_of(f"2_{folder.name}.png"), found.number_of(f"2_{folder.name}")] == [2, 2]
        whole = counts.count(found)
        assert whole.gaps == ({"3": 3} if folder.parent != tmp_path else None)
        assert whole.glyphs is not None
        assert whole.glyphs["samples"] == 3


def test_the_recipe_beside_tells_ink_from_paper(tmp_path: Path, mnistseq: Run) -> None:
    looks = ("--crop", "tight", "--stroke", "3", "--min", "-3", "--len", "1", "-n", "40", "--seed", "7")
    for invert in ((), ("--invert",)):
        parts = {"webdataset": "00000.tar", "png": "images/00000", "npz": "dataset.npz", "idx": "images-idx3-ubyte.gz"}
        for name, part in parts.items():
            out = tmp_path / f"{name}{len(invert)}"
            assert mnistseq("dataset", *looks, *invert, "--format", name, "-o", out).code == 0
            shown = [sample.image if not invert else 255 - sample.image for sample in open_dataset(out)]
            assert any((image < 128).mean() > 0.5 for image in shown)  # which by its look would be paper
            found = open_samples(out / part)
            assert all(np.array_equal(strip.image, shown[strip.number]) for strip in found.chosen(range(40)))


def test_mnist_itself() -> None:
    found = open_samples(None)
    strip = found.chosen([60_000])[0]
    assert (len(found), strip.text, strip.glyphs) == (70_000, "7", (60_000,))
    labels = idx.read(Path(__file__).resolve().parents[2] / "data" / "train-labels-idx1-ubyte")
    texts = [text for rows in found.labels() for text in rows.texts]
    assert texts[:60_000] == list(map(str, labels.tolist()))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [1, 7, 20, 44, 45, 1000])
def test_a_selection_is_in_order_and_of_the_size_that_is_wanted(name: str, count: int, made: Path) -> None:
    found = open_samples(made / name)
    numbers = [strip.number for strip in found.picked(count) if strip]
    assert numbers == sorted(set(numbers))
    assert min(count, 10) <= len(numbers) <= 45 or len(numbers) == count
    assert len(numbers) <= max(count, 10)
    with pytest.raises(RequestError, match="there is no sample 45; they are 0 to 44"):
        found.chosen([45])


def test_a_selection_comes_from_all_over(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "5000", "--len", "1", "--seed", "1", "--format", "npz", "-o", tmp_path / "out")
    numbers = open_samples(tmp_path / "out").spread(500)
    assert len(numbers) == 500
    assert {number // 250 for number in numbers} == set(range(20))


def test_what_cannot_be_read_is_counted_and_the_rest_is_looked_at(made: Path, tmp_path: Path, mnistseq: Run) -> None:
    shutil.copytree(made / "png", tmp_path / "out")
    (tmp_path / "out/images/00001/00000025.png").write_bytes(b"x")
    code, text, err = mnistseq("inspect", tmp_path / "out", "--json")
    ink = json.loads(text)["ink"]
    assert (code, err, ink["samples"], ink["unreadable"]) == (0, "", 44, 1)
    assert "1 could not be read: see --verify" in mnistseq("inspect", tmp_path / "out")[1]
    code, out, err = mnistseq("inspect", tmp_path / "out", "--index", "25")
    assert (code, out, err.count("\n")) == (2, "", 1)


# Gaps are those that were drawn, wherever glyphs stand


LAID_OUT = {
    "tight": (["--crop", "tight", "--min", "1", "--max", "6"], {"crop": "tight", "min_gap": 1, "max_gap": 6}),
    "tight, all alike": (["--crop", "tight", "--min", "3"], {"crop": "tight", "min_gap": 3}),
    "moved": (["--jitter-x", "4", "--min", "9", "--max", "12"], {"jitter_x": 4, "min_gap": 9, "max_gap": 12}),
    "moved, all alike": (["--jitter-x", "4", "--min", "9"], {"jitter_x": 4, "min_gap": 9}),
    "overlapping": (["--min", "-9", "--max", "-2"], {"min_gap": -9, "max_gap": -2}),
}


def laid_out(name: str) -> SequenceDataset:
    return SequenceDataset(length="1-4", seed=8, samples=70, **LAID_OUT[name][1])


def drawn_gaps(name: str) -> list[list[int]]:
    """The gaps of each sample: measured from ink to ink or from box to box, or, where all is moved, those drawn."""
    found = []
    for number, sample in enumerate(laid_out(name)):
        size, boxes, x = sample.length, sample.boxes.tolist(), sample.x.tolist()
        if name.startswith("moved"):
            drawn = laid_out(name).batch(number, number + 1).sampled
            found.append(drawn["gaps"][0, : size - 1].tolist() if "gaps" in drawn else [9] * (size - 1))
        elif name.startswith("tight"):
            found.append([boxes[k + 1][0] - boxes[k][0] - boxes[k][2] for k in range(size - 1)])
        else:
            found.append([x[k + 1] - x[k] - 28 for k in range(size - 1)])
    return found


def counted(gaps: list[list[int]]) -> dict[str, int]:
    every = [gap for row in gaps for gap in row]
    return {str(gap): every.count(gap) for gap in sorted(set(every))}


@pytest.mark.parametrize("kind", others_slow(FORMATS, "png", "npz"))
@pytest.mark.parametrize("name", LAID_OUT)
def test_gaps_are_those_that_were_drawn(name: str, kind: str, tmp_path: Path, mnistseq: Run) -> None:
    out = tmp_path / "out"
    asked = ("-n", "70", "--len", "1-4", "--seed", "8", "--shard-size", "30", *LAID_OUT[name][0])
    assert mnistseq("dataset", *asked, *form(kind), "-o", out)[0] == 0
    gaps = drawn_gaps(name)
    report = json.loads(mnistseq("inspect", out, "--json")[1])
    assert report["gaps"] == counted(gaps)
    assert [list(strip.gaps) for strip in open_samples(out).chosen(range(70))] == gaps
    number = next(number for number, row in enumerate(gaps) if len(row) == 3)
    lines = mnistseq("inspect", out, "--index", number)[1].splitlines()
    told = [line.split() for line in lines if "×" in line]
    assert [row[3] for row in told[1:]] == list(map(str, gaps[number]))
    parts = {"webdataset": ["00000.tar", "00002.tar"], "npz": ["dataset.npz"], "png": ["images/00000", "images/00002"]}
    for part, (first, stop) in zip(parts.get(kind, []), [(0, 70 if kind == "npz" else 30), (60, 70)], strict=False):
        report = json.loads(mnistseq("inspect", out / part, "--json")[1])
        assert report["gaps"] == counted(gaps[first:stop])


def test_where_no_recipe_tells_them_nothing_is_said_of_gaps(tmp_path: Path, mnistseq: Run) -> None:
    for name in ("tight", "tight, all alike"):
        asked = ("-n", "70", "--len", "1-4", "--seed", "8", "--shard-size", "30", *LAID_OUT[name][0])
        mnistseq("dataset", *asked, "--format", "webdataset", "-o", tmp_path / name)
        shutil.copy(tmp_path / name / "00000.tar", tmp_path / f"{name}.tar")
    drawn = json.loads(mnistseq("inspect", tmp_path / "tight.tar", "--json")[1])
    assert drawn["gaps"] == counted(drawn_gaps("tight")[:30])  # which stand in its rows
    for view in ("--json", "--index=3"):
        text = mnistseq("inspect", tmp_path / "tight, all alike.tar", view)[1]
        assert '"gaps": null' in text if view == "--json" else "gap" not in text
    assert mnistseq("generate", "1-2-3", "--min", "4", "--seed", "1", "-o", f"{tmp_path}/a/")[0] == 0
    report = json.loads(mnistseq("inspect", tmp_path / "a", "--json")[1])
    assert (report["gaps"], report["glyphs"]["samples"]) == (None, 1)  # which were read in its pixels
    batch = laid_out("tight").batch(0, 9)
    np.savez(tmp_path / "x.npz", images=batch.images, labels=batch.digits, lengths=batch.lengths, x=batch.x)
    assert json.loads(mnistseq("inspect", tmp_path / "x.npz", "--json")[1])["gaps"] is None
    np.savez(tmp_path / "y.npz", images=batch.images, labels=batch.digits, lengths=batch.lengths, **batch.sampled)
    assert json.loads(mnistseq("inspect", tmp_path / "y.npz", "--json")[1])["gaps"] == counted(drawn_gaps("tight")[:9])
    np.savez(tmp_path / "z.npz", images=batch.images, labels=batch.digits, gaps=batch.sampled["gaps"][:, :2])
    assert mnistseq("inspect", tmp_path / "z.npz", "--json")[0] == 2


def test_a_label_that_was_changed_has_no_gaps(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "9", "--len", "3", "--max", "4", "--seed", "8", "-o", tmp_path / "out")
    labels = tmp_path / "out" / "labels.csv"
    rows = labels.read_text().splitlines()
    digit = (int(rows[4][-1]) + 1) % 10
    labels.write_text("\n".join([*rows[:4], rows[4][:-1] + str(digit), *rows[5:]]) + "\n")
    data = SequenceDataset(length=3, max_gap=4, seed=8, samples=9)
    gaps = [np.diff(sample.x - 28 * np.arange(3)).tolist() for sample in data]
    assert json.loads(mnistseq("inspect", tmp_path / "out", "--json")[1])["gaps"] == counted(gaps[:3] + gaps[4:])


@pytest.mark.parametrize("gaps", [[1], [1, 2, 3], [1, "2"], [1, True], "12", [1, 2**31], [1, -(2**31)], None])
def test_gaps_in_a_row_that_cannot_be_are_passed_over(gaps: object, tmp_path: Path) -> None:
    row = {"file_name": "a.png", "text": "123", "gaps": gaps}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "a.png").write_bytes(png.encode(np.full((1, 28, 90), 255, np.uint8), "small")[0])
    found = open_samples(tmp_path)
    assert found.chosen([0])[0].gaps == ()
    assert [rows.gaps.tolist() for rows in found.labels()] == [[[NO_GAP] * 2]]
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row | {"gaps": [4, -5]}) + "\n")
    assert [rows.gaps.tolist() for rows in open_samples(tmp_path).labels()] == [[[4, -5]]]


def test_an_npz_of_single_digits_has_gaps_without_values(tmp_path: Path, mnistseq: Run) -> None:
    asked = ("-n", "5", "--len", "1", "--max", "3", "--seed", "1", "--format", "npz")
    assert mnistseq("dataset", *asked, "-o", tmp_path / "out")[0] == 0
    report = json.loads(mnistseq("inspect", tmp_path / "out/dataset.npz", "--json")[1])
    assert (report["samples"], report["gaps"]) == (5, None)


def test_an_npz_of_another_make_is_believed_in_nothing(tmp_path: Path, mnistseq: Run) -> None:
    images = np.full((3, 28, 56), 255, dtype=np.uint8)
    images[:, 5:20, 30:40] = 0
    labels = np.array([[1, 2], [3, 4], [5, 6]])  # of 8 bytes each, as NumPy makes them by itself
    far = np.full((3, 2), 10**12)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, glyphs=-far, x=far, gaps=10**15 * far[:, :1])
    report = json.loads(mnistseq("inspect", tmp_path / "a.npz", "--json")[1])
    assert (report["labelled"], report["digits"]) == (3, [0, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    assert (report["gaps"], report["glyphs"]) == (None, None)
    assert mnistseq("inspect", tmp_path / "a.npz", "--index", "0")[0] == 0
    np.savez(tmp_path / "b.npz", images=images, labels=labels - 2)
    code, text, err = mnistseq("inspect", tmp_path / "b.npz")
    assert (code, text, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("layout", [{"crop": "tight"}, {"min_gap": -9}, {"margin": 4, "jitter_y": 3}], ids=str)
def test_boxes_of_strips_that_were_read_are_those_of_their_glyphs(layout: dict[str, Any], tmp_path: Path) -> None:
    data = SequenceDataset(length=4, seed=5, samples=3, **layout)
    (tmp_path / "folder").mkdir()
    for sample in data:
        for name in (f"folder/{sample.number}.png", f"{sample.number}.png"):
            (tmp_path / name).write_bytes(png.encode(sample.image[None])[0])
    found = open_samples(tmp_path / "folder").chosen([0, 1, 2])
    alone = [open_samples(tmp_path / f"{number}.png").chosen([0])[0] for number in range(3)]
    for strips in (found, alone):
        assert [list(map(list, strip.boxes)) for strip in strips] == [sample.boxes.tolist() for sample in data]


@pytest.mark.parametrize("box", [[5000, 0, 5, 5], [0, 5000, 5, 5], [0, 0, 2**31 - 1, 5], [56, 0, 0, 0]])
def test_boxes_that_cannot_be_are_looked_for(box: list[int], tmp_path: Path, mnistseq: Run) -> None:
    image = np.full((28, 56), 255, dtype=np.uint8)
    image[4:9, 3:7] = image[6:20, 31:50] = 0
    (tmp_path / "a.png").write_bytes(png.encode(image[None], "small")[0])
    row = {"file_name": "a.png", "text": "12", "glyphs": [3, 4], "x": [0, 28], "boxes": [[3, 4, 4, 5], box]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    assert open_samples(tmp_path).chosen([0])[0].boxes == ((3, 4, 4, 5), (31, 6, 19, 14))
    assert mnistseq("inspect", tmp_path, "--sheet", tmp_path / "s.png", "--boxes")[0] == 0


def test_gaps_are_known_without_the_glyphs_of_a_source(tmp_path: Path, mnistseq: Run) -> None:
    data = Path(__file__).resolve().parents[2] / "data"
    own = ("--source", data / "t10k-images-idx3-ubyte", "--source-labels", data / "t10k-labels-idx1-ubyte")
    images = idx.read(own[1])[:900]
    (tmp_path / "i").write_bytes(idx.encode(np.minimum(images, 250)))
    (tmp_path / "l").write_bytes(idx.encode(idx.read(own[3])[:900]))
    asked = ("-n", "3000", "--len", "3", "--max", "4", "--crop", "tight", "--seed", "1", "--format", "npz")
    source = ("--source", tmp_path / "i", "--source-labels", tmp_path / "l")
    assert mnistseq("dataset", *asked, *source, "-o", tmp_path / "out")[0] == 0
    report = json.loads(mnistseq("inspect", tmp_path / "out", "--json")[1])
    batch = SequenceDataset(
        length=3, max_gap=4, crop="tight", seed=1, source=tmp_path / "i", source_labels=tmp_path / "l"
    )
    drawn = batch.batch(0, 3000).sampled["gaps"]
    assert report["gaps"] == counted(drawn.tolist())  # of all, and not of those alone that are looked at
    (tmp_path / "x").write_text("123\n" * 3000)
    score = json.loads(mnistseq("inspect", tmp_path / "out", "--predictions", tmp_path / "x", "--json")[1])[
        "predictions"
    ]
    assert {gap: entry["pairs"] for gap, entry in score["gaps"].items()} == report["gaps"]


# Reports


@pytest.mark.parametrize("what", ["webdataset/00001.tar", "png/images/00001", "npz/dataset.npz"])
def test_the_numbers_of_what_has_no_recipe(what: str, made: Path, mnistseq: Run) -> None:
    first, stop = (0, 45) if what.endswith("npz") else (20, 40)
    texts = [DATA[number].label.replace("-", "") for number in range(first, stop)]
    code, text, err = mnistseq("inspect", made / what, "--json")
    report = json.loads(text)
    assert (code, err, report["kind"]) == (0, "", "npz" if what.endswith("npz") else "shard")
    assert (report["samples"], report["labelled"]) == (stop - first, stop - first)
    assert report["sizes"] == [[28, 92]]
    assert report["lengths"] == {str(size): n for size in (1, 2, 3) if (n := sum(len(text) == size for text in texts))}
    assert report["digits"] == ["".join(texts).count(str(digit)) for digit in range(10)]
    for place, column in enumerate(report["positions"]):
        assert column == [sum(text[place : place + 1] == str(digit) for text in texts) for digit in range(10)]
    gaps = [
        int(sample.x[place + 1] - sample.x[place]) - 28
        for sample in (DATA[number] for number in range(first, stop))
        for place in range(sample.length - 1)
    ]
    assert report["gaps"] == {str(gap): gaps.count(gap) for gap in sorted(set(gaps))}
    assert report["glyphs"]["different"] == len(
        {glyph for number in range(first, stop) for glyph in DATA[number].glyphs[: DATA[number].length].tolist()}
    )
    assert report["ink"]["samples"] == stop - first
    assert mnistseq("inspect", made / what)[0] == 0


def test_one_sample_is_told_to_the_last(made: Path, mnistseq: Run) -> None:
    number = next(number for number in range(45) if DATA[number].length == 3)
    sample = DATA[number]
    code, text, err = mnistseq("inspect", made / "png", "--index", number)
    assert (code, err) == (0, "")
    lines = text.splitlines()
    assert lines[0] == f"{number}: {sample.label}"
    rows = [line.split() for line in lines if line.strip() and line.split()[0] in list(sample.label)]
    told = [row for row in rows if len(row) >= 6]
    for place in range(3):
        box = slow_box(sample.image, int(sample.x[place]))
        gap = [] if place == 0 else [str(int(sample.x[place] - sample.x[place - 1]) - 28)]
        assert told[place] == [
            *(sample.label[2 * place], str(sample.glyphs[place]), str(sample.x[place]), *gap),
            *(f"{box[0]},", str(box[1]), f"{box[2]}×{box[3]}", str(bundled_writers()[sample.glyphs[place]])),
        ]
    assert "the MNIST digits that it is made of" in lines
    origins = look.origins(open_samples(made / "png").chosen([number])[0], "train")
    assert origins is not None
    assert origins.shape == (28, 88)
    for place in range(3):
        left = int(sample.x[place])
        np.testing.assert_array_equal(
            origins[:, 30 * place : 30 * place + 28], sample.image[:, left : left + 28], strict=True
        )


@pytest.mark.parametrize("size", [1, 4, 5, 6, 12])
def test_the_digits_that_a_sample_is_made_of_stand_five_in_a_row(size: int) -> None:
    sample = SequenceDataset(length=size, seed=6)[0]
    strip = Strip(0, "", sample.image, sample.label.replace("-", ""), tuple(sample.glyphs.tolist()))
    origins = look.origins(strip, "train")
    assert origins is not None
    expected = np.full((30 * -(-size // 5), 30 * min(size, 5)), 255, dtype=np.uint8)
    for place in range(size):
        top, left = 30 * (place // 5), 30 * (place % 5)
        expected[top : top + 28, left : left + 28] = sample.image[:, 28 * place : 28 * place + 28]
    np.testing.assert_array_equal(origins, expected[:-2, :-2], strict=True)
    assert look.origins(strip, "sha256:0") is None


def test_samples_that_are_named_stand_in_the_json(made: Path, mnistseq: Run) -> None:
    report = json.loads(mnistseq("inspect", made / "npz", "--index", "9,3", "--json")[1])
    for number, shown in zip((9, 3), report["chosen"], strict=True):
        size, x = DATA[number].length, DATA[number].x.tolist()
        assert shown == {
            "sample": number,
            "file_name": None,
            "text": DATA[number].label.replace("-", ""),
            "glyphs": DATA[number].glyphs[:size].tolist(),
            "x": x[:size],
            "gaps": [right - left - 28 for left, right in pairwise(x[:size])],
            "boxes": [list(slow_box(DATA[number].image, left)) for left in x[:size]],
        }


def test_the_labels_in_a_tar_file_are_read_with_care(made: Path, tmp_path: Path) -> None:
    spec = manifest.read_spec(made / "webdataset")
    assert spec is not None

    def texts(directory: Path) -> list[str]:
        return list(formats.get("webdataset").read_texts(spec, open_store(directory).open))

    whole = texts(made / "webdataset")
    assert whole == [sample.label.replace("-", "") for sample in open_dataset(made / "webdataset")]
    shutil.copytree(made / "webdataset", tmp_path / "out")
    first = tmp_path / "out" / "00000.tar"
    content = first.read_bytes()
    row = content.index(b'{"text"')
    for changed in (
        b"",
        content[:-2000],
        content[512:],
        content[: row + 1] + b" " + content[row + 2 :],
        content[:156] + b"2" + content[157:],
        content[:124] + b"77777777777" + content[135:],
        content[:124] + b"-0000000001" + content[135:],
        content.replace(b"00000003.png", b"00000004.png"),
        content + content,
    ):
        first.write_bytes(changed)
        with pytest.raises(FormatError):
            texts(tmp_path / "out")
    for same in (content[:-1], content + b"\0", content.replace(b'"text": "', b'"text" :"', 1)):
        first.write_bytes(same)
        assert texts(tmp_path / "out") == whole


def test_several_samples_are_drawn_in_their_order(made: Path, mnistseq: Run) -> None:
    text = mnistseq("inspect", made / "idx", "--index", "30,2,2")[1]
    captions = [line for line in text.splitlines() if ": " in line and line.split(":")[0].isdigit()]
    assert captions == [f"{number}: {DATA[number].label}" for number in (30, 2, 2)]


# What is nothing of ours: one line, soon


def npy(shape: str, descr: str = "|u1", body: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def archive(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)
    return file.getvalue()


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


IMAGES = np.full((3, 28, 28), 255, dtype=np.uint8)
HOSTILE: dict[str, bytes] = {
    "empty archive": archive(),
    "no archive": b"PK\3\4" + bytes(100),
    "cut short": saved(images=IMAGES)[:-30],
    "lying shape": archive(images=npy("(4294967295, 28, 28)", body=bytes(100))),
    "overflowing shape": archive(images=npy("(4294967296, 4294967296, 4294967296)", body=bytes(100))),
    "negative shape": archive(images=npy("(-1, 28, 28)", body=bytes(784))),
    "no shape": archive(images=npy("()", body=bytes(784))),
    "a shape that is code": archive(images=npy("__import__('os')", body=bytes(784))),
    "objects": archive(images=npy("(1, 1, 1)", "|O", bytes(8))),
    "pickled": saved(images=IMAGES, labels=np.array([[{}], [1], [2]], dtype=object)),
    "floats": saved(images=IMAGES.astype(np.float32)),
    "other numbers of labels": saved(images=IMAGES, labels=np.zeros((2, 4), np.uint8)),
    "labels of text": saved(images=IMAGES, labels=np.array([["a"], ["b"], ["c"]])),
    "labels above 9": saved(images=IMAGES, labels=np.full((3, 2), 10, np.uint8)),
    "lengths too long": saved(images=IMAGES, labels=np.zeros((3, 2), np.uint8), lengths=np.full(3, 3, np.int32)),
    "no images": saved(labels=np.zeros((3, 2), np.uint8)),
    "a bomb": archive(zipfile.ZIP_DEFLATED, images=npy("(100000, 28, 28)", body=bytes(78_400_000))),
    "a name elsewhere": archive(**{"../../etc/passwd": b"x"}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused(kind: str, tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "x.npz").write_bytes(HOSTILE[kind])
    for options in ((), ("--json",), ("--html", tmp_path / "x.html"), ("--index", "0")):
        code, out, err = mnistseq("inspect", tmp_path / "x.npz", *options)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "x.npz" in err
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def tar(*members: tuple[str, bytes], kind: bytes = b"0") -> bytes:
    content = b""
    for name, body in members:
        header = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(body)
        header += b"00000000000\0" + b"000000\0 " + kind + bytes(100) + b"ustar\x0000"
        content += header.ljust(512, b"\0") + body + bytes(-len(body) % 512)
    return content + bytes(1024)


STRIP = png.encode(IMAGES[:1])[0]
ROW = b'{"text": "1", "glyphs": [3], "x": [0]}'
TARS: dict[str, bytes] = {
    "no members": tar(("00000000.json", ROW)),
    "a path elsewhere": tar(("../../x.png", STRIP)),
    "an absolute path": tar(("/etc/x.png", STRIP)),
    "a link": tar(("00000000.png", b""), kind=b"2"),
    "a device": tar(("00000000.png", b""), kind=b"3"),
    "twice": tar(("00000000.png", STRIP), ("00000000.json", ROW), ("00000000.png", STRIP)),
    "cut short": tar(("00000000.png", STRIP))[:600],
    "a broken strip": tar(("00000000.png", STRIP[:-20]), ("00000000.json", ROW)),
    "no JSON": tar(("00000000.png", STRIP), ("00000000.json", b"x")),
    "100,000 levels": tar(("00000000.png", STRIP), ("00000000.json", b"[" * 100_000)),
    "a text of letters": tar(("00000000.png", STRIP), ("00000000.json", b'{"text": "x"}')),
    "too few glyphs": tar(("00000000.png", STRIP), ("00000000.json", b'{"text": "12", "glyphs": [3], "x": [0]}')),
    "huge glyphs": tar(("00000000.png", STRIP), ("00000000.json", b'{"text": "1", "glyphs": [1e400], "x": [0]}')),
    "a glyph of 2^31 - 1": tar(
        ("00000000.png", STRIP), ("00000000.json", b'{"text": "1", "glyphs": [2147483647], "x": [0]}')
    ),
}


@pytest.mark.parametrize("kind", TARS)
def test_a_hostile_shard_is_refused(kind: str, tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "x.tar").write_bytes(TARS[kind])
    for options in ((), ("--json",), ("--html", tmp_path / "x.html")):
        code, out, err = mnistseq("inspect", tmp_path / "x.tar", *options)
        assert (code, out, err.count("\n")) == (2, "", 1), err
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


LABELS: dict[str, bytes] = {
    "no header": b"a.png,1\n",
    "a word": b"file_name,label\na.png,cat\n",
    "a column too many": b"file_name,label\na.png,1,2\n",
    "NUL": b"file_name,label\na.png,1\0\n",
    "a million digits": b"file_name,label\na.png," + b"1" * 1_000_000 + b"\n",
    "a quote that is never closed": b'file_name,label\n"a.png,1\n' + b"b.png,1\n" * 50_000,
    "not text": b"file_name,label\na.png,\xff\xfe\n",
    "Arabic digits": "file_name,label\na.png,٣\n".encode(),
    "empty": b"",
}


@pytest.mark.parametrize("kind", LABELS)
def test_hostile_labels_of_a_folder_are_refused(kind: str, tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "a.png").write_bytes(STRIP)
    (tmp_path / "labels.csv").write_bytes(LABELS[kind])
    code, out, err = mnistseq("inspect", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "labels.csv" in err
    assert len(err) < 1000


def test_a_folder_with_a_picture_that_is_none_is_not_sound(tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "a.png").write_bytes(STRIP)
    (tmp_path / "b.png").write_bytes(STRIP[:-20])
    code, _, err = mnistseq("inspect", tmp_path)
    assert (code, err.count("\n")) == (1, 1)
    assert "b.png" in err


def test_labels_that_are_a_device_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(STRIP)
    (tmp_path / "labels.csv").symlink_to("/dev/zero")
    with pytest.raises((MnistseqError, OSError)):
        open_samples(tmp_path)


# Litter in folders


@pytest.fixture
def littered(tmp_path: Path) -> Path:
    """A folder of six strips, and what systems and programs leave in such folders."""
    folder = tmp_path / "strips"
    assert main.run(["generate", *(f"{digit}-4-2" for digit in range(6)), "-o", str(folder)]) == 0
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt", ".hidden.png", "._0-4-2.png"):
        (folder / name).write_bytes(b"\0\5\26\7 is no image")
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "0-4-2.png", folder / ".ipynb_checkpoints" / "0-4-2-checkpoint.png")
    (folder / "folder.png").mkdir()
    return folder


def test_hidden_files_and_litter_are_passed_over(littered: Path, mnistseq: Run) -> None:
    code, text, err = mnistseq("inspect", littered, "--json", "--show", "3")
    assert (code, err, json.loads(text)["samples"], json.loads(text)["problems"]) == (0, "", 6, [])
    code, text, err = mnistseq("decode", littered)
    assert (code, err) == (0, "")
    assert [line.split("\t")[1] for line in text.splitlines()] == [f"{digit}-4-2" for digit in range(6)]


def test_images_that_cannot_be_read_are_counted(littered: Path, mnistseq: Run) -> None:
    for name in ("1-4-2.png", "3-4-2.png"):
        (littered / name).write_bytes(b"no image")
    code, text, err = mnistseq("inspect", littered, "--show", "4")
    assert (code, err.count("\n")) == (1, 1)
    assert "2 of 6 images cannot be read: " in err
    assert "1-4-2.png is neither an image" in err
    assert ("0-4-2" in text, "2-4-2" in text, "3-4-2" in text) == (True, True, False)
    report = json.loads(mnistseq("inspect", littered, "--json")[1])
    assert (report["samples"], report["ink"]["unreadable"], len(report["problems"])) == (6, 2, 1)


def test_a_damaged_image_does_not_keep_the_others_from_a_sheet_and_a_page(littered: Path, mnistseq: Run) -> None:
    (littered / "1-4-2.png").write_bytes(STRIP[:50])
    readings = "".join(f"{digit}-4-2.png,{digit}43\n" for digit in range(6))
    (littered / "read.csv").write_text(readings)
    sheet, page = littered / "sheet", littered / "page"
    for options in ((), ("--predictions", littered / "read.csv")):
        code, _, err = mnistseq("inspect", littered, *options, "--sheet", sheet, "--html", page)
        assert (code, "sheet: 5 strips" in err, "1 of 6 images cannot be read: " in err) == (1, True, True)
        assert page.read_text().count('<li class="card"') == 5


def test_a_count_of_some_images_does_not_pass_for_one_of_all(
    littered: Path, mnistseq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_SAMPLED_PIXELS", 0)
    for number in range(20):
        (littered / f"0-4-2_{number}.png").write_bytes(b"no image")
    err = mnistseq("inspect", littered)[2]
    assert re.search("[0-9]+ of 10 images that were looked at, of 26, cannot be read", err)


def test_a_folder_may_hold_photos(littered: Path, mnistseq: Run) -> None:
    """Of any kind that `decode` reads, turned as they were taken, and found by their names."""
    for path in littered.glob("[0-3]*.png"):
        with Image.open(path) as image:
            exif = Image.Exif()
            exif[0x0112] = 3
            image.transpose(Image.Transpose.ROTATE_180).save(path.with_suffix(".JPG"), "JPEG", exif=exif, quality=95)
        path.unlink()
    (littered / "read.csv").write_text("file,text\n0-4-2.JPG,042\n1-4-2,142\n2-4-2.png,242\n5-4-2,543\n")
    report = json.loads(mnistseq("inspect", littered, "--json", "--predictions", littered / "read.csv").out)
    found = report["predictions"]
    assert (report["samples"], report["labelled"], report["ink"]["unreadable"]) == (6, 6, 0)
    assert (found["exact"], found["scored"], found["unknown"]) == (2, 3, 1)
