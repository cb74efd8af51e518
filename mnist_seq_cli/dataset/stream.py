"""Owns a dataset as a stream: all samples as one tar file."""

from __future__ import annotations

from collections.abc import Iterator

from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec


def stream(spec: Spec, source: Source) -> Iterator[bytes]:
    """Yield all samples as one tar file, piece by piece. Raises RequestError for formats that are not streams."""
    if spec.format != "webdataset":
        raise RequestError(f"the format {spec.format} cannot go to stdout", hint="--format webdataset can")
    from mnist_seq_cli.formats import webdataset

    glyphs = bank.load(source)
    check_bank(spec.recipe, glyphs)
    background = background_image.load(source)
    batches = (
        compose.compose(spec.recipe, glyphs, first, stop, masks=spec.masks, background=background)
        for first, stop in compose.spans(spec.recipe, 0, spec.samples)
    )
    yield from webdataset.stream(spec.recipe, batches, spec.compression)
