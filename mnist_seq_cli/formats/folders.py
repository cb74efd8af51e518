"""Owns the format `folders`: a folder of PNG files a label, as readers of classes want it; with the tables of `png`.

torchvision's ImageFolder, Keras' image_dataset_from_directory and pytorch-meta read `0042/0_0042.png`. A shard has no
place of its own here: its files are made in the stage, and then each is given its name by one rename. There is no place
for masks: such readers take every folder for a label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.writing import copies, sequences
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats import Written
from mnist_seq_cli.formats.annotations import spelled, texts_of
from mnist_seq_cli.formats.png_folder import (
    ANY_WIDTH,
    COMPRESSION,
    RANDOM_ACCESS,
    SHARD_SIZE,
    SHARDS_STAND,
    Rows,
    collector,
    file_names,
    read_named,
    read_texts,
    sum_of,
)
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local

__all__ = [
    "ANY_WIDTH",
    "COMPRESSION",
    "MASKS",
    "RANDOM_ACCESS",
    "SHARDS_STAND",
    "SHARD_SIZE",
    "check_shard",
    "collector",
    "file_names",
    "finder",
    "folders",
    "keep_shard",
    "prepare",
    "read",
    "read_texts",
    "shard_paths",
    "standing",
    "sum_of",
    "write_shard",
]

MASKS = False
MAX_LENGTH = 230
"""Digits of a label that leave room in a name of 255 characters."""

_LABEL = re.compile(r"[0-9]{1,230}", re.ASCII)
_IMAGE = re.compile(r"[0-9]{1,18}_([0-9]{1,230})\.png", re.ASCII)
_CHUNK = 10_000


def shard_paths(spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return nothing: the files of a shard stand among those of others."""
    return ()


def folders(directory: Path, spec: Spec) -> list[Path]:
    """Return the folders of labels that are there. Raises RequestError for labels that are too long for names."""
    if spec.recipe.length > MAX_LENGTH:
        raise RequestError(
            f"folders are named after sequences, and {spec.recipe.length} digits are too many for a name",
            hint=f"{MAX_LENGTH} at most, or leave `layout` out",
        )
    return _label_folders(directory)


def _label_folders(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _LABEL.fullmatch(path.name))


def prepare(directory: Path, spec: Spec) -> None:
    """Do nothing: a folder is made when its first file comes."""


def _names(recipe: Recipe) -> Callable[[Annotations], list[str]]:
    """Return what tells the names of images: 0042/0_0042.png."""
    return lambda truth: _named(recipe, truth.first, texts_of(truth))


def _planned(recipe: Recipe, first: int, stop: int) -> list[str]:
    """Return the names of the images of samples `first` to `stop`."""
    digits, lengths = sequences(recipe, first, stop)
    return _named(recipe, first, spelled(digits.astype(np.uint8), lengths))


def _named(recipe: Recipe, first: int, texts: list[str]) -> list[str]:
    numbers = copies(recipe, first, first + len(texts)).tolist()
    return [f"{text}/{number}_{text}.png" for number, text in zip(numbers, texts, strict=True)]


def write_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Written:
    """Write a PNG file for each sample, and give each its name; so with their rows. Raises OSError."""
    staged = stage / str(shard.number)
    digest, total = sha256(), 0
    names_of, names = _names(spec.recipe), list[str]()
    rows = Rows(spec.recipe, shard, names_of)
    with local.NewFolder(staged) as folder:
        for batch in batches:
            contents = png.encode(batch.images, spec.compression, batch.widths)
            here = names_of(batch)
            names += here
            folder.write(zip(map(str, range(len(names) - len(here), len(names))), contents, strict=True))
            joined = b"".join(contents)
            digest.update(joined)
            total += len(joined)
            rows.add(batch)
    rows.place(directory, stage)
    for label in dict.fromkeys(name.split("/")[0] for name in names):
        local.make_directory(directory / label)
    local.share_out(staged, directory, names)
    return Written(shard.samples, total, digest.hexdigest())


def keep_shard(directory: Path, stage: Path, spec: Spec, shard: Shard, truths: Iterator[Annotations]) -> None:
    """Write the rows of a shard whose images stand. Raises OSError."""
    rows = Rows(spec.recipe, shard, _names(spec.recipe))
    for truth in truths:
        rows.add(truth)
    rows.place(directory, stage)


def check_shard(directory: Path, spec: Spec, shard: Shard) -> Written:
    """Return what stands under the names of the shard's images. Raises OSError, FormatError."""
    digest, total, whole, found = sha256(), 0, True, 0
    for name in _planned(spec.recipe, shard.first, shard.stop):
        path = directory / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise FormatError(f"{name} is not a file")
        if path.exists():
            content = path.read_bytes()
            whole = whole and png.is_whole(content)
            digest.update(content)
            total += len(content)
            found += 1
    return Written(found, total, digest.hexdigest() if whole else "")


def standing(directory: Path, spec: Spec) -> Iterator[tuple[Path, bool]]:
    """Yield every image with the name of a sample, and whether it is one of the plan; and folders without any."""
    everything = sum(1 for label in _label_folders(directory) for _ in _images(label))
    planned = None if everything == spec.samples else np.sort(_sums_of_names(spec))
    for label in _label_folders(directory):
        empty = not label.is_symlink() and label.is_dir() and not any(label.iterdir())
        if empty:
            yield label, False
        for path in _images(label):
            yield path, planned is None or _is_in(planned, f"{label.name}/{path.name}")


def _images(label: Path) -> Iterator[Path]:
    if label.is_symlink() or not label.is_dir():
        return
    for path in label.iterdir():
        if (name := _IMAGE.fullmatch(path.name)) and name[1] == label.name:
            yield path


def _sums_of_names(spec: Spec) -> NDArray[np.uint64]:
    """Return eight bytes for the name of each image, in order: names themselves would fill the memory."""
    sums = np.empty(spec.samples, np.uint64)
    for first in range(0, spec.samples, _CHUNK):
        stop = min(first + _CHUNK, spec.samples)
        sums[first:stop] = [_sum_of_name(name) for name in _planned(spec.recipe, first, stop)]
    return sums


def _sum_of_name(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _is_in(sums: NDArray[np.uint64], name: str) -> bool:
    return _place_in(sums, name) is not None


def _place_in(sums: NDArray[np.uint64], name: str) -> int | None:
    """Return where the sum of a name stands among sums in ascending order; None where it is not among them."""
    wanted = np.uint64(_sum_of_name(name))
    place = int(np.searchsorted(sums, wanted))
    return place if place < len(sums) and sums[place] == wanted else None


def finder(spec: Spec) -> Callable[[str], int | None]:
    """Return what tells the number of the sample with an image of this name, if there is one.

    The name may stand in folders, and may lack its own and its ending: `x/0042/0_0042.png`, `0_0042`.
    """
    sums = _sums_of_names(spec)
    numbers = np.argsort(sums)
    sums = sums[numbers]

    def find(name: str) -> int | None:
        last = re.split(r"[/\\]", name.strip())[-1].removesuffix(".png")
        place = _place_in(sums, f"{last.rpartition('_')[2]}/{last}.png")
        return None if place is None else int(numbers[place])

    return find


def read(directory: Path, spec: Spec, shard: Shard) -> Iterator[Batch]:
    """Yield the samples of the shard, or of a part of it, in batches. Raises FormatError, OSError."""
    yield from read_named(directory, spec, shard, lambda first, stop: _planned(spec.recipe, first, stop))
