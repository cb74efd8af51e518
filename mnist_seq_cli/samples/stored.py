"""Owns stored samples: a dataset of any format as a sequence of samples, each read when it is accessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, SPLITS_NAME
from mnist_seq_cli.dataset.records import ordered, read_records
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT, Batch
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Format
from mnist_seq_cli.formats.reader import Reader
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.samples.recipe_samples import RecipeSamples, Transform
from mnist_seq_cli.samples.samples import LABELS_AT_ONCE
from mnist_seq_cli.samples.strip import NO_GAP, Labels, Strip, sampled_gaps, strip_of
from mnist_seq_cli.storage.location import PathOrStore, located, open_store

if TYPE_CHECKING:
    from mnist_seq_cli.storage.object_store import ObjectStore

_SHARDS = 20
"""Shards from which samples are selected in formats without random access."""


class StoredDataset(RecipeSamples):
    """The samples of a complete dataset, in the same form as those of a SequenceDataset.

    `recipe` and `spec` say what was requested; samples have masks if these were written; `transform` is as in
    SequenceDataset. Random access is about as fast as reading in order; `formats/README.md` says what memory it takes.
    """

    kind = "dataset"

    def __init__(self, path: str | PathLike[str] | ObjectStore, *, transform: Transform | None = None) -> None:
        path = located(path, "read")
        if isinstance(path, Path) and path.exists() and not path.is_dir():
            raise FormatError(f"{path} is not a directory", hint="a dataset is opened by its directory")
        spec = manifest.read_spec(path)
        if spec is None:
            has_splits = open_store(path).size(SPLITS_NAME) is not None
            hint = "it holds splits: take one of them" if has_splits else ""
            raise FormatError(f"{path} is not an mnistseq dataset: it has no {RECIPE_NAME}", hint=hint)
        self._open(path, spec)
        if not self.is_complete:
            hint = "the dataset command finishes it"
            raise FormatError(f"{path} is incomplete: it has no {MANIFEST_NAME}", hint=hint)
        if self.problems:
            raise FormatError(f"{path} is not sound: {self.problems[0]}")
        self.transform = transform

    @classmethod
    def found_at(cls, path: PathOrStore) -> Self | None:
        """Return the dataset at a path, without samples if it is incomplete, or None. Raises FormatError."""
        spec = manifest.read_spec(path)
        if spec is None:
            return None
        data = cls.__new__(cls)
        data._open(path, spec)
        return data

    def _open(self, path: PathOrStore, spec: Spec) -> None:
        complete = manifest.read_manifest(path)
        store = open_store(path, "read")
        records = complete.records if complete else read_records(store, spec)
        self.path, self.spec, self.open_file = path, spec, store.open
        self.is_complete = complete is not None
        self.done = sum(record.samples for record in ordered(records, records) if record)
        self.bytes = complete.bytes if complete else sum(record.bytes for record in ordered(records, records) if record)
        self.problems: list[str] = []
        if complete is None:
            done = f"{self.done} of {spec.samples} samples are done"
            self.problems.append(f"incomplete, {done}: the dataset command finishes it")
        elif (complete.recipe, complete.samples, self.done) != (spec.recipe.fingerprint, spec.samples, spec.samples):
            self.problems.append(f"{MANIFEST_NAME} and {RECIPE_NAME} are not about the same samples")
        super().__init__(spec.recipe, range(0 if self.problems else spec.samples), masks=spec.masks)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state that loaders send to their workers: without caches."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_named_number", "_reader")}

    def __copy__(self) -> Self:
        """Return a copy for a part of the dataset, with which it shares the caches."""
        copied = self.__new__(type(self))
        copied.__dict__.update(self.__dict__, _reader=self._reader)
        return copied

    @property
    def _format(self) -> Format:
        return formats.get(self.spec.format)

    @property
    def _is_part(self) -> bool:
        return self._indices != range(self.spec.samples)

    @cached_property
    def _reader(self) -> Reader:
        return self._format.reader(self.spec, self.open_file)

    def _read(self, shard: Shard) -> Iterator[Batch]:
        return self._format.read(self.spec, shard, self.open_file)

    def _make(self, samples: Numbers) -> Batch:
        return self._reader.read(samples)

    def stream(self) -> Iterator[Batch]:
        if self._is_part:
            return super().stream()
        return (batch for shard in self.spec.plan for batch in self._read(shard))

    def labels(self) -> Iterator[Labels]:
        """Yield the stored sequences, each with the glyphs and gaps of the recipe if that makes the same sequence.

        Glyphs are left out if the bank is not available.
        """
        if self._is_part:
            yield from super().labels()
            return
        recipe, first = self.recipe, 0
        texts = self._format.read_texts(self.spec, self.open_file)
        while chunk := list(islice(texts, LABELS_AT_ONCE)):
            self._check(chunk)
            numbers = range(first, first + len(chunk))
            gaps = sampled_gaps(recipe, numbers, list(map(len, chunk)))
            glyphs = np.full((len(chunk), recipe.length), ABSENT, dtype=np.int32)
            if self._knows_glyphs:
                made = compose.annotate(recipe, bank.load(Source(self.source)), numbers.start, numbers.stop)
                glyphs[:] = made.glyphs
                others = [row for row, text in enumerate(made.texts) if text != chunk[row]]
                glyphs[others], gaps[others] = ABSENT, NO_GAP
            yield Labels(first, list(chunk), glyphs, gaps)
            first += len(chunk)

    def labels_with_glyphs(self) -> Iterator[Labels]:
        """Yield sequences with their glyphs; if the bank is not available, those stored with the images."""
        return self.labels() if self._knows_glyphs else super().labels()

    @property
    def _knows_glyphs(self) -> bool:
        """Whether the recipe gives the glyphs: the bank is a bundled one."""
        return self.source in BUNDLED_SOURCES

    def _check(self, texts: list[str]) -> None:
        length, joined_texts = self.recipe.length, "".join(texts)
        is_digits = joined_texts.isascii() and joined_texts.isdigit()
        if not is_digits or not all(0 < len(text) <= length for text in texts):
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield samples as they are on disk, in one pass."""
        if self._is_part or self._format.RANDOM_ACCESS:
            yield from super().strips(numbers)
            return
        for shard, here in self._passes(numbers):
            yield from self._strips_in(shard, here)

    def _passes(self, numbers: Sequence[int]) -> Iterator[tuple[Shard, list[int]]]:
        """Yield the shards, or parts of them, that contain samples with these numbers, and the numbers in each."""
        size = self.spec.shard_size
        if self._format.SEPARABLE:
            for shard, run in groupby(numbers, lambda number: number // size):
                yield self.spec.plan[shard], list(run)
        elif numbers:
            yield Shard(0, numbers[0], numbers[-1] + 1), list(numbers)

    def _strips_in(self, shard: Shard, numbers: list[int]) -> Iterator[Strip]:
        invert, left = self.recipe.invert, len(numbers)
        for batch in self._read(shard):
            rows = range(batch.first, batch.first + len(batch))
            here = [number for number in numbers if number in rows]
            gaps = sampled_gaps(self.recipe, rows, batch.lengths)
            for number in here:
                row = number - batch.first
                yield strip_of(batch, row, number, gaps[row], invert=invert, glyph_width=self.glyph_width)
            left -= len(here)
            if not left:
                return

    def _name_of(self, number: int) -> str:
        return f"{self.path}/{self._indices[number]:08d}"

    def number_of(self, name: str) -> int | None:
        """Return the number of the sample of this name, as its format has it, or of this number."""
        named = self._named_number(name) if self._named_number else None
        return super().number_of(name) if named is None else named

    @cached_property
    def _named_number(self) -> Callable[[str], int | None] | None:
        """The number of a sample by the name of its file; None where names are numbers."""
        return self._format.finder(self.spec)

    def spread(self, count: int) -> list[int]:
        """Return numbers from all parts; without random access, the first of some shards, or of the dataset."""
        if self._format.RANDOM_ACCESS or self._is_part or len(self) <= count:
            return super().spread(count)
        if not self._format.SEPARABLE:
            return list(range(count))
        shards = len(self.spec.plan)
        chosen = sorted({step * (shards - 1) // (_SHARDS - 1) for step in range(_SHARDS)})
        each = -(-count // len(chosen))
        plan = (self.spec.plan[number] for number in chosen)
        return [number for shard in plan for number in range(shard.first, min(shard.first + each, shard.stop))][:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield samples from all parts; without random access, in as few passes as possible."""
        if self._format.RANDOM_ACCESS or self._is_part:
            yield from super().picked(count)
            return
        for shard, here in self._passes(self.spread(count)):
            done = 0
            try:
                for strip in self._strips_in(shard, here):
                    done += 1
                    yield strip
            except (FormatError, OSError):
                yield from [None] * (len(here) - done)


def open_dataset(path: str | PathLike[str], *, transform: Transform | None = None) -> StoredDataset:
    """Open a dataset of any format, in a directory or at s3://, gs:// or az://; no sample is read yet.

    `transform` is applied to the image of each sample, uint8 (height, width), as in `SequenceDataset`. Raises
    FormatError if it is not a complete dataset. Accessing a sample raises FormatError or OSError if its file is damaged
    or missing.
    """
    return StoredDataset(path, transform=transform)
