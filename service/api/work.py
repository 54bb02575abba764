"""POST /compress, /decompress, /inspect, /verify, /sweep: a file goes in, a job starts, its result comes back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from cabacus.service.api.bases import base_for_job, known_base
from cabacus.service.api.callers import Caller, Writer
from cabacus.service.api.context import Context, Current
from cabacus.service.api.digests import announced
from cabacus.service.api.documentation_work import describe_work
from cabacus.service.api.options import read_options, read_terms, split_terms
from cabacus.service.api.preferences import Preference, read_preference, wants_mixed
from cabacus.service.api.problems import JobFailed
from cabacus.service.api.replies import accepted, job_links, job_path, mixed_reply, result_reply
from cabacus.service.api.upload import Upload, discard, has_body, receive, refuse_missing
from cabacus.service.errors import ServiceError
from cabacus.service.job import KINDS, Job, Kind
from cabacus.service.logs import note
from cabacus.service.mending import mend
from cabacus.service.queue.port import NO_BOUNDS, Once, Queue, full, too_many_bytes, too_many_jobs
from cabacus.service.storage.port import Store

router = APIRouter(tags=["work"])

SETTLE_SECONDS = 1.0
MAX_ONCE_KEY = 255


async def start(request: Request, kind: Kind, context: Context, caller: Caller) -> Job:
    """Read the request into a job and queue it. A request that is refused leaves no file behind."""
    settings, queue, store = context.settings, context.queue, context.store
    terms_query, query = split_terms(request.query_params.multi_items())
    once = _once_key(request)
    # What can be refused before the body is read, is.
    if "base" in (early := read_options(kind, query)):
        await known_base(context, caller, early["base"])
    elsewhere = read_terms(terms_query, {}, settings).input is not None
    announced(request.headers)
    job_id = secrets.token_hex(16)
    note(job=job_id)
    upload = Upload()
    with context.upload_slot(caller.owner):
        await _refuse_early(queue, caller, settings.max_queued)
        try:
            if has_body(request) or not elsewhere:
                await receive(
                    request,
                    kind,
                    store,
                    upload,
                    limit=settings.max_upload_bytes,
                    quiet_seconds=settings.quiet_seconds,
                )
            terms_document, document = split_terms((upload.options or {}).items())
            options = read_options(kind, query, dict(document))
            terms = read_terms(terms_query, dict(terms_document), settings)
            if "base" in options:
                if "base" in upload.inputs:
                    detail = "base is given both as a part and by its digest; give it once"
                    raise ServiceError("invalid_option", detail, field="base")
                upload.inputs |= await base_for_job(context, caller, options["base"], upload)
            refuse_missing(kind, upload.inputs, options, elsewhere=terms.input is not None)
        except BaseException:
            await discard(store, *upload.places)
            raise
    job = Job(
        job_id,
        kind,
        time.time(),
        upload.inputs,
        options,
        owner=caller.owner,
        priority=terms.priority or "interactive",
        webhook=terms.webhook or "",
        source=terms.input or "",
        target=terms.output or "",
        request=request.state.request_id,
    )
    try:
        await mend(caller.owner, upload.inputs.values(), queue, store)
        receipt = await queue.submit(job, bounds=caller.bounds, once=Once(once, _fingerprint(job)) if once else None)
    except ConnectionError:  # the job may have been recorded: its files stay until that is known
        context.later(_settle(queue, store, job_id, upload.places))
        raise
    except BaseException:
        await discard(store, *upload.places)
        raise
    await discard(store, *(key.rpartition("/")[0] for key in receipt.unused))
    if not receipt.fresh and not receipt.job.final:
        raise ServiceError(
            "idempotency_running",
            f"job {receipt.job.id} of this Idempotency-Key is {receipt.job.state}; ask for it at Location",
            field="Idempotency-Key",
            retry_after=1,
            headers={"Location": job_path(request, receipt.job), "Link": job_links(request, receipt.job)},
        )
    return receipt.job


def _once_key(request: Request) -> str:
    """The digest of the Idempotency-Key; nothing where there is none. Raises ServiceError."""
    key = request.headers.get("idempotency-key", "")
    if len(key) > MAX_ONCE_KEY:
        raise ServiceError(
            "bad_request", f"Idempotency-Key is longer than {MAX_ONCE_KEY} characters", field="Idempotency-Key"
        )
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def _fingerprint(job: Job) -> str:
    """What a request asks for: a repetition asks for the same."""
    files = {role: blob.sha256 for role, blob in job.inputs.items()}
    asked = json.dumps(
        [job.kind, job.options, job.priority, job.webhook, job.source, job.target, files], sort_keys=True
    )
    return hashlib.sha256(asked.encode()).hexdigest()


async def _refuse_early(queue: Queue, caller: Caller, most: int) -> None:
    """Refuse before the body is read what would be refused afterwards anyway."""
    if await queue.depth() >= most:
        raise full(most)
    if caller.bounds == NO_BOUNDS:
        return
    usage = await queue.usage(caller.owner)
    if usage.jobs >= (caller.bounds.jobs or math.inf):
        raise too_many_jobs(caller.bounds)
    if usage.bytes >= (caller.bounds.bytes or math.inf):
        raise too_many_bytes(caller.bounds)


async def _settle(queue: Queue, store: Store, job_id: str, places: list[str]) -> None:
    """Once the queue answers again, remove the files of a submission that did not reach it."""
    while True:
        try:
            known = await queue.get(job_id)
        except ConnectionError:
            await asyncio.sleep(SETTLE_SECONDS)
            continue
        kept = {blob.key.rpartition("/")[0] for blob in known.inputs.values()} if known else set()
        await discard(store, *(place for place in places if place not in kept))
        return


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


def _route(kind: Kind) -> Callable[[Request, Context, Caller], Awaitable[Response]]:
    async def work(request: Request, context: Current, caller: Writer) -> Response:
        preference = read_preference(request.headers.getlist("prefer"), longest=context.settings.max_wait_seconds)
        return await answer(request, await start(request, kind, context, caller), preference, context)

    return work


for _kind in KINDS:
    router.add_api_route(f"/{_kind}", _route(_kind), methods=["POST"], **describe_work(_kind))
