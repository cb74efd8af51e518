"""Owns what is written: random digits, or sequences by a list or a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES
from mnist_seq_cli.recipe.options.kinds import Choice, DigitSet, Flag, Integer, LengthOrLengths, SequenceList, Text
from mnist_seq_cli.recipe.options.notation import Digits, Lengths
from mnist_seq_cli.recipe.options.option import option
from mnist_seq_cli.recipe.options.sequences import Sequences

LabelOrder = Literal["shuffled", "multidigitmnist"]
LABEL_ORDERS: tuple[LabelOrder, ...] = get_args(LabelOrder)

MAX_OPERANDS, MAX_OPERAND = 9, 18
"""Numbers in a sequence, and digits of each, at most: their sum has 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is written: `length` digits, each uniform over `digits`, and all different if `repeat` is false.

    `length` may be pairs of a length and its weight. Instead of random digits there may be `sequences`, written one
    after the other, round after round (in a new order each round with `shuffle`); a `pattern`, in the language that
    `recipe.pattern` describes; or with `per_label`, every sequence of `length` digits that many times. `check` "luhn"
    makes the last digit a check digit. With `operands` a sequence is annotated as that many numbers of equal length,
    and their sum. `label_order` is the order of all sequences from which a part is taken.
    """

    HEADING: ClassVar = ("Sequences", "What is written: random digits, unless a list or a rule is given.")

    length: int | Lengths | None = option(
        None, LengthOrLengths("L"), "Digits per image: 4, 2-8, or weighted 2:1,3:5.", flag="--len", basic=True
    )
    sequences: Sequences = option(
        Sequences(),
        SequenceList("FILE|-"),
        "Sequences to write: one per line, CSV or JSON.",
        flag="--labels",
        basic=True,
    )
    shuffle: bool = option(False, Flag(), "Shuffle the sequences of --labels in each round.")
    pattern: str = option("", Text("PATTERN"), r"Random sequences like '(19|20)\d{2}'.", basic=True)
    per_label: int = option(0, Integer(0, MAX_SAMPLES, "K"), "Write every sequence of L digits K times.")
    digits: Digits = option(
        tuple(range(10)), DigitSet("DIGITS"), "Digits to choose from: 01234, 0-4 or 1,3,5.  [default: all]"
    )
    repeat: bool = option(
        True, Flag(), "--no-repeat: no digit twice in a sequence.", flag="--repeat", negative="--no-repeat"
    )
    check: Literal["", "luhn"] = option("", Choice(["", "luhn"]), "Make the last digit a check digit.")
    operands: int = option(
        0, Integer(0, MAX_OPERANDS, "K"), "Annotate each sequence as K numbers and their sum.", since=2
    )
    label_order: LabelOrder = option(
        "shuffled",
        Choice(LABEL_ORDERS),
        "Order in which --split-by label assigns labels to splits.  [default: shuffled]",
        since=2,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequences", Sequences.of(self.sequences))
