"""Owns what two datasets have in common: glyphs, sequences and images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT, Batch
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Bank, Source
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, EVERYTHING
from mnist_seq_cli.samples.stored import StoredDataset
from mnist_seq_cli.storage.location import PathOrStore

Kind = Literal["glyph", "label", "image", "writer"]
KINDS: tuple[Kind, ...] = get_args(Kind)

EXAMPLES = 10
"""Of what is shared, as many are listed."""

Watch = Callable[[Iterable[Batch]], Iterable[Batch]]


@dataclass(frozen=True, slots=True)
class Shared:
    """How many things of a kind are in both datasets, each counted once, and the first of them.

    Glyphs are listed by id, writers by number, sequences as 0-0-4-2, images as [number of a sample in one, in the
    other]. `known` is false where it is not known, for glyphs of different files or without ids, and for writers of
    custom glyphs; then `shared` is 0.
    """

    shared: int
    examples: list[Any]
    known: bool = True


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What two datasets have in common; `may_share` are the kinds of which that is no problem.

    That they share writers is one where their recipes are about different parts of them.
    """

    kind: ClassVar[Literal["comparison"]] = "comparison"
    path: str
    against: str
    samples: list[int]
    glyphs: Shared
    labels: Shared
    images: Shared
    writers: Shared
    may_share: list[str]

    @property
    def parts(self) -> list[tuple[Kind, str, Shared]]:
        """What they share of each kind, with a word for it."""
        return [
            ("glyph", "glyphs", self.glyphs),
            ("label", "sequences", self.labels),
            ("image", "identical images", self.images),
            ("writer", "writers", self.writers),
        ]

    @property
    def problems(self) -> list[str]:
        """What is shared, and should not be."""
        return [
            f"{self.path} and {self.against} share {shared.shared} {what}: {listed(shared.examples)}"
            + (", …" if shared.shared > len(shared.examples) else "")
            for kind, what, shared in self.parts
            if shared.shared and kind not in self.may_share
        ] + [
            f"the {what} of {self.path} and {self.against} could not be compared; "
            "give each custom source, with its labels"
            for kind, what, shared in self.parts
            if not shared.known and kind not in self.may_share
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"kind": self.kind, **asdict(self), "problems": self.problems}


def listed(examples: list[Any]) -> str:
    """Return examples of what is shared as a person reads them; images by their two numbers: 17=4."""
    return ", ".join("=".join(map(str, item)) if isinstance(item, list) else str(item) for item in examples)


def compare(
    path: PathOrStore,
    against: PathOrStore,
    *,
    sources: Sequence[Source] = (),
    may_share: Sequence[str] = (),
    watch: Watch = iter,
) -> ComparisonReport:
    """Return the report on what two complete datasets on disk share.

    Glyphs are compared by their ids, which are those of one source; with the custom `sources` of the datasets by their
    images. Both are read once, from front to end, and `watch` is given their batches. Of the smaller one a sum of 16
    bytes is kept for each image, and each different sequence; of the larger one nothing that grows with it. Raises
    FormatError for what is no complete dataset, RequestError for a source of neither, OSError.
    """
    one, other = StoredDataset(path), StoredDataset(against)
    swapped = len(other) < len(one)
    banks = _banks([one, other], sources)
    names = _names(*banks) if sources else (None, None)
    of_one_space = _space(one) == _space(other)
    known = of_one_space or (bool(sources) and None not in banks)
    stored = [_Stored(*each, set()) for each in zip((one, other), banks, names, strict=True)]
    comparison = _Comparison()
    smaller = True
    for batch in watch(_batches(*(reversed(stored) if swapped else stored))):
        if not smaller or batch.first < comparison.following:
            smaller = False
            comparison.compare(batch)
        else:
            comparison.add(batch)
    by_recipe = any(data.recipe.writer_pool != EVERYTHING for data in (one, other))
    return ComparisonReport(
        path=str(path),
        against=str(against),
        samples=[len(one), len(other)],
        glyphs=comparison.glyphs() if known else Shared(0, [], known=False),
        labels=comparison.labels(),
        images=comparison.images(swapped),
        writers=_writers(*stored) if of_one_space else Shared(0, [], known=False),
        may_share=[kind for kind in KINDS if kind in may_share or (kind == "writer" and not by_recipe)],
    )


def _space(data: StoredDataset) -> str:
    """Return the source that ids of glyphs are of: MNIST, or a custom pair of files."""
    return "mnist" if data.recipe.source in BUNDLED_SOURCES else data.recipe.source


class _Stored(NamedTuple):
    """A dataset, the bank of its glyphs where that is known, and the name of each image of the bank, int64 (n,).

    `writers` are those of the glyphs that were seen.
    """

    data: StoredDataset
    bank: Bank | None
    names: NDArray[np.int64] | None
    writers: set[int]


def _banks(stored: Sequence[StoredDataset], sources: Sequence[Source]) -> list[Bank | None]:
    """Return the banks of datasets: those that are bundled, and those of the `sources`. Raises RequestError."""
    given = {(loaded := bank.load(source)).identity: loaded for source in sources}
    used = [data.recipe.source for data in stored]
    for source in sources:
        if bank.load(source).identity not in used:
            raise RequestError(
                f"neither dataset is made of {source.images or source.name}", hint="give `source` as it was given there"
            )
    return [bank.load(Source(name)) if name in BUNDLED_SOURCES else given.get(name) for name in used]


def _names(one: Bank | None, other: Bank | None) -> tuple[NDArray[np.int64] | None, ...]:
    """Return for two banks the names of their images: equal ones have the id of the first of them in the first bank."""
    first: dict[bytes, int] = {}
    known: list[NDArray[np.int64] | None] = []
    for glyphs, start in ((one, 0), (other, 1 << 40)):
        if glyphs is None:
            known.append(None)
            continue
        sums = enumerate(glyphs.sums(), start + glyphs.first_id)
        known.append(np.array([first.setdefault(each, name) for name, each in sums], dtype=np.int64))
    return tuple(known)


def _batches(*stored: _Stored) -> Iterator[Batch]:
    """Yield the samples of datasets as they are on disk; glyph ids that a format has no room for, from the recipe.

    Where images of glyphs have names, these are in place of their ids. Raises FormatError for ids of no image.
    """
    for data, glyphs, names, writers in stored:
        for batch in data.stream():
            ids = batch.glyphs
            if glyphs is not None and (ids < 0).all():
                ids = compose.annotate(data.recipe, glyphs, batch.first, batch.first + len(batch)).glyphs
            if glyphs is not None and glyphs.knows_writers:
                writers.update(np.unique(glyphs.written_by(ids[ids >= 0])).tolist())
            if glyphs is not None and names is not None:
                rows = ids.astype(np.int64) - glyphs.first_id
                if rows.max() >= len(names) or (rows[ids >= 0] < 0).any():
                    raise FormatError(f"{data.path} has glyphs that its source does not have")
                ids = np.where(ids >= 0, names[rows.clip(0)], ABSENT)
            yield batch if ids is batch.glyphs else replace(batch, glyphs=ids)


def _writers(one: _Stored, other: _Stored) -> Shared:
    """Return the writers in both."""
    if not (one.writers and other.writers):
        return Shared(0, [], known=False)
    both = sorted(one.writers & other.writers)
    return Shared(len(both), both[:EXAMPLES])


class _Comparison:
    """Glyphs, sequences and images of a first dataset, given batch by batch, and which of them a second one has."""

    def __init__(self) -> None:
        self.following = 0
        self._has_ids = True
        self._ids: dict[int, bool] = {}
        self._texts: dict[str, bool] = {}
        self._sums: list[NDArray[np.void]] = []
        self._order: NDArray[np.intp] | None = None
        self._joined: NDArray[np.void] = np.empty(0, _SUM)
        self._pairs: dict[int, int] = {}

    def add(self, batch: Batch) -> None:
        """Take a batch of the first dataset, in order."""
        self.following = batch.first + len(batch)
        self._ids.update(dict.fromkeys(self._ids_of(batch), False))
        self._texts.update(dict.fromkeys(batch.texts, False))
        self._sums.append(_sums_of(batch))

    def compare(self, batch: Batch) -> None:
        """Take a batch of the second dataset."""
        self._ids.update((glyph, True) for glyph in self._ids_of(batch) if glyph in self._ids)
        self._texts.update((text, True) for text in batch.texts if text in self._texts)
        if self._order is None:
            self._joined, self._sums = np.concatenate(self._sums), []
            self._order = np.argsort(self._joined["low"], kind="stable")
            self._joined = self._joined[self._order]
        sums = _sums_of(batch)
        nearest = np.searchsorted(self._joined["low"], sums["low"]).clip(max=len(self._joined) - 1)
        for row in np.flatnonzero(self._joined[nearest] == sums).tolist():
            self._pairs.setdefault(int(self._order[nearest[row]]), batch.first + row)

    def _ids_of(self, batch: Batch) -> list[int]:
        ids: list[int] = np.unique(batch.glyphs[batch.glyphs >= 0]).tolist()
        self._has_ids &= bool(ids)
        return ids

    def glyphs(self) -> Shared:
        """Return the glyphs in both."""
        both = sorted(glyph for glyph, shared in self._ids.items() if shared)
        return Shared(len(both), both[:EXAMPLES]) if self._has_ids else Shared(0, [], known=False)

    def labels(self) -> Shared:
        """Return the sequences in both."""
        both = sorted((text for text, shared in self._texts.items() if shared), key=lambda text: (len(text), text))
        return Shared(len(both), [format_sequence(map(int, text)) for text in both[:EXAMPLES]])

    def images(self, swapped: bool) -> Shared:
        """Return the images in both."""
        pairs = sorted([second, first] if swapped else [first, second] for first, second in self._pairs.items())
        return Shared(len(pairs), pairs[:EXAMPLES])


_SUM = np.dtype([("low", "<u8"), ("high", "<u8")])


def _sums_of(batch: Batch) -> NDArray[np.void]:
    """Return a sum of 16 bytes for each image and its shape: equal for equal images, and for no others in practice."""
    images = (image[:, :width] for image, width in zip(batch.images, batch.widths.tolist(), strict=True))
    joined = b"".join(blake2b(b"%d:" % len(image) + image.tobytes(), digest_size=16).digest() for image in images)
    return np.frombuffer(joined, dtype=_SUM)
