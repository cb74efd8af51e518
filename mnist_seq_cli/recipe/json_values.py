"""Owns JSON values: one text for one value, and objects with exactly the keys and types that are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mnist_seq_cli.errors import FormatError, one_line


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no white space: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


MAX_VALUES, MAX_TEXT = 1_000_000, 32 << 20
"""Values and bytes of JSON apart from long lists of sequences; a value can take 150 bytes, and a byte become 5.

Where there is more than ASCII it can become 9, and half as many are taken.
"""

NEWER = "a newer mnistseq may read it"


def typed_fields(values: object, known: Mapping[str, type], what: str, hint: str = NEWER) -> dict[str, Any]:
    """Return `values` as a dict with exactly the `known` keys, each of its exact type.

    Raises FormatError otherwise, with the `hint` where there is a key that is not known.
    """
    if not isinstance(values, dict):
        raise FormatError(f"{what} is not a JSON object")
    if unknown := values.keys() - known.keys():
        raise FormatError(f"{what} has unknown key {min(unknown)!r}", hint=hint)
    if missing := known.keys() - values.keys():
        raise FormatError(f"{what} has no {min(missing)!r}")
    for key, expected in known.items():
        if type(values[key]) is not expected:
            raise FormatError(f"{what} has {key} = {values[key]!r}, which should be of type {expected.__name__}")
    return dict(values)


def parse_json(content: bytes, name: str, inside: Callable[[dict[str, Any]], object] | None = None) -> object:
    """Return the values in a JSON file, with what `inside` returns for each object in its place, if it is given.

    `name` stands for the file in messages. Raises FormatError for what is not JSON.
    """
    count, size = sum(map(content.count, (b",", b":", b"[", b"{"))), len(content) * (1 if content.isascii() else 2)
    if count > MAX_VALUES or size > MAX_TEXT:
        most = f"{MAX_VALUES:,} values or {MAX_TEXT >> 20} MiB"
        raise FormatError(f"{name} is too large to be true: it has more than {most}")
    try:
        values = json.loads(content, parse_constant=_refuse, object_hook=inside)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is not JSON ({one_line(str(error), 120)})") from None
    if values is None:
        raise FormatError(f"{name} holds nothing but null")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
