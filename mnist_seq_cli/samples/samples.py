"""Owns the interface of samples, wherever they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mnist_seq_cli.errors import FormatError, RequestError, one_line
from mnist_seq_cli.samples.strip import Labels, NamedImage, Strip

if TYPE_CHECKING:
    import datasets
    import pandas
    from numpy.typing import NDArray

LABELS_AT_ONCE = 10_000
"""Samples whose labels are in memory at a time."""

_NUMBERED = re.compile(r"(?:.*[/\\])?([0-9]{1,12})(?:\.(?:png|json))?", re.ASCII)
"""Names such as `12`, `00000012.png` and `images/00000/00000012.png`."""

_RUN = 10
"""Consecutive samples in a selection from all parts of a dataset."""

_COLUMNS = 256
"""Samples that are in memory at a time as columns."""

_PATH = 24
"""Characters of a path in the one-line description of a source."""


class Samples:
    """Samples as a sequence: of a recipe, a dataset, a folder, an archive, an image, an array, or MNIST itself.

    A source implements `__len__`, `labels` and `strips`, and overrides the rest where it can do better.
    """

    kind: str = ""
    """The kind of the source."""

    source: str = ""
    """The name of the bank that glyph ids refer to; empty where it is not known."""

    glyph_width: int = 28
    """In px."""

    def __len__(self) -> int:
        raise NotImplementedError

    def labels(self) -> Iterator[Labels]:
        """Yield the labels of all samples, some at a time. Raises FormatError, OSError."""
        raise NotImplementedError

    def labels_with_glyphs(self) -> Iterator[Labels]:
        """Yield the labels with all known glyphs, even if that takes longer. Raises FormatError, OSError."""
        return self.labels()

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the samples with these numbers, in ascending order. Raises FormatError, OSError."""
        raise NotImplementedError

    def images(self) -> Iterator[NamedImage]:
        """Yield the images of all samples, a damaged one as an error. Raises FormatError, OSError."""
        for strip in self.strips(range(len(self))):
            yield NamedImage(strip.name or f"{strip.number:08d}", strip.image)

    def number_of(self, name: str) -> int | None:
        """Return the number of the sample with this name or number; None if there is none."""
        match = _NUMBERED.fullmatch(name.strip())
        return int(match[1]) if match and int(match[1]) < len(self) else None

    def spread(self, count: int) -> list[int]:
        """Return the numbers of about `count` samples from all parts that are quick to read."""
        total = len(self)
        if total <= count:
            return list(range(total))
        runs = -(-count // _RUN)
        starts = {run * (total - _RUN) // max(1, runs - 1) for run in range(runs)}
        return sorted({start + step for start in starts for step in range(_RUN)} & set(range(total)))[:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield about `count` samples from all parts; None for each that cannot be read."""
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

    def columns(self) -> Iterator[dict[str, list[Any]]]:
        """Yield all samples as columns, some samples at a time: a list for each column, with one value per sample.

        They are `number`, `image` uint8 (height, width), `text` (None if it is not known), and other annotations (empty
        if they are not known). Raises FormatError, OSError.
        """
        for first in range(0, len(self), _COLUMNS):
            strips = list(self.strips(range(first, min(first + _COLUMNS, len(self)))))
            known = {"number": "number", "file_name": "name", "image": "image", "text": "text"}
            columns = {column: [getattr(strip, name) for strip in strips] for column, name in known.items()}
            lists = {name: [list(getattr(strip, name)) for strip in strips] for name in ("glyphs", "x", "gaps")}
            yield columns | lists | {"boxes": [list(map(list, strip.boxes)) for strip in strips]}

    def to_pandas(self) -> pandas.DataFrame:
        """Return the annotations as a pandas DataFrame: one row per sample, as in labels.csv and metadata.jsonl.

        The columns are `number`, `label` (`0-0-4-2`) and `text` (`0042`) as strings, and lists of numbers: `glyphs`,
        `x`, `boxes` and whatever else differs between samples. Raises RequestError without pandas, FormatError,
        OSError.
        """
        from mnist_seq_cli.samples import conversions

        return conversions.to_pandas(self)

    def to_hf(self, *, streaming: bool = False) -> datasets.Dataset | datasets.IterableDataset:
        """Return the samples as a Hugging Face dataset, with the columns that `imagefolder` gives a png dataset.

        They are `image` (and `mask`), `text` (`0042`), `glyphs`, `x`, `boxes` and whatever else differs between
        samples. The dataset is in memory, with images as PNG files; with `streaming` it is an IterableDataset that
        makes or reads samples on demand. Raises RequestError without `datasets` or without samples, FormatError,
        OSError.
        """
        from mnist_seq_cli.samples import conversions

        return conversions.to_hf(self, streaming=streaming)

    def _in_a_line(self) -> str:
        """Return a description, without its closing bracket."""
        path = str(getattr(self, "path", ""))
        where = path if len(path) <= _PATH else "…" + path[1 - _PATH :]
        return f"{type(self).__name__}({where}{': ' * bool(where)}{len(self):,} samples"

    def __repr__(self) -> str:
        return one_line(self._in_a_line(), 79) + ")"

    def _first(self, count: int) -> Iterator[tuple[NDArray[Any], str]]:
        """Yield the first images, each with its label. Raises FormatError, OSError."""
        return ((strip.image, strip.label) for strip in self.strips(range(min(len(self), count))))

    def _repr_html_(self) -> str:
        from mnist_seq_cli.codecs import notebook

        return notebook.page(f"{self._in_a_line()})", self._first(notebook.SHOWN))
