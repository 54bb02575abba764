"""Tensors stored exactly: how a codebook is laid out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cabacus
from cabacus import _core, exact
from cabacus.container import CODEBOOK, EXACT
from cabacus.dtypes import BY_NAME, as_bytes, cast_from_float, from_bits
from cabacus.exact import Manner, code_exactly


def coded(array: Any) -> tuple[_core.Record, bytes]:
    made = code_exactly("w", array, Manner())
    assert made.record.coding == CODEBOOK
    return made.record, b"".join(bytes(piece) for piece in made.pieces)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_codebook_is_sorted_by_value_around_the_most_frequent(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_FEW_ENTRIES", 0)
    values = np.array([-np.inf, -2.5, -1e-3, -0.0, 0.0, 1e-3, 0.25, 7.0, np.inf, np.nan], dtype)
    rng = np.random.default_rng(0)
    array = values[rng.choice(10, 4000, p=[0.01, 0.1, 0.1, 0.02, 0.4, 0.15, 0.1, 0.1, 0.01, 0.01])]
    record, payload = coded(array)
    book = np.frombuffer(payload[: record.slice_bytes[0] - 4], dtype)
    assert book.tobytes() == values.tobytes()
    assert (record.entries, record.offset) == (10, 4)
    levels = _core.decode_levels(payload[record.slice_bytes[0] :], record, 0, 1)
    assert np.bincount(levels + record.offset).argmax() == 4
    assert values[levels + record.offset].tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint64"])
def test_integers_far_apart_are_sorted_as_numbers(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_FEW_ENTRIES", 0)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    values = np.array([low, low // 3, 5, high // 2, high], dtype) if low else np.array([0, 5, high // 2, high], dtype)
    record, payload = coded(values[np.random.default_rng(1).choice(len(values), 3000)])
    assert np.frombuffer(payload[: record.slice_bytes[0] - 4], dtype).tolist() == values.tolist()


def test_a_codebook_is_sorted_by_frequency_where_that_takes_fewer_bytes() -> None:
    values = np.arange(40, dtype=np.float32) * 37 % 40 + 0.3  # what is alike in value is not in frequency
    array = values[np.minimum(np.random.default_rng(1).geometric(0.15, (60, 100)), 40) - 1]
    record, payload = coded(array)
    book = np.frombuffer(payload[: record.slice_bytes[0] - 4], np.float32)
    counts = np.array([np.count_nonzero(array == value) for value in book])
    assert record.offset == 0
    assert (np.diff(counts) <= 0).all()
    levels = _core.decode_levels(payload[record.slice_bytes[0] :], record, 0, 1)
    assert book[levels].tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", BY_NAME)
def test_codebooks_of_every_type_come_back(dtype: str) -> None:
    kind = BY_NAME[dtype]
    if kind.itemsize > 8:
        pytest.skip("complex128 is not written as a codebook")
    bits = np.random.default_rng(2).integers(0, 2, (5, kind.itemsize), np.uint8) * (1 if dtype == "bool" else 0xD5)
    elements = bits[np.random.default_rng(3).integers(0, 5, 2000)].tobytes()
    tensor = from_bits(np.frombuffer(elements, kind.storage).reshape(40, 50), dtype)
    model = cabacus.compress({"w": tensor}, rules=["*:keep"]).data
    assert as_bytes(cabacus.decompress(model)["w"]).tobytes() == elements


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (60, 70), (3, 1, 500)])
def test_floats_as_trained_take_fewer_bytes_or_are_raw(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = cast_from_float(np.random.default_rng(4).normal(0, 0.02, shape), dtype)
    model = cabacus.compress({"w": tensor}, rules=["*:keep"])
    assert as_bytes(cabacus.decompress(model.data)["w"]).tobytes() == as_bytes(tensor).tobytes()
    used = model.report.tensors[0].coding
    assert used == ("float" if tensor.size > 1000 and dtype != "float16" else used)
    assert len(model.data) <= tensor.nbytes + 60


def test_a_part_of_exact_floats_is_read_alone() -> None:
    tensor = np.random.default_rng(5).normal(0, 0.02, (3000, 1000)).astype(np.float32)
    tensor[1500:, :] = np.nan
    model = cabacus.compress({"w": tensor}, rules=["*:keep"]).data
    archive = cabacus.open(model)
    for start, stop in ((0, 3000), (1499, 1501), (2999, 3000), (7, 7)):
        assert archive.rows("w", start, stop).tobytes() == tensor[start:stop].tobytes()
    assert cabacus.decompress(model, threads=3)["w"].tobytes() == tensor.tobytes()


def test_exact_floats_of_other_types_are_refused() -> None:
    """The binding checks what it is given: no file says so."""
    with pytest.raises(ValueError, match="not of that type"):
        _core.encode_exact(np.zeros(3, np.uint32), dtype=BY_NAME["float64"].id, columns=3)
    record = _core.Record(name="w", dtype=BY_NAME["float32"].id, shape=(3,), coding=EXACT, row_width=3, slice_rows=1)
    record.slice_bytes, record.entries, record.lowest = [4], 24, 1
    with pytest.raises(ValueError, match="fewer mantissa bits"):
        _core.decode_exact(bytes(4), record, 0, 1, np.empty(3, np.uint32))
