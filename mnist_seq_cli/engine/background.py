"""Owns what is done to a whole strip: the contrast of its ink, its background, and noise; all in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Annotations
from mnist_seq_cli.engine.random_words import Numbers, bounded_integers, words
from mnist_seq_cli.engine.scratch import blocks, scratch
from mnist_seq_cli.mnist.background_image import BackgroundImage
from mnist_seq_cli.recipe.recipe import Recipe

DARKEST_CORNER = 96
"""Grey levels below white that a corner of a gradient has at most."""

DARKEST_GRAIN = 48
"""Grey levels below white that a pixel of grain has at most."""

_BLOCK = 128 << 10
"""Bytes of strips at a time: with what is computed for them, up to eight times as much, they stay in the cache."""


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
    samples, height, width = shown.samples, *images.shape[1:]
    for rows in blocks(len(images), height * width, _BLOCK):
        strips, here, widths = images[rows], samples[rows], shown.widths[rows]
        levels = scratch("levels", strips.shape, np.uint16)  # an operation on 16 bits is as fast as one on 8
        levels[...] = strips
        if recipe.contrast != (100, 100):
            np.subtract(255, levels, out=levels)
            levels *= shown.sampled["contrast"][rows].astype(np.uint16)[:, None, None]
            levels += 50
            levels //= 100
            np.subtract(255, levels, out=levels)
        if recipe.paper != "plain":
            if recipe.has_custom_background:
                assert background is not None
                paper: NDArray[Any] = _part_of(background.levels, recipe, here, widths, height, width)
            else:
                paper = (_gradient if recipe.paper == "gradient" else _grain)(recipe, here, widths, height, width)
            levels *= paper
            levels += 127
            levels //= 255
        if recipe.noise:
            levels += _noise(recipe, here, height, width)
            np.clip(levels, recipe.noise, 255 + recipe.noise, out=levels)
            levels -= recipe.noise
        strips[...] = levels


def _gradient(
    recipe: Recipe, samples: Numbers, widths: NDArray[np.int32], height: int, width: int
) -> NDArray[np.uint16]:
    """Return grey levels that run evenly from corner to corner, each corner sampled for itself: uint16 (n, h, w)."""
    random = words(recipe.seed, "paper", samples, 4)
    corners = bounded_integers(random, DARKEST_CORNER + 1).astype(np.uint32)[:, :, None]
    across, down = np.maximum(1, widths - 1).astype(np.uint32)[:, None], np.uint32(max(1, height - 1))
    x, y = np.minimum(np.arange(width, dtype=np.uint32), across), np.arange(height, dtype=np.uint32)
    left, right = (corners[:, side] * (down - y) + corners[:, side + 2] * y for side in (0, 1))
    darkness = scratch("darkness", (len(widths), height, width), np.uint32)  # × across × down: below 2**31
    np.multiply((right - left)[:, :, None], x[:, None], out=darkness)  # modulo 2**32, as the sum is, which fits
    darkness += (left * across)[:, :, None]
    area = (across[:, 0] * down).tolist()
    if len(set(area)) == 1:
        darkness //= np.uint32(area[0])
    else:  # to divide by one number is many times as fast as by several
        for strip, divisor in zip(darkness, area, strict=True):
            strip //= np.uint32(divisor)
    return _below_white(darkness)


def _grain(recipe: Recipe, samples: Numbers, widths: NDArray[np.int32], height: int, width: int) -> NDArray[np.uint16]:
    """Return grey levels sampled for each pixel: uint16 (n, height, width)."""
    darkness = scratch("paper", (len(widths), height, width), np.uint16)
    darkness[...] = _bytes(recipe, "paper", samples, height, width)
    darkness *= DARKEST_GRAIN + 1
    darkness >>= 8
    return _below_white(darkness)


def _part_of(
    levels: NDArray[np.uint8], recipe: Recipe, samples: Numbers, widths: NDArray[np.int32], height: int, width: int
) -> NDArray[np.uint8]:
    """Return the grey levels of parts of a picture, at sampled offsets; a small one is repeated: uint8 (n, h, w)."""
    random = words(recipe.seed, "paper", samples, 2)
    rows, columns = (
        (bounded_integers(random[:, axis], np.where(there >= kept, there - kept + 1, there))[:, None] + np.arange(size))
        % there
        for axis, (there, kept, size) in enumerate(
            zip(levels.shape, (np.full_like(widths, height), widths), (height, width), strict=True)
        )
    )
    part: NDArray[np.uint8] = levels.reshape(-1).take((rows * levels.shape[1])[:, :, None] + columns[:, None, :])
    return part


def _below_white(darkness: NDArray[Any]) -> NDArray[np.uint16]:
    """Return grey levels that are so far below white: uint16 of the same shape."""
    levels = scratch("paper", darkness.shape, np.uint16)
    np.subtract(255, darkness, out=levels, casting="unsafe")
    return levels


def _noise(recipe: Recipe, samples: Numbers, height: int, width: int) -> NDArray[Any]:
    """Return a number from 0 to 2 × `noise` for each pixel: (n, height, width)."""
    random, choices = _bytes(recipe, "noise", samples, height, width), 2 * recipe.noise + 1
    noise = scratch("noise", random.shape, np.uint16 if 255 * choices < 1 << 16 else np.uint32)
    noise[...] = random
    noise *= choices
    noise >>= 8
    return noise


def _bytes(recipe: Recipe, purpose: str, samples: Numbers, height: int, width: int) -> NDArray[np.uint8]:
    """Return a random byte for each pixel: eight from each word, the lowest first."""
    pixels = height * width
    random = words(recipe.seed, purpose, samples, -(-pixels // 8))
    return np.ascontiguousarray(random, dtype="<u8").view(np.uint8)[:, :pixels].reshape(-1, height, width)
