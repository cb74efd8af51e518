"""Owns what can be said of a path: what kind of thing it is, and its numbers, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnist_seq_cli.dataset import manifest, splits
from mnist_seq_cli.dataset.manifest import SPLITS_NAME
from mnist_seq_cli.dataset.splits import Splits
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.inspection import description
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import BUNDLED_FILES, Source
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.samples import collection
from mnist_seq_cli.samples.collection import NO_GAP, Arrays, Collection, Dataset, Single, Strip
from mnist_seq_cli.storage import local

SAMPLED = 2_000
"""Samples whose pixels are looked at; and glyphs, where these have to be read from disk sample by sample."""

MAX_GLYPH = 4_000_000
_SAMPLED_PIXELS = 32 << 20
_MOST = 10


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


class Counted(NamedTuple):
    """The numbers of a collection.

    `lengths` counts samples by number of digits, `digits` counts digits, `positions` counts them by position. `gaps`
    counts the gaps that were drawn by their width in px, and is None where none is known. `glyphs` tells how many
    `different` ones `samples` samples use, how many are used so many times (`times`), and which are used `most` (id,
    times). `ink` tells the part of a strip that is ink over `samples` samples, of which some may be `unreadable`, and
    counts them by whole `percent`; `sizes` are the different (height, width) of these, in px.
    """

    samples: int
    labelled: int
    lengths: dict[str, int]
    digits: list[int]
    positions: list[list[int]]
    gaps: dict[str, int] | None
    glyphs: dict[str, Any] | None
    ink: dict[str, Any] | None
    sizes: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """A dataset: what was asked for and what is there. The numbers (`Counted`) are None where it is incomplete."""

    kind: ClassVar[Literal["dataset"]] = "dataset"
    path: str
    complete: bool
    samples: int
    samples_done: int
    bytes: int
    format: str
    masks: bool
    height: int
    width: int
    recipe: dict[str, Any]
    lengths: dict[str, int] | None
    digits: list[int] | None
    positions: list[list[int]] | None
    gaps: dict[str, int] | None
    glyphs: dict[str, Any] | None
    ink: dict[str, Any] | None
    facts: list[tuple[str, str]]
    command: str
    problems: list[str]


@dataclass(frozen=True, slots=True)
class SamplesReport:
    """Samples without a recipe: a shard by itself, a folder of PNG files, an npz file. The numbers are `Counted`."""

    kind: Literal["shard", "folder", "npz"]
    path: str
    samples: int
    labelled: int
    sizes: list[tuple[int, int]]
    lengths: dict[str, int]
    digits: list[int]
    positions: list[list[int]]
    gaps: dict[str, int] | None
    glyphs: dict[str, Any] | None
    ink: dict[str, Any] | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StripReport:
    """A PNG image: its size, the part of it that is ink, and its reading where it has one.

    `exact` tells whether it is made of these `glyphs`; of one that was read by likeness they are the nearest ones, and
    `confidence` is the chance that all digits are right. Where it stands in a dataset it is `sample` of `dataset`.
    `note` says why it is unread, or what else there is to say.
    """

    kind: ClassVar[Literal["strip"]] = "strip"
    path: str
    height: int
    width: int
    ink: float
    sequence: str | None
    glyphs: list[int] | None
    x: list[int] | None
    gaps: list[int] | None
    boxes: list[list[int]] | None
    exact: bool | None
    confidence: float | None
    confidences: list[float] | None
    dataset: str | None
    sample: int | None
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


Report = MnistReport | DatasetReport | SamplesReport | StripReport | IdxReport


@dataclass(frozen=True, slots=True)
class Part:
    """One split: what it is to have, and what is there; `samples_done` is 0 without a recipe that can be read.

    Its `state` is "other" where what is there is not what was asked for.
    """

    name: str
    state: Literal["complete", "incomplete", "missing", "damaged", "other"]
    samples: int
    samples_done: int
    bytes: int
    format: str | None
    source: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class SplitsReport:
    """A directory of splits: what was asked for, and its parts.

    `apart` tells whether their recipes, of those that are there, keep apart what `by` says.
    """

    kind: ClassVar[Literal["splits"]] = "splits"
    path: str
    seed: int
    by: splits.By
    samples: int
    complete: bool
    apart: bool
    splits: list[Part]
    problems: list[str]


def to_json(report: Report | SplitsReport) -> dict[str, Any]:
    """Return a report as JSON values."""
    values = {"kind": report.kind, **asdict(report), "problems": list(report.problems)}
    values.pop("facts", None)
    return values


def inspect(path: Path | None, found: Collection | None = None) -> Report:
    """Return what can be said of what is at a path, or, with no path, of the bundled MNIST.

    `found` is `collection.of(path)`, where that is at hand. Raises FormatError for what is nothing of ours,
    RequestError where there is nothing, OSError.
    """
    if path is None:
        return _inspect_mnist()
    found = found if found is not None else collection.of(path)
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


def count(found: Collection) -> Counted:
    """Return the numbers of a collection, in memory that does not grow with it. Raises FormatError, OSError."""
    labels, glyphs, gaps = _Labels(), _GlyphUse(), _Gaps()
    for rows in found.rows():
        told = [text for text in rows.texts if text is not None]
        labels.add(told)
        labels.unlabelled += len(rows.texts) - len(told)
        glyphs.add(rows.glyphs)
        gaps.add(rows.gaps)
    ink = _Ink()
    strips = list(islice(found.picked(1), 1))
    pixels = strips[0].image.size if strips and strips[0] else 1 << 17
    knows_glyphs, knows_gaps = glyphs.samples > 0, bool(gaps.counts)
    for strip in found.picked(max(10, min(SAMPLED, _SAMPLED_PIXELS // pixels))):
        ink.add(strip)
        if strip and not knows_glyphs and strip.glyphs:
            glyphs.add(np.array([strip.glyphs], dtype=np.int32))
        if strip and not knows_gaps:
            gaps.add(np.array(strip.gaps, dtype=np.int32))
    return Counted(
        labels.samples + labels.unlabelled,
        labels.samples,
        {str(length): int(n) for length, n in enumerate(labels.lengths) if n},
        labels.positions.sum(axis=0).tolist(),
        labels.positions.tolist(),
        {str(gap): n for gap, n in sorted(gaps.counts.items())} or None,
        glyphs.to_json() if glyphs.samples else None,
        ink.to_json() if ink.values or ink.unreadable else None,
        sorted(ink.sizes),
    )


class _Labels:
    """Counts digits by position, and sequences by length."""

    def __init__(self) -> None:
        self.samples = self.unlabelled = 0
        self.positions = np.zeros((0, 10), dtype=np.int64)
        self.lengths = np.zeros(1, dtype=np.int64)

    def add(self, texts: list[str]) -> None:
        """Take some sequences, which are digits and nothing else."""
        self.samples += len(texts)
        for size in {len(text) for text in texts}:
            same = [text for text in texts if len(text) == size]
            values = np.frombuffer("".join(same).encode(), dtype=np.uint8).reshape(len(same), size) - ord("0")
            if size > len(self.positions):
                self.positions = np.vstack([self.positions, np.zeros((size - len(self.positions), 10), np.int64)])
                self.lengths = np.append(self.lengths, np.zeros(size + 1 - len(self.lengths), np.int64))
            self.lengths[size] += len(same)
            for position in range(size):
                self.positions[position] += np.bincount(values[:, position], minlength=10)


class _Gaps:
    """Counts gaps by their width."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def add(self, gaps: NDArray[np.int32]) -> None:
        """Take the gaps of some samples; those that are not known do not count."""
        for gap, times in zip(*np.unique(gaps[gaps != NO_GAP], return_counts=True), strict=True):
            self.counts[int(gap)] = self.counts.get(int(gap), 0) + int(times)


class _GlyphUse:
    """Counts how often each glyph is used."""

    def __init__(self) -> None:
        self.samples = 0
        self._uses = np.zeros(70_000, dtype=np.int64)

    def add(self, glyphs: NDArray[np.int32]) -> None:
        """Take some samples, int32 (n, length); those whose glyphs are not known do not count."""
        glyphs = glyphs[glyphs[:, 0] >= 0]
        self.samples += len(glyphs)
        used = glyphs[glyphs >= 0]
        if not len(used):
            return
        if used.max() >= MAX_GLYPH:
            raise FormatError(f"there is a glyph id {used.max()}, which cannot be")
        uses = np.bincount(used, minlength=len(self._uses))
        uses[: len(self._uses)] += self._uses
        self._uses = uses

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        used = self._uses[self._uses > 0]
        most = np.argsort(-self._uses, kind="stable")[: min(_MOST, len(used))]
        return {
            "samples": self.samples,
            "different": len(used),
            "times": {str(times): int(n) for times, n in zip(*np.unique(used, return_counts=True), strict=True)},
            "most": [[int(glyph), int(self._uses[glyph])] for glyph in most],
        }


class _Ink:
    """Sums up the part of strips that is ink."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.unreadable = 0
        self.sizes: set[tuple[int, int]] = set()

    def add(self, strip: Strip | None) -> None:
        """Take a strip, or none where it could not be read."""
        if strip is None:
            self.unreadable += 1
        else:
            self.values.append(ink_of(strip.image))
            height, width = strip.image.shape
            self.sizes.add((height, width))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        values = self.values or [0.0]
        percent: list[int] = np.bincount([int(100 * value) for value in self.values], minlength=1).tolist()
        return {
            "samples": len(self.values),
            "unreadable": self.unreadable,
            "mean": round(sum(values) / len(values), 4),
            "smallest": round(min(values), 4),
            "largest": round(max(values), 4),
            "percent": {str(value): n for value, n in enumerate(percent) if n},
        }


def ink_of(image: NDArray[np.uint8]) -> float:
    """Return the part of an image, dark on white, that is ink: 0 to 1, grey counted by its darkness."""
    return float((255 - image).mean() / 255)


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
        lengths=counted.lengths if counted else None,
        digits=counted.digits if counted else None,
        positions=counted.positions if counted else None,
        gaps=counted.gaps if counted else None,
        glyphs=counted.glyphs if counted else None,
        ink=counted.ink if counted else None,
        facts=description.facts(spec.recipe),
        command=description.command(spec, str(found.path)),
        problems=problems,
    )


def _inspect_samples(path: Path, found: Collection) -> SamplesReport:
    counted = count(found)
    if counted.ink and counted.ink["unreadable"]:
        for _ in found.strips(found.spread(SAMPLED)):  # which says what is wrong
            pass
    return SamplesReport(kind=found.kind, path=str(path), **counted._asdict())  # type: ignore[arg-type]


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
