"""Owns the words that the user types: commands and options, and the one place where an error becomes an exit code.

A command gathers its arguments, makes one call, and shows what came of it. What is heavy is imported in the bodies, so
that `mnistseq --help` loads Click and nothing else.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn, TypeVar

import click

from mnist_seq_cli import __version__
from mnist_seq_cli.errors import (
    DONE,
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    TERMINATED,
    USAGE,
    FormatError,
    MnistseqError,
    OutputError,
    RequestError,
    one_line,
)
from mnist_seq_cli.formats import FORMAT_NAMES, LAYOUTS
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS
from mnist_seq_cli.recipe.recipe import (
    ALIGNS,
    BUNDLED_SOURCES,
    COMPRESSIONS,
    CROPS,
    EVERYTHING,
    FULL,
    GLYPH_RULES,
    PAPERS,
    RANGES,
    SPACINGS,
    format_sequence,
    parse_range,
)

if TYPE_CHECKING:
    from mnist_seq_cli.dataset.splits import Splits
    from mnist_seq_cli.inspection.scoring import Score
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.reading.transcribing import Transcript
    from mnist_seq_cli.samples.collection import Collection, Strip


class _Range(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    """A range such as -10-10."""

    name = "range"

    def __init__(self, option: str) -> None:
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
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


class _Width(_NumberOr):
    word: Any = "fit"
    meaning: Any = "fit"


class _Jitter(_NumberOr):
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


class _Grouped(click.Command):
    """A command whose options are shown under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
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

MAX_STDIN = 128 << 20
MAX_PATH = 32_768
PIPE_BYTES = 4096
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_HELP)
@click.version_option(__version__, "-V", "--version", prog_name="mnistseq")
def cli() -> None:
    """Make images of digit sequences from real handwritten MNIST digits, look at them, and read them back.

    \b
      mnistseq generate 1-2-3 --min 0 --max 10 --width 100     one image, 1-2-3.png
      mnistseq dataset -n 10000 --len 4 -o out/                ten thousand, with labels
      mnistseq inspect out/                                    what is in there
      mnistseq decode 1-2-3.png                                1-2-3

    \b
    stdout carries data only; everything said to a person goes to stderr.
    Exit codes: 0 done, 1 failed, 2 usage or an impossible request, 130 Ctrl-C, 143 SIGTERM.
    """


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
            type=_Width(),
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
            type=_Jitter(),
            default=0,
            show_default=True,
            help="Move each digit up or down, up to PX.",
        ),
        *(
            click.option(f"--{name}", metavar="A-B", type=_Range(name), default=RANGES[name][0], help=text)
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


@cli.command(cls=_Grouped)
@click.argument("sequences", metavar="SEQUENCE...", nargs=-1, required=True)
@click.option("-o", "--output", default=".", metavar="FILE|DIR|-", help="PNG file, directory, or - for stdout.")
@click.option("--count", type=int, default=1, show_default=True, help="Images of each sequence.")
@layout_options
@glyph_options
@masks_option
def generate(
    sequences: tuple[str, ...],
    output: str,
    count: int,
    source: str | None,
    source_labels: str | None,
    masks: bool,
    **layout: Any,
) -> None:
    """Write an image of each SEQUENCE as a PNG file, and print its path.

    A sequence is written 1-2-3, 123, 1,2,3 or '1 2 3'. With - sequences are read from stdin, one a line. The file is
    named after the sequence, 1-2-3.png; with --count, 1-2-3_0.png and so on. Its mask is 1-2-3.mask.png.

    \b
      mnistseq generate 1-2-3 --min 0 --max 10 --width 100
      mnistseq generate 2025 --max 6 --seed 7 -o year.png
      seq -w 0 99 | mnistseq generate - -o pairs/
      mnistseq generate 1-2-3 -o - | mnistseq decode -
    """
    from mnist_seq_cli.cli.terminal import say
    from mnist_seq_cli.mnist import bank
    from mnist_seq_cli.recipe.recipe import draw_seed, parse_sequence
    from mnist_seq_cli.samples import single_images

    given = layout.pop("seed")
    seed = draw_seed() if given is None else given
    place = bank.find(source or "train", source_labels, layout["paper"])
    wanted = [
        sequence
        for text in sequences
        for sequence in (single_images.read_sequences(_stdin_lines()) if text == "-" else [parse_sequence(text)])
    ]
    plan = single_images.plan(wanted, place, seed=seed, count=count, **layout)
    if output == "-":
        if len(plan) > 1:
            raise RequestError(
                f"{len(plan)} images do not go to stdout, only one does", hint="give a directory with -o"
            )
        if masks:
            raise RequestError(
                "an image and its mask are two files, and do not go to stdout", hint="give a file with -o"
            )
        _write_stdout(next(single_images.encode(plan, place)), "PNG")
    else:
        to_directory = output.endswith(("/", os.sep))
        for path in single_images.write(plan, Path(output), place, to_directory=to_directory, masks=masks):
            click.echo(path)
    if given is None:
        say(f"seed {seed}: with --seed {seed} the same images come again")


def _take_preset(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """Make the options of a preset the defaults of those that were not typed."""
    if name is not None and not context.resilient_parsing:
        context.meta["preset"] = PRESETS[name]
        parser = context.command.make_parser(context)
        context.default_map = dict(parser.parse_args(PRESETS[name].split())[0])
        _show_preset(context, option, context.meta.get("show", False))
    return name


def _show_preset(context: click.Context, _: object, show: bool) -> bool:
    """Print what a preset stands for, and end; whichever of the two options comes first."""
    context.meta["show"] = show
    if show and "preset" in context.meta:
        click.echo(context.meta["preset"])
        context.exit()
    return show


@cli.command(cls=_Grouped)
@click.option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    is_eager=True,
    callback=_take_preset,
    help="Take the options of a known dataset; options change it.",
)
@click.option("--show", is_flag=True, is_eager=True, callback=_show_preset, help="Print the options of --preset.")
@click.option("-n", "--samples", type=int, metavar="N", help="Number of images.  [default: one round of the labels]")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR|-",
    type=click.Path(path_type=Path),
    help="Directory, or - for a tar stream.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([name for name in FORMAT_NAMES if name not in LAYOUTS]),
    default="png",
    show_default=True,
    help="Form on disk.",
)
@click.option(
    "--layout",
    "arrangement",
    type=click.Choice(LAYOUTS),
    default="shards",
    show_default=True,
    help="Folders of PNG files: one a shard, or one a label, <label>/<k>_<label>.png.",
)
@click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    help="Speed or size.  [default: fast; small for webdataset and idx]",
)
@click.option("--workers", metavar="auto|N", default="auto", show_default=True, help="Processes to use.")
@click.option(
    "--shard-size",
    type=int,
    metavar="S",
    help="Samples a shard, the unit of work and of retry.  [default: 1000 PNG files, else 10000]",
)
@click.option("--overwrite", is_flag=True, help="Replace the dataset that is there.")
@click.option(
    "--recipe",
    "recipe_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Do as a recipe.json or a TOML file says; options change it.",
)
@writing_options
@layout_options
@glyph_options
@masks_option
@split_options
@click.pass_context
def dataset(
    context: click.Context,
    /,
    samples: int | None,
    output: Path,
    format_name: str,
    arrangement: str,
    compression: Any,
    workers: str,
    shard_size: int | None,
    overwrite: bool,
    source: str | None,
    source_labels: str | None,
    seed: int | None,
    length: str | None,
    labels: str | None,
    digits: str | None,
    no_repeat: bool,
    check: Any,
    splits: tuple[str, ...],
    split_by: Any,
    recipe_file: Path | None,
    preset: str | None,
    show: bool,
    masks: bool,
    **layout: Any,
) -> None:
    """Write N images of digit sequences, with labels.csv and metadata.jsonl, to a directory.

    What is written: L random digits, the sequences of a file, or those that a pattern stands for. The same command
    again finishes what was interrupted, and with a larger N makes the dataset grow. The seed is drawn unless it is
    given, recorded in recipe.json, and shown at the end.

    \b
      mnistseq dataset -n 10000 --len 4 -o out/
      mnistseq dataset -n 60000 --len 5 --max 8 --seed 1 -o train/
      mnistseq dataset -n 10000 --len 5 --max 8 --source test -o test/
      mnistseq dataset --split train=50000 --split val=5000 --split test=5000 --len 5 -o parts/
      mnistseq dataset -n 1000 --pattern '20[0-3][0-9]' -o years/
      mnistseq dataset -n 1000000 --len 2-8 --format webdataset -o - | ...
    """
    from mnist_seq_cli.execution.runner import worker_count

    if show:
        raise RequestError("--show prints the options of a preset", hint="give --preset")
    if samples is not None and "splits" not in _typed(context):
        splits = ()  # those of a preset
    wanted_workers = _worker_count(workers)
    sizes = _split_sizes(splits, samples, output)
    if not sizes and "split_by" in _typed(context):
        raise RequestError("--split-by says what splits do not share, and there are none", hint="give --split")
    if str(output) != "-" and worker_count(wanted_workers, max(sizes.values(), default=samples or 0)) > 1:
        from mnist_seq_cli.execution.processes import prepare

        prepare()

    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build as datasets
    from mnist_seq_cli.mnist import bank
    from mnist_seq_cli.recipe.recipe import parse_digits, parse_lengths

    if digits is not None:
        layout["digits"] = parse_digits(digits)
    if labels is not None:
        from mnist_seq_cli.samples.single_images import read_sequences

        layout["sequences"] = read_sequences(_text_lines(labels))
        if not layout["sequences"]:
            place_of_labels = "stdin" if labels == "-" else labels
            raise RequestError(f"there are no sequences in {place_of_labels}", hint="give one a line")
    wanted: dict[str, Any] = dict(
        samples=samples,
        format_name=_format(format_name, arrangement, _typed(context)),
        compression=compression,
        shard_size=shard_size,
        seed=seed,
        length=None if length is None else parse_lengths(length),
        repeat=not no_repeat,
        check=check or "",
        masks=masks,
        **layout,
    )
    if preset is not None:
        from mnist_seq_cli.recipe.recipe_file import displaced

        for word in displaced(_as_words(_typed(context))):
            wanted.pop(word, None)
    if recipe_file is not None:
        wanted, source = _from_recipe_file(recipe_file, wanted, context, source)
    if wanted.get("length") is None and not wanted.get("sequences") and not wanted.get("pattern"):
        raise RequestError("it is not said what to write", hint="give --len, --labels or --pattern")
    if sizes:
        wanted.pop("samples", None)
        place = None
        if source is not None or source_labels is not None:
            place = bank.find(source or "train", source_labels, wanted.get("paper", "plain"))
        _build_splits(output, sizes, split_by, place, wanted_workers, {**wanted, "overwrite": overwrite})
        return
    place = bank.find(source or "train", source_labels, wanted.get("paper", "plain"))
    request = datasets.request(output, source=place, overwrite=overwrite, **wanted)
    if str(output) == "-":
        _write_stdout(datasets.stream(request, place), "tar")
        terminal.say(f"seed {request.recipe.seed}: with --seed {request.recipe.seed} the same samples come again")
        return
    watch = terminal.bar(request.samples, "strips", lambda settled: settled.record.samples)
    started = _now()
    summary = datasets.build(output, request, place, workers=wanted_workers, overwrite=overwrite, watch=watch)
    terminal.say(terminal.summary_text(output, request, summary, _now() - started))


def _typed(context: click.Context, *, preset: bool = False) -> set[str]:
    """Return the names of the options that were typed, and of those of a preset if these count."""
    from click.core import ParameterSource

    silent = {ParameterSource.DEFAULT} if preset else {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP}
    return {name for name in context.params if context.get_parameter_source(name) not in silent}


def _as_words(options: Iterable[str]) -> set[str]:
    """Return the names of options as those of words for `dataset.request`."""
    names = {"no_repeat": "repeat", "labels": "sequences", "arrangement": "format_name"}
    return {names.get(name, name) for name in options}


def _from_recipe_file(
    path: Path, options: dict[str, Any], context: click.Context, source: str | None
) -> tuple[dict[str, Any], str | None]:
    """Return what a file asks for, changed by the options that were typed; and the source."""
    from mnist_seq_cli.recipe import recipe_file

    given = _typed(context, preset=True)
    words = recipe_file.read(path)
    is_other = words.get("format_name") != "folders" and "format_name" not in given
    if is_other and context.params["arrangement"] == "shards":
        given.discard("arrangement")  # which is how other formats are anyway
    typed = _as_words(given)
    if words.get("paper", "plain") not in PAPERS:
        _check_paper(path, words["paper"], context.params["paper"] if "paper" in typed else None)
    own = words.pop("source", None)
    if context.params["splits"]:
        for name in ("pool", "label_pool"):
            if words.pop(name, EVERYTHING) != EVERYTHING:
                raise RequestError(f"{path} takes a part already, with {name}", hint="leave it out for --split")
    elif source is None:
        source = own
    if source not in (None, *BUNDLED_SOURCES) and context.params["source"] is None:
        raise RequestError(f"{path} is about images of your own", hint="give them with --source and --source-labels")
    labels = context.params["source_labels"]
    if labels is not None and own not in (None, *BUNDLED_SOURCES):
        from mnist_seq_cli.mnist import bank

        if bank.load(bank.find(source or "", labels)).identity != own:
            raise RequestError(f"{path} is about other images than those in {source}", hint="give the same files")
    return recipe_file.changed(words, {name: value for name, value in options.items() if name in typed}), source


def _check_paper(path: Path, own: str, given: str | None) -> None:
    """Raise RequestError unless the paper of a recipe in a file is the one that is given, or another kind is.

    Raises FormatError, OSError for a picture that cannot be read.
    """
    if given is None:
        raise RequestError(f"{path} is about a paper of your own", hint="give the picture with --paper")
    from mnist_seq_cli.engine import background

    if given not in PAPERS and background.read(Path(given)).identity != own:
        raise RequestError(f"{path} is about another paper than {given}", hint="give the same picture")


def _format(name: str, arrangement: str, typed: set[str]) -> str:
    """Return the format that --format and --layout ask for; what was typed goes before what a preset says."""
    if arrangement == "shards":
        return name
    if name == "png" or "format_name" not in typed:
        return arrangement
    if "arrangement" in typed:
        raise RequestError(
            f"--layout {arrangement} is for PNG files, and --format {name} has none", hint="leave one of them out"
        )
    return name


def _split_sizes(splits: tuple[str, ...], samples: int | None, output: Path) -> dict[str, int]:
    if not splits:
        return {}
    from mnist_seq_cli.dataset.splits import parse_splits

    if samples is not None:
        raise RequestError("-n does not go with --split", hint="each split says how many it is to have")
    if str(output) == "-":
        raise RequestError("splits are folders, and do not go to stdout", hint="give a directory with -o")
    return parse_splits(splits)


def _build_splits(
    output: Path, sizes: dict[str, int], by: Any, source: Source | None, workers: int | None, wanted: dict[str, Any]
) -> None:
    """Make the splits one after the other, under one bar, and tell of them together."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import splits

    whole, planned = splits.plan(output, sizes, by, source=source, **wanted)
    started = _now()
    watch = terminal.bar(sum(sizes.values()), "strips", lambda settled: settled.record.samples)
    done = splits.build(output, whole, planned, workers=workers, overwrite=wanted["overwrite"], watch=watch)
    specs = [split.spec for split in planned]
    terminal.say(terminal.splits_text(output, whole, specs, done, _now() - started))


@cli.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--show",
    type=click.IntRange(0, 1000),
    metavar="N",
    help="Strips to draw.  [default: 3 on a terminal, 40 on a sheet]",
)
@click.option("--index", metavar="I,J", help="Draw these samples instead; of a single one tell all.")
@click.option(
    "--sheet", metavar="FILE.png", type=click.Path(path_type=Path), help="Write a contact sheet of the strips."
)
@click.option("--boxes", is_flag=True, help="Draw the box of each digit's ink on the sheet.")
@click.option("--html", metavar="FILE.html", type=click.Path(path_type=Path), help="Write a report for the browser.")
@click.option(
    "--predictions", metavar="FILE|-", help="Score what a model read: file name or index and digits, or a line each."
)
@click.option("--verify", is_flag=True, help="Check every byte of a dataset against its manifest.")
@click.option("--regenerate", type=click.IntRange(1), metavar="K", help="Make K random shards again, and compare.")
@click.option("--against", metavar="PATH", type=click.Path(path_type=Path), help="Look for what two datasets share.")
@click.option(
    "--may-share",
    type=click.Choice(("glyph", "label", "image")),
    multiple=True,
    help="What they may share, with --against.",
)
@source_option
@source_labels_option
@click.option("--paper", metavar="FILE", help="Picture that a dataset is on, for --regenerate.")
def inspect(
    path: Path | None,
    as_json: bool,
    show: int | None,
    index: str | None,
    sheet: Path | None,
    boxes: bool,
    html: Path | None,
    predictions: str | None,
    verify: bool,
    regenerate: int | None,
    against: Path | None,
    may_share: tuple[str, ...],
    source: str | None,
    source_labels: str | None,
    paper: str | None,
) -> int:
    """Tell what PATH is, and what is in it; without PATH, the bundled MNIST.

    PATH is a dataset, one of its shards, a directory of splits, a PNG strip or a folder of them, an npz or an IDX file.
    Pixels of large ones are sampled. A single strip is read as decode reads it. Exits 1 when a dataset is incomplete or
    a check does not hold, or when two datasets share what they may not, and names what is wrong.

    Predictions are CSV or JSON lines (file name or index, then what was read, 1-2-3 or 123), or one a line in order.
    They are scored digit by digit, down to the MNIST digits that are read wrongly; the sheet then shows the worst
    strips. Exits 1 when samples have no prediction, or rows no sample.

    \b
      mnistseq inspect
      mnistseq inspect out/ --show 5
      mnistseq inspect out/ --index 7
      mnistseq inspect out/ --sheet sheet.png --boxes --html report.html
      mnistseq inspect out/ --predictions predictions.csv --html report.html
      mnistseq inspect out/ --verify --regenerate 3
      mnistseq inspect parts/ --verify
      mnistseq inspect 1-2-3.png --show 1
      mnistseq inspect out/ --json | jq .digits
      mnistseq inspect train/ --against test/ --may-share label
    """
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build as datasets
    from mnist_seq_cli.inspection import reports
    from mnist_seq_cli.samples import collection

    if may_share and against is None:
        raise RequestError("--may-share says what two datasets may share", hint="give the other with --against")
    if against is not None:
        if path is None or verify or regenerate or show is not None or index or sheet or html or predictions:
            raise RequestError("--against compares two datasets, and does nothing else", hint="give two paths alone")
        return _compare(path, against, may_share, as_json)
    if path is not None and (whole := _splits_at(path)):
        if show is not None or index or sheet or boxes or html or predictions:
            parts = ", ".join(list(whole.sizes)[:8]) + ", …" * (len(whole.sizes) > 8)
            raise RequestError(
                f"{path} holds splits, {parts}, and these options look at one",
                hint=f"give {path / next(iter(whole.sizes))} for example",
            )
        return _inspect_splits(path, whole, as_json, verify, regenerate or 0, _own_source(source, source_labels))
    if boxes and sheet is None:
        raise RequestError("--boxes are drawn on a sheet", hint="give --sheet FILE.png")
    if "-" in (str(sheet), str(html)):
        raise RequestError("stdout is for what the report says", hint="give the sheet or the page the name of a file")
    wanted = None if index is None else _indices(index)
    found = collection.of(path)
    chosen = None if wanted is None else found.chosen(wanted)
    report = reports.inspect(path, found)
    problems, checks = list(report.problems), []
    if (verify or regenerate) and path is not None and report.kind != "dataset":
        raise RequestError(f"only datasets can be verified, and {path} is of the kind {report.kind}")
    if verify:
        if path is not None:  # without a path, the report has checked the sums already
            problems = list(datasets.verify(path, watch=terminal.bar(None, "shards", lambda _: 1))) or problems
        checks.append("every file is as the manifest says")
    if regenerate and path is not None:
        compared, different = datasets.regenerate(
            path,
            _own_source(source, source_labels),
            paper=None if paper is None else Path(paper).absolute(),
            shards=regenerate,
        )
        problems += different
        checks.append(f"the recipe makes the same samples again ({compared} shards)")
    score = None
    if predictions is not None and len(found):
        score = _score(found, predictions, show or 0)
        problems += score.problems
    elif predictions is not None and not problems:
        raise RequestError(f"there are no samples in {path} to hold predictions against")
    written = []  # before anything is printed: a pipe that closes is no reason to leave them out
    if sheet is not None:
        written.append(_write_sheet(sheet, found, chosen, score, 40 if show is None else show, boxes=boxes))
    if html is not None:
        from mnist_seq_cli.inspection import html_report
        from mnist_seq_cli.storage import local

        local.write_whole(html, html_report.render(report, found, score, problems), sync=False)
        written.append(f"{one_line(str(html), 200)}: open it in a browser")
    if as_json:
        more: dict[str, Any] = {} if score is None else {"predictions": score.to_json()}
        if chosen is not None:
            more["chosen"] = [strip.to_json() for strip in chosen]
        click.echo(json.dumps({**reports.to_json(report), **more, "problems": problems}, allow_nan=False))
    elif chosen is not None and len(chosen) == 1:
        terminal.show_sample(chosen[0], reports.origins(chosen[0], found.source))
    elif score is not None:
        terminal.show_score(score)
        for strip, entry in _worst(found, score, 3 * terminal.on_terminal() if show is None else show):
            terminal.print_strip(strip.image, f"{strip.caption}, read as {_dashed(entry['prediction'])}")
    else:
        terminal.show_report(report)
        drawn: Iterable[tuple[str, Any]] = ()
        if report.kind == "strip":
            (strip,) = found.chosen([0])
            terminal.show_sample(
                strip,
                reports.origins(strip, found.source),
                drawn=terminal.on_terminal() if show is None else show > 0,
            )
        elif chosen is not None:
            drawn = ((strip.caption, strip.image) for strip in chosen)
        else:
            drawn = reports.examples(found, 3 * terminal.on_terminal() if show is None else show)
        for caption, image in drawn:
            terminal.print_strip(image, caption)
    for line in [*written, *([] if problems or as_json else checks)]:
        terminal.say(line)
    terminal.say_problems(problems)
    return FAILED if problems else DONE


def _splits_at(path: Path) -> Splits | None:
    """Return the splits that a directory holds; None for anything else. Raises FormatError."""
    from mnist_seq_cli.dataset import manifest, splits
    from mnist_seq_cli.samples import idx_export

    if not idx_export.is_directory(path) or (path / manifest.RECIPE_NAME).exists():
        return None
    return splits.read(path)


def _inspect_splits(
    path: Path, whole: Splits, as_json: bool, verify: bool, regenerate: int, source: Source | None
) -> int:
    """Tell what splits a directory holds, and check them one by one if that is wanted."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build as datasets
    from mnist_seq_cli.inspection import reports

    report = reports.inspect_splits(path, whole)
    problems, checks = list(report.problems), []
    sound = [part.name for part in report.splits if part.state == "complete"]
    if verify:
        watch = terminal.bar(None, "shards", lambda _: 1)
        problems += [f"{name}: {line}" for name in sound for line in datasets.verify(path / name, watch=watch)]
        checks.append("every file of every split is as its manifest says")
    if regenerate:
        for name in sound:
            problems += [f"{name}: {line}" for line in datasets.regenerate(path / name, source, shards=regenerate)[1]]
        checks.append("the recipes make the same samples again")
    if as_json:
        click.echo(json.dumps({**reports.to_json(report), "problems": problems}, allow_nan=False))
    else:
        terminal.show_splits(report)
        for line in [] if problems else [*checks, f"look at one: mnistseq inspect {shlex.quote(str(path / sound[0]))}"]:
            terminal.say(line)
    terminal.say_problems(problems)
    return FAILED if problems else DONE


def _compare(path: Path, against: Path, may_share: tuple[str, ...], as_json: bool) -> int:
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.inspection import overlap

    report = overlap.compare(path, against, may_share=may_share, watch=terminal.bar(None, "strips", len))
    if as_json:
        click.echo(json.dumps(overlap.to_json(report), allow_nan=False))
    else:
        rows = (("glyphs", report.glyphs), ("sequences", report.labels), ("identical images", report.images))
        terminal.print_table(
            f"{path} and {against}",
            ("shared", "count", "the first of them"),
            [(name, part.shared if part.known else "unknown", overlap.listed(part.examples)) for name, part in rows],
        )
    terminal.say_problems(report.problems)
    return FAILED if report.problems else DONE


def _score(found: Collection, name: str, show: int) -> Score:
    """Return the score of the predictions in a file or from stdin. Raises FormatError, RequestError, OSError."""
    from mnist_seq_cli.inspection import scoring
    from mnist_seq_cli.samples import idx_export
    from mnist_seq_cli.storage import local

    keep = max(scoring.KEPT, show)
    if name == "-":
        piped = _stdin_lines()
        return scoring.score(found, scoring.read(piped if piped[-1] else piped[:-1], "stdin"), "stdin", keep=keep)
    idx_export.require_file(Path(name))
    shown = one_line(name, 200)
    try:
        with local.open_regular(Path(name)) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            return scoring.score(found, scoring.read(lines, shown), shown, keep=keep)
    except UnicodeDecodeError:
        raise FormatError(f"{shown} is not text", hint="give CSV, JSON lines, or one prediction a line") from None


def _worst(found: Collection, score: Score, count: int) -> list[tuple[Strip, dict[str, Any]]]:
    entries = {entry["sample"]: entry for entry in score.worst[:count]}
    return [(strip, entries[strip.number]) for strip in found.chosen(list(entries))]


def _dashed(text: str) -> str:
    return "-".join(text) or "nothing"


def _write_sheet(
    path: Path, found: Collection, chosen: list[Strip] | None, score: Score | None, show: int, *, boxes: bool
) -> str:
    """Write a contact sheet, and return what there is to be said of it. Raises RequestError, OSError."""
    from mnist_seq_cli.inspection import contact_sheet as sheets
    from mnist_seq_cli.storage import local

    cells: Iterable[sheets.Cell]
    if chosen is not None:
        count, cells = len(chosen), (sheets.Cell(strip, strip.caption) for strip in chosen)
    elif score is not None:
        worst = _worst(found, score, show)
        if not worst:
            return f"there is no wrong prediction to show, so {one_line(str(path), 200)} is not written"
        readings = ((strip, f"{strip.caption} > {'-'.join(entry['prediction'])}") for strip, entry in worst)
        count, cells = len(worst), (sheets.Cell(strip, label, True) for strip, label in readings)
    else:
        count = min(show, len(found))
        cells = (sheets.Cell(strip, strip.caption) for strip in found.strips(range(count)))
    local.write_whole(path, sheets.encode(sheets.draw(cells, boxes=boxes)), sync=False)
    return f"{one_line(str(path), 200)}: {count} strips"


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts) or len(parts) > 1000:
        raise RequestError(f"--index is {text!r}", hint="it is numbers of samples, as in 7 or 1,2,3")
    return list(map(int, parts))


def _own_source(source: str | None, labels: str | None) -> Source | None:
    from mnist_seq_cli.mnist import bank

    return None if source is None and labels is None else bank.find(source or "train", labels)


@cli.command()
@click.argument("sources", metavar="FILE|DIR...", nargs=-1, required=True)
@click.option(
    "-o", "--output", metavar="DIR|FILE", type=click.Path(path_type=Path), help="Where rows go: DIR/, .npz or .csv."
)
@click.option(
    "--as", "form", type=click.Choice(("png", "npz", "csv", "text")), help="Form of IDX rows.  [default: by -o]"
)
@click.option("--labels", metavar="LABELS", type=click.Path(path_type=Path), help="IDX labels of the rows.")
@click.option("--range", "span", metavar="A:B", default="", help="Only IDX rows A to B - 1, as in Python.")
@click.option("--digit", metavar="D", type=int, help="Only IDX rows with the label D.")
@click.option("-H", "--names", is_flag=True, help="Print the name of a single strip, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the reading of each strip as a line of JSON.")
@click.option(
    "--min-confidence",
    metavar="P",
    type=click.FloatRange(0, 1),
    help="Least chance of being right for strips read by likeness; 1 for exact only.  [default: 0.7]",
)
@click.option("--repair-labels", is_flag=True, help="Write labels.csv and metadata.jsonl of a dataset again.")
@source_option
@source_labels_option
def decode(
    sources: tuple[str, ...],
    output: Path | None,
    form: Any,
    labels: Path | None,
    span: str,
    digit: int | None,
    names: bool,
    as_json: bool,
    min_confidence: float | None,
    repair_labels: bool,
    source: str | None,
    source_labels: str | None,
) -> int:
    """Turn encoded files back into what they mean; - is stdin.

    A strip becomes its digits: an image file (PNG, JPEG and others), a folder of them, a dataset, a tar or npz file.
    One that stands as it was made is read exactly, by its glyphs in --source, whatever its layout. One whose ink was
    slanted, compressed, scaled or otherwise changed is read by likeness, and is left unread (exit 1) where that is not
    sure enough. IDX labels become digits, one a line. IDX images become PNG files, with --labels in a folder for each
    digit, one npz or CSV file, or text.

    \b
      mnistseq decode 1-2-3.png photo.jpg --json
      mnistseq decode out/ --min-confidence 1
      mnistseq decode out/ --repair-labels
      mnistseq generate 1-2-3 -o - | mnistseq decode -
      mnistseq dataset -n 1000 --len 4 --format webdataset -o - | mnistseq decode -
      find out/ -name '*.png' | xargs -n 1000 -P 4 mnistseq decode -H
      mnistseq decode data/t10k-images-idx3-ubyte --labels data/t10k-labels-idx1-ubyte -o digits/
      mnistseq decode data/t10k-images-idx3-ubyte --range :10 --as text | less
    """
    from itertools import chain, groupby

    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.mnist import bank
    from mnist_seq_cli.reading import transcribing
    from mnist_seq_cli.reading.transcribing import Strip
    from mnist_seq_cli.samples import idx_export

    if output is not None and len(sources) > 1:
        raise RequestError(f"{len(sources)} files do not go to one place, {output}", hint="decode them one by one")
    if labels is not None and len(sources) > 1:
        raise RequestError(f"{labels} cannot be the labels of {len(sources)} files", hint="decode them one by one")
    for_rows = output is not None or labels is not None or digit is not None or form is not None or bool(span)
    if repair_labels:
        if for_rows or as_json or names or min_confidence is not None or len(sources) > 1:
            raise RequestError("--repair-labels goes with one dataset, --source and --source-labels only")
        return _repair_labels(Path(sources[0]), _own_source(source, source_labels))
    place = bank.find(source or "all", source_labels)
    threshold = transcribing.MIN_CONFIDENCE if min_confidence is None else min_confidence
    known = None if labels is None else idx_export.read_labels(labels)

    def opened(name: str) -> tuple[str, Any]:
        if name == "-":
            return "stdin", transcribing.of_stream(_stdin(), "stdin", MAX_STDIN)
        return name, transcribing.of_path(name)

    code = DONE
    for are_strips, group in groupby(map(opened, sources), lambda entry: isinstance(entry[1], (Strip, Iterator))):
        if are_strips:
            name, first = next(group)
            if for_rows:
                hint = "these options are for IDX"
                raise RequestError(f"{one_line(name)} holds strips, whose digits go to stdout", hint=hint)
            contents = chain([first], (content for _, content in group))
            strips = chain.from_iterable([content] if isinstance(content, Strip) else content for content in contents)
            found = transcribing.transcribe(strips, place, threshold)
            named = names or len(sources) > 1 or not isinstance(first, Strip)
            code = max(code, _print_transcripts(found, as_json=as_json, named=named))
            continue
        for name, array in group:
            if names or as_json or min_confidence is not None:
                hint = "--names, --json and --min-confidence are for strips"
                raise RequestError(f"{one_line(name)} holds rows, not strips", hint=hint)
            lengths = idx_export.lengths_beside(Path(name), array)
            rows = idx_export.rows_of(array, name, span=span, labels=known, digit=digit, lengths=lengths)
            chosen = idx_export.form_of(rows, form, output)
            if chosen == "text" and rows.are_images:
                for places, images in rows.batches():
                    for number, image in zip(places, images, strict=True):
                        label = "" if known is None else f" {known[number]}"
                        terminal.print_strip(255 - image, f"{number}:{label}")
            else:
                _print_lines(idx_export.give_out(rows, chosen, output))
    return code


def _print_transcripts(transcripts: Iterable[Transcript], *, as_json: bool, named: bool) -> int:
    """Print what strips show, tell of those that could not be read, and return the exit code."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.reading import transcribing
    from mnist_seq_cli.reading.exact import Reading

    code, read, guesses = DONE, 0, list[tuple[float, str]]()

    def lines() -> Iterator[str]:
        nonlocal code, read
        for name, result in transcripts:
            if isinstance(result, MnistseqError):
                about = "" if isinstance(result, FormatError) else f"{one_line(name)}: "  # which names its file
                terminal.say(f"mnistseq: {about}{result}")
                code = max(code, EXIT_CODES[type(result)])
                continue
            read += 1
            if not isinstance(result, Reading):
                guesses.append((result.confidence, name))
            if as_json:
                yield json.dumps(transcribing.to_json(name, result))
            else:
                digits = format_sequence(result.digits)
                yield f"{one_line(name, MAX_PATH)}\t{digits}" if named else digits

    _print_lines(lines())
    if guesses:
        confidence, name = min(guesses)
        terminal.say(
            f"{len(guesses)} of {read} {'was' if len(guesses) == 1 else 'were'} read by likeness, not exactly; "
            f"the least sure: {one_line(name)}, {confidence:.2f}"
        )
    return code


def _print_lines(lines: Iterable[str]) -> None:
    """Print lines, many at a time; what was there before an error is printed too.

    No more at a time than a pipe takes at once, so that the lines of several programs at work on it stay whole.
    """
    waiting: list[str] = []
    size = 0
    try:
        for line in lines:
            length = len(line.encode(errors="surrogateescape")) + 1
            if waiting and size + length > PIPE_BYTES:
                click.echo("\n".join(waiting))
                waiting.clear()
                size = 0
            waiting.append(line)
            size += length
    finally:
        if waiting and not isinstance(sys.exc_info()[1], BrokenPipeError):
            click.echo("\n".join(waiting))


def _repair_labels(directory: Path, source: Source | None) -> int:
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.reading import relabel

    done = relabel.repair(directory, source)
    _print_lines(map(str, done.paths))
    for note in done.notes:
        terminal.say(note)
    return DONE


def _worker_count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 256:
        raise RequestError(f"--workers is {text!r}", hint="it is auto, or a number from 1 to 256")
    return int(text)


def _now() -> float:
    import time

    return time.perf_counter()


def _text_lines(path: str) -> Sequence[str]:
    from mnist_seq_cli.storage import local

    if path == "-":
        return _stdin_lines()
    try:
        with local.open_regular(Path(path)) as file:
            return file.read().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise FormatError(f"{path} is not text", hint="give one sequence a line") from None


def _stdin() -> BinaryIO:
    """Return what is piped in as a stream. Raises RequestError."""
    if sys.stdin is None:
        raise RequestError("stdin is closed", hint="pipe something in")
    return sys.stdin.buffer


def _stdin_bytes() -> bytes:
    """Return what is piped in, up to a size that no honest input has. Raises RequestError, FormatError."""
    content = _stdin().read(MAX_STDIN + 1)
    if len(content) > MAX_STDIN:
        raise FormatError(f"more than {MAX_STDIN >> 20} MiB come from stdin", hint="give the name of a file")
    return content


def _stdin_lines() -> Sequence[str]:
    try:
        return _stdin_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise FormatError("stdin is not text", hint="give one sequence a line") from None


def _write_stdout(pieces: Iterable[bytes], what: str) -> None:
    if sys.stdout is None:
        raise OutputError("stdout is closed", hint="give a file or a directory with -o")
    if sys.stdout.isatty():
        raise RequestError(f"{what} bytes would spoil the terminal", hint="send them to a file or a pipe")
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit code: the one place where an error becomes a message and a code."""
    try:
        code = cli.main(arguments, prog_name="mnistseq", standalone_mode=False)
        if sys.stdout is not None:  # which it is when it was closed before the start
            sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "mnistseq"
        return _complain(one_line(f"{error.format_message().rstrip('.')}; see {command} --help"), USAGE)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except MnistseqError as error:
        return _complain("\n".join([str(error), *getattr(error, "__notes__", [])]), EXIT_CODES[type(error)])
    except BrokenPipeError:
        _forget_stdout()
        return FAILED
    except OSError as error:
        reason = error.strerror or str(error)
        return _complain(one_line(f"{error.filename}: {reason}" if error.filename else reason), FAILED)
    except (KeyboardInterrupt, click.Abort) as error:
        import signal

        if error.args == (signal.SIGTERM,):
            return _complain("terminated", TERMINATED)
        return _complain("interrupted", INTERRUPTED)


def _complain(message: str, code: int) -> int:
    with suppress(OSError):  # a closed stderr: the exit code still tells
        click.echo(f"mnistseq: {message}", err=True)
    return code


def _forget_stdout() -> None:
    """Point stdout to nowhere, so that the interpreter does not stumble over the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run the program as `mnistseq`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text; and what a terminal has no characters for is better shown as ? than not at all.
        unicode = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "replace")
    gc.set_threshold(100_000)  # a short life makes little rubbish that counting references does not see
    code = run()
    if sys.gettrace() is None and sys.getprofile() is None:
        # All is written and closed; to take the interpreter apart would cost as much again as starting it.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # a stream that was closed
                stream.flush()
        os._exit(code)
    sys.exit(code)
