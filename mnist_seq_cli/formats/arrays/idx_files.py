"""Owns the format `idx`: images, labels, lengths and masks as gzip IDX files, which any reader of MNIST reads.

A shard is a run of deflate data a file that ends on a byte, so that the runs of all shards, put one behind the other,
are the body of one gzip member (RFC 1951, section 3.2.4; RFC 1952). IDX has no room for glyph ids and left edges.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.codecs.compression import LEVELS, Compression
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.arrays.columns import places_of
from mnist_seq_cli.formats.arrays.idx_reader import any_rows, files_of, opened, shape_of
from mnist_seq_cli.formats.format import Checksums, Content, File, Format, Opener, Part
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import checked
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Files

_CHUNK = 10_000
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

    def names(self, spec: Spec, asked: str, there: Collection[str], part: str) -> str:
        if asked.startswith("mnist"):
            return f"mnist-{_mnist_name(spec, part or ('test' if asked == 'mnist-t10k' else ''))}"
        if spec.recipe.length > 1 or "labels-idx2-ubyte.gz" in there:  # which an earlier version made of any
            return ""
        return "idx1"

    def notes(self, spec: Spec) -> tuple[str, ...]:
        if not spec.names.startswith("mnist-") or spec.recipe.invert:
            return ()
        return ("MNIST's own digits are light on dark, and these are dark on light: --invert makes them so",)

    def joined(self, spec: Spec) -> tuple[str, ...]:
        return tuple(files_of(spec).values())

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        """Yield the shard's runs of deflate data; the images as they come, and the others, which are small, after."""
        files = files_of(spec)
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
        number, shape = self.joined(spec).index(name), shape_of(spec, name)
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
            names = [name for kind, name in files_of(spec).items() if kind in ("labels", "lengths")]
            labels, *lengths = [stack.enter_context(opened(open_file, name, spec)) for name in names]
            for first in range(0, spec.samples, _CHUNK):
                count = min(_CHUNK, spec.samples - first)
                digits = labels.rows(count).reshape(count, -1)
                sizes = lengths[0].rows(count) if lengths else np.ones(count, np.uint8)
                for row, size in zip(digits.tolist(), sizes.tolist(), strict=True):
                    yield "".join(map(str, row[:size]))
            for file in (labels, *lengths):
                file.end()

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        """Yield the samples of the shard in batches, with the glyphs, edges and boxes of the recipe (`places_of`)."""
        with ExitStack() as stack:
            files = files_of(spec)
            rows_of = {kind: stack.enter_context(opened(open_file, name, spec)) for kind, name in files.items()}
            for file in rows_of.values():
                file.skip(shard.first)
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                count = stop - first
                rows = {kind: file.rows(count) for kind, file in rows_of.items()}
                digits = rows["labels"].reshape(count, -1)
                sizes = rows.get("lengths", np.ones(count, np.uint8)).astype(np.int32)
                known = places_of(spec, range(first, stop), digits)
                known |= {"images": rows["images"], "masks": rows.get("masks")}
                known["widths"] = np.full(count, spec.recipe.width, np.int32)
                yield checked(Batch(first, digits, sizes, **known), files["labels"])
            if shard.stop == spec.samples:
                for file in rows_of.values():
                    file.end()

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return any_rows(spec, lambda shard: self.read(spec, shard, open_file))

    def detect(self, start: bytes) -> bool:
        return idx.looks_like_idx(start[:16])


def _mnist_name(spec: Spec, part: str) -> str:
    """Return what MNIST calls a file of digits, train or t10k. Raises RequestError for what it has no files for."""
    recipe = spec.recipe
    if (recipe.length, recipe.height, recipe.width) != (1, 28, 28):
        raise RequestError(
            "`names=mnist` is for images of one digit, 28×28, and these have"
            + (f" up to {recipe.length} digits" if recipe.length > 1 else f" {recipe.width}×{recipe.height}"),
            hint="leave `names` out",
        )
    if part not in ("", "train", "test"):
        raise RequestError(f"`names=mnist` is for the splits train and test, and one is called {part}")
    return "t10k" if "test" in (part, recipe.source) else "train"


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
