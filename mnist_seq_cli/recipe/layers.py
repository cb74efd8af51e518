"""Owns precedence: preset < recipe file < what was typed, merged as asked, before anything is resolved.

A layer is what was asked in one place, by the names of fields: those of `Request`, those of `Form`, and `splits` and
`split_by`. What is asked in a higher layer counts, and what does not go with it gives way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnist_seq_cli.recipe.parts.exclusions import displaced
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.recipe.spec import FORM_OPTIONS, Form

Layer = Mapping[str, Any]


def merged(*layers: Layer) -> dict[str, Any]:
    """Return what layers ask for together, the lowest first."""
    words: dict[str, Any] = {}
    for layer in layers:
        given_way = set(displaced(layer))
        if layer.get("format", words.get("format")) != words.get("format"):
            given_way |= {"compression", "shard_size", "annotations"}  # which suited another format
        if words.get("min_gap") is not None and words.get("min_gap") == words.get("max_gap"):
            # Equal gaps of a recipe.json without a request may follow from its width, or the largest from the least.
            given_way |= {"min_gap", "max_gap"} if "width" in layer else {"max_gap"} if "min_gap" in layer else set()
        lower = {name: value for name, value in words.items() if name not in given_way}
        if "splits" in lower and lower.get("per_label") and layer.get("per_label"):
            # The sizes of splits by label are images of so many labels, each so many times.
            times, before = layer["per_label"], lower["per_label"]
            lower["splits"] = {name: max(1, size * times // before) for name, size in lower["splits"].items()}
        words = lower | dict(layer)
    return words


def parted(words: Layer) -> tuple[Request, Form]:
    """Return the request and the form that words ask for, without those about splits. Raises RequestError."""
    request = {name: value for name, value in words.items() if name not in (*FORM_OPTIONS, "splits", "split_by")}
    return Request.of(request), Form(**{name: value for name, value in words.items() if name in FORM_OPTIONS})
