"""The HTML report: its numbers are those of the report, nothing in it is of another's making, and it stays small."""

import base64
import html
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from depth import slow
from forms import UNLIKE_FORMATS, form
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.codecs import png
from mnist_seq_cli.mnist import idx

Run = Callable[..., tuple[int, str, str]]

DATA = Path(__file__).resolve().parents[2] / "data"
VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """What a page holds: its tags in balance, its text, and the cards of its strips."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.cards: list[dict[str, str | None]] = []
        self.pictures: list[str] = []
        self.titles: list[str] = []
        self.ids: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID and not (self.open and self.open[-1] == "never"):
            self.open.append(tag)
        if "data-text" in values:
            self.cards.append(values)
        if tag == "image":
            self.pictures.append(values["href"] or "")
        if "id" in values:
            self.ids.append(values["id"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] == "title":
            self.titles.append(data)

    @property
    def images(self) -> list[np.ndarray]:
        contents = (base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in self.pictures)
        return [np.asarray(Image.open(io.BytesIO(content))) for content in contents]


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_the_page_tells_what_the_report_tells(name: str, tmp_path: Path, mnistseq: Run) -> None:
    asked = ("-n", "300", "--len", "2-4", "--max", "5", "--seed", "3", "--source", "test")
    assert mnistseq("dataset", *asked, *form(name), "-o", tmp_path / "out")[0] == 0
    code, _, err = mnistseq("inspect", tmp_path / "out", "--html", tmp_path / "x.html")
    assert (code, err) == (0, f"{tmp_path / 'x.html'}: open it in a browser\n")
    report = json.loads(mnistseq("inspect", tmp_path / "out", "--json")[1])
    page = Page((tmp_path / "x.html").read_text())
    data = SequenceDataset(length="2-4", max_gap=5, seed=3, source="test", samples=300)
    assert [card["data-text"] for card in page.cards] == [sample.label.replace("-", "") for sample in data]
    for image, sample in zip(page.images, data, strict=True):
        np.testing.assert_array_equal(image, sample.image)
    for digit, count in enumerate(report["digits"]):
        assert f"{digit} digit: {count}" in page.titles
    for position, column in enumerate(report["positions"], 1):
        for digit, count in enumerate(column):
            share = f"{count / sum(column):.1%}"
            assert f"digit {digit} at position {position}: {count} ({share})" in page.titles
    for length, count in report["lengths"].items():
        assert f"{length} length: {count}" in page.titles
    for gap, count in report["gaps"].items():
        assert f"{gap} px: {count}" in page.titles
    assert len(report["glyphs"]["times"]) > 1
    for times, count in report["glyphs"]["times"].items():
        assert f"{times} times: {count}" in page.titles
    assert report["command"] in "".join(page.text)
    assert json.dumps(report["recipe"], indent=2) in page.text
    for sample in data:
        for place in range(sample.length):
            assert f"{sample.digits[place]}: glyph {sample.glyphs[place]}" in page.titles


def test_the_page_tells_what_the_score_tells(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq(
        "dataset", "-n", "60", "--len", "3", "--max", "2", "--seed", "3", "--source", "test", "-o", tmp_path / "out"
    )
    readings = [sample.label for sample in SequenceDataset(length=3, max_gap=2, seed=3, source="test", samples=60)]
    readings = [text.replace("1", "7") if place % 2 else text[:-2] for place, text in enumerate(readings)][:50]
    (tmp_path / "x.txt").write_text("\n".join(readings) + "\n")
    command = ("inspect", tmp_path / "out", "--predictions", tmp_path / "x.txt")
    assert mnistseq(*command, "--html", tmp_path / "x.html")[0] == 1
    score = json.loads(mnistseq(*command, "--json")[1])["predictions"]
    content = (tmp_path / "x.html").read_text()
    page = Page(content)
    text = " ".join(page.text)
    assert f"{score['exact_rate']:.2%}" in page.text
    assert f"{score['character_error_rate']:.2%}" in page.text
    assert "10 of 60 samples have no prediction" in text
    wrong = [card["data-text"] for card in page.cards if "data-wrong" in card]
    assert wrong == [entry["truth"] for entry in score["worst"]]
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr><th scope=.row.*?</tr>", content)]
    table = [[int(cell.replace("·", "0")) for cell in row] for row in cells]
    expected = [[*row, deleted] for row, deleted in zip(score["confusion"], score["deleted"], strict=True)]
    assert table == [*expected, score["inserted"]]
    for entry in score["glyphs"]:
        assert f", glyph {entry['glyph']}" in page.text
    for position, counts in enumerate(score["positions"][:-1], 1):
        rate = (counts["substituted"] + counts["deleted"]) / counts["digits"]
        start = f"{position} position: {rate:.1%} of {counts['digits']}, 95 % interval "
        assert any(title.startswith(start) for title in page.titles)
    low, high = score["exact_interval"]
    assert f"{score['exact']} of 50 samples; 95 % interval {100 * low:.2f} to {high:.2%}" in page.text


def things(place: Path) -> dict[str, Path | None]:
    """One of each kind."""
    assert main.run(["dataset", "-n", "9", "--len", "2", "--format", "webdataset", "-o", str(place / "wds")]) == 0
    assert main.run(["dataset", "-n", "9", "--len", "2", "--format", "npz", "-o", str(place / "npz")]) == 0
    assert main.run(["generate", "1-2", "3-4", "-o", str(place / "folder")]) == 0
    return {
        "mnist": None,
        "shard": place / "wds" / "00000.tar",
        "npz": place / "npz" / "dataset.npz",
        "folder": place / "folder",
        "strip": place / "folder" / "1-2.png",
        "images": DATA / "t10k-images-idx3-ubyte",
        "labels": DATA / "t10k-labels-idx1-ubyte",
    }


def test_there_is_a_page_for_everything(tmp_path: Path, mnistseq: Run) -> None:
    for kind, path in things(tmp_path).items():
        where = () if path is None else (path,)
        code, _, err = mnistseq("inspect", *where, "--html", tmp_path / "x.html")
        assert (code, err.count("\n")) == (0, 1), kind
        page = Page((tmp_path / "x.html").read_text())
        expected = {"mnist": 300, "shard": 9, "npz": 9, "folder": 2, "strip": 1, "images": 300, "labels": 0}[kind]
        assert len(page.cards) == expected, kind
        assert (tmp_path / "x.html").stat().st_size < 5_000_000


@pytest.mark.parametrize("shape", [(28, 90_000), *slow([((3_000, 4_000),)])])
def test_it_stays_small_for_strips_of_any_size(shape: tuple[int, int], tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "folder").mkdir()
    noise = np.random.Generator(np.random.PCG64(1)).integers(0, 256, shape, dtype=np.uint8)
    content = png.encode(noise[None])[0]
    for number in range(12 if shape[0] == 28 else 2):
        (tmp_path / "folder" / f"{number}.png").write_bytes(content)
    assert mnistseq("inspect", tmp_path / "folder", "--html", tmp_path / "x.html")[0] == 0
    assert (tmp_path / "x.html").stat().st_size < 5_000_000
    assert 1 <= len(Page((tmp_path / "x.html").read_text()).cards) <= 40


def test_it_stays_small_for_sequences_of_any_length(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "100", "--len", "1-1000", "--seed", "1", "--format", "npz", "-o", tmp_path / "long")
    assert mnistseq("inspect", tmp_path / "long", "--html", tmp_path / "x.html")[0] == 0
    assert (tmp_path / "x.html").stat().st_size < 5_000_000
    page = Page((tmp_path / "x.html").read_text())
    assert re.search(r"digits by position \(the first 40 of \d{3,4}\)", " ".join(page.text))


def test_it_says_that_it_shows_a_selection(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "3000", "--len", "1", "--seed", "1", "--format", "npz", "-o", tmp_path / "out")
    mnistseq("inspect", tmp_path / "out", "--html", tmp_path / "x.html")
    text = " ".join(Page((tmp_path / "x.html").read_text()).text)
    assert "300 of 3,000, from all over." in text
    assert "(2,000 looked at)" in text


def test_a_page_of_the_same_is_the_same(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "20", "--len", "3", "--seed", "1", "-o", tmp_path / "out")
    for name in ("a", "b"):
        mnistseq("inspect", tmp_path / "out", "--html", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["<b>x</b>", "a&amp;b", "'\"", "$title", "${x}", "{0}", "%s", "\x1b[31m", "a\nb", "‮"])
def test_names_are_escaped(name: str, tmp_path: Path, mnistseq: Run) -> None:
    folder = tmp_path / name.replace("/", "∕")
    folder.mkdir()
    (folder / "<i>.png").write_bytes(png.encode(np.full((1, 28, 28), 255, np.uint8))[0])
    assert mnistseq("inspect", folder, "--html", tmp_path / "x.html")[0] == 0
    content = (tmp_path / "x.html").read_text()
    page = Page(content)
    shown = str(folder) if folder.name.isprintable() else str(folder).encode("unicode_escape").decode()
    assert shown in page.text
    assert "<i>.png" in page.text
    assert content.count("<script>") == 1
    for spelled in ("<b>x</b>", "<i>.png"):
        assert spelled not in content
        assert html.escape(spelled) in content or spelled not in shown


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, mnistseq: Run) -> None:
    code, out, err = mnistseq("inspect", "--html", tmp_path / "no" / "x.html")
    assert (code, out, err.count("\n")) == (1, "", 1)
    (tmp_path / "folder").mkdir()
    code, out, err = mnistseq("inspect", "--html", tmp_path / "folder")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_an_incomplete_dataset_has_a_page_that_says_so(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("dataset", "-n", "5", "--len", "2", "--seed", "1", "-o", tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    assert mnistseq("inspect", tmp_path / "out", "--html", tmp_path / "x.html")[0] == 1
    page = Page((tmp_path / "x.html").read_text())
    assert any("incomplete, 0 of 5 samples are done" in text for text in page.text)
    assert page.cards == []


@pytest.mark.parametrize("larger", [1, 2])
def test_the_page_of_a_strip_has_it_and_its_digits_side_by_side(larger: int, tmp_path: Path, mnistseq: Run) -> None:
    path = tmp_path / "a.png"
    mnistseq("generate", "3-0-7", "--min", "5", "--seed", "3", "-o", path)
    with Image.open(path) as image:
        image.resize((larger * image.width, larger * image.height)).save(path)
    assert mnistseq("inspect", path, "--html", tmp_path / "x.html")[0] == 0
    report = json.loads(mnistseq("inspect", path, "--json")[1])
    page = Page((tmp_path / "x.html").read_text())
    text = " ".join(page.text)
    assert [card["data-text"] for card in page.cards] == ["307"]
    assert "search" not in page.ids
    assert "Its digits, from left to right" in page.text
    what = "glyph" if larger == 1 else "nearest glyph"
    for glyph, (x, y, width, height) in zip(report["glyphs"], report["boxes"], strict=True):
        assert f"{what} {glyph} ink at {x}, {y}: {width}×{height} px" in text
    assert ("% sure" in text) == (larger > 1)
    pictures = re.findall(
        r'<img class="glyph" alt="" src="data:image/png;base64,([^"]+)"', (tmp_path / "x.html").read_text()
    )
    images = np.concatenate([idx.read(DATA / f"{name}-images-idx3-ubyte") for name in ("train", "t10k")])
    for picture, glyph in zip(pictures, report["glyphs"], strict=True):
        np.testing.assert_array_equal(
            np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))), 255 - images[glyph]
        )
