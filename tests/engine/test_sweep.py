"""sweep: the steps of eq. 2, figures near to what compress comes to, few encodings, few evaluations."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import cabacus
from cabacus import sweeping
from cabacus.errors import InputError


def weights(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).laplace(0, 0.05, shape).astype(np.float32)


MODEL: dict[str, Any] = {"a": weights(60, 80), "b": weights(50, 7, 3, seed=1), "bias": weights(60, seed=2)}
SIGMA = {
    name: np.random.default_rng(3).uniform(least, 0.2, MODEL[name].shape) for name, least in (("a", 0.02), ("b", 0.04))
}
OPTIONS: dict[str, Any] = {"sigma": SIGMA, "quantizer": "greedy"}


@pytest.fixture(scope="module")
def curve() -> cabacus.Curve:
    return cabacus.sweep(MODEL, **OPTIONS)


def test_the_paper_s_points_are_the_default(curve: cabacus.Curve) -> None:
    assert [point.s for point in curve.points] == list(range(257))
    assert json.dumps(curve.to_json(), allow_nan=False)
    assert "best by bytes" in curve.table()


def test_steps_are_those_of_equation_2(curve: cabacus.Curve) -> None:
    for name, sigma in SIGMA.items():
        twice, least = 2 * float(np.abs(MODEL[name]).max()), float(sigma.min())
        for point in curve.points[::32]:
            assert point.steps[name] == pytest.approx(twice / (twice / least + point.s), rel=1e-6)


def test_figures_are_near_to_those_of_compress(curve: cabacus.Curve) -> None:
    for point in (*curve.points[::50], curve.best):
        report = cabacus.compress(MODEL, s=point.s, **OPTIONS).report
        assert point.bytes == pytest.approx(report.bytes, rel=0.015)
        assert point.snr_db == pytest.approx(report.snr_db, abs=0.4)
        assert point.weighted_distortion == pytest.approx(report.weighted_distortion, rel=0.1)
    assert curve.best.bytes == cabacus.compress(MODEL, s=curve.best_s, **OPTIONS).report.bytes
    assert curve.best.bytes == min(point.bytes for point in curve.points)


def test_257_points_cost_five_encodings_of_each_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = sweeping.try_step

    def counted(job: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(job.name)
        return original(job, *arguments, **options)

    monkeypatch.setattr(sweeping, "try_step", counted)
    cabacus.sweep(MODEL, **OPTIONS)
    assert max(seen.count(name) for name in SIGMA) <= 5


def test_few_points_are_exact_and_keep_their_order() -> None:
    curve = cabacus.sweep(MODEL, s=[40, -1, 7, 40], **OPTIONS)
    assert [point.s for point in curve.points] == [40, -1, 7]
    for point in curve.points:
        report = cabacus.compress(MODEL, s=point.s, **OPTIONS).report
        assert (point.bytes, point.bits_per_weight) == (report.bytes, report.bits_per_weight)
    assert len(cabacus.sweep(MODEL, s=9, **OPTIONS).points) == 1


def test_lambda_chooses_by_eq_1() -> None:
    size = {point.s: point.bytes for point in cabacus.sweep(MODEL, s=(0, 20, 60, 200), lam=0.5, **OPTIONS).points}
    curve = cabacus.sweep(MODEL, s=(0, 20, 60, 200), lam=0.5, **OPTIONS)
    costs = {point.s: point.weighted_distortion + 0.5 * 8 * size[point.s] for point in curve.points}
    assert curve.best_s == min(costs, key=lambda s: costs[s])
    assert curve.criterion == "sum eta e^2 + lambda R"


def test_a_callback_scores_exactly_and_rarely() -> None:
    seen: list[float] = []

    def score(tensors: cabacus.Tensors) -> float:
        seen.append(float(np.sum((tensors["a"] - MODEL["a"]) ** 2)))
        assert list(tensors) == list(MODEL)
        return -abs(math.log(seen[-1] / 0.2))

    curve = cabacus.sweep(MODEL, evaluate=score, **OPTIONS)
    assert len(seen) <= 30
    assert curve.criterion == "score"
    assert len([point for point in curve.points if point.score is not None]) == len(seen)
    decoded = cabacus.decompress(cabacus.compress(MODEL, s=curve.best_s, **OPTIONS).data)
    assert score(decoded) == curve.best.score
    assert curve.best.score is not None
    assert curve.best.score > -0.2
    assert all(point.score <= curve.best.score for point in curve.points if point.score is not None)


def test_among_equal_scores_the_smaller_file_is_best() -> None:
    curve = cabacus.sweep(MODEL, s=range(0, 40, 4), evaluate=lambda tensors: 1.0, **OPTIONS)
    assert all(point.score == 1.0 for point in curve.points)
    assert curve.best.bytes == min(point.bytes for point in curve.points)


def test_a_sweep_needs_sigma_and_says_how_to_get_one() -> None:
    with pytest.raises(InputError, match="Fisher") as caught:
        cabacus.sweep(MODEL)
    assert caught.value.field == "sigma"


@pytest.mark.parametrize(
    ("s", "what"), [([], "one integer or more"), ([0, -(10**6)], "no positive step"), ([0.5], "integer")]
)
def test_points_that_cannot_be_are_refused(s: Any, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        cabacus.sweep(MODEL, s=s, **OPTIONS)
    assert caught.value.field == "s"


def test_rules_hold_in_a_sweep() -> None:
    curve = cabacus.sweep(MODEL, s=range(0, 200, 10), rules=["b:keep"], **OPTIONS)
    assert set(curve.points[0].steps) == {"a"}
    apart = cabacus.sweep(MODEL, s=(0, 100), rules=["b:step=0.01"], **OPTIONS)
    assert {point.steps["b"] for point in apart.points} == {float(np.float32(0.01))}


def test_progress_of_a_sweep_ends_at_its_end() -> None:
    seen: list[tuple[int, int]] = []
    cabacus.sweep(MODEL, progress=lambda done, total: seen.append((done, total)), **OPTIONS)
    assert seen
    assert all(0 < done <= total for done, total in seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_sweep_is_the_same_for_any_number_of_threads(curve: cabacus.Curve) -> None:
    for threads in (1, 4):
        assert cabacus.sweep(MODEL, threads=threads, **OPTIONS) == curve
