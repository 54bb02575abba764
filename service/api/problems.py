"""One function from exceptions to application/problem+json; every error body of the API goes through it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from cabacus.service.api.ranges import Unsatisfiable
from cabacus.service.errors import ServiceError, entry_of
from cabacus.service.job import Failure, Job
from cabacus.service.queue.port import KeyReused, OwnerFull, QueueFull
from cabacus.service.schemas import Problem

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2


class JobFailed(Exception):
    """A job that was waited for ended without a result."""

    def __init__(self, job: Job, headers: Mapping[str, str]) -> None:
        super().__init__(job.id)
        self.job = job
        self.headers = dict(headers)


_HANDLED = (
    ServiceError,
    JobFailed,
    QueueFull,
    OwnerFull,
    KeyReused,
    Unsatisfiable,
    ClientDisconnect,
    RequestValidationError,
    HTTPException,
    OSError,
    Exception,
)


def problem(failure: Failure) -> Problem:
    """A failure as RFC 9457 has it."""
    entry = entry_of(failure.code)
    return Problem(
        type=f"urn:cabacus:problem:{failure.code}",
        title=entry.title,
        status=entry.status,
        detail=failure.detail,
        code=failure.code,
        field=failure.field,
        limit=failure.limit,
        tensor=failure.tensor,
    )


def problem_of(error: Exception) -> tuple[Problem, dict[str, str]]:
    """What to say of an exception, and the headers that go with it."""
    match error:
        case ServiceError():
            found = problem(Failure(error.code, error.detail, error.field, error.tensor, error.limit))
            headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return found, headers | error.headers
        case JobFailed():
            return problem(_failure_of(error.job)), error.headers
        case QueueFull():
            failure = Failure("queue_full", str(error), limit="CABACUS_MAX_QUEUED")
            return problem(failure), {"Retry-After": str(RETRY_SECONDS)}
        case OwnerFull():
            failure = Failure("key_limit", f"{error}; its operator may raise {error.limit}", limit=error.limit)
            return problem(failure), {"Retry-After": str(error.retry_after)}
        case KeyReused():
            detail = "this Idempotency-Key came with another body or other options before; use a new one for new work"
            return problem(Failure("idempotency_reused", detail, field="Idempotency-Key")), {}
        case Unsatisfiable():
            headers = {"Content-Range": f"bytes */{error.size}"}
            return problem(Failure("range_not_satisfiable", str(error), field="Range")), headers
        case ClientDisconnect():
            return problem(Failure("truncated_body", "the body ended before its announced length; send it again")), {}
        case RequestValidationError():
            fault = error.errors()[0]
            name = str(fault["loc"][-1])
            return problem(Failure("invalid_option", f"{name}: {fault['msg']}", field=name)), {}
        case HTTPException():
            return _of_http(error)
        case OSError():  # by the ports: a queue or a store that does not answer
            logger.error("the queue or the store does not answer: %s", error)
            failure = Failure("unavailable", "the service's queue or storage does not answer; try again shortly")
            return problem(failure), {"Retry-After": str(RETRY_SECONDS)}
        case _:
            reference = secrets.token_hex(6)
            logger.error("unexpected fault %s", reference, exc_info=error)
            return problem(Failure("internal", f"this is a fault of ours; it is logged under {reference}")), {}


_UNREADABLE = "There was an error parsing the body"
"""What the framework says of JSON that it cannot even decode."""


def _of_http(error: HTTPException) -> tuple[Problem, dict[str, str]]:
    """What the framework itself refuses."""
    codes = {404: "not_found", 405: "method_not_allowed", 413: "upload_too_large"}
    code = codes.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    detail = "the body is no JSON in UTF-8" if error.detail == _UNREADABLE else str(error.detail)
    return problem(Failure(code, detail)), dict(error.headers or {})


def _failure_of(job: Job) -> Failure:
    if job.state == "cancelled":
        return Failure("job_cancelled", f"job {job.id} was cancelled; submit it again")
    return job.error or Failure("internal", f"job {job.id} failed and left no reason")


def response_to(error: Exception) -> Response:
    """The error's response."""
    found, headers = problem_of(error)
    headers.setdefault("Cache-Control", "no-store")
    return Response(found.model_dump_json(exclude_none=True), found.status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Route every exception of the application through `response_to`."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code < 400:
            return Response(status_code=error.status_code, headers=error.headers)
        if isinstance(error, HTTPException) and error.status_code in (404, 405):
            error = _explained(app, request, error)
        return response_to(error)

    for kind in _HANDLED:
        app.add_exception_handler(kind, handle)


def _explained(app: FastAPI, request: Request, error: HTTPException) -> HTTPException:
    """Say the path, and for a wrong method the ones that are right: the framework names those of one route only."""
    path, method = request.url.path[:200], request.method
    if error.status_code == 404:
        return HTTPException(404, f"there is nothing at {path}; /openapi.json says what there is")
    allowed: set[str] = set()
    for candidate in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": candidate}
        if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes):
            allowed.add(candidate)
    listing = ", ".join(sorted(allowed))
    return HTTPException(405, f"{path} does not know {method}; it knows {listing}", headers={"Allow": listing})
