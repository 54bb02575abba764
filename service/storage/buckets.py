"""Files of callers in buckets that the operator allows: read as input, written as output, by URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cabacus.service.storage.object_store import ObjectStore
from cabacus.service.storage.port import TooLarge


class ObjectBuckets:
    """The port `Buckets` on obstore; credentials come from the cloud's usual environment variables.

    Whether a URL is allowed is for the caller to know: see `Settings.allows_bucket`.
    """

    def __init__(self) -> None:
        self._stores: dict[str, ObjectStore] = {}

    async def fetch(self, url: str, path: Path, *, limit: int) -> None:
        """See Buckets."""
        store, key = self._place(url)
        size = await store.size(key)
        if size is None:
            raise KeyError(url)
        if size > limit:
            raise TooLarge(limit)
        await store.fetch_file(key, path)

    async def put(self, url: str, path: Path) -> None:
        """See Buckets."""
        store, key = self._place(url)
        await store.write_file(key, path)

    def _place(self, url: str) -> tuple[ObjectStore, str]:
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        if root not in self._stores:
            self._stores[root] = ObjectStore(root)
        return self._stores[root], parts.path.lstrip("/")
