"""Owns checks: verification, and making shards again, of a dataset or of each split of a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_seq_cli.dataset.hub.card import command
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, SPLITS_NAME, changed_text, read_spec
from mnist_seq_cli.dataset.regenerate import regenerate
from mnist_seq_cli.dataset.verify import foreign, foreign_splits, verify
from mnist_seq_cli.errors import CheckError, FormatError, RequestError
from mnist_seq_cli.inspection.reports import DatasetReport, Report
from mnist_seq_cli.inspection.splits_report import SplitsReport
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.storage.location import PathOrStore, located, open_store

_OURS = (RECIPE_NAME, MANIFEST_NAME, SPLITS_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The checks that are asked for: every byte (`verify`), and so many random shards made again (`regenerate`).

    `source` and `background` are the files of a dataset that is not made of the bundled digits, or on a picture.
    `watch` is given what verification goes through.
    """

    verify: bool = False
    regenerate: int = 0
    source: Source | None = None
    background: Path | None = None
    watch: Callable[..., Any] = iter


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of checks: `damage` by verification, `differences` by making shards again, and what holds if none.

    `foreign` is what readers would take for samples and are none, and `repairs` are lines on how damage is repaired.
    """

    damage: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


@contextmanager
def damage_found(path: PathOrStore | None, *, verify: bool) -> Iterator[None]:
    """Raise CheckError where verification was asked for, and files of a dataset or of splits cannot even be read."""
    try:
        yield
    except FormatError as error:
        if not verify or path is None or not any(open_store(path).size(name) is not None for name in _OURS):
            raise
        hint = "the dataset command that made it, with its `seed`, writes it again"
        raise CheckError(str(error), hint=hint) from None


def check(report: Report, asked: Checks) -> Checked:
    """Return the outcome of checks of a dataset; the files of MNIST itself are verified by the report on them.

    Raises RequestError for anything that is not a dataset, FormatError, OSError.
    """
    checked = Checked()
    if report.kind == "mnist" and not asked.regenerate:
        checked.passed.extend(["every file is as the manifest says"] * asked.verify)
    elif isinstance(report, DatasetReport):
        path = located(report.path, "read")
        if asked.verify:
            checked.damage.extend(verify(path, watch=asked.watch))
            checked.repairs.extend([f"repair it: {report.repair}"] * bool(checked.damage))
            checked.foreign.extend(foreign(path))
            checked.passed.append("every file is as the manifest says")
        if asked.regenerate:
            shards, differences = regenerate(path, asked.source, paper=asked.background, shards=asked.regenerate)
            checked.differences.extend(differences)
            checked.passed.append(f"the recipe makes the same samples again ({shards} shards)")
    elif asked.verify or asked.regenerate:
        what = "verified" if asked.verify and report.kind != "mnist" else "made again"
        raise RequestError(f"only datasets can be {what}, and {report.title} is of the kind {report.kind}")
    return checked


def check_splits(report: SplitsReport, asked: Checks) -> Checked:
    """Return the outcome of checks of the splits that are complete, each line with the name of its split."""
    checked, path = Checked(), located(report.path, "read")
    if asked.verify:
        _verify_splits(report, asked, checked)
    for name in report.complete_names if asked.regenerate else ():
        differences = regenerate(path / name, asked.source, paper=asked.background, shards=asked.regenerate)[1]
        checked.differences.extend(f"{name}: {line}" for line in differences)
    checked.passed.extend(["every file of every split is as its manifest says"] * asked.verify)
    checked.passed.extend(["the recipes make the same samples again"] * bool(asked.regenerate))
    return checked


def _verify_splits(report: SplitsReport, asked: Checks, checked: Checked) -> None:
    """Add what verification finds of splits, and how each that is damaged or incomplete is repaired."""
    path, as_a_whole = located(report.path, "read"), []
    if problem := changed_text(path, SPLITS_NAME):
        checked.damage.append(problem)
        as_a_whole.append(SPLITS_NAME)
    for split in report.splits:
        part, damage = path / split.name, []
        if split.state == "complete":
            damage = list(verify(part, watch=asked.watch))
            checked.damage.extend(f"{split.name}: {line}" for line in damage)
            checked.foreign.extend(f"{split.name}: {line}" for line in foreign(part))
        if damage or split.state in ("incomplete", "damaged"):
            spec = None
            with suppress(FormatError):
                spec = read_spec(part)
            if spec is None:
                as_a_whole.append(split.name)
            else:
                checked.repairs.append(f"repair it: {command(spec, str(part), str(part))}")
        elif split.state == "missing":
            as_a_whole.append(split.name)
    names = [split.name for split in report.splits]
    checked.foreign.extend(foreign_splits(path, names, {split.format for split in report.splits if split.format}))
    if as_a_whole:
        again = f"the dataset command that made the splits, with --seed {report.seed}"
        checked.repairs.append(f"{again}, makes {' and '.join(as_a_whole)} again")
