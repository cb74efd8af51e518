"""Owns the card of a dataset: README.md, by which the hub's loader knows what samples are, a picture, croissant.json.

A card is written at the end of a build, and again with each repair. It begins with a line of ours: a README.md without
that line is somebody's own, which no run replaces. Datasets of earlier versions have no card, and are sound without.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

import numpy as np

from mnist_seq_cli import formats
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset.hub import croissant
from mnist_seq_cli.dataset.hub.croissant import CITATION, CROISSANT_NAME, MNIST_LICENCE
from mnist_seq_cli.dataset.records import Record
from mnist_seq_cli.dataset.shards import composed
from mnist_seq_cli.engine.batch import spelled
from mnist_seq_cli.engine.writing import sequences
from mnist_seq_cli.formats.trainers.boxes import data_yaml
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe import description
from mnist_seq_cli.recipe.parts.glyphs import BUNDLED_SOURCES, EVERYTHING
from mnist_seq_cli.recipe.spec import RECIPE_NAME, Spec, hub_name
from mnist_seq_cli.storage.location import open_store
from mnist_seq_cli.storage.store import Files, FileSum, Store

CARD_NAME, DATA_NAME = "README.md", "data.yaml"
OF_SPLITS = (CARD_NAME, DATA_NAME)
"""The files that directories of splits may have."""

PICTURE_NAME = "mnistseq-strips.png"
"""The picture of formats whose own files are no pictures. A reader of images would take it for a sample elsewhere."""

_OURS = b"---\n# Written by mnistseq, which writes it again. Remove this line to keep a card of your own.\n"
_SHOWN = 4
"""Strips in the picture."""

_ATTRIBUTION = f"""\
Every image is made of digits of MNIST, © Yann LeCun and Corinna Cortes, with Christopher J. C. Burges, derived from
NIST's Special Databases 1 and 3. MNIST is available under the licence [CC BY-SA 3.0]({MNIST_LICENCE}), which goes with
these images. {CITATION}.
"""


def names(spec: Spec) -> tuple[str, ...]:
    """Return the files of the card, which a dataset may have."""
    has_pictures = formats.get(spec.format).image_names(spec, range(1))
    return (CARD_NAME, CROISSANT_NAME, *([] if has_pictures else [PICTURE_NAME]))


def fits(spec: Spec, files: Mapping[str, FileSum]) -> bool:
    """Return whether a manifest of these files is about such a dataset, with its card or without."""
    format_ = formats.get(spec.format)
    needed = {*format_.file_names(spec), *(side.name for side in format_.beside(spec))}
    return needed <= files.keys() <= needed | {*names(spec)}


def is_ours(files: Files, name: str = CARD_NAME) -> bool:
    """Return whether a file may be written: there is none, or one that a run wrote, damaged or not. Raises OSError."""
    head = croissant.HEAD if name == CROISSANT_NAME else _OURS
    try:
        with files.open(name if name == CROISSANT_NAME else CARD_NAME) as file:
            start = file.read(len(head))
    except FileNotFoundError:
        return True
    same = sum(mine == theirs for mine, theirs in zip(head, start, strict=False))
    return not start or same >= 0.9 * len(head)


def write(
    store: Store, spec: Spec, source: Source, sums: Mapping[str, FileSum], records: Iterable[Record]
) -> dict[str, FileSum]:
    """Write the card of a dataset of these files and records, and return the sums of its files. Raises OSError."""
    contents = {
        CARD_NAME: lambda: render({"": spec}).encode(),
        CROISSANT_NAME: lambda: croissant.render(spec, sums, records),
        PICTURE_NAME: lambda: _picture(spec, source),
    }
    return {name: store.put(name, [contents[name]()]) for name in names(spec) if is_ours(store, name)}


def write_for_splits(store: Store, specs: Mapping[str, Spec]) -> None:
    """Write the card of a directory of splits, by their names, of which each has one; and YOLO's data.yaml for all.

    Raises OSError.
    """
    spec = next(iter(specs.values()))
    if "yolo" in spec.annotations:
        inside = "" if spec.format == "folders" else "/images"
        folders = {"train": next(iter(specs)), "val": "test" if "test" in specs else list(specs)[-1]}
        folders |= {"val" if name == "validation" else name: name for name in specs}
        store.put(DATA_NAME, [data_yaml({name: f"{folder}{inside}" for name, folder in folders.items()})])
    with_cards = all(open_store(f"{store}/{name}").size(CARD_NAME) is not None for name in specs)
    if with_cards and is_ours(store):
        store.put(CARD_NAME, [render(specs).encode()])


def remove(store: Store, spec: Spec) -> None:
    """Remove the card, unless it is somebody's own. Raises OSError."""
    for name in reversed(names(spec)):
        if is_ours(store, name):
            store.remove(name)


def command(spec: Spec, directory: str, output: str = "again/") -> str:
    """Return the command that makes the same dataset again from the recipe in `directory`, in a directory `output`.

    A custom source or background is known by its content alone, so that the names of its files have to be filled in.
    """
    recipe = f"{directory.rstrip('/')}/{RECIPE_NAME}" if directory else RECIPE_NAME
    words = ["mnistseq", "dataset", "--recipe", recipe, "-n", str(spec.samples)]
    if spec.recipe.source not in BUNDLED_SOURCES:
        words += ["--source", "IMAGES", "--source-labels", "LABELS"]
        words += ["--writers", "WRITERS"] * (spec.recipe.writer == "same" or spec.recipe.writer_pool != EVERYTHING)
    words += ["--paper", "PICTURE"] * spec.recipe.has_custom_background
    words += [*formats.option(spec.format).split(), "--compression", spec.compression]
    words += ["--shard-size", str(spec.shard_size), *(["--masks"] if spec.masks else [])]
    words += [word for name in spec.annotations for word in ("--annotations", name)]
    return shlex.join([*words, "-o", output])


def render(specs: Mapping[str, Spec]) -> str:
    """Return the card of splits by name, in folders of these names; or of one dataset, whose name is empty."""
    spec = next(iter(specs.values()))
    samples = sum(each.samples for each in specs.values())
    splits = {name: f"{each.samples:,} images" for name, each in specs.items() if name}
    rows = [
        *splits.items(),
        *(fact for fact in description.facts(spec.recipe) if not splits or fact[0] not in ("source", "seed")),
    ]
    again = (command(each, name, f"../again/{name}") for name, each in specs.items())
    parts = [
        _front_matter(specs, samples),
        f"# {samples:,} images of digit sequences\n",
        "\n".join(_strips(name, each) for name, each in list(specs.items())[:1]),
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)]) + "\n",
        _loading(spec),
        "Made by mnistseq. In this directory, this makes the same again:\n",
        "\n".join(["```sh", *again, "```\n"]),
        f"## Licence\n\n{_ATTRIBUTION}" if _is_mnist(spec) else "",
    ]
    return "\n".join(part for part in parts if part)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _is_mnist(spec: Spec) -> bool:
    return spec.recipe.source in BUNDLED_SOURCES


def _front_matter(specs: Mapping[str, Spec], samples: int) -> str:
    """Return what the hub reads: the licence, tags, and which files are the samples of each split."""
    spec = next(iter(specs.values()))
    lines = ["pretty_name: Digit sequences"]
    lines += ["license: cc-by-sa-3.0"] * _is_mnist(spec)
    lines += ["task_categories:", "- image-to-text", "tags:", "- digits", *(["- mnist"] * _is_mnist(spec))]
    lines += ["- ocr", "- synthetic", "size_categories:", f"- {_size_category(samples)}"]
    if patterns := formats.get(spec.format).HUB_FILES:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        splits = _hub_names([name or each.split for name, each in specs.items()])
        for name, split in zip(specs, splits, strict=True):
            lines += [f"  - split: {split}", "    path:"]
            lines += [f'    - "{name}/{pattern}"' if name else f'    - "{pattern}"' for pattern in patterns]
    return "\n".join([_OURS.decode().rstrip(), *lines, "---\n"])


def _hub_names(splits: list[str]) -> list[str]:
    """Return what the hub calls splits: letters, digits and underscores, no name twice."""
    renamed = list(map(hub_name, splits))
    if len({*renamed}) == len(renamed):
        return renamed
    return [f"{name.replace('-', '_')}_{number}" for number, name in enumerate(splits)]


def _size_category(samples: int) -> str:
    """Return the hub's name for so many samples: `n<1K`, `1K<n<10K`, and so on."""
    bounds = [f"{each}{unit}" for unit in "KMB" for each in (1, 10, 100)] + ["1T"]
    power = (len(str(samples)) - 1) - 3
    return f"n<{bounds[0]}" if power < 0 else f"{bounds[power]}<n<{bounds[power + 1]}"


def _first_labels(spec: Spec) -> list[str]:
    digits, lengths = sequences(spec.recipe, range(min(_SHOWN, spec.samples)))
    return spelled(digits.astype(np.uint8), lengths)


def _strips(folder: str, spec: Spec) -> str:
    """Return the first strips as pictures, with their labels."""
    labels = _first_labels(spec)
    prefix = f"{folder}/" if folder else ""
    if files := formats.get(spec.format).image_names(spec, range(len(labels))):
        shown = [f"![{label}]({prefix}{name}) {label}\n" for name, label in zip(files, labels, strict=True)]
        return "\n".join(shown)
    return f"![the first strips]({prefix}{PICTURE_NAME})\n\nThe first are {', '.join(labels)}.\n"


def _picture(spec: Spec, source: Source) -> bytes:
    """Return the first strips as one picture, one below the other, as a PNG file."""
    images = np.concatenate([batch.images for batch in composed(spec, source, 0, min(_SHOWN, spec.samples))])
    framed = np.pad(images, ((0, 0), (4, 4), (4, 4)), constant_values=128)
    return png.encode(framed.reshape(1, -1, framed.shape[2]), "small")[0]


def _loading(spec: Spec) -> str:
    """Return how the samples are read in Python."""
    ours = 'mnist_seq_cli.open_dataset("DIR")'
    if formats.get(spec.format).ON_HUB:
        return f'`datasets.load_dataset("DIR")` reads the directory, and so does `{ours}`.\n'
    return (
        f'`{ours}` reads the directory. `datasets.load_dataset("DIR")` cannot: Hugging Face has no loader for '
        f"{spec.format} files.\n"
    )
