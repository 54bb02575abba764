"""inspect, verify and estimate: what they say agrees with what compress reported and decompress gives."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import cabacus
from cabacus.errors import InputError


def weights(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).laplace(0, 0.05, shape).astype(np.float32)


MODEL: dict[str, Any] = {
    "conv": weights(40, 5, 3, 3),
    "fc": weights(90, 110, seed=1),
    "bias": weights(90, seed=2),
    "steps": np.arange(3),
    "tied": weights(30, 20, seed=3),
    "again": weights(30, 20, seed=3),
}


@pytest.fixture(scope="module")
def compressed() -> cabacus.Compressed:
    return cabacus.compress(MODEL, snr_db=28, metadata={"a": "b"})


def test_inspection_agrees_with_the_report(compressed: cabacus.Compressed) -> None:
    inspection, report = cabacus.inspect(compressed.data), compressed.report
    assert (inspection.bytes, inspection.ratio) == (report.bytes, report.ratio)
    assert inspection.metadata == {"a": "b"}
    for row, reported in zip(inspection.tensors, report.tensors, strict=True):
        for name in ("name", "dtype", "shape", "coding", "parameters", "bytes", "original_bytes"):
            assert getattr(row, name) == getattr(reported, name), name
        if row.coding == "levels" and reported.lossy:
            assert row.step == reported.step
            assert row.details.keys() >= {"n", "context", "lanes", "slices"}
    assert json.dumps(inspection.to_json())
    assert inspection.table()


def test_verification_agrees_with_the_report(compressed: cabacus.Compressed) -> None:
    verification = cabacus.verify(compressed.data, MODEL)
    assert verification.ok
    assert verification.compared
    for row, reported in zip(verification.tensors, compressed.report.tensors, strict=True):
        assert row.exact is not reported.lossy
        assert row.snr_db == pytest.approx(reported.snr_db)
        assert row.mse == pytest.approx(reported.mse)
        assert row.max_abs_error == reported.max_abs_error


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"bias": weights(91)}, r"its shape was \(91,\)"),
        ({"fc": weights(90, 110).astype(np.float64)}, "its type was float64"),
        ({"steps": np.arange(1, 4)}, "its elements are others"),
        ({"fc": np.full((90, 110), np.nan, np.float32)}, "NaN"),
    ],
)
def test_what_does_not_fit_the_original_is_told(compressed: cabacus.Compressed, changes: Any, what: str) -> None:
    verification = cabacus.verify(compressed.data, MODEL | changes)
    assert not verification.ok
    (row,) = [row for row in verification.tensors if row.error]
    assert row.name in changes
    assert re.search(what, row.error or "")


def test_missing_and_further_tensors_are_told(compressed: cabacus.Compressed) -> None:
    more = cabacus.verify(compressed.data, MODEL | {"new": weights(2)})
    assert not more.ok
    assert "'new'" in (more.error or "")
    fewer = cabacus.verify(compressed.data, {name: MODEL[name] for name in MODEL if name != "fc"})
    assert [row.name for row in fewer.tensors if row.error] == ["fc"]


def test_the_original_may_be_a_compressed_file(compressed: cabacus.Compressed) -> None:
    verification = cabacus.verify(compressed.data, compressed.data)
    assert all(row.exact for row in verification.tensors)


def test_a_file_that_is_none_is_told_and_not_raised() -> None:
    assert not cabacus.verify(b"nothing").ok
    assert not cabacus.verify(b"nothing", MODEL).tensors
    with pytest.raises(OSError, match="nowhere"):
        cabacus.verify("nowhere")


@pytest.mark.parametrize("options", [{"snr_db": 30}, {"step": 0.01}, {"max_abs_error": 0.01}, {"ratio": 9}])
def test_an_estimate_is_near(options: Any) -> None:
    tensors = {"large": weights(900, 400), "small": weights(50, 60, seed=5), "bias": weights(900, seed=6)}
    estimate, report = cabacus.estimate(tensors, **options), cabacus.compress(tensors, **options).report
    assert estimate.bytes == pytest.approx(report.bytes, rel=0.03)
    assert estimate.snr_db == pytest.approx(report.snr_db, abs=0.3)
    assert estimate.original_bytes == report.original_bytes
    assert estimate.bits_per_weight == pytest.approx(report.bits_per_weight, rel=0.03)
    assert json.dumps(estimate.to_json())


def test_estimates_of_exact_tensors_and_bad_options() -> None:
    assert cabacus.estimate({"b": weights(5)}).snr_db == math.inf
    for options in ({"evaluate": len}, {"snr": 5}):
        with pytest.raises(InputError) as caught:
            cabacus.estimate(MODEL, **options)
        assert caught.value.field in options
