"""Owns the format `folders`: a folder of PNG files a label, as readers of classes want it; with the tables of `png`.

torchvision's ImageFolder, Keras' image_dataset_from_directory and pytorch-meta read `0042/0_0042.png`. The files of a
shard are among those of others. There is no room for masks: such readers take every folder for a label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Batch, spelled
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.engine.writing import copies, sequences
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats import trainers
from mnist_seq_cli.formats.format import Checksums, Content, Extra, File, Format, Opener, SideFiles
from mnist_seq_cli.formats.png_folder import NamedReader, PngFolder, label_files, measured
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import METADATA_NAME
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Entry, Files

MAX_LENGTH = 230
"""Digits of a label that leave room in a name of 255 characters."""

_LABEL = re.compile(r"[0-9]{1,230}", re.ASCII)
_IMAGE = re.compile(r"[0-9]{1,18}_([0-9]{1,230})\.png", re.ASCII)
_CHUNK = 10_000


class LabelFolders(Format):
    """A folder a label."""

    NAME = "folders"
    READ = PngFolder.READ
    HUB_FILES = ("[0-9]*/*.png", METADATA_NAME)
    ON_HUB = SMALL_FILES = ANY_WIDTH = RANDOM_ACCESS = True
    ANNOTATIONS = ("coco", "yolo", "paddleocr", "mmocr", "tesseract", "svhn")
    SHARD_SIZE, COMPRESSION = PngFolder.SHARD_SIZE, PngFolder.COMPRESSION

    def check(self, spec: Spec) -> None:
        super().check(spec)
        trainers.check(spec)
        if spec.recipe.length > MAX_LENGTH:
            raise RequestError(
                f"folders are named after sequences, and {spec.recipe.length} digits are too many for a name",
                hint=f"{MAX_LENGTH} at most, or leave `layout` out",
            )

    def folders(self, spec: Spec, files: Files) -> list[str]:
        return [entry.name for entry in _label_folders(files)]

    def extras(self, spec: Spec) -> tuple[Extra, ...]:
        tables = label_files(spec.recipe, lambda known: _named(spec.recipe, known.samples, known.texts))
        return (*tables, *trainers.extras(self, spec, ""))

    def beside(self, spec: Spec) -> tuple[SideFiles, ...]:
        return trainers.side_files(self, spec, "")

    def image_names(self, spec: Spec, samples: Numbers) -> list[str]:
        return _planned(spec.recipe, samples)

    def existing(self, spec: Spec, files: Files) -> Iterator[tuple[str, bool]]:
        """Yield every image with the name of a sample, and whether it is one of the plan; and folders without any."""
        everything = sum(1 for label in _label_folders(files) for _ in _images(label, files))
        planned = None if everything == spec.samples else np.sort(_sums_of_names(spec))
        for label in _label_folders(files):
            if label.kind == "folder" and not any(files.list(label.name)):
                yield label.name, False
            for name in _images(label, files):
                yield name, planned is None or _index_in(planned, name) is not None

    def foreign(self, spec: Spec, files: Files) -> Iterator[str]:
        """Yield the folders that are no label's, which readers take for one all the same, and images of no sample."""
        for entry in files.list():
            if entry.kind == "folder" and _LABEL.fullmatch(entry.name):
                inside = list(files.list(entry.name))
                others = [each for each in inside if not _is_image(entry, each)]
                if inside and len(others) == len(inside):
                    yield entry.name
                else:
                    yield from (each.name for each in others if self.is_read(files, each))
            elif entry.name not in self.file_names(spec) and (
                self.is_read(files, entry) or (entry.kind == "folder" and not entry.name.startswith("."))
            ):
                yield entry.name

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        for batch in batches:
            contents = png.encode(batch.images, spec.compression, batch.widths)
            yield from map(File, _named(spec.recipe, batch.samples, batch.texts), contents)
        return None

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        """Return the content of the shard: the images with its names that are there. Raises OSError, FormatError."""
        return measured(_that_are_files(_planned(spec.recipe, range(shard.first, shard.stop)), files), files)

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return NamedReader(spec, open_file, lambda samples: _planned(spec.recipe, samples))

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        return PngFolder().read_texts(spec, open_file)

    def finder(self, spec: Spec) -> Callable[[str], int | None]:
        """Return a function from the name of an image to its sample, if there is one.

        The name may have folders before it, and may lack its own and its ending: `x/0042/0_0042.png`, `0_0042`.
        """
        sums = _sums_of_names(spec)
        numbers = np.argsort(sums)
        sums = sums[numbers]

        def find(name: str) -> int | None:
            last = re.split(r"[/\\]", name.strip())[-1].removesuffix(".png")
            index = _index_in(sums, f"{last.rpartition('_')[2]}/{last}.png")
            return None if index is None else int(numbers[index])

        return find


def _label_folders(files: Files) -> list[Entry]:
    return sorted(entry for entry in files.list() if _LABEL.fullmatch(entry.name))


def _images(label: Entry, files: Files) -> Iterator[str]:
    if label.kind == "folder":
        yield from (entry.name for entry in files.list(label.name) if _is_image(label, entry))


def _is_image(label: Entry, entry: Entry) -> bool:
    name = _IMAGE.fullmatch(entry.name.rpartition("/")[2])
    return name is not None and name[1] == label.name


def _that_are_files(names: list[str], files: Files) -> Iterator[str]:
    """Yield those of some names that are there. Raises FormatError for one that is no file."""
    kinds: dict[str, dict[str, str]] = {}
    for name in names:
        folder = name.partition("/")[0]
        if folder not in kinds:
            kinds[folder] = {entry.name: entry.kind for entry in files.list(folder)}
        kind = kinds[folder].get(name)
        if kind not in ("file", None):
            raise FormatError(f"{name} is not a file")
        if kind:
            yield name


def _planned(recipe: Recipe, samples: Numbers) -> list[str]:
    """Return the names of the images of samples."""
    digits, lengths = sequences(recipe, samples)
    return _named(recipe, samples, spelled(digits.astype(np.uint8), lengths))


def _named(recipe: Recipe, samples: Numbers, texts: list[str]) -> list[str]:
    """Return the names of the images of samples of these sequences: 0042/0_0042.png."""
    numbers = copies(recipe, samples).tolist()
    return [f"{text}/{number}_{text}.png" for number, text in zip(numbers, texts, strict=True)]


def _sums_of_names(spec: Spec) -> NDArray[np.uint64]:
    """Return eight bytes for the name of each image, in order: names themselves would fill the memory."""
    sums = np.empty(spec.samples, np.uint64)
    for first in range(0, spec.samples, _CHUNK):
        stop = min(first + _CHUNK, spec.samples)
        sums[first:stop] = [_sum_of_name(name) for name in _planned(spec.recipe, range(first, stop))]
    return sums


def _sum_of_name(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _index_in(sums: NDArray[np.uint64], name: str) -> int | None:
    """Return the index of the sum of a name among sums in ascending order; None where it is not among them."""
    requested = np.uint64(_sum_of_name(name))
    index = int(np.searchsorted(sums, requested))
    return index if index < len(sums) and sums[index] == requested else None
