"""Owns the samples at a path, whatever it is: how many there are, what they show, and any of them to look at.

A dataset of any format, one of its shards, a folder of PNG files, one PNG file, an npz or an IDX file, MNIST itself.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import formats
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.engine import compose, placement
from mnist_seq_cli.engine.batch import ABSENT, Batch
from mnist_seq_cli.errors import CheckError, FormatError, MnistseqError, RequestError
from mnist_seq_cli.formats import folders, npz_file
from mnist_seq_cli.formats.annotations import MAX_ROW, texts_of
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, LABELS_NAME, MASKS_NAME, METADATA_NAME
from mnist_seq_cli.formats.webdataset import IMAGE, ROW, read_members
from mnist_seq_cli.mnist import bank, idx
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading import transcribing
from mnist_seq_cli.reading.exact import Reader, Reading
from mnist_seq_cli.recipe.options.bounds import MAX_LENGTH
from mnist_seq_cli.recipe.options.notation import format_sequence, parse_sequence
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.samples import idx_export
from mnist_seq_cli.storage import local

MAX_FILE = 256 << 20
MAX_SAMPLES = 1_000_000
"""Samples of a folder or a shard, whose names and sequences are held."""

NO_GAP = -(2**31)
"""Stands in `Rows.gaps` where a gap is not known, and where there is none."""

_NUMBERED = re.compile(r"(?:.*[/\\])?([0-9]{1,12})(?:\.(?:png|json))?", re.ASCII)
_CHUNK = 10_000
_RUN = 10
_SHARDS = 20


class Box(NamedTuple):
    """The smallest rectangle around the ink of a digit on its strip, in px."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One sample to look at. `image` is uint8 (height, width), dark ink on white paper whatever is on disk.

    `text` is its sequence, `0042`, and None where it is not known; glyph ids, left edges and boxes are then not there.
    `gaps` are those that its recipe drew, one fewer than there are digits; none where they are not known.
    `confidences` are there where it was read approximately: the chance of each digit to be right. Glyphs are then those
    most like it, and edges and boxes about where they are.
    """

    number: int
    name: str
    image: NDArray[np.uint8]
    text: str | None
    glyphs: tuple[int, ...] = ()
    x: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    gaps: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The sequence as it is written in labels, `0-0-4-2`, or a question mark."""
        return "?" if self.text is None else format_sequence(map(int, self.text))

    @property
    def caption(self) -> str:
        """What stands above or below its image: `12: 0-0-4-2`."""
        return f"{self.number}: {self.label}"

    def to_json(self) -> dict[str, Any]:
        """Return all but the image as JSON values."""
        known = {"sample": self.number, "file_name": self.name or None, "text": self.text}
        places = {"glyphs": list(self.glyphs), "x": list(self.x), "gaps": list(self.gaps)}
        sure = {"confidences": list(self.confidences)} if self.confidences else {}
        return {**known, **places, "boxes": list(map(list, self.boxes)), **sure}


class Rows(NamedTuple):
    """What samples `first` and on show: their sequences, and int32 (n, length) glyph ids, or -1.

    `gaps` int32 (n, length - 1) are those that the recipe drew, in px: between ink and ink in tight strips, and before
    anything was moved. They are NO_GAP where that is not known.
    """

    first: int
    texts: list[str | None]
    glyphs: NDArray[np.int32]
    gaps: NDArray[np.int32]


class Collection:
    """Samples that can be looked at. `source` names the bank that glyph ids are of, where that is known."""

    kind: str = ""
    source: str = ""
    glyph_width: int = 28

    def __len__(self) -> int:
        raise NotImplementedError

    def rows(self) -> Iterator[Rows]:
        """Yield what all samples show, some at a time. Raises FormatError, OSError."""
        raise NotImplementedError

    def rows_with_glyphs(self) -> Iterator[Rows]:
        """Yield the same with all glyphs that are known, even where that takes long. Raises FormatError, OSError."""
        return self.rows()

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the samples with these numbers, which are in ascending order. Raises FormatError, OSError."""
        raise NotImplementedError

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample that goes by this name, or by its number; None where there is none."""
        return _number(name, len(self))

    def spread(self, count: int) -> list[int]:
        """Return the numbers of about `count` samples from all over the collection, cheap to be read."""
        total = len(self)
        if total <= count:
            return list(range(total))
        runs = -(-count // _RUN)
        starts = {run * (total - _RUN) // max(1, runs - 1) for run in range(runs)}
        return sorted({start + place for start in starts for place in range(_RUN)} & set(range(total)))[:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield about `count` samples from all over the collection; None for each that cannot be read."""
        numbers = self.spread(count)
        for start in range(0, len(numbers), _RUN):
            run, done = numbers[start : start + _RUN], 0
            try:
                for strip in self.strips(run):
                    done += 1
                    yield strip
            except (FormatError, OSError):
                yield from map(self._or_none, run[done:])

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
        found = {strip.number: strip for strip in self.strips(sorted(set(numbers)))}
        return [found[number] for number in numbers]


def of(path: Path | None) -> Collection:
    """Return the samples at a path; with no path, the bundled MNIST.

    Raises FormatError for what holds nothing of that kind, RequestError where there is nothing, OSError.
    """
    if path is None:
        return Glyphs()
    if idx_export.is_directory(path):
        spec = manifest.read_spec(path)
        return _folder(path) if spec is None else Dataset(path, spec)
    start = _start_of(path)
    if start.startswith(png.SIGNATURE):
        return Single(path)
    if idx.looks_like_idx(start[:16]):
        return Arrays("idx", path, idx.read(path), recipe=_recipe_beside(path.parent, "idx"))
    if start.startswith(b"PK\3\4"):
        return _archive(path)
    if start[257:262] == b"ustar":
        return TarShard(path)
    raise FormatError(f"{path} is neither a dataset, nor a PNG file, nor an IDX file")


def _start_of(path: Path) -> bytes:
    """Return the first bytes of a file, enough to know its format. Raises RequestError where there is no file."""
    idx_export.require_file(path)
    with path.open("rb") as file:
        return file.read(512)


def read_png(path: Path) -> NDArray[np.uint8]:
    """Return the grey image in a PNG file: uint8 (height, width). Raises FormatError, OSError."""
    with local.open_regular(path) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise FormatError(f"{path} is too large for a strip")
    return png.decode(content, name=str(path))


def on_white(image: NDArray[np.uint8], invert: bool | None = None) -> NDArray[np.uint8]:
    """Return an image as dark ink on white paper; `invert` tells whether its ink is white.

    Where that is not known (None), paper is what there is more of.
    """
    if invert is None:
        invert = bool(np.count_nonzero(image > 127) * 2 < image.size)
    return 255 - image if invert else image


def boxes_of(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the box of the ink of each digit, from its left edge and the ink of the strip that is there.

    For samples that do not tell their boxes themselves.
    """
    boxes = []
    for left in x:
        part = image[:, max(0, left) : left + glyph_width] < 255
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        if len(rows):
            top, start = int(rows[0]), int(columns[0])
            boxes.append(Box(left + start, top, int(columns[-1]) - start + 1, int(rows[-1]) - top + 1))
        else:
            boxes.append(Box(left, 0, 0, 0))
    return tuple(boxes)


def _boxes(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int, recorded: tuple[Box, ...]) -> tuple[Box, ...]:
    """Return the boxes that were recorded for digits, if they can be; else what `boxes_of` finds."""
    height, width = image.shape
    in_it = all(
        min(box) >= 0 and box.x + box.width <= width and box.y + box.height <= height and box.x < width
        for box in recorded
    )
    return recorded if len(recorded) == len(x) and in_it else boxes_of(image, x, glyph_width)


def _boxes_read(reading: Reading) -> tuple[Box, ...]:
    """Return the boxes of the ink of glyphs of the bundled digits that were read exactly; they may overlap."""
    ink = bank.load(Source("all")).ink(np.array(reading.glyphs)).tolist()
    return tuple(
        Box(left + x, top + y, width, height)
        for left, top, (x, y, width, height) in zip(reading.x, reading.y, ink, strict=True)
    )


def _likely_boxes(image: NDArray[np.uint8], x: Sequence[int], glyph_width: int) -> tuple[Box, ...]:
    """Return the boxes of the ink of digits of which it is only known about where they stand.

    Each has the columns to the middle between it and its neighbours.
    Ink is what is nearer to the darkest than to paper.
    """
    ink = image < (int(image.min()) + int(np.median(image))) / 2
    between = [(left + right + glyph_width) // 2 for left, right in pairwise(x)]
    boxes = []
    for left, low, high in zip(x, [0, *between], [*between, image.shape[1]], strict=True):
        start = max(left, low, 0)
        part = 255 * ~ink[:, start : max(start, min(left + glyph_width, high))]
        (box,) = boxes_of(part.astype(np.uint8), (0,), part.shape[1])
        boxes.append(box._replace(x=box.x + start))
    return tuple(boxes)


def _is_images(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.dtype == np.uint8


def _number(name: str, count: int) -> int | None:
    """Return the number in `12`, `00000012.png`, `images/00000/00000012.png` and the like, if it is below `count`."""
    found = _NUMBERED.fullmatch(name.strip())
    return int(found[1]) if found and int(found[1]) < count else None


def _drawn_gaps(recipe: Recipe, first: int, lengths: Sequence[int] | NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the gaps of samples `first` and on, as `Rows` have them, where sequences have these lengths."""
    gaps = placement.gaps(recipe, first, first + len(lengths)).astype(np.int32)
    gaps[np.arange(1, recipe.length) >= np.asarray(lengths)[:, None]] = NO_GAP
    return gaps


def _strips_of(
    batch: Batch, numbers: Iterable[int], gaps: NDArray[np.int32], *, invert: bool | None, glyph_width: int
) -> Iterator[Strip]:
    """Yield some samples of a batch, with its gaps as `Rows` have them.

    Where it is not known whether they are inverted, by what they look like.
    """
    for number in numbers:
        row = number - batch.first
        size = int(batch.lengths[row])
        image = batch.images[row, :, : batch.widths[row]]
        image = on_white(image, invert)
        glyphs, x = (tuple(values[row, :size].tolist()) for values in (batch.glyphs, batch.x))
        if min(glyphs, default=0) < 0:
            glyphs = x = ()
        boxes = _boxes(image, x, glyph_width, tuple(Box(*box) for box in batch.boxes[row, :size].tolist()))
        text = "".join(map(str, batch.digits[row, :size].tolist()))
        between = tuple(gaps[row, : size - 1].tolist())
        yield Strip(number, "", image, text, glyphs, x, boxes, () if NO_GAP in between else between)


class Dataset(Collection):
    """A dataset directory. Has no samples where it is incomplete; `problems` says why."""

    kind = "dataset"

    def __init__(self, path: Path, spec: Spec) -> None:
        self.path, self.spec = path, spec
        self.source, self.glyph_width = spec.recipe.source, spec.recipe.glyph_width
        complete = manifest.read_manifest(path)
        records = complete.records if complete else manifest.read_records(path, spec.recipe.fingerprint)
        self.done = sum(record.samples for record in records.values())
        self.bytes = sum(record.bytes for record in records.values())
        self.problems = []
        if complete is None:
            done = f"{self.done} of {spec.samples} samples are done"
            self.problems.append(f"incomplete, {done}: the dataset command does the rest")
        elif (complete.recipe, complete.samples, self.done) != (spec.recipe.fingerprint, spec.samples, spec.samples):
            self.problems.append(f"{MANIFEST_NAME} and {RECIPE_NAME} are not about the same samples")
        self._format = formats.get(spec.format)

    def __len__(self) -> int:
        return 0 if self.problems else self.spec.samples

    @property
    def knows_glyphs(self) -> bool:
        """Whether glyphs and left edges can be worked out from the recipe: where the bank is a bundled one."""
        return self.source in BUNDLED_SOURCES

    def rows(self) -> Iterator[Rows]:
        """Yield sequences as they stand on disk, and beside them the glyphs and gaps by which the recipe makes them.

        Both are left out where the sequence is not the one that the recipe makes, and glyphs where the bank is not at
        hand.
        """
        recipe, first = self.spec.recipe, 0
        texts = self._format.read_texts(self.path, self.spec)
        while chunk := list(islice(texts, _CHUNK)):
            self._check(chunk)
            gaps = _drawn_gaps(recipe, first, list(map(len, chunk)))
            glyphs = np.full((len(chunk), recipe.length), ABSENT, dtype=np.int32)
            if self.knows_glyphs:
                made = compose.annotate(recipe, bank.load(Source(self.source)), first, first + len(chunk))
                glyphs = made.glyphs
                others = [row for row, text in enumerate(texts_of(made)) if text != chunk[row]]
                if others:
                    glyphs = glyphs.copy()
                    glyphs[others], gaps[others] = ABSENT, NO_GAP
            yield Rows(first, list(chunk), glyphs, gaps)
            first += len(chunk)

    def rows_with_glyphs(self) -> Iterator[Rows]:
        """Yield sequences with their glyphs; where the bank is not at hand, as they stand beside the images."""
        if self.knows_glyphs:
            yield from self.rows()
            return
        for shard in self.spec.plan:
            for batch in self._format.read(self.path, self.spec, shard):
                gaps = _drawn_gaps(self.spec.recipe, batch.first, batch.lengths)
                yield Rows(batch.first, list(texts_of(batch)), batch.glyphs, gaps)

    def _check(self, texts: list[str]) -> None:
        length, joined = self.spec.recipe.length, "".join(texts)
        if not (joined.isascii() and joined.isdigit()) or not all(0 < len(text) <= length for text in texts):
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield samples as they stand on disk, in one pass."""
        size = self.spec.shard_size
        if not self._format.RANDOM_ACCESS and not self._format.SHARDS_STAND:
            if numbers:
                yield from self._read(Shard(0, numbers[0], numbers[-1] + 1), list(numbers))
            return
        for place, group in groupby(numbers, lambda number: number // size):
            wanted = list(group)
            if not self._format.RANDOM_ACCESS:
                yield from self._read(self.spec.plan[place], wanted)
                continue
            for _, run in groupby(enumerate(wanted), lambda pair: pair[1] - pair[0]):
                part = [number for _, number in run]
                yield from self._read(Shard(place, part[0], part[-1] + 1), part)

    def _read(self, shard: Shard, numbers: list[int]) -> Iterator[Strip]:
        invert, left = self.spec.recipe.invert, len(numbers)
        for batch in self._format.read(self.path, self.spec, shard):
            here = [number for number in numbers if batch.first <= number < batch.first + len(batch)]
            gaps = _drawn_gaps(self.spec.recipe, batch.first, batch.lengths)
            yield from _strips_of(batch, here, gaps, invert=invert, glyph_width=self.glyph_width)
            left -= len(here)
            if not left:
                return

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample that goes by this name, as its format has it, or by its number."""
        named = self._named_place(name) if self._named_place else None
        return super().place_of(name) if named is None else named

    @cached_property
    def _named_place(self) -> Callable[[str], int | None] | None:
        """What finds samples by the names of their files; None where these are their numbers."""
        return folders.finder(self.spec) if self.spec.format == "folders" else None

    def spread(self, count: int) -> list[int]:
        """Return numbers from all over; where samples cannot be read alone, the first of some shards, or of all."""
        if self._format.RANDOM_ACCESS or len(self) <= count:
            return super().spread(count)
        if not self._format.SHARDS_STAND:
            return list(range(count))
        shards = len(self.spec.plan)
        chosen = sorted({place * (shards - 1) // (_SHARDS - 1) for place in range(_SHARDS)})
        each = -(-count // len(chosen))
        plan = (self.spec.plan[place] for place in chosen)
        return [number for shard in plan for number in range(shard.first, min(shard.first + each, shard.stop))][:count]

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield samples from all over; those that cannot be read alone in as few passes as there can be."""
        if self._format.RANDOM_ACCESS:
            yield from super().picked(count)
            return
        numbers = self.spread(count)
        for _, group in groupby(numbers, lambda number: number // self.spec.shard_size * self._format.SHARDS_STAND):
            run, seen = list(group), 0
            try:
                for strip in self.strips(run):
                    seen += 1
                    yield strip
            except (FormatError, OSError):
                yield from [None] * (len(run) - seen)


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
        for first in range(0, len(self), _CHUNK):
            ids = np.arange(first, min(first + _CHUNK, len(self)), dtype=np.int32)[:, None]
            texts: list[str | None] = list(map(str, self._bank.labels[first : first + _CHUNK].tolist()))
            yield Rows(first, texts, ids, np.empty((len(ids), 0), dtype=np.int32))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield digits."""
        for number in numbers:
            image = 255 - self._bank.images(np.array([number]))[0]
            text = str(self._bank.labels[number])
            yield Strip(number, "", image, text, (number,), (0,), boxes_of(image, (0,), self.glyph_width))


class Arrays(Collection):
    """Images in an array, with labels and glyphs beside them or without: an npz file, or an IDX file.

    Has no samples where the array of an IDX file is not images. `recipe` is the one that stands beside the file.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        array: NDArray[Any],
        others: dict[str, NDArray[Any]] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.kind = kind
        self.path, self.array = path, array
        self._others = others or {}
        self.source, self._gap, self._invert = _beside(recipe)

    def __len__(self) -> int:
        return len(self.array) if _is_images(self.array) else 0

    def _batch(self, first: int, stop: int) -> Batch:
        count, others = stop - first, self._others
        length = others["labels"].shape[1] if "labels" in others else 1
        absent = np.full((count, length), ABSENT, dtype=np.int32)
        digits = np.array(others["labels"][first:stop]) if "labels" in others else np.zeros((count, 1), np.uint8)
        sizes = np.array(others["lengths"][first:stop]) if "lengths" in others else np.full(count, length, np.int32)
        glyphs, x = (np.array(others[name][first:stop]) if name in others else absent for name in ("glyphs", "x"))
        is_wrong = digits.min() < 0 or digits.max() > 9 or sizes.min() < 1 or sizes.max() > length
        if "labels" in others and is_wrong:
            raise FormatError(f"{self.path} has a label that is not a sequence of 1 to {length} digits")
        boxes = np.array(others["boxes"][first:stop]) if "boxes" in others else np.stack([absent] * 4, axis=2)
        images = np.asarray(self.array[first:stop])
        widths = np.full(count, images.shape[2], dtype=np.int32)
        places = (sizes, glyphs, x, np.zeros_like(x), boxes, widths)
        return Batch(first, digits.astype(np.uint8), *places, images=images)

    def _gaps(self, batch: Batch) -> NDArray[np.int32]:
        count, length = batch.digits.shape
        gaps = np.full((count, length - 1), self._gap, dtype=np.int32)
        if "gaps" in self._others:
            listed = self._others["gaps"][batch.first : batch.first + count]
            gaps[:] = np.where(np.abs(listed.astype(np.float64)) < -NO_GAP, listed, NO_GAP)
        gaps[np.arange(1, length) >= batch.lengths[:, None]] = NO_GAP
        return gaps

    def rows(self) -> Iterator[Rows]:
        """Yield what stands beside the images."""
        for first in range(0, len(self), _CHUNK):
            batch = self._batch(first, min(first + _CHUNK, len(self)))
            texts: list[str | None] = [None] * len(batch)
            if "labels" in self._others:
                texts = list(texts_of(batch))
            yield Rows(first, texts, batch.glyphs, self._gaps(batch))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, as the recipe tells; without one those of IDX files are white on black, others as they look."""
        invert = True if self.kind == "idx" and self._invert is None else self._invert
        for number in numbers:
            batch = self._batch(number, number + 1)
            (strip,) = _strips_of(batch, [number], self._gaps(batch), invert=invert, glyph_width=self.glyph_width)
            yield strip if "labels" in self._others else Strip(number, "", strip.image, None)


class _Row(NamedTuple):
    """What is known of a sample of a folder or a shard."""

    text: str
    glyphs: tuple[int, ...] = ()
    x: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    gaps: tuple[int, ...] | None = None


class _Listed(Collection):
    """Samples whose names are held, and for each what is known of it; `recipe` is the one that stands beside them."""

    def __init__(self, names: list[str], rows: dict[str, _Row], recipe: Recipe | None = None) -> None:
        self._names, self._rows = names, rows
        self._places = {name: place for place, name in enumerate(names)}
        self.source, self._gap, self._invert = _beside(recipe)

    def __len__(self) -> int:
        return len(self._names)

    def rows(self) -> Iterator[Rows]:
        """Yield what is known."""
        for first in range(0, len(self), _CHUNK):
            known = [self._rows.get(name) for name in self._names[first : first + _CHUNK]]
            length = max((len(row.text) for row in known if row), default=1)
            glyphs = np.full((len(known), length), ABSENT, dtype=np.int32)
            gaps = np.full((len(known), length - 1), NO_GAP, dtype=np.int32)
            for place, row in enumerate(known):
                if row:
                    glyphs[place, : len(row.glyphs)] = row.glyphs
                    between = self._gaps(row)
                    gaps[place, : len(between)] = between
            yield Rows(first, [row.text if row else None for row in known], glyphs, gaps)

    def _gaps(self, row: _Row) -> tuple[int, ...]:
        """Return the gaps that were drawn for a sample; none where they are not known."""
        if row.gaps is not None or self._gap == NO_GAP:
            return row.gaps or ()
        return (self._gap,) * (len(row.text) - 1)

    def place_of(self, name: str) -> int | None:
        """Return the number of the sample whose file has this name, with or without its folder and ending."""
        last = re.split(r"[/\\]", name.strip())[-1]
        for known in (last, f"{last}.png"):
            if known in self._places:
                return self._places[known]
        return None if "." in last else _number(name, len(self))

    def _strip(self, number: int, image: NDArray[np.uint8]) -> Strip:
        """Return a sample; what is not known of it is read from its pixels, exactly or not at all."""
        name, shown = self._names[number], on_white(image, self._invert)
        row = self._rows.get(name)
        if row is None or not row.glyphs:
            try:
                reading = _reader().read(image)
            except CheckError:
                return Strip(number, name, shown, row.text if row else None)
            text = "".join(map(str, reading.digits))
            if row is None or row.text == text:
                gaps = None if row is None else row.gaps
                row = _Row(text, reading.glyphs, reading.x, _boxes_read(reading), gaps)
        boxes = _boxes(shown, row.x, self.glyph_width, row.boxes)
        return Strip(number, name, shown, row.text, row.glyphs, row.x, boxes, self._gaps(row))


_READERS: list[Reader] = []


def _reader() -> Reader:
    """Return what reads strips that are made of the bundled digits; made when it is first needed."""
    if not _READERS:
        _READERS.append(Reader(bank.load(Source("all"))))
    return _READERS[0]


class Folder(_Listed):
    """PNG files in one folder, with labels for them or without; taken for strips of MNIST where no recipe tells."""

    def __init__(
        self,
        path: Path,
        names: list[str],
        rows: dict[str, _Row] | None = None,
        recipe: Recipe | None = None,
        *,
        kind: str,
    ) -> None:
        super().__init__(names, rows or {}, recipe)
        self.source = self.source or "all"
        self.kind = kind
        self.path = path

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images."""
        for number in numbers:
            yield self._strip(number, read_png(self.path / self._names[number]))


class Look(NamedTuple):
    """What was seen in a strip: the strip as far as it was read, whether its ink is white, and why it is `unread`."""

    strip: Strip
    inverted: bool
    unread: str = ""


class Single(Collection):
    """One PNG file, read as `decode` reads it: exactly, or else approximately if that is sure enough."""

    kind = "strip"
    source = "all"

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 1

    @cached_property
    def look(self) -> Look:
        """What is seen in the strip. Raises FormatError, OSError."""
        image = read_png(self.path)
        given = transcribing.Strip(self.path.name, image)
        (found,) = transcribing.transcribe([given], Source(self.source), transcribing.MIN_CONFIDENCE)
        if isinstance(found.result, MnistseqError):
            strip = Strip(0, self.path.name, on_white(image), None)
            return Look(strip, strip.image is not image, str(found.result.args[0]))
        inverted, digits = found.result.inverted, "".join(map(str, found.result.digits))
        shown = 255 - image if inverted else image
        places = (found.result.glyphs, found.result.x)
        if isinstance(found.result, Reading):
            boxes = _boxes_read(found.result)
            return Look(Strip(0, self.path.name, shown, digits, *places, boxes, found.result.gaps), inverted)
        boxes = _likely_boxes(shown, found.result.x, found.result.glyph_width)
        sure = found.result.confidences
        return Look(Strip(0, self.path.name, shown, digits, *places, boxes, confidences=sure), inverted)

    @property
    def sample(self) -> tuple[Path, int] | None:
        """The directory and the number, if it is a sample of a dataset of ours that stands in its place."""
        place, number = self.path.absolute().parent, re.fullmatch(r"([0-9]{8})\.png", self.path.name, re.ASCII)
        if number is None or place.parent.name != IMAGES_NAME or not (place.parent.parent / RECIPE_NAME).is_file():
            return None
        whole = place.parent.parent
        return whole if self.path.is_absolute() else Path(os.path.relpath(whole)), int(number[1])

    def rows(self) -> Iterator[Rows]:
        """Yield what was read."""
        strip = self.look.strip
        glyphs = np.array([strip.glyphs or (ABSENT,)], dtype=np.int32)
        gaps = np.array([strip.gaps or (NO_GAP,) * (glyphs.shape[1] - 1)], dtype=np.int32)
        yield Rows(0, [strip.text], glyphs, gaps)

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield the strip."""
        for _ in numbers:
            yield self.look.strip

    def place_of(self, name: str) -> int | None:
        """Return 0 for the name of the file, and for 0."""
        return 0 if re.split(r"[/\\]", name.strip())[-1] == self.path.name else _number(name, 1)


class TarShard(_Listed):
    """One tar file of a dataset in the format webdataset, by itself."""

    kind = "shard"

    def __init__(self, path: Path) -> None:
        self.path = path
        names: list[str] = []
        rows: dict[str, _Row] = {}
        for name, content in read_members(path):
            if name.endswith(png.MASK_SUFFIX):
                continue
            if name.endswith(IMAGE):
                if len(names) == MAX_SAMPLES:
                    raise FormatError(f"{path} holds more than {MAX_SAMPLES} samples")
                names.append(name)
            else:
                rows[f"{name.removesuffix(ROW)}{IMAGE}"] = _row_of(content, f"{path}, {name}")[1]
        if len(set(names)) < len(names) or not names:
            raise FormatError(f"{path} holds {'a sample twice' if names else 'no samples'}")
        super().__init__(names, rows, _recipe_beside(path.parent))

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, in one pass."""
        wanted = {self._names[number]: number for number in numbers}
        for name, content in read_members(self.path):
            if name in wanted:
                yield self._strip(wanted[name], png.decode(content, name=f"{self.path}, {name}"))

    def spread(self, count: int) -> list[int]:
        """Return the first numbers: there is no way past them."""
        return list(range(min(count, len(self))))

    def picked(self, count: int) -> Iterator[Strip | None]:
        """Yield the first samples, in one pass; None for those that cannot be read."""
        wanted, seen = self.spread(count), 0
        for name, content in read_members(self.path):
            if name not in self._places or seen == len(wanted):
                continue
            seen += 1
            try:
                yield self._strip(self._places[name], png.decode(content, name=name))
            except FormatError:
                yield None


def _recipe_beside(directory: Path, format_name: str | None = None) -> Recipe | None:
    """Return the recipe of the dataset, of that format, in a directory; None where there is none that can be read."""
    try:
        spec = manifest.read_spec(directory)
    except (FormatError, OSError):
        return None
    return spec.recipe if spec and format_name in (None, spec.format) else None


def _beside(recipe: Recipe | None) -> tuple[str, int, bool | None]:
    """Return what holds for all samples of a recipe: the source, the gap, and whether ink is white.

    The gap is NO_GAP where not all are alike. Of no recipe nothing is known.
    """
    if recipe is None:
        return "", NO_GAP, None
    return recipe.source, recipe.min_gap if recipe.min_gap == recipe.max_gap else NO_GAP, recipe.invert


def _folder(path: Path) -> Folder:
    """Return the PNG files of a folder, and the labels that are in it, above it, or in the names.

    Such names are 1-2-3.png and 1-2-3_0.png, and in a folder 42 0_42.png.
    """
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.endswith(".png") and not name.endswith(png.MASK_SUFFIX) and entry.is_file():
                names.append(entry.name)
                if len(names) > MAX_SAMPLES:
                    raise FormatError(f"{path} holds more than {MAX_SAMPLES} PNG files")
    if not names:
        raise FormatError(f"{path} is not a dataset of ours: it has no {RECIPE_NAME}")
    names.sort()
    place = path.absolute()
    images = place.parent.with_name(IMAGES_NAME) / place.name
    if place.parent.name == MASKS_NAME and images.is_dir():
        raise FormatError(f"{path} holds masks, and no strips", hint=f"the strips are in {images}")
    if place.parent.name == IMAGES_NAME and re.fullmatch(r"[0-9]{5}", place.name):
        above = place.parent.parent
        rows = _labels(above, set(names), f"{IMAGES_NAME}/{place.name}/")
        return Folder(path, names, rows, _recipe_beside(above), kind="shard")
    is_label = re.fullmatch("[0-9]+", place.name, re.ASCII) is not None
    if is_label and (recipe := _recipe_beside(place.parent, "folders")) is not None:
        return Folder(path, names, _labels(place.parent, set(names), f"{place.name}/"), recipe, kind="folder")
    rows = _labels(path, set(names), "")
    if not rows and is_label and all(re.fullmatch(rf"[0-9]+_{place.name}\.png", name, re.ASCII) for name in names):
        rows = dict.fromkeys(names, _Row(place.name))
    if not rows:
        told = [re.fullmatch(r"([0-9](?:-[0-9])*)(?:_[0-9]+)?\.png", name, re.ASCII) for name in names]
        if all(told) and any(re.search("[-_]", name) for name in names):
            rows = {found[0]: _Row(found[1].replace("-", "")) for found in told if found}
    return Folder(path, names, rows, kind="folder")


def _labels(directory: Path, names: set[str], folder: str) -> dict[str, _Row]:
    """Return what metadata.jsonl or labels.csv say of the files with these names. Raises FormatError, OSError."""
    rows: dict[str, _Row] = {}
    if (directory / METADATA_NAME).exists():
        with local.open_regular(directory / METADATA_NAME) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ROW), b""), 1):
                if line.strip():
                    name, row = _row_of(line, f"{METADATA_NAME}, line {number}")
                    if name.startswith(folder) and name.removeprefix(folder) in names:
                        rows[name.removeprefix(folder)] = row
    elif (directory / LABELS_NAME).exists():
        with local.open_regular(directory / LABELS_NAME) as file:
            lines = (line.decode("utf-8-sig", "replace") for line in iter(lambda: file.readline(MAX_ROW), b""))
            table = csv.reader(lines)
            try:
                header = next(table, [])
                if not {"file_name", "label"} <= set(header):
                    raise FormatError(f"{directory / LABELS_NAME} has no columns file_name and label")
                at_name, at_label = header.index("file_name"), header.index("label")
                for cells in table:
                    if len(cells) != len(header):
                        if not cells:
                            continue
                        raise FormatError(f"{LABELS_NAME} has {len(cells)} columns in line {table.line_num}")
                    name = cells[at_name].removeprefix(folder)
                    if name in names and cells[at_name].startswith(folder):
                        rows[name] = _Row(_text(cells[at_label], f"{LABELS_NAME}, line {table.line_num}"))
            except csv.Error as error:
                raise FormatError(f"{LABELS_NAME} is damaged in line {table.line_num} ({error})") from None
    return rows


def _text(label: str, where: str) -> str:
    try:
        return "".join(map(str, parse_sequence(label)))
    except RequestError as error:
        raise FormatError(f"{where}: {error.args[0]}") from None


def _row_of(line: bytes, where: str) -> tuple[str, _Row]:
    """Return the file name and what a row of JSON says of it. Raises FormatError."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise FormatError(f"{where} is not a row of JSON with a text")
    text = _text(values["text"], where)
    glyphs, x = values.get("glyphs"), values.get("x")
    if not all(
        isinstance(listed, list)
        and len(listed) == len(text)
        and all(type(value) is int and lowest <= value < 2**31 for value in listed)
        for listed, lowest in ((glyphs, 0), (x, -(2**31)))
    ):
        if glyphs is not None or x is not None:
            raise FormatError(f"{where} has glyphs and x that do not fit its text")
        glyphs, x = (), ()
    name, gaps = values.get("file_name", ""), values.get("gaps")
    boxes = values.get("boxes") if x else ()
    if not (isinstance(boxes, list) and len(boxes) == len(text) and all(map(_is_box, boxes))):
        boxes = ()
    if not (isinstance(gaps, list) and len(gaps) == len(text) - 1 and all(map(_is_gap, gaps))):
        gaps = None
    drawn = None if gaps is None else tuple(gaps)
    row = _Row(text, tuple(glyphs or ()), tuple(x or ()), tuple(Box(*box) for box in boxes), drawn)
    return (name if isinstance(name, str) else ""), row


def _is_gap(value: object) -> bool:
    return type(value) is int and NO_GAP < value < 2**31


def _is_box(values: object) -> bool:
    return isinstance(values, list) and len(values) == 4 and all(type(v) is int and 0 <= v < 2**31 for v in values)


def _archive(path: Path) -> Arrays:
    """Return the arrays of an npz file that is stored as it is, mapped; with nothing believed that the file says.

    Raises FormatError for anything that is not images with labels, lengths, glyphs and x beside them or without.
    """
    arrays = npz_file.arrays_in(
        path, {"images": 3, "labels": 2, "lengths": 1, "glyphs": 2, "x": 2, "boxes": 3, "gaps": 2}
    )
    if "images" not in arrays or not _is_images(arrays["images"]) or 0 in arrays["images"].shape:
        raise FormatError(f"{path} is not an npz file as we write them: it has no images of bytes")
    images, shape = arrays.pop("images"), arrays["labels"].shape if "labels" in arrays else None
    fits = all(len(array) == len(images) for array in arrays.values()) and all(
        arrays[name].shape == shape for name in ("glyphs", "x") if name in arrays
    )
    fits = fits and ("boxes" not in arrays or arrays["boxes"].shape == (*(shape or ()), 4))
    fits = fits and ("gaps" not in arrays or (shape is not None and arrays["gaps"].shape[1] == shape[1] - 1))
    kinds = all(array.dtype.kind in "iu" for array in arrays.values())
    if not fits or not kinds or (shape is not None and not 0 < shape[1] <= MAX_LENGTH):
        raise FormatError(f"{path} is not an npz file as we write them: its arrays do not fit one another")
    return Arrays("npz", path, images, arrays, _recipe_beside(path.parent))
