"""/jobs, /bases and what is for operators, described."""

from __future__ import annotations

import json

from fastapi import Response

from cabacus.service.api.descriptions import (
    APPLIED,
    ETAG,
    LINK,
    RESULT_HEADERS,
    RETRY_AFTER,
    Description,
    binary,
    header,
    json_body,
    refusals,
)
from cabacus.service.api.documentation_work import PREFER, RESULTS
from cabacus.service.api.examples import DIGEST, JOB, QUEUED, RUNNING
from cabacus.service.schemas import BaseList, BaseView, Health, JobList, JobView

LIST_JOBS: Description = {
    "operation_id": "listJobs",
    "response_class": Response,
    "responses": {
        200: json_body("The jobs.", JobList, {"jobs": [JOB]}),
        **refusals("invalid_option", "unavailable"),
    },
}
GET_JOB: Description = {
    "operation_id": "getJob",
    "response_class": Response,
    "responses": {
        200: json_body(
            "The job.", JobView, JOB, {"Link": LINK, "Retry-After": RETRY_AFTER, "Preference-Applied": APPLIED}
        ),
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
                    "example": f"event: job\ndata: {json.dumps(RUNNING)}\nid: 3\nretry: 1000\n\n",
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
_ALL_MEDIA = binary(*dict.fromkeys(media for known in RESULTS.values() for media in known))
_NOT_MODIFIED = {"description": "The caller has it already (If-None-Match).", "headers": {"ETag": ETAG}}
GET_RESULT: Description = {
    "operation_id": "getResult",
    "response_class": Response,
    "responses": {
        200: {"description": "The result.", "headers": RESULT_HEADERS, "content": _ALL_MEDIA},
        206: {
            "description": "The range that was asked for.",
            "headers": {**RESULT_HEADERS, "Content-Range": header("Which bytes these are.", "bytes 0-99/152340")},
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
        200: json_body("It had not finished, and is cancelled.", JobView, {**QUEUED, "state": "cancelled"}),
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
LIST_BASES: Description = {
    "operation_id": "listBases",
    "response_class": Response,
    "responses": {
        200: json_body("The bases.", BaseList, {"bases": [_BASE]}),
        **refusals("invalid_option", "unavailable"),
    },
}
PUT_BASE: Description = {
    "operation_id": "putBase",
    "status_code": 201,
    "response_class": Response,
    "responses": {
        200: json_body("It was stored before.", BaseView, _BASE),
        201: json_body("It is stored.", BaseView, _BASE),
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
            "content": binary("application/octet-stream"),
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
    "responses": {200: json_body("It answers.", Health, {"status": "ok", "version": "0.1.0"}), **refusals(public=True)},
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
        200: json_body("It can take jobs.", Health, {"status": "ready", "version": "0.1.0"}),
        **refusals("unavailable", public=True),
    },
}
