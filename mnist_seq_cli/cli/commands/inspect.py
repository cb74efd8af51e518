"""Owns `mnistseq inspect`: show what is in a dataset or file; verify, score, compare."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import LocalPath, grouped, own_source, source_options
from mnist_seq_cli.cli.streams import stdin
from mnist_seq_cli.errors import DONE, FAILED, RequestError, one_line
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES

if TYPE_CHECKING:
    from mnist_seq_cli.dataset.splits.asked import Splits
    from mnist_seq_cli.inspection.checks import Checks
    from mnist_seq_cli.inspection.findings import Findings
    from mnist_seq_cli.inspection.scores.comparison import Comparison
    from mnist_seq_cli.inspection.scores.score import Score
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.samples.samples import Samples
    from mnist_seq_cli.storage.location import PathOrStore

_HEADINGS = {
    "Looking": "What to show of the samples, and where.",
    "Checking": "Whether everything is as it should be.",
    "Scoring": "How good the predictions of a model are.",
    "Comparing": "What two datasets have in common.",
    "Glyphs": "Which handwritten digits, and which background, a dataset was made from.",
    "Help": "How to get help.",
}


_looking = partial(grouped, heading="Looking", basic=True)
_checking = partial(grouped, heading="Checking", basic=True)
_scoring = partial(grouped, heading="Scoring")
_comparing = partial(grouped, heading="Comparing")
_SHOW = "Strips to draw.  [default: 3 on a terminal, 40 on a sheet]"
_PREDICTIONS = "Score the predictions in a file; given twice, compare two models."
_DATASET = LocalPath(or_store=True)
_KINDS = click.Choice(("glyph", "label", "image", "writer"))


@click.command(cls=GroupedCommand, headings=_HEADINGS)
@click.argument("path", required=False, type=_DATASET)
@_looking("--json", "as_json", is_flag=True, help="Print JSON.")
@_looking("--show", type=click.IntRange(0, 1000), metavar="N", help=_SHOW)
@_looking("--index", metavar="I,J", help="Draw these samples instead; a single one in detail.")
@_looking("--sheet", metavar="FILE.png", type=LocalPath("write to"), help="Write a contact sheet of the strips.")
@_looking("--boxes", basic=False, is_flag=True, help="Draw the box of each digit's ink on the sheet.")
@_looking("--html", metavar="FILE.html", type=LocalPath("write to"), help="Write a report for the browser.")
@_scoring("--predictions", basic=True, multiple=True, metavar="FILE|-", help=_PREDICTIONS)
@_scoring("--pad-zeros", is_flag=True, help="Restore leading zeros that predictions have lost.")
@_checking("--verify", is_flag=True, help="Check every byte against the manifest.")
@_checking("--regenerate", type=click.IntRange(1), metavar="K", help="Regenerate K random shards, and compare.")
@_comparing("--against", basic=True, metavar="PATH", type=_DATASET, help="Find what two datasets share.")
@_comparing("--may-share", type=_KINDS, multiple=True, help="What the two may share.")
@partial(source_options, multiple=True)
@grouped("--paper", metavar="FILE", help="Background picture of the dataset, for --regenerate.")
def inspect(**options: Any) -> int:
    """Show what PATH is and what is in it; without PATH, the bundled MNIST.

    PATH is a dataset, one of its shards, a directory of splits, an image or a
    folder of images, an npz or an IDX file. The exit code is 1 if a dataset is
    incomplete, a check fails, or two datasets share what they must not.

    Predictions are CSV, JSON, npy or parquet (file name or index, then the
    sequence, 1-2-3 or 123), or one per line in order. The score goes down to
    single MNIST digits; two files of predictions compare two models.

    \b
      mnistseq inspect out/ --show 5
      mnistseq inspect out/ --index 7
      mnistseq inspect out/ --sheet sheet.png --boxes --html report.html
      mnistseq inspect out/ --predictions predictions.csv --html report.html
      mnistseq inspect out/ --verify --regenerate 3
      mnistseq inspect train/ --against test/ --may-share label
    """
    from mnist_seq_cli.inspection.checks import damage_found
    from mnist_seq_cli.inspection.splits_report import splits_at

    asked = _Asked(**options)
    compares_custom = asked.against and asked.paper is None and {*asked.source} - {*BUNDLED_SOURCES}
    if asked.names_files and not asked.regenerate and not compares_custom:
        raise RequestError(
            "`source`, `source_labels`, `writers` and `paper` are for `regenerate`, and all but the last for `against`",
            hint="give it, or leave them out",
        )
    if asked.pad_zeros and not asked.predictions:
        raise RequestError("`pad_zeros` is for predictions", hint="give `predictions`, or leave it out")
    if len(asked.predictions) > 2 or asked.predictions.count("-") > 1:
        raise RequestError("`predictions` takes one file, or two to compare", hint="one of them may be stdin")
    if asked.against is not None:
        return _compare(asked, asked.against)
    if asked.may_share:
        raise RequestError("`may_share` says what two datasets may share", hint="give the other with `against`")
    with damage_found(asked.path, verify=asked.verify):
        splits = None if asked.path is None else splits_at(asked.path)
    if asked.path is not None and splits is not None:
        return _inspect_splits(asked, asked.path, splits)
    return _inspect_samples(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of the command."""

    path: PathOrStore | None
    as_json: bool
    show: int | None
    index: str | None
    sheet: Path | None
    boxes: bool
    html: Path | None
    predictions: tuple[str, ...]
    pad_zeros: bool
    verify: bool
    regenerate: int | None
    against: PathOrStore | None
    may_share: tuple[str, ...]
    source: tuple[str, ...]
    source_labels: tuple[str, ...]
    writers: tuple[str, ...]
    source_transposed: bool
    paper: str | None

    @property
    def looks_at_samples(self) -> bool:
        """Whether options look at single samples, or score them."""
        return self.show is not None or any((self.index, self.sheet, self.boxes, self.html, self.predictions))

    @property
    def names_files(self) -> bool:
        """Whether options name the files that a dataset was made of."""
        options = (self.source, self.source_labels, self.writers, self.source_transposed)
        return any(options) or self.paper is not None

    @property
    def sources(self) -> list[Source]:
        """The sources that options name. Raises RequestError."""
        flag = self.source_transposed
        files = [*zip_longest(self.source, self.source_labels, self.writers)] or [(None, None, None)] * flag
        return [source for names in files if (source := own_source(*names, transposed=flag))]

    @property
    def numbers(self) -> list[int] | None:
        """The numbers of the samples in `index`. Raises RequestError."""
        if self.index is None:
            return None
        parts = self.index.split(",")
        if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts) or len(parts) > 1000:
            raise RequestError(f"`index` is {self.index!r}", hint="it is numbers of samples, as in 7 or 1,2,3")
        return list(map(int, parts))

    @property
    def checks(self) -> Checks:
        """The checks that are asked for."""
        from mnist_seq_cli.cli.terminal import bar
        from mnist_seq_cli.inspection.checks import Checks

        if len(self.sources) > 1:
            raise RequestError("a dataset has one source, and several are given", hint="give `source` once")
        return Checks(
            verify=self.verify,
            regenerate=self.regenerate or 0,
            source=next(iter(self.sources), None),
            background=None if self.paper is None else Path(self.paper).absolute(),
            watch=bar(None, "shards", lambda _: 1),
        )


def _inspect_samples(asked: _Asked) -> int:
    """Look at the samples at a path, check and score them, and show the findings."""
    from mnist_seq_cli.inspection.checks import check, damage_found
    from mnist_seq_cli.inspection.findings import Findings
    from mnist_seq_cli.inspection.look import look
    from mnist_seq_cli.reading.read_samples import open_samples

    if asked.boxes and asked.sheet is None:
        raise RequestError("`boxes` are drawn on a sheet", hint="give `sheet=FILE.png`")
    if "-" in (str(asked.sheet), str(asked.html)):
        raise RequestError("stdout is for what the report says", hint="give the sheet or the page the name of a file")
    numbers = asked.numbers
    with damage_found(asked.path, verify=asked.verify):
        samples = open_samples(asked.path)
        chosen = None if numbers is None else samples.chosen(numbers)
        report = look(asked.path, samples)
        findings = Findings(samples=samples, report=report, checked=check(report, asked.checks), chosen=chosen)
    if asked.predictions:
        if len(samples):
            score, comparison = _score(samples, asked)
            findings = replace(findings, score=score, comparison=comparison)
        elif not findings.problems:
            raise RequestError(f"there are no samples in {asked.path} to score predictions against")
    written = list(_write(asked, findings))  # before anything is printed: a pipe that closes does not leave it out
    if asked.as_json:
        click.echo(json.dumps(findings.to_json(), allow_nan=False))
        return _end(findings.problems, written)
    from mnist_seq_cli.cli.views import show_findings

    show_findings(findings, asked.show)
    return _end(findings.problems, written, findings.checked.passed, findings.checked.repairs)


def _score(samples: Samples, asked: _Asked) -> tuple[Score, Comparison | None]:
    """Return the score of the predictions in a file or from stdin, and the comparison with those in another.

    Raises FormatError, RequestError, OSError.
    """
    from mnist_seq_cli.inspection.prediction_files import read_stream
    from mnist_seq_cli.inspection.scores import scoring
    from mnist_seq_cli.inspection.scores.comparison import compare
    from mnist_seq_cli.inspection.scores.matched import Matched

    def matched(name: str) -> Matched:
        if name != "-":
            return scoring.matched_in(samples, Path(name), pad_zeros=asked.pad_zeros)
        return Matched(samples, read_stream(stdin(), "stdin"), "stdin", pad_zeros=asked.pad_zeros)

    models = list(map(matched, asked.predictions))
    keep, alone = max(scoring.KEPT, asked.show or 0), len(models) == 1
    scores = [scoring.score_matched(samples, model, keep=keep, alone=alone) for model in models]
    return scores[0], None if alone else compare(samples, models[0], models[1], scores[1])


def _write(asked: _Asked, findings: Findings) -> Iterator[str]:
    """Write the files that are asked for, and yield a line on each. Raises RequestError, OSError."""
    from mnist_seq_cli.storage import local

    if asked.sheet is not None:
        from mnist_seq_cli.inspection.views import contact_sheet

        name, most, drawn = one_line(str(asked.sheet), 200), 40 if asked.show is None else asked.show, count()
        if findings.numbers(most) or findings.score is None:
            cells = (cell for cell, _ in zip(contact_sheet.cells_of(findings, most), drawn, strict=False))
            sheet = contact_sheet.draw(cells, boxes=asked.boxes)
            local.write_whole(asked.sheet, contact_sheet.encode(sheet), sync=False)
            yield f"{name}: {next(drawn)} strips"
        else:
            yield f"there is no wrong prediction to show, so {name} is not written"
    if asked.html is not None:
        from mnist_seq_cli.inspection.views import html_report

        local.write_whole(asked.html, html_report.render(findings), sync=False)
        yield f"{one_line(str(asked.html), 200)}: open it in a browser"


def _inspect_splits(asked: _Asked, path: PathOrStore, splits: Splits) -> int:
    """Look at a directory of splits, check them one by one, and show the report."""
    from mnist_seq_cli.cli.views import show_splits
    from mnist_seq_cli.inspection.checks import check_splits
    from mnist_seq_cli.inspection.splits_report import look_at_splits

    if asked.looks_at_samples:
        names = ", ".join(list(splits.sizes)[:8]) + ", …" * (len(splits.sizes) > 8)
        raise RequestError(
            f"{path} holds splits, {names}, and these options look at one",
            hint=f"give {path / next(iter(splits.sizes))} for example",
        )
    report = look_at_splits(path, splits)
    checked = check_splits(report, asked.checks)
    problems = report.problems + checked.damage + checked.foreign + checked.differences
    if asked.as_json:
        click.echo(json.dumps(report.to_json() | {"problems": problems}, allow_nan=False))
        return _end(problems)
    show_splits(report)
    look_at_one = (
        [] if problems else [f"look at one: mnistseq inspect {shlex.quote(str(path / next(iter(splits.sizes))))}"]
    )
    return _end(problems, [], checked.passed + look_at_one, checked.repairs)


def _compare(asked: _Asked, against: PathOrStore) -> int:
    """Show what two datasets have in common."""
    from mnist_seq_cli.cli.terminal import bar
    from mnist_seq_cli.cli.views import show_comparison
    from mnist_seq_cli.inspection.overlap import compare

    if asked.path is None or asked.verify or asked.regenerate or asked.looks_at_samples:
        raise RequestError("`against` compares two datasets, and does nothing else", hint="give two paths alone")
    watch = bar(None, "strips", len)
    report = compare(asked.path, against, sources=asked.sources, may_share=asked.may_share, watch=watch)
    if asked.as_json:
        click.echo(json.dumps(report.to_json(), allow_nan=False))
    else:
        show_comparison(report)
    return _end(report.problems)


def _end(
    problems: Sequence[str],
    written: Sequence[str] = (),
    passed: Sequence[str] = (),
    repairs: Sequence[str] = (),
) -> int:
    """Print what was written, and what is wrong and `repairs` it, or else what `passed`; return the exit code."""
    from mnist_seq_cli.cli import terminal

    for line in [*written, *(() if problems else passed)]:
        terminal.print_message(line)
    terminal.print_problems(problems)
    for line in repairs:
        terminal.print_message(line)
    return FAILED if problems else DONE
