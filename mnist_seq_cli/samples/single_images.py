"""Owns single images of sequences as files: their names, their content and their masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset.request import resolved, source_of
from mnist_seq_cli.engine.compose import check_masks, compose, spans
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.options.notation import Digits, format_sequence
from mnist_seq_cli.recipe.options.sequences import Sequences
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, draw_seed
from mnist_seq_cli.storage import local

MAX_NAME = 255
MAX_IMAGES = 1_000_000


class SingleImage(NamedTuple):
    """One image to be made: sample `number` of a recipe, under a name without its ending."""

    recipe: Recipe
    number: int
    name: str


class Prepared(NamedTuple):
    """The images to be made, the source of their glyphs, and their seed."""

    images: list[SingleImage]
    source: Source
    seed: int


def prepare(sequences: Iterable[Digits], request: Request, *, count: int = 1) -> Prepared:
    """Return the images of sequences, `count` of each, as `request` asks for them.

    Image i of the run is sample i of a recipe for its sequence alone; or, where glyphs are used once each, which is
    counted through the run, of one recipe for all of them. A sequence that is made once is named `1-2-3`, one that is
    made more often `1-2-3_0`, `1-2-3_1`, and so on. Raises RequestError, before anything is made, for what cannot be.
    """
    if count < 1:
        raise RequestError(f"`count` is {count}", hint="ask for 1 or more")
    source = source_of(request)
    request = replace(request, seed=draw_seed() if request.seed is None else request.seed)
    each = list(sequences)
    if not each:
        raise RequestError("there are no sequences to write", hint="give some, or pipe them in with -")
    if len(each) * count > MAX_IMAGES:
        problem = f"{len(each) * count} strips are too many for single files"
        raise RequestError(problem, hint=f"{MAX_IMAGES} at most; mnistseq dataset makes more")
    each = [sequence for sequence in each for _ in range(count)]
    if request.glyphs == "once":
        shortest, longest = min(map(len, each)), max(map(len, each))
        if shortest < longest:
            digits = f"{shortest} to {longest} digits"
            problem = f"`glyphs=once` counts through strips of one length, and these have {digits}"
            raise RequestError(problem, hint="mnistseq dataset `sequences` takes sequences of any lengths")
        recipes = dict.fromkeys(each, resolved(replace(request, sequences=Sequences.of(each)), source))
    else:
        recipes = {
            one: resolved(replace(request, sequences=Sequences.of([one])), source) for one in dict.fromkeys(each)
        }
    total, named = Counter(each), Counter[Digits]()
    images = []
    for index, sequence in enumerate(each):
        name = format_sequence(sequence)
        if total[sequence] > 1:
            name = f"{name}_{named[sequence]}"
            named[sequence] += 1
        images.append(SingleImage(recipes[sequence], index, name))
    return Prepared(images, source, images[0].recipe.seed)


def encode(prepared: Prepared, *, masks: bool = False) -> Iterator[list[bytes]]:
    """Yield each image as the bytes of a PNG file, and its mask, if that is asked for, as those of another."""
    glyphs, background = bank.load(prepared.source), background_image.load(prepared.source)
    for _, group in groupby(prepared.images, lambda image: id(image.recipe)):
        run = list(group)
        recipe = run[0].recipe
        for first, stop in spans(recipe, run[0].number, run[-1].number + 1):
            batch = compose(recipe, glyphs, first, stop, masks=masks, background=background)
            arrays = [batch.images] if batch.masks is None else [batch.images, batch.masks]
            yield from map(list, zip(*(png.encode(array, "small", batch.widths) for array in arrays), strict=True))


def write(prepared: Prepared, output: Path, *, to_directory: bool = False, masks: bool = False) -> Iterator[Path]:
    """Write each image, with `masks` its mask beside it, and yield the path of each file once it is there.

    `output` is the file itself for one image and a name that ends in .png, unless `to_directory`; else a directory,
    made where it is missing. The mask of 1-2-3.png is 1-2-3.mask.png. Raises RequestError, before anything is written,
    for a file name or a mask that cannot be; OSError.
    """
    if masks:
        for image in prepared.images:
            check_masks(image.recipe)
    to_file = output.suffix.lower() == ".png" and not to_directory and not output.is_dir()
    if to_file and len(prepared.images) > 1:
        problem = f"{len(prepared.images)} strips do not go into one file, {output}"
        raise RequestError(problem, hint="give a directory with `output`")
    paths = [output if to_file else output / f"{image.name}.png" for image in prepared.images]
    longest = max(len(path.name) for path in paths) + (len(png.MASK_SUFFIX) - len(".png")) * masks
    if longest > MAX_NAME - len(local.partial_name(Path("x")).name):
        problem = f"the name of a strip would have {longest} characters, too many for a file"
        raise RequestError(problem, hint="name the file with `output=FILE.png`")
    local.make_directory(paths[0].parent)
    for image_path, contents in zip(paths, encode(prepared, masks=masks), strict=True):
        mask_path = image_path.with_name(image_path.stem + png.MASK_SUFFIX)
        for path, content in zip((image_path, mask_path), contents, strict=False):
            local.write_whole(path, content, sync=False)
            yield path
