"""The server that workers come from leaves nothing on disk, and what a kill in mid-start left is cleared, no more."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnist_seq_cli.execution import fork_server

pytestmark = pytest.mark.skipif(not fork_server._HAS_DESCRIPTORS, reason="sockets are reached by a name here")

KILLED_IN_MID_START = """
import os, signal, tempfile
from mnist_seq_cli.execution import processes

tempfile.gettempdir()
os.open = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
processes.prepare()
"""

PROGRAM = """
import os, signal, sys
from mnist_seq_cli.execution import fork_server, processes
from mnist_seq_cli.execution.runner import Stop

if __name__ == "__main__":
    processes.prepare()
    assert os.listdir(sys.argv[1]) == []
    assert sorted(processes.run(abs, [-1, 2], Stop(), 2)) == [(-1, 1), (2, 2)]
    from multiprocessing.forkserver import _forkserver
    os.kill(_forkserver._forkserver_pid, signal.SIGKILL)
    os.waitid(os.P_PID, _forkserver._forkserver_pid, os.WEXITED | os.WNOWAIT)
    assert sorted(processes.run(abs, [-3], Stop(), 2)) == [(-3, 3)]
    assert os.listdir(sys.argv[1]) == []
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for temporary files, of a name that is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mnistseq-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("program", [PROGRAM, KILLED_IN_MID_START], ids=["at work", "in mid-start"])
def test_a_killed_process_leaves_no_name_of_its_server(program: str, temporary: Path, tmp_path: Path) -> None:
    """Nor does one whose server was killed before it and replaced."""
    path = tmp_path / "program.py"
    path.write_text(program)
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, path, temporary], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-9, b"")  # and stderr is closed: the server has ended, too
    assert list(temporary.iterdir()) == []


def test_what_was_left_in_mid_start_is_cleared_when_it_is_surely_dead(temporary: Path) -> None:
    names = {"left": ".mnistseq-aaaaaaaa", "recent": ".mnistseq-bbbbbbbb", "full": ".mnistseq-cccccccc", "py": "pymp-"}
    folders = {kind: temporary / name for kind, name in names.items()}
    for kind, folder in folders.items():
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "listener"))
        if kind == "full":
            (folder / "mine.txt").write_text("kept")
        if kind != "recent":
            os.utime(folder, (0, 0))
    fork_server._clear(str(temporary))
    assert set(temporary.iterdir()) == set(folders.values()) - {folders["left"]}
    assert all(any(folder.iterdir()) for folder in temporary.iterdir())
