"""From what was coded to the report: a row for each tensor, figures of decoded values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from cabacus import _core
from cabacus.container import CODINGS, record_bytes
from cabacus.dtypes import BY_NAME, dtype_name
from cabacus.exact import Coded
from cabacus.jobs import Made
from cabacus.measures import decibels
from cabacus.planning import Plan
from cabacus.report import Report, TensorReport

__all__ = ["report_of"]


def report_of(plan: Plan, coded: Mapping[str, Coded], made: Mapping[str, Made], size: int, seconds: float) -> Report:
    """Return the report of a file of `size` bytes; `coded` has its tensors but the aliases, `made` the quantized."""
    quantized = {name: one.coded.record for name, one in made.items()}
    records = plan.records(quantized)
    base = plan.base if any(record.delta for record in records) else None
    shares = record_bytes(records, len(plan.header(quantized)) - len(_core.pack([], plan.metadata, base)))
    sizes = dict(zip(plan.model, shares, strict=True))
    rows: dict[str, TensorReport] = {}
    for name in plan.model:
        if name in plan.aliases:
            rows[name] = replace(rows[plan.aliases[name]], name=name, coding="alias", bytes=sizes[name], seconds=0.0)
        else:
            rows[name] = _row(plan, coded[name], made.get(name), sizes[name])
    governed = [one for one in made.values() if not one.job.apart] or list(made.values())
    lams = {row.lam for row in rows.values() if row.lossy}
    return Report(
        tensors=tuple(rows.values()),
        bytes=size,
        original_bytes=plan.original_bytes,
        target=plan.options.target,
        distortion="sigma" if plan.options.sigma is not None else plan.options.distortion,
        snr_db=decibels(
            math.fsum(one.job.weight * one.job.copies * one.job.weighted_energy for one in governed),
            math.fsum(one.job.weight * one.job.copies * one.difference.weighted for one in governed),
        ),
        plain_snr_db=decibels(
            math.fsum(one.job.copies * one.job.energy for one in made.values()),
            math.fsum(one.job.copies * one.difference.squared for one in made.values()),
        ),
        lam=lams.pop() if len(lams) == 1 else None,
        s=plan.options.target.value if plan.options.target.name == "s" else None,
        seconds=seconds,
        notes=tuple(_notes(plan, made)),
    )


def _row(plan: Plan, coded: Coded, made: Made | None, record: int) -> TensorReport:
    name = coded.record.name
    tensor = plan.model[name]
    dtype = BY_NAME[dtype_name(tensor)]
    row = TensorReport(
        name=name,
        dtype=dtype.name,
        shape=tuple(tensor.shape),
        coding=CODINGS[coded.record.coding],
        parameters=tensor.size,
        nonzero=coded.nonzero,
        bytes=coded.bytes + record,
        original_bytes=tensor.size * dtype.itemsize,
        entropy_bits_per_weight=None if coded.entropy_bits is None else coded.entropy_bits / tensor.size,
    )
    if made is None:
        return row
    job, found = made.job, made.difference
    return replace(
        row,
        lossy=True,
        step=made.step,
        lam=job.rate_weight(made.step, made.tool) * job.mean_eta * made.step**2,
        s=job.s,
        mse=found.squared / tensor.size,
        weighted_distortion=job.weight * found.weighted,
        snr_db=decibels(job.energy, found.squared),
        max_abs_error=found.largest,
        seconds=made.seconds,
    )


def _notes(plan: Plan, made: Mapping[str, Made]) -> list[str]:
    notes = list(plan.notes)
    target = plan.options.target
    if made and not target.chosen:
        notes.insert(0, f"no target was given: {target.name} = {target.value:g}")
    apart = [name for name, one in made.items() if one.job.apart]
    if apart and target.name == "snr_db" and len(apart) < len(made):
        notes.append(f"the SNR is that of the tensors whose rules set neither step nor snr_db; {len(apart)} do")
    if made and all(one.job.base is None for one in made.values()) and plan.base is not None:
        notes.append("no quantized tensor is stored as a difference to the base: none is nearer to it than to zero")
    return notes
