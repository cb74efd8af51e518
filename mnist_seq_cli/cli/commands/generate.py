"""Owns `mnistseq generate`: an image of each sequence that is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.errors import (
    RequestError,
)

if TYPE_CHECKING:
    pass
from mnist_seq_cli.cli.options import GroupedCommand, glyph_options, layout_options, masks_option
from mnist_seq_cli.cli.streams import stdin_lines, write_stdout


@click.command(cls=GroupedCommand)
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
        for sequence in (single_images.read_sequences(stdin_lines()) if text == "-" else [parse_sequence(text)])
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
        write_stdout(next(single_images.encode(plan, place)), "PNG")
    else:
        to_directory = output.endswith(("/", os.sep))
        for path in single_images.write(plan, Path(output), place, to_directory=to_directory, masks=masks):
            click.echo(path)
    if given is None:
        say(f"seed {seed}: with --seed {seed} the same images come again")
