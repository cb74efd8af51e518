"""Owns the format `png`: a folder of PNG files a shard, labels.csv and metadata.jsonl beside the folders.

Hugging Face's imagefolder reads metadata.jsonl; pandas and the like read labels.csv, whose labels are written 0-0-4-2
because a column of digits would be taken for numbers and lose its zeros. Masks are in folders of their own, parallel to
those of the images; imagefolder makes a column `mask` of images out of the key `mask_file_name`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache, partial
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.codecs.compression import Compression
from mnist_seq_cli.dataset.manifest import STATE_NAME, Record
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import Written, standing_shards
from mnist_seq_cli.formats.annotations import MAX_ROW, fits_canvas, parse_row, rows_of, to_batch
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.store import FileSum, pieces_of

SHARD_SIZE = 1_000
SHARDS_STAND = True
RANDOM_ACCESS = True
ANY_WIDTH = True
MASKS = True
COMPRESSION: Compression = "fast"

IMAGES_NAME = "images"
MASKS_NAME = "masks"
LABELS_NAME = "labels.csv"
METADATA_NAME = "metadata.jsonl"
FILES = (LABELS_NAME, METADATA_NAME)
LABELS_HEADER = b"file_name,label\n"


def file_names(spec: Spec) -> tuple[str, ...]:
    """Return labels.csv and metadata.jsonl."""
    return FILES


def _kinds(spec: Spec) -> tuple[str, ...]:
    return (IMAGES_NAME, MASKS_NAME) if spec.masks else (IMAGES_NAME,)


def shard_path(shard: Shard, kind: str = IMAGES_NAME) -> str:
    """Return the folder of the shard's images, or of its masks."""
    return f"{kind}/{shard.number:05d}"


def shard_paths(spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return the folders of the shard."""
    return tuple(shard_path(shard, kind) for kind in _kinds(spec))


def file_name(sample: int, shard: Shard) -> str:
    """Return the name that a sample's image goes by in labels and metadata."""
    return f"{shard_path(shard)}/{sample:08d}.png"


def _mask_name(name: str) -> str:
    """Return the name of the mask of the image of that name."""
    return MASKS_NAME + name.removeprefix(IMAGES_NAME)


def folders(directory: Path, spec: Spec) -> list[Path]:
    """Return the folders that those of the shards are in."""
    return [directory / kind for kind in _kinds(spec)]


def standing(directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
    """Yield folders that are named like shards, and whether they are of the plan."""
    for kind in _kinds(spec):
        yield from standing_shards(directory, spec.plan, partial(shard_path, kind=kind))


def prepare(directory: Path, spec: Spec) -> None:
    """Make the folders that those of the shards are in. Raises OSError."""
    for folder in folders(directory, spec):
        local.make_directory(folder)


def _side(directory: Path, shard: Shard) -> Path:
    return directory / STATE_NAME / "rows" / f"{shard.number:05d}"


def _names(shard: Shard) -> Callable[[Annotations], list[str]]:
    folder = shard_path(shard)
    return lambda truth: [f"{folder}/{sample:08d}.png" for sample in range(truth.first, truth.first + len(truth))]


def write_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
    """Write a PNG file for each image and mask in new folders, and give them their names; so with the rows.

    Raises OSError.
    """
    paths = shard_paths(spec, shard)
    staged = [stage / f"{shard.number}.{kind}" for kind in _kinds(spec)]
    digest, total = sha256(), 0
    rows = Rows(spec.recipe, shard, _names(shard), masks=spec.masks)
    with ExitStack() as stack:
        new = [stack.enter_context(local.NewFolder(path)) for path in staged]
        for batch in batches:
            arrays = [batch.images] if batch.masks is None else [batch.images, batch.masks]
            contents = [png.encode(array, spec.compression, batch.widths) for array in arrays]
            for folder, encoded in zip(new, contents, strict=True):
                folder.write((f"{sample:08d}.png", content) for sample, content in enumerate(encoded, batch.first))
            joined = b"".join(chain.from_iterable(zip(*contents, strict=True)))
            digest.update(joined)
            total += len(joined)
            rows.add(batch)
    rows.place(directory, stage)
    for source, path in zip(staged, paths, strict=True):
        local.place(source, directory / path)
    return Written(shard.samples * len(paths), total, digest.hexdigest())


def keep_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
    """Write the rows of a shard whose folders stand. Raises OSError."""
    rows = Rows(spec.recipe, shard, _names(shard), masks=spec.masks)
    for truth in truths:
        rows.add(truth)
    rows.place(directory, stage)


class Rows:
    """The rows of a shard for labels.csv and metadata.jsonl; `names` tells the names of the images."""

    def __init__(
        self, recipe: Recipe, shard: Shard, names: Callable[[Annotations], list[str]], *, masks: bool = False
    ) -> None:
        self._recipe = recipe
        self._shard = shard
        self._names = names
        self._masks = masks
        self._labels: list[str] = []
        self._metadata: list[str] = []

    def add(self, truth: Annotations) -> None:
        """Append the rows of some samples."""
        for name, (text, row) in zip(self._names(truth), rows_of(self._recipe, truth), strict=True):
            self._labels.append(f"{name},{'-'.join(text)}\n")
            mask = f'"mask_file_name": "{_mask_name(name)}", ' if self._masks else ""
            self._metadata.append(f'{{"file_name": "{name}", {mask}{row}}}\n')

    def place(self, directory: Path, stage: Path) -> None:
        """Write the rows where they wait to be collected. Raises OSError."""
        staged, waiting = stage / f"{self._shard.number}.rows", _side(directory, self._shard)
        with local.NewFolder(staged) as folder:
            rows = ((LABELS_NAME, self._labels), (METADATA_NAME, self._metadata))
            folder.write((name, "".join(lines).encode()) for name, lines in rows)
        local.make_directory(waiting.parent)
        local.place(staged, waiting)


def check_shard(directory: Path, spec: Spec, shard: Shard) -> Written:
    """Return what the folders hold. Raises OSError, FormatError."""
    digest, total, whole, found = sha256(), 0, True, 0
    expected = [f"{sample:08d}.png" for sample in range(shard.first, shard.stop)]
    listed = []
    for path in shard_paths(spec, shard):
        with os.scandir(directory / path) as entries:
            are_files = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        if strange := sorted({name for name in are_files if not are_files[name]} | are_files.keys() - set(expected)):
            raise FormatError(f"{path} holds {strange[0]!r}, which is none of its samples")
        listed.append((directory / path, are_files))
    for name in expected:
        for folder, names in listed:
            if name in names:
                content = (folder / name).read_bytes()
                whole = whole and png.is_whole(content)
                digest.update(content)
                total += len(content)
                found += 1
    # The sum is over all contents as one; where each file ends is known from how PNG files end.
    return Written(found, total, digest.hexdigest() if whole else "")


class Tables:
    """Joins the rows of the shards into labels.csv and metadata.jsonl."""

    def __init__(self, directory: Path, stage: Path) -> None:
        self._directory = directory
        self._files = {name: local.NewFile(stage / name) for name in FILES}
        self._files[LABELS_NAME].write(LABELS_HEADER)

    def add(self, shard: Shard, record: Record) -> None:
        """Append the shard's rows. Raises OSError."""
        for name, file in self._files.items():
            for piece in pieces_of(local.open_regular(_side(self._directory, shard) / name)):
                file.write(piece)

    def finish(self) -> dict[Path, FileSum]:
        """Sync both files, and return their sums. Raises OSError."""
        for file in self._files.values():
            file.close()
        return {file.path: file.sum for file in self._files.values()}

    def abandon(self) -> None:
        """Close both files as they are."""
        for file in self._files.values():
            file.close(sync=False)


def sum_of(directory: Path, name: str, spec: Spec) -> FileSum:
    """Return size and SHA-256 of one of the files. Raises OSError."""
    return local.sum_of(directory / name)


def collector(directory: Path, stage: Path, spec: Spec) -> Tables:
    """Return what joins the rows of the shards."""
    return Tables(directory, stage)


def read_texts(directory: Path, spec: Spec) -> Iterator[str]:
    """Yield the sequence of each sample as plain text, `0042`, from labels.csv. Raises FormatError, OSError."""
    with local.open_regular(directory / LABELS_NAME) as file:
        if file.readline(MAX_ROW) != LABELS_HEADER:
            raise FormatError(f"{LABELS_NAME} does not begin with {LABELS_HEADER.decode().strip()!r}")
        for number, line in enumerate(_lines(file), 2):
            digits = line.rpartition(b",")[2].rstrip(b"\n").replace(b"-", b"")
            if not digits.isdigit():
                raise FormatError(f"{LABELS_NAME} has no sequence of digits in line {number}")
            yield digits.decode("ascii")


def read(directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
    """Yield the samples of the shard, or of a part of it, in batches. Raises FormatError, OSError."""
    # A part of a shard has its number, and so its folder.
    yield from read_named(
        directory, spec, shard, lambda first, stop: [file_name(sample, shard) for sample in range(first, stop)]
    )


def read_named(directory: Path, spec: Spec, shard: Shard, names: Callable[[int, int], list[str]]) -> Iterator[Batch]:
    """Yield samples as `read` does, of images that have these names. Raises FormatError, OSError."""
    recipe, before = spec.recipe, shard.first - shard.number * spec.shard_size
    keys = ("file_name", "mask_file_name") if spec.masks else ("file_name",)
    with local.open_regular(directory / METADATA_NAME) as metadata:
        about = (directory / METADATA_NAME).stat()
        offsets = _row_offsets(directory / METADATA_NAME, spec.shard_size, about.st_mtime_ns, about.st_size)
        if shard.number >= len(offsets):
            raise FormatError(f"{METADATA_NAME} has no rows of shard {shard.number}")
        metadata.seek(offsets[shard.number])
        lines = islice(_lines(metadata), before, None)
        for first, stop in spans(recipe, shard.first, shard.stop):
            expected = names(first, stop)
            images = [_read_image(directory, spec, name) for name in expected]
            rows = []
            for name, line in zip(expected, islice(lines, stop - first), strict=False):
                row = parse_row(recipe, line, keys)
                if [row[key] for key in keys] != [name, _mask_name(name)][: len(keys)]:
                    raise FormatError(f"{METADATA_NAME} has no row of {name} where it should be")
                rows.append(row)
            masks = [_read_image(directory, spec, _mask_name(name)) for name in expected] if spec.masks else None
            yield to_batch(recipe, first, rows, images, masks)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rows of a file; one that is longer than any of ours comes in pieces that are none."""
    return iter(partial(file.readline, MAX_ROW), b"")


def _read_image(directory: Path, spec: Spec, name: str) -> NDArray[np.uint8]:
    with local.open_regular(directory / name) as file:
        image = png.decode(file.read(), name=name)
    if not fits_canvas(spec.recipe, image):
        raise FormatError(f"{name} is {image.shape[1]}×{image.shape[0]} px, which is not what the recipe makes")
    return image


@lru_cache(maxsize=4)
def _row_offsets(path: Path, shard_size: int, _changed: int, _size: int) -> list[int]:
    """Return where the rows of each shard begin in a file of one line a sample, as it is now. Raises OSError."""
    offsets, place = [0], 0
    with local.open_regular(path) as file:
        for number, line in enumerate(_lines(file), 1):
            place += len(line)
            if number % shard_size == 0:
                offsets.append(place)
    return offsets
