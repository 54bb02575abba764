"""POST /rounds and below: updates of clients to a stored base come in; their weighted mean is the result of a job."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from cabacus.service.api import documentation_rounds as docs
from cabacus.service.api.bases import base_for_job, refuse_difference
from cabacus.service.api.callers import Caller, Reader, Writer
from cabacus.service.api.context import Context, Current
from cabacus.service.api.formats import CABACUS
from cabacus.service.api.preferences import read_preference
from cabacus.service.api.replies import job_links
from cabacus.service.api.upload import Upload, discard, receive_update
from cabacus.service.api.work import answer
from cabacus.service.errors import ServiceError
from cabacus.service.job import Blob, Job
from cabacus.service.queue.port import OwnerFull, QueueFull
from cabacus.service.round_schemas import (
    CLIENT_PATTERN,
    MAX_CLIENTS,
    MAX_SAMPLES,
    ROUND_PATTERN,
    NewRound,
    RoundView,
    UpdateView,
)
from cabacus.service.rounds import Round, Rounds, Update

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/rounds", tags=["rounds"])

RoundId = Annotated[str, Path(pattern=ROUND_PATTERN, description="The round's id, as POST /rounds gave it.")]
Client = Annotated[str, Path(pattern=CLIENT_PATTERN, description="The client's name in this round.")]
Samples = Annotated[int, Query(ge=1, le=MAX_SAMPLES, description="Examples trained on: the update's weight.")]


@router.post("", **docs.OPEN_ROUND)
async def open_round(request: Request, new: NewRound, context: Current, caller: Writer) -> Response:
    """Open a round of updates to a stored base (PUT /bases/{digest}), or to an earlier round's mean by its SHA-256."""
    await refuse_difference(context, caller, new.base)
    now = time.time()
    clients = None if new.clients is None else tuple(dict.fromkeys(new.clients))
    found = Round(secrets.token_hex(16), caller.owner, new.base, now, now + new.deadline_seconds, new.minimum, clients)
    await _rounds(context).open(found)
    context.later(_close_at_deadline(context, caller, found))
    return await _reply(request, context, found, status=201)


@router.get("/{round_id}", **docs.GET_ROUND)
async def get_round(request: Request, round_id: RoundId, context: Current, caller: Reader) -> Response:
    """Say who has sent, who is late, who is missing, and where the job is. Closes a round whose time is over."""
    found = await _known(context, caller, round_id)
    if time.time() >= found.deadline:
        await _close(context, caller, found)
    return await _reply(request, context, found)


@router.put("/{round_id}/updates/{client}", **docs.PUT_UPDATE)
async def put_update(
    request: Request, round_id: RoundId, client: Client, samples: Samples, context: Current, caller: Writer
) -> Response:
    """Take a client's update: coded to the round's base by `cabacus.federated`, or its whole model as it is.

    Of a model as it is, raw tensors cross the network: only a client that codes saves its uplink. Updates are decoded
    by a worker, after the round has ended; one that cannot be is left out of the mean, and the report says why.
    """
    found, rounds = await _known(context, caller, round_id), _rounds(context)
    if time.time() >= found.deadline:
        await _close(context, caller, found)
    if found.clients is not None and client not in found.clients:
        raise ServiceError("invalid_option", f"the round expects no client {client[:80]!r}", field="client")
    if await rounds.is_closed(round_id) and await rounds.update(round_id, client) is None:
        # What is late is not read: the connection ends with the answer.
        await rounds.note_late(round_id, Update(client, samples, _nothing()))
        raise _late(found)
    update, fresh = await _received(request, context, caller, found, Update(client, samples, _nothing()))
    updates = await rounds.updates(round_id)
    if found.clients is not None and {one.client for one in updates} >= set(found.clients):
        await _close(context, caller, found)
    return Response(_seen(update).model_dump_json(), 201 if fresh else 200, media_type="application/json")


@router.post("/{round_id}/close", **docs.CLOSE_ROUND)
async def close_round(request: Request, round_id: RoundId, context: Current, caller: Writer) -> Response:
    """End the round now. Answers as POST /compress does: 202 with the job, or its result within `Prefer: wait=N`."""
    preference = read_preference(request.headers.getlist("prefer"), longest=context.settings.max_wait_seconds)
    job = await _close(context, caller, await _known(context, caller, round_id))
    if job is None:
        raise ServiceError("gone", f"the job of round {round_id} was forgotten")
    return await answer(request, job, preference, context)


async def _received(
    request: Request, context: Context, caller: Caller, found: Round, sent: Update
) -> tuple[Update, bool]:
    """Store the body as the client's update; the one of an earlier request, where it is the same."""
    rounds, upload, settings = _rounds(context), Upload(), context.settings
    try:
        with context.upload_slot(caller.owner):
            if len(await rounds.updates(found.id)) >= MAX_CLIENTS:
                raise ServiceError("invalid_option", f"a round has {MAX_CLIENTS} updates at most", field="client")
            blob = await receive_update(
                request, context.store, upload, limit=settings.max_upload_bytes, quiet_seconds=settings.quiet_seconds
            )
        update = replace(sent, blob=blob)
        earlier = await rounds.update(found.id, sent.client)
        if earlier is not None and (earlier.blob.sha256, earlier.samples) == (blob.sha256, sent.samples):
            await discard(context.store, *upload.places)
            return earlier, False
        if earlier is not None:
            detail = f"{sent.client} has sent another update to this round; each client sends one"
            raise ServiceError("update_exists", detail, field="client")
        if not await rounds.add(found.id, update):
            await rounds.note_late(found.id, update)
            raise _late(found)
    except BaseException:
        await discard(context.store, *upload.places)
        raise
    return update, True


async def _known(context: Context, caller: Caller, round_id: str) -> Round:
    found = await _rounds(context).get(round_id, caller.owner)
    if found is None:
        raise ServiceError("round_not_found", f"there is no round {round_id}")
    return found


async def _close(context: Context, caller: Caller, found: Round) -> Job | None:
    async def base() -> Blob:
        return (await base_for_job(context, caller, found.base, Upload()))["base"]

    return await _rounds(context).close(found, base, bounds=caller.bounds)


async def _close_at_deadline(context: Context, caller: Caller, found: Round) -> None:
    """The time of a round ends it even if nobody asks. Where this process is gone by then, the next request does."""
    await asyncio.sleep(max(0.0, found.deadline - time.time()))
    try:
        await _close(context, caller, found)
    except (ServiceError, QueueFull, OwnerFull, OSError) as error:
        logger.warning("round %s cannot be closed yet: %s", found.id, error)


async def _reply(request: Request, context: Context, found: Round, *, status: int = 200) -> Response:
    rounds = _rounds(context)
    arrived = await rounds.updates(found.id)
    names = {update.client for update in arrived}
    closed = await rounds.is_closed(found.id)
    late = [update for update in await rounds.updates(found.id, late=True) if update.client not in names]
    root = request.scope.get("root_path", "")
    view = RoundView(
        id=found.id,
        state="closed" if closed else "open",
        base=found.base,
        created=datetime.fromtimestamp(found.created, UTC),
        deadline=datetime.fromtimestamp(found.deadline, UTC),
        minimum=found.minimum,
        arrived=[_seen(update) for update in arrived],
        late=[_seen(update) for update in late],
        missing=sorted(set(found.clients or ()) - names),
        job=f"{root}/jobs/{found.id}" if closed else None,
    )
    headers = {"Cache-Control": "no-store"}
    if status == 201:
        headers["Location"] = f"{root}/rounds/{found.id}"
    if closed and (job := await context.queue.get(found.id)) is not None:
        headers["Link"] = job_links(request, job)
    return Response(view.model_dump_json(), status, headers, media_type="application/json")


def _seen(update: Update) -> UpdateView:
    coded = update.blob.media_type == CABACUS.media_type
    return UpdateView(client=update.client, samples=update.samples, bytes=update.blob.size, coded=coded)


def _rounds(context: Context) -> Rounds:
    return Rounds(context.store, context.queue)


def _late(found: Round) -> ServiceError:
    return ServiceError("round_closed", f"round {found.id} is over; ask for the next one's base and train from that")


def _nothing() -> Blob:
    """In place of a body that is not read."""
    return Blob("", 0, "")
