"""tune: sizes and scores over S and lambda, and the smallest file at an allowed loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cabacus import checks
from cabacus.archive import decompress
from cabacus.archive import open as open_archive
from cabacus.comparison import compare
from cabacus.compression import Compressed, compress, load
from cabacus.errors import InputError
from cabacus.files import Source, Tensors
from cabacus.tuning.result import Tuning, TuningPoint

__all__ = ["RATE_WEIGHTS", "tune"]

RATE_WEIGHTS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
"""With eta = 1 / sigma^2 most weights have an eta far below the mean, and a weight above 1 is no exaggeration."""
_SPREAD = 5
"""Points of S that are tried at first for each rate weight."""


def tune(
    tensors: Mapping[str, Any] | Source,
    *,
    sigma: Mapping[str, Any] | Source,
    evaluate: Callable[[Tensors], float],
    s: Iterable[int] = range(257),
    bits_per_weight: Sequence[float] | None = None,
    rate_weights: Sequence[float] = RATE_WEIGHTS,
    max_loss: float = 0.0,
    progress: Callable[[TuningPoint], object] | None = None,
    **options: Any,
) -> Tuning:
    """Return the smallest file whose score is within `max_loss` of the original's, and the curve that led there.

    `tensors`, `sigma` and the further `options` are those of `compress`. `evaluate(tensors)` returns a score, the
    higher the better; use data on which nothing else is judged. `s` are the candidates of eq. 2's S, `rate_weights`
    those of lambda in units of the step. For each rate weight some S of an even spread are encoded, decoded and scored;
    then S is halved in around the best until its neighbours are known. Scores are noisy: look at the curve.

    `bits_per_weight` are sizes to try instead of S: all steps then follow from sigma and one slope, better where the
    smallest sigma of a tensor says little of it, as with a Fisher information of few samples.

    Raises InputError for options that `compress` refuses, and for a score that is not a number.

    >>> weights = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    >>> sigma = {"w": np.full((40, 50), 0.1, np.float32)}
    >>> tuning = tune({"w": weights}, sigma=sigma, evaluate=lambda found: -np.abs(found["w"] - weights).mean(),
    ...     s=range(-20, 21, 10), rate_weights=[0.0], max_loss=0.03)
    >>> tuning.met, tuning.best.s
    (True, -10)
    """
    model = load(tensors)
    known_sigma = load(sigma)
    knob, candidates = _candidates(s, bits_per_weight)
    weights = sorted({checks.number(one, "rate_weights") for one in rate_weights})
    if not candidates or not weights:
        raise InputError("there is nothing to try; pass one S and one rate weight at least", field=knob)
    loss = checks.number(max_loss, "max_loss")
    reference = _score(evaluate, model)
    found: dict[tuple[float, int], TuningPoint] = {}

    def encode(weight: float, place: int) -> Compressed:
        return compress(model, sigma=known_sigma, rate_weight=weight, **{knob: candidates[place]}, **options)

    def attempt(weight: float, place: int) -> None:
        if (weight, place) not in found:
            one = encode(weight, place)
            point = _point(one, weight, _score(evaluate, Tensors(decompress(one.data), {})))
            found[weight, place] = replace(point, **{knob: candidates[place]})
            if progress is not None:
                progress(found[weight, place])

    def best() -> tuple[float, int]:
        return min(found, key=lambda key: _rank(found[key], reference - loss))

    last = len(candidates) - 1
    for weight in weights:
        for step in range(min(_SPREAD, last + 1)):
            attempt(weight, round(step * last / max(min(_SPREAD, last + 1) - 1, 1)))
    while True:
        weight, place = best()
        tried = [other for known, other in found if known == weight]
        below = max((other for other in tried if other < place), default=place)
        above = min((other for other in tried if other > place), default=place)
        more = {(below + place) // 2, (place + above + 1) // 2} - set(tried)
        if not more:
            break
        for other in sorted(more):
            attempt(weight, other)
    chosen = found[weight, place]
    compressed = encode(weight, place)
    return Tuning(
        points=tuple(sorted(found.values(), key=lambda point: point.bytes)),
        best=chosen,
        met=chosen.score >= reference - loss,
        reference=reference,
        max_loss=loss,
        original_bytes=compressed.report.original_bytes,
        compressed=compressed,
        comparison=compare(_levels(compressed)),
    )


def _candidates(s: Iterable[int], sizes: Sequence[float] | None) -> tuple[str, list[Any]]:
    """The knob that is turned, and its values in order."""
    if sizes is not None:
        return "bits_per_weight", sorted({checks.number(one, "bits_per_weight", above=True) for one in sizes})
    return "s", sorted({checks.integer(one, "s", low=-(1 << 31), high=(1 << 31) - 1) for one in s})


def _rank(point: TuningPoint, least: float) -> tuple[bool, float, float]:
    """What is acceptable comes first, by size; the rest by score."""
    return (False, point.bytes, -point.score) if point.score >= least else (True, -point.score, point.bytes)


def _score(evaluate: Callable[[Tensors], float], tensors: Tensors) -> float:
    score = float(evaluate(tensors))
    if not np.isfinite(score):
        raise InputError(f"evaluate gave {score}; return a finite number", field="evaluate")
    return score


def _point(compressed: Compressed, rate_weight: float, score: float) -> TuningPoint:
    report = compressed.report
    lossy = [row for row in report.tensors if row.lossy]
    return TuningPoint(
        rate_weight=rate_weight,
        bytes=report.bytes,
        lossy_bytes=sum(row.bytes for row in lossy),
        density=sum(row.nonzero for row in lossy) / max(1, sum(row.parameters for row in lossy)),
        snr_db=report.snr_db,
        score=score,
    )


def _levels(compressed: Compressed) -> dict[str, Any]:
    archive = open_archive(compressed.data)
    return {row.name: archive.levels(row.name)[0] for row in compressed.report.tensors if row.lossy}
