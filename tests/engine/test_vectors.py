"""The vectors pin the format's bytes: good files decode to what they state, the others are refused in the right way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reference.decoder import Tensor, decode
from reference.reading import Fault
from vectors import make
from vectors.text import Vector, dump, load

import cabacus
from cabacus.dtypes import as_bytes, dtype_name, from_bytes
from cabacus.errors import CorruptError, FormatError, LimitError, TruncatedError, UnsupportedError

FOLDER = Path(make.__file__).parent
VECTORS = [load(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.hex"))]
GOOD = [vector for vector in VECTORS if vector.fault is None]
BAD = [vector for vector in VECTORS if vector.fault is not None]
ERRORS: dict[str, type[FormatError]] = {
    "truncated": TruncatedError,
    "corrupt": CorruptError,
    "unsupported": UnsupportedError,
    "limit": LimitError,
}


def base_of(vector: Vector) -> dict[str, Any] | None:
    return {name: from_bytes(one.data, one.dtype, one.shape) for name, one in vector.base.items()} or None


def by_name(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[vector.name for vector in vectors])


def test_the_script_makes_the_same_bytes() -> None:
    made = {f"{vector.name}.hex": dump(vector) for vector in make.vectors()}
    assert made.keys() == {path.name for path in FOLDER.glob("*.hex")}
    for name, text in made.items():
        assert text == (FOLDER / name).read_text(encoding="utf-8"), f"{name} is another: make vectors"


def test_names_say_what_a_vector_is() -> None:
    for vector in VECTORS:
        kind = vector.name.partition("-")[0]
        assert {"good": vector.fault is None, "unsupported": vector.fault == "unsupported"}.get(
            kind, bool(vector.fault)
        )
    assert {vector.fault for vector in BAD} == set(ERRORS)


@by_name(GOOD)
def test_good_ones_decode(vector: Vector) -> None:
    decoded = cabacus.decompress(vector.data, base=base_of(vector))
    found = {name: Tensor(dtype_name(one), tuple(one.shape), as_bytes(one).tobytes()) for name, one in decoded.items()}
    assert list(found) == list(vector.tensors)
    assert found == vector.tensors
    assert list(cabacus.inspect(vector.data, base=base_of(vector)).metadata.items()) == vector.metadata


@by_name(GOOD)
def test_good_ones_decode_by_the_reference(vector: Vector) -> None:
    found = decode(vector.data, vector.base or None)
    assert list(found) == list(vector.tensors)
    assert found == vector.tensors


@by_name(BAD)
def test_others_are_refused(vector: Vector) -> None:
    with pytest.raises(FormatError) as caught:
        cabacus.decompress(vector.data, base=base_of(vector))
    assert caught.type is ERRORS[str(vector.fault)]


@by_name(BAD)
def test_others_are_refused_by_the_reference(vector: Vector) -> None:
    with pytest.raises(Fault) as caught:
        decode(vector.data, vector.base or None)
    assert caught.value.kind == vector.fault


@by_name(GOOD)
def test_no_byte_of_a_good_one_can_be_another(vector: Vector) -> None:
    """Every byte is under a checksum, or is looked at."""
    base = base_of(vector)
    for at in range(0, len(vector.data), max(1, len(vector.data) // 200)):
        changed = bytearray(vector.data)
        changed[at] ^= 0x10
        with pytest.raises(FormatError):
            cabacus.decompress(bytes(changed), base=base)
