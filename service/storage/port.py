"""What the service needs of a store for bytes. Objects are written whole under a new key and never changed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Protocol

from cabacus.service.job import Blob

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
MAX_KEY = 512


class TooLarge(Exception):
    """A body grew past `limit` bytes while it was being stored; nothing of it is kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


def is_key(key: str) -> bool:
    """True for what `check_key` takes."""
    return len(key) <= MAX_KEY and _KEY.fullmatch(key) is not None


def check_key(key: str) -> str:
    """The key, if it is a relative path of letters, digits, `_`, `-` and `.`, no part of which begins with a dot."""
    if not is_key(key):
        raise ValueError(f"{key[:MAX_KEY]!r} is no storage key")
    return key


class Store(Protocol):
    """Keys are relative paths of safe characters; see `check_key`. All methods but `read` are coroutines.

    A store that does not answer raises OSError.
    """

    async def write(self, key: str, chunks: AsyncIterable[bytes], *, limit: int | None = None) -> Blob:
        """Stream a body to a new object while hashing and counting; some 20 MB at most are in memory.

        Raises TooLarge, and whatever `chunks` raises; nothing of the body is kept then.
        """

    async def write_file(self, key: str, path: Path) -> Blob:
        """Store a local file as a new object. The file must not change afterwards: it may become the object itself."""

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Stream bytes [start, stop) of an object. Raises KeyError when it is not there."""

    async def fetch_file(self, key: str, path: Path) -> None:
        """Make an object a local file, which must not be changed: it may be the object itself. Raises KeyError."""

    async def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""

    async def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with `prefix` and a slash."""

    async def size(self, key: str) -> int | None:
        """Bytes of an object, or None when it is not there."""

    def folders(self, prefix: str, *, older_seconds: float) -> AsyncIterator[str]:
        """The parts that follow `prefix` and a slash in keys, each once, whose objects are all older than that."""


class Buckets(Protocol):
    """Objects elsewhere, by URL. All methods are coroutines; a place that does not answer raises OSError."""

    async def fetch(self, url: str, path: Path, *, limit: int) -> None:
        """Bring an object into a new local file. Raises KeyError when it is not there, TooLarge beyond `limit`."""

    async def put(self, url: str, path: Path) -> None:
        """Write a local file as an object, in place of one that was there."""
