"""estimate, estimate_curve: what compression would come to, from a sample of every tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cabacus import checks, tables
from cabacus.archive import tensors_of
from cabacus.compression import load
from cabacus.errors import InputError
from cabacus.files import Source
from cabacus.jobs import Job, Trial, sampled, try_step
from cabacus.options import Options, Target
from cabacus.outcomes import Outcome
from cabacus.parallel import each
from cabacus.planning import Plan, plan
from cabacus.search import SAMPLE, search

__all__ = ["Estimate", "estimate", "estimate_curve"]

_ROWS = 64
"""Rows of a sample at least: those of a pruned layer differ much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What compression would come to. `snr_db` is weighed as the target weighs it; None in JSON: all is exact.

    >>> Estimate(bytes=100, original_bytes=400, parameters=100, snr_db=30.0).ratio
    4.0
    """

    bytes: int
    original_bytes: int
    parameters: int
    snr_db: float

    @property
    def ratio(self) -> float:
        """Original bytes over compressed bytes."""
        return self.original_bytes / self.bytes if self.bytes else math.inf

    @property
    def bits_per_weight(self) -> float:
        """Bits of the whole file per weight of the model."""
        return tables.rate(self.bytes, self.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a plain dict."""
        return tables.plain(self, "ratio", "bits_per_weight")


def estimate(tensors: Mapping[str, Any] | Source, **options: Any) -> Estimate:
    """Return what `compress(tensors, **options)` would come to, within about 1 %, in less time for large tensors.

    Tensors are quantized in samples of about 16,384 weights and more, of all energies; small ones, and those that stay
    exact, are coded whole. Of pruned networks, and at rates of a fraction of a bit, it is a few per cent off.
    The options are those of `compress`, without `evaluate`. Raises what `compress` raises.

    >>> weights = np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)
    >>> found = estimate({"w": weights}, step=0.1)
    >>> found.bytes == len(cabacus.compress({"w": weights}, step=0.1).data)
    True
    """
    built = Options.build(**options)
    if built.target.name == "evaluate":
        raise InputError("an estimate decodes nothing that could be evaluated; pass another target", field="evaluate")
    return _estimated(_planned(tensors, built))


def estimate_curve(
    tensors: Mapping[str, Any] | Source, snr_db: Iterable[float] = range(5, 61, 5), **options: Any
) -> tuple[Estimate, ...]:
    """Return the rate-distortion curve of a model: what `compress` to each SNR, in decibels, would come to.

    One `estimate` a point, of a model that is read and sampled once. The options are those of `compress` without a
    target. Raises what `compress` raises.

    >>> weights = np.sin(np.arange(400, dtype=np.float32)).reshape(20, 20)
    >>> low, high = estimate_curve({"w": weights}, [20, 40])
    >>> low.bytes < high.bytes, round(low.snr_db), round(high.snr_db)
    (True, 20, 40)
    """
    targets = [checks.number(value, "snr_db") for value in snr_db]
    if not targets:
        return ()
    planned = _planned(tensors, Options.build(snr_db=targets[0], **options))
    return tuple(_estimated(_aimed(planned, value)) for value in targets)


def _planned(tensors: Mapping[str, Any] | Source, options: Options) -> Plan:
    return plan(load(tensors), options, None if options.base is None else tensors_of(options.base))


def _aimed(planned: Plan, snr_db: float) -> Plan:
    """A plan for another target; a search changes what it is given, so each has its own."""
    options = replace(planned.options, target=Target("snr_db", snr_db))
    return replace(planned, options=options, jobs=dict(planned.jobs), exact=dict(planned.exact))


def _estimated(planned: Plan) -> Estimate:
    whole, planned.jobs = planned.jobs, {name: sampled(job, SAMPLE) for name, job in planned.jobs.items()}
    choices = search(planned, list(planned.jobs.values()))
    # A few rows tell the steps; sizes take more.
    jobs = [sampled(whole[name], 2 * SAMPLE, _ROWS) for name in planned.jobs]

    def attempt(job: Job, threads: int) -> tuple[Trial, float]:
        one = choices[job.name]
        trial = one.trial
        if trial is None or trial.payload is None or trial.job.share > 1.0:
            trial = try_step(job.eased(one.ease), one.step, one.tool, threads, exact=True)
        return trial, _whole_bytes(trial, threads)

    found = each(attempt, jobs, [job.size for job in jobs], planned.threads)
    outcome = Outcome(tuple(trial for trial, _ in found))
    exact = sum(coded.bytes for coded in planned.exact.values())
    return Estimate(
        bytes=round(len(planned.header(outcome.records)) + exact + math.fsum(size for _, size in found)),
        original_bytes=planned.original_bytes,
        parameters=planned.weights,
        snr_db=outcome.snr_db,
    )


def _whole_bytes(trial: Trial, threads: int) -> float:
    """The slices of a whole tensor, from those of a sample.

    Each stream pays for what its models have to learn. Two halves of the sample pay twice: what they take more than it
    does is that price, and the tensor pays it once.
    """
    job = trial.job
    if job.rows is None or job.rows.size < 2:
        return trial.bytes
    halves = [replace(job, rows=job.rows[first::2]) for first in (0, 1)]
    parts = [try_step(half, trial.step, trial.tool, threads, levels=trial.levels, exact=True) for half in halves]
    sample = sum(trial.record.slice_bytes)
    price = sum(sum(part.record.slice_bytes) for part in parts) - sample
    return sample * job.share - min(max(price, 0), sample / 2) * (job.share - 1.0)
