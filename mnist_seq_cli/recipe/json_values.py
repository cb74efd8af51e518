"""Owns JSON values: one text for one value, and objects with exactly the keys and types that are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mnist_seq_cli.errors import FormatError, one_line


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no white space: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


MAX_VALUES = 10_000_000
"""Values in a JSON file: as many as an earlier version wrote of five million labels; each can take 60 bytes."""

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


def parse_json(content: bytes, name: str) -> object:
    """Return the values in a JSON file; `name` stands for it in messages. Raises FormatError for what is not JSON."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") > MAX_VALUES:
        raise FormatError(f"{name} is too large to be true: it has more than {MAX_VALUES:,} values")
    try:
        values = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is not JSON ({one_line(str(error), 120)})") from None
    if values is None:
        raise FormatError(f"{name} holds nothing but null")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
