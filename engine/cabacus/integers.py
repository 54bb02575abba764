"""Integers coded as they are, for quantizers of one's own: encode_levels and decode_levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from cabacus import _core, checks
from cabacus.archive import Archive
from cabacus.dtypes import BY_NAME, Array, RawTensor, Tensor, dtype_name
from cabacus.errors import InputError
from cabacus.exact import Coded, Manner, code_exactly, code_integers, has_bits, zero
from cabacus.files import Source, Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits
from cabacus.options import Effort
from cabacus.parallel import thread_count
from cabacus.pooling import share_starts

__all__ = ["decode_levels", "encode_levels"]

_ALONE = ""
"""The name of a single array."""


def encode_levels(
    levels: Mapping[str, Any] | Array,
    *,
    step: float = 1.0,
    effort: Effort = "default",
    threads: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return integer arrays, one or a mapping of them by name, as a compressed file.

    The arrays may have any shape and integer type, or bool; rows are their first axis. With a `step` other than 1 the
    file holds float32 weights, step x level, which `decompress` gives; levels then fit into 32 bits. Raises InputError
    for other types and larger levels.

    >>> data = encode_levels(np.array([[0, 0, 3], [0, -1, 0]]), step=0.25)
    >>> decode_levels(data).tolist(), cabacus.decompress(data)[""].tolist()
    ([[0, 0, 3], [0, -1, 0]], [[0.0, 0.0, 0.75], [0.0, -0.25, 0.0]])
    """
    arrays = Tensors.of(levels if isinstance(levels, Mapping) else {_ALONE: levels}, metadata)
    scale = checks.number(step, "step", above=True, high=1e38)
    words = checks.choice(effort, "effort", ("fast", "default", "max"))
    manner = Manner(effort=cast(Effort, words), threads=thread_count(threads))
    coded = share_starts([_code(name, tensor, scale, manner) for name, tensor in arrays.items()])
    header = _core.pack([one.record for one in coded], list(arrays.metadata.items()), None)
    return b"".join([header, *(piece for one in coded for piece in one.pieces)])


def decode_levels(
    data: Source, *, limits: Limits = DEFAULT_LIMITS, threads: int | None = None
) -> dict[str, Tensor] | Tensor:
    """Return the integers of a compressed file: an array, or a dict of arrays, as they went in.

    Files of `compress` may be read as well: quantized tensors come as their levels, int32, others as they are. Raises
    OSError, or a FormatError.

    >>> decode_levels(encode_levels({"a": np.arange(3, dtype=np.uint8)}))
    {'a': array([0, 1, 2], dtype=uint8)}
    """
    archive = Archive(data, limits=limits, threads=threads)
    found = {name: archive.levels(name)[0] if archive.has_levels(name) else archive.tensor(name) for name in archive}
    return found[_ALONE] if list(found) == [_ALONE] else found


def _code(name: str, tensor: Tensor, step: float, manner: Manner) -> Coded:
    if isinstance(tensor, RawTensor) or BY_NAME[dtype_name(tensor)].kind not in ("int", "uint", "bool"):
        raise InputError(
            f"tensor {name!r} is {dtype_name(tensor)}; levels are integers, compress() takes weights", tensor=name
        )
    if not has_bits(tensor):
        return zero(name, tensor) if step == 1.0 else zero(name, np.empty(tensor.shape, np.float32))
    if int(tensor.min()) < -(1 << 31) + 1 or int(tensor.max()) >= 1 << 31:
        if step != 1.0:
            raise InputError(f"tensor {name!r} has levels beyond 32 bits; pass step=1 to store them", tensor=name)
        return code_exactly(name, tensor, manner)
    coded = code_integers(name, tensor, manner, offset=0)
    assert coded is not None
    if step != 1.0:
        coded.record.dtype, coded.record.step = BY_NAME["float32"].id, float(np.float32(step))
    return coded
