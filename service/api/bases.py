"""PUT, HEAD and DELETE /bases/{digest}: models kept for coding differences to them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from cabacus.service.api import documentation as docs
from cabacus.service.api.callers import Caller, Reader, Writer
from cabacus.service.api.context import Context, Current
from cabacus.service.api.upload import Upload, discard, receive_base
from cabacus.service.errors import ServiceError
from cabacus.service.job import Blob
from cabacus.service.schemas import BASE_PATTERN, BaseView

router = APIRouter(prefix="/bases", tags=["bases"])

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


async def known_base(context: Context, caller: Caller, digest: str) -> Blob:
    """A base that the caller has stored, or an earlier result of this digest. Raises ServiceError `base_not_found`."""
    blob = await context.queue.base(caller.owner, digest) or await context.queue.result(caller.owner, digest)
    if blob is None or not blob.media_type.startswith(TENSORS):
        raise _not_found(digest)
    return blob


async def base_for_job(context: Context, caller: Caller, digest: str, upload: Upload) -> Blob:
    """The same as an input of a job: of a result, which goes with the job that made it, a copy below `upload`."""
    blob = await known_base(context, caller, digest)
    if not blob.key.startswith("jobs/"):
        return blob
    key = f"{upload.place()}/base.{blob.key.rpartition('.')[2]}"
    try:
        copy = await context.store.write(key, context.store.read(blob.key))
    except KeyError:  # it was deleted just now
        raise _not_found(digest) from None
    return replace(copy, media_type=blob.media_type, name=blob.name)


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
    blob = await known_base(context, caller, digest)
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
