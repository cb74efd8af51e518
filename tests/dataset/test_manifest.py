"""The papers of a dataset: what is written comes back, and whatever else is in them is refused in one line."""

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asked import recipe_for
from faulty import FaultySystem, under
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, Manifest
from mnist_seq_cli.dataset.records import Journal, Record, Records, line_of, read_records, record_in
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.plan import Shard, Slice
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.store import FileSum

RECIPE = recipe_for(seed=7, length=4, max_gap=6)
SPEC = Spec(recipe=RECIPE, samples=7, format="png", compression="fast", shard_size=3)
SHA = "0123456789abcdef" * 4
RECORD = Record(shard=1, first=3, samples=3, files=3, bytes=3300, sha256=SHA, recipe=RECIPE.fingerprint, crcs=(5, 0))

numbers = st.integers(0, 2**63 - 1)
records = st.builds(
    Record,
    shard=st.integers(0, 99_999),
    first=numbers,
    samples=numbers,
    files=numbers,
    bytes=numbers,
    sha256=st.sampled_from((SHA, "f" * 64)),
    recipe=st.sampled_from((RECIPE.fingerprint, "0" * 64)),
    crcs=st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
)


def journal_of(directory: Path) -> Path:
    path = directory / ".mnistseq" / "records.jsonl"
    path.parent.mkdir(exist_ok=True)
    return path


def record_of(number: int, **others: Any) -> Record:
    """Return a record of a shard of SPEC."""
    shard = SPEC.plan[number]
    return replace(RECORD, **{"shard": number, "first": shard.first, "samples": shard.samples} | others)


def assert_one_line(error: FormatError) -> None:
    assert "\n" not in str(error)
    assert str(error).isprintable()
    assert len(str(error)) <= 600


def nested(levels: int, inside: str = "") -> str:
    return "[" * levels + inside + "]" * levels


# Round trips


def test_a_spec_comes_back(tmp_path: Path) -> None:
    for number, spec in enumerate(
        (
            SPEC,
            replace(SPEC, format="idx", compression="small", samples=10**8, shard_size=10**5),
            replace(SPEC, recipe=recipe_for(seed=0, sequences=[(0, 0, 4), (1, 2, 3)], width=100, invert=True)),
        )
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        store = LocalStore(directory)
        manifest.write_spec(store, spec)
        store.clean()
        assert manifest.read_spec(directory) == spec
        assert [path.name for path in directory.iterdir()] == [RECIPE_NAME]


def test_where_there_are_no_metadata_files_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert manifest.read_spec(tmp_path) is None
    assert manifest.read_manifest(tmp_path) is None
    assert read_records(LocalStore(tmp_path), SPEC) == {}


@given(records)
def test_a_record_comes_back(record: Record) -> None:
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    for each in (record, record.without_content()):
        assert line_of(each) == json.dumps(each.to_json()).encode()
        assert record_in(line_of(each)) == each


@given(st.lists(st.sampled_from([(0, SHA), (1, "f" * 64), (2, SHA), (2, "f" * 64)]), max_size=20))
def test_the_last_record_of_a_shard_counts(written: list[tuple[int, str]]) -> None:
    store = MemoryStore()
    journal = Journal(store)
    of_shards = [record_of(number, sha256=sha) for number, sha in written]
    for record in of_shards:
        journal.add(record)
    found = read_records(store, SPEC)
    assert found == {record.shard: record for record in of_shards}
    assert (list(found), len(found)) == (sorted(found), len(set(found)))
    in_order = list(found.in_order(range(-1, 9)))
    assert in_order == [found.get(number) for number in range(-1, 9)]
    journal.begin(in_order)
    assert read_records(store, SPEC) == {record.shard: record for record in of_shards}


@pytest.mark.parametrize("sums", [{}, {"labels.csv": FileSum(12, SHA), "metadata.jsonl": FileSum(0, SHA)}])
def test_a_manifest_comes_back(sums: dict[str, FileSum], tmp_path: Path) -> None:
    written = [replace(RECORD, shard=number, first=3 * number, samples=min(3, 7 - 3 * number)) for number in range(3)]
    manifest.write_manifest(LocalStore(tmp_path), SPEC, written, sums)
    found = manifest.read_manifest(tmp_path)
    assert found == Manifest(RECIPE.fingerprint, 7, {record.shard: record for record in written}, sums)
    assert list(found.records) == [0, 1, 2]


def test_a_manifest_is_readable_line_by_line_and_synced(tmp_path: Path) -> None:
    with under(FaultySystem()) as system:
        manifest.write_manifest(LocalStore(tmp_path), SPEC, [replace(RECORD, shard=number) for number in range(3)], {})
    assert system.log[-3:] == ["fsync", "close", "replace"]
    assert len((tmp_path / MANIFEST_NAME).read_text().splitlines()) == 5


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def records() -> Iterator[Record]:
        yield RECORD
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        manifest.write_manifest(LocalStore(tmp_path), SPEC, records(), {})
    assert manifest.read_manifest(tmp_path) is None


def test_records_of_a_run_count_more_than_those_of_slices_and_others_not_at_all() -> None:
    store, one, other = MemoryStore(), Slice(0, 2), Slice(1, 2)
    Journal(store, one).begin([record_of(0), record_of(1, bytes=1)])
    Journal(store, other).begin([record_of(2)])
    Journal(store).begin([record_of(1, bytes=2), record_of(0, recipe="f" * 64), record_of(2, samples=2)])
    store.put(".mnistseq/records-x-of-y.jsonl", [line_of(record_of(2, bytes=7)), b"\n"])
    found = read_records(store, SPEC)
    assert list(found.values()) == [record_of(0), record_of(1, bytes=2), record_of(2)]
    assert [found.file_of(number) for number in range(3)] == [
        Journal(store, one).name,
        Journal(store).name,
        Journal(store, other).name,
    ]
    assert dict(read_records(store, SPEC, [Journal(store).name])) == {1: record_of(1, bytes=2)}
    store.remove(Journal(store, other).name)
    with pytest.raises(FileNotFoundError):
        found[2]


def test_a_manifest_that_is_not_as_it_was_written_is_read_as_json_all_the_same(tmp_path: Path) -> None:
    """As it was written it is read line by line, and no more is held than where the records are."""
    written = [record_of(number) for number in range(3)]
    manifest.write_manifest(LocalStore(tmp_path), SPEC, written, {})
    by_line = manifest.read_manifest(tmp_path)
    assert by_line is not None
    assert isinstance(by_line.records, Records)
    text = (tmp_path / MANIFEST_NAME).read_text()
    for changed in (text.replace("\n", "\r\n"), text.replace("\n", ""), text.replace(",\n", "\n,"), f" {text}"):
        (tmp_path / MANIFEST_NAME).write_text(changed, newline="")
        as_json = manifest.read_manifest(tmp_path)
        assert as_json is not None
        assert isinstance(as_json.records, dict)
        assert as_json == Manifest(RECIPE.fingerprint, 7, dict(enumerate(written)), {})
    for damaged in (
        text.replace(",\n", "\n", 1),
        text.replace("\n]", ",\n]"),
        text + "x",
        text[:-3],
        text.replace("}", "", 1),
    ):
        (tmp_path / MANIFEST_NAME).write_text(damaged)
        with pytest.raises(FormatError, match="not JSON"):
            manifest.read_manifest(tmp_path)


def test_a_recipe_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest.write_spec(store, SPEC)
    other = replace(SPEC, samples=8)
    for number in range(1, 5):
        with under(FaultySystem(number, errno.ENOSPC)), pytest.raises(OSError, match="No space left"):
            manifest.write_spec(store, other)
        assert manifest.read_spec(tmp_path) == SPEC
        store.clean()
    manifest.write_spec(store, other)
    assert manifest.read_spec(tmp_path) == other


# What a record is about


@pytest.mark.parametrize(
    ("record", "is_about"),
    [
        (RECORD, True),
        (replace(RECORD, bytes=0, files=0, sha256="f" * 64, crcs=()), True),
        (replace(RECORD, shard=2), False),
        (replace(RECORD, first=2), False),
        (replace(RECORD, samples=2), False),
        (replace(RECORD, recipe="f" * 64), False),
    ],
)
def test_a_record_is_about_one_shard_of_one_recipe(record: Record, is_about: bool) -> None:
    assert record.of(Shard(1, 3, 6), RECIPE.fingerprint) == is_about


def test_differences_are_told_field_by_field() -> None:
    other = replace(SPEC, recipe=recipe_for(seed=8, length=4, max_gap=6, invert=True), samples=9, compression="small")
    assert SPEC.differences(SPEC) == []
    assert SPEC.differences(other) == [
        "samples 9 instead of 7",
        "compression small instead of fast",
        "seed 8 instead of 7",
        "invert true instead of false",
    ]


def test_differences_are_short_and_printable() -> None:
    written = tuple((number % 10,) * 4 for number in range(1000))
    other = replace(SPEC, recipe=replace(RECIPE, sequences=written, source="\x1b[2J" * 100))
    for entry in SPEC.differences(other):
        assert len(entry) <= 80
        assert entry.isprintable()


# Hostile papers

WRONG_NUMBERS = [-1, 2**63, 10**400, 1.0, 1e400, True, None, "1", [], {}]
WRONG_SUMS = ["", "0" * 63, "0" * 65, "A" * 64, "٣" * 64, "0" * 64 + "\n", "../../etc/passwd", 0, None, []]
WRONG_RECORDS: list[Any] = [
    None,
    [],
    7,
    "record",
    {},
    RECORD.to_json() | {"path": "../../etc/passwd"},
    {key: value for key, value in RECORD.to_json().items() if key != "first"},
    *(RECORD.to_json() | {key: value} for key in ("shard", "first", "bytes") for value in WRONG_NUMBERS),
    *(RECORD.to_json() | {key: value} for key in ("sha256", "recipe") for value in WRONG_SUMS),
    *(RECORD.to_json() | {"crcs": value} for value in ([-1], [1.0], [None], [[]], ["1"], [True], [2**63], None, 3)),
]


@pytest.mark.parametrize("values", WRONG_RECORDS, ids=lambda values: repr(values)[:30])
def test_a_record_that_cannot_be_is_refused(values: Any) -> None:
    with pytest.raises(FormatError) as raised:
        Record.from_json(values)
    assert_one_line(raised.value)


def whole_manifest() -> dict[str, Any]:
    entries = [replace(RECORD, shard=number, first=3 * number).to_json() for number in range(3)]
    sums = {"labels.csv": {"bytes": 1, "sha256": SHA}}
    return {"version": 1, "recipe": RECIPE.fingerprint, "samples": 7, "shards": entries, "files": sums}


def put(*place: Any) -> Callable[[Any], None]:
    """Return a function that puts the last argument at the place that the others lead to."""

    def change(values: Any) -> None:
        for key in place[:-2]:
            values = values[key]
        values[place[-2]] = place[-1]

    return change


NAMES = ("../../etc/passwd", "/etc/passwd", "C:\\x", "a/b", "", ".hidden", "a" * 65, "NUL\0", "é", "labels.csv\n", "-x")
CHANGES: list[Callable[[Any], None]] = [
    put("version", 2),
    put("version", "1"),
    put("samples", -1.5),
    put("samples", None),
    put("samples", True),
    put("shards", {}),
    put("shards", [[]]),
    put("shards", 1, RECORD.to_json() | {"shard": 2}),
    put("shards", 0, "shard", -1),
    put("shards", 0, "bytes", 10**30),
    put("shards", 0, "unknown", 1),
    put("unknown", 1),
    put("files", []),
    put("files", {"labels.csv": None}),
    put("files", {"labels.csv": {"bytes": 1}}),
    put("files", {"labels.csv": {"bytes": "1", "sha256": SHA}}),
    put("files", {"labels.csv": {"bytes": 1, "sha256": SHA, "path": "/etc/passwd"}}),
    *(put("files", name, {"bytes": 1, "sha256": SHA}) for name in NAMES),
]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_a_manifest_that_cannot_be_is_refused(change: Callable[[Any], None], tmp_path: Path) -> None:
    values = whole_manifest()
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(values))
    assert manifest.read_manifest(tmp_path) is not None
    change(values)
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(values))
    with pytest.raises(FormatError) as raised:
        manifest.read_manifest(tmp_path)
    assert_one_line(raised.value)
    assert str(raised.value).startswith((MANIFEST_NAME, "the record of a shard"))


NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "NUL": bytes(100),
    "half": b'{"version": 1, "samples":',
    "two": b"{} {}",
    "a page": b"<!doctype html><title>404</title>",
    "not text": b"\xff\xfe\x80",
    "NaN": b'{"version": NaN}',
    "Infinity": b'{"samples": -Infinity}',
    "1e400": b'{"samples": 1e400}',
    "a number of 100,000 digits": b'{"samples": ' + b"9" * 100_000 + b"}",
    "100 levels": nested(100).encode(),
    "900 levels": nested(900).encode(),
    "100,000 levels": nested(100_000).encode(),
    "100 levels in a field": f'{{"samples": {nested(100)}}}'.encode(),
    "levels that are never closed": b"[" * 1_000_000,
    "levels of objects": b'{"a":' * 100_000,
    "a lone surrogate": b'{"\\ud800": 1}',
    "escapes for the terminal": b'{"\\u001b[2J\\n": 1}',
    "a long key": b'{"' + b"k" * 1_000_000 + b'": 1}',
    "a key twice": b'{"version": 1, "version": 2}',
}


@pytest.mark.parametrize("name", [RECIPE_NAME, MANIFEST_NAME])
@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_metadata_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError) as raised:
        (manifest.read_spec if name == RECIPE_NAME else manifest.read_manifest)(tmp_path)
    assert_one_line(raised.value)


def whole_recipe() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(SPEC.to_json()))
    return values


@pytest.mark.parametrize("levels", [10, 100, 300, 500, 700, 900, 950, 990, 1000, 5000])
@pytest.mark.parametrize("place", [("samples",), ("recipe",), ("recipe", "source"), ("recipe", "sequences")])
def test_deep_values_are_refused_wherever_they_are(levels: int, place: tuple[str, ...], tmp_path: Path) -> None:
    values = whole_recipe()
    put(*place, ["HERE"])(values)
    text = json.dumps(values).replace('["HERE"]', nested(levels, nested(1)))
    (tmp_path / RECIPE_NAME).write_text(text)
    with pytest.raises(FormatError) as raised:
        manifest.read_spec(tmp_path)
    assert_one_line(raised.value)


RECIPE_CHANGES: list[Callable[[Any], None]] = [
    *(put("samples", number) for number in (0, -1, 10**9, 10**400, 1.0, True, None, "7")),
    *(put("shard_size", number) for number in (0, -3, 10**9, 1.0, None)),
    *(put("format", name) for name in (None, 3, [])),
    *(put("compression", name) for name in ("", "zip", None, "FAST")),
    *(put("recipe", value) for value in (None, [], "recipe", {})),
    put("recipe", "seed", -1),
    put("recipe", "width", 10**6),
    put("recipe", "sequences", ["1", "../../etc/passwd"]),
    put("recipe", "unknown", 1),
    put("unknown", 1),
    put("version", 1),
]


@pytest.mark.parametrize("change", RECIPE_CHANGES, ids=range(len(RECIPE_CHANGES)))
def test_a_recipe_that_cannot_be_is_refused(change: Callable[[Any], None], tmp_path: Path) -> None:
    values = whole_recipe()
    change(values)
    (tmp_path / RECIPE_NAME).write_text(json.dumps(values))
    with pytest.raises(FormatError) as raised:
        manifest.read_spec(tmp_path)
    assert_one_line(raised.value)


def test_more_shards_than_there_are_names_for_are_refused(tmp_path: Path) -> None:
    values = whole_recipe() | {"samples": 10**8, "shard_size": 1}
    (tmp_path / RECIPE_NAME).write_text(json.dumps(values))
    with pytest.raises(FormatError, match="100000000 shards"):
        manifest.read_spec(tmp_path)
    with pytest.raises(RequestError, match="100000000 shards"):
        len(replace(SPEC, samples=10**8, shard_size=1).plan)


@pytest.mark.parametrize("name", [RECIPE_NAME, MANIFEST_NAME])
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "folder", "fifo"])
def test_what_is_no_file_is_not_read(name: str, target: str, tmp_path: Path) -> None:
    import os

    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / name).symlink_to(target)
    if not (tmp_path / name).exists() or (tmp_path / name).is_file():
        pytest.skip(f"this system has no {target}, or it is a file here")
    with pytest.raises(FormatError, match="is not a file"):
        (manifest.read_spec if name == RECIPE_NAME else manifest.read_manifest)(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST_NAME).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match="too large to be true"):
        manifest.read_manifest(tmp_path)


# Journals: a line that is damaged is as good as absent

LINES: dict[str, bytes] = {
    "blank": b"",
    "not JSON": b"not JSON",
    "not text": b"\xff\xfe\0",
    "NUL": bytes(50),
    "deep": b"[" * 3000,
    "deep and long": b"[" * 100_000,
    "a million characters": b'"' + b"x" * 1_000_000 + b'"',
    "NaN": json.dumps(RECORD.to_json() | {"bytes": float("nan")}).encode(),
    "1e400": json.dumps(RECORD.to_json()).replace("3300", "1e400").encode(),
    "negative": json.dumps(RECORD.to_json() | {"samples": -3}).encode(),
    "huge": json.dumps(RECORD.to_json() | {"samples": 10**200}).encode(),
    "a zero before": json.dumps(RECORD.to_json()).replace("3300", "03300").encode(),
    "a comma": line_of(RECORD) + b",",
    "an unknown key": json.dumps(RECORD.to_json() | {"path": "../../etc/passwd"}).encode(),
    "another recipe": json.dumps(RECORD.to_json() | {"recipe": "f" * 64}).encode(),
    "torn": json.dumps(RECORD.to_json()).encode()[:-10],
    "two in one": json.dumps(RECORD.to_json()).encode() * 2,
    "torn and whole in one": json.dumps(RECORD.to_json()).encode()[:50] + json.dumps(RECORD.to_json()).encode(),
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n"])
def test_a_damaged_line_counts_for_nothing(line: bytes, end: bytes, tmp_path: Path) -> None:
    texts = [line_of(record_of(number)) + b"\n" for number in range(3)]
    journal_of(tmp_path).write_bytes(texts[0] + line + (end or b"\n") + texts[2] + line + end)
    assert read_records(LocalStore(tmp_path), SPEC) == {0: record_of(0), 2: record_of(2)}


def test_a_journal_that_breaks_off_anywhere_gives_what_was_whole(tmp_path: Path) -> None:
    whole = [record_of(number) for number in range(2)]
    content = b"".join(line_of(record) + b"\n" for record in whole)
    first = content.index(b"\n")
    for size in range(len(content)):
        journal_of(tmp_path).write_bytes(content[:size])
        expected = whole[: (size >= first) + (size >= len(content) - 1)]
        assert list(read_records(LocalStore(tmp_path), SPEC).values()) == expected


def test_a_record_of_a_shard_that_is_none_takes_no_memory(tmp_path: Path) -> None:
    journal_of(tmp_path)
    Journal(LocalStore(tmp_path)).add(replace(RECORD, shard=10**17))
    assert read_records(LocalStore(tmp_path), SPEC) == {}
