"""Layers in integers: the levels of a compressed model are its weights in units of the step, so that a linear or a
convolution layer is a sum of integer products and one factor. This is the fixed-point use that the paper argues for.

Activations are integers and a step, too. The step of a product is the product of the steps, biases are rounded to it,
and `narrowed` brings results back to few bits by a shift. Nothing but `values()` is in floating point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cabacus import checks
from cabacus.errors import InputError

__all__ = ["Fixed", "convolution", "linear", "quantized", "relu"]

Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Numbers that are `levels` x `step`: int64 of any shape, and one positive float."""

    levels: npt.NDArray[np.int64]
    step: float

    def values(self) -> npt.NDArray[np.float64]:
        """Return the numbers as float64."""
        return np.asarray(self.levels * self.step, np.float64)

    def narrowed(self, bits: int = 16) -> Fixed:
        """Return the same numbers in so many bits, sign included, rounded by a shift: the step grows by a power of two.

        >>> Fixed(np.array([1000, -3]), 0.5).narrowed(8)
        Fixed(levels=array([125,   0]), step=4.0)
        """
        width = checks.integer(bits, "bits", low=2, high=32)
        largest = int(np.abs(self.levels).max(initial=0))
        shift = max(0, largest.bit_length() - (width - 1))
        if shift and (largest + (1 << shift - 1)) >> shift >= 1 << width - 1:
            shift += 1  # rounding carries
        half = (1 << shift) >> 1
        return Fixed((self.levels + half) >> shift, self.step * 2.0**shift)


def quantized(values: npt.ArrayLike, bits: int = 16) -> Fixed:
    """Return real numbers in so many bits, sign included, the largest using all of them. Raises InputError if one is
    not finite.

    >>> quantized([1.0, -0.5], 8).levels
    array([127, -64])
    """
    array = np.asarray(values, np.float64)
    largest = float(np.abs(array).max(initial=0.0))
    if not math.isfinite(largest):
        raise InputError("values are not finite", field="values")
    step = largest / ((1 << checks.integer(bits, "bits", low=2, high=32) - 1) - 1) or 1.0
    return Fixed(np.rint(array / step).astype(np.int64), step)


def linear(inputs: Fixed, levels: Integers, step: float, bias: npt.ArrayLike | None = None) -> Fixed:
    """Return the outputs (n, outputs) of a linear layer on inputs (n, inputs): weights (outputs, inputs) are levels x
    step, as `Archive.levels` gives them; the bias is real. Raises InputError for shapes that do not fit, and where the
    sums might not fit 64 bits.

    >>> linear(Fixed(np.array([[1, 2]]), 0.5), np.array([[3, -1]]), 0.25, [1.0]).values()
    array([[1.125]])
    """
    if levels.ndim != 2 or inputs.levels.ndim != 2 or inputs.levels.shape[1] != levels.shape[1]:
        raise InputError(f"a layer {levels.shape} cannot take inputs {inputs.levels.shape}", field="inputs")
    return _biased(_product(inputs.levels, levels), inputs.step * step, bias)


def convolution(
    inputs: Fixed,
    levels: Integers,
    step: float,
    bias: npt.ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Fixed:
    """Return the outputs (n, outputs, height, width) of a convolution on inputs (n, channels, height, width): weights
    (outputs, channels / groups, height, width), as PyTorch has them. Otherwise as `linear`.

    >>> convolution(Fixed(np.ones((1, 1, 3, 3), np.int64), 1.0), np.ones((1, 1, 2, 2), np.int32), 0.5).values().max()
    np.float64(2.0)
    """
    checks.integer(stride, "stride", low=1, high=1 << 20)
    checks.integer(padding, "padding", low=0, high=1 << 20)
    values = inputs.levels
    if levels.ndim != 4 or values.ndim != 4 or levels.shape[0] % groups or values.shape[1] != levels.shape[1] * groups:
        raise InputError(f"a layer {levels.shape} cannot take inputs {values.shape}", field="inputs")
    padded = np.pad(values, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    if padded.shape[2] < levels.shape[2] or padded.shape[3] < levels.shape[3]:
        raise InputError(f"a window {levels.shape[2:]} is larger than its inputs {padded.shape[2:]}", field="inputs")
    windows = np.lib.stride_tricks.sliding_window_view(padded, levels.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    count, _, height, width = windows.shape[:4]
    parts = []
    for part, kernel in zip(np.split(windows, groups, 1), np.split(levels, groups, 0), strict=True):
        rows = part.transpose(0, 2, 3, 1, 4, 5).reshape(count * height * width, -1)
        sums = _product(rows, kernel.reshape(len(kernel), -1))
        parts.append(sums.reshape(count, height, width, -1).transpose(0, 3, 1, 2))
    shaped = None if bias is None else np.asarray(bias, np.float64)[:, None, None]
    return _biased(np.concatenate(parts, 1), inputs.step * step, shaped)


def relu(inputs: Fixed) -> Fixed:
    """Return max(x, 0).

    >>> relu(Fixed(np.array([-1, 2]), 0.5)).levels
    array([0, 2])
    """
    return Fixed(np.maximum(inputs.levels, 0), inputs.step)


def _product(rows: npt.NDArray[np.int64], weights: Integers) -> npt.NDArray[np.int64]:
    """rows @ weights.T in integers. Below 2^53 sums are exact in float64, too, whose BLAS is a hundred times faster."""
    matrix = weights.astype(np.int64)
    bound = int(np.abs(rows).max(initial=0)) * int(np.abs(matrix).sum(1).max(initial=0))
    if bound >= 1 << 62:
        raise InputError("the sums might not fit 64 bits; narrow the inputs", field="inputs")
    if bound < 1 << 53:
        return np.asarray(np.rint(rows.astype(np.float64) @ matrix.T.astype(np.float64)), np.int64)
    return np.asarray(rows @ matrix.T, np.int64)


def _biased(sums: npt.NDArray[np.int64], step: float, bias: npt.ArrayLike | None) -> Fixed:
    if bias is None:
        return Fixed(sums, step)
    return Fixed(sums + np.rint(np.asarray(bias, np.float64) / step).astype(np.int64), step)
