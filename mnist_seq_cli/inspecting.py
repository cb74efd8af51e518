"""Owns what can be said of a path: what kind of thing it is, and its numbers, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli import bank, decoding, files, formats, idx, manifest, png
from mnist_seq_cli.bank import BUNDLED_FILES, Source
from mnist_seq_cli.errors import CheckError, FormatError
from mnist_seq_cli.formats.truths import texts_of
from mnist_seq_cli.manifest import MANIFEST_NAME, RECIPE_NAME, SPLITS_NAME, Spec
from mnist_seq_cli.reading import Reader
from mnist_seq_cli.recipe import format_sequence

MAX_FILE = 256 << 20


@dataclass(frozen=True, slots=True)
class MnistReport:
    """The bundled MNIST: its files, each with whether its SHA-256 is the published one, and its digits by file."""

    kind: ClassVar[Literal["mnist"]] = "mnist"
    directory: str
    files: list[dict[str, Any]]
    train: list[int]
    test: list[int]

    @property
    def problems(self) -> list[str]:
        """What does not hold."""
        return [f"{file['name']} is not as published" for file in self.files if not file["verified"]]


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """A dataset: what was asked for and what is there.

    `lengths` counts samples by number of digits, `digits` counts digits, `positions` counts them by position; all three
    are None where the dataset is incomplete.
    """

    kind: ClassVar[Literal["dataset"]] = "dataset"
    path: str
    complete: bool
    samples: int
    samples_done: int
    bytes: int
    format: str
    height: int
    width: int
    recipe: dict[str, Any]
    lengths: dict[str, int] | None
    digits: list[int] | None
    positions: list[list[int]] | None
    problems: list[str]


@dataclass(frozen=True, slots=True)
class StripReport:
    """A PNG image: its size, the part of it that is ink, and its reading where it has one."""

    kind: ClassVar[Literal["strip"]] = "strip"
    path: str
    height: int
    width: int
    ink: float
    sequence: str | None
    glyphs: list[int] | None
    x: list[int] | None
    gaps: list[int] | None
    note: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IdxReport:
    """An IDX file: type, shape and range of its values; `counts` by value where they are digits."""

    kind: ClassVar[Literal["idx"]] = "idx"
    path: str
    type: str
    shape: list[int]
    smallest: int | float | None
    largest: int | float | None
    counts: list[int] | None
    problems: tuple[str, ...] = ()


Report = MnistReport | DatasetReport | StripReport | IdxReport


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as JSON values."""
    return {"kind": report.kind, **asdict(report), "problems": list(report.problems)}


def inspect(path: Path | None) -> Report:
    """Return what can be said of a dataset directory, a PNG strip, an IDX file, or, with no path, the bundled MNIST.

    Raises FormatError for anything else, RequestError where there is nothing, OSError.
    """
    if path is None:
        return _inspect_mnist()
    if decoding.is_directory(path):
        return _inspect_dataset(path)
    content = start_of(path)
    if content.startswith(png.SIGNATURE):
        return _inspect_strip(path)
    if idx.looks_like_idx(content):
        return _inspect_idx(path)
    raise FormatError(f"{path} is neither a dataset, nor a PNG file, nor an IDX file")


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file, enough to know its format. Raises RequestError where there is no file."""
    decoding.require_file(path)
    with path.open("rb") as file:
        return file.read(16)


def read_png(path: Path) -> NDArray[np.uint8]:
    """Return the grey image in a PNG file: uint8 (height, width). Raises FormatError, OSError."""
    if path.stat().st_size > MAX_FILE:
        raise FormatError(f"{path} is too large for a strip")
    return png.decode(path.read_bytes(), name=str(path))


def examples(path: Path | None, count: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield up to `count` images with a caption each, to be drawn: uint8 (height, width), dark ink on white paper."""
    if path is None:
        glyphs = bank.load(Source("train"))
        row = np.hstack([255 - glyphs.images(glyphs.glyphs_of(digit)[:1])[0] for digit in range(10)])
        yield from islice([("the first glyph of each digit in the train file", row)], count)
    elif path.is_dir():
        yield from islice(_dataset_examples(path), count)
    elif start_of(path).startswith(png.SIGNATURE):
        yield from islice([(path.name, read_png(path))], count)
    else:
        array = idx.read(path)
        if array.ndim == 3 and array.dtype == np.uint8:
            yield from ((f"image {place}", 255 - array[place]) for place in range(min(count, len(array))))


def _inspect_mnist() -> MnistReport:
    directory = bank.bundled_directory()
    found = []
    for file in BUNDLED_FILES:
        actual = files.sum_of(directory / file.name)
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


def _inspect_dataset(path: Path) -> DatasetReport:
    spec = manifest.read_spec(path)
    if spec is None:
        hint = f"it holds splits; look at them one by one, {path}/…" if (path / SPLITS_NAME).is_file() else ""
        raise FormatError(f"{path} is not a dataset of ours: it has no {RECIPE_NAME}", hint=hint)
    complete = manifest.read_manifest(path)
    records = complete.records if complete else manifest.read_records(path, spec.recipe.fingerprint)
    done = sum(record.samples for record in records.values())
    problems = []
    if complete is None:
        problems.append(f"incomplete, {done} of {spec.samples} samples are done: the dataset command does the rest")
    elif (complete.recipe, complete.samples, done) != (spec.recipe.fingerprint, spec.samples, spec.samples):
        problems.append(f"{MANIFEST_NAME} and {RECIPE_NAME} are not about the same samples")
    counts = None
    if not problems:
        counts = _count_digits(path, spec)
        if counts[1].sum() != spec.samples:
            problems.append(f"{counts[1].sum()} labels for {spec.samples} samples")
    return DatasetReport(
        path=str(path),
        complete=not problems,
        samples=spec.samples,
        samples_done=done,
        bytes=sum(record.bytes for record in records.values()),
        format=spec.format,
        height=spec.recipe.height,
        width=spec.recipe.width,
        recipe=spec.recipe.to_json(),
        lengths={str(length): int(n) for length, n in enumerate(counts[1]) if n} if counts else None,
        digits=counts[0].sum(axis=0).tolist() if counts else None,
        positions=counts[0].tolist() if counts else None,
        problems=problems,
    )


def _count_digits(path: Path, spec: Spec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each digit stands at each position, int64 (length, 10), and the number of samples by length."""
    length = spec.recipe.length
    positions, lengths = np.zeros((length, 10), dtype=np.int64), np.zeros(length + 1, dtype=np.int64)
    texts = formats.get(spec.format).read_texts(path, spec)
    while chunk := list(islice(texts, 10_000)):
        for size in {len(text) for text in chunk}:
            same = [text for text in chunk if len(text) == size]
            joined = "".join(same)
            if size > length or not joined.isascii() or not joined.isdigit():
                raise FormatError(f"{path} has a label that is not a sequence of 1 to {length} digits")
            values = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(same), size) - ord("0")
            lengths[size] += len(same)
            for position in range(size):
                positions[position] += np.bincount(values[:, position], minlength=10)
    return positions, lengths


def _dataset_examples(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    spec = manifest.read_spec(path)
    assert spec is not None
    if manifest.read_manifest(path) is None:
        return
    format_ = formats.get(spec.format)
    for batch in (batch for shard in spec.plan for batch in format_.read(path, spec, shard)):
        for number, (text, image) in enumerate(zip(texts_of(batch), batch.images, strict=True), batch.first):
            yield f"{number}: {format_sequence(map(int, text))}", 255 - image if spec.recipe.invert else image


def _inspect_strip(path: Path) -> StripReport:
    image = read_png(path)
    sequence, glyphs, x, gaps, note = None, None, None, None, ""
    try:
        reading = Reader(bank.load(Source("all"))).read(image)
    except CheckError as error:
        note = str(error)
    else:
        sequence, glyphs, x = format_sequence(reading.digits), list(reading.glyphs), list(reading.x)
        gaps, note = list(reading.gaps), "white ink on black paper" if reading.inverted else ""
    paper_is_white = np.count_nonzero(image > 127) * 2 >= image.size
    ink = float((255 - image if paper_is_white else image).mean() / 255)
    height, width = image.shape
    return StripReport(str(path), height, width, round(ink, 4), sequence, glyphs, x, gaps, note)


def _inspect_idx(path: Path) -> IdxReport:
    array = idx.read(path)
    counts = None
    if array.ndim == 1 and array.dtype == np.uint8 and array.max() <= 9:
        counts = np.bincount(array, minlength=10).tolist()
    kind = array.dtype.newbyteorder("=").name
    smallest, largest = (bound if math.isfinite(bound) else None for bound in (array.min().item(), array.max().item()))
    return IdxReport(str(path), kind, list(array.shape), smallest, largest, counts)
