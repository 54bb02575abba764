"""How jobs and results are answered: a job's JSON, 202 with where to look, 200 with the result and its figures."""

from __future__ import annotations

import base64
import math
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from cabacus.service.api.preferences import Preference
from cabacus.service.api.problems import problem
from cabacus.service.api.ranges import Span, matches, read_range
from cabacus.service.errors import ServiceError
from cabacus.service.job import Blob, Job
from cabacus.service.schemas import BlobView, Count, JobView
from cabacus.service.storage.port import Store

RETRY_SECONDS = 1
SUMMARY_HEADERS = {
    "bytes": "Cabacus-Bytes",
    "original_bytes": "Cabacus-Original-Bytes",
    "ratio": "Cabacus-Ratio",
    "bits_per_weight": "Cabacus-Bits-Per-Weight",
    "snr_db": "Cabacus-Snr-Db",
    "mse": "Cabacus-Mse",
}
"""A job's summary in headers. An SNR of null, everything is exact, is `inf` there."""


def job_view(request: Request, job: Job) -> JobView:
    """The job as the API shows it."""
    place = job_path(request, job)
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,
        created=datetime.fromtimestamp(job.created, UTC),
        started=_moment(job.started),
        finished=_moment(job.finished),
        expires=_moment(job.expires),
        progress=job.progress,
        steps=_count(job.counts.steps),
        tensors=_count(job.counts.tensors),
        bytes=_count(job.counts.bytes),
        attempts=job.attempts,
        priority=job.priority,
        options=job.options,
        input={role: _blob_view(blob) for role, blob in job.inputs.items()},
        source=job.source or None,
        target=job.target or None,
        result=_blob_view(job.result, f"{place}/result") if job.result else None,
        report=_blob_view(job.report, f"{place}/report") if job.report else None,
        summary=job.summary,
        error=problem(job.error) if job.error else None,
    )


def _count(pair: tuple[int, int] | None) -> Count | None:
    return None if pair is None else Count(done=pair[0], total=pair[1])


def job_path(request: Request, job: Job) -> str:
    """Where the job is found, below the path at which a proxy shows the service."""
    return f"{request.scope.get('root_path', '')}/jobs/{job.id}"


def job_links(request: Request, job: Job) -> str:
    """The Link header of a job: itself, and its report once there is one."""
    place = job_path(request, job)
    links = [f'<{place}>; rel="monitor"']
    if job.report is not None:
        links.append(f'<{place}/report>; rel="describedby"; type="{job.report.media_type}"')
    return ", ".join(links)


def job_reply(request: Request, job: Job, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The job as JSON; Retry-After says when to look again at one that has not finished."""
    sent = {"Cache-Control": "no-store", "Link": job_links(request, job), **(headers or {})}
    if not job.final:
        sent["Retry-After"] = str(RETRY_SECONDS)
    return Response(job_view(request, job).model_dump_json(), status, sent, media_type="application/json")


def accepted(request: Request, job: Job, preference: Preference) -> Response:
    """202: the job is queued; Location says where to look."""
    headers = {"Location": job_path(request, job)}
    if preference.applied is not None:
        headers["Preference-Applied"] = preference.applied
    return job_reply(request, job, status=202, headers=headers)


async def result_reply(
    request: Request, job: Job, store: Store, *, extra: Mapping[str, str] | None = None, ranged: bool = False
) -> Response:
    """200 with the result as body; with `ranged` also 206, 304 and 416. HEAD gets the headers."""
    blob = await _present(job, store)
    etag = _etag(blob)
    headers = {**_result_headers(request, job, blob), **(extra or {})}
    if ranged and matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={name: headers[name] for name in ("ETag", "Cache-Control", "Link")})
    span = Span(0, blob.size, blob.size)
    status = 200
    if ranged and request.method == "GET":
        found = read_range(request.headers.get("range"), request.headers.get("if-range"), etag=etag, size=blob.size)
        if found is not None:
            span, status = found, 206
            headers["Content-Range"] = span.content_range
    headers["Content-Length"] = str(span.stop - span.start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=blob.media_type)
    body = store.read(blob.key, start=span.start, stop=span.stop)
    return StreamingResponse(body, status, headers, media_type=blob.media_type)


async def mixed_reply(request: Request, job: Job, store: Store, *, extra: Mapping[str, str] | None = None) -> Response:
    """200 with a multipart/mixed body: the report, then the result, each with its own headers."""
    blob = await _present(job, store)
    if job.report is None:
        raise ServiceError("gone", f"job {job.id} has no report")
    boundary = secrets.token_hex(16)
    described = {"Content-Type": job.report.media_type, "Content-Disposition": 'inline; name="report"'}
    carried = _result_headers(request, job, blob)
    resulting = {
        "Content-Type": blob.media_type,
        **{name: carried[name] for name in ("Content-Disposition", "ETag", "Repr-Digest")},
    }
    opening = _part_head(boundary, described, job.report.size)
    middle = b"\r\n" + _part_head(boundary, resulting, blob.size)
    closing = f"\r\n--{boundary}--\r\n".encode()
    report_key, result_key = job.report.key, blob.key

    async def body() -> AsyncIterator[bytes]:
        yield opening
        async for chunk in store.read(report_key):
            yield chunk
        yield middle
        async for chunk in store.read(result_key):
            yield chunk
        yield closing

    headers = {name: value for name, value in carried.items() if name.startswith(("Cabacus-", "Link", "Cache-"))}
    headers["Content-Length"] = str(len(opening) + job.report.size + len(middle) + blob.size + len(closing))
    headers["Content-Type"] = f'multipart/mixed; boundary="{boundary}"'
    return StreamingResponse(body(), 200, {**headers, **(extra or {})})


async def report_reply(request: Request, job: Job, store: Store) -> Response:
    """200 with the report as JSON."""
    if job.report is None:
        raise ServiceError("gone", f"job {job.id} has no report")
    if await store.size(job.report.key) is None:
        raise _gone(job)
    headers = {
        "ETag": _etag(job.report),
        "Cache-Control": "private, no-cache",
        "Content-Length": str(job.report.size),
        "Link": f'<{job_path(request, job)}>; rel="monitor"',
    }
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers={"ETag": headers["ETag"]})
    return StreamingResponse(store.read(job.report.key), 200, headers, media_type=job.report.media_type)


async def _present(job: Job, store: Store) -> Blob:
    """The result of a job that is done, if its bytes are still there."""
    if job.result is None or await store.size(job.result.key) is None:
        raise _gone(job)
    return job.result


def _gone(job: Job) -> ServiceError:
    return ServiceError("gone", f"the files of job {job.id} are gone: they expired or were deleted; submit it again")


def _result_headers(request: Request, job: Job, blob: Blob) -> dict[str, str]:
    place = job_path(request, job)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": _disposition(blob.name or f"{job.kind}-{job.id}"),
        "Content-Location": f"{place}/result",
        "ETag": _etag(blob),
        "Link": job_links(request, job),
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(blob.sha256)).decode()}:",
        "X-Content-Type-Options": "nosniff",
    }
    for name, header in SUMMARY_HEADERS.items():
        if name in job.summary:
            headers[header] = _figure(job.summary[name])
    return headers


def _etag(blob: Blob) -> str:
    return f'"{blob.sha256}"'


def _disposition(name: str) -> str:
    """An attachment under a name; RFC 6266's second form where the name is not plain ASCII."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _figure(value: object) -> str:
    if value is None:
        return "inf"
    if isinstance(value, float):
        return "inf" if math.isinf(value) else f"{value:.6g}"
    return str(value)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _blob_view(blob: Blob, href: str | None = None) -> BlobView:
    return BlobView(bytes=blob.size, sha256=blob.sha256, media_type=blob.media_type, name=blob.name, href=href)


def _part_head(boundary: str, headers: Mapping[str, str], size: int) -> bytes:
    lines = [
        f"--{boundary}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {size}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()
