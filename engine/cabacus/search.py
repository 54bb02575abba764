"""Which step each tensor gets: one scale for the model, times what the distortion says of a tensor, until the target.

The SNR falls by about 6 dB, and the rate by about one bit a weight, for each doubling of the scale: a few full
encodings find it, after a rough search on a sample of every tensor. The quantizer competes with plain rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cabacus import _core
from cabacus.errors import InputError
from cabacus.exact import code_exactly
from cabacus.jobs import Job, Tool, Trial, sampled, try_step
from cabacus.measures import decibels
from cabacus.nearest import Found, nearest
from cabacus.parallel import each
from cabacus.planning import Plan

__all__ = ["Choice", "Outcome", "search", "start_scale", "tool_of", "try_scale"]

Watch: TypeAlias = Callable[[], object]

SAMPLE = 1 << 16
"""Weights of a tensor's sample."""
SLACK_DB = 0.1
"""A target SNR is reached within this."""
_CLOSE_DB = 0.02
_SLACK = 0.02
_CLOSE = 0.002
_DB_PER_OCTAVE = 20 * math.log10(2)
_MOST_DB = 60.0
_NEAR = 0.25
"""Steps this much of an octave apart are coded with the same parameters."""
_EASES = (0.5, 0.25)
"""Shares of the quantizer's c that are tried where all of it jumps over the target."""
_SURE = 1.02
"""Plain rounding that costs this much more on samples is not tried on the whole model."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The step and the quantizer of a tensor; where a search has settled them, its coder's parameters and its ease."""

    step: float
    tool: Tool
    levels: _core.LevelCoding | None = None
    ease: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What jobs together come to at a scale."""

    trials: tuple[Trial, ...]

    @property
    def snr_db(self) -> float:
        """10 log10(sum eta w^2 / sum eta e^2)."""
        return decibels(
            math.fsum(trial.job.weight * trial.job.copies * trial.job.weighted_energy for trial in self.trials),
            math.fsum(trial.job.weight * trial.job.copies * trial.job.share * trial.weighted for trial in self.trials),
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
        return {one.job.name: Choice(one.step, one.tool, one.levels, one.job.ease) for one in self.trials}


@dataclass(frozen=True, slots=True)
class _Goal:
    """A target as `nearest` sees it, and what is to be least among the ways to reach it."""

    excess: Callable[[Outcome], float]
    cost: Callable[[Outcome], float]
    slope: float
    close: float
    loose: float
    exact: bool = False
    """Whether sizes decide by their last byte."""


def search(plan: Plan, jobs: Sequence[Job], watch: Watch = lambda: None) -> dict[str, Choice]:
    """Return a choice for each of the jobs, which are the plan's or some of them.

    `watch` is called after each pass over the model. Where no step is fine enough for a target, the plan keeps the
    tensors exactly. Raises InputError where the target cannot be reached.
    """
    choices: dict[str, Choice] = {}
    free: list[Job] = []
    for job in jobs:
        if job.step is not None:
            choices[job.name] = Choice(job.step, job.coding.tool)
        elif job.snr_db is not None:
            choices |= _to_snr(plan, [job], job.snr_db, lambda outcome: outcome.plain_snr_db, watch)
        else:
            free.append(job)
    target = plan.options.target
    if not free:
        return choices
    if target.name == "snr_db":
        return choices | _to_snr(plan, free, target.value, lambda outcome: outcome.snr_db, watch)
    settled = [
        try_step(plan.jobs[name].eased(one.ease), one.step, one.tool, plan.threads, levels=one.levels, exact=True)
        for name, one in choices.items()
    ]
    return choices | _to_bytes(plan, free, {trial.job.name: trial.record for trial in settled}, watch)


def tool_of(job: Job, plain: bool) -> Tool:
    """Return the job's quantizer; with `plain`, rounding where that may compete."""
    return "round" if plain and _may_compete(job) else job.coding.tool


def try_scale(
    jobs: Sequence[Job],
    scale: float,
    plain: bool,
    threads: int,
    *,
    like: Outcome | None = None,
    exact: bool = False,
) -> Outcome:
    """Return what the jobs come to with steps of scale / sqrt(weight); sizes may be estimates unless `exact`.

    With `like`, the coder's parameters are those found there.
    """
    levels = {} if like is None else {trial.job.name: trial.levels for trial in like.trials}

    def attempt(job: Job, threads: int) -> Trial:
        step = scale / math.sqrt(job.weight)
        return try_step(job, step, tool_of(job, plain), threads, levels=levels.get(job.name), exact=exact)

    return Outcome(tuple(each(attempt, jobs, [job.size for job in jobs], threads)))


def start_scale(jobs: Sequence[Job], snr_db: float) -> float:
    """Return the scale for an SNR if errors were spread evenly over each step: e^2 = step^2 / 12."""
    energy = math.fsum(job.weight * job.copies * job.weighted_energy for job in jobs)
    # Of a job, eta e^2 is weight x n x (scale^2 / weight) / 12.
    return math.sqrt(12.0 * energy * 10.0 ** (-snr_db / 10.0) / sum(job.size * job.copies for job in jobs))


def _may_compete(job: Job) -> bool:
    """Whether rounding may take the quantizer's place: not where a quantizer or a trade of its own was asked for."""
    return job.coding.quantizer in ("auto", "greedy") and not job.coding.traded


def _jumps(end: Found[Outcome], goal: _Goal, jobs: Sequence[Job]) -> bool:
    """Whether a quantizer jumps over the target, and would not with less of a pull.

    Below 2 bits a weight zeros make each other cheaper, and a tensor falls to zero at once.
    """
    eased = any(job.coding.tool != "round" and not job.coding.traded for job in jobs)
    return eased and end.excess > goal.loose and end.outcome.bytes < sum(job.size for job in jobs) / 4


def _to_snr(
    plan: Plan, jobs: Sequence[Job], target: float, quality: Callable[[Outcome], float], watch: Watch
) -> dict[str, Choice]:
    def excess(outcome: Outcome) -> float:
        beyond = quality(outcome) - target
        if math.isinf(beyond) and not any(trial.nonzero for trial in outcome.trials):
            return 0.0  # equal to the base
        return min(beyond, _MOST_DB)

    goal = _Goal(excess, lambda outcome: outcome.bytes, -_DB_PER_OCTAVE, _CLOSE_DB, SLACK_DB)
    found = _reach(plan, jobs, goal, start_scale(jobs, target), watch)
    if found is not None:
        return found.outcome.choices
    if any(job.coding.traded for job in jobs):
        names = ", ".join(job.name for job in jobs[:3])
        raise InputError(
            f"an SNR of {target:g} dB is not reached ({names}); lower lambda or the target", field="snr_db"
        )
    for job in jobs:
        plan.keep(job.name, code_exactly(job.name, job.tensor, job.coding.manner))
    return {}


def _to_bytes(plan: Plan, jobs: Sequence[Job], settled: Mapping[str, _core.Record], watch: Watch) -> dict[str, Choice]:
    budget = plan.budget
    assert budget is not None
    least = plan.file_bytes({**settled, **{job.name: job.blank() for job in jobs}})
    if least > budget:
        raise plan.over_budget(least)

    def excess(outcome: Outcome) -> float:
        records = {**settled, **outcome.records}
        slices = sum(sum(trial.record.slice_bytes) for trial in outcome.trials)
        return (budget - (plan.file_bytes(records) - slices + outcome.bytes)) / budget

    weights = sum(job.size for job in jobs)
    goal = _Goal(
        excess, lambda outcome: 10.0 ** (-outcome.snr_db / 10.0), weights / 8 / budget, _CLOSE, _SLACK, exact=True
    )
    bits = 8 * (budget - least) / weights
    found = _reach(plan, jobs, goal, start_scale(jobs, _DB_PER_OCTAVE * bits), watch)
    if found is None:
        target = plan.options.target
        raise InputError(
            f"{target.name} = {target.value:g} is not reached; pass a target that allows more", field=target.name
        )
    return found.outcome.choices


def _reach(plan: Plan, jobs: Sequence[Job], goal: _Goal, scale: float, watch: Watch) -> Found[Outcome] | None:
    """The cheaper of the quantizer's way to the goal and that of rounding, each at steps of its own."""
    ways = (False, True) if any(map(_may_compete, jobs)) else (False,)
    starts = dict.fromkeys(ways, (math.log2(scale), goal.slope))

    def walk(jobs: Sequence[Job], plain: bool, close: float) -> Found[Outcome] | None:
        likes: list[tuple[float, Outcome]] = []

        def measure(x: float) -> Outcome:
            # To find the coder's parameters takes longer than to code a small tensor: those of a near step serve.
            like = next((outcome for place, outcome in likes if abs(place - x) < _NEAR), None)
            outcome = try_scale(
                jobs, 2.0 ** min(max(x, -1000.0), 1000.0), plain, plan.threads, like=like, exact=goal.exact
            )
            if like is None:
                likes.append((x, outcome))
            watch()
            return outcome

        start, slope = starts[plain]
        return nearest(measure, goal.excess, start=start, slope=slope, close=close, loose=goal.loose)

    samples = [sampled(job, SAMPLE) for job in jobs]
    if sum(job.size / job.share for job in samples) < sum(job.size for job in jobs) / 2:
        rough = {plain: walk(samples, plain, 4 * goal.close) for plain in ways}
        for plain, found in rough.items():
            if found is not None:
                starts[plain] = (found.x, found.slope)
        one, other = rough[False], rough.get(True)
        if one is not None and other is not None and goal.cost(other.outcome) > _SURE * goal.cost(one.outcome):
            ways = (False,)
    ends = [walk(jobs, plain, goal.close) for plain in ways]
    if ends[0] is not None and _jumps(ends[0], goal, jobs):
        ends += [walk([job.eased(ease) for job in jobs], False, goal.close) for ease in _EASES]
    found_ends = [end for end in ends if end is not None]
    return min(found_ends, key=lambda end: (end.excess > goal.loose, goal.cost(end.outcome)), default=None)
