"""Tensors stored exactly: of every coding that can hold them, the one of least bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cabacus import _core, gaps, scan
from cabacus.container import CODEBOOK, EXACT, LEVELS, RAW, ZERO, bytes_alone
from cabacus.decoding import RAW_SLICE_BYTES
from cabacus.dtypes import BY_NAME, Array, DType, RawTensor, Tensor, as_bytes, dtype_name
from cabacus.measures import CHUNK, chunks

if TYPE_CHECKING:
    from cabacus.options import Effort

__all__ = ["Coded", "Manner", "code_exactly", "code_integers", "has_bits", "least_bytes", "nonzero", "zero"]

MOST_ENTRIES = 1 << 16
"""Of a codebook (FORMAT 3.3)."""
_SAMPLE = 1 << 16
_FEW_ENTRIES = 256
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Coded:
    """A tensor as a file holds it: its record, and its slices in pieces."""

    record: _core.Record
    pieces: tuple[_core.Buffer, ...] = ()
    nonzero: int = 0
    entropy_bits: float | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the slices."""
        return sum(map(len, self.pieces))


@dataclass(frozen=True, slots=True)
class Manner:
    """How the level coder works: axes of the scan, parameters pinned by their names in the core, effort, threads."""

    axes: tuple[int, ...] = ()
    fixed: dict[str, int] = field(default_factory=dict)
    effort: Effort = "default"
    threads: int = 1

    def encode(self, levels: npt.NDArray[np.int32], columns: int) -> _core.Encoded:
        """Code flat levels in scan order."""
        return _core.encode_levels(levels, columns=columns, fixed=self.fixed, effort=self.effort, threads=self.threads)

    def bytes(self, matrix: npt.NDArray[np.int32]) -> int:
        """Return the bytes of the slices of a matrix of levels."""
        return sum(self.encode(matrix.reshape(-1), matrix.shape[1]).slice_bytes)


def code_exactly(name: str, tensor: Tensor, manner: Manner) -> Coded:
    """Return a tensor of any type coded exactly: as zeros, levels, codebook or raw, whichever takes the least bytes.

    >>> code_exactly("w", np.zeros((2, 3), np.float32), Manner()).record.coding == ZERO
    True
    """
    if not has_bits(tensor):
        return zero(name, tensor)
    found = [coded for coder in _CODERS if (coded := coder(name, tensor, manner)) is not None]
    return min(found, key=lambda coded: coded.bytes + bytes_alone(coded.record))


def least_bytes(tensor: Tensor) -> float:
    """Return what a tensor takes at least when stored exactly, about; told quickly, for one that takes far more.

    >>> least_bytes(np.zeros((10, 10), np.float32)) < 10
    True
    """
    bits = as_bytes(tensor)
    itemsize = BY_NAME[dtype_name(tensor)].itemsize
    found = None if itemsize > 8 else _distinct(bits.view(f"<u{itemsize}"))
    # Contexts find about a tenth below the order-0 entropy.
    return bits.size if found is None else min(bits.size, 0.9 * _ideal_bytes(*found, itemsize))


def has_bits(tensor: Tensor) -> bool:
    """Whether any bit of the elements is set; negative zeros have one.

    >>> has_bits(np.array([-0.0])), has_bits(np.array([0.0])), has_bits(np.empty(0))
    (True, False, False)
    """
    return bool(as_bytes(tensor).any())


def zero(name: str, tensor: Tensor, *, delta: bool = False) -> Coded:
    """Return a tensor without set bits, or the zero difference to the base, in no bytes at all."""
    return Coded(_record(name, tensor, ZERO, delta=delta))


def nonzero(tensor: Tensor) -> int:
    """Return the number of elements that are not zero.

    >>> nonzero(np.array([-0.0, 1.0, np.nan]))
    2
    """
    return int(np.count_nonzero(tensor.to_float32() if isinstance(tensor, RawTensor) else tensor))


def code_integers(name: str, tensor: Tensor, manner: Manner, offset: int | None = None) -> Coded | None:
    """Return integers or bools as levels plus an offset, or None where they span more than 32 bits.

    Without `offset` it is 0 or the median, whichever serves a sample of the elements better.
    """
    assert not isinstance(tensor, RawTensor)
    offsets = _offsets(tensor) if offset is None else [offset]
    if not offsets:
        return None
    flat, columns = scan.to_scan(tensor, manner.axes), scan.columns(tensor.shape, manner.axes)
    if len(offsets) > 1:
        some = flat[: max(_SAMPLE // columns, 1) * columns]
        offsets.sort(key=lambda offset: sum(manner.encode(_minus(some, offset), columns).slice_bytes))
    levels = _minus(flat, offsets[0])
    rows = None
    if gaps.possible(tensor.shape, manner.axes):
        rows = gaps.worth(levels.reshape(-1, columns), manner.bytes)
    if rows is not None:
        levels = levels.reshape(-1, columns)[rows].reshape(-1)
    encoded = manner.encode(levels, columns)
    record = _record(name, tensor, LEVELS, encoded=encoded, axes=manner.axes, offset=offsets[0])
    pieces = (encoded.payload,) if rows is None else (gaps.leave_out(record, rows), encoded.payload)
    return Coded(record, pieces, nonzero(tensor), encoded.entropy_bits)


def _record(
    name: str,
    tensor: Tensor,
    coding: int,
    *,
    encoded: _core.Encoded | None = None,
    book: int = 0,
    axes: tuple[int, ...] = (),
    offset: int = 0,
    delta: bool = False,
) -> _core.Record:
    record = _core.Record(
        name=name,
        dtype=BY_NAME[dtype_name(tensor)].id,
        shape=tuple(tensor.shape),
        coding=coding,
        axes=axes,
        offset=offset,
        delta=delta,
    )
    if encoded is not None:
        record.levels = encoded.levels
        record.row_width, record.slice_rows = encoded.row_width, encoded.slice_rows
        record.slice_bytes = [book] * bool(book) + encoded.slice_bytes
    return record


def _raw(name: str, tensor: Tensor, manner: Manner) -> Coded | None:
    return Coded(_record(name, tensor, RAW), tuple(_checked(as_bytes(tensor))), nonzero(tensor))


def _checked(data: npt.NDArray[np.uint8]) -> Iterator[_core.Buffer]:
    """The bytes cut into raw slices, each followed by its checksum."""
    for start in range(0, data.size, RAW_SLICE_BYTES):
        part = data[start : start + RAW_SLICE_BYTES].data
        yield part
        yield _core.checksum(part).to_bytes(4, "little")


def _levels(name: str, tensor: Tensor, manner: Manner) -> Coded | None:
    if BY_NAME[dtype_name(tensor)].kind not in ("int", "uint", "bool"):
        return None
    return code_integers(name, tensor, manner)


def _offsets(array: Array) -> list[int]:
    """Offsets worth trying: differences to them fit into 32 bits."""
    low, high = int(array.min()), int(array.max())
    median = int(np.partition(array.reshape(-1), array.size // 2)[array.size // 2])
    fitting = [offset for offset in (0, median) if low - offset >= -_INT32_MAX and high - offset <= _INT32_MAX]
    return sorted({offset for offset in fitting if abs(offset) < 1 << 63}, key=abs)


def _minus(flat: Array, offset: int) -> npt.NDArray[np.int32]:
    if offset == 0:
        return flat.astype(np.int32)
    levels = np.empty(flat.size, np.int32)
    for part in chunks(flat.size):
        levels[part] = flat[part].astype(np.int64) - offset
    return levels


def _codebook(name: str, tensor: Tensor, manner: Manner) -> Coded | None:
    dtype = BY_NAME[dtype_name(tensor)]
    if dtype.itemsize > 8:
        return None  # NumPy has no integers of 16 bytes to sort
    bits = as_bytes(tensor).view(f"<u{dtype.itemsize}")
    found = _distinct(bits)
    if found is None or _ideal_bytes(*found, dtype.itemsize) > bits.nbytes:
        return None
    values, counts = found
    flat, columns = scan.to_scan(bits.reshape(tensor.shape), manner.axes), scan.columns(tensor.shape, manner.axes)
    orders = _orders(values, counts, dtype)
    if len(orders) > 1:
        places = np.searchsorted(values, flat[: max(_SAMPLE // columns, 1) * columns])
        orders.sort(key=lambda one: sum(manner.encode(_ranks(*one)[places], columns).slice_bytes))
    order, center = orders[0]
    rank, levels = _ranks(order, center), np.empty(flat.size, np.int32)
    for part in chunks(flat.size):
        levels[part] = rank[np.searchsorted(values, flat[part])]
    encoded = manner.encode(levels, columns)
    book = values[order].view(np.uint8).data
    pieces = (book, _core.checksum(book).to_bytes(4, "little"), encoded.payload)
    record = _record(name, tensor, CODEBOOK, encoded=encoded, book=len(book) + 4, axes=manner.axes, offset=center)
    record.entries = order.size
    return Coded(record, pieces, nonzero(tensor), encoded.entropy_bits)


def _orders(values: Array, counts: npt.NDArray[np.int64], dtype: DType) -> list[tuple[npt.NDArray[np.intp], int]]:
    """Orders of a codebook that are worth trying, with their centers: by value, and by frequency where entries are few.

    By value neighbours are neighbours, levels have signs and magnitudes, and a layer's rows and columns show. By
    frequency levels are smaller, and a bin says no more than one thing.
    """
    by_value = np.argsort(_sortable(values, dtype))
    orders = [(by_value, int(np.argmax(counts[by_value])))]
    if 2 < values.size <= _FEW_ENTRIES:
        orders.append((np.argsort(-counts, kind="stable"), 0))
    return orders


def _ranks(order: npt.NDArray[np.intp], center: int) -> npt.NDArray[np.int32]:
    """The level of every distinct value."""
    rank = np.empty(order.size, np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32) - center
    return rank


def _sortable(bits: Array, dtype: DType) -> Array:
    """Unsigned integers in the order of the values that these bits are: -0.0 is below 0.0, NaNs are at both ends.

    >>> _sortable(np.array([1.0, -2.0, 0.0, -0.0]).view(np.uint64), BY_NAME["float64"]).argsort().tolist()
    [1, 3, 2, 0]
    """
    if dtype.kind not in ("int", "float") or dtype.name == "float8_e8m0fnu":
        return bits  # there is no sign
    sign = bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))
    below = bits ^ sign if dtype.kind == "int" else ~bits
    return np.where(bits & sign, below, bits ^ sign)


def _exact(name: str, tensor: Tensor, manner: Manner) -> Coded | None:
    dtype = BY_NAME[dtype_name(tensor)]
    if dtype.kind != "float" or dtype.itemsize == 1:
        return None  # a codebook has all of a byte's
    bits = as_bytes(tensor).view(f"uint{8 * dtype.itemsize}").reshape(tensor.shape)
    flat = np.ascontiguousarray(scan.to_scan(bits, manner.axes))
    encoded, fields = _core.encode_exact(
        flat,
        dtype=dtype.id,
        columns=scan.columns(tensor.shape, manner.axes),
        fixed=manner.fixed,
        effort=manner.effort,
        threads=manner.threads,
    )
    record = _record(name, tensor, EXACT, encoded=encoded, axes=manner.axes)
    for field_, value in fields.items():
        setattr(record, field_, value)
    return Coded(record, (encoded.payload,), nonzero(tensor))


def _distinct(bits: Array) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """The distinct values, sorted, and how often each occurs; None where a codebook cannot hold them."""
    values, counts = bits[:0], np.empty(0, np.int64)
    for start in range(0, bits.size, CHUNK):
        more, times = np.unique(bits[start : start + CHUNK], return_counts=True)
        values, where = np.unique(np.concatenate([values, more]), return_inverse=True)
        if values.size > MOST_ENTRIES:
            return None
        counts = np.bincount(where, weights=np.concatenate([counts, times])).astype(np.int64)
    return values, counts


def _ideal_bytes(values: Array, counts: npt.NDArray[np.int64], itemsize: int) -> float:
    """What a codebook takes at least, as long as the elements are independent of each other."""
    total = int(counts.sum())
    bits = math.fsum(count * math.log2(total / count) for count in counts.tolist())
    return values.size * itemsize + bits / 8


_CODERS: tuple[Callable[[str, Tensor, Manner], Coded | None], ...] = (_raw, _levels, _exact, _codebook)
"""Those that may apply; each returns None where it does not."""
