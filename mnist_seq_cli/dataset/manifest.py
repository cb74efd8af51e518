"""Owns the papers of a dataset directory: what was asked for, what each shard came out as, and that it is complete.

    recipe.json                   what was asked for (Spec)
    manifest.json                 what is there (Manifest); written last, so its presence means complete
    .mnistseq/records.jsonl       what is there so far (Record), while a run is going on or has been interrupted

Nothing in them depends on the time, the machine or the place.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.store import FileSum

MANIFEST_NAME = "manifest.json"
SPLITS_NAME = "splits.json"
STATE_NAME = ".mnistseq"
RECORDS_NAME = "records.jsonl"

MANIFEST_VERSION = 1

_MAX_PAPER = 256 << 20
_MAX_LINE = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a shard came out as. `sha256` is over the content of its files, sample by sample.

    `recipe` is the fingerprint of its recipe. `crcs` are CRC-32s of its parts, for formats that join shards.
    """

    shard: int
    first: int
    samples: int
    files: int
    bytes: int
    sha256: str
    recipe: str
    crcs: tuple[int, ...] = ()

    def of(self, shard: Shard, fingerprint: str) -> bool:
        """Tell whether this is about that shard of that recipe."""
        return (self.shard, self.first, self.samples, self.recipe) == (*shard[:2], shard.samples, fingerprint)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["crcs"] = list(self.crcs)
        return values

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return a record again. Raises FormatError for anything that `to_json` would not have written."""
        types = {"sha256": str, "recipe": str, "crcs": list}
        known = {field.name: types.get(field.name, int) for field in fields(cls)}
        checked = typed_fields(values, known, "the record of a shard")
        numbers = [value for value in checked.values() if isinstance(value, int)] + checked["crcs"]
        sums = (checked["sha256"], checked["recipe"])
        if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers) or not all(
            _SHA256.fullmatch(text) for text in sums
        ):
            raise FormatError("the record of a shard has a value that cannot be")
        return cls(**{**checked, "crcs": tuple(checked["crcs"])})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a complete dataset consists of: its records, in the order of the shards, and its other files by name."""

    recipe: str
    samples: int
    records: Mapping[int, Record]
    files: Mapping[str, FileSum] = field(default_factory=dict)


def read_spec(directory: Path) -> Spec | None:
    """Return what recipe.json in `directory` asks for; None where there is none. Raises FormatError."""
    values = read_json(directory / RECIPE_NAME)
    return None if values is None else Spec.from_json(values)


def write_spec(directory: Path, stage: Path, spec: Spec) -> None:
    """Write recipe.json, by way of the stage. Raises OSError."""
    with local.NewFile(stage / RECIPE_NAME) as file:
        file.write((json.dumps(spec.to_json(), indent=2) + "\n").encode())
    local.place(file.path, directory / RECIPE_NAME)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest in `directory`; None where there is none, that is for an incomplete dataset.

    Raises FormatError for a manifest that is not one: damaged, with unknown keys or impossible values, or with a shard
    twice.
    """
    values = read_json(directory / MANIFEST_NAME)
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
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,63}", name, re.ASCII):
            raise FormatError(f"{MANIFEST_NAME} names a file {one_line(name, 80)!r}, which cannot be")
        sums[name] = FileSum(**typed_fields(entry, {"bytes": int, "sha256": str}, f"{MANIFEST_NAME}, {name}"))
    return Manifest(checked["recipe"], checked["samples"], records, sums)


class ManifestWriter:
    """Writes a manifest record by record, in the order of the shards, so that it never has to be held as a whole."""

    def __init__(self, spec: Spec, path: Path) -> None:
        self._file = local.NewFile(path)
        head = {"version": MANIFEST_VERSION, "recipe": spec.recipe.fingerprint, "samples": spec.samples}
        self._file.write((json.dumps(head)[:-1] + ', "shards": [').encode())
        self._separator = "\n"

    def add(self, record: Record) -> None:
        """Write the record of the next shard. Raises OSError."""
        self._file.write((self._separator + json.dumps(record.to_json())).encode())
        self._separator = ",\n"

    def finish(self, sums: Mapping[str, FileSum]) -> None:
        """Write the rest and sync the file. Raises OSError."""
        rest = {name: total._asdict() for name, total in sums.items()}
        self._file.write(f'\n], "files": {json.dumps(rest)}}}\n'.encode())
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close(sync=False)


def read_records(directory: Path, fingerprint: str) -> dict[int, Record]:
    """Return the records of an interrupted run, the last one for each shard.

    A line that is damaged, as the last one of a killed run can be, or about another recipe, is as good as absent.
    """
    records: dict[int, Record] = {}
    try:
        with (directory / STATE_NAME / RECORDS_NAME).open("rb") as journal:
            while line := journal.readline(_MAX_LINE):
                try:
                    record = Record.from_json(json.loads(line))
                except (FormatError, ValueError, RecursionError):
                    continue
                if record.recipe == fingerprint:
                    records[record.shard] = record
    except FileNotFoundError:
        pass
    return records


def write_record(directory: Path, record: Record) -> None:
    """Add a record to the journal. Raises OSError."""
    local.append(directory / STATE_NAME / RECORDS_NAME, f"{json.dumps(record.to_json())}\n".encode())


def write_records(directory: Path, records: Iterable[Record]) -> None:
    """Begin the journal anew with these records. Raises OSError."""
    lines = "".join(f"{json.dumps(record.to_json())}\n" for record in records)
    local.write_whole(directory / STATE_NAME / RECORDS_NAME, lines.encode())


def read_json(path: Path) -> object:
    """Return what a JSON file says; None where there is none. Raises FormatError for what is not JSON."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise FormatError(f"{path} is not a file")
        if about.st_size > _MAX_PAPER:
            raise FormatError(f"{path} is too large to be true")
        values = json.loads(path.read_bytes(), parse_constant=_refuse)
        if values is None:
            raise FormatError(f"{path} holds nothing but null")
        return values
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is not JSON ({one_line(str(error), 120)})") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
