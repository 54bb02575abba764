"""The sender of updates: the difference to a base, with what was left unsaid before, coded in one file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from cabacus import _core, checks, scan
from cabacus.bases import Base, digest
from cabacus.container import LEVELS
from cabacus.decoding import Extent, decode, shaped
from cabacus.dtypes import BY_NAME, Array, Tensor, cast_from_float, dtype_name, to_float
from cabacus.errors import InputError
from cabacus.exact import Coded, Manner, code_exactly, code_integers, least_bytes, zero
from cabacus.federated.joining import Units
from cabacus.federated.message import EncodedUpdate
from cabacus.federated.sparsifying import METHODS, Sparsify, largest, magnitude
from cabacus.files import Tensors
from cabacus.measures import Moments, moments
from cabacus.pooling import share_starts
from cabacus.rules import Rule, merge_rules, parse_rules

if TYPE_CHECKING:
    from cabacus.options import Effort

__all__ = ["UpdateEncoder"]

Quantizer = Literal["round", "greedy", "trellis"]

_RULES = {"keep", "code", "step", "rate_weight", "quantizer", "axes", "context"}
_LARGEST_LEVEL = 1 << 30
"""Levels are 32-bit integers; half of that leaves room for the quantizer's choices."""
_COARSEST = 1 << 12
_FEW = 1 << 14
"""Of more levels that are not zero, a header and dead inputs are a small part."""
_AXES_BYTES = 16
"""Of a parameter set of its own."""
_BISECTIONS = 4
"""Of the logarithm of how much coarser a message of `max_bytes` is: to a twentieth of an octave."""


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """Of one tensor, with its moments: a pass over a large one takes as long as coding a tenth of it."""

    update: Array
    figures: Moments

    @classmethod
    def of(cls, update: Array) -> _Change:
        return cls(update, moments(update.reshape(-1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEncoder:
    """Codes what training has changed. It has no state of its own: one encoder serves many clients.

    step: quantization step in units of the root mean square of the update's elements (of those that are not zero,
        after sparsifying), pooled over the model or of each tensor, as `scale` says. Default 3, after "top_k" 0.5.
        Where nothing at all would be sent, the step is halved until something is.
    rate_weight: c of e^2 + c step^2 R, R in bits: more leaves out more. There are cliffs above 0.1: watch the
        `distortion`.
    sparsify: None; "top_k": only the `density` x n largest elements are coded; "ternary" (STC) and "binary" (SBC):
        these, and all of a tensor with the same magnitude. Small tensors are one in this, unless `scale` is "tensor".
    max_bytes: what a message may have at most. Where the options give more, the step is made larger, or the density
        smaller, until it fits; error feedback makes up for it later.
    error_feedback: whether what a message leaves out is returned, to go into the next one.
    rules: (glob, {option: value}) pairs as in `cabacus.compress`: `keep` sends a tensor exactly; with `step`, absolute,
        it is not sparsified and has no part in the model's scale, as is best for running means and variances; then
        `rate_weight`, `quantizer`, `axes`, `context`.

    Floating tensors are coded, those of one dimension too; integers and bools are exact. A tensor that coding would not
    make smaller is sent exactly. Raises InputError for other options.

    >>> encoder = UpdateEncoder(step=2.0, rate_weight=0.1)
    >>> base = {"w": np.zeros((30, 40), np.float32), "n": np.array(3)}
    >>> local = {"w": np.random.default_rng(1).normal(0, 1, (30, 40)).astype(np.float32), "n": np.array(4)}
    >>> first = encoder.encode(local, base)
    >>> first.decoded["n"], first.ratio > 20
    (array(4), True)
    >>> second = encoder.encode(local, base, first.residual)
    """

    step: float | None = None
    rate_weight: float = 0.05
    sparsify: Sparsify | None = None
    density: float = 0.01
    scale: Literal["model", "tensor"] = "model"
    max_bytes: int | None = None
    error_feedback: bool = True
    rules: Iterable[object] = ()
    quantizer: Quantizer = "greedy"
    effort: Effort = "default"
    threads: int = 1
    _parsed: tuple[tuple[str, Rule], ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        if self.step is not None:
            checks.number(self.step, "step", above=True, high=1e9)
        checks.number(self.rate_weight, "rate_weight")
        checks.number(self.density, "density", above=True, high=1)
        checks.integer(self.threads, "threads", low=1, high=4096)
        if self.max_bytes is not None:
            checks.integer(self.max_bytes, "max_bytes", low=1, high=1 << 62)
        checks.choice(self.scale, "scale", ("model", "tensor"))
        checks.choice(self.quantizer, "quantizer", ("round", "greedy", "trellis"))
        checks.choice(self.effort, "effort", ("fast", "default", "max"))
        if self.sparsify is not None:
            checks.choice(self.sparsify, "sparsify", METHODS)
        parsed = parse_rules(self.rules)
        for glob, options in parsed:
            for key in options:
                if key not in _RULES:
                    raise InputError(f"rule for {glob!r}: updates have no option {key!r}", field="rules")
        object.__setattr__(self, "_parsed", parsed)

    def encode(
        self,
        tensors: Mapping[str, Any],
        base: Mapping[str, Any],
        residual: Mapping[str, Array] | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> EncodedUpdate:
        """Return the update from `base` to `tensors`, coded. Nothing of the input is changed.

        tensors, base: the same names, shapes and element types, any of `cabacus.dtypes`. residual: of the last
        `EncodedUpdate` of this sender; names that it lacks count as zero. metadata: pairs of strings for the message.

        Raises InputError, naming the tensor, where names, shapes or types differ, or a value is NaN or infinite; the
        residual is then still good. So it is where no message is as short as `max_bytes`, an InputError too.
        """
        model = Tensors.of(tensors, metadata)
        origin = base if isinstance(base, Base) else Tensors.of(base)
        check_alike(model, origin)
        merged = {name: self._rule(name, tensor) for name, tensor in model.items()}
        found = {
            name: _change(name, tensor, origin[name], (residual or {}).get(name))
            for name, tensor in model.items()
            if BY_NAME[dtype_name(tensor)].kind == "float"
        }
        units = Units.of(origin, self._joined_below, lambda name: repr(merged[name]))
        whole, before = units.joined(model), units.joined(origin)
        changes = _joined({name: change for name, change in found.items() if not merged[name].get("keep")}, units)
        coded = {
            unit: code_exactly(unit, tensor, Manner(effort=self.effort))
            for unit, tensor in whole.items()
            if unit not in changes
        }
        known, pairs = digest(origin), list(model.metadata.items())

        def header(coded: Mapping[str, Coded]) -> bytes:
            return _core.pack([coded[unit].record for unit in units.members], pairs, known, units.layout)

        coded |= self._fitting(
            lambda coarse: self._quantized(whole, changes, coarse, merged),
            lambda some: len(header(coded | some)) + sum(one.bytes for one in (coded | some).values()),
            {unit: zero(unit, whole[unit], delta=True) for unit in changes},
        )
        rest: dict[str, Array] = {}
        error = 0.0
        for unit, change in changes.items():
            owed = any(name in (residual or {}) for name in units.members[unit])
            coded[unit], whole[unit], left = self._settled(coded[unit], whole[unit], before[unit], change.update, owed)
            error += left.figures.energy
            if self.error_feedback:
                rest[unit] = left.update
        if self.effort == "max":  # of many small tensors: 0.2 % of the bytes, in half as long again
            coded = dict(zip(units.members, share_starts(coded[unit] for unit in units.members), strict=True))
        data = b"".join([header(coded), *(piece for unit in units.members for piece in coded[unit].pieces)])
        if self.max_bytes is not None and len(data) > self.max_bytes:
            raise _too_long(self.max_bytes, len(data))
        shapes = {name: tuple(tensor.shape) for name, tensor in model.items()}
        decoded = units.apart(whole, shapes)
        return EncodedUpdate(
            data=data,
            decoded=Tensors({name: decoded[name] for name in model}, model.metadata),
            residual={name: np.asarray(left) for name, left in units.apart(rest, shapes).items()},
            parameters=sum(tensor.size for tensor in model.values()),
            raw_bytes=sum(tensor.size * BY_NAME[dtype_name(tensor)].itemsize for tensor in model.values()),
            squared_error=error,
            squared_update=sum(change.figures.energy for change in changes.values()),
        )

    @property
    def _joined_below(self) -> int:
        """Elements that take less than about half a kilobyte: then a record, with what its coder has to learn, costs
        more than contexts of a matrix gain."""
        if self.scale == "tensor":
            return 0
        return 8192 if self.sparsify is None else min(max(round(450 / self.density), 1024), 1 << 18)

    def _rule(self, name: str, tensor: Tensor) -> Rule:
        rule = merge_rules(self._parsed, name)
        axes = rule.get("axes", ())
        if axes and len(axes) != len(tensor.shape):
            message = f"tensor {name!r} has {len(tensor.shape)} axes, the rule {len(axes)}"
            raise InputError(message, tensor=name, field="rules")
        return rule

    def _fitting(
        self,
        attempt: Callable[[float], dict[str, Coded]],
        size: Callable[[dict[str, Coded]], int],
        nothing: dict[str, Coded],
    ) -> dict[str, Coded]:
        """The levels as the options ask for them, or coarser ones, so that the message is short enough."""
        found = attempt(1.0)
        if self.max_bytes is None or size(found) <= self.max_bytes:
            return found
        if size(nothing) > self.max_bytes:
            raise _too_long(self.max_bytes, size(nothing))
        fine, coarse = 1.0, 2.0
        while size(found := attempt(coarse)) > self.max_bytes:
            fine, coarse = coarse, 2 * coarse
            if coarse > _COARSEST:
                raise _too_long(self.max_bytes, size(found))
        for _ in range(_BISECTIONS):
            middle = math.sqrt(fine * coarse)
            trial = attempt(middle)
            if size(trial) <= self.max_bytes:
                found, coarse = trial, middle
            else:
                fine = middle
        return found

    def _quantized(
        self, model: Mapping[str, Tensor], changes: dict[str, _Change], coarse: float, merged: Mapping[str, Rule]
    ) -> dict[str, Coded]:
        """Each tensor's levels. Updates of one magnitude would be zeros below any step of 2 rms, for all rounds."""
        factor = (0.5 if self.sparsify == "top_k" else 3.0) if self.step is None else self.step
        sparse = changes
        if self.sparsify is None:
            factor *= coarse
        else:
            free = {name: change.update for name, change in changes.items() if "step" not in merged[name]}
            sparse = changes | {name: _Change.of(kept) for name, kept in largest(free, self.density / coarse).items()}
        own = [change for name, change in sparse.items() if "step" not in merged[name]]
        pooled = _rms(own) if self.scale == "model" else None
        while True:
            coded = {
                name: self._levels(
                    name, model[name], change, factor * (_rms([change]) if pooled is None else pooled), merged[name]
                )
                for name, change in sparse.items()
            }
            if factor < 1e-3 or any(one.nonzero for one in coded.values()):
                return coded
            if not any(change.figures.largest for change in sparse.values()):
                return coded
            factor /= 2

    def _settled(
        self, coded: Coded, tensor: Tensor, base: Tensor, update: Array, owed: bool
    ) -> tuple[Coded, Tensor, _Change]:
        """A tensor's slices, what the receiver makes of them, and what is left of the update."""
        name = coded.record.name
        found = self._received(coded, base)
        left = _left(base, update, found)
        finite = left.figures.fault is None
        raw = tensor.size * BY_NAME[dtype_name(tensor)].itemsize
        # Tensors that are exactly smaller than a quarter of their bytes are no trained weights: not looked for.
        if not finite or (coded.bytes * 4 > raw and coded.bytes >= least_bytes(tensor)):
            whole = np.add(to_float(base), update, dtype=np.float64)
            target = cast_from_float(whole, dtype_name(tensor)) if owed else tensor
            exact = code_exactly(name, target, Manner(effort=self.effort))
            if exact.bytes <= coded.bytes or not finite:
                coded, found, left = exact, target, _left(base, update, target)
        if left.figures.fault is not None:
            raise InputError(f"tensor {name!r} with its residual exceeds its type; drop the residual", tensor=name)
        return coded, found, left

    def _received(self, coded: Coded, base: Tensor) -> Tensor:
        record = coded.record
        extent = Extent(memoryview(b"".join(coded.pieces)), record, 0, math.prod(record.shape), self.threads)
        flat = decode(extent, scan.to_scan(to_float(base), record.axes))
        return shaped(flat, tuple(record.shape), tuple(record.axes))

    def _levels(self, name: str, tensor: Tensor, change: _Change, step: float, rule: Rule) -> Coded:
        sparse = change.update
        axes = rule.get("axes", ()) if sparse.ndim > 1 else ()
        axes = () if list(axes) == sorted(axes) else axes
        if not change.figures.largest:
            return zero(name, tensor, delta=True)
        fixed = {"context": rule["context"]} if "context" in rule else {}
        if self.sparsify in ("ternary", "binary") and "step" not in rule:
            return self._of_one_magnitude(name, tensor, change, Manner(axes, fixed, self.effort, self.threads))
        step = _usable(rule.get("step", step), change)
        encoded = _core.encode_weights(
            scan.to_scan(sparse, axes),
            columns=scan.columns(sparse.shape, axes),
            step=step,
            rate_weight=0.0 if self.quantizer == "round" else rule.get("rate_weight", self.rate_weight),
            quantizer=self._tool(rule),
            fixed=fixed,
            effort=self.effort,
            threads=self.threads,
        )
        if not encoded.nonzero:
            return zero(name, tensor, delta=True)
        record = _core.Record(
            name=name,
            dtype=BY_NAME[dtype_name(tensor)].id,
            shape=tuple(tensor.shape),
            coding=LEVELS,
            delta=True,
            axes=tuple(axes),
            levels=encoded.levels,
            step=step,
            row_width=encoded.row_width,
            slice_rows=encoded.slice_rows,
            slice_bytes=encoded.slice_bytes,
        )
        return Coded(record, (encoded.payload,), encoded.nonzero, encoded.entropy_bits)

    def _of_one_magnitude(self, name: str, tensor: Tensor, change: _Change, manner: Manner) -> Coded:
        """Levels of -1, 0 and 1. Inputs of a layer may be as dead as outputs, and scanned first can be left out."""
        levels, step = magnitude(change.update, cast(Sparsify, self.sparsify))
        orders = [manner]
        if levels.ndim == 2 and not manner.axes and np.count_nonzero(levels) <= _FEW:
            orders.append(replace(manner, axes=(1, 0)))
        coded = [one for order in orders if (one := code_integers(name, levels, order, offset=0)) is not None]
        best = min(coded, key=lambda one: one.bytes + _AXES_BYTES * bool(one.record.axes))
        best.record.dtype, best.record.step, best.record.delta = (
            BY_NAME[dtype_name(tensor)].id,
            _usable(step, change),
            True,
        )
        return best

    def _tool(self, rule: Rule) -> Quantizer:
        asked = rule.get("quantizer", "auto")
        return self.quantizer if asked == "auto" else cast(Quantizer, asked)


def check_alike(tensors: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> None:
    """Raise InputError unless both have the same names, shapes and element types.

    >>> check_alike({"w": np.zeros(2)}, {"w": np.zeros(3)})
    Traceback (most recent call last):
    cabacus.errors.InputError: tensor 'w' is float64 (2,), in the base float64 (3,)
    """
    for name in tensors.keys() ^ base.keys():
        where = "the base" if name in tensors else "the tensors"
        raise InputError(f"{where} lack {name!r}; an update has the names of its base", tensor=name)
    for name, tensor in tensors.items():
        mine, theirs = (f"{dtype_name(one)} {tuple(one.shape)}" for one in (tensor, base[name]))
        if mine != theirs:
            raise InputError(f"tensor {name!r} is {mine}, in the base {theirs}", tensor=name)


def _change(name: str, tensor: Tensor, base: Tensor, residual: Array | None) -> _Change:
    """What there is to say: the difference to the base, and what was left unsaid before."""
    # In the type of the tensor: what is rounded here is left in the residual.
    change = np.empty(tensor.shape, np.float64 if dtype_name(tensor) == "float64" else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(to_float(tensor), to_float(base), out=change)
        if residual is not None:
            if np.shape(residual) != tuple(tensor.shape):
                raise InputError(f"the residual of {name!r} has the shape {np.shape(residual)}", tensor=name)
            np.add(change, residual, out=change, casting="same_kind")
    result = _Change.of(change)
    if result.figures.fault is not None:
        raise InputError(f"tensor {name!r}, its base or its residual has NaN or infinities", tensor=name)
    return result


def _joined(changes: Mapping[str, _Change], units: Units) -> dict[str, _Change]:
    """The changes of units; what stands alone is not looked through again."""
    updates = units.joined({name: change.update for name, change in changes.items()})
    return {unit: _Change.of(np.asarray(u)) if unit in units.small else changes[unit] for unit, u in updates.items()}


def _left(base: Tensor, update: Array, found: Tensor) -> _Change:
    """What of the update the receiver does not have. What it has is near the base: their difference is exact."""
    left = np.empty(update.shape, update.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(to_float(base), to_float(found), out=left)
        np.add(left, update, out=left)
    return _Change.of(left)


def _rms(changes: Iterable[_Change]) -> float:
    """Of the elements that are not zero."""
    energy, count = 0.0, 0
    for change in changes:
        energy += change.figures.energy
        count += int(np.count_nonzero(change.update))
    return math.sqrt(energy / count) if count else 0.0


def _usable(step: float, change: _Change) -> float:
    """The step as the format stores it, large enough for levels of 32 bits."""
    kind = change.update.dtype.type
    top = change.figures.largest / _LARGEST_LEVEL
    return float(kind(min(max(step, top, float(np.finfo(kind).smallest_normal)), float(np.finfo(kind).max))))


def _too_long(most: int, least: int) -> InputError:
    return InputError(f"no update of this model takes {most} bytes or less; {least} are needed", field="max_bytes")
