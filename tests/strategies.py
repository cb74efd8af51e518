"""Owns the hypothesis strategies that tests share."""

from typing import Any

from asked import recipe_for
from hypothesis import strategies as st

from mnist_seq_cli.recipe.options.bounds import MAX_SEED
from mnist_seq_cli.recipe.recipe import Recipe


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes with every combination of options that is allowed, and random layouts."""
    some = st.sets(st.integers(0, 9), min_size=1).map(sorted).map(tuple)
    rule = draw(st.sampled_from(["random", "listed", "pattern", "balanced"]))
    wanted: dict[str, Any]
    if rule == "listed":
        sequence = st.lists(st.integers(0, 9), min_size=1, max_size=6).map(tuple)
        wanted = {
            "sequences": draw(st.lists(sequence, min_size=1, max_size=9)),
            "shuffle": draw(st.booleans()),
        }
    elif rule == "pattern":
        patterns = st.sampled_from(["[0-3]{1,4}", r"(19|20)\d{2}", "1(2|3(4|5)?)?", "7"])
        wanted = {"pattern": draw(patterns), "check": draw(st.sampled_from(["", "luhn"]))}
    elif rule == "balanced":
        wanted = {"length": draw(st.integers(1, 3)), "per_label": draw(st.integers(1, 4)), "digits": draw(some)}
    else:
        digits = draw(some)
        sizes = st.dictionaries(st.integers(1, len(digits)), st.integers(1, 9), min_size=1, max_size=4)
        wanted = {
            "length": draw(st.integers(1, len(digits)) | sizes.map(lambda pairs: tuple(pairs.items()))),
            "digits": digits,
            "repeat": draw(st.booleans()),
        }
        if wanted["repeat"] and len(digits) == 10:
            wanted["check"] = draw(st.sampled_from(["", "luhn"]))
    low = draw(st.integers(0, 3))
    return recipe_for(
        seed=draw(st.integers(0, MAX_SEED)),
        min_gap=low,
        max_gap=low + draw(st.integers(0, 4)),
        spacing=draw(st.sampled_from([None, "equal", "random"])),
        invert=draw(st.booleans()),
        **wanted,
    )
