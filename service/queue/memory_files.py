"""The files of the queue in memory: each stored once for an owner, and counted by use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cabacus.service.job import Blob
from cabacus.service.queue.port import NO_BOUNDS, Bounds, Kept, too_many_bytes
from cabacus.service.queue.records import digest_of


class Files:
    """`bases` by owner and digest; `uses` of an upload by its storage key; `bytes` by owner, which others add to."""

    def __init__(self) -> None:
        self.bases: dict[tuple[str, str], Blob] = {}
        self.uses: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._uploads: dict[tuple[str, str], str] = {}

    def key_of(self, owner: str, blob: Blob) -> str | None:
        """Where the owner has stored the same bytes."""
        return self._uploads.get((owner, digest_of(blob)))

    def take(self, owner: str, blobs: Mapping[str, Blob], bounds: Bounds) -> tuple[dict[str, Blob], int]:
        """Use files, of those that the owner has stored before the earlier upload; and the bytes that are new.

        Raises OwnerFull.
        """
        named = {(owner, digest_of(blob)): blob for blob in reversed(list(blobs.values()))}
        fresh = {name: blob for name, blob in named.items() if name not in self._uploads}
        size = sum(blob.size for blob in fresh.values())
        if bounds.bytes is not None and self.bytes[owner] + size > bounds.bytes:
            raise too_many_bytes(bounds)
        self._uploads |= {name: blob.key for name, blob in fresh.items()}
        self.bytes[owner] += size
        taken = {role: replace(blob, key=self._uploads[owner, digest_of(blob)]) for role, blob in blobs.items()}
        self.uses.update(blob.key for blob in taken.values())
        return taken, size

    def release(self, owner: str, blob: Blob) -> tuple[str, ...]:
        """One use less; returns the storage key if that was the last."""
        self.uses[blob.key] -= 1
        if self.uses[blob.key] > 0:
            return ()
        del self.uses[blob.key]
        del self._uploads[owner, digest_of(blob)]
        self.bytes[owner] -= blob.size
        return (blob.key,)


class MemoryFiles:
    """The methods of the port `Queue` that know files."""

    def __init__(self) -> None:
        self._files = Files()

    async def uploads(self, owner: str, blobs: Sequence[Blob]) -> list[str | None]:
        """See Queue."""
        return [self._files.key_of(owner, blob) for blob in blobs]

    async def needs(self, key: str) -> bool:
        """See Queue."""
        return self._files.uses[key] > 0

    async def keep_base(self, owner: str, digest: str, blob: Blob, *, bounds: Bounds = NO_BOUNDS) -> Kept:
        """See Queue."""
        fresh = (owner, digest) not in self._files.bases
        if fresh:
            self._files.bases[owner, digest] = self._files.take(owner, {digest: blob}, bounds)[0][digest]
        known = self._files.bases[owner, digest]
        return Kept(known, fresh, (blob.key,) if blob.key != known.key else ())

    async def base(self, owner: str, digest: str) -> Blob | None:
        """See Queue."""
        return self._files.bases.get((owner, digest))

    async def bases(self, owner: str) -> dict[str, Blob]:
        """See Queue."""
        return {digest: blob for (known, digest), blob in self._files.bases.items() if known == owner}

    async def drop_base(self, owner: str, digest: str) -> tuple[str, ...]:
        """See Queue."""
        blob = self._files.bases.pop((owner, digest), None)
        return self._files.release(owner, blob) if blob is not None else ()
