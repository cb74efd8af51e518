"""The formats: what is written is what the recipe makes, whoever reads it, and however it was cut and shared out."""

import csv
import gzip
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from depth import others_slow, slow
from faulty import difference, fast_directory, tree
from forms import FORMATS, form, parameters
from numpy.typing import NDArray
from PIL import Image
from slow_tfrecord import slow_example, slow_records

from mnist_seq_cli import SequenceDataset, formats, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.codecs import png
from mnist_seq_cli.codecs.compression import COMPRESSIONS
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import Record
from mnist_seq_cli.dataset.shards import Completed, Task, stream
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.errors import FormatError, MnistseqError, RequestError
from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.execution.runner import Stop
from mnist_seq_cli.formats import FORMAT_NAMES
from mnist_seq_cli.formats.format import Opener
from mnist_seq_cli.mnist import bank, idx
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.location import open_store

SAMPLES, SHARD_SIZE = 250, 60
SOURCE = Source("train")
RECIPE = recipe_for(seed=11, length=3, max_gap=5)

each_format = pytest.mark.parametrize("name", FORMATS)


def spec_of(name: str, samples: int = SAMPLES, shard_size: int = SHARD_SIZE, recipe: Recipe = RECIPE) -> Spec:
    compression = formats.get(name).COMPRESSION
    return Spec(recipe=recipe, samples=samples, format=name, compression=compression, shard_size=shard_size)


def expected(recipe: Recipe = RECIPE, samples: int = SAMPLES) -> Batch:
    return compose.compose(recipe, bank.load(Source(recipe.source)), 0, samples)


def assert_holds(directory: Path, batch: Batch) -> None:
    """The directory is complete and sound, and holds these samples from the first one on."""
    assert list(verify(directory)) == []
    found = open_dataset(directory).batch(0, len(batch))
    assert len(open_dataset(directory)) == len(batch)
    assert batch.first_difference(found) is None
    for name in ("images", "digits", "lengths", "glyphs", "x"):
        assert getattr(found, name).dtype == getattr(batch, name).dtype


def open_in(directory: Path) -> Opener:
    return open_store(directory).open


@pytest.fixture
def place() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def made() -> Iterator[Callable[[str], Path]]:
    """A dataset in each format, not to be changed."""
    with fast_directory() as directory:

        def build(name: str) -> Path:
            if not (directory / name).exists():
                dataset.build(directory / name, spec_of(name), SOURCE, workers=1)
            return directory / name

        yield build


# What is written is what the recipe makes


@each_format
def test_what_was_written_is_read_again(name: str, made: Callable[[str], Path]) -> None:
    assert_holds(made(name), expected())
    data, fresh = open_dataset(made(name)), SequenceDataset.from_recipe(RECIPE, samples=SAMPLES)
    for number in (0, 59, 60, 61, 119, 240, 249, 3):
        one, other = data[number], fresh[number]
        assert (one.label, one.number, one.length) == (other.label, number, 3)
        assert all((getattr(one, part) == getattr(other, part)).all() for part in ("image", "digits", "glyphs", "x"))
    for first, stop in ((0, 0), (0, 1), (59, 61), (30, 200), (239, 250), (249, 250)):
        assert fresh.batch(first, stop).first_difference(data.batch(first, stop)) is None
    assert [sample.label for sample in data[50:200:7]] == [sample.label for sample in fresh[50:200:7]]
    assert [sample.number for sample in data] == list(range(SAMPLES))


@each_format
def test_every_shard_is_read_alone_and_gives_the_labels_as_text(name: str, made: Callable[[str], Path]) -> None:
    format_, spec, whole = formats.get(name), spec_of(name), expected()
    for shard in reversed(list(spec.plan)):
        batches = list(format_.read(spec, shard, open_in(made(name))))
        assert batches[0].first == shard.first
        assert sum(map(len, batches)) == shard.samples
        for batch in batches:
            assert whole.part(batch.first, batch.first + len(batch)).first_difference(batch) is None
    texts = list(format_.read_texts(spec, open_in(made(name))))
    assert texts == ["".join(map(str, row)) for row in whole.digits.tolist()]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@each_format
def test_either_compression_gives_the_same_samples(name: str, compression: Any, place: Path) -> None:
    spec = replace(spec_of(name), compression=compression)
    dataset.build(place / "out", spec, SOURCE, workers=1)
    assert_holds(place / "out", expected())


@each_format
@pytest.mark.parametrize(
    "recipe",
    [
        recipe_for(seed=0, length=1),
        recipe_for(seed=2**64 - 1, length=2, width=100, invert=True),
        recipe_for(seed=3, sequences=[(0, 0, 4, 2), (1, 2, 3, 4), (9, 9, 9, 9)], max_gap=3),
        recipe_for(seed=4, length=200, source="all"),
        recipe_for(seed=5, length=5, source="test", width=400, spacing="random"),
    ],
    ids=["one digit", "inverted", "given sequences", "200 digits", "test glyphs"],
)
def test_any_recipe_is_written(name: str, recipe: Recipe, place: Path) -> None:
    dataset.build(place / "out", spec_of(name, 20, 7, recipe), Source(recipe.source), workers=1)
    assert_holds(place / "out", expected(recipe, 20))


@each_format
def test_glyphs_of_ones_own_are_written(name: str, place: Path) -> None:
    glyphs = np.random.default_rng(1).integers(0, 256, (30, 5, 4), dtype=np.uint8)
    (place / "images").write_bytes(idx.encode(glyphs))
    (place / "labels").write_bytes(idx.encode(np.arange(30, dtype=np.uint8) % 10))
    source = bank.find(place / "images", place / "labels")
    own = bank.load(source)
    recipe = recipe_for(seed=6, length=3, max_gap=2, source=own.identity, glyph_height=5, glyph_width=4)
    dataset.build(place / "out", spec_of(name, 40, 9, recipe), source, workers=1)
    found, made = open_dataset(place / "out").batch(0, 40), compose.compose(recipe, own, 0, 40)
    assert (found.images == made.images).all()
    assert (found.digits == made.digits).all()
    traced = (found.glyphs == made.glyphs).all() and (found.x == made.x).all()
    assert traced or (name in ("idx", "torchmeta") and (found.glyphs == -1).all() and (found.x == -1).all())


# Other people's eyes: readers that know nothing of us


def read_png_folder(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    with (directory / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file_name", "label"]
    lines = [json.loads(line) for line in (directory / "metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == [row[0] for row in rows[1:]]
    images = []
    for row in rows[1:]:
        with Image.open(directory / row[0]) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            images.append(np.array(image))
    on_disk = sorted(str(path.relative_to(directory)) for path in directory.rglob("*.png"))
    assert on_disk == sorted(row[0] for row in rows[1:])
    assert [row[1].replace("-", "") for row in rows[1:]] == [line["text"] for line in lines]
    return images, [line["text"] for line in lines], [(line["glyphs"], line["x"]) for line in lines]


def read_tars(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    images, lines = [], []
    for path in sorted(directory.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                if member.name.endswith(".png"):
                    images.append(np.array(Image.open(content)))
                else:
                    lines.append(json.load(content))
    return images, [line["text"] for line in lines], [(line["glyphs"], line["x"]) for line in lines]


def read_npz(directory: Path) -> tuple[Any, list[str], list[Any]]:
    with zipfile.ZipFile(directory / "dataset.npz") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *("images.npy", "labels.npy", "lengths.npy", "glyphs.npy", "x.npy", "y.npy", "boxes.npy"),
            *(["gaps.npy"] if RECIPE.min_gap < RECIPE.max_gap else []),
        ]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(directory / "dataset.npz", allow_pickle=False) as arrays:
        assert {array.dtype.str for array in (arrays["images"], arrays["labels"])} == {"|u1"}
        assert {array.dtype.str for array in (arrays["lengths"], arrays["glyphs"], arrays["x"])} == {"<i4"}
        assert (arrays["lengths"] == RECIPE.length).all()
        texts = ["".join(map(str, row)) for row in arrays["labels"].tolist()]
        traces = zip(arrays["glyphs"].tolist(), arrays["x"].tolist(), strict=True)
        return arrays["images"], texts, list(traces)


def read_idx_files(directory: Path) -> tuple[Any, list[str], list[Any]]:
    arrays = []
    for name in ("images-idx3-ubyte.gz", "labels-idx2-ubyte.gz", "lengths-idx1-ubyte.gz"):
        content = gzip.decompress((directory / name).read_bytes())
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        assert (zero, kind) == (0, 8)
        arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape))
    images, labels, lengths = arrays
    assert (lengths == RECIPE.length).all()
    batch = expected()
    traces = zip(batch.glyphs.tolist(), batch.x.tolist(), strict=True)  # IDX has no place for them
    return images, ["".join(map(str, row)) for row in labels.tolist()], list(traces)


def read_tfrecords(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    contents = [path.read_bytes() for path in sorted(directory.glob("*.tfrecord"))]
    rows = [slow_example(record) for content in contents for record in slow_records(content)]
    assert all(list(row) == ["image", "text", "glyphs", "x", "boxes", "gaps"] for row in rows)
    images = [np.array(Image.open(io.BytesIO(row["image"]))) for row in rows]
    return images, [row["text"].decode() for row in rows], [(row["glyphs"], row["x"]) for row in rows]


def read_parquet(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    from pyarrow import parquet

    tables = [parquet.read_table(path) for path in sorted(directory.glob("data/*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    images = [np.array(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    assert [row["image"]["path"] for row in rows] == [f"{number:08d}.png" for number in range(len(rows))]
    return images, [row["text"] for row in rows], [(row["glyphs"], row["x"]) for row in rows]


def read_lmdb(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    """Of the values that are in leaves, and thus in the file as they are, without a look at the tree."""
    content = (directory / "data.mdb").read_bytes()
    keys = [b"-%09d" % number for number in range(1, SAMPLES + 1)]
    starts = [content.index(b"image" + key) + 15 for key in keys]
    images = [np.array(Image.open(io.BytesIO(content[start : content.index(b"IEND", start) + 8]))) for start in starts]
    texts = [content[start : start + RECIPE.length] for start in (content.index(b"label" + key) + 15 for key in keys)]
    rows = [json.loads(content[content.index(b"annotations" + key) + 21 :].partition(b"}")[0] + b"}") for key in keys]
    assert content.index(b"num-samples250") > 0
    return images, [text.decode() for text in texts], [(row["glyphs"], row["x"]) for row in rows]


def read_npy_files(directory: Path) -> tuple[Any, list[str], list[Any]]:
    """Mapped: what is asked for is read, and nothing else."""
    arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in directory.glob("*.npy")}
    assert all(type(array) is np.memmap for array in arrays.values())
    assert (arrays["images"].dtype, arrays["labels"].dtype, arrays["x"].dtype) == (np.uint8, np.uint8, np.int32)
    assert (arrays["lengths"] == RECIPE.length).all()
    texts = ["".join(map(str, row)) for row in arrays["labels"].tolist()]
    return arrays["images"], texts, list(zip(arrays["glyphs"].tolist(), arrays["x"].tolist(), strict=True))


def read_torchmeta(directory: Path) -> tuple[list[Any], list[str], list[Any]]:
    """As pytorch-meta reads it; it has no place for more, nor for the order of samples, which is that of a class."""
    import h5py

    images, texts, batch = [], [], expected()
    wanted = ["".join(map(str, row)) for row in batch.digits.tolist()]
    labels = json.loads((directory / "train_labels.json").read_text())
    assert labels == sorted({*wanted})
    with h5py.File(directory / "train_data.hdf5", "r") as file:
        assert sorted(file["datasets"]) == labels
        for number, text in enumerate(wanted):
            stored = file["datasets"][text]
            assert len(stored) == wanted.count(text)
            images.append(np.array(Image.open(io.BytesIO(stored[wanted[:number].count(text)]))))
            texts.append(text)
    return images, texts, list(zip(batch.glyphs.tolist(), batch.x.tolist(), strict=True))


READERS: dict[str, Callable[[Path], tuple[Any, list[str], list[Any]]]] = {
    "png": read_png_folder,
    "folders": read_png_folder,
    "flat": read_png_folder,
    "webdataset": read_tars,
    "npz": read_npz,
    "idx": read_idx_files,
    "npy": read_npy_files,
    "torchmeta": read_torchmeta,
    "lmdb": read_lmdb,
    "parquet": read_parquet,
    "tfrecord": read_tfrecords,
}


def test_there_is_another_reader_for_every_format() -> None:
    assert READERS.keys() == set(FORMAT_NAMES)


@each_format
def test_others_read_the_same(name: str, made: Callable[[str], Path]) -> None:
    images, texts, traces = READERS[name](made(name))
    batch = expected()
    assert (np.stack(list(images)) == batch.images).all()
    assert texts == ["".join(map(str, row)) for row in batch.digits.tolist()]
    assert traces == list(zip(batch.glyphs.tolist(), batch.x.tolist(), strict=True))


# The same bytes, however it was cut and shared out


def in_reverse(workers: int | None = None) -> Any:
    """Return a runner that takes the tasks from the last to the first."""
    run = serial.run if workers is None else partial(processes.run, workers=workers)

    def backwards(work: Any, tasks: Iterable[Any], stop: Stop) -> Generator[Any]:
        yield from run(work, reversed(list(tasks)), stop)

    return backwards


@each_format
def test_processes_and_the_order_of_shards_change_no_byte(name: str, made: Callable[[str], Path], place: Path) -> None:
    whole = tree(made(name))
    for workers in (1, 2, 7):
        dataset.build(place / f"{workers}", spec_of(name), SOURCE, workers=workers)
        assert difference(tree(place / f"{workers}"), whole) == []
    dataset.build(place / "reversed", spec_of(name), SOURCE, run=in_reverse())
    assert difference(tree(place / "reversed"), whole) == []
    dataset.build(place / "reversed on processes", spec_of(name), SOURCE, run=in_reverse(3))
    assert difference(tree(place / "reversed on processes"), whole) == []


@each_format
@pytest.mark.parametrize("shard_size", [7, 249, 250, 251, 1000, *slow([1, 64])])
def test_the_size_of_shards_changes_no_sample(name: str, shard_size: int, place: Path) -> None:
    dataset.build(place / "out", spec_of(name, shard_size=shard_size), SOURCE, workers=1)
    assert_holds(place / "out", expected())


@each_format
def test_what_goes_between_processes_for_a_shard_is_under_a_kilobyte(name: str, place: Path) -> None:
    settled: list[Completed] = []

    def watch(landed: Iterable[Completed]) -> Iterator[Completed]:
        for each in landed:
            settled.append(each)
            yield each

    spec = spec_of(name)
    dataset.build(place / "out", spec, SOURCE, workers=1, watch=watch)
    assert len(settled) == len(spec.plan)
    for shard, each in zip(spec.plan, settled, strict=True):
        assert len(pickle.dumps(each)) < 1000
        assert len(pickle.dumps(Task(shard, each.record))) < 1000


def shard_files(name: str) -> tuple[str, ...]:
    """Return the files of all shards, where each is one."""
    spec = spec_of(name)
    return tuple(file for shard in spec.plan for file in formats.get(name).shard_names(spec, shard))


def content_of(name: str, directory: Path) -> object:
    """Return what of a dataset must not depend on the size of its shards: in tar files the members, and so on."""
    if name in ("png", "folders", "flat"):
        return [path.read_bytes() for path in sorted(directory.rglob("*.png"))]
    if name == "webdataset":
        return b"".join(path.read_bytes()[:-1024] for path in sorted(directory.glob("*.tar")))
    if name in ("lmdb", "parquet", "torchmeta"):
        return READERS[name](directory)[1:]
    if name == "tfrecord":
        return b"".join(path.read_bytes() for path in sorted(directory.glob("*.tfrecord")))
    if name == "npz":
        return (directory / "dataset.npz").read_bytes()
    if name == "npy":
        return [path.read_bytes() for path in sorted(directory.glob("*.npy"))]
    return [gzip.decompress((directory / file).read_bytes()) for file in formats.get(name).file_names(spec_of(name))]


@each_format
def test_nor_does_it_change_the_bytes_of_the_samples(name: str, made: Callable[[str], Path], place: Path) -> None:
    for shard_size in (1, 33, 1000):
        out = place / f"{shard_size}"
        dataset.build(out, spec_of(name, shard_size=shard_size), SOURCE, workers=1)
        assert content_of(name, out) == content_of(name, made(name))


@each_format
@pytest.mark.parametrize(("width", "rows"), [(3_056, 49), *slow([(30_056, 4), (100_000, 1)])])
def test_wide_strips_are_worked_out_in_smaller_batches(name: str, width: int, rows: int, place: Path) -> None:
    """The same samples, with any number of them in a batch: a wide canvas has room for few."""
    recipe = recipe_for(seed=11, length=2, max_gap=100, width=width, spacing="random")
    spans = list(compose.spans(recipe, 0, 60))
    assert spans[0] == (0, rows)
    dataset.build(place / "out", spec_of(name, 60, 25, recipe), SOURCE, workers=1)
    narrow = recipe_for(seed=11, length=2, max_gap=100)
    batch = expected(narrow, 60)
    assert list(compose.spans(narrow, 0, 60)) == [(0, 60)]
    found = open_dataset(place / "out").batch(0, 60)
    assert found.images.shape == (60, 28, width)
    assert (found.images[:, :, : narrow.width] == batch.images).all()
    assert (found.images[:, :, narrow.width :] == 255).all()
    assert (found.digits == batch.digits).all()
    assert (found.x == batch.x).all()
    assert list(verify(place / "out")) == []


@each_format
@pytest.mark.parametrize("samples", [1, 9, 10, 11, 20, 30])
def test_any_number_of_samples_is_cut_into_shards(name: str, samples: int, place: Path) -> None:
    spec = spec_of(name, samples, 10)
    dataset.build(place / "out", spec, SOURCE, workers=1)
    assert_holds(place / "out", expected(RECIPE, samples))
    complete = manifest.read_manifest(place / "out")
    assert complete is not None
    assert [record.samples for record in complete.records.values()] == [
        min(10, samples - first) for first in range(0, samples, 10)
    ]
    if name in ("png", "webdataset"):
        shards = list((place / "out").glob("images/*" if name == "png" else "*.tar"))
        assert len(shards) == -(-samples // 10)
    with pytest.raises(RequestError, match="number of samples is 0"):
        dataset.build(place / "none", spec_of(name, 0, 10), SOURCE, workers=1)
    assert not (place / "none").exists()


@pytest.mark.parametrize("name", ["webdataset", "tfrecord"])
def test_there_are_files_for_eight_readers(name: str, mnistseq: Callable[..., Any], place: Path) -> None:
    format_ = formats.get(name)
    sizes = {1_999: 10_000, 2_000: 250, 10_001: 1_251, 80_000: 10_000, 10**8: 10_000}
    assert {samples: format_.shard_size(samples) for samples in sizes} == sizes
    assert (formats.get("npz").shard_size(2_000), formats.get("png").shard_size(2_000)) == (10_000, 1_000)
    asked = ("dataset", "-n", 2_000, "--len", 1, "--seed", 3, *form(name), "-o")
    for out, typed, files in (("new", (), 8), ("old", ("--shard-size", 10_000), 1)):  # the default of earlier versions
        assert mnistseq(*asked, place / out, *typed).code == 0
        before = tree(place / out)
        assert len(list((place / out).glob(f"*{format_.SUFFIX}"))) == files
        (place / out / "manifest.json").unlink()
        assert mnistseq(*asked, place / out).code == 0
        (place / out / "recipe.json").unlink()
        assert mnistseq(*asked, place / out).code == 0
        assert difference(tree(place / out), before) == []


# Each format by its own book


def test_tar_files_are_ustar_and_know_no_time_and_no_owner(made: Callable[[str], Path]) -> None:
    numbers = []
    for path in sorted(made("webdataset").glob("*.tar")):
        content = path.read_bytes()
        assert len(content) % 512 == 0
        assert content.endswith(bytes(1024))
        with tarfile.open(path) as tar:
            for member in tar:
                header = content[member.offset : member.offset + 512]
                assert header == member.tobuf(tarfile.USTAR_FORMAT).replace(header[265:345], bytes(80))
                assert member.pax_headers == {}
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                assert (member.type, member.mode, member.linkname) == (tarfile.REGTYPE, 0o644, "")
                key, dot, extension = member.name.partition(".")
                assert (dot, len(key)) == (".", 8)
                numbers.append((int(key), extension))
    assert numbers == [(number, kind) for number in range(SAMPLES) for kind in ("png", "json")]


def test_a_stream_is_the_members_of_all_shards_in_one_tar_file(made: Callable[[str], Path]) -> None:
    streamed = b"".join(stream(spec_of("webdataset"), SOURCE))
    members = [path.read_bytes()[:-1024] for path in sorted(made("webdataset").glob("*.tar"))]
    assert streamed == b"".join(members) + bytes(1024)


def test_a_stream_on_stdout_is_read_as_it_comes() -> None:
    layout = ["--len", "3", "--max", "5", "--seed", "11"]
    arguments = ["dataset", "-n", "700", *layout, "--format", "webdataset", "-o", "-"]
    batch, seen = expected(samples=700), 0
    with (
        subprocess.Popen(
            [sys.executable, "-m", "mnist_seq_cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for number, entry in enumerate(tar):
            content = tar.extractfile(entry)
            assert content is not None
            if entry.name.endswith(".png"):
                assert (png.decode(content.read()) == batch.images[number // 2]).all()
            else:
                assert json.load(content)["text"] == "".join(map(str, batch.digits[number // 2]))
            seen += 1
        rest, messages = process.communicate()
    assert (seen, rest, process.returncode) == (1400, b"", 0)
    assert b"--seed 11" in messages


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "webdataset"])
def test_only_tar_files_are_streams(name: str) -> None:
    with pytest.raises(RequestError, match=f"the format {name} cannot go to stdout; `format=webdataset` can"):
        list(stream(spec_of(name), SOURCE))


def test_gzip_files_are_of_one_member_and_sound(made: Callable[[str], Path]) -> None:
    for name in formats.get("idx").file_names(spec_of("idx")):
        path = made("idx") / name
        content = path.read_bytes()
        inflater = zlib.decompressobj(wbits=31)
        plain = inflater.decompress(content)
        assert inflater.eof
        assert inflater.unused_data == b""
        assert content[3:9] == bytes(6), "neither flags nor a time"
        assert content[-8:] == struct.pack("<II", zlib.crc32(plain), len(plain))
        if shutil.which("gzip"):
            assert subprocess.run(["gzip", "-t", path], check=False).returncode == 0


def test_idx_files_are_read_by_our_own_reader_of_idx(made: Callable[[str], Path]) -> None:
    batch = expected()
    assert (idx.read(made("idx") / "images-idx3-ubyte.gz") == batch.images).all()
    assert (idx.read(made("idx") / "labels-idx2-ubyte.gz") == batch.digits).all()
    assert (idx.read(made("idx") / "lengths-idx1-ubyte.gz") == 3).all()


@pytest.mark.parametrize(("length", "told"), [("2-25", 0), ("2-26", 1)])
def test_labels_that_readers_of_lmdb_leave_out_are_said(
    length: str, told: int, mnistseq: Callable[..., Any], place: Path
) -> None:
    for wanted in (("-n", 3), ("--split", "train=3", "--split", "val=2")):
        done = mnistseq("dataset", *wanted, "--len", length, "--format", "lmdb", "-o", place / wanted[0].strip("-"))
        assert (done.code, done.err.count("labels of more than 25 digits are left out by PARSeq")) == (0, told)


def test_parquet_without_its_library_is_refused_in_a_line(
    mnistseq: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = mnistseq("dataset", "-n", "3", "--len", "2", "--format", "parquet", "-o", place / "out")
    expected = "mnistseq: parquet needs pyarrow, which is not installed; pip install 'mnistseq[parquet]'\n"
    assert (done.code, done.out, done.err) == (2, "", expected)
    assert not (place / "out").exists()


def test_idx_lengths_are_bytes(place: Path) -> None:
    for length, fits in ((255, True), (256, False)):
        spec = spec_of("idx", 3, 2, recipe_for(seed=1, length=length))
        if fits:
            dataset.build(place / "out", spec, SOURCE, workers=1)
            assert_holds(place / "out", expected(spec.recipe, 3))
        else:
            with pytest.raises(MnistseqError, match="at most 255 digits"):
                dataset.build(place / "other", spec, SOURCE, workers=1)


def test_npz_arrays_can_be_mapped(made: Callable[[str], Path]) -> None:
    path = made("npz") / "dataset.npz"
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("images.npy")
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
        file.seek(name + extra, 1)
        assert np.lib.format.read_magic(file) == (1, 0)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        mapped = np.memmap(path, dtype, "r", file.tell(), shape)
    assert not fortran
    assert (mapped == expected().images).all()


# Memory

PEAK = """
import sys
from mnist_seq_cli.cli.main import run
code = run(sys.argv[1:])
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


def peak_memory(*arguments: object) -> int:
    """Return the peak resident memory of the program in MB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout.split()[-1]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", others_slow(FORMATS, "png", "npz"))
def test_a_wide_canvas_needs_no_more_memory_than_a_narrow_one(name: str, place: Path) -> None:
    """100 strips of 100,000 px are 280 MB."""
    wide = ("--len", 2, "--width", 100_000, "--seed", 1, "--workers", 1, *form(name))
    few = peak_memory("dataset", "-n", 20, *wide, "-o", place / "few")
    many = peak_memory("dataset", "-n", 100, *wide, "-o", place / "many")
    assert few < 150
    assert many - few < 25


# Containers from elsewhere: one line, and nothing written anywhere


@pytest.fixture
def out(name: str, made: Callable[[str], Path], place: Path) -> Path:
    """A copy of a dataset to be spoiled, alone in a directory."""
    shutil.copytree(made(name), place / "out")
    return place / "out"


def assert_refused(out: Path, *, verified: bool = True) -> None:
    """Reading the dataset is refused in one line, verifying finds it, and nothing was written."""
    before = tree(out.parent)
    with pytest.raises((FormatError, OSError)) as raised:
        for _ in open_dataset(out):
            pass
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    if verified:
        assert list(verify(out)) != []
    assert tree(out.parent) == before


def tar_of(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def with_size(tar: bytes, size: bytes) -> bytes:
    """Change the size in the first header, and put its checksum right."""
    header = bytearray(tar[:512])
    header[124:136] = size.ljust(12, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


FIRST = "00000000.png"
TARS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda tar: b"",
    "an end and nothing else": lambda tar: bytes(10240),
    "noise": lambda tar: np.random.default_rng(1).bytes(5000),
    "a traversal": lambda tar: tar_of((member("../../evil.png"), b"x")) + tar,
    "an absolute name": lambda tar: tar_of((member("/tmp/evil.png"), b"x")),
    "a name in a prefix": lambda tar: tar_of((member("a/" * 60 + FIRST), b"x")),
    "a long GNU name": lambda tar: tar_of((member("x" * 300), b"x"), kind=tarfile.GNU_FORMAT),
    "a PAX header": lambda tar: tar_of((member("é" * 100), b"x"), kind=tarfile.PAX_FORMAT),
    "a symbolic link": lambda tar: tar_of(member(FIRST, tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link": lambda tar: tar_of(member(FIRST, tarfile.LNKTYPE, "/etc/passwd")),
    "a device": lambda tar: tar_of(member(FIRST, tarfile.CHRTYPE)),
    "a fifo": lambda tar: tar_of(member(FIRST, tarfile.FIFOTYPE)),
    "a folder": lambda tar: tar_of(member(FIRST, tarfile.DIRTYPE)),
    "the first member twice": lambda tar: tar[: tar.index(b"00000000.json")] + tar,
    "another member at the end": lambda tar: tar[:-1024] + tar_of((member("00000060.png"), b"x")),
    "a member taken out": lambda tar: tar[tar.index(b"00000000.json") :],
    "two samples swapped": lambda tar: tar.replace(b"00000000.", b"########."),
    "cut off in a header": lambda tar: tar[:700],
    "cut off in a file": lambda tar: tar[: len(tar) // 2 - 300],
    "cut off after a sample": lambda tar: tar[: tar.index(b"00000003.png")],
    "a size of 8 GB": lambda tar: with_size(tar, b"77777777777"),
    "a size of 60 MB": lambda tar: with_size(tar, b"%011o" % 60_000_000),
    "a size in 64 bits": lambda tar: with_size(tar, b"\x80" + b"\0" * 7 + b"\x10\0\0\0"),
    "a negative size": lambda tar: with_size(tar, b"-0000000001"),
    "a size that is none": lambda tar: with_size(tar, b"size"),
    "a PNG file that is none": lambda tar: tar_of((member(FIRST), b"not a PNG"), (member("00000000.json"), b"{}")),
    "a row that is none": lambda tar: tar.replace(b'{"text"', b'{"TEXT"'),
    "a row of another sample": lambda tar: tar.replace(b'"glyphs": [', b'"glyphs": 7,[', 1),
}


@pytest.mark.parametrize("name", ["webdataset"])
@pytest.mark.parametrize("change", TARS.values(), ids=TARS.keys())
def test_a_hostile_tar_file_is_refused(out: Path, change: Callable[[bytes], bytes]) -> None:
    path = out / "00000.tar"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(out)


PARQUET: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "noise": lambda content: np.random.default_rng(1).bytes(5000),
    "cut off": lambda content: content[:-100],
    "a damaged image": lambda content: content.replace(b"IDAT", b"IDBT", 1),
    "an image less": lambda content: content.replace(png.SIGNATURE, bytes(8), 1),
    "a damaged schema": lambda content: content.replace(b"glyphs", b"glyfs\0"),
    "a length that is none": lambda content: content[:-8] + b"\xff\xff\xff\x7fPAR1",
}


@pytest.mark.parametrize("name", parameters(["parquet"]))
@pytest.mark.parametrize("change", PARQUET.values(), ids=PARQUET.keys())
def test_a_hostile_parquet_file_is_refused(out: Path, change: Callable[[bytes], bytes]) -> None:
    path = out / "data/train-00000-of-00005.parquet"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(out)


def npz_of(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


PICKLES = np.array([[print, {"os": "system"}]] * 250, dtype=object)
ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda npz: b"",
    "noise": lambda npz: np.random.default_rng(1).bytes(500_000),
    "pickled objects": lambda npz: npz_of(images=PICKLES, labels=PICKLES),
    "pickled objects, and long": lambda npz: npz_of(images=PICKLES, labels=PICKLES) + npz,
    "objects in our header": lambda npz: npz.replace(b"'descr': '|u1'", b"'descr': '|O8'"),
    "a header that lies": lambda npz: npz.replace(b"(250, 28", b"(999, 28"),
    "a header in another order": lambda npz: npz.replace(b"'fortran_order': False", b"'fortran_order': True "),
    "cut off": lambda npz: npz[: len(npz) // 2],
    "moved by a byte": lambda npz: b"x" + npz,
    "compressed": lambda npz: zlib.compress(npz),
}


@pytest.mark.parametrize("name", ["npz"])
@pytest.mark.parametrize("change", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_hostile_archive_is_refused(out: Path, change: Callable[[bytes], bytes]) -> None:
    path = out / "dataset.npz"
    path.write_bytes(change(path.read_bytes()))
    assert_refused(out)


def repacked(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda packed: gzip.compress(change(gzip.decompress(packed)))


BOMB = gzip.compress(bytes(100 << 20), 9)
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda packed: b"",
    "a page": lambda packed: b"<!doctype html><title>404</title>",
    "noise": lambda packed: np.random.default_rng(1).bytes(50_000),
    "cut off": lambda packed: packed[: len(packed) // 2],
    "without its end": lambda packed: packed[:-9],
    "not packed": gzip.decompress,
    "packed twice": gzip.compress,
    "a bit flipped": lambda packed: packed[:-12] + bytes([packed[-12] ^ 1]) + packed[-11:],
    "too few": repacked(lambda plain: plain[:-1]),
    "a header that claims more": repacked(lambda plain: plain[:4] + b"\xff\xff\xff\xff" + plain[8:]),
    "a header of another type": repacked(lambda plain: b"\0\0\x0d" + plain[3:]),
    "a header of more dimensions": repacked(lambda plain: plain[:3] + b"\xff" + plain[4:]),
    "a bomb": lambda packed: BOMB,
}


@pytest.mark.parametrize("name", ["idx"])
@pytest.mark.parametrize("file", formats.get("idx").file_names(spec_of("idx")))
@pytest.mark.parametrize("change", PACKED.values(), ids=PACKED.keys())
def test_a_hostile_gzip_file_is_refused(out: Path, file: str, change: Callable[[bytes], bytes]) -> None:
    (out / file).write_bytes(change((out / file).read_bytes()))
    assert_refused(out)


def in_metadata(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(out: Path) -> None:
        content = (out / "metadata.jsonl").read_bytes()
        assert old in content
        (out / "metadata.jsonl").write_bytes(content.replace(old, new, 1))

    return change


def as_image(image: NDArray[np.uint8]) -> Callable[[Path], None]:
    return lambda out: (out / "images/00000/00000003.png").write_bytes(png.encode(image[None])[0]) and None


def link_to(target: str) -> Callable[[Path], None]:
    def change(out: Path) -> None:
        (out / "images/00000/00000003.png").unlink()
        (out / "images/00000/00000003.png").symlink_to(target)

    return change


FOLDERS: dict[str, Callable[[Path], Any]] = {
    "no metadata": lambda out: (out / "metadata.jsonl").unlink(),
    "empty metadata": lambda out: (out / "metadata.jsonl").write_bytes(b""),
    "half the metadata": lambda out: (out / "metadata.jsonl").write_bytes((out / "metadata.jsonl").read_bytes()[:5000]),
    "blank lines": in_metadata(b"\n", b"\n\n"),
    "a line of a million characters": in_metadata(b"\n", b" " * 1_000_000 + b"\n"),
    "a line that is not text": in_metadata(b'"text"', b"\xff\xfe\0"),
    "a deep line": in_metadata(b'"x": [', b'"x": [' + b"[" * 100_000),
    "a name elsewhere": in_metadata(b"images/00000/00000003.png", b"../../etc/00000/passwd.png"),
    "another name": in_metadata(b"images/00000/00000003.png", b"images/00000/00000004.png"),
    "a row twice": in_metadata(b"\n", b"\n" + b'{"file_name": "images/00000/00000000.png"}\n'),
    "a label of other digits": in_metadata(b'"text": "', b'"text": "\xd9\xa3'),
    "a label that is too long": in_metadata(b'"text": "', b'"text": "0'),
    "a label that is a number": in_metadata(b'"text": "', b'"text": 123, "y": "'),
    "digits that are none": in_metadata(b'"text": "', b'"text": "\xc2\xb2'),
    "one glyph for all": in_metadata(b'"glyphs": [', b'"glyphs": [7], "_": ['),
    "glyphs that are text": in_metadata(b'"glyphs": [', b'"glyphs": ["1", '),
    "a glyph too many": in_metadata(b'"glyphs": [', b'"glyphs": [1, '),
    "a glyph of 1e400": in_metadata(b'"glyphs": [', b'"glyphs": [1e400, '),
    "a huge glyph": in_metadata(b'"glyphs": [', b'"glyphs": [99999999999'),
    "half a glyph": in_metadata(b'"glyphs": [', b'"glyphs": [0.5'),
    "a missing image": lambda out: (out / "images/00000/00000003.png").unlink(),
    "an image that is none": lambda out: (out / "images/00000/00000003.png").write_bytes(b"x"),
    "an image of another size": as_image(np.zeros((28, 93), np.uint8)),
    "an image that is turned": as_image(np.zeros((94, 28), np.uint8)),
    "a folder for an image": lambda out: (
        (out / "images/00000/00000003.png").unlink(),
        (out / "images/00000/00000003.png").mkdir(),
    ),
    "a device for an image": link_to("/dev/zero"),
    "no folder": lambda out: shutil.rmtree(out / "images/00002"),
}


@pytest.mark.parametrize("name", ["png"])
@pytest.mark.parametrize("change", FOLDERS.values(), ids=FOLDERS.keys())
def test_a_hostile_folder_is_refused(out: Path, change: Callable[[Path], Any]) -> None:
    change(out)
    assert_refused(out)


WRONG_DIGITS = np.full((SAMPLES, 3), 10, np.uint8)


@pytest.mark.parametrize("name", ["idx", "npz"])
def test_digits_above_nine_are_refused(name: str, out: Path) -> None:
    if name == "idx":
        path = out / "labels-idx2-ubyte.gz"
        path.write_bytes(gzip.compress(idx.encode(WRONG_DIGITS)))
    else:
        path = out / "dataset.npz"
        content = path.read_bytes()
        start = content.index(b"labels.npy")
        place = content.index(b"\n", start) + 1
        path.write_bytes(content[:place] + WRONG_DIGITS.tobytes() + content[place + WRONG_DIGITS.nbytes :])
    assert_refused(out)


@pytest.mark.parametrize("length", [4, 255])
@pytest.mark.parametrize("name", ["idx", "npz"])
def test_lengths_above_that_of_the_recipe_are_refused(name: str, length: int, out: Path) -> None:
    if name == "idx":
        wrong = np.full(SAMPLES, length, np.uint8)
        (out / "lengths-idx1-ubyte.gz").write_bytes(gzip.compress(idx.encode(wrong)))
    else:
        lengths = np.full(SAMPLES, length - 256, "<i4")
        content = (out / "dataset.npz").read_bytes()
        place = content.index(b"\n", content.index(b"lengths.npy")) + 1
        (out / "dataset.npz").write_bytes(content[:place] + lengths.tobytes() + content[place + lengths.nbytes :])
    assert_refused(out)


@each_format
def test_a_dataset_that_grows_is_read_as_it_is_then(name: str, place: Path) -> None:
    """Nothing that is remembered from reading the smaller one spoils the reading of the larger one."""
    for samples in (25, 60, 61):
        dataset.build(place / "out", spec_of(name, samples, 10), SOURCE, workers=1)
        assert_holds(place / "out", expected(RECIPE, samples))


@each_format
def test_records_without_checksums_are_made_good(name: str, made: Callable[[str], Path], out: Path) -> None:
    """A record in a journal or a manifest that lacks what joins the shards, or has it wrong."""
    whole = tree(made(name))
    values = json.loads((out / "manifest.json").read_bytes())
    for crcs in ([], [1, 2, 3], [1, 2, 3, 4, 5]):
        (out / "manifest.json").write_text(
            json.dumps(values | {"shards": [entry | {"crcs": crcs} for entry in values["shards"]]})
        )
        files = formats.get(name).file_names(spec_of(name)) or shard_files(name)
        (out / files[0]).write_bytes(b"damaged")
        dataset.build(out, spec_of(name), SOURCE, workers=1)
        assert difference(tree(out), whole) == []


def test_records_know_the_sums_of_what_was_written(made: Callable[[str], Path]) -> None:
    for name in FORMATS:
        complete = manifest.read_manifest(made(name))
        assert complete is not None
        assert all(isinstance(record, Record) for record in complete.records.values())
        assert sum(record.samples for record in complete.records.values()) == SAMPLES


def test_the_command_line_says_it_in_one_line(made: Callable[[str], Path], place: Path, capfd: Any) -> None:
    shutil.copytree(made("webdataset"), place / "out")
    (place / "out" / "00000.tar").write_bytes(TARS["a traversal"](b""))
    assert main.run(["inspect", str(place / "out")]) == 2
    assert capfd.readouterr().err.count("\n") == 1
