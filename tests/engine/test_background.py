"""Paper of one's own: each strip lies on a part of a picture, which the recipe knows by its grey levels."""

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from asked import recipe_for, spec_for
from faulty import tree
from forms import UNLIKE_FORMATS, form
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.codecs import image_file, png
from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.engine import glyphs
from mnist_seq_cli.engine.compose import annotate, compose
from mnist_seq_cli.errors import FormatError, OutputError, RequestError
from mnist_seq_cli.mnist.background_image import BackgroundImage, read
from mnist_seq_cli.mnist.bank import Source, find, load
from mnist_seq_cli.recipe.recipe import Recipe

Run = Callable[..., Any]
BANK = load(Source("train"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(path: str, height: int = 90, width: int = 200, seed: int = 1) -> NDArray[np.uint8]:
    """Write a picture of random levels, some of them black, and return them."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return levels


def on_paper(**wanted: Any) -> SequenceDataset:
    return SequenceDataset(**{"length": 2, "seed": 3, "paper": "scan.png", **wanted})


# What it does to strips


def slowly(plain: NDArray[np.uint8], levels: NDArray[np.uint8], seed: int, sample: int) -> NDArray[np.uint8]:
    """Lay a strip on its part of a picture, pixel by pixel."""
    height, width = plain.shape
    corner = []
    for word, there, size in zip(reference.words(seed, "paper", sample, 2), levels.shape, plain.shape, strict=False):
        corner.append(reference.below(word, there - size + 1 if there >= size else there))
    laid = np.empty_like(plain)
    for row in range(height):
        for column in range(width):
            level = int(levels[(corner[0] + row) % levels.shape[0], (corner[1] + column) % levels.shape[1]])
            laid[row, column] = (int(plain[row, column]) * level + 127) // 255
    return laid


@pytest.mark.parametrize("size", [(90, 200), (28, 56), (30, 9), (5, 90), (1, 1), (27, 57)], ids=str)
def test_ink_multiplies_onto_the_part_of_the_picture_that_was_drawn(size: tuple[int, int]) -> None:
    levels = draw("scan.png", *size)
    plain, laid = on_paper(paper="plain"), on_paper()
    for sample in (0, 1, 2, 12_345):
        np.testing.assert_array_equal(laid[sample].image, slowly(plain[sample].image, levels, 3, sample))
    inverted = on_paper(invert=True)[7].image
    np.testing.assert_array_equal(inverted, 255 - laid[7].image)


def test_noise_is_over_the_paper_and_contrast_under_it() -> None:
    levels = draw("scan.png")
    looks: dict[str, Any] = {"contrast": (40, 60), "noise": 9}
    pale = on_paper(paper="plain", contrast=(40, 60))[5].image
    expected = slowly(pale, levels, 3, 5).astype(int)
    noisy = on_paper(**looks)[5].image
    assert 0 < np.abs(noisy - expected).max() <= 9


def test_every_place_of_the_picture_is_as_likely() -> None:
    Image.fromarray(np.tile(np.arange(60, 160, dtype=np.uint8), (40, 1))).save("scan.png")
    images = on_paper(length=1, margin=2).batch(0, 5_000).images
    places = images[:, 0, 0].astype(int) - 60
    counts = np.bincount(places)
    assert len(counts) == 100 - 32 + 1  # the picture is large enough not to be repeated
    expected = counts.sum() / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < 111.1  # chi-square, 68 degrees of freedom, p = 0.001


def test_any_batch_is_the_same_and_nothing_else_moves() -> None:
    draw("scan.png", 20, 300)
    wanted: dict[str, Any] = {"length": "1-3", "height": 40, "width": 120, "align": "random", "jitter_y": 3}
    data, plain = on_paper(**wanted), on_paper(**{**wanted, "paper": "plain"})
    whole = data.batch(0, 60)
    for cut in (1, 17, 59):
        parts = [data.batch(0, cut), data.batch(cut, 60)]
        np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    assert annotate(data.recipe, BANK, 0, 60).boxes.tolist() == whole.boxes.tolist()
    for name in ("digits", "glyphs", "x", "y", "boxes"):
        np.testing.assert_array_equal(getattr(plain.batch(0, 60), name), getattr(whole, name))
    fit = on_paper(length="1-3", width="fit")
    assert len({fit[number].image.shape for number in range(20)}) > 1
    assert (fit.batch(0, 20).images[:, :, -1] != 255).any()


FITTED: dict[str, Any] = {"length": "1-6", "width": "fit", "max_gap": 5}


@pytest.mark.parametrize("size", [(90, 400), (40, 60), (5, 9)], ids=str)
def test_each_image_as_wide_as_its_strip_has_a_part_of_the_picture_that_is_as_wide(size: tuple[int, int]) -> None:
    levels = draw("scan.png", *size)
    plain, laid = on_paper(**FITTED, paper="plain"), on_paper(**FITTED)
    for sample in range(12):
        np.testing.assert_array_equal(laid[sample].image, slowly(plain[sample].image, levels, 3, sample))
    assert len({laid[sample].image.shape for sample in range(12)}) > 3


@pytest.mark.parametrize("wanted", [FITTED, {"length": 3}, {**FITTED, "slant": (-20, 20), "margin": 3}], ids=str)
def test_a_gradient_runs_to_the_corners_of_the_image_that_is_kept(wanted: dict[str, Any]) -> None:
    plain, graded = (SequenceDataset(**wanted, seed=3, paper=paper) for paper in ("plain", "gradient"))
    for sample in range(12):
        corners = [reference.below(word, 97) for word in reference.words(3, "paper", sample, 4)]
        image, expected = graded[sample].image, plain[sample].image.astype(int)
        across, down = image.shape[1] - 1, image.shape[0] - 1
        for row, column in np.ndindex(image.shape):
            top, bottom = (corners[at] * (across - column) + corners[at + 1] * column for at in (0, 2))
            darkness = (top * (down - row) + bottom * row) // (across * down)
            expected[row, column] = (expected[row, column] * (255 - darkness) + 127) // 255
        np.testing.assert_array_equal(image, expected)
        if wanted is FITTED:
            assert [255 - int(image[row, column]) for row in (0, -1) for column in (0, -1)] == corners


def test_it_travels_to_other_processes_without_its_pixels() -> None:
    draw("scan.png", 900, 900)
    data = on_paper()
    packed = pickle.dumps(data)
    assert len(packed) < 2_000
    np.testing.assert_array_equal(pickle.loads(packed)[4].image, data[4].image)


# What it is known by


def test_a_picture_is_known_by_its_grey_levels_alone() -> None:
    levels = draw("scan.png", 40, 60)
    for name in ("scan.tiff", "scan.bmp", "scan.webp", "scan.pgm", "scan.gif"):
        Image.fromarray(levels).save(name, **({"lossless": True} if name.endswith("webp") else {}))
        assert read(Path(name)).identity == read(Path("scan.png")).identity
    Image.fromarray(levels.reshape(60, 40)).save("other.png")
    assert read(Path("other.png")).identity != read(Path("scan.png")).identity
    assert on_paper().recipe.paper == read(Path("scan.png")).identity
    assert on_paper(paper=Path("scan.tiff")).recipe.fingerprint == on_paper().recipe.fingerprint


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "CMYK", "I;16", "LA"])
def test_colours_become_grey_on_white(mode: str) -> None:
    if mode == "I;16":
        Image.fromarray(np.full((9, 9), 200 << 8 | 77, dtype=np.uint16)).save("scan.tiff")
    else:
        # What lets the background through is white there: half of 145 and half of white.
        colour: Any = {"RGBA": (145, 145, 145, 128), "LA": (145, 128)}.get(mode)
        image = Image.new(mode, (9, 9), colour) if colour else Image.new("RGB", (9, 9), (204, 204, 204)).convert(mode)
        image.save("scan.tiff")
    levels = read(Path("scan.tiff")).levels
    assert levels.shape == (9, 9)
    if mode == "1":
        assert set(np.unique(levels).tolist()) == {0, 255}  # dithered
    else:
        assert np.abs(levels.astype(int) - 204).max() <= 4


def test_a_paper_with_the_name_of_a_kind_is_given_by_its_path() -> None:
    draw("scan.png")
    Path("scan.png").rename("grain")
    assert find("train", paper="grain").background is None
    assert on_paper(paper="./grain").recipe.paper == read(Path("grain")).identity
    assert on_paper(paper="grain").recipe.paper == "grain"


def test_a_recipe_takes_no_other_paper_than_its_own() -> None:
    draw("scan.png")
    draw("other.png", seed=2)
    data = on_paper()
    again = SequenceDataset.from_recipe(Recipe.from_json(data.recipe.to_json()), source=find("train", paper="scan.png"))
    np.testing.assert_array_equal(again[9].image, data[9].image)
    own, other = (read(Path(name)).identity for name in ("scan.png", "other.png"))
    for source, told in (
        (Source("train"), "none is given"),
        (find("train", paper="other.png"), f"this one is {other}"),
    ):
        with pytest.raises(RequestError) as caught:
            SequenceDataset.from_recipe(data.recipe, source=source)[0]
        hint = "give the same picture with `paper`"
        assert str(caught.value) == f"the recipe is for the background {own}, and {told}; {hint}"
    with pytest.raises(RequestError) as caught:
        SequenceDataset.from_recipe(replace(data.recipe, paper="grain"), source=find("train", paper="scan.png"))[0]
    assert str(caught.value) == f"the recipe is for the background grain, and this one is {own}; leave the picture out"
    assert annotate(data.recipe, BANK, 0, 3).digits.tolist() == data.batch(0, 3).digits.tolist()


@pytest.mark.parametrize("paper", ["", "sha256:", "sha256:" + "0" * 63, "sha256:" + "G" * 64, "scan.png", 7])
def test_a_recipe_does_not_name_a_paper_in_other_ways(paper: Any) -> None:
    with pytest.raises(RequestError, match=r"`paper` is .*; it is one of plain, gradient, grain, or a picture that is"):
        recipe_for(seed=1, paper=paper)


def test_a_part_of_a_bank_goes_with_a_background() -> None:
    background = BackgroundImage(np.full((3, 3), 100, dtype=np.uint8), "sha256:" + "0" * 64)
    recipe = recipe_for(seed=1, length=2, pool=(0, 1, 2), paper=background.identity)
    glyphs.part(BANK, (0, 1, 2))
    assert compose(recipe, BANK, 0, 2, background=background).images.max() == 100


# What is no picture


def trap() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("sprung"),)

    Path("scan.png").write_bytes(pickle.dumps(Trap()))


def cut() -> None:
    draw("scan.png")
    Path("scan.png").write_bytes(Path("scan.png").read_bytes()[:-4_000])


def claim(width: int, height: int) -> None:
    """Write a PNG file that claims this size; Pillow believes its header, and its checksum is right."""
    (content,) = png.encode(np.zeros((1, 9, 9), dtype=np.uint8))
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    Path("scan.png").write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])


HOSTILE: dict[str, tuple[Callable[[], object], str]] = {
    "not there": (lambda: None, "{path} does not exist; --paper takes plain, gradient, grain or a picture"),
    "a folder": (
        lambda: Path("scan.png").mkdir(),
        "{path} is not a file; --paper takes plain, gradient, grain or a picture",
    ),
    "a device": (
        lambda: Path("scan.png").symlink_to("/dev/zero"),
        "{path} is not a file; --paper takes plain, gradient, grain or a picture",
    ),
    "empty": (
        lambda: Path("scan.png").touch(),
        "{path} is not a sound picture: it does not begin like one",
    ),
    "text": (
        lambda: Path("scan.png").write_text("a scan"),
        "{path} is not a sound picture: it does not begin like one",
    ),
    "a pickle": (trap, "{path} is not a sound picture: it does not begin like one"),
    "truncated": (cut, "{path} is not a sound picture: image file is truncated"),
    "large": (
        lambda: claim(5_000, 4_000),
        "{path} is not a sound picture: it claims 5000×4000 px, "
        "and may have 16 million in all and 100,000 a side at most",
    ),
    "larger": (lambda: claim(12_000, 8_000), "{path} is not a sound picture: it claims far too many px"),
    "a bomb": (lambda: claim(60_000, 60_000), "{path} is not a sound picture: it claims far too many px"),
    "a program": (
        lambda: Path("scan.png").write_text(
            "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
        ),
        "{path} is not a sound picture: it is a program that draws a picture",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("command", ["generate", "dataset"])
def test_what_is_no_picture_is_one_line(case: str, command: str, mnistseq: Run, place: Path) -> None:
    make, message = HOSTILE[case]
    make()
    asked = ["generate", "12"] if command == "generate" else ["dataset", "-n", "3", "--len", "2"]
    done = mnistseq(*asked, "--paper", "scan.png", "-o", "out/")
    assert done.code == 2
    assert done.out == ""
    told = message.replace("{path}", str(place / "scan.png"))
    assert done.err.startswith(f"mnistseq: {told}")
    assert done.err.count("\n") == 1
    assert not Path("out").exists()
    assert not Path("sprung").exists()


def test_a_file_that_cannot_be_read_is_a_failure(mnistseq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("scan.png")

    def refuse(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("mnist_seq_cli.mnist.background_image.open_named", refuse)
    done = mnistseq("generate", "12", "--paper", "scan.png", "-o", "out/")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("scan.png: Permission denied\n")


def test_a_file_of_many_megabytes_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    draw("scan.png")
    monkeypatch.setattr("mnist_seq_cli.mnist.background_image.MAX_FILE", 1_000)
    with pytest.raises(FormatError, match=r"scan\.png is too large for a background"):
        on_paper()


def test_errors_of_pillow_and_warnings_are_told_in_one_line() -> None:
    with pytest.raises(FormatError) as caught:
        image_file.read(b"II*\0" + b"\xff" * 40, ("TIFF",), name="a.tif", kind="TIFF file")
    assert str(caught.value).startswith("a.tif is not a sound TIFF file: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp", "ppm", "tga", "jp2", "ico"])
def test_damage_is_read_as_a_picture_or_refused_as_none(kind: str) -> None:
    draw("scan.png", 20, 31)
    with Image.open("scan.png") as image:
        image.save(f"scan.{kind}")
    whole, chance = Path(f"scan.{kind}").read_bytes(), np.random.default_rng(4)
    said = []
    for _ in range(60):
        damaged = bytearray(whole)
        for place in chance.integers(0, min(len(whole), 400), 3).tolist():
            damaged[place] = int(chance.integers(256))
        try:
            levels = image_file.read(bytes(damaged), name="a", kind="picture")
            assert (levels.ndim, levels.dtype) == (2, np.uint8)
        except FormatError as error:
            said.append(str(error))
    assert said
    assert all(line.startswith("a is not a sound picture: ") and line.isprintable() for line in said)


# Datasets

SHARDS = ["-n", "20", "--len", "2", "--shard-size", "7", "--paper", "scan.png"]


@pytest.mark.parametrize("name", UNLIKE_FORMATS)
def test_every_format_holds_it(name: str, mnistseq: Run, place: Path) -> None:
    draw("scan.png", 40, 50)
    command = ["dataset", *SHARDS, "--seed", "3", *form(name)]
    assert mnistseq(*command, "-o", "out").code == 0
    assert mnistseq(*command, "--workers", "2", "-o", "other").code == 0
    assert tree(place / "out") == tree(place / "other")
    np.testing.assert_array_equal(open_dataset("out").batch(0, 20).images, on_paper().batch(0, 20).images)
    assert json.loads(Path("out/recipe.json").read_text())["recipe"]["paper"] == read(Path("scan.png")).identity
    assert mnistseq("inspect", "out", "--verify", "--regenerate", "3", "--paper", "scan.png").code == 0
    # What was written can be looked at without the picture; it cannot be made again.
    for arguments in (["inspect", "out", "--verify", "--json"], ["inspect", "out", "--index", "3"]):
        assert mnistseq(*arguments).code == 0
    assert mnistseq("inspect", "out", "--against", "other", "--may-share", "image", "--json").code == 1
    done = mnistseq("inspect", "out", "--regenerate", "1")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "none is given; give the same picture with --paper" in done.err


def test_a_tar_stream_holds_it(mnistseq: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from mnist_seq_cli.cli import main

    draw("scan.png")
    contents = []
    for paper in ("scan.png", "plain"):
        assert main.run(["dataset", *SHARDS, "--paper", paper, "--format", "webdataset", "--seed", "3", "-o", "-"]) == 0
        contents.append(capfdbinary.readouterr().out)
    assert contents[0] != contents[1]


def test_a_run_is_finished_and_grows_on_the_same_paper_only(mnistseq: Run, place: Path) -> None:
    draw("scan.png")
    draw("other.png", seed=2)
    assert mnistseq("dataset", *SHARDS, "--seed", "3", "-o", "out").code == 0
    whole = tree(place / "out")
    for name in ("manifest.json", "images/00001/00000008.png"):
        Path("out", name).unlink()
    assert mnistseq("dataset", *SHARDS, "-o", "out").code == 0
    assert tree(place / "out") == whole
    for paper in ("other.png", "plain"):
        done = mnistseq("dataset", *SHARDS, "--paper", paper, "-n", "30", "-o", "out")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "out holds another dataset: paper " in done.err
        assert tree(place / "out") == whole
    assert mnistseq("dataset", *SHARDS, "-n", "30", "-o", "out").code == 0
    assert mnistseq("dataset", *SHARDS, "-n", "30", "--seed", "3", "-o", "fresh").code == 0
    assert tree(place / "out") == tree(place / "fresh")


def test_a_picture_that_changes_under_way_spoils_nothing(place: Path) -> None:
    draw("scan.png")
    source = find("train", paper="scan.png")
    spec = spec_for(place / "out", samples=40, source=source, seed=3, length=2, shard_size=10)
    draw("scan.png", seed=2)  # this process has read it, and those that it starts have not
    with pytest.raises(OutputError, match=r"4 of 4 shards failed, .* the recipe is for the background sha256:"):
        dataset.build(place / "out", spec, source, workers=2)
    assert not (place / "out" / "manifest.json").exists()


@pytest.mark.parametrize("source", [[], ["--source", "all"]])
def test_splits_lie_on_it(source: list[str], mnistseq: Run) -> None:
    draw("scan.png")
    command = ["dataset", "--split", "train=12", "--split", "test=5", "--len", "2", "--paper", "scan.png", *source]
    assert mnistseq(*command, "--seed", "1", "-o", "out").code == 0
    assert mnistseq(*command, "-o", "out").code == 0
    for name, samples in (("train", 12), ("test", 5)):
        stored = open_dataset(f"out/{name}")
        place = find(stored.recipe.source, paper="scan.png")
        made = SequenceDataset.from_recipe(stored.recipe, samples=samples, source=place)
        assert made.batch(0, samples).first_difference(stored.batch(0, samples)) is None


def test_glyphs_and_paper_of_ones_own_go_together(mnistseq: Run) -> None:
    from mnist_seq_cli.mnist import idx

    levels = draw("scan.png", 30, 30)
    Path("i").write_bytes(idx.encode(np.zeros((10, 9, 7), dtype=np.uint8)))
    Path("l").write_bytes(idx.encode(np.arange(10, dtype=np.uint8)))
    own = ["--source", "i", "--source-labels", "l", "--paper", "scan.png"]
    assert mnistseq("dataset", "-n", "9", "--len", "2", "--seed", "3", *own, "-o", "out").code == 0
    blank = np.full((9, 14), 255, dtype=np.uint8)
    np.testing.assert_array_equal(open_dataset("out")[4].image, slowly(blank, levels, 3, 4))
    assert mnistseq("inspect", "out", "--regenerate", "1", *own).code == 0
    assert mnistseq("dataset", "--recipe", "out/recipe.json", *own, "-o", "out").code == 0


def test_generate_lays_strips_on_it(mnistseq: Run) -> None:
    draw("scan.png")
    assert mnistseq("generate", "12", "345", "--paper", "scan.png", "--seed", "3") == (0, "1-2.png\n3-4-5.png\n", "")
    expected = SequenceDataset(sequences=["345"], seed=3, paper="scan.png", samples=2)[1].image
    with Image.open("3-4-5.png") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


# Recipes in files


def test_a_recipe_in_a_file_needs_its_picture_beside_it(mnistseq: Run, place: Path) -> None:
    draw("scan.png")
    draw("other.png", seed=2)
    assert mnistseq("dataset", *SHARDS, "-o", "one").code == 0
    command = ["dataset", "--recipe", "one/recipe.json", "-o", "again"]
    done = mnistseq(*command)
    message = "one/recipe.json is about a custom background; give the picture with --paper"
    assert done == (2, "", f"mnistseq: {message}\n")
    done = mnistseq(*command, "--paper", "other.png")
    message = "one/recipe.json is about another background than other.png; give the same picture"
    assert done == (2, "", f"mnistseq: {message}\n")
    assert mnistseq(*command, "--paper", "scan.png").code == 0
    assert tree(place / "again") == tree(place / "one")
    assert mnistseq(*command, "--paper", "grain", "--overwrite").code == 0
    assert open_dataset("again").recipe == replace(open_dataset("one").recipe, paper="grain")


def test_a_picture_beside_a_recipe_without_one_changes_it(mnistseq: Run, place: Path) -> None:
    draw("scan.png")
    Path("mine.toml").write_text("length = 2\nsamples = 9\nseed = 3\n")
    assert mnistseq("dataset", "--recipe", "mine.toml", "--paper", "scan.png", "-o", "out").code == 0
    np.testing.assert_array_equal(open_dataset("out").batch(0, 9).images, on_paper().batch(0, 9).images)
    Path("named.toml").write_text('length = 2\nsamples = 9\npaper = "scan.png"\n')
    done = mnistseq("dataset", "--recipe", "named.toml", "-o", "named")
    hint = "it is one of plain, gradient, grain; give custom files with --paper"
    assert done == (2, "", f"mnistseq: named.toml is no recipe: paper is 'scan.png'; {hint}\n")


# What else is said of it


def test_labels_of_images_on_it_are_repaired_by_the_dataset_command(mnistseq: Run, place: Path) -> None:
    draw("scan.png")
    assert mnistseq("dataset", *SHARDS, "-o", "out").code == 0
    whole = tree(place / "out")
    Path("out/labels.csv").unlink()
    done = mnistseq("decode", "out", "--repair-labels")
    message = "out has a custom background, on which images cannot be read exactly; the dataset command repairs it"
    assert done == (2, "", f"mnistseq: {message}\n")
    assert mnistseq("dataset", *SHARDS, "-o", "out").code == 0
    assert tree(place / "out") == whole


def test_the_report_tells_it_and_its_command_asks_for_it(mnistseq: Run) -> None:
    draw("scan.png")
    assert mnistseq("dataset", *SHARDS, "-o", "out").code == 0
    report = json.loads(mnistseq("inspect", "out", "--json").out)
    identity = read(Path("scan.png")).identity
    assert report["recipe"]["paper"] == identity
    assert "--paper PICTURE" in report["command"]
    assert f"on a custom background ({identity[:15]}…)" in " ".join(mnistseq("inspect", "out").out.split())
