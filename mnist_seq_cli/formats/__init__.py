"""Owns the table of formats, and what a format is: a way to write shards of samples and to read them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.plan import Plan, Shard

if TYPE_CHECKING:
    from mnist_seq_cli.codecs.compression import Compression
    from mnist_seq_cli.dataset.manifest import Record
    from mnist_seq_cli.engine.batch import Annotations, Batch
    from mnist_seq_cli.recipe.spec import Spec
    from mnist_seq_cli.storage.store import FileSum

_MODULES = {
    "png": "png_folder",
    "folders": "folders",
    "webdataset": "webdataset",
    "npz": "npz_file",
    "idx": "idx_files",
}
FORMAT_NAMES = tuple(_MODULES)

LAYOUTS = ("shards", "folders")
"""How PNG files can be arranged. The second one is a format of that name, which is asked for with --layout."""


def option(name: str) -> str:
    """Return how the command line is asked for a format: `--format npz`, `--layout folders`."""
    return f"{'--layout' if name in LAYOUTS else '--format'} {name}"


class Written(NamedTuple):
    """What the content of a shard came out as; `sha256` is over its files, sample by sample."""

    files: int
    bytes: int
    sha256: str
    crcs: tuple[int, ...] = ()


class Collector(Protocol):
    """Joins what shards leave behind into files of the dataset as a whole; it is given every shard, in order."""

    def add(self, shard: Shard, record: Record) -> None:
        """Take what the shard has for the whole. Raises OSError."""
        ...

    def finish(self) -> dict[Path, FileSum]:
        """Complete the files, and return where they stand, under the names that they are to have. Raises OSError."""
        ...

    def abandon(self) -> None:
        """Close the files as they are."""
        ...


class Format(Protocol):
    """What each module of this package has.

    `SHARDS_STAND` tells whether the shards can be told apart in a finished dataset, to be checked one by one;
    `RANDOM_ACCESS`, whether a sample can be read alone; `ANY_WIDTH`, whether each image may have a width of its own;
    `MASKS`, whether there is a place for masks.
    """

    SHARDS_STAND: bool
    RANDOM_ACCESS: bool
    ANY_WIDTH: bool
    MASKS: bool
    SHARD_SIZE: int
    COMPRESSION: Compression

    def file_names(self, spec: Spec) -> tuple[str, ...]:
        """Return the files of the dataset as a whole, which the manifest sums up."""
        ...

    def shard_paths(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        """Return the files or folders of the shard alone, relative to the directory; there may be none."""
        ...

    def folders(self, directory: Path, spec: Spec) -> list[Path]:
        """Return the folders that shards go into, which may not be links. Raises RequestError for what cannot be."""
        ...

    def standing(self, directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
        """Yield what stands in the place of shards and is named like one, and whether it is one of the plan."""
        ...

    def prepare(self, directory: Path, spec: Spec) -> None:
        """Make what shards are written into, before any is. Raises OSError."""
        ...

    def write_shard(self, directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
        """Make the shard stand in the directory, by way of the stage, ready to be collected. Raises OSError."""
        ...

    def keep_shard(self, directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
        """Make a shard that stands ready to be collected, from its truth alone. Raises OSError."""
        ...

    def check_shard(self, directory: Path, spec: Spec, shard: Shard) -> Written:
        """Return what stands in the shard's place, to be held against a record. Raises OSError, FormatError."""
        ...

    def sum_of(self, directory: Path, name: str, spec: Spec) -> FileSum:
        """Return the sum of one of `file_names` as it stands in the directory. Raises OSError."""
        ...

    def collector(self, directory: Path, stage: Path, spec: Spec) -> Collector:
        """Return what joins the shards; it writes its files in the stage."""
        ...

    def read_texts(self, directory: Path, spec: Spec) -> Iterator[str]:
        """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
        ...

    def read(self, directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
        """Yield the samples of the shard as they stand on disk, in batches of `compose.spans`, masks and all.

        With `RANDOM_ACCESS` the shard may be a part of one, read in time that does not grow with the rest. Raises
        FormatError, OSError.
        """
        ...


class Nothing:
    """The collector of formats whose shards are all there is."""

    def add(self, shard: Shard, record: Record) -> None:
        """Take nothing."""

    def finish(self) -> dict[Path, FileSum]:
        """Return no files."""
        return {}

    def abandon(self) -> None:
        """Do nothing."""


def standing_shards(directory: Path, plan: Plan, path_of: Callable[[Shard], str]) -> Iterator[tuple[Path, bool]]:
    """Yield what `Format.standing` does, for formats whose shards have a file or folder each, named by a number."""
    first = directory / path_of(plan[0])
    if not first.parent.is_dir() or first.parent.is_symlink():
        return
    named_like_one = re.compile(r"(\d{5,9})" + re.escape(first.suffix), re.ASCII)
    for path in first.parent.iterdir():
        if name := named_like_one.fullmatch(path.name):
            number = int(name[1])
            yield path, number < len(plan) and path == directory / path_of(plan[number])


def get(name: str) -> Format:
    """Return the format of that name. Raises FormatError when there is none."""
    if name not in _MODULES:
        raise FormatError(f"there is no format {name!r}", hint=f"take one of {', '.join(FORMAT_NAMES)}")
    return cast(Format, import_module(f"{__name__}.{_MODULES[name]}"))
