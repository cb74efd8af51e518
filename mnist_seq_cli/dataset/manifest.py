"""Owns the metadata files of a dataset: what was asked for, what each shard came out as, and that it is complete.

    recipe.json                   what was asked for (Spec)
    labels.txt                    the sequences that it refers to, where they are many
    manifest.json                 what is there (Manifest); written last, so its presence means complete
    .mnistseq/records.jsonl       what is there so far (Record), while a run is going on or has been interrupted

Nothing in them depends on the time, the machine or the directory.
"""

from __future__ import annotations

import errno
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from os import PathLike
from typing import Any, Self

from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.recipe.json_values import parse_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.options.sequences import LABELS_NAME, Sequences, refer
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.store import STATE_NAME, FileSum, Store, sum_of

MANIFEST_NAME = "manifest.json"
SPLITS_NAME = "splits.json"
_JOURNAL = f"{STATE_NAME}/records.jsonl"

MANIFEST_VERSION = 1

_MAX_LINE = 4096
_CONTENT: dict[str, Any] = {"files": 0, "bytes": 0, "sha256": "", "crcs": ()}
"""What a record has of the content of a shard, and how it is without."""

_SMALL = 1 << 20
"""Bytes that a recipe.json has not, which refers to the many sequences of a recipe."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


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
        """Tell whether this is about that shard of that recipe."""
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a complete dataset consists of: its records, in the order of the shards, and its other files by name."""

    recipe: str
    samples: int
    records: Mapping[int, Record]
    files: Mapping[str, FileSum] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The bytes of the shards, or of the files that these were joined into."""
        of_shards = sum(record.bytes for record in self.records.values())
        return of_shards or sum(total.bytes for total in self.files.values())


Location = Store | str | PathLike[str]
"""Where a dataset is: a store, or a path."""


def read_spec(location: Location, known: Sequences | None = None) -> Spec | None:
    """Return the spec in recipe.json; None where there is none. Raises FormatError.

    Where it refers to the sequences that are `known`, their file need not be there.
    """
    values, store = read_json(location, RECIPE_NAME), open_store(location)
    if isinstance(values, dict):
        refer(values.get("recipe"), store.open, str(store), known or Sequences())
    return None if values is None else Spec.from_json(values)


def require_spec(location: Location) -> Spec:
    """Return the spec in recipe.json. Raises FormatError also where there is none."""
    spec = read_spec(location)
    if spec is None:
        raise FormatError(f"{location} is not a dataset of ours: it has no {RECIPE_NAME}")
    return spec


def write_spec(store: Store, spec: Spec) -> None:
    """Write recipe.json, and labels.txt after it, where it refers to that. Raises OSError."""
    store.put(RECIPE_NAME, [(json.dumps(spec.to_json(), indent=2) + "\n").encode()])
    if spec.recipe.sequences.are_many:
        store.put(LABELS_NAME, spec.recipe.sequences.text())


def refers_to_labels(store: Store) -> bool:
    """Return whether there is a recipe.json that refers to labels.txt. Raises OSError."""
    with suppress(FormatError):
        values = read_json(store, RECIPE_NAME) if (store.size(RECIPE_NAME) or 0) < _SMALL else None
        recipe = values.get("recipe") if isinstance(values, dict) else None
        return isinstance(recipe, dict) and isinstance(recipe.get("sequences"), dict)
    return False


def has_labels(store: Store, spec: Spec) -> bool:
    """Return whether labels.txt is as `write_spec` writes it for a spec that needs it. Raises OSError."""
    with suppress(FileNotFoundError, IsADirectoryError), store.open(LABELS_NAME) as file:
        return sum_of(file).sha256 == spec.recipe.sequences.sha256
    return False


def read_manifest(location: Location) -> Manifest | None:
    """Return the manifest; None where there is none, that is for an incomplete dataset.

    Raises FormatError for a manifest that is not one: damaged, with unknown keys or impossible values, or with a shard
    twice.
    """
    values = read_json(location, MANIFEST_NAME)
    if values is None:
        return None
    known = {"version": int, "recipe": str, "samples": int, "files": dict, "shards": list}
    checked = typed_fields(values, known, MANIFEST_NAME)
    if checked["version"] != MANIFEST_VERSION:
        raise FormatError(f"{MANIFEST_NAME} is of another version", hint="a newer mnistseq may read it")
    records: dict[int, Record] = {}
    for entry in checked["shards"]:
        record = Record.from_json(entry)
        if record.shard in records:
            raise FormatError(f"{MANIFEST_NAME} has shard {record.shard} twice")
        records[record.shard] = record
    sums = {}
    for name, entry in checked["files"].items():
        if not re.fullmatch(r"(images/)?[A-Za-z0-9][A-Za-z0-9.-]{0,63}", name, re.ASCII):
            raise FormatError(f"{MANIFEST_NAME} names a file {one_line(name, 80)!r}, which cannot be")
        sums[name] = FileSum(**typed_fields(entry, {"bytes": int, "sha256": str}, f"{MANIFEST_NAME}, {name}"))
    return Manifest(checked["recipe"], checked["samples"], records, sums)


def write_manifest(store: Store, spec: Spec, records: Iterable[Record], sums: Mapping[str, FileSum]) -> None:
    """Write manifest.json from records in the order of the shards, which are never held as a whole. Raises OSError."""

    def pieces() -> Iterator[bytes]:
        head = {"version": MANIFEST_VERSION, "recipe": spec.recipe.fingerprint, "samples": spec.samples}
        yield (json.dumps(head)[:-1] + ', "shards": [').encode()
        for number, record in enumerate(records):
            yield f"{',' if number else ''}\n{json.dumps(record.to_json())}".encode()
        rest = {name: total._asdict() for name, total in sums.items()}
        yield f'\n], "files": {json.dumps(rest)}}}\n'.encode()

    store.put(MANIFEST_NAME, pieces())


class Journal:
    """The records of the shards that are done so far, in the order in which they were done, one a line."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, records: Iterable[Record]) -> None:
        """Begin the journal anew with these records. Raises OSError."""
        self._store.put(_JOURNAL, map(_line, records))

    def add(self, record: Record) -> None:
        """Add a record. Raises OSError."""
        self._store.append(_JOURNAL, _line(record))

    def in_order(self, shards: int) -> Iterator[Record]:
        """Yield the records of all shards in their order; no more than the offsets of lines are held.

        Raises FormatError where one is missing, OSError.
        """
        offsets = array("q", [-1]) * shards
        with self._store.open(_JOURNAL) as file:
            offset = 0
            while line := file.readline(_MAX_LINE):
                if (record := _record_in(line)) is not None and record.shard < shards:
                    offsets[record.shard] = offset
                offset += len(line)
            for number, offset in enumerate(offsets):
                file.seek(max(0, offset))
                record = _record_in(file.readline(_MAX_LINE))
                if record is None or record.shard != number:
                    raise FormatError(f"{_JOURNAL} has no record of shard {number}")
                yield record


def _line(record: Record) -> bytes:
    return f"{json.dumps(record.to_json())}\n".encode()


def _record_in(line: bytes) -> Record | None:
    try:
        return Record.from_json(json.loads(line))
    except (FormatError, ValueError, RecursionError):
        return None


def read_records(location: Location, fingerprint: str) -> dict[int, Record]:
    """Return the records of an interrupted run, the last one for each shard.

    A line that is damaged, as the last one of a killed run can be, or about another recipe, counts for nothing.
    """
    records: dict[int, Record] = {}
    with suppress(FileNotFoundError), open_store(location).open(_JOURNAL) as file:
        while line := file.readline(_MAX_LINE):
            record = _record_in(line)
            if record is not None and record.recipe == fingerprint:
                records[record.shard] = record
    return records


def changed_text(location: Location, name: str) -> str:
    """Return in which way a JSON file is not as it was written, though its values may be; nothing where it is."""
    with open_store(location).open(name) as file:
        content = file.read(MAX_FILE)
    if content.startswith(b"\xef\xbb\xbf"):
        return f"{name} begins with a byte-order mark, which was not written"
    return f"{name} has lines that end in CR LF, and were not written so" if b"\r" in content else ""


def read_json(location: Location, name: str) -> object:
    """Return the values in a JSON file; None where there is none. Raises FormatError for what is not JSON."""
    store = open_store(location)
    where = f"{store}/{name}"
    try:
        with store.open(name) as file:
            if file.seek(0, 2) > MAX_FILE:
                raise FormatError(f"{where} is too large to be true")
            file.seek(0)
            return parse_json(file.read(), where)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EISDIR):
            raise
        raise FormatError(f"{where} is not a file") from None
