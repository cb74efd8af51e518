"""Sources as people have them: torchvision's folders, Keras's npz, EMNIST, QMNIST; and what is wrong with others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, find, load, looks_transposed

MNIST = load(Source("test"))
COUNT = 300
IMAGES, LABELS = MNIST.images(np.arange(60_000, 60_000 + COUNT)), MNIST.labels[:COUNT]
Run = Any


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(name: str, values: NDArray[Any]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(idx.encode(values, compress=name.endswith(".gz")))


def assert_holds(name: str, images: NDArray[Any] = IMAGES, labels: NDArray[Any] = LABELS) -> None:
    bank = load(find(name))
    np.testing.assert_array_equal(bank.images(np.arange(len(labels))), images)
    np.testing.assert_array_equal(bank.labels, labels)


@pytest.mark.parametrize("folder", ["root/MNIST/raw", "root/raw", "root"])
@pytest.mark.parametrize("end", ["-ubyte", "-ubyte.gz"])
def test_a_folder_as_torchvision_keeps_it(folder: str, end: str) -> None:
    put(f"{folder}/train-images-idx3{end}", IMAGES[:200])
    put(f"{folder}/train-labels-idx1{end}", LABELS[:200])
    put(f"{folder}/t10k-images-idx3{end}", IMAGES[200:])
    put(f"{folder}/t10k-labels-idx1{end}", LABELS[200:])
    for name in ("root", "root:train", f"{folder}/train-images-idx3{end}"):
        assert_holds(name, IMAGES[:200], LABELS[:200])
    for name in ("root:test", f"{folder}/t10k-images-idx3{end}"):
        assert_holds(name, IMAGES[200:], LABELS[200:])
    two_files = find(f"{folder}/train-images-idx3{end}", f"{folder}/train-labels-idx1{end}")
    assert load(find("root")).identity == load(two_files).identity


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_npz_file_of_keras(save: Any) -> None:
    save("mnist.npz", x_train=IMAGES[:200], y_train=LABELS[:200], x_test=IMAGES[200:], y_test=LABELS[200:].astype(int))
    assert_holds("mnist.npz", IMAGES[:200], LABELS[:200])
    assert_holds("mnist.npz:test", IMAGES[200:], LABELS[200:])


def test_the_labels_of_qmnist_say_who_wrote_them() -> None:
    columns = np.zeros((COUNT, 8), np.int32)
    columns[:, 0], columns[:, 2] = LABELS, MNIST.writers[:COUNT]
    put("q/qmnist-test-images-idx3-ubyte.gz", IMAGES)
    put("q/qmnist-test-labels-idx2-int.gz", columns)
    assert_holds("q:test")
    np.testing.assert_array_equal(load(find("q:test")).writers, MNIST.writers[:COUNT])


def test_transposed_images_are_turned_and_told(mnistseq: Run) -> None:
    put("e/emnist-digits-train-images-idx3-ubyte", IMAGES.swapaxes(1, 2))
    put("e/emnist-digits-train-labels-idx1-ubyte", LABELS)
    put("m/train-images-idx3-ubyte", IMAGES)
    put("m/train-labels-idx1-ubyte", LABELS)
    turned = load(find("e", transposed=True))
    np.testing.assert_array_equal(turned.images(np.arange(COUNT)), IMAGES)
    assert turned.sums() == load(find("m")).sums()
    assert turned.identity != load(find("e")).identity
    assert [looks_transposed(load(find(name))) for name in "em"] == [True, False]
    assert [looks_transposed(load(find(name, transposed=True))) for name in "em"] == [False, True]
    command = ["dataset", "-n", "4", "--len", "3", "--seed", "1", "--source", "e"]
    done = mnistseq(*command, "-o", "wrong")
    assert done.code == 0
    assert "ubyte look transposed: --source-transposed turns them, as EMNIST's" in done.err.splitlines()[0]
    done = mnistseq(*command, "--source-transposed", "-o", "right")
    assert (done.code, "transposed" in done.err) == (0, False)
    data = SequenceDataset(length=3, seed=1, source="m", samples=4)
    right = SequenceDataset(length=3, seed=1, source="e", source_transposed=True, samples=4)
    np.testing.assert_array_equal(data.batch(0, 4).images, right.batch(0, 4).images)
    again = mnistseq("inspect", "right", "--regenerate", "1", "--source", "e", "--source-transposed")
    assert again.code == 0, again.err
    assert mnistseq("inspect", "right", "--regenerate", "1", "--source", "e").code == 2  # which is another source
    assert mnistseq("generate", "12", "--source-transposed").code == 2


def test_images_that_are_not_square_are_turned_too() -> None:
    images = np.arange(10 * 6, dtype=np.uint8).reshape(10, 2, 3)
    put("images-idx3-ubyte", images)
    put("labels-idx1-ubyte", np.arange(10, dtype=np.uint8))
    bank = load(find("images-idx3-ubyte", transposed=True))
    assert (bank.height, bank.width) == (3, 2)
    np.testing.assert_array_equal(bank.images([7, 2]), images[[7, 2]].swapaxes(1, 2))


WRONG_LABELS = [
    (LABELS + 1, "its labels begin at 1, and digits are 0 to 9: subtract 1, or write 0 for 10"),
    (np.arange(COUNT) % 26 + 1, "it has 26 classes, and digits are ten, 0 to 9: take those alone, as EMNIST has in"),
    (np.arange(COUNT) % 47, "it has 47 classes"),
]


@pytest.mark.parametrize(("labels", "hint"), WRONG_LABELS, ids=["from 1", "letters", "balanced"])
def test_labels_that_are_no_digits_are_refused_with_what_to_do(labels: NDArray[Any], hint: str) -> None:
    put("images-idx3-ubyte", IMAGES)
    put("labels-idx1-ubyte", labels.astype(np.uint8))
    with pytest.raises(FormatError, match=r"labels-idx1-ubyte has the label \d+ at \d+; ") as caught:
        load(find("images-idx3-ubyte"))
    assert hint in str(caught.value)


def test_what_is_no_source_is_told() -> None:
    put("many/emnist-digits-train-images-idx3-ubyte", IMAGES)
    put("many/emnist-letters-train-images-idx3-ubyte", IMAGES)
    for name, problem in (
        ("many", "has several sources: emnist-digits-train-images-idx3-ubyte, emnist-letters-train"),
        ("many/emnist-digits-train-images-idx3-ubyte", "there are no labels beside .*; give them with `source_labels`"),
        ("many:test", "many has no images to test with"),
        ("nothing", "no bundled source is called 'nothing'"),
        ("nothing:test", "no bundled source is called 'nothing:test'"),
    ):
        with pytest.raises(RequestError, match=problem):
            find(name)
    np.savez("few.npz", x_train=IMAGES)
    np.savez("floats.npz", x_train=IMAGES / 255, y_train=LABELS)
    Path("text.npz").write_text("text")
    content = bytearray(Path("few.npz").read_bytes())
    content[len(content) // 2] ^= 1
    Path("damaged.npz").write_bytes(content)
    for name, problem in (
        ("few", "has no array y_train; Keras keeps x_train"),
        ("floats", "has float64 values"),
        ("text", "is not an npz file that can be read"),
        ("damaged", "is not an npz file that can be read"),
    ):
        with pytest.raises(FormatError, match=problem):
            load(find(f"{name}.npz"))
