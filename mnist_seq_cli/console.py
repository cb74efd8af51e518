"""Owns everything that is shown to a person: messages, bars, tables, strips drawn in the terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from mnist_seq_cli.errors import one_line

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from mnist_seq_cli.dataset import Summary
    from mnist_seq_cli.inspecting import DatasetReport, Report
    from mnist_seq_cli.manifest import Spec
    from mnist_seq_cli.splits import Splits

Item = TypeVar("Item")


def say(message: str) -> None:
    """Tell a person something, on stderr: stdout is for data."""
    if sys.stderr is not None:  # print would take stdout instead
        print(message, file=sys.stderr, flush=True)  # noqa: T201


def bar(total: int | None, unit: str, size: Callable[[Any], int]) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """Return a function that draws a bar on stderr while an iterable is used up; only on a terminal that shows it.

    For one iterable after the other, it is one bar that goes on.
    """
    done = 0

    def watch(items: Iterable[Item]) -> Iterator[Item]:
        if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield from items
            return
        from tqdm import tqdm

        nonlocal done
        options: dict[str, Any] = {"file": sys.stderr, "dynamic_ncols": True, "leave": False}
        with tqdm(total=total, initial=done, unit=f" {unit}", **options) as shown:
            for item in items:
                shown.update(size(item))
                done += size(item)
                yield item

    return watch


def size_text(count: int) -> str:
    """Return a number of bytes as a person says it: `10.5 MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while round(value, 1) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{count} B"


def summary_text(directory: Path, spec: Spec, summary: Summary, seconds: float) -> str:
    """Return what a person wants to know when a dataset is done."""
    recipe = spec.recipe
    return (
        f"{directory}: {spec.samples:,} strips, {recipe.width}×{recipe.height} px, {size_text(summary.bytes)}\n"
        f"{_work_text(spec.samples, summary.made, summary.repaired, seconds)}\n"
        f"seed {recipe.seed}: with --seed {recipe.seed} the same dataset comes again\n"
        f"look at it: mnistseq inspect {shlex.quote(str(directory))}"
    )


def splits_text(
    directory: Path, splits: Splits, specs: Sequence[Spec], summaries: Sequence[Summary], seconds: float
) -> str:
    """Return what a person wants to know when all splits are done."""
    names = ", ".join(f"{name} {size:,}" for name, size in splits.sizes.items())
    samples, made = sum(splits.sizes.values()), sum(summary.made for summary in summaries)
    recipe, first = specs[0].recipe, next(iter(splits.sizes))
    return (
        f"{directory}: {samples:,} strips ({names}), {recipe.width}×{recipe.height} px, "
        f"{size_text(sum(summary.bytes for summary in summaries))}\n"
        f"{_work_text(samples, made, any(summary.repaired for summary in summaries), seconds)}\n"
        f"seed {splits.seed}: with --seed {splits.seed} the same splits come again\n"
        f"look at one: mnistseq inspect {shlex.quote(str(directory / first))}"
    )


def _work_text(samples: int, made: int, repaired: bool, seconds: float) -> str:
    if made == 0:
        return "all samples were there; the rest was repaired" if repaired else "all of it was there and is sound"
    kept = f"; kept {samples - made:,}" if made < samples else ""
    return f"made {made:,} in {seconds:.1f} s, {made / max(seconds, 1e-9):,.0f} a second{kept}"


def on_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


@lru_cache(maxsize=1)
def page() -> Console:
    """Return what tables and pictures are printed on: stdout, coloured on a terminal, plain when piped."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if on_terminal() else PIPED_WIDTH)


PIPED_WIDTH = 100


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; numbers stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    page().print(Text(one_line(title), style="bold"), no_wrap=True, overflow="ellipsis")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        numeric = all(isinstance(row[place], int | float) for row in listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else Text(one_line(str(cell), 4000)) for cell in row))
    page().print(table)


def show_report(report: Report) -> None:
    """Print what can be said of a path as tables on stdout."""
    if report.kind == "mnist":
        print_table(
            f"MNIST, in {report.directory}",
            ("file", "bytes", "SHA-256"),
            (
                (file["name"], file["bytes"], "as published" if file["verified"] else "NOT as published")
                for file in report.files
            ),
        )
        rows = zip(range(10), report.train, report.test, strict=True)
        total = ("all", sum(report.train), sum(report.test))
        print_table("glyphs", ("digit", "train", "test"), [*((str(row[0]), *row[1:]) for row in rows), total])
    elif report.kind == "dataset":
        _show_dataset(report)
    elif report.kind == "strip":
        read = (("sequence", report.sequence), ("glyphs", report.glyphs), ("x", report.x), ("gaps", report.gaps))
        facts = [("size", f"{report.width}×{report.height} px"), ("ink", f"{report.ink:.1%}")]
        facts += [(name, _listed(value)) for name, value in read if value is not None]
        print_table(report.path, ("strip", ""), [*facts, *([("note", report.note)] if report.note else [])])
    elif report.kind == "idx":
        shape = "×".join(map(str, report.shape))
        facts = [("values", f"{shape} of {report.type}"), ("range", f"{report.smallest} to {report.largest}")]
        print_table(report.path, ("IDX file", ""), facts)
        if report.counts is not None:
            print_table("labels", ("digit", "count"), zip(map(str, range(10)), report.counts, strict=True))


def _show_dataset(report: DatasetReport) -> None:
    recipe = report.recipe
    gaps = f"{recipe['min_gap']} px"
    if recipe["min_gap"] != recipe["max_gap"]:
        gaps = f"{recipe['min_gap']} to {recipe['max_gap']} px, " + (
            "one for each strip" if recipe["spacing"] == "equal" else "each for itself"
        )
    facts = [
        ("samples", f"{report.samples_done:,}" + ("" if report.complete else f" of {report.samples:,}: INCOMPLETE")),
        ("format", f"{report.format}, {size_text(report.bytes)}"),
        ("strips", f"{report.width}×{report.height} px" + (", white on black" if recipe["invert"] else "")),
        ("digits", f"{recipe['length']} a strip"),
        ("gaps", gaps),
        ("source", recipe["source"]),
        ("seed", str(recipe["seed"])),
    ]
    print_table(report.path, ("dataset", ""), facts)
    if report.positions is not None and report.digits is not None:
        columns = ("digit", "count", *(f"at {place}" for place in range(1, min(len(report.positions), 8) + 1)))
        rows = [
            (str(digit), count, *(position[digit] for position in report.positions[:8]))
            for digit, count in enumerate(report.digits)
        ]
        print_table("digits, and how often at each position", columns, rows)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def print_strip(image: NDArray[np.uint8], caption: str) -> None:
    """Draw a grey image, uint8 (height, width), dark ink on white, on stdout: two rows of pixels to a line.

    One that is wider than the terminal is drawn at half, a third … of its size.
    """
    print(one_line(caption))  # noqa: T201
    coloured = page().color_system is not None and not page().no_color
    for line in draw(image, page().width, coloured=coloured):
        print(line)  # noqa: T201


def draw(image: NDArray[np.uint8], columns: int, *, coloured: bool) -> list[str]:
    """Return an image as lines of half blocks, in 24 shades of grey on a terminal, in five block characters without."""
    step = max(1, -(-image.shape[1] // columns))
    small = _shrunk(image, step)
    if len(small) % 2:
        small = [*small, [255] * len(small[0])]
    lines = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        if coloured:
            cells = (
                f"\x1b[38;5;{232 + top * 23 // 255};48;5;{232 + low * 23 // 255}m▀"
                for top, low in zip(upper, lower, strict=True)
            )
            lines.append("".join(cells) + "\x1b[0m")
        else:
            lines.append("".join(_BLOCKS[top < 128, low < 128] for top, low in zip(upper, lower, strict=True)).rstrip())
    return lines


_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def _shrunk(image: NDArray[np.uint8], step: int) -> list[list[int]]:
    """Return every `step`-th pixel as the darkest of its square, so that thin lines stay."""
    import numpy as np

    height, width = (-(-size // step) * step for size in image.shape)
    padded: NDArray[Any] = np.full((height, width), 255, dtype=np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    squares = padded.reshape(height // step, step, width // step, step)
    smallest: list[list[int]] = squares.min(axis=(1, 3)).tolist()
    return smallest
