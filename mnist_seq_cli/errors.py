"""Owns the errors, and the exit code of each kind.

MnistseqError
├── RequestError      an impossible request: a width that does not work, a digit without glyphs     exit 2
├── FormatError       an input file that is not what it should be                                   exit 2
├── OutputError       the disk, the file system or a shard failed                                   exit 1
├── CheckError        a check failed                                                                exit 1
├── Interrupted       Ctrl-C                                                                        exit 130
└── Terminated        SIGTERM                                                                       exit 143

A message is one line that says what was requested and what is wrong; `hint` says what to do about it. Both use Python's
names, in backticks: `max_gap`, `align=left`. The command line prints them as flags.
"""

from __future__ import annotations

import warnings
from functools import cache


class MnistseqError(Exception):
    """The base class. Catch it to catch every error that this package raises on purpose."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = one_line(str(self.args[0]))
        return f"{message}; {one_line(self.hint)}" if self.hint else message


class RequestError(MnistseqError, ValueError):
    """The request is impossible."""


class FormatError(MnistseqError, ValueError):
    """An input is not what it claims to be."""


class OutputError(MnistseqError):
    """Something could not be written, or part of the work failed."""


class CheckError(MnistseqError):
    """A check failed, or a strip cannot be read."""


class Interrupted(MnistseqError):  # noqa: N818
    """The user stopped the work."""


class Terminated(MnistseqError):  # noqa: N818
    """The system stopped the work."""


def printable(text: str, kept: str = "\n\t") -> str:
    """Return `text` with all control characters escaped, except those to be `kept`."""
    return "".join(
        character if character.isprintable() or character in kept else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line(text: str, limit: int = 500) -> str:
    """Return `text` as one printable line of at most `limit` characters; other characters are escaped."""
    shown = printable(text[: limit + 1], kept="")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


@cache
def warn_once(message: str) -> None:
    """Warn about a problem that does not stop the work; once for each message."""
    warnings.warn(message, stacklevel=3)


DONE, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""All exit codes."""

EXIT_CODES: dict[type[MnistseqError], int] = {
    RequestError: USAGE,
    FormatError: USAGE,
    OutputError: FAILED,
    CheckError: FAILED,
    Interrupted: INTERRUPTED,
    Terminated: TERMINATED,
}
