"""Owns the digits of the bundled MNIST, each as a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.samples.collection import CHUNK, Collection
from mnist_seq_cli.samples.strip import Rows, Strip, boxes_of


class Glyphs(Collection):
    """The 70,000 digits of the bundled MNIST, each as a sequence of one."""

    kind = "mnist"
    source = "all"

    def __init__(self) -> None:
        self._bank = bank.load(Source("all"))

    def __len__(self) -> int:
        return len(self._bank)

    def rows(self) -> Iterator[Rows]:
        """Yield the labels."""
        for first in range(0, len(self), CHUNK):
            ids = np.arange(first, min(first + CHUNK, len(self)), dtype=np.int32)[:, None]
            texts: list[str | None] = list(map(str, self._bank.labels[first : first + CHUNK].tolist()))
            yield Rows(first, texts, ids, np.empty((len(ids), 0), dtype=np.int32))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield digits."""
        for number in numbers:
            image = 255 - self._bank.images(np.array([number]))[0]
            text = str(self._bank.labels[number])
            yield Strip(number, "", image, text, (number,), (0,), boxes_of(image, (0,), self.glyph_width))
