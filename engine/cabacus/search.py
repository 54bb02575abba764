"""Which step each tensor gets: one scale for the model, times what the distortion says of a tensor, until the target.

The SNR falls by about 6 dB, and the rate by about one bit a weight, for each doubling of the scale. A sample of every
tensor finds the scale and the quantizer, one encoding of the whole model tells what is still amiss, and a part of the
tensors, with a scale a little apart, makes up for it.
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
from cabacus.nearest import Found, nearest
from cabacus.outcomes import Choice, Outcome, may_compete, start_scale, try_scale
from cabacus.planning import Plan

__all__ = ["SAMPLE", "search"]

Watch: TypeAlias = Callable[[], object]

SAMPLE = 1 << 14
"""Weights of a tensor's sample."""
SLACK_DB = 0.1
"""A target SNR is reached within this."""
_CLOSE_DB = 0.02
_SLACK = 0.02
_CLOSE = 0.002
_DB_PER_OCTAVE = 20 * math.log10(2)
_MOST_DB = 60.0
_TRELLIS_DB = 4.3
"""What the trellis lacks to the SNR of errors spread evenly over its step, about: where to begin."""
_NEAR = 0.25
"""Steps this much of an octave apart are coded with the same parameters."""
_APART = 0.1
"""How far a part's scale may be from the others', in octaves: at this, what it costs is a few thousandths of a bit."""
_MOST_PART = 0.6
"""A part of more than this share of the model is not worth it."""
_PASSES = 2
"""Codings of all tensors before their steps are bracketed."""
_EASES = (0.5, 0.25)
"""Shares of the quantizer's c that are tried where all of it jumps over the target."""
_SURE = 1.02
"""A quantizer that costs this much more on samples is not tried on the whole model."""


@dataclass(frozen=True, slots=True)
class _Goal:
    """A target as `nearest` sees it, and what is to be least among the ways to reach it, at an excess of 0."""

    excess: Callable[[Outcome], float]
    cost: Callable[[Outcome], float]
    share: Callable[[Trial], float]
    """What a tensor has of that which the target is about, in any unit."""
    slope: float
    close: float
    loose: float


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


def _per_bit(outcome: Outcome) -> float:
    """Bytes that a bit more for every weight, or 6 dB, would cost, about."""
    return min(sum(trial.job.size for trial in outcome.trials) / 8, outcome.bytes)


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

    def cost(outcome: Outcome) -> float:
        beyond = excess(outcome)
        return outcome.bytes - (_per_bit(outcome) * beyond / _DB_PER_OCTAVE if abs(beyond) < 2 * SLACK_DB else 0.0)

    goal = _Goal(excess, cost, Outcome.weighted, -_DB_PER_OCTAVE, _CLOSE_DB, SLACK_DB)
    found = _reach(plan, jobs, goal, target, watch)
    if found is not None:
        return found.choices
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

    def cost(outcome: Outcome) -> float:
        beyond = excess(outcome)
        bits = beyond * budget / max(_per_bit(outcome), 1.0) if abs(beyond) < 2 * _SLACK else 0.0
        return math.pow(10.0, -(outcome.snr_db + _DB_PER_OCTAVE * bits) / 10.0)

    weights = sum(job.size for job in jobs)
    goal = _Goal(excess, cost, lambda trial: trial.bytes, weights / 8 / budget, _CLOSE, _SLACK)
    bits = 8 * (budget - least) / weights
    found = _reach(plan, jobs, goal, _DB_PER_OCTAVE * bits, watch)
    if found is None:
        target = plan.options.target
        raise InputError(
            f"{target.name} = {target.value:g} is not reached; pass a target that allows more", field=target.name
        )
    return found.choices


def _reach(plan: Plan, jobs: Sequence[Job], goal: _Goal, snr_db: float, watch: Watch) -> Outcome | None:
    """What the cheapest quantizer's way to the goal comes to, each at steps of its own; it begins near an SNR."""
    ends = [
        _Way(plan, jobs, goal, tool, watch).settle(start) for tool, start in _begin(plan, jobs, goal, snr_db, watch)
    ]
    if ends and ends[0] is not None and _jumps(ends[0], goal, jobs):
        x, slope = ends[0].x, ends[0].slope
        ends += [
            _Way(plan, [job.eased(ease) for job in jobs], goal, None, watch).settle(_Start(x, slope)) for ease in _EASES
        ]
    found = [end for end in ends if end is not None]
    best = min(found, key=lambda end: (end.excess > goal.loose, goal.cost(end.outcome)), default=None)
    return None if best is None else best.outcome


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a way begins, in octaves of the scale, how the excess falls there, and what is known of the place."""

    x: float
    slope: float
    known: Outcome | None = None


def _begin(
    plan: Plan, jobs: Sequence[Job], goal: _Goal, snr_db: float, watch: Watch
) -> list[tuple[Tool | None, _Start]]:
    """The quantizers that are worth it, by samples, and where to begin."""
    samples = [sampled(job, SAMPLE) for job in jobs]
    weights = sum(job.size for job in jobs)
    whole = sum(job.size / job.share for job in samples) > weights / 2

    def start(tool: Tool | None) -> float:
        trellis = tool is None and any(job.coding.tool == "trellis" for job in jobs)
        return math.log2(start_scale(jobs, snr_db + (_TRELLIS_DB if trellis else 0.0)))

    def rough(tool: Tool | None) -> Found[Outcome] | None:
        way = _Way(plan, jobs if whole else samples, goal, tool, watch, exact=whole)
        # To be near is enough: a little too much is as good as a little too little.
        return way.walk(start(tool), goal.slope, goal.loose, -goal.loose / 2)

    first = rough(None)
    found: list[tuple[Tool | None, Found[Outcome]]] = [] if first is None else [(None, first)]
    others: list[Tool] = ["round"] if first is None or first.outcome.bytes > weights / 8 else ["greedy", "round"]
    for tool in others:
        if any(may_compete(job) and job.coding.tool != tool for job in jobs) and (one := rough(tool)) is not None:
            found.append((tool, one))
    if not found:
        return [(None, _Start(start(None), goal.slope))]
    least = _SURE * min(goal.cost(one.outcome) for _, one in found)
    return [
        (tool, _Start(one.x, one.slope, one.outcome if whole else None))
        for tool, one in found
        if goal.cost(one.outcome) <= least or (one is first and _jumps(one, goal, jobs))
    ]


class _Way:
    """The way of one quantizer to the goal."""

    def __init__(
        self, plan: Plan, jobs: Sequence[Job], goal: _Goal, tool: Tool | None, watch: Watch, *, exact: bool = True
    ) -> None:
        self._plan, self._jobs, self._goal, self._tool, self._watch = plan, jobs, goal, tool, watch
        self._exact = exact
        self._likes: list[tuple[float, Outcome]] = []

    def measure(self, x: float, jobs: Sequence[Job] | None = None) -> Outcome:
        """Return what jobs come to at a scale of 2^x: all of them, or a part."""
        # To find the coder's parameters takes longer than to code a small tensor: those of a near step serve.
        like = next((outcome for place, outcome in self._likes if abs(place - x) < _NEAR), None)
        scale = 2.0 ** min(max(x, -1000.0), 1000.0)
        part = self._jobs if jobs is None else jobs
        outcome = try_scale(part, scale, self._plan.threads, tool=self._tool, like=like, exact=self._exact)
        if like is None and jobs is None:
            self._likes.append((x, outcome))
        self._watch()
        return outcome

    def walk(self, x: float, slope: float, close: float, aside: float = 0.0) -> Found[Outcome] | None:
        """Return the point whose excess is least, and at least `aside`, by measures of all jobs."""
        goal = self._goal
        return nearest(
            self.measure,
            lambda outcome: goal.excess(outcome) - aside,
            start=x,
            slope=slope,
            close=close,
            loose=max(close, goal.loose),
        )

    def settle(self, start: _Start) -> Found[Outcome] | None:
        """Return the point that meets the goal: all jobs, once or twice, then a part of them for the rest."""
        goal, tried = self._goal, list[Found[Outcome]]()
        for _ in range(_PASSES):
            outcome = self.measure(start.x) if start.known is None else start.known
            if start.known is not None:
                self._likes.append((start.x, outcome))
            excess = goal.excess(outcome)
            tried.append(Found(start.x, outcome, excess, start.slope))
            if 0.0 <= excess <= goal.close:
                return tried[-1]
            octaves = (goal.close / 2 - excess) / start.slope
            part = self._part(outcome, octaves)
            if part is not None:
                met = self._mend(start, outcome, part)
                if met is not None:
                    return met
                break
            start = _Start(start.x + min(max(octaves, -1.0), 1.0), start.slope)
        tried += filter(None, [self.walk(start.x, start.slope, goal.close)])
        return min((one for one in tried if one.excess >= 0.0), key=lambda one: one.excess, default=None)

    def _part(self, outcome: Outcome, octaves: float) -> list[Job] | None:
        """Tensors that make up for a shift of the whole, moved by no more than `_APART`; None where most must."""
        shares = [self._goal.share(trial) for trial in outcome.trials]
        wanted = sum(shares) * abs(octaves) / _APART
        jobs = sorted(zip(shares, (trial.job for trial in outcome.trials), strict=True), key=lambda one: one[0])
        part: list[Job] = []
        alone = next((one for one in jobs if one[0] >= wanted), None)
        for share, job in [alone] if alone is not None else reversed(jobs):
            part.append(job)
            wanted -= share
            if wanted <= 0.0:
                break
        size = sum(job.size for job in part)
        return None if wanted > 0.0 or size > _MOST_PART * sum(job.size for job in self._jobs) else part

    def _mend(self, start: _Start, whole: Outcome, part: list[Job]) -> Found[Outcome] | None:
        """The whole with a part at another scale, so that the goal is met; None where it is not."""
        goal = self._goal
        names = {job.name for job in part}
        share = sum(goal.share(trial) for trial in whole.trials if trial.job.name in names)
        slope = start.slope * share / sum(map(goal.share, whole.trials))
        found = nearest(
            lambda x: self.measure(x, part).within(whole),
            goal.excess,
            start=start.x + (goal.close / 2 - goal.excess(whole)) / slope,
            slope=slope,
            close=goal.close,
            loose=goal.loose,
        )
        # Where sizes jump, a part may have gone far from the others.
        if found is None or found.excess > goal.loose or abs(found.x - start.x) > 3 * _APART:
            return None
        return Found(start.x, found.outcome, found.excess, start.slope)
