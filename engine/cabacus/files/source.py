"""Where bytes come from: a path, a file object or bytes become one read-only buffer, mapped rather than loaded."""

from __future__ import annotations

import io
import mmap
import os
import stat
import tempfile
from typing import BinaryIO, TypeAlias

from cabacus.errors import InputError
from cabacus.limits import Limits

__all__ = ["Source", "open_buffer"]

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_CHUNK = 1 << 20


def open_buffer(source: Source, limits: Limits) -> memoryview:
    """Return the bytes of `source`, from its position to its end, as a flat read-only buffer.

    Regular files are memory-mapped: the buffer keeps the map alive, and the file must not be truncated meanwhile.
    What cannot be mapped (a pipe, a socket, a decompressor) is first copied to an unnamed temporary file, up to
    `limits.output_bytes`. A file object is not closed.

    >>> open_buffer(io.BytesIO(b"abc"), Limits()).tolist()
    [97, 98, 99]
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).cast("B").toreadonly()
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return _from_file(file, limits)
    if hasattr(source, "read"):
        return _from_file(source, limits)
    raise InputError(f"cannot read from a {type(source).__name__}; pass a path, bytes or a binary file")


def _from_file(file: BinaryIO, limits: Limits) -> memoryview:
    if isinstance(file, io.BytesIO):
        return memoryview(file.getvalue())[file.tell() :]
    inner = getattr(file, "file", file)  # tempfile wraps the file that it opened
    # Only plain files: the descriptor of a decompressor, for one, leads to the compressed bytes.
    if isinstance(getattr(inner, "raw", inner), io.FileIO) and stat.S_ISREG(os.fstat(inner.fileno()).st_mode):
        if inner.writable():
            inner.flush()
        return _map(inner)[inner.tell() :]
    return _spool(file, limits)


def _map(file: BinaryIO) -> memoryview:
    if os.fstat(file.fileno()).st_size == 0:
        return memoryview(b"")
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _spool(file: BinaryIO, limits: Limits) -> memoryview:
    size = 0
    with tempfile.TemporaryFile() as copy:
        while chunk := file.read(_CHUNK):
            if isinstance(chunk, str):
                raise InputError("the file is open as text; open it in binary mode")
            size += len(chunk)
            limits.check("output_bytes", size)
            copy.write(chunk)
        copy.flush()
        return _map(copy)
