"""The contact sheet: every strip is on it pixel for pixel, with its label under it and its boxes where its ink is."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.inspection.views import contact_sheet
from mnist_seq_cli.inspection.views.contact_sheet import Cell, draw
from mnist_seq_cli.samples.strip import Strip

Run = Callable[..., tuple[int, str, str]]

PAPER, RED, BLACK = contact_sheet._BACKGROUND, contact_sheet._BOX, contact_sheet._BLACK


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.mode, image.format) == ("RGB", "PNG")
        return np.asarray(image)


def place_of(picture: np.ndarray, strip: np.ndarray) -> tuple[int, int]:
    """Where a strip is on a sheet, at twice its size; looked for everywhere, first by a few of its pixels."""
    twice = strip.repeat(2, axis=0).repeat(2, axis=1)
    height, width = twice.shape
    rows, columns = picture.shape[0] - height + 1, picture.shape[1] - width + 1
    possible = np.ones((rows, columns), dtype=bool)
    for y, x in np.argwhere((twice > 0) & (twice < 255))[::20]:
        possible &= picture[y : y + rows, x : x + columns, 0] == twice[y, x]
    found = [
        (int(y), int(x))
        for y, x in np.argwhere(possible)
        if np.array_equal(picture[y : y + height, x : x + width, 0], twice)
    ]
    assert len(found) == 1
    return found[0]


def text_at(picture: np.ndarray, y: int, x: int, length: int) -> str:
    """Read letters back by the font."""
    read = ""
    for place in range(length):
        part = picture[y : y + 14 : 2, x + 12 * place : x + 12 * place + 10 : 2].min(axis=2) < 128
        read += next(letter for letter, bits in contact_sheet._FONT.items() if np.array_equal(bits, part))
    return read


@pytest.fixture
def out(tmp_path: Path, mnistseq: Run) -> Path:
    mnistseq("dataset", "-n", "50", "--len", "2-4", "--max", "5", "--seed", "3", "-o", tmp_path / "out")
    return tmp_path / "out"


DATA = SequenceDataset(length="2-4", max_gap=5, seed=3, samples=50)


def test_every_strip_is_there_with_its_label(out: Path, tmp_path: Path, mnistseq: Run) -> None:
    code, _, err = mnistseq("inspect", out, "--sheet", tmp_path / "x.png", "--show", "12")
    assert (code, err) == (0, f"{tmp_path / 'x.png'}: 12 strips\n")
    picture = opened(tmp_path / "x.png")
    for sample in (DATA[number] for number in range(12)):
        y, x = place_of(picture, sample.image)
        label = f"{sample.number}: {sample.label}"
        assert text_at(picture, y + 60, x, len(label)) == label


def test_samples_that_are_named_come_in_their_order(out: Path, tmp_path: Path, mnistseq: Run) -> None:
    assert mnistseq("inspect", out, "--sheet", tmp_path / "x.png", "--index", "31,4,49")[0] == 0
    picture = opened(tmp_path / "x.png")
    places = [place_of(picture, DATA[number].image) for number in (31, 4, 49)]
    assert places == sorted(places)


def test_boxes_are_around_the_ink_and_nowhere_else(out: Path, tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("inspect", out, "--sheet", tmp_path / "plain.png", "--index", "8,9")
    mnistseq("inspect", out, "--sheet", tmp_path / "boxes.png", "--index", "8,9", "--boxes")
    plain, boxed = opened(tmp_path / "plain.png"), opened(tmp_path / "boxes.png")
    expected = plain.copy()
    for sample in (DATA[8], DATA[9]):
        top, start = place_of(plain, sample.image)
        for left in sample.x[: sample.length].tolist():
            ink = sample.image[:, left : left + 28] < 255
            rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
            y, x = top + 2 * rows[0] - 1, start + 2 * (left + columns[0]) - 1
            bottom, right = top + 2 * rows[-1] + 2, start + 2 * (left + columns[-1]) + 2
            expected[[y, bottom], x : right + 1] = RED
            expected[y : bottom + 1, [x, right]] = np.array(RED)
    np.testing.assert_array_equal(boxed, expected)


def test_a_sheet_shows_the_worst_readings_with_what_was_read(out: Path, tmp_path: Path, mnistseq: Run) -> None:
    readings = [sample.label for sample in DATA]
    readings[7], readings[20] = "9-9-9-9-9-9", ""
    (tmp_path / "x.txt").write_text("\n".join(readings) + "\n")
    command = ("inspect", out, "--predictions", tmp_path / "x.txt", "--sheet", tmp_path / "x.png")
    assert mnistseq(*command)[::2] == (0, f"{tmp_path / 'x.png'}: 2 strips\n")
    picture = opened(tmp_path / "x.png")
    for number in (7, 20):
        y, x = place_of(picture, DATA[number].image)
        label = f"{number}: {DATA[number].label} > {readings[number]}"
        assert text_at(picture, y + 60, x, len(label)) == label
    (tmp_path / "x.png").unlink()
    (tmp_path / "x.txt").write_text("\n".join(sample.label for sample in DATA) + "\n")
    code, _, err = mnistseq(*command)
    assert (code, "no wrong prediction to show" in err, (tmp_path / "x.png").exists()) == (0, True, False)


def test_what_cannot_be_drawn_is_refused(out: Path, tmp_path: Path, mnistseq: Run) -> None:
    for options, named in (
        (("--sheet", tmp_path / "x.png", "--show", "0"), "there are no strips for a sheet"),
        (("--boxes",), "--sheet"),
        (("--sheet", "-"), "the name of a file"),
        (("--html", "-"), "the name of a file"),
        (("--index", "50"), "there is no sample 50; they are 0 to 49"),
        (("--index", "x"), "--index is 'x'"),
        (("--index", "-1"), "--index is '-1'"),
        (("--index", "1,,2"), "--index is '1,,2'"),
        (("--index", "٣"), "--index is '٣'"),
        (("--index", ""), "--index is ''"),
    ):
        code, _, err = mnistseq("inspect", out, *options)
        assert (code, err.count("\n")) == (2, 1), options
        assert named in err
    code, _, err = mnistseq("inspect", out, "--sheet", tmp_path / "no" / "such" / "x.png")
    assert (code, err.count("\n")) == (1, 1)


def test_large_sheets_are_refused_or_drawn_smaller() -> None:
    wide = Cell(Strip(0, "", np.full((28, 90_000), 255, np.uint8), "1"), "0: 1")
    assert draw([wide]).shape[1] == 180_016
    assert draw([wide, wide]).shape[1] == 90_016
    with pytest.raises(RequestError, match="too much for a sheet"):
        draw([wide] * 20)


def test_sheets_are_about_as_wide_as_they_are_high() -> None:
    for count in (1, 2, 10, 40, 1000):
        cells = [Cell(Strip(n, "", np.full((28, 112), 255, np.uint8), "1234"), f"{n}: 1-2-3-4") for n in range(count)]
        height, width, _ = draw(cells).shape
        assert count < 10 or 0.7 < width / height < 2.2


def test_a_sheet_is_the_same_every_time() -> None:
    cell = Cell(Strip(0, "", np.arange(784, dtype=np.uint8).reshape(28, 28), "5"), "0: 5?é", True)
    first = contact_sheet.encode(draw([cell]))
    assert first == contact_sheet.encode(draw([cell]))
    with Image.open(io.BytesIO(first)) as image:
        np.testing.assert_array_equal(np.asarray(image), draw([cell]))
