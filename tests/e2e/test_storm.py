"""A short storm: what `make storm` claims, with fewer jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STORM = Path(__file__).parent / "storm" / "storm.py"
PLAN = (
    "--jobs",
    "80",
    "--poison",
    "2",
    "--bad",
    "3",
    "--kill-every",
    "1",
    "--restarts",
    "2",
    "--outage",
    "3",
    "--api-kills",
    "2",
    "--json",
)


@pytest.mark.parametrize("extra", [(), ("--engine",)], ids=["stub", "engine"])
def test_nothing_is_lost_when_workers_the_api_and_the_queue_are_killed(extra: tuple[str, ...]) -> None:
    command = [sys.executable, str(STORM), *PLAN, *extra]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["worker_kills"] >= 2, found
    assert found["server_restarts"] == 2, found
    assert found["api_kills"] >= 1, found
    broken = [claim for claim, holds in found["claims"].items() if not holds]
    assert not broken, found
