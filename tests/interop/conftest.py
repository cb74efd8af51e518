"""Owns when the tests against other people's libraries run, and the datasets that these libraries read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forms import form

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli import main

OPTIONS = {"length": 4, "seed": 11, "max_gap": 6}
SAMPLES = 250


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not item.config.getoption("--run-interop"):
        pytest.skip("needs other people's libraries: pip install -e '.[interop]', and pytest --run-interop")


@pytest.fixture(scope="session")
def data() -> SequenceDataset:
    """The samples as they are made, to be held against what other people's readers see."""
    return SequenceDataset(**OPTIONS, samples=SAMPLES)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, without a network and without anything that it remembers."""
    home = str(tmp_path_factory.mktemp("hugging-face"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HF_HUB_OFFLINE": "1", "HF_HOME": home, "HF_DATASETS_CACHE": home}.items():
            patch.setenv(name, value)  # read once, when the library is imported
        import datasets

        datasets.disable_progress_bars()
        yield datasets


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits with a folder for each label in them, by whose names readers know classes; not to be changed."""
    directory = tmp_path_factory.mktemp("classes")
    splits = ["--split", "train=128", "--split", "val=32", "--split", "test=40", "--split-by", "label"]
    asked = ["--len", "2", "--per-label", "2", "--seed", "11", "--layout", "folders"]
    assert main.run(["dataset", *splits, *asked, "-o", str(directory)]) == 0
    return directory


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same samples on disk, in three shards: `written("png")` is a directory, not to be changed.

    So is `written("png --masks")`.
    """
    place = tmp_path_factory.mktemp("written")

    def write(format_name: str) -> Path:
        directory = place / format_name
        if not directory.exists():
            asked = ["-n", str(SAMPLES), "--len", "4", "--seed", "11", "--max", "6", "--shard-size", "100"]
            assert main.run(["dataset", *asked, *form(format_name), "-o", str(directory)]) == 0
        return directory

    return write
