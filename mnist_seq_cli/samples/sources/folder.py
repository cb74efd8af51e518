"""Owns the images of a folder as samples, and the labels beside them: labels.csv or metadata.jsonl."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME
from mnist_seq_cli.formats.rows import (
    LABELS_NAME,
    METADATA_NAME,
    Row,
    lines_of,
    parse_label,
    parse_row,
    read_any_labels,
)
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.sources.image import ImageFile, is_named_like_a_strip, read_image
from mnist_seq_cli.samples.sources.listed import MAX_SAMPLES, Listed, Listing, recipe_beside
from mnist_seq_cli.samples.strip import NamedImage, Strip
from mnist_seq_cli.storage import local


class Folder(Listed):
    """Images in one folder, with labels for them or without; taken for strips of MNIST where there is no recipe."""

    def __init__(self, path: Path, listing: Listing, recipe: Recipe | None = None, *, is_shard: bool = False) -> None:
        super().__init__(recipe)
        self.path, self.listing = path, listing
        self.kind, self.source = "shard" if is_shard else "folder", self.source or "all"

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        for number in numbers:
            path = self.path / self.listing.names[number]
            yield self._strip(number, read_image(path, str(path)))

    def drawable(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images, and leave out those that cannot be read: the report counts them."""
        return filter(None, self.readable(numbers))

    def images(self) -> Iterator[NamedImage]:
        for name in self.listing.names:
            yield from ImageFile(self.path / name).images()


def open_folder(path: Path) -> Folder:
    """Return the images of a folder, and the labels that are in it, above it, or in the names.

    Such names are 1-2-3.png and 1-2-3_0.jpg, and in a folder 42 0_42.png. Hidden files are passed over.
    """
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            if is_named_like_a_strip(entry.name) and not entry.name.startswith(".") and entry.is_file():
                names.append(entry.name)
                if len(names) > MAX_SAMPLES:
                    raise FormatError(f"{path} holds more than {MAX_SAMPLES} images")
    if not names:
        raise FormatError(f"{path} is not an mnistseq dataset: it has no {RECIPE_NAME}")
    names.sort()
    here = path.absolute()
    images = here.parent.with_name(IMAGES_NAME) / here.name
    if here.parent.name == MASKS_NAME and images.is_dir():
        raise _masks(path, images)
    if here.name in (IMAGES_NAME, MASKS_NAME) and (recipe := recipe_beside(here.parent, "flat")) is not None:
        if here.name == MASKS_NAME:
            raise _masks(path, here.with_name(IMAGES_NAME))
        return Folder(path, Listing(names, _labels_beside(here.parent, names, f"{IMAGES_NAME}/")), recipe)
    if here.parent.name == IMAGES_NAME and re.fullmatch(r"[0-9]{5}", here.name):
        whole = here.parent.parent
        rows = _labels_beside(whole, names, f"{IMAGES_NAME}/{here.name}/")
        return Folder(path, Listing(names, rows), recipe_beside(whole), is_shard=True)
    is_label = re.fullmatch("[0-9]+", here.name, re.ASCII) is not None
    if is_label and (recipe := recipe_beside(here.parent, "folders")) is not None:
        return Folder(path, Listing(names, _labels_beside(here.parent, names, f"{here.name}/")), recipe)
    rows = _labels_beside(path, names) or _labels_in_names(names, here.name if is_label else None)
    return Folder(path, Listing(names, rows))


def _masks(path: Path, images: Path) -> FormatError:
    return FormatError(f"{path} holds masks, and no strips", hint=f"the strips are in {images}")


def _labels_in_names(names: list[str], label: str | None) -> dict[str, Row]:
    """Return the labels in names such as 1-2-3_0.png, and in a folder of a label 0_42.png; none unless all are so."""
    if label is not None and all(re.fullmatch(rf"[0-9]+_{label}\.\w+", name, re.ASCII) for name in names):
        return dict.fromkeys(names, Row(label))
    matches = [re.fullmatch(r"([0-9](?:-[0-9])*)(?:_[0-9]+)?\.\w+", name, re.ASCII) for name in names]
    if all(matches) and any(re.search("[-_]", name) for name in names):
        return {match[0]: Row(match[1].replace("-", "")) for match in matches if match}
    return {}


def _labels_beside(directory: Path, names: list[str], folder: str = "") -> dict[str, Row]:
    """Return the rows of these files of a folder in metadata.jsonl, or else labels.csv. Raises FormatError, OSError."""
    rows: dict[str, Row] = {}
    name_of = {f"{folder}{name}": name for name in names}
    if (directory / METADATA_NAME).exists():
        with local.open_regular(directory / METADATA_NAME) as file:
            for number, line in enumerate(lines_of(file), 1):
                if line.strip():
                    row = parse_row(line, f"{METADATA_NAME}, line {number}")
                    if row.file_name in name_of:
                        rows[name_of[row.file_name]] = row
    elif (directory / LABELS_NAME).exists():
        with local.open_regular(directory / LABELS_NAME) as file:
            for file_name, label, where in read_any_labels(file, str(directory / LABELS_NAME)):
                if file_name in name_of:
                    rows[name_of[file_name]] = Row(parse_label(label, where))
    return rows
