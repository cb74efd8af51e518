"""Owns options: a field of a recipe is declared once, and all that it needs elsewhere follows from the declaration.

From it come the option of the command line and its help, the key in JSON and TOML, the check of its bounds, the keyword
in Python, the row in the table of options, and the fact in `inspect`.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from mnist_seq_cli.recipe.options.kinds import Flag, Kind


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of a field.

    `default` is the value that changes nothing: what a field means that is absent from a file. `flag` is the option of
    the command line, "" for none, and `negative` the one that turns a flag off. `basic` options are in the short help.
    `since` is the version of the recipe that the field was born with.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    flag: str
    negative: str
    basic: bool
    since: int


def option(
    default: Any,
    kind: Kind,
    help: str = "",  # noqa: A002 (the word that Click has for it)
    *,
    flag: str | None = None,
    negative: str = "",
    basic: bool = False,
    since: int = 1,
) -> Any:
    """Return a field of a dataclass that is an option. Without `flag` it is called as the field: --jitter-x."""
    declared = {"kind": kind, "help": help, "flag": flag, "negative": negative, "basic": basic, "since": since}
    return field(default=default, metadata={"option": declared})


def result(default: Any, kind: Kind, *, since: int = 1) -> Any:
    """Return a field that no one asks for, because it follows from others; REQUIRED has no default."""
    return option(default, kind, flag="", since=since)


REQUIRED: Any = MISSING
"""The default of fields that have none."""


_KNOWN: dict[type, dict[str, Option]] = {}


def options_of(part: type) -> dict[str, Option]:
    """Return the options that a part of a recipe, or a whole recipe, declares, by name."""
    if part in _KNOWN:
        return _KNOWN[part]
    found = {}
    for declared in fields(part):
        if "option" in declared.metadata:
            rest = dict(declared.metadata["option"])
            flag = "--" + declared.name.replace("_", "-") if rest["flag"] is None else rest["flag"]
            if isinstance(rest["kind"], Flag) and flag and not rest["negative"]:
                rest["negative"] = flag.replace("--", "--no-", 1)
            found[declared.name] = Option(name=declared.name, default=declared.default, **rest | {"flag": flag})
    _KNOWN[part] = found
    return found


def normalized(part: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return values as the options of `part` keep them; None where that is the default. Raises RequestError."""
    options = options_of(part)
    return {
        name: value if repr(value) == repr(options[name].default) else options[name].kind.normalize(name, value)
        for name, value in values.items()
    }


def check_options(part: type, values: Any) -> None:
    """Raise RequestError for a value of an option of `part` that cannot be; those that are the default are fine."""
    for name, declared in options_of(part).items():
        value = getattr(values, name)
        if repr(value) != repr(declared.default):  # 1.0 and True are 1, and neither is what was declared
            declared.kind.check(name, value)
