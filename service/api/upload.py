"""From the body of a request to blobs in the store, as a stream."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request

from cabacus.service.api.digests import checked
from cabacus.service.api.formats import CABACUS, HEAD_BYTES, INDEX, SAFETENSORS, Format, sniff
from cabacus.service.api.multipart import Part, is_multipart, read_parts
from cabacus.service.api.options import names_of, parse_document
from cabacus.service.errors import ServiceError
from cabacus.service.job import Blob, Kind
from cabacus.service.schemas import OPTIONS
from cabacus.service.storage.port import Store

MAX_OPTIONS_BYTES = 1 << 20

ROLES: dict[Kind, tuple[str, ...]] = {  # of those with a POST route of their own
    "compress": ("model", "sigma", "importance", "base"),
    "decompress": ("model", "base"),
    "inspect": ("model", "base"),
    "verify": ("model", "against", "base"),
    "sweep": ("model", "sigma", "importance"),
}
"""The file parts that each kind of job understands. `model` is always needed; /sweep needs `sigma` as well."""

SHARD = "shard"
"""The part of a form that may be there many times: the shards of a model that is an index of them."""

ONE_FILE = (
    "a base is one file of tensors. Of a checkpoint in several files, send all tensors as one, as the client does, or "
    "compress it: the result is a base by its SHA-256"
)

TAKES_COMPRESSED: frozenset[Kind] = frozenset({"decompress", "inspect", "verify"})
"""The kinds of job whose model is a compressed one. All other files hold tensors."""


@dataclass
class Upload:
    """What a request brought: a blob for each role, and the part `options`, if there was one.

    `places` are the prefixes of storage keys below which something was written.
    """

    inputs: dict[str, Blob] = field(default_factory=dict)
    options: dict[str, Any] | None = None
    places: list[str] = field(default_factory=list)

    def place(self) -> str:
        """A new place for a file."""
        self.places.append(f"uploads/{secrets.token_hex(16)}")
        return self.places[-1]


async def receive(
    request: Request, kind: Kind, store: Store, upload: Upload, *, limit: int, quiet_seconds: float
) -> None:
    """Stream the body into the store and into `upload`; each file goes to a place of its own.

    `limit` bounds the whole body in bytes, `quiet_seconds` the silence between two pieces of it. Raises ServiceError;
    ClientDisconnect when the caller went away. What was stored until then is the caller's to remove: see `places`.
    """
    _refuse_encoding(request)
    _refuse_length(request, limit)
    body = checked(_bounded(request.stream(), limit, quiet_seconds), request.headers)
    content_type = request.headers.get("content-type")
    if is_multipart(content_type):
        async for part in read_parts(body, content_type or ""):
            await _receive_part(part, kind, upload, store)
        _refuse_loose_shards(upload.inputs)
    else:
        upload.inputs["model"] = await _store(store, kind, "model", "", body, upload.place())
        _refuse_loose_shards(upload.inputs)


async def receive_base(request: Request, store: Store, upload: Upload, *, limit: int, quiet_seconds: float) -> Blob:
    """The same for a body that is a base, a file of tensors."""
    if is_multipart(request.headers.get("content-type")):
        raise ServiceError("unsupported_format", f"base: a form is no file; {ONE_FILE}", field="base")
    _refuse_encoding(request)
    _refuse_length(request, limit)
    body = checked(_bounded(request.stream(), limit, quiet_seconds), request.headers)
    return await _store(store, "compress", "base", "", body, upload.place())


async def receive_update(request: Request, store: Store, upload: Upload, *, limit: int, quiet_seconds: float) -> Blob:
    """The same for a body that is a client's update: coded, or the client's tensors as they are."""
    _refuse_encoding(request)
    _refuse_length(request, limit)
    body = checked(_bounded(request.stream(), limit, quiet_seconds), request.headers)
    return await _store(store, "round", "update", "", body, upload.place())


async def discard(store: Store, *places: str) -> None:
    """Remove what lies at these places."""
    for place in places:
        await store.delete_below(place)


async def _receive_part(part: Part, kind: Kind, upload: Upload, store: Store) -> None:
    if part.name == "options":
        if upload.options is not None:
            raise ServiceError("unexpected_part", "the part options is given twice", field="options")
        upload.options = parse_document(await _small(part.chunks))
        return
    role = part.name
    if role == SHARD and kind not in TAKES_COMPRESSED:
        role = f"{SHARD}-{sum(known.startswith(SHARD) for known in upload.inputs) + 1}"
    elif role not in ROLES[kind]:
        known = ", ".join((*ROLES[kind], "options"))
        if part.name in names_of(OPTIONS[kind]):
            known += "; options are query parameters, or JSON in the part options"
        raise ServiceError(
            "unexpected_part", f"/{kind} knows no part {part.name[:80]!r}; it takes {known}", field=part.name[:80]
        )
    if role in upload.inputs:
        raise ServiceError("unexpected_part", f"the part {role} is given twice", field=role)
    upload.inputs[role] = await _store(store, kind, role, part.filename, part.chunks, upload.place())


def _refuse_loose_shards(inputs: Mapping[str, Blob]) -> None:
    """Refuse an index without its shards, and shards without an index or of one name."""
    names = [blob.name for role, blob in inputs.items() if role.startswith(SHARD)]
    is_index = "model" in inputs and inputs["model"].media_type == INDEX.media_type
    if is_index and not names:
        detail = "the model is an index of shards; send them in the same form, each as a part shard with its file name"
        raise ServiceError("missing_part", detail, field=SHARD)
    if names and not is_index:
        detail = "there are shards, but the model is no index of them; send model.safetensors.index.json as model"
        raise ServiceError("unexpected_part", detail, field=SHARD)
    if len(set(names)) < len(names):
        raise ServiceError("unexpected_part", "two shards have the same file name", field=SHARD)


async def _small(chunks: AsyncIterator[bytes]) -> bytes:
    text = bytearray()
    async for chunk in chunks:
        text += chunk
        if len(text) > MAX_OPTIONS_BYTES:
            raise ServiceError(
                "invalid_option", f"the part options is longer than {MAX_OPTIONS_BYTES} bytes", field="options"
            )
    return bytes(text)


async def _store(store: Store, kind: Kind, role: str, filename: str, chunks: AsyncIterator[bytes], place: str) -> Blob:
    """Sniff a file, then stream it on into the store under a name that fits its format."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    if not head:
        raise ServiceError(
            "empty_body", f"{role} is empty; send the file's bytes, as with curl --data-binary @FILE", field=role
        )
    found = _expect(kind, role, head)
    blob = await store.write(f"{place}/{role}.{found.extension}", _joined(head, chunks))
    stem = _stem(filename).removesuffix(".safetensors.index") or role
    return replace(blob, media_type=found.media_type, name=f"{stem}.{found.extension}")


def _expect(kind: Kind, role: str, head: bytes) -> Format:
    """The format of a file, which must be one that its role can have."""
    try:
        found = sniff(head[:HEAD_BYTES])
    except ServiceError as error:
        raise ServiceError(error.code, f"{role}: {error.detail}", field=role) from None
    if role.startswith(SHARD) and found is not SAFETENSORS:
        detail = f"shard: this is a {found.extension} file; shards are safetensors files"
        raise ServiceError("unsupported_format", detail, field=SHARD)
    if found is INDEX and (role != "model" or kind in TAKES_COMPRESSED):
        remedy = f"; {ONE_FILE}" if role == "base" else ""
        raise ServiceError("unsupported_format", f"{role}: this is JSON, no file of tensors{remedy}", field=role)
    if role == "update" and (found is CABACUS or found.holds_tensors):
        return found
    if role == "model" and kind in TAKES_COMPRESSED:
        if found is not CABACUS:
            raise ServiceError(
                "unsupported_format",
                f"model: this is a {found.extension} file; /{kind} takes a compressed model, which /compress gives",
                field=role,
            )
    elif not found.holds_tensors and found is not INDEX:
        raise ServiceError(
            "unsupported_format",
            f"{role}: this is a compressed model; /{kind} takes safetensors, npz or npy, which /decompress gives",
            field=role,
        )
    return found


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


async def _bounded(body: AsyncIterator[bytes], limit: int, quiet_seconds: float) -> AsyncIterator[bytes]:
    size = 0
    while (chunk := await _next(body, quiet_seconds)) is not None:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


async def _next(body: AsyncIterator[bytes], quiet_seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(quiet_seconds):
            return await anext(body, None)
    except TimeoutError:
        raise ServiceError(
            "upload_timeout",
            f"nothing arrived for {quiet_seconds:g} s; send it again, or raise CABACUS_QUIET_SECONDS on the server",
            limit="CABACUS_QUIET_SECONDS",
        ) from None


def _too_large(limit: int) -> ServiceError:
    return ServiceError(
        "upload_too_large",
        f"the body is longer than {limit} bytes; send a smaller one, or raise CABACUS_MAX_UPLOAD_BYTES on the server",
        limit="CABACUS_MAX_UPLOAD_BYTES",
    )


def _refuse_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ServiceError(
            "unsupported_encoding", f"Content-Encoding: {encoding[:80]} is not understood; send the file as it is"
        )


def _refuse_length(request: Request, limit: int) -> None:
    """Refuse before reading when the length is announced."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)


def has_body(request: Request) -> bool:
    """Whether a request brings a body."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def refuse_missing(
    kind: Kind, inputs: Mapping[str, Blob], options: Mapping[str, Any], *, elsewhere: bool = False
) -> None:
    """Refuse work that cannot start for want of a file; `elsewhere`: the model is in a bucket."""
    if elsewhere and "model" in inputs:
        detail = "the model is given both as input= and as an upload; give it once"
        raise ServiceError("invalid_option", detail, field="input")
    if "model" not in inputs and not elsewhere:
        raise ServiceError("missing_part", "the part model is missing: the file to work on", field="model")
    if "sigma" not in inputs and (kind == "sweep" or (kind == "compress" and "s" in options)):
        work = "a sweep" if kind == "sweep" else "the target s"
        raise ServiceError(
            "missing_part",
            f"{work} needs sigma, the standard deviation of each weight: send a form with the parts model and sigma, "
            "a file with the model's tensor names and shapes, as Bayesian training or a Fisher estimate gives it",
            field="sigma",
        )


def _stem(filename: str) -> str:
    """A file name without folders, extension and characters that are awkward in a header or a shell."""
    name = re.split(r"[/\\]", filename)[-1]
    stem = name.rsplit(".", 1)[0] if "." in name[1:] else name
    return re.sub(r"[^\w.+-]+", "_", stem).strip("._")[:100]
