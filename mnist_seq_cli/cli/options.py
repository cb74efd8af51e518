"""Owns options that several commands share, their types, and the headings that they have in the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from mnist_seq_cli.recipe.recipe import (
    ALIGNS,
    BUNDLED_SOURCES,
    CROPS,
    FULL,
    GLYPH_RULES,
    PAPERS,
    RANGES,
    SPACINGS,
    parse_range,
)

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source


class RangeType(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    """A range such as -10-10."""

    name = "range"

    def __init__(self, option: str) -> None:
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the range in text; a default is one already."""
        return parse_range(self._option, value) if isinstance(value, str) else value


class _NumberOr(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    """A number of px, or a word that stands for a value."""

    name = "px"
    word, meaning = "", 0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == self.word:
            return self.meaning
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of px nor {self.word}.", param, ctx)


class WidthType(_NumberOr):
    """A width in px, or fit."""

    word: Any = "fit"
    meaning: Any = "fit"


class JitterType(_NumberOr):
    """Px up or down, or full."""

    word, meaning = "full", FULL


class _Heading(NamedTuple):
    """A heading of the help: a line that says what it is about, and the options under it."""

    about: str
    options: tuple[str, ...]


_HEADINGS = {
    "Output": _Heading(
        "How many images, where they go, and in which form.",
        (
            *("samples", "output", "format_name", "arrangement", "compression", "splits", "split_by", "preset"),
            *("show", "recipe_file", "count"),
        ),
    ),
    "Sequences": _Heading(
        "What is written; random digits, unless a list or a rule says otherwise.",
        ("length", "labels", "shuffle", "pattern", "per_label", "digits", "no_repeat", "check"),
    ),
    "Layout": _Heading(
        "Where digits stand, and how large the image is, in px.",
        ("min_gap", "max_gap", "width", "spacing", "crop", "height", "align", "margin", "jitter_x", "jitter_y"),
    ),
    "Hand and paper": _Heading(
        "How digits and paper look. A range A-B is drawn from; one number stays.",
        ("slant", "rotate", "scale", "stroke", "contrast", "paper", "noise", "invert"),
    ),
    "Glyphs": _Heading(
        "Which handwritten digits the images are made of.",
        ("source", "source_labels", "glyphs", "exclude_mislabeled"),
    ),
    "Ground truth": _Heading("What is told of each image beside its label.", ("masks",)),
    "Running": _Heading(
        "How the work is done; of these the seed alone changes what is made.",
        ("seed", "workers", "shard_size", "overwrite"),
    ),
}
"""The options of `generate` and `dataset`, by the headings that they have in the help."""


class GroupedCommand(click.Command):
    """A command whose options are shown under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _HEADINGS}
        place = {name: heading for heading, (_, names) in _HEADINGS.items() for name in names}
        for option in self.get_params(ctx):
            row = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if row is not None:
                rows[place.get(option.name or "", "Running")].append(row)
        for heading, listed in rows.items():
            if listed:
                with formatter.section(heading):
                    formatter.write_text(_HEADINGS[heading].about)
                    formatter.write_paragraph()
                    formatter.write_dl(listed)


Command = TypeVar("Command", bound=Callable[..., Any])


source_option = click.option(
    "--source",
    metavar="|".join((*BUNDLED_SOURCES, "IMAGES")),
    help="MNIST file that glyphs come from, or an IDX image file of your own.  [default: train; to read: all]",
)


source_labels_option = click.option(
    "--source-labels", metavar="LABELS", help="IDX label file that belongs to your own image file."
)


paper_option = click.option(
    "--paper",
    metavar="|".join((*PAPERS, "FILE")),
    default="plain",
    show_default=True,
    help="What is under the ink; FILE is a picture, of which each image has another part.",
)


masks_option = click.option(
    "--masks", is_flag=True, help="Write a mask of each image: a pixel's value is its digit's place, from 1 on."
)


def writing_options(command: Command) -> Command:
    """Add the options that say what is written."""
    options = (
        click.option("--len", "length", metavar="L", help="Digits in each: 4, 2-8, or with weights 2:1,3:5."),
        click.option("--labels", metavar="FILE|-", help="Sequences to write, one a line, in order, and then again."),
        click.option("--shuffle", is_flag=True, help="Write the labels in a new order each round."),
        click.option("--pattern", metavar="PATTERN", default="", help=r"Sequences to write, as in '(19|20)\d{2}'."),
        click.option("--per-label", metavar="K", type=int, default=0, help="Every sequence of L digits K times."),
        click.option("--digits", metavar="DIGITS", help="Digits that may occur: 01234, 0-4 or 1,3,5.  [default: all]"),
        click.option("--no-repeat", is_flag=True, help="No digit twice in a sequence."),
        click.option("--check", type=click.Choice(["luhn"]), help="Make the last digit a check digit."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def glyph_options(command: Command) -> Command:
    """Add the options that say which glyphs strips are made of, beside --source."""
    options = (
        click.option(
            "--glyphs",
            type=click.Choice(GLYPH_RULES),
            default="any",
            show_default=True,
            help="Any glyph each time, or each once before one comes again.",
        ),
        click.option(
            "--exclude-mislabeled", is_flag=True, help="Leave out the 15 known wrong labels of MNIST's test file."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def split_options(command: Command) -> Command:
    """Add the options that make several datasets at once."""
    options = (
        click.option(
            "--split",
            "splits",
            metavar="NAME=N",
            multiple=True,
            help="N images in a folder of that name.",
        ),
        click.option(
            "--split-by",
            type=click.Choice(("glyph", "label", "both")),
            default="glyph",
            show_default=True,
            help="What no two splits share: glyphs, sequences, or both.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def layout_options(command: Command) -> Command:
    """Add the options that say how strips look; `generate` and `dataset` share them."""
    options = (
        click.option(
            "--min",
            "min_gap",
            metavar="PX",
            type=int,
            default=0,
            show_default=True,
            help="Smallest gap between glyphs; below 0 they overlap.",
        ),
        click.option(
            "--max", "max_gap", metavar="PX", type=int, help="Largest gap.  [default: none with --width, else --min]"
        ),
        click.option(
            "--width",
            metavar="PX|fit",
            type=WidthType(),
            help="Width of the image; gap = (width - L*28) / (L - 1). fit: each as wide as its strip.  "
            "[default: what digits need]",
        ),
        click.option(
            "--spacing",
            type=click.Choice(SPACINGS),
            help="One gap for all, or each gap for itself.  [default: equal with --width, else random]",
        ),
        click.option(
            "--crop",
            type=click.Choice(CROPS),
            default="box",
            show_default=True,
            help="What gaps are between: boxes of 28 px, or ink.",
        ),
        click.option("--height", metavar="PX", type=int, help="Height of the image.  [default: what digits need]"),
        click.option(
            "--align",
            type=click.Choice(ALIGNS),
            help="Place in an image that --width makes wider.  [default: none, gaps fill it]",
        ),
        click.option("--margin", metavar="PX", type=int, default=0, show_default=True, help="Paper on all sides."),
        click.option(
            "--jitter-x",
            metavar="PX",
            type=int,
            default=0,
            show_default=True,
            help="Move each digit sideways, up to PX.",
        ),
        click.option(
            "--jitter-y",
            metavar="PX|full",
            type=JitterType(),
            default=0,
            show_default=True,
            help="Move each digit up or down, up to PX.",
        ),
        *(
            click.option(f"--{name}", metavar="A-B", type=RangeType(name), default=RANGES[name][0], help=text)
            for name, text in (
                ("slant", "Slant each digit, in degrees to the right.  [default: 0]"),
                ("rotate", "Turn each digit, in degrees counterclockwise.  [default: 0]"),
                ("scale", "Size of each digit, in percent.  [default: 100]"),
                ("stroke", "Thicken the ink of each digit, in px; below 0 thins it.  [default: 0]"),
                ("contrast", "Darkness of the ink of each image, in percent.  [default: 100]"),
            )
        ),
        paper_option,
        click.option(
            "--noise",
            metavar="LEVELS",
            type=int,
            default=0,
            show_default=True,
            help="Change each pixel, up to so many of 255 grey levels.",
        ),
        click.option(
            "--seed", metavar="SEED", type=int, help="Seed, to make the same again.  [default: drawn, and shown]"
        ),
        click.option("--invert", is_flag=True, help="White ink on black paper, as in MNIST itself."),
        source_option,
        source_labels_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def typed(context: click.Context, *, preset: bool = False) -> set[str]:
    """Return the names of the options that were typed, and of those of a preset if these count."""
    from click.core import ParameterSource

    silent = {ParameterSource.DEFAULT} if preset else {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP}
    return {name for name in context.params if context.get_parameter_source(name) not in silent}


def own_source(source: str | None, labels: str | None) -> Source | None:
    """Return the source that was typed, or None."""
    from mnist_seq_cli.mnist import bank

    return None if source is None and labels is None else bank.find(source or "train", labels)
