"""What holds for every format in every store: built, read, verified, resumed, repaired, grown, and nothing too much."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from forms import FORMATS, parameters

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.records import Journal
from mnist_seq_cli.dataset.regenerate import regenerate
from mnist_seq_cli.dataset.shards import composed, write
from mnist_seq_cli.dataset.verify import foreign, verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import Batch, joined
from mnist_seq_cli.errors import Interrupted, OutputError, RequestError
from mnist_seq_cli.execution import processes, serial
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.memory import MemoryStore
from mnist_seq_cli.storage.store import Store

SOURCE = Source("train")
SAMPLES, SHARD_SIZE = 17, 5

STORES: dict[str, Callable[[Path], Store]] = {
    "directory": lambda path: LocalStore(path / "out"),
    "memory": lambda path: MemoryStore(),
}
FORMS = [*formats.FORMAT_NAMES, *(f"{name} masks" for name in formats.FORMAT_NAMES if formats.get(name).MASKS)]

each_form = pytest.mark.parametrize("form", parameters(FORMS))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


RECIPE = recipe_for(seed=5, length=((1, 1), (2, 1), (3, 2)), max_gap=6)


def spec_of(form: str, samples: int = SAMPLES, recipe: Recipe = RECIPE) -> Spec:
    name, _, masks = form.partition(" ")
    return Spec(
        recipe=recipe,
        samples=samples,
        format=name,
        compression=formats.get(name).COMPRESSION,
        shard_size=SHARD_SIZE,
        masks=bool(masks),
    )


def read(store: Store, spec: Spec) -> Batch:
    format_ = formats.get(spec.format)
    return joined([batch for shard in spec.plan for batch in format_.read(spec, shard, store.open)])


def contents(store: Store, folder: str = "") -> dict[str, bytes]:
    """Return the content of all files by name."""
    found: dict[str, bytes] = {}
    for entry in store.list(folder):
        if entry.kind == "folder":
            found |= contents(store, entry.name)
        else:
            with store.open(entry.name) as file:
                found[entry.name] = file.read()
    return found


@cache
def whole(spec: Spec) -> dict[str, bytes]:
    memory = MemoryStore()
    build(memory, spec, SOURCE, run=serial.run)
    return memory.files


def data_files(store: Store, spec: Spec) -> list[str]:
    return [name for name in contents(store) if name not in ("recipe.json", "manifest.json")]


@each_form
def test_what_was_written_is_read_again(form: str, store: Store) -> None:
    spec = spec_of(form)
    summary = build(store, spec, SOURCE, run=serial.run)
    assert (summary.samples, summary.made, summary.repaired) == (SAMPLES, SAMPLES, False)
    made = compose.compose(RECIPE, bank.load(SOURCE), 0, SAMPLES, masks=spec.masks)
    assert made.first_difference(read(store, spec)) is None
    texts = list(formats.get(spec.format).read_texts(spec, store.open))
    assert texts == ["".join(map(str, row[:size])) for row, size in zip(made.digits, made.lengths, strict=True)]
    assert list(verify(store)) == []
    assert regenerate(store, shards=99) == (len(spec.plan), [])
    assert contents(store) == whole(spec)
    assert build(store, spec, SOURCE, run=serial.run).made == 0


@each_form
def test_processes_write_the_same(form: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "out")
    build(store, spec_of(form), SOURCE, run=processes.on(2))
    assert contents(store) == whole(spec_of(form))


@each_form
@pytest.mark.parametrize("done", [0, 3])
def test_what_was_interrupted_is_finished(form: str, done: int, store: Store) -> None:
    spec = spec_of(form)

    def stopped(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        yield from serial.run(work, islice(tasks, done), stop)

    with pytest.raises(Interrupted, match=f"stopped with {done * SHARD_SIZE} of 17 samples done"):
        build(store, spec, SOURCE, run=stopped)  # type: ignore[arg-type]
    assert manifest.read_manifest(store) is None
    assert list(verify(store)) == ["manifest.json is missing: the dataset is not complete"]
    assert build(store, spec, SOURCE, run=serial.run).made == SAMPLES - done * SHARD_SIZE
    assert contents(store) == whole(spec)


@pytest.mark.parametrize("form", parameters(form for form in FORMS if not form.startswith("npz")))
def test_slices_come_to_the_same(form: str, store: Store) -> None:
    """Each is interrupted once, and begun again; what they have made is complete without being read or made again."""
    spec, slices = spec_of(form), [Slice(number, 3) for number in range(3)]

    def stopped(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        yield from serial.run(work, islice(tasks, 1), stop)

    for part in slices[::-1]:
        if len(part.shards(spec.plan)) > 1:
            with pytest.raises(Interrupted, match=f"stopped with {SHARD_SIZE} of [0-9]+ samples done"):
                build(store, spec, SOURCE, run=stopped, part=part)  # type: ignore[arg-type]
        done = build(store, spec, SOURCE, run=serial.run, part=part)
        assert done.samples == spec.plan.samples_of(part.shards(spec.plan))
        assert manifest.read_manifest(store) is None
    assert build(store, spec, SOURCE, run=serial.run, part=slices[1]).made == 0
    done = build(store, spec, SOURCE, run=serial.run)
    assert (done.samples, done.made) == (SAMPLES, 0)
    assert done.vouched == (0 if form.split()[0] in formats.LAYOUTS[1:] else SAMPLES)
    assert contents(store) == whole(spec)
    with pytest.raises(RequestError, match="is complete; the same command without `part`"):
        build(store, spec, SOURCE, run=serial.run, part=slices[0])


@each_form
def test_a_dataset_grows(form: str, store: Store) -> None:
    build(store, spec_of(form, 10), SOURCE, run=serial.run)
    build(store, spec_of(form), SOURCE, run=serial.run)
    assert contents(store) == whole(spec_of(form))
    with pytest.raises(RequestError, match="holds 17 samples, and 10 were asked for"):
        build(store, spec_of(form, 10), SOURCE, run=serial.run)


@pytest.mark.parametrize("form", ["png", "png masks", "webdataset", "webdataset masks"])
def test_names_are_as_long_as_the_last_one_needs(form: str) -> None:
    spec, store = replace(spec_of(form, 10**9 + 7), shard_size=1_000), MemoryStore()
    format_, shard = formats.get(spec.format), spec.plan[10**6]
    content = write(store, format_, spec, shard, composed(spec, SOURCE, shard.first, shard.stop))
    assert format_.measure(spec, shard, store) == content
    existing = [name for name, planned in format_.existing(spec, store) if planned]
    assert existing == list(format_.shard_names(spec, shard))
    (name, *_) = sorted(store.files)
    if spec.format == "webdataset":
        assert name == "1000000.tar"
        assert b"1000000006.png\0" in store.files[name]
        made = compose.compose(RECIPE, bank.load(SOURCE), shard.first, shard.stop, masks=spec.masks)
        assert made.first_difference(joined(list(format_.read(spec, shard, store.open)))) is None
    else:
        assert name == "images/1000000/1000000000.png"


def test_a_dataset_does_not_grow_out_of_its_names() -> None:
    store, spec = MemoryStore(), replace(spec_of("webdataset", 10**8), shard_size=10_000)
    manifest.write_spec(store, spec)
    with pytest.raises(RequestError, match="has names of 5 digits for shards and 8 for samples, and 100000001 samples"):
        build(store, replace(spec, samples=10**8 + 1), SOURCE, run=serial.run)


@each_form
def test_damage_is_named_and_repaired(form: str, store: Store) -> None:
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    for name in data_files(store, spec)[:: 1 + len(data_files(store, spec)) // 6]:
        for change in (
            lambda content: content[:-1],
            lambda content: content[:50] + bytes([content[50] ^ 8]) + content[51:],
        ):
            store.put(name, [change(contents(store)[name])])
            assert list(verify(store)) != [], name
            assert build(store, spec, SOURCE, run=serial.run).repaired
            assert contents(store) == whole(spec)
        store.remove(name)
        assert list(verify(store)) != [], name
        build(store, spec, SOURCE, run=serial.run)
        assert contents(store) == whole(spec)


@each_form
def test_every_value_in_the_manifest_is_checked(form: str) -> None:
    """Of shards that cannot be told apart any more there is no content in it that could be."""
    memory = MemoryStore()
    build(memory, spec_of(form), SOURCE, run=serial.run)
    whole = json.loads(memory.files["manifest.json"])
    for entry in (whole["shards"][1], *whole["files"].values(), whole):
        for name, value in entry.items():
            changed = {int: 77, str: "0" * 64, list: [1], dict: {"x": {"bytes": 1, "sha256": ""}}}[type(value)]
            entry[name] = changed
            memory.files["manifest.json"] = json.dumps(whole).encode()
            assert list(verify(memory)) != [], name
            entry[name] = value
    assert ("sha256" in whole["shards"][0]) == formats.get(spec_of(form).format).SEPARABLE


@each_form
def test_what_is_named_like_a_shard_and_is_none_is_named_and_removed(form: str, store: Store) -> None:
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    format_ = formats.get(spec.format)
    shard = spec.plan[0]._replace(number=7)
    stray = {"folders": "123/0_123.png"}.get(spec.format, *format_.shard_names(spec, shard)[-1:])
    if not stray:
        return
    is_folder = format_.SMALL_FILES and stray in format_.shard_names(spec, shard)
    store.put(f"{stray}/x" if is_folder else stray, [b"stray"])
    assert list(verify(store)) == [f"{stray} is none of the 4 shards of the plan"]
    build(store, spec, SOURCE, run=serial.run)
    assert contents(store) == whole(spec)


FOREIGN = {
    "png": ("x.png", "x.JPG", "images/x.webp", "images/zz/a.png", "train/0/0.png", "metadata.csv", "masks/1/1.png"),
    "folders": ("x.png", "zz/x", "zz/a.png", "LABEL/x.png", "LABEL/sub/a.png", "LABEL/0_9.jpg", "4444/1.png"),
    "flat": (
        "x.png",
        "x.JPG",
        "images/x.webp",
        "images/zz/a.png",
        "images/00000099.png",
        "metadata.csv",
        "masks/1.png",
    ),
    "webdataset": ("data-000099.tar", "x.tar.gz", "more/00000.tar"),
    "npz": ("x.npz", "more/dataset.npz"),
    "npy": ("mine.npy", "more/images.npy"),
    "idx": ("t10k-images-idx3-ubyte", "images-idx3-ubyte", "more/labels-idx1-ubyte.gz"),
    "torchmeta": ("val_data.hdf5", "more/train_data.hdf5"),
    "lmdb": ("x.mdb", "more/data.mdb"),
    "parquet": ("x.parquet", "data/train.parquet", "more/0.parquet"),
    "tfrecord": ("data-000099.tfrecord", "x.tfrecords", "more/00000.tfrecord"),
}
LITTER = (
    ".DS_Store",
    ".x.png",
    ".ipynb_checkpoints/a.png",
    "Thumbs.db",
    "labels.cache",
    "0.idx",
    "x.arrow",
    "notes.md",
)


@pytest.mark.parametrize("form", parameters(formats.FORMAT_NAMES))
def test_what_readers_would_take_for_samples_is_named_and_left_alone(form: str, store: Store) -> None:
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    first = read(store, spec).texts[0]
    for name in (*LITTER, f"{first}/.x.png", f"{first}/notes.txt") if form == "folders" else LITTER:
        store.put(name, [b"x"])
    assert list(foreign(store)) == []
    for name in (name.replace("LABEL", first) for name in FOREIGN[form]):
        store.put(name, [b"mine"])
        (line,) = foreign(store)
        named = line.partition(" is not of the dataset, and readers would take it for samples: remove ")[0]
        assert name.startswith(named)
        assert line.endswith(f" {store}/{named}, or move it away")
        assert list(verify(store)) == []
        assert build(store, spec, SOURCE, run=serial.run).made == 0
        assert contents(store)[name] == b"mine"
        store.remove(named)


@pytest.mark.parametrize("form", ["png", "png masks"])
def test_a_file_in_the_folder_of_a_shard_that_is_none_of_it_is_named_and_removed(form: str, store: Store) -> None:
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    for folder in formats.get("png").shard_names(spec, spec.plan[1]):
        for name in ("notes.txt", "00000001.png"):
            store.put(f"{folder}/{name}", [b"foreign"])
            (problem,) = verify(store)
            assert problem == f"{folder} holds '{name}', which is none of its samples"
            assert build(store, spec, SOURCE, run=serial.run).repaired
            assert contents(store) == whole(spec)


@each_form
def test_overwriting_leaves_nothing_of_the_old_one(form: str, store: Store) -> None:
    build(store, spec_of(form, 30), SOURCE, run=serial.run)
    other = replace(spec_of("webdataset" if form == "png" else "png"), samples=3)
    build(store, other, SOURCE, run=serial.run, overwrite=True)
    assert contents(store) == whole(other)
    folders = {entry.name for entry in store.list() if entry.kind == "folder"}
    assert folders == ({"images"} if other.format == "png" else set())
    assert all(any(store.list(entry.name)) for folder in folders for entry in store.list(folder))


@each_form
def test_samples_of_another_recipe_are_found_by_making_them_again(form: str, store: Store) -> None:
    """Sequences of several lengths: positions that a sample does not have are no reason not to look at the others."""
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    format_ = formats.get(spec.format)
    made = read(store, spec)
    x = made.x.copy()
    x[3, 0] += 1
    moved = replace(made, x=x)

    class Moved(type(format_)):  # type: ignore[misc]
        def read(self, spec: Spec, shard: Any, open_file: Any) -> Iterator[Batch]:
            yield moved.part(shard.first, shard.stop)

    formats.get.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnist_seq_cli.formats.get", lambda name: Moved())
        found = regenerate(store, shards=99)
    assert found == (4, ["shard 0: sample 3 is not what the recipe makes"])


@each_form
def test_what_a_killed_repair_has_recorded_goes_before_the_manifest(form: str, store: Store) -> None:
    """The journal is younger: it knows what a shard was repaired to, and the manifest what it was before."""
    spec = spec_of(form)
    build(store, spec, SOURCE, run=serial.run)
    content = contents(store)["manifest.json"]
    complete = manifest.read_manifest(store)
    assert complete is not None
    right = list(complete.records.values())
    wrong = [replace(record, sha256="0" * 64) for record in right]
    manifest.write_manifest(store, spec, wrong, {})  # by which no shard is sound
    Journal(store).begin(right)
    summary = build(store, spec, SOURCE, run=serial.run)
    waits = formats.get(spec.format).SEPARABLE is False  # parts of shards that are joined are gone with the old run
    assert summary.made == (SAMPLES if waits else 0)
    assert contents(store)["manifest.json"] == content


@each_form
def test_failures_are_told_and_the_others_are_kept(form: str, store: Store) -> None:
    spec = spec_of(form)

    def failing(work: Any, tasks: Any, stop: Any) -> Iterator[Any]:
        def spoiled(task: Any) -> Any:
            if task.shard.number == 1:
                raise ValueError("mine")
            return work(task)

        yield from serial.run(spoiled, tasks, stop)

    with pytest.raises(OutputError, match=r"1 of 4 shards failed, shard 1 \(5 to 9\) with: ValueError: mine; 12 of 17"):
        build(store, spec, SOURCE, run=failing)  # type: ignore[arg-type]
    assert build(store, spec, SOURCE, run=serial.run).made == SHARD_SIZE
    assert contents(store) == whole(spec)


def test_the_arrays_of_a_format_keep_their_types(store: Store) -> None:
    made = compose.compose(RECIPE, bank.load(SOURCE), 0, SAMPLES)
    for name in FORMATS:
        each = MemoryStore()
        build(each, spec_of(name), SOURCE, run=serial.run)
        found = read(each, spec_of(name))
        for part in ("images", "digits", "lengths", "glyphs", "x", "y", "boxes", "widths"):
            assert getattr(found, part).dtype == getattr(made, part).dtype
            assert np.array_equal(getattr(found, part), getattr(made, part))
