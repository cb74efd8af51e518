"""Owns a slow reader of TFRecord files, which knows nothing of ours."""

import struct
from collections.abc import Iterator
from typing import Any


def slow_crc(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (crc & 1) * 0x82F63B78
    return crc ^ 0xFFFFFFFF


def slow_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file, all checksums of which are looked at."""
    while content:
        (size,) = struct.unpack_from("<Q", content)
        for covered, stored in ((content[:8], content[8:12]), (content[12 : 12 + size], content[12 + size :][:4])):
            crc = slow_crc(covered)
            assert ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32) == int.from_bytes(stored, "little")
        yield content[12 : 12 + size]
        content = content[16 + size :]


def slow_varint(content: bytes) -> tuple[int, bytes]:
    value = shift = 0
    for at, byte in enumerate(content, 1):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, content[at:]
    raise AssertionError


def slow_fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    while content:
        tag, content = slow_varint(content)
        assert tag % 8 == 2
        size, content = slow_varint(content)
        yield tag // 8, content[:size]
        content = content[size:]


def slow_example(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ((_, features),) = slow_fields(content)
    for _, entry in slow_fields(features):
        (_, name), (_, feature) = slow_fields(entry)
        ((kind, listed),) = slow_fields(feature)
        ((_, packed),) = slow_fields(listed)
        values: Any = packed
        if kind == 2:
            values = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        elif kind == 3:
            values = []
            while packed:
                value, packed = slow_varint(packed)
                values.append(value - (value >> 63 << 64))
        found[name.decode()] = values
    return found
