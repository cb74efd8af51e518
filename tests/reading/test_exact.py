"""Reading is exact: what compose paints reads back to the same digits, glyphs and edges, and nothing else reads."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Bank, Source, load
from mnist_seq_cli.reading.exact import Reader, Reading

LAYOUTS: dict[str, dict[str, Any]] = {
    "side by side": {},
    "gap by width": {"width": 4 * 28 + 3 * 7},
    "gaps drawn": {"min_gap": 0, "max_gap": 10},
    "wide gaps drawn": {"min_gap": 5, "max_gap": 90},
    "one gap drawn": {"min_gap": 0, "max_gap": 10, "spacing": "equal"},
    "wider canvas": {"min_gap": 0, "max_gap": 6, "spacing": "random", "width": 300},
}


@lru_cache
def reader(source: str) -> Reader:
    return Reader(load(Source(source)))


def bank_of(*glyphs: Any, labels: list[int] | None = None, first_id: int = 0) -> Bank:
    """A bank of glyphs given by their values, one row or a list of rows each."""
    images = np.array([np.atleast_2d(glyph) for glyph in glyphs], dtype=np.uint8)
    digits = np.array(range(len(images)) if labels is None else labels, dtype=np.uint8)
    return Bank([images], digits, identity="ours", first_id=first_id)


def white(ink: Any) -> NDArray[np.uint8]:
    """A strip with this ink, 255 in the bank's way, on white paper."""
    return np.invert(np.atleast_2d(np.array(ink, dtype=np.uint8)))


def assert_reads_back(read: Reader, batch: Batch, *, inverted: bool = False, moved: int = 0) -> None:
    for number, image in enumerate(batch.images):
        reading = read.read(image)
        assert reading.digits == tuple(batch.digits[number].tolist())
        assert reading.glyphs == tuple(batch.glyphs[number].tolist())
        assert reading.x == tuple((batch.x[number] + moved).tolist())
        assert reading.gaps == tuple((np.diff(batch.x[number]) - reading.glyph_width).tolist())
        assert reading.inverted is inverted


@pytest.mark.parametrize("invert", [False, True], ids=["black on white", "white on black"])
@pytest.mark.parametrize("source", ["train", "test", "all"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_strips_read_back(layout: dict[str, Any], source: str, invert: bool) -> None:
    recipe = recipe_for(seed=1, length=4, source=source, invert=invert, **layout)
    assert_reads_back(reader(source), compose(recipe, load(Source(source)), 0, 100), inverted=invert)


@pytest.mark.parametrize("length", range(1, 9))
def test_strips_of_any_length_read_back(length: int) -> None:
    recipe = recipe_for(seed=2, length=length, min_gap=0, max_gap=5)
    assert_reads_back(reader("train"), compose(recipe, load(Source("train")), 0, 50))


@pytest.mark.parametrize("invert", [False, True], ids=["black on white", "white on black"])
def test_strips_read_back_from_anywhere_on_a_larger_canvas(invert: bool) -> None:
    recipe = recipe_for(seed=3, length=3, min_gap=2, max_gap=2, invert=invert)
    batch = compose(recipe, load(Source("train")), 0, 20)
    for left in (1, 13, 28, 200):
        canvas = np.pad(batch.images, ((0, 0), (0, 0), (left, 40)), constant_values=0 if invert else 255)
        moved = replace(batch, images=canvas)
        assert_reads_back(reader("train"), moved, inverted=invert, moved=left)


@given(
    seed=st.integers(0, 2**64 - 1),
    length=st.integers(1, 8),
    gaps=st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted),
    spacing=st.sampled_from(["equal", "random"]),
    source=st.sampled_from(["train", "test", "all"]),
    invert=st.booleans(),
    first=st.integers(0, 10**9),
)
def test_samples_of_any_recipe_read_back(
    seed: int, length: int, gaps: list[int], spacing: Any, source: str, invert: bool, first: int
) -> None:
    recipe = recipe_for(
        seed=seed, length=length, min_gap=gaps[0], max_gap=gaps[1], spacing=spacing, source=source, invert=invert
    )
    assert_reads_back(reader(source), compose(recipe, load(Source(source)), first, first + 5), inverted=invert)


@pytest.mark.parametrize(("height", "width"), [(20, 16), (7, 5), (28, 1), (1, 40), (33, 31), (1100, 1000)])
def test_strips_of_the_users_own_glyphs_read_back(tmp_path: Path, height: int, width: int) -> None:
    glyphs = np.random.default_rng(4).integers(0, 256, (20, height, width), dtype=np.uint8)
    glyphs[:, :, 0] |= 1  # ink at both edges: no glyph's box could stand anywhere else
    glyphs[:, :, -1] |= 1
    glyphs[:, 0, 0] = np.arange(1, 21)
    (tmp_path / "images").write_bytes(idx.encode(glyphs))
    (tmp_path / "labels").write_bytes(idx.encode(np.arange(20, dtype=np.uint8) % 10))
    bank = load(Source(images=tmp_path / "images", labels=tmp_path / "labels"))
    for invert in (False, True):
        recipe = recipe_for(
            seed=5,
            length=3,
            min_gap=0,
            max_gap=20,
            source=bank.identity,
            glyph_height=height,
            glyph_width=width,
            invert=invert,
        )
        assert_reads_back(Reader(bank), compose(recipe, bank, 0, 5), inverted=invert)


def test_the_memory_order_of_a_strip_does_not_matter() -> None:
    image = compose(recipe_for(seed=6, length=2), load(Source("train")), 0, 1).images[0]
    reading = reader("train").read(image)
    spread = np.full((28, 2 * 56), 9, dtype=np.uint8)
    spread[:, ::2] = image
    frozen = image.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(image), spread[:, ::2], frozen):
        assert reader("train").read(same) == reading


def test_a_reading_tells_the_gaps() -> None:
    assert Reading((1, 2, 3), (7, 8, 9), (4, 32, 70), (0, 0, 0), False, 28).gaps == (0, 10)
    assert Reading((1,), (7,), (4,), (0,), False, 28).gaps == ()


# What cannot be read


@given(sample=st.integers(0, 1000), row=st.integers(0, 27), column=st.integers(0, 147), change=st.integers(1, 255))
def test_one_changed_pixel_is_noticed_and_placed(sample: int, row: int, column: int, change: int) -> None:
    recipe = recipe_for(seed=7, length=4, min_gap=0, max_gap=12)
    batch = compose(recipe, load(Source("train")), sample, sample + 1)
    image, ends = batch.images[0], batch.x[0] + 28
    image[row, column] ^= change
    before = int(np.count_nonzero(ends <= column))
    start = ends[before - 1] if before else 0
    first_ink = start + int((image[:, start:] != 255).any(axis=0).argmax())
    digits = "1 digit was" if before == 1 else f"{before} digits were"
    with pytest.raises(CheckError, match=f"^from column {first_ink} on, .* {digits} read before it"):
        reader("train").read(image)


def test_ink_in_a_gap_is_placed_exactly() -> None:
    image = compose(recipe_for(seed=8, length=2, min_gap=30), load(Source("train")), 0, 1).images[0]
    image[5, 40] = 254
    with pytest.raises(CheckError, match=r"from column 40 on.*the source train; 1 digit was read before it; give"):
        reader("train").read(image)


def test_a_strip_of_another_source_is_refused() -> None:
    batch = compose(recipe_for(seed=9, length=4, source="test"), load(Source("test")), 0, 20)
    for image in batch.images:
        with pytest.raises(CheckError, match=r"not made of glyphs of the source train; 0 digits were read before it"):
            reader("train").read(image)


def test_strips_that_were_cropped_are_read_as_long_as_all_ink_is_there() -> None:
    batch = compose(recipe_for(seed=10, length=2), load(Source("train")), 0, 1)
    image, (left, right) = batch.images[0], batch.x[0].tolist()
    inked = image != 255
    (top, *_, bottom), (first, *_, last) = (np.flatnonzero(inked.any(axis=axis)).tolist() for axis in (1, 0))
    for rows, columns in (((top, bottom + 1), (first, last + 1)), ((1, 27), (0, 56)), ((0, 28), (2, 55))):
        reading = reader("train").read(image[slice(*rows), slice(*columns)])
        assert reading.glyphs == tuple(batch.glyphs[0].tolist())
        assert (reading.x, reading.y) == ((left - columns[0], right - columns[0]), (-rows[0],) * 2)
    for cut in (np.s_[top + 1 :], np.s_[:bottom], np.s_[:, first + 1 :]):
        with pytest.raises(CheckError, match=r"from column \d+ on, .* 0 digits were read before it; give"):
            reader("train").read(image[cut])
    with pytest.raises(CheckError, match=r"from column \d+ on, .* 1 digit was read before it"):
        reader("train").read(image[:, :last])
    with pytest.raises(CheckError, match="blank"):
        reader("train").read(image[:0])


def test_what_is_not_one_grey_image_of_bytes_is_refused() -> None:
    image = compose(recipe_for(seed=11, length=2), load(Source("train")), 0, 1).images[0]
    with pytest.raises(CheckError, match="28×56×3 px"):
        reader("train").read(np.dstack([image] * 3))
    with pytest.raises(CheckError, match="56 px, not height × width"):
        reader("train").read(image[0])
    with pytest.raises(CheckError, match="holds float32 values; give it as uint8"):
        reader("train").read((image / 255).astype(np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("paper", [0, 255])
@pytest.mark.parametrize("width", [0, 1, 28, 112])
def test_empty_paper_is_refused(width: int, paper: int) -> None:
    with pytest.raises(CheckError, match="the strip is blank; there is nothing to read"):
        reader("train").read(np.full((28, width), paper, dtype=np.uint8))


@pytest.mark.parametrize("width", [1, 27, 28, 112])
def test_noise_is_refused(width: int) -> None:
    noise = np.random.default_rng(12).integers(0, 256, (28, width), dtype=np.uint8)
    with pytest.raises(CheckError, match="from column 0 on"):
        reader("all").read(noise)


def test_a_source_that_changes_while_it_is_read_is_noticed() -> None:
    class Changing(Bank):
        def images(self, glyphs: NDArray[Any]) -> NDArray[np.uint8]:
            return np.invert(super().images(glyphs))

    bank = Changing([np.array([[[9]]], dtype=np.uint8)], np.zeros(1, dtype=np.uint8), identity="ours")
    with pytest.raises(CheckError, match="do not give the strip again"):
        Reader(bank).read(white([9]))


# Glyphs that are hard to tell apart


def test_of_glyphs_that_look_alike_the_lowest_id_is_read() -> None:
    bank = bank_of([3, 4], [5, 6], [3, 4], [5, 6], labels=[8, 1, 2, 9], first_id=100)
    reading = Reader(bank).read(white([5, 6, 3, 4]))
    assert (reading.digits, reading.glyphs) == ((1, 8), (101, 100))


def test_of_shifted_copies_the_leftmost_box_is_read() -> None:
    bank = bank_of([0, 5, 0, 0], [0, 0, 5, 0], [5, 0, 0, 0])
    assert Reader(bank).read(white([0, 0, 5, 0, 0, 0])).x == (0,)
    reading = Reader(bank).read(white([5, 0, 0, 0, 0, 5, 0, 0]))
    assert (reading.digits, reading.x) == ((2, 0), (0, 4))


def test_a_box_that_leads_nowhere_is_taken_back() -> None:
    bank = bank_of([0, 5, 6, 7], [0, 0, 5, 6])  # the second is the first, moved right until it lost a column
    reading = Reader(bank).read(white([0, 0, 5, 6, 7, 0, 0]))
    assert (reading.digits, reading.x) == ((0,), (1,))


def test_the_furthest_column_is_named_when_boxes_were_taken_back() -> None:
    bank = bank_of([0, 5, 6, 7], [0, 0, 5, 6])
    with pytest.raises(CheckError, match=r"from column 9 on, .* 1 digit was read before it"):
        Reader(bank).read(white([0, 0, 5, 6, 7, 0, 0, 0, 0, 5]))


def test_glyphs_of_one_checksum_are_told_apart() -> None:
    one = np.array([[9, 8, 7, 6], [5, 4, 3, 2]], dtype=np.uint8)
    other = one.copy()
    # CRC-32 cannot see its own generator polynomial, 33 bits with the lowest of each byte first.
    other.reshape(-1)[:5] ^= np.frombuffer((0xEDB88320 << 1 | 1).to_bytes(5, "little"), dtype=np.uint8)
    third = other.copy()
    third.reshape(-1)[3:] ^= np.frombuffer((0xEDB88320 << 1 | 1).to_bytes(5, "little"), dtype=np.uint8)
    assert isal_zlib.crc32(one) == isal_zlib.crc32(other) == isal_zlib.crc32(third)
    for glyphs in ((one, other), (other, one)):
        assert Reader(bank_of(*glyphs)).read(white(np.hstack(glyphs))).digits == (0, 1)
        with pytest.raises(CheckError, match="0 digits"):
            Reader(bank_of(*glyphs)).read(white(third))


def test_a_glyph_without_ink_is_read_as_paper() -> None:
    bank = bank_of([0, 0], [5, 6])
    assert Reader(bank).read(white([5, 6, 0, 0, 5, 6])).digits == (1, 1)


@pytest.mark.parametrize("invert", [False, True], ids=["black on white", "white on black"])
def test_glyphs_that_are_mostly_ink_are_read_in_either_polarity(invert: bool) -> None:
    ink = np.array([[255, 255, 254, 255]], dtype=np.uint8)
    reading = Reader(bank_of([255, 255], [254, 255])).read(ink if invert else np.invert(ink))
    assert (reading.digits, reading.inverted) == ((0, 1), invert)


# Every reading against a slow search through all of them


def all_readings(ink: list[int], glyphs: list[list[int]], start: int = 0) -> Iterator[list[tuple[int, int]]]:
    """All ways to make `ink` of glyphs with ink, as (left edge, place), leftmost first."""
    width = len(glyphs[0])
    if not any(ink[start:]):
        yield []
    for x in range(start, len(ink) - width + 1):
        if any(ink[start:x]):
            break
        window = ink[x : x + width]
        if any(window) and window in glyphs:
            place = glyphs.index(window)
            yield from ([(x, place), *rest] for rest in all_readings(ink, glyphs, x + width))


@st.composite
def banks_and_strips(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    width = draw(st.integers(1, 4))
    glyph = st.lists(st.sampled_from([0, 0, 1, 2]), min_size=width, max_size=width)
    glyphs = draw(st.lists(glyph, min_size=1, max_size=6))
    parts = draw(st.lists(st.one_of(st.sampled_from(glyphs), st.lists(st.just(0), max_size=3)), max_size=6))
    strip = [value for part in parts for value in part]
    if draw(st.booleans()):
        strip.insert(draw(st.integers(0, len(strip))), draw(st.sampled_from([0, 1, 2])))
    return glyphs, strip


def assert_painted(reading: Reading, glyphs: list[list[int]], ink: list[int]) -> None:
    """The glyphs of a reading, one over the other, give the strip."""
    width = len(glyphs[0])
    painted = [0] * (len(ink) + 2 * width)
    for x, place in zip(reading.x, reading.glyphs, strict=True):
        for column, value in enumerate(glyphs[place], x + width):
            painted[column] = max(painted[column], value)
    assert painted == [0] * width + ink + [0] * width


@given(case=banks_and_strips())
def test_the_first_of_all_readings_is_found(case: tuple[list[list[int]], list[int]]) -> None:
    glyphs, ink = case
    expected = next(all_readings(ink, glyphs), [])
    read = Reader(bank_of(*glyphs))
    if not expected:
        with suppress(CheckError):  # a box may overlap another, or reach beyond the strip
            assert_painted(read.read(white([ink])), glyphs, ink)
    else:
        reading = read.read(white([ink]))
        assert list(zip(reading.x, reading.glyphs, strict=True)) == expected


# Many strips at once


def one_by_one(read: Reader, images: NDArray[np.uint8]) -> list[Any]:
    """What `read` says of each image: a reading, or the words of the error."""
    said: list[Any] = []
    for image in images:
        try:
            said.append(read.read(image))
        except CheckError as error:
            said.append(str(error))
    return said


def at_once(read: Reader, images: NDArray[np.uint8]) -> list[Any]:
    return [result if isinstance(result, Reading) else str(result) for result in read.read_all(images)]


@pytest.mark.parametrize("invert", [False, True], ids=["black on white", "white on black"])
@pytest.mark.parametrize("source", ["train", "test", "all"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_strips_at_once_read_as_one_by_one(layout: dict[str, Any], source: str, invert: bool) -> None:
    recipe = recipe_for(seed=21, length=4, source=source, invert=invert, **layout)
    images = compose(recipe, load(Source(source)), 0, 80).images
    images[3, 5, 9] ^= 1
    images[40] = 255
    images[41] = 0
    images[42, :, -14:] = images[42, :, :14]
    images[43] ^= 255
    assert at_once(reader(source), images) == one_by_one(reader(source), images)
    assert len(reader(source)._read_at_once(images)) == 76, "and no other the slow way"


def test_strips_of_several_lengths_at_once(tmp_path: Path) -> None:
    recipe = recipe_for(seed=22, length=((2, 1), (7, 1)), min_gap=0, max_gap=4)
    images = compose(recipe, load(Source("train")), 0, 200).images
    found = at_once(reader("train"), images)
    assert found == one_by_one(reader("train"), images)
    assert {len(reading.digits) for reading in found} == {2, 7}


def test_what_is_no_strip_at_once_is_what_it_is_alone() -> None:
    noise = np.random.default_rng(23).integers(0, 256, (40, 28, 90), dtype=np.uint8)
    for images in (noise, noise[:, :27], noise[:, :, :20], noise[:, :, :0], noise.astype(np.float32), noise[:0]):
        assert at_once(reader("train"), images) == one_by_one(reader("train"), images)


def test_a_bank_without_ink_reads_nothing_at_once() -> None:
    read = Reader(bank_of([0, 0], [0, 0]))
    assert at_once(read, np.full((50, 1, 6), 255, dtype=np.uint8)) == one_by_one(
        read, np.full((50, 1, 6), 255, np.uint8)
    )


@given(case=banks_and_strips(), others=st.lists(st.integers(0, 5), max_size=3))
def test_hard_strips_at_once_read_as_one_by_one(case: tuple[list[list[int]], list[int]], others: list[int]) -> None:
    """Glyphs that are parts of others, alike, or empty: where their ink begins does not tell what they are."""
    glyphs, ink = case
    if not ink:
        return
    images = np.repeat(white([ink])[None], 40, axis=0)
    for number in others:  # and the strip with a bit of it changed
        images[number, 0, number % len(ink)] ^= 255
    images[20:] ^= 255
    read = Reader(bank_of(*glyphs))
    assert at_once(read, images) == one_by_one(read, images)


def test_glyphs_that_begin_alike_are_told_apart_at_once() -> None:
    bank = bank_of([0, 5, 0, 7], [0, 0, 5, 0], [5, 0, 7, 8], [0, 0, 0, 5])
    strips = [[0, 5, 0, 7, 5, 0, 7, 8], [0, 0, 5, 0, 5, 0, 7, 8], [0, 0, 0, 5, 0, 0, 0, 5], [0, 5, 0, 7, 0, 0, 5, 0]]
    images = np.stack([white(strip) for strip in strips * 10])
    assert at_once(Reader(bank), images) == one_by_one(Reader(bank), images)


@pytest.mark.slow
def test_ten_thousand_strips_are_read_at_once() -> None:
    images = compose(recipe_for(seed=24, length=4, min_gap=0, max_gap=10), load(Source("train")), 0, 10_000).images
    found = [
        result for start in range(0, 10_000, 250) for result in reader("train").read_all(images[start : start + 250])
    ]
    assert all(isinstance(reading, Reading) for reading in found)


# Strips that would take hours, were each position tried with each glyph: the timeout of the tests ends that

WIDTH = 100_000


def assert_read(read: Reader, image: NDArray[np.uint8], digits: int | None) -> None:
    if digits is None:
        with pytest.raises(CheckError):
            read.read(image)
    else:
        assert len(read.read(image).digits) == digits


def test_a_long_strip_is_read() -> None:
    bank = load(Source("all"))
    glyphs = bank.images(np.arange(WIDTH // 28))
    strip = np.hstack([*np.invert(glyphs)])
    assert_read(reader("all"), strip, WIDTH // 28)
    strip[14, -14] ^= 1
    assert_read(reader("all"), strip, None)


@pytest.mark.parametrize("values", [(0, 256), (0, 2), (254, 256)])
def test_wide_noise_is_refused(values: tuple[int, int]) -> None:
    assert_read(reader("all"), np.random.default_rng(14).integers(*values, (28, WIDTH)).astype(np.uint8), None)


@pytest.mark.slow
def test_a_strip_with_many_ways_to_fail_is_refused() -> None:
    bank = bank_of([0, 5, 6, 7], [0, 0, 5, 6], [7, 0, 0, 0])  # 5, 6, 7 is the first, or the second and the third
    strip = white([0, 0, 5, 6, 7, 0, 0, 0, 0, 0] * (WIDTH // 10))
    assert_read(Reader(bank), strip, 2 * (WIDTH // 10))
    strip[0, -1] = 0  # and after 2 ** 10,000 ways to come here, ink that is in no glyph
    assert_read(Reader(bank), strip, None)


@pytest.mark.slow
def test_a_strip_where_every_box_fits_is_refused() -> None:
    columns = np.zeros((28, 28, 28), dtype=np.uint8)
    columns[np.arange(28), :, np.arange(28)] = 255
    bank = Bank([columns], (np.arange(28) % 10).astype(np.uint8), identity="ours")
    strip = np.full((28, WIDTH), 255, dtype=np.uint8)
    strip[:, 27 : WIDTH - 60 : 29] = 0
    assert_read(Reader(bank), strip, len(range(27, WIDTH - 60, 29)))
    strip[3, -1] = 0
    assert_read(Reader(bank), strip, None)


def test_a_bank_of_one_image_over_and_over_is_read() -> None:
    bank = bank_of(*([[0, 5, 0]] * 50_000), labels=[3] * 50_000)
    assert_read(Reader(bank), white([0, 5, 0, 0] * (WIDTH // 4)), WIDTH // 4)
