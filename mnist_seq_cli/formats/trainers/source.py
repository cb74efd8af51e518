"""Owns what annotations are made for: a dataset, and the names of its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.formats.format import Extra, Format
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec


class Images(NamedTuple):
    """The images of a dataset, which are in a folder: `images/`, or "" for folders of labels."""

    spec: Spec
    format: Format
    folder: str

    def names(self, samples: Numbers) -> list[str]:
        """Return the names of the images of samples, from the root of the dataset."""
        return self.format.image_names(self.spec, samples)

    def inside(self, samples: Numbers) -> list[str]:
        """Return the names of the images of samples, from the folder of images."""
        return [name.removeprefix(self.folder) for name in self.names(samples)]

    def of_shard(self, shard: Shard) -> list[str]:
        """Return the names of the images of a shard."""
        return self.names(range(shard.first, shard.stop))


def lines(name: str, line: str, names: Callable[[Numbers], Iterable[str]]) -> Extra:
    """Return a file with a line for each sample, of its name and its text, as the template `line` has them."""

    def rows(shard: Shard, known: Annotations) -> bytes:
        named = zip(names(known.samples), known.texts, strict=True)
        return "".join([line % pair for pair in named]).encode()

    return Extra(name, b"", rows)


def nothing(shard: Shard, known: Annotations) -> bytes:
    """Return no rows: for files that are the same for all samples."""
    return b""
