"""Owns text with numbers in it, for many rows at once: far quicker than a `%` for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def filled(template: str, columns: Sequence[NDArray[Any]]) -> bytes:
    """Return the template for each row, one after another: in the place of each %d the number, >= 0, of a column.

    All rows are made as wide as the largest numbers need, and then zeros in front of numbers are left out.
    """
    wide, places = b"", []
    for piece, column in zip(template.encode().split(b"%d"), [*columns, None], strict=True):
        wide += piece
        if column is not None:
            digits = len(str(column.max(initial=0)))
            places.append(range(len(wide), len(wide) + digits))
            wide += b"0" * digits
    cells = np.tile(np.frombuffer(wide, np.uint8), (len(columns[0]), 1))
    kept = np.ones(cells.shape, dtype=bool)
    for column, digits_at in zip(columns, places, strict=True):
        rest: NDArray[Any] = column.astype(np.uint32 if len(digits_at) < 10 else np.uint64)
        for at in reversed(digits_at):
            if at != digits_at[-1]:
                kept[:, at] = rest > 0
            higher = rest // 10
            cells[:, at] += (rest - 10 * higher).astype(np.uint8)
            rest = higher
    return cells[kept].tobytes()
