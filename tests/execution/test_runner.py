"""The runners: one contract for all (runner_suite), and processes that may die at any time."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import chores
import pytest
from runner_suite import RunnerSuite, gone, open_files

from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.execution.runner import Failure, Stop, guarded


class TestSerial(RunnerSuite):
    runner = staticmethod(serial.run)
    ahead = 1


class TestOneProcess(RunnerSuite):
    runner = staticmethod(partial(processes.run, workers=1))
    ahead = 2


class TestTwoProcesses(RunnerSuite):
    runner = staticmethod(partial(processes.run, workers=2))
    ahead = 4


class TestFiveProcesses(RunnerSuite):
    runner = staticmethod(partial(processes.run, workers=5))
    ahead = 10


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_on_a_disk_that_takes_no_more_other_tasks_meet_the_same_end(number: int) -> None:
    def work(task: int) -> int:
        raise OSError(number, os.strerror(number))

    assert guarded(work, 1) == Failure(os.strerror(number), fatal=True)


# Stopping


def test_the_first_signal_is_a_request_and_the_second_an_order() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        previous = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        with Stop() as stop:
            assert not stop
            os.kill(os.getpid(), number)
            assert stop
            assert stop.signal == number
            with pytest.raises(KeyboardInterrupt) as raised:
                os.kill(os.getpid(), number)
            assert raised.value.args == (number,)
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == previous


def test_ctrl_c_after_sigterm_is_an_order_too() -> None:
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGTERM


def test_in_another_thread_nothing_is_listened_to() -> None:
    found: list[bool] = []

    def use() -> None:
        with Stop() as stop:
            found.append(bool(stop))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [False]
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_the_second_signal_ends_long_tasks_at_once(workers: int) -> None:
    outcomes = processes.run(chores.whose, range(20), Stop(), workers)
    workers_seen = {process for _, (_, process, _) in (next(outcomes) for _ in range(6))}
    outcomes.close()
    assert gone(workers_seen)

    with Stop() as stop:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(processes.run(chores.sleep, [600.0] * 3, stop, workers))


# Processes that die


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_when_a_process_dies_its_tasks_are_done_again(workers: int, times: int, tmp_path: Path) -> None:
    work = chores.Killer(tmp_path, victim=7, times=times)
    outcomes = list(processes.run(work, range(20), Stop(), workers))
    assert sorted(outcomes) == [(task, 2 * task) for task in range(20)]
    assert len(list(tmp_path.iterdir())) == times + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_always_kills_its_process_fails_alone(workers: int, tmp_path: Path) -> None:
    work = chores.Killer(tmp_path, victim=7, times=1000)
    outcomes = dict(processes.run(work, range(20), Stop(), workers))
    failure = outcomes.pop(7)
    assert outcomes == {task: 2 * task for task in range(20) if task != 7}
    assert failure == Failure("its process died 4 times, the last time alone")
    assert len(list(tmp_path.iterdir())) == 4


def test_when_all_processes_always_die_it_comes_to_an_end() -> None:
    outcomes = dict(processes.run(chores.die, range(3), Stop(), 2))
    assert {type(outcome) for outcome in outcomes.values()} == {Failure}


@pytest.mark.parametrize("alone", [False, True], ids=["with others", "alone"])
def test_the_second_signal_ends_a_task_that_is_done_again_at_once(alone: bool, tmp_path: Path) -> None:
    """One that has been near three deaths is done alone, and that may take its time too."""
    work = chores.Killer(tmp_path, victim=0, times=3 if alone else 2, seconds=600)
    with Stop() as stop:

        def interrupt() -> None:
            while len(list(tmp_path.iterdir())) <= work.times:
                time.sleep(0.01)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            list(processes.run(work, [0], stop, 1))


def test_a_request_to_stop_is_no_failure_of_a_task_that_was_to_be_done_alone(tmp_path: Path) -> None:
    stop, work = Stop(), chores.Killer(tmp_path, victim=0, times=3)

    def ask() -> None:
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.001)
        stop.signal = signal.SIGINT

    threading.Thread(target=ask).start()
    assert list(processes.run(work, [0], stop, 1)) in ([], [(0, 0)])


def test_a_process_that_is_killed_from_outside_is_replaced() -> None:
    outcomes, killed = [], False
    for task, (_, process, _) in processes.run(chores.whose, range(40), Stop(), 2):
        outcomes.append(task)
        if len(outcomes) == 10:
            os.kill(process, signal.SIGKILL)
            killed = True
    assert killed
    assert sorted(outcomes) == list(range(40))


def test_when_it_was_asked_to_stop_nothing_is_done_again(tmp_path: Path) -> None:
    stop = Stop()
    outcomes = []
    for task, outcome in processes.run(chores.Killer(tmp_path, victim=3, times=1000), range(1000), stop, 2):
        outcomes.append((task, outcome))
        stop.signal = signal.SIGTERM
    assert all(outcome == 2 * task for task, outcome in outcomes)
    assert len(outcomes) < 10


def test_processes_are_not_forked_from_this_one() -> None:
    """This one may have threads, and what they hold would be held for ever in a fork."""
    parents = {parent for _, (_, _, parent) in processes.run(chores.whose, range(4), Stop(), 2)}
    assert os.getpid() not in parents
    assert processes._context().get_start_method() in ("forkserver", "spawn")


def test_ctrl_c_reaches_processes_too_and_is_left_to_the_parent() -> None:
    done = []
    for task, (_, process, _) in processes.run(chores.whose, range(20), Stop(), 2):
        done.append(task)
        os.kill(process, signal.SIGINT)
    assert sorted(done) == list(range(20))


def test_nothing_is_left_open_however_often_it_runs() -> None:
    list(processes.run(chores.double, range(3), Stop(), 2))
    before, threads = open_files(), threading.active_count()
    for _ in range(3):
        list(processes.run(chores.double, range(3), Stop(), 2))
    assert open_files() <= before
    assert threading.active_count() <= threads


_SCRIPT = """
from asked import recipe_for
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec

spec = Spec(recipe=recipe_for(seed=2, length=2), samples=40, format="png", compression="fast", shard_size=10)
build("out", spec, Source("train"), workers=2)
"""


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path: Path) -> None:
    """Processes import the script that starts them, as its functions may be needed there."""
    (tmp_path / "script.py").write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert sum(line.startswith("Traceback") for line in lines) == 1
    assert lines[-1].startswith("mnist_seq_cli.errors.RequestError: workers import the script that starts them, and it")
    assert lines[-1].endswith('; put the work under `if __name__ == "__main__":`')


# Processes that cannot be started


@pytest.mark.filterwarnings("ignore:not all of 3 processes can be started")
def test_when_processes_end_at_their_start_the_work_is_done_here() -> None:
    outcomes = list(processes.run(chores.NotElsewhere(), range(20), Stop(), 3))
    assert sorted(outcomes) == [(task, os.getpid()) for task in range(20)]


@pytest.mark.filterwarnings("error")
def test_what_ends_at_its_start_when_all_were_asked_to_stop_is_no_limit() -> None:
    """The signal to all processes of a job may reach one that has just been forked."""
    stop = Stop()

    def tasks() -> Iterator[int]:
        yield from range(3)
        stop.signal = signal.SIGTERM
        yield 3

    assert list(processes.run(chores.NotElsewhere(), tasks(), stop, 4)) == []


@pytest.mark.filterwarnings("ignore:not all of 3 processes can be started")
def test_what_cannot_be_started_is_done_by_fewer_and_nothing_is_left_open() -> None:
    list(processes.run(chores.double, range(3), Stop(), 2))
    before, limits = open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    for more in range(0, 16, 2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + more, limits[1]))
        try:
            outcomes = list(processes.run(chores.double, range(20), Stop(), 3))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert sorted(outcomes) == [(task, 2 * task) for task in range(20)]
        assert open_files() <= before
