"""Owns the format `parquet`: a Parquet file a shard, as Hugging Face lays them out: data/train-00000-of-00005.parquet.

Those of a split have its name in the place of `train`, as the hub spells it.

A row is a sample: `image` and, with masks, `mask` as a PNG file and its name; `text`, `0042`; and annotations as lists.
The footer says so to `datasets`, in the way that its versions 3 and 5 both read. It needs pyarrow.

PNG files are in their columns as they are, uncompressed, so that a sample is read without the others of its row group.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import FRACTIONS, OF_STRIPS, decoded, flat_columns, row_names, strict_keys, to_row
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec, hub_name
from mnist_seq_cli.storage.store import PIECE, identity

_HELD = 256 << 20
"""Bytes of annotations that a reader holds."""


def _pyarrow() -> tuple[Any, Any]:
    """Return the library and its module for Parquet. Raises FormatError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise FormatError(
            "parquet needs pyarrow, which is not installed", hint="pip install 'mnistseq[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


class ParquetFiles(Format):
    """Parquet files, as Hugging Face's datasets, DuckDB, Polars and pandas read them."""

    NAME = "parquet"
    SUFFIX = ".parquet"
    READ = r"\.parquet"
    HUB_FILES = ("data/*.parquet",)
    ON_HUB = ANY_WIDTH = MASKS = RANDOM_ACCESS = True
    COMPRESSION = "fast"

    def check(self, spec: Spec) -> None:
        super().check(spec)
        _pyarrow()

    def names(self, spec: Spec, asked: str, there: Collection[str], part: str) -> str:
        super().names(spec, asked, there, part)
        name = hub_name(part or replace(spec, names=asked).split)
        return "" if name == "train" else name

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        digits = spec.plan.digits
        return (
            f"data/{hub_name(spec.split)}-{digits.shard(shard.number)}-of-{digits.shard(len(spec.plan))}{self.SUFFIX}",
        )

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        pyarrow, parquet = _pyarrow()
        schema, sink = _schema(spec), _Pieces()
        packed = {name + ".list.element" * _depth(name): "snappy" for name in ("text", *row_names(spec.recipe))}
        packed |= {f"{name}.path": "snappy" for name in _pictures(spec)}

        def pieces() -> Iterator[bytes]:
            with parquet.ParquetWriter(
                pyarrow.PythonFile(sink, "w"), schema, compression=packed, use_dictionary=False, write_statistics=False,
                write_page_checksum=True,
            ) as writer:  # fmt: skip
                for batch in batches:
                    writer.write_table(_table(spec, batch, schema))
                    yield from sink.taken()
            yield from sink.taken()

        (name,) = self.shard_names(spec, shard)
        yield File(name, pieces())
        return None

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return _Reader(self, spec, open_file)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        for shard in spec.plan:
            (name,) = self.shard_names(spec, shard)
            with open_file(name) as file:
                yield from _read(spec, shard, file, name, ["text"])["text"].to_pylist()

    def detect(self, start: bytes) -> bool:
        return start.startswith(b"PAR1")


class _Pieces:
    """A file to be written to, which gives what was written since it was last asked."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def flush(self) -> None:
        pass

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


def _pictures(spec: Spec) -> tuple[str, ...]:
    return ("image", "mask")[: 1 + spec.masks]


def _depth(name: str) -> int:
    """Return how many lists values are in."""
    return {"text": 0, "boxes": 2, **dict.fromkeys(OF_STRIPS, 0)}.get(name, 1)


def _kinds(recipe: Recipe) -> dict[str, str]:
    """Return the type of the values of each key."""
    others = dict.fromkeys(FRACTIONS, "float64") | dict.fromkeys(("operands", "sum"), "int64")
    return {name: others.get(name, "int32") for name in row_names(recipe)}


def _schema(spec: Spec) -> Any:
    """Return the schema of the rows, with what `datasets` wants to know of them."""
    pyarrow, _ = _pyarrow()
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    fields: list[Any] = [*((name, picture) for name in _pictures(spec)), ("text", pyarrow.string())]
    features: dict[str, Any] = {name: {"_type": "Image"} for name in _pictures(spec)}
    features["text"] = _value("string")
    for name, kind in _kinds(spec.recipe).items():
        type_ = pyarrow.type_for_alias(kind)
        feature: dict[str, Any] = _value(kind)
        for _ in range(_depth(name)):
            type_, feature = pyarrow.list_(type_), {"feature": feature, "_type": "Sequence"}
        fields.append((name, type_))
        features[name] = feature
    return pyarrow.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def _value(kind: str) -> dict[str, str]:
    return {"dtype": kind, "_type": "Value"}


def _table(spec: Spec, batch: Batch, schema: Any) -> Any:
    """Return a batch as a table."""
    pyarrow, _ = _pyarrow()
    names = [f"{spec.plan.digits.sample(sample)}.png" for sample in batch.samples]
    columns = []
    for images in (batch.images, batch.masks)[: 1 + spec.masks]:
        assert images is not None
        contents = png.encode(images, spec.compression, batch.widths)
        columns.append(
            pyarrow.StructArray.from_arrays([pyarrow.array(contents), pyarrow.array(names)], ["bytes", "path"])
        )
    columns.append(pyarrow.array(batch.texts))
    kinds = _kinds(spec.recipe)
    for name, (values, counts) in flat_columns(spec.recipe, batch).items():
        column = pyarrow.array(values.astype(kinds[name]))
        if name == "boxes":
            column = _listed(column, np.full(len(values) // 4, 4))
            counts = counts // 4
        columns.append(column if name in OF_STRIPS else _listed(column, counts))
    return pyarrow.Table.from_arrays(columns, schema=schema)


def _listed(values: Any, counts: NDArray[np.intp]) -> Any:
    """Return lists of so many values each."""
    pyarrow, _ = _pyarrow()
    return pyarrow.ListArray.from_arrays(pyarrow.array(np.concatenate([[0], np.cumsum(counts)]).astype("i4")), values)


def _read(spec: Spec, shard: Shard, file: BinaryIO, name: str, columns: list[str]) -> Any:
    """Return some columns of a shard as a table. Raises FormatError, OSError."""
    pyarrow, parquet = _pyarrow()
    try:
        opened = parquet.ParquetFile(file, page_checksum_verification=True)
        if not opened.schema_arrow.equals(_schema(spec)) or opened.metadata.num_rows != shard.samples:
            raise FormatError(f"{name} does not hold the {shard.samples} rows that the recipe makes")
        return opened.read(columns, use_threads=False)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, FormatError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise FormatError(f"{name} is not a sound Parquet file ({one_line(str(error), 200)})") from None


class _Reader:
    """Reads PNG files at their offsets; the annotations of a shard are held, as far as there is room."""

    def __init__(self, format_: Format, spec: Spec, open_file: Opener) -> None:
        self._format, self._spec, self._open_file = format_, spec, open_file
        self._held: dict[int, tuple[Hashable, Any, list[NDArray[np.int64]]]] = {}
        """By shard the identity of its file, its annotations, and where images and masks begin and end."""

    def read(self, samples: Numbers) -> Batch:
        spec, numbers = self._spec, as_array(samples)
        shards = numbers // spec.shard_size
        images: list[list[bytes]] = [[b""] * len(numbers) for _ in range(1 + spec.masks)]
        wheres, values = [""] * len(numbers), [dict[str, Any]()] * len(numbers)
        for number in np.unique(shards).tolist():
            shard = spec.plan[number]
            (name,) = self._format.shard_names(spec, shard)
            places = np.flatnonzero(shards == number).tolist()
            with self._open_file(name) as file:
                table, offsets = self._shard(shard, name, file)
                rows = numbers[places] - shard.first
                for place, row, known in zip(places, rows.tolist(), table.take(rows).to_pylist(), strict=True):
                    wheres[place], values[place] = f"{name}, sample {numbers[place]}", known
                    for contents, found in zip(images, offsets, strict=True):
                        start, stop = found[row].tolist()
                        file.seek(start)
                        contents[place] = file.read(stop - start)
        keys = strict_keys(spec.recipe)
        parsed = [to_row(row, where, keys) for row, where in zip(values, wheres, strict=True)]
        return decoded(spec, samples, wheres, images[0], parsed, *images[1:])

    def _shard(self, shard: Shard, name: str, file: BinaryIO) -> tuple[Any, list[NDArray[np.int64]]]:
        identified, known = identity(file), self._held.get(shard.number)
        if known is None or known[0] != identified:
            table = _read(self._spec, shard, file, name, ["text", *row_names(self._spec.recipe)])
            offsets = _offsets(self._spec, shard, file, name)
            if sum(held.nbytes for _, held, _ in tuple(self._held.values())) > _HELD:
                self._held.clear()
            known = self._held[shard.number] = identified, table.combine_chunks(), offsets
        return known[1:]


def _offsets(spec: Spec, shard: Shard, file: BinaryIO, name: str) -> list[NDArray[np.int64]]:
    """Return where the images and the masks of a shard begin and end in its file: (n, 2) each, in bytes.

    They are found by how PNG files begin; each has its length in four bytes before it. A row group, which is a batch,
    has its images before its masks. The footer knows more, but pyarrow ends the process when that is damaged. Raises
    FormatError, OSError.
    """
    found = np.array(list(_png_files(file)), np.int64).reshape(-1, 2)
    kinds = len(_pictures(spec))
    if len(found) != shard.samples * kinds:
        raise FormatError(f"{name} holds {len(found)} PNG files, and its samples have {shard.samples * kinds}")
    stops = np.cumsum([count for first, stop in spans(spec.recipe, *shard[1:]) for count in [stop - first] * kinds])
    runs = np.split(found, stops[:-1])
    return [np.concatenate(runs[kind::kinds]) for kind in range(kinds)]


def _png_files(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield where each PNG file in a file begins and ends, in bytes. Raises OSError."""
    offset, signature = 0, png.SIGNATURE
    while True:
        file.seek(offset)
        piece, at = file.read(PIECE), 4
        end = len(piece) - len(signature) - 3  # what is after that may be the beginning of one
        while (at := piece.find(signature, at)) >= 0:
            stop = at + max(int.from_bytes(piece[at - 4 : at], "little"), len(signature))
            yield offset + at, offset + stop
            at, end = stop, max(end, stop)
        if len(piece) < PIECE:
            return
        offset += end
