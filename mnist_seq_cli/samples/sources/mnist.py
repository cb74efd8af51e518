"""Owns the digits of the bundled MNIST, each as a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.samples import boxes
from mnist_seq_cli.samples.samples import LABELS_AT_ONCE, Samples
from mnist_seq_cli.samples.strip import Labels, Strip


class MnistDigits(Samples):
    """The 70,000 digits of the bundled MNIST, each as a sequence of one."""

    kind = "mnist"
    source = "all"

    def __init__(self) -> None:
        self._bank = bank.load(Source("all"))

    def __len__(self) -> int:
        return len(self._bank)

    def labels(self) -> Iterator[Labels]:
        for first in range(0, len(self), LABELS_AT_ONCE):
            ids = np.arange(first, min(first + LABELS_AT_ONCE, len(self)), dtype=np.int32)[:, None]
            texts: list[str | None] = list(map(str, self._bank.labels[first : first + LABELS_AT_ONCE].tolist()))
            yield Labels(first, texts, ids, np.empty((len(ids), 0), dtype=np.int32))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for number in numbers:
            image = 255 - self._bank.images(np.array([number]))[0]
            text = str(self._bank.labels[number])
            yield Strip(number, "", image, text, (number,), (0,), boxes.seen(image, (0,), self.glyph_width))
