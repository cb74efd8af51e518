"""Owns everything that is shown to a person: messages, bars, tables, strips drawn in the terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from mnist_seq_cli.errors import one_line
from mnist_seq_cli.inspection.description import (
    chance,
    charts,
    first_of,
    score_bars,
    size_text,
    splits_summary,
    summary,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from mnist_seq_cli.dataset.build import Summary
    from mnist_seq_cli.dataset.splits import Splits
    from mnist_seq_cli.inspection.counts import Counted
    from mnist_seq_cli.inspection.reports import Report, SplitsReport
    from mnist_seq_cli.inspection.scoring import Score
    from mnist_seq_cli.recipe.spec import Spec
    from mnist_seq_cli.samples.strip import Strip

Item = TypeVar("Item")


def say(message: str) -> None:
    """Tell a person something, on stderr: stdout is for data."""
    if sys.stderr is not None:  # print would take stdout instead
        print(message, file=sys.stderr, flush=True)  # noqa: T201


def say_problems(problems: Sequence[str]) -> None:
    """Tell a person what is wrong; of very much, the first of it and how much more there is."""
    for problem in first_of(problems):
        say(f"mnistseq: {one_line(problem, 4000)}")


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


def summary_text(directory: Path, spec: Spec, summary: Summary, seconds: float) -> str:
    """Return what a person wants to know when a dataset is done."""
    recipe, what = spec.recipe, "strips and masks" if spec.masks else "strips"
    return (
        f"{directory}: {spec.samples:,} {what}, {recipe.width}×{recipe.height} px, {size_text(summary.bytes)}\n"
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
    recipe = specs[0].recipe
    what = "strips and masks" if specs[0].masks else "strips"
    return (
        f"{directory}: {samples:,} {what} ({names}), {recipe.width}×{recipe.height} px, "
        f"{size_text(sum(summary.bytes for summary in summaries))}\n"
        f"{_work_text(samples, made, any(summary.repaired for summary in summaries), seconds)}\n"
        f"seed {splits.seed}: with --seed {splits.seed} the same splits come again\n"
        f"look at them: mnistseq inspect {shlex.quote(str(directory))}"
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


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, tight: bool = False) -> None:
    """Print a table on stdout; numbers stand to the right, and in a tight one everything but the first column."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    page().print(Text(one_line(title), style="bold"), no_wrap=True, overflow="ellipsis")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0 if tight else 1), show_header=any(columns))
    for place, column in enumerate(columns):
        numeric = (tight and place > 0) or all(isinstance(row[place], int | float) for row in listed)
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
        return
    kinds = {
        "dataset": "dataset",
        "shard": "one shard of a dataset",
        "folder": "a folder of PNG files",
        "npz": "an npz file",
        "strip": "strip",
        "idx": "IDX file",
    }
    print_table(report.path, (kinds[report.kind], ""), summary(report))
    for title, name, rows_ in charts(report, _BINS):
        _print_bars(title, name, rows_)
    if report.kind != "strip" and report.kind != "idx" and report.counted:
        _show_positions(report.counted)


def show_splits(report: SplitsReport) -> None:
    """Print what can be said of a directory of splits as tables on stdout."""
    print_table(report.path, ("splits", ""), splits_summary(report))
    rows = [
        (
            part.name,
            part.samples,
            f"{part.samples_done:,} done" if part.state == "incomplete" else part.state,
            part.source or "",
            "" if part.seed is None else str(part.seed),
        )
        for part in report.splits
    ]
    print_table("each of them a dataset", ("split", "samples", "", "source", "seed"), rows)


_BINS = 12
_BAR = 24


def _show_positions(counted: Counted) -> None:
    if not counted.positions:
        return
    counts = [f"{count:,}" for column in counted.positions for count in column]
    each = max(max(map(len, counts)) + 2, len("at 10") + 2)
    room = (page().width - len("digit") - 2 - max(7, len(f"{max(counted.digits):,}")) - 2 - 12 - 2) // each
    shown = min(len(counted.positions), max(1, room), 8)
    columns = ("digit", "count", "", *(f"at {place}" for place in range(1, shown + 1)))
    bars = [_drawn_bar(count, max(counted.digits), 12) for count in counted.digits]
    rows = [
        (str(digit), count, bars[digit], *(position[digit] for position in counted.positions[:shown]))
        for digit, count in enumerate(counted.digits)
    ]
    more = f" (the first {shown} of {len(counted.positions)})" if shown < len(counted.positions) else ""
    print_table(f"digits, and how often at each position{more}", columns, rows)


def _print_bars(title: str, name: str, rows: Sequence[tuple[str, int]]) -> None:
    """Print counts with a bar each."""
    most = max((count for _, count in rows), default=0)
    drawn = [(label, count, _drawn_bar(count, most, _BAR)) for label, count in rows]
    print_table(title, (name, "count", ""), drawn)


def _drawn_bar(count: int, most: int, width: int) -> str:
    """Return a bar of at most `width` characters; what there is any of is not without one."""
    halves = -(-2 * width * count // max(most, 1))
    return "█" * (halves // 2) + "▌" * (halves % 2)


def show_sample(strip: Strip, origins: NDArray[np.uint8] | None, *, drawn: bool = True) -> None:
    """Print one sample: its strip, what is known of each digit, and the MNIST digits that it is made of.

    `drawn` tells whether to draw. Of one that was read approximately, it says how sure each digit is.
    """
    if drawn:
        print_strip(strip.image, strip.caption + (f", {strip.name}" if strip.name else ""))
    if strip.glyphs:
        boxes = [(f"{box.x}, {box.y}", f"{box.width}×{box.height}") for box in strip.boxes]
        columns: list[tuple[str, Sequence[str]]] = [
            ("digit", strip.text or ""),
            *([("sure", list(map(chance, strip.confidences)))] if strip.confidences else []),
            ("nearest glyph" if strip.confidences else "glyph", list(map(str, strip.glyphs))),
            ("x", list(map(str, strip.x))),
            *([("gap", ["", *map(str, strip.gaps)])] if strip.gaps else []),
            ("ink at", [place for place, _ in boxes]),
            ("ink", [size for _, size in boxes]),
        ]
        rows = zip(*(values for _, values in columns), strict=True)
        print_table("its digits, from left to right", [name for name, _ in columns], rows)
    if origins is not None and drawn:
        print_strip(origins, f"the MNIST digits that {'are most like these' if strip.confidences else 'it is made of'}")


def show_score(score: Score) -> None:
    """Print how predictions do as tables on stdout."""
    facts = [
        ("scored", f"{score.scored:,} of {score.samples:,} samples"),
        ("exact", f"{score.exact:,}" + _share(score.exact, score.scored)),
        ("character errors", f"{score.errors:,} in {score.digits:,} digits" + _share(score.errors, score.digits)),
        ("substitutions", f"{score.substitutions:,}"),
        ("insertions", f"{score.insertions:,}"),
        ("deletions", f"{score.deletions:,}"),
    ]
    left_out = (("missing", score.missing), ("unknown rows", score.unknown), ("repeated rows", score.repeated))
    facts += [(name, f"{count:,}") for name, count in (*left_out, ("no label", score.unlabelled)) if count]
    print_table("predictions", ("", ""), facts)
    for title, name, rows in score_bars(score, _BINS):
        most = max((rate for *_, rate in rows), default=0)
        listed = [
            (label, errors, total, f"{rate:.1%}", _drawn_bar(round(1e6 * rate), round(1e6 * most), _BAR))
            for label, errors, total, rate in rows
        ]
        if len(listed) > 1:
            print_table(title, (name, "errors", "of", "rate", ""), listed)
    if not score.errors:
        return
    table = [[*score.confusion[digit], score.deleted[digit]] for digit in range(10)]
    cells = [(str(digit), *map(_short, row)) for digit, row in enumerate(table) if any(row)]
    cells.append(("extra", *map(_short, score.inserted), ""))
    print_table("what each digit was read as", ("digit", *map(str, range(10)), "none"), cells, tight=True)
    if score.glyphs:
        glyphs = [
            (
                str(entry["glyph"]),
                str(entry["digit"]),
                entry["wrong"],
                entry["seen"],
                ", ".join(f"{read} ({times})" for read, times in list(entry["read_as"].items())[:3]),
                "MNIST's label is wrong" if entry["known_wrong_label"] else "",
            )
            for entry in score.glyphs[:15]
        ]
        columns = ("glyph", "digit", "wrong", "seen", "read as", "")
        print_table("the MNIST digits that are read wrongly most often", columns, glyphs)
    if score.known_wrong["seen"]:
        seen, wrong = score.known_wrong["seen"], score.known_wrong["wrong"]
        page().print(f"MNIST digits with a label that is known to be wrong: read wrongly {wrong:,} of {seen:,} times")


def _short(count: int) -> str:
    """Return a count in five characters; one above 9,999 in thousands or millions."""
    return f"{count:,}" if count < 10_000 else f"{count // 1000:,}k" if count < 10_000_000 else f"{count // 1000000:,}M"


def _share(part: int, whole: int) -> str:
    return f", {part / whole:.2%}" if whole else ""


def print_strip(image: NDArray[np.uint8], caption: str) -> None:
    """Draw a grey image, uint8 (height, width), dark ink on white, on stdout: two rows of pixels to a line.

    One that is wider than the terminal is drawn at half, a third … of its size; empty paper at its right end, where
    shorter sequences leave it, is left out then.
    """
    print(one_line(caption))  # noqa: T201
    coloured, columns = page().color_system is not None and not page().no_color, page().width
    shown = image if image.shape[1] <= columns else image[:, : max(columns, _inked_width(image))]
    for line in draw(shown, columns, coloured=coloured):
        print(line)  # noqa: T201


def _inked_width(image: NDArray[np.uint8]) -> int:
    """Return how many columns there are up to the last with ink."""
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
