"""Owns the recipe: one frozen value with everything that can change a pixel or a label, and its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Self

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe import canvas
from mnist_seq_cli.recipe.json_values import NEWER, canonical_json, typed_fields
from mnist_seq_cli.recipe.options.bounds import (
    MAX_AREA,
    MAX_LENGTH,
    MAX_SAMPLES,
    MAX_SEED,
    MAX_WEIGHT,
    MAX_WIDTH,
    check_range,
)
from mnist_seq_cli.recipe.options.kinds import Choice, Flag, Integer, NameOrPath, WeightedLengths
from mnist_seq_cli.recipe.options.notation import Lengths
from mnist_seq_cli.recipe.options.option import REQUIRED, check_options, options_of, result
from mnist_seq_cli.recipe.options.sequences import Sequences
from mnist_seq_cli.recipe.parts.appearance import Appearance, check_background_name
from mnist_seq_cli.recipe.parts.exclusions import check_exclusions
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING, GlyphFacts, Glyphs, check_source
from mnist_seq_cli.recipe.parts.placement import ALIGNS, FULL, SPACINGS, Align, Placement, Spacing
from mnist_seq_cli.recipe.parts.writing import MAX_OPERAND, Writing

RECIPE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Recipe(Glyphs, Appearance, Placement, Writing):
    """Everything that can change a pixel or a label; sample i is a pure function of (recipe, i).

    A seed and four parts: what is written, where it is placed, how it looks, which glyphs (see each). The values are
    resolved from a `Request`: `length` is the largest of the `lengths`, if there are several; `max_gap`, `width` and
    `height` are in px, `fit` says whether each image is only as wide as its strip, and `align` is "left" by default.
    `source` names the glyphs, whose sizes are known (`GlyphFacts`).

    Raises RequestError if the values contradict each other.
    """

    seed: int = result(REQUIRED, Integer(0, MAX_SEED))
    length: int = result(REQUIRED, Integer(1, MAX_LENGTH))
    lengths: Lengths = result((), WeightedLengths())
    max_gap: int = result(0, Integer(-MAX_WIDTH, MAX_WIDTH))
    width: int = result(REQUIRED, Integer(1, MAX_WIDTH))
    height: int = result(0, Integer(0, MAX_WIDTH))
    fit: bool = result(False, Flag())
    spacing: Spacing = result("equal", Choice(SPACINGS))
    align: Align = result("left", Choice(ALIGNS))
    jitter_y: int = result(0, Integer(FULL, MAX_WIDTH))
    source: str = result("train", NameOrPath())
    glyph_height: int = result(28, Integer(1, MAX_WIDTH))
    glyph_width: int = result(28, Integer(1, MAX_WIDTH))
    ink_height: int = result(20, Integer(0, MAX_WIDTH))
    ink_width: int = result(20, Integer(0, MAX_WIDTH))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(type(self), self)
        if not self.height:
            object.__setattr__(self, "height", self.glyph_height)
        check_background_name(self)
        check_source(self)
        self._check_canvas()
        self._check_writing()

    def _check_canvas(self) -> None:
        room = canvas.room(self, self, self.facts)
        canvas.check_min_gap(self, room.advance)
        check_range("`max_gap`", self.max_gap, self.min_gap, MAX_WIDTH)
        row = room.advance * self.length + (self.length - 1) * self.max_gap
        check_range("`width`", self.width, max(max(room.advance, row) + room.around, room.glyph), MAX_WIDTH)
        check_range("`height`", self.height, room.height, MAX_WIDTH)
        if self.width * self.height > MAX_AREA:
            raise RequestError(f"{self.width}×{self.height} px are too many", hint=f"{MAX_AREA} px at most")
        if self.fit and self.align != "left":
            raise RequestError("`width=fit` leaves no room to align in", hint="leave `align` out")

    def _check_writing(self) -> None:
        if self.sequences and not 0 < self.sequences.shortest <= self.sequences.longest <= self.length:
            wrong = next(sequence for sequence in self.sequences if not 0 < len(sequence) <= self.length)
            raise RequestError(f"{wrong!r} is not a sequence of 1 to {self.length} digits")
        self._check_lengths()
        if self.pattern:
            from mnist_seq_cli.recipe.pattern import parse

            if parse(self.pattern).longest != self.length:
                raise RequestError(f"the pattern {self.pattern!r} does not stand for up to {self.length} digits")
        check_exclusions(
            {
                **{name: getattr(self, name) for name in ("sequences", "pattern", "per_label", "lengths")},
                "repeat": not self.repeat,
                "digits": len(self.digits) < 10,
                **{name: getattr(self, name) for name in ("check", "shuffle")},
                "label_pool": self.label_pool != EVERYTHING,
                "label_order": self.label_order != "shuffled",
            }
        )
        if self.check and (not self.repeat or len(self.digits) < 10):
            raise RequestError("a check digit can be any digit, also one that was ruled out", hint="leave `check` out")
        if not self.repeat and self.length > len(self.digits):
            raise RequestError(
                f"{self.length} digits without two alike, and there are {len(self.digits)}",
                hint="leave `repeat=False` out",
            )
        if self.operands:
            self._check_operands()
        if self.per_label or self.label_pool != EVERYTHING:
            self._check_labels()
        if self.label_pool == EVERYTHING:  # of which no order can be seen
            object.__setattr__(self, "label_order", "shuffled")

    def _check_operands(self) -> None:
        sizes = [size for size, _ in self.lengths] or [self.length]
        if self.sequences:
            sizes = sorted(set(self.sequences.lengths.tolist()))
        elif self.pattern:
            from mnist_seq_cli.recipe.pattern import parse

            sizes = list(range(parse(self.pattern).shortest, self.length + 1))
        for size in sizes:
            if size % self.operands or size > self.operands * MAX_OPERAND:
                raise RequestError(
                    f"{size} digits are not {self.operands} numbers of 1 to {MAX_OPERAND} digits each",
                    hint=f"`length={self.operands}`, or a multiple of that",
                )

    def _check_lengths(self) -> None:
        for size, weight in self.lengths:
            check_range("`length`", size, 1, MAX_LENGTH)
            check_range("the weight of a length", weight, 1, MAX_WEIGHT)
        sizes = [size for size, _ in self.lengths]
        if sizes != sorted(set(sizes)):
            raise RequestError(f"the lengths {sizes!r} are not in order, each once")
        if sizes and sizes[-1] != self.length:
            raise RequestError(f"the longest of the lengths {sizes!r} is not {self.length}")

    def _check_labels(self) -> None:
        every = len(self.digits) ** self.length
        if every * self.per_label > MAX_SAMPLES:
            raise RequestError(
                f"`per_label={self.per_label}` of {every} sequences are {self.per_label * every} samples",
                hint=f"{MAX_SAMPLES} at most",
            )
        if self.label_pool == EVERYTHING:
            return
        if every >= 2**32:
            raise RequestError(
                f"{every} sequences are too many to take a part of", hint="fewer digits, or less `length`"
            )
        if self.label_order == "multidigitmnist" and every not in (10**2, 10**3):
            raise RequestError(
                f"MultiDigitMNIST has sequences of 2 or 3 digits, and there are {every} here",
                hint="`label_order=shuffled`",
            )
        if not self.sequence_count:
            raise RequestError(f"that part of {every} sequences is none of them", hint="more digits, or more `length`")

    @property
    def facts(self) -> GlyphFacts:
        """The glyphs that the recipe is for."""
        return GlyphFacts(self.source, self.glyph_height, self.glyph_width, self.ink_height, self.ink_width)

    @property
    def is_row(self) -> bool:
        """Whether glyph boxes are in a row from the left margin on, each where the one before and a gap end."""
        return self.crop == "box" and self.align == "left" and not self.jitter_x and not self.fit

    @property
    def is_level(self) -> bool:
        """Whether all glyph boxes are as high as the canvas."""
        return self.height == self.glyph_height and not self.is_warped

    @property
    def overlaps(self) -> bool:
        """Whether the box of one glyph may reach into that of another, or out of the canvas."""
        return self.crop == "tight" or self.is_warped or self.min_gap < 2 * self.jitter_x

    @property
    def sequence_range(self) -> tuple[int, int]:
        """The range of sequences that may be written, among all sequences of `length` digits in their order."""
        every = len(self.digits) ** self.length
        low, high, whole = self.label_pool
        return every * low // whole, every * high // whole

    @property
    def sequence_count(self) -> int:
        """The number of sequences of `length` digits that may be written."""
        first, stop = self.sequence_range
        return stop - first

    @property
    def round(self) -> int | None:
        """The number of samples in which each sequence is written as often as requested; None without such a rule."""
        if self.per_label:
            return self.per_label * self.sequence_count
        return len(self.sequences) or None

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values, so that nothing depends on a later default.

        Fields added after the first version are included only if they differ from their default: a new option changes
        neither the file nor the fingerprint of an existing recipe.

        From 10,000 `sequences` on, they are a reference to a file with `sequences.text()`.
        """
        values = {
            name: each.kind.to_json(getattr(self, name))
            for name, each in options_of(type(self)).items()
            if each.since == 1 or getattr(self, name) != each.default
        }
        return {"version": RECIPE_VERSION, "seed": values.pop("seed"), **values}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return the recipe that `to_json` described, possibly in an earlier version.

        An absent field has its default, which changes nothing. Raises FormatError for anything else.
        """
        options = options_of(cls)
        checked = fields_from_json(cls, values)
        if missing := [name for name, each in options.items() if each.default is REQUIRED and name not in checked]:
            raise FormatError(f"the recipe has no {missing[0]!r}")
        try:
            return cls(**checked)
        except RequestError as error:
            raise FormatError(f"the recipe is not valid: {error}") from None

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the canonical JSON, in hexadecimal: equal for equal recipes."""
        values = self.to_json()
        if not self.sequences.are_many:
            return sha256(canonical_json(values).encode()).hexdigest()
        before, _, after = canonical_json(values | {"sequences": None}).partition('"sequences":null')
        digest, separator = sha256(f'{before}"sequences":["'.encode()), b""
        for piece in self.sequences.text():
            digest.update(separator + piece[:-1].replace(b"\n", b'","'))
            separator = b'","'
        digest.update(f'"]{after}'.encode())
        return digest.hexdigest()


def fields_from_json(kind: type, values: object, hint: str = NEWER) -> dict[str, Any]:
    """Return the fields of a recipe that are in JSON values, as `Recipe.to_json` has them.

    Raises FormatError, with the `hint` where there is a field that is not known.
    """
    if isinstance(values, dict) and values.get("version", RECIPE_VERSION) != RECIPE_VERSION:
        raise FormatError("the recipe is of another version", hint=NEWER)
    known = {"version": int, **{name: each.kind.json_type for name, each in options_of(kind).items()}}
    if isinstance(values, dict):
        known = {name: type_ for name, type_ in known.items() if name in values}
        if isinstance(values.get("sequences"), Sequences):  # to which they referred
            known |= {"sequences": Sequences}
    checked = typed_fields(values, known, "the recipe", hint)
    checked.pop("version", None)
    try:
        return {
            name: value if isinstance(value, Sequences) else options_of(kind)[name].kind.from_json(name, value)
            for name, value in checked.items()
        }
    except RequestError as error:
        raise FormatError(f"the recipe is not valid: {error}") from None
