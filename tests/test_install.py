"""What people install: the wheel has everything in it, and the program that comes out of it makes the same pixels."""

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import mnist_seq_cli
from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import BUNDLED_FILES, CLASSES_FILE, NET_FILE, WRITERS_FILE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "mnist_seq_cli"
FILES = (*BUNDLED_FILES, WRITERS_FILE, CLASSES_FILE, NET_FILE)


class Installed(NamedTuple):
    """A virtual environment of its own, with the wheel in it: its directory, its Python and its `mnistseq`."""

    directory: Path
    python: Path
    mnistseq: Path


def clean_environment() -> dict[str, str]:
    """The environment without anything that could lead Python to the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PIP_"))}


def run(*arguments: str | Path, directory: Path) -> str:
    done = subprocess.run(
        list(map(str, arguments)), cwd=directory, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without a network."""
    directory = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--quiet", "wheel")
    run(*pip, ROOT, "--no-deps", "--no-build-isolation", "--no-index", "-w", directory, directory=directory)
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, which borrows the dependencies (and no .pth file) of this one."""
    directory = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(directory)
    places = sysconfig.get_paths("venv", vars={"base": str(directory), "platbase": str(directory)})
    suffix = ".exe" if os.name == "nt" else ""
    python = Path(places["scripts"]) / f"python{suffix}"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python, "install")
    run(*pip, "--no-deps", "--no-index", wheel, directory=directory)
    (Path(places["purelib"]) / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return Installed(directory, python, Path(places["scripts"]) / f"mnistseq{suffix}")


def test_the_wheel_holds_every_module_and_the_data_and_nothing_else(wheel: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*.py")}
    data = {f"{PACKAGE}/data/{name}" for name in ("README.md", *(file.name for file in FILES))}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == modules | data | {f"{PACKAGE}/py.typed", f"{PACKAGE}/inspection/views/report.html"}


def test_the_data_in_the_wheel_is_mnist_as_published(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for file in FILES:
            content = archive.read(f"{PACKAGE}/data/{file.name}")
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        readme = archive.read(f"{PACKAGE}/data/README.md")
    assert readme == (ROOT / "data" / "README.md").read_bytes()


def test_the_wheel_says_what_it_is_and_under_which_licences(wheel: Path) -> None:
    version = mnist_seq_cli.__version__
    assert wheel.name == f"mnistseq-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        info = f"mnistseq-{version}.dist-info"
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        scripts = archive.read(f"{info}/entry_points.txt").decode().split()
        licences = {name for name in archive.namelist() if name.startswith(f"{info}/licenses/")}
    assert (metadata["Name"], metadata["Version"]) == ("mnistseq", version)
    assert metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0"
    assert licences == {f"{info}/licenses/LICENSE", f"{info}/licenses/data/README.md"}
    assert scripts == ["[console_scripts]", "mnistseq", "=", "mnist_seq_cli.cli.main:main"]
    needed = [requirement for requirement in metadata.get_all("Requires-Dist", []) if "extra ==" not in requirement]
    assert len(needed) == 7


def test_what_is_installed_runs_from_where_it_was_installed(installed: Installed, tmp_path: Path) -> None:
    code = f"import {PACKAGE}.mnist.bank; print({PACKAGE}.__file__); print({PACKAGE}.mnist.bank.bundled_directory())"
    package, data = map(Path, run(installed.python, "-I", "-c", code, directory=tmp_path).splitlines())
    assert package.is_relative_to(installed.directory.resolve())
    assert data == package.parent / "data"


@pytest.mark.parametrize("way", ["script", "module"])
def test_the_installed_program_makes_the_same_pixels(way: str, installed: Installed, tmp_path: Path) -> None:
    program = (installed.mnistseq,) if way == "script" else (installed.python, "-I", "-m", PACKAGE)
    assert run(*program, "generate", "1-2-3", "--seed", "5", "-o", "x.png", directory=tmp_path) == "x.png\n"
    with Image.open(tmp_path / "x.png") as opened:
        image = np.array(opened)
    np.testing.assert_array_equal(image, SequenceDataset(sequences=["1-2-3"], seed=5)[0].image, strict=True)


def test_the_installed_program_makes_a_dataset_on_processes(installed: Installed, tmp_path: Path) -> None:
    size = ("-n", "20", "--len", "2", "--seed", "5", "--shard-size", "5")
    assert run(installed.mnistseq, "dataset", *size, "--workers", "2", "-o", "out", directory=tmp_path) == ""
    assert len(list(tmp_path.glob("out/images/*/*.png"))) == 20


def test_the_installed_program_knows_its_version(installed: Installed, tmp_path: Path) -> None:
    assert (
        run(installed.mnistseq, "--version", directory=tmp_path) == f"mnistseq, version {mnist_seq_cli.__version__}\n"
    )


def test_a_development_install_reads_the_data_in_place() -> None:
    if not Path(mnist_seq_cli.__file__).resolve().is_relative_to(ROOT / PACKAGE):
        pytest.skip("the package under test is not that of the checkout")
    assert bank.bundled_directory() == ROOT / "data"
    assert not (ROOT / PACKAGE / "data").exists()
