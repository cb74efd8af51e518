"""Owns tar files: one of a dataset in the format webdataset as samples, and the images in any, from a file or a stream.

A stream is read once and never held.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.formats.rows import Row, parse_row
from mnist_seq_cli.formats.webdataset import IMAGE, ROW
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.samples.sources.image import is_named_like_a_strip, named_image
from mnist_seq_cli.samples.sources.listed import MAX_SAMPLES, Listed, Listing, recipe_beside
from mnist_seq_cli.samples.strip import NamedImage, Strip
from mnist_seq_cli.storage import local

_BLOCK = 512
"""Bytes of a block of a tar file."""

_BETWEEN = 16 << 20
"""Bytes that may come between the members of a tar file, such as long names."""

_LARGEST = 1 << 33
"""Bytes of the largest member that is passed over: a size in octal digits, as POSIX has it, is smaller."""


class TarFile(Listed):
    """One tar file by itself. Its samples are those of a shard of a dataset; its images may be anything."""

    kind = "shard"

    def __init__(self, path: Path, name: str = "") -> None:
        super().__init__(recipe_beside(path.parent))
        self.path, self.name = path, name or str(path)

    def _list(self) -> Listing:
        names: list[str] = []
        rows: dict[str, Row] = {}
        for name, content in _members(self.path):
            if name.endswith(png.MASK_SUFFIX):
                continue
            if name.endswith(IMAGE):
                if len(names) == MAX_SAMPLES:
                    raise FormatError(f"{self.path} holds more than {MAX_SAMPLES} samples")
                names.append(name)
            else:
                rows[f"{name.removesuffix(ROW)}{IMAGE}"] = parse_row(content, f"{self.path}, {name}")
        if len(set(names)) < len(names) or not names:
            raise FormatError(f"{self.path} holds {'a sample twice' if names else 'no samples'}")
        return Listing(names, rows)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, in one pass."""
        chosen = {self.listing.names[number]: number for number in numbers}
        for name, content in _members(self.path):
            if name in chosen:
                yield self._strip(chosen[name], png.decode(content, name=f"{self.path}, {name}"))

    def images(self) -> Iterator[NamedImage]:
        with local.open_regular(self.path) as file:
            yield from images_in(TarStream(b"", file), self.name, f"{self.name}/")

    def spread(self, count: int) -> list[int]:
        """Return the first numbers: the others cannot be read without them."""
        return list(range(min(count, len(self))))

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield the first samples, in one pass; None for those that cannot be read."""
        chosen = {name: number for number, name in enumerate(self.listing.names[:count])}
        for name, content in _members(self.path):
            if name in chosen:
                try:
                    yield self._strip(chosen[name], png.decode(content, name=name))
                except FormatError:
                    yield None


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with local.open_regular(path) as file:
        yield from ((name, content) for name, content, _ in tar.read_members(file, path.name))


class TarStream:
    """The bytes of a tar file, of which some were read before. Knows how they ended; gives no more than expected.

    No size in a header is believed before so many bytes came.
    """

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream
        self._last = b""
        self._expected = _BETWEEN

    def expect(self, size: int) -> None:
        """Take a member of this size to follow. Raises FormatError for one that cannot be."""
        if size > _LARGEST:
            raise FormatError(f"a member claims {size} bytes")
        self._expected = size + _BETWEEN

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end. Raises FormatError for more or fewer than were expected."""
        content = self._start + self._stream.read(size - len(self._start))
        self._start, self._last = b"", content or self._last
        self._expected -= len(content)
        if self._expected < 0:
            raise FormatError("a tar file has a header of an impossible size")
        if not content and self._expected > _BETWEEN:
            raise FormatError(f"{self._expected - _BETWEEN} bytes that a header claims are not there")
        return content

    @property
    def is_whole(self) -> bool:
        """Whether the block that was read last is what tar files end with, so that nothing was cut off there."""
        return self._last == bytes(_BLOCK)

    def goes_on(self) -> bool:
        """Return whether a tar file begins here, or after blocks of zeros. Raises FormatError as `read` does."""
        self.expect(0)
        while block := self.read(_BLOCK):
            if block.strip(b"\0"):
                self._start = block
                return True
        return False


def images_in(stream: TarStream, name: str, prefix: str) -> Iterator[NamedImage]:
    """Yield the images in a tar file, or in several that were joined (`cat *.tar`). Raises FormatError."""
    is_empty, whole = True, True
    try:
        while whole and stream.goes_on():
            for shown, file in _image_members(stream, prefix):
                is_empty = False
                if file is None:
                    yield NamedImage(shown, FormatError(f"{shown} is too large for a strip"))
                else:
                    yield named_image(file.read(), shown)
            whole = stream.is_whole
    except (tarfile.TarError, EOFError, ValueError, OverflowError, LookupError, RecursionError) as error:
        raise FormatError(f"{name} is not a sound tar file: {one_line(str(error), 120)}") from None
    if not whole:
        raise FormatError(f"{name} is not a sound tar file: it is damaged or cut off")
    if is_empty:
        raise FormatError(f"{name} holds no images")


def _image_members(stream: TarStream, prefix: str) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the images in one tar file, each to be read before the next: name, and content if it is not too large."""
    archive: Any
    readable = cast(Any, stream)  # which has all that a stream needs
    with tarfile.open(mode="r|", fileobj=readable, bufsize=_BLOCK) as archive:
        for member in iter(archive.next, None):
            archive.members.clear()  # which would grow with the stream
            stream.expect(archive.offset - member.offset_data)  # as it is stored: a sparse file has fewer bytes
            if member.isreg() and is_named_like_a_strip(member.name):
                yield f"{prefix}{member.name}", archive.extractfile(member) if member.size <= MAX_FILE else None
