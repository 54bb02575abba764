"""The order in which weights are coded: a tensor's axes permuted, then row-major; its matrix form (FORMAT 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cabacus.dtypes import Array, canonical

__all__ = ["columns", "from_scan", "index", "rows", "to_scan"]


def columns(shape: Sequence[int], axes: Sequence[int] = ()) -> int:
    """Return the width of the matrix form: rows are the first axis that is longer than 1, as in cuDNN's lowering.

    >>> columns((64, 3, 7, 7)), columns((1, 1, 512, 768)), columns((10,)), columns(())
    (147, 768, 10, 1)
    """
    sizes = [shape[axis] for axis in axes] if axes else list(shape)
    long = [position for position, size in enumerate(sizes) if size != 1]
    return max(math.prod(sizes[long[0] + 1 :]), 1) if len(long) > 1 else max(math.prod(sizes), 1)


def rows(shape: Sequence[int], axes: Sequence[int] = ()) -> int:
    """Return the length of the axis that the scan has first; the rank is at least 1.

    >>> rows((2, 3)), rows((2, 3), (1, 0))
    (2, 3)
    """
    return shape[axes[0] if axes else 0]


def to_scan(array: Array, axes: Sequence[int] = ()) -> Array:
    """Return the elements in scan order: flat, contiguous, aligned, native; a view where that is possible.

    >>> to_scan(np.array([[1, 2], [3, 4]]), (1, 0)).tolist()
    [1, 3, 2, 4]
    """
    return canonical(array.transpose(axes) if axes else array).reshape(-1)


def from_scan(flat: Array, shape: Sequence[int], axes: Sequence[int] = ()) -> Array:
    """Return flat elements in scan order as a C-order array of `shape`; a view where nothing is permuted.

    >>> from_scan(np.array([1, 3, 2, 4]), (2, 2), (1, 0)).tolist()
    [[1, 2], [3, 4]]
    """
    if not axes:
        return flat.reshape(tuple(shape))
    permuted = flat.reshape([shape[axis] for axis in axes])
    return np.ascontiguousarray(permuted.transpose(np.argsort(axes)))


def index(flat: int, shape: Sequence[int], axes: Sequence[int] = ()) -> tuple[int, ...]:
    """Return where the element at place `flat` of the scan is in the tensor.

    >>> index(1, (2, 3), (1, 0))
    (1, 0)
    """
    order = list(axes) or list(range(len(shape)))
    place = np.unravel_index(flat, [shape[axis] for axis in order])
    return tuple(int(place[order.index(axis)]) for axis in range(len(shape)))
