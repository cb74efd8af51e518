"""Owns the format `png`: a folder of PNG files a shard, labels.csv and metadata.jsonl beside the folders.

Hugging Face's imagefolder reads metadata.jsonl; pandas and the like read labels.csv, whose labels are written 0-0-4-2
because a column of digits would be taken for numbers and lose its zeros. Masks are in folders of their own, parallel to
those of the images; imagefolder makes a column `mask` of images out of the key `mask_file_name`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import rows
from mnist_seq_cli.formats.format import Checksums, Content, Extra, File, Format, Opener
from mnist_seq_cli.formats.rows import LABELS_HEADER, LABELS_NAME, METADATA_NAME, fits_canvas, rows_of, to_batch
from mnist_seq_cli.recipe.plan import Digits, Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Files, identity

IMAGES_NAME = "images"
MASKS_NAME = "masks"

READ = r"\.(avif|bmp|gif|jfif|jpe?g|p[bgnp]m|png|tiff?|webp)|^metadata\.(csv|jsonl|parquet)"
"""How the names of files end that readers of folders of images take."""

Names = Callable[[Shard, Annotations], list[str]]
"""What gives the names of the images of some samples of a shard."""


def shard_folder(digits: Digits, shard: Shard, kind: str = IMAGES_NAME) -> str:
    """Return the folder of the shard's images, or of its masks, with so many digits."""
    return f"{kind}/{digits.shard(shard.number)}"


def file_names(digits: Digits, shard: Shard, first: int, stop: int) -> list[str]:
    """Return the names of the images of samples `first` to `stop` of a shard, with so many digits."""
    folder = shard_folder(digits, shard)
    return [f"{folder}/{digits.sample(sample)}.png" for sample in range(first, stop)]


def mask_name(name: str) -> str:
    """Return the name of the mask of the image of that name."""
    return MASKS_NAME + name.removeprefix(IMAGES_NAME)


def label_files(recipe: Recipe, names: Names, *, masks: bool = False) -> tuple[Extra, ...]:
    """Return labels.csv and metadata.jsonl, for images that have these names."""

    def labels(shard: Shard, annotations: Annotations) -> bytes:
        texts = annotations.texts
        named = zip(names(shard, annotations), texts, strict=True)
        return "".join([f"{name},{'-'.join(text)}\n" for name, text in named]).encode()

    def metadata(shard: Shard, annotations: Annotations) -> bytes:
        lines = []
        for name, (_, row) in zip(names(shard, annotations), rows_of(recipe, annotations), strict=True):
            mask = f'"mask_file_name": "{mask_name(name)}", ' if masks else ""
            lines.append(f'{{"file_name": "{name}", {mask}{row}}}\n')
        return "".join(lines).encode()

    return Extra(LABELS_NAME, LABELS_HEADER, labels), Extra(METADATA_NAME, b"", metadata)


class PngFolder(Format):
    """PNG files, and tables of what they show."""

    NAME = "png"
    READ = READ
    SMALL_FILES = ANY_WIDTH = MASKS = RANDOM_ACCESS = True
    SHARD_SIZE = 1_000
    COMPRESSION = "fast"

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        """Return the folders of the shard: its images, and its masks."""
        return tuple(
            shard_folder(spec.plan.digits, shard, kind) for kind in (IMAGES_NAME, MASKS_NAME)[: 1 + spec.masks]
        )

    def extras(self, spec: Spec) -> tuple[Extra, ...]:
        digits = spec.plan.digits

        def names(shard: Shard, annotations: Annotations) -> list[str]:
            return file_names(digits, shard, annotations.first, annotations.first + len(annotations))

        return label_files(spec.recipe, names, masks=spec.masks)

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        for batch in batches:
            names = file_names(spec.plan.digits, shard, batch.first, batch.first + len(batch))
            images = png.encode(batch.images, spec.compression, batch.widths)
            if batch.masks is None:
                yield from map(File, names, images)
                continue
            masks = png.encode(batch.masks, spec.compression, batch.widths)
            for name, image, mask in zip(names, images, masks, strict=True):
                yield File(name, image)
                yield File(mask_name(name), mask)
        return None

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        expected = file_names(spec.plan.digits, shard, shard.first, shard.stop)
        if spec.masks:
            expected = [name for image in expected for name in (image, mask_name(image))]
        found = set[str]()
        for folder in self.shard_names(spec, shard):
            found |= _files_in(folder, set(expected), files)
        return measured((name for name in expected if name in found), files)

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        # A part of a shard has its number, and so its folder.
        yield from read_named(
            spec, shard, open_file, lambda first, stop: file_names(spec.plan.digits, shard, first, stop)
        )

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        with open_file(LABELS_NAME) as file:
            yield from rows.read_labels(file)


def _files_in(folder: str, expected: set[str], files: Files) -> set[str]:
    """Return the names of the files in a folder, which has none but the expected. Raises FormatError, OSError."""
    entries = list(files.list(folder))
    if strange := sorted(entry.name for entry in entries if entry.kind != "file" or entry.name not in expected):
        name = strange[0].rpartition("/")[2]
        raise FormatError(f"{folder} holds {name!r}, which is none of its samples")
    if not entries:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    return {entry.name for entry in entries}


def measured(names: Iterable[str], files: Files) -> Content:
    """Return the sums of PNG files. Raises OSError.

    The sum is over all contents as one; where each file ends is known from how PNG files end.
    """
    digest, size, whole, found = sha256(), 0, True, 0
    for name in names:
        with files.open(name) as file:
            content = file.read()
        whole = whole and png.is_whole(content)
        digest.update(content)
        size += len(content)
        found += 1
    return Content(found, size, digest.hexdigest() if whole else "")


def read_named(spec: Spec, shard: Shard, open_file: Opener, names: Callable[[int, int], list[str]]) -> Iterator[Batch]:
    """Yield the samples of a shard, or of a part of it, whose images have these names. Raises FormatError, OSError."""
    recipe, before = spec.recipe, shard.first - shard.number * spec.shard_size
    keys = rows.strict_keys(recipe, "file_name", *(["mask_file_name"] if spec.masks else []))
    with open_file(METADATA_NAME) as metadata:
        offsets = _row_offsets(metadata, spec.shard_size)
        if shard.number >= len(offsets):
            raise FormatError(f"{METADATA_NAME} has no rows of shard {shard.number}")
        metadata.seek(offsets[shard.number])
        lines = islice(rows.lines_of(metadata), before, None)
        for first, stop in spans(recipe, shard.first, shard.stop):
            expected = names(first, stop)
            images = [_read_image(spec, name, open_file) for name in expected]
            known = []
            for name, line in zip(expected, islice(lines, stop - first), strict=False):
                row = rows.parse_row(line, f"a row of {METADATA_NAME}", keys)
                if (row.file_name, row.mask_file_name) != (name, mask_name(name) if spec.masks else ""):
                    raise FormatError(f"{METADATA_NAME} has no row of {name} where it should be")
                known.append(row)
            masks = [_read_image(spec, mask_name(name), open_file) for name in expected] if spec.masks else None
            yield to_batch(recipe, first, known, images, masks)


def _read_image(spec: Spec, name: str, open_file: Opener) -> NDArray[np.uint8]:
    with open_file(name) as file:
        image = png.decode(file.read(), name=name)
    if not fits_canvas(spec.recipe, image):
        raise FormatError(f"{name} is {image.shape[1]}×{image.shape[0]} px, which is not what the recipe makes")
    return image


_OFFSETS: dict[Hashable, list[int]] = {}


def _row_offsets(file: BinaryIO, shard_size: int) -> list[int]:
    """Return the offset of the rows of each shard, in a file of one line a sample. Raises OSError."""
    known = identity(file)
    if (known, shard_size) in _OFFSETS and known is not None:
        return _OFFSETS[known, shard_size]
    offsets, offset = [0], 0
    for number, line in enumerate(rows.lines_of(file), 1):
        offset += len(line)
        if number % shard_size == 0:
            offsets.append(offset)
    if len(_OFFSETS) == 4:
        _OFFSETS.clear()
    _OFFSETS[known, shard_size] = offsets
    return offsets
