"""Builds the application. The only place of the API that chooses a queue and a store."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import Lifespan

from cabacus.service.adapters import open_queue, open_store
from cabacus.service.api import bases, health, jobs, metrics, page, problems, rounds, work
from cabacus.service.api.access import Access
from cabacus.service.api.context import Context
from cabacus.service.api.descriptions import complete
from cabacus.service.api.ranges import matches
from cabacus.service.keys import KeyFile, KeyFileError
from cabacus.service.queue.port import Queue
from cabacus.service.settings import Settings, SettingsError
from cabacus.service.storage.port import Store

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Compresses neural-network weights with context-adaptive binary arithmetic coding, and gives them back.

Send a file and a target, get a bitstream and a report that says what it cost. Work is a job: `POST` answers 202 with
the job's address, or, with `Prefer: wait=N`, the result itself when it is done in time. Errors are
application/problem+json (RFC 9457) with a stable `code`. Where keys are needed, send `Authorization: Bearer KEY`;
another owner's job is as unknown as one that never was.
"""


def create_app(settings: Settings, *, queue: Queue | None = None, store: Store | None = None) -> FastAPI:
    """The application for these settings; a queue or store that is given is used, and closed by whoever made it.

    Raises SettingsError when the settings name none that can be used. Nothing is connected before the first request.
    """
    keys = _keys(settings)
    context = Context(settings, queue or open_queue(settings), store or open_store(settings), keys)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await context.close()
            if queue is None:
                await context.queue.close()

    app = build(lifespan)
    app.add_middleware(Access, figures=context.figures)
    app.state.context = context
    return app


def _keys(settings: Settings) -> KeyFile | None:
    """The file of keys, if callers need one. Raises SettingsError where it cannot be read."""
    if not settings.needs_keys:
        if settings.auth == "off":
            logger.warning("CABACUS_AUTH is off: whoever reaches this service may use it")
        return None
    keys = KeyFile(settings.keys_path)
    try:
        if not keys.all():
            logger.warning("callers need a key, and there is none: make one with `cabacus keys add OWNER`")
    except KeyFileError as error:
        raise SettingsError(f"CABACUS_KEY_FILE: {error}") from error
    return keys


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
            {"name": "bases", "description": "Models kept for coding differences to them."},
            {"name": "rounds", "description": "Federated averaging: updates to a base, until a deadline."},
            {"name": "health", "description": "For load balancers and orchestrators."},
        ],
        openapi_url=None,  # see _serve_document
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    problems.install(app)
    app.include_router(work.router)
    app.include_router(jobs.router)
    app.include_router(bases.router)
    app.include_router(rounds.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(page.router)
    app.openapi = _documented(app)  # type: ignore[method-assign]
    _serve_document(app)
    return app


def _documented(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The application's OpenAPI document, made once."""
    made = app.openapi
    return cache(lambda: complete(made()))


def _serve_document(app: FastAPI) -> None:
    """Route GET /openapi.json: anybody may ask for it, and FastAPI would write its 200 kB anew for each who does."""

    @cache
    def rendered(place: str) -> tuple[bytes, str]:
        document = app.openapi() | ({"servers": [{"url": place}]} if place else {})
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return body, f'"{hashlib.sha256(body).hexdigest()}"'

    @app.api_route("/openapi.json", methods=["GET", "HEAD"], include_in_schema=False)
    async def document(request: Request) -> Response:
        body, etag = rendered(request.scope.get("root_path", "").rstrip("/"))
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")
