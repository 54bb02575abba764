"""For who receives webhooks: is a message the service's own, and what does it say?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from cabacus.service.client.errors import IntegrityError

TOLERANCE_SECONDS = 300.0


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = TOLERANCE_SECONDS
) -> dict[str, Any]:
    """The message of a webhook: `type` ("job.done", "job.failed", "job.cancelled"), `timestamp`, and `data` of the job.

    Raises IntegrityError when it is not signed with this secret (CABACUS_WEBHOOK_SECRET), or older than `tolerance`
    seconds. A message may come again; its `webhook-id` is the job's id.

    >>> read_webhook("secret", {}, b"{}")
    Traceback (most recent call last):
    cabacus.service.client.errors.IntegrityError: this is no webhook: it has no webhook-signature
    """
    known = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-signature", "webhook-id", "webhook-timestamp"):
        if name not in known:
            raise IntegrityError(f"this is no webhook: it has no {name}")
    message_id, moment = known["webhook-id"], known["webhook-timestamp"]
    digest = hmac.digest(secret.encode(), f"{message_id}.{moment}.".encode() + body, hashlib.sha256)
    wanted = f"v1,{base64.b64encode(digest).decode()}".encode()
    given = known["webhook-signature"].split(" ")
    if not any(hmac.compare_digest(wanted, signature.encode()) for signature in given):
        raise IntegrityError("the webhook's signature is wrong: another secret, or another body")
    if not moment.isdecimal() or abs(time.time() - int(moment)) > tolerance:
        raise IntegrityError("the webhook is too old")
    found: dict[str, Any] = json.loads(body)
    return found
