"""One more option is one field: a toy shows it. And whatever option is typed counts, or is refused by name."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mnist_seq_cli.cli import main
from mnist_seq_cli.cli.help import GroupedCommand
from mnist_seq_cli.cli.options import declared_options, headings_of, typed
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.recipe import recipe_file
from mnist_seq_cli.recipe.options.kinds import Integer
from mnist_seq_cli.recipe.options.option import option, options_of
from mnist_seq_cli.recipe.parts.appearance import Appearance
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request

# A toy option


@dataclass(frozen=True, kw_only=True)
class ToyAppearance(Appearance):
    blur: int = option(0, Integer(0, 9), "Blur each image, by PX.  [default: 0]", basic=True, since=2)


@dataclass(frozen=True, kw_only=True)
class ToyRecipe(Recipe, ToyAppearance):
    """A recipe with one more option."""


@dataclass(frozen=True, kw_only=True)
class ToyRequest(Request, ToyAppearance):
    """A request with one more option."""


def test_a_toy_option_is_checked_and_written_to_json() -> None:
    recipe = ToyRecipe(seed=1, length=2, width=56, blur=3)
    assert recipe.to_json()["blur"] == 3
    assert ToyRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(RequestError, match="`blur` is 10; it has to be 0 to 9"):
        replace(recipe, blur=10)
    with pytest.raises(FormatError, match=r"the recipe has blur = '3', which should be of type int"):
        ToyRecipe.from_json({**recipe.to_json(), "blur": "3"})
    assert ToyRequest.of({"blur": 3}).to_json() == {"blur": 3}


def test_a_toy_option_changes_no_recipe_that_there_is() -> None:
    old = Recipe(seed=1, length=2, width=56)
    new = ToyRecipe.from_json(old.to_json())
    assert new.blur == 0
    assert new.fingerprint == old.fingerprint
    assert replace(new, blur=1).fingerprint != old.fingerprint
    with pytest.raises(FormatError, match="the recipe has unknown key 'blur'"):
        Recipe.from_json(replace(new, blur=1).to_json())


def test_a_toy_option_has_its_place_in_the_help_and_on_the_command_line() -> None:
    @click.command(cls=GroupedCommand, headings=headings_of(Appearance))
    @declared_options(Appearance, ToyAppearance)
    @click.pass_context
    def toy(context: click.Context, /, **_: Any) -> None:
        click.echo(json.dumps(typed(context)))

    shown = CliRunner().invoke(toy, ["--help"]).output
    assert "--blur PX" in shown
    assert "Blur each image, by PX." in shown
    assert "--blur PX" in CliRunner().invoke(toy, ["--help-all", "appearance"]).output
    assert json.loads(CliRunner().invoke(toy, ["--blur", "4", "--no-invert"], catch_exceptions=False).output) == {
        "blur": 4,
        "invert": False,
    }


# What is typed counts

OTHER: dict[str, tuple[Any, list[str]]] = {
    "length": (3, ["--len", "3"]),
    "pattern": ("1{3}", ["--pattern", "1{3}"]),
    "per_label": (2, ["--per-label", "2"]),
    "digits": ((0, 1, 2), ["--digits", "0-2"]),
    "repeat": (False, ["--no-repeat"]),
    "check": ("luhn", ["--check", "luhn"]),
    "operands": (2, ["--operands", "2"]),
    "label_order": ("multidigitmnist", ["--label-order", "multidigitmnist"]),
    "shuffle": (True, ["--shuffle"]),
    "min_gap": (1, ["--min", "1"]),
    "max_gap": (9, ["--max", "9"]),
    "width": ("fit", ["--width", "fit"]),
    "spacing": ("equal", ["--spacing", "equal"]),
    "crop": ("tight", ["--crop", "tight"]),
    "height": (99, ["--height", "99"]),
    "align": ("center", ["--align", "center"]),
    "margin": (5, ["--margin", "5"]),
    "jitter_x": (3, ["--jitter-x", "3"]),
    "jitter_y": (2, ["--jitter-y", "2"]),
    "slant": ((-5, 5), ["--slant", "-5-5"]),
    "rotate": ((-5, 5), ["--rotate", "-5-5"]),
    "scale": ((90, 100), ["--scale", "90-100"]),
    "stroke": ((0, 1), ["--stroke", "0-1"]),
    "contrast": ((50, 60), ["--contrast", "50-60"]),
    "paper": ("grain", ["--paper", "grain"]),
    "noise": (4, ["--noise", "4"]),
    "invert": (False, ["--no-invert"]),
    "source": ("test", ["--source", "test"]),
    "glyphs": ("once", ["--glyphs", "once"]),
    "writer": ("same", ["--writer", "same"]),
    "exclude_mislabeled": (True, ["--exclude-mislabeled"]),
    "seed": (77, ["--seed", "77"]),
}
NOT_TYPED = {"sequences", "source_labels", "source_transposed", "writers", "pool", "writer_pool", "label_pool"}
"""Options whose values are files, and fields that are no options."""

UNDER = {
    "double-mnist": ["--preset", "double-mnist", "-n", "9"],
    "multimnist": ["--preset", "multimnist", "-n", "9"],
    "a recipe file": ["--recipe", "r.toml"],
    "a pattern in a file": ["--recipe", "p.toml"],
}


def test_every_option_is_typed_here() -> None:
    assert OTHER.keys() | NOT_TYPED == options_of(Request).keys()


@pytest.mark.parametrize("under", UNDER)
@pytest.mark.parametrize("name", OTHER)
def test_what_was_typed_counts_or_is_refused_by_name(
    name: str, under: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = 'samples = 9\nseed = 5\nmin_gap = 2\nmax_gap = 4\ninvert = true\nslant = "-9-9"\nheight = 80\n'
    Path("r.toml").write_text(f"length = 2\n{common}")
    Path("p.toml").write_text(f"pattern = '2[0-9]'\n{common}")
    value, flags = OTHER[name]
    code = main.run(["dataset", *UNDER[under], *flags, "-o", "out"])
    _, err = capfd.readouterr()
    if code:
        assert code == 2
        assert err.count("\n") == 1
        assert "--" in err  # what was typed, or what it does not go with
        return
    asked = recipe_file.read(Path("out/recipe.json"))
    default = options_of(Request)[name].default
    assert asked.get(name, default) == value
