"""Compressed files opened: what is in them, and as much of it decoded as is asked for."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cabacus import _core, checks, scan
from cabacus.bases import check_base
from cabacus.container import ALIAS, CODEBOOK, CODINGS, LEVELS, ZERO, Place, layout, parse, record_bytes
from cabacus.decoding import Extent, base_of, decode, decode_levels, section, shaped
from cabacus.dtypes import BY_ID, Array, Pending, RawTensor, Tensor
from cabacus.errors import InputError
from cabacus.files import Kind, Source, Tensors, open_buffer, read
from cabacus.files import write as _write
from cabacus.files import write_to as _write_to
from cabacus.files.checkpoint import is_checkpoint
from cabacus.files.sniff import is_compressed
from cabacus.inspection import TensorInspection
from cabacus.limits import DEFAULT_LIMITS, Limits
from cabacus.parallel import each, thread_count

__all__ = ["Archive", "decompress", "open", "tensors_of"]

WHOLE_BYTES = 1 << 28
"""Tensors of so many bytes together are decoded side by side before they are written."""

_CONTEXTS = ("paper", "row", "column", "row_column")


class Archive:
    """A compressed file, from which tensors are decoded when they are asked for. Made by `cabacus.open`.

    The file is mapped: nothing but its header is read before. It must not change meanwhile. `metadata` has the model's
    pairs of strings; `base` is the digest in hex of the base that the file is a difference to, or None.

    >>> archive = open(cabacus.compress({"w": np.eye(4, dtype=np.float32)}, step=0.5).data)
    >>> list(archive), archive.tensor("w")[0].tolist()
    (['w'], [1.0, 0.0, 0.0, 0.0])
    """

    metadata: dict[str, str]
    base: str | None

    def __init__(
        self, source: Source, *, base: Any = None, limits: Limits = DEFAULT_LIMITS, threads: int | None = None
    ) -> None:
        self._data = open_buffer(source, limits)
        self._limits = limits
        self._threads = thread_count(threads)
        self._base_source = base
        self._read: Mapping[str, Tensor] | None = None
        self._base: Mapping[str, Tensor] | None = None
        found = parse(self._data, limits, self._read_base)
        self._header, self._places, self._members = found.header, found.places, found.members
        self._joined: dict[str, Tensor] = {}
        self._lock = threading.Lock()
        self.metadata = dict(self._header.metadata)
        self.base = None if self._header.base is None else self._header.base.hex()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __repr__(self) -> str:
        return f"Archive({len(self)} tensors, {self.bytes} bytes)"

    @property
    def bytes(self) -> int:
        """Bytes of the file."""
        return len(self._data)

    @property
    def header_bytes(self) -> int:
        """Bytes before the payload."""
        return self._header.bytes

    @property
    def version(self) -> int:
        """The format's version."""
        return self._header.version

    @cached_property
    def _shares(self) -> dict[str, int]:
        """The share of each record in the header, by the name of the record."""
        records = self._header.records
        nothing = len(_core.pack([], self._header.metadata, self._header.base))
        shares = record_bytes(records, self._header.bytes - nothing)
        return {record.name: share for record, share in zip(records, shares, strict=True)}

    def _bytes_of(self, place: Place) -> int:
        """What a tensor takes: its part of its record, of the slices as of the header."""
        record = place.record
        whole = self._shares[record.name] + (sum(record.slice_bytes) if record.coding != ALIAS else 0)
        elements = math.prod(record.shape)
        if elements == 0:
            return whole if place.name == record.name else 0
        return whole * place.stop // elements - whole * place.start // elements

    def keys(self) -> list[str]:
        """Return the tensors' names in the order of the file."""
        return list(self._places)

    def info(self, name: str) -> TensorInspection:
        """Return what the header says of a tensor."""
        place = self._place(name)
        record = place.record
        dtype = BY_ID[record.dtype]
        alias = self._header.records[record.alias].name if record.coding == ALIAS else None
        return TensorInspection(
            name=name,
            dtype=dtype.name,
            shape=place.shape,
            coding=CODINGS[record.coding],
            parameters=place.size,
            bytes=self._bytes_of(place),
            original_bytes=place.size * dtype.itemsize,
            step=record.step if record.coding == LEVELS and dtype.kind == "float" else None,
            alias=alias,
            delta=record.delta,
            details=_details(record),
        )

    def tensor(self, name: str) -> Tensor:
        """Return a tensor in its own type and shape, in memory of its own.

        bfloat16 and 8-bit floats are arrays of `ml_dtypes`, or RawTensors where that is not installed. Raises
        InputError for an unknown name, a FormatError for slices that are damaged, BaseMismatchError where the tensor is
        a difference and the base is missing or another.
        """
        return self._tensor(self._holder(name), self._threads)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Return `tensor(name)[start:stop]`, decoding no more than the slices that these rows are in.

        >>> archive = open(cabacus.compress({"w": np.eye(4, dtype=np.float32)}, step=0.5).data)
        >>> archive.rows("w", -1, 4).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
        """
        place = self._holder(name)
        shape = place.shape
        if not shape:
            raise InputError(f"tensor {name!r} has no dimensions and no rows", tensor=name)
        start, stop, _ = slice(start, stop).indices(shape[0])
        axes, stop = tuple(place.record.axes), max(start, stop)
        if axes and axes[0] != 0:
            return section(self._tensor(place, self._threads), start, stop, (stop - start, *shape[1:]))
        inner = math.prod(shape[1:])
        part = replace(place, start=place.start + start * inner, stop=place.start + stop * inner)
        return self._tensor(replace(part, shape=(stop - start, *shape[1:])), self._threads)

    def levels(self, name: str) -> tuple[npt.NDArray[np.int32] | Array, float]:
        """Return (levels, step) of a tensor: integers of its shape, whose products with the step are its weights.

        Levels are int32; integer tensors are their own levels, in their own type, with a step of 1. Of a difference,
        these are the levels of the difference. Raises InputError for tensors that are stored otherwise.

        >>> archive = open(cabacus.compress({"w": np.eye(2, dtype=np.float32)}, step=0.5).data)
        >>> archive.levels("w")
        (array([[2, 0],
               [0, 2]], dtype=int32), 0.5)
        """
        place = self._holder(name)
        record, shape = place.record, place.shape
        if not self.has_levels(name):
            raise InputError(f"tensor {name!r} is stored exactly and has no levels; call tensor()", tensor=name)
        if BY_ID[record.dtype].kind not in ("float", "complex"):
            whole = self._tensor(place, self._threads)
            assert not isinstance(whole, RawTensor)
            return whole, 1.0
        if record.coding == ZERO:
            return np.zeros(shape, np.int32), 1.0
        levels = decode_levels(self._extent(place, self._threads))
        return scan.from_scan(levels, shape, tuple(record.axes)), record.step

    def has_levels(self, name: str) -> bool:
        """Whether `levels` can tell those of a tensor: integers, and floats that are quantized or all zero."""
        record = self._holder(name).record
        return record.coding in (LEVELS, ZERO) or BY_ID[record.dtype].kind not in ("float", "complex")

    def checked(self, name: str) -> None:
        """Decode a tensor's slices; a difference that has names of its own needs no base here. Raises a FormatError."""
        place = self._holder(name)
        if place.record.members:
            self._tensor(place, self._threads)
            return
        extent = self._extent(place, self._threads)
        decode(extent, np.zeros(extent.size, np.float32) if extent.record.delta else None)

    def decoded(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return several tensors, decoded side by side, within the limit of output bytes."""
        wanted = list(dict.fromkeys(names))
        places = [self._holder(name) for name in wanted]
        sizes = [place.size for place in places]
        self._limits.check("output_bytes", sum(place.size * BY_ID[place.record.dtype].itemsize for place in places))
        if any(place.record.delta for place in places):
            self._load_base()
        return dict(zip(wanted, each(self._tensor, places, sizes, self._threads), strict=True))

    def save(self, path: str | os.PathLike[str], names: Iterable[str] | None = None) -> None:
        """Write the tensors, or those of `names`, to a file: whole or not at all, its kind by its suffix.

        Large models are decoded tensor by tensor: no more than one of them is in memory, beside the base if there is
        one. Raises InputError, OSError, or a FormatError.
        """
        _write(path, self._held(names))

    def write_to(self, file: BinaryIO, names: Iterable[str] | None = None, *, kind: Kind = "safetensors") -> None:
        """Write them, as `save` does, to a binary file object, which is left open.

        >>> file = io.BytesIO()
        >>> open(cabacus.compress({"w": np.eye(2, dtype=np.float32)}, step=0.5).data).write_to(file)
        >>> cabacus.read(file.getvalue())["w"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        _write_to(file, self._held(names), kind=kind)

    def _held(self, names: Iterable[str] | None) -> Tensors:
        """Tensors to be written: decoded side by side, or, where that would take much memory, not yet."""
        wanted = list(self if names is None else dict.fromkeys(names))
        infos = [self.info(name) for name in wanted]
        total = sum(info.original_bytes for info in infos)
        if total <= WHOLE_BYTES:
            return Tensors(self.decoded(wanted), self.metadata)
        self._limits.check("output_bytes", total)
        pending = [Pending(info.dtype, info.shape, partial(self.tensor, info.name)) for info in infos]
        return Tensors.of(dict(zip(wanted, pending, strict=True)), self.metadata)

    def _place(self, name: str) -> Place:
        if name not in self._places:
            raise InputError(f"there is no tensor {name!r}{checks.near(name, self._places)}", tensor=str(name))
        return self._places[name]

    def _holder(self, name: str) -> Place:
        """Where the elements are."""
        place = self._place(name)
        if place.record.coding != ALIAS:
            return place
        return replace(place, record=self._header.records[place.record.alias])

    def _extent(self, place: Place, threads: int) -> Extent:
        return Extent(self._data, place.record, place.start, place.stop, threads)

    def _tensor(self, place: Place, threads: int) -> Tensor:
        record = place.record
        names = self._members[record.name]
        if len(names) > 1:
            return section(self._whole(record, threads), place.start, place.stop, place.shape)
        base = base_of(record, names, self._load_base())[place.start : place.stop] if record.delta else None
        return shaped(decode(self._extent(place, threads), base), place.shape, tuple(record.axes))

    def _whole(self, record: Any, threads: int) -> Tensor:
        """What is joined in a record: decoded once, and kept, for tensors of it are asked for one by one."""
        with self._lock:
            if record.name not in self._joined:
                base = base_of(record, self._members[record.name], self._load_base()) if record.delta else None
                extent = Extent(self._data, record, 0, math.prod(record.shape), threads)
                self._joined[record.name] = decode(extent, base)
            return self._joined[record.name]

    def _read_base(self) -> Mapping[str, Tensor] | None:
        """The base, read once: it may come from a stream."""
        if self._read is None and self._base_source is not None:
            self._read = tensors_of(self._base_source, limits=self._limits)
        return self._read

    def _load_base(self) -> Mapping[str, Tensor]:
        if self._base is None:
            base = self._read_base()
            if self._header.layout is None:  # else it was checked to read the header
                check_base(self._header.base or b"", base)
            self._base = base
        assert self._base is not None
        return self._base


def open(source: Source, *, base: Any = None, limits: Limits = DEFAULT_LIMITS, threads: int | None = None) -> Archive:
    """Return the compressed file `source` (a path, a binary file object or bytes), opened.

    `base` is what it is a difference to, if it is one: a mapping, a file of tensors or a compressed file. `limits`
    bound what the file may ask for; `threads` defaults to the processors at hand. Raises OSError, or a FormatError.

    >>> open(b"")
    Traceback (most recent call last):
    cabacus.errors.TruncatedError: the file is empty
    """
    return Archive(source, base=base, limits=limits, threads=threads)


def decompress(
    data: Source,
    *,
    names: Iterable[str] | None = None,
    base: Any = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int | None = None,
    out: Mapping[str, Array] | None = None,
) -> Tensors:
    """Return the tensors of a compressed file (a path, a binary file object or bytes), or those of the `names`.

    Names, order, element types and shapes are those of the model, `metadata` too. `base`, `limits` and `threads` are
    as in `open`. With `out`, a mapping of names to arrays of the right shapes and types, these are filled and returned.
    Weights are step x level in float64, rounded once to their type (FORMAT 5). Raises OSError, InputError for unknown
    names, or a FormatError.

    >>> data = cabacus.compress({"w": np.eye(2, dtype=np.float32), "n": np.arange(3)}, step=0.5).data
    >>> decompress(data, names=["n"])
    Tensors({'n': array([0, 1, 2])}, metadata={})
    """
    archive = Archive(data, base=base, limits=limits, threads=threads)
    if isinstance(names, str):
        raise InputError("names is a string; pass a sequence of names", field="names")
    decoded = archive.decoded(archive.keys() if names is None else names)
    if out is not None:
        decoded |= {name: _filled(name, out[name], decoded[name]) for name in decoded if name in out}
    return Tensors(decoded, archive.metadata)


def tensors_of(source: Any, *, limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the tensors of a mapping, of a file of tensors, or of a compressed file.

    >>> tensors_of({"w": np.zeros(2)}).keys()
    dict_keys(['w'])
    """
    if isinstance(source, Mapping):
        return Tensors.of(source)
    if isinstance(source, str | os.PathLike) and is_checkpoint(source):
        return read(source, limits=limits)
    buffer = open_buffer(source, limits)
    return decompress(buffer, limits=limits) if is_compressed(buffer) else read(buffer, limits=limits)


def _filled(name: str, array: Array, tensor: Tensor) -> Array:
    values = tensor.bits if isinstance(tensor, RawTensor) else tensor
    if array.shape != values.shape or array.dtype != values.dtype:
        raise InputError(
            f"out has {array.dtype} {array.shape} for tensor {name!r}, which is {values.dtype} {values.shape}",
            field="out",
            tensor=name,
        )
    np.copyto(array, values)
    return array


def _details(record: Any) -> dict[str, int | float | str]:
    details: dict[str, int | float | str] = {}
    if record.coding in (LEVELS, CODEBOOK):
        coding = record.levels
        details |= {"n": coding.flags, "context": _CONTEXTS[coding.context], "lanes": coding.lanes}
        details |= {"slices": layout(record)[1]}
        if coding.trellis:
            details["trellis"] = coding.trellis
    if record.coding == CODEBOOK:
        details["entries"] = record.entries
    if record.coding == LEVELS and record.offset:
        details["offset"] = record.offset
    if record.gaps:
        details["gaps"] = record.gaps
    if record.axes:
        details["axes"] = ",".join(map(str, record.axes))
    return details
