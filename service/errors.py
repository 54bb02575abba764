"""Every way a request or a job can fail: a stable code, its HTTP status and a title. Values only; drawn once, here.

    ServiceError                     anything the API refuses; carries a Fault
    CATALOGUE                        code -> status, title; a job's Failure uses the same codes

A status of 500 is for our own faults; what a caller can mend is a 4xx; what passes by itself is a 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """The HTTP status of a code and its title, the same each time it occurs."""

    status: int
    title: str


CATALOGUE: dict[str, Entry] = {
    # The request as such.
    "bad_request": Entry(400, "The request is malformed"),
    "truncated_body": Entry(400, "The body ended early"),
    "bad_digest": Entry(400, "A digest cannot be read"),
    "digest_mismatch": Entry(400, "The body is not the one of its digest"),
    "bad_multipart": Entry(400, "The multipart body is malformed"),
    "unauthorized": Entry(401, "A key is needed"),
    "forbidden": Entry(403, "The key does not allow this"),
    "not_found": Entry(404, "There is nothing here"),
    "source_not_found": Entry(404, "There is no such input"),
    "base_not_found": Entry(404, "There is no such base"),
    "job_not_found": Entry(404, "There is no such job"),
    "round_not_found": Entry(404, "There is no such round"),
    "method_not_allowed": Entry(405, "The method is not allowed here"),
    "upload_timeout": Entry(408, "The body did not arrive"),
    "upload_too_large": Entry(413, "The upload is too large"),
    "unsupported_format": Entry(415, "The file format is not supported"),
    "unsupported_encoding": Entry(415, "The content encoding is not supported"),
    "range_not_satisfiable": Entry(416, "The range lies outside the result"),
    "unknown_option": Entry(422, "An option is unknown"),
    "invalid_option": Entry(422, "An option is invalid"),
    "two_targets": Entry(422, "More than one target was given"),
    "empty_body": Entry(422, "The body is empty"),
    "missing_part": Entry(422, "A part is missing"),
    "unexpected_part": Entry(422, "A part is not expected here"),
    "idempotency_reused": Entry(422, "The Idempotency-Key was used for something else"),
    # The state of a job.
    "idempotency_running": Entry(409, "The job of this Idempotency-Key has not finished"),
    "not_ready": Entry(409, "The job has not finished"),
    "job_failed": Entry(409, "The job failed"),
    "job_cancelled": Entry(409, "The job was cancelled"),
    "round_closed": Entry(409, "The round takes no more updates"),
    "update_exists": Entry(409, "The client has sent another update"),
    "too_few_updates": Entry(409, "Too few updates arrived"),
    "gone": Entry(410, "The result is gone"),
    # What the engine says of the data.
    "invalid_input": Entry(422, "The input cannot be used"),
    "invalid_format": Entry(422, "The file is malformed"),
    "truncated": Entry(422, "The file ends early"),
    "corrupt": Entry(422, "The file is corrupt"),
    "unsupported": Entry(422, "The file uses something unsupported"),
    "base_mismatch": Entry(409, "The base is not the one the file was made with"),
    "limit_exceeded": Entry(413, "A limit was exceeded"),
    "time_limit": Entry(413, "The job took too long"),
    "memory_limit": Entry(413, "The job needed too much memory"),
    # Capacity; passes by itself.
    "key_limit": Entry(429, "The key has as much as it may"),
    "too_many_uploads": Entry(503, "Too many uploads at once"),
    "too_many_followers": Entry(503, "Too many streams of events at once"),
    "queue_full": Entry(503, "The queue is full"),
    "unavailable": Entry(503, "The service is not available now"),
    # Our own faults.
    "crashed": Entry(500, "The job's process died"),
    "internal": Entry(500, "Something went wrong on our side"),
}


def entry_of(code: str) -> Entry:
    """The catalogue's entry for a code; an unknown code counts as our own fault."""
    return CATALOGUE.get(code, CATALOGUE["internal"])


class ServiceError(Exception):
    """A refusal: a code of the catalogue, what is wrong and the remedy in words, and what is at fault.

    `field` names an option or part, `limit` the setting (its environment variable) whose bound was met, `tensor` a
    tensor. `retry_after` is in whole seconds, `headers` go with the answer.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        limit: str | None = None,
        tensor: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        if code not in CATALOGUE:
            raise ValueError(f"{code!r} is not in the catalogue")
        self.code = code
        self.detail = detail
        self.field = field
        self.limit = limit
        self.tensor = tensor
        self.retry_after = retry_after
        self.headers = dict(headers or {})
