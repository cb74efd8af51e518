"""Owns the format `webdataset`: a tar file a shard, with KEY.png and KEY.json for each sample, side by side.

With masks KEY.mask.png comes after these: to its readers a key ends at the first dot.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from mnist_seq_cli.codecs import png, tar
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.formats.rows import parse_row, pattern, rows_of, strict_keys, to_batch
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec

IMAGE, ROW, MASK = ".png", ".json", png.MASK_SUFFIX
"""How the names of a sample's members end, in their order."""


class WebDataset(Format):
    """Tar files, as the library webdataset reads them."""

    NAME = "webdataset"
    SUFFIX = ".tar"
    READ = r"\.tgz|\.tar(\.(bz2|gz|xz|zst))?"
    ANY_WIDTH = MASKS = True

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
        (name,), keys, digits = self.shard_names(spec, shard), strict_keys(spec.recipe), spec.plan.digits
        with open_file(name) as file:
            samples = _samples(tar.read_members(file, name), name, spec, shard)
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                images, rows, masks = [], [], []
                for sample, (image, row, *mask) in islice(samples, stop - first):
                    where = f"{name}, {digits.sample(sample)}"
                    images.append(png.decode(image, name=f"{where}{IMAGE}"))
                    rows.append(parse_row(row, f"{where}{ROW}", keys))
                    masks += [png.decode(content, name=f"{where}{MASK}") for content in mask]
                yield to_batch(spec.recipe, first, rows, images, masks if spec.masks else None)
            next(samples, None)  # which looks for what should not be there

    def read_texts(self, spec: Spec, open_file: Opener) -> Iterator[str]:
        keys, as_written, digits = strict_keys(spec.recipe), pattern(spec.recipe), spec.plan.digits
        for shard in spec.plan:
            (name,) = self.shard_names(spec, shard)
            with open_file(name) as file:
                members = tar.read_members(file, name, needed=lambda member: member.endswith(ROW))
                for sample, (_, row, *_) in _samples(members, name, spec, shard):
                    known = as_written.fullmatch(row)
                    yield (
                        known[1].decode()
                        if known
                        else parse_row(row, f"{name}, {digits.sample(sample)}{ROW}", keys).text
                    )

    def detect(self, start: bytes) -> bool:
        return tar.looks_like_tar(start)


def _samples(
    members: Iterator[tuple[str, bytes]], name: str, spec: Spec, shard: Shard
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of each sample of a shard, which has to hold them all, in order, and the content of its members.

    Raises FormatError.
    """
    endings, digits = (IMAGE, ROW, MASK)[: 2 + spec.masks], spec.plan.digits
    for sample in range(shard.first, shard.stop):
        found = list(islice(members, len(endings)))
        if [member for member, _ in found] != [f"{digits.sample(sample)}{ending}" for ending in endings]:
            raise FormatError(f"{name} has no sample {sample} where it should be")
        yield sample, [content for _, content in found]
    if next(members, None) is not None:
        raise FormatError(f"{name} holds more than its samples")
