"""Workers in the test's own event loop, on a real queue server, with child processes that run the stub pipeline."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cabacus.service.embedded import EmbeddedServer
from cabacus.service.job import Job
from cabacus.service.queue.redis_streams import RedisQueue
from cabacus.service.settings import Settings
from cabacus.service.storage.buckets import ObjectBuckets
from cabacus.service.storage.object_store import ObjectStore
from cabacus.service.worker.worker import Worker

MODEL = bytes(range(256)) * 8
STUBS = Path(__file__).parents[1]


class Workshop:
    """A queue, a store, and workers on them."""

    def __init__(self, settings: Settings, queue: RedisQueue, store: ObjectStore, folder: Path) -> None:
        self.settings, self.queue, self.store, self.folder = settings, queue, store, folder

    async def submit(self, *rules: str, model: bytes = MODEL, **changes: Any) -> Job:
        """Queue a job for the stub pipeline."""
        job_id = secrets.token_hex(16)

        async def chunks() -> AsyncIterator[bytes]:
            yield model

        blob = await self.store.write(f"uploads/{job_id}/model.npz", chunks())
        options = {"rule": [f"stub:{rule}" for rule in rules]}
        inputs = {} if "source" in changes else {"model": blob}
        job = Job(job_id, "compress", time.time(), inputs, options, **changes)
        await self.queue.submit(job)
        return job

    async def until(self, job: Job, condition: Callable[[Job], bool]) -> Job:
        """Wait until the job is as it should be."""
        async with asyncio.timeout(20):
            while True:
                found = await self.queue.get(job.id)
                assert found is not None
                if condition(found):
                    return found
                await asyncio.sleep(0.005)

    async def end(self, job: Job) -> Job:
        """Wait for the job's end."""
        found = await self.queue.wait(job.id, 20)
        assert found is not None
        assert found.final, found
        return found

    @asynccontextmanager
    async def worker(self, **changes: Any) -> AsyncIterator[Worker]:
        """A worker that runs until the block ends."""
        settings = replace(self.settings, **changes)
        worker = Worker(settings, self.queue, self.store, buckets=ObjectBuckets(), pipeline="stub_pipeline")
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running

    def stored(self) -> list[str]:
        """The keys in the store."""
        folder = self.folder / "store"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def workshop(
    tmp_path: Path, redis_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Workshop], Awaitable[None]]], None]:
    """Runs an asynchronous check in a workshop: `workshop(check, job_seconds=1)`."""
    monkeypatch.setenv("PYTHONPATH", str(STUBS))

    def run(check: Callable[[Workshop], Awaitable[None]], **changes: Any) -> None:
        async def main() -> None:
            values = {"state": tmp_path, "workers": 1, "threads": 1, "idle_seconds": 0.6, "stop_seconds": 0.5}
            settings = Settings(**{**values, **changes})
            queue = RedisQueue(
                redis_server.url,
                namespace=secrets.token_hex(8),
                limit=settings.max_queued,
                keep_seconds=settings.result_seconds,
            )
            try:
                await check(Workshop(settings, queue, ObjectStore(str(tmp_path / "store")), tmp_path))
            finally:
                await queue.close()

        asyncio.run(asyncio.wait_for(main(), 60))

    return run
