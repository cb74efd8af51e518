"""Owns the samples of a recipe, generated or stored: single ones, batches, and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from operator import index as as_index
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.engine.batch import Batch, MaskedSample, Sample, nothing
from mnist_seq_cli.engine.compose import spans
from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.formats.rows import columns_of
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES, check_range
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.strip import Labels, NamedImage, Strip, sampled_gaps, strip_of

Indices = Sequence[int] | NDArray[Any]
"""Indices of samples: whole numbers, in any order."""

Transform = Callable[[NDArray[np.uint8]], Any]
"""Converts the image of a sample, uint8 (height, width), to anything else."""

_ITERATION, _PIXELS = 256, 4 << 20
"""Samples per step of an iteration, and their pixels at most."""


class RecipeSamples(Samples):
    """Some samples of a recipe; subclasses generate or read them in `_make`.

    With `masks` a sample is a MaskedSample, and a batch has masks.

    A `transform` is applied to the image of each sample, uint8 (height, width): in `data[i]`, in loops, and for
    loaders, which get lists of samples. Annotations and masks stay as they are. There are then no batches of arrays;
    previews and conversions use the images without the transform.
    """

    kind = "recipe"
    transform: Transform | None = None

    def __init__(self, recipe: Recipe, indices: range, *, masks: bool = False) -> None:
        self.recipe = recipe
        self.source, self.glyph_width = recipe.source, recipe.glyph_width
        self.masks = masks
        self._indices = indices

    def _make(self, samples: Numbers) -> Batch:
        """Return the samples of the recipe with these numbers, of which there is at least one, in this order."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample | MaskedSample: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    @overload
    def __getitem__(self, index: Indices) -> Batch: ...
    def __getitem__(self, index: int | slice | Indices) -> Sample | MaskedSample | Self | Batch:
        """Return one sample, for a slice a dataset of those samples, for indices a batch. Raises IndexError."""
        if isinstance(index, slice):
            part = copy(self)
            part._indices = self._indices[index]
            return part
        if isinstance(index, list | range) or (isinstance(index, np.ndarray) and index.ndim):
            return self.batch(index)
        try:
            number = self._indices[as_index(index)]  # type: ignore[arg-type]
        except IndexError:
            raise IndexError(f"there are {len(self)} samples, and {index} was asked for") from None
        return self._transformed(self._make(range(number, number + 1))[0])

    def __getitems__(self, indices: Indices) -> Batch | list[Sample]:
        """Return several samples at once, as PyTorch's DataLoader requests them. Raises IndexError.

        The result is a batch, or with a `transform` a list.
        """
        batch = self._batch(self._chosen(indices))
        return batch if self.transform is None else [*map(self._transformed, batch)]

    def __iter__(self) -> Iterator[Sample | MaskedSample]:
        for batch in self.stream():
            yield from batch if self.transform is None else map(self._transformed, batch)

    def _transformed(self, sample: Sample) -> Sample:
        if self.transform is None:
            return sample
        return sample._replace(image=self.transform(sample.image.copy()))  # which it may change

    def stream(self) -> Iterator[Batch]:
        """Yield all samples in order, in batches of bounded memory, without the `transform`."""
        size = max(1, min(_ITERATION, _PIXELS // (self.recipe.height * self.recipe.width)))
        for first in range(0, len(self), size):
            yield self._batch(self._run(first, min(first + size, len(self))))

    def batches(
        self, size: int = _ITERATION, *, shuffle: bool = False, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        """Yield all samples once, `size` at a time, from batch `start` on; the last batch may be smaller.

        With `shuffle`, each `seed` and `epoch` has its own order, which is the same on every machine. Raises
        RequestError for an impossible size or start.
        """
        check_range("`size`", size, 1, MAX_SAMPLES)
        check_range("`start`", start, 0, MAX_SAMPLES)
        for first in range(start * size, len(self), size):
            stop = min(first + size, len(self))
            if shuffle:
                yield self.batch(permute(seed, f"epoch/{epoch}", len(self), np.arange(first, stop)))
            else:
                yield self.batch(first, stop)

    def part(self, number: int, parts: int) -> Self:
        """Return part `number`, counted from 0, of `parts`, such as the share of one of several machines.

        It has every `parts`-th sample. Raises RequestError for impossible numbers.
        """
        check_range("`parts`", parts, 1, MAX_SAMPLES)
        check_range("`number`", number, 0, parts - 1)
        return self[number::parts]

    @overload
    def batch(self, first: int, stop: int) -> Batch: ...
    @overload
    def batch(self, first: Indices) -> Batch: ...
    def batch(self, first: int | Indices, stop: int | None = None) -> Batch:
        """Return samples `first` to `stop`, or those with these indices, at once: much faster than one by one.

        Indices may be in any order, repeat, and be negative to count from the end. A batch has `images` uint8
        (n, height, width), `digits` uint8, `glyphs` and `x` int32 (n, length), `lengths` int32 (n,), and the other
        arrays of `Annotations`; `masks` are like the images, or None if they were not requested. Raises IndexError for
        samples that do not exist, and unless 0 <= first <= stop <= len; TypeError for indices that are not integers.
        """
        if self.transform is not None:
            raise RequestError(
                "a batch has arrays of images, and `transform` may make anything of one",
                hint="take samples one by one, or with a loader; without `transform` there are batches",
            )
        numbers = self._chosen(first) if stop is None else self._run(as_index(first), stop)  # type: ignore[arg-type]
        return self._batch(numbers, 0 if stop is None else as_index(first))  # type: ignore[arg-type]

    def _batch(self, numbers: Numbers, first: int = 0) -> Batch:
        """Return samples of the recipe; `first` is the number of an empty batch."""
        return self._make(numbers) if len(numbers) else nothing(self.recipe, first, masks=self.masks)

    def _run(self, first: int, stop: int) -> Numbers:
        if not 0 <= first <= stop <= len(self):
            raise IndexError(f"there are {len(self)} samples, and {first} to {stop} was asked for")
        numbers = self._indices[first:stop]
        return numbers if numbers.step == 1 else np.array(numbers, dtype=np.int64)

    def _chosen(self, indices: int | Indices) -> NDArray[np.int64]:
        asked = np.asarray(indices)
        if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iu"):
            raise TypeError("indices are whole numbers in a row, such as [3, 1, 2]")
        rows, count = asked.astype(np.int64), len(self)
        if len(wrong := rows[(rows < -count) | (rows >= count)]):
            raise IndexError(f"there are {count} samples, and {wrong[0]} was asked for")
        rows = np.where(rows < 0, rows + count, rows)
        return self._indices.start + self._indices.step * rows

    def labels(self) -> Iterator[Labels]:
        first = 0
        for batch in self.stream():
            numbers = self._indices[first : first + len(batch)]
            gaps = sampled_gaps(self.recipe, numbers, batch.lengths)
            yield Labels(first, list(batch.texts), batch.glyphs, gaps)
            first += len(batch)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for start, stop in spans(self.recipe, 0, len(numbers)):
            some = numbers[start:stop]
            batch = self._batch(self._chosen(some))
            gaps = sampled_gaps(self.recipe, as_array(batch.samples), batch.lengths)
            for row, number in enumerate(some):
                yield strip_of(batch, row, number, gaps[row], invert=self.recipe.invert, glyph_width=self.glyph_width)

    def images(self) -> Iterator[NamedImage]:
        """Yield the images of all samples, as wide as the canvas, so that many can be read at once."""
        images = (image for batch in self.stream() for image in batch.images)
        for number, image in enumerate(images):
            yield NamedImage(self._name_of(number), image)

    def _name_of(self, number: int) -> str:
        """Return the name of a sample for people."""
        return f"{number:08d}"

    def columns(self) -> Iterator[dict[str, list[Any]]]:
        """Yield all samples as columns, some samples at a time: a list for each column, with one value per sample.

        They are `number`, `image` uint8 (height, width), `mask` where there are masks, `text`, and the annotations of
        metadata.jsonl that are known. Raises FormatError, OSError.
        """
        first = 0
        for batch in self.stream():
            samples, lengths = list(batch), batch.lengths.tolist()
            gaps = sampled_gaps(self.recipe, self._indices[first : first + len(samples)], batch.lengths)
            first += len(samples)
            columns: dict[str, list[Any]] = {"number": [sample.number for sample in samples]}
            columns |= {
                name: [getattr(sample, name) for sample in samples] for name in ("image", "mask")[: 1 + self.masks]
            }
            columns |= {"text": batch.texts}
            known = columns_of(self.recipe, replace(batch, sampled={"gaps": gaps, **batch.sampled}))
            for name, values in known.items():
                columns[name] = values.tolist()
                if values.ndim > 1:
                    rows = zip(columns[name], lengths, strict=True)
                    columns[name] = [row[: length - (name == "gaps")] for row, length in rows]
            yield columns

    def _in_a_line(self) -> str:
        recipe, defaults = self.recipe, {name: each.default for name, each in options_of(Recipe).items()}
        shown = {"seed": recipe.seed, "length": recipe.lengths or recipe.length}
        for name in options_of(Request):
            if name in defaults and name not in ("width", "height") and getattr(recipe, name) != defaults[name]:
                shown.setdefault(name, getattr(recipe, name))
        words = [f"{name}={options_of(Request)[name].kind.to_json(value)}" for name, value in shown.items()]
        return ", ".join([f"{super()._in_a_line()} of {recipe.width}×{recipe.height} px", *words])

    def _first(self, count: int) -> Iterator[tuple[NDArray[Any], str]]:
        samples = (sample for batch in self.stream() for sample in batch)
        return ((sample.image, sample.label) for sample in islice(samples, count))
