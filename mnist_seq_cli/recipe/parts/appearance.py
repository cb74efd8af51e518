"""Owns how digits and background look: warps of each glyph, contrast, background and noise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.kinds import Flag, Integer, NameOrPath, Ranged
from mnist_seq_cli.recipe.options.notation import Range
from mnist_seq_cli.recipe.options.option import option, options_of
from mnist_seq_cli.recipe.warp_bounds import Warp

PAPERS = ("plain", "gradient", "grain")

_CONTENT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def is_content(name: object) -> bool:
    """Return whether this is the name of custom glyphs or a custom background, which are known by their content."""
    return isinstance(name, str) and _CONTENT.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """How it looks: `slant`, `rotate`, `scale` and `stroke` are sampled for each glyph, `contrast` for each strip.

    Each is a range (from, to), "-10-10" or one number. `paper` is the background: plain, gradient, grain, or a picture,
    of which each image shows another part; recipes identify it by its content, "sha256:…". `noise` is the largest
    change of a pixel, in grey levels. `invert` gives white ink on black.
    """

    HEADING: ClassVar = ("Appearance", "How digits and background look. A range A-B is sampled; one number is fixed.")

    slant: Range = option(
        (0, 0), Ranged((-45, 45), "°"), "Slant each digit, in degrees to the right.  [default: 0]", basic=True
    )
    rotate: Range = option(
        (0, 0), Ranged((-90, 90), "°"), "Rotate each digit, in degrees counterclockwise.  [default: 0]", basic=True
    )
    scale: Range = option((100, 100), Ranged((25, 400), " %"), "Size of each digit, in percent.  [default: 100]")
    stroke: Range = option(
        (0, 0), Ranged((-3, 3), " px"), "Thicken the strokes of each digit, in px; negative: thin them.  [default: 0]"
    )
    contrast: Range = option(
        (100, 100), Ranged((5, 100), " %"), "Contrast of the ink of each image, in percent.  [default: 100]"
    )
    paper: str = option(
        "plain",
        NameOrPath("|".join((*PAPERS, "FILE"))),
        "Background; FILE is a picture, of which each image shows another part.  [default: plain]",
    )
    noise: int = option(
        0,
        Integer(0, 255, "LEVELS"),
        "Change each pixel, by up to LEVELS (of 255).  [default: 0]",
        basic=True,
    )
    invert: bool = option(False, Flag(), "White ink on black, as in MNIST itself.", basic=True)

    @cached_property
    def warp(self) -> Warp:
        """How glyphs may be warped."""
        return Warp(self.slant, self.rotate, self.scale, self.stroke)

    @cached_property
    def is_warped(self) -> bool:
        """Whether glyphs are given another shape than they have in the bank."""
        return not self.warp.is_plain

    @cached_property
    def has_effects(self) -> bool:
        """Whether strips are more than ink on white: paler, noisy, or on another background."""
        return bool("contrast" in self.sampled_ranges or self.paper != "plain" or self.noise)

    @property
    def has_custom_background(self) -> bool:
        """Whether strips are on a picture, which the recipe knows by its content alone."""
        return self.paper not in PAPERS

    @cached_property
    def sampled_ranges(self) -> dict[str, Range]:
        """The ranges that something is sampled from, by name: those that are not the one that changes nothing."""
        ranges = {name: getattr(self, name) for name, each in _RANGES.items()}
        return {name: value for name, value in ranges.items() if value != _RANGES[name].default}


_RANGES = {name: each for name, each in options_of(Appearance).items() if isinstance(each.kind, Ranged)}
RANGE_UNITS = {name: each.kind.unit for name, each in _RANGES.items() if isinstance(each.kind, Ranged)}
"""The units of what is sampled from a range, by name."""


def check_background_name(appearance: Appearance) -> None:
    """Raise RequestError for a background that a recipe cannot name."""
    if appearance.paper not in PAPERS and not is_content(appearance.paper):
        raise RequestError(
            f"`paper` is {appearance.paper!r}", hint=f"it is one of {', '.join(PAPERS)}, or a picture that is given"
        )
