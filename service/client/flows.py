"""What a client does, written once: generators that yield requests and pauses, driven by both clients.

A driver sends back the response of a `Call` or `Fetch` (nothing for a `Pause`), or throws httpx's TransportError in.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import httpx

from cabacus.service.client.errors import (
    ConflictError,
    ConnectionFailed,
    IntegrityError,
    NotFoundError,
    WaitTimeout,
    error_of,
    error_of_response,
)
from cabacus.service.client.mixed import read_mixed
from cabacus.service.client.options import query_of
from cabacus.service.client.uploads import BUCKETS, Source, Upload, whole
from cabacus.service.client.values import Base, File, Job, Result

LONGEST_WAIT = 30.0
"""Seconds that one request may wait for a job; longer waits are several requests."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
MIXED = "multipart/mixed"
PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Call:
    """A request. `wait`: seconds for which the service may keep us waiting, beyond the usual."""

    method: str
    path: str
    params: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class Fetch:
    """A request whose body, if it is 200 or 206, goes into a file. On 200 the file is emptied first."""

    call: Call
    file: IO[bytes]


@dataclass(frozen=True)
class Pause:
    """Wait before going on."""

    seconds: float


Step: TypeAlias = Call | Fetch | Pause
T = TypeVar("T")
Flow: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True)
class Policy:
    """How often a request is tried again where that is safe."""

    retries: int = 4

    def pause(self, attempt: int, at_least: float | None) -> Pause:
        """A random pause that doubles its bound each time, but what the service asks for at least."""
        bound = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        return Pause(min((at_least or 0.0), LONGEST_PAUSE) + random.uniform(0, bound))


def send(call: Call, policy: Policy) -> Flow[httpx.Response]:
    """Send a request, again where that is safe, and give its response if it is one of success.

    Safe is: what reads or deletes; and an upload whose body can be sent again, since its Idempotency-Key finds the job
    that an earlier attempt may have made.
    """
    safe = call.upload is None or call.upload.replayable
    for attempt in range(policy.retries + 1):
        last = attempt == policy.retries
        try:
            response: httpx.Response = yield call
        except httpx.TransportError as error:
            if last or not safe:
                raise ConnectionFailed(f"{call.method} /{call.path}: {error or type(error).__name__}") from error
            yield policy.pause(attempt, None)
            continue
        if response.is_success or response.status_code == 304:
            return response
        problem = error_of_response(response)
        if last or not safe or response.status_code not in PASSING:
            raise problem
        yield policy.pause(attempt, problem.retry_after)
    raise AssertionError("the last attempt returns or raises")


def submit(
    kind: str,
    files: Mapping[str, Source | None],
    options: Mapping[str, object],
    policy: Policy,
    *,
    wait: float = 0.0,
    once: str | None = None,
) -> Flow[httpx.Response]:
    """Upload and start a job; the response is the job, or report and result (MIXED) when they came in time."""
    headers = {"Prefer": f"wait={wait:.0f}", "Accept": MIXED} if wait >= 1 else {"Prefer": "respond-async"}
    base = files.get("base")
    if isinstance(base, str) and re.fullmatch(r"[0-9a-f]{64}", base):  # the digest of one that is stored
        files, options = {**files, "base": None}, {**options, "base": base}
    model = files.get("model")
    if isinstance(model, str) and model.startswith(BUCKETS):
        files, options = {**files, "model": None}, {**options, "input": model}
    headers["Idempotency-Key"] = once or secrets.token_hex(16)
    call = Call("POST", kind, query_of(options), headers, Upload(files), wait)
    try:
        return (yield from send(call, policy))
    except ConflictError as error:  # an attempt whose answer was lost had made the job
        if error.code != "idempotency_running" or error.location is None:
            raise
        return (yield from send(Call("GET", f"jobs/{error.location.rpartition('/')[2]}"), policy))


def submitted(
    kind: str,
    files: Mapping[str, Source | None],
    options: Mapping[str, object],
    policy: Policy,
    once: str | None = None,
) -> Flow[Job]:
    """Upload and start a job, without waiting."""
    response = yield from submit(kind, files, options, policy, once=once)
    return Job.from_json(response.json())


def work(
    kind: str,
    files: Mapping[str, Source | None],
    options: Mapping[str, object],
    policy: Policy,
    *,
    timeout: float | None,
) -> Flow[Result]:
    """Upload, wait until the job is done, and give its result; checked against its digest."""
    deadline = Deadline(timeout)
    response = yield from submit(kind, files, options, policy, wait=deadline.wait())
    if response.headers.get("content-type", "").startswith(MIXED):
        return _result_of_mixed(response)
    job = yield from wait(Job.from_json(response.json()), policy, deadline)
    return (yield from result(job, policy))


def finding(
    kind: str,
    files: Mapping[str, Source | None],
    options: Mapping[str, object],
    policy: Policy,
    *,
    timeout: float | None,
) -> Flow[dict[str, Any]]:
    """Work whose result is JSON."""
    made = yield from work(kind, files, options, policy, timeout=timeout)
    found: dict[str, Any] = json.loads(made.data)
    return found


def get_job(job: Job | str, policy: Policy, *, wait: float = 0.0) -> Flow[Job]:
    """The job as it stands, or as it stands when it is final or the wait is over."""
    headers = {"Prefer": f"wait={wait:.0f}"} if wait >= 1 else {}
    response = yield from send(Call("GET", f"jobs/{id_of(job)}", headers=headers, wait=wait), policy)
    return Job.from_json(response.json())


def get_jobs(limit: int, policy: Policy) -> Flow[list[Job]]:
    """The latest jobs."""
    response = yield from send(Call("GET", "jobs", [("limit", str(limit))]), policy)
    return [Job.from_json(value) for value in response.json()["jobs"]]


def wait(job: Job | str, policy: Policy, deadline: Deadline) -> Flow[Job]:
    """Wait until a job is done. Raises the error that it failed with; WaitTimeout."""
    current = yield from get_job(job, policy)
    while not current.final:
        if deadline.over():
            raise WaitTimeout(current, deadline.seconds or 0.0)
        began = time.monotonic()
        current = yield from get_job(current, policy, wait=deadline.wait())
        if not current.final and time.monotonic() - began < FIRST_PAUSE:  # the service does not wait for us
            yield Pause(FIRST_PAUSE)
    if current.state != "done":
        problem = current.error or {"code": f"job_{current.state}", "detail": f"job {current.id} is {current.state}"}
        raise error_of(problem, status=int(problem.get("status", 409)))
    return current


def result(job: Job | str, policy: Policy) -> Flow[Result]:
    """The result and the report of a job that is done."""
    response = yield from send(Call("GET", f"jobs/{id_of(job)}/result"), policy)
    report = yield from get_report(job, policy)
    current = job if isinstance(job, Job) and job.result else (yield from get_job(job, policy))
    file = _present(current)
    _check(response.content, file.sha256)
    return Result(response.content, report, file.name, file.media_type, current.id)


def get_report(job: Job | str, policy: Policy) -> Flow[dict[str, Any]]:
    """The report of a job that is done."""
    response = yield from send(Call("GET", f"jobs/{id_of(job)}/report"), policy)
    report: dict[str, Any] = response.json()
    return report


def cancel(job: Job | str, policy: Policy) -> Flow[Job]:
    """Stop a job, and give it as it then stands; one that has finished is left as it is."""
    current = yield from get_job(job, policy)
    if current.final:
        return current
    response = yield from send(Call("DELETE", f"jobs/{current.id}"), policy)
    # It may have finished just now, and been forgotten: then this was the last that was seen of it.
    return current if response.status_code == 204 else Job.from_json(response.json())


def put_base(digest: str, source: Source, policy: Policy) -> Flow[None]:
    """Store a base, which is one file: shards are joined."""
    yield from send(Call("PUT", f"bases/{digest}", upload=Upload({"model": whole(source)})), policy)


def get_bases(policy: Policy) -> Flow[list[Base]]:
    """The stored bases."""
    response = yield from send(Call("GET", "bases"), policy)
    return [Base.from_json(value) for value in response.json()["bases"]]


def has_base(digest: str, policy: Policy) -> Flow[bool]:
    """Ask whether a base is stored."""
    try:
        yield from send(Call("HEAD", f"bases/{digest}"), policy)
    except NotFoundError:
        return False
    return True


def delete_base(digest: str, policy: Policy) -> Flow[None]:
    """Forget a base."""
    yield from send(Call("DELETE", f"bases/{digest}"), policy)


def forget(job: Job | str, policy: Policy) -> Flow[None]:
    """Forget a finished job and its files."""
    yield from send(Call("DELETE", f"jobs/{id_of(job)}"), policy)


def download(job: Job | str, path: str | PathLike[str], policy: Policy) -> Flow[Path]:
    """Bring the result of a job that is done into a file, which appears whole or not at all.

    What an earlier, broken download left beside it (`.NAME.DIGEST.part`) is continued.
    """
    current = job if isinstance(job, Job) and job.result else (yield from get_job(job, policy))
    file = _present(current)
    target = Path(path)
    partial = target.with_name(f".{target.name}.{file.sha256[:16]}.part")
    with open(partial, "a+b") as sink:
        for attempt in range(policy.retries + 1):
            here = sink.seek(0, os.SEEK_END)
            if here == file.bytes:
                break
            if here > file.bytes:
                sink.truncate(0)
                here = 0
            headers = {"Range": f"bytes={here}-", "If-Range": f'"{file.sha256}"'} if here else {}
            with _broken_connections(last=attempt == policy.retries):
                response = yield Fetch(Call("GET", f"jobs/{current.id}/result", headers=headers), sink)
                if response.is_success:
                    continue
                problem = error_of_response(response)
                if response.status_code not in PASSING or attempt == policy.retries:
                    raise problem
            yield policy.pause(attempt, None)
        sink.seek(0)
        if hashlib.file_digest(sink, "sha256").hexdigest() != file.sha256:
            partial.unlink()
            raise IntegrityError(f"{target}: what arrived is not what the service has; download it again")
    os.replace(partial, target)
    return target


@contextmanager
def _broken_connections(*, last: bool) -> Iterator[None]:
    """Pass over a connection that broke, but the last time."""
    try:
        yield
    except httpx.TransportError as error:
        if last:
            raise ConnectionFailed(
                f"the download broke: {error or type(error).__name__}; call again to go on"
            ) from error


class Deadline:
    """A point in time after which waiting is over; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def over(self) -> bool:
        """True when the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def at_most(self, seconds: float) -> float:
        """So many seconds, or what remains of the time if that is less; a moment at least."""
        return seconds if self._end is None else max(0.05, min(seconds, self._end - time.monotonic()))

    def wait(self) -> float:
        """Whole seconds for which the next request may wait, at least one."""
        if self._end is None:
            return LONGEST_WAIT
        return max(1.0, min(LONGEST_WAIT, round(self._end - time.monotonic())))


def id_of(job: Job | str) -> str:
    """The id of a job that is given as such or by its id."""
    return job.id if isinstance(job, Job) else job


def _present(job: Job) -> File:
    if job.result is None:
        problem = {"code": "not_ready", "detail": f"job {job.id} is {job.state} and has no result; wait for it"}
        raise error_of(job.error or problem, status=409)
    return job.result


def _check(data: bytes, sha256: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IntegrityError("what arrived is not what the service has; ask again")


def _result_of_mixed(response: httpx.Response) -> Result:
    """Take the report and the result from one body."""
    parts = read_mixed(response.headers["content-type"], response.content)
    if len(parts) != 2:
        raise IntegrityError(f"the service answered with {len(parts)} parts instead of report and result")
    report, made = parts
    _check(made.body, made.headers.get("ETag", "").strip('"'))
    name = made.headers.get_filename() or "result"
    link = response.headers.get("link", "")
    job_id = link.partition(">")[0].rpartition("/")[2]
    return Result(made.body, json.loads(report.body), name, made.headers.get_content_type(), job_id)
