"""Owns the interface of samples, wherever they come from: how many there are, their labels, and any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.samples.strip import Labels, NamedImage, Strip

LABELS_AT_ONCE = 10_000
"""Samples whose labels are held at a time."""

_NUMBERED = re.compile(r"(?:.*[/\\])?([0-9]{1,12})(?:\.(?:png|json))?", re.ASCII)
"""Names such as `12`, `00000012.png` and `images/00000/00000012.png`."""

_RUN = 10
"""Samples that follow each other in a selection from all over."""


class Samples:
    """Samples as a sequence: those of a recipe, a dataset, a folder, an archive, an image, an array, MNIST itself.

    A source gives its number of samples, `labels` and `strips`; it overrides the rest where it can do better.
    """

    kind: str = ""
    """The kind of the source."""

    source: str = ""
    """The name of the bank that glyph ids are of; empty where that is not known."""

    glyph_width: int = 28
    """In px."""

    def __len__(self) -> int:
        raise NotImplementedError

    def labels(self) -> Iterator[Labels]:
        """Yield the labels of all samples, some at a time. Raises FormatError, OSError."""
        raise NotImplementedError

    def labels_with_glyphs(self) -> Iterator[Labels]:
        """Yield the labels with all known glyphs, even where that takes long. Raises FormatError, OSError."""
        return self.labels()

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the samples with these numbers, which are in ascending order. Raises FormatError, OSError."""
        raise NotImplementedError

    def images(self) -> Iterator[NamedImage]:
        """Yield the images of all samples, one that is damaged as an error. Raises FormatError, OSError."""
        for strip in self.strips(range(len(self))):
            yield NamedImage(strip.name or f"{strip.number:08d}", strip.image)

    def number_of(self, name: str) -> int | None:
        """Return the number of the sample of this name, or of this number; None where there is none."""
        match = _NUMBERED.fullmatch(name.strip())
        return int(match[1]) if match and int(match[1]) < len(self) else None

    def spread(self, count: int) -> list[int]:
        """Return the numbers of about `count` samples from all over that are quick to read."""
        total = len(self)
        if total <= count:
            return list(range(total))
        runs = -(-count // _RUN)
        starts = {run * (total - _RUN) // max(1, runs - 1) for run in range(runs)}
        return sorted({start + step for start in starts for step in range(_RUN)} & set(range(total)))[:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield about `count` samples from all over; None for each that cannot be read."""
        numbers = self.spread(count)
        for start in range(0, len(numbers), _RUN):
            yield from self.readable(numbers[start : start + _RUN])

    def readable(self, numbers: Sequence[int]) -> Iterator[Strip | None]:
        """Yield samples in ascending order; None for each that cannot be read."""
        done = 0
        try:
            for strip in self.strips(numbers):
                done += 1
                yield strip
        except (FormatError, OSError):
            yield from map(self._or_none, numbers[done:])

    def drawable(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield samples in ascending order to be drawn. Raises FormatError, OSError."""
        return self.strips(numbers)

    def _or_none(self, number: int) -> Strip | None:
        try:
            return next(iter(self.strips([number])))
        except (FormatError, OSError):
            return None

    def chosen(self, numbers: Sequence[int]) -> list[Strip]:
        """Return samples in the order of these numbers. Raises RequestError where there is no such sample."""
        for number in numbers:
            if not 0 <= number < len(self):
                raise RequestError(f"there is no sample {number}", hint=f"they are 0 to {len(self) - 1}")
        strips = {strip.number: strip for strip in self.strips(sorted(set(numbers)))}
        return [strips[number] for number in numbers]
