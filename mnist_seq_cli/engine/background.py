"""Owns what is done to a whole strip: the contrast of its ink, its background, and noise; all in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.mnist.background_image import BackgroundImage
from mnist_seq_cli.recipe.recipe import Recipe

DARKEST_CORNER = 96
"""Grey levels below white that a corner of a gradient has at most."""

DARKEST_GRAIN = 48
"""Grey levels below white that a pixel of grain has at most."""


def contrasts(recipe: Recipe, samples: Numbers) -> NDArray[np.int64]:
    """Return how dark the ink of samples is, in percent: int64 (n,)."""
    low, high = recipe.contrast
    return low + bounded_integers(words(recipe.seed, "contrast", samples, 1)[:, 0], high - low + 1)


def apply(
    recipe: Recipe, images: NDArray[np.uint8], shown: Annotations, background: BackgroundImage | None = None
) -> None:
    """Give strips their contrast, background and noise, in place: uint8 (n, height, width), dark ink on white.

    `shown` is what they show; `background` the image that a recipe with a custom background names. A strip that is
    less wide than the canvas has the background of an image of its own width.
    """
    samples, (height, width) = shown.samples, images.shape[1:]
    if recipe.contrast != (100, 100):
        share = shown.sampled["contrast"].astype(np.uint16)[:, None, None]
        images[:] = 255 - ((255 - images).astype(np.uint16) * share + 50) // 100
    if recipe.paper != "plain":
        if recipe.has_custom_background:
            assert background is not None
            darkness = _part_of(background.levels, recipe, shown, height, width)
        elif recipe.paper == "gradient":
            darkness = _gradient(recipe, shown, height, width)
        else:
            darkness = _grain(recipe, samples, height, width)
        images[:] = (images.astype(np.uint16) * (255 - darkness) + 127) // 255
    if recipe.noise:
        random = _bytes(recipe, "noise", samples, height, width).astype(np.int16)
        change = (random.astype(np.int32) * (2 * recipe.noise + 1) >> 8) - recipe.noise
        images[:] = np.clip(images + change, 0, 255)


def _gradient(recipe: Recipe, shown: Annotations, height: int, width: int) -> NDArray[np.uint16]:
    """Return grey levels below white that run evenly from corner to corner, each corner sampled for itself."""
    random = words(recipe.seed, "paper", shown.samples, 4)
    corners = bounded_integers(random, DARKEST_CORNER + 1)[:, :, None]
    across, down = np.maximum(1, shown.widths.astype(np.int64) - 1)[:, None], max(1, height - 1)
    x, y = np.minimum(np.arange(width), across), np.arange(height)[:, None]
    top, bottom = (corners[:, left] * (across - x) + corners[:, left + 1] * x for left in (0, 2))
    levels = (top[:, None] * (down - y) + bottom[:, None] * y) // (across[:, None] * down)
    darkness: NDArray[np.uint16] = levels.astype(np.uint16)
    return darkness


def _grain(recipe: Recipe, samples: Numbers, height: int, width: int) -> NDArray[np.uint16]:
    """Return grey levels below white, sampled for each pixel."""
    random = _bytes(recipe, "paper", samples, height, width)
    return random.astype(np.uint16) * np.uint16(DARKEST_GRAIN + 1) >> np.uint16(8)


def _part_of(
    levels: NDArray[np.uint8], recipe: Recipe, shown: Annotations, height: int, width: int
) -> NDArray[np.uint16]:
    """Return grey levels below white of parts of a picture, at sampled offsets; a small one is repeated."""
    random = words(recipe.seed, "paper", shown.samples, 2)
    rows, columns = (
        (bounded_integers(random[:, axis], np.where(there >= kept, there - kept + 1, there))[:, None] + np.arange(size))
        % there
        for axis, (there, kept, size) in enumerate(
            zip(levels.shape, (np.full_like(shown.widths, height), shown.widths), (height, width), strict=True)
        )
    )
    part = levels.reshape(-1).take((rows * levels.shape[1])[:, :, None] + columns[:, None, :])
    darkness: NDArray[np.uint16] = 255 - part.astype(np.uint16)
    return darkness


def _bytes(recipe: Recipe, purpose: str, samples: Numbers, height: int, width: int) -> NDArray[np.uint8]:
    """Return a random byte for each pixel: eight from each word, the lowest first."""
    pixels = height * width
    random = words(recipe.seed, purpose, samples, -(-pixels // 8))
    return np.ascontiguousarray(random, dtype="<u8").view(np.uint8)[:, :pixels].reshape(-1, height, width)
