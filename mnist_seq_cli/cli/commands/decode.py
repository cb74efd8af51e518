"""Owns `mnistseq decode`: read images back to digits, and convert IDX files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_seq_cli.cli import streams
from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import LocalPath, grouped, own_source, source_options
from mnist_seq_cli.cli.streams import MAX_PATH, print_lines, stdin
from mnist_seq_cli.errors import DONE, EXIT_CODES, FAILED, FormatError, MnistseqError, RequestError, one_line
from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.storage.location import local_path, located

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source
    from mnist_seq_cli.reading.transcribing import Transcript
    from mnist_seq_cli.samples.registry import Images

_HEADINGS = {
    "Strips": "Images of digit sequences, which are read.",
    "IDX rows": "Images and labels in IDX files, which are converted to files or text.",
    "Glyphs": "Which handwritten digits the strips were made of.",
    "Help": "How to get help.",
}


def _known_places(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        located(name, "read")
    return names


_strips = partial(grouped, heading="Strips")
_rows = partial(grouped, heading="IDX rows")
_FORMS = ("png", "npz", "csv", "text")
_FORM = f"Format of IDX rows: {', '.join(_FORMS)}.  [default: by -o]"
_OUTPUT = "Output for IDX rows: DIR/, .npz or .csv."
_LEAST = "Lowest confidence to accept for strips that are read approximately; 1: exact only.  [default: 0.7]"


@click.command(cls=GroupedCommand, headings=_HEADINGS)
@click.argument("names", metavar="FILE|DIR...", nargs=-1, required=True, callback=_known_places)
@_rows("-o", "--output", basic=True, metavar="DIR|FILE", type=LocalPath("write to"), help=_OUTPUT)
@_rows("--as", "form", basic=True, type=click.Choice(_FORMS), metavar="FORM", help=_FORM)
@_rows("--labels", metavar="LABELS", type=LocalPath(), help="IDX file with the labels of the rows.")
@_rows("--range", "span", basic=True, metavar="A:B", default="", help="Only IDX rows A to B - 1.")
@_rows("--digit", metavar="D", type=int, help="Only IDX rows with the label D.")
@_strips("-H", "--names", "with_names", is_flag=True, help="Print the file name even for a single strip.")
@_strips("--json", "as_json", basic=True, is_flag=True, help="Print each reading as a line of JSON.")
@_strips("--min-confidence", basic=True, metavar="P", type=click.FloatRange(0, 1), help=_LEAST)
@_strips("--repair-labels", is_flag=True, help="Restore labels.csv and metadata.jsonl of a png dataset.")
@source_options
def decode(**options: Any) -> int:
    """Read images back to digits, and convert IDX files; - is stdin.

    Strips are image files (PNG, JPEG and others), folders of them, datasets, tar or
    npz files. An unchanged strip is read exactly, by matching the glyphs of
    --source; any other is read approximately, or left unread (exit 1) if the
    confidence is too low. IDX labels are printed, one per line. IDX images become
    PNG files (with --labels in a folder per digit), an npz or CSV file, or text.

    \b
      mnistseq decode 1-2-3.png photo.jpg --json
      mnistseq decode out/ --min-confidence 1
      mnistseq generate 1-2-3 -o - | mnistseq decode -
      find out/ -name '*.png' | xargs -n 1000 -P 4 mnistseq decode -H
      mnistseq decode data/t10k-images-idx3-ubyte -o digits/
      mnistseq decode data/t10k-images-idx3-ubyte --range :10 --as text
    """
    asked = _Asked(**options)
    if asked.repair_labels:
        return _repair_labels(asked)
    if asked.output is not None and len(asked.names) > 1:
        problem = f"{len(asked.names)} files cannot all go to {asked.output}"
        raise RequestError(problem, hint="decode them one by one")
    if asked.labels is not None and len(asked.names) > 1:
        problem = f"{asked.labels} cannot be the labels of {len(asked.names)} files"
        raise RequestError(problem, hint="decode them one by one")
    return _decode(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options of the command."""

    names: tuple[str, ...]
    output: Path | None
    form: Any
    labels: Path | None
    span: str
    digit: int | None
    with_names: bool
    as_json: bool
    min_confidence: float | None
    repair_labels: bool
    source: str | None
    source_labels: str | None
    writers: str | None
    source_transposed: bool

    @property
    def is_for_rows(self) -> bool:
        """Whether options are for IDX rows."""
        return any(option is not None for option in (self.output, self.labels, self.digit, self.form)) or bool(
            self.span
        )

    @property
    def glyphs(self) -> Source | None:
        """The source that options name. Raises RequestError."""
        return own_source(self.source, self.source_labels, self.writers, transposed=self.source_transposed)

    @property
    def is_for_strips(self) -> bool:
        """Whether options are for strips."""
        return self.with_names or self.as_json or self.min_confidence is not None


def _decode(asked: _Asked) -> int:
    """Decode one file after the other; strips that follow each other are read together."""
    from mnist_seq_cli.samples import idx_export, registry
    from mnist_seq_cli.samples.registry import Images

    labels = None if asked.labels is None else idx_export.read_labels(asked.labels)

    def opened(name: str) -> tuple[str, Any]:
        if name == "-":
            return "stdin", registry.images_from(stdin(), "stdin", streams.MAX_STDIN)
        return name, registry.open_images(name)

    code = DONE
    for are_strips, group in groupby(map(opened, asked.names), lambda entry: isinstance(entry[1], Images)):
        if are_strips:
            code = max(code, _read_strips(asked, group))
        else:
            for name, array in group:
                _export_rows(asked, name, array, labels)
    return code


def _read_strips(asked: _Asked, group: Iterator[tuple[str, Images]]) -> int:
    """Print the digits of strips, and return the exit code."""
    from mnist_seq_cli.mnist import bank
    from mnist_seq_cli.reading import transcribing

    name, first = next(group)
    if asked.is_for_rows:
        raise RequestError(
            f"{one_line(name)} holds strips, whose digits go to stdout", hint="these options are for IDX"
        )
    strips = chain(first.images, chain.from_iterable(content.images for _, content in group))
    threshold = transcribing.MIN_CONFIDENCE if asked.min_confidence is None else asked.min_confidence
    transcripts = transcribing.transcribe(strips, asked.glyphs or bank.find("all"), threshold)
    named = asked.with_names or len(asked.names) > 1 or not first.is_one
    return _print_transcripts(transcripts, {*asked.names, "stdin"}, as_json=asked.as_json, named=named)


def _export_rows(asked: _Asked, name: str, array: Any, labels: Any) -> None:
    """Print the rows of an IDX file, or write them to files and print the paths."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.samples import idx_export

    if asked.is_for_strips or asked.glyphs is not None:
        hint = "`with_names`, `as_json`, `min_confidence` and `source` are for strips"
        raise RequestError(f"{one_line(name)} holds rows, not strips", hint=hint)
    rows = idx_export.select(array, name, asked.span, labels, asked.digit)
    form = idx_export.form_of(rows, asked.form, asked.output)
    if form == "text" and rows.are_images:
        for numbers, images in rows.batches():
            for number, image in zip(numbers, images, strict=True):
                label = "" if labels is None else f" {labels[number]}"
                terminal.print_strip(255 - image, f"{number}:{label}")
    else:
        print_lines(idx_export.export(rows, form, asked.output))


def _print_transcripts(transcripts: Iterable[Transcript], given: set[str], *, as_json: bool, named: bool) -> int:
    """Print what strips show, report those that could not be read, and return the exit code.

    A damaged file is wrong input where its name was `given`, and a failure where it was found in a folder or archive.
    """
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.cli.main import with_flags
    from mnist_seq_cli.reading import transcribing
    from mnist_seq_cli.reading.exact import Reading

    code, read, unread, guesses = DONE, 0, 0, list[tuple[float, str]]()

    def lines() -> Iterator[str]:
        nonlocal code, read, unread
        for name, result in transcripts:
            if isinstance(result, MnistseqError):
                about = "" if isinstance(result, FormatError) else f"{one_line(name)}: "  # which names its file
                terminal.print_message(f"mnistseq: {about}{with_flags(str(result))}")
                code = max(code, EXIT_CODES[type(result)] if name in given else FAILED)
                unread += name not in given
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
    if unread and unread + read > 1:
        terminal.print_message(f"{unread:,} of {unread + read:,} could not be read")
    if guesses:
        confidence, name = min(guesses)
        terminal.print_message(
            f"{len(guesses)} of {read} {'was' if len(guesses) == 1 else 'were'} read approximately, not exactly; "
            f"the least sure: {one_line(name)}, {confidence:.2f}"
        )
    return code


def _repair_labels(asked: _Asked) -> int:
    """Write the labels of a dataset again, and print the paths of the files."""
    from mnist_seq_cli.cli import terminal
    from mnist_seq_cli.reading import relabel

    if asked.is_for_rows or asked.is_for_strips or len(asked.names) > 1:
        raise RequestError("`repair_labels` goes with one dataset, `source` and `source_labels` only")
    done = relabel.repair(local_path(asked.names[0], "repair"), asked.glyphs)
    print_lines(map(str, done.paths))
    for note in done.notes:
        terminal.print_message(note)
    return DONE
