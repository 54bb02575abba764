"""encode_levels and decode_levels: integers come back as they were, small, or as weights of a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cabacus
from cabacus.errors import InputError

INTEGERS = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]


def geometric(*shape: int, seed: int = 0) -> npt.NDArray[np.int32]:
    generator = np.random.default_rng(seed)
    return np.rint(generator.laplace(0, 2, shape)).astype(np.int32)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(INTEGERS).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    ),
    st.sampled_from(["fast", "default", "max"]),
)
def test_any_integers_come_back(array: npt.NDArray[Any], effort: Any) -> None:
    for levels in (array, array.T):
        decoded = cabacus.decode_levels(cabacus.encode_levels(levels, effort=effort))
        assert isinstance(decoded, np.ndarray)
        assert (decoded.dtype, decoded.shape) == (levels.dtype, levels.shape)
        np.testing.assert_array_equal(decoded, levels)


@pytest.mark.parametrize("largest", [2**30 + 515, 2**31 - 1, -(2**31) + 1])
def test_the_largest_effort_codes_the_largest_levels(largest: int) -> None:
    levels = np.array([largest, 2, 0, -1], np.int32)
    assert np.array_equal(cabacus.decode_levels(cabacus.encode_levels(levels, effort="max")), levels)  # type: ignore[arg-type]


def test_names_order_and_metadata_survive() -> None:
    arrays = {"b": geometric(40, 50), "a": np.arange(7, dtype=np.uint8), "": np.zeros((2, 2), np.int64)}
    data = cabacus.encode_levels(arrays, metadata={"x": "y"})
    decoded = cabacus.decode_levels(data)
    assert isinstance(decoded, dict)
    assert list(decoded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(decoded[name], array)
    assert cabacus.open(data).metadata == {"x": "y"}


def test_levels_take_about_their_entropy() -> None:
    levels = geometric(500, 400)
    _, counts = np.unique(levels, return_counts=True)
    entropy = float(-(counts * np.log2(counts / counts.sum())).sum()) / 8
    assert len(cabacus.encode_levels(levels)) < 1.005 * entropy + 60


def test_a_step_makes_weights_of_them() -> None:
    levels = geometric(20, 30).astype(np.int16)
    data = cabacus.encode_levels({"w": levels, "z": np.zeros((3, 3), np.int8)}, step=0.3)
    weights = cabacus.decompress(data)
    assert weights["w"].dtype == np.float32
    np.testing.assert_array_equal(weights["w"], (levels * np.float64(np.float32(0.3))).astype(np.float32))
    decoded = cabacus.decode_levels(data)
    assert isinstance(decoded, dict)
    np.testing.assert_array_equal(decoded["w"], levels)
    assert not np.asarray(decoded["z"]).any()


def test_compressed_weights_are_read_as_levels() -> None:
    data = cabacus.compress({"w": np.eye(3, dtype=np.float32), "b": np.ones(2, np.float32)}, step=0.5).data
    decoded = cabacus.decode_levels(data)
    assert isinstance(decoded, dict)
    np.testing.assert_array_equal(decoded["w"], 2 * np.eye(3))
    np.testing.assert_array_equal(decoded["b"], [1, 1])


def test_what_is_no_level_is_refused() -> None:
    for wrong in (np.ones(3), np.ones(3, np.complex64)):
        with pytest.raises(InputError, match="levels are integers") as caught:
            cabacus.encode_levels({"w": wrong})
        assert caught.value.tensor == "w"
    with pytest.raises(InputError, match="beyond 32 bits"):
        cabacus.encode_levels(np.array([2**40]), step=0.5)
    with pytest.raises(InputError) as caught:
        cabacus.encode_levels(np.array([1]), step=0)
    assert caught.value.field == "step"


def test_threads_change_nothing() -> None:
    levels = geometric(300, 200)
    assert cabacus.encode_levels(levels, threads=1) == cabacus.encode_levels(levels, threads=3)
