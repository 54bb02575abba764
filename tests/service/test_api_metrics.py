"""/metrics, request ids and log lines, over a real socket."""

from __future__ import annotations

import json
import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families
from safetensors.numpy import save

from cabacus.service.job import Failure
from cabacus.service.keys import KeyFile
from cabacus.service.logs import bound, configure_logs

MODEL = save({})
WAIT = {"Prefer": "wait=20"}


async def figures(api, **headers: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = await api.http.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(found, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_jobs_are_counted_by_what_became_of_them(service) -> None:
    async def check(api) -> None:
        api.work(b"12345", {}, {"bytes": 5, "original_bytes": 50})
        await api.http.post("/compress", content=MODEL, headers=WAIT)
        api.fail(Failure("corrupt", "?"))
        await api.http.post("/compress", content=MODEL, headers=WAIT)
        await api.http.post("/compress", content=MODEL)
        found = await figures(api)
        assert value(found, "cabacus_jobs_ended_total", kind="compress", state="done", code="") == 1
        assert value(found, "cabacus_jobs_ended_total", kind="compress", state="failed", code="corrupt") == 1
        assert value(found, "cabacus_jobs_submitted_total", kind="compress", priority="interactive") == 3
        assert value(found, "cabacus_jobs_waiting", priority="interactive") == 1
        assert value(found, "cabacus_jobs_oldest_waiting_seconds", priority="interactive") > 0
        assert value(found, "cabacus_jobs_running") == 0
        assert value(found, "cabacus_jobs_run_seconds_count", kind="compress") == 2
        assert value(found, "cabacus_jobs_run_seconds_bucket", kind="compress", le="+Inf") == 2
        assert value(found, "cabacus_jobs_ratio_sum", kind="compress") == 10
        assert value(found, "cabacus_jobs_ratio_bucket", kind="compress", le="8.0") == 0
        assert value(found, "cabacus_jobs_ratio_bucket", kind="compress", le="10.0") == 1
        assert value(found, "cabacus_original_bytes_total", kind="compress") == 50
        assert value(found, "cabacus_queue_up") == 1
        ok = value(found, "cabacus_http_requests_total", method="POST", route="/compress", status="200")
        refused = value(found, "cabacus_http_requests_total", method="POST", route="/compress", status="422")
        queued = value(found, "cabacus_http_requests_total", method="POST", route="/compress", status="202")
        assert (ok, refused, queued) == (1, 1, 1)
        assert value(found, "cabacus_http_received_bytes_total") == 3 * len(MODEL)

    service(check)


def test_labels_cannot_be_made_up_by_callers(service) -> None:
    async def check(api) -> None:
        for number in range(5):
            await api.http.request(f"X{number}", f"/nothing/{number}")
            await api.http.get(f"/jobs/{number}")
        found = await figures(api)
        routes = {dict(labels).get("route") for name, labels in found if name == "cabacus_http_requests_total"}
        assert routes <= {"none", "/jobs/{job_id}", "/metrics"}
        methods = {dict(labels).get("method") for name, labels in found if name == "cabacus_http_requests_total"}
        assert methods <= {"GET", "other"}

    service(check)


def test_without_the_queue_there_are_still_figures(service) -> None:
    async def check(api) -> None:
        async def broken() -> None:
            raise ConnectionError("refused")

        api.queue.statistics = broken
        assert value(await figures(api), "cabacus_queue_up") == 0

    service(check)


def test_metrics_need_their_scope_where_keys_are_needed(service) -> None:
    async def check(api) -> None:
        file = KeyFile(api.folder / "keys.json")
        _, scraper = file.add("prometheus", scopes=["metrics"])
        _, other = file.add("alice")
        assert (await api.http.get("/metrics")).status_code == 401
        assert (await api.http.get("/metrics", headers={"Authorization": f"Bearer {other}"})).status_code == 403
        await figures(api, Authorization=f"Bearer {scraper}")
        assert (await api.http.get("/jobs", headers={"Authorization": f"Bearer {scraper}"})).status_code == 403

    service(check, auth="on")


def test_every_answer_has_a_request_id_that_the_job_keeps(service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cabacus.service.api.access")

    async def check(api) -> None:
        response = await api.http.post("/compress", content=MODEL, headers={"X-Request-Id": "from-a-proxy.1"})
        assert response.headers["x-request-id"] == "from-a-proxy.1"
        claim = await api.queue.claim("worker", block_seconds=1)
        assert claim.job.request == "from-a-proxy.1"
        made = [
            (await api.http.get("/healthz", headers=headers)).headers["x-request-id"]
            for headers in ({}, {"X-Request-Id": "a b"}, {"X-Request-Id": "x" * 65})
        ]
        assert len(set(made)) == 3
        assert all(len(name) == 16 for name in made)
        assert (await api.http.get("/nothing")).headers["x-request-id"]

    service(check)
    lines = [record.fields for record in caplog.records if record.name.endswith("access")]
    assert ("POST", "/compress", 202) in [(line["method"], line["path"], line["status"]) for line in lines]
    assert "/healthz" not in {line["path"] for line in lines}


def test_log_lines_say_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        for form in ("json", "text"):
            configure_logs("info", form)
            with bound(job="5f0c", request="a1"):
                logging.getLogger("cabacus.x").info("done", extra={"fields": {"bytes": 5}})
        structured, plain = capsys.readouterr().err.splitlines()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    line = json.loads(structured)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "cabacus.x",
        "message": "done",
        "job": "5f0c",
        "request": "a1",
        "bytes": 5,
    }
    assert plain.endswith("done [job=5f0c request=a1 bytes=5]")
