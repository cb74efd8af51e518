"""The runners: one contract for both, and processes that may die at any time."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import chores
import pytest

from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.execution.processes import run_on_processes
from mnist_seq_cli.execution.runner import Failure, Stop

RUNNERS: dict[str, Any] = {
    "here": serial.run,
    "1 process": partial(run_on_processes, workers=1),
    "2 processes": partial(run_on_processes, workers=2),
    "5 processes": partial(run_on_processes, workers=5),
}


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Any:
    return RUNNERS[request.param]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(process: int) -> bool:
    """Tell whether a process runs; one that has ended, and that nobody has asked after yet, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(processes: set[int], seconds: float = 1) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(alive, processes))


# The contract


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_each_task_is_done_once(run: Any, count: int) -> None:
    outcomes = list(run(chores.double, range(count), Stop()))
    assert sorted(outcomes) == [(task, 2 * task) for task in range(count)]


def test_tasks_may_be_alike(run: Any) -> None:
    outcomes = list(run(chores.double, [3, 3, 3, 4], Stop()))
    assert Counter(outcomes) == {(3, 6): 3, (4, 8): 1}


def test_an_error_becomes_a_failure_and_the_others_go_on(run: Any) -> None:
    outcomes = dict(run(chores.fail, range(9), Stop()))
    failures = {task: outcome for task, outcome in outcomes.items() if isinstance(outcome, Failure)}
    assert sorted(outcomes) == list(range(9))
    assert {task: outcomes[task] for task in outcomes.keys() - failures.keys()} == {0: 0, 7: 7, 8: 8}
    assert {task: failure.message for task, failure in failures.items()} == {
        1: "ValueError: one\\nis not enough",
        2: "two is not a format; take three",
        3: "three.png: Input/output error",
        4: "No space left on device",
        5: "Unpicklable: from here to there",
        6: "MemoryError: ",
    }
    assert {task for task, failure in failures.items() if failure.fatal} == {4}
    assert {task for task, failure in failures.items() if failure.details} == {1, 5, 6}
    assert 'raise ValueError("one' in failures[1].details


def test_what_a_task_comes_to_may_be_anything(run: Any) -> None:
    outcomes = list(run(chores.array, range(3), Stop()))
    assert sorted((task, list(values)) for task, values in outcomes) == [(task, [task] * 3) for task in range(3)]


def test_when_it_was_asked_to_stop_before_nothing_is_begun(run: Any, tmp_path: Path) -> None:
    stop = Stop()
    stop.signal = signal.SIGINT
    assert list(run(chores.Log(tmp_path, 0), range(100), stop)) == []
    assert list(tmp_path.iterdir()) == []


def test_when_it_is_asked_to_stop_what_runs_comes_to_its_end(run: Any, tmp_path: Path) -> None:
    stop, outcomes = Stop(), []
    for task, outcome in run(chores.Log(tmp_path, 0.02), range(1000), stop):
        assert outcome == task
        outcomes.append(task)
        stop.signal = signal.SIGINT
    begun = sorted(int(path.name.partition("-")[0]) for path in tmp_path.iterdir())
    assert sorted(outcomes) == begun
    assert len(begun) == 1 if run is serial.run else len(begun) <= 20


def test_tasks_are_asked_for_when_they_are_needed(run: Any) -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(60):
            asked.append(task)
            yield task

    workers = 0 if run is serial.run else run.keywords["workers"]
    for done, _ in enumerate(run(chores.double, tasks(), Stop())):
        assert len(asked) <= done + max(1, 2 * workers)
    assert len(asked) == 60


def test_what_goes_wrong_with_the_tasks_themselves_is_not_hidden(run: Any) -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(run(chores.double, tasks(), Stop()))


def test_it_may_be_abandoned(run: Any) -> None:
    before = open_files()
    outcomes = run(chores.whose, range(10_000), Stop())
    workers = {next(outcomes)[1][1] for _ in range(5)} - {os.getpid()}
    assert (not workers) == (run is serial.run)
    outcomes.close()
    assert gone(workers)
    assert open_files() <= before + 3  # what a first use of multiprocessing opens for good


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
    outcomes = run_on_processes(chores.whose, range(20), Stop(), workers)
    processes = {process for _, (_, process, _) in (next(outcomes) for _ in range(6))}
    outcomes.close()
    assert gone(processes)

    with Stop() as stop:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(run_on_processes(chores.sleep, [600.0] * 3, stop, workers))


# Processes that die


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_when_a_process_dies_its_tasks_are_done_again(workers: int, times: int, tmp_path: Path) -> None:
    work = chores.Killer(tmp_path, victim=7, times=times)
    outcomes = list(run_on_processes(work, range(20), Stop(), workers))
    assert sorted(outcomes) == [(task, 2 * task) for task in range(20)]
    assert len(list(tmp_path.iterdir())) == times + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_always_kills_its_process_fails_alone(workers: int, tmp_path: Path) -> None:
    work = chores.Killer(tmp_path, victim=7, times=1000)
    outcomes = dict(run_on_processes(work, range(20), Stop(), workers))
    failure = outcomes.pop(7)
    assert outcomes == {task: 2 * task for task in range(20) if task != 7}
    assert failure == Failure("its process died 4 times, the last time alone")
    assert len(list(tmp_path.iterdir())) == 4


def test_when_all_processes_always_die_it_comes_to_an_end() -> None:
    outcomes = dict(run_on_processes(chores.die, range(3), Stop(), 2))
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
            list(run_on_processes(work, [0], stop, 1))


def test_a_request_to_stop_is_no_failure_of_a_task_that_was_to_be_done_alone(tmp_path: Path) -> None:
    stop, work = Stop(), chores.Killer(tmp_path, victim=0, times=3)

    def ask() -> None:
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.001)
        stop.signal = signal.SIGINT

    threading.Thread(target=ask).start()
    assert list(run_on_processes(work, [0], stop, 1)) in ([], [(0, 0)])


def test_a_process_that_is_killed_from_outside_is_replaced() -> None:
    outcomes, killed = [], False
    for task, (_, process, _) in run_on_processes(chores.whose, range(40), Stop(), 2):
        outcomes.append(task)
        if len(outcomes) == 10:
            os.kill(process, signal.SIGKILL)
            killed = True
    assert killed
    assert sorted(outcomes) == list(range(40))


def test_when_it_was_asked_to_stop_nothing_is_done_again(tmp_path: Path) -> None:
    stop = Stop()
    outcomes = []
    for task, outcome in run_on_processes(chores.Killer(tmp_path, victim=3, times=1000), range(1000), stop, 2):
        outcomes.append((task, outcome))
        stop.signal = signal.SIGTERM
    assert all(outcome == 2 * task for task, outcome in outcomes)
    assert len(outcomes) < 10


def test_processes_are_not_forked_from_this_one() -> None:
    """This one may have threads, and what they hold would be held for ever in a fork."""
    parents = {parent for _, (_, _, parent) in run_on_processes(chores.whose, range(4), Stop(), 2)}
    assert os.getpid() not in parents
    assert processes._context().get_start_method() in ("forkserver", "spawn")


def test_ctrl_c_reaches_processes_too_and_is_left_to_the_parent() -> None:
    done = []
    for task, (_, process, _) in run_on_processes(chores.whose, range(20), Stop(), 2):
        done.append(task)
        os.kill(process, signal.SIGINT)
    assert sorted(done) == list(range(20))


def test_nothing_is_left_open_however_often_it_runs() -> None:
    list(run_on_processes(chores.double, range(3), Stop(), 2))
    before, threads = open_files(), threading.active_count()
    for _ in range(3):
        list(run_on_processes(chores.double, range(3), Stop(), 2))
    assert open_files() <= before
    assert threading.active_count() == threads
