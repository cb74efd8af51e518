"""Owns what exists in a directory before a run: whether it may go on from there, and how it is cleared."""

from __future__ import annotations

from pathlib import Path

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME, STATE_NAME
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage import local


def check_path(directory: Path, spec: Spec) -> None:
    """Raise RequestError where a file or a link stands in the way, before anything is written."""
    if not directory.is_dir() and (directory.exists() or directory.is_symlink()):
        raise RequestError(f"{directory} is not a directory", hint="choose another place, or remove it")
    format_, state = formats.get(spec.format), directory / STATE_NAME
    folders = [state, *format_.folders(directory, spec)]
    for inside in [*folders, *(state.iterdir() if state.is_dir() and not state.is_symlink() else ())]:
        if inside.is_symlink():
            raise RequestError(
                f"{inside} is a link that leads elsewhere", hint="remove it, or choose another directory"
            )
    for inside in folders:
        if inside.exists() and not inside.is_dir():
            raise RequestError(f"{inside} is a file where a directory should be", hint="remove it")
    for inside in (directory / name for name in (RECIPE_NAME, MANIFEST_NAME, *format_.file_names(spec))):
        if inside.is_dir() and not inside.is_symlink():
            raise RequestError(f"{inside} is a directory where a file should be", hint="remove it")


def earlier_spec(directory: Path, spec: Spec) -> Spec | None:
    """Return what an earlier run was asked for here. Raises RequestError when this one may not go on from there."""
    overwrite = "--overwrite starts anew, or choose another directory"
    try:
        before = manifest.read_spec(directory)
    except FormatError as error:
        raise RequestError(f"{directory} holds a dataset that cannot be continued: {error}", hint=overwrite) from None
    if before is None:
        others = sorted({entry.name for entry in directory.iterdir()} - {STATE_NAME})
        if others:
            raise RequestError(
                f"{directory} is not empty, and holds no dataset of ours: {some_of(others)}",
                hint="choose another directory; --overwrite writes beside what is there",
            )
        return None
    differences = [entry for entry in before.differences(spec) if not entry.startswith("samples ")]
    if differences:
        raise RequestError(f"{directory} holds another dataset: {', '.join(differences)}", hint=overwrite)
    if spec.samples < before.samples:
        raise RequestError(
            f"{directory} holds {before.samples} samples, and {spec.samples} were asked for", hint=overwrite
        )
    return before


def clear(directory: Path, spec: Spec) -> None:
    """Remove a dataset of ours, manifest first; what is not ours stays.

    Raises RequestError, before anything is removed, where that stands in the way of what `spec` asks for.
    """
    try:
        earlier = manifest.read_spec(directory)
        if earlier is not None:
            formats.get(earlier.format)
    except FormatError:
        earlier = spec  # a damaged recipe.json: what it was about is anybody's guess
    if earlier is None:
        format_ = formats.get(spec.format)
        names = {MANIFEST_NAME, *format_.file_names(spec)} & {entry.name for entry in directory.iterdir()}
        shards = {str(path.relative_to(directory)) for path, _ in format_.standing(directory, spec)}
        if others := sorted(names | shards):
            raise RequestError(
                f"{directory} holds no dataset of ours, and {some_of(others)} is in the way",
                hint="move it away, or choose another directory",
            )
    else:
        local.remove(directory / MANIFEST_NAME)
        format_ = formats.get(earlier.format)
        for path, _ in list(format_.standing(directory, earlier)):
            local.remove(path)
        for name in format_.file_names(earlier):
            local.remove(directory / name)
        for folder in format_.folders(directory, earlier):
            local.remove_if_empty(folder)
    local.remove(directory / STATE_NAME)
    local.remove(directory / RECIPE_NAME)


def some_of(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"


def unexpected_files(directory: Path, spec: Spec) -> list[Path]:
    """Return what is named like a shard, and is none of the plan."""
    return sorted(path for path, planned in formats.get(spec.format).standing(directory, spec) if not planned)
