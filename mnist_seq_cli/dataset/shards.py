"""Owns the processing of one shard: it is reused if what exists agrees with its record, and made again otherwise."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import NamedTuple, TypeVar

from mnist_seq_cli import formats
from mnist_seq_cli.dataset.records import Record
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import Annotations, Batch
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import Checksums, Content, File, Format, InPlaceFormat
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import FileSum, RandomAccessStore, Region, Store

Made = TypeVar("Made")
Piece = TypeVar("Piece", bytes, memoryview, bytes | memoryview)


class Task(NamedTuple):
    """A shard to process, and what is known of it from an earlier run."""

    shard: Shard
    record: Record | None


class Completed(NamedTuple):
    """A shard that is stored as its record says; `reused` when an earlier run made it."""

    record: Record
    reused: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know beside the shard."""

    store: Store
    spec: Spec
    source: Source


def process(job: Job, task: Task) -> Completed:
    """Store one shard, and return its record. This is all that a worker does."""
    store, spec, (shard, record) = job.store, job.spec, task
    format_ = formats.get(spec.format)
    rows = ExtraRows(store, format_, spec, shard)
    is_kept = all(store.size(part) is not None for part in _regions(store, format_, spec, shard))
    if record is not None and is_kept and agrees(store, format_, spec, shard, record):
        if rows:
            for known in annotated(spec, job.source, shard, masks=rows.of_masks):
                rows.add(known)
            rows.put()
        return Completed(record, reused=True)
    batches = composed(spec, job.source, shard.first, shard.stop)
    content = write(store, format_, spec, shard, rows.passing(batches))
    rows.put()
    fingerprint = spec.recipe.fingerprint
    made = Record(shard=shard.number, first=shard.first, samples=shard.samples, recipe=fingerprint, **content._asdict())
    return Completed(made, reused=False)


def composed(spec: Spec, source: Source, first: int, stop: int) -> Iterator[Batch]:
    """Yield samples `first` to `stop` of a dataset in batches."""
    glyphs, background = bank.load(source), background_image.load(source)
    for start, end in compose.spans(spec.recipe, first, stop):
        yield compose.compose(spec.recipe, glyphs, start, end, masks=spec.masks, background=background)


def annotated(spec: Spec, source: Source, shard: Shard, *, masks: bool) -> Iterator[Annotations]:
    """Yield the annotations of a shard, with `masks` those that batches with masks are."""
    if masks:
        yield from composed(spec, source, shard.first, shard.stop)
        return
    glyphs = bank.load(source)
    for first, stop in compose.spans(spec.recipe, shard.first, shard.stop):
        yield compose.annotate(spec.recipe, glyphs, first, stop)


def stream(spec: Spec, source: Source) -> Iterator[bytes]:
    """Yield all samples as one file, piece by piece. Raises RequestError for formats that are not streams."""
    check_bank(spec.recipe, bank.load(source))
    format_ = formats.get(spec.format)
    if spec.annotations:
        format_.check(spec)
    yield from format_.stream(spec, composed(spec, source, 0, spec.samples))


def agrees(store: Store, format_: Format, spec: Spec, shard: Shard, record: Record) -> bool:
    """Return whether a shard is stored as its record has it."""
    try:
        if (known := stored_sum(store, format_, spec, shard)) is not None:
            return known == (record.bytes, record.sha256)
        found = format_.measure(spec, shard, store)
    except (OSError, FormatError):
        return False
    return found == (record.files, record.bytes, record.sha256, record.crcs)


def stored_sum(store: Store, format_: Format, spec: Spec, shard: Shard) -> FileSum | None:
    """Return the sum of a shard that is one file where the store keeps it; None otherwise. Raises OSError."""
    names = format_.shard_names(spec, shard) or _regions(store, format_, spec, shard)
    return store.stored_sum(names[0]) if len(names) == 1 and not format_.SMALL_FILES else None


def _regions(store: Store, format_: Format, spec: Spec, shard: Shard) -> tuple[str, ...]:
    """Return the file in which regions of a shard wait to be put together, where they cannot be written in place."""
    if not isinstance(format_, InPlaceFormat) or isinstance(store, RandomAccessStore):
        return ()
    return (format_.part_name(spec, format_.FILE_NAME, shard),)


def waiting(store: Store, format_: Format, spec: Spec, shard: Shard) -> list[str]:
    """Return the files in which what a shard has for files of the whole waits to be joined."""
    if isinstance(format_, InPlaceFormat):
        return [*_regions(store, format_, spec, shard)]
    extras = (section.name for extra in format_.extras(spec) for section in extra.sections)
    names = (*format_.joined(spec), *extras, *(side.name for side in format_.beside(spec)))
    return [format_.part_name(spec, name, shard) for name in names]


def sizes_agree(store: Store, format_: Format, spec: Spec, shard: Shard, record: Record) -> bool:
    """Return whether a shard has as many files as its record says, or as many bytes in them. Raises OSError.

    Listing a folder is much cheaper than asking for the size of each file.
    """
    names = format_.shard_names(spec, shard)
    if format_.SMALL_FILES:
        others = {name for side in format_.beside(spec) for name in side.names(shard)}
        return sum(entry.name not in others for folder in names for entry in store.list(folder)) == record.files
    return sum(store.size(name) or 0 for name in names) == record.bytes


def vouched(store: Store, format_: Format, spec: Spec, shard: Shard, record: Record) -> bool:
    """Return whether a shard seems to match its record, by sizes and by sums that the store keeps, and its rows exist.

    Shards whose images have no folder of their own never do. Raises OSError.
    """
    sizes = [store.size(part) or 0 for part in waiting(store, format_, spec, shard)]
    if not all(sizes):
        return False
    if (known := stored_sum(store, format_, spec, shard)) is not None:
        return known == (record.bytes, record.sha256)
    if not format_.shard_names(spec, shard):
        return not format_.SMALL_FILES and sum(sizes[: len(format_.joined(spec))]) == record.bytes
    return sizes_agree(store, format_, spec, shard, record)


def write(store: Store, format_: Format, spec: Spec, shard: Shard, batches: Iterator[Batch]) -> Content:
    """Store the content of a shard, and return what it comes to. Raises OSError."""
    tally = _Tally()
    if isinstance(format_, InPlaceFormat):
        regions = tally.regions(format_.write_regions(spec, shard, batches))
        if isinstance(store, RandomAccessStore):
            store.write_at(format_.growing_name, regions)
        else:
            (name,) = _regions(store, format_, spec, shard)
            store.put(name, (region.content for region in regions))
        return tally.content()
    files = tally.over(format_.write(spec, shard, batches))
    if format_.SMALL_FILES:
        store.put_many(tally.small(files), format_.shard_names(spec, shard))
        return tally.content()
    if len(format_.shard_names(spec, shard)) == 1:
        (total,) = [store.put(name, _pieces(content)) for name, content in files]
        return Content(1, total.bytes, total.sha256, tally.crcs)
    for name, content in files:
        tally.files += 1
        store.put(name, map(tally.add, _pieces(content)))
    return tally.content()


def _pieces(content: bytes | Iterator[bytes]) -> Iterable[bytes]:
    return (content,) if isinstance(content, bytes) else content


class _Tally:
    """Counts and sums up the content of a shard on its way to the store."""

    def __init__(self) -> None:
        self.files = self._bytes = 0
        self.crcs: Checksums = ()
        self._digest = sha256()

    def over(self, made: Generator[Made, None, Checksums | None]) -> Iterator[Made]:
        """Pass on what is made, and take the checksums that come last."""
        self.crcs = (yield from made) or ()

    def add(self, piece: Piece) -> Piece:
        """Sum up a piece."""
        self._digest.update(piece)
        self._bytes += len(piece) if isinstance(piece, bytes) else piece.nbytes
        return piece

    def small(self, files: Iterable[File]) -> Iterator[tuple[str, bytes]]:
        """Pass on files of one piece, each summed up."""
        for name, content in files:
            whole = content if isinstance(content, bytes) else b"".join(content)
            self.files += 1
            yield name, self.add(whole)

    def regions(self, regions: Generator[Region, None, Checksums | None]) -> Iterator[Region]:
        """Pass on the regions of one file, each summed up."""
        self.files = 1
        for region in self.over(regions):
            self.add(region.content)
            yield region

    def content(self) -> Content:
        """Return the sums of all that passed."""
        return Content(self.files, self._bytes, self._digest.hexdigest(), self.crcs)


class ExtraRows:
    """The rows of a shard for the files that are made of annotations; they are never taken on trust."""

    def __init__(self, store: Store, format_: Format, spec: Spec, shard: Shard) -> None:
        self._store, self._shard, self._beside = store, shard, format_.beside(spec)
        self._part_name = partial(format_.part_name, spec, shard=shard)
        self._sections = [section for extra in format_.extras(spec) for section in extra.sections]
        self._parts: dict[str, list[bytes]] = {self._part_name(name=section.name): [] for section in self._sections}
        self._files: list[dict[str, bytes]] = [{} for _ in self._beside]
        self.of_masks = spec.masks and any(section.of_masks for section in self._sections)

    def __bool__(self) -> bool:
        return bool(self._sections or self._beside)

    def add(self, annotations: Annotations) -> None:
        """Append the rows of some samples."""
        for section, pieces in zip(self._sections, self._parts.values(), strict=True):
            pieces.append(section.rows(self._shard, annotations))
        for side, files in zip(self._beside, self._files, strict=True):
            for name, content in side.contents(self._shard, annotations):
                files[name] = files.get(name, b"") + content

    def passing(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on, and append their rows."""
        for batch in batches:
            yield batch
            self.add(batch)

    def put(self) -> None:
        """Store the rows where they wait to be joined, and the small files. Raises OSError."""
        for side, files in zip(self._beside, self._files, strict=True):
            self._store.put_many(files.items())
            self._parts[self._part_name(name=side.name)] = [side.summed(files.items())]
        if self._parts:
            folder = next(iter(self._parts)).rpartition("/")[0]
            self._store.put_many(((name, b"".join(pieces)) for name, pieces in self._parts.items()), (folder,))
