"""The lock of a directory: one process at a time, and it goes with the process."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import tree

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.storage import lock

# The lock

HOLD = """
import sys, time
from pathlib import Path
from mnist_seq_cli.storage import lock
with lock.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_process_is_refused_and_the_lock_goes_with_a_killed_one(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    try:
        with pytest.raises(RequestError, match="another mnistseq is writing"), lock.locked(tmp_path):
            pytest.fail("two hold it")
    finally:
        holder.kill()
        holder.communicate()
    with lock.locked(tmp_path):
        assert tree(tmp_path) == {}  # the lock leaves nothing behind


def test_a_process_that_holds_it_twice_is_refused_too_and_may_take_it_again(tmp_path: Path) -> None:
    with (
        lock.locked(tmp_path),
        pytest.raises(RequestError, match="another mnistseq"),
        lock.locked(tmp_path),
    ):
        pytest.fail("held twice")
    with pytest.raises(ValueError, match="mine"), lock.locked(tmp_path):
        raise ValueError("mine")
    with lock.locked(tmp_path):
        pass


def test_processes_that_are_started_under_it_do_not_keep_it(tmp_path: Path) -> None:
    with lock.locked(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        with lock.locked(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()


# The lock where the file system has none

NO_LOCKS = """
import errno, fcntl, os
def unsupported(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = unsupported
"""


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", unsupported)


says_so = pytest.mark.filterwarnings("ignore:the file system has no locks")


@says_so
@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_keeps_others_out(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.locked(tmp_path):
            assert list(tree(tmp_path)) == [lock.LOCK_NAME]
            with pytest.raises(RequestError, match="another mnistseq is writing"), lock.locked(tmp_path):
                pytest.fail("two hold it")
        assert tree(tmp_path) == {}


@says_so
@pytest.mark.parametrize("no_locks", [errno.ENOLCK], indirect=True)
@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_keeps_the_same_part_and_the_whole_out(tmp_path: Path) -> None:
    with lock.locked(tmp_path, "0-of-2"), lock.locked(tmp_path, "1-of-2"):
        for part in ("0-of-2", ""):
            with pytest.raises(RequestError, match="another mnistseq is writing"), lock.locked(tmp_path, part):
                pytest.fail("two hold it")
    assert tree(tmp_path) == {}
    with lock.locked(tmp_path), pytest.raises(RequestError, match="remove "), lock.locked(tmp_path, "0-of-2"):
        pytest.fail("two hold it")
    left = tmp_path / f"{lock.LOCK_NAME}-1-of-2"
    left.write_bytes(b"%s 999999999" % lock._machine())
    with lock.locked(tmp_path):
        assert list(tree(tmp_path)) == [lock.LOCK_NAME]
    assert tree(tmp_path) == {}


@says_so
@pytest.mark.parametrize("no_locks", [errno.ENOLCK], indirect=True)
@pytest.mark.usefixtures("no_locks")
def test_a_lock_file_of_a_killed_process_is_taken_over_and_that_of_another_machine_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", NO_LOCKS + HOLD, tmp_path], stdout=subprocess.PIPE, stderr=-3)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(RequestError, match="another mnistseq is writing"), lock.locked(tmp_path):
        pytest.fail("two hold it")
    process.kill()
    process.communicate()
    left = (tmp_path / lock.LOCK_NAME).read_bytes()
    with lock.locked(tmp_path):
        pass
    assert tree(tmp_path) == {}
    for other in (b"other " + left, b"", b"no number", left + b"9" * 30):
        (tmp_path / lock.LOCK_NAME).write_bytes(other)
        with pytest.raises(RequestError, match="if there is none, on no machine, remove "), lock.locked(tmp_path):
            pytest.fail("two hold it")
        assert tree(tmp_path) == {lock.LOCK_NAME: other}


@pytest.mark.parametrize("arguments", [["-n", "3"], ["--split", "a=2", "--split", "b=2"]], ids=["one", "splits"])
def test_without_locks_the_program_says_so_once_and_goes_on(arguments: list[str], tmp_path: Path) -> None:
    program = NO_LOCKS + "from mnist_seq_cli.cli.main import main\nmain()"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, "dataset", *arguments, "--len", "2", "--seed", "1", "-o", tmp_path / "out"],
            capture_output=True,
            text=True,
            check=False,
        )
        first, *others = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (0, "")
        assert first == (
            "mnistseq: the file system has no locks (flock: No locks available); "
            "the file .mnistseq.lock keeps other runs out"
        )
        assert "flock" not in "".join(others)
        assert [name for name in tree(tmp_path) if "lock" in name] == []
