"""Owns `mnistseq dataset`: write many images, with their labels."""

from __future__ import annotations

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
from mnist_seq_cli.recipe.layers import merged, parted
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.appearance import PAPERS, Appearance
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, EVERYTHING, Glyphs
from mnist_seq_cli.recipe.parts.placement import Placement
from mnist_seq_cli.recipe.parts.writing import Writing
from mnist_seq_cli.recipe.presets import PRESET_NAMES, PRESETS
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import FORM_OPTIONS, Form
from mnist_seq_cli.storage.location import local_path

if TYPE_CHECKING:
    from mnist_seq_cli.recipe.layers import Layer
    from mnist_seq_cli.recipe.spec import Spec

_HEADINGS = headings_of(Form, Writing, Placement, Appearance, Glyphs, Request)
_LAYERED = {*options_of(Request), *FORM_OPTIONS, "layout", "splits", "split_by"}


_output_option = partial(grouped, heading="Output")


def _show_preset(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Print what a preset stands for, and end; whichever of the two options comes first."""
    context.meta[option.name] = value
    if context.meta.get("show") and context.meta.get("preset"):
        click.echo(PRESETS[context.meta["preset"]])
        context.exit()
    return value


@click.command(cls=GroupedCommand, headings=_HEADINGS)
@click_option(FORM_OPTIONS["samples"], "Output", "-n", "--samples")
@_output_option("-o", "--output", required=True, basic=True, metavar="DIR|-", help="Directory, or - for a tar stream.")
@format_option
@layout_option
@click_option(FORM_OPTIONS["compression"], "Output")
@click_option(FORM_OPTIONS["masks"], "Output")
@_output_option(
    "--split", "splits", metavar="NAME=N", multiple=True, basic=True, help="N images in a folder of that name."
)
@_output_option(
    "--split-by",
    type=click.Choice(("glyph", "label", "both")),
    help="What no two splits share: glyphs, sequences, or both.  [default: glyph]",
)
@_output_option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    is_eager=True,
    basic=True,
    callback=_show_preset,
    metavar="NAME",
    help=f"The options of a known dataset: {', '.join(PRESET_NAMES)}.",
)
@_output_option("--show", is_flag=True, is_eager=True, callback=_show_preset, help="Print the options of --preset.")
@_output_option(
    "--recipe", "recipe_file", metavar="FILE", help="Do as a recipe.json or a TOML file says; options change it."
)
@declared_options(Writing, Placement, Appearance, Glyphs, Request)
@click.option("--workers", metavar="auto|N", default="auto", help="Processes to use.  [default: auto]")
@click_option(FORM_OPTIONS["shard_size"], "Running")
@click.option("--overwrite", is_flag=True, help="Remove the dataset that is there, and begin anew.")
@click.pass_context
def dataset(
    context: click.Context, /, output: str, workers: str, overwrite: bool, preset: str | None, show: bool,
    recipe_file: str | None, **_: Any,
) -> None:  # fmt: skip
    """Write N images of digit sequences, with labels.csv and metadata.jsonl, to a
    directory: L random digits, the sequences of a file, or those of a pattern.

    The same command again finishes what was interrupted, and with a larger N makes
    the dataset grow. The seed is recorded in recipe.json, and shown at the end.

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
    if layer.get("format") == "png" and words.get("format") == "folders":
        del layer["format"]  # folders hold PNG files
    if recipe_file is not None:
        words = merged(
            words, _of_file(local_path(recipe_file, "read"), layer, bool(layer.get("splits", words.get("splits"))))
        )
    if layer.pop("layout", None) and words.get("format") == "folders":
        layer["format"] = "png"
    words = merged(words, layer)
    _check(words, layer, output)
    processes = _worker_count(workers)
    _prepare(output, words, processes)
    if "splits" in words:
        _build_splits(local_path(output), words, processes, overwrite)
    elif output == "-":
        _stream(words)
    else:
        _build(local_path(output), words, processes, overwrite)


def _layer(context: click.Context) -> dict[str, Any]:
    """Return what was typed as a layer of what is asked. Raises RequestError, FormatError, OSError."""
    layer = format_of({name: value for name, value in typed(context).items() if name in _LAYERED})
    if splits := layer.pop("splits", ()):
        from mnist_seq_cli.dataset.splits import parse_splits

        layer["splits"] = parse_splits(splits)
    if "sequences" in layer:
        name = layer["sequences"]
        layer["sequences"] = typed_sequences(name)
        if not layer["sequences"]:
            origin = "stdin" if name == "-" else name
            raise RequestError(f"there are no sequences in {origin}", hint="give one a line")
    return layer


def _of_preset(context: click.Context, name: str | None) -> Layer:
    """Return the layer of a preset: what its options ask for."""
    if name is None:
        return {}
    context = context.command.make_context("preset", [*PRESETS[name].split(), "-o", "-"])
    return _layer(context)


def _of_file(path: Path, layer: Layer, has_splits: bool) -> Layer:
    """Return the layer of a recipe in a file. Raises RequestError for custom files that `layer` does not name."""
    from mnist_seq_cli.mnist import background_image, bank
    from mnist_seq_cli.recipe import recipe_file

    words = recipe_file.read(path)
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
    if custom and "source_labels" in layer:
        name = layer["source"]
        if bank.load(bank.find(name, layer["source_labels"])).identity != words["source"]:
            raise RequestError(f"{path} is about other images than those in {name}", hint="give the same files")
    if has_splits:
        for name in ("pool", "label_pool"):
            if words.get(name, EVERYTHING) != EVERYTHING:
                raise RequestError(f"{path} takes a part already, with {name}", hint="leave it out for `splits`")
        words.pop("source", None)
    return words


def _check(words: Layer, layer: Layer, output: str) -> None:
    """Raise RequestError for what does not go together, and where it is not said what to write."""
    if "splits" in words:
        if "samples" in layer:
            raise RequestError("`samples` does not go with `splits`", hint="each split says how many it is to have")
        if output == "-":
            raise RequestError("splits are folders, and do not go to stdout", hint="give a directory with `output`")
    elif "split_by" in layer:
        raise RequestError("`split_by` says what splits do not share, and there are none", hint="give `splits`")
    if words.get("length") is None and not words.get("sequences") and not words.get("pattern"):
        raise RequestError("it is not said what to write", hint="give `length`, `sequences` or `pattern`")


def _prepare(output: str, words: Layer, workers: int | None) -> None:
    """Start the server that workers come from, where there are to be several; it loads while this process is busy."""
    from mnist_seq_cli.execution.runner import worker_count

    samples = max(words["splits"].values()) if "splits" in words else words.get("samples") or 0
    if output != "-" and worker_count(workers, samples) > 1:
        from mnist_seq_cli.execution.processes import prepare

        prepare()


def _build(output: Path, words: Layer, workers: int | None, overwrite: bool) -> None:
    """Make one dataset, and report it."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import build
    from mnist_seq_cli.dataset.request import source_of, spec_of

    request, form = parted(words)
    source = source_of(request)
    spec = spec_of(output, request, form, source, overwrite=overwrite)
    terminal.say_unused(spec.recipe)
    _say_notes(spec)
    watch = terminal.bar(spec.samples, "strips", lambda completed: completed.record.samples)
    started = perf_counter()
    summary = build.build(output, spec, source, workers=workers, overwrite=overwrite, watch=watch)
    terminal.say(terminal.summary_text(output, [spec], [summary], perf_counter() - started))


def _stream(words: Layer) -> None:
    """Write one dataset to stdout as a tar file."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset.request import source_of, spec_of
    from mnist_seq_cli.dataset.stream import stream

    request, form = parted(words)
    source = source_of(request)
    spec = spec_of(Path("-"), request, form, source, overwrite=True)
    terminal.say_unused(spec.recipe)
    write_stdout(stream(spec, source), "tar")
    terminal.say(f"seed {spec.recipe.seed}: with --seed {spec.recipe.seed} the same samples come again")


def _build_splits(output: Path, words: dict[str, Any], workers: int | None, overwrite: bool) -> None:
    """Make the splits one after the other, under one bar, and report them together."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.dataset import splits

    sizes = words["splits"]
    request, form = parted({name: value for name, value in words.items() if name != "samples"})
    has_source = "source" in words or "source_labels" in words
    whole, planned = splits.plan(
        output, sizes, words.get("split_by", "glyph"), request, form, has_source=has_source, overwrite=overwrite
    )
    terminal.say_unused(*(split.spec.recipe for split in planned))
    _say_notes(planned[0].spec)
    started = perf_counter()
    watch = terminal.bar(sum(sizes.values()), "strips", lambda completed: completed.record.samples)
    done = splits.build(output, whole, planned, workers=workers, overwrite=overwrite, watch=watch)
    specs = [split.spec for split in planned]
    terminal.say(terminal.summary_text(output, specs, done, perf_counter() - started, whole))


def _say_notes(spec: Spec) -> None:
    """Print what readers of the format will not take as it is."""
    from mnist_seq_cli import formats
    from mnist_seq_cli.cli import terminal

    for note in formats.get(spec.format).notes(spec):
        terminal.say(note)


def _worker_count(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 256:
        raise RequestError(f"`workers` is {text!r}", hint="it is auto, or a number from 1 to 256")
    return int(text)
