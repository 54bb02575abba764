"""From a record and its slices to elements: one tensor, or some of its slices, flat in scan order (FORMAT 5 to 7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cabacus import _core, gaps, scan
from cabacus.container import ALIAS, CODEBOOK, EXACT, LEVELS, RAW, ZERO, faults, layout
from cabacus.dtypes import (
    BY_ID,
    Array,
    DType,
    RawTensor,
    Tensor,
    as_bytes,
    cast_from_float,
    dtype_name,
    from_bits,
    from_bytes,
    to_float,
)
from cabacus.errors import CorruptError, InputError, TruncatedError, UnsupportedError
from cabacus.measures import CHUNK, chunks

__all__ = ["CHECKSUM_BYTES", "RAW_SLICE_BYTES", "Extent", "base_of", "decode", "decode_levels", "section", "shaped"]

CHECKSUM_BYTES = 4
"""Bytes of the CRC-32C at the end of a slice."""
RAW_SLICE_BYTES = 1 << 24
"""Bytes of elements in a slice of a raw tensor; the last may have fewer (FORMAT 6.1)."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Elements of a record in scan order: from `start` to `stop`, of the file `data`."""

    data: memoryview
    record: _core.Record
    start: int
    stop: int
    threads: int = 1

    @property
    def dtype(self) -> DType:
        """The element type."""
        return BY_ID[self.record.dtype]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.stop - self.start

    def slices(self) -> tuple[int, int]:
        """Return the first slice that holds some of the elements, and how many do."""
        per_slice, _ = layout(self.record)
        first = self.start // per_slice
        return first, -(-self.stop // per_slice) - first


def decode(extent: Extent, base: Array | None = None) -> Tensor:
    """Return the elements of an extent, flat, in their own type and in memory of their own.

    `base` has the base's elements of the same extent, as float32 or float64, where the record is a difference. Raises
    a FormatError that names the tensor.
    """
    record = extent.record
    if extent.size == 0:
        return from_bits(np.empty(0, extent.dtype.storage), extent.dtype.name)
    with faults(record.name):
        if record.gaps:
            return _spread(extent, base)
        if record.coding == LEVELS and extent.dtype.kind == "float":
            return _weights(extent, base)
        stored = _DECODERS[record.coding](extent)
    if record.delta:
        assert base is not None
        return cast_from_float(np.add(to_float(stored), base, dtype=np.float64), extent.dtype.name)
    return stored


def decode_levels(extent: Extent) -> npt.NDArray[np.int32]:
    """Return the levels of an extent of a record of codings 1 to 3, flat: integers in units of the step."""
    if extent.record.gaps:
        found = np.zeros(extent.size, np.int32)
        for part, where in _coded(extent):
            found[where] = decode_levels(part)
        return found
    per_slice, _ = layout(extent.record)
    first, count = extent.slices()
    levels = _core.decode_levels(_at(extent, first), extent.record, first, count, extent.threads)
    inside = levels[extent.start - first * per_slice : extent.stop - first * per_slice]
    return inside if inside.size == levels.size else inside.copy()


def base_of(record: _core.Record, names: Sequence[str], base: Mapping[str, Tensor]) -> Array:
    """Return what a record is a difference to: those tensors of the base in scan order, float32 or float64.

    Raises InputError where the base has no tensor like them.
    """
    parts = []
    # The shapes of a layout's tensors are those of the base.
    dtype, shape, axes = BY_ID[record.dtype].name, None if record.members else tuple(record.shape), tuple(record.axes)
    for name in names:
        tensor = base.get(name)
        if tensor is None or dtype_name(tensor) != dtype or shape not in (None, tuple(tensor.shape)):
            raise InputError(f"the base has no tensor like {name!r}", field="base", tensor=name)
        parts.append(scan.to_scan(to_float(tensor), axes))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def section(whole: Tensor, start: int, stop: int, shape: Sequence[int]) -> Tensor:
    """Return `whole[start:stop]` as a tensor of that shape, in memory of its own.

    >>> section(np.array([1, 2, 3]), 1, 3, (2, 1)).tolist()
    [[2], [3]]
    """
    if isinstance(whole, RawTensor):
        return RawTensor(whole.dtype, whole.bits[start:stop].reshape(tuple(shape)).copy())
    return whole[start:stop].reshape(tuple(shape)).copy()


def shaped(flat: Tensor, shape: Sequence[int], axes: Sequence[int] = ()) -> Tensor:
    """Return flat elements in scan order as a tensor of that shape.

    >>> shaped(np.array([1, 3, 2, 4]), (2, 2), (1, 0)).tolist()
    [[1, 2], [3, 4]]
    """
    if isinstance(flat, RawTensor):
        return RawTensor(flat.dtype, scan.from_scan(flat.bits, shape, axes))
    return scan.from_scan(flat, shape, axes)


def _at(extent: Extent, first: int) -> memoryview:
    """The file from a slice of levels on; the first slice of a codebook is the book."""
    before = first + (extent.record.coding == CODEBOOK)
    return extent.data[extent.record.start + sum(extent.record.slice_bytes[:before]) :]


def _weights(extent: Extent, base: Array | None) -> Tensor:
    dtype, (first, count) = extent.dtype, extent.slices()
    per_slice, _ = layout(extent.record)
    if base is None and dtype.name in ("float32", "float64"):
        whole = np.empty(_elements(extent, first, count), dtype.name)
        _core.decode_weights(_at(extent, first), extent.record, first, count, whole, extent.threads)
        inside = slice(extent.start - first * per_slice, extent.stop - first * per_slice)
        return whole if inside.stop - inside.start == whole.size else whole[inside].copy()
    bits = np.empty(extent.size, dtype.storage)
    some = max(extent.threads, 4 * CHUNK // per_slice, 1)
    for slice_ in range(first, first + count, some):
        group = min(some, first + count - slice_)
        values = np.empty(_elements(extent, slice_, group), np.float64)
        _core.decode_weights(_at(extent, slice_), extent.record, slice_, group, values, extent.threads)
        begin = slice_ * per_slice
        start, stop = max(extent.start, begin), min(extent.stop, begin + values.size)
        values = values[start - begin : stop - begin]
        here = slice(start - extent.start, stop - extent.start)
        if base is not None:
            values += base[here]
        bits[here] = as_bytes(cast_from_float(values, dtype.name)).view(dtype.stored)
    return from_bits(bits, dtype.name)


def _spread(extent: Extent, base: Array | None) -> Tensor:
    """The elements of a record with gaps: levels of 0 where nothing is coded."""
    dtype = extent.dtype
    bits = np.empty(extent.size, dtype.storage)
    if dtype.kind != "float":
        _check_range(extent, extent.record.offset, extent.record.offset)
        bits[:] = extent.record.offset
    else:
        for part in chunks(extent.size):
            zeros = np.zeros(part.stop - part.start)
            values = cast_from_float(zeros if base is None else np.add(base[part], zeros), dtype.name)
            bits[part] = as_bytes(values).view(dtype.stored)
    for some, where in _coded(extent):
        tensor = decode(some, None if base is None else base[where])
        bits[where] = as_bytes(tensor).view(dtype.stored)
    return from_bits(bits, dtype.name)


def _coded(extent: Extent) -> Iterator[tuple[Extent, npt.NDArray[np.intp]]]:
    """The coded parts of an extent with gaps, some slices each, and where their elements are in it."""
    record = extent.record
    dense, width = record.without_gaps(), math.prod(record.shape) // scan.rows(record.shape, record.axes)
    size = record.slice_bytes[0]
    coded = gaps.coded(_slice(extent.data, record.start, size, record.name), record)
    rows = slice(extent.start // width, -(-extent.stop // width))
    before = int(np.count_nonzero(coded[: rows.start]))
    starts = (np.flatnonzero(coded[rows]) + rows.start) * width - extent.start  # of what is coded, in the extent
    per_slice, _ = layout(dense)
    some = max(extent.threads, 4 * CHUNK // per_slice, 1) * per_slice
    if not starts.size:
        return
    # The first and the last of them may be cut by the extent's ends.
    low = before * width + max(-int(starts[0]), 0)
    high = (before + starts.size) * width - max(int(starts[-1]) + width - extent.size, 0)
    while low < high:
        stop = min((low // some + 1) * some, high)
        place = np.arange(low, stop) - before * width
        yield replace(extent, record=dense, start=low, stop=stop), starts[place // width] + place % width
        low = stop


def _elements(extent: Extent, first: int, count: int) -> int:
    """Elements of so many slices."""
    per_slice, _ = layout(extent.record)
    return min((first + count) * per_slice, math.prod(extent.record.shape)) - first * per_slice


def _integers(extent: Extent) -> Tensor:
    dtype, offset = extent.dtype, extent.record.offset
    levels = decode_levels(extent)
    _check_range(extent, int(levels.min()) + offset, int(levels.max()) + offset)
    if offset == 0:
        return levels.astype(dtype.name)
    wide: Array = np.add(levels, offset, dtype=np.int64)
    return wide.astype(dtype.name)


def _check_range(extent: Extent, low: int, high: int) -> None:
    dtype, name = extent.dtype, extent.record.name
    bounds = (0, 1) if dtype.kind == "bool" else (int(np.iinfo(dtype.name).min), int(np.iinfo(dtype.name).max))
    if low < bounds[0] or high > bounds[1]:
        raise CorruptError(f"tensor {name!r} has elements beyond the range of {dtype.name}", tensor=name)


def _codebook(extent: Extent) -> Tensor:
    record, dtype = extent.record, extent.dtype
    begin, size = record.start, record.slice_bytes[0]
    book = _slice(extent.data, begin, size, record.name)
    if len(book) != record.entries * dtype.itemsize:
        raise CorruptError(f"tensor {record.name!r} has a codebook of another size", tensor=record.name)
    values = from_bytes(book, dtype.name, (record.entries,), tensor=record.name)
    levels, center = decode_levels(extent), record.offset
    entries: Array = as_bytes(values).view(dtype.stored).astype(dtype.storage, copy=False)
    # Elements of four bytes take the place of the levels; the core knows none of sixteen.
    found: Array = levels.view(dtype.storage) if dtype.itemsize == 4 else np.empty(levels.size, dtype.storage)
    if dtype.itemsize <= 8:
        word = f"u{dtype.itemsize}"
        good = _core.look_up(levels, center=center, book=entries.view(word), out=found.view(word))
    else:
        good = int(levels.min()) + center >= 0 and int(levels.max()) + center < record.entries
        entries.take(levels + np.int32(center), mode="clip", out=found)
    if not good:
        raise CorruptError(f"tensor {record.name!r} has an index beyond its codebook", tensor=record.name)
    return from_bits(found, dtype.name)


def _exact(extent: Extent) -> Tensor:
    dtype, (first, count) = extent.dtype, extent.slices()
    per_slice, _ = layout(extent.record)
    bits = np.empty(_elements(extent, first, count), f"uint{8 * dtype.itemsize}")
    _core.decode_exact(_at(extent, first), extent.record, first, count, bits, extent.threads)
    inside = slice(extent.start - first * per_slice, extent.stop - first * per_slice)
    part = bits if inside.stop - inside.start == bits.size else bits[inside].copy()
    return from_bits(part.view(dtype.storage), dtype.name)


def _raw(extent: Extent) -> Tensor:
    itemsize = extent.dtype.itemsize
    start, stop = extent.start * itemsize, extent.stop * itemsize
    whole = np.empty(stop - start, np.uint8)
    total = itemsize * math.prod(extent.record.shape)
    for number in range(start // RAW_SLICE_BYTES, -(-stop // RAW_SLICE_BYTES)):
        begin = number * RAW_SLICE_BYTES
        size = min(RAW_SLICE_BYTES, total - begin)
        place = extent.record.start + number * (RAW_SLICE_BYTES + CHECKSUM_BYTES)
        data = _slice(extent.data, place, size + CHECKSUM_BYTES, extent.record.name)
        low, high = max(start, begin), min(stop, begin + size)
        whole[low - start : high - start] = np.frombuffer(data[low - begin : high - begin], np.uint8)
    return from_bytes(whole.data, extent.dtype.name, (extent.size,), tensor=extent.record.name)


def _slice(data: memoryview, start: int, size: int, name: str) -> memoryview:
    """The bytes of a slice without its checksum, which is verified."""
    whole = data[start : start + size]
    if len(whole) < size or size < CHECKSUM_BYTES:
        raise TruncatedError(f"tensor {name!r}: the file ends in a slice", tensor=name)
    body, stored = whole[:-CHECKSUM_BYTES], whole[-CHECKSUM_BYTES:]
    if _core.checksum(body) != int.from_bytes(stored, "little"):
        raise CorruptError(f"tensor {name!r}: a slice has another checksum", tensor=name)
    return body


def _zero(extent: Extent) -> Tensor:
    return from_bits(np.zeros(extent.size, extent.dtype.storage), extent.dtype.name)


def _unknown(extent: Extent) -> Tensor:
    raise UnsupportedError(
        f"tensor {extent.record.name!r} is coded in a way that this version does not know", tensor=extent.record.name
    )


_DECODERS: dict[int, Callable[[Extent], Tensor]] = {
    RAW: _raw,
    LEVELS: _integers,
    EXACT: _exact,
    CODEBOOK: _codebook,
    ZERO: _zero,
    ALIAS: _unknown,
}
