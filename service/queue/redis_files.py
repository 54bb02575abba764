"""The part of the queue on Redis that knows files: uploads that jobs and bases share, and the bases."""

from __future__ import annotations

from collections.abc import Sequence

from cabacus.service.job import Blob
from cabacus.service.queue import scripts
from cabacus.service.queue.port import NO_BOUNDS, Bounds, Kept, too_many_bytes
from cabacus.service.queue.records import blob_record, digest_of, read_base
from cabacus.service.queue.server import Server, translated


class RedisFiles:
    """These methods of the port `Queue`, on a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keep_base = server.redis.register_script(scripts.KEEP_BASE)
        self._drop_base = server.redis.register_script(scripts.DROP_BASE)

    async def uploads(self, owner: str, blobs: Sequence[Blob]) -> list[str | None]:
        """See Queue."""
        if not blobs:
            return []
        names = [f"{owner}/{digest_of(blob)}" for blob in blobs]
        with translated():
            found: list[str | None] = await self._server.redis.hmget(self._server.key("uploads"), names)
        return found

    async def needs(self, key: str) -> bool:
        """See Queue."""
        with translated():
            return bool(await self._server.redis.hexists(self._server.key("refs"), key))

    async def keep_base(self, owner: str, digest: str, blob: Blob, *, bounds: Bounds = NO_BOUNDS) -> Kept:
        """See Queue."""
        most = "" if bounds.bytes is None else bounds.bytes
        file = (digest_of(blob), blob.size, blob.key, blob_record(blob), most)
        outcome, *record = await self._server.run(self._keep_base, owner, digest, *file)
        if outcome == "bytes":
            raise too_many_bytes(bounds)
        kept = read_base(record[0])
        return Kept(kept, outcome == "kept", (blob.key,) if blob.key != kept.key else ())

    async def base(self, owner: str, digest: str) -> Blob | None:
        """See Queue."""
        with translated():
            record = await self._server.redis.hget(self._server.key("bases"), f"{owner}/{digest}")
        return None if record is None else read_base(record)

    async def bases(self, owner: str) -> dict[str, Blob]:
        """See Queue."""
        with translated():  # an owner's name has none of the signs of a pattern
            found = self._server.redis.hscan_iter(self._server.key("bases"), match=f"{owner}/*", count=1000)
            return {name.rpartition("/")[2]: read_base(record) async for name, record in found}

    async def drop_base(self, owner: str, digest: str) -> tuple[str, ...]:
        """See Queue."""
        key = await self._server.run(self._drop_base, owner, digest)
        return (key,) if key else ()
