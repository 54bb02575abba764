"""Good vectors: together they have every coding, element type, context set and parameter of FORMAT.md."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from reference.container import ALIAS, CODEBOOK, EXACT_FLOAT, LEVELS, RAW, ZERO, Coding, ParameterSet, Record
from reference.decoder import Tensor, digest
from reference.elements import DTYPES, IDS, float_bits, whole_bits
from reference.encoder import encode_slice
from reference.floats import encode_part
from reference.levels import multiples
from reference.writer import Entry, Fields, sealed, write_header, write_payload, write_preamble
from vectors.text import Vector


def a_set(
    dtype: str,
    coding: int,
    levels: Coding | None = None,
    *,
    delta: bool = False,
    axes: tuple[int, ...] | None = None,
    shape: tuple[int, ...] | None = None,
    step: float | None = None,
) -> ParameterSet:
    return ParameterSet(DTYPES[IDS[dtype]], coding, delta, axes, shape, step, levels)


def a_file(
    sets: Sequence[ParameterSet],
    entries: Sequence[Entry],
    *,
    metadata: Sequence[tuple[str, str]] = (),
    extensions: Sequence[tuple[int, bytes]] = (),
    base: bytes | None = None,
) -> Fields:
    header = write_header(sets, entries, metadata=metadata, extensions=extensions, base=base)
    return sealed(write_preamble(header, base=base is not None), header, write_payload(entries))


def noise(count: int, scale: float, seed: int = 1) -> list[int]:
    """Levels of both signs, mostly small, from a generator of our own: the same on every machine and version."""
    levels = []
    for _ in range(count):
        exponent = 0.0
        for _ in range(4):
            seed = (seed * 1103515245 + 12345) % (1 << 31)
            exponent += (seed >> 16) / (1 << 15) - 0.5
        levels.append(int(exponent * abs(exponent) * scale))
    return levels


def slices_of(coding: Coding, coded: Sequence[int], row_width: int, slice_rows: int = 0) -> tuple[bytes, ...]:
    per_slice = slice_rows * row_width or len(coded)
    parts = [coded[begin : begin + per_slice] for begin in range(0, len(coded), per_slice)]
    return tuple(encode_slice(coding, part, row_width) for part in parts)


def stands_for(coding: Coding, coded: Sequence[int], row_width: int, slice_rows: int = 0) -> list[int]:
    per_slice = slice_rows * row_width or len(coded)
    parts = [coded[begin : begin + per_slice] for begin in range(0, len(coded), per_slice)]
    return [multiple for part in parts for multiple in multiples(coding, part, row_width)]


def weights(dtype: str, shape: tuple[int, ...], step: float, levels: Sequence[int]) -> Tensor:
    return Tensor(dtype, shape, b"".join(float_bits(DTYPES[IDS[dtype]], step * level) for level in levels))


def integers(dtype: str, shape: tuple[int, ...], values: Sequence[int]) -> Tensor:
    return Tensor(dtype, shape, whole_bits(DTYPES[IDS[dtype]], values))


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def scan_vector(
    name: str,
    about: str,
    coding: Coding,
    levels: Sequence[int],
    shape: tuple[int, ...],
    row_width: int = 0,
    slice_rows: int = 0,
    dtype: str = "int32",
) -> Vector:
    """One tensor "w", whose elements are its levels or the multiples of its trellis."""
    width = row_width or (len(levels) // shape[0] if len(shape) > 1 else len(levels))
    slices = slices_of(coding, levels, width, slice_rows)
    entry = Entry("w", shape, row_width=row_width, slice_rows=slice_rows, slices=slices)
    elements = stands_for(coding, levels, width, slice_rows)
    return Vector(name, about, a_file([a_set(dtype, LEVELS, coding)], [entry]), {"w": integers(dtype, shape, elements)})


def containers() -> list[Vector]:
    nothing = Vector("good-empty", "no tensors, no metadata.", a_file([], []))
    metadata = [("", ""), ("é\n", "\U0001f9e0"), ("format", "pt")]
    names = Vector(
        "good-names",
        "names share their beginnings, whole characters of them; one is empty; metadata keeps its order.",
        a_file(
            [a_set("uint8", RAW, shape=(2,))],
            [
                Entry("couche.é.poids", (2,), slices=(b"\1\2",)),
                Entry("couche.é.biais", (2,), shared=10, slices=(b"\3\4",)),
                Entry("", (2,), slices=(b"\5\6",)),
            ],
            metadata=metadata,
        ),
        {
            "couche.é.poids": Tensor("uint8", (2,), b"\1\2"),
            "couche.é.biais": Tensor("uint8", (2,), b"\3\4"),
            "": Tensor("uint8", (2,), b"\5\6"),
        },
        metadata,
    )
    extension = Vector(
        "good-extension",
        "extensions of even type are skipped.",
        a_file([a_set("int8", RAW)], [Entry("w", (1,), slices=(b"\x80",))], extensions=[(6, b"skip"), (1 << 63, b"")]),
        {"w": Tensor("int8", (1,), b"\x80")},
    )
    one, zeros = floats(1.0), bytes(12)
    plain = Vector(
        "good-zero-alias",
        "zeros, aliases, a scalar, and tensors without elements in every coding.",
        a_file(
            [
                a_set("float32", RAW, shape=()),
                a_set("float32", ZERO),
                a_set("float32", ALIAS),
                a_set("float32", LEVELS, Coding(), step=0.5),
                a_set("float32", CODEBOOK, Coding(), shape=(0,)),
            ],
            [
                Entry("scalar", (), 0, slices=(one,)),
                Entry("zero", (3, 1), 1),
                Entry("same", (), 2, alias=0),
                Entry("zeros", (3, 1), 2, alias=1),
                Entry("none", (2, 0, 3), 3),
                Entry("none.book", (0,), 4, entries=9, center=4),
                Entry("none.zero", (0, 5), 1),
            ],
        ),
        {
            "scalar": Tensor("float32", (), one),
            "zero": Tensor("float32", (3, 1), zeros),
            "same": Tensor("float32", (), one),
            "zeros": Tensor("float32", (3, 1), zeros),
            "none": Tensor("float32", (2, 0, 3), b""),
            "none.book": Tensor("float32", (0,), b""),
            "none.zero": Tensor("float32", (0, 5), b""),
        },
    )
    kinds = {name: Tensor(name, (2,), bytes([0, 1] * DTYPES[number].bytes)) for name, number in IDS.items()}
    raw = Vector(
        "good-raw-types",
        "every element type, raw.",
        a_file(
            [a_set(name, RAW, shape=(2,)) for name in kinds],
            [Entry(name, (2,), set=index, slices=(tensor.data,)) for index, (name, tensor) in enumerate(kinds.items())],
        ),
        kinds,
    )
    return [nothing, names, extension, plain, raw]


def numbers() -> list[Vector]:
    """What levels stand for: types, steps, offsets, codebooks, differences."""
    coding = Coding(flags=2, golomb=0, prefixes=5, width=24)
    levels = [0, 1, -1, 7, -8, 100, -1000, 70000, -(1 << 23)]
    steps = {"float64": 0.1, "bfloat16": 1.0 / 3, "float16": 1.0 / 1024}
    floating = {name: weights(name, (9,), struct_f32(name, steps.get(name, 0.25)), levels) for name in FLOATS}
    rounding = Vector(
        "good-floating-types",
        "levels of every floating type: rounded once, to even; too great becomes infinity, or NaN where there is none.",
        a_file(
            [a_set(name, LEVELS, coding, step=struct_f32(name, steps.get(name, 0.25))) for name in floating],
            [Entry(name, (9,), index, slices=slices_of(coding, levels, 9)) for index, name in enumerate(floating)],
        ),
        floating,
    )
    ranges = {name: (integer_offset(name), [0, 1, 1]) for name in INTEGERS}
    whole = Vector(
        "good-integer-types",
        "levels of every integer type and of bool, at the end of its range: an offset is added.",
        a_file(
            [a_set(name, LEVELS, coding) for name in ranges],
            [
                Entry(name, (3,), index, offset=offset, slices=slices_of(coding, some, 3))
                for index, (name, (offset, some)) in enumerate(ranges.items())
            ],
        ),
        {name: integers(name, (3,), [level + offset for level in some]) for name, (offset, some) in ranges.items()},
    )
    book = [struct.pack("<dd", *pair) for pair in ((0.0, -0.0), (1.5, 2.5), (float("inf"), 0.0))]
    indices = [1, 1, 0, 2, 1, 1, 2, 1]
    codebook = Vector(
        "good-codebook",
        "a codebook of complex numbers, in slices of two rows; another of bools.",
        a_file(
            [a_set("complex128", CODEBOOK, coding, axes=(1, 0)), a_set("bool", CODEBOOK, coding)],
            [
                Entry(
                    "complex",
                    (2, 4),
                    0,
                    entries=3,
                    center=1,
                    slice_rows=2,
                    slices=(b"".join(book), *slices_of(coding, [index - 1 for index in indices], 2, 2)),
                ),
                Entry("bool", (3,), 1, entries=2, slices=(b"\1\0", *slices_of(coding, [0, 1, 1], 3))),
            ],
        ),
        {
            # Scan order goes down the columns.
            "complex": Tensor("complex128", (2, 4), b"".join(book[indices[at]] for at in (0, 2, 4, 6, 1, 3, 5, 7))),
            "bool": Tensor("bool", (3,), b"\1\0\0"),
        },
    )
    old = {
        "levels": Tensor("float32", (2, 2), floats(1.0, 2.0, 3.0, 4.0)),
        "half": Tensor("float16", (2,), bytes.fromhex("003C 0040")),  # 1, 2
        "alike": Tensor("float64", (2,), struct.pack("<2d", 0.1, -0.2)),
    }
    change = [1, 0, -2, 3]
    difference = Vector(
        "good-difference",
        "differences to a base: levels, which are added before they are rounded; raw; zero; an alias of one.",
        a_file(
            [
                a_set("float32", LEVELS, coding, delta=True, axes=(1, 0), shape=(2, 2), step=0.5),
                a_set("float16", RAW, delta=True),
                a_set("float64", ZERO, delta=True),
                a_set("float32", ALIAS),
                a_set("float32", ZERO),
            ],
            [
                Entry("levels", (2, 2), 0, slices=slices_of(coding, change, 2)),
                Entry("half", (2,), 1, slices=(bytes.fromhex("0038 00BC"),)),  # 0.5, -1
                Entry("alike", (2,), 2),
                Entry("again", (2, 2), 3, alias=0),
                Entry("new", (1,), 4),
            ],
            base=digest(old),
        ),
        {
            "levels": Tensor("float32", (2, 2), floats(1.5, 1.0, 3.0, 5.5)),
            "half": Tensor("float16", (2,), bytes.fromhex("003E 003C")),
            "alike": old["alike"],
            "again": Tensor("float32", (2, 2), floats(1.5, 1.0, 3.0, 5.5)),
            "new": Tensor("float32", (1,), bytes(4)),
        },
        base=old,
    )
    return [rounding, whole, codebook, difference]


def exact_entry(
    name: str,
    dtype: str,
    elements: Sequence[bytes],
    shape: tuple[int, ...] = (),
    slice_rows: int = 0,
    width: int = 0,
    **fields: int,
) -> Entry:
    """A tensor of exact floats, in scan order, of the set of that number; `width` is the natural one."""
    shape = shape or (len(elements),)
    width = width or (len(elements) // shape[0] if len(shape) > 1 else len(elements))
    fields = {"lowest": 1, **fields}
    kept = {key: value for key, value in fields.items() if key != "set"}
    record = Record(name, DTYPES[IDS[dtype]], EXACT_FLOAT, False, None, EXACT, shape, row_width=width, **kept)
    per_slice = slice_rows * width or len(elements)
    parts = [elements[begin : begin + per_slice] for begin in range(0, len(elements), per_slice)]
    slices = tuple(encode_part(record, part) for part in parts)
    return Entry(name, shape, slice_rows=slice_rows, slices=slices, **fields)


EXACT = Coding(flags=2, golomb=1, prefixes=5, width=12)


def exact_floats() -> list[Vector]:
    """Section 6.2."""
    codes = {
        # 1, -1, 0, -0, 2, 0.5, infinities, NaNs with payloads, subnormals.
        "float16": "003C 00BC 0000 0080 0040 0038 007C 00FC 017C FFFF 0100 FF83",
        "bfloat16": "803F 80BF 0000 0080 0040 003F 807F 80FF 817F FFFF 0100 7F80",
        "float32": "0000803F 000080BF 00000000 00000080 00000040 0000003F 0000807F 000080FF 0100807F FFFFFFFF 01000000",
        "float64": "000000000000F03F 000000000000F0BF 0000000000000080 010000000000F07F FFFFFFFFFFFFFFFF",
    }
    whole = {}
    for name, text in codes.items():
        data, size = bytes.fromhex(text), DTYPES[IDS[name]].bytes
        whole[name] = [data[at : at + size] for at in range(0, len(data), size)]
    types = Vector(
        "good-exact-types",
        "exact floats of every type that has them, all bits kept: signed zeros, infinities, NaN, subnormals.",
        a_file(
            [a_set(name, EXACT_FLOAT, EXACT) for name in whole],
            [
                exact_entry(
                    name, name, some, set=index, mantissa_bits=DTYPES[IDS[name]].mantissa_bits, float_flags=2, center=15
                )
                for index, (name, some) in enumerate(whole.items())
            ],
        ),
        {name: Tensor(name, (len(some),), b"".join(some)) for name, some in whole.items()},
    )
    zeros = [struct.pack("<f", value) for value in (0.0, 1.5, 0.0, -2.0, 0.0, 0.0)]
    signed = [struct.pack("<f", value) for value in (0.0, -0.0, 1.25, -0.0, -3.0, 0.0)]
    ends = [struct.pack("<f", value) for value in (1.0, -1.5, 0.0, 0.625, -3.0, 0.0, 2.0078125, 1.0)]
    order = (0, 2, 4, 6, 1, 3, 5, 7)  # scan order goes down the columns
    scanned = [struct.pack("<f", value) for value in (1.0, 1.5, -2.0, 0.5, 1.25, 0.75, 3.0, -1.0)]
    fields = {"float_flags": 9, "lowest": 127, "mantissa_bits": 2}
    kinds = Vector(
        "good-exact-kinds",
        "zeros without bits; with signs; ends, some slice of which has none; axes and slices; no elements.",
        a_file(
            [a_set("float32", EXACT_FLOAT, EXACT), a_set("float32", EXACT_FLOAT, EXACT, axes=(1, 0))],
            [
                exact_entry("zeros", "float32", zeros, mantissa_bits=1, lowest=127, center=1),
                exact_entry("signs", "float32", signed, **fields),
                exact_entry("ends", "float32", ends, (4, 2), 2, mantissa_bits=8, float_flags=4, lowest=126, last=130),
                exact_entry("no ends", "float32", zeros[:1], mantissa_bits=0, float_flags=4, lowest=126, last=1),
                exact_entry("axes", "float32", scanned, (4, 2), 1, 4, set=1, mantissa_bits=3, lowest=126, center=2),
                Entry("none", (0, 3), lowest=1),
            ],
        ),
        {
            "zeros": Tensor("float32", (6,), b"".join(zeros)),
            "signs": Tensor("float32", (6,), b"".join(signed)),
            "ends": Tensor("float32", (4, 2), b"".join(ends)),
            "no ends": Tensor("float32", (1,), bytes(4)),
            "axes": Tensor("float32", (4, 2), b"".join(scanned[order.index(at)] for at in range(8))),
            "none": Tensor("float32", (0, 3), b""),
        },
    )
    return [types, kinds]


FLOATS = [dtype.name for dtype in DTYPES.values() if dtype.kind == "float"]
INTEGERS = [dtype.name for dtype in DTYPES.values() if dtype.kind in ("bool", "int", "uint")]


def struct_f32(dtype: str, step: float) -> float:
    """The step as the file has it."""
    return step if dtype == "float64" else float(struct.unpack("<f", struct.pack("<f", step))[0])


def integer_offset(name: str) -> int:
    """The second last value of the type, or of int64 where that is less."""
    dtype = DTYPES[IDS[name]]
    bits = {"bool": 1, "int": 8 * dtype.bytes - 1, "uint": 8 * dtype.bytes}[dtype.kind]
    return min((1 << bits) - 2, (1 << 63) - 1)


def streams() -> list[Vector]:
    """The lane coder's parameters."""
    return [
        scan_vector(
            "good-paper",
            "context set 0, three flags and a remainder of fixed length; a single lane.",
            Coding(flags=3, prefixes=0, width=6, context=0),
            noise(60, 20),
            (6, 10),
        ),
        scan_vector(
            "good-row",
            "context set 1 with its rate, classes from floor 12; four lanes, rows of 7, the last one short.",
            Coding(flags=1, golomb=1, prefixes=4, width=10, context=1, row_shift=2, class_floor=12, lanes=4),
            noise(96, 300),
            (96,),
            7,
        ),
        scan_vector(
            "good-column",
            "context set 2, whose signs lean on the column's; two lanes.",
            Coding(flags=4, prefixes=3, width=8, context=2, column_shift=2, lanes=2),
            [level + (5 if at % 6 < 3 else -5) for at, level in enumerate(noise(120, 6))],
            (20, 6),
        ),
        scan_vector(
            "good-row-column",
            "context set 3, with starts, in slices of three rows, of which the last has one and that is short.",
            Coding(
                flags=2,
                prefixes=3,
                width=9,
                context=3,
                row_shift=3,
                column_shift=3,
                lanes=2,
                start=(60000, 40000, 30000, 20000, 0, 65535),
            ),
            noise(100, 40),
            (100,),
            16,
            3,
        ),
        scan_vector(
            "good-64-lanes",
            "64 lanes, of which 50 are in use, and rows of one element.",
            Coding(flags=5, prefixes=2, width=8, context=3, row_shift=1, column_shift=1, lanes=64),
            noise(50, 10),
            (50, 1),
        ),
        scan_vector(
            "good-lanes-leave",
            "8 lanes, two groups; in the last one the lanes leave when the short row has ended.",
            Coding(flags=5, prefixes=2, width=8, context=1, row_shift=1, lanes=8),
            noise(99, 10),
            (99,),
            9,
        ),
        scan_vector(
            "good-trellis-4",
            "the trellis of four states, with the contexts of the paper; two lanes.",
            Coding(flags=4, prefixes=3, width=8, context=0, trellis=4, lanes=2),
            noise(64, 12),
            (8, 8),
        ),
        scan_vector(
            "good-trellis-8",
            "the trellis of eight states, whose lanes keep their states from row to row; greatest levels.",
            Coding(flags=2, prefixes=3, width=31, context=3, row_shift=2, column_shift=2, trellis=8, lanes=2),
            [*noise(61, 12), (1 << 30) - 1, 1 - (1 << 30), (1 << 30) - 1],
            (16, 4),
        ),
        scan_vector(
            "good-unary-alone",
            "no flags and no prefix bins: sigflag, sign and 31 bits; the greatest magnitudes.",
            Coding(flags=0, prefixes=0, width=31),
            [0, 1, -1, (1 << 31) - 1, 1 - (1 << 31), 2, 0],
            (7,),
        ),
        scan_vector(
            "good-long-prefix",
            "14 prefix bins of an Exp-Golomb code of order 10, no flags; buckets of 10 to 23 bits, and 24 beyond.",
            Coding(flags=0, golomb=10, prefixes=14, width=24, context=1, row_shift=1, class_floor=20),
            [(1 << at) * (-1 if at % 3 else 1) for at in range(25)],
            (25,),
        ),
        scan_vector(
            "good-no-words",
            "levels so likely that no word is left: the slice is its checksum.",
            Coding(start=(0,) * 15),
            [0] * 12,
            (12,),
        ),
        scan_vector(
            "good-halved-counts",
            "3,600 levels: the counts reach their limit and are scaled down.",
            Coding(flags=3, prefixes=2, width=6, context=0, lanes=2),
            noise(3600, 2),
            (2, 1800),
            dtype="int8",
        ),
    ]


def vectors() -> list[Vector]:
    return [*containers(), *numbers(), *exact_floats(), *streams()]
