"""Floating-point formats that NumPy lacks: bfloat16 and the 8-bit kinds. Exact both ways, in NumPy alone.

Bits are arrays of uint16 (bfloat16) or uint8. Rounding is to nearest, ties to even, in one step from either float32 or
float64. Results equal those of `ml_dtypes` on every float32, but for two corners: bfloat16 keeps the payload of a NaN,
and float8_e8m0fnu rounds subnormal inputs to nearest as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["FORMATS", "decode", "encode", "largest"]

Bits = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Format:
    """An 8-bit format: sign, exponent and `mantissa` bits, and what its highest codes mean.

    `ieee`: the highest exponent holds infinity and NaN. `fn`: finite but for one NaN of all ones. `fnuz`: finite, no
    negative zero, whose code is the only NaN. `scale`: eight exponent bits, neither sign nor zero, all ones is NaN.
    """

    mantissa: int
    bias: int
    style: Literal["ieee", "fn", "fnuz", "scale"]

    @property
    def largest_code(self) -> int:
        """Code of the largest finite value."""
        if self.style == "ieee":
            return 0x7F - (1 << self.mantissa)
        return {"fn": 0x7E, "fnuz": 0x7F, "scale": 0xFE}[self.style]

    @property
    def nan_code(self) -> int:
        """Code of the NaN that encoding produces, without its sign."""
        if self.style == "ieee":
            return 0x7F - (1 << self.mantissa) + 1 + (1 << (self.mantissa - 1))
        return {"fn": 0x7F, "fnuz": 0x80, "scale": 0xFF}[self.style]

    @property
    def overflow_code(self) -> int:
        """Code of what is too large to be finite: infinity where there is one, else NaN."""
        return self.largest_code + 1 if self.style == "ieee" else self.nan_code

    def magnitude(self, code: int) -> float:
        """The value of a non-negative code, by the rule of finite numbers (also one code beyond the largest)."""
        exponent, fraction = code >> self.mantissa, code & ((1 << self.mantissa) - 1)
        if exponent == 0 and self.style != "scale":
            return fraction * 2.0 ** (1 - self.bias - self.mantissa)
        return ((1 << self.mantissa) + fraction) * 2.0 ** (exponent - self.bias - self.mantissa)


FORMATS = {
    "float8_e3m4": Format(4, 3, "ieee"),
    "float8_e4m3": Format(3, 7, "ieee"),
    "float8_e4m3b11fnuz": Format(3, 11, "fnuz"),
    "float8_e4m3fn": Format(3, 7, "fn"),
    "float8_e4m3fnuz": Format(3, 8, "fnuz"),
    "float8_e5m2": Format(2, 15, "ieee"),
    "float8_e5m2fnuz": Format(2, 16, "fnuz"),
    "float8_e8m0fnu": Format(0, 127, "scale"),
}
"""The 8-bit formats by name. bfloat16 is handled beside them, by shifting."""


def decode(bits: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    """Return the values of `bits` as float32, exactly, in the same shape.

    >>> decode(np.array([0x3F80, 0xC000], np.uint16), "bfloat16")
    array([ 1., -2.], dtype=float32)
    """
    if name == "bfloat16":
        wide = bits.astype(np.uint32)
        wide <<= np.uint32(16)
        values: npt.NDArray[np.float32] = wide.view(np.float32)
        return values
    return np.asarray(_values(name)[bits])


def encode(values: npt.NDArray[Any], name: str, *, saturate: bool = False) -> Bits:
    """Return the bits of float32 or float64 `values`, rounded once to nearest even, in the same shape.

    What is too large becomes infinity, or NaN where the format has no infinity; with `saturate`, finite values stop at
    the largest finite one instead.

    >>> encode(np.array([1.0, 500.0], np.float32), "float8_e4m3fn", saturate=True)
    array([ 56, 126], dtype=uint8)
    """
    if saturate:
        limit = largest(name)
        clipped = np.clip(values, -limit, limit)
        values = np.where(np.isinf(values), values, clipped).astype(values.dtype, copy=False)
    flat = values.reshape(-1)  # NumPy turns 0-d arrays into scalars, whose arithmetic warns
    bits = _encode_bfloat16(flat) if name == "bfloat16" else _encode_byte(flat, name)
    return bits.reshape(values.shape)


def largest(name: str) -> float:
    """Return the largest finite value of a format.

    >>> largest("float8_e4m3fn")
    448.0
    """
    if name == "bfloat16":
        return float.fromhex("0x1.fep127")
    return FORMATS[name].magnitude(FORMATS[name].largest_code)


def _encode_bfloat16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    narrow = _round_to_odd(values) if values.dtype == np.float64 else values
    bits = narrow.astype(np.float32, copy=False).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    nan = np.isnan(narrow)
    if nan.any():
        payload = (bits >> np.uint32(16)).astype(np.uint16)
        # A payload that sits in the lower half alone would leave an infinity: set the quiet bit.
        payload |= np.where((payload & 0x7F) == 0, np.uint16(0x40), np.uint16(0))
        rounded = np.where(nan, payload, rounded)
    return rounded


def _round_to_odd(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """float64 to float32, inexact results with an odd last bit: rounding those again is then rounding once."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        nearest = values.astype(np.float32)
        bits = nearest.view(np.uint32)
        bits -= (np.abs(nearest) > np.abs(values)).astype(np.uint32)  # truncate: step towards zero
        bits |= (bits.view(np.float32) != values).astype(np.uint32)
    return np.where(np.isnan(values), nearest, bits.view(np.float32))


def _encode_byte(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    form = FORMATS[name]
    nan = np.isnan(values)
    magnitude = np.where(nan, 0.0, np.abs(values)).astype(np.float64, copy=False)
    code = np.searchsorted(_thresholds(name), magnitude, side="right")
    code = np.where(code > form.largest_code, form.overflow_code, code)
    code = np.where(nan, form.nan_code, code)
    if form.style == "scale":
        code = np.where(np.signbit(values) | (magnitude == 0), form.nan_code, code)
    elif form.style == "fnuz":
        code = np.where(np.signbit(values) & (code != 0), code | 0x80, code)
    else:
        code = np.where(np.signbit(values), code | 0x80, code)
    return code.astype(np.uint8)


@cache
def _values(name: str) -> npt.NDArray[np.float32]:
    """The values of all 256 codes."""
    form = FORMATS[name]
    values = np.full(256, np.nan, np.float64)
    for code in range(form.largest_code + 1):
        values[code] = form.magnitude(code)
    if form.style == "ieee":
        values[form.overflow_code] = np.inf
    if form.style != "scale":
        first = 1 if form.style == "fnuz" else 0
        values[0x80 + first :] = -values[first:0x80]
    return values.astype(np.float32)


@cache
def _thresholds(name: str) -> npt.NDArray[np.float64]:
    """`_thresholds(name)[c]` is the least float64 that rounds to a code above c."""
    form = FORMATS[name]
    grid = np.array([form.magnitude(code) for code in range(form.largest_code + 2)])
    middle = (grid[:-1] + grid[1:]) / 2
    # A tie goes to the even code. A format without mantissa has no even ones: up, as in ml_dtypes.
    stays = (np.arange(middle.size) % 2 == 0) & (form.style != "scale")
    thresholds: npt.NDArray[np.float64] = np.where(stays, np.nextafter(middle, np.inf), middle)
    return thresholds
