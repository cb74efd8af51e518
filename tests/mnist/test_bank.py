import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import mnist_seq_cli
from mnist_seq_cli.engine import glyphs as glyph_choice
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import bank as bank_module
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import (
    BUNDLED_FILES,
    CLASSES_FILE,
    NET_FILE,
    WRITERS_FILE,
    Bank,
    Source,
    bundled_directory,
    find,
    load,
    read,
)

# The class counts of MNIST as published.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
FIRST_IDS = {"train": 0, "test": 60_000, "all": 0}
SIZES = {"train": 60_000, "test": 10_000, "all": 70_000}


def published(name: str) -> NDArray[np.uint8]:
    """Read a bundled file past its header, without the code under test."""
    content = (bundled_directory() / name).read_bytes()
    if "labels" in name:
        return np.frombuffer(content, np.uint8, offset=8)
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)


def own_pair(count: int = 30, height: int = 5, width: int = 7) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images = (np.arange(count * height * width) * 37 % 251).astype(np.uint8).reshape(count, height, width)
    return images, (np.arange(count) * 7 % 10).astype(np.uint8)


def write_pair(
    directory: Path, images: NDArray[Any], labels: NDArray[Any], *, compress: bool = False, stem: str = "own"
) -> Source:
    image_path, label_path = directory / f"{stem}-images", directory / f"{stem}-labels"
    image_path.write_bytes(idx.encode(images, compress=compress))
    label_path.write_bytes(idx.encode(labels, compress=compress))
    return Source("own", image_path, label_path)


# The bundled files


@pytest.mark.parametrize("file", [*BUNDLED_FILES, WRITERS_FILE, CLASSES_FILE, NET_FILE], ids=lambda file: file.name)
def test_a_bundled_file_is_as_it_was_published(file: bank_module.BundledFile) -> None:
    content = (bundled_directory() / file.name).read_bytes()
    assert len(content) == file.size
    assert sha256(content).hexdigest() == file.sha256


def test_the_readme_of_the_data_names_the_same_files_sizes_and_sums() -> None:
    text = (bundled_directory() / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \|[^|]*\| ([\d,]+) \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert [(name, int(size.replace(",", "")), digest) for name, size, digest in rows] == [
        *BUNDLED_FILES,
        WRITERS_FILE,
        CLASSES_FILE,
        NET_FILE,
    ]


def test_class_counts() -> None:
    assert load(Source("train")).counts.tolist() == TRAIN_COUNTS
    assert load(Source("test")).counts.tolist() == TEST_COUNTS
    assert load(Source("all")).counts.tolist() == [a + b for a, b in zip(TRAIN_COUNTS, TEST_COUNTS, strict=True)]


@pytest.mark.parametrize("name", ["train", "test", "all"])
def test_glyph_ids_are_places_in_the_70k_order(name: str) -> None:
    bank = load(Source(name))
    assert (bank.identity, bank.first_id, len(bank)) == (name, FIRST_IDS[name], SIZES[name])
    assert (bank.height, bank.width) == (28, 28)
    labels = np.concatenate([published("train-labels-idx1-ubyte"), published("t10k-labels-idx1-ubyte")])
    every = []
    for digit in range(10):
        ids = bank.glyphs_of(digit)
        assert ids.dtype == np.int32
        assert (np.diff(ids) > 0).all()
        assert (labels[ids] == digit).all()
        every.append(ids)
    assert np.sort(np.concatenate(every)).tolist() == list(range(FIRST_IDS[name], FIRST_IDS[name] + SIZES[name]))


def test_ids_from_60000_on_show_the_test_images() -> None:
    train, test = published("train-images-idx3-ubyte"), published("t10k-images-idx3-ubyte")
    both = load(Source("all"))
    ids = np.array([69_999, 0, 60_000, 59_999, 123, 60_123, 60_000])
    expected = np.stack([test[9_999], train[0], test[0], train[59_999], train[123], test[123], test[0]])
    np.testing.assert_array_equal(both.images(ids), expected)
    np.testing.assert_array_equal(
        both.images(np.arange(59_000, 61_000)), np.concatenate([train[59_000:], test[:1_000]])
    )
    np.testing.assert_array_equal(both.images(np.arange(60_000, 70_000)), test)
    np.testing.assert_array_equal(load(Source("test")).images(np.arange(60_000, 70_000)), test)
    np.testing.assert_array_equal(load(Source("train")).images(np.arange(60_000)), train)


@pytest.mark.parametrize(("name", "outside"), [("train", -1), ("train", 60_000), ("test", 59_999), ("all", 70_000)])
def test_an_id_that_the_source_lacks_is_refused(name: str, outside: int) -> None:
    bank = load(Source(name))
    with pytest.raises(RequestError, match=f"glyph ids are {bank.first_id} to {bank.first_id + len(bank) - 1}"):
        bank.images(np.array([bank.first_id, outside]))


def test_no_ids_give_no_images() -> None:
    assert load(Source("test")).images(np.array([], dtype=np.int32)).shape == (0, 28, 28)


@pytest.mark.parametrize("dtype", [np.intp, np.int32])
@pytest.mark.parametrize("name", ["train", "test", "all"])
def test_take_copies_glyphs_to_where_it_is_told(name: str, dtype: Any) -> None:
    bank = load(Source(name))
    ids = (np.arange(100, dtype=dtype) * 97) % len(bank) + bank.first_id
    out = np.full((102, 784), 77, dtype=np.uint8)
    bank.take(ids, out[1:101])
    np.testing.assert_array_equal(out[1:101].reshape(-1, 28, 28), bank.images(ids))
    assert (out[[0, 101]] == 77).all()


def test_loading_maps_the_files_and_copies_no_images() -> None:
    tracemalloc.start()
    try:
        bank = read(Source("all"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(bank) == 70_000
    assert peak < 4_000_000  # the images alone are 55 MB; 70,000 labels are sorted by int64 places


def test_a_process_loads_a_source_once() -> None:
    assert load(Source("train")) is load(Source("train"))
    assert load(Source("train")) is not load(Source("test"))


def test_without_its_files_an_installation_says_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(
        Path(mnist_seq_cli.__file__).parent,
        tmp_path / "mnist_seq_cli",
        ignore=shutil.ignore_patterns("data", "__pycache__"),
    )
    program = (
        "from mnist_seq_cli import errors\nfrom mnist_seq_cli.mnist import bank\n"
        "try: bank.load(bank.Source())\n"
        "except errors.OutputError as error: print(error)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "the MNIST files that belong to mnistseq are missing; install it again\n"


# Choosing


@given(
    name=st.sampled_from(["train", "test", "all"]),
    digits=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    drawn=st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4),
)
def test_pick_takes_the_glyph_that_the_word_stands_for(name: str, digits: list[int], drawn: list[int]) -> None:
    bank = load(Source(name))
    for kind in (np.uint8, np.int64):
        chosen = glyph_choice.pick(bank, np.array(digits, kind).reshape(2, 2), np.array(drawn, np.uint64).reshape(2, 2))
        assert chosen.dtype == np.int32
        expected = [
            bank.glyphs_of(digit)[word * len(bank.glyphs_of(digit)) >> 64]
            for digit, word in zip(digits, drawn, strict=True)
        ]
        assert chosen.ravel().tolist() == expected


@pytest.mark.parametrize("name", ["train", "test", "all"])
def test_pick_is_uniform_over_the_glyphs_of_a_digit(name: str) -> None:
    bank = load(Source(name))
    for digit, count in enumerate(bank.counts.tolist()):
        # Words in the middle of each of 3 × count equal parts of their range.
        drawn = np.array([((2 * part + 1) << 63) // (3 * count) for part in range(3 * count)], dtype=np.uint64)
        chosen = glyph_choice.pick(bank, np.full(3 * count, digit), drawn)
        np.testing.assert_array_equal(chosen, np.repeat(bank.glyphs_of(digit), 3))


def test_digits_that_are_there_are_there() -> None:
    glyph_choice.require(load(Source("train")), range(10))
    glyph_choice.require(Bank([np.zeros((2, 3, 3), np.uint8)], np.array([0, 4], np.uint8), identity="x"), [4, 0, 4])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (range(10), "the source has no glyph of 0, 2, 3, 4, 5, 6, 8, 9; it has glyphs of 1, 7"),
        ([1, 9, 7, 9], "the source has no glyph of 9; it has glyphs of 1, 7"),
    ],
)
def test_digits_that_are_absent_are_named_with_those_that_are_there(wanted: Any, message: str) -> None:
    bank = Bank([np.zeros((3, 4, 4), np.uint8)], np.array([7, 1, 7], np.uint8), identity="x")
    with pytest.raises(RequestError) as caught:
        glyph_choice.require(bank, wanted)
    assert str(caught.value) == message


# A pair of the user's own


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("count", "height", "width"), [(30, 5, 7), (10, 1, 1), (12, 28, 28), (20, 40, 3)])
def test_a_pair_of_ones_own_is_a_bank(tmp_path: Path, count: int, height: int, width: int, compress: bool) -> None:
    images, labels = own_pair(count, height, width)
    bank = load(write_pair(tmp_path, images, labels, compress=compress))
    assert (len(bank), bank.height, bank.width, bank.first_id) == (count, height, width, 0)
    assert bank.labels.tolist() == labels.tolist()
    assert bank.counts.tolist() == [int((labels == digit).sum()) for digit in range(10)]
    assert bank.glyphs_of(3).tolist() == np.flatnonzero(labels == 3).tolist()
    np.testing.assert_array_equal(bank.images(np.arange(count)), images)


def test_the_identity_of_a_pair_is_that_of_its_content(tmp_path: Path) -> None:
    images, labels = own_pair()
    identity = load(write_pair(tmp_path, images, labels)).identity
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", identity)
    assert load(write_pair(tmp_path, images, labels, compress=True, stem="packed")).identity == identity
    others = {
        "pixel": (np.where(np.arange(images.size).reshape(images.shape) == 500, 1, images).astype(np.uint8), labels),
        "label": (images, np.roll(labels, 1)),
        "shape": (images.reshape(-1, 7, 5), labels),
    }
    identities = {load(write_pair(tmp_path, *pair, stem=stem)).identity for stem, pair in others.items()}
    assert len(identities | {identity}) == 4


def test_the_identity_of_a_pair_never_changes(tmp_path: Path) -> None:
    # It is in every recipe that draws from files of the user's own.
    assert (
        load(write_pair(tmp_path, *own_pair())).identity
        == "sha256:c1f7931719c9e5a1d5d1d2d1f329b05b9cb2b3c1cae13e165c62fbf5d483cc5c"
    )


IMAGES, LABELS = own_pair()


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (LABELS, IMAGES, "own-images holds labels and {}/own-labels holds images; give them the other way round"),
        (IMAGES[:-1], LABELS, "own-images holds 29 images, and {}/own-labels 30 labels"),
        (IMAGES, LABELS[:-1], "own-images holds 30 images, and {}/own-labels 29 labels"),
        (IMAGES, np.where(np.arange(30) == 4, 10, LABELS).astype(np.uint8), "own-labels has the label 10 at 4"),
        (IMAGES, np.where(np.arange(30) >= 28, 255, LABELS).astype(np.uint8), "own-labels has the label 255 at 28"),
        (IMAGES[0], LABELS, "own-images holds uint8 values of shape 5×7; images are uint8 with three dimensions"),
        (IMAGES[None], LABELS, "own-images holds uint8 values of shape 1×30×5×7; images are uint8"),
        (IMAGES, IMAGES, "own-labels holds uint8 values of shape 30×5×7; labels are uint8 with one dimension"),
        (LABELS, LABELS, "own-images holds uint8 values of shape 30; images are uint8"),
        (IMAGES, LABELS[:, None], "own-labels holds uint8 values of shape 30×1; labels are uint8"),
        (IMAGES.astype(np.int32), LABELS, "own-images holds int32 values of shape 30×5×7; images are uint8"),
        (IMAGES.astype(np.float32), LABELS, "own-images holds float32 values of shape 30×5×7; images are uint8"),
        (IMAGES.astype(np.int8), LABELS, "own-images holds int8 values of shape 30×5×7; images are uint8"),
        (IMAGES, LABELS.astype(np.int32), "own-labels holds int32 values of shape 30; labels are uint8"),
        (IMAGES, LABELS.astype(np.int8), "own-labels holds int8 values of shape 30; labels are uint8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_not_a_pair_are_refused(
    tmp_path: Path, images: NDArray[Any], labels: NDArray[Any], reason: str
) -> None:
    with pytest.raises(FormatError) as caught:
        load(write_pair(tmp_path, images, labels))
    assert str(caught.value).startswith(f"{tmp_path}/{reason.format(tmp_path)}")
    assert str(caught.value).isprintable()


def test_a_file_of_a_pair_that_is_not_idx_is_named(tmp_path: Path) -> None:
    source = write_pair(tmp_path, IMAGES, LABELS)
    assert source.labels
    source.labels.write_bytes(b"label\n1\n")
    with pytest.raises(FormatError, match=f"^{re.escape(str(source.labels))} is not an IDX file: "):
        load(source)
    source.labels.unlink()
    with pytest.raises(FileNotFoundError):
        load(source)


def test_a_pair_may_lack_digits_until_they_are_asked_for(tmp_path: Path) -> None:
    few = LABELS < 4
    bank = load(write_pair(tmp_path, IMAGES[few], LABELS[few]))
    glyph_choice.require(bank, [0, 1, 2, 3])
    assert len(bank.glyphs_of(7)) == 0
    with pytest.raises(RequestError, match="the source has no glyph of 7; it has glyphs of 0, 1, 2, 3"):
        glyph_choice.require(bank, [1, 7])


# Naming a source


def test_a_source_is_a_bundled_name_or_two_files() -> None:
    assert Source() == Source("train")
    assert hash(Source("all")) == hash(Source("all"))
    Source("own", Path("images"), Path("labels"))
    for name in ("", "Train", "validation", "../train", "a\nb"):
        with pytest.raises(RequestError, match=r"no bundled source is called .*take train, test, all") as caught:
            Source(name)
        assert str(caught.value).isprintable()
    for half in ({"images": Path("x")}, {"labels": Path("x")}):
        with pytest.raises(RequestError, match="takes both an image file and a label file"):
            Source("train", **half)


def test_a_source_is_found_by_name_or_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("test") == Source("test")
    with pytest.raises(RequestError, match="no bundled source is called 'tset'"):
        find("tset")
    monkeypatch.chdir(tmp_path)
    source = write_pair(Path(), IMAGES, LABELS)
    assert find("own-images", "own-labels") == find(tmp_path / "own-images", tmp_path / "own-labels")
    np.testing.assert_array_equal(load(find("own-images", "own-labels")).images(np.arange(30)), IMAGES)
    assert load(source).identity == load(find("own-images", "own-labels")).identity
