"""Owns the contact sheet: strips in a grid on one picture, each with its label under it and its ink boxes on it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.inspection.findings import Findings
from mnist_seq_cli.samples.strip import Strip

MAX_PIXELS = 24_000_000
_SCALE, _LETTER, _MARGIN = 2, 2, 8
_BACKGROUND, _LINE = (255, 255, 255), (222, 222, 222)
_BOX, _BLACK, _WRONG = (214, 69, 65), (40, 40, 40), (200, 20, 20)

_ROWS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    "-": "00000 00000 00000 01110 00000 00000 00000",
    ":": "00000 00100 00000 00000 00000 00100 00000",
    ">": "00000 00100 00010 11111 00010 00100 00000",
    "?": "01110 10001 00001 00110 00100 00000 00100",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}
_FONT = {
    letter: np.array([[bit == "1" for bit in row] for row in rows.split()], dtype=bool)
    for letter, rows in _ROWS.items()
}
"""Letters of 5×7 px, drawn here: what a font library draws differs from version to version."""


class Cell(NamedTuple):
    """One strip of a sheet, the label under it, and whether it was read wrongly."""

    strip: Strip
    label: str
    wrong: bool = False


def cells_of(findings: Findings, count: int) -> Iterator[Cell]:
    """Yield the cells of a sheet with the strips that findings show; below wrong ones, their reading, too."""
    for strip, reading in findings.shown(count):
        if reading is None:
            yield Cell(strip, strip.caption)
        else:
            yield Cell(strip, f"{strip.caption} > {'-'.join(reading)}", wrong=True)


def draw(strips: Iterable[Cell], *, boxes: bool = False) -> NDArray[np.uint8]:
    """Return a sheet with these strips, about as wide as it is high: uint8 (height, width, 3).

    Raises RequestError where there are none, or more than a picture has room for.
    """
    cells: list[Cell] = []
    pixels = 0
    for cell in strips:
        cells.append(cell)
        pixels += cell.strip.image.size
        if pixels > MAX_PIXELS:  # before more of them are held
            raise RequestError(f"strips of {pixels:,} px and more are too much for a sheet", hint="show fewer")
    if not cells:
        raise RequestError("there are no strips for a sheet", hint="give `show=1` or more")
    height = max(cell.strip.image.shape[0] for cell in cells)
    width = max(cell.strip.image.shape[1] for cell in cells)
    for scale in (_SCALE, 1):
        label = 6 * _LETTER * max(len(cell.label) for cell in cells)
        cell_width = max(width * scale, label) + 2 * _MARGIN
        cell_height = height * scale + 7 * _LETTER + 2 * _MARGIN + 4
        columns = max(1, min(len(cells), round((len(cells) * cell_height * 4 / 3 / cell_width) ** 0.5)))
        rows = -(-len(cells) // columns)
        if rows * columns * cell_width * cell_height <= MAX_PIXELS:
            break
    else:
        raise RequestError(f"{len(cells)} strips of {width}×{height} px are too much for a sheet", hint="show fewer")
    sheet = np.empty((rows * cell_height, columns * cell_width, 3), dtype=np.uint8)
    sheet[:] = _BACKGROUND
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        part = sheet[row * cell_height : (row + 1) * cell_height, column * cell_width : (column + 1) * cell_width]
        _draw_cell(part, cell, scale, boxes)
    return sheet


def _draw_cell(part: NDArray[np.uint8], cell: Cell, scale: int, boxes: bool) -> None:
    image = cell.strip.image.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = image.shape
    part[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width] = image[:, :, None]
    _frame(part, _MARGIN - 1, _MARGIN - 1, width + 2, height + 2, _LINE)
    if boxes:
        for box in cell.strip.boxes:
            if box.width:
                left, top = _MARGIN + box.x * scale, _MARGIN + box.y * scale
                _frame(part, left - 1, top - 1, box.width * scale + 2, box.height * scale + 2, _BOX)
    _write(part, _MARGIN, _MARGIN + height + 4, cell.label, _WRONG if cell.wrong else _BLACK)


def _frame(part: NDArray[np.uint8], x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
    part[y, x : x + width] = part[y + height - 1, x : x + width] = colour
    part[y : y + height, x] = part[y : y + height, x + width - 1] = colour


def _write(part: NDArray[np.uint8], x: int, y: int, text: str, colour: tuple[int, int, int]) -> None:
    for position, letter in enumerate(text):
        bits = _FONT.get(letter, _FONT["?"]).repeat(_LETTER, axis=0).repeat(_LETTER, axis=1)
        left = x + position * 6 * _LETTER
        part[y : y + bits.shape[0], left : left + bits.shape[1]][bits] = colour


def encode(sheet: NDArray[np.uint8]) -> bytes:
    """Return a sheet as the bytes of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "PNG", optimize=False)
    return content.getvalue()
