"""What the service needs of a store for bytes. Objects are written whole under a new key and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Protocol

from cabacus.service.job import Blob


class TooLarge(Exception):
    """A body grew past `limit` bytes while it was being stored; nothing of it is kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Store(Protocol):
    """Keys are relative paths of safe characters. All methods are coroutines."""

    async def write(self, key: str, chunks: AsyncIterable[bytes], *, limit: int | None = None) -> Blob:
        """Stream a body to a new object while hashing and counting; at most a few MB are in memory. Raises TooLarge."""

    async def write_file(self, key: str, path: Path) -> Blob:
        """Store a local file as a new object."""

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Stream bytes [start, stop) of an object. Raises KeyError when it is not there."""

    async def fetch_file(self, key: str, path: Path) -> None:
        """Copy an object to a local file. Raises KeyError."""

    async def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""

    async def size(self, key: str) -> int | None:
        """Bytes of an object, or None when it is not there."""
