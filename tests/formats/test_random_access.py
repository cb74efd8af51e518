"""Any samples of what is stored: the same as in order, for every format and store, by threads and processes too."""

import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from io import BytesIO
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from depth import others_slow
from forms import FORMATS
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import StoredDataset, formats, open_dataset
from mnist_seq_cli.codecs import tar
from mnist_seq_cli.codecs.compression import COMPRESSIONS
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.engine.batch import Batch, joined
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.formats.arrays import columns, idx_reader
from mnist_seq_cli.formats.reader import Reader, ShardReader
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Plan
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.store import Store

SOURCE = Source("train")
SAMPLES, SHARD_SIZE = 47, 10
RECIPE = recipe_for(seed=5, length=((1, 1), (2, 1), (3, 2)), max_gap=6, jitter_y=2)
FIT = recipe_for(seed=5, length=((1, 1), (3, 2)), max_gap=6, width="fit")
FORMS = [*FORMATS, *(f"{name} masks" for name in FORMATS if formats.get(name).MASKS)]
ORDERS = st.lists(st.integers(0, SAMPLES - 1), min_size=1, max_size=12)

each_form = pytest.mark.parametrize("form", FORMS)
each_format = pytest.mark.parametrize("form", FORMATS)


def spec_of(form: str, compression: Any = "fast") -> Spec:
    name, _, masks = form.partition(" ")
    recipe = FIT if formats.get(name).ANY_WIDTH and not masks else RECIPE
    kept: dict[str, Any] = {"format": name, "compression": compression, "masks": bool(masks)}
    return Spec(recipe=recipe, samples=SAMPLES, shard_size=SHARD_SIZE, **kept)


def built(store: Store, spec: Spec) -> Store:
    build(store, spec, SOURCE, run=serial.run)
    return store


@cache
def whole(spec: Spec) -> Batch:
    return compose(spec.recipe, bank.load(SOURCE), 0, SAMPLES, masks=spec.masks)


def assert_reads(reader: Reader, spec: Spec, order: list[int]) -> None:
    found = reader.read(np.array(order))
    assert list(found.samples) == order
    assert whole(spec).take(np.array(order)).first_difference(found) is None
    assert (found.masks is None) != spec.masks


@pytest.fixture(scope="module")
def reader_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Reader]:
    """What reads a dataset of a form, in a directory or in memory, of a compression; made once."""

    @cache
    def make(form: str, kind: str, compression: str) -> Reader:
        spec = spec_of(form, compression)
        store = MemoryStore() if kind == "memory" else LocalStore(tmp_path_factory.mktemp("made") / "out")
        return formats.get(spec.format).reader(spec, built(store, spec).open)

    return make


@pytest.mark.parametrize(
    ("kind", "compression"), others_slow(product(["directory", "memory"], COMPRESSIONS), ("directory", "fast"))
)
@each_form
@given(order=ORDERS, first=st.integers(0, SAMPLES - 1), count=st.integers(1, SAMPLES))
def test_any_order_gives_the_same_samples(
    form: str, kind: str, compression: str, reader_of: Callable[..., Reader], order: list[int], first: int, count: int
) -> None:
    spec, reader = spec_of(form, compression), reader_of(form, kind, compression)
    assert_reads(reader, spec, order)
    run = range(first, min(first + count, SAMPLES))
    assert reader.read(run).samples == run
    assert whole(spec).part(run.start, run.stop).first_difference(reader.read(run)) is None


@each_format
def test_what_is_read_is_a_copy(form: str, reader_of: Callable[..., Reader]) -> None:
    reader = reader_of(form, "directory", "fast")
    for samples in (range(3, 5), np.array([4, 3])):
        reader.read(samples).images.fill(7)
        assert not (reader.read(samples).images == 7).all()


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 8
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("form", "file", "mark", "named"),
    [
        ("png", "images/00001/00000017.png", b"IDAT", "images/00001/00000017.png is not a sound PNG file"),
        ("png", "metadata.jsonl", b'png", "text": "', "metadata.jsonl"),
        ("webdataset", "00001.tar", b"IDAT", "00001.tar, 00000010.png is not a sound PNG file"),
        ("webdataset", "00001.tar", b'"text": ', "00001.tar, 00000010.json is not a row of JSON"),
        ("webdataset", "00001.tar", b"00000010.json", "00001.tar has no sample 10 where it should be"),
        ("idx", "images-idx3-ubyte.gz", b"", "images-idx3-ubyte.gz is damaged"),
    ],
)
def test_what_is_damaged_names_itself_and_spares_the_others(
    form: str, file: str, mark: bytes, named: str, tmp_path: Path
) -> None:
    spec = spec_of(form)
    reader = formats.get(form).reader(spec, built(LocalStore(tmp_path), spec).open)
    content = (tmp_path / file).read_bytes()
    flip(tmp_path / file, content.index(mark) + 3 if mark else len(content) // 2)
    damaged = {"metadata.jsonl": 0, "00001.tar": 10}.get(file, 17)
    with pytest.raises(FormatError, match=named.replace(".", r"\.")):
        reader.read(np.array([3, damaged, 40]))
    if form != "idx":
        assert_reads(reader, spec, [3, 40, 18, 12])


@each_format
def test_a_file_that_is_cut_while_it_is_read_is_an_error_and_one_that_is_replaced_is_read(
    form: str, tmp_path: Path
) -> None:
    spec, store = spec_of(form), LocalStore(tmp_path)
    reader = formats.get(form).reader(spec, built(store, spec).open)
    assert_reads(reader, spec, [40, 3])
    largest = max((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    if form != "idx":  # of which all is held
        with largest.open("r+b") as file:
            file.truncate(len(content) // 2)
        with pytest.raises(FormatError, match=largest.name):
            reader.read(np.arange(SAMPLES))
    largest.write_bytes(content)
    assert_reads(reader, spec, [46, 0])
    build(store, replace(spec, compression="small"), SOURCE, run=serial.run, overwrite=True)
    assert_reads(reader, spec, [40, 3, 46, 0])


def test_a_tar_file_with_members_too_few_or_too_many_is_refused(tmp_path: Path) -> None:
    spec = spec_of("webdataset")
    built(LocalStore(tmp_path), spec)
    path = tmp_path / "00001.tar"
    content = path.read_bytes().rstrip(b"\0")
    more = tar.members(20, [(".png", [b"x"])])
    for changed in (content[: content.rindex(b"00000019.json")], content + bytes(-len(content) % 512) + more):
        path.write_bytes(changed)
        with pytest.raises(FormatError, match=r"00001.tar holds (19|21) files, and its samples have 20"):
            formats.get("webdataset").reader(spec, LocalStore(tmp_path).open).read(np.array([15]))


@pytest.mark.parametrize("piece", [512, 1_000, 4_321])
def test_wherever_the_pieces_of_a_tar_file_end_its_members_are_the_same(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("webdataset masks")
    built(LocalStore(tmp_path), spec)
    monkeypatch.setattr(tar, "PIECE", piece)
    assert whole(spec).first_difference(joined(list(open_dataset(tmp_path).stream()))) is None
    assert_reads(formats.get("webdataset").reader(spec, LocalStore(tmp_path).open), spec, [46, 0, 19, 20])
    content = (tmp_path / "00001.tar").read_bytes()
    for size in (700, len(content.rstrip(b"\0")) - 1, len(content.rstrip(b"\0"))):
        with pytest.raises(FormatError, match="is truncated"):
            list(tar.read_members(BytesIO(content[:size]), "x"))


def test_large_arrays_are_read_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("npz masks")
    monkeypatch.setattr(columns, "_HELD", 100)
    assert_reads(formats.get("npz").reader(spec, built(LocalStore(tmp_path), spec).open), spec, [40, 3, 3, 46])


def test_idx_that_is_too_large_to_be_held_is_read_in_order_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("idx")
    monkeypatch.setattr(idx_reader, "_HELD", 20 * (spec.recipe.height * spec.recipe.width + 4))
    built(LocalStore(tmp_path), spec)
    data = open_dataset(tmp_path)
    assert whole(spec).first_difference(data.batch(0, SAMPLES)) is None
    assert [data[number].label for number in (46, 3)] == [whole(spec)[number].label for number in (46, 3)]
    assert data[[31, 18, 30]].texts == [whole(spec).texts[number] for number in (31, 18, 30)]
    with pytest.raises(
        FormatError, match=r"too far apart .* inflated, all are 0 MiB, and 0 MiB at most are held"
    ) as no:
        data[[3, 46]]
    assert "npz" in no.value.hint


def test_by_default_the_last_shard_is_held() -> None:
    made, read = whole(spec_of("npz")), list[int]()

    def counted(shard: Any) -> Any:
        read.append(shard.number)
        yield made.part(shard.first, shard.stop)

    reader = ShardReader(Plan(SAMPLES, SHARD_SIZE), counted)
    for number in range(30):
        assert reader.read(range(number, number + 1))[0].label == made[number].label
    assert read == [0, 1, 2]
    assert_reads(reader, spec_of("npz"), [46, 3, 31, 45, 3])
    assert read == [0, 1, 2, 0, 3, 4]


# Threads and processes

ORDER = [40, 3, 46, 0, 12, 40, 25]


def answer(data: list[StoredDataset], pipe: Connection) -> None:
    pipe.send([each[ORDER].images.tobytes() for each in data])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[StoredDataset]:
    """A dataset of each format, of which some samples were read."""
    path = tmp_path_factory.mktemp("stored")
    data = [open_dataset(str(built(LocalStore(path / form), spec_of(form)))) for form in FORMATS]
    for each in data:
        each[[5, 30]]
    return data


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same(method: str, stored: list[StoredDataset]) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe() for _ in range(2)]
    workers = [context.Process(target=answer, args=(stored, theirs)) for _, theirs in pipes]
    for worker in workers:
        worker.start()
    expected = [each[ORDER].images.tobytes() for each in stored]  # at the same time
    for (ours, _), worker in zip(pipes, workers, strict=True):
        assert ours.poll(60)
        assert ours.recv() == expected
        worker.join()


def test_threads_read_the_same(stored: list[StoredDataset]) -> None:
    for each in stored:
        fresh = pickle.loads(pickle.dumps(each))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(fresh.__getitem__, ORDER * 4))
        assert [sample.text for sample in found] == each[ORDER * 4].texts


def test_parts_share_what_is_held(stored: list[StoredDataset]) -> None:
    for each in stored:
        fresh = pickle.loads(pickle.dumps(each))
        assert fresh[3:9]._reader is fresh[::2][2:]._reader is fresh._reader
