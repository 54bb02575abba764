"""Files written field by field, each with its meaning: FORMAT.md, sections 1 to 4. For vectors and tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from reference.container import ALIAS, CODEBOOK, ENDS_FLAG, EXACT_FLOAT, LEVELS, ParameterSet, has_levels, has_step
from reference.elements import IDS, DType
from reference.reading import crc32c, varint


@dataclass(frozen=True)
class Field:
    data: bytes
    note: str


class Fields:
    """Fields one after the other; `changed` gives the same with other bytes in one of them."""

    def __init__(self, fields: Sequence[Field] = ()) -> None:
        self.fields = list(fields)

    def bytes(self) -> bytes:
        return b"".join(field.data for field in self.fields)

    def add(self, data: bytes, note: str) -> None:
        self.fields.append(Field(data, note))

    def integer(self, number: int, size: int, note: str) -> None:
        self.add(number.to_bytes(size, "little"), f"{note}: {number}")

    def varint(self, number: int, note: str) -> None:
        self.add(varint(number), f"{note}: {number}")

    def string(self, text: str, note: str) -> None:
        data = text.encode()
        self.add(varint(len(data)) + data, f"{note}: {text!r}")

    def step(self, dtype: DType, step: float, note: str) -> None:
        self.add(struct.pack("<d" if dtype.name == "float64" else "<f", step), f"{note}: {step}")

    def changed(self, note: str, data: bytes) -> Fields:
        """With `data` in the one field whose note begins so."""
        found = [index for index, field in enumerate(self.fields) if field.note.startswith(note)]
        assert len(found) == 1, f"{len(found)} fields are {note!r} in {[field.note for field in self.fields]}"
        wrong = Field(data, f"{self.fields[found[0]].note.split(':')[0]}: WRONG")
        return Fields([*self.fields[: found[0]], wrong, *self.fields[found[0] + 1 :]])


@dataclass(frozen=True)
class Entry:
    """A record to write: its set's number, and what the set does not say. Numbers of geometry as the file has them."""

    name: str
    shape: tuple[int, ...]
    set: int = 0
    step: float = 0.0
    offset: int = 0
    entries: int = 0
    center: int = 0
    mantissa_bits: int = 0
    float_flags: int = 0
    lowest: int = 1
    last: int = 0
    alias: int = 0
    row_width: int = 0
    slice_rows: int = 0
    gaps: int = 0
    geometry: bool = False
    """Written even where all are 0."""
    slices: tuple[bytes, ...] = ()
    """Without their checksums."""
    shared: int = 0
    """Bytes of the name that are those of the name before."""


Layout = tuple[int, Sequence[int]]
"""The elements below which tensors are joined, and the group of each of those (section 7.1)."""


def write_header(
    sets: Sequence[ParameterSet],
    entries: Sequence[Entry],
    *,
    metadata: Sequence[tuple[str, str]] = (),
    extensions: Sequence[tuple[int, bytes]] = (),
    base: bytes | None = None,
    layout: Layout | None = None,
) -> Fields:
    out = Fields()
    if base is not None:
        out.add(base, "base digest")
    if layout is not None:
        joined, groups = layout
        out.varint(joined, "joined below")
        count = len(set(groups))
        out.varint(count, "groups")
        if count > 1:
            width = (count - 1).bit_length()
            numbers = sum(group << width * index for index, group in enumerate(groups))
            size = -(-width * len(groups) // 8)
            out.add(numbers.to_bytes(size, "little"), f"numbers of groups: {', '.join(map(str, groups))}")
    out.varint(len(metadata), "metadata pairs")
    for key, value in metadata:
        out.string(key, "key")
        out.string(value, "value")
    out.varint(len(extensions), "extensions")
    for kind, content in extensions:
        out.varint(kind, "extension type")
        out.varint(len(content), "extension length")
        out.add(content, "extension content")
    out.varint(len(sets), "sets")
    for index, one in enumerate(sets):
        write_set(out, one, f"set {index} ")
    if layout is None:
        out.varint(len(entries), "tensors")
    for entry in entries:
        write_record(out, entry, sets[entry.set], named=layout is None)
    return out


def write_numbers(out: Fields, numbers: Sequence[int], rank: str, each: str) -> None:
    out.varint(len(numbers), rank)
    for index, number in enumerate(numbers):
        out.varint(number, f"{each} {index}")


def write_set(out: Fields, one: ParameterSet, who: str) -> None:
    out.add(bytes([IDS[one.dtype.name]]), f"{who}dtype: {one.dtype.name}")
    names = ("raw", "levels", "exact float", "codebook", "zero", "alias")
    out.add(bytes([one.coding]), f"{who}coding: {names[one.coding]}")
    shared = {"delta": one.delta, "axes": one.axes, "shape": one.shape is not None, "step": one.step is not None}
    flags = sum(1 << bit for bit, present in enumerate(shared.values()) if present)
    out.add(bytes([flags]), f"{who}flags: {', '.join(name for name, present in shared.items() if present) or 'none'}")
    if one.axes:
        write_numbers(out, one.axes, f"{who}rank of axes", f"{who}axis")
    if one.shape is not None:
        write_numbers(out, one.shape, f"{who}rank", f"{who}dimension")
    if one.step is not None:
        out.step(one.dtype, one.step, f"{who}step")
    if one.levels is not None:
        levels = one.levels
        out.integer(levels.flags, 1, f"{who}flags_count")
        for name in ("golomb", "prefixes", "width", "context"):
            out.integer(getattr(levels, name), 1, f"{who}{name}")
        rates = levels.row_shift | levels.column_shift << 4
        out.add(bytes([rates]), f"{who}rates: row {levels.row_shift}, column {levels.column_shift}")
        out.integer(levels.class_floor, 1, f"{who}class_floor")
        out.integer(levels.trellis, 1, f"{who}trellis")
        out.integer(levels.lanes.bit_length() - 1, 1, f"{who}log2 of the lanes")
        out.varint(len(levels.start), f"{who}starts")
        for index, start in enumerate(levels.start):
            out.integer(start, 2, f"{who}start {index}")


def write_record(out: Fields, entry: Entry, one: ParameterSet, *, named: bool = True) -> None:
    who = f"{entry.name!r} "
    if named:
        rest = entry.name.encode()[entry.shared :].decode()
        out.varint(entry.shared, f"{who}shared")
        out.string(rest, f"{who}rest of the name")
    geometry = entry.geometry or entry.row_width > 0 or entry.slice_rows > 0 or entry.gaps > 0
    out.add(varint(2 * entry.set + geometry), f"{who}set: {entry.set}{', and a geometry' if geometry else ''}")
    if named and one.shape is None:
        write_numbers(out, entry.shape, f"{who}rank", f"{who}dimension")
    if has_step(one.dtype, one.coding):
        if one.step is None:
            out.step(one.dtype, entry.step, f"{who}step")
    elif one.coding == LEVELS:
        zigzag = 2 * entry.offset if entry.offset >= 0 else -2 * entry.offset - 1
        out.add(varint(zigzag), f"{who}offset: {entry.offset}")
    elif one.coding == EXACT_FLOAT:
        out.integer(entry.mantissa_bits, 1, f"{who}bits")
        out.integer(entry.float_flags, 1, f"{who}flags")
        out.varint(entry.lowest, f"{who}lowest")
        out.varint(entry.center, f"{who}center")
        if entry.float_flags & ENDS_FLAG:
            out.varint(entry.last, f"{who}last")
    elif one.coding == CODEBOOK:
        out.varint(entry.entries, f"{who}entries")
        out.varint(entry.center, f"{who}center")
    elif one.coding == ALIAS:
        out.varint(entry.alias, f"{who}is tensor")
    if has_levels(one.coding):
        if geometry:
            out.varint(entry.row_width, f"{who}row_width")
            out.varint(entry.slice_rows, f"{who}slice_rows")
            out.varint(entry.gaps, f"{who}gaps")
        for index, content in enumerate(entry.slices):
            out.varint(len(content) + 4, f"{who}slice {index} bytes")


def write_payload(entries: Sequence[Entry]) -> Fields:
    out = Fields()
    for entry in entries:
        for index, content in enumerate(entry.slices):
            out.add(content, f"{entry.name!r} slice {index}")
            out.add(crc32c(content).to_bytes(4, "little"), f"{entry.name!r} slice {index} crc32c")
    return out


def write_preamble(header: Fields, *, base: bool = False, layout: bool = False) -> Fields:
    """Its checksum is not there yet: `sealed` adds it."""
    out = Fields()
    out.add(bytes([0xAB, 0x43, 0x42, 0x43]), "magic")
    out.integer(1, 1, "version")
    named = ["base digest"] * base + ["names and shapes of the base"] * layout
    out.add(bytes([base | layout << 1]), f"flags: {', '.join(named) or 'none'}")
    out.integer(0, 2, "reserved")
    out.integer(len(header.bytes()), 4, "header bytes")
    return out


def sealed(preamble: Fields, header: Fields, payload: Fields) -> Fields:
    """The file, the header's checksum made."""
    checksum = Field(crc32c(preamble.bytes() + header.bytes()).to_bytes(4, "little"), "header crc32c")
    return Fields([*preamble.fields, checksum, *header.fields, *payload.fields])


def write_file(
    sets: Sequence[ParameterSet], entries: Sequence[Entry], *, base: bytes | None = None, layout: Layout | None = None
) -> bytes:
    header = write_header(sets, entries, base=base, layout=layout)
    preamble = write_preamble(header, base=base is not None, layout=layout is not None)
    return sealed(preamble, header, write_payload(entries)).bytes()
