"""One more runner is one function: here threads, which keep the whole contract and build a dataset."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from runner_suite import RunnerSuite

from mnist_seq_cli.execution.runner import Failure, Stop, guarded


def run_on_threads(
    work: Callable[[Any], Any], tasks: Iterable[Any], stop: Stop
) -> Generator[tuple[Any, Any | Failure]]:
    """Run two tasks at a time, each pair in threads."""
    source = iter(tasks)
    with ThreadPoolExecutor(2) as pool:
        while not stop and (pair := list(islice(source, 2))):
            yield from zip(pair, pool.map(lambda task: guarded(work, task), pair), strict=True)


class TestThreads(RunnerSuite):
    runner = staticmethod(run_on_threads)
    ahead = 2
