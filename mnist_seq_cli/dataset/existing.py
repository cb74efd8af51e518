"""Owns what exists before a run: whether it may go on from there, and how it is cleared."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import MANIFEST_NAME
from mnist_seq_cli.dataset.shards import agrees
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.options.sequences import LABELS_NAME
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec
from mnist_seq_cli.storage.store import STATE_NAME, Store


def check_store(store: Store, spec: Spec, *, shards: bool = True) -> None:
    """Raise RequestError where something is in the way, and for what the format cannot do, before anything is written.

    With `shards` each of these that exists is looked at. Raises FormatError, too.
    """
    format_ = formats.get(spec.format)
    format_.check(spec)
    if format_.SMALL_FILES and not store.small_files:
        reason = f"{store} is no place for a file an image: each would be an object, which is slow and costs"
        raise RequestError(reason, hint="take `format=webdataset`, an object a shard")
    exist = format_.existing(spec, store) if shards and not format_.SMALL_FILES else ()
    files = (name for name, planned in exist if planned)
    labels = [LABELS_NAME] if spec.recipe.sequences.are_many else []
    of_whole = (RECIPE_NAME, MANIFEST_NAME, *labels, *format_.file_names(spec), *card.names(spec))
    store.check(format_.folders(spec, store), chain(of_whole, files))
    others = labels and store.size(LABELS_NAME) is not None and not manifest.has_labels(store, spec)
    if others and not manifest.refers_to_labels(store):
        raise RequestError(f"{store}/{LABELS_NAME} is in the way: it would be written anew", hint="move it away")


def earlier_spec(store: Store, spec: Spec) -> Spec | None:
    """Return the spec of an earlier run. Raises RequestError when this one may not go on from there.

    A recipe.json that is lost is written again, where the manifest and the shards are of what `spec` asks for.
    """
    overwrite = "`overwrite` starts over, or choose another directory"
    try:
        before = manifest.read_spec(store, spec.recipe.sequences) or _restored(store, spec)
    except FormatError as error:
        before = _restored(store, spec)
        if before is None:
            raise RequestError(f"{store} holds a dataset that cannot be continued: {error}", hint=overwrite) from None
    if before is None:
        others = sorted(entry.name for entry in store.list() if not entry.name.startswith(STATE_NAME))
        if others and (before := manifest.read_spec(store, spec.recipe.sequences)) is None:
            raise RequestError(
                f"{store} is not empty, and holds no mnistseq dataset: {some_of(others)}",
                hint="choose another directory; `overwrite` writes beside what is there",
            )
    if before is None:  # and if there was none a moment ago, a slice has begun meanwhile
        return None
    grown = replace(spec, annotations=before.annotations) if {*before.annotations} <= {*spec.annotations} else spec
    differences = [entry for entry in before.differences(grown) if not entry.startswith("samples ")]
    if differences:
        raise RequestError(f"{store} holds another dataset: {', '.join(differences)}", hint=overwrite)
    if spec.samples < before.samples:
        raise RequestError(f"{store} holds {before.samples} samples, and {spec.samples} were asked for", hint=overwrite)
    if before.plan.digits != spec.plan.digits:
        names = (
            f"names of {before.plan.digits.of_shards} digits for shards and {before.plan.digits.of_samples} for samples"
        )
        raise RequestError(f"{store} has {names}, and {spec.samples} samples need longer ones", hint=overwrite)
    return before


def _restored(store: Store, spec: Spec) -> Spec | None:
    """Write a recipe.json that is lost again, and return it; None where there is no manifest that can be read.

    Raises RequestError where manifest and shards are of something else than `spec`.
    """
    complete = None
    with suppress(FormatError):
        complete = manifest.read_manifest(store)
    if complete is None:
        return None
    before, format_ = replace(spec, samples=complete.samples), formats.get(spec.format)
    fingerprint, plan = spec.recipe.fingerprint, before.plan
    known = (
        (plan[number], record)
        for number, record in complete.records.items()
        if number < len(plan) and record.of(plan[number], fingerprint)
    )
    # A shard that is as it was recorded shows that the form is the same, too; idx has none when it is complete.
    if not card.fits(before, complete.files) or not any(
        not format_.SEPARABLE or agrees(store, format_, before, shard, record) for shard, record in known
    ):
        raise RequestError(
            f"{store} has lost its {RECIPE_NAME}, and its {MANIFEST_NAME} is not about what is asked for",
            hint="give all options and the `seed` that it was made with; `overwrite` starts over",
        )
    manifest.write_spec(store, before)
    return before


def clear(store: Store, spec: Spec) -> None:
    """Remove a dataset of ours, manifest first; what is not ours stays.

    Raises RequestError, before anything is removed, where that is in the way of what `spec` asks for.
    """
    try:
        earlier = manifest.read_spec(store, spec.recipe.sequences)
        if earlier is not None:
            formats.get(earlier.format)
    except FormatError:
        earlier = spec  # a damaged recipe.json: what it was about is not known
    if earlier is None:
        format_ = formats.get(spec.format)
        names = {MANIFEST_NAME, *format_.file_names(spec)} & {entry.name for entry in store.list()}
        shards = {name for name, _ in format_.existing(spec, store)}
        if others := sorted(names | shards):
            raise RequestError(
                f"{store} holds no mnistseq dataset, and {some_of(others)} is in the way",
                hint="move it away, or choose another directory",
            )
    else:
        store.remove(MANIFEST_NAME)
        format_ = formats.get(earlier.format)
        for name, _ in list(format_.existing(earlier, store)):
            store.remove(name)
        for name in format_.file_names(earlier):
            store.remove(name)
        card.remove(store, earlier)
        remove_beside(store, earlier)
        for folder in format_.folders(earlier, store):
            store.prune(folder)
    store.remove(STATE_NAME)
    if manifest.refers_to_labels(store):
        store.remove(LABELS_NAME)
    store.remove(RECIPE_NAME)


def remove_beside(store: Store, spec: Spec) -> None:
    """Remove the small files of shards that were made of annotations. Raises OSError."""
    for side in formats.get(spec.format).beside(spec):
        for names in map(side.names, spec.plan):
            for name in names:
                store.remove(name)
            for folder in {name.rpartition("/")[0] for name in names}:
                store.prune(folder)
                if "/" in folder:
                    store.prune(folder.rpartition("/")[0])


def some_of(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more"


def unexpected(store: Store, spec: Spec) -> list[str]:
    """Return the names of what is named like a shard, and is none of the plan."""
    return sorted(name for name, planned in formats.get(spec.format).existing(spec, store) if not planned)
