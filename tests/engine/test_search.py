"""How a target is reached: with how much work, and that the file is what the search has seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import cabacus
from cabacus import jobs
from cabacus.compression import load
from cabacus.jobs import sampled
from cabacus.options import Options
from cabacus.planning import plan

Model = dict[str, Any]


def network(sizes: int = 6, sparse: float = 0.0) -> Model:
    """Matrices of 192 x 512 with rows of unequal scales."""
    random = np.random.default_rng(5)
    model: Model = {}
    for place in range(sizes):
        weights = random.standard_normal((192, 512)) * np.exp(0.3 * random.standard_normal((192, 1))) / (place + 1)
        weights[random.random(weights.shape) < sparse] = 0
        model[f"layer{place}"] = weights.astype(np.float32)
    return model


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Weights of each encoding, as they are made."""
    seen: list[int] = []
    original = jobs._encode

    def counted(job: jobs.Job, *arguments: Any, **options: Any) -> Any:
        seen.append(round(job.size / job.share))
        return original(job, *arguments, **options)

    monkeypatch.setattr(jobs, "_encode", counted)
    return seen


@pytest.mark.parametrize("target", [{"snr_db": 24}, {"bits_per_weight": 2.5}, {"max_bytes": 150_000}, {"ratio": 12}])
def test_a_large_model_is_coded_little_more_than_twice(target: dict[str, Any], coded: list[int]) -> None:
    model = network()
    report = cabacus.compress(model, **target, quantizer="trellis").report
    assert sum(coded) < 2.5 * report.parameters
    if "snr_db" in target:
        assert 24 <= report.snr_db <= 24.1
    else:
        budget = {"bits_per_weight": 2.5 * report.parameters / 8, "ratio": report.original_bytes / 12}
        limit = budget.get(next(iter(target)), 150_000)
        assert 0.98 * limit <= report.bytes <= limit


def test_the_file_is_what_the_search_has_seen(coded: list[int]) -> None:
    model = network(3)
    compressed = cabacus.compress(model, snr_db=30)
    before = len(coded)
    found = cabacus.decompress(compressed.data)
    error = sum(float(np.square(model[name] - found[name], dtype=np.float64).sum()) for name in model)
    energy = sum(float(np.square(model[name], dtype=np.float64).sum()) for name in model)
    assert compressed.report.plain_snr_db == pytest.approx(10 * np.log10(energy / error), abs=1e-6)
    assert len(coded) == before


def test_a_sample_has_rows_of_all_energies() -> None:
    model = network(1)
    job = plan(load(model), Options.build(snr_db=30)).jobs["layer0"]
    part = sampled(job, 1 << 13)
    assert part.rows is not None
    assert part.share == pytest.approx(192 / part.rows.size)
    assert part.energy == pytest.approx(job.energy, rel=0.2)
    assert sampled(part, 1 << 10) is part


def test_a_budget_far_above_what_a_sparse_tensor_needs() -> None:
    random = np.random.default_rng(0)
    weights = np.where(random.random((300, 200)) < 0.05, random.standard_normal((300, 200)), 0).astype(np.float32)
    report = cabacus.compress({"w": weights}, bits_per_weight=2.0).report
    assert report.bits_per_weight <= 2.0


def test_pruned_tensors_bear_less() -> None:
    dense = np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)
    pruned = np.where(np.arange(256) % 2, dense, 0).astype(np.float32)
    rows = {row.name: row for row in cabacus.compress({"a": dense, "b": pruned}, snr_db=20).report.tensors}
    a, b = rows["a"].step, rows["b"].step
    assert a is not None
    assert b is not None
    # rms falls by sqrt(2), the number counts a quarter.
    assert a / b == pytest.approx(np.sqrt(np.sqrt(2) * 4), rel=0.1)


@pytest.mark.parametrize("target", [{"snr_db": 24}, {"snr_db": 40}, {"step": 0.02}])
def test_an_estimate_is_within_a_per_cent(target: dict[str, Any]) -> None:
    model = network()
    found = cabacus.estimate(model, **target)
    assert found.bytes == pytest.approx(len(cabacus.compress(model, **target).data), rel=0.01)


def test_a_curve_has_the_estimate_of_every_target() -> None:
    model = network()
    curve = cabacus.estimate_curve(model, [24, 40], rate_weight=0.1)
    assert curve == tuple(cabacus.estimate(model, snr_db=target, rate_weight=0.1) for target in (24, 40))
    assert cabacus.estimate_curve(model, []) == ()


@pytest.mark.parametrize("snr_db", ["30", -1, math.nan])
def test_a_curve_names_the_field_that_is_wrong(snr_db: Any) -> None:
    with pytest.raises(cabacus.InputError) as caught:
        cabacus.estimate_curve(network(), [20, snr_db])
    assert caught.value.field == "snr_db"
