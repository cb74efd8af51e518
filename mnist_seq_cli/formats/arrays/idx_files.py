"""Owns the format `idx`: images, labels, lengths and masks as gzip IDX files, which any reader of MNIST reads.

A shard is a run of deflate data a file that ends on a byte, so that the runs of all shards, put one behind the other,
are the body of one gzip member (RFC 1951, section 3.2.4; RFC 1952). IDX has no room for glyph ids and left edges.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import Any, BinaryIO

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs.compression import LEVELS, Compression
from mnist_seq_cli.engine.batch import ARRAYS, Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.arrays.columns import places_of
from mnist_seq_cli.formats.format import Checksums, Content, File, Format, Opener, Part
from mnist_seq_cli.formats.reader import Reader, ShardReader
from mnist_seq_cli.formats.rows import checked
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Files

_CHUNK = 10_000
_HELD = idx.MAX_INFLATED
_LAST_BLOCK = b"\x03\x00"


class IdxFiles(Format):
    """Files in the format of MNIST itself."""

    NAME = "idx"
    HUB_FILES = ("*-ubyte.gz", "*-ubyte")
    READ = r"idx[1-9]-ubyte(\.gz)?"
    SEPARABLE = False
    MASKS = True

    def check(self, spec: Spec) -> None:
        super().check(spec)
        if spec.recipe.length > 255:
            raise FormatError("IDX lengths are bytes, so a sequence has at most 255 digits", hint="take another format")
        if spec.samples >= 2**32:
            raise FormatError(
                "IDX counts images in four bytes, so there are less than 2^32", hint="take another format"
            )

    def names(self, spec: Spec, asked: str | None, there: Collection[str], part: str) -> str:
        if spec.recipe.length > 1:
            if asked:
                raise RequestError(
                    f"`names={asked}` is for images of one digit each, and these have up to {spec.recipe.length}",
                    hint="give `length=1`, or leave `names` out",
                )
            return ""
        if not asked and "labels-idx2-ubyte.gz" in there:  # an earlier version made it
            return ""
        is_test = "test" in (part, spec.recipe.source)
        return ("mnist-t10k" if is_test else "mnist-train") if asked else "idx1"

    def joined(self, spec: Spec) -> tuple[str, ...]:
        return tuple(_files(spec).values())

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        """Yield the shard's runs of deflate data; the images as they come, and the others, which are small, after."""
        files = _files(spec)
        deflaters = {kind: _deflater(kind, name, spec.compression) for kind, name in files.items()}
        crcs = dict.fromkeys(deflaters, 0)
        runs = {kind: list[bytes]() for kind in deflaters if kind != "images"}

        def images() -> Iterator[bytes]:
            for batch in batches:
                for kind, values in _arrays(batch).items():
                    if kind not in files:
                        continue
                    content = np.ascontiguousarray(values).reshape(-1).data
                    crcs[kind] = isal_zlib.crc32(content, crcs[kind])
                    piece = deflaters[kind].compress(content)
                    if kind == "images":
                        yield piece
                    else:
                        runs[kind].append(piece)
            yield deflaters["images"].flush(isal_zlib.Z_FULL_FLUSH)

        yield File(self.part_name(spec, files["images"], shard), images())
        for kind, pieces in runs.items():
            pieces.append(deflaters[kind].flush(isal_zlib.Z_FULL_FLUSH))
            yield File(self.part_name(spec, files[kind], shard), b"".join(pieces))
        return tuple(crcs.values())

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        digest, total, crcs = sha256(), 0, []
        for name in self.joined(spec):
            inflater, crc = _inflater(name), 0
            with files.open(self.part_name(spec, name, shard)) as file:
                while piece := file.read(1 << 16):  # which stays small when it is inflated, a thousandfold at most
                    digest.update(piece)
                    total += len(piece)
                    try:
                        crc = isal_zlib.crc32(inflater.decompress(piece), crc)
                    except isal_zlib.error as error:  # type: ignore[misc]  # its stub takes the class for an exception
                        raise FormatError(f"{name} is damaged ({error})") from None
            crcs.append(crc)
        return Content(len(crcs), total, digest.hexdigest(), tuple(crcs))

    def join(self, spec: Spec, name: str, parts: Iterable[Part]) -> Iterator[bytes]:
        number, shape = self.joined(spec).index(name), _shape(spec, name)
        header, row_bytes = idx.encode_header(np.dtype(np.uint8), shape), int(np.prod(shape[1:], dtype=np.int64))
        if name.endswith(".gz"):
            deflater = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
            yield idx.GZIP_HEADER + deflater.compress(header) + deflater.flush(zlib.Z_FULL_FLUSH)
        else:
            yield header
        crc, size = zlib.crc32(header), len(header)
        for shard, crcs, pieces in parts:
            if len(crcs) != len(self.joined(spec)):
                raise FormatError(f"the record of shard {shard.number} has no checksums")
            yield from pieces
            crc = isal_zlib.crc32_combine(crc, crcs[number], shard.samples * row_bytes)
            size += shard.samples * row_bytes
        if name.endswith(".gz"):
            yield _LAST_BLOCK + idx.gzip_trailer(crc, size)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        with ExitStack() as stack:
            names = [name for kind, name in _files(spec).items() if kind in ("labels", "lengths")]
            labels, *lengths = [stack.enter_context(_opened(open_file, name, spec)) for name in names]
            for first in range(0, spec.samples, _CHUNK):
                count = min(_CHUNK, spec.samples - first)
                digits = labels.rows(count).reshape(count, -1)
                sizes = lengths[0].rows(count) if lengths else np.ones(count, np.uint8)
                for row, size in zip(digits.tolist(), sizes.tolist(), strict=True):
                    yield "".join(map(str, row[:size]))
            for file in (labels, *lengths):
                file.end()

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        """Yield the samples of the shard in batches. Raises FormatError, OSError.

        IDX has no room for glyph ids, edges and boxes: they are worked out from the recipe, or are -1 where it has
        custom glyphs.
        """
        with ExitStack() as stack:
            files = _files(spec)
            opened = {kind: stack.enter_context(_opened(open_file, name, spec)) for kind, name in files.items()}
            for file in opened.values():
                file.skip(shard.first)
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                count = stop - first
                rows = {kind: file.rows(count) for kind, file in opened.items()}
                digits = rows["labels"].reshape(count, -1)
                sizes = rows.get("lengths", np.ones(count, np.uint8)).astype(np.int32)
                widths, traces = (
                    np.full(count, spec.recipe.width, np.int32),
                    places_of(spec, range(first, stop), digits),
                )
                traces |= {"images": rows["images"], "masks": rows.get("masks")}
                yield checked(Batch(first, digits, sizes, widths=widths, **traces), files["labels"])
            if shard.stop == spec.samples:
                for file in opened.values():
                    file.end()

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        def read(shard: Shard) -> Iterator[Batch]:
            return self.read(spec, shard, open_file)

        size = sum(int(np.prod(_shape(spec, name), dtype=np.int64)) for name in self.joined(spec))
        return _Whole(spec.samples, read) if size <= _HELD else _Parts(spec, size, read)

    def detect(self, start: bytes) -> bool:
        return idx.looks_like_idx(start[:16])


class _Whole:
    """Holds all samples, as far as they were asked for: read from front to end, at least twice as many each time."""

    def __init__(self, samples: int, read: Callable[[Shard], Iterator[Batch]]) -> None:
        self._samples, self._read, self._done = samples, read, 0
        self._held: dict[str, NDArray[Any]] = {}

    def read(self, samples: Numbers) -> Batch:
        last = samples[-1] if isinstance(samples, range) else int(samples.max())
        if last >= self._done:
            self._fill(self._done, min(max(last + 1, 2 * self._done, _CHUNK), self._samples))
        arrays: dict[str, Any] = {name: values[as_array(samples)] for name, values in self._held.items()}
        return Batch(int(samples[0]), **arrays, chosen=None if isinstance(samples, range) else samples)

    def _fill(self, done: int, stop: int) -> None:
        for batch in self._read(Shard(0, done, stop)):
            rows = slice(batch.first, batch.first + len(batch))
            for name in (*ARRAYS, "images", *([] if batch.masks is None else ["masks"])):
                values = getattr(batch, name)
                if name not in self._held:
                    self._held.setdefault(name, np.empty((self._samples, *values.shape[1:]), values.dtype))
                self._held[name][rows] = values
        self._done = stop


class _Parts(ShardReader):
    """Holds a shard at a time, of what is too large to be held."""

    def __init__(self, spec: Spec, size: int, read: Callable[[Shard], Iterator[Batch]]) -> None:
        super().__init__(spec.plan, read)
        self._size, self._limit = size, spec.samples * _HELD // size

    def read(self, samples: Numbers) -> Batch:
        if not isinstance(samples, range) and np.ptp(samples) >= self._limit:
            raise FormatError(
                f"these samples are too far apart to be read at once: inflated, all are {self._size >> 20} MiB, and"
                f" {_HELD >> 20} MiB at most are held",
                hint="read them in order, or take the format npz",
            )
        return super().read(samples)


def _files(spec: Spec) -> dict[str, str]:
    """Return the name of each file by what it has: images, labels, lengths and masks."""
    before, after = "", ".gz"
    if spec.names.startswith("mnist-"):
        before, after = f"{spec.names.removeprefix('mnist-')}-", ""
    kinds = {"images": 3, "labels": 1} if spec.names else {"images": 3, "labels": 2, "lengths": 1}
    kinds |= {"masks": 3} if spec.masks else {}
    return {kind: f"{before}{kind}-idx{dimensions}-ubyte{after}" for kind, dimensions in kinds.items()}


def _shape(spec: Spec, name: str) -> tuple[int, ...]:
    """Return the shape of what a file holds."""
    recipe = spec.recipe
    (dimensions,) = (int(part[3]) for part in name.split("-") if part.startswith("idx"))
    return {1: (spec.samples,), 2: (spec.samples, recipe.length), 3: (spec.samples, recipe.height, recipe.width)}[
        dimensions
    ]


def _arrays(batch: Batch) -> dict[str, NDArray[np.uint8]]:
    arrays = {"images": batch.images, "labels": batch.digits, "lengths": batch.lengths.astype(np.uint8)}
    return arrays if batch.masks is None else {**arrays, "masks": batch.masks}


class _Stored:
    """What neither compresses nor inflates."""

    def compress(self, content: Any) -> bytes:
        return bytes(content)

    decompress = compress

    def flush(self, _mode: int) -> bytes:
        return b""


def _deflater(kind: str, name: str, compression: Compression) -> Any:
    """Return the compressor of a file; what it has made ends on a byte after a full flush."""
    if not name.endswith(".gz"):
        return _Stored()
    if kind in ("labels", "lengths"):
        # For rows of a few digits the faster codec is no faster.
        return zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return isal_zlib.compressobj(LEVELS[compression], isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)


def _inflater(name: str) -> Any:
    return isal_zlib.decompressobj(-isal_zlib.MAX_WBITS) if name.endswith(".gz") else _Stored()


class _ArrayFile:
    """One of the files, read from front to end a few rows at a time."""

    def __init__(self, file: BinaryIO, name: str, shape: tuple[int, ...]) -> None:
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
        except (EOFError, isal_zlib.error, gzip.BadGzipFile) as error:  # type: ignore[misc]  # as above
            raise FormatError(f"{self._name} is damaged ({error})") from None


@contextmanager
def _opened(open_file: Opener, name: str, spec: Spec) -> Iterator[_ArrayFile]:
    with open_file(name) as file:
        if not name.endswith(".gz"):
            yield _ArrayFile(file, name, _shape(spec, name))
            return
        with igzip.open(file) as inflated:  # type: ignore[no-untyped-call]
            yield _ArrayFile(inflated, name, _shape(spec, name))
