"""Owns the format `png`: a folder of PNG files a shard, labels.csv and metadata.jsonl beside the folders.

Hugging Face's imagefolder reads metadata.jsonl; pandas and the like read labels.csv, whose labels are written 0-0-4-2
because a column of digits would be taken for numbers and lose its zeros. Masks are in folders of their own, parallel to
those of the images; imagefolder makes a column `mask` of images out of the key `mask_file_name`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import rows, trainers
from mnist_seq_cli.formats.format import Checksums, Content, Extra, File, Format, Opener, SideFiles
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import LABELS_HEADER, LABELS_NAME, METADATA_NAME, fits_canvas, rows_of, to_batch
from mnist_seq_cli.recipe.plan import Digits, Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import ANNOTATION_NAMES, Spec
from mnist_seq_cli.storage.store import PIECE, Files, identity

IMAGES_NAME = "images"
MASKS_NAME = "masks"

READ = r"\.(avif|bmp|gif|jfif|jpe?g|p[bgnp]m|png|tiff?|webp)|^metadata\.(csv|jsonl|parquet)"
"""How the names of files end that readers of folders of images take."""

Names = Callable[[Annotations], list[str]]
"""What gives the names of the images of some samples."""


def shard_folder(digits: Digits, shard: Shard, kind: str = IMAGES_NAME) -> str:
    """Return the folder of the shard's images, or of its masks, with so many digits."""
    return f"{kind}/{digits.shard(shard.number)}"


def mask_name(name: str) -> str:
    """Return the name of the mask of the image of that name."""
    return MASKS_NAME + name.removeprefix(IMAGES_NAME)


def label_files(recipe: Recipe, names: Names, *, masks: bool = False) -> tuple[Extra, ...]:
    """Return labels.csv and metadata.jsonl, for images that have these names."""

    def labels(shard: Shard, annotations: Annotations) -> bytes:
        texts = annotations.texts
        named = zip(names(annotations), texts, strict=True)
        return "".join([f"{name},{'-'.join(text)}\n" for name, text in named]).encode()

    def metadata(shard: Shard, annotations: Annotations) -> bytes:
        lines = []
        for name, (_, row) in zip(names(annotations), rows_of(recipe, annotations), strict=True):
            mask = f'"mask_file_name": "{mask_name(name)}", ' if masks else ""
            lines.append(f'{{"file_name": "{name}", {mask}{row}}}\n')
        return "".join(lines).encode()

    return Extra(LABELS_NAME, LABELS_HEADER, labels), Extra(METADATA_NAME, b"", metadata)


class PngFolder(Format):
    """PNG files, and tables of what they show."""

    NAME = "png"
    READ = READ
    HUB_FILES = (f"{IMAGES_NAME}/*/*.png", METADATA_NAME)
    ON_HUB = SMALL_FILES = ANY_WIDTH = MASKS = RANDOM_ACCESS = True
    ANNOTATIONS = ANNOTATION_NAMES
    SHARD_SIZE = 1_000
    COMPRESSION = "fast"

    def check(self, spec: Spec) -> None:
        super().check(spec)
        trainers.check(spec)

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        """Return the folders of the shard: its images, and its masks."""
        return tuple(
            shard_folder(spec.plan.digits, shard, kind) for kind in (IMAGES_NAME, MASKS_NAME)[: 1 + spec.masks]
        )

    def extras(self, spec: Spec) -> tuple[Extra, ...]:
        def names(known: Annotations) -> list[str]:
            return self.image_names(spec, known.samples)

        return (*label_files(spec.recipe, names, masks=spec.masks), *trainers.extras(self, spec, f"{IMAGES_NAME}/"))

    def beside(self, spec: Spec) -> tuple[SideFiles, ...]:
        return trainers.side_files(self, spec, f"{IMAGES_NAME}/")

    def image_names(self, spec: Spec, samples: Numbers) -> list[str]:
        digits, size, numbers = spec.plan.digits, spec.shard_size, as_array(samples).tolist()
        folders = {shard: f"{IMAGES_NAME}/{digits.shard(shard)}" for shard in {number // size for number in numbers}}
        return [f"{folders[number // size]}/{digits.sample(number)}.png" for number in numbers]

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        for batch in batches:
            names = self.image_names(spec, batch.samples)
            images = png.encode(batch.images, spec.compression, batch.widths)
            if batch.masks is None:
                yield from map(File, names, images)
                continue
            masks = png.encode(batch.masks, spec.compression, batch.widths)
            for name, image, mask in zip(names, images, masks, strict=True):
                yield File(name, image)
                yield File(mask_name(name), mask)
        return None

    def files_of(self, spec: Spec, shard: Shard) -> list[str]:
        """Return the names of the files of a shard in the order in which they are written."""
        images = self.image_names(spec, range(shard.first, shard.stop))
        return [name for image in images for name in (image, mask_name(image))] if spec.masks else images

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        expected = self.files_of(spec, shard)
        others = {name for side in self.beside(spec) for name in side.names(shard)}
        found = set[str]()
        for folder in self.shard_names(spec, shard):
            found |= _files_in(folder, set(expected), others, files)
        return measured((name for name in expected if name in found), files)

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return NamedReader(spec, open_file, partial(self.image_names, spec))

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        with open_file(LABELS_NAME) as file:
            yield from rows.read_labels(file)


def _files_in(folder: str, expected: set[str], others: set[str], files: Files) -> set[str]:
    """Return which of the expected files are in a folder, which has none but these and others of the dataset.

    Raises FormatError, OSError.
    """
    entries = [entry for entry in files.list(folder) if entry.name not in others]
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


class NamedReader:
    """Reads images by their names, each with one open, and their rows at their offsets in metadata.jsonl."""

    def __init__(self, spec: Spec, open_file: Opener, names: Callable[[Numbers], list[str]]) -> None:
        self._spec, self._open_file, self._names = spec, open_file, names
        self._keys = rows.strict_keys(spec.recipe, "file_name", *(["mask_file_name"] if spec.masks else []))

    def read(self, samples: Numbers) -> Batch:
        names, known = self._names(samples), []
        with self._open_file(METADATA_NAME) as file:
            offsets = _row_offsets(file)
            for name, sample in zip(names, as_array(samples).tolist(), strict=True):
                start, *stops = offsets[sample : sample + 2].tolist() or [0]
                file.seek(start)
                line = file.readline(rows.MAX_ROW)
                if stops != [start + len(line)]:
                    raise FormatError(f"{METADATA_NAME} has no row of {name}")
                row = rows.parse_row(line, f"the row of {name} in {METADATA_NAME}", self._keys)
                if (row.file_name, row.mask_file_name) != (name, mask_name(name) if self._spec.masks else ""):
                    raise FormatError(f"{METADATA_NAME} has no row of {name} where it should be")
                known.append(row)
        images = [self._image(name) for name in names]
        masks = [self._image(mask_name(name)) for name in names] if self._spec.masks else None
        return to_batch(self._spec.recipe, samples, known, images, masks)

    def _image(self, name: str) -> NDArray[np.uint8]:
        with self._open_file(name) as file:
            image = png.decode(file.read(), name=name)
        if not fits_canvas(self._spec.recipe, image):
            raise FormatError(f"{name} is {image.shape[1]}×{image.shape[0]} px, which is not what the recipe makes")
        return image


_OFFSETS: dict[Hashable, NDArray[np.int64]] = {}
"""The offsets of the rows of files that were read lately, by their identity."""


def _row_offsets(file: BinaryIO) -> NDArray[np.int64]:
    """Return the offset of each row of a file, and that of its end, in bytes. Raises OSError."""
    known = identity(file)
    if known is not None and known in _OFFSETS:
        return _OFFSETS[known]
    stops, offset = [np.zeros(1, dtype=np.int64)], 0
    while piece := file.read(PIECE):
        stops.append(np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n")) + (offset + 1))
        offset += len(piece)
    if len(_OFFSETS) == 4:
        _OFFSETS.clear()
    offsets = _OFFSETS[known] = np.concatenate(stops)
    return offsets
