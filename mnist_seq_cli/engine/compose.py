"""Owns the engine: what the samples of a recipe are. Pure: arrays in, arrays out.

A strip is made in five steps, each for a whole run of samples at once: its digits (`writing`), a glyph for each digit
(`glyphs`), its shape (`warp`), its place (`placement`), and pixels (`painting`, `background`). All of it is integer
arithmetic on random words that are addressed by the sample's index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine import placement
from mnist_seq_cli.engine.batch import ABSENT, ARRAYS, Annotations, Batch, nothing
from mnist_seq_cli.engine.glyphs import check_bank, choose
from mnist_seq_cli.engine.painting import paint
from mnist_seq_cli.engine.random_words import Numbers
from mnist_seq_cli.engine.writing import sequences
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist.background_image import BackgroundImage
from mnist_seq_cli.mnist.bank import Bank
from mnist_seq_cli.recipe.recipe import Recipe

if TYPE_CHECKING:
    from mnist_seq_cli.engine.warp import WarpedGlyphs

MAX_MASKED = 255
"""Digits of a sequence that a mask can tell apart."""

_RUN, _SHORT_RUN, _SHORT_BYTES = 16_384, 256, 4 << 20
"""Samples computed at a time: a few megabytes; fewer of those that take far more than their pixels."""

_THREADS_FROM = 2 * _RUN
"""Samples from which runs are computed on threads, all at once: more than a shard or a loader asks for."""


def annotate(recipe: Recipe, bank: Bank, first: int, stop: int) -> Annotations:
    """Return the annotations of samples `first` to `stop`. Raises RequestError for a bank of another content."""
    bank = check_bank(recipe, bank)
    if first == stop:
        return nothing(recipe, first)
    samples = range(first, stop)
    return _joined((_run(recipe, bank, samples[rows])[0] for rows in _runs(recipe, len(samples))), len(samples))


def compose(
    recipe: Recipe,
    bank: Bank,
    first: int,
    stop: int,
    *,
    masks: bool = False,
    background: BackgroundImage | None = None,
) -> Batch:
    """Return samples `first` to `stop` of the recipe, with masks if they are asked for; see `compose_any`."""
    return compose_any(recipe, bank, range(first, stop), masks=masks, background=background)


def compose_any(
    recipe: Recipe,
    bank: Bank,
    samples: Numbers,
    *,
    masks: bool = False,
    background: BackgroundImage | None = None,
) -> Batch:
    """Return any samples of the recipe, in the order of their numbers, of which some may come again.

    `background` is the image that a recipe with a custom background names. Raises RequestError for a bank or a
    background of another content, and where `check_masks` does.
    """
    bank = check_bank(recipe, bank)
    check_background(recipe, background)
    if masks:
        check_masks(recipe)
    if not len(samples):
        return nothing(recipe, samples.start if isinstance(samples, range) else 0, masks=masks)
    shape = (len(samples), recipe.height, recipe.width)
    images, masked = np.empty(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8) if masks else None

    def made(rows: slice) -> Annotations:
        shown, warped = _run(recipe, bank, samples[rows])
        mask = None if masked is None else masked[rows]
        paint(recipe, bank, shown, warped, images[rows], masks=mask, background=background)
        return shown

    shown = _joined(_each(made, _runs(recipe, len(samples)), len(samples)), len(samples))
    arrays: dict[str, Any] = {name: getattr(shown, name) for name in ARRAYS}
    chosen = None if isinstance(samples, range) else samples
    return Batch(shown.first, **arrays, images=images, sampled=shown.sampled, chosen=chosen, masks=masked)


def _joined(runs: Iterator[Annotations], count: int) -> Annotations:
    """Return the annotations of runs of samples as one, `count` in all; none of the runs is kept."""
    start = next(runs)
    if len(start) == count:
        return start
    known = {name: getattr(start, name) for name in ARRAYS}
    arrays, sampled = (
        {name: np.empty((count, *values.shape[1:]), values.dtype) for name, values in part.items()}
        for part in (known, start.sampled)
    )
    done = 0
    for run in chain([start], runs):
        here = slice(done, done + len(run))
        done += len(run)
        for name, values in arrays.items():
            values[here] = getattr(run, name)
        for name, values in sampled.items():
            values[here] = run.sampled[name]
    return Annotations(start.first, **arrays, sampled=sampled)


def _runs(recipe: Recipe, count: int) -> Iterator[slice]:
    """Yield the rows of `count` samples in runs that are computed at a time."""
    size = _RUN
    if recipe.is_warped or recipe.has_effects:
        size = max(1, min(_SHORT_RUN, _SHORT_BYTES // (recipe.length * recipe.height**2)))
    for start in range(0, count, size):
        yield slice(start, start + size)


def _each(made: Callable[[slice], Annotations], runs: Iterator[slice], samples: int) -> Iterator[Annotations]:
    """Yield the result of each run, in order; of many samples on two threads, which wait for memory in turn."""
    if samples < _THREADS_FROM:
        yield from map(made, runs)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        yield from threads.map(made, runs)


def _run(recipe: Recipe, bank: Bank, samples: Numbers) -> tuple[Annotations, WarpedGlyphs | None]:
    """Return the annotations of a run of samples, and the glyphs where their shapes are not those of the bank."""
    digits, lengths = sequences(recipe, samples)
    glyphs = choose(recipe, bank, digits, lengths, samples)
    ink, gaps = bank.ink(glyphs), placement.gaps(recipe, samples)
    sampled: dict[str, NDArray[Any]] = {"gaps": gaps} if recipe.min_gap < recipe.max_gap else {}
    warped = None
    if recipe.is_warped:
        from mnist_seq_cli.engine.warp import warp

        warped = warp(recipe, bank, glyphs, ink, samples)
        ink, sampled = warped.boxes, sampled | warped.sampled
    x, widths = placement.left_edges(recipe, ink, lengths, gaps, samples)
    y = placement.top_edges(recipe, samples)
    written = np.arange(recipe.length) < lengths[:, None]
    if recipe.fit:  # with room for a glyph that became wider than its box
        np.maximum(widths, (ink[:, :, 2] * written).max(axis=1) + 2 * recipe.margin, out=widths)
    else:
        widths.fill(recipe.width)
    boxes = ink
    boxes[:, :, 0] += x
    if y.any():
        boxes[:, :, 1] += y
    if warped is not None:
        moved = _into_margins(recipe, boxes, widths)
        x, y = x + moved[:, :, 0], y + moved[:, :, 1]
        warped = warped._replace(x=x + warped.x, y=y + warped.y)
    if not written.all():
        for values in (glyphs, x, y, boxes):
            values[~written] = ABSENT
    if "contrast" in recipe.sampled_ranges:
        from mnist_seq_cli.engine.background import contrasts

        sampled["contrast"] = contrasts(recipe, samples)
    if recipe.writer == "same":
        sampled["writer"] = bank.written_by(glyphs[:, 0])
    chosen = None if isinstance(samples, range) else samples
    arrays = (digits.astype(np.uint8), lengths, glyphs, x, y, boxes, widths)
    return Annotations(int(samples[0]), *arrays, sampled=sampled, chosen=chosen), warped


def _into_margins(recipe: Recipe, boxes: NDArray[np.int32], widths: NDArray[np.int32]) -> NDArray[np.int32]:
    """Move boxes that reach into the margin, in place; return by how much, int32 (n, length, 2), in px.

    The image has room for any glyph.
    """
    low, high = np.full_like(boxes[:, :, :2], recipe.margin), np.empty_like(boxes[:, :, :2])
    high[:, :, 0], high[:, :, 1] = widths[:, None] - recipe.margin, recipe.height - recipe.margin
    np.maximum(high - boxes[:, :, 2:], low, out=high)
    moved = np.minimum(np.maximum(boxes[:, :, :2], low), high) - boxes[:, :, :2]
    boxes[:, :, :2] += moved
    return moved


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


def check_background(recipe: Recipe, background: BackgroundImage | None) -> None:
    """Raise RequestError unless the background is the one that the recipe names, if it names one."""
    identity = background.identity if background else ""
    if identity != (recipe.paper if recipe.has_custom_background else ""):
        raise RequestError(
            f"the recipe is for the background {recipe.paper}, and "
            + (f"this one is {identity}" if identity else "none is given"),
            hint="give the same picture with `paper`" if recipe.has_custom_background else "leave the picture out",
        )
