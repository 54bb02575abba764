"""npz: a zip of npy arrays. Never a pickle; a bomb is refused before it is unpacked.

The zip's comment, which other readers ignore, keeps what npz has no place for: the metadata, and the types of arrays
of 8-bit floats.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import numpy as np

from cabacus import checks
from cabacus.dtypes import BY_NAME, DType, Tensor, as_bytes, dtype_name
from cabacus.errors import CabacusError, CorruptError, InputError, TruncatedError, UnsupportedError
from cabacus.files import npy
from cabacus.files.sniff import PICKLE_REMEDY
from cabacus.files.tensors import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["parse", "write_to"]

_SUFFIX = ".npy"
_NOTE = "cabacus"
_COMMENT_BYTES = 65535
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DEFLATE_RATIO = 1032
"""Deflate cannot expand by more than this."""
_CHUNK = 1 << 20
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OverflowError, OSError, RuntimeError)
"""What zipfile raises for damaged files."""


def parse(data: memoryview, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the arrays of an npz file, unpacked into memory, up to `limits.output_bytes`.

    >>> file = io.BytesIO()
    >>> np.savez_compressed(file, w=np.ones(2))
    >>> parse(file.getbuffer())["w"].tolist()
    [1.0, 1.0]
    """
    with _translated(), zipfile.ZipFile(cast(Any, _View(data))) as archive:
        members = archive.infolist()
        _check_end(data, archive.comment)
        _check_members(members, len(data), limits)
        metadata, dtypes = _read_comment(archive.comment)
        tensors = Tensors(metadata=metadata)
        total = 0
        for member in members:
            name = member.filename.removesuffix(_SUFFIX)
            tensors[name] = _read_member(archive, member, name, dtypes.get(name), limits)
            total += tensors[name].size
            limits.check("total_elements", total, tensor=name)
        return tensors


def write_to(file: BinaryIO, tensors: Tensors) -> None:
    """Write an npz file without compression, one tensor at a time. Equal tensors give equal bytes.

    >>> file = io.BytesIO()
    >>> write_to(file, Tensors({"w": np.arange(3)}))
    >>> np.load(io.BytesIO(file.getvalue()))["w"].tolist()
    [0, 1, 2]
    """
    comment = _write_comment(tensors)
    for name in tensors:
        if "\0" in name:
            raise InputError(f"tensor {name!r}: npz names hold no NUL; rename the tensor", tensor=name)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = comment
        for name, tensor in tensors.items():
            member = zipfile.ZipInfo(name + _SUFFIX, _EPOCH)
            member.external_attr = 0o644 << 16
            header = npy.write_header(tensor)
            member.file_size = len(header) + tensor.nbytes  # tells zipfile whether 64-bit sizes are needed
            with archive.open(member, "w") as stream:
                stream.write(header)
                stream.write(as_bytes(tensor).data)


def _check_end(data: memoryview, comment: bytes) -> None:
    """Refuse a shortened comment and trailing bytes, over which zipfile passes."""
    start = len(data) - len(comment)
    if int.from_bytes(data[start - 2 : start], "little") != len(comment):
        raise CorruptError("the zip does not end where its comment ends")


def _check_members(members: list[zipfile.ZipInfo], size: int, limits: Limits) -> None:
    """Refuse what is no array, or claims a size that it cannot have, before anything is unpacked."""
    limits.check("tensors", len(members))
    names: set[str] = set()
    total = 0
    for member in members:
        name = member.filename
        if name.endswith(".pkl"):
            raise UnsupportedError(f"this is a PyTorch checkpoint; {PICKLE_REMEDY}")
        if not name.endswith(_SUFFIX):
            raise UnsupportedError(f"the zip holds {name!r}, which is no array; an npz holds .npy files alone")
        limits.check("name_bytes", len(name.encode("utf-8", "surrogatepass")), tensor=name)
        if name in names:
            raise CorruptError(f"the array {name!r} is there twice", tensor=name)
        names.add(name)
        if member.flag_bits & 1:
            raise UnsupportedError(f"the array {name!r} is encrypted", tensor=name)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsupportedError(f"the array {name!r} is compressed by method {member.compress_type}", tensor=name)
        ratio = 1 if member.compress_type == zipfile.ZIP_STORED else _DEFLATE_RATIO
        if member.compress_size > size or member.file_size > ratio * member.compress_size:
            raise CorruptError(f"the array {name!r} claims a size that it cannot have", tensor=name)
        total += member.file_size
        limits.check("output_bytes", total, tensor=name)


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, noted: DType | None, limits: Limits
) -> Tensor:
    with archive.open(member) as stream:
        header = npy.read_header(stream.read, name, limits, dtype=noted)
        if header.length + header.nbytes != member.file_size:
            kind = TruncatedError if header.length + header.nbytes > member.file_size else CorruptError
            raise kind(f"array {name!r} has {member.file_size - header.length} bytes of data", tensor=name)
        data = np.empty(header.nbytes, np.uint8)
        position = 0
        while position < data.size:
            chunk = stream.read(_CHUNK)
            if not chunk:
                raise TruncatedError(f"array {name!r} ends early", tensor=name)
            data[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
            position += len(chunk)
        stream.read(1)  # reaching the end is what checks the CRC
    return header.tensor(data, name)


def _read_comment(comment: bytes) -> tuple[dict[str, str], dict[str, DType]]:
    if not comment.startswith(f'{{"{_NOTE}":'.encode()):
        return {}, {}
    try:
        note = json.loads(comment.decode())[_NOTE]
        dtypes = {name: BY_NAME[dtype] for name, dtype in checks.strings(note["dtypes"], "dtypes").items()}
        return checks.strings(note["metadata"], "metadata"), dtypes
    except (ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        raise CorruptError(f"the zip's comment is malformed: {error}") from None


def _write_comment(tensors: Tensors) -> bytes:
    names = {name: dtype_name(tensor) for name, tensor in tensors.items()}
    dtypes = {name: dtype for name, dtype in names.items() if not BY_NAME[dtype].native}
    if not dtypes and not tensors.metadata:
        return b""
    note = {_NOTE: {"dtypes": dtypes, "metadata": tensors.metadata}}
    comment = json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode()
    if len(comment) > _COMMENT_BYTES:
        raise InputError(
            f"the metadata takes {len(comment)} bytes, npz has room for {_COMMENT_BYTES}; "
            "write .safetensors, or pass metadata={}",
            field="metadata",
        )
    return comment


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what zipfile raises for hostile files into FormatErrors."""
    try:
        yield
    except CabacusError:
        raise
    except EOFError:
        raise TruncatedError("the zip ends early") from None
    except NotImplementedError as error:
        raise UnsupportedError(f"the zip is unsupported: {error}") from None
    except _ZIP_ERRORS as error:
        raise CorruptError(f"the zip is damaged: {error}") from None


class _View(io.RawIOBase):
    """A buffer as a seekable file, without a copy."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        if start + offset < 0:
            raise OSError("negative position")  # zipfile expects this one
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        chunk = self._data[self._position : self._position + len(target)]
        target[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)
