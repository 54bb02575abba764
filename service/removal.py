"""Removes the files of a job that is forgotten; the API does it on request, the worker when a job's time is over."""

from __future__ import annotations

from cabacus.service.queue.port import Queue, Removal
from cabacus.service.storage.port import Store


async def remove(removal: Removal, queue: Queue, store: Store) -> None:
    """Remove the files, then the record: where this breaks off, the queue hands the job out once more.

    Raises OSError where the store or the queue does not answer.
    """
    for key in removal.keys:
        await store.delete_below(key.rpartition("/")[0])
    await store.delete_below(f"jobs/{removal.job.id}")
    await queue.forget(removal.job.id)
