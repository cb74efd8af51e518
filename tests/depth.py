"""Owns how parameters of tests are left to `-m slow`: those that show at length what the others show."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow(values: Iterable[Any]) -> list[Any]:
    """Return parameters that are tried with `-m slow` alone; tuples are values of several arguments."""
    return [pytest.param(*value if isinstance(value, tuple) else [value], marks=pytest.mark.slow) for value in values]


def others_slow(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Return parameters of which the `quick` ones are always tried, and the others with `-m slow` alone."""
    return [*quick, *slow(value for value in values if value not in quick)]
