"""Owns the sections of the page that are about predictions: the score of a model, and the comparison of two."""

from __future__ import annotations

from mnist_seq_cli.inspection.figures import interval_text
from mnist_seq_cli.inspection.findings import Findings
from mnist_seq_cli.inspection.overlap import listed
from mnist_seq_cli.inspection.scores.comparison import Comparison
from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.inspection.views.html_parts import drawn_bars, glyph_images, section, text_of
from mnist_seq_cli.samples.samples import Samples

_BARS = 16


def render(findings: Findings) -> str:
    """Return the sections on the predictions of findings; nothing where there are none."""
    if findings.score is None:
        return ""
    comparison, samples = findings.comparison, findings.samples
    if comparison is None:
        return _score(findings.score, samples, "score", "What was read")
    first, second = comparison.names
    return (
        _compared(comparison)
        + _score(findings.score, samples, "score", f"What {first} has read")
        + _score(comparison.second, samples, "second", f"What {second} has read")
    )


def _compared(comparison: Comparison) -> str:
    cells = "".join(
        f'<tr><th scope="row">{text_of(name)}</th><td>{count:,}</td><td>{text_of(listed(numbers[:20]))}</td></tr>'
        for name, count, numbers in comparison.rows
    )
    return section(
        "compared",
        f"Two models on the same {comparison.samples:,} samples",
        '<div class="wide" tabindex="0" role="group" aria-label="read exactly by"><table><thead><tr>'
        '<th scope="col">read exactly by</th><th scope="col">samples</th><th scope="col">the first of them</th>'
        f"</tr></thead><tbody>{cells}</tbody></table></div><p>McNemar’s exact test: {text_of(comparison.verdict)}.</p>",
    )


def _score(score: Score, samples: Samples, name: str, title: str) -> str:
    tiles = [
        ("read exactly", *_rate(score.exact, score.scored, "samples")),
        ("character errors", *_rate(score.errors, score.digits, "digits")),
        ("read as another", f"{score.substitutions:,}", "digits"),
        ("not read", f"{score.deletions:,}", "digits"),
        ("read in excess", f"{score.insertions:,}", "digits"),
    ]
    left_out = (("without a prediction", score.missing), ("without a label", score.unlabelled))
    tiles += [(name, f"{count:,}", "samples") for name, count in left_out if count]
    unknown = (("about no sample", score.unknown), ("about a sample again", score.repeated))
    tiles += [(name, f"{count:,}", "rows") for name, count in unknown if count]
    content = "".join(
        f'<div class="tile">{text_of(name)}<b>{text_of(value)}</b><span class="soft">{text_of(of)}</span></div>'
        for name, value, of in tiles
    )
    plots = [
        drawn_bars(
            title,
            unit,
            [
                (label, f"{rate:.1%} of {total:,}", rate, f", 95 % interval {interval_text(wrong, total)}")
                for label, wrong, total, rate in rows
            ],
        )
        for title, unit, rows in score.charts(_BARS)
        if len(rows) > 1
    ]
    content = f'<div class="tiles">{content}</div><div class="plots">{"".join(plots)}{_confusion(score)}</div>'
    return section(name, title, content + _worst_glyphs(score, samples))


def _rate(count: int, total: int, unit: str) -> tuple[str, str]:
    """Return a rate, and below it its counts and its interval."""
    below = f"{count:,} of {total:,} {unit}"
    return (f"{count / total:.2%}", f"{below}; 95 % interval {interval_text(count, total)}") if total else ("–", below)


def _confusion(score: Score) -> str:
    columns, table = score.confusion_rows()
    inner = max((count for a, row in enumerate(score.confusion) for b, count in enumerate(row) if a != b), default=0)
    outer = max(*score.deleted, *score.inserted, *score.other, score.inserted_other)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", *columns))
    rows = []
    for a, row in enumerate(table):
        cells = [
            f'<td class="hit">{count:,}</td>'
            if a == b < 10
            else f'<td class="miss" style="--w:{count / ((inner if max(a, b) < 10 else outer) or 1):.3f}">'
            f"{count or '·'}</td>"
            for b, count in enumerate(row if a < 10 else row[:-1])
        ]
        rows.append(f'<tr><th scope="row">{a if a < 10 else "extra"}</th>{"".join(cells)}</tr>')
    return (
        '<figure class="plot whole" style="margin:0"><h3>what each digit (row) was read as (column)</h3>'
        '<div class="wide" tabindex="0" role="group" aria-label="confusion table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></figure>"
    )


def _worst_glyphs(score: Score, samples: Samples) -> str:
    if not score.glyphs:
        return ""
    images = glyph_images([entry["glyph"] for entry in score.glyphs], samples.source)
    items = []
    for entry, image in zip(score.glyphs, images, strict=True):
        read = ", ".join(f"{text_of(text)} ({times})" for text, times in list(entry["read_as"].items())[:4])
        mark = '<br><b class="bad">MNIST’s label is known to be wrong</b>' if entry["known_wrong_label"] else ""
        items.append(
            f'<li class="tile">{image}<span><b>a {entry["digit"]}</b>, glyph {entry["glyph"]}<br>'
            f"wrong {entry['wrong']} of {entry['seen']} times<br>read as {read}{mark}</span></li>"
        )
    known = score.known_wrong
    note = (
        f"<p>MNIST digits whose label is known to be wrong were read wrongly {known['wrong']:,} of {known['seen']:,} "
        "times.</p>"
        if known["seen"]
        else ""
    )
    return f'<h3 style="margin-top:1.25rem">The MNIST digits that are read wrongly most often</h3>{note}' + (
        f'<ul class="glyphs">{"".join(items)}</ul>'
    )
