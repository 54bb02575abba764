"""A client of the service, in two forms: `Client` blocks, `AsyncClient` is awaited.

>>> with Client("http://127.0.0.1:8000") as client:                                    # doctest: +SKIP
...     result = client.compress("model.safetensors", snr_db=30)
...     result.save("model.cabac")
...     print(result.report["totals"]["ratio"])

It knows HTTP and plain values: neither FastAPI nor Redis, and of the engine only that `cabacus.write` turns a dict of
arrays into a file. Needs the extra `cabacus[client]`.
"""

from __future__ import annotations

from cabacus.service.client.asynchronous import AsyncClient
from cabacus.service.client.errors import (
    BusyError,
    ClientError,
    ConflictError,
    ConnectionFailed,
    DeniedError,
    GoneError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    ProblemError,
    ServerError,
    TooLargeError,
    WaitTimeout,
)
from cabacus.service.client.rounds import Arrival, Round
from cabacus.service.client.synchronous import Client
from cabacus.service.client.uploads import Source
from cabacus.service.client.values import Base, File, Job, Result
from cabacus.service.client.webhooks import read_webhook

__all__ = [
    "Arrival",
    "AsyncClient",
    "Base",
    "BusyError",
    "Client",
    "ClientError",
    "ConflictError",
    "ConnectionFailed",
    "DeniedError",
    "File",
    "GoneError",
    "IntegrityError",
    "InvalidRequestError",
    "Job",
    "NotFoundError",
    "ProblemError",
    "Result",
    "Round",
    "ServerError",
    "Source",
    "TooLargeError",
    "WaitTimeout",
    "read_webhook",
]
