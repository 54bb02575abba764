"""What the engine tells of a file: Inspection (its header alone) and Verification (whole, and near the original?).

The conventions are those of `cabacus.report`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from cabacus import tables

__all__ = ["Inspection", "TensorInspection", "TensorVerification", "Verification"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInspection:
    """One tensor as the header of a file describes it.

    `alias`: the name of the tensor that holds the same data. `delta`: stored as a difference to the base. `details`:
    further parameters of its coding, by name, such as n, context, slices and lanes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    coding: str
    parameters: int
    bytes: int
    original_bytes: int
    step: float | None = None
    alias: str | None = None
    delta: bool = False
    details: dict[str, int | float | str] = field(default_factory=dict)

    @property
    def bits_per_weight(self) -> float:
        """Bits spent per weight; 0 for an empty tensor."""
        return tables.rate(self.bytes, self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a plain dict."""
        return tables.plain(self, "bits_per_weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a file says of itself in its header, without decoding a weight.

    `base` is the digest in hex of the base that it needs, if any. `original_bytes` counts the decoded tensors' data.

    >>> row = TensorInspection(name="w", dtype="float32", shape=(4,), coding="levels", parameters=4, bytes=2,
    ...     original_bytes=16)
    >>> inspection = Inspection(version=1, bytes=32, header_bytes=24, tensors=(row,))
    >>> inspection.ratio, row.bits_per_weight
    (0.5, 4.0)
    """

    version: int
    bytes: int
    header_bytes: int
    tensors: tuple[TensorInspection, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    base: str | None = None

    @property
    def parameters(self) -> int:
        """Weights of all tensors."""
        return sum(row.parameters for row in self.tensors)

    @property
    def original_bytes(self) -> int:
        """Bytes of all decoded tensors; aliases count each time."""
        return sum(row.original_bytes for row in self.tensors)

    @property
    def ratio(self) -> float:
        """Original bytes over compressed bytes."""
        return self.original_bytes / self.bytes if self.bytes else math.inf

    @property
    def bits_per_weight(self) -> float:
        """Bits of the whole file per weight."""
        return tables.rate(self.bytes, self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return totals and, as `tensors`, the rows, as plain dicts and lists."""
        totals = tables.plain(self, "parameters", "original_bytes", "ratio", "bits_per_weight", without=("tensors",))
        return {**totals, "tensors": [row.to_json() for row in self.tensors]}

    def table(self) -> str:
        """Return the rows and totals as text, with the metadata below."""
        header = ["tensor", "dtype", "shape", "coding", "weights", "size", "bits/w", "step"]
        rows = [
            [*tables.identity(row), tables.figure(row.bits_per_weight, 3), tables.figure(row.step, 4)]
            for row in self.tensors
        ]
        totals = ["total", "", "", "", tables.count(self.parameters), tables.size(self.bytes)]
        totals += [tables.figure(self.bits_per_weight, 3), ""]
        lines = [
            tables.align(header, rows, left=4, totals=totals),
            "",
            f"version {self.version}, header {tables.size(self.header_bytes)}, {tables.size(self.original_bytes)} "
            f"when decoded, ratio {self.ratio:.2f}",
        ]
        if self.base is not None:
            lines.append(f"needs the base {self.base}")
        lines += [tables.shorten(f"{key}: {value}", tables.COLUMNS) for key, value in self.metadata.items()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorVerification:
    """Whether one tensor decodes and, where there is an original, how far it is from it.

    `error` says why it does not decode, or does not fit the original. The other figures are None without an original.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    error: str | None = None
    exact: bool | None = None
    mse: float | None = None
    snr_db: float | None = None
    max_abs_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as a plain dict."""
        return tables.plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether a file is whole, and how far its tensors are from the original's.

    `error` says what is wrong with the file as a whole. `compared` tells whether there was an original.

    >>> print(Verification(bytes=1000, error="the header has another checksum").table())
    FAILED: 0 tensors, 1.00 kB; the header has another checksum
    """

    bytes: int
    tensors: tuple[TensorVerification, ...] = ()
    compared: bool = False
    error: str | None = None

    @property
    def ok(self) -> bool:
        """True if the file and each of its tensors are whole and fit the original."""
        return self.error is None and all(row.error is None for row in self.tensors)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and, as `tensors`, the rows, as plain dicts and lists."""
        return {**tables.plain(self, "ok", without=("tensors",)), "tensors": [row.to_json() for row in self.tensors]}

    def table(self) -> str:
        """Return the verdict as text, with a row a tensor where there is something to say of it."""
        lines = [row for row in self.tensors if self.compared or row.error is not None]
        verdict = f"{'ok' if self.ok else 'FAILED'}: {len(self.tensors)} tensors, {tables.size(self.bytes)}"
        if self.error is not None:
            verdict += f"; {self.error}"
        if not lines:
            return verdict
        header = ["tensor", "dtype", "shape", "verdict", "SNR dB", "max error"]
        rows = [
            [
                tables.shorten(row.name, tables.COLUMNS),
                tables.dtype(row.dtype),
                tables.shape(row.shape),
                "ok" if row.error is None else tables.shorten(row.error, 40),
                tables.figure(row.snr_db),
                tables.figure(row.max_abs_error, 4),
            ]
            for row in lines
        ]
        return tables.align(header, rows, left=4) + "\n\n" + verdict
