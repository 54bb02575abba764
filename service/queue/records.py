"""A job as the fields of a Redis hash, and back. What never changes is one JSON document; what changes has a field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from cabacus.service.job import Blob, Counts, Failure, Job, State
from cabacus.service.queue.port import Claim


def new_record(job: Job) -> str:
    """The part of a job that never changes, as JSON. Where its inputs are stored is settled by the queue."""
    return _dump(
        {
            "id": job.id,
            "kind": job.kind,
            "created": job.created,
            "owner": job.owner,
            "priority": job.priority,
            "webhook": job.webhook,
            "source": job.source,
            "target": job.target,
            "request": job.request,
            "inputs": {role: {**asdict(blob), "key": ""} for role, blob in job.inputs.items()},
            "options": job.options,
        }
    )


def file_fields(job: Job) -> list[str]:
    """Role, digest with the file's extension, size and storage key of each input, in turn."""
    fields: list[str] = []
    for role, blob in job.inputs.items():
        fields += [role, digest_of(blob), str(blob.size), blob.key]
    return fields


def digest_of(blob: Blob) -> str:
    """What makes an upload the same as another: its bytes, and the format that its name in the store says."""
    return f"{blob.sha256}.{blob.key.rpartition('.')[2]}"


def blob_record(blob: Blob) -> str:
    """A file as JSON, but for its storage key."""
    return _dump({**asdict(blob), "key": ""})


def read_base(text: str) -> Blob:
    """The file of a stored base: its storage key comes first, its JSON last."""
    key, _, _, record = text.split(" ", 3)
    return Blob(**{**json.loads(record), "key": key})


def outcome_record(
    result: Blob | None, report: Blob | None, summary: Mapping[str, object], counts: Counts | None
) -> str:
    """What a job that is done left behind, as JSON."""
    made = {"result": _optional(result), "report": _optional(report), "summary": dict(summary)}
    return _dump({**made, "counts": asdict(counts) if counts else None})


def counts_record(counts: Counts) -> str:
    """How much of a job is done, as JSON."""
    return _dump(asdict(counts))


def failure_record(failure: Failure) -> str:
    """Why a job failed, as JSON."""
    return _dump(asdict(failure))


def read_failure(text: str) -> Failure:
    """Undo `failure_record`."""
    return Failure(**json.loads(text))


def read_job(fields: Mapping[str, str]) -> Job:
    """The job of a hash's fields."""
    fixed: dict[str, Any] = json.loads(fields["job"])
    outcome: dict[str, Any] = json.loads(fields.get("outcome", "{}"))
    keys = {role: key for role, _, _, key in (line.split(" ") for line in fields["files"].splitlines())}
    return Job(
        id=fixed["id"],
        kind=fixed["kind"],
        created=fixed["created"],
        owner=fixed["owner"],
        priority=fixed["priority"],
        webhook=fixed["webhook"],
        source=fixed["source"],
        target=fixed["target"],
        request=fixed["request"],
        inputs={role: Blob(**{**blob, "key": keys[role]}) for role, blob in fixed["inputs"].items()},
        options=fixed["options"],
        state=cast(State, fields["state"]),
        version=int(fields["version"]),
        started=_moment(fields.get("started")),
        finished=_moment(fields.get("finished")),
        expires=_moment(fields.get("expires")),
        progress=float(fields.get("progress", "0")),
        counts=_counts(outcome.get("counts") or json.loads(fields.get("counts", "{}"))),
        attempts=int(fields.get("attempts", "0")),
        result=_blob(outcome.get("result")),
        report=_blob(outcome.get("report")),
        summary=outcome.get("summary", {}),
        error=read_failure(fields["error"]) if "error" in fields else None,
    )


def visible(fields: Mapping[str, str]) -> Job | None:
    """The job of a hash's fields, unless there are none, or only its files remain."""
    return read_job(fields) if "job" in fields and "hidden" not in fields else None


def claim_of(fields: Mapping[str, str], entry: str, consumer: str) -> Claim | None:
    """The claim of a job that was just handed out; None where there are no fields."""
    if not fields:
        return None
    job = read_job(fields)
    return Claim(job, entry, consumer, job.attempts)


def pairs(flat: list[str] | None) -> dict[str, str]:
    """A hash as a script returns it: names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _optional(blob: Blob | None) -> dict[str, Any] | None:
    return None if blob is None else asdict(blob)


def _blob(value: dict[str, Any] | None) -> Blob | None:
    return None if value is None else Blob(**value)


def _counts(value: Mapping[str, list[int] | None]) -> Counts:
    return Counts(**{name: (pair[0], pair[1]) for name, pair in value.items() if pair})


def _moment(text: str | None) -> float | None:
    return None if text is None else float(text)
