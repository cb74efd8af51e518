"""READMEs cannot lie: what they tell people to type is typed here, and what they say comes of it is looked for."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ended import Outcome
from forms import commands as all_commands
from PIL import Image

from mnist_seq_cli import errors, formats, open_dataset
from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.formats import FORMAT_NAMES
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.appearance import PAPERS, Appearance
from mnist_seq_cli.recipe.parts.glyphs import Glyphs
from mnist_seq_cli.recipe.parts.placement import Placement
from mnist_seq_cli.recipe.parts.writing import Writing

Run = Callable[..., Outcome]

ROOT = Path(__file__).resolve().parent.parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SET_UP = "python3 -m venv "
FEWER = ("-n 10000", "-n 300")
"""The size that the start page shows, and the one that is made here; the set-up command itself makes all."""


class Readme:
    """A README: its text, and its blocks of code by kind. `bash` and `python` are run, `sh` and `text` are not."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.blocks: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        lines = [line for kind, block in self.blocks if kind == "bash" for line in block.splitlines()]
        self.set_up = [line for line in lines if line.startswith(SET_UP)]
        self.commands = [line for line in lines if line.strip() and not line.startswith(("#", SET_UP))]
        self.scripts = [block for kind, block in self.blocks if kind == "python"]
        self.pictures: list[tuple[str, str]] = re.findall(r'<img src="([^"]+)" alt="[^"]+" (\w+="\d+")>', self.text)

    def table(self, first_heading: str) -> list[list[str]]:
        """The rows of the tables whose first column has this heading."""
        rows, inside = [], False
        for line in self.text.splitlines():
            inside = line.startswith(f"| {first_heading} |") or (inside and line.startswith("|"))
            if inside and not line.startswith(("|--", f"| {first_heading} |")):
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
        return rows

    def text_block(self, beginning: str) -> str:
        (block,) = (text for kind, text in self.blocks if kind == "text" and text.startswith(beginning))
        return block


PATHS = [
    ROOT / "README.md",
    *sorted(ROOT.glob("mnist_seq_cli/**/README.md")),
    *sorted(path for path in ROOT.glob("tests/**/README.md") if ROOT / "tests" / "golden" not in path.parents),
]
READMES = {readme.name.removeprefix("mnist_seq_cli/"): readme for readme in map(Readme, PATHS)}
START, RECIPE, FORMATS = READMES["README.md"], READMES["recipe/README.md"], READMES["formats/README.md"]
COMMANDS = [line for readme in READMES.values() for line in readme.commands]

each_readme = pytest.mark.parametrize("readme", READMES.values(), ids=READMES)


class Results(dict[str, Outcome]):
    """What came of each command of a README, all typed one after the other in one directory, `place`."""

    place: Path


@pytest.fixture
def run_line(mnistseq: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Outcome]:
    """Run a command as if it was typed: in this process where it needs no shell, which is a third of a second less."""
    monkeypatch.chdir(tmp_path)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

    def run(line: str) -> Outcome:
        line = line.replace("$MNIST", str(ROOT / "data")).replace(*FEWER)
        bare = re.sub(r"'[^']*'", "", line)
        if bare.startswith("mnistseq ") and not set(bare) & set("|&;<>*?$`{}\\"):
            return mnistseq(*shlex.split(line)[1:])
        # A pipe that ends in head may end what comes before it: then the exit code of head is the one that counts.
        options = ["-eu"] if re.search(r"\| *head\b", line) else ["-eu", "-o", "pipefail"]
        done = subprocess.run(
            ["bash", *options, "-c", line],
            env=os.environ | {"PATH": programs},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


# What is typed

PRINTED = {
    "mnistseq generate 3-1-4-1-5-9 --writer same --min 4 --seed 7 -o tests/readme/": "tests/readme/3-1-4-1-5-9.png\n",
    "mnistseq generate 1-2-3 --min 0 --max 10 --width 100": "1-2-3.png\n",
    "mnistseq generate 2025 --max 6 --seed 7 -o year.png": "year.png\n",
    "mnistseq generate 0-7 --count 3 -o sevens/": "sevens/0-7_0.png\nsevens/0-7_1.png\nsevens/0-7_2.png\n",
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
    "find out/ -name '*.png' -print0 | xargs -0 -n 250 -P 2 mnistseq decode -H | wc -l": "1000\n",
}
SAID = re.compile(r"mnistseq: |Traceback|Error|[Ww]arning")


def needs_jq(line: str) -> bool:
    return re.search(r"\| *jq\b", line) is not None


@each_readme
def test_what_is_typed_does_what_it_is_shown_for(
    readme: Readme, run_line: Callable[[str], Outcome], tmp_path: Path
) -> None:
    """All commands of a README, one after the other in a directory of its own, and what is to come of them."""
    results = Results()
    results.place = tmp_path
    (tmp_path / "tests" / "readme").mkdir(parents=True)
    for line in readme.commands:
        if needs_jq(line) and shutil.which("jq") is None:
            continue
        results[line] = outcome = run_line(line)
        assert outcome.code == 0, f"{line}: {outcome.err}"
        assert not SAID.search(outcome.err), f"{line}: {outcome.err}"
        if line in PRINTED:
            assert outcome.out.replace(" ", "") == PRINTED[line], line  # some wc put blanks before their number
    for script in readme.scripts:
        variables: dict[str, Any] = {}
        exec(compile(script, readme.name, "exec"), variables)
        check_shapes(script, variables)
    check_pictures(readme, results)
    for check in CHECKS.get(readme, ()):
        check(results)


def test_the_commands_with_known_results_are_in_a_readme() -> None:
    assert set(PRINTED) <= set(COMMANDS)


def check_shapes(script: str, variables: dict[str, Any]) -> None:
    """Comments name dtypes and shapes of what is before the `=`: `image = …  # float32 (28, 100)`."""
    for names, comment in re.findall(r"^([\w, ]+) = .*  # (.*)$", script, re.MULTILINE):
        values = [variables[name] for name in names.split(", ")]
        for value, (kind, shape) in zip(values, re.findall(r"(float32|uint8) (\([\d, ]+\))", comment), strict=False):
            array = getattr(value, "images", value)
            assert (str(array.dtype), str(array.shape)) == (kind, shape), names


def check_pictures(readme: Readme, results: Results) -> None:
    """A picture that a command of this README makes is the one that is shown, and shown in whole pixels."""
    made = sorted((results.place / "tests" / "readme").iterdir())
    heights = {(readme.path.parent / name).resolve(): size for name, size in readme.pictures}
    for path in made:
        kept = ROOT / "tests" / "readme" / path.name
        with Image.open(kept) as shown, Image.open(path) as now:
            assert (shown.mode, shown.size) == (now.mode, now.size), path.name
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(now))
            height = re.fullmatch(r'height="(\d+)"', heights[kept])
            assert height
            assert int(height[1]) % shown.height == 0, "so that no pixel is drawn wider than another"


def test_every_picture_is_shown_and_made_by_a_command_but_the_screenshot_and_the_curve() -> None:
    shown = {(readme.path.parent / name).resolve().name for readme in READMES.values() for name, _ in readme.pictures}
    made = {found[1] for line in COMMANDS if (found := re.search(r" -o tests/readme/(\S+\.png)$", line))}
    assert {path.name for path in (ROOT / "tests" / "readme").iterdir()} == shown
    named = {"3-1-4-1-5-9.png"}  # by what is in it
    assert shown - made == {"report.png", "learning-curve.svg", *named}


# What comes of it


def check_start(results: Results) -> None:
    with Image.open(results.place / "1-2-3.png") as image:
        assert (image.size, image.mode) == ((100, 28), "L")
    data = open_dataset(results.place / "out")
    assert (f"-n {len(data)}", data.recipe.length) == (FEWER[1], 4)


def check_sizes(results: Results) -> None:
    """Plain datasets have as many samples and digits as the last command for them says."""
    made = [re.search(r"^mnistseq dataset -n (\d+) --len (\d+)( .*)? -o (\w+)/$", line) for line in results]
    shown = {found[4]: found.groups() for found in made if found}
    assert shown
    for samples, length, options, output in shown.values():
        data = open_dataset(results.place / output)
        assert (len(data), data.recipe.length) == (int(samples), int(length))
        assert data.recipe.source == ("test" if "--source test" in (options or "") else "train")


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


def check_tasks(results: Results) -> None:
    assert [row[0].strip("`") for row in RECIPE.table("directory")] == list(TASKS)
    for name, holds in TASKS.items():
        assert holds([sample.label.replace("-", "") for sample in open_dataset(results.place / name)]), name
    assert open_dataset(results.place / "segments").masks


def check_formats(results: Results) -> None:
    rows = {re.findall(r"\w+", name)[-1]: files for name, files, *_ in FORMATS.table("format")}
    assert tuple(rows) == FORMAT_NAMES
    directories = {
        "png": "out",
        "webdataset": "shards",
        "npz": "arrays",
        "idx": "idx",
        "folders": "classes",
        "flat": "one",
        "tfrecord": "records",
        "npy": "mapped",
        "lmdb": "words",
    }
    for name, files in rows.items():
        if name in ("parquet", "torchmeta"):
            continue  # which need libraries
        directory = results.place / directories[name]
        beside = {"recipe.json", "manifest.json", "README.md", "croissant.json"}
        tops = {re.sub(r"^\d{5}\.", "00000.", path.name) for path in directory.iterdir()}
        assert beside <= tops
        tops -= beside | {"mnistseq-strips.png"}
        named = [word for word in re.findall(r"`([^`]+)`", files) if "." in word]
        existing = {word for word in named if (directory / word).exists()}
        if name == "folders":
            assert existing >= {"00/0_00.png", "00/1_00.png"}
            assert tops == {f"{number:02}" for number in range(100)} | {"labels.csv", "metadata.jsonl"}
            continue
        if name == "npy":
            assert existing == set(named) < tops
            assert {top.removesuffix(".npy") for top in tops} >= {*re.findall(r"`(\w+)`", rows["npz"])}
            continue
        assert {word.split("/")[0] for word in existing} == tops
        if name in {"png", "npz", "idx"}:
            assert existing == set(named)
    with np.load(results.place / "arrays/dataset.npz", allow_pickle=False) as arrays:
        assert [f"`{array}`" for array in arrays.files] == re.findall(r"`\w+`", rows["npz"])


def check_masks(results: Results) -> None:
    rows = {written.strip("`"): re.findall(r"`([^`]+)`", masks) for written, masks in FORMATS.table("written by")}
    with_masks = [f"--format {name}" for name in FORMAT_NAMES if formats.get(name).MASKS and name != "flat"]
    assert list(rows) == ["generate", *with_masks]
    assert sorted(path.name for path in (results.place / "masked").iterdir()) == ["4-2-0-7.mask.png", "4-2-0-7.png"]
    first, key, *_ = rows["--format png"]
    assert (results.place / "instances" / first).is_file()
    row = json.loads((results.place / "instances/metadata.jsonl").read_text().splitlines()[0])
    assert row[key] == first


def check_what_is_on_disk(results: Results) -> None:
    block = FORMATS.text_block("out/\n")
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in block.splitlines()[1:]}
    out = results.place / "out"
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
    assert [len(list(folder.iterdir())) for folder in (out / "images").iterdir()] == [1_000] * 2


def check_readings(results: Results) -> None:
    readings = results["mnistseq decode 1-2-3.png year.png --json"].out.splitlines()
    assert [json.loads(reading)["text"] for reading in readings] == ["123", "2025"]
    assert "█" in results['mnistseq decode "$MNIST/t10k-images-idx3-ubyte" --range 2:3 --as text'].out
    with np.load(results.place / "digits.npz", allow_pickle=False) as digits:
        assert digits["images"].shape == (10_000, 28, 28)


def check_pipelines(results: Results) -> None:
    assert sorted(path.name for path in (results.place / "many").iterdir()) == ["1-2.png", "3-4-5.png", "6-7-8-9.png"]
    assert len(list((results.place / "pairs").iterdir())) == 100
    line = "mnistseq inspect out/ --json | jq -c '[.samples, .digits]'"
    assert line in COMMANDS
    if line in results:
        samples, digits = json.loads(results[line].out)
        assert (samples, sum(digits), len(digits)) == (1_000, 4_000, 10)


def check_verification(results: Results) -> None:
    (line,) = (line for line in results if "rm -r train/images/00001" in line)
    assert (results.place / "train/images/00001").is_dir()
    assert results[line].err


CHECKS: dict[Readme, tuple[Callable[[Results], None], ...]] = {
    START: (check_start,),
    RECIPE: (check_sizes, check_tasks),
    FORMATS: (check_sizes, check_formats, check_masks, check_what_is_on_disk),
    READMES["dataset/README.md"]: (check_sizes, check_verification),
    READMES["inspection/README.md"]: (check_sizes,),
    READMES["reading/README.md"]: (check_sizes, check_readings),
    READMES["cli/README.md"]: (check_pipelines,),
}


# Set-up


def test_there_are_two_set_up_commands_of_one_line_each_near_the_top() -> None:
    users, developers = START.set_up
    bash = [block for kind, block in START.blocks if kind == "bash" and "venv" in block]
    assert bash == [f"{users}\n", f"{developers}\n"]
    assert START.text.splitlines().index(developers) < 50
    assert re.fullmatch(r"python3 -m venv (\S+) && \1/bin/pip install \. && \1/bin/mnistseq (dataset .*)", users)
    assert users.endswith(" dataset -n 10000 --len 4 -o out/")
    form = r"python3 -m venv (\S+) && \1/bin/pip install -e '\.\[dev\]' && \1/bin/pytest -n auto --cov"
    assert re.fullmatch(form, developers)


def test_what_set_up_needs_is_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in START.text
    assert "pytest" in " ".join(project["optional-dependencies"]["dev"])
    assert list(project["scripts"]) == ["mnistseq"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_works_as_shown(shell: str, environment: dict[str, str]) -> None:
    block = READMES["cli/README.md"].text_block("bash ")
    (line,) = (line for line in block.splitlines() if line.startswith(f"{shell} "))
    assert f"_MNISTSEQ_COMPLETE={shell}_source mnistseq" in line
    done = subprocess.run(
        ["bash", "-c", f"_MNISTSEQ_COMPLETE={shell}_source mnistseq"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "mnistseq" in done.stdout
    assert f"{shell}_complete" in done.stdout


# Words


def options_in(command: str) -> set[str]:
    flags = {flag for option in all_commands()[command].params for flag in (*option.opts, *option.secondary_opts)}
    return {flag for flag in flags if flag.startswith("-")} | {"--help"}


def test_the_start_page_is_short_and_leads_to_every_readme() -> None:
    assert len(START.text.splitlines()) <= 200
    linked = {ROOT / target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", START.text)}
    assert {readme.path for readme in READMES.values()} - {START.path} <= linked


def test_every_command_has_a_section() -> None:
    assert sorted(re.findall(r"^### (\w+): ", START.text, re.MULTILINE)) == sorted(all_commands())


def test_the_groups_of_options_are_those_of_the_help() -> None:
    command = all_commands()["dataset"]
    assert isinstance(command, GroupedCommand)
    groups: dict[str, set[str]] = {heading: set() for heading in command.headings}
    for option in command.params:
        groups[command.heading_of(option)] |= {*option.opts, *option.secondary_opts}
    rows = {name: set(re.findall(r"`(--?[a-z-]+)", named)) for name, named in START.table("group")}
    assert list(rows) == list(groups)
    for name, named in rows.items():
        assert named <= groups[name], name


def declared(*parts: type) -> set[str]:
    """The flags of the options that parts of a recipe declare; of one that is true by itself, that for false."""
    options = [each for part in parts for each in options_of(part).values() if each.flag]
    return {each.negative if each.default is True else each.flag for each in options}


def test_every_option_that_can_be_seen_has_a_picture() -> None:
    shown = {option for row in RECIPE.table("image") for option in OPTION.findall(row[1])}
    assert shown == declared(Placement, Appearance)
    papers = [row[1].split()[1].strip("`") for row in RECIPE.table("image") if "--paper" in row[1]]
    assert papers == [*PAPERS[1:], "squared.pgm"]


def rows_of(part: type) -> list[list[str]]:
    """The rows that the options of a part of a recipe have in the table of all options."""
    rows = []
    for each in (each for each in options_of(part).values() if each.flag):
        text, _, default = each.help.partition("  [default: ")
        flag = f"{each.negative if each.default is True else each.flag} {each.kind.metavar}".strip().replace("|", r"\|")
        rows.append([f"`{flag}`", f"`{each.name}`", default.removesuffix("]"), text.replace("|", r"\|")])
    return rows


def test_the_table_of_all_options_is_what_they_declare() -> None:
    expected = [row for part in (Writing, Placement, Appearance, Glyphs) for row in rows_of(part)]
    shown = "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in expected)
    _, _, table = RECIPE.text.partition("| option | name | default | what it does |\n|---|---|---|---|\n")
    assert table.partition("\n\n")[0].strip() == shown


OF_OTHERS = {"--cov", "--full", "--run-interop", "--nthreads", "--nworkers"}  # of pytest and Dask


@each_readme
def test_every_option_that_is_named_exists(readme: Readme) -> None:
    everywhere = set().union(*(options_in(command) for command in all_commands()))
    assert set(OPTION.findall(readme.text)) <= everywhere | OF_OTHERS


@pytest.mark.parametrize("command", sorted(all_commands()))
def test_every_option_of_a_shown_command_is_one_of_its_own(command: str) -> None:
    uses = [use for line in [*COMMANDS, *START.set_up] for use in re.findall(rf"mnistseq {command}\b[^|]*", line)]
    assert uses
    for use in uses:
        assert set(OPTION.findall(use)) <= options_in(command)


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = START.table("exit code")
    codes = [errors.DONE, errors.FAILED, errors.USAGE, errors.INTERRUPTED, errors.TERMINATED]
    assert [int(row[0]) for row in rows] == codes
    assert set(codes) == {errors.DONE, *errors.EXIT_CODES.values()}
    meanings = {int(code): meaning for code, meaning in rows}
    assert "Ctrl-C" in meanings[errors.INTERRUPTED]
    assert "SIGTERM" in meanings[errors.TERMINATED]


def anchors(path: Path) -> set[str]:
    headings = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_readme
def test_links_lead_somewhere(readme: Readme) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", readme.text) + re.findall(r'(?:src|href)="([^"]+)"', readme.text)
    for target in targets:
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = readme.path.parent / name if name else readme.path
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@each_readme
def test_blocks_are_closed_and_of_a_known_kind(readme: Readme) -> None:
    assert len(re.findall(r"^```", readme.text, re.MULTILINE)) == 2 * len(readme.blocks)
    assert {kind for kind, _ in readme.blocks} <= {"bash", "sh", "python", "text"}
