"""GET /jobs/{id}/events over a real socket: every change, from where one left off; and the client that follows it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from safetensors.numpy import save

from cabacus.service.client import AsyncClient, NotFoundError, WaitTimeout
from cabacus.service.job import Counts, Failure

MODEL = save({})


async def queued(api) -> str:
    return (await api.http.post("/compress", content=MODEL)).headers["location"]


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of a stream."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return events


async def lines_until(lines, wanted: str) -> list[str]:
    found = []
    async for line in lines:
        found.append(line)
        if wanted in line:
            return found
    raise AssertionError(f"the stream ended without {wanted}: {found}")


def test_a_stream_tells_every_state_and_ends(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        async with api.http.stream("GET", f"{path}/events") as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.aiter_lines()
            await lines_until(lines, '"state":"queued"')
            claim = await api.queue.claim("worker", block_seconds=1)
            await lines_until(lines, '"state":"running"')
            await api.queue.heartbeat(claim, progress=0.25, counts=Counts((1, 4), (2, 3), (8, 9)))
            (line,) = [line for line in await lines_until(lines, '"progress":0.25') if "data" in line]
            seen = json.loads(line.removeprefix("data: "))
            assert seen["steps"] == {"done": 1, "total": 4}
            assert seen["tensors"] == {"done": 2, "total": 3}
            assert seen["bytes"] == {"done": 8, "total": 9}
            await api.queue.fail(claim, Failure("corrupt", "slice 3 is corrupt"))
            rest = [line async for line in lines]  # ends by itself
        (last,) = [json.loads(line[6:]) for line in rest if line.startswith("data")]
        assert (last["state"], last["error"]["code"]) == ("failed", "corrupt")

    service(check)


def test_who_comes_again_hears_what_is_new(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        api.fail(Failure("corrupt", "?"))
        async with asyncio.timeout(10):
            text = (await api.http.get(f"{path}/events")).text
        last = parsed(text)[-1]
        assert (last["event"], last["data"]["state"]) == ("job", "failed")
        again = await api.http.get(f"{path}/events", headers={"Last-Event-ID": "0"})
        assert [event["id"] for event in parsed(again.text)] == [last["id"]]
        for strange in ("x", "-1", "9" * 30, ""):
            again = await api.http.get(f"{path}/events", headers={"Last-Event-ID": strange})
            assert [event["id"] for event in parsed(again.text)] == [last["id"]]
        seen = await api.http.get(f"{path}/events", headers={"Last-Event-ID": last["id"]})
        assert (seen.status_code, seen.content) == (204, b"")  # ends a browser's EventSource

    service(check)


def test_an_unknown_job_has_no_events(service) -> None:
    async def check(api) -> None:
        response = await api.http.get("/jobs/" + "0" * 32 + "/events")
        assert (response.status_code, response.json()["code"]) == (404, "job_not_found")
        assert response.headers["content-type"] == "application/problem+json"

    service(check)


def test_streams_are_bounded_and_give_their_slot_back(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        async with api.http.stream("GET", f"{path}/events") as response:
            await lines_until(response.aiter_lines(), "data")
            refused = await api.http.get(f"{path}/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_followers")
            assert refused.json()["limit"] == "CABACUS_MAX_FOLLOWERS"
            assert int(refused.headers["retry-after"]) >= 1
        await api.until(lambda: api.context.followers.taken == 0)
        async with api.http.stream("GET", f"{path}/events") as response:
            assert response.status_code == 200

    service(check, max_followers=1)


def test_a_stream_ends_when_the_api_is_to_stop(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        async with api.http.stream("GET", f"{path}/events") as response:
            lines = response.aiter_lines()
            await lines_until(lines, "data")
            api.context.stopping.set()
            async with asyncio.timeout(5):
                assert not [line async for line in lines if line.startswith("data")]

    service(check)


def test_the_client_follows_a_job_and_shows_progress(service) -> None:
    async def check(api) -> None:
        async def work() -> None:
            claim = await api.queue.claim("worker", block_seconds=10)
            for step in range(1, 4):
                await api.queue.heartbeat(claim, progress=step / 4, counts=Counts((step, 4), (step, 5)))
                await asyncio.sleep(0.05)
            made = await api.put("jobs/x/result.cabac", b"result")
            said = await api.put("jobs/x/report.json", b"{}")
            await api.queue.finish(claim, result=made, report=said, summary={})

        worker = asyncio.create_task(work())
        shown = []
        async with AsyncClient(str(api.http.base_url)) as client:
            result = await client.compress(
                MODEL, progress=lambda job: shown.append((job.state, job.steps, job.tensors))
            )
            assert result.data == b"result"
            assert ("done", (3, 4), (3, 5)) in shown
            assert ("running", (1, 4), (1, 5)) in shown
            assert [job.state async for job in client.events(result.job_id)] == ["done"]
            job = await client.submit("compress", MODEL)
            with pytest.raises(WaitTimeout):
                async for _ in client.events(job, timeout=0.1):
                    pass
            with pytest.raises(NotFoundError):
                async for _ in client.events("0" * 32):
                    pass
        await worker

    service(check)
