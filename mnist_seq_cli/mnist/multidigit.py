"""Owns the classes of MultiDigitMNIST: which sequences of two and three digits are in which of its splits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.mnist.bank import CLASSES_FILE, bundled_directory


@cache
def order(length: int) -> NDArray[np.int64]:
    """Return all sequences of 2 or 3 digits, as numbers: those to train with, to validate, to test: int64 (n,)."""
    lines = (bundled_directory() / CLASSES_FILE.name).read_bytes().split()
    return np.frombuffer(lines[length - 2], np.uint8).argsort(kind="stable").astype(np.int64)
