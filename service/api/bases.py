"""GET /bases; PUT, HEAD and DELETE /bases/{digest}: models kept for coding differences to them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from cabacus.service.api import documentation as docs
from cabacus.service.api.callers import Caller, Reader, Writer
from cabacus.service.api.context import Context, Current
from cabacus.service.api.upload import Upload, discard, receive_base
from cabacus.service.errors import ServiceError
from cabacus.service.job import Blob
from cabacus.service.mending import mend
from cabacus.service.schemas import BASE_PATTERN, BaseList, BaseView

router = APIRouter(prefix="/bases", tags=["bases"])

MAX_LISTED = 1000
MAX_DIFFERENCES = 16
"""The longest chain of results that are differences, each to the one before: a worker decodes all of it."""
TENSORS = "application/vnd."
"""How the media types begin of what holds tensors: files of models, and compressed ones."""

Digest = Annotated[
    str,
    Path(
        pattern=BASE_PATTERN,
        description="SHA-256 of the model's tensors, as `cabacus.digest(tensors).hex()` gives it.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]


async def known_base(context: Context, caller: Caller, digest: str) -> dict[str, Blob]:
    """A base that the caller has stored, or an earlier result of this digest, under the name of its part: `base`.

    Of a result that is a difference itself come with it its base as `base-1`, that one's as `base-2`, and so on.
    Raises ServiceError.
    """
    stored = await context.queue.base(caller.owner, digest)
    if stored is not None:
        if await context.store.size(stored.key) is None:  # lost; who stores it again heals it
            raise _not_found(digest)
        return {"base": stored}
    job = await context.queue.made(caller.owner, digest)
    if job is None or job.result is None or not job.result.media_type.startswith(TENSORS):
        raise _not_found(digest)
    roles = [role for role in job.inputs if role.startswith("base")] if job.kind == "compress" else []
    if len(roles) >= MAX_DIFFERENCES:
        detail = (
            f"the base {digest} is the last of {len(roles)} differences, each to the one before; decompress it, and "
            "store the model with PUT /bases/DIGEST"
        )
        raise ServiceError("invalid_option", detail, field="base")
    roles.sort(key=lambda role: int(role.partition("-")[2] or 0))
    return {"base": job.result} | {f"base-{n}": job.inputs[role] for n, role in enumerate(roles, 1)}


async def refuse_difference(context: Context, caller: Caller, digest: str) -> None:
    """Look for a base that must be a whole model. Raises ServiceError."""
    if len(await known_base(context, caller, digest)) > 1:
        detail = f"the base {digest} is a difference to another; decompress it, and store it with PUT /bases/DIGEST"
        raise ServiceError("invalid_option", detail, field="base")


async def base_for_job(context: Context, caller: Caller, digest: str, upload: Upload) -> dict[str, Blob]:
    """The same as inputs of a job: of a result, which goes with the job that made it, a copy below `upload`."""
    found = await known_base(context, caller, digest)
    blob = found["base"]
    if not blob.key.startswith("jobs/"):
        return found
    key = f"{upload.place()}/base.{blob.key.rpartition('.')[2]}"
    try:
        copy = await context.store.write(key, context.store.read(blob.key))
    except KeyError:  # it was deleted just now
        raise _not_found(digest) from None
    return found | {"base": replace(copy, media_type=blob.media_type, name=blob.name)}


async def _mend(context: Context, caller: Caller, digest: str, blob: Blob) -> None:
    """Let a base that the store has lost make way for the one that was sent, or be there again."""
    queue, store = context.queue, context.store
    await mend(caller.owner, [blob], queue, store)
    known = await queue.base(caller.owner, digest)
    if known is not None and await store.size(known.key) is None:
        await discard(store, *(key.rpartition("/")[0] for key in await queue.drop_base(caller.owner, digest)))


async def _stored_base(context: Context, caller: Caller, digest: str) -> Blob:
    """A base that the caller has stored. Raises ServiceError `base_not_found`."""
    blob = await context.queue.base(caller.owner, digest)
    if blob is None:
        raise _not_found(digest)
    return blob


def _not_found(digest: str) -> ServiceError:
    return ServiceError(
        "base_not_found",
        f"there is no base {digest[:80]}, nor a result with this digest; store it with PUT /bases/DIGEST, or send the "
        "file as the part base",
        field="base",
    )


@router.get("", **docs.LIST_BASES)
async def list_bases(
    context: Current,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most this many.")] = MAX_LISTED,
) -> Response:
    """List the bases that the caller has stored, by digest; results of earlier jobs are with those jobs."""
    found = await context.queue.bases(caller.owner)
    listing = BaseList(bases=[_view(digest, found[digest]) for digest in sorted(found)[:limit]])
    return Response(listing.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.put("/{digest}", **docs.PUT_BASE)
async def put_base(request: Request, digest: Digest, context: Current, caller: Writer) -> Response:
    """Store a model (safetensors, npz, npy) under the digest of its tensors, until it is deleted.

    Whether the digest is the file's is checked when it is used: a job with another base fails with `base_mismatch`.
    """
    upload = Upload()
    settings = context.settings
    try:
        with context.upload_slot(caller.owner):
            blob = await receive_base(
                request, context.store, upload, limit=settings.max_upload_bytes, quiet_seconds=settings.quiet_seconds
            )
        await _mend(context, caller, digest, blob)
        kept = await context.queue.keep_base(caller.owner, digest, blob, bounds=caller.bounds)
    except BaseException:
        await discard(context.store, *upload.places)
        raise
    await discard(context.store, *(key.rpartition("/")[0] for key in kept.unused))
    view = _view(digest, kept.blob)
    return Response(
        view.model_dump_json(), 201 if kept.fresh else 200, {"Cache-Control": "no-store"}, media_type="application/json"
    )


@router.head("/{digest}", **docs.HEAD_BASE)
async def head_base(digest: Digest, context: Current, caller: Reader) -> Response:
    """Say whether there is such a base, stored or an earlier result: 200 or 404."""
    blob = (await known_base(context, caller, digest))["base"]
    encoded = base64.b64encode(bytes.fromhex(blob.sha256)).decode()
    return Response(status_code=200, headers={"ETag": f'"{blob.sha256}"', "Repr-Digest": f"sha-256=:{encoded}:"})


@router.delete("/{digest}", **docs.DELETE_BASE)
async def delete_base(digest: Digest, context: Current, caller: Writer) -> Response:
    """Forget a base; jobs that were submitted with it still have it."""
    await _stored_base(context, caller, digest)
    keys = await context.queue.drop_base(caller.owner, digest)
    await discard(context.store, *(key.rpartition("/")[0] for key in keys))
    return Response(status_code=204)


def _view(digest: str, blob: Blob) -> BaseView:
    return BaseView(digest=digest, bytes=blob.size, sha256=blob.sha256, media_type=blob.media_type)
