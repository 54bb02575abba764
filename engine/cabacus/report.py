"""What the engine tells of its encoding: Report (compress) and Curve (sweep).

In Python an exact tensor has an `snr_db` of infinity; JSON says null. `lam` is `lambda` in JSON. Sizes are bytes, rates
bits per weight, times seconds. Each kind has `to_json()`, ready for `json.dumps`, and `table()`, text of 100 columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cabacus import tables
from cabacus.options import Target

__all__ = ["Curve", "CurvePoint", "Report", "TensorReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """One tensor of a report; the defaults are those of an exact tensor.

    `lossy`: quantized, not merely stored. `coding`: the name of its coding in the format. `parameters`: its weights.
    `bytes`: its payload and its record. `entropy_bits_per_weight`: order-0 entropy of its levels. `mse`, `snr_db` and
    `max_abs_error` are measured on the decoded values in their own type; `weighted_distortion` is sum eta e^2.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    coding: str
    parameters: int
    nonzero: int
    bytes: int
    original_bytes: int
    lossy: bool = False
    entropy_bits_per_weight: float | None = None
    step: float | None = None
    lam: float | None = None
    s: int | None = None
    mse: float = 0.0
    weighted_distortion: float = 0.0
    snr_db: float = math.inf
    max_abs_error: float = 0.0
    seconds: float = 0.0

    @property
    def bits_per_weight(self) -> float:
        """Bits spent per weight; 0 for an empty tensor."""
        return tables.rate(self.bytes, self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a plain dict."""
        return tables.plain(self, "bits_per_weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What compression did: totals, and a row a tensor.

    `bytes` counts the whole file, `original_bytes` the tensors' data (or the file that they came from). `snr_db` is
    weighed as the target weighs it, `plain_snr_db` pools the squared errors of the lossy tensors. `lam` and `s` are set
    where one value holds for the model. `notes` are remarks for the reader.

    >>> row = TensorReport(name="w", dtype="float32", shape=(2, 4), coding="levels", parameters=8, nonzero=7, bytes=4,
    ...     original_bytes=32, lossy=True, step=0.1, mse=1e-3, weighted_distortion=8e-3, snr_db=30.0)
    >>> report = Report(tensors=(row,), bytes=64, original_bytes=32, target=Target("snr_db", 30.0), snr_db=30.0)
    >>> report.ratio, report.bits_per_weight, report.lossy_bits_per_weight
    (0.5, 64.0, 4.0)
    """

    tensors: tuple[TensorReport, ...]
    bytes: int
    original_bytes: int
    target: Target
    distortion: str = "balanced"
    snr_db: float = math.inf
    plain_snr_db: float = math.inf
    lam: float | None = None
    s: int | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Weights of all tensors."""
        return sum(row.parameters for row in self.tensors)

    @property
    def nonzero(self) -> int:
        """Weights that are not zero after compression."""
        return sum(row.nonzero for row in self.tensors)

    @property
    def ratio(self) -> float:
        """Original bytes over compressed bytes."""
        return self.original_bytes / self.bytes if self.bytes else math.inf

    @property
    def bits_per_weight(self) -> float:
        """Bits of the whole file per weight of the model."""
        return tables.rate(self.bytes, self.parameters)

    @property
    def lossy_bits_per_weight(self) -> float:
        """Bits of the lossy tensors per weight of theirs."""
        lossy = [row for row in self.tensors if row.lossy]
        return tables.rate(sum(row.bytes for row in lossy), sum(row.parameters for row in lossy))

    @property
    def entropy_bits_per_weight(self) -> float | None:
        """Order-0 entropy per weight, over the tensors that have one."""
        rows = [(row.entropy_bits_per_weight, row.parameters) for row in self.tensors]
        known = [(entropy, weights) for entropy, weights in rows if entropy is not None]
        weights = sum(weights for _, weights in known)
        return math.fsum(entropy * part for entropy, part in known) / weights if weights else None

    @property
    def step(self) -> float | None:
        """The step of all lossy tensors, if they share one."""
        return _shared(row.step for row in self.tensors if row.lossy)

    @property
    def mse(self) -> float:
        """Mean squared error over all weights."""
        total = math.fsum(row.mse * row.parameters for row in self.tensors)
        return total / self.parameters if self.parameters else 0.0

    @property
    def weighted_distortion(self) -> float:
        """Sum of eta e^2 over all weights."""
        return math.fsum(row.weighted_distortion for row in self.tensors)

    @property
    def max_abs_error(self) -> float:
        """Largest error of a weight."""
        return max((row.max_abs_error for row in self.tensors), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return totals and, as `tensors`, the rows, as plain dicts and lists."""
        return {
            **tables.plain(self, *_TOTALS, without=("tensors", "target")),
            "target": self.target.to_json(),
            "tensors": [row.to_json() for row in self.tensors],
        }

    def table(self) -> str:
        """Return the rows and totals as text, with a summary below."""
        header = ["tensor", "dtype", "shape", "coding", "weights", "size", "bits/w", "SNR dB", "step"]
        rows = [
            [*tables.identity(row), tables.figure(row.bits_per_weight, 3), _snr(row), tables.figure(row.step, 4)]
            for row in self.tensors
        ]
        totals = ["total", "", "", "", tables.count(self.parameters), tables.size(self.bytes)]
        totals += [tables.figure(self.bits_per_weight, 3), tables.figure(self.snr_db), tables.figure(self.step, 4)]
        return "\n".join([tables.align(header, rows, left=4, totals=totals), "", *self._summary()])

    def _summary(self) -> list[str]:
        lines = [
            f"{tables.size(self.original_bytes)} -> {tables.size(self.bytes)}, ratio {self.ratio:.2f} "
            f"({_percent(self.bytes, self.original_bytes)} of the original), in {self.seconds:.2f} s",
            f"lossy part {self.lossy_bits_per_weight:.3f} bits per weight, "
            f"{_percent(self.nonzero, self.parameters)} of the weights not zero, "
            f"largest error {tables.figure(self.max_abs_error, 4)}",
            f"target {_target(self.target)}, {self.distortion} distortion, plain SNR {_decibels(self.plain_snr_db)}",
        ]
        return lines + [f"note: {note}" for note in self.notes]


_TOTALS = (
    "parameters",
    "nonzero",
    "ratio",
    "bits_per_weight",
    "lossy_bits_per_weight",
    "entropy_bits_per_weight",
    "step",
    "mse",
    "weighted_distortion",
    "max_abs_error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One S of a sweep: the step of each tensor by eq. 2, the size, the distortion and the score of the callback."""

    s: int
    steps: Mapping[str, float]
    bytes: int
    bits_per_weight: float
    snr_db: float
    weighted_distortion: float
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the point as a plain dict."""
        return tables.plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Rate and distortion over S. `best_s` is the S chosen by `criterion`.

    >>> point = CurvePoint(s=0, steps={"w": 0.1}, bytes=100, bits_per_weight=2.0, snr_db=30.0, weighted_distortion=1.0)
    >>> curve = Curve(points=(point,), best_s=0, criterion="bytes")
    >>> curve.best.bytes
    100
    """

    points: tuple[CurvePoint, ...]
    best_s: int
    criterion: str

    @property
    def best(self) -> CurvePoint:
        """The chosen point."""
        return next(point for point in self.points if point.s == self.best_s)

    def to_json(self) -> dict[str, Any]:
        """Return the curve as plain dicts and lists."""
        return {**tables.plain(self, without=("points",)), "points": [point.to_json() for point in self.points]}

    def table(self) -> str:
        """Return the points as text, the chosen one marked."""
        header = ["", "S", "size", "bits/w", "SNR dB", "distortion", "score"]
        rows = [
            [
                "*" if point.s == self.best_s else "",
                str(point.s),
                tables.size(point.bytes),
                tables.figure(point.bits_per_weight, 3),
                tables.figure(point.snr_db),
                tables.figure(point.weighted_distortion, 4),
                tables.figure(point.score, 4),
            ]
            for point in self.points
        ]
        return tables.align(header, rows, left=1) + f"\n\nbest by {self.criterion}: S = {self.best_s}"


def _shared(values: Iterable[float | None]) -> float | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _snr(row: TensorReport) -> str:
    return tables.figure(row.snr_db) if row.lossy else "exact"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _decibels(value: float) -> str:
    return "exact" if math.isinf(value) else f"{value:.2f} dB"


def _target(target: Target) -> str:
    value = "" if callable(target.value) else f" {target.value:g}"
    return f"{target.name}{value}" + ("" if target.chosen else " (default)")
