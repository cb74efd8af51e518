"""Owns the bounds that values have, and the checks of them."""

from __future__ import annotations

from collections.abc import Sequence

from mnist_seq_cli.errors import RequestError

MAX_LENGTH = 1_000
MAX_WIDTH = 100_000
MAX_AREA = 16_000_000
MAX_WEIGHT = 1_000_000
MAX_SEED = 2**64 - 1
MAX_SAMPLES = 10**12
MAX_SHARDS = 10**7
MAX_SLICES = 10_000
MAX_SHARD_SIZE = 100_000

MAX_FILE = 256 << 20
"""Bytes of a file that is read as a whole: a recipe, metadata, a picture."""


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise RequestError for a value that is none of the choices."""
    if value not in choices:
        raise RequestError(f"{name} is {value!r}", hint=f"it is one of {', '.join(filter(None, choices))}")


def check_range(name: str, value: object, low: int, high: int) -> None:
    """Raise RequestError for what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} is {value!r}, which is not a whole number")
    if not low <= value <= high:
        raise RequestError(f"{name} is {value}", hint=f"it has to be {low} to {high}")
