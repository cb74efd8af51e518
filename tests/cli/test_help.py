"""The help: in two depths, on 80 columns, with every option in exactly one group."""

from collections.abc import Callable
from typing import Any

import click
import pytest
from forms import commands

from mnist_seq_cli.cli.help import GroupedCommand

Run = Callable[..., Any]
GROUPED = [name for name, command in commands().items() if isinstance(command, GroupedCommand)]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def options_of(name: str) -> dict[str, click.Option]:
    command = commands()[name]
    return {option.opts[-1]: option for option in command.params if isinstance(option, click.Option)}


@pytest.mark.parametrize("name", ["", *commands()])
def test_the_short_help_fits_a_screen(name: str, mnistseq: Run) -> None:
    lines = mnistseq(*([name] if name else []), "--help").out.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines[1:] if "mnistseq" not in line)


@pytest.mark.parametrize("name", GROUPED)
def test_the_short_help_has_the_basic_options_and_the_names_of_the_groups(name: str, mnistseq: Run) -> None:
    command = commands()[name]
    assert isinstance(command, GroupedCommand)
    text = " ".join(mnistseq(name, "--help").out.split())
    for flag, option in options_of(name).items():
        if getattr(option, "heading", ""):
            assert (f" {flag}" in text.partition("Options:")[2]) >= option.basic
    for heading in {command.heading_of(option) for option in command.params if isinstance(option, click.Option)}:
        assert heading in text.partition("GROUP, one of")[2]


@pytest.mark.parametrize("name", GROUPED)
def test_all_options_are_shown_once_under_their_headings(name: str, mnistseq: Run) -> None:
    command = commands()[name]
    assert isinstance(command, GroupedCommand)
    done = mnistseq(name, "--help-all")
    assert done.code == 0
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    start = next(number for number, line in enumerate(lines) if line.removesuffix(":") in command.headings)
    shown = [line.split()[0].strip(",") for line in lines[start:] if line.startswith("  -")]
    for option in options_of(name).values():
        assert shown.count(option.opts[0]) == 1
    heading = ""
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            heading = line.removesuffix(":")
        elif line.startswith("  -") and heading:
            flag = line.split()[0].strip(",")
            offered = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
            (option,) = (option for option in offered if flag in option.opts)
            assert command.heading_of(option) == heading


@pytest.mark.parametrize("name", GROUPED)
def test_one_group_is_shown_alone(name: str, mnistseq: Run) -> None:
    command = commands()[name]
    assert isinstance(command, GroupedCommand)
    context = click.Context(command)
    for heading, about in command.headings.items():
        if not command.rows(context, heading):
            continue
        done = mnistseq(name, "--help-all", heading.lower().split()[0])
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{heading}:\n  {about}\n\n  -")
        assert sum(line.endswith(":") and not line.startswith(" ") for line in done.out.splitlines()) == 1
    done = mnistseq(name, "--help-all", "colours")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "'colours' is none of " in done.err
