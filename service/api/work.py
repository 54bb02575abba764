"""POST /compress, /decompress, /inspect, /verify, /sweep: a file goes in, a job starts, its result comes back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from cabacus.service.api.context import Context, Current
from cabacus.service.api.documentation import describe_work
from cabacus.service.api.options import read_options
from cabacus.service.api.preferences import Preference, read_preference, wants_mixed
from cabacus.service.api.problems import JobFailed
from cabacus.service.api.replies import accepted, job_links, mixed_reply, result_reply
from cabacus.service.api.upload import receive, refuse_missing
from cabacus.service.errors import ServiceError
from cabacus.service.job import KINDS, Job, Kind
from cabacus.service.queue.port import QueueFull, full

router = APIRouter(tags=["work"])


async def start(request: Request, kind: Kind, context: Context) -> Job:
    """Read the request into a job and queue it. A request that is refused leaves no file behind."""
    settings, queue, store = context.settings, context.queue, context.store
    query = request.query_params.multi_items()
    read_options(kind, query)  # what can be refused before the body is read, is
    job_id = secrets.token_hex(16)
    place = f"jobs/{job_id}"
    with context.uploads.slot():
        if await queue.depth() >= settings.max_queued:
            raise full(settings.max_queued)
        try:
            upload = await receive(
                request,
                kind,
                f"{place}/input",
                store,
                limit=settings.max_upload_bytes,
                quiet_seconds=settings.quiet_seconds,
            )
            options = read_options(kind, query, upload.options)
            refuse_missing(kind, upload.inputs, options)
        except BaseException:
            await store.delete_below(place)
            raise
    job = Job(job_id, kind, time.time(), upload.inputs, options)
    try:
        await queue.submit(job)
    except QueueFull:
        await store.delete_below(place)
        raise
    # Where the queue did not answer, the job may have been recorded: its files stay, and are swept up if it was not.
    return job


async def answer(request: Request, job: Job, preference: Preference, context: Context) -> Response:
    """Wait for the job as long as preferred; its result if it is done by then, else 202."""
    if preference.wait <= 0:
        return accepted(request, job, preference)
    current = await context.queue.wait(job.id, preference.wait)
    if current is None:
        raise ServiceError("gone", f"job {job.id} was deleted while it was waited for")
    if not current.final:
        return accepted(request, current, preference)
    extra = {"Preference-Applied": preference.applied or ""}
    if current.state != "done":
        raise JobFailed(current, {"Link": job_links(request, current), **extra})
    if wants_mixed(request.headers.getlist("accept")):
        return await mixed_reply(request, current, context.store, extra=extra)
    return await result_reply(request, current, context.store, extra=extra)


def _route(kind: Kind) -> Callable[[Request, Context], Awaitable[Response]]:
    async def work(request: Request, context: Current) -> Response:
        preference = read_preference(request.headers.getlist("prefer"), longest=context.settings.max_wait_seconds)
        return await answer(request, await start(request, kind, context), preference, context)

    return work


for _kind in KINDS:
    router.add_api_route(f"/{_kind}", _route(_kind), methods=["POST"], **describe_work(_kind))
