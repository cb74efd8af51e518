"""Owns labels.csv and metadata.jsonl of any folder, ours or other people's."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.annotations import MAX_ROW
from mnist_seq_cli.formats.png_folder import LABELS_NAME, METADATA_NAME
from mnist_seq_cli.recipe.options.notation import parse_sequence
from mnist_seq_cli.samples.strip import NO_GAP, Box
from mnist_seq_cli.storage import local


class Row(NamedTuple):
    """What is known of a sample of a folder or a shard."""

    text: str
    glyphs: tuple[int, ...] = ()
    x: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    gaps: tuple[int, ...] | None = None


def read_labels(directory: Path, names: set[str], folder: str) -> dict[str, Row]:
    """Return what metadata.jsonl or labels.csv say of the files with these names. Raises FormatError, OSError."""
    rows: dict[str, Row] = {}
    if (directory / METADATA_NAME).exists():
        with local.open_regular(directory / METADATA_NAME) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ROW), b""), 1):
                if line.strip():
                    name, row = row_of(line, f"{METADATA_NAME}, line {number}")
                    if name.startswith(folder) and name.removeprefix(folder) in names:
                        rows[name.removeprefix(folder)] = row
    elif (directory / LABELS_NAME).exists():
        with local.open_regular(directory / LABELS_NAME) as file:
            lines = (line.decode("utf-8-sig", "replace") for line in iter(lambda: file.readline(MAX_ROW), b""))
            table = csv.reader(lines)
            try:
                header = next(table, [])
                if not {"file_name", "label"} <= set(header):
                    raise FormatError(f"{directory / LABELS_NAME} has no columns file_name and label")
                at_name, at_label = header.index("file_name"), header.index("label")
                for cells in table:
                    if len(cells) != len(header):
                        if not cells:
                            continue
                        raise FormatError(f"{LABELS_NAME} has {len(cells)} columns in line {table.line_num}")
                    name = cells[at_name].removeprefix(folder)
                    if name in names and cells[at_name].startswith(folder):
                        rows[name] = Row(text_of(cells[at_label], f"{LABELS_NAME}, line {table.line_num}"))
            except csv.Error as error:
                raise FormatError(f"{LABELS_NAME} is damaged in line {table.line_num} ({error})") from None
    return rows


def text_of(label: str, where: str) -> str:
    """Return the sequence in a label, `0042`. Raises FormatError."""
    try:
        return "".join(map(str, parse_sequence(label)))
    except RequestError as error:
        raise FormatError(f"{where}: {error.args[0]}") from None


def row_of(line: bytes, where: str) -> tuple[str, Row]:
    """Return the file name and what a row of JSON says of it. Raises FormatError."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise FormatError(f"{where} is not a row of JSON with a text")
    text = text_of(values["text"], where)
    glyphs, x = values.get("glyphs"), values.get("x")
    if not all(
        isinstance(listed, list)
        and len(listed) == len(text)
        and all(type(value) is int and lowest <= value < 2**31 for value in listed)
        for listed, lowest in ((glyphs, 0), (x, -(2**31)))
    ):
        if glyphs is not None or x is not None:
            raise FormatError(f"{where} has glyphs and x that do not fit its text")
        glyphs, x = (), ()
    name, gaps = values.get("file_name", ""), values.get("gaps")
    boxes = values.get("boxes") if x else ()
    if not (isinstance(boxes, list) and len(boxes) == len(text) and all(map(_is_box, boxes))):
        boxes = ()
    if not (isinstance(gaps, list) and len(gaps) == len(text) - 1 and all(map(_is_gap, gaps))):
        gaps = None
    drawn = None if gaps is None else tuple(gaps)
    row = Row(text, tuple(glyphs or ()), tuple(x or ()), tuple(Box(*box) for box in boxes), drawn)
    return (name if isinstance(name, str) else ""), row


def _is_gap(value: object) -> bool:
    return type(value) is int and NO_GAP < value < 2**31


def _is_box(values: object) -> bool:
    return isinstance(values, list) and len(values) == 4 and all(type(v) is int and 0 <= v < 2**31 for v in values)
