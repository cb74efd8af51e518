"""Owns calibration: from the chances that the net gives to how often its digits and whole readings are right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from mnist_seq_cli.reading.net import Net
from mnist_seq_cli.reading.recognition import Calibration, ink_near, runs_of
from mnist_seq_cli.reading.training.examples import CALIBRATE, LIGHT, Examples, batches

Floats = NDArray[np.float64]


class _Read(NamedTuple):
    """A line as it was read: what `Calibration` takes, which digits are right, whether all is, and how many it has."""

    chances: Floats
    ink: float
    right: list[bool]
    whole: bool
    digits: int


_BLANKS = (1.0, 0.6, 0.4, 0.25, 0.15)
"""Factors of the chance of the blank that are tried: the one counts with which most lines with digits are right."""


def calibrated(net: Net, lines: int, seed: int) -> Calibration:
    """Return the calibration of the net on lines of all kinds, of glyphs that it was not trained with."""
    held_out = list(islice(batches(seed, 96, CALIBRATE, LIGHT), -(-lines // 96)))
    chances_of = [net.chances_of(list(examples.lines)) for examples in held_out]
    ways = {blank: list(_read(held_out, chances_of, blank)) for blank in _BLANKS}
    blank = max(ways, key=lambda blank: sum(one.whole for one in ways[blank] if one.digits))
    read = ways[blank]
    chances, right = np.concatenate([one.chances for one in read]), np.concatenate([one.right for one in read])
    odds = torch.from_numpy(_odds(chances))
    a, b = _fitted(lambda factors: factors[0] + factors[1] * odds, [0.0, 1.0], right)
    first = Calibration(a, b, 1, 1, blank)
    some = [one for one in read if len(one.chances)]
    digits = torch.tensor([-np.log(first.of_digits(one.chances)).sum() for one in some])
    ink = torch.tensor([-np.log(max(one.ink, 1e-9)) for one in some])

    def log_odds(factors: torch.Tensor) -> torch.Tensor:
        chance = torch.exp(-sum(factor.abs() * part for factor, part in zip(factors, (digits, ink), strict=True)))
        kept = chance.clamp(1e-9, 1 - 1e-9)
        return torch.log(kept / (1 - kept))

    of_digits, of_ink = map(abs, _fitted(log_odds, [1.0, 1.0], np.array([one.whole for one in some])))
    return Calibration(a, b, of_digits, of_ink, blank)


def _read(held_out: list[Examples], chances_of: list[list[NDArray[np.float32]]], blank: float) -> Iterator[_Read]:
    for examples, chances in zip(held_out, chances_of, strict=True):
        runs = runs_of(chances, blank)
        for row, length in enumerate(examples.lengths.tolist()):
            here = runs.line == row
            read, wanted = runs.digits[here].tolist(), examples.digits[row, :length].tolist()
            right = [False] * len(read)
            for part in Levenshtein.opcodes(read, wanted):
                if part.tag == "equal":
                    right[part.src_start : part.src_end] = [True] * (part.src_end - part.src_start)
            ink = ink_near(examples.lines[row], runs.column[here])
            yield _Read(runs.chance[here], ink, right, read == wanted, length)


def _odds(chances: Floats) -> Floats:
    kept = np.clip(chances, 1e-6, 1 - 1e-6)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


def _fitted(log_odds, start: list[float], right: NDArray[np.bool_]) -> tuple[float, ...]:  # type: ignore[no-untyped-def]
    """Return the factors with which log odds say best what is right: least cross-entropy."""
    factors = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    wanted = torch.from_numpy(np.asarray(right, dtype=np.float64))
    optimizer = torch.optim.LBFGS([factors], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(log_odds(factors), wanted)
        loss.backward()
        return loss

    optimizer.step(closure)
    return tuple(round(value, 4) for value in factors.tolist())
