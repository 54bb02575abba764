"""Exact floats: FORMAT.md, section 6.2. Both ways, for vectors and tests.

>>> from reference.elements import DTYPES, IDS
>>> split(DTYPES[IDS["float32"]], bytes.fromhex("0000C0BF"))  # -1.5
(1, 127, 4194304)
"""

from __future__ import annotations

from collections.abc import Sequence

from reference.container import ENDS_FLAG, ZERO_FIRST_FLAG, Record
from reference.elements import DType
from reference.encoder import encode_slice
from reference.levels import decode_slice
from reference.reading import Reader, require, varint


def split(dtype: DType, element: bytes) -> tuple[int, int, int]:
    """Sign, exponent field and mantissa."""
    code = int.from_bytes(element, "little")
    field = code >> dtype.mantissa_bits & (1 << dtype.exponent_bits) - 1
    return code >> 8 * dtype.bytes - 1, field, code & (1 << dtype.mantissa_bits) - 1


def join(dtype: DType, sign: int, field: int, mantissa: int) -> bytes:
    code = (sign << dtype.exponent_bits | field) << dtype.mantissa_bits | mantissa
    return code.to_bytes(dtype.bytes, "little")


class Bits:
    """Numbers from a string of bits, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.value = int.from_bytes(data, "little")
        self.size = len(data)
        self.taken = 0

    def take(self, width: int) -> int:
        found = self.value >> self.taken & (1 << width) - 1
        self.taken += width
        return found

    def finish(self) -> None:
        require(-(-self.taken // 8) == self.size, "the bits are more or fewer than the elements have")
        require(self.value >> self.taken == 0, "bits above the last number are not 0")


def zero_width(record: Record) -> int:
    """Bits of an element whose exponent field is 0."""
    return (0, 1, 1 + record.mantissa_bits)[record.float_flags & 3]


def decode_floats(record: Record, slices: Sequence[bytes]) -> list[bytes]:
    """The elements of all slices in scan order."""
    elements: list[bytes] = []
    for content in slices:
        count = min(record.slice_rows * record.row_width, record.elements - len(elements))
        elements += decode_part(record, content, count)
    return elements


def index_of(record: Record, level: int) -> int:
    """The index that a level stands for: the levels fold around the center."""
    if record.float_flags & ZERO_FIRST_FLAG:
        if level == 0:
            return 0
        level -= 1
    return record.center - (level + 1) // 2 if level % 2 else record.center + level // 2


def level_of(record: Record, field: int) -> int:
    zero_first = bool(record.float_flags & ZERO_FIRST_FLAG)
    if zero_first and field == 0:
        return 0
    away = (field - record.lowest + 1 if field else 0) - record.center
    return (2 * away if away >= 0 else -2 * away - 1) + zero_first


def decode_part(record: Record, content: bytes, count: int) -> list[bytes]:
    assert record.levels is not None
    reader = Reader(content)
    has_ends = bool(record.float_flags & ENDS_FLAG)
    exponent_bytes = reader.varint()
    end_bytes = reader.varint() if has_ends else 0
    require(exponent_bytes + end_bytes <= reader.left(), "a part of a slice is longer than the slice")
    exponents, ends = reader.take(exponent_bytes), reader.take(end_bytes)
    stored = Bits(reader.take(reader.left()))

    levels = decode_slice(exponents, record.levels, count, record.row_width)
    require(all(level >= 0 for level in levels), "the level of an exponent is negative")
    indices = [index_of(record, level) for level in levels]
    greatest = (1 << record.dtype.exponent_bits) - 1
    require(all(0 <= index <= greatest - record.lowest + 1 for index in indices), "an index is beyond the exponents")
    fields = [0 if index == 0 else record.lowest + index - 1 for index in indices]

    others = sum(field != 0 for field in fields)
    require(others > 0 or not ends, "there are ends of nothing")
    places = iter(decode_slice(ends, record.levels, others, record.row_width) if has_ends and others else ())
    elements = []
    for field in fields:
        if field == 0 or not has_ends:
            width = 1 + record.mantissa_bits if field else zero_width(record)
            sign, high, mantissa_bits = take_one(stored, width)
            mantissa = high << record.dtype.mantissa_bits - mantissa_bits
        else:
            kept = field + record.mantissa_bits - (next(places) + record.last)
            require(0 <= kept <= record.mantissa_bits, "a mantissa ends beyond its bits")
            sign, high, _ = take_one(stored, max(kept, 1))
            mantissa = (2 * high + 1) << record.dtype.mantissa_bits - kept if kept else 0
        elements.append(join(record.dtype, sign, field, mantissa))
    stored.finish()
    return elements


def take_one(stored: Bits, width: int) -> tuple[int, int, int]:
    """The sign, what there is of the mantissa, and how many bits those are."""
    value = stored.take(width)
    high = max(width - 1, 0)
    return value >> high, value & (1 << high) - 1, high


def encode_part(record: Record, elements: Sequence[bytes]) -> bytes:
    """A slice without its checksum; the elements must be such as the record's fields can hold."""
    assert record.levels is not None
    has_ends = bool(record.float_flags & ENDS_FLAG)
    levels, ends = [], []
    value = size = 0
    for element in elements:
        sign, field, mantissa = split(record.dtype, element)
        levels.append(level_of(record, field))
        width = 1 + record.mantissa_bits if field else zero_width(record)
        if field and has_ends:
            trailing = (mantissa & -mantissa).bit_length() - 1
            kept = record.dtype.mantissa_bits - trailing if mantissa else 0
            ends.append(field + record.mantissa_bits - kept - record.last)
            width = max(kept, 1)
        if width:
            high = mantissa >> record.dtype.mantissa_bits - width + 1
            value |= (sign << width - 1 | high) << size
            size += width
    parts = [encode_slice(record.levels, levels, record.row_width)]
    if has_ends:
        parts.append(encode_slice(record.levels, ends, record.row_width) if ends else b"")
    return b"".join(map(varint, map(len, parts))) + b"".join(parts) + value.to_bytes(-(-size // 8), "little")
