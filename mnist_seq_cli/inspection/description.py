"""Owns how a report is put: a recipe in words, the command that makes its samples again, and counts as a few bars."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_seq_cli import formats
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.parts.appearance import RANGE_UNITS
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.parts.placement import FULL
from mnist_seq_cli.recipe.recipe import Recipe

if TYPE_CHECKING:
    from mnist_seq_cli.inspection.reports import DatasetReport, Report, SamplesReport, SplitsReport
    from mnist_seq_cli.inspection.scoring import Score
    from mnist_seq_cli.recipe.spec import Spec

TOLD = {
    *("seed", "length", "lengths", "digits", "repeat", "sequences", "shuffle", "pattern", "per_label", "check"),
    *("spacing", "min_gap", "max_gap", "width", "source", "glyph_height", "glyph_width", "invert"),
    *("crop", "height", "fit", "align", "margin", "jitter_x", "jitter_y", "paper", "noise", *RANGE_UNITS),
    *("ink_height", "ink_width", "exclude_mislabeled", "glyphs", "pool", "label_pool"),
}
"""The fields of a recipe that are put into words: all of them, which a test sees to."""

_FEW = 20


def facts(recipe: Recipe) -> list[tuple[str, str]]:
    """Return what a recipe asks for, as pairs of a name and a few words."""
    written = _written(recipe)
    return [
        ("strips", _canvas(recipe)),
        ("digits", _digits(recipe)),
        *([("written", written)] if written else []),
        ("gaps", _gaps(recipe)),
        *([("places", places)] if (places := _places(recipe)) else []),
        *([("hand", hand)] if (hand := _hand(recipe)) else []),
        ("source", source(recipe)),
        ("seed", str(recipe.seed)),
    ]


def _digits(recipe: Recipe) -> str:
    if recipe.lengths:
        sizes = [size for size, _ in recipe.lengths]
        if len({weight for _, weight in recipe.lengths}) == 1:
            run = sizes == list(range(sizes[0], sizes[-1] + 1))
            return (f"{sizes[0]} to {sizes[-1]}" if run else _and(sizes)) + " a strip, all lengths alike likely"
        shares = ", ".join(f"{size} ({weight})" for size, weight in recipe.lengths[:_FEW])
        return f"a strip, with weights: {shares}" + (", …" if len(sizes) > _FEW else "")
    shortest = min(map(len, recipe.sequences), default=recipe.length)
    if recipe.pattern:
        return f"up to {recipe.length} a strip"
    return f"{recipe.length} a strip" if shortest == recipe.length else f"{shortest} to {recipe.length} a strip"


def _written(recipe: Recipe) -> str:
    parts = []
    if recipe.sequences:
        order = "in a new order each round" if recipe.shuffle else "in their order, and then again"
        shown = ", ".join(format_sequence(sequence) for sequence in recipe.sequences[:3])
        more = ", …" if len(recipe.sequences) > 3 else ""
        parts.append(f"{len(recipe.sequences):,} given sequences ({shown}{more}), {order}")
    if recipe.pattern:
        parts.append(f"what the pattern {recipe.pattern} stands for")
    if recipe.per_label:
        parts.append(f"every sequence of {recipe.length} digits {recipe.per_label:,} times, shuffled")
    if len(recipe.digits) < 10:
        parts.append(f"only the digits {_and(list(recipe.digits))}")
    if not recipe.repeat:
        parts.append("no digit twice in a strip")
    if recipe.check:
        parts.append(f"the last one is a {recipe.check.capitalize()} check digit")
    return "; ".join(parts)


def _canvas(recipe: Recipe) -> str:
    size = f"{recipe.width}×{recipe.height} px" + (" at most, each as wide as it has to be" if recipe.fit else "")
    papers = {"plain": "", "gradient": ", on paper with a gradient", "grain": ", on paper with grain"}
    paper = papers.get(recipe.paper, f", on a paper of one's own ({recipe.paper[:15]}…)")
    noise = f", noise of {recipe.noise} grey levels" if recipe.noise else ""
    return size + (", white on black" if recipe.invert else "") + paper + noise


def _gaps(recipe: Recipe) -> str:
    between = " between ink and ink" if recipe.crop == "tight" else ""
    if recipe.min_gap == recipe.max_gap:
        return f"{recipe.min_gap} px{between}"
    each = "one for each strip" if recipe.spacing == "equal" else "each for itself"
    return f"{recipe.min_gap} to {recipe.max_gap} px{between}, {each}"


def _places(recipe: Recipe) -> str:
    parts = [f"aligned {recipe.align}"] if recipe.align != "left" else []
    parts += [f"a margin of {recipe.margin} px"] if recipe.margin else []
    parts += [f"moved sideways by up to {recipe.jitter_x} px"] if recipe.jitter_x else []
    if recipe.jitter_y:
        how_far = "over the whole height" if recipe.jitter_y == FULL else f"by up to {recipe.jitter_y} px"
        parts.append(f"moved up and down {how_far}")
    return ", ".join(parts)


def _hand(recipe: Recipe) -> str:
    ranges = recipe.sampled_ranges.items()
    return ", ".join(f"{name} {low} to {high}{RANGE_UNITS[name]}" for name, (low, high) in ranges)


def source(recipe: Recipe) -> str:
    """Return which glyphs and sequences a recipe draws from, in a few words."""
    size = (recipe.glyph_width, recipe.glyph_height)
    text = recipe.source
    if size != (28, 28):
        text += f", glyphs of {size[0]}×{size[1]} px, ink of at most {recipe.ink_width}×{recipe.ink_height} px"
    for (low, high, whole), what in ((recipe.pool, "glyphs"), (recipe.label_pool, "sequences")):
        text += f", {what} {low / whole:.1%} to {high / whole:.1%}" if (low, high) != (0, whole) else ""
    text += ", without known wrong labels" if recipe.exclude_mislabeled else ""
    return text + (", each glyph once" if recipe.glyphs == "once" else "")


def _and(values: list[int]) -> str:
    shown = list(map(str, values))
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def command(spec: Spec, directory: str) -> str:
    """Return the command that makes the same dataset again from the recipe in `directory`, in a directory `again`.

    A source or a paper of the user's own is known by its sum only, so that its files have to be filled in.
    """
    words = ["mnistseq", "dataset", "--recipe", f"{directory.rstrip('/')}/recipe.json", "-n", str(spec.samples)]
    if spec.recipe.source not in BUNDLED_SOURCES:
        words += ["--source", "IMAGES", "--source-labels", "LABELS"]
    words += ["--paper", "PICTURE"] * spec.recipe.has_custom_background
    words += [*formats.option(spec.format).split(), "--compression", spec.compression]
    words += ["--shard-size", str(spec.shard_size), *(["--masks"] if spec.masks else [])]
    return shlex.join([*words, "-o", "again/"])


def size_text(count: int) -> str:
    """Return a number of bytes as a person says it: `10.5 MB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while round(value, 1) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{count} B"


def summary(report: Report) -> list[tuple[str, str]]:
    """Return what there is to be said of anything, as pairs of a name and a few words."""
    if report.kind == "mnist":
        total = f"{sum(report.train):,} digits to train with, {sum(report.test):,} to test with"
        sound = "all of them as published" if not report.problems else "NOT as published"
        return [("digits", total), ("files", f"{len(report.files)}, {sound}")]
    if report.kind == "strip":
        facts = [("size", f"{report.width}×{report.height} px"), ("ink", f"{report.ink:.1%}")]
        if report.dataset is not None:
            whole = shlex.quote(report.dataset)
            facts.append(
                ("sample", f"{report.sample}: mnistseq inspect {whole} --index {report.sample} tells what it is")
            )
        if report.sequence is None:
            return [*facts, ("sequence", "unread"), ("why", report.note)]
        how = "exactly: it is made of glyphs of MNIST, pixel for pixel"
        if not report.exact:
            how = f"approximately, {chance(report.confidence or 0)} sure: it is not made of glyphs of MNIST as they are"
        facts += [("sequence", report.sequence), ("read", how)]
        return [*facts, *([("note", report.note)] if report.note else [])]
    if report.kind == "idx":
        shape = "×".join(map(str, report.shape))
        finite = report.smallest is not None and report.largest is not None
        ends = f"{report.smallest} to {report.largest}" if finite else "some values are not finite"
        facts = [("values", f"{shape} of {report.type}"), ("range", ends)]
        if len(report.shape) == 3 and report.type == "uint8":
            count, height, width = report.shape
            return [("images", f"{count:,} of {width}×{height} px"), *facts]
        return [("labels", f"{report.shape[0]:,}"), *facts] if report.counts else facts
    if report.kind == "dataset":
        done = f"{report.samples_done:,}" + ("" if report.complete else f" of {report.samples:,}: INCOMPLETE")
        about = [("samples", done), ("format", f"{report.format}, {size_text(report.bytes)}"), *report.facts]
        about += [("masks", "one for each strip")] if report.masks else []
        return [*about, *_sampled(report)]
    counted = report.counted
    sizes = [f"{width}×{height} px" for height, width in counted.sizes]
    about = [("samples", f"{counted.samples:,}"), ("strips", ", ".join(sizes[:5]) + (", …" if len(sizes) > 5 else ""))]
    if counted.labelled < counted.samples:
        about.append(("labels", f"{counted.labelled:,}" if counted.labelled else "none"))
    return [*about, *_sampled(report)]


def chance(value: float) -> str:
    """Return a chance as whole percents, and never as certainty."""
    return f"{min(99, int(100 * value))}%"


def splits_summary(report: SplitsReport) -> list[tuple[str, str]]:
    """Return what there is to be said of splits as a whole, as pairs of a name and a few words."""
    kept, lost = {
        "glyph": ("no glyph is", "glyphs"),
        "label": ("no sequence is", "sequences"),
        "both": ("no glyph and no sequence is", "glyphs or sequences"),
    }[report.by]
    complete = sum(part.state == "complete" for part in report.splits)
    done = "all complete" if report.complete else f"{complete} complete"
    known = "them" if all(part.seed is not None for part in report.splits) else "those that are there"
    size = sum(part.bytes for part in report.splits)
    return [
        ("samples", f"{report.samples:,}, {size_text(size)}"),
        ("splits", f"{len(report.splits)}, {done}"),
        ("apart", f"{kept} in two of {known}" if report.apart else f"NOT so: the same {lost} may be in two of {known}"),
        ("seed", str(report.seed)),
    ]


SHOWN = 20
"""Problems that a person is told, at most."""


def first_of(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    left = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"and {left:,} more like these: --json lists all of them"] if left > 0 else [])]


def _sampled(report: DatasetReport | SamplesReport) -> list[tuple[str, str]]:
    """Return what is known of ink and glyphs, and of how many samples it is known."""
    facts: list[tuple[str, str]] = []
    counted = report.counted
    if counted is None:
        return facts
    if ink := counted.ink:
        looked_at = "all" if ink["samples"] == counted.samples else f"{ink['samples']:,}"
        told = f"{ink['mean']:.1%} of a strip, {ink['smallest']:.1%} to {ink['largest']:.1%} ({looked_at} looked at)"
        if ink["unreadable"]:
            told += f"; {ink['unreadable']:,} could not be read" + ": see --verify" * (report.kind == "dataset")
        facts.append(("ink", told))
    if glyphs := counted.glyphs:
        part = "" if glyphs["samples"] == counted.samples else f" in {glyphs['samples']:,} samples"
        times = max(map(int, glyphs["times"]))
        often = {1: "once", 2: "up to twice"}.get(times, f"up to {times:,} times")
        facts.append(("glyphs", f"{glyphs['different']:,} different ones{part}, each used {often}"))
    return facts


def charts(report: Report, bars: int) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """Return what is counted, but for digits: a title, what is counted, and at most about `bars` rows of it."""
    if report.kind == "idx":
        digits = enumerate(report.counts or [])
        return [("labels", "digit", [(str(digit), count) for digit, count in digits])] if report.counts else []
    if report.kind == "mnist" or report.kind == "strip" or report.counted is None:
        return []
    numbers = report.counted
    counted: list[tuple[str, str, Mapping[str, int] | None]] = [
        ("lengths of sequences", "length", numbers.lengths),
        ("widths of gaps", "px", numbers.gaps),
        ("glyphs by how often they are used", "times", numbers.glyphs["times"] if numbers.glyphs else None),
        ("part of a strip that is ink", "percent", numbers.ink["percent"] if numbers.ink else None),
    ]
    return [(title, name, binned(counts, bars)) for title, name, counts in counted if counts and len(counts) > 1]


def binned(counts: Mapping[str, int], bars: int) -> list[tuple[str, int]]:
    """Return counts of whole numbers as at most about `bars` rows: each value for itself, or ranges of equal width."""
    values = {int(value): count for value, count in counts.items()}
    if not values:
        return []
    low, high = min(values), max(values)
    step = -(-(high - low + 1) // bars)
    sums = [0] * ((high - low) // step + 1)
    for value, count in values.items():
        sums[(value - low) // step] += count
    starts = range(low, high + 1, step)
    ends = [min(start + step - 1, high) for start in starts]
    names = [f"{start}" if start == end else f"{start} to {end}" for start, end in zip(starts, ends, strict=True)]
    return list(zip(names, sums, strict=True))


def score_bars(score: Score, bars: int) -> list[tuple[str, str, list[tuple[str, int, int, float]]]]:
    """Return errors by position, length and gap, at most about `bars` rows each: label, errors, of how many, rate."""

    def rated(errors: dict[str, int], totals: dict[str, int]) -> list[tuple[str, int, int, float]]:
        wrong, all_of = binned(errors, bars), binned(totals, bars)
        pairs = zip(wrong, all_of, strict=True)
        return [(label, bad, total, bad / total) for (label, bad), (_, total) in pairs if total]

    numbered = {str(place): counts for place, counts in enumerate(score.positions, 1) if counts["digits"]}
    bad = {place: counts["substituted"] + counts["deleted"] for place, counts in numbered.items()}
    return [
        ("digits read wrongly, by position", "position", rated(bad, {p: c["digits"] for p, c in numbered.items()})),
        (
            "character errors, by length",
            "length",
            rated(*({size: counts[key] for size, counts in score.lengths.items()} for key in ("errors", "digits"))),
        ),
        (
            "neighbours with an error, by their gap",
            "px",
            rated(*({gap: counts[key] for gap, counts in score.gaps.items()} for key in ("errors", "pairs"))),
        ),
    ]
