"""Sums that decide or are reported: made by the core in a fixed order, so that they are the same on every platform."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cabacus import _core
from cabacus.dtypes import Array

__all__ = ["CHUNK", "Difference", "Moments", "chunks", "decibels", "difference", "moments", "weighted_energy"]

CHUNK = 1 << 18
"""Elements that temporary arrays hold: small beside a model, large beside Python's overhead."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The sum of squares, the largest magnitude and the flat index of the first NaN or infinity, or None."""

    energy: float
    largest: float
    fault: int | None


def moments(values: Array) -> Moments:
    """Return the moments of flat float32 or float64 values.

    >>> moments(np.array([3.0, -4.0]))
    Moments(energy=25.0, largest=4.0, fault=None)
    """
    energy, largest, fault = _core.moments(values)
    return Moments(energy, largest, None if fault < 0 else fault)


def chunks(size: int) -> Iterator[slice]:
    """Cut a flat array of `size` elements into pieces of CHUNK.

    >>> list(chunks(3))
    [slice(0, 3, None)]
    """
    return (slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))


def weighted_energy(values: Array, eta: Array | None) -> float:
    """Return the sum of eta v^2 over flat arrays; without eta, of v^2.

    >>> weighted_energy(np.array([1.0, 2.0]), np.array([1.0, 0.25], np.float32))
    2.0
    """
    if eta is None:
        return moments(values).energy
    parts = (np.multiply(values[part], np.sqrt(eta[part], dtype=np.float64)) for part in chunks(values.size))
    return math.fsum(moments(part).energy for part in parts)


@dataclass(frozen=True, slots=True)
class Difference:
    """Between weights and what they became: sum e^2, sum eta e^2, largest |e|, and whether all of it is finite."""

    squared: float
    weighted: float
    largest: float
    finite: bool

    @classmethod
    def of(cls, parts: Sequence[Difference]) -> Difference:
        """Return the difference of parts together."""
        return cls(
            squared=math.fsum(part.squared for part in parts),
            weighted=math.fsum(part.weighted for part in parts),
            largest=max((part.largest for part in parts), default=0.0),
            finite=all(part.finite for part in parts),
        )


def difference(before: Array, after: Array, eta: Array | None = None) -> Difference:
    """Return how far flat `after` is from flat `before`, both float32 or float64.

    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    Difference(squared=0.25, weighted=0.25, largest=0.5, finite=True)
    """
    found = []
    for part in chunks(before.size):
        error = np.subtract(after[part], before[part], dtype=np.float64)
        here = moments(error)
        weighted = here.energy if eta is None else weighted_energy(error, eta[part])
        found.append(Difference(here.energy, weighted, here.largest, here.fault is None))
    return Difference.of(found)


def decibels(energy: float, error: float) -> float:
    """Return 10 log10(energy / error): infinite without error, minus infinity where there is nothing but error.

    >>> decibels(1000.0, 1.0), decibels(1.0, 0.0)
    (30.0, inf)
    """
    if error <= 0.0:
        return math.inf
    return 10.0 * math.log10(energy / error) if energy > 0.0 else -math.inf
