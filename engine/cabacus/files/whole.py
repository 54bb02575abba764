"""A file as a whole: the kind that it is, its tensors, and the way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cabacus.errors import InputError
from cabacus.files import npy, npz, safetensors
from cabacus.files.checkpoint import files_of, is_checkpoint, read_shards
from cabacus.files.sink import atomic_writer, buffered
from cabacus.files.sniff import SNIFF_BYTES, Kind, refusal, sniff
from cabacus.files.source import Source, open_buffer
from cabacus.files.tensors import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["parse", "read", "write", "write_to"]

_PARSERS: dict[Kind, Callable[[memoryview, Limits], Tensors]] = {
    "safetensors": safetensors.parse,
    "npz": npz.parse,
    "npy": npy.parse,
}
_WRITERS: dict[str, Callable[[BinaryIO, Tensors], None]] = {
    "safetensors": safetensors.write_to,
    "npz": npz.write_to,
    "npy": npy.write_to,
}


def read(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the tensors of a file: a path, a binary file object (a pipe too) or bytes.

    The kind is told by the content. Arrays of safetensors and npy are read-only views of the mapped file: nothing is
    loaded before it is used, and the file must not be truncated while they live. They may be unaligned and, in npy,
    big-endian or in Fortran order. npz is unpacked into memory.

    A path may also be that of an index of shards (NAME.index.json) or of a folder with one, or with one safetensors
    file, as Hugging Face keeps checkpoints. Raises InputError for a folder that leaves open what is meant, OSError, or
    a FormatError.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder + "/model.safetensors", {"w": np.ones((2, 2), np.float32)}, {"epoch": "3"})
    ...     tensors = read(folder + "/model.safetensors")
    >>> tensors["w"].shape, tensors.metadata
    ((2, 2), {'epoch': '3'})
    """
    if isinstance(source, str | os.PathLike) and is_checkpoint(source):
        files = files_of(source, limits)
        if len(files) > 1:
            return read_shards(files, limits)
        source = files[0]
    return parse(open_buffer(source, limits), limits=limits)


def parse(data: bytes | bytearray | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the tensors of a file's bytes, as `read` does.

    >>> parse(b"GGUF")
    Traceback (most recent call last):
    cabacus.errors.UnsupportedError: this is a GGUF file; tensors are read from safetensors, npz and npy
    """
    view = memoryview(data)
    kind = sniff(view[:SNIFF_BYTES])
    if kind is None:
        raise refusal(view[:SNIFF_BYTES])
    return _PARSERS[kind](view, limits)


def write(path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a file, whole or not at all; the suffix (.safetensors, .npz, .npy) gives its kind.

    `tensors` maps names to arrays of any layout, one of which is copied at most. Without `metadata`, that of a Tensors
    stays. Raises InputError for what the kind cannot hold, OSError from the file system.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder + "/model.npz", {"w": np.ones(2)})
    ...     sorted(np.load(folder + "/model.npz"))
    ['w']
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in _WRITERS:
        raise InputError(f"the name {os.fspath(path)!r} gives no kind of file; end it in .safetensors, .npz or .npy")
    checked = Tensors.of(tensors, metadata)
    with atomic_writer(path) as file:
        _WRITERS[kind](file, checked)


def write_to(
    file: BinaryIO,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    *,
    kind: Kind = "safetensors",
) -> None:
    """Write tensors to a binary file object (a pipe too), which is left open.

    >>> file = io.BytesIO()
    >>> write_to(file, {"w": np.arange(3, dtype=np.int8)}, kind="npy")
    >>> read(file.getvalue())["array"].tolist()
    [0, 1, 2]
    """
    if kind not in _WRITERS:
        raise InputError(f"there is no kind {kind!r}; pass 'safetensors', 'npz' or 'npy'", field="kind")
    checked = Tensors.of(tensors, metadata)
    with buffered(file) as stream:
        _WRITERS[kind](stream, checked)
