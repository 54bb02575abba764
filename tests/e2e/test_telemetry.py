"""OpenTelemetry by FastAPI's own support: a collector is told of requests, by route."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

SECONDS = 30


@pytest.fixture
def collector() -> Iterator[tuple[str, queue.Queue[tuple[str, bytes]]]]:
    """The address of a collector, and what it was told: paths and bodies."""
    told: queue.Queue[tuple[str, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


def test_a_collector_is_told_of_requests(collector: tuple[str, queue.Queue[tuple[str, bytes]]], tmp_path: Path) -> None:
    address, told = collector
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CABACUS_", "OTEL_"))}
    environment |= {"CABACUS_REDIS": "redis://127.0.0.1:1", "CABACUS_STATE": str(tmp_path), "CABACUS_PORT": "0"}
    environment |= {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
    environment |= {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_SERVICE_NAME": "cabacus-tested"}
    with subprocess.Popen(
        [sys.executable, "-m", "cabacus.service.api"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"running on (http://[^\s\"]+)", line):
                    break
            else:
                raise AssertionError("the API did not start")
            assert httpx.get(f"{found[1]}/healthz", trust_env=False).status_code == 200
            while True:
                path, body = told.get(timeout=SECONDS)
                if path == "/v1/traces" and b"/healthz" in body:
                    break
            assert b"cabacus-tested" in body
        finally:
            process.terminate()
            process.communicate()
