"""Requests at the same time: in order, not more than there may be, and an end at any moment."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from mnist_seq_cli.storage.overlap import overlapped


@pytest.mark.parametrize("at_once", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 6, 7, 50])
def test_answers_come_in_order(at_once: int, count: int) -> None:
    assert list(overlapped(lambda item: -item, range(count), at_once)) == [(item, -item) for item in range(count)]


def test_so_many_are_asked_for_at_once_and_no_more_are_taken() -> None:
    together, taken = threading.Barrier(5), []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    with closing(overlapped(lambda item: together.wait(20) * 0 + item, items(), 5)) as answers:
        assert next(answers) == (0, 0)
        assert len(taken) == 5
        assert [item for item, _ in answers] == list(range(1, 10))


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_error_comes_where_its_answer_would(at_once: int) -> None:
    answers = overlapped(lambda item: 6 // (3 - item), range(9), at_once)
    assert [next(answers)[1] for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
