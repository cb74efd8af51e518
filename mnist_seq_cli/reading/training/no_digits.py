"""Owns pictures that show no digits: noise, shapes, strokes as of a pen that are no digits, and printed letters."""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Picture = NDArray[np.uint8]


def picture_without_digits(rng: np.random.Generator) -> Picture:
    """Return a picture, uint8 (height, width), dark on light or light on dark."""
    kinds: list[Callable[[np.random.Generator], Picture]] = [_noise, _shapes, _letters, _scribbles]
    ink = kinds[int(rng.choice(len(kinds), p=[0.15, 0.3, 0.35, 0.2]))](rng)
    if rng.random() < 0.4:
        ink = np.asarray(Image.fromarray(ink).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1)))))
    return ink if rng.random() < 0.3 else 255 - ink


def _noise(rng: np.random.Generator) -> Picture:
    """Return noise, fine or coarse, or a pattern."""
    height, width = int(rng.integers(20, 64)), int(rng.integers(20, 200))
    kind = rng.integers(6)
    if kind == 0:
        noise: Picture = np.clip(rng.normal(128, rng.uniform(5, 80), (height, width)), 0, 255).astype(np.uint8)
        return noise
    if kind == 1:
        small = rng.integers(0, 256, (max(2, height // int(rng.integers(2, 9))), max(2, width // 4)), dtype=np.uint8)
        return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    if kind == 2:
        return _black(rng.random((height, width)) < rng.uniform(0.01, 0.5))
    y, x = np.mgrid[:height, :width]
    if kind == 3:  # a chessboard
        return _black((x // int(rng.integers(3, 15)) + y // int(rng.integers(3, 15))) % 2 == 1)
    if kind == 4:  # a frame
        inside = int(rng.integers(2, min(height, width) // 3))
        return np.pad(np.zeros((height, width), np.uint8), inside, constant_values=255)
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 20)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    return _black(wave > rng.uniform(-0.5, 0.9))


def _black(mask: NDArray[np.bool_]) -> Picture:
    return np.where(mask, np.uint8(255), np.uint8(0))


def _shapes(rng: np.random.Generator) -> Picture:
    """Return a row of boxes, discs, triangles, crosses, bars and dots, filled or drawn."""
    count, height = max(1, int(rng.integers(-2, 7))), 32
    canvas = Image.new("L", (36 * count + 8, height + 8))
    draw = ImageDraw.Draw(canvas)
    kind = int(rng.integers(7))
    for place in range(count):
        if rng.random() < 0.3:
            kind = int(rng.integers(7))
        pen = int(rng.integers(1, 6))
        width, tall = int(rng.integers(14, 30)), int(rng.integers(14, 30))
        left, top = 36 * place + 6, int(rng.integers(2, 38 - tall))
        box = (left, top, left + width, top + tall)
        filled = 255 if rng.random() < 0.5 else None
        if kind == 0:
            draw.rectangle(box, fill=filled, outline=255, width=pen)
        elif kind == 1:
            wide = (left, top, left + max(width, tall), top + min(width, tall))
            draw.ellipse(wide, fill=255, outline=255, width=pen)
        elif kind == 2:
            draw.polygon([(left, top + tall), (left + width, top + tall), (left + width // 2, top)], filled, 255, pen)
        elif kind == 6:
            middle = left + width / 2, top + min(width, tall) / 2
            corners, turn = int(rng.integers(3, 9)), int(rng.integers(0, 90))
            draw.regular_polygon((middle, min(width, tall) / 2), corners, turn, filled, 255, pen)
        elif kind == 3:
            draw.line([(left, top), (left + width, top + tall)], 255, pen)
            draw.line([(left, top + tall), (left + width, top)], 255, pen)
        elif kind == 4:
            draw.line([(left, top + tall // 2), (left + width, top + tall // 2)], 255, pen)
            if rng.random() < 0.6:
                draw.line([(left + width // 2, top), (left + width // 2, top + tall)], 255, pen)
        else:
            bar = int(rng.integers(3, 12))
            draw.rectangle((left, 2, left + bar, 38), fill=255)
    return np.asarray(canvas)


def _letters(rng: np.random.Generator) -> Picture:
    """Return printed letters: words, or one of those that look like digits again and again."""
    size = int(rng.integers(9, 16) if rng.random() < 0.2 else rng.integers(20, 60))
    letters = string.ascii_letters if rng.random() < 0.5 else "lOozZISBIxXoO"
    text = "".join(rng.choice(list(letters), int(rng.integers(1, 9))).tolist())
    if rng.random() < 0.2:
        text = text[0] * len(text)
    font = ImageFont.load_default(size)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    canvas = Image.new("L", (right - left + 16, bottom - top + 16))
    draw = ImageDraw.Draw(canvas)
    bold = int(rng.integers(0, 3))
    draw.text((8 - left, 8 - top), text, fill=255, font=font, stroke_width=bold if size > 30 else 0)
    if size < 20 or rng.random() < 0.3:  # of few pixels, which show, or narrow or wide
        factor = 40 / canvas.height if size < 20 else 1.0
        wide = round(canvas.width * factor * float(rng.uniform(0.7, 1.4)))
        canvas = canvas.resize((wide, round(canvas.height * factor)), Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        canvas = canvas.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BILINEAR, expand=True)
    return np.asarray(canvas)


def _scribbles(rng: np.random.Generator) -> Picture:
    """Return strokes as of a pen, of several bends each: more than a digit has, so that few look like one."""
    count = int(rng.integers(1, 6))
    canvas = Image.new("L", (4 * (30 * count + 12), 4 * 44))
    draw = ImageDraw.Draw(canvas)
    for place in range(count):
        for _ in range(int(rng.integers(1, 4))):
            bends = int(rng.integers(5, 9))
            corners = rng.uniform(0, 1, (bends, 2)) * (30, 32) + (30 * place + 4, 6)
            steps = np.linspace(0, 1, 60)[:, None]
            weights = [np.ones_like(steps)]
            for bend in range(1, bends):
                weights.append(weights[-1] * (bends - bend) / bend)
            curve = sum(
                weight * steps**bend * (1 - steps) ** (bends - 1 - bend) * corner
                for bend, (weight, corner) in enumerate(zip(weights, corners, strict=True))
            )
            pen = 4 * float(rng.uniform(1.5, 4))
            points = [(float(x), float(y)) for x, y in np.asarray(curve) * 4]
            draw.line(points, fill=255, width=round(pen), joint="curve")
    return np.asarray(canvas.reduce(4))
