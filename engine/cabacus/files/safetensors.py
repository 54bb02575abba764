"""safetensors files, read and written without the reference library, and with an attacker in mind.

A file is a little-endian u64, a JSON header of that many bytes, and the tensors' data. The header maps names to
{"dtype", "shape", "data_offsets"}; "__metadata__" maps strings to strings. The data has no holes and no overlaps.

Order: that of the header, which is the order in which a JSON reader sees the names, and which a writer can choose
freely. The order of the data is the writer's means to align tensors, so it carries no meaning here; ours puts wide
element types first, as the reference does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

from cabacus import checks
from cabacus.dtypes import BY_NAME, BY_SAFETENSORS, DType, as_bytes, dtype_name, from_bytes
from cabacus.errors import CorruptError, InputError, TruncatedError, UnsupportedError
from cabacus.files.tensors import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["parse", "write_to"]

_METADATA = "__metadata__"
_LENGTH_BYTES = 8
_ALIGNMENT = 8
_REFERENCE_HEADER_LIMIT = 100_000_000
_KEYS = {"dtype", "shape", "data_offsets"}
_SUB_BYTE = {"F4", "F6_E2M3", "F6_E3M2"}


def parse(data: memoryview, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the tensors of a safetensors file as views of `data`; only the header and bool tensors are read.

    >>> header = b'{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}'
    >>> parse(memoryview(len(header).to_bytes(8, "little") + header + bytes([3, 4])))["w"].tolist()
    [3, 4]
    """
    if len(data) < _LENGTH_BYTES:
        raise TruncatedError(f"a safetensors file has at least {_LENGTH_BYTES} bytes, this one {len(data)}")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    limits.check("header_bytes", length)
    if length > len(data) - _LENGTH_BYTES:
        raise TruncatedError(f"the header announces {length} bytes, {len(data) - _LENGTH_BYTES} are left")
    header = _load(bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + length]))
    metadata = _metadata(header.pop(_METADATA, None))
    limits.check("tensors", len(header))
    entries = {name: _entry(name, entry, limits) for name, entry in header.items()}
    total = 0
    for name, (_, _, elements, _) in entries.items():
        total += elements
        limits.check("total_elements", total, tensor=name)
    body = data[_LENGTH_BYTES + length :]
    _check_extents({name: extent for name, (_, _, _, extent) in entries.items()}, len(body))
    tensors = Tensors(metadata=metadata)
    for name, (dtype, shape, _, (start, stop)) in entries.items():
        tensors[name] = from_bytes(body[start:stop], dtype.name, shape, tensor=name)
    return tensors


def write_to(file: BinaryIO, tensors: Tensors) -> None:
    """Write a safetensors file, one tensor at a time; `file` needs `write` alone.

    Raises InputError for element types that the format lacks, before anything is written.

    >>> file = io.BytesIO()
    >>> write_to(file, Tensors({"w": np.array([3, 4], np.uint8)}))
    >>> file.getvalue()[8:]
    b'{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   \\x03\\x04'
    """
    dtypes = {name: _writable(name, BY_NAME[dtype_name(tensor)]) for name, tensor in tensors.items()}
    # Wide types first: then every tensor is aligned to its items, for readers that map the file.
    placed = sorted(tensors, key=lambda name: -dtypes[name].itemsize)
    offsets: dict[str, tuple[int, int]] = {}
    position = 0
    for name in placed:
        end = position + tensors[name].size * dtypes[name].itemsize
        offsets[name] = (position, end)
        position = end
    header: dict[str, Any] = {_METADATA: tensors.metadata} if tensors.metadata else {}
    for name, tensor in tensors.items():
        header[name] = {"dtype": dtypes[name].safetensors, "shape": tensor.shape, "data_offsets": offsets[name]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > _REFERENCE_HEADER_LIMIT:
        raise InputError(
            f"names and metadata take {len(text)} bytes; safetensors readers refuse more than {_REFERENCE_HEADER_LIMIT}"
        )
    file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
    file.write(text)
    for name in placed:
        file.write(as_bytes(tensors[name]).data)


def _load(text: bytes) -> dict[str, Any]:
    """The header's JSON object; anything that two readers could take differently is refused."""
    if text[:1] != b"{":
        raise CorruptError("the header does not begin with a brace; this is no safetensors file")
    try:
        header: dict[str, Any] = json.loads(  # a dict, since it begins with a brace
            text.decode("utf-8"), object_pairs_hook=_unique, parse_float=_no_number, parse_constant=_no_number
        )
    except UnicodeDecodeError as error:
        raise CorruptError(f"the header is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise CorruptError("the header is nested too deeply") from None
    except ValueError as error:
        raise CorruptError(f"the header is not JSON: {error}") from None
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CorruptError(f"the header has the key {double!r} twice", tensor=double)
    return result


def _no_number(text: str) -> NoReturn:
    raise CorruptError(f"the header has the number {text}, where only integers may be")


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    try:
        return checks.strings(value, _METADATA)
    except InputError as error:
        raise CorruptError(f"the header is wrong: {error}") from None


def _entry(name: str, entry: object, limits: Limits) -> tuple[DType, tuple[int, ...], int, tuple[int, int]]:
    """The type, shape, number of elements and extent of a tensor, each checked on its own."""
    if not checks.encodable(name):
        raise CorruptError(f"the name {name!r} is not Unicode", tensor=name)
    limits.check("name_bytes", len(name.encode()), tensor=name)
    if not isinstance(entry, Mapping) or not entry.keys() >= _KEYS:
        raise CorruptError(f"tensor {name!r} lacks one of {', '.join(sorted(_KEYS))}", tensor=name)
    if extra := entry.keys() - _KEYS:
        raise UnsupportedError(f"tensor {name!r} has the unknown key {min(extra)!r}", tensor=name)
    shape = _counts(name, "shape", entry["shape"])
    extent = _counts(name, "data_offsets", entry["data_offsets"])
    elements = limits.check_shape(shape, tensor=name)
    dtype = _dtype(name, entry["dtype"])
    if len(extent) != 2 or extent[1] - extent[0] != elements * dtype.itemsize:
        raise CorruptError(
            f"tensor {name!r} has the data_offsets {list(extent)}, but its type and shape take "
            f"{elements * dtype.itemsize} bytes",
            tensor=name,
        )
    return dtype, shape, elements, (extent[0], extent[1])


def _counts(name: str, key: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 2**63 for item in value):
        raise CorruptError(f"tensor {name!r}: {key} is no list of counts", tensor=name)
    return tuple(value)


def _dtype(name: str, spelling: object) -> DType:
    if not isinstance(spelling, str):
        raise CorruptError(f"tensor {name!r}: dtype is no string", tensor=name)
    if spelling not in BY_SAFETENSORS:
        why = "is smaller than a byte" if spelling in _SUB_BYTE else "is unknown"
        raise UnsupportedError(f"tensor {name!r}: the element type {spelling!r} {why}", tensor=name)
    return BY_SAFETENSORS[spelling]


def _check_extents(extents: Mapping[str, tuple[int, int]], size: int) -> None:
    """Refuse data with holes, overlaps, missing or trailing bytes."""
    position = 0
    for name, (start, stop) in sorted(extents.items(), key=lambda item: item[1]):
        if start != position:
            what = "overlaps another" if start < position else "leaves a hole before it"
            raise CorruptError(f"the data of tensor {name!r} {what}", tensor=name)
        position = stop
    if position > size:
        raise TruncatedError(f"the tensors take {position} bytes, {size} are left")
    if position < size:
        raise CorruptError(f"{size - position} bytes follow the last tensor")


def _writable(name: str, dtype: DType) -> DType:
    if dtype.safetensors is None:
        raise InputError(
            f"tensor {name!r}: safetensors has no element type {dtype.name}; write .npz or cast the tensor", tensor=name
        )
    if name == _METADATA:
        raise InputError(f"{_METADATA!r} names the metadata in safetensors; rename the tensor", tensor=name)
    return dtype
