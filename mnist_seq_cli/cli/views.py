"""Owns the text views of reports: tables and drawn strips on stdout, a function for each kind of report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnist_seq_cli.cli.terminal import bar_of, on_terminal, page, print_strip, print_table
from mnist_seq_cli.errors import one_line
from mnist_seq_cli.inspection.figures import Chart, chance, rate_text
from mnist_seq_cli.inspection.look import examples, origins
from mnist_seq_cli.inspection.overlap import listed
from mnist_seq_cli.inspection.reports import KINDS, MnistReport
from mnist_seq_cli.mnist.bank import bundled_writers

if TYPE_CHECKING:
    from mnist_seq_cli.inspection.counts import Counts
    from mnist_seq_cli.inspection.findings import Findings
    from mnist_seq_cli.inspection.overlap import ComparisonReport
    from mnist_seq_cli.inspection.reports import Report
    from mnist_seq_cli.inspection.scores.comparison import Comparison
    from mnist_seq_cli.inspection.scores.score import Score
    from mnist_seq_cli.inspection.splits_report import SplitsReport
    from mnist_seq_cli.samples.strip import Strip

_BINS = 12
_BAR = 24
_A_FEW = 3
"""Strips that are drawn on a terminal where no number is asked for."""


def show_findings(findings: Findings, asked: int | None) -> None:
    """Print a score, or else a report, or all of a single sample, and draw as many strips as are `asked` for."""
    count = _A_FEW * on_terminal() if asked is None else asked
    samples, chosen = findings.samples, findings.chosen
    if findings.comparison is not None and findings.score is not None:
        first, second = map(one_line, findings.comparison.names)
        show_score(findings.score, f"predictions of {first}")
        show_score(findings.comparison.second, f"predictions of {second}")
        show_comparison_of_models(findings.comparison)
    elif findings.score is not None:
        show_score(findings.score)
    if chosen is not None and len(chosen) == 1:
        show_sample(chosen[0], samples.source)
    elif findings.score is not None:
        for strip, reading in findings.shown(count):
            known = "" if reading is None else f", read as {'-'.join(reading) or 'nothing'}"
            print_strip(strip.image, f"{strip.caption}{known}")
    else:
        show_report(findings.report)
        _show_strips(findings, count)


def _show_strips(findings: Findings, count: int) -> None:
    """Draw strips below a report."""
    samples = findings.samples
    if findings.report.kind == "strip":
        (strip,) = samples.chosen([0])
        show_sample(strip, samples.source, drawn=count > 0)
    elif findings.chosen is not None:
        for strip in findings.chosen:
            print_strip(strip.image, strip.caption)
    else:
        for caption, image in examples(samples, count):
            print_strip(image, caption)


def show_report(report: Report) -> None:
    """Print a report on a path as tables."""
    if isinstance(report, MnistReport):
        _show_mnist(report)
        return
    print_table(report.title, (KINDS[report.kind], ""), report.facts())
    for chart in report.charts(_BINS):
        _show_chart(chart)
    if report.counted and report.counted.positions:
        _show_positions(report.counted)


def _show_mnist(report: MnistReport) -> None:
    files = [
        (file["name"], file["bytes"], "as published" if file["verified"] else "NOT as published")
        for file in report.files
    ]
    print_table(f"MNIST, in {report.directory}", ("file", "bytes", "SHA-256"), files)
    rows = [(str(digit), report.train[digit], report.test[digit]) for digit in range(10)]
    total = ("all", sum(report.train), sum(report.test))
    print_table("glyphs", ("digit", "train", "test"), [*rows, total])


def show_splits(report: SplitsReport) -> None:
    """Print a report on a directory of splits as tables."""
    print_table(report.path, ("splits", ""), report.facts())
    rows = [
        (
            split.name,
            split.samples,
            f"{split.samples_done:,} done" if split.state == "incomplete" else split.state,
            split.source or "",
            "" if split.seed is None else str(split.seed),
        )
        for split in report.splits
    ]
    print_table("each of them a dataset", ("split", "samples", "", "source", "seed"), rows)


def show_comparison(report: ComparisonReport) -> None:
    """Print what two datasets have in common as a table."""
    rows = [
        (what, shared.shared if shared.known else "unknown", listed(shared.examples))
        for _, what, shared in report.parts
    ]
    print_table(f"{report.path} and {report.against}", ("shared", "count", "the first of them"), rows)


def _show_positions(counts: Counts) -> None:
    each = max(max(len(f"{count:,}") for column in counts.positions for count in column) + 2, len("at 10") + 2)
    room = (page().width - len("digit") - 2 - max(7, len(f"{max(counts.digits):,}")) - 2 - 12 - 2) // each
    shown = min(len(counts.positions), max(1, room), 8)
    columns = ("digit", "count", "", *(f"at {position}" for position in range(1, shown + 1)))
    bars = [bar_of(count, max(counts.digits), 12) for count in counts.digits]
    rows = [
        (str(digit), count, bars[digit], *(position[digit] for position in counts.positions[:shown]))
        for digit, count in enumerate(counts.digits)
    ]
    more = f" (the first {shown} of {len(counts.positions)})" if shown < len(counts.positions) else ""
    print_table(f"digits, and how often at each position{more}", columns, rows)


def _show_chart(chart: Chart) -> None:
    most = max((count for _, count in chart.rows), default=0)
    rows = [(label, count, bar_of(count, most, _BAR)) for label, count in chart.rows]
    print_table(chart.title, (chart.unit, "count", ""), rows)


def show_sample(strip: Strip, source: str, *, drawn: bool = True) -> None:
    """Print one sample: its strip, what is known of each digit, and the digits of the `source` that it is made of.

    Both pictures are left out where nothing is `drawn`. Of one that was read approximately, it has how sure each is.
    """
    if drawn:
        print_strip(strip.image, strip.caption + (f", {strip.name}" if strip.name else ""))
    glyphs = origins(strip, source)
    if strip.glyphs:
        writers = [] if glyphs is None or strip.confidences else bundled_writers()[list(strip.glyphs)].tolist()
        columns: list[tuple[str, Sequence[str]]] = [
            ("digit", strip.text or ""),
            *([("sure", list(map(chance, strip.confidences)))] if strip.confidences else []),
            ("nearest glyph" if strip.confidences else "glyph", list(map(str, strip.glyphs))),
            ("x", list(map(str, strip.x))),
            *([("gap", ["", *map(str, strip.gaps)])] if strip.gaps else []),
            ("ink at", [f"{box.x}, {box.y}" for box in strip.boxes]),
            ("ink", [f"{box.width}×{box.height}" for box in strip.boxes]),
            *([("writer", list(map(str, writers)))] if writers else []),
        ]
        rows = zip(*(values for _, values in columns), strict=True)
        print_table("its digits, from left to right", [name for name, _ in columns], rows)
    if glyphs is not None and drawn:
        print_strip(glyphs, f"the MNIST digits that {'are most like these' if strip.confidences else 'it is made of'}")


def show_score(score: Score, title: str = "predictions") -> None:
    """Print the score of predictions as tables."""
    facts = [
        ("scored", f"{score.scored:,} of {score.samples:,} samples"),
        ("exact", f"{score.exact:,}, {rate_text(score.exact, score.scored)}"),
        ("character errors", f"{score.errors:,} in {score.digits:,} digits, {rate_text(score.errors, score.digits)}"),
        ("", "in parentheses 95 % intervals (Wilson)"),
        ("substitutions", f"{score.substitutions:,}"),
        ("insertions", f"{score.insertions:,}"),
        ("deletions", f"{score.deletions:,}"),
    ]
    left_out = (("missing", score.missing), ("unknown rows", score.unknown), ("repeated rows", score.repeated))
    facts += [(name, f"{count:,}") for name, count in (*left_out, ("no label", score.unlabelled)) if count]
    print_table(title, ("", ""), facts)
    for title, unit, rows in score.charts(_BINS):
        most = max((rate for *_, rate in rows), default=0)
        listed = [
            (label, errors, total, rate_text(errors, total), bar_of(round(1e6 * rate), round(1e6 * most), _BAR // 2))
            for label, errors, total, rate in rows
        ]
        if len(listed) > 1:
            print_table(title, (unit, "errors", "of", "rate (95 % interval)", ""), listed)
    if score.errors:
        _show_confusion(score)
        _show_worst_glyphs(score)


def show_comparison_of_models(comparison: Comparison) -> None:
    """Print what each of two models alone read exactly as a table."""
    rows = [(one_line(name), count, listed(numbers[:10])) for name, count, numbers in comparison.rows]
    print_table("read exactly by", ("", "samples", "the first of them"), rows)
    page().print(f"McNemar's exact test: {one_line(comparison.verdict)}")


def _show_confusion(score: Score) -> None:
    columns, table = score.confusion_rows()
    rows = [(str(digit), *map(_short, row)) for digit, row in enumerate(table[:10]) if any(row)]
    rows.append(("extra", *map(_short, table[10][:-1]), ""))
    print_table("what each digit was read as", ("digit", *columns), rows, tight=True)


def _show_worst_glyphs(score: Score) -> None:
    rows = [
        (
            str(entry["glyph"]),
            str(entry["digit"]),
            entry["wrong"],
            entry["seen"],
            ", ".join(f"{read} ({times})" for read, times in list(entry["read_as"].items())[:3]),
            "MNIST's label is wrong" if entry["known_wrong_label"] else "",
        )
        for entry in score.glyphs[:15]
    ]
    if rows:
        columns = ("glyph", "digit", "wrong", "seen", "read as", "")
        print_table("the MNIST digits that are read wrongly most often", columns, rows)
    if score.known_wrong["seen"]:
        seen, wrong = score.known_wrong["seen"], score.known_wrong["wrong"]
        page().print(f"MNIST digits with a label that is known to be wrong: read wrongly {wrong:,} of {seen:,} times")


def _short(count: int) -> str:
    """Return a count in five characters; one above 9,999 in thousands or millions."""
    return f"{count:,}" if count < 10_000 else f"{count // 1000:,}k" if count < 10_000_000 else f"{count // 1000000:,}M"
