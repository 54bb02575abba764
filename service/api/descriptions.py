"""What descriptions of routes share: headers, refusals with examples, bodies; and the document completed."""

from __future__ import annotations

from typing import Any

from cabacus.service.api.examples import DIGEST, FAILURES, JOB_ID
from cabacus.service.api.problems import MEDIA_TYPE, problem
from cabacus.service.errors import CATALOGUE
from cabacus.service.job import Failure

Description = dict[str, Any]


def header(description: str, example: str | int | float, kind: str = "string") -> Description:
    return {"description": description, "schema": {"type": kind}, "example": example}


LOCATION = header("Where the job is found.", f"/jobs/{JOB_ID}")
RETRY_AFTER = header("Seconds after which to ask again.", 1, "integer")
LINK = header(
    "The job (rel monitor) and, once there is one, its report (rel describedby).", f'</jobs/{JOB_ID}>; rel="monitor"'
)
APPLIED = header("The part of Prefer that was followed; a wait may have been shortened.", "wait=60")
ETAG = header("The body's SHA-256 in hex.", f'"{DIGEST}"')
RESULT_HEADERS: Description = {
    "ETag": ETAG,
    "Repr-Digest": header(
        "The whole result's SHA-256 (RFC 9530).", "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"
    ),
    "Content-Disposition": header("The file name offered.", 'attachment; filename="model.cabac"'),
    "Content-Location": header("The result's own address.", f"/jobs/{JOB_ID}/result"),
    "Accept-Ranges": header("GET of the result understands byte ranges.", "bytes"),
    "Link": LINK,
    "Cabacus-Bytes": header("Bytes of the compressed file.", 152340, "integer"),
    "Cabacus-Original-Bytes": header("Bytes of the tensors before.", 1066860, "integer"),
    "Cabacus-Ratio": header("Original bytes / compressed bytes.", 7.003, "number"),
    "Cabacus-Bits-Per-Weight": header("8 x bytes / weights.", 4.57, "number"),
    "Cabacus-Snr-Db": header("Signal-to-noise ratio of the weights in dB; inf: exact.", "30.03"),
    "Cabacus-Mse": header("Mean squared error of the weights.", 1.2e-6, "number"),
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
    completed: Description = exchanged(document, _NULL, None)
    return completed


def exchanged(value: Any, old: object, new: object) -> Any:
    """A JSON value with every `old` in it replaced."""
    if isinstance(value, dict):
        return {key: exchanged(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [exchanged(item, old, new) for item in value]
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
            known["headers"] = {"WWW-Authenticate": header("How to say who calls.", "Bearer")}
        if entry.status == 416:
            known["headers"] = {"Content-Range": header("The size of the result.", "bytes */152340")}
    return responses


def json_body(description: str, model: type[Any], example: object, headers: Description | None = None) -> Description:
    found: Description = {"description": description, "model": model}
    found["content"] = {"application/json": {"example": exchanged(example, None, _NULL)}}
    if headers:
        found["headers"] = headers
    return found


def binary(*media_types: str) -> Description:
    return {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
