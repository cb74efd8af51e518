"""Owns lists of sequences, which may be millions: held compactly, as text of one a line, and as the file labels.txt.

From `MANY` on, a recipe.json does not have the sequences, but refers to that file beside it, with its SHA-256.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, overload
from uuid import uuid4

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.json_values import parse_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.recipe.options.notation import Digits, format_sequence, parse_sequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS_NAME = "labels.txt"

MANY = 10_000
"""Sequences from which on a recipe.json refers to a file with them."""

_BLOCK, _PIECE, MAX_LINE = 1 << 20, 10_000, 1 << 16
"""Bytes that are read at a time, sequences whose text is made at a time, and bytes of a line."""


class Sequences(Sequence[Digits]):
    """Sequences of digits, which cannot be changed: a byte for each digit, and four for where each sequence ends."""

    def __init__(self, digits: bytes = b"", bounds: array[int] | None = None) -> None:
        self._digits, self._bounds = digits, array("I", [0]) if bounds is None else bounds

    @classmethod
    def of(cls, sequences: Iterable[Iterable[int]]) -> Sequences:
        """Return some sequences. Raises RequestError for what is no digit."""
        if isinstance(sequences, Sequences):
            return sequences
        digits, bounds = bytearray(), array("I", [0])
        for sequence in sequences:
            one = tuple(sequence)
            if not all(type(digit) is int and 0 <= digit <= 9 for digit in one):
                raise RequestError(f"{sequence!r} is not a sequence of digits")
            digits += bytes(one)
            bounds.append(len(digits))
        return cls(bytes(digits), bounds)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, number: int) -> Digits: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[Digits, ...]: ...

    def __getitem__(self, number: int | slice) -> Digits | tuple[Digits, ...]:
        if isinstance(number, slice):
            return tuple(self[each] for each in range(len(self))[number])
        here = range(len(self))[number]
        return tuple(self._digits[self._bounds[here] : self._bounds[here + 1]])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequences):
            return NotImplemented
        return self._digits == other._digits and self._bounds == other._bounds

    def __hash__(self) -> int:
        return hash((self._digits, len(self)))

    def __repr__(self) -> str:
        shown = [format_sequence(sequence) for sequence in self[:3]] + [f"… {len(self)}"] * (len(self) > 3)
        return f"Sequences({', '.join(shown)})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_digits": self._digits, "_bounds": self._bounds}

    @property
    def digits(self) -> NDArray[np.uint8]:
        """The digits of all sequences, one after the other: uint8 (sum of lengths,)."""
        import numpy as np

        return np.frombuffer(self._digits, np.uint8)

    @cached_property
    def alphabet(self) -> frozenset[int]:
        """The digits that are in any of them."""
        return frozenset(digit for digit in range(10) if digit in self._digits)

    @property
    def bounds(self) -> NDArray[np.uint32]:
        """Where sequences begin in `digits`, and the end of the last: uint32 (n + 1,)."""
        import numpy as np

        return np.frombuffer(self._bounds, np.uint32)

    @property
    def lengths(self) -> NDArray[np.uint32]:
        """The number of digits of each: uint32 (n,)."""
        return self.bounds[1:] - self.bounds[:-1]

    @cached_property
    def shortest(self) -> int:
        """The least number of digits; 0 of no sequences."""
        return int(self.lengths.min()) if self else 0

    @cached_property
    def longest(self) -> int:
        """The largest number of digits; 0 of no sequences."""
        return int(self.lengths.max()) if self else 0

    @property
    def are_many(self) -> bool:
        """Whether a recipe.json refers to them."""
        return len(self) >= MANY

    @property
    def reference(self) -> dict[str, Any]:
        """What stands for them in a recipe.json that refers to them."""
        return {"file": LABELS_NAME, "count": len(self), "sha256": self.sha256}

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of their text, in hexadecimal."""
        digest = sha256()
        for piece in self.text():
            digest.update(piece)
        return digest.hexdigest()

    def text(self) -> Iterator[bytes]:
        """Yield their text in pieces: `1-2-3`, one a line."""
        import numpy as np

        for first in range(0, len(self), _PIECE):
            bounds = self.bounds[first : first + _PIECE + 1]
            digits = self.digits[bounds[0] : bounds[-1]]
            text = np.full((len(digits), 2), ord("-"), np.uint8)
            text[:, 0] = digits + ord("0")
            text[bounds[1:] - bounds[0] - 1, 1] = ord("\n")
            yield text.tobytes()

    def numbers(self) -> NDArray[np.uint32]:
        """Return a number for each, uint32 (n,), the same for equal ones: they count up as new ones come."""
        import numpy as np

        lengths, own = self.lengths, np.arange(len(self), dtype=np.uint32)
        first = own.copy()
        for size in np.unique(lengths).tolist():
            are = lengths == size
            rows, digits = own[are], self.digits if are.all() else self.digits[np.repeat(are, lengths)]
            texts = (digits + ord("0")).view(f"S{size}")
            order = np.argsort(texts, kind="stable")
            texts = texts[order]
            again = np.flatnonzero(texts[1:] == texts[:-1]) + 1
            if len(again):
                starts = np.arange(len(rows), dtype=np.uint32)
                starts[again] = 0
                first[rows[order]] = rows[order[np.maximum.accumulate(starts)]]
        number = np.cumsum(first == own, dtype=np.uint32)
        number -= 1
        return number[first]

    def chosen(self, are: NDArray[np.bool_]) -> Sequences:
        """Return those for which `are`, bool (n,), is true, in their order."""
        import numpy as np

        lengths = self.lengths
        bounds = np.concatenate([[0], np.cumsum(lengths[are])]).astype(np.uint32)
        return Sequences(self.digits[np.repeat(are, lengths)].tobytes(), array("I", bounds.tobytes()))

    def isdisjoint(self, other: Sequences) -> bool:
        """Return whether no sequence is in both."""
        import numpy as np

        bounds = np.concatenate([self.bounds, other.bounds[1:] + self.bounds[-1]])
        numbers = Sequences(self._digits + other._digits, array("I", bounds.tobytes())).numbers()
        return not np.isin(numbers[: len(self)], numbers[len(self) :]).any()


def read_sequences(blocks: Iterable[bytes]) -> Sequences:
    """Return the sequences of a text that comes in blocks, one a line; blank lines and comments (#) are passed over.

    Raises RequestError, with the number of the line, for anything else, UnicodeDecodeError.
    """
    digits, bounds = bytearray(), array("I", [0])
    number, rest = 1, b""
    for block in chain(blocks, [b"\n"]):
        text = (rest + block).removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")
        cut = text.rfind(b"\n") + 1
        lines, rest = text[:cut], text[cut:]
        if lines and not _add_plain(lines, digits, bounds):
            _add_any(lines, number, digits, bounds)
        number += lines.count(b"\n")
        if len(rest) > MAX_LINE:
            problem = f"line {number}: a sequence of more than {MAX_LINE} characters is too long"
            raise RequestError(problem, hint=f"{MAX_LENGTH} digits at most")
    return Sequences(bytes(digits), bounds)


def _add_plain(lines: bytes, digits: bytearray, bounds: array[int]) -> bool:
    """Append the sequences of lines that are written 123, 1-2-3, 1,2,3 or `1 2 3`; return whether all of them are."""
    import numpy as np

    text = np.frombuffer(lines.replace(b"\r\n", b"\n"), np.uint8)
    are_digits, are_ends = text - ord("0") < 10, text == ord("\n")
    between = np.flatnonzero((text == ord("-")) | (text == ord(",")) | (text == ord(" ")))
    if np.count_nonzero(are_digits) + np.count_nonzero(are_ends) + len(between) < len(text):
        return False
    if len(between) and not (between[0] and are_digits[between - 1].all() and are_digits[between + 1].all()):
        return False
    stops = np.cumsum(are_digits, dtype=np.uint32)[are_ends] + np.uint32(len(digits))
    lengths = np.diff(stops, prepend=np.uint32(len(digits)))
    if lengths.max() > MAX_LENGTH:
        return False
    digits += (text[are_digits] - ord("0")).tobytes()
    bounds.frombytes(stops[lengths > 0].tobytes())
    return True


def _add_any(lines: bytes, number: int, digits: bytearray, bounds: array[int]) -> None:
    """Append the sequences of lines of which the first has this number. Raises RequestError, UnicodeDecodeError."""
    for each, line in enumerate(lines.decode().split("\n"), number):
        text = line.partition("#")[0].strip(" \t\r")
        if text.strip():
            try:
                digits += bytes(parse_sequence(text[1:-1] if text[0] == text[-1] and text[0] in _QUOTES else text))
            except RequestError as error:
                raise RequestError(f"line {each}: {error.args[0]}", hint=error.hint) from None
            bounds.append(len(digits))


_QUOTES = "\"'"


def blocks_in(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in blocks. Raises OSError."""
    return iter(lambda: file.read(_BLOCK), b"")


def sequences_of(texts: list[str]) -> Sequences:
    """Return the sequences that are written in texts, one in each. Raises RequestError."""
    if len(texts) >= MANY and not any("\n" in text for text in texts):
        source = iter(texts)
        blocks = iter(lambda: "".join(f"{text}\n" for text in islice(source, _PIECE)).encode(errors="replace"), b"")
        try:
            found = read_sequences(blocks)
        except RequestError as error:
            raise RequestError(str(error.args[0]).partition(": ")[2], hint=error.hint) from None
        if len(found) == len(texts):
            return found
    return Sequences.of(map(parse_sequence, texts))


def parse_with_sequences(content: bytes, name: str) -> object:
    """Return the values in a JSON file, with long lists that are named `sequences` as Sequences.

    An earlier version wrote them in a recipe.json, twice and by the million: such lists are taken out of the text, and
    never become objects. `name` stands for the file in messages. Raises FormatError for what is not JSON.
    """
    kept: list[bytes] = []
    known: dict[str, Sequences] = {}
    at = 0
    for found in _LIST.finditer(content):
        stop = content.find(b"]", found.end())
        if stop < found.end() or (listed := _listed(content, found.end(), stop)) is None:
            continue
        mark = uuid4().hex  # which nobody can have written
        known[mark] = next((each for each in known.values() if each == listed), listed)
        kept += content[at : found.end() - 1], f'"{mark}"'.encode()
        at = stop + 1
    if not known:
        return parse_json(content, name)

    def put(values: dict[str, Any]) -> dict[str, Any]:
        mark = values.get("sequences")
        return values | {"sequences": known[mark]} if isinstance(mark, str) and mark in known else values

    return parse_json(b"".join(kept) + content[at:], name, put)


_LIST, _BETWEEN = re.compile(rb'"sequences"\s*:\s*\['), re.compile(rb'"\s*,\s*"')


def _listed(content: bytes, start: int, stop: int) -> Sequences | None:
    """Return the sequences of a list in JSON, without its brackets; None where they are few, or not all plain text."""

    def lines() -> Iterator[bytes]:
        here = start
        while here < stop:
            end = content.find(b",", here + _BLOCK, stop)
            block = content[here : stop if end < 0 else end].strip()
            text = _BETWEEN.sub(b"\n", block[1:-1])
            if len(block) < 2 or block[:1] + block[-1:] != b'""' or text.translate(None, b"0123456789-\n"):
                raise RequestError("something else than sequences")
            yield text + b"\n"
            here = stop if end < 0 else end + 1

    if (count := content.count(b",", start, stop) + 1) < MANY:
        return None
    with suppress(RequestError):
        found = read_sequences(lines())
        return found if len(found) == count else None
    return None


def refer(recipe: object, open_file: Callable[[str], BinaryIO], where: str, known: Sequences) -> None:
    """Put sequences in the place of a reference to them in a recipe's JSON values.

    The file is not read where it is `known` what is in it. `where` is the directory, for messages. Raises FormatError
    for a file that is not there or not what the reference says, OSError.
    """
    if not isinstance(recipe, dict) or not isinstance(recipe.get("sequences"), dict):
        return
    reference = typed_fields(recipe["sequences"], {"file": str, "count": int, "sha256": str}, "the list of sequences")
    recipe["sequences"] = known
    if known.are_many and reference == known.reference:
        return
    name, digest = f"{where}/{LABELS_NAME}", sha256()

    def summed(file: BinaryIO) -> Iterator[bytes]:
        for block in blocks_in(file):
            digest.update(block)
            yield block

    try:
        file = open_file(LABELS_NAME)
    except FileNotFoundError:
        raise FormatError(f"{name} is missing, which has the labels of the recipe") from None
    with file, suppress(RequestError, UnicodeDecodeError):
        recipe["sequences"] = read_sequences(summed(file))
    found = recipe["sequences"]
    if reference != {"file": LABELS_NAME, "count": len(found), "sha256": digest.hexdigest()}:
        raise FormatError(f"{name} is damaged: it is not the list of labels that the recipe was written with")
