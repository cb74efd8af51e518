"""Owns strips one after another: those in files, folders, archives or streams, as `decode` takes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import image_file, png
from mnist_seq_cli.codecs.png import MASK_SUFFIX
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.detection import PICTURES, is_directory, kind_of, start_of
from mnist_seq_cli.samples.stored import open_dataset
from mnist_seq_cli.storage import local

MAX_FILE = 256 << 20
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")

_FILE_EACH = ("png", "folders")
"""The formats in which each strip is a file: they are read as folders are, under the names of the files."""

_BATCH, _BATCH_BYTES = 256, 4 << 20

_BLOCK = 512
"""Bytes of a block of a tar file."""

_BETWEEN = 16 << 20
"""Bytes that may come between the members of a tar file, such as long names."""


class NamedImage(NamedTuple):
    """A strip that was given: its name for people, and its image, or why there is none."""

    name: str
    image: NDArray[np.uint8] | FormatError


Content = NDArray[Any] | NamedImage | Iterator[NamedImage]
"""What there is to be decoded: the array of an IDX file, one strip, or as many as a folder or an archive holds."""


def of_stream(stream: BinaryIO, name: str, limit: int) -> Content:
    """Return what comes from a stream: an image, an IDX file, or a tar file, which is read as it comes.

    Raises FormatError for what is none of these, and for more than `limit` bytes that have to be held.
    """
    start = stream.read(_BLOCK)
    kind = kind_of(start)
    if kind == "tar":
        return _of_tar(_TarStream(start, stream), name, "")
    content = start + stream.read(limit + 1 - len(start))
    if not content:
        raise FormatError(f"{name} is empty", hint="pipe an image, an IDX file or a tar file in")
    if len(content) > limit:
        raise FormatError(f"more than {limit >> 20} MiB come from {name}", hint="give the name of a file")
    if kind == "idx":
        return idx.read(content, name=name)
    if kind is None and b"\0" not in content:
        raise FormatError(f"{name} is text, not an image", hint="names of files go through xargs mnistseq decode")
    return _strip(content, name)


def of_path(name: str) -> Content:
    """Return the array in an IDX file, the strip in an image file, or those in a folder, a dataset, a tar or npz file.

    Raises RequestError where there is nothing, FormatError for what is none of these, OSError.
    """
    path = Path(name)
    if is_directory(path):
        return _of_directory(path)
    start = start_of(path)
    match kind_of(start):
        case "idx":
            return idx.read(path)
        case "tar":
            return _of_tar_file(path, name)
        case "npz":
            return _of_npz(path)
        case None:
            raise _neither(start, name)
    return _strip_file(path, name)


def _of_directory(path: Path) -> Iterator[NamedImage]:
    """Yield the strips of a folder, and of those in it, by name.

    Left out are hidden ones, links to folders, and masks: what is beside its strips under the name of a mask, and a
    folder `masks` beside one `images`.
    """
    found = False
    for folder, folders, names in os.walk(path, onerror=_raise):
        without = MASKS_NAME if IMAGES_NAME in folders else ""
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != without)
        try:
            spec = manifest.read_spec(Path(folder)) if RECIPE_NAME in names else None
            if spec is not None and spec.format not in _FILE_EACH:
                found, folders[:] = True, []
                yield from _of_dataset(Path(folder))
                continue
        except FormatError as error:
            found = True
            yield NamedImage(folder, error)
            continue
        for name in sorted(names):
            if _is_strip(name) and not name.startswith("."):
                found = True
                yield _strip_file(Path(folder, name), str(Path(folder, name)))
    if not found:
        raise RequestError(f"{path} holds no images", hint="give a folder of images, or a dataset")


def _raise(error: OSError) -> NoReturn:
    raise error


def _of_dataset(path: Path) -> Iterator[NamedImage]:
    data = open_dataset(path)
    for first, stop in _batches(len(data), data.recipe.height * data.recipe.width):
        for sample, image in enumerate(data.batch(first, stop).images, first):
            yield NamedImage(str(path / f"{sample:08d}"), image)


def _of_npz(path: Path) -> Iterator[NamedImage]:
    from mnist_seq_cli.codecs import npz

    with local.open_regular(path) as file:
        images = npz.arrays_in(file, str(path), {"images": 3}).get("images")
    if images is None or images.dtype != np.uint8 or not images.size:
        raise FormatError(f"{path} is not an npz file as we write them: it has no images of bytes")
    for first, stop in _batches(len(images), images[0].size):
        for sample, image in enumerate(np.array(images[first:stop]), first):
            yield NamedImage(str(path / f"{sample:08d}"), image)


def _batches(count: int, pixels: int) -> Iterator[tuple[int, int]]:
    size = max(1, min(_BATCH, _BATCH_BYTES // pixels))
    return ((first, min(first + size, count)) for first in range(0, count, size))


def _of_tar_file(path: Path, name: str) -> Iterator[NamedImage]:
    with local.open_regular(path) as file:
        yield from _of_tar(_TarStream(b"", file), name, f"{name}/")


class _TarStream:
    """The bytes of a tar file, of which some were read before. Knows how they ended; gives no more than expected."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream
        self._last = b""
        self.expected = _BETWEEN

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end. Raises FormatError when there are more than expected."""
        content = self._start + self._stream.read(size - len(self._start))
        self._start, self._last = b"", content or self._last
        self.expected -= len(content)
        if self.expected < 0:
            raise FormatError("a tar file has a header of an impossible size")
        return content

    @property
    def is_whole(self) -> bool:
        """Whether the block that was read last is what tar files end with, so that nothing was cut off there."""
        return self._last == bytes(_BLOCK)

    def goes_on(self) -> bool:
        """Tell whether a tar file begins here, or after blocks of zeros. Raises FormatError as `read` does."""
        self.expected = _BETWEEN
        while block := self.read(_BLOCK):
            if block.strip(b"\0"):
                self._start = block
                return True
        return False


def _of_tar(stream: _TarStream, name: str, prefix: str) -> Iterator[NamedImage]:
    """Yield the images in a tar file, in one pass; all else in it is passed over. Raises FormatError.

    Of several that were joined (`cat *.tar`) each is read.
    """
    import tarfile

    found, whole = False, True
    try:
        while whole and stream.goes_on():
            for shown, file in _members(stream, prefix):
                found = True
                if file is None:
                    yield NamedImage(shown, FormatError(f"{shown} is too large for a strip"))
                else:
                    yield _strip(file.read(), shown)
            whole = stream.is_whole
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise FormatError(f"{name} is not a sound tar file: {one_line(str(error), 120)}") from None
    if not whole:
        raise FormatError(f"{name} is not a sound tar file: it is damaged or cut off")
    if not found:
        raise FormatError(f"{name} holds no images")


def _members(stream: _TarStream, prefix: str) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the images in one tar file, each to be read before the next: name, and content if it is not too large."""
    import tarfile

    archive: Any
    readable = cast(Any, stream)  # which has all that a stream needs
    with tarfile.open(mode="r|", fileobj=readable, bufsize=_BLOCK) as archive:
        for member in iter(archive.next, None):
            archive.members.clear()  # which would grow with the stream
            stream.expected = member.size + _BETWEEN
            if member.isreg() and _is_strip(member.name):
                yield f"{prefix}{member.name}", archive.extractfile(member) if member.size <= MAX_FILE else None


def _strip_file(path: Path, name: str) -> NamedImage:
    with local.open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            return NamedImage(name, FormatError(f"{name} is too large for a strip"))
        return _strip(file.read(), name)


def _strip(content: bytes, name: str) -> NamedImage:
    try:
        return NamedImage(name, decode_image(content, name))
    except FormatError as error:
        return NamedImage(name, error)


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """Return the image in a file as grey on white: uint8 (height, width). Raises FormatError."""
    kind = kind_of(content[:_BLOCK])
    if kind == "PNG":
        return png.decode(content, name=name)
    if kind not in PICTURES:
        raise _neither(content, name)
    return image_file.read(content, (kind,), name=name, kind=f"{kind} file")


def _is_strip(name: str) -> bool:
    """Tell by its name whether a file is an image of a strip, and no mask."""
    return name.lower().endswith(SUFFIXES) and not name.endswith(MASK_SUFFIX)


def _neither(content: bytes, name: str) -> FormatError:
    if not content:
        return FormatError(f"{name} is empty")
    return FormatError(
        f"{name} is neither an image nor an IDX, tar or npz file", hint=f"it begins with {content[:4].hex(' ')}"
    )
