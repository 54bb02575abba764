"""The queue on Redis Streams (Redis 6.2 or later, or Valkey). Ids and records only: bytes of models never go to Redis.

Every key, for the namespace `cabacus`; the braces put all of them into one slot of a cluster:

    {cabacus}:jobs          stream; a ticket for each job that waits or runs; consumer group `workers`
    {cabacus}:tickets       hash; whose job a ticket is for; tickets of jobs that wait are exchanged, see scripts.py
    {cabacus}:job:ID        hash; the record of a job:
                              job       JSON of what never changes: id, kind, created, owner, inputs, options, ...
                              state     queued | running | done | failed | cancelled
                              owner kind priority webhook    as in `job`, for the scripts
                              files     a line an input: role, digest, size, storage key
                              entry     its ticket; empty while it is parked
                              place     its place in line          queued   when it came, by the server's clock
                              consumer  who ran it last
                              tries     deliveries of earlier tickets that count as failed
                              attempts  deliveries in all
                              progress  0 .. 1          done total     the same in steps
                              version   how often the record changed
                              started finished expires    seconds since the epoch, by the server's clock
                              outcome   JSON: result, report, summary          error  JSON: why it failed
                              output_bytes    size of result and report    made    digest of the result
                              once      its key below `once`          told    how often the webhook was tried
                              hidden    set once it is deleted or expired and only its files remain
                              garbage   storage keys of uploads that went with it
    {cabacus}:parked        sorted set; ids by place of jobs that wait, without a ticket, for others of their owner
    {cabacus}:waiting:PRIORITY       sorted set; ids of jobs that wait by the time at which they came
    {cabacus}:line:PRIORITY:OWNER    sorted set; an owner's ids of jobs that wait by place
    {cabacus}:turns:PRIORITY         sorted set; owners who have jobs waiting by when they were served
    {cabacus}:counter       number; gives out places and turns
    {cabacus}:open, :running, :bytes    hashes by owner; jobs not ended, jobs running, bytes of files
    {cabacus}:uploads       hash; OWNER/DIGEST of each upload in use, and its storage key
    {cabacus}:bases         hash; OWNER/DIGEST of each stored base: storage key, digest, size and JSON of its file
    {cabacus}:made:OWNER:DIGEST    set; ids of the owner's jobs whose result has this digest
    {cabacus}:refs          hash; how many jobs and bases use an upload, by storage key
    {cabacus}:once:OWNER:KEY    hash; id and fingerprint of the job that an Idempotency-Key (hashed) made
    {cabacus}:expiry        sorted set; id of each final job by the time at which it is to be forgotten
    {cabacus}:hooks         sorted set; ids of jobs whose webhook is to be told, by when
    {cabacus}:owner:OWNER   sorted set; ids of an owner's jobs by place
    {cabacus}:dead          stream; jobs that were given up: id, time, failure (JSON); the latest DEAD_LETTERS
    {cabacus}:statistics    hash; what was counted, see Statistics
    {cabacus}:changed       pub/sub channel; the id of each job whose record changed

Nothing else is kept, and no key has a time to live: a record goes when its files are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from redis import exceptions

from cabacus.service.job import PRIORITIES, Blob, Failure, Job, State
from cabacus.service.queue import scripts
from cabacus.service.queue.connection import connect
from cabacus.service.queue.port import (
    LEASE_SECONDS,
    NO_BOUNDS,
    Bounds,
    Claim,
    DeadLetter,
    Kept,
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
from cabacus.service.queue.records import (
    blob_record,
    digest_of,
    failure_record,
    file_fields,
    new_record,
    outcome_record,
    read_base,
    read_failure,
    read_job,
)
from cabacus.service.queue.wakeups import Wakeups

T = TypeVar("T")

GROUP = scripts.GROUP
DEAD_LETTERS = 10_000
MAX_BLOCK_SECONDS = 4.0
"""The longest blocking read: well below the socket's timeout, which else ends it with an error."""
RECHECK_SECONDS = 2.0
"""A waiter looks again this often, should a message on the channel have been lost."""
CONSUMER_SECONDS = 3600.0
"""Consumers that hold nothing and have been silent for so long are dropped from the group."""
EXPIRED_AT_ONCE = 100
NOTICES_AT_ONCE = 20
MISSING = ("NOGROUP", "no such key")
"""What the server says where the stream or its group is not there."""


class RedisQueue:
    """The port `Queue` on Redis Streams. `limit` bounds depth; finished jobs are kept for `keep_seconds`.

    Of one owner, at most `running` jobs run at a time (0: any number); the others wait.
    """

    def __init__(
        self, url: str, *, namespace: str, limit: int, keep_seconds: float, running: int = 0, password: str = ""
    ) -> None:
        self._redis: Any = connect(url, password)  # its stubs leave open whether text is bytes, and a reply awaitable
        self._root = f"{{{namespace}}}"
        self._stream = f"{self._root}:jobs"
        self._limit = limit
        self._running = running
        self._keep = repr(float(keep_seconds))
        self._wakeups = Wakeups(self._redis, self._key("changed"))
        register = self._redis.register_script
        self._clock = register(scripts.CLOCK)
        self._statistics = register(scripts.STATISTICS)
        self._submit = register(scripts.SUBMIT)
        self._start = register(scripts.START)
        self._heartbeat = register(scripts.HEARTBEAT)
        self._conclude = register(scripts.CONCLUDE)
        self._cancel = register(scripts.CANCEL)
        self._hand_back = register(scripts.HAND_BACK)
        self._hide = register(scripts.HIDE)
        self._hooks = register(scripts.HOOKS)
        self._keep_base = register(scripts.KEEP_BASE)
        self._drop_base = register(scripts.DROP_BASE)

    # -- what the API needs --------------------------------------------------------------------------------------------

    async def submit(self, job: Job, *, bounds: Bounds = NO_BOUNDS, once: Once | None = None) -> Receipt:
        """See Queue."""
        key, fingerprint = (once.key, once.fingerprint) if once else ("", "")
        most = ["" if bound is None else str(bound) for bound in (bounds.jobs, bounds.bytes)]
        fixed = (job.id, new_record(job), job.owner, job.kind, job.priority, self._limit, *most, key, fingerprint)
        outcome, *record = await self._run(self._submit, *fixed, job.webhook, *file_fields(job))
        match outcome:
            case "full":
                raise full(self._limit)
            case "jobs":
                raise too_many_jobs(bounds)
            case "bytes":
                raise too_many_bytes(bounds)
            case "reused":
                raise KeyReused
        known = read_job(_pairs(record[0]))
        kept = {blob.key for blob in known.inputs.values()}
        unused = tuple(blob.key for blob in job.inputs.values() if blob.key not in kept)
        return Receipt(known, outcome == "ok", unused)

    async def get(self, job_id: str) -> Job | None:
        """See Queue."""
        with _translated():
            return _job(await self._redis.hgetall(self._key("job", job_id)))

    async def jobs(self, *, owner: str, limit: int) -> list[Job]:
        """See Queue."""
        with _translated():
            ids = await self._redis.zrevrange(self._key("owner", owner), 0, limit - 1)
            async with self._redis.pipeline(transaction=False) as pipeline:
                for job_id in ids:
                    pipeline.hgetall(self._key("job", job_id))
                records = await pipeline.execute()
        return [job for job in map(_job, records) if job is not None]

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """See Queue."""
        return await self._until(lambda job: job.final, job_id, seconds)

    async def change(self, job_id: str, after: int, seconds: float) -> Job | None:
        """See Queue."""
        return await self._until(lambda job: job.version != after, job_id, seconds)

    async def cancel(self, job_id: str) -> Job | None:
        """See Queue."""
        return _job(_pairs(await self._run(self._cancel, job_id, self._keep)))

    async def delete(self, job_id: str) -> Removal | None:
        """See Queue."""
        return await self._hidden(job_id, "final")

    # -- what a worker needs -------------------------------------------------------------------------------------------

    async def claim(self, consumer: str, *, block_seconds: float) -> Claim | None:
        """See Queue."""
        block = max(1, round(1000 * min(block_seconds, MAX_BLOCK_SECONDS)))

        async def read() -> Any:
            return await self._redis.xreadgroup(GROUP, consumer, {self._stream: ">"}, count=1, block=block)

        found = await self._with_group(read)
        return await self._started(consumer, found[0][1][0][0]) if found else None

    async def claim_stale(self, consumer: str, *, idle_seconds: float) -> Claim | None:
        """See Queue."""
        idle, cursor = round(1000 * idle_seconds), "0-0"
        while True:

            async def look(start: str = cursor) -> Any:
                return await self._redis.xautoclaim(self._stream, GROUP, consumer, idle, start, count=1)

            cursor, found, *_ = await self._with_group(look)
            for entry, _ in found:
                claim = await self._started(consumer, entry)
                if claim is not None:
                    return claim
            if cursor == "0-0":
                return None

    async def heartbeat(
        self, claim: Claim, *, progress: float | None = None, steps: tuple[int, int] | None = None
    ) -> bool:
        """See Queue."""
        share = "" if progress is None else f"{progress:.4f}"
        done, total = steps or ("", "")
        arguments = (claim.job.id, claim.entry, claim.consumer, share, done, total)
        return bool(await self._run(self._heartbeat, *arguments))

    async def redeliver(self, claim: Claim) -> Claim | None:
        """See Queue."""
        fields = _pairs(await self._run(self._start, claim.entry, claim.consumer, 1, self._running))
        return _claim(fields, claim.entry, claim.consumer)

    async def finish(
        self, claim: Claim, *, result: Blob | None, report: Blob | None, summary: dict[str, object]
    ) -> bool:
        """See Queue."""
        size = sum(blob.size for blob in {blob.key: blob for blob in (result, report) if blob is not None}.values())
        figures = [summary.get(name) for name in ("original_bytes", "bytes")]
        known = figures if claim.job.kind == "compress" and None not in figures else ["", ""]
        text = outcome_record(result, report, summary)
        made = "" if result is None else result.sha256
        return await self._end(claim, "done", "outcome", text, size=size, figures=known, made=made)

    async def fail(self, claim: Claim, failure: Failure, *, dead_letter: bool = False) -> bool:
        """See Queue."""
        letters = str(DEAD_LETTERS) if dead_letter else ""
        return await self._end(claim, "failed", "error", failure_record(failure), letters=letters, code=failure.code)

    async def hand_back(self, claim: Claim) -> None:
        """See Queue."""
        await self._run(self._hand_back, claim.entry, claim.consumer)

    async def leave(self, consumer: str) -> None:
        """See Queue."""

        async def held() -> Any:
            return await self._redis.xpending_range(self._stream, GROUP, "-", "+", 1000, consumername=consumer)

        for pending in await self._with_group(held):
            await self._run(self._hand_back, pending["message_id"], consumer)

        async def drop() -> Any:
            return await self._redis.xgroup_delconsumer(self._stream, GROUP, consumer)

        await self._with_group(drop)

    async def expired(self) -> list[Removal]:
        """See Queue."""
        await self._drop_silent_consumers()
        with _translated():
            seconds, micros = await self._time()
            due = await self._redis.zrange(
                self._key("expiry"), "-inf", f"{seconds}.{micros:06d}", byscore=True, offset=0, num=EXPIRED_AT_ONCE
            )
        found = [await self._hidden(job_id, "due") for job_id in due]
        return [removal for removal in found if removal is not None]

    async def forget(self, job_id: str) -> None:
        """See Queue."""
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._key("job", job_id))
                pipeline.zrem(self._key("expiry"), job_id)
                await pipeline.execute()

    async def needs(self, key: str) -> bool:
        """See Queue."""
        with _translated():
            return bool(await self._redis.hexists(self._key("refs"), key))

    async def notices(self, *, lease_seconds: float) -> list[Notice]:
        """See Queue."""
        notices = []
        for job_id in await self._run(self._hooks, NOTICES_AT_ONCE, lease_seconds):
            with _translated():
                fields = await self._redis.hgetall(self._key("job", job_id))
            job = _job(fields)
            if job is None:
                await self.told(job_id)
            else:
                notices.append(Notice(job, int(fields["told"])))
        return notices

    async def told(self, job_id: str) -> None:
        """See Queue."""
        with _translated():
            await self._redis.zrem(self._key("hooks"), job_id)

    async def tell_later(self, job_id: str, seconds: float) -> None:
        """See Queue."""
        with _translated():
            now, _ = await self._time()
            await self._redis.zadd(self._key("hooks"), {job_id: now + seconds}, xx=True)

    async def statistics(self) -> Statistics:
        """See Queue."""
        counted, (seconds, micros), held, parked, *lines = await self._run(self._statistics)
        now = int(seconds) + int(micros) * 1e-6
        oldest: dict[str, float] = {
            priority: max(0.0, now - float(first[1])) if first else 0.0
            for priority, first in zip(PRIORITIES, lines[1::2], strict=True)
        }
        return Statistics(
            counters={tuple(name.split("|")): float(value) for name, value in _pairs(counted).items()},
            waiting=dict(zip(PRIORITIES, lines[::2], strict=True)),
            oldest_seconds=oldest,
            open=held + parked,
        )

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """See Queue."""
        with _translated():
            letters = await self._redis.xrevrange(self._key("dead"), count=limit)
        return [DeadLetter(it["id"], read_failure(it["failure"]), float(it["time"])) for _, it in letters]

    # -- both ----------------------------------------------------------------------------------------------------------

    async def keep_base(self, owner: str, digest: str, blob: Blob, *, bounds: Bounds = NO_BOUNDS) -> Kept:
        """See Queue."""
        most = "" if bounds.bytes is None else bounds.bytes
        file = (digest_of(blob), blob.size, blob.key, blob_record(blob), most)
        outcome, *record = await self._run(self._keep_base, owner, digest, *file)
        if outcome == "bytes":
            raise too_many_bytes(bounds)
        kept = read_base(record[0])
        return Kept(kept, outcome == "kept", (blob.key,) if blob.key != kept.key else ())

    async def base(self, owner: str, digest: str) -> Blob | None:
        """See Queue."""
        with _translated():
            record = await self._redis.hget(self._key("bases"), f"{owner}/{digest}")
        return None if record is None else read_base(record)

    async def bases(self, owner: str) -> dict[str, Blob]:
        """See Queue."""
        with _translated():  # an owner's name has none of the signs of a pattern
            found = self._redis.hscan_iter(self._key("bases"), match=f"{owner}/*", count=1000)
            return {name.rpartition("/")[2]: read_base(record) async for name, record in found}

    async def made(self, owner: str, sha256: str) -> Job | None:
        """See Queue."""
        with _translated():
            job_id = await self._redis.srandmember(self._key("made", owner, sha256))
        return None if job_id is None else await self.get(job_id)

    async def drop_base(self, owner: str, digest: str) -> tuple[str, ...]:
        """See Queue."""
        key = await self._run(self._drop_base, owner, digest)
        return (key,) if key else ()

    async def usage(self, owner: str) -> Usage:
        """See Queue."""
        with _translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(self._key("open"), owner)
                pipeline.hget(self._key("bytes"), owner)
                jobs, held = await pipeline.execute()
        return Usage(int(jobs or 0), int(held or 0))

    async def depth(self) -> int:
        """See Queue."""
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xlen(self._stream)
                pipeline.zcard(self._key("parked"))
                return sum(await pipeline.execute())

    async def ping(self) -> bool:
        """See Queue."""
        try:
            with _translated():
                return bool(await self._redis.ping())
        except ConnectionError:
            return False

    async def close(self) -> None:
        """See Queue."""
        await self._wakeups.close()
        await self._redis.aclose()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _key(self, *parts: str) -> str:
        return ":".join((self._root, *parts))

    async def _time(self) -> tuple[int, int]:
        """Seconds and microseconds by the clock of the server that has the keys; any node of a cluster answers TIME."""
        seconds, micros = await self._run(self._clock)
        return int(seconds), int(micros)

    async def _run(self, script: Any, *arguments: object) -> Any:
        async def call() -> Any:
            return await script(keys=[self._stream], args=[self._root, *arguments])

        return await self._with_group(call)

    async def _until(self, condition: Callable[[Job], bool], job_id: str, seconds: float) -> Job | None:
        """The job as soon as it is unknown, final or as the condition wants it; or when the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        job = await self.get(job_id)
        if job is None or condition(job) or seconds <= 0:
            return job
        with _translated():
            async with self._wakeups.on(job_id) as changed:
                while True:
                    changed.clear()
                    job = await self.get(job_id)
                    remaining = deadline - asyncio.get_running_loop().time()
                    if job is None or condition(job) or remaining <= 0:
                        return job
                    async with _at_most(min(remaining, RECHECK_SECONDS)):
                        await changed.wait()

    async def _with_group(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call; where the consumer group is missing (a new or an emptied server), make it and call again."""
        with _translated():
            try:
                return await call()
            except exceptions.ResponseError as error:
                if not any(words in str(error) for words in MISSING):
                    raise
            try:
                await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
            except exceptions.ResponseError as error:
                if "BUSYGROUP" not in str(error):  # another client was quicker
                    raise
            return await call()

    async def _started(self, consumer: str, entry: str) -> Claim | None:
        fields = _pairs(await self._run(self._start, entry, consumer, 0, self._running))
        return _claim(fields, entry, consumer)

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
        return bool(await self._run(self._conclude, *fixed, *figures, made))

    async def _hidden(self, job_id: str, condition: str) -> Removal | None:
        fields = _pairs(await self._run(self._hide, job_id, LEASE_SECONDS, condition))
        return Removal(read_job(fields), tuple(fields["garbage"].split())) if fields else None

    async def _drop_silent_consumers(self) -> None:
        """Workers that were killed cannot sign off; forget those that hold nothing."""

        async def look() -> Any:
            return await self._redis.xinfo_consumers(self._stream, GROUP)

        for consumer in await self._with_group(look):
            if consumer["pending"] == 0 and consumer["idle"] > 1000 * CONSUMER_SECONDS:
                await self.leave(consumer["name"])


def _claim(fields: dict[str, str], entry: str, consumer: str) -> Claim | None:
    if not fields:
        return None
    job = read_job(fields)
    return Claim(job, entry, consumer, job.attempts)


def _job(fields: dict[str, str]) -> Job | None:
    return read_job(fields) if "job" in fields and "hidden" not in fields else None


def _pairs(flat: list[str] | None) -> dict[str, str]:
    """A hash as a script returns it: names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


@contextmanager
def _translated() -> Iterator[None]:
    """Say ConnectionError where the client says one of its own."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError, OSError) as error:
        raise ConnectionError(f"the queue's server does not answer: {error}") from error


@asynccontextmanager
async def _at_most(seconds: float) -> AsyncIterator[None]:
    """Go on when the time is over, without an error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        pass
