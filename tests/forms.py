"""Owns how the command line is asked for a format, and the commands that it has."""

import click

from mnist_seq_cli.cli.main import cli


def form(name: str) -> list[str]:
    """Return the options for a format, and what may follow its name: `npz`, `png --masks`."""
    return ["--layout" if name == "folders" else "--format", *name.split()]


def commands() -> dict[str, click.Command]:
    """Return all commands by name."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
