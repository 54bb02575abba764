"""Which queue and which store these settings mean. Called by the two programs, api and worker, and by nobody else."""

from __future__ import annotations

from cabacus.service.queue.port import Queue
from cabacus.service.queue.redis_streams import RedisQueue
from cabacus.service.settings import Settings, SettingsError
from cabacus.service.storage.buckets import ObjectBuckets
from cabacus.service.storage.object_store import ObjectStore
from cabacus.service.storage.port import Buckets, Store


def open_queue(settings: Settings) -> Queue:
    """The queue. Nothing is connected before its first use. Raises SettingsError when there is no server to use."""
    if not settings.redis:
        raise SettingsError(
            "CABACUS_REDIS is not set: set it to the URL of a Redis or Valkey server such as redis://localhost:6379/0, "
            "or start everything at once with `cabacus serve`"
        )
    try:
        return RedisQueue(
            settings.redis,
            namespace=settings.namespace,
            limit=settings.max_queued,
            keep_seconds=settings.result_seconds,
            running=settings.key_max_running,
            password=settings.redis_password,
        )
    except ValueError as error:
        raise SettingsError(f"CABACUS_REDIS cannot be used: {error}") from error


def open_buckets(settings: Settings) -> Buckets | None:
    """Buckets for input= and output=, where any are allowed."""
    return ObjectBuckets() if settings.buckets else None


def open_store(settings: Settings) -> Store:
    """The store. A local folder is made where it is missing. Raises SettingsError for a URL that names no store."""
    try:
        return ObjectStore(settings.storage_url)
    except (ValueError, OSError) as error:
        raise SettingsError(f"CABACUS_STORAGE is {settings.storage_url!r}, which cannot be used: {error}") from error
