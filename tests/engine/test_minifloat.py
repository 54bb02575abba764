"""bfloat16 and 8-bit floats, compared with ml_dtypes over all bit patterns and with exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from cabacus import minifloat

NAMES = [*minifloat.FORMATS, "bfloat16"]


def all_bits(name: str) -> npt.NDArray[Any]:
    return np.arange(1 << 16, dtype=np.uint16) if name == "bfloat16" else np.arange(256, dtype=np.uint8)


def reference_bits(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[Any]:
    with np.errstate(all="ignore"):
        return values.astype(getattr(ml_dtypes, name)).view(all_bits(name).dtype)


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_pattern_decodes_as_ml_dtypes_does(name: str) -> None:
    bits = all_bits(name)
    ours, theirs = minifloat.decode(bits, name), bits.view(getattr(ml_dtypes, name)).astype(np.float32)
    nan = np.isnan(theirs)
    assert np.array_equal(np.isnan(ours), nan)
    assert np.array_equal(ours[~nan].view(np.uint32), theirs[~nan].view(np.uint32))  # the sign of zero too


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_pattern_survives_the_way_to_float32_and_back(name: str) -> None:
    bits = all_bits(name)
    values = minifloat.decode(bits, name)
    kept = np.full(bits.shape, True) if name == "bfloat16" else ~np.isnan(values)
    for precision in (np.float32, np.float64):
        with np.errstate(invalid="ignore"):
            wide = values.astype(precision)
        # Widening a signalling NaN makes it quiet, which a float64 shows.
        same = kept if precision is np.float32 else ~np.isnan(values)
        assert np.array_equal(minifloat.encode(wide, name)[same], bits[same])
        assert np.isnan(minifloat.decode(minifloat.encode(wide, name), name)[np.isnan(values)]).all()


@pytest.mark.parametrize("name", NAMES)
def test_float32_rounds_as_ml_dtypes_does(name: str) -> None:
    random = np.random.default_rng(1)
    grid = minifloat.decode(all_bits(name), name)
    grid = np.unique(grid[np.isfinite(grid)]).astype(np.float64)
    ties = ((grid[1:] + grid[:-1]) / 2).astype(np.float32)
    top = np.float32(minifloat.largest(name))
    with np.errstate(over="ignore"):
        values = np.concatenate(
            [
                random.integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32),
                np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))]),
                top * np.linspace(-1.5, 1.5, 3001, dtype=np.float32),
                np.array([0.0, -0.0, np.inf, -np.inf, 1.0, -1.0], np.float32),
            ]
        )
    values = values[~np.isnan(values)]
    if name == "float8_e8m0fnu":  # ml_dtypes rounds subnormals up there, not to nearest
        values = values[np.abs(values) >= np.finfo(np.float32).tiny]
    assert np.array_equal(minifloat.encode(values, name), reference_bits(values, name))


def nearest_even(value: float, grid: list[Fraction], codes: list[int]) -> int:
    """The code that is nearest to `value` in exact arithmetic, the even one of two."""
    distances = [abs(point - Fraction(value)) for point in grid]
    least = min(distances)
    near = [code for distance, code in zip(distances, codes, strict=True) if distance == least]
    return near[0] if len(near) == 1 else next(code for code in near if code % 2 == 0)


def test_float64_rounds_to_bfloat16_once() -> None:
    # Halfway between two bfloat16 values but for a bit that float32 cannot hold: rounding twice would go wrong.
    assert minifloat.encode(np.array([1 + 2**-8 + 2**-40]), "bfloat16")[0] == 0x3F81
    assert minifloat.encode(np.array([1 + 2**-8 - 2**-40]), "bfloat16")[0] == 0x3F80
    random = np.random.default_rng(2)
    exponents = random.integers(-140, 127, 400)
    values = np.ldexp(1 + random.integers(0, 512, 400) / 256, exponents) * (1 + random.integers(-1, 2, 400) * 2.0**-45)
    bits = minifloat.encode(values, "bfloat16")
    for value, code in zip(values.tolist(), bits.tolist(), strict=True):
        codes = [max(code - 1, 0), code, code + 1]
        codes = sorted(set(codes) - {0x7F80})
        grid = [Fraction(float(minifloat.decode(np.array([c], np.uint16), "bfloat16")[0])) for c in codes]
        if code != 0x7F80:
            assert nearest_even(value, grid, codes) == code


@pytest.mark.parametrize("name", [name for name in minifloat.FORMATS if name != "float8_e8m0fnu"])
def test_float64_rounds_to_a_byte_once(name: str) -> None:
    codes = list(range(128))
    values = minifloat.decode(np.array(codes, np.uint8), name)
    codes = [code for code, value in zip(codes, values, strict=True) if np.isfinite(value)]
    grid = [Fraction(float(value)) for value in values if np.isfinite(value)]
    inner = [float((low + high) / 2) for low, high in pairwise(grid)]
    for tie in inner:
        for value in (tie, np.nextafter(tie, np.inf), np.nextafter(tie, 0)):
            assert int(minifloat.encode(np.array([value]), name)[0]) == nearest_even(float(value), grid, codes)


@pytest.mark.parametrize("name", NAMES)
def test_saturation_stops_at_the_largest_finite_value(name: str) -> None:
    limit = minifloat.largest(name)
    values = np.array([limit, limit * 4, np.inf, np.nan], np.float64)
    decoded = minifloat.decode(minifloat.encode(values, name, saturate=True), name)
    assert decoded[:2].tolist() == [limit, limit]
    assert not np.isfinite(decoded[2:]).any()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_stay(name: str) -> None:
    for shape in [(), (0,), (2, 0, 3), (2, 3)]:
        bits = minifloat.encode(np.ones(shape, np.float32), name)
        assert bits.shape == shape
        assert minifloat.decode(bits, name).shape == shape
