"""Wakes those who wait for a job: one subscription per process, however many wait."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio as aredis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

SUBSCRIBE_SECONDS = 2.0
"""How long a waiter waits for the subscription to stand; it then relies on looking again."""
POLL_SECONDS = 4.0
BACKOFF_SECONDS = 0.2


class Wakeups:
    """Turns messages on a channel, each the id of a job, into events. A message can be lost: waiters look again."""

    def __init__(self, client: aredis.Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._standing: asyncio.Event | None = None
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def on(self, job_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when a message names the job, or when messages may have been missed."""
        if self._listener is None or self._listener.done():
            self._standing = asyncio.Event()
            self._listener = asyncio.create_task(self._listen(self._standing))
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            assert self._standing is not None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._standing.wait(), SUBSCRIBE_SECONDS)
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def _listen(self, standing: asyncio.Event) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    await self._dispatch(subscription, standing)
            except (RedisError, OSError) as error:
                logger.warning("the subscription to finished jobs broke off: %s", error)
                standing.clear()
                await asyncio.sleep(BACKOFF_SECONDS)

    async def _dispatch(self, subscription: aredis.client.PubSub, standing: asyncio.Event) -> None:
        while True:
            message = await subscription.get_message(timeout=POLL_SECONDS)
            if message is None:
                continue
            if message["type"] == "subscribe":  # the first time, and again after each reconnection
                standing.set()
                self._wake(*self._waiting)
            elif message["type"] == "message":
                self._wake(message["data"])

    def _wake(self, *job_ids: str) -> None:
        for job_id in job_ids:
            for event in self._waiting.get(job_id, ()):
                event.set()
