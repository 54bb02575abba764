"""Two decoders that know nothing of each other agree: on what is made at random, and on what is broken at random."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import hypothesis
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.container import EXACT_FLOAT, LEVELS, Coding, ParameterSet, Record, parse
from reference.decoder import Tensor, decode
from reference.elements import DTYPES, IDS, encode_float, float_of
from reference.encoder import encode_slice
from reference.floats import encode_part
from reference.levels import GREATEST, decode_slice, multiples
from reference.reading import Fault, crc32c
from reference.writer import Entry, Fields, sealed, write_file
from vectors import good
from vectors.make import vectors

import cabacus
from cabacus import _core
from cabacus.dtypes import DTYPES as OURS
from cabacus.dtypes import as_bytes, cast_from_float, dtype_name, from_bytes
from cabacus.errors import FormatError
from cabacus.limits import DEFAULT_LIMITS

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LIMITS = asdict(DEFAULT_LIMITS)
KINDS = {"CorruptError": "corrupt", "TruncatedError": "truncated", "UnsupportedError": "unsupported"}


@st.composite
def codings(draw: st.DrawFn, trellis: tuple[int, ...] = (0, 4, 8)) -> Coding:
    """Every parameter, up to its end."""
    flags = draw(st.integers(0, 14))
    prefixes = draw(st.integers(0, 14 - flags))
    bins = 1 + flags + prefixes
    return Coding(
        flags=flags,
        golomb=draw(st.integers(0, 24 - prefixes)),
        prefixes=prefixes,
        width=31,
        context=draw(st.integers(0, 3)),
        row_shift=draw(st.integers(0, 7)),
        column_shift=draw(st.integers(0, 7)),
        class_floor=draw(st.integers(0, 31)),
        trellis=draw(st.sampled_from(trellis)),
        lanes=1 << draw(st.integers(0, 6)),
        start=draw(st.one_of(st.just(()), st.tuples(*[st.integers(0, 65535)] * bins))),
    )


@st.composite
def coded_levels(draw: st.DrawFn, most: int = 400) -> list[int]:
    """Levels of some scale, of which a few are of any; NumPy's generator makes them, from a seed that is drawn."""
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    count = draw(st.integers(1, most))
    scale = draw(st.sampled_from([0.2, 1.0, 6.0, 100.0, 1e5, 1e8]))
    levels = np.rint(generator.laplace(draw(st.sampled_from([0.0, 0.0, scale])), scale, count))
    greatest = GREATEST >> 1  # as a trellis has it
    levels = np.clip(levels, -greatest, greatest).astype(np.int64).tolist()
    for value in draw(st.lists(st.integers(-greatest, greatest), max_size=2)):
        levels[int(generator.integers(count))] = value
    return levels


@st.composite
def geometries(draw: st.DrawFn, count: int) -> tuple[int, int]:
    """Row width and rows of a slice."""
    width = draw(st.integers(1, count))
    return width, draw(st.integers(1, -(-count // width)))


def core_coding(coding: Coding) -> _core.LevelCoding:
    return _core.LevelCoding(**{**vars(coding), "start": list(coding.start)})


def own_coding(coding: _core.LevelCoding) -> Coding:
    fields = {name: getattr(coding, name) for name in Coding.__dataclass_fields__}
    return Coding(**{**fields, "start": tuple(coding.start)})


def pieces(items: Any, size: int) -> list[Any]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def sealed_slice(content: bytes) -> bytes:
    return content + crc32c(content).to_bytes(4, "little")


def record_of(coding: Coding, count: int, width: int, rows: int, slices: list[bytes], **more: Any) -> _core.Record:
    return _core.Record(
        name="w", dtype=6, shape=(count,), coding=LEVELS, levels=core_coding(coding), row_width=width, slice_rows=rows,
        slice_bytes=[len(one) for one in slices], **more
    )  # fmt: skip


def outcome(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the kind of its fault."""
    try:
        return work()
    except Fault as fault:
        return fault.kind
    except _core.FormatFault as fault:
        return fault.args[0]
    except FormatError as error:
        return KINDS[type(error).__name__]


@quick
@given(st.data())
def test_slices_of_every_parameter_and_shape(data: st.DataObject) -> None:
    coding, coded = data.draw(codings()), data.draw(coded_levels())
    width, rows = data.draw(geometries(len(coded)))
    parts = pieces(coded, width * rows)
    contents = [encode_slice(coding, part, width) for part in parts]
    expected = [level for part in parts for level in multiples(coding, part, width)]
    assert [level for content, part in zip(contents, parts, strict=True)
            for level in decode_slice(content, coding, len(part), width)] == expected  # fmt: skip
    slices = [sealed_slice(content) for content in contents]
    record = record_of(coding, len(coded), width, rows, slices)
    for threads in (1, 3):
        assert _core.decode_levels(b"".join(slices), record, 0, len(slices), threads).tolist() == expected
    last = _core.decode_levels(slices[-1], record, len(slices) - 1, 1)
    assert last.tolist() == expected[(len(slices) - 1) * width * rows :]


@quick
@given(st.data())
def test_the_encoder_makes_the_bytes_that_the_format_has(data: st.DataObject) -> None:
    levels = data.draw(coded_levels(800))
    columns = data.draw(st.integers(1, len(levels)))
    chosen = data.draw(st.booleans())
    coding = None if chosen else core_coding(data.draw(codings(trellis=(0,))))
    array = np.array(levels, np.int32)
    made = _core.encode_levels(array, columns=columns, coding=coding, effort="fast", threads=2)
    parts = pieces(levels, made.row_width * made.slice_rows)
    assert made.payload == b"".join(
        sealed_slice(encode_slice(own_coding(made.levels), part, made.row_width)) for part in parts
    )
    assert len(parts) == len(made.slice_bytes)


@quick
@given(st.data())
def test_quantized_weights(data: st.DataObject) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    count = data.draw(st.integers(1, 300))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    weights = generator.laplace(0, 1, count).astype(dtype)
    step = float(np.float32(data.draw(st.floats(0.01, 2))))
    made = _core.encode_weights(
        weights,
        columns=data.draw(st.integers(1, count)),
        step=step,
        rate_weight=data.draw(st.sampled_from([0.0, 0.1])),
        quantizer=data.draw(st.sampled_from(["round", "greedy", "trellis"])),
        effort="fast",
    )
    coding, natural = own_coding(made.levels), made.row_width == count
    one = ParameterSet(DTYPES[IDS[dtype]], LEVELS, False, None, None, step, coding)
    rows = -(-count // made.row_width)
    entry = Entry(
        "w",
        (count,),
        row_width=0 if natural else made.row_width,
        slice_rows=0 if made.slice_rows == rows else made.slice_rows,
        slices=tuple(part[:-4] for part in split(made.payload, made.slice_bytes)),
    )
    file = write_file([one], [entry])
    decoded = cabacus.decompress(file)["w"]
    assert decode(file)["w"] == Tensor(dtype, (count,), decoded.tobytes())
    assert float(np.sum((weights.astype(np.float64) - decoded) ** 2)) == pytest.approx(
        made.squared_error, rel=1e-3, abs=1e-9
    )


@quick
@given(st.data())
def test_rows_that_are_left_out(data: st.DataObject) -> None:
    coding, kept = data.draw(codings()), data.draw(st.lists(st.booleans(), min_size=2, max_size=20))
    hypothesis.assume(any(kept) and not all(kept))
    width, turned = data.draw(st.integers(1, 12)), data.draw(st.booleans())
    coded = np.resize(data.draw(coded_levels()), sum(kept) * width).tolist()
    row_width, slice_rows = data.draw(geometries(len(coded)))
    rows = -(-len(coded) // row_width)
    content = np.packbits(kept, bitorder="little").tobytes()
    slices = tuple(encode_slice(coding, part, row_width) for part in pieces(coded, row_width * slice_rows))
    entry = Entry(
        "w",
        (width, len(kept)) if turned else (len(kept), width),
        row_width=0 if row_width == width else row_width,
        slice_rows=0 if slice_rows == rows else slice_rows,
        gaps=kept.count(False),
        slices=(content, *slices),
        offset=data.draw(st.integers(-5, 5)),
    )
    one = ParameterSet(DTYPES[IDS["int64"]], LEVELS, False, (1, 0) if turned else None, None, None, coding)
    file = write_file([one], [entry])
    levels = iter(
        [level for part in pieces(coded, row_width * slice_rows) for level in multiples(coding, part, row_width)]
    )
    matrix = np.array([[next(levels) if there else 0 for _ in range(width)] for there in kept]) + entry.offset
    expected = matrix.T if turned else matrix
    assert decode(file)["w"] == Tensor("int64", entry.shape, expected.tobytes())
    archive = cabacus.open(file)
    assert np.array_equal(archive.tensor("w"), expected)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, entry.shape[0])] * 2)))
    assert np.array_equal(archive.rows("w", start, stop), expected[start:stop])


def split(payload: bytes, sizes: list[int]) -> list[bytes]:
    ends = np.cumsum(sizes).tolist()
    return [payload[end - size : end] for end, size in zip(ends, sizes, strict=True)]


@quick
@given(st.data())
def test_broken_slices(data: st.DataObject) -> None:
    """Cut, changed, or never a slice at all: both find the same levels, or both find fault."""
    coding, coded = data.draw(codings()), data.draw(coded_levels(150))
    width = data.draw(st.integers(1, len(coded)))
    rows = -(-len(coded) // width)
    content = bytearray(encode_slice(replace(coding, width=31), coded, width))
    how = data.draw(st.sampled_from(["cut", "flip", "longer", "noise"]))
    if how == "cut":
        del content[2 * data.draw(st.integers(0, len(content) // 2)) :]
    elif how == "flip" and content:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    elif how == "longer":
        content += data.draw(st.binary(max_size=8))
    elif how == "noise":
        content = bytearray(data.draw(st.binary(max_size=600)))
    coding = replace(coding, width=data.draw(st.integers(0, 31)))
    slice_ = sealed_slice(bytes(content))
    record = record_of(coding, len(coded), width, rows, [slice_])
    ours = outcome(lambda: _core.decode_levels(slice_, record, 0, 1).tolist())
    assert ours == outcome(lambda: decode_slice(bytes(content), coding, len(coded), width))


SMALL = [vector for vector in vectors() if vector.fault is None and len(vector.data) < 2000]


@settings(quick, max_examples=400)
@given(st.data())
def test_broken_headers(data: st.DataObject) -> None:
    """Under a right checksum: both read the same, or both refuse it; which of several faults they name is theirs."""
    vector = data.draw(st.sampled_from(SMALL))
    size = int.from_bytes(vector.data[8:12], "little")
    header = bytearray(vector.data[16 : 16 + size])
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(header)))
        how = data.draw(st.sampled_from(["change", "insert", "remove"]))
        if how == "insert":
            header[at:at] = data.draw(st.binary(min_size=1, max_size=10))
        elif how == "remove":
            del header[at : at + data.draw(st.integers(1, 4))]
        elif at < len(header):
            header[at] = data.draw(st.one_of(st.integers(0, 255), st.integers(0, 8)))
    preamble = Fields()
    preamble.add(vector.data[:8] + len(header).to_bytes(4, "little"), "preamble")
    text = Fields()
    text.add(bytes(header), "header")
    file = sealed(preamble, text, Fields()).bytes()
    found = outcome(lambda: summary(_core.parse(file, LIMITS, whole=False)))
    other = outcome(lambda: summary(parse(file, whole=False)))
    assert found == other or (isinstance(found, str) and isinstance(other, str))


def summary(header: Any) -> Any:
    """What both have read, in the same words."""
    metadata = header.metadata.items() if isinstance(header.metadata, dict) else header.metadata
    return [header.bytes, header.file_bytes, header.base, list(metadata), [fields_of(one) for one in header.records]]


def fields_of(record: Any) -> list[Any]:
    dtype = record.dtype if isinstance(record.dtype, int) else IDS[record.dtype.name]
    common = [record.name, dtype, record.coding, record.delta, tuple(record.shape), record.start, record.step]
    common += [tuple(record.axes or ()), tuple(record.slice_bytes), record.row_width, record.slice_rows]
    if record.coding in (1, 2, 3):
        levels = record.levels
        common += [own_coding(levels) if isinstance(levels, _core.LevelCoding) else levels]
    if record.coding == 2:
        common += [record.float_flags, record.lowest, record.last]
    if isinstance(record, _core.Record):
        return [*common, record.offset, record.entries, record.alias]
    return [*common, record.offset or record.center, record.entries or record.mantissa_bits, record.alias]


@settings(quick, max_examples=40)
@given(st.data())
def test_whole_files(data: st.DataObject) -> None:
    """What compress makes of tensors of all types, and of those beside a base."""
    generator = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    names = data.draw(st.lists(st.sampled_from([dtype.name for dtype in OURS]), min_size=1, max_size=3))
    tensors, base = {}, {}
    for index, name in enumerate(names):
        shape = tuple(data.draw(st.lists(st.integers(0, 9), max_size=3)))
        kind = np.dtype(name) if hasattr(np, name) or name == "bool" else np.dtype(getattr(ml_dtypes, name))
        tensors[f"{name}.{index}"] = (generator.normal(0, 2, shape) + 3).astype(kind)
        base[f"{name}.{index}"] = (generator.normal(0, 2, shape) + 3).astype(kind)
    options: dict[str, Any] = data.draw(st.sampled_from([{"snr_db": 20}, {"step": 0.25}, {"max_abs_error": 0.5}]))
    quantizer = data.draw(st.sampled_from(["auto", "round", "greedy", "trellis"]))
    used = base if data.draw(st.booleans()) else None
    file = cabacus.compress(tensors, **options, quantizer=quantizer, effort="fast", base=used).data
    decoded = {name: portrait(one) for name, one in cabacus.decompress(file, base=used).items()}
    own = None if used is None else {name: portrait(one) for name, one in base.items()}
    assert decode(file, own) == decoded


@quick
@given(st.data())
def test_exact_floats(data: st.DataObject) -> None:
    """Any bits of every type with exponents, through both encoders and both decoders."""
    name = data.draw(st.sampled_from(["float16", "bfloat16", "float32", "float64"]))
    dtype = DTYPES[IDS[name]]
    elements = data.draw(exact_elements(name))
    count = len(elements) // dtype.bytes
    columns = data.draw(st.integers(1, count))
    bits = np.frombuffer(elements, f"<u{dtype.bytes}")
    made, fields = _core.encode_exact(bits, dtype=IDS[name], columns=columns, effort="fast")
    one = ParameterSet(dtype, EXACT_FLOAT, False, None, None, None, own_coding(made.levels))
    known = {"mantissa_bits": fields["entries"], "center": fields["offset"]}
    known |= {key: fields[key] for key in ("float_flags", "lowest", "last")}
    width = made.row_width
    record = Record("w", dtype, EXACT_FLOAT, False, None, one.levels, (count,), row_width=width, **known)
    parts = pieces([elements[at : at + dtype.bytes] for at in range(0, len(elements), dtype.bytes)], count)
    assert [part[:-4] for part in split(made.payload, made.slice_bytes)] == [
        encode_part(record, part) for part in parts
    ]
    entry = Entry("w", (count,), row_width=0 if width == count else width, slices=(made.payload[:-4],), **known)
    file = write_file([one], [entry])
    expected = {"w": Tensor(name, (count,), elements)}
    assert decode(file) == expected
    assert {key: portrait(one) for key, one in cabacus.decompress(file).items()} == expected
    content = bytearray(made.payload[:-4])
    for _ in range(data.draw(st.integers(1, 2))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    del content[len(content) - data.draw(st.integers(0, 1)) :]
    broken = write_file([one], [replace(entry, slices=(bytes(content),))])
    found = outcome(lambda: {key: portrait(one) for key, one in cabacus.decompress(broken).items()})
    assert found == outcome(lambda: decode(broken))


@st.composite
def exact_elements(draw: st.DrawFn, name: str) -> bytes:
    """Elements of a type, as bytes: any bits, or those of numbers with zeros among them, or of numbers on a grid."""
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    count, size = draw(st.integers(1, 300)), DTYPES[IDS[name]].bytes
    kind = draw(st.sampled_from(["bits", "sparse", "negative zeros", "grid", "zeros"]))
    if kind == "bits":
        return generator.bytes(count * size)
    values = generator.normal(0, draw(st.sampled_from([1e-42, 1e-3, 1.0, 1e6])), count)
    if kind == "grid":
        values = np.round(values * 256) / 256
    elif kind != "bits":
        values *= generator.random(count) < (0.0 if kind == "zeros" else 0.2)
    if kind == "sparse":
        values += 0.0
    with np.errstate(over="ignore"):
        return as_bytes(cast_from_float(values, name)).tobytes()


def portrait(tensor: Any) -> Tensor:
    return Tensor(dtype_name(tensor), tuple(tensor.shape), as_bytes(tensor).tobytes())


@pytest.mark.parametrize("name", good.FLOATS)
def test_numbers_are_rounded_alike(name: str) -> None:
    dtype = DTYPES[IDS[name]]
    codes = range(256) if dtype.bytes == 1 else np.random.default_rng(3).integers(0, 1 << 16, 500).tolist()
    codes = [int(code) << 8 * (dtype.bytes - 2) if dtype.bytes > 2 else int(code) for code in codes]
    elements = [code.to_bytes(dtype.bytes, "little") for code in codes]
    numbers = [float_of(dtype, element) for element in elements]
    array = cabacus.dtypes.to_float(from_bytes(b"".join(elements), name, (len(elements),)))
    with np.errstate(invalid="ignore"):  # signalling NaN
        np.testing.assert_array_equal(np.array(numbers), array.astype(np.float64))
    # The numbers, those between two of them, and a little beside.
    finite = sorted({number for number in numbers if np.isfinite(number)})
    some = [*finite, *((a + b) / 2 for a, b in pairwise(finite))]
    some += [float(np.nextafter(number, side)) for number in some for side in (-np.inf, np.inf)]
    some += [0.0, -0.0, 1e300, -1e300, 1e-300, -1e-300]
    some = [number for number in some if np.isfinite(number)]
    if name == "float64":
        return
    expected = as_bytes(cast_from_float(np.array(some), name)).view(f"<u{dtype.bytes}").tolist()
    assert [encode_float(dtype, number) for number in some] == expected


def test_raw_slices_have_16_mebibytes() -> None:
    """The one length that a vector cannot have: headers alone."""
    one = ParameterSet(DTYPES[IDS["float64"]], 0, False, None, None, None, None)
    for size, expected in ((1 << 21, [(1 << 24) + 4]), ((1 << 21) + 1, [(1 << 24) + 4, 12])):
        file = write_file([one], [Entry("w", (size,))])
        assert list(parse(file, whole=False).records[0].slice_bytes) == expected
        assert _core.parse(file, LIMITS, whole=False).records[0].slice_bytes == expected


@pytest.mark.parametrize("wrong", [{"flags": 15}, {"flags": 40, "prefixes": 200}, {"context": 4}, {"trellis": 3}])
def test_parameters_that_no_file_may_have_are_refused(wrong: dict[str, int]) -> None:
    """Those that Python makes up itself: the core's tables are no larger than the format's."""
    coding = _core.LevelCoding(**wrong)
    with pytest.raises(ValueError, match=r"."):
        _core.encode_levels(np.ones(3, np.int32), columns=3, coding=coding)
    with pytest.raises(ValueError, match=r"."):
        _core.encode_weights(np.ones(3, np.float32), columns=3, step=0.5, coding=coding)
    record = _core.Record(shape=(3,), coding=LEVELS, levels=coding, row_width=3, slice_rows=1, slice_bytes=[4])
    with pytest.raises(ValueError, match=r"."):
        _core.decode_levels(bytes(4), record, 0, 1)


@pytest.mark.parametrize(
    "name", ["reading", "decoder", "container", "elements", "levels", "encoder", "floats", "writer"]
)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"reference.{name}")).failed == 0
