"""Owns how sequences, digits, ranges and lengths are written as text, and read again."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH

Digits = tuple[int, ...]
Range = tuple[int, int]
Lengths = tuple[tuple[int, int], ...]
"""Lengths of sequences, each with its weight."""

_SEQUENCE = re.compile(r"[0-9](?:(?:[- ]|, ?)?[0-9])*", re.ASCII)


def parse_sequence(text: str) -> Digits:
    """Return the digits of `text`, spelled `1-2-3`, `123`, `1,2,3` or `1 2 3`.

    Raises RequestError for anything else, and for more than 1,000 digits.
    """
    stripped = text.strip(" \t\r\n")
    if len(stripped) > 3 * MAX_LENGTH:
        raise RequestError(f"a sequence of {len(stripped)} characters is too long", hint=f"{MAX_LENGTH} digits at most")
    if not _SEQUENCE.fullmatch(stripped):
        raise RequestError(
            f"{stripped!r} is not a sequence of digits", hint="write it like 1-2-3, 123, 1,2,3 or '1 2 3'"
        )
    digits = tuple(int(character) for character in stripped if character in "0123456789")
    if len(digits) > MAX_LENGTH:
        raise RequestError(f"a sequence of {len(digits)} digits is too long", hint=f"{MAX_LENGTH} digits at most")
    return digits


def format_sequence(digits: Iterable[int]) -> str:
    """Return digits as they are written in names and labels: `1-2-3`."""
    return "-".join(map(str, digits))


def parse_digits(text: str) -> Digits:
    """Return the digits that may occur: `0-4` or `01234`, each once, in order. Raises RequestError."""
    ranges = [(int(first), int(last or first)) for first, last in re.findall(r"([0-9])(?:-([0-9]))?", text[:100])]
    whole = len(text) <= 100 and re.fullmatch(r"(?:[0-9](?:-[0-9])?,?)+", text)
    if not whole or any(last < first for first, last in ranges):
        raise RequestError(f"`digits` is {text!r}", hint="write it like 01234, 0-4 or 1,3,5")
    digits = {digit for first, last in ranges for digit in range(first, last + 1)}
    return tuple(sorted(digits))


def parse_range(name: str, text: str) -> Range:
    """Return the range in `text`: `-10-10`, `80-120`, or one number for itself. Raises RequestError."""
    ends = re.fullmatch(r"(-?[0-9]{1,6})(?:-(-?[0-9]{1,6}))?", text, re.ASCII)
    if not ends:
        raise RequestError(f"`{name}` is {text!r}", hint="write it like -10-10, 80-120 or 5")
    first, last = int(ends[1]), int(ends[2] or ends[1])
    if last < first:
        raise RequestError(f"`{name}` goes from {first} down to {last}", hint="the smaller one comes first")
    return first, last


def parse_lengths(text: str) -> int | Lengths:
    """Return the length in `text`, or pairs of length and weight: `4`, `2-8`, `2:1,3:5`. Raises RequestError."""
    hint = "write 4, 2-8, or lengths with weights, 2:1,3:5,4:1"
    if simple := re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", text, re.ASCII):
        first, last = int(simple[1]), int(simple[2] or simple[1])
        if last < first:
            raise RequestError(f"`length` goes from {first} down to {last}", hint=hint)
        return first if simple[2] is None else tuple((size, 1) for size in range(first, last + 1))
    pairs = [pair.split(":") for pair in text.split(",")]
    if not all(len(pair) == 2 and all(re.fullmatch(r"[0-9]{1,9}", part, re.ASCII) for part in pair) for pair in pairs):
        raise RequestError(f"`length` is {text!r}", hint=hint)
    weights = {int(size): int(weight) for size, weight in pairs}
    if len(weights) < len(pairs):
        raise RequestError(f"`length={text}` has a length twice", hint=hint)
    return tuple(sorted(weights.items()))


def format_lengths(lengths: int | Lengths) -> str | int:
    """Return lengths as they are written in files: 4, "2-8" or "2:1,3:5"."""
    if isinstance(lengths, int):
        return lengths
    sizes = [size for size, _ in lengths]
    if {weight for _, weight in lengths} == {1} and sizes == list(range(sizes[0], sizes[-1] + 1)):
        return f"{sizes[0]}-{sizes[-1]}"
    return ",".join(f"{size}:{weight}" for size, weight in lengths)
