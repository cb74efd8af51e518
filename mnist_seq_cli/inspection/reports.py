"""Owns the reports on a path: values that know their facts, charts, problems and JSON, so that views know no kinds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnist_seq_cli.dataset.hub.card import command
from mnist_seq_cli.inspection.counts import Counts
from mnist_seq_cli.inspection.figures import Chart, chance, size_text
from mnist_seq_cli.recipe import description
from mnist_seq_cli.recipe.spec import Spec

Kind = Literal["mnist", "dataset", "shard", "folder", "npz", "strip", "idx"]

KINDS: dict[Kind, str] = {
    "mnist": "MNIST: handwritten digits",
    "dataset": "dataset",
    "shard": "one shard of a dataset",
    "folder": "a folder of images",
    "npz": "an npz file",
    "strip": "strip",
    "idx": "IDX file",
}
"""The kinds of things that there are reports on, in words."""

Facts = list[tuple[str, str]]
"""Pairs of a name and a few words."""


class Report:
    """What all reports have in common: the kind and the path, what is counted where there are samples, the problems."""

    __slots__ = ()

    kind: Kind
    path: str
    counted: Counts | None = None
    problems: Sequence[str]

    @property
    def title(self) -> str:
        """What the report is on."""
        return self.path

    def facts(self) -> Facts:
        """Return the facts in words."""
        raise NotImplementedError

    def charts(self, bars: int) -> list[Chart]:
        """Return the counts as charts of at most about `bars` rows."""
        return self.counted.charts(bars) if self.counted else []

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class MnistReport(Report):
    """The bundled MNIST: its files, each with whether its SHA-256 is the published one, and its digits by file."""

    kind: Literal["mnist"] = "mnist"
    directory: str
    files: list[dict[str, Any]]
    train: list[int]
    test: list[int]
    problems: list[str]

    @property
    def title(self) -> str:
        return "MNIST"

    def facts(self) -> Facts:
        total = f"{sum(self.train):,} digits to train with, {sum(self.test):,} to test with"
        sound = "NOT as published" if self.problems else "all of them as published"
        return [("digits", total), ("files", f"{len(self.files)}, {sound}")]

    def charts(self, bars: int) -> list[Chart]:
        files = (("digits in the train file", self.train), ("digits in the test file", self.test))
        return [_digits(title, counts) for title, counts in files]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport(Report):
    """A dataset: what was asked for, and what is there; what is counted of it is None where it is incomplete."""

    kind: Literal["dataset"] = "dataset"
    path: str
    spec: Spec
    samples_done: int
    bytes: int
    counted: Counts | None
    problems: list[str]

    @property
    def command(self) -> str:
        """The command that makes the samples again."""
        return command(self.spec, self.path)

    @property
    def repair(self) -> str:
        """The command that repairs the dataset where it is."""
        return command(self.spec, self.path, self.path)

    def facts(self) -> Facts:
        spec = self.spec
        done = f"{self.samples_done:,}" + (f" of {spec.samples:,}: INCOMPLETE" if self.problems else "")
        facts = [("samples", done), ("format", f"{spec.format}, {size_text(self.bytes)}")]
        facts += description.facts(spec.recipe)
        facts += [("masks", "one for each strip")] if spec.masks else []
        facts += [("annotations", ", ".join(spec.annotations))] if spec.annotations else []
        return [*facts, *(self.counted.facts(": see --verify") if self.counted else [])]

    def to_json(self) -> dict[str, Any]:
        spec, counted = self.spec, ("lengths", "digits", "positions", "gaps", "glyphs", "ink", "ctc_steps")
        return {
            "kind": self.kind,
            "path": self.path,
            "complete": not self.problems,
            "samples": spec.samples,
            "samples_done": self.samples_done,
            "bytes": self.bytes,
            "format": spec.format,
            "masks": spec.masks,
            "height": spec.recipe.height,
            "width": spec.recipe.width,
            "recipe": spec.recipe.to_json(),
            **{name: getattr(self.counted, name, None) for name in counted},
            "command": self.command,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesReport(Report):
    """Samples without a recipe, and what is counted of them: a shard by itself, a folder of images, an npz file."""

    kind: Kind
    path: str
    counted: Counts
    problems: tuple[str, ...] = ()

    def facts(self) -> Facts:
        counts = self.counted
        sizes = [f"{width}×{height} px" for height, width in counts.sizes]
        strips = ", ".join(sizes[:5]) + (", …" if len(sizes) > 5 else "")
        facts = [("samples", f"{counts.samples:,}"), ("strips", strips)]
        if counts.labelled < counts.samples:
            facts.append(("labels", f"{counts.labelled:,}" if counts.labelled else "none"))
        return [*facts, *counts.facts()]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": self.path, **self.counted._asdict(), "problems": list(self.problems)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StripReport(Report):
    """A PNG image: its size, the part of it that is ink, and its reading where it has one.

    `exact` is whether it is made of these `glyphs`; of one that was read approximately they are the nearest ones, and
    `confidence` is the chance that all digits are right. Where it is one of a dataset it is `sample` of `dataset`.
    `note` says why it is unread, or what else there is to know.
    """

    kind: Literal["strip"] = "strip"
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

    def facts(self) -> Facts:
        facts = [("size", f"{self.width}×{self.height} px"), ("ink", f"{self.ink:.1%}")]
        if self.dataset is not None:
            command = f"mnistseq inspect {shlex.quote(self.dataset)} --index {self.sample}"
            facts.append(("sample", f"{self.sample}: {command} shows all of it"))
        if self.sequence is None:
            return [*facts, ("sequence", "unread"), ("why", self.note)]
        how = "exactly: it is made of glyphs of MNIST, pixel for pixel"
        if not self.exact:
            how = f"approximately, {chance(self.confidence or 0)} sure: it is not made of glyphs of MNIST as they are"
        facts += [("sequence", self.sequence), ("read", how)]
        return [*facts, *([("note", self.note)] if self.note else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxReport(Report):
    """An IDX file: type, shape and range of its values; `counts` by value where they are digits."""

    kind: Literal["idx"] = "idx"
    path: str
    type: str
    shape: list[int]
    smallest: int | float | None
    largest: int | float | None
    counts: list[int] | None
    problems: tuple[str, ...] = ()

    def facts(self) -> Facts:
        shape = "×".join(map(str, self.shape))
        finite = self.smallest is not None and self.largest is not None
        ends = f"{self.smallest} to {self.largest}" if finite else "some values are not finite"
        facts = [("values", f"{shape} of {self.type}"), ("range", ends)]
        if len(self.shape) == 3 and self.type == "uint8":
            count, height, width = self.shape
            return [("images", f"{count:,} of {width}×{height} px"), *facts]
        return [("labels", f"{self.shape[0]:,}"), *facts] if self.counts else facts

    def charts(self, bars: int) -> list[Chart]:
        return [_digits("labels", self.counts)] if self.counts else []


def _digits(title: str, counts: list[int]) -> Chart:
    return Chart(title, "digit", [(str(digit), count) for digit, count in enumerate(counts)])
