"""Owns decoding: what IDX files mean, which of their rows are wanted, and the forms in which those are given out.

A plain file is mapped and gone through a batch at a time, so that it may be larger than memory.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.samples.detection import require_file
from mnist_seq_cli.storage import local

Form = Literal["png", "npz", "csv", "text"]
FORMS: tuple[Form, ...] = get_args(Form)

_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of the array in an IDX file: those at `places`, in this order.

    `labels` are integers (n,), one for each row of the array, where it has any. `partial` is true when not all rows are
    wanted. `name` stands for the file in messages. `lengths` are integers (n,), how many values of each row are digits
    of its sequence, where the file does not say that itself.
    """

    array: NDArray[Any]
    name: str
    places: Sequence[int] | NDArray[np.intp]
    labels: NDArray[Any] | None = None
    partial: bool = False
    lengths: NDArray[Any] | None = None

    @property
    def are_images(self) -> bool:
        """Whether the rows are images: the array is uint8 with three dimensions."""
        return self.array.ndim == 3 and self.array.dtype == np.uint8

    def batches(self) -> Iterator[tuple[list[int], NDArray[Any]]]:
        """Yield some places at a time, and what is there: in the byte order of this machine, about 4 MB."""
        size = max(1, min(1_000, _BATCH_BYTES // max(1, self.array[0].nbytes)))
        native = self.array.dtype.newbyteorder("=")
        for start in range(0, len(self.places), size):
            here = self.places[start : start + size]
            if isinstance(here, range):
                yield list(here), self.array[here.start : here.stop].astype(native, copy=False)
            else:
                yield [int(place) for place in here], self.array[here].astype(native, copy=False)

    def label(self, place: int) -> int:
        """Return the label of the row at that place of the array."""
        assert self.labels is not None
        return int(self.labels[place])


def read_labels(path: Path) -> NDArray[Any]:
    """Return the labels in an IDX file: integers (n,). Raises FormatError, RequestError, OSError."""
    require_file(path)
    labels = idx.read(path)
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        shape = "×".join(map(str, labels.shape))
        raise FormatError(f"{path} holds {labels.dtype.name} values of shape {shape}, not one integer label a row")
    return labels


def lengths_beside(path: Path, array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the lengths of the sequences in a file labels-idx2-…: integers (n,), from lengths-idx1-… beside it.

    None where there is none. Raises FormatError for lengths of other sequences, OSError.
    """
    beside = path.with_name(path.name.replace("labels-idx2", "lengths-idx1", 1)) if path.name else path
    if beside == path or not beside.is_file() or array.ndim != 2:
        return None
    lengths = read_labels(beside)
    if len(lengths) != len(array) or lengths.min() < 1 or lengths.max() > array.shape[1]:
        raise FormatError(f"{beside} does not hold the lengths of the sequences in {path}")
    return lengths


def rows_of(
    array: NDArray[Any],
    name: str,
    *,
    span: str = "",
    labels: NDArray[Any] | None = None,
    digit: int | None = None,
    lengths: NDArray[Any] | None = None,
) -> Rows:
    """Return the wanted rows of an array: those of a span "A:B", as in Python, and of them those of one digit.

    Raises RequestError where there are none, and for a digit without labels; FormatError for labels of other rows.
    """
    if labels is not None and len(labels) != len(array):
        raise FormatError(f"{name} holds {len(array)} rows, and there are {len(labels)} labels")
    places: Any = _parse_span(span, len(array))
    if digit is not None:
        if labels is None:
            raise RequestError("without labels, the rows of a digit are not known", hint="give them with --labels FILE")
        places = np.flatnonzero(labels[places.start : places.stop] == digit) + places.start
    if not len(places):
        which = f" in {span}" * bool(span) + f" with the label {digit}" * (digit is not None)
        raise RequestError(f"{name} has {len(array)} rows, and none{which}")
    return Rows(array, name, places, labels, len(places) < len(array), lengths)


def _parse_span(text: str, count: int) -> range:
    if not text:
        return range(count)
    found = re.fullmatch(r"(-?\d{1,18})?:(-?\d{1,18})?", text, re.ASCII)
    if found is None:
        raise RequestError(f"{text!r} is not a range of rows", hint="write A:B, :B or A:, as in Python")
    start, stop = (None if bound is None else int(bound) for bound in found.groups())
    return range(*slice(start, stop).indices(count))


def form_of(rows: Rows, form: Form | None, output: Path | None) -> Form:
    """Return the form in which rows are given out: the one that is asked for, or that their place suggests.

    Raises RequestError where that cannot be.
    """
    suffix = "" if output is None else output.suffix.lower()
    by_name: dict[str, Form] = {".npz": "npz", ".csv": "csv"}
    kind = f"{rows.array.ndim}-dimensional {rows.array.dtype.name}"
    if form is None:
        form = by_name.get(suffix, "png" if rows.are_images else "text")
        if form == "text" and rows.array.ndim > 2:
            hint = "take -o FILE.npz or FILE.csv, or --as csv or text"
            raise RequestError(f"{rows.name} has {rows.array.ndim} dimensions, too many for lines", hint=hint)
    if form == "png" and not rows.are_images:
        raise RequestError(f"{rows.name} holds {kind}, not images", hint="leave --as out")
    if form == "png" and output is None:
        places = "-o DIR/ writes PNG files, -o FILE.npz or FILE.csv one file, --as text draws them"
        raise RequestError(f"{rows.name} holds {len(rows.places)} images", hint=places)
    if form == "npz" and output is None:
        raise RequestError("an npz file needs a name", hint="give it with -o FILE.npz")
    if form == "text" and output is not None:
        what = "drawn images" if rows.are_images else "labels or numbers"
        raise RequestError(
            f"{rows.name} holds {what}, which go to stdout as text",
            hint="leave -o out, or end it in .npz or .csv",
        )
    return form


def give_out(rows: Rows, form: Form, output: Path | None) -> Iterator[str]:
    """Write rows in a form that `form_of` allowed, or tell them; yield the lines of stdout: paths, or values.

    Raises OSError.
    """
    if form == "text" or (form == "csv" and output is None):
        yield from csv_lines(rows) if form == "csv" else _lines(rows)
        return
    assert output is not None
    if form == "png":
        yield from map(str, write_pngs(rows, output))
        return
    (write_npz if form == "npz" else write_csv)(rows, output)
    yield str(output)


def _lines(rows: Rows) -> Iterator[str]:
    """Yield a line of text for each row: a sequence where all rows are digits, else its values."""
    array = rows.array
    sequences = array.ndim == 2 and array.dtype == np.uint8 and array.max() <= 9
    for places, batch in rows.batches():
        for place, row in zip(places, batch.reshape(len(batch), -1).tolist(), strict=True):
            length = None if rows.lengths is None else int(rows.lengths[place])
            yield format_sequence(row[:length]) if sequences else " ".join(map(str, row))


def csv_lines(rows: Rows) -> Iterator[str]:
    """Yield a header, and a line of CSV for each row: its place, its label where there is one, and its values."""
    what = "pixel" if rows.are_images else "value"
    names = [what] if rows.array.ndim == 1 else [f"{what}{number}" for number in range(rows.array[0].size)]
    labelled = rows.labels is not None
    yield ",".join(["index", *(["label"] if labelled else []), *names])
    for places, batch in rows.batches():
        for place, row in zip(places, batch.reshape(len(batch), -1).tolist(), strict=True):
            yield ",".join(map(str, [place, *([rows.label(place)] if labelled else []), *row]))


def write_pngs(rows: Rows, directory: Path) -> Iterator[Path]:
    """Write images as PNG files named by their place; yield the paths. Raises OSError.

    With labels there is a folder for each, `7/00015-7.png`.
    """
    local.make_directory(directory)
    digits = max(5, len(str(len(rows.array) - 1)))
    made: set[int] = set()
    for places, batch in rows.batches():
        for place, content in zip(places, png.encode(np.ascontiguousarray(batch)), strict=True):
            path = directory / f"{place:0{digits}d}.png"
            if rows.labels is not None:
                label = rows.label(place)
                path = directory / str(label) / f"{place:0{digits}d}-{label}.png"
                if label not in made:
                    local.make_directory(path.parent)
                    made.add(label)
            local.write_whole(path, content, sync=False)
            yield path


def write_csv(rows: Rows, path: Path) -> None:
    """Write rows as a CSV file. Raises OSError."""
    lines: list[str] = []
    with _whole(path) as file:
        for line in csv_lines(rows):
            lines.append(f"{line}\n")
            if len(lines) == 1_000:
                file.write("".join(lines).encode())
                lines.clear()
        file.write("".join(lines).encode())


def write_npz(rows: Rows, path: Path) -> None:
    """Write rows as `images` (uint8, three dimensions) or `values` in an npz file. Raises OSError.

    Beside them are `labels` where there are any, and `index`, the places of the rows, where not all are wanted.
    """
    beside: dict[str, NDArray[Any]] = {}
    places = np.asarray(rows.places, dtype=np.int64)
    if rows.labels is not None:
        beside["labels"] = rows.labels[places]
    if rows.partial:
        beside["index"] = places
    parts = {name: (array.dtype, array.shape, iter([array])) for name, array in beside.items()}
    shape = (len(places), *rows.array.shape[1:])
    batches = (batch for _, batch in rows.batches())
    with _whole(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        name = "images" if rows.are_images else "values"
        for key, (dtype, whole, pieces) in {name: (rows.array.dtype, shape, batches), **parts}.items():
            little = dtype.newbyteorder("<")
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as entry:
                entry.write(_npy_header(little, whole))
                for piece in pieces:
                    entry.write(np.ascontiguousarray(piece, dtype=little).data.cast("B"))


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name, in place of one that has it, when it is complete. Raises OSError."""
    local.require_regular(path)
    local.make_directory(path.parent)
    temporary = local.partial_name(path)
    try:
        with temporary.open("xb") as file:
            yield file
        local.place(temporary, path)
    except BaseException:
        local.remove(temporary)
        raise


def _npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()
