"""Owns which handwritten digits strips are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.kinds import Choice, Flag, NameOrPath, PartOf
from mnist_seq_cli.recipe.options.option import option

GlyphRule = Literal["any", "once"]
GLYPH_RULES: tuple[GlyphRule, ...] = get_args(GlyphRule)
WriterRule = Literal["any", "same"]
WRITER_RULES: tuple[WriterRule, ...] = get_args(WriterRule)
BUNDLED_SOURCES = ("train", "test", "all")

Pool = tuple[int, int, int]
"""A part of things in a fixed order: of every `whole` of them, those from `low` to `high` (exclusive)."""
EVERYTHING: Pool = (0, 1, 1)


class GlyphFacts(NamedTuple):
    """What a recipe says of the glyphs that it was written for.

    `source` names the bank: train, test, all, or "sha256:…" for the content of a custom one. No glyph of it is larger
    than `glyph_height` × `glyph_width` px, and the ink of none larger than `ink_height` × `ink_width` px.
    """

    source: str = "train"
    glyph_height: int = 28
    glyph_width: int = 28
    ink_height: int = 20
    ink_width: int = 20


@dataclass(frozen=True, kw_only=True)
class Glyphs:
    """Which glyphs strips are made from: any glyph of the digit, with equal chance, or with `glyphs` "once" each once.

    With `writer` "same" all digits of a sequence are by one writer. `exclude_mislabeled` leaves out the glyphs that
    MNIST is known to label wrongly. `pool` is the part (low, high, whole) of each digit's glyphs that may be used,
    `writer_pool` that of the writers, `label_pool` that of the sequences: parts that do not overlap have nothing in
    common, whatever the seed.
    """

    HEADING: ClassVar = ("Glyphs", "Which handwritten digits the images are made from.")

    source: str = option(
        "train",
        NameOrPath("|".join((*BUNDLED_SOURCES, "IMAGES"))),
        "MNIST file or custom images: IDX, npz, folder.  [default: train]",
        basic=True,
    )
    glyphs: GlyphRule = option(
        "any", Choice(GLYPH_RULES), "Pick any glyph each time, or use all once before any is reused.  [default: any]"
    )
    writer: WriterRule = option(
        "any",
        Choice(WRITER_RULES),
        "Digits by any writers, or each sequence by one.  [default: any]",
        since=2,
    )
    exclude_mislabeled: bool = option(
        False, Flag(), "Leave out the 15 digits of MNIST's test file that are known to be mislabelled."
    )
    pool: Pool = option(EVERYTHING, PartOf(), flag="")
    writer_pool: Pool = option(EVERYTHING, PartOf(), flag="", since=2)
    label_pool: Pool = option(EVERYTHING, PartOf(), flag="")


def check_source(glyphs: Glyphs) -> None:
    """Raise RequestError for what a custom source does not have, and for rules that contradict each other."""
    if glyphs.glyphs == "once" and glyphs.writer == "same":
        raise RequestError(
            "`glyphs=once` uses all glyphs of all writers, and `writer=same` those of one at a time",
            hint="leave one of them out",
        )
    if glyphs.exclude_mislabeled and glyphs.source not in BUNDLED_SOURCES:
        raise RequestError(
            "`exclude_mislabeled` leaves out known wrong labels of MNIST's test file, and the source is a custom one",
            hint="leave it out, and take wrong ones out of your files",
        )
