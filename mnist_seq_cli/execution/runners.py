"""Owns the names of runners: `processes`, `dask` for a cluster here, `dask://HOST:PORT` for one that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.execution.runner import Runner, worker_count

RUNNERS = ("processes", "dask", "dask://HOST:PORT")
"""How the names of runners are written."""

_NAME = re.compile(r"processes|dask|dask://(?:[^\s/:]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")


def check_runner(name: str, workers: int | None) -> None:
    """Raise RequestError for what is no name of a runner, and for `workers` of a cluster, which has its own."""
    if not _NAME.fullmatch(name):
        raise RequestError(f"`runner` is {name!r}", hint=f"it is {', '.join(RUNNERS[:-1])} or {RUNNERS[-1]}")
    if "://" in name and workers is not None:
        raise RequestError(f"{name} has workers of its own", hint="leave `workers` out")


@contextmanager
def opened(name: str, workers: int | None, samples: int) -> Iterator[Runner | None]:
    """Yield the runner of that name for so many samples; None for processes, which `dataset.build` starts by itself.

    Raises as `check_runner` does, and as a cluster does when it is entered.
    """
    check_runner(name, workers)
    if name == "processes":
        yield None
        return
    from mnist_seq_cli.execution.cluster import Cluster

    with Cluster(name.partition("://")[2], worker_count(workers, samples)) as cluster:
        yield cluster
