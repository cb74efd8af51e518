"""Owns making splits: the spec of each, what an earlier run has begun, and one dataset after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import Summary, Watch
from mnist_seq_cli.dataset.existing import check_store, clear
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import SPLITS_NAME
from mnist_seq_cli.dataset.request import resolved, source_of, spec_of
from mnist_seq_cli.dataset.splits.asked import By, Splits, read, read_sound, seed_of
from mnist_seq_cli.dataset.splits.parts import glyph_pools, label_pools, part_of
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.execution.runner import Runner, Stop
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING
from mnist_seq_cli.recipe.request import Request, draw_seed
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Form, Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.location import PathOrStore, open_store
from mnist_seq_cli.storage.store import STATE_NAME


class Split(NamedTuple):
    """One of several datasets: where it goes, what is asked of it, and where its glyphs are."""

    directory: PathOrStore
    spec: Spec
    source: Source


def plan(
    directory: PathOrStore,
    sizes: dict[str, int],
    by: By,
    request: Request,
    form: Form,
    *,
    has_source: bool = False,
    overwrite: bool = False,
) -> tuple[Splits, list[Split]]:
    """Return the spec of each split of a request. Nothing is written.

    By "glyph", a split named `test` samples from MNIST's test file, and the others from parts of its train file; if a
    source was requested (`has_source`), all of them sample from parts of it. By "writer", splits have different
    writers; by "label", different sequences, with any glyphs of the source; by "both", different glyphs and sequences.
    Without a seed, that of an earlier run is used, or a random one. Raises RequestError for an impossible request, and
    for a directory with other contents.
    """
    seed = draw_seed() if request.seed is None else request.seed
    splits = _continued(directory, Splits(seed, by, sizes), request.seed is None, overwrite)
    names, has_test = dict.fromkeys(sizes, request.source), by != "label" and not has_source
    if has_test:
        names = {name: "test" if name == "test" else "train" for name in sizes}
        request = replace(request, source="train")
    recipe = resolved(request, whole := source_of(request))
    everything = dict.fromkeys(sizes, EVERYTHING)
    labels = label_pools(sizes, recipe) if by in ("label", "both") else everything
    glyphs = everything if by == "label" else glyph_pools(sizes, recipe, whole, by, has_test=has_test)
    planned = []
    for name, size in sizes.items():
        listed, label_pool = request.sequences, request.label_pool
        if by in ("label", "both") and listed:
            listed = part_of(listed, labels[name])
        elif by in ("label", "both"):
            label_pool = labels[name]
        one = replace(
            request,
            source=names[name],
            seed=seed_of(splits.seed, name),
            sequences=listed,
            pool=EVERYTHING if by == "writer" else glyphs[name],
            writer_pool=glyphs[name] if by == "writer" else EVERYTHING,
            label_pool=label_pool,
        )
        source = source_of(one)
        spec = spec_of(directory / name, one, replace(form, samples=size), source, part=name, overwrite=overwrite)
        planned.append(Split(directory / name, spec, source))
    if not overwrite and read_sound(directory) is None:
        _check_lost(directory, planned)
    return splits, planned


def _check_lost(directory: PathOrStore, planned: Iterable[Split]) -> None:
    """Raise RequestError where splits.json is lost, and datasets are there that are not those of the plan."""
    for path, spec, _ in planned:
        before = None
        with suppress(FormatError):
            before = manifest.read_spec(path, spec.recipe.sequences)
        if before is not None and before != spec:
            raise RequestError(
                f"{directory} has lost its {SPLITS_NAME}, and {path.name} is not the split that is asked for: "
                + ", ".join(before.differences(spec)),
                hint="give all options and the `seed` that they were made with; `overwrite` starts over",
            )


def build(
    directory: PathOrStore,
    splits: Splits,
    planned: Sequence[Split],
    *,
    run: Runner | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = iter,
) -> list[Summary]:
    """Make the planned splits, one after the other, and return a summary of each.

    With `overwrite` all existing splits are removed first, so that a run without it can finish. Raises as
    `dataset.build` does; after that, run it again, without `overwrite`, to finish.
    """
    store, done = open_store(directory), []
    store.check((), (SPLITS_NAME,))
    with store.lock(), Stop() as stop:
        try:
            if not overwrite and read_sound(store) not in (None, splits):
                raise RequestError(f"another mnistseq has begun other splits in {directory}")
            if isinstance(directory, Path):
                local.clear_partial(directory)
            store.put(SPLITS_NAME, [(json.dumps(splits.to_json(), indent=2) + "\n").encode()])
            for each, spec, _ in planned if overwrite else ():
                split = open_store(each)
                check_store(split, spec)
                with split.lock():
                    clear(split, spec)
            for each, spec, source in planned:
                if stop:
                    raise dataset.stopped(stop, f"stopped before {each.name} was begun", overwrite)
                done.append(
                    dataset.build(each, spec, source, run=run, workers=workers, overwrite=overwrite, watch=watch)
                )
            card.write_for_splits(store, {each.name: spec for each, spec, _ in planned})
            store.clean()
        finally:
            with suppress(OSError):
                store.clean()
    return done


def _continued(directory: PathOrStore, splits: Splits, any_seed: bool, overwrite: bool) -> Splits:
    """Return the splits with the seed of an earlier run, where the request has none. Raises RequestError."""
    elsewhere = "`overwrite` starts over, or choose another directory"
    names = {entry.name for entry in open_store(directory).list()}
    if RECIPE_NAME in names:
        raise RequestError(f"{directory} holds a dataset, and splits would be in it", hint="choose another directory")
    try:
        before, damage = read(directory), ""
    except FormatError as error:
        before, damage = None, f"{directory} holds splits that cannot be continued: {error}"
    if before is None:
        ours = (STATE_NAME, f".{SPLITS_NAME}.")  # as an earlier version called what it had half written
        others = sorted(name for name in names if not name.startswith(ours))
        begun = any(open_store(directory / name).size(RECIPE_NAME) is not None for name in splits.sizes)
        if overwrite or not others or (begun and splits.sizes.keys() >= set(others) - {SPLITS_NAME, *card.OF_SPLITS}):
            return splits
        damage = damage or f"{directory} is not empty, and holds no mnistseq splits: {others[0]!r}"
        raise RequestError(damage, hint=elsewhere)
    if overwrite:
        for name in before.sizes:
            if name not in splits.sizes and name in names:
                raise RequestError(f"{directory / name} is a split of an earlier run", hint="remove it")
        return splits
    if any_seed:
        splits = splits._replace(seed=before.seed)
    if different := before.differences(splits):
        raise RequestError(f"{directory} holds other splits: {', '.join(different)}", hint=elsewhere)
    return splits
