"""Owns predictions of a model in a text: CSV, JSON, JSON lines, or one a line; and what counts as one."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH

KEYS = (
    *("file_name", "filename", "file", "name", "path", "image", "index", "id", "number", "sample", "key", "__key__"),
    *("file_path", "filepath", "image_path", "image_name", "image_file", "image_id", "img", "img_path", "sample_id"),
    *("input_path", "fname"),
)
VALUES = (
    *("prediction", "predicted", "pred", "predictions", "generated_text", "rec_text", "predicted_text", "pred_text"),
    *("predicted_label", "predicted_labels", "hypothesis", "ocr", "ocr_text", "transcription", "output", "reading"),
    *("digits", "text", "label", "sequence"),
)

MAX_DOCUMENT, MAX_VALUES = 256 << 20, 4_000_000
"""Characters and values of a JSON document, at most: all of it is held."""

_INDEX = ("", "unnamed:_0", "__index_level_0__")
"""What pandas calls its index where that has no name, when it writes CSV and reads it, and in parquet."""

_PLAIN = re.compile(r"[0-9](?:-[0-9])*|[0-9]{1,1000}", re.ASCII)
_FLOAT = re.compile(r"([0-9]{1,17})\.0", re.ASCII)
_TOKEN = re.compile(r"<[^<>\s]{1,20}>|\[[A-Za-z]{1,20}\]")
_SEPARATOR = re.compile(r"(?<=[^-, ])(?:[- ]|, ?)(?=[^-, ])")
_SCORE = re.compile(r"-?[0-9]+(?:[.,][0-9]+(?:[eE]-?[0-9]+)?|[eE]-[0-9]+)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Row(NamedTuple):
    """One prediction: its line in the file, the name or number of its sample, if it names one, and the symbols read.

    These are digits, and whatever else was read, a character each. `is_float` says that it was written as in 5018.0.
    """

    line: int
    name: str | None
    text: str
    is_float: bool = False


def read(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield the predictions in a text: JSON, JSON lines, CSV (or with tabs or semicolons), or one a line, in order.

    The first line that is not empty decides which of these it is. Raises FormatError for any other text.
    """
    rows = iter(lines)
    before: list[str] = []
    for line in rows:
        before.append(line.removeprefix("\ufeff") if not before else line)
        if before[-1].strip():
            break
    first, every = (before[-1].strip(" \r\n") if before and before[-1].strip() else ""), chain(before, rows)
    separator = next((mark for mark in "\t;," if mark in first), "")
    if first[:1] in ("{", "[") and not _TOKEN.match(first):
        yield from _read_json(every, name)
    elif separator and _parsed(first) is None:
        yield from _read_table(every, name, separator)
    else:
        yield from _read_lines(every, name)


def row_of(line: int, key: Any, value: Any, name: str) -> Row:
    """Return a prediction from the name or number of its sample, or None, and its text, digits or number, or None.

    `line` of `name` is what messages say that it comes from. Raises FormatError for values that are none of these.
    """
    key, value = (part.tolist() if hasattr(part, "tolist") else part for part in (key, value))
    if isinstance(value, list | tuple) and all(type(digit) is int and 0 <= digit <= 9 for digit in value):
        value = "".join(map(str, value))
    if value is None or value != value:  # NaN is what a table of numbers has where nothing was read
        value = ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or isinstance(key, bool) or not isinstance(key, str | int | None):
        raise _no_prediction(name, line)
    return Row(line, None if key is None else str(key), *_symbols(value, name, line))


def _row_of_item(line: int, item: Any, name: str) -> Row:
    """Return a prediction from a value of JSON, or a record of a table, with or without the name of its sample.

    Raises FormatError for what is none.
    """
    if isinstance(item, list) and len(item) == 1 and isinstance(item[0], dict):  # as pipelines of transformers have it
        item = item[0]
    if isinstance(item, dict):
        named = {_column(field): item[field] for field in item}
        values = [field for field in VALUES if field in named]
        keys = [field for field in (*KEYS, *_INDEX) if field in named]
        if not values:
            raise _no_prediction(name, line)
        if not keys and next(iter(named)) not in VALUES:
            raise _nameless(f"{name}, line {line}", next(iter(named)))
        return row_of(line, named[keys[0]] if keys else None, named[values[0]], name)
    if isinstance(item, list) and len(item) in (2, 3) and not isinstance(item[1], int):
        if isinstance(item[1], float) and (item[0] == "" or _PLAIN.fullmatch(str(item[0])) or item[1] % 1):
            return row_of(line, None, item[0], name)  # a text and its score
        return row_of(line, item[0], item[1], name)
    return row_of(line, None, item, name)


def _no_prediction(name: str, line: int) -> FormatError:
    hint = 'write {"file_name": "…", "prediction": "1-2-3"}'
    return FormatError(f"{name}, line {line} is not a prediction", hint=hint)


def _read_lines(lines: Iterable[str], name: str) -> Iterator[Row]:
    """Yield one prediction a line: a blank line is an empty one, unless none but blank lines follow."""
    blank_from = 1
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        yield from (Row(blank, None, "") for blank in range(blank_from, number))
        blank_from, text = number + 1, _unquoted(line)
        if number > 1 or _column(text) not in VALUES:
            yield Row(number, None, *_symbols(text, name, number))


def _unquoted(line: str) -> str:
    """Return a line without blanks and without a pair of quotes around it, as CSV of one column may have them."""
    stripped = line.strip()
    return stripped[1:-1].strip() if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' else stripped


def _symbols(text: str, name: str, line: int) -> tuple[str, bool]:
    """Return the symbols of a sequence, and whether it was written as a number with a point. Raises FormatError.

    They are digits, and a character for each other thing that was read, such as a letter or `<unk>`.
    """
    stripped = text.strip(" \t\r\n")
    if len(stripped) < 2 * MAX_LENGTH and _PLAIN.fullmatch(stripped):  # which is quicker than what takes all spellings
        return stripped.replace("-", ""), False
    if number := _FLOAT.fullmatch(stripped):
        return number[1], True
    if len(stripped) <= 3 * MAX_LENGTH and not _CONTROL.search(stripped):
        symbols = _SEPARATOR.sub("", _TOKEN.sub("?", stripped))
        if len(symbols) <= MAX_LENGTH:
            return "".join(symbol if symbol.isprintable() else "?" for symbol in symbols), False
    raise FormatError(
        f"{name}, line {line}: {stripped[:40]!r} is not a sequence of digits",
        hint=f"write it 1-2-3 or 123, {MAX_LENGTH} at most, or leave it empty",
    )


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _read_json(lines: Iterator[str], name: str) -> Iterator[Row]:
    """Yield the predictions in JSON lines, or in one JSON document, whose entries count as lines."""
    written = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    start = list(islice(written, 2))
    if len(start) > 1 and _parsed(start[0][1]) is not None:
        for number, line in chain(start, written):
            if (item := _parsed(line)) is None:
                raise _no_prediction(name, number)
            yield _row_of_item(number, item, name)
        return
    size, parts = 0, []
    for _, line in chain(start, written):
        parts.append(line)
        if (size := size + len(line)) > MAX_DOCUMENT:
            most = f"{MAX_DOCUMENT >> 20} million characters"
            raise FormatError(f"{name} is too large for one JSON document of {most}", hint="write JSON lines")
    if sum(part.count(mark) for part in parts for mark in ",:[{") > MAX_VALUES:
        raise FormatError(
            f"{name} is too large for one JSON document of {MAX_VALUES:,} values", hint="write JSON lines"
        )
    if (document := _parsed("\n".join(parts))) is not None:
        for number, item in enumerate(_items_of(document), 1):
            yield _row_of_item(number, item, name)
    else:
        raise FormatError(f"{name} is not sound JSON", hint="is it whole?")


def _items_of(document: Any) -> Iterable[Any]:
    """Return the entries of a JSON document: an array, or a map of names, of columns, or with one array in it."""
    if isinstance(document, list):
        is_pair = len(document) == 2 and all(isinstance(part, str) for part in document)
        is_digits = all(type(part) is int and 0 <= part <= 9 for part in document)
        return [document] if is_digits or (is_pair and not _PLAIN.fullmatch(document[0])) else document
    named = {_column(field): document[field] for field in document}
    values = next((named[field] for field in VALUES if field in named), None)
    keys = next((named[field] for field in KEYS if field in named), None)
    if isinstance(values, dict):  # columns by index, as pandas writes them
        names = keys if isinstance(keys, dict) else dict(zip(values, values, strict=True))
        return [[names.get(index), value] for index, value in values.items()]
    if isinstance(values, list) and isinstance(keys, list) and len(keys) == len(values):
        return [[key, value] for key, value in zip(keys, values, strict=True)]
    if isinstance(values, list) and keys is None:
        return _items_of(values)
    if values is not None:
        return [document]
    arrays = [value for value in document.values() if isinstance(value, list)]
    if len(arrays) == 1 and arrays[0] and all(isinstance(entry, dict | list) for entry in arrays[0]):
        return list(arrays[0])
    rows = ((key, value if isinstance(value, dict) else {VALUES[0]: value}) for key, value in document.items())
    return [{**row, KEYS[0]: key} for key, row in rows]


def _column(name: Any) -> str:
    """Return the name of a column as the tables above have it."""
    return str(name).strip().lower().replace(" ", "_")


def _read_table(lines: Iterable[str], name: str, separator: str) -> Iterator[Row]:
    table = csv.reader(lines, delimiter=separator)
    key_at: int | None = 0
    value_at, width, started = 1, 2, False
    try:
        for cells in table:
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            if not started:
                started = True
                if any(_column(cell) in (*KEYS, *VALUES) for cell in cells):
                    (key_at, value_at), width = columns(cells, name), len(cells)
                    continue
                width += len(cells) == 3 and _SCORE.fullmatch(cells[2].strip()) is not None
            if len(cells) != width:
                raise FormatError(f"{name}, line {table.line_num} has {len(cells)} columns and not {width}")
            key = None if key_at is None else cells[key_at]
            yield Row(table.line_num, key, *_symbols(cells[value_at], name, table.line_num))
    except csv.Error as error:
        raise FormatError(f"{name} is damaged in line {table.line_num} ({error})") from None


def columns(names: Iterable[str], name: str) -> tuple[int | None, int]:
    """Return the column of names, or None where there is none, and that of predictions. Raises FormatError."""
    header = list(map(_column, names))
    values = [header.index(field) for field in VALUES if field in header]
    keys = [header.index(field) for field in (*KEYS, *_INDEX) if field in header]
    if not values:
        raise FormatError(f"{name} has no column of predictions", hint=f"call it {VALUES[0]}")
    if not keys and values[0] > 0:  # a column before them hardly means nothing
        raise _nameless(name, header[0])
    return (keys[0] if keys else None), values[0]


def _nameless(name: str, first: str) -> FormatError:
    return FormatError(
        f"{name} names no sample by {KEYS[0]} or index, but has {first[:40]!r} before the prediction",
        hint="call it one of these, or leave it out where all samples have a prediction in their order",
    )
