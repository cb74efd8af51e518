"""The README cannot lie: what it tells people to type is typed here, and what it says comes of it is looked for."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forms import commands as all_commands
from PIL import Image

from mnist_seq_cli import errors, formats, open_dataset
from mnist_seq_cli.cli import main as program
from mnist_seq_cli.formats import FORMAT_NAMES
from mnist_seq_cli.recipe.parts.appearance import PAPERS

Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [line for kind, block in BLOCKS if kind == "bash" for line in block.replace("\\\n", "").splitlines()]
SET_UP = [line for line in LINES if line.startswith("python3 -m venv ")]
COMMANDS = [line for line in LINES if line.strip() and line not in SET_UP and not line.startswith("#")]
SCRIPTS = [block for kind, block in BLOCKS if kind == "python"]
TEXTS = [block for kind, block in BLOCKS if kind == "text"]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def table(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = README.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def needs_jq(line: str) -> bool:
    return re.search(r"\| *jq\b", line) is not None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory where all commands of the README are run, as a reader would: one after another."""
    directory = tmp_path_factory.mktemp("readme")
    (directory / "tests" / "readme").mkdir(parents=True)
    return directory


@pytest.fixture(scope="module")
def results(place: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What came of each command, in the order of the README."""
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "MNIST": str(ROOT / "data"),
    }
    done = {}
    for line in COMMANDS:
        if needs_jq(line) and shutil.which("jq") is None:
            continue
        # A pipe that ends in head may end what comes before it: then the exit code of head is the one that counts.
        options = ["-eu"] if re.search(r"\| *head\b", line) else ["-eu", "-o", "pipefail"]
        done[line] = subprocess.run(
            ["bash", *options, "-c", line],
            cwd=place,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    return done


# Commands

PRINTED = {
    "mnistseq generate 3-1-4-1-5-9 --min 4 --seed 5 -o tests/readme/": "tests/readme/3-1-4-1-5-9.png\n",
    "mnistseq generate 1-2-3 --min 0 --max 10 --width 100": "1-2-3.png\n",
    "mnistseq generate 2025 --max 6 --seed 7 -o year.png": "year.png\n",
    "mnistseq generate 0-7 --count 3 -o sevens/": "sevens/0-7_0.png\nsevens/0-7_1.png\nsevens/0-7_2.png\n",
    "mnistseq generate 4-2 --invert -o mnist-style.png": "mnist-style.png\n",
    "mnistseq dataset -n 10000 --len 4 -o out/": "",
    "mnistseq decode 1-2-3.png": "1-2-3\n",
    'mnistseq decode "$MNIST/t10k-labels-idx1-ubyte" | head -5': "7\n2\n1\n0\n4\n",
    'mnistseq decode "$MNIST/t10k-images-idx3-ubyte" -o digits.npz': "digits.npz\n",
    "mnistseq decode sevens/ --source train --min-confidence 1": "".join(
        f"sevens/0-7_{number}.png\t0-7\n" for number in range(3)
    ),
    "rm out/labels.csv out/metadata.jsonl && mnistseq decode out/ --repair-labels": (
        "out/labels.csv\nout/metadata.jsonl\n"
    ),
    "seq -w 0 99 | mnistseq generate - --seed 3 -o pairs/ | wc -l": "100\n",
    "mnistseq generate 1-2-3 -o - | mnistseq decode -": "1-2-3\n",
    "mnistseq decode pairs/*.png | cut -f2 | sort -u | wc -l": "100\n",
    "mnistseq dataset -n 2000 --len 4 --format webdataset -o - | mnistseq decode - | wc -l": "2000\n",
    "find out/ -name '*.png' -print0 | xargs -0 -n 1000 -P 2 mnistseq decode -H | wc -l": "10000\n",
}
SAID = re.compile(r"mnistseq: |Traceback|Error|[Ww]arning")


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_does_what_it_is_shown_for(line: str, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    if line not in results:
        pytest.skip("jq is not installed")
    done = results[line]
    assert done.returncode == 0, done.stderr
    assert not SAID.search(done.stderr), done.stderr
    if line in PRINTED:
        assert done.stdout.replace(" ", "") == PRINTED[line]  # some wc put blanks before their number


def test_the_commands_with_known_results_are_in_the_readme() -> None:
    assert set(PRINTED) <= set(COMMANDS)


def test_the_files_are_as_the_readme_says(place: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    with Image.open(place / "1-2-3.png") as image:
        assert (image.size, image.mode) == ((100, 28), "L")
    with Image.open(place / "mnist-style.png") as image:
        assert np.asarray(image).mean() < 128
    assert sorted(path.name for path in (place / "many").iterdir()) == ["1-2.png", "3-4-5.png", "6-7-8-9.png"]
    assert len(list((place / "pairs").iterdir())) == 100
    with np.load(place / "digits.npz", allow_pickle=False) as digits:
        assert digits["images"].shape == (10_000, 28, 28)
    assert "mnistseq decode 1-2-3.png year.png --json" in COMMANDS
    readings = results["mnistseq decode 1-2-3.png year.png --json"].stdout.splitlines()
    assert [json.loads(reading)["text"] for reading in readings] == ["123", "2025"]
    text = results['mnistseq decode "$MNIST/t10k-images-idx3-ubyte" --range 2:3 --as text'].stdout
    assert "█" in text


def test_the_datasets_are_as_the_readme_says(place: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    made = [re.search(r"^mnistseq dataset -n (\d+) --len (\d+)( .*)? -o (\w+)/$", line) for line in COMMANDS]
    shown = [found.groups() for found in made if found]
    assert {output for *_, output in shown} >= {"out", "train", "test", "shards", "arrays", "idx"}
    for samples, length, options, output in shown:
        data = open_dataset(place / output)
        assert (len(data), data.recipe.length) == (int(samples), int(length))
        assert data.recipe.source == ("test" if "--source test" in (options or "") else "train")
    report = json.loads(results["mnistseq inspect out/ --json"].stdout)
    assert (report["samples"], sum(report["digits"])) == (10_000, 40_000)
    line = "mnistseq inspect out/ --json | jq -c '[.samples, .digits]'"
    assert line in COMMANDS
    if line in results:
        assert json.loads(results[line].stdout) == [10_000, report["digits"]]


def luhn_holds(text: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(text))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


TASKS: dict[str, Callable[[list[str]], bool]] = {
    "dates": lambda texts: all(
        1 <= int(text[:2]) <= 31 and 1 <= int(text[2:4]) <= 12 and text[4:6] in ("19", "20") for text in texts
    ),
    "times": lambda texts: all(len(text) == 4 and int(text[:2]) < 24 and int(text[2:]) < 60 for text in texts),
    "zips": lambda texts: {len(text) for text in texts} == {5, 9},
    "cards": lambda texts: all(len(text) == 16 and text[0] == "4" and luhn_holds(text) for text in texts),
    "sums": lambda texts: sorted(texts) == sorted(5 * [f"{number:02}" for number in range(100)]),
    "numbers": lambda texts: sorted(texts) == [f"{number:04}" for number in range(0, 10_000, 25)] != texts,
}


def test_the_tasks_are_as_the_readme_says(place: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert [row[0].strip("`") for row in table("directory")] == list(TASKS)
    for name, holds in TASKS.items():
        assert holds([sample.label.replace("-", "") for sample in open_dataset(place / name)]), name


def test_every_option_that_says_what_is_written_has_a_row(mnistseq: Run) -> None:
    writing = {option for row in table("option") for option in OPTION.findall(row[0])}
    expected = {"--len", "--digits", "--no-repeat", "--check", "--labels", "--shuffle", "--pattern", "--per-label"}
    assert writing == expected <= options_of(mnistseq, "dataset")


SCREENSHOT = "tests/readme/report.png"
SHOWN = re.findall(r'<img src="(tests/readme/[^"]+)"', README)
PICTURES = [name for name in SHOWN if name != SCREENSHOT]


def test_every_picture_has_its_command_and_is_shown() -> None:
    assert len(PICTURES) >= 17
    made = {found[1] for line in COMMANDS if (found := re.search(r" -o (tests/readme/\S+\.png)$", line))}
    assert made | {"tests/readme/3-1-4-1-5-9.png"} == set(PICTURES)
    assert {f"tests/readme/{path.name}" for path in (ROOT / "tests" / "readme").iterdir()} == set(SHOWN)


def test_every_option_of_how_it_looks_has_a_picture(mnistseq: Run) -> None:
    shown = {option for row in table("image") for option in OPTION.findall(row[1])}
    named = {name for title in ("Layout", "Hand and paper") for name in program._HEADINGS[title].options}
    options = {option.name: option.opts[0] for option in all_commands()["generate"].params}
    assert shown == {options[name] for name in named}
    assert [row[1].split()[1].strip("`") for row in table("image") if "--paper" in row[1]] == [
        *PAPERS[1:],
        "squared.pgm",
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_command_makes(
    name: str, place: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    with Image.open(ROOT / name) as shown, Image.open(place / name) as made:
        assert (shown.mode, shown.size) == (made.mode, made.size)
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(made))
        height = re.search(rf'<img src="{name}"[^>]* height="(\d+)"', README)
        assert height
        assert int(height[1]) % shown.height == 0  # so that no pixel is drawn wider than another


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.splitlines()[0])
def test_a_piece_of_python_runs(script: str, place: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=place, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    if "print(sample.label" in script:
        assert re.fullmatch(r"\d-\d-\d-\d \(28, 112\) \(10000, 28, 112\)\n", done.stdout)


def test_the_shapes_in_the_pieces_of_python_are_right(place: Path) -> None:
    """Comments tell dtypes and shapes; the variables are looked at after the script."""
    (original,) = (script for script in SCRIPTS if "MNIST_Sequence_API" in script)
    assert "# float32 (28, 100)" in original
    assert "# float32 (100, 28, 140), uint8 (100, 5)" in original
    looks = "print([(str(array.dtype), array.shape) for array in (image, images, labels, same_rule)])"
    done = subprocess.run([sys.executable, "-c", original + looks], cwd=place, capture_output=True, text=True)
    expected = [("float32", (28, 100)), ("float32", (100, 28, 140)), ("uint8", (100, 5)), ("float32", (28, 100))]
    assert done.stdout == f"{expected}\n"
    assert (place / "1-2-3.png").exists()


# Set-up


def test_there_are_two_set_up_commands_of_one_line_each_near_the_top() -> None:
    assert len(SET_UP) == 2
    users, developers = SET_UP
    assert [block for kind, block in BLOCKS if kind == "bash" and "venv" in block] == [f"{users}\n", f"{developers}\n"]
    assert README.splitlines().index(developers) < 40
    assert re.fullmatch(r"python3 -m venv (\S+) && \1/bin/pip install \. && \1/bin/mnistseq (dataset .*)", users)
    assert users.endswith(" dataset -n 10000 --len 4 -o out/")
    form = r"python3 -m venv (\S+) && \1/bin/pip install -e '\.\[dev\]' && \1/bin/pytest -n auto --cov"
    assert re.fullmatch(form, developers)


def test_what_set_up_needs_is_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in README
    assert "dev" in project["optional-dependencies"]
    assert "pytest" in " ".join(project["optional-dependencies"]["dev"])
    assert list(project["scripts"]) == ["mnistseq"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_works_as_shown(shell: str, environment: dict[str, str]) -> None:
    (block,) = (text for text in TEXTS if "_MNISTSEQ_COMPLETE" in text)
    (line,) = (line for line in block.splitlines() if line.startswith(f"{shell} "))
    assert f"_MNISTSEQ_COMPLETE={shell}_source mnistseq" in line
    done = subprocess.run(
        ["bash", "-c", f"_MNISTSEQ_COMPLETE={shell}_source mnistseq"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "mnistseq" in done.stdout
    assert f"{shell}_complete" in done.stdout


# Words


def options_of(mnistseq: Run, command: str) -> set[str]:
    code, text, _ = mnistseq(command, "--help")
    assert code == 0
    return set(OPTION.findall(text))


def test_every_command_has_a_section_and_every_section_of_a_command_is_one(mnistseq: Run) -> None:
    text = mnistseq("--help").out
    commands = re.findall(r"^  (\w+)  ", text[text.index("Commands:") :], re.MULTILINE)
    assert set(commands) == set(all_commands())
    section = README[README.index("## The four commands") :].split("\n## ")[0]
    assert re.findall(r"^### (\w+): ", section, re.MULTILINE) == ["generate", "dataset", "inspect", "decode"]
    assert set(commands) == {"generate", "dataset", "inspect", "decode"}


def test_every_option_that_is_named_exists(mnistseq: Run) -> None:
    everywhere = set().union(*(options_of(mnistseq, command) for command in all_commands()))
    of_pytest = {"--cov"}
    assert set(OPTION.findall(README)) <= everywhere | of_pytest


@pytest.mark.parametrize("command", sorted(all_commands()))
def test_every_option_of_a_shown_command_is_one_of_its_own(command: str, mnistseq: Run) -> None:
    known = options_of(mnistseq, command)
    uses = [use for line in [*COMMANDS, *SET_UP] for use in re.findall(rf"mnistseq {command}\b[^|]*", line)]
    assert uses
    for use in uses:
        assert set(OPTION.findall(use)) <= known


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = table("exit code")
    codes = [errors.DONE, errors.FAILED, errors.USAGE, errors.INTERRUPTED, errors.TERMINATED]
    assert [int(row[0]) for row in rows] == codes
    assert set(codes) == {errors.DONE, *errors.EXIT_CODES.values()}
    meanings = {int(code): meaning for code, meaning in rows}
    assert "Ctrl-C" in meanings[errors.INTERRUPTED]
    assert "SIGTERM" in meanings[errors.TERMINATED]


def test_the_formats_are_those_of_the_program(
    place: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    rows = {re.findall(r"\w+", name)[-1]: files for name, files, *_ in table("format")}
    assert tuple(rows) == FORMAT_NAMES
    directories = {"png": "out", "webdataset": "shards", "npz": "arrays", "idx": "idx", "folders": "classes"}
    for name, files in rows.items():
        directory = place / directories[name]
        tops = {path.name for path in directory.iterdir()} - {"recipe.json", "manifest.json"}
        assert {"recipe.json", "manifest.json"} <= {path.name for path in directory.iterdir()}
        named = [word for word in re.findall(r"`([^`]+)`", files) if "." in word]
        standing = {word for word in named if (directory / word).exists()}
        if name == "folders":
            assert standing >= {"00/0_00.png", "00/1_00.png"}
            assert tops == {f"{number:02}" for number in range(100)} | {"labels.csv", "metadata.jsonl"}
            continue
        assert {word.split("/")[0] for word in standing} == tops
        if name in {"png", "npz", "idx"}:
            assert standing == set(named)
    with np.load(place / "arrays/dataset.npz", allow_pickle=False) as arrays:
        assert [f"`{array}`" for array in arrays.files] == re.findall(r"`\w+`", rows["npz"])


def test_masks_are_where_the_readme_says(place: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    rows = {written.strip("`"): re.findall(r"`([^`]+)`", masks) for written, masks in table("written by")}
    with_masks = [f"--format {name}" for name in FORMAT_NAMES if formats.get(name).MASKS]
    assert list(rows) == ["generate", *with_masks]
    assert sorted(path.name for path in (place / "masked").iterdir()) == ["4-2-0-7.mask.png", "4-2-0-7.png"]
    first, key, *_ = rows["--format png"]
    assert (place / "instances" / first).is_file()
    row = json.loads((place / "instances/metadata.jsonl").read_text().splitlines()[0])
    assert row[key] == first
    assert open_dataset(place / "segments").masks


def test_what_lies_on_disk_is_what_the_readme_shows(
    place: Path, results: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    (block,) = (text for text in TEXTS if text.startswith("out/\n"))
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in block.splitlines()[1:]}
    out = place / "out"
    assert {path.name for path in out.iterdir()} == {name.split("/")[0] for name in shown}
    assert all((out / name).is_file() for name in shown)

    header, first = (out / "labels.csv").read_text().splitlines()[:2]
    assert shown["labels.csv"].split()[0] == header == "file_name,label"
    name, label = first.split(",")
    assert re.fullmatch(r"\d-\d-\d-\d", label)
    assert name == "images/00000/00000000.png"
    assert name in shown

    keys = re.findall(r'"(\w+)":', shown["metadata.jsonl"])
    row = json.loads((out / "metadata.jsonl").read_text().splitlines()[0])
    assert list(row) == keys
    assert row["file_name"] == name
    assert row["text"] == label.replace("-", "")

    assert "1,000 samples" in shown[name]
    assert [len(list(folder.iterdir())) for folder in (out / "images").iterdir()] == [1_000] * 10


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r'(?:src|href)="([^"]+)"', README)
    assert {"LICENSE", "data/README.md"} <= set(targets)
    for target in targets:
        if target.startswith("#"):
            headings = {
                re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in README.splitlines()
                if line.startswith("#")
            }
            assert target[1:] in headings
        elif "://" not in target:
            assert (ROOT / target).is_file()


def test_blocks_are_closed_and_of_a_known_kind() -> None:
    assert README.count("\n```") == 2 * len(BLOCKS)
    assert {kind for kind, _ in BLOCKS} <= {"bash", "python", "text"}
    assert all(block.strip() for _, block in BLOCKS)
