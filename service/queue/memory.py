"""The queue in this process's memory: the twin of the Redis adapter for tests, with the same transitions."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cabacus.service.job import Blob, Failure, Job, State
from cabacus.service.queue.port import LEASE_SECONDS, Claim, DeadLetter, full


@dataclass
class _Entry:
    """A place in the queue: whose job it is and, once it is handed out, to whom, how often and when last seen."""

    job_id: str
    consumer: str | None = None
    deliveries: int = 0
    seen: float = 0.0


class MemoryQueue:
    """The port `Queue` without a server. `limit` bounds depth; finished jobs are kept for `keep_seconds`."""

    def __init__(self, *, limit: int, keep_seconds: float) -> None:
        self._limit = limit
        self._keep = keep_seconds
        self._jobs: dict[str, Job] = {}
        self._entries: dict[str, _Entry] = {}
        self._entry_of: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._ended_by: dict[str, tuple[str, str]] = {}
        self._hidden: set[str] = set()
        self._dead: list[DeadLetter] = []
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()

    async def submit(self, job: Job) -> None:
        """See Queue."""
        if job.id in self._jobs:
            return
        if len(self._entries) >= self._limit:
            raise full(self._limit)
        self._jobs[job.id] = job
        self._tries[job.id] = 0
        await self._enqueue(job.id)

    async def get(self, job_id: str) -> Job | None:
        """See Queue."""
        return None if job_id in self._hidden else self._jobs.get(job_id)

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """See Queue."""
        visible = [job for job in self._jobs.values() if job.owner == owner and job.id not in self._hidden]
        return sorted(visible, key=lambda job: job.created, reverse=True)[:limit]

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """See Queue."""

        def over() -> bool:
            job = self._jobs.get(job_id)
            return job is None or job_id in self._hidden or job.final

        await self._until(over, seconds)
        return await self.get(job_id)

    async def cancel(self, job_id: str) -> Job | None:
        """See Queue."""
        job = await self.get(job_id)
        if job is not None and not job.final:
            await self._conclude(job_id, "cancelled")
        return await self.get(job_id)

    async def delete(self, job_id: str) -> Job | None:
        """See Queue."""
        job = await self.get(job_id)
        return self._hide(job_id) if job is not None and job.final else None

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """See Queue."""

        def waiting() -> list[str]:
            return [number for number, entry in self._entries.items() if entry.consumer is None]

        await self._until(lambda: bool(waiting()), block_seconds)
        return self._hold(waiting()[0], consumer) if waiting() else None

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """See Queue."""
        before = time.monotonic() - idle_seconds
        for number, entry in self._entries.items():
            if entry.consumer is not None and entry.seen <= before:
                return self._hold(number, consumer)
        return None

    async def heartbeat(self, claim: Claim, *, progress: float | None = None) -> bool:
        """See Queue."""
        entry = self._held(claim)
        if entry is None:
            return False
        entry.seen = time.monotonic()
        if progress is not None:
            self._change(claim.job.id, progress=progress)
        return True

    async def redeliver(self, claim: Claim) -> Claim | None:
        """See Queue."""
        return self._hold(claim.entry, claim.consumer) if self._held(claim) else None

    async def finish(
        self, claim: Claim, *, result: Blob | None, report: Blob | None, summary: dict[str, object]
    ) -> bool:
        """See Queue."""
        if self._held(claim) is not None:
            self._change(claim.job.id, result=result, report=report, summary=dict(summary), progress=1.0)
        return await self._end(claim, "done")

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """See Queue."""
        if self._held(claim) is not None:
            self._change(claim.job.id, error=failure)
            if dead_letter:
                self._dead.append(DeadLetter(claim.job.id, failure, time.time()))
        return await self._end(claim, "failed")

    async def hand_back(self, claim: Claim) -> None:
        """See Queue."""
        entry = self._held(claim)
        if entry is not None:
            del self._entries[claim.entry]
            self._tries[claim.job.id] += entry.deliveries - 1
            self._change(claim.job.id, state="queued", progress=0.0)
            await self._enqueue(claim.job.id)

    async def leave(self, consumer: str) -> None:
        """See Queue."""
        held = [(number, entry) for number, entry in self._entries.items() if entry.consumer == consumer]
        for number, entry in held:
            await self.hand_back(Claim(self._jobs[entry.job_id], number, consumer, entry.deliveries))

    async def expired(self) -> list[Job]:
        """See Queue."""
        now = time.time()
        return [self._hide(job_id) for job_id, due in list(self._due.items()) if due <= now]

    async def forget(self, job_id: str) -> None:
        """See Queue."""
        tables: tuple[dict[str, Any], ...] = (self._jobs, self._entry_of, self._tries, self._due, self._ended_by)
        for table in tables:
            table.pop(job_id, None)
        self._hidden.discard(job_id)

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """See Queue."""
        return self._dead[: -limit - 1 : -1]

    async def depth(self) -> int:
        """See Queue."""
        return len(self._entries)

    async def ping(self) -> bool:
        """See Queue."""
        return True

    async def close(self) -> None:
        """See Queue."""

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        async with self._changed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait_for(condition), seconds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _change(self, job_id: str, **changes: object) -> None:
        self._jobs[job_id] = replace(self._jobs[job_id], **changes)  # type: ignore[arg-type]

    async def _enqueue(self, job_id: str) -> None:
        number = str(next(self._numbers))
        self._entries[number] = _Entry(job_id)
        self._entry_of[job_id] = number
        await self._notify()

    def _held(self, claim: Claim) -> _Entry | None:
        entry = self._entries.get(claim.entry)
        return entry if entry is not None and entry.consumer == claim.consumer else None

    def _hold(self, number: str, consumer: str) -> Claim:
        entry = self._entries[number]
        entry.consumer, entry.seen = consumer, time.monotonic()
        entry.deliveries += 1
        job = self._jobs[entry.job_id]
        attempts = self._tries[job.id] + entry.deliveries
        self._change(job.id, state="running", started=job.started or time.time(), attempts=attempts, progress=0.0)
        return Claim(self._jobs[job.id], number, consumer, attempts)

    async def _conclude(self, job_id: str, state: State) -> None:
        self._entries.pop(self._entry_of[job_id], None)
        now = time.time()
        self._change(job_id, state=state, finished=now, expires=now + self._keep)
        self._due[job_id] = now + self._keep
        await self._notify()

    async def _end(self, claim: Claim, state: State) -> bool:
        if self._held(claim) is None:
            job = self._jobs.get(claim.job.id)  # done already, when the caller repeats itself
            mine = self._ended_by.get(claim.job.id) == (claim.entry, claim.consumer)
            return job is not None and job.state == state and mine
        self._ended_by[claim.job.id] = (claim.entry, claim.consumer)
        await self._conclude(claim.job.id, state)
        return True

    def _hide(self, job_id: str) -> Job:
        self._hidden.add(job_id)
        self._due[job_id] = time.time() + LEASE_SECONDS
        return self._jobs[job_id]
