"""What happens to each tensor of a model: stored exactly, quantized, or named as another's equal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cabacus import _core, gaps, measures, scan
from cabacus.bases import digest
from cabacus.container import ALIAS
from cabacus.dtypes import BY_NAME, Array, DType, Tensor, as_bytes, dtype_name, to_float
from cabacus.errors import InputError
from cabacus.exact import Coded, Manner, code_exactly, has_bits, nonzero, zero
from cabacus.files import Tensors
from cabacus.jobs import Coding, Job
from cabacus.limits import DEFAULT_LIMITS
from cabacus.options import Options
from cabacus.parallel import thread_count
from cabacus.rules import Rule
from cabacus.weighing import Weighing, tensor_weight

__all__ = ["Plan", "equation_2", "plan"]

_REMAINDERS = {"fixed": {"prefixes": 0}, "exp_golomb": {}}
_PRECISIONS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Bits of a significand; of 8-bit floats, see `_half_ulp`."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """A model's tensors by name: `exact` ones are coded already, `jobs` are to be quantized, `aliases` have a holder.

    Every tensor is in one of the three. `base` is the digest of what differences refer to. `notes` are remarks for the
    report.
    """

    model: Tensors
    options: Options
    base: bytes | None = None
    exact: dict[str, Coded] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def threads(self) -> int:
        """Threads to use."""
        return thread_count(self.options.threads)

    @property
    def budget(self) -> int | None:
        """The bytes that the file may have, where the target says so."""
        value: float = self.options.target.value
        match self.options.target.name:
            case "max_bytes":
                return int(value)
            case "ratio":
                return math.floor(self.original_bytes / value)
            case "bits_per_weight":
                return math.floor(value * self.weights / 8)
            case _:
                return None

    def over_budget(self, least: int) -> InputError:
        """Return the refusal of a budget below what is needed at least."""
        target = self.options.target
        return InputError(
            f"{target.name} = {target.value:g} leaves {self.budget} bytes, and {least} are needed for what is exact, "
            "names and shapes; pass a target that allows more, or quantize more tensors with rules",
            field=target.name,
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each tensor."""
        return {name: tensor.size * BY_NAME[dtype_name(tensor)].itemsize for name, tensor in self.model.items()}

    @property
    def original_bytes(self) -> int:
        """Bytes of all tensors, tied ones each time."""
        return sum(self.sizes.values())

    @property
    def weights(self) -> int:
        """Elements of all tensors."""
        return sum(tensor.size for tensor in self.model.values())

    def keep(self, name: str, coded: Coded) -> None:
        """Store a tensor exactly after all."""
        del self.jobs[name]
        self.exact[name] = coded

    def records(self, quantized: Mapping[str, _core.Record]) -> list[_core.Record]:
        """Return the records of the file, in the model's order, given those of the jobs."""
        places = {name: place for place, name in enumerate(self.model)}
        return [
            self._alias(name, places) if name in self.aliases else self._record(name, quantized) for name in self.model
        ]

    def header(self, quantized: Mapping[str, _core.Record]) -> bytes:
        """Return the file's beginning: all but the slices."""
        records = self.records(quantized)
        return _core.pack(records, self.metadata, self.base if any(one.delta for one in records) else None)

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """The file's pairs of strings."""
        return list((self.model.metadata if self.options.metadata is None else self.options.metadata).items())

    def file_bytes(self, quantized: Mapping[str, _core.Record]) -> int:
        """Return the bytes of the whole file."""
        slices = sum(sum(record.slice_bytes) for record in quantized.values())
        return len(self.header(quantized)) + slices + sum(coded.bytes for coded in self.exact.values())

    def _record(self, name: str, quantized: Mapping[str, _core.Record]) -> _core.Record:
        return quantized[name] if name in self.jobs else self.exact[name].record

    def _alias(self, name: str, places: Mapping[str, int]) -> _core.Record:
        tensor = self.model[name]
        return _core.Record(
            name=name,
            dtype=BY_NAME[dtype_name(tensor)].id,
            shape=tuple(tensor.shape),
            coding=ALIAS,
            alias=places[self.aliases[name]],
        )


def plan(model: Tensors, options: Options, base: Mapping[str, Tensor] | None = None) -> Plan:
    """Return the plan of a model under options; tensors that stay exact are coded here.

    Raises InputError for rules that match or fit no tensor, for NaN and infinity in tensors to be quantized, and for
    sigma or importance that do not fit.
    """
    options.check_names(model)
    weighing = Weighing.of(options.sigma, options.importance, model)
    result = Plan(model=model, options=options)
    result.base = None if base is None else digest(base)
    result.aliases.update(_aliases(model, options))
    holders = list(result.aliases.values())
    for name, tensor in model.items():
        _check_limits(name, tensor)
        if name in result.aliases:
            continue
        coding = _coding(name, tensor, options, result.threads)
        job = None
        if _is_lossy(name, tensor, options.rule_for(name), result.notes):
            job = _job(name, tensor, coding, options, weighing, base)
        if job is None:
            result.exact[name] = _exact(name, tensor, coding.manner, base)
        else:
            result.jobs[name] = replace(job, copies=1 + holders.count(name))
    return result


def _aliases(model: Tensors, options: Options) -> Iterator[tuple[str, str]]:
    """Pairs (name, earlier name) of tensors that are the same, bit for bit, and have the same rules."""
    seen: dict[Any, list[str]] = {}
    for name, tensor in model.items():
        kind = (dtype_name(tensor), tuple(tensor.shape))
        alike = seen.setdefault(kind, [])
        if tensor.size == 0:
            continue
        for other in alike:
            if _equal(model[other], tensor) and options.rule_for(other) == options.rule_for(name) and has_bits(tensor):
                yield name, other
                break
        else:
            alike.append(name)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one type and shape have the same bits; told early where they differ early."""
    one, other = as_bytes(a), as_bytes(b)
    if one.ctypes.data == other.ctypes.data:
        return True
    return np.array_equal(one[:4096], other[:4096]) and all(
        np.array_equal(one[part], other[part]) for part in measures.chunks(one.size)
    )


def _check_limits(name: str, tensor: Tensor) -> None:
    """A file that readers refuse is not written."""
    if len(name.encode()) > DEFAULT_LIMITS.name_bytes:
        raise InputError(
            f"the name {name[:40]!r}... is longer than {DEFAULT_LIMITS.name_bytes} bytes; rename the tensor",
            tensor=name,
        )
    if len(tensor.shape) > DEFAULT_LIMITS.rank:
        raise InputError(f"tensor {name!r} has more than {DEFAULT_LIMITS.rank} dimensions; reshape it", tensor=name)


def _coding(name: str, tensor: Tensor, options: Options, threads: int) -> Coding:
    """How the options and the tensor's rules want it coded."""
    rule = options.rule_for(name)
    axes = rule.get("axes", ())
    if axes and len(axes) != len(tensor.shape):
        raise InputError(
            f"the rule for tensor {name!r} permutes {len(axes)} axes, it has {len(tensor.shape)}",
            field="rules",
            tensor=name,
        )
    fixed = {**_REMAINDERS[rule["remainder"]]} if "remainder" in rule else {}
    fixed |= {core: rule[key] for key, core in (("n", "flags"), ("context", "context")) if key in rule}  # type: ignore[literal-required]
    given = "lam" in rule or "rate_weight" in rule
    return Coding(
        manner=Manner(() if list(axes) == sorted(axes) else axes, fixed, options.effort, threads),
        quantizer=rule.get("quantizer", options.quantizer),  # type: ignore[arg-type]  # rules are checked
        candidates=rule.get("candidates", options.candidates),  # type: ignore[arg-type]
        rate_weight=rule.get("rate_weight") if given else options.rate_weight,
        lam=rule.get("lam") if given else options.lam,
    )


def _is_lossy(name: str, tensor: Tensor, rule: Rule, notes: list[str]) -> bool:
    dtype = BY_NAME[dtype_name(tensor)]
    # A scale without sign and zero cannot hold what quantization makes of it.
    able = dtype.kind == "float" and dtype.name != "float8_e8m0fnu"
    if rule.get("keep"):
        return False
    if rule.get("code"):
        if not able:
            raise InputError(
                f"tensor {name!r} is {dtype.name}, which is always stored exactly; remove code from its rule",
                field="rules",
                tensor=name,
            )
        return True
    matrix = sum(size > 1 for size in tensor.shape) >= 2
    if able and not matrix and ("step" in rule or "snr_db" in rule):
        notes.append(f"{name} is no matrix and stays exact; a rule with code quantizes it")
    return able and matrix


def _exact(name: str, tensor: Tensor, manner: Manner, base: Mapping[str, Tensor] | None) -> Coded:
    """Code exactly; what equals the base is a difference of zero."""
    known = None if base is None else _base_of(name, tensor, base)
    if known is not None and has_bits(tensor) and np.array_equal(as_bytes(known), as_bytes(tensor)):
        # base + 0 gives back every number but the negative zero, and NaN only without its bits.
        values = to_float(tensor)
        if not (np.isnan(values) | ((values == 0) & np.signbit(values))).any():
            return zero(name, tensor, delta=True)
    return code_exactly(name, tensor, manner)


def _base_of(name: str, tensor: Tensor, base: Mapping[str, Tensor]) -> Tensor | None:
    """The base's tensor of that name, where a difference to it can be formed."""
    other = base.get(name)
    if other is None or BY_NAME[dtype_name(tensor)].kind != "float":
        return None
    return other if dtype_name(other) == dtype_name(tensor) and tuple(other.shape) == tuple(tensor.shape) else None


def _job(
    name: str,
    tensor: Tensor,
    coding: Coding,
    options: Options,
    weighing: Weighing,
    base: Mapping[str, Tensor] | None,
) -> Job | None:
    """The job of a tensor; None where nothing but zeros, or numbers beyond all steps, are in it."""
    dtype = BY_NAME[dtype_name(tensor)]
    job = Job(name=name, tensor=tensor, dtype=dtype, weighing=weighing, coding=coding)
    found = measures.moments(job.weights())
    if found.fault is not None:
        raise _not_finite(name, job, found.fault)
    if not 0.0 < found.energy < math.inf:
        return None
    eta = job.eta()
    job = replace(
        job,
        energy=found.energy,
        largest=found.largest,
        weighted_energy=measures.weighted_energy(job.weights(), None if eta is None else eta.relative),
        mean_eta=1.0 if eta is None else eta.mean,
    )
    # sigma compares all weights of the model as it is; importance goes on top of the mode of distortion.
    mode = 1.0
    if weighing.sigma is None:
        mode = tensor_weight(options.distortion, found.energy, tensor.size, nonzero(tensor))
    job = _against_base(replace(job, weight=mode * job.mean_eta), base)
    if job.base is None and gaps.possible(job.shape, job.axes):
        job = replace(job, rows=_rows(job))
    return _aimed(job, options)


def _rows(job: Job) -> npt.NDArray[np.intp] | None:
    """The rows to be coded where it pays to leave out those of zeros, as levels of a coarse step tell."""
    matrix = job.weights().reshape(-1, job.columns)

    def size(rows: Array) -> int:
        step = math.sqrt(job.energy / max(nonzero(job.tensor), 1))
        return job.coding.manner.bytes(np.rint(rows / step).astype(np.int32))

    return gaps.worth(matrix, size)


def _against_base(job: Job, base: Mapping[str, Tensor] | None) -> Job:
    """The same as a difference, where that has less in it."""
    other = None if base is None else _base_of(job.name, job.tensor, base)
    if other is None:
        return job
    against = replace(job, base=other)
    found = measures.moments(against.coded())
    return replace(against, largest=found.largest) if found.fault is None and found.energy < job.energy else job


def _aimed(job: Job, options: Options) -> Job | None:
    """The job with the step that is given, if any: by its rule, or by a target that is one."""
    rule, target = options.rule_for(job.name), options.target
    if "step" in rule:
        return replace(_on_grid(job), step=job.usable(rule["step"]), apart=True)
    if "snr_db" in rule:
        return replace(job, snr_db=rule["snr_db"], apart=True)
    if target.name == "step":
        return replace(_on_grid(job), step=job.usable(target.value))
    if target.name == "s":
        return replace(_on_grid(job), step=job.usable(_equation_2(job, target.value)), s=target.value)
    if target.name == "max_abs_error":
        return _bounded(job, target.value)
    return job


def _on_grid(job: Job) -> Job:
    """The job with eq. 1 on the points that a given step makes, unless another quantizer was asked for."""
    return replace(job, coding=replace(job.coding, quantizer="greedy")) if job.coding.quantizer == "auto" else job


def _equation_2(job: Job, s: int) -> float:
    """Delta of eq. 2."""
    return equation_2(
        job.name, measures.moments(job.weights()).largest, job.weighing.least_sigma(job.name, job.shape), s
    )


def equation_2(name: str, largest: float, least_sigma: float, s: int) -> float:
    """Return the step by eq. 2 of the paper, 2 |w_max| / (2 |w_max| / sigma_min + S).

    Raises InputError where S is so negative that the denominator is not positive.

    >>> equation_2("w", 1.0, 0.1, 20)
    0.05
    """
    denominator = 2.0 * largest / least_sigma + s
    if denominator <= 0.0:
        least = math.floor(-2.0 * largest / least_sigma) + 1
        raise InputError(
            f"S = {s} leaves no positive step for tensor {name!r}; pass at least {least}", field="s", tensor=name
        )
    return 2.0 * largest / denominator


def _bounded(job: Job, bound: float) -> Job | None:
    """The job with the largest step that keeps errors within the bound, rounding to the type included, or None."""
    free = bound - (job.largest + bound) * _half_ulp(job.dtype)
    if free <= 0.0:
        return None
    if job.coding.quantizer == "auto":
        # Within the bound nothing but the nearest level is left to choose.
        job = replace(job, coding=replace(job.coding, quantizer="round"))
    step = job.usable(free if job.coding.quantizer == "trellis" else 2.0 * free)
    if step > 2.0 * free:
        step = job.usable(float(np.nextafter(np.float32(step), np.float32(0))))
    return None if step > 2.0 * free else replace(job, step=step, bound=bound, max_error=free)


def _half_ulp(dtype: DType) -> float:
    """Half the distance of a number of size 1 to its neighbour, at most."""
    if dtype.name in _PRECISIONS:
        return 2.0 ** -_PRECISIONS[dtype.name]
    mantissa = int(dtype.name.partition("m")[2][0])  # float8_e4m3fn has 3 bits
    return 2.0 ** -(mantissa + 1)


def _not_finite(name: str, job: Job, flat: int) -> InputError:
    index = scan.index(flat, job.shape, job.axes)
    value = float(job.weights()[flat])
    return InputError(
        f"tensor {name!r} is {value} at {index}, which no step quantizes; mend it, or keep it: rules=[({name!r}, "
        "{'keep': True})]",
        tensor=name,
        index=index,
    )
