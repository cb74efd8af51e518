"""Paths are on this machine: what has a scheme is refused by every command, before anything is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_seq_cli import open_dataset
from mnist_seq_cli.errors import RequestError


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("dataset", "-n", "2", "--len", "2", "-o", "s3://bucket/out"), "write to"),
        (("dataset", "--split", "train=2", "--len", "2", "-o", "s3://bucket/out"), "write to"),
        (("dataset", "-n", "2", "--len", "2", "--recipe", "s3://bucket/recipe.json", "-o", "out"), "read"),
        (("dataset", "--labels", "s3://bucket/labels", "-o", "out"), "read"),
        (("generate", "1-2", "-o", "s3://bucket/x.png"), "write to"),
        (("inspect", "s3://bucket/out"), "read"),
        (("inspect", ".", "--html", "s3://bucket/x.html"), "write to"),
        (("inspect", ".", "--sheet", "s3://bucket/x.png"), "write to"),
        (("decode", "s3://bucket/x.png"), "read"),
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
    assert done.err.startswith(f"mnistseq: cannot {action} s3://bucket/")
    assert done.err.endswith("there is no store for s3://; give a path on this machine\n")
    assert list(tmp_path.iterdir()) == []


def test_nor_is_there_a_dataset() -> None:
    with pytest.raises(RequestError, match="cannot read gs://bucket/out: there is no store for gs://"):
        open_dataset("gs://bucket/out")
