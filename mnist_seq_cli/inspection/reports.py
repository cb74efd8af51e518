"""Owns the reports on a path as plain values, and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from mnist_seq_cli.dataset import splits
from mnist_seq_cli.inspection.counts import Counted


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
    """A dataset: what was asked for and what is there. What is `counted` of it is None where it is incomplete."""

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
    counted: Counted | None
    facts: list[tuple[str, str]]
    command: str
    problems: list[str]


@dataclass(frozen=True, slots=True)
class SamplesReport:
    """Samples without a recipe, and what is `counted` of them: a shard by itself, a folder of PNG files, an npz."""

    kind: Literal["shard", "folder", "npz"]
    path: str
    counted: Counted
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StripReport:
    """A PNG image: its size, the part of it that is ink, and its reading where it has one.

    `exact` is whether it is made of these `glyphs`; of one that was read approximately they are the nearest ones, and
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
    """Return a report as JSON values; what is counted is among its own."""
    values: dict[str, Any] = {"kind": report.kind}
    for name, value in asdict(report).items():
        if name == "counted":
            names = _OF_A_DATASET if isinstance(report, DatasetReport) else Counted._fields
            values |= {key: getattr(report.counted, key, None) for key in names}  # type: ignore[union-attr]
        elif name != "facts":
            values[name] = value
    return values | {"problems": list(report.problems)}


_OF_A_DATASET = ("lengths", "digits", "positions", "gaps", "glyphs", "ink")
"""What is counted of a dataset, beside the numbers that it is known by."""
