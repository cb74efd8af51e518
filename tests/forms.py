"""Owns how the command line is asked for a format, which formats can be tested here, and the commands that it has."""

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from typing import Any

import click
import pytest

from mnist_seq_cli.cli.main import cli
from mnist_seq_cli.formats import FORMAT_NAMES, LAYOUTS

_NEEDED = {"parquet": "pyarrow", "torchmeta": "h5py"}

MISSING = [name for name, library in _NEEDED.items() if not find_spec(library)]
FORMATS = tuple(name for name in FORMAT_NAMES if name not in MISSING)
"""The formats that can be written here: those whose library is installed."""

UNLIKE_FORMATS = ("png", "folders", "webdataset", "npz", "idx")
"""A format for each way to store shards: many files, one of each, in place, or joined. The others are alike."""


def parameters(forms: Iterable[str], quick: Collection[str] | None = None) -> list[Any]:
    """Return formats, as parameters that are skipped where their library is not installed; more may follow the name.

    Those that are not `quick`, where some are, are tried with `-m slow` alone.
    """
    missing = pytest.mark.skip("needs a library: pip install -e '.[hdf5,parquet]'")
    marks = {
        form: [missing] * (form.split()[0] in MISSING) + [pytest.mark.slow] * (quick is not None and form not in quick)
        for form in forms
    }
    return [pytest.param(form, marks=marks[form]) for form in marks]


def form(name: str) -> list[str]:
    """Return the options for a format, and what may follow its name: `npz`, `png --masks`."""
    return ["--layout" if name.split()[0] in LAYOUTS else "--format", *name.split()]


def commands() -> dict[str, click.Command]:
    """Return all commands by name."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
