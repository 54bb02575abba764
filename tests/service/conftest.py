"""A running API on a real socket, over the in-memory queue and a store in memory, in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from s3_server import s3_server

from cabacus.service.api.app import create_app
from cabacus.service.api.context import Context
from cabacus.service.embedded import EmbeddedServer
from cabacus.service.job import Blob, Failure
from cabacus.service.queue.memory import MemoryQueue
from cabacus.service.queue.port import Claim
from cabacus.service.settings import Settings
from cabacus.service.storage.object_store import ObjectStore

SECONDS = 20
"""After which a test that waits has failed."""


class RunningApi:
    """The API, its parts, and a caller of it. `work` and `fail` play a worker for the next job."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        port: int,
        folder: Path,
        queue: MemoryQueue,
        store: ObjectStore,
        context: Context,
    ) -> None:
        self.http, self.port, self.folder = http, port, folder
        self.queue, self.store, self.context, self.uploads = queue, store, context, context.uploads
        self._workers: list[asyncio.Task[None]] = []

    def work(self, result: bytes, report: dict[str, Any], summary: dict[str, object]) -> None:
        """Finish the next job with this result."""

        async def finish(claim: Claim) -> None:
            place = f"jobs/{claim.job.id}/output"
            made = replace(
                await self.put(f"{place}/model.cabac", result), media_type="application/vnd.cabacus", name="model.cabac"
            )
            said = replace(
                await self.put(f"{place}/report.json", json.dumps(report).encode()), media_type="application/json"
            )
            await self.queue.finish(claim, result=made, report=said, summary=summary)

        self._workers.append(asyncio.create_task(self._next(finish)))

    def fail(self, failure: Failure) -> None:
        """Let the next job fail."""

        async def refuse(claim: Claim) -> None:
            await self.queue.fail(claim, failure)

        self._workers.append(asyncio.create_task(self._next(refuse)))

    async def _next(self, end: Callable[[Claim], Awaitable[None]]) -> None:
        claim = await self.queue.claim("worker", block_seconds=SECONDS)
        assert claim is not None
        await end(claim)

    async def put(self, key: str, data: bytes) -> Blob:
        """Store bytes."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        return await self.store.write(key, chunks())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(SECONDS):
            while not condition():
                await asyncio.sleep(0.005)

    def stored(self) -> list[str]:
        """The keys in the store."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    async def close(self) -> None:
        """End the workers that found nothing to do."""
        for worker in self._workers:
            worker.cancel()
        for error in await asyncio.gather(*self._workers, return_exceptions=True):
            if isinstance(error, Exception):
                raise error


@asynccontextmanager
async def running(folder: Path, **changes: Any) -> AsyncIterator[RunningApi]:
    """Start the API with these settings."""
    settings = Settings(**{"state": folder, "max_upload_bytes": 1 << 20, "max_wait_seconds": SECONDS, **changes})
    queue = MemoryQueue(limit=settings.max_queued, keep_seconds=settings.result_seconds)
    store = ObjectStore(str(folder))
    app = create_app(settings, queue=queue, store=store)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as http:
            api = RunningApi(http, port, folder, queue, store, app.state.context)
            try:
                yield api
            finally:
                await api.close()
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def service(tmp_path: Path) -> Callable[..., None]:
    """Runs an asynchronous check against a running API: `service(check, max_uploads=1)`."""

    def run(check: Callable[[RunningApi], Awaitable[None]], **changes: Any) -> None:
        async def main() -> None:
            async with running(tmp_path, **changes) as api:
                await check(api)

        asyncio.run(main())

    return run


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real Redis or Valkey server, shared: give each test a namespace of its own."""
    with EmbeddedServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server for one test, which may kill it and start it again."""
    with EmbeddedServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server that speaks S3."""
    with s3_server("127.0.0.1") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, and the environment that leads there."""
    name = f"bucket-{secrets.token_hex(4)}"
    assert httpx.put(f"{s3_endpoint}/{name}", trust_env=False).status_code == 200
    for variable, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    return name
