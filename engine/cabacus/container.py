"""The core's container seen from here: headers parsed within limits, and its faults as the errors of cabacus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Final, NoReturn

from cabacus import _core
from cabacus.bases import check_base, in_order
from cabacus.dtypes import BY_NAME, Tensor, dtype_name
from cabacus.errors import CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError
from cabacus.files.sniff import is_compressed, sniff
from cabacus.limits import Limits

__all__ = [
    "ALIAS",
    "CODEBOOK",
    "CODINGS",
    "EXACT",
    "LEVELS",
    "RAW",
    "ZERO",
    "Contents",
    "Place",
    "bytes_alone",
    "faults",
    "layout",
    "outline",
    "parse",
    "record_bytes",
]

CODINGS = ("raw", "levels", "float", "codebook", "zero", "alias")
"""Names of the codings by id (FORMAT 3.2)."""
RAW: Final = 0
LEVELS: Final = 1
EXACT: Final = 2
CODEBOOK: Final = 3
ZERO: Final = 4
ALIAS: Final = 5

_KINDS: dict[str, type[FormatError]] = {
    "truncated": TruncatedError,
    "corrupt": CorruptError,
    "unsupported": UnsupportedError,
}


@contextmanager
def faults(tensor: str | None = None) -> Iterator[None]:
    """Turn the core's FormatFault into a FormatError that names the tensor.

    >>> with faults("fc.weight"):
    ...     raise _core.FormatFault("truncated", "the file ends early", None, None)
    Traceback (most recent call last):
    cabacus.errors.TruncatedError: tensor 'fc.weight': the file ends early
    """
    try:
        yield
    except _core.FormatFault as fault:
        _raise(fault, tensor)


def _raise(fault: _core.FormatFault, known: str | None) -> NoReturn:
    kind, message, named, limit = fault.args
    tensor = named if named is not None else known
    text = message if tensor is None or repr(tensor) in message else f"tensor {tensor!r}: {message}"
    if kind == "limit":
        raise LimitError(text, tensor=tensor, limit=limit) from None
    raise _KINDS.get(kind, CorruptError)(text, tensor=tensor) from None


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor in a file: elements `start` to `stop`, in scan order, of what a record holds."""

    name: str
    record: _core.Record
    start: int
    stop: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Contents:
    """A file's header, where its tensors are by name in the order of the file, and those of each record by its name."""

    header: _core.Header
    places: dict[str, Place]
    members: dict[str, list[str]]


def parse(data: memoryview, limits: Limits, base: Callable[[], Mapping[str, Tensor] | None] = lambda: None) -> Contents:
    """Return what is in a compressed file.

    The header is checked against the limits and against the file's length. `base` is called by files with a layout
    alone (FORMAT 7.1): they have the names, shapes and order of their base. Raises BaseMismatchError where that is
    another or missing, or another FormatError; for a file of tensors that is not compressed, UnsupportedError says so.
    """
    header = outline(data, limits)
    if header.complete:
        places = {
            record.name: Place(record.name, record, 0, math.prod(record.shape), tuple(record.shape))
            for record in header.records
        }
        return Contents(header, places, {name: [name] for name in places})
    known = base()
    check_base(header.base or b"", known)
    assert known is not None
    names = in_order(known)
    shapes = [(name, BY_NAME[dtype_name(known[name])].id, tuple(known[name].shape)) for name in names]
    with faults():
        header = _core.parse(data, _numbers(limits), base=shapes)
    members = {record.name: [names[member] for member in record.members] for record in header.records}
    found = {place.name: place for record in header.records for place in _held(record, members[record.name], known)}
    return Contents(header, {name: found[name] for name in known}, members)


def _held(record: _core.Record, names: Sequence[str], base: Mapping[str, Tensor]) -> Iterator[Place]:
    """The base's tensors that a record holds, one after the other."""
    start = 0
    for name in names:
        shape = tuple(base[name].shape)
        yield Place(name, record, start, start + math.prod(shape), shape)
        start += math.prod(shape)


def outline(data: memoryview, limits: Limits) -> _core.Header:
    """Return what can be read of a file's header without its base: of one with a layout the base's digest alone."""
    if not data:
        raise TruncatedError("the file is empty")
    if len(data) >= 4 and not is_compressed(data):
        kind = sniff(data)
        what = "no compressed file of cabacus" if kind is None else f"a file of tensors ({kind}), not a compressed one"
        raise UnsupportedError(f"this is {what}")
    with faults():
        return _core.parse(data, _numbers(limits))


def _numbers(limits: Limits) -> dict[str, int]:
    return {item.name: getattr(limits, item.name) for item in fields(limits)}


def layout(record: _core.Record) -> tuple[int, int]:
    """Return (elements of a slice, slices of levels) of a record; the last slice may be shorter.

    >>> record = _core.Record(shape=(5, 4), coding=LEVELS, row_width=4, slice_rows=2, slice_bytes=[9, 9, 7])
    >>> layout(record)
    (8, 3)
    """
    elements = math.prod(record.without_gaps().shape if record.gaps else record.shape)
    per_slice = min(max(record.row_width * record.slice_rows, 1), max(elements, 1))
    return per_slice, -(-elements // per_slice)


def bytes_alone(record: _core.Record) -> int:
    """Return what a record takes in a header that has no other, its parameter set included.

    >>> bytes_alone(_core.Record(name="w", dtype=18, shape=(2, 3), coding=ZERO))
    10
    """
    if record.coding == ALIAS:  # needs its holder; its index takes a byte or two
        return 1 + bytes_alone(_core.Record(name=record.name, dtype=record.dtype, shape=record.shape, coding=ZERO))
    return len(_core.pack([record], [], bytes(32) if record.delta else None)) - _nothing(record.delta)


def record_bytes(records: Sequence[_core.Record], header: int) -> list[int]:
    """Return the share of each record in the `header` bytes that all of them take together.

    What records have in common is said once: what each would take alone is scaled so that the sum is right.

    >>> record_bytes([_core.Record(name="w", dtype=18, shape=(2, 3), coding=ZERO)] * 2, 13)
    [7, 6]
    """
    alone = [bytes_alone(record) for record in records]
    total = sum(alone)
    ends = [0] + [-(-header * one // max(total, 1)) for one in accumulate(alone)]
    return [end - start for start, end in pairwise(ends)]


def _nothing(base: bool) -> int:
    """Bytes of a file without tensors."""
    return len(_core.pack([], [], bytes(32) if base else None))
