"""Around every request: its id, one line in the log, and its figures for /metrics."""

from __future__ import annotations

import logging
import re
import secrets
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cabacus.service.api.problems import response_to
from cabacus.service.logs import bound

logger = logging.getLogger(__name__)

HEADER = "X-Request-Id"
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds is logged at level debug."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class Figures:
    """What this process counts of its requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "cabacus_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "cabacus_http_request_seconds",
            "Time from a request's head to the end of its answer, waits that were asked for included.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.received = Counter("cabacus_http_received_bytes", "Bytes of request bodies.", registry=self.registry)
        self.sent = Counter("cabacus_http_sent_bytes", "Bytes of answers' bodies.", registry=self.registry)
        self.open = Gauge("cabacus_http_open_requests", "Requests that are being answered.", registry=self.registry)


class Access:
    """The middleware. An X-Request-Id that is given is kept; else one is made. It goes into the answer and the log."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status, received, sent = time.perf_counter(), 0, 0, 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            sent += len(message.get("body", b""))
            await send(message)

        with bound(request=request_id), self._figures.open.track_inprogress():
            try:
                await self._app(scope, receiving, sending)
            except Exception as error:  # a fault of ours; answered here, so that its answer has the id as well
                if status:
                    raise
                await response_to(error)(scope, receiving, sending)
            finally:
                self._tell(scope, status, time.perf_counter() - began, received, sent)

    def _tell(self, scope: Scope, status: int, seconds: float, received: int, sent: int) -> None:
        """Count and log a request; status 0: the caller left before there was an answer."""
        figures, method = self._figures, scope["method"]
        route = getattr(scope.get("route"), "path", "none")
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE") else "other"
        figures.requests.labels(known, route, str(status or "none")).inc()
        figures.seconds.labels(known, route).observe(seconds)
        figures.received.inc(received)
        figures.sent.inc(sent)
        fields = {
            "method": method,
            "path": scope["path"][:200],
            "status": status,
            "seconds": round(seconds, 4),
            "received": received,
            "sent": sent,
        }
        level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
        logger.log(level, "answered", extra={"fields": fields})
