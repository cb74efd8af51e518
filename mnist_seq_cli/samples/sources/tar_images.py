"""Owns the images in any tar file, as it comes: a file or a stream that is read once and never held."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.samples.sources.image import MAX_FILE, is_named_like_a_strip, named_image, too_large
from mnist_seq_cli.samples.strip import NamedImage

_BLOCK = 512
"""Bytes of a block of a tar file."""

_BETWEEN = 16 << 20
"""Bytes that may come between the members of a tar file, such as long names."""


class TarStream:
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


def images_in(stream: TarStream, name: str, prefix: str) -> Iterator[NamedImage]:
    """Yield the images in a tar file, in one pass; all else in it is passed over. Raises FormatError.

    Of several that were joined (`cat *.tar`) each is read.
    """
    found, whole = False, True
    try:
        while whole and stream.goes_on():
            for shown, file in _members(stream, prefix):
                found = True
                if file is None:
                    yield NamedImage(shown, too_large(shown))
                else:
                    yield named_image(file.read(), shown)
            whole = stream.is_whole
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise FormatError(f"{name} is not a sound tar file: {one_line(str(error), 120)}") from None
    if not whole:
        raise FormatError(f"{name} is not a sound tar file: it is damaged or cut off")
    if not found:
        raise FormatError(f"{name} holds no images")


def _members(stream: TarStream, prefix: str) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the images in one tar file, each to be read before the next: name, and content if it is not too large."""
    archive: Any
    readable = cast(Any, stream)  # which has all that a stream needs
    with tarfile.open(mode="r|", fileobj=readable, bufsize=_BLOCK) as archive:
        for member in iter(archive.next, None):
            archive.members.clear()  # which would grow with the stream
            stream.expected = member.size + _BETWEEN
            if member.isreg() and is_named_like_a_strip(member.name):
                yield f"{prefix}{member.name}", archive.extractfile(member) if member.size <= MAX_FILE else None
