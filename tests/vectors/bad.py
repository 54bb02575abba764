"""Bad and unsupported vectors: each breaks one rule of FORMAT.md, under right checksums unless those are the rule."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from reference.container import ALIAS, CODEBOOK, EXACT_FLOAT, LEVELS, RAW, ZERO, Coding, ParameterSet
from reference.encoder import encode_slice
from reference.reading import varint
from reference.writer import Entry, Field, Fields, sealed, write_header, write_payload, write_preamble
from vectors.good import EXACT, a_set, exact_entry, slices_of
from vectors.text import Vector

CODING = Coding(flags=2, prefixes=3, width=8)
LEVELS_OF_W = (0, 1, -1, 5, 0, 0, -300, 2)
INTEGERS = a_set("int16", LEVELS, CODING)
WEIGHTS = a_set("float32", LEVELS, CODING)
RAW_BYTES = a_set("uint8", RAW)


@dataclass
class Parts:
    """A good file in the parts that a bad one changes."""

    preamble: Fields
    header: Fields
    payload: Fields

    def file(self) -> Fields:
        return sealed(self.preamble, self.header, self.payload)


def parts(
    sets: list[ParameterSet],
    entries: list[Entry],
    *,
    metadata: tuple[tuple[str, str], ...] = (),
    extensions: tuple[tuple[int, bytes], ...] = (),
    base: bytes | None = None,
) -> Parts:
    header = write_header(sets, entries, metadata=metadata, extensions=extensions, base=base)
    return Parts(write_preamble(header, base=base is not None), header, write_payload(entries))


def raw(*names: str) -> Parts:
    """Raw tensors of two bytes."""
    return parts([RAW_BYTES], [Entry(name, (2,), slices=(b"\1\2",)) for name in names])


def levels(one: ParameterSet = INTEGERS, **changes: object) -> Parts:
    """An (2, 4) tensor "w" of levels."""
    assert one.levels is not None
    entry = Entry("w", (2, 4), slices=slices_of(one.levels, LEVELS_OF_W, 4), step=0.5)
    return parts([one], [Entry(**{**vars(entry), **changes})])  # type: ignore[arg-type]


def slice_of(content: bytes, coding: Coding = CODING, count: int = 8) -> Fields:
    """A file with a slice of these bytes."""
    return parts([a_set("int32", LEVELS, coding)], [Entry("w", (count,), slices=(content,))]).file()


def header_of(made: Parts, note: str, data: bytes) -> Fields:
    """The file with other bytes in one field of its header, whose length follows."""
    header = made.header.changed(note, data)
    return Parts(write_preamble(header, base=made.preamble.fields[2].data == b"\1"), header, made.payload).file()


def preamble_of(made: Parts, note: str, data: bytes) -> Fields:
    return Parts(made.preamble.changed(note, data), made.header, made.payload).file()


def f32(value: float) -> bytes:
    return struct.pack("<f", value)


def files() -> list[Vector]:
    """Section 2."""
    good = raw("a", "b")
    data = good.file()

    def cut(count: int) -> Fields:
        return Fields([Field(data.bytes()[:count], f"the first {count} bytes of a file")])

    longer = Fields([*data.fields, Field(b"\0", "one byte more: WRONG")])
    flipped = Fields([*data.fields[:-2], Field(b"\1\3", "'b' slice 0: WRONG"), data.fields[-1]])
    size = len(good.header.bytes())
    return [
        bad("truncated-empty", "nothing at all.", cut(0), "truncated"),
        bad("truncated-preamble", "15 bytes.", cut(15), "truncated"),
        bad("truncated-header", "the header is cut.", cut(16 + size - 1), "truncated"),
        bad("truncated-payload", "the last checksum is cut.", cut(len(data.bytes()) - 1), "truncated"),
        bad("length", "a byte behind the last slice.", longer),
        bad("reserved", "the reserved bytes are not 0.", preamble_of(good, "reserved", b"\0\1")),
        bad("header-checksum", "the header's checksum is another.", data.changed("header crc32c", b"\0\0\0\0")),
        bad("slice-checksum", "the last slice's byte is another.", flipped),
        bad("header-over", "the header goes on behind the last record.", rewritten(good, good.header.bytes() + b"\0")),
        bad("header-short", "the header ends in the last record.", rewritten(good, good.header.bytes()[:-1])),
        bad("huge-header", "4 GiB of header: over a reader's limit.", huge_header(), "limit"),
        unsupported("magic", "another magic.", preamble_of(good, "magic", b"\xabCBD")),
        unsupported("version", "version 2.", preamble_of(good, "version", b"\2")),
        unsupported("draft", "version 0, of the drafts.", preamble_of(good, "version", b"\0")),
        unsupported("flag", "an unknown flag of the preamble.", preamble_of(good, "flags", b"\4")),
    ]


def rewritten(made: Parts, header: bytes) -> Fields:
    text = Fields([Field(header, "header, in one")])
    return Parts(write_preamble(text), text, made.payload).file()


def huge_header() -> Fields:
    made = raw("a")
    return preamble_of(made, "header bytes", b"\xff\xff\xff\xff")


def headers() -> list[Vector]:
    """Sections 3 and 3.1."""
    two = parts([RAW_BYTES, a_set("int8", RAW)], [Entry(n, (2,), i, slices=(b"\1\2",)) for i, n in enumerate("ab")])
    keys = parts([], [], metadata=(("k", "1"), ("l", "2")))
    delta = a_set("int8", ZERO, delta=True)
    floating = a_set("float32", ZERO, delta=True)
    axes = levels(a_set("int16", LEVELS, CODING, axes=(1, 0)))
    starts = levels(a_set("int16", LEVELS, Coding(flags=1, prefixes=1, width=8, start=(1, 2, 3))))
    return [
        bad("varint-long", "a varint that is not minimal.", header_of(keys, "metadata pairs", b"\x82\0")),
        bad("varint-great", "a varint of 2^64.", header_of(keys, "metadata pairs", b"\x80" * 9 + b"\2")),
        bad("varint-endless", "a varint of eleven bytes.", header_of(keys, "metadata pairs", b"\x80" * 10 + b"\1")),
        bad("metadata-twice", "two equal keys.", header_of(keys, "key: 'l'", b"\1k")),
        bad("metadata-utf8", "a surrogate in a value.", header_of(keys, "value: '2'", b"\3\xed\xa0\x80")),
        bad("extension-length", "an extension reaches past the header.", extension(6, b"\x7f")),
        bad("set-unused", "a set without a record.", header_of(two, "'b' set", b"\0")),
        bad("set-twice", "two equal sets.", header_of(two, "set 1 dtype", b"\3")),
        bad("set-missing", "a record of a set that is not there.", header_of(two, "'b' set", b"\4")),
        bad("set-flags", "a reserved flag of a set.", header_of(two, "set 1 flags", b"\x10")),
        bad("set-step", "a step of a coding that has none.", header_of(two, "set 1 flags", b"\x08" + f32(0.5))),
        bad("set-axes", "axes of a coding that has none.", header_of(two, "set 1 flags", b"\2\2\1\0")),
        bad("delta-no-base", "a difference, but no base.", parts([floating], [Entry("w", (2,))]).file()),
        bad("delta-integers", "a difference of integers.", parts([delta], [Entry("w", (2,))], base=bytes(32)).file()),
        bad("delta-alias", "an alias with the delta flag.", alias_of_difference()),
        bad("axes-identity", "axes that are the identity.", identity_axes(axes)),
        bad("axes-repeated", "an axis twice.", header_of(axes, "set 0 axis 1", b"\1")),
        bad("axes-beyond", "an axis that is not there.", header_of(axes, "set 0 axis 0", b"\2")),
        bad("axes-rank", "axes of another rank than the shape.", axes_rank()),
        bad("levels-of-complex", "levels of complex numbers.", header_of(levels(), "set 0 dtype", b"\x18")),
        bad("exact-of-integers", "exact floats of integers.", header_of(levels(), "set 0 coding", b"\2")),
        bad("coding-flags", "15 AbsGr flags.", header_of(levels(), "set 0 flags_count", b"\x0f")),
        bad("coding-unary", "12 flags and 3 prefix bins.", header_of(levels(), "set 0 flags_count", b"\x0c")),
        bad("coding-golomb", "order 22 and 3 prefix bins.", header_of(levels(), "set 0 golomb", b"\x16")),
        bad("coding-width", "32 bits.", header_of(levels(), "set 0 width", b"\x20")),
        bad("coding-row-shift", "a row rate of 8.", header_of(levels(), "set 0 rates", b"\x08")),
        bad("coding-column-shift", "a column rate of 8.", header_of(levels(), "set 0 rates", b"\x80")),
        bad("coding-class-floor", "class floor 32.", header_of(levels(), "set 0 class_floor", b"\x20")),
        bad("coding-trellis", "a trellis of 5 states.", header_of(levels(), "set 0 trellis", b"\5")),
        bad("coding-lanes", "128 lanes.", header_of(levels(), "set 0 log2", b"\7")),
        bad("coding-starts", "two starts for three bins.", header_of(starts, "set 0 starts", b"\2")),
        unsupported("extension", "a critical extension.", extension(7, b"\0")),
        unsupported("dtype", "an unknown element type.", header_of(raw("a"), "set 0 dtype", b"\x0a")),
        unsupported("dtype-small", "a type below a byte.", header_of(raw("a"), "set 0 dtype", b"\x30")),
        unsupported("coding", "an unknown coding.", header_of(raw("a"), "set 0 coding", b"\6")),
        unsupported("context", "an unknown context set.", header_of(levels(), "set 0 context", b"\4")),
    ]


def extension(kind: int, length: bytes) -> Fields:
    made = parts([RAW_BYTES], [Entry("a", (2,), slices=(b"\1\2",))], extensions=((kind, b""),))
    return header_of(made, "extension length", length)


def identity_axes(made: Parts) -> Fields:
    header = made.header.changed("set 0 axis 0", b"\0")
    return header_of(Parts(made.preamble, header, made.payload), "set 0 axis 1", b"\1")


def axes_rank() -> Fields:
    return levels(a_set("int16", LEVELS, CODING, axes=(1, 0)), shape=(2, 2, 2)).file()


def alias_of_difference() -> Fields:
    sets = [a_set("float32", ZERO), a_set("float32", ALIAS, delta=True)]
    return parts(sets, [Entry("a", (2,)), Entry("b", (2,), 1)], base=bytes(32)).file()


def records() -> list[Vector]:
    """Sections 3.3 and 4."""
    named = raw("é1", "b")
    integers, weights = levels(geometry=True), levels(WEIGHTS)
    shared = levels(a_set("float32", LEVELS, CODING, step=0.5))
    empty = parts([INTEGERS], [Entry("w", (2, 0), geometry=True)])
    book_set = a_set("uint8", CODEBOOK, CODING)
    book = parts([book_set], [Entry("w", (2,), entries=2, slices=(b"\1\2", *slices_of(CODING, [0, 1], 2)))])
    alias_sets = [RAW_BYTES, a_set("uint8", ALIAS)]
    aliased = [Entry("a", (2,), slices=(b"\1\2",)), Entry("b", (2,), 1, alias=0), Entry("c", (2,), 1, alias=0)]
    alias = parts(alias_sets, aliased)
    other = parts([RAW_BYTES, a_set("int8", ALIAS)], aliased[:2])
    return [
        bad("name-twice", "two tensors of the same name.", header_of(raw("a", "b"), "'b' rest", b"\1a")),
        bad("name-shared", "a name shares more than there is.", header_of(named, "'b' shared", b"\4")),
        bad("name-cut", "a name shares half a character.", header_of(named, "'b' shared", b"\1")),
        bad("name-utf8", "a name that is no UTF-8.", header_of(named, "'b' rest", b"\2\xc3\x28")),
        bad("extent", "dimensions of 2^64.", zeros_of(1 << 32, 1 << 32)),
        bad("extent-zero", "dimensions of 2^64 beside a 0.", zeros_of(0, 1 << 32, 1 << 32)),
        bad("step-zero", "a step of 0.", header_of(weights, "'w' step", f32(0.0))),
        bad("step-negative", "a step below 0.", header_of(weights, "'w' step", f32(-1.0))),
        bad("step-infinite", "an infinite step.", header_of(weights, "'w' step", f32(float("inf")))),
        bad(
            "step-nan",
            "a step that is no number, in a set.",
            header_of(shared, "set 0 step", bytes.fromhex("0000C07F")),
        ),
        bad("row-width-natural", "the natural width, written out.", header_of(integers, "'w' row_width", b"\4")),
        bad("row-width-great", "rows wider than the tensor.", header_of(integers, "'w' row_width", b"\x09")),
        bad("slice-rows-all", "all rows, written out.", header_of(integers, "'w' slice_rows", b"\2")),
        bad("slice-rows-great", "more rows than there are.", header_of(integers, "'w' slice_rows", b"\3")),
        bad("slice-bytes", "a slice shorter than its checksum.", header_of(integers, "'w' slice 0 bytes", b"\3")),
        bad("slice-sum", "slices of 2^64 bytes.", slices_sum()),
        bad("geometry-of-raw", "raw elements with a geometry.", header_of(raw("a"), "'a' set", b"\1")),
        bad("rows-of-nothing", "a tensor without elements has rows.", header_of(empty, "'w' row_width", b"\1")),
        bad("codebook-empty", "a codebook without entries.", header_of(book, "'w' entries", b"\0")),
        bad("codebook-great", "65,537 entries.", header_of(book, "'w' entries", varint(65537))),
        bad("codebook-center", "a center that is no entry.", header_of(book, "'w' center", b"\2")),
        bad("codebook-short", "three entries of one byte in two.", header_of(book, "'w' entries", b"\3")),
        bad("codebook-long", "one entry of one byte in two.", header_of(book, "'w' entries", b"\1")),
        bad("codebook-index", "an index beyond the codebook.", header_of(book, "'w' center", b"\1")),
        bad("codebook-index-negative", "an index below 0.", codebook_of("uint8", b"\1\2", [0, -1])),
        bad("codebook-bool", "a bool of 2 in a codebook.", codebook_of("bool", b"\0\2", [0, 1])),
        bad("alias-forward", "an alias of a later tensor.", header_of(alias, "'b' is tensor", b"\2")),
        bad("alias-itself", "an alias of itself.", header_of(alias, "'b' is tensor", b"\1")),
        bad("alias-alias", "an alias of an alias.", header_of(alias, "'c' is tensor", b"\1")),
        bad("alias-shape", "an alias of another shape.", header_of(alias, "'b' dimension", b"\3")),
        bad("alias-type", "an alias of another type.", other.file()),
        bad("bool", "a raw bool of 2.", parts([a_set("bool", RAW)], [Entry("w", (2,), slices=(b"\1\2",))]).file()),
        bad("over-elements", "2^40 zeros: over a reader's limit.", zeros_of(1 << 40), "limit"),
    ]


def zeros_of(*shape: int) -> Fields:
    return parts([a_set("float32", ZERO)], [Entry("w", shape)]).file()


def slices_sum() -> Fields:
    made = levels(slice_rows=1, slices=(b"", b""))
    header = made.header.changed("'w' slice 0 bytes", varint((1 << 64) - 1))
    return header_of(Parts(made.preamble, header, made.payload), "'w' slice 1 bytes", varint(17))


def codebook_of(dtype: str, book: bytes, indices: list[int]) -> Fields:
    entry = Entry("w", (2,), entries=2, slices=(book, *slices_of(CODING, indices, 2)))
    return parts([a_set(dtype, CODEBOOK, CODING)], [entry]).file()


def streams() -> list[Vector]:
    """Section 5."""
    content = encode_slice(CODING, LEVELS_OF_W, 8)
    wide = Coding(flags=0, prefixes=1, width=31)
    trellis = Coding(flags=0, prefixes=0, width=31, trellis=4)
    offset = parts(
        [a_set("int8", LEVELS, CODING)], [Entry("w", (2,), offset=100, slices=slices_of(CODING, [0, 28], 2))]
    )
    below = parts([a_set("uint8", LEVELS, CODING)], [Entry("w", (2,), slices=slices_of(CODING, [0, -1], 2))])
    return [
        bad("words-odd", "an odd number of bytes.", slice_of(content + b"\1")),
        bad("words-zero", "the last word is 0.", slice_of(content + b"\0\0")),
        bad("words-left", "a word is left over.", slice_of(content + b"\0\0" * 4 + b"\1\0")),
        bad("words-cut", "the last word is missing: the lane's number is another.", slice_of(content[:-2])),
        bad("lane-end", "a lane ends above the number that an encoder chooses.", slice_of(b"\xff\xff", count=1)),
        bad("level-great", "a magnitude of 2^31.", slice_of(encode_slice(wide, [1 << 31], 1), wide, 1)),
        bad(
            "level-trellis", "a level of 2^30 in a trellis.", slice_of(encode_slice(trellis, [1 << 30], 1), trellis, 1)
        ),
        bad("integer-above", "a level and an offset beyond int8.", offset.file()),
        bad("integer-below", "a level below uint8.", below.file()),
    ]


def exact_floats() -> list[Vector]:
    """Section 6.2."""
    numbers = [f32(value) for value in (1.0, -1.5, 0.0, 3.0)]
    plain = exact(numbers, mantissa_bits=2, lowest=127)
    ends = exact(numbers, mantissa_bits=2, lowest=127, float_flags=4, last=128)
    zeros = exact(numbers[2:3], mantissa_bits=2, float_flags=4, last=128)
    content = plain.payload.fields[0].data
    words = 1 + content[0]
    end = ends.payload.fields[0].data
    none = zeros.payload.fields[0].data
    assert none[1] == 0
    return [
        bad("exact-of-bytes", "exact floats of one byte.", header_of(plain, "set 0 dtype", b"\x20")),
        bad("exact-bits", "24 mantissa bits of float32.", header_of(plain, "'w' bits", b"\x18")),
        bad("exact-flags", "two ways to keep zeros.", header_of(plain, "'w' flags", b"\3")),
        bad("exact-flags-reserved", "a reserved flag.", header_of(plain, "'w' flags", b"\x10")),
        bad("exact-lowest", "exponent field 0 is that of index 0.", header_of(plain, "'w' lowest", b"\0")),
        bad("exact-lowest-great", "exponent field 256 of float32.", header_of(plain, "'w' lowest", varint(256))),
        bad("exact-center", "a center above the greatest index.", header_of(plain, "'w' center", varint(130))),
        bad("exact-last", "a place below the first.", header_of(ends, "'w' last", b"\0")),
        bad("exact-last-great", "a place above the last.", header_of(ends, "'w' last", varint(258))),
        bad("exact-index", "an index above the greatest.", header_of(plain, "'w' center", varint(129))),
        bad(
            "exact-index-negative",
            "an index below 0.",
            exact_slice(numbers, exponents((2, 2, 1, 4)) + content[words:]),
        ),
        bad(
            "exact-level-negative",
            "a level of exponents below 0.",
            exact_slice(numbers, exponents((2, -2, 0, 4)) + content[words:]),
        ),
        bad("exact-end", "a mantissa that ends above its bits.", header_of(ends, "'w' last", varint(120))),
        bad("exact-end-below", "a mantissa that ends below its bits.", header_of(ends, "'w' last", varint(131))),
        bad("exact-ends-of-nothing", "ends where all elements are 0.", ends_of_nothing(none)),
        bad("exact-words-long", "exponents longer than their slice.", exact_slice(numbers, b"\x7f" + content[1:])),
        bad("exact-ends-long", "ends longer than their slice.", exact_slice(numbers, end[:1] + b"\x7f" + end[2:], 4)),
        bad("exact-no-part", "a slice without a byte.", exact_slice(numbers, b"")),
        bad("exact-stored-short", "a byte too few.", exact_slice(numbers, content[:-1])),
        bad("exact-stored-long", "a byte too many.", exact_slice(numbers, content + b"\0")),
        bad("exact-stored-bits", "a bit above the last number.", stored_bits(numbers, content)),
    ]


def exact(numbers: list[bytes], **fields: int) -> Parts:
    return parts([a_set("float32", EXACT_FLOAT, EXACT)], [exact_entry("w", "float32", numbers, **fields)])


def exact_slice(numbers: list[bytes], content: bytes, flags: int = 0) -> Fields:
    """The numbers' file with another slice."""
    entry = exact_entry("w", "float32", numbers, mantissa_bits=2, lowest=127, float_flags=flags, last=flags and 128)
    changed = Entry(**{**vars(entry), "slices": (content,)})
    return parts([a_set("float32", EXACT_FLOAT, EXACT)], [changed]).file()


def exponents(levels: tuple[int, ...]) -> bytes:
    words = encode_slice(EXACT, levels, len(levels))
    return varint(len(words)) + words


def ends_of_nothing(content: bytes) -> Fields:
    wrong = content[:1] + b"\2" + content[2:] + b"\0\1"
    entry = exact_entry("w", "float32", [bytes(4)], mantissa_bits=2, float_flags=4, last=128)
    changed = Entry(**{**vars(entry), "slices": (wrong,)})
    return parts([a_set("float32", EXACT_FLOAT, EXACT)], [changed]).file()


def stored_bits(numbers: list[bytes], content: bytes) -> Fields:
    """Three numbers of three bits leave seven bits of the second byte."""
    return exact_slice(numbers, content[:-1] + bytes([content[-1] | 0x80]))


def bad(name: str, about: str, fields: Fields, fault: str = "corrupt") -> Vector:
    return Vector(f"bad-{name}", about, fields, fault=fault)


def unsupported(name: str, about: str, fields: Fields) -> Vector:
    return Vector(f"unsupported-{name}", about, fields, fault="unsupported")


def vectors() -> list[Vector]:
    sections: list[Callable[[], list[Vector]]] = [files, headers, records, exact_floats, streams]
    return [vector for section in sections for vector in section()]
