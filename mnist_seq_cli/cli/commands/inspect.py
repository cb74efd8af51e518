"""Owns `mnistseq inspect`: what is at a path, and what is in it."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.errors import (
    DONE,
    FAILED,
    FormatError,
    RequestError,
    one_line,
)

if TYPE_CHECKING:
    from mnist_seq_cli.dataset.splits import Splits
    from mnist_seq_cli.inspection.scoring import Score
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.samples.collection import Collection, Strip
from mnist_seq_cli.cli.options import own_source, source_options
from mnist_seq_cli.cli.streams import stdin_lines


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--show",
    type=click.IntRange(0, 1000),
    metavar="N",
    help="Strips to draw.  [default: 3 on a terminal, 40 on a sheet]",
)
@click.option("--index", metavar="I,J", help="Draw these samples instead; of a single one tell all.")
@click.option(
    "--sheet", metavar="FILE.png", type=click.Path(path_type=Path), help="Write a contact sheet of the strips."
)
@click.option("--boxes", is_flag=True, help="Draw the box of each digit's ink on the sheet.")
@click.option("--html", metavar="FILE.html", type=click.Path(path_type=Path), help="Write a report for the browser.")
@click.option(
    "--predictions", metavar="FILE|-", help="Score what a model read: file name or index and digits, or a line each."
)
@click.option("--verify", is_flag=True, help="Check every byte of a dataset against its manifest.")
@click.option("--regenerate", type=click.IntRange(1), metavar="K", help="Make K random shards again, and compare.")
@click.option("--against", metavar="PATH", type=click.Path(path_type=Path), help="Look for what two datasets share.")
@click.option(
    "--may-share",
    type=click.Choice(("glyph", "label", "image")),
    multiple=True,
    help="What they may share, with --against.",
)
@source_options
@click.option("--paper", metavar="FILE", help="Picture that a dataset is on, for --regenerate.")
def inspect(
    path: Path | None,
    as_json: bool,
    show: int | None,
    index: str | None,
    sheet: Path | None,
    boxes: bool,
    html: Path | None,
    predictions: str | None,
    verify: bool,
    regenerate: int | None,
    against: Path | None,
    may_share: tuple[str, ...],
    source: str | None,
    source_labels: str | None,
    paper: str | None,
) -> int:
    """Tell what PATH is, and what is in it; without PATH, the bundled MNIST.

    PATH is a dataset, one of its shards, a directory of splits, a PNG strip or a folder of them, an npz or an IDX file.
    Pixels of large ones are sampled. A single strip is read as decode reads it. Exits 1 when a dataset is incomplete or
    a check does not hold, or when two datasets share what they may not, and names what is wrong.

    Predictions are CSV or JSON lines (file name or index, then what was read, 1-2-3 or 123), or one a line in order.
    They are scored digit by digit, down to the MNIST digits that are read wrongly; the sheet then shows the worst
    strips. Exits 1 when samples have no prediction, or rows no sample.

    \b
      mnistseq inspect
      mnistseq inspect out/ --show 5
      mnistseq inspect out/ --index 7
      mnistseq inspect out/ --sheet sheet.png --boxes --html report.html
      mnistseq inspect out/ --predictions predictions.csv --html report.html
      mnistseq inspect out/ --verify --regenerate 3
      mnistseq inspect parts/ --verify
      mnistseq inspect 1-2-3.png --show 1
      mnistseq inspect out/ --json | jq .digits
      mnistseq inspect train/ --against test/ --may-share label
    """
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build as datasets
    from mnist_seq_cli.inspection import reports
    from mnist_seq_cli.samples import collection

    if may_share and against is None:
        raise RequestError("--may-share says what two datasets may share", hint="give the other with --against")
    if against is not None:
        if path is None or verify or regenerate or show is not None or index or sheet or html or predictions:
            raise RequestError("--against compares two datasets, and does nothing else", hint="give two paths alone")
        return _compare(path, against, may_share, as_json)
    if path is not None and (whole := _splits_at(path)):
        if show is not None or index or sheet or boxes or html or predictions:
            parts = ", ".join(list(whole.sizes)[:8]) + ", …" * (len(whole.sizes) > 8)
            raise RequestError(
                f"{path} holds splits, {parts}, and these options look at one",
                hint=f"give {path / next(iter(whole.sizes))} for example",
            )
        return _inspect_splits(path, whole, as_json, verify, regenerate or 0, own_source(source, source_labels))
    if boxes and sheet is None:
        raise RequestError("--boxes are drawn on a sheet", hint="give --sheet FILE.png")
    if "-" in (str(sheet), str(html)):
        raise RequestError("stdout is for what the report says", hint="give the sheet or the page the name of a file")
    wanted = None if index is None else _indices(index)
    found = collection.of(path)
    chosen = None if wanted is None else found.chosen(wanted)
    report = reports.inspect(path, found)
    problems, checks = list(report.problems), []
    if (verify or regenerate) and path is not None and report.kind != "dataset":
        raise RequestError(f"only datasets can be verified, and {path} is of the kind {report.kind}")
    if verify:
        if path is not None:  # without a path, the report has checked the sums already
            problems = list(datasets.verify(path, watch=terminal.bar(None, "shards", lambda _: 1))) or problems
        checks.append("every file is as the manifest says")
    if regenerate and path is not None:
        compared, different = datasets.regenerate(
            path,
            own_source(source, source_labels),
            paper=None if paper is None else Path(paper).absolute(),
            shards=regenerate,
        )
        problems += different
        checks.append(f"the recipe makes the same samples again ({compared} shards)")
    score = None
    if predictions is not None and len(found):
        score = _score(found, predictions, show or 0)
        problems += score.problems
    elif predictions is not None and not problems:
        raise RequestError(f"there are no samples in {path} to hold predictions against")
    written = []  # before anything is printed: a pipe that closes is no reason to leave them out
    if sheet is not None:
        written.append(_write_sheet(sheet, found, chosen, score, 40 if show is None else show, boxes=boxes))
    if html is not None:
        from mnist_seq_cli.inspection import html_report
        from mnist_seq_cli.storage import local

        local.write_whole(html, html_report.render(report, found, score, problems), sync=False)
        written.append(f"{one_line(str(html), 200)}: open it in a browser")
    if as_json:
        more: dict[str, Any] = {} if score is None else {"predictions": score.to_json()}
        if chosen is not None:
            more["chosen"] = [strip.to_json() for strip in chosen]
        click.echo(json.dumps({**reports.to_json(report), **more, "problems": problems}, allow_nan=False))
    elif chosen is not None and len(chosen) == 1:
        terminal.show_sample(chosen[0], reports.origins(chosen[0], found.source))
    elif score is not None:
        terminal.show_score(score)
        for strip, entry in _worst(found, score, 3 * terminal.on_terminal() if show is None else show):
            terminal.print_strip(strip.image, f"{strip.caption}, read as {_dashed(entry['prediction'])}")
    else:
        terminal.show_report(report)
        drawn: Iterable[tuple[str, Any]] = ()
        if report.kind == "strip":
            (strip,) = found.chosen([0])
            terminal.show_sample(
                strip,
                reports.origins(strip, found.source),
                drawn=terminal.on_terminal() if show is None else show > 0,
            )
        elif chosen is not None:
            drawn = ((strip.caption, strip.image) for strip in chosen)
        else:
            drawn = reports.examples(found, 3 * terminal.on_terminal() if show is None else show)
        for caption, image in drawn:
            terminal.print_strip(image, caption)
    for line in [*written, *([] if problems or as_json else checks)]:
        terminal.say(line)
    terminal.say_problems(problems)
    return FAILED if problems else DONE


def _splits_at(path: Path) -> Splits | None:
    """Return the splits that a directory holds; None for anything else. Raises FormatError."""
    from mnist_seq_cli.dataset import splits
    from mnist_seq_cli.recipe.spec import RECIPE_NAME
    from mnist_seq_cli.samples import idx_export

    if not idx_export.is_directory(path) or (path / RECIPE_NAME).exists():
        return None
    return splits.read(path)


def _inspect_splits(
    path: Path, whole: Splits, as_json: bool, verify: bool, regenerate: int, source: Source | None
) -> int:
    """Tell what splits a directory holds, and check them one by one if that is wanted."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build as datasets
    from mnist_seq_cli.inspection import reports

    report = reports.inspect_splits(path, whole)
    problems, checks = list(report.problems), []
    sound = [part.name for part in report.splits if part.state == "complete"]
    if verify:
        watch = terminal.bar(None, "shards", lambda _: 1)
        problems += [f"{name}: {line}" for name in sound for line in datasets.verify(path / name, watch=watch)]
        checks.append("every file of every split is as its manifest says")
    if regenerate:
        for name in sound:
            problems += [f"{name}: {line}" for line in datasets.regenerate(path / name, source, shards=regenerate)[1]]
        checks.append("the recipes make the same samples again")
    if as_json:
        click.echo(json.dumps({**reports.to_json(report), "problems": problems}, allow_nan=False))
    else:
        terminal.show_splits(report)
        for line in [] if problems else [*checks, f"look at one: mnistseq inspect {shlex.quote(str(path / sound[0]))}"]:
            terminal.say(line)
    terminal.say_problems(problems)
    return FAILED if problems else DONE


def _compare(path: Path, against: Path, may_share: tuple[str, ...], as_json: bool) -> int:
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import overlap

    report = overlap.compare(path, against, may_share=may_share, watch=terminal.bar(None, "strips", len))
    if as_json:
        click.echo(json.dumps(overlap.to_json(report), allow_nan=False))
    else:
        rows = (("glyphs", report.glyphs), ("sequences", report.labels), ("identical images", report.images))
        terminal.print_table(
            f"{path} and {against}",
            ("shared", "count", "the first of them"),
            [(name, part.shared if part.known else "unknown", overlap.listed(part.examples)) for name, part in rows],
        )
    terminal.say_problems(report.problems)
    return FAILED if report.problems else DONE


def _score(found: Collection, name: str, show: int) -> Score:
    """Return the score of the predictions in a file or from stdin. Raises FormatError, RequestError, OSError."""
    from mnist_seq_cli.inspection import scoring
    from mnist_seq_cli.samples import idx_export
    from mnist_seq_cli.storage import local

    keep = max(scoring.KEPT, show)
    if name == "-":
        piped = stdin_lines()
        return scoring.score(found, scoring.read(piped if piped[-1] else piped[:-1], "stdin"), "stdin", keep=keep)
    idx_export.require_file(Path(name))
    shown = one_line(name, 200)
    try:
        with local.open_regular(Path(name)) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            return scoring.score(found, scoring.read(lines, shown), shown, keep=keep)
    except UnicodeDecodeError:
        raise FormatError(f"{shown} is not text", hint="give CSV, JSON lines, or one prediction a line") from None


def _worst(found: Collection, score: Score, count: int) -> list[tuple[Strip, dict[str, Any]]]:
    entries = {entry["sample"]: entry for entry in score.worst[:count]}
    return [(strip, entries[strip.number]) for strip in found.chosen(list(entries))]


def _dashed(text: str) -> str:
    return "-".join(text) or "nothing"


def _write_sheet(
    path: Path, found: Collection, chosen: list[Strip] | None, score: Score | None, show: int, *, boxes: bool
) -> str:
    """Write a contact sheet, and return what there is to be said of it. Raises RequestError, OSError."""
    from mnist_seq_cli.inspection import contact_sheet as sheets
    from mnist_seq_cli.storage import local

    cells: Iterable[sheets.Cell]
    if chosen is not None:
        count, cells = len(chosen), (sheets.Cell(strip, strip.caption) for strip in chosen)
    elif score is not None:
        worst = _worst(found, score, show)
        if not worst:
            return f"there is no wrong prediction to show, so {one_line(str(path), 200)} is not written"
        readings = ((strip, f"{strip.caption} > {'-'.join(entry['prediction'])}") for strip, entry in worst)
        count, cells = len(worst), (sheets.Cell(strip, label, True) for strip, label in readings)
    else:
        count = min(show, len(found))
        cells = (sheets.Cell(strip, strip.caption) for strip in found.strips(range(count)))
    local.write_whole(path, sheets.encode(sheets.draw(cells, boxes=boxes)), sync=False)
    return f"{one_line(str(path), 200)}: {count} strips"


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts) or len(parts) > 1000:
        raise RequestError(f"--index is {text!r}", hint="it is numbers of samples, as in 7 or 1,2,3")
    return list(map(int, parts))
