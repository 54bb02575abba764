"""The whole service in one event loop, without sockets or a queue's server: as programs test what they build on it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import numpy as np
import pytest

import cabacus
from cabacus.service.api.app import create_app
from cabacus.service.client import AsyncClient, NotFoundError
from cabacus.service.queue.memory import MemoryQueue
from cabacus.service.settings import Settings
from cabacus.service.storage.object_store import ObjectStore
from cabacus.service.worker.worker import Worker


def test_the_client_works_over_asgi(tmp_path: Path) -> None:
    weights = {"w": np.random.default_rng(2).normal(0, 1, (60, 50)).astype(np.float32)}

    async def main() -> None:
        settings = Settings(state=tmp_path, workers=1)
        queue, store = MemoryQueue(limit=10, keep_seconds=60), ObjectStore(str(tmp_path / "storage"))
        app = create_app(settings, queue=queue, store=store)
        worker = Worker(settings, queue, store)
        running = asyncio.create_task(worker.run())
        try:
            transport = httpx.ASGITransport(app)
            async with AsyncClient("http://service", transport=transport) as client:
                result = await client.compress(weights, snr_db=30)
                assert result.data == cabacus.compress(weights, snr_db=30).data
                job = await client.submit("decompress", result.data)
                states = [seen.state async for seen in client.events(job)]
                assert states[-1] == "done"
                path = await client.download(job, tmp_path / "back.safetensors")
                assert list(cabacus.read(path)) == ["w"]
                await client.delete(job)
                with pytest.raises(NotFoundError):
                    await client.job(job)
        finally:
            worker.stop()
            await running

    asyncio.run(asyncio.wait_for(main(), 60))
