"""Owns the files that predictions come in: text, and npy and parquet files, which are read whole."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from mnist_seq_cli import inputs
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.inspection import predictions
from mnist_seq_cli.inspection.predictions import Row

MAX_BYTES = 1 << 30
"""Bytes of the largest npy or parquet file that is read."""

MAX_LINE = 1 << 20
"""Characters of a line that is read."""

_FORMS = "give CSV, JSON, npy, parquet, or one prediction a line"


def read_file(path: Path) -> Iterator[Row]:
    """Yield the predictions in a file. Raises RequestError where there is none, FormatError, OSError."""
    with inputs.open_once(path) as file:
        yield from read_stream(file, one_line(str(path), 200))


def read_stream(file: BinaryIO, name: str) -> Iterator[Row]:
    """Yield the predictions in a stream. Raises FormatError, RequestError where a package is missing, OSError."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    start = buffered.peek(6)[:6]
    values = next((values for magic, values in _BINARY.items() if start.startswith(magic)), None)
    if values is not None:
        content = buffered.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FormatError(f"{name} is too large: it has more than {MAX_BYTES >> 20} MiB")
        for number, (key, value) in enumerate(values(content, name), 1):
            yield predictions.row_of(number, key, value, name)
        return
    text = io.TextIOWrapper(buffered, encoding="utf-8")
    try:
        yield from predictions.read(_lines(text, name), name)
    except UnicodeDecodeError:
        raise FormatError(f"{name} is not text", hint=_FORMS) from None
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield the lines of a text, of which only a JSON document may be a very long one. Raises FormatError."""
    for number, line in enumerate(iter(partial(text.readline, MAX_LINE + 1), ""), 1):
        if len(line) <= MAX_LINE:
            yield line
        elif number == 1 and line.lstrip("\ufeff ").startswith(("[", "{")):
            yield line + text.readline(predictions.MAX_DOCUMENT)
        else:
            problem = f"{name}, line {number} has more than {MAX_LINE} characters, too many for a prediction"
            raise FormatError(problem, hint=_FORMS)


_Pairs = Iterable[tuple[Any, Any]]
"""Names or numbers of samples, or None, each with what was read."""


def _in_npy(content: bytes, name: str) -> _Pairs:
    """Return the texts or numbers of an array, or its rows of digits, which negative numbers may fill up."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind == "U" and (array.astype(array.dtype.newbyteorder("=")).view(np.uint32) > _UNICODE).any():
            raise ValueError("it has characters that there are not")
        values = (np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array).tolist()
    except _NOT_NPY as error:
        raise FormatError(f"{name} is not a sound npy file ({one_line(str(error), 120)})") from None
    if array.ndim == 2 and array.dtype.kind in "iu":
        return ((None, [digit for digit in row if digit >= 0]) for row in values)
    if array.ndim != 1 or array.dtype.kind not in "iufUS":
        shape = "×".join(map(str, array.shape))
        hint = "give an array of texts, or rows of digits with -1 where they end"
        raise FormatError(f"{name} holds {shape} of {array.dtype}, and no predictions", hint=hint)
    return zip(repeat(None), values)


_NOT_NPY = (
    *(ValueError, TypeError, EOFError, SyntaxError, OverflowError, MemoryError, RecursionError),
    *(TokenError, Warning),
)
"""The errors and warnings that NumPy raises for a file that does not agree with its header."""

_UNICODE = 0x10FFFF
"""The last character that there is."""


def _in_parquet(content: bytes, name: str) -> _Pairs:
    """Return the columns of names, if there is one, and predictions."""
    try:
        from pyarrow import ArrowException, BufferReader
        from pyarrow.parquet import ParquetFile
    except ImportError:
        hint = "pip install pyarrow, or write CSV with the predictions as text"
        raise RequestError(f"{name} is parquet, which takes the package pyarrow", hint=hint) from None
    try:
        file = ParquetFile(BufferReader(content))
        pictures = ("binary", "large_binary", "struct")
        columns = [field.name for field in file.schema_arrow if not str(field.type).startswith(pictures)]
        named, predicted = predictions.columns(columns, name)
        wanted = [columns[at] for at in (named, predicted) if at is not None]
        values = [column.to_pylist() for column in file.read(wanted).select(wanted).columns]
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{name} is not a sound parquet file ({one_line(str(error), 120)})") from None
    return zip(*values, strict=True) if len(values) == 2 else zip(repeat(None), values[0])


_BINARY = {b"\x93NUMPY": _in_npy, b"PAR1": _in_parquet}
"""Kinds of files by their first bytes."""
