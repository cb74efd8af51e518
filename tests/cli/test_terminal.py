"""What a person sees: strips drawn by hand and by the program are the same, and bars are for terminals only."""

import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import spec_for
from depth import slow
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnist_seq_cli.cli import terminal
from mnist_seq_cli.cli.terminal import draw, print_message, print_strip, print_table, size_text, summary_text
from mnist_seq_cli.codecs.png import decode
from mnist_seq_cli.dataset.build import Summary
from mnist_seq_cli.mnist.bank import Source

Run = Callable[..., tuple[int, str, str]]
Terminal = Callable[..., tuple[int, str]]

INK, PAPER = 0, 255
COLOURS = re.compile(r"\x1b\[(?:38;5;\d+;48;5;\d+|0)m")


def image(*rows: list[int]) -> NDArray[np.uint8]:
    return np.array(rows, dtype=np.uint8)


# Strips without colours


def test_two_rows_make_a_line() -> None:
    drawn = draw(image([INK, PAPER, INK, PAPER], [INK, INK, PAPER, PAPER]), 80, coloured=False)
    assert drawn == ["█▄▀"]  # what is empty at the end of a line is left out


def test_each_pair_of_rows_makes_a_line() -> None:
    rows = [[INK, PAPER], [PAPER, PAPER], [PAPER, PAPER], [PAPER, PAPER], [PAPER, INK], [PAPER, INK]]
    assert draw(image(*rows), 80, coloured=False) == ["▀", "", " █"]


def test_an_odd_row_stands_above_paper() -> None:
    assert draw(image([INK, INK]), 80, coloured=False) == ["▀▀"]
    assert draw(image([INK], [INK], [INK]), 80, coloured=False) == ["█", "▀"]


@pytest.mark.parametrize(("grey", "block"), [(0, "█"), (1, "█"), (127, "█"), (128, ""), (254, ""), (255, "")])
def test_ink_is_what_is_darker_than_the_middle(grey: int, block: str) -> None:
    assert draw(image([grey], [grey]), 80, coloured=False) == [block]


# Strips in colours


def test_each_pixel_has_its_grey() -> None:
    drawn = draw(image([0, 255], [128, 64]), 80, coloured=True)
    assert drawn == ["\x1b[38;5;232;48;5;243m▀\x1b[38;5;255;48;5;237m▀\x1b[0m"]


def test_an_odd_row_stands_above_paper_in_colours_too() -> None:
    assert draw(image([0]), 80, coloured=True) == ["\x1b[38;5;232;48;5;255m▀\x1b[0m"]


def test_greys_go_from_black_to_white_and_never_back() -> None:
    drawn = draw(np.arange(256, dtype=np.uint8).reshape(1, 256), 256, coloured=True)
    shades = [int(shade) for shade in re.findall(r"\x1b\[38;5;(\d+);", drawn[0])]
    assert (shades[0], shades[-1], len(shades)) == (232, 255, 256)
    assert shades == sorted(shades)
    assert set(shades) == set(range(232, 256))


# Strips that are too wide


def test_what_fits_is_not_made_smaller() -> None:
    assert draw(np.zeros((2, 10), dtype=np.uint8), 10, coloured=False) == ["█" * 10]
    assert draw(np.zeros((2, 11), dtype=np.uint8), 10, coloured=False) == ["▀" * 6]


@pytest.mark.parametrize("column", range(12))
def test_a_thin_line_stays_when_a_strip_is_made_smaller(column: int) -> None:
    strip = np.full((6, 12), PAPER, dtype=np.uint8)
    strip[:, column] = INK
    assert draw(strip, 4, coloured=False) == [" " * (column // 3) + "█"]
    strip = strip.T.copy()
    drawn = draw(strip, 3, coloured=False)  # 12 high, 6 wide, at half its size
    assert drawn == ["▀▄"[column // 2 % 2] * 3 if line == column // 4 else "" for line in range(3)]


def test_the_darkest_pixel_of_a_square_is_shown() -> None:
    strip = image([200, 100, 255, 255], [90, 255, 255, 254])
    assert draw(strip, 2, coloured=True) == ["\x1b[38;5;240;48;5;255m▀\x1b[38;5;254;48;5;255m▀\x1b[0m"]


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 400),
    columns=st.integers(1, 200),
    coloured=st.booleans(),
    inked=st.integers(0, 10**9),
)
def test_a_drawing_keeps_to_its_columns_and_loses_no_ink(
    height: int, width: int, columns: int, coloured: bool, inked: int
) -> None:
    strip = np.full((height, width), PAPER, dtype=np.uint8)
    strip[inked % height, inked % width] = INK
    drawn = draw(strip, columns, coloured=coloured)
    step = math.ceil(width / columns)
    assert len(drawn) == math.ceil(math.ceil(height / step) / 2)
    lines = [COLOURS.sub("", line) for line in drawn]
    assert max(map(len, lines)) <= columns
    if coloured:
        assert {len(line) for line in lines} == {math.ceil(width / step)}
        assert sum(line.count(";5;232") for line in drawn) == 1
    else:
        row, column = inked % height // step, inked % width // step
        expected = [""] * len(drawn)
        expected[row // 2] = " " * column + "▀▄"[row % 2]
        assert lines == expected


def test_a_strip_is_drawn_below_its_caption(capfd: pytest.CaptureFixture[str]) -> None:
    print_strip(image([INK, PAPER], [PAPER, INK]), "[bold]caption[/]")
    assert capfd.readouterr() == ("[bold]caption[/]\n▀▄\n", "")
    print_strip(np.zeros((2, 250), dtype=np.uint8), "wide")
    assert capfd.readouterr() == ("wide\n" + "▀" * 84 + "\n", "")  # a third of it, in the 100 columns of a pipe


def test_empty_paper_at_the_right_end_is_left_out_where_it_would_make_a_strip_smaller(
    capfd: pytest.CaptureFixture[str],
) -> None:
    strip = np.full((2, 250), PAPER, dtype=np.uint8)
    for last, drawn in ((40, " " * 40 + "█"), (99, " " * 99 + "█"), (100, " " * 50 + "▀"), (249, " " * 83 + "▀")):
        strip[:, :] = PAPER
        strip[:, last] = INK
        print_strip(strip, "wide")
        assert capfd.readouterr().out == f"wide\n{drawn}\n"
    print_strip(np.full((2, 250), PAPER, dtype=np.uint8), "empty")
    assert capfd.readouterr().out == "empty\n\n"


# Tables


def test_columns_without_names_have_no_line_for_them(capfd: pytest.CaptureFixture[str]) -> None:
    print_table("title", ("", ""), [("a", "1")])
    assert [line.strip() for line in capfd.readouterr().out.splitlines() if line.strip()] == ["title", "a   1"]


def test_numbers_stand_to_the_right_and_words_to_the_left(capfd: pytest.CaptureFixture[str]) -> None:
    print_table("title", ("name", "count"), [("a", 1), ("longer", 1_234_567)])
    out, err = capfd.readouterr()
    lines = [line.rstrip() for line in out.splitlines() if line.strip()]
    assert err == ""
    assert [line.split() for line in lines if "─" not in line] == [
        ["title"],
        ["name", "count"],
        ["a", "1"],
        ["longer", "1,234,567"],
    ]
    name, count = lines[-2].index("a"), lines[-2].rindex("1")
    assert lines[-1].index("longer") == name
    assert lines[-1].rindex("7") == count


def test_words_are_shown_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    print_table("[red]:smile:[/]", ("[b]", ":+1:"), [("[i]x[/i]", ":heart:"), ("{0}", "%s")])
    out = capfd.readouterr().out
    for word in ("[red]:smile:[/]", "[b]", ":+1:", "[i]x[/i]", ":heart:", "{0}", "%s"):
        assert word in out


def test_what_is_too_long_for_a_line_goes_on_in_the_next(capfd: pytest.CaptureFixture[str]) -> None:
    print_table("title", ("name", "value"), [("glyphs", ", ".join(map(str, range(60_000, 60_050))))])
    out = capfd.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert [int(number) for number in re.findall(r"\d+", out)] == list(range(60_000, 60_050))


def test_a_title_is_not_shortened_where_there_is_room(capfd: pytest.CaptureFixture[str]) -> None:
    title = "a title that is much wider than what stands below it"
    print_table(title, ("a", "b"), [("1", 2)])
    assert title in capfd.readouterr().out


# Words


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_049, "1.0 kB"),
        (1_050, "1.1 kB"),
        (22_161, "22.2 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (10_500_000, "10.5 MB"),
        (999_999_999, "1.0 GB"),
        (47_040_016_000, "47.0 GB"),
        (10**12, "1.0 TB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_bytes_are_told_as_people_tell_them(count: int, text: str) -> None:
    assert size_text(count) == text


@given(count=st.integers(0, 10**15 - 10**11))
def test_bytes_are_told_in_four_digits_at_most(count: int) -> None:
    number, unit = size_text(count).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert float(number) < 1000
    assert abs(float(number) * factor - count) <= 0.05 * factor * (1 + 1e-9)


@pytest.mark.parametrize(
    ("made", "work"),
    [
        (2_500, "made 2,500 in 2.0 s, 1,250 a second"),
        (500, "made 500 in 2.0 s, 250 a second; reused 2,000"),
        (0, "all of it was there and is sound"),
    ],
)
def test_a_summary_says_what_was_done_and_how_to_do_it_again(made: int, work: str, tmp_path: Path) -> None:
    spec = spec_for(tmp_path, samples=2_500, source=Source("train"), seed=7, length=4)
    lines = summary_text(Path("out"), [spec], [Summary(2_500, 2_345_678, made)], 2.0).splitlines()
    assert lines == [
        "out: 2,500 strips, 112×28 px, 2.3 MB",
        work,
        "seed 7: --seed 7 makes the same dataset again",
        "look at it: mnistseq inspect out",
    ]


def test_what_is_said_to_a_person_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    print_message("[bold]one[/] × two")
    assert capfd.readouterr() == ("", "[bold]one[/] × two\n")


def test_without_a_stderr_nothing_gets_into_the_data(tmp_path: Path, environment: dict[str, str]) -> None:
    """With its stderr closed, Python would print on stdout what is meant for stderr."""
    command = "mnistseq generate 4-2 -o - 2>&- > strip.png && mnistseq dataset -n 3 --len 2 -o out 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    content = (tmp_path / "strip.png").read_bytes()
    assert decode(content).shape == (28, 56)
    assert content.endswith(b"IEND\xaeB`\x82")
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "out" / "manifest.json").exists()


# Bars


def test_a_bar_hands_on_what_it_is_given(capfd: pytest.CaptureFixture[str]) -> None:
    items: list[Any] = [object(), None, 3]
    watch = terminal.bar(3, "things", lambda item: 1)
    assert list(watch(iter(items))) == items
    assert list(watch([])) == []
    assert capfd.readouterr() == ("", "")


MAKE = ("dataset", "-n", "1200", "--len", "2", "--shard-size", "100", "--seed", "1")


def test_a_bar_is_drawn_on_a_terminal_and_cleared(tmp_path: Path, on_terminal: Terminal) -> None:
    code, seen = on_terminal(*MAKE, "-o", tmp_path / "out", TERM="xterm")
    assert code == 0
    bar, _, rest = seen.rpartition("\r")
    assert "| 0/1200 [" in bar
    assert "strips/s]" in bar
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]", seen.replace(str(tmp_path), "")))
    assert rest.startswith(str(tmp_path / "out"))
    assert "%|" not in rest


def test_no_bar_is_drawn_on_a_terminal_that_cannot_show_it(tmp_path: Path, on_terminal: Terminal) -> None:
    code, seen = on_terminal(*MAKE, "-o", tmp_path / "out", TERM="dumb")
    assert code == 0
    assert "\r" not in seen
    assert "\x1b" not in seen
    assert "%|" not in seen
    assert "makes the same dataset again" in seen


def test_no_bar_is_drawn_in_a_pipe(tmp_path: Path, environment: dict[str, str], mnistseq: Run) -> None:
    command = ["mnistseq", *MAKE, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        command, env=environment | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'out'}: 1,200 strips")
    assert "\r" not in done.stdout
    assert "%|" not in done.stdout
    code, _, err = mnistseq("inspect", tmp_path / "out", "--verify")
    assert (code, err) == (0, "every file is as the manifest says\n")


# Names that a terminal would act on

NAME = "e\x1b[31m\x07\x9b5n"


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "1-2", "--seed", "1", "-o", f"{NAME}/"],
        ["dataset", "-n", "3", "--len", "2", "--seed", "1", "-o", f"{NAME}/new"],
        ["dataset", "-n", "3", "--len", "3", "--seed", "1", "-o", f"{NAME}/data"],
        ["inspect", f"{NAME}/data"],
        ["decode", f"{NAME}/data", "-H"],
        *slow(
            [
                ["dataset", "-n", "3", "--labels", NAME, "-o", "x"],
                ["dataset", f"--{NAME}"],
                [NAME],
                ["inspect", NAME],
                ["inspect", f"{NAME}/data", "--verify"],
                ["inspect", f"{NAME}/data", "--against", f"{NAME}/data"],
                ["inspect", f"{NAME}/data", "--sheet", f"{NAME}/sheet.png"],
                ["decode", f"{NAME}/data", "--repair-labels"],
                ["decode", f"{NAME}/none"],
            ]
        ),
    ],
)
def test_no_name_reaches_a_terminal_raw(
    command: list[str], tmp_path: Path, on_terminal: Terminal, mnistseq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mnistseq("dataset", "-n", "3", "--len", "2", "--seed", "1", "-o", f"{NAME}/data")[0] == 0
    _, seen = on_terminal(*command, NO_COLOR="1")
    assert "\x1b[31m" not in seen
    assert "\x07" not in seen
    assert "\x9b" not in seen


def test_a_name_is_exact_in_a_pipe(tmp_path: Path, mnistseq: Run) -> None:
    code, out, _ = mnistseq("generate", "1-2", "--seed", "1", "-o", f"{tmp_path / NAME}/")
    assert (code, out) == (0, f"{tmp_path / NAME}/1-2.png\n")
