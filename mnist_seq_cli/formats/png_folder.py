"""Owns the format `png`: a folder of PNG files a shard, labels.csv and metadata.jsonl beside the folders.

Hugging Face's imagefolder reads metadata.jsonl; pandas and the like read labels.csv, whose labels are written 0-0-4-2
because a column of digits would be taken for numbers and lose its zeros.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import files, png
from mnist_seq_cli.compose import Batch, Truth
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.files import FileSum
from mnist_seq_cli.formats import Written
from mnist_seq_cli.manifest import STATE_NAME, Record, Spec
from mnist_seq_cli.recipe import Shard

SHARD_SIZE = 1_000
COMPRESSION: png.Compression = "fast"

IMAGES_NAME = "images"
LABELS_NAME = "labels.csv"
METADATA_NAME = "metadata.jsonl"
FILES = (LABELS_NAME, METADATA_NAME)
LABELS_HEADER = b"file_name,label\n"

_COPY_SIZE = 1 << 20
_MAX_LINE = 8192


def shard_path(shard: Shard) -> str:
    """Return the folder of the shard."""
    return f"{IMAGES_NAME}/{shard.number:05d}"


def side_path(shard: Shard) -> str:
    """Return the folder where the shard's rows wait until their turn."""
    return f"{STATE_NAME}/rows/{shard.number:05d}"


def file_name(sample: int, shard: Shard) -> str:
    """Return the name that a sample's image goes by in labels and metadata."""
    return f"{shard_path(shard)}/{sample:08d}.png"


def write_shard(spec: Spec, shard: Shard, batches: Iterator[Batch], path: Path) -> Written:
    """Write a PNG file for each sample in the new folder `path`. Raises OSError."""
    files.make_directory(path)
    digest, total = sha256(), 0
    start = f"{path}{os.sep}"
    for batch in batches:
        contents = png.encode(batch.images, spec.compression)
        for sample, content in enumerate(contents, batch.first):
            files.write_new(f"{start}{sample:08d}.png", content)
        joined = b"".join(contents)
        digest.update(joined)
        total += len(joined)
    return Written(shard.samples, total, digest.hexdigest())


def write_side(spec: Spec, shard: Shard, truths: Iterator[Truth], path: Path) -> None:
    """Write the shard's rows of labels.csv and metadata.jsonl in the new folder `path`. Raises OSError."""
    files.make_directory(path)
    labels, metadata = [], []
    for truth in truths:
        texts = texts_of(truth.digits, truth.lengths)
        rows = zip(texts, truth.glyphs.tolist(), truth.x.tolist(), strict=True)
        for sample, (text, glyphs, x) in enumerate(rows, truth.first):
            name = file_name(sample, shard)
            labels.append(f"{name},{'-'.join(text)}\n")
            metadata.append(f'{{"file_name": "{name}", "text": "{text}", "glyphs": {glyphs}, "x": {x}}}\n')
    files.write_new(str(path / LABELS_NAME), "".join(labels).encode())
    files.write_new(str(path / METADATA_NAME), "".join(metadata).encode())


def texts_of(digits: NDArray[np.uint8], lengths: NDArray[np.int32]) -> list[str]:
    """Return each sequence as plain text, `0042`."""
    length = digits.shape[1]
    text = (digits + np.uint8(ord("0"))).tobytes().decode("ascii")
    starts = range(0, len(text), length)
    return [text[start : start + count] for start, count in zip(starts, lengths.tolist(), strict=True)]


def check_shard(path: Path) -> Written:
    """Return what the folder holds. Raises OSError."""
    digest, total, count = sha256(), 0, 0
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        content = (path / name).read_bytes()
        digest.update(content)
        total += len(content)
        count += 1
    return Written(count, total, digest.hexdigest())


class Rows:
    """Joins the rows of the shards into labels.csv and metadata.jsonl."""

    def __init__(self, stage: Path) -> None:
        self._files = {name: files.NewFile(stage / name) for name in FILES}
        self._files[LABELS_NAME].write(LABELS_HEADER)

    def add(self, directory: Path, shard: Shard, record: Record) -> None:
        """Append the shard's rows. Raises OSError."""
        waiting = directory / side_path(shard)
        for name, file in self._files.items():
            with (waiting / name).open("rb") as rows:
                while piece := rows.read(_COPY_SIZE):
                    file.write(piece)

    def finish(self) -> dict[str, FileSum]:
        """Sync both files, and return their sums. Raises OSError."""
        for file in self._files.values():
            file.close()
        return {name: FileSum(file.size, file.digest.hexdigest()) for name, file in self._files.items()}

    def abandon(self) -> None:
        """Close both files as they are."""
        for file in self._files.values():
            file.close(sync=False)


def collector(spec: Spec, stage: Path) -> Rows:
    """Return what joins the rows of the shards."""
    return Rows(stage)


def read_texts(directory: Path, spec: Spec) -> Iterator[str]:
    """Yield the sequence of each sample as plain text, `0042`, from labels.csv. Raises FormatError, OSError."""
    with (directory / LABELS_NAME).open("rb") as file:
        if file.readline(_MAX_LINE) != LABELS_HEADER:
            raise FormatError(f"{LABELS_NAME} does not begin with {LABELS_HEADER.decode().strip()!r}")
        while line := file.readline(_MAX_LINE):
            yield line.rpartition(b",")[2].rstrip(b"\n").decode("ascii", "replace").replace("-", "")


def read_images(directory: Path, spec: Spec, shard: Shard) -> Iterator[NDArray[np.uint8]]:
    """Yield the image of each sample of the shard: uint8 (height, width). Raises FormatError, OSError."""
    expected = (spec.recipe.glyph_height, spec.recipe.width)
    for sample in range(shard.first, shard.stop):
        name = file_name(sample, shard)
        image = png.decode((directory / name).read_bytes(), name=name)
        if image.shape != expected:
            raise FormatError(f"{name} is {image.shape[0]}×{image.shape[1]} px, not {expected[0]}×{expected[1]}")
        yield image
