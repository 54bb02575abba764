"""Many small tensors: what their levels have in common is stored once (FORMAT 3.1, starts)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from cabacus import _core
from cabacus.container import LEVELS
from cabacus.exact import Coded

__all__ = ["share_starts"]

_LARGEST = 1 << 13
"""Bytes of slices beyond which a tensor has learnt all by itself."""
_FEWEST = 3


def share_starts(tensors: Iterable[Coded]) -> list[Coded]:
    """Return the tensors, small ones coded anew from common starts where that is smaller; levels stay.

    >>> share_starts([])
    []
    """
    coded = list(tensors)
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, one in enumerate(coded):
        record = one.record
        if record.coding == LEVELS and len(record.slice_bytes) == 1 and one.bytes <= _LARGEST:
            levels = record.levels
            if levels.lanes == 1 and not levels.start:
                groups[levels.flags, levels.golomb, levels.prefixes, levels.trellis].append(place)
    for places in groups.values():
        if len(places) >= _FEWEST:
            _pool(coded, places)
    return coded


def _pool(coded: list[Coded], places: list[int]) -> None:
    found = _core.pool_levels([(coded[place].record, b"".join(coded[place].pieces)) for place in places])
    if found is None:
        return
    levels, slices = found
    for place, data in zip(places, slices, strict=True):
        if data is not None:
            record = coded[place].record
            record.levels, record.slice_bytes = levels, [len(data)]
            coded[place] = replace(coded[place], pieces=(data,))
