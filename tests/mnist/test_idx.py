import bz2
import gzip
import lzma
import math
import mmap
import os
import pickle
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from ended import Outcome
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mnist_seq_cli.codecs import file_array
from mnist_seq_cli.codecs.file_array import FileArray
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.mnist import bank, idx
from mnist_seq_cli.mnist.bank import Source

NATIVE = ["uint8", "int8", "int16", "int32", "float32", "float64"]
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
MIB = 1 << 20
SMALL = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def header(code: int, *shape: int) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def plain(array: NDArray[Any]) -> bytes:
    """Write an IDX file after the words of the format's description."""
    return header(CODES[array.dtype.name], *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def member(content: bytes, level: int = 6) -> bytes:
    return gzip.compress(content, level, mtime=0)


def endless_gzip(start: bytes, mebibytes: int) -> bytes:
    """Return a gzip file that inflates to `start` and so many MiB of zeros, and then breaks off."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    begin = deflate.compress(start) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return begin + block * mebibytes


def refusal(source: bytes | Path, name: str = "the/file.idx", *, limit: int = 50 * MIB) -> str:
    """Return the message that a source is refused with, and check what holds for all of them."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            idx.read(source, name=name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{name} is not an IDX file: ")
    assert message.isprintable()
    assert peak < limit, f"{peak / MIB:.0f} MiB were allocated"
    return message


def same(array: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Tell whether arrays are equal bit for bit, whatever their byte order: a NaN equals itself."""
    in_file_order = expected.astype(expected.dtype.newbyteorder(">"))
    return (
        array.dtype == in_file_order.dtype
        and array.shape == expected.shape
        and array.tobytes() == (in_file_order.tobytes())
    )


# Round trips


def arrays(dtype: str) -> st.SearchStrategy[NDArray[Any]]:
    return hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", NATIVE)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_is_read_again(dtype: str, compress: bool, data: st.DataObject) -> None:
    array = data.draw(arrays(dtype))
    content = idx.encode(array, compress=compress)
    assert (gzip.decompress(content) if compress else content) == plain(array)
    assert same(idx.read(content), array)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "any name"
        path.write_bytes(content)
        again = idx.read(path)
        assert same(again, array)
        assert not again.flags.writeable


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dtype", NATIVE)
def test_every_type_and_number_of_dimensions(dtype: str, dimensions: int) -> None:
    shape = (3, *(2,) * (dimensions - 1))
    array = (np.arange(math.prod(shape)) - (0 if dtype == "uint8" else 5)).astype(dtype).reshape(shape)
    again = idx.read(idx.encode(array))
    assert again.dtype == array.dtype.newbyteorder(">")
    assert again.tolist() == array.tolist()


def test_the_bytes_are_those_of_the_format() -> None:
    assert idx.encode(np.array([[1, 2, 3]], dtype=np.uint8)) == bytes.fromhex("00000802 00000001 00000003 010203")
    assert idx.encode(np.array([-2, 258], dtype=np.int16)) == bytes.fromhex("00000b01 00000002 fffe 0102")
    assert idx.encode(np.array([1.5], dtype=np.float32)) == bytes.fromhex("00000d01 00000001 3fc00000")


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_byte_order_and_strides_of_the_input_do_not_matter(dtype: str) -> None:
    array = np.arange(24).reshape(4, 6).astype(dtype)
    expected = idx.encode(array)
    assert idx.encode(array.astype(f"<{np.dtype(dtype).str[1:]}")) == expected
    assert idx.encode(array.astype(f">{np.dtype(dtype).str[1:]}")) == expected
    assert idx.encode(np.asfortranarray(array)) == expected
    assert idx.encode(np.repeat(array, 2, axis=1)[:, ::2]) == expected


def test_gzip_bytes_are_the_same_every_time_and_name_no_file_time_or_system() -> None:
    content = idx.encode(SMALL, compress=True)
    assert content == idx.encode(SMALL.copy(), compress=True)
    assert content[:10] == bytes.fromhex("1f8b0800 00000000 00ff")
    assert content.startswith(idx.GZIP_HEADER)
    assert content.endswith(idx.gzip_trailer(zlib.crc32(plain(SMALL)), len(plain(SMALL))))


def test_the_trailer_has_the_size_modulo_four_gib() -> None:
    assert idx.gzip_trailer(1, 2**32 + 5) == bytes.fromhex("01000000 05000000")


def test_a_header_written_alone_is_that_of_the_file() -> None:
    assert idx.encode(SMALL).startswith(idx.encode_header(SMALL.dtype, SMALL.shape))
    assert idx.encode_header(np.dtype("u1"), (2**32 - 1, 1)) == header(8, 2**32 - 1, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, dtype=bool),
        np.zeros(3, dtype=np.uint16),
        np.zeros(3, dtype=np.int64),
        np.zeros(3, dtype=np.float16),
        np.zeros(3, dtype=complex),
        np.array(["7"]),
        np.array([b"7"]),
        np.array([None]),
        np.array(7, dtype=np.uint8),
        np.zeros((1,) * 9, dtype=np.uint8),
        np.zeros(0, dtype=np.uint8),
        np.zeros((3, 0, 28), dtype=np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_what_the_format_has_no_words_for_is_not_written(array: NDArray[Any]) -> None:
    with pytest.raises(FormatError, match="IDX") as caught:
        idx.encode(array)
    assert str(caught.value).isprintable()


def test_a_size_beyond_32_bits_is_not_written() -> None:
    with pytest.raises(FormatError, match="cannot have the shape"):
        idx.encode_header(np.dtype("u1"), (2**32,))


# Plain files are held, and rows of large ones are read when they are asked for


def test_rows_of_a_large_file_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(header(8, 200, 1024, 1024))
        file.truncate(16 + 200 * MIB)
    tracemalloc.start()
    try:
        array = idx.read(path)
        assert (array.shape, array[199].any(), array.max()) == ((200, 1024, 1024), False, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB


def test_rows_of_a_large_file_are_those_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    expected = np.arange(60, dtype=np.int32).reshape(10, 3, 2)
    path.write_bytes(idx.encode(expected))
    monkeypatch.setattr(file_array, "MAX_HELD", 0)
    monkeypatch.setattr("mnist_seq_cli.codecs.file_array.BLOCK", 50)
    array = pickle.loads(pickle.dumps(idx.read(path)))
    for rows in (3, -1, np.int64(2), slice(2, 7), slice(None), slice(8, 2), slice(9, 1, -3), np.array([5, 5, -2])):
        assert same(array[rows], expected[rows])
    assert same(np.stack(list(array)).astype(array.dtype), expected)
    assert same(np.asarray(array), expected)
    out = np.empty((2, 6), array.dtype)
    array.reshape(10, -1).take(np.array([7, 1]), axis=0, out=out, mode="clip")
    assert same(out, expected[[7, 1]].reshape(2, 6))
    with pytest.raises(IndexError, match="there are 10 rows"):
        array[10]
    path.write_bytes(idx.encode(expected + 1))
    os.utime(path, (1, 1))
    with pytest.raises(OSError, match="it was changed while it was read"):
        array[0]


@pytest.mark.parametrize("held", [0, MIB])
def test_a_file_that_is_cut_while_it_is_read_is_one_line(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnistseq: Callable[..., Outcome]
) -> None:
    path = tmp_path / "x"
    path.write_bytes(idx.encode(np.zeros((99, 20, 20), np.uint8)))
    monkeypatch.setattr(file_array, "MAX_HELD", held)
    check_size = idx._check_size

    def cut(*sizes: Any) -> None:
        check_size(*sizes)
        os.truncate(path, 2_000)

    monkeypatch.setattr(idx, "_check_size", cut)
    done = mnistseq("decode", path, "-o", tmp_path / "out.npz")
    assert (done.code, done.out, done.err) == (1, "", f"mnistseq: {path}: it was cut while it was read\n")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_only_files_that_nobody_else_writes_to_are_mapped() -> None:
    base: Any = bank.read(Source("test"))._parts[0]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    sources = Path(idx.__file__).parent.parent.rglob("*.py")
    assert {path.stem for path in sources if "mapped=True" in path.read_text()} == {"bank"}


def test_a_source_that_is_not_held_is_the_same_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [bank.bundled_directory() / file.name for file in bank.BUNDLED_FILES[2:]]
    held = bank.read(Source("own", *paths))
    monkeypatch.setattr(file_array, "MAX_HELD", 1 << 20)
    read = bank.read(Source("own", *paths))
    assert isinstance(read._parts[0], FileArray)
    assert (read.identity, read.sums()[:9], read.facts) == (held.identity, held.sums()[:9], held.facts)
    np.testing.assert_array_equal(read.images(np.arange(9_000, 9_100)), held.images(np.arange(9_000, 9_100)))


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_read_is_read_only(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "small"
    path.write_bytes(idx.encode(SMALL, compress=compress))
    for source in (path, path.read_bytes()):
        array = idx.read(source)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert same(idx.read(path), SMALL)


def test_a_file_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        idx.read(tmp_path)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (header(8, 3)[:4], True),
        (header(0x0E, 1, 1)[:4], True),
        (b"\x1f\x8b\x08\x00", True),
        (b"\x1f\x8b", True),
        (b"\0\0\x08\0", False),
        (b"\0\0\x0a\x01", False),
        (b"\0\0\x08", False),
        (b"\x89PNG", False),
        (b"", False),
    ],
)
def test_the_first_bytes_tell_what_may_be_idx(start: bytes, expected: bool) -> None:
    assert idx.looks_like_idx(start) is expected


# Hostile files: each as bytes, as a file, and inside gzip

HOSTILE = {
    "empty": (b"", "empty|0 bytes"),
    "one byte": (b"\0", "it has 1 bytes, too few for a header"),
    "3 bytes": (b"\0\0\x08", "it has 3 bytes, too few for a header"),
    "header cut short": (header(8, 5, 28, 28)[:15], "it has 15 bytes, and its header alone takes 16"),
    "bad magic": (b"\x12\x34\x08\x01" + bytes(20), "it begins with 12 34 08 01, not with 00 00"),
    "text": (b"label,image\n1,0\n", "it begins with 6c 61 62 65"),
    "unknown type code": (header(0x0A, 3) + bytes(3), "its type code is 0a"),
    "type code 0": (header(0, 3) + bytes(3), "its type code is 00"),
    "zeros": (bytes(5_000), "its type code is 00"),
    "0 dimensions": (header(8) + bytes(1), "it claims 0 dimensions"),
    "9 dimensions": (header(8, *(1,) * 9) + bytes(1), "it claims 9 dimensions"),
    "255 dimensions": (header(8, *(1,) * 255) + bytes(1), "it claims 255 dimensions"),
    "2^96 values": (header(8, *(2**32 - 1,) * 3) + bytes(100), r"4294967295×4294967295×4294967295 values"),
    "2^256 values": (header(0x0E, *(2**32 - 1,) * 8) + bytes(100), "4294967295×4294967295×"),
    "19 bytes that claim terabytes": (header(8, 2**32 - 1, 28, 28) + bytes(3), r"claims 4294967295×28×28 values"),
    "one byte short": (plain(SMALL)[:-1], r"its header claims 2×3×4 values, 40 bytes, and it has 39"),
    "one byte long": (plain(SMALL) + b"\0", r"its header claims 2×3×4 values, 40 bytes, and it has 41"),
    "no values at all": (header(8, 2, 3, 4), r"claims 2×3×4 values, 40 bytes, and it has 16"),
    "no images": (header(8, 0, 28, 28), r"its shape is 0×28×28: there is nothing in it"),
    "zero height": (header(8, 5, 0, 28), r"its shape is 5×0×28: there is nothing in it"),
    "zero height, huge otherwise": (header(8, 2**32 - 1, 0, 2**32 - 1), "there is nothing in it"),
    "little-endian header": (bytes([3, 8, 0, 0]) + struct.pack("<3I", 2, 3, 4) + bytes(24), "header is little-endian"),
    "little-endian sizes": (bytes([0, 0, 8, 1]) + struct.pack("<I", 4) + bytes(4), "claims 67108864 values"),
    "a web page": (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "looks like a web page"),
    "a web page after blank lines": (b"\r\n\n  <html>" + b"x" * 100, "looks like a web page"),
    "xz": (lzma.compress(plain(SMALL)), "it is compressed with xz"),
    "bzip2": (bz2.compress(plain(SMALL)), "it is compressed with bzip2"),
    "zip": (b"PK\x03\x04" + bytes(40), "it is compressed with zip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "it is compressed with zstd"),
}


@pytest.mark.parametrize("way", ["bytes", "file", "gzip"])
@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused(content: bytes, reason: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.idx"
    path.write_bytes(member(content) if way == "gzip" else content)
    message = refusal(path if way == "file" else path.read_bytes(), path.name)
    # Inside gzip, what is too long is given up before its whole size is known.
    early = "|it inflates to more than the|too many to inflate in memory" if way == "gzip" else ""
    assert any(part in message for part in (reason + early).split("|")), message
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_large_file_with_a_lying_header_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "large.idx"
    with path.open("wb") as file:
        file.write(header(8, 2**32 - 1, 28, 28))
        file.truncate(300 * MIB)
    refusal(path, path.name, limit=MIB)


def test_a_message_names_the_file_in_one_line_when_no_name_is_given(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines \x1b[31m"
    path.write_bytes(b"no")
    with pytest.raises(FormatError) as caught:
        idx.read(path)
    assert (
        str(caught.value)
        == f"{tmp_path}/two\\nlines \\x1b[31m is not an IDX file: it has 2 bytes, too few for a header"
    )
    with pytest.raises(FormatError, match=r"^IDX data is not an IDX file: "):
        idx.read(b"no")


# Hostile gzip

LONG = np.arange(5_000, dtype=np.int32)
LONG_GZIP = member(plain(LONG))


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


HOSTILE_GZIP = {
    "nothing but the magic": (b"\x1f\x8b", "its gzip data is truncated"),
    "a header alone": (LONG_GZIP[:10], "its gzip data is truncated"),
    "truncated in the middle": (LONG_GZIP[: len(LONG_GZIP) // 2], "its gzip data is truncated"),
    "without its trailer": (LONG_GZIP[:-8], "its gzip data is truncated"),
    "truncated by a byte": (LONG_GZIP[:-1], "its gzip data is truncated"),
    "CRC flipped": (flipped(LONG_GZIP, -8), "its gzip data is damaged"),
    "size flipped": (flipped(LONG_GZIP, -4), "its gzip data is damaged"),
    "unknown method": (LONG_GZIP[:2] + b"\x07" + LONG_GZIP[3:], "its gzip data is damaged"),
    "reserved flags": (LONG_GZIP[:3] + b"\xe0" + LONG_GZIP[4:], "its gzip data is damaged"),
    "trailing byte": (LONG_GZIP + b"\0", "1 bytes of something else follow the gzip data"),
    "trailing garbage": (LONG_GZIP + b"garbage" * 9, "63 bytes of something else follow the gzip data"),
    "trailing start of gzip": (LONG_GZIP + b"\x1f", "1 bytes of something else follow the gzip data"),
    "trailing gzip magic": (LONG_GZIP + b"\x1f\x8b", "its gzip data is truncated"),
    "another array behind": (LONG_GZIP + LONG_GZIP, "it inflates to more than the 20008 bytes"),
    "gzip in gzip": (member(LONG_GZIP), "it is gzip inside gzip"),
    "tiny gzip in gzip": (member(b"\x1f\x8b\x08\x00"), "it is gzip inside gzip"),
    "many empty members": (member(b"") * 100_000 + LONG_GZIP, "its gzip data has many empty parts"),
    "only empty members": (member(b"") * 3, "it has 0 bytes, too few for a header"),
    "empty members in between": (
        b"".join(member(plain(LONG)[at : at + 400]) + member(b"") for at in range(0, 20_008, 400)),
        "its gzip data has many empty parts",
    ),
    "a bomb of zeros": (endless_gzip(b"", 2_000), "its type code is 00"),
    "a bomb behind a small header": (endless_gzip(header(8, 1_000, 28, 28), 2_000), "more than the 784016 bytes"),
    "a bomb behind a huge header": (endless_gzip(header(8, 2**31), 2_000), "too many to inflate in memory"),
    "a header that claims 2^96 values": (
        member(header(8, *(2**32 - 1,) * 3) + bytes(100)),
        "too many to inflate in memory",
    ),
}


@pytest.mark.parametrize("way", ["bytes", "file"])
@pytest.mark.parametrize(("content", "reason"), HOSTILE_GZIP.values(), ids=HOSTILE_GZIP.keys())
def test_hostile_gzip_is_refused(content: bytes, reason: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gz"
    path.write_bytes(content)
    begin = time.process_time()
    message = refusal(path if way == "file" else content, path.name)
    assert time.process_time() - begin < 60
    assert reason in message


def test_a_bomb_whose_header_claims_hundreds_of_megabytes_is_refused_within_the_memory_for_hostile_input() -> None:
    refusal(endless_gzip(header(8, 210, 1024, 1024), 211), limit=200 * MIB)
    refusal(endless_gzip(header(8, 900, 1024, 1024), 210), limit=200 * MIB)


def test_a_gzip_file_that_is_too_small_for_its_header_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "_BELIEVED", MIB)
    zeros = member(header(8, 20 * MIB) + bytes(20 * MIB))
    assert f"too many to inflate in memory from {len(zeros)}; decompress it" in refusal(zeros, limit=5 * MIB)
    monkeypatch.setattr(idx, "MAX_RATIO", 2_000)
    assert not idx.read(zeros).any()


def test_many_tiny_members_take_time_in_proportion_to_the_file() -> None:
    count = 200_000
    content = member(header(8, count)) + member(b"\x07", 1) * count  # 4 MB
    begin = time.process_time()
    with suppress(FormatError):  # to refuse it would do as well
        assert len(idx.read(content)) == count
    assert time.process_time() - begin < 60


@pytest.mark.parametrize("cut", [1, 3, 4, 8, 20, 10_000, 20_007])
def test_gzip_of_several_members_is_read_whole(cut: int) -> None:
    content = plain(LONG)
    assert same(idx.read(member(content[:cut]) + member(content[cut:])), LONG)
    assert same(idx.read(member(b"") + member(content[:cut]) + member(b"") + member(content[cut:]) + member(b"")), LONG)


def test_large_gzip_whose_members_cross_the_pieces_it_is_read_in() -> None:
    array = np.random.Generator(np.random.Philox(1)).integers(0, 256, 3 * MIB + 17, dtype=np.uint8)
    content = plain(array)
    for cut in (MIB - 1, MIB, 2 * MIB + 5):
        assert same(idx.read(member(content[:cut], 0) + member(content[cut:], 1)), array)


def test_zeros_that_deflate_well_are_read_whole() -> None:
    assert not idx.read(member(header(8, 5 * MIB) + bytes(5 * MIB))).any()


@pytest.mark.parametrize("name", [b"../../x", b"/etc/passwd", b"a\nb", b"x" * 70_000])
def test_the_name_that_gzip_stores_is_of_no_account(name: bytes, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    path = inner / "images.gz"
    path.write_bytes(LONG_GZIP[:3] + b"\x08" + LONG_GZIP[4:10] + name + b"\0" + LONG_GZIP[10:])
    assert same(idx.read(path), LONG)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", inner, path]


# Whatever the bytes: an array or a FormatError


def read_or_refuse(content: bytes) -> NDArray[Any] | None:
    try:
        array = idx.read(content, name="fuzzed")
    except FormatError as error:
        message = str(error)
    else:
        assert array.size > 0
        assert array.nbytes + 4 + 4 * array.ndim <= max(len(content), 4096)
        return array
    assert message.startswith("fuzzed is not an IDX file: ")
    assert message.isprintable()
    return None


@given(
    start=st.binary(min_size=0, max_size=24)
    | st.builds(
        lambda code, shape: header(code, *shape),
        st.sampled_from([0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]),
        st.lists(st.integers(0, 4) | st.integers(0, 2**32 - 1), max_size=10),
    ),
    body=st.binary(max_size=64),
    compress=st.booleans(),
)
@example(start=header(0x0E, 1), body=b"\x7f\xf0" + bytes(6), compress=True)
def test_any_bytes_are_an_array_or_refused(start: bytes, body: bytes, compress: bool) -> None:
    content = start + body
    array = read_or_refuse(member(content) if compress else content)
    if array is not None:
        assert plain(array.astype(array.dtype.newbyteorder("="))) == content


@given(data=st.data(), compress=st.booleans())
def test_a_mutated_file_is_an_array_or_refused(data: st.DataObject, compress: bool) -> None:
    original = idx.encode(LONG[:50], compress=compress)
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        place = data.draw(st.integers(0, len(content) - 1), label="place")
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "delete", "extend"]), label="kind")
        if kind == "set":
            content[place] = data.draw(st.integers(0, 255), label="value")
        elif kind == "cut":
            del content[max(place, 1) :]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=8), label="inserted")
        elif kind == "delete" and len(content) > 1:
            del content[place]
        else:
            content += data.draw(st.binary(min_size=1, max_size=8), label="appended")
    array = read_or_refuse(bytes(content))
    if compress and array is not None:
        assert same(array, LONG[:50])  # a gzip file has a check sum


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_cut_off_or_extended_anywhere_is_refused(compress: bool) -> None:
    content = idx.encode(SMALL, compress=compress)
    for length in range(len(content)):
        assert read_or_refuse(content[:length]) is None
    for extension in (b"\0", b"\x1f\x8b", content):
        assert read_or_refuse(content + extension) is None
