"""Owns `mnistseq generate`: write an image of each sequence."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import click

from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import click_option, declared_options, grouped, headings_of, typed
from mnist_seq_cli.cli.streams import ClosedStdout, print_lines, typed_sequences, write_stdout
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.parts.appearance import Appearance
from mnist_seq_cli.recipe.parts.glyphs import Glyphs
from mnist_seq_cli.recipe.parts.placement import Placement
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import FORM_OPTIONS, Form
from mnist_seq_cli.storage.location import local_path

_HEADINGS = headings_of(Form, Placement, Appearance, Glyphs, Request)
_output_option = partial(grouped, heading="Output", basic=True)


@click.command(cls=GroupedCommand, headings=_HEADINGS)
@click.argument("texts", metavar="SEQUENCE...", nargs=-1, required=True)
@_output_option("-o", "--output", default=".", metavar="FILE|DIR|-", help="PNG file, directory, or - for stdout.")
@_output_option("--count", type=int, metavar="K", default=1, show_default=True, help="Images per sequence.")
@click_option(FORM_OPTIONS["masks"], "Output")
@declared_options(Placement, Appearance, Glyphs, Request)
@click.pass_context
def generate(context: click.Context, /, texts: tuple[str, ...], output: str, count: int, masks: bool, **_: Any) -> None:
    """Write an image of each SEQUENCE as a PNG file, and print its path.

    Write a sequence as 1-2-3, 123, 1,2,3 or '1 2 3'; with -, sequences are read
    from stdin, one per line. Files are named after the sequence: 1-2-3.png, or
    1-2-3_0.png and so on with --count. Masks are named 1-2-3.mask.png.

    \b
      mnistseq generate 1-2-3 --min 0 --max 10 --width 100
      mnistseq generate 2025 --max 6 --seed 7 -o year.png
      seq -w 0 99 | mnistseq generate - -o pairs/
      mnistseq generate 1-2-3 -o - | mnistseq decode -
    """
    from mnist_seq_cli.cli.terminal import print_glyph_notes, print_message
    from mnist_seq_cli.recipe.options.notation import parse_sequence
    from mnist_seq_cli.recipe.options.option import options_of
    from mnist_seq_cli.samples import single_images

    asked = {name: value for name, value in typed(context).items() if name in options_of(Request)}
    sequences = [
        sequence for text in texts for sequence in (typed_sequences("-") if text == "-" else [parse_sequence(text)])
    ]
    request = Request.of(asked)
    prepared = single_images.prepare(sequences, request, count=count)
    print_glyph_notes(*((image.recipe, prepared.source) for image in prepared.images))
    if output == "-":
        if len(prepared.images) > 1:
            raise RequestError(
                f"{len(prepared.images)} images do not go to stdout, only one does",
                hint="give a directory with `output`",
            )
        if masks:
            raise RequestError(
                "an image and its mask are two files, and do not go to stdout", hint="give a file with `output`"
            )
        write_stdout(next(single_images.encode(prepared)), "PNG")
    else:
        to_directory = output.endswith(("/", os.sep))
        for path in single_images.write(prepared, local_path(output), to_directory=to_directory, masks=bool(masks)):
            if not isinstance(sys.stdout, ClosedStdout):  # the image is where it was asked for
                print_lines([str(path)])
    if "seed" not in asked:
        print_message(f"seed {prepared.seed}: --seed {prepared.seed} makes the same images again")
