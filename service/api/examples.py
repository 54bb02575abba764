"""Examples shown in the OpenAPI document: a job that is done, one that waits, and what failures say."""

from __future__ import annotations

from typing import Any

from cabacus.service.job import Failure

JOB_ID = "5f0c2a7de1b94c3f8a6d9b7e0c1f2a3b"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

JOB: dict[str, Any] = {
    "id": JOB_ID,
    "kind": "compress",
    "state": "done",
    "created": "2026-01-31T12:00:00Z",
    "started": "2026-01-31T12:00:00.004Z",
    "finished": "2026-01-31T12:00:00.310Z",
    "expires": "2026-02-01T12:00:00.310Z",
    "progress": 1.0,
    "steps": {"done": 533204, "total": 533204},
    "tensors": {"done": 6, "total": 6},
    "bytes": {"done": 1066408, "total": 1066408},
    "attempts": 1,
    "priority": "interactive",
    "options": {"snr_db": 30.0},
    "input": {
        "model": {
            "bytes": 1066860,
            "sha256": DIGEST,
            "media_type": "application/vnd.safetensors",
            "name": "lenet.safetensors",
            "href": None,
        }
    },
    "source": None,
    "target": None,
    "result": {
        "bytes": 152340,
        "sha256": DIGEST,
        "media_type": "application/vnd.cabacus",
        "name": "lenet.cabac",
        "href": f"/jobs/{JOB_ID}/result",
    },
    "report": {
        "bytes": 2130,
        "sha256": DIGEST,
        "media_type": "application/json",
        "name": "lenet.report.json",
        "href": f"/jobs/{JOB_ID}/report",
    },
    "summary": {"bytes": 152340, "original_bytes": 1066860, "ratio": 7.003, "bits_per_weight": 4.57, "snr_db": 30.03},
    "error": None,
}
QUEUED: dict[str, Any] = {
    **JOB,
    "state": "queued",
    "started": None,
    "finished": None,
    "expires": None,
    "progress": 0.0,
    "steps": None,
    "tensors": None,
    "bytes": None,
    "attempts": 0,
    "result": None,
    "report": None,
    "summary": {},
}

RUNNING: dict[str, Any] = {
    **QUEUED,
    "state": "running",
    "started": JOB["started"],
    "progress": 0.75,
    "steps": {"done": 399903, "total": 533204},
    "tensors": {"done": 4, "total": 6},
    "bytes": {"done": 942408, "total": 1066408},
    "attempts": 1,
}

FAILURES: dict[str, Failure] = {
    "unknown_option": Failure("unknown_option", "unknown: 'snr-db' (did you mean snr_db?)", field="snr-db"),
    "invalid_option": Failure("invalid_option", "snr_db: Input should be greater than 0 (given: -3)", field="snr_db"),
    "two_targets": Failure("two_targets", "snr_db and ratio are both targets; give one of them", field="ratio"),
    "upload_too_large": Failure(
        "upload_too_large", "the body is longer than 8589934592 bytes", limit="CABACUS_MAX_UPLOAD_BYTES"
    ),
    "unsupported_format": Failure(
        "unsupported_format",
        "model: this is a Python pickle: loading it could run code hidden in it, so it is refused",
        field="model",
    ),
    "invalid_input": Failure("invalid_input", "fc1.weight has a NaN at [0, 7]", tensor="fc1.weight"),
    "too_many_uploads": Failure(
        "too_many_uploads", "8 uploads are being read already; try again shortly", limit="CABACUS_MAX_UPLOADS"
    ),
    "too_many_followers": Failure(
        "too_many_followers", "256 streams of events are open already; try again", limit="CABACUS_MAX_FOLLOWERS"
    ),
    "unauthorized": Failure("unauthorized", "this service needs a key: send Authorization: Bearer KEY"),
    "forbidden": Failure("forbidden", "key 5f0c2a7de1b9 may read; this needs write"),
    "key_limit": Failure(
        "key_limit", "100 jobs of this key wait or run; try again when some have ended", limit="CABACUS_KEY_MAX_JOBS"
    ),
    "queue_full": Failure("queue_full", "1000 jobs are waiting already; try again later", limit="CABACUS_MAX_QUEUED"),
}
