"""The target `evaluate`: the coarsest quantization that a callback still accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cabacus.dtypes import Tensor
from cabacus.errors import InputError
from cabacus.files import Tensors
from cabacus.jobs import Job, Made, restored
from cabacus.outcomes import Choice, start_scale
from cabacus.parallel import each
from cabacus.planning import Plan

__all__ = ["judge", "made_model"]

_FINEST_DB = 64.0
_STEPS = 120
"""Half a decibel apart, downwards from the finest: seven evaluations find the last that is accepted."""


def judge(
    plan: Plan, jobs: list[Job], settled: Mapping[str, Choice], watch: Callable[[], object] = lambda: None
) -> dict[str, Choice]:
    """Return the coarsest choices for jobs whose decoded model the callback accepts, by bisection over the SNR.

    `settled` are the choices for the plan's other jobs. The callback gets the decoded tensors and returns True or
    False, or a score that must not fall below the original's.
    Raises InputError where nothing is accepted.
    """
    evaluate = plan.options.target.value
    whole = evaluate(Tensors(plan.model, plan.model.metadata))
    start = start_scale(jobs, _FINEST_DB)

    def choices(step: int) -> dict[str, Choice]:
        scale = start * 10.0 ** (step / 40.0)
        return {job.name: Choice(job.usable(scale * job.weight**-0.5), job.coding.tool) for job in jobs}

    def accepted(step: int) -> bool:
        tensors, _ = made_model(plan, {**settled, **choices(step)})
        verdict = evaluate(tensors)
        watch()
        return bool(verdict) if isinstance(whole, bool | np.bool_) else bool(verdict >= whole)

    if not accepted(0):
        raise InputError(
            f"evaluate accepts no quantization, not even one of {_FINEST_DB:g} dB; return True or False, or a score",
            field="evaluate",
        )
    good, bad = 0, _STEPS
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if accepted(middle) else (good, middle)
    return choices(good)


def made_model(plan: Plan, choices: Mapping[str, Choice]) -> tuple[Tensors, dict[str, Made]]:
    """Return the model as it comes back after compression with these choices, and its quantized tensors."""

    def work(job: Job, threads: int) -> tuple[Tensor, Made]:
        made = choices[job.name].made(job, threads)
        return restored(made, threads), made

    jobs = list(plan.jobs.values())
    found = dict(zip(plan.jobs, each(work, jobs, [job.size for job in jobs], plan.threads), strict=True))
    tensors: dict[str, Any] = {}
    for name, tensor in plan.model.items():
        holder = plan.aliases.get(name, name)
        tensors[name] = found[holder][0] if holder in found else tensor
    return Tensors(tensors, plan.model.metadata), {name: made for name, (_, made) in found.items()}
