"""The last point on the right side of a threshold, in few evaluations of a costly, noisy, monotone function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Found", "nearest"]

T = TypeVar("T")

_GRID = 4096
"""Points lie on multiples of 1/4096: rounding errors of one platform do not lead to other points than another's."""
_LONGEST = 6.0
_PATIENT = 4
_MOST = 24


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A point, what was measured there, how far beyond the threshold it is, and the slope nearby."""

    x: float
    outcome: T
    excess: float
    slope: float


def nearest(
    measure: Callable[[float], T],
    excess: Callable[[T], float],
    *,
    start: float,
    slope: float,
    close: float,
    loose: float,
) -> Found[T] | None:
    """Return the point whose excess is least, and at least 0; None where no such point was found.

    `slope` is the excess per unit of x, about. Stops at an excess of at most `close`, after some tries of at most
    `loose`, and then when steps of the grid, 1/4096, bring nothing more.

    >>> found = nearest(lambda x: 30 - 6 * x, lambda snr: snr - 24, start=0.0, slope=-5.0, close=0.02, loose=0.1)
    >>> round(found.x, 2), found.excess <= 0.02
    (1.0, True)
    """
    tried: dict[float, Found[T]] = {}
    x = _snapped(start)
    while len(tried) < _MOST and x not in tried:
        outcome = measure(x)
        tried[x] = Found(x, outcome, excess(outcome), slope)
        slope = _slope(tried, slope)
        good = min(
            (point for point in tried.values() if point.excess >= 0), key=lambda point: point.excess, default=None
        )
        if good is not None and good.excess <= (close if len(tried) <= _PATIENT else loose):
            break
        x = _next(tried, good, slope, close / 2)
    return None if good is None else Found(good.x, good.outcome, good.excess, slope)


def _slope(tried: dict[float, Found[T]], guess: float) -> float:
    """The slope between the two points nearest to the threshold, where they are of use, else the guess."""
    if len(tried) < 2:
        return guess
    a, b = sorted(tried.values(), key=lambda point: abs(point.excess))[:2]
    found = (b.excess - a.excess) / (b.x - a.x)
    return found if 0.1 < found / guess < 10.0 else guess


def _next(tried: dict[float, Found[T]], good: Found[T] | None, slope: float, aim: float) -> float:
    bad = max((point for point in tried.values() if point.excess < 0), key=lambda point: point.excess, default=None)
    if good is None or bad is None:
        here = good or bad
        assert here is not None
        step = min(max((aim - here.excess) / slope, -_LONGEST), _LONGEST)
        x = _snapped(here.x + step)
        if len(tried) > 2 or x in tried:
            # Beyond all that was tried, farther each time: a function that goes up and down may look steep anywhere.
            ahead = max if step > 0 else min
            x = ahead(x, ahead(tried) + math.copysign(min(2.0 ** (len(tried) - 6), _LONGEST), step))
        return _snapped(x)
    # The closest in x, not in excess: noise would else close the bracket around a point that was tried already.
    bad = min((point for point in tried.values() if point.excess < 0), key=lambda point: abs(point.x - good.x))
    share = (good.excess - aim) / (good.excess - bad.excess)
    if len(tried) > _PATIENT and len(tried) % 3 == 0:
        share = 0.5  # the function bends: halving ends what interpolation draws out
    return _snapped(good.x + min(max(share, 0.001), 0.999) * (bad.x - good.x), away_from=bad.x)


def _snapped(x: float, away_from: float | None = None) -> float:
    snapped = round(x * _GRID) / _GRID
    if snapped == away_from:
        snapped += 1 / _GRID if x > snapped else -1 / _GRID
    return snapped
