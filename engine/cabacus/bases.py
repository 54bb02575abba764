"""The base of a difference: its digest, by which a file names it, and the check that the right one is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cabacus.dtypes import BY_NAME, Tensor, as_bytes, dtype_name
from cabacus.errors import BaseMismatchError

__all__ = ["check_base", "digest"]


def digest(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the SHA-256 of decoded tensors in the order of their names: names, types, shapes, elements (FORMAT 7).

    >>> digest({"w": np.zeros(2, np.float32)}).hex()[:8], digest({}).hex()[:8]
    ('ec154fc0', 'e3b0c442')
    """
    state = hashlib.sha256()
    for name in sorted(tensors, key=lambda name: name.encode()):
        tensor = tensors[name]
        encoded = name.encode()
        state.update(_varint(len(encoded)) + encoded + bytes([BY_NAME[dtype_name(tensor)].id]))
        state.update(b"".join(map(_varint, (len(tensor.shape), *tensor.shape))))
        state.update(as_bytes(tensor).data)
    return state.digest()


def check_base(wanted: bytes, base: Mapping[str, Tensor] | None) -> None:
    """Raise BaseMismatchError unless `base` is the one of that digest.

    >>> check_base(bytes(32), None)
    Traceback (most recent call last):
    cabacus.errors.BaseMismatchError: the file is a difference to the base 00000000...; pass base=
    """
    short = wanted.hex()[:8] + "..."
    if base is None:
        raise BaseMismatchError(f"the file is a difference to the base {short}; pass base=")
    found = digest(base)
    if found != wanted:
        raise BaseMismatchError(f"the file is a difference to the base {short}, not to {found.hex()[:8]}...")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
