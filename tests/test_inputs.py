"""Files that a person names: what is read once may come from a pipe, and nothing is waited for in vain."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from ended import Outcome

from mnist_seq_cli import inputs
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import bank

Run = Callable[..., Outcome]

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")

IMAGES, LABELS = (bank.bundled_directory() / file.name for file in bank.BUNDLED_FILES[2:])
SOURCE = f"generate 1-2 -o made --source {shlex.quote(str(IMAGES))} --source-labels {shlex.quote(str(LABELS))}"

ONCE = {
    "labels": ("dataset --labels {} --seed 1 -o made", "seq 9"),
    "predictions": ("inspect out --predictions {}", "sed 1d out/labels.csv"),
    "recipe": ("dataset --recipe {} -n 3 -o made", "cat out/recipe.json"),
    "recipe in TOML": ("dataset --recipe {} -n 3 -o made", "echo 'length = 2'"),
    "labels of rows": (
        f"decode {shlex.quote(str(IMAGES))} --labels {{}} --digit 7 --range :20 --as csv",
        f"cat {shlex.quote(str(LABELS))}",
    ),
}
"""What is read once: a command, and another one whose output it takes."""

OFTEN = {
    "source": SOURCE.replace(shlex.quote(str(IMAGES)), "{}"),
    "source_labels": SOURCE.replace(shlex.quote(str(LABELS)), "{}"),
    "paper": "generate 1-2 --paper {} -o made",
}
"""What is read by each process: nothing that a pipe could give."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnistseq: Run) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_seq_cli.inputs.PATIENCE", 0.1)
    assert mnistseq("dataset", "-n", "4", "--len", "2", "--seed", "1", "-o", "out").code == 0


@pytest.mark.parametrize("option", ONCE)
def test_what_is_read_once_may_come_from_a_command(option: str, environment: dict[str, str]) -> None:
    command, other = ONCE[option]
    line = f"{shlex.quote(sys.executable)} -m mnist_seq_cli {command.format(f'<({other})')}"
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("option", ONCE)
def test_what_is_read_once_may_come_from_a_pipe_with_a_name(
    option: str, monkeypatch: pytest.MonkeyPatch, mnistseq: Run
) -> None:
    monkeypatch.setattr("mnist_seq_cli.inputs.PATIENCE", 60.0)
    command, other = ONCE[option]
    os.mkfifo("pipe")
    with subprocess.Popen(["bash", "-c", f"{other} >pipe"]):
        assert mnistseq(*shlex.split(command.format("pipe"))).code == 0


@pytest.mark.parametrize("option", [*ONCE, *OFTEN])
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/null", "folder"])
def test_what_nothing_comes_from_is_refused(name: str, option: str, mnistseq: Run) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    command = OFTEN.get(option) or ONCE[option][0]
    code, text, err = mnistseq(*shlex.split(command.format(name)))
    if name == "folder" and option.startswith("source"):
        assert (code, text, err.count("\n"), "folder" in err) == (1, "", 1, True)
        return
    assert (code, text, err.count("\n")) == (2, "", 1)
    assert ("nothing writes to the pipe pipe" if name == "pipe" and option in ONCE else f"{name} is not a file") in err
    assert not Path("made").exists()


@pytest.mark.parametrize("option", OFTEN)
def test_what_is_read_often_is_not_taken_from_a_pipe(option: str, mnistseq: Run) -> None:
    os.mkfifo("pipe")
    writer = Thread(target=lambda: Path("pipe").open("wb").close())
    writer.start()
    code, _, err = mnistseq(*shlex.split(OFTEN[option].format("pipe")))
    assert (code, "pipe is not a file" in err) == (2, True)
    Path("pipe").open("rb").close()
    writer.join()


def test_more_than_is_held_is_refused() -> None:
    Path("x").write_bytes(bytes(3 << 20))
    with pytest.raises(FormatError, match="x is too large to be true: it has more than 2 MiB"):
        inputs.read_once(Path("x"), 2 << 20)
    assert len(inputs.read_once(Path("x"), 3 << 20)) == 3 << 20


def test_a_pipe_that_may_not_be_read_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe", 0)
    if os.access("pipe", os.R_OK):  # as root may do everything
        monkeypatch.setattr(inputs, "open_named", lambda _: os.open("no/such/file", os.O_RDONLY))
    with pytest.raises(OSError, match=r"denied|No such file"):
        inputs.open_once(Path("pipe"))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here fails to be read")
def test_an_error_in_reading_names_the_file(mnistseq: Run) -> None:
    """The memory of a process opens as a file does, and its first page cannot be read: EIO, as from a broken disk."""
    for name in ("labels.csv", "0.png", "0.tar", "broken"):
        Path(name).symlink_to("/proc/self/mem")
    for line in ("inspect out --predictions labels.csv", "decode 0.png", "decode 0.tar", "inspect 0.png"):
        assert mnistseq(*line.split()) == (1, "", f"mnistseq: {line.split()[-1]}: Input/output error\n")
    Path("out/labels.csv").unlink()
    Path("out/labels.csv").symlink_to("/proc/self/mem")
    assert mnistseq("inspect", "out") == (1, "", "mnistseq: out/labels.csv: Input/output error\n")
    for option in ("source", "paper"):
        code, _, err = mnistseq(*shlex.split(OFTEN[option].format("broken")))
        assert (code, "broken" in err) == (1, True)


def test_what_is_not_there_is_no_file() -> None:
    for name in ("x", "out/recipe.json/x"):
        with pytest.raises(RequestError, match=f"{name} does not exist"):
            inputs.open_once(Path(name))
