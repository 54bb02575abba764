"""What a request says beside its options: once only, with this digest, in this order, and whom to tell."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest
from safetensors.numpy import save

MODEL = save({})
WAIT = {"Prefer": "wait=20"}
HOOKS: dict[str, Any] = {"webhooks": "https://a.org/hooks http://127.0.0.1:8099", "webhook_secret": "0123456789abcdef"}


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def digest(data: bytes, name: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


# -- Idempotency-Key ---------------------------------------------------------------------------------------------------


def test_a_repeated_request_finds_its_job(service) -> None:
    async def check(api) -> None:
        key = {"Idempotency-Key": "0b6e3c1a"}
        first = await api.http.post("/compress?snr_db=30", content=MODEL, headers=key)
        assert first.status_code == 202
        stored = api.stored()
        again = await api.http.post("/compress?snr_db=30", content=MODEL, headers=key)
        assert code(again) == (409, "idempotency_running")
        assert again.headers["location"] == first.headers["location"]
        assert int(again.headers["retry-after"]) >= 1
        assert api.stored() == stored
        api.work(b"result", {}, {})
        assert (await api.http.get(first.headers["location"], headers=WAIT)).json()["state"] == "done"
        again = await api.http.post("/compress?snr_db=30", content=MODEL, headers={**key, **WAIT})
        assert (again.status_code, again.content) == (200, b"result")
        again = await api.http.post("/compress?snr_db=30", content=MODEL, headers=key)
        assert (again.status_code, again.json()["state"]) == (202, "done")
        assert len((await api.http.get("/jobs")).json()["jobs"]) == 1

    service(check)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/compress?snr_db=30", MODEL + b" "),
        ("/compress?snr_db=31", MODEL),
        ("/compress?snr_db=30&priority=bulk", MODEL),
        ("/sweep?s=30", MODEL),
    ],
)
def test_a_key_is_for_one_thing(service, path: str, body: bytes) -> None:
    async def check(api) -> None:
        key = {"Idempotency-Key": "k"}
        await api.http.post("/compress?snr_db=30", content=MODEL, headers=key)
        stored = api.stored()
        if path.startswith("/sweep"):
            files = {"model": ("m", body), "sigma": ("s", body)}
            response = await api.http.post(path, files=files, headers=key)
        else:
            response = await api.http.post(path, content=body, headers=key)
        assert code(response) == (422, "idempotency_reused")
        assert response.json()["field"] == "Idempotency-Key"
        assert api.stored() == stored

    service(check)


def test_a_key_may_be_used_again_once_its_job_is_forgotten(service) -> None:
    async def check(api) -> None:
        key = {"Idempotency-Key": "k"}
        path = (await api.http.post("/compress", content=MODEL, headers=key)).headers["location"]
        for _ in range(2):  # cancelled, then forgotten
            await api.http.delete(path)
        assert (await api.http.post("/compress", content=MODEL, headers=key)).status_code == 202
        assert code(await api.http.post("/compress", content=MODEL, headers={"Idempotency-Key": "k" * 256})) == (
            *(400, "bad_request"),
        )

    service(check)


def test_the_same_file_is_stored_once(service) -> None:
    async def check(api) -> None:
        paths = [(await api.http.post("/compress", content=MODEL)).headers["location"] for _ in range(3)]
        assert len(api.stored()) == 1
        for path in paths[:2]:
            for _ in range(2):
                await api.http.delete(path)
        assert len(api.stored()) == 1
        claim = await api.queue.claim("worker", block_seconds=1)
        assert b"".join([chunk async for chunk in api.store.read(claim.job.inputs["model"].key)]) == MODEL
        for _ in range(2):
            await api.http.delete(paths[2])
        assert api.stored() == []

    service(check)


def test_a_file_that_the_store_has_lost_is_stored_again_with_the_next_that_is_the_same(service) -> None:
    async def check(api) -> None:
        async def claimed() -> bytes:
            claim = await api.queue.claim("worker", block_seconds=1)
            return b"".join([chunk async for chunk in api.store.read(claim.job.inputs["model"].key)])

        await api.http.post("/compress", content=MODEL)
        (key,) = api.stored()
        for damage in (api.folder.joinpath(key).unlink, lambda: api.folder.joinpath(key).write_bytes(b"half")):
            damage()
            assert (await api.http.post("/compress", content=MODEL)).status_code == 202
            assert api.stored() == [key]
        for _ in range(3):  # the earlier jobs are healed too
            assert await claimed() == MODEL

    service(check)


# -- digests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
def test_a_body_is_checked_against_its_digest(service, header: str) -> None:
    async def check(api) -> None:
        async def send(value: str) -> httpx.Response:
            return await api.http.post("/compress", content=MODEL, headers={header: value})

        for good in (
            f"sha-256=:{digest(MODEL)}:",
            f"sha-512=:{digest(MODEL, 'sha512')}:, sha-256=:{digest(MODEL)}:",
            "md5=:AAAA:",  # too weak to mean anything
        ):
            assert (await send(good)).status_code == 202, good
        stored = api.stored()
        for bad in (f"sha-256=:{digest(b'other')}:", f"sha-256=:{digest(MODEL)}:, sha-512=:{digest(MODEL)}:"):
            response = await send(bad)
            assert code(response) == (400, "digest_mismatch")
            assert response.json()["field"] == header.lower()
        for nonsense in ("sha-256", "sha-256=:A:", f"sha-256={digest(MODEL)}"):
            assert code(await send(nonsense)) == (400, "bad_digest")
        assert api.stored() == stored

    service(check)


def test_the_digest_of_a_form_is_that_of_the_whole_body(service) -> None:
    async def check(api) -> None:
        body = b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\n" + MODEL + b"\r\n--b--\r\nepilogue"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        for data, status in ((body, 202), (MODEL, 400)):
            sent = {**headers, "Content-Digest": f"sha-256=:{digest(data)}:"}
            assert (await api.http.post("/compress", content=body, headers=sent)).status_code == status

    service(check)


# -- priority and webhook ----------------------------------------------------------------------------------------------


def test_priority_is_said_in_the_query_or_the_form(service) -> None:
    async def check(api) -> None:
        bulk = (await api.http.post("/compress?priority=bulk", content=MODEL)).json()
        assert (bulk["priority"], bulk["options"]) == ("bulk", {})
        files = {"model": ("m", MODEL), "options": (None, '{"priority": "bulk", "snr_db": 3}')}
        form = (await api.http.post("/compress", files=files)).json()
        assert (form["priority"], form["options"]) == ("bulk", {"snr_db": 3.0})
        hurried = (await api.http.post("/compress", content=MODEL)).json()
        assert hurried["priority"] == "interactive"
        assert (await api.queue.claim("worker", block_seconds=1)).job.id == hurried["id"]
        response = await api.http.post("/compress?priority=high", content=MODEL)
        assert code(response) == (422, "invalid_option")
        assert response.json()["field"] == "priority"
        response = await api.http.post("/compress?priority=bulk", files=files)
        assert code(response) == (422, "invalid_option")

    service(check)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.org/hooks", True),
        ("https://a.org/hooks/x?y=1", True),
        ("http://127.0.0.1:8099/any", True),
        ("https://a.org/", False),
        ("https://a.org/hooksy", False),
        ("https://a.org/hooks/../admin", False),
        ("https://a.org/hooks/%2e%2e/admin", False),
        ("https://a.org/hooks/..%2fadmin", False),
        ("https://a.org\\@evil.org/hooks", False),
        ("https://a.org@evil.org/hooks", False),
        ("https://me@a.org/hooks", False),
        ("https://a.org.evil.org/hooks", False),
        ("https://a.org:8443/hooks", False),
        ("http://a.org/hooks", False),
        ("http://127.0.0.1:6379/", False),
        ("http://localhost:8099/", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_only_allowed_places_are_told(service, url: str, allowed: bool) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress", content=MODEL, params={"webhook": url})
        if allowed:
            assert response.status_code == 202
            assert (await api.queue.get(response.json()["id"])).webhook == url
        else:
            assert code(response) == (422, "invalid_option")
            assert (response.json()["field"], response.json()["limit"]) == ("webhook", "CABACUS_WEBHOOKS")
            assert api.stored() == []

    service(check, **HOOKS)


def test_without_allowed_places_there_are_no_webhooks(service) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress?webhook=https://a.org/", content=MODEL)
        assert code(response) == (422, "invalid_option")

    service(check)


# -- buckets -----------------------------------------------------------------------------------------------------------

BUCKETS = {"buckets": "s3://models/in gs://other"}


def test_a_model_in_a_bucket_is_named_instead_of_sent(service) -> None:
    async def check(api) -> None:
        query = {"input": "s3://models/in/net.npz", "output": "gs://other/net.cabac", "snr_db": "30"}
        response = await api.http.post("/compress", params=query)
        assert response.status_code == 202, response.text
        job = response.json()
        assert (job["input"], job["options"]) == ({}, {"snr_db": 30.0})
        assert (job["source"], job["target"]) == (query["input"], query["output"])
        claim = await api.queue.claim("worker", block_seconds=1)
        assert (claim.job.source, claim.job.target) == (query["input"], query["output"])
        files = {"sigma": ("s", MODEL)}  # what is small may still be sent
        assert (await api.http.post("/compress?s=3&input=s3://models/in/net.npz", files=files)).status_code == 202
        both = await api.http.post("/compress?input=s3://models/in/net.npz", content=MODEL)
        assert (code(both), both.json()["field"]) == ((422, "invalid_option"), "input")
        assert len(api.stored()) == 1

    service(check, **BUCKETS)


@pytest.mark.parametrize(
    "url",
    [
        "s3://models/net.npz",
        "s3://models/inner/net.npz",
        "s3://models/in/../net.npz",
        "s3://models/in/%2e%2e/net.npz",
        "s3://models/in//",
        "s3://models/",
        "s3://models.evil.org/in/net.npz",
        "s3://key@models/in/net.npz",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "/etc/passwd",
        "gs://models/in/net.npz",
        "s3://models/in/net.npz?versionId=1",
    ],
)
@pytest.mark.parametrize("name", ["input", "output"])
def test_only_allowed_buckets_are_touched(service, url: str, name: str) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress", params={name: url}, content=b"" if name == "input" else MODEL)
        assert code(response) == (422, "invalid_option")
        assert (response.json()["field"], response.json()["limit"]) == (name, "CABACUS_BUCKETS")
        assert api.stored() == []

    service(check, **BUCKETS)


def test_a_folder_is_an_input_and_no_output(service) -> None:
    async def check(api) -> None:
        assert (await api.http.post("/compress?input=s3://models/in/net/")).status_code == 202
        refused = await api.http.post("/compress?output=s3://models/in/net/", content=MODEL)
        assert code(refused) == (422, "invalid_option")

    service(check, **BUCKETS)
