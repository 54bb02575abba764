"""Webhooks, told by a real worker to a real receiver, and read by the client's function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cabacus.service.client import IntegrityError, read_webhook
from cabacus.service.settings import Settings, SettingsError
from cabacus.service.worker import notices

SECRET = "a secret of the two".replace(" ", "-")


class Receiver:
    """An HTTP server that keeps what it is sent, and answers with the next of its statuses."""

    def __init__(self, statuses: list[int]) -> None:
        self.statuses = statuses
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.heard = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.splitlines()[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.messages.append((headers, body))
        status = self.statuses.pop(0)
        location = "Location: /elsewhere\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()
        if not self.statuses:
            self.heard.set()


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[tuple[Receiver, str]]:
    found = Receiver(list(statuses))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    async with server:
        yield found, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"


def test_the_end_is_told_signed_and_again_until_it_is_heard(workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "FIRST_PAUSE", 0.0)

    async def check(shop) -> None:
        async with (
            receiver(500, 302, 204) as (found, url),
            shop.worker(webhooks=url, webhook_secret=SECRET),
        ):
            job = await shop.submit("refuse", webhook=url)
            async with asyncio.timeout(10):
                await found.heard.wait()
            for headers, body in found.messages:
                said = read_webhook(SECRET, headers, body)
                assert said["type"] == "job.failed"
                assert (said["data"]["id"], said["data"]["error"]["code"]) == (job.id, "invalid_input")
                assert headers["webhook-id"] == job.id
            async with asyncio.timeout(5):  # heard: it is told no more
                while await shop.queue._server.redis.zcard(shop.queue._server.key("hooks")):
                    await asyncio.sleep(0.01)
            headers, body = found.messages[0]
            for wrong in ({**headers, "webhook-id": "x"}, {**headers, "webhook-timestamp": "1"}):
                with pytest.raises(IntegrityError):
                    read_webhook(SECRET, wrong, body)
            with pytest.raises(IntegrityError, match="signature"):
                read_webhook("another-secret-of-theirs", headers, body)
            with pytest.raises(IntegrityError, match="old"):
                read_webhook(SECRET, headers, body, tolerance=-1)

    workshop(check)


def test_a_place_that_is_no_longer_allowed_is_not_told(workshop) -> None:
    async def check(shop) -> None:
        async with receiver(200) as (found, url), shop.worker(webhooks="https://a.org", webhook_secret=SECRET):
            await shop.end(await shop.submit(webhook=url))
            async with asyncio.timeout(10):
                while await shop.queue._server.redis.zcard(shop.queue._server.key("hooks")):
                    await asyncio.sleep(0.01)
            assert found.messages == []

    workshop(check)


def test_webhooks_need_a_secret() -> None:
    with pytest.raises(SettingsError, match="CABACUS_WEBHOOK_SECRET"):
        Settings(webhooks="https://a.org")
    with pytest.raises(SettingsError) as caught:
        Settings(webhooks="https://a.org", webhook_secret="too-short")
    assert "too-short" not in str(caught.value)
    with pytest.raises(SettingsError, match="CABACUS_WEBHOOKS"):
        Settings(webhooks="ftp://a.org", webhook_secret=SECRET)
