"""Owns `mnistseq dataset`: many images of digit sequences, with their labels, in a directory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.codecs.compression import COMPRESSIONS
from mnist_seq_cli.errors import (
    RequestError,
)
from mnist_seq_cli.formats import FORMAT_NAMES, LAYOUTS
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS
from mnist_seq_cli.recipe.recipe import BUNDLED_SOURCES, EVERYTHING, PAPERS

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.cli.options import (
    GroupedCommand,
    glyph_options,
    layout_options,
    masks_option,
    split_options,
    typed,
    writing_options,
)
from mnist_seq_cli.cli.streams import text_lines, write_stdout


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


@click.command(cls=GroupedCommand)
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
    if samples is not None and "splits" not in typed(context):
        splits = ()  # those of a preset
    wanted_workers = _worker_count(workers)
    sizes = _split_sizes(splits, samples, output)
    if not sizes and "split_by" in typed(context):
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

        layout["sequences"] = read_sequences(text_lines(labels))
        if not layout["sequences"]:
            place_of_labels = "stdin" if labels == "-" else labels
            raise RequestError(f"there are no sequences in {place_of_labels}", hint="give one a line")
    wanted: dict[str, Any] = dict(
        samples=samples,
        format_name=_format(format_name, arrangement, typed(context)),
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

        for word in displaced(_as_words(typed(context))):
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
        write_stdout(datasets.stream(request, place), "tar")
        terminal.say(f"seed {request.recipe.seed}: with --seed {request.recipe.seed} the same samples come again")
        return
    watch = terminal.bar(request.samples, "strips", lambda settled: settled.record.samples)
    started = _now()
    summary = datasets.build(output, request, place, workers=wanted_workers, overwrite=overwrite, watch=watch)
    terminal.say(terminal.summary_text(output, request, summary, _now() - started))


def _as_words(options: Iterable[str]) -> set[str]:
    """Return the names of options as those of words for `dataset.request`."""
    names = {"no_repeat": "repeat", "labels": "sequences", "arrangement": "format_name"}
    return {names.get(name, name) for name in options}


def _from_recipe_file(
    path: Path, options: dict[str, Any], context: click.Context, source: str | None
) -> tuple[dict[str, Any], str | None]:
    """Return what a file asks for, changed by the options that were typed; and the source."""
    from mnist_seq_cli.recipe import recipe_file

    given = typed(context, preset=True)
    words = recipe_file.read(path)
    is_other = words.get("format_name") != "folders" and "format_name" not in given
    if is_other and context.params["arrangement"] == "shards":
        given.discard("arrangement")  # which is how other formats are anyway
    words_typed = _as_words(given)
    if words.get("paper", "plain") not in PAPERS:
        _check_paper(path, words["paper"], context.params["paper"] if "paper" in words_typed else None)
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
    return recipe_file.changed(words, {name: value for name, value in options.items() if name in words_typed}), source


def _check_paper(path: Path, own: str, given: str | None) -> None:
    """Raise RequestError unless the paper of a recipe in a file is the one that is given, or another kind is.

    Raises FormatError, OSError for a picture that cannot be read.
    """
    if given is None:
        raise RequestError(f"{path} is about a paper of your own", hint="give the picture with --paper")
    from mnist_seq_cli.mnist import background_image

    if given not in PAPERS and background_image.read(Path(given)).identity != own:
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


def _worker_count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 256:
        raise RequestError(f"--workers is {text!r}", hint="it is auto, or a number from 1 to 256")
    return int(text)


def _now() -> float:
    import time

    return time.perf_counter()
