"""Owns the engine: what the samples of a recipe are. Pure: arrays in, arrays out.

A strip comes about in five steps, each for a whole run of samples at once: digits, a glyph for each digit, its shape,
its place, pixels. All of it is integer arithmetic on random words that are addressed by the sample's index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine import placement
from mnist_seq_cli.engine.batch import ABSENT, ARRAYS, Annotations, Batch, nothing
from mnist_seq_cli.engine.random_words import below, words
from mnist_seq_cli.engine.writing import occurrences, possible_digits, sequences
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist.bank import MISLABELED, Bank, ink_boxes
from mnist_seq_cli.recipe.recipe import RANGES, Recipe

PAPER, INK = 255, 0

MAX_MASKED = 255
"""Digits of a sequence that a mask can tell apart."""

_RUN, _SHORT_RUN = 16_384, 256
"""Samples worked out at a time: a few megabytes; fewer of those that take far more than their pixels."""

_THREADS_FROM = 2 * _RUN
"""Samples from which runs are worked out on threads, all at once: more than a shard or a loader asks for."""

_BLOCK = 512
"""Strips painted at a time: they and their glyphs stay in the processor's second-level cache."""

_OVERLAY = 1 << 19
"""Bytes of canvas on which overlapping glyphs are laid at a time."""


class _Glyphs(NamedTuple):
    """Glyphs as they are pasted: ink 255 on paper 0, uint8 (n, length, height, width), and their left and top edges."""

    cells: NDArray[np.uint8]
    x: NDArray[np.int32]
    y: NDArray[np.int32]


def annotate(recipe: Recipe, bank: Bank, first: int, stop: int) -> Annotations:
    """Return what samples `first` to `stop` of the recipe show. Raises RequestError for a bank of another content."""
    bank = _allowed(recipe, bank)
    if first == stop:
        return nothing(recipe, first)
    runs = _runs(recipe, first, stop)
    return _joined((_run(recipe, bank, run.start, run.stop)[0] for run in runs), stop - first)


def compose(recipe: Recipe, bank: Bank, first: int, stop: int, *, masks: bool = False) -> Batch:
    """Return samples `first` to `stop` of the recipe, with masks if they are asked for.

    Raises RequestError for a bank of another content, and where `check_masks` does.
    """
    bank = check_bank(recipe, bank)
    if masks:
        check_masks(recipe)
    if first == stop:
        return nothing(recipe, first, masks=masks)
    shape = (stop - first, recipe.height, recipe.width)
    images, masked = np.empty(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8) if masks else None

    def made(run: range) -> Annotations:
        shown, shaped = _run(recipe, bank, run.start, run.stop)
        here = slice(run.start - first, run.stop - first)
        paint(recipe, bank, shown, shaped, images[here], None if masked is None else masked[here])
        return shown

    shown = _joined(_each(made, _runs(recipe, first, stop), stop - first), stop - first)
    arrays: dict[str, Any] = {name: getattr(shown, name) for name in ARRAYS}
    return Batch(first, **arrays, images=images, drawn=shown.drawn, masks=masked)


def _joined(runs: Iterator[Annotations], count: int) -> Annotations:
    """Return one truth for consecutive runs of samples, `count` in all; none of the runs is kept."""
    run = next(runs)
    if len(run) == count:
        return run
    known = {name: getattr(run, name) for name in ARRAYS}
    arrays, drawn = (
        {name: np.empty((count, *values.shape[1:]), values.dtype) for name, values in part.items()}
        for part in (known, run.drawn)
    )
    first = run.first
    while True:
        here = slice(run.first - first, run.first - first + len(run))
        for name, values in arrays.items():
            values[here] = getattr(run, name)
        for name, values in drawn.items():
            values[here] = run.drawn[name]
        following = next(runs, None)
        if following is None:
            return Annotations(first, **arrays, drawn=drawn)
        run = following


def _runs(recipe: Recipe, first: int, stop: int) -> Iterator[range]:
    """Yield samples `first` to `stop` in runs that are worked out at a time."""
    size = _SHORT_RUN if recipe.is_shaped or recipe.is_finished else _RUN
    for start in range(first, stop, size):
        yield range(start, min(start + size, stop))


def _each(made: Callable[[range], Annotations], runs: Iterator[range], samples: int) -> Iterator[Annotations]:
    """Yield what is made of each run, in order; of many samples on two threads, which wait for memory in turn."""
    if samples < _THREADS_FROM:
        yield from map(made, runs)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        yield from threads.map(made, runs)


def _run(recipe: Recipe, bank: Bank, first: int, stop: int) -> tuple[Annotations, _Glyphs | None]:
    """Return what a run of samples shows, and the glyphs where their shapes are not those of the bank."""
    digits, lengths = sequences(recipe, first, stop)
    if recipe.glyphs == "once":
        glyphs = bank.deal(digits, occurrences(recipe, first, stop), recipe.seed)
    else:
        glyphs = bank.pick(digits, words(recipe.seed, "glyph", first, stop, recipe.length))
    ink, drawn, cells = bank.ink(glyphs), {}, None
    if recipe.min_gap < recipe.max_gap:
        drawn["gaps"] = placement.gaps(recipe, first, stop)
    if recipe.is_shaped:
        cells, places, ink = _shaped(recipe, bank, glyphs, ink, first, drawn)
    x, widths = placement.lefts(recipe, ink, lengths, first, stop)
    y = placement.tops(recipe, first, stop)
    written = np.arange(recipe.length) < lengths[:, None]
    if recipe.fit:  # with room for a glyph that became wider than its box
        np.maximum(widths, (ink[:, :, 2] * written).max(axis=1) + 2 * recipe.margin, out=widths)
    else:
        widths.fill(recipe.width)
    boxes = ink
    boxes[:, :, 0] += x
    if y.any():
        boxes[:, :, 1] += y
    shaped = None
    if cells is not None:
        # What reaches into the margin is moved in; the image has room for any glyph.
        low, high = np.full_like(boxes[:, :, :2], recipe.margin), np.empty_like(boxes[:, :, :2])
        high[:, :, 0], high[:, :, 1] = widths[:, None] - recipe.margin, recipe.height - recipe.margin
        moved = np.clip(boxes[:, :, :2], low, np.maximum(high - boxes[:, :, 2:], low)) - boxes[:, :, :2]
        x, y = x + moved[:, :, 0], y + moved[:, :, 1]
        boxes[:, :, :2] += moved
        shaped = _Glyphs(cells, x + places[:, :, 0], y + places[:, :, 1])
    if not written.all():
        for values in (glyphs, x, y, boxes):
            values[~written] = ABSENT
    if recipe.contrast != RANGES["contrast"][0]:
        from mnist_seq_cli.engine.background import contrasts

        drawn["contrast"] = contrasts(recipe, first, stop)
    return Annotations(first, digits.astype(np.uint8), lengths, glyphs, x, y, boxes, widths, drawn=drawn), shaped


def _shaped(
    recipe: Recipe,
    bank: Bank,
    glyphs: NDArray[np.int32],
    ink: NDArray[np.int32],
    first: int,
    drawn: dict[str, NDArray[Any]],
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
    """Return the glyphs as the hand writes them, where they stand in their boxes, and where their ink is there."""
    from mnist_seq_cli.engine import warp

    count, length = glyphs.shape
    values = {}
    for name, (low, high) in recipe.hand._asdict().items():
        steps = 1 if name == "stroke" else warp.STEPS
        chosen = below(words(recipe.seed, name, first, first + count, length), (high - low) * steps + 1) + low * steps
        values[name] = chosen.reshape(-1)
        if (low, high) != RANGES[name][0]:
            drawn[name] = chosen if name == "stroke" else (chosen * 100 // warp.STEPS) / 100
    matrices = warp.inverse(values["slant"], values["rotate"], values["scale"])
    cell = warp.cell_size(recipe.hand, (recipe.ink_height, recipe.ink_width))
    cells, places = warp.shape(bank.images(glyphs.reshape(-1)), ink.reshape(-1, 4), matrices, cell)
    warp.stroke(cells, values["stroke"])
    boxes = ink_boxes(cells)
    boxes[:, :2] += places
    return cells.reshape(count, length, *cell), places.reshape(count, length, 2), boxes.reshape(count, length, 4)


def paint(
    recipe: Recipe,
    bank: Bank,
    shown: Annotations,
    shaped: _Glyphs | None,
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None = None,
) -> None:
    """Paint strips that show this, on the recipe's canvas: into `images`, uint8 (n, height, width).

    Glyphs that are -1 are left out. Where glyphs overlap, the darker one is seen. `masks` is filled with the positions,
    counted from 1, of the glyphs that are seen.
    """
    inverted = recipe.invert and not recipe.is_finished
    if shaped is None and not recipe.overlaps and masks is None:
        _paste(bank, shown, images, inverted)
    else:
        _overlay(bank, shown, shaped, images, masks)
        if not inverted:
            np.invert(images, out=images)
    if recipe.is_finished:
        from mnist_seq_cli.engine.background import finish

        finish(recipe, images, shown.first, bank.sheet)
        if recipe.invert:
            np.invert(images, out=images)
    if recipe.fit:
        images.swapaxes(1, 2)[np.arange(recipe.width) >= shown.widths[:, None]] = 0 if recipe.invert else PAPER


def _paste(bank: Bank, shown: Annotations, images: NDArray[np.uint8], inverted: bool) -> None:
    """Paste glyphs that do not overlap: row by row, each row one item."""
    glyphs, x, y = shown.glyphs, shown.x, shown.y
    count, canvas_height, width = images.shape
    height = bank.height
    rows = images.reshape(-1, width)
    cell = np.empty((min(_BLOCK, count), height * bank.width), dtype=np.uint8)
    glyph_rows = _as_items(cell.reshape(-1, bank.width))
    complete = bool((glyphs >= 0).all())
    covered = complete and width == glyphs.shape[1] * bank.width and height == canvas_height
    ids = _columns(glyphs)
    aligned = complete and height == canvas_height and bool((x == x[0]).all())
    places = (
        _aligned_places(rows, x[0], height, bank.width)
        if aligned
        else _scattered_places(images, x, y, height, bank.width)
    )
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        if not covered:
            images[start:stop].fill(0 if inverted else PAPER)
        for position in range(glyphs.shape[1]):
            strips: Strips = slice(start, stop)
            if not complete:
                strips = start + np.flatnonzero(ids[position, start:stop] >= 0)
            chosen = ids[position, strips]
            pasted = cell[: len(chosen)]
            bank.take(chosen, out=pasted)
            if not inverted:
                np.invert(pasted, out=pasted)
            target, where = places(position, strips)
            target[where] = glyph_rows[: len(chosen) * height]


def _overlay(
    bank: Bank, shown: Annotations, shaped: _Glyphs | None, images: NDArray[np.uint8], masks: NDArray[np.uint8] | None
) -> None:
    """Lay glyphs over one another, ink 255 on paper 0, the stronger ink on top."""
    count, height, width = images.shape
    tall, wide = (bank.height, bank.width) if shaped is None else shaped.cells.shape[2:]
    x, y = (shown.x, shown.y) if shaped is None else (shaped.x, shaped.y)
    # The canvas has room for a whole glyph on all sides, so that no place is outside of it.
    outer_height, outer_width = height + 2 * tall, width + 2 * wide
    block = max(1, min(count, _OVERLAY // (outer_height * outer_width)))
    lines = np.arange(0, tall * outer_width, outer_width)
    begin = (np.clip(y, -tall, height) + tall) * np.intp(outer_width) + np.clip(x, -wide, width) + wide
    inner = (slice(None), slice(tall, tall + height), slice(wide, wide + width))
    for start in range(0, count, block):
        stop = min(start + block, count)
        canvases = [
            np.zeros((stop - start, outer_height, outer_width), dtype=np.uint8) for _ in range(1 + (masks is not None))
        ]
        items = [np.ndarray((canvas.size - wide + 1,), f"V{wide}", canvas, strides=(1,)) for canvas in canvases]
        for position in range(x.shape[1]):
            here = start + np.flatnonzero(shown.glyphs[start:stop, position] >= 0)
            places = (((here - start) * (outer_height * outer_width) + begin[here, position])[:, None] + lines).reshape(
                -1
            )
            cells = bank.images(shown.glyphs[here, position]) if shaped is None else shaped.cells[here, position]
            over = cells.reshape(-1, wide)
            under, *seen = (all_items[places].view(np.uint8).reshape(-1, wide) for all_items in items)
            for mask in seen:
                mask[over > under] = position + 1
            np.maximum(under, over, out=under)
            for all_items, changed in zip(items, (under, *seen), strict=True):
                all_items[places] = _as_items(changed)
        images[start:stop] = canvases[0][inner]
        if masks is not None:
            masks[start:stop] = canvases[1][inner]


def spans(recipe: Recipe, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield `first` to `stop` in batches (first, stop) of about 4 MB, so that memory stays flat for any canvas."""
    size = max(1, min(1_000, (4 << 20) // (recipe.height * recipe.width)))
    for start in range(first, stop, size):
        yield start, min(start + size, stop)


def check_masks(recipe: Recipe) -> None:
    """Raise RequestError where the positions of digits are too many for the bytes of a mask."""
    if recipe.length > MAX_MASKED:
        raise RequestError(
            f"masks tell digits apart by a byte, and sequences have up to {recipe.length} digits",
            hint=f"{MAX_MASKED} at most, or no masks",
        )


def check_bank(recipe: Recipe, bank: Bank) -> Bank:
    """Return `bank` with those glyphs only that the recipe may draw.

    Raises RequestError unless it holds what the recipe was written for, and each digit that it may ask for.
    """
    given = bank.sheet.identity if bank.sheet else ""
    if given != (recipe.paper if recipe.has_own_paper else ""):
        raise RequestError(
            f"the recipe is for the paper {recipe.paper}, and "
            + (f"this one is {given}" if given else "none is given"),
            hint="give the same picture with --paper" if recipe.has_own_paper else "leave the picture out",
        )
    return _allowed(recipe, bank)


def _allowed(recipe: Recipe, bank: Bank) -> Bank:
    """Return what `check_bank` does. What samples show does not depend on the paper that they are on."""
    if bank.identity != recipe.source:
        raise RequestError(f"the recipe draws from the source {recipe.source}, and this one is {bank.identity}")
    if (bank.height, bank.width) != (recipe.glyph_height, recipe.glyph_width):
        raise RequestError(
            f"the recipe is for glyphs of {recipe.glyph_height}×{recipe.glyph_width} px, "
            f"and the source has {bank.height}×{bank.width} px"
        )
    if recipe.is_shaped or recipe.crop == "tight":
        height, width = bank.largest_ink
        if height > recipe.ink_height or width > recipe.ink_width:
            raise RequestError(
                f"the recipe is for ink of at most {recipe.ink_height}×{recipe.ink_width} px, "
                f"and the source has {height}×{width} px"
            )
    drawn_from = bank.part(recipe.pool)
    if recipe.exclude_mislabeled:
        drawn_from = drawn_from.without(MISLABELED)
    drawn_from.require(possible_digits(recipe))
    return drawn_from


def _columns(values: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the columns as rows of np.intp, the type that NumPy indexes with: it would convert others at every use."""
    return np.ascontiguousarray(values.T, dtype=np.intp)


def _as_items(rows: NDArray[np.uint8]) -> NDArray[np.void]:
    """View each row of bytes as one item, which NumPy copies with one memcpy."""
    return rows.view(f"V{rows.shape[1]}")[:, 0]


Strips = slice | NDArray[np.intp]
Places = Callable[[int, Strips], tuple[NDArray[np.void], Any]]
"""Tells for a position and some strips where the rows of those glyphs go: an array of items, and an index into it."""


def _aligned_places(rows: NDArray[np.uint8], edges: NDArray[np.int32], height: int, glyph_width: int) -> Places:
    """All strips have the same left edges: a column of the images takes the glyphs of a position."""
    columns = [_as_items(rows[:, left : left + glyph_width]) for left in edges]

    def places(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        assert isinstance(strips, slice)
        return columns[position], slice(strips.start * height, strips.stop * height)

    return places


def _scattered_places(
    images: NDArray[np.uint8], x: NDArray[np.int32], y: NDArray[np.int32], height: int, glyph_width: int
) -> Places:
    """Each strip has edges of its own: an item may begin at any byte of the images."""
    _, canvas_height, width = images.shape
    edges = _columns(y * width + x if y.any() else x)
    every_byte = np.ndarray((images.size - glyph_width + 1,), f"V{glyph_width}", images, strides=(1,))
    lines = np.arange(0, height * width, width, dtype=np.intp)

    starts = np.arange(edges.shape[1], dtype=np.intp) * (canvas_height * width)

    def places(position: int, strips: Strips) -> tuple[NDArray[np.void], Any]:
        begin = starts[strips] + edges[position, strips]
        return every_byte, (begin[:, None] + lines).reshape(-1)

    return places
