"""What the service needs of a queue. Every method is atomic; every method may be called again without harm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cabacus.service.job import Blob, Failure, Job


@dataclass(frozen=True)
class Claim:
    """A job handed to one consumer, until it is finished, handed back or lost to another consumer.

    `deliveries` counts how often the job was handed out, this time included.
    """

    job: Job
    entry: str
    consumer: str
    deliveries: int


class QueueFull(Exception):
    """The queue holds as many jobs as it may; the message names the knob."""


class Queue(Protocol):
    """Jobs go in once, are claimed by consumers, and end exactly once. The API and the workers share nothing else.

    All methods are coroutines. A lost server is retried within the adapter's own bound and then raises
    `ConnectionError`.
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
        """Mark a queued job cancelled; ask a running job's worker to stop it. A final job is left as it is."""

    async def delete(self, job_id: str) -> Job | None:
        """Forget a final job; returns what it was, so that its blobs can be removed. None if unknown or not final."""

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """The next job for this consumer, waiting up to `block_seconds`; marks it running."""

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """A job whose consumer has shown no sign of life for `idle_seconds`."""

    async def heartbeat(self, claim: Claim, *, progress: float | None = None) -> bool:
        """Keep the claim alive. False: it is no longer ours, or the job was cancelled; stop working on it."""

    async def finish(self, claim: Claim, *, result: Blob | None, report: Blob | None, summary: dict[str, object]) -> bool:
        """Mark the job done and acknowledge it, in one step, if the claim is still ours. False: it was not."""

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """Mark the job failed and acknowledge it; with `dead_letter` keep it in the dead-letter stream as well."""

    async def hand_back(self, claim: Claim) -> None:
        """Put an unfinished job back for another consumer, not counted as a delivery that failed."""

    async def expired(self) -> Iterable[Job]:
        """Take out the jobs whose time is over, so that the caller can remove their blobs. Each is returned once."""

    async def depth(self) -> int:
        """Jobs waiting or running."""

    async def ping(self) -> bool:
        """True when the server answers."""

    async def close(self) -> None:
        """Let go of connections."""
