"""sweep: rate and distortion over S of eq. 2, as the paper probes it, and the S to choose.

A point costs a full encoding, and S = 0 .. 256 would be 257 of them. So each tensor is encoded at four steps, spread
evenly in log step over those that the sweep visits; size and distortion of the others are read off a monotone cubic
through these. The chosen point is encoded itself. Up to five points are all encoded.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cabacus import _core, checks, measures
from cabacus.compression import load
from cabacus.files import Source, Tensors
from cabacus.interpolation import Interpolation
from cabacus.jobs import Job, try_step
from cabacus.judging import made_model
from cabacus.options import Candidates, Distortion, Effort, Options, Quantizer
from cabacus.outcomes import Choice
from cabacus.parallel import each
from cabacus.planning import Plan, equation_2, plan
from cabacus.progress import Tally
from cabacus.report import Curve, CurvePoint
from cabacus.search import search
from cabacus.tables import rate

__all__ = ["sweep"]

_EXACT = 5
"""Points up to which each is encoded."""
_KNOTS = 4
_SCORES = 17
"""Points that a callback scores at first; more follow around the best."""


def sweep(
    tensors: Mapping[str, Any] | Source,
    *,
    sigma: Mapping[str, Any] | Source | None = None,
    s: int | Iterable[int] = range(257),
    evaluate: Callable[[Tensors], float] | None = None,
    importance: Mapping[str, Any] | Source | None = None,
    lam: float | None = None,
    rate_weight: float | None = None,
    quantizer: Quantizer | None = None,
    candidates: Candidates | None = None,
    effort: Effort | None = None,
    distortion: Distortion | None = None,
    rules: Iterable[object] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Curve:
    """Return size and distortion of a model for each S, with the step of each tensor by eq. 2 of the paper.

    `tensors`, `sigma` and the options are those of `compress`. `s` are integers; S below 0 gives steps above the
    smallest sigma. The best S is, by `criterion`: with `evaluate`, a function of the decoded tensors, the one of the
    highest "score", and the smaller file among equals; with `lam`, of least "sum eta e^2 + lambda R"; else the one of
    least "bytes". A callback scores every point of up to 17, else 17 of them and more around the best; other points
    have a score of None. Points that are not encoded are interpolated, to about 1 % in bytes.

    Raises InputError: without sigma, and for an S that gives a tensor no positive step.

    >>> weights = np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)
    >>> curve = sweep({"w": weights}, sigma={"w": np.full((20, 20), 0.1)}, s=[0, 20])
    >>> [round(point.steps["w"], 6) for point in curve.points]
    [0.1, 0.05]
    """
    points = _points(s)
    options = Options.build(
        s=points[0],
        sigma=sigma,
        importance=importance,
        lam=lam,
        rate_weight=rate_weight,
        quantizer=quantizer,
        candidates=candidates,
        effort=effort,
        distortion=distortion,
        rules=rules,
        threads=threads,
        progress=progress,
    )
    family = _Family(plan(load(tensors), options), points)
    if evaluate is not None:
        return _scored(family, evaluate)
    family.measure()
    criterion = "bytes" if lam is None else "sum eta e^2 + lambda R"

    def cost(point: CurvePoint) -> float:
        return point.bytes if lam is None else point.weighted_distortion + lam * 8 * point.bytes

    curve = [family.roughly(one) for one in points]
    best = min(curve, key=cost)
    found = tuple(family.exactly(point.s) if point is best else point for point in curve)
    family.finish()
    return Curve(points=found, best_s=best.s, criterion=criterion)


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a tensor comes to at a step: bytes of its slices, sum eta e^2, and its record there or nearby."""

    bytes: float
    weighted: float
    record: _core.Record


class _Family:
    """The points of a sweep over a model: the steps of each S, and what was measured at some of them."""

    def __init__(self, planned: Plan, points: list[int]) -> None:
        self.plan = planned
        self.points = points
        self._settled = search(planned, [job for job in planned.jobs.values() if job.s is None])
        self.steps = {name: _steps(job, points) for name, job in planned.jobs.items() if job.s is not None}
        """By tensor and S."""
        self._known: dict[str, dict[float, _Figures]] = {name: {} for name in planned.jobs}
        """By tensor and step."""
        self._done, self._total = 0, 0
        self._lock = threading.Lock()
        self._tally = Tally(planned.options.progress, planned.sizes, planned.aliases)
        self._tally.done(planned.exact)

    def choices(self, s: int) -> dict[str, Choice]:
        """Return the steps and quantizers of all tensors at S."""
        jobs = self.plan.jobs
        return self._settled | {name: Choice(steps[s], jobs[name].coding.tool) for name, steps in self.steps.items()}

    def measure(self) -> None:
        """Encode each tensor at so many of its steps that the others can be told from them."""
        wanted = [(name, choice) for name, choice in self._settled.items()]
        for name, steps in self.steps.items():
            tool = self.plan.jobs[name].coding.tool
            wanted += [(name, Choice(step, tool)) for step in _knots(sorted(set(steps.values())))]
        self._total = len(wanted) + len(self.plan.jobs)
        self._try(wanted, self._total)

    def exactly(self, s: int) -> CurvePoint:
        """Return the point of S, encoded."""
        choices = self.choices(s)
        self._try([(name, one) for name, one in choices.items() if one.step not in self._known[name]], self._done)
        return self._point(s, {name: self._known[name][one.step] for name, one in choices.items()})

    def finish(self) -> None:
        """All is done, even if the best point was encoded before."""
        self._report(max(self._total - self._done, 0), self._total)

    def roughly(self, s: int) -> CurvePoint:
        """Return the point of S, read off the curves of its tensors where it was not encoded."""
        return self._point(s, {name: _between(self._known[name], one.step) for name, one in self.choices(s).items()})

    def scored(self, s: int, evaluate: Callable[[Tensors], float]) -> CurvePoint:
        """Return the point of S, encoded, decoded and scored."""
        choices = self.choices(s)
        tensors, made = made_model(self.plan, choices)
        for name, one in made.items():
            figures = _Figures(one.coded.bytes, one.difference.weighted, one.coded.record)
            self._known[name][choices[name].step] = figures
        self._report(1, _SCORES)
        return replace(self.exactly(s), score=float(evaluate(tensors)))

    def _point(self, s: int, figures: Mapping[str, _Figures]) -> CurvePoint:
        jobs = self.plan.jobs
        weighted = math.fsum(jobs[name].weight * jobs[name].copies * one.weighted for name, one in figures.items())
        energy = math.fsum(job.weight * job.copies * job.weighted_energy for job in jobs.values())
        header = len(self.plan.header({name: one.record for name, one in figures.items()}))
        exact = sum(coded.bytes for coded in self.plan.exact.values())
        size = round(header + exact + math.fsum(one.bytes for one in figures.values()))
        return CurvePoint(
            s=s,
            steps={name: choice.step for name, choice in self.choices(s).items()},
            bytes=size,
            bits_per_weight=rate(size, self.plan.weights),
            snr_db=measures.decibels(energy, weighted),
            weighted_distortion=weighted,
        )

    def _try(self, wanted: Sequence[tuple[str, Choice]], total: int) -> None:
        left = Counter(name for name, _ in wanted)

        def attempt(one: tuple[str, Choice], threads: int) -> _Figures:
            name, choice = one
            trial = try_step(self.plan.jobs[name].eased(choice.ease), choice.step, choice.tool, threads, exact=True)
            with self._lock:
                left[name] -= 1
                last = not left[name]
            if last:
                self._tally.done([name])
            self._report(1, total)
            return _Figures(trial.bytes, trial.weighted, trial.record)

        sizes = [self.plan.jobs[name].size for name, _ in wanted]
        for (name, choice), figures in zip(wanted, each(attempt, wanted, sizes, self.plan.threads), strict=True):
            self._known[name][choice.step] = figures

    def _report(self, steps: int, total: int) -> None:
        with self._lock:
            self._done += steps
            done = self._done
        if self.plan.options.progress is not None:
            self.plan.options.progress(done, max(done, total))


def _points(s: int | Iterable[int]) -> list[int]:
    given = [s] if isinstance(s, int) else list(s)
    points = [checks.integer(point, "s", low=-(1 << 31), high=(1 << 31) - 1) for point in given]
    if not points:
        raise checks.refusal(s, "s", "one integer or more")
    return list(dict.fromkeys(points))


def _steps(job: Job, points: Sequence[int]) -> dict[int, float]:
    """The step of a tensor at each S."""
    largest = measures.moments(job.weights()).largest
    least = job.weighing.least_sigma(job.name, job.shape)
    return {s: job.usable(equation_2(job.name, largest, least, s)) for s in points}


def _knots(steps: Sequence[float]) -> list[float]:
    """Of increasing steps, all where they are few, else some: the ends, and those nearest to an even spread between."""
    if len(steps) <= _EXACT:
        return list(steps)
    low, high = math.log(steps[0]), math.log(steps[-1])
    aims = [low + (high - low) * place / (_KNOTS - 1) for place in range(_KNOTS)]
    return sorted({min(steps, key=lambda step: abs(math.log(step) - aim)) for aim in aims})


def _between(known: Mapping[float, _Figures], step: float) -> _Figures:
    """The figures of a tensor at a step between those that were measured."""
    if step in known:
        return known[step]
    steps = sorted(known)
    x = [math.log(one) for one in steps]
    at = math.log(step)
    size = Interpolation(x, [known[one].bytes for one in steps])(at)
    errors = [known[one].weighted for one in steps]
    if min(errors) > 0.0:
        weighted = math.exp(Interpolation(x, [math.log(one) for one in errors])(at))
    else:
        weighted = Interpolation(x, errors)(at)
    nearest = min(steps, key=lambda one: abs(math.log(one) - at))
    return _Figures(size, weighted, known[nearest].record)


def _scored(family: _Family, evaluate: Callable[[Tensors], float]) -> Curve:
    """The curve of the points that the callback scored: all where they are few, else some, and more around the best."""
    points = sorted(family.points)
    found: dict[int, CurvePoint] = {}

    def score(places: Iterable[int]) -> None:
        for place in places:
            if place not in found:
                found[place] = family.scored(points[place], evaluate)

    last = len(points) - 1
    count = min(len(points), _SCORES)
    score(round(place * last / max(count - 1, 1)) for place in range(count))
    while True:
        best = max(found, key=lambda place: (found[place].score, -found[place].bytes))
        below = max((place for place in found if place < best), default=best)
        above = min((place for place in found if place > best), default=best)
        more = [place for place in ((below + best) // 2, (best + above + 1) // 2) if place not in found]
        if not more:
            break
        score(more)
    ordered = [found[place] if (place := points.index(s)) in found else family.roughly(s) for s in family.points]
    return Curve(points=tuple(ordered), best_s=points[best], criterion="score")
