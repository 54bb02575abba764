"""Monotone cubic interpolation: smooth where the data is smooth, and never beyond it (Fritsch and Carlson, 1980)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["Interpolation"]


class Interpolation:
    """A curve through points of increasing x; beyond them it stays at the last one's value.

    >>> curve = Interpolation([0.0, 1.0, 3.0], [0.0, 1.0, 3.0])
    >>> curve(2.0), curve(9.0)
    (2.0, 3.0)
    """

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self._x, self._y = list(x), list(y)
        widths = [b - a for a, b in pairwise(x)]
        slopes = [(b - a) / width for a, b, width in zip(y, y[1:], widths, strict=False)]
        inner = [_joint(*pair) for pair in zip(slopes, slopes[1:], widths, widths[1:], strict=False)]
        self._tangents = [slopes[0], *inner, slopes[-1]] if slopes else [0.0]

    def __call__(self, x: float) -> float:
        """Return the curve's value at x."""
        if x <= self._x[0] or len(self._x) == 1:
            return self._y[0]
        if x >= self._x[-1]:
            return self._y[-1]
        left = bisect_right(self._x, x) - 1
        width = self._x[left + 1] - self._x[left]
        t = (x - self._x[left]) / width
        start, end = self._y[left], self._y[left + 1]
        rise, fall = self._tangents[left] * width, self._tangents[left + 1] * width
        return start + t * (rise + t * (3 * (end - start) - 2 * rise - fall + t * (rise + fall - 2 * (end - start))))


def _joint(before: float, after: float, left: float, right: float) -> float:
    """The tangent between two pieces: their slopes' weighted harmonic mean, or 0 at a peak."""
    if before * after <= 0.0:
        return 0.0
    one, other = 2 * right + left, right + 2 * left
    return (one + other) / (one / before + other / after)
