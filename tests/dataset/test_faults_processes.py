"""Faults of whole processes: signals, kills, full disks, limits and damage; and after each, the same command again."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import chores
import pytest
from asked import recipe_for
from depth import others_slow, slow
from faulty import copy, difference, fast_directory, tree, visible
from forms import FORMATS, UNLIKE_FORMATS, form, parameters

from mnist_seq_cli import formats
from mnist_seq_cli.cli import main
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import OutputError, Terminated
from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.formats.arrays import npz_file
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched in /proc")

each_format = pytest.mark.parametrize("name", parameters(formats.FORMAT_NAMES, quick=UNLIKE_FORMATS))
some_formats = pytest.mark.parametrize("name", parameters(formats.FORMAT_NAMES, quick=("png", "idx")))
"""The formats for tests that take seconds: the one with most files, and the one whose shards are joined."""

SAMPLES, SHARD_SIZE = 3_000, 40
LONG = ["-n", SAMPLES, "--len", 20, "--max", 9, "--seed", 3, "--shard-size", SHARD_SIZE, "--compression", "small"]
"""A dataset that takes half a second, in 75 shards: wide strips, since files take long to look at."""

SMALL = ["-n", 20, "--len", 2, "--seed", 5, "--shard-size", 6]


@pytest.fixture
def place() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def whole() -> Iterator[Callable[..., dict[str, object]]]:
    """The tree of an undisturbed run of a command."""
    made: dict[str, dict[str, object]] = {}
    with fast_directory() as directory:

        def run(name: str, *arguments: object) -> dict[str, object]:
            key = " ".join(map(str, (name, *arguments)))
            if key not in made:
                out = directory / f"{len(made)}"
                assert main.run(["dataset", *map(str, arguments), *form(name), "-o", str(out)]) == 0
                made[key] = tree(out)
                copy(Path("/nonexistent"), out)
            return made[key]

        yield run


class Run:
    """The program as a process of its own, with a mark in its environment by which its workers are found."""

    def __init__(self, *arguments: object, **options: Any) -> None:
        self.mark = f"mnistseq-test-{uuid.uuid4()}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mnist_seq_cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"MNISTSEQ_TEST": self.mark} | options.pop("env", {}),
            **options,
        )

    def family(self) -> dict[int, int]:
        """Return the processes with our mark that run, each with its parent; the main one among them."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state not in "ZX":
                        found[int(entry.name)] = int(parent)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def workers(self) -> list[int]:
        """Return the processes that do the work: children of the server that starts them."""
        family = self.family()
        return [process for process, parent in family.items() if family.get(parent, 0) == self.process.pid]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 30) -> tuple[int, str, str]:
        """Wait for the end, and return exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.family():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.communicate()


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.002)


def recorded(out: Path) -> int:
    """Return how many shards a run has recorded so far."""
    try:
        return (out / ".mnistseq" / "records.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def run_to_the_end(*arguments: object, **options: Any) -> tuple[int, str, str]:
    with Run(*arguments, **options) as run:
        return run.end()


def assert_one_message(err: str) -> str:
    assert "Traceback" not in err
    assert err.startswith("mnistseq: ")
    assert err.count("\n") == 1
    return err


def assert_nothing_lies(out: Path, end: dict[str, object]) -> None:
    seen = visible(tree(out))
    assert [name for name in seen if seen[name] != end.get(name)] == []
    assert MANIFEST_NAME not in seen or difference(seen, visible(end)) == []


def staged(out: Path, ending: str) -> list[Path]:
    """Return the half-written files with an ending; a folder of them may go away while we look."""
    with suppress(FileNotFoundError):
        return list(out.glob(f".mnistseq/stage-*/*{ending}"))
    return []


def rubbish(out: Path) -> list[str]:
    return [name for name in tree(out) if "stage" in name or "partial" in name]


# 3. Signals


@pytest.mark.parametrize(
    ("name", "number", "workers"),
    [
        ("png", signal.SIGINT, 2),
        ("npz", signal.SIGTERM, 1),
        ("webdataset", signal.SIGTERM, 2),
        *slow((name, signal.SIGINT, 2) for name in FORMATS if name != "png"),
        *slow([("png", signal.SIGINT, 1), ("idx", signal.SIGTERM, 1)]),
    ],
)
def test_asked_once_it_ends_its_shards_and_stops(
    name: str, number: int, workers: int, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    arguments = ["dataset", *LONG, *form(name), "--workers", workers, "-o", place / "out"]
    with Run(*arguments) as run:
        wait_for(lambda: recorded(place / "out") >= 3)
        run.signal(number)
        found, out, err = run.end()
        assert (found, out) == (128 + number, "")
        assert assert_one_message(err).startswith("mnistseq: stopped with ")
        assert err.endswith(f" of {SAMPLES} samples done; run the same command again to finish\n")
        wait_for(lambda: run.family() == {})
    assert_nothing_lies(place / "out", whole(name, *LONG))
    assert rubbish(place / "out") == []
    assert MANIFEST_NAME not in tree(place / "out")
    done = int(err.split()[3])
    assert done == sum(
        json.loads(line)["samples"] for line in (place / "out/.mnistseq/records.jsonl").read_text().splitlines()
    )
    code, _, err = run_to_the_end(*arguments, "--workers", 3 - workers)
    assert (code, "; reused " in err) == (0, True)
    assert difference(tree(place / "out"), whole(name, *LONG)) == []


LONG_SHARDS = ["-n", 60_000, "--len", 4, "--seed", 3, "--shard-size", 30_000, "--compression", "small"]
"""Two shards that take seconds each: by the second signal nothing is waited for."""


@pytest.mark.parametrize("workers", others_slow([1, 2], 2))
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_twice_it_stops_at_once(number: int, code: int, workers: int, place: Path) -> None:
    arguments = ["dataset", *LONG_SHARDS, "--format", "webdataset", "--width", 1012, "--workers", workers]
    with Run(*arguments, "-o", place / "out") as run:
        wait_for(lambda: staged(place / "out", ".tar"))
        run.signal(number)
        time.sleep(0.3)
        assert run.process.poll() is None, "the shard was to take longer"
        run.signal(number)
        found, out, err = run.end()
        assert (found, out) == (code, "")
        assert err == "mnistseq: stopped at once; run the same command again to finish\n"
        wait_for(lambda: run.family() == {})
    assert rubbish(place / "out") == []
    assert recorded(place / "out") == 0


def test_a_signal_to_the_whole_group_is_one_request(place: Path, whole: Callable[..., dict[str, object]]) -> None:
    """A terminal sends Ctrl-C to every process of a job."""
    arguments = ["dataset", *LONG, "--format", "png", "--workers", 2, "-o", place / "out"]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with Run(*arguments, start_new_session=True) as run:
            already = recorded(place / "out")
            wait_for(lambda already=already: recorded(place / "out") >= already + 3 or run.process.poll() is not None)
            os.killpg(run.process.pid, number)
            found, _, err = run.end()
            assert found == code
            assert_one_message(err)
        assert_nothing_lies(place / "out", whole("png", *LONG))
        assert rubbish(place / "out") == []
    assert run_to_the_end(*arguments)[0] == 0
    assert difference(tree(place / "out"), whole("png", *LONG)) == []


@pytest.mark.parametrize(
    "name",
    parameters([name for name in formats.FORMAT_NAMES if formats.get(name).SEPARABLE], quick=UNLIKE_FORMATS),
)
def test_asked_while_it_checks_what_is_there_it_changes_nothing(name: str, place: Path) -> None:
    out = place / "out"
    assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
    before = tree(out)

    def run(work: Any, tasks: Any, stop: Any) -> Any:
        for outcome in serial.run(work, tasks, stop):
            stop.signal = signal.SIGTERM
            yield outcome

    with pytest.raises(Terminated, match="stopped before anything was changed; run the same command again to finish"):
        dataset.build(out, spec_of(name), Source("train"), run=run)
    assert difference(tree(out), before) == []


# 4. Kills of the parent


@some_formats
def test_killed_at_any_time_its_workers_go_and_the_same_command_does_the_rest(
    name: str, place: Path, whole: Callable[..., dict[str, object]], full: bool
) -> None:
    trials = 50 if full else 1
    chance = random.Random(name)
    end = whole(name, *LONG)
    for trial in range(trials):
        out = place / f"{trial}"
        arguments = ["dataset", *LONG, *form(name), "--workers", 2, "-o", out]
        killed = 0
        with Run(*arguments) as run:
            wait_for(lambda out=out: (out / "recipe.json").exists())
            time.sleep(chance.uniform(0, 0.5))
            run.signal(signal.SIGKILL)
            killed = run.process.wait()
            wait_for(lambda: run.family() == {})
        assert killed in (-signal.SIGKILL, 0)
        assert_nothing_lies(out, end)
        code, _, err = run_to_the_end(*arguments)
        assert code == 0, err
        assert difference(tree(out), end) == []
        shutil.rmtree(out)


# 5. and 6. Workers that die, and errors that cannot travel


@some_formats
def test_a_worker_that_is_killed_is_replaced(name: str, place: Path, whole: Callable[..., dict[str, object]]) -> None:
    with Run("dataset", *LONG, *form(name), "--workers", 2, "-o", place / "out") as run:
        wait_for(lambda: recorded(place / "out") >= 2)
        victims = run.workers()
        assert victims
        os.kill(victims[0], signal.SIGKILL)
        code, out, err = run.end()
        assert (code, out) == (0, "")
        assert "Traceback" not in err
        assert run.family() == {}
    assert difference(tree(place / "out"), whole(name, *LONG)) == []


def spec_of(name: str) -> Spec:
    recipe = recipe_for(seed=5, length=2)
    compression, request = formats.get(name).COMPRESSION, {"length": 2, "seed": 5}
    spec = Spec(recipe=recipe, samples=20, format=name, compression=compression, shard_size=6, request=request)
    return replace(spec, names=formats.get(name).names(spec, "", (), ""))


@each_format
@pytest.mark.parametrize("fault", ["kill", "unpicklable"])
def test_a_shard_that_cannot_be_made_is_named_and_the_others_are_made(
    name: str, fault: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    spec, out = spec_of(name), place / "out"

    def run(work: Any, tasks: Any, stop: Any) -> Any:
        return processes.run(chores.Spoiled(work, fault, shard=1), tasks, stop, workers=2)

    with pytest.raises(OutputError) as raised:
        dataset.build(out, spec, Source("train"), run=run)
    error = raised.value
    reason = {
        "kill": "its process died 4 times, the last time alone",
        "unpicklable": "Unpicklable: from here to there",
    }[fault]
    assert str(error) == (
        f"1 of 4 shards failed, shard 1 (6 to 11) with: {reason}; "
        "14 of 20 samples are done; run the same command again to finish"
    )
    assert_nothing_lies(out, whole(name, *SMALL))
    assert MANIFEST_NAME not in tree(out)
    code, _, err = run_to_the_end("dataset", *SMALL, *form(name), "-o", out)
    assert (code, "made 6 in" in err, "reused 14" in err) == (0, True, True)
    assert difference(tree(out), whole(name, *SMALL)) == []


# 7. Disks and limits


@contextmanager
def tiny_disk(size: str) -> Iterator[Path]:
    """Yield a directory on a file system of that size."""
    with fast_directory() as directory:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        try:
            yield directory
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.parametrize("workers", others_slow([1, 2], 2))
@each_format
def test_a_full_disk_is_told_and_with_room_the_same_command_does_the_rest(
    name: str, workers: int, whole: Callable[..., dict[str, object]]
) -> None:
    with tiny_disk("4m") as disk:
        (disk / "ballast").write_bytes(bytes(3_500_000 if name in ("png", "folders", "npz") else 3_950_000))
        out = disk / "out"
        arguments = ["-n", 400, "--len", 5, "--seed", 3, "--shard-size", 100]
        command = ["dataset", *arguments, *form(name), "--workers", workers, "-o", out]
        code, _, err = run_to_the_end(*command)
        assert code == 1
        assert "o space left" in assert_one_message(err) or "are free" in err
        assert_nothing_lies(out, whole(name, *arguments))
        assert rubbish(out) == []
        (disk / "ballast").unlink()
        code, _, err = run_to_the_end(*command)
        assert code == 0, err
        assert difference(tree(out), whole(name, *arguments)) == []


@each_format
def test_what_the_disk_cannot_hold_is_told_after_the_first_shard(name: str) -> None:
    with tiny_disk("8m") as disk:
        out = disk / "out"
        arguments = [
            "dataset",
            "-n",
            100_000,
            "--len",
            5,
            "--seed",
            3,
            "--shard-size",
            100,
            *form(name),
            "-o",
            out,
        ]
        code, _, err = run_to_the_end(*arguments, "--workers", 1)
        assert code == 1
        assert_one_message(err)
        assert "99900 more samples need about 0." in err
        assert f"GB in {out}, and 0.01 GB are free; make room, or ask for fewer; what is there is kept" in err
        assert rubbish(out) == []


@pytest.mark.parametrize(
    "name",
    parameters(["webdataset", "npz", "idx", "lmdb", "parquet", "tfrecord"], quick=UNLIKE_FORMATS),
)
def test_a_limit_on_the_size_of_files_is_told(name: str, place: Path, whole: Callable[..., dict[str, object]]) -> None:
    arguments = ["-n", 400, "--len", 5, "--seed", 3, "--shard-size", 400]
    command = ["dataset", *arguments, *form(name), "--workers", 1, "-o", place / "out"]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    code, _, err = run_to_the_end(*command, preexec_fn=limit)
    assert code == 1
    assert "File too large" in assert_one_message(err)
    assert rubbish(place / "out") == []
    assert_nothing_lies(place / "out", whole(name, *arguments))
    assert run_to_the_end(*command)[0] == 0
    assert difference(tree(place / "out"), whole(name, *arguments)) == []


@pytest.mark.parametrize(
    ("name", "workers"),
    [("png", 2), ("npz", 1), *slow([("png", 1), *((name, 2) for name in FORMATS if name != "png")])],
)
def test_few_open_files_are_enough_or_are_told(
    name: str, workers: int, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    arguments = ["-n", 600, "--len", 2, "--seed", 3, "--shard-size", 10]  # of 60 shards none may leave a file open
    command = ["dataset", *arguments, *form(name), "--workers", workers, "-o", place / "out"]
    for files in (32, 16):
        limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
        code, _, err = run_to_the_end(*command, preexec_fn=limit)
        assert "Traceback" not in err
        if code != 0:
            assert files < 32
            assert code == 1
            assert_one_message(err)
            assert_nothing_lies(place / "out", whole(name, *arguments))
            assert run_to_the_end(*command)[0] == 0
        assert difference(tree(place / "out"), whole(name, *arguments)) == []
        shutil.rmtree(place / "out")


NO_PROCESSES = """
import errno, os
import multiprocessing.util
def spawn(*_):
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
multiprocessing.util.spawnv_passfds = spawn
from mnist_seq_cli.cli.main import main
main()
"""
"""What `ulimit -u` comes to, for which the tests would have to be those of another user."""


@pytest.mark.parametrize("limit", ["descriptors", "processes"])
def test_where_not_all_processes_can_be_started_fewer_do_the_work_and_it_says_so(
    limit: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    arguments = ["-n", 600, "--len", 2, "--seed", 3, "--shard-size", 10]
    command = ["dataset", *arguments, *form("png"), "--workers", 4, "-o", place / "out"]
    if limit == "descriptors":
        few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (20, 20))
        code, out, err = run_to_the_end(*command, preexec_fn=few)
    else:
        done = subprocess.run(
            [sys.executable, "-c", NO_PROCESSES, *map(str, command)], capture_output=True, text=True, check=False
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    assert (code, out) == (0, "")
    first, second, *_ = err.splitlines()
    assert first.startswith("mnistseq: not all of 4 processes can be started (")
    assert first.endswith("); going on with fewer")
    assert second.startswith(f"{place / 'out'}: 600 strips")
    assert difference(tree(place / "out"), whole("png", *arguments)) == []


NO_SEMAPHORES = """
import sys
sys.modules["multiprocessing.synchronize"] = None
from mnist_seq_cli.cli.main import main
main()
"""
"""What a system without /dev/shm comes to."""


@pytest.mark.parametrize("lacking", ["/dev/shm", "room for a socket", "a directory for temporary files"])
def test_processes_need_no_shared_memory_and_no_socket(
    lacking: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    long = place / ("x" * 100)
    long.mkdir()
    temporary = {"room for a socket": str(long), "a directory for temporary files": "/nonexistent"}.get(lacking, "/tmp")
    program = ["-c", NO_SEMAPHORES] if lacking == "/dev/shm" else ["-m", "mnist_seq_cli"]
    command = ["dataset", *SMALL, *form("png"), "--workers", "2", "-o", place / "out"]
    done = subprocess.run(
        [sys.executable, *program, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=os.environ | {"TMPDIR": temporary, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{place / 'out'}: ")
    assert difference(tree(place / "out"), whole("png", *SMALL)) == []
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("helper", ["forkserver", "resource_tracker"])
def test_when_a_helper_of_the_processes_is_killed_the_work_goes_on(
    helper: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    """A worker that dies after it is replaced, too."""

    def helpers(run: Run) -> list[int]:
        return [
            process
            for process, parent in run.family().items()
            if parent == run.process.pid and f".{helper} ".encode() in Path(f"/proc/{process}/cmdline").read_bytes()
        ]

    with Run("dataset", *LONG, *form("png"), "--workers", 2, "-o", place / "out") as run:
        wait_for(lambda: recorded(place / "out") >= 2)
        victims = [*helpers(run), run.workers()[0]]
        assert len(victims) == 2
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        code, out, err = run.end()
        assert (code, out) == (0, "")
        assert err.startswith(f"{place / 'out'}: ")
        wait_for(lambda: run.family() == {})
    assert difference(tree(place / "out"), whole("png", *LONG)) == []


def test_where_nothing_can_be_written_it_is_told_before_work_starts() -> None:
    with tiny_disk("1m") as disk:
        (disk / "empty").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for out in (disk / "new", disk / "empty"):
            code, _, err = run_to_the_end("dataset", "-n", 10_000_000, "--len", 5, "-o", out)
            assert code == 1
            assert "Read-only file system" in assert_one_message(err)
            assert str(out) in err


def test_a_directory_that_is_not_ours_to_write_is_told_before_work_starts(place: Path) -> None:
    (place / "out").mkdir(mode=0o555)
    as_others = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    if as_others and subprocess.run([*as_others, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root is let in everywhere here, and cannot be kept out")
    command = [sys.executable, "-m", "mnist_seq_cli", "dataset", "-n", "10000000", "--len", "5", "-o", place / "out"]
    done = subprocess.run([*as_others, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert assert_one_message(done.stderr) == f"mnistseq: {place}/out/.mnistseq: Permission denied\n"


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a file"])
@pytest.mark.parametrize("where", ["out", "out/images", "out/.mnistseq", "above"])
def test_what_is_no_directory_is_told_before_work_starts(
    kind: str, where: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    victim, out = place / where, place / "out"
    if where == "above":
        out = victim / "out"
    else:
        victim.parent.mkdir(exist_ok=True)
    (place / "precious").write_bytes(b"precious")
    if kind == "file":
        victim.write_bytes(b"mine")
    else:
        victim.symlink_to(place / ("precious" if kind == "link to a file" else "nothing"))
    before = tree(place)
    for options in ([], ["--overwrite"]):
        if where.startswith("out/") and not options:
            continue  # refused because the directory is not ours
        capfd.readouterr()
        assert main.run(["dataset", *map(str, SMALL), *options, "-o", str(out)]) == (1 if where == "above" else 2)
        assert str(victim) in assert_one_message(capfd.readouterr().err)
        assert difference(tree(place), before) == []


@each_format
@pytest.mark.parametrize("victim", ["records.jsonl", "rows", "shards", "dataset.npz", "stage-0"])
def test_a_link_in_the_state_folder_is_not_followed(name: str, victim: str, place: Path) -> None:
    """What a run that was interrupted has left may have been tampered with."""
    out = place / "out"
    arguments = ["dataset", *SMALL, *form(name), "-o", str(out)]
    assert main.run(arguments) == 0
    (out / MANIFEST_NAME).unlink()
    (out / ".mnistseq").mkdir()
    precious = place / "precious"
    precious.mkdir()
    (precious / "content").write_bytes(b"precious" * 10_000)
    (out / ".mnistseq" / victim).symlink_to(precious / "content" if "." in victim else precious)
    before = tree(precious)
    code = main.run(arguments)
    assert tree(precious) == before
    assert code == 2


def test_a_link_in_place_of_an_archive_is_replaced(place: Path, whole: Callable[..., dict[str, object]]) -> None:
    out, precious = place / "out", place / "precious"
    arguments = ["dataset", *SMALL, "--format", "npz", "-o", str(out)]
    assert main.run(arguments) == 0
    (out / "dataset.npz").rename(precious)
    content = bytearray(precious.read_bytes())
    content[5000] ^= 1
    precious.write_bytes(content)
    (out / "dataset.npz").symlink_to(precious)
    assert main.run(arguments) == 0
    assert precious.read_bytes() == content
    assert difference(tree(out), whole("npz", *SMALL)) == []


# 8. Damage to what was finished


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << (place % 8)
    path.write_bytes(content)


def in_manifest(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        values = json.loads(path.read_bytes())
        change(values["shards"])
        path.write_text(json.dumps(values))

    return damage


def data_files(name: str, directory: Path) -> list[Path]:
    """Return files that hold samples, one of each kind."""
    if name == "png":
        return [directory / "images/00001/00000007.png", directory / "labels.csv", directory / "metadata.jsonl"]
    if name == "webdataset":
        return [directory / "00001.tar", directory / "00003.tar"]
    return [directory / file for file in formats.get(name).file_names(spec_of(name))]


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a byte long": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "the first byte": lambda path: flip(path, 0),
    "a byte in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "the last byte": lambda path: flip(path, path.stat().st_size - 1),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def assert_named_and_repaired(
    out: Path, name: str, named: str, end: dict[str, object], capfd: pytest.CaptureFixture[str], repaired: int = 0
) -> None:
    capfd.readouterr()
    assert main.run(["inspect", str(out), "--verify"]) in (1, 2)
    err = capfd.readouterr().err
    assert err.startswith("mnistseq: ")
    assert "Traceback" not in err
    assert any(named in problem for problem in verify(out))
    assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == repaired
    if not repaired:
        assert difference(tree(out), end) == []


@each_format
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_repaired(
    name: str, kind: str, place: Path, whole: Callable[..., dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
    for path in data_files(name, out):
        DAMAGE[kind](path)
        by_shard = {"dataset.npz": "", "00000007.png": "images/00001"}
        a_file_should_be = kind == "a folder" and path.parent == out
        named = by_shard.get(path.name, path.name)
        assert_named_and_repaired(out, name, named, whole(name, *SMALL), capfd, 2 * a_file_should_be)
        if a_file_should_be:
            path.rmdir()
            assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
            assert difference(tree(out), whole(name, *SMALL)) == []


def test_every_byte_around_the_arrays_of_an_archive_counts(
    place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    """Headers of the members, the directory of the archive, its end: all that zip adds, a byte in seven."""
    out, end = place / "out", whole("npz", *SMALL)
    assert main.run(["dataset", *map(str, SMALL), "--format", "npz", "-o", str(out)]) == 0
    path = out / "dataset.npz"
    members = npz_file.layout(replace(spec_of("npz"), samples=20))
    surroundings = [at for member in members for at in range(member.offset, member.start)]
    surroundings += range(members[-1].end, path.stat().st_size)
    for number, at in enumerate(surroundings[::7]):
        flip(path, at)
        assert list(verify(out)) != [], at
        if number % 20 == 0:
            assert main.run(["dataset", *map(str, SMALL), "--format", "npz", "-o", str(out)]) == 0
        else:
            flip(path, at)
        assert path.read_bytes() == end["dataset.npz"]


MANIFESTS: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "a record deleted": in_manifest(lambda shards: shards.pop(1)),
    "all records deleted": in_manifest(lambda shards: shards.clear()),
    "a record twice": in_manifest(lambda shards: shards.append(shards[1])),
    "a record of no shard": in_manifest(lambda shards: shards.append(shards[1] | {"shard": 7})),
    "records swapped": in_manifest(
        lambda shards: (shards[0].update(sha256=shards[1]["sha256"]), shards[1].update(bytes=shards[0]["bytes"]))
    ),
    "another sum": in_manifest(lambda shards: shards[1].update(sha256="0" * 64)),
    "another size": in_manifest(lambda shards: shards[1].update(bytes=shards[1]["bytes"] + 1)),
    "another recipe": in_manifest(lambda shards: shards[1].update(recipe="0" * 64)),
    "other checksums": in_manifest(lambda shards: shards[1].update(crcs=[7] * len(shards[1]["crcs"] or "x"))),
}


@each_format
@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_damaged_manifest_is_named_and_repaired(
    name: str, kind: str, place: Path, whole: Callable[..., dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
    if not formats.get(name).SEPARABLE and kind in (
        "another sum",
        "another size",
        "records swapped",
        "other checksums",
    ):
        # Nothing is left of a shard of this format that its record could be held against. An earlier version recorded
        # sums all the same; what matters is that nothing comes of them.
        sums = {"files": 3, "bytes": 700, "sha256": "1" * 64, "crcs": [5, 6, 7]}
        in_manifest(lambda shards: [shard.update(sums) for shard in shards])(out / MANIFEST_NAME)
        MANIFESTS[kind](out / MANIFEST_NAME)
        assert list(verify(out)) == []
        grown = ["-n", "21", *map(str, SMALL[2:]), *form(name)]
        assert main.run(["dataset", *grown, "-o", str(out)]) == 0
        assert difference(tree(out), whole(name, *grown)) == []
        return
    MANIFESTS[kind](out / MANIFEST_NAME)
    assert_named_and_repaired(out, name, "", whole(name, *SMALL), capfd)


@each_format
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{")], ids=["gone", "damaged"])
def test_a_recipe_that_is_lost_is_written_again(
    name: str, damage: Callable[[Path], Any], place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    out = place / "out"
    arguments = ["dataset", *map(str, SMALL), *form(name), "-o", str(out)]
    assert main.run(arguments) == 0
    damage(out / "recipe.json")
    assert main.run(arguments) == 0
    assert difference(tree(out), whole(name, *SMALL)) == []


@pytest.mark.parametrize("options", [["--seed", "6"], ["--max", "3"], ["--format", "webdataset"], ["--masks"]], ids=str)
def test_a_recipe_that_is_lost_is_not_made_up(
    options: list[str], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    arguments = ["dataset", *map(str, SMALL)]
    assert main.run([*arguments, "-o", str(out)]) == 0
    (out / "recipe.json").unlink()
    before = tree(out)
    capfd.readouterr()
    assert main.run([*arguments, *options, "-o", str(out)]) == 2
    assert capfd.readouterr().err == (
        f"mnistseq: {out} has lost its recipe.json, and its manifest.json is not about what is asked for; "
        "give all options and the --seed that it was made with; --overwrite starts over\n"
    )
    assert tree(out) == before


STRAYS = {
    # of the format folders: see test_folders
    "png": ["images/00004/00000024.png", "images/00099/x", "images/000001/00000006.png"],
    "webdataset": ["00004.tar", "99999.tar", "000001.tar"],
    "parquet": ["data/train-00004-of-00004.parquet", "data/train-00001-of-00005.parquet"],
    "tfrecord": ["00004.tfrecord", "000001.tfrecord"],
}


@pytest.mark.parametrize("name", parameters(STRAYS, quick=UNLIKE_FORMATS))
def test_stray_shards_are_named_and_removed(
    name: str, place: Path, whole: Callable[..., dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
    for stray in STRAYS[name]:
        (out / stray).parent.mkdir(exist_ok=True)
        (out / stray).write_bytes(b"stray")
        shard = "/".join(stray.split("/")[:2])
        assert_named_and_repaired(out, name, f"{shard} is none of the 4 shards of the plan", whole(name, *SMALL), capfd)


@pytest.mark.parametrize("name", parameters(formats.FORMAT_NAMES, quick=("png", "idx", "npz")))
def test_what_waits_in_the_state_folder_is_not_taken_on_trust(
    name: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    """Rows and runs that wait to be joined, and the journal: any of them may be damaged while a run is interrupted."""
    out, spec = place / "out", spec_of(name)

    def run(work: Any, tasks: Any, stop: Any) -> Any:
        return serial.run(chores.Spoiled(work, "unpicklable", shard=2), tasks, stop)

    with pytest.raises(OutputError, match="1 of 4 shards failed, shard 2 "):
        dataset.build(out, spec, Source("train"), run=run)
    copy(out, place / "interrupted")
    waiting = [path for path in tree(out / ".mnistseq") if (out / ".mnistseq" / path).is_file()]
    assert "records.jsonl" in waiting
    for path in waiting:
        size = (place / "interrupted" / ".mnistseq" / path).stat().st_size
        for at in {0, size // 3, size // 2, size - 2}:
            copy(place / "interrupted", out)
            flip(out / ".mnistseq" / path, at)
            assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
            assert difference(tree(out), whole(name, *SMALL)) == []


@each_format
def test_no_byte_of_a_journal_is_taken_on_trust(
    name: str, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    """Digits that become other digits: records that are sound to look at, and wrong."""
    out = place / "out"
    with_holes = chores.Spoiled

    def run(work: Any, tasks: Any, stop: Any) -> Any:
        return serial.run(with_holes(work, "unpicklable", shard=2), tasks, stop)

    with pytest.raises(OutputError, match="1 of 4 shards failed, shard 2 "):
        dataset.build(out, spec_of(name), Source("train"), run=run)
    copy(out, place / "interrupted")
    journal = (out / ".mnistseq" / "records.jsonl").read_bytes()
    digits = [at for at, byte in enumerate(journal) if chr(byte).isdigit()]
    for at in digits[:: max(1, len(digits) // 20)]:
        copy(place / "interrupted", out)
        changed = bytearray(journal)
        changed[at] = ord("0") + (changed[at] - ord("0") + 1) % 10
        (out / ".mnistseq" / "records.jsonl").write_bytes(changed)
        assert main.run(["dataset", *map(str, SMALL), *form(name), "-o", str(out)]) == 0
        assert difference(tree(out), whole(name, *SMALL)) == []


# 9. and 10. Others at the same place


@pytest.mark.parametrize("finished", [True, False])
@each_format
def test_another_recipe_is_refused_with_the_difference_and_nothing_is_touched(
    name: str, finished: bool, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = place / "out"
    command = ["dataset", *map(str, SMALL), *form(name), "-o", str(out)]
    assert main.run(command) == 0
    if not finished:
        (out / MANIFEST_NAME).unlink()
    before = tree(out)
    other = ["--layout", "shards"] if name in ("folders", "flat") else form("folders" if name == "png" else "png")
    for options, told in (
        (["--seed", "6"], "seed 6 instead of 5"),
        (["--len", "3"], "length 3 instead of 2"),
        (["--max", "4"], "max_gap 4 instead of 0"),
        (["--invert"], "invert true instead of false"),
        (["--source", "test"], "source test instead of train"),
        (["--shard-size", "7"], "shard_size 7 instead of 6"),
        (["-n", "19"], "holds 20 samples, and 19 were asked for"),
        (other, f"instead of {name}"),
    ):
        capfd.readouterr()
        assert main.run([*command, *options]) == 2
        assert told in assert_one_message(capfd.readouterr().err)
        assert difference(tree(out), before) == []


def test_of_two_runs_at_one_place_the_second_is_refused(place: Path, whole: Callable[..., dict[str, object]]) -> None:
    arguments = ["dataset", *LONG, "--format", "png", "-o", place / "out"]
    with Run(*arguments, "--workers", 2) as first:
        wait_for(lambda: recorded(place / "out") > 2)
        first.signal(signal.SIGSTOP)
        for options in ([], ["--overwrite"], ["-n", "30000"]):
            code, _, err = run_to_the_end(*arguments, *options)
            assert code == 2
            assert "another mnistseq is writing to" in assert_one_message(err)
        assert first.process.poll() is None, "the first was to take longer"
        first.signal(signal.SIGCONT)
        assert first.end()[0] == 0
    assert difference(tree(place / "out"), whole("png", *LONG)) == []


def test_of_many_runs_at_one_place_one_does_it(place: Path, whole: Callable[..., dict[str, object]]) -> None:
    arguments = ["dataset", *SMALL, "--format", "idx", "-o", place / "out"]
    runs = [Run(*arguments) for _ in range(4)]
    codes = [run.end()[0] for run in runs]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert difference(tree(place / "out"), whole("idx", *SMALL)) == []


# 12. Surroundings


SURROUNDINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "no terminal": ({"TERM": "dumb"}, []),
    "Turkish": ({"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}, []),
    "no language": ({"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, []),
    "hash seed 0": ({"PYTHONHASHSEED": "0"}, []),
    "hash seed 1": ({"PYTHONHASHSEED": "1"}, []),
    "optimised": ({}, ["-O"]),
    "optimised twice": ({}, ["-OO"]),
    "developer mode": ({}, ["-X", "dev"]),
    "another time zone": ({"TZ": "Asia/Kathmandu"}, []),
    "many threads": ({"OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"}, []),
}


@pytest.mark.parametrize(
    "name", others_slow(SURROUNDINGS, "Turkish", "hash seed 1", "optimised twice", "developer mode")
)
def test_surroundings_change_nothing(
    name: str,
    place: Path,
    whole: Callable[..., dict[str, object]],
) -> None:
    variables, options = SURROUNDINGS[name]
    arguments = [*SMALL, "--workers", 2, "-o", place / "out"]
    with (place / "err").open("wb") as err:
        done = subprocess.run(
            [sys.executable, *options, "-m", "mnist_seq_cli", "dataset", *map(str, arguments)],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            check=False,
        )
    told = (place / "err").read_bytes()
    assert (done.returncode, done.stdout) == (0, b""), told
    assert b"Traceback" not in told
    assert b"\r" not in told
    assert b"\x1b" not in told
    assert b"Warning" not in told
    assert told.count(b"\n") == 4
    assert difference(tree(place / "out"), whole("png", *SMALL)) == []


@pytest.mark.parametrize(
    ("closing", "workers"),
    [("1", 1), ("2", 1), ("0 1 2", 2), *slow([("0", 1), ("1 2", 1), ("0 1 2", 1), ("0", 2), ("1", 2)])],
)
def test_closed_streams_change_nothing(
    closing: str, workers: int, place: Path, whole: Callable[..., dict[str, object]]
) -> None:
    redirections = " ".join(f"{'<' if stream == '0' else stream + '>'}&-" for stream in closing.split())
    command = f'exec "$0" -m mnist_seq_cli dataset "$@" {redirections}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, *map(str, SMALL), "--workers", str(workers), "-o", place / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("\n") == (0 if "2" in closing else 4), done.stderr
    assert difference(tree(place / "out"), whole("png", *SMALL)) == []


@pytest.mark.parametrize("arguments", ["generate 1-2 -o -", "dataset --help", "--version", "inspect --json"])
@pytest.mark.parametrize("closing", [">&-", ">/dev/full"])
def test_a_closed_or_full_stdout_is_a_failure_where_there_is_something_for_it(
    closing: str, arguments: str, place: Path
) -> None:
    command = f'exec "$0" -m mnist_seq_cli {arguments} {closing}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    message = {
        ">&-": "stdout is closed; send it to a file or a pipe",
        ">/dev/full": "stdout: No space left on device",
    }
    assert (done.returncode, done.stderr) == (1, f"mnistseq: {message[closing]}\n")


@pytest.mark.parametrize(
    ("needed", "free", "told"),
    [
        (42_000_000_000, 13_000_000, ["42.00 GB", "0.01 GB"]),
        (10_400_000, 9_600_000, ["10.40 MB", "9.60 MB"]),
        (1_000_900_000, 1_000_500_000, ["1000.90 MB", "1000.50 MB"]),
        (10_400, 9_600, ["10.40 kB", "9.60 kB"]),
        (10_000_001, 10_000_000, ["10000001 bytes", "10000000 bytes"]),
        (42, 0, ["0.04 kB", "0.00 kB"]),
    ],
)
def test_what_is_needed_and_what_is_free_are_told_in_a_unit_in_which_they_differ(
    needed: int, free: int, told: list[str]
) -> None:
    assert dataset._apart(needed, free) == told


@pytest.mark.parametrize("lines", [0, 1])
def test_a_reader_that_goes_away_ends_a_stream_quietly(lines: int) -> None:
    stream = '"$0" -m mnist_seq_cli dataset -n 20000 --len 4 --format webdataset -o -'
    command = f'{stream} | head -c "$1"; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, str(lines)], capture_output=True, check=True, timeout=60
    )
    assert done.stdout[lines:] in (b"1\n", b"141\n")
    assert done.stderr == b""


# 13. Memory

PEAK = """
import sys
from mnist_seq_cli.cli.main import run
code = run(sys.argv[1:])
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


def peak_memory(*arguments: object) -> int:
    """Return the peak resident memory of the program's first process in MB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=600
    )
    return int(done.stdout.split()[-1]) // 1024


@pytest.mark.slow
def test_the_memory_of_the_parent_does_not_grow_with_the_shards(place: Path, full: bool) -> None:
    few, many = (1_000, 100_000) if full else (500, 5_000)
    tiny = ["--len", 1, "--seed", 1, "--shard-size", 1, "--format", "webdataset", "--workers", 2]
    peaks = [peak_memory("dataset", "-n", count, *tiny, "-o", place / f"{count}") for count in (few, many)]
    assert peaks[1] - peaks[0] < 30
    again = peak_memory("dataset", "-n", many, *tiny, "-o", place / f"{many}")
    assert again < 250
    (place / f"{many}" / MANIFEST_NAME).unlink()
    assert peak_memory("dataset", "-n", many, *tiny, "-o", place / f"{many}") < 250
