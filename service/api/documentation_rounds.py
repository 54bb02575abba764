"""What the OpenAPI document says of federated rounds beyond what the routes' types say."""

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
from cabacus.service.api.documentation_work import PREFER
from cabacus.service.api.examples import DIGEST, JOB_ID, QUEUED
from cabacus.service.round_schemas import RoundView, UpdateView
from cabacus.service.schemas import JobView

_UPDATE = {"client": "hospital-3", "samples": 600, "bytes": 5211, "coded": True}
_ROUND = {
    "id": JOB_ID,
    "state": "open",
    "base": DIGEST,
    "created": "2026-01-02T03:04:05Z",
    "deadline": "2026-01-02T03:14:05Z",
    "minimum": 1,
    "arrived": [_UPDATE],
    "late": [],
    "missing": ["hospital-7"],
    "job": None,
}
_CLOSED = {**_ROUND, "state": "closed", "job": f"/jobs/{JOB_ID}"}
_CLOSES = ("base_not_found", "key_limit", "queue_full", "unavailable")

OPEN_ROUND: Description = {
    "operation_id": "openRound",
    "status_code": 201,
    "response_class": Response,
    "responses": {
        201: json_body("It is open.", RoundView, {**_ROUND, "arrived": []}, {"Location": LOCATION}),
        **refusals("bad_request", "base_not_found", "invalid_option", "unavailable"),
    },
}
GET_ROUND: Description = {
    "operation_id": "getRound",
    "response_class": Response,
    "responses": {
        200: json_body("The round.", RoundView, _CLOSED, {"Link": LINK}),
        **refusals("round_not_found", "invalid_option", *_CLOSES),
    },
}
PUT_UPDATE: Description = {
    "operation_id": "putUpdate",
    "status_code": 201,
    "response_class": Response,
    "responses": {
        200: json_body("The same had arrived before.", UpdateView, _UPDATE),
        201: json_body("It has arrived.", UpdateView, _UPDATE),
        **refusals(
            *("round_not_found", "round_closed", "update_exists", "invalid_option", "empty_body", "bad_digest"),
            *("digest_mismatch", "truncated_body", "upload_timeout", "upload_too_large", "unsupported_format"),
            *("unsupported_encoding", "too_many_uploads", *_CLOSES),
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "A message of `UpdateEncoder`; or safetensors, npz or npy: the client's model as it is.",
            "content": binary("application/octet-stream"),
        }
    },
}
CLOSE_ROUND: Description = {
    "operation_id": "closeRound",
    "status_code": 202,
    "response_class": Response,
    "responses": {
        200: {
            "description": "Done within the wait: the mean, or report and mean as multipart/mixed.",
            "headers": {**RESULT_HEADERS, "Preference-Applied": APPLIED},
            "content": binary("application/vnd.safetensors", "multipart/mixed"),
        },
        202: json_body(
            "Queued: ask at Location. Also when the wait is over.",
            JobView,
            {**QUEUED, "kind": "round"},
            {"Location": LOCATION, "Retry-After": RETRY_AFTER, "Link": LINK, "Preference-Applied": APPLIED},
        ),
        **refusals(
            *("round_not_found", "invalid_option", "too_few_updates", "base_mismatch", "invalid_input", "gone"),
            *("limit_exceeded", "time_limit", "memory_limit", "job_cancelled", "crashed", *_CLOSES),
        ),
    },
    "openapi_extra": {"parameters": [PREFER]},
}
