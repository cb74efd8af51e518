"""Owns the Click options of declared options, and which options were typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mnist_seq_cli.cli.help import GroupedOption
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.formats import FORMAT_NAMES, LAYOUTS, names
from mnist_seq_cli.recipe.options.kinds import Choice, Flag, Integer, IntegerOr, Kind, NameOrPath, SequenceList, Text
from mnist_seq_cli.recipe.options.option import Option, options_of
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, Glyphs
from mnist_seq_cli.recipe.request import Request
from mnist_seq_cli.storage.location import local_path, located

if TYPE_CHECKING:
    from mnist_seq_cli.mnist.bank import Source

Command = TypeVar("Command", bound=Callable[..., Any])


class _Declared(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    """The Click type of an option, which parses text as its kind does."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.name, self._kind = name, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value in text. Raises RequestError."""
        return self._kind.parse(self.name, value) if isinstance(value, str) else value


def click_option(declared: Option, heading: str, *flags: str, **more: Any) -> Callable[[Command], Command]:
    """Return the Click option for a declared one; `flags` and `more` override what follows from the declaration."""
    names = [*flags, declared.flag] if not flags else list(flags)
    kind = declared.kind
    if isinstance(kind, Flag):
        names = [f"{names[0]}/{declared.negative}"]
        settings: dict[str, Any] = {"is_flag": True, "default": None}
    elif isinstance(kind, Choice):
        settings = {"type": click.Choice([choice for choice in kind.choices if choice])}
    elif isinstance(kind, Integer) and not isinstance(kind, IntegerOr):
        settings = {"type": int, "metavar": kind.metavar}
    elif isinstance(kind, Text | NameOrPath | SequenceList):
        settings = {"metavar": kind.metavar}
    else:
        settings = {"type": _Declared(declared.name, kind), "metavar": kind.metavar}
    settings |= {"help": declared.help, **more}
    return click.option(*names, declared.name, cls=GroupedOption, heading=heading, basic=declared.basic, **settings)


def declared_options(*parts: type, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Return a decorator that adds the options declared by parts of a request to a command, under their headings."""

    def add(command: Command) -> Command:
        for part in reversed(parts):
            inherited = set().union(*(options_of(base) for base in part.__bases__ if base is not object))
            for name, declared in reversed(options_of(part).items()):
                if declared.flag and name not in inherited and name not in without:
                    heading = (Glyphs if part is Request and name != "seed" else part).HEADING[0]  # type: ignore[attr-defined]
                    command = click_option(declared, heading)(command)
        return command

    return add


def headings_of(*parts: type) -> dict[str, str]:
    """Return the headings of parts of a request, each with a line that describes it."""
    return dict(part.HEADING for part in parts)  # type: ignore[attr-defined]


def typed(context: click.Context) -> dict[str, Any]:
    """Return the options that were typed, by name."""
    from click.core import ParameterSource

    return {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def format_of(layer: dict[str, Any]) -> dict[str, Any]:
    """Return a layer with one `format` for --format and --layout. Raises RequestError where they contradict."""
    name, arrangement = layer.get("format"), layer.pop("layout", None)
    if arrangement is None:
        return layer
    if arrangement != LAYOUTS[0]:
        if name not in (None, "png"):
            raise RequestError(
                f"`layout={arrangement}` is for PNG files, and `format={name}` has none", hint="leave one of them out"
            )
        return {**layer, "format": arrangement}
    return layer if name is not None else {**layer, "layout": arrangement}


class LocalPath(click.Path):
    """A path on this machine, to be read or written to; s3://bucket/out is refused.

    With `or_store` it may be the location of a dataset in an object store.
    """

    def __init__(self, action: str = "read", *, or_store: bool = False) -> None:
        super().__init__(path_type=Path)
        self._action, self._parse = action, located if or_store else local_path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the object store. Raises RequestError for one that is elsewhere."""
        found = self._parse(value, self._action)
        return super().convert(found, param, ctx) if isinstance(found, Path) else found


class _FormatChoice(click.Choice[str]):
    """The formats of the table; an unknown name is looked up among those of other packages."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name of a format."""
        added = value not in FORMAT_NAMES and value in names()
        return value if added else super().convert(value, param, ctx)


def grouped(*names: str, heading: str = "Glyphs", basic: bool = False, **settings: Any) -> Callable[[Command], Command]:
    """Return a Click option that is not part of a recipe; `basic` ones are in the short help."""
    return click.option(*names, cls=GroupedOption, heading=heading, basic=basic, **settings)


_FORMS = [name for name in FORMAT_NAMES if name not in LAYOUTS]

format_option = grouped(
    "--format",
    heading="Output",
    basic=True,
    type=_FormatChoice(_FORMS),
    metavar="FORMAT",
    help=f"File format: {', '.join(_FORMS)}.  [default: png]",
)
layout_option = grouped(
    "--layout",
    heading="Output",
    type=click.Choice(LAYOUTS),
    help="Folders of PNG files: one per shard; one per label, <label>/<k>_<label>.png; one for all.  [default: shards]",
)


def source_options(command: Command, *, multiple: bool = False) -> Command:
    """Add --source and the other options about custom glyphs to a command that reads."""
    transposed = options_of(Request)["source_transposed"]
    command = grouped(transposed.flag, is_flag=True, help=transposed.help)(command)
    for name in ("writers", "source_labels"):
        declared = options_of(Request)[name]
        command = grouped(declared.flag, multiple=multiple, metavar=declared.kind.metavar, help=declared.help)(command)
    return grouped(
        "--source",
        multiple=multiple,
        metavar="|".join((*BUNDLED_SOURCES, "IMAGES")),
        help="MNIST file or custom images.  [default: those of the recipe, or all]",
    )(command)


def own_source(
    source: str | None, labels: str | None, writers: str | None, *, transposed: bool = False
) -> Source | None:
    """Return the source that was typed, or None."""
    from mnist_seq_cli.mnist import bank

    if not (source or labels or writers or transposed):
        return None
    return bank.find(source or "train", labels, writers=writers, transposed=transposed)
