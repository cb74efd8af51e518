"""Owns recipes that people keep in files: a recipe.json as we write it, or a part of one, in JSON or TOML.

What stands in such a file are words for `dataset.request`: those of recipe.json, at the top or in `recipe`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

from mnist_seq_cli.codecs.compression import COMPRESSIONS
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.errors import FormatError, MnistseqError, RequestError, one_line
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.recipe import (
    BUNDLED_SOURCES,
    FULL,
    PAPERS,
    RANGES,
    Recipe,
    is_content,
    parse_lengths,
    to_range,
)

MAX_FILE = 256 << 20

_FORM = {"samples": int, "format": str, "compression": str, "shard_size": int, "masks": bool}
_OF_THE_SOURCE = ("glyph_height", "glyph_width", "ink_height", "ink_width")
_FOLLOWING = ("width", "height", "align", "spacing")
"""What may follow from other words, and need not have been said."""

_DISPLACED = {
    "sequences": {"length", "pattern", "per_label", "digits", "repeat", "check"},
    "pattern": {"length", "sequences", "shuffle", "per_label", "digits", "repeat"},
    "per_label": {"sequences", "shuffle", "pattern", "repeat", "check"},
    "length": {"sequences", "shuffle", "pattern"},
}
"""For each word that says what is written those that do not go with it."""


def read(path: Path) -> dict[str, Any]:
    """Return what the file says, as words for `dataset.request`. Raises FormatError, RequestError, OSError."""
    if not path.exists():
        raise RequestError(f"there is no recipe {path}", hint="give a recipe.json, or a file in TOML")
    values = _toml(path) if path.suffix.lower() == ".toml" else manifest.read_json(path)
    try:
        return _words(values)
    except MnistseqError as error:
        hint = error.hint or "names and values are as in a recipe.json"
        raise FormatError(f"{path} is no recipe: {error.args[0]}", hint=hint) from None


def _words(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise FormatError("it does not consist of names and values")
    inside = values.pop("recipe", {})
    if not isinstance(inside, dict):
        raise FormatError(f"it has recipe = {inside!r}, which should be names and values")
    if twice := values.keys() & inside.keys():
        raise FormatError(f"it has {min(twice)!r} twice")
    everything = values | inside
    if not everything:
        raise FormatError("it is empty")
    form = {name: everything.pop(name) for name in _FORM if name in everything}
    words = typed_fields(form, {name: _FORM[name] for name in form}, "it")
    if words.get("compression", COMPRESSIONS[0]) not in COMPRESSIONS:
        raise FormatError(f"compression is {words['compression']!r}", hint=f"it is one of {', '.join(COMPRESSIONS)}")
    if "format" in words:
        words["format_name"] = words.pop("format")
    if isinstance(everything.get("length"), str):
        words["length"] = parse_lengths(everything.pop("length"))
    if everything.get("width") == "fit":
        words["width"] = everything.pop("width")
    if everything.get("jitter_y") == "full":
        everything["jitter_y"] = FULL
    for name in RANGES:
        if type(value := everything.get(name)) in (str, int):
            everything[name] = list(to_range(name, value))
    complete = everything.keys() >= Recipe.request(seed=0).to_json().keys()
    words |= Recipe.some_from_json(everything)
    for name, known, options in (
        ("paper", PAPERS, "--paper"),
        ("source", BUNDLED_SOURCES, "--source and --source-labels"),
    ):
        if not is_content(value := words.get(name, known[0])) and value not in known:
            raise FormatError(
                f"{name} is {value!r}", hint=f"it is one of {', '.join(known)}; give files of your own with {options}"
            )
    if complete:
        words = _simplest(words, Recipe.from_json(everything))
    if lengths := words.pop("lengths", ()):
        words["length"] = lengths
    if words.pop("fit", False):
        words["width"] = "fit"
    if words.get("sequences") or words.get("pattern"):
        words.pop("length", None)  # they tell it themselves
    return {name: value for name, value in words.items() if name not in _OF_THE_SOURCE}


def _simplest(words: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the words without those that follow from the others, as the width does from gaps; they could change."""
    if words.pop("fit"):
        words["width"] = "fit"
    form = {name: value for name, value in words.items() if name in (*_FORM, "format_name")}
    asked = {name: value for name, value in words.items() if name not in form}
    asked["length"] = asked.pop("lengths") or asked["length"]
    if asked["sequences"] or asked["pattern"]:
        del asked["length"]
    for some in (asked, {**asked, "spacing": "random"}):
        for count in range(len(_FOLLOWING), -1, -1):
            for left_out in combinations(_FOLLOWING, count):
                fewer = {name: value for name, value in some.items() if name not in left_out}
                with suppress(RequestError):
                    if Recipe.request(**fewer) == recipe:
                        return {**fewer, **form}
    return words


def changed(words: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of a file, changed by those that were given beside it.

    What says otherwise what is written goes, and so do gaps that followed from another width, and what suited another
    format.
    """
    dropped = displaced(given)
    if given.get("format_name", words.get("format_name")) != words.get("format_name"):
        dropped.update({"compression", "shard_size"})
    if words.get("min_gap") == words.get("max_gap"):
        if "width" in given:
            dropped.update({"min_gap", "max_gap"})
        if "min_gap" in given:
            dropped.add("max_gap")
    return {name: value for name, value in words.items() if name not in dropped} | dict(given)


def displaced(given: Iterable[str]) -> set[str]:
    """Return the words that do not go with those that are given: what says otherwise what is written."""
    names = set(given)
    return set().union(*(_DISPLACED[name] for name in names & _DISPLACED.keys())) - names


def _toml(path: Path) -> object:
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    if path.stat().st_size > MAX_FILE:
        raise FormatError(f"{path} is too large to be true")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not TOML ({one_line(str(error), 120)})") from None
