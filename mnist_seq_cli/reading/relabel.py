"""Owns repair: labels.csv and metadata.jsonl of a dataset in the format png, written again from its images alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import formats
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.finish import join
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.dataset.shards import ExtraRows
from mnist_seq_cli.engine import compose
from mnist_seq_cli.engine.batch import ABSENT, Annotations, sampled_names
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import CheckError, FormatError, RequestError
from mnist_seq_cli.formats import png_folder
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Bank, Source
from mnist_seq_cli.reading.exact import Reading
from mnist_seq_cli.reading.transcribing import transcribe
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.plan import Digits, Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.samples.boxes import of_glyphs
from mnist_seq_cli.samples.strip import NamedImage
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.lock import locked
from mnist_seq_cli.storage.store import STATE_NAME, FileSum

_BATCH = 256
"""Images held at a time."""


class Repaired(NamedTuple):
    """The files that were written, and notes on those that are not what they were."""

    paths: list[Path]
    notes: list[str]


def repair(directory: Path, source: Source | None = None) -> Repaired:
    """Write labels.csv and metadata.jsonl of a dataset again, from its images.

    Annotations are those of recipe.json for an image that is exactly as it makes it, else what is read exactly from the
    image. `source` is where the glyphs are: that of the recipe, or all of MNIST. A dataset whose images are untouched
    gets the files that it had, byte for byte; without a recipe that is so unless glyphs look alike, all sampled gaps
    came out the same, or they were not between boxes (tight crops, jitter).

    Raises CheckError, before anything is changed, for an image that cannot be read exactly or is missing;
    RequestError, FormatError for what is no such dataset; OSError.
    """
    spec = _spec(directory, source)
    source = source or Source("all" if spec is None else spec.recipe.source)
    if spec is not None:
        check_bank(spec.recipe, bank.load(source))
    digits = Digits() if spec is None else spec.plan.digits
    images = _Images(directory, _shards(directory) if spec is None else list(spec.plan), digits, source)
    complete = manifest.read_manifest(directory)
    work = directory / STATE_NAME / "repair"
    with locked(directory):
        try:
            local.remove(work)
            sums = _write(LocalStore(work), images, spec)
            for name in sums:
                local.place(work / name, directory / name)
        finally:
            with suppress(OSError):
                local.remove(work)
                local.remove_if_empty(work.parent)
    reasons = "an image is not what it was, or the source has glyphs that look alike"
    if spec is None:
        reasons += ", or gaps were not between boxes"
    notes = [
        f"{name} is not the one that {MANIFEST_NAME} is about: {reasons}"
        for name, total in sums.items()
        if complete is not None and complete.files.get(name) != total
    ]
    return Repaired([directory / name for name in sums], notes)


class _Images(NamedTuple):
    """The images of a dataset, and the source of the glyphs that they are made of."""

    directory: Path
    shards: list[Shard]
    digits: Digits
    source: Source

    @property
    def bank(self) -> Bank:
        """The glyphs of the source."""
        return bank.load(self.source)

    def batches(self, shard: Shard) -> Iterator[tuple[int, list[str], list[NDArray[np.uint8]]]]:
        """Yield the number of the first image, the names and the images of some at a time.

        Raises CheckError for one that is missing, FormatError, OSError.
        """
        for first in range(shard.first, shard.stop, _BATCH):
            folder, samples = png_folder.shard_folder(self.digits, shard), range(first, min(first + _BATCH, shard.stop))
            names = [f"{folder}/{self.digits.sample(sample)}.png" for sample in samples]
            yield first, names, [_read_image(self.directory, name) for name in names]

    def read(self, names: list[str], images: list[NDArray[np.uint8]]) -> list[Reading]:
        """Return exact readings of images. Raises CheckError, with the name of the image."""
        readings = []
        for name, result in transcribe(map(NamedImage, names, images), self.source, min_confidence=1):
            if isinstance(result, CheckError):
                raise CheckError(f"{name}: {result.args[0]}", hint="nothing was changed; give the source with `source`")
            assert isinstance(result, Reading)
            readings.append(result)
        return readings


def _read_image(directory: Path, name: str) -> NDArray[np.uint8]:
    try:
        with local.open_regular(directory / name) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise FormatError(f"{name} is too large for a strip")
            return png.decode(file.read(), name=name)
    except FileNotFoundError:
        raise CheckError(f"{name} is not there", hint="the dataset command makes it again") from None


def _write(store: LocalStore, images: _Images, spec: Spec | None) -> dict[str, FileSum]:
    """Write both files to a store, by shard and then joined, as a dataset is built; return their sums by name."""
    form = replace(spec, annotations=()) if spec else _spec_of_images(images)
    format_ = formats.get("png")
    for shard in images.shards:
        rows = ExtraRows(store, format_, form, shard)
        for batch in _annotations(images, shard, form.recipe, predict=spec is not None):
            rows.add(batch)
        rows.put()
    return join(store, format_, form, images.shards)


def _spec_of_images(images: _Images) -> Spec:
    """Return a spec, not the lost one, that gives rows the same keys: top edges, and gaps if they differ."""
    longest, height, gaps = 1, images.bank.height, set[int]()
    for shard in images.shards:
        for _, names, arrays in images.batches(shard):
            height = max(height, *map(len, arrays))
            for reading in images.read(names, arrays):
                longest = max(longest, len(reading.digits))
                gaps.update(reading.gaps)
    request = Request(seed=0, length=longest, height=height, min_gap=min(gaps, default=0), max_gap=max(gaps, default=0))
    return Spec(
        recipe=resolve(request, images.bank.facts),
        samples=images.shards[-1].stop,
        format="png",
        compression="fast",
        shard_size=images.shards[0].samples,
        masks=(images.directory / png_folder.MASKS_NAME).is_dir(),
    )


def _annotations(images: _Images, shard: Shard, recipe: Recipe, *, predict: bool) -> Iterator[Annotations]:
    """Yield the annotations of a shard: with `predict` by the recipe, where that gives the image; else as it is read.

    Raises CheckError for an image that cannot be read exactly.
    """
    for first, names, arrays in images.batches(shard):
        if not predict:
            yield _read_annotations(images, recipe, first, names, arrays)
            continue
        predicted = compose.compose(recipe, images.bank, first, first + len(arrays))
        widths = predicted.widths.tolist()
        painted = [strip[:, :width] for strip, width in zip(predicted.images, widths, strict=True)]
        start = 0
        for same, run in groupby(map(np.array_equal, arrays, painted)):
            stop = start + len(list(run))
            if same:
                yield predicted.part(start, stop)
            else:
                _check_readable(recipe, names[start])
                yield _read_annotations(images, recipe, first + start, names[start:stop], arrays[start:stop])
            start = stop


def _check_readable(recipe: Recipe, name: str) -> None:
    """Raise CheckError unless all that rows of the recipe have can be read from an image."""
    sampled = {*sampled_names(recipe)}
    if sampled - {"gaps"} or (sampled and (recipe.crop != "box" or recipe.jitter_x)):
        raise CheckError(f"{name} is not what the recipe makes, and not all that was drawn for it can be seen in it")


def _read_annotations(
    images: _Images, recipe: Recipe, first: int, names: list[str], arrays: list[NDArray[np.uint8]]
) -> Annotations:
    """Return the annotations of images, read exactly, as rows of the recipe have them. Raises CheckError."""
    readings = images.read(names, arrays)
    lengths = np.array([len(reading.digits) for reading in readings], dtype=np.int32)
    shape = (len(readings), int(lengths.max()))
    digits, ids, x, y = np.zeros(shape, np.uint8), *(np.full(shape, ABSENT, np.int32) for _ in range(3))
    gaps = np.zeros((shape[0], shape[1] - 1), dtype=np.int64)
    for row, reading in enumerate(readings):
        here = slice(len(reading.digits))
        digits[row, here], ids[row, here] = reading.digits, reading.glyphs
        x[row, here], y[row, here] = reading.x, reading.y
        gaps[row, : len(reading.gaps)] = reading.gaps
    known = ids != ABSENT
    boxes = np.full((*shape, 4), ABSENT, dtype=np.int32)
    boxes[known] = of_glyphs(images.bank, ids[known], x[known], y[known])
    widths = np.array([image.shape[1] for image in arrays], dtype=np.int32)
    sampled = {"gaps": gaps} if "gaps" in sampled_names(recipe) else {}
    return Annotations(first, digits, lengths, ids, x, y, boxes, widths, sampled=sampled)


def _spec(directory: Path, source: Source | None) -> Spec | None:
    if not directory.is_dir():
        raise RequestError(f"{directory} is not a directory")
    spec = manifest.read_spec(directory)
    if spec is None:
        return None
    if spec.format != "png":
        problem = f"{directory} is of the format {spec.format}, and labels are repaired in the format png"
        again = f"mnistseq dataset `recipe_file={directory / RECIPE_NAME}` `output={directory}`"
        raise RequestError(problem, hint=f"{again} makes again what is missing")
    if spec.recipe.has_custom_background:
        problem = f"{directory} has a custom background, on which images cannot be read exactly"
        raise RequestError(problem, hint="the dataset command repairs it")
    if source is None and not spec.recipe.source.isalpha():
        raise RequestError(f"{directory} is made of custom glyphs", hint="give them with `source` and `source_labels`")
    return spec


def _shards(directory: Path) -> list[Shard]:
    """Return the shards whose images exist. Raises CheckError where one is missing between them, RequestError."""
    images = directory / png_folder.IMAGES_NAME
    if not images.is_dir():
        raise RequestError(f"{directory} is not a dataset in the format png: it has no {images.name}")
    shards: list[Shard] = []
    first = 0
    folders = sorted(path for path in images.iterdir() if re.fullmatch(r"\d{5,}", path.name))
    for number, folder in enumerate(folders):
        with os.scandir(folder) as entries:
            samples = sum(re.fullmatch(r"\d{8,}\.png", entry.name) is not None for entry in entries)
        shard = Shard(number, first, first + samples)
        if folder != directory / png_folder.shard_folder(Digits(), shard) or not samples:
            raise CheckError(f"{folder} is not the folder of shard {number}, which should come next")
        shards.append(shard)
        first = shard.stop
    if not shards:
        raise RequestError(f"{directory} is not a dataset in the format png: {images} has no folders of images")
    return shards
