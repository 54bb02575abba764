"""POST /compress, /decompress, /inspect, /verify, /sweep, described."""

from __future__ import annotations

from fastapi import Response

from cabacus.service.api.descriptions import (
    APPLIED,
    LINK,
    LOCATION,
    RESULT_HEADERS,
    RETRY_AFTER,
    Description,
    binary,
    json_body,
    refusals,
)
from cabacus.service.api.examples import QUEUED
from cabacus.service.api.upload import ROLES, SHARD, TAKES_COMPRESSED
from cabacus.service.job import Kind
from cabacus.service.schemas import OPTIONS, JobView, Options, Terms

_SUMMARIES: dict[Kind, tuple[str, str]] = {
    "compress": (
        "Compress a model",
        "curl --data-binary @model.safetensors 'HOST/compress?snr_db=30' -H 'Prefer: wait=60' -o model.cabac",
    ),
    "decompress": (
        "Decompress a model",
        "curl --data-binary @model.cabac HOST/decompress -H 'Prefer: wait=60' -o model.safetensors",
    ),
    "inspect": (
        "Say what is in a compressed model",
        "curl --data-binary @model.cabac HOST/inspect -H 'Prefer: wait=60'",
    ),
    "verify": (
        "Check a compressed model, alone or against its original",
        "curl -F model=@model.cabac -F against=@model.safetensors HOST/verify -H 'Prefer: wait=60'",
    ),
    "sweep": (
        "Trace the rate-distortion curve over S of eq. 2",
        "curl -F model=@model.safetensors -F sigma=@sigma.safetensors HOST/sweep?s=0:257:16 -H 'Prefer: wait=600'",
    ),
}
RESULTS: dict[Kind, tuple[str, ...]] = {
    "compress": ("application/vnd.cabacus",),
    "decompress": ("application/vnd.safetensors", "application/vnd.numpy.npz", "application/vnd.numpy.npy"),
    "inspect": ("application/json",),
    "verify": ("application/json",),
    "sweep": ("application/json",),
}
_PARTS = {
    "sigma": "The standard deviation of each weight: tensors of the model's names and shapes.",
    "importance": "The importance (eta of eq. 1) of each weight, or of each tensor.",
    "base": "The model that the difference is to.",
    "against": "The original, to compare with.",
}
_WORK_REFUSALS = (
    "source_not_found",
    "bad_request",
    "bad_digest",
    "digest_mismatch",
    "idempotency_running",
    "idempotency_reused",
    "bad_multipart",
    "truncated_body",
    "upload_timeout",
    "job_cancelled",
    "base_mismatch",
    "gone",
    "upload_too_large",
    "limit_exceeded",
    "time_limit",
    "memory_limit",
    "unsupported_format",
    "unsupported_encoding",
    "unknown_option",
    "invalid_option",
    "empty_body",
    "missing_part",
    "unexpected_part",
    "invalid_input",
    "invalid_format",
    "truncated",
    "corrupt",
    "unsupported",
    "crashed",
    "key_limit",
    "too_many_uploads",
    "queue_full",
    "unavailable",
)


def describe_work(kind: Kind) -> Description:
    """The description of a POST route, as keyword arguments of `add_api_route`."""
    summary, curl = _SUMMARIES[kind]
    own = ("two_targets",) if kind == "compress" else ()
    known = ("base_not_found",) if "base" in ROLES[kind] else ()
    codes = (*_WORK_REFUSALS, *own, *known)
    done = {
        "description": "Done within the wait: the result, or report and result as multipart/mixed.",
        "headers": {**RESULT_HEADERS, "Preference-Applied": APPLIED},
        "content": _result_content(kind),
    }
    queued_headers = {"Location": LOCATION, "Retry-After": RETRY_AFTER, "Link": LINK, "Preference-Applied": APPLIED}
    queued = json_body(
        "Queued: ask at Location. Also when the wait is over.",
        JobView,
        {**QUEUED, "kind": kind},
        queued_headers,
    )
    queued["links"] = {
        name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}}
        for name in ("getJob", "getEvents", "getResult", "headResult", "getReport", "deleteJob")
    }
    return {
        "summary": summary,
        "description": f"The file is the body, whatever its content type, or the part `model` of a form.\n\n    {curl}",
        "operation_id": kind,
        "response_class": Response,
        "responses": {200: done, 202: queued, **refusals(*codes)},
        "openapi_extra": {
            "parameters": [*option_parameters(OPTIONS[kind]), *option_parameters(Terms), *_REQUEST_HEADERS],
            "requestBody": _request_body(kind),
        },
    }


PREFER: Description = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N`: wait up to N seconds for the job's end. `respond-async`: do not wait, the default.",
    "schema": {"type": "string"},
    "examples": {"wait": {"value": "wait=60"}, "asynchronous": {"value": "respond-async"}},
}
_REQUEST_HEADERS = [
    PREFER,
    {
        "name": "Accept",
        "in": "header",
        "required": False,
        "description": "`multipart/mixed` asks for the report and the result in one body.",
        "schema": {"type": "string"},
        "example": "multipart/mixed",
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Sent again with the same body and options, it finds the job that the first request made.",
        "schema": {"type": "string", "maxLength": 255},
        "example": "0b6e3c1a-6d0e-4c57-9f1e-6f2d1c1b8a57",
    },
    {
        "name": "Content-Digest",
        "in": "header",
        "required": False,
        "description": "The body's digest (RFC 9530), sha-256 or sha-512; a body that differs is refused.",
        "schema": {"type": "string"},
        "example": "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:",
    },
]


def option_parameters(model: type[Options]) -> list[Description]:
    """The options of a model as query parameters."""
    parameters = []
    for name, schema in model.model_json_schema(by_alias=True).get("properties", {}).items():
        bare = next(arm for arm in schema["anyOf"] if arm != {"type": "null"})
        parameter = {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": bare,
        }
        if "examples" in schema:
            parameter["example"] = schema["examples"][0]
        if bare["type"] == "array":
            parameter |= {"style": "form", "explode": True}
        parameters.append(parameter)
    return parameters


def _result_content(kind: Kind) -> Description:
    mixed = {"schema": {"type": "string", "format": "binary"}}
    if RESULTS[kind] == ("application/json",):
        return {"application/json": {"schema": {"type": "object"}}, "multipart/mixed": mixed}
    return {**binary(*RESULTS[kind]), "multipart/mixed": mixed}


def _request_body(kind: Kind) -> Description:
    takes = "a compressed model" if kind in TAKES_COMPRESSED else "safetensors, npz or npy"
    parts: Description = {"model": {"type": "string", "format": "binary", "description": f"The file: {takes}."}}
    for role in ROLES[kind][1:]:
        parts[role] = {"type": "string", "format": "binary", "description": _PARTS[role]}
    if kind not in TAKES_COMPRESSED:
        shard = {"type": "string", "format": "binary"}
        text = "The shards, where `model` is an index of them (`.safetensors.index.json`), with their file names."
        parts[SHARD] = {"type": "array", "items": shard, "description": text}
    options = OPTIONS[kind].model_json_schema(by_alias=True)
    terms = Terms.model_json_schema(by_alias=True)["properties"]
    options["properties"] = {**options.get("properties", {}), **terms}
    parts["options"] = {**options, "description": "The options, instead of or beside query parameters."}
    required = ["model", "sigma"] if kind == "sweep" else ["model"]
    form = {
        "schema": {"type": "object", "properties": parts, "required": required, "additionalProperties": False},
        "encoding": {"options": {"contentType": "application/json"}},
        "example": {"model": "@model", "options": {"snr_db": 30} if kind == "compress" else {}},
    }
    raw = {"schema": {"type": "string", "format": "binary", "description": f"The file: {takes}."}}
    content: Description = {"multipart/form-data": form}
    if kind != "sweep":
        content = {"application/octet-stream": raw, **content}
    return {"required": True, "description": f"The file ({takes}), or a form of parts.", "content": content}
