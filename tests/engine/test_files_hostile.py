"""Tensor files made by an attacker: every one is refused with a FormatError, soon and without much memory."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cabacus import files
from cabacus.errors import CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError
from cabacus.files import Kind
from cabacus.limits import Limits

W = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


def safetensors_file(header: Any, data: bytes = b"\x01\x02") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"w": W | changes}


@pytest.mark.parametrize(
    ("data", "error", "what"),
    [
        (struct.pack("<Q", 1 << 30) + b"{", LimitError, "header_bytes"),
        (struct.pack("<Q", 100) + b"{}", TruncatedError, "100 bytes"),
        (safetensors_file(entry(), b"\x01"), TruncatedError, "take 2 bytes, 1 are left"),
        (safetensors_file(entry(), b"\x01\x02\x03"), CorruptError, "1 bytes follow"),
        (safetensors_file(b'{"w":' + json.dumps(W).encode()), CorruptError, "JSON"),
        (safetensors_file(b'{"w\xff":1}'), CorruptError, "UTF-8"),
        (safetensors_file(b'{"\\ud800":' + json.dumps(W).encode() + b"}"), CorruptError, "Unicode"),
        (safetensors_file(b'{"w":' + b"[" * 100_000), CorruptError, "JSON|deeply"),
        (safetensors_file(b'{"w":' + b'{"a":' * 100_000), CorruptError, "JSON|deeply"),
        (safetensors_file(b'{"w":' + b"9" * 10_000 + b"}"), CorruptError, "JSON"),
        (safetensors_file(b'{"w":1e3}'), CorruptError, "1e3"),
        (safetensors_file(b'{"w":NaN}'), CorruptError, "NaN"),
        (safetensors_file({"w": [1]}), CorruptError, "lacks"),
        (safetensors_file({"w": {"dtype": "U8", "shape": [2]}}), CorruptError, "lacks"),
        (safetensors_file(entry(more=1)), UnsupportedError, "more"),
        (safetensors_file(entry(dtype="F4", shape=[4])), UnsupportedError, "smaller than a byte|bytes"),
        (safetensors_file(entry(dtype="F99")), UnsupportedError, "F99"),
        (safetensors_file(entry(dtype=["U8"])), CorruptError, "no string"),
        (safetensors_file(entry(shape=[-1, -2])), CorruptError, "shape"),
        (safetensors_file(entry(shape=[True, 2])), CorruptError, "shape"),
        (safetensors_file(entry(shape="2")), CorruptError, "shape"),
        (safetensors_file(entry(shape=[2**63])), CorruptError, "shape"),
        (safetensors_file(entry(shape=[1] * 100)), LimitError, "dimensions"),
        (safetensors_file(entry(shape=[2**32, 2**32, 2])), LimitError, "elements"),
        (safetensors_file(entry(shape=[0, 2**62], data_offsets=[0, 0]), b""), LimitError, "elements"),
        (safetensors_file(entry(shape=[3])), CorruptError, "take 3 bytes"),
        (safetensors_file(entry(data_offsets=[0, 3])), CorruptError, "take 2 bytes"),
        (safetensors_file(entry(data_offsets=[2, 0])), CorruptError, "take 2 bytes"),
        (safetensors_file(entry(data_offsets=[0])), CorruptError, "take 2 bytes"),
        (safetensors_file(entry(data_offsets=[0, 2, 4])), CorruptError, "take 2 bytes"),
        (safetensors_file(entry(data_offsets=[1, 3]), bytes(3)), CorruptError, "hole"),
        (safetensors_file({"v": W, "w": W}), CorruptError, "overlaps"),
        (safetensors_file({"v": W, "w": W | {"data_offsets": [3, 5]}}, bytes(5)), CorruptError, "hole"),
        (safetensors_file({"w" * 5000: W}), LimitError, "bytes of name"),
        (safetensors_file({"__metadata__": {"a": 1}}, b""), CorruptError, "__metadata__"),
        (safetensors_file({"__metadata__": "text"}, b""), CorruptError, "__metadata__"),
        (safetensors_file(entry(dtype="BOOL")), CorruptError, "bool"),
        (safetensors_file(b'{"w":1,"w":2}'), CorruptError, "twice"),
        (safetensors_file(b'{"__metadata__":{"a":"1","a":"2"}}', b""), CorruptError, "twice"),
    ],
)
def test_hostile_safetensors_are_refused(data: bytes, error: type[FormatError], what: str) -> None:
    with pytest.raises(error, match=what):
        files.read(data)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(tensors=1), "tensors"),
        (Limits(name_bytes=0), "name_bytes"),
        (Limits(elements=1), "elements"),
        (Limits(total_elements=3), "total_elements"),
        (Limits(rank=0), "rank"),
    ],
)
@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_every_limit_is_named(limits: Limits, limit: str, kind: Kind) -> None:
    stream = io.BytesIO()
    files.write_to(stream, {"v": np.ones(2, np.uint8), "w": np.ones(2, np.uint8)}, kind=kind)
    with pytest.raises(LimitError, match=rf"raise Limits\({limit}=") as caught:
        files.read(stream.getvalue(), limits=limits)
    assert caught.value.limit == limit


def npy_file(header: str | bytes, data: bytes = bytes(8), version: int = 1) -> bytes:
    text = header if isinstance(header, bytes) else header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def npy_header(descr: str = "'<f4'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("data", "error", "what"),
    [
        (b"\x93NUMPY", TruncatedError, "header"),
        (npy_file(npy_header(), version=9), UnsupportedError, "version 9"),
        (npy_file(npy_header(), bytes(7)), TruncatedError, "7 bytes"),
        (npy_file(npy_header(), bytes(9)), CorruptError, "9 bytes"),
        (npy_file(npy_header(), b"")[:40], TruncatedError, "header"),
        (npy_file(npy_header("'|O'")), UnsupportedError, "pickle"),
        (npy_file(npy_header("'O'")), UnsupportedError, "pickle"),
        (npy_file(npy_header("'<U4'")), UnsupportedError, "<U4"),
        (npy_file(npy_header("'<f16'")), UnsupportedError, "<f16"),
        (npy_file(npy_header("'<M8[ns]'")), UnsupportedError, "M8"),
        (npy_file(npy_header("'|V1'")), UnsupportedError, "V1"),
        (npy_file(npy_header("[('a', '<f4')]")), UnsupportedError, "fields"),
        (npy_file(npy_header(order="'F'")), CorruptError, "malformed"),
        (npy_file(npy_header(shape="(-1,)")), CorruptError, "malformed"),
        (npy_file(npy_header(shape="2")), CorruptError, "malformed"),
        (npy_file(npy_header(shape="(1" + "0" * 18 + ",)")), LimitError, "elements"),
        (npy_file(npy_header(shape="(0, 1" + "0" * 18 + ")")), LimitError, "elements"),
        (npy_file(npy_header(shape="(1" + "0" * 40 + ",)")), CorruptError, "malformed"),
        (npy_file(npy_header(shape="(" + "1," * 99 + ")")), LimitError, "dimensions"),
        (npy_file("{'descr': '<f4', 'shape': (2,)}"), CorruptError, "malformed"),
        (npy_file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"), CorruptError, "twice"),
        (npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': True}"), CorruptError, "malformed"),
        (npy_file("__import__('os')"), CorruptError, "malformed"),
        (npy_file("(" * 60_000), CorruptError, "malformed"),
        (npy_file("{" + "'a': (" + "1," * 20_000), CorruptError, "malformed"),
        (npy_file(" " * 70_000, version=2), UnsupportedError, "70000 bytes"),
        (npy_file(npy_header("'|b1'", shape="(8,)"), b"\x02" * 8), CorruptError, "bool"),
    ],
)
def test_hostile_npy_files_are_refused(data: bytes, error: type[FormatError], what: str) -> None:
    with pytest.raises(error, match=what):
        files.read(data)


def test_python_2_headers_are_read() -> None:
    assert files.read(npy_file(npy_header(shape="(2L,)")))["array"].shape == (2,)


def zip_file(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


ARRAY = npy_file(npy_header())


@pytest.mark.parametrize(
    ("data", "error", "what"),
    [
        (zip_file(("model/data.pkl", b"\x80\x02.")), UnsupportedError, "PyTorch"),
        (zip_file(("a.npy", ARRAY), ("model/data.pkl", b"")), UnsupportedError, "PyTorch"),
        (zip_file(("readme.txt", b"hello")), UnsupportedError, "readme"),
        (zip_file(("a.npy", ARRAY), method=zipfile.ZIP_BZIP2), UnsupportedError, "method 12"),
        (zip_file(("a.npy", ARRAY + b"x")), CorruptError, "9 bytes"),
        (zip_file(("a.npy", ARRAY[:-1])), TruncatedError, "7 bytes"),
        (zip_file(("a.npy", b"")), TruncatedError, "header"),
        (zip_file(("a.npy", b"x" * 50)), CorruptError, "npy"),
        (zip_file(("a.npy", ARRAY))[:-30], CorruptError, "damaged"),
        (zip_file(("a.npy", ARRAY), comment=b'{"cabacus":3}'), CorruptError, "comment"),
        (
            zip_file(("a.npy", ARRAY), comment=b'{"cabacus":{"dtypes":{"a":"x"},"metadata":{}}}'),
            CorruptError,
            "comment",
        ),
        (zip_file(("a.npy", ARRAY), comment=b'{"cabacus":' + b"[" * 60_000), CorruptError, "comment"),
    ],
)
def test_hostile_npz_files_are_refused(data: bytes, error: type[FormatError], what: str) -> None:
    with pytest.raises(error, match=what):
        files.read(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused() -> None:
    with pytest.raises(CorruptError, match="twice"):
        files.read(zip_file(("a.npy", ARRAY), ("a.npy", ARRAY)))


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zip_file(("a.npy", npy_file(npy_header("'|u1'", shape="(20000000,)"), bytes(20_000_000))))
    assert len(bomb) < 30_000
    tracemalloc.start()
    try:
        with pytest.raises(LimitError) as caught:
            files.read(bomb, limits=Limits(output_bytes=10_000_000))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.limit == "output_bytes"


def test_a_member_that_claims_more_than_deflate_can_give_is_refused() -> None:
    data = bytearray(zip_file(("a.npy", ARRAY)))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 1 << 30)
    with pytest.raises(CorruptError, match="cannot have"):
        files.read(bytes(data))


def sample(kind: Kind) -> bytes:
    stream = io.BytesIO()
    tensors: dict[str, Any] = {"array": np.arange(6, dtype=np.float32).reshape(2, 3)}
    if kind != "npy":
        tensors |= {"flag": np.array([True]), "empty": np.zeros((0, 3), np.int16)}
    files.write_to(stream, tensors, {} if kind == "npy" else {"format": "np"}, kind=kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy"])
def test_every_shortened_file_is_refused(kind: Kind) -> None:
    data = sample(kind)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            files.read(data[:length])


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy"])
@settings(deadline=None, max_examples=400)
@given(edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
@example(edits=[(0, 0)])
def test_damaged_files_raise_nothing_but_format_errors(kind: Kind, edits: list[tuple[int, int]]) -> None:
    data = bytearray(sample(kind))
    for position, value in edits:
        data[position % len(data)] = value
    try:
        tensors = files.read(bytes(data), limits=Limits(output_bytes=1 << 20))
    except FormatError:
        return
    assert sum(tensor.nbytes for tensor in tensors.values()) < 1 << 20


def test_every_flipped_byte_of_an_npz_array_is_detected() -> None:
    data = sample("npz")
    start = data.index(np.arange(6, dtype=np.float32).tobytes())
    for position in range(start, start + 24):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(CorruptError):
            files.read(bytes(damaged))
