"""Sequences that are annotated as numbers and their sum."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import form, parameters

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.formats import FORMAT_NAMES

Run = Callable[..., Any]


def columns(data: Any, *names: str) -> list[list[Any]]:
    """Return columns of all samples."""
    parts = list(data.columns())
    return [[value for part in parts for value in part[name]] for name in names]


@pytest.mark.parametrize("name", parameters(FORMAT_NAMES))
def test_every_format_gives_them(name: str, mnistseq: Run, tmp_path: Path) -> None:
    options = ["--len", "2:1,6:1", "--operands", "2", "-n", "50", "--max", "3", "--seed", "1"]
    done = mnistseq("dataset", *options, *form(name), "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert mnistseq("inspect", tmp_path / "out", "--verify", "--regenerate", 1).code == 0
    made, data = (
        SequenceDataset(length="2:1,6:1", operands=2, max_gap=3, seed=1, samples=50),
        open_dataset(tmp_path / "out"),
    )
    texts, numbers, sums = columns(data, "text", "operands", "sum")
    assert [texts, numbers, sums] == columns(made, "text", "operands", "sum")
    assert set(map(len, texts)) == {2, 6}
    assert numbers == [[int(text[: len(text) // 2]), int(text[len(text) // 2 :])] for text in texts]
    assert sums == list(map(sum, numbers))
    assert data.batch(0, 50).operands().tolist() == numbers
    assert [list(sample.operands()) for sample in data] == numbers


def test_rows_of_tar_files_have_them(mnistseq: Run, tmp_path: Path) -> None:
    options = ["--len", "3", "--operands", "3", "-n", "5", "--format", "webdataset"]
    assert mnistseq("dataset", *options, "-o", tmp_path / "out").code == 0
    with tarfile.open(tmp_path / "out/00000.tar") as tar:
        rows = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]  # type: ignore[arg-type]
    for row in rows:
        assert row["operands"] == list(map(int, row["text"]))
        assert row["sum"] == sum(row["operands"])


@pytest.mark.parametrize("name", ["npz", "npy"])
def test_arrays_have_them(name: str, mnistseq: Run, tmp_path: Path) -> None:
    options = ["--len", "2:1,6:1", "--operands", "2", "-n", "50", "--shard-size", "20", "--seed", "1", *form(name)]
    assert mnistseq("dataset", *options, "--masks", "-o", tmp_path).code == 0
    if name == "npz":
        found: Any = np.load(tmp_path / "dataset.npz")
    else:
        found = {path.stem: np.load(path, mmap_mode="r") for path in tmp_path.glob("*.npy")}
    texts = open_dataset(tmp_path).batch(0, 50).texts
    assert found["operands"].tolist() == [[int(text[: len(text) // 2]), int(text[len(text) // 2 :])] for text in texts]
    assert found["sum"].tolist() == found["operands"].sum(axis=1).tolist()
    assert "operands" not in open_dataset(tmp_path).batch(0, 50).sampled


@pytest.mark.parametrize("name", parameters(["parquet"]))
def test_long_numbers_keep_all_their_digits(name: str, mnistseq: Run, tmp_path: Path) -> None:
    Path(tmp_path / "list.txt").write_text("9" * 36 + "\n")
    done = mnistseq(
        "dataset", "--labels", tmp_path / "list.txt", "--operands", "2", *form(name), "-o", tmp_path / "out"
    )
    assert done.code == 0, done.err
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out/data").select(["operands", "sum"])
    assert table.to_pylist() == [{"operands": [10**18 - 1] * 2, "sum": 2 * 10**18 - 2}]


@pytest.mark.parametrize(
    ("options", "size", "count"),
    [
        (["--len", "3", "--operands", "2"], 3, 2),
        (["--len", "2:1,3:1", "--operands", "2"], 3, 2),
        (["--pattern", "[0-9]{2,4}", "--operands", "2"], 3, 2),
        (["--len", "38", "--operands", "2"], 38, 2),
    ],
)
def test_sequences_that_are_no_such_numbers_are_refused(
    options: list[str], size: int, count: int, mnistseq: Run, tmp_path: Path
) -> None:
    done = mnistseq("dataset", *options, "-n", "5", "-o", tmp_path / "out")
    message = f"{size} digits are not {count} numbers of 1 to 18 digits each; --len {count}, or a multiple of that"
    assert done == (2, "", f"mnistseq: {message}\n")


def test_any_sample_can_be_taken_for_numbers() -> None:
    data = SequenceDataset(length=4, seed=7)
    assert data[0].operands(1) == (int(data[0].text),)
    assert data[0].operands(4) == tuple(data[0].digits.tolist())
    assert np.array_equal(data.batch(0, 9).operands(4), data.batch(0, 9).digits)
    for count in (0, 3):
        with pytest.raises(RequestError, match=f"4 digits are not {count} numbers"):
            data[0].operands(count)
        with pytest.raises(RequestError, match=f"4 digits are not {count} numbers"):
            data.batch(0, 9).operands(count)
