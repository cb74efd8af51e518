"""Owns single strips as files: which sequences make which files, and where they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mnist_seq_cli.codecs import png
from mnist_seq_cli.engine.compose import check_masks, compose, spans
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.recipe import Digits, Recipe, format_sequence, parse_sequence
from mnist_seq_cli.storage import local

MAX_NAME = 255
MAX_STRIPS = 1_000_000


class Strip(NamedTuple):
    """One strip to be made: sample `number` of a recipe, under a name without its ending."""

    recipe: Recipe
    number: int
    name: str


def plan(sequences: Iterable[Digits], source: Source, *, seed: int, count: int = 1, **looks: Any) -> list[Strip]:
    """Return the strips for the sequences, `count` of each; `looks` are as for `Recipe.request`.

    Strip i of the run is sample i of a recipe for its sequence alone; or, where glyphs come once each, which is counted
    through the run, of one recipe for all of them. A sequence that is made once is named `1-2-3`, one that is made more
    often `1-2-3_0`, `1-2-3_1`, and so on. Raises RequestError, before anything is made, for what cannot be.
    """
    if count < 1:
        raise RequestError(f"--count is {count}", hint="ask for 1 or more")
    glyphs = bank.load(source)
    listed = list(sequences)
    if not listed:
        raise RequestError("there are no sequences to write", hint="give some, or pipe them in with -")
    if len(listed) * count > MAX_STRIPS:
        raise RequestError(
            f"{len(listed) * count} strips are too many for single files",
            hint=f"{MAX_STRIPS} at most; mnistseq dataset makes more",
        )
    wanted = [sequence for sequence in listed for _ in range(count)]
    asked = {"seed": seed, **looks, **background_image.facts(source)}
    if looks.get("glyphs") == "once":
        recipes = dict.fromkeys(wanted, Recipe.request(sequences=_of_one_length(wanted), **asked))
    else:
        recipes = {sequence: Recipe.request(sequences=(sequence,), **asked) for sequence in dict.fromkeys(wanted)}
    for recipe in {id(recipe): recipe for recipe in recipes.values()}.values():
        check_bank(recipe, glyphs)
    total, seen = Counter(wanted), Counter[Digits]()
    strips = []
    for index, sequence in enumerate(wanted):
        name = format_sequence(sequence)
        if total[sequence] > 1:
            name = f"{name}_{seen[sequence]}"
            seen[sequence] += 1
        strips.append(Strip(recipes[sequence], index, name))
    return strips


def _of_one_length(sequences: Sequence[Digits]) -> Sequence[Digits]:
    """Return the sequences. Raises RequestError for several lengths, whose strips are no samples of one recipe."""
    shortest, longest = min(map(len, sequences)), max(map(len, sequences))
    if shortest < longest:
        raise RequestError(
            f"--glyphs once counts through strips of one length, and these have {shortest} to {longest} digits",
            hint="mnistseq dataset --labels takes sequences of any lengths",
        )
    return sequences


def encode(strips: Sequence[Strip], source: Source, *, masks: bool = False) -> Iterator[list[bytes]]:
    """Yield each strip as the bytes of a PNG file, and its mask, if that is asked for, as those of another.

    Strips of one recipe are made some at a time.
    """
    glyphs, background = bank.load(source), background_image.load(source)
    for _, group in groupby(strips, lambda strip: id(strip.recipe)):
        run = list(group)
        for first, stop in spans(run[0].recipe, run[0].number, run[-1].number + 1):
            batch = compose(run[0].recipe, glyphs, first, stop, masks=masks, background=background)
            arrays = [batch.images] if batch.masks is None else [batch.images, batch.masks]
            yield from map(list, zip(*(png.encode(array, "small", batch.widths) for array in arrays), strict=True))


def write(
    strips: list[Strip], output: Path, source: Source, *, to_directory: bool = False, masks: bool = False
) -> Iterator[Path]:
    """Write each strip, with `masks` its mask beside it, and yield the path of each file once it is there.

    `output` is the file itself for one strip and a name that ends in .png, unless `to_directory`; else a directory,
    made where it is missing. The mask of 1-2-3.png is 1-2-3.mask.png. Raises RequestError, before anything is written,
    for a file name or a mask that cannot be; OSError.
    """
    if masks:
        for strip in strips:
            check_masks(strip.recipe)
    to_file = output.suffix.lower() == ".png" and not to_directory and not output.is_dir()
    if to_file and len(strips) > 1:
        raise RequestError(f"{len(strips)} strips do not go into one file, {output}", hint="give a directory with -o")
    pictures = [output if to_file else output / f"{strip.name}.png" for strip in strips]
    paths = [[path, *([path.with_name(path.stem + png.MASK_SUFFIX)] if masks else [])] for path in pictures]
    longest = max((path for both in paths for path in both), key=lambda path: len(path.name))
    if len(longest.name) > MAX_NAME - len(local.partial_name(Path("x")).name):
        raise RequestError(
            f"the name of a strip would have {len(longest.name)} characters, too many for a file",
            hint="name the file with -o FILE.png",
        )
    local.make_directory(pictures[0].parent)
    for both, contents in zip(paths, encode(strips, source, masks=masks), strict=True):
        for path, content in zip(both, contents, strict=True):
            local.write_whole(path, content, sync=False)
            yield path


def read_sequences(lines: Iterable[str]) -> list[Digits]:
    """Return the sequences of a text, one a line; blank lines are passed over.

    Raises RequestError, with the number of the line, for anything else.
    """
    sequences = []
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        if text.strip():
            try:
                sequences.append(parse_sequence(text))
            except RequestError as error:
                raise RequestError(f"line {number}: {error.args[0]}", hint=error.hint) from None
    return sequences
