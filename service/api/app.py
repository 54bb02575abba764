"""Builds the application. The only place of the API that chooses a queue and a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan

from cabacus.service.adapters import open_queue, open_store
from cabacus.service.api import health, jobs, page, problems, work
from cabacus.service.api.context import Context
from cabacus.service.api.documentation import complete
from cabacus.service.queue.port import Queue
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Store

DESCRIPTION = """\
Compresses neural-network weights with context-adaptive binary arithmetic coding, and gives them back.

Send a file and a target, get a bitstream and a report that says what it cost. Work is a job: `POST` answers 202 with
the job's address, or, with `Prefer: wait=N`, the result itself when it is done in time. Errors are
application/problem+json (RFC 9457) with a stable `code`.
"""


def create_app(settings: Settings, *, queue: Queue | None = None, store: Store | None = None) -> FastAPI:
    """The application for these settings; a queue or store that is given is used, and closed by whoever made it.

    Raises SettingsError when the settings name none that can be used. Nothing is connected before the first request.
    """
    context = Context(settings, queue or open_queue(settings), store or open_store(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await context.close()
            if queue is None:
                await context.queue.close()

    app = build(lifespan)
    app.state.context = context
    return app


def build(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The routes and their description, without the parts that they work with."""
    app = FastAPI(
        title="cabacus",
        summary="Neural-network weight compression as a service",
        description=DESCRIPTION,
        version=version("cabacus"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[
            {"name": "work", "description": "A file goes in, a job starts, its result comes back."},
            {"name": "jobs", "description": "Jobs, their results and reports."},
            {"name": "health", "description": "For load balancers and orchestrators."},
        ],
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    problems.install(app)
    app.include_router(work.router)
    app.include_router(jobs.router)
    app.include_router(health.router)
    # metrics.router goes here.
    app.include_router(page.router)
    app.openapi = _documented(app)  # type: ignore[method-assign]
    return app


def _documented(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The application's OpenAPI document, made once."""
    made = app.openapi
    return cache(lambda: complete(made()))
