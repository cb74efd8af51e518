"""Owns recipes that people keep in files: a recipe.json as we write it, or a part of one, in JSON or TOML.

What such a file asks for is a layer (see `layers`): the fields of a recipe, at the top or in `recipe`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from mnist_seq_cli import inputs
from mnist_seq_cli.codecs.compression import COMPRESSIONS
from mnist_seq_cli.errors import FormatError, MnistseqError, RequestError, one_line
from mnist_seq_cli.recipe.json_values import typed_fields
from mnist_seq_cli.recipe.options.bounds import MAX_FILE
from mnist_seq_cli.recipe.options.kinds import IntegerOr, LengthOrLengths, Ranged
from mnist_seq_cli.recipe.options.option import REQUIRED, options_of
from mnist_seq_cli.recipe.options.sequences import Sequences, parse_with_sequences, refer
from mnist_seq_cli.recipe.parts.appearance import PAPERS, is_content
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES
from mnist_seq_cli.recipe.recipe import Recipe, fields_from_json
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.recipe.spec import FORM_OPTIONS, are_file_names

_FOLLOWING = ("width", "height", "align", "spacing")
"""Fields that may follow from the others, and need not have been asked for."""


def read(path: Path) -> dict[str, Any]:
    """Return what a file asks for, or what comes from a pipe. Raises FormatError, RequestError, OSError."""
    if not path.exists():
        raise RequestError(f"{path} does not exist", hint="give a recipe.json, or a file in TOML")
    if path.is_dir():
        raise FormatError(f"{path} is not a file")
    content = inputs.read_once(path, MAX_FILE)
    is_toml = path.suffix.lower() == ".toml" or (path.is_fifo() and not content.lstrip().startswith(b"{"))
    values = _toml(path, content) if is_toml else parse_with_sequences(content, str(path))
    return _asked_by(values, str(path), lambda name: inputs.open_once(path.with_name(name)))


def parse(content: bytes, name: str, open_beside: Callable[[str], BinaryIO]) -> dict[str, Any]:
    """Return what a recipe.json asks for; files beside it are opened by their names. Raises FormatError, OSError."""
    return _asked_by(parse_with_sequences(content, name), name, open_beside)


def _asked_by(values: object, path: str, open_beside: Callable[[str], BinaryIO]) -> dict[str, Any]:
    try:
        return _words(_with_labels(values, path.rpartition("/")[0] or ".", open_beside))
    except MnistseqError as error:
        hint = error.hint or "names and values are as in a recipe.json"
        raise FormatError(f"{path} is no recipe: {error.args[0]}", hint=hint) from None


def _with_labels(values: object, where: str, open_beside: Callable[[str], BinaryIO]) -> object:
    """Return values with the sequences in place of references to them. Raises FormatError, OSError."""
    known = Sequences()
    for part in (values, values.get("recipe"), values.get("request")) if isinstance(values, dict) else ():
        refer(part, open_beside, where, known)
        known = part["sequences"] if isinstance(part, dict) and "sequences" in part else known
    return values


def _words(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise FormatError("it does not consist of names and values")
    inside, asked = values.pop("recipe", {}), values.pop("request", {})
    for name, part in (("recipe", inside), ("request", asked)):
        if not isinstance(part, dict):
            raise FormatError(f"it has {name} = {part!r}, which should be names and values")
    if twice := values.keys() & inside.keys():
        raise FormatError(f"it has {min(twice)!r} twice")
    everything = values | inside
    if not everything:
        raise FormatError("it is empty")
    form = {name: everything.pop(name) for name in FORM_OPTIONS if name in everything}
    form = typed_fields(form, {name: FORM_OPTIONS[name].kind.json_type for name in form}, "it")
    if form.get("names", "mnist") != "mnist" and not are_file_names(form["names"], form.get("format", "")):
        raise FormatError(f"names is {form['names']!r}", hint="it is mnist, or is left out")
    if form.get("compression", COMPRESSIONS[0]) not in COMPRESSIONS:
        raise FormatError(f"compression is {form['compression']!r}", hint=f"it is one of {', '.join(COMPRESSIONS)}")
    return _asked(everything, asked) | form


def _asked(values: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked for of a recipe that is there as a whole, or the fields of it that are there."""
    needed = {name for name, each in options_of(Recipe).items() if each.default is REQUIRED}
    if values.keys() >= needed | {"spacing", "max_gap"}:
        recipe = Recipe.from_json(_plain(values))
        words = _checked(asked)
        if not words:  # of an earlier version
            words = _following(recipe)
        elif differing := _differing(words, recipe):
            raise FormatError(
                f"its request and its recipe differ in {differing}", hint="change both, or take the request out"
            )
    else:
        words = _checked(values)
    for name, known, options in (
        ("paper", PAPERS, "`paper`"),
        ("source", BUNDLED_SOURCES, "`source` and `source_labels`"),
    ):
        if not is_content(value := words.get(name, known[0])) and value not in known:
            raise FormatError(
                f"{name} is {value!r}", hint=f"it is one of {', '.join(known)}; give custom files with {options}"
            )
    return words


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe with ranges as they are in a recipe.json, however a person wrote them."""
    kinds = {name: each.kind for name, each in options_of(Recipe).items()}
    return {
        name: list(kinds[name].normalize(name, value))
        if isinstance(kinds.get(name), Ranged) and type(value) in (str, int)
        else value
        for name, value in values.items()
    }


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return values of the fields of a request, as a person writes them. Raises FormatError, RequestError."""
    options = options_of(Request)
    words, rest = {}, {}
    for name, value in values.items():
        kind = options[name].kind if name in options else None
        may_be_text = isinstance(kind, LengthOrLengths | Ranged | IntegerOr) and isinstance(value, str)
        if kind is not None and (may_be_text or (isinstance(kind, Ranged) and type(value) is int)):
            words[name] = kind.normalize(name, value)
        else:
            rest[name] = value
    words |= fields_from_json(Recipe, rest, hint="")
    if lengths := words.pop("lengths", ()):
        words["length"] = lengths
    if words.pop("fit", False):
        words["width"] = "fit"
    return {name: value for name, value in words.items() if name in options}


def _following(recipe: Recipe) -> dict[str, Any]:
    """Return the words that resolve to a recipe, without those that follow from the others; they could change."""
    shared = options_of(Request).keys() & options_of(Recipe).keys()
    words = {name: getattr(recipe, name) for name in shared} | {"length": recipe.lengths or recipe.length}
    if recipe.sequences or recipe.pattern:
        del words["length"]  # which follows from them
    if recipe.fit:
        words |= {"width": "fit"}
        del words["align"]
    defaults = {name: each.default for name, each in options_of(Request).items()}
    words = {name: value for name, value in words.items() if value != defaults[name]}
    for some in (words, words | {"spacing": "random"}):
        if _resolves(some, recipe):
            for name in _FOLLOWING:
                fewer = {key: value for key, value in some.items() if key != name}
                some = fewer if _resolves(fewer, recipe) else some
            return some
    return words


def _resolves(words: dict[str, Any], recipe: Recipe) -> bool:
    """Return whether words, with the glyphs of a recipe, resolve to it."""
    with suppress(MnistseqError, TypeError):
        return not _differing(words, recipe)
    return False


def _differing(words: dict[str, Any], recipe: Recipe) -> str:
    """Return the names of the fields in which a recipe is not what words resolve to."""
    resolved = resolve(Request.of(words), recipe.facts)
    return ", ".join(name for name in options_of(Recipe) if getattr(resolved, name) != getattr(recipe, name))


_MAX_TOML, _MAX_DOTS = 1 << 20, 32
"""Bytes of a recipe in TOML, and dots in a line: a key of many parts takes memory by the square of their number."""


def _toml(path: Path, content: bytes) -> object:
    if len(content) > _MAX_TOML:
        raise FormatError(f"{path} is too large to be true", hint="a long list of sequences is given with `sequences`")
    if any(line.count(b".") > _MAX_DOTS for line in content.splitlines() if not line.lstrip().startswith(b"#")):
        raise FormatError(f"{path} has a line with more than {_MAX_DOTS} dots, which no recipe has")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not TOML ({one_line(str(error), 120)})") from None
