"""Owns what was asked for: a recipe that checks itself, and its fingerprint."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.bounds import MAX_SAMPLES, check_choice, check_range
from mnist_seq_cli.recipe.json_values import canonical_json, typed_fields

if TYPE_CHECKING:
    from mnist_seq_cli.recipe.warp_bounds import Warp

Digits = tuple[int, ...]
Lengths = tuple[tuple[int, int], ...]
"""Lengths of sequences, each with its weight."""

Pool = tuple[int, int, int]
"""A part of things in a fixed order: of every `whole` of them, those from `low` to `high` (exclusive)."""
EVERYTHING: Pool = (0, 1, 1)

Spacing = Literal["equal", "random"]
SPACINGS: tuple[Spacing, ...] = get_args(Spacing)
Crop = Literal["box", "tight"]
CROPS: tuple[Crop, ...] = get_args(Crop)
Align = Literal["left", "center", "right", "random"]
ALIGNS: tuple[Align, ...] = get_args(Align)
PAPERS = ("plain", "gradient", "grain")
Range = tuple[int, int]
GlyphRule = Literal["any", "once"]
GLYPH_RULES: tuple[GlyphRule, ...] = get_args(GlyphRule)
BUNDLED_SOURCES = ("train", "test", "all")

RECIPE_VERSION = 1
MAX_LENGTH = 1_000
MAX_WIDTH = 100_000
MAX_AREA = 16_000_000
MAX_WEIGHT = 1_000_000
MAX_SEED = 2**64 - 1

FULL = -1
"""As `jitter_y`: over the whole height."""

RANGES: dict[str, tuple[Range, Range]] = {
    "slant": ((0, 0), (-45, 45)),
    "rotate": ((0, 0), (-90, 90)),
    "scale": ((100, 100), (25, 400)),
    "stroke": ((0, 0), (-3, 3)),
    "contrast": ((100, 100), (5, 100)),
}
"""What is drawn from a range: the range that changes nothing, and the widest that there may be."""

_SHAPES = ("slant", "rotate", "scale", "stroke")

_CONTENT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
"""The name of what is known by its content alone."""

_SEQUENCE = re.compile(r"[0-9](?:(?:[- ]|, ?)?[0-9])*", re.ASCII)


def is_content(name: object) -> bool:
    """Tell whether this is the name of glyphs or paper of a user's own, which are known by their content alone."""
    return isinstance(name, str) and _CONTENT.fullmatch(name) is not None


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


def parse_digits(text: str) -> Digits:
    """Return the digits that may occur: `0-4` or `01234`, each once, in order. Raises RequestError."""
    ranges = [(int(first), int(last or first)) for first, last in re.findall(r"([0-9])(?:-([0-9]))?", text[:100])]
    whole = len(text) <= 100 and re.fullmatch(r"(?:[0-9](?:-[0-9])?,?)+", text)
    if not whole or any(last < first for first, last in ranges):
        raise RequestError(f"--digits is {text!r}", hint="write it like 01234, 0-4 or 1,3,5")
    digits = {digit for first, last in ranges for digit in range(first, last + 1)}
    return tuple(sorted(digits))


def parse_range(name: str, text: str) -> Range:
    """Return the range in `text`: `-10-10`, `80-120`, or one number for itself. Raises RequestError."""
    found = re.fullmatch(r"(-?[0-9]{1,6})(?:-(-?[0-9]{1,6}))?", text, re.ASCII)
    if not found:
        raise RequestError(f"--{name} is {text!r}", hint="write it like -10-10, 80-120 or 5")
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise RequestError(f"--{name} goes from {first} down to {last}", hint="the smaller one comes first")
    return first, last


def to_range(name: str, value: object) -> Range:
    """Return the range that is given as text, as one number, or as its two ends. Raises RequestError."""
    match value:
        case str():
            return parse_range(name, value)
        case int() if type(value) is int:
            return value, value
        case (first, last) if type(first) is type(last) is int:
            return first, last
    raise RequestError(f"--{name} is {value!r}", hint="it is a whole number, two of them, or text like -10-10")


def parse_lengths(text: str) -> int | Lengths:
    """Return the length in `text`, or pairs of length and weight: `4`, `2-8`, `2:1,3:5`. Raises RequestError."""
    hint = "write 4, 2-8, or lengths with weights, 2:1,3:5,4:1"
    if simple := re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", text, re.ASCII):
        first, last = int(simple[1]), int(simple[2] or simple[1])
        if last < first:
            raise RequestError(f"--len goes from {first} down to {last}", hint=hint)
        return first if simple[2] is None else tuple((size, 1) for size in range(first, last + 1))
    pairs = [pair.split(":") for pair in text.split(",")]
    if not all(len(pair) == 2 and all(re.fullmatch(r"[0-9]{1,9}", part, re.ASCII) for part in pair) for pair in pairs):
        raise RequestError(f"--len is {text!r}", hint=hint)
    weights = {int(size): int(weight) for size, weight in pairs}
    if len(weights) < len(pairs):
        raise RequestError(f"--len {text} has a length twice", hint=hint)
    return tuple(sorted(weights.items()))


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise RequestError(f"{text!r} is not a length")
    return int(text)


def format_sequence(digits: Iterable[int]) -> str:
    """Return digits as they are written in names and labels: `1-2-3`."""
    return "-".join(map(str, digits))


def draw_seed() -> int:
    """Return a seed from the operating system: twelve digits at most, so that a person can type it again."""
    return int.from_bytes(os.urandom(8), "big") % 10**12


class Layout(NamedTuple):
    """The gaps and the canvas that a request for space comes down to, in px."""

    spacing: Spacing
    min_gap: int
    max_gap: int
    width: int


def resolve_layout(
    length: int,
    *,
    min_gap: int = 0,
    max_gap: int | None = None,
    width: int | None = None,
    spacing: Spacing | None = None,
    glyph_width: int = 28,
    around: int = 0,
    filled: bool = True,
) -> Layout:
    """Return the layout that fulfils a request, in its simplest terms.

    With `width` the gap is `(width - length * glyph_width) / (length - 1)`, the rule of MNIST-Sequence, which has to be
    a whole number of px inside [min_gap, max_gap]; `spacing="random"`, or what is not `filled`, takes `width` as the
    canvas instead. Without `width` gaps are drawn from [min_gap, max_gap] and the canvas holds the widest strip.
    `max_gap` defaults to no bound when there is a width to fill, else to `min_gap`. Gaps that cannot vary are "equal"
    gaps. `around` is the paper that is kept free at both ends together, in px.

    Raises RequestError for what cannot be; for an impossible width it names the nearest that work.
    """
    check_range("number of digits", length, 1, MAX_LENGTH)
    check_range("--min", min_gap, -glyph_width, MAX_WIDTH)
    if width is not None:
        check_range("--width", width, 1, MAX_WIDTH)
    if max_gap is not None:
        check_range("--max", max_gap, -MAX_SEED, MAX_SEED)
    if spacing not in (None, *SPACINGS):
        raise RequestError(f"--spacing is {spacing!r}", hint=f"it is one of {', '.join(SPACINGS)}")
    if max_gap is not None and max_gap < min_gap:
        raise RequestError(f"--max {max_gap} is below --min {min_gap}", hint="no gap is in that range")
    boxes, gaps = length * glyph_width + around, length - 1
    if boxes + gaps * min_gap > MAX_WIDTH:
        raise RequestError(
            f"{length} digits with gaps of {min_gap} px are {boxes + gaps * min_gap} px wide",
            hint=f"{MAX_WIDTH} px at most",
        )
    if gaps == 0:
        layout = _one_digit(boxes, width, filled and spacing != "random")
    elif not filled and width is not None:
        top = min_gap if max_gap is None else max_gap
        widest = boxes + gaps * top
        if widest > width:
            raise RequestError(
                f"{length} digits can be {widest} px wide, and --width is {width}", hint=f"--width {widest} would do"
            )
        layout = Layout(spacing or "random", min_gap, top, width)
    elif width is None:
        layout = Layout(spacing or "random", min_gap, min_gap if max_gap is None else max_gap, 0)
        layout = layout._replace(width=boxes + gaps * layout.max_gap)
        if layout.width > MAX_WIDTH:
            raise RequestError(
                f"{length} digits with gaps of up to {max_gap} px are {layout.width} px wide",
                hint=f"{MAX_WIDTH} px at most",
            )
    elif spacing == "random":
        top = max(min_gap, (width - boxes) // gaps) if max_gap is None else max_gap
        widest = boxes + gaps * top
        if widest > width:
            raise RequestError(
                f"{length} digits with random gaps of up to {top} px can be {widest} px wide, and --width is {width}",
                hint=f"--width {widest} would do"
                if widest <= MAX_WIDTH
                else f"--max {(width - boxes) // gaps} would do",
            )
        layout = Layout(spacing, min_gap, top, width)
    else:
        layout = _fixed_gap(length, min_gap, max_gap, width, glyph_width, around)
    return layout._replace(spacing="equal") if layout.min_gap == layout.max_gap else layout


def _one_digit(own_width: int, width: int | None, filled: bool) -> Layout:
    """Return the layout of one digit, which has no gaps: its own width, or a wider canvas that it need not fill."""
    if width is None or width == own_width:
        return Layout("equal", 0, 0, own_width)
    if width < own_width or filled:
        hint = f"--width {own_width}" + (", or --align center" if width > own_width else " would do")
        raise RequestError(f"one digit is {own_width} px wide, and --width is {width}", hint=hint)
    return Layout("equal", 0, 0, width)


def _fixed_gap(length: int, min_gap: int, max_gap: int | None, width: int, glyph_width: int, around: int) -> Layout:
    """Return the layout in which every gap is the one that the width leaves, by the rule of MNIST-Sequence."""
    boxes, gaps = length * glyph_width + around, length - 1
    gap, rest = divmod(width - boxes, gaps)
    top = min(MAX_WIDTH if max_gap is None else max_gap, (MAX_WIDTH - boxes) // gaps)
    if rest == 0 and min_gap <= gap <= top:
        return Layout("equal", gap, gap, width)
    if rest:
        kept = f" - {around}" if around else ""
        problem = f"({width}{kept} - {length}*{glyph_width}) / {gaps} is not a whole number of px"
    else:
        bounds = f"at least {min_gap} px" if max_gap is None else f"{min_gap} to {max_gap} px"
        problem = f"the gap would be {gap} px, and {bounds} was asked for"
    nearest = sorted({min(max(near, min_gap), top) for near in (gap, gap + 1)})
    offers = " or ".join(f"--width {boxes + gaps * near} (gap {near})" for near in nearest)
    raise RequestError(f"--width {width} does not fit {length} digits: {problem}", hint=f"nearest: {offers}")


def _reach(
    crop: Crop, looks: Mapping[str, Range], glyph: tuple[int, int], ink: tuple[int, int]
) -> tuple[int, int, int]:
    """Return height and width in px that no glyph's ink exceeds, and how far one follows the other at most at no gap.

    Glyphs that keep their shape stay in their boxes, and need no room of their own: 0.
    """
    height = width = 0
    if any(looks[name] != RANGES[name][0] for name in _SHAPES):
        from mnist_seq_cli.recipe.warp_bounds import Warp, cell_size

        height, width = cell_size(Warp(*(looks[name] for name in _SHAPES)), ink)
    if crop == "tight":
        return height, width, width or max(ink[1], 1)
    return height, width, glyph[1]


def _check_min_gap(min_gap: int, crop: Crop, advance: int) -> None:
    """Raise RequestError for glyphs that overlap too far: tight ones stay in order, and begin a pixel further each."""
    check_range("--min", min_gap, int(crop == "tight") - advance, MAX_WIDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that can change a pixel or a label; sample i is a pure function of (recipe, i).

    What is written: `length` digits, each uniform over `digits`, without two alike where `repeat` is false; or with
    `lengths`, pairs of a length and its weight, as many as these say, `length` being the largest. In their place may
    stand `sequences`, one after the other and then again (in a new order each time with `shuffle`); a `pattern`, in the
    language of the module of that name; or with `per_label` every sequence of `length` digits that many times. `check`
    "luhn" makes the last digit a check digit.

    How it is laid out: gaps are drawn from [min_gap, max_gap] px: one for the whole strip ("equal") or each for itself
    ("random"); between the boxes of glyphs, or with `crop` "tight" between their ink. Where glyphs overlap, the darker
    one is seen. The canvas is `height` (that of the glyphs, if 0) × `width` px with `margin` px of paper on all sides;
    the strip stands in it as `align` says, each glyph moved by up to `jitter_x` and `jitter_y` px (or FULL: over the
    whole height). With `fit` each image is only as wide as its strip.

    How it looks: the ranges of `slant`, `rotate`, `scale` and `stroke` are drawn from for each glyph (see the module
    `hand`), `contrast` (in percent) for each strip; `paper` (plain, gradient, grain, or "sha256:…" for the content of a
    picture) and `noise` (grey levels either way) are the module `paper`'s. `invert` gives white ink on black paper.

    `source` names the bank. No glyph of it is larger than `glyph_height` × `glyph_width` px, and the ink of none larger
    than `ink_height` × `ink_width` px.

    Which glyphs it is made of: any of its digit, all alike likely; or with `glyphs` "once" none for the second time
    before all of its digit have been used. `exclude_mislabeled` leaves out MNIST's known wrong labels. `pool` is the
    part (low, high, whole) of each digit's glyphs that may be drawn, and `label_pool` that of the sequences: parts that
    do not overlap have nothing in common, whatever the seed.

    Raises RequestError when the values contradict each other. `Recipe.request` resolves a person's request first.
    """

    seed: int
    length: int
    lengths: tuple[tuple[int, int], ...] = ()
    digits: Digits = tuple(range(10))
    repeat: bool = True
    sequences: tuple[Digits, ...] = ()
    shuffle: bool = False
    pattern: str = ""
    per_label: int = 0
    check: Literal["", "luhn"] = ""
    spacing: Spacing = "equal"
    min_gap: int = 0
    max_gap: int = 0
    crop: Crop = "box"
    width: int
    height: int = 0
    fit: bool = False
    align: Align = "left"
    margin: int = 0
    jitter_x: int = 0
    jitter_y: int = 0
    slant: Range = RANGES["slant"][0]
    rotate: Range = RANGES["rotate"][0]
    scale: Range = RANGES["scale"][0]
    stroke: Range = RANGES["stroke"][0]
    contrast: Range = RANGES["contrast"][0]
    paper: str = "plain"
    noise: int = 0
    source: str = "train"
    glyph_height: int = 28
    glyph_width: int = 28
    ink_height: int = 20
    ink_width: int = 20
    exclude_mislabeled: bool = False
    glyphs: GlyphRule = "any"
    pool: Pool = EVERYTHING
    label_pool: Pool = EVERYTHING
    invert: bool = False

    def __post_init__(self) -> None:
        check_range("--seed", self.seed, 0, MAX_SEED)
        check_range("--len", self.length, 1, MAX_LENGTH)
        check_range("glyph height", self.glyph_height, 1, MAX_WIDTH)
        check_range("glyph width", self.glyph_width, 1, MAX_WIDTH)
        if not self.height:
            object.__setattr__(self, "height", self.glyph_height)
        self._check_looks()
        self._check_layout()
        self._check_writing()
        self._check_glyphs()

    def _check_looks(self) -> None:
        for name, (_, (lowest, highest)) in RANGES.items():
            value = getattr(self, name)
            if to_range(name, value) != value:  # a list would differ from the range that changes nothing
                raise RequestError(f"--{name} is {value!r}", hint="it is (from, to)")
            low, high = value
            check_range(f"--{name}", low, lowest, highest)
            check_range(f"--{name}", high, low, highest)
        check_range("--noise", self.noise, 0, 255)
        if self.paper not in PAPERS and not is_content(self.paper):
            raise RequestError(
                f"--paper is {self.paper!r}", hint=f"it is one of {', '.join(PAPERS)}, or a picture that is given"
            )

    def _check_layout(self) -> None:
        for name, value, choices in (
            ("--spacing", self.spacing, SPACINGS),
            ("--crop", self.crop, CROPS),
            ("--align", self.align, ALIGNS),
        ):
            check_choice(name, value, choices)
        check_range("ink height", self.ink_height, 0, MAX_WIDTH)
        check_range("ink width", self.ink_width, 0, MAX_WIDTH)
        check_range("--max", self.max_gap, self.min_gap, MAX_WIDTH)
        check_range("--margin", self.margin, 0, MAX_WIDTH)
        check_range("--jitter-x", self.jitter_x, 0, MAX_WIDTH)
        check_range("--jitter-y", self.jitter_y, FULL, MAX_WIDTH)
        looks = {name: getattr(self, name) for name in RANGES}
        glyph, ink = (self.glyph_height, self.glyph_width), (self.ink_height, self.ink_width)
        cell_height, cell_width, advance = _reach(self.crop, looks, glyph, ink)
        _check_min_gap(self.min_gap, self.crop, advance)
        row = advance * self.length + (self.length - 1) * self.max_gap
        around = 2 * (self.margin + self.jitter_x)
        check_range("--width", self.width, max(advance, cell_width, row) + around, MAX_WIDTH)
        column = max(self.glyph_height, cell_height) + 2 * (self.margin + max(self.jitter_y, 0))
        check_range("--height", self.height, column, MAX_WIDTH)
        if self.width * self.height > MAX_AREA:
            raise RequestError(f"{self.width}×{self.height} px are too many", hint=f"{MAX_AREA} px at most")
        if self.fit and self.align != "left":
            raise RequestError("--width fit leaves no room to align in", hint="leave --align out")

    @property
    def warp(self) -> Warp:
        """How glyphs may be warped."""
        from mnist_seq_cli.recipe.warp_bounds import Warp

        return Warp(*(getattr(self, name) for name in _SHAPES))

    @property
    def is_warped(self) -> bool:
        """Whether glyphs are given another shape than they have in the bank."""
        return any(getattr(self, name) != RANGES[name][0] for name in _SHAPES)

    @property
    def has_effects(self) -> bool:
        """Whether strips are more than ink on white paper."""
        return bool(self.contrast != RANGES["contrast"][0] or self.paper != "plain" or self.noise)

    @property
    def has_own_paper(self) -> bool:
        """Whether strips are on a picture of the user's own, which the recipe knows by its content alone."""
        return self.paper not in PAPERS

    @property
    def is_row(self) -> bool:
        """Whether glyph boxes stand in a row from the left margin on, each where the one before and a gap end."""
        return self.crop == "box" and self.align == "left" and not self.jitter_x and not self.fit

    @property
    def is_level(self) -> bool:
        """Whether all glyph boxes are as high as the canvas."""
        return self.height == self.glyph_height and not self.is_warped

    @property
    def overlaps(self) -> bool:
        """Whether the box of one glyph may reach into that of another, or out of the canvas."""
        return self.crop == "tight" or self.is_warped or self.min_gap < 2 * self.jitter_x

    def _check_writing(self) -> None:
        for sequence in self.sequences:
            if not 0 < len(sequence) <= self.length or not all(
                type(digit) is int and 0 <= digit <= 9 for digit in sequence
            ):
                raise RequestError(f"{sequence!r} is not a sequence of 1 to {self.length} digits")
        if not self.digits or list(self.digits) != sorted(set(self.digits)) or not {*self.digits} <= {*range(10)}:
            raise RequestError(f"--digits is {self.digits!r}", hint="it is some of 0123456789, each once")
        for size, weight in self.lengths:
            check_range("--len", size, 1, MAX_LENGTH)
            check_range("the weight of a length", weight, 1, MAX_WEIGHT)
        sizes = [size for size, _ in self.lengths]
        if sizes != sorted(set(sizes)):
            raise RequestError(f"the lengths {sizes!r} are not in order, each once")
        if sizes and sizes[-1] != self.length:
            raise RequestError(f"the longest of the lengths {sizes!r} is not {self.length}")
        if self.pattern:
            from mnist_seq_cli.recipe.pattern import parse

            if parse(self.pattern).longest != self.length:
                raise RequestError(f"the pattern {self.pattern!r} does not stand for up to {self.length} digits")
        if self.check not in ("", "luhn"):
            raise RequestError(f"--check is {self.check!r}", hint="it is luhn")
        check_range("--per-label", self.per_label, 0, MAX_SAMPLES)
        rules = {"--labels": bool(self.sequences), "--pattern": bool(self.pattern), "--per-label": bool(self.per_label)}
        chosen = [name for name, given in rules.items() if given]
        if len(chosen) > 1:
            raise RequestError(f"{' and '.join(chosen)} both say what is written", hint="take one of them")
        limits = {
            "--len with several lengths": bool(self.lengths),
            "--no-repeat": not self.repeat,
            "--digits": len(self.digits) < 10,
            "--check": bool(self.check),
            "--shuffle": self.shuffle,
        }
        allowed = {
            (): {"--len with several lengths", "--no-repeat", "--digits", "--check"},
            ("--labels",): {"--shuffle"},
            ("--pattern",): {"--check"},
            ("--per-label",): {"--digits"},
        }[tuple(chosen)]
        for name, given in limits.items():
            if given and name not in allowed:
                raise RequestError(f"{name} does not go with {chosen[0] if chosen else 'random sequences'}")
        if self.check and (not self.repeat or len(self.digits) < 10):
            raise RequestError("a check digit can be any digit, also one that was ruled out", hint="leave --check out")
        if not self.repeat and self.length > len(self.digits):
            raise RequestError(
                f"{self.length} digits without two alike, and there are {len(self.digits)}",
                hint="leave --no-repeat out",
            )
        if self.per_label and len(self.digits) ** self.length * self.per_label > MAX_SAMPLES:
            every = len(self.digits) ** self.length
            raise RequestError(
                f"--per-label {self.per_label} of {every} sequences are {self.per_label * every} samples",
                hint=f"{MAX_SAMPLES} at most",
            )

    def _check_glyphs(self) -> None:
        if self.exclude_mislabeled and self.source not in BUNDLED_SOURCES:
            raise RequestError(
                "--exclude-mislabeled leaves out known wrong labels of MNIST's test file, and the source is your own",
                hint="leave it out, and take wrong ones out of your files",
            )
        if self.glyphs not in GLYPH_RULES:
            raise RequestError(f"--glyphs is {self.glyphs!r}", hint=f"it is one of {', '.join(GLYPH_RULES)}")
        for name, pool in (("pool", self.pool), ("label_pool", self.label_pool)):
            if not isinstance(pool, tuple) or len(pool) != 3:
                raise RequestError(f"{name} is {pool!r}", hint="it is (low, high, whole): that part of every whole")
            check_range(f"the whole of {name}", pool[2], 1, MAX_SAMPLES)
            check_range(f"the end of {name}", pool[1], 1, pool[2])
            check_range(f"the beginning of {name}", pool[0], 0, pool[1] - 1)
        if self.label_pool == EVERYTHING:
            return
        rules = {
            "--labels": self.sequences,
            "--pattern": self.pattern,
            "--len with several lengths": self.lengths,
            "--no-repeat": not self.repeat,
            "--check": self.check,
        }
        for name, given in rules.items():
            if given:
                raise RequestError(f"a part of all sequences of one length does not go with {name}")
        every = len(self.digits) ** self.length
        if every >= 2**32:
            raise RequestError(f"{every} sequences are too many to take a part of", hint="fewer digits, or less --len")
        if not self.sequence_count:
            raise RequestError(f"that part of {every} sequences is none of them", hint="more digits, or more --len")

    @property
    def sequence_range(self) -> tuple[int, int]:
        """The sequences of `length` of the digits that may be written: from which to which of them, in their order."""
        every = len(self.digits) ** self.length
        low, high, whole = self.label_pool
        return every * low // whole, every * high // whole

    @property
    def sequence_count(self) -> int:
        """How many sequences of `length` of the digits may be written."""
        first, stop = self.sequence_range
        return stop - first

    @classmethod
    def request(
        cls,
        *,
        seed: int | None = None,
        length: int | Lengths | None = None,
        sequences: Iterable[Digits] = (),
        pattern: str = "",
        min_gap: int = 0,
        max_gap: int | None = None,
        width: int | Literal["fit"] | None = None,
        height: int | None = None,
        spacing: Spacing | None = None,
        crop: Crop = "box",
        align: Align | None = None,
        margin: int = 0,
        jitter_x: int = 0,
        jitter_y: int | Literal["full"] = 0,
        source: str = "train",
        glyph_height: int = 28,
        glyph_width: int = 28,
        **others: Any,
    ) -> Self:
        """Return the recipe for a request, with the layout worked out and a seed drawn where none is given.

        `length` is a number, or pairs of a length and its weight; the sequences or the pattern tell it otherwise.
        With `align`, or when the crop is tight, `width` is the canvas, and is not filled. `others` are fields of the
        recipe, taken as they are; but ranges may be text or one number, too.
        """
        others |= {name: to_range(name, others[name]) for name in RANGES if name in others}
        if jitter_y == "full":
            jitter_y = FULL
        written = tuple(tuple(sequence) for sequence in sequences)
        lengths: Lengths = ()
        if pattern:
            from mnist_seq_cli.recipe.pattern import parse

            shortest, longest = parse(pattern).bounds
        elif written:
            shortest, longest = min(map(len, written)), max(map(len, written))
        elif isinstance(length, tuple):
            lengths = tuple(sorted(length))
            shortest, longest = lengths[0][0], lengths[-1][0]
            lengths = lengths if shortest < longest else ()
        else:
            shortest = longest = 4 if length is None else length
        if isinstance(length, tuple) and (pattern or written):
            raise RequestError(f"--len with several lengths does not go with {'--pattern' if pattern else '--labels'}")
        if length is not None and (pattern or written) and length != longest:
            raise RequestError(f"--len {length} is not the length of what is to be written, {shortest} to {longest}")
        length = longest
        is_canvas = align is not None or crop == "tight"
        if shortest < longest and isinstance(width, int) and spacing != "random" and not is_canvas:
            raise RequestError(
                f"{shortest} to {longest} digits do not fill {width} px with the same gaps",
                hint="--align left takes --width as the canvas",
            )
        looks = {name: others.get(name, plain) for name, (plain, _) in RANGES.items()}
        ink = (others.get("ink_height", 20), others.get("ink_width", 20))
        cell_height, cell_width, advance = _reach(crop, looks, (glyph_height, glyph_width), ink)
        _check_min_gap(min_gap, crop, advance)
        check_range("--margin", margin, 0, MAX_WIDTH)
        check_range("--jitter-x", jitter_x, 0, MAX_WIDTH)
        check_range("--jitter-y", jitter_y, FULL, MAX_WIDTH)
        layout = resolve_layout(
            length,
            min_gap=min_gap,
            max_gap=max_gap,
            width=None if width == "fit" else width,
            spacing=spacing,
            glyph_width=advance,
            around=2 * (margin + jitter_x),
            filled=not is_canvas,
        )
        widest = cell_width + 2 * (margin + jitter_x)
        if layout.width < widest:
            if isinstance(width, int):
                raise RequestError(
                    f"a digit can be {widest} px wide, and --width is {width}", hint=f"--width {widest} would do"
                )
            layout = layout._replace(width=widest)
        column = max(glyph_height, cell_height) + 2 * (margin + max(jitter_y, 0))
        if height is not None and not column <= height <= MAX_WIDTH:
            raise RequestError(
                f"--height {height} does not fit digits that take {column} px", hint=f"--height {column} would do"
            )
        if jitter_y == FULL and height is None:
            raise RequestError("--jitter-y full is over the whole height, which is not given", hint="give --height")
        return cls(
            seed=draw_seed() if seed is None else seed,
            length=length,
            lengths=lengths,
            sequences=written,
            pattern=pattern,
            source=source,
            glyph_height=glyph_height,
            glyph_width=glyph_width,
            crop=crop,
            height=column if height is None else height,
            fit=width == "fit",
            align=align or "left",
            margin=margin,
            jitter_x=jitter_x,
            jitter_y=jitter_y,
            **layout._asdict(),
            **others,
        )

    @property
    def round(self) -> int | None:
        """The samples in which every sequence is written as often as it should be; None without such a rule."""
        if self.per_label:
            return self.per_label * self.sequence_count
        return len(self.sequences) or None

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values, every field of it, so that nothing depends on a later default."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["sequences"] = [format_sequence(sequence) for sequence in self.sequences]
        values["digits"] = "".join(map(str, self.digits))
        values["lengths"] = {str(size): weight for size, weight in self.lengths}
        values |= {"pool": list(self.pool), "label_pool": list(self.label_pool)}
        values |= {name: list(values[name]) for name in RANGES}
        return {"version": RECIPE_VERSION, **values}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return the recipe that `to_json` described. Raises FormatError for anything else."""
        checked = cls._fields_from_json(values, complete=True)
        try:
            return cls(**checked)
        except RequestError as error:
            raise FormatError(f"the recipe is not valid: {error}") from None

    @classmethod
    def some_from_json(cls, values: object) -> dict[str, Any]:
        """Return some fields of a recipe, from JSON values as `to_json` would have them. Raises FormatError."""
        return cls._fields_from_json(values, complete=False)

    @classmethod
    def _fields_from_json(cls, values: object, *, complete: bool) -> dict[str, Any]:
        if isinstance(values, dict) and values.get("version", RECIPE_VERSION) != RECIPE_VERSION:
            raise FormatError("the recipe is of another version", hint="a newer mnistseq may read it")
        known = {"version": int, **{field.name: _JSON_TYPES.get(field.name, int) for field in fields(cls)}}
        if not complete and isinstance(values, dict):
            known = {name: kind for name, kind in known.items() if name in values}
        checked = typed_fields(values, known, "the recipe")
        checked.pop("version", None)
        if not all(isinstance(text, str) for text in checked.get("sequences", ())):
            raise FormatError("the recipe is not valid: it has sequences that are not text")
        try:
            return {name: _from_json_value(name, value) for name, value in checked.items()}
        except RequestError as error:
            raise FormatError(f"the recipe is not valid: {error}") from None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the canonical JSON, in hexadecimal: equal for equal recipes."""
        return sha256(canonical_json(self.to_json()).encode()).hexdigest()


def _from_json_value(name: str, value: Any) -> Any:
    match name:
        case "sequences":
            return tuple(parse_sequence(text) for text in value)
        case "digits":
            return parse_digits(value)
        case "lengths":
            return tuple(sorted((_number(size), weight) for size, weight in value.items()))
        case "pool" | "label_pool":
            return tuple(value)
    return to_range(name, value) if name in RANGES else value


_JSON_TYPES: dict[str, type] = {
    **dict.fromkeys(RANGES, list),
    "align": str,
    "check": str,
    "crop": str,
    "digits": str,
    "exclude_mislabeled": bool,
    "glyphs": str,
    "fit": bool,
    "invert": bool,
    "label_pool": list,
    "lengths": dict,
    "paper": str,
    "pattern": str,
    "pool": list,
    "repeat": bool,
    "sequences": list,
    "shuffle": bool,
    "source": str,
    "spacing": str,
}
