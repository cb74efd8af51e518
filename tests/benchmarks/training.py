"""Prints what a sample costs on its way into training: made from a recipe, and read from disk in every format.

    python tests/benchmarks/training.py [--samples 100000]

Every figure is the least of some runs, on a memory file system. Loaders of PyTorch are measured where it is installed.
Run it on an idle machine.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from forms import FORMATS

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.formats import option

BUDGETS = dict.fromkeys(FORMATS, "≤ 90") | dict.fromkeys(("npz", "npy", "idx"), "≤ 15") | {"torchmeta": ""}
RECIPES: dict[str, dict[str, Any]] = {
    "touching glyphs": {},
    "random gaps": {"max_gap": 8},
    "slant": {"slant": (-10, 10)},
}


def least(action: Callable[[], object], repeats: int = 7) -> float:
    """Return the least time of some runs, in µs."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1e6


def each(data: Any, requests: Sequence[Any]) -> float:
    """Return the time of a sample, in µs, where so many are asked for at a time."""
    return least(lambda: [data[request] for request in requests]) / sum(map(np.size, requests))


def table(title: str, *columns: str) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def recipes() -> None:
    table("Made from a recipe, µs a sample", "of 60,000, shuffled", "alone (≤ 120)", "64 at once (≤ 12)", "512 (≤ 4)")
    order = np.random.default_rng(1).permutation(60_000)
    for name, options in RECIPES.items():
        data = SequenceDataset(length=4, seed=1, **options)
        sizes = (order[:64].tolist(), order[:512].reshape(8, 64), order[:4096].reshape(8, 512))
        row(name, *(f"{each(data, requests):.1f}" for requests in sizes))


def stored(scratch: Path, samples: int) -> None:
    columns = ("first one, ms", "alone: in order", "shuffled", "64 at once: in order", "shuffled", "budget")
    table(f"Read from disk, {samples:,} samples, µs a sample", "format", *columns)
    order = np.random.default_rng(1).permutation(samples)
    for name in FORMATS:
        data = open_dataset(scratch / name)
        first = least(lambda data=data: data[int(order[0])], 1) / 1e3
        data[order[:4096]]  # which indexes most shards
        run = np.arange(512)
        requests = (run.tolist(), order[:512].tolist(), run.reshape(8, 64), order[:1024].reshape(16, 64))
        row(name, f"{first:.1f}", *(f"{each(data, some):.1f}" for some in requests), BUDGETS.get(name, ""))


class Arithmetic:
    """Samples that take as long as those of a recipe and are nothing: what a loader gains at most."""

    def __init__(self, samples: int, took: float) -> None:
        self._samples, self._took = samples, took * 1e-6

    def __len__(self) -> int:
        return self._samples

    def __getitems__(self, indices: Sequence[int]) -> Sequence[int]:
        end = time.thread_time() + len(indices) * self._took
        factor = np.random.default_rng(1).random((60, 60))
        while time.thread_time() < end:
            factor @ factor  # without the lock of the interpreter, as most of what makes a strip
        return indices


def loaders(scratch: Path, samples: int) -> None:
    try:
        import torch
        from torch.utils.data import DataLoader

        from mnist_seq_cli.torch import collate
    except ImportError:
        print("\nPyTorch is not installed: its loaders are left out")
        return
    torch.set_num_threads(1)  # as workers have
    two: dict[str, Any] = {"num_workers": 2, "prefetch_factor": 4}
    ways: dict[str, dict[str, Any]] = {
        "no workers": {},
        "2, fork": two | {"multiprocessing_context": "fork"},
        "2, fork, persistent": two | {"multiprocessing_context": "fork", "persistent_workers": True},
        "2, spawn, persistent": two | {"multiprocessing_context": "spawn", "persistent_workers": True},
    }
    table("DataLoader of batches of 64, shuffled, µs a sample; with workers ≥ 1.5 × as fast", "samples", *ways)
    slanted = SequenceDataset(length=4, seed=1, samples=samples, slant=(-10, 10), rotate=(-10, 10))
    alone = 0.0
    for name, data, collated in (
        ("png", open_dataset(scratch / "png")[:samples], collate),
        ("slant, rotation", slanted, collate),
        ("arithmetic alone, as long", Arithmetic, len),
    ):
        data = data(samples, alone) if data is Arithmetic else data
        loads = {way: DataLoader(data, 64, shuffle=True, collate_fn=collated, **ways[way]) for way in ways}
        taken = dict.fromkeys(ways, float("inf"))
        for _ in range(5):  # turn by turn, since the machine is slower at times
            for way, loader in loads.items():
                taken[way] = min(taken[way], least(lambda loader=loader: sum(1 for _ in loader), 1) / samples)
        alone = taken["no workers"]
        row(name, *(f"{value:.1f} ({alone / value:.2f} ×)" for value in taken.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    samples = parser.parse_args().samples
    recipes()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        scratch = Path(directory)
        for name in FORMATS:
            asked = ["dataset", "-n", str(samples), "--len", "4", "--max", "8", "--seed", "1", *option(name).split()]
            command = [sys.executable, "-m", "mnist_seq_cli", *asked, "-o", str(scratch / name)]
            subprocess.run(command, check=True, capture_output=True)
        stored(scratch, samples)
        loaders(scratch, min(samples, 20_000))


if __name__ == "__main__":
    main()
