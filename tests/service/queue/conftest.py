"""A queue to test: `queue(check, ...)` runs an asynchronous check against a fresh one; both adapters take part."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from redis_servers import cluster

from cabacus.service.embedded import EmbeddedServer
from cabacus.service.job import Blob, Job
from cabacus.service.queue.memory import MemoryQueue
from cabacus.service.queue.port import Queue
from cabacus.service.queue.redis_streams import RedisQueue

Check = Callable[[Any], Awaitable[None]]


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a cluster of three real servers."""
    with cluster(tmp_path_factory.mktemp("cluster")) as (url, _):
        yield url


@pytest.fixture(params=["memory", "redis", "cluster"])
def queue(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a check on the in-memory queue, on Redis and on a cluster."""

    def run(check: Check, *, limit: int = 100, keep_seconds: float = 60.0, running: int = 0) -> None:
        async def main() -> None:
            fresh: Queue
            if request.param == "memory":
                fresh = MemoryQueue(limit=limit, keep_seconds=keep_seconds, running=running)
            else:
                name = {"redis": "redis_server", "cluster": "redis_cluster"}[request.param]
                server: EmbeddedServer | str = request.getfixturevalue(name)
                url = server if isinstance(server, str) else server.url
                fresh = RedisQueue(
                    url, namespace=secrets.token_hex(8), limit=limit, keep_seconds=keep_seconds, running=running
                )
            try:
                await check(fresh)
            finally:
                await fresh.close()

        asyncio.run(asyncio.wait_for(main(), 30))

    return run


@pytest.fixture
def new_job() -> Callable[..., Job]:
    """Make a job; each has an id of its own and a later time of creation."""
    numbers: Iterable[int] = iter(range(10**6))

    def make(**changes: Any) -> Job:
        number = next(iter(numbers))
        values: dict[str, Any] = {
            "id": secrets.token_hex(16),
            "kind": "compress",
            "created": time.time() + number * 1e-3,
            "inputs": {"model": Blob("jobs/x/input/model.npz", 12, "ab" * 32, "application/zip", "modèle.npz")},
            "options": {"snr_db": 30, "rule": ["*.bias:keep"], "lambda": None},
        }
        return Job(**{**values, **changes})

    return make
