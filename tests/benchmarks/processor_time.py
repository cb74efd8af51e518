"""Prints what forms of a dataset cost in processor time, which other processes of the machine hardly change.

    python tests/benchmarks/processor_time.py            100,000 strips, about five minutes
    python tests/benchmarks/processor_time.py 10000      another number of them
    python tests/benchmarks/processor_time.py 10000 lmdb coco       the forms that have one of these words alone

Whole processes without workers, user and system time, on a memory file system (/dev/shm); the least of three rounds, in
each of which every form has its turn. It needs pyarrow, lmdb and h5py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mnist_seq_cli.recipe.spec import ANNOTATION_NAMES

ROUNDS = 3

FORMS: dict[str, list[str]] = {
    "png folder": [],
    "parquet": ["--format", "parquet"],
    "tar, fast": ["--format", "webdataset", "--compression", "fast"],
    "tar, small": ["--format", "webdataset", "--compression", "small"],
    "tfrecord": ["--format", "tfrecord"],
    "lmdb": ["--format", "lmdb"],
    "npz": ["--format", "npz"],
    "npz, --writer same": ["--format", "npz", "--writer", "same"],
    "idx": ["--format", "idx"],
    **{f"png folder, {name}": ["--annotations", name] for name in ANNOTATION_NAMES},
}

PAIRS = """
import gc, sys, lmdb
from mnist_seq_cli.codecs import lmdb_pages
with lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False) as source, source.begin() as read:
    pairs = [(bytes(key), bytes(value)) for key, value in read.cursor() if key != b"num-samples"]
gc.freeze()
"""
"""Reads the keys and values of a file, in the order of keys: all annotations, then all images, then all labels."""

PUTS = f"""{PAIRS}
count = len(pairs) // 3
with lmdb.open(sys.argv[2], map_size=1 << 33, subdir=False) as target:
    for first in range(0, count, 1_000):
        with target.begin(write=True) as write:
            for number in range(first, min(first + 1_000, count)):
                for key, value in pairs[number::count]:
                    write.put(key, value)
"""
"""Puts them with the library, sample by sample and 1,000 a transaction, as trainers' own scripts do."""

PAGES = f"""{PAIRS}
count, parts = len(pairs) // 3, []
for first in range(0, count, 10_000):
    leaves, pages = lmdb_pages.Leaves(), []
    for start in range(first, min(first + 10_000, count), 1_000):
        for kind, name in enumerate((b"annotations", b"image", b"label")):
            values = pairs[kind * count + start : kind * count + min(start + 1_000, count)]
            leaves.add(name, start + 1, [value for _, value in values])
        pages.append(leaves.taken())
    pages.append(leaves.taken(end=True))
    parts.append(((leaves.leaves, leaves.overflow), pages))
with open(sys.argv[2], "wb") as file:
    file.writelines(lmdb_pages.joined(parts, count, 3))
"""
"""Makes the file of them as the format does."""

RATIOS = (
    ("parquet", "png folder", "≤ 1.1"),
    ("tar, fast", "png folder", "≤ 1.1"),
    ("tar, small", "tar, fast", "≤ 1.6"),
    ("lmdb pages", "lmdb puts", "≤ 1.5"),
    ("npz", "png folder", "≤ 0.33"),
)


def processor_time(*command: str) -> float:
    """Return the processor time that a process takes, with all that it starts, in seconds."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime


def made(out: Path, count: int, options: list[str]) -> float:
    shutil.rmtree(out, ignore_errors=True)
    asked = ["-n", str(count), "--len", "4", "--seed", "1", "--workers", "1", "-o", str(out), *options]
    return processor_time(sys.executable, "-m", "mnist_seq_cli", "dataset", *asked)


def beside_reading(scratch: Path, script: str) -> float:
    """Return what a script takes to write the keys and values in out/data.mdb, beside reading them."""
    command = (sys.executable, "-c", script, str(scratch / "out/data.mdb"), str(scratch / "again.mdb"))
    taken = processor_time(*command) - processor_time(sys.executable, "-c", PAIRS, command[3])
    for path in scratch.glob("again.mdb*"):
        path.unlink()
    return taken


def measured(scratch: Path, count: int, forms: dict[str, list[str]]) -> dict[str, float]:
    """Return the least processor time of each form, in seconds."""
    least: dict[str, float] = {}

    def measure(name: str, taken: float) -> None:
        least[name] = min(least.get(name, taken), taken)

    for _ in range(ROUNDS):
        for name, options in forms.items():
            measure(name, made(scratch / "out", count, options))
            if name == "lmdb":
                measure("lmdb puts", beside_reading(scratch, PUTS))
                measure("lmdb pages", beside_reading(scratch, PAGES))
    return least


def main() -> None:
    count, words = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2:]
    chosen = [name for name in FORMS if not words or name == "png folder" or any(word in name for word in words)]
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        least = measured(Path(directory), count, {name: FORMS[name] for name in chosen})
    print(f"Processor time of {count:,} strips of 4 digits\n\n| form | µs a strip |\n|---|---|")
    for name, seconds in least.items():
        print(f"| {name} | {seconds / count * 1e6:.1f} |")
    print("\n| what | against | ratio | aim |\n|---|---|---|---|")
    for name, other, aim in RATIOS:
        if {name, other} <= least.keys():
            print(f"| {name} | {other} | {least[name] / least[other]:.2f} × | {aim} |")
    print("\n| beside | costs, µs a strip | aim |\n|---|---|---|")
    for name in least:
        form, _, beside = name.partition(", ")
        if form in least and beside:
            extra = (least[name] - least[form]) / count * 1e6
            print(f"| {beside} | {extra:.1f} | ≤ {1 if beside == '--writer same' else 2} |")


if __name__ == "__main__":
    main()
