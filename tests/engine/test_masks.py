"""Masks: each pixel tells the position of its digit, in every format, for every reader, whatever happens to them."""

import gzip
import json
import os
import re
import shutil
import signal
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for, spec_for
from faulty import difference, fast_directory, tree
from forms import FORMATS, form
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import MaskedSample, Sample, SequenceDataset, formats, open_dataset
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset.manifest import read_spec
from mnist_seq_cli.dataset.shards import stream
from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError, Interrupted, RequestError
from mnist_seq_cli.formats.arrays import npz_file
from mnist_seq_cli.mnist.bank import Source, load
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.local import partial_name
from mnist_seq_cli.storage.location import open_store

Run = Callable[..., Any]

SAMPLES, SHARD_SIZE = 50, 20
SOURCE = Source("train")
OVERLAPPING = recipe_for(seed=11, length=((2, 1), (3, 1)), min_gap=-14, max_gap=2, jitter_y=4)
WITH_MASKS = tuple(name for name in FORMATS if formats.get(name).MASKS)

each_format = pytest.mark.parametrize("name", WITH_MASKS)


def spec_of(name: str, recipe: Recipe = OVERLAPPING, samples: int = SAMPLES) -> Spec:
    compression = formats.get(name).COMPRESSION
    return Spec(recipe=recipe, samples=samples, format=name, compression=compression, shard_size=SHARD_SIZE, masks=True)


def slow_masks(batch: Batch, invert: bool = False) -> list[list[list[int]]]:
    """Masks by plain loops over the glyphs of MNIST and the places that the batch names; and that they are the ink."""
    glyphs, masks = load(SOURCE), []
    _, height, width = batch.images.shape
    for row in range(len(batch)):
        mask, darkest = ([[0] * width for _ in range(height)] for _ in range(2))
        for position in range(batch.lengths[row]):
            ink = glyphs.images(batch.glyphs[row, position : position + 1])[0].tolist()
            left, top = int(batch.x[row, position]), int(batch.y[row, position])
            for down, line in enumerate(ink):
                for right, value in enumerate(line):
                    if value > darkest[top + down][left + right]:
                        darkest[top + down][left + right] = value
                        mask[top + down][left + right] = position + 1
        shown = batch.images[row].tolist()
        assert darkest == (shown if invert else [[255 - value for value in line] for line in shown])
        masks.append(mask)
    return masks


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with fast_directory() as directory:
        monkeypatch.chdir(directory)
        yield directory


# What they are


@pytest.mark.parametrize("invert", [False, True])
def test_masks_are_what_a_slow_loop_says(invert: bool) -> None:
    for recipe in (recipe_for(seed=4, length=3, max_gap=5), OVERLAPPING):
        batch = compose(replace(recipe, invert=invert), load(SOURCE), 30, 60, masks=True)
        assert batch.masks is not None
        assert (batch.masks.dtype, batch.masks.shape) == (np.uint8, batch.images.shape)
        assert batch.masks.tolist() == slow_masks(batch, invert)


def test_what_is_under_the_digits_and_how_dark_they_are_changes_no_mask() -> None:
    plain = compose(OVERLAPPING, load(SOURCE), 0, 40, masks=True)
    assert plain.masks is not None
    for looks in ({"contrast": (20, 60)}, {"paper": "grain"}, {"paper": "gradient"}, {"noise": 40}, {"invert": True}):
        other = compose(replace(OVERLAPPING, **looks), load(SOURCE), 0, 40, masks=True)
        assert other.masks is not None
        assert (other.images != plain.images).any(), looks
        np.testing.assert_array_equal(other.masks, plain.masks, str(looks))


@pytest.mark.parametrize("looks", [{}, {"slant": (-20, 20), "crop": "tight", "min_gap": -5}, {"width": "fit"}], ids=str)
def test_neither_the_batch_nor_being_asked_for_changes_anything(looks: dict[str, Any]) -> None:
    recipe = recipe_for(**{"seed": 3, "length": 4, "max_gap": 5, **looks})
    whole = compose(recipe, load(SOURCE), 0, 600, masks=True)
    without = compose(recipe, load(SOURCE), 0, 600)
    assert without.masks is None
    assert whole.first_difference(without) is None
    for first, stop in ((0, 1), (255, 258), (511, 600)):
        part = compose(recipe, load(SOURCE), first, stop, masks=True)
        cut = whole.part(first, stop)
        assert cut.first == first
        assert part.first_difference(cut) is None
        assert cut.masks is not None
        np.testing.assert_array_equal(part.masks, cut.masks)


def test_a_difference_in_a_mask_is_a_difference() -> None:
    one, other = (compose(OVERLAPPING, load(SOURCE), 5, 15, masks=True) for _ in range(2))
    assert one.first_difference(other) is None
    assert other.masks is not None
    other.masks[3, 20, 20] ^= 1
    assert one.first_difference(other) == 8
    assert one.first_difference(replace(other, masks=None)) is None


def test_a_mask_has_room_for_255_digits() -> None:
    recipe = recipe_for(seed=1, length=255)
    masks = compose(recipe, load(SOURCE), 0, 1, masks=True).masks
    assert masks is not None
    assert sorted(set(masks.ravel().tolist())) == list(range(256))
    longer = recipe_for(seed=1, length=256)
    message = "masks tell digits apart by a byte, and sequences have up to 256 digits; 255 at most, or no masks"
    for asked in (
        lambda: compose(longer, load(SOURCE), 0, 1, masks=True),
        lambda: SequenceDataset(length=256, masks=True),
        lambda: SequenceDataset.from_recipe(longer, masks=True),
        lambda: spec_for(Path("out"), samples=3, source=SOURCE, length=256, masks=True),
    ):
        with pytest.raises(RequestError) as caught:
            asked()
        assert str(caught.value) == message


# In Python


def test_samples_have_their_mask_where_it_is_asked_for() -> None:
    plain = SequenceDataset(length=4, seed=7, max_gap=6, width="fit", samples=300)
    data = SequenceDataset(length=4, seed=7, max_gap=6, width="fit", samples=300, masks=True)
    assert (plain.masks, data.masks, data[10:20].masks) == (False, True, True)
    batch = data.batch(0, 300)
    assert batch.masks is not None
    assert plain.batch(0, 300).masks is None
    for sample in (data[17], data[3:60:2][7], list(data)[17]):
        assert type(sample) is MaskedSample
        assert sample.number == 17
        assert sample.mask.shape == sample.image.shape
        assert sample.image.shape[1] < batch.images.shape[2]
        np.testing.assert_array_equal(sample.mask, batch.masks[17, :, : sample.image.shape[1]])
        np.testing.assert_equal(tuple(sample)[:-1], tuple(plain[17]))
        assert sample.label == plain[17].label
    assert MaskedSample._fields == (*Sample._fields, "mask")
    assert type(plain[17]) is Sample
    np.testing.assert_array_equal(data[3:60:2].batch(5, 9).masks, batch.masks[13:21:2])
    empty = data.batch(5, 5).masks
    assert empty is not None
    assert empty.shape == (0, *batch.images.shape[1:])


@each_format
def test_a_dataset_on_disk_gives_the_same(name: str) -> None:
    dataset.build(Path("out"), spec_of(name), SOURCE, workers=1)
    stored, fresh = (
        open_dataset("out"),
        SequenceDataset.from_recipe(OVERLAPPING, samples=SAMPLES, masks=True),
    )
    assert stored.masks
    for first, stop in ((0, SAMPLES), (19, 21), (35, 50), (20, 20)):
        one, other = stored.batch(first, stop), fresh.batch(first, stop)
        assert one.first_difference(other) is None
        np.testing.assert_array_equal(one.masks, other.masks, strict=True)
    for number in (0, 19, 20, 49):
        np.testing.assert_equal(tuple(stored[number]), tuple(fresh[number]))


# On disk


def read_png_folder(directory: Path) -> list[Any]:
    rows = [json.loads(line) for line in (directory / "metadata.jsonl").read_text().splitlines()]
    names = [row["mask_file_name"] for row in rows]
    assert names == [row["file_name"].replace("images/", "masks/") for row in rows]
    assert all(list(row)[:3] == ["file_name", "mask_file_name", "text"] for row in rows)
    assert names == sorted(str(path.relative_to(directory)) for path in directory.glob("masks/**/*.png"))
    masks = []
    for name in names:
        with Image.open(directory / name) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            masks.append(np.array(image))
    return masks


def read_tars(directory: Path) -> list[Any]:
    masks: list[Any] = []
    for path in sorted(directory.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert len(members) % 3 == 0
            for place in range(0, len(members), 3):
                key = f"{len(masks):08d}"
                names = [member.name for member in members[place : place + 3]]
                assert names == [f"{key}.png", f"{key}.json", f"{key}.mask.png"]
                content = tar.extractfile(members[place + 2])
                assert content is not None
                masks.append(np.array(Image.open(content)))
    return masks


def read_npz(directory: Path) -> Any:
    with np.load(directory / "dataset.npz", allow_pickle=False) as arrays:
        assert (arrays.files[0], arrays.files[-1], arrays["masks"].dtype) == ("images", "masks", np.uint8)
        return arrays["masks"]


def read_idx_files(directory: Path) -> NDArray[Any]:
    content = gzip.decompress((directory / "masks-idx3-ubyte.gz").read_bytes())
    zero, kind, dimensions, *shape = struct.unpack_from(">HBBIII", content)
    assert (zero, kind, dimensions) == (0, 8, 3)
    return np.frombuffer(content, np.uint8, offset=16).reshape(shape)


READERS: dict[str, Callable[[Path], Any]] = {
    "png": read_png_folder,
    "flat": read_png_folder,
    "webdataset": read_tars,
    "npz": read_npz,
    "idx": read_idx_files,
    "npy": lambda directory: np.load(directory / "masks.npy", mmap_mode="r"),
    "lmdb": lambda directory: [sample.mask for sample in open_dataset(directory)],
    "parquet": lambda directory: [sample.mask for sample in open_dataset(directory)],
    "tfrecord": lambda directory: [sample.mask for sample in open_dataset(directory)],
}


def test_all_formats_but_folders_have_masks() -> None:
    assert READERS.keys() >= set(WITH_MASKS) == set(FORMATS) - {"folders", "torchmeta"}


@each_format
def test_others_read_what_the_slow_loop_says(name: str) -> None:
    dataset.build(Path("out"), spec_of(name), SOURCE, workers=1)
    batch = compose(OVERLAPPING, load(SOURCE), 0, SAMPLES)
    assert np.stack(list(READERS[name](Path("out")))).tolist() == slow_masks(batch)
    assert list(formats.get(name).read_texts(spec_of(name), open_store("out").open)) == [
        "".join(map(str, row[:length])) for row, length in zip(batch.digits.tolist(), batch.lengths, strict=True)
    ]


@pytest.mark.parametrize("name", ["png", "webdataset"])
def test_a_mask_is_as_wide_as_its_image(name: str, mnistseq: Run) -> None:
    asked = ("-n", "30", "--len", "1-4", "--max", "9", "--width", "fit", "--masks", *form(name))
    assert mnistseq("dataset", *asked, "--seed", "6", "-o", "out").code == 0
    masks = READERS[name](Path("out"))
    stored = open_dataset("out")
    assert len({mask.shape for mask in masks}) > 5
    assert [mask.shape for mask in masks] == [sample.image.shape for sample in stored]
    assert mnistseq("inspect", "out", "--verify", "--regenerate", "3").code == 0


@each_format
def test_nothing_else_is_changed_by_them(name: str, mnistseq: Run) -> None:
    asked = ("dataset", "-n", "50", "--len", "2", "--seed", "6", "--shard-size", "20", *form(name))
    assert mnistseq(*asked, "-o", "plain").code == 0
    assert mnistseq(*asked, "--masks", "-o", "masked").code == 0
    one, other = open_dataset("plain"), open_dataset("masked")
    assert one.batch(0, 50).first_difference(other.batch(0, 50)) is None
    assert "masks" not in json.loads(Path("plain/recipe.json").read_text())
    assert json.loads(Path("masked/recipe.json").read_text())["masks"] is True
    plain, masked = tree(Path("plain")), tree(Path("masked"))
    if name in ("png", "idx"):
        changed = {
            "README.md",
            "croissant.json",
            "recipe.json",
            "manifest.json",
            *(["metadata.jsonl"] if name == "png" else []),
        }
        assert {entry for entry in difference(plain, masked) if not entry.startswith("masks")} == changed


@each_format
def test_workers_shards_and_growth_change_no_byte(name: str, mnistseq: Run) -> None:
    asked = ("dataset", "--len", "2", "--min", "-9", "--seed", "6", "--masks", *form(name))
    for output, options in {
        "one": ("-n", "50", "--workers", "1", "--shard-size", "20"),
        "two": ("-n", "50", "--workers", "2", "--shard-size", "20"),
        "other": ("-n", "50", "--shard-size", "7"),
        "grown": ("-n", "30", "--shard-size", "20"),
    }.items():
        assert mnistseq(*asked, *options, "-o", output).code == 0
    assert mnistseq(*asked, "-n", "50", "-o", "grown").code == 0
    assert tree(Path("one")) == tree(Path("two")) == tree(Path("grown"))
    one, other = READERS[name](Path("one")), READERS[name](Path("other"))
    assert all(map(np.array_equal, one, other))
    assert mnistseq(*asked, "-n", "50", "--shard-size", "20", "--overwrite", "-o", "other").code == 0
    assert tree(Path("other")) == tree(Path("one"))


def test_a_stream_has_them_too(mnistseq: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    spec = spec_of("webdataset")
    Path("stream").mkdir()
    Path("stream/00000.tar").write_bytes(b"".join(stream(spec, SOURCE)))
    assert np.stack(read_tars(Path("stream"))).tolist() == slow_masks(compose(OVERLAPPING, load(SOURCE), 0, SAMPLES))


# What happens to them

ASKED = (
    "dataset",
    "-n",
    "50",
    "--len",
    "2",
    "--min",
    "-9",
    "--seed",
    "6",
    "--masks",
    "--shard-size",
    "20",
    "-o",
    "out",
)


@pytest.fixture
def whole(mnistseq: Run) -> dict[str, object]:
    """The tree of a png dataset, which is in out/."""
    assert mnistseq(*ASKED).code == 0
    return tree(Path("out"))


MASK = Path("out/masks/00001/00000027.png")
DAMAGE: dict[str, tuple[Callable[[], Any], str]] = {
    "a byte": (lambda: MASK.write_bytes(MASK.read_bytes()[:50] + b"x" + MASK.read_bytes()[51:]), "its content is not"),
    "a byte short": (lambda: MASK.write_bytes(MASK.read_bytes()[:-1]), "40 files, "),
    "empty": (lambda: MASK.write_bytes(b""), "40 files, "),
    "gone": (lambda: MASK.unlink(), "39 files, "),
    "its folder gone": (lambda: shutil.rmtree(MASK.parent), "No such file"),
    "swapped": (lambda: (os.link(MASK, "x"), MASK.with_name("00000028.png").replace(MASK)), "39 files, "),
    "another file": (lambda: Path(MASK.parent, "x.png").touch(), "masks/00001 holds 'x.png', which is none of"),
    "a link": (lambda: (MASK.replace("x.png"), MASK.symlink_to(Path("x.png").absolute())), "which is none of its"),
    "a stray shard": (lambda: Path("out/masks/00009").mkdir(), "masks/00009 is none of the 3 shards of the plan"),
    "all gone": (lambda: shutil.rmtree("out/masks"), "No such file"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_repaired(kind: str, whole: dict[str, object], mnistseq: Run) -> None:
    damage, said = DAMAGE[kind]
    damage()
    done = mnistseq("inspect", "out", "--verify")
    assert done.code == 1
    assert said in done.err
    assert done.err.count("mnistseq: ") == (3 if kind == "all gone" else 1)
    if kind not in ("a stray shard", "all gone"):
        assert re.match(r"mnistseq: (images/00001 and masks/00001: |masks/00001[: ])", done.err)
    assert mnistseq(*ASKED).code == 0
    assert difference(tree(Path("out")), whole) == []


def test_one_that_is_not_of_its_sample_is_found_by_the_recipe(mnistseq: Run) -> None:
    recipe = recipe_for(seed=4, length=3, max_gap=5)
    for name in ("png", "npz"):
        dataset.build(Path(name), spec_of(name, recipe), SOURCE, workers=1)
        assert mnistseq("inspect", name, "--regenerate", "9").code == 0
    shutil.copy("png/masks/00002/00000045.png", "png/masks/00002/00000044.png")
    member = npz_file.layout(spec_of("npz", recipe))[-1]
    with Path("npz/dataset.npz").open("r+b") as file:
        file.seek(member.start + 44 * member.row_bytes)
        file.write(b"\x01")
    for name in ("png", "npz"):
        done = mnistseq("inspect", name, "--regenerate", "9")
        assert (done.code, "shard 2: sample 44 is not what the recipe makes" in done.err) == (1, True)


@pytest.mark.parametrize(("shape", "value"), [((36, 40), 1), ((36, 88), 4), ((35, 88), 1)])
@pytest.mark.parametrize("name", ["png", "webdataset"])
def test_a_mask_that_cannot_be_is_not_given_out(name: str, shape: tuple[int, int], value: int, mnistseq: Run) -> None:
    spec = spec_of(name, samples=5)
    dataset.build(Path("out"), spec, SOURCE, workers=1)
    batch = open_dataset("out").batch(0, 5)
    assert batch.images.shape == (5, 36, 88)
    bad = replace(batch, masks=np.full((5, *shape), value, np.uint8))
    if name == "png":
        Path("out/masks/00000/00000000.png").write_bytes(png.encode(bad.masks)[0])
    else:
        shown = replace(compose(spec.recipe, load(SOURCE), 0, 5), masks=bad.masks)
        Path("out/00000.tar").write_bytes(b"".join(formats.get(name).stream(spec, [shown])))
    with pytest.raises(FormatError, match=r"the mask of sample 0 does not fit|is not what the recipe makes"):
        open_dataset("out")[0]
    done = mnistseq("inspect", "out", "--regenerate", "1")
    assert (done.code, done.err.count("\n")) == (1, 1)


def test_arrays_of_masks_that_cannot_be_are_not_given_out() -> None:
    dataset.build(Path("out"), spec_of("npz"), SOURCE, workers=1)
    member = npz_file.layout(spec_of("npz"))[-1]
    with Path("out/dataset.npz").open("r+b") as file:
        file.seek(member.start + 3 * member.row_bytes)
        file.write(b"\x04")
    open_dataset("out")[2]
    with pytest.raises(FormatError, match=r"dataset\.npz has labels that masks do not fit"):
        open_dataset("out")[3]


@pytest.mark.parametrize("change", [("masks/00000/00000000", "masks/00000/00000001"), ('"mask_file_name"', '"mask"')])
def test_a_row_with_another_mask_is_told(change: tuple[str, str], whole: dict[str, object]) -> None:
    path = Path("out/metadata.jsonl")
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(FormatError, match=r"metadata\.jsonl has no row of images/00000/00000000\.png|is not as we"):
        open_dataset("out")[0]


def test_a_tar_file_without_them_is_not_taken_for_one_with_them(mnistseq: Run) -> None:
    spec = spec_of("webdataset")
    dataset.build(Path("out"), replace(spec, masks=False), SOURCE, workers=1)
    Path("out/recipe.json").write_text(json.dumps(spec.to_json()))
    with pytest.raises(FormatError, match=r"00000\.tar holds 40 files, and its samples have 60"):
        open_dataset("out")[0]
    with pytest.raises(FormatError, match=r"00000\.tar has no sample 0 where it should be"):
        list(formats.get("webdataset").read_texts(spec, open_store("out").open))


def test_asked_to_stop_a_run_is_finished_by_the_same_command(mnistseq: Run) -> None:
    """A signal comes in the middle of each format's run; what is there then is sound, and the rest follows."""
    for name in WITH_MASKS:
        asked = (*ASKED[:-1], name, *form(name))
        assert mnistseq(*asked[:-3], f"{name}-whole", *asked[-2:]).code == 0

        def stopped(settled: Any) -> Any:
            for shard in settled:
                os.kill(os.getpid(), signal.SIGINT)
                yield shard

        seen = read_spec(Path(f"{name}-whole"))
        assert seen is not None
        with pytest.raises(Interrupted, match="stopped with 20 of 50 samples done"):
            dataset.build(Path(name), seen, SOURCE, workers=1, watch=stopped)
        assert not Path(name, "manifest.json").exists()
        assert mnistseq(*asked).code == 0
        assert difference(tree(Path(name)), tree(Path(f"{name}-whole"))) == []


# What is asked for


def test_a_dataset_without_them_is_another_one(mnistseq: Run) -> None:
    assert mnistseq(*ASKED).code == 0
    before = tree(Path("out"))
    without = [word for word in ASKED if word != "--masks"]
    done = mnistseq(*without)
    message = (
        "out holds another dataset: masks false instead of true; --overwrite starts over, or choose another directory"
    )
    assert done == (2, "", f"mnistseq: {message}\n")
    assert tree(Path("out")) == before
    assert mnistseq(*without, "--overwrite").code == 0
    assert not Path("out/masks").exists()
    done = mnistseq(*ASKED)
    assert (done.code, "masks true instead of false" in done.err) == (2, True)
    assert mnistseq(*ASKED, "--overwrite").code == 0
    assert tree(Path("out")) == before


def test_what_is_not_ours_is_not_touched(mnistseq: Run) -> None:
    Path("out/masks/00000").mkdir(parents=True)
    Path("out/masks/00000/mine").touch()
    done = mnistseq(*ASKED, "--overwrite")
    assert (done.code, "'masks/00000' is in the way" in done.err) == (2, True)
    assert mnistseq(*[word for word in ASKED if word != "--masks"], "--overwrite").code == 0
    assert Path("out/masks/00000/mine").exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_stands_in_their_place_is_told_before_work_starts(kind: str, mnistseq: Run) -> None:
    Path("out").mkdir()
    Path("elsewhere").mkdir()
    Path("out/masks").symlink_to(Path("elsewhere").absolute()) if kind == "link" else Path("out/masks").touch()
    done = mnistseq(*ASKED)
    assert done.code == 2
    assert "out/masks is a " in done.err
    assert list(Path("out").iterdir()) == [Path("out/masks")]
    assert list(Path("elsewhere").iterdir()) == []


def test_folders_of_labels_have_no_place_for_them(mnistseq: Run) -> None:
    done = mnistseq(*ASKED, "--layout", "folders")
    message = "--layout folders cannot hold masks: its readers take every folder for a label; "
    assert done == (2, "", f"mnistseq: {message}leave --masks out, or take --layout shards\n")
    assert mnistseq("dataset", "--preset", "double-mnist", "-n", "9", "--masks", "-o", "double").code == 2
    assert not Path("out").exists()
    done = mnistseq("dataset", "--preset", "double-mnist", "-n", "9", "--masks", "--layout", "shards", "-o", "double")
    assert done.code == 0
    assert open_dataset("double").masks


def test_a_recipe_that_asks_folders_for_them_is_no_dataset(mnistseq: Run) -> None:
    without = [word for word in ASKED if word != "--masks"]
    assert mnistseq(*without, "--layout", "folders").code == 0
    spec = read_spec(Path("out"))
    assert spec is not None
    Path("out/recipe.json").write_text(json.dumps(replace(spec, masks=True).to_json()))
    with pytest.raises(FormatError):
        open_dataset("out")[0]
    assert mnistseq("inspect", "out", "--regenerate", "1").code == 1


def test_a_recipe_file_keeps_them(mnistseq: Run, whole: dict[str, object]) -> None:
    assert mnistseq("dataset", "--recipe", "out/recipe.json", "-o", "again").code == 0
    assert tree(Path("again")) == whole
    assert mnistseq("dataset", "--recipe", "out/recipe.json", "--format", "npz", "-o", "npz").code == 0
    assert open_dataset("npz").masks
    Path("mine.toml").write_text("length = 2\nsamples = 9\nmasks = true\nseed = 4\n")
    assert mnistseq("dataset", "--recipe", "mine.toml", "-o", "mine").code == 0
    assert len(open_dataset("mine")) == 9
    assert open_dataset("mine").masks
    Path("none.toml").write_text("length = 2\nsamples = 9\nseed = 4\n")
    assert mnistseq("dataset", "--recipe", "none.toml", "--masks", "-o", "mine").code == 0
    Path("none.toml").write_text("length = 2\nmasks = 1\n")
    done = mnistseq("dataset", "--recipe", "none.toml", "-o", "bad")
    assert (done.code, "masks = 1, which should be of type bool" in done.err) == (2, True)


@pytest.mark.parametrize("masks", [1, "true", None, []])
def test_a_recipe_json_says_it_with_a_truth_value(masks: object) -> None:
    with pytest.raises(FormatError, match="which should be of type bool"):
        Spec.from_json({**spec_of("png").to_json(), "masks": masks})
    assert Spec.from_json(spec_of("png").to_json()) == spec_of("png")
    assert Spec.from_json(replace(spec_of("png"), masks=False).to_json()) == replace(spec_of("png"), masks=False)


def test_splits_have_them(mnistseq: Run) -> None:
    asked = (
        "dataset",
        "--split",
        "train=30",
        "--split",
        "test=10",
        "--len",
        "2",
        "--seed",
        "1",
        "--masks",
        "-o",
        "out",
    )
    done = mnistseq(*asked)
    assert done.code == 0
    assert done.err.startswith("out: 40 strips and masks (train 30, test 10), ")
    before = tree(Path("out"))
    for name in ("train", "test"):
        assert open_dataset(f"out/{name}").masks
        shutil.rmtree(f"out/{name}/masks")
    assert mnistseq(*asked).code == 0
    assert tree(Path("out")) == before
    assert len(mnistseq("decode", "out").out.splitlines()) == 40


# Who looks at the dataset


def test_they_are_told_of_and_taken_for_no_strips(mnistseq: Run, whole: dict[str, object]) -> None:
    report = json.loads(mnistseq("inspect", "out", "--json").out)
    assert (report["masks"], report["samples"], report["ink"]["samples"]) == (True, 50, 50)
    assert report["command"].endswith(" --shard-size 20 --masks -o again/")
    assert "one for each strip" in mnistseq("inspect", "out").out
    assert mnistseq(*ASKED).err.startswith("out: 50 strips and masks, ")
    done = mnistseq("decode", "out", "--min-confidence", "0")
    read = [line.split("\t")[0] for line in done.out.splitlines()]
    assert read == [f"out/images/{number // 20:05d}/{number:08d}.png" for number in range(50)]
    done = mnistseq("inspect", "out/masks/00001")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mnistseq: out/masks/00001 holds masks, and no strips; the strips are in ")
    assert mnistseq("inspect", "out/masks/00001/00000020.png").code == 0
    assert json.loads(mnistseq("inspect", "out/images/00001", "--json").out)["samples"] == 20
    assert mnistseq("inspect", "out", "--against", "out", "--json").code == 1
    assert mnistseq("inspect", "out", "--index", "7", "--html", "x.html").code == 0


@each_format
def test_other_forms_are_told_of_too(name: str, mnistseq: Run) -> None:
    asked = ("dataset", "-n", "30", "--len", "2", "--seed", "6", "--masks", *form(name), "-o", "out")
    assert mnistseq(*asked).code == 0
    labels = [sample.label for sample in open_dataset("out")]
    assert [line.split("\t")[1] for line in mnistseq("decode", "out").out.splitlines()] == labels
    report = json.loads(mnistseq("inspect", "out", "--json").out)
    assert (report["masks"], report["ink"]["samples"], report["ink"]["unreadable"]) == (True, 30, 0)
    shard = {"webdataset": "out/00000.tar", "npz": "out/dataset.npz"}.get(name)
    if shard:
        report = json.loads(mnistseq("inspect", shard, "--json").out)
        assert (report["samples"], report["labelled"], report["ink"]["samples"]) == (30, 30, 30)


@pytest.mark.parametrize("lost", ["recipe.json", "nothing"])
def test_lost_labels_come_back_with_the_names_of_masks(lost: str, mnistseq: Run) -> None:
    asked = ("dataset", "-n", "50", "--len", "2-4", "--max", "7", "--seed", "8", "--shard-size", "20", "--masks")
    assert mnistseq(*asked, "-o", "out").code == 0
    before = tree(Path("out"))
    for name in ("labels.csv", "metadata.jsonl", lost):
        Path("out", name).unlink(missing_ok=True)
    assert mnistseq("decode", "out", "--repair-labels").code == 0
    assert difference(tree(Path("out")), before) == (["recipe.json"] if lost == "recipe.json" else [])


# Single images


def test_generate_writes_a_mask_beside_each_image(mnistseq: Run) -> None:
    asked = ("generate", "1-2", "3-4-5", "--min", "-9", "--seed", "6", "--count", "2")
    done = mnistseq(*asked, "--masks", "-o", "some")
    stems = ["1-2_0", "1-2_1", "3-4-5_0", "3-4-5_1"]
    assert done.code == 0
    assert done.out.splitlines() == [f"some/{stem}{end}" for stem in stems for end in (".png", ".mask.png")]
    for number, stem in enumerate(stems):
        recipe = recipe_for(seed=6, sequences=[tuple(map(int, stem[:-2].split("-")))], min_gap=-9)
        batch = compose(recipe, load(SOURCE), number, number + 1)
        with Image.open(f"some/{stem}.mask.png") as image:
            assert (image.mode, [np.asarray(image).tolist()]) == ("L", slow_masks(batch))
    assert mnistseq(*asked, "-o", "plain").code == 0
    assert {name: content for name, content in tree(Path("some")).items() if ".mask." not in name} == tree(
        Path("plain")
    )
    assert json.loads(mnistseq("inspect", "some", "--json").out)["labelled"] == 4
    read = [line.split("\t")[0] for line in mnistseq("decode", "some").out.splitlines()]
    assert read == [f"some/{stem}.png" for stem in stems]


def test_the_mask_of_one_image_has_its_name(mnistseq: Run) -> None:
    done = mnistseq("generate", "1-2", "--masks", "--width", "fit", "--max", "9", "-o", "x.png")
    assert done.out == "x.png\nx.mask.png\n"
    with Image.open("x.png") as image, Image.open("x.mask.png") as mask:
        assert image.size == mask.size
        assert sorted(set(np.asarray(mask).ravel().tolist())) == [0, 1, 2]


def test_masks_that_generate_cannot_write_are_refused_before_anything_is(mnistseq: Run) -> None:
    done = mnistseq("generate", "1-2", "--masks", "-o", "-")
    message = "an image and its mask are two files, and do not go to stdout; give a file with -o"
    assert done == (2, "", f"mnistseq: {message}\n")
    done = mnistseq("generate", "1-2", "1" * 300, "--masks", "-o", "some")
    assert (done.code, done.out, "255 at most" in done.err) == (2, "", True)
    room = 255 - len(partial_name(Path("x")).name)
    name = "-".join("1" * ((room - 3) // 2))  # which has room for .png, but not for .mask.png
    assert mnistseq("generate", name, "-o", "some").code == 0
    assert mnistseq("generate", name, "--masks", "-o", "other").code == 2
    assert not Path("other").exists()
