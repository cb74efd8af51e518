"""Owns when the tests against other people's libraries run, and the datasets that these libraries read."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
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


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of a server of S3."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    yield started.get_host_and_port()[1]
    started.stop()


@pytest.fixture
def bucket(server: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server with a new bucket `bkt`, and the environment for it."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install boto3")
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "SK"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server}"),
    ):
        monkeypatch.setenv(name, value)
    with closing(HTTPConnection("127.0.0.1", server)) as connection:
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server}", region_name="us-east-1")
    client.create_bucket(Bucket="bkt")
    return client
