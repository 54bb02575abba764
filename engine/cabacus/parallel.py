"""Threads: how many, and what each of them works on. The core releases the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["each", "thread_count"]

T = TypeVar("T")
R = TypeVar("R")

_WHOLE = 1 << 22
"""Weights from which a tensor keeps all threads busy by itself."""


def thread_count(asked: int | None) -> int:
    """Return how many threads to use: as asked, or one for each processor that this process may use.

    >>> thread_count(3)
    3
    """
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[[T, int], R], items: Sequence[T], sizes: Sequence[int], threads: int) -> list[R]:
    """Return function(item, threads) of every item: large ones one by one, small ones side by side.

    >>> each(lambda item, threads: item * threads, [1, 2], [10, 10], 4)
    [1, 2]
    """
    if threads == 1 or len(items) == 1:
        return [function(item, threads) for item in items]
    results: dict[int, R] = {}
    with ThreadPoolExecutor(threads) as pool:
        small = {
            place: pool.submit(function, item, 1)
            for place, (item, size) in enumerate(zip(items, sizes, strict=True))
            if size < _WHOLE
        }
        for place, item in enumerate(items):
            results[place] = small[place].result() if place in small else function(item, threads)
    return list(results.values())
