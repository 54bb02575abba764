"""The queue in this process's memory: the twin of the Redis adapter for tests, with the same transitions."""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cabacus.service.job import NO_COUNTS, PRIORITIES, Blob, Counts, Failure, Job, State
from cabacus.service.queue.memory_files import MemoryFiles
from cabacus.service.queue.port import (
    HISTOGRAMS,
    LEASE_SECONDS,
    NO_BOUNDS,
    Bounds,
    Claim,
    DeadLetter,
    KeyReused,
    Notice,
    Once,
    Receipt,
    Removal,
    Statistics,
    Usage,
    full,
    too_many_jobs,
)


@dataclass
class _Entry:
    """A job that waits or runs: its place in line and, once it is handed out, to whom, how often and when last seen."""

    job_id: str
    place: int
    consumer: str | None = None
    deliveries: int = 0
    seen: float = 0.0


class MemoryQueue(MemoryFiles):
    """The port `Queue` without a server. `limit` bounds depth; finished jobs are kept for `keep_seconds`.

    Of one owner, at most `running` jobs run at a time (0: any number); the others wait.
    """

    def __init__(self, *, limit: int, keep_seconds: float, running: int = 0) -> None:
        super().__init__()
        self._limit = limit
        self._running = running
        self._keep = keep_seconds
        self._jobs: dict[str, Job] = {}
        self._entries: dict[str, _Entry] = {}
        self._entry_of: dict[str, str] = {}
        self._place_of: dict[str, int] = {}
        self._queued_at: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._ended_by: dict[str, tuple[str, str]] = {}
        self._garbage: dict[str, tuple[str, ...]] = {}
        self._dead: list[DeadLetter] = []
        self._served: dict[tuple[str, str], int] = {}
        self._once: dict[tuple[str, str], tuple[str, str]] = {}
        self._hooks: dict[str, float] = {}
        self._told: Counter[str] = Counter()
        self._counted: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._numbers = itertools.count(1)
        self._changed = asyncio.Condition()

    async def submit(self, job: Job, *, bounds: Bounds = NO_BOUNDS, once: Once | None = None) -> Receipt:
        """See Queue."""
        if job.id in self._jobs:
            return self._receipt(job, self._jobs[job.id], fresh=True)
        if once is not None and (job.owner, once.key) in self._once:
            earlier, fingerprint = self._once[job.owner, once.key]
            if fingerprint != once.fingerprint:
                raise KeyReused
            return self._receipt(job, self._jobs[earlier], fresh=False)
        if len(self._entries) >= self._limit:
            raise full(self._limit)
        if bounds.jobs is not None and self._count(job.owner) >= bounds.jobs:
            raise too_many_jobs(bounds)
        inputs, size = self._files.take(job.owner, job.inputs, bounds)
        if once is not None:
            self._once[job.owner, once.key] = (job.id, once.fingerprint)
        self._jobs[job.id] = replace(job, inputs=inputs)
        self._tries[job.id] = 0
        self._place_of[job.id] = next(self._numbers)
        self._queued_at[job.id] = time.time()
        self._tally("submitted", job.kind, job.priority)
        self._tally("stored_bytes", by=size)
        await self._enqueue(job.id)
        return self._receipt(job, self._jobs[job.id], fresh=True)

    async def get(self, job_id: str) -> Job | None:
        """See Queue."""
        return None if job_id in self._garbage else self._jobs.get(job_id)

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """See Queue."""
        visible = [job for job in self._jobs.values() if job.owner == owner and job.id not in self._garbage]
        return sorted(visible, key=lambda job: self._place_of[job.id], reverse=True)[:limit]

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """See Queue."""
        return await self._watch(lambda job: job.final, job_id, seconds)

    async def change(self, job_id: str, after: int, seconds: float) -> Job | None:
        """See Queue."""
        return await self._watch(lambda job: job.version != after, job_id, seconds)

    async def cancel(self, job_id: str) -> Job | None:
        """See Queue."""
        job = await self.get(job_id)
        if job is not None and not job.final:
            await self._conclude(job_id, "cancelled")
        return await self.get(job_id)

    async def delete(self, job_id: str) -> Removal | None:
        """See Queue."""
        job = await self.get(job_id)
        return await self._hide(job_id) if job is not None and job.final else None

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """See Queue."""
        await self._until(lambda: self._next_in_line() is not None, block_seconds)
        number = self._next_in_line()
        return await self._hold(number, consumer) if number is not None else None

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """See Queue."""
        before = time.monotonic() - idle_seconds
        for number, entry in self._entries.items():
            if entry.consumer is not None and entry.seen <= before:
                return await self._hold(number, consumer)
        return None

    async def heartbeat(self, claim: Claim, *, progress: float | None = None, counts: Counts = NO_COUNTS) -> bool:
        """See Queue."""
        entry = self._held(claim)
        if entry is None:
            return False
        entry.seen = time.monotonic()
        known = self._jobs[claim.job.id]
        if progress is not None and (progress, counts) != (known.progress, known.counts):
            await self._change(claim.job.id, progress=progress, counts=counts)
        return True

    async def redeliver(self, claim: Claim) -> Claim | None:
        """See Queue."""
        return await self._hold(claim.entry, claim.consumer) if self._held(claim) else None

    async def finish(
        self,
        claim: Claim,
        *,
        result: Blob | None,
        report: Blob | None,
        summary: dict[str, object],
        counts: Counts | None = None,
    ) -> bool:
        """See Queue."""
        made = {"result": result, "report": report, "summary": dict(summary), "progress": 1.0}
        return await self._end(claim, "done", **made, **({"counts": counts} if counts else {}))

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """See Queue."""
        if self._held(claim) is not None and dead_letter:
            self._dead.append(DeadLetter(claim.job.id, failure, time.time()))
            self._tally("dead_letters", claim.job.kind)
        return await self._end(claim, "failed", error=failure)

    async def hand_back(self, claim: Claim) -> None:
        """See Queue."""
        entry = self._held(claim)
        if entry is not None:
            del self._entries[claim.entry]
            self._tries[claim.job.id] += entry.deliveries - 1
            await self._change(claim.job.id, state="queued", progress=0.0, counts=NO_COUNTS)
            await self._enqueue(claim.job.id)

    async def leave(self, consumer: str) -> None:
        """See Queue."""
        held = [(number, entry) for number, entry in self._entries.items() if entry.consumer == consumer]
        for number, entry in held:
            await self.hand_back(Claim(self._jobs[entry.job_id], number, consumer, entry.deliveries))

    async def expired(self) -> list[Removal]:
        """See Queue."""
        now = time.time()
        return [await self._hide(job_id) for job_id, due in list(self._due.items()) if due <= now]

    async def forget(self, job_id: str) -> None:
        """See Queue."""
        tables: tuple[dict[str, Any], ...] = (
            self._jobs,
            self._entry_of,
            self._place_of,
            self._queued_at,
            self._tries,
            self._due,
            self._ended_by,
            self._garbage,
            self._told,
        )
        for table in tables:
            table.pop(job_id, None)

    async def notices(self, *, lease_seconds: float) -> list[Notice]:
        """See Queue."""
        now = time.time()
        due = [job_id for job_id, moment in self._hooks.items() if moment <= now]
        self._hooks |= dict.fromkeys(due, now + lease_seconds)
        self._told.update(due)
        return [Notice(self._jobs[job_id], self._told[job_id]) for job_id in due]

    async def told(self, job_id: str) -> None:
        """See Queue."""
        self._hooks.pop(job_id, None)

    async def tell_later(self, job_id: str, seconds: float) -> None:
        """See Queue."""
        if job_id in self._hooks:
            self._hooks[job_id] = time.time() + seconds

    async def statistics(self) -> Statistics:
        """See Queue."""
        waiting = {
            priority: [
                self._queued_at[entry.job_id]
                for entry in self._entries.values()
                if entry.consumer is None and self._jobs[entry.job_id].priority == priority
            ]
            for priority in PRIORITIES
        }
        return Statistics(
            counters=dict(self._counted),
            waiting={priority: len(moments) for priority, moments in waiting.items()},
            oldest_seconds={name: time.time() - min(moments, default=time.time()) for name, moments in waiting.items()},
            open=len(self._entries),
        )

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """See Queue."""
        return self._dead[: -limit - 1 : -1]

    async def made(self, owner: str, sha256: str) -> Job | None:
        """See Queue."""
        jobs = await self.jobs(owner=owner, limit=len(self._jobs))
        return next((job for job in jobs if job.result and job.result.sha256 == sha256), None)

    async def usage(self, owner: str) -> Usage:
        """See Queue."""
        return Usage(self._count(owner), self._files.bytes[owner])

    async def depth(self) -> int:
        """See Queue."""
        return len(self._entries)

    async def ping(self) -> bool:
        """See Queue."""
        return True

    async def close(self) -> None:
        """See Queue."""

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _watch(self, condition: Callable[[Job], bool], job_id: str, seconds: float) -> Job | None:
        def over() -> bool:
            job = self._jobs.get(job_id)
            return job is None or job_id in self._garbage or condition(job)

        await self._until(over, seconds)
        return await self.get(job_id)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        async with self._changed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait_for(condition), seconds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _change(self, job_id: str, **changes: object) -> None:
        job = self._jobs[job_id]
        self._jobs[job_id] = replace(job, version=job.version + 1, **changes)  # type: ignore[arg-type]
        await self._notify()

    def _tally(self, *name: str, by: float = 1) -> None:
        self._counted[name] += by

    def _observe(self, name: str, label: str, value: float) -> None:
        self._tally("bucket", name, label, str(bisect_left(HISTOGRAMS[name], value)))
        self._tally("sum", name, label, by=value)

    def _receipt(self, job: Job, known: Job, *, fresh: bool) -> Receipt:
        kept = {blob.key for blob in known.inputs.values()}
        return Receipt(known, fresh, tuple(blob.key for blob in job.inputs.values() if blob.key not in kept))

    def _count(self, owner: str, *, running: bool = False) -> int:
        return sum(
            self._jobs[entry.job_id].owner == owner and (entry.consumer is not None or not running)
            for entry in self._entries.values()
        )

    def _next_in_line(self) -> str | None:
        """By priority, then the owner with the least running, then the one served longest ago, then by place."""

        def rank(number: str) -> tuple[int, int, int, int]:
            entry = self._entries[number]
            job = self._jobs[entry.job_id]
            served = self._served.get((job.priority, job.owner), 0)
            return PRIORITIES.index(job.priority), self._count(job.owner, running=True), served, entry.place

        def may(owner: str) -> bool:
            return not self._running or not owner or self._count(owner, running=True) < self._running

        entries = self._entries.items()
        waiting = [number for number, it in entries if it.consumer is None and may(self._jobs[it.job_id].owner)]
        return min(waiting, key=rank, default=None)

    async def _enqueue(self, job_id: str) -> None:
        number = str(next(self._numbers))
        self._entries[number] = _Entry(job_id, self._place_of[job_id])
        self._entry_of[job_id] = number
        await self._notify()

    def _held(self, claim: Claim) -> _Entry | None:
        entry = self._entries.get(claim.entry)
        return entry if entry is not None and entry.consumer == claim.consumer else None

    async def _hold(self, number: str, consumer: str) -> Claim:
        entry = self._entries[number]
        job = self._jobs[entry.job_id]
        if entry.consumer is None:
            self._served[job.priority, job.owner] = next(self._numbers)
        if job.started is None:
            self._observe("wait_seconds", job.kind, time.time() - self._queued_at[job.id])
        entry.consumer, entry.seen = consumer, time.monotonic()
        entry.deliveries += 1
        attempts = self._tries[job.id] + entry.deliveries
        self._tally("runs", job.kind)
        started = job.started or time.time()
        await self._change(job.id, state="running", started=started, attempts=attempts, progress=0.0, counts=NO_COUNTS)
        return Claim(self._jobs[job.id], number, consumer, attempts)

    async def _conclude(self, job_id: str, state: State, **changes: object) -> None:
        self._entries.pop(self._entry_of[job_id], None)
        now = time.time()
        self._due[job_id] = now + self._keep
        await self._change(job_id, state=state, finished=now, expires=now + self._keep, **changes)
        job = self._jobs[job_id]
        self._tally("ended", job.kind, state, job.error.code if job.error else "")
        if job.started is not None and state != "cancelled":
            self._observe("run_seconds", job.kind, now - job.started)
        if job.webhook:
            self._hooks[job_id] = now

    async def _end(self, claim: Claim, state: State, **changes: Any) -> bool:
        if self._held(claim) is None:
            job = self._jobs.get(claim.job.id)  # done already, when the caller repeats itself
            mine = self._ended_by.get(claim.job.id) == (claim.entry, claim.consumer)
            return job is not None and job.state == state and mine
        self._ended_by[claim.job.id] = (claim.entry, claim.consumer)
        await self._conclude(claim.job.id, state, **changes)
        job = self._jobs[claim.job.id]
        self._files.bytes[job.owner] += _output_bytes(job)
        self._tally("stored_bytes", by=_output_bytes(job))
        original, compressed = (job.summary.get(name) for name in ("original_bytes", "bytes"))
        if job.kind == "compress" and original is not None and compressed is not None:
            self._tally("original_bytes", job.kind, by=original)
            self._tally("compressed_bytes", job.kind, by=compressed)
            if compressed > 0:
                self._observe("ratio", job.kind, original / compressed)
        return True

    async def _hide(self, job_id: str) -> Removal:
        job = self._jobs[job_id]
        if job_id not in self._garbage:
            garbage = [key for blob in job.inputs.values() for key in self._files.release(job.owner, blob)]
            self._garbage[job_id] = tuple(garbage)
            self._files.bytes[job.owner] -= _output_bytes(job)
            self._once = {name: made for name, made in self._once.items() if made[0] != job_id}
            self._hooks.pop(job_id, None)
            await self._change(job_id)
        self._due[job_id] = time.time() + LEASE_SECONDS
        return Removal(job, self._garbage[job_id])


def _output_bytes(job: Job) -> int:
    return sum(blob.size for blob in {blob.key: blob for blob in (job.result, job.report) if blob}.values())
