"""Owns where digits are placed: the gaps between them, and the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from mnist_seq_cli.recipe.options.bounds import MAX_SEED, MAX_WIDTH
from mnist_seq_cli.recipe.options.kinds import Choice, Integer, IntegerOr
from mnist_seq_cli.recipe.options.option import option

Spacing = Literal["equal", "random"]
SPACINGS: tuple[Spacing, ...] = get_args(Spacing)
Crop = Literal["box", "tight"]
CROPS: tuple[Crop, ...] = get_args(Crop)
Align = Literal["left", "center", "right", "random"]
ALIGNS: tuple[Align, ...] = get_args(Align)

FULL = -1
"""As `jitter_y`: over the whole height."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where digits are placed, in px.

    Gaps are sampled from [min_gap, max_gap]: one per strip (`spacing` "equal"), or each on its own ("random"). They are
    between the boxes of glyphs, or with `crop` "tight" between their ink. Where glyphs overlap, the darker ink shows.
    With `width` the gap is `(width - L*28) / (L - 1)`; with `align` or tight crops, `width` is a canvas that need not
    be filled; "fit" makes each image as wide as its strip. The canvas has a `margin` on all sides, the strip is placed
    in it by `align`, and each glyph is moved by up to `jitter_x` and `jitter_y` px ("full": over the whole height).
    """

    HEADING: ClassVar = ("Layout", "Positions of the digits and size of the image, in px.")

    min_gap: int = option(
        0,
        Integer(-MAX_WIDTH, MAX_WIDTH),
        "Smallest gap between digits; negative: overlap.  [default: 0]",
        flag="--min",
        basic=True,
    )
    max_gap: int | None = option(
        None,
        Integer(-MAX_SEED, MAX_SEED),
        "Largest gap.  [default: none with --width, else --min]",
        flag="--max",
        basic=True,
    )
    width: int | Literal["fit"] | None = option(
        None,
        IntegerOr(1, MAX_WIDTH, "fit", "fit"),
        "Width of the image; gap = (width - L*28) / (L - 1). fit: as wide as its digits.  "
        "[default: what the digits need]",
        basic=True,
    )
    spacing: Spacing | None = option(
        None,
        Choice(SPACINGS),
        "Equal gaps in an image, or each random.  [default: equal with --width, else random]",
    )
    crop: Crop = option("box", Choice(CROPS), "Measure gaps between boxes of 28 px, or between ink.  [default: box]")
    height: int | None = option(None, Integer(0, MAX_WIDTH), "Height of the image.  [default: what the digits need]")
    align: Align | None = option(
        None, Choice(ALIGNS), "Alignment in an image that is wider than its digits.  [default: none, gaps fill it]"
    )
    margin: int = option(0, Integer(0, MAX_WIDTH), "Margin on all sides.  [default: 0]")
    jitter_x: int = option(0, Integer(0, MAX_WIDTH), "Move each digit sideways by up to PX.  [default: 0]")
    jitter_y: int = option(
        0, IntegerOr(0, MAX_WIDTH, "full", FULL), "Move each digit up or down by up to PX.  [default: 0]"
    )
