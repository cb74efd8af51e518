"""Owns the format `tfrecord`: a TFRecord file a shard, of a `tf.train.Example` a sample, as TensorFlow and DALI read.

`image` and, with masks, `mask` are PNG files, `text` is the sequence, `0042`; annotations are lists of int64, those of
fractions of float32. `boxes` has four values a digit, one box after another.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from mnist_seq_cli.codecs import png, tfrecord
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.formats.reader import OffsetReader, Reader
from mnist_seq_cli.formats.rows import OF_STRIPS, decoded, flat_columns, strict_keys, to_row
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec


class TfRecord(Format):
    """TFRecord files, as TensorFlow reads them."""

    NAME = "tfrecord"
    SUFFIX = ".tfrecord"
    READ = r"\.tfrecords?(\.gz)?"
    HUB_FILES = ("*.tfrecord",)
    ANY_WIDTH = MASKS = True
    COMPRESSION = "fast"

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        def pieces() -> Iterator[bytes]:
            for batch in batches:
                columns: dict[str, Any] = {"image": png.encode(batch.images, spec.compression, batch.widths)}
                if batch.masks is not None:
                    columns["mask"] = png.encode(batch.masks, spec.compression, batch.widths)
                columns["text"] = [text.encode() for text in batch.texts]
                yield tfrecord.records(tfrecord.examples(columns | flat_columns(spec.recipe, batch)))

        (name,) = self.shard_names(spec, shard)
        yield File(name, pieces())
        return None

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        (name,) = self.shard_names(spec, shard)
        with open_file(name) as file:
            records = tfrecord.read_records(file, name, shard.samples)
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                stored = [record for record, _ in islice(records, stop - first)]
                yield _batch(spec, range(first, stop), [name] * len(stored), stored)
            next(records, None)  # which looks for what should not be there

    def reader(self, spec: Spec, open_file: Opener) -> Reader:
        def stops(file: Any, name: str, shard: Shard) -> Iterator[int]:
            return (stop for _, stop in tfrecord.read_records(file, name, shard.samples))

        return OffsetReader(
            spec.plan, open_file, lambda shard: self.shard_names(spec, shard)[0], stops, partial(_batch, spec)
        )

    def detect(self, start: bytes) -> bool:
        return tfrecord.looks_like_records(start)


def _batch(spec: Spec, samples: Numbers, names: list[str], stored: list[bytes]) -> Batch:
    """Return samples as a batch, of their records, and the names of their files. Raises FormatError."""
    keys, images, masks, rows, wheres = strict_keys(spec.recipe), [], [], [], []
    for sample, name, content in zip(as_array(samples).tolist(), names, tfrecord.contents(stored, names), strict=True):
        wheres.append(f"{name}, sample {sample}")
        values: dict[str, Any] = tfrecord.parse_example(content, wheres[-1])
        images.append(values.pop("image", b""))
        masks += [values.pop("mask", b"")] if spec.masks else []
        flat = values.get("boxes", [])
        text = values.get("text", b"")
        values |= {
            "text": text.decode("ascii", "replace"),
            "boxes": [flat[at : at + 4] for at in range(0, len(flat), 4)],
            **{name: values[name][0] for name in OF_STRIPS if len(values.get(name, ())) == 1},
        }
        rows.append(to_row(values, wheres[-1], keys))
    return decoded(spec, samples, wheres, images, rows, masks)
