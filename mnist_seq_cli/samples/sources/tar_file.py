"""Owns a tar file as samples: one of a dataset in the format webdataset, or, for its images alone, any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import Row, parse_row
from mnist_seq_cli.formats.webdataset import IMAGE, ROW
from mnist_seq_cli.samples.sources.listed import MAX_SAMPLES, Listed, Listing, recipe_beside
from mnist_seq_cli.samples.sources.tar_images import TarStream, images_in
from mnist_seq_cli.samples.strip import NamedImage, Strip
from mnist_seq_cli.storage import local


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
        """Yield the images as they come, whatever else there is. Raises FormatError, OSError."""
        with local.open_regular(self.path) as file:
            yield from images_in(TarStream(b"", file), self.name, f"{self.name}/")

    def spread(self, count: int) -> list[int]:
        """Return the first numbers: there is no way past them."""
        return list(range(min(count, len(self))))

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield the first samples, in one pass; None for those that cannot be read."""
        left = len(self.spread(count))
        for name, content in _members(self.path):
            if name not in self._numbers or not left:
                continue
            left -= 1
            try:
                yield self._strip(self._numbers[name], png.decode(content, name=name))
            except FormatError:
                yield None


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with local.open_regular(path) as file:
        yield from tar.read_members(file, path.name)
