"""The queue on Redis Streams (Redis 6.2 or later, or Valkey). Ids and records only: bytes of models never go to Redis.

server.py lists every key, scripts.py every transition.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from cabacus.service.job import NO_COUNTS, PRIORITIES, Blob, Counts, Failure, Job, State
from cabacus.service.queue import scripts
from cabacus.service.queue.port import (
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
    too_many_bytes,
    too_many_jobs,
)
from cabacus.service.queue.prelude import GROUP
from cabacus.service.queue.records import (
    claim_of,
    counts_record,
    failure_record,
    file_fields,
    new_record,
    outcome_record,
    pairs,
    read_failure,
    read_job,
    visible,
)
from cabacus.service.queue.redis_files import RedisFiles
from cabacus.service.queue.server import Server, translated
from cabacus.service.queue.wakeups import Wakeups

T = TypeVar("T")

DEAD_LETTERS = 10_000
MAX_BLOCK_SECONDS = 4.0
"""The longest blocking read: well below the socket's timeout, which else ends it with an error."""
RECHECK_SECONDS = 2.0
"""A waiter looks again this often, should a message on the channel have been lost."""
CONSUMER_SECONDS = 3600.0
"""Consumers that hold nothing and have been silent for so long are dropped from the group."""
EXPIRED_AT_ONCE = 100
NOTICES_AT_ONCE = 20


class RedisQueue(RedisFiles):
    """The port `Queue` on Redis Streams. `limit` bounds depth; finished jobs are kept for `keep_seconds`.

    Of one owner, at most `running` jobs run at a time (0: any number); the others wait.
    """

    def __init__(
        self, url: str, *, namespace: str, limit: int, keep_seconds: float, running: int = 0, password: str = ""
    ) -> None:
        super().__init__(Server(url, namespace, password))
        self._limit = limit
        self._running = running
        self._keep = repr(float(keep_seconds))
        self._wakeups = Wakeups(self._server.redis, self._server.key("changed"))
        register = self._server.redis.register_script
        self._statistics = register(scripts.STATISTICS)
        self._submit = register(scripts.SUBMIT)
        self._start = register(scripts.START)
        self._heartbeat = register(scripts.HEARTBEAT)
        self._conclude = register(scripts.CONCLUDE)
        self._cancel = register(scripts.CANCEL)
        self._hand_back = register(scripts.HAND_BACK)
        self._hide = register(scripts.HIDE)
        self._hooks = register(scripts.HOOKS)

    # -- what the API needs --------------------------------------------------------------------------------------------

    async def submit(self, job: Job, *, bounds: Bounds = NO_BOUNDS, once: Once | None = None) -> Receipt:
        """See Queue."""
        key, fingerprint = (once.key, once.fingerprint) if once else ("", "")
        most = ["" if bound is None else str(bound) for bound in (bounds.jobs, bounds.bytes)]
        fixed = (job.id, new_record(job), job.owner, job.kind, job.priority, self._limit, *most, key, fingerprint)
        outcome, *record = await self._server.run(self._submit, *fixed, job.webhook, *file_fields(job))
        match outcome:
            case "full":
                raise full(self._limit)
            case "jobs":
                raise too_many_jobs(bounds)
            case "bytes":
                raise too_many_bytes(bounds)
            case "reused":
                raise KeyReused
        known = read_job(pairs(record[0]))
        kept = {blob.key for blob in known.inputs.values()}
        unused = tuple(blob.key for blob in job.inputs.values() if blob.key not in kept)
        return Receipt(known, outcome == "ok", unused)

    async def get(self, job_id: str) -> Job | None:
        """See Queue."""
        with translated():
            return visible(await self._server.redis.hgetall(self._server.key("job", job_id)))

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """See Queue."""
        with translated():
            ids = await self._server.redis.zrevrange(self._server.key("owner", owner), 0, limit - 1)
            async with self._server.redis.pipeline(transaction=False) as pipeline:
                for job_id in ids:
                    pipeline.hgetall(self._server.key("job", job_id))
                records = await pipeline.execute()
        return [job for job in map(visible, records) if job is not None]

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """See Queue."""
        return await self._until(lambda job: job.final, job_id, seconds)

    async def change(self, job_id: str, after: int, seconds: float) -> Job | None:
        """See Queue."""
        return await self._until(lambda job: job.version != after, job_id, seconds)

    async def cancel(self, job_id: str) -> Job | None:
        """See Queue."""
        return visible(pairs(await self._server.run(self._cancel, job_id, self._keep)))

    async def delete(self, job_id: str) -> Removal | None:
        """See Queue."""
        return await self._hidden(job_id, "final")

    # -- what a worker needs -------------------------------------------------------------------------------------------

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """See Queue."""
        block = max(1, round(1000 * min(block_seconds, MAX_BLOCK_SECONDS)))

        async def read() -> Any:
            return await self._server.redis.xreadgroup(
                GROUP, consumer, {self._server.stream: ">"}, count=1, block=block
            )

        found = await self._server.with_group(read)
        return await self._started(consumer, found[0][1][0][0]) if found else None

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """See Queue."""
        idle, cursor = round(1000 * idle_seconds), "0-0"
        while True:

            async def look(start: str = cursor) -> Any:
                return await self._server.redis.xautoclaim(self._server.stream, GROUP, consumer, idle, start, count=1)

            cursor, found, *_ = await self._server.with_group(look)
            for entry, _ in found:
                claim = await self._started(consumer, entry)
                if claim is not None:
                    return claim
            if cursor == "0-0":
                return None

    async def heartbeat(self, claim: Claim, *, progress: float | None = None, counts: Counts = NO_COUNTS) -> bool:
        """See Queue."""
        share = "" if progress is None else f"{progress:.4f}"
        arguments = (claim.job.id, claim.entry, claim.consumer, share, counts_record(counts))
        return bool(await self._server.run(self._heartbeat, *arguments))

    async def redeliver(self, claim: Claim) -> Claim | None:
        """See Queue."""
        fields = pairs(await self._server.run(self._start, claim.entry, claim.consumer, 1, self._running))
        return claim_of(fields, claim.entry, claim.consumer)

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
        size = sum(blob.size for blob in {blob.key: blob for blob in (result, report) if blob is not None}.values())
        figures = [summary.get(name) for name in ("original_bytes", "bytes")]
        known = figures if claim.job.kind == "compress" and None not in figures else ["", ""]
        text = outcome_record(result, report, summary, counts)
        made = "" if result is None else result.sha256
        return await self._end(claim, "done", "outcome", text, size=size, figures=known, made=made)

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """See Queue."""
        letters = str(DEAD_LETTERS) if dead_letter else ""
        return await self._end(claim, "failed", "error", failure_record(failure), letters=letters, code=failure.code)

    async def hand_back(self, claim: Claim) -> None:
        """See Queue."""
        await self._server.run(self._hand_back, claim.entry, claim.consumer)

    async def leave(self, consumer: str) -> None:
        """See Queue."""

        async def held() -> Any:
            return await self._server.redis.xpending_range(
                self._server.stream, GROUP, "-", "+", 1000, consumername=consumer
            )

        for pending in await self._server.with_group(held):
            await self._server.run(self._hand_back, pending["message_id"], consumer)

        async def drop() -> Any:
            return await self._server.redis.xgroup_delconsumer(self._server.stream, GROUP, consumer)

        await self._server.with_group(drop)

    async def expired(self) -> list[Removal]:
        """See Queue."""
        await self._drop_silent_consumers()
        with translated():
            seconds, micros = await self._server.clock()
            due = await self._server.redis.zrange(
                self._server.key("expiry"),
                "-inf",
                f"{seconds}.{micros:06d}",
                byscore=True,
                offset=0,
                num=EXPIRED_AT_ONCE,
            )
        found = [await self._hidden(job_id, "due") for job_id in due]
        return [removal for removal in found if removal is not None]

    async def forget(self, job_id: str) -> None:
        """See Queue."""
        with translated():
            async with self._server.redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._server.key("job", job_id))
                pipeline.zrem(self._server.key("expiry"), job_id)
                await pipeline.execute()

    async def notices(self, *, lease_seconds: float) -> list[Notice]:
        """See Queue."""
        notices = []
        for job_id in await self._server.run(self._hooks, NOTICES_AT_ONCE, lease_seconds):
            with translated():
                fields = await self._server.redis.hgetall(self._server.key("job", job_id))
            job = visible(fields)
            if job is None:
                await self.told(job_id)
            else:
                notices.append(Notice(job, int(fields["told"])))
        return notices

    async def told(self, job_id: str) -> None:
        """See Queue."""
        with translated():
            await self._server.redis.zrem(self._server.key("hooks"), job_id)

    async def tell_later(self, job_id: str, seconds: float) -> None:
        """See Queue."""
        with translated():
            now, _ = await self._server.clock()
            await self._server.redis.zadd(self._server.key("hooks"), {job_id: now + seconds}, xx=True)

    async def statistics(self) -> Statistics:
        """See Queue."""
        counted, (seconds, micros), held, parked, *lines = await self._server.run(self._statistics)
        now = int(seconds) + int(micros) * 1e-6
        oldest: dict[str, float] = {
            priority: max(0.0, now - float(first[1])) if first else 0.0
            for priority, first in zip(PRIORITIES, lines[1::2], strict=True)
        }
        return Statistics(
            counters={tuple(name.split("|")): float(value) for name, value in pairs(counted).items()},
            waiting=dict(zip(PRIORITIES, lines[::2], strict=True)),
            oldest_seconds=oldest,
            open=held + parked,
        )

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """See Queue."""
        with translated():
            letters = await self._server.redis.xrevrange(self._server.key("dead"), count=limit)
        return [DeadLetter(it["id"], read_failure(it["failure"]), float(it["time"])) for _, it in letters]

    # -- both ----------------------------------------------------------------------------------------------------------

    async def made(self, owner: str, sha256: str) -> Job | None:
        """See Queue."""
        with translated():
            job_id = await self._server.redis.srandmember(self._server.key("made", owner, sha256))
        return None if job_id is None else await self.get(job_id)

    async def usage(self, owner: str) -> Usage:
        """See Queue."""
        with translated():
            async with self._server.redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(self._server.key("open"), owner)
                pipeline.hget(self._server.key("bytes"), owner)
                jobs, held = await pipeline.execute()
        return Usage(int(jobs or 0), int(held or 0))

    async def depth(self) -> int:
        """See Queue."""
        with translated():
            async with self._server.redis.pipeline(transaction=True) as pipeline:
                pipeline.xlen(self._server.stream)
                pipeline.zcard(self._server.key("parked"))
                return sum(await pipeline.execute())

    async def ping(self) -> bool:
        """See Queue."""
        try:
            with translated():
                return bool(await self._server.redis.ping())
        except ConnectionError:
            return False

    async def close(self) -> None:
        """See Queue."""
        await self._wakeups.close()
        await self._server.redis.aclose()

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[Job], bool], job_id: str, seconds: float) -> Job | None:
        """The job as soon as it is unknown, final or as the condition wants it; or when the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        job = await self.get(job_id)
        if job is None or condition(job) or seconds <= 0:
            return job
        with translated():
            async with self._wakeups.on(job_id) as changed:
                while True:
                    changed.clear()
                    job = await self.get(job_id)
                    remaining = deadline - asyncio.get_running_loop().time()
                    if job is None or condition(job) or remaining <= 0:
                        return job
                    async with _at_most(min(remaining, RECHECK_SECONDS)):
                        await changed.wait()

    async def _started(self, consumer: str, entry: str) -> Claim | None:
        fields = pairs(await self._server.run(self._start, entry, consumer, 0, self._running))
        return claim_of(fields, entry, consumer)

    async def _end(
        self,
        claim: Claim,
        state: State,
        name: str,
        text: str,
        *,
        letters: str = "",
        code: str = "",
        size: int = 0,
        figures: Sequence[object] = ("", ""),
        made: str = "",
    ) -> bool:
        fixed = (claim.job.id, claim.entry, claim.consumer, state, name, text, self._keep, letters, code, size)
        return bool(await self._server.run(self._conclude, *fixed, *figures, made))

    async def _hidden(self, job_id: str, condition: str) -> Removal | None:
        fields = pairs(await self._server.run(self._hide, job_id, LEASE_SECONDS, condition))
        return Removal(read_job(fields), tuple(fields["garbage"].split())) if fields else None

    async def _drop_silent_consumers(self) -> None:
        """Workers that were killed cannot sign off; forget those that hold nothing."""

        async def look() -> Any:
            return await self._server.redis.xinfo_consumers(self._server.stream, GROUP)

        for consumer in await self._server.with_group(look):
            if consumer["pending"] == 0 and consumer["idle"] > 1000 * CONSUMER_SECONDS:
                await self.leave(consumer["name"])


@asynccontextmanager
async def _at_most(seconds: float) -> AsyncIterator[None]:
    """Go on when the time is over, without an error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        pass
