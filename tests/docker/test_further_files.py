"""The further compose files, each with the parts that it changes: figures, files in a bucket, TLS."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
from docker_stack import PROJECT, ROOT, URL, Stack, docker, image_or, until
from s3_server import s3_server

import cabacus

pytestmark = pytest.mark.docker

TLS_ADDRESS = "127.0.0.1:18391"


def readable(path: Path, text: str) -> str:
    """A file that containers can read, as which user ever they run."""
    path.write_text(text)
    path.chmod(0o444)
    return str(path)


def test_prometheus_finds_every_part_and_understands_every_panel(stack: Stack, tmp_path: Path) -> None:
    key = readable(tmp_path / "key", stack.execute("api", "cabacus", "keys", "add", "watcher", "--scope", "metrics"))
    watched = stack.also(
        "docker/compose.metrics.yml",
        PROMETHEUS_IMAGE=image_or("prom/prometheus:v3.5.0", "prometheus"),
        METRICS_KEY_FILE=key,
        GRAFANA_PASSWORD_FILE=key,
    )
    try:
        watched.compose("up", "-d", "--no-build", "--no-deps", "prometheus")
        url = f"http://{watched.network('prometheus')['IPAddress']}:9090/api/v1"

        def ask(query: str) -> list[dict]:
            answer = httpx.get(f"{url}/query", params={"query": query.replace("$__rate_interval", "1m")}).json()
            assert answer["status"] == "success", (query, answer)
            return answer["data"]["result"]

        until(lambda: {one["metric"]["job"] for one in ask("up == 1")} == {"cabacus", "proxy"}, "both are scraped")
        assert [one["value"][1] for one in ask("cabacus_queue_up")] == ["1"]
        dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "cabacus.json").read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        assert len(queries) > 10
        for query in queries:
            ask(query)
        rules = httpx.get(f"{url}/rules").json()["data"]["groups"][0]["rules"]
        assert "CabacusQueueDown" in {rule["name"] for rule in rules}
        assert all(rule["health"] != "err" for rule in rules)
    finally:
        watched.compose("rm", "--stop", "--force", "prometheus")
        docker("volume", "rm", "--force", f"{PROJECT}_prometheus")
        docker("network", "rm", f"{PROJECT}_watching")


def test_files_lie_in_a_bucket(stack: Stack) -> None:
    model = {"w": np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)}  # known to nobody before or after
    with s3_server("0.0.0.0") as port:
        assert httpx.put(f"http://127.0.0.1:{port}/cabacus").status_code == 200
        bucketed = stack.also(
            "docker/compose.s3.yml",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            S3_ENDPOINT=f"http://{stack.network('proxy')['Gateway']}:{port}",
        )
        try:
            bucketed.compose("up", "-d", "--no-build", "--no-deps", "api", "worker")
            until(lambda: bucketed.healthy("api", "worker"), "they live with a bucket")
            until(lambda: httpx.get(f"{URL}/readyz").status_code == 200, "the bucket answers")
            with stack.client() as client:
                made = client.compress(model, snr_db=30)
            assert made.data == cabacus.compress(model, snr_db=30).data
            listed = httpx.get(f"http://127.0.0.1:{port}/cabacus?list-type=2").text
            assert f"<Key>files/jobs/{made.job_id}" in listed
        finally:
            stack.up("--no-deps", "api", "worker")


def test_the_proxy_speaks_tls_and_sends_others_there(stack: Stack, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    site = readable(tmp_path / "site.pem", certificate.read_text() + key.read_text())
    secured = stack.also("docker/compose.tls.yml", PROXY_CERTIFICATE_FILE=site, CABACUS_PUBLISH_TLS=TLS_ADDRESS)
    try:
        secured.compose("up", "-d", "--no-build", "--no-deps", "proxy")
        trust = ssl.create_default_context(cafile=str(certificate))
        until(
            lambda: httpx.get(f"https://{TLS_ADDRESS}/healthz", verify=trust).status_code == 200, "it answers with TLS"
        )
        sent_on = httpx.get(f"{URL}/healthz")
        assert (sent_on.status_code, sent_on.headers["location"][:8]) == (308, "https://")
    finally:
        stack.up("--no-deps", "proxy")
