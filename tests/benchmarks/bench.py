"""Prints how fast mnistseq is, as ratios: each against something that everybody can run, in the same run.

    PYTHONPATH=tests python tests/benchmarks/bench.py            about three minutes
    PYTHONPATH=tests python tests/benchmarks/bench.py --quick    the same with a tenth of the samples
    PYTHONPATH=tests python tests/benchmarks/bench.py --million  adds cost and memory at 10^6 samples

Files are written to a memory file system (/dev/shm), since a disk says more about the disk. Every figure is the median
of pairs that were run in turn, A B A B …, so that a machine whose speed drifts slows both sides. Run it on an idle one.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from asked import recipe_for

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.mnist.bank import Source, bundled_directory, load
from mnist_seq_cli.reading.exact import Reader
from mnist_seq_cli.reading.recognition import recognise

MNISTSEQ = str(Path(sys.executable).with_name("mnistseq"))
PLAIN_LOOP = 10_000
"""Strips that the plain loop makes, as a process of its own like ours; more would cost the same each."""

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Programs are compiled once, as those that were installed are."""

PairedRun = Callable[[], float]


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def paired(ours: PairedRun, theirs: PairedRun, repeats: int) -> tuple[float, float, float]:
    """Return medians of both sides, and of the ratio ours / theirs pair by pair."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def process(*command: str, cwd: Path | None = None) -> float:
    return seconds(lambda: subprocess.run(command, check=True, cwd=cwd, capture_output=True, env=ENVIRONMENT))


def heading(title: str) -> None:
    print(f"\n{title}")


def row(what: str, ours: str, against: str, theirs: str, ratio: str, budget: str = "") -> None:
    print(f"| {what} | {ours} | {against} | {theirs} | {ratio} | {budget} |", flush=True)


def table(title: str) -> None:
    heading(title)
    print("| what | mnistseq | against | that | ratio | budget |\n|---|---|---|---|---|---|")


def start_up(scratch: Path, repeats: int) -> None:
    table("Start-up (whole process)")
    for arguments, against, budget in (
        (["--help"], "import click", "≤ 2"),
        (["generate", "1-2-3", "--seed", "1"], "import numpy, click, PIL.Image", "≤ 2"),
    ):
        mine, other, ratio = paired(
            lambda arguments=arguments: process(MNISTSEQ, *arguments, cwd=scratch),
            lambda against=against: process(sys.executable, "-c", against),
            repeats,
        )
        what = f"`mnistseq {' '.join(arguments[:2])}`"
        row(what, f"{mine * 1e3:.0f} ms", f"`python -c '{against}'`", f"{other * 1e3:.0f} ms", f"{ratio:.2f} ×", budget)


def in_memory(count: int, repeats: int) -> None:
    table(f"Composing in memory ({count:,} strips of 4 digits)")
    bank = load(Source("train"))
    per, part = 1e6 / count, 10_000
    for what, budget, options in (
        ("touching glyphs", "≤ 2.5", {}),
        ("equal gaps of 8 px", "≤ 2.5", {"min_gap": 8}),
        ("random gaps of 0 to 8 px", "≤ 5", {"max_gap": 8}),
    ):
        recipe = recipe_for(seed=1, length=4, **options)
        images = compose(recipe, bank, 0, count).images
        for how, size in (("at once, on 2 threads", count), (f"{part:,} at a time, on 1 thread", part)):
            mine, other, ratio = paired(
                lambda recipe=recipe, size=size: seconds(
                    lambda: [compose(recipe, bank, start, start + size) for start in range(0, count, size)]
                ),
                lambda images=images: seconds(images.copy),
                repeats,
            )
            row(
                f"{what}, {how}", f"{mine * per:.2f} µs", "copying the bytes", f"{other * per:.2f} µs",
                f"{ratio:.2f} ×", budget if size == count else "",
            )  # fmt: skip


LOOKS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("slant ±10°, rotation ±5°, 90 to 110 %", "≤ 35 µs", {"slant": (-10, 10), "rotate": (-5, 5), "scale": (90, 110)}),
    ("slant ±15°, rotation ±15°, 80 to 120 %", "", {"slant": (-15, 15), "rotate": (-15, 15), "scale": (80, 120)}),
    ("slant ±45°, rotation ±90°, 50 to 200 %", "", {"slant": (-45, 45), "rotate": (-90, 90), "scale": (50, 200)}),
    ("stroke −1 to 1 px", "≤ 15 µs", {"stroke": (-1, 1)}),
    ("noise of 20 levels", "≤ 10 µs", {"noise": 20}),
    ("gradient", "≤ 7 µs", {"paper": "gradient"}),
    ("grain, noise, contrast", "", {"paper": "grain", "noise": 20, "contrast": (50, 100)}),
    ("tight crop, overlaps of 4 px", "", {"crop": "tight", "min_gap": -4, "max_gap": 4}),
)


def looks(repeats: int) -> None:
    """Print what each look costs, plain samples included, beside plain samples."""
    table("Looks (4,000 strips of 4 digits, in memory, 1 thread)")
    plain, bank = recipe_for(seed=1, length=4), load(Source("train"))
    for what, budget, options in LOOKS:
        recipe = recipe_for(seed=1, length=4, **options)
        mine, other, ratio = paired(
            lambda recipe=recipe: seconds(lambda: compose(recipe, bank, 0, 4_000)),
            lambda: seconds(lambda: compose(plain, bank, 0, 4_000)),
            repeats,
        )
        row(what, f"{mine * 250:.1f} µs", "without", f"{other * 250:.2f} µs", f"{ratio:.0f} ×", budget)


def indices(repeats: int) -> None:
    table("Any indices at once (strips of 4 digits, of 60,000, shuffled)")
    for what, options in (("touching glyphs", {}), ("random gaps", {"max_gap": 8}), ("slant", {"slant": (-10, 10)})):
        data = SequenceDataset(length=4, seed=1, **options)
        order = np.random.default_rng(1).permutation(60_000)
        for size, budget in ((64, "≤ 12 µs"), (512, "≤ 4 µs")):
            chosen = order[: 4 * size].reshape(4, size)
            mine, other, ratio = paired(
                lambda data=data, chosen=chosen: seconds(lambda: [data[some] for some in chosen]),
                lambda data=data, chosen=chosen: seconds(lambda: [data[int(one)] for one in chosen[0]]) * 4,
                repeats,
            )
            per = 1e6 / chosen.size
            ours, theirs = f"{mine * per:.1f} µs", f"{other * per:.0f} µs"
            row(f"{what}, {size} at once", ours, "one by one", theirs, f"{ratio:.3f} ×", budget)


def reading(count: int) -> None:
    """Print how many strips a second are read, in memory: exactly, and approximately."""
    heading("Reading (strips of 4 digits, one process)")
    print("| how | strips a second | budget |\n|---|---|---|")
    made, bank = recipe_for(seed=1, length=4, max_gap=10), load(Source("train"))
    exact, images = Reader(bank), compose(made, bank, 0, count).images
    exact.read_all(images[:256])
    taken = seconds(lambda: [list(exact.read_all(images[start : start + 250])) for start in range(0, count, 250)])
    print(f"| exactly | {count / taken:,.0f} | ≥ 5,000 |")
    few = count // 5
    unknown = compose(recipe_for(seed=1, length=4, max_gap=10, source="test"), load(Source("test")), 0, few).images
    recognise(unknown[:256])
    taken = seconds(lambda: [recognise(unknown[start : start + 256]) for start in range(0, few, 256)])
    print(f"| approximately | {few / taken:,.0f} | ≥ 2,000 |", flush=True)


def bare_files(directory: Path, first: int, stop: int, size: int) -> None:
    """The least that a folder of files costs: create, write, close."""
    content = bytes(size)
    directory.mkdir()
    for number in range(first, stop):
        if number % 1000 == 0:
            (directory / f"{number // 1000:05d}").mkdir(exist_ok=True)
        descriptor = os.open(f"{directory}/{number // 1000:05d}/{number:08d}.png", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, content)
        os.close(descriptor)


def on_two_processes(directory: Path, count: int, size: int) -> float:
    context = multiprocessing.get_context("fork")
    directory.mkdir()
    halves = [(directory / "a", 0, count // 2, size), (directory / "b", count // 2, count, size)]
    workers = [context.Process(target=bare_files, args=half) for half in halves]

    def run() -> None:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    taken = seconds(run)
    shutil.rmtree(directory)
    return taken


def dataset(scratch: Path, count: int, *options: str) -> float:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    return process(MNISTSEQ, "dataset", "-n", str(count), "--len", "4", "--seed", "1", "-o", str(out), *options)


def writing(scratch: Path, count: int, repeats: int) -> None:
    def loop() -> float:
        shutil.rmtree(scratch / "loop", ignore_errors=True)
        arguments = (str(bundled_directory()), str(scratch / "loop"), str(PLAIN_LOOP))
        return process(sys.executable, str(Path(__file__).with_name("plain_loop.py")), *arguments) / PLAIN_LOOP

    table("Writing, whole processes, per strip of 4 digits")
    per = 1e6

    def report(what: str, n: int, options: tuple[str, ...], against: str, other: PairedRun, budget: str) -> None:
        mine, theirs, ratio = paired(lambda: dataset(scratch, n, *options) / n, other, repeats)
        faster = f"{1 / ratio:.1f} × as fast" if budget.startswith("≥") else f"{ratio:.2f} ×"
        row(what, f"{mine * per:.1f} µs", against, f"{theirs * per:.1f} µs", faster, budget)

    folder = ("--workers", "2")
    report("10,000 PNG files, as the README does it", 10_000, (), "plain loop", loop, "≥ 6")
    report(f"{count:,} PNG files, 1 process", count, ("--workers", "1"), "plain loop", loop, "")
    report(f"{count:,} PNG files, 2 workers", count, folder, "plain loop", loop, "≥ 12")
    size = int(np.mean([path.stat().st_size for path in (scratch / "out/images/00000").iterdir()]))
    bare = scratch / "bare"
    report(
        f"{count:,} PNG files, 2 workers", count, folder, f"creating {size}-byte files, 2 processes",
        lambda: on_two_processes(bare, count, size) / count, "≤ 5",
    )  # fmt: skip

    def png_folder() -> float:
        return dataset(scratch, count, *folder) / count

    for what, options, budget in (
        ("tar, `--compression fast`", ("--format", "webdataset", "--compression", "fast"), "≥ 2"),
        ("tar, `small` (the default)", ("--format", "webdataset"), ""),
        ("npz", ("--format", "npz"), "≥ 4"),
        ("idx", ("--format", "idx"), ""),
    ):
        report(
            f"{count:,} in {what}, 2 workers", count, (*options, *folder), "PNG folder, 2 workers", png_folder, budget
        )


def peak_memory(scratch: Path, count: int, *options: str) -> tuple[float, float, float]:
    """Return (seconds, MB of the parent, MB of the largest of the others) of a dataset run."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [MNISTSEQ, "dataset", "-n", str(count), "--len", "4", "--seed", "1", "-o", str(out), *options]
    started = time.perf_counter()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    peaks: dict[int, int] = {}

    def sample() -> None:
        while run.poll() is None:
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    pid = int(status.parent.name)
                    if os.getsid(pid) == run.pid:
                        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                        peaks[pid] = max(peaks.get(pid, 0), int(lines.get("VmHWM", "0 kB").split()[0]))
                except (OSError, ValueError):
                    continue
            time.sleep(0.05)

    watcher = threading.Thread(target=sample)
    watcher.start()
    if run.wait():
        raise SystemExit("a benchmark run failed")
    taken = time.perf_counter() - started
    watcher.join()
    parent = peaks.pop(run.pid, 0)
    return taken, parent / 1024, max(peaks.values(), default=0) / 1024


def growth(scratch: Path, counts: list[int]) -> None:
    heading("Cost and memory by number of samples (2 workers)")
    print("| format | samples | per sample | peak memory, parent | peak memory, worker |\n|---|---|---|---|---|")
    for name in ("png", "webdataset", "npz"):
        for count in counts:
            taken, parent, worker = peak_memory(scratch, count, "--workers", "2", "--format", name)
            print(
                f"| {name} | {count:,} | {taken / count * 1e6:.1f} µs | {parent:.0f} MB | {worker:.0f} MB |", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--million", action="store_true")
    wanted = parser.parse_args()
    count, repeats = (10_000, 3) if wanted.quick else (100_000, 5)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        scratch = Path(name)
        start_up(scratch, repeats * 2)
        in_memory(100_000, repeats * 3)
        looks(repeats * 3)
        indices(repeats)
        reading(10_000)
        writing(scratch, count, repeats)
        growth(scratch, [10_000, 100_000, 1_000_000] if wanted.million else [count // 10, count])


if __name__ == "__main__":
    main()
