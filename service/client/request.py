"""From a flow's call to the arguments of an httpx request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import httpx

from cabacus.service.client.flows import Call

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_SECONDS = 10.0
QUIET_SECONDS = 60.0
"""How long the other side may stay silent while a body is on its way."""


def timeouts(wait: float) -> httpx.Timeout:
    """Timeouts for a request that the service may hold for `wait` seconds."""
    return httpx.Timeout(QUIET_SECONDS, connect=CONNECT_SECONDS, read=QUIET_SECONDS + wait)


def standing(key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of every request. Results are asked for as they are: their lengths, ranges and digests count."""
    known = {} if key is None else {"Authorization": f"Bearer {key}"}
    return {"Accept-Encoding": "identity", **known, **(headers or {})}


def streaming(call: Call, read_seconds: float) -> dict[str, Any]:
    """Keyword arguments of httpx's `stream` for a stream of events, on which silence lasts `read_seconds` at most."""
    return arguments(call, ExitStack(), asynchronous=False) | {
        "timeout": httpx.Timeout(QUIET_SECONDS, connect=CONNECT_SECONDS, read=read_seconds)
    }


def arguments(call: Call, stack: ExitStack, *, asynchronous: bool) -> dict[str, Any]:
    """Keyword arguments of httpx's `request` and `stream`; files that are opened are closed by `stack`."""
    sent: dict[str, Any] = {} if call.upload is None else call.upload.arguments(stack, asynchronous=asynchronous)
    return {
        **sent,
        "method": call.method,
        "url": call.path,
        "params": call.params,
        "headers": {**sent.get("headers", {}), **call.headers},
        "timeout": timeouts(call.wait),
    }
