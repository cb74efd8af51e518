"""Owns what a format is: batches to the named content of a shard and back; with the defaults of "one file a shard".

A format knows no disk. It says which names there should be, gives content by name, and takes it back through a function
that opens a name. Files of the dataset as a whole are joined from parts, one a shard: of rows made from annotations
alone (`extras`), or of what `write` has made (`joined`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from hashlib import sha256
from itertools import accumulate, chain
from typing import BinaryIO, ClassVar, NamedTuple

from mnist_seq_cli.codecs.compression import Compression
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.reader import Reader, ShardReader
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import STATE_NAME, Entry, Files, FileSum, Region, pieces_of, sum_of

Opener = Callable[[str], BinaryIO]
"""Opens a file of a dataset by its name. Raises OSError."""

Checksums = tuple[int, ...]
"""CRC-32s of the parts of a shard, for formats whose shards are joined."""


class File(NamedTuple):
    """A file of a shard: its name in the dataset, and its content, whole or in pieces."""

    name: str
    content: bytes | Iterator[bytes]


class Content(NamedTuple):
    """The sums of the files of a shard; `sha256` is over the content of all, in their order."""

    files: int
    bytes: int
    sha256: str
    crcs: Checksums = ()


class Extra(NamedTuple):
    """A file of the dataset as a whole that is made of annotations alone: how it begins, the rows of samples, its end.

    Rows begin with the `separator`, which the first one loses. `more` are sections that follow, whose names are those
    of their parts. With `of_masks` rows are made of batches with masks; `convert` makes the file of what is joined.
    """

    name: str
    head: bytes
    rows: Callable[[Shard, Annotations], bytes]
    tail: bytes = b""
    separator: bytes = b""
    more: tuple[Extra, ...] = ()
    of_masks: bool = False
    convert: Callable[[Iterable[bytes]], Iterator[bytes]] | None = None

    @property
    def sections(self) -> tuple[Extra, ...]:
        """The sections of the file, of which it is the first itself."""
        return (self, *self.more)

    def content(self, parts: Callable[[str], Iterable[bytes]]) -> Iterator[bytes]:
        """Yield the content of the file in pieces; `parts` gives those of the rows of a section."""
        joined = self._joined(parts)
        return joined if self.convert is None else self.convert(joined)

    def _joined(self, parts: Callable[[str], Iterable[bytes]]) -> Iterator[bytes]:
        for section in self.sections:
            yield section.head
            skipped = len(section.separator)
            for piece in parts(section.name):
                yield piece[skipped:]
                skipped = 0
            yield section.tail


class SideFiles(NamedTuple):
    """Small files of each shard that are made of annotations alone; the manifest sums up those of all, by `name`.

    `names` gives those of a shard. `contents` are of some of its samples: content of one name follows what was before.
    """

    name: str
    names: Callable[[Shard], list[str]]
    contents: Callable[[Shard, Annotations], Iterable[tuple[str, bytes]]]

    def summed(self, files: Iterable[tuple[str, bytes]]) -> bytes:
        """Return what the sum is over, of some files."""
        return b"".join([b"%b\n%b" % (name.encode(), content) for name, content in files])


class Part(NamedTuple):
    """What a shard has for a file of the dataset as a whole."""

    shard: Shard
    crcs: Checksums
    pieces: Iterator[bytes]


class Format(ABC):
    """A way to write samples and to read them again. A new one has a name, `write`, and `read` or `reader`.

    The rest has defaults.

    `SUFFIX` ends the name of the one file of a shard; it is empty where shards have no such file. `SEPARABLE` says
    whether the shards can be told apart in a complete dataset, to be checked one by one; `SMALL_FILES`, whether shards
    are many files of one piece; `ANY_WIDTH`, whether each image may have a different width; `MASKS`, whether there is
    room for masks; `ANNOTATIONS`, for which trainers there can be files beside; `RANDOM_ACCESS`, whether `reader` reads
    a sample without reading all of its shard before. `READ` is a pattern of how the names of files end that readers
    take for samples wherever they are; `HUB_FILES` are patterns of the files with samples, and `ON_HUB` whether Hugging
    Face's `load_dataset` has a loader for them.
    """

    NAME: ClassVar[str]
    SUFFIX: ClassVar[str] = ""
    READ: ClassVar[str] = ""
    HUB_FILES: ClassVar[tuple[str, ...]] = ()
    ON_HUB: ClassVar[bool] = False
    SEPARABLE: ClassVar[bool] = True
    SMALL_FILES: ClassVar[bool] = False
    ANY_WIDTH: ClassVar[bool] = False
    MASKS: ClassVar[bool] = False
    ANNOTATIONS: ClassVar[tuple[str, ...]] = ()
    RANDOM_ACCESS: ClassVar[bool] = False
    SHARD_SIZE: ClassVar[int] = 10_000
    COMPRESSION: ClassVar[Compression] = "small"

    def check(self, spec: Spec) -> None:
        """Raise RequestError or FormatError for what this format has no room for, before anything is written."""
        if none := [name for name in spec.annotations if name not in self.ANNOTATIONS]:
            known = f"it has {', '.join(self.ANNOTATIONS)}" if self.ANNOTATIONS else "take the format png"
            raise RequestError(f"there are no `annotations` {none[0]} for {self.NAME}", hint=known)
        if len(names := self.file_names(spec)) > len({*names}):
            name = next(name for name in names if names.count(name) > 1)
            raise RequestError(f"two of the `annotations` are called {name}", hint="ask for one of them")
        if spec.masks and not self.MASKS:
            raise RequestError(f"the format {self.NAME} cannot hold masks", hint="leave `masks` out")

    def names(self, spec: Spec, asked: str, there: Collection[str], part: str) -> str:
        """Return how files are called, see `are_file_names`; `there` are those of the dataset that is complete.

        `part` is the name of the split that it is, or empty. What is `asked` for is `mnist`, how the files were called
        whose recipe it is, or empty. Raises RequestError where it cannot be.
        """
        if asked == "mnist":
            raise RequestError(f"`names={asked}` is for IDX files", hint="take `format=idx`, or leave `names` out")
        return ""

    def shard_size(self, samples: int) -> int:
        """Return how many samples a shard has by default: of 2,000 samples and more, there are files for 8 readers."""
        return min(self.SHARD_SIZE, -(-samples // 8)) if self.SUFFIX and samples >= 2_000 else self.SHARD_SIZE

    def notes(self, spec: Spec) -> tuple[str, ...]:
        """Return what its readers will not take as it is, for people."""
        return ()

    # Names

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        """Return the file of the shard alone, or its folders with `SMALL_FILES`; there may be none."""
        return (f"{spec.plan.digits.shard(shard.number)}{self.SUFFIX}",) if self.SUFFIX else ()

    def folders(self, spec: Spec, files: Files) -> list[str]:
        """Return the folders that shards go into."""
        parents = (name.rpartition("/")[0] for name in self.shard_names(spec, spec.plan[0]))
        return [parent for parent in parents if parent]

    def extras(self, spec: Spec) -> tuple[Extra, ...]:
        """Return the files of the dataset as a whole that are made of annotations alone."""
        return ()

    def beside(self, spec: Spec) -> tuple[SideFiles, ...]:
        """Return the small files of shards that are made of annotations alone."""
        return ()

    def joined(self, spec: Spec) -> tuple[str, ...]:
        """Return the files of the dataset as a whole that are joined from what `write` makes."""
        return ()

    def file_names(self, spec: Spec) -> tuple[str, ...]:
        """Return the files of the dataset as a whole, which the manifest sums up."""
        return (*self.joined(spec), *(extra.name for extra in self.extras(spec)))

    def part_name(self, spec: Spec, name: str, shard: Shard) -> str:
        """Return the file in which what a shard has for a file of the whole waits to be joined."""
        kind = "shards" if name in self.joined(spec) else "rows"
        return f"{STATE_NAME}/{kind}/{spec.plan.digits.shard(shard.number)}/{name.replace('/', '~')}"

    def image_names(self, spec: Spec, samples: Numbers) -> list[str]:
        """Return the names of the images of samples; none where these are no files of their own."""
        return []

    def existing(self, spec: Spec, files: Files) -> Iterator[tuple[str, bool]]:
        """Yield what is named like a shard, and whether it is one of the plan."""
        plan = spec.plan
        for first in self.shard_names(spec, plan[0]):
            folder, _, last = first.rpartition("/")
            like_one = re.compile(re.sub(r"(?<!\w)\d{5,}", r"(\\d{5,9})", re.escape(last)), re.ASCII)
            for entry in files.list(folder):
                if name := like_one.fullmatch(entry.name.rpartition("/")[2]):
                    number = int(name[1])
                    yield entry.name, number < len(plan) and entry.name in self.shard_names(spec, plan[number])

    def is_read(self, files: Files, entry: Entry) -> bool:
        """Return whether readers would take a file, or one in a folder, for samples; they ignore hidden ones.

        A link whose name has no suffix may lead to a folder of such files.
        """
        name = entry.name.rpartition("/")[2]
        if name.startswith("."):
            return False
        if entry.kind == "folder":
            return any(self.is_read(files, inside) for inside in files.list(entry.name))
        known = re.search(rf"({self.READ or re.escape(self.SUFFIX) or '$^'})$", name, re.IGNORECASE)
        return known is not None or (entry.kind == "other" and "." not in name)

    def foreign(self, spec: Spec, files: Files) -> Iterator[str]:
        """Yield the files and folders that are not of the dataset, and that readers would take for samples.

        No run may remove them, unlike those that `existing` yields: they may be somebody's only copy.
        """
        ours = {*self.file_names(spec), *(name for name, _ in self.existing(spec, files))}
        nested = (accumulate(folder.split("/"), "{}/{}".format) for folder in self.folders(spec, files))
        parents = dict.fromkeys(("", *chain.from_iterable(nested)))
        for folder in parents:
            for entry in files.list(folder):
                if entry.name not in ours and entry.name not in parents and self.is_read(files, entry):
                    yield entry.name

    # Content

    @abstractmethod
    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        """Yield the files of the shard in the order that its checksum is over; return those of its parts, if any.

        The pieces of a file are taken before the next file is asked for.
        """

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        """Yield the samples of the shard in batches of `compose.spans`, masks and all. Raises FormatError, OSError.

        Where formats are not `SEPARABLE` it may be any run of samples. By default the `reader` reads them.
        """
        reader = self.reader(spec, open_file)
        yield from (reader.read(range(*span)) for span in spans(spec.recipe, shard.first, shard.stop))

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        """Return what reads any samples, in any order; nothing is read yet. By default `read` gives a whole shard."""
        return ShardReader(spec.plan, lambda shard: self.read(spec, shard, open_file))

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        """Return the sums of the shard as it is stored, to be compared with a record. Raises OSError, FormatError.

        By default they are over its own files, or else over its parts of the `joined` ones.
        """
        parts = (self.part_name(spec, name, shard) for name in self.joined(spec))
        digest, size, names = sha256(), 0, self.shard_names(spec, shard) or tuple(parts)
        for name in names:
            for piece in pieces_of(files, name):
                digest.update(piece)
                size += len(piece)
        return Content(len(names), size, digest.hexdigest())

    def join(self, spec: Spec, name: str, parts: Iterable[Part]) -> Iterator[bytes]:
        """Yield the content of one of the `joined` files, in pieces."""
        for part in parts:
            yield from part.pieces

    def sum_of(self, spec: Spec, name: str, file: BinaryIO) -> FileSum:
        """Return the sum of a file of the dataset as a whole, as the manifest has it. Raises OSError."""
        return sum_of(file)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
        for shard in spec.plan:
            for batch in self.read(spec, shard, open_file):
                yield from batch.texts

    def finder(self, spec: Spec) -> Callable[[str], int | None] | None:
        """Return a function from the name of an image to its sample; None where names are the numbers of samples."""
        return None

    def stream(self, spec: Spec, batches: Iterable[Batch]) -> Iterator[bytes]:
        """Yield all samples as one file, piece by piece. Raises RequestError where the format is no stream."""
        raise RequestError(f"the format {self.NAME} cannot go to stdout", hint="`format=webdataset` can")

    def detect(self, start: bytes) -> bool:
        """Return whether a file that begins with these bytes (512, or all) can be one of this format."""
        return False


class InPlaceFormat(Format):
    """A format of one file in which each shard has a place of its own, known from the spec.

    Until all is there the file is in the state folder, and nothing is joined. In a store without random access the
    regions of each shard wait there in a file of their own, one after the other.
    """

    FILE_NAME: ClassVar[str]

    @property
    def growing_name(self) -> str:
        """The name of the file until all is there."""
        return f"{STATE_NAME}/{self.FILE_NAME}"

    @abstractmethod
    def file_size(self, spec: Spec) -> int:
        """Return the bytes of the file as far as shards are written to it."""

    @abstractmethod
    def write_regions(
        self, spec: Spec, shard: Shard, batches: Iterable[Batch]
    ) -> Generator[Region, None, Checksums | None]:
        """Yield the regions of the shard, and return the checksums of its parts."""

    @abstractmethod
    def places(self, spec: Spec, shard: Shard) -> Iterator[tuple[int, int]]:
        """Yield the offset in the file, and the bytes, of each region of the shard, in the order of `write_regions`."""

    @abstractmethod
    def measure_regions(self, spec: Spec, contents: Iterable[bytes]) -> Content:
        """Return the sums of the regions of a shard, whose contents are given in their order."""

    @abstractmethod
    def complete(self, spec: Spec, parts: Iterable[tuple[Shard, Checksums]]) -> Iterator[Region]:
        """Yield what is around the regions of all shards; the last region ends the file. Raises FormatError."""

    def joined(self, spec: Spec) -> tuple[str, ...]:
        """Return the one file."""
        return (self.FILE_NAME,)

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        """Raise TypeError: shards are written by `write_regions`."""
        raise TypeError(f"{self.NAME} is written in place")

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        """Return the sums of the regions of the shard, where they are now. Raises OSError."""
        waiting = self.part_name(spec, self.FILE_NAME, shard)
        folders = (STATE_NAME, waiting.rpartition("/")[0])
        there = {entry.name for folder in folders for entry in files.list(folder)}
        name = next((name for name in (self.growing_name, waiting) if name in there), self.FILE_NAME)

        def contents(file: BinaryIO) -> Iterator[bytes]:
            for offset, size in self.places(spec, shard):
                if name != waiting:
                    file.seek(offset)
                yield file.read(size)

        with files.open(name) as file:
            return self.measure_regions(spec, contents(file))

    def waiting_regions(self, spec: Spec, shard: Shard, file: BinaryIO) -> Iterator[Region]:
        """Yield the regions of a shard that wait in a file of their own. Raises FormatError, OSError."""
        for offset, size in self.places(spec, shard):
            content = file.read(size)
            if len(content) != size:
                raise FormatError(f"{self.part_name(spec, self.FILE_NAME, shard)} is too short")
            yield Region(offset, content)
