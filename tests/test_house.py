"""The rules of the house: which way imports point, what may be loaded when, and names that live in one place."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

import click
import pytest
from forms import commands

import mnist_seq_cli
from mnist_seq_cli import formats
from mnist_seq_cli.dataset.splits.asked import BY
from mnist_seq_cli.inspection import overlap
from mnist_seq_cli.samples import idx_export

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "mnist_seq_cli"
HEAVY = {"numpy", "rich", "PIL", "tqdm", "isal", "rapidfuzz"}

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("inputs",),
    ("codecs",),
    ("recipe",),
    ("mnist",),
    ("engine",),
    ("storage", "execution"),
    ("formats",),
    ("dataset",),
    ("samples",),
    ("torch",),
    ("reading",),
    ("inspection",),
    ("cli",),
    ("__main__",),
)
"""The rooms, from the lowest floor up. A module may import modules of its own room, and of rooms on lower floors.

What is imported for types only may come from anywhere. The package itself loads its names when they are first used.
"""

FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


class Import(NamedTuple):
    """One import of a module of ours: where it stands, and whether it is in a function, or for types only."""

    module: str
    line: int
    in_function: bool
    for_types: bool


def module_paths() -> dict[str, Path]:
    """Every module by its name, without that of the package."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = module_paths()


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def named_modules(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the full names of the modules that a statement imports; `from package import module` imports the module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, "imports are absolute"
    origin = node.module or ""
    for alias in node.names:
        inner = f"{origin}.{alias.name}"
        yield inner if inner.removeprefix(f"{PACKAGE}.") in MODULES else origin


def imports_of(module: str) -> list[Import]:
    """Return the imports of our own modules that a module makes."""
    found: list[Import] = []

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in named_modules(node):
                if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                    ours = name.removeprefix(PACKAGE).removeprefix(".")
                    found.append(Import(ours, node.lineno, in_function, for_types))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.body:
                walk(statement, in_function, True)
            for statement in node.orelse:
                walk(statement, in_function, for_types)
        else:
            inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                walk(child, inside, for_types)

    walk(tree_of(module), False, False)
    return found


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES if module} == FLOOR_OF.keys()


def may_import(room: str, other: str) -> bool:
    return room == other or not other or FLOOR_OF[other] < FLOOR_OF[room]


def test_no_import_goes_up() -> None:
    up = {
        f"{module} -> {found.module}"
        for module in MODULES
        if module
        for found in imports_of(module)
        if not found.for_types and not may_import(room_of(module), room_of(found.module))
    }
    assert up == set()


def test_no_imports_go_round_in_a_circle() -> None:
    left = {module: {found.module for found in imports_of(module) if not found.for_types} - {""} for module in MODULES}
    while free := {module for module, needed in left.items() if not needed & left.keys()}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert left == {}


def test_only_the_two_tables_of_names_import_by_name() -> None:
    dynamic = {
        module
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if (isinstance(node, ast.Name) and node.id in ("import_module", "__import__"))
        or (isinstance(node, ast.Attribute) and node.attr == "import_module")
    }
    assert dynamic == {"", "cli.main", "formats"}


def test_every_module_says_what_it_owns() -> None:
    first_lines = {
        module: (ast.get_docstring(tree_of(module)) or "").partition("\n")[0] for module in MODULES if module
    }
    assert {module: line for module, line in first_lines.items() if not re.fullmatch(r"Owns .*[.:]", line)} == {}


def test_modules_functions_and_folders_stay_small() -> None:
    """How tangled a function may be is ruff's to say: `max-complexity` and `max-statements` in pyproject.toml."""
    long_modules = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: lines for module, lines in long_modules.items() if lines > 400} == {}
    long_functions = {
        f"{module}:{node.name}": node.end_lineno - node.lineno + 1
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert {function: lines for function, lines in long_functions.items() if lines > 50} == {}
    folders = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {folder: modules for folder, modules in folders.items() if modules > 12} == {}


def test_no_module_is_a_drawer_for_the_rest() -> None:
    names = {module: module.rpartition(".")[2] for module in MODULES}
    drawer = r"util|helper|manager|common|misc|tools?$|^base|abstract"
    assert [module for module, name in names.items() if re.search(drawer, name)] == []


def test_only_what_talks_to_people_prints() -> None:
    printing = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if room_of(module) != "cli"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input")
    ]
    assert printing == []


# What is loaded when


def modules_loaded_by(*arguments: str, directory: Path) -> tuple[set[str], str]:
    """Run Python, and return the modules that were imported on the way, and what it wrote to stdout."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    names = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "mnist_seq_cli" in names
    return names, done.stdout


def loaded_by(*arguments: str, directory: Path) -> tuple[set[str], str]:
    """Run Python, and return the top-level packages that were imported on the way, and what it wrote to stdout."""
    names, stdout = modules_loaded_by(*arguments, directory=directory)
    return {name.partition(".")[0] for name in names}, stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "mnist_seq_cli", "--help"),
        ("-m", "mnist_seq_cli", "--version"),
        ("-m", "mnist_seq_cli", "generate", "--help"),
        ("-m", "mnist_seq_cli", "dataset", "--help"),
        ("-m", "mnist_seq_cli", "inspect", "--help"),
        ("-c", "import mnist_seq_cli"),
    ],
    ids=" ".join,
)
def test_help_version_and_import_load_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded, stdout = loaded_by(*arguments, directory=tmp_path)
    assert loaded & (HEAVY | {"multiprocessing", "concurrent", "asyncio"}) == set()
    assert bool(stdout) == (arguments[0] == "-m")


@pytest.mark.parametrize("arguments", [("generate", "1-2"), ("dataset", "-n", "3", "--len", "2", "-o", "out")])
def test_plain_strips_load_nothing_that_they_do_not_need(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded, _ = modules_loaded_by("-m", "mnist_seq_cli", *arguments, directory=tmp_path)
    unneeded = {"numpy.ma", "PIL", "rich", "multiprocessing", "concurrent", "asyncio", "mnist_seq_cli.engine.warp"}
    assert loaded & unneeded == set()


def test_import_of_the_package_does_not_even_load_click(tmp_path: Path) -> None:
    loaded, _ = loaded_by("-c", "import mnist_seq_cli", directory=tmp_path)
    assert "click" not in loaded


def test_generate_loads_neither_bars_nor_tables_nor_pillow(tmp_path: Path) -> None:
    loaded, stdout = loaded_by("-m", "mnist_seq_cli", "generate", "1-2-3", "--seed", "5", directory=tmp_path)
    assert stdout == "1-2-3.png\n"
    assert (tmp_path / "1-2-3.png").stat().st_size > 100
    assert loaded & {"rich", "tqdm", "PIL", "multiprocessing", "concurrent"} == set()


def test_inspect_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    labels = ROOT / "data" / "t10k-labels-idx1-ubyte"
    loaded, stdout = loaded_by("-m", "mnist_seq_cli", "inspect", str(labels), "--json", directory=tmp_path)
    assert '"kind": "idx"' in stdout
    assert loaded & {"rich", "tqdm", "PIL", "rapidfuzz", "multiprocessing"} == set()


def test_the_script_and_the_module_are_one_program(tmp_path: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"mnistseq": "mnist_seq_cli.cli.main:main"}
    done = subprocess.run(
        [sys.executable, "-m", "mnist_seq_cli", "--version"], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout == f"mnistseq, version {mnist_seq_cli.__version__}\n".encode()
    assert done.stderr == b""


# Names that live in one place


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?v?(\d+\.\d+\.\d+\S*?)\]?(?:\s|$)", changelog, re.MULTILINE)
    assert versions[:1] == [mnist_seq_cli.__version__]
    assert project["version"] == mnist_seq_cli.__version__


def test_the_table_of_formats_is_the_modules_that_are_there() -> None:
    in_the_table = [type(formats.get(name)).__module__ for name in formats.FORMAT_NAMES]
    no_formats = {"formats", "formats.format", "formats.reader", "formats.rows", "formats.arrays"}
    no_formats |= {"formats.arrays.columns", "formats.arrays.idx_reader"}
    no_formats |= {module for module in MODULES if module.startswith("formats.trainers")}
    on_disk = {f"{PACKAGE}.{module}" for module in MODULES if room_of(module) == "formats" and module not in no_formats}
    assert set(in_the_table) == on_disk
    assert len(in_the_table) == len(set(in_the_table))
    assert [formats.get(name).NAME for name in formats.FORMAT_NAMES] == [*formats.FORMAT_NAMES]


def test_the_command_line_offers_exactly_the_formats_that_there_are() -> None:
    options = {option.name: option for option in commands()["dataset"].params}
    choices = {}
    for name in ("format", "layout"):
        choice = options[name].type
        assert isinstance(choice, click.Choice)
        choices[name] = tuple(choice.choices)
    assert choices["layout"] == formats.LAYOUTS == ("shards", "folders", "flat")
    assert {*choices["format"], *choices["layout"][1:]} == {*formats.FORMAT_NAMES}
    assert not {*choices["format"]} & {*choices["layout"]}


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("dataset", "split_by", BY),
        ("decode", "form", get_args(idx_export.Form)),
        ("inspect", "may_share", overlap.KINDS),
    ],
)
def test_choices_that_help_cannot_load_are_those_of_their_tables(
    command: str, option: str, names: tuple[str, ...]
) -> None:
    (choice,) = (parameter.type for parameter in commands()[command].params if parameter.name == option)
    assert isinstance(choice, click.Choice)
    assert tuple(choice.choices) == names


@pytest.mark.parametrize("name", sorted(set(mnist_seq_cli.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(mnist_seq_cli, name)
    assert value.__name__ == name
    assert value.__module__.startswith(f"{PACKAGE}.")
    docstring = vars(value)["__doc__"] if isinstance(value, type) else value.__doc__
    assert docstring is not None
    assert len(docstring) > 20
    assert not docstring.startswith(f"{name}("), "made by dataclass or NamedTuple"
    assert name in dir(mnist_seq_cli)


def test_the_public_names_are_sorted_and_no_others_are_made_up() -> None:
    assert list(mnist_seq_cli.__all__) == sorted(mnist_seq_cli.__all__)
    with pytest.raises(AttributeError, match=r"^module 'mnist_seq_cli' has no attribute 'Datasets'$"):
        mnist_seq_cli.Datasets  # noqa: B018


# The files of the project


def project_files() -> list[Path]:
    """Every file that is tracked by git, and every new one that is not ignored."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is not a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name and (ROOT / name.decode()).is_file()]


def test_no_file_speaks_of_what_is_outside_the_project() -> None:
    words = [word.encode() for word in ("farm" + "-", "/wo" + "rk/", ".lib" + "rary")]
    found = [
        f"{path.relative_to(ROOT)}: {word.decode()}"
        for path in project_files()
        for word in words
        if word in path.read_bytes()
    ]
    assert found == []


def test_the_project_carries_no_large_file_but_mnist() -> None:
    large = {path.relative_to(ROOT).as_posix() for path in project_files() if path.stat().st_size > 1_000_000}
    assert large == {"data/train-images-idx3-ubyte", "data/t10k-images-idx3-ubyte"}


def test_the_list_of_commands_loads_none_of_them(tmp_path: Path) -> None:
    names, stdout = modules_loaded_by("-m", "mnist_seq_cli", "--help", directory=tmp_path)
    assert "Write many images with labels." in stdout
    assert [name for name in names if name.startswith(("mnist_seq_cli.recipe", "mnist_seq_cli.cli.commands."))] == []
