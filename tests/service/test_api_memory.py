"""The memory of the API, a process of its own, does not grow with the files that pass through it."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cabacus.service.embedded import EmbeddedServer

MEGABYTES = 300
MOST_GROWTH = 64
CHUNK = bytes(1_000_000)
HEAD = b"\xabCBC" + bytes(60)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.fixture
def api(tmp_path: Path, redis_server: EmbeddedServer) -> Iterator[tuple[int, int]]:
    """The port and process id of an API without workers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}
    environment |= {"CABACUS_REDIS": redis_server.url, "CABACUS_NAMESPACE": secrets.token_hex(8)}
    environment |= {"CABACUS_STATE": str(tmp_path), "CABACUS_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "cabacus.service.api"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"running on http://[^:]+:(\d+)", line):
                break
        else:
            raise AssertionError("the API did not start")
        yield int(found[1]), process.pid
        process.terminate()


def megabytes(process_id: int, name: str) -> float:
    """A figure of /proc/PID/status: VmRSS now, VmHWM at most so far."""
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{process_id}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize("kind", ["raw", "form"])
def test_an_upload_takes_no_memory_of_its_size(api: tuple[int, int], kind: str) -> None:
    port, process_id = api
    before, after = b"", b""
    media = "application/octet-stream"
    if kind == "form":
        before, after = b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\n", b"\r\n--b--\r\n"
        media = "multipart/form-data; boundary=b"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        connection.request("GET", "/jobs")
        connection.getresponse().read()
        at_rest = megabytes(process_id, "VmRSS")
        connection.putrequest("POST", "/inspect")
        connection.putheader("Content-Type", media)
        connection.putheader("Content-Length", str(len(before) + len(HEAD) + MEGABYTES * len(CHUNK) + len(after)))
        connection.endheaders()
        connection.send(before + HEAD)
        for _ in range(MEGABYTES):
            connection.send(CHUNK)
        connection.send(after)
        response = connection.getresponse()
        assert response.status == 202, response.read()
        assert megabytes(process_id, "VmHWM") - at_rest < MOST_GROWTH
