"""Owns the formats: batches to the content of shards and back. A table of names, and the entry points of others.

    format          what a format is, with the defaults of "one file a shard"
    reader          what reads any samples
    rows            annotations as rows of JSON and CSV, for those that have such files
    trainers        annotations beside PNG files, as trainers read them
    arrays          npz, npy, idx and torchmeta files
    png_folder, folders, flat_folder, webdataset, lmdb_file, parquet_files, tfrecord_file

Imports what is below it, of `storage` the names alone: a format knows no disk. One more format is one module with a
subclass of `Format`, and a row in the table here; or, in a package of somebody else, an entry point in the group
`mnistseq.formats`. The suite in tests/formats runs over all of the table. Loading this module loads no format.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from mnist_seq_cli.errors import FormatError

if TYPE_CHECKING:
    from mnist_seq_cli.formats.format import Format

_CLASSES = {
    "png": "png_folder:PngFolder",
    "folders": "folders:LabelFolders",
    "flat": "flat_folder:FlatFolder",
    "webdataset": "webdataset:WebDataset",
    "npz": "arrays.npz_file:NpzFile",
    "idx": "arrays.idx_files:IdxFiles",
    "npy": "arrays.npy_files:NpyFiles",
    "torchmeta": "arrays.torchmeta:Torchmeta",
    "lmdb": "lmdb_file:LmdbFile",
    "parquet": "parquet_files:ParquetFiles",
    "tfrecord": "tfrecord_file:TfRecord",
}
FORMAT_NAMES = tuple(_CLASSES)

ENTRY_POINTS = "mnistseq.formats"
"""The group of entry points by which other packages add formats: `name = package.module:Class`."""

LAYOUTS = ("shards", "folders", "flat")
"""How PNG files can be arranged. All but the first are formats of these names, which are asked for with --layout."""


def option(name: str) -> str:
    """Return the options that ask for a format on the command line: `--format npz`, `--layout folders`."""
    return f"{'--layout' if name in LAYOUTS else '--format'} {name}"


def names() -> tuple[str, ...]:
    """Return the names of all formats, those that other packages add among them."""
    from importlib.metadata import entry_points

    return (*FORMAT_NAMES, *sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - _CLASSES.keys()))


@cache
def get(name: str) -> Format:
    """Return the format of that name. Raises FormatError when there is none."""
    if name in _CLASSES:
        module, _, kind = _CLASSES[name].partition(":")
        found: Format = getattr(import_module(f"{__name__}.{module}"), kind)()
        return found
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS, name=name):
        added: Format = point.load()()
        return added
    raise FormatError(f"there is no format {name!r}", hint=f"take one of {', '.join(names())}")
