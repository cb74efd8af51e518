"""Owns the arithmetic of the canvas: the room that glyphs need, and the gaps and width that a request comes down to."""

from __future__ import annotations

from typing import NamedTuple

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH, MAX_SEED, MAX_WIDTH, check_choice, check_range
from mnist_seq_cli.recipe.parts.appearance import Appearance
from mnist_seq_cli.recipe.parts.glyphs import GlyphFacts
from mnist_seq_cli.recipe.parts.placement import SPACINGS, Placement, Spacing
from mnist_seq_cli.recipe.warp_bounds import cell_size


class Room(NamedTuple):
    """The room that glyphs need, in px.

    `advance` is how far one follows another at most at no gap, `glyph` the width of the widest one with what is around
    it, `around` what is kept free at both ends together, `height` that of a column with what is around it.
    """

    advance: int
    glyph: int
    around: int
    height: int


def room(placement: Placement, appearance: Appearance, glyphs: GlyphFacts) -> Room:
    """Return the room that glyphs need. Glyphs that keep their shape stay in their boxes."""
    around = 2 * (placement.margin + placement.jitter_x)
    above = 2 * (placement.margin + max(placement.jitter_y, 0))
    height = width = 0
    if appearance.is_warped:
        height, width = cell_size(appearance.warp, (glyphs.ink_height, glyphs.ink_width))
    advance = glyphs.glyph_width
    if placement.crop == "tight":
        advance = width or max(glyphs.ink_width, 1)
    return Room(advance, width + around, around, max(glyphs.glyph_height, height) + above)


def check_min_gap(placement: Placement, advance: int) -> None:
    """Raise RequestError for glyphs that overlap too far: tight ones stay in order, and begin a pixel further each."""
    check_range("`min_gap`", placement.min_gap, int(placement.crop == "tight") - advance, MAX_WIDTH)


class Layout(NamedTuple):
    """The gaps and the width of the canvas that a request comes down to, in px."""

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
    canvas instead. Without `width` gaps are sampled from [min_gap, max_gap] and the canvas holds the widest strip.
    `max_gap` defaults to no bound when there is a width to fill, else to `min_gap`. Gaps that cannot vary are "equal"
    gaps. `around` is what is kept free at both ends together, in px.

    Raises RequestError for what cannot be; for an impossible width it names the nearest that work.
    """
    _check_bounds(length, min_gap, max_gap, width, spacing, glyph_width)
    boxes, gaps = length * glyph_width + around, length - 1
    if boxes + gaps * min_gap > MAX_WIDTH:
        raise RequestError(
            f"{length} digits with gaps of {min_gap} px are {boxes + gaps * min_gap} px wide",
            hint=f"{MAX_WIDTH} px at most",
        )
    if gaps == 0:
        layout = _one_digit(boxes, width, filled and spacing != "random")
    elif width is None:
        top = min_gap if max_gap is None else max_gap
        layout = _own_width(length, boxes, Layout(spacing or "random", min_gap, top, 0))
    elif filled and spacing != "random":
        layout = _fixed_gap(length, min_gap, max_gap, width, glyph_width, around)
    else:
        top = max(min_gap, (width - boxes) // gaps) if filled else min_gap
        top = top if max_gap is None else max_gap
        layout = _canvas(length, boxes, Layout(spacing or "random", min_gap, top, width), filled)
    return layout._replace(spacing="equal") if layout.min_gap == layout.max_gap else layout


def _check_bounds(
    length: int, min_gap: int, max_gap: int | None, width: int | None, spacing: Spacing | None, glyph_width: int
) -> None:
    check_range("number of digits", length, 1, MAX_LENGTH)
    check_range("`min_gap`", min_gap, -glyph_width, MAX_WIDTH)
    if width is not None:
        check_range("`width`", width, 1, MAX_WIDTH)
    if max_gap is not None:
        check_range("`max_gap`", max_gap, -MAX_SEED, MAX_SEED)
    if spacing is not None:
        check_choice("`spacing`", spacing, SPACINGS)
    if max_gap is not None and max_gap < min_gap:
        raise RequestError(f"`max_gap={max_gap}` is below `min_gap={min_gap}`", hint="no gap is in that range")


def _one_digit(own_width: int, width: int | None, filled: bool) -> Layout:
    """Return the layout of one digit, which has no gaps: its own width, or a wider canvas that it need not fill."""
    if width is None or width == own_width:
        return Layout("equal", 0, 0, own_width)
    if width < own_width or filled:
        hint = f"`width={own_width}`" + (", or `align=center`" if width > own_width else " would do")
        raise RequestError(f"one digit is {own_width} px wide, and `width` is {width}", hint=hint)
    return Layout("equal", 0, 0, width)


def _own_width(length: int, boxes: int, layout: Layout) -> Layout:
    """Return the layout with the width of the widest strip."""
    width = boxes + (length - 1) * layout.max_gap
    if width > MAX_WIDTH:
        raise RequestError(
            f"{length} digits with gaps of up to {layout.max_gap} px are {width} px wide",
            hint=f"{MAX_WIDTH} px at most",
        )
    return layout._replace(width=width)


def _canvas(length: int, boxes: int, layout: Layout, filled: bool) -> Layout:
    """Return the layout. Raises RequestError where the widest strip does not fit into its width."""
    gaps = length - 1
    widest = boxes + gaps * layout.max_gap
    if widest <= layout.width:
        return layout
    if not filled:
        problem, hint = f"{length} digits can be {widest} px wide", f"`width={widest}` would do"
    else:
        problem = f"{length} digits with random gaps of up to {layout.max_gap} px can be {widest} px wide"
        fits = f"`max_gap={(layout.width - boxes) // gaps}`"
        hint = f"{f'`width={widest}`' if widest <= MAX_WIDTH else fits} would do"
    raise RequestError(f"{problem}, and `width` is {layout.width}", hint=hint)


def _fixed_gap(length: int, min_gap: int, max_gap: int | None, width: int, glyph_width: int, around: int) -> Layout:
    """Return the layout in which every gap is the one that the width leaves, by the rule of MNIST-Sequence."""
    boxes, gaps = length * glyph_width + around, length - 1
    gap, rest = divmod(width - boxes, gaps)
    top = min(MAX_WIDTH if max_gap is None else max_gap, (MAX_WIDTH - boxes) // gaps)
    if rest == 0 and min_gap <= gap <= top:
        return Layout("equal", gap, gap, width)
    if rest:
        free = f" - {around}" if around else ""
        problem = f"({width}{free} - {length}*{glyph_width}) / {gaps} is not a whole number of px"
    else:
        bounds = f"at least {min_gap} px" if max_gap is None else f"{min_gap} to {max_gap} px"
        problem = f"the gap would be {gap} px, and {bounds} was asked for"
    nearest = sorted({min(max(near, min_gap), top) for near in (gap, gap + 1)})
    offers = " or ".join(f"`width={boxes + gaps * near}` (gap {near})" for near in nearest)
    raise RequestError(f"`width={width}` does not fit {length} digits: {problem}", hint=f"nearest: {offers}")
