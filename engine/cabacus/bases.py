"""The base of a difference: its digest, by which a file names it, and the check that the right one is at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from cabacus.dtypes import BY_NAME, RawTensor, Tensor, as_bytes, as_tensor, dtype_name
from cabacus.errors import BaseMismatchError

__all__ = ["Base", "check_base", "digest", "in_order"]


class Base(Mapping[str, Tensor]):
    """A base that many updates are coded or decoded with: read-only copies, so that its digest is computed once.

    Takes the place of a mapping of names to arrays. Raises InputError for values that are no tensors.

    >>> base = Base({"w": np.zeros(2, np.float32)})
    >>> base.digest.hex()[:8], base["w"].flags.writeable
    ('ec154fc0', False)
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = {name: _frozen(as_tensor(value, tensor=name)) for name, value in tensors.items()}
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """As `digest` of this module."""
        if self._digest is None:
            self._digest = digest(self._tensors)
        return self._digest

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def digest(tensors: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of decoded tensors in the order of their names: names, types, shapes, elements (FORMAT 7).

    Arrays, or what `compress` takes in their place, such as a state_dict of torch. Raises InputError for other values.

    >>> digest({"w": np.zeros(2, np.float32)}).hex()[:8], digest({}).hex()[:8]
    ('ec154fc0', 'e3b0c442')
    """
    if isinstance(tensors, Base):
        return tensors.digest
    import hashlib  # with it comes the whole of OpenSSL

    state = hashlib.sha256()
    for name in in_order(tensors):
        tensor = as_tensor(tensors[name], tensor=name)
        encoded = name.encode()
        state.update(_varint(len(encoded)) + encoded + bytes([BY_NAME[dtype_name(tensor)].id]))
        state.update(b"".join(map(_varint, (len(tensor.shape), *tensor.shape))))
        state.update(as_bytes(tensor).data)
    return state.digest()


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of their bytes, which is that of a base's tensors (FORMAT 7).

    >>> in_order({"b": 1, "a": 2})
    ['a', 'b']
    """
    return sorted(names, key=lambda name: name.encode())


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


def _frozen(tensor: Tensor) -> Tensor:
    if isinstance(tensor, RawTensor):
        return RawTensor(tensor.dtype, np.asarray(_frozen(tensor.bits)))
    copy = np.array(tensor, order="C")
    copy.flags.writeable = False
    return copy


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
