"""Owns the kinds of values that options have: how each is written as text and in JSON, and what it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import index
from os import PathLike, fspath
from typing import Any

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, check_choice, check_range
from mnist_seq_cli.recipe.options.notation import (
    Digits,
    Lengths,
    format_lengths,
    parse_digits,
    parse_lengths,
    parse_range,
    parse_sequence,
)
from mnist_seq_cli.recipe.options.sequences import Sequences, sequences_of


class Kind:
    """A kind of value. `json_type` is the type that it has in a recipe.json, `metavar` stands for it in the help."""

    json_type: type = str

    def __init__(self, metavar: str = "") -> None:
        self.metavar = metavar

    def parse(self, name: str, text: str) -> Any:
        """Return the value in `text`, as it is typed. Raises RequestError."""
        return self.normalize(name, text)

    def normalize(self, name: str, value: Any) -> Any:
        """Return the value for what is given in Python or in a file, text included. Raises RequestError."""
        return value

    def check(self, name: str, value: Any) -> None:
        """Raise RequestError for anything that is not such a value."""

    def to_json(self, value: Any) -> Any:
        """Return the value as it is in a recipe.json."""
        return value

    def from_json(self, name: str, value: Any) -> Any:
        """Return the value for something of the `json_type`. Raises RequestError."""
        return self.normalize(name, value)


class Integer(Kind):
    """A whole number from `low` to `high`."""

    json_type = int

    def __init__(self, low: int, high: int, metavar: str = "PX") -> None:
        super().__init__(metavar)
        self.low, self.high = low, high

    def check(self, name: str, value: Any) -> None:
        check_range(f"`{name}`", value, self.low, self.high)


class Flag(Kind):
    """Yes or no."""

    json_type = bool

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise RequestError(f"`{name}` is {value!r}", hint="it is True or False")


class Choice(Kind):
    """One of a few words; the empty one stands for none of the others."""

    def __init__(self, choices: Iterable[str]) -> None:
        self.choices = tuple(choices)
        super().__init__("|".join(filter(None, self.choices)))

    def check(self, name: str, value: Any) -> None:
        check_choice(f"`{name}`", value, self.choices)


class Choices(Kind):
    """Any of a few words, each once, in the order in which they are declared."""

    json_type = list

    def __init__(self, choices: Iterable[str], metavar: str) -> None:
        super().__init__(metavar)
        self.choices = tuple(choices)

    def normalize(self, name: str, value: Any) -> tuple[str, ...]:
        for word in value:
            check_choice(f"`{name}`", word, self.choices)
        return tuple(word for word in self.choices if word in value)

    def to_json(self, value: Any) -> list[str]:
        return list(value)


class Text(Kind):
    """Any text."""


class NameOrPath(Kind):
    """A name, or the path of a file."""

    def normalize(self, name: str, value: Any) -> Any:
        return fspath(value) if isinstance(value, PathLike) else value


class IntegerOr(Integer):
    """A whole number, or a word that stands for `meaning`, which is kept in its place."""

    def __init__(self, low: int, high: int, word: str, meaning: int | str) -> None:
        super().__init__(low, high, f"PX|{word}")
        self.word, self.meaning = word, meaning

    def parse(self, name: str, text: str) -> Any:
        if text == self.word:
            return self.meaning
        try:
            return int(text)
        except ValueError:
            raise RequestError(f"`{name}` is {text!r}, which is neither a number of px nor {self.word}") from None

    def normalize(self, name: str, value: Any) -> Any:
        return self.meaning if value == self.word else value

    def check(self, name: str, value: Any) -> None:
        if value != self.meaning:
            super().check(name, value)


class Ranged(Kind):
    """A range to sample from, within the `widest`: (from, to), text such as -10-10, or one number for itself."""

    json_type = list

    def __init__(self, widest: tuple[int, int], unit: str) -> None:
        super().__init__("A-B")
        self.widest, self.unit = widest, unit

    def normalize(self, name: str, value: Any) -> tuple[int, int]:
        match value:
            case str():
                return parse_range(name, value)
            case int() if type(value) is int:
                return value, value
            case (first, last) if type(first) is type(last) is int:
                return first, last
        raise RequestError(f"`{name}` is {value!r}", hint="it is a whole number, two of them, or text like -10-10")

    def check(self, name: str, value: Any) -> None:
        if self.normalize(name, value) != value:  # a list would differ from the range that changes nothing
            raise RequestError(f"`{name}` is {value!r}", hint="it is (from, to)")
        low, high = value
        check_range(f"`{name}`", low, *self.widest)
        check_range(f"`{name}`", high, low, self.widest[1])

    def to_json(self, value: Any) -> Any:
        return list(value)


class DigitSet(Kind):
    """Some digits, each once, in order; as text `01234`, `0-4` or `1,3,5`."""

    def normalize(self, name: str, value: Any) -> Digits:
        return parse_digits(value) if isinstance(value, str) else tuple(value)

    def check(self, name: str, value: Any) -> None:
        if not value or list(value) != sorted(set(value)) or not {*value} <= {*range(10)}:
            raise RequestError(f"`{name}` is {value!r}", hint="it is some of 0123456789, each once")

    def to_json(self, value: Any) -> str:
        return "".join(map(str, value))


class LengthOrLengths(Kind):
    """A number of digits, or pairs of a number and its weight; as text `4`, `2-8` or `2:1,3:5`."""

    def normalize(self, name: str, value: Any) -> int | Lengths:
        if isinstance(value, str):
            return parse_lengths(value)
        return value if isinstance(value, int) else tuple(sorted(tuple(pair) for pair in value))

    def to_json(self, value: Any) -> Any:
        return format_lengths(value)


class SequenceList(Kind):
    """Sequences of digits; in a recipe.json many of them are a reference to the file beside it that has them."""

    json_type = list

    def normalize(self, name: str, value: Any) -> Sequences:
        if isinstance(value, str | bytes):  # of which each character would be a sequence
            raise RequestError(f"`{name}` is {value!r}", hint="it is a list of them, as in ['1-2-3', '4']")
        if isinstance(value, Sequences):
            return value
        return Sequences.of(parse_sequence(one) if isinstance(one, str) else tuple(map(index, one)) for one in value)

    def to_json(self, value: Any) -> Any:
        return value.reference if value.are_many else b"".join(value.text()).decode().splitlines()

    def from_json(self, name: str, value: Any) -> Sequences:
        if not all(isinstance(text, str) for text in value):
            raise RequestError("it has sequences that are not text")
        return sequences_of(value)


class PartOf(Kind):
    """A part of things in a fixed order, (low, high, whole): of every `whole` of them, `low` to `high` (exclusive)."""

    json_type = list

    def normalize(self, name: str, value: Any) -> Any:
        return tuple(value)

    def check(self, name: str, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) != 3:
            raise RequestError(f"{name} is {value!r}", hint="it is (low, high, whole): that part of every whole")
        check_range(f"the whole of {name}", value[2], 1, MAX_SAMPLES)
        check_range(f"the end of {name}", value[1], 1, value[2])
        check_range(f"the beginning of {name}", value[0], 0, value[1] - 1)

    def to_json(self, value: Any) -> Any:
        return list(value)


class WeightedLengths(Kind):
    """Pairs of a length and its weight, in order."""

    json_type = dict

    def to_json(self, value: Any) -> dict[str, int]:
        return {str(size): weight for size, weight in value}

    def from_json(self, name: str, value: Any) -> Lengths:
        if wrong := [size for size in value if not re.fullmatch(r"[0-9]{1,9}", size, re.ASCII)]:
            raise RequestError(f"{wrong[0]!r} is not a length")
        return tuple(sorted((int(size), weight) for size, weight in value.items()))
