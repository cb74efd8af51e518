"""Owns the terminal: messages, bars, tables, and strips drawn with characters."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from mnist_seq_cli.errors import one_line, printable
from mnist_seq_cli.inspection.figures import first_of, size_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from mnist_seq_cli.dataset.build import Summary
    from mnist_seq_cli.dataset.estimate import Estimate
    from mnist_seq_cli.dataset.splits.asked import Splits
    from mnist_seq_cli.mnist.bank import Bank, Source
    from mnist_seq_cli.recipe.plan import Slice
    from mnist_seq_cli.recipe.recipe import Recipe
    from mnist_seq_cli.recipe.spec import Spec
    from mnist_seq_cli.storage.location import PathOrStore

Item = TypeVar("Item")


def print_message(message: str) -> None:
    """Print a message on stderr: stdout is for data."""
    if sys.stderr is not None:  # print would take stdout instead
        print(printable(message), file=sys.stderr, flush=True)  # noqa: T201


def print_problems(problems: Sequence[str]) -> None:
    """Print problems on stderr; of very many, the first and how many more there are."""
    for problem in first_of(problems):
        print_message(f"mnistseq: {one_line(problem, 4000)}")


def bar(total: int | None, unit: str, size: Callable[[Any], int]) -> Callable[[Iterable[Item]], Iterator[Item]]:
    """Return a function that draws a progress bar on stderr while an iterable is consumed, if stderr is a terminal.

    Several iterables, one after the other, share one bar.
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


def summary_text(
    directory: object, specs: Sequence[Spec], summaries: Sequence[Summary], seconds: float, splits: Splits | None = None
) -> str:
    """Return the lines to print when a dataset, or all `splits` of a directory, are complete."""
    recipe = specs[0].recipe
    names, seed, whole, it = "", recipe.seed, "dataset", "it"
    if splits is not None:
        names = f" ({', '.join(f'{name} {size:,}' for name, size in splits.sizes.items())})"
        seed, whole, it = splits.seed, "splits", "them"
    samples, made = sum(spec.samples for spec in specs), sum(summary.made for summary in summaries)
    size = size_text(sum(summary.bytes for summary in summaries))
    if made:
        work = _work_text(made, samples, seconds, False)
    elif any(summary.vouched for summary in summaries):
        work = "all of it was made, and has the right sizes; inspect --verify reads every byte"
    elif any(summary.repaired for summary in summaries):
        work = "all samples were there; the rest was repaired"
    else:
        work = _work_text(made, samples, seconds, any(summary.unread for summary in summaries))
    return (
        f"{directory}: {_strips(samples, specs[0].masks)}{names}, {recipe.width}×{recipe.height} px, {size}\n"
        f"{work}\n"
        f"seed {seed}: --seed {seed} makes the same {whole} again\n"
        f"look at {it}: mnistseq inspect {shlex.quote(str(directory))}"
    )


def slice_text(directory: PathOrStore, spec: Spec, part: Slice, summary: Summary, seconds: float) -> str:
    """Return the lines to print when a slice is complete."""
    return (
        f"{directory}: slice {part}, {summary.samples:,} of {_strips(spec.samples)}, {size_text(summary.bytes)}\n"
        f"{_work_text(summary.made, summary.samples, seconds, summary.unread)}\n"
        "when all slices are made, the same command without --slice completes the dataset"
    )


def estimate_text(directory: PathOrStore, spec: Spec, estimate: Estimate, workers: int) -> str:
    """Return the lines to print for the estimate of a dataset."""
    recipe, size, room = spec.recipe, size_text(estimate.bytes), estimate.room
    stored = size_text(estimate.stored)
    disk = f", {stored} on this disk" if stored != size else ""
    free = f"; only {size_text(room.free)} are free" if room and room.free < estimate.stored else ""
    rate, seconds = estimate.samples / max(estimate.seconds, 1e-9), estimate.seconds / workers
    return (
        f"{directory}: {_strips(estimate.samples)}, {recipe.width}×{recipe.height} px, as {spec.format}, about\n"
        f"{_number(estimate.shards, 'shard')}, {_number(estimate.files, 'file')}, {size}{disk}{free}\n"
        f"{_duration(seconds)} with {workers} process{'es' * (workers > 1)} here, of {rate:,.0f} a second each, "
        "without what the disk takes\n"
        + (f"{size_text(estimate.memory)} of memory a process\n" if estimate.memory else "")
        + "this was a dry run: nothing is written"
    )


def _strips(count: int, masks: bool = False) -> str:
    return _number(count, "strip") + (f" and mask{'s' * (count != 1)}" if masks else "")


def _number(count: int, noun: str) -> str:
    """Return a number of things in words: 1 strip, 1,000 strips."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _work_text(made: int, samples: int, seconds: float, unread: bool) -> str:
    if not made and unread:
        return "all of it was there, and the store has the right checksums; inspect --verify reads every byte"
    if not made:
        return "all of it was there and is sound"
    reused = f"; reused {samples - made:,}" if made < samples else ""
    return f"made {made:,} in {seconds:.1f} s, {made / max(seconds, 1e-9):,.0f} a second{reused}"


def print_glyph_notes(*asked: tuple[Recipe, Source]) -> None:
    """Print what a user should know of the glyphs of recipes, of which there is at least one.

    That --exclude-mislabeled changes nothing for MNIST's train file, that custom images look transposed, and for
    `writer` "same" how many writers lack a digit.
    """
    if all(recipe.exclude_mislabeled and recipe.source == "train" for recipe, _ in asked):
        print_message(
            "--exclude-mislabeled changes nothing: the known wrong labels are in MNIST's test file, "
            "and these images are made of its train file"
        )
    if asked[0][1].images is not None:
        from mnist_seq_cli.mnist import bank

        if bank.looks_transposed(bank.load(asked[0][1])):
            turned = asked[0][1].transposed
            hint = "leave out --source-transposed" if turned else "--source-transposed turns them, as EMNIST's"
            print_message(f"the images of {asked[0][1].images} look transposed: {hint}")
    if not (pairs := dict.fromkeys(pair for pair in asked if pair[0].writer == "same")):
        return
    from mnist_seq_cli.engine.glyphs import check_bank
    from mnist_seq_cli.engine.writers import writers_of
    from mnist_seq_cli.engine.writing import possible_digits
    from mnist_seq_cli.mnist import bank

    digits: dict[Bank, set[int]] = {}
    for recipe, source in pairs:
        digits.setdefault(check_bank(recipe, bank.load(source)), set()).update(possible_digits(recipe))
    if missing := sum(writers_of(allowed).missing(some) for allowed, some in digits.items()):
        whole = sum(len(writers_of(allowed).numbers) for allowed in digits)
        print_message(f"{missing:,} of {whole:,} writers lack a digit: they write none of the sequences that have it")


def on_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout.isatty()


@lru_cache(maxsize=1)
def page() -> Console:
    """Return the console of tables and pictures: stdout, coloured on a terminal, plain when piped."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if on_terminal() else PIPED_WIDTH)


PIPED_WIDTH = 100


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, tight: bool = False) -> None:
    """Print a table on stdout; numbers are aligned to the right, and in a tight one all but the first column."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    page().print(Text(one_line(title), style="bold"), no_wrap=True, overflow="ellipsis")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0 if tight else 1), show_header=any(columns))
    for number, column in enumerate(columns):
        numeric = (tight and number > 0) or all(isinstance(row[number], int | float) for row in listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else Text(one_line(str(cell), 4000)) for cell in row))
    page().print(table)


def bar_of(count: int, most: int, width: int) -> str:
    """Return a bar whose `width` characters stand for `most`; empty only for a count of 0."""
    halves = -(-2 * width * count // max(most, 1))
    return "█" * (halves // 2) + "▌" * (halves % 2)


def print_strip(image: NDArray[np.uint8], caption: str) -> None:
    """Draw a grey image, uint8 (height, width), dark ink on white, on stdout: two rows of pixels per line.

    An image wider than the terminal loses its empty right end, and is drawn at half, a third … of its size.
    """
    print(one_line(caption))  # noqa: T201
    coloured, columns = page().color_system is not None and not page().no_color, page().width
    shown = image if image.shape[1] <= columns else image[:, : max(columns, _inked_width(image))]
    for line in draw(shown, columns, coloured=coloured):
        print(line)  # noqa: T201


def _inked_width(image: NDArray[np.uint8]) -> int:
    """Return the number of columns up to the last one with ink."""
    import numpy as np

    inked = np.flatnonzero((image < 255).any(axis=0))
    return int(inked[-1]) + 1 if len(inked) else 0


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
