"""Owns stdin and stdout: what is piped in, and what is printed without spoiling a pipe or a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO

import click

from mnist_seq_cli.errors import FormatError, OutputError, RequestError, printable

if TYPE_CHECKING:
    from mnist_seq_cli.recipe.options.sequences import Sequences

MAX_STDIN = 128 << 20
"""Bytes that are taken from stdin, at most, where all of them have to be held."""

MAX_PATH = 32_768
"""Characters of a path that are printed, at most: as many as a path can have."""

PIPE_BYTES = 4096
"""Bytes that a pipe takes at once, so that no other program's come between them."""


class ClosedStdout(io.TextIOBase):
    """What stdout is when it was closed before the start: what has data for it fails, and the rest does not."""

    def write(self, text: str) -> int:
        """Raise OutputError, unless there is nothing to write."""
        if text:
            raise OutputError("stdout is closed", hint="send it to a file or a pipe")
        return 0

    @property
    def buffer(self) -> BinaryIO:
        """Raise OutputError."""
        raise OutputError("stdout is closed", hint="send it to a file or a pipe")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, many at a time; those before an error are printed too.

    No more at a time than a pipe takes at once, so that the lines of several programs that share it stay whole.
    """
    waiting: list[str] = []
    size = 0
    try:
        on_terminal = sys.stdout.isatty()
        for line in lines:
            line = printable(line, kept="\t") if on_terminal else line  # what reads a pipe gets it exactly
            length = len(line.encode(errors="surrogateescape")) + 1
            if waiting and size + length > PIPE_BYTES:
                click.echo("\n".join(waiting), color=True)
                waiting.clear()
                size = 0
            waiting.append(line)
            size += length
    finally:
        if waiting and not isinstance(sys.exc_info()[1], BrokenPipeError):
            click.echo("\n".join(waiting), color=True)  # or escapes would be taken out of names


def typed_sequences(path: str) -> Sequences:
    """Return the sequences in a text file or a pipe, or in stdin for `-`: one a line, a table, or JSON lines.

    Raises RequestError, FormatError, OSError.
    """
    from mnist_seq_cli.inputs import open_once
    from mnist_seq_cli.recipe.options.label_files import as_plain
    from mnist_seq_cli.recipe.options.sequences import blocks_in, read_sequences
    from mnist_seq_cli.storage.location import local_path

    name = "stdin" if path == "-" else path

    def blocks(file: BinaryIO) -> Iterator[bytes]:
        size = 0
        for block in blocks_in(file):
            size += len(block)
            if size > MAX_STDIN:
                raise FormatError(f"{name} has more than {MAX_STDIN >> 20} MiB of sequences", hint="give fewer")
            yield block

    try:
        with nullcontext(stdin()) if path == "-" else open_once(local_path(path, "read")) as file:
            return read_sequences(as_plain(blocks(file)))
    except UnicodeDecodeError:
        raise FormatError(f"{name} is not text", hint="give one sequence a line") from None


def stdin() -> BinaryIO:
    """Return stdin as a stream of bytes. Raises RequestError where it is closed."""
    if sys.stdin is None:
        raise RequestError("stdin is closed", hint="pipe something in")
    return sys.stdin.buffer


def write_stdout(pieces: Iterable[bytes], what: str) -> None:
    """Write bytes to stdout, which is no terminal. Raises OutputError, RequestError, OSError."""
    if sys.stdout.isatty():
        raise RequestError(f"{what} bytes would spoil the terminal", hint="send them to a file or a pipe")
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
