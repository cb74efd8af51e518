"""Owns the format `flat`: all PNG files in the one folder `images`, as readers want it that look into no other.

Names, tables, masks and annotations are those of `png`. The files of a shard are among those of others.
"""

from __future__ import annotations

from collections.abc import Iterator

from mnist_seq_cli.engine.random_words import Numbers, as_array
from mnist_seq_cli.formats.format import Content
from mnist_seq_cli.formats.png_folder import IMAGES_NAME, MASKS_NAME, PngFolder, measured
from mnist_seq_cli.formats.rows import METADATA_NAME
from mnist_seq_cli.recipe.plan import Shard
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.store import Files


class FlatFolder(PngFolder):
    """PNG files in one folder."""

    NAME = "flat"
    HUB_FILES = (f"{IMAGES_NAME}/*.png", METADATA_NAME)

    def shard_names(self, spec: Spec, shard: Shard) -> tuple[str, ...]:
        """Return nothing: no folder is a shard's alone."""
        return ()

    def folders(self, spec: Spec, files: Files) -> list[str]:
        return [IMAGES_NAME, MASKS_NAME][: 1 + spec.masks]

    def image_names(self, spec: Spec, samples: Numbers) -> list[str]:
        digits = spec.plan.digits
        return [f"{IMAGES_NAME}/{digits.sample(number)}.png" for number in as_array(samples).tolist()]

    def existing(self, spec: Spec, files: Files) -> Iterator[tuple[str, bool]]:
        """Yield the files that are of the plan. Others may be somebody's own, whatever they are called."""
        digits = spec.plan.digits
        for folder in self.folders(spec, files):
            for entry in files.list(folder):
                number = entry.name[len(folder) + 1 :].removesuffix(".png")
                known = number.isdecimal() and int(number) < spec.samples
                if known and entry.name == f"{folder}/{digits.sample(int(number))}.png":
                    yield entry.name, True

    def measure(self, spec: Spec, shard: Shard, files: Files) -> Content:
        """Return the sums of the files of the shard that are there. Raises OSError."""
        return measured((name for name in self.files_of(spec, shard) if files.size(name) is not None), files)
