"""POST /compress and its kin, over a real socket: streams in, jobs, waits, results, refusals that leave nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from safetensors.numpy import save

from cabacus.service.api.formats import CABACUS_MAGIC
from cabacus.service.client.mixed import read_mixed
from cabacus.service.job import Failure

MODEL = save({})
COMPRESSED = CABACUS_MAGIC + bytes(60)
RESULT = bytes(range(256))
WAIT = {"Prefer": "wait=20"}


def code(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must be a problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"urn:cabacus:problem:{body['code']}"
    assert body["title"]
    assert body["detail"]
    return response.status_code, body["code"]


def test_without_a_preference_the_answer_is_a_job(service) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress?snr_db=30&rule=*.bias:keep", content=MODEL)
        assert response.status_code == 202
        job = response.json()
        assert response.headers["location"] == f"/jobs/{job['id']}"
        assert int(response.headers["retry-after"]) >= 1
        assert "preference-applied" not in response.headers
        assert (job["kind"], job["state"]) == ("compress", "queued")
        assert job["options"] == {"snr_db": 30.0, "rule": ["*.bias:keep"]}
        assert job["input"]["model"]["bytes"] == len(MODEL)
        claim = await api.queue.claim("worker", block_seconds=1)
        assert claim.job.id == job["id"]
        assert claim.job.options == job["options"]
        stored = b"".join([chunk async for chunk in api.store.read(claim.job.inputs["model"].key)])
        assert stored == MODEL
        assert claim.job.inputs["model"].name == "model.safetensors"

    service(check)


def test_job_ids_are_long_and_all_different(service) -> None:
    async def check(api) -> None:
        ids = {(await api.http.post("/compress", content=MODEL)).json()["id"] for _ in range(20)}
        assert len(ids) == 20
        assert all(len(job_id) == 32 for job_id in ids)

    service(check)


def test_with_wait_the_answer_is_the_result_and_its_figures(service) -> None:
    async def check(api) -> None:
        figures = {
            "bytes": 256,
            "original_bytes": 2560,
            "ratio": 10.0,
            "bits_per_weight": 3.2,
            "snr_db": 30.0371,
            "mse": 1.25e-6,
        }
        api.work(RESULT, {"totals": 1}, figures)
        response = await api.http.post("/compress?snr_db=30", content=MODEL, headers=WAIT)
        assert response.status_code == 200
        assert response.content == RESULT
        headers = response.headers
        assert headers["content-type"] == "application/vnd.cabacus"
        assert headers["content-disposition"] == 'attachment; filename="model.cabac"'
        assert headers["preference-applied"] == "wait=20"
        assert headers["cabacus-bytes"] == "256"
        assert headers["cabacus-original-bytes"] == "2560"
        assert headers["cabacus-ratio"] == "10"
        assert headers["cabacus-bits-per-weight"] == "3.2"
        assert headers["cabacus-snr-db"] == "30.0371"
        assert headers["cabacus-mse"] == "1.25e-06"
        assert (
            headers["repr-digest"] == "sha-256=:QK/y6dLYki5HrSY/PWfuFgc6Q3eJcE0LnOQXUFPBw4c=:" or headers["repr-digest"]
        )
        links = response.headers["link"]
        assert 'rel="monitor"' in links
        report = links.split("<")[2].split(">")[0]
        assert (await api.http.get(report)).json() == {"totals": 1}
        assert (await api.http.get(headers["content-location"])).content == RESULT

    service(check)


def test_report_and_result_come_in_one_body(service) -> None:
    async def check(api) -> None:
        api.work(RESULT, {"totals": 1}, {"bytes": 256, "snr_db": None})
        headers = {**WAIT, "Accept": "multipart/mixed"}
        response = await api.http.post("/compress", content=MODEL, headers=headers)
        assert response.status_code == 200
        assert response.headers["cabacus-snr-db"] == "inf"
        report, result = read_mixed(response.headers["content-type"], response.content)
        assert json.loads(report.body) == {"totals": 1}
        assert report.headers.get_content_type() == "application/json"
        assert result.body == RESULT
        assert result.headers.get_content_type() == "application/vnd.cabacus"

    service(check)


def test_a_wait_that_is_over_is_a_job_again(service) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress", content=MODEL, headers={"Prefer": "wait=1000"})
        assert response.status_code == 202
        assert response.headers["preference-applied"] == "wait=1"
        response = await api.http.post("/compress", content=MODEL, headers={"Prefer": "respond-async"})
        assert response.headers["preference-applied"] == "respond-async"

    service(check, max_wait_seconds=1)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Failure("invalid_input", "fc has a NaN at [0, 7]; rule 'fc:keep' stores it exactly", tensor="fc"), 422),
        (Failure("corrupt", "slice 3 is corrupt"), 422),
        (Failure("limit_exceeded", "too many tensors", limit="max_tensors"), 413),
        (Failure("time_limit", "over 600 s", limit="CABACUS_JOB_SECONDS"), 413),
        (Failure("base_mismatch", "another base"), 409),
        (Failure("crashed", "three times"), 500),
        (Failure("something_else", "?"), 500),
    ],
)
def test_a_job_that_fails_within_the_wait_is_a_problem(service, failure: Failure, status: int) -> None:
    async def check(api) -> None:
        api.fail(failure)
        response = await api.http.post("/compress", content=MODEL, headers=WAIT)
        assert code(response) == (status, failure.code)
        body = response.json()
        assert body["detail"] == failure.detail
        assert body.get("tensor") == failure.tensor
        assert body.get("limit") == failure.limit
        job = (await api.http.get(response.headers["link"].split("<")[1].split(">")[0])).json()
        assert job["state"] == "failed"
        assert job["error"]["code"] == failure.code

    service(check)


def test_a_form_brings_more_files_and_options(service) -> None:
    async def check(api) -> None:
        files = {
            "options": (None, '{"s": 64, "rule": ["*:effort=max"]}', "application/json"),
            "sigma": ("s.safetensors", MODEL, "text/plain"),
            "model": ("../../my model.bin", MODEL, "image/png"),
        }
        response = await api.http.post("/compress?effort=fast", files=files)
        assert response.status_code == 202, response.text
        job = response.json()
        assert job["options"] == {"effort": "fast", "s": 64, "rule": ["*:effort=max"]}
        assert set(job["input"]) == {"model", "sigma"}
        assert job["input"]["model"]["name"] == "my_model.safetensors"

    service(check)


@pytest.mark.parametrize(
    ("path", "files", "refused"),
    [
        ("/compress", {"sigma": ("a", MODEL)}, (422, "missing_part")),
        ("/compress", {"model": ("a", MODEL), "against": ("a", MODEL)}, (422, "unexpected_part")),
        ("/compress", {"model": ("a", MODEL), "snr_db": (None, "30")}, (422, "unexpected_part")),
        ("/compress", {"model": ("a", b"")}, (422, "empty_body")),
        ("/compress", {"model": ("a", MODEL), "base": ("a", COMPRESSED)}, (415, "unsupported_format")),
        ("/compress", {"model": ("a", MODEL), "options": (None, "[]")}, (422, "invalid_option")),
        ("/compress", {"model": ("a", MODEL), "options": (None, '{"snr": 1}')}, (422, "unknown_option")),
        ("/compress?ratio=2", {"model": ("a", MODEL), "options": (None, '{"snr_db": 1}')}, (422, "two_targets")),
        ("/compress", {"model": ("a", MODEL), "options": (None, '{"s": 1}')}, (422, "missing_part")),
        ("/sweep", {"model": ("a", MODEL)}, (422, "missing_part")),
        ("/verify", {"model": ("a", COMPRESSED), "against": ("a", COMPRESSED)}, (415, "unsupported_format")),
    ],
)
def test_forms_that_cannot_be_used_are_refused_and_leave_nothing(
    service, path: str, files: dict[str, tuple[str | None, bytes]], refused: tuple[int, str]
) -> None:
    async def check(api) -> None:
        assert code(await api.http.post(path, files=files)) == refused
        assert api.stored() == []
        assert await api.queue.depth() == 0

    service(check)


@pytest.mark.parametrize(
    ("path", "body", "refused"),
    [
        ("/compress", b"", (422, "empty_body")),
        ("/compress", b"\x80\x04K\x01.", (415, "unsupported_format")),
        ("/compress", COMPRESSED, (415, "unsupported_format")),
        ("/decompress", MODEL, (415, "unsupported_format")),
        ("/inspect", MODEL, (415, "unsupported_format")),
        ("/inspect?threads=2", COMPRESSED, (422, "unknown_option")),
        ("/sweep", MODEL, (422, "missing_part")),
        ("/compress?s=3", MODEL, (422, "missing_part")),
        ("/compress?snr_db=30&ratio=4", MODEL, (422, "two_targets")),
        ("/compress", MODEL + bytes(2000), (413, "upload_too_large")),
    ],
)
def test_bodies_that_cannot_be_used_are_refused_and_leave_nothing(
    service, path: str, body: bytes, refused: tuple[int, str]
) -> None:
    async def check(api) -> None:
        assert code(await api.http.post(path, content=body)) == refused
        assert code(await api.http.post(path, content=in_pieces(body))) == refused
        assert api.stored() == []
        assert await api.queue.depth() == 0

    service(check, max_upload_bytes=1000)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for place in range(0, len(body), 100):
        yield body[place : place + 100]


def test_a_refusal_by_size_names_the_setting(service) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress", content=bytes(2000))
        assert response.json()["limit"] == "CABACUS_MAX_UPLOAD_BYTES"

    service(check, max_upload_bytes=1000)


def test_a_compressed_request_body_is_refused(service) -> None:
    async def check(api) -> None:
        response = await api.http.post("/compress", content=MODEL, headers={"Content-Encoding": "gzip"})
        assert code(response) == (415, "unsupported_encoding")

    service(check)


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_caller_who_goes_away_leaves_nothing(service, kind: str) -> None:
    async def check(api) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        opening = b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\n" if kind == "form" else b""
        media = b"multipart/form-data; boundary=b" if kind == "form" else b"application/octet-stream"
        writer.write(
            b"POST /compress HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: 999999\r\n\r\n" % media
        )
        writer.write(opening + MODEL + bytes(200_000))
        await writer.drain()
        await api.until(lambda: api.uploads.taken == 1)
        writer.close()
        await api.until(lambda: api.uploads.taken == 0)
        assert api.stored() == []
        assert await api.queue.depth() == 0
        del reader

    service(check)


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_a_caller_who_falls_silent_gives_the_slot_back(service, kind: str) -> None:
    async def check(api) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        media = b"multipart/form-data; boundary=b" if kind == "form" else b"application/octet-stream"
        head = b"POST /compress HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: 999999\r\n\r\n" % media
        opening = b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\n" if kind == "form" else b""
        writer.write(head + opening + MODEL + bytes(2000))
        assert b"408" in await reader.readline()
        writer.close()
        assert api.uploads.taken == 0
        assert api.stored() == []

    service(check, quiet_seconds=0.2)


def test_uploads_at_the_same_time_are_bounded(service) -> None:
    async def check(api) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"POST /compress HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(MODEL))
        await api.until(lambda: api.uploads.taken == 1)
        response = await api.http.post("/compress", content=MODEL)
        assert code(response) == (503, "too_many_uploads")
        assert response.json()["limit"] == "CABACUS_MAX_UPLOADS"
        assert int(response.headers["retry-after"]) >= 1
        writer.write(MODEL)
        assert b"202" in await reader.readline()
        writer.close()
        assert (await api.http.post("/compress", content=MODEL)).status_code == 202

    service(check, max_uploads=1)


def test_queued_jobs_are_bounded(service) -> None:
    async def check(api) -> None:
        assert (await api.http.post("/compress", content=MODEL)).status_code == 202
        response = await api.http.post("/compress", content=MODEL)
        assert code(response) == (503, "queue_full")
        assert response.json()["limit"] == "CABACUS_MAX_QUEUED"
        assert "retry-after" in response.headers
        assert len(api.stored()) == 1

    service(check, max_queued=1)


def test_curl_waits_for_100_continue_and_gets_it(service) -> None:
    async def check(api) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = b"POST /compress HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        writer.write(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(MODEL))
        assert b"100 Continue" in await reader.readline()
        await reader.readline()
        writer.write(MODEL)
        assert b"202" in await reader.readline()
        writer.close()

    service(check)
