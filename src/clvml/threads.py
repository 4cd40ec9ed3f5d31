"""Work on the parts of a stream by several threads, in the order of the parts."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], parts: Iterable[T], threads: int) -> Iterator[R]:
    """work(part) of each part in turn, a few at a time on so many other threads, or here where they are none; the parts
    are drawn on this thread.
    """
    if not threads:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[Future[R]] = collections.deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
