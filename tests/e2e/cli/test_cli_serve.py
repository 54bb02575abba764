"""`cabacus serve`, and what `make run` does: everything starts by itself, works, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

Started = Callable[..., subprocess.Popen[bytes]]
SECONDS = 60
FIRST_LIGHT = Path(__file__).parents[3] / "engine" / "examples" / "first_light.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def family(process_id: int) -> set[int]:
    """The processes that stem from this one."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                parents[int(entry)] = int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def address(said: IO[bytes] | None) -> tuple[str, str]:
    """What was said up to the address of the service, and that address."""
    assert said is not None
    text = ""
    for line in said:
        text += line.decode()
        found = re.search(r"(?:serves|runs) on (http://\S+)", text)
        if found:
            return text, found[1]
    raise AssertionError(f"no address: {text}")


def check_that_nothing_is_left(processes: set[int], url: str, state: Path) -> None:
    assert not [number for number in processes if Path(f"/proc/{number}").exists()]
    with socket.socket() as connection:
        host, port = url.removeprefix("http://").split(":")
        assert connection.connect_ex((host, int(port))) != 0
    assert not [path for path in state.rglob("*") if path.is_socket()]


def test_serve_starts_everything_and_stops_without_a_trace(started: Started, tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = started("serve", "--port", 0, "--state", state, "--workers", 1, stdout=subprocess.PIPE)
    try:
        _, url = address(process.stdout)
        with urllib.request.urlopen(f"{url}/readyz", timeout=SECONDS) as answer:
            assert answer.status == 200
        processes = family(process.pid)
        assert len(processes) >= 4  # itself, the queue's server, the API, a worker
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        check_that_nothing_is_left(processes, url, state)
    finally:
        process.kill()
        process.communicate()


def test_serve_says_what_to_do_about_a_port_that_is_taken(started: Started, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = started("serve", "--port", port, "--state", tmp_path / "state", stderr=subprocess.PIPE)
        _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 3
    assert b"--port" in error


def test_first_light_brings_the_network_there_and_back_and_serves_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, str(FIRST_LIGHT), "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        text, url = address(process.stdout)
        assert "fc1.weight" in text
        assert "ratio" in text
        assert "there and back" in text
        processes = family(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        assert not re.search(rb"Traceback|WARNING|ERROR", err), err.decode()
        check_that_nothing_is_left(processes, url, state)
    finally:
        process.kill()
        process.communicate()
