"""Owns the metadata files of a dataset: what was asked for, what each shard came out as, and that it is complete.

    recipe.json                   what was asked for (Spec)
    labels.txt                    the sequences that it refers to, where they are many
    manifest.json                 what is there (Manifest); written last, so its presence means complete

Nothing in them depends on the time, the machine or the directory.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike

from mnist_seq_cli.dataset.records import Record, Records, line_of, ordered
from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.recipe.json_values import parse_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.options.sequences import LABELS_NAME, Sequences, parse_with_sequences, refer
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.store import FileSum, Store, pieces_of, sum_of

MANIFEST_NAME = "manifest.json"
SPLITS_NAME = "splits.json"
MANIFEST_VERSION = 1

_HEAD = re.compile(rb'\{"version": [0-9]{1,9}, "recipe": "[0-9a-f]{64}", "samples": [0-9]{1,18}, "shards": \[\n')
_AT_ONCE = 1_000
"""Records that are written at a time."""

_REST = 1 << 20
"""Bytes that the files of the whole do not take in a manifest."""

_SMALL = 1 << 20
"""Bytes that a recipe.json has not, which refers to the many sequences of a recipe."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a complete dataset consists of: its records, in the order of the shards, and its other files by name.

    Records are read from the file when they are asked for, so that millions of them take no memory.
    """

    recipe: str
    samples: int
    records: Mapping[int, Record]
    files: Mapping[str, FileSum] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The bytes of the shards, or of the files that these were joined into."""
        of_shards = sum(record.bytes for record in ordered(self.records, self.records) if record)
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
        raise FormatError(f"{location} is not an mnistseq dataset: it has no {RECIPE_NAME}")
    return spec


def write_spec(store: Store, spec: Spec) -> None:
    """Write recipe.json, and labels.txt after it, where it refers to that. Raises OSError."""
    store.put(RECIPE_NAME, [_text_of(spec)])
    _put_labels(store, spec)


def put_spec(store: Store, spec: Spec) -> bool:
    """Write them if there is no recipe.json, and return whether they were written. Raises OSError."""
    is_new = store.put_new(RECIPE_NAME, _text_of(spec))
    if is_new:
        _put_labels(store, spec)
    return is_new


def _text_of(spec: Spec) -> bytes:
    return (json.dumps(spec.to_json(), indent=2) + "\n").encode()


def _put_labels(store: Store, spec: Spec) -> None:
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
    store = open_store(location)
    values, records = _read_by_line(store) or (read_json(store, MANIFEST_NAME), {})
    if values is None:
        return None
    known = {"version": int, "recipe": str, "samples": int, "files": dict, "shards": list}
    checked = typed_fields(values, known, MANIFEST_NAME)
    if checked["version"] != MANIFEST_VERSION:
        raise FormatError(f"{MANIFEST_NAME} is of another version", hint="a newer mnistseq may read it")
    if isinstance(records, dict):
        for entry in checked["shards"]:
            record = Record.from_json(entry)
            if record.shard in records:
                raise FormatError(f"{MANIFEST_NAME} has shard {record.shard} twice")
            records[record.shard] = record
    sums = {}
    for name, entry in checked["files"].items():
        if not re.fullmatch(r"(images/)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name, re.ASCII):
            raise FormatError(f"{MANIFEST_NAME} names a file {one_line(name, 80)!r}, which cannot be")
        sums[name] = FileSum(**typed_fields(entry, {"bytes": int, "sha256": str}, f"{MANIFEST_NAME}, {name}"))
    return Manifest(checked["recipe"], checked["samples"], records, sums)


def _read_by_line(store: Store) -> tuple[object, Mapping[int, Record]] | None:
    """Return a manifest that is as it was written: its records, and the rest; None where it is not, or there is none.

    It may be of any size: no more is held than where its records are.
    """
    records = Records(store)
    try:
        with store.open(MANIFEST_NAME) as file:
            head = file.readline(_REST)
            line = records.add_all(MANIFEST_NAME, file) if _HEAD.fullmatch(head) else b""
            rest = file.read(_REST)
        values = parse_json(head + line + rest, MANIFEST_NAME) if line else None
    except (OSError, FormatError):
        return None
    return (values, records) if isinstance(values, dict) and values.get("shards") == [] else None


def write_manifest(store: Store, spec: Spec, records: Iterable[Record], sums: Mapping[str, FileSum]) -> None:
    """Write manifest.json from records in the order of the shards, which are never held as a whole. Raises OSError."""

    def pieces() -> Iterator[bytes]:
        head = {"version": MANIFEST_VERSION, "recipe": spec.recipe.fingerprint, "samples": spec.samples}
        yield (json.dumps(head)[:-1] + ', "shards": [').encode()
        lines, end = map(line_of, records), b"\n"
        while some := b",\n".join(islice(lines, _AT_ONCE)):
            yield end + some
            end = b",\n"
        rest = {name: total._asdict() for name, total in sums.items()}
        yield f'\n], "files": {json.dumps(rest)}}}\n'.encode()

    store.put(MANIFEST_NAME, pieces())


def changed_text(location: Location, name: str) -> str:
    """Return in which way a JSON file is not as it was written, though its values may be; nothing where it is."""
    is_first, has_returns = True, False
    for piece in pieces_of(open_store(location), name):
        if is_first and piece.startswith(b"\xef\xbb\xbf"):
            return f"{name} begins with a byte-order mark, which was not written"
        is_first, has_returns = False, has_returns or b"\r" in piece
    return f"{name} has lines that end in CR LF, and were not written so" if has_returns else ""


def read_json(location: Location, name: str) -> object:
    """Return the values in a JSON file; None where there is none. Raises FormatError for what is not JSON."""
    store = open_store(location)
    where = f"{store}/{name}"
    try:
        with store.open(name) as file:
            if file.seek(0, 2) > MAX_FILE:
                raise FormatError(f"{where} is too large to be true")
            file.seek(0)
            return parse_with_sequences(file.read(), where)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EISDIR):
            raise
        raise FormatError(f"{where} is not a file") from None
