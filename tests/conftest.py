"""Owns the options of the test run, and the ways in which tests run the program: here, or on a terminal."""

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ended import Outcome
from hypothesis import settings

from mnist_seq_cli.cli import main


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-interop", action="store_true", help="run the tests against other people's libraries")
    parser.addoption("--full", action="store_true", help="run the slow tests too, and the random ones at length")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes long and shows at length what a quick test shows; see --full")
    if os.access("/dev/shm", os.W_OK):  # thousands of small files, which a disk would take its time to sync
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
    settings.register_profile("plain", max_examples=60, deadline=None)
    settings.register_profile("full", max_examples=500, deadline=None)
    settings.load_profile("full" if config.getoption("--full") else "plain")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless they are asked for: `--full`, or `-m slow`."""
    if not config.getoption("--full") and "slow" not in config.getoption("-m"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the tests are to take their time: `--full`."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def mnistseq(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Outcome]:
    """The program, run in this process: `mnistseq("decode", path)` gives (exit code, stdout, stderr)."""

    def run(*arguments: object) -> Outcome:
        capfdbinary.readouterr()
        code = main.run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment for processes: this Python's programs first, and nothing that says how a terminal is to look."""
    looks = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "TERM", "COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in {*looks, "PYTHONIOENCODING"}}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> Callable[..., tuple[int, str]]:
    """The program on a terminal of 80 columns: `on_terminal("inspect", TERM="dumb")` gives (exit code, what it saw)."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    import fcntl
    import termios

    def run(*arguments: object, **variables: str) -> tuple[int, str]:
        terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "mnist_seq_cli", *map(str, arguments)],
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            env=environment | variables,
        )
        os.close(its_end)
        seen, deadline = b"", time.monotonic() + 60
        try:
            while select.select([terminal], [], [], deadline - time.monotonic())[0]:
                try:
                    piece = os.read(terminal, 1 << 16)
                except OSError:  # what Linux says when the program has let go of the terminal
                    break
                if not piece:
                    break
                seen += piece
            return process.wait(10), seen.decode().replace("\r\n", "\n")
        finally:
            process.kill()
            process.wait()
            os.close(terminal)

    return run
