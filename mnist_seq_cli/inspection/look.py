"""Owns looking at a path: the report on what is there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.dataset import manifest, splits
from mnist_seq_cli.dataset.manifest import SPLITS_NAME
from mnist_seq_cli.dataset.splits import Splits
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inspection import description
from mnist_seq_cli.inspection.counts import SAMPLED, count, ink_of
from mnist_seq_cli.inspection.reports import (
    DatasetReport,
    IdxReport,
    MnistReport,
    Part,
    Report,
    SamplesReport,
    SplitsReport,
    StripReport,
)
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import BUNDLED_FILES, Source
from mnist_seq_cli.reading.transcribing import open_samples
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples.collection import Collection
from mnist_seq_cli.samples.sources.arrays import Arrays
from mnist_seq_cli.samples.sources.dataset import Dataset
from mnist_seq_cli.samples.sources.image import Single
from mnist_seq_cli.samples.strip import Strip
from mnist_seq_cli.storage import local


def inspect(path: Path | None, found: Collection | None = None) -> Report:
    """Return what can be said of what is at a path, or, with no path, of the bundled MNIST.

    `found` is `open_samples(path)`, where that is at hand. Raises FormatError for what is nothing of ours,
    RequestError where there is nothing, OSError.
    """
    if path is None:
        return _inspect_mnist()
    found = found if found is not None else open_samples(path)
    if isinstance(found, Dataset):
        return _inspect_dataset(found)
    if isinstance(found, Single):
        return _inspect_strip(found)
    if isinstance(found, Arrays) and found.kind == "idx":
        return _inspect_idx(path, found.array)
    return _inspect_samples(path, found)


def inspect_splits(path: Path, whole: Splits) -> SplitsReport:
    """Return what can be said of a directory of splits, from their recipes and manifests alone. Raises OSError."""
    parts, recipes, problems = [], {}, []
    for name, samples in whole.sizes.items():
        found, wrong = None, ""
        state: Literal["complete", "incomplete", "missing", "damaged", "other"] = "complete"
        try:
            spec = manifest.read_spec(path / name)
            found = None if spec is None else Dataset(path / name, spec)
        except FormatError as error:
            state, wrong = "damaged", str(error)
        else:
            if found is None:
                state, wrong = "missing", "it is not there yet: the dataset command makes it"
            elif (found.spec.samples, found.spec.recipe.seed) != (samples, splits.seed_of(whole.seed, name)):
                state, wrong = "other", f"it is another dataset than {SPLITS_NAME} asks for"
            elif found.problems:
                state, wrong = "incomplete", found.problems[0]
        problems += [f"{name}: {wrong}"] if wrong else []
        if found is None:
            parts.append(Part(name, state, samples, 0, 0, None, None, None))
            continue
        recipe = recipes[name] = found.spec.recipe
        known = (found.spec.format, description.source(recipe), recipe.seed)
        parts.append(Part(name, state, samples, found.done, found.bytes, *known))
    shared = splits.shared(whole.by, recipes)
    return SplitsReport(
        path=str(path),
        seed=whole.seed,
        by=whole.by,
        samples=sum(whole.sizes.values()),
        complete=all(part.state == "complete" for part in parts),
        apart=not shared,
        splits=parts,
        problems=problems + shared,
    )


def examples(found: Collection, count: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield up to `count` images with a caption each, to be drawn: uint8 (height, width), dark ink on white paper."""
    if found.kind == "mnist":
        glyphs = bank.load(Source("train"))
        first = _side_by_side(glyphs.images(np.hstack([glyphs.glyphs_of(digit)[:1] for digit in range(10)])))
        yield from islice([("the first glyph of each digit in the train file", first)], count)
        return
    for strip in found.strips(range(min(count, len(found)))):
        yield {"strip": strip.name, "idx": f"image {strip.number}"}.get(found.kind, strip.caption), strip.image


def origins(strip: Strip, source: str) -> NDArray[np.uint8] | None:
    """Return the MNIST digits that a strip is made of side by side, uint8 (height, width), as they are in the file.

    There are five in a row. Without an answer (None) where they are not known, or not of the bundled MNIST.
    """
    if not strip.glyphs or source not in BUNDLED_SOURCES or not all(0 <= glyph < 70_000 for glyph in strip.glyphs):
        return None
    return _side_by_side(bank.load(Source("all")).images(np.array(strip.glyphs)))


def _side_by_side(glyphs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return glyphs, white on black, as one picture, dark on white: five in a row, 2 px apart, that they stay large."""
    count, height, width = glyphs.shape
    columns = min(count, 5)
    cells = np.zeros((-(-count // columns) * columns, height + 2, width + 2), dtype=np.uint8)
    cells[:count, :height, :width] = glyphs
    rows = cells.reshape(-1, columns, height + 2, width + 2).swapaxes(1, 2)
    return 255 - rows.reshape(-1, columns * (width + 2))[:-2, :-2]


def _inspect_mnist() -> MnistReport:
    directory = bank.bundled_directory()
    found = []
    for file in BUNDLED_FILES:
        actual = local.sum_of(directory / file.name)
        found.append(
            {
                "name": file.name,
                "bytes": actual.bytes,
                "sha256": actual.sha256,
                "verified": actual.sha256 == file.sha256,
            }
        )
    train, test = (bank.load(Source(name)).counts.tolist() for name in ("train", "test"))
    return MnistReport(str(directory), found, train, test)


def _inspect_dataset(found: Dataset) -> DatasetReport:
    spec, problems = found.spec, list(found.problems)
    counted = None
    if not problems:
        counted = count(found)
        if counted.samples != spec.samples:
            problems.append(f"{counted.samples} labels for {spec.samples} samples")
    return DatasetReport(
        path=str(found.path),
        complete=not problems,
        samples=spec.samples,
        samples_done=found.done,
        bytes=found.bytes,
        format=spec.format,
        masks=spec.masks,
        height=spec.recipe.height,
        width=spec.recipe.width,
        recipe=spec.recipe.to_json(),
        counted=counted,
        facts=description.facts(spec.recipe),
        command=description.command(spec, str(found.path)),
        problems=problems,
    )


def _inspect_samples(path: Path, found: Collection) -> SamplesReport:
    counted = count(found)
    if counted.ink and counted.ink["unreadable"]:
        for _ in found.strips(found.spread(SAMPLED)):  # which says what is wrong
            pass
    return SamplesReport(kind=found.kind, path=str(path), counted=counted)  # type: ignore[arg-type]


def _inspect_strip(found: Single) -> StripReport:
    strip, inverted, unread = found.look
    height, width = strip.image.shape
    read = strip.text is not None
    exact = read and not strip.confidences
    sure = [1.0] * len(strip.glyphs) if exact else list(strip.confidences)
    return StripReport(
        path=str(found.path),
        height=height,
        width=width,
        ink=round(ink_of(strip.image), 4),
        sequence=strip.label if read else None,
        glyphs=list(strip.glyphs) if read else None,
        x=list(strip.x) if read else None,
        gaps=list(strip.gaps) if exact else None,
        boxes=list(map(list, strip.boxes)) if read else None,
        exact=exact if read else None,
        confidence=round(math.prod(sure), 4) if read else None,
        confidences=sure if read else None,
        note=unread or ("white ink on black paper" if inverted else ""),
        dataset=str(found.sample[0]) if found.sample else None,
        sample=found.sample[1] if found.sample else None,
    )


def _inspect_idx(path: Path, array: NDArray[Any]) -> IdxReport:
    counts = None
    if array.ndim == 1 and array.dtype == np.uint8 and array.max() <= 9:
        counts = np.bincount(array, minlength=10).tolist()
    kind = array.dtype.newbyteorder("=").name
    smallest, largest = (bound if math.isfinite(bound) else None for bound in (array.min().item(), array.max().item()))
    return IdxReport(str(path), kind, list(array.shape), smallest, largest, counts)
