"""Owns requests that are made at the same time: where each waits for an answer, many take as long as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def overlapped(ask: Callable[[Item], Answer], items: Iterable[Item], at_once: int) -> Generator[tuple[Item, Answer]]:
    """Yield items with what `ask` returns for them, in their order; up to `at_once` of them are asked for meanwhile.

    Items are taken as answers come, so that there may be millions. With 1 all is done in this thread.
    """
    if at_once <= 1:
        yield from ((item, ask(item)) for item in items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    threads, asked = ThreadPoolExecutor(at_once), deque[tuple[Item, Future[Answer]]]()
    try:
        for item in items:
            asked.append((item, threads.submit(ask, item)))
            if len(asked) >= at_once:
                first, answer = asked.popleft()
                yield first, answer.result()
        while asked:
            first, answer = asked.popleft()
            yield first, answer.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
