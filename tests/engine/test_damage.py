"""Damaged files: whatever is cut or flipped is detected, and told as a FormatError; nothing else is ever raised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cabacus
from cabacus.errors import FormatError, TruncatedError


def small() -> bytes:
    """A file of a few hundred bytes with every coding."""
    generator = np.random.default_rng(0)
    shared = generator.normal(0, 1, (4, 5)).astype(np.float32)
    tensors: dict[str, Any] = {
        "levels": generator.normal(0, 1, (6, 10)).astype(np.float32),
        "half": generator.normal(0, 1, (3, 4)).astype(np.float16),
        "raw": generator.normal(0, 1, 9),
        "floats": generator.normal(0, 1, (15, 10)).astype(np.float32),
        "book": np.tile(np.array([0.3, 0.7, 0.1], np.float32), 60),
        "ints": np.arange(12, dtype=np.int16) ** 2,
        "flags": np.array([True, False]),
        "zero": np.zeros(5, np.float32),
        "tied": shared,
        "again": shared,
    }
    return cabacus.compress(tensors, step=0.25, rules=["book:keep", "floats:keep"], metadata={"k": "v"}).data


DATA = small()


def test_the_sample_has_every_coding() -> None:
    codings = {row.coding for row in cabacus.inspect(DATA).tensors}
    assert codings == {"levels", "raw", "float", "codebook", "zero", "alias"}


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_byte_that_is_changed_is_noticed(mask: int) -> None:
    for place in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[place] ^= mask
        with pytest.raises(FormatError):
            cabacus.decompress(bytes(damaged))
        assert not cabacus.verify(bytes(damaged)).ok


def test_every_truncation_is_told_as_one() -> None:
    for size in range(len(DATA)):
        with pytest.raises(TruncatedError):
            cabacus.decompress(DATA[:size])
        assert not cabacus.verify(DATA[:size]).ok


def test_bytes_that_follow_are_noticed() -> None:
    with pytest.raises(FormatError):
        cabacus.decompress(DATA + b"\0")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_anything_else_is_refused_as_well(data: bytes) -> None:
    for text in (data, b"\xabCBC" + data, DATA[:12] + data, DATA[:40] + data):
        with pytest.raises(FormatError):
            cabacus.decompress(text)


def test_a_damaged_tensor_leaves_the_others_whole() -> None:
    damaged = bytearray(DATA)
    damaged[-1] ^= 1  # the checksum of the last slice, which is of "tied"
    archive = cabacus.open(bytes(damaged))
    for name in ("levels", "half", "raw", "floats", "book", "ints", "flags", "zero"):
        archive.tensor(name)
    for name in ("tied", "again"):
        with pytest.raises(FormatError) as caught:
            archive.tensor(name)
        assert caught.value.tensor == "tied"
    faults = {row.name: row.error for row in cabacus.verify(bytes(damaged)).tensors if row.error}
    assert set(faults) == {"tied", "again"}
