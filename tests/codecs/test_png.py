import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli.codecs import image_file
from mnist_seq_cli.codecs.compression import COMPRESSIONS, Compression
from mnist_seq_cli.codecs.png import decode, encode
from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist.bank import Source, load

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NOISE = np.random.Generator(np.random.Philox(5)).integers(0, 256, (3, 9, 13), dtype=np.uint8)
STRIPS = compose(recipe_for(seed=7, length=4, max_gap=9, source="test"), load(Source("test")), 0, 20).images
BATCHES = hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 28), st.integers(1, 400)))


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG file, (kind, data), after a check of each CRC."""
    assert content[:8] == SIGNATURE
    place, chunks = 8, []
    while place < len(content):
        (size,) = struct.unpack_from(">I", content, place)
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        (crc,) = struct.unpack_from(">I", content, place + 8 + size)
        assert crc == zlib.crc32(kind + data)
        chunks.append((kind, data))
        place += 12 + size
    assert place == len(content)
    return chunks


def file_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return SIGNATURE + b"".join(parts)


def header(width: int, height: int, depth: int = 8, colour: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def pixels_of(content: bytes) -> list[list[int]]:
    """Read an 8-bit grey PNG file without filters, after the words of the standard."""
    (head, start), *middle, (tail, rest) = chunks_of(content)
    assert (head, tail, rest) == (b"IHDR", b"IEND", b"")
    width, height, *kind = struct.unpack(">IIBBBBB", start)
    assert kind == [8, 0, 0, 0, 0]
    assert {name for name, _ in middle} == {b"IDAT"}
    inflate = zlib.decompressobj()
    plain = inflate.decompress(b"".join(data for _, data in middle))
    assert inflate.eof
    assert not inflate.unused_data
    lines = [plain[at : at + width + 1] for at in range(0, len(plain), width + 1)]
    assert len(lines) == height
    assert all(line[0] == 0 and len(line) == width + 1 for line in lines)
    return [list(line[1:]) for line in lines]


def pillow(array: NDArray[Any] | Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, **{"format": "PNG", **options})
    return file.getvalue()


def refusal(content: bytes, name: str = "some.png") -> str:
    with pytest.raises(FormatError) as caught:
        decode(content, name=name)
    message = str(caught.value)
    assert message.startswith(name)
    assert message.isprintable()
    return message


# Writing


@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(images=BATCHES)
@example(images=np.zeros((1, 1, 1), dtype=np.uint8))
@example(images=NOISE)
def test_three_readers_see_the_same_pixels(compression: Compression, images: NDArray[np.uint8]) -> None:
    files = encode(images, compression)
    assert len(files) == len(images)
    for content, pixels in zip(files, images, strict=True):
        with Image.open(io.BytesIO(content)) as seen:
            assert (seen.format, seen.mode, seen.size) == ("PNG", "L", pixels.shape[::-1])
            assert seen.info == {}
            assert np.asarray(seen).tolist() == pixels.tolist()
        assert pixels_of(content) == pixels.tolist()
        again = decode(content)
        assert again.dtype == np.uint8
        assert again.tolist() == pixels.tolist()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_strips_come_back(compression: Compression) -> None:
    for content, strip in zip(encode(STRIPS, compression), STRIPS, strict=True):
        np.testing.assert_array_equal(decode(content), strip)


def test_each_compression_does_what_it_is_called() -> None:
    fast, small = (encode(STRIPS, compression) for compression in ("fast", "small"))
    assert sum(map(len, small)) < sum(map(len, fast)) < STRIPS.size / 2
    assert encode(STRIPS) == fast


def test_views_of_any_strides_are_written() -> None:
    expected = encode(NOISE)
    turned = np.asfortranarray(NOISE)
    assert not turned.flags.c_contiguous
    assert encode(turned) == expected
    assert encode(np.repeat(NOISE, 2, axis=2)[:, :, ::2]) == expected
    frozen = NOISE.copy()
    frozen.flags.writeable = False
    assert encode(frozen) == expected


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_image_has_the_same_bytes_in_any_batch(compression: Compression) -> None:
    together = encode(STRIPS, compression)
    assert [encode(STRIPS[place : place + 1], compression)[0] for place in range(len(STRIPS))] == together
    assert encode(STRIPS, compression) == together


# Reading what others wrote


def test_colours_and_palettes_are_read_as_grey() -> None:
    grey = NOISE[0]
    rgb = np.stack([grey] * 3, axis=2)
    assert decode(pillow(rgb)).tolist() == grey.tolist()
    palette = Image.fromarray(grey // 64).convert("P")
    palette.putpalette([0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255])
    assert decode(pillow(palette)).tolist() == np.array([0, 100, 200, 255])[grey // 64].tolist()
    assert decode(pillow(Image.fromarray(grey > 127))).tolist() == np.where(grey > 127, 255, 0).tolist()
    # ITU-R BT.601, which Pillow documents for "L": 0.299 R + 0.587 G + 0.114 B.
    primary = decode(pillow(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)))
    assert np.abs(primary[0].astype(int) - [76, 150, 29]).max() <= 1


def test_sixteen_bits_are_read_as_eight() -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(8, 32)
    assert decode(pillow(grey * 257)).tolist() == grey.tolist()


def test_filters_and_interlacing_of_others_are_understood() -> None:
    # One line with each of the five filters, by the words of the standard (section 9).
    image = np.array([[10, 20, 30], [11, 22, 33], [12, 24, 36], [13, 26, 39], [14, 28, 42]], dtype=np.uint8)
    lines = [[0, 10, 20, 30], [1, 11, 11, 11], [2, 1, 2, 3], [3, 7, 8, 8], [4, 1, 2, 3]]
    data = zlib.compress(b"".join(map(bytes, lines)))
    content = file_of([header(3, 5), (b"IDAT", data[:7]), (b"IDAT", data[7:]), (b"IEND", b"")])
    assert decode(content).tolist() == image.tolist()
    one_pixel = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)
    interlaced = [(b"IHDR", one_pixel), (b"IDAT", zlib.compress(b"\0\x2a")), (b"IEND", b"")]
    assert decode(file_of(interlaced)).tolist() == [[42]]


def test_what_is_decoded_can_be_changed() -> None:
    image = decode(encode(NOISE)[0])
    image[0, 0] = 1
    assert image.flags.c_contiguous


# Hostile files


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89",
        SIGNATURE,
        SIGNATURE[:-1] + b"\r",
        SIGNATURE + bytes(100),
        b"P5 1 1 255 \0",
        b"<html>404 Not Found</html>",
        b"\x1f\x8b\x08\x00",
        bytes(1000),
        pillow(NOISE[0], format="JPEG"),
        pillow(NOISE[0], format="GIF"),
        pillow(NOISE[0], format="TIFF"),
        pillow(NOISE[0], format="BMP"),
    ],
    ids=lambda content: repr(content[:6]),
)
def test_what_is_not_png_is_refused(content: bytes) -> None:
    refusal(content)


def test_the_message_is_one_line_whatever_the_name() -> None:
    with pytest.raises(FormatError) as caught:
        decode(b"", name="two\nlines\x1b[31m.png")
    assert str(caught.value).startswith(r"two\nlines\x1b[31m.png ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("image", [NOISE[0], STRIPS[0]], ids=["noise", "strip"])
def test_a_file_cut_off_anywhere_is_refused(image: NDArray[np.uint8]) -> None:
    content = encode(image[None])[0]
    read = []
    for length in range(len(content)):
        try:
            decode(content[:length])
        except FormatError:
            continue
        read.append(length)
    assert read == []


@pytest.mark.parametrize("image", [NOISE[0], STRIPS[0]], ids=["noise", "strip"])
def test_a_file_with_a_flipped_bit_anywhere_is_refused(image: NDArray[np.uint8]) -> None:
    content = bytearray(encode(image[None])[0])
    read = []
    for place in range(len(content)):
        content[place] ^= 1
        try:
            decode(bytes(content))
        except FormatError:
            pass
        else:
            read.append(place)
        content[place] ^= 1
    assert read == []


def test_a_wrong_crc_is_refused_in_every_chunk() -> None:
    chunks = chunks_of(encode(NOISE)[0])
    for place, (kind, data) in enumerate(chunks):
        before, after = file_of(chunks[:place]), file_of(chunks[place + 1 :])[8:]
        wrong = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ 1)
        refusal(before + wrong + after)


@pytest.mark.parametrize(
    "size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (9_000, 9_000), (64_000_001, 1), (2**32 - 1, 1)]
)
def test_an_image_that_claims_to_be_huge_is_refused(size: tuple[int, int]) -> None:
    data = zlib.compress(bytes(100))
    refusal(file_of([header(*size), (b"IDAT", data), (b"IEND", b"")]))


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [header(3, 2)],
        [header(3, 2), (b"IEND", b"")],
        [header(3, 2), (b"IDAT", b""), (b"IEND", b"")],
        [header(3, 2), (b"IDAT", zlib.compress(bytes(4))), (b"IEND", b"")],
        [header(3, 2), (b"IDAT", b"not deflate"), (b"IEND", b"")],
        [header(3, 2), (b"IDAT", zlib.compress(bytes(8)))],
        [header(0, 2), (b"IDAT", zlib.compress(bytes(2))), (b"IEND", b"")],
        [header(3, 0), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")],
        [header(3, 2, depth=3), (b"IDAT", zlib.compress(bytes(8))), (b"IEND", b"")],
        [header(3, 2, colour=7), (b"IDAT", zlib.compress(bytes(8))), (b"IEND", b"")],
        [(b"IDAT", zlib.compress(bytes(8))), (b"IEND", b"")],
        [header(3, 2), (b"IDAT", zlib.compress(bytes([9, 0, 0, 0] * 2))), (b"IEND", b"")],
    ],
    ids=lambda chunks: "+".join(kind.decode() for kind, _ in chunks),
)
def test_sound_chunks_that_make_no_image_are_refused(chunks: list[tuple[bytes, bytes]]) -> None:
    refusal(file_of(chunks))


KINDS = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"pHYs", b"tEXt", b"zTXt", b"iTXt"]
KINDS += [b"eXIf", b"acTL", b"fcTL", b"fdAT", b"xxXx", b"XXXX"]
SEEDS = [encode(NOISE)[0], *(pillow(Image.new(mode, (9, 6)), dpi=(72, 72)) for mode in ("1", "P", "RGB", "LA", "I;16"))]


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.sampled_from(["insert", "replace", "rename", "cut"]),
            st.sampled_from(KINDS),
            st.binary(max_size=30),
        ),
        max_size=3,
    ),
    cut=st.integers(0, 30),
)
@example(seed=SEEDS[0], changes=[(2, "insert", b"iCCP", b"")], cut=0)
def test_any_chunks_are_an_image_or_refused(
    seed: bytes, changes: list[tuple[int, str, bytes, bytes]], cut: int
) -> None:
    chunks = chunks_of(seed)
    for number, change, kind, data in changes:
        place = number % len(chunks)
        if change == "insert":
            chunks.insert(place, (kind, data))
        elif change == "replace":
            chunks[place] = (chunks[place][0], data)
        elif change == "rename":
            chunks[place] = (kind, chunks[place][1])
        else:
            chunks[place] = (chunks[place][0], chunks[place][1][: -len(data) - 1])
    content = file_of(chunks)
    with suppress(FormatError):
        image = decode(content[: len(content) - cut])
        assert image.ndim == 2
        assert image.dtype == np.uint8
        assert image.size <= image_file.MAX_PIXELS


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour"),
    [(64_000_000, 1, 8, 0), (1, 100_001, 8, 0), (4001, 4000, 8, 0), (8000, 8000, 16, 6), (2**31 - 1, 2**31 - 1, 1, 0)],
)
def test_a_picture_that_is_too_large_is_refused_before_its_pixels_are_inflated(
    width: int, height: int, depth: int, colour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zlib.decompressobj", None)  # nothing may come so far
    pixels = zlib.compress(bytes(1 << 20))
    content = file_of([header(width, height, depth, colour), (b"IDAT", pixels), (b"IEND", b"")])
    with pytest.raises(FormatError, match=f"it claims {width}×{height} px, and may have 16 million in all"):
        decode(content)


@given(content=st.binary(max_size=200), signed=st.booleans())
def test_any_bytes_are_an_image_or_refused(content: bytes, signed: bool) -> None:
    refusal(SIGNATURE * signed + content)


AGAIN = """
import sys
from hashlib import sha256
from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.codecs.png import encode
images = SequenceDataset(length=20, max_gap=9, seed=3).batch(0, 2000).images
for _ in range(8):
    contents = [content for first in range(0, 2000, 40) for content in encode(images[first : first + 40], sys.argv[1])]
    print(sha256(b"".join(contents)).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_image_has_the_same_bytes_in_every_process(compression: Compression) -> None:
    """Not so at levels 1 and 2 of ISA-L, where one image in some 10,000 has other bytes on a busy machine."""
    command = [sys.executable, "-c", AGAIN, compression]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    sums = {line for process in running for line in process.communicate()[0].split()}
    assert [process.returncode for process in running] == [0] * 6
    assert len(sums) == 1
