"""Owns one tar file of a dataset as samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import Row, parse_row
from mnist_seq_cli.formats.webdataset import IMAGE, ROW
from mnist_seq_cli.samples.collection import MAX_SAMPLES, Listed, recipe_beside
from mnist_seq_cli.samples.strip import Strip
from mnist_seq_cli.storage import local


class TarShard(Listed):
    """One tar file of a dataset in the format webdataset, by itself."""

    kind = "shard"

    def __init__(self, path: Path) -> None:
        self.path = path
        names: list[str] = []
        rows: dict[str, Row] = {}
        for name, content in _members(path):
            if name.endswith(png.MASK_SUFFIX):
                continue
            if name.endswith(IMAGE):
                if len(names) == MAX_SAMPLES:
                    raise FormatError(f"{path} holds more than {MAX_SAMPLES} samples")
                names.append(name)
            else:
                rows[f"{name.removesuffix(ROW)}{IMAGE}"] = parse_row(content, f"{path}, {name}")
        if len(set(names)) < len(names) or not names:
            raise FormatError(f"{path} holds {'a sample twice' if names else 'no samples'}")
        super().__init__(names, rows, recipe_beside(path.parent))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, in one pass."""
        wanted = {self._names[number]: number for number in numbers}
        for name, content in _members(self.path):
            if name in wanted:
                yield self._strip(wanted[name], png.decode(content, name=f"{self.path}, {name}"))

    def spread(self, count: int) -> list[int]:
        """Return the first numbers: there is no way past them."""
        return list(range(min(count, len(self))))

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield the first samples, in one pass; None for those that cannot be read."""
        wanted, seen = self.spread(count), 0
        for name, content in _members(self.path):
            if name not in self._places or seen == len(wanted):
                continue
            seen += 1
            try:
                yield self._strip(self._places[name], png.decode(content, name=name))
            except FormatError:
                yield None


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with local.open_regular(path) as file:
        yield from tar.read_members(file, path.name)
