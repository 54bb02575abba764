"""The work itself: files in, a file, a report and its figures out. Pure functions around the engine; no HTTP, no queue.

It runs in a child process of the worker. What the data or the options are to blame for becomes a Refusal with a Failure
that names the fault and the remedy; anything else is a fault of ours and is raised as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

import cabacus
from cabacus.checking import inspection_of
from cabacus.errors import (
    BaseMismatchError,
    CabacusError,
    CorruptError,
    FormatError,
    InputError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from cabacus.service.job import Failure, Kind

Progress: TypeAlias = cabacus.Progress
"""Told of steps, tensors and bytes that are done, from any thread."""

SUMMARY = ("bytes", "original_bytes", "ratio", "bits_per_weight", "snr_db", "mse")
"""The figures of a report that go into the result's headers; an SNR of null means that everything is exact."""

LEVELS_SHOWN = 16
"""A histogram counts the levels from minus this to this one by one."""

MEDIA_TYPES = {
    "cabac": "application/vnd.cabacus",
    "safetensors": "application/vnd.safetensors",
    "npz": "application/vnd.numpy.npz",
    "npy": "application/vnd.numpy.npy",
}

_CODING = ("lambda", "rate_weight", "quantizer", "candidates", "effort", "distortion", "rule")
_TARGETS = ("snr_db", "bits_per_weight", "ratio", "max_bytes", "max_abs_error", "step", "s")
OPTIONS: dict[Kind, frozenset[str]] = {
    "compress": frozenset({*_TARGETS, *_CODING, "histogram", "base"}),
    "decompress": frozenset({"name", "format", "base"}),
    "inspect": frozenset({"base"}),
    "verify": frozenset({"base"}),
    "sweep": frozenset({"s", *_CODING}),
    "round": frozenset({"base", "round", "clients", "missing", "minimum"}),
}
"""The options of each kind of job beside `threads`, under their names in the API."""

_CODES: tuple[tuple[type[CabacusError], str], ...] = (
    (BaseMismatchError, "base_mismatch"),
    (LimitError, "limit_exceeded"),
    (UnsupportedError, "unsupported"),
    (TruncatedError, "truncated"),
    (CorruptError, "corrupt"),
    (FormatError, "invalid_format"),
)
_ENGINE_NAMES = {"lambda": "lam", "rule": "rules"}


@dataclass(frozen=True)
class Task:
    """One piece of work: local files by role, options under their API names, a folder for output, threads to use."""

    kind: Kind
    inputs: Mapping[str, Path]
    options: Mapping[str, Any]
    folder: Path
    threads: int | None = None


@dataclass(frozen=True)
class Product:
    """What came out. `report` and `result` are files in the task's folder; without `result` the report is the result.

    `extension` names the result's format; see MEDIA_TYPES.
    """

    report: Path
    summary: dict[str, Any]
    result: Path | None = None
    extension: str = "json"

    @property
    def media_type(self) -> str:
        """The media type of the result."""
        return MEDIA_TYPES.get(self.extension, "application/json")


class Refusal(Exception):
    """The work cannot be done, for a reason that the caller can mend."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def run(task: Task, progress: Progress) -> Product:
    """Do the work. Raises Refusal; OSError; whatever a fault of ours raises."""
    try:
        _check(task)
        return _STEPS[task.kind](task, progress)
    except CabacusError as error:
        raise Refusal(failure_of(error)) from error
    except MemoryError as error:
        detail = "the job needs more memory than it may have; send a smaller model, or raise CABACUS_JOB_MEMORY_BYTES"
        raise Refusal(Failure("memory_limit", detail, limit="CABACUS_JOB_MEMORY_BYTES")) from error


def failure_of(error: CabacusError) -> Failure:
    """What the engine says, as a Failure; options go by their API names."""
    if isinstance(error, InputError):
        field = {name: api for api, name in _ENGINE_NAMES.items()}.get(error.field or "", error.field)
        is_option = any(field in names for names in OPTIONS.values())
        return Failure("invalid_option" if is_option else "invalid_input", str(error), field, error.tensor)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "invalid_input")
    return Failure(code, str(error), tensor=error.tensor, limit=getattr(error, "limit", None))


class _Result(Protocol):
    """What the engine's reports have in common."""

    def to_json(self) -> dict[str, Any]: ...


def _check_base(task: Task) -> None:
    """A base was stored under the digest that its owner said; only here it is seen whether that is true.

    The digest is that of the tensors or, for the result of an earlier job, that of the file.
    """
    digest = task.options.get("base")
    if digest is None:
        return
    path = task.inputs["model" if task.kind == "round" else "base"]
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == digest:
            return
    if cabacus.digest(cabacus.read(path)).hex() != digest:
        detail = f"the base stored as {digest} is another model; store the right one, see `cabacus.digest`"
        raise Refusal(Failure("base_mismatch", detail, field="base"))


def _base(task: Task) -> Path | None:
    """The base as the engine reads it; of a difference to `base-1`, itself perhaps one to `base-2`, ..., the sum."""
    roles = [role for role in task.inputs if role.startswith("base")]
    known: Path | None = None
    for role in sorted(roles, key=lambda role: int(role.partition("-")[2] or 0), reverse=True):
        path = task.inputs[role]
        if known is not None:
            whole = task.folder / f"{role}.safetensors"
            cabacus.open(path, base=known, threads=task.threads).save(whole)
            path = whole
        known = path
    return known


def _compress(task: Task, progress: Progress) -> Product:
    _check_base(task)
    compressed = cabacus.compress(
        task.inputs["model"],
        base=_base(task),
        **_coding(task),
        threads=_threads(task),
        progress=progress,
    )
    path = task.folder / "result.cabac"
    compressed.save(path)
    report = compressed.report.to_json()
    if task.options.get("histogram"):
        _count_levels(path, report)
    return _product(task, report, result=path, extension="cabac")


def _count_levels(path: Path, report: dict[str, Any]) -> None:
    """Add to the row of each lossy tensor how often its levels occur; those beyond LEVELS_SHOWN are the outermost."""
    archive = cabacus.open(path)
    for row in report["tensors"]:
        if row["lossy"]:
            levels, _ = archive.levels(row["name"])
            place = np.clip(levels, -LEVELS_SHOWN - 1, LEVELS_SHOWN + 1).ravel() + (LEVELS_SHOWN + 1)
            row["levels"] = np.bincount(place, minlength=2 * LEVELS_SHOWN + 3).tolist()


def _decompress(task: Task, progress: Progress) -> Product:
    archive = _Watched(task.inputs["model"], progress, base=_base(task), threads=_threads(task))
    names = _matching(archive.keys(), task.options.get("name"))
    extension = str(task.options.get("format", "safetensors"))
    if extension not in ("safetensors", "npz", "npy"):
        raise Refusal(
            Failure("invalid_option", f"format is {extension!r}; use safetensors, npz or npy", field="format")
        )
    if extension == "npy" and len(names) != 1:
        detail = f"npy holds exactly one tensor, these are {len(names)}; choose one by name, or use format=npz"
        raise Refusal(Failure("invalid_option", detail, field="format"))
    path = task.folder / f"result.{extension}"
    archive.save(path, names)
    inspection = inspection_of(archive)
    report = inspection.to_json()
    if len(names) < len(inspection.tensors):
        report["tensors"] = [row for row in report["tensors"] if row["name"] in set(names)]
    report["format"] = extension
    return _product(task, report, result=path, extension=extension)


class _Watched(cabacus.Archive):
    """An archive that says how many of the tensors that it saves are decoded."""

    def __init__(self, source: Path, progress: Progress, **options: Any) -> None:
        super().__init__(source, **options)
        self._progress = progress
        self._left: dict[str, tuple[int, int, int]] = {}
        self._all = self._done = (0, 0, 0)

    def save(self, path: str | PathLike[str], names: Iterable[str] | None = None) -> None:
        rows = [self.info(name) for name in (self if names is None else names)]
        self._left = {row.name: (1, row.original_bytes, row.parameters) for row in rows}
        self._all, self._done = _sums(self._left.values()), (0, 0, 0)
        super().save(path, self._left.copy())

    def tensor(self, name: str) -> Any:
        found = super().tensor(name)
        self._tell([name])
        return found

    def decoded(self, names: Iterable[str]) -> dict[str, Any]:
        found = super().decoded(names)
        self._tell(found)
        return found

    def _tell(self, names: Iterable[str]) -> None:
        self._done = _sums([self._done, *(self._left.pop(name) for name in names if name in self._left)])
        (tensors, size, weights), (all_tensors, all_size, all_weights) = self._done, self._all
        self._progress.tensors(tensors, all_tensors, size, all_size)
        self._progress(weights, all_weights)


def _sums(rows: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    tensors, sizes, weights = zip((0, 0, 0), *rows, strict=True)
    return sum(tensors), sum(sizes), sum(weights)


def _inspect(task: Task, progress: Progress) -> Product:
    return _product(task, cabacus.inspect(task.inputs["model"], base=_base(task)).to_json())


def _verify(task: Task, progress: Progress) -> Product:
    verified = cabacus.verify(task.inputs["model"], task.inputs.get("against"), base=_base(task))
    return _product(task, verified.to_json())


def _sweep(task: Task, progress: Progress) -> Product:
    if "sigma" not in task.inputs:
        detail = "a sweep needs sigma, a file with the standard deviation of each weight: send it as the part sigma"
        raise Refusal(Failure("missing_part", detail, field="sigma"))
    curve = cabacus.sweep(task.inputs["model"], **_coding(task), threads=_threads(task), progress=progress)
    return _product(task, curve.to_json(), figures=curve.best.to_json())


def _round(task: Task, progress: Progress) -> Product:
    from cabacus.service.averaging import TooFew, averaged  # of the federated codec, which other work does not need

    _check_base(task)
    path = task.folder / "result.safetensors"
    try:
        report = averaged(task.inputs, task.options, path, progress)
    except TooFew as error:
        raise Refusal(error.failure) from error
    return _product(task, report, result=path, extension="safetensors")


_STEPS: dict[Kind, Callable[[Task, Progress], Product]] = {
    "compress": _compress,
    "decompress": _decompress,
    "inspect": _inspect,
    "verify": _verify,
    "sweep": _sweep,
    "round": _round,
}


def _check(task: Task) -> None:
    """The API has looked at the options; this is for jobs that came another way, and for older workers."""
    for name in task.options.keys() - OPTIONS[task.kind] - {"threads"}:
        known = ", ".join(sorted(OPTIONS[task.kind])) or "none"
        detail = f"{task.kind} knows no option {name!r}; it knows {known}"
        raise Refusal(Failure("unknown_option", detail, field=name))
    if "model" not in task.inputs:
        raise Refusal(Failure("missing_part", "the part model is missing: the file to work on", field="model"))


def _coding(task: Task) -> dict[str, Any]:
    """The engine's keyword arguments for coding, from the options and the files beside the model."""
    others = ("threads", "histogram", "base")
    given = {_ENGINE_NAMES.get(name, name): value for name, value in task.options.items() if name not in others}
    files = {role: task.inputs[role] for role in ("sigma", "importance") if role in task.inputs}
    return {**given, **files}


def _threads(task: Task) -> int | None:
    """As many threads as the worker grants, or fewer where fewer are asked for."""
    asked = task.options.get("threads")
    return min((count for count in (asked, task.threads) if count is not None), default=None)


def _matching(names: list[str], globs: Iterable[str] | None) -> list[str]:
    if globs is None:
        return names
    chosen = list(globs)
    for glob in chosen:
        if not any(fnmatchcase(name, glob) for name in names):
            detail = f"no tensor's name matches {glob!r}; /inspect lists the names"
            raise Refusal(Failure("invalid_option", detail, field="name"))
    return [name for name in names if any(fnmatchcase(name, glob) for glob in chosen)]


def _product(
    task: Task,
    report: dict[str, Any],
    *,
    result: Path | None = None,
    extension: str = "json",
    figures: Mapping[str, Any] | None = None,
) -> Product:
    path = task.folder / "report.json"
    path.write_text(json.dumps(report, allow_nan=False, ensure_ascii=False), encoding="utf-8")
    source = report if figures is None else figures
    return Product(path, {key: source[key] for key in SUMMARY if key in source}, result, extension)
