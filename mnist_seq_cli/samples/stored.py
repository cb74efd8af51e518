"""Owns samples on disk: a dataset directory of any format as a sequence of samples, each read when it is looked at."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, SPLITS_NAME
from mnist_seq_cli.engine.batch import Batch, joined
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.storage.location import open_store


class StoredDataset(Samples):
    """The samples of a complete dataset directory, in the form that SequenceDataset gives them.

    `recipe` and `spec` tell what was asked for; samples have masks where these were written. Formats that cannot be
    read at any place (webdataset, idx) are read a shard at a time, and the last shard is kept: go through them in
    order.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        store, self.path = open_store(path, "read"), Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise FormatError(f"{self.path} is not a directory", hint="a dataset is opened by its directory")
        spec = manifest.read_spec(self.path)
        if spec is None:
            hint = "it holds splits: take one of them" if (self.path / SPLITS_NAME).is_file() else ""
            raise FormatError(f"{self.path} is not a dataset of ours: it has no {RECIPE_NAME}", hint=hint)
        if manifest.read_manifest(self.path) is None:
            raise FormatError(
                f"{self.path} is incomplete: it has no {MANIFEST_NAME}", hint="the dataset command does the rest"
            )
        super().__init__(spec.recipe, range(spec.samples), masks=spec.masks)
        self.spec, self.open_file = spec, store.open
        self._kept: tuple[int, Batch] | None = None

    def _made(self, first: int, stop: int) -> Batch:
        format_, size = formats.get(self.spec.format), self.spec.shard_size
        read = partial(format_.read, self.spec, open_file=self.open_file)
        parts: list[Batch] = []
        for number in range(first // size, -(-stop // size)):
            shard = self.spec.plan[number]
            start, end = max(first, shard.first), min(stop, shard.stop)
            if format_.RANDOM_ACCESS:
                parts += read(Shard(number, start, end))
                continue
            if self._kept is None or self._kept[0] != number:
                self._kept = number, joined(list(read(shard)))
            parts.append(self._kept[1].part(start - shard.first, end - shard.first))
        return joined(parts)


def open_dataset(path: str | PathLike[str]) -> StoredDataset:
    """Return the samples in a dataset directory, whatever its format; nothing is read yet.

    Raises FormatError when it is not a complete dataset of ours. Looking at a sample raises FormatError or OSError when
    its file is damaged or gone.
    """
    return StoredDataset(path)
