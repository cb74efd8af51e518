"""Owns recipes that people keep in files: a recipe.json as we write it, or a part of one, in JSON or TOML.

What stands in such a file are words for `dataset.request`: those of recipe.json, at the top or in `recipe`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_seq_cli import manifest
from mnist_seq_cli.errors import FormatError, MnistseqError, RequestError, one_line
from mnist_seq_cli.recipe import COMPRESSIONS, Recipe, parse_lengths, typed_fields

MAX_FILE = 256 << 20

_FORM = {"samples": int, "format": str, "compression": str, "shard_size": int}
_OF_THE_SOURCE = ("glyph_height", "glyph_width")
_RULE = ("length", "sequences", "pattern", "per_label")


def read(path: Path) -> dict[str, Any]:
    """Return what the file says, as words for `dataset.request`. Raises FormatError, RequestError, OSError."""
    if not path.exists():
        raise RequestError(f"there is no recipe {path}", hint="give a recipe.json, or a file in TOML")
    values = _toml(path) if path.suffix.lower() == ".toml" else manifest.read_json(path)
    try:
        return _words(values)
    except MnistseqError as error:
        raise FormatError(f"{path} is no recipe: {error.args[0]}", hint=error.hint) from None


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
    complete = everything.keys() >= Recipe.request(seed=0).to_json().keys()
    words |= Recipe.some_from_json(everything)
    if complete:
        words = _simplest(words, Recipe.from_json(everything))
    lengths = words.pop("lengths", ())
    if lengths:
        words["length"] = lengths
    if words.get("sequences") or words.get("pattern"):
        words.pop("length", None)  # they tell it themselves
    return {name: value for name, value in words.items() if name not in _OF_THE_SOURCE}


def _simplest(words: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the words without those that follow from the others, as the width does from gaps; they could change."""
    others = {name: value for name, value in words.items() if name not in (*_FORM, "format_name")}
    others["length"] = others.pop("lengths") or others["length"]
    if others["sequences"] or others["pattern"]:
        del others["length"]
    for left_out in (("width", "spacing"), ("width",), (), ("spacing",)):
        fewer = {name: value for name, value in others.items() if name not in left_out}
        if left_out == ("spacing",):
            fewer["spacing"] = "random"
        try:
            if Recipe.request(**fewer) == recipe:
                return {name: value for name, value in words.items() if name not in left_out} | (
                    {"spacing": "random"} if left_out == ("spacing",) else {}
                )
        except RequestError:
            continue
    return words


def changed(words: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of a file, changed by those that were given beside it.

    What says otherwise what is written goes, and so do gaps that followed from another width, and what suited another
    format.
    """
    dropped: set[str] = set()
    if given.keys() & {"sequences", "pattern"}:
        dropped.update(_RULE)
    elif "length" in given or "per_label" in given:
        dropped.update({"sequences", "pattern"})
    if given.get("format_name", words.get("format_name")) != words.get("format_name"):
        dropped.update({"compression", "shard_size"})
    if words.get("min_gap") == words.get("max_gap"):
        if "width" in given:
            dropped.update({"min_gap", "max_gap"})
        if "min_gap" in given:
            dropped.add("max_gap")
    return {name: value for name, value in words.items() if name not in dropped} | dict(given)


def _toml(path: Path) -> object:
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    if path.stat().st_size > MAX_FILE:
        raise FormatError(f"{path} is too large to be true")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not TOML ({one_line(str(error), 120)})") from None
