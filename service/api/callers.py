"""Who calls, by the bearer key, and what they may; nobody in particular where no keys are needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from cabacus.service.api.context import Current
from cabacus.service.errors import ServiceError
from cabacus.service.keys import SCOPES, KeyFileError
from cabacus.service.queue.port import NO_BOUNDS, Bounds

logger = logging.getLogger(__name__)

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key made by `cabacus keys add`. Not needed on the loopback interface, unless CABACUS_AUTH is on.",
)


@dataclass(frozen=True)
class Caller:
    """An owner of jobs, and the bounds of what the owner may have."""

    owner: str
    bounds: Bounds


def _needs(scope: str) -> Callable[..., Caller]:
    assert scope in SCOPES

    def caller(
        context: Current, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> Caller:
        if context.keys is None:
            return Caller("", NO_BOUNDS)
        if credentials is None:
            raise _unauthorized("this service needs a key: send Authorization: Bearer KEY; its operator makes keys")
        try:
            key = context.keys.find(credentials.credentials)
        except KeyFileError as error:
            logger.error("%s", error)
            raise ServiceError("unavailable", "keys cannot be checked now; try again shortly", retry_after=5) from error
        if key is None:
            raise _unauthorized("the key is unknown, was removed, or expired; ask for a new one")
        if scope not in key.scopes:
            raise ServiceError("forbidden", f"key {key.id} may {', '.join(key.scopes)}; this needs {scope}")
        most = context.settings
        return Caller(key.owner, Bounds(most.key_max_jobs, most.key_max_bytes))

    return caller


def _unauthorized(detail: str) -> ServiceError:
    return ServiceError("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


Reader = Annotated[Caller, Depends(_needs("read"))]
"""A route's parameter of this type: who calls, and may read."""
Writer = Annotated[Caller, Depends(_needs("write"))]
Scraper = Annotated[Caller, Depends(_needs("metrics"))]
