"""`to_pandas` and `to_hf` give what these libraries read from our datasets on disk, and samples that they train on."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.samples.registry import open_samples

Written = Callable[[str], Path]

pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")


@pytest.mark.parametrize("source", ["recipe", "png", "npz", "webdataset"])
def test_a_table_has_labels_and_metadata(source: str, data: SequenceDataset, written: Written) -> None:
    frame = (data if source == "recipe" else open_dataset(written(source))).to_pandas()
    rows = pandas.read_json(written("png") / "metadata.jsonl", lines=True, dtype={"text": str})
    assert list(frame.columns) == ["number", "label", *rows.columns.drop("file_name")]
    assert frame["number"].tolist() == list(range(len(data)))
    assert frame["label"].tolist() == pandas.read_csv(written("png") / "labels.csv")["label"].tolist()
    for name in ("label", "text"):
        assert pandas.api.types.is_string_dtype(frame[name].dtype)
    for name in rows.columns.drop("file_name"):
        assert frame[name].tolist() == rows[name].tolist()
    again = pandas.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert again["label"].tolist() == frame["label"].tolist()


def test_a_folder_without_labels_and_no_samples_are_tables_too(data: SequenceDataset, tmp_path: Path) -> None:
    for sample in data[:3]:
        (tmp_path / f"{sample.number}.png").write_bytes(sample._repr_png_())
    frame = open_samples(tmp_path).to_pandas()
    assert frame["file_name"].tolist() == ["0.png", "1.png", "2.png"]
    assert frame["label"].isna().all()
    assert len(data[:0].to_pandas()) == 0


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("form", ["png", "png --masks"])
def test_a_dataset_is_what_imagefolder_makes_of_our_files(
    datasets: Any, form: str, streaming: bool, data: SequenceDataset, written: Written, tmp_path: Path
) -> None:
    expected = datasets.load_dataset("imagefolder", data_dir=str(written(form)), cache_dir=str(tmp_path))["train"]
    made = SequenceDataset.from_recipe(data.recipe, samples=len(data), masks="masks" in form)
    for source in (made, open_dataset(written(form))):
        rows = source.to_hf(streaming=streaming)
        assert rows.features == expected.features
        count = 0
        for row, other in zip(rows, expected, strict=True):
            for name in ("image", "mask") if "masks" in form else ("image",):
                np.testing.assert_array_equal(np.asarray(row.pop(name)), np.asarray(other.pop(name)))
            assert row == other
            count += 1
        assert count == len(data)


def test_a_dataset_goes_on_as_datasets_do(datasets: Any, data: SequenceDataset, tmp_path: Path) -> None:
    rows = data.to_hf()
    assert isinstance(rows, datasets.Dataset)
    longer = rows.map(lambda row: {"zeros": row["text"].count("0")}).filter(lambda row: row["zeros"] > 0)
    assert longer["text"][:] == [sample.text for sample in data if "0" in sample.text]
    rows.to_parquet(tmp_path / "rows.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path))
    assert again.features == rows.features
    assert again["text"][:] == rows["text"][:]
    with pytest.raises(RequestError, match=r"^there are no samples"):
        data[:0].to_hf()


def test_what_is_sampled_has_its_type_also_where_the_first_have_none(datasets: Any, tmp_path: Path) -> None:
    data = SequenceDataset(length="1:9,2:1", max_gap=4, slant="-9-9", contrast="50-90", seed=1, samples=600)
    number = datasets.Value("int64")
    features = data.to_hf().features
    assert features["gaps"] == datasets.Features({"gaps": [number]})["gaps"]
    assert features["slant"] == datasets.Features({"slant": [datasets.Value("float64")]})["slant"]
    assert features["contrast"] == number
    later = SequenceDataset(sequences=["7"] * 300 + ["42"], max_gap=4, seed=1).to_hf()
    assert [len(gaps) for gaps in later["gaps"][:]] == [0] * 300 + [1]
    for sample in data[:2]:
        (tmp_path / f"{sample.number}.png").write_bytes(sample._repr_png_())
    rows = open_samples(tmp_path).to_hf()
    assert rows["text"][:] == [None] * 2
    assert rows.features["boxes"] == features["boxes"]
