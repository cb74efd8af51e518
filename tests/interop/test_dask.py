"""A Dask cluster as a runner: the contract of all runners, and workers and schedulers that come, go and do not fit."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import chores
import pytest
from asked import recipe_for
from faulty import difference, tree
from runner_suite import RunnerSuite, alive

from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import OutputError
from mnist_seq_cli.execution import cluster, processes, serial
from mnist_seq_cli.execution.cluster import AHEAD, MOST, Cluster
from mnist_seq_cli.execution.runner import Failure, Stop
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec

SPEC = Spec(recipe=recipe_for(seed=2, length=2), samples=60, format="png", compression="fast", shard_size=4)
TRAIN = Source("train")

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def local() -> Iterator[Cluster]:
    with Cluster(workers=2) as run:
        yield run


class TestDask(RunnerSuite):
    ahead = 2 * AHEAD * MOST
    lasting = True

    @pytest.fixture
    def run(self, local: Cluster) -> Cluster:
        return local


@pytest.mark.parametrize("name", ["png", "webdataset", "idx", "folders"])
def test_a_dataset_is_the_same_as_from_other_runners(name: str, local: Cluster, tmp_path: Path) -> None:
    spec = Spec(recipe=SPEC.recipe, samples=60, format=name, compression="fast", shard_size=7)
    runs = {"dask": local, "processes": processes.on(2), "serial": serial.run}
    for place, run in runs.items():
        build(tmp_path / place, spec, TRAIN, run=run)
    for place in ("processes", "serial"):
        assert difference(tree(tmp_path / "dask"), tree(tmp_path / place)) == []
    assert list(verify(tmp_path / "dask", run=local)) == []


def test_workers_here_keep_the_memory_of_a_batch_for_the_next(local: Cluster) -> None:
    """Dask has them give it back at once, which costs a third more time in the formats without small files."""
    assert {*local._client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()} == {None}


def test_a_relative_path_is_one_of_this_process(
    local: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build("out", SPEC, TRAIN, run=local).made == 60
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_when_a_worker_dies_its_tasks_are_done_again(local: Cluster, tmp_path: Path) -> None:
    work = chores.Killer(tmp_path, victim=7, times=1)
    assert sorted(local(work, range(12), Stop())) == [(task, 2 * task) for task in range(12)]


def test_a_task_that_always_kills_its_worker_fails_alone(local: Cluster, tmp_path: Path) -> None:
    outcomes = dict(local(chores.Killer(tmp_path, victim=3, times=1000), range(9), Stop()))
    assert outcomes.pop(3) == Failure("its worker died 8 times, the last 4 times alone")
    assert outcomes == {task: 2 * task for task in range(9) if task != 3}


# Schedulers and workers of other people


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a scheduler or a worker, which ends with the test."""
    with ExitStack() as stack:

        def start(kind: str, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
            command = [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", *options, "--no-dashboard"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
            started = subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True, **quiet)
            stack.callback(started.wait)
            stack.callback(lambda: alive(started.pid) and os.killpg(started.pid, signal.SIGKILL))
            return started

        yield start


@pytest.fixture
def scheduler(start: Start, tmp_path: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A scheduler without workers, and its address."""
    file = tmp_path / "scheduler.json"
    process = start("scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(file))
    while not file.exists() or not file.read_text():
        time.sleep(0.05)
    return process, json.loads(file.read_text())["address"].removeprefix("tcp://")


@pytest.fixture
def worker(start: Start, scheduler: Any) -> Start:
    """Start a worker of the scheduler, with options."""
    common = (scheduler[1], "--nthreads", "1", "--no-nanny")
    return lambda *options, **more: start("worker", *common, *options, **more)


def test_a_scheduler_that_is_lost_ends_a_run_in_a_line_and_the_next_does_the_rest(
    scheduler: Any, worker: Start, tmp_path: Path
) -> None:
    worker()
    process, address = scheduler

    def kill_soon(completed: Any) -> Iterator[Any]:
        for number, each in enumerate(completed):
            if number == 3:
                process.kill()
            yield each

    with (
        Cluster(address) as run,
        pytest.raises(OutputError, match=rf"^the scheduler of dask://{address} is lost; run the same command again"),
    ):
        build(tmp_path / "out", SPEC, TRAIN, run=run, watch=kill_soon)
    build(tmp_path / "whole", SPEC, TRAIN)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert build(tmp_path / "out", SPEC, TRAIN).made < 60
    assert difference(tree(tmp_path / "out"), tree(tmp_path / "whole")) == []


def test_workers_may_come_and_go(scheduler: Any, worker: Start) -> None:
    first, done = worker(), []
    with Cluster(scheduler[1]) as run:
        for task, _ in run(chores.whose, range(60), Stop()):
            done.append(task)
            if len(done) == 10:
                first.kill()
                worker()
    assert sorted(done) == list(range(60))


def test_results_that_are_lost_with_a_worker_are_made_again(scheduler: Any, worker: Start) -> None:
    """Those that are done, and in its memory, when it dies."""
    first, done = worker(), []
    with Cluster(scheduler[1]) as run:

        def wait_for(*statuses: str) -> None:
            while not {state.status for state in run._client.futures.values()} <= {*statuses}:
                time.sleep(0.01)

        for task, _ in run(chores.whose, range(60), Stop()):
            done.append(task)
            if len(done) == 10:
                wait_for("finished")
                first.kill()
                wait_for("lost")
                worker()
    assert sorted(done) == list(range(60))


def test_without_a_scheduler_or_workers_a_line_says_so(scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(OutputError, match=rf"^dask://{scheduler[1]} has no workers; dask worker {scheduler[1]} "):
        Cluster(scheduler[1]).__enter__()
    scheduler[0].kill()
    scheduler[0].wait()
    with pytest.raises(OutputError, match=rf"^no scheduler answers at dask://{scheduler[1]}; dask scheduler starts"):
        Cluster(scheduler[1]).__enter__()


def test_workers_of_another_version_are_refused_whenever_they_come(
    scheduler: Any, worker: Start, tmp_path: Path
) -> None:
    (tmp_path / "old.py").write_text("import mnist_seq_cli\nmnist_seq_cli.__version__ = '0.0.9'\n")
    good = worker()
    with Cluster(scheduler[1]) as run:
        outcomes = run.requiring(chores.nothing)(chores.whose, range(100), Stop())
        with closing(outcomes):
            assert isinstance(next(outcomes)[1], tuple)
            worker("--preload", str(tmp_path / "old.py"))
            good.kill()
            failures = [outcome for _, outcome in outcomes if isinstance(outcome, Failure)]
        assert failures[0].fatal
        assert "has mnistseq 0.0.9, not" in failures[0].message
        with pytest.raises(OutputError, match=r"^the worker at tcp://\S+ has mnistseq 0\.0\.9, not "):
            build(tmp_path / "out", SPEC, TRAIN, run=run)
    assert tree(tmp_path / "out") == {}


def test_a_worker_with_other_files_at_the_same_path_is_found_out(scheduler: Any, worker: Start, tmp_path: Path) -> None:
    hidden = (
        "unshare",
        "-m",
        "sh",
        "-c",
        f'mkdir -p {tmp_path}/out && mount -t tmpfs none {tmp_path}/out && exec "$@"',
        "-",
    )
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives a process no mounts of its own")
    worker()
    worker(before=hidden)
    with Cluster(scheduler[1]) as run:
        run._client.wait_for_workers(2)
        with pytest.raises(
            OutputError, match=r"^1 of 2 workers are unfit: the worker at \S+ does not see what is in /"
        ):
            build(tmp_path / "out", SPEC, TRAIN, run=run)
    assert tree(tmp_path / "out") == {}


# The command


def test_ctrl_c_leaves_with_what_is_done_and_the_same_command_does_the_rest(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnist_seq_cli", "dataset", "-n", "5000", "--len", "2", "--seed", "1"]
    command += ["--shard-size", "20", "--runner", "dask", "--workers", "2", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        while run.poll() is None and not (tmp_path / "out/images/00003").exists():
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate()
    assert run.returncode == 130
    assert re.fullmatch(
        r"mnistseq: stopped with \d+ of 5000 samples done; run the same command again to finish\n", said
    )
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "reused" in done.stderr
    build(tmp_path / "whole", *_spec_and_source(tmp_path / "out"))
    assert difference(tree(tmp_path / "out"), tree(tmp_path / "whole")) == []


def _spec_and_source(directory: Path) -> tuple[Spec, Source]:
    from mnist_seq_cli.dataset.manifest import require_spec

    return require_spec(directory), TRAIN
