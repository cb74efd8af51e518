"""LMDB files: any values are found by their keys, and nothing else is; the client reads them in tests/interop."""

import io
import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from mnist_seq_cli.codecs import lmdb_pages
from mnist_seq_cli.errors import FormatError

SIZES = (0, 1, 2, 4, 100, 1998, 2015, 2016, 2017, 2100, 4080, 4081, 9000, 70_000)


def file_of(parts: list[list[bytes]]) -> bytes:
    """A file of values of `image`, part by part, and their sizes as `label`."""
    made, first = [], 1
    for values in parts:
        leaves = lmdb_pages.Leaves()
        leaves.add(b"label", first, [str(len(value)).encode() for value in values])
        leaves.add(b"image", first, values)
        pages = leaves.taken(end=True)
        first += len(values)
        assert lmdb_pages.counted([pages[:5000], pages[5000:]], "it") == (leaves.leaves, leaves.overflow)
        made.append(((leaves.leaves, leaves.overflow), [pages[:9000], pages[9000:]]))
    return b"".join(lmdb_pages.joined(made, first - 1, 2))


@pytest.mark.parametrize("parts", [[1], [14], [5, 9], [1] * 14, [300, 500], [40] * 100], ids=lambda parts: len(parts))
def test_values_are_found(parts: list[int]) -> None:
    """From one leaf a name to three levels of branches."""
    rng = np.random.default_rng(1)
    sizes = SIZES if sum(parts) < 20 else (700, 900, 5000)
    values = [rng.bytes(sizes[at % len(sizes)]) for at in range(sum(parts))]
    split = np.split(np.arange(len(values)), np.cumsum(parts)[:-1])
    content = file_of([[values[at] for at in part] for part in split])
    assert len(content) % 4096 == 0
    assert struct.unpack_from("<QHHI", content, 4096) == (1, 0, 8, 0)
    file, tree = io.BytesIO(content), lmdb_pages.Tree()
    assert tree.get(file, None, b"num-samples") == str(len(values)).encode()
    for number, value in enumerate(values, 1):
        assert tree.get(file, None, b"image-%09d" % number) == value
        assert tree.get(file, None, b"label-%09d" % number) == str(len(value)).encode()
    for key in (b"", b"image-000000000", b"image-%09d" % (len(values) + 1), b"mask-000000001", b"z"):
        with pytest.raises(FormatError, match="it has no sound"):
            tree.get(file, None, key)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "a root beyond the end": lambda content: content[:128] + b"\xff" * 4 + content[132:],
    "another page at the end": lambda content: content[:-4096] + content[:4096],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_damaged_is_refused(change: Callable[[bytes], bytes]) -> None:
    file, tree = io.BytesIO(change(file_of([[bytes(700)] * 50]))), lmdb_pages.Tree()
    with pytest.raises(FormatError, match="it has no sound"):
        [tree.get(file, None, b"image-%09d" % number) for number in range(1, 51)]


def test_noise_ends_in_a_value_or_an_error() -> None:
    whole, rng = file_of([[bytes(700)] * 400, [bytes(3000)] * 9]), np.random.default_rng(2)
    for _ in range(200):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 3000).tolist():
            content[at] ^= 1 << at % 8
        tree = lmdb_pages.Tree()
        for number in (1, 200, 405):
            with suppress(FormatError):
                tree.get(io.BytesIO(content), None, b"image-%09d" % number)
