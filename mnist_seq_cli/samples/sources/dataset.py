"""Owns the samples of a dataset directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.rows import texts_of
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.samples.collection import CHUNK, Collection
from mnist_seq_cli.samples.strip import NO_GAP, Rows, Strip, sampled_gaps, strips_of
from mnist_seq_cli.storage.location import open_store

_SHARDS = 20


class Dataset(Collection):
    """A dataset directory. Has no samples where it is incomplete; `problems` says why."""

    kind = "dataset"

    def __init__(self, path: Path, spec: Spec) -> None:
        self.path, self.spec = path, spec
        self.source, self.glyph_width = spec.recipe.source, spec.recipe.glyph_width
        complete = manifest.read_manifest(path)
        records = complete.records if complete else manifest.read_records(path, spec.recipe.fingerprint)
        self.done = sum(record.samples for record in records.values())
        self.bytes = sum(record.bytes for record in records.values())
        self.problems = []
        if complete is None:
            done = f"{self.done} of {spec.samples} samples are done"
            self.problems.append(f"incomplete, {done}: the dataset command does the rest")
        elif (complete.recipe, complete.samples, self.done) != (spec.recipe.fingerprint, spec.samples, spec.samples):
            self.problems.append(f"{MANIFEST_NAME} and {RECIPE_NAME} are not about the same samples")
        self._format, self._open = formats.get(spec.format), open_store(path, "read").open

    def __len__(self) -> int:
        return 0 if self.problems else self.spec.samples

    @property
    def knows_glyphs(self) -> bool:
        """Whether glyphs and left edges can be worked out from the recipe: where the bank is a bundled one."""
        return self.source in BUNDLED_SOURCES

    def rows(self) -> Iterator[Rows]:
        """Yield sequences as they stand on disk, and beside them the glyphs and gaps by which the recipe makes them.

        Both are left out where the sequence is not the one that the recipe makes, and glyphs where the bank is not at
        hand.
        """
        recipe, first = self.spec.recipe, 0
        texts = self._format.read_texts(self.spec, self._open)
        while chunk := list(islice(texts, CHUNK)):
            self._check(chunk)
            gaps = sampled_gaps(recipe, first, list(map(len, chunk)))
            glyphs = np.full((len(chunk), recipe.length), ABSENT, dtype=np.int32)
            if self.knows_glyphs:
                made = compose.annotate(recipe, bank.load(Source(self.source)), first, first + len(chunk))
                glyphs = made.glyphs
                others = [row for row, text in enumerate(texts_of(made)) if text != chunk[row]]
                if others:
                    glyphs = glyphs.copy()
                    glyphs[others], gaps[others] = ABSENT, NO_GAP
            yield Rows(first, list(chunk), glyphs, gaps)
            first += len(chunk)

    def rows_with_glyphs(self) -> Iterator[Rows]:
        """Yield sequences with their glyphs; where the bank is not at hand, as they stand beside the images."""
        if self.knows_glyphs:
            yield from self.rows()
            return
        for shard in self.spec.plan:
            for batch in self._format.read(self.spec, shard, self._open):
                gaps = sampled_gaps(self.spec.recipe, batch.first, batch.lengths)
                yield Rows(batch.first, list(texts_of(batch)), batch.glyphs, gaps)

    def _check(self, texts: list[str]) -> None:
        length, joined = self.spec.recipe.length, "".join(texts)
        if not (joined.isascii() and joined.isdigit()) or not all(0 < len(text) <= length for text in texts):
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield samples as they stand on disk, in one pass."""
        size = self.spec.shard_size
        if not self._format.RANDOM_ACCESS and not self._format.SEPARABLE:
            if numbers:
                yield from self._read(Shard(0, numbers[0], numbers[-1] + 1), list(numbers))
            return
        for place, group in groupby(numbers, lambda number: number // size):
            wanted = list(group)
            if not self._format.RANDOM_ACCESS:
                yield from self._read(self.spec.plan[place], wanted)
                continue
            for _, run in groupby(enumerate(wanted), lambda pair: pair[1] - pair[0]):
                part = [number for _, number in run]
                yield from self._read(Shard(place, part[0], part[-1] + 1), part)

    def _read(self, shard: Shard, numbers: list[int]) -> Iterator[Strip]:
        invert, left = self.spec.recipe.invert, len(numbers)
        for batch in self._format.read(self.spec, shard, self._open):
            here = [number for number in numbers if batch.first <= number < batch.first + len(batch)]
            gaps = sampled_gaps(self.spec.recipe, batch.first, batch.lengths)
            yield from strips_of(batch, here, gaps, invert=invert, glyph_width=self.glyph_width)
            left -= len(here)
            if not left:
                return

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample that goes by this name, as its format has it, or by its number."""
        named = self._named_place(name) if self._named_place else None
        return super().place_of(name) if named is None else named

    @cached_property
    def _named_place(self) -> Callable[[str], int | None] | None:
        """The number of a sample by the name of its file; None where names are numbers."""
        return self._format.finder(self.spec)

    def spread(self, count: int) -> list[int]:
        """Return numbers from all over; where samples cannot be read alone, the first of some shards, or of all."""
        if self._format.RANDOM_ACCESS or len(self) <= count:
            return super().spread(count)
        if not self._format.SEPARABLE:
            return list(range(count))
        shards = len(self.spec.plan)
        chosen = sorted({place * (shards - 1) // (_SHARDS - 1) for place in range(_SHARDS)})
        each = -(-count // len(chosen))
        plan = (self.spec.plan[place] for place in chosen)
        return [number for shard in plan for number in range(shard.first, min(shard.first + each, shard.stop))][:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield samples from all over; those that cannot be read alone in as few passes as there can be."""
        if self._format.RANDOM_ACCESS:
            yield from super().picked(count)
            return
        numbers = self.spread(count)
        for _, group in groupby(numbers, lambda number: number // self.spec.shard_size * self._format.SEPARABLE):
            run, seen = list(group), 0
            try:
                for strip in self.strips(run):
                    seen += 1
                    yield strip
            except (FormatError, OSError):
                yield from [None] * (len(run) - seen)
