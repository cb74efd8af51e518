"""Labels with dashes are text to every reader of CSV that is told so; some take 6-1-1 for a date when they are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_seq_cli import SequenceDataset, score
from mnist_seq_cli.cli import main
from mnist_seq_cli.errors import FormatError

OPTIONS: dict[str, list[str]] = {
    "all could be dates": ["--len", "3", "--digits", "1-9"],
    "numbers": ["--len", "1"],
    "some are numbers": ["--len", "1-3"],
    "with zeros": ["--len", "4"],
}


def duckdb_labels(path: Path) -> list[Any]:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed: pip install duckdb")
    rows = duckdb.sql(f"SELECT label FROM read_csv('{path}', types={{'label': 'VARCHAR'}})").fetchall()
    return [label for (label,) in rows]


def polars_labels(path: Path) -> list[Any]:
    polars = pytest.importorskip("polars", reason="Polars is not installed: pip install polars")
    kinds = {"label": polars.String}
    labels: list[Any] = polars.read_csv(path, schema_overrides=kinds, try_parse_dates=True)["label"].to_list()
    return labels


def pandas_labels(path: Path) -> list[Any]:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    labels: list[Any] = pandas.read_csv(path, dtype={"label": str})["label"].tolist()
    return labels


def arrow_labels(path: Path) -> list[Any]:
    csv = pytest.importorskip("pyarrow.csv", reason="Arrow is not installed: pip install pyarrow")
    kinds = csv.ConvertOptions(column_types={"label": "string"})
    labels: list[Any] = csv.read_csv(path, convert_options=kinds)["label"].to_pylist()
    return labels


@pytest.mark.parametrize("read", [duckdb_labels, polars_labels, pandas_labels, arrow_labels])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_readers_that_are_told_so_take_labels_for_text(
    options: list[str], read: Callable[[Path], list[Any]], tmp_path: Path
) -> None:
    assert main.run(["dataset", "-n", "60", *options, "--seed", "1", "-o", str(tmp_path / "out")]) == 0
    written = (tmp_path / "out/labels.csv").read_text().splitlines()[1:]
    assert read(tmp_path / "out/labels.csv") == [row.split(",")[1] for row in written]


def test_predictions_in_tables_of_pandas_are_scored(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
    pytest.importorskip("pyarrow", reason="Arrow is not installed: pip install pyarrow")
    data = SequenceDataset(length=4, seed=1, samples=200)
    table = pandas.DataFrame({"image": [b"x"] * 200, "generated_text": [sample.text for sample in data]})
    shuffled = table.sample(frac=1, random_state=1)
    for kept in (shuffled, table[["generated_text"]], table.assign(file_name=[f"{row:08d}.png" for row in range(200)])):
        kept.to_parquet(tmp_path / "read.parquet")
        assert score(data, tmp_path / "read.parquet").exact == 200
    shuffled["generated_text"].to_json(tmp_path / "read.json")
    assert score(data, tmp_path / "read.json").exact == 200
    table["generated_text"].astype(float).to_frame().to_parquet(tmp_path / "read.parquet")
    assert "200 are written like 5018.0" in score(data, tmp_path / "read.parquet").problems[0]
    assert score(data, tmp_path / "read.parquet", pad_zeros=True).exact == 200
    (tmp_path / "read.parquet").write_bytes(b"PAR1, and cut off")
    with pytest.raises(FormatError, match="not a sound parquet file"):
        score(data, tmp_path / "read.parquet")
