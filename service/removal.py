"""Removes the files of a job that is forgotten, by request or when its time is over, and files that have no job."""

from __future__ import annotations

import logging

from cabacus.service.queue.port import Queue, Removal
from cabacus.service.storage.port import Store

logger = logging.getLogger(__name__)


async def remove(removal: Removal, queue: Queue, store: Store) -> None:
    """Remove the files, then the record: where this breaks off, the queue hands the job out once more.

    Raises OSError where the store or the queue does not answer.
    """
    for key in removal.keys:
        await store.delete_below(key.rpartition("/")[0])
    await store.delete_below(f"jobs/{removal.job.id}")
    await queue.forget(removal.job.id)


async def remove_orphans(queue: Queue, store: Store, *, older_seconds: float) -> int:
    """Remove uploads that became no jobs since the API was killed, and output of killed workers; returns how many.

    `older_seconds` must be more than a job and its files live. Raises OSError.
    """
    found = 0
    async for job_id in store.folders("jobs", older_seconds=older_seconds):
        if await queue.get(job_id) is None:
            await store.delete_below(f"jobs/{job_id}")
            logger.warning("files of %s had no job and are removed", job_id)
            found += 1
    async for upload in store.folders("uploads", older_seconds=older_seconds):
        names = store.folders(f"uploads/{upload}", older_seconds=-abs(older_seconds))
        if not [name async for name in names if await queue.needs(f"uploads/{upload}/{name}")]:
            await store.delete_below(f"uploads/{upload}")
            logger.warning("the upload %s had no job and is removed", upload)
            found += 1
    async for round_id in store.folders("rounds", older_seconds=older_seconds):  # their jobs have ended long ago
        await store.delete_below(f"rounds/{round_id}")
    return found
