"""Owns the HTML report: one file that needs no network, with a summary, plots, scores, and strips to search through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files as resources
from itertools import chain
from string import Template
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import __version__
from mnist_seq_cli.codecs import png
from mnist_seq_cli.inspection.figures import Chart, chance, first_of
from mnist_seq_cli.inspection.findings import Findings
from mnist_seq_cli.inspection.reports import KINDS, DatasetReport, Report
from mnist_seq_cli.inspection.views import score_section
from mnist_seq_cli.inspection.views.html_parts import data_url, drawn_bars, glyph_images, section, text_of
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import Strip

GALLERY = 300
"""Strips in the gallery, at most; worst readings come in addition, as many again."""

_GALLERY_BYTES = 3_000_000
_STRIP_BYTES = 200_000
_RECIPE_CHARACTERS = 100_000
_BARS = 16
_POSITIONS = 40


def render(findings: Findings) -> bytes:
    """Return the page. Its size does not grow with what it is about: strips are a selection where there are many.

    Raises FormatError, OSError where strips cannot be read.
    """
    report, samples, score = findings.report, findings.samples, findings.score
    kind = KINDS[report.kind]
    entries = {entry["sample"]: entry for entry in score.worst[:GALLERY]} if score else {}
    shown = _shown(samples, entries)
    widths = sorted(strip.width for strip in shown)
    width = widths[len(widths) * 9 // 10] if widths else 28
    problems = first_of(findings.problems)
    values = {
        "version": text_of(__version__),
        "title": text_of(report.title),
        "kind": kind[:1].upper() + kind[1:],
        "problems": "".join(f'<p class="bad" role="alert">{text_of(problem)}</p>' for problem in problems),
        "summary": _facts(report.facts()),
        "score": score_section.render(findings),
        "plots": _plots(report),
        "again": _again(report),
        "gallery": _gallery(samples, shown, entries, scored=score is not None),
        "digits": _digits(samples) if report.kind == "strip" else "",
        "card": f"{max(8, min(34, round(width * 1.5 / 16) + 2))}rem",
        "widest": f"{max(widths, default=28) * 3}px",
    }
    template = resources(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(values).encode("utf-8", "replace")


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{text_of(name)}</dt><dd>{text_of(value)}</dd>" for name, value in facts)
    return f"<dl>{rows}</dl>"


# Plots


def _plots(report: Report) -> str:
    figures = [_bars(chart) for chart in report.charts(_BARS)]
    if report.counted and any(report.counted.digits):
        digits = list(zip(map(str, range(10)), report.counted.digits, strict=True))
        figures = [_bars(Chart("digits", "digit", digits)), _positions(report.counted.positions), *figures]
    return section("plots", "In numbers", f'<div class="plots">{"".join(figures)}</div>') if figures else ""


def _bars(chart: Chart) -> str:
    return drawn_bars(chart.title, chart.unit, [(label, f"{count:,}", count, "") for label, count in chart.rows])


def _positions(positions: Sequence[Sequence[int]]) -> str:
    """Return digits by position as a field of shades."""
    shown = positions[:_POSITIONS]
    most = max((count for column in shown for count in column), default=0) or 1
    wide, cells = 42 if len(shown) <= 8 else 26, []
    for position, column in enumerate(shown):
        x, total = 20 + wide * position, sum(column) or 1
        cells.append(f'<text x="{x + wide / 2}" y="12" text-anchor="middle">{position + 1}</text>')
        for digit, count in enumerate(column):
            y, share = 18 + 20 * digit, f"{count / total:.1%}"
            cells.append(
                f"<g><title>digit {digit} at position {position + 1}: {count:,} ({share})</title>"
                f'<rect class="cell" x="{x + 1}" y="{y + 1}" width="{wide - 2}" height="18" rx="2" '
                f'fill-opacity="{0.04 + 0.5 * count / most:.3f}"/>'
                + (f'<text x="{x + wide / 2}" y="{y + 14}" text-anchor="middle">{share}</text>' if wide > 30 else "")
                + "</g>"
            )
    cells += [f'<text x="4" y="{32 + 20 * digit}">{digit}</text>' for digit in range(10)]
    width = 22 + wide * len(shown)
    note = f" (the first {len(shown)} of {len(positions)})" if len(shown) < len(positions) else ""
    title = f"digits by position{note}"
    svg = (
        f'<svg viewBox="0 0 {width} 222" width="{width}" height="222" role="img" aria-label="{title}">'
        f"{''.join(cells)}</svg>"
    )
    inside = f'<div class="wide" tabindex="0" role="group" aria-label="{title}">{svg}</div>'
    return f'<figure class="plot" style="margin:0"><h3>{title}</h3>{inside}</figure>'


def _digits(samples: Samples) -> str:
    """Return the digits of a single strip, each beside the glyph that it is, or is most like."""
    (strip,) = samples.chosen([0])
    if not strip.glyphs:
        return ""
    how = [f", {chance(sure)} sure" for sure in strip.confidences] or [""] * len(strip.glyphs)
    what = "nearest glyph" if strip.confidences else "glyph"
    parts = zip(
        strip.text or "", how, strip.glyphs, strip.boxes, glyph_images(strip.glyphs, samples.source), strict=True
    )
    items = [
        f'<li class="tile">{image}<span><b>a {digit}</b>{sure}<br>{what} {glyph}<br>'
        f"ink at {box.x}, {box.y}: {box.width}×{box.height} px</span></li>"
        for digit, sure, glyph, box, image in parts
    ]
    return section("digits", "Its digits, from left to right", f'<ul class="glyphs">{"".join(items)}</ul>')


# The way to make it again


def _again(report: Report) -> str:
    if not isinstance(report, DatasetReport):
        return ""
    recipe = json.dumps(report.spec.recipe.to_json(), indent=2)
    if len(recipe) > _RECIPE_CHARACTERS:
        recipe = recipe[:_RECIPE_CHARACTERS] + "\n… the rest is in recipe.json"
    command = " ".join(f"<span>{text_of(word)}</span>" for word in report.command.split(" "))
    return section(
        "again",
        "To make it again",
        f'<p>The same samples come from this command:</p><pre class="command" tabindex="0">{command}</pre>'
        f'<details><summary>The recipe</summary><pre tabindex="0">{escape(recipe)}</pre></details>',
    )


# Strips


class _Shown(NamedTuple):
    """A strip in the gallery: its number, digits and width, and its HTML."""

    number: int
    digits: int
    width: int
    card: str


def _shown(samples: Samples, entries: dict[int, dict[str, Any]]) -> list[_Shown]:
    """Return strips for the gallery, as many as there is room for: worst readings first."""

    def described(strip: Strip) -> _Shown:
        card = _card(strip, entries.get(strip.number))
        return _Shown(strip.number, len(strip.text or ""), strip.image.shape[1], card)

    worst = {strip.number: described(strip) for strip in samples.drawable(sorted(entries))}
    others = (described(strip) for strip in samples.picked(GALLERY) if strip and strip.number not in entries)
    shown: list[_Shown] = []
    room = _GALLERY_BYTES
    for strip in chain((worst[number] for number in entries if number in worst), others):
        room -= len(strip.card)
        if room < 0:
            break
        shown.append(strip)
    return shown


def _card(strip: Strip, entry: dict[str, Any] | None) -> str:
    height, width = strip.image.shape
    rectangles = []
    for position, box in enumerate(strip.boxes):
        digit = (strip.text or "")[position : position + 1]
        rectangles.append(
            f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}">'
            f"<title>{text_of(digit)}: glyph {strip.glyphs[position]}</title></rect>"
        )
    name = f" <span class=soft>{text_of(strip.name, 80)}</span>" if strip.name else ""
    what = "nearest glyphs" if strip.confidences else "glyphs" if len(strip.glyphs) > 1 else "glyph"
    more = f'<p class="more">{what} {", ".join(map(str, strip.glyphs[:40]))}</p>' if strip.glyphs else ""
    data, read = f'data-text="{text_of(strip.text or "")}"', ""
    if entry is not None:
        data += " data-wrong"
        read = f'<p class="bad">read as {text_of("-".join(entry["prediction"]) or "nothing")}</p>'
    label = text_of(strip.label, 200)
    return (
        f'<li class="card" tabindex="0" {data}><svg class="strip" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><image width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="{_picture(strip.image)}"/><g class="boxes">{"".join(rectangles)}</g></svg>'
        f'<p class="label"><b>{label}</b><span class="soft">{strip.number}</span></p>{name}{read}{more}</li>\n'
    )


def _picture(image: NDArray[np.uint8]) -> str:
    """Return an image as a URL; one that is too large is made smaller, by its darkest pixels."""
    content = png.encode(image[None], "small")[0]
    step = 2
    while len(content) > _STRIP_BYTES and min(image.shape) > step:
        height, width = (size // step * step for size in image.shape)
        squares = image[:height, :width].reshape(height // step, step, width // step, step)
        content = png.encode(squares.min(axis=(1, 3))[None], "small")[0]
        step *= 2
    return data_url(content)


def _gallery(samples: Samples, shown: list[_Shown], entries: dict[int, dict[str, Any]], *, scored: bool) -> str:
    if not shown:
        return ""
    cards = f'<ul class="gallery" id="strips">\n{"".join(strip.card for strip in shown)}</ul>'
    if samples.kind == "strip":
        return section("gallery", "The strip", f"<p>Point at it to see the boxes of its digits.</p>{cards}")
    worst = sum(strip.number in entries for strip in shown)
    others = len(shown) - worst
    if len(shown) == len(samples):
        note = "All of them."
    elif worst:
        note = f"The {worst:,} worst readings, and {others:,} of the other {len(samples) - worst:,} from all over."
    else:
        note = f"{others:,} of {len(samples):,}, from all over."
    lengths = sorted({strip.digits for strip in shown if strip.digits})
    options = "".join(f'<option value="{length}">{length} digits</option>' for length in lengths)
    tick = '<label class="tick"><input type="checkbox" id="wrong"> only what was read wrongly</label>' if scored else ""
    return section(
        "gallery",
        "Strips",
        f"<p>{note} Point at one, or go to it with the keyboard (Tab, then arrows), to see the boxes of its digits.</p>"
        '<div class="controls"><label>Find a sequence <input type="search" id="search" inputmode="numeric" '
        'placeholder="1-2-3" autocomplete="off"></label><label>Digits <select id="length"><option value="">all</option>'
        f'{options}</select></label>{tick}<span id="count" role="status">{len(shown)} strips</span></div>\n' + cards,
    )
