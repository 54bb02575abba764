"""The header: FORMAT.md, sections 2 to 4."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace

from reference.elements import DTYPES, DType
from reference.reading import Fault, Reader, crc32c, require, utf8

RAW, LEVELS, EXACT_FLOAT, CODEBOOK, ZERO, ALIAS = range(6)
DELTA_FLAG, AXES_FLAG, SHAPE_FLAG, STEP_FLAG = 1, 2, 4, 8
ENDS_FLAG, ZERO_FIRST_FLAG = 4, 8  # of exact floats
RAW_SLICE_BYTES = 1 << 24
CHECKSUM_BYTES = 4

# A reader's own bounds; the format has none.
LIMITS = {
    "tensors": 1 << 20,
    "rank": 32,
    "name_bytes": 4096,
    "elements": 1 << 34,
    "total_elements": 1 << 36,
    "header_bytes": 1 << 24,
    "output_bytes": 1 << 36,
}


@dataclass(frozen=True)
class Coding:
    """The parameters of section 5, as a parameter set stores them."""

    flags: int = 10
    golomb: int = 0
    prefixes: int = 4
    width: int = 0
    context: int = 0
    row_shift: int = 0
    column_shift: int = 0
    class_floor: int = 8
    trellis: int = 0
    lanes: int = 1
    start: tuple[int, ...] = ()


@dataclass(frozen=True)
class ParameterSet:
    """What many tensors share; `axes`, `shape` and `step` only where the set has them."""

    dtype: DType
    coding: int
    delta: bool
    axes: tuple[int, ...] | None
    shape: tuple[int, ...] | None
    step: float | None
    levels: Coding | None


@dataclass(frozen=True)
class Record:
    """A tensor. Widths and rows are the numbers themselves, never the 0 that stands for the natural ones."""

    name: str
    dtype: DType
    coding: int
    delta: bool
    axes: tuple[int, ...] | None
    levels: Coding | None
    shape: tuple[int, ...]
    step: float = 0.0
    offset: int = 0
    mantissa_bits: int = 0
    float_flags: int = 0
    lowest: int = 0
    last: int = 0
    entries: int = 0
    center: int = 0
    alias: int = 0
    row_width: int = 0
    slice_rows: int = 0
    gaps: int = 0
    slice_bytes: tuple[int, ...] = ()
    start: int = 0
    members: tuple[str, ...] = ()
    """With a layout: the base's tensors that it holds."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def first(self) -> int:
        """The first dimension of the permuted shape."""
        return self.shape[self.axes[0] if self.axes else 0]

    @property
    def coded(self) -> int:
        """Elements that are no gaps."""
        return self.elements - (self.gaps * (self.elements // self.first) if self.gaps else 0)


@dataclass
class Header:
    """What `parse` finds: the payload begins at `bytes`, the file has `file_bytes`."""

    bytes: int
    file_bytes: int
    base: bytes | None
    metadata: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    records: list[Record] = field(default_factory=list)


Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""The names of element types, and the shapes, of a base's tensors by name."""


def parse(
    data: bytes, limits: dict[str, int] | None = None, *, whole: bool = True, base_shapes: Shapes | None = None
) -> Header:
    """The header of a file; with `whole`, the file's length is checked as well.

    A file with a layout that is read without its base's shapes is not complete.
    """
    limits = {**LIMITS, **(limits or {})}
    magic, version = bytes([0xAB, 0x43, 0x42, 0x43]), 1
    if not magic.startswith(data[:4]):
        raise Fault("unsupported", "this is no cabacus file")
    if len(data) > 4 and data[4] != version:
        raise Fault("unsupported", f"version {data[4]}")
    if len(data) < 16:
        raise Fault("truncated", "the preamble is not complete")
    flags, reserved, size, checksum = struct.unpack("<xxxxxBHII", data[:16])
    check_limit(limits, "header_bytes", size)
    if len(data) < 16 + size:
        raise Fault("truncated", "the header is not complete")
    require(crc32c(data[:12] + data[16 : 16 + size]) == checksum, "the header's checksum is wrong")
    if flags > 3:
        raise Fault("unsupported", "a flag of the preamble is unknown")
    require(reserved == 0, "the reserved bytes are not 0")

    reader = Reader(data[16 : 16 + size])
    base = reader.take(32) if flags & 1 else None
    header = Header(16 + size, 0, base)
    require(flags != 2, "there is a layout, but no base")
    slots = None
    if flags & 2:
        if base_shapes is None:
            header.complete = False
            return header
        slots = read_layout(reader, base_shapes)
    header.metadata = read_metadata(reader)
    read_extensions(reader)
    sets = [read_set(reader, has_base=base is not None, limits=limits) for _ in range(reader.count())]
    require(len(set(sets)) == len(sets), "two parameter sets are the same")
    if slots is None or base_shapes is None:
        header.records = read_records(reader, sets, size, limits)
    else:
        header.records = read_slots(reader, sets, slots, base_shapes, limits)
    require(reader.left() == 0, "bytes follow the last record")

    place = header.bytes
    for index, record in enumerate(header.records):
        header.records[index] = replace(record, start=place)
        place += sum(record.slice_bytes)
    header.file_bytes = place
    require(place < 1 << 63, "the file's length is not below 2^63")
    if whole:
        if len(data) < place:
            raise Fault("truncated", "the payload is not complete")
        require(len(data) == place, "bytes follow the last slice")
    return header


Slot = tuple[tuple[str, ...], tuple[int, ...]]
"""Of a record: the names of the tensors that it holds, and its shape."""


def read_layout(reader: Reader, base: Shapes) -> list[Slot]:
    """Section 7.1."""
    joined, count = reader.varint(), reader.varint()
    names = sorted(base, key=str.encode)
    alone: list[Slot] = [((name,), base[name][1]) for name in names if math.prod(base[name][1]) >= joined]
    small = [name for name in names if math.prod(base[name][1]) < joined]
    require(count <= len(small), "a group has no tensor")
    width = (count - 1).bit_length() if count > 1 else 0
    numbers = int.from_bytes(reader.take(-(-width * len(small) // 8)), "little")
    groups: dict[int, list[str]] = {}
    for name in small:
        group = numbers & ((1 << width) - 1)
        numbers >>= width
        require(group < count, "there is no such group")
        groups.setdefault(group, []).append(name)
    require(numbers == 0, "there are bits after the last group")
    require(len(groups) == count, "a group has no tensor")
    elements = [sum(math.prod(base[name][1]) for name in groups[group]) for group in range(count)]
    return alone + [(tuple(groups[group]), (elements[group],)) for group in range(count)]


def read_slots(
    reader: Reader, sets: list[ParameterSet], slots: list[Slot], base: Shapes, limits: dict[str, int]
) -> list[Record]:
    records: list[Record] = []
    used: set[int] = set()
    check_limit(limits, "tensors", len(base))
    for names, shape in slots:
        number, says_geometry = read_set_number(reader, sets)
        used.add(number)
        require(sets[number].shape is None, "a parameter set has a shape")
        require(all(base[name][0] == sets[number].dtype.name for name in names), "the base's type is another")
        shaped = replace(sets[number], shape=shape)
        record = read_record(reader, names[0], shaped, records, limits, says_geometry=says_geometry)
        records.append(replace(record, members=names))
    require(len(used) == len(sets), "a parameter set is not used")
    check_limit(limits, "total_elements", sum(record.elements for record in records))
    check_limit(limits, "output_bytes", sum(record.elements * record.dtype.bytes for record in records))
    return records


def check_limit(limits: dict[str, int], name: str, value: int) -> None:
    if value > limits[name]:
        raise Fault("limit", f"{name} of {value} exceed {limits[name]}")


def read_metadata(reader: Reader) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for _ in range(reader.count()):
        key, value = reader.string(), reader.string()
        require(key not in metadata, "two metadata keys are the same")
        metadata[key] = value
    return metadata


def read_extensions(reader: Reader) -> None:
    for _ in range(reader.count()):
        kind, length = reader.varint(), reader.varint()
        reader.take(length)
        if kind % 2 == 1:
            raise Fault("unsupported", f"the critical extension {kind} is unknown")


def read_numbers(reader: Reader) -> tuple[int, ...]:
    """A rank, and that many varints."""
    return tuple(reader.varint() for _ in range(reader.count()))


def read_shape(reader: Reader, limits: dict[str, int]) -> tuple[int, ...]:
    shape = read_numbers(reader)
    check_limit(limits, "rank", len(shape))
    extent = math.prod(max(size, 1) for size in shape)
    require(extent < 1 << 63, "the product of the dimensions is not below 2^63")
    check_limit(limits, "elements", extent)
    return shape


def has_levels(coding: int) -> bool:
    return coding in (LEVELS, EXACT_FLOAT, CODEBOOK)


def has_step(dtype: DType, coding: int) -> bool:
    return coding == LEVELS and dtype.kind == "float"


def read_step(reader: Reader, dtype: DType) -> float:
    step = reader.f64() if dtype.name == "float64" else reader.f32()
    require(math.isfinite(step) and step > 0, "the step is not finite and above 0")
    return step


def read_set(reader: Reader, *, has_base: bool, limits: dict[str, int]) -> ParameterSet:
    dtype_id, coding, flags = reader.u8(), reader.u8(), reader.u8()
    if dtype_id not in DTYPES or coding > ALIAS:
        raise Fault("unsupported", f"element type {dtype_id}, coding {coding}")
    dtype = DTYPES[dtype_id]
    require(flags < 16, "a reserved flag of a parameter set is set")
    require(coding != LEVELS or dtype.kind != "complex", "complex numbers have no levels")
    require(coding != EXACT_FLOAT or (dtype.kind == "float" and dtype.bytes > 1), "exact float is not for this type")

    delta = bool(flags & DELTA_FLAG)
    require(not delta or (dtype.kind == "float" and coding != ALIAS and has_base), "there can be no difference here")
    axes = shape = step = None
    if flags & AXES_FLAG:
        axes = read_numbers(reader)
        require(has_levels(coding), "the coding has no axes")
        require(sorted(axes) == list(range(len(axes))), "the axes are no permutation")
        require(axes != tuple(range(len(axes))), "the axes are the identity")
    if flags & SHAPE_FLAG:
        shape = read_shape(reader, limits)
    if flags & STEP_FLAG:
        require(has_step(dtype, coding), "the coding has no step")
        step = read_step(reader, dtype)
    levels = read_coding(reader) if has_levels(coding) else None
    return ParameterSet(dtype, coding, delta, axes, shape, step, levels)


def read_coding(reader: Reader) -> Coding:
    flags, golomb, prefixes, width, context, rates, class_floor, trellis, lanes_log2 = reader.take(9)
    starts = reader.count()
    require(starts in (0, 1 + flags + prefixes), "the number of starts is wrong")
    start = tuple(reader.u16() for _ in range(starts))
    require(flags <= 14 and flags + prefixes <= 14, "there are too many flags and prefix bins")
    require(golomb + prefixes <= 24 and width <= 31, "the remainder is too wide")
    require(rates & 15 <= 7 and rates >> 4 <= 7, "a rate is above 7")
    require(class_floor <= 31, "the class floor is above 31")
    require(trellis in (0, 4, 8), "the trellis has neither 0, 4 nor 8 states")
    require(lanes_log2 <= 6, "there are too many lanes")
    if context > 3:
        raise Fault("unsupported", f"the context set {context} is unknown")
    return Coding(
        flags, golomb, prefixes, width, context, rates & 15, rates >> 4, class_floor, trellis, 1 << lanes_log2, start
    )


def read_records(reader: Reader, sets: list[ParameterSet], size: int, limits: dict[str, int]) -> list[Record]:
    count = reader.varint()
    check_limit(limits, "tensors", count)
    require(count <= reader.left(), "more tensors are announced than the header holds")
    records: list[Record] = []
    names: set[bytes] = set()
    used: set[int] = set()
    before = b""
    elements = output = 0
    written_out = size  # names count in full: sharing multiplies
    for _ in range(count):
        shared = reader.varint()
        require(shared <= len(before), "a name shares more than there is")
        utf8(before[:shared])
        rest = reader.string().encode()
        before = before[:shared] + rest
        written_out += shared
        check_limit(limits, "name_bytes", len(before))
        check_limit(limits, "header_bytes", written_out)
        require(before not in names, "two tensors have the same name")
        names.add(before)
        number, says_geometry = read_set_number(reader, sets)
        used.add(number)
        record = read_record(reader, before.decode(), sets[number], records, limits, says_geometry=says_geometry)
        records.append(record)
        elements += record.elements
        output += record.elements * record.dtype.bytes
        check_limit(limits, "total_elements", elements)
        check_limit(limits, "output_bytes", output)
    require(len(used) == len(sets), "a parameter set is not used")
    return records


def read_set_number(reader: Reader, sets: list[ParameterSet]) -> tuple[int, bool]:
    """The number of a record's set, and whether the record has a geometry."""
    number, says_geometry = divmod(reader.varint(), 2)
    require(number < len(sets), "there is no such parameter set")
    return number, bool(says_geometry)


def read_record(
    reader: Reader,
    name: str,
    shared: ParameterSet,
    earlier: list[Record],
    limits: dict[str, int],
    *,
    says_geometry: bool,
) -> Record:
    dtype, coding = shared.dtype, shared.coding
    shape = read_shape(reader, limits) if shared.shape is None else shared.shape
    require(shared.axes is None or len(shared.axes) == len(shape), "axes and shape differ in rank")
    record = Record(name, dtype, coding, shared.delta, shared.axes, shared.levels, shape)
    if has_step(dtype, coding):
        record = replace(record, step=read_step(reader, dtype) if shared.step is None else shared.step)
    elif coding == LEVELS:
        record = replace(record, offset=reader.zigzag())
    elif coding == EXACT_FLOAT:
        record = read_exact_float(reader, record)
    elif coding == CODEBOOK:
        record = replace(record, entries=reader.varint(), center=reader.varint())
        require(1 <= record.entries <= 65536, "a codebook has 1 to 65536 entries")
        require(record.center < record.entries, "a codebook's center is no entry")
    elif coding == ALIAS:
        record = replace(record, alias=reader.varint())
        require(record.alias < len(earlier), "an alias names no earlier tensor")
        holder = earlier[record.alias]
        require(holder.coding != ALIAS, "an alias names an alias")
        require((holder.dtype, holder.shape) == (dtype, shape), "an alias differs in type or shape")
    elif coding == RAW:
        size = record.elements * dtype.bytes
        record = replace(record, slice_bytes=raw_slices(size))
    require(not says_geometry or has_levels(coding), "a record without levels has a geometry")
    return read_slices(reader, record, says_geometry) if has_levels(coding) else record


def read_exact_float(reader: Reader, record: Record) -> Record:
    """The fields of section 6.2."""
    bits, flags, lowest, center = reader.u8(), reader.u8(), reader.varint(), reader.varint()
    last = reader.varint() if flags & ENDS_FLAG else 0
    greatest = (1 << record.dtype.exponent_bits) - 1
    require(bits <= record.dtype.mantissa_bits, "the type has fewer mantissa bits")
    require(flags < 16 and flags & 3 != 3, "a reserved flag of exact floats is set")
    require(1 <= lowest <= greatest, "the lowest exponent is none of the type")
    require(center <= greatest - lowest + 1, "the center is no index")
    require(not flags & ENDS_FLAG or 1 <= last <= greatest + bits, "the place of end 0 is none")
    return replace(record, mantissa_bits=bits, float_flags=flags, lowest=lowest, center=center, last=last)


def raw_slices(size: int) -> tuple[int, ...]:
    """The slices of a raw tensor: 2^24 bytes and a checksum each, the last what is left."""
    require(size + CHECKSUM_BYTES * -(-size // RAW_SLICE_BYTES) < 1 << 63, "the file's length is not below 2^63")
    full, rest = divmod(size, RAW_SLICE_BYTES)
    last = (rest + CHECKSUM_BYTES,) if rest else ()
    return (RAW_SLICE_BYTES + CHECKSUM_BYTES,) * full + last


def read_slices(reader: Reader, record: Record, says_geometry: bool) -> Record:
    """The geometry of section 4, and the slices' lengths."""
    row_width, slice_rows, gaps = [reader.varint() if says_geometry else 0 for _ in range(3)]
    if gaps:
        require(record.coding == LEVELS and len(record.shape) >= 2, "there can be no gaps here")
        require(record.elements > 0 and gaps < record.first, "there are too many gaps")
        record = replace(record, gaps=gaps)
    elements = record.elements
    if elements == 0:
        require(row_width == 0 and slice_rows == 0, "a tensor without elements has rows")
        return record
    first = record.shape[record.axes[0] if record.axes else 0] if len(record.shape) >= 2 else 1
    natural = elements // first
    require(row_width != natural, "the natural row width is written out")
    row_width = row_width or natural
    elements = record.coded
    require(row_width <= elements, "a scan row exceeds the tensor")
    rows = -(-elements // row_width)
    require(slice_rows < rows, "a slice exceeds the tensor, or all rows are written out")
    slice_rows = slice_rows or rows
    count = -(-rows // slice_rows) + (record.coding == CODEBOOK or gaps > 0)
    require(count <= reader.left(), "more slices are announced than the header holds")
    slice_bytes = tuple(reader.varint() for _ in range(count))
    require(all(size >= CHECKSUM_BYTES for size in slice_bytes), "a slice is shorter than its checksum")
    require(not gaps or slice_bytes[0] == -(-record.first // 8) + CHECKSUM_BYTES, "the map has another size")
    return replace(record, row_width=row_width, slice_rows=slice_rows, slice_bytes=slice_bytes)
