"""Rows of zeros that are left out: which they are, and the map that says so (FORMAT 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from cabacus import _core, scan
from cabacus.dtypes import Array
from cabacus.errors import CorruptError

__all__ = ["coded", "leave_out", "possible", "worth"]

_FEWEST = 8
_SHARE = 16
"""Fewer rows than that of the matrix are not worth a try."""
_SAMPLE = 1 << 22
_MAP_BYTES = 8
"""Of its checksum, and in the record."""


def worth(matrix: Array, size: Callable[[Array], int]) -> npt.NDArray[np.intp] | None:
    """Return the rows of a matrix that are not all zero, where leaving the others out saves bytes; else None.

    `size` tells what rows of it take, coded by themselves: it is asked twice, of the first of them.

    >>> worth(np.eye(20)[[0] * 10 + [1] * 10] - np.eye(20)[[0] * 20], lambda rows: 9 * len(rows)).tolist()
    [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    """
    rows, width = matrix.shape
    if rows < _FEWEST:
        return None
    alive: npt.NDArray[np.bool_] = np.any(matrix, axis=1)
    found = np.flatnonzero(alive)
    if not found.size or rows - found.size < max(_FEWEST, rows // _SHARE):
        return None
    some = max(_SAMPLE // width, 1)
    sample, left = matrix[:some], matrix[:some][alive[:some]]
    without = size(left) if left.size else 0
    return found if without + len(sample) // 8 + 1 + _MAP_BYTES < size(sample) else None


def possible(shape: Sequence[int], axes: Sequence[int] = ()) -> bool:
    """Whether the rows of a tensor's matrix form are those that can be left out: those of the scan's first axis.

    >>> possible((20, 40)), possible((1, 20, 40)), possible((800,))
    (True, False, False)
    """
    return len(shape) > 1 and scan.rows(shape, axes) > 1


def leave_out(record: _core.Record, rows: npt.NDArray[np.intp]) -> bytes:
    """Make the record one of which but these rows are coded; return its first slice, the map of them.

    >>> record = _core.Record(shape=(10, 4), slice_bytes=[9])
    >>> leave_out(record, np.array([0, 9])).hex()[:4], record.gaps, record.slice_bytes
    ('0102', 8, [6, 9])
    """
    mask = np.zeros(scan.rows(record.shape, record.axes), bool)
    mask[rows] = True
    packed = np.packbits(mask, bitorder="little").tobytes()
    record.gaps = mask.size - rows.size
    record.slice_bytes = [len(packed) + 4, *record.slice_bytes]
    return packed + _core.checksum(packed).to_bytes(4, "little")


def coded(data: memoryview, record: _core.Record) -> npt.NDArray[np.bool_]:
    """Return of every row whether it is coded, by the map of a record with gaps. Raises CorruptError."""
    rows = scan.rows(record.shape, record.axes)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if bits[rows:].any() or np.count_nonzero(bits) != rows - record.gaps:
        raise CorruptError(f"tensor {record.name!r} has a map of gaps that is none", tensor=record.name)
    return bits[:rows].view(np.bool_)
