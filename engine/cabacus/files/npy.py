"""npy: one array. Read and written without `numpy.lib.format`, whose reader takes pickles and evaluates the header.

bfloat16 is '<V2', as `numpy.save` writes an `ml_dtypes` array. The 8-bit floats have no distinct spelling; a file npz
notes their names elsewhere. Trailing bytes are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from cabacus.dtypes import BY_NAME, DTYPES, DType, Tensor, as_bytes, dtype_name, from_bytes
from cabacus.errors import CorruptError, InputError, TruncatedError, UnsupportedError
from cabacus.files.tensors import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["MAGIC", "NAME", "Header", "parse", "read_header", "write_header", "write_to"]

MAGIC = b"\x93NUMPY"
NAME = "array"
"""The name that a lone array gets, whatever its file is called: the same bytes give the same tensors."""

_HEADER_BYTES = 1 << 16
_ALIGNMENT = 64
_FIELD = re.compile(
    r"\s*'(?P<key>\w+)'\s*:\s*(?P<value>'[^']*'|True|False|\((?:\s*\d{1,20}L?\s*,)*(?:\s*\d{1,20}L?)?\s*\))\s*(?:,|(?=\}))"
)
_SPELLING = re.compile(r"([<>|])([a-zA-Z])(\d{1,6})")
_BY_CODE = {np.dtype(dtype.name).str[1:]: dtype for dtype in DTYPES if dtype.native}


@dataclass(frozen=True, slots=True)
class Header:
    """What an npy header says. `length` counts its bytes, up to the data."""

    dtype: DType
    shape: tuple[int, ...]
    fortran_order: bool
    big_endian: bool
    length: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize

    def tensor(self, data: Any, name: str) -> Tensor:
        """Return the tensor over `data`, a buffer, as a view."""
        return from_bytes(
            data,
            self.dtype.name,
            self.shape,
            tensor=name,
            fortran_order=self.fortran_order,
            big_endian=self.big_endian,
        )


def parse(data: memoryview, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the array of an npy file, named NAME, as a view of `data`.

    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3))
    >>> parse(file.getbuffer())["array"].tolist()
    [0, 1, 2]
    """
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        position += count
        return bytes(data[position - count : position])

    header = read_header(read, NAME, limits)
    return Tensors({NAME: header.tensor(data[header.length :], NAME)})


def read_header(read: Callable[[int], bytes], name: str, limits: Limits, *, dtype: DType | None = None) -> Header:
    """Read an npy header with `read`, which takes a count of bytes. `dtype`: what elements of type V stand for."""
    start = _exactly(read, len(MAGIC) + 2, name)
    if start[: len(MAGIC)] != MAGIC:
        raise CorruptError(f"array {name!r} does not begin like an npy file", tensor=name)
    version = start[len(MAGIC)]
    if version not in (1, 2, 3) or start[len(MAGIC) + 1] != 0:
        raise UnsupportedError(f"array {name!r} has npy version {version}.{start[-1]}", tensor=name)
    prefix = 2 if version == 1 else 4
    length = int.from_bytes(_exactly(read, prefix, name), "little")
    if length > _HEADER_BYTES:
        raise UnsupportedError(f"array {name!r} has a header of {length} bytes", tensor=name)
    text = _exactly(read, length, name).decode("latin-1" if version < 3 else "utf-8", "replace")
    fields = _fields(text, name)
    shape = tuple(int(size.rstrip("L")) for size in re.findall(r"\d+L?", fields["shape"]))
    found, big_endian = _element_type(fields["descr"], name, dtype)
    limits.check("total_elements", limits.check_shape(shape, tensor=name), tensor=name)
    return Header(found, shape, fields["fortran_order"] == "True", big_endian, len(start) + prefix + length)


def write_header(tensor: Tensor) -> bytes:
    """Return the npy header of a tensor written in C order, little-endian.

    >>> write_header(np.zeros((2, 3), np.float32))[10:70]
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } "
    """
    dtype = BY_NAME[dtype_name(tensor)]
    descr = np.dtype(dtype.name).newbyteorder("<").str if dtype.native else {1: "|V1", 2: "<V2"}[dtype.itemsize]
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {tuple(map(int, tensor.shape))!r}, }}"
    padding = -(len(MAGIC) + 4 + len(text) + 1) % _ALIGNMENT
    body = text.encode() + b" " * padding + b"\n"
    return MAGIC + b"\x01\x00" + len(body).to_bytes(2, "little") + body


def write_to(file: BinaryIO, tensors: Tensors) -> None:
    """Write the only tensor of `tensors` as an npy file, which keeps neither its name nor the metadata.

    >>> file = io.BytesIO()
    >>> write_to(file, Tensors({"w": np.arange(3)}))
    >>> np.load(io.BytesIO(file.getvalue())).tolist()
    [0, 1, 2]
    """
    if len(tensors) != 1:
        raise InputError(f"npy holds one array, not {len(tensors)}; write .npz or .safetensors")
    ((name, tensor),) = tensors.items()
    dtype = dtype_name(tensor)
    if BY_NAME[dtype].storage == "uint8" and not BY_NAME[dtype].native:
        raise InputError(f"tensor {name!r}: npy has no element type {dtype}; write .npz or .safetensors", tensor=name)
    file.write(write_header(tensor))
    file.write(as_bytes(tensor).data)


def _exactly(read: Callable[[int], bytes], count: int, name: str) -> bytes:
    data = read(count)
    if len(data) != count:
        raise TruncatedError(f"array {name!r} ends within its header", tensor=name)
    return data


def _fields(text: str, name: str) -> dict[str, str]:
    """The three fields of the header's Python literal, as text. Only the form that arrays need is understood."""
    body = text.strip()
    fields: dict[str, str] = {}
    position = 1
    while match := _FIELD.match(body, position):
        if match["key"] in fields:
            raise CorruptError(f"array {name!r} has the header field {match['key']} twice", tensor=name)
        fields[match["key"]] = match["value"]
        position = match.end()
    if "descr" not in fields and re.search(r"'descr'\s*:\s*[\[(]", body):
        raise UnsupportedError(f"array {name!r} has fields; store each as an array of its own", tensor=name)
    well_formed = body[:1] == "{" and body[position:].strip() == "}" and len(fields) == 3
    kinds = {"descr": "'", "fortran_order": "TF", "shape": "("}
    if not well_formed or any(key not in fields or fields[key][0] not in first for key, first in kinds.items()):
        raise CorruptError(f"array {name!r} has a malformed header", tensor=name)
    return fields


def _element_type(literal: str, name: str, noted: DType | None) -> tuple[DType, bool]:
    """The element type that a spelling such as '<f4' means, and whether it is big-endian."""
    spelling = literal.strip("'")
    match = _SPELLING.fullmatch(spelling)
    if match is None or match[2] == "O":
        why = "holds Python objects, a pickle that can run code when loaded; store arrays of numbers"
        raise UnsupportedError(
            f"array {name!r} {why}" if match or spelling.endswith("O") else f"array {name!r}: type {spelling!r}",
            tensor=name,
        )
    code = match[2] + match[3]
    dtype = _BY_CODE.get(code)
    if noted is not None and code == f"V{noted.itemsize}":
        dtype = noted
    elif spelling == "<V2":
        dtype = BY_NAME["bfloat16"]
    if dtype is None:
        raise UnsupportedError(f"array {name!r} has elements of type {spelling!r}, which is unknown here", tensor=name)
    return dtype, match[1] == ">"
