"""Owns labels in the files that people have: CSV, TSV and JSON lines become the plain text that `sequences` reads."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from mnist_seq_cli.errors import RequestError, one_line
from mnist_seq_cli.recipe.options.sequences import MAX_LINE

KEYS = ("label", "text", "words", "sequence")
"""The columns, or keys of JSON, that labels are looked for in, in this order."""

_SEPARATORS = "\t,;"
_SEQUENCE = re.compile(r"[ \t]*[0-9][0-9, -]*[ \t\r]*", re.ASCII)


def as_plain(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield text with one sequence a line, each where it was, of a text that may also be a table or JSON lines.

    The first line that is neither blank nor a comment decides: a row of names makes a table, a brace JSON. Raises
    RequestError with the number of the line, UnicodeDecodeError.
    """
    source, start = iter(blocks), b""
    for block in source:
        start += block
        if first := re.search(rb"^(?:\xef\xbb\xbf)?[ \t]*([^#\s][^\n]*)\n", start, re.MULTILINE):
            break
        if len(start) > MAX_LINE:
            break
    else:
        first = re.search(rb"^(?:\xef\xbb\xbf)?[ \t]*([^#\s][^\n]*)", start, re.MULTILINE)
    whole, line = chain([start], source), first[1].decode(errors="replace").strip() if first else ""
    if line.startswith("{"):
        return _at_their_lines(_json_labels(_lines(whole)))
    if not re.search("[A-Za-z]", line):
        return iter(whole)
    separator = min((each for each in _SEPARATORS if each in line), key=line.index, default=",")
    names = [name.strip().lower() for name in next(csv.reader([line], delimiter=separator))]
    if known := [key for key in KEYS if key in names]:
        return _at_their_lines(_table_labels(_lines(whole), separator, names.index(known[0]), len(names)))
    if len(names) > 1:
        raise RequestError(
            f"a table of labels begins with {one_line(line, 60)!r}, which names none of the columns {', '.join(KEYS)}",
            hint="call the one with the labels `label`",
        )
    return iter(whole)


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a text, comments as blank ones. Raises RequestError for one that is too long."""
    rest, number = b"", 0
    for block in chain(blocks, [b""]):
        lines = (rest + block).split(b"\n")
        rest = lines.pop() if block else b""
        for line in lines:
            number += 1
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            yield "\n" if text.lstrip().startswith("#") else text + "\n"
        if len(rest) > MAX_LINE:
            raise RequestError(f"line {number + 1}: more than {MAX_LINE} characters are too long for a label")


def _table_labels(lines: Iterator[str], separator: str, column: int, width: int) -> Iterator[tuple[int, str]]:
    """Yield the labels in a column of a table, each with the number of its line."""
    table, started = csv.reader(lines, delimiter=separator), False
    try:
        for cells in table:
            if not cells or (len(cells) == 1 < width and not cells[0].strip()):
                continue
            if len(cells) != width:
                raise RequestError(f"line {table.line_num}: {len(cells)} columns, and the first row names {width}")
            if started:
                yield table.line_num, cells[column]
            started = True
    except csv.Error as error:
        raise RequestError(f"line {table.line_num}: the table is damaged ({error})") from None


def _json_labels(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yield the labels in lines of JSON, each with the number of its line: text, or lists of digits."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        known = [values[key] for key in KEYS if key in values] if isinstance(values, dict) else []
        if not known:
            raise RequestError(f"line {number}: not an object of JSON with {' or '.join(KEYS)}")
        label = known[0]
        if isinstance(label, list) and all(type(digit) is int and 0 <= digit <= 9 for digit in label):
            label = "-".join(map(str, label))
        if not isinstance(label, str):
            raise RequestError(
                f"line {number}: the label is {one_line(repr(label), 40)}", hint='give text, as in "0042"'
            )
        yield number, label


def _at_their_lines(labels: Iterable[tuple[int, str]]) -> Iterator[bytes]:
    """Yield labels as plain text, with blank lines before each so that its number is that of its line."""
    done, waiting = 0, list[str]()
    for number, label in labels:
        if not _SEQUENCE.fullmatch(label):
            raise RequestError(
                f"line {number}: {label[:60]!r} is not a sequence of digits", hint="write it like 1-2-3 or 123"
            )
        waiting.append("\n" * (number - 1 - done) + label + "\n")
        done = number
        if len(waiting) == 10_000:
            yield "".join(waiting).encode()
            waiting.clear()
    yield "".join(waiting).encode()
