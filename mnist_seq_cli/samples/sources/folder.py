"""Owns the PNG files of a folder as samples."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_seq_cli.codecs import png
from mnist_seq_cli.errors import FormatError
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME
from mnist_seq_cli.formats.rows import Row
from mnist_seq_cli.recipe.recipe import Recipe
from mnist_seq_cli.recipe.spec import RECIPE_NAME
from mnist_seq_cli.samples.collection import MAX_SAMPLES, Listed, recipe_beside
from mnist_seq_cli.samples.sources.label_files import read_labels
from mnist_seq_cli.samples.strip import Strip, read_png


class Folder(Listed):
    """PNG files in one folder, with labels for them or without; taken for strips of MNIST where no recipe tells."""

    def __init__(
        self,
        path: Path,
        names: list[str],
        rows: dict[str, Row] | None = None,
        recipe: Recipe | None = None,
        *,
        kind: str,
    ) -> None:
        super().__init__(names, rows or {}, recipe)
        self.source = self.source or "all"
        self.kind = kind
        self.path = path

    def strips(self, numbers: Sequence[int]) -> Iterator[Strip]:
        """Yield images."""
        for number in numbers:
            yield self._strip(number, read_png(self.path / self._names[number]))


def folder(path: Path) -> Folder:
    """Return the PNG files of a folder, and the labels that are in it, above it, or in the names.

    Such names are 1-2-3.png and 1-2-3_0.png, and in a folder 42 0_42.png.
    """
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.endswith(".png") and not name.endswith(png.MASK_SUFFIX) and entry.is_file():
                names.append(entry.name)
                if len(names) > MAX_SAMPLES:
                    raise FormatError(f"{path} holds more than {MAX_SAMPLES} PNG files")
    if not names:
        raise FormatError(f"{path} is not a dataset of ours: it has no {RECIPE_NAME}")
    names.sort()
    place = path.absolute()
    images = place.parent.with_name(IMAGES_NAME) / place.name
    if place.parent.name == MASKS_NAME and images.is_dir():
        raise FormatError(f"{path} holds masks, and no strips", hint=f"the strips are in {images}")
    if place.parent.name == IMAGES_NAME and re.fullmatch(r"[0-9]{5}", place.name):
        above = place.parent.parent
        rows = read_labels(above, set(names), f"{IMAGES_NAME}/{place.name}/")
        return Folder(path, names, rows, recipe_beside(above), kind="shard")
    is_label = re.fullmatch("[0-9]+", place.name, re.ASCII) is not None
    if is_label and (recipe := recipe_beside(place.parent, "folders")) is not None:
        return Folder(path, names, read_labels(place.parent, set(names), f"{place.name}/"), recipe, kind="folder")
    rows = read_labels(path, set(names), "")
    if not rows and is_label and all(re.fullmatch(rf"[0-9]+_{place.name}\.png", name, re.ASCII) for name in names):
        rows = dict.fromkeys(names, Row(place.name))
    if not rows:
        told = [re.fullmatch(r"([0-9](?:-[0-9])*)(?:_[0-9]+)?\.png", name, re.ASCII) for name in names]
        if all(told) and any(re.search("[-_]", name) for name in names):
            rows = {found[0]: Row(found[1].replace("-", "")) for found in told if found}
    return Folder(path, names, rows, kind="folder")
