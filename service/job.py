"""What a job is: the record kept for it and the states it goes through. Values only: no HTTP, no Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["compress", "decompress", "inspect", "verify", "sweep", "round"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
Priority = Literal["interactive", "bulk"]

KINDS: tuple[Kind, ...] = ("compress", "decompress", "inspect", "verify", "sweep")
"""Those with a POST route of their own: one request brings all of the work."""
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""The first before the others."""
FINAL_STATES: frozenset[State] = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class Blob:
    """A stored object: its storage key and what is known of it without reading it.

    `sha256` is the digest in lower-case hex; `size` counts bytes; `name` is the file name offered to a downloader.
    """

    key: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"
    name: str = ""


@dataclass(frozen=True)
class Counts:
    """What is done and what is to be done in all; None where the work does not count it.

    `steps`: weights, or points of a sweep. `tensors`: those of the model that are done. `bytes`: the same in bytes of
    the uncompressed model.
    """

    steps: tuple[int, int] | None = None
    tensors: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None


NO_COUNTS = Counts()


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as its problem+json will say it. `code` is stable; `detail` names the remedy."""

    code: str
    detail: str
    field: str | None = None
    tensor: str | None = None
    limit: str | None = None


@dataclass(frozen=True)
class Job:
    """One piece of work. Times are seconds since the epoch; None: not yet.

    `inputs` maps a role ("model", "sigma", "importance", "base", "against") to its blob. `options` holds the request's
    options as JSON values, named as in the API. `summary` holds the figures shown in the result's headers. `progress`
    is a share between 0 and 1, `counts` the same in steps, tensors and bytes. `attempts` counts deliveries to a worker,
    `version` the changes of the record. `webhook` is told the end. `source` and `target` are URLs in buckets: of the
    model, in place of an upload, and of a further copy of the result. `request` is the id of the HTTP request that made
    the job, for logs.
    """

    id: str
    kind: Kind
    created: float
    inputs: dict[str, Blob]
    options: dict[str, Any] = field(default_factory=dict)
    state: State = "queued"
    owner: str = ""
    priority: Priority = "interactive"
    webhook: str = ""
    source: str = ""
    target: str = ""
    request: str = ""
    version: int = 0
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    progress: float = 0.0
    counts: Counts = NO_COUNTS
    attempts: int = 0
    result: Blob | None = None
    report: Blob | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    error: Failure | None = None

    @property
    def final(self) -> bool:
        """True once nothing will change any more."""
        return self.state in FINAL_STATES
