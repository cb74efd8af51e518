"""Conversions to pandas and Hugging Face need these libraries, and say so; what they give is in tests/interop."""

import sys

import pytest

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import RequestError


@pytest.mark.parametrize(("method", "package"), [("to_pandas", "pandas"), ("to_hf", "datasets")])
def test_a_library_that_is_missing_is_named(method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RequestError) as caught:
        getattr(SequenceDataset(length=2, seed=1), method)()
    assert str(caught.value) == f"{method} needs {package}, which is not installed; pip install {package}"


def test_columns_have_what_samples_have() -> None:
    data = SequenceDataset(
        length="1-3",
        width="fit",
        max_gap=9,
        slant="-9-9",
        contrast="50-90",
        masks=True,
        seed=3,
        samples=600,
    )
    tables = list(data[5:].columns())
    assert [len(table["number"]) for table in tables] == [256, 256, 83]
    assert list(tables[0]) == [
        *("number", "image", "mask", "text", "glyphs", "x", "y", "boxes", "gaps", "slant", "contrast")
    ]
    columns = {name: [value for table in tables for value in table[name]] for name in tables[0]}
    for row, sample in enumerate(data[5:]):
        length = sample.length
        assert (columns["number"][row], columns["text"][row]) == (sample.number, sample.text)
        assert columns["image"][row].tolist() == sample.image.tolist()
        assert columns["mask"][row].tolist() == sample.mask.tolist()
        for name in ("glyphs", "x", "y", "boxes"):
            assert columns[name][row] == getattr(sample, name)[:length].tolist()
        assert (len(columns["gaps"][row]), len(columns["slant"][row])) == (length - 1, length)
        assert 50 <= columns["contrast"][row] <= 90
