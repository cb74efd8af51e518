"""Owns a dataset as a stream: all samples as one file."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.shards import composed
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec


def stream(spec: Spec, source: Source) -> Iterator[bytes]:
    """Yield all samples as one file, piece by piece. Raises RequestError for formats that are not streams."""
    check_bank(spec.recipe, bank.load(source))
    format_ = formats.get(spec.format)
    if spec.annotations:
        format_.check(spec)
    yield from format_.stream(spec, composed(spec, source, 0, spec.samples))
