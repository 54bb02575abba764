"""The store on obstore: a local folder, memory, or a bucket of S3, Google or Azure, by URL."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, from_url

from cabacus.service.job import Blob
from cabacus.service.storage.port import TooLarge, check_key

PART_BYTES = 5 * 2**20
"""Bytes of a part of a multipart upload; S3 takes no smaller ones."""
PARTS_IN_FLIGHT = 3
READ_BYTES = 2**20


class ObjectStore:
    """The port `Store` on obstore.

    `url` is an absolute folder, file:///FOLDER, memory:// (this process only), or s3://, gs:// or az:// with a bucket
    and a prefix; credentials come from the cloud's usual environment variables. Raises OSError for one that cannot be
    used. A crash leaves parts of an upload in a bucket: give it a lifecycle rule for incomplete multipart uploads.
    """

    def __init__(self, url: str) -> None:
        self._folder = _local_folder(url)
        self._store: Any
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._store = LocalStore(self._folder, automatic_cleanup=True)
        elif urlsplit(url).scheme == "memory":
            self._store = MemoryStore()
        else:
            with _translated():
                self._store = from_url(url)

    async def write(self, key: str, chunks: AsyncIterable[bytes], *, limit: int | None = None) -> Blob:
        """See Store."""
        check_key(key)
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                if limit is not None and size > limit:
                    raise TooLarge(limit)
                digest.update(chunk)
                if chunk:
                    yield chunk

        try:
            with _translated():
                await obstore.put_async(
                    self._store, key, counted(), chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
                )
        except BaseException as error:
            self._drop_empty_folders(key)
            if isinstance(error, FileNotFoundError):
                raise OSError("the store does not answer: its bucket or folder is not there") from error
            raise
        return Blob(key, size, digest.hexdigest())

    async def write_file(self, key: str, path: Path) -> Blob:
        """See Store."""
        check_key(key)
        if self._folder is not None:
            return await asyncio.to_thread(_link_in, path, self._folder / key, key)
        return await self.write(key, _chunks_of(path))

    async def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """See Store."""
        if stop is not None and stop <= start:
            if await self.size(key) is None:
                raise KeyError(key)
            return
        options: dict[str, Any] = {}
        if stop is not None:
            options["range"] = (start, stop)
        elif start:
            options["range"] = {"offset": start}
        try:
            with _translated():
                found = await obstore.get_async(self._store, check_key(key), options=options)  # type: ignore[arg-type]
                async for chunk in found.stream(min_chunk_size=READ_BYTES):
                    yield bytes(chunk)
        except FileNotFoundError:
            raise KeyError(key) from None

    async def fetch_file(self, key: str, path: Path) -> None:
        """See Store."""
        if self._folder is not None:
            source = self._folder / check_key(key)
            try:
                await asyncio.to_thread(_link_or_copy, source, path)
            except FileNotFoundError:
                raise KeyError(key) from None
            return
        with open(path, "xb") as file:
            async for chunk in self.read(key):
                await asyncio.to_thread(file.write, chunk)

    async def delete(self, key: str) -> None:
        """See Store."""
        try:
            with _translated():
                await obstore.delete_async(self._store, check_key(key))
        except FileNotFoundError:
            self._drop_empty_folders(key)

    async def delete_below(self, prefix: str) -> None:
        """See Store."""
        check_key(prefix)
        if self._folder is not None:  # takes along what a killed writer left half-written
            await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)
            return
        with _translated():
            async for batch in obstore.list(self._store, prefix):
                await obstore.delete_async(self._store, [meta["path"] for meta in batch])

    async def size(self, key: str) -> int | None:
        """See Store."""
        try:
            with _translated():
                meta = await obstore.head_async(self._store, check_key(key))
        except FileNotFoundError:
            return None
        return int(meta["size"])

    async def folders(self, prefix: str, *, older_seconds: float) -> AsyncIterator[str]:
        """See Store."""
        check_key(prefix)
        latest: dict[str, float] = {}
        if self._folder is not None:
            latest = await asyncio.to_thread(_latest_below, self._folder / prefix)
        else:
            with _translated():
                async for batch in obstore.list(self._store, prefix):
                    for meta in batch:
                        name = meta["path"].removeprefix(f"{prefix}/").split("/")[0]
                        latest[name] = max(latest.get(name, 0.0), meta["last_modified"].timestamp())
        before = datetime.now(UTC).timestamp() - older_seconds
        for name, moment in latest.items():
            if moment < before:
                yield name

    def _drop_empty_folders(self, key: str) -> None:
        """A body that breaks off leaves the folders made for it; take them away."""
        if self._folder is None:
            return
        for parent in (self._folder / key).parents:
            if parent == self._folder:
                return
            try:
                parent.rmdir()
            except OSError:  # not empty, or gone already
                return


@contextmanager
def _translated() -> Iterator[None]:
    """Say OSError where the store says an error of its own, with the first line of what it tells."""
    try:
        yield
    except FileNotFoundError:  # one of Python's own
        raise
    except BaseError as error:
        raise OSError(f"the store does not answer: {str(error).partition(chr(10))[0]}") from error


def _local_folder(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(url) if not parts.scheme else None


def _latest_below(folder: Path) -> dict[str, float]:
    """For each entry of a folder, the time of the latest change in it; files that vanish meanwhile are passed over."""
    latest: dict[str, float] = {}
    for child in folder.iterdir() if folder.is_dir() else ():
        for path in (child, *child.rglob("*")):
            try:
                latest[child.name] = max(latest.get(child.name, 0.0), path.stat().st_mtime)
            except FileNotFoundError:
                continue
    return latest


def _link_in(path: Path, target: Path, key: str) -> Blob:
    """Make a local file the object: by a second name where the file system allows, else by a copy."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f"{target.name}#{os.getpid()}")  # '#' is in no key, so that nobody reads it
    try:
        _link_or_copy(path, staged)
        os.replace(staged, target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    return Blob(key, size, digest)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


async def _chunks_of(path: Path) -> AsyncIterator[bytes]:
    with open(path, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, READ_BYTES):
            yield chunk
