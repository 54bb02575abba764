"""What is left of an update before it is coded: its largest elements, as they are or all of one magnitude."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from cabacus.dtypes import Array

__all__ = ["METHODS", "Sparsify", "largest", "magnitude"]

Sparsify = Literal["top_k", "ternary", "binary"]
METHODS: tuple[Sparsify, ...] = ("top_k", "ternary", "binary")


def largest(updates: Mapping[str, Array], density: float) -> dict[str, Array]:
    """Return the updates with all elements zero but the `density` x n largest of all tensors together.

    Equal magnitudes at the threshold all stay. Nothing of the input is changed (Sattler et al., 2019, algorithm 1).

    >>> largest({"w": np.array([1.0, -3.0, 2.0, 0.5])}, 0.5)
    {'w': array([ 0., -3.,  2.,  0.])}
    """
    parts = [np.abs(update).ravel() for update in updates.values() if update.size]
    if not parts:
        return dict(updates)
    pooled = np.concatenate(parts)
    place = pooled.size - min(max(round(density * pooled.size), 1), pooled.size)
    pooled.partition(place)
    threshold = pooled[place]
    return {
        name: np.where(np.abs(update) >= threshold, update, np.zeros((), update.dtype))
        for name, update in updates.items()
    }


def magnitude(update: Array, method: Sparsify) -> tuple[Array, float]:
    """Return (levels, step) of a sparse update whose elements become 0 and one magnitude, their mean.

    levels: int32 of the update's shape, -1, 0 and 1. "ternary" keeps both signs (STC: Sattler et al., 2019), "binary"
    the sign whose elements have the larger mean, one a tensor (SBC: Sattler et al., 2018).

    >>> magnitude(np.array([0.0, 3.0, -1.0]), "ternary")
    (array([ 0,  1, -1], dtype=int32), 2.0)
    >>> magnitude(np.array([0.0, 3.0, -1.0]), "binary")
    (array([0, 1, 0], dtype=int32), 3.0)
    """
    levels = np.array(np.sign(update), np.int32)  # of a tensor without dimensions, too: its sign is no array
    if method == "binary":
        means = [_mean(update, levels == sign) for sign in (1, -1)]
        levels[levels == (-1 if means[0] >= means[1] else 1)] = 0
    return levels, _mean(update, levels != 0)


def _mean(update: Array, where: Array) -> float:
    return float(np.abs(update[where]).mean(dtype=np.float64)) if where.any() else 0.0
