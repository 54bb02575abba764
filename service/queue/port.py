"""What the service needs of a queue. Every method is atomic; every method may be called again without harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cabacus.service.job import Blob, Failure, Job

LEASE_SECONDS = 60.0
"""How long whoever took out a forgotten job has to remove its files, before it is handed out again."""


@dataclass(frozen=True)
class Claim:
    """A job handed to one consumer, until it is finished, handed back or lost to another consumer.

    `entry` and `consumer` together prove ownership. `deliveries` counts how often the job was handed out, this time
    included.
    """

    job: Job
    entry: str
    consumer: str
    deliveries: int


@dataclass(frozen=True)
class DeadLetter:
    """A job that was given up, why, and when (seconds since the epoch)."""

    job_id: str
    failure: Failure
    time: float


class QueueFull(Exception):
    """The queue holds as many jobs as it may; the message names the knob."""


def full(limit: int) -> QueueFull:
    """The refusal of a queue whose bound is `limit` jobs."""
    return QueueFull(f"{limit} jobs are waiting already; try again later, or raise CABACUS_MAX_QUEUED")


class Queue(Protocol):
    """Jobs go in once, are claimed by consumers, and end exactly once. The API and the workers share nothing else.

    All methods are coroutines. A lost server is retried within the adapter's own bound and then raises
    `ConnectionError`.

    Files outlive their job's record, never the other way round: `delete` and `expired` hide a job and hand it out; who
    gets it removes its files and calls `forget`. Where that does not happen, `expired` hands the job out once more.
    """

    async def submit(self, job: Job) -> None:
        """Record the job and queue it, in one step. Raises QueueFull."""

    async def get(self, job_id: str) -> Job | None:
        """The job's record, or None when it is unknown or expired."""

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """The owner's latest jobs, newest first."""

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """The record as soon as it is final, or as it stands when the time is over."""

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that has not finished as cancelled, at once; its worker learns it from its next heartbeat.

        Returns the record; a final job is left as it is. None when it is unknown.
        """

    async def delete(self, job_id: str) -> Job | None:
        """Hide a final job; returns what it was, so that its blobs can be removed. None if unknown or not final."""

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """The next job for this consumer, waiting up to `block_seconds`; marks it running."""

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """A job whose consumer has shown no sign of life for `idle_seconds`."""

    async def heartbeat(self, claim: Claim, *, progress: float | None = None) -> bool:
        """Keep the claim alive. False: it is no longer ours, or the job was cancelled; stop working on it."""

    async def redeliver(self, claim: Claim) -> Claim | None:
        """Count this delivery as failed and hold the job again. None: the claim is no longer ours."""

    async def finish(
        self, claim: Claim, *, result: Blob | None, report: Blob | None, summary: dict[str, object]
    ) -> bool:
        """Mark the job done and acknowledge it, in one step, if the claim is still ours. False: it was not."""

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """Mark the job failed and acknowledge it; with `dead_letter` keep it in the dead-letter stream as well."""

    async def hand_back(self, claim: Claim) -> None:
        """Put an unfinished job back for another consumer, not counted as a delivery that failed."""

    async def leave(self, consumer: str) -> None:
        """Sign a consumer off: whatever it still holds is handed back."""

    async def expired(self) -> list[Job]:
        """Hide the jobs whose time is over and hand them out, each to one caller."""

    async def forget(self, job_id: str) -> None:
        """Drop a hidden job for good: its files are removed."""

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """The latest jobs that were given up, newest first."""

    async def depth(self) -> int:
        """Jobs waiting or running."""

    async def ping(self) -> bool:
        """True when the server answers."""

    async def close(self) -> None:
        """Let go of connections."""
