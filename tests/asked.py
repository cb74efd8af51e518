"""Owns the short way from options to a recipe or a spec, for tests."""

from pathlib import Path
from typing import Any

from mnist_seq_cli.dataset.request import spec_of
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.glyphs import GlyphFacts
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, resolve
from mnist_seq_cli.recipe.spec import Form, Spec


def recipe_for(**asked: Any) -> Recipe:
    """Return the recipe that options resolve to; the fields of GlyphFacts are those of the glyphs."""
    facts = GlyphFacts(**{name: asked.pop(name) for name in GlyphFacts._fields if name in asked})
    return resolve(Request.of(asked), facts)


def spec_for(directory: Path, source: Source, **asked: Any) -> Spec:
    """Return the spec of a dataset that options ask for, with the glyphs and the background in `source`."""
    form = Form(**{name: asked.pop(name) for name in options_of(Form) if name in asked})
    return spec_of(directory, Request.of(asked), form, source)
