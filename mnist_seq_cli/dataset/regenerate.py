"""Owns the comparison of a dataset with what its recipe makes: some shards are made again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.manifest import Location, require_spec
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.store import Store


def regenerate(
    location: Location, source: Source | None = None, *, paper: Path | None = None, shards: int
) -> tuple[int, list[str]]:
    """Make up to that many shards again from the recipe, chosen at random, and compare them with what is on disk.

    Return how many were compared, and a line for each that differs. Pixels, labels and masks are compared, not file
    bytes. `source` is where the glyphs are, when they are not the bundled ones, and `paper` an image, where strips
    have one as background. Raises FormatError when there is no dataset, RequestError for glyphs or a background of
    another content.
    """
    store = open_store(location)
    spec = require_spec(store)
    source = replace(source or Source(spec.recipe.source), background=paper)
    numbers = sorted(range(len(spec.plan)), key=lambda _: os.urandom(8))[:shards]
    problems = [_difference(store, spec, source, spec.plan[number]) for number in sorted(numbers)]
    return len(numbers), [problem for problem in problems if problem]


def _difference(store: Store, spec: Spec, source: Source, shard: Shard) -> str:
    """Return the first way in which a shard is not what the recipe makes, or nothing."""
    glyphs, background = bank.load(source), background_image.load(source)
    try:
        for found in formats.get(spec.format).read(spec, shard, store.open):
            stop = found.first + len(found)
            made = compose.compose(spec.recipe, glyphs, found.first, stop, masks=spec.masks, background=background)
            if (found.glyphs == ABSENT).all():  # a format without room for them, and custom glyphs
                found = replace(found, **{name: getattr(made, name) for name in ("glyphs", "x", "y", "boxes")})
            if (wrong := made.first_difference(found)) is not None:
                return f"shard {shard.number}: sample {wrong} is not what the recipe makes"
    except (FormatError, OSError) as error:
        return f"shard {shard.number}: {error}"
    return ""
