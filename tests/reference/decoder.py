"""A file's tensors: FORMAT.md, sections 2 to 7.

>>> from reference.decoder import Tensor, digest
>>> digest({"w": Tensor("float32", (2,), bytes(8))}).hex()[:8]
'ec154fc0'
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from reference.container import ALIAS, CHECKSUM_BYTES, CODEBOOK, EXACT_FLOAT, LEVELS, RAW, Record, parse
from reference.elements import IDS, DType, float_bits, float_of, whole_bits
from reference.floats import decode_floats
from reference.levels import decode_slice
from reference.reading import Fault, crc32c, require, varint

Number = TypeVar("Number", int, float, bytes)


@dataclass(frozen=True)
class Tensor:
    """`data` has the elements, row-major and little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def decode(
    data: bytes, base: Mapping[str, Tensor] | None = None, limits: dict[str, int] | None = None
) -> dict[str, Tensor]:
    """Every tensor of a file, in the file's order; `base` has the tensors that differences are to be added to."""
    header = parse(data, limits)
    if header.base is not None and base is not None and digest(base) != header.base:
        raise Fault("base", "this is not the file's base")
    if not header.complete:
        return decode_all(data, base, limits)
    tensors: dict[str, Tensor] = {}
    for record in header.records:
        if record.coding == ALIAS:
            holder = tensors[header.records[record.alias].name]
            tensors[record.name] = holder
            continue
        elements = decode_elements(record, slices_of(data, record), base_of(record, base))
        tensors[record.name] = Tensor(record.dtype.name, record.shape, elements)
    return tensors


def decode_all(data: bytes, base: Mapping[str, Tensor] | None, limits: dict[str, int] | None) -> dict[str, Tensor]:
    """The tensors of a file with a layout, which are those of its base: section 7.1."""
    if base is None:
        raise Fault("base", "the file needs its base")
    header = parse(data, limits, base_shapes={name: (tensor.dtype, tensor.shape) for name, tensor in base.items()})
    tensors: dict[str, Tensor] = {}
    whole: list[bytes] = []
    for record in header.records:
        joined = b"".join(base[name].data for name in record.members)
        before = numbers_of(record.dtype, joined) if record.delta else None
        own = None if record.coding == ALIAS else decode_elements(record, slices_of(data, record), before)
        whole.append(whole[record.alias] if own is None else own)
        place = 0
        for name in record.members:
            old = base[name]
            tensors[name] = Tensor(old.dtype, old.shape, whole[-1][place : place + len(old.data)])
            place += len(old.data)
    return {name: tensors[name] for name in base}


def digest(tensors: Mapping[str, Tensor]) -> bytes:
    """SHA-256 of a set of tensors: section 7."""
    found = hashlib.sha256()
    for name in sorted(tensors, key=lambda name: name.encode()):
        tensor = tensors[name]
        found.update(varint(len(name.encode())) + name.encode() + bytes([IDS[tensor.dtype]]))
        found.update(b"".join(varint(number) for number in (len(tensor.shape), *tensor.shape)))
        found.update(tensor.data)
    return found.digest()


def slices_of(data: bytes, record: Record) -> list[bytes]:
    """The slices without their checksums, which are verified."""
    slices = []
    place = record.start
    for size in record.slice_bytes:
        content = data[place : place + size - CHECKSUM_BYTES]
        place += size
        require(crc32c(content) == int.from_bytes(data[place - CHECKSUM_BYTES : place], "little"), "a slice is damaged")
        slices.append(content)
    return slices


def base_of(record: Record, base: Mapping[str, Tensor] | None) -> list[float] | None:
    """What is to be added to a record that is a difference."""
    if not record.delta:
        return None
    tensor = (base or {}).get(record.name)
    if tensor is None or (tensor.dtype, tensor.shape) != (record.dtype.name, record.shape):
        raise Fault("base", f"the file needs its base, with {record.name!r} in it")
    return numbers_of(record.dtype, tensor.data)


def numbers_of(dtype: DType, elements: bytes) -> list[float]:
    return [float_of(dtype, elements[place : place + dtype.bytes]) for place in range(0, len(elements), dtype.bytes)]


def decode_elements(record: Record, slices: list[bytes], base: list[float] | None) -> bytes:
    """The elements, row-major: what is coded, added to the base where there is one (section 7)."""
    dtype = record.dtype
    if record.coding == LEVELS and dtype.kind == "float":
        values = unscanned(record, [record.step * level for level in decode_levels(record, slices)])
    else:
        elements = decode_bits(record, slices)
        if base is None:
            return elements
        values = numbers_of(dtype, elements)
    if base is not None:
        values = [old + change for old, change in zip(base, values, strict=True)]
    return b"".join(float_bits(dtype, value) for value in values)


def decode_bits(record: Record, slices: list[bytes]) -> bytes:
    """The elements of all codings but levels times a step."""
    dtype = record.dtype
    if record.coding == EXACT_FLOAT:
        return b"".join(unscanned(record, decode_floats(record, slices)))
    if record.coding == RAW:
        elements = b"".join(slices)
        check_bools(dtype, elements)
        return elements
    if record.coding == LEVELS:
        return whole_bits(dtype, unscanned(record, [level + record.offset for level in decode_levels(record, slices)]))
    if record.coding == CODEBOOK and record.elements > 0:
        entries = codebook(record, slices[0])
        indices = [level + record.center for level in decode_levels(record, slices[1:])]
        require(all(0 <= index < len(entries) for index in indices), "an index is beyond the codebook")
        return b"".join(entries[index] for index in unscanned(record, indices))
    return bytes(record.elements * dtype.bytes)


def check_bools(dtype: DType, elements: bytes) -> None:
    require(dtype.kind != "bool" or set(elements) <= {0, 1}, "a bool is neither 0 nor 1")


def codebook(record: Record, content: bytes) -> list[bytes]:
    size = record.dtype.bytes
    require(len(content) == record.entries * size, "the codebook's slice has another size")
    check_bools(record.dtype, content)
    return [content[place : place + size] for place in range(0, len(content), size)]


def decode_levels(record: Record, slices: list[bytes]) -> list[int]:
    """The levels of all slices in scan order."""
    assert record.levels is not None
    levels: list[int] = []
    for content in slices[1 if record.gaps else 0 :]:
        count = min(record.slice_rows * record.row_width, record.coded - len(levels))
        levels += decode_slice(content, record.levels, count, record.row_width)
    return fill_gaps(levels, record, slices[0]) if record.gaps else levels


def fill_gaps(levels: list[int], record: Record, content: bytes) -> list[int]:
    """Levels of 0 where the map, section 4.1, has none."""
    bits = [byte >> bit & 1 for byte in content for bit in range(8)]
    require(sum(bits) == record.first - record.gaps and not any(bits[record.first :]), "the map is none")
    width, place = record.elements // record.first, 0
    filled: list[int] = []
    for bit in bits[: record.first]:
        filled += levels[place : place + width] if bit else [0] * width
        place += width * bit
    return filled


def unscanned(record: Record, scanned: list[Number]) -> list[Number]:
    """What is in scan order put into row-major order: section 4."""
    if record.axes is None:
        return scanned
    places = [0]
    for axis in record.axes:
        stride = math.prod(record.shape[axis + 1 :])
        places = [place + index * stride for place in places for index in range(record.shape[axis])]
    elements = scanned.copy()
    for number, place in zip(scanned, places, strict=True):
        elements[place] = number
    return elements
