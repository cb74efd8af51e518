"""Owns the format `lmdb`: one LMDB environment, as PARSeq, deep-text-recognition-benchmark and PaddleOCR read it.

Keys count from 1: `image-000000001` a PNG file, `label-000000001` the sequence as text, and `num-samples`; beside what
these readers look for, `annotations-000000001` a row of JSON, and `mask-000000001` a PNG file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO

from mnist_seq_cli.codecs import lmdb_pages, png
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, Content, File, Format, Opener, Part
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import decoded, parse_row, rows_of, strict_keys
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Files, identity, pieces_of

FILE_NAME = "data.mdb"

_LONGEST = 25
"""Digits of the longest label that its readers take, unless they are told otherwise."""


class LmdbFile(Format):
    """One file of keys and values."""

    NAME = "lmdb"
    READ = r"(?<!lock)\.mdb"
    HUB_FILES = (FILE_NAME,)
    SEPARABLE = False
    ANY_WIDTH = MASKS = RANDOM_ACCESS = True
    COMPRESSION = "fast"

    def joined(self, spec: Spec) -> tuple[str, ...]:
        return (FILE_NAME,)

    def notes(self, spec: Spec) -> tuple[str, ...]:
        if spec.recipe.length <= _LONGEST:
            return ()
        return (f"labels of more than {_LONGEST} digits are left out by PARSeq and the like, unless they are told",)

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        leaves = lmdb_pages.Leaves()

        def pages() -> Iterator[bytes]:
            for batch in batches:
                first = batch.first + 1
                rows = list(rows_of(spec.recipe, batch))
                leaves.add(b"annotations", first, [f"{{{row}}}".encode() for _, row in rows])
                leaves.add(b"image", first, png.encode(batch.images, spec.compression, batch.widths))
                leaves.add(b"label", first, [text.encode() for text, _ in rows])
                if batch.masks is not None:
                    leaves.add(b"mask", first, png.encode(batch.masks, spec.compression, batch.widths))
                yield leaves.taken()
            yield leaves.taken(end=True)

        yield File(self.part_name(spec, FILE_NAME, shard), pages())
        return leaves.leaves, leaves.overflow

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        digest, size = sha256(), 0

        def summed() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces_of(files, self.part_name(spec, FILE_NAME, shard)):
                digest.update(piece)
                size += len(piece)
                yield piece

        counts = lmdb_pages.counted(summed(), f"shard {shard.number}")
        return Content(1, size, digest.hexdigest(), counts)

    def join(self, spec: Spec, name: str, parts: Iterable[Part]) -> Iterator[bytes]:
        found = []
        for shard, crcs, pieces in parts:
            if len(crcs) != 2:
                raise FormatError(f"the record of shard {shard.number} has no counts of pages")
            found.append(((crcs[0], crcs[1]), pieces))
        return lmdb_pages.joined(found, spec.samples, 3 + spec.masks)

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        reader, texts = self.reader(spec, open_file), _texts(shard, open_file)
        for first, stop in spans(spec.recipe, shard.first, shard.stop):
            batch = reader.read(range(first, stop))
            for sample, text, label in zip(batch.samples, batch.texts, texts, strict=False):
                if text != label:
                    raise FormatError(f"{FILE_NAME} has label {label!r} of sample {sample}, which shows {text}")
            yield batch

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return _Reader(spec, open_file)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        return _texts(Shard(0, 0, spec.samples), open_file)

    def detect(self, start: bytes) -> bool:
        return start[16:].startswith(lmdb_pages.MAGIC)


def _texts(shard: Shard, open_file: Opener) -> Iterator[str]:
    """Yield the labels of samples. Raises FormatError, OSError."""
    tree = lmdb_pages.Tree()
    with open_file(FILE_NAME) as file:
        for sample in range(shard.first, shard.stop):
            yield _value(tree, file, b"label", sample).decode("ascii", "replace")


def _value(tree: lmdb_pages.Tree, file: BinaryIO, name: bytes, sample: int) -> bytes:
    try:
        return tree.get(file, identity(file), b"%b-%09d" % (name, sample + 1))
    except FormatError as error:
        raise FormatError(f"{FILE_NAME} is damaged: {error.args[0]}") from None


class _Reader:
    """Finds each sample in the tree, whose branches are held."""

    def __init__(self, spec: Spec, open_file: Opener) -> None:
        self._spec, self._open_file, self._tree = spec, open_file, lmdb_pages.Tree()

    def read(self, samples: Numbers) -> Batch:
        numbers, keys = as_array(samples).tolist(), strict_keys(self._spec.recipe)
        wheres = [f"sample {number} in {FILE_NAME}" for number in numbers]
        with self._open_file(FILE_NAME) as file:
            images, rows, masks = (
                [_value(self._tree, file, name, number) for number in numbers] if name else []
                for name in (b"image", b"annotations", b"mask" if self._spec.masks else b"")
            )
        parsed = [parse_row(row, where, keys) for row, where in zip(rows, wheres, strict=True)]
        return decoded(self._spec, samples, wheres, images, parsed, masks)
