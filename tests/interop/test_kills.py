"""Thirty kills each of the client, a worker, the scheduler and the server, while a cluster fills an object store."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nursery import Nursery
from object_servers import Faults
from runner_suite import alive

pytest.importorskip("obstore", reason="obstore is not installed: pip install obstore")
pytest.importorskip("distributed", reason="distributed is not installed: pip install distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 30
STRIKES = ("strike", "strike after")
ASKED = ["dataset", "-n", "48", "--len", "2", "--seed", "2", "--format", "webdataset", "--shard-size", "4"]
COMMAND = [*ASKED, "-o", "s3://bkt/out"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def faults(server: int, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """The proxy before the server."""
    with Faults(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        yield proxy
        proxy.shutdown()


@pytest.fixture
def nursery(faults: Faults) -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


class Dataset:
    """The objects of the dataset, as their ETags have them, and what an undisturbed run of a command makes."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket
        self.whole: dict[str, str] = {}

    def etags(self) -> dict[str, str]:
        listed = self._bucket.list_objects_v2(Bucket="bkt", Prefix="out/").get("Contents", [])
        return {entry["Key"]: entry["ETag"] for entry in listed}

    def empty(self) -> None:
        if keys := [{"Key": key} for key in self.etags()]:
            self._bucket.delete_objects(Bucket="bkt", Delete={"Objects": keys})

    def check(self, *, ended: bool) -> None:
        """Hold it against the whole; where the command has not `ended` well it may be the manifest that is missing."""
        found = self.etags()
        if ended:
            assert found == self.whole
        elif "out/manifest.json" in found:
            assert self.whole.items() <= found.items()


@pytest.fixture
def dataset(bucket: Any) -> Dataset:
    return Dataset(bucket)


class Cluster:
    """A scheduler and two workers, which are killed and started again."""

    def __init__(self, nursery: Nursery, directory: Path) -> None:
        self._nursery, self._directory = nursery, directory
        self.start()

    def start(self) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.scheduler = self._nursery.start("scheduler", port, stderr=self._directory / "scheduler.txt")
        self.workers = [self.start_worker() for _ in range(2)]

    def start_worker(self) -> int:
        return self._nursery.start("worker", self.address, self._directory, stderr=self._directory / "worker.txt")

    def end(self) -> None:
        for process in (self.scheduler, *self.workers):
            self._nursery.kill(process)


@pytest.fixture
def cluster(nursery: Nursery, tmp_path: Path) -> Cluster:
    return Cluster(nursery, tmp_path)


@pytest.fixture
def command(nursery: Nursery, cluster: Cluster, tmp_path: Path) -> Callable[[], int]:
    """Start the command on the cluster, and return its process; what it says is in the file `said`."""

    def start() -> int:
        (tmp_path / "said").write_text("")
        return nursery.start("command", *COMMAND, "--runner", f"dask://{cluster.address}", stderr=tmp_path / "said")

    return start


@pytest.fixture
def requests(command: Callable[[], int], nursery: Nursery, faults: Faults, dataset: Dataset) -> int:
    """How many requests an undisturbed run makes, which leaves the whole dataset."""
    faults.begin()
    assert nursery.end_of(command()) == 0
    dataset.whole = dataset.etags()
    assert len(dataset.whole) == 12 + 5
    return faults.count


def test_the_client_is_killed(
    command: Callable[[], int], requests: int, nursery: Nursery, faults: Faults, dataset: Dataset
) -> None:
    chance, kills = random.Random(1), 0
    while kills < KILLS:
        dataset.empty()
        code = -signal.SIGKILL
        while code:
            faults.begin(chance.randint(1, requests) if kills < KILLS else 0, chance.choice(STRIKES))
            process = command()
            faults.strike = partial(os.kill, process, signal.SIGKILL)
            code = nursery.end_of(process)
            kills += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL)
            dataset.check(ended=code == 0)


def test_workers_are_killed(
    command: Callable[[], int],
    cluster: Cluster,
    requests: int,
    nursery: Nursery,
    faults: Faults,
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    """Several in each run, whose places others take."""
    chance, kills = random.Random(2), 0
    faults.strike = lambda: os.kill(cluster.workers[0], signal.SIGKILL)
    while kills < KILLS:
        dataset.empty()
        faults.begin(chance.randint(1, requests // 2), chance.choice(STRIKES))
        process = command()
        while alive(process):
            if not alive(cluster.workers[0]):
                kills += nursery.end_of(cluster.workers.pop(0)) == -signal.SIGKILL
                cluster.workers.insert(chance.randrange(2), cluster.start_worker())
                faults.begin(chance.randint(1, requests // 4), chance.choice(STRIKES))
            time.sleep(0.005)
        assert nursery.end_of(process) == 0, (tmp_path / "said").read_text()
        dataset.check(ended=True)


def test_the_scheduler_is_killed(
    command: Callable[[], int],
    cluster: Cluster,
    requests: int,
    nursery: Nursery,
    faults: Faults,
    dataset: Dataset,
    tmp_path: Path,
) -> None:
    chance, kills = random.Random(3), 0
    faults.strike = lambda: os.kill(cluster.scheduler, signal.SIGKILL)
    while kills < KILLS:
        dataset.empty()
        code = 1
        while code:
            faults.begin(chance.randint(1, requests) if kills < KILLS else 0, chance.choice(STRIKES))
            code = nursery.end_of(command())
            said = (tmp_path / "said").read_text()
            assert code == 0 or (code == 1 and faults.struck and said.count("\n") == 1), said
            dataset.check(ended=code == 0)
            if faults.struck:
                kills += 1
                cluster.end()
                cluster.start()


def test_the_server_is_killed(
    faults: Faults, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is, the proxy, which is all that clients see; it comes back at once, or when they have given up."""
    chance, kills, port = random.Random(4), 0, free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with Nursery() as nursery:
        proxy = serve(nursery, faults.server_port, port)
        faults.begin()
        assert nursery.end_of(nursery.start("command", *COMMAND, "--workers", 1)) == 0
        requests, dataset.whole = faults.count, dataset.etags()
        while kills < KILLS:
            dataset.empty()
            code = 1
            while code:
                nursery.kill(proxy)
                at = chance.randint(1, requests) if kills < KILLS else 0
                proxy, patient = serve(nursery, faults.server_port, port, chance.choice((at, -at))), True
                (tmp_path / "said").write_text("")
                process = nursery.start("command", *COMMAND, "--workers", 1, stderr=tmp_path / "said")
                while alive(process):
                    if patient and not alive(proxy):
                        kills, patient = kills + 1, False
                        if chance.random() < 0.7:
                            proxy = serve(nursery, faults.server_port, port)
                    time.sleep(0.005)
                code, said = nursery.end_of(process), (tmp_path / "said").read_text()
                assert code == 0 or (code == 1 and not patient and said.count("\n") == 1), said
                dataset.check(ended=code == 0)


def serve(nursery: Nursery, behind: int, port: int, at: int = 0) -> int:
    """Start a proxy that is killed at a request, and return its process once it listens."""
    process = nursery.start("proxy", behind, port, at)
    while alive(process):
        with suppress(ConnectionRefusedError, TimeoutError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        time.sleep(0.005)
    raise AssertionError("the proxy did not start")
