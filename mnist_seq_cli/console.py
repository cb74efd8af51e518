"""Owns everything that is shown to a person: messages, bars, tables, strips drawn in the terminal."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from mnist_seq_cli.dataset import Summary
    from mnist_seq_cli.manifest import Spec

Item = TypeVar("Item")


def say(message: str) -> None:
    """Tell a person something, on stderr: stdout is for data."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def bar(total: int, unit: str, size: Callable[[Any], int]) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """Return a function that draws a bar on stderr while an iterable is used up; only on a terminal that shows it."""

    def watch(items: Iterable[Item]) -> Iterator[Item]:
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield from items
            return
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True, leave=False) as shown:
            for item in items:
                shown.update(size(item))
                yield item

    return watch


def size_text(count: int) -> str:
    """Return a number of bytes as a person says it: `10.5 MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{count} B"


def summary_text(directory: "Path", spec: "Spec", summary: "Summary", seconds: float) -> str:
    """Return what a person wants to know when a dataset is done."""
    recipe = spec.recipe
    what = f"{spec.samples:,} strips of {recipe.length} digits, {recipe.width}×{recipe.glyph_height} px"
    rate = f"{summary.made:,} made in {seconds:.1f} s, {summary.made / max(seconds, 1e-9):,.0f} a second"
    if summary.made < spec.samples:
        rate = f"{spec.samples - summary.made:,} kept, {rate}" if summary.made else "all of it was there and is sound"
    return (
        f"{directory}: {what}, {size_text(summary.bytes)} ({rate})\n"
        f"seed {recipe.seed}: with --seed {recipe.seed} the same dataset comes again\n"
        f"look at it: mnistseq inspect {directory}"
    )


def page() -> "Console":
    """Return what tables and pictures are printed on: stdout, coloured on a terminal, plain when piped."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 100
    return Console(highlight=False, soft_wrap=False, width=width, markup=False, emoji=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout; numbers stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, title_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        numeric = all(isinstance(row[place], int | float) for row in listed) and bool(listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else Text(str(cell)) for cell in row))
    page().print(table)


def print_strip(image: "NDArray[np.uint8]", caption: str) -> None:
    """Draw a grey image, uint8 (height, width), on stdout: two rows of pixels to a line, in half blocks.

    A strip wider than the terminal is drawn at half, a third … of its size.
    """
    shown = page()
    shown.print(caption, style="bold")
    for line in draw(image, shown.width, coloured=shown.color_system is not None):
        print(line)  # noqa: T201


def draw(image: "NDArray[np.uint8]", columns: int, *, coloured: bool) -> list[str]:
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


def _shrunk(image: "NDArray[np.uint8]", step: int) -> list[list[int]]:
    """Return every `step`-th pixel as the darkest of its square, so that thin lines stay."""
    import numpy as np

    height, width = (-(-size // step) * step for size in image.shape)
    padded: NDArray[Any] = np.full((height, width), 255, dtype=np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    squares = padded.reshape(height // step, step, width // step, step)
    smallest: list[list[int]] = squares.min(axis=(1, 3)).tolist()
    return smallest
