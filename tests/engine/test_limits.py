"""Limits: inclusive, checked without overflow, and named in the refusal."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cabacus.errors import InputError, LimitError
from cabacus.limits import DEFAULT_LIMITS, Limits


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_is_inclusive_and_named(name: str) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, **{name: 7})
    limits.check(name, 7)
    with pytest.raises(LimitError, match=rf"8 .* limit of 7; raise Limits\({name}=\.\.\.\)") as caught:
        limits.check(name, 8, tensor="w")
    assert (caught.value.limit, caught.value.tensor) == (name, "w")


@pytest.mark.parametrize(("shape", "elements"), [((), 1), ((0,), 0), ((3, 0, 2), 0), ((3, 4), 12)])
def test_elements_are_counted(shape: tuple[int, ...], elements: int) -> None:
    assert DEFAULT_LIMITS.check_shape(shape) == elements


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 32, 1 << 32, 0), (1,) * 33])
def test_absurd_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LimitError):
        DEFAULT_LIMITS.check_shape(shape)


@pytest.mark.parametrize("value", [-1, 1.5, "3", True, None])
def test_limits_are_counts(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Limits(rank=value)
    assert caught.value.field == "rank"
