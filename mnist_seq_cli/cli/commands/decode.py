"""Owns `mnistseq decode`: encoded files back to what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.errors import (
    DONE,
    EXIT_CODES,
    FormatError,
    MnistseqError,
    RequestError,
    one_line,
)
from mnist_seq_cli.recipe.options.notation import format_sequence

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.reading.transcribing import Transcript
from mnist_seq_cli.cli import streams
from mnist_seq_cli.cli.options import own_source, source_options
from mnist_seq_cli.cli.streams import MAX_PATH, print_lines, stdin


@click.command()
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
@source_options
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
        return _repair_labels(Path(sources[0]), own_source(source, source_labels))
    place = bank.find(source or "all", source_labels)
    threshold = transcribing.MIN_CONFIDENCE if min_confidence is None else min_confidence
    known = None if labels is None else idx_export.read_labels(labels)

    def opened(name: str) -> tuple[str, Any]:
        if name == "-":
            return "stdin", transcribing.of_stream(stdin(), "stdin", streams.MAX_STDIN)
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
                print_lines(idx_export.give_out(rows, chosen, output))
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

    print_lines(lines())
    if guesses:
        confidence, name = min(guesses)
        terminal.say(
            f"{len(guesses)} of {read} {'was' if len(guesses) == 1 else 'were'} read by likeness, not exactly; "
            f"the least sure: {one_line(name)}, {confidence:.2f}"
        )
    return code


def _repair_labels(directory: Path, source: Source | None) -> int:
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.reading import relabel

    done = relabel.repair(directory, source)
    print_lines(map(str, done.paths))
    for note in done.notes:
        terminal.say(note)
    return DONE
