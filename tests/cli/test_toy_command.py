"""A command is one file: a toy one, put beside the others, has its help, runs, and its errors end as all errors do."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnist_seq_cli.cli import commands
from mnist_seq_cli.errors import EXIT_CODES

Run = Callable[..., tuple[int, str, str]]

TOY = '''
"""Owns `mnistseq sum`: the sum of the digits of a sequence."""

import click

from mnist_seq_cli import errors
from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import grouped


@click.command(cls=GroupedCommand, headings={"Toys": "What is toyed with."}, short_help="Add digits up.")
@click.argument("sequence")
@grouped("--most", "largest", heading="Toys", basic=True, type=int, metavar="N", help="Largest sum.")
@grouped("--fails-with", "failure", heading="Toys", metavar="ERROR", help="Fail on purpose.")
def sum(sequence: str, largest: int | None, failure: str | None) -> int:
    """Print the sum of the digits of SEQUENCE."""
    if failure == "OSError":
        raise FileNotFoundError(2, "No such file or directory", "toys")
    if failure == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if failure == "SIGTERM":
        raise KeyboardInterrupt(15)
    if failure is not None:
        raise getattr(errors, failure)("a toy broke", hint="give `largest=9`, or another `seed`")
    total = builtins_sum(map(int, sequence.split("-")))
    if largest is not None and total > largest:
        raise errors.CheckError(f"{sequence} is {total}, and `largest` is {largest}")
    click.echo(total)
    return errors.DONE


from builtins import sum as builtins_sum  # noqa: E402
'''


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of commands with one file more."""
    (tmp_path / "sum.py").write_text(TOY)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{commands.__name__}.sum", raising=False)
    yield
    sys.modules.pop(f"{commands.__name__}.sum", None)
    vars(commands).pop("sum", None)


def test_it_is_in_the_help_and_has_its_own(mnistseq: Run) -> None:
    assert "  sum       Add digits up.\n" in mnistseq("--help")[1]
    code, short, err = mnistseq("sum", "--help")
    assert (code, err) == (0, "")
    assert "Print the sum of the digits of SEQUENCE." in short
    assert "--most N" in short
    assert "--fails-with" not in short
    assert "--fails-with ERROR" in mnistseq("sum", "--help-all", "toys")[1]


def test_it_runs(mnistseq: Run) -> None:
    assert mnistseq("sum", "1-2-3") == (0, "6\n", "")
    assert mnistseq("sum", "1-2-3", "--most", "6") == (0, "6\n", "")


def test_its_errors_speak_of_flags(mnistseq: Run) -> None:
    assert mnistseq("sum", "1-2-3", "--most", "5") == (1, "", "mnistseq: 1-2-3 is 6, and --most is 5\n")
    code, out, err = mnistseq("sum", "1", "--most", "x")
    assert (code, out) == (2, "")
    assert err.startswith("mnistseq: Invalid value for '--most': 'x'")
    assert err.endswith("; see mnistseq sum --help\n")


@pytest.mark.parametrize("error", EXIT_CODES)
def test_each_error_has_its_exit_code(error: type, mnistseq: Run) -> None:
    message = "mnistseq: a toy broke; give --most 9, or another --seed\n"
    assert mnistseq("sum", "1", "--fails-with", error.__name__) == (EXIT_CODES[error], "", message)


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        ("OSError", 1, "toys: No such file or directory"),
        ("KeyboardInterrupt", 130, "interrupted"),
        ("SIGTERM", 128 + signal.SIGTERM, "terminated"),
    ],
)
def test_what_comes_from_outside_has_its_exit_code(failure: str, code: int, message: str, mnistseq: Run) -> None:
    found, out, err = mnistseq("sum", "1", "--fails-with", failure)
    assert (found, out, err.lstrip("\n")) == (code, "", f"mnistseq: {message}\n")  # after ^C Click ends the line
