"""A tensor to be quantized: its weights, what their errors count, and what a step makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from cabacus import _core, gaps, measures, scan
from cabacus.container import LEVELS, ZERO
from cabacus.decoding import Extent, decode, shaped
from cabacus.dtypes import DType, Tensor, to_float
from cabacus.exact import Coded, Manner, nonzero
from cabacus.options import Candidates, Quantizer
from cabacus.weighing import Eta, Weighing

__all__ = [
    "AUTO",
    "RATE_WEIGHTS",
    "Coding",
    "Job",
    "Made",
    "Tool",
    "Trial",
    "finish",
    "make",
    "restored",
    "sampled",
    "try_step",
]

Tool = Literal["round", "greedy", "trellis"]

AUTO: Final[Tool] = "trellis"
"""What quantizer="auto" is, where the step is free: 3 to 7 % smaller than greedy at equal distortion from 10 dB on."""
RATE_WEIGHTS: Final[dict[Tool, float]] = {"round": 0.0, "greedy": 0.115, "trellis": 0.25}
"""c of (eta / mean eta) e^2 + c step^2 R, where neither it nor lambda is given.

At high rates 6.02 dB cost a bit, so that -dD/dR = 2 ln 2 D: with D = step^2 / 12 that is 0.115 step^2, and 0.36 step^2
with the D of eight trellis states. Near 1 bit, more than 0.25 lets sizes jump: zeros that are cheap become cheaper."""

_LARGEST_LEVEL = 1 << 28
"""The core takes weights of up to 2^29 steps; half of that leaves room for the rounding of a step."""
_SORTED_ROWS = 1 << 14
"""Up to so many rows a sample has of all energies; of more it has so many that any will do."""
_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class Coding:
    """How a tensor is quantized: the options that reach it from the call and from rules."""

    manner: Manner
    quantizer: Quantizer = "auto"
    candidates: Candidates = "near"
    rate_weight: float | None = None
    lam: float | None = None

    @property
    def tool(self) -> Tool:
        """The quantizer to use."""
        if self.quantizer != "auto":
            return self.quantizer
        return "greedy" if self.candidates == "all" else AUTO

    @property
    def traded(self) -> bool:
        """Whether the trade between rate and distortion was given: then it is kept to."""
        return self.rate_weight is not None or self.lam is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A tensor to be quantized.

    `energy` is sum w^2, `weighted_energy` the same with the eta of `weighing`, relative to its mean `mean_eta`.
    `bound` is the largest error that a weight may have, `max_error` what is left of it before rounding to the type.
    `apart`: its rules set its quality, not the model's target. `ease` is a factor of the quantizer's own c.
    `weight` is eta of the tensor as a whole; `copies` counts the tensors of the model that are this one. `rows` are
    those of the matrix form that are coded, all where None: of a sample, with `share` weights of the tensor for one of
    it, or else all that are not zero.
    """

    name: str
    tensor: Tensor
    dtype: DType
    weighing: Weighing
    coding: Coding
    base: Tensor | None = None
    copies: int = 1
    energy: float = 0.0
    weighted_energy: float = 0.0
    largest: float = 0.0
    mean_eta: float = 1.0
    weight: float = 1.0
    step: float | None = None
    snr_db: float | None = None
    bound: float | None = None
    max_error: float = 0.0
    apart: bool = False
    ease: float = 1.0
    s: int | None = None
    rows: npt.NDArray[np.intp] | None = None
    share: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(self.tensor.shape)

    @property
    def size(self) -> int:
        """The tensor's weights."""
        return self.tensor.size

    @property
    def axes(self) -> tuple[int, ...]:
        """The scan's permutation of axes."""
        return self.coding.manner.axes

    @property
    def columns(self) -> int:
        """The width of the matrix form."""
        return scan.columns(self.shape, self.axes)

    def weights(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
        """Return the weights, flat in scan order."""
        return _flat(self.tensor, self)

    def coded(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
        """Return what is quantized: the weights, or their difference to the base, in float64."""
        if self.base is None:
            return self.weights()
        return np.subtract(self.weights(), _flat(self.base, self), dtype=np.float64)

    def eta(self) -> Eta | None:
        """Return eta in scan order; None where all weights count the same."""
        found = self.weighing.eta(self.name, self.shape, self.axes)
        return found if found is None else Eta(_chosen(found.relative, self), found.mean)

    def blank(self) -> _core.Record:
        """Return the record of a tensor whose levels are all zero: it needs no bytes."""
        return _core.Record(
            name=self.name, dtype=self.dtype.id, shape=self.shape, coding=ZERO, delta=self.base is not None
        )

    def usable(self, step: float) -> float:
        """Return the step as the format stores it, large enough for levels of 32 bits."""
        kind = np.float64 if self.dtype.name == "float64" else np.float32
        least = max(self.largest / _LARGEST_LEVEL, float(np.finfo(kind).smallest_subnormal))
        return float(kind(min(max(step, least), float(np.finfo(kind).max))))

    def rate_weight(self, step: float, tool: Tool) -> float:
        """Return c for a step: as given, from lambda as given, or the tool's own."""
        if tool == "round":
            return 0.0
        if self.coding.lam is not None:
            return self.coding.lam / (self.mean_eta * step * step)
        return self.ease * RATE_WEIGHTS[tool] if self.coding.rate_weight is None else self.coding.rate_weight

    def eased(self, ease: float) -> Job:
        """Return the job with so much of the quantizer's own c; itself where a trade was given."""
        return self if self.coding.traded or ease == self.ease else replace(self, ease=ease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a step costs a job. `squared` is sum e^2, `weighted` the same with relative eta, of decoded weights."""

    job: Job
    step: float
    tool: Tool
    record: _core.Record
    squared: float
    weighted: float
    nonzero: int
    entropy_bits: float
    payload: bytes | None = field(default=None, repr=False, compare=False)
    """The slices, where they were made."""

    @property
    def levels(self) -> _core.LevelCoding | None:
        """The coder's parameters; None where no level is coded."""
        return self.record.levels if self.record.coding == LEVELS else None

    @property
    def bytes(self) -> float:
        """Bytes of the slices; of a sample, of as many slices as the tensor has."""
        return sum(self.record.slice_bytes) * self.job.share


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A quantized tensor: coded, with the errors of its decoded values."""

    job: Job
    step: float
    tool: Tool
    coded: Coded
    difference: measures.Difference
    seconds: float


def try_step(
    job: Job,
    step: float,
    tool: Tool,
    threads: int = 1,
    *,
    levels: _core.LevelCoding | None = None,
    exact: bool = False,
) -> Trial:
    """Return what a step costs; sizes may be estimates, and the slices not made, unless `exact`.

    With `levels`, the coder's parameters are those.

    Errors are the core's, of values that are not rounded to the type yet, where that is as good: in float32 and wider.
    """
    payload = exact or job.dtype.itemsize < 4
    encoded, slices, record = _encode(job, step, tool, threads, levels, payload=payload)
    squared, weighted = encoded.squared_error, encoded.weighted_error
    if job.dtype.itemsize < 4:
        found = _difference(job, record, slices, threads)
        squared, weighted = found.squared, found.weighted
    return Trial(
        job=job,
        step=job.usable(step),
        tool=tool,
        record=record if encoded.nonzero else job.blank(),
        squared=squared,
        weighted=weighted,
        nonzero=encoded.nonzero,
        entropy_bits=encoded.entropy_bits,
        payload=slices if payload else None,
    )


def make(job: Job, step: float, tool: Tool, threads: int = 1, levels: _core.LevelCoding | None = None) -> Made:
    """Return the tensor quantized with a step and coded."""
    started = time.perf_counter()
    trial = try_step(job, step, tool, threads, levels=levels, exact=True)
    return replace(finish(trial, threads), seconds=time.perf_counter() - started)


def finish(trial: Trial, threads: int = 1) -> Made:
    """Return what a trial with its slices has made; nothing is coded again."""
    started = time.perf_counter()
    job, payload = trial.job, trial.payload
    assert payload is not None
    pieces = (payload,) if trial.nonzero else ()
    # Of a difference, what counts is the sum; the levels alone would say how much has changed.
    left = trial.nonzero if job.base is None else nonzero(job.tensor)
    return Made(
        job=job,
        step=trial.step,
        tool=trial.tool,
        coded=Coded(trial.record, pieces, left, trial.entropy_bits),
        difference=_difference(job, trial.record, b"".join(pieces), threads),
        seconds=time.perf_counter() - started,
    )


def restored(made: Made, threads: int = 1) -> Tensor:
    """Return the tensor as a decoder will give it back."""
    job, record = made.job, made.coded.record
    extent = Extent(memoryview(b"".join(made.coded.pieces)), record, 0, job.size, threads)
    flat = decode(extent, None if job.base is None else _flat(job.base, job))
    return shaped(flat, job.shape, job.axes)


def sampled(job: Job, weights: int, least_rows: int = 1) -> Job:
    """Return a job of about so many of the job's weights, rows of all energies; itself where half of it is no more."""
    columns = job.columns
    rows = job.size // columns if job.rows is None else job.rows.size
    stride = rows // max(weights // columns, least_rows)
    if stride < 2 or job.share != 1.0:
        return job
    order = np.arange(rows)
    if rows <= _SORTED_ROWS:
        matrix = job.coded().reshape(rows, columns)
        # The core's sums, so that every platform takes the same rows.
        order = np.argsort([measures.moments(row).energy for row in matrix], kind="stable")
    chosen = np.sort(order[stride // 2 :: stride])
    part = replace(job, rows=chosen if job.rows is None else job.rows[chosen], share=rows / chosen.size)
    values, eta = part.weights(), part.eta()
    return replace(
        part,
        energy=measures.moments(values).energy * part.share,
        weighted_energy=measures.weighted_energy(values, None if eta is None else eta.relative) * part.share,
    )


def _flat(tensor: Tensor, job: Job) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    return _chosen(scan.to_scan(to_float(tensor, tensor=job.name), job.axes), job)


def _chosen(flat: npt.NDArray[_Float], job: Job) -> npt.NDArray[_Float]:
    """Of flat elements in scan order, those of the job's rows."""
    return flat if job.rows is None else flat.reshape(-1, job.columns)[job.rows].reshape(-1)


def _encode(
    job: Job, step: float, tool: Tool, threads: int, levels: _core.LevelCoding | None, *, payload: bool
) -> tuple[_core.Encoded, bytes, _core.Record]:
    step = job.usable(step)
    eta, values = job.eta(), job.coded()
    encoded = _core.encode_weights(
        values,
        columns=min(job.columns, max(values.size, 1)),
        step=step,
        eta=None if eta is None else eta.relative,
        rate_weight=job.rate_weight(step, tool),
        max_error=job.max_error,
        quantizer=tool,
        candidates=job.coding.candidates,
        coding=levels,
        fixed=job.coding.manner.fixed,
        effort=job.coding.manner.effort,
        threads=threads,
        payload=payload,
    )
    record = _core.Record(
        name=job.name,
        dtype=job.dtype.id,
        shape=job.shape if job.share == 1.0 else (values.size,),
        coding=LEVELS,
        delta=job.base is not None,
        axes=job.axes if job.share == 1.0 else (),
        levels=encoded.levels,
        step=step,
        row_width=encoded.row_width,
        slice_rows=encoded.slice_rows,
        slice_bytes=encoded.slice_bytes,
    )
    if job.rows is None or job.share != 1.0:
        return encoded, encoded.payload, record
    return encoded, gaps.leave_out(record, job.rows) + encoded.payload, record


def _difference(job: Job, record: _core.Record, payload: bytes, threads: int) -> measures.Difference:
    """Between the weights and what a decoder will make of the slices, in the tensor's type, slice by slice."""
    eta, before = job.eta(), job.weights()
    record = record.without_gaps()  # what is left out is zero, before and after
    found = []
    for part in _parts(record, before.size, threads):
        extent = Extent(memoryview(payload), record, part.start, part.stop, threads)
        base = None if job.base is None else _flat(job.base, job)[part]
        after = to_float(decode(extent, base))
        relative = None if eta is None else eta.relative[part]
        found.append(measures.difference(before[part], after, relative))
    return measures.Difference.of(found)


def _parts(record: _core.Record, size: int, threads: int) -> Iterator[slice]:
    """Groups of whole slices, as many as threads, or 2^20 weights of small ones."""
    per_slice = max(record.row_width * record.slice_rows, 1)
    some = max(threads, (1 << 20) // per_slice, 1) * per_slice
    return (slice(start, min(start + some, size)) for start in range(0, size, some))
