"""The original project's interface: its signatures, its floats, its rule for the gap, and glyphs of the test file."""

import inspect
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import MNIST_Sequence_API, generate_numbers_sequence
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.mnist.bank import Source, load

Floats = NDArray[np.float32]


def bytes_of(image: Floats) -> NDArray[np.uint8]:
    """The image as uint8; every value has to be a whole number of 255ths, as float32 has them."""
    grey = np.rint(image * 255).astype(np.uint8)
    np.testing.assert_array_equal(image, grey.astype(np.float32) / np.float32(255), strict=True)
    return grey


def assert_is_of_the_test_file(box: NDArray[np.uint8], digit: int) -> None:
    """A box of a strip, uint8 (28, 28), has to be a glyph of that digit in MNIST's test file, dark on white."""
    bank = load(Source("test"))
    ids = bank.glyphs_of(digit)
    assert 60_000 <= ids.min() <= ids.max() < 70_000
    assert (bank.images(ids) == 255 - box).all(axis=(1, 2)).any()


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# The signatures


def parameters_of(function: Any) -> list[str]:
    return [str(parameter).partition(":")[0] for parameter in inspect.signature(function).parameters.values()]


def test_the_signatures_are_the_documented_ones() -> None:
    assert parameters_of(MNIST_Sequence_API.generate_mnist_sequence) == [
        "self",
        "digits",
        "spacing_range",
        "image_width",
    ]
    assert parameters_of(MNIST_Sequence_API.generate_data) == [*("self", "num_samples", "seq_len", "spacing_range")]
    assert parameters_of(generate_numbers_sequence) == ["digits", "spacing_range", "image_width", "seed"]
    assert inspect.signature(generate_numbers_sequence).parameters["seed"].kind is inspect.Parameter.KEYWORD_ONLY
    for name in ("save_image", "save_array", "load_array"):
        assert callable(getattr(MNIST_Sequence_API, name))
    MNIST_Sequence_API()
    generate_numbers_sequence([1, 2], (0, 10), 60)


def test_arguments_may_be_named() -> None:
    image = generate_numbers_sequence(digits=[1, 2, 3], spacing_range=(0, 10), image_width=100, seed=4)
    again = MNIST_Sequence_API(seed=4).generate_mnist_sequence(digits=[1, 2, 3], spacing_range=(0, 10), image_width=100)
    np.testing.assert_array_equal(image, again, strict=True)


# One image


def test_an_image_is_float32_dark_ink_on_white_paper() -> None:
    image = generate_numbers_sequence([1, 2, 3], (0, 10), 100, seed=5)
    assert image.dtype == np.float32
    assert image.shape == (28, 100)
    assert image.min() >= 0
    assert image.max() == 1
    assert image[:, :28].min() < 0.1
    assert image.mean() > 0.5
    assert (image[[0, -1]] == 1).all()  # MNIST leaves a border around each digit


def test_the_gaps_are_paper_and_the_boxes_are_glyphs_of_the_test_file() -> None:
    digits = (0, 9, 5, 5)
    image = bytes_of(generate_numbers_sequence(digits, (0, 10), 4 * 28 + 3 * 7, seed=6))
    for place, digit in enumerate(digits):
        left = place * 35
        assert_is_of_the_test_file(image[:, left : left + 28], digit)
        assert (image[:, left + 28 : left + 35] == 255).all()


@settings(max_examples=40)
@given(digits=st.lists(st.integers(0, 9), min_size=1, max_size=6), gap=st.integers(0, 12), seed=st.integers(0, 2**32))
def test_every_image_shows_its_digits(digits: list[int], gap: int, seed: int) -> None:
    width = len(digits) * 28 + (len(digits) - 1) * gap
    image = bytes_of(generate_numbers_sequence(digits, (gap, gap), width, seed=seed))
    assert image.shape == (28, width)
    for place, digit in enumerate(digits):
        assert_is_of_the_test_file(image[:, place * (28 + gap) :][:, :28], digit)


@pytest.mark.parametrize(
    "digits",
    [[1, 2, 3], (1, 2, 3), range(1, 4), np.array([1, 2, 3], dtype=np.uint8), iter([1, 2, 3])],
    ids=lambda digits: type(digits).__name__,
)
def test_digits_may_be_anything_that_gives_integers(digits: Any) -> None:
    image = MNIST_Sequence_API(3).generate_mnist_sequence(digits, (0, 10), 100)
    np.testing.assert_array_equal(image, generate_numbers_sequence([1, 2, 3], (0, 10), 100, seed=3), strict=True)


@pytest.mark.parametrize(
    ("spacing_range", "width", "message"),
    [
        ((0, 10), 99, "is not a whole number of px; nearest: `width=98` (gap 7) or `width=100` (gap 8)"),
        ((0, 5), 100, "the gap would be 8 px, and 0 to 5 px was asked for; nearest: `width=94` (gap 5)"),
        ((9, 12), 100, "the gap would be 8 px, and 9 to 12 px was asked for; nearest: `width=102` (gap 9)"),
        ((0, 10), 80, "the gap would be -2 px, and 0 to 10 px was asked for; nearest: `width=84` (gap 0)"),
        ((5, 2), 100, "`max_gap=2` is below `min_gap=5`"),
        ((-29, 5), 84, "`min_gap` is -29"),
        ((0, 10), 0, "`width` is 0"),
    ],
)
def test_what_the_rule_of_the_gap_does_not_allow_is_refused(
    spacing_range: tuple[int, int], width: int, message: str
) -> None:
    for call in (generate_numbers_sequence, MNIST_Sequence_API().generate_mnist_sequence):
        with pytest.raises(RequestError) as caught:
            call([1, 2, 3], spacing_range, width)
        assert message in str(caught.value)
        assert isinstance(caught.value, ValueError)


def test_both_ends_of_the_range_are_allowed() -> None:
    assert generate_numbers_sequence([1, 2, 3], (8, 10), 100).shape == (28, 100)
    assert generate_numbers_sequence([1, 2, 3], (0, 8), 100).shape == (28, 100)


def test_one_digit_has_no_gap_and_one_width() -> None:
    assert generate_numbers_sequence([7], (0, 10), 28).shape == (28, 28)
    with pytest.raises(RequestError, match="one digit is 28 px wide"):
        generate_numbers_sequence([7], (0, 10), 30)


@pytest.mark.parametrize("digits", [[], [10], [-1], [1, 22]])
def test_what_is_not_digits_is_refused(digits: list[int]) -> None:
    with pytest.raises(RequestError):
        generate_numbers_sequence(digits, (0, 10), 28 * max(1, len(digits)))


# Many images


def test_generate_data_gives_images_and_their_digits() -> None:
    images, digits = MNIST_Sequence_API(8).generate_data(50, 4)
    assert images.dtype == np.float32
    assert images.shape == (50, 28, 4 * 28)
    assert digits.dtype == np.uint8
    assert digits.shape == (50, 4)
    assert images.min() == 0
    assert images.max() == 1
    assert set(digits.flat) == set(range(10))
    for image, sequence in zip(images[:5], digits[:5], strict=True):
        for place, digit in enumerate(sequence.tolist()):
            assert_is_of_the_test_file(bytes_of(image)[:, place * 28 :][:, :28], digit)


@pytest.mark.parametrize(("num_samples", "seq_len"), [(0, 4), (-1, 4), (1, 0), (1, -1), (1, 1001)])
def test_generate_data_refuses_what_cannot_be(num_samples: int, seq_len: int) -> None:
    with pytest.raises(RequestError):
        MNIST_Sequence_API().generate_data(num_samples, seq_len)


def test_generate_data_takes_a_range_of_gaps_which_has_to_allow_none() -> None:
    for spacing_range in ((0, 0), (0, 10), (-3, 0)):
        images, digits = MNIST_Sequence_API(8).generate_data(50, 4, spacing_range)
        expected = MNIST_Sequence_API(8).generate_data(50, 4)
        np.testing.assert_array_equal(images, expected[0], strict=True)
        np.testing.assert_array_equal(digits, expected[1], strict=True)
    with pytest.raises(RequestError) as caught:
        MNIST_Sequence_API(8).generate_data(50, 4, spacing_range=(2, 10))
    assert str(caught.value) == (
        "digits touch in 112 px, and gaps of 2 to 10 px were asked for; "
        "SequenceDataset(length=4, min_gap=2, max_gap=10) has them"
    )
    assert MNIST_Sequence_API().generate_data(5, 1, (2, 10))[0].shape == (5, 28, 28)


def test_what_the_original_shows_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its README and its examples: sequences up to ten digits, saved, and data that is stored and read again."""
    monkeypatch.chdir(tmp_path)
    api = MNIST_Sequence_API()
    for digits, width in ((range(8), 224), (range(9), 292), (range(10), 280), ([0, 1], 66), ([3, 5, 0], 100)):
        image = api.generate_mnist_sequence(digits, (0, 10), width)
        assert (image.shape, image.dtype, image.max()) == ((28, width), np.float32, 1)
        assert image.min() < 0.1
        api.save_image(image, digits)
        with Image.open("-".join(map(str, digits)) + ".png") as saved:
            np.testing.assert_array_equal(np.asarray(saved), bytes_of(image))
    for name, array in zip(("inputs.bc", "labels.bc"), api.generate_data(25, 5), strict=True):
        api.save_array(array, name)
        np.testing.assert_array_equal(api.load_array(name), array, strict=True)


def test_with_a_seed_the_calls_of_an_object_come_again() -> None:
    one, other = MNIST_Sequence_API(seed=9), MNIST_Sequence_API(seed=9)
    for _ in range(3):
        np.testing.assert_array_equal(
            one.generate_mnist_sequence([1, 2], (0, 9), 60), other.generate_mnist_sequence([1, 2], (0, 9), 60)
        )
        for left, right in zip(one.generate_data(3, 2), other.generate_data(3, 2), strict=True):
            np.testing.assert_array_equal(left, right, strict=True)


@pytest.mark.parametrize("seed", [None, 9])
def test_successive_calls_draw_anew(seed: int | None) -> None:
    api = MNIST_Sequence_API(seed)
    images = [api.generate_mnist_sequence([4] * 8, (0, 0), 8 * 28).tobytes() for _ in range(5)]
    assert len(set(images)) == 5
    draws = [api.generate_data(10, 8)[1].tobytes() for _ in range(5)]
    assert len(set(draws)) == 5


def test_in_one_call_or_in_two_the_samples_are_the_same() -> None:
    one, other = MNIST_Sequence_API(10), MNIST_Sequence_API(10)
    images, digits = one.generate_data(6, 3)
    parts = [other.generate_data(2, 3), other.generate_data(4, 3)]
    np.testing.assert_array_equal(images, np.concatenate([part[0] for part in parts]), strict=True)
    np.testing.assert_array_equal(digits, np.concatenate([part[1] for part in parts]), strict=True)


def test_without_a_seed_nothing_comes_again() -> None:
    images = [generate_numbers_sequence([4] * 8, (0, 0), 8 * 28).tobytes() for _ in range(5)]
    assert len(set(images)) == 5


# Images as files


def test_save_image_names_the_file_after_its_digits(tmp_path: Path) -> None:
    image = generate_numbers_sequence([1, 2, 3], (0, 10), 100, seed=5)
    path = MNIST_Sequence_API().save_image(image, [1, 2, 3], tmp_path)
    assert path == tmp_path / "1-2-3.png"
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("PNG", "L", (100, 28))
        np.testing.assert_array_equal(np.asarray(opened), bytes_of(image), strict=True)
    assert names_in(tmp_path) == ["1-2-3.png"]


def test_save_image_writes_in_the_current_directory_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert MNIST_Sequence_API().save_image(np.ones((28, 28)), (0,)) == Path("0.png")
    assert names_in(tmp_path) == ["0.png"]


def test_save_image_replaces_an_older_image(tmp_path: Path) -> None:
    for value in (0.0, 1.0):
        MNIST_Sequence_API().save_image(np.full((2, 3), value), [1], tmp_path)
    with Image.open(tmp_path / "1.png") as opened:
        assert np.asarray(opened).tolist() == [[255] * 3] * 2
    assert names_in(tmp_path) == ["1.png"]


def test_save_image_rounds(tmp_path: Path) -> None:
    values = [[-0.4 / 255, 0.0, 0.4 / 255, 0.6 / 255, 100 / 255, 1.0, 255.4 / 255]]
    path = MNIST_Sequence_API().save_image(values, [1], tmp_path)
    with Image.open(path) as opened:
        assert np.asarray(opened).tolist() == [[0, 0, 0, 1, 100, 255, 255]]


@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float32, np.float64, ">f4", bool])
def test_save_image_takes_the_scale_from_the_type(kind: Any, tmp_path: Path) -> None:
    levels = np.array([[0, 255]] if kind is bool else [[*range(256)]], dtype=np.uint8)
    values = levels.astype(kind) if kind in (np.uint8, bool) else (levels / 255).astype(kind)
    path = MNIST_Sequence_API().save_image(values, [1], tmp_path)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened), levels)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[-5.0, 0.0]], "the image has values from -5 to 0; give floats from 0 to 1, or uint8 from 0 to 255"),
        ([[0.0, 107.0]], "the image has values from 0 to 107; give floats from 0 to 1, or uint8 from 0 to 255"),
        ([[np.inf]], "the image has values from inf to inf; give floats from 0 to 1, or uint8 from 0 to 255"),
        ([[0, 107]], "the image has values of type int64; give floats from 0 to 1, or uint8 from 0 to 255"),
        ([["0"]], "the image has values of type <U1; give floats from 0 to 1, or uint8 from 0 to 255"),
    ],
    ids=str,
)
def test_save_image_refuses_values_of_another_range(values: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        MNIST_Sequence_API().save_image(values, [1], tmp_path)
    assert str(caught.value) == message
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("shape", [(28,), (2, 28, 28), (0, 28), (28, 0), ()])
def test_save_image_refuses_what_is_no_image(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"an image has two dimensions"):
        MNIST_Sequence_API().save_image(np.ones(shape), [1], tmp_path)
    assert names_in(tmp_path) == []


def test_save_image_refuses_values_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        MNIST_Sequence_API().save_image(np.full((28, 28), np.nan), [1], tmp_path)
    assert names_in(tmp_path) == []


def test_save_image_never_leaves_its_directory(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    digits: Any = ["../outer"]
    with pytest.raises(ValueError, match=r"\S"):
        MNIST_Sequence_API().save_image(np.ones((28, 28)), digits, inner)
    assert names_in(tmp_path) == ["inner"]
    assert names_in(inner) == []


def test_save_image_into_nowhere_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MNIST_Sequence_API().save_image(np.ones((28, 28)), [1], tmp_path / "nowhere")
    assert names_in(tmp_path) == []


# Arrays as files


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5),
        np.arange(10, dtype=np.uint8),
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(2, 3).T,
        np.arange(20, dtype=np.int16)[::3],
        np.array(3.5),
        np.empty((0, 28), dtype=np.float32),
        np.array(["1-2-3", "4"]),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype.str} {array.shape}",
)
def test_arrays_come_back_as_they_were(array: NDArray[Any], tmp_path: Path) -> None:
    api = MNIST_Sequence_API()
    path = api.save_array(array, str(tmp_path / "data"))
    assert path == tmp_path / "data"
    again = api.load_array(path)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array, strict=True)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), array, strict=True)
    assert names_in(tmp_path) == ["data"]


def test_generated_data_comes_back_as_it_was(tmp_path: Path) -> None:
    api = MNIST_Sequence_API(1)
    for number, array in enumerate(api.generate_data(20, 3)):
        api.save_array(array, tmp_path / f"{number}.npy")
        np.testing.assert_array_equal(api.load_array(str(tmp_path / f"{number}.npy")), array, strict=True)


def test_save_array_replaces_an_older_file(tmp_path: Path) -> None:
    api = MNIST_Sequence_API()
    arrays: tuple[NDArray[Any], ...] = (np.array([1, 2, 3]), np.array([[4, 5]]))
    for values in arrays:
        api.save_array(values, tmp_path / "a.npy")
    assert api.load_array(tmp_path / "a.npy").tolist() == [[4, 5]]
    assert names_in(tmp_path) == ["a.npy"]


def test_save_array_refuses_objects_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    api = MNIST_Sequence_API()
    api.save_array([1, 2, 3], tmp_path / "a.npy")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"[Oo]bject"):
            api.save_array(np.array([{}, None], dtype=object), tmp_path / "a.npy")
    assert names_in(tmp_path) == ["a.npy"]
    assert api.load_array(tmp_path / "a.npy").tolist() == [1, 2, 3]


def test_save_array_never_replaces_a_directory(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious.txt").write_text("years of work")
    with pytest.raises(OSError, match=r"results"):
        MNIST_Sequence_API().save_array([1.0], tmp_path / "results")
    assert names_in(tmp_path) == ["results"]
    assert (tmp_path / "results" / "precious.txt").read_text() == "years of work"


def test_save_array_into_nowhere_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MNIST_Sequence_API().save_array([1], tmp_path / "nowhere" / "a.npy")
    assert names_in(tmp_path) == []


def npy(header: str, data: bytes = bytes(64), *, version: int = 1) -> bytes:
    """An npy file with this header, whatever it says."""
    encoded = header.encode("latin-1")
    size = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + size + encoded + data


def npy_header(*, descr: str = "'<f4'", shape: str = "(4,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


def saved(save: Any, *arguments: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arguments, **named)
    return stream.getvalue()


class Trap:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


HOSTILE = {
    "empty": b"",
    "text": b"hello, world\n",
    "magic only": b"\x93NUMPY",
    "cut in the header": npy(npy_header())[:30],
    "header longer than the file": b"\x93NUMPY\x01\x00\xff\xff{",
    "cut in the data": npy(npy_header(), bytes(3)),
    "unknown version": npy(npy_header(), version=9),
    "very long header": npy(" " * 20_000),
    "header not closed": npy("{'descr': ('<f4', 'shape': (4,"),
    "header nested deeply": npy("(" * 9_000),
    "header of signs": npy("-" * 9_000),
    "header that is no dict": npy("[1, 2]\n"),
    "unknown type": npy(npy_header(descr="'<zz'")),
    "type with a field twice": npy(npy_header(descr="[('a', '<f4'), ('a', '<f4')]")),
    "terabytes": npy(npy_header(shape="(1000000000000,)")),
    "more than there is": npy(npy_header(shape="(10000000000000000000000000,)")),
    "sizes that overflow": npy(npy_header(shape="(4294967296, 4294967296, 2)")),
    "negative size": npy(npy_header(shape="(-1,)")),
    "size that is a truth value": npy(npy_header(shape="(True,)")),
    "objects": saved(np.save, np.array([Trap()], dtype=object), allow_pickle=True),
    "pickle": pickle.dumps(Trap()),
    "npz": saved(np.savez, a=np.arange(3)),
    "empty zip": b"PK\x05\x06" + bytes(18),
    "damaged zip": b"PK\x03\x04 and then nothing",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_is_no_npy_file_is_refused(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.npy").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        MNIST_Sequence_API().load_array("hostile.npy")
    assert str(caught.value).startswith("hostile.npy is not an npy file")
    assert str(caught.value).isprintable()
    assert names_in(tmp_path) == ["hostile.npy"]


def test_load_array_of_nothing_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MNIST_Sequence_API().load_array(tmp_path / "nothing.npy")
    with pytest.raises(IsADirectoryError):
        MNIST_Sequence_API().load_array(tmp_path)
