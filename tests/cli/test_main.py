"""The one boundary: every error ends with its exit code and one line on stderr, which speaks of flags."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forms import commands as all_commands

from mnist_seq_cli.cli import commands
from mnist_seq_cli.errors import EXIT_CODES

Run = Callable[..., tuple[int, str, str]]

TOY = """
import click

from mnist_seq_cli import errors


@click.command()
@click.argument("failure")
@click.option("--most", "largest", type=int)
def fail(failure, largest):
    if failure == "OSError":
        raise FileNotFoundError(2, "No such file or directory", "toys")
    if failure == "Ctrl-C":
        raise KeyboardInterrupt
    if failure == "a second SIGTERM":
        raise KeyboardInterrupt(15)
    if failure == "no memory":
        raise MemoryError
    if failure == "no memory for a library":
        raise ImportError("libx.so: failed to map segment from shared object")
    if failure == "nobody foresaw it":
        raise EOFError("mine")
    raise getattr(errors, failure)("it broke", hint="give `largest=9`, `invert=False` or another `seed`, not `this`")
"""


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that fails as it is told to."""
    (tmp_path / "fail.py").write_text(TOY)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    yield
    sys.modules.pop(f"{commands.__name__}.fail", None)
    vars(commands).pop("fail", None)


@pytest.mark.parametrize("error", EXIT_CODES)
def test_each_error_has_its_exit_code_and_speaks_of_flags(error: type, mnistseq: Run) -> None:
    message = "mnistseq: it broke; give --most 9, --no-invert or another --seed, not `this`\n"
    assert mnistseq("fail", error.__name__) == (EXIT_CODES[error], "", message)


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        ("OSError", 1, "toys: No such file or directory"),
        ("no memory", 1, "out of memory; ask for less at once, or raise the limit (ulimit -v)"),
        ("no memory for a library", 1, "out of memory; ask for less at once, or raise the limit (ulimit -v)"),
        ("Ctrl-C", 130, "interrupted"),
        ("a second SIGTERM", 128 + signal.SIGTERM, "terminated"),
    ],
)
def test_what_comes_from_outside_has_its_exit_code(failure: str, code: int, message: str, mnistseq: Run) -> None:
    found, out, err = mnistseq("fail", failure)
    assert (found, out, err.lstrip("\n")) == (code, "", f"mnistseq: {message}\n")  # after ^C Click ends the line


def test_an_end_of_file_that_nobody_foresaw_is_no_ctrl_c(mnistseq: Run) -> None:
    with pytest.raises(EOFError, match="mine"):
        mnistseq("fail", "nobody foresaw it")


def test_a_wrong_use_ends_with_2_and_says_where_to_look(mnistseq: Run) -> None:
    code, out, err = mnistseq("fail", "OSError", "--most", "x")
    assert (code, out) == (2, "")
    assert err == "mnistseq: Invalid value for '--most': 'x' is not a valid integer; see mnistseq fail --help\n"


def test_a_field_has_the_same_flag_in_every_command() -> None:
    """Or the flag that a message names could be one of another command."""
    flags: dict[str, set[tuple[str, ...]]] = {}
    for command in all_commands().values():
        for option in command.params:
            if option.param_type_name == "option":
                flags.setdefault(option.name or "", set()).add(tuple(option.opts))
    assert {name: spelled for name, spelled in flags.items() if len(spelled) > 1} == {}
