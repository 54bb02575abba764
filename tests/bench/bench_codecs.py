"""cabacus as a plug-in of the bench scripts that measure peer codecs on the same tensors.

    python lossless_int.py --codec bench_codecs:integers --name cabacus        (this folder on the path)
    python many_tensors.py --codec bench_codecs:integers
    python lossy_rd.py     --codec bench_codecs:trellis                        or bench_codecs:greedy

`integers` counts the payload with its checksum and 14 bytes for the parameters that its record holds; `many` and the
lossy ones count whole files.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

import cabacus
from cabacus import _core

PARAMETER_BYTES = 14
"""Coder's parameters (10) and geometry (4), as a record holds them; counted as zeros at the end of a stream."""


class Integers:
    """For lossless_int.py and many_tensors.py."""

    def __init__(self, effort: str) -> None:
        self.effort: Any = effort
        self._coded: dict[bytes, Any] = {}

    def encode(self, array: npt.NDArray[np.int32]) -> bytes:
        """Return the payload of a matrix; what its record holds is kept aside and counted."""
        made = _core.encode_levels(array.ravel(), columns=array.shape[1], effort=self.effort)
        data = made.payload + bytes(PARAMETER_BYTES)
        self._coded[data[:64] + len(data).to_bytes(8, "little")] = made
        return data

    def decode(self, data: bytes, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
        """Return the matrix."""
        made = self._coded[data[:64] + len(data).to_bytes(8, "little")]
        record = _core.Record(
            name="w",
            dtype=6,
            shape=shape,
            coding=1,
            levels=made.levels,
            row_width=made.row_width,
            slice_rows=made.slice_rows,
            slice_bytes=made.slice_bytes,
        )
        return _core.decode_levels(data, record, 0, len(made.slice_bytes)).reshape(shape)

    def encode_many(self, arrays: list[npt.NDArray[np.int32]]) -> bytes:
        """Return one file of all arrays."""
        return cabacus.encode_levels({str(index): array for index, array in enumerate(arrays)}, effort=self.effort)

    def decode_many(self, data: bytes) -> list[npt.NDArray[np.int32]]:
        """Return the arrays of a file."""
        decoded = cabacus.decode_levels(data)
        assert isinstance(decoded, dict)
        return list(decoded.values())


class Lossy:
    """For lossy_rd.py: one slope over all tensors."""

    def __init__(self, quantizer: str, rate_weight: float | None) -> None:
        self.options: dict[str, Any] = {"quantizer": quantizer, "rate_weight": rate_weight}

    def compress(self, tensors: dict[str, npt.NDArray[np.float32]], snr_db: float) -> tuple[int, dict[str, Any]]:
        """Return the bytes of the file and the tensors that it gives back."""
        data = cabacus.compress(
            tensors, snr_db=snr_db, distortion="absolute", rules=["*:code"], threads=1, **self.options
        ).data
        return len(data), dict(cabacus.decompress(data))


def integers() -> Integers:
    """Integers at the default effort, or at that of EFFORT in the environment."""
    return Integers(os.environ.get("EFFORT", "default"))


def greedy() -> Lossy:
    """Eq. 1, weight after weight."""
    return Lossy("greedy", _rate_weight())


def trellis() -> Lossy:
    """Dependent quantization."""
    return Lossy("trellis", _rate_weight())


def _rate_weight() -> float | None:
    given = os.environ.get("RATE_WEIGHT")
    return None if given is None else float(given)
