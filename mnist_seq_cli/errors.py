"""Owns everything that can go wrong, and the exit code that each kind of it ends with.

MnistseqError
├── RequestError      what was asked for cannot be: an impossible width, a digit the bank lacks     exit 2
├── FormatError       a file that was given is not what it should be                                exit 2
├── OutputError       the disk, the file system or a shard failed                                   exit 1
├── CheckError        a check was made and does not hold                                            exit 1
├── Interrupted       Ctrl-C                                                                        exit 130
└── Terminated        SIGTERM                                                                       exit 143

A message is one line that says what was asked and what is wrong; `hint` says what to do about it. Both name what was
asked for as Python does, in backticks: `max_gap`, `align=left`. The command line prints flags in their place.
"""

from __future__ import annotations

import warnings
from functools import cache


class MnistseqError(Exception):
    """The root of the tree. Catch it to catch everything this package raises on purpose."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = one_line(str(self.args[0]))
        return f"{message}; {one_line(self.hint)}" if self.hint else message


class RequestError(MnistseqError, ValueError):
    """What was asked for cannot be done."""


class FormatError(MnistseqError, ValueError):
    """Bytes that were given are not what they claim to be."""


class OutputError(MnistseqError):
    """Something could not be written, or a part of the work failed."""


class CheckError(MnistseqError):
    """A check was made, and it does not hold."""


class Interrupted(MnistseqError):  # noqa: N818
    """A person stopped the work."""


class Terminated(MnistseqError):  # noqa: N818
    """The system stopped the work."""


def printable(text: str, kept: str = "\n\t") -> str:
    """Return `text` with all that a terminal would act on escaped, but for the characters to be `kept`."""
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
    """Warn of something that is not as it should be and is gone on with; of the same thing once."""
    warnings.warn(message, stacklevel=3)


DONE, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""The exit codes: all of them."""

EXIT_CODES: dict[type[MnistseqError], int] = {
    RequestError: USAGE,
    FormatError: USAGE,
    OutputError: FAILED,
    CheckError: FAILED,
    Interrupted: INTERRUPTED,
    Terminated: TERMINATED,
}
