"""Owns what a command did, as tests see it."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """The exit code of a command, and what it wrote to stdout and to stderr."""

    code: int
    out: str
    err: str
