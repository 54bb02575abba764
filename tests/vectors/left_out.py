"""Vectors of what a file leaves out: rows of zeros (FORMAT.md, 4.1), names and shapes of the base (7.1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from reference.container import ALIAS, CODEBOOK, LEVELS, RAW, ZERO, Coding, ParameterSet
from reference.decoder import Tensor, digest
from reference.writer import Entry, Fields, Layout, sealed, write_header, write_payload, write_preamble
from vectors.bad import bad, header_of, parts
from vectors.good import a_set, floats, integers, slices_of, weights
from vectors.text import Vector

CODING = Coding(flags=2, prefixes=3, width=8)
ROWS = [[0, 0, 0], [1, 0, -2], [0, 0, 0], [0, 0, 0], [4, 5, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 7, 0]]
MAP = bytes([0b00010010, 0b00000010])


def coded(rows: Sequence[Sequence[int]]) -> list[int]:
    return [level for row in rows if any(row) for level in row]


def gaps(one: ParameterSet, content: bytes = MAP, **changes: object) -> Entry:
    """A (10, 3) tensor "w" of which three rows are coded, in slices of two."""
    slices = (content, *slices_of(CODING, coded(ROWS), 3, 2))
    entry = Entry("w", (10, 3), slice_rows=2, gaps=7, slices=slices, step=0.5)
    return Entry(**{**vars(entry), **changes})  # type: ignore[arg-type]


def good_gaps() -> list[Vector]:
    flat = [level for row in ROWS for level in row]
    columns = [[0, 0, 0, 0], [1, -1, 2, 0], [0, 0, 0, 0]]
    trellis = Coding(flags=1, prefixes=2, width=8, context=2, trellis=4)
    old = Tensor("float32", (2, 2), floats(1.0, 2.0, -0.0, 4.0))
    return [
        Vector(
            "good-gaps",
            "seven rows of ten are left out, of weights and of integers, to which an offset is added.",
            parts(
                [a_set("float32", LEVELS, CODING, step=0.5), a_set("int16", LEVELS, CODING)],
                [gaps(a_set("int16", LEVELS)), gaps(a_set("int16", LEVELS), name="n", set=1, offset=-3)],
            ).file(),
            {"w": weights("float32", (10, 3), 0.5, flat), "n": integers("int16", (10, 3), [q - 3 for q in flat])},
        ),
        Vector(
            "good-gaps-axes",
            "of the permuted tensor the first and the last row are left out; the trellis begins at the second.",
            parts(
                [a_set("float64", LEVELS, trellis, axes=(1, 0))],
                [Entry("w", (4, 3), gaps=2, step=0.25, slices=(b"\2", *slices_of(trellis, columns[1], 4)))],
            ).file(),
            # Multiples of the levels 1, -1, 2, 0 in the states 0, 2, 3, 3.
            {"w": weights("float64", (4, 3), 0.25, [0, 2, 0, 0, -1, 0, 0, 3, 0, 0, 0, 0])},
        ),
        Vector(
            "good-gaps-difference",
            "a row of a difference that is left out: the base's, whose -0 + 0 is 0.",
            parts(
                [a_set("float32", LEVELS, CODING, delta=True)],
                [Entry("w", (2, 2), gaps=1, step=1.0, slices=(b"\1", *slices_of(CODING, [1, -1], 2)))],
                base=digest({"w": old}),
            ).file(),
            {"w": Tensor("float32", (2, 2), floats(2.0, 1.0, 0.0, 4.0))},
            base={"w": old},
        ),
    ]


def bad_gaps() -> list[Vector]:
    plain = a_set("int8", LEVELS, CODING)
    good = parts([plain], [gaps(plain)])
    vector = Entry("w", (9,), gaps=3, slices=(b"\1\0", *slices_of(CODING, [1] * 6, 6)))
    empty = parts([plain], [Entry("w", (4, 0), gaps=1)])
    book = Entry("w", (2, 2), entries=1, gaps=1, slices=(b"\1", *slices_of(CODING, [0, 0], 2)))
    return [
        bad("gaps-all", "all rows are left out.", header_of(good, "'w' gaps", b"\x0a")),
        bad("gaps-great", "more rows are left out than there are.", header_of(good, "'w' gaps", b"\x0b")),
        bad("gaps-slices", "more rows in a slice than are coded.", header_of(good, "'w' slice_rows", b"\4")),
        bad("gaps-of-vector", "gaps of a tensor of one dimension.", parts([plain], [vector]).file()),
        bad("gaps-of-nothing", "gaps of a tensor without elements.", empty.file()),
        bad("gaps-of-codebook", "gaps of a codebook.", parts([a_set("int8", CODEBOOK, CODING)], [book]).file()),
        bad("gaps-map-few", "fewer rows in the map than are coded.", one_map(plain, b"\x12\0")),
        bad("gaps-map-many", "more rows in the map than are coded.", one_map(plain, b"\x13\2")),
        bad("gaps-map-beyond", "a row in the map that is not there.", one_map(plain, b"\x12\4")),
        bad("gaps-map-short", "a byte of the map is missing.", one_map(plain, b"\x12")),
        bad("gaps-map-long", "a byte too many in the map.", one_map(plain, MAP + b"\0")),
        bad(
            "gaps-offset",
            "an offset that is beyond uint8, where nothing is coded.",
            parts(
                [a_set("uint8", LEVELS, CODING)],
                [Entry("w", (2, 2), gaps=1, offset=-1, slices=(b"\1", *slices_of(CODING, [2, 3], 2)))],
            ).file(),
        ),
    ]


def one_map(one: ParameterSet, content: bytes) -> Fields:
    return parts([one], [gaps(one, content)]).file()


BASE = {
    "b": Tensor("float32", (2,), floats(1.0, 2.0)),
    "é": Tensor("int64", (), struct.pack("<q", 7)),
    "w": Tensor("float32", (3, 2), floats(*range(6))),
    "a": Tensor("float32", (1, 2), floats(-1.0, 0.5)),
    "none": Tensor("float32", (0, 4), b""),
}


def based(sets: Sequence[ParameterSet], entries: Sequence[Entry], layout: Layout) -> Fields:
    header = write_header(sets, entries, base=digest(BASE), layout=layout)
    return sealed(write_preamble(header, base=True, layout=True), header, write_payload(entries))


JOINED_SETS = [
    a_set("float32", LEVELS, CODING, delta=True),
    a_set("int64", RAW),
]
JOINED_ENTRIES = [
    Entry("w", (3, 2), step=1.0, gaps=2, slices=(b"\2", *slices_of(CODING, [2, -1], 2))),
    Entry("joined a, b, none", (4,), step=0.5, slices=slices_of(CODING, [0, 1, -2, 3], 4)),
    Entry("joined é", (1,), 1, slices=(struct.pack("<q", 9),)),
]


def good_layouts() -> list[Vector]:
    alone = [
        Entry("a", (1, 2), 0),
        Entry("b", (2,), 2, slices=(floats(3.0, 4.0),)),
        Entry("none", (0, 4), 0),
        Entry("w", (3, 2), 0),
        Entry("é", (), 1, slices=(struct.pack("<q", 8),)),
    ]
    sets = [a_set("float32", ZERO, delta=True), a_set("int64", RAW), a_set("float32", RAW)]
    return [
        Vector(
            "good-layout",
            "names and shapes of the base; small tensors are joined, those of another type to another group.",
            based(JOINED_SETS, JOINED_ENTRIES, (6, [0, 0, 0, 1])),
            {
                "b": Tensor("float32", (2,), floats(0.0, 3.5)),
                "é": Tensor("int64", (), struct.pack("<q", 9)),
                "w": Tensor("float32", (3, 2), floats(0, 1, 4, 2, 4, 5)),
                "a": Tensor("float32", (1, 2), floats(-1.0, 1.0)),
                "none": BASE["none"],
            },
            base=BASE,
        ),
        Vector(
            "good-layout-alone",
            "nothing is joined: a record for every tensor, in the order of names.",
            based(sets, alone, (0, [])),
            {**BASE, "b": Tensor("float32", (2,), floats(3.0, 4.0)), "é": Tensor("int64", (), struct.pack("<q", 8))},
            base=BASE,
        ),
    ]


def bad_layouts() -> list[Vector]:
    good = Fields(based(JOINED_SETS, JOINED_ENTRIES, (6, [0, 0, 0, 1])).fields)
    shape = [a_set("float32", LEVELS, CODING, delta=True, shape=(3, 2)), *JOINED_SETS]
    shaped = [
        JOINED_ENTRIES[0],
        Entry(**{**vars(JOINED_ENTRIES[1]), "set": 1}),
        Entry(**{**vars(JOINED_ENTRIES[2]), "set": 2}),
    ]
    alias = [a_set("float32", ALIAS), *JOINED_SETS]
    aliased = [
        Entry(**{**vars(JOINED_ENTRIES[0]), "set": 1}),
        Entry("joined a, b, none", (4,), 0, alias=0),
        Entry(**{**vars(JOINED_ENTRIES[2]), "set": 2}),
    ]
    return [
        of_base("layout-no-base", "names of the base, but no base.", no_base()),
        of_base(
            "layout-group",
            "group 3 of three.",
            resealed(good.changed("groups", b"\3").changed("numbers of groups", b"\xe4")),
        ),
        of_base("layout-group-empty", "a group without a tensor.", resealed(good.changed("numbers of groups", b"\0"))),
        of_base("layout-bits", "a bit behind the last group.", resealed(good.changed("numbers of groups", b"\x18"))),
        of_base("layout-groups", "more groups than tensors.", resealed(good.changed("groups", b"\6"))),
        of_base("layout-type", "a group of two types.", based(JOINED_SETS, JOINED_ENTRIES[:2], (6, [0, 0, 0, 0]))),
        of_base("layout-shape", "a parameter set with a shape.", based(shape, shaped, (6, [0, 0, 0, 1]))),
        of_base("layout-alias", "an alias of another shape.", based(alias, aliased, (6, [0, 0, 0, 1]))),
        of_base(
            "layout-over",
            "a record too many.",
            based(JOINED_SETS, [*JOINED_ENTRIES, JOINED_ENTRIES[2]], (6, [0, 0, 0, 1])),
        ),
        of_base("layout-short", "a record is missing.", based(JOINED_SETS, JOINED_ENTRIES[:2], (6, [0, 0, 0, 1]))),
    ]


def no_base() -> Fields:
    header = write_header(JOINED_SETS, JOINED_ENTRIES, layout=(6, [0, 0, 0, 1]))
    return sealed(write_preamble(header, layout=True), header, write_payload(JOINED_ENTRIES))


def of_base(name: str, about: str, fields: Fields) -> Vector:
    return Vector(f"bad-{name}", about, fields, base=BASE, fault="corrupt")


def resealed(file: Fields) -> Fields:
    """A file, of which a field of the header was changed, under a right checksum."""
    place = [field.note for field in file.fields].index("header crc32c")
    notes = [field.note for field in file.fields]
    end = next(index for index, note in enumerate(notes) if " slice 0" in note and "bytes" not in note)
    preamble, header = Fields(file.fields[: place - 1]), Fields(file.fields[place + 1 : end])
    preamble.integer(len(header.bytes()), 4, "header bytes")
    return sealed(preamble, header, Fields(file.fields[end:]))


def vectors() -> list[Vector]:
    return [*good_gaps(), *bad_gaps(), *good_layouts(), *bad_layouts()]
