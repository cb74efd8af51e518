"""Datasets can be in object stores; all else is on this machine, and refused before anything is made."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_seq_cli import open_dataset
from mnist_seq_cli.errors import RequestError


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("dataset", "-n", "2", "--len", "2", "-o", "ftp://bucket/out"), "write to"),
        (("dataset", "--split", "train=2", "--len", "2", "-o", "ftp://bucket/out"), "write to"),
        (("dataset", "-n", "2", "--len", "2", "--recipe", "ftp://bucket/recipe.json", "-o", "out"), "read"),
        (("dataset", "--labels", "s3://bucket/labels", "-o", "out"), "read"),
        (("generate", "1-2", "-o", "s3://bucket/x.png"), "write to"),
        (("inspect", "ftp://bucket/out"), "read"),
        (("inspect", ".", "--against", "ftp://bucket/out"), "read"),
        (("inspect", ".", "--html", "s3://bucket/x.html"), "write to"),
        (("inspect", ".", "--sheet", "s3://bucket/x.png"), "write to"),
        (("decode", "ftp://bucket/x.png"), "read"),
        (("decode", "s3://bucket/out", "--repair-labels"), "repair"),
        (("decode", "x", "-o", "s3://bucket/rows"), "write to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_location_that_is_elsewhere_is_refused(
    arguments: tuple[str, ...],
    action: str,
    mnistseq: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = mnistseq(*arguments)
    assert (done.code, done.out) == (2, "")
    (location,) = [word for word in arguments if "://" in word]
    reason = {"s3": "datasets alone can be in an object store", "ftp": "there is no store for ftp://"}
    problem = f"cannot {action} {location}: {reason[location.partition(':')[0]]}"
    assert done.err == f"mnistseq: {problem}; give a path on this machine\n"
    assert list(tmp_path.iterdir()) == []


def test_nor_is_there_a_dataset() -> None:
    with pytest.raises(RequestError, match="cannot read hdfs://bucket/out: there is no store for hdfs://"):
        open_dataset("hdfs://bucket/out")


@pytest.mark.parametrize("arguments", [("inspect",), ("decode",), ("dataset", "-n", "2", "--len", "2", "-o")])
def test_without_the_library_it_is_said_how_to_get_it(
    arguments: tuple[str, ...], mnistseq: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    done = mnistseq(*arguments, "gs://bucket/out")
    assert (done.code, done.out) == (2, "")
    assert done.err == "mnistseq: gs:// needs the package obstore; pip install 'mnistseq[cloud]'\n"
