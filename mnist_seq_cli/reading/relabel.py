"""Owns repair: labels.csv and metadata.jsonl of a dataset in the format png, written again from its images alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
from mnist_seq_cli.engine.batch import ABSENT, Annotations, drawn_names
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import CheckError, FormatError, RequestError
from mnist_seq_cli.formats import png_folder
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Bank, Source
from mnist_seq_cli.reading.exact import Reader, Reading
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.samples.boxes import of_glyphs
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.local_store import LocalStore
from mnist_seq_cli.storage.store import STATE_NAME, FileSum

_BATCH = 256
"""Images held at a time."""


class Repaired(NamedTuple):
    """The files that were written, and what a person should know of it."""

    paths: list[Path]
    notes: list[str]


def repair(directory: Path, source: Source | None = None) -> Repaired:
    """Write labels.csv and metadata.jsonl of a dataset again, from its images.

    Where recipe.json is there, a sample is what the recipe says if that gives exactly its image; else, and without it,
    what the image shows, read exactly. `source` is where its glyphs are: as the recipe says, or all of MNIST. A dataset
    whose images are untouched gets the files that it had, byte for byte; without a recipe that is so unless glyphs look
    alike, the gaps that were drawn all came out the same, or they were not between boxes (tight crops, jitter).

    Raises CheckError, before anything is changed, for an image that cannot be read exactly or is not there;
    RequestError, FormatError for what is no such dataset; OSError.
    """
    spec = _spec(directory, source)
    if source is None:
        source = Source("all" if spec is None else spec.recipe.source)
    glyphs = bank.load(source)
    if spec is not None:
        check_bank(spec.recipe, glyphs)
    shards, complete = _shards(directory, spec), manifest.read_manifest(directory)
    reader = Reader(glyphs)
    work = directory / STATE_NAME / "repair"
    with local.locked(directory):
        try:
            local.remove(work)
            finished = _written(directory, work, spec, shards, reader, glyphs)
            for path in finished:
                local.place(path, directory / path.name)
        finally:
            with suppress(OSError):
                local.remove(work)
                local.remove_if_empty(work.parent)
    reasons = "an image is not what it was, or the source has glyphs that look alike"
    if spec is None:
        reasons += ", or gaps were not between boxes"
    notes = [
        f"{path.name} is not the one that {MANIFEST_NAME} is about: {reasons}"
        for path, total in finished.items()
        if complete is not None and complete.files.get(path.name) != total
    ]
    return Repaired([directory / path.name for path in finished], notes)


def _written(
    directory: Path, work: Path, spec: Spec | None, shards: list[Shard], reader: Reader, glyphs: Bank
) -> dict[Path, FileSum]:
    """Write both files in a folder of their own, and return where they stand, and their sums.

    Rows go the way that they go when a dataset is built: by shard, and then joined.
    """
    store = LocalStore(work)
    form = spec or _spec_of_images(directory, shards, reader, glyphs)
    format_ = formats.get("png")
    for shard in shards:
        rows = ExtraRows(store, format_, form, shard)
        for known in _truths(directory, form.recipe, shard, reader, glyphs, predict=spec is not None):
            rows.add(known)
        rows.put()
    sums = join(store, format_, form, shards)
    return {work / name: total for name, total in sums.items()}


def _spec_of_images(directory: Path, shards: list[Shard], reader: Reader, glyphs: Bank) -> Spec:
    """Return a spec, not the lost one, under which rows tell what they told: top edges, and gaps if they differ."""
    longest, height, gaps = 1, glyphs.height, set[int]()
    for shard in shards:
        for _, names in _names(shard):
            images = [_read_image(directory, name) for name in names]
            height = max(height, *map(len, images))
            for reading in _read(names, images, reader):
                longest = max(longest, len(reading.digits))
                gaps.update(reading.gaps)
    request = Request(seed=0, length=longest, height=height, min_gap=min(gaps, default=0), max_gap=max(gaps, default=0))
    recipe = resolve(request, glyphs.facts)
    return Spec(
        recipe=recipe,
        samples=shards[-1].stop,
        format="png",
        compression="fast",
        shard_size=shards[0].samples,
        masks=(directory / png_folder.MASKS_NAME).is_dir(),
    )


def _names(shard: Shard) -> Iterator[tuple[int, list[str]]]:
    """Yield the names of some images at a time, and the number of the first."""
    for first in range(shard.first, shard.stop, _BATCH):
        yield first, png_folder.file_names(shard, first, min(first + _BATCH, shard.stop))


def _truths(
    directory: Path, recipe: Recipe, shard: Shard, reader: Reader, glyphs: Bank, *, predict: bool
) -> Iterator[Annotations]:
    """Yield what the images of a shard show. Raises CheckError for one that cannot be read exactly."""
    for first, names in _names(shard):
        images = [_read_image(directory, name) for name in names]
        if not predict:
            yield _truth(recipe, first, images, _read(names, images, reader), glyphs)
            continue
        predicted = compose.compose(recipe, glyphs, first, first + len(images))
        widths = predicted.widths.tolist()
        painted = [strip[:, :width] for strip, width in zip(predicted.images, widths, strict=True)]
        start = 0
        for same, run in groupby(map(np.array_equal, images, painted)):
            stop = start + len(list(run))
            if same:
                yield predicted.part(start, stop)
            else:
                _check_readable(recipe, names[start])
                readings = _read(names[start:stop], images[start:stop], reader)
                yield _truth(recipe, first + start, images[start:stop], readings, glyphs)
            start = stop


def _check_readable(recipe: Recipe, name: str) -> None:
    """Raise CheckError unless what rows of the recipe tell of a sample can be seen in its image."""
    drawn = {*drawn_names(recipe)}
    if drawn - {"gaps"} or (drawn and (recipe.crop != "box" or recipe.jitter_x)):
        raise CheckError(f"{name} is not what the recipe makes, and not all that was drawn for it can be seen in it")


def _read_image(directory: Path, name: str) -> NDArray[np.uint8]:
    try:
        with local.open_regular(directory / name) as file:
            if os.fstat(file.fileno()).st_size > png.MAX_PIXELS:
                raise FormatError(f"{name} is too large for a strip")
            return png.decode(file.read(), name=name)
    except FileNotFoundError:
        raise CheckError(f"{name} is not there", hint="the dataset command makes it again") from None


def _read(names: list[str], images: list[NDArray[np.uint8]], reader: Reader) -> list[Reading]:
    """Return what images show, read exactly. Raises CheckError, with the name of the image."""
    readings: list[Reading] = []
    if len({image.shape for image in images}) == 1:
        found: Iterable[Reading | CheckError] = reader.read_all(np.stack(images))
    else:
        found = (result for image in images for result in reader.read_all(image[None]))
    for name, result in zip(names, found, strict=True):
        if isinstance(result, CheckError):
            raise CheckError(f"{name}: {result.args[0]}", hint="nothing was changed; give the source with `source`")
        readings.append(result)
    return readings


def _truth(
    recipe: Recipe, first: int, images: list[NDArray[np.uint8]], readings: list[Reading], glyphs: Bank
) -> Annotations:
    """Return the truth of images that were read exactly, with what rows of the recipe tell."""
    lengths = np.array([len(reading.digits) for reading in readings], dtype=np.int32)
    shape = (len(readings), int(lengths.max()))
    digits, ids, x, y = np.zeros(shape, np.uint8), *(np.full(shape, ABSENT, np.int32) for _ in range(3))
    gaps = np.zeros((shape[0], shape[1] - 1), dtype=np.int64)
    for row, reading in enumerate(readings):
        here = slice(len(reading.digits))
        digits[row, here], ids[row, here], x[row, here], y[row, here] = (
            reading.digits,
            reading.glyphs,
            reading.x,
            reading.y,
        )
        gaps[row, : len(reading.gaps)] = reading.gaps
    known = ids != ABSENT
    boxes = np.full((*shape, 4), ABSENT, dtype=np.int32)
    boxes[known] = of_glyphs(glyphs, ids[known], x[known], y[known])
    widths = np.array([image.shape[1] for image in images], dtype=np.int32)
    drawn = {"gaps": gaps} if "gaps" in drawn_names(recipe) else {}
    return Annotations(first, digits, lengths, ids, x, y, boxes, widths, drawn=drawn)


def _spec(directory: Path, source: Source | None) -> Spec | None:
    if not directory.is_dir():
        raise RequestError(f"there is no directory {directory}")
    spec = manifest.read_spec(directory)
    if spec is not None and spec.format != "png":
        raise RequestError(
            f"{directory} is of the format {spec.format}, and labels are repaired in the format png",
            hint=f"mnistseq dataset --recipe {directory / RECIPE_NAME} -o {directory} makes again what is missing",
        )
    if spec is not None and spec.recipe.has_custom_background:
        raise RequestError(
            f"{directory} has a custom background, on which images cannot be read exactly",
            hint="the dataset command repairs it",
        )
    if spec is not None and source is None and not spec.recipe.source.isalpha():
        raise RequestError(f"{directory} is made of custom glyphs", hint="give them with `source` and `source_labels`")
    return spec


def _shards(directory: Path, spec: Spec | None) -> list[Shard]:
    """Return the shards whose images are there: all of the recipe, or all that are, without a gap among them."""
    if spec is not None:
        return list(spec.plan)
    images = directory / png_folder.IMAGES_NAME
    if not images.is_dir():
        raise RequestError(f"{directory} is not a dataset in the format png: it has no {images.name}")
    shards: list[Shard] = []
    first = 0
    for number, folder in enumerate(sorted(path for path in images.iterdir() if re.fullmatch(r"\d{5,}", path.name))):
        with os.scandir(folder) as entries:
            samples = sum(re.fullmatch(r"\d{8,}\.png", entry.name) is not None for entry in entries)
        shard = Shard(number, first, first + samples)
        if folder != directory / png_folder.shard_folder(shard) or not samples:
            raise CheckError(f"{folder} is not the folder of shard {number}, which should come next")
        shards.append(shard)
        first = shard.stop
    if not shards:
        raise RequestError(f"{directory} is not a dataset in the format png: {images} has no folders of images")
    return shards
