"""Owns samples in the form of other libraries: tables of pandas, and datasets of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.notation import format_sequence

if TYPE_CHECKING:
    import datasets
    import pandas

    from mnist_seq_cli.samples.samples import Samples

_IMAGES = ("image", "mask")


def to_pandas(samples: Samples) -> pandas.DataFrame:
    """Return the annotations as a table; see `Samples.to_pandas`."""
    try:
        import pandas
    except ImportError:
        raise _missing("to_pandas", "pandas") from None
    table: dict[str, list[Any]] = {"number": [], "label": [], "text": []}
    for columns in samples.columns():
        texts = columns["text"]
        labels = [None if text is None else format_sequence(map(int, text)) for text in texts]
        for name, values in {**columns, "label": labels}.items():
            if name not in _IMAGES:
                table.setdefault(name, []).extend(values)
    return pandas.DataFrame(table).astype({"number": "int64", "label": "string", "text": "string"})


def to_hf(samples: Samples, *, streaming: bool = False) -> datasets.Dataset | datasets.IterableDataset:
    """Return images and annotations as a dataset of Hugging Face; see `Samples.to_hf`."""
    try:
        import datasets
        import pyarrow as pa
        from datasets.table import InMemoryTable
    except ImportError:
        raise _missing("to_hf", "datasets") from None
    first = next(samples.columns(), None)
    if first is None:
        raise RequestError("there are no samples, and a dataset of Hugging Face has one at least")
    features = datasets.Features({name: _feature(name, values) for name, values in _written(first).items()})
    if streaming:
        return datasets.IterableDataset.from_generator(_rows, features=features, gen_kwargs={"samples": samples})
    tables = [pa.Table.from_pydict(_written(columns), features.arrow_schema) for columns in samples.columns()]
    return datasets.Dataset(InMemoryTable(pa.concat_tables(tables)))


def _missing(method: str, package: str) -> RequestError:
    return RequestError(f"{method} needs {package}, which is not installed", hint=f"pip install {package}")


def _rows(samples: Samples) -> Iterator[dict[str, Any]]:
    for columns in map(_written, samples.columns()):
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


def _written(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns that the metadata of a png dataset has, and images as PNG files."""
    written = {
        name: [{"bytes": png.encode(image[None])[0], "path": None} for image in columns[name]]
        for name in _IMAGES
        if name in columns
    }
    return written | {name: values for name, values in columns.items() if name not in (*_IMAGES, "number", "file_name")}


def _feature(name: str, values: list[Any]) -> Any:
    """Return the feature of a column, by its first value that is not empty; or of lists of integers, or of boxes."""
    from datasets import Image, Value

    if name in _IMAGES:
        return Image()
    if name == "text":
        return Value("string")
    known = np.array(next((value for value in values if value != []), [[0] * 4] if name == "boxes" else [0]))
    feature: Any = Value("float64" if known.dtype.kind == "f" else "int64")
    for _ in range(known.ndim):
        feature = [feature]
    return feature
