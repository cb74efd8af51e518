"""Owns `mnistseq dataset`: write many images with labels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import (
    click_option,
    declared_options,
    format_of,
    format_option,
    grouped,
    headings_of,
    layout_option,
    typed,
)
from mnist_seq_cli.cli.streams import typed_sequences, write_stdout
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.execution.runner import Runner
from mnist_seq_cli.execution.runners import RUNNERS, check_runner, opened
from mnist_seq_cli.formats import LAYOUTS
from mnist_seq_cli.recipe.layers import merged, parted
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.appearance import PAPERS, Appearance
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, EVERYTHING, Glyphs
from mnist_seq_cli.recipe.parts.placement import Placement
from mnist_seq_cli.recipe.parts.writing import Writing
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import ANNOTATION_NAMES, FORM_OPTIONS, RECIPE_NAME, Form
from mnist_seq_cli.storage.location import located, open_store

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.recipe.layers import Layer
    from mnist_seq_cli.recipe.spec import Spec
    from mnist_seq_cli.storage.location import PathOrStore

Running = Callable[[int], AbstractContextManager[Runner | None]]
"""Opens the runner for a number of samples."""

_HEADINGS = headings_of(Form, Writing, Placement, Appearance, Glyphs, Request)
_LAYERED = {*options_of(Request), *FORM_OPTIONS, "layout", "splits", "split_by"}


_output_option = partial(grouped, heading="Output")


def _show_preset(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Print the options of a preset, and exit; whichever of the two options comes first."""
    context.meta[option.name] = value
    if context.meta.get("show") and context.meta.get("preset"):
        click.echo(PRESETS[context.meta["preset"]])
        context.exit()
    return value


@click.command(cls=GroupedCommand, headings=_HEADINGS)
@click_option(FORM_OPTIONS["samples"], "Output", "-n", "--samples")
@_output_option(
    "-o", "--output", required=True, basic=True, metavar="DIR|-", help="Directory, s3://bucket/path, or - (tar stream)."
)
@format_option
@layout_option
@click_option(FORM_OPTIONS["compression"], "Output")
@click_option(FORM_OPTIONS["masks"], "Output")
@click_option(
    FORM_OPTIONS["annotations"], "Output", "--annotations", multiple=True, type=click.Choice(ANNOTATION_NAMES)
)
@click_option(FORM_OPTIONS["names"], "Output", type=click.Choice(("mnist",)))
@_output_option(
    "--split",
    "splits",
    metavar="NAME=N",
    multiple=True,
    basic=True,
    help="N images in folder NAME; repeat it for each split.",
)
@_output_option(
    "--split-by",
    type=click.Choice(("glyph", "writer", "label", "both")),
    help="What splits must not share; both: glyphs and sequences.  [default: glyph]",
)
@_output_option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    is_eager=True,
    basic=True,
    callback=_show_preset,
    metavar="NAME",
    help=f"Options of a well-known dataset: {', '.join(PRESET_NAMES)}.",
)
@_output_option("--show", is_flag=True, is_eager=True, callback=_show_preset, help="Print the options of --preset.")
@_output_option(
    "--recipe",
    "recipe_file",
    metavar="FILE",
    help="Take options from a recipe.json or TOML file; typed ones override them.",
)
@declared_options(Writing, Placement, Appearance, Glyphs, Request)
@click.option("--workers", metavar="auto|N", default="auto", help="Number of processes.  [default: auto]")
@grouped(
    "--runner", heading="Running", metavar="NAME", default="processes",
    help=f"Where to run: {', '.join(RUNNERS)}.  [default: processes]",
)  # fmt: skip
@click_option(FORM_OPTIONS["shard_size"], "Running")
@grouped("--slice", "part", heading="Running", metavar="K/N", help="Make slice K of N, counted from 0.")
@grouped("--dry-run", heading="Running", is_flag=True, help="Make one shard in memory, and print what all would take.")
@click.option("--overwrite", is_flag=True, help="Remove the existing dataset, and start over.")
@click.pass_context
def dataset(
    context: click.Context, /, output: str, workers: str, runner: str, part: str | None, dry_run: bool, overwrite: bool,
    preset: str | None, show: bool, recipe_file: str | None, **_: Any,
) -> None:  # fmt: skip
    """Write N images of digit sequences to a directory, with labels.csv and
    metadata.jsonl: L random digits each, or the sequences of a file or a pattern.

    Run the same command again to finish an interrupted dataset, or with a larger N
    to add samples. The seed is saved in recipe.json and printed at the end.

    \b
      mnistseq dataset -n 10000 --len 4 -o out/
      mnistseq dataset -n 60000 --len 5 --max 8 --seed 1 -o train/
      mnistseq dataset --split train=50000 --split test=5000 --len 5 -o parts/
      mnistseq dataset -n 1000000 --len 2-8 --format webdataset -o - | ...
    """  # noqa: D205
    if show:
        raise RequestError("`show` prints the options of a preset", hint="give `preset`")
    layer = _layer(context)
    words = _of_preset(context, preset)
    if layer.get("format") == "png" and words.get("format") in LAYOUTS:
        del layer["format"]  # they hold PNG files
    only_annotations = recipe_file is None and not words and {"annotations"} == layer.keys() and output != "-"
    if only_annotations and open_store(output).size(RECIPE_NAME) is not None:
        recipe_file = f"{output}/{RECIPE_NAME}"  # they are added to what is there
    if recipe_file is not None:
        words = merged(words, _of_file(recipe_file, layer, bool(layer.get("splits", words.get("splits")))))
    if layer.pop("layout", None) and words.get("format") in LAYOUTS:
        layer["format"] = "png"
    words = merged(words, layer)
    _check(words, layer, output)
    count = _worker_count(workers)
    slice_ = None if part is None else _slice(part, words, output)
    if dry_run:
        _estimate(output, words, count, slice_, overwrite)
        return
    if runner != "processes":
        check_runner(runner, count)
        if output == "-":
            raise RequestError("a stream is made by one process, without `runner`", hint="give a directory")
    else:
        _prepare(output, words, count)
    running = partial(opened, runner, count)
    if "splits" in words:
        _build_splits(located(output), words, running, count, overwrite)
    elif output == "-":
        _stream(words)
    else:
        _build(located(output), words, running, count, slice_, overwrite)


def _layer(context: click.Context) -> dict[str, Any]:
    """Return the typed options as a layer. Raises RequestError, FormatError, OSError."""
    layer = format_of({name: value for name, value in typed(context).items() if name in _LAYERED})
    if splits := layer.pop("splits", ()):
        from mnist_seq_cli.dataset.splits.asked import parse_splits

        layer["splits"] = parse_splits(splits)
    if "sequences" in layer:
        name = layer["sequences"]
        layer["sequences"] = typed_sequences(name)
        if not layer["sequences"]:
            origin = "stdin" if name == "-" else name
            raise RequestError(f"there are no sequences in {origin}", hint="give one a line")
    return layer


def _of_preset(context: click.Context, name: str | None) -> Layer:
    """Return the options of a preset as a layer."""
    if name is None:
        return {}
    context = context.command.make_context("preset", [*PRESETS[name].split(), "-o", "-"])
    return _layer(context)


def _read_recipe(name: str) -> dict[str, Any]:
    """Return the layer of a recipe in a file, or beside a dataset in an object store."""
    from mnist_seq_cli.recipe import recipe_file
    from mnist_seq_cli.recipe.options.bounds import MAX_FILE

    path = located(name, "read")
    if isinstance(path, Path):
        return recipe_file.read(path)
    folder, _, last = name.rpartition("/")
    store = open_store(folder)
    with store.open(last) as file:
        return recipe_file.parse(file.read(MAX_FILE), name, store.open)


def _of_file(path: str, layer: Layer, has_splits: bool) -> Layer:
    """Return the layer of a recipe in a file. Raises RequestError for custom files that `layer` does not name."""
    from mnist_seq_cli.mnist import background_image, bank

    words = _read_recipe(path)
    if words.get("paper", "plain") not in PAPERS:
        if "paper" not in layer:
            raise RequestError(f"{path} is about a custom background", hint="give the picture with `paper`")
        if layer["paper"] not in PAPERS and background_image.read(Path(layer["paper"])).identity != words["paper"]:
            raise RequestError(
                f"{path} is about another background than {layer['paper']}", hint="give the same picture"
            )
    custom = words.get("source", "train") not in BUNDLED_SOURCES
    if custom and "source" not in layer:
        raise RequestError(f"{path} is about custom images", hint="give them with `source` and `source_labels`")
    if custom and layer["source"] not in BUNDLED_SOURCES:
        name, labels, writers = layer["source"], layer.get("source_labels"), layer.get("writers")
        given = bank.find(name, labels, writers=writers, transposed=layer.get("source_transposed", False))
        if bank.load(given).identity != words["source"]:
            raise RequestError(f"{path} is about other images than those in {name}", hint="give the same files")
    if has_splits:
        for name in ("pool", "writer_pool", "label_pool"):
            if words.get(name, EVERYTHING) != EVERYTHING:
                raise RequestError(f"{path} takes a part already, with {name}", hint="leave it out for `splits`")
        words.pop("source", None)
    return words


def _check(words: Layer, layer: Layer, output: str) -> None:
    """Raise RequestError for options that do not go together, and where nothing says what to write."""
    if "splits" in words:
        if "samples" in layer:
            raise RequestError("`samples` does not go with `splits`", hint="each split says how many it is to have")
        if output == "-":
            raise RequestError("splits are folders, and do not go to stdout", hint="give a directory with `output`")
    elif "split_by" in layer:
        raise RequestError("`split_by` says what splits do not share, and there are none", hint="give `splits`")
    is_ordered = layer.get("label_order", "shuffled") != "shuffled"
    if is_ordered and words.get("split_by") not in ("label", "both") and "label_pool" not in words:
        raise RequestError(
            "`label_order` is about parts of all sequences", hint="give `split_by=label`, or leave it out"
        )
    if words.get("length") is None and not words.get("sequences") and not words.get("pattern"):
        raise RequestError("it is not clear what to write", hint="give `length`, `sequences` or `pattern`")


def _slice(text: str, words: Layer, output: str) -> Slice:
    """Return the slice K/N. Raises RequestError for a request that machines cannot share."""
    part = Slice.parse(text)
    if "splits" in words or output == "-":
        raise RequestError(
            f"`part` does not go with {'`splits`' if 'splits' in words else 'stdout'}", hint="leave it out"
        )
    if words.get("seed") is None:
        raise RequestError("`part` needs a seed: each machine would sample another one", hint="give `seed`")
    return part


def _prepare(output: str, words: Layer, workers: int | None) -> None:
    """Start the server that workers come from, if there are to be several; it loads while this process is busy."""
    from mnist_seq_cli.execution.runner import worker_count

    samples = max(words["splits"].values()) if "splits" in words else words.get("samples") or 0
    if output != "-" and worker_count(workers, samples) > 1:
        from mnist_seq_cli.execution.processes import prepare

        prepare()


def _build(
    output: PathOrStore, words: Layer, running: Running, workers: int | None, part: Slice | None, overwrite: bool
) -> None:
    """Make one dataset, and report it."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build

    spec, source = _spec(output, words, overwrite)
    _print_notes((spec, source))
    samples = spec.samples if part is None else spec.plan.samples_of(part.shards(spec.plan))
    watch = terminal.bar(samples, "strips", lambda completed: completed.record.samples)
    with running(samples) as run:
        started = perf_counter()
        summary = build.build(
            output, spec, source, run=run, workers=workers, part=part, overwrite=overwrite, watch=watch
        )
    took = perf_counter() - started
    text = terminal.summary_text(output, [spec], [summary], took)
    terminal.print_message(text if part is None else terminal.slice_text(output, spec, part, summary, took))


def _estimate(output: str, words: Layer, workers: int | None, part: Slice | None, overwrite: bool) -> None:
    """Print what a dataset would take. Raises RequestError for several of them, and a stream."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.estimate import estimate
    from mnist_seq_cli.execution.runner import worker_count

    if "splits" in words or output == "-":
        other = "`splits`" if "splits" in words else "stdout"
        raise RequestError(f"`dry_run` does not go with {other}", hint="ask for one dataset in a directory")
    path = located(output)
    spec, source = _spec(path, words, overwrite)
    found = estimate(path, spec, source, part=part)
    terminal.print_message(terminal.estimate_text(path, spec, found, worker_count(workers, found.samples)))


def _stream(words: Layer) -> None:
    """Write one dataset to stdout as a tar file."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.shards import stream

    spec, source = _spec(Path("-"), words, overwrite=True)
    _print_notes((spec, source))
    write_stdout(stream(spec, source), "tar")
    terminal.print_message(f"seed {spec.recipe.seed}: --seed {spec.recipe.seed} makes the same samples again")


def _build_splits(
    output: PathOrStore, words: dict[str, Any], running: Running, workers: int | None, overwrite: bool
) -> None:
    """Make the splits one after the other, under one bar, and report them together."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.splits import build

    sizes = words["splits"]
    request, form = parted({name: value for name, value in words.items() if name != "samples"})
    has_source = "source" in words or "source_labels" in words
    whole, planned = build.plan(
        output, sizes, words.get("split_by", "glyph"), request, form, has_source=has_source, overwrite=overwrite
    )
    _print_notes(*((split.spec, split.source) for split in planned))
    watch = terminal.bar(sum(sizes.values()), "strips", lambda completed: completed.record.samples)
    with running(max(sizes.values())) as run:
        started = perf_counter()
        done = build.build(output, whole, planned, run=run, workers=workers, overwrite=overwrite, watch=watch)
    specs = [split.spec for split in planned]
    terminal.print_message(terminal.summary_text(output, specs, done, perf_counter() - started, whole))


def _spec(output: PathOrStore, words: Layer, overwrite: bool) -> tuple[Spec, Source]:
    """Return the spec of one dataset, and the source of its glyphs. Raises RequestError, FormatError, OSError."""
    from mnist_seq_cli.dataset.request import source_of, spec_of

    request, form = parted(words)
    source = source_of(request)
    return spec_of(output, request, form, source, overwrite=overwrite), source


def _print_notes(*made: tuple[Spec, Source]) -> None:
    """Print what a user may not expect of the glyphs and of the format."""
    from mnist_seq_cli import formats
    from mnist_seq_cli.cli import terminal

    terminal.print_glyph_notes(*((spec.recipe, source) for spec, source in made))
    spec, _ = made[0]
    for note in formats.get(spec.format).notes(spec):
        terminal.print_message(note)


def _worker_count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 256:
        raise RequestError(f"`workers` is {text!r}", hint="it is auto, or a number from 1 to 256")
    return int(text)
