"""Object stores as they are: servers of S3 and Azure that the tests start, faults on the way to them, and readers."""

import hmac
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from email.utils import formatdate
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asked import recipe_for
from forms import parameters
from object_servers import Faults, Request, objects

from mnist_seq_cli import SequenceDataset, formats, open_dataset
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.errors import MnistseqError
from mnist_seq_cli.execution import serial
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage import local, object_client, object_store
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.object_store import ObjectStore

pytest.importorskip("obstore", reason="obstore is not installed: pip install obstore")
SOURCE = Source("train")
SPEC = Spec(recipe=recipe_for(seed=2, length=2), samples=8, format="webdataset", compression="fast", shard_size=3)
ASKED = ["dataset", "--len", "2", "--seed", "2", "--format", "webdataset", "--shard-size", "50", "--workers", "1"]


@pytest.fixture
def faults(server: int, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """The proxy, in place of the server, and little patience."""
    with Faults(server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        retries = {
            **object_client._RETRIES,
            "max_retries": 2,
            "backoff": {"init_backoff": timedelta(microseconds=1)},
        }
        monkeypatch.setattr(object_client, "_RETRIES", retries)
        monkeypatch.setattr(object_store, "_SECONDS", 1)
        yield proxy
        proxy.shutdown()


def whole(spec: Spec = SPEC) -> dict[str, bytes]:
    memory = MemoryStore()
    build(memory, spec, SOURCE, run=serial.run)
    return memory.files


def empty(bucket: Any) -> None:
    for key in objects(bucket, ""):
        bucket.delete_object(Bucket="bkt", Key=key)


def problem_of(work: Callable[[], Any]) -> str:
    """Return what goes wrong with some work; nothing where nothing does."""
    try:
        work()
    except (OSError, MnistseqError) as error:
        return str(error)
    return ""


KINDS = ["500", "503", "reset", "lost answer", "cut", "hang"]


@pytest.mark.parametrize(
    ("kind", "form"),
    [*((kind, "webdataset") for kind in KINDS), *((kind, form) for form in ("npz", "idx") for kind in ("503", "cut"))],
)
def test_a_fault_of_any_request_is_got_over(kind: str, form: str, faults: Faults, bucket: Any) -> None:
    spec = replace(SPEC, format=form, compression=formats.get(form).COMPRESSION)
    for number in count(1 + KINDS.index(kind) % 3, 8 if kind == "hang" or form != "webdataset" else 3):
        empty(bucket)
        faults.begin(number, kind)
        build("s3://bkt/out", spec, SOURCE, run=serial.run)
        assert objects(bucket) == whole(spec), number
        if faults.count < number:
            break
    assert number > 10
    assert bucket.list_multipart_uploads(Bucket="bkt").get("Uploads", []) == []


@pytest.mark.parametrize("kind", ["503", "reset", "403"])
def test_a_server_that_fails_for_good_leaves_nothing_that_looks_finished(
    kind: str, faults: Faults, bucket: Any
) -> None:
    # A server that fails may keep the library trying until its time is over.
    expected = {"503": "the server fails|no connection", "reset": "no connection", "403": "no permission"}[kind]
    for number in count(1, 4):
        empty(bucket)
        faults.begin(number, kind, lasting=True)
        if (problem := problem_of(lambda: build("s3://bkt/out", SPEC, SOURCE, run=serial.run))) == "":
            assert faults.count < number
            break
        assert re.search(expected, problem)
        assert "\n" not in problem
        assert "manifest.json" not in objects(bucket) or objects(bucket).keys() >= whole().keys()
        faults.begin()
        build("s3://bkt/out", SPEC, SOURCE, run=serial.run)
        assert objects(bucket) == whole(), number


@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_is_read_in_spite_of_faults(kind: str, faults: Faults, bucket: Any) -> None:
    build("s3://bkt/out", SPEC, SOURCE, run=serial.run)
    texts = [sample.text for sample in SequenceDataset(length=2, seed=2, samples=8)]
    for number in range(1, 9, 4 if kind == "hang" else 2):
        faults.begin(number, kind)
        assert [sample.text for sample in open_dataset("s3://bkt/out")] == texts


def test_the_commands_take_it_like_a_directory(bucket: Any, mnistseq: Callable[..., Any], tmp_path: Path) -> None:
    place = "s3://bkt/out"
    done = mnistseq(*ASKED, "-n", 120, "-o", place)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"{place}: 120 strips")
    assert mnistseq(*ASKED, "-n", 160, "-o", place).code == 0
    assert mnistseq(*ASKED, "-n", 160, "-o", tmp_path / "out").code == 0
    assert objects(bucket) == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    seen = mnistseq("inspect", place, "--verify", "--regenerate", 1, "--json")
    assert (seen.code, seen.err) == (0, "")
    facts = json.loads(seen.out)
    assert (facts["path"], facts["samples_done"]) == (place, 160)
    assert facts["command"].startswith(f"mnistseq dataset --recipe {place}/recipe.json -n 160")
    again = ["--recipe", f"{place}/recipe.json", "-n", "160", "--format", "webdataset", "--shard-size", "50"]
    assert mnistseq("dataset", *again, "-o", tmp_path / "again").code == 0
    assert (tmp_path / "again/00000.tar").read_bytes() == objects(bucket)["00000.tar"]
    read = mnistseq("decode", place, "--min-confidence", 1)
    assert read.out.splitlines()[7] == f"{place}/00000007\t{'-'.join(open_dataset(place)[7].text)}"
    shared = mnistseq("inspect", place, "--against", tmp_path / "out")
    assert (shared.code, "160 identical images" in shared.err) == (1, True)
    bucket.put_object(Bucket="bkt", Key="out/00001.tar", Body=objects(bucket)["00001.tar"][:-1])
    seen = mnistseq("inspect", place, "--verify")
    assert (seen.code, "00001.tar: 1 files, " in seen.err) == (1, True), seen.err
    assert f"-o {place}" in seen.err
    assert mnistseq(*ASKED, "-n", 160, "-o", place).code == 0
    assert mnistseq("inspect", place, "--verify").code == 0


@pytest.mark.parametrize("name", parameters(["npz", "idx", "npy", "lmdb", "tfrecord", "parquet", "torchmeta"]))
def test_other_formats_are_objects_as_they_are_files(
    name: str, bucket: Any, mnistseq: Callable[..., Any], tmp_path: Path
) -> None:
    asked = ["dataset", "-n", 70, "--len", 2, "--seed", 2, "--format", name, "--shard-size", 30, "--workers", 2]
    for place in ("s3://bkt/out", tmp_path / "out"):
        done = mnistseq(*asked, "-o", place)
        assert (done.code, done.out) == (0, ""), done.err
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert objects(bucket) == {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in files}
    assert mnistseq("inspect", "s3://bkt/out", "--verify", "--regenerate", 1).code == 0
    assert mnistseq(*asked, "-o", "s3://bkt/out").err.splitlines()[1].startswith("all of it was there")
    assert open_dataset("s3://bkt/out")[[3, 69]].texts == open_dataset(tmp_path / "out")[[3, 69]].texts


def test_splits_go_there_too(bucket: Any, mnistseq: Callable[..., Any]) -> None:
    splits = ["--split", "train=20", "--split", "test=10", "--len", "2", "--format", "webdataset"]
    for _ in range(2):
        assert mnistseq("dataset", *splits, "-o", "s3://bkt/parts").code == 0
    tops = {name.partition("/")[0] for name in objects(bucket, "parts/")}
    assert tops == {"README.md", "splits.json", "train", "test"}
    assert mnistseq("inspect", "s3://bkt/parts", "--verify").code == 0
    assert len(mnistseq("decode", "s3://bkt/parts").out.splitlines()) == 30
    assert mnistseq("dataset", *splits, "--seed", 9, "-o", "s3://bkt/parts").code == 2


def test_what_is_wrong_is_one_line_that_says_what_to_set(
    bucket: Any, mnistseq: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*ASKED, "-n", "4", "-o"]
    for command in ([*asked], ["inspect"], ["decode"]):
        done = mnistseq(*command, "s3://another/out")
        assert (done.code, done.out) == (1, "")
        assert done.err.endswith(": there is no bucket another; make it, or correct the name\n")
        assert done.err.count("\n") == 1
    done = mnistseq("inspect", "s3://bkt/nothing")
    assert (done.code, done.err) == (
        2,
        "mnistseq: s3://bkt/nothing is not an mnistseq dataset: it has no recipe.json\n",
    )
    monkeypatch.setattr(object_client, "_RETRIES", {"max_retries": 1})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = mnistseq(*asked, "s3://bkt/out")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "no connection" in done.err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    done = mnistseq(*asked, "s3://bkt/out")
    assert (done.code, done.err) == (1, f"mnistseq: no credentials for s3://bkt; {object_client.HINTS['s3']}\n")
    assert objects(bucket, "") == {}


def test_the_chain_of_botocore_is_used(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a program that gives credentials, which the library itself does not know."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    keys = {"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK"}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "config").write_text(f"[profile mine]\ncredential_process = cat {tmp_path}/keys.json\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    build("s3://bkt/out", SPEC, SOURCE, run=serial.run)
    assert objects(bucket) == whole()


def run(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mnist_seq_cli", *ASKED, "-n", "600", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Wait for a process, and return its exit code and what it said."""
    said = process.communicate()[1]
    return process.returncode, said


def test_runs_that_are_killed_or_meet_end_in_the_same_objects(bucket: Any, tmp_path: Path) -> None:
    chance = random.Random(4)
    for _ in range(3):
        killed = run("-o", "s3://bkt/out")
        time.sleep(chance.uniform(0.6, 1.6))
        killed.send_signal(signal.SIGKILL)
        ended(killed)
        assert "manifest.json" not in objects(bucket) or manifest.read_manifest("s3://bkt/out") is not None
    both = [run("-o", "s3://bkt/out", "--workers", workers) for workers in ("1", "2")]
    results = [ended(one) for one in both]
    assert [code for code, _ in results] == [0, 0], results
    assert ended(run("-o", str(tmp_path / "out")))[0] == 0
    assert objects(bucket) == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert bucket.list_multipart_uploads(Bucket="bkt").get("Uploads", []) == []


def test_a_put_is_signed_with_the_sum_of_what_it_brings(faults: Faults, bucket: Any) -> None:
    """Which servers check, so that nothing else has to be."""
    faults.begin()
    build("s3://bkt/out", SPEC, SOURCE, run=serial.run)
    puts = [request for request in faults.log if request.method == "PUT"]
    assert len(puts) > 5
    assert [request.signed for request in puts] == [request.sha256 for request in puts]


def shards_in(log: list[Request]) -> list[str]:
    """Return the requests about shards, sorted: their method and the number of the shard."""
    shards = ((request.method, re.search(r"([0-9]+)\.tar", request.path)) for request in log)
    return sorted(f"{method} {shard[1]}" for method, shard in shards if shard)


def test_slices_and_what_is_complete_are_one_request_a_shard(faults: Faults, bucket: Any) -> None:
    spec = replace(SPEC, samples=40, shard_size=2)
    for number in range(2):
        build("s3://bkt/out", spec, SOURCE, run=serial.run, part=Slice(number, 2))
    for _ in range(2):
        faults.begin()
        assert build("s3://bkt/out", spec, SOURCE, run=serial.run).made == 0
        assert shards_in(faults.log) == [f"HEAD {number:05d}" for number in range(20)]
    assert objects(bucket) == whole(spec)
    faults.begin()
    assert list(verify("s3://bkt/out")) == []
    assert len([request for request in shards_in(faults.log) if request.startswith("GET")]) == 20


def test_an_etag_that_is_no_md5_is_found_out_by_reading(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no sum is signed, as with a key of one's own; and bytes that are others are an error."""
    monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", "true")
    store, real = ObjectStore("s3://bkt/out"), object_store.ObjectStore._ask

    def with_another_etag(store: ObjectStore, call: Any, name: str, *more: Any, **options: Any) -> Any:
        answer = real(store, call, name, *more, **options)
        return {**answer, "e_tag": "0" * 32} if isinstance(answer, dict) and "e_tag" in answer else answer

    monkeypatch.setattr(ObjectStore, "_ask", with_another_etag)
    store.put("a", [b"abc"])
    store.put("a", [b"abcd"])
    other = ObjectStore("s3://bkt/out")
    monkeypatch.setattr(other, "open", lambda name: store.open("b"))
    bucket.put_object(Bucket="bkt", Key="out/b", Body=b"xyz")
    with pytest.raises(OSError, match="the store has other bytes than were put"):
        other.put("a", [b"abc"])


def test_google_holds_datasets_too(server: int, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server speaks enough of its language."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server}")
    bucket.put_bucket_acl(Bucket="bkt", ACL="public-read-write")
    build("gs://bkt/out", replace(SPEC, samples=5), SOURCE, run=serial.run)
    assert build("gs://bkt/out", SPEC, SOURCE, run=serial.run).made == 5
    assert objects(bucket) == whole()
    assert list(verify("gs://bkt/out")) == []


# Other people's readers


def test_webdataset_reads_it_through_a_pipe(bucket: Any) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed: pip install webdataset")
    build("s3://bkt/out", SPEC, SOURCE, run=serial.run)
    fetch = (
        f"{sys.executable} -c \"import boto3, os, sys; boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL'])"
        ".download_fileobj('bkt', sys.argv[1], sys.stdout.buffer)\""
    )
    shards = [f"pipe:{fetch} out/{number:05d}.tar" for number in range(3)]
    samples = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("l8")
    assert [sample["json"]["text"] for sample in samples] == [sample.text for sample in open_dataset("s3://bkt/out")]


# Azure


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A container of a server of Azure's blobs, where there is one: npm install azurite."""
    program = shutil.which("azurite-blob")
    if not program:
        pytest.skip("azurite is not installed: npm install -g azurite")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--blobPort",
        str(port),
        "--silent",
        "--disableTelemetry",
        "--skipApiVersionCheck",
        "--location",
        str(tmp_path / "azurite"),
    ]
    account, key = (
        "devstoreaccount1",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    )
    endpoint = f"http://127.0.0.1:{port}/{account}"
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING", f"AccountName={account};AccountKey={key};BlobEndpoint={endpoint}"
    )
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as started:
        try:
            while started.poll() is None and not listens(port):
                time.sleep(0.1)
            make_container(endpoint, account, key, "box")
            yield "box"
        finally:
            started.terminate()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def make_container(endpoint: str, account: str, key: str, name: str) -> None:
    """Make a container, with a request signed as Azure's "Authorize with Shared Key" says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    listed = "".join(f"{header}:{value}\n" for header, value in headers.items())
    text = "PUT" + 12 * "\n" + f"{listed}/{account}/{account}/{name}\nrestype:container"
    signature = b64encode(hmac.digest(b64decode(key), text.encode(), "sha256")).decode()
    signed = {**headers, "Authorization": f"SharedKey {account}:{signature}", "Content-Length": "0"}
    with closing(HTTPConnection(endpoint.partition("//")[2].partition("/")[0])) as connection:
        connection.request("PUT", f"/{account}/{name}?restype=container", headers=signed)
        assert connection.getresponse().status == 201


def test_azure_holds_datasets_too(container: str, mnistseq: Callable[..., Any], tmp_path: Path) -> None:
    place = f"az://{container}/out"
    assert mnistseq(*ASKED, "-n", 120, "-o", place).code == 0
    store = ObjectStore(place)
    store.remove("00001.tar")
    assert mnistseq("inspect", place, "--verify").code == 1
    assert mnistseq(*ASKED, "-n", 160, "-o", place).code == 0
    assert mnistseq(*ASKED, "-n", 160, "-o", tmp_path / "out").code == 0
    for path in (tmp_path / "out").iterdir():
        with store.open(path.name) as file:
            assert file.read() == path.read_bytes()
        assert store.stored_sum(path.name) == local.sum_of(path)
    assert {entry.name for entry in store.list()} == {path.name for path in (tmp_path / "out").iterdir()}
    assert not store.put_new("recipe.json", b"{}")
    assert mnistseq("inspect", place, "--verify", "--regenerate", 1).code == 0
    assert mnistseq("inspect", "az://nothing/out").err.endswith(
        "there is no bucket nothing; make it, or correct the name\n"
    )
