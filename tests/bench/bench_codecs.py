"""cabacus as a plug-in of the bench scripts that measure peer codecs on the same tensors.

    python lossless_int.py --codec bench_codecs:integers --name cabacus        (this folder on the path)
    python many_tensors.py --codec bench_codecs:integers
    python lossy_rd.py     --codec bench_codecs:trellis                        or bench_codecs:greedy
    python lossless_f32.py --codec bench_codecs:floats

`integers` counts the payload with its checksum and 14 bytes for the parameters that its record holds; `many` and the
lossy ones count whole files.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import cabacus
from cabacus.decoding import Extent, decode_levels
from cabacus.exact import Manner, code_integers

PARAMETER_BYTES = 14
"""Coder's parameters (10) and geometry (4), as a record holds them; counted as zeros at the end of a stream."""


class Integers:
    """For lossless_int.py and many_tensors.py."""

    def __init__(self, effort: str) -> None:
        self.effort: Any = effort
        self._coded: dict[bytes, Any] = {}

    def encode(self, array: npt.NDArray[np.int32]) -> bytes:
        """Return the payload of a matrix; what its record holds is kept aside and counted."""
        made = code_integers("w", array, Manner(effort=self.effort), offset=0)
        assert made is not None
        data = b"".join(made.pieces) + bytes(PARAMETER_BYTES)
        self._coded[data[:64] + len(data).to_bytes(8, "little")] = made.record
        return data

    def decode(self, data: bytes, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
        """Return the matrix."""
        record = self._coded[data[:64] + len(data).to_bytes(8, "little")]
        return decode_levels(Extent(memoryview(data), record, 0, shape[0] * shape[1])).reshape(shape)

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


class Floats:
    """For lossless_f32.py, which has the tensors of a set as one buffer: whole files, with the tensors' own shapes."""

    def __init__(self, effort: str) -> None:
        self.effort: Any = effort
        self._shapes = _shapes()

    def encode(self, raw: bytes) -> bytes:
        """Return a file of the tensors that the buffer has."""
        flat = np.frombuffer(raw, np.float32)
        tensors, start = {}, 0
        for name, shape in self._shapes[len(raw)].items():
            stop = start + math.prod(shape)
            tensors[name] = flat[start:stop].reshape(shape)
            start = stop
        return cabacus.compress(tensors, rules=["*:keep"], effort=self.effort, threads=1).data

    def decode(self, data: bytes) -> bytes:
        """Return the tensors' elements, one after the other."""
        return b"".join(array.tobytes() for array in cabacus.decompress(data, threads=1).values())


def _shapes() -> dict[int, dict[str, tuple[int, ...]]]:
    """Names and shapes of the sets by their bytes; the two federated updates are alike in both."""
    folder = Path(os.environ["BENCH_TENSORS"])
    index = json.loads((folder / "sets.json").read_text())
    found = {}
    for entry in index.values():
        if entry["kind"] == "float":
            with np.load(folder / entry["file"]) as arrays:
                shapes = {key: arrays[key].shape for key in arrays.files}
            found[4 * sum(math.prod(shape) for shape in shapes.values())] = shapes
    return found


def integers() -> Integers:
    """Integers at the default effort, or at that of EFFORT in the environment."""
    return Integers(os.environ.get("EFFORT", "default"))


def greedy() -> Lossy:
    """Eq. 1, weight after weight."""
    return Lossy("greedy", _rate_weight())


def trellis() -> Lossy:
    """Dependent quantization."""
    return Lossy("trellis", _rate_weight())


def floats() -> Floats:
    """Floats kept exactly, at the default effort or at that of EFFORT; BENCH_TENSORS has the tensors."""
    return Floats(os.environ.get("EFFORT", "default"))


def _rate_weight() -> float | None:
    given = os.environ.get("RATE_WEIGHT")
    return None if given is None else float(given)
