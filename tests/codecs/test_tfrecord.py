"""TFRecord files: checksums as a slow loop has them, and Examples as a slow parser reads them."""

import io
from typing import Any

import numpy as np
import pytest
from slow_tfrecord import slow_crc, slow_example, slow_records

from mnist_seq_cli.codecs import tfrecord
from mnist_seq_cli.errors import FormatError


def test_checksums_are_those_of_the_standard_and_of_a_slow_loop() -> None:
    """RFC 3720, appendix B.4."""
    assert tfrecord.crc32c([bytes(32), b"\xff" * 32, bytes(range(32))]).tolist() == [0x8A9136AA, 0x62A8AB43, 0x46DD794E]
    rng = np.random.default_rng(1)
    rows = [rng.bytes(size) for size in (*range(4, 140), 999, 70_001)]
    assert tfrecord.crc32c(rows).tolist() == list(map(slow_crc, rows))
    assert tfrecord.crc32c(rows[-2:-1]).tolist() == [slow_crc(rows[-2])]


def test_examples_are_read_again() -> None:
    numbers = np.array([0, 1, -1, 127, 128, 69_999, -(2**63), 2**63 - 1])
    columns = {
        "image": [b"", b"\x89" * 200],
        "x": (numbers, np.array([3, 5])),
        "slant": (np.array([-6.75]), np.array([0, 1])),
    }
    made = tfrecord.examples(columns)
    expected = [
        {"image": b"", "x": [0, 1, -1], "slant": []},
        {"image": b"\x89" * 200, "x": numbers[3:].tolist(), "slant": [-6.75]},
    ]
    assert [tfrecord.parse_example(content, "it") for content in made] == expected
    assert list(map(slow_example, slow_records(tfrecord.records(made)))) == expected


def test_what_is_damaged_is_refused() -> None:
    whole = tfrecord.records([b"\x0a\x02ab", b"\x0a\x03abc"])

    def read(content: bytes) -> list[Any]:
        stored = [record for record, _ in tfrecord.read_records(io.BytesIO(content), "it", 2)]
        return [tfrecord.parse_example(each, "it") for each in tfrecord.contents(stored, ["it", "it"])]

    for content in (*(whole[:size] for size in range(len(whole))), whole + b"\0", b"\xff" * 50):
        with pytest.raises(FormatError, match="it "):
            read(content)
    for at in range(len(whole)):
        with pytest.raises(FormatError, match="it "):
            read(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    for content in (b"", b"abcd", b"\x0a", b"\x0a\x80", b"\x0a\x7f", b"\x0a\x02\x0a\x00"):
        with pytest.raises(FormatError, match="it is no Example as we write it"):
            tfrecord.parse_example(content, "it")
