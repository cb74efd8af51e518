"""Owns what every runner has to do: one class, from which the tests of a runner inherit."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chores
import pytest

from mnist_seq_cli.execution.runner import Failure, Stop


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


class RunnerSuite:
    """The contract. `runner` is the runner, and `ahead` how many tasks it may have asked for and not ended yet.

    `lasting` says that its processes are there before it runs, and after.
    """

    runner: Any
    ahead: int
    lasting = False

    @pytest.fixture
    def run(self) -> Any:
        return type(self).runner

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
    def test_each_task_is_done_once(self, run: Any, count: int) -> None:
        outcomes = list(run(chores.double, range(count), Stop()))
        assert sorted(outcomes) == [(task, 2 * task) for task in range(count)]

    def test_tasks_may_be_alike(self, run: Any) -> None:
        outcomes = list(run(chores.double, [3, 3, 3, 4], Stop()))
        assert Counter(outcomes) == {(3, 6): 3, (4, 8): 1}

    def test_an_error_becomes_a_failure_and_the_others_go_on(self, run: Any) -> None:
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
            6: "out of memory",
        }
        assert {task for task, failure in failures.items() if failure.fatal} == {4}
        assert {task for task, failure in failures.items() if failure.details} == {1, 5}
        assert 'raise ValueError("one' in failures[1].details

    def test_what_a_task_comes_to_may_be_anything(self, run: Any) -> None:
        outcomes = list(run(chores.array, range(3), Stop()))
        assert sorted((task, list(values)) for task, values in outcomes) == [(task, [task] * 3) for task in range(3)]

    def test_when_it_was_asked_to_stop_before_nothing_is_begun(self, run: Any, tmp_path: Path) -> None:
        stop = Stop()
        stop.signal = signal.SIGINT
        assert list(run(chores.Log(tmp_path, 0), range(100), stop)) == []
        assert list(tmp_path.iterdir()) == []

    def test_when_it_is_asked_to_stop_what_runs_comes_to_its_end(self, run: Any, tmp_path: Path) -> None:
        stop, outcomes = Stop(), []
        for task, outcome in run(chores.Log(tmp_path, 0.02), range(1000), stop):
            assert outcome == task
            outcomes.append(task)
            stop.signal = signal.SIGINT
        begun = sorted(int(path.name.partition("-")[0]) for path in tmp_path.iterdir())
        assert sorted(outcomes) == begun
        assert len(begun) <= 2 * self.ahead

    def test_tasks_are_asked_for_when_they_are_needed(self, run: Any) -> None:
        asked: list[int] = []

        def tasks() -> Iterator[int]:
            for task in range(60):
                asked.append(task)
                yield task

        for done, _ in enumerate(run(chores.double, tasks(), Stop())):
            assert len(asked) <= done + self.ahead
        assert len(asked) == 60

    def test_what_goes_wrong_with_the_tasks_themselves_is_not_hidden(self, run: Any) -> None:
        def tasks() -> Iterator[int]:
            yield 1
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            list(run(chores.double, tasks(), Stop()))

    def test_it_may_be_abandoned(self, run: Any) -> None:
        before = open_files()
        outcomes = run(chores.whose, range(10_000), Stop())
        workers = {next(outcomes)[1][1] for _ in range(5)} - {os.getpid()}
        outcomes.close()
        assert self.lasting or gone(workers)
        assert open_files() <= before + 3  # what a first use of multiprocessing opens for good
