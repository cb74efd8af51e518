"""Owns the export of IDX files: a selection of their rows, as files or as lines of text.

A large plain file is read a batch at a time, so that it may be larger than memory.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import inputs
from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.storage import local

Form = Literal["png", "npz", "csv", "text"]

_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class IdxRows:
    """A selection of the rows of the array in an IDX file, at `indices`, in this order; `name` is for messages.

    `labels` and `lengths` are integers (n,), one for each row of the array, where they are known: `lengths` are the
    numbers of digits in sequences that are padded.
    """

    array: NDArray[Any]
    name: str
    indices: Sequence[int] | NDArray[np.intp]
    labels: NDArray[Any] | None = None
    lengths: NDArray[Any] | None = None

    @property
    def are_images(self) -> bool:
        """Whether the rows are images: the array is uint8 with three dimensions."""
        return self.array.ndim == 3 and self.array.dtype == np.uint8

    def batches(self) -> Iterator[tuple[list[int], NDArray[Any]]]:
        """Yield some indices and their rows at a time: about 4 MB, in the byte order of this machine."""
        size = max(1, min(1_000, _BATCH_BYTES // max(1, self.array[0].nbytes)))
        native = self.array.dtype.newbyteorder("=")
        for start in range(0, len(self.indices), size):
            here = self.indices[start : start + size]
            rows = self.array[here.start : here.stop] if isinstance(here, range) else self.array[here]
            yield [int(index) for index in here], rows.astype(native, copy=False)

    def lists(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the index of each row, and its values."""
        for indices, batch in self.batches():
            yield from zip(indices, batch.reshape(len(batch), -1).tolist(), strict=True)


def read_labels(path: Path) -> NDArray[Any]:
    """Return the labels in an IDX file: integers (n,). Raises FormatError, RequestError, OSError."""
    if path.is_fifo():
        labels = idx.read(inputs.read_once(path, MAX_FILE), name=str(path))
    else:
        inputs.require_file(path)
        labels = np.asarray(idx.read(path))
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        shape = "×".join(map(str, labels.shape))
        raise FormatError(f"{path} holds {labels.dtype.name} values of shape {shape}, not one integer label a row")
    return labels


def _lengths_beside(path: Path, array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the lengths, integers (n,), in lengths-idx1-… beside labels-idx2-…, or None. Raises FormatError."""
    beside = path.with_name(path.name.replace("labels-idx2", "lengths-idx1", 1))
    if beside == path or not beside.is_file() or array.ndim != 2:
        return None
    lengths = read_labels(beside)
    if len(lengths) != len(array) or lengths.min() < 1 or lengths.max() > array.shape[1]:
        raise FormatError(f"{beside} does not hold the lengths of the sequences in {path}")
    return lengths


def select(array: NDArray[Any], name: str, span: str, labels: NDArray[Any] | None, digit: int | None) -> IdxRows:
    """Return the rows of an array in a span "A:B", as in Python; with a digit, only those with this label.

    Raises RequestError where there are none, and for a digit without labels; FormatError for labels of other rows.
    """
    if labels is not None and len(labels) != len(array):
        raise FormatError(f"{name} holds {len(array)} rows, and there are {len(labels)} labels")
    indices: Any = _parse_span(span, len(array))
    if digit is not None:
        if labels is None:
            hint = "give them with `labels=FILE`"
            raise RequestError("without labels, the rows of a digit are not known", hint=hint)
        indices = np.flatnonzero(labels[indices.start : indices.stop] == digit) + indices.start
    if not len(indices):
        which = f" in {span}" * bool(span) + f" with the label {digit}" * (digit is not None)
        raise RequestError(f"{name} has {len(array)} rows, and none{which}")
    return IdxRows(array, name, indices, labels, _lengths_beside(Path(name), array))


def _parse_span(text: str, count: int) -> range:
    match = re.fullmatch(r"(-?\d{1,18})?:(-?\d{1,18})?", text or ":", re.ASCII)
    if match is None:
        raise RequestError(f"{text!r} is not a range of rows", hint="write A:B, :B or A:, as in Python")
    start, stop = (None if bound is None else int(bound) for bound in match.groups())
    return range(*slice(start, stop).indices(count))


def form_of(rows: IdxRows, form: Form | None, output: Path | None) -> Form:
    """Return the form that is asked for, or that the output suggests. Raises RequestError where it does not fit."""
    name, dimensions = rows.name, rows.array.ndim
    if form is None:
        by_suffix: dict[str, Form] = {".npz": "npz", ".csv": "csv"}
        suffix = "" if output is None else output.suffix.lower()
        form = by_suffix.get(suffix, "png" if rows.are_images else "text")
        if form == "text" and dimensions > 2:
            hint = "take `output=FILE.npz` or FILE.csv, or `form=csv` or text"
            raise RequestError(f"{name} has {dimensions} dimensions, too many for lines", hint=hint)
    if form == "png" and not rows.are_images:
        kind = f"{dimensions}-dimensional {rows.array.dtype.name}"
        raise RequestError(f"{name} holds {kind}, not images", hint="leave `form` out")
    if form == "png" and output is None:
        hint = "`output=DIR/` writes PNG files, `output=FILE.npz` or FILE.csv one file, `form=text` draws them"
        raise RequestError(f"{name} holds {len(rows.indices)} images", hint=hint)
    if form == "npz" and output is None:
        raise RequestError("an npz file needs a name", hint="give it with `output=FILE.npz`")
    if form == "text" and output is not None:
        kind = "drawn images" if rows.are_images else "labels or numbers"
        hint = "leave `output` out, or end it in .npz or .csv"
        raise RequestError(f"{name} holds {kind}, which go to stdout as text", hint=hint)
    return form


def export(rows: IdxRows, form: Form, output: Path | None) -> Iterator[str]:
    """Write rows in a form that `form_of` allowed, and yield the lines for stdout: paths or rows. Raises OSError."""
    if output is None:
        yield from _csv_lines(rows) if form == "csv" else _text_lines(rows)
    elif form == "png":
        yield from map(str, _write_pngs(rows, output))
    else:
        (_write_npz if form == "npz" else _write_csv)(rows, output)
        yield str(output)


def _text_lines(rows: IdxRows) -> Iterator[str]:
    """Yield a line of text for each row: a sequence where all rows are digits, else its values."""
    array = rows.array
    are_sequences = array.ndim == 2 and array.dtype == np.uint8 and array.max() <= 9
    for index, row in rows.lists():
        length = None if rows.lengths is None else int(rows.lengths[index])
        yield format_sequence(row[:length]) if are_sequences else " ".join(map(str, row))


def _csv_lines(rows: IdxRows) -> Iterator[str]:
    """Yield a header, and a line of CSV for each row: its index, its label where there is one, and its values."""
    kind = "pixel" if rows.are_images else "value"
    names = [kind] if rows.array.ndim == 1 else [f"{kind}{number}" for number in range(rows.array[0].size)]
    yield ",".join(["index", *([] if rows.labels is None else ["label"]), *names])
    for index, row in rows.lists():
        label = [] if rows.labels is None else [rows.labels[index]]
        yield ",".join(map(str, [index, *label, *row]))


def _write_pngs(rows: IdxRows, directory: Path) -> Iterator[Path]:
    """Write images as PNG files, `00015.png`, with labels `7/00015-7.png`; yield the paths. Raises OSError."""
    local.make_directory(directory)
    digits = max(5, len(str(len(rows.array) - 1)))
    folders: set[Path] = set()
    for indices, batch in rows.batches():
        for index, content in zip(indices, png.encode(np.ascontiguousarray(batch)), strict=True):
            path = directory / f"{index:0{digits}d}.png"
            if rows.labels is not None:
                label = rows.labels[index]
                path = directory / str(label) / f"{index:0{digits}d}-{label}.png"
                if path.parent not in folders:
                    local.make_directory(path.parent)
                    folders.add(path.parent)
            local.write_whole(path, content, sync=False)
            yield path


def _write_csv(rows: IdxRows, path: Path) -> None:
    with _whole(path) as file:
        file.writelines(f"{line}\n".encode() for line in _csv_lines(rows))


def _write_npz(rows: IdxRows, path: Path) -> None:
    """Write rows as `images` (uint8, three dimensions) or `values` in an npz file. Raises OSError.

    Beside them are `labels` where they are known, and `index`, the indices of the rows, where these are not all.
    """
    indices = np.asarray(rows.indices, dtype=np.int64)
    shape = (len(indices), *rows.array.shape[1:])
    batches: Iterator[NDArray[Any]] = (batch for _, batch in rows.batches())
    arrays = {"images" if rows.are_images else "values": (rows.array.dtype, shape, batches)}
    if rows.labels is not None:
        arrays["labels"] = (rows.labels.dtype, indices.shape, iter([rows.labels[indices]]))
    if len(indices) < len(rows.array):
        arrays["index"] = (indices.dtype, indices.shape, iter([indices]))
    with _whole(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for key, (dtype, whole, pieces) in arrays.items():
            little = dtype.newbyteorder("<")
            header = {"descr": np.lib.format.dtype_to_descr(little), "fortran_order": False, "shape": whole}
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                for piece in pieces:
                    entry.write(np.ascontiguousarray(piece, dtype=little).data.cast("B"))


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name, in place of one that has it, when it is complete. Raises OSError."""
    local.require_regular(path)
    local.make_directory(path.parent)
    local.clear_partial(path.parent)
    temporary = local.partial_name(path)
    local.remove(temporary)
    try:
        with temporary.open("xb") as file:
            yield file
        local.place(temporary, path)
    except BaseException:
        local.remove(temporary)
        raise
