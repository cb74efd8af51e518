"""Owns the table of formats, and what a format is: a way to write shards of samples and to read them again."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe import Shard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnist_seq_cli.compose import Batch, Truth
    from mnist_seq_cli.files import FileSum
    from mnist_seq_cli.manifest import Record, Spec
    from mnist_seq_cli.png import Compression

_MODULES = {"png": "png_folder"}
FORMAT_NAMES = tuple(_MODULES)


class Written(NamedTuple):
    """What the content of a shard came out as; `sha256` is over its files in the order of their names."""

    files: int
    bytes: int
    sha256: str
    crcs: tuple[int, ...] = ()


class Collector(Protocol):
    """Joins what shards leave behind into files of the dataset as a whole; it is given every shard, in order."""

    def add(self, directory: Path, shard: Shard, record: "Record") -> None:
        """Take what the shard has for the whole."""
        ...

    def finish(self) -> "dict[str, FileSum]":
        """Complete the files, under these names in the stage. Raises OSError."""
        ...

    def abandon(self) -> None:
        """Close the files as they are."""
        ...


class Format(Protocol):
    """What each module of this package has. Paths are relative to the dataset's directory."""

    FILES: tuple[str, ...]
    SHARD_SIZE: int
    COMPRESSION: "Compression"

    def shard_path(self, shard: Shard) -> str:
        """Return where the shard stands: a file or a folder."""
        ...

    def side_path(self, shard: Shard) -> str:
        """Return where rows wait until they are collected, or nothing where the format has none."""
        ...

    def write_shard(self, spec: "Spec", shard: Shard, batches: "Iterator[Batch]", path: Path) -> Written:
        """Write the shard as `path`, which does not exist yet. Raises OSError."""
        ...

    def write_side(self, spec: "Spec", shard: Shard, truths: "Iterator[Truth]", path: Path) -> None:
        """Write the shard's rows as `path`, which does not exist yet. Raises OSError."""
        ...

    def check_shard(self, path: Path) -> Written:
        """Return what stands at `path`, to be held against a record. Raises OSError."""
        ...

    def collector(self, spec: "Spec", stage: Path) -> Collector:
        """Return what joins the shards; it writes its files in `stage`."""
        ...

    def read_texts(self, directory: Path, spec: "Spec") -> Iterator[str]:
        """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
        ...

    def read_images(self, directory: Path, spec: "Spec", shard: Shard) -> "Iterator[NDArray[np.uint8]]":
        """Yield the image of each sample of the shard: uint8 (height, width). Raises FormatError, OSError."""
        ...


def get(name: str) -> Format:
    """Return the format of that name. Raises FormatError when there is none."""
    if name not in _MODULES:
        raise FormatError(f"there is no format {name!r}", hint=f"take one of {', '.join(FORMAT_NAMES)}")
    return cast(Format, import_module(f"{__name__}.{_MODULES[name]}"))
