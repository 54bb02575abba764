"""GET /jobs, GET and DELETE /jobs/{id}, its events, its result and its report."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from cabacus.service.api import documentation as docs
from cabacus.service.api.callers import Reader, Writer
from cabacus.service.api.context import Current
from cabacus.service.api.preferences import read_preference
from cabacus.service.api.problems import JobFailed
from cabacus.service.api.replies import job_links, job_reply, job_view, report_reply, result_reply
from cabacus.service.errors import ServiceError
from cabacus.service.job import Job
from cabacus.service.removal import remove
from cabacus.service.schemas import JobList

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/jobs", tags=["jobs"])

MAX_LISTED = 1000
FOLLOW_SECONDS = 30.0
"""How long one look at the queue waits for a change; another follows."""
RETRY_MILLIS = 1000
"""After which a browser that lost the stream comes again."""


async def _job(job_id: str, context: Current, caller: Reader) -> Job:
    """The job of the path, if it is the caller's. Raises ServiceError `job_not_found`."""
    job = await context.queue.get(job_id) if re.fullmatch("[0-9a-f]{32}", job_id) else None
    if job is None or job.owner != caller.owner:
        raise _unknown(job_id)
    return job


async def _own_job(job_id: str, context: Current, caller: Writer) -> Job:
    """The same for those who may change it."""
    return await _job(job_id, context, caller)


def _unknown(job_id: str) -> ServiceError:
    return ServiceError("job_not_found", f"there is no job {job_id[:80]!r}: it never was, was deleted, or expired")


Found = Annotated[Job, Depends(_job)]
Owned = Annotated[Job, Depends(_own_job)]


@router.get("", **docs.LIST_JOBS)
async def list_jobs(
    request: Request,
    context: Current,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most this many.")] = 100,
) -> Response:
    """List the caller's latest jobs, newest first."""
    jobs = await context.queue.jobs(owner=caller.owner, limit=limit)
    listing = JobList(jobs=[job_view(request, job) for job in jobs])
    return Response(listing.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.get("/{job_id}", **docs.GET_JOB)
async def get_job(request: Request, job: Found, context: Current) -> Response:
    """Show a job: its state, progress, options, files and, if it failed, why. `Prefer: wait=N` waits for its end."""
    preference = read_preference(request.headers.getlist("prefer"), longest=context.settings.max_wait_seconds)
    if job.final or preference.wait <= 0:
        return job_reply(request, job)
    current = await context.queue.wait(job.id, preference.wait)
    if current is None:
        raise _unknown(job.id)
    return job_reply(request, current, headers={"Preference-Applied": preference.applied or ""})


def _seen(job: Found, last_event_id: Annotated[str | None, Header(include_in_schema=False)] = None) -> int:
    """The version that the caller has seen; -1 if none. Answers 204, which ends EventSource, if it was the last."""
    seen = int(last_event_id) if last_event_id and re.fullmatch("[0-9]{1,15}", last_event_id) else -1
    if job.final and job.version == seen:
        raise HTTPException(204)
    return seen


def _slot(context: Current) -> Iterator[None]:
    with context.followers.slot():
        yield


@router.get("/{job_id}/events", response_class=EventSourceResponse, dependencies=[Depends(_slot)], **docs.GET_EVENTS)
async def get_events(
    request: Request, job: Found, seen: Annotated[int, Depends(_seen)], context: Current
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job: an event `job` with the whole job for each change, the last one when it has ended.

    The id of an event is the job's version. Who comes again with Last-Event-ID hears of changes since; changes that
    follow one another quickly may come as one.
    """
    current: Job | None = job
    while current is not None:
        if current.version != seen:
            seen = current.version
            yield ServerSentEvent(
                raw_data=job_view(request, current).model_dump_json(), event="job", id=str(seen), retry=RETRY_MILLIS
            )
        if current.final:
            return
        try:
            current = await context.unless_stopping(context.queue.change(job.id, seen, FOLLOW_SECONDS))
        except ConnectionError as error:  # the caller comes again
            logger.warning("a stream of events ends: %s", error)
            return


@router.get("/{job_id}/result", **docs.GET_RESULT)
@router.head("/{job_id}/result", **docs.HEAD_RESULT)
async def get_result(request: Request, job: Found, context: Current) -> Response:
    """Download the result of a job that is done; ranges and conditional requests are understood."""
    _require_done(request, job)
    return await result_reply(request, job, context.store, ranged=True)


@router.get("/{job_id}/report", **docs.GET_REPORT)
async def get_report(request: Request, job: Found, context: Current) -> Response:
    """Read the report of a job that is done: totals and a row a tensor."""
    _require_done(request, job)
    return await report_reply(request, job, context.store)


@router.delete("/{job_id}", **docs.DELETE_JOB)
async def delete_job(request: Request, job: Owned, context: Current) -> Response:
    """Cancel a job that has not finished; forget one that has, with its files."""
    if job.final:
        removal = await context.queue.delete(job.id)
        if removal is None:
            raise _unknown(job.id)
        await remove(removal, context.queue, context.store)
        return Response(status_code=204)
    current = await context.queue.cancel(job.id)
    if current is None:
        raise _unknown(job.id)
    return job_reply(request, current)


def _require_done(request: Request, job: Job) -> None:
    if not job.final:
        raise ServiceError(
            "not_ready",
            f"job {job.id} is {job.state}; ask again when its state is done",
            retry_after=1,
        )
    if job.state == "cancelled":
        raise JobFailed(job, {"Link": job_links(request, job)})
    if job.state == "failed":
        reason = f": {job.error.detail}" if job.error else ""
        raise ServiceError("job_failed", f"job {job.id} failed and has no result{reason}")
