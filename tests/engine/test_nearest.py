"""The search along a costly function, and interpolation: few tries, the right side, no trap."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cabacus.interpolation import Interpolation
from cabacus.nearest import Found, nearest


def look(function: Callable[[float], float], start: float = 0.0) -> tuple[Found[float] | None, int]:
    tries: list[float] = []

    def measure(x: float) -> float:
        tries.append(x)
        return function(x)

    found = nearest(measure, lambda value: value, start=start, slope=-6.0, close=0.02, loose=0.1)
    return found, len(tries)


@given(st.floats(-30, 30), st.floats(-8, -2), st.floats(-20, 20))
def test_a_line_is_found_at_once(root: float, slope: float, start: float) -> None:
    found, tries = look(lambda x: slope * (x - root), start)
    assert found is not None
    assert 0 <= found.excess <= (0.02 if tries <= 4 else 0.1)
    assert tries <= 4 + abs(root - start) / 3


@given(st.floats(-5, 5), st.floats(0, 1))
def test_a_bent_and_noisy_function_is_found_in_few_tries(root: float, noise: float) -> None:
    found, tries = look(lambda x: 8 * math.atan(root - x) + 0.02 * math.sin(1000 * noise * x))
    assert found is not None
    assert 0 <= found.excess <= 0.1
    assert tries <= 14


@pytest.mark.parametrize(
    "function", [lambda x: -1.0 if x > -3 else 2.0, lambda x: -5.0 + math.cos(40 * x) if x > -9 else 1.0]
)
def test_a_plateau_is_left(function: Callable[[float], float]) -> None:
    found, tries = look(function)
    assert found is not None
    assert found.excess >= 0
    assert tries <= 24


def test_what_is_nowhere_is_none_after_a_while() -> None:
    found, tries = look(lambda x: -1.0)
    assert found is None
    assert tries <= 24


def test_the_first_try_may_do() -> None:
    found, tries = look(lambda x: 0.01)
    assert found is not None
    assert tries == 1


@given(st.lists(st.tuples(st.floats(0.1, 2), st.floats(0, 5)), min_size=2, max_size=6), st.floats(0, 1))
def test_interpolation_is_monotone_and_goes_through_its_points(steps: list[tuple[float, float]], share: float) -> None:
    x, y = [0.0], [0.0]
    for width, rise in steps:
        x.append(x[-1] + width)
        y.append(y[-1] + rise)
    curve = Interpolation(x, y)
    assert [curve(place) for place in x] == pytest.approx(y)
    for left, right, low, high in zip(x, x[1:], y, y[1:], strict=False):
        assert low - 1e-9 <= curve(left + share * (right - left)) <= high + 1e-9
