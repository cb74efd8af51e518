"""Owns requests: what a user asked for, and the recipe that it resolves to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe import canvas
from mnist_seq_cli.recipe.options.bounds import MAX_SEED, MAX_WIDTH
from mnist_seq_cli.recipe.options.kinds import Flag, Integer, NameOrPath
from mnist_seq_cli.recipe.options.notation import Lengths
from mnist_seq_cli.recipe.options.option import check_options, normalized, option, options_of
from mnist_seq_cli.recipe.parts.appearance import Appearance
from mnist_seq_cli.recipe.parts.glyphs import GlyphFacts, Glyphs
from mnist_seq_cli.recipe.parts.placement import FULL, Placement
from mnist_seq_cli.recipe.parts.writing import Writing
from mnist_seq_cli.recipe.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Request(Glyphs, Appearance, Placement, Writing):
    """What was asked for, in its four parts; what was not asked for has its default. Raises RequestError.

    Without `seed` one is drawn when the request is resolved.
    """

    HEADING: ClassVar = ("Running", "How the work is done. Of these, only the seed changes the images.")

    seed: int | None = option(
        None,
        Integer(0, MAX_SEED, "SEED"),
        "Random seed, to repeat a run.  [default: random, and printed]",
        basic=True,
    )
    source_labels: str | None = option(None, NameOrPath("LABELS"), "IDX file with the labels of custom images.")
    source_transposed: bool = option(False, Flag(), "Custom images are transposed, as those of EMNIST are.")
    writers: str | None = option(None, NameOrPath("FILE"), "IDX file with the writer number of each custom image.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the request for values as a user gives them: ranges as text or one number, and so on."""
        return cls(**normalized(cls, dict(values)))

    @property
    def asked(self) -> dict[str, Any]:
        """What differs from the defaults, by name."""
        values = {name: getattr(self, name) for name in options_of(type(self))}
        return {name: value for name, value in values.items() if value != options_of(type(self))[name].default}

    def to_json(self) -> dict[str, Any]:
        """Return what was asked as JSON values."""
        return {name: options_of(type(self))[name].kind.to_json(value) for name, value in self.asked.items()}


MNIST = GlyphFacts()


def draw_seed() -> int:
    """Return a random seed from the operating system, of at most twelve digits, so that it is easy to type."""
    return int.from_bytes(os.urandom(8), "big") % 10**12


def resolve(request: Request, facts: GlyphFacts = MNIST, background: str | None = None) -> Recipe:
    """Return the recipe for a request, with the layout worked out and a seed drawn where none is given.

    `facts` are those of the glyphs that the request names, `background` is the name of a picture by its content. With
    `align`, or when the crop is tight, `width` is the canvas, and is not filled. Raises RequestError.
    """
    check_options(Request, request)
    shortest, longest, lengths = _lengths(request)
    width = None if isinstance(request.width, str) else request.width
    is_canvas = request.align is not None or request.crop == "tight"
    if shortest < longest and width is not None and request.spacing != "random" and not is_canvas:
        raise RequestError(
            f"{shortest} to {longest} digits do not fill {width} px with the same gaps",
            hint="`align=left` takes `width` as the canvas",
        )
    room = canvas.room(request, request, facts)
    canvas.check_min_gap(request, room.advance)
    layout = canvas.resolve_layout(
        longest,
        min_gap=request.min_gap,
        max_gap=request.max_gap,
        width=width,
        spacing=request.spacing,
        glyph_width=room.advance,
        around=room.around,
        filled=not is_canvas,
    )
    if layout.width < room.glyph:
        if width is not None:
            raise RequestError(
                f"a digit can be {room.glyph} px wide, and `width` is {width}", hint=f"`width={room.glyph}` would do"
            )
        layout = layout._replace(width=room.glyph)
    asked = {name: getattr(request, name) for name in _SAME}
    return Recipe(
        **asked,
        seed=draw_seed() if request.seed is None else request.seed,
        length=longest,
        lengths=lengths,
        paper=request.paper if background is None else background,
        height=_height(request, room.height),
        fit=request.width == "fit",
        align=request.align or "left",
        **facts._asdict(),
        **layout._asdict(),
    )


_SAME = sorted(
    (options_of(Request).keys() & options_of(Recipe).keys())
    - {"seed", "length", "paper", "height", "align", *GlyphFacts._fields, *canvas.Layout._fields}
)
"""The fields of a recipe that are what was asked for."""


def _lengths(request: Request) -> tuple[int, int, Lengths]:
    """Return the shortest and longest number of digits, and the lengths with their weights where there are several."""
    length = request.length
    if request.pattern:
        from mnist_seq_cli.recipe.pattern import parse

        shortest, longest = parse(request.pattern).bounds
    elif request.sequences:
        shortest, longest = request.sequences.shortest, request.sequences.longest
    elif isinstance(length, tuple):
        shortest, longest = length[0][0], length[-1][0]
        return shortest, longest, length if shortest < longest else ()
    else:
        shortest = longest = 4 if length is None else length
        return shortest, longest, ()
    if isinstance(length, tuple):
        rule = "pattern" if request.pattern else "sequences"
        raise RequestError(f"`length` with several lengths does not go with `{rule}`")
    if length is not None and length != longest:
        raise RequestError(f"`length={length}` is not the length of what is to be written, {shortest} to {longest}")
    return shortest, longest, ()


def _height(request: Request, needed: int) -> int:
    if request.jitter_y == FULL and request.height is None:
        raise RequestError("`jitter_y=full` is over the whole height, which is not given", hint="give `height`")
    if request.height is None:
        return needed
    if not needed <= request.height <= MAX_WIDTH:
        raise RequestError(
            f"`height={request.height}` does not fit digits that take {needed} px", hint=f"`height={needed}` would do"
        )
    return request.height


def with_source(request: Request, recipe: Recipe) -> Request:
    """Return the request as it is kept beside its recipe: with the seed, and files known by their content."""
    known = replace(request, seed=recipe.seed, source=recipe.source, paper=recipe.paper)
    return replace(known, source_labels=None, source_transposed=False, writers=None)
