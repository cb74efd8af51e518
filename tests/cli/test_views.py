"""What a person sees of reports: every view keeps to the columns that there are, whatever the numbers."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mnist_seq_cli.cli import main, terminal, views
from mnist_seq_cli.inspection.counts import Counts
from mnist_seq_cli.inspection.overlap import ComparisonReport, Shared
from mnist_seq_cli.inspection.reports import IdxReport, MnistReport, Report, SamplesReport
from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.inspection.splits_report import SplitReport, SplitsReport

Run = Callable[..., tuple[int, str]]

COLOURS = re.compile(r"\x1b\[[0-9;]*[34][0-9;]*m")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with sequences of all lengths and wide gaps, and predictions that are all wrong, and mostly empty."""
    directory = tmp_path_factory.mktemp("views")
    asked = ["dataset", "-n", "300", "--len", "1-12", "--max", "40", "--seed", "1", "--format", "npz"]
    assert main.run([*asked, "-o", str(directory / "out")]) == 0
    (directory / "predictions").write_text("7" * 12 + "\n" * 299 + "7\n")
    return directory


@pytest.mark.parametrize("options", ["", "--index 5", "--index 5,6", "--predictions predictions", "--show 1"])
def test_on_a_terminal_every_view_keeps_to_80_columns(
    options: str, made: Path, on_terminal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    code, seen = on_terminal("inspect", "out", *options.split(), TERM="xterm-256color")
    assert code == 0
    narrow(seen)


def test_on_a_terminal_tables_have_no_colours_where_none_are_wanted(
    made: Path, on_terminal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    code, seen = on_terminal("inspect", "out", "--predictions", "predictions", TERM="xterm", NO_COLOR="1")
    assert code == 0
    assert not COLOURS.search(seen)


def narrow(seen: str) -> list[str]:
    """Return the lines that were seen, none of which is too long."""
    lines = ESCAPES.sub("", seen).splitlines()
    assert max(len(line) for line in lines) <= 80, max(lines, key=len)
    return lines


MANY = 10**12
"""More than there can be samples."""

COUNTS = Counts(
    samples=MANY,
    labelled=MANY - 1,
    lengths={str(length): MANY - length for length in range(1, 1001)},
    digits=[MANY * 1000 - digit for digit in range(10)],
    positions=[[MANY - digit for digit in range(10)] for _ in range(1000)],
    gaps={str(gap): MANY - gap for gap in range(-50, 100_000, 7)},
    glyphs={
        "samples": MANY,
        "different": 70_000,
        "times": {str(MANY + times): MANY for times in range(20)},
        "most": [[69_999, MANY]] * 10,
        "writers": 836,
    },
    ink={
        "samples": MANY - 5,
        "unreadable": 5,
        "mean": 0.123456,
        "smallest": 0.00001,
        "largest": 0.99999,
        "percent": {str(percent): MANY for percent in range(101)},
    },
    sizes=[(100_000 + place, 100_000) for place in range(7)],
)

REPORTS: list[Report] = [
    SamplesReport(kind="folder", path="a" * 60, counted=COUNTS),
    SamplesReport(kind="npz", path="a" * 200, counted=COUNTS._replace(glyphs=None, ink=None, gaps=None)),
    IdxReport(path="i", type="float64", shape=[MANY] * 9, smallest=-1e300 / 7, largest=1e300 / 7, counts=None),
    IdxReport(path="i", type="uint8", shape=[MANY], smallest=0, largest=9, counts=[MANY] * 10),
    MnistReport(
        directory="/" + "m" * 100,
        files=[{"name": "t10k-labels-idx1-ubyte", "bytes": MANY, "sha256": "0" * 64, "verified": False}],
        train=[MANY] * 10,
        test=[MANY] * 10,
        problems=["t10k-labels-idx1-ubyte is not as published"],
    ),
]


@pytest.fixture(params=[True, False], ids=["colours", "NO_COLOR"])
def on_80_columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, in this process."""
    settings = {"highlight": False, "markup": False, "emoji": False, "no_color": not request.param}
    console = Console(width=80, force_terminal=True, color_system="256", **settings)
    for module in (terminal, views):
        monkeypatch.setattr(module, "page", lambda: console)


@pytest.mark.usefixtures("on_80_columns")
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.kind)
def test_a_report_keeps_to_its_columns_whatever_the_numbers(report: Report, capfd: pytest.CaptureFixture[str]) -> None:
    views.show_report(report)
    lines = narrow(capfd.readouterr().out)
    if report.counted:
        assert any(re.search(r"at each position \(the first \d of 1000\)", line) for line in lines)


@pytest.mark.usefixtures("on_80_columns")
def test_a_score_keeps_to_its_columns_whatever_the_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    row = {"digits": MANY, "substituted": MANY // 3, "deleted": MANY // 7, "inserted": 0}
    glyph = {"glyph": 69_999, "digit": 7, "wrong": MANY, "seen": MANY, "known_wrong_label": True}
    views.show_score(
        Score(
            **dict.fromkeys(("samples", "scored", "missing", "unlabelled", "unknown", "repeated", "exact"), MANY),
            **dict.fromkeys(("digits", "errors", "substitutions", "insertions", "deletions"), MANY * 1000),
            positions=[row] * 1000,
            lengths={str(size): {"samples": 1, "exact": 0, "digits": MANY, "errors": MANY} for size in range(1, 1001)},
            gaps={str(gap): {"pairs": MANY, "errors": MANY} for gap in range(-50, 100_000, 7)},
            confusion=[[MANY // 10**place for place in range(10)]] * 10,
            deleted=[MANY] * 10,
            inserted=[MANY] * 10,
            glyphs=[glyph | {"read_as": {"1": MANY, "nothing": MANY, "3": MANY}}] * 20,
            known_wrong={"seen": MANY, "wrong": MANY},
        )
    )
    narrow(capfd.readouterr().out)


@pytest.mark.usefixtures("on_80_columns")
def test_other_reports_keep_to_their_columns_whatever_the_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    split = SplitReport("n" * 60, "incomplete", MANY, MANY, MANY, "webdataset", "all, glyphs 0.0% to 12.5%", 2**63)
    views.show_splits(
        SplitsReport(
            path="p" * 100,
            seed=2**63,
            by="both",
            samples=MANY,
            complete=False,
            apart=False,
            splits=[split] * 3,
            problems=[],
        )
    )
    shared = Shared(MANY, [[MANY, MANY]] * 10)
    views.show_comparison(
        ComparisonReport("p" * 100, "q" * 100, [MANY, MANY], Shared(0, [], known=False), shared, shared, shared, [])
    )
    narrow(capfd.readouterr().out)
