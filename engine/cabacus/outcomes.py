"""What steps make of the tensors of a model: a choice for each, and what they come to together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cabacus import _core
from cabacus.jobs import Job, Made, Tool, Trial, finish, make, try_step
from cabacus.measures import decibels
from cabacus.parallel import each

__all__ = ["Choice", "Outcome", "may_compete", "start_scale", "try_scale"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The step and the quantizer of a tensor; where a search has settled them, its coder's parameters and its ease."""

    step: float
    tool: Tool
    levels: _core.LevelCoding | None = None
    ease: float = 1.0
    trial: Trial | None = field(default=None, repr=False, compare=False)
    """What was coded with it already."""

    def made(self, job: Job, threads: int = 1) -> Made:
        """Return a job quantized as chosen and coded, unless it is already."""
        if self.trial is not None and self.trial.payload is not None and self.trial.job.rows is None:
            return finish(self.trial, threads)
        return make(job.eased(self.ease), self.step, self.tool, threads, self.levels)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What jobs together come to at a scale."""

    trials: tuple[Trial, ...]

    @staticmethod
    def weighted(trial: Trial) -> float:
        """Return a tensor's part of sum eta e^2."""
        return trial.job.weight * trial.job.copies * trial.job.share * trial.weighted

    @property
    def snr_db(self) -> float:
        """10 log10(sum eta w^2 / sum eta e^2)."""
        return decibels(
            math.fsum(trial.job.weight * trial.job.copies * trial.job.weighted_energy for trial in self.trials),
            math.fsum(map(self.weighted, self.trials)),
        )

    @property
    def plain_snr_db(self) -> float:
        """10 log10(sum w^2 / sum e^2)."""
        return decibels(
            math.fsum(trial.job.copies * trial.job.energy for trial in self.trials),
            math.fsum(trial.job.copies * trial.job.share * trial.squared for trial in self.trials),
        )

    @property
    def bytes(self) -> float:
        """Bytes of all slices."""
        return math.fsum(trial.bytes for trial in self.trials)

    @property
    def records(self) -> dict[str, _core.Record]:
        """The tensors' records."""
        return {trial.job.name: trial.record for trial in self.trials}

    @property
    def choices(self) -> dict[str, Choice]:
        """What the tensors got."""
        return {one.job.name: Choice(one.step, one.tool, one.levels, one.job.ease, one) for one in self.trials}

    def within(self, others: Outcome) -> Outcome:
        """Return the others with these trials in the place of theirs."""
        mine = {trial.job.name: trial for trial in self.trials}
        return Outcome(tuple(mine.get(trial.job.name, trial) for trial in others.trials))


def try_scale(
    jobs: Sequence[Job],
    scale: float,
    threads: int,
    *,
    tool: Tool | None = None,
    like: Outcome | None = None,
    exact: bool = False,
) -> Outcome:
    """Return what the jobs come to with steps of scale / sqrt(weight); sizes may be estimates unless `exact`.

    `tool` takes the place of the quantizer where it may. With `like`, the coder's parameters are those found there.
    """
    levels = {} if like is None else {trial.job.name: trial.levels for trial in like.trials}

    def attempt(job: Job, threads: int) -> Trial:
        step = scale / math.sqrt(job.weight)
        own = tool if tool is not None and may_compete(job) else job.coding.tool
        return try_step(job, step, own, threads, levels=levels.get(job.name), exact=exact)

    return Outcome(tuple(each(attempt, jobs, [job.size for job in jobs], threads)))


def start_scale(jobs: Sequence[Job], snr_db: float) -> float:
    """Return the scale for an SNR if errors were spread evenly over each step: e^2 = step^2 / 12."""
    energy = math.fsum(job.weight * job.copies * job.weighted_energy for job in jobs)
    # Of a job, eta e^2 is weight x n x (scale^2 / weight) / 12.
    return math.sqrt(12.0 * energy * 10.0 ** (-snr_db / 10.0) / sum(job.size * job.copies for job in jobs))


def may_compete(job: Job) -> bool:
    """Whether another may take the quantizer's place: not where a quantizer or a trade of its own was asked for."""
    return job.coding.quantizer in ("auto", "greedy") and not job.coding.traded
