"""What the service needs of a queue. Every method is atomic; every method may be called again without harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cabacus.service.job import NO_COUNTS, Blob, Counts, Failure, Job

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


@dataclass(frozen=True)
class Bounds:
    """What one owner may have: jobs that wait or run, and bytes of files; None: no bound."""

    jobs: int | None = None
    bytes: int | None = None


NO_BOUNDS = Bounds()


@dataclass(frozen=True)
class Once:
    """An Idempotency-Key, hashed, and the fingerprint of what was asked for with it."""

    key: str
    fingerprint: str


@dataclass(frozen=True)
class Receipt:
    """What became of a submission: the job, which is an earlier one if this request is a repetition.

    The job's inputs say where its files are; `unused` are the storage keys of those that were submitted in vain, since
    the owner has stored the same bytes before.
    """

    job: Job
    fresh: bool
    unused: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """A stored base: its file, whether it is new, and the storage keys that were submitted in vain."""

    blob: Blob
    fresh: bool
    unused: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """A job that is forgotten: everything below jobs/ID goes, and the uploads `keys`, which no other job needs."""

    job: Job
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Notice:
    """A job whose end is to be told to its webhook, and how often that was tried, this time included."""

    job: Job
    tries: int


HISTOGRAMS: dict[str, tuple[float, ...]] = {
    "wait_seconds": (0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0),
    "run_seconds": (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0),
    "ratio": (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0),
}
"""What is observed of jobs, by kind, and the upper bounds of its buckets."""


@dataclass(frozen=True)
class Statistics:
    """What the queue counted, over all processes and restarts, and how it stands.

    `counters` by name and labels: submitted (kind, priority), runs (kind), ended (kind, state, code), dead_letters
    (kind), stored_bytes (), original_bytes (kind), compressed_bytes (kind); of a histogram bucket (name, kind, place in
    its bounds) and sum (name, kind). `waiting` counts jobs by priority, `oldest_seconds` is the age of the first of
    them. Beyond what waits, `open` jobs run.
    """

    counters: dict[tuple[str, ...], float] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    oldest_seconds: dict[str, float] = field(default_factory=dict)
    open: int = 0


@dataclass(frozen=True)
class Usage:
    """What an owner has: jobs that wait or run, and bytes of files."""

    jobs: int
    bytes: int


class QueueFull(Exception):
    """The queue holds as many jobs as it may; the message names the knob."""


class OwnerFull(Exception):
    """The owner has as much as one may; `limit` is the knob, `retry_after` whole seconds."""

    def __init__(self, detail: str, limit: str, retry_after: int) -> None:
        super().__init__(detail)
        self.limit = limit
        self.retry_after = retry_after


class KeyReused(Exception):
    """The idempotency key was used before, for something else."""


def full(limit: int) -> QueueFull:
    """The refusal of a queue whose bound is `limit` jobs."""
    return QueueFull(f"{limit} jobs are waiting already; try again later, or raise CABACUS_MAX_QUEUED")


def too_many_jobs(bounds: Bounds) -> OwnerFull:
    """The refusal of an owner's job beyond the bound."""
    detail = f"{bounds.jobs} jobs of this key wait or run already; try again when some have ended, or cancel some"
    return OwnerFull(detail, "CABACUS_KEY_MAX_JOBS", 5)


def too_many_bytes(bounds: Bounds) -> OwnerFull:
    """The refusal of an owner's upload beyond the bound."""
    detail = f"files of this key would take more than {bounds.bytes} bytes; delete jobs, or wait until they expire"
    return OwnerFull(detail, "CABACUS_KEY_MAX_BYTES", 60)


class Queue(Protocol):
    """Jobs go in once, are claimed by consumers, and end exactly once. The API and the workers share nothing else.

    Jobs of an owner who has as many running as one may (CABACUS_KEY_MAX_RUNNING) wait until one of them ends; jobs of
    other owners overtake them. The nameless owner has no such bound.

    All methods are coroutines. A lost server is retried within the adapter's own bound and then raises
    `ConnectionError`.

    Files outlive their job's record, never the other way round: `delete` and `expired` hide a job and hand it out; who
    gets it removes its files and calls `forget`. Where that does not happen, `expired` hands the job out once more.
    """

    async def submit(self, job: Job, *, bounds: Bounds = NO_BOUNDS, once: Once | None = None) -> Receipt:
        """Record the job and queue it, in one step; or find the job of an earlier request with the same `once`.

        Raises QueueFull, OwnerFull, KeyReused.
        """

    async def uploads(self, owner: str, blobs: Sequence[Blob]) -> list[str | None]:
        """For each file, the storage key of an upload of the same bytes that a job of the owner's or a base uses."""

    async def get(self, job_id: str) -> Job | None:
        """The job's record, or None when it is unknown or expired."""

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """The owner's latest jobs, newest first."""

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """The record as soon as it is final, or as it stands when the time is over."""

    async def change(self, job_id: str, after: int, seconds: float) -> Job | None:
        """The record as soon as its version is another than `after`, or as it stands when the time is over."""

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that has not finished as cancelled, at once; its worker learns it from its next heartbeat.

        Returns the record; a final job is left as it is. None when it is unknown.
        """

    async def delete(self, job_id: str) -> Removal | None:
        """Hide a final job; returns what is to be removed. None if unknown or not final."""

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """The next job for this consumer, waiting up to `block_seconds`; marks it running."""

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """A job whose consumer has shown no sign of life for `idle_seconds`."""

    async def heartbeat(self, claim: Claim, *, progress: float | None = None, counts: Counts = NO_COUNTS) -> bool:
        """Keep the claim alive. False: it is no longer ours, or the job was cancelled; stop working on it."""

    async def redeliver(self, claim: Claim) -> Claim | None:
        """Count this delivery as failed and hold the job again. None: the claim is no longer ours."""

    async def finish(
        self,
        claim: Claim,
        *,
        result: Blob | None,
        report: Blob | None,
        summary: dict[str, object],
        counts: Counts | None = None,
    ) -> bool:
        """Mark the job done and acknowledge it, in one step, if the claim is still ours. False: it was not.

        `counts` replaces what heartbeats said.
        """

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """Mark the job failed and acknowledge it; with `dead_letter` keep it in the dead-letter stream as well."""

    async def hand_back(self, claim: Claim) -> None:
        """Put an unfinished job back for another consumer, not counted as a delivery that failed."""

    async def leave(self, consumer: str) -> None:
        """Sign a consumer off: whatever it still holds is handed back."""

    async def expired(self) -> list[Removal]:
        """Hide the jobs whose time is over and hand them out, each to one caller."""

    async def forget(self, job_id: str) -> None:
        """Drop a hidden job for good: its files are removed."""

    async def needs(self, key: str) -> bool:
        """True while some job's input is the upload of this storage key."""

    async def notices(self, *, lease_seconds: float) -> list[Notice]:
        """Jobs whose end is to be told now, each to one caller; again after the lease unless `told` or `tell_later`."""

    async def told(self, job_id: str) -> None:
        """The job's end was told, or is given up."""

    async def tell_later(self, job_id: str, seconds: float) -> None:
        """Try the job's webhook again after so long."""

    async def statistics(self) -> Statistics:
        """What was counted so far."""

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """The latest jobs that were given up, newest first."""

    async def keep_base(self, owner: str, digest: str, blob: Blob, *, bounds: Bounds = NO_BOUNDS) -> Kept:
        """Keep an upload under a digest until `drop_base`; where there is one, that one stays. Raises OwnerFull."""

    async def base(self, owner: str, digest: str) -> Blob | None:
        """The owner's upload of this digest."""

    async def bases(self, owner: str) -> dict[str, Blob]:
        """All of the owner's stored bases by digest."""

    async def made(self, owner: str, sha256: str) -> Job | None:
        """One of the owner's jobs whose result has this digest, as long as such a job is kept."""

    async def drop_base(self, owner: str, digest: str) -> tuple[str, ...]:
        """Forget the owner's upload of this digest; returns the storage keys that nothing needs any more."""

    async def usage(self, owner: str) -> Usage:
        """What the owner has."""

    async def depth(self) -> int:
        """Jobs waiting or running."""

    async def ping(self) -> bool:
        """True when the server answers."""

    async def close(self) -> None:
        """Let go of connections."""
