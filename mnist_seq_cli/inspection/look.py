"""Owns looking at samples: the report on what they are, and pictures of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.errors import FormatError, one_line
from mnist_seq_cli.inspection.counts import SAMPLED, count, ink_of
from mnist_seq_cli.inspection.reports import (
    DatasetReport,
    IdxReport,
    Kind,
    MnistReport,
    Report,
    SamplesReport,
    StripReport,
)
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import BUNDLED_FILES, Source
from mnist_seq_cli.reading.read_samples import ReadImage
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples.samples import Samples
from mnist_seq_cli.samples.sources.arrays import IdxFile
from mnist_seq_cli.samples.sources.folder import Folder
from mnist_seq_cli.samples.stored import StoredDataset
from mnist_seq_cli.samples.strip import Strip
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.location import PathOrStore


def look(path: PathOrStore | None, samples: Samples) -> Report:
    """Return the report on the samples at a path, or, with no path, on the bundled MNIST.

    Raises FormatError for samples that are not what they should be, OSError.
    """
    if path is None:
        return _look_at_mnist()
    if isinstance(samples, StoredDataset):
        return _look_at_dataset(samples)
    if isinstance(samples, ReadImage):
        return _look_at_strip(samples)
    if isinstance(samples, IdxFile):
        return _look_at_idx(path, samples.array)
    return _look_at_samples(path, samples)


def examples(samples: Samples, count: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield up to `count` images with a caption each, to be drawn: uint8 (height, width), dark ink on white."""
    if samples.kind == "mnist":
        glyphs = bank.load(Source("train"))
        first = _side_by_side(glyphs.images(np.hstack([glyphs.glyphs_of(digit)[:1] for digit in range(10)])))
        yield from islice([("the first glyph of each digit in the train file", first)], count)
        return
    numbers = range(min(count, len(samples)))
    for strip in samples.drawable(numbers):
        yield {"strip": strip.name, "idx": f"image {strip.number}"}.get(samples.kind, strip.caption), strip.image


def origins(strip: Strip, source: str) -> NDArray[np.uint8] | None:
    """Return the MNIST digits that a strip is made of side by side, uint8 (height, width), as they are in the file.

    There are five in a row. None where they are not known, or not of the bundled MNIST.
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


def _look_at_mnist() -> MnistReport:
    directory = bank.bundled_directory()
    files: list[dict[str, Any]] = []
    for file in BUNDLED_FILES:
        actual = local.sum_of(directory / file.name)
        verified = actual.sha256 == file.sha256
        files.append({"name": file.name, "bytes": actual.bytes, "sha256": actual.sha256, "verified": verified})
    train, test = (bank.load(Source(name)).counts.tolist() for name in ("train", "test"))
    problems = [f"{file['name']} is not as published" for file in files if not file["verified"]]
    return MnistReport(directory=str(directory), files=files, train=train, test=test, problems=problems)


def _look_at_dataset(samples: StoredDataset) -> DatasetReport:
    problems = list(samples.problems)
    counts = None
    if not problems:
        counts = count(samples)
        if counts.samples != samples.spec.samples:
            problems.append(f"{counts.samples} labels for {samples.spec.samples} samples")
    return DatasetReport(
        path=str(samples.path),
        spec=samples.spec,
        samples_done=samples.done,
        bytes=samples.bytes,
        counted=counts,
        problems=problems,
    )


def _look_at_samples(path: PathOrStore, samples: Samples) -> SamplesReport:
    counts, problems = count(samples), list[str]()
    if counts.ink and counts.ink["unreadable"]:
        try:
            for _ in samples.strips(samples.spread(SAMPLED)):  # which says what is wrong
                pass
        except (FormatError, OSError) as error:
            if not isinstance(samples, Folder):
                raise
            unreadable, looked_at = counts.ink["unreadable"], counts.ink["unreadable"] + counts.ink["samples"]
            some = f" that were looked at, of {counts.samples}," if looked_at < counts.samples else ""
            problems.append(f"{unreadable} of {looked_at} images{some} cannot be read: {one_line(str(error), 200)}")
    return SamplesReport(kind=cast(Kind, samples.kind), path=str(path), counted=counts, problems=tuple(problems))


def _look_at_strip(samples: ReadImage) -> StripReport:
    strip, inverted, unread, confidence = samples.look
    dataset = samples.dataset
    height, width = strip.image.shape
    read = strip.text is not None
    exact = read and not strip.confidences
    sure = [1.0] * len(strip.glyphs) if exact else list(strip.confidences)
    return StripReport(
        path=str(samples.path),
        height=height,
        width=width,
        ink=round(ink_of(strip.image), 4),
        sequence=strip.label if read else None,
        glyphs=list(strip.glyphs) if read else None,
        x=list(strip.x) if read else None,
        gaps=list(strip.gaps) if exact else None,
        boxes=list(map(list, strip.boxes)) if read else None,
        exact=exact if read else None,
        confidence=confidence if read else None,
        confidences=sure if read else None,
        note=unread or ("white ink on black" if inverted else ""),
        dataset=None if dataset is None else str(dataset[0]),
        sample=None if dataset is None else dataset[1],
    )


def _look_at_idx(path: PathOrStore, array: NDArray[Any]) -> IdxReport:
    counts = None
    if array.ndim == 1 and array.dtype == np.uint8 and array.max() <= 9:
        counts = np.bincount(array, minlength=10).tolist()
    smallest, largest = (bound if math.isfinite(bound) else None for bound in (array.min().item(), array.max().item()))
    return IdxReport(
        path=str(path),
        type=array.dtype.newbyteorder("=").name,
        shape=list(array.shape),
        smallest=smallest,
        largest=largest,
        counts=counts,
    )
