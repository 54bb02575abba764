"""Eq. 1 over three candidates a weight, against eq. 1 over all levels, as the paper prints it: what the gap is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cabacus import _core

RATE_WEIGHT = 0.115
STEP = 0.02


def cost(weights: npt.NDArray[np.float32], candidates: str) -> tuple[float, int]:
    """What eq. 1 minimises, in squared steps, and the bytes."""
    made = _core.encode_weights(
        weights.ravel(),
        columns=weights.shape[1],
        step=STEP,
        rate_weight=RATE_WEIGHT,
        quantizer="greedy",
        candidates=candidates,  # type: ignore[arg-type]
        coding=_core.LevelCoding(flags=9, prefixes=5, width=16, context=3, row_shift=4, column_shift=3, lanes=4),
    )
    return made.squared_error / STEP**2 + RATE_WEIGHT * 8 * len(made.payload), len(made.payload)


@pytest.mark.parametrize("scale", [0.01, 0.03, 0.1])
def test_near_candidates_cost_what_all_do_within_a_thousandth(
    scale: float, record_property: pytest.RecordProperty
) -> None:
    weights = np.random.default_rng(3).laplace(0, scale, (120, 150)).astype(np.float32)
    near, near_bytes = cost(weights, "near")
    every, every_bytes = cost(weights, "all")
    record_property("gap in cost", near / every - 1)
    record_property("bytes near, all", (near_bytes, every_bytes))
    print(
        f"scale {scale}: cost of near candidates {100 * (near / every - 1):+.4f} %, bytes {near_bytes} to {every_bytes}"
    )
    assert abs(near / every - 1) < 1e-3
