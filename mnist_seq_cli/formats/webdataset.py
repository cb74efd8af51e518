"""Owns the format `webdataset`: a tar file a shard, with KEY.png and KEY.json for each sample, side by side.

With masks KEY.mask.png comes after these: to its readers a key ends at the first dot.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.formats.rows import parse_row, pattern, rows_of, strict_keys, to_batch
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import identity

IMAGE, ROW, MASK = ".png", ".json", png.MASK_SUFFIX
"""How the names of a sample's members end, in their order."""


class WebDataset(Format):
    """Tar files, as the library webdataset reads them."""

    NAME = "webdataset"
    SUFFIX = ".tar"
    HUB_FILES = ("*.tar",)
    READ = r"\.tgz|\.tar(\.(bz2|gz|xz|zst))?"
    ON_HUB = ANY_WIDTH = MASKS = True

    def stream(self, spec: Spec, batches: Iterable[Batch]) -> Iterator[bytes]:
        digits = spec.plan.digits.of_samples
        for batch in batches:
            images = png.encode(batch.images, spec.compression, batch.widths)
            columns = [(IMAGE, images), (ROW, [f"{{{row}}}".encode() for _, row in rows_of(spec.recipe, batch)])]
            if batch.masks is not None:
                columns.append((MASK, png.encode(batch.masks, spec.compression, batch.widths)))
            yield tar.members(batch.first, columns, digits)
        yield tar.END

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        (name,) = self.shard_names(spec, shard)
        yield File(name, self.stream(spec, batches))
        return None

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        (name,) = self.shard_names(spec, shard)
        with open_file(name) as file:
            samples = _samples(tar.read_members(file, name), name, spec, shard)
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                contents = [content for _, content, _ in islice(samples, stop - first)]
                yield _batch(spec, range(first, stop), [name] * len(contents), contents)
            next(samples, None)  # which looks for what should not be there

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        return _Reader(spec, lambda shard: self.shard_names(spec, shard)[0], open_file)

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        keys, as_written, digits = strict_keys(spec.recipe), pattern(spec.recipe), spec.plan.digits
        for shard in spec.plan:
            (name,) = self.shard_names(spec, shard)
            with open_file(name) as file:
                members = tar.read_members(file, name, needed=lambda member: member.endswith(ROW))
                for sample, (_, row, *_), _ in _samples(members, name, spec, shard):
                    known = as_written.fullmatch(row)
                    yield (
                        known[1].decode()
                        if known
                        else parse_row(row, f"{name}, {digits.sample(sample)}{ROW}", keys).text
                    )

    def detect(self, start: bytes) -> bool:
        return tar.looks_like_tar(start)


class _Reader:
    """Reads each sample at its offset: those of a shard are found once, by the headers of its members."""

    def __init__(self, spec: Spec, name_of: Callable[[Shard], str], open_file: Opener) -> None:
        self._spec, self._name_of, self._open_file = spec, name_of, open_file
        self._blocks: dict[int, tuple[Hashable, NDArray[np.uint32]]] = {}
        """By shard the identity of its file, and in blocks of 512 bytes where each sample begins, and the last ends."""

    def read(self, samples: Numbers) -> Batch:
        numbers = as_array(samples)
        shards, names, contents = numbers // self._spec.shard_size, [""] * len(numbers), [list[bytes]()] * len(numbers)
        for number in np.unique(shards).tolist():
            shard = self._spec.plan[number]
            name = self._name_of(shard)
            with self._open_file(name) as file:
                blocks = self._found(shard, name, file)
                for row in np.flatnonzero(shards == number).tolist():
                    sample = int(numbers[row])
                    start, stop = (tar.BLOCK * int(block) for block in blocks[sample - shard.first :][:2])
                    file.seek(start)
                    members = tar.read_members(io.BytesIO(file.read(stop - start)), name)
                    ((_, contents[row], _),) = _samples(members, name, self._spec, Shard(number, sample, sample + 1))
                    names[row] = name
        return _batch(self._spec, samples, names, contents)

    def _found(self, shard: Shard, name: str, file: BinaryIO) -> NDArray[np.uint32]:
        known, (before, blocks) = identity(file), self._blocks.get(shard.number, (None, None))
        if blocks is None or known != before:
            stops = [stop for _, _, stop in tar.read_members(file, name, needed=lambda _: False)]
            each = len(_endings(self._spec))
            if len(stops) != each * shard.samples:
                raise FormatError(f"{name} holds {len(stops)} files, and its samples have {each * shard.samples}")
            blocks = (np.array([0, *stops[each - 1 :: each]]) // tar.BLOCK).astype(np.uint32)
            self._blocks[shard.number] = known, blocks
        return blocks


def _endings(spec: Spec) -> tuple[str, ...]:
    return (IMAGE, ROW, MASK)[: 2 + spec.masks]


def _batch(spec: Spec, samples: Numbers, names: list[str], contents: list[list[bytes]]) -> Batch:
    """Return samples as a batch, of the content of their members, and the names of their files. Raises FormatError."""
    images, rows, masks, keys, digits = [], [], [], strict_keys(spec.recipe), spec.plan.digits
    for sample, name, (image, row, *mask) in zip(samples, names, contents, strict=True):
        where = f"{name}, {digits.sample(sample)}"
        images.append(png.decode(image, name=f"{where}{IMAGE}"))
        rows.append(parse_row(row, f"{where}{ROW}", keys))
        masks += [png.decode(content, name=f"{where}{MASK}") for content in mask]
    return to_batch(spec.recipe, samples, rows, images, masks if spec.masks else None)


def _samples(
    members: Iterator[tuple[str, bytes, int]], name: str, spec: Spec, shard: Shard
) -> Iterator[tuple[int, list[bytes], int]]:
    """Yield the number of each sample of a shard, the content of its members, and the offset of what follows in bytes.

    Raises FormatError unless the shard holds them all, in order, and nothing else.
    """
    endings, digits = _endings(spec), spec.plan.digits
    for sample in range(shard.first, shard.stop):
        found = list(islice(members, len(endings)))
        if [member for member, _, _ in found] != [f"{digits.sample(sample)}{ending}" for ending in endings]:
            raise FormatError(f"{name} has no sample {sample} where it should be")
        yield sample, [content for _, content, _ in found], found[-1][2]
    if next(members, None) is not None:
        raise FormatError(f"{name} holds more than its samples")
