"""The server of the queue: its keys, its scripts and its clock; errors of the client become ConnectionError.

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
                              progress  0 .. 1          counts   JSON: the same in steps, tensors and bytes
                              version   how often the record changed
                              started finished expires    seconds since the epoch, by the server's clock
                              outcome   JSON: result, report, summary, counts  error  JSON: why it failed
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

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from redis import exceptions

from cabacus.service.queue import scripts
from cabacus.service.queue.connection import connect
from cabacus.service.queue.prelude import GROUP

T = TypeVar("T")

MISSING = ("NOGROUP", "no such key")
"""What the server says where the stream or its group is not there."""


class Server:
    """A client of the server, and the namespace of keys in it; `stream` is the key of the jobs that wait or run."""

    def __init__(self, url: str, namespace: str, password: str) -> None:
        self.redis: Any = connect(url, password)  # its stubs leave open whether text is bytes, and a reply awaitable
        self._root = f"{{{namespace}}}"
        self.stream = self.key("jobs")
        self._clock = self.redis.register_script(scripts.CLOCK)

    def key(self, *parts: str) -> str:
        """The name of a key."""
        return ":".join((self._root, *parts))

    async def clock(self) -> tuple[int, int]:
        """Seconds and microseconds by the clock of the server that has the keys; any node of a cluster answers TIME."""
        seconds, micros = await self.run(self._clock)
        return int(seconds), int(micros)

    async def run(self, script: Any, *arguments: object) -> Any:
        """Run one of scripts.py."""

        async def call() -> Any:
            return await script(keys=[self.stream], args=[self._root, *arguments])

        return await self.with_group(call)

    async def with_group(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call; where the consumer group is missing (a new or an emptied server), make it and call again."""
        with translated():
            try:
                return await call()
            except exceptions.ResponseError as error:
                if not any(words in str(error) for words in MISSING):
                    raise
            try:
                await self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
            except exceptions.ResponseError as error:
                if "BUSYGROUP" not in str(error):  # another client was quicker
                    raise
            return await call()


@contextmanager
def translated() -> Iterator[None]:
    """Say ConnectionError where the client says one of its own."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError, OSError) as error:
        raise ConnectionError(f"the queue's server does not answer: {error}") from error
