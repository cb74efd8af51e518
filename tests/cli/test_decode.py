"""`mnistseq decode` gives back what encoded files mean, exactly or not at all, and survives whatever it is given."""

import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import spec_for
from forms import UNLIKE_FORMATS, form
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.codecs import image_file, png
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.reading import transcribing
from mnist_seq_cli.reading.exact import Reading
from mnist_seq_cli.samples import registry
from mnist_seq_cli.samples.sources import tar_file

Run = Callable[..., tuple[int, str, str]]

DATA = Path(__file__).resolve().parents[2] / "data"
TEST_IMAGES, TEST_LABELS = DATA / "t10k-images-idx3-ubyte", DATA / "t10k-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def idx_file(name: str, values: Any, kind: str = "uint8", **options: Any) -> NDArray[Any]:
    """Write an IDX file, and return what is in it."""
    array = np.array(values, dtype=kind)
    Path(name).write_bytes(idx.encode(array, **options))
    return array


def strip(sequence: str = "1-2-3", **layout: Any) -> NDArray[np.uint8]:
    """The image of a sequence, uint8 (28, width)."""
    return SequenceDataset(sequences=[sequence], seed=3, **layout)[0].image


def strip_file(name: str, sequence: str = "1-2-3", **layout: Any) -> None:
    Path(name).write_bytes(png.encode(strip(sequence, **layout)[None])[0])


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def assert_one_line(outcome: tuple[int, str, str], code: int, *named: str) -> None:
    """The program told in one line what is wrong, and wrote nothing else."""
    assert outcome[:2] == (code, "")
    line = outcome[2].removesuffix("\n")
    assert line.startswith("mnistseq: ")
    assert line.isprintable()
    for name in named:
        assert name in line


# IDX labels and numbers


def test_labels_become_lines(mnistseq: Run) -> None:
    code, text, err = mnistseq("decode", TEST_LABELS)
    assert (code, err) == (0, "")
    assert text.splitlines() == [str(label) for label in TEST_LABELS.read_bytes()[8:]]
    assert text.endswith("\n")


def test_rows_of_labels_become_sequences(mnistseq: Run) -> None:
    idx_file("labels", [[0, 0, 4, 2], [9, 8, 7, 6]])
    assert mnistseq("decode", "labels") == (0, "0-0-4-2\n9-8-7-6\n", "")


def test_rows_that_are_no_sequences_become_numbers(mnistseq: Run) -> None:
    """1-200 would read as another sequence."""
    idx_file("values", [[1, 200], [3, 4]])
    assert mnistseq("decode", "values") == (0, "1 200\n3 4\n", "")


@pytest.mark.parametrize(
    ("kind", "values", "lines"),
    [
        ("uint8", [0, 255], ["0", "255"]),
        ("int8", [-128, 127], ["-128", "127"]),
        ("int16", [[-32768, 1], [2, 32767]], ["-32768 1", "2 32767"]),
        ("int32", [-(2**31), 2**31 - 1], ["-2147483648", "2147483647"]),
        ("float32", [0.5, -1.25], ["0.5", "-1.25"]),
        ("float64", [[0.1, 1e300], [-0.0, 5e-324]], ["0.1 1e+300", "-0.0 5e-324"]),
        ("float64", [float("inf"), float("nan")], ["inf", "nan"]),
    ],
)
def test_numbers_of_every_type_become_lines(kind: str, values: Any, lines: list[str], mnistseq: Run) -> None:
    idx_file("values", values, kind)
    assert mnistseq("decode", "values") == (0, "".join(f"{line}\n" for line in lines), "")


def test_gzip_is_unpacked(mnistseq: Run) -> None:
    idx_file("labels.gz", [3, 1, 4], compress=True)
    assert mnistseq("decode", "labels.gz") == (0, "3\n1\n4\n", "")


def test_several_idx_files_follow_each_other(mnistseq: Run) -> None:
    idx_file("one", [3, 1])
    idx_file("two", [[4, 1]])
    assert mnistseq("decode", "one", "two", "one") == (0, "3\n1\n4-1\n3\n1\n", "")


def test_what_dataset_wrote_as_idx_comes_back(mnistseq: Run) -> None:
    options = ("-n", "30", "--len", "4", "--max", "3", "--seed", "8")
    assert mnistseq("dataset", *options, "--format", "idx", "-o", "out").code == 0
    data = SequenceDataset(length=4, max_gap=3, seed=8, samples=30)
    assert mnistseq("decode", "out/labels-idx2-ubyte.gz").out.split() == [sample.label for sample in data]
    assert mnistseq("decode", "out/images-idx3-ubyte.gz", "-o", "images").code == 0
    strips = [f"images/{number:05d}.png" for number in range(30)]
    decoded = mnistseq("decode", *strips).out.splitlines()
    assert decoded == [f"{path}\t{sample.label}" for path, sample in zip(strips, data, strict=True)]


# IDX images


def test_images_become_png_files(here: Path, mnistseq: Run) -> None:
    images = idx_file("some", idx.read(TEST_IMAGES)[:1_200])
    code, text, err = mnistseq("decode", "some", "-o", "images/")
    names = [f"{place:05d}.png" for place in range(1_200)]
    assert (code, err) == (0, "")
    assert text.splitlines() == [f"images/{name}" for name in names]
    assert sorted(path.name for path in (here / "images").iterdir()) == names
    for place in range(1_200):
        with Image.open(here / "images" / names[place]) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), images[place])


def test_images_of_any_size_become_png_files_in_folders_that_are_made(here: Path, mnistseq: Run) -> None:
    images = idx_file("images", np.random.default_rng(1).integers(0, 256, (3, 5, 7)))
    assert mnistseq("decode", "images", "-o", "a/b") == (0, "a/b/00000.png\na/b/00001.png\na/b/00002.png\n", "")
    for place in range(3):
        np.testing.assert_array_equal(png.decode(Path(f"a/b/0000{place}.png").read_bytes()), images[place])
    before = {path: path.read_bytes() for path in Path("a/b").iterdir()}
    assert mnistseq("decode", "images", "-o", "a/b", "--as", "png").code == 0  # once more, to the same place
    assert {path: path.read_bytes() for path in Path("a/b").iterdir()} == before


def test_images_become_one_npz_file(mnistseq: Run) -> None:
    assert mnistseq("decode", TEST_IMAGES, "-o", "digits.npz") == (0, "digits.npz\n", "")
    with np.load("digits.npz", allow_pickle=False) as loaded:
        assert loaded.files == ["images"]
        assert loaded["images"].dtype == np.uint8
        np.testing.assert_array_equal(loaded["images"], idx.read(TEST_IMAGES))
    with zipfile.ZipFile("digits.npz") as archive:
        assert archive.testzip() is None


def test_an_npz_file_has_the_same_bytes_every_time(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    idx_file("images", np.random.default_rng(1).integers(0, 256, (3, 5, 7)))
    assert mnistseq("decode", "images", "-o", "a.npz").code == 0
    monkeypatch.setattr(time, "time", lambda: 2e9)  # another day
    assert mnistseq("decode", "images", "-o", "b.NPZ") == (0, "b.NPZ\n", "")
    assert mnistseq("decode", "images", "--as", "npz", "-o", "new/c") == (0, "new/c\n", "")
    contents = {Path(name).read_bytes() for name in ("a.npz", "b.NPZ", "new/c")}
    assert len(contents) == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [("uint8", [3, 1, 4]), ("int32", [[1, -2]]), ("float32", [[[0.5]]]), ("float64", [[[[1e300]]]])],
)
def test_numbers_become_an_npz_file_when_asked(kind: str, values: Any, mnistseq: Run) -> None:
    array = idx_file("values", values, kind)
    assert mnistseq("decode", "values", "-o", "values.npz") == (0, "values.npz\n", "")
    with np.load("values.npz", allow_pickle=False) as loaded:
        assert loaded.files == ["values"]
        assert loaded["values"].dtype == array.dtype
        np.testing.assert_array_equal(loaded["values"], array)


def test_images_become_text(mnistseq: Run) -> None:
    images = np.zeros((2, 4, 3), dtype=np.uint8)
    images[0, :2, 1] = 255
    images[1, 3] = 200
    idx_file("images", images)
    assert mnistseq("decode", "images", "--as", "text") == (0, "0:\n █\n\n1:\n\n▄▄▄\n", "")


def test_images_wider_than_a_line_become_smaller_text(mnistseq: Run) -> None:
    idx_file("images", np.full((1, 28, 450), 255, dtype=np.uint8))
    text = mnistseq("decode", "images", "--as", "text").out
    assert text == "0:\n" + f"{'█' * 90}\n" * 3  # a fifth of 450 by 28, two rows to a line


# Some rows of them, and their labels


@pytest.mark.parametrize(
    ("span", "places"),
    [
        ("3:6", [3, 4, 5]),
        (":2", [0, 1]),
        ("8:", [8, 9]),
        ("-2:", [8, 9]),
        (":-8", [0, 1]),
        ("7:900", [7, 8, 9]),
        (":", list(range(10))),
    ],
)
def test_a_range_of_rows_is_as_in_python(span: str, places: list[int], here: Path, mnistseq: Run) -> None:
    idx_file("labels", range(10, 20))
    assert mnistseq("decode", "labels", "--range", span).out.split() == [str(10 + place) for place in places]
    images = idx_file("images", np.random.default_rng(1).integers(0, 256, (10, 4, 5)))
    assert mnistseq("decode", "images", "-o", "x", "--range", span).code == 0
    assert sorted(path.name for path in (here / "x").iterdir()) == [f"{place:05d}.png" for place in places]
    for place in places:
        np.testing.assert_array_equal(png.decode(Path(f"x/{place:05d}.png").read_bytes()), images[place])


@pytest.mark.parametrize("span", ["5:5", "6:3", "99:", "3", "a:b", "1:2:3", "1.5:2", "²:3", "9" * 99 + ":"])
def test_a_range_of_nothing_is_refused(span: str, mnistseq: Run) -> None:
    idx_file("labels", range(10))
    assert_one_line(mnistseq("decode", "labels", "--range", span), 2, span[:20])


def test_images_with_labels_go_to_a_folder_for_each_digit(here: Path, mnistseq: Run) -> None:
    code, text, err = mnistseq("decode", TEST_IMAGES, "--labels", TEST_LABELS, "--range", "40:90", "-o", "digits/")
    labels, images = TEST_LABELS.read_bytes()[8:], idx.read(TEST_IMAGES)
    names = [f"digits/{labels[place]}/{place:05d}-{labels[place]}.png" for place in range(40, 90)]
    assert (code, err, text.splitlines()) == (0, "", names)
    assert sorted(map(str, Path("digits").rglob("*.png"))) == sorted(names)
    for place, name in enumerate(names, 40):
        np.testing.assert_array_equal(png.decode(Path(name).read_bytes()), images[place])


def test_only_the_rows_of_a_digit_are_taken(mnistseq: Run) -> None:
    labels = np.frombuffer(TEST_LABELS.read_bytes()[8:], dtype=np.uint8)
    sevens = np.flatnonzero(labels == 7)
    given = ("decode", TEST_IMAGES, "--labels", TEST_LABELS, "--digit", "7")
    assert mnistseq(*given, "-o", "sevens.npz").out == "sevens.npz\n"
    with np.load("sevens.npz", allow_pickle=False) as loaded:
        assert sorted(loaded.files) == ["images", "index", "labels"]
        np.testing.assert_array_equal(loaded["images"], idx.read(TEST_IMAGES)[sevens])
        np.testing.assert_array_equal(loaded["index"], sevens)
        assert set(loaded["labels"].tolist()) == {7}
    written = mnistseq(*given, "--range", "100:300", "-o", "x").out.split()
    assert written == [f"x/7/{place:05d}-7.png" for place in sevens if 100 <= place < 300]
    drawn = mnistseq(*given, "--range", ":40", "--as", "text").out
    assert [line for line in drawn.splitlines() if line.endswith(": 7")] == [f"{p}: 7" for p in sevens if p < 40]
    assert_one_line(mnistseq(*given[:-1], "10", "-o", "x"), 2, "none with the label 10")
    assert_one_line(mnistseq("decode", TEST_IMAGES, "--digit", "7", "-o", "x"), 2, "--labels")


def test_labels_have_to_be_of_these_rows(mnistseq: Run) -> None:
    idx_file("images", np.zeros((3, 4, 5)))
    idx_file("two", [1, 2])
    idx_file("rows", [[1], [2], [3]])
    idx_file("floats", [1, 2, 3], "float32")
    assert_one_line(mnistseq("decode", "images", "--labels", "two", "-o", "x"), 2, "3 rows", "2 labels")
    assert_one_line(mnistseq("decode", "images", "--labels", "rows", "-o", "x"), 2, "rows holds uint8", "3×1")
    assert_one_line(mnistseq("decode", "images", "--labels", "floats", "-o", "x"), 2, "floats holds float32")
    assert_one_line(mnistseq("decode", "images", "--labels", "none", "-o", "x"), 2, "none does not exist")
    assert not Path("x").exists()


def test_rows_become_csv(mnistseq: Run) -> None:
    images = idx_file("images", np.arange(12).reshape(2, 2, 3))
    idx_file("labels", [7, 4])
    expected = "index,label,pixel0,pixel1,pixel2,pixel3,pixel4,pixel5\n0,7,0,1,2,3,4,5\n1,4,6,7,8,9,10,11\n"
    assert mnistseq("decode", "images", "--labels", "labels", "--as", "csv") == (0, expected, "")
    assert mnistseq("decode", "images", "--labels", "labels", "-o", "new/x.csv") == (0, "new/x.csv\n", "")
    assert Path("new/x.csv").read_text() == expected
    assert mnistseq("decode", "labels", "--as", "csv").out == "index,value\n0,7\n1,4\n"
    assert mnistseq("decode", "labels", "--as", "csv", "--range", "1:").out == "index,value\n1,4\n"
    assert images.shape == (2, 2, 3)


def test_a_long_csv_file_is_whole(mnistseq: Run) -> None:
    assert mnistseq("decode", TEST_LABELS, "-o", "labels.csv").code == 0
    lines = Path("labels.csv").read_text().splitlines()
    assert lines == ["index,value", *(f"{place},{label}" for place, label in enumerate(TEST_LABELS.read_bytes()[8:]))]


KINDS = ["uint8", "int8", "int16", "int32", "float32", "float64"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimensions", range(1, 9))
def test_every_type_and_dimension_goes_to_csv_and_npz_and_text(kind: str, dimensions: int, mnistseq: Run) -> None:
    shape = (3, 2, 1, 2, 1, 2, 1, 1)[:dimensions]
    array = idx_file("values", np.arange(np.prod(shape)).reshape(shape) + 100, kind)
    flat = array.reshape(3, -1)
    assert mnistseq("decode", "values", "-o", "x.npz").code == 0
    with np.load("x.npz", allow_pickle=False) as loaded:
        (name,) = loaded.files
        assert (loaded[name].dtype, name) == (
            array.dtype,
            "images" if array.ndim == 3 and kind == "uint8" else "values",
        )
        np.testing.assert_array_equal(loaded[name], array)
    rows = mnistseq("decode", "values", "--as", "csv").out.splitlines()[1:]
    assert [[float(value) for value in row.split(",")[1:]] for row in rows] == flat.tolist()
    if not (array.ndim == 3 and kind == "uint8"):
        lines = mnistseq("decode", "values", "--as", "text").out.splitlines()
        assert [[float(value) for value in line.split()] for line in lines] == flat.tolist()


def test_a_file_larger_than_the_memory_allowed_is_decoded(environment: dict[str, str]) -> None:
    """A file of 800 MB, most of it a hole, with room for 400 MB of data beside the map."""
    with Path("large").open("wb") as file:
        file.write(idx.encode_header(np.dtype(np.uint8), (1_000_000, 28, 28)))
        file.truncate(16 + 1_000_000 * 784)
    with Path("labels").open("wb") as file:
        file.write(idx.encode_header(np.dtype(np.uint8), (1_000_000,)))
        file.truncate(8 + 999_999)
        file.seek(8 + 999_999)
        file.write(b"\3")
    command = "ulimit -d 400000; mnistseq decode large --labels labels --digit 3 -o x --as png && ls x/3"
    assert pipe(command, environment) == (0, "x/3/999999-3.png\n999999-3.png\n", "")
    command = "ulimit -d 400000; mnistseq decode large --range -5: --as csv | wc -l"
    code, text, err = pipe(command, environment)
    assert (code, text.strip(), err) == (0, "6", "")


# What cannot be given out


def test_images_need_a_place(here: Path, mnistseq: Run) -> None:
    idx_file("images", np.zeros((3, 4, 5)))
    assert_one_line(mnistseq("decode", "images"), 2, "images holds 3 images", "-o DIR/", "-o FILE.npz", "--as text")
    assert_one_line(mnistseq("decode", "images", "-o", "x", "--as", "text"), 2, "images holds drawn images")
    assert_one_line(mnistseq("decode", "images", "--as", "png"), 2, "images holds 3 images")
    assert_one_line(mnistseq("decode", "images", "--as", "npz"), 2, "-o FILE.npz")
    assert [path.name for path in here.iterdir()] == ["images"]


def test_what_has_too_many_dimensions_needs_npz(mnistseq: Run) -> None:
    idx_file("values", np.zeros((2, 2, 2)), "float32")
    assert_one_line(mnistseq("decode", "values"), 2, "values has 3 dimensions", "-o FILE.npz")
    idx_file("values", np.zeros((2, 2, 2, 2)))
    assert_one_line(mnistseq("decode", "values"), 2, "values has 4 dimensions")


def test_labels_are_not_images(mnistseq: Run) -> None:
    idx_file("labels", [1, 2])
    assert_one_line(mnistseq("decode", "labels", "--as", "png", "-o", "x"), 2, "labels holds 1-dimensional uint8")


@pytest.mark.parametrize("arguments", ["labels -o x", "labels -o x.txt", "1-2-3.png -o x", "1-2-3.png --as text"])
def test_an_option_that_would_have_no_effect_is_refused(here: Path, arguments: str, mnistseq: Run) -> None:
    """Exit code 0 and nothing at the place that -o names would be a lie."""
    idx_file("labels", [1, 2])
    strip_file("1-2-3.png")
    assert_one_line(mnistseq("decode", *arguments.split()), 2)
    assert sorted(path.name for path in here.iterdir()) == ["1-2-3.png", "labels"]


@pytest.mark.parametrize("output", ["images", "all.npz"])
def test_several_files_do_not_overwrite_each_other(output: str, mnistseq: Run) -> None:
    idx_file("one", np.full((2, 3, 3), 1))
    idx_file("two", np.full((2, 3, 3), 2))
    outcome = mnistseq("decode", "one", "two", "-o", output)
    assert_one_line(outcome, 2)
    assert not Path(output).exists()


def test_a_file_in_the_way_is_told(mnistseq: Run) -> None:
    idx_file("images", np.zeros((1, 4, 5)))
    Path("taken").write_bytes(b"mine")
    Path("folder.npz").mkdir()
    assert_one_line(mnistseq("decode", "images", "-o", "taken"), 1, "taken")
    assert_one_line(mnistseq("decode", "images", "-o", "taken/x.npz"), 1, "taken")
    assert Path("taken").read_bytes() == b"mine"
    Path("folder.npz/precious").write_bytes(b"mine")
    outcome = mnistseq("decode", "images", "-o", "folder.npz")
    assert outcome.code in {1, 2}
    assert Path("folder.npz/precious").read_bytes() == b"mine"
    assert sorted(path.name for path in Path().iterdir()) == ["folder.npz", "images", "taken"]


# Strips


def test_one_strip_becomes_its_digits(mnistseq: Run) -> None:
    strip_file("a.png", "0-0-4-2")
    assert mnistseq("decode", "a.png") == (0, "0-0-4-2\n", "")


def test_one_strip_is_named_when_asked(mnistseq: Run) -> None:
    strip_file("a.png", "0-0-4-2")
    assert mnistseq("decode", "-H", "a.png") == (0, "a.png\t0-0-4-2\n", "")
    assert mnistseq("decode", "a.png", "--names") == (0, "a.png\t0-0-4-2\n", "")


def test_several_strips_are_named(mnistseq: Run) -> None:
    strip_file("a.png", "1-2-3")
    strip_file("b.png", "7")
    assert mnistseq("decode", "a.png", "b.png", "./a.png") == (0, "a.png\t1-2-3\nb.png\t7\n./a.png\t1-2-3\n", "")


def test_strips_as_json(mnistseq: Run) -> None:
    sample = SequenceDataset(sequences=["0-4-2"], seed=3, max_gap=9)[0]
    strip_file("a.png", "0-4-2", max_gap=9)
    strip_file("b.png", "7", invert=True)
    code, text, err = mnistseq("decode", "a.png", "b.png", "--json")
    assert (code, err) == (0, "")
    first, second = map(json.loads, text.splitlines())
    shown = ["file", "digits", "text", "glyphs", "x", "y", "gaps", "inverted"]
    assert list(first) == [*shown, "exact", "confidence", "confidences"]
    x = sample.x.tolist()
    assert first == {
        "file": "a.png",
        "digits": "0-4-2",
        "text": "042",
        "glyphs": sample.glyphs.tolist(),
        "x": x,
        "y": [0, 0, 0],
        "gaps": [x[1] - x[0] - 28, x[2] - x[1] - 28],
        "inverted": False,
        "exact": True,
        "confidence": 1.0,
        "confidences": [1.0, 1.0, 1.0],
    }
    assert (second["digits"], second["gaps"], second["inverted"]) == ("7", [], True)
    assert mnistseq("decode", "a.png", "--json").out == text.splitlines(keepends=True)[0]


def test_a_strip_of_leading_zeros_keeps_them(mnistseq: Run) -> None:
    strip_file("a.png", "0-0-0-7")
    assert mnistseq("decode", "a.png").out == "0-0-0-7\n"
    assert json.loads(mnistseq("decode", "a.png", "--json").out)["text"] == "0007"


def test_stdin_is_a_strip_or_an_idx_file(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    content = png.encode(strip("4-2")[None])[0]
    give_stdin(monkeypatch, content)
    assert mnistseq("decode", "-") == (0, "4-2\n", "")
    give_stdin(monkeypatch, content)
    assert json.loads(mnistseq("decode", "-", "--json").out)["file"] == "stdin"
    strip_file("a.png", "7")
    give_stdin(monkeypatch, content)
    assert mnistseq("decode", "a.png", "-") == (0, "a.png\t7\nstdin\t4-2\n", "")
    give_stdin(monkeypatch, idx.encode(np.array([3, 1], dtype=np.uint8)))
    assert mnistseq("decode", "-") == (0, "3\n1\n", "")
    give_stdin(monkeypatch, idx.encode(np.zeros((1, 2, 2), dtype=np.uint8), compress=True))
    assert mnistseq("decode", "-", "-o", "x") == (0, "x/00000.png\n", "")


def test_stdin_that_is_nothing_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    for content in (b"", b"\n", b"1-2-3\n", b"\0\0", b"<html>"):
        give_stdin(monkeypatch, content)
        assert_one_line(mnistseq("decode", "-"), 2, "stdin")


def test_more_than_can_be_held_is_not_taken_from_stdin(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    monkeypatch.setattr("mnist_seq_cli.cli.streams.MAX_STDIN", 2 << 20)
    give_stdin(monkeypatch, bytes(3 << 20))
    assert_one_line(mnistseq("decode", "-"), 2, "more than 2 MiB come from stdin; give the name of a file")
    one = png.encode(strip("4-2")[None])[0]
    give_stdin(monkeypatch, tar_of(("a.txt", bytes(3 << 20)), ("a.png", one)))  # of which not all is held at once
    assert mnistseq("decode", "-") == (0, "a.png\t4-2\n", "")


def test_names_on_stdin_are_sent_to_xargs(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    give_stdin(monkeypatch, b"out/1.png\nout/2.png\n")
    assert_one_line(mnistseq("decode", "-"), 2, "stdin is text, not an image", "xargs mnistseq decode")


def test_a_strip_that_cannot_be_read_does_not_keep_the_others_back(mnistseq: Run) -> None:
    strip_file("a.png", "1-2")
    strip_file("z.png", "3-4")
    Image.effect_noise((56, 28), 60).save("noise.png")
    code, text, err = mnistseq("decode", "a.png", "noise.png", "z.png")
    assert (code, text) == (1, "a.png\t1-2\nz.png\t3-4\n")
    assert err.startswith("mnistseq: noise.png: from column ")
    assert err.count("\n") == 1
    code, text, err = mnistseq("decode", "a.png", "noise.png", "z.png", "noise.png", "--json")
    assert (code, [json.loads(line)["file"] for line in text.splitlines()]) == (1, ["a.png", "z.png"])
    assert err.count("mnistseq: noise.png: ") == err.count("\n") == 2


def test_a_file_that_is_damaged_is_named_after_what_could_be_read(mnistseq: Run) -> None:
    strip_file("a.png", "1-2")
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:50])
    code, text, err = mnistseq("decode", "a.png", "bad.png")
    assert (code, text) == (2, "a.png\t1-2\n")
    assert err.startswith("mnistseq: bad.png is not a sound PNG file: ")
    assert err.count("\n") == 1


LAYOUTS: dict[str, dict[str, Any]] = {
    "no gaps": {},
    "a width": {"width": 100},
    "gaps of their own": {"min_gap": 2, "max_gap": 30},
    "one gap for all": {"max_gap": 30, "spacing": "equal"},
    "room at the end": {"max_gap": 3, "spacing": "random", "width": 200},
    "white on black": {"invert": True},
    "white on black with gaps": {"invert": True, "max_gap": 9},
    "test digits": {"source": "test"},
    "all digits": {"source": "all"},
    "margins": {"margin": 7, "max_gap": 3},
    "ink beside ink": {"crop": "tight"},
    "up and down": {"jitter_y": 6},
    "sideways": {"jitter_x": 2, "min_gap": 4},
    "anywhere on a page": {"width": 200, "height": 70, "align": "random", "jitter_y": -1},
    "boxes that overlap": {"min_gap": -8},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_strips_of_every_layout_are_read(layout: dict[str, Any], mnistseq: Run) -> None:
    sample = SequenceDataset(sequences=["1-2-3"], seed=3, **layout)[0]
    strip_file("a.png", **layout)
    code, text, err = mnistseq("decode", "a.png", "--json")
    assert (code, err) == (0, "")
    reading = json.loads(text)
    assert (reading["digits"], reading["x"], reading["y"]) == ("1-2-3", sample.x.tolist(), sample.y.tolist())
    assert reading["inverted"] is layout.get("invert", False)
    assert reading["glyphs"] == sample.glyphs.tolist()


def test_the_source_says_which_glyphs_are_known(mnistseq: Run) -> None:
    strip_file("test.png", source="test")
    assert mnistseq("decode", "test.png", "--source", "test") == (0, "1-2-3\n", "")
    assert mnistseq("decode", "test.png", "--source", "all") == (0, "1-2-3\n", "")
    outcome = mnistseq("decode", "test.png", "--source", "train", "--min-confidence", "1")
    assert_one_line(outcome, 1, "mnistseq: test.png: from column", "the source train")
    assert_one_line(mnistseq("decode", "test.png", "--source", "none"), 2, "'none'")


@pytest.fixture
def own(here: Path) -> tuple[str, ...]:
    """Options for a source of one's own: ten glyphs of 9×7 px."""
    glyphs = np.random.default_rng(5).integers(1, 256, (10, 9, 7), dtype=np.uint8)
    idx_file("own-images", glyphs)
    idx_file("own-labels.gz", range(10), compress=True)
    return ("--source", "own-images", "--source-labels", "own-labels.gz")


@pytest.mark.parametrize("invert", [(), ("--invert",)], ids=["black on white", "white on black"])
def test_strips_of_ones_own_source_are_read(own: tuple[str, ...], invert: tuple[str, ...], mnistseq: Run) -> None:
    code, text, _ = mnistseq("generate", "2-0-2-5", "--max", "4", *own, *invert, "-o", "a.png")
    assert (code, text) == (0, "a.png\n")
    with Image.open("a.png") as image:
        assert image.height == 9
    assert mnistseq("decode", "a.png", *own) == (0, "2-0-2-5\n", "")
    assert_one_line(mnistseq("decode", "a.png"), 1, "mnistseq: a.png: from column ", "the source all")


# Strips that other programs saved again, or spoilt


SAVED_AGAIN: dict[str, Callable[[Image.Image], tuple[Image.Image, dict[str, Any]]]] = {
    "grey": lambda image: (image, {}),
    "not compressed": lambda image: (image, {"compress_level": 0}),
    "compressed": lambda image: (image, {"compress_level": 9}),
    "optimised": lambda image: (image, {"optimize": True}),
    "with a resolution": lambda image: (image, {"dpi": (300, 300)}),
    "RGB": lambda image: (image.convert("RGB"), {}),
    "RGBA": lambda image: (image.convert("RGBA"), {}),
    "grey with alpha": lambda image: (image.convert("LA"), {}),
    "palette": lambda image: (image.convert("P"), {}),
    "palette by use": lambda image: (image.quantize(256), {}),
    "16 bits": lambda image: (Image.fromarray(np.asarray(image).astype(np.uint16) * 257), {}),
}


@pytest.mark.parametrize("again", SAVED_AGAIN.values(), ids=SAVED_AGAIN.keys())
@pytest.mark.parametrize("invert", [False, True], ids=["black on white", "white on black"])
def test_a_strip_that_was_saved_again_is_read(
    again: Callable[[Image.Image], tuple[Image.Image, dict[str, Any]]], invert: bool, mnistseq: Run
) -> None:
    image, options = again(Image.fromarray(strip("9-0-8", max_gap=5, invert=invert)))
    image.save("again.png", **options)
    assert mnistseq("decode", "again.png") == (0, "9-0-8\n", "")


def test_a_strip_with_a_text_chunk_is_read(mnistseq: Run) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Comment", "made with mnistseq", zip=True)
    text.add_itxt("Title", "٣")
    Image.fromarray(strip("9-0-8")).save("again.png", pnginfo=text)
    assert mnistseq("decode", "again.png") == (0, "9-0-8\n", "")


def through_jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return Image.open(file)


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_is_read(ink: int, mnistseq: Run) -> None:
    """Digits as a layer: dark ink is seen on white, and light ink on black."""
    alpha = Image.fromarray(255 - strip("9-0-8"))
    layer = Image.merge("LA", (Image.new("L", alpha.size, ink), alpha))
    layer.save("layer.png")
    assert mnistseq("decode", "layer.png") == (0, "9-0-8\n", "")


CHANGED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "larger": lambda image: image.resize((image.width * 2, image.height * 2)),
    "much larger": lambda image: image.resize((image.width * 9, image.height * 9)),
    "smaller": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "wider": lambda image: image.resize((image.width + 3, image.height)),
    "JPEG": through_jpeg,
    "inverted JPEG": lambda image: through_jpeg(image.point(lambda value: 255 - value)),
    "pale": lambda image: image.point(lambda value: 150 + value // 4),
    "noisy": lambda image: Image.fromarray(
        np.clip(np.asarray(image) + np.random.default_rng(1).normal(0, 15, (28, 84)), 0, 255).astype(np.uint8)
    ),
    "slanted": lambda image: image.transform(
        (92, 28), Image.Transform.AFFINE, (1, 0.3, -8, 0, 1, 0), Image.Resampling.BILINEAR, fillcolor=255
    ),
    "cut off": lambda image: image.crop((0, 6, image.width, 28)),
    "with a dot": lambda image: Image.fromarray(
        np.where(np.indices((28, 84)).sum(axis=0) == 0, 7, np.asarray(image)).astype("uint8")
    ),
    "in 16 greys": lambda image: image.point(lambda value: value // 16 * 17),
    "black and white": lambda image: image.convert("1"),
    "overlapping": lambda image: Image.fromarray(np.hstack([np.asarray(image)[:, :28], np.asarray(image)[:, 34:]])),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_a_strip_that_was_changed_is_read_approximately(
    change: Callable[[Image.Image], Image.Image], mnistseq: Run
) -> None:
    change(Image.fromarray(strip("9-0-8"))).save("changed.png")
    code, text, err = mnistseq("decode", "changed.png", "--json")
    reading = json.loads(text)
    assert (code, reading["digits"], reading["exact"]) == (0, "9-0-8", False)
    assert 0.7 <= reading["confidence"] < 1
    assert all(0.7 <= sure < 1 for sure in reading["confidences"])
    assert len(reading["x"]) == len(reading["confidences"]) == 3
    assert reading["glyphs"] is None
    least = f"{reading['confidence']:.2f}"
    assert err == f"1 of 1 was read approximately, not exactly; the least sure: changed.png, {least}\n"


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
def test_a_strip_that_was_changed_is_not_read_exactly(
    change: Callable[[Image.Image], Image.Image], mnistseq: Run
) -> None:
    change(Image.fromarray(strip("9-0-8"))).save("changed.png")
    assert_one_line(mnistseq("decode", "changed.png", "--min-confidence", "1"), 1, "mnistseq: changed.png: ")


PAPER: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cut off above": lambda image: image.crop((0, 1, image.width, 28)),
    "cut off on all sides": lambda image: image.crop((1, 2, image.width - 1, 26)),
    "with paper around": lambda image: Image.fromarray(np.pad(np.asarray(image), 20, constant_values=255)),
    "digits moved down and apart": lambda image: Image.fromarray(
        np.hstack(
            [
                np.pad(part, ((2 * k, 9 - 2 * k), (k, 7)), constant_values=255)
                for k, part in enumerate(np.split(np.asarray(image), 3, axis=1))
            ]
        )
    ),
    "digits pushed together": lambda image: Image.fromarray(
        np.minimum(
            np.pad(np.asarray(image)[:, :28], ((0, 0), (0, 16)), constant_values=255),
            np.pad(np.asarray(image)[:, 56:], ((0, 0), (16, 0)), constant_values=255),
        )
    ),
}


@pytest.mark.parametrize("change", PAPER.values(), ids=PAPER.keys())
def test_a_strip_whose_paper_alone_was_changed_is_read_exactly(
    change: Callable[[Image.Image], Image.Image], mnistseq: Run
) -> None:
    changed = change(Image.fromarray(strip("9-0-8")))
    changed.save("changed.png")
    code, text, err = mnistseq("decode", "changed.png", "--json", "--min-confidence", "1")
    reading = json.loads(text)
    assert (code, err, reading["exact"]) == (0, "", True)
    assert reading["digits"] == ("9-8" if changed.width == 44 else "9-0-8")


NOTHING: dict[str, Callable[[], Image.Image]] = {
    "empty": lambda: Image.new("L", (84, 28), 255),
    "black": lambda: Image.new("L", (84, 28), 0),
    "one pixel": lambda: Image.new("L", (1, 1), 0),
    "one row": lambda: Image.new("L", (5000, 1), 0),
    "very wide": lambda: Image.effect_noise((30_000, 28), 90),
    "noise": lambda: Image.fromarray(np.random.default_rng(2).integers(0, 256, (28, 84), dtype=np.uint8)),
    "large noise": lambda: Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 200), dtype=np.uint8)),
    "stripes": lambda: Image.fromarray((np.indices((28, 84))[1] // 3 % 2 * 255).astype(np.uint8)),
    "a ramp": lambda: Image.linear_gradient("L"),
    "a frame": lambda: Image.fromarray(np.pad(np.full((60, 200), 255, dtype=np.uint8), 6)),
    "a square": lambda: drawn(lambda pen, x: pen.rectangle((x + 5, 5, x + 23, 23), fill=0)),
    "a small square": lambda: drawn(lambda pen, x: pen.rectangle((x + 9, 9, x + 18, 18), fill=0)),
    "squares": lambda: drawn(lambda pen, x: pen.rectangle((x + 5, 5, x + 23, 23), fill=0), 3),
    "a disc": lambda: drawn(lambda pen, x: pen.ellipse((x + 5, 5, x + 23, 23), fill=0)),
    "discs": lambda: drawn(lambda pen, x: pen.ellipse((x + 4, 4, x + 24, 24), fill=0), 4),
    "a large disc": lambda: drawn(lambda pen, x: pen.ellipse((x + 4, 4, x + 24, 24), fill=0)).resize((280, 280)),
    "a triangle": lambda: drawn(lambda pen, x: pen.polygon([(x + 14, 4), (x + 24, 24), (x + 4, 24)], fill=0)),
    "a line across": lambda: drawn(lambda pen, x: pen.rectangle((x + 4, 12, x + 24, 15), fill=0)),
    "wide stripes": lambda: Image.fromarray((np.indices((28, 84))[1] // 12 % 2 * 255).astype(np.uint8)),
    "stripes across": lambda: Image.fromarray((np.indices((28, 84))[0] // 4 % 2 * 255).astype(np.uint8)),
    "a chessboard": lambda: Image.fromarray((np.indices((28, 84)) // 4).sum(axis=0).astype(np.uint8) % 2 * 255),
    "the letter A": lambda: drawn(lambda pen, x: pen.text((x + 4, 0), "A", font=ImageFont.load_default(24), fill=0)),
    "the letter N": lambda: drawn(lambda pen, x: pen.text((x + 4, 0), "N", font=ImageFont.load_default(24), fill=0)),
    "letters": lambda: drawn(
        lambda pen, x: pen.text((x + 4, 0), "HAKE"[x // 28], font=ImageFont.load_default(24), fill=0), 4
    ),
}


def drawn(draw: Callable[[ImageDraw.ImageDraw, int], None], count: int = 1) -> Image.Image:
    """A strip on which something is drawn in each square of 28 px, `x` px from the left."""
    image = Image.new("L", (28 * count, 28), 255)
    for number in range(count):
        draw(ImageDraw.Draw(image), 28 * number)
    return image


@pytest.mark.parametrize("make", NOTHING.values(), ids=NOTHING.keys())
def test_what_shows_no_digits_is_not_guessed(make: Callable[[], Image.Image], mnistseq: Run) -> None:
    make().save("nothing.png")
    assert_one_line(mnistseq("decode", "nothing.png"), 1, "mnistseq: nothing.png: ")


def test_below_the_confidence_asked_for_a_strip_is_unread_and_told(mnistseq: Run) -> None:
    pile = {"min_gap": -18, "max_gap": -18, "noise": 60, "contrast": (40, 60), "slant": (10, 20)}
    Image.fromarray(SequenceDataset(sequences=["3-1-4-1-5"], seed=3, samples=3, **pile)[2].image).save("pile.png")
    assert_one_line(mnistseq("decode", "pile.png"), 1, "approximately it is ", "with a confidence of 0.", "--source")
    code, text, err = mnistseq("decode", "pile.png", "--min-confidence", "0")
    assert (code, set(text) <= set("0123456789-\n")) == (0, True)
    assert err.startswith("1 of 1 was read approximately, not exactly; the least sure: pile.png, 0.")
    for wrong in ("-0.1", "1.1", "x"):
        assert_one_line(mnistseq("decode", "pile.png", "--min-confidence", wrong), 2, "--min-confidence")


def test_a_strip_of_hands_unknown_is_read_approximately(mnistseq: Run) -> None:
    strip_file("test.png", "0-0-6", source="test")
    strip_file("train.png", "1-2-3", source="train")
    code, text, err = mnistseq("decode", "train.png", "test.png", "--source", "train")
    assert (code, text) == (0, "train.png\t1-2-3\ntest.png\t0-0-6\n")
    assert err.startswith("1 of 2 was read approximately, not exactly; the least sure: test.png, ")


# Other formats of images


PICTURES = {"JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif", "PPM": ".pgm"}


@pytest.mark.parametrize("kind", PICTURES)
def test_common_formats_of_images_are_read(kind: str, monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    if kind == "WEBP" and not Image.registered_extensions().get(".webp"):
        pytest.skip("this Pillow has no WebP")
    name = f"strip{PICTURES[kind]}"
    Image.fromarray(strip("9-0-8")).save(name, kind)
    code, text, _ = mnistseq("decode", name, "--json")
    reading = json.loads(text)
    assert (code, reading["digits"]) == (0, "9-0-8")
    assert reading["exact"] is (kind not in ("JPEG", "WEBP"))
    Path(name).rename("strip.png")  # the name does not matter
    assert mnistseq("decode", "strip.png").out == "9-0-8\n"
    give_stdin(monkeypatch, Path("strip.png").read_bytes())
    assert mnistseq("decode", "-").out == "9-0-8\n"


def picture(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(strip("9-0-8")).save(file, kind, **options)
    return file.getvalue()


_STORED = dict(zip(range(2, 9), (0, 3, 1, 5, 2, 6, 4), strict=True))
"""How Pillow turns an upright picture to the one that is stored, by the orientation that EXIF data has for it."""


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", _STORED)
def test_a_photo_is_read_as_it_was_taken(orientation: int, kind: str, mnistseq: Run) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(strip("9-0-8")).transpose(Image.Transpose(_STORED[orientation]))
    stored.save("photo", kind, exif=exif, quality=95)
    assert mnistseq("decode", "photo")[:2] == (0, "9-0-8\n")
    assert json.loads(mnistseq("inspect", "photo", "--json").out)["width"] == 84


def test_a_photo_with_damaged_exif_data_is_read_as_it_is_stored(mnistseq: Run) -> None:
    for exif in (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"x"):
        Path("photo").write_bytes(picture("WEBP", exif=exif, lossless=True))
        assert mnistseq("decode", "photo")[:2] == (0, "9-0-8\n")


def tiff_of(width: int, height: int) -> bytes:
    """The start of a TIFF file that claims these sizes."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 100)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(104)


HOSTILE_PICTURES: dict[str, bytes] = {
    **{f"{kind} truncated": picture(kind)[: len(picture(kind)) // 2] for kind in ("JPEG", "BMP", "TIFF", "PPM")},
    **{f"{kind} start alone": picture(kind)[:16] for kind in ("JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")},
    "JPEG of 60000×60000": picture("JPEG").replace(b"\x00\x1c\x00\x54", b"\xea\x60\xea\x60", 1),
    "BMP of 60000×60000": b"BM"
    + struct.pack("<IIIIiiHHIIiiII", 999, 0, 54, 40, 60_000, 60_000, 1, 8, 0, 0, 1, 1, 0, 0),
    "GIF of 60000×60000": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b",\0\0\0\0" + bytes(99),
    "TIFF of 60000×60000": tiff_of(60_000, 60_000),
    "PGM of 60000×60000": b"P5\n60000 60000\n255\n" + bytes(100),
    "PGM of a million digits": b"P5\n" + b"9" * 1_000_000 + b" 28\n255\n",
    "PGM of 0×0": b"P5\n0 0\n255\n",
    "PGM of nothing but signs": b"P5\n-1 -1\n255\n" + bytes(9),
    "PGM of a range of 0": b"P5\n28 28\n0\n" + bytes(28 * 28),
    "RIFF that is sound": b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(99),
    "BM and text": b"BMW is a maker of cars\n" * 9,
    "JPEG magic alone": b"\xff\xd8\xff",
    "JPEG of bytes": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9,
}


@pytest.mark.parametrize("kind", HOSTILE_PICTURES)
def test_a_hostile_picture_is_refused(here: Path, kind: str, mnistseq: Run) -> None:
    Path("hostile.jpg").write_bytes(HOSTILE_PICTURES[kind])
    refused(here, mnistseq, "hostile.jpg")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate"])
def test_what_libtiff_prints_itself_is_kept_from_stderr(compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = picture("TIFF", compression=compression)
    with pytest.raises(FormatError, match="page is not a sound TIFF file"):
        image_file.read(content[:40] + b"\xff\0\xff\x80\1\3" * 9 + content[94:], name="page", kind="TIFF file")
    os.write(2, b"stderr is as it was")
    assert capfd.readouterr() == ("", "stderr is as it was")


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE_PICTURES if "60000" in kind])
def test_a_hostile_picture_does_not_fill_the_memory(kind: str, environment: dict[str, str]) -> None:
    Path("hostile.jpg").write_bytes(HOSTILE_PICTURES[kind])
    assert peak_memory("hostile.jpg", environment) < 200


def test_a_damaged_strip_does_not_keep_the_others_back(mnistseq: Run) -> None:
    strip_file("a.png", "1-2")
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:50])
    code, text, err = mnistseq("decode", "a.png", "bad.png", "a.png")
    assert (code, text, err.count("\n")) == (2, "a.png\t1-2\na.png\t1-2\n", 1)


# Folders and datasets


def test_a_folder_of_strips_is_read_by_name(mnistseq: Run) -> None:
    for name, sequence in (("b/2.png", "4-5-6"), ("a.png", "1-2"), ("b/1.png", "3"), (".hidden.png", "9")):
        Path("strips", name).parent.mkdir(parents=True, exist_ok=True)
        strip_file(f"strips/{name}", sequence)
    Image.fromarray(strip("7-7")).save("strips/c.JPG")
    Path("strips/readme.txt").write_text("1-2-3")
    Path("strips/.git").mkdir()
    strip_file("strips/.git/x.png", "9")
    expected = "strips/a.png\t1-2\nstrips/c.JPG\t7-7\nstrips/b/1.png\t3\nstrips/b/2.png\t4-5-6\n"
    assert mnistseq("decode", "strips")[:2] == (0, expected)
    strip_file("z.png", "8")
    assert mnistseq("decode", "strips/b", "z.png", "./z.png").out == (
        "strips/b/1.png\t3\nstrips/b/2.png\t4-5-6\nz.png\t8\n./z.png\t8\n"
    )
    assert json.loads(mnistseq("decode", "strips/b", "--json").out.splitlines()[1])["digits"] == "4-5-6"


def test_a_folder_names_its_strip_even_when_there_is_one(mnistseq: Run) -> None:
    Path("strips").mkdir()
    strip_file("strips/a.png", "1-2")
    assert mnistseq("decode", "strips") == (0, "strips/a.png\t1-2\n", "")


def test_in_a_folder_bad_files_are_told_and_the_others_read(mnistseq: Run) -> None:
    Path("strips").mkdir()
    for number in range(70):
        strip_file(f"strips/{number:02d}.png", f"{number // 10}-{number % 10}")
    Path("strips/05.png").write_bytes(b"not an image")
    Path("strips/07.png").write_bytes(Path("strips/07.png").read_bytes()[:60])
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (28, 84), dtype=np.uint8)).save("strips/40.png")
    code, text, err = mnistseq("decode", "strips")
    good = [number for number in range(70) if number not in (5, 7, 40)]
    assert text.splitlines() == [f"strips/{n:02d}.png\t{n // 10}-{n % 10}" for n in good]
    lines = err.splitlines()
    assert (code, len(lines), lines[-1]) == (1, 4, "3 of 70 could not be read")
    assert all(f"strips/{name}.png" in line for name, line in zip(("05", "07", "40"), lines, strict=False))
    assert mnistseq("decode", "strips", "strips/05.png").code == 2  # which was given by its name


@pytest.mark.parametrize("format_name", ["png", "webdataset", "npz", "idx"])
def test_a_dataset_of_any_format_is_read(format_name: str, mnistseq: Run) -> None:
    asked = ("-n", "330", "--len", "2-5", "--max", "7", "--seed", "8", "--shard-size", "100")
    assert mnistseq("dataset", *asked, *form(format_name), "-o", "out").code == 0
    code, text, err = mnistseq("decode", "out")
    rows = [line.split("\t") for line in text.splitlines()]
    data = SequenceDataset(length="2-5", max_gap=7, seed=8, samples=330)
    assert (code, err) == (0, "")
    assert [label for _, label in rows] == [sample.label for sample in data]
    names = [f"out/images/{n // 100:05d}/{n:08d}.png" if format_name == "png" else f"out/{n:08d}" for n in range(330)]
    assert [name for name, _ in rows] == names
    readings = [json.loads(line) for line in mnistseq("decode", "out", "--json").out.splitlines()]
    assert [reading["glyphs"] for reading in readings] == [
        sample.glyphs[: sample.length].tolist() if hasattr(sample, "length") else sample.glyphs.tolist()
        for sample in data
    ]


@pytest.mark.parametrize(
    "looks",
    [
        "--margin 6",
        "--jitter-y 4",
        "--crop tight --min 2",
        "--slant -15-15",
        "--contrast 50-70 --noise 12",
        "--width fit",
    ],
)
def test_strips_of_every_look_are_read_somehow(looks: str, mnistseq: Run) -> None:
    given = ("-n", "40", "--len", "2-4", "--max", "8", "--seed", "8", *looks.split())
    assert mnistseq("dataset", *given, "-o", "out").code == 0
    labels = [line.partition(",")[2] for line in Path("out/labels.csv").read_text().splitlines()[1:]]
    outcome = mnistseq("decode", "out", "--min-confidence", "0")
    read = [line.partition("\t")[2] for line in outcome.out.splitlines()]
    assert outcome.code == 0
    assert sum(one == other for one, other in zip(labels, read, strict=True)) >= 36


def test_a_dataset_that_is_incomplete_or_not_one_is_told(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "30", "--len", "3", "--format", "npz", "-o", "out").code == 0
    Path("out/manifest.json").unlink()
    assert_one_line(mnistseq("decode", "out"), 2, "out is incomplete")
    Path("out/recipe.json").write_text("{")
    assert_one_line(mnistseq("decode", "out"), 2, "recipe.json")
    Path("empty").mkdir()
    assert_one_line(mnistseq("decode", "empty"), 2, "empty holds no images")


@settings(max_examples=25)
@given(
    format_name=st.sampled_from(UNLIKE_FORMATS),
    crop=st.sampled_from(["box", "tight"]),
    gaps=st.tuples(st.integers(1, 9), st.integers(0, 9)),
    spacing=st.sampled_from(["equal", "random"]),
    align=st.sampled_from(["left", "center", "right", "random"]),
    larger=st.tuples(st.integers(0, 40), st.integers(0, 30)),
    margin=st.integers(0, 6),
    jitter_y=st.integers(-1, 5),
    invert=st.booleans(),
    source=st.sampled_from(["train", "test", "all"]),
    lengths=st.tuples(st.integers(1, 3), st.integers(0, 3)),
    seed=st.integers(0, 2**64 - 1),
)
def test_what_a_dataset_holds_is_decoded_whatever_its_layout_and_format(
    format_name: str,
    gaps: tuple[int, int],
    larger: tuple[int, int],
    source: str,
    lengths: tuple[int, int],
    seed: int,
    **layout: Any,
) -> None:
    place = Source(source)
    asked = layout | {"length": tuple((n, 1) for n in range(lengths[0], sum(lengths) + 1)), "seed": seed}
    asked |= {"min_gap": gaps[0], "max_gap": sum(gaps)}
    height = 28 + 2 * (layout["margin"] + max(layout["jitter_y"], 0)) + larger[1]
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        request = spec_for(out, source=place, samples=12, format=format_name, shard_size=5, height=height, **asked)
        dataset.build(out, request, place, workers=1)
        made = compose(request.recipe, load(place), 0, 12)
        found = list(transcribing.transcribe(registry.open_images(str(out)).images, Source("all"), 1))
    readings = {}
    for name, reading in found:
        assert isinstance(reading, Reading)
        assert reading.inverted is layout["invert"]
        readings[int(re.findall(r"(\d+)(?:_\d+)?(?:\.png)?$", name)[0])] = reading
    assert sorted(readings) == list(range(12))
    for row, reading in readings.items():
        expected = [values[row, : made.lengths[row]].tolist() for values in (made.digits, made.glyphs, made.x, made.y)]
        assert [*map(list, (reading.digits, reading.glyphs, reading.x, reading.y))] == expected


@pytest.mark.parametrize("format_name", ["webdataset", "npz"])
def test_one_shard_is_read_by_itself(format_name: str, mnistseq: Run) -> None:
    asked = ("-n", "30", "--len", "1-3", "--max", "4", "--seed", "8", "--shard-size", "20", "--invert")
    assert mnistseq("dataset", *asked, *form(format_name), "-o", "out").code == 0
    labels = [sample.label for sample in SequenceDataset(length="1-3", max_gap=4, seed=8, samples=30)]
    shards = ["out/00000.tar", "out/00001.tar"] if format_name == "webdataset" else ["out/dataset.npz"]
    ending = ".png" if format_name == "webdataset" else ""
    names = [f"{shards[number // 20 if ending else 0]}/{number:08d}{ending}" for number in range(30)]
    expected = [f"{name}\t{label}" for name, label in zip(names, labels, strict=True)]
    assert mnistseq("decode", *shards) == (0, "".join(f"{line}\n" for line in expected), "")
    code, text, _ = mnistseq("decode", shards[-1])
    assert (code, text.splitlines()) == (0, expected[20 if ending else 0 :])
    readings = list(map(json.loads, mnistseq("decode", *shards, "--json").out.splitlines()))
    assert {reading["inverted"] for reading in readings} == {True}
    Path("readings.tsv").write_text(text)
    assert mnistseq("inspect", shards[-1], "--predictions", "readings.tsv")[0] == 0  # the names are known there


@pytest.mark.parametrize("format_name", UNLIKE_FORMATS)
def test_splits_are_read_one_after_the_other(format_name: str, mnistseq: Run) -> None:
    splits = ("--split", "train=12", "--split", "test=6", "--len", "3", "--seed", "1")
    assert mnistseq("dataset", *splits, *form(format_name), "-o", "parts").code == 0
    expected = [mnistseq("decode", f"parts/{name}").out for name in ("test", "train")]
    assert [len(text.splitlines()) for text in expected] == [6, 12]
    assert mnistseq("decode", "parts") == (0, "".join(expected), "")
    if format_name in ("webdataset", "npz", "idx"):
        Path("parts/test/manifest.json").unlink()
        code, text, err = mnistseq("decode", "parts")
        assert (code, text, err.count("\n")) == (1, expected[1], 2)
        assert err.startswith("mnistseq: parts/test is incomplete")


# Tar files


def tar_of(*members: tuple[str, bytes | None]) -> bytes:
    """A tar file with these members; of those without content, something that is no file."""
    out = io.BytesIO()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, (name, content) in enumerate(members):
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = kinds[number % len(kinds)], "/etc/passwd"
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    return out.getvalue()


def test_a_tar_file_is_read_from_stdin(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    content = tar_of(("a/1.png", png.encode(strip("4-2")[None])[0]), ("a/1.json", b"{}"), ("b.JPG", picture("JPEG")))
    give_stdin(monkeypatch, content)
    assert mnistseq("decode", "-")[:2] == (0, "a/1.png\t4-2\nb.JPG\t9-0-8\n")
    Path("x").write_bytes(content)
    assert mnistseq("decode", "x")[:2] == (0, "x/a/1.png\t4-2\nx/b.JPG\t9-0-8\n")


def test_of_tar_files_that_were_joined_each_is_read(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    parts = [tar_of((f"{name}.png", png.encode(strip("4-2")[None])[0])) for name in "abc"]
    for content in (b"".join(parts), bytes(4096).join(parts)):
        give_stdin(monkeypatch, content)
        assert mnistseq("decode", "-")[:2] == (0, "a.png\t4-2\nb.png\t4-2\nc.png\t4-2\n")
        Path("x").write_bytes(content)
        assert len(mnistseq("decode", "x").out.splitlines()) == 3
    for strange in (b"x", b"x" * 512, parts[1][:1000]):
        Path("x").write_bytes(parts[0] + strange)
        code, text, err = mnistseq("decode", "x")
        assert (code, text, err.count("\n")) == (2, "x/a.png\t4-2\n", 1)
        assert err.startswith("mnistseq: x is not a sound tar file: ")
        assert err.count("sound") == 1
    Path("x").write_bytes(parts[0] + bytes(17 << 20))
    assert mnistseq("decode", "x").code == 2


def unended(*members: tuple[str, bytes]) -> bytes:
    """A tar file with these members, without the blocks of zeros at its end."""
    content = tar_of(*members).rstrip(b"\0")
    return content + bytes(-len(content) % 512)


def header_of(size: bytes, name: str = "a.png", kind: bytes = tarfile.REGTYPE, *, goes_on: bool = False) -> bytes:
    """The header of a member that claims a size; `goes_on` is what GNU tar says of more parts of a sparse file."""
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[148:156] = size, b" " * 8
    block[482] = goes_on
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_pax(name: bytes, value: bytes, member: str = "a.png") -> bytes:
    """A member without content, and before it a header that says one thing of it."""
    record = b"%d %s=%s\n" % (len(name) + len(value) + 5, name, value)
    assert 10 <= len(record) < 100
    before = header_of(b"%011o\0" % len(record), "x", tarfile.XHDTYPE)
    return before + record.ljust(512, b"\0") + header_of(_EMPTY, member)


_EMPTY, _8_GIB = b"00000000000\0", b"77777777777\0"
_LYING = {
    "2^63 - 1": header_of(b"\x80\0\0\0\x7f" + b"\xff" * 7),
    "2^95 - 1": header_of(b"\x80" + b"\xff" * 11, "a.txt"),
    "less than nothing": header_of(b"\xff" * 12),
    "8 GiB": header_of(_8_GIB),
    "8 GiB of no image": header_of(_8_GIB, "a.txt"),
    "a name of 8 GiB": header_of(_8_GIB, "x", tarfile.GNUTYPE_LONGNAME),
    "10^19 in a second header": with_pax(b"size", b"9" * 19),
    "a sparse file without its parts": header_of(_EMPTY, kind=tarfile.GNUTYPE_SPARSE, goes_on=True),
    "names of names": header_of(_EMPTY, "x", tarfile.GNUTYPE_LONGNAME) * 3000,
}


@pytest.mark.parametrize("where", ["file", "stdin"])
@pytest.mark.parametrize("kind", _LYING)
def test_a_tar_file_that_claims_more_than_there_is_is_refused_at_once(
    where: str, kind: str, monkeypatch: pytest.MonkeyPatch, mnistseq: Run
) -> None:
    content = unended(("first.png", png.encode(strip("4-2")[None])[0])) + _LYING[kind]
    Path("x").write_bytes(content)
    give_stdin(monkeypatch, content)
    name, argument = ("x", "x") if where == "file" else ("stdin", "-")
    code, text, err = mnistseq("decode", argument)
    assert (code, text.splitlines()[0][-3:]) == (2, "4-2")
    assert err.splitlines()[-1].startswith(f"mnistseq: {name} is not a sound tar file: ")
    assert_one_line(mnistseq("inspect", "x"), 2, "x holds something else")


def test_of_a_sparse_file_in_a_tar_file_as_many_bytes_are_expected_as_are_stored(mnistseq: Run) -> None:
    strips = unended(("b.png", png.encode(strip("4-2")[None])[0]))
    Path("x").write_bytes(strips + with_pax(b"GNU.sparse.size", b"9" * 11, "a.txt") + bytes(1024))
    assert mnistseq("decode", "x") == (0, "x/b.png\t4-2\n", "")


def test_a_folder_that_cannot_be_listed_is_told(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    Path("strips/b").mkdir(parents=True)
    strip_file("strips/a.png", "4-2")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert mnistseq("decode", "strips") == (1, "strips/a.png\t4-2\n", "mnistseq: strips/b: Permission denied\n")


def test_masks_in_tar_files_and_splits_are_no_strips(mnistseq: Run) -> None:
    for format_name in ("png", "webdataset", "npz"):
        asked = ("--split", "a=3", "--split", "b=2", "--len", "2", "--seed", "4", "--masks", "--format", format_name)
        assert mnistseq("dataset", *asked, "-o", format_name).code == 0
        assert len(mnistseq("decode", format_name, "--min-confidence", "1").out.splitlines()) == 5
    code, text, err = mnistseq("decode", "webdataset/a/00000.tar", "--min-confidence", "1")
    assert (code, len(text.splitlines()), err) == (0, 3, "")


def test_of_a_strange_tar_file_the_images_alone_are_read(here: Path, mnistseq: Run) -> None:
    one = png.encode(strip("4-2")[None])[0]
    links = [(f"{number}.png", None) for number in range(5)]
    names = [
        "../../x.png",
        "/abs.png",
        "two\nlines.png",
        "\x1b[31m.png",
        "long" * 60 + ".png",
        "again.png",
        "again.png",
    ]
    Path("x.tar").write_bytes(tar_of(*links, *((name, one) for name in names), ("bad.png", b"no"), ("y.txt", b"hi")))
    code, text, err = mnistseq("decode", "x.tar")
    assert (code, [line.partition("\t")[2] for line in text.splitlines()]) == (1, ["4-2"] * len(names))
    assert err.startswith("mnistseq: x.tar/bad.png is neither an image nor")
    assert err.endswith("\n1 of 8 could not be read\n")
    assert text.replace("\n", "").replace("\t", "").isprintable()
    assert [path.name for path in here.iterdir()] == ["x.tar"]


def test_a_tar_file_that_is_cut_off_is_told_after_what_was_there(mnistseq: Run) -> None:
    one = png.encode(strip("4-2")[None])[0]
    whole = tar_of(("a.png", one), ("b.png", one))
    second = whole.index(b"b.png")
    for stop, read in ((second - 512, 0), (second, 1), (second + 100, 1), (second + 600, 1), (second * 2, 2)):
        Path("x.tar").write_bytes(whole[:stop])
        code, text, err = mnistseq("decode", "x.tar")
        assert (code, err.count("\n")) == (2, 1)
        assert len(text.splitlines()) <= read
        assert "x.tar" in err
    Path("x.tar").write_bytes(whole.replace(b"b.png", b"b.pnG", 1))  # and the sum of its header is wrong
    assert mnistseq("decode", "x.tar").code == 2
    Path("x.tar").write_bytes(tar_of(("a.txt", b"hello")))
    assert_one_line(mnistseq("decode", "x.tar"), 2, "x.tar holds no images")


def test_a_tar_file_of_impossible_sizes_is_refused(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 7 << 30
    with Path("x.tar").open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.truncate(64 << 20)
    assert_one_line(mnistseq("decode", "x.tar"), 2, "x.tar is not a sound tar file", "an impossible size")
    monkeypatch.setattr(tar_file, "MAX_FILE", 100)
    Path("x.tar").write_bytes(tar_of(("a.png", bytes(101))))
    assert_one_line(mnistseq("decode", "x.tar"), 1, "x.tar/a.png is too large")


@pytest.mark.parametrize("content", [b"PK\3\4" + bytes(100), b"PK\3\4"])
def test_a_zip_file_that_is_no_npz_file_is_refused(content: bytes, mnistseq: Run) -> None:
    Path("x.npz").write_bytes(content)
    assert_one_line(mnistseq("decode", "x.npz"), 2, "x.npz is not an npz file as we write them")
    for arrays in ({"pixels": strip()[None]}, {"images": strip()}, {"images": strip()[None].astype(float)}):
        np.savez("x.npz", **arrays)
        assert_one_line(mnistseq("decode", "x.npz"), 2, "x.npz ")


def test_a_dataset_of_folders_is_read_under_the_names_of_its_files(mnistseq: Run) -> None:
    assert mnistseq("dataset", "-n", "60", "--len", "2", "--layout", "folders", "-o", "out").code == 0
    code, text, err = mnistseq("decode", "out")
    rows = [line.split("\t") for line in text.splitlines()]
    assert (code, err) == (0, "")
    assert [name for name, _ in rows] == sorted(map(str, Path("out").glob("*/*.png")))
    assert [label.replace("-", "") for _, label in rows] == [Path(name).parent.name for name, _ in rows]


def test_options_for_rows_and_options_for_strips_do_not_mix(mnistseq: Run) -> None:
    strip_file("a.png")
    idx_file("labels", [1, 2])
    for options in ("--range 0:1", "--digit 3", "--labels labels", "--as csv", "-o x.npz"):
        assert_one_line(mnistseq("decode", "a.png", *options.split()), 2, "a.png holds strips")
    for options in ("--json", "-H", "--min-confidence 0.5", "--source test"):
        assert_one_line(mnistseq("decode", "labels", *options.split()), 2, "labels holds rows", "are for strips")
    assert_one_line(mnistseq("decode", "a.png", "a.png", "--labels", "labels"), 2, "labels of 2 files")
    assert_one_line(mnistseq("decode", "a.png", "a.png", "--repair-labels"), 2, "--repair-labels")
    assert_one_line(mnistseq("decode", "a.png", "--repair-labels", "--json"), 2, "--repair-labels")


def test_strips_and_labels_come_in_the_order_they_were_given(mnistseq: Run) -> None:
    strip_file("a.png", "1-2")
    idx_file("labels", [7, 9])
    assert mnistseq("decode", "a.png", "labels", "a.png").out == "a.png\t1-2\n7\n9\na.png\t1-2\n"


# Names


def test_names_cannot_write_to_the_terminal(mnistseq: Run) -> None:
    Image.effect_noise((56, 28), 60).save("noise.png")
    strip_file("good.png", "1-2")
    for name in ("\x1b[31mred.png", "two\nlines.png", "tab\tted.png"):
        shutil.copy("noise.png", name)
        assert_one_line(mnistseq("decode", name), 1)
        shutil.copy("good.png", name)
        code, text, err = mnistseq("decode", name, "good.png")
        assert (code, err) == (0, "")
        assert "\x1b" not in text
        assert [line.count("\t") for line in text.splitlines()] == [1, 1]


def test_names_that_are_not_text_are_shown_somehow(environment: dict[str, str]) -> None:
    strip_file("a.png", "1-2")
    shutil.copy("a.png", b"\xff.png")
    Path(os.fsdecode(b"\xfe.png")).write_bytes(b"not a png")
    for name, code in ((b"\xff.png", 0), (b"\xfe.png", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "mnist_seq_cli", "decode", "a.png", name],
            env=environment | {"PYTHONIOENCODING": "utf-8"},
            capture_output=True,
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
        assert done.stdout.startswith(b"a.png\t1-2\n")


def test_names_that_begin_with_a_dash_come_after_two(mnistseq: Run) -> None:
    strip_file("-x.png", "1-2")
    assert mnistseq("decode", "--", "-x.png") == (0, "1-2\n", "")
    assert_one_line(mnistseq("decode", "-x.png"), 2, "see mnistseq decode --help")


def test_where_there_is_nothing_it_says_so(mnistseq: Run) -> None:
    assert mnistseq("decode", "nothing") == (2, "", "mnistseq: nothing does not exist\n")
    Path("folder").mkdir()
    assert_one_line(mnistseq("decode", "folder"), 2, "mnistseq: folder holds no images; give a folder of images")
    assert_one_line(mnistseq("decode", "x" * 300), 2)
    assert_one_line(mnistseq("decode"), 2, "FILE", "see mnistseq decode --help")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "fifo"])
def test_devices_and_fifos_are_refused_without_being_opened(device: str, environment: dict[str, str]) -> None:
    os.mkfifo("fifo")
    command = [sys.executable, "-m", "mnist_seq_cli", "decode", device]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"mnistseq: {device} is not a file\n")


def test_a_stdin_without_end_is_given_up(environment: dict[str, str]) -> None:
    command = "ulimit -v 4000000; mnistseq decode - < /dev/zero"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=20)
    assert_one_line((done.returncode, done.stdout, done.stderr), 2, "stdin")


# Hostile files: exit 2, one line, soon, and nothing written


def header(code: int, *shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


def gz(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, level, mtime=0)


LABELS = header(8, 40) + bytes(range(10)) * 4


def member_named(name: bytes, content: bytes) -> bytes:
    """A gzip file that says what it was called."""
    plain = gz(content)
    return plain[:3] + b"\x08" + plain[4:10] + name + b"\0" + plain[10:]


HOSTILE: dict[str, bytes] = {
    # IDX
    "empty": b"",
    "3 bytes": b"\0\0\x08",
    "bad magic": b"\1\2\x08\1" + LABELS[4:],
    "unknown type": b"\0\0\x0a\1" + LABELS[4:],
    "type 0": b"\0\0\0\1" + LABELS[4:],
    "0 dimensions": b"\0\0\x08\0",
    "255 dimensions": b"\0\0\x08\xff" + struct.pack(">255I", *[1] * 255) + b"\0",
    "255 dimensions in 4 bytes": b"\0\0\x08\xff",
    "sizes of 2^96": header(8, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(3),
    "sizes of 2^64": header(8, 2**32 - 1, 2**32 - 1) + bytes(3),
    "a product of 2^64 that wraps to 0": header(8, 2**31, 2**31, 4),
    "19 bytes that claim terabytes": header(8, 2**32 - 1, 28, 28) + bytes(3),
    "one byte short": LABELS[:-1],
    "one byte long": LABELS + b"\0",
    "header alone": header(8, 40),
    "half a header": header(8, 40, 28, 28)[:9],
    "no rows": header(8, 0),
    "zero height": header(8, 5, 0, 28),
    "little-endian": b"\1\x08\0\0" + struct.pack("<I", 40) + LABELS[8:],
    "little-endian sizes": header(8, 40 << 24) + LABELS[8:],
    "floats one byte short": header(0x0E, 2) + bytes(15),
    # gzip
    "gzip of nothing": gz(b""),
    "gzip truncated": gz(LABELS)[:-9],
    "gzip without its trailer": gz(LABELS)[:-8],
    "gzip header alone": gz(LABELS)[:10],
    "gzip magic alone": b"\x1f\x8b",
    "gzip CRC flipped": gz(LABELS)[:-8] + bytes([gz(LABELS)[-8] ^ 1]) + gz(LABELS)[-7:],
    "gzip size wrong": gz(LABELS)[:-1] + b"\1",
    "gzip data damaged": gz(LABELS)[:14] + b"\xff\xff\xff" + gz(LABELS)[17:],
    "gzip in gzip": gz(gz(LABELS)),
    "gzip with trailing garbage": gz(LABELS) + b"garbage",
    "gzip with trailing zeros": gz(LABELS) + bytes(100),
    "gzip of a bomb": gz(header(8, 40) + bytes(100 << 20), 1),
    "gzip of an honest bomb": gz(header(8, 2**32 - 1) + bytes(10 << 20), 1),
    "gzip of a bomb that announces itself": gz(header(8, 1, 32_000, 32_000)) + gz(bytes(64 << 20), 1) * 20,
    "gzip of many empty members": gz(b"") * 100_000 + gz(LABELS),
    "gzip of a web page": gz(b"<html>not found</html>"),
    "gzip with a name elsewhere": member_named(b"../../x", LABELS[:-1]),
    "gzip one byte short": gz(LABELS[:-1]),
    "gzip one byte long": gz(LABELS + b"\0"),
    "a web page called .gz": b"<!DOCTYPE html>\n<html>404 Not Found</html>",
    # other containers
    "xz": b"\xfd7zXZ\0" + bytes(100),
    "bzip2": b"BZh9" + bytes(100),
    "zip": b"PK\3\4" + bytes(100),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(100),
    "npy": b"\x93NUMPY\1\0" + bytes(100),
    "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94.",
    "text": b"1-2-3\n",
    "NUL": bytes(10_000),
}


def refused(here: Path, mnistseq: Run, name: str, *options: str) -> str:
    before = sorted(path.name for path in here.iterdir())
    outcome = mnistseq("decode", name, *options)
    assert_one_line(outcome, 2, name)
    assert sorted(path.name for path in here.iterdir()) == before
    return outcome[2]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(here: Path, kind: str, mnistseq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hostile").write_bytes(HOSTILE[kind])
    refused(here, mnistseq, "hostile")
    refused(here, mnistseq, "hostile", "-o", "out")
    give_stdin(monkeypatch, HOSTILE[kind])
    assert_one_line(mnistseq("decode", "-", "-o", "out"), 2, "stdin")
    assert not Path("out").exists()


def test_the_name_inside_a_gzip_file_is_not_believed(here: Path, mnistseq: Run) -> None:
    (here / "inner").mkdir()
    Path("inner/labels.gz").write_bytes(member_named(b"../../x", LABELS))
    assert mnistseq("decode", "inner/labels.gz").out == "".join(f"{digit}\n" for digit in range(10)) * 4
    assert sorted(path.name for path in here.iterdir()) == ["inner"]
    assert not (here.parent / "x").exists()


def test_gzip_in_several_members_is_read(mnistseq: Run) -> None:
    Path("parts.gz").write_bytes(gz(LABELS[:7]) + gz(b"") + gz(LABELS[7:]))
    assert mnistseq("decode", "parts.gz").out.split() == [str(digit) for digit in range(10)] * 4


def peak_memory(name: str, environment: dict[str, str]) -> int:
    """The most memory that a process needs to decode a file, in MB."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'mnist_seq_cli', 'decode', sys.argv[1]], capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout) // 1024


BOMBS = ["gzip of a bomb", "gzip of an honest bomb", "gzip of a bomb that announces itself"]


@pytest.mark.parametrize("kind", [*BOMBS, "19 bytes that claim terabytes"])
def test_a_hostile_file_does_not_fill_the_memory(kind: str, environment: dict[str, str]) -> None:
    Path("hostile").write_bytes(HOSTILE[kind])
    assert peak_memory("hostile", environment) < 200


# Hostile PNG files


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def png_of(width: int, height: int, data: bytes, *, depth: int = 8, extra: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return png.SIGNATURE + head + extra + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


STRIP = png.encode(strip()[None])[0]
START = STRIP.index(b"IDAT")
LINES = (b"\0" + bytes([255]) * 40) * 28

HOSTILE_PNG: dict[str, bytes] = {
    "signature alone": png.SIGNATURE,
    "60000×60000": png_of(60_000, 60_000, bytes(60_001)),
    "2^31×2^31": png_of(2**31 - 1, 2**31 - 1, bytes(100)),
    "9000×9000": png_of(9_000, 9_000, bytes(9_001)),
    "0×0": png_of(0, 0, b""),
    "0 high": png_of(28, 0, b""),
    "truncated in the header": STRIP[:20],
    "truncated in the data": STRIP[: START + 40],
    "truncated at the end": STRIP[:-12],
    "header CRC wrong": STRIP[:29] + bytes([STRIP[29] ^ 1]) + STRIP[30:],
    "data CRC wrong": STRIP[:-16] + bytes([STRIP[-16] ^ 1]) + STRIP[-15:],
    "data damaged": STRIP[: START + 40] + bytes(8) + STRIP[START + 48 :],
    "too little data": png_of(40, 28, LINES[:-50]),
    "no data": png_of(40, 28, b""),
    "a depth of 3": png_of(40, 28, LINES, depth=3),
    "a text bomb": png_of(40, 28, LINES, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 1))),
    "a profile bomb": png_of(40, 28, LINES, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100 << 20), 1))),
    "chunks that claim 4 GB": STRIP[:33] + b"\xff\xff\xff\xffIDAT" + bytes(100),
    "not a PNG behind the signature": png.SIGNATURE + b"<html>" * 100,
}


@pytest.mark.parametrize("kind", HOSTILE_PNG)
def test_a_hostile_png_file_is_refused(here: Path, kind: str, mnistseq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hostile.png").write_bytes(HOSTILE_PNG[kind])
    if "bomb" in kind:  # an image all the same: it may be read, so long as the bomb is not
        outcome = mnistseq("decode", "hostile.png")
        assert_one_line(outcome, outcome[0], "hostile.png")
        assert outcome[0] in {1, 2}
        return
    refused(here, mnistseq, "hostile.png")
    give_stdin(monkeypatch, HOSTILE_PNG[kind])
    assert_one_line(mnistseq("decode", "-"), 2, "stdin")


@pytest.mark.parametrize("kind", ["60000×60000", "9000×9000", "a text bomb", "a profile bomb"])
def test_a_hostile_png_file_does_not_fill_the_memory(kind: str, environment: dict[str, str]) -> None:
    Path("hostile.png").write_bytes(HOSTILE_PNG[kind])
    assert peak_memory("hostile.png", environment) < 200


# Hostile sources


SOURCES: dict[str, tuple[Any, Any, str]] = {
    "another number of labels": (np.zeros((3, 4, 4)), np.zeros(2), "3 images"),
    "labels above 9": (np.zeros((2, 4, 4)), np.array([1, 10]), "the label 10 at 1"),
    "swapped": (np.zeros(2), np.zeros((2, 4, 4)), "the other way round"),
    "images twice": (np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), "labels are uint8 with one dimension"),
    "labels twice": (np.zeros(2), np.zeros(2), "images are uint8 with three dimensions"),
    "rows of labels": (np.zeros((2, 4, 4)), np.zeros((2, 1)), "labels are uint8 with one dimension"),
}


@pytest.mark.parametrize(("images", "labels", "reason"), SOURCES.values(), ids=SOURCES.keys())
def test_a_source_that_is_no_pair_is_refused(images: Any, labels: Any, reason: str, mnistseq: Run) -> None:
    strip_file("a.png")
    idx_file("images", images)
    idx_file("labels", labels)
    source = ("--source", "images", "--source-labels", "labels")
    assert_one_line(mnistseq("decode", "a.png", *source), 2, reason)
    assert_one_line(mnistseq("generate", "1-2", *source), 2, reason)
    assert_one_line(mnistseq("dataset", "-n", "2", "--len", "2", "-o", "out", *source), 2, reason)
    assert not Path("out").exists()


def test_what_is_no_regular_file_is_not_replaced(mnistseq: Run) -> None:
    idx_file("rows", np.zeros((2, 4, 4)))
    strip_file("a.png", "4-2")
    os.mkfifo("pipe.png")
    os.mkfifo("pipe.csv")
    os.mkfifo("pipe.npz")
    for command in (
        *(
            ("decode", "rows", "-o", "pipe.csv"),
            ("decode", "rows", "-o", "pipe.npz"),
            ("generate", "1", "-o", "pipe.png"),
        ),
        *(("inspect", "a.png", "--html", "pipe.png"), ("inspect", "a.png", "--sheet", "pipe.png")),
    ):
        assert_one_line(mnistseq(*command), 1, f"{command[-1]}: not a regular file")
        assert Path(command[-1]).is_fifo()


def test_sequences_of_an_idx_dataset_have_their_lengths(mnistseq: Run) -> None:
    asked = ("-n", "40", "--len", "2-4", "--digits", "0-1", "--seed", "3", "--format", "idx")
    assert mnistseq("dataset", *asked, "-o", "out").code == 0
    truths = [sample.label for sample in open_dataset("out")]
    assert mnistseq("decode", "out/labels-idx2-ubyte.gz").out.split() == truths
    assert mnistseq("decode", "out/labels-idx2-ubyte.gz", "--range", "-7:-2").out.split() == truths[-7:-2]
    padded = [label + "-0" * (4 - label.count("-") - 1) for label in truths]
    Path("labels-idx2-ubyte.gz").write_bytes(Path("out/labels-idx2-ubyte.gz").read_bytes())
    assert mnistseq("decode", "labels-idx2-ubyte.gz").out.split() == padded
    for wrong in ([2] * 39, [2] * 39 + [5], [0] + [2] * 39):
        idx_file("lengths-idx1-ubyte.gz", wrong)
        assert_one_line(
            mnistseq("decode", "labels-idx2-ubyte.gz"), 2, "lengths-idx1-ubyte.gz does not hold the lengths"
        )


def test_half_a_source_is_refused(mnistseq: Run) -> None:
    strip_file("a.png")
    idx_file("images", np.zeros((2, 4, 4)))
    assert_one_line(mnistseq("decode", "a.png", "--source", "images"), 2, "there are no labels beside")
    assert_one_line(mnistseq("decode", "a.png", "--source", "images", "--source-labels", "none"), 1, "none")


def test_a_digit_that_the_source_lacks_is_named(mnistseq: Run) -> None:
    idx_file("images", np.full((2, 4, 4), 9))
    idx_file("labels", [1, 3])
    source = ("--source", "images", "--source-labels", "labels")
    assert_one_line(mnistseq("generate", "1-7", *source), 2, "no glyph of 7", "it has glyphs of 1, 3")
    assert mnistseq("generate", "1-3", "-o", "a.png", *source).code == 0
    assert not Path("1-7.png").exists()


# In a real pipe


def pipe(command: str, environment: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("layout", ["--max 10 --width 100", "--min 2 --max 10", "--max 9 --spacing equal", "--invert"])
def test_what_generate_writes_decode_reads(layout: str, environment: dict[str, str]) -> None:
    command = f"mnistseq generate 1-2-3 {layout} --seed 6 -o - | mnistseq decode -"
    assert pipe(command, environment) == (0, "1-2-3\n", "")


def test_a_dataset_goes_through_a_pipe_as_a_tar_file(environment: dict[str, str]) -> None:
    made = "mnistseq dataset -n 1500 --len 2-5 --seed 3 --margin 2 --format webdataset -o - 2> said"
    code, text, err = pipe(f"{made} | mnistseq decode --min-confidence 1 - | cut -f2", environment)
    assert (code, err) == (0, "")
    assert text.split() == [sample.label for sample in SequenceDataset(length="2-5", seed=3, samples=1500)]
    code, _, err = pipe(f"{made} | head -c 300000 | mnistseq decode - | wc -l", environment)
    assert (code, err.count("\n")) == (2, 1)
    assert "stdin is not a sound tar file" in err


@pytest.mark.parametrize(
    "command",
    [
        "mnistseq decode out | cut -f2",
        "mnistseq decode out/images/*/*.png | cut -f2",
        "shopt -s globstar; mnistseq decode out/images/**/*.png | cut -f2",
        "find out -name '*.png' -print0 | xargs -0 -n 7 -P 3 mnistseq decode -H | sort | cut -f2",
        "tar cf - -C out/images . --sort=name | mnistseq decode - | cut -f2",
    ],
)
def test_a_dataset_is_read_in_a_shell(command: str, environment: dict[str, str]) -> None:
    made = "mnistseq dataset -n 15 --len 3 --seed 3 --shard-size 6 -o out 2> said"
    expected = "".join(f"{sample.label}\n" for sample in SequenceDataset(length=3, seed=3, samples=15))
    assert pipe(f"{made}; {command}", environment) == (0, expected, "")


def test_lines_of_programs_that_share_a_pipe_stay_whole(monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    pieces: list[str] = []
    monkeypatch.setattr("mnist_seq_cli.cli.streams.click.echo", lambda text, **_: pieces.append(text))
    Path("strips").mkdir()
    for number in range(100):
        strip_file(f"strips/{number:0100d}é.png", f"{number // 10}-{number % 10}")
    assert mnistseq("decode", "strips").code == 0
    lines = [line for piece in pieces for line in piece.split("\n")]
    assert [line.partition("\t")[2] for line in lines] == [f"{n // 10}-{n % 10}" for n in range(100)]
    assert 2 < len(pieces) < 10
    assert max(len(piece.encode()) + 1 for piece in pieces) <= 4096


def test_bytes_in_a_pipe_are_those_of_the_file(environment: dict[str, str]) -> None:
    assert pipe("mnistseq generate 4-2 --seed 6 -o - > out.png && mnistseq generate 4-2 --seed 6", environment)[0] == 0
    assert Path("out.png").read_bytes() == Path("4-2.png").read_bytes()


def test_idx_goes_through_a_pipe(environment: dict[str, str]) -> None:
    labels = [str(label) for label in TEST_LABELS.read_bytes()[8:]]
    code, text, err = pipe(f"gzip -c {TEST_LABELS} | mnistseq decode - | sort | uniq -c", environment)
    assert (code, err) == (0, "")
    assert [line.split() for line in text.splitlines()] == [[str(labels.count(d)), d] for d in "0123456789"]


def test_a_pipe_that_closes_is_no_reason_to_complain(environment: dict[str, str]) -> None:
    code, text, err = pipe(f"mnistseq decode {TEST_IMAGES} --as text | head -1", environment)
    assert (code, text, err) == (1, "0:\n", "")
    code, text, err = pipe(f"mnistseq decode {TEST_IMAGES} -o images/ | head -1", environment)
    assert (code, text, err) == (1, "images/00000.png\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_terminal_cannot_show_is_no_reason_to_fail(encoding: str, environment: dict[str, str]) -> None:
    idx_file("images", np.full((1, 4, 3), 255))
    code, text, err = pipe(f"PYTHONIOENCODING={encoding} mnistseq decode images --as text | wc -l", environment)
    assert (code, text.strip(), err) == (0, "3", "")
