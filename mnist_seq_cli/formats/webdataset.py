"""Owns the format `webdataset`: a tar file a shard, with KEY.png and KEY.json for each sample, side by side.

With masks KEY.mask.png comes after these: to its readers a key ends at the first dot.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.formats.reader import OffsetReader, Reader
from mnist_seq_cli.formats.rows import decoded, parse_row, pattern, rows_of, strict_keys
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec

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
        def stops(file: BinaryIO, name: str, shard: Shard) -> list[int]:
            found = [stop for _, _, stop in tar.read_members(file, name, needed=lambda _: False)]
            each = len(_endings(spec))
            if len(found) != each * shard.samples:
                raise FormatError(f"{name} holds {len(found)} files, and its samples have {each * shard.samples}")
            return found[each - 1 :: each]

        def batch(samples: Numbers, names: list[str], stored: list[bytes]) -> Batch:
            contents = []
            for sample, name, content in zip(as_array(samples).tolist(), names, stored, strict=True):
                members = tar.read_members(io.BytesIO(content), name)
                contents += [found for _, found, _ in _samples(members, name, spec, Shard(0, sample, sample + 1))]
            return _batch(spec, samples, names, contents)

        return OffsetReader(spec.plan, open_file, lambda shard: self.shard_names(spec, shard)[0], stops, batch)

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


def _endings(spec: Spec) -> tuple[str, ...]:
    return (IMAGE, ROW, MASK)[: 2 + spec.masks]


def _batch(spec: Spec, samples: Numbers, names: list[str], contents: list[list[bytes]]) -> Batch:
    """Return samples as a batch, of the content of their members, and the names of their files. Raises FormatError."""
    digits, numbers = spec.plan.digits, as_array(samples).tolist()
    wheres = [f"{name}, {digits.sample(number)}" for name, number in zip(names, numbers, strict=True)]
    keys, (images, rows, *masks) = strict_keys(spec.recipe), zip(*contents, strict=True)
    parsed = [parse_row(row, f"{where}{ROW}", keys) for row, where in zip(rows, wheres, strict=True)]
    return decoded(spec, samples, wheres, images, parsed, *masks, named=(f"{{}}{IMAGE}", f"{{}}{MASK}"))


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
