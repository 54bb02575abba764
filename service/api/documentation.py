"""What the OpenAPI document says beyond what the routes' types say: bodies, headers, statuses, errors, examples."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from cabacus.service.api.examples import DIGEST, FAILURES, JOB, JOB_ID, QUEUED
from cabacus.service.api.problems import MEDIA_TYPE, problem
from cabacus.service.api.upload import ROLES, SHARD, TAKES_COMPRESSED
from cabacus.service.errors import CATALOGUE
from cabacus.service.job import Failure, Kind
from cabacus.service.schemas import OPTIONS, BaseView, Health, JobList, JobView, Options, Terms

Description = dict[str, Any]


def _header(description: str, example: str | int | float, kind: str = "string") -> Description:
    return {"description": description, "schema": {"type": kind}, "example": example}


LOCATION = _header("Where the job is found.", f"/jobs/{JOB_ID}")
RETRY_AFTER = _header("Seconds after which to ask again.", 1, "integer")
LINK = _header(
    "The job (rel monitor) and, once there is one, its report (rel describedby).", f'</jobs/{JOB_ID}>; rel="monitor"'
)
APPLIED = _header("The part of Prefer that was followed; a wait may have been shortened.", "wait=60")
ETAG = _header("The body's SHA-256 in hex.", f'"{DIGEST}"')
RESULT_HEADERS: Description = {
    "ETag": ETAG,
    "Repr-Digest": _header(
        "The whole result's SHA-256 (RFC 9530).", "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"
    ),
    "Content-Disposition": _header("The file name offered.", 'attachment; filename="model.cabac"'),
    "Content-Location": _header("The result's own address.", f"/jobs/{JOB_ID}/result"),
    "Accept-Ranges": _header("GET of the result understands byte ranges.", "bytes"),
    "Link": LINK,
    "Cabacus-Bytes": _header("Bytes of the compressed file.", 152340, "integer"),
    "Cabacus-Original-Bytes": _header("Bytes of the tensors before.", 1066860, "integer"),
    "Cabacus-Ratio": _header("Original bytes / compressed bytes.", 7.003, "number"),
    "Cabacus-Bits-Per-Weight": _header("8 x bytes / weights.", 4.57, "number"),
    "Cabacus-Snr-Db": _header("Signal-to-noise ratio of the weights in dB; inf: exact.", "30.03"),
    "Cabacus-Mse": _header("Mean squared error of the weights.", 1.2e-6, "number"),
}


_NULL = "\0null"
"""Stands for null in examples until `complete`: FastAPI drops what is null from its document."""


def complete(document: Description) -> Description:
    """FastAPI's document with the nulls of examples back, and without the validation errors that are never sent."""
    for methods in document["paths"].values():
        for operation in methods.values():
            invalid = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in invalid:
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    completed: Description = _exchanged(document, _NULL, None)
    return completed


def _exchanged(value: Any, old: object, new: object) -> Any:
    """A JSON value with every `old` in it replaced."""
    if isinstance(value, dict):
        return {key: _exchanged(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_exchanged(item, old, new) for item in value]
    return new if value == old else value


def refusals(*codes: str, public: bool = False) -> dict[int | str, Description]:
    """Response descriptions for codes of the catalogue, grouped by status, each with an example."""
    responses: dict[int | str, Description] = {}
    for code in ("internal", *(() if public else ("unauthorized", "forbidden")), *codes):
        entry = CATALOGUE[code]
        example = problem(FAILURES.get(code, Failure(code, entry.title))).model_dump(exclude_none=True)
        known = responses.setdefault(
            entry.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        known["description"] = " ".join(filter(None, (known["description"], f"{entry.title} (`{code}`).")))
        known["content"][MEDIA_TYPE]["examples"][code] = {"summary": entry.title, "value": example}
        if entry.status in (429, 503) or code in ("not_ready", "idempotency_running"):
            known["headers"] = {"Retry-After": RETRY_AFTER}
        if entry.status == 401:
            known["headers"] = {"WWW-Authenticate": _header("How to say who calls.", "Bearer")}
        if entry.status == 416:
            known["headers"] = {"Content-Range": _header("The size of the result.", "bytes */152340")}
    return responses


def _json(description: str, model: type[Any], example: object, headers: Description | None = None) -> Description:
    found: Description = {"description": description, "model": model}
    found["content"] = {"application/json": {"example": _exchanged(example, None, _NULL)}}
    if headers:
        found["headers"] = headers
    return found


def _binary(*media_types: str) -> Description:
    return {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}


# -- POST /compress, /decompress, /inspect, /verify, /sweep ------------------------------------------------------------

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
_RESULTS: dict[Kind, tuple[str, ...]] = {
    "compress": ("application/vnd.cabacus",),
    "decompress": ("application/vnd.safetensors", "application/vnd.numpy.npz", "application/vnd.numpy.npy"),
    "inspect": ("application/json",),
    "verify": ("application/json",),
    "sweep": ("application/json",),
}
_PARTS = {
    "sigma": "The standard deviation of each weight: tensors of the model's names and shapes.",
    "importance": "The importance (eta of eq. 1) of each weight, or of each tensor.",
    "base": "The model that the difference is taken to.",
    "against": "The original, to compare with.",
}
_WORK_REFUSALS = (
    "source_not_found",
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
    own = {"compress": ("two_targets", "base_not_found"), "decompress": ("base_not_found",)}
    codes = (*_WORK_REFUSALS, *own.get(kind, ()))
    done = {
        "description": "Done within the wait: the result, or report and result as multipart/mixed.",
        "headers": {**RESULT_HEADERS, "Preference-Applied": APPLIED},
        "content": _result_content(kind),
    }
    queued_headers = {"Location": LOCATION, "Retry-After": RETRY_AFTER, "Link": LINK, "Preference-Applied": APPLIED}
    queued = _json(
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
    if _RESULTS[kind] == ("application/json",):
        return {"application/json": {"schema": {"type": "object"}}, "multipart/mixed": mixed}
    return {**_binary(*_RESULTS[kind]), "multipart/mixed": mixed}


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


# -- /jobs -------------------------------------------------------------------------------------------------------------

LIST_JOBS: Description = {
    "operation_id": "listJobs",
    "response_class": Response,
    "responses": {
        200: _json("The jobs.", JobList, {"jobs": [JOB]}),
        **refusals("invalid_option", "unavailable"),
    },
}
GET_JOB: Description = {
    "operation_id": "getJob",
    "response_class": Response,
    "responses": {
        200: _json("The job.", JobView, JOB, {"Link": LINK, "Retry-After": RETRY_AFTER, "Preference-Applied": APPLIED}),
        **refusals("job_not_found", "unavailable"),
    },
    "openapi_extra": {"parameters": [PREFER]},
}
GET_EVENTS: Description = {
    "operation_id": "getEvents",
    "responses": {
        200: {
            "description": "Events `job`; the data of each is the job as JSON, its id the job's version.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'event: job\ndata: {"id":"...","progress":0.5}\nid: 3\nretry: 1000\n\n',
                }
            },
        },
        204: {"description": "The job has ended, and the caller has seen that: do not come again."},
        **refusals("job_not_found", "too_many_followers", "unavailable"),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "The id of the last event that was seen; only changes since are sent.",
                "schema": {"type": "string"},
                "example": "3",
            }
        ]
    },
}
_NO_RESULT = refusals("job_not_found", "not_ready", "job_failed", "job_cancelled", "gone", "unavailable")
_ALL_MEDIA = _binary(*dict.fromkeys(media for known in _RESULTS.values() for media in known))
_NOT_MODIFIED = {"description": "The caller has it already (If-None-Match).", "headers": {"ETag": ETAG}}
GET_RESULT: Description = {
    "operation_id": "getResult",
    "response_class": Response,
    "responses": {
        200: {"description": "The result.", "headers": RESULT_HEADERS, "content": _ALL_MEDIA},
        206: {
            "description": "The range that was asked for.",
            "headers": {**RESULT_HEADERS, "Content-Range": _header("Which bytes these are.", "bytes 0-99/152340")},
            "content": _ALL_MEDIA,
        },
        304: _NOT_MODIFIED,
        **_NO_RESULT,
        **refusals("range_not_satisfiable"),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": text,
                "schema": {"type": "string"},
                "example": example,
            }
            for name, text, example in (
                ("Range", "One range of bytes.", "bytes=0-99"),
                ("If-Range", "The range only if the ETag is still this one.", f'"{DIGEST}"'),
                ("If-None-Match", "Nothing if the ETag is this one.", f'"{DIGEST}"'),
            )
        ]
    },
}
HEAD_RESULT: Description = {
    "operation_id": "headResult",
    "summary": "Look at the headers of a result",
    "description": "The headers that GET would give, without the body.",
    "response_class": Response,
    "responses": {
        200: {"description": "The result's headers.", "headers": RESULT_HEADERS},
        304: _NOT_MODIFIED,
        **_NO_RESULT,
    },
}
GET_REPORT: Description = {
    "operation_id": "getReport",
    "response_class": Response,
    "responses": {
        200: {
            "description": "The report.",
            "headers": {"ETag": ETAG, "Link": LINK},
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        304: _NOT_MODIFIED,
        **_NO_RESULT,
    },
}
DELETE_JOB: Description = {
    "operation_id": "deleteJob",
    "status_code": 200,
    "response_class": Response,
    "responses": {
        200: _json("It had not finished, and is cancelled.", JobView, {**QUEUED, "state": "cancelled"}),
        204: {"description": "It had finished, and is forgotten with its files."},
        **refusals("job_not_found", "unavailable"),
    },
}

# -- /bases ------------------------------------------------------------------------------------------------------------

_BASE = {
    "digest": DIGEST,
    "bytes": 1066860,
    "sha256": DIGEST,
    "media_type": "application/vnd.safetensors",
}
PUT_BASE: Description = {
    "operation_id": "putBase",
    "status_code": 201,
    "response_class": Response,
    "responses": {
        200: _json("It was stored before.", BaseView, _BASE),
        201: _json("It is stored.", BaseView, _BASE),
        **refusals(
            *("bad_digest", "digest_mismatch", "truncated_body", "upload_timeout", "upload_too_large"),
            *("unsupported_format", "unsupported_encoding", "empty_body", "invalid_option", "key_limit"),
            *("too_many_uploads", "unavailable"),
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The file: safetensors, npz or npy.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
}
HEAD_BASE: Description = {
    "operation_id": "headBase",
    "response_class": Response,
    "responses": {
        200: {"description": "It is stored.", "headers": {"ETag": ETAG, "Repr-Digest": RESULT_HEADERS["Repr-Digest"]}},
        **refusals("base_not_found", "invalid_option", "unavailable"),
    },
}
DELETE_BASE: Description = {
    "operation_id": "deleteBase",
    "status_code": 204,
    "response_class": Response,
    "responses": {
        204: {"description": "It is forgotten."},
        **refusals("base_not_found", "invalid_option", "unavailable"),
    },
}

# -- health ------------------------------------------------------------------------------------------------------------

HEALTH: Description = {
    "operation_id": "healthz",
    "responses": {200: _json("It answers.", Health, {"status": "ok", "version": "0.1.0"}), **refusals(public=True)},
}
METRICS: Description = {
    "operation_id": "metrics",
    "response_class": Response,
    "responses": {
        200: {"description": "The figures.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **refusals("unavailable"),
    },
}
READY: Description = {
    "operation_id": "readyz",
    "responses": {
        200: _json("It can take jobs.", Health, {"status": "ready", "version": "0.1.0"}),
        **refusals("unavailable", public=True),
    },
}
