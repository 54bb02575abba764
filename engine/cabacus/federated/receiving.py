"""The receiver of updates: a stranger's bytes, bounded by the base before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cabacus import _core
from cabacus.bases import Base, check_base
from cabacus.container import ALIAS, Place, parse
from cabacus.decoding import Extent, base_of, decode, section, shaped
from cabacus.dtypes import BY_ID, BY_NAME, Tensor, dtype_name, to_float
from cabacus.errors import BaseMismatchError, CorruptError
from cabacus.files import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["UpdateDecoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDecoder:
    """Decodes the messages of an `UpdateEncoder`. It has no state: one serves all senders.

    >>> UpdateDecoder().decode(b"CABACUS", {"w": np.zeros(2)})
    Traceback (most recent call last):
    cabacus.errors.UnsupportedError: this is no compressed file of cabacus
    """

    threads: int = 1

    def decode(self, data: bytes | bytearray | memoryview, base: Mapping[str, Any]) -> Tensors:
        """Return the tensors of the sender: the base with the update, in the base's order, shapes and types.

        The base is not changed. The result has the metadata of the message. Raises BaseMismatchError where the message
        is a difference to another base or to none, CorruptError where names, shapes or types are not those of the base
        or a value is NaN or infinite, and every other FormatError for damage.
        """
        origin = base if isinstance(base, Base) else Tensors.of(base)
        view = memoryview(data).cast("B")
        contents = parse(view, bounds(origin), lambda: origin)
        header, places = contents.header, contents.places
        if header.base is None:
            raise BaseMismatchError("the message is no update: it names no base")
        if header.layout is None:  # else it was checked to read the header
            check_base(header.base, origin)
        if places.keys() != origin.keys():
            raise CorruptError("the update has other tensors than its base")
        for name, place in places.items():
            tensor = origin[name]
            if place.shape != tuple(tensor.shape) or BY_ID[place.record.dtype].name != dtype_name(tensor):
                raise CorruptError(f"tensor {name!r} is not like that of the base", tensor=name)
        holders = [header.records[one.alias] if one.coding == ALIAS else one for one in header.records]
        decoded = {
            record.name: self._elements(view, holder, contents.members[holder.name], origin)
            for record, holder in zip(header.records, holders, strict=True)
        }
        found = {name: _part(decoded[places[name].record.name], places[name]) for name in origin}
        return Tensors(found, dict(header.metadata))

    def _elements(
        self, data: memoryview, record: _core.Record, names: Sequence[str], origin: Mapping[str, Tensor]
    ) -> Tensor:
        extent = Extent(data, record, 0, math.prod(record.shape), self.threads)
        base = base_of(record, names, origin) if record.delta else None
        with np.errstate(all="ignore"):
            tensor = shaped(decode(extent, base), tuple(record.shape), tuple(record.axes))
        kind = BY_ID[record.dtype].kind
        if kind == "float" and not np.isfinite(to_float(tensor)).all():
            raise CorruptError(f"tensor {record.name!r} of the update has NaN or infinities", tensor=record.name)
        if kind == "complex" and not np.isfinite(np.asarray(tensor)).all():
            raise CorruptError(f"tensor {record.name!r} of the update has NaN or infinities", tensor=record.name)
        return tensor


def _part(whole: Tensor, place: Place) -> Tensor:
    """The tensor of a place: what its record holds, without a copy, or a part of it."""
    alone = place.shape == tuple(whole.shape)
    return whole if alone else section(whole, place.start, place.stop, place.shape)


def bounds(base: Mapping[str, Tensor]) -> Limits:
    """Return the limits that an update to this base keeps.

    >>> bounds({"w": np.zeros((3, 4), np.float32)}).output_bytes
    48
    """
    extents = [math.prod(max(size, 1) for size in tensor.shape) for tensor in base.values()]
    sizes = [tensor.size * BY_NAME[dtype_name(tensor)].itemsize for tensor in base.values()]
    names = [len(name.encode()) for name in base]
    header = (1 << 16) + sum(names) + sum(256 + size // 16 for size in sizes)
    return Limits(
        tensors=len(base),
        rank=max((len(tensor.shape) for tensor in base.values()), default=0) or 1,
        name_bytes=max(names, default=0),
        elements=sum(extents),
        total_elements=sum(extents),
        header_bytes=min(header, DEFAULT_LIMITS.header_bytes),
        output_bytes=sum(sizes),
    )
