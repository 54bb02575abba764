"""Jobs, results and reports over a real socket; and that every error is a problem document."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from safetensors.numpy import save

from cabacus.service.api import health

MODEL = save({})
RESULT = bytes(range(256)) * 300
ETAG = f'"{hashlib.sha256(RESULT).hexdigest()}"'
WAIT = {"Prefer": "wait=20"}


async def done(api) -> str:
    """The path of a job that is done."""
    api.work(RESULT, {"totals": 1}, {"bytes": len(RESULT)})
    response = await api.http.post("/compress", content=MODEL, headers=WAIT)
    return response.headers["content-location"].removesuffix("/result")


async def queued(api) -> str:
    """The path of a job that waits."""
    return (await api.http.post("/compress", content=MODEL)).headers["location"]


def test_a_job_is_shown(service) -> None:
    async def check(api) -> None:
        path = await done(api)
        job = (await api.http.get(path)).json()
        assert path.endswith(job["id"])
        settled = "id kind state created started finished progress options input result report error"
        assert set(job).issuperset(settled.split(" "))
        assert job["state"] == "done"
        assert job["created"].endswith("Z")
        assert job["result"]["href"] == f"{path}/result"
        assert job["result"]["sha256"] == ETAG.strip('"')
        assert job["report"]["href"] == f"{path}/report"
        assert job["error"] is None

    service(check)


def test_a_job_can_be_waited_for(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        response = await api.http.get(path, headers={"Prefer": "wait=1"})
        assert response.json()["state"] == "queued"
        assert response.headers["preference-applied"] == "wait=1"
        assert "retry-after" in response.headers
        api.work(RESULT, {}, {})
        response = await api.http.get(path, headers=WAIT)
        assert response.json()["state"] == "done"
        assert "retry-after" not in response.headers

    service(check)


def test_jobs_are_listed_newest_first(service) -> None:
    async def check(api) -> None:
        paths = [await queued(api) for _ in range(3)]
        listed = (await api.http.get("/jobs?limit=2")).json()["jobs"]
        assert [f"/jobs/{job['id']}" for job in listed] == paths[:0:-1]
        for limit in ("0", "x", "1001"):
            response = await api.http.get(f"/jobs?limit={limit}")
            assert (response.status_code, response.json()["field"]) == (422, "limit")

    service(check)


def test_results_are_downloaded_whole_in_ranges_and_not_at_all(service) -> None:
    async def check(api) -> None:
        place = await done(api) + "/result"
        whole = await api.http.get(place)
        assert (whole.status_code, whole.content) == (200, RESULT)
        assert whole.headers["etag"] == ETAG
        assert whole.headers["accept-ranges"] == "bytes"
        head = await api.http.head(place)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(RESULT))
        assert head.headers["etag"] == ETAG
        part = await api.http.get(place, headers={"Range": "bytes=100-199", "If-Range": ETAG})
        assert (part.status_code, part.content) == (206, RESULT[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(RESULT)}"
        assert part.headers["repr-digest"] == whole.headers["repr-digest"]
        tail = await api.http.get(place, headers={"Range": "bytes=-7"})
        assert tail.content == RESULT[-7:]
        other = await api.http.get(place, headers={"Range": "bytes=1-2", "If-Range": '"other"'})
        assert (other.status_code, other.content) == (200, RESULT)
        outside = await api.http.get(place, headers={"Range": f"bytes={len(RESULT)}-"})
        assert (outside.status_code, outside.json()["code"]) == (416, "range_not_satisfiable")
        assert outside.headers["content-range"] == f"bytes */{len(RESULT)}"
        for method in ("GET", "HEAD"):
            same = await api.http.request(method, place, headers={"If-None-Match": ETAG})
            assert (same.status_code, same.content) == (304, b"")
            assert same.headers["etag"] == ETAG

    service(check)


def test_the_report_is_json_with_an_etag(service) -> None:
    async def check(api) -> None:
        place = await done(api) + "/report"
        report = await api.http.get(place)
        assert report.json() == {"totals": 1}
        assert report.headers["content-type"] == "application/json"
        same = await api.http.get(place, headers={"If-None-Match": report.headers["etag"]})
        assert same.status_code == 304

    service(check)


@pytest.mark.parametrize("what", ["result", "report"])
def test_what_is_not_there_says_why(service, what: str) -> None:
    async def check(api) -> None:
        async def refusal(path: str) -> tuple[int, str]:
            response = await api.http.get(f"{path}/{what}")
            return response.status_code, response.json()["code"]

        waiting = await queued(api)
        assert await refusal(waiting) == (409, "not_ready")
        await api.http.delete(waiting)
        assert await refusal(waiting) == (409, "job_cancelled")
        assert await refusal("/jobs/" + "0" * 32) == (404, "job_not_found")
        assert await refusal("/jobs/..%2f..%2fetc") == (404, "not_found")
        path = await done(api)
        job = await api.queue.get(path.removeprefix("/jobs/"))
        await api.store.delete(job.result.key)
        await api.store.delete(job.report.key)
        assert await refusal(path) == (410, "gone")

    service(check)


def test_the_result_of_a_failed_job_says_why_it_failed(service) -> None:
    from cabacus.service.job import Failure

    async def check(api) -> None:
        api.fail(Failure("corrupt", "slice 3 is corrupt"))
        path = await queued(api)
        assert (await api.http.get(path, headers=WAIT)).json()["error"]["status"] == 422
        response = await api.http.get(f"{path}/result")
        assert (response.status_code, response.json()["code"]) == (409, "job_failed")
        assert "slice 3 is corrupt" in response.json()["detail"]

    service(check)


def test_delete_cancels_what_waits_and_forgets_what_ended(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        response = await api.http.delete(path)
        assert (response.status_code, response.json()["state"]) == (200, "cancelled")
        assert (await api.http.delete(path)).status_code == 204
        assert (await api.http.get(path)).status_code == 404
        assert (await api.http.delete(path)).status_code == 404
        path = await done(api)
        assert len(api.stored()) == 3
        assert (await api.http.delete(path)).status_code == 204
        assert api.stored() == []

    service(check)


def test_a_running_job_is_asked_to_stop(service) -> None:
    async def check(api) -> None:
        path = await queued(api)
        claim = await api.queue.claim("worker", block_seconds=5)
        assert (await api.http.delete(path)).status_code in (200, 202)
        assert not await api.queue.heartbeat(claim)

    service(check)


def test_names_that_are_not_plain_are_offered_in_both_forms(service) -> None:
    async def check(api) -> None:
        path = await done(api)
        job = await api.queue.get(path.removeprefix("/jobs/"))
        from cabacus.service.api.replies import _disposition

        assert job is not None
        assert (
            _disposition('a"b\\é.cabac')
            == "attachment; filename=\"a_b__.cabac\"; filename*=UTF-8''a%22b%5C%C3%A9.cabac"
        )

    service(check)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/jobs/xyz", 404, "job_not_found"),
        ("GET", "/web/secret.txt", 404, "not_found"),
        ("GET", "/web/..%2fsettings.py", 404, "not_found"),
        ("GET", "/compress", 405, "method_not_allowed"),
        ("PUT", "/jobs", 405, "method_not_allowed"),
    ],
)
def test_the_frameworks_own_errors_are_problem_documents(
    service, method: str, path: str, status: int, code: str
) -> None:
    async def check(api) -> None:
        response = await api.http.request(method, path)
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.status_code, response.json()["code"]) == (status, code)
        if status == 405:
            assert response.headers["allow"] == {"/compress": "POST", "/jobs": "GET"}[path]

    service(check)


def test_a_path_with_several_methods_names_them_all(service) -> None:
    async def check(api) -> None:
        response = await api.http.put("/jobs/" + "0" * 32)
        assert response.headers["allow"] == "DELETE, GET"

    service(check)


def test_a_queue_that_does_not_answer_is_503(service, caplog: pytest.LogCaptureFixture) -> None:
    async def check(api) -> None:
        async def broken(*arguments: object, **named: object) -> None:
            raise ConnectionError("refused by 10.0.0.1")

        api.queue.get = api.queue.depth = api.queue.ping = broken
        for response in (
            await api.http.get("/jobs/" + "0" * 32),
            await api.http.post("/compress", content=MODEL),
            await api.http.get("/readyz"),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "unavailable")
            assert "retry-after" in response.headers
            assert "10.0.0.1" not in response.text
        assert (await api.http.get("/healthz")).json()["status"] == "ok"

    service(check)
    assert "10.0.0.1" in caplog.text


def test_a_fault_of_ours_is_logged_and_not_shown(service, caplog: pytest.LogCaptureFixture) -> None:
    async def check(api) -> None:
        async def broken(*arguments: object, **named: object) -> None:
            raise RuntimeError("a secret path")

        api.queue.get = broken
        response = await api.http.get("/jobs/" + "0" * 32)
        assert (response.status_code, response.json()["code"]) == (500, "internal")
        assert response.headers["content-type"] == "application/problem+json"
        assert "secret" not in response.text
        assert response.headers["x-request-id"]
        reference = response.json()["detail"].split()[-1]
        assert reference in caplog.text

    service(check)
    assert "a secret path" in caplog.text


def test_health_and_readiness(service) -> None:
    async def check(api) -> None:
        assert (await api.http.get("/healthz")).json()["status"] == "ok"
        assert (await api.http.get("/readyz")).json()["status"] == "ready"
        assert (await api.http.head("/healthz")).status_code == 200

    service(check)


def test_readiness_is_said_at_once_whatever_the_queue_waits_for(service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.05)

    async def check(api) -> None:
        api.queue.ping = asyncio.Event().wait
        response = await api.http.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")

    service(check)


def test_the_page_and_its_files_load_nothing_from_elsewhere(service) -> None:
    async def check(api) -> None:
        for path, media in (
            ("/", "text/html"),
            ("/web/style.css", "text/css"),
            ("/web/page.js", "text/javascript"),
            ("/web/service.js", "text/javascript"),
            ("/web/charts.js", "text/javascript"),
            ("/web/format.js", "text/javascript"),
        ):
            response = await api.http.get(path)
            assert response.headers["content-type"].startswith(media)
            assert "default-src 'self'" in response.headers["content-security-policy"]
            assert "https://" not in response.text

    service(check)
