"""The names of runners, on the command line."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ended import Outcome

SMALL = ("-n", "20", "--len", "2", "--seed", "1", "-o")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runner", "ray"], "--runner is 'ray'; it is processes, dask or dask://HOST:PORT"),
        (["--runner", "dask://"], "--runner is 'dask://'"),
        (["--runner", "dask://host"], "--runner is 'dask://host'"),
        (["--runner", "dask://host:1\n"], r"--runner is 'dask://host:1\n'"),
        (["--runner", "dask://h:8786", "--workers", "3"], "dask://h:8786 has workers of its own; leave --workers out"),
        (["--runner", "dask"], "Dask is not installed; pip install 'mnistseq[dask]'"),
        (["--runner", "dask", "-o", "-"], "a stream is made by one process, without --runner; give a directory"),
    ],
)
def test_what_is_no_runner_here_is_refused(
    options: list[str], message: str, mnistseq: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, stdout, stderr = mnistseq("dataset", *SMALL, "out", *options)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(rf"mnistseq: {re.escape(message)}.*\n", stderr)
    assert not Path("out").exists()
