"""One more format is one file: here one that another package adds, by an entry point; the rest comes for free."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from asked import recipe_for

from mnist_seq_cli import formats, open_dataset
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.regenerate import regenerate
from mnist_seq_cli.dataset.shards import stream
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.errors import FormatError, Interrupted, RequestError
from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.memory import MemoryStore

MODULE = '''"""Owns the format `toy`: a file a shard, of JSON in hexadecimal rows."""

import json

import numpy as np

from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.format import File, Format

ARRAYS = ("digits", "lengths", "glyphs", "x", "y", "boxes", "widths", "images")


class Toy(Format):
    NAME = "toy"
    SUFFIX = ".toy"

    def write(self, spec, shard, batches):
        def lines():
            for batch in batches:
                yield json.dumps({name: getattr(batch, name).tolist() for name in ARRAYS}).encode() + b"\\n"

        (name,) = self.shard_names(spec, shard)
        yield File(name, lines())

    def read(self, spec, shard, open_file):
        (name,) = self.shard_names(spec, shard)
        with open_file(name) as file:
            for first, stop in spans(spec.recipe, shard.first, shard.stop):
                try:
                    values = json.loads(file.readline())
                except ValueError as error:
                    raise FormatError(f"{name} is damaged ({error})") from None
                types = {"digits": np.uint8, "images": np.uint8}
                yield Batch(first, **{key: np.array(each, types.get(key, np.int32)) for key, each in values.items()})

    def detect(self, start):
        return start.startswith(b'{"digits"')
'''

SOURCE = Source("train")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spec]:
    """The package of somebody else is installed: one module, and the line that names it."""
    installed = tmp_path / "installed"
    (installed / "toy-1.0.dist-info").mkdir(parents=True)
    (installed / "toy_format.py").write_text(MODULE)
    (installed / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (installed / "toy-1.0.dist-info" / "entry_points.txt").write_text("[mnistseq.formats]\ntoy = toy_format:Toy\n")
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setenv("PYTHONPATH", str(installed))  # for workers
    yield Spec(recipe=recipe_for(seed=1, length=3), samples=8, format="toy", compression="small", shard_size=3)
    formats.get.cache_clear()


def test_it_is_one_of_the_formats(spec: Spec) -> None:
    assert formats.names() == (*formats.FORMAT_NAMES, "toy")
    assert formats.get("toy").detect(b'{"digits": 1')
    with pytest.raises(FormatError, match=r"there is no format .toys.; take one of png, .*, toy"):
        formats.get("toys")


def test_it_is_built_read_verified_resumed_repaired_and_grows(spec: Spec, tmp_path: Path) -> None:
    def stopped(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        yield from serial.run(work, islice(tasks, 1), stop)

    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        build(out, replace(spec, samples=5), SOURCE, run=stopped)  # type: ignore[arg-type]
    assert build(out, replace(spec, samples=5), SOURCE, run=serial.run).made == 2
    build(out, spec, SOURCE, run=serial.run)
    assert sorted(path.name for path in out.glob("*.toy")) == ["00000.toy", "00001.toy", "00002.toy"]
    whole = compose.compose(spec.recipe, bank.load(SOURCE), 0, 8)
    assert whole.first_difference(open_dataset(out).batch(0, 8)) is None
    assert list(formats.get("toy").read_texts(spec, lambda name: (out / name).open("rb"))) == [
        sample.label.replace("-", "") for sample in open_dataset(out)
    ]
    assert regenerate(out, shards=9) == (3, [])
    content = (out / "00001.toy").read_bytes()
    (out / "00001.toy").write_bytes(content[:-9])
    (out / "00009.toy").write_bytes(content)
    assert list(verify(out)) == [
        "00009.toy is none of the 3 shards of the plan",
        f"00001.toy: 1 files, {len(content) - 9} bytes; expected 1 files, {len(content)} bytes",
    ]
    assert build(out, spec, SOURCE, run=serial.run).repaired
    assert list(verify(out)) == []
    memory = MemoryStore()
    build(memory, spec, SOURCE, run=serial.run)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == memory.files


def test_it_is_refused_what_it_has_no_room_for(spec: Spec, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the format toy cannot hold masks"):
        build(tmp_path / "out", replace(spec, masks=True), SOURCE)
    with pytest.raises(RequestError, match="the format toy cannot go to stdout"):
        list(stream(spec, SOURCE))


def test_the_command_line_takes_it(spec: Spec, tmp_path: Path, mnistseq: Callable[..., Any]) -> None:
    asked = ("dataset", "-n", "8", "--len", "3", "--seed", "1", "--format", "toy", "--shard-size", "3")
    assert mnistseq(*asked, "-o", tmp_path / "out").code == 0
    build(tmp_path / "other", spec, SOURCE, run=processes.on(2))
    for path in (tmp_path / "out").glob("*.toy"):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
    done = mnistseq("inspect", tmp_path / "out", "--verify", "--regenerate", "3")
    assert (done.code, "the recipe makes the same samples again (3 shards)" in done.err) == (0, True)
    done = mnistseq("inspect", tmp_path / "out" / "00000.toy")
    assert (done.code, "is a part of a dataset of the format toy; give its directory" in done.err) == (2, True)
    done = mnistseq(*asked[:-3], "toys", "-o", tmp_path / "none")
    assert (done.code, "toys" in done.err, "toy" in done.err) == (2, True, True)
