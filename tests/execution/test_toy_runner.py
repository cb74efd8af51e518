"""One more runner is one function: here threads, which keep the whole contract and build a dataset."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from asked import recipe_for
from faulty import difference, tree
from runner_suite import RunnerSuite

from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Stop, guarded
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.memory import MemoryStore


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


@pytest.mark.parametrize("name", ["png", "webdataset", "idx"])
def test_a_dataset_is_built_and_verified_by_it(name: str) -> None:
    recipe = recipe_for(seed=2, length=2)
    spec = Spec(recipe=recipe, samples=30, format=name, compression="fast", shard_size=4)
    threaded, serially = MemoryStore(), MemoryStore()
    build(threaded, spec, Source("train"), run=run_on_threads)
    build(serially, spec, Source("train"), run=serial.run)
    assert threaded.files == serially.files
    assert list(verify(threaded, run=run_on_threads)) == []


def test_threads_do_not_get_in_the_way_of_each_other_in_a_directory(tmp_path: Path) -> None:
    recipe = recipe_for(seed=2, length=2)
    spec = Spec(recipe=recipe, samples=60, format="folders", compression="fast", shard_size=4)
    build(tmp_path / "threaded", spec, Source("train"), run=run_on_threads)
    build(tmp_path / "serial", spec, Source("train"), run=serial.run)
    assert difference(tree(tmp_path / "threaded"), tree(tmp_path / "serial")) == []
