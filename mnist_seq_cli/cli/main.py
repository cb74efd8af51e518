"""Owns the program: its commands, and the one place where an error becomes a message and an exit code (`run`).

A command gathers its arguments, makes one call, and shows the result. Heavy modules are imported inside functions, so
that `mnistseq --help` loads Click and nothing else.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import NoReturn

import click

from mnist_seq_cli import __version__
from mnist_seq_cli.cli import commands
from mnist_seq_cli.cli.streams import ClosedStdout
from mnist_seq_cli.errors import (
    DONE,
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    TERMINATED,
    USAGE,
    MnistseqError,
    one_line,
    printable,
)
from mnist_seq_cli.execution.runner import describe_os_error

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class _Commands(click.Group):
    """The modules of `commands`, each loaded when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the modules."""
        return sorted(module.name for module in iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the function of the module that has its name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(import_module(f"{commands.__name__}.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for, as the first line of its module says, which is compiled and need not run."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _purpose(name)) for name in self.list_commands(ctx)])


def _purpose(name: str) -> str:
    spec = find_spec(f"{commands.__name__}.{name}")
    code = spec.loader.get_code(spec.name) if spec and isinstance(spec.loader, InspectLoader) else None
    line = str(code.co_consts[0] or "").partition("\n")[0] if code else ""
    purpose = line.partition("`: ")[2]
    return purpose[:1].upper() + purpose[1:]


@click.group(cls=_Commands, context_settings=_HELP)
@click.version_option(__version__, "-V", "--version", prog_name="mnistseq")
def cli() -> None:
    """Make images of digit sequences from handwritten MNIST digits, inspect them, and read them back.

    \b
      mnistseq generate 1-2-3 --min 0 --max 10 --width 100   one image, 1-2-3.png
      mnistseq dataset -n 10000 --len 4 -o out/              many, with labels
      mnistseq inspect out/                                  what is in there
      mnistseq decode 1-2-3.png                              1-2-3

    \b
    Only data goes to stdout; messages go to stderr. Exit codes:
    0 done, 1 failed, 2 usage or an impossible request, 130 Ctrl-C, 143 SIGTERM.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit code: the one place where an error becomes a message and a code."""
    try:
        code = cli.main(arguments, prog_name="mnistseq", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "mnistseq"
        return _complain(one_line(f"{error.format_message().rstrip('.')}; see {command} --help"), USAGE)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except MnistseqError as error:
        message = with_flags("\n".join([str(error), *getattr(error, "__notes__", [])]))
        return _complain(message, EXIT_CODES[type(error)])
    except BrokenPipeError:
        _forget_stdout()
        return FAILED
    except OSError as error:
        if error.errno == errno.ENOSPC and not error.filename:  # stores name their files
            error.filename = "stdout"
        return _complain(describe_os_error(error), FAILED)
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and "failed to map" not in str(error):
            raise
        return _complain("out of memory; ask for less at once, or raise the limit (ulimit -v)", FAILED)
    except (KeyboardInterrupt, click.Abort) as error:
        return _stopped(error.__cause__ or error)  # Click turns one into the other


def _stopped(cause: BaseException) -> int:
    import signal

    if isinstance(cause, EOFError):  # which Click takes for Ctrl-D
        raise cause from None
    if cause.args == (signal.SIGTERM,):
        return _complain("terminated", TERMINATED)
    return _complain("interrupted", INTERRUPTED)


def with_flags(message: str) -> str:
    """Return a message with flags for the fields that it names.

    `max_gap` is --max, `align=left` is --align left, and `repeat=False` is --no-repeat.
    """
    if "`" not in message:
        return message
    context = click.Context(cli)
    listed = [command.params for name in cli.list_commands(context) if (command := cli.get_command(context, name))]
    flags = {option.name: option for options in listed for option in options if isinstance(option, click.Option)}

    def flag(named: re.Match[str]) -> str:
        option, value = flags.get(named[1]), named[2]
        if option is None:
            return named[0]
        if value == "False" and option.secondary_opts:
            return option.secondary_opts[0]
        return option.opts[0] + ("" if value in (None, "True") else f" {value}")

    return re.sub(r"`([a-z_]+)(?:=([^`]*))?`", flag, message)


def _complain(message: str, code: int) -> int:
    with suppress(OSError):  # a closed stderr: the exit code is left
        click.echo(f"mnistseq: {printable(message)}", err=True)
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _complain(with_flags(one_line(str(message))), DONE)


def _forget_stdout() -> None:
    """Point stdout to nowhere, so that the interpreter does not stumble over the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run the program as `mnistseq`."""
    if sys.stdout is None:
        sys.stdout = ClosedStdout()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text; and what a terminal has no characters for is better shown as ? than not at all.
        unicode = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "replace")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for products this small, threads of NumPy mostly wait
    warnings.showwarning = _show_warning
    gc.set_threshold(100_000)  # a short life makes little rubbish that counting references does not see
    code = run()
    if sys.gettrace() is None and sys.getprofile() is None:
        # All is written and closed; to take the interpreter apart would cost as much again as starting it.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # a stream that was closed
                stream.flush()
        os._exit(code)
    sys.exit(code)
