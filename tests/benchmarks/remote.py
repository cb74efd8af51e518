"""Owns the measurement of a cluster against the process pool, and of a put against the client of an object store.

    PYTHONPATH=tests python tests/benchmarks/remote.py DIRECTORY

Both sides take turns in one process, and the least time of each counts. Puts go to a server of this machine that sums
up what comes, as object stores do, and keeps nothing; and then, where there is moto, to its server, as it comes.
"""

import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import perf_counter
from urllib.error import URLError
from urllib.request import Request, urlopen

from asked import recipe_for

from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.shards import composed
from mnist_seq_cli.execution import processes
from mnist_seq_cli.execution.cluster import Cluster
from mnist_seq_cli.formats import get
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.object_store import ObjectStore

TURNS = 7
MOTO = 5055


class Taking(BaseHTTPRequestHandler):
    """Takes puts, and keeps nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        digest, left = md5(usedforsecurity=False), int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            digest.update(piece)
            left -= len(piece)
        self.send_response(200)
        self.send_header("ETag", f'"{digest.hexdigest()}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def least(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return the least seconds that each of two takes, which take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for call, taken in zip((first, second), times, strict=True):
            started = perf_counter()
            call()
            taken.append(perf_counter() - started)
    return min(times[0]), min(times[1])


def show(what: str, ours: float, other: float) -> None:
    print(f"{what}: {ours:.3f} s against {other:.3f} s, {ours / other:.2f} times")


def clusters(directory: Path) -> None:
    """Print what 100,000 strips take on two workers of a cluster, and of the pool."""
    with Cluster(workers=2) as cluster:
        for name in ("png", "webdataset"):
            recipe = recipe_for(seed=2, length=4)
            spec = Spec(recipe=recipe, samples=100_000, format=name, compression="fast", shard_size=1000)

            def made(run: object, spec: Spec = spec) -> None:
                shutil.rmtree(directory / "out", ignore_errors=True)
                build(directory / "out", spec, Source("train"), run=run)

            show(f"{name} on Dask, and on processes", *least(lambda: made(cluster), lambda: made(processes.on(2))))
    shutil.rmtree(directory / "out")


def puts() -> None:
    """Print what a put takes, and one of the library alone."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_REGION": "us-east-1"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    put("a tar shard, and by obstore alone", server.server_port)
    if find_spec("moto") is None:
        print("moto is not installed: puts to its server are left out")
        return
    with Popen([sys.executable, "-m", "moto.server", "-p", str(MOTO)], stdout=DEVNULL, stderr=DEVNULL) as moto:
        make = Request(f"http://127.0.0.1:{MOTO}/bkt", method="PUT")
        while True:
            with suppress(URLError), urlopen(make):
                break
        put("the same, to moto's server", MOTO)
        moto.terminate()


def put(what: str, port: int) -> None:
    """Print what it takes to put a shard of 25 MB, in pieces as its format gives them."""
    import obstore

    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    store = ObjectStore("s3://bkt/out")
    client = store._client(25_000_000)
    sizes = {"samples": 8500, "shard_size": 8500}
    spec = Spec(recipe=recipe_for(seed=2, length=4), format="webdataset", compression="fast", **sizes)
    source = Source("train")
    pieces = [*get("webdataset").stream(spec, composed(spec, source, 0, spec.samples))]
    show(what, *least(lambda: store.put("a", pieces), lambda: obstore.put(client, "b", pieces, use_multipart=False)))


if __name__ == "__main__":
    clusters(Path(sys.argv[1]))
    puts()
