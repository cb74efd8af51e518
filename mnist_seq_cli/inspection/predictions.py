"""Owns the predictions of a model in a file: CSV, JSON lines, or one a line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mnist_seq_cli import inputs
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.recipe.options.notation import parse_sequence

KEYS = (
    *("file_name", "filename", "file", "name", "path", "image", "index", "id", "number", "sample", "key", "__key__"),
    *("file_path", "filepath", "image_path", "image_name", "image_file", "image_id", "img", "img_path", "sample_id"),
)
VALUES = ("prediction", "predicted", "pred", "output", "reading", "digits", "text", "label", "sequence")

MAX_LINE = 1 << 20
"""Characters of a line that is read."""

_INDEX = ("", "unnamed: 0")
"""What pandas calls its index where that has no name, when it writes and when it reads."""

_NO_ROW = -1
_PLAIN = re.compile(r"[0-9](?:-[0-9])*|[0-9]{1,1000}", re.ASCII)


class Row(NamedTuple):
    """One prediction: its line in the file, the name or number of its sample, if it names one, and the digits."""

    line: int
    name: str | None
    text: str


def read_file(path: Path) -> Iterator[Row]:
    """Yield the predictions in a file. Raises RequestError where there is none, FormatError, OSError."""
    with inputs.open_once(path) as file:
        yield from read_stream(file, one_line(str(path), 200))


def read_stream(file: BinaryIO, name: str) -> Iterator[Row]:
    """Yield the predictions in what comes from a file, of which no more than a line is held. Raises FormatError."""
    text = io.TextIOWrapper(file, encoding="utf-8")
    try:
        yield from read(_lines(text, name), name)
    except UnicodeDecodeError:
        raise FormatError(f"{name} is not text", hint="give CSV, JSON lines, or one prediction a line") from None
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    for number, line in enumerate(iter(partial(text.readline, MAX_LINE + 1), ""), 1):
        if len(line) > MAX_LINE:
            problem = f"{name}, line {number} has more than {MAX_LINE} characters, too many for a prediction"
            raise FormatError(problem, hint="give CSV, JSON lines, or one prediction a line")
        yield line


def read(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield the predictions in a text: CSV (or with tabs), JSON lines, or one a line for the samples in their order.

    The first line that is not empty decides which of these it is. Raises FormatError for any other text.
    """
    rows = iter(lines)
    before: list[str] = []
    for line in rows:
        before.append(line.removeprefix("\ufeff") if not before else line)
        if before[-1].strip():
            break
    first, every = (before[-1].strip(" \r\n") if before and before[-1].strip() else ""), chain(before, rows)
    if first[:1] in ("{", "[") and _parsed(first) is not None:
        yield from _read_json(every, name)
    elif ("," in first or "\t" in first) and _parsed(first) is None:
        yield from _read_table(every, name, "\t" if "\t" in first else ",")
    else:
        yield from _read_lines(every, name)


def _read_lines(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield one prediction a line: a blank line is an empty one, unless none but blank lines follow."""
    blank_from = 1
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        yield from (Row(blank, None, "") for blank in range(blank_from, number))
        blank_from, text = number + 1, _unquoted(line)
        if number > 1 or text.lower() not in VALUES:
            yield Row(number, None, _digits(text, name, number))


def _unquoted(line: str) -> str:
    """Return a line without blanks and without a pair of quotes around it, as CSV of one column may have them."""
    stripped = line.strip()
    return stripped[1:-1].strip() if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped


def _digits(text: str, name: str, line: int) -> str:
    """Return a sequence without its dashes; nothing where nothing was read. Raises FormatError."""
    stripped = text.strip(" \t\r\n")
    if len(stripped) < 2 * MAX_LENGTH and _PLAIN.fullmatch(stripped):  # which is quicker than what takes all spellings
        return stripped.replace("-", "")
    try:
        return "".join(map(str, parse_sequence(stripped))) if stripped else ""
    except RequestError:
        shown = stripped[:40]
        raise FormatError(
            f"{name}, line {line}: {shown!r} is not a sequence of digits",
            hint="write it 1-2-3 or 123, or leave it empty",
        ) from None


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _read_json(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        value, key = _parsed(line), None
        if isinstance(value, dict):
            named = {str(field).lower(): value[field] for field in value}
            key = next((named[field] for field in KEYS if field in named), None)
            value = next((named[field] for field in VALUES if field in named), None)
            if key is None and value is not None and next(iter(named)) not in (*KEYS, *VALUES):
                raise _nameless(f"{name}, line {number}", next(iter(named)))
        elif isinstance(value, list) and len(value) == 2 and not isinstance(value[1], int):
            key, value = value
        if isinstance(value, list) and all(type(digit) is int and 0 <= digit <= 9 for digit in value):
            value = "".join(map(str, value))
        if type(value) in (int, float):
            raise FormatError(f"{name}, line {number}: the prediction is a number", hint="as text it keeps its zeros")
        if not isinstance(value, str) or isinstance(key, bool) or not isinstance(key, str | int | None):
            raise FormatError(
                f"{name}, line {number} is not a prediction", hint='write {"file_name": "…", "prediction": "1-2-3"}'
            )
        yield Row(number, None if key is None else str(key), _digits(value, name, number))


def _read_table(lines: Iterable[str], name: str, separator: str) -> Iterator[Row]:
    table = csv.reader(lines, delimiter=separator)
    key_at, value_at, width, started = 0, 1, 2, False
    try:
        for cells in table:
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            lowered = [cell.strip().lower() for cell in cells]
            if not started and any(cell in (*KEYS, *VALUES) for cell in lowered):
                key_at, value_at, width, started = *_columns(lowered, name), len(cells), True
                continue
            started = True
            if len(cells) != width:
                raise FormatError(f"{name}, line {table.line_num} has {len(cells)} columns and not {width}")
            key = None if key_at == _NO_ROW else cells[key_at]
            yield Row(table.line_num, key, _digits(cells[value_at], name, table.line_num))
    except csv.Error as error:
        raise FormatError(f"{name} is damaged in line {table.line_num} ({error})") from None


def _columns(header: list[str], name: str) -> tuple[int, int]:
    """Return the column of names, or _NO_ROW where there is none, and that of predictions. Raises FormatError."""
    values = [header.index(field) for field in VALUES if field in header]
    keys = [header.index(field) for field in (*KEYS, *_INDEX) if field in header]
    if not values:
        raise FormatError(f"{name} has no column of predictions", hint=f"call it {VALUES[0]}")
    if not keys and values[0] > 0:  # a column before them hardly means nothing
        raise _nameless(name, header[0])
    return (keys[0] if keys else _NO_ROW), values[0]


def _nameless(name: str, first: str) -> FormatError:
    return FormatError(
        f"{name} names no sample by {KEYS[0]} or index, but has {first[:40]!r} before the prediction",
        hint="call it one of these, or leave it out where all samples have a prediction in their order",
    )
