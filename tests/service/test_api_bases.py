"""/bases/{digest} over a real socket: stored once, named by jobs, theirs alone who stored them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import httpx
import pytest
from safetensors.numpy import save

from cabacus.service.api import bases
from cabacus.service.keys import KeyFile

BASE = save({})
DIGEST = "ab" * 32
PLACE = f"/bases/{DIGEST}"


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def test_a_base_is_stored_named_and_forgotten(service) -> None:
    async def check(api) -> None:
        assert (await api.http.head(PLACE)).status_code == 404
        first = await api.http.put(PLACE, content=BASE)
        assert first.status_code == 201
        assert first.json() == {
            "digest": DIGEST,
            "bytes": len(BASE),
            "sha256": hashlib.sha256(BASE).hexdigest(),
            "media_type": "application/vnd.safetensors",
        }
        again = await api.http.put(PLACE, content=BASE + b" ")
        assert (again.status_code, again.json()) == (200, first.json())
        assert len(api.stored()) == 1
        assert (await api.http.get("/bases")).json() == {"bases": [first.json()]}
        head = await api.http.head(PLACE)
        assert (head.status_code, head.headers["etag"]) == (200, f'"{first.json()["sha256"]}"')

        job = (await api.http.post(f"/compress?base={DIGEST}", content=save({}, {"another": "model"}))).json()
        assert (job["options"], set(job["input"])) == ({"base": DIGEST}, {"model", "base"})
        assert (await api.http.delete(PLACE)).status_code == 204
        assert code(await api.http.delete(PLACE)) == (404, "base_not_found")
        assert (await api.http.head(PLACE)).status_code == 404
        assert (await api.http.get("/bases")).json() == {"bases": []}
        claim = await api.queue.claim("worker", block_seconds=1)  # the job has what it was promised
        assert b"".join([chunk async for chunk in api.store.read(claim.job.inputs["base"].key)]) == BASE
        for _ in range(2):
            await api.http.delete(f"/jobs/{job['id']}")
        assert api.stored() == []

    service(check)


@pytest.mark.parametrize("again", [BASE, BASE + b" "], ids=["the same file", "another file"])
def test_a_base_that_the_store_has_lost_is_not_there_and_can_be_stored_again(service, again: bytes) -> None:
    async def check(api) -> None:
        await api.http.put(PLACE, content=BASE)
        (key,) = api.stored()
        api.folder.joinpath(key).unlink()
        assert (await api.http.head(PLACE)).status_code == 404
        refused = await api.http.post(f"/compress?base={DIGEST}", content=save({}, {"another": "model"}))
        assert code(refused) == (404, "base_not_found")
        assert (await api.http.put(PLACE, content=again)).status_code in (200, 201)
        head = await api.http.head(PLACE)
        assert (head.status_code, head.headers["etag"]) == (200, f'"{hashlib.sha256(again).hexdigest()}"')
        assert len(api.stored()) == 1
        await api.http.delete(PLACE)
        assert api.stored() == []

    service(check)


@pytest.mark.parametrize("kind", ["compress", "decompress"])
def test_a_base_that_is_not_stored_is_said_before_the_upload(service, kind: str) -> None:
    async def check(api) -> None:
        response = await api.http.post(f"/{kind}?base={DIGEST}", content=BASE)
        assert code(response) == (404, "base_not_found")
        assert response.json()["field"] == "base"
        files = {"model": ("m", BASE), "options": (None, f'{{"base": "{DIGEST}"}}')}
        if kind == "compress":
            assert code(await api.http.post("/compress", files=files)) == (404, "base_not_found")
        assert api.stored() == []

    service(check)


def test_what_is_no_base_is_refused_and_leaves_nothing(service) -> None:
    async def check(api) -> None:
        assert code(await api.http.put(PLACE, content=b"\xabCBC" + bytes(60))) == (415, "unsupported_format")
        assert code(await api.http.put(PLACE, content=b"")) == (422, "empty_body")
        assert code(await api.http.put("/bases/xyz", content=BASE)) == (422, "invalid_option")
        assert code(await api.http.put(f"/bases/{DIGEST.upper()}", content=BASE)) == (422, "invalid_option")
        assert code(await api.http.put(PLACE, content=BASE, headers={"Content-Digest": "sha-256=:AAAA:"})) == (
            *(400, "digest_mismatch"),
        )
        assert code(await api.http.put(PLACE, content=bytes(2000))) == (413, "upload_too_large")
        assert code(await api.http.post("/compress?base=xyz", content=BASE)) == (422, "invalid_option")
        form, index = {"model": ("m", BASE)}, b'{"weight_map": {"w": "1.safetensors"}}'
        for refused in (await api.http.put(PLACE, files=form), await api.http.put(PLACE, content=index)):
            assert code(refused) == (415, "unsupported_format")
            assert "a base is one file" in refused.json()["detail"]
        assert api.stored() == []
        await api.http.put(PLACE, content=BASE)
        files = {"model": ("m", BASE), "base": ("b", BASE)}
        assert code(await api.http.post(f"/compress?base={DIGEST}", files=files)) == (422, "invalid_option")
        assert len(api.stored()) == 1

    service(check, max_upload_bytes=1000)


def test_bases_belong_to_their_owner(service) -> None:
    async def check(api) -> None:
        def bearer(owner: str, **changes) -> dict[str, str]:
            return {"Authorization": f"Bearer {KeyFile(api.folder / 'keys.json').add(owner, **changes)[1]}"}

        mine, yours, reader = bearer("me"), bearer("you"), bearer("me", scopes=["read"])
        assert code(await api.http.put(PLACE, content=BASE)) == (401, "unauthorized")
        assert code(await api.http.put(PLACE, content=BASE, headers=reader)) == (403, "forbidden")
        assert (await api.http.put(PLACE, content=BASE, headers=mine)).status_code == 201
        assert (await api.http.head(PLACE, headers=reader)).status_code == 200
        assert (await api.http.head(PLACE, headers=yours)).status_code == 404
        listings = [(await api.http.get("/bases", headers=headers)).json()["bases"] for headers in (reader, yours)]
        assert [[base["digest"] for base in listing] for listing in listings] == [[DIGEST], []]
        assert code(await api.http.delete(PLACE, headers=yours)) == (404, "base_not_found")
        refused = await api.http.post(f"/compress?base={DIGEST}", content=BASE, headers=yours)
        assert code(refused) == (404, "base_not_found")
        full = await api.http.put(f"/bases/{'cd' * 32}", content=BASE + b" " * 80, headers=mine)
        assert (code(full), full.json()["limit"]) == ((429, "key_limit"), "CABACUS_KEY_MAX_BYTES")
        assert len([key for key in api.stored() if key.startswith("uploads/")]) == 1

    service(check, auth="on", key_max_bytes=80)


def test_an_earlier_result_is_a_base_too(service) -> None:
    async def check(api) -> None:
        api.work(b"made", {}, {})
        made = await api.http.post("/compress", content=BASE, headers={"Prefer": "wait=20"})
        digest = hashlib.sha256(b"made").hexdigest()
        assert made.headers["etag"] == f'"{digest}"'
        assert (await api.http.head(f"/bases/{digest}")).status_code == 200
        second = (await api.http.post(f"/compress?base={digest}", content=BASE)).json()
        first = made.headers["content-location"].rpartition("/")[0]
        assert (await api.http.delete(first)).status_code == 204  # the second job keeps what it was promised
        assert (await api.http.head(f"/bases/{digest}")).status_code == 404
        claim = await api.queue.claim("worker", block_seconds=1)
        assert b"".join([chunk async for chunk in api.store.read(claim.job.inputs["base"].key)]) == b"made"
        assert code(await api.http.delete(f"/bases/{digest}")) == (404, "base_not_found")
        for _ in range(2):
            await api.http.delete(f"/jobs/{second['id']}")
        assert api.stored() == []

    service(check)


def test_a_result_that_is_a_difference_brings_its_bases_along(service) -> None:
    async def check(api) -> None:
        async def made(data: bytes, query: str) -> str:
            api.work(data, {}, {})
            answer = await api.http.post(f"/compress{query}", content=BASE, headers={"Prefer": "wait=20"})
            assert answer.status_code == 200, answer.text
            return hashlib.sha256(data).hexdigest()

        assert (await api.http.put(PLACE, content=BASE + b" ")).status_code == 201
        first = await made(b"first", f"?base={DIGEST}")
        second = await made(b"second", f"?base={first}")
        job = (await api.http.post(f"/compress?base={second}", content=BASE)).json()
        assert list(job["input"]) == ["model", "base", "base-1", "base-2"]
        assert [job["input"][role]["bytes"] for role in ("base", "base-1", "base-2")] == [6, 5, len(BASE) + 1]
        refused = await api.http.post("/rounds", json={"base": second})
        assert (code(refused), refused.json()["field"]) == ((422, "invalid_option"), "base")
        assert "PUT /bases" in refused.json()["detail"]

        for known in (await api.http.get("/jobs")).json()["jobs"]:
            for _ in range(1 + (known["state"] == "queued")):
                await api.http.delete(f"/jobs/{known['id']}")
        await api.http.delete(PLACE)
        assert api.stored() == []

    service(check)


def test_a_chain_of_differences_has_an_end(service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "MAX_DIFFERENCES", 1)

    async def check(api) -> None:
        digest, stored = "", 0
        for data in (b"whole", b"difference"):
            api.work(data, {}, {})
            query = f"?base={digest}" if digest else ""
            await api.http.post(f"/compress{query}", content=BASE, headers={"Prefer": "wait=20"})
            digest, stored = hashlib.sha256(data).hexdigest(), len(api.stored())
        refused = await api.http.post(f"/compress?base={digest}", content=BASE)
        assert (code(refused), refused.json()["field"]) == ((422, "invalid_option"), "base")
        assert "decompress it" in refused.json()["detail"]
        assert len(api.stored()) == stored

    service(check)


def test_a_report_is_no_base(service) -> None:
    async def check(api) -> None:
        claimed = await api.http.post("/compress", content=BASE)
        claim = await api.queue.claim("worker", block_seconds=1)
        report = replace(await api.put(f"jobs/{claim.job.id}/o/report.json", b"{}"), media_type="application/json")
        await api.queue.finish(claim, result=report, report=report, summary={})
        assert claimed.status_code == 202
        refused = await api.http.post(f"/compress?base={report.sha256}", content=BASE)
        assert code(refused) == (404, "base_not_found")

    service(check)
