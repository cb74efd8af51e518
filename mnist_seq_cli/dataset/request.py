"""Owns how a request becomes a dataset's spec: with the glyphs and the background that it names, and what is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from mnist_seq_cli import formats
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.manifest import Location, Manifest
from mnist_seq_cli.engine.compose import check_masks
from mnist_seq_cli.engine.glyphs import check_bank
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.formats.format import Format
from mnist_seq_cli.mnist import background_image, bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.request import Request, resolve, with_source
from mnist_seq_cli.recipe.spec import FORM_OPTIONS, Form, Spec


def source_of(request: Request) -> Source:
    """Return the source of the glyphs and the background that a request names. Raises RequestError."""
    files = (request.source, request.source_labels, request.paper, request.writers)
    return bank.find(*files, transposed=request.source_transposed)


def resolved(request: Request, source: Source) -> Recipe:
    """Return the recipe for a request of the glyphs and the background in `source`.

    Raises RequestError for what cannot be, FormatError for files that are not what they should be, OSError.
    """
    glyphs, background = bank.load(source), background_image.load(source)
    recipe = resolve(request, glyphs.facts, None if background is None else background.identity)
    check_bank(recipe, glyphs)
    return recipe


def spec_of(
    directory: Location, request: Request, form: Form, source: Source, *, part: str = "", overwrite: bool = False
) -> Spec:
    """Return the spec for a request; what it leaves open comes from the dataset that is there, or from the format.

    `part` is the name of the split that it is.

    Without `samples`, everything that the recipe lists is written once. An interrupted run is continued with its own
    seed and shard size. Raises RequestError for what cannot be.
    """
    format_ = formats.get(form.format)
    before = complete = None
    if not overwrite:
        with suppress(FormatError, NotADirectoryError):
            before = manifest.read_spec(directory, request.sequences)
        with suppress(FormatError, OSError):
            complete = None if before else manifest.read_manifest(directory)
    shard_size, compression, annotations = form.shard_size, form.compression, {*form.annotations}
    if before is not None:
        request = replace(request, seed=before.recipe.seed if request.seed is None else request.seed)
        shard_size = before.shard_size if shard_size is None else shard_size
        compression = compression or before.compression
        annotations = {*annotations, *before.annotations}
    recipe = resolved(request, source)
    if recipe.fit and not format_.ANY_WIDTH:
        raise RequestError(f"`format={form.format}` takes images of one width only", hint="take png or webdataset")
    if form.masks:
        _check_masks(recipe, format_)
    if form.samples is None and recipe.round is None:
        raise RequestError("the number of samples is missing", hint="give `samples`")
    samples = recipe.round or 0 if form.samples is None else form.samples
    if shard_size is None:
        shard_size = format_.shard_size(samples) if complete is None else _shard_size_in(complete, format_)
    spec = Spec(
        recipe=recipe,
        samples=samples,
        format=form.format,
        compression=compression or format_.COMPRESSION,
        shard_size=shard_size,
        masks=form.masks,
        annotations=FORM_OPTIONS["annotations"].kind.normalize("annotations", annotations),
        request=with_source(request, recipe).to_json(),
    )
    len(spec.plan)  # which checks the numbers
    asked = form.names or ""
    if before is not None and before.format == form.format and not asked.startswith("mnist"):
        return replace(spec, names=before.names)
    return replace(spec, names=format_.names(spec, asked, complete.files if complete else (), part))


def _check_masks(recipe: Recipe, format_: Format) -> None:
    if not format_.MASKS and format_.NAME not in formats.LAYOUTS:
        raise RequestError(f"`format={format_.NAME}` cannot hold masks", hint="leave `masks` out")
    if not format_.MASKS:
        raise RequestError(
            f"`layout={format_.NAME}` cannot hold masks: its readers take every folder for a label",
            hint="leave `masks` out, or take `layout=shards`",
        )
    check_masks(recipe)


def _shard_size_in(complete: Manifest, format_: Format) -> int:
    """Return the size of the shards of a dataset that has lost its recipe.json."""
    samples = max((record.samples for record in complete.records.values()), default=0)
    return samples if len(complete.records) > 1 else max(samples, format_.SHARD_SIZE)
