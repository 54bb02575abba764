"""eta of eq. 1: how much an error counts, of a weight within its tensor and of a tensor within the model.

`sigma`, the standard deviations of the weights, gives eta = 1 / sigma^2, which compares all weights of the model as it
is. `importance` gives eta itself, on top of what `distortion` says of the tensors. Both given multiply.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cabacus import checks, measures, scan
from cabacus.dtypes import Array, Tensor, to_float
from cabacus.errors import InputError
from cabacus.files import Tensors, read

__all__ = ["Eta", "Weighing", "tensor_weight"]

_SPARSEST = 1 / 8
"""A tensor of fewer nonzero weights counts as one of these: it must not outweigh all others together."""


@dataclass(frozen=True, slots=True)
class Eta:
    """eta of one tensor: `relative`, flat in scan order with a mean of about 1, times `mean`."""

    relative: npt.NDArray[np.float32]
    mean: float


@dataclass(frozen=True, slots=True)
class Weighing:
    """Where eta comes from: at most two mappings of arrays with the names and shapes of the weights."""

    sigma: Mapping[str, Tensor] | None = None
    importance: Mapping[str, Tensor] | None = None

    @classmethod
    def of(cls, sigma: Any, importance: Any, names: Iterable[str]) -> Weighing:
        """Return the weighing of mappings or files; raise InputError for names that the model has not."""
        known = list(names)
        return cls(_load(sigma, "sigma", known), _load(importance, "importance", known))

    def eta(self, name: str, shape: tuple[int, ...], axes: tuple[int, ...] = ()) -> Eta | None:
        """Return the eta of a tensor, or None where all its weights count the same.

        Raises InputError with the field and the tensor where an array is missing, misshapen, or has a value that it
        may not have: a sigma above 0, an importance of 0 or more, all finite.

        >>> weighing = Weighing.of({"w": np.array([[1.0, 1.0, 0.5, 0.5]])}, None, ["w"])
        >>> weighing.eta("w", (1, 4))
        Eta(relative=array([0.4, 0.4, 1.6, 1.6], dtype=float32), mean=2.5)
        """
        roots = self._roots(name, shape, axes)
        if roots is None:
            return None
        # eta = root^2: the core's sum of squares gives the mean, the same on every platform.
        mean = math.fsum(measures.moments(roots[part]).energy for part in measures.chunks(roots.size)) / roots.size
        if not math.isfinite(mean) or mean <= 0.0:
            field = "importance" if self.sigma is None else "sigma"
            why = "so small that 1 / sigma^2 overflows" if mean > 0.0 else "0 everywhere"
            raise InputError(f"{field} of tensor {name!r} is {why}; rescale it", field=field, tensor=name)
        relative = np.empty(roots.size, np.float32)
        for part in measures.chunks(roots.size):
            relative[part] = roots[part] ** 2 / mean
        return Eta(relative, mean)

    def least_sigma(self, name: str, shape: tuple[int, ...]) -> float:
        """Return sigma_min of eq. 2, the smallest standard deviation of a tensor's weights.

        >>> Weighing.of({"w": np.array([0.5, 0.25])}, None, ["w"]).least_sigma("w", (2,))
        0.25
        """
        return float(self._checked("sigma", name, shape, ()).min())

    def _roots(self, name: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array | None:
        """The square roots of eta, flat in scan order, as float64."""
        roots: Array | None = None
        if self.sigma is not None:
            roots = 1.0 / self._checked("sigma", name, shape, axes).astype(np.float64)
        if self.importance is not None and name in self.importance:
            importance = np.sqrt(self._checked("importance", name, shape, axes), dtype=np.float64)
            roots = importance if roots is None else roots * importance
        return roots

    def _checked(self, field: str, name: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
        arrays = self.sigma if field == "sigma" else self.importance
        if arrays is None or name not in arrays:
            raise InputError(
                f"{field} has no tensor {name!r}, which is quantized; add it, or keep the tensor with a rule",
                field=field,
                tensor=name,
            )
        array = arrays[name]
        if tuple(array.shape) != shape:
            raise InputError(
                f"{field} of tensor {name!r} has the shape {tuple(array.shape)}, the weights have {shape}",
                field=field,
                tensor=name,
            )
        values = scan.to_scan(to_float(array, tensor=name), axes)
        wrong = ~(np.isfinite(values) & (values > 0 if field == "sigma" else values >= 0))
        if wrong.any():
            _refuse(field, name, shape, axes, int(np.argmax(wrong)))
        return values


def tensor_weight(distortion: str, energy: float, weights: int, nonzero: int) -> float:
    """Return eta of a tensor as a whole by the mode of distortion, from its sum of squares and numbers of weights.

    balanced: 1 / (rms m), where m is the number of weights times the square of the share that is not zero; absolute: 1;
    relative: 1 / rms^2. Steps are proportional to its inverse square root.

    >>> tensor_weight("relative", 50.0, 2, 2), tensor_weight("balanced", 50.0, 2, 2)
    (0.04, 0.1)
    >>> tensor_weight("balanced", 50.0, 2, nonzero=1)
    0.4
    """
    mean_square = energy / weights
    if distortion == "relative":
        return 1.0 / mean_square
    if distortion == "balanced":
        # What pruning leaves bears less: SqueezeNet needs a tenth of a bit less so than with the plain number.
        share = max(nonzero / weights, _SPARSEST)
        return 1.0 / (math.sqrt(mean_square) * weights * share * share)
    return 1.0


def _load(source: Any, field: str, names: list[str]) -> Tensors | None:
    if source is None:
        return None
    arrays = Tensors.of(source) if isinstance(source, Mapping) else read(source)
    for name in arrays:
        if name not in names:
            raise InputError(
                f"{field} has {name!r}, which names no tensor of the model{checks.near(name, names)}",
                field=field,
                tensor=name,
            )
    return arrays


def _refuse(field: str, name: str, shape: tuple[int, ...], axes: tuple[int, ...], flat: int) -> None:
    index = scan.index(flat, shape, axes)
    wanted = "finite and above 0" if field == "sigma" else "finite and at least 0"
    raise InputError(
        f"{field} of tensor {name!r} at {index} is not {wanted}; correct it, or keep the tensor with a rule",
        field=field,
        tensor=name,
        index=index,
    )
