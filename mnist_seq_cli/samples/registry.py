"""Owns what is at a path: the one place that knows it, by the first bytes of a file and what a folder holds."""

from __future__ import annotations

from pathlib import Path

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.samples.collection import Collection, recipe_beside
from mnist_seq_cli.samples.detection import is_directory, kind_of, start_of
from mnist_seq_cli.samples.sources.arrays import Arrays, archive
from mnist_seq_cli.samples.sources.dataset import Dataset
from mnist_seq_cli.samples.sources.folder import folder
from mnist_seq_cli.samples.sources.image import Single
from mnist_seq_cli.samples.sources.mnist import Glyphs
from mnist_seq_cli.samples.sources.tar_shard import TarShard


def open_samples(path: Path | None) -> Collection:
    """Return the samples at a path; with no path, the bundled MNIST.

    Raises FormatError for what holds nothing of that kind, RequestError where there is nothing, OSError.
    """
    if path is None:
        return Glyphs()
    if is_directory(path):
        spec = manifest.read_spec(path)
        return folder(path) if spec is None else Dataset(path, spec)
    start = start_of(path)
    match kind_of(start):
        case "PNG":
            return Single(path)
        case "idx":
            return Arrays("idx", path, idx.read(path), recipe=recipe_beside(path.parent, "idx"))
        case "npz":
            return archive(path)
        case "tar":
            return TarShard(path)
    for name in formats.names():
        if formats.get(name).detect(start):
            raise FormatError(f"{path} is a part of a dataset of the format {name}", hint="give its directory")
    raise FormatError(f"{path} is neither a dataset, nor a PNG file, nor an IDX file")
