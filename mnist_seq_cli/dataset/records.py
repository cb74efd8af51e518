"""Owns records: what each shard came out as, a line each in journals and manifest, found again without holding them.

.mnistseq/records.jsonl           those of a run that is going on or was interrupted
.mnistseq/records-3-of-8.jsonl    those of a slice, which a run of the whole takes on trust
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import Any, BinaryIO, Self

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.plan import Plan, Shard, Slice
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import STATE_NAME, Store

_MAX_LINE = 4096
_CONTENT: dict[str, Any] = {"files": 0, "bytes": 0, "sha256": "", "crcs": ()}
"""What a record has of the content of a shard, and how it is without."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER, _SUM = rb"(0|[1-9][0-9]{0,17})", rb'"([0-9a-f]{64})"'
_CRC = _NUMBER.replace(b"(", b"(?:")
_LINE = re.compile(
    rb'\{"shard": %b, "first": %b, "samples": %b, (?:"files": %b, "bytes": %b, "sha256": %b, )?"recipe": %b'
    rb'(?:, "crcs": \[((?:%b(?:, %b)*)?)\])?\}' % (*[_NUMBER] * 5, *[_SUM] * 2, *[_CRC] * 2)
)
"""A record as it is written, which no parser of JSON reads as quickly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a shard came out as. `sha256` is over the content of its files, sample by sample.

    `recipe` is the fingerprint of its recipe. `crcs` are CRC-32s of its parts, for formats that join shards. In the
    manifest of a format whose shards cannot be told apart when they are joined, a record says nothing of content, as
    nobody could check that: `sha256` is empty.
    """

    shard: int
    first: int
    samples: int
    files: int = 0
    bytes: int = 0
    sha256: str = ""
    recipe: str
    crcs: tuple[int, ...] = ()

    def of(self, shard: Shard, fingerprint: str) -> bool:
        """Return whether this is about that shard of that recipe."""
        return (self.shard, self.first, self.samples, self.recipe) == (*shard[:2], shard.samples, fingerprint)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        values = {**asdict(self), "crcs": list(self.crcs)}
        return {name: value for name, value in values.items() if self.sha256 or name not in _CONTENT}

    def without_content(self) -> Self:
        """Return the record of the shard alone."""
        return replace(self, **_CONTENT)

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return a record again. Raises FormatError for anything that `to_json` would not have written."""
        types = {"sha256": str, "recipe": str, "crcs": list}
        known = {field.name: types.get(field.name, int) for field in fields(cls)}
        if isinstance(values, dict) and _CONTENT.keys().isdisjoint(values):
            known = {name: kind for name, kind in known.items() if name not in _CONTENT}
        checked = typed_fields(values, known, "the record of a shard")
        crcs = checked.pop("crcs", [])
        numbers = [value for value in checked.values() if isinstance(value, int)] + crcs
        sums = [value for value in checked.values() if isinstance(value, str)]
        if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers) or not all(
            _SHA256.fullmatch(text) for text in sums
        ):
            raise FormatError("the record of a shard has a value that cannot be")
        return cls(**checked, crcs=tuple(crcs))


def line_of(record: Record) -> bytes:
    """Return a record as a line, without its end: JSON, in a fifth of the time that `json` takes."""
    content, crcs = "", ""
    if record.sha256:
        content = f', "files": {record.files}, "bytes": {record.bytes}, "sha256": "{record.sha256}"'
        crcs = f', "crcs": {list(record.crcs)}'
    start = f'{{"shard": {record.shard}, "first": {record.first}, "samples": {record.samples}'
    return f'{start}{content}, "recipe": "{record.recipe}"{crcs}}}'.encode()


def record_in(line: bytes) -> Record | None:
    """Return the record in a line; None where there is none."""
    written = _LINE.fullmatch(line)
    if written is not None and written[6] is not None and written[8] is not None:
        shard, first, samples, files, size = map(int, written.groups()[:5])
        return Record(
            shard=shard,
            first=first,
            samples=samples,
            files=files,
            bytes=size,
            sha256=written[6].decode(),
            recipe=written[7].decode(),
            crcs=tuple(map(int, written[8].split(b", "))) if written[8] else (),
        )
    try:
        return Record.from_json(json.loads(line))
    except (FormatError, ValueError, RecursionError):
        return None


def _shard_of(line: bytes, plan: Plan, recipe: bytes) -> int | None:
    """Return the shard of a plan that the record in a line is of; None where it is of none, or of another recipe."""
    written = _LINE.fullmatch(line)
    if written is None or (written[6] is None) != (written[8] is None):
        record = record_in(line)
        written = None if record is None else _LINE.fullmatch(line_of(record))
    if written is None or written[7] != recipe:
        return None
    shard, first, samples = int(written[1]), int(written[2]), int(written[3])
    return shard if shard < len(plan) and plan[shard] == (shard, first, first + samples) else None


class Records(Mapping[int, Record]):
    """Records of shards by number, in files of a store; each is read when it is asked for. A later one counts.

    What is held is ten bytes a shard: the file, and the offset of the line in it.
    """

    def __init__(self, store: Store, shards: int = 0) -> None:
        self._store, self._size = store, 0
        self._names: list[str] = []
        self._files = array("H", [0]) * shards
        self._offsets = array("q", [-1]) * shards

    def add_from(self, name: str, plan: Plan, fingerprint: str) -> None:
        """Add those of the records in a file that are of the shards of a plan and of a recipe. Raises OSError.

        A line that is damaged, as the last one of a killed run can be, counts for nothing.
        """
        self._names.append(name)
        offset, file_number, recipe = 0, len(self._names) - 1, fingerprint.encode()
        with suppress(FileNotFoundError), self._store.open(name) as file:
            while line := file.readline(_MAX_LINE):
                shard = _shard_of(line.removesuffix(b"\n"), plan, recipe)
                if shard is not None:
                    self._size += self._offsets[shard] < 0
                    self._offsets[shard], self._files[shard] = offset, file_number
                offset += len(line)

    def add_all(self, name: str, file: BinaryIO) -> bytes:
        """Add the records of shards 0, 1, 2 … in the lines of an open file, and return the line after them.

        All lines but the last end in a comma. It is empty where they are not so. Raises OSError.
        """
        self._names.append(name)
        offset, more = file.tell(), True
        while more:
            line = file.readline(_MAX_LINE)
            more = line.endswith(b",\n")
            record = record_in(line.rstrip(b",\n"))
            if record is None or record.shard != len(self._offsets):
                return b""
            self._offsets.append(offset)
            self._files.append(0)
            offset += len(line)
        self._size = len(self._offsets)
        return file.readline(_MAX_LINE)

    def file_of(self, shard: int) -> str | None:
        """Return the name of the file with the record of a shard; None where there is none."""
        return self._names[self._files[shard]] if self._offsets[shard] >= 0 else None

    def in_order(self, shards: Iterable[int]) -> Iterator[Record | None]:
        """Yield the records of these shards, None where there is none; quickly where they follow each other.

        Raises FormatError where a file is not what it was, OSError.
        """
        with ExitStack() as opened:
            name, file = None, None
            for shard in shards:
                if not 0 <= shard < len(self._offsets) or (here := self.file_of(shard)) is None:
                    yield None
                    continue
                if here != name or file is None:
                    opened.close()
                    name, file = here, opened.enter_context(self._store.open(here))
                yield self._read(file, shard, here)

    def _read(self, file: BinaryIO, shard: int, name: str) -> Record:
        file.seek(self._offsets[shard])
        record = record_in(file.readline(_MAX_LINE).rstrip(b",\n"))
        if record is None or record.shard != shard:
            raise FormatError(f"{name} has no record of shard {shard}")
        return record

    def __getitem__(self, shard: int) -> Record:
        if (record := next(self.in_order([shard]))) is None:
            raise KeyError(shard)
        return record

    def __iter__(self) -> Iterator[int]:
        return (shard for shard, offset in enumerate(self._offsets) if offset >= 0)

    def __len__(self) -> int:
        return self._size


def note_of(records: Iterable[Record | None]) -> str:
    """Return a digest of the records of a dataset, which says what an object that is put together of shards holds."""
    digest = sha256()
    for record in records:
        digest.update(b"" if record is None else line_of(record))
    return digest.hexdigest()


def ordered(records: Mapping[int, Record], shards: Iterable[int]) -> Iterator[Record | None]:
    """Yield the records of these shards; None where there is none. Raises FormatError, OSError."""
    return records.in_order(shards) if isinstance(records, Records) else map(records.get, shards)


class Journal:
    """The records of the shards that are done so far, in the order in which they were done: of a run or of a slice."""

    def __init__(self, store: Store, part: Slice | None = None) -> None:
        self._store = store
        self.name = f"{STATE_NAME}/records{f'-{part.name}' if part else ''}.jsonl"

    def begin(self, records: Iterable[Record | None]) -> None:
        """Begin the journal anew with these records. Raises OSError."""
        self._store.put(self.name, (line_of(record) + b"\n" for record in records if record is not None))

    def add(self, record: Record) -> None:
        """Add a record. Raises OSError."""
        self._store.append(self.name, line_of(record) + b"\n")


def slice_journals(store: Store) -> list[str]:
    """Return the names of the journals of slices. Raises OSError."""
    journal = re.compile(rf"{re.escape(STATE_NAME)}/records-[0-9]+-of-[0-9]+\.jsonl", re.ASCII)
    return sorted(entry.name for entry in store.list(STATE_NAME) if journal.fullmatch(entry.name))


def read_records(store: Store, spec: Spec, journals: Iterable[str] | None = None) -> Records:
    """Return the records of the shards of a plan in some journals, or in those of all slices and of the whole.

    The last one of each shard counts, and the whole, which makes anew what slices have made, comes last. Raises
    OSError.
    """
    plan, fingerprint = spec.plan, spec.recipe.fingerprint
    records = Records(store, len(plan))
    for name in [*slice_journals(store), Journal(store).name] if journals is None else journals:
        records.add_from(name, plan, fingerprint)
    return records
