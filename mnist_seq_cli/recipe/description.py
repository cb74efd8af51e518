"""Owns a recipe in words."""

from __future__ import annotations

from mnist_seq_cli.recipe.options.notation import format_sequence
from mnist_seq_cli.recipe.options.option import options_of
from mnist_seq_cli.recipe.parts.appearance import RANGE_UNITS
from mnist_seq_cli.recipe.parts.placement import FULL
from mnist_seq_cli.recipe.recipe import Recipe

IN_WORDS = {
    *("seed", "length", "lengths", "digits", "repeat", "sequences", "shuffle", "pattern", "per_label", "check"),
    *("operands", "label_order"),
    *("spacing", "min_gap", "max_gap", "width", "source", "glyph_height", "glyph_width", "invert"),
    *("crop", "height", "fit", "align", "margin", "jitter_x", "jitter_y", "paper", "noise", *RANGE_UNITS),
    *("ink_height", "ink_width", "exclude_mislabeled", "glyphs", "writer", "pool", "writer_pool", "label_pool"),
}
"""The fields of a recipe that have words of their own here; any other is shown as it was declared."""

_FEW = 20


def facts(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the facts of a recipe: pairs of a name and a few words."""
    written, placed, looks = _written(recipe), _placement(recipe), _appearance(recipe)
    return [
        ("strips", _canvas(recipe)),
        ("digits", _digits(recipe)),
        *([("written", written)] if written else []),
        ("gaps", _gaps(recipe)),
        *([("placement", placed)] if placed else []),
        *([("appearance", looks)] if looks else []),
        *_declared(recipe),
        ("source", source(recipe)),
        ("seed", str(recipe.seed)),
    ]


def _declared(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the other options that change something, as they were declared: each with its name and its value."""
    facts = []
    for name, declared in options_of(type(recipe)).items():
        value = getattr(recipe, name)
        if name not in IN_WORDS and value != declared.default:
            facts.append((name.replace("_", " "), "yes" if value is True else str(declared.kind.to_json(value))))
    return facts


def _digits(recipe: Recipe) -> str:
    if recipe.lengths:
        sizes = [size for size, _ in recipe.lengths]
        if len({weight for _, weight in recipe.lengths}) == 1:
            run = sizes == list(range(sizes[0], sizes[-1] + 1))
            return (f"{sizes[0]} to {sizes[-1]}" if run else _and(sizes)) + " a strip, all lengths equally likely"
        shares = ", ".join(f"{size} ({weight})" for size, weight in recipe.lengths[:_FEW])
        return f"a strip, with weights: {shares}" + (", …" if len(sizes) > _FEW else "")
    shortest = recipe.sequences.shortest or recipe.length
    if recipe.pattern:
        return f"up to {recipe.length} a strip"
    return f"{recipe.length} a strip" if shortest == recipe.length else f"{shortest} to {recipe.length} a strip"


def _written(recipe: Recipe) -> str:
    parts = []
    if recipe.sequences:
        order = "in a new order each round" if recipe.shuffle else "in their order, and then again"
        shown = ", ".join(format_sequence(sequence) for sequence in recipe.sequences[:3])
        more = ", …" if len(recipe.sequences) > 3 else ""
        parts.append(f"{len(recipe.sequences):,} given sequences ({shown}{more}), {order}")
    if recipe.pattern:
        parts.append(f"what the pattern {recipe.pattern} stands for")
    if recipe.per_label:
        parts.append(f"every sequence of {recipe.length} digits {recipe.per_label:,} times, shuffled")
    if recipe.operands:
        parts.append(f"{recipe.operands} numbers each, with their sum")
    if len(recipe.digits) < 10:
        parts.append(f"only the digits {_and(list(recipe.digits))}")
    if not recipe.repeat:
        parts.append("no digit twice in a strip")
    if recipe.check:
        parts.append(f"the last one is a {recipe.check.capitalize()} check digit")
    return "; ".join(parts)


def _canvas(recipe: Recipe) -> str:
    size = f"{recipe.width}×{recipe.height} px" + (" at most, each as wide as it has to be" if recipe.fit else "")
    known = {"plain": "", "gradient": ", on a background with a gradient", "grain": ", on a background with grain"}
    background = known.get(recipe.paper, f", on a custom background ({recipe.paper[:15]}…)")
    noise = f", noise of {recipe.noise} grey levels" if recipe.noise else ""
    return size + (", white on black" if recipe.invert else "") + background + noise


def _gaps(recipe: Recipe) -> str:
    between = " between ink and ink" if recipe.crop == "tight" else ""
    if recipe.min_gap == recipe.max_gap:
        return f"{recipe.min_gap} px{between}"
    each = "one for each strip" if recipe.spacing == "equal" else "each for itself"
    return f"{recipe.min_gap} to {recipe.max_gap} px{between}, {each}"


def _placement(recipe: Recipe) -> str:
    parts = [f"aligned {recipe.align}"] if recipe.align != "left" else []
    parts += [f"a margin of {recipe.margin} px"] if recipe.margin else []
    parts += [f"moved sideways by up to {recipe.jitter_x} px"] if recipe.jitter_x else []
    if recipe.jitter_y:
        how_far = "over the whole height" if recipe.jitter_y == FULL else f"by up to {recipe.jitter_y} px"
        parts.append(f"moved up and down {how_far}")
    return ", ".join(parts)


def _appearance(recipe: Recipe) -> str:
    ranges = recipe.sampled_ranges.items()
    return ", ".join(f"{name} {low} to {high}{RANGE_UNITS[name]}" for name, (low, high) in ranges)


def source(recipe: Recipe) -> str:
    """Return the glyphs and sequences that a recipe takes from its source, in a few words."""
    size = (recipe.glyph_width, recipe.glyph_height)
    text = recipe.source
    if size != (28, 28):
        text += f", glyphs of {size[0]}×{size[1]} px, ink of at most {recipe.ink_width}×{recipe.ink_height} px"
    pools = {"glyphs": recipe.pool, "writers": recipe.writer_pool, "sequences": recipe.label_pool}
    for what, (low, high, whole) in pools.items():
        text += f", {what} {low / whole:.1%} to {high / whole:.1%}" if (low, high) != (0, whole) else ""
    text += " in the order of MultiDigitMNIST's classes" if recipe.label_order == "multidigitmnist" else ""
    text += ", without known wrong labels" if recipe.exclude_mislabeled else ""
    text += ", each sequence by one hand" if recipe.writer == "same" else ""
    return text + (", each glyph once" if recipe.glyphs == "once" else "")


def _and(values: list[int]) -> str:
    shown = list(map(str, values))
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
