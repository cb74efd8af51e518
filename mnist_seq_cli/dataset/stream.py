"""Owns a dataset as a stream: all samples as one file."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_seq_cli import formats
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec


def stream(spec: Spec, source: Source) -> Iterator[bytes]:
    """Yield all samples as one file, piece by piece. Raises RequestError for formats that are not streams."""
    format_ = formats.get(spec.format)
    glyphs, background = bank.load(source), background_image.load(source)
    check_bank(spec.recipe, glyphs)
    batches = (
        compose.compose(spec.recipe, glyphs, first, stop, masks=spec.masks, background=background)
        for first, stop in compose.spans(spec.recipe, 0, spec.samples)
    )
    yield from format_.stream(spec, batches)
