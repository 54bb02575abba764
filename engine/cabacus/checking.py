"""inspect and verify: what a compressed file says of itself, whether it is whole, and how near to the original."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cabacus import measures
from cabacus.archive import Archive, tensors_of
from cabacus.container import outline
from cabacus.dtypes import BY_NAME, Tensor, as_bytes, dtype_name, to_float
from cabacus.errors import BaseMismatchError, FormatError
from cabacus.files import Source, open_buffer
from cabacus.inspection import Inspection, TensorInspection, TensorVerification, Verification
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["inspect", "inspection_of", "verify"]


def inspect(data: Source, *, base: Any = None, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """Return what the header of a compressed file says (a path, a binary file object or bytes); nothing is decoded.

    Updates of `cabacus.federated` leave names and shapes to their `base`: without it they tell of no tensor, but of the
    base that they need. Raises OSError, or a FormatError.

    >>> inspect(cabacus.compress({"w": np.zeros((2, 3))}).data).tensors[0].coding
    'zero'
    """
    buffer = open_buffer(data, limits)
    try:
        return inspection_of(Archive(buffer, base=base, limits=limits))
    except BaseMismatchError:
        if base is not None:
            raise
    header = outline(buffer, limits)
    return Inspection(
        version=header.version,
        bytes=len(buffer),
        header_bytes=header.bytes,
        tensors=(),
        base=None if header.base is None else header.base.hex(),
    )


def inspection_of(archive: Archive) -> Inspection:
    """Return what an opened file says of itself, as `inspect` does."""
    return Inspection(
        version=archive.version,
        bytes=archive.bytes,
        header_bytes=archive.header_bytes,
        tensors=tuple(archive.info(name) for name in archive),
        metadata=archive.metadata,
        base=archive.base,
    )


def verify(
    data: Source,
    against: Mapping[str, Any] | Source | None = None,
    *,
    base: Any = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int | None = None,
) -> Verification:
    """Return whether a compressed file is whole: its header, every slice, and each tensor's decoding.

    `against` is the original, a mapping or a file: the tensors are compared with it, by SNR and largest error. A
    difference is compared where its `base` is given; updates of `cabacus.federated` can be read with it alone. What is
    wrong with the file is told in the result; OSError is raised.

    >>> model = {"w": np.eye(3, dtype=np.float32)}
    >>> verify(cabacus.compress(model, step=0.5).data, model).tensors[0].exact
    True
    >>> verify(b"").error
    'the file is empty'
    """
    buffer = open_buffer(data, limits)
    original = None if against is None else tensors_of(against, limits=limits)
    try:
        archive = Archive(buffer, base=base, limits=limits, threads=threads)
    except FormatError as error:
        return Verification(bytes=len(buffer), compared=original is not None, error=str(error))
    rows = tuple(_row(archive, name, original) for name in archive)
    missing = [name for name in original or () if name not in archive]
    return Verification(
        bytes=len(buffer),
        tensors=rows,
        compared=original is not None,
        error=f"the file lacks the tensor {missing[0]!r} of the original" if missing else None,
    )


def _row(archive: Archive, name: str, original: Mapping[str, Tensor] | None) -> TensorVerification:
    info = archive.info(name)

    def row(**found: Any) -> TensorVerification:
        return TensorVerification(name=name, dtype=info.dtype, shape=info.shape, **found)

    try:
        if original is None:
            archive.checked(name)
            return row()
        if fault := _misfit(info, original):
            return row(error=fault)
        return row(**_comparison(original[name], archive.tensor(name)))
    except FormatError as error:
        return row(error=str(error))


def _misfit(info: TensorInspection, original: Mapping[str, Tensor]) -> str | None:
    """Why the tensor cannot be the original's."""
    if info.name not in original:
        return "the original has no such tensor"
    tensor = original[info.name]
    if tuple(tensor.shape) != info.shape:
        return f"its shape was {tuple(tensor.shape)}"
    return None if dtype_name(tensor) == info.dtype else f"its type was {dtype_name(tensor)}"


def _comparison(before: Tensor, after: Tensor) -> dict[str, Any]:
    if np.array_equal(as_bytes(before), as_bytes(after)):
        return {"exact": True, "mse": 0.0, "snr_db": math.inf, "max_abs_error": 0.0}
    if BY_NAME[dtype_name(before)].kind != "float":
        return {"exact": False, "error": "its elements are others"}
    one, other = to_float(before).reshape(-1), to_float(after).reshape(-1)
    found = measures.difference(one, other)
    if not found.finite:
        return {"exact": False, "error": "NaN or infinity differ"}
    return {
        "exact": False,
        "mse": found.squared / one.size,
        "snr_db": measures.decibels(measures.moments(one).energy, found.squared),
        "max_abs_error": found.largest,
    }
