"""Owns what does not go together: one table, for what is asked at once and for what takes another's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mnist_seq_cli.errors import RequestError

RULES = ("sequences", "pattern", "per_label")
"""The ways to say what is written, beside random digits."""

EXCLUDES: dict[str, frozenset[str]] = {
    "sequences": frozenset({"length", "lengths", "pattern", "per_label", "digits", "repeat", "check", "label_order"}),
    "pattern": frozenset({"length", "lengths", "sequences", "shuffle", "per_label", "digits", "repeat", "label_order"}),
    "per_label": frozenset({"lengths", "sequences", "shuffle", "pattern", "repeat", "check"}),
    "length": frozenset({"sequences", "shuffle", "pattern"}),
    "label_pool": frozenset({"lengths", "sequences", "pattern", "repeat", "check"}),
    "samples": frozenset({"splits", "split_by"}),
    "splits": frozenset({"samples"}),
}
"""For each word that decides what is made those that do not go with it. `length` is that of random digits."""

_SHOWN = {"lengths": "`length` with several lengths", "repeat": "`repeat=False`"}


def displaced(words: Iterable[str]) -> frozenset[str]:
    """Return the words that give way to these, which come from a higher layer."""
    names = frozenset(words) - {"label_pool"}
    return frozenset().union(*(EXCLUDES.get(name, frozenset()) for name in names)) - names


def check_exclusions(active: Mapping[str, Any]) -> None:
    """Raise RequestError for two of the words of a recipe that exclude each other; those that are false are not used.

    `lengths` stands for several lengths, `repeat` for no repetition, `digits` for some of the digits.
    """
    chosen = [rule for rule in RULES if active[rule]]
    if len(chosen) > 1:
        both = " and ".join(f"`{rule}`" for rule in chosen)
        raise RequestError(f"{both} both say what is written", hint="take one of them")
    rule = chosen[0] if chosen else "length"
    for name, is_used in active.items():
        if is_used and name in EXCLUDES[rule]:
            shown = f"`{rule}`" if chosen else "random sequences"
            raise RequestError(f"{_SHOWN.get(name, f'`{name}`')} does not go with {shown}")
    if active["label_pool"]:
        for name, is_used in active.items():
            if is_used and name in EXCLUDES["label_pool"]:
                shown = _SHOWN.get(name, f"`{name}`")
                raise RequestError(f"a part of all sequences of one length does not go with {shown}")
