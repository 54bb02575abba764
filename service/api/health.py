"""GET /healthz: the process answers. GET /readyz: it can take work, the queue and the store answer as well."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version

from fastapi import APIRouter

from cabacus.service.api import documentation as docs
from cabacus.service.api.context import Current
from cabacus.service.errors import ServiceError
from cabacus.service.schemas import Health

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])

VERSION = version("cabacus")
READY_SECONDS = 2.0
"""Requests wait longer for a queue that restarts; who asks whether it is ready wants to know now."""


@router.get("/healthz", **docs.HEALTH)
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Health:
    """Say that the process answers."""
    return Health(status="ok", version=VERSION)


@router.get("/readyz", **docs.READY)
@router.head("/readyz", include_in_schema=False)
async def readyz(context: Current) -> Health:
    """Say that jobs can be taken: the queue and the store answer."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            ready = await context.queue.ping()
            await context.store.size("readyz")
    except Exception as error:
        logger.warning("not ready: %r", error)
        ready = False
    if not ready:
        raise ServiceError("unavailable", "the queue or the store does not answer; try again shortly", retry_after=2)
    return Health(status="ready", version=VERSION)
