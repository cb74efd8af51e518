"""Owns the measurement of many shards: plan, journal, manifest, resume and verification, with shards that are empty.

    python tests/benchmarks/scale.py SHARDS DIRECTORY

Every step is a process of its own, and prints its time and the most memory that it had.
"""

import resource
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.execution import serial
from mnist_seq_cli.formats.format import Checksums, File, Format, Opener
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Shard, Slice
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.samples.stored import StoredDataset
from mnist_seq_cli.storage.local_store import LocalStore

SLICES, SHARD_SIZE = 10, 100


class Empty(Format):
    """Shards of one empty file; or of none, which leaves the file system out."""

    NAME = "empty"

    def __init__(self, has_files: bool) -> None:
        self.has_files = has_files

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        return (f"data/{spec.plan.digits.shard(shard.number)}.empty",) if self.has_files else ()

    def write(self, spec: Spec, shard: Shard, batches: Iterable[Batch]) -> Generator[File, None, Checksums | None]:
        for name in self.shard_names(spec, shard):
            yield File(name, b"")
        return None

    def read(self, spec: Spec, shard: Shard, open_file: Opener) -> Iterator[Batch]:
        raise NotImplementedError


def step(name: str, shards: int, directory: Path) -> None:
    from mnist_seq_cli.mnist import bank

    source = Source("train")
    recipe = resolve(Request(length=2, seed=1), bank.load(source).facts)
    spec = Spec(recipe=recipe, samples=shards * SHARD_SIZE, format="empty", compression="fast", shard_size=SHARD_SIZE)
    options: dict[str, Any] = {"run": serial.run}
    if name.startswith("slice"):
        dataset.build(directory, spec, source, part=Slice(int(name.split()[1]), SLICES), **options)
    elif name == "verify":
        assert list(verify(LocalStore(directory))) == []
    elif name == "open":
        assert len(StoredDataset(directory)) == spec.samples
    else:
        dataset.build(directory, spec, source, **options)


def main() -> None:
    shards, directory, has_files = int(sys.argv[1]), Path(sys.argv[2]), "none" not in sys.argv
    formats.get.cache_clear()
    found = Empty(has_files)
    formats.get = lambda name: found  # type: ignore[assignment,misc]
    if len(sys.argv) > 4:
        started = perf_counter()
        step(sys.argv[4], shards, directory)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{sys.argv[4]:<12} {perf_counter() - started:8.1f} s {peak:8.0f} MiB", flush=True)
        return
    kind = "files" if has_files else "none"
    for name in (*(f"slice {number}" for number in range(SLICES)), "complete", "check", "verify", "open"):
        subprocess.run([sys.executable, __file__, str(shards), str(directory), kind, name], check=True)
    print(f"manifest {(directory / 'manifest.json').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
