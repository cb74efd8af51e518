"""Owns `mnistseq inspect`: what is at a path, and what is in it."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import LocalPath, grouped, own_source, source_options
from mnist_seq_cli.cli.streams import stdin_lines
from mnist_seq_cli.errors import DONE, FAILED, FormatError, RequestError, one_line

if TYPE_CHECKING:
    from mnist_seq_cli.dataset.splits import Splits
    from mnist_seq_cli.inspection.reports import Report
    from mnist_seq_cli.inspection.scoring import Score
    from mnist_seq_cli.samples.collection import Collection
    from mnist_seq_cli.samples.strip import Strip

_HEADINGS = {
    "Looking": "What is shown of the samples, and where.",
    "Checking": "Whether all is as it should be.",
    "Scoring": "How the predictions of a model do.",
    "Comparing": "What two datasets have in common.",
    "Glyphs": "Which handwritten digits, and which background, a dataset was made of.",
    "Help": "How to see this.",
}


@click.command(cls=GroupedCommand, headings=_HEADINGS, short_help="See what is there: facts, checks, scores.")
@click.argument("path", required=False, type=LocalPath())
@grouped("--json", "as_json", heading="Looking", basic=True, is_flag=True, help="Print JSON.")
@grouped(
    "--show",
    heading="Looking",
    basic=True,
    type=click.IntRange(0, 1000),
    metavar="N",
    help="Strips to draw.  [default: 3 on a terminal, 40 on a sheet]",
)
@grouped(
    "--index", heading="Looking", basic=True, metavar="I,J", help="Draw these samples instead; all of a single one."
)
@grouped(
    "--sheet",
    heading="Looking",
    basic=True,
    metavar="FILE.png",
    type=LocalPath("write to"),
    help="Write a contact sheet of the strips.",
)
@grouped("--boxes", heading="Looking", is_flag=True, help="Draw the box of each digit's ink on the sheet.")
@grouped(
    "--html",
    heading="Looking",
    basic=True,
    metavar="FILE.html",
    type=LocalPath("write to"),
    help="Write a report for the browser.",
)
@grouped("--predictions", heading="Scoring", basic=True, metavar="FILE|-", help="Score what a model read, from a file.")
@grouped("--verify", heading="Checking", basic=True, is_flag=True, help="Check every byte against the manifest.")
@grouped(
    "--regenerate",
    heading="Checking",
    basic=True,
    type=click.IntRange(1),
    metavar="K",
    help="Make K random shards again, and compare.",
)
@grouped(
    "--against",
    heading="Comparing",
    basic=True,
    metavar="PATH",
    type=LocalPath(),
    help="Find what two datasets share.",
)
@grouped(
    "--may-share",
    heading="Comparing",
    type=click.Choice(("glyph", "label", "image")),
    multiple=True,
    help="What they may share, with --against.",
)
@source_options
@grouped("--paper", metavar="FILE", help="Picture that a dataset is on, for --regenerate.")
def inspect(**options: Any) -> int:
    """Show what PATH is, and what is in it; without PATH, the bundled MNIST.

    PATH is a dataset, one of its shards, a directory of splits, a PNG strip or a
    folder of them, an npz or an IDX file. Exits 1 when a dataset is incomplete, a
    check does not hold, or two datasets share what they may not, and says which.

    Predictions are CSV or JSON lines (file name or index, then what was read, 1-2-3
    or 123), or one a line in order; they are scored down to the MNIST digits.

    \b
      mnistseq inspect out/ --show 5
      mnistseq inspect out/ --index 7
      mnistseq inspect out/ --sheet sheet.png --boxes --html report.html
      mnistseq inspect out/ --predictions predictions.csv --html report.html
      mnistseq inspect out/ --verify --regenerate 3
      mnistseq inspect train/ --against test/ --may-share label
    """
    asked = _Asked(**options)
    if asked.against is not None:
        return _compare(asked, asked.against)
    if asked.may_share:
        raise RequestError("`may_share` says what two datasets may share", hint="give the other with `against`")
    if asked.path is not None and (splits := _splits_at(asked.path)):
        return _show_splits(asked, asked.path, splits)
    return _show(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of the command."""

    path: Path | None
    as_json: bool
    show: int | None
    index: str | None
    sheet: Path | None
    boxes: bool
    html: Path | None
    predictions: str | None
    verify: bool
    regenerate: int | None
    against: Path | None
    may_share: tuple[str, ...]
    source: str | None
    source_labels: str | None
    paper: str | None

    @property
    def looks_at_samples(self) -> bool:
        """Whether options look at single samples, or score them."""
        return self.show is not None or any((self.index, self.sheet, self.boxes, self.html, self.predictions))


@dataclass(slots=True)
class _View:
    """What there is to be shown: a report, the samples, those that were `chosen`, a score, and what is wrong."""

    report: Report
    samples: Collection
    chosen: list[Strip] | None
    score: Score | None
    problems: list[str]
    checks: list[str]


def _show(asked: _Asked) -> int:
    """Show a path, its samples, or the score of predictions."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import look
    from mnist_seq_cli.reading.transcribing import open_samples

    if asked.boxes and asked.sheet is None:
        raise RequestError("`boxes` are drawn on a sheet", hint="give `sheet=FILE.png`")
    if "-" in (str(asked.sheet), str(asked.html)):
        raise RequestError("stdout is for what the report says", hint="give the sheet or the page the name of a file")
    numbers = None if asked.index is None else _indices(asked.index)
    samples = open_samples(asked.path)
    chosen = None if numbers is None else samples.chosen(numbers)
    report = look.inspect(asked.path, samples)
    view = _View(report, samples, chosen, None, list(report.problems), [])
    _check(asked, view)
    view.score = _scored(asked, view)
    written = list(_written(asked, view))  # before anything is printed: a pipe that closes is no reason to leave it out
    _print(asked, view)
    for line in [*written, *([] if view.problems or asked.as_json else view.checks)]:
        terminal.say(line)
    terminal.say_problems(view.problems)
    return FAILED if view.problems else DONE


def _check(asked: _Asked, view: _View) -> None:
    """Verify and regenerate, where that is asked for; note what is wrong, and what was checked."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.regenerate import regenerate
    from mnist_seq_cli.dataset.verify import verify

    if (asked.verify or asked.regenerate) and asked.path is not None and view.report.kind != "dataset":
        raise RequestError(f"only datasets can be verified, and {asked.path} is of the kind {view.report.kind}")
    if asked.verify:
        if asked.path is not None:  # without a path, the report has checked the sums already
            found = list(verify(asked.path, watch=terminal.bar(None, "shards", lambda _: 1)))
            view.problems[:] = found or view.problems
        view.checks.append("every file is as the manifest says")
    if asked.regenerate and asked.path is not None:
        compared, different = regenerate(
            asked.path,
            own_source(asked.source, asked.source_labels),
            paper=None if asked.paper is None else Path(asked.paper).absolute(),
            shards=asked.regenerate,
        )
        view.problems += different
        view.checks.append(f"the recipe makes the same samples again ({compared} shards)")


def _scored(asked: _Asked, view: _View) -> Score | None:
    """Return the score of the predictions that are given, if any. Raises FormatError, RequestError, OSError."""
    if asked.predictions is None:
        return None
    if not len(view.samples):
        if not view.problems:
            raise RequestError(f"there are no samples in {asked.path} to hold predictions against")
        return None
    score = _score(view.samples, asked.predictions, asked.show or 0)
    view.problems += score.problems
    return score


def _score(samples: Collection, name: str, show: int) -> Score:
    """Return the score of the predictions in a file or from stdin. Raises FormatError, RequestError, OSError."""
    from mnist_seq_cli.inspection import predictions, scoring
    from mnist_seq_cli.samples.detection import require_file
    from mnist_seq_cli.storage import local

    keep = max(scoring.KEPT, show)
    if name == "-":
        piped = stdin_lines()
        rows = predictions.read(piped if piped[-1] else piped[:-1], "stdin")
        return scoring.score(samples, rows, "stdin", keep=keep)
    require_file(Path(name))
    shown = one_line(name, 200)
    try:
        with local.open_regular(Path(name)) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            return scoring.score(samples, predictions.read(lines, shown), shown, keep=keep)
    except UnicodeDecodeError:
        raise FormatError(f"{shown} is not text", hint="give CSV, JSON lines, or one prediction a line") from None


def _written(asked: _Asked, view: _View) -> Iterable[str]:
    """Write the files that are asked for, and yield a line on each. Raises RequestError, OSError."""
    from mnist_seq_cli.storage import local

    if asked.sheet is not None:
        yield _write_sheet(asked, asked.sheet, view)
    if asked.html is not None:
        from mnist_seq_cli.inspection import html_report

        content = html_report.render(view.report, view.samples, view.score, view.problems)
        local.write_whole(asked.html, content, sync=False)
        yield f"{one_line(str(asked.html), 200)}: open it in a browser"


def _write_sheet(asked: _Asked, path: Path, view: _View) -> str:
    """Write a contact sheet, and return a line on it. Raises RequestError, OSError."""
    from mnist_seq_cli.inspection import contact_sheet
    from mnist_seq_cli.storage import local

    show = 40 if asked.show is None else asked.show
    cells: Iterable[contact_sheet.Cell]
    if view.chosen is not None:
        count, cells = len(view.chosen), (contact_sheet.Cell(strip, strip.caption) for strip in view.chosen)
    elif view.score is not None:
        worst = _worst(view.samples, view.score, show)
        if not worst:
            return f"there is no wrong prediction to show, so {one_line(str(path), 200)} is not written"
        readings = ((strip, f"{strip.caption} > {'-'.join(entry['prediction'])}") for strip, entry in worst)
        count, cells = len(worst), (contact_sheet.Cell(strip, label, True) for strip, label in readings)
    else:
        count = min(show, len(view.samples))
        cells = (contact_sheet.Cell(strip, strip.caption) for strip in view.samples.strips(range(count)))
    local.write_whole(path, contact_sheet.encode(contact_sheet.draw(cells, boxes=asked.boxes)), sync=False)
    return f"{one_line(str(path), 200)}: {count} strips"


def _print(asked: _Asked, view: _View) -> None:
    """Print the report as JSON, or as text with the strips that are asked for."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import look, reports

    if asked.as_json:
        more: dict[str, Any] = {} if view.score is None else {"predictions": view.score.to_json()}
        if view.chosen is not None:
            more["chosen"] = [strip.to_json() for strip in view.chosen]
        click.echo(json.dumps({**reports.to_json(view.report), **more, "problems": view.problems}, allow_nan=False))
    elif view.chosen is not None and len(view.chosen) == 1:
        terminal.show_sample(view.chosen[0], look.origins(view.chosen[0], view.samples.source))
    elif view.score is not None:
        terminal.show_score(view.score)
        for strip, entry in _worst(view.samples, view.score, _drawn(asked)):
            reading = "-".join(entry["prediction"]) or "nothing"
            terminal.print_strip(strip.image, f"{strip.caption}, read as {reading}")
    else:
        terminal.show_report(view.report)
        _print_strips(asked, view)


def _print_strips(asked: _Asked, view: _View) -> None:
    """Draw the strips that are asked for, below a report."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import look

    if view.report.kind == "strip":
        (strip,) = view.samples.chosen([0])
        drawn = terminal.on_terminal() if asked.show is None else asked.show > 0
        terminal.show_sample(strip, look.origins(strip, view.samples.source), drawn=drawn)
    elif view.chosen is not None:
        for strip in view.chosen:
            terminal.print_strip(strip.image, strip.caption)
    else:
        for caption, image in look.examples(view.samples, _drawn(asked)):
            terminal.print_strip(image, caption)


def _drawn(asked: _Asked) -> int:
    """Return how many strips are drawn on stdout: a few on a terminal, unless a number is asked for."""
    from mnist_seq_cli.cli import terminal

    return 3 * terminal.on_terminal() if asked.show is None else asked.show


def _worst(samples: Collection, score: Score, count: int) -> list[tuple[Strip, dict[str, Any]]]:
    entries = {entry["sample"]: entry for entry in score.worst[:count]}
    return [(strip, entries[strip.number]) for strip in samples.chosen(list(entries))]


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts) or len(parts) > 1000:
        raise RequestError(f"`index` is {text!r}", hint="it is numbers of samples, as in 7 or 1,2,3")
    return list(map(int, parts))


def _splits_at(path: Path) -> Splits | None:
    """Return the splits that a directory holds; None for anything else. Raises FormatError."""
    from mnist_seq_cli.dataset import splits
    from mnist_seq_cli.recipe.spec import RECIPE_NAME
    from mnist_seq_cli.samples.detection import is_directory

    if not is_directory(path) or (path / RECIPE_NAME).exists():
        return None
    return splits.read(path)


def _show_splits(asked: _Asked, path: Path, splits: Splits) -> int:
    """Show a directory of splits, and check them one by one if that is asked for."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.regenerate import regenerate
    from mnist_seq_cli.dataset.verify import verify
    from mnist_seq_cli.inspection import look, reports

    if asked.looks_at_samples:
        parts = ", ".join(list(splits.sizes)[:8]) + ", …" * (len(splits.sizes) > 8)
        raise RequestError(
            f"{path} holds splits, {parts}, and these options look at one",
            hint=f"give {path / next(iter(splits.sizes))} for example",
        )
    report = look.inspect_splits(path, splits)
    problems, checks = list(report.problems), []
    sound = [part.name for part in report.splits if part.state == "complete"]
    if asked.verify:
        watch = terminal.bar(None, "shards", lambda _: 1)
        problems += [f"{name}: {line}" for name in sound for line in verify(path / name, watch=watch)]
        checks.append("every file of every split is as its manifest says")
    if asked.regenerate:
        source = own_source(asked.source, asked.source_labels)
        for name in sound:
            different = regenerate(path / name, source, shards=asked.regenerate)[1]
            problems += [f"{name}: {line}" for line in different]
        checks.append("the recipes make the same samples again")
    if asked.as_json:
        click.echo(json.dumps({**reports.to_json(report), "problems": problems}, allow_nan=False))
    else:
        terminal.show_splits(report)
        for line in [] if problems else [*checks, f"look at one: mnistseq inspect {shlex.quote(str(path / sound[0]))}"]:
            terminal.say(line)
    terminal.say_problems(problems)
    return FAILED if problems else DONE


def _compare(asked: _Asked, against: Path) -> int:
    """Show what two datasets have in common."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import overlap

    if asked.path is None or asked.verify or asked.regenerate or asked.looks_at_samples:
        raise RequestError("`against` compares two datasets, and does nothing else", hint="give two paths alone")
    watch = terminal.bar(None, "strips", len)
    report = overlap.compare(asked.path, against, may_share=asked.may_share, watch=watch)
    if asked.as_json:
        click.echo(json.dumps(overlap.to_json(report), allow_nan=False))
    else:
        rows = (("glyphs", report.glyphs), ("sequences", report.labels), ("identical images", report.images))
        terminal.print_table(
            f"{asked.path} and {against}",
            ("shared", "count", "the first of them"),
            [(name, part.shared if part.known else "unknown", overlap.listed(part.examples)) for name, part in rows],
        )
    terminal.say_problems(report.problems)
    return FAILED if report.problems else DONE
