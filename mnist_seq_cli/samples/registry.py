"""Owns the registry of sources: which one opens a path or a stream, by its first bytes or by the files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

from numpy.typing import NDArray

from mnist_seq_cli import formats
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME
from mnist_seq_cli.inputs import is_directory, open_named, require_file
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.detection import ENOUGH, PICTURES, kind_of, unknown_kind
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.sources.arrays import IdxFile, NpzFile
from mnist_seq_cli.samples.sources.folder import open_folder
from mnist_seq_cli.samples.sources.image import ImageFile, is_named_like_a_strip, named_image
from mnist_seq_cli.samples.sources.mnist import MnistDigits
from mnist_seq_cli.samples.sources.tar_file import TarFile, TarStream, images_in
from mnist_seq_cli.samples.stored import StoredDataset
from mnist_seq_cli.samples.strip import NamedImage
from mnist_seq_cli.storage.location import PathOrStore, located

if TYPE_CHECKING:
    from mnist_seq_cli.storage.object_store import ObjectStore


def open_samples(path: PathOrStore | None, name: str = "") -> Samples:
    """Return the samples at a path; with no path, the bundled MNIST. `name` stands for the path in messages.

    An object store holds a dataset.

    Raises FormatError for what holds nothing of that kind, RequestError where there is nothing, OSError.
    """
    if path is None:
        return MnistDigits()
    if not isinstance(path, Path) or is_directory(path):
        dataset = StoredDataset.found_at(path)
        if dataset is not None:
            return dataset
        if isinstance(path, Path):
            return open_folder(path)
        raise FormatError(f"{path} is not an mnistseq dataset: it has no {RECIPE_NAME}")
    require_file(path)
    with open_named(path) as file:
        start = file.read(ENOUGH)
    kind = kind_of(start)
    if kind == "PNG" or kind in PICTURES:
        return ImageFile(path, name)
    if kind == "tar":
        return TarFile(path, name)
    if kind is not None:
        return IdxFile(path) if kind == "idx" else NpzFile(path)
    for known in formats.names():
        if formats.get(known).detect(start):
            raise FormatError(f"{path} is a part of a dataset of the format {known}", hint="give its directory")
    raise unknown_kind(start, name or str(path))


class Images(NamedTuple):
    """Images to be read one after the other; `is_one` says that it is a single one, and no folder or archive."""

    images: Iterator[NamedImage]
    is_one: bool = False


def open_images(name: str) -> Images | NDArray[Any]:
    """Return the images at a path, and in a directory those of all folders in it; or the array in an IDX file.

    In an object store they are those of a dataset, or of all datasets in it.

    Raises RequestError where there is nothing, FormatError for what is none of these, OSError.
    """
    path = located(name, "read")
    if not isinstance(path, Path):
        return Images(_images_in(path))
    if is_directory(path):
        return Images(_images_under(path))
    samples = open_samples(path, name)
    return samples.array if isinstance(samples, IdxFile) else Images(samples.images(), isinstance(samples, ImageFile))


def images_from(stream: BinaryIO, name: str, limit: int) -> Images | NDArray[Any]:
    """Return the content of a stream: an image, the images in a tar file as they come, or the array in an IDX file.

    Raises FormatError for what is none of these, and for more than `limit` bytes that have to be held.
    """
    start = stream.read(ENOUGH)
    kind = kind_of(start)
    if kind == "tar":
        return Images(images_in(TarStream(start, stream), name, ""))
    content = start + stream.read(limit + 1 - len(start))
    if not content:
        raise FormatError(f"{name} is empty", hint="pipe an image, an IDX file or a tar file in")
    if len(content) > limit:
        raise FormatError(f"more than {limit >> 20} MiB come from {name}", hint="give the name of a file")
    if kind == "idx":
        return idx.read(content, name=name)
    if kind is None and b"\0" not in content:
        raise FormatError(f"{name} is text, not an image", hint="names of files go through xargs mnistseq decode")
    return Images(iter([named_image(content, name)]), is_one=True)


def _images_in(store: ObjectStore) -> Iterator[NamedImage]:
    """Yield the images of the dataset in an object store, or else of those in its folders. Raises RequestError."""
    if StoredDataset.found_at(store) is not None:
        yield from StoredDataset(store).images()
        return
    folders = sorted(entry.name for entry in store.list() if entry.kind == "folder")
    stores = [store / name for name in folders if (store / name).size(RECIPE_NAME) is not None]
    if not stores:
        raise RequestError(f"{store} holds no dataset", hint="give the path of one, or of splits")
    for each in stores:
        yield from StoredDataset(each).images()


def _images_under(path: Path) -> Iterator[NamedImage]:
    """Yield the images of a folder, and of those in it, by name; of a dataset whose images are no files, in order.

    Left out are hidden ones, links to folders, and masks: by the name of a file, or a folder `masks` beside `images`.
    """
    is_empty = True
    for folder, folders, names in os.walk(path, onerror=_raise):
        without = MASKS_NAME if IMAGES_NAME in folders else ""
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != without)
        try:
            data = StoredDataset.found_at(Path(folder)) if RECIPE_NAME in names else None
            if data is not None and not formats.get(data.spec.format).SMALL_FILES:
                is_empty, folders[:] = False, []
                yield from StoredDataset(folder).images()
                continue
        except FormatError as error:
            is_empty = False
            yield NamedImage(folder, error)
            continue
        for name in sorted(names):
            if is_named_like_a_strip(name) and not name.startswith("."):
                is_empty = False
                yield from ImageFile(Path(folder, name)).images()
    if is_empty:
        raise RequestError(f"{path} holds no images", hint="give a folder of images, or a dataset")


def _raise(error: OSError) -> NoReturn:
    raise error
