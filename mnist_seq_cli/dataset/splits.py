"""Owns splits: several datasets of one request, side by side, which share no glyph, no writer, or no sequence.

    out/splits.json         what was asked for: the seed, the names and sizes, and what is not shared
    out/train/, out/val/    a dataset each, with metadata files of its own

Nothing is compared to keep them apart: each split has its own part of the glyphs, the writers or the sequences, in
proportion to its size, and parts do not overlap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from mnist_seq_cli.dataset import build as dataset
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import Summary, Watch
from mnist_seq_cli.dataset.existing import check_store, clear
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.manifest import SPLITS_NAME, Location
from mnist_seq_cli.dataset.request import resolved, source_of, spec_of
from mnist_seq_cli.engine import writers
from mnist_seq_cli.engine.permutation import permute
from mnist_seq_cli.engine.writing import possible_digits
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.execution.runner import Runner, Stop
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES
from mnist_seq_cli.recipe.options.sequences import Sequences
from mnist_seq_cli.recipe.parts.glyphs import EVERYTHING, Pool
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, draw_seed
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Form, Spec
from mnist_seq_cli.storage import local
from mnist_seq_cli.storage.location import PathOrStore, open_store
from mnist_seq_cli.storage.store import STATE_NAME

By = Literal["glyph", "writer", "label", "both"]
BY: tuple[By, ...] = get_args(By)

MAX_SPLITS = 1_000
SPLITS_VERSION = 1

_NAME = r"[a-z][a-z0-9_-]{0,63}"
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that cannot be folders on Windows."""


class Split(NamedTuple):
    """One of several datasets: where it goes, what is asked of it, and where its glyphs are."""

    directory: PathOrStore
    spec: Spec
    source: Source


class Splits(NamedTuple):
    """What was asked for as a whole: the content of splits.json."""

    seed: int
    by: By
    sizes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the content of splits.json."""
        return {"version": SPLITS_VERSION, "seed": self.seed, "by": self.by, "splits": self.sizes}

    def differences(self, other: Splits) -> list[str]:
        """Return in what `other` is something else."""
        found = [] if self.seed == other.seed else [f"seed {other.seed} instead of {self.seed}"]
        found += [] if self.by == other.by else [f"`split_by={other.by}` instead of {self.by}"]
        if list(self.sizes.items()) != list(other.sizes.items()):
            found.append(f"{_spelled(other.sizes)} instead of {_spelled(self.sizes)}")
        return found


def _spelled(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{name}={size}" for name, size in sizes.items())


def parse_splits(texts: Iterable[str]) -> dict[str, int]:
    """Return the size of each split by its name, from words like `train=50000`. Raises RequestError."""
    sizes: dict[str, int] = {}
    for text in texts:
        spelled = re.fullmatch(rf"({_NAME})=([0-9]{{1,13}})", text, re.ASCII)
        if spelled is None or _DEVICES.fullmatch(spelled[1]):
            raise RequestError(
                f"`splits` is {text!r}", hint="write it like train=50000: a name of a-z, 0-9, _ and -, and a size"
            )
        name, size = spelled[1], int(spelled[2])
        if name in sizes:
            raise RequestError(f"`splits={name}` is given twice", hint="take another name")
        if not 1 <= size <= MAX_SAMPLES:
            raise RequestError(f"`splits={text}` asks for {size} samples", hint=f"it has to be 1 to {MAX_SAMPLES}")
        sizes[name] = size
    if len(sizes) > MAX_SPLITS or sum(sizes.values()) > MAX_SAMPLES:
        raise RequestError(
            f"{len(sizes)} splits of {sum(sizes.values())} samples are too many",
            hint=f"{MAX_SPLITS} splits and {MAX_SAMPLES} samples at most",
        )
    return sizes


def seed_of(seed: int, name: str) -> int:
    """Return the seed of a split: each has its own, so that none repeats what another has."""
    return int.from_bytes(blake2b(f"mnistseq/split/{seed}/{name}".encode(), digest_size=8).digest(), "little") % 10**12


def pools(sizes: Mapping[str, int], counts: Iterable[int] = ()) -> dict[str, Pool]:
    """Return the part of each split, in proportion to its size; together they are everything.

    Of things of which there are so many (`counts`), each split gets one at least. Raises RequestError for fewer things
    than splits.
    """
    parts = _parts(sizes, sum(sizes.values()))
    for count in sorted(counts):
        if any(count * low // whole == count * high // whole for low, high, whole in parts.values()):
            return _parts(sizes, count)
    return parts


def _parts(sizes: Mapping[str, int], whole: int) -> dict[str, Pool]:
    """Return parts of `whole` things that are in proportion to the sizes, but none of them empty."""
    low, total = list(accumulate(sizes.values(), initial=0)), sum(sizes.values())
    ends = [whole * end // total for end in low]
    if len(set(ends)) < len(ends):
        if whole < len(sizes):
            raise RequestError(
                f"{len(sizes)} splits need as many sequences, writers or glyphs of a digit, and there are only {whole}",
                hint="fewer splits",
            )
        ends = [number + (whole - len(sizes)) * end // total for number, end in enumerate(low)]
    return {name: (first, last, whole) for name, first, last in zip(sizes, ends, ends[1:], strict=False)}


def _glyph_pools(
    sizes: Mapping[str, int], recipe: Recipe, source: Source, by: By, *, has_test: bool
) -> dict[str, Pool]:
    """Return the part of the glyphs, or of the writers, that each split takes.

    With `has_test` the split of that name has its own file.
    """
    glyphs = bank.load(source)
    counts = [int(glyphs.counts[digit]) for digit in possible_digits(recipe)]
    if by == "writer":
        counts = [int(np.count_nonzero(writers.complete(glyphs)))]
    shared = {name: size for name, size in sizes.items() if not (has_test and name == "test")}
    own = dict.fromkeys(sizes, EVERYTHING)
    return own | pools(shared, counts) if shared else own


def _label_pools(sizes: Mapping[str, int], recipe: Recipe) -> dict[str, Pool]:
    """Return the part of the sequences that each split writes; with `per_label` each of them as often as that says.

    Raises RequestError for sizes that would cut off sequences.
    """
    if recipe.pattern:
        return pools(sizes)  # which is refused
    labels = len(recipe.digits) ** recipe.length
    if recipe.sequences:
        labels = int(recipe.sequences.numbers().max()) + 1
    parts, times, total = pools(sizes, [labels]), recipe.per_label, sum(sizes.values())
    if not times:
        return parts
    if total < times * labels and not any(size % times for size in sizes.values()):
        ends = list(accumulate((size // times for size in sizes.values()), initial=0))
        return {name: (low, high, labels) for name, low, high in zip(sizes, ends, ends[1:], strict=False)}
    held = {name: labels * high // whole - labels * low // whole for name, (low, high, whole) in parts.items()}
    if total < times * labels or any(sizes[name] % (times * count) for name, count in held.items()):
        rounds = max(1, round(total / (times * labels)))
        whole = min(labels, max(len(sizes), round(total / times)))
        nearest = {name: (high - low) * times * rounds for name, (low, high, _) in _parts(sizes, whole).items()}
        raise RequestError(
            f"`splits` {_spelled(sizes)} would cut off some of {labels} labels, each {times} times",
            hint=f"nearest: {_spelled(nearest)}",
        )
    return parts


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
    labels = _label_pools(sizes, recipe) if by in ("label", "both") else everything
    glyphs = everything if by == "label" else _glyph_pools(sizes, recipe, whole, by, has_test=has_test)
    planned = []
    for name, size in sizes.items():
        listed, label_pool = request.sequences, request.label_pool
        if by in ("label", "both") and listed:
            listed = _part_of(listed, labels[name])
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
    if not overwrite and _read_sound(directory) is None:
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
            if not overwrite and _read_sound(store) not in (None, splits):
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


def read(directory: Location) -> Splits | None:
    """Return the splits in splits.json; None where there is none. Raises FormatError."""
    values = manifest.read_json(directory, SPLITS_NAME)
    if values is None:
        return None
    known = {"version": int, "seed": int, "by": str, "splits": dict}
    checked = typed_fields(values, known, SPLITS_NAME)
    if checked["version"] != SPLITS_VERSION or checked["by"] not in BY:
        raise FormatError(f"{SPLITS_NAME} is of another version", hint="a newer mnistseq may read it")
    try:
        sizes = parse_splits(f"{name}={size}" for name, size in checked["splits"].items())
    except RequestError as error:
        raise FormatError(f"{SPLITS_NAME} is not valid: {error}") from None
    if not sizes:
        raise FormatError(f"{SPLITS_NAME} is not valid: it names no splits")
    return Splits(checked["seed"], checked["by"], sizes)


def _read_sound(directory: Location) -> Splits | None:
    """Return the splits in splits.json; None where there is none, or it is damaged."""
    with suppress(FormatError):
        return read(directory)
    return None


def shared(by: By, recipes: Mapping[str, Recipe]) -> list[str]:
    """Return a line for each pair of splits whose recipes do not keep apart what they should.

    Only the recipes are compared: what they may sample, not what they have sampled.
    """
    written = {name: recipe.sequences for name, recipe in recipes.items()}
    found = []
    for one, other in combinations(recipes, 2):
        if by != "label" and not _glyphs_apart(recipes[one], recipes[other], by):
            what = "writers" if by == "writer" else "glyphs"
            found.append(f"{one} and {other} may share {what}: their recipes draw from the same ones")
        if by in ("label", "both") and not (
            written[one].isdisjoint(written[other])
            if written[one] and written[other]
            else _sequences_apart(recipes[one], recipes[other])
        ):
            found.append(f"{one} and {other} may share sequences: their recipes write some of the same")
    return found


def _glyphs_apart(one: Recipe, other: Recipe, by: By) -> bool:
    if one.source != other.source:
        return {one.source, other.source} == {"train", "test"}  # which no writer has both been in
    apart = _pools_apart(one.writer_pool, other.writer_pool)
    return apart if by == "writer" else apart or _pools_apart(one.pool, other.pool)


def _sequences_apart(one: Recipe, other: Recipe) -> bool:
    """Return whether recipes that take parts of all sequences write none of the same."""
    if one.sequences or other.sequences or (one.digits, one.label_order) != (other.digits, other.label_order):
        return False
    return one.length != other.length or _pools_apart(one.label_pool, other.label_pool)


def _pools_apart(one: Pool, other: Pool) -> bool:
    (low, high, whole), (first, last, all_of) = one, other
    return high * all_of <= first * whole or last * whole <= low * all_of


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


def _part_of(sequences: Sequences, pool: Pool) -> Sequences:
    """Return those of the listed sequences that are in a part of them all; one that is listed twice is in one part."""
    numbers, (low, high, whole) = sequences.numbers(), pool
    size = int(numbers.max()) + 1
    in_part = np.zeros(size, dtype=np.bool_)
    in_part[permute(0, "label_pool", size, np.arange(size * low // whole, size * high // whole))] = True
    return sequences.chosen(in_part[numbers])
