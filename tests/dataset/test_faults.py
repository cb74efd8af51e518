"""Every operation of a run fails, is interrupted, or is the last one: nothing unfinished looks finished, ever.

Each test goes through a run one operation at a time (`faulty.FaultySystem`), from four beginnings: nothing, a dataset
that grows, one that is repaired, and one that was killed. After each fault the same command runs again. A sample of the
operations is gone through with one error each (`sampled`): a small one, a larger one with `-m slow`, and with --full
every operation with every error.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from faulty import STRIKES, FaultySystem, copy, difference, fast_directory, tree, under, visible
from forms import UNLIKE_FORMATS, form, parameters

from mnist_seq_cli.cli import main
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.formats import FORMAT_NAMES

SAMPLES, BEFORE, SHARD_SIZE = 7, 5, 3
BEGINNINGS = ("nothing", "grown", "damaged", "killed")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


class Depth(NamedTuple):
    """Which operations of a run are gone through: the first and last `ends`, and one of `every` between them.

    A test that does nearly what another does (a signal of another number, a fault after the operation and not before
    the next one) takes `few` at the ends.
    """

    ends: int
    few: int
    every: int


QUICK, SLOW, FULL = Depth(3, 1, 29), Depth(10, 3, 11), Depth(0, 0, 1)


@pytest.fixture(params=["quick", pytest.param("slow", marks=pytest.mark.slow)])
def depth(request: pytest.FixtureRequest, full: bool) -> Depth:
    return QUICK if request.param == "quick" else FULL if full else SLOW


UNLIKE_FORMS = (*UNLIKE_FORMATS, "png --masks")
"""What follows --format: the formats, and the one whose masks are files and folders of their own."""

FORMS = (*UNLIKE_FORMS, *(name for name in FORMAT_NAMES if name not in UNLIKE_FORMATS))


def command(name: str, samples: int = SAMPLES) -> list[str]:
    sizes = ["-n", str(samples), "--len", "2", "--shard-size", str(SHARD_SIZE)]
    return ["dataset", *sizes, "--seed", "5", "--workers", "1", *form(name), "-o"]


class Case(NamedTuple):
    """A form and a beginning: `start` is what is there before; `end` and `log` are of an undisturbed run.

    `end` is its tree, `log` its operations. `shift` moves the sample of operations, so that
    cases with similar runs do not all leave out the same ones.
    """

    arguments: list[str]
    directory: Path
    start: Path
    end: dict[str, object]
    log: list[str]
    shift: int

    def begin(self) -> dict[str, object]:
        copy(self.start, self.directory)
        return tree(self.directory)

    def run(self) -> int:
        return main.run(self.arguments)

    def assert_nothing_lies(self, before: dict[str, object], code: int) -> None:
        """What can be seen is of an undisturbed run or was there before, and complete if it says so."""
        now = tree(self.directory)
        seen = visible(now)
        wrong = [name for name, content in seen.items() if content not in (before.get(name), self.end.get(name))]
        assert wrong == []
        if MANIFEST_NAME in seen and visible(before) != seen:
            assert difference(seen, visible(self.end)) == []
        if code == 0:
            assert difference(now, self.end) == []

    def assert_no_rubbish(self) -> None:
        """No temporary file is left: beside the dataset only what the next run goes on from."""
        rubbish = [name for name in tree(self.directory) if "partial" in name or "stage" in name]
        assert rubbish == []

    def assert_finished_by_the_same_command(self) -> None:
        assert self.run() == 0
        assert difference(tree(self.directory), self.end) == []


def damaged(directory: Path) -> None:
    """Flip a byte in the middle of the second of the files that hold samples, and cut a byte off the last one."""
    papers = (MANIFEST_NAME, "recipe.json", card.CARD_NAME, card.CROISSANT_NAME, card.PICTURE_NAME)
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name not in papers)
    victim = paths[min(1, len(paths) - 1)]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0x10
    victim.write_bytes(content)
    paths[-1].write_bytes(paths[-1].read_bytes()[:-1])


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def cases(place: Path) -> Callable[[str, str], Case]:
    made: dict[tuple[str, str], Case] = {}

    def case(form: str, beginning: str) -> Case:
        if (form, beginning) not in made:
            inside = place / form / beginning
            whole, start, directory = inside / "whole", inside / "start", inside / "out"
            assert main.run([*command(form), str(whole)]) == 0
            if beginning == "grown":
                assert main.run([*command(form, BEFORE), str(start)]) == 0
            elif beginning == "damaged":
                copy(whole, start)
                damaged(start)
            elif beginning == "killed":
                on_the_way = len(run_with(FaultySystem(), [*command(form), str(directory)]).log) * 2 // 5
                copy(Path("/nonexistent"), directory)
                snapshot = FaultySystem(
                    watch=lambda number, _: copy(directory, start) if number == on_the_way else None
                )
                run_with(snapshot, [*command(form), str(directory)])
                assert (start / ".mnistseq").is_dir()
            copy(start, directory)
            log = run_with(FaultySystem(), [*command(form), str(directory)]).log
            shift = FORMS.index(form) + BEGINNINGS.index(beginning)
            made[form, beginning] = Case([*command(form), str(directory)], directory, start, tree(whole), log, shift)
        return made[form, beginning]

    return case


def run_with(system: FaultySystem, arguments: list[str]) -> FaultySystem:
    with under(system):
        assert main.run(arguments) == 0
    return system


def sampled(total: int, shift: int, depth: Depth, ends: int) -> list[int]:
    """Return the numbers, from 1 to `total`, of the operations that something happens to."""
    return [
        number
        for number in range(1, total + 1)
        if number <= ends or number > total - ends or (number + shift) % depth.every == 0
    ]


def failures(case: Case, depth: Depth) -> Iterator[tuple[int, int]]:
    """Yield the errors that operations of a run may end in, each with its number among those that it can strike."""
    for number in sampled(len(case.log), case.shift, depth, depth.ends):
        possible = [error for error in ERRORS if case.log[number - 1] in STRIKES[error]]
        for error in possible if depth is FULL else possible[number % len(possible) :][:1]:
            yield sum(name in STRIKES[error] for name in case.log[:number]), error


each_form = pytest.mark.parametrize("form", parameters(FORMS, quick=UNLIKE_FORMS))
each_beginning = pytest.mark.parametrize("beginning", BEGINNINGS)


@each_beginning
@each_form
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_any_operation_may_fail(
    form: str, beginning: str, lasting: bool, cases: Callable[[str, str], Case], depth: Depth
) -> None:
    case = cases(form, beginning)
    for number, error in failures(case, depth):
        before = case.begin()
        system = FaultySystem(number, error, lasting=lasting)
        with under(system):
            code = case.run()
        assert system.struck
        assert system.close_leaks() == []
        case.assert_nothing_lies(before, code)
        assert code == 1 or difference(tree(case.directory), case.end) == []
        if not lasting or error == errno.ENOSPC:
            case.assert_no_rubbish()
        case.assert_finished_by_the_same_command()


@each_beginning
@each_form
def test_any_write_may_be_torn(form: str, beginning: str, cases: Callable[[str, str], Case], depth: Depth) -> None:
    """Half of it is written, and the disk is full."""
    case = cases(form, beginning)
    writes = case.log.count("write")
    for number in sampled(writes, case.shift, depth, depth.ends) if depth is QUICK else range(1, writes + 1):
        before = case.begin()
        system = FaultySystem(number, errno.ENOSPC, torn=True, only=frozenset(("write",)))
        with under(system):
            code = case.run()
        case.assert_nothing_lies(before, code)
        assert (system.struck, code) == (True, 1)
        case.assert_no_rubbish()
        case.assert_finished_by_the_same_command()


@each_beginning
@each_form
@pytest.mark.parametrize("piece", [1, 500])
def test_writes_may_be_short(form: str, beginning: str, piece: int, cases: Callable[[str, str], Case]) -> None:
    case = cases(form, beginning)
    case.begin()
    with under(FaultySystem(piece=piece)) as system:
        assert case.run() == 0
    assert system.log.count("write") > 20
    assert difference(tree(case.directory), case.end) == []


@each_beginning
@each_form
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_ctrl_c_may_come_at_any_operation(
    form: str, beginning: str, done: bool, cases: Callable[[str, str], Case], depth: Depth
) -> None:
    """The second Ctrl-C does, to be exact: the first one is a request that is looked at between shards."""
    case = cases(form, beginning)
    for number in sampled(len(case.log), case.shift + 13 * done, depth, depth.few if done else depth.ends):
        before = case.begin()
        system = FaultySystem(number, KeyboardInterrupt, done=done)
        with under(system):
            code = case.run()
        system.close_leaks()
        assert (system.struck, code) == (True, 130)
        case.assert_nothing_lies(before, code)
        case.assert_no_rubbish()
        case.assert_finished_by_the_same_command()


@pytest.fixture
def survived() -> Iterator[None]:
    """Where nobody listens to SIGTERM it ends the process; here it must not end the tests."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, previous)


@pytest.mark.usefixtures("survived")
@each_beginning
@each_form
@pytest.mark.parametrize(("asked", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_stop_may_come_at_any_operation(
    form: str, beginning: str, asked: signal.Signals, code: int, cases: Callable[[str, str], Case], depth: Depth
) -> None:
    case, again = cases(form, beginning), asked == signal.SIGTERM
    for number in sampled(len(case.log), case.shift + 13 * again, depth, depth.few if again else depth.ends):
        before = case.begin()

        def ask(here: int, _: str, number: int = number) -> None:
            if here == number:
                os.kill(os.getpid(), asked)

        with under(FaultySystem(watch=ask)):
            try:
                found = case.run()
            except SystemExit as ended:
                found = ended.code
        case.assert_nothing_lies(before, found)
        if found != 0:
            assert found == code
            case.assert_no_rubbish()
            case.assert_finished_by_the_same_command()


@each_beginning
@each_form
@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power cut"])
def test_any_operation_may_be_the_last(
    form: str, beginning: str, power_cut: bool, cases: Callable[[str, str], Case], depth: Depth
) -> None:
    """A snapshot before each operation is what SIGKILL leaves; less what was not synced, what a power cut can leave."""
    case = cases(form, beginning)
    before = case.begin()
    chosen = set(sampled(len(case.log), case.shift + 13 * power_cut, depth, depth.ends))
    snapshots: list[Path] = []

    def snapshot(number: int, _: str) -> None:
        if number not in chosen:
            return
        target = case.directory.with_name(f"last-{number}")
        copy(case.directory, target)
        if power_cut:
            for name in system.unsynced:
                lost = target / Path(name).relative_to(case.directory)
                if lost.exists():
                    lost.write_bytes(b"")
        snapshots.append(target)

    system = FaultySystem(watch=snapshot)
    run_with(system, case.arguments)
    for target in snapshots:
        here = case._replace(arguments=[*case.arguments[:-1], str(target)], directory=target)
        if not power_cut:
            here.assert_nothing_lies(before, 1)
        here.assert_finished_by_the_same_command()
        copy(Path("/nonexistent"), target)


@each_form
def test_overwriting_may_fail_at_any_operation(form: str, cases: Callable[[str, str], Case], depth: Depth) -> None:
    case = cases(form, "grown")
    arguments = [*case.arguments, "--overwrite"]
    case.begin()
    log = run_with(FaultySystem(), arguments).log
    for number in sampled(len(log), case.shift, depth, depth.ends):
        before = case.begin()
        with under(FaultySystem(number, errno.EIO)) as system:
            code = main.run(arguments)
        system.close_leaks()
        assert system.struck
        case.assert_nothing_lies(before, code)
        assert main.run(arguments) == 0
        assert difference(tree(case.directory), case.end) == []
