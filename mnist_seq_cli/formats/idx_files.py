"""Owns the format `idx`: images, labels, lengths and masks as gzip IDX files, which any reader of MNIST reads.

A shard is a run of deflate data a file that ends on a byte, so that the runs of all shards, put one behind the other,
are the body of one gzip member (RFC 1951, section 3.2.4; RFC 1952). IDX has no place for glyph ids and left edges.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs.compression import Compression
from mnist_seq_cli.dataset.manifest import STATE_NAME, Record
from mnist_seq_cli.engine.batch import ABSENT, Annotations, Batch
from mnist_seq_cli.engine.compose import annotate, spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import Written
from mnist_seq_cli.formats.annotations import checked
from mnist_seq_cli.mnist import bank, idx
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.store import FileSum

IMAGES_NAME, LABELS_NAME, LENGTHS_NAME = "images-idx3-ubyte.gz", "labels-idx2-ubyte.gz", "lengths-idx1-ubyte.gz"
MASKS_NAME = "masks-idx3-ubyte.gz"
SHARD_SIZE = 10_000
SHARDS_STAND = False
RANDOM_ACCESS = False
ANY_WIDTH = False
MASKS = True
COMPRESSION: Compression = "small"

_LEVELS: dict[Compression, int] = {"fast": 0, "small": 1}
_LAST_BLOCK = b"\x03\x00"


def file_names(spec: Spec) -> tuple[str, ...]:
    """Return all files."""
    return (IMAGES_NAME, LABELS_NAME, LENGTHS_NAME, *([MASKS_NAME] if spec.masks else []))


def shard_paths(spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return nothing: a shard ends up as a part of the files."""
    return ()


def _waiting(directory: Path, shard: Shard) -> Path:
    return directory / STATE_NAME / "shards" / f"{shard.number:05d}"


def folders(directory: Path, spec: Spec) -> list[Path]:
    """Return nothing: there are none."""
    return []


def standing(directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
    """Yield nothing: shards have no place of their own."""
    yield from ()


def prepare(directory: Path, spec: Spec) -> None:
    """Make the folder where shards wait. Raises OSError."""
    if spec.recipe.length > 255:
        raise FormatError("IDX lengths are bytes, so a sequence has at most 255 digits", hint="take another format")
    local.make_directory(directory / STATE_NAME / "shards")


def keep_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
    """Do nothing: what waits is all there is."""


def _shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Return the shape of what each file holds."""
    recipe, samples = spec.recipe, spec.samples
    images = (samples, recipe.height, recipe.width)
    shapes = {IMAGES_NAME: images, LABELS_NAME: (samples, recipe.length), LENGTHS_NAME: (samples,), MASKS_NAME: images}
    return {name: shapes[name] for name in file_names(spec)}


def _arrays(batch: Batch) -> tuple[NDArray[np.uint8], ...]:
    plain = batch.images, batch.digits, batch.lengths.astype(np.uint8)
    return plain if batch.masks is None else (*plain, batch.masks)


def write_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
    """Write the shard's runs of deflate data in a new folder, and give it its name. Raises OSError."""
    staged = stage / str(shard.number)
    local.make_directory(staged)
    names = file_names(spec)
    deflaters = [_deflater(name, spec.compression) for name in names]
    with ExitStack() as stack:
        runs = [stack.enter_context(local.NewFile(staged / name)) for name in names]
        for batch in batches:
            for run, deflater, values in zip(runs, deflaters, _arrays(batch), strict=True):
                run.write(deflater.compress(np.ascontiguousarray(values).reshape(-1).data))
        for run, deflater in zip(runs, deflaters, strict=True):
            run.write(deflater.flush(isal_zlib.Z_FULL_FLUSH))
    local.place(staged, _waiting(directory, shard))
    return check_shard(directory, spec, shard)


def _deflater(name: str, compression: Compression) -> Any:
    if name in (LABELS_NAME, LENGTHS_NAME):
        # For rows of a few digits the faster codec is no faster, and what it made of them was not always the same.
        return zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return isal_zlib.compressobj(_LEVELS[compression], isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)


def check_shard(directory: Path, spec: Spec, shard: Shard) -> Written:
    """Return what waits to be collected of the shard. Raises OSError, FormatError."""
    digest, total, crcs = sha256(), 0, []
    for name in file_names(spec):
        inflater, crc = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS), 0
        for piece in _pieces(_waiting(directory, shard) / name):
            digest.update(piece)
            total += len(piece)
            try:
                crc = isal_zlib.crc32(inflater.decompress(piece), crc)
            except isal_zlib.error as error:  # type: ignore[misc]  # its stub takes the class for an exception
                raise FormatError(f"{name} is damaged ({error})") from None
        crcs.append(crc)
    return Written(len(crcs), total, digest.hexdigest(), tuple(crcs))


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces that are small even when they are inflated, a thousandfold at most."""
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            yield piece


class Members:
    """Joins the runs of the shards into gzip files."""

    def __init__(self, directory: Path, stage: Path, spec: Spec) -> None:
        self._directory = directory
        shapes = _shapes(spec)
        self._row_bytes = [int(np.prod(shape[1:], dtype=np.int64)) for shape in shapes.values()]
        self._files = [local.NewFile(stage / name) for name in shapes]
        self._crcs, self._sizes = [], []
        for file, shape in zip(self._files, shapes.values(), strict=True):
            header = idx.encode_header(np.dtype(np.uint8), shape)
            deflater = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
            file.write(idx.GZIP_HEADER + deflater.compress(header) + deflater.flush(zlib.Z_FULL_FLUSH))
            self._crcs.append(zlib.crc32(header))
            self._sizes.append(len(header))

    def add(self, shard: Shard, record: Record) -> None:
        """Append the shard's runs. Raises OSError."""
        if len(record.crcs) != len(self._files):
            raise FormatError(f"the record of shard {shard.number} has no checksums")
        for number, file in enumerate(self._files):
            for piece in _pieces(_waiting(self._directory, shard) / file.path.name):
                file.write(piece)
            size = shard.samples * self._row_bytes[number]
            self._crcs[number] = isal_zlib.crc32_combine(self._crcs[number], record.crcs[number], size)
            self._sizes[number] += size

    def finish(self) -> dict[Path, FileSum]:
        """Write the ends of the files, sync them, and return their sums. Raises OSError."""
        for file, crc, size in zip(self._files, self._crcs, self._sizes, strict=True):
            file.write(_LAST_BLOCK + idx.gzip_trailer(crc, size))
            file.close()
        return {file.path: file.sum for file in self._files}

    def abandon(self) -> None:
        """Close the files as they are."""
        for file in self._files:
            file.close(sync=False)


def sum_of(directory: Path, name: str, spec: Spec) -> FileSum:
    """Return size and SHA-256 of one of the files. Raises OSError."""
    return local.sum_of(directory / name)


def collector(directory: Path, stage: Path, spec: Spec) -> Members:
    """Return what joins the shards."""
    return Members(directory, stage, spec)


def read_texts(directory: Path, spec: Spec) -> Iterator[str]:
    """Yield the sequence of each sample as plain text, `0042`. Raises FormatError, OSError."""
    with _opened(directory, LABELS_NAME, spec) as labels, _opened(directory, LENGTHS_NAME, spec) as lengths:
        for first in range(0, spec.samples, SHARD_SIZE):
            count = min(SHARD_SIZE, spec.samples - first)
            digits, sizes = labels.rows(count), lengths.rows(count)
            for row, size in zip(digits.tolist(), sizes.tolist(), strict=True):
                yield "".join(map(str, row[:size]))
        labels.end()
        lengths.end()


def read(directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
    """Yield the samples of the shard in batches. Raises FormatError, OSError.

    IDX has no place for glyph ids, edges and boxes: they are worked out from the recipe, or are -1 where it draws from
    files of the user's own.
    """
    recipe = spec.recipe
    with ExitStack() as stack:
        files_open = [stack.enter_context(_opened(directory, name, spec)) for name in file_names(spec)]
        for file in files_open:
            file.skip(shard.first)
        for first, stop in spans(recipe, shard.first, shard.stop):
            images, digits, lengths, *masks = (file.rows(stop - first) for file in files_open)
            unknown = np.full(digits.shape, ABSENT, dtype=np.int32)
            traces: dict[str, Any] = {
                "glyphs": unknown,
                "x": unknown,
                "y": unknown,
                "boxes": np.repeat(unknown[:, :, None], 4, axis=2),
            }
            if recipe.source in BUNDLED_SOURCES:
                worked_out = annotate(recipe, bank.load(Source(recipe.source)), first, stop)
                traces = {name: getattr(worked_out, name) for name in traces}
            sizes, widths = lengths.astype(np.int32), np.full(len(digits), recipe.width, dtype=np.int32)
            traces["masks"] = masks[0] if masks else None
            yield checked(Batch(first, digits, sizes, widths=widths, images=images, **traces), LABELS_NAME)
        if shard.stop == spec.samples:
            for file in files_open:
                file.end()


class _Rows:
    """One of the files, read from front to end a few rows at a time."""

    def __init__(self, file: gzip.GzipFile, name: str, shape: tuple[int, ...]) -> None:
        self._file = file
        self._name = name
        self._row_shape = shape[1:]
        self._row_bytes = int(np.prod(self._row_shape, dtype=np.int64))
        header = idx.encode_header(np.dtype(np.uint8), shape)
        if self._read(len(header)) != header:
            raise FormatError(f"{name} does not hold {'×'.join(map(str, shape))} values, as the recipe makes them")

    def skip(self, count: int) -> None:
        """Pass over `count` rows. Raises FormatError, OSError."""
        left = count * self._row_bytes
        while left:
            left -= len(self._read(min(left, 1 << 20)))

    def rows(self, count: int) -> NDArray[np.uint8]:
        """Return the next `count` rows: uint8 (count, …). Raises FormatError, OSError."""
        content = self._read(count * self._row_bytes)
        return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(count, *self._row_shape)

    def end(self) -> None:
        """Check that this was all, and that it is what its checksum says. Raises FormatError, OSError."""
        if self._some(1):
            raise FormatError(f"{self._name} goes on where it should end")

    def _read(self, size: int) -> bytes:
        content = self._some(size)
        if len(content) != size:
            raise FormatError(f"{self._name} ends too early")
        return content

    def _some(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{self._name} is damaged ({error})") from None


@contextmanager
def _opened(directory: Path, name: str, spec: Spec) -> Iterator[_Rows]:
    with local.open_regular(directory / name) as packed, gzip.open(packed) as file:
        yield _Rows(file, name, _shapes(spec)[name])
