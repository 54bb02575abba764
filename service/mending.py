"""Heals the store: a file that was lost from it is there again once somebody sends the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cabacus.service.job import Blob
from cabacus.service.queue.port import Queue
from cabacus.service.storage.port import Store

logger = logging.getLogger(__name__)


async def mend(owner: str, blobs: Iterable[Blob], queue: Queue, store: Store) -> None:
    """Before files are submitted: where the queue will use an earlier upload of the same bytes, see that it is there.

    The queue names the earlier upload whatever became of it; where the store has lost it, the new one takes its place.
    Raises OSError where the store or the queue does not answer.
    """
    sent = list(blobs)
    for blob, key in zip(sent, await queue.uploads(owner, sent), strict=True):
        if key is None or key == blob.key or await store.size(key) == blob.size:
            continue
        try:
            await store.write(key, store.read(blob.key))
        except KeyError:  # it was sent in vain long ago, and has gone
            continue
        logger.warning("the store had lost %s; the same bytes were sent again and are there now", key)
