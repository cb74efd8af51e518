"""One more runner is one function: here threads, which keep the whole contract and build a dataset."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from asked import recipe_for
from faulty import difference, tree
from runner_suite import RunnerSuite

from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import OutputError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.execution.runner import Failure, Stop, guarded
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice
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


class Afar:
    """A runner on another machine, which has `store` where this one has the store of the dataset."""

    def __init__(self, store: MemoryStore, probed: bool) -> None:
        self.store, self.probed = store, probed

    def requiring(self, probe: Any) -> Any:
        if self.probed:
            probe.func(self.store, *probe.args[1:])
        return self

    def __call__(self, work: Any, tasks: Iterable[Any], stop: Stop, /) -> Generator[tuple[Any, Any | Failure]]:
        job = work.args[0]
        return serial.run(partial(work.func, replace(job, store=self.store)), tasks, stop)


def afar_spec(name: str) -> Spec:
    return Spec(recipe=recipe_for(seed=2, length=2), samples=30, format=name, compression="fast", shard_size=10)


def test_who_does_not_see_the_store_is_found_out_before_anything_changes() -> None:
    store = MemoryStore()
    build(store, afar_spec("png"), Source("train"))
    before = dict(store.files)
    with pytest.raises(OutputError, match=r"^does not see what is in memory; give a directory that all machines share"):
        build(store, afar_spec("webdataset"), Source("train"), run=Afar(MemoryStore(), probed=True), overwrite=True)
    assert store.files == before
    build(store, afar_spec("webdataset"), Source("train"), run=Afar(store, probed=True), overwrite=True)
    assert list(verify(store)) == []


def test_who_has_other_glyphs_at_the_same_path_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(Afar):
        def requiring(self, probe: Any) -> Any:
            source = probe.args[2]
            return super().requiring(
                partial(probe.func, *probe.args[:2], replace(source, name="test"), *probe.args[3:])
            )

    store = MemoryStore()
    with pytest.raises(OutputError, match=r"^has other glyphs or another background at the same path; share these"):
        build(store, afar_spec("png"), Source("train"), run=Elsewhere(store, probed=True))


@pytest.mark.parametrize("name", ["png", "webdataset", "idx", "npz", "folders"])
def test_shards_that_do_not_arrive_fail_each(name: str) -> None:
    """A worker may lose sight of the store after it was asked."""
    store = MemoryStore()
    reason = "No such file" if name == "npz" else "a worker has stored it where this machine does not see it"
    with pytest.raises(OutputError, match=rf"^3 of 3 shards failed, .*{reason}"):
        build(store, afar_spec(name), Source("train"), run=Afar(MemoryStore(), probed=False))
    assert "manifest.json" not in store.files
    build(store, afar_spec(name), Source("train"), run=Afar(store, probed=True))
    assert list(verify(store)) == []


def test_files_beside_images_are_not_counted_for_images() -> None:
    """Tesseract's are in the folders of the images: shards were not seen then, and slices were read again."""
    spec, store, afar = replace(afar_spec("png"), annotations=("tesseract",)), MemoryStore(), MemoryStore()
    for number in range(2):
        build(store, spec, Source("train"), run=serial.run, part=Slice(number, 2))
    assert build(store, spec, Source("train"), run=serial.run).vouched == spec.samples
    build(afar, spec, Source("train"), run=Afar(afar, probed=True))
    assert afar.files == store.files
