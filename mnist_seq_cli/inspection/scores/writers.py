"""Owns scores by writer: whose digits are read wrongly, and how census employees compare with students."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnist_seq_cli.inspection.scores.score import Score
from mnist_seq_cli.mnist.bank import STUDENTS, TEST_SIZE, TRAIN_SIZE, bundled_writers

MOST_WRITERS = 30
"""Writers that a score names."""


def add_writers(result: Score, seen: Mapping[int, int], wrong: Mapping[int, int]) -> None:
    """Put the writers of glyphs of MNIST into a score, by how often each glyph was seen and read wrongly."""
    numbers, glyphs = bundled_writers(), range(TRAIN_SIZE + TEST_SIZE)
    size = int(numbers.max()) + 1
    by_writer = [
        np.bincount(numbers[ids := [glyph for glyph in counts if glyph in glyphs]], [counts[id_] for id_ in ids], size)
        for counts in (seen, wrong)
    ]
    shown, misread = (counts.astype(np.int64) for counts in by_writer)
    ranked = sorted(np.flatnonzero(misread).tolist(), key=lambda writer: (-misread[writer], shown[writer], writer))
    result.writers = [
        {"writer": writer, "seen": int(shown[writer]), "wrong": int(misread[writer])}
        for writer in ranked[:MOST_WRITERS]
    ]
    for name, part in (("census employees", slice(STUDENTS)), ("students", slice(STUDENTS, None))):
        if total := int(shown[part].sum()):
            result.groups[name] = {"seen": total, "wrong": int(misread[part].sum())}
