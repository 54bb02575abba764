"""To a service elsewhere: its client, made when a command asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cabacus.service.cli.outcomes import UsageError, missing_extra

if TYPE_CHECKING:
    from cabacus.service.client import Client

DEFAULT_URL = "http://localhost:8000"
KEY_VARIABLE = "CABACUS_KEY"
"""Holds the key of the service; a flag would show it to everybody on this machine."""


def connect(url: str) -> Client:
    """The client of the service at `url`. Raises UsageError for what is no URL, and where the extra is missing."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--server is {url!r}; give a URL such as {DEFAULT_URL}")
    try:
        from cabacus.service.client import Client
    except ModuleNotFoundError as error:
        raise missing_extra(error, "client", "a server") from error
    return Client(url, key=os.environ.get(KEY_VARIABLE) or None)
