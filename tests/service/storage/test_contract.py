"""What every store promises: whole objects, ranges, digests, and nothing of what broke off."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cabacus.service.storage.object_store import PART_BYTES, ObjectStore
from cabacus.service.storage.port import TooLarge, check_key

DATA = random.Random(5).randbytes(2 * PART_BYTES + 12345)
"""Two whole parts of a multipart upload and a piece of one."""


async def chunks(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for place in range(0, len(data), size):
        yield data[place : place + size]
        yield b""  # as servers send them


async def read(store: ObjectStore, key: str, **span: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, **span)])


async def everything(store: ObjectStore, prefix: str) -> list[str]:
    return sorted([name async for name in store.folders(prefix, older_seconds=-1e6)])


def test_what_is_written_is_read_whole_and_in_ranges(store) -> None:
    async def check(store: ObjectStore) -> None:
        blob = await store.write("a/b/model.bin", chunks(DATA))
        assert (blob.key, blob.size, blob.sha256) == ("a/b/model.bin", len(DATA), hashlib.sha256(DATA).hexdigest())
        assert await store.size(blob.key) == len(DATA)
        assert await read(store, blob.key) == DATA
        for start, stop in ((0, 1), (100, 200), (PART_BYTES - 3, PART_BYTES + 3), (len(DATA) - 7, len(DATA)), (5, 5)):
            assert await read(store, blob.key, start=start, stop=stop) == DATA[start:stop]
        assert await read(store, blob.key, start=len(DATA) - 9) == DATA[-9:]

    store(check)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_small_objects(store, data: bytes) -> None:
    async def check(store: ObjectStore) -> None:
        assert (await store.write("a/x", chunks(data))).size == len(data)
        assert await read(store, "a/x") == data

    store(check)


def test_what_is_not_there(store, tmp_path: Path) -> None:
    async def check(store: ObjectStore) -> None:
        assert await store.size("a/nothing") is None
        for span in ({}, {"start": 3}, {"start": 3, "stop": 5}, {"start": 5, "stop": 5}):
            with pytest.raises(KeyError):
                await read(store, "a/nothing", **span)
        with pytest.raises(KeyError):
            await store.fetch_file("a/nothing", tmp_path / "file")
        await store.delete("a/nothing")
        await store.delete_below("nothing")
        assert await everything(store, "nothing") == []

    store(check)


def test_a_body_that_breaks_off_leaves_nothing(store) -> None:
    class Broke(Exception):
        pass

    async def broken(size: int) -> AsyncIterator[bytes]:
        yield DATA[:size]
        raise Broke

    async def check(store: ObjectStore) -> None:
        for size in (10, PART_BYTES + 10):
            with pytest.raises(Broke):
                await store.write("a/broken", broken(size))
        with pytest.raises(TooLarge):
            await store.write("a/broken", chunks(DATA), limit=len(DATA) - 1)
        writing = asyncio.create_task(store.write("a/broken", _never_ends()))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await store.size("a/broken") is None
        assert await everything(store, "a") == []
        assert (await store.write("a/whole", chunks(DATA), limit=len(DATA))).size == len(DATA)

    store(check)


async def _never_ends() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.Event().wait()


def test_files_go_in_and_out(store, tmp_path: Path) -> None:
    async def check(store: ObjectStore) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(DATA)
        blob = await store.write_file("a/file", source)
        assert (blob.size, blob.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
        source.unlink()
        await store.fetch_file("a/file", target)
        assert target.read_bytes() == DATA
        target.unlink()
        assert await read(store, "a/file", start=1, stop=9) == DATA[1:9]

    store(check)


def test_deleting_takes_what_it_names_and_no_more(store) -> None:
    async def check(store: ObjectStore) -> None:
        for key in ("jobs/1/a", "jobs/1/b/c", "jobs/12/a", "jobs/2/a", "uploads/1/a"):
            await store.write(key, chunks(b"x"))
        assert await everything(store, "jobs") == ["1", "12", "2"]
        await store.delete("jobs/2/a")
        await store.delete_below("jobs/1")
        assert await everything(store, "jobs") in (["12"], ["12", "2"])  # a local folder may stay, empty
        assert await store.size("jobs/12/a") == 1
        assert await store.size("jobs/1/b/c") is None
        assert await store.size("uploads/1/a") == 1
        assert [name async for name in store.folders("jobs", older_seconds=3600)] == []

    store(check)


@pytest.mark.parametrize("key", ["", "/", "a//b", "../a", "a/..", "a/.b", "a b", "a\n", "é", "x" * 513, "a/", "a\\b"])
def test_strange_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="storage key"):
        check_key(key)


def test_a_store_that_does_not_answer_is_an_oserror(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="does not answer"):
            await ObjectStore("s3://no-such-bucket/x").write("a/x", chunks(b"x"))
        with pytest.raises(OSError, match="does not answer"):
            await ObjectStore("s3://no-such-bucket/x").delete_below("a")

    asyncio.run(main())
