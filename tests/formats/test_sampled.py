"""What was sampled for a digit or a strip is given back by every format, and is refused where it is nothing of that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import form, parameters

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats import FORMAT_NAMES
from mnist_seq_cli.samples.recipe_samples import RecipeSamples

Run = Callable[..., Any]
OPTIONS: dict[str, Any] = {
    "length": "1-4",
    "min_gap": -3,
    "max_gap": 6,
    "slant": "-10-10",
    "rotate": "-5-5",
    "scale": "80-120",
    "stroke": "-1-1",
    "contrast": "50-90",
    "writer": "same",
    "seed": 7,
}
ASKED = [
    *("dataset", "-n", "23", "--shard-size", "9", "--len", "1-4", "--min", "-3", "--max", "6", "--slant", "-10-10"),
    *("--rotate", "-5-5", "--scale", "80-120", "--stroke", "-1-1", "--contrast", "50-90", "--writer", "same"),
    *("--seed", "7"),
]
NAMES = ["gaps", "slant", "rotate", "scale", "stroke", "contrast", "writer"]


def columns(data: RecipeSamples) -> dict[str, list[Any]]:
    parts = list(data.columns())
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


@pytest.mark.parametrize("name", parameters(FORMAT_NAMES))
def test_it_is_read_again(name: str, mnistseq: Run, tmp_path: Path) -> None:
    done = mnistseq(*ASKED, *form(name), "-o", tmp_path / "out")
    assert done.code == 0, done.err
    data, made = open_dataset(tmp_path / "out"), SequenceDataset(**OPTIONS, samples=23)
    for rows in (data.batch(0, 23), data.batch([22, 3, 3, 9])):
        expected = made.batch(np.asarray(rows.samples))
        assert [*rows.sampled] == [*expected.sampled] == NAMES
        for each, values in expected.sampled.items():
            found = rows.sampled[each]
            assert found.shape == values.shape
            written = np.arange(values.shape[-1]) < (rows.lengths - (each == "gaps"))[:, None]
            is_same = found == values
            assert (is_same if values.ndim == 1 else is_same | ~written).all()
    found, expected_columns = columns(data), columns(made)
    assert [*found] == [*expected_columns]
    del found["image"], expected_columns["image"]
    assert found == expected_columns


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slant", [1.5]),
        ("slant", "1"),
        ("rotate", [None] * 4),
        ("scale", [1e999] * 4),
        ("scale", [float("nan")] * 4),
        ("stroke", [0.5] * 4),
        ("contrast", [50]),
        ("writer", "7"),
        ("gaps", [1]),
    ],
)
def test_what_cannot_be_is_told(name: str, value: Any, mnistseq: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert mnistseq(*ASKED, "-o", out).code == 0
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    number = next(number for number, row in enumerate(lines) if len(row["text"]) == 4)
    lines[number][name] = value
    (out / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    with pytest.raises(FormatError, match=r"metadata\.jsonl has values that do not fit its text"):
        open_dataset(out)[number]
