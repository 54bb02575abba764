"""estimate: what compression would come to, from a sample of every tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cabacus import tables
from cabacus.archive import tensors_of
from cabacus.compression import load
from cabacus.errors import InputError
from cabacus.files import Source
from cabacus.jobs import Job, Trial, sampled, try_step
from cabacus.options import Options
from cabacus.outcomes import Outcome
from cabacus.parallel import each
from cabacus.planning import plan
from cabacus.search import SAMPLE, search

__all__ = ["Estimate", "estimate"]


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
    """Return what `compress(tensors, **options)` would come to, within a few per cent, in a fraction of its time.

    Tensors are quantized in samples of about 65,536 weights, whole rows from their middle; smaller ones, and those that
    stay exact, are coded whole. The options are those of `compress`, without `evaluate`. Raises what `compress` raises.

    >>> weights = np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)
    >>> found = estimate({"w": weights}, step=0.1)
    >>> found.bytes == len(cabacus.compress({"w": weights}, step=0.1).data)
    True
    """
    built = Options.build(**options)
    if built.target.name == "evaluate":
        raise InputError("an estimate decodes nothing that could be evaluated; pass another target", field="evaluate")
    planned = plan(load(tensors), built, None if built.base is None else tensors_of(built.base))
    planned.jobs = {name: sampled(job, SAMPLE) for name, job in planned.jobs.items()}
    choices = search(planned, list(planned.jobs.values()))
    jobs = list(planned.jobs.values())

    def attempt(job: Job, threads: int) -> Trial:
        one = choices[job.name]
        return try_step(job.eased(one.ease), one.step, one.tool, threads, levels=one.levels, exact=True)

    outcome = Outcome(tuple(each(attempt, jobs, [job.size for job in jobs], planned.threads)))
    exact = sum(coded.bytes for coded in planned.exact.values())
    return Estimate(
        bytes=round(len(planned.header(outcome.records)) + exact + outcome.bytes),
        original_bytes=planned.original_bytes,
        parameters=planned.weights,
        snr_db=outcome.snr_db,
    )
