"""A store to test: `store(check)` runs an asynchronous check on a local folder, in memory, and on a real S3 server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cabacus.service.storage.object_store import ObjectStore


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[ObjectStore], Awaitable[None]]], None]:
    """Run a check on each kind of store."""
    match request.param:
        case "folder":
            url = str(tmp_path / "store")
        case "memory":
            url = "memory://"
        case _:
            url = f"s3://{request.getfixturevalue('bucket')}/{secrets.token_hex(8)}"

    def run(check: Callable[[ObjectStore], Awaitable[None]]) -> None:
        asyncio.run(asyncio.wait_for(check(ObjectStore(url)), 60))

    return run
