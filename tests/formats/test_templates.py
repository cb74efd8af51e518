"""Numbers in text, all rows at once: the same as row by row."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_seq_cli.formats.trainers.templates import filled

NUMBERS = st.one_of(st.integers(0, 11), st.sampled_from([99, 100, 10**9 - 1, 10**9, 2**32, 10**15, 2**63 - 1]))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=20))
@example([])
@example([(0, 0, 0), (2**63 - 1, 9, 10)])
def test_rows_are_those_of_the_operator(rows: list[tuple[int, int, int]]) -> None:
    columns = list(np.array(rows, dtype=np.int64).reshape(-1, 3).T)
    for template in ('{"é": %d, [%d], %d}\n', "%d%d%d", "a%d %d,%d0"):
        assert filled(template, columns).decode() == "".join(template % row for row in rows)
