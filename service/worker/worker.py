"""A worker: slots that claim and run jobs, and a sweep that removes what has expired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from pathlib import Path

from cabacus.service.queue.port import Claim, Queue
from cabacus.service.removal import remove, remove_orphans
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Buckets, Store
from cabacus.service.worker.notices import Teller
from cabacus.service.worker.runner import Runner
from cabacus.service.worker.scratch import scratch_folder
from cabacus.service.worker.slot import PIPELINE, Child, ChildDied

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 4.0
BACKOFF_SECONDS = 0.5
TELL_SECONDS = 0.5
"""Time between looks for webhooks that are to be told."""
PULSE_SECONDS = 5.0
"""Time between signs of life in the scratch folder, for health checks that cannot ask a worker."""
ORPHAN_PERIOD_SECONDS = 3600.0
ORPHAN_AGE_SECONDS = 86400.0
"""Files without a job are removed when they are older than any job's files can be, and this much more."""


class Worker:
    """Runs `settings.workers` jobs at a time until `stop` is called.

    `pipeline` names the module whose `run(task, progress)` does the work.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        store: Store,
        *,
        buckets: Buckets | None = None,
        pipeline: str = PIPELINE,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._store = store
        self._buckets = buckets
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._children = [
            Child(pipeline=pipeline, memory_bytes=settings.job_memory_bytes, log_format=settings.log_format)
            for _ in range(settings.workers)
        ]
        self._stopping = asyncio.Event()
        self._next_look = 0.0

    def stop(self) -> None:
        """Take no more jobs; those that run have `stop_seconds` to end, then they are handed back."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """True once `stop` was called."""
        return self._stopping.is_set()

    @property
    def process_ids(self) -> list[int]:
        """The child processes that are alive."""
        return [child.process_id for child in self._children if child.process_id is not None]

    async def run(self) -> None:
        """Work until `stop` is called and the jobs have ended or are handed back."""
        with scratch_folder(self._settings.scratch) as scratch:
            slots = [asyncio.create_task(self._slot(number, scratch)) for number in range(len(self._children))]
            sweep = asyncio.create_task(self._sweep())
            telling = asyncio.create_task(self._tell())
            beating = asyncio.create_task(self._beat(scratch / f"pulse-{socket.gethostname()}"))
            logger.info("worker %s takes %d jobs at a time", self._name, len(slots))
            try:
                await self._stopping.wait()
                await asyncio.wait(slots, timeout=self._settings.stop_seconds)
            finally:
                others = (sweep, telling, beating)
                for task in (*slots, *others):
                    task.cancel()
                await asyncio.gather(*slots, *others, return_exceptions=True)
                logger.info("worker %s has stopped", self._name)

    async def _slot(self, number: int, scratch: Path) -> None:
        consumer, child = f"{self._name}-{number}", self._children[number]
        runner = Runner(self._settings, self._queue, self._store, child, scratch, self._buckets)
        try:
            while not self._stopping.is_set():
                try:
                    await child.start()
                    claim = await self._next(consumer)
                    if claim is not None:
                        await runner.process(claim)
                except (ConnectionError, ChildDied) as error:
                    logger.warning("slot %d waits: %s", number, error)
                    await self._pause(BACKOFF_SECONDS)
                except Exception:
                    logger.exception("slot %d goes on after a fault of ours", number)
                    await self._pause(BACKOFF_SECONDS)
        finally:
            await child.kill()
            with contextlib.suppress(ConnectionError):
                await self._queue.leave(consumer)

    async def _next(self, consumer: str) -> Claim | None:
        """A job: one that another worker left, when it is time to look for such, or the next one in the queue."""
        period = self._settings.idle_seconds / 3
        if time.monotonic() >= self._next_look:
            claim = await self._queue.claim_stale(consumer, idle_seconds=self._settings.idle_seconds)
            if claim is not None:
                logger.info("job %s is taken over, delivery %d", claim.job.id, claim.deliveries)
                return claim
            self._next_look = time.monotonic() + period
        reading = asyncio.create_task(self._queue.claim(consumer, block_seconds=min(BLOCK_SECONDS, period)))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():  # stopping; whatever is handed out at this moment, `leave` hands back
                return None
            claim = await reading
        finally:
            for task in (reading, stopping):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await task
        if claim is not None and self._stopping.is_set():
            await self._queue.hand_back(claim)
            return None
        return claim

    async def _sweep(self) -> None:
        """Remove, on a timer, the files of jobs whose time is over and, now and then, files that have no job."""
        orphans_due = time.monotonic()
        while not self.stopping:  # else `_pause` returns at once, and this would spin until it is cancelled
            try:
                await self._remove_expired()
                if time.monotonic() >= orphans_due:
                    orphans_due = time.monotonic() + ORPHAN_PERIOD_SECONDS
                    age = self._settings.result_seconds + self._settings.job_seconds + ORPHAN_AGE_SECONDS
                    await remove_orphans(self._queue, self._store, older_seconds=age)
            except OSError as error:  # ConnectionError is one
                logger.warning("the sweep waits: %s", error)
            except Exception:
                logger.exception("the sweep goes on after a fault of ours")
            await self._pause(self._settings.sweep_seconds)

    async def _tell(self) -> None:
        """Tell webhooks how jobs ended, those of other workers too."""
        if not self._settings.webhooks:
            return
        teller = Teller(self._settings, self._queue)
        try:
            while not self.stopping:
                try:
                    await teller.tell()
                except ConnectionError as error:
                    logger.warning("webhooks wait: %s", error)
                except Exception:
                    logger.exception("webhooks go on after a fault of ours")
                await self._pause(TELL_SECONDS)
        finally:
            await teller.close()

    async def _beat(self, pulse: Path) -> None:
        """Touch a file for as long as the event loop turns, while jobs are let run on as well."""
        while True:
            try:
                pulse.touch()
            except OSError as error:
                logger.warning("no sign of life: %s", error)
            await asyncio.sleep(PULSE_SECONDS)

    async def _remove_expired(self) -> None:
        while removals := await self._queue.expired():
            for removal in removals:
                await remove(removal, self._queue, self._store)
            logger.info("%d expired jobs are removed", len(removals))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
