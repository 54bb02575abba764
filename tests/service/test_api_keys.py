"""Who may do what over HTTP: keys, scopes, owners, and the limits of a key."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from safetensors.numpy import save

from cabacus.service.client import AsyncClient, BusyError, DeniedError, NotFoundError
from cabacus.service.keys import KeyFile

MODEL = save({})
JOB = "/jobs/" + "0" * 32


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def bearer(api, owner: str, **changes) -> dict[str, str]:
    """The header of a new key."""
    _, token = KeyFile(api.folder / "keys.json").add(owner, **changes)
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/compress"), ("POST", "/decompress"), ("GET", "/jobs"), ("GET", JOB), ("GET", f"{JOB}/result")),
        *(("GET", f"{JOB}/report"), ("GET", f"{JOB}/events"), ("DELETE", JOB), ("HEAD", f"{JOB}/result")),
    ],
)
def test_nothing_is_done_without_a_key(service, method: str, path: str) -> None:
    async def check(api) -> None:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
            response = await api.http.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            if method != "HEAD":
                assert code(response) == (401, "unauthorized")

    service(check, auth="on")


def test_what_is_for_everybody_needs_no_key(service) -> None:
    async def check(api) -> None:
        for path in ("/healthz", "/readyz", "/openapi.json", "/", "/web/page.js"):
            assert (await api.http.get(path)).status_code == 200, path

    service(check, auth="on")


def test_a_key_does_what_its_scopes_say(service) -> None:
    async def check(api) -> None:
        read, write = bearer(api, "a", scopes=["read"]), bearer(api, "a", scopes=["write"])
        assert code(await api.http.post("/compress", content=MODEL, headers=read)) == (403, "forbidden")
        created = await api.http.post("/compress", content=MODEL, headers=write)
        assert created.status_code == 202
        path = created.headers["location"]
        assert code(await api.http.get(path, headers=write)) == (403, "forbidden")
        assert (await api.http.get(path, headers=read)).status_code == 200
        assert code(await api.http.delete(path, headers=read)) == (403, "forbidden")
        both = bearer(api, "a")
        assert (await api.http.delete(path, headers=both)).status_code == 200

    service(check, auth="on")


def test_another_owners_job_is_as_one_that_never_was(service) -> None:
    async def check(api) -> None:
        mine, also_mine, yours = bearer(api, "me"), bearer(api, "me"), bearer(api, "you")
        path = (await api.http.post("/compress", content=MODEL, headers=mine)).headers["location"]
        assert (await api.http.get(path, headers=also_mine)).json()["id"] in path
        assert len((await api.http.get("/jobs", headers=also_mine)).json()["jobs"]) == 1
        assert (await api.http.get("/jobs", headers=yours)).json()["jobs"] == []
        known, unknown = await api.http.get(path, headers=yours), await api.http.get(JOB, headers=yours)
        assert code(known) == code(unknown) == (404, "job_not_found")
        assert known.json()["detail"].replace(path[6:], "ID") == unknown.json()["detail"].replace(JOB[6:], "ID")
        for method, suffix in (("DELETE", ""), ("GET", "/result"), ("GET", "/report"), ("GET", "/events")):
            assert code(await api.http.request(method, path + suffix, headers=yours)) == (404, "job_not_found")
        assert (await api.queue.get(path[6:])).state == "queued"

    service(check, auth="on")


def test_a_removed_key_is_refused_at_once(service) -> None:
    async def check(api) -> None:
        file = KeyFile(api.folder / "keys.json")
        key, token = file.add("me")
        headers = {"Authorization": f"Bearer {token}"}
        assert (await api.http.get("/jobs", headers=headers)).status_code == 200
        file.remove(key.id)
        assert code(await api.http.get("/jobs", headers=headers)) == (401, "unauthorized")

    service(check, auth="on")


def test_keys_are_needed_where_others_can_reach_the_service(service) -> None:
    async def check(api) -> None:
        assert code(await api.http.get("/jobs")) == (401, "unauthorized")

    service(check, host="0.0.0.0")

    async def check_open(api) -> None:
        assert (await api.http.get("/jobs")).status_code == 200

    service(check_open, host="0.0.0.0", auth="off")
    service(check_open, host="::1")


def test_a_file_that_breaks_later_lets_nobody_in(service) -> None:
    async def check(api) -> None:
        headers = bearer(api, "me")
        (api.folder / "keys.json").write_text("nonsense")
        assert code(await api.http.get("/jobs", headers=headers)) == (503, "unavailable")

    service(check, auth="on")


def limited(response: httpx.Response, limit: str) -> None:
    """A refusal that names the limit, and when to come again."""
    assert code(response) == (429, "key_limit")
    assert response.json()["limit"] == limit
    assert limit in response.json()["detail"]
    assert int(response.headers["retry-after"]) >= 1


def test_the_jobs_of_a_key_are_bounded(service) -> None:
    async def check(api) -> None:
        mine, yours = bearer(api, "me"), bearer(api, "you")
        paths = [(await api.http.post("/compress", content=MODEL, headers=mine)).headers["location"] for _ in range(2)]
        stored = api.stored()
        limited(await api.http.post("/compress", content=MODEL, headers=mine), "CABACUS_KEY_MAX_JOBS")
        assert api.stored() == stored
        assert (await api.http.post("/compress", content=MODEL, headers=yours)).status_code == 202
        await api.http.delete(paths[0], headers=mine)
        assert (await api.http.post("/compress", content=MODEL, headers=mine)).status_code == 202

    service(check, auth="on", key_max_jobs=2)


def test_the_bytes_of_a_key_are_bounded(service) -> None:
    async def check(api) -> None:
        mine, yours = bearer(api, "me"), bearer(api, "you")
        path = (await api.http.post("/compress", content=MODEL + bytes(900), headers=mine)).headers["location"]
        stored = api.stored()
        limited(await api.http.post("/compress", content=MODEL + bytes(500), headers=mine), "CABACUS_KEY_MAX_BYTES")
        assert api.stored() == stored
        assert (
            await api.http.post("/compress", content=MODEL + bytes(900), headers=mine)
        ).status_code == 202  # the same
        assert (await api.http.post("/compress", content=MODEL + bytes(500), headers=yours)).status_code == 202
        for job in (await api.http.get("/jobs", headers=mine)).json()["jobs"]:
            for _ in range(2):  # cancelled, then forgotten
                await api.http.delete(f"/jobs/{job['id']}", headers=mine)
        assert (await api.http.get(path, headers=mine)).status_code == 404
        assert (await api.http.post("/compress", content=MODEL + bytes(500), headers=mine)).status_code == 202

    service(check, auth="on", key_max_bytes=1000)


def test_the_uploads_of_a_key_at_the_same_time_are_bounded(service) -> None:
    async def check(api) -> None:
        mine, yours = bearer(api, "me"), bearer(api, "you")
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = f"POST /compress HTTP/1.1\r\nHost: x\r\nAuthorization: {mine['Authorization']}\r\n"
        writer.write(f"{head}Content-Length: 99\r\n\r\n".encode())
        await api.until(lambda: api.uploads.taken == 1)
        limited(await api.http.post("/compress", content=MODEL, headers=mine), "CABACUS_KEY_MAX_UPLOADS")
        assert (await api.http.post("/compress", content=MODEL, headers=yours)).status_code == 202
        writer.close()
        await api.until(lambda: api.uploads.taken == 0)
        assert (await api.http.post("/compress", content=MODEL, headers=mine)).status_code == 202

    service(check, auth="on", key_max_uploads=1)


def test_the_client_says_who_calls(service) -> None:
    async def check(api) -> None:
        _, token = KeyFile(api.folder / "keys.json").add("me")
        async with AsyncClient(str(api.http.base_url), key=token, retries=0) as client:
            job = await client.submit("compress", MODEL)
            assert [known.id for known in await client.jobs()] == [job.id]
            with pytest.raises(BusyError) as caught:
                await client.submit("compress", MODEL)
            assert (caught.value.status, caught.value.limit) == (429, "CABACUS_KEY_MAX_JOBS")
        _, other = KeyFile(api.folder / "keys.json").add("you", scopes=["read"])
        async with AsyncClient(str(api.http.base_url), key=other) as client:
            with pytest.raises(NotFoundError):
                await client.job(job)
            with pytest.raises(DeniedError):
                await client.submit("compress", MODEL)
        async with AsyncClient(str(api.http.base_url)) as client:
            with pytest.raises(DeniedError):
                await client.jobs()

    service(check, auth="on", key_max_jobs=1)
