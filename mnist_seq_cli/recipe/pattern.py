"""Owns patterns: a small regular language over digits, and the digits that it stands for.

    0 to 9        that digit                    ( … )      a group
    [0-35]        one of 0, 1, 2, 3, 5          a|b        one or the other
    \\d or .       any digit                     x{2}       x twice
    x?            x or nothing                  x{2,4}     x two, three or four times

Every choice is uniform over what it offers, and has a random word of its own, so that a sample is made from a fixed
number of words, and a whole run of samples at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import RequestError, one_line

MAX_CHOICES = 4_096
"""Random words that one sample may take."""

MAX_TEXT = 100_000
"""Characters of a pattern."""

MAX_STEPS = 100_000
"""Parts that are gone through for a sample, each as often as it is repeated: what a run of samples takes in time."""

MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class OneOf:
    """One digit out of some."""

    digits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Parts one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several parts."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, `least` to `most` times."""

    part: Part
    least: int
    most: int


Part = OneOf | Row | Either | Repeat


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern, the digits of its shortest and longest sequence, and the random words that a sample takes."""

    text: str
    part: Part
    shortest: int = field(init=False)
    longest: int = field(init=False)
    choices: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shortest", _length(self.part, min))
        object.__setattr__(self, "longest", _length(self.part, max))
        object.__setattr__(self, "choices", _choices(self.part))

    @property
    def bounds(self) -> tuple[int, int]:
        """The numbers of digits of the shortest and the longest sequence."""
        return self.shortest, self.longest

    @property
    def digits(self) -> frozenset[int]:
        """The digits that can occur."""
        return frozenset(_digits(self.part))

    def fill(self, pick: Callable[[int, int], NDArray[np.int64]], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return `count` sequences: digits uint8 (count, longest), padded with 0, and lengths int32 (count,).

        `pick(k, n)` gives for the k-th choice of every sample an integer below n.
        """
        digits = np.zeros((count, self.longest), dtype=np.uint8)
        lengths = np.zeros(count, dtype=np.int32)
        _fill(self.part, np.arange(count), 0, pick, digits, lengths)
        return digits, lengths


def parse(text: str) -> Pattern:
    """Return the pattern in `text`. Raises RequestError, with the position, for anything else."""
    if len(text) > MAX_TEXT:
        raise RequestError(f"a pattern of {len(text)} characters is too long", hint=f"{MAX_TEXT} at most")
    reader = _Reader(text)
    part = reader.alternatives(0)
    if reader.place < len(text):
        raise reader.wrong("a ) without its (")
    pattern, shown = Pattern(text, part), _shown(text)
    if pattern.longest == 0:
        raise RequestError(f"the pattern {shown} stands for no digits", hint="write at least one digit")
    if pattern.choices > MAX_CHOICES:
        raise RequestError(f"the pattern {shown} has too many choices", hint=f"{MAX_CHOICES} at most")
    if _steps(part) > MAX_STEPS:
        raise RequestError(
            f"the pattern {shown} repeats too much", hint=f"{MAX_STEPS} parts at most, repeated ones too"
        )
    if pattern.shortest == 0:
        raise RequestError(f"the pattern {shown} may stand for no digits", hint="have a digit that is always there")
    return pattern


def _shown(text: str) -> str:
    """Return a pattern as it is quoted in messages, which have to have room for what is wrong with it."""
    return one_line(repr(text), 80)


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def wrong(self, problem: str) -> RequestError:
        return RequestError(
            f"the pattern {_shown(self.text)} has {problem} at character {self.place + 1}",
            hint=r"it takes digits, [0-3], \d, ., ( ), |, ?, {2} and {2,4}",
        )

    def _next(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self, expected: str) -> bool:
        if self._next() != expected:
            return False
        self.place += 1
        return True

    def alternatives(self, depth: int) -> Part:
        if depth > MAX_DEPTH:
            raise self.wrong("too many groups inside each other")
        parts = [self._row(depth)]
        while self._take("|"):
            parts.append(self._row(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _row(self, depth: int) -> Part:
        parts: list[Part] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._item(depth)))
        return parts[0] if len(parts) == 1 else Row(tuple(parts))

    def _item(self, depth: int) -> Part:
        if self._take("("):
            inner = self.alternatives(depth + 1)
            if not self._take(")"):
                raise self.wrong("a ( without its )")
            return inner
        if self._take("["):
            return self._class()
        if self._take("."):
            return OneOf(tuple(range(10)))
        if self._take("\\"):
            if not self._take("d"):
                raise self.wrong("a \\ without d")
            return OneOf(tuple(range(10)))
        return OneOf((self._digit("something that is not a digit"),))

    def _digit(self, otherwise: str) -> int:
        character = self._next()
        if not character or character not in "0123456789":
            raise self.wrong(otherwise)
        self.place += 1
        return int(character)

    def _class(self) -> Part:
        digits: set[int] = set()
        while not self._take("]"):
            first = self._digit("a class [ ] with something else than digits")
            last = self._digit("a range without its end") if self._take("-") else first
            if last < first:
                raise self.wrong(f"a range from {first} down to {last}")
            digits.update(range(first, last + 1))
        if not digits:
            raise self.wrong("an empty class []")
        return OneOf(tuple(sorted(digits)))

    def _repeated(self, part: Part) -> Part:
        if self._take("?"):
            repeated = Repeat(part, 0, 1)
        elif self._take("{"):
            least = self._number()
            most = self._number() if self._take(",") else least
            if not self._take("}"):
                raise self.wrong("a { without its }")
            if most < least:
                raise self.wrong(f"a repetition from {least} down to {most}")
            repeated = Repeat(part, least, most)
        else:
            return part
        if self._next() in ("?", "{"):  # which other languages of patterns read in another way, or not at all
            raise self.wrong("a repetition of a repetition, without a group,")
        return repeated

    def _number(self) -> int:
        number = self._digit("a { } without a number")
        while self._next() and self._next() in "0123456789":
            number = 10 * number + self._digit("")
            if number > MAX_CHOICES:
                raise self.wrong("too large a number")
        return number


def _length(part: Part, bound: Callable[..., int]) -> int:
    match part:
        case OneOf():
            return 1
        case Row(parts):
            return sum(_length(inner, bound) for inner in parts)
        case Either(parts):
            return bound(_length(inner, bound) for inner in parts)
        case Repeat(inner, least, most):
            return bound(least, most) * _length(inner, bound)


def _choices(part: Part) -> int:
    match part:
        case OneOf(digits):
            return int(len(digits) > 1)
        case Row(parts):
            return sum(map(_choices, parts))
        case Either(parts):
            return 1 + sum(map(_choices, parts))
        case Repeat(inner, least, most):
            return int(most > least) + most * _choices(inner)


def _steps(part: Part) -> int:
    match part:
        case OneOf():
            return 1
        case Row(parts) | Either(parts):
            return 1 + sum(map(_steps, parts))
        case Repeat(inner, _, most):
            return 1 + most * _steps(inner)


def _digits(part: Part) -> set[int]:
    match part:
        case OneOf(digits):
            return set(digits)
        case Row(parts) | Either(parts):
            return set().union(*map(_digits, parts))
        case Repeat(inner, _, most):
            return _digits(inner) if most else set()


def _fill(
    part: Part,
    rows: NDArray[np.int64],
    choice: int,
    pick: Callable[[int, int], NDArray[np.int64]],
    digits: NDArray[np.uint8],
    lengths: NDArray[np.int32],
) -> None:
    """Append what `part` stands for to the sequences in `rows`; its choices are numbered from `choice`."""
    if not len(rows):
        return
    match part:
        case OneOf(offered):
            values = np.array(offered, dtype=np.uint8)
            chosen = values[pick(choice, len(offered))[rows]] if len(offered) > 1 else values[0]
            digits[rows, lengths[rows]] = chosen
            lengths[rows] += 1
        case Row(parts):
            for inner in parts:
                _fill(inner, rows, choice, pick, digits, lengths)
                choice += _choices(inner)
        case Either(parts):
            taken = pick(choice, len(parts))[rows]
            choice += 1
            for number, inner in enumerate(parts):
                _fill(inner, rows[taken == number], choice, pick, digits, lengths)
                choice += _choices(inner)
        case Repeat(inner, least, most):
            times = np.full(len(rows), least)
            if most > least:
                times = least + pick(choice, most - least + 1)[rows]
                choice += 1
            for turn in range(most):
                _fill(inner, rows[times > turn], choice, pick, digits, lengths)
                choice += _choices(inner)
