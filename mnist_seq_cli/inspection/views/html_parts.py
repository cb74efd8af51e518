"""Owns the parts that sections of the page are made of: safe text, sections, bars, and pictures of glyphs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

import numpy as np

from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import one_line
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES


def text_of(value: object, limit: int = 4000) -> str:
    """Return a value as text that means nothing to a browser."""
    return escape(one_line(str(value), limit), quote=True)


def section(name: str, title: str, content: str) -> str:
    """Return a section of the page; `name` is its id."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{text_of(title)}</h2>\n{content}</section>\n'


def drawn_bars(title: str, name: str, rows: Sequence[tuple[str, str, float, str]]) -> str:
    """Return a plot of rows: a label, the words at the end of the bar, how long it is, and more when pointed at."""
    most = max((value for _, _, value, _ in rows), default=0) or 1
    left = 14 + 7 * max(len(name), *(len(label) for label, *_ in rows))
    right = 12 + 7 * max(len(words) for _, words, *_ in rows)
    room, lines = max(60, 340 - left - right), []
    for row, (label, words, value, more) in enumerate(rows):
        y, width = 20 + 18 * row, room * value / most
        lines.append(
            f"<g><title>{text_of(label)} {text_of(name)}: {text_of(words + more)}</title>"
            f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{text_of(label)}</text>'
            f'<rect class="bar" x="{left}" y="{y + 2}" width="{width:.1f}" height="13" rx="2"/>'
            f'<text x="{left + width + 5:.1f}" y="{y + 12}">{text_of(words)}</text></g>'
        )
    head = f'<text x="{left - 6}" y="12" text-anchor="end" class="soft">{text_of(name)}</text>'
    box = f"0 0 {left + room + right} {24 + 18 * len(rows)}"
    svg = f'<svg viewBox="{box}" role="img" aria-label="{text_of(title)}">{head}{"".join(lines)}</svg>'
    return f'<figure class="plot" style="margin:0"><h3>{text_of(title)}</h3>{svg}</figure>'


def glyph_images(ids: Sequence[int], source: str) -> list[str]:
    """Return pictures of glyphs of MNIST; nothing for each where they are not of it."""
    if source not in BUNDLED_SOURCES or max(ids) >= 70_000:
        return [""] * len(ids)
    pictures = png.encode(255 - bank.load(Source("all")).images(np.array(ids)), "small")
    return [f'<img class="glyph" alt="" src="{data_url(picture)}">' for picture in pictures]


def data_url(content: bytes) -> str:
    """Return the bytes of a PNG file as a URL."""
    return f"data:image/png;base64,{b64encode(content).decode()}"
