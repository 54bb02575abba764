"""Tells webhooks how jobs ended: signed as Standard Webhooks has it, to allowed places alone, until it is heard.

    webhook-id         the job's id, the same each time: a receiver drops what it knows
    webhook-timestamp  seconds since the epoch
    webhook-signature  v1, and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY" with CABACUS_WEBHOOK_SECRET

An answer of 2xx is heard, 410 means never again; else it is told again, ever more slowly, TRIES times in all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime

import httpx

from cabacus.service.job import Job
from cabacus.service.logs import bound
from cabacus.service.queue.port import Notice, Queue
from cabacus.service.settings import Settings

logger = logging.getLogger(__name__)

SECONDS = 10.0
"""The longest that a receiver may take."""
LEASE_SECONDS = 60.0
TRIES = 8
FIRST_PAUSE = 5.0


class Teller:
    """Tells what is due; one a worker."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self._http = httpx.AsyncClient(timeout=SECONDS, follow_redirects=False)  # a redirection leads anywhere

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def tell(self) -> None:
        """Tell everything that is due. Raises ConnectionError where the queue does not answer."""
        while notices := await self._queue.notices(lease_seconds=LEASE_SECONDS):
            for notice in notices:
                with bound(job=notice.job.id, request=notice.job.request):
                    await self._tell(notice)

    async def _tell(self, notice: Notice) -> None:
        job = notice.job
        said = await self._send(job)
        if said is None:
            logger.info("the webhook was told")
            await self._queue.told(job.id)
        elif notice.tries >= TRIES or said == "410":
            logger.error("the webhook is given up after %d tries: %s", notice.tries, said)
            await self._queue.told(job.id)
        else:
            logger.warning("the webhook did not hear, try %d: %s", notice.tries, said)
            await self._queue.tell_later(job.id, FIRST_PAUSE * 2 ** (notice.tries - 1))

    async def _send(self, job: Job) -> str | None:
        """None: it was heard; else what went wrong."""
        if not self._settings.allows_webhook(job.webhook):
            return "410"  # it was allowed when the job came
        body = json.dumps(message(job), allow_nan=False, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **signed(self._settings.webhook_secret, job.id, body)}
        try:
            response = await self._http.post(job.webhook, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        return None if response.is_success else str(response.status_code)


def message(job: Job) -> dict[str, object]:
    """What is told of a job."""
    data = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created": _moment(job.created),
        "finished": _moment(job.finished or job.created),
        "summary": job.summary,
        "error": asdict(job.error) if job.error else None,
    }
    return {"type": f"job.{job.state}", "timestamp": data["finished"], "data": data}


def signed(secret: str, message_id: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
    """The headers that prove a message is ours."""
    moment = str(int(time.time() if now is None else now))
    digest = hmac.digest(secret.encode(), f"{message_id}.{moment}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
