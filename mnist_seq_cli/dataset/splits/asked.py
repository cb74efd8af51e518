"""Owns what is asked of splits: their names and sizes, and what no two of them share; the content of splits.json."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_args

from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import SPLITS_NAME, Location
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES

By = Literal["glyph", "writer", "label", "both"]
BY: tuple[By, ...] = get_args(By)

MAX_SPLITS = 1_000
SPLITS_VERSION = 1

_NAME = r"[a-z][a-z0-9_-]{0,63}"
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that cannot be folders on Windows."""


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
            found.append(f"{spelled(other.sizes)} instead of {spelled(self.sizes)}")
        return found


def spelled(sizes: Mapping[str, int]) -> str:
    """Return names and sizes as they are typed: train=700 val=200."""
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


def read_sound(directory: Location) -> Splits | None:
    """Return the splits in splits.json; None where there is none, or it is damaged."""
    with suppress(FormatError):
        return read(directory)
    return None
