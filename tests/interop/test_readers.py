"""What we write is read by the libraries that people read it with: same pixels, same labels, zeros and all."""

import gc
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.mnist import idx

Written = Callable[[str], Path]


def texts_of(data: SequenceDataset) -> list[str]:
    return [sample.label.replace("-", "") for sample in data]


def data_with_masks(data: SequenceDataset) -> SequenceDataset:
    return SequenceDataset.from_recipe(data.recipe, samples=len(data), masks=True)


def test_there_are_leading_zeros_to_be_lost(data: SequenceDataset) -> None:
    assert sum(text.startswith("0") for text in texts_of(data)) > 10
    assert sum(text.startswith("00") for text in texts_of(data)) > 0


# pandas and Arrow


def test_pandas_reads_labels_as_text(written: Written, data: SequenceDataset) -> None:
    import pandas as pd

    frame = pd.read_csv(written("png") / "labels.csv")
    assert list(frame.columns) == ["file_name", "label"]
    assert frame["label"].tolist() == [sample.label for sample in data]
    assert all(isinstance(label, str) for label in frame["label"])
    for name, sample in zip(frame["file_name"], data, strict=True):
        with Image.open(written("png") / name) as image:
            np.testing.assert_array_equal(np.asarray(image), sample.image)


def test_pandas_reads_the_metadata(written: Written, data: SequenceDataset) -> None:
    import pandas as pd

    frame = pd.read_json(written("png") / "metadata.jsonl", lines=True, dtype={"text": str})
    assert list(frame.columns) == ["file_name", "text", "glyphs", "x", "boxes", "gaps"]
    assert frame["text"].tolist() == texts_of(data)
    assert frame["glyphs"].tolist() == [sample.glyphs.tolist() for sample in data]
    assert frame["x"].tolist() == [sample.x.tolist() for sample in data]
    assert frame["boxes"].tolist() == [sample.boxes.tolist() for sample in data]


def test_arrow_reads_labels_as_strings(written: Written, data: SequenceDataset) -> None:
    import pyarrow as pa
    from pyarrow import csv, json

    table = csv.read_csv(written("png") / "labels.csv")
    assert table.schema == pa.schema([("file_name", pa.string()), ("label", pa.string())])
    assert table["label"].to_pylist() == [sample.label for sample in data]
    table = json.read_json(written("png") / "metadata.jsonl")
    numbers = pa.list_(pa.int64())
    assert table.schema == pa.schema(
        [
            *(("file_name", pa.string()), ("text", pa.string()), ("glyphs", numbers), ("x", numbers)),
            *(("boxes", pa.list_(numbers)), ("gaps", numbers)),
        ]
    )
    assert table["text"].to_pylist() == texts_of(data)
    assert table["x"].to_pylist() == [sample.x.tolist() for sample in data]


# Hugging Face datasets


def test_imagefolder_reads_a_dataset_as_it_is(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    loaded = datasets.load_dataset("imagefolder", data_dir=str(written("png")), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert len(rows) == len(data)
    assert set(rows.features) == {"image", "text", "glyphs", "x", "boxes", "gaps"}
    assert rows.features["text"].dtype == "string"
    assert rows["text"][:] == texts_of(data)
    for row, sample in zip(rows, data, strict=True):
        np.testing.assert_array_equal(np.asarray(row["image"]), sample.image)
        assert (row["glyphs"], row["x"]) == (sample.glyphs.tolist(), sample.x.tolist())
        assert row["boxes"] == sample.boxes.tolist()


def test_imagefolder_reads_masks_as_a_column_of_images(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    directory = written("png --masks")
    for split in ("train", "test"):
        shutil.copytree(directory, tmp_path / "both" / split)
    for place, splits in ((directory, ["train"]), (tmp_path / "both", ["train", "test"])):
        loaded = datasets.load_dataset("imagefolder", data_dir=str(place), cache_dir=str(tmp_path / place.name))
        assert sorted(loaded) == sorted(splits)
        for split in splits:
            rows = loaded[split]
            assert len(rows) == len(data)
            assert set(rows.features) == {"image", "mask", "text", "glyphs", "x", "boxes", "gaps"}
            assert rows.features["mask"] == rows.features["image"]
            assert rows["text"][:] == texts_of(data)
            masks = data_with_masks(data).batch(0, len(data)).masks
            for row, sample, mask in zip(rows, data, masks, strict=True):
                np.testing.assert_array_equal(np.asarray(row["image"]), sample.image)
                np.testing.assert_array_equal(np.asarray(row["mask"]), mask)


def test_imagefolder_reads_train_and_test_beside_each_other(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        shutil.copytree(written("png"), tmp_path / "both" / split)
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "both"), cache_dir=str(tmp_path / "cache"))
    assert {split: loaded[split]["text"][:] for split in loaded} == {"train": texts_of(data), "test": texts_of(data)}


def shown_by(directory: Path) -> dict[str, list[bytes]]:
    """The pixels of all images of each label."""
    found: dict[str, list[bytes]] = {}
    for sample in open_dataset(directory):
        found.setdefault(sample.label.replace("-", ""), []).append(sample.image.tobytes())
    return {label: sorted(images) for label, images in found.items()}


def test_imagefolder_takes_folders_for_classes_where_it_is_given_images_alone(
    datasets: Any, classes: Path, tmp_path: Path
) -> None:
    files = {split: str(classes / split / "*" / "*.png") for split in ("train", "val", "test")}
    loaded = datasets.load_dataset("imagefolder", data_files=files, cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 128, "val": 32, "test": 40}
    for split, rows in loaded.items():
        assert set(rows.features) == {"image", "label"}
        names = rows.features["label"].names
        assert names == [f"{number:02}" for number in range(100)]
        found: dict[str, list[bytes]] = {}
        for row in rows:
            found.setdefault(names[row["label"]], []).append(np.asarray(row["image"]).tobytes())
        assert {label: sorted(images) for label, images in found.items()} == shown_by(classes / split)


def test_imagefolder_takes_our_metadata_for_more_than_the_names_of_folders(
    datasets: Any, classes: Path, tmp_path: Path
) -> None:
    loaded = datasets.load_dataset("imagefolder", data_dir=str(classes), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "validation", "test"}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        rows, stored = loaded[split], open_dataset(classes / name)
        assert set(rows.features) == {"image", "text", "glyphs", "x", "boxes"}
        assert rows["text"][:] == [sample.label.replace("-", "") for sample in stored]
        np.testing.assert_array_equal(
            np.stack([np.asarray(row["image"]) for row in rows]), stored.batch(0, len(stored)).images
        )


@pytest.mark.parametrize("form", ["png", "png --masks", "folders", "webdataset"])
def test_datasets_reads_a_folder_without_being_told_more(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path, form: str
) -> None:
    rows = datasets.load_dataset(str(written(form)), cache_dir=str(tmp_path))["train"]
    texts = [row["text"] for row in rows["json"]] if form == "webdataset" else rows["text"][:]
    shown = zip(texts, rows["png" if form == "webdataset" else "image"], strict=True)
    if form == "folders":  # whose order is that of labels
        assert sorted(texts) == sorted(texts_of(data))
    else:
        assert texts == texts_of(data)
        for (_, image), sample in zip(shown, data, strict=True):
            np.testing.assert_array_equal(np.asarray(image), sample.image)


@pytest.mark.parametrize("form", ["png", "webdataset", "parquet"])
def test_datasets_reads_a_folder_of_splits(datasets: Any, tmp_path: Path, form: str) -> None:
    asked = ["--split", "train=7", "--split", "val=4", "--split", "a-b=3", "--len", "3", "--seed", "2"]
    assert main.run(["dataset", *asked, "--format", form, "-o", str(tmp_path / "out")]) == 0
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 7, "validation": 4, "a_b": 3}
    texts = [row["text"] for row in loaded["a_b"]["json"]] if form == "webdataset" else loaded["a_b"]["text"][:]
    assert texts == [sample.text for sample in open_dataset(tmp_path / "out" / "a-b")]


def test_datasets_finds_the_splits_of_parquet_files_by_their_names(datasets: Any, tmp_path: Path) -> None:
    """Of one split alone, and of all in one folder, as on the hub."""
    sizes, names = {"train": 7, "val": 4, "test": 3, "a-b": 2}, {"val": "validation", "a-b": "a_b"}
    asked = [word for name, size in sizes.items() for word in ("--split", f"{name}={size}")]
    assert main.run(["dataset", *asked, "--len", "3", "--format", "parquet", "-o", str(tmp_path / "out")]) == 0
    (tmp_path / "hub/data").mkdir(parents=True)
    for name, size in sizes.items():
        loaded = datasets.load_dataset(str(tmp_path / "out" / name), cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in loaded.items()} == {names.get(name, name): size}
        for path in (tmp_path / "out" / name / "data").iterdir():
            assert path.name == f"{names.get(name, name)}-00000-of-00001.parquet"
            shutil.copy(path, tmp_path / "hub/data")
    loaded = datasets.load_dataset(str(tmp_path / "hub"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {names.get(n, n): size for n, size in sizes.items()}
    assert main.run(["inspect", str(tmp_path / "out"), "--verify"]) == 0
    recipe = str(tmp_path / "out/a-b/recipe.json")
    assert main.run(["dataset", "--recipe", recipe, "-o", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/data/a_b-00000-of-00001.parquet").exists()


@pytest.mark.parametrize("form", ["npz", "npy", "idx"])
def test_datasets_says_plainly_that_it_has_no_loader(
    datasets: Any, written: Written, tmp_path: Path, form: str
) -> None:
    with pytest.raises(FileNotFoundError, match="supported"):
        datasets.load_dataset(str(written(form)), cache_dir=str(tmp_path))


def test_datasets_reads_webdataset_shards(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    shards = sorted(map(str, written("webdataset").glob("*.tar")))
    loaded = datasets.load_dataset("webdataset", data_files={"train": shards}, cache_dir=str(tmp_path))["train"]
    assert [row["text"] for row in loaded["json"]] == texts_of(data)
    for row, sample in zip(loaded, data, strict=True):
        np.testing.assert_array_equal(np.asarray(row["png"]), sample.image)
        assert row["json"]["glyphs"] == sample.glyphs.tolist()


def test_datasets_reads_masks_in_webdataset_shards(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    shards = sorted(map(str, written("webdataset --masks").glob("*.tar")))
    loaded = datasets.load_dataset("webdataset", data_files={"train": shards}, cache_dir=str(tmp_path))["train"]
    assert [row["text"] for row in loaded["json"]] == texts_of(data)
    for row, sample in zip(loaded, data_with_masks(data), strict=True):
        np.testing.assert_array_equal(np.asarray(row["png"]), sample.image)
        np.testing.assert_array_equal(np.asarray(row["mask.png"]), sample.mask)


# webdataset and tarfile


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves the shards open
def test_webdataset_reads_the_shards(written: Written, data: SequenceDataset) -> None:
    import webdataset

    shards = sorted(map(str, written("webdataset").glob("*.tar")))
    assert len(shards) == 3
    rows = list(webdataset.WebDataset(shards, shardshuffle=False).decode("l8"))
    assert [row["__key__"] for row in rows] == [f"{number:08d}" for number in range(len(data))]
    for row, sample in zip(rows, data, strict=True):
        np.testing.assert_array_equal(row["png"], sample.image)
        assert row["json"] == {
            "text": sample.label.replace("-", ""),
            "glyphs": sample.glyphs.tolist(),
            "x": sample.x.tolist(),
            "boxes": sample.boxes.tolist(),
            "gaps": (np.diff(sample.x) - 28).tolist(),
        }
    gc.collect()  # while the warning is still ignored


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves the shards open
def test_webdataset_reads_masks(written: Written, data: SequenceDataset) -> None:
    import webdataset

    shards = sorted(map(str, written("webdataset --masks").glob("*.tar")))
    rows = webdataset.WebDataset(shards, shardshuffle=False).decode("l8").to_tuple("png", "mask.png", "json")
    count = 0
    for (image, mask, row), sample in zip(rows, data_with_masks(data), strict=True):
        np.testing.assert_array_equal(image, sample.image)
        np.testing.assert_array_equal(mask, sample.mask)
        assert row["text"] == sample.label.replace("-", "")
        count += 1
    assert count == len(data)
    gc.collect()  # while the warning is still ignored


def test_tarfile_reads_the_shards(written: Written, data: SequenceDataset) -> None:
    number = 0
    for path in sorted(written("webdataset").glob("*.tar")):
        with tarfile.open(path) as shard:
            members = shard.getmembers()
            assert shard.pax_headers == {}
            for image, row in zip(members[::2], members[1::2], strict=True):
                assert (image.name, row.name) == (f"{number:08d}.png", f"{number:08d}.json")
                for member in (image, row):
                    assert member.isreg()
                    assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                content, text = shard.extractfile(image), shard.extractfile(row)
                assert content is not None
                assert text is not None
                with Image.open(io.BytesIO(content.read())) as picture:
                    np.testing.assert_array_equal(np.asarray(picture), data[number].image)
                assert json.load(text)["text"] == data[number].label.replace("-", "")
                number += 1
    assert number == len(data)


# idx2numpy

TYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]


def some(kind: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An array with the smallest and the largest value of its type, and others."""
    values = np.random.default_rng(3).integers(-100, 100, shape).astype(kind)
    limits = np.finfo(kind) if kind.startswith("float") else np.iinfo(kind)
    values.flat[0], values.flat[-1] = limits.min, limits.max
    return values


@pytest.mark.parametrize("shape", [(2,), (1, 5), (3, 4), (2, 3, 4), (2, 1, 3, 2)], ids=str)
@pytest.mark.parametrize("kind", TYPES)
def test_idx2numpy_reads_what_we_write_and_we_read_what_it_writes(kind: str, shape: tuple[int, ...]) -> None:
    import idx2numpy

    array = some(kind, shape)
    ours = idx.encode(array)
    theirs = idx2numpy.convert_to_string(array)
    assert ours == theirs
    read = idx2numpy.convert_from_string(ours)
    assert read.dtype.newbyteorder("=") == array.dtype
    np.testing.assert_array_equal(read, array)
    again = idx.read(theirs)
    assert again.dtype.newbyteorder("=") == array.dtype
    np.testing.assert_array_equal(again, array)


def test_idx2numpy_reads_a_dataset(written: Written, data: SequenceDataset) -> None:
    import idx2numpy

    names = ("images-idx3-ubyte.gz", "labels-idx2-ubyte.gz", "lengths-idx1-ubyte.gz")
    arrays = []
    for name in names:
        with gzip.open(written("idx") / name) as file:
            arrays.append(idx2numpy.convert_from_string(file.read()))
    images, labels, lengths = arrays
    batch = data.batch(0, len(data))
    np.testing.assert_array_equal(images, batch.images)
    np.testing.assert_array_equal(labels, batch.digits)
    np.testing.assert_array_equal(lengths, batch.lengths)


def test_idx2numpy_reads_files_that_are_called_as_mnist_s_own_are(tmp_path: Path) -> None:
    import idx2numpy

    data = SequenceDataset(length=1, seed=5, samples=50)
    asked = ["dataset", "-n", "50", "--len", "1", "--seed", "5", "--format", "idx"]
    assert main.run([*asked, "--names", "mnist", "-o", str(tmp_path / "raw")]) == 0
    images = idx2numpy.convert_from_file(str(tmp_path / "raw/train-images-idx3-ubyte"))
    labels = idx2numpy.convert_from_file(str(tmp_path / "raw/train-labels-idx1-ubyte"))
    np.testing.assert_array_equal(images, data.batch(0, 50).images)
    np.testing.assert_array_equal(labels, data.batch(0, 50).digits[:, 0])


def test_pytorch_meta_reads_classes_by_its_own_calls(tmp_path: Path) -> None:
    """It needs an old PyTorch; these are the calls of its DoubleMNIST, one after the other."""
    import h5py

    asked = ["dataset", "--len", "2", "--split", "train=200", "--split", "val=60", "--split-by", "label"]
    assert main.run([*asked, "--seed", "4", "--format", "torchmeta", "-o", str(tmp_path)]) == 0
    seen = []
    for split in ("train", "val"):
        folder = tmp_path / split
        labels = json.loads((folder / f"{split}_labels.json").read_text())
        seen.append({*labels})
        with h5py.File(folder / f"{split}_data.hdf5", "r") as file:
            data = file["datasets"]
            assert {*data} == {*labels}
            stored = open_dataset(folder)
            texts = [sample.text for sample in stored]
            for label in labels[:5]:
                assert len(data[label]) == texts.count(label)
                image = Image.open(io.BytesIO(data[label][0])).convert("RGB")
                first = stored[texts.index(label)]
                np.testing.assert_array_equal(np.asarray(image)[:, :, 0], first.image)
    assert not seen[0] & seen[1]


def test_numpy_maps_the_files_of_npy(written: Written, data: SequenceDataset) -> None:
    batch = data.batch(0, len(data))
    for name, values in {"images": batch.images, "labels": batch.digits, "boxes": batch.boxes}.items():
        array = np.load(written("npy") / f"{name}.npy", mmap_mode="r")
        assert isinstance(array, np.memmap)
        np.testing.assert_array_equal(array, values)


def test_idx2numpy_reads_masks(written: Written, data: SequenceDataset) -> None:
    import idx2numpy

    with gzip.open(written("idx --masks") / "masks-idx3-ubyte.gz") as file:
        masks = idx2numpy.convert_from_string(file.read())
    np.testing.assert_array_equal(masks, data_with_masks(data).batch(0, len(data)).masks)


# NumPy


def test_numpy_reads_an_npz_dataset(written: Written, data: SequenceDataset) -> None:
    batch = data.batch(0, len(data))
    with np.load(written("npz") / "dataset.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["images"], batch.images)
        np.testing.assert_array_equal(arrays["labels"], batch.digits)
        np.testing.assert_array_equal(arrays["lengths"], batch.lengths)
        np.testing.assert_array_equal(arrays["glyphs"], batch.glyphs)
        np.testing.assert_array_equal(arrays["x"], batch.x)


# Croissant


@pytest.mark.filterwarnings("ignore")  # mlcroissant and its rdflib have some
@pytest.mark.parametrize("form", ["png", "folders", "webdataset", "npz", "npy", "idx"])
def test_mlcroissant_finds_it_valid_and_reads_records(written: Written, data: SequenceDataset, form: str) -> None:
    import mlcroissant

    loaded = mlcroissant.Dataset(str(written(form) / "croissant.json"))
    assert not loaded.metadata.issues.errors
    if form not in ("png", "folders"):
        assert bool(loaded.metadata.record_sets) == (form == "webdataset")
        return
    rows = list(loaded.records("samples"))
    assert [row["samples/label"].decode() for row in rows] == [sample.label for sample in data]
    for row, sample in zip(rows, data, strict=True):
        np.testing.assert_array_equal(np.asarray(row["samples/image"])[..., 0], sample.image)


READ_RECORDS = """
import json, sys, mlcroissant, numpy
for directory in sys.argv[1:]:
    loaded = mlcroissant.Dataset(f"{directory}/croissant.json")
    images = {row["samples/key"]: numpy.asarray(row["samples/image"]).sum() for row in loaded.records("samples")}
    texts = {row["annotations/key"]: row["annotations/row"] for row in loaded.records("annotations")}
    print([[key.decode(), int(images[key]), json.loads(texts[key])["text"]] for key in sorted(images)])
"""


@pytest.mark.parametrize("masks", [(), ("--masks",)])
def test_mlcroissant_reads_records_of_tar_files_and_mixes_up_no_datasets(tmp_path: Path, masks: Sequence[str]) -> None:
    """Also of two datasets whose files have the same names, in the cache of one user."""
    for seed in ("1", "2"):
        asked = ["-n", "9", "--len", "4", "--seed", seed, "--format", "webdataset", "--shard-size", "5", *masks]
        assert main.run(["dataset", *asked, "-o", str(tmp_path / seed)]) == 0
    command = [sys.executable, "-W", "ignore", "-c", READ_RECORDS, str(tmp_path / "1"), str(tmp_path / "2")]
    environment = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    for line, seed in zip(done.stdout.splitlines(), "12", strict=True):
        rows = enumerate(open_dataset(tmp_path / seed))
        assert json.loads(line.replace("'", '"')) == [[f"{n:08d}", int(s.image.sum()), s.text] for n, s in rows]


# Parquet


def test_datasets_reads_parquet_as_it_is(
    datasets: Any, written: Written, data: SequenceDataset, tmp_path: Path
) -> None:
    loaded = datasets.load_dataset(str(written("parquet --masks")), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    features = {name: str(feature) for name, feature in rows.features.items()}
    assert features["image"] == features["mask"] == str(datasets.Image())
    assert features["boxes"] == str(datasets.Sequence(datasets.Sequence(datasets.Value("int32"))))
    assert rows["text"][:] == texts_of(data)
    for row, sample in zip(rows, data_with_masks(data), strict=True):
        np.testing.assert_array_equal(np.asarray(row["image"]), sample.image)
        np.testing.assert_array_equal(np.asarray(row["mask"]), sample.mask)
        assert (row["glyphs"], row["x"]) == (sample.glyphs.tolist(), sample.x.tolist())
        assert row["boxes"] == sample.boxes.tolist()


def test_duckdb_and_polars_read_parquet(written: Written, data: SequenceDataset) -> None:
    import duckdb
    import polars as pl

    files = str(written("parquet") / "data/*.parquet")
    rows = duckdb.sql(f"SELECT text FROM read_parquet('{files}') ORDER BY image.path").fetchall()
    assert [text for (text,) in rows] == texts_of(data)
    frame = pl.read_parquet(files)
    assert frame["text"].to_list() == texts_of(data)
    assert frame["x"].to_list() == [sample.x.tolist() for sample in data]


# lmdb


def test_lmdb_reads_the_environment_and_writes_to_it(written: Written, data: SequenceDataset, tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    assert [path.name for path in written("lmdb").glob("*.mdb")] == ["data.mdb"]
    with lmdb.open(str(written("lmdb")), readonly=True, lock=False) as env, env.begin() as found:
        assert int(found.get(b"num-samples")) == len(data)
        for number, sample in enumerate(data, 1):
            assert found.get(b"label-%09d" % number) == sample.text.encode()
            with Image.open(io.BytesIO(found.get(b"image-%09d" % number))) as image:
                np.testing.assert_array_equal(np.asarray(image), sample.image)
        content = dict(found.cursor())
        assert list(content) == sorted(content)
        assert len(content) == env.stat()["entries"] == 3 * len(data) + 1
        assert list(found.cursor().iterprev(values=False)) == sorted(content, reverse=True)
    shutil.copy(written("lmdb") / "data.mdb", tmp_path)
    with lmdb.open(str(tmp_path), map_size=1 << 28) as env:
        with env.begin(write=True) as changed:
            for key in list(content)[::3]:
                changed.delete(key)
                del content[key]
            for key in list(content)[::5]:
                content[key] = bytes(3000)
                changed.put(key, content[key])
        (tmp_path / "compact").mkdir()
        env.copy(str(tmp_path / "compact"), compact=True)
    with lmdb.open(str(tmp_path / "compact"), readonly=True, lock=False) as env, env.begin() as found:
        assert dict(found.cursor()) == content


# tfrecord and protobuf, for TensorFlow


def test_tfrecord_reads_examples(written: Written, data: SequenceDataset) -> None:
    tfrecord = pytest.importorskip("tfrecord")
    google_crc32c = pytest.importorskip("google_crc32c")
    kinds = {"image": "byte", "text": "byte", **dict.fromkeys(("glyphs", "x", "boxes", "gaps"), "int")}
    rows = []
    for path in sorted(written("tfrecord").glob("*.tfrecord")):
        rows += tfrecord.tfrecord_loader(str(path), None, kinds)
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        crc = google_crc32c.value(content[12 : 12 + size])
        assert content[12 + size :][:4] == (((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32)).to_bytes(4, "little")
    for row, sample in zip(rows, data, strict=True):
        with Image.open(io.BytesIO(row["image"])) as image:
            np.testing.assert_array_equal(np.asarray(image), sample.image)
        assert row["text"] == sample.text.encode()
        assert (row["glyphs"] == sample.glyphs).all()
        assert (row["boxes"] == sample.boxes.ravel()).all()
        assert (row["gaps"] == np.diff(sample.x) - 28).all()
