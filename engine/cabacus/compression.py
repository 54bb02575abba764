"""compress: tensors in, a file and a report out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cabacus.archive import tensors_of
from cabacus.errors import InputError
from cabacus.exact import Coded, code_exactly, least_bytes
from cabacus.files import Source, Tensors, atomic_writer, read
from cabacus.jobs import Job, Made
from cabacus.judging import judge
from cabacus.limits import DEFAULT_LIMITS
from cabacus.options import Candidates, Distortion, Effort, Options, Quantizer
from cabacus.outcomes import Choice
from cabacus.parallel import each
from cabacus.planning import Plan, plan
from cabacus.pooling import share_starts
from cabacus.progress import Tally
from cabacus.report import Report
from cabacus.reporting import report_of
from cabacus.search import search

__all__ = ["Compressed", "compress", "load"]


@dataclass(frozen=True, slots=True, eq=False)
class Compressed:
    """What `compress` returns: the file as bytes, and the report.

    >>> compressed = compress({"w": np.eye(2, dtype=np.float32)}, step=0.5)
    >>> len(compressed.data) == compressed.report.bytes
    True
    """

    data: bytes
    report: Report

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        with atomic_writer(path) as file:
            file.write(self.data)


def compress(
    tensors: Mapping[str, Any] | Source,
    *,
    snr_db: float | None = None,
    bits_per_weight: float | None = None,
    ratio: float | None = None,
    max_bytes: int | None = None,
    max_abs_error: float | None = None,
    step: float | None = None,
    s: int | None = None,
    evaluate: Callable[[Tensors], Any] | None = None,
    sigma: Mapping[str, Any] | Source | None = None,
    importance: Mapping[str, Any] | Source | None = None,
    lam: float | None = None,
    rate_weight: float | None = None,
    quantizer: Quantizer | None = None,
    candidates: Candidates | None = None,
    effort: Effort | None = None,
    distortion: Distortion | None = None,
    rules: Iterable[object] | None = None,
    metadata: Mapping[str, str] | None = None,
    base: Mapping[str, Any] | Source | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Compressed:
    """Return tensors compressed, with a report of what that cost. Nothing of the input is changed.

    `tensors` maps names to arrays of any shape and type, or is a file of tensors (a path, a binary file object, bytes).
    Floating tensors with two dimensions above 1 are quantized; all others are stored exactly. Names, order, types,
    shapes and metadata survive. Equal input gives equal bytes, on every platform and for every number of threads.

    Targets, one at most; the default is an `snr_db` of 50:
        snr_db: 10 log10(sum eta w^2 / sum eta e^2) over the quantized tensors, in decibels, reached within 0.1 above.
        bits_per_weight, ratio, max_bytes: of the whole file: 8 x bytes / elements, original bytes / bytes, bytes.
        max_abs_error: no weight changes by more.
        step: this step in every quantized tensor.
        s: S of eq. 2; each tensor's step is 2 |w_max| / (2 |w_max| / sigma_min + S). Needs `sigma`.
        evaluate: called with the decoded tensors; the coarsest quantization that it accepts is taken. It returns True
            or False, or a score that must not fall below that of the original.

    sigma: standard deviation of each weight; eta = 1 / sigma^2 replaces what `distortion` says.
    importance: eta of each weight, times what `distortion` says. Both are arrays of the weights' names and shapes.
    lam, rate_weight: the trade of eq. 1, eta e^2 + lam R, or in units of the step, (eta / mean eta) e^2 +
        rate_weight step^2 R, R in bits.
    quantizer: "round" (nearest level), "greedy" (eq. 1, one weight after the other), "trellis" (dependent), or "auto":
        the trellis where a search sets the step, greedy where the step or all candidates are given, rounding within
        `max_abs_error`.
    candidates: "near", or "all" levels, as eq. 1 has it.
    effort: "fast", "default" or "max": how many parameters of the coder are tried.
    distortion: how errors of different tensors compare: "balanced" (eta of a tensor 1 / (rms x weights), weights times
        the square of the share that is not zero), "absolute" (all the same) or "relative" (1 / rms^2).
    rules: (glob, {option: value}) pairs, the last one that matches wins; see `cabacus.rules`. A rule with `keep` stores
        a tensor exactly, NaN and all; `step` and `snr_db` set a tensor apart from the model's target.
    metadata: pairs of strings to store instead of those of `tensors`.
    base: tensors of the same names, to which only differences are stored, where that is less; decompressing needs it.
    threads: defaults to the processors at hand.
    progress: called with (steps done, steps in all), from any thread; a `cabacus.Progress` hears of tensors and bytes.

    Raises InputError, which names the tensor, the index or the option at fault; OSError and FormatError for files.

    >>> weights = np.linspace(-1, 1, 12000, dtype=np.float32).reshape(100, 120)
    >>> compressed = compress({"fc.weight": weights, "fc.bias": np.ones(100)}, snr_db=30)
    >>> 30 <= compressed.report.snr_db <= 30.1
    True
    >>> cabacus.decompress(compressed.data)["fc.bias"].sum()
    np.float64(100.0)
    """
    given = {name: value for name, value in locals().items() if name != "tensors"}
    return _compress(load(tensors), Options.build(**given))


def load(tensors: Mapping[str, Any] | Source) -> Tensors:
    """Return the tensors of a mapping or of a file of tensors.

    >>> load({"w": np.zeros(2)}).keys()
    dict_keys(['w'])
    """
    return Tensors.of(tensors) if isinstance(tensors, Mapping) else read(tensors)


def _compress(model: Tensors, options: Options) -> Compressed:
    started = time.perf_counter()
    base = None if options.base is None else tensors_of(options.base)
    planned = plan(model, options, base)
    meter = _Meter(options.progress, planned)
    made = _make_all(planned, meter)
    coded = {
        name: made[name].coded if name in made else planned.exact[name] for name in model if name not in planned.aliases
    }
    pinned = {name for name, one in made.items() if one.job.coding.manner.fixed}
    free = {name: one for name, one in coded.items() if name not in pinned}
    coded |= dict(zip(free, share_starts(free.values()), strict=True))
    header = planned.header({name: coded[name].record for name in made})
    if len(header) > DEFAULT_LIMITS.header_bytes:
        raise InputError(
            f"names, shapes and metadata take {len(header)} bytes; readers refuse more than "
            f"{DEFAULT_LIMITS.header_bytes}",
            field="metadata",
        )
    data = b"".join([header, *(piece for one in coded.values() for piece in one.pieces)])
    if planned.budget is not None and len(data) > planned.budget:
        raise planned.over_budget(len(data))
    meter.finish()
    return Compressed(data, report_of(planned, coded, made, len(data), time.perf_counter() - started))


def _make_all(planned: Plan, meter: _Meter) -> dict[str, Made]:
    """Quantize until what is found to be better off exact is so, and the target is reached by the others."""
    while True:
        choices = _decide(planned, meter.passed)

        def work(job: Job, threads: int, choices: dict[str, Choice] = choices) -> Made:
            made = choices[job.name].made(job, threads)
            meter.made(job)
            return made

        jobs = list(planned.jobs.values())
        made = dict(zip(planned.jobs, each(work, jobs, [job.size for job in jobs], planned.threads), strict=True))
        kept = {name: coded for name, one in made.items() if (coded := _better_exact(one)) is not None}
        for name, coded in kept.items():
            planned.keep(name, coded)
            del made[name]
        if not kept or not _is_off(planned, made):
            return made


def _is_off(planned: Plan, made: dict[str, Made]) -> bool:
    """Whether the target is missed by what is left of the quantized tensors."""
    if planned.budget is not None:
        return planned.file_bytes({name: one.coded.record for name, one in made.items()}) > planned.budget
    return planned.options.target.name == "snr_db"


def _decide(planned: Plan, watch: Callable[[], object]) -> dict[str, Choice]:
    jobs = list(planned.jobs.values())
    if planned.options.target.name != "evaluate":
        return search(planned, jobs, watch)
    free = [job for job in jobs if job.step is None and job.snr_db is None]
    settled = search(planned, [job for job in jobs if job.step is not None or job.snr_db is not None], watch)
    return settled | (judge(planned, free, settled, watch) if free else {})


def _better_exact(made: Made) -> Coded | None:
    """The tensor exactly, where quantization costs as much, or went out of range or bounds."""
    job, coded = made.job, made.coded
    failed = not made.difference.finite or (job.bound is not None and made.difference.largest > job.bound)
    # A step that was asked for is kept: its levels may be wanted.
    if not failed and (job.step is not None or coded.bytes < least_bytes(job.tensor)):
        return None
    exact = code_exactly(job.name, job.tensor, job.coding.manner)
    return exact if failed or exact.bytes <= coded.bytes else None


class _Meter:
    """Progress in weights: the search counts as one half, which it fills by half of the rest a pass.

    And in tensors: exact ones are done from the start, others once they are coded for good.
    """

    def __init__(self, report: Callable[[int, int], object] | None, planned: Plan) -> None:
        self._report = report
        self._tally = Tally(report, planned.sizes, planned.aliases)
        self._tally.done(planned.exact)
        self._half = max(planned.weights, 1)
        self._done = 0
        self._lock = threading.Lock()

    def passed(self) -> None:
        """A pass of the search is over."""
        self._move((self._half - self._done) // 2 if self._done < self._half else 0)

    def made(self, job: Job) -> None:
        """A tensor is coded for good."""
        self._tally.done([job.name])
        with self._lock:
            self._done = max(self._done, self._half)
        self._move(job.size)

    def finish(self) -> None:
        """All is done."""
        self._tally.finish()
        self._move(2 * self._half)

    def _move(self, weights: int) -> None:
        with self._lock:
            self._done = min(self._done + weights, 2 * self._half)
            done = self._done
        if self._report is not None:
            self._report(done, 2 * self._half)
